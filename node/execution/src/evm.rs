//! The one place where a virtual machine is put together.
//!
//! Blocks, calls, estimates and genesis all use it, with different checks
//! switched off; an inspector (access lists, tracers) can be put inside.

use crate::{BlockState, ExecutionError, MedinaPrecompiles, StateFailure};
use alloy_eips::eip7840::BlobParams;
use medina_types::HeaderRules;
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
    /// Whether Medina's own precompiles exist.
    pub with_medina_precompiles: bool,
}

impl MachineRules {
    /// Rules of a chain: Osaka, with our precompiles under our own header rules.
    #[must_use]
    pub fn new(chain_id: u64, header_rules: HeaderRules) -> Self {
        let with_medina_precompiles = header_rules == HeaderRules::Medina;
        Self {
            fork: SpecId::OSAKA,
            chain_id,
            with_medina_precompiles,
        }
    }

    /// Blob limits and prices of the fork.
    #[must_use]
    pub fn blob_params(&self) -> BlobParams {
        if self.fork.is_enabled_in(SpecId::OSAKA) {
            BlobParams::osaka()
        } else if self.fork.is_enabled_in(SpecId::PRAGUE) {
            BlobParams::prague()
        } else {
            BlobParams::cancun()
        }
    }

    /// Configuration with every check of a block's transaction on.
    #[must_use]
    pub fn block_config(&self) -> CfgEnv {
        CfgEnv::new_with_spec(self.fork)
            .with_chain_id(self.chain_id)
            .with_max_blobs_per_tx(self.blob_params().max_blobs_per_tx)
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

/// Builds a machine on a state.
pub fn machine<'a, I>(
    rules: &MachineRules,
    config: CfgEnv,
    block: BlockEnv,
    state: BlockState<'a>,
    inspector: I,
) -> Machine<'a, I> {
    let context: MachineContext<'a> = Context::new(state, rules.fork);
    Evm {
        ctx: context.with_block(block).with_cfg(config),
        inspector,
        instruction: EthInstructions::new_mainnet_with_spec(rules.fork),
        precompiles: MedinaPrecompiles::new(rules.fork, rules.with_medina_precompiles),
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
