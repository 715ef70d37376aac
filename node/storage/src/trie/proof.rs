//! The nodes that prove a key's value, or that it has none.

use super::node::{Body, Slot};
use super::partial::NodeSource;
use crate::StorageError;
use alloy_primitives::{B256, Bytes};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};

/// Nodes from the root on, and the value at the key.
pub(crate) struct KeyProof {
    pub(crate) nodes: Vec<Bytes>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Walks from the root of a stored trie towards a key. Nodes that stand inside
/// their parent are no nodes of the proof (EIP-1186).
pub(crate) fn prove(
    source: &impl NodeSource,
    root: B256,
    key: &Nibbles,
) -> Result<KeyProof, StorageError> {
    let mut nodes = Vec::new();
    if root == EMPTY_ROOT_HASH {
        return Ok(KeyProof { nodes, value: None });
    }
    let (mut slot, mut depth) = (Slot::Stub(RlpNode::word_rlp(&root)), 0);
    loop {
        let body = match slot {
            Slot::Empty => return Ok(KeyProof { nodes, value: None }),
            Slot::Loaded(node) => node.body,
            Slot::Stub(reference) => {
                let path = key.slice(..depth);
                let stored = source
                    .load(&path)?
                    .ok_or_else(|| source.damaged(&path, "the node is missing".into()))?;
                let node = stored
                    .read(&reference)
                    .map_err(|reason| source.damaged(&path, reason))?;
                nodes.push(Bytes::copy_from_slice(stored.bytes()));
                node.body
            }
        };
        let rest = key.slice(depth..);
        slot = match body {
            Body::Leaf { rest: own, value } => {
                return Ok(KeyProof {
                    nodes,
                    value: (own == rest).then_some(value),
                });
            }
            Body::Extension { segment, child } if rest.starts_with(&segment) => {
                depth += segment.len();
                child
            }
            Body::Extension { .. } => Slot::Empty,
            Body::Branch(mut children) => match rest.first() {
                Some(nibble) => {
                    depth += 1;
                    std::mem::take(&mut children[usize::from(nibble)])
                }
                None => Slot::Empty,
            },
        };
    }
}
