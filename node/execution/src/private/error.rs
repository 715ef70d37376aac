//! Why a group's state cannot go on or cannot be asked.

use super::Position;
use crate::ExecutionError;
use alloy_primitives::B256;
use medina_storage::StorageError;
use medina_types::{Height, PrivateTransactionError};
use std::path::PathBuf;

/// Why something of a private group failed.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The machine or the state below did not answer.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The group's store did not answer.
    #[error("the group's store: {0}")]
    Storage(#[from] StorageError),
    /// A file of the group could not be made, renamed or removed.
    #[error("{}: {reason}", path.display())]
    Files {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// The store belongs to another group or chain.
    #[error("the store is that of group {found}, not of {expected}, or of another chain")]
    AnotherGroup {
        /// The group asked for.
        expected: B256,
        /// The group found.
        found: B256,
    },
    /// As many groups as one node keeps are there.
    #[error("this node keeps {max} private groups already, its limit")]
    TooManyGroups {
        /// The limit.
        max: usize,
    },
    /// All stores that may be open at once are in use.
    #[error("{max} stores of private groups are in use at once, the limit; try again")]
    TooManyOpen {
        /// The limit.
        max: usize,
    },
    /// Somebody still uses the store.
    #[error("the store of group {0} is in use")]
    InUse(B256),
    /// The group has no state here.
    #[error("this node has no state of group {0}")]
    NoState(B256),
    /// Items are not in the order of the block, or not of it.
    #[error("item {index} does not follow {after:?}")]
    OutOfOrder {
        /// Index of the item.
        index: u64,
        /// What is done already, or was given before.
        after: Position,
    },
    /// More items than one block is executed with at once.
    #[error("{got} private items, limit {max}")]
    TooManyItems {
        /// Items given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// The group's state has not come so far.
    #[error("the group has not followed public block {asked} yet: it is at {at:?}")]
    NotReached {
        /// Public block asked for.
        asked: Height,
        /// Where the group is.
        at: Position,
    },
    /// The state at that block is not kept, or was never here.
    #[error("the group's state at public block {asked} is not kept: it begins at {from}")]
    NotKept {
        /// Public block asked for.
        asked: Height,
        /// First public block with a state.
        from: Height,
    },
    /// The imported state is not the one that was promised.
    #[error("the imported state of group {group} has the root {found}, not {expected}")]
    WrongRoot {
        /// The group.
        group: B256,
        /// The promised root.
        expected: B256,
        /// The root of what came.
        found: B256,
    },
    /// Something is no private transaction.
    #[error(transparent)]
    Transaction(#[from] PrivateTransactionError),
    /// A preview was asked of something that would not run.
    #[error("the private transaction would not run: {0}")]
    WouldNotRun(String),
}
