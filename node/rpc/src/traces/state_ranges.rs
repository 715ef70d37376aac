//! `debug_storageRangeAt` and `debug_accountRange`, as geth answers them: the state
//! in the order of its tries, page after page.
//!
//! The store keeps the state by address, so a page sorts all candidates by hash: how
//! many rows it may look at is bounded, and a larger state is read otherwise
//! (`eth_getStorageValues`, `eth_getProof`).

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonrpsee::server::RegisterMethodError;
use medina_storage::StateReader as _;
use medina_types::{Height, StateChanges};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, invalid_params, limit_exceeded, server},
    reading::Position,
    registry::Registry,
};

/// Rows of the store that one page may look at.
const ROWS_MAX: usize = 200_000;
/// Slots of one page, however many are asked for.
const SLOTS_MAX: usize = 1_024;
/// Accounts of one page, as in geth.
const ACCOUNTS_MAX: usize = 256;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.trace("debug_storageRangeAt", storage_range)?;
    registry.trace("debug_accountRange", account_range)
}

/// A page of what is sorted by hash, from a hash on, and where the next one begins.
fn page<T>(
    items: impl Iterator<Item = (B256, T)>,
    start: B256,
    max: usize,
) -> (Vec<(B256, T)>, Option<B256>) {
    let sorted: BTreeMap<B256, T> = items.filter(|(hash, _)| *hash >= start).collect();
    let mut rest = sorted.into_iter();
    let found: Vec<_> = rest.by_ref().take(max).collect();
    let next = rest.next().map(|(hash, _)| hash);
    (found, next)
}

/// Up to 32 bytes from the left, as a place in the trie.
fn place(start: &Bytes) -> Answer<B256> {
    if start.len() > B256::len_bytes() {
        return Err(invalid_params("a start has at most 32 bytes"));
    }
    Ok(B256::right_padding_from(start))
}

fn too_many() -> jsonrpsee::types::ErrorObjectOwned {
    limit_exceeded(format!(
        "more than {ROWS_MAX} rows to sort; ask for known keys with eth_getProof or eth_getStorageValues"
    ))
}

/// Slots of a contract before the transaction with an index of a block.
fn storage_range(context: &Context, arguments: &mut Arguments) -> Answer<Value> {
    let id: BlockId = arguments.required()?;
    let index: usize = arguments.required()?;
    let address: Address = arguments.required()?;
    let start = place(&arguments.required()?)?;
    let max = arguments.required::<usize>()?.min(SLOTS_MAX);
    let block = context.block_to_trace(id)?;
    let Some(parent) = block.block.header().number.checked_sub(1) else {
        return Err(server("no transaction in genesis"));
    };
    let parent = context.state(Position::At(Height(parent)))?;
    let changes = changes_before(context, &block, &parent, index)?;
    let candidates = context.store().slots_ever(address, ROWS_MAX);
    let candidates = candidates.map_err(errors::storage)?.ok_or_else(too_many)?;
    let candidates = candidates
        .into_iter()
        .map(|slot| (keccak256(B256::from(slot)), slot))
        .filter(|(hash, _)| *hash >= start);
    let mut held = Vec::new();
    for (hash, slot) in candidates {
        let value = match changed(&changes, address, slot) {
            Some(value) => value,
            None => parent.slot(address, slot).map_err(errors::storage)?,
        };
        if !value.is_zero() {
            held.push((hash, (slot, value)));
        }
    }
    let (found, next) = page(held.into_iter(), start, max);
    let entry = |(hash, (slot, value)): (B256, (U256, U256))| {
        let entry = json!({ "key": B256::from(slot), "value": B256::from(value) });
        (hash.to_string(), entry)
    };
    let storage: Map<String, Value> = found.into_iter().map(entry).collect();
    Ok(json!({ "storage": storage, "nextKey": next }))
}

/// What a block changes before the transaction with this index.
fn changes_before(
    context: &Context,
    committed: &CommittedBlock,
    parent: &medina_storage::HistoricalState<'_>,
    index: usize,
) -> Answer<StateChanges> {
    let block = &committed.block;
    let count = block.transactions().count();
    if index > 0 && index >= count {
        let hash = block.hash();
        let text = format!("transaction index {index} out of range for block {hash}");
        return Err(server(text));
    }
    let executor = context.node.executor();
    let replay = executor.replay(parent, block.header());
    let mut replay = replay.map_err(fault)?;
    for (transaction, sender) in block.transactions().take(index) {
        replay.execute(transaction, sender).map_err(fault)?;
    }
    replay.changes().map_err(fault)
}

/// What a slot became, if the changes say.
fn changed(changes: &StateChanges, address: Address, slot: U256) -> Option<U256> {
    let change = changes.accounts.get(&address)?;
    match change.storage.get(&slot) {
        Some(changed) => Some(changed.after),
        None => (change.storage_wiped || change.after.is_none()).then_some(U256::ZERO),
    }
}

/// Accounts of the state after a block, with code and storage unless the caller
/// leaves them out.
fn account_range(context: &Context, arguments: &mut Arguments) -> Answer<Value> {
    let id: BlockId = arguments.required()?;
    let start = place(&arguments.optional()?.unwrap_or_default())?;
    let max = arguments.optional::<usize>()?.unwrap_or(ACCOUNTS_MAX);
    let max = if max == 0 {
        ACCOUNTS_MAX
    } else {
        max.min(ACCOUNTS_MAX)
    };
    let without_code = arguments.optional()?.unwrap_or(false);
    let without_storage = arguments.optional()?.unwrap_or(false);
    let position = context.locate_known(id)?;
    let state = context.state(position)?;
    let store = context.store();
    let candidates = store.accounts_ever(ROWS_MAX).map_err(errors::storage)?;
    let mut held = Vec::new();
    for address in candidates.ok_or_else(too_many)? {
        let hash = keccak256(address);
        if hash < start {
            continue;
        }
        if let Some(account) = state.account(address).map_err(errors::storage)? {
            held.push((hash, (address, account)));
        }
    }
    let (found, next) = page(held.into_iter(), start, max);
    let mut rows_left = ROWS_MAX;
    let mut accounts = Map::new();
    for (hash, (address, account)) in found {
        let proof = store.proof_at(state.height(), address, &[]);
        let root = proof.map_err(errors::storage)?.storage_hash;
        let mut entry = json!({
            "balance": account.balance.to_string(),
            "nonce": account.nonce,
            "root": root,
            "codeHash": account.code_hash,
            "address": address,
            "key": hash,
        });
        if !without_code && account.code_hash != KECCAK256_EMPTY {
            let code = state.code(account.code_hash).map_err(errors::storage)?;
            entry["code"] = json!(code.unwrap_or_default());
        }
        if !without_storage && root != EMPTY_ROOT_HASH {
            let slots = store.slots_ever(address, rows_left);
            let slots = slots.map_err(errors::storage)?.ok_or_else(too_many)?;
            rows_left = rows_left.saturating_sub(slots.len());
            let mut storage = Map::new();
            for slot in slots {
                let value = state.slot(address, slot).map_err(errors::storage)?;
                if !value.is_zero() {
                    storage.insert(B256::from(slot).to_string(), json!(format!("{value:x}")));
                }
            }
            entry["storage"] = Value::Object(storage);
        }
        accounts.insert(address.to_string(), entry);
    }
    let header = store.header_by_number(state.height());
    let header = header.map_err(errors::storage)?;
    let root = header.ok_or_else(errors::unknown_block)?.state_root;
    let mut answer = json!({ "root": format!("{root:x}"), "accounts": accounts });
    if let Some(next) = next {
        // A byte list of Go.
        answer["next"] = json!(STANDARD.encode(next));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_in_the_order_of_hashes() {
        let items = || {
            [3, 1, 2]
                .map(|byte| (B256::repeat_byte(byte), byte))
                .into_iter()
        };
        let (first, next) = page(items(), B256::ZERO, 2);
        let bytes: Vec<_> = first.into_iter().map(|(_, byte)| byte).collect();
        assert_eq!((bytes, next), (vec![1, 2], Some(B256::repeat_byte(3))));
        let (last, next) = page(items(), B256::repeat_byte(3), 2);
        assert_eq!((last.len(), next), (1, None));
        assert_eq!(page(items(), B256::ZERO, 0).1, Some(B256::repeat_byte(1)));
    }

    #[test]
    fn starts_are_filled_up_on_the_right() {
        let start = place(&Bytes::from_static(&[0x80])).unwrap();
        assert_eq!(start[0], 0x80);
        assert!(place(&Bytes::from(vec![0; 33])).is_err());
    }
}
