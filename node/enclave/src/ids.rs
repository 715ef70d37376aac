//! Names of parties, groups and payloads: fixed bytes, shown as hexadecimal digits.

use alloy_primitives::hex;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{KeyError, NodePublicKey, NodeSignature};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A text that is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits (0x prefix allowed), got {got} characters")]
pub struct IdError {
    /// Digits expected.
    pub expected: usize,
    /// Characters given.
    pub got: usize,
}

macro_rules! identifier {
    ($name:ident, $bytes:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
        )]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| IdError {
                    expected: 2 * $bytes,
                    got: digits.chars().count(),
                })?;
                Ok(Self(bytes))
            }
        }

        impl From<[u8; $bytes]> for $name {
            fn from(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    PartyId,
    32,
    "An organisation's presence on a node: its ed25519 identity key."
);
identifier!(
    GroupId,
    32,
    "A named set of organisations with one private state."
);
identifier!(
    Digest,
    32,
    "The commitment to an envelope, which the public marker carries."
);
identifier!(
    Tag,
    32,
    "What tells members of a group that a marker is theirs, and nobody else anything."
);
identifier!(
    RawHandle,
    64,
    "SHA3-512 of a stored ciphertext, by which Tessera's clients name a payload."
);

impl PartyId {
    /// Checks a signature of this party strictly (RFC 8032, no small-order keys).
    ///
    /// # Errors
    /// [`KeyError::NotAKey`] or [`KeyError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &NodeSignature) -> Result<(), KeyError> {
        NodePublicKey(self.0).verify(message, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifier_text_reads_back() {
        let digest = Digest([0xab; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(
            "0xab".parse::<Digest>(),
            Err(IdError {
                expected: 64,
                got: 2
            })
        );
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    }
}
