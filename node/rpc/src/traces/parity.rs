//! The namespace `trace`, as Parity defined it.

use alloy_eips::{BlockId, BlockNumberOrTag, eip1898::BlockNumHash};
use alloy_primitives::{Address, U64};
use alloy_rpc_types_trace::{
    filter::{TraceFilter, TraceFilterMode},
    parity::{RewardAction, RewardType, TraceType},
};
use jsonrpsee::server::RegisterMethodError;
use medina_types::{HeaderRules, Height};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    budget::Budget,
    tracers::{FlatTracer, ReplayTracer},
};
use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    errors::{Answer, invalid_params, limit_exceeded},
    eth::call,
    registry::Registry,
};

/// Blocks of one `trace_filter` (reth's bound).
const FILTER_BLOCKS_MAX: u64 = 100;
/// Addresses per side of one `trace_filter`.
const FILTER_ADDRESSES_MAX: usize = 1_000;

/// Traces as they are sent.
type Written = Vec<Box<RawValue>>;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.trace("trace_block", trace_block)?;
    registry.trace("trace_transaction", trace_transaction)?;
    registry.trace("trace_get", trace_get)?;
    registry.trace("trace_filter", trace_filter)?;
    registry.trace("trace_replayTransaction", replay_transaction)?;
    registry.trace("trace_replayBlockTransactions", replay_block)?;
    registry.trace("trace_call", trace_call)
}

fn trace_block(context: &Context, arguments: &mut Arguments) -> Answer<Written> {
    let block = context.block_to_trace(arguments.required()?)?;
    let mut budget = Budget::start(context, None)?;
    traces_of(context, &block, &mut FlatTracer::default(), &mut budget)
}

/// The traces of a block that the tracer takes, the reward last.
fn traces_of(
    context: &Context,
    block: &CommittedBlock,
    tracer: &mut FlatTracer,
    budget: &mut Budget,
) -> Answer<Written> {
    let traces = context.trace_block(block, tracer, budget)?;
    let mut written: Written = traces.into_iter().flatten().collect();
    if let Some(reward) = reward(context, block) {
        let place = BlockNumHash::new(block.block.height().0, block.block.hash());
        let trace = reward.into_localized_trace(place);
        if tracer.takes(&trace) {
            written.push(budget.write(&trace)?);
        }
    }
    Ok(written)
}

/// What the proposer gets beside fees, on chains that give something.
fn reward(context: &Context, block: &CommittedBlock) -> Option<RewardAction> {
    let spec = context.spec();
    let is_paid = spec.header_rules == HeaderRules::Medina
        && !spec.block_reward.is_zero()
        && block.block.height() != Height::GENESIS;
    is_paid.then(|| RewardAction {
        author: block.block.header().beneficiary,
        reward_type: RewardType::Block,
        value: spec.block_reward,
    })
}

fn trace_transaction(context: &Context, arguments: &mut Arguments) -> Answer<Written> {
    let transaction = context.transaction_to_trace(arguments.required()?)?;
    let mut budget = Budget::start(context, None)?;
    context.trace_transaction(&transaction, &mut FlatTracer::default(), &mut budget)
}

/// The trace at an address in the tree of calls; `null` where there is none.
fn trace_get(context: &Context, arguments: &mut Arguments) -> Answer<Option<Box<RawValue>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Placed {
        trace_address: Vec<u64>,
    }
    let transaction = context.transaction_to_trace(arguments.required()?)?;
    let wanted: Vec<U64> = arguments.required()?;
    let wanted: Vec<u64> = wanted.iter().map(|index| index.to::<u64>()).collect();
    let mut budget = Budget::start(context, None)?;
    let all = context.trace_transaction(&transaction, &mut FlatTracer::default(), &mut budget)?;
    let is_wanted = |trace: &RawValue| {
        serde_json::from_str(trace.get()).is_ok_and(|placed: Placed| placed.trace_address == wanted)
    };
    Ok(all.into_iter().find(|trace| is_wanted(trace)))
}

/// What `trace_filter` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    from_address: Option<Vec<Address>>,
    to_address: Option<Vec<Address>>,
    mode: Option<TraceFilterMode>,
    after: Option<u64>,
    count: Option<u64>,
}

impl Filter {
    /// Heights to look at: those of the head where unsaid.
    fn range(&self, context: &Context) -> Answer<std::ops::RangeInclusive<u64>> {
        let head = context.head().height.0;
        let height = |bound: Option<BlockNumberOrTag>| match bound {
            Some(BlockNumberOrTag::Number(number)) => number,
            Some(BlockNumberOrTag::Earliest) => 0,
            _ => head,
        };
        let (first, last) = (height(self.from_block), height(self.to_block));
        if last > head {
            return Err(invalid_params(
                "block range extends beyond current head block",
            ));
        }
        if first > last {
            return Err(invalid_params("invalid block range params"));
        }
        if last - first >= FILTER_BLOCKS_MAX {
            return Err(limit_exceeded(format!(
                "query exceeds max block range {FILTER_BLOCKS_MAX}"
            )));
        }
        Ok(first..=last)
    }

    fn tracer(self) -> Answer<FlatTracer> {
        let from_address = self.from_address.unwrap_or_default();
        let to_address = self.to_address.unwrap_or_default();
        if from_address.len().max(to_address.len()) > FILTER_ADDRESSES_MAX {
            return Err(invalid_params(format!(
                "more than {FILTER_ADDRESSES_MAX} addresses in a filter"
            )));
        }
        let filter = TraceFilter {
            from_address,
            to_address,
            mode: self.mode.unwrap_or_default(),
            ..TraceFilter::default()
        };
        Ok(FlatTracer {
            matcher: Some(filter.matcher()),
            skip: self.after.unwrap_or(0),
            count: self.count,
        })
    }
}

fn trace_filter(context: &Context, arguments: &mut Arguments) -> Answer<Written> {
    let filter: Filter = arguments.required()?;
    let range = filter.range(context)?;
    let mut tracer = filter.tracer()?;
    let mut budget = Budget::start(context, None)?;
    let mut written = Vec::new();
    for number in range {
        if tracer.is_full() {
            break;
        }
        let block = context.block_to_trace(BlockId::from(number))?;
        written.extend(traces_of(context, &block, &mut tracer, &mut budget)?);
    }
    Ok(written)
}

fn replay_tracer(arguments: &mut Arguments, with_hash: bool) -> Answer<ReplayTracer> {
    let types: Vec<TraceType> = arguments.required()?;
    Ok(ReplayTracer {
        types: types.into_iter().collect(),
        with_hash,
    })
}

fn replay_transaction(context: &Context, arguments: &mut Arguments) -> Answer<Box<RawValue>> {
    let transaction = context.transaction_to_trace(arguments.required()?)?;
    let mut tracer = replay_tracer(arguments, false)?;
    let mut budget = Budget::start(context, None)?;
    context.trace_transaction(&transaction, &mut tracer, &mut budget)
}

fn replay_block(context: &Context, arguments: &mut Arguments) -> Answer<Written> {
    let block = context.block_to_trace(arguments.required()?)?;
    let mut tracer = replay_tracer(arguments, true)?;
    let mut budget = Budget::start(context, None)?;
    context.trace_block(&block, &mut tracer, &mut budget)
}

/// The state after a block, which stays `latest` where none is named.
fn trace_call(context: &Context, arguments: &mut Arguments) -> Answer<Box<RawValue>> {
    let transaction = arguments.required()?;
    let mut tracer = replay_tracer(arguments, false)?;
    let id: BlockId = arguments.optional()?.unwrap_or_default();
    let state_overrides = arguments.optional()?;
    let block_overrides = arguments.optional()?;
    let mut budget = Budget::start(context, None)?;
    let request = call::request(context, transaction, state_overrides, block_overrides)?;
    context.trace_call(id, &request, &mut tracer, &mut budget)
}
