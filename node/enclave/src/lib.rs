//! Seals, shares and forgets private payloads.
//!
//! An [`Envelope`] is a private payload on its way: encrypted under a key of its own, the key
//! wrapped for each recipient, everything said about it authenticated. An [`Enclave`] makes and
//! opens them for the parties whose keys it holds, keeps them under keys that lie outside its
//! store, and forgets them by destroying those keys. [`LocalEnclave`] does it in the node's
//! process; [`RemoteEnclave`] asks a process of its own over a unix socket or over mutual TLS
//! ([`EnclaveServer`]).
//!
//! # Deviations
//! HPKE (RFC 9180) is put together here from X25519, HKDF and ChaCha20-Poly1305 rather than taken
//! from the `hpke` crate, which would bring second versions of the ciphers in use; the vectors of
//! the RFC's appendix A.2 prove it.

mod audit;
mod audit_log;
mod audit_reader;
mod enclave;
mod envelope;
mod error;
mod group_secret;
mod hpke;
mod ids;
mod key_encryption;
mod key_files;
pub mod limits;
mod local;
mod remote;
mod sealing;
mod secret;
mod statement;
mod store;

pub use audit::{AuditAction, AuditComparison, AuditEntry, AuditHead, compare_audit};
pub use audit_reader::read_audit_log;
pub use enclave::{
    Accepted, Caller, Enclave, EpochKey, GroupSecretInfo, HeldPayload, Party, PayloadStatus,
    RecipientKey, Terms, Tombstone,
};
pub use envelope::{Envelope, METADATA_VERSION, Metadata, Mode, Roots, SUITE, Wrap};
pub use error::EnclaveError;
pub use group_secret::SealedSecret;
pub use ids::{Digest, GroupId, IdError, PartyId, RawHandle, Tag};
pub use local::{EnclaveConfig, LocalEnclave};
pub use remote::{
    AddressError, EnclaveAddress, EnclaveServer, RemoteEnclave, TlsKey, forbid_core_dumps,
};
pub use statement::{
    Certificate, ErasureReceipt, SignDomain, attestation_hash, epoch_key_hash, party_hash,
    receipts_hash, verify,
};
