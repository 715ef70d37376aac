//! What stops a node: always with the last good state on disk.

use medina_storage::StorageError;
use medina_types::Height;

/// A failure that the node cannot go on with.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The database failed; nothing after the last block was promised.
    #[error("the database failed: {0}; free space or repair the disk, then start the node again")]
    Storage(#[from] StorageError),
    /// A quorum decided a block that does not hold here.
    #[error(
        "block {height} was decided by a quorum but is invalid here: {reason}; this node runs other rules or its state is damaged"
    )]
    CertifiedBlockInvalid {
        /// Height of the block.
        height: Height,
        /// The first check that failed.
        reason: String,
    },
    /// A block of the replicated log could not be judged here. To guess would make
    /// this node differ from the others.
    #[error(
        "block {hash} of the log could not be checked here: {reason}; free space or repair the disk, then start the node again"
    )]
    LogEntryUnchecked {
        /// Hash of the block.
        hash: alloy_primitives::B256,
        /// What failed.
        reason: String,
    },
    /// A task of the node ended that never should.
    #[error("a task of the node ended unexpectedly: {0}; start the node again and report this")]
    TaskPanicked(String),
}
