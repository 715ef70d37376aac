//! `eth_simulateV1`: several blocks in a row that never happen.
//!
//! ```text
//! request -> chain (numbers, times, gaps filled) -> block after block:
//!            pretended accounts -> start -> call, call, … -> withdrawals, requests -> header
//! ```
//!
//! The steps of a block are those of block execution, on one state that lives
//! from the first block to the last, so the roots and hashes in the answer are
//! those that such blocks would have. What is not checked is said in [`Simulation`].
//! Behaviour and errors follow execution-apis and geth, whose answers are the
//! public test cases.

mod call;
mod chain;
mod transfers;
mod unsigned;

use crate::{
    BlockState, CallEnvironment, CallOutcome, CallRequest, ExecutionError, Executor,
    StateOverrides, TraceError, TransactionRefused,
    block_execution::{BlockExecution, ParentRoots},
    evm::MachineRules,
    overrides::{places_of_precompiles, pretend_accounts},
    state::EmptyAccounts,
};
use alloy_consensus::{Header, constants::EMPTY_WITHDRAWALS, proofs::calculate_withdrawals_root};
use alloy_eips::{
    eip1559::{BaseFeeParams, calc_next_block_base_fee},
    eip4844::DATA_GAS_PER_BLOB,
    eip4895::{Withdrawal, Withdrawals},
};
use alloy_primitives::{Address, B256, U256};
use medina_storage::{StorageError, Store};
use medina_types::{Block, HeaderRules, Height, RecoveredBlock, SealedBlock, Transaction};
use revm::primitives::hardfork::SpecId;
use std::time::Instant;

pub use unsigned::{encode_unsigned, unsigned_transaction};

use call::Calls;
use chain::PlannedBlock;

/// Blocks of one simulation, gaps included.
pub const SIMULATED_BLOCKS_MAX: u64 = 256;
/// Calls of one simulated block.
pub const SIMULATED_CALLS_MAX: usize = 5_000;

/// What is to be simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulation {
    /// Blocks in order.
    pub blocks: Vec<BlockToSimulate>,
    /// Whether sent value is told as a log (ERC-7528).
    pub trace_transfers: bool,
    /// True: nonces, base fees and prices are checked as in a block. False: as in
    /// `eth_call`. Balances are checked either way; signatures, the sender's code
    /// and the gas limit of single transactions never.
    pub validation: bool,
}

/// One block of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockToSimulate {
    /// What its header says other than by default.
    pub header: HeaderOverrides,
    /// Accounts that are pretended before its first call, and stay so.
    pub accounts: StateOverrides,
    /// Its calls in order. Their own overrides are not looked at.
    pub calls: Vec<CallRequest>,
}

/// Parts of a simulated header; `None` takes what follows from the block before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOverrides {
    /// Number; what is left out between two blocks becomes empty blocks.
    pub number: Option<u64>,
    /// Time, seconds.
    pub time: Option<u64>,
    /// Gas limit.
    pub gas_limit: Option<u64>,
    /// Beneficiary.
    pub fee_recipient: Option<Address>,
    /// `PREVRANDAO`.
    pub prev_randao: Option<B256>,
    /// Base fee, wei per gas.
    pub base_fee_per_gas: Option<u64>,
    /// Base fee, wei per blob gas.
    pub blob_base_fee: Option<u128>,
    /// EIP-4788.
    pub beacon_root: Option<B256>,
    /// EIP-4895.
    pub withdrawals: Vec<Withdrawal>,
}

/// What a simulation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulationBounds {
    /// When the time is over.
    pub deadline: Instant,
    /// Gas of all calls of all blocks together; a call that wants more gets what is left.
    pub gas: u64,
    /// Bytes that the logs of one call may take, and what all calls return.
    pub bytes_max: usize,
}

/// A simulated block.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// The block: its transactions are unsigned, so their signatures are zero.
    pub block: RecoveredBlock,
    /// One per transaction.
    pub calls: Vec<SimulatedCall>,
}

/// A simulated call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedCall {
    /// How it ended. Its logs are those to be told, transfers included.
    pub outcome: CallOutcome,
    /// Gas that it needed before refunds.
    pub max_gas_used: u64,
    /// Index in the block of the first of its logs.
    pub first_log_index: u64,
}

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// No block at all.
    #[error("empty input")]
    Empty,
    /// More blocks than allowed, gaps included.
    #[error("too many blocks")]
    TooManyBlocks,
    /// More calls in one block than allowed.
    #[error("too many calls in block: {got} > {max}")]
    TooManyCalls {
        /// Calls given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Numbers must rise.
    #[error("block numbers must be in order: {number} <= {before}")]
    NumberOrder {
        /// Number asked for.
        number: u64,
        /// That of the block before.
        before: u64,
    },
    /// Times must rise.
    #[error("block timestamps must be in order: {time} <= {before}")]
    TimeOrder {
        /// Time asked for.
        time: u64,
        /// That of the block before.
        before: u64,
    },
    /// A call wants more gas than its block has left.
    #[error("block gas limit reached: {used} >= {limit}")]
    BlockGasLimit {
        /// Gas that would be used.
        used: u64,
        /// Gas limit of the block.
        limit: u64,
    },
    /// A call that no block could hold.
    #[error("err: {reason} (supplied gas {gas})")]
    Refused {
        /// Why.
        reason: TransactionRefused,
        /// Gas that the call had.
        gas: u64,
    },
    /// Two kinds of prices were named, or another chain.
    #[error("{0}")]
    Arguments(String),
    /// The time was over.
    #[error("execution aborted (timeout)")]
    Timeout,
    /// Logs or returned data take more memory than they may.
    #[error("logs or output of the simulation exceed {0} bytes")]
    TooLarge(usize),
    /// This node cannot execute it.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

impl From<StorageError> for SimulationError {
    fn from(error: StorageError) -> Self {
        Self::Execution(error.into())
    }
}

impl From<TraceError> for SimulationError {
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Timeout => Self::Timeout,
            TraceError::TooLarge(bytes) => Self::TooLarge(bytes),
            TraceError::Execution(error) => Self::Execution(error),
        }
    }
}

impl Executor {
    /// Simulates blocks on top of a decided one.
    ///
    /// # Errors
    /// See [`SimulationError`]. A call that reverts or halts is an outcome.
    pub fn simulate(
        &self,
        store: &Store,
        base: Height,
        simulation: &Simulation,
        bounds: SimulationBounds,
    ) -> Result<Vec<SimulatedBlock>, SimulationError> {
        let head = store.head().height;
        let unknown = || StorageError::UnknownHeight { asked: base, head };
        let header = store.header_by_number(base)?.ok_or_else(unknown)?;
        let plan = chain::plan(&header, &simulation.blocks)?;
        let below = store.state_at(base)?;
        let mut state = self.state_on(&below);
        state.set_empty_accounts(EmptyAccounts::UntilTouched);
        let mut run = Run {
            executor: self,
            store,
            base,
            simulation,
            bounds,
            left: Left {
                gas: bounds.gas,
                bytes: bounds.bytes_max,
            },
        };
        let mut parent = SealedHeader::new(header);
        let mut blocks = Vec::with_capacity(plan.len());
        for planned in &plan {
            let (block, after) = run.block(&parent, planned, state)?;
            state = after;
            state.set_block_hash(block.block.header().number, block.block.hash());
            parent = SealedHeader::new(block.block.header().clone());
            blocks.push(block);
        }
        Ok(blocks)
    }
}

/// A header with its hash.
struct SealedHeader {
    header: Header,
    hash: B256,
}

impl SealedHeader {
    fn new(header: Header) -> Self {
        let hash = header.hash_slow();
        Self { header, hash }
    }
}

/// A simulation under way.
struct Run<'a> {
    executor: &'a Executor,
    store: &'a Store,
    base: Height,
    simulation: &'a Simulation,
    bounds: SimulationBounds,
    left: Left,
}

/// What all further calls may use together.
struct Left {
    gas: u64,
    /// Of returned data.
    bytes: usize,
}

impl<'a> Run<'a> {
    fn block<'s>(
        &mut self,
        parent: &SealedHeader,
        planned: &PlannedBlock<'_>,
        mut state: BlockState<'s>,
    ) -> Result<(SimulatedBlock, BlockState<'s>), SimulationError>
    where
        'a: 's,
    {
        if Instant::now() >= self.bounds.deadline {
            return Err(SimulationError::Timeout);
        }
        let executor = self.executor;
        let rules = executor.rules_of(planned.number, planned.time);
        let mut header = self.header(parent, planned, &rules);
        pretend_accounts(&mut state, planned.accounts)?;
        let mut execution = self.open(&rules, &header, planned, state)?;
        let calls = Calls {
            trace_transfers: self.simulation.trace_transfers,
            validation: self.simulation.validation,
            bounds: self.bounds,
            chain_id: executor.spec().chain_id,
            rules: &rules,
        };
        let (transactions, senders, outcomes);
        (execution, transactions, senders, outcomes) =
            calls.run(execution, planned.calls, &mut self.left)?;
        execution.pay_miner(executor.reward_before_paris(header.number))?;
        let (executed, state) = execution.close(planned.withdrawals)?;
        header.state_root = self.store.state_root_on(self.base, &executed.changes)?;
        header.gas_used = executed.gas_used;
        header.receipts_root = executed.receipts_root;
        header.logs_bloom = executed.logs_bloom;
        header.requests_hash = executed.requests_hash;
        header.transactions_root = unsigned::transactions_root(&transactions);
        header.blob_gas_used = header.blob_gas_used.map(|_| blob_gas(&transactions));
        let withdrawals = header.withdrawals_root.map(|_| {
            let list = planned.withdrawals.to_vec();
            Withdrawals::new(list)
        });
        let body = alloy_consensus::BlockBody {
            transactions,
            ommers: Vec::new(),
            withdrawals,
        };
        let sealed = SealedBlock::new(Block::new(header, body));
        let simulated = SimulatedBlock {
            block: RecoveredBlock::new_unchecked(sealed, senders),
            calls: outcomes,
        };
        Ok((simulated, state))
    }

    /// Starts the block, precompiles moved and blob price set as the caller wants.
    fn open<'s>(
        &self,
        rules: &MachineRules,
        header: &Header,
        planned: &PlannedBlock<'_>,
        state: BlockState<'s>,
    ) -> Result<BlockExecution<'s>, SimulationError>
    where
        'a: 's,
    {
        let roots = ParentRoots {
            hash: header.parent_hash,
            beacon: header.parent_beacon_block_root.unwrap_or_default(),
        };
        let executor: &'a Executor = self.executor;
        let environment = CallEnvironment::of_header(header);
        let mut execution = BlockExecution::start_with(
            &executor.spec,
            rules,
            rules.call_config(),
            state,
            environment,
            roots,
        )?;
        let machine = &mut execution.machine;
        let places = places_of_precompiles(&machine.precompiles, planned.accounts);
        if let Some(places) = places.map_err(ExecutionError::from)? {
            machine.precompiles.set_places(places);
        }
        if let Some(price) = planned.blob_base_fee
            && let Some(blob) = &mut machine.ctx.block.blob_excess_gas_and_price
        {
            blob.blob_gasprice = price;
        }
        Ok(execution)
    }

    /// The header before its execution.
    fn header(
        &self,
        parent: &SealedHeader,
        planned: &PlannedBlock<'_>,
        rules: &MachineRules,
    ) -> Header {
        let before = &parent.header;
        let has = |fork: SpecId| rules.fork.is_enabled_in(fork);
        let withdrawals_root = match planned.withdrawals {
            [] => EMPTY_WITHDRAWALS,
            withdrawals => calculate_withdrawals_root(withdrawals),
        };
        Header {
            parent_hash: parent.hash,
            number: planned.number,
            timestamp: planned.time,
            beneficiary: planned.beneficiary,
            gas_limit: planned.gas_limit,
            mix_hash: planned.prev_randao,
            // Paris comes with a time, which a simulation may run past.
            difficulty: match has(SpecId::MERGE) {
                true => U256::ZERO,
                false => before.difficulty,
            },
            base_fee_per_gas: has(SpecId::LONDON).then(|| self.base_fee(before, planned)),
            withdrawals_root: has(SpecId::SHANGHAI).then_some(withdrawals_root),
            blob_gas_used: has(SpecId::CANCUN).then_some(0),
            excess_blob_gas: has(SpecId::CANCUN).then(|| self.excess_blob_gas(before, rules)),
            parent_beacon_block_root: has(SpecId::CANCUN).then_some(planned.beacon_root),
            ..Header::default()
        }
    }

    /// Without validation a base fee is none unless it is asked for: calls that
    /// name no price would not pay it.
    fn base_fee(&self, before: &Header, planned: &PlannedBlock<'_>) -> u64 {
        let spec = &self.executor.spec;
        match planned.base_fee {
            Some(fee) => fee,
            None if !self.simulation.validation => 0,
            None if spec.header_rules == HeaderRules::Medina => crate::next_base_fee(spec, before),
            None => ethereum_base_fee(before),
        }
    }

    fn excess_blob_gas(&self, before: &Header, rules: &MachineRules) -> u64 {
        if self.executor.spec.header_rules == HeaderRules::Medina {
            return 0;
        }
        let Some(excess) = before.excess_blob_gas else {
            return 0;
        };
        let used = before.blob_gas_used.unwrap_or(0);
        let base_fee = before.base_fee_per_gas.unwrap_or(0);
        let blobs = rules.blobs;
        blobs.next_block_excess_blob_gas_osaka(excess, used, base_fee)
    }
}

/// EIP-1559, with the fee that London began with.
fn ethereum_base_fee(parent: &Header) -> u64 {
    const FIRST_BASE_FEE: u64 = 1_000_000_000;
    let Some(fee) = parent.base_fee_per_gas else {
        return FIRST_BASE_FEE;
    };
    let params = BaseFeeParams::ethereum();
    calc_next_block_base_fee(parent.gas_used, parent.gas_limit, fee, params)
}

fn blob_gas(transactions: &[Transaction]) -> u64 {
    use alloy_consensus::Transaction as _;
    let hashes = transactions
        .iter()
        .filter_map(|one| one.blob_versioned_hashes());
    hashes.flatten().count() as u64 * DATA_GAS_PER_BLOB
}
