//! Accounts: mnemonics, keystore files, and signatures of transactions, messages and typed data.
//!
//! Secrets stay inside: no `Debug`, `Display` or error of this module shows a private key, a
//! phrase or a password, and what held one is overwritten when dropped.
//!
//! ```
//! use medina_sdk::wallet::{Mnemonic, TEST_MNEMONIC, recover_message};
//! let account = Mnemonic::parse(TEST_MNEMONIC)?.account(0)?;
//! assert_eq!(account.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
//! let signature = account.sign_message(b"hello")?;
//! assert_eq!(recover_message(b"hello", &signature.as_bytes())?, account.address());
//! # Ok::<(), medina_sdk::wallet::WalletError>(())
//! ```
//!
//! A key that is kept elsewhere signs through an [`ExternalSigner`].

mod account;
mod external;
pub(crate) mod keystore;
mod mnemonic;

use std::path::PathBuf;

use alloy_primitives::Address;
use thiserror::Error;

pub use account::{Account, SignedTransaction, recover_message, recover_typed};
pub(crate) use external::Program;
pub use external::{CommandSigner, ExternalSigner, SigningRequest, TypedRequest};
pub use keystore::{KeystoreDir, KeystoreEntry};
pub use mnemonic::{Mnemonic, TEST_MNEMONIC};

/// Why a wallet cannot do what it was asked; never with a secret in it.
#[derive(Debug, Error)]
pub enum WalletError {
    /// Not 32 bytes in hex, or not a number of the curve.
    #[error(
        "not a private key: expected 64 hex digits, optionally after 0x, of a valid secp256k1 key"
    )]
    BadPrivateKey,
    /// The words are no BIP-39 phrase.
    #[error(
        "not a BIP-39 mnemonic: expected 12, 15, 18, 21 or 24 English words with a valid checksum"
    )]
    BadMnemonic,
    /// A phrase of this many words does not exist.
    #[error("a mnemonic has 12, 15, 18, 21 or 24 words, not {0}")]
    BadWordCount(usize),
    /// The derivation path or index is out of range.
    #[error("account index {0} is too large: at most 2147483647")]
    BadIndex(u32),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// The signature could not be made.
    #[error("cannot sign")]
    Sign,
    /// The typed data are not what EIP-712 asks for.
    #[error("not EIP-712 typed data: {0}")]
    BadTypedData(String),
    /// The signature belongs to nobody.
    #[error("not a signature: expected 65 bytes r, s, v")]
    BadSignature,
    /// The keystore's folder or file cannot be used.
    #[error("cannot use {path}: {source}")]
    Io {
        /// Which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A keystore file that does not follow the format or asks for too much work.
    #[error("{path} is no usable keystore V3 file: {reason}")]
    BadKeystore {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The password does not open the file.
    #[error("wrong password for {0}")]
    WrongPassword(Address),
    /// No file for this address.
    #[error("no key for {address} in {path}")]
    UnknownAccount {
        /// Which account was asked for.
        address: Address,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The key is not in this process and cannot be written down.
    #[error("the key of {0} is kept elsewhere and cannot be exported")]
    KeyElsewhere(Address),
    /// The external signer did not do as it was asked.
    #[error("the external signer did not sign: {0}")]
    External(String),
    /// The folder already holds a key for this address.
    #[error("{0} is already in the keystore")]
    AlreadyThere(Address),
}

#[cfg(test)]
mod tests;
