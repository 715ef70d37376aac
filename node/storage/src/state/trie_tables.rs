//! Trie nodes in the database, as they are now or as they were after a block.

use crate::database::{View, corrupt};
use crate::schema::Table;
use crate::trie::{NodeSource, StoredNode};
use crate::{StorageError, keys};
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use medina_types::Height;
use std::{collections::BTreeMap, sync::Arc};

/// Stored nodes of one trie.
#[derive(Clone, Copy)]
pub(crate) struct StoredNodes<'a> {
    view: &'a View<'a>,
    /// keccak(address) for a storage trie, `None` for the account trie.
    owner: Option<B256>,
    /// Block after which the nodes are wanted, `None` for the current ones.
    at: Option<Height>,
}

impl<'a> StoredNodes<'a> {
    pub(crate) const fn current(view: &'a View<'a>, owner: Option<B256>) -> Self {
        Self {
            view,
            owner,
            at: None,
        }
    }

    /// Nodes after a block that others may have followed.
    pub(crate) fn at(
        view: &'a View<'a>,
        owner: Option<B256>,
        height: Height,
    ) -> Result<Self, StorageError> {
        let is_head = view.head_height()? == height;
        let at = (!is_head).then_some(height);
        Ok(Self { view, owner, at })
    }

    /// All current nodes of a storage trie.
    pub(crate) fn all_of(
        view: &View<'_>,
        owner: &B256,
    ) -> Result<BTreeMap<Nibbles, Arc<[u8]>>, StorageError> {
        let table = Table::StorageTrie;
        view.scan(table, owner.as_slice())
            .map(|entry| {
                let (key, node) = entry?;
                let path =
                    keys::path_of(&key).ok_or_else(|| corrupt(table, &key, "no trie path"))?;
                Ok((path, node.into()))
            })
            .collect()
    }
}

/// Tables of a trie: current nodes and overwritten ones.
pub(crate) const fn tables_of(owner: Option<&B256>) -> (Table, Table) {
    match owner {
        None => (Table::AccountTrie, Table::AccountTrieHistory),
        Some(_) => (Table::StorageTrie, Table::StorageTrieHistory),
    }
}

impl NodeSource for StoredNodes<'_> {
    fn load(&self, path: &Nibbles) -> Result<Option<StoredNode>, StorageError> {
        let (current, history) = tables_of(self.owner.as_ref());
        let key = keys::path(self.owner.as_ref(), path);
        if let Some(height) = self.at
            && let Some(before) = self.view.overwritten(history, &key, height)?
        {
            return Ok((!before.is_empty()).then(|| StoredNode::unchecked(before)));
        }
        // In memory are only nodes that we made or checked ourselves.
        if let Some(row) = self.view.row_in_memory(current, &key) {
            return Ok(row.map(StoredNode::checked));
        }
        let node = self.view.get(current, &key)?;
        Ok(node.map(|node| StoredNode::unchecked(&*node)))
    }

    fn remember(&self, path: &Nibbles, node: &Arc<[u8]>) {
        // Of an old block it may not be the current node.
        if self.at.is_none() {
            let (current, _) = tables_of(self.owner.as_ref());
            let key = keys::path(self.owner.as_ref(), path);
            let row = || Some(Arc::clone(node));
            self.view.remember(current, &key, row);
        }
    }

    fn damaged(&self, path: &Nibbles, reason: String) -> StorageError {
        corrupt(
            tables_of(self.owner.as_ref()).0,
            &keys::path(self.owner.as_ref(), path),
            reason,
        )
    }
}
