//! What can go wrong in the store, one variant per thing one can do about it.

use alloy_primitives::{Address, B256};
use medina_types::Height;
use std::path::PathBuf;

/// Why the store refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The folder holds something that Medina did not write.
    #[error("{} is no Medina database ({reason}); choose an empty folder", path.display())]
    Foreign {
        /// Folder that was opened.
        path: PathBuf,
        /// What was found there.
        reason: String,
    },
    /// Written by a later version of this program.
    #[error(
        "the database in {} has schema {found}, this program knows schema {supported}; use the newer program",
        path.display()
    )]
    NewerSchema {
        /// Folder that was opened.
        path: PathBuf,
        /// Schema version found.
        found: u32,
        /// Schema version of this program.
        supported: u32,
    },
    /// Written by an earlier version whose data this one cannot read.
    #[error(
        "the database in {} has schema {found}, this program needs schema {supported}; sync into a new folder",
        path.display()
    )]
    OlderSchema {
        /// Folder that was opened.
        path: PathBuf,
        /// Schema version found.
        found: u32,
        /// Schema version of this program.
        supported: u32,
    },
    /// Another process, or another handle of this one, has it open.
    #[error("the database in {} is in use by another process; stop that node first", path.display())]
    Locked {
        /// Folder that was opened.
        path: PathBuf,
    },
    /// Files are missing, cut short or unreadable.
    #[error("the database in {} cannot be opened: {reason}", path.display())]
    Unreadable {
        /// Folder that was opened.
        path: PathBuf,
        /// What RocksDB or the operating system says.
        reason: String,
    },
    /// The data belongs to another chain.
    #[error(
        "the database belongs to genesis {found}, the chain spec is genesis {expected}; check genesis file and data folder"
    )]
    WrongGenesis {
        /// Hash of the chain spec's genesis block.
        expected: B256,
        /// Hash of the genesis block in the database.
        found: B256,
    },
    /// No genesis block was written yet.
    #[error("the database is empty: the genesis block comes first")]
    NotInitialized,
    /// The state after a block is not the one its header promises.
    #[error("block {height}: the header's state root is {expected}, execution gives {computed}")]
    StateRootMismatch {
        /// Height of the block.
        height: Height,
        /// State root of the header.
        expected: B256,
        /// State root of the changes.
        computed: B256,
    },
    /// The block, or the root computed for it, does not extend the head.
    #[error("block {height} extends {parent}, but the head is block {head_height} {head}")]
    NotOnHead {
        /// Height of the block offered.
        height: Height,
        /// Its parent.
        parent: B256,
        /// Height of our head.
        head_height: Height,
        /// Hash of our head.
        head: B256,
    },
    /// Changes name a value "before" that is not in the state: they were
    /// computed on another state.
    #[error("changes of account {address} start from another state: {what}")]
    ChangesOffState {
        /// Account concerned.
        address: Address,
        /// The two values that disagree.
        what: String,
    },
    /// Receipts and transactions of a block differ in number.
    #[error("block {height} has {transactions} transactions and {receipts} receipts")]
    ReceiptCount {
        /// Height of the block.
        height: Height,
        /// Transactions in it.
        transactions: usize,
        /// Receipts given.
        receipts: usize,
    },
    /// No such block yet.
    #[error("block {asked} is unknown, the head is block {head}")]
    UnknownHeight {
        /// Height asked for.
        asked: Height,
        /// Height of the head.
        head: Height,
    },
    /// The state after that block was pruned.
    #[error(
        "historical state of block {asked} is not available: this node keeps states from block {from} on"
    )]
    StatePruned {
        /// Height asked for.
        asked: Height,
        /// First block whose state is kept.
        from: Height,
    },
    /// Body and receipts of that block were pruned.
    #[error(
        "pruned history unavailable: block {asked} was pruned, this node keeps blocks from {from} on"
    )]
    BlockPruned {
        /// Height asked for.
        asked: Height,
        /// First block whose body is kept.
        from: Height,
    },
    /// Something stored does not read back as what it must be.
    #[error("corrupt database: {table} {key}: {reason}")]
    Corrupt {
        /// Column family.
        table: &'static str,
        /// Key concerned, hexadecimal.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// Notes are kept in stores of private groups alone.
    #[error("this store keeps no notes: it is no private group's")]
    NoNotes,
    /// A snapshot's chunk names a code that its account does not have.
    #[error("account {address} has the code {expected}, the snapshot brings {found}")]
    SnapshotCode {
        /// Account concerned.
        address: Address,
        /// Hash of the account's code.
        expected: B256,
        /// Hash of what was brought.
        found: B256,
    },
    /// A snapshot's chunk does not follow the one before, or is no chunk.
    #[error("malformed snapshot: {0}")]
    MalformedSnapshot(String),
    /// The target of a checkpoint exists already.
    #[error("checkpoint target {} exists already; choose a new folder", path.display())]
    CheckpointExists {
        /// Folder that was given.
        path: PathBuf,
    },
    /// Reading or writing failed: disk full, permission, hardware.
    #[error("database: {0}")]
    Database(String),
}

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Database(error.to_string())
    }
}
