//! `eth_call`, `eth_estimateGas` and `eth_createAccessList`.
//!
//! Calls run at the block that the caller names, `latest` by default. Estimates
//! and access lists run in the next block's environment unless an old block is
//! named, since an idle head's time is old.

use alloy_eips::BlockId;
use alloy_primitives::{Bytes, TxKind, U64, U256};
use alloy_rpc_types_eth::{
    AccessListResult, BlockOverrides, TransactionRequest,
    state::{AccountOverride, StateOverride},
};
use jsonrpsee::{server::RegisterMethodError, types::ErrorObjectOwned};
use medina_execution::{
    self as execution, CallOutcome, CallRequest, CallStatus, ExecutionError, StateOverrides,
};
use medina_types::{HeaderRules, Height};
use std::collections::BTreeMap;

use crate::{
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, invalid_params, reverted, server},
    reading::Position,
    registry::Registry,
    revert::revert_message,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.compute("eth_call", call)?;
    registry.compute("eth_estimateGas", estimate_gas)?;
    registry.compute("eth_createAccessList", create_access_list)
}

pub(crate) fn call(context: &Context, arguments: &mut Arguments) -> Answer<Bytes> {
    let transaction = arguments.required()?;
    let position = context.locate_known(arguments.optional()?.unwrap_or_default())?;
    let state_overrides = arguments.optional()?;
    let block_overrides = arguments.optional()?;
    let request = request(context, transaction, state_overrides, block_overrides)?;
    let state = context.state(position)?;
    let environment = context.environment(position)?;
    let outcome = context
        .node
        .executor()
        .call(&state, environment, &request)
        .map_err(|error| failed(&error, &request))?;
    answer_of(outcome)
}

/// The output of a successful call, and geth's errors for the others.
fn answer_of(outcome: CallOutcome) -> Answer<Bytes> {
    match outcome.status {
        CallStatus::Success => Ok(outcome.output),
        CallStatus::Revert => Err(reverted(&outcome.output)),
        CallStatus::Halt { reason, .. } => Err(server(reason)),
    }
}

pub(crate) fn estimate_gas(context: &Context, arguments: &mut Arguments) -> Answer<U64> {
    let transaction = arguments.required()?;
    let position = position_of_next(context, arguments.optional()?)?;
    let state_overrides = arguments.optional()?;
    let block_overrides = arguments.optional()?;
    let request = request(context, transaction, state_overrides, block_overrides)?;
    let state = context.state(position)?;
    let environment = context.environment(position)?;
    let gas = context
        .node
        .executor()
        .estimate_gas(&state, environment, &request);
    gas.map(U64::from).map_err(|error| failed(&error, &request))
}

fn create_access_list(context: &Context, arguments: &mut Arguments) -> Answer<AccessListResult> {
    let transaction = arguments.required()?;
    let position = position_of_next(context, arguments.optional()?)?;
    let state_overrides = arguments.optional()?;
    let request = request(context, transaction, state_overrides, None)?;
    let state = context.state(position)?;
    let environment = context.environment(position)?;
    let found = context
        .node
        .executor()
        .create_access_list(&state, environment, &request)
        .map_err(|error| failed(&error, &request))?;
    let error = match found.outcome.status {
        CallStatus::Success => None,
        CallStatus::Revert => Some(revert_message(&found.outcome.output)),
        CallStatus::Halt { reason, .. } => Some(reason),
    };
    Ok(AccessListResult {
        access_list: found.access_list,
        gas_used: U256::from(found.outcome.gas_used),
        error,
    })
}

/// The head and `latest` mean the next block here; older blocks mean themselves.
fn position_of_next(context: &Context, id: Option<BlockId>) -> Answer<Position> {
    let position = context.locate_known(id.unwrap_or(BlockId::pending()))?;
    let head: Height = context.head().height;
    Ok(if position == Position::At(head) {
        Position::Pending
    } else {
        position
    })
}

/// Puts a call into the executor's form, gas capped.
pub(crate) fn request(
    context: &Context,
    transaction: TransactionRequest,
    state: Option<StateOverride>,
    block: Option<BlockOverrides>,
) -> Answer<CallRequest> {
    check_prices(&transaction)?;
    let mut request = plain_request(context, transaction)?;
    request.gas = request.gas.map(|gas| gas.min(context.config.call_gas_max));
    request.state_overrides = state_overrides(state.unwrap_or_default())?;
    request.block_overrides = block_overrides(block.unwrap_or_default())?;
    Ok(request)
}

/// The two kinds of prices exclude each other.
pub(super) fn check_prices(transaction: &TransactionRequest) -> Answer<()> {
    let both_prices = transaction.gas_price.is_some()
        && (transaction.max_fee_per_gas.is_some()
            || transaction.max_priority_fee_per_gas.is_some());
    if both_prices {
        let text = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(server(text));
    }
    Ok(())
}

/// A call in the executor's form as it is: nothing capped, nothing pretended.
pub(crate) fn plain_request(
    context: &Context,
    transaction: TransactionRequest,
) -> Answer<CallRequest> {
    let blobs = transaction.blob_versioned_hashes.unwrap_or_default();
    if !blobs.is_empty() && context.spec().header_rules == HeaderRules::Medina {
        return Err(server(
            "transaction type not supported: this chain carries no blobs",
        ));
    }
    // As geth: in a call, `input` goes before `data`.
    let input = transaction.input.into_input();
    let to = match transaction.to {
        Some(TxKind::Call(address)) => Some(address),
        Some(TxKind::Create) | None => None,
    };
    Ok(CallRequest {
        from: transaction.from,
        to,
        gas: transaction.gas,
        gas_price: transaction.gas_price,
        max_fee_per_gas: transaction.max_fee_per_gas,
        max_priority_fee_per_gas: transaction.max_priority_fee_per_gas,
        value: transaction.value,
        input: input.unwrap_or_default(),
        nonce: transaction.nonce,
        chain_id: transaction.chain_id,
        access_list: transaction.access_list,
        authorization_list: transaction.authorization_list.unwrap_or_default(),
        blob_versioned_hashes: blobs,
        max_fee_per_blob_gas: transaction.max_fee_per_blob_gas,
        ..CallRequest::default()
    })
}

pub(crate) fn state_overrides(overrides: StateOverride) -> Answer<StateOverrides> {
    // The executor wants the accounts in order; the map's own order is random.
    let sorted: BTreeMap<_, _> = overrides.into_iter().collect();
    sorted
        .into_iter()
        .map(|(address, account)| Ok((address, account_override(account)?)))
        .collect()
}

fn account_override(account: AccountOverride) -> Answer<execution::AccountOverride> {
    if account.state.is_some() && account.state_diff.is_some() {
        return Err(invalid_params(
            "an account override has both \"state\" and \"stateDiff\"",
        ));
    }
    Ok(execution::AccountOverride {
        balance: account.balance,
        nonce: account.nonce,
        code: account.code,
        state: account.state.map(|slots| slots.into_iter().collect()),
        state_diff: account.state_diff.map(|slots| slots.into_iter().collect()),
        move_precompile_to: account.move_precompile_to,
    })
}

fn block_overrides(overrides: BlockOverrides) -> Answer<execution::BlockOverrides> {
    let small = |name: &str, value: Option<U256>| match value.map(u64::try_from) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(invalid_params(format!(
            "block override {name} exceeds 64 bits"
        ))),
    };
    Ok(execution::BlockOverrides {
        number: small("number", overrides.number)?,
        time: overrides.time,
        gas_limit: overrides.gas_limit,
        fee_recipient: overrides.coinbase,
        prev_randao: overrides.random,
        base_fee_per_gas: small("baseFeePerGas", overrides.base_fee)?,
        block_hash: overrides.block_hash.unwrap_or_default(),
    })
}

/// What became of a call that has no outcome.
pub(crate) fn failed(error: &ExecutionError, request: &CallRequest) -> ErrorObjectOwned {
    match error {
        ExecutionError::Refused(refused) => {
            let supplied = request
                .gas
                .unwrap_or(medina_types::limits::RPC_CALL_GAS_MAX);
            server(format!("err: {refused} (supplied gas {supplied})"))
        }
        ExecutionError::Reverted { data } => reverted(data),
        ExecutionError::Halted { reason } => server(reason.clone()),
        ExecutionError::GasAllowanceExceeded { .. } | ExecutionError::Override(_) => {
            server(error.to_string())
        }
        ExecutionError::State(storage) => errors::storage(storage.clone()),
        error => errors::fault(error),
    }
}
