//! `eth_simulateV1`: blocks of calls that build on each other and never happen.

use alloy_eips::{BlockId, eip4895::Withdrawal};
use alloy_primitives::{Address, B256, U64, U256};
use alloy_rpc_types_eth::{self as rpc, TransactionRequest, state::StateOverride};
use jsonrpsee::{server::RegisterMethodError, types::ErrorObjectOwned};
use medina_execution::{
    BlockToSimulate, CallStatus, ExecutionError, HeaderOverrides, SimulatedBlock, SimulatedCall,
    Simulation, SimulationBounds, SimulationError, TransactionRefused,
};
use medina_types::{Height, RecoveredBlock, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::call::{plain_request, state_overrides};
use crate::{
    arguments::Arguments,
    context::Context,
    convert,
    errors::{self, Answer, fault, invalid_params, server, simulation},
    reading::Position,
    registry::Registry,
    revert::revert_message,
};

/// Longest time of one simulation (geth's bound).
const TIME: Duration = Duration::from_secs(5);
/// A reverted call, as everywhere.
const REVERTED: i64 = 3;
/// A call that the machine stopped.
const STOPPED: i64 = -32015;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.trace("eth_simulateV1", simulate)
}

/// What a caller wants simulated.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    block_state_calls: Vec<BlockStateCalls>,
    #[serde(default)]
    trace_transfers: bool,
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

/// One block of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStateCalls {
    #[serde(default)]
    block_overrides: Option<BlockOverrides>,
    #[serde(default)]
    state_overrides: Option<StateOverride>,
    #[serde(default)]
    calls: Option<Vec<TransactionRequest>>,
}

/// Parts of a header. Unlike those of a call they are those of a whole block.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockOverrides {
    number: Option<U256>,
    time: Option<U64>,
    gas_limit: Option<U64>,
    fee_recipient: Option<Address>,
    prev_randao: Option<B256>,
    base_fee_per_gas: Option<U256>,
    blob_base_fee: Option<U256>,
    beacon_root: Option<B256>,
    withdrawals: Option<Vec<Withdrawal>>,
}

impl BlockOverrides {
    fn read(self) -> Answer<HeaderOverrides> {
        let too_large = |name: &str| invalid_params(format!("block override {name} is too large"));
        let base_fee = self.base_fee_per_gas.map(u64::try_from).transpose();
        let blob_base_fee = self.blob_base_fee.map(u128::try_from).transpose();
        Ok(HeaderOverrides {
            // Whatever is above 64 bits is too far away all the same.
            number: self.number.map(|number| number.saturating_to()),
            time: self.time.map(|time| time.to()),
            gas_limit: self.gas_limit.map(|limit| limit.to()),
            fee_recipient: self.fee_recipient,
            prev_randao: self.prev_randao,
            base_fee_per_gas: base_fee.map_err(|_| too_large("baseFeePerGas"))?,
            blob_base_fee: blob_base_fee.map_err(|_| too_large("blobBaseFee"))?,
            beacon_root: self.beacon_root,
            withdrawals: self.withdrawals.unwrap_or_default(),
        })
    }
}

fn simulate(context: &Context, arguments: &mut Arguments) -> Answer<Vec<Value>> {
    let payload: Payload = arguments.required()?;
    let base = base(context, arguments.optional()?.unwrap_or_default())?;
    let full = payload.return_full_transactions;
    let simulation = Simulation {
        trace_transfers: payload.trace_transfers,
        validation: payload.validation,
        blocks: payload
            .block_state_calls
            .into_iter()
            .map(|block| block_to_simulate(context, block))
            .collect::<Answer<_>>()?,
    };
    let bounds = SimulationBounds {
        deadline: Instant::now() + TIME,
        gas: context.config.call_gas_max,
        bytes_max: context.config.response_bytes_max as usize,
    };
    let executor = context.node.executor();
    let simulated = executor.simulate(context.store(), base, &simulation, bounds);
    let blocks = simulated.map_err(failed)?;
    blocks.iter().map(|block| shown(block, full)).collect()
}

/// The block to build on; what is pending is not decided, so it is the head.
fn base(context: &Context, id: BlockId) -> Answer<Height> {
    match context.locate(id)? {
        Some(Position::At(height)) => Ok(height),
        Some(Position::Pending) => Ok(context.head().height),
        None => Err(server("header not found")),
    }
}

fn block_to_simulate(context: &Context, block: BlockStateCalls) -> Answer<BlockToSimulate> {
    let calls = block.calls.unwrap_or_default().into_iter();
    Ok(BlockToSimulate {
        header: block.block_overrides.unwrap_or_default().read()?,
        accounts: state_overrides(block.state_overrides.unwrap_or_default())?,
        calls: calls
            .map(|call| plain_request(context, call))
            .collect::<Answer<_>>()?,
    })
}

fn shown(simulated: &SimulatedBlock, full: bool) -> Answer<Value> {
    let block = &simulated.block;
    let mut shown = serde_json::to_value(convert::block(block, full)).map_err(fault)?;
    if full {
        mark_unsigned(block, &mut shown["transactions"]);
    }
    let calls = simulated.calls.iter().enumerate();
    let calls: Vec<_> = calls
        .map(|(index, call)| shown_call(block, index, call))
        .collect();
    shown["calls"] = serde_json::to_value(calls).map_err(fault)?;
    Ok(shown)
}

/// An old transaction that nobody signed has no `v` that stands for a chain.
fn mark_unsigned(block: &RecoveredBlock, shown: &mut Value) {
    for (index, (transaction, _)) in block.transactions().enumerate() {
        if let (Transaction::Legacy(_), Some(shown)) = (transaction, shown.get_mut(index)) {
            shown["v"] = json!("0x0");
        }
    }
}

/// One call in the answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCall {
    return_data: alloy_primitives::Bytes,
    logs: Vec<rpc::Log>,
    gas_used: U64,
    max_used_gas: U64,
    status: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

fn shown_call(block: &RecoveredBlock, index: usize, call: &SimulatedCall) -> ShownCall {
    let outcome = &call.outcome;
    let error = match &outcome.status {
        CallStatus::Success => None,
        CallStatus::Revert => Some(json!({
            "message": revert_message(&outcome.output),
            "code": REVERTED,
            "data": outcome.output,
        })),
        CallStatus::Halt { reason, .. } => Some(json!({ "message": reason, "code": STOPPED })),
    };
    let succeeded = outcome.is_success();
    let return_data = succeeded.then(|| outcome.output.clone());
    ShownCall {
        return_data: return_data.unwrap_or_default(),
        logs: shown_logs(block, index, call),
        gas_used: U64::from(outcome.gas_used),
        max_used_gas: U64::from(call.max_gas_used),
        status: U64::from(u8::from(succeeded)),
        error,
    }
}

fn shown_logs(block: &RecoveredBlock, index: usize, call: &SimulatedCall) -> Vec<rpc::Log> {
    let header = block.header();
    let transaction = block.sealed.transactions().get(index);
    let logs = call.outcome.logs.iter().zip(call.first_log_index..);
    logs.map(|(log, log_index)| rpc::Log {
        inner: log.clone(),
        block_hash: Some(block.hash()),
        block_number: Some(header.number),
        block_timestamp: Some(header.timestamp),
        transaction_hash: transaction.map(|one| *one.tx_hash()),
        transaction_index: Some(index as u64),
        log_index: Some(log_index),
        removed: false,
    })
    .collect()
}

/// execution-apis' codes of `eth_simulateV1`.
fn failed(error: SimulationError) -> ErrorObjectOwned {
    use SimulationError as Failed;
    let code = match &error {
        Failed::Empty => return invalid_params(error.to_string()),
        Failed::TooManyBlocks | Failed::TooManyCalls { .. } => -38026,
        Failed::NumberOrder { .. } => -38020,
        Failed::TimeOrder { .. } => -38021,
        Failed::BlockGasLimit { .. } => -38015,
        Failed::Refused { reason, .. } => refused(reason),
        Failed::Timeout => -32016,
        Failed::TooLarge(_) => -32005,
        Failed::Arguments(_) => return server(error.to_string()),
        Failed::Execution(ExecutionError::State(storage)) => {
            return errors::storage(storage.clone());
        }
        Failed::Execution(
            ExecutionError::Override(_)
            | ExecutionError::SystemContractMissing { .. }
            | ExecutionError::SystemCallFailed { .. },
        ) => return server(error.to_string()),
        Failed::Execution(_) => return fault(error),
    };
    simulation(code, error.to_string())
}

const fn refused(reason: &TransactionRefused) -> i32 {
    use TransactionRefused as Refused;
    match reason {
        Refused::NonceTooLow { .. } => -38010,
        Refused::NonceTooHigh { .. } => -38011,
        Refused::FeeBelowBaseFee { .. } => -38012,
        Refused::IntrinsicGasTooLow { .. } => -38013,
        Refused::InsufficientFunds { .. } => -38014,
        Refused::SenderHasCode(_) => -38024,
        Refused::InitCodeTooLarge { .. } => -38025,
        Refused::TipAboveFee(_) => -32602,
        _ => -32603,
    }
}
