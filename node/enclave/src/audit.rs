//! The audit log: append-only, hash-chained, one entry per use of a key.

use crate::Digest;
use borsh::{BorshDeserialize, BorshSerialize};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AuditAction {
    /// A payload was sealed or stored.
    Encrypt,
    /// An envelope or group secret was opened and taken in.
    Decrypt,
    /// A payload was given out.
    Read,
    /// A payload was forgotten.
    Erase,
    /// A payload or group secret was wrapped for another member.
    Extend,
    /// Keys were made or destroyed.
    Rotate,
}

/// One entry. An entry says that something was begun: it is on the disk before the deed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AuditEntry {
    /// Number, from 0.
    pub seq: u64,
    /// The caller's clock, seconds since 1970.
    pub at_s: u64,
    /// Who asked.
    pub actor: String,
    /// What allowed it.
    pub scope: String,
    /// What was done.
    pub action: AuditAction,
    /// The payload, or the first 32 bytes of whatever else it was done to.
    pub digest: Digest,
    /// Hash of the entry before it, zero for the first.
    pub previous: [u8; 32],
}

/// Where the log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AuditHead {
    /// Entries written.
    pub entries: u64,
    /// Hash of the last one, zero if there is none.
    pub hash: [u8; 32],
}
