//! `debug_trace…`, as geth serves them: struct logs and the built-in tracers.

use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
use jsonrpsee::server::RegisterMethodError;
use medina_types::SealedBlock;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{budget::Budget, tracers::GethTracer};
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{Answer, invalid_params, server, unsupported},
    eth::{
        blocks::{by_hash, by_number},
        call,
    },
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.trace("debug_traceTransaction", trace_transaction)?;
    registry.trace("debug_traceBlockByNumber", |context, arguments| {
        trace_block(context, by_number(arguments)?, arguments)
    })?;
    registry.trace("debug_traceBlockByHash", |context, arguments| {
        trace_block(context, by_hash(arguments)?, arguments)
    })?;
    registry.trace("debug_traceBlock", trace_raw_block)?;
    registry.trace("debug_traceCall", trace_call)?;
    // A refused block is never kept.
    registry.quick("debug_getBadBlocks", |_, _| Ok(Vec::<()>::new()))
}

fn trace_transaction(context: &Context, arguments: &mut Arguments) -> Answer<Box<RawValue>> {
    let hash: B256 = arguments.required()?;
    let options: GethDebugTracingOptions = arguments.optional()?.unwrap_or_default();
    let mut budget = Budget::start(context, options.timeout.as_deref())?;
    let mut tracer = GethTracer::new(options)?;
    let transaction = context.transaction_to_trace(hash)?;
    context.trace_transaction(&transaction, &mut tracer, &mut budget)
}

/// One transaction of a traced block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TracedTransaction {
    tx_hash: B256,
    result: Box<RawValue>,
}

fn trace_block(
    context: &Context,
    id: BlockId,
    arguments: &mut Arguments,
) -> Answer<Vec<TracedTransaction>> {
    let options: GethDebugTracingOptions = arguments.optional()?.unwrap_or_default();
    let mut budget = Budget::start(context, options.timeout.as_deref())?;
    let mut tracer = GethTracer::new(options)?;
    let block = context.block_to_trace(id)?;
    if block.block.height().0 == 0 {
        return Err(server("genesis is not traceable"));
    }
    let traces = context.trace_block(&block, &mut tracer, &mut budget)?;
    let hashes = block.block.transactions().map(|(one, _)| *one.tx_hash());
    Ok(hashes
        .zip(traces)
        .map(|(tx_hash, result)| TracedTransaction { tx_hash, result })
        .collect())
}

/// A block by its bytes, which must be one of the chain.
fn trace_raw_block(context: &Context, arguments: &mut Arguments) -> Answer<Vec<TracedTransaction>> {
    let bytes: Bytes = arguments.required()?;
    let block = SealedBlock::decode(&bytes)
        .map_err(|error| invalid_params(format!("could not decode block: {error}")))?;
    trace_block(context, BlockId::from(block.hash()), arguments)
}

fn trace_call(context: &Context, arguments: &mut Arguments) -> Answer<Box<RawValue>> {
    let transaction = arguments.required()?;
    let id: BlockId = arguments.optional()?.unwrap_or_default();
    let options: GethDebugTracingCallOptions = arguments.optional()?.unwrap_or_default();
    if options.tx_index.is_some() {
        return Err(unsupported(
            "txIndex is not supported; a call is traced on the state after a block",
        ));
    }
    let mut budget = Budget::start(context, options.tracing_options.timeout.as_deref())?;
    let mut tracer = GethTracer::new(options.tracing_options)?;
    let request = call::request(
        context,
        transaction,
        options.state_overrides,
        options.block_overrides,
    )?;
    context.trace_call(id, &request, &mut tracer, &mut budget)
}
