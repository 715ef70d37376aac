//! The one place where a virtual machine is put together.
//!
//! Blocks, calls, estimates and genesis all use it, with different checks
//! switched off; an inspector (access lists, tracers) can be put inside.

use crate::{BlockState, ExecutionError, MedinaPrecompiles, StateFailure};
use alloy_eips::eip7840::BlobParams;
use medina_types::{Fork, ForkRules, HeaderRules};
use revm::{
    Context, Journal,
    context::{BlockEnv, CfgEnv, Evm, FrameStack, TxEnv},
    context_interface::result::EVMError,
    handler::{EthFrame, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
};

/// Context of a machine that runs on a [`BlockState`].
pub type MachineContext<'a> =
    Context<BlockEnv, TxEnv, CfgEnv, BlockState<'a>, Journal<BlockState<'a>>, ()>;

/// A virtual machine with Medina's precompiles and an inspector.
pub type Machine<'a, I = ()> = Evm<
    MachineContext<'a>,
    I,
    EthInstructions<EthInterpreter, MachineContext<'a>>,
    MedinaPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// What the machine answers when it cannot go on.
pub type MachineError = EVMError<StateFailure>;

/// Which rules a machine follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineRules {
    /// The hard fork.
    pub fork: SpecId,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Limits and prices of blobs.
    pub blobs: BlobParams,
    /// Whether Medina's own precompiles exist.
    pub with_medina_precompiles: bool,
    /// Whether the precompile of privacy markers is among them: where genesis has the
    /// contract of private groups, so that a chain made before there was one goes on as it
    /// began.
    pub with_marker: bool,
    /// Whether accounts with code may send transactions (EIP-3607 off), as on
    /// development networks alone.
    pub with_contracts_as_senders: bool,
}

impl MachineRules {
    /// Osaka's rules, with our precompiles under our own header rules.
    #[must_use]
    pub fn new(chain_id: u64, header_rules: HeaderRules) -> Self {
        Self::under(chain_id, header_rules, &ForkRules::new(0, Fork::Osaka))
    }

    /// Rules of a fork, with our precompiles under our own header rules.
    #[must_use]
    pub fn under(chain_id: u64, header_rules: HeaderRules, rules: &ForkRules) -> Self {
        let with_medina_precompiles = header_rules == HeaderRules::Medina;
        Self {
            fork: machine_fork(rules.fork),
            chain_id,
            blobs: rules.blobs,
            with_medina_precompiles,
            with_marker: false,
            with_contracts_as_senders: false,
        }
    }

    /// Configuration with every check of a block's transaction on.
    #[must_use]
    pub fn block_config(&self) -> CfgEnv {
        let mut config = CfgEnv::new_with_spec(self.fork)
            .with_chain_id(self.chain_id)
            .with_max_blobs_per_tx(self.blobs.max_blobs_per_tx);
        config.disable_eip3607 = self.with_contracts_as_senders;
        config
    }

    /// Configuration for calls, as geth runs them: no nonce, any sender, gas
    /// price below the base fee, more gas than a block or transaction may have.
    #[must_use]
    pub fn call_config(&self) -> CfgEnv {
        let mut config = self.block_config();
        config.disable_nonce_check = true;
        config.disable_eip3607 = true;
        config.disable_base_fee = true;
        config.disable_block_gas_limit = true;
        config.tx_gas_limit_cap = Some(u64::MAX);
        config
    }
}

/// The machine's name for a fork.
const fn machine_fork(fork: Fork) -> SpecId {
    match fork {
        Fork::Paris => SpecId::MERGE,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
        Fork::Osaka => SpecId::OSAKA,
    }
}

/// Builds a machine on a state.
pub fn machine<'a, I>(
    rules: &MachineRules,
    config: CfgEnv,
    block: BlockEnv,
    state: BlockState<'a>,
    inspector: I,
) -> Machine<'a, I> {
    let context: MachineContext<'a> = Context::new(state, rules.fork);
    let mut precompiles = MedinaPrecompiles::new(rules.fork, rules.with_medina_precompiles);
    if !rules.with_marker {
        precompiles = precompiles.without_marker();
    }
    Evm {
        ctx: context.with_block(block).with_cfg(config),
        inspector,
        instruction: EthInstructions::new_mainnet_with_spec(rules.fork),
        precompiles,
        frame_stack: FrameStack::new_prealloc(8),
    }
}

/// A machine error that is no transaction's fault.
pub(crate) fn machine_failure(error: MachineError) -> ExecutionError {
    match error {
        EVMError::Database(failure) => failure.into(),
        EVMError::Transaction(invalid) => ExecutionError::Machine(invalid.to_string()),
        EVMError::Header(invalid) => ExecutionError::Machine(invalid.to_string()),
        EVMError::Custom(text) => ExecutionError::Machine(text),
        EVMError::CustomAny(error) => ExecutionError::Machine(error.to_string()),
    }
}
