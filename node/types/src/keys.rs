//! Ed25519 node keys: one key is the network identity *and* the vote key.

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Why a key or signature from outside was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not the expected number of hexadecimal digits.
    #[error(
        "a node key is {expected} hexadecimal digits (0x prefix allowed), got {got} characters"
    )]
    BadHex {
        /// Digits expected.
        expected: usize,
        /// Characters given.
        got: usize,
    },
    /// The bytes are no point of the curve, or one of small order.
    #[error("these 32 bytes are not a usable ed25519 public key")]
    NotAKey,
    /// The signature does not belong to key and message.
    #[error("the ed25519 signature does not match the key and message")]
    BadSignature,
}

/// Public half of a node key, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct NodePublicKey(pub [u8; 32]);

impl NodePublicKey {
    /// Checks a signature strictly (RFC 8032, no small-order keys, canonical
    /// scalars), so that every node answers alike.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`] or [`KeyError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &NodeSignature) -> Result<(), KeyError> {
        VerifyingKey::from_bytes(&self.0)
            .map_err(|_| KeyError::NotAKey)?
            .verify_strict(message, &Signature::from_bytes(&signature.0))
            .map_err(|_| KeyError::BadSignature)
    }

    /// Refuses bytes that are no curve point or a weak one.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn checked(self) -> Result<Self, KeyError> {
        match VerifyingKey::from_bytes(&self.0) {
            Ok(key) if !key.is_weak() => Ok(self),
            _ => Err(KeyError::NotAKey),
        }
    }
}

impl fmt::Display for NodePublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "0x{}", alloy_primitives::hex::encode(self.0))
    }
}

impl fmt::Debug for NodePublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodePublicKey({self})")
    }
}

impl FromStr for NodePublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self(parse_hex32(text)?).checked()
    }
}

impl Serialize for NodePublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodePublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct NodeSignature(pub [u8; 64]);

impl fmt::Debug for NodeSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "NodeSignature({}…)",
            alloy_primitives::hex::encode(&self.0[..4])
        )
    }
}

/// Secret half of a node key. Its `Debug` shows the public half only.
#[derive(Clone)]
pub struct NodeSecretKey(SigningKey);

impl NodeSecretKey {
    /// Takes the 32-byte seed of the key.
    #[must_use]
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The 32-byte seed, for the key file and the network identity only.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Reads 64 hexadecimal digits, `0x` allowed, whitespace around ignored.
    ///
    /// # Errors
    /// [`KeyError::BadHex`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        parse_hex32(text.trim()).map(Self::from_bytes)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> NodePublicKey {
        NodePublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a message (deterministic, RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> NodeSignature {
        NodeSignature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for NodeSecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeSecretKey(of {})", self.public_key())
    }
}

fn parse_hex32(text: &str) -> Result<[u8; 32], KeyError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0; 32];
    alloy_primitives::hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyError::BadHex {
        expected: 64,
        got: digits.chars().count(),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_verifies_only_for_its_message_and_key() {
        let key = NodeSecretKey::from_bytes([7; 32]);
        let signature = key.sign(b"block");
        assert_eq!(key.public_key().verify(b"block", &signature), Ok(()));
        assert_eq!(
            key.public_key().verify(b"other", &signature),
            Err(KeyError::BadSignature)
        );
        let other = NodeSecretKey::from_bytes([8; 32]).public_key();
        assert_eq!(
            other.verify(b"block", &signature),
            Err(KeyError::BadSignature)
        );
    }

    #[test]
    fn debug_of_a_secret_shows_no_secret() {
        let key = NodeSecretKey::from_bytes([7; 32]);
        assert!(!format!("{key:?}").contains(&"07".repeat(8)));
    }

    #[test]
    fn public_key_text_reads_back() {
        let key = NodeSecretKey::from_bytes([9; 32]).public_key();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!(matches!(
            "0x12".parse::<NodePublicKey>(),
            Err(KeyError::BadHex { .. })
        ));
        assert_eq!(
            "00".repeat(32).parse::<NodePublicKey>(),
            Err(KeyError::NotAKey)
        );
    }
}
