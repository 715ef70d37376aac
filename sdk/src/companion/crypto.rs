//! Keys of the companion database: one master key, and one key and salt per record.
//!
//! XChaCha20-Poly1305 throughout; its 24-byte nonces are drawn at random. The place of a record
//! is authenticated with it, so rows cannot be exchanged.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;

use alloy_primitives::B256;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::CompanionError;
use crate::wallet::keystore::private_file;

const NONCE_BYTES: usize = 24;
const PROBE: &[u8] = b"medina companion";
/// A key file holds 64 hex digits and perhaps a line end.
const KEY_FILE_BYTES_MAX: u64 = 128;

/// The key that seals all record keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MasterKey(hidden)")
    }
}

impl MasterKey {
    /// A key from bytes that are secret and random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new key.
    pub fn random() -> Result<Self, CompanionError> {
        Ok(Self(random_bytes()?))
    }

    /// Reads the key from its file of 64 hex digits, or makes file and key if there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, CompanionError> {
        let fail = |reason: String| CompanionError::KeyFile {
            path: path.to_owned(),
            reason,
        };
        if path.exists() {
            return Self::load(path);
        }
        let key = Self::random()?;
        let digits = Zeroizing::new(hex::encode(key.0));
        let write = || {
            let mut file = private_file(path)?;
            file.write_all(digits.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error: std::io::Error| fail(error.to_string()))?;
        Ok(key)
    }

    /// Reads the key from its file of 64 hex digits.
    pub fn load(path: &Path) -> Result<Self, CompanionError> {
        let fail = |reason: String| CompanionError::KeyFile {
            path: path.to_owned(),
            reason,
        };
        let mut digits = Zeroizing::new(String::new());
        let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
        file.take(KEY_FILE_BYTES_MAX)
            .read_to_string(&mut digits)
            .map_err(|error| fail(error.to_string()))?;
        let mut key = Self([0; 32]);
        hex::decode_to_slice(digits.trim(), &mut key.0)
            .map_err(|_| fail("expected 64 hex digits".into()))?;
        Ok(key)
    }

    pub(super) fn seal(
        &self,
        secret: &RecordSecret,
        place: &[u8],
    ) -> Result<Vec<u8>, CompanionError> {
        seal(&self.0, secret.0.as_slice(), place)
    }

    pub(super) fn unseal(
        &self,
        sealed: &[u8],
        place: &[u8],
    ) -> Result<RecordSecret, CompanionError> {
        let damaged = CompanionError::Damaged { what: "record key" };
        let bytes = Zeroizing::new(open(&self.0, sealed, place).ok_or(damaged)?);
        let secret = <[u8; 64]>::try_from(bytes.as_slice());
        secret
            .map(RecordSecret)
            .map_err(|_| CompanionError::Damaged { what: "record key" })
    }

    /// What only this key opens.
    pub(super) fn probe(&self) -> Result<Vec<u8>, CompanionError> {
        seal(&self.0, PROBE, b"probe")
    }

    pub(super) fn check(&self, probe: &[u8]) -> Result<(), CompanionError> {
        match open(&self.0, probe, b"probe") {
            Some(text) if text == PROBE => Ok(()),
            _ => Err(CompanionError::WrongKey),
        }
    }
}

/// Key and salt of one record.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct RecordSecret([u8; 64]);

impl RecordSecret {
    pub(super) fn random() -> Result<Self, CompanionError> {
        random_bytes().map(Self)
    }

    pub(super) fn salt(&self) -> B256 {
        B256::from_slice(&self.0[32..])
    }

    fn key(&self) -> &[u8] {
        &self.0[..32]
    }
}

pub(super) fn seal_record(
    secret: &RecordSecret,
    record: &[u8],
    place: &[u8],
) -> Result<Vec<u8>, CompanionError> {
    seal(secret.key(), record, place)
}

pub(super) fn open_record(
    secret: &RecordSecret,
    encrypted: &[u8],
    place: &[u8],
) -> Result<Vec<u8>, CompanionError> {
    open(secret.key(), encrypted, place).ok_or(CompanionError::Damaged { what: "record" })
}

/// nonce ‖ ciphertext and tag
fn seal(key: &[u8], plain: &[u8], place: &[u8]) -> Result<Vec<u8>, CompanionError> {
    let nonce: [u8; NONCE_BYTES] = random_bytes()?;
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload {
        msg: plain,
        aad: place,
    };
    let sealed = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .expect("a record is far below the cipher's limit of 256 GiB");
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(key: &[u8], sealed: &[u8], place: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES)?;
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher
        .decrypt(
            XNonce::from_slice(nonce),
            Payload {
                msg: ciphertext,
                aad: place,
            },
        )
        .ok()
}

fn random_bytes<const N: usize>() -> Result<[u8; N], CompanionError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| CompanionError::NoRandomness)?;
    Ok(bytes)
}
