//! What watches a transaction, by the form of the answer: geth's, Parity's.

use alloy_consensus::transaction::TransactionInfo;
use alloy_primitives::{B256, map::HashSet};
use alloy_rpc_types_trace::{
    filter::TraceFilterMatcher,
    geth::{GethDebugBuiltInTracerType as BuiltIn, GethDebugTracerType, GethDebugTracingOptions},
    parity::{LocalizedTransactionTrace, TraceResults, TraceType},
};
use medina_execution::{StepRecord, Watched};
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TraceLimits, TracingInspector, TracingInspectorConfig,
    TransactionContext,
};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use std::mem;

use super::{budget::Budget, replay::Tracer};
use crate::errors::{Answer, fault, invalid_params, unsupported};

/// Names that a caller may give.
const TRACERS: &str =
    "callTracer, flatCallTracer, prestateTracer, 4byteTracer, muxTracer, noopTracer, or none";

/// Struct logs, or one of geth's built-in tracers.
#[derive(Debug)]
pub(crate) struct GethTracer(GethDebugTracingOptions);

impl GethTracer {
    /// Checks what the caller asks for.
    pub(crate) fn new(mut options: GethDebugTracingOptions) -> Answer<Self> {
        if options.tracer == Some(BuiltIn::MuxTracer.into()) {
            fill_configs(&mut options.tracer_config.0);
        }
        match &options.tracer {
            Some(GethDebugTracerType::JsTracer(code)) if !code.is_empty() => {
                return Err(unsupported(format!(
                    "JavaScript tracers are not supported; use {TRACERS}"
                )));
            }
            Some(GethDebugTracerType::BuiltInTracer(
                tracer @ (BuiltIn::Erc7562Tracer | BuiltIn::StateGasTracer),
            )) => {
                let name = GethDebugTracerType::from(*tracer);
                return Err(unsupported(format!(
                    "{} is not supported; use {TRACERS}",
                    name.as_str()
                )));
            }
            _ => {}
        }
        let tracer = Self(options);
        tracer.inspector()?;
        Ok(tracer)
    }

    fn inspector(&self) -> Answer<DebugInspector> {
        DebugInspector::new(self.0.clone())
            .map_err(|error: DebugInspectorError| invalid_params(error.to_string()))
    }

    fn is_struct_log(&self) -> bool {
        let name = self.0.tracer.as_ref().map(GethDebugTracerType::as_str);
        name.unwrap_or_default().is_empty()
    }
}

/// As geth: inside `muxTracer`, no configuration and an empty one are the same.
fn fill_configs(tracers: &mut Value) {
    for (name, config) in tracers.as_object_mut().into_iter().flatten() {
        let takes_none = ["4byteTracer", "noopTracer"].contains(&name.as_str());
        let is_empty = config.as_object().is_some_and(|fields| fields.is_empty());
        if takes_none && is_empty {
            *config = Value::Null;
        } else if !takes_none && config.is_null() {
            *config = Value::Object(serde_json::Map::new());
        }
    }
}

impl Tracer for GethTracer {
    type Inspector = DebugInspector;
    type Found = Box<RawValue>;

    fn steps(&self) -> Option<StepRecord> {
        let config = &self.0.config;
        self.is_struct_log().then(|| StepRecord {
            stack: config.is_stack_enabled(),
            memory: config.is_memory_enabled(),
            storage: config.is_storage_enabled(),
            return_data: config.is_return_data_enabled(),
            steps_max: config.limit.filter(|limit| *limit > 0),
        })
    }

    fn start(&self, _: &Budget) -> Answer<DebugInspector> {
        self.inspector()
    }

    fn found(
        &mut self,
        mut watched: Watched<'_, '_, DebugInspector>,
        place: &TransactionInfo,
        budget: &mut Budget,
    ) -> Answer<Box<RawValue>> {
        let place = TransactionContext::from(*place);
        let trace = watched
            .inspector
            .get_result(
                Some(place),
                watched.transaction,
                watched.block,
                watched.outcome,
                &mut watched.before,
            )
            .map_err(fault)?;
        budget.write(&trace)
    }
}

/// Parity's flat list of calls, or the part of it that is wanted.
#[derive(Debug, Default)]
pub(crate) struct FlatTracer {
    /// Which traces; `None`: all.
    pub(crate) matcher: Option<TraceFilterMatcher>,
    /// Matches that are left out first.
    pub(crate) skip: u64,
    /// Matches that are answered then; `None`: all.
    pub(crate) count: Option<u64>,
}

impl FlatTracer {
    /// True once as many were found as are wanted.
    pub(crate) fn is_full(&self) -> bool {
        self.count == Some(0)
    }

    /// Counts a trace in, if it is wanted.
    pub(crate) fn takes(&mut self, trace: &LocalizedTransactionTrace) -> bool {
        let matches = self.matcher.as_ref();
        if !matches.is_none_or(|matcher| matcher.matches(&trace.trace)) || self.is_full() {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.count = self.count.map(|count| count - 1);
        true
    }
}

impl Tracer for FlatTracer {
    type Inspector = TracingInspector;
    type Found = Vec<Box<RawValue>>;

    fn start(&self, _: &Budget) -> Answer<TracingInspector> {
        let config = TracingInspectorConfig::default_parity();
        Ok(TracingInspector::new(config))
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, TracingInspector>,
        place: &TransactionInfo,
        budget: &mut Budget,
    ) -> Answer<Vec<Box<RawValue>>> {
        let traces = mem::take(watched.inspector)
            .into_parity_builder()
            .into_localized_transaction_traces(*place);
        traces
            .iter()
            .filter(|trace| self.takes(trace))
            .map(|trace| budget.write(trace))
            .collect()
    }
}

/// Parity's results of a replay: calls, steps, state differences.
#[derive(Debug)]
pub(crate) struct ReplayTracer {
    /// What of it is wanted.
    pub(crate) types: HashSet<TraceType>,
    /// Whether each result names its transaction.
    pub(crate) with_hash: bool,
}

/// One replayed transaction.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    #[serde(flatten)]
    results: TraceResults,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_hash: Option<B256>,
}

impl Tracer for ReplayTracer {
    type Inspector = TracingInspector;
    type Found = Box<RawValue>;

    fn steps(&self) -> Option<StepRecord> {
        // Only what a step changed is remembered, and reckoned by the inspector.
        let steps = self.types.contains(&TraceType::VmTrace);
        steps.then(StepRecord::default)
    }

    fn start(&self, budget: &Budget) -> Answer<TracingInspector> {
        let config = TracingInspectorConfig::from_parity_config(&self.types);
        let limits = TraceLimits::default().set_max_recorded_bytes(Some(budget.memory_bytes()));
        Ok(TracingInspector::new(config).with_limits(limits))
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, TracingInspector>,
        place: &TransactionInfo,
        budget: &mut Budget,
    ) -> Answer<Box<RawValue>> {
        if watched.inspector.limit_exceeded() {
            return Err(budget.too_large());
        }
        let results = mem::take(watched.inspector)
            .into_parity_builder()
            .into_trace_results_with_state(watched.outcome, &self.types, &watched.before)
            .map_err(fault)?;
        budget.write(&Replayed {
            results,
            transaction_hash: place.hash.filter(|_| self.with_hash),
        })
    }
}
