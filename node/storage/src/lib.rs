//! Keeps blocks, state and the consensus record, one atomic batch per block.
//!
//! ```text
//! execution -- StateChanges --> state_root_after --> StateRootUpdate
//!                                                        |
//! consensus -- Certificate --> commit(BlockCommit) <-----+
//!                                  |  one RocksDB write batch
//!                                  v
//!  headers bodies receipts indices certificates contexts   (append only)
//!  accounts slots code                                     (latest, flat)
//!  account trie, storage tries                             (latest, by path)
//!  history of all four                                     (what was overwritten)
//!  consensus record                                     notes of a private group
//! ```
//!
//! Execution reads the flat tables and never a trie; the trie is only read to
//! be updated and to prove. Old blocks are answered from the history with one
//! seek per value or node. Every column family is on one page in `schema.rs`.
//!
//! All bytes from the disk are decoded with a check: damage is an error that
//! names table and key, never a panic. RocksDB's own checksums cover every
//! block and log record, and each trie node is compared with its hash.

mod account_changes;
mod blocks;
mod commit;
mod database;
mod encoding;
mod error;
mod head_rows;
mod keys;
mod notes;
mod pruning;
mod rollback;
mod schema;
mod senders;
mod snapshot;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod touched;
mod trie;

pub use blocks::EncodedBlock;
pub use commit::{BlockCommit, GenesisState, Senders, SyncMode};
pub use error::StorageError;
pub use notes::Note;
pub use pruning::{Kept, Swept};
pub use senders::SignatureCheck;
pub use snapshot::{SnapshotAccount, SnapshotChunk, SnapshotCursor};
pub use state::{
    AccountProof, HistoricalState, LatestState, SlotProof, StateReader, StateRootUpdate,
};
pub use store::{Head, OpenOptions, SharedCache, Store, StoreSize};
