//! Why the private side does not answer.

use alloy_primitives::Bytes;

use super::Tombstone;

/// Why a private request is not answered. The texts reach the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateError {
    /// The tenant is a member of no such group.
    #[error("unknown group")]
    UnknownGroup,
    /// No such public block, or the group has not followed to it.
    #[error("{0}")]
    UnknownBlock(String),
    /// The payload was erased.
    #[error("payload {} was erased: {}", .0.digest, .0.reason)]
    Erased(Tombstone),
    /// The request is wrong or not wanted: signature, nonce, mode, membership.
    #[error("{0}")]
    Refused(String),
    /// A bound: payload, gas, rate of a sender, logs of an answer. The text names it.
    #[error("{0}")]
    Limit(String),
    /// The same request may pass later: enclave away, group behind, recipients offline.
    #[error("{0}")]
    Unavailable(String),
    /// This node does not do it.
    #[error("{0}")]
    Unsupported(String),
    /// A call reverted.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// A call ended otherwise: out of gas, invalid opcode, a write to public state.
    #[error("{0}")]
    Halted(String),
    /// A fault of ours; the text goes into the log only.
    #[error("{0}")]
    Fault(String),
}
