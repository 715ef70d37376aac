//! The state: reading it at the head and at old blocks, its root, its proofs.

mod proof;
mod reader;
mod root;
mod trie_tables;

pub use proof::{AccountProof, SlotProof};
pub use reader::{HistoricalState, LatestState, StateReader};
pub use root::StateRootUpdate;

pub(crate) use proof::account_proof;
pub(crate) use root::{compute_root, root_on_old_state};
pub(crate) use trie_tables::tables_of;
