//! A proposer's block: as many waiting transactions as fit.

use crate::{
    CallEnvironment, ExecutedBlock, ExecutionError, Executor, TransactionJudge, TransactionRefused,
    block_execution::{BlockExecution, Executed, NotExecuted, ParentRoots},
    environment::{next_base_fee, prevrandao},
};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS,
    proofs::calculate_transaction_root,
};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bytes};
use medina_storage::{Head, Store};
use medina_types::{
    Block, Fork, RecoveredBlock, RecoveredTransaction, SealedBlock, Transaction, limits,
};
use std::sync::Arc;

/// Gas of the smallest transaction: with less left, a block is full.
const TRANSACTION_GAS_MIN: u64 = 21_000;
/// Bytes set aside for header and list heads.
const HEADER_BYTES_MAX: usize = 2_048;
/// Bytes of an RLP head around one transaction.
const RLP_HEAD_BYTES: usize = 8;

/// What the proposer decides about a block.
#[derive(Clone, Debug)]
pub struct BuildAttributes {
    /// Its operator account.
    pub beneficiary: Address,
    /// Its clock, seconds; the block's time is at least its parent's.
    pub timestamp_s: u64,
    /// At most [`limits::EXTRA_DATA_BYTES_MAX`] bytes.
    pub extra_data: Bytes,
}

/// Where a proposer gets waiting transactions from, best first and each
/// sender's in order of nonces.
pub trait TransactionSource {
    /// The next candidate; `None` when there is no more.
    fn next(&mut self) -> Option<Arc<RecoveredTransaction>>;

    /// This one can never be executed: forget it.
    fn mark_invalid(&mut self, hash: B256, reason: &TransactionRefused);

    /// No further transaction of this sender fits into this block.
    fn skip_sender(&mut self, sender: Address);
}

/// A plain supply that does not care what becomes of its transactions.
impl<F: FnMut() -> Option<Arc<RecoveredTransaction>>> TransactionSource for F {
    fn next(&mut self) -> Option<Arc<RecoveredTransaction>> {
        self()
    }

    fn mark_invalid(&mut self, _hash: B256, _reason: &TransactionRefused) {}

    fn skip_sender(&mut self, _sender: Address) {}
}

impl Executor {
    /// Builds the block after `parent`, which must be the store's head.
    ///
    /// Stops when no candidate is left, gas or bytes are used up, or
    /// `is_time_up` says so between two transactions. A candidate that may not
    /// be executed is left out and reported to the source.
    ///
    /// # Errors
    /// When the attributes are wrong or this node cannot execute.
    pub fn build(
        &self,
        store: &Store,
        parent: &Head,
        attributes: &BuildAttributes,
        candidates: &mut dyn TransactionSource,
        is_time_up: &mut dyn FnMut() -> bool,
    ) -> Result<ExecutedBlock, ExecutionError> {
        self.check_is_head(store, parent)?;
        check_attributes(parent, attributes)?;
        let environment = self.environment_to_build(parent, attributes);
        let rules = self.rules_of(environment.number, environment.timestamp);
        let latest = store.state();
        let mut state = self.state_on(&latest);
        self.begin_edited(&attributes.extra_data, &mut state)?;
        let roots = ParentRoots {
            hash: parent.hash,
            beacon: B256::ZERO,
        };
        let mut execution = BlockExecution::start(&self.spec, &rules, state, environment, roots)?;
        let judge = self.transaction_judge(&latest, environment);
        let chosen = fill(&mut execution, candidates, judge.as_ref(), is_time_up)?;
        let executed = execution.finish(&[])?;
        let next = self.next_validators(
            &latest,
            environment,
            &parent.context.validators,
            &executed.changes,
        )?;
        let root = store.state_root_after(&executed.changes)?;
        let sealed = seal(
            self.fork_of(environment.number, environment.timestamp),
            parent,
            attributes,
            environment,
            chosen,
            &executed,
            root.root,
        );
        Ok(ExecutedBlock {
            block: sealed,
            receipts: executed.receipts,
            changes: executed.changes,
            root,
            next_validators: next.set,
            validators_refused: next.refused,
            gas_used: executed.gas_used,
        })
    }

    fn environment_to_build(&self, parent: &Head, attributes: &BuildAttributes) -> CallEnvironment {
        let height = parent.height.next();
        CallEnvironment {
            number: height.0,
            timestamp: parent.header.timestamp.max(attributes.timestamp_s),
            beneficiary: attributes.beneficiary,
            gas_limit: self.spec.gas_limit,
            base_fee: next_base_fee(&self.spec, &parent.header),
            prevrandao: prevrandao(parent.hash, height),
            excess_blob_gas: 0,
        }
    }
}

fn check_attributes(parent: &Head, attributes: &BuildAttributes) -> Result<(), ExecutionError> {
    let (got, max) = (attributes.extra_data.len(), limits::EXTRA_DATA_BYTES_MAX);
    if got > max {
        return Err(ExecutionError::ExtraDataTooLong { got, max });
    }
    if parent
        .context
        .validators
        .index_of_operator(&attributes.beneficiary)
        .is_none()
    {
        return Err(ExecutionError::NotAnOperator(attributes.beneficiary));
    }
    Ok(())
}

/// Executes candidates until the block is full, and answers those inside.
fn fill(
    execution: &mut BlockExecution<'_>,
    candidates: &mut dyn TransactionSource,
    judge: Option<&TransactionJudge<'_>>,
    is_time_up: &mut dyn FnMut() -> bool,
) -> Result<Vec<Arc<RecoveredTransaction>>, ExecutionError> {
    let mut chosen = Vec::new();
    let mut bytes_left = limits::BLOCK_BYTES_MAX - HEADER_BYTES_MAX;
    while execution.gas_left() >= TRANSACTION_GAS_MIN && !is_time_up() {
        let Some(candidate) = candidates.next() else {
            break;
        };
        let bytes = candidate.encoded_length() + RLP_HEAD_BYTES;
        if bytes > bytes_left {
            break;
        }
        let sender = candidate.sender();
        if let Some(judge) = judge
            && !judge.allows(sender, candidate.transaction())?
        {
            let reason = TransactionRefused::NotPermitted(sender);
            set_aside(candidates, &candidate, &reason);
            continue;
        }
        match execution.execute(candidate.transaction(), sender) {
            Ok(()) => {
                bytes_left -= bytes;
                chosen.push(candidate);
            }
            Err(NotExecuted::Refused(reason)) => set_aside(candidates, &candidate, &reason),
            Err(NotExecuted::Failed(error)) => return Err(error),
        }
    }
    Ok(chosen)
}

/// Tells the source what a refusal means for the transaction and its sender.
fn set_aside(
    candidates: &mut dyn TransactionSource,
    candidate: &RecoveredTransaction,
    reason: &TransactionRefused,
) {
    use TransactionRefused as Refused;
    tracing::debug!(hash = %candidate.hash(), %reason, "left out of the block");
    match reason {
        // Its successors may still fit.
        Refused::NonceTooLow { .. } => candidates.mark_invalid(candidate.hash(), reason),
        // It may fit into a later block.
        Refused::NonceTooHigh { .. }
        | Refused::InsufficientFunds { .. }
        | Refused::FeeBelowBaseFee { .. }
        | Refused::ExceedsBlockGas { .. } => candidates.skip_sender(candidate.sender()),
        _ => {
            candidates.mark_invalid(candidate.hash(), reason);
            candidates.skip_sender(candidate.sender());
        }
    }
}

fn seal(
    fork: Fork,
    parent: &Head,
    attributes: &BuildAttributes,
    environment: CallEnvironment,
    chosen: Vec<Arc<RecoveredTransaction>>,
    executed: &Executed,
    state_root: B256,
) -> RecoveredBlock {
    let senders = chosen
        .iter()
        .map(|transaction| transaction.sender())
        .collect();
    let transactions: Vec<Transaction> = chosen
        .iter()
        .map(|transaction| transaction.transaction().clone())
        .collect();
    let header = Header {
        parent_hash: parent.hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: environment.beneficiary,
        state_root,
        transactions_root: calculate_transaction_root(&transactions),
        receipts_root: executed.receipts_root,
        logs_bloom: executed.logs_bloom,
        number: environment.number,
        gas_limit: environment.gas_limit,
        gas_used: executed.gas_used,
        timestamp: environment.timestamp,
        extra_data: attributes.extra_data.clone(),
        mix_hash: environment.prevrandao,
        base_fee_per_gas: Some(environment.base_fee),
        withdrawals_root: (fork >= Fork::Shanghai).then_some(EMPTY_WITHDRAWALS),
        blob_gas_used: (fork >= Fork::Cancun).then_some(0),
        excess_blob_gas: (fork >= Fork::Cancun).then_some(0),
        parent_beacon_block_root: (fork >= Fork::Cancun).then_some(B256::ZERO),
        requests_hash: executed.requests_hash,
        ..Header::default()
    };
    let withdrawals = (fork >= Fork::Shanghai).then(Withdrawals::default);
    let body = BlockBody {
        transactions,
        ommers: Vec::new(),
        withdrawals,
    };
    let sealed = SealedBlock::new(Block::new(header, body));
    RecoveredBlock::new_unchecked(sealed, senders)
}
