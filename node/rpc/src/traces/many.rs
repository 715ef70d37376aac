//! `trace_callMany`, `debug_traceCallMany` and `trace_rawTransaction`: calls that build
//! on one another, and a transaction that nobody has sent yet.

use alloy_consensus::{Transaction as _, transaction::TransactionInfo};
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, map::HashSet};
use alloy_rpc_types_eth::{Bundle, StateContext, TransactionRequest};
use alloy_rpc_types_trace::{geth::GethDebugTracingCallOptions, parity::TraceType};
use jsonrpsee::server::RegisterMethodError;
use medina_execution::{AccountOverride, CallRequest, StateOverrides, StepRecord, Watched};
use medina_types::RecoveredTransaction;
use serde_json::value::RawValue;

use super::{
    budget::Budget,
    replay::Tracer,
    tracers::{GethTracer, ReplayTracer},
};
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{Answer, invalid_params, limit_exceeded, unsupported},
    eth::call,
    registry::Registry,
};

/// Calls of one `trace_callMany`.
const CALLS_MAX: usize = 256;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.trace("trace_callMany", call_many)?;
    registry.trace("debug_traceCallMany", bundles)?;
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
    let mut chain = Chain::start(context, id, StateOverrides::default(), None)?;
    let mut traces = Vec::with_capacity(calls.len());
    for (transaction, types) in calls {
        let request = call::request(context, transaction, None, None)?;
        let with_hash = false;
        traces.push(chain.trace(request, ReplayTracer { types, with_hash })?);
    }
    Ok(traces)
}

/// reth's form: calls in bundles, each bundle in a block of its own; all build on
/// one another. Block values that a bundle does not name are those of the state's block.
fn bundles(context: &Context, arguments: &mut Arguments) -> Answer<Vec<Vec<Box<RawValue>>>> {
    let bundles: Vec<Bundle> = arguments.required()?;
    let place: StateContext = arguments.optional()?.unwrap_or_default();
    let options: GethDebugTracingCallOptions = arguments.optional()?.unwrap_or_default();
    let count: usize = bundles.iter().map(|bundle| bundle.transactions.len()).sum();
    if count > CALLS_MAX {
        let text = format!("{count} calls, at most {CALLS_MAX} at once");
        return Err(limit_exceeded(text));
    }
    if place
        .transaction_index
        .is_some_and(|index| index.index().is_some())
    {
        return Err(unsupported(
            "transactionIndex is not supported; calls are traced on the state after a block",
        ));
    }
    let id = place.block_number.unwrap_or_default();
    let overrides = call::state_overrides(options.state_overrides.unwrap_or_default())?;
    let timeout = options.tracing_options.timeout.as_deref();
    let mut chain = Chain::start(context, id, overrides, timeout)?;
    let mut traces = Vec::with_capacity(bundles.len());
    for bundle in bundles {
        let mut of_bundle = Vec::with_capacity(bundle.transactions.len());
        for transaction in bundle.transactions {
            let block = bundle.block_override.clone();
            let block = block.or_else(|| options.block_overrides.clone());
            let request = call::request(context, transaction, None, block)?;
            let tracer = GethTracer::new(options.tracing_options.clone())?;
            of_bundle.push(chain.trace(request, tracer)?);
        }
        traces.push(of_bundle);
    }
    Ok(traces)
}

/// Calls that build on one another.
struct Chain<'a> {
    context: &'a Context,
    id: BlockId,
    budget: Budget,
    changed: StateOverrides,
}

impl<'a> Chain<'a> {
    fn start(
        context: &'a Context,
        id: BlockId,
        changed: StateOverrides,
        timeout: Option<&str>,
    ) -> Answer<Self> {
        Ok(Self {
            context,
            id,
            budget: Budget::start(context, timeout)?,
            changed,
        })
    }

    /// Traces the next call on what those before it changed.
    fn trace<T: Tracer>(&mut self, mut request: CallRequest, tracer: T) -> Answer<T::Found> {
        request.state_overrides = std::mem::take(&mut self.changed);
        let mut tracer = Chained {
            inner: tracer,
            changed: request.state_overrides.clone(),
        };
        let found = self
            .context
            .trace_call(self.id, &request, &mut tracer, &mut self.budget)?;
        self.changed = tracer.changed;
        Ok(found)
    }
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
struct Chained<T> {
    inner: T,
    changed: StateOverrides,
}

impl<T: Tracer> Tracer for Chained<T> {
    type Inspector = T::Inspector;
    type Found = T::Found;

    fn steps(&self) -> Option<StepRecord> {
        self.inner.steps()
    }

    fn start(&self, budget: &Budget) -> Answer<T::Inspector> {
        self.inner.start(budget)
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, T::Inspector>,
        place: &TransactionInfo,
        budget: &mut Budget,
    ) -> Answer<T::Found> {
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
        self.inner.found(watched, place, budget)
    }
}
