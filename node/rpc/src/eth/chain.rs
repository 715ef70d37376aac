//! `eth_chainId`, `eth_syncing` and what else says where this node stands.

use alloy_primitives::{Address, U64, U256};
use alloy_rpc_types_eth::{SyncInfo, SyncStatus};
use jsonrpsee::server::RegisterMethodError;
use medina_types::Height;
use serde_json::{Value, json};

use crate::{
    arguments::Arguments,
    context::Context,
    errors::{Answer, server},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("eth_chainId", |context, _| {
        Ok(U64::from(context.spec().chain_id))
    })?;
    registry.quick("eth_blockNumber", |context, _| {
        Ok(U64::from(context.head().height.0))
    })?;
    registry.quick("eth_syncing", |context, _| Ok(sync_status(context)))?;
    // This node keeps no account keys: wallets sign. `medina dev` has those that
    // everybody knows.
    registry.quick("eth_coinbase", coinbase)?;
    registry.quick("eth_accounts", |context, _| Ok(accounts(context)))?;
    registry.quick("eth_capabilities", capabilities)
}

fn accounts(context: &Context) -> Vec<Address> {
    let dev = context.node.dev();
    dev.map(|dev| dev.accounts()).unwrap_or_default()
}

/// `false`, or how far a catch-up has come.
pub(crate) fn sync_status(context: &Context) -> SyncStatus {
    let Some(progress) = context.node.sync_progress() else {
        return SyncStatus::None;
    };
    SyncStatus::Info(Box::new(SyncInfo {
        starting_block: U256::from(progress.starting.0),
        current_block: U256::from(context.head().height.0),
        highest_block: U256::from(progress.highest.0),
        ..SyncInfo::default()
    }))
}

/// Who is paid for this node's blocks: the operator of its validator.
fn coinbase(context: &Context, _: &mut Arguments) -> Answer<Address> {
    let key = context.node.identity().key;
    let head = context.head();
    let validators = &head.context.validators;
    let own = validators.index_of_key(&key);
    let own = own.and_then(|index| validators.get(index));
    own.map(|validator| validator.operator)
        .ok_or_else(|| server("this node is no validator of the current set: nobody is paid"))
}

/// Which history this node can answer for: all of it, or what pruning has left.
fn capabilities(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let (head, kept) = (context.head(), context.store().kept());
    let from = |oldest: Height| json!({ "disabled": false, "oldestBlock": U64::from(oldest.0) });
    let (states, blocks) = (from(kept.state_from), from(kept.blocks_from));
    Ok(json!({
        "head": { "number": U64::from(head.height.0), "hash": head.hash },
        "state": states,
        "tx": blocks,
        "logs": blocks,
        "receipts": blocks,
        "blocks": blocks,
        "stateproofs": states,
    }))
}
