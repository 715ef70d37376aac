//! A trie node in memory: children may be present, or known by reference only.

use alloy_primitives::keccak256;
use alloy_rlp::{Decodable, EMPTY_STRING_CODE, Encodable};
use alloy_trie::{
    Nibbles, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode},
};

/// First byte of the RLP string that refers to a node by its hash.
const HASH_REFERENCE: u8 = EMPTY_STRING_CODE + 32;
/// First byte of any RLP list: a node shorter than a hash stands in its parent.
const LIST: u8 = 0xc0;

/// Where a node may be.
#[derive(Debug, Default)]
pub(crate) enum Slot {
    /// No node.
    #[default]
    Empty,
    /// A node that was not read yet, by its hash.
    Stub(RlpNode),
    /// A node.
    Loaded(Box<Node>),
}

/// A node, and how its parent refers to it while it is unchanged.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) body: Body,
    /// `None` once anything at or below the node has changed.
    pub(crate) reference: Option<RlpNode>,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Body {
    /// The end of a key with its value.
    Leaf { rest: Nibbles, value: Vec<u8> },
    /// Nibbles that all keys below share.
    Extension { segment: Nibbles, child: Slot },
    /// One child per next nibble; at least two of them.
    Branch(Box<[Slot; 16]>),
}

impl Slot {
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// A node that was just made or changed.
    pub(crate) fn changed(body: Body) -> Self {
        Self::Loaded(Box::new(Node {
            body,
            reference: None,
        }))
    }

    fn decode(reference: &RlpNode) -> Result<Self, String> {
        match (reference.len(), reference.first()) {
            (33, Some(&HASH_REFERENCE)) => Ok(Self::Stub(reference.clone())),
            (..=31, Some(LIST..)) => {
                let body = Body::decode(reference)?;
                Ok(Self::Loaded(Box::new(Node {
                    body,
                    reference: Some(reference.clone()),
                })))
            }
            _ => Err(format!("child reference of {} bytes", reference.len())),
        }
    }
}

impl Node {
    /// Decodes a stored node and checks that it is the one referred to.
    pub(crate) fn read(bytes: &[u8], reference: &RlpNode) -> Result<Self, String> {
        let found = RlpNode::word_rlp(&keccak256(bytes));
        if found != *reference {
            return Err(format!("its hash is not the expected {reference:?}"));
        }
        Ok(Self {
            body: Body::decode(bytes)?,
            reference: Some(found),
        })
    }

    /// Decodes a node whose hash is known to be the one referred to.
    pub(crate) fn read_checked(bytes: &[u8], reference: &RlpNode) -> Result<Self, String> {
        Ok(Self {
            body: Body::decode(bytes)?,
            reference: Some(reference.clone()),
        })
    }
}

impl Body {
    fn decode(mut bytes: &[u8]) -> Result<Self, String> {
        let node = TrieNode::decode(&mut bytes).map_err(|error| error.to_string())?;
        if !bytes.is_empty() {
            return Err(format!("{} bytes behind the node", bytes.len()));
        }
        match node {
            TrieNode::EmptyRoot => Err("an empty node is never stored".into()),
            TrieNode::Leaf(leaf) => Ok(Self::Leaf {
                rest: leaf.key,
                value: leaf.value,
            }),
            TrieNode::Extension(extension) if extension.key.is_empty() => {
                Err("an extension over no nibble".into())
            }
            TrieNode::Extension(extension) => Ok(Self::Extension {
                segment: extension.key,
                child: Slot::decode(&extension.child)?,
            }),
            TrieNode::Branch(branch) => {
                let mut children = Box::new([const { Slot::Empty }; 16]);
                for (nibble, child) in branch.as_ref().children() {
                    if let Some(child) = child {
                        children[usize::from(nibble)] = Slot::decode(child)?;
                    }
                }
                Ok(Self::Branch(children))
            }
        }
    }

    /// RLP of the node, given its children's references in order (`None` where
    /// there is no child).
    pub(crate) fn encode(&self, children: &[Option<RlpNode>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Leaf { rest, value } => LeafNodeRef::new(rest, value).encode(&mut bytes),
            Self::Extension { segment, .. } => {
                let child = children
                    .iter()
                    .flatten()
                    .next()
                    .cloned()
                    .unwrap_or_default();
                ExtensionNodeRef::new(segment, &child).encode(&mut bytes);
            }
            Self::Branch(_) => {
                let mut mask = 0_u16;
                for (index, _) in children
                    .iter()
                    .enumerate()
                    .filter(|(_, child)| child.is_some())
                {
                    mask |= 1 << index;
                }
                let stack: Vec<_> = children.iter().flatten().cloned().collect();
                BranchNodeRef::new(&stack, TrieMask::new(mask)).encode(&mut bytes);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoder_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Body::decode(&bytes);
            let mut list = vec![0xc0 + u8::try_from(bytes.len().min(55)).unwrap()];
            list.extend(bytes.iter().take(55));
            let _ = Body::decode(&list);
        }
    }
}
