//! What Otterscan wants to know of a transaction.

use alloy_consensus::transaction::TransactionInfo;
use alloy_primitives::{Address, Bytes, U256};
use alloy_rpc_types_trace::otterscan::{ContractCreator, InternalOperation};
use medina_execution::Watched;
use revm_inspectors::{
    otterscan::InternalOperationsInspector,
    tracing::{TracingInspector, TracingInspectorConfig, types::CallTrace},
};
use serde::Serialize;
use std::mem;

use super::{budget::Budget, replay::Tracer};
use crate::errors::Answer;

/// Every call, creation and self-destruction, in order.
#[derive(Debug)]
pub(super) struct EntriesTracer;

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct TraceEntry {
    r#type: &'static str,
    depth: usize,
    from: Address,
    to: Address,
    /// `null` where no value can be sent.
    value: Option<U256>,
    input: Bytes,
    output: Bytes,
}

impl TraceEntry {
    fn of(trace: &mut CallTrace) -> Self {
        let has_value = !(trace.kind.is_static_call() || trace.kind.is_delegate());
        Self {
            r#type: trace.kind.to_str(),
            depth: trace.depth,
            from: trace.caller,
            to: trace.address,
            value: has_value.then_some(trace.value),
            input: mem::take(&mut trace.data),
            output: mem::take(&mut trace.output),
        }
    }

    fn of_destruction(trace: &CallTrace) -> Option<Self> {
        Some(Self {
            r#type: "SELFDESTRUCT",
            depth: trace.depth + 1,
            from: trace.selfdestruct_address?,
            to: trace.selfdestruct_refund_target?,
            value: trace.selfdestruct_transferred_value,
            input: Bytes::new(),
            output: Bytes::new(),
        })
    }
}

impl Tracer for EntriesTracer {
    type Inspector = TracingInspector;
    type Found = Vec<TraceEntry>;

    fn start(&self, _: &Budget) -> Answer<TracingInspector> {
        Ok(calls())
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, TracingInspector>,
        _: &TransactionInfo,
        budget: &mut Budget,
    ) -> Answer<Vec<TraceEntry>> {
        let nodes = mem::take(watched.inspector).into_traces().into_nodes();
        let mut entries = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            let destruction = TraceEntry::of_destruction(&node.trace);
            entries.push(TraceEntry::of(&mut node.trace));
            entries.extend(destruction);
        }
        budget.write(&entries)?;
        Ok(entries)
    }
}

fn calls() -> TracingInspector {
    TracingInspector::new(TracingInspectorConfig::default_parity())
}

/// Value sent between contracts, creations and self-destructions.
#[derive(Debug)]
pub(super) struct OperationsTracer;

impl Tracer for OperationsTracer {
    type Inspector = InternalOperationsInspector;
    type Found = Vec<InternalOperation>;

    fn start(&self, _: &Budget) -> Answer<InternalOperationsInspector> {
        Ok(InternalOperationsInspector::default())
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, InternalOperationsInspector>,
        _: &TransactionInfo,
        _: &mut Budget,
    ) -> Answer<Vec<InternalOperation>> {
        Ok(mem::take(watched.inspector).into_operations())
    }
}

/// What a failed transaction returned.
#[derive(Debug)]
pub(super) struct ErrorTracer;

impl Tracer for ErrorTracer {
    type Inspector = revm_inspectors::tracing::OpcodeCountInspector;
    type Found = Bytes;

    fn start(&self, _: &Budget) -> Answer<Self::Inspector> {
        Ok(Self::Inspector::default())
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, Self::Inspector>,
        _: &TransactionInfo,
        _: &mut Budget,
    ) -> Answer<Bytes> {
        let result = &watched.outcome.result;
        let failed = !result.is_success();
        Ok(result
            .output()
            .filter(|_| failed)
            .cloned()
            .unwrap_or_default())
    }
}

/// Who made the contract at this address, if this transaction did.
#[derive(Debug)]
pub(super) struct CreatorTracer(pub(super) Address);

impl Tracer for CreatorTracer {
    type Inspector = TracingInspector;
    type Found = Option<ContractCreator>;

    fn start(&self, _: &Budget) -> Answer<TracingInspector> {
        Ok(calls())
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, TracingInspector>,
        place: &TransactionInfo,
        _: &mut Budget,
    ) -> Answer<Option<ContractCreator>> {
        if !watched.outcome.result.is_success() {
            return Ok(None);
        }
        let mut nodes = watched.inspector.traces().nodes().iter();
        let created = nodes.rfind(|node| {
            let trace = &node.trace;
            trace.kind.is_any_create() && trace.success && trace.address == self.0
        });
        Ok(created.zip(place.hash).map(|(node, hash)| ContractCreator {
            hash,
            creator: node.trace.caller,
        }))
    }
}

/// Whether a transaction touched an address: by a call, a creation or the end of a
/// contract, in either role.
#[derive(Debug)]
pub(super) struct TouchTracer(pub(super) Address);

impl Tracer for TouchTracer {
    type Inspector = TracingInspector;
    type Found = bool;

    fn start(&self, _: &Budget) -> Answer<TracingInspector> {
        Ok(calls())
    }

    fn found(
        &mut self,
        watched: Watched<'_, '_, TracingInspector>,
        _: &TransactionInfo,
        _: &mut Budget,
    ) -> Answer<bool> {
        let mut nodes = watched.inspector.traces().nodes().iter();
        Ok(nodes.any(|node| {
            let trace = &node.trace;
            let receiver = trace.selfdestruct_refund_target;
            [Some(trace.caller), Some(trace.address), receiver].contains(&Some(self.0))
        }))
    }
}
