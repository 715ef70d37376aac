//! The part of a Merkle-Patricia trie that an update touches.
//!
//! Nodes lie in the database under their path. An update reads those on the
//! way to each changed key, and a sibling where a branch loses all children
//! but one; hashes are computed once, at the end, from the leaves up. So an
//! update costs (changed leaves) x (depth), however large the trie is.
//!
//! A node's own path never changes while it exists, except that a leaf or an
//! extension moves up when the branch above it dissolves; then it was read
//! before. So everything that was read and is not there in the end is deleted,
//! and nothing unread can be left over.
//!
//! A node shorter than a hash stands inside its parent (Yellow Paper, appendix
//! D) and has no entry of its own, except for the root.

use super::node::{Body, Node, Slot};
use crate::StorageError;
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A node as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredNode {
    bytes: Arc<[u8]>,
    /// Whether it is known to have the hash that its parent names.
    is_checked: bool,
}

impl StoredNode {
    /// A node from the disk.
    pub(crate) fn unchecked(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self {
            bytes: bytes.into(),
            is_checked: false,
        }
    }

    /// A node that was made or checked in this process.
    pub(crate) const fn checked(bytes: Arc<[u8]>) -> Self {
        Self {
            bytes,
            is_checked: true,
        }
    }

    /// Its RLP.
    pub(crate) const fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Decodes it; what is not checked yet must have the hash that `reference` names.
    pub(crate) fn read(&self, reference: &RlpNode) -> Result<Node, String> {
        if self.is_checked {
            Node::read_checked(&self.bytes, reference)
        } else {
            Node::read(&self.bytes, reference)
        }
    }
}

/// Where nodes are read from.
pub(crate) trait NodeSource {
    /// The stored node at a path.
    fn load(&self, path: &Nibbles) -> Result<Option<StoredNode>, StorageError>;

    /// A node that was loaded proved to be the one that its parent names.
    fn remember(&self, _path: &Nibbles, _node: &Arc<[u8]>) {}

    /// The error for a node that is missing or not what its parent says.
    fn damaged(&self, path: &Nibbles, reason: String) -> StorageError;
}

/// A stored node before and after an update; `None` where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeChange {
    pub(crate) path: Nibbles,
    pub(crate) before: Option<Arc<[u8]>>,
    pub(crate) after: Option<Arc<[u8]>>,
}

/// What an update did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrieUpdate {
    pub(crate) root: B256,
    /// By path, ascending; each differs.
    pub(crate) nodes: Vec<NodeChange>,
}

/// A trie of which only the touched part is in memory.
pub(crate) struct PartialTrie<S> {
    root: Slot,
    nodes: Nodes<S>,
}

impl<S: NodeSource> PartialTrie<S> {
    /// The stored trie with this root.
    pub(crate) fn new(source: S, root: B256) -> Self {
        let root = if root == EMPTY_ROOT_HASH {
            Slot::Empty
        } else {
            Slot::Stub(RlpNode::word_rlp(&root))
        };
        Self {
            root,
            nodes: Nodes {
                source,
                loaded: BTreeMap::new(),
            },
        }
    }

    /// An empty trie in place of a stored one, whose nodes are all given.
    pub(crate) fn emptied(source: S, former: BTreeMap<Nibbles, Arc<[u8]>>) -> Self {
        Self {
            root: Slot::Empty,
            nodes: Nodes {
                source,
                loaded: former,
            },
        }
    }

    /// The value of a key.
    pub(crate) fn get(&mut self, key: &Nibbles) -> Result<Option<Vec<u8>>, StorageError> {
        let (mut slot, mut depth) = (&mut self.root, 0);
        loop {
            self.nodes.resolve(slot, &key.slice(..depth))?;
            let rest = key.slice(depth..);
            let Slot::Loaded(node) = slot else {
                return Ok(None);
            };
            match &mut node.body {
                Body::Leaf { rest: own, value } => {
                    return Ok((*own == rest).then(|| value.clone()));
                }
                Body::Extension { segment, child } => {
                    if !rest.starts_with(segment) {
                        return Ok(None);
                    }
                    depth += segment.len();
                    slot = child;
                }
                Body::Branch(children) => {
                    let Some(nibble) = rest.first() else {
                        return Ok(None);
                    };
                    depth += 1;
                    slot = &mut children[usize::from(nibble)];
                }
            }
        }
    }

    /// Sets a key; keys of one trie have one length. Returns the former value.
    pub(crate) fn insert(
        &mut self,
        key: &Nibbles,
        value: &[u8],
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let root = std::mem::take(&mut self.root);
        let (root, former) = self.nodes.insert(root, 0, key, value)?;
        self.root = root;
        Ok(former)
    }

    /// Removes a key and returns its value.
    pub(crate) fn remove(&mut self, key: &Nibbles) -> Result<Option<Vec<u8>>, StorageError> {
        let root = std::mem::take(&mut self.root);
        let (root, former) = self.nodes.remove(root, 0, key)?;
        self.root = root;
        Ok(former)
    }

    /// Computes the root and what has to be written and deleted.
    pub(crate) fn finish(self) -> TrieUpdate {
        let mut hashing = Hashing::default();
        let root = match hashing.reference(&self.root, Nibbles::new()) {
            None => EMPTY_ROOT_HASH,
            Some(reference) => reference.as_hash().unwrap_or_else(|| keccak256(&reference)),
        };
        let mut loaded = self.nodes.loaded;
        let mut nodes = Vec::new();
        for (path, after) in hashing.written {
            let before = loaded.remove(&path);
            if before.as_ref() != Some(&after) {
                nodes.push(NodeChange {
                    path,
                    before,
                    after: Some(after),
                });
            }
        }
        loaded.retain(|path, _| !hashing.kept.contains(path));
        nodes.extend(loaded.into_iter().map(|(path, before)| NodeChange {
            path,
            before: Some(before),
            after: None,
        }));
        nodes.sort_unstable_by_key(|change| change.path);
        TrieUpdate { root, nodes }
    }
}

/// Reads nodes and remembers them as they were.
struct Nodes<S> {
    source: S,
    loaded: BTreeMap<Nibbles, Arc<[u8]>>,
}

/// A subtree after an operation, and the key's former value. Without a former
/// value a removal changed nothing; with the same one, neither did an insertion.
type Outcome = (Slot, Option<Vec<u8>>);

impl<S: NodeSource> Nodes<S> {
    fn resolve(&mut self, slot: &mut Slot, path: &Nibbles) -> Result<(), StorageError> {
        if let Slot::Stub(reference) = slot {
            let stored = self
                .source
                .load(path)?
                .ok_or_else(|| self.source.damaged(path, "the node is missing".into()))?;
            let node = stored
                .read(reference)
                .map_err(|reason| self.source.damaged(path, reason))?;
            if !stored.is_checked {
                self.source.remember(path, &stored.bytes);
            }
            self.loaded.insert(*path, stored.bytes);
            *slot = Slot::Loaded(Box::new(node));
        }
        Ok(())
    }

    fn key_is_prefix(&self, key: &Nibbles) -> StorageError {
        self.source
            .damaged(key, "one key is the beginning of another".into())
    }

    fn insert(
        &mut self,
        mut slot: Slot,
        depth: usize,
        key: &Nibbles,
        value: &[u8],
    ) -> Result<Outcome, StorageError> {
        self.resolve(&mut slot, &key.slice(..depth))?;
        let rest = key.slice(depth..);
        let Slot::Loaded(mut node) = slot else {
            return Ok((
                Slot::changed(Body::Leaf {
                    rest,
                    value: value.to_vec(),
                }),
                None,
            ));
        };
        let former = match &mut node.body {
            Body::Leaf {
                rest: own,
                value: current,
            } if *own == rest => Some(std::mem::replace(current, value.to_vec())),
            Body::Leaf {
                rest: own,
                value: current,
            } => {
                let old = (*own, |rest| {
                    Slot::changed(Body::Leaf {
                        rest,
                        value: std::mem::take(current),
                    })
                });
                return Ok((self.fork(key, old, (rest, value))?, None));
            }
            Body::Extension { segment, child } if rest.starts_with(segment) => {
                let below = depth + segment.len();
                let (after, former) = self.insert(std::mem::take(child), below, key, value)?;
                *child = after;
                former
            }
            Body::Extension { segment, child } => {
                let old = (*segment, |rest| prefixed(rest, std::mem::take(child)));
                return Ok((self.fork(key, old, (rest, value))?, None));
            }
            Body::Branch(children) => {
                let nibble = rest.first().ok_or_else(|| self.key_is_prefix(key))?;
                let child = &mut children[usize::from(nibble)];
                let (after, former) = self.insert(std::mem::take(child), depth + 1, key, value)?;
                *child = after;
                former
            }
        };
        if former.as_deref() != Some(value) {
            node.reference = None;
        }
        Ok((Slot::Loaded(node), former))
    }

    /// A branch where an old path and a new leaf part ways, below an extension
    /// over what they share.
    fn fork(
        &self,
        key: &Nibbles,
        (old_path, old): (Nibbles, impl FnOnce(Nibbles) -> Slot),
        (new_path, value): (Nibbles, &[u8]),
    ) -> Result<Slot, StorageError> {
        let shared = old_path.common_prefix_length(&new_path);
        let (Some(old_nibble), Some(new_nibble)) = (old_path.get(shared), new_path.get(shared))
        else {
            return Err(self.key_is_prefix(key));
        };
        let mut children = Box::new([const { Slot::Empty }; 16]);
        children[usize::from(old_nibble)] = old(old_path.slice(shared + 1..));
        let leaf = Body::Leaf {
            rest: new_path.slice(shared + 1..),
            value: value.to_vec(),
        };
        children[usize::from(new_nibble)] = Slot::changed(leaf);
        Ok(prefixed(
            new_path.slice(..shared),
            Slot::changed(Body::Branch(children)),
        ))
    }

    fn remove(
        &mut self,
        mut slot: Slot,
        depth: usize,
        key: &Nibbles,
    ) -> Result<Outcome, StorageError> {
        self.resolve(&mut slot, &key.slice(..depth))?;
        let rest = key.slice(depth..);
        let Slot::Loaded(mut node) = slot else {
            return Ok((slot, None));
        };
        match &mut node.body {
            Body::Leaf { rest: own, value } if *own == rest => {
                Ok((Slot::Empty, Some(std::mem::take(value))))
            }
            Body::Extension { segment, child } if rest.starts_with(segment) => {
                let below = depth + segment.len();
                let (after, former) = self.remove(std::mem::take(child), below, key)?;
                if former.is_none() {
                    *child = after;
                    return Ok((Slot::Loaded(node), None));
                }
                Ok((self.merge(*segment, after, &key.slice(..below))?, former))
            }
            Body::Branch(children) if !rest.is_empty() => {
                let child = &mut children[usize::from(rest.get_unchecked(0))];
                let (after, former) = self.remove(std::mem::take(child), depth + 1, key)?;
                let emptied = after.is_empty();
                *child = after;
                if former.is_none() {
                    return Ok((Slot::Loaded(node), None));
                }
                if emptied && let Some(nibble) = only_child(children) {
                    let child = std::mem::take(&mut children[usize::from(nibble)]);
                    let segment = Nibbles::from_nibbles([nibble]);
                    let path = key.slice(..depth).join(&segment);
                    return Ok((self.merge(segment, child, &path)?, former));
                }
                node.reference = None;
                Ok((Slot::Loaded(node), former))
            }
            Body::Leaf { .. } | Body::Extension { .. } | Body::Branch(_) => {
                Ok((Slot::Loaded(node), None))
            }
        }
    }

    /// Puts nibbles above a subtree at `path`: leaves and extensions take them
    /// up, a branch gets an extension above it.
    fn merge(
        &mut self,
        segment: Nibbles,
        mut slot: Slot,
        path: &Nibbles,
    ) -> Result<Slot, StorageError> {
        self.resolve(&mut slot, path)?;
        let Slot::Loaded(mut node) = slot else {
            return Ok(Slot::Empty);
        };
        match &mut node.body {
            Body::Leaf { rest: own, .. } | Body::Extension { segment: own, .. } => {
                *own = segment.join(own);
                node.reference = None;
                Ok(Slot::Loaded(node))
            }
            Body::Branch(_) => Ok(prefixed(segment, Slot::Loaded(node))),
        }
    }
}

/// A subtree below an extension, or itself where there is nothing to extend over.
fn prefixed(segment: Nibbles, child: Slot) -> Slot {
    if segment.is_empty() {
        child
    } else {
        Slot::changed(Body::Extension { segment, child })
    }
}

fn only_child(children: &[Slot; 16]) -> Option<u8> {
    let mut present = (0..16_u8).filter(|&nibble| !children[usize::from(nibble)].is_empty());
    let first = present.next()?;
    present.next().is_none().then_some(first)
}

/// Hashes from the leaves up, once per changed node.
#[derive(Default)]
struct Hashing {
    /// Changed nodes that have an entry of their own.
    written: BTreeMap<Nibbles, Arc<[u8]>>,
    /// Unchanged nodes that were read and stay.
    kept: BTreeSet<Nibbles>,
}

impl Hashing {
    fn reference(&mut self, slot: &Slot, path: Nibbles) -> Option<RlpNode> {
        let node = match slot {
            Slot::Empty => return None,
            Slot::Stub(reference) => return Some(reference.clone()),
            Slot::Loaded(node) => node,
        };
        let children = self.children(&node.body, &path);
        if let Some(reference) = &node.reference {
            if reference.is_hash() {
                self.kept.insert(path);
            }
            return Some(reference.clone());
        }
        let bytes = node.body.encode(&children);
        let reference = RlpNode::from_rlp(&bytes);
        if reference.is_hash() || path.is_empty() {
            self.written.insert(path, bytes.into());
        }
        Some(reference)
    }

    fn children(&mut self, body: &Body, path: &Nibbles) -> Vec<Option<RlpNode>> {
        match body {
            Body::Leaf { .. } => Vec::new(),
            Body::Extension { segment, child } => {
                vec![self.reference(child, path.join(segment))]
            }
            Body::Branch(children) => (0..)
                .zip(children.iter())
                .map(|(nibble, child)| {
                    let mut path = *path;
                    path.push(nibble);
                    self.reference(child, path)
                })
                .collect(),
        }
    }
}
