//! The public part of a device's key: how people write it, and how the registry stores it.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, Bytes};
use medina_contracts::ContractAddresses;

use super::{DeviceError, DeviceKind};

/// The contracts that judge keys longer than an account (ERC-7913): a signer begins with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verifiers {
    /// Asks the chain's ed25519 precompile.
    pub ed25519: Address,
    /// Of bare P-256 signatures, as secure elements make them.
    pub p256: Address,
    /// Of WebAuthn assertions, as passkeys make them.
    pub passkey: Address,
}

impl From<&ContractAddresses> for Verifiers {
    fn from(contracts: &ContractAddresses) -> Self {
        Self {
            ed25519: contracts.ed25519_verifier,
            p256: contracts.p256_verifier,
            passkey: contracts.webauthn_verifier,
        }
    }
}

/// A device's public key. As text it is `KIND:HEX`, such as `p256:` and 128 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DevicePublic {
    /// An account of the chain.
    Secp256k1(Address),
    /// 32 bytes as RFC 8032 encodes them.
    Ed25519([u8; 32]),
    /// Both coordinates.
    P256([u8; 64]),
    /// Both coordinates of a passkey's P-256 key.
    Passkey([u8; 64]),
}

impl DevicePublic {
    /// With what it signs.
    pub fn kind(&self) -> DeviceKind {
        match self {
            Self::Secp256k1(_) => DeviceKind::Secp256k1,
            Self::Ed25519(_) => DeviceKind::Ed25519,
            Self::P256(_) => DeviceKind::P256,
            Self::Passkey(_) => DeviceKind::Passkey,
        }
    }

    /// The `signer` of the registry: the account, or verifier ‖ public key.
    pub fn signer(&self, verifiers: &Verifiers) -> Bytes {
        match self {
            Self::Secp256k1(account) => account.to_vec().into(),
            Self::Ed25519(key) => [verifiers.ed25519.as_slice(), key].concat().into(),
            Self::P256(key) => [verifiers.p256.as_slice(), key].concat().into(),
            Self::Passkey(key) => [verifiers.passkey.as_slice(), key].concat().into(),
        }
    }

    /// The key of a `signer` as the registry stores it; `None` if none of these contracts judges it.
    pub fn of_signer(signer: &[u8], verifiers: &Verifiers) -> Option<Self> {
        let (head, key) = signer.split_at_checked(20)?;
        let head = Address::from_slice(head);
        match key.len() {
            0 => Some(Self::Secp256k1(head)),
            32 if head == verifiers.ed25519 => Some(Self::Ed25519(key.try_into().ok()?)),
            64 if head == verifiers.p256 => Some(Self::P256(key.try_into().ok()?)),
            64 if head == verifiers.passkey => Some(Self::Passkey(key.try_into().ok()?)),
            _ => None,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Secp256k1(account) => account.as_slice(),
            Self::Ed25519(key) => key,
            Self::P256(key) | Self::Passkey(key) => key,
        }
    }
}

impl fmt::Display for DevicePublic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.kind(), hex::encode(self.bytes()))
    }
}

impl FromStr for DevicePublic {
    type Err = DeviceError;

    /// P-256 keys may also be given as SEC1 writes points: 04 ‖ x ‖ y, or compressed.
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let (kind, digits) = text.trim().split_once(':').ok_or(DeviceError::BadPublic)?;
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let bytes = hex::decode(digits).map_err(|_| DeviceError::BadPublic)?;
        let sized = |bytes: Vec<u8>| bytes.try_into().map_err(|_| DeviceError::BadPublic);
        match kind.parse::<DeviceKind>()? {
            DeviceKind::Secp256k1 if bytes.len() == 20 => {
                Ok(Self::Secp256k1(Address::from_slice(&bytes)))
            }
            DeviceKind::Secp256k1 => Err(DeviceError::BadPublic),
            DeviceKind::Ed25519 => {
                let key: [u8; 32] = bytes.try_into().map_err(|_| DeviceError::BadPublic)?;
                ed25519_dalek::VerifyingKey::from_bytes(&key)
                    .map_err(|_| DeviceError::BadPublic)?;
                Ok(Self::Ed25519(key))
            }
            DeviceKind::P256 => Ok(Self::P256(sized(coordinates(&bytes)?)?)),
            DeviceKind::Passkey => Ok(Self::Passkey(sized(coordinates(&bytes)?)?)),
        }
    }
}

/// Both coordinates of a point of the curve, however it is written.
fn coordinates(bytes: &[u8]) -> Result<Vec<u8>, DeviceError> {
    let sec1 = match bytes.len() {
        64 => [&[4], bytes].concat(),
        _ => bytes.to_vec(),
    };
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&sec1);
    let key = key.map_err(|_| DeviceError::BadPublic)?;
    Ok(key.to_encoded_point(false).as_bytes()[1..].to_vec())
}
