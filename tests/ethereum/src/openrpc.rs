//! Checks answers against an OpenRPC document: the part of JSON Schema that
//! execution-apis uses, and nothing that is passed over.
//!
//! A document with a keyword that is not known here is refused when it is read,
//! so no rule can be ignored in silence. With `allOf`, a branch that forbids other
//! properties than its own allows those of its siblings: that is what the
//! document means where it adds properties to a block.

use regex::Regex;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Keywords that demand nothing of a value.
const NOTES: [&str; 8] = [
    "title",
    "description",
    "examples",
    "example",
    "default",
    "summary",
    "deprecated",
    "externalDocs",
];
/// Keywords that are checked.
const RULES: [&str; 21] = [
    "$ref",
    "type",
    "required",
    "properties",
    "patternProperties",
    "additionalProperties",
    "items",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "pattern",
    "enum",
    "const",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "uniqueItems",
];
/// References followed one after the other; more is a circle.
const REFERENCES_MAX: usize = 64;

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenRpcError {
    /// The system gave no bytes.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// No JSON.
    #[error("no JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// A part is missing or is not what it should be.
    #[error("{at}: {what}")]
    Malformed {
        /// Where.
        at: String,
        /// What is wrong.
        what: String,
    },
}

/// An OpenRPC document, ready to check with.
#[derive(Debug)]
pub struct OpenRpc {
    document: Value,
    methods: BTreeMap<String, usize>,
    patterns: BTreeMap<String, Regex>,
}

impl OpenRpc {
    /// Reads a document from a file.
    ///
    /// # Errors
    /// See [`OpenRpcError`].
    pub fn read(path: &Path) -> Result<Self, OpenRpcError> {
        let bytes = std::fs::read(path).map_err(|error| OpenRpcError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Self::parse(serde_json::from_slice(&bytes)?)
    }

    /// Takes a document, and looks at every schema in it.
    ///
    /// # Errors
    /// [`OpenRpcError::Malformed`]: a keyword that is not known here, a reference
    /// to nothing, a pattern that is none.
    pub fn parse(document: Value) -> Result<Self, OpenRpcError> {
        let list = document["methods"].as_array();
        let list = list.ok_or_else(|| malformed("methods", "is no list"))?;
        let mut methods = BTreeMap::new();
        let mut survey = Survey {
            document: &document,
            patterns: BTreeMap::new(),
        };
        for (index, method) in list.iter().enumerate() {
            let name = method["name"].as_str();
            let name = name.ok_or_else(|| malformed("methods", "has one without a name"))?;
            methods.insert(name.to_owned(), index);
            survey.schema(&format!("{name} result"), &method["result"]["schema"])?;
            for parameter in method["params"].as_array().into_iter().flatten() {
                survey.schema(&format!("{name} params"), &parameter["schema"])?;
            }
        }
        let schemas = document["components"]["schemas"].as_object();
        for (name, schema) in schemas.into_iter().flatten() {
            survey.schema(name, schema)?;
        }
        let patterns = survey.patterns;
        Ok(Self {
            document,
            methods,
            patterns,
        })
    }

    /// Names of all methods in order.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    fn method(&self, name: &str) -> Result<&Value, String> {
        let index = self.methods.get(name);
        let index = index.ok_or_else(|| format!("{name}: not in the document"))?;
        Ok(&self.document["methods"][*index])
    }

    /// Checks an answer of a method.
    ///
    /// # Errors
    /// Where in the answer which rule is broken.
    pub fn check_result(&self, method: &str, result: &Value) -> Result<(), String> {
        let schema = &self.method(method)?["result"]["schema"];
        self.check(schema, result, "result", &BTreeSet::new())
    }

    /// Checks the positional arguments of a call.
    ///
    /// # Errors
    /// Which argument is missing, too many, or breaks which rule.
    pub fn check_params(&self, method: &str, params: &[Value]) -> Result<(), String> {
        let described = self.method(method)?["params"].as_array();
        let described = described.map_or(&[][..], Vec::as_slice);
        if params.len() > described.len() {
            let max = described.len();
            return Err(format!("{} params, at most {max}", params.len()));
        }
        for (index, parameter) in described.iter().enumerate() {
            match params.get(index) {
                Some(value) => {
                    let at = format!("params[{index}]");
                    self.check(&parameter["schema"], value, &at, &BTreeSet::new())?;
                }
                None if parameter["required"] == true => {
                    return Err(format!("params[{index}] is missing"));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// `besides` are properties that siblings under `allOf` describe.
    fn check(
        &self,
        schema: &Value,
        value: &Value,
        at: &str,
        besides: &BTreeSet<String>,
    ) -> Result<(), String> {
        let Some(schema) = schema.as_object() else {
            return match schema {
                Value::Bool(false) => Err(format!("{at}: nothing is allowed here")),
                _ => Ok(()),
            };
        };
        if let Some(reference) = schema.get("$ref") {
            let target = resolve(&self.document, reference).ok_or("a reference to nothing")?;
            self.check(target, value, at, besides)?;
        }
        check_kind(schema, value, at)?;
        self.check_text(schema, value, at)?;
        check_number(schema, value, at)?;
        self.check_object(schema, value, at, besides)?;
        self.check_list(schema, value, at)?;
        self.check_choices(schema, value, at, besides)
    }

    fn check_text(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let Some(text) = value.as_str() else {
            return Ok(());
        };
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !self.patterns[pattern].is_match(text)
        {
            return Err(format!("{at}: {} does not match {pattern}", shown(value)));
        }
        let length = text.chars().count() as u64;
        check_range(schema, ("minLength", "maxLength"), length, at)
    }

    fn check_object(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        besides: &BTreeSet<String>,
    ) -> Result<(), String> {
        let Some(fields) = value.as_object() else {
            return Ok(());
        };
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = name.as_str().unwrap_or_default();
            if !fields.contains_key(name) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let by_pattern = schema.get("patternProperties").and_then(Value::as_object);
        for (name, field) in fields {
            let inner = format!("{at}.{name}");
            let own = properties.and_then(|properties| properties.get(name));
            let matching = by_pattern.into_iter().flatten();
            let matching = matching.filter(|(pattern, _)| self.patterns[*pattern].is_match(name));
            let described: Vec<_> = own
                .into_iter()
                .chain(matching.map(|(_, one)| one))
                .collect();
            for schema in &described {
                self.check(schema, field, &inner, &BTreeSet::new())?;
            }
            if described.is_empty() && !besides.contains(name) {
                match schema.get("additionalProperties") {
                    Some(Value::Bool(false)) => return Err(format!("{inner}: unknown property")),
                    Some(other) => self.check(other, field, &inner, &BTreeSet::new())?,
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn check_list(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let Some(entries) = value.as_array() else {
            return Ok(());
        };
        check_range(schema, ("minItems", "maxItems"), entries.len() as u64, at)?;
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            for (index, entry) in entries.iter().enumerate() {
                if entries[..index].contains(entry) {
                    return Err(format!("{at}: {} stands there twice", shown(entry)));
                }
            }
        }
        if let Some(items) = schema.get("items") {
            for (index, entry) in entries.iter().enumerate() {
                self.check(items, entry, &format!("{at}[{index}]"), &BTreeSet::new())?;
            }
        }
        Ok(())
    }

    fn check_choices(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        besides: &BTreeSet<String>,
    ) -> Result<(), String> {
        let branches = |name: &str| schema.get(name).and_then(Value::as_array);
        if let Some(all) = branches("allOf") {
            for (index, branch) in all.iter().enumerate() {
                let mut others = besides.clone();
                self.collect_properties(&Value::Object(without_choices(schema)), &mut others);
                for (other, sibling) in all.iter().enumerate() {
                    if other != index {
                        self.collect_properties(sibling, &mut others);
                    }
                }
                self.check(branch, value, at, &others)?;
            }
        }
        for (name, only_one) in [("anyOf", false), ("oneOf", true)] {
            let Some(any) = branches(name) else {
                continue;
            };
            let results = any.iter().map(|one| self.check(one, value, at, besides));
            let (fits, misfits): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
            if fits.is_empty() {
                let reasons: Vec<_> = misfits.into_iter().filter_map(Result::err).collect();
                return Err(format!("{at}: fits none of {name}: {}", reasons.join("; ")));
            }
            if only_one && fits.len() > 1 {
                return Err(format!("{at}: fits {} of oneOf", fits.len()));
            }
        }
        match schema.get("not") {
            Some(not) if self.check(not, value, at, besides).is_ok() => {
                Err(format!("{at}: is what it must not be"))
            }
            _ => Ok(()),
        }
    }

    /// Names of the properties that a schema describes, references followed.
    fn collect_properties(&self, schema: &Value, names: &mut BTreeSet<String>) {
        if let Some(target) = schema
            .get("$ref")
            .and_then(|reference| resolve(&self.document, reference))
        {
            self.collect_properties(target, names);
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        names.extend(
            properties
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone()),
        );
        for choice in ["allOf", "oneOf", "anyOf"] {
            let branches = schema.get(choice).and_then(Value::as_array);
            for branch in branches.into_iter().flatten() {
                self.collect_properties(branch, names);
            }
        }
    }
}

fn without_choices(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut rest = schema.clone();
    for choice in ["allOf", "oneOf", "anyOf"] {
        rest.remove(choice);
    }
    rest
}

fn malformed(at: &str, what: &str) -> OpenRpcError {
    OpenRpcError::Malformed {
        at: at.to_owned(),
        what: what.to_owned(),
    }
}

/// What a reference inside the document points at, chains of references followed.
fn resolve<'a>(document: &'a Value, reference: &Value) -> Option<&'a Value> {
    let mut pointer = reference.as_str()?;
    for _ in 0..REFERENCES_MAX {
        let target = document.pointer(pointer.strip_prefix('#')?)?;
        let is_alone = target.as_object().is_some_and(|fields| fields.len() == 1);
        match target.get("$ref").and_then(Value::as_str) {
            Some(next) if is_alone => pointer = next,
            _ => return Some(target),
        }
    }
    None
}

/// Looks at schemas before anything is checked with them.
struct Survey<'a> {
    document: &'a Value,
    patterns: BTreeMap<String, Regex>,
}

impl Survey<'_> {
    fn schema(&mut self, at: &str, schema: &Value) -> Result<(), OpenRpcError> {
        let Some(fields) = schema.as_object() else {
            return match schema {
                Value::Bool(_) => Ok(()),
                _ => Err(malformed(at, "no schema")),
            };
        };
        for (keyword, rule) in fields {
            let inner = format!("{at}/{keyword}");
            match keyword.as_str() {
                "$ref" if resolve(self.document, rule).is_none() => {
                    return Err(malformed(&inner, &format!("{rule} points at nothing")));
                }
                "pattern" => self.pattern(&inner, rule.as_str().unwrap_or_default())?,
                "properties" => self.map(&inner, rule)?,
                "patternProperties" => {
                    for pattern in rule.as_object().into_iter().flatten() {
                        self.pattern(&inner, pattern.0)?;
                    }
                    self.map(&inner, rule)?;
                }
                "items" | "not" | "additionalProperties" => self.schema(&inner, rule)?,
                "oneOf" | "anyOf" | "allOf" => {
                    for branch in rule.as_array().into_iter().flatten() {
                        self.schema(&inner, branch)?;
                    }
                }
                known if NOTES.contains(&known) || RULES.contains(&known) => {}
                unknown => {
                    return Err(malformed(at, &format!("unknown keyword {unknown}")));
                }
            }
        }
        Ok(())
    }

    fn map(&mut self, at: &str, rule: &Value) -> Result<(), OpenRpcError> {
        for (name, schema) in rule.as_object().into_iter().flatten() {
            self.schema(&format!("{at}/{name}"), schema)?;
        }
        Ok(())
    }

    fn pattern(&mut self, at: &str, pattern: &str) -> Result<(), OpenRpcError> {
        let compiled = Regex::new(pattern);
        let compiled = compiled.map_err(|error| malformed(at, &error.to_string()))?;
        self.patterns.insert(pattern.to_owned(), compiled);
        Ok(())
    }
}

fn check_kind(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    };
    let fits = match schema.get("type") {
        None => true,
        Some(Value::String(kind)) => is(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is),
        Some(_) => false,
    };
    if !fits {
        let kind = &schema["type"];
        return Err(format!("{at}: {} is no {kind}", shown(value)));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array)
        && !values.contains(value)
    {
        return Err(format!("{at}: {} is none of the values", shown(value)));
    }
    match schema.get("const") {
        Some(only) if !same(only, value) => Err(format!("{at}: {} is not {only}", shown(value))),
        _ => Ok(()),
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn check_number(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let Some(number) = value.as_f64() else {
        return Ok(());
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let is_low = bound("minimum").is_some_and(|least| number < least);
    let is_high = bound("maximum").is_some_and(|most| number > most);
    match is_low || is_high {
        true => Err(format!("{at}: {number} is out of range")),
        false => Ok(()),
    }
}

fn check_range(
    schema: &Map<String, Value>,
    (least, most): (&str, &str),
    found: u64,
    at: &str,
) -> Result<(), String> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let is_short = bound(least).is_some_and(|least| found < least);
    let is_long = bound(most).is_some_and(|most| found > most);
    match is_short || is_long {
        true => Err(format!("{at}: length {found} is out of range")),
        false => Ok(()),
    }
}

/// The beginning of a value.
fn shown(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 80;
    value.to_string().chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(schema: Value) -> Result<OpenRpc, OpenRpcError> {
        OpenRpc::parse(json!({
            "methods": [{
                "name": "test",
                "params": [
                    { "required": true, "schema": { "$ref": "#/components/schemas/uint" } },
                    { "schema": { "type": "boolean" } },
                ],
                "result": { "schema": schema },
            }],
            "components": { "schemas": {
                "uint": { "type": "string", "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$" },
                "closed": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["a"],
                    "properties": { "a": { "$ref": "#/components/schemas/uint" } },
                },
            }},
        }))
    }

    fn check(schema: Value, value: Value) -> Result<(), String> {
        document(schema).unwrap().check_result("test", &value)
    }

    #[test]
    fn every_rule_can_be_broken_and_is_named() {
        let closed = json!({ "$ref": "#/components/schemas/closed" });
        let one_of = json!({ "oneOf": [{ "type": "null" }, closed.clone()] });
        let list = json!({ "type": "array", "minItems": 1, "uniqueItems": true, "items": closed });
        for (schema, value, reason) in [
            (closed.clone(), json!({ "a": "0x01" }), "result.a"),
            (closed.clone(), json!({}), "a is missing"),
            (
                closed.clone(),
                json!({ "a": "0x1", "b": 1 }),
                "unknown property",
            ),
            (one_of.clone(), json!(1), "fits none of oneOf"),
            (list.clone(), json!([]), "length 0"),
            (
                list.clone(),
                json!([{ "a": "0x1" }, { "a": "0x1" }]),
                "twice",
            ),
            (
                json!({ "type": "number", "maximum": 1 }),
                json!(1.5),
                "out of range",
            ),
            (json!({ "enum": ["a"] }), json!("b"), "none of the values"),
            (json!({ "const": 3 }), json!(4), "is not 3"),
        ] {
            let found = check(schema, value.clone()).unwrap_err();
            assert!(found.contains(reason), "{value}: {found}");
        }
        for (schema, value) in [
            (closed.clone(), json!({ "a": "0x1f" })),
            (one_of, json!(null)),
            (list, json!([{ "a": "0x1" }, { "a": "0x2" }])),
            (json!({ "const": 3 }), json!(3.0)),
        ] {
            assert_eq!(check(schema, value), Ok(()));
        }
    }

    #[test]
    fn branches_of_all_of_may_add_properties_to_each_other() {
        let both = json!({ "allOf": [
            { "$ref": "#/components/schemas/closed" },
            { "type": "object", "required": ["b"], "properties": { "b": { "type": "null" } } },
        ]});
        assert_eq!(
            check(both.clone(), json!({ "a": "0x0", "b": null })),
            Ok(())
        );
        assert!(check(both.clone(), json!({ "a": "0x0" })).is_err());
        assert!(check(both, json!({ "a": "0x0", "b": null, "c": 1 })).is_err());
    }

    #[test]
    fn nothing_in_a_document_is_passed_over() {
        for (schema, reason) in [
            (json!({ "dependentSchemas": {} }), "unknown keyword"),
            (
                json!({ "$ref": "#/components/schemas/none" }),
                "points at nothing",
            ),
            (json!({ "pattern": "(" }), "regex"),
        ] {
            let found = document(schema).unwrap_err().to_string();
            assert!(found.contains(reason), "{found}");
        }
    }

    #[test]
    fn arguments_are_counted_and_checked() {
        let document = document(json!({})).unwrap();
        let check = |params: &[Value]| document.check_params("test", params);
        assert_eq!(check(&[json!("0x1")]), Ok(()));
        assert_eq!(check(&[json!("0x1"), json!(true)]), Ok(()));
        assert!(check(&[]).is_err());
        assert!(check(&[json!("1")]).is_err());
        assert!(check(&[json!("0x1"), json!(true), json!(1)]).is_err());
    }
}
