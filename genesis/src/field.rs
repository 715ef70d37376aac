//! A JSON value that knows where it stands, so that every error names its field.
//!
//! Reading is strict about meaning and lenient about spelling: numbers may be
//! JSON numbers, decimal strings or `0x` quantities, as the genesis files of
//! other clients have all three.

use crate::GenesisError;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use medina_types::NodePublicKey;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Characters of a wrong value that an error repeats.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// A value, or its absence, at a path of the file.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    /// The whole file.
    pub(crate) fn root(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value: Some(value),
        }
    }

    /// Error of this field.
    pub(crate) fn expected(&self, expected: impl Into<String>) -> GenesisError {
        let path = if self.path.is_empty() {
            "(the file)".to_owned()
        } else {
            self.path.clone()
        };
        GenesisError::Field {
            path,
            found: self.found(),
            expected: expected.into(),
        }
    }

    fn found(&self) -> String {
        match self.value {
            None => "nothing".to_owned(),
            Some(Value::Object(_)) => "an object".to_owned(),
            Some(Value::Array(items)) => format!("a list of {}", items.len()),
            Some(value) => shortened(&value.to_string()),
        }
    }

    /// True when the field is missing or null.
    pub(crate) fn is_missing(&self) -> bool {
        self.value.is_none_or(Value::is_null)
    }

    /// True when the field is the word `true`.
    pub(crate) fn is_true(&self) -> bool {
        self.value.and_then(Value::as_bool) == Some(true)
    }

    /// True when the field is the word `false`.
    pub(crate) fn is_false(&self) -> bool {
        self.value.and_then(Value::as_bool) == Some(false)
    }

    /// Reads with `read` unless the field is missing.
    pub(crate) fn optional<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, GenesisError>,
    ) -> Result<Option<T>, GenesisError> {
        if self.is_missing() {
            Ok(None)
        } else {
            read(self).map(Some)
        }
    }

    fn members(&self) -> Result<&'a Map<String, Value>, GenesisError> {
        self.value
            .and_then(Value::as_object)
            .ok_or_else(|| self.expected("an object"))
    }

    fn join(&self, name: &str) -> String {
        let name = shortened(name);
        if self.path.is_empty() {
            name
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Member of an object, missing if the object is.
    pub(crate) fn get(&self, name: &str) -> Self {
        let value = self.value.and_then(|value| value.get(name));
        Self {
            path: self.join(name),
            value,
        }
    }

    /// All members of an object, in file order.
    pub(crate) fn entries(&self) -> Result<Vec<(&'a str, Self)>, GenesisError> {
        let entry = |(name, value): (&'a String, &'a Value)| {
            (
                name.as_str(),
                Self {
                    path: self.join(name),
                    value: Some(value),
                },
            )
        };
        Ok(self.members()?.iter().map(entry).collect())
    }

    /// All members of a list of at most `max`.
    pub(crate) fn items(&self, max: usize) -> Result<Vec<Self>, GenesisError> {
        let list = self
            .value
            .and_then(Value::as_array)
            .filter(|items| items.len() <= max);
        let list = list.ok_or_else(|| self.expected(format!("a list of at most {max}")))?;
        let item = |(index, value): (usize, &'a Value)| Self {
            path: format!("{}[{index}]", self.path),
            value: Some(value),
        };
        Ok(list.iter().enumerate().map(item).collect())
    }

    /// Refuses an object with members that nothing reads.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), GenesisError> {
        for (name, member) in self.entries()? {
            if !known.contains(&name) {
                return Err(
                    member.expected(format!("no such field; known are {}", known.join(", ")))
                );
            }
        }
        Ok(())
    }

    /// Text of at most `max` characters.
    pub(crate) fn text(&self, max: usize) -> Result<&'a str, GenesisError> {
        let text = self
            .value
            .and_then(Value::as_str)
            .filter(|text| text.chars().count() <= max);
        text.ok_or_else(|| self.expected(format!("text of at most {max} characters")))
    }

    /// One of several words, mapped to its meaning.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, GenesisError> {
        let word = self.value.and_then(Value::as_str);
        let found = choices.iter().find(|(name, _)| Some(*name) == word);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<_> = choices
                .iter()
                .map(|(name, _)| format!("{name:?}"))
                .collect();
            self.expected(names.join(" or "))
        })
    }

    fn parse_number(&self) -> Option<U256> {
        match self.value? {
            Value::Number(number) => number.as_u64().map(U256::from),
            Value::String(text) => {
                let (digits, radix) = text
                    .strip_prefix("0x")
                    .map_or((text.as_str(), 10), |d| (d, 16));
                // from_str_radix takes separators and an empty text; we do not.
                let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
                plain
                    .then(|| U256::from_str_radix(digits, radix.into()).ok())
                    .flatten()
            }
            _ => None,
        }
    }

    /// A 256-bit number.
    pub(crate) fn u256(&self) -> Result<U256, GenesisError> {
        let expected = "a number below 2^256, decimal or with 0x";
        self.parse_number().ok_or_else(|| self.expected(expected))
    }

    /// A 64-bit number in a range; `unit` names what is counted.
    pub(crate) fn u64(&self, range: RangeInclusive<u64>, unit: &str) -> Result<u64, GenesisError> {
        let number = self
            .parse_number()
            .and_then(|number| u64::try_from(number).ok());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.expected(format!(
                    "{unit} between {} and {}",
                    range.start(),
                    range.end()
                ))
            })
    }

    /// 20 bytes.
    pub(crate) fn address(&self) -> Result<Address, GenesisError> {
        let text = self.value.and_then(Value::as_str).unwrap_or_default();
        parse_address(text).ok_or_else(|| self.expected("an address of 40 hexadecimal digits"))
    }

    /// 32 bytes, all given.
    pub(crate) fn b256(&self) -> Result<B256, GenesisError> {
        let text = self.value.and_then(Value::as_str).unwrap_or_default();
        parse_b256(text).ok_or_else(|| self.expected("64 hexadecimal digits"))
    }

    /// Bytes, at most `max`.
    pub(crate) fn bytes(&self, max: usize) -> Result<Bytes, GenesisError> {
        let bytes = self
            .value
            .and_then(Value::as_str)
            .and_then(|text| hex::decode(text).ok());
        let bytes = bytes.filter(|bytes| bytes.len() <= max);
        let expected = || self.expected(format!("hexadecimal digits of at most {max} bytes"));
        bytes.map(Bytes::from).ok_or_else(expected)
    }

    /// An ed25519 node key.
    pub(crate) fn node_key(&self) -> Result<NodePublicKey, GenesisError> {
        let text = self.value.and_then(Value::as_str).unwrap_or_default();
        text.parse().map_err(|error| {
            self.expected(format!(
                "an ed25519 node key of 64 hexadecimal digits ({error})"
            ))
        })
    }

    /// Refuses a number other than the one that the chain's rules fix.
    pub(crate) fn fixed(&self, value: u64, why: &str) -> Result<(), GenesisError> {
        match self.optional(Self::u256)? {
            Some(found) if found != U256::from(value) => {
                Err(self.expected(format!("{value} or nothing: {why}")))
            }
            _ => Ok(()),
        }
    }
}

/// An address with or without `0x`, in any case; a checksum is not asked for.
pub(crate) fn parse_address(text: &str) -> Option<Address> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Address::from(bytes))
}

/// 32 bytes with or without `0x`.
pub(crate) fn parse_b256(text: &str) -> Option<B256> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(B256::from(bytes))
}

/// A storage slot or value: up to 32 bytes, leading zeros may be left out.
pub(crate) fn parse_word(text: &str) -> Option<B256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    parse_b256(&format!("{digits:0>64}"))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARACTERS_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{start}…")
}
