//! Documents of which only a hash is on chain, so that nobody can guess them from it.
//!
//! A short text, such as why a user was suspended, can be found by trying what it might say. So it is
//! hashed with a salt: `keccak256(salt ‖ content)`. The salt is an HMAC of the content with a key that
//! its author keeps; whoever is shown content and salt can check the hash, nobody else learns
//! anything, and there is nothing to keep per document.
//!
//! ```
//! use medina_sdk::document::{DocumentKey, salted_hash};
//! let key = DocumentKey::from_bytes([7; 32]);
//! let salt = key.salt(b"signed on paper, folder 7");
//! assert_eq!(key.hash(b"signed on paper, folder 7"), salted_hash(salt, b"signed on paper, folder 7"));
//! ```

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::Path;

use alloy_primitives::{B256, keccak256};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::wallet::keystore::private_file;

/// Before the content, so that the key's other uses, should there be any, have other salts.
const PURPOSE: &[u8] = b"medina/document/v1";
/// Longest file a key is read from, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// The file is not one of ours.
    #[error("{0} is not a document key: expected 64 hex digits")]
    BadKey(std::path::PathBuf),
    /// The file cannot be used.
    #[error("cannot use the document key {path}: {source}")]
    Io {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gave no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// From which an author's salts are made.
pub struct DocumentKey(Zeroizing<[u8; 32]>);

impl DocumentKey {
    /// A key that is kept elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the key of a file that only its owner reads; makes it first if it is not there.
    pub fn load_or_create(path: &Path) -> Result<Self, DocumentError> {
        let failed = |source| DocumentError::Io {
            path: path.to_owned(),
            source,
        };
        match Self::create(path) {
            Err(DocumentError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
        let mut text = Zeroizing::new(String::new());
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut file = file.take(KEY_FILE_BYTES_MAX);
        file.read_to_string(&mut text).map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut_slice())
            .map_err(|_| DocumentError::BadKey(path.to_owned()))?;
        Ok(Self(key))
    }

    fn create(path: &Path) -> Result<Self, DocumentError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|_| DocumentError::NoRandomness)?;
        let digits = Zeroizing::new(hex::encode(key.as_slice()));
        let write = || {
            let mut file = private_file(path)?;
            file.write_all(digits.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| DocumentError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(key))
    }

    /// The salt of a content.
    pub fn salt(&self, content: &[u8]) -> B256 {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.0.as_slice())
            .expect("HMAC takes keys of any length");
        mac.update(PURPOSE);
        mac.update(content);
        B256::from_slice(&mac.finalize().into_bytes())
    }

    /// What stands for a content on chain.
    pub fn hash(&self, content: &[u8]) -> B256 {
        salted_hash(self.salt(content), content)
    }
}

impl fmt::Debug for DocumentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DocumentKey")
    }
}

/// What stands for a content on chain, for whoever was shown both.
pub fn salted_hash(salt: B256, content: &[u8]) -> B256 {
    keccak256([salt.as_slice(), content].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_can_be_checked_with_the_salt_and_not_guessed_without_the_key() {
        let (mine, other) = (
            DocumentKey::from_bytes([1; 32]),
            DocumentKey::from_bytes([2; 32]),
        );
        let hash = mine.hash(b"holidays");
        assert_eq!(hash, salted_hash(mine.salt(b"holidays"), b"holidays"));
        assert_ne!(hash, salted_hash(mine.salt(b"illness"), b"holidays"));
        assert_ne!(hash, other.hash(b"holidays"));
        assert_ne!(hash, keccak256("holidays"));
    }

    #[test]
    fn key_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("document.key");
        let first = DocumentKey::load_or_create(&path).expect("makes it");
        let again = DocumentKey::load_or_create(&path).expect("reads it");
        assert_eq!(first.hash(b"x"), again.hash(b"x"));
        let digits = std::fs::read_to_string(&path).expect("is there");
        assert!(!format!("{first:?}").contains(&digits));
        std::fs::write(&path, "nonsense").expect("writes");
        assert!(matches!(
            DocumentKey::load_or_create(&path),
            Err(DocumentError::BadKey(_))
        ));
        let missing = dir.path().join("no").join("folder");
        assert!(matches!(
            DocumentKey::load_or_create(&missing),
            Err(DocumentError::Io { .. })
        ));
    }
}
