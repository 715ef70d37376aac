//! Executes a decided block again and hands every transaction to a tracer.

use alloy_consensus::transaction::TransactionInfo;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use jsonrpsee::types::ErrorObjectOwned;
use medina_execution::{
    CallRequest, ExecutionError, Inspector, MachineContext, StepRecord, TraceError, Watched,
};
use medina_types::Height;
use std::sync::Arc;

use super::budget::{Budget, timeout};
use crate::{
    CommittedBlock,
    context::Context,
    errors::{self, Answer, fault, server},
    eth::call,
    reading::Position,
};

/// Something that watches transactions and makes an answer of each.
pub(crate) trait Tracer {
    /// What watches one transaction.
    type Inspector: for<'a> Inspector<MachineContext<'a>>;
    /// What becomes of one transaction.
    type Found;

    /// What is remembered of every step.
    fn steps(&self) -> Option<StepRecord> {
        None
    }

    /// Before a transaction.
    fn start(&self, budget: &Budget) -> Answer<Self::Inspector>;

    /// After it; its place in the chain is empty for calls.
    fn found(
        &mut self,
        watched: Watched<'_, '_, Self::Inspector>,
        place: &TransactionInfo,
        budget: &mut Budget,
    ) -> Answer<Self::Found>;
}

impl Context {
    /// The decided block that a caller names, to be traced.
    pub(crate) fn block_to_trace(&self, id: BlockId) -> Answer<Arc<CommittedBlock>> {
        let height = match self.locate(id)? {
            Some(Position::At(height)) => height,
            Some(Position::Pending) => {
                return Err(server("tracing on top of pending is not supported"));
            }
            None => return Err(no_block(id)),
        };
        self.committed(height)?.ok_or_else(|| no_block(id))
    }

    /// The block and index of a decided transaction.
    pub(crate) fn transaction_to_trace(&self, hash: B256) -> Answer<(Arc<CommittedBlock>, usize)> {
        let unknown = || server("transaction not found");
        let location = self.store().transaction_location(hash);
        let (height, index) = location.map_err(errors::storage)?.ok_or_else(unknown)?;
        let block = self.committed(height)?.ok_or_else(unknown)?;
        Ok((block, usize::try_from(index).map_err(fault)?))
    }

    /// Traces all transactions of a block.
    pub(crate) fn trace_block<T: Tracer>(
        &self,
        block: &CommittedBlock,
        tracer: &mut T,
        budget: &mut Budget,
    ) -> Answer<Vec<T::Found>> {
        self.trace(block, None, tracer, budget)
    }

    /// Traces the transaction at an index of a block.
    pub(crate) fn trace_transaction<T: Tracer>(
        &self,
        (block, index): &(Arc<CommittedBlock>, usize),
        tracer: &mut T,
        budget: &mut Budget,
    ) -> Answer<T::Found> {
        let mut found = self.trace(block, Some(*index), tracer, budget)?;
        found.pop().ok_or_else(|| server("transaction not found"))
    }

    fn trace<T: Tracer>(
        &self,
        committed: &CommittedBlock,
        only: Option<usize>,
        tracer: &mut T,
        budget: &mut Budget,
    ) -> Answer<Vec<T::Found>> {
        let block = &committed.block;
        let header = block.header();
        // Genesis ran no transaction.
        let Some(parent) = header.number.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let parent = self.state(Position::At(Height(parent)))?;
        let executor = self.node.executor();
        let replay = executor.replay(&parent, header);
        let mut replay = replay.map_err(|error| failed(error.into(), budget))?;
        let mut all = Vec::new();
        for (index, (transaction, sender)) in block.transactions().enumerate() {
            budget.check_time()?;
            if only.is_some_and(|only| only != index) {
                let executed = replay.execute(transaction, sender);
                executed.map_err(|error| failed(error, budget))?;
                continue;
            }
            let place = TransactionInfo {
                hash: Some(*transaction.tx_hash()),
                index: Some(index as u64),
                block_hash: Some(block.hash()),
                block_number: Some(header.number),
                base_fee: header.base_fee_per_gas,
                block_timestamp: Some(header.timestamp),
            };
            let bounds = budget.bounds(tracer.steps());
            let inspector = tracer.start(budget)?;
            let watched = replay.watch(transaction, sender, bounds, inspector, |watched| {
                tracer.found(watched, &place, budget)
            });
            let (next, found) = watched.map_err(|error| failed(error, budget))?;
            replay = next;
            all.push(found?);
            // A trace of something that did not happen is worse than none.
            if replay.receipts().last() != committed.receipts.get(index) {
                return Err(fault(format!(
                    "replay of {place:?} differs from its receipt"
                )));
            }
            if only.is_some() {
                break;
            }
        }
        Ok(all)
    }

    /// Traces a call on the state after a block, in its environment.
    pub(crate) fn trace_call<T: Tracer>(
        &self,
        id: BlockId,
        request: &CallRequest,
        tracer: &mut T,
        budget: &mut Budget,
    ) -> Answer<T::Found> {
        let position = self.locate(id)?.ok_or_else(|| no_block(id))?;
        let state = self.state(position)?;
        let environment = self.environment(position)?;
        let bounds = budget.bounds(tracer.steps());
        let inspector = tracer.start(budget)?;
        let place = TransactionInfo::default();
        let executor = self.node.executor();
        let watched =
            executor.watch_call(&state, environment, request, bounds, inspector, |watched| {
                tracer.found(watched, &place, budget)
            });
        watched.map_err(|error| match error {
            TraceError::Execution(error) => call::failed(&error, request),
            error => failed(error, budget),
        })?
    }
}

/// geth's words for a block that is not there.
fn no_block(id: BlockId) -> ErrorObjectOwned {
    match id {
        BlockId::Hash(hash) => server(format!("block {} not found", hash.block_hash)),
        BlockId::Number(BlockNumberOrTag::Number(number)) => {
            server(format!("block #{number} not found"))
        }
        BlockId::Number(tag) => server(format!("block {tag} not found")),
    }
}

fn failed(error: TraceError, budget: &Budget) -> ErrorObjectOwned {
    match error {
        TraceError::Timeout => timeout(),
        TraceError::TooLarge(_) => budget.too_large(),
        TraceError::Execution(ExecutionError::State(error)) => errors::storage(error),
        TraceError::Execution(error) => fault(error),
    }
}
