//! Keys of sensors, and what they sign for the contracts.
//!
//! A device proves itself when it is registered (`Registration`) and says with each batch that
//! the readings are its own (`Anchoring`); both are EIP-712 structs of the contracts
//! specification, sections 0, 4 and 5. A secp256k1 device is named by its 20-byte account, every
//! other in ERC-7913 form by verifier ‖ public key: ed25519 (the chain's precompile), P-256 (secure
//! elements) and passkeys (WebAuthn). Keys in a file, in memory or behind a [`DeviceSigner`].
//!
//! ```
//! use alloy_primitives::{Address, B256};
//! use medina_sdk::device::{
//!     DeviceKey, DeviceKind, Registration, Verifiers, domain, time48, verify,
//! };
//! # let [ed25519, p256, passkey] = [7, 8, 9].map(Address::repeat_byte);
//! let verifiers = Verifiers { ed25519, p256, passkey }; // or `client.contracts().into()`
//! let registry = domain("SensorRegistry", 20_262, Address::repeat_byte(1));
//! let (id, org) = (B256::repeat_byte(2), B256::repeat_byte(3));
//! for kind in [DeviceKind::Ed25519, DeviceKind::P256, DeviceKind::Secp256k1] {
//!     let device = DeviceKey::random(kind)?;
//!     let proof = device.sign_registration(id, org, 2_000_000_000, &registry)?;
//!     let said = Registration { id, org, deadline: time48(2_000_000_000)? };
//!     assert!(verify(&device.signer(&verifiers), &verifiers, &said, &registry, &proof));
//! }
//! # Ok::<(), medina_sdk::device::DeviceError>(())
//! ```

mod batch;
mod external;
mod passkey;
mod public;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use alloy_primitives::aliases::U48;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{Eip712Domain, SolStruct};
use ed25519_dalek::{Signer, SigningKey};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::wallet::{Account, WalletError, keystore::private_file};

pub use batch::Batch;
pub use external::{CommandDevice, DeviceSigner};
pub use medina_contracts::eip712::{Anchoring, KeyRotation, Registration, domain};
pub use passkey::Assertion;
pub use public::{DevicePublic, Verifiers};
pub use verify::verify;

/// Longest file a device key is read from, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Why a device key or its signature is of no use.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The key or signature of a secp256k1 device, or a program that keeps a key.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// Not the text of a device key.
    #[error("not a device key: expected `ed25519:`, `p256:` or `secp256k1:` and 64 hex digits")]
    BadKey,
    /// Not the text of a public key.
    #[error(
        "not a device's public key: expected `p256:` or `passkey:` and a point of the curve in hex, \
         `ed25519:` and 64 digits, or `secp256k1:` and an address"
    )]
    BadPublic,
    /// Not a kind of key.
    #[error("unknown kind of key {0:?}: there are ed25519, p256, passkey and secp256k1")]
    BadKind(String),
    /// An assertion of a passkey that the chain would not take.
    #[error("not the passkey's answer: {0}")]
    BadAssertion(&'static str),
    /// A signer answered with a signature that is not of its key.
    #[error("the signature is not of the device's key")]
    NotItsSignature,
    /// A passkey is made by an authenticator, and stays there.
    #[error("a passkey is made and kept by an authenticator")]
    KeptElsewhere,
    /// The key's file cannot be used.
    #[error("cannot use the device key {path}: {source}")]
    Io {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A time behind the contracts' `uint48`.
    #[error("time {0} does not fit the contracts' 48 bits")]
    TimeTooLarge(u64),
}

/// With what a device signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Small and fast in hardware; checked by the chain's precompile.
    Ed25519,
    /// The curve of secure elements.
    P256,
    /// P-256 by way of WebAuthn.
    Passkey,
    /// The curve of accounts; the device may send its batches itself.
    Secp256k1,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
            Self::Passkey => "passkey",
            Self::Secp256k1 => "secp256k1",
        })
    }
}

impl FromStr for DeviceKind {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let all = [Self::Ed25519, Self::P256, Self::Passkey, Self::Secp256k1];
        let found = all.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| DeviceError::BadKind(text.to_owned()))
    }
}

/// The key of one device. `Debug` shows the public part only.
#[derive(Clone)]
pub enum DeviceKey {
    /// An ed25519 key.
    Ed25519(Box<SigningKey>),
    /// A P-256 key.
    P256(Box<p256::ecdsa::SigningKey>),
    /// A secp256k1 account.
    Secp256k1(Account),
    /// A key that is kept elsewhere: in a secure element or by an authenticator.
    External(Arc<dyn DeviceSigner>),
}

/// A time of the contracts.
pub fn time48(seconds: u64) -> Result<U48, DeviceError> {
    U48::try_from(seconds).map_err(|_| DeviceError::TimeTooLarge(seconds))
}

impl DeviceKey {
    /// A new key from the operating system's randomness.
    pub fn random(kind: DeviceKind) -> Result<Self, DeviceError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        let mut fill = || {
            let filled = getrandom::fill(seed.as_mut_slice());
            filled.map_err(|_| WalletError::NoRandomness)?;
            Ok::<_, DeviceError>(seed.clone())
        };
        match kind {
            DeviceKind::Secp256k1 => Ok(Self::Secp256k1(Account::random()?)),
            DeviceKind::Ed25519 => {
                let seed = fill()?;
                Ok(Self::Ed25519(Box::new(SigningKey::from_bytes(&seed))))
            }
            DeviceKind::P256 => loop {
                // One in 2^32 numbers of 32 bytes is behind the curve's order.
                if let Ok(key) = p256::ecdsa::SigningKey::from_slice(fill()?.as_slice()) {
                    return Ok(Self::P256(Box::new(key)));
                }
            },
            DeviceKind::Passkey => Err(DeviceError::KeptElsewhere),
        }
    }

    /// A key that is kept elsewhere.
    pub fn external(signer: impl DeviceSigner + 'static) -> Self {
        Self::External(Arc::new(signer))
    }

    /// Reads what [`Self::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, DeviceError> {
        let (kind, digits) = text.trim().split_once(':').ok_or(DeviceError::BadKey)?;
        let mut secret = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|_| DeviceError::BadKey)?;
        match kind {
            "ed25519" => Ok(Self::Ed25519(Box::new(SigningKey::from_bytes(&secret)))),
            "p256" => p256::ecdsa::SigningKey::from_slice(secret.as_slice())
                .map(|key| Self::P256(Box::new(key)))
                .map_err(|_| DeviceError::BadKey),
            "secp256k1" => Account::from_bytes(&secret)
                .map(Self::Secp256k1)
                .map_err(|_| DeviceError::BadKey),
            _ => Err(DeviceError::BadKey),
        }
    }

    /// The secret key as text, such as `ed25519:…`, for the device's own file. An error where the
    /// key is kept elsewhere.
    pub fn to_text(&self) -> Result<Zeroizing<String>, DeviceError> {
        let secret = match self {
            Self::Ed25519(key) => Zeroizing::new(key.to_bytes()),
            Self::P256(key) => Zeroizing::new(key.to_bytes().into()),
            Self::Secp256k1(account) => account.to_bytes()?,
            Self::External(_) => return Err(DeviceError::KeptElsewhere),
        };
        let digits = Zeroizing::new(hex::encode(secret.as_slice()));
        Ok(Zeroizing::new(format!(
            "{}:{}",
            self.kind(),
            digits.as_str()
        )))
    }

    /// Writes the key to a new file that only its owner reads.
    pub fn save(&self, path: &Path) -> Result<(), DeviceError> {
        let text = self.to_text()?;
        let write = || {
            let mut file = private_file(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| DeviceError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a key from its file.
    pub fn load(path: &Path) -> Result<Self, DeviceError> {
        use std::io::Read;
        let mut text = Zeroizing::new(String::new());
        let file = std::fs::File::open(path).map_err(|source| DeviceError::Io {
            path: path.to_owned(),
            source,
        })?;
        file.take(KEY_FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|source| DeviceError::Io {
                path: path.to_owned(),
                source,
            })?;
        Self::from_text(&text)
    }

    /// With what it signs.
    pub fn kind(&self) -> DeviceKind {
        self.public().kind()
    }

    /// The public part.
    pub fn public(&self) -> DevicePublic {
        match self {
            Self::Ed25519(key) => DevicePublic::Ed25519(key.verifying_key().to_bytes()),
            Self::P256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                let mut coordinates = [0; 64];
                coordinates.copy_from_slice(&point.as_bytes()[1..]);
                DevicePublic::P256(coordinates)
            }
            Self::Secp256k1(account) => DevicePublic::Secp256k1(account.address()),
            Self::External(signer) => signer.public(),
        }
    }

    /// The `signer` of the registry: the account, or verifier ‖ public key.
    pub fn signer(&self, verifiers: &Verifiers) -> Bytes {
        self.public().signer(verifiers)
    }

    /// Signs a struct of a contract's, in the form its `SignatureChecker` takes.
    pub fn sign<T: SolStruct>(
        &self,
        payload: &T,
        domain: &Eip712Domain,
    ) -> Result<Bytes, DeviceError> {
        let hash = payload.eip712_signing_hash(domain);
        match self {
            Self::Ed25519(key) => Ok(key.sign(hash.as_slice()).to_bytes().to_vec().into()),
            Self::P256(key) => sign_p256(key, hash),
            Self::Secp256k1(account) => Ok(account
                .sign_typed(payload, domain)?
                .as_bytes()
                .to_vec()
                .into()),
            Self::External(signer) => external::checked(&signer.public(), hash, signer.sign(hash)?),
        }
    }

    /// Agrees to be resource `id` of `org` until `deadline`.
    pub fn sign_registration(
        &self,
        id: B256,
        org: B256,
        deadline_seconds: u64,
        domain: &Eip712Domain,
    ) -> Result<Bytes, DeviceError> {
        let deadline = time48(deadline_seconds)?;
        self.sign(&Registration { id, org, deadline }, domain)
    }

    /// Answers for a batch.
    pub fn sign_batch(&self, batch: &Batch, domain: &Eip712Domain) -> Result<Bytes, DeviceError> {
        self.sign(&batch.anchoring()?, domain)
    }
}

/// r ‖ s with the lower s, which alone the chain takes.
fn sign_p256(key: &p256::ecdsa::SigningKey, hash: B256) -> Result<Bytes, DeviceError> {
    let signature: Result<p256::ecdsa::Signature, _> = key.sign_prehash(hash.as_slice());
    let signature = signature.map_err(|_| DeviceError::NotItsSignature)?;
    let low = signature.normalize_s().unwrap_or(signature);
    Ok(low.to_bytes().to_vec().into())
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("DeviceKey")
            .field(&self.public().to_string())
            .finish()
    }
}
