//! Names of storage slots, as callers write them.

use alloy_primitives::{B256, hex};
use alloy_serde::JsonStorageKey;
use serde::{Deserialize, Deserializer, de::Error};

/// Hexadecimal digits of a slot.
const DIGITS_MAX: usize = 64;

/// A slot by up to 32 bytes of hexadecimal text, as geth reads it: with or without
/// `0x`, leading zeros left out or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StorageKey {
    slot: B256,
    is_whole: bool,
}

impl StorageKey {
    /// The slot.
    pub(crate) fn slot(&self) -> B256 {
        self.slot
    }

    /// How proofs name it: all 32 bytes if the caller wrote them, else a number.
    pub(crate) fn shown(&self) -> JsonStorageKey {
        match self.is_whole {
            true => JsonStorageKey::Hash(self.slot),
            false => JsonStorageKey::Number(self.slot.into()),
        }
    }
}

impl<'de> Deserialize<'de> for StorageKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let digits = digits.unwrap_or(&text);
        if digits.len() > DIGITS_MAX {
            return Err(D::Error::custom(
                "storage key too long (want at most 32 bytes)",
            ));
        }
        let padded = format!("{digits:0>DIGITS_MAX$}");
        let mut slot = B256::ZERO;
        hex::decode_to_slice(padded, slot.as_mut_slice())
            .map_err(|_| D::Error::custom("hex string invalid"))?;
        Ok(Self {
            slot,
            is_whole: digits.len() == DIGITS_MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<StorageKey, String> {
        serde_json::from_value(text.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn short_keys_are_numbers_and_too_long_ones_are_refused() {
        for text in ["0x1", "0x01", "1", "01", "0X1"] {
            let key = read(text).unwrap();
            assert_eq!(key.slot(), B256::with_last_byte(1), "{text}");
            assert_eq!(serde_json::json!(key.shown()), "0x1");
        }
        let whole = format!("0x{}", "00".repeat(32));
        assert_eq!(serde_json::json!(read(&whole).unwrap().shown()), whole);
        for text in ["0xasdf", &format!("0x{}", "00".repeat(33)), "é"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,70}") {
            let _ = read(&text);
        }
    }
}
