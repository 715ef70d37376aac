//! The state root after a block, from what the block changed.
//!
//! The way to each changed leaf passes the value it had, which is compared with
//! what execution says it was: a block executed on another state ends here.

use super::trie_tables::StoredNodes;
use crate::StorageError;
use crate::database::View;
use crate::trie::{NodeChange, PartialTrie, TrieUpdate};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use medina_types::{AccountChange, AccountState, Height, StateChanges};
use std::collections::BTreeMap;

/// A state root and the trie nodes that lead to it; goes back into the commit
/// of the block that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRootUpdate {
    /// The state root.
    pub root: B256,
    /// Head on which it was computed; the commit must find the same.
    pub(crate) base: B256,
    pub(crate) account_nodes: Vec<NodeChange>,
    /// By keccak(address).
    pub(crate) storage_nodes: BTreeMap<B256, Vec<NodeChange>>,
}

/// Computes the root after `changes` on top of the state with root `former`,
/// which is that of block `base`.
pub(crate) fn compute_root(
    view: &View<'_>,
    base: B256,
    former: B256,
    changes: &StateChanges,
) -> Result<StateRootUpdate, StorageError> {
    let by_hash: BTreeMap<B256, _> = changes
        .accounts
        .iter()
        .map(|entry| (keccak256(entry.0), entry))
        .collect();
    let mut accounts = PartialTrie::new(StoredNodes::current(view, None), former);
    let mut storage_nodes = BTreeMap::new();
    let mut removed = Vec::new();
    for (hashed, (address, change)) in by_hash {
        let key = Nibbles::unpack(hashed);
        let account = read_leaf(address, accounts.get(&key)?)?;
        check_before(address, account.as_ref(), change)?;
        let former = account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
        let storage = storage_update(view, (address, hashed), former, change)?;
        match &change.after {
            Some(after) => {
                accounts.insert(&key, &leaf(after, storage.root))?;
            }
            // Removals come last: fewer branches dissolve only to grow again.
            None => removed.push(key),
        }
        if !storage.nodes.is_empty() {
            storage_nodes.insert(hashed, storage.nodes);
        }
    }
    for key in removed {
        accounts.remove(&key)?;
    }
    let TrieUpdate { root, nodes } = accounts.finish();
    Ok(StateRootUpdate {
        root,
        base,
        account_nodes: nodes,
        storage_nodes,
    })
}

/// The root after `changes` on top of the state after an old block, which has
/// root `former`. Nothing can be committed there, so the nodes are not answered.
pub(crate) fn root_on_old_state(
    view: &View<'_>,
    (height, former): (Height, B256),
    changes: &StateChanges,
) -> Result<B256, StorageError> {
    let mut accounts = PartialTrie::new(StoredNodes::at(view, None, height)?, former);
    let mut removed = Vec::new();
    for (address, change) in &changes.accounts {
        let hashed = keccak256(address);
        let key = Nibbles::unpack(hashed);
        let account = read_leaf(address, accounts.get(&key)?)?;
        check_before(address, account.as_ref(), change)?;
        let Some(after) = &change.after else {
            removed.push(key);
            continue;
        };
        let source = StoredNodes::at(view, Some(hashed), height)?;
        let storage_root = match account {
            Some(account) if !change.storage_wiped => account.storage_root,
            _ => EMPTY_ROOT_HASH,
        };
        let mut storage = PartialTrie::new(source, storage_root);
        apply_slots(&mut storage, address, change, change.storage_wiped)?;
        accounts.insert(&key, &leaf(after, storage.finish().root))?;
    }
    for key in removed {
        accounts.remove(&key)?;
    }
    Ok(accounts.finish().root)
}

fn leaf(account: &AccountState, storage_root: B256) -> Vec<u8> {
    let (nonce, balance) = (account.nonce, account.balance);
    alloy_rlp::encode(TrieAccount::new(
        nonce,
        balance,
        storage_root,
        account.code_hash,
    ))
}

/// An account as its leaf in the trie says.
pub(crate) fn read_leaf(
    address: &Address,
    leaf: Option<Vec<u8>>,
) -> Result<Option<TrieAccount>, StorageError> {
    let decoded = leaf
        .map(|leaf| TrieAccount::decode(&mut &leaf[..]))
        .transpose();
    decoded.map_err(|error| damaged(address, &error.to_string()))
}

fn damaged(address: &Address, reason: &str) -> StorageError {
    crate::database::corrupt(
        crate::schema::Table::AccountTrie,
        address.as_slice(),
        reason,
    )
}

pub(crate) fn state_of(account: &TrieAccount) -> AccountState {
    AccountState {
        nonce: account.nonce,
        balance: account.balance,
        code_hash: account.code_hash,
    }
}

fn check_before(
    address: &Address,
    stored: Option<&TrieAccount>,
    change: &AccountChange,
) -> Result<(), StorageError> {
    let stored = stored.map(state_of);
    if stored == change.before {
        return Ok(());
    }
    let what = format!("it is {stored:?}, the changes say {:?}", change.before);
    Err(StorageError::ChangesOffState {
        address: *address,
        what,
    })
}

fn storage_update(
    view: &View<'_>,
    (address, hashed): (&Address, B256),
    former: B256,
    change: &AccountChange,
) -> Result<TrieUpdate, StorageError> {
    let source = StoredNodes::current(view, Some(hashed));
    let is_wiped = change.storage_wiped || change.after.is_none();
    let mut trie = match former {
        EMPTY_ROOT_HASH => PartialTrie::new(source, EMPTY_ROOT_HASH),
        _ if is_wiped => PartialTrie::emptied(source, StoredNodes::all_of(view, &hashed)?),
        _ if change.storage.is_empty() => {
            return Ok(TrieUpdate {
                root: former,
                nodes: Vec::new(),
            });
        }
        _ => PartialTrie::new(source, former),
    };
    if change.after.is_some() {
        apply_slots(&mut trie, address, change, is_wiped)?;
    }
    Ok(trie.finish())
}

fn apply_slots(
    trie: &mut PartialTrie<StoredNodes<'_>>,
    address: &Address,
    change: &AccountChange,
    is_wiped: bool,
) -> Result<(), StorageError> {
    let (removed, set): (Vec<_>, Vec<_>) = change
        .storage
        .iter()
        .partition(|(_, slot)| slot.after.is_zero());
    for (slot, values) in set.into_iter().chain(removed) {
        let key = Nibbles::unpack(keccak256(slot.to_be_bytes::<32>()));
        let former = if values.after.is_zero() {
            trie.remove(&key)?
        } else {
            trie.insert(&key, &alloy_rlp::encode(values.after))?
        };
        let former = read_slot(address, former)?;
        if !is_wiped && former != values.before {
            let before = values.before;
            let what = format!("slot {slot} is {former}, the changes say {before}");
            return Err(StorageError::ChangesOffState {
                address: *address,
                what,
            });
        }
    }
    Ok(())
}

/// A slot as its leaf in the trie says.
pub(crate) fn read_slot(address: &Address, leaf: Option<Vec<u8>>) -> Result<U256, StorageError> {
    let decoded = leaf.map(|leaf| U256::decode(&mut &leaf[..])).transpose();
    Ok(decoded
        .map_err(|error| damaged(address, &error.to_string()))?
        .unwrap_or_default())
}
