//! Numbers as test suites write them: JSON numbers, hexadecimal, decimal text.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A number, however it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity(pub(super) U256);

impl Quantity {
    /// The number, at most what 64 bits hold.
    pub(super) fn saturated(self) -> u64 {
        self.0.saturating_to()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Number(u64),
            Text(String),
        }
        let number = match Given::deserialize(deserializer)? {
            Given::Number(number) => U256::from(number),
            Given::Text(text) => match text.strip_prefix("0x") {
                Some("") => U256::ZERO,
                Some(digits) => U256::from_str_radix(digits, 16).map_err(D::Error::custom)?,
                None => U256::from_str_radix(&text, 10).map_err(D::Error::custom)?,
            },
        };
        Ok(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<U256> {
        let read: Result<Quantity, _> = serde_json::from_str(text);
        read.ok().map(|quantity| quantity.0)
    }

    #[test]
    fn every_way_to_write_a_number_is_read() {
        for text in ["255", "\"0xff\"", "\"255\"", "\"0x00ff\""] {
            assert_eq!(read(text), Some(U256::from(255)), "{text}");
        }
        assert_eq!(read("\"0x\""), Some(U256::ZERO));
        for text in ["-1", "1.5", "\"ten\"", "\"0xg\"", "null", "[]"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".*") {
            let _ = serde_json::from_value::<Quantity>(text.into());
        }
    }
}
