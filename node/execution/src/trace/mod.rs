//! Runs transactions again under an inspector, within bounds.
//!
//! A block of the past is replayed on its parent's state by the very steps of
//! block execution, so what a tracer sees is what happened. A tracer remembers
//! far more than an execution does: time and memory are bounded, and a trace that
//! would pass a bound is given up whole, never cut.

mod bounded;

pub(crate) use bounded::Bounded;
pub use bounded::{StepRecord, TraceBounds};

use crate::{
    BlockState, CallEnvironment, ExecutionError, Executor, StateFailure,
    block_execution::{BlockExecution, NotExecuted, ParentRoots},
    evm::{MachineError, machine_failure},
};
use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use medina_storage::StateReader;
use medina_types::{Receipt, StateChanges, Transaction};
use revm::{
    Database, DatabaseRef,
    bytecode::Bytecode,
    context::{BlockEnv, TxEnv},
    context_interface::result::ResultAndState,
    state::AccountInfo,
};
use std::cell::RefCell;

pub use revm::Inspector;

/// The miner of an ommer gets the reward less one of these parts per block of age.
const OMMER_AGE_PARTS: u64 = 8;
/// Who includes an ommer gets one of these parts of the reward.
const OMMER_INCLUSION_PART: u64 = 32;

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The time was over.
    #[error("execution timeout")]
    Timeout,
    /// The trace would have taken more memory than one may.
    #[error("trace exceeds {0} bytes")]
    TooLarge(usize),
    /// The execution itself did not work.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

impl From<NotExecuted> for TraceError {
    fn from(error: NotExecuted) -> Self {
        Self::Execution(match error {
            NotExecuted::Refused(refused) => refused.into(),
            NotExecuted::Failed(error) => error,
        })
    }
}

/// What a tracer makes its answer of.
#[derive(Debug)]
pub struct Watched<'b, 'a, I> {
    /// The tracer after the execution.
    pub inspector: &'b mut I,
    /// What was executed.
    pub transaction: &'b TxEnv,
    /// The block around it.
    pub block: &'b BlockEnv,
    /// How it ended, and what it changed.
    pub outcome: &'b ResultAndState,
    /// The state before it.
    pub before: Before<'b, 'a>,
}

/// The state before a transaction, for those who compare.
#[derive(Debug)]
pub struct Before<'b, 'a>(RefCell<&'b mut BlockState<'a>>);

impl<'b, 'a> Before<'b, 'a> {
    pub(crate) fn new(state: &'b mut BlockState<'a>) -> Self {
        Self(RefCell::new(state))
    }
}

impl DatabaseRef for Before<'_, '_> {
    type Error = StateFailure;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateFailure> {
        self.0.borrow_mut().basic(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StateFailure> {
        self.0.borrow_mut().code_by_hash(hash)
    }

    fn storage_ref(&self, address: Address, key: U256) -> Result<U256, StateFailure> {
        self.0.borrow_mut().storage(address, key)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateFailure> {
        self.0.borrow_mut().block_hash(number)
    }
}

/// A block of the past that is being executed again.
pub struct Replay<'a> {
    execution: BlockExecution<'a>,
    number: u64,
    /// For its miner, before Paris.
    reward: U256,
}

/// What a whole replayed block came to.
#[derive(Debug)]
pub struct ReplayedBlock {
    /// One receipt per transaction.
    pub receipts: Vec<Receipt>,
    /// Gas of all its transactions.
    pub gas_used: u64,
    /// Root of the receipts, as they are from Byzantium on.
    pub receipts_root: B256,
    /// Bloom of all logs.
    pub logs_bloom: Bloom,
    /// EIP-7685's lists, each with its type in front; `None` before Prague.
    pub requests: Option<Vec<Bytes>>,
    /// Their hash.
    pub requests_hash: Option<B256>,
    /// What changed in the state.
    pub changes: StateChanges,
}

impl std::fmt::Debug for Replay<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Replay")
            .field("receipts", &self.receipts().len())
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// Opens the block with this header on the state after its parent.
    ///
    /// # Errors
    /// When this node cannot execute.
    pub fn replay<'a>(
        &'a self,
        parent: &'a dyn StateReader,
        header: &Header,
    ) -> Result<Replay<'a>, ExecutionError> {
        let roots = ParentRoots {
            hash: header.parent_hash,
            beacon: header.parent_beacon_block_root.unwrap_or_default(),
        };
        let rules = self.rules_of(header.number, header.timestamp);
        let state = self.state_on(parent);
        let environment = CallEnvironment::of_header(header);
        let execution = BlockExecution::start(&self.spec, &rules, state, environment, roots)?;
        let reward = self.reward_before_paris(header.number);
        let number = header.number;
        Ok(Replay {
            execution,
            number,
            reward,
        })
    }
}

impl<'a> Replay<'a> {
    /// Executes the next transaction unwatched.
    ///
    /// # Errors
    /// When it cannot be executed, which for a decided block is a fault of ours.
    pub fn execute(
        &mut self,
        transaction: &Transaction,
        sender: Address,
    ) -> Result<(), TraceError> {
        Ok(self.execution.execute(transaction, sender)?)
    }

    /// Executes the next transaction under an inspector; `read` makes the answer
    /// while the state before can still be seen.
    ///
    /// # Errors
    /// When a bound is passed, or the transaction cannot be executed.
    pub fn watch<I, T>(
        self,
        transaction: &Transaction,
        sender: Address,
        bounds: TraceBounds,
        inspector: I,
        read: impl FnOnce(Watched<'_, 'a, I>) -> T,
    ) -> Result<(Self, T), TraceError>
    where
        I: Inspector<crate::MachineContext<'a>>,
    {
        let inspector = Bounded::new(inspector, bounds);
        let watched = self.execution.watch(transaction, sender, inspector, read);
        let (execution, answer) = watched?;
        Ok((Self { execution, ..self }, answer))
    }

    /// Receipts of what was executed.
    #[must_use]
    pub fn receipts(&self) -> &[Receipt] {
        self.execution.receipts()
    }

    /// What changed in the state so far.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn changes(&self) -> Result<StateChanges, ExecutionError> {
        let state = &self.execution.machine.ctx.journaled_state.database;
        Ok(state.changes()?)
    }

    /// Closes the block: withdrawals, requests, rewards. Ommers are rewarded, and
    /// whoever includes them, by the rules before Paris.
    ///
    /// # Errors
    /// When this node cannot execute.
    pub fn finish(
        mut self,
        withdrawals: &[Withdrawal],
        ommers: &[Header],
    ) -> Result<ReplayedBlock, ExecutionError> {
        let included = self.reward / U256::from(OMMER_INCLUSION_PART);
        for ommer in ommers {
            let age = U256::from(self.number.saturating_sub(ommer.number));
            let eighths = U256::from(OMMER_AGE_PARTS).saturating_sub(age);
            let reward = self.reward * eighths / U256::from(OMMER_AGE_PARTS);
            self.execution.pay(ommer.beneficiary, reward)?;
        }
        let reward = self.reward + included * U256::from(ommers.len());
        self.execution.pay_miner(reward)?;
        let executed = self.execution.finish(withdrawals)?;
        let requests = executed.requests;
        Ok(ReplayedBlock {
            receipts: executed.receipts,
            gas_used: executed.gas_used,
            receipts_root: executed.receipts_root,
            logs_bloom: executed.logs_bloom,
            requests: requests.map(|requests| requests.take()),
            requests_hash: executed.requests_hash,
            changes: executed.changes,
        })
    }
}

/// A stopped machine: our bound, or a fault.
pub(crate) fn stopped<I>(inspector: &Bounded<I>, error: MachineError) -> TraceError {
    inspector
        .passed()
        .unwrap_or_else(|| machine_failure(error).into())
}
