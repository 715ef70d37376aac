//! Numbers of JSON-RPC as they come: quantities in hex, plain numbers, or nothing.

use alloy_primitives::U64;
use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Text(String),
}

impl Number {
    fn read(self) -> Result<u64, String> {
        match self {
            Self::Plain(number) => Ok(number),
            Self::Text(text) => match text.parse::<U64>() {
                Ok(number) => Ok(number.to()),
                Err(error) => Err(format!("{text:?} is no quantity: {error}")),
            },
        }
    }
}

/// A quantity.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Number::deserialize(deserializer)?
        .read()
        .map_err(D::Error::custom)
}

/// A quantity, or null.
pub(super) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    number
        .map(Number::read)
        .transpose()
        .map_err(D::Error::custom)
}

/// `0x1`, 1 and true are true.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Bool(bool),
        Number(Number),
    }
    match Flag::deserialize(deserializer)? {
        Flag::Bool(flag) => Ok(flag),
        Flag::Number(number) => Ok(number.read().map_err(D::Error::custom)? != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn numbers_come_in_both_forms() {
        for value in [json!(31), json!("0x1f"), json!("31")] {
            assert_eq!(number(&value).expect("a number"), 31);
            assert_eq!(optional(&value).expect("a number"), Some(31));
        }
        assert_eq!(optional(&json!(null)).expect("nothing"), None);
        for value in [json!("0xg"), json!(-1), json!([]), json!(null)] {
            assert!(number(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn flags_come_in_all_forms() {
        for value in [json!(true), json!(1), json!("0x1")] {
            assert!(flag(&value).expect("a flag"));
        }
        for value in [json!(false), json!(0), json!("0x0")] {
            assert!(!flag(&value).expect("a flag"));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let value = json!(text);
            let _ = (number(&value), optional(&value), flag(&value));
        }
    }
}
