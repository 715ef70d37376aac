//! Turns a block or call into its result.
//!
//! revm under the rules of the fork that holds at the time (Osaka by default),
//! with Medina's precompile. A block that is built and a block that is checked go through the same steps (`block_execution`):
//!
//! ```text
//! build    : candidates -> [execute each] -> header              (a proposer)
//! validate : header rules -> senders -> [execute each] -> compare (everybody)
//! ```
//!
//! Both answer an [`ExecutedBlock`]: block, receipts, state changes and the
//! trie after them, ready to be committed. Calls (`eth_call`, estimates, access
//! lists) run on any [`medina_storage::StateReader`] and change nothing.
//! [`GenesisBuilder`] makes the state of block 0 by the same machine.

mod access_list;
mod block_execution;
mod build;
mod call;
mod code_cache;
mod deposits;
mod edited_blocks;
mod environment;
mod error;
mod estimate;
mod evm;
mod executor;
mod genesis;
mod header_rules;
mod overrides;
mod permissions;
mod precompiles;
pub mod private;
mod simulate;
mod state;
mod system_contracts;
mod trace;
mod transaction;
mod transaction_permissions;
mod validate;

pub use access_list::AccessListOutcome;
pub use build::{BuildAttributes, TransactionSource};
pub use call::{CallOutcome, CallRequest, CallStatus, outcome_of};
pub use code_cache::CodeCache;
pub use edited_blocks::{AccountEdit, EditedBlocks, StateEdit};
pub use environment::{CallEnvironment, next_base_fee, prevrandao};
pub use error::{ExecutionError, InvalidBlock, TransactionRefused, revert_reason};
pub use evm::{Machine, MachineContext, MachineError, MachineRules, machine};
pub use executor::{EthereumHistory, ExecutedBlock, Executor};
pub use genesis::{GenesisAccount, GenesisBuilder, GenesisError, GenesisTransaction};
pub use header_rules::{ParentOf, check_block};
pub use overrides::{AccountOverride, BlockOverrides, OverrideError, StateOverrides};
pub use permissions::{NodeStanding, PERMISSIONING, PermissionsError};
pub use precompiles::{MedinaPrecompiles, VERIFY_GAS, WORD_GAS, ed25519_gas, ed25519_verify};
pub use revm::primitives::hardfork::SpecId;
pub use simulate::{
    BlockToSimulate, HeaderOverrides, SIMULATED_BLOCKS_MAX, SIMULATED_CALLS_MAX, SimulatedBlock,
    SimulatedCall, Simulation, SimulationBounds, SimulationError, encode_unsigned,
    unsigned_transaction,
};
pub use state::{BlockState, StateFailure};
pub use system_contracts::{SYSTEM_ADDRESS, SystemContract, system_contracts};
pub use trace::{
    Before, Inspector, Replay, ReplayedBlock, StepRecord, TraceBounds, TraceError, Watched,
};
pub use transaction_permissions::TransactionJudge;
