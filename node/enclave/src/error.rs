//! What can go wrong, one variant per thing one can do about it.

use crate::{Digest, PartyId, RawHandle};
use borsh::{BorshDeserialize, BorshSerialize};

/// Why the enclave did not do what it was asked. It crosses the socket of a separate process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
pub enum EnclaveError {
    /// The payload was forgotten on purpose; it will not come back.
    #[error("the payload {0} is erased")]
    Erased(Digest),
    /// The payload is not here; another holder may send it.
    #[error("the payload {0} is not held here")]
    Missing(Digest),
    /// No payload was stored under this handle.
    #[error("no payload is stored under the handle {0}")]
    UnknownHandle(RawHandle),
    /// The payload is here, but this party has no part in it.
    #[error("the party {party} has no part in the payload {digest}")]
    NotAParty {
        /// What was asked for.
        digest: Digest,
        /// For whom.
        party: PartyId,
    },
    /// The enclave holds no such party.
    #[error("the enclave holds no party {0}")]
    UnknownParty(PartyId),
    /// The key to which this was encrypted is no longer, or not yet, here: ask for a new wrap.
    #[error("the party {party} holds no encryption key of epoch {epoch}; ask for a new wrap")]
    UnknownEpoch {
        /// Whose key.
        party: PartyId,
        /// Which one.
        epoch: u32,
    },
    /// No wrap is for a party of this enclave.
    #[error("the envelope {0} has no key for a party of this enclave")]
    NotForUs(Digest),
    /// The enclave holds no secret of the group.
    #[error("the enclave holds no secret of the group {0}")]
    NoGroupSecret(crate::GroupId),
    /// What came from outside does not hold together; its sender is wrong.
    #[error("bad envelope: {0}")]
    BadEnvelope(String),
    /// The request itself is wrong; the text says how to put it right.
    #[error("{0}")]
    BadRequest(String),
    /// Something is larger or more than its bound.
    #[error("{what}: {got}, limit {max}")]
    TooLarge {
        /// What is bounded.
        what: String,
        /// Given.
        got: u64,
        /// The bound.
        max: u64,
    },
    /// A key file is missing, unreadable or open to others.
    #[error("key file {path}: {reason}")]
    KeyFile {
        /// The file or folder.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The payload store failed; nothing was acknowledged.
    #[error("payload store: {0}")]
    Store(String),
    /// The audit log was changed: what follows `seq` cannot be trusted.
    #[error("audit log: entry {seq} does not follow from the one before it: {reason}")]
    AuditBroken {
        /// The first wrong entry.
        seq: u64,
        /// What is wrong.
        reason: String,
    },
    /// The enclave process cannot be reached now; try again.
    #[error("the enclave at {socket} cannot be reached: {reason}")]
    Unreachable {
        /// Where it should be.
        socket: String,
        /// What happened.
        reason: String,
    },
}

impl EnclaveError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(crate) fn too_large(what: &str, got: usize, max: usize) -> Self {
        Self::TooLarge {
            what: what.into(),
            got: u64::try_from(got).unwrap_or(u64::MAX),
            max: u64::try_from(max).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn key_file(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::KeyFile {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

impl From<rocksdb::Error> for EnclaveError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Store(error.to_string())
    }
}
