//! `trace_callMany` and `trace_rawTransaction`: calls that build on one another, and
//! a transaction that nobody has sent yet.

use alloy_consensus::{Transaction as _, transaction::TransactionInfo};
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, map::HashSet};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::parity::TraceType;
use jsonrpsee::server::RegisterMethodError;
use medina_execution::{AccountOverride, CallRequest, StateOverrides, StepRecord, Watched};
use medina_types::RecoveredTransaction;
use revm_inspectors::tracing::TracingInspector;
use serde_json::value::RawValue;

use super::{budget::Budget, replay::Tracer, tracers::ReplayTracer};
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{Answer, invalid_params, limit_exceeded},
    eth::call,
    registry::Registry,
};

/// Calls of one `trace_callMany`.
const CALLS_MAX: usize = 256;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.trace("trace_callMany", call_many)?;
    registry.trace("trace_rawTransaction", raw_transaction)
}

/// Each call sees what those before it changed.
fn call_many(context: &Context, arguments: &mut Arguments) -> Answer<Vec<Box<RawValue>>> {
    let calls: Vec<(TransactionRequest, HashSet<TraceType>)> = arguments.required()?;
    let id: BlockId = arguments.optional()?.unwrap_or_default();
    if calls.len() > CALLS_MAX {
        let text = format!("{} calls, at most {CALLS_MAX} at once", calls.len());
        return Err(limit_exceeded(text));
    }
    let mut budget = Budget::start(context, None)?;
    let mut changed = StateOverrides::default();
    let mut traces = Vec::with_capacity(calls.len());
    for (transaction, types) in calls {
        let mut request = call::request(context, transaction, None, None)?;
        request.state_overrides = std::mem::take(&mut changed);
        let mut tracer = Chained {
            replay: ReplayTracer {
                types,
                with_hash: false,
            },
            changed: request.state_overrides.clone(),
        };
        traces.push(context.trace_call(id, &request, &mut tracer, &mut budget)?);
        changed = tracer.changed;
    }
    Ok(traces)
}

/// Traces a signed transaction on the head's state, without sending it.
fn raw_transaction(context: &Context, arguments: &mut Arguments) -> Answer<Box<RawValue>> {
    let bytes: Bytes = arguments.required()?;
    let types: HashSet<TraceType> = arguments.required()?;
    let signed = RecoveredTransaction::decode(&bytes)
        .map_err(|error| invalid_params(format!("invalid argument 0: {error}")))?;
    let mut tracer = ReplayTracer {
        types,
        with_hash: false,
    };
    let mut budget = Budget::start(context, None)?;
    let request = request_of(&signed);
    context.trace_call(BlockId::pending(), &request, &mut tracer, &mut budget)
}

fn request_of(signed: &RecoveredTransaction) -> CallRequest {
    let transaction = signed.transaction();
    let is_dynamic = transaction.is_dynamic_fee();
    CallRequest {
        from: Some(signed.sender()),
        to: transaction.to(),
        gas: Some(transaction.gas_limit()),
        gas_price: transaction.gas_price(),
        max_fee_per_gas: is_dynamic.then(|| transaction.max_fee_per_gas()),
        max_priority_fee_per_gas: transaction.max_priority_fee_per_gas(),
        value: Some(transaction.value()),
        input: transaction.input().clone(),
        nonce: Some(transaction.nonce()),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned(),
        authorization_list: transaction
            .authorization_list()
            .map_or_else(Vec::new, <[_]>::to_vec),
        ..CallRequest::default()
    }
}

/// Traces a call and remembers what it changed, for the next one.
#[derive(Debug)]
struct Chained {
    replay: ReplayTracer,
    changed: StateOverrides,
}

impl Tracer for Chained {
    type Inspector = TracingInspector;
    type Found = Box<RawValue>;

    fn steps(&self) -> Option<StepRecord> {
        self.replay.steps()
    }

    fn start(&self, budget: &Budget) -> Answer<TracingInspector> {
        self.replay.start(budget)
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, TracingInspector>,
        place: &TransactionInfo,
        budget: &mut Budget,
    ) -> Answer<Box<RawValue>> {
        // Addresses are told apart, so the order does not matter.
        let touched = watched.outcome.state.iter();
        touched
            .filter(|(_, account)| account.is_touched())
            .for_each(|(address, account)| {
                let kept = self.changed.entry(*address).or_default();
                kept.balance = Some(account.info.balance);
                kept.nonce = Some(account.info.nonce);
                if account.is_selfdestructed() {
                    *kept = AccountOverride {
                        balance: Some(account.info.balance),
                        nonce: Some(0),
                        code: Some(Bytes::new()),
                        state: Some(std::collections::BTreeMap::new()),
                        state_diff: None,
                        move_precompile_to: None,
                    };
                    return;
                }
                if account.is_created() {
                    let code = account.info.code.as_ref();
                    kept.code = code.map(|code| code.original_bytes());
                }
                let slots = account.storage.iter();
                let slots = slots
                    .filter(|(_, slot)| slot.is_changed())
                    .map(|(key, slot)| (B256::from(*key), B256::from(slot.present_value)));
                // Both at once an override cannot have.
                match &mut kept.state {
                    Some(whole) => whole.extend(slots),
                    None => kept.state_diff.get_or_insert_default().extend(slots),
                }
            });
        self.replay.found(watched, place, budget)
    }
}
