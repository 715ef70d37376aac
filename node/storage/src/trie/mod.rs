//! Merkle-Patricia tries whose nodes are stored under their path: updated from
//! changes alone, proved at any kept block. Pure: nodes come from a
//! [`NodeSource`].

mod node;
mod partial;
mod proof;
#[cfg(test)]
mod tests;

pub(crate) use partial::{NodeChange, NodeSource, PartialTrie, StoredNode, TrieUpdate};
pub(crate) use proof::prove;
