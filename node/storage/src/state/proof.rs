//! `eth_getProof` (EIP-1186) at any kept block.

use super::root::{read_leaf, read_slot, state_of};
use super::trie_tables::StoredNodes;
use crate::StorageError;
use crate::database::View;
use crate::trie::prove;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use medina_types::{AccountState, Height};

/// An account and slots of it, with the trie nodes that prove them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account's address.
    pub address: Address,
    /// The account, `None` if it does not exist.
    pub account: Option<AccountState>,
    /// Root of its storage trie.
    pub storage_hash: B256,
    /// Nodes of the account trie, from the root on.
    pub account_proof: Vec<Bytes>,
    /// One entry per slot asked for, same order.
    pub storage_proofs: Vec<SlotProof>,
}

/// A slot with the nodes that prove its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot.
    pub slot: U256,
    /// Its value, zero where nothing was stored.
    pub value: U256,
    /// Nodes of the storage trie, from the root on.
    pub proof: Vec<Bytes>,
}

/// Proves against the state root of the block at `height`.
pub(crate) fn account_proof(
    view: &View<'_>,
    (height, state_root): (Height, B256),
    address: Address,
    slots: &[U256],
) -> Result<AccountProof, StorageError> {
    let hashed = keccak256(address);
    let accounts = StoredNodes::at(view, None, height)?;
    let proof = prove(&accounts, state_root, &Nibbles::unpack(hashed))?;
    let leaf = read_leaf(&address, proof.value)?;
    let storage_hash = leaf
        .as_ref()
        .map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
    let storage = StoredNodes::at(view, Some(hashed), height)?;
    let prove_slot = |slot: &U256| {
        let key = Nibbles::unpack(keccak256(slot.to_be_bytes::<32>()));
        let proof = prove(&storage, storage_hash, &key)?;
        let value = read_slot(&address, proof.value)?;
        Ok(SlotProof {
            slot: *slot,
            value,
            proof: proof.nodes,
        })
    };
    Ok(AccountProof {
        address,
        account: leaf.as_ref().map(state_of),
        storage_hash,
        account_proof: proof.nodes,
        storage_proofs: slots
            .iter()
            .map(prove_slot)
            .collect::<Result<_, StorageError>>()?,
    })
}
