//! `eth_getBalance` and its kin: accounts at any block.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;
use jsonrpsee::server::RegisterMethodError;
use medina_storage::StateReader as _;
use medina_types::{AccountState, limits};
use std::collections::BTreeMap;

use crate::{
    arguments::Arguments,
    context::Context,
    convert,
    errors::{self, Answer, invalid_params, limit_exceeded, simulation},
    reading::Position,
    registry::Registry,
    storage_key::StorageKey,
};

/// execution-apis' code for a bound that a client sets.
const CLIENT_LIMIT: i32 = -38026;

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("eth_getBalance", balance)?;
    registry.read("eth_getTransactionCount", transaction_count)?;
    registry.read("eth_getCode", code)?;
    registry.read("eth_getStorageAt", storage_at)?;
    registry.read("eth_getStorageValues", storage_values)?;
    registry.read("eth_getProof", proof)
}

fn account(context: &Context, address: Address, id: Option<BlockId>) -> Answer<AccountState> {
    let account = context
        .state_of(id)?
        .account(address)
        .map_err(errors::storage)?;
    Ok(account.unwrap_or_default())
}

fn balance(context: &Context, arguments: &mut Arguments) -> Answer<U256> {
    let address = arguments.required()?;
    Ok(account(context, address, arguments.optional()?)?.balance)
}

/// `pending` counts what waits in the pool, so that a wallet can send again
/// before its last transaction is in a block.
fn transaction_count(context: &Context, arguments: &mut Arguments) -> Answer<U64> {
    let address = arguments.required()?;
    let id: Option<BlockId> = arguments.optional()?;
    let nonce = account(context, address, id)?.nonce;
    if id.is_some_and(|id| id.is_pending()) {
        let waiting = context.node.pool().pending_nonce(address);
        return Ok(U64::from(waiting.unwrap_or(nonce).max(nonce)));
    }
    Ok(U64::from(nonce))
}

pub(crate) fn code(context: &Context, arguments: &mut Arguments) -> Answer<Bytes> {
    let address = arguments.required()?;
    let state = context.state_of(arguments.optional()?)?;
    let account: Option<AccountState> = state.account(address).map_err(errors::storage)?;
    let Some(account) = account else {
        return Ok(Bytes::new());
    };
    Ok(state
        .code(account.code_hash)
        .map_err(errors::storage)?
        .unwrap_or_default())
}

pub(crate) fn storage_at(context: &Context, arguments: &mut Arguments) -> Answer<B256> {
    let address = arguments.required()?;
    let key: StorageKey = arguments.required()?;
    let state = context.state_of(arguments.optional()?)?;
    let value = state
        .slot(address, key.slot().into())
        .map_err(errors::storage)?;
    Ok(value.into())
}

/// Slots of several accounts at once, in the order of the caller's keys.
fn storage_values(
    context: &Context,
    arguments: &mut Arguments,
) -> Answer<BTreeMap<Address, Vec<B256>>> {
    let wanted: BTreeMap<Address, Vec<StorageKey>> = arguments.required()?;
    let count: usize = wanted.values().map(Vec::len).sum();
    if count == 0 {
        return Err(invalid_params("empty request"));
    }
    if count > limits::RPC_PROOF_SLOTS_MAX {
        let max = limits::RPC_PROOF_SLOTS_MAX;
        return Err(simulation(
            CLIENT_LIMIT,
            format!("too many slots (max {max})"),
        ));
    }
    let state = context.state_of(arguments.optional()?)?;
    let mut answer = BTreeMap::new();
    for (address, keys) in wanted {
        let slot = |key: &StorageKey| state.slot(address, key.slot().into());
        let values: Result<Vec<_>, _> = keys.iter().map(slot).collect();
        let values = values.map_err(errors::storage)?;
        answer.insert(address, values.into_iter().map(B256::from).collect());
    }
    Ok(answer)
}

fn proof(context: &Context, arguments: &mut Arguments) -> Answer<EIP1186AccountProofResponse> {
    let address: Address = arguments.required()?;
    let keys: Vec<StorageKey> = arguments.required()?;
    if keys.len() > limits::RPC_PROOF_SLOTS_MAX {
        let max = limits::RPC_PROOF_SLOTS_MAX;
        return Err(limit_exceeded(format!("too many keys (max {max})")));
    }
    let height = match context.locate_known(arguments.optional()?.unwrap_or_default())? {
        Position::At(height) => height,
        Position::Pending => context.head().height,
    };
    let slots: Vec<U256> = keys.iter().map(|key| key.slot().into()).collect();
    let proof = context
        .store()
        .proof_at(height, address, &slots)
        .map_err(errors::storage)?;
    let shown: Vec<_> = keys.iter().map(StorageKey::shown).collect();
    Ok(convert::proof(&shown, proof))
}
