//! `eth_fillTransaction`: what a wallet left out, ready to be signed.
//!
//! Nothing is kept and nothing sent. Defaults are geth's: the sender's next nonce,
//! waiting transactions counted; the estimated gas; a suggested tip, and twice the
//! next block's base fee above it.

use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::server::RegisterMethodError;
use medina_execution::{CallRequest, encode_unsigned, unsigned_transaction};
use medina_storage::StateReader as _;
use medina_types::Transaction;
use serde_json::{Value, json};

use super::{
    call::{check_prices, failed, plain_request},
    fees::{base_fee_of_next, suggested_tip},
};
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, server, unsupported},
    reading::Position,
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.compute("eth_fillTransaction", fill)
}

pub(crate) fn fill(context: &Context, arguments: &mut Arguments) -> Answer<Value> {
    let transaction: TransactionRequest = arguments.required()?;
    check_prices(&transaction)?;
    if transaction.input.clone().try_into_unique_input().is_err() {
        return Err(server(
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass \
             transaction call data",
        ));
    }
    let mut request = plain_request(context, transaction)?;
    check(context, &request)?;
    fill_prices(context, &mut request)?;
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => next_nonce(context, &request)?,
    };
    let gas = match request.gas {
        Some(gas) => gas,
        None => estimate(context, &request)?,
    };
    let chain_id = context.spec().chain_id;
    let filled = unsigned_transaction(&request, gas, nonce, chain_id, true);
    Ok(json!({ "raw": Bytes::from(encode_unsigned(&filled)), "tx": shown(context, &filled)? }))
}

fn check(context: &Context, request: &CallRequest) -> Answer<()> {
    if !request.blob_versioned_hashes.is_empty() {
        return Err(unsupported("transactions with blobs are not filled here"));
    }
    if request.to.is_none() && request.input.is_empty() {
        return Err(server("contract creation without any data provided"));
    }
    let want = context.spec().chain_id;
    match request.chain_id {
        Some(have) if have != want => Err(server(format!(
            "chainId does not match node's (have={have}, want={want})"
        ))),
        _ => Ok(()),
    }
}

/// Leaves what is named; a price of the older kind needs nothing beside it.
fn fill_prices(context: &Context, request: &mut CallRequest) -> Answer<()> {
    if request.gas_price.is_some() {
        return Ok(());
    }
    let tip = match request.max_priority_fee_per_gas {
        Some(tip) => tip,
        None => suggested_tip(context)?,
    };
    let twice = 2 * u128::from(base_fee_of_next(context));
    let cap = request.max_fee_per_gas.unwrap_or(tip.saturating_add(twice));
    if cap < tip {
        return Err(server(format!(
            "maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})"
        )));
    }
    (request.max_fee_per_gas, request.max_priority_fee_per_gas) = (Some(cap), Some(tip));
    Ok(())
}

fn next_nonce(context: &Context, request: &CallRequest) -> Answer<u64> {
    let sender = request.from.unwrap_or_default();
    let account = context.state_of(None)?.account(sender);
    let account = account.map_err(errors::storage)?.unwrap_or_default();
    let waiting = context.node.pool().pending_nonce(sender);
    Ok(waiting.unwrap_or(0).max(account.nonce))
}

fn estimate(context: &Context, request: &CallRequest) -> Answer<u64> {
    let state = context.state(Position::Pending)?;
    let environment = context.environment(Position::Pending)?;
    let executor = context.node.executor();
    let gas = executor.estimate_gas(&state, environment, request);
    gas.map_err(|error| failed(&error, request))
}

fn shown(context: &Context, filled: &Transaction) -> Answer<Value> {
    let mut shown = serde_json::to_value(filled).map_err(fault)?;
    match filled {
        // Without a signature it does not say for which chain it is.
        Transaction::Legacy(_) => {
            shown["v"] = json!("0x0");
            shown["chainId"] = json!(alloy_primitives::U64::from(context.spec().chain_id));
        }
        // Until it is in a block, its price is the highest that it may pay.
        _ => shown["gasPrice"] = shown["maxFeePerGas"].clone(),
    }
    Ok(shown)
}
