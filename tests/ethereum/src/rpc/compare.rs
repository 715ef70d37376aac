//! Compares an answer with the one that is expected.

use serde_json::{Map, Value};

/// Says where two answers differ. Numbers compare by value; the words of an error
/// are free, its code and data are not; no field may be missing or added.
pub(super) fn compare(expected: &Value, found: &Value) -> Result<(), String> {
    compare_at("", expected, found)
}

fn compare_at(at: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => compare_fields(at, expected, found),
        (Value::Array(expected), Value::Array(found)) => {
            if expected.len() != found.len() {
                let (wanted, got) = (expected.len(), found.len());
                return Err(format!("{at}: {got} entries, expected {wanted}"));
            }
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare_at(&format!("{at}[{index}]"), expected, found)?;
            }
            Ok(())
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => Ok(()),
        (expected, found) if expected == found => Ok(()),
        (expected, found) => Err(format!(
            "{at}: {}, expected {}",
            shown(found),
            shown(expected)
        )),
    }
}

fn compare_fields(
    at: &str,
    expected: &Map<String, Value>,
    found: &Map<String, Value>,
) -> Result<(), String> {
    let is_error = is_error(expected) && is_error(found);
    for (name, expected) in expected {
        let inner = format!("{at}.{name}");
        let Some(found) = found.get(name) else {
            return Err(format!("{inner} is missing, expected {}", shown(expected)));
        };
        if !(is_error && name == "message") {
            compare_at(&inner, expected, found)?;
        }
    }
    let added = found.iter().find(|(name, _)| !expected.contains_key(*name));
    match added {
        Some((name, value)) => Err(format!("{at}.{name}: {} is not expected", shown(value))),
        None => Ok(()),
    }
}

/// An object with a numeric code and words is an error, wherever it stands.
fn is_error(fields: &Map<String, Value>) -> bool {
    let code = fields.get("code").is_some_and(Value::is_number);
    code && fields.get("message").is_some_and(Value::is_string)
}

/// The beginning of a value.
fn shown(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 160;
    value.to_string().chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_difference_counts_but_the_words_of_errors() {
        let error =
            |code: i64, message: &str| json!({ "error": { "code": code, "message": message } });
        for (expected, found) in [
            (json!({ "a": [1, 2.0] }), json!({ "a": [1.0, 2] })),
            (error(3, "one"), error(3, "other")),
        ] {
            assert_eq!(compare(&expected, &found), Ok(()));
        }
        for (expected, found, place) in [
            (json!({ "a": 1 }), json!({}), ".a is missing"),
            (json!({}), json!({ "a": 1 }), ".a: 1 is not expected"),
            (json!([1]), json!([1, 2]), "2 entries"),
            (json!({ "a": "0x1" }), json!({ "a": "0x01" }), ".a: "),
            (error(3, ""), error(4, ""), ".error.code"),
            (
                json!({ "message": "a" }),
                json!({ "message": "b" }),
                ".message",
            ),
            (json!(null), json!(false), "expected null"),
        ] {
            let difference = compare(&expected, &found).unwrap_err();
            assert!(difference.contains(place), "{difference}");
        }
    }
}
