//! Keys of sensors, and what they sign for the contracts.
//!
//! A device proves itself when it is registered (`Registration`) and says with each batch that
//! the readings are its own (`Anchoring`); both are EIP-712 structs of the contracts
//! specification, sections 0, 4 and 5. A secp256k1 device is named by its 20-byte account, an
//! ed25519 device in ERC-7913 form by verifier ‖ public key, where the verifier is the contract
//! that asks the chain's precompile.
//!
//! ```
//! use alloy_primitives::{Address, B256};
//! use medina_sdk::device::{DeviceKey, DeviceKind, Registration, domain, time48, verify};
//! let registry = domain("SensorRegistry", 20_262, Address::repeat_byte(1));
//! let device = DeviceKey::random(DeviceKind::Ed25519)?;
//! let (id, org) = (B256::repeat_byte(2), B256::repeat_byte(3));
//! let proof = device.sign_registration(id, org, 2_000_000_000, &registry)?;
//! let said = Registration { id, org, deadline: time48(2_000_000_000)? };
//! assert!(verify(&device.signer(Address::repeat_byte(9)), &said, &registry, &proof));
//! # Ok::<(), medina_sdk::device::DeviceError>(())
//! ```

use std::fmt;
use std::io::Write;
use std::path::Path;

use alloy_primitives::aliases::U48;
use alloy_primitives::{Address, B256, Bytes, Signature};
use alloy_sol_types::{Eip712Domain, SolStruct};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::wallet::{Account, WalletError, keystore::private_file};

pub use medina_contracts::eip712::{Anchoring, KeyRotation, Registration, domain};

/// Longest file a device key is read from, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Why a device key or its signature is of no use.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The key or signature of a secp256k1 device.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// Not the text of a device key.
    #[error("not a device key: expected `ed25519:` or `secp256k1:` and 64 hex digits")]
    BadKey,
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

/// Which curve a device signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Small and fast in hardware; checked by the chain's precompile.
    Ed25519,
    /// The curve of accounts; the device may send its batches itself.
    Secp256k1,
}

/// The key of one device. `Debug` shows the public part only.
#[derive(Clone)]
pub enum DeviceKey {
    /// An ed25519 key.
    Ed25519(Box<SigningKey>),
    /// A secp256k1 account.
    Secp256k1(Account),
}

/// A time of the contracts.
pub fn time48(seconds: u64) -> Result<U48, DeviceError> {
    U48::try_from(seconds).map_err(|_| DeviceError::TimeTooLarge(seconds))
}

impl DeviceKey {
    /// A new key from the operating system's randomness.
    pub fn random(kind: DeviceKind) -> Result<Self, DeviceError> {
        match kind {
            DeviceKind::Secp256k1 => Ok(Self::Secp256k1(Account::random()?)),
            DeviceKind::Ed25519 => {
                let mut seed = Zeroizing::new([0_u8; 32]);
                getrandom::fill(seed.as_mut_slice()).map_err(|_| WalletError::NoRandomness)?;
                Ok(Self::Ed25519(Box::new(SigningKey::from_bytes(&seed))))
            }
        }
    }

    /// Reads what [`Self::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, DeviceError> {
        let (kind, digits) = text.trim().split_once(':').ok_or(DeviceError::BadKey)?;
        let mut secret = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|_| DeviceError::BadKey)?;
        match kind {
            "ed25519" => Ok(Self::Ed25519(Box::new(SigningKey::from_bytes(&secret)))),
            "secp256k1" => Account::from_bytes(&secret)
                .map(Self::Secp256k1)
                .map_err(|_| DeviceError::BadKey),
            _ => Err(DeviceError::BadKey),
        }
    }

    /// The secret key as text, `ed25519:…` or `secp256k1:…`, for the device's own file.
    /// An error where the account's key is kept elsewhere.
    pub fn to_text(&self) -> Result<Zeroizing<String>, DeviceError> {
        let (kind, secret) = match self {
            Self::Ed25519(key) => ("ed25519", Zeroizing::new(key.to_bytes())),
            Self::Secp256k1(account) => ("secp256k1", account.to_bytes()?),
        };
        let digits = Zeroizing::new(hex::encode(secret.as_slice()));
        Ok(Zeroizing::new(format!("{kind}:{}", digits.as_str())))
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

    /// Which curve it is on.
    pub fn kind(&self) -> DeviceKind {
        match self {
            Self::Ed25519(_) => DeviceKind::Ed25519,
            Self::Secp256k1(_) => DeviceKind::Secp256k1,
        }
    }

    /// The `signer` of the registry: the account, or `verifier` ‖ public key.
    pub fn signer(&self, ed25519_verifier: Address) -> Bytes {
        match self {
            Self::Ed25519(key) => [ed25519_verifier.as_slice(), key.verifying_key().as_bytes()]
                .concat()
                .into(),
            Self::Secp256k1(account) => account.address().to_vec().into(),
        }
    }

    /// Signs a struct of a contract's, in the form its `SignatureChecker` takes.
    pub fn sign<T: SolStruct>(
        &self,
        payload: &T,
        domain: &Eip712Domain,
    ) -> Result<Bytes, DeviceError> {
        match self {
            Self::Ed25519(key) => {
                let hash = payload.eip712_signing_hash(domain);
                Ok(key.sign(hash.as_slice()).to_bytes().to_vec().into())
            }
            Self::Secp256k1(account) => Ok(account
                .sign_typed(payload, domain)?
                .as_bytes()
                .to_vec()
                .into()),
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

impl fmt::Debug for DeviceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("DeviceKey")
            .field(&self.signer(Address::ZERO))
            .finish()
    }
}

/// What is anchored of a batch of readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Batch {
    /// The resource the readings come from.
    pub source: B256,
    /// Number of the batch, from 1 without gaps.
    pub seq: u64,
    /// Root of the tree over the readings.
    pub root: B256,
    /// Time of the first reading, Unix seconds.
    pub from: u64,
    /// Time of the last reading, Unix seconds.
    pub to: u64,
    /// How many readings.
    pub count: u32,
}

impl Batch {
    /// The struct a device signs.
    pub fn anchoring(&self) -> Result<Anchoring, DeviceError> {
        Ok(Anchoring {
            source: self.source,
            seq: self.seq,
            root: self.root,
            from: time48(self.from)?,
            to: time48(self.to)?,
            count: self.count,
        })
    }
}

/// Whether `signature` over `payload` is of the device `signer` names, as the chain would judge.
pub fn verify<T: SolStruct>(
    signer: &[u8],
    payload: &T,
    domain: &Eip712Domain,
    signature: &[u8],
) -> bool {
    let hash = payload.eip712_signing_hash(domain);
    match signer.len() {
        20 => {
            let recovered = Signature::from_raw(signature)
                .ok()
                .and_then(|signature| signature.recover_address_from_prehash(&hash).ok());
            recovered.is_some_and(|address| address.as_slice() == signer)
        }
        52 => verify_ed25519(&signer[20..], hash, signature).is_some(),
        _ => false,
    }
}

fn verify_ed25519(key: &[u8], hash: B256, signature: &[u8]) -> Option<()> {
    let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    key.verify_strict(hash.as_slice(), &signature).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use proptest::prelude::*;

    const VERIFIER: Address = Address::repeat_byte(9);

    fn anchor_domain() -> Eip712Domain {
        domain("DataAnchor", 7, Address::repeat_byte(1))
    }

    fn batch() -> Batch {
        let source = B256::repeat_byte(2);
        Batch {
            source,
            seq: 1,
            root: B256::repeat_byte(3),
            from: 10,
            to: 20,
            count: 5,
        }
    }

    #[test]
    fn structs_hash_as_the_contracts_spell_them() {
        let types = [
            (
                Registration::eip712_root_type(),
                "Registration(bytes32 id,bytes32 org,uint48 deadline)",
            ),
            (
                KeyRotation::eip712_root_type(),
                "KeyRotation(bytes32 id,uint48 deadline)",
            ),
            (
                Anchoring::eip712_root_type(),
                "Anchoring(bytes32 source,uint64 seq,bytes32 root,uint48 from,uint48 to,uint32 count)",
            ),
        ];
        for (found, expected) in types {
            assert_eq!(keccak256(found.as_bytes()), keccak256(expected));
        }
    }

    #[test]
    fn both_kinds_sign_what_the_registry_can_check() {
        for (kind, signer_length, signature_length) in [
            (DeviceKind::Ed25519, 52, 64),
            (DeviceKind::Secp256k1, 20, 65),
        ] {
            let key = DeviceKey::random(kind).expect("randomness");
            let signer = key.signer(VERIFIER);
            let signature = key.sign_batch(&batch(), &anchor_domain()).expect("signs");
            assert_eq!(
                (signer.len(), signature.len()),
                (signer_length, signature_length)
            );
            let payload = batch().anchoring().expect("small times");
            assert!(verify(&signer, &payload, &anchor_domain(), &signature));

            let other = Batch { seq: 2, ..batch() }
                .anchoring()
                .expect("small times");
            assert!(!verify(&signer, &other, &anchor_domain(), &signature));
            let elsewhere = domain("DataAnchor", 8, Address::repeat_byte(1));
            assert!(!verify(&signer, &payload, &elsewhere, &signature));
        }
    }

    #[test]
    fn keys_read_back_from_text_and_file() {
        let dir = tempfile::tempdir().expect("a folder");
        for kind in [DeviceKind::Ed25519, DeviceKind::Secp256k1] {
            let key = DeviceKey::random(kind).expect("randomness");
            let path = dir.path().join(format!("{kind:?}"));
            key.save(&path).expect("writes");
            let read = DeviceKey::load(&path).expect("reads");
            assert_eq!(read.signer(VERIFIER), key.signer(VERIFIER));
            assert!(matches!(key.save(&path), Err(DeviceError::Io { .. })));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        for kind in [DeviceKind::Ed25519, DeviceKind::Secp256k1] {
            let key = DeviceKey::random(kind).expect("randomness");
            let text = key.to_text().expect("the key is here");
            let secret = text.split(':').next_back().expect("two parts");
            assert!(!format!("{key:?}").contains(secret));
        }
    }

    #[test]
    fn time_behind_48_bits_is_refused() {
        assert!(matches!(
            Batch {
                to: 1 << 48,
                ..batch()
            }
            .anchoring(),
            Err(DeviceError::TimeTooLarge(_))
        ));
    }

    proptest! {
        #[test]
        fn no_outside_bytes_panic(text in ".{0,80}", signer in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
            let _ = DeviceKey::from_text(&text);
            let payload = batch().anchoring()?;
            prop_assert!(!verify(&signer, &payload, &anchor_domain(), &signature));
            let padded: Vec<u8> = signer.into_iter().chain([0; 52]).take(52).collect();
            let _ = verify(&padded, &payload, &anchor_domain(), &signature);
        }
    }
}
