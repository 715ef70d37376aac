//! The door to this crate: what a chain's rules make of blocks and calls.

use crate::{
    BlockState, CallEnvironment, CodeCache, EditedBlocks, ExecutionError, PermissionsError,
    environment::{next_base_fee, prevrandao},
    evm::MachineRules,
    private::has_marker,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, U256};
use medina_storage::{Head, StateReader, StateRootUpdate, Store};
use medina_types::{ChainSpec, Fork, Receipt, RecoveredBlock, StateChanges, ValidatorSet};
use revm::primitives::hardfork::SpecId;
use std::{collections::BTreeMap, sync::Arc};

/// Executes blocks and calls by the rules of one chain. Cheap to clone; all
/// clones share the cache of analysed codes.
#[derive(Clone, Debug)]
pub struct Executor {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) codes: Arc<CodeCache>,
    pub(crate) storage_without_code: Arc<BTreeMap<Address, U256>>,
    pub(crate) history: Option<Arc<dyn EthereumHistory>>,
    /// Changes that blocks begin with, on a development network alone.
    pub(crate) edited: Option<Arc<dyn EditedBlocks>>,
}

/// What an Ethereum chain has that none of ours has: forks before Paris by block,
/// rewards of miners, a deposit contract. Who serves the public test chain brings
/// it along.
pub trait EthereumHistory: Send + Sync + std::fmt::Debug {
    /// The fork of a block, `None` from Paris on.
    fn fork(&self, number: u64) -> Option<SpecId>;

    /// What the miner of a block is paid for it, wei.
    fn reward(&self, number: u64) -> U256;

    /// Blocks of forks, ascending: EIP-2124 identifies a chain by them.
    fn fork_blocks(&self) -> Vec<u64>;

    /// Contract whose logs are deposits (EIP-6110).
    fn deposit_contract(&self) -> Address;
}

/// A block with everything that its execution computed: what is voted on is
/// what is committed.
#[derive(Debug)]
pub struct ExecutedBlock {
    /// The block, senders included.
    pub block: RecoveredBlock,
    /// One receipt per transaction.
    pub receipts: Vec<Receipt>,
    /// What changed in the state.
    pub changes: StateChanges,
    /// The state's trie after it.
    pub root: StateRootUpdate,
    /// Validators of the height after it.
    pub next_validators: ValidatorSet,
    /// Why they stayed as they were although the block changed the
    /// `Permissioning` contract, where it did.
    pub validators_refused: Option<PermissionsError>,
    /// Gas of all its transactions.
    pub gas_used: u64,
}

impl Executor {
    /// Executor of a chain.
    #[must_use]
    pub fn new(spec: Arc<ChainSpec>) -> Self {
        Self {
            spec,
            codes: Arc::default(),
            storage_without_code: Arc::default(),
            history: None,
            edited: None,
        }
    }

    /// Follows an Ethereum chain's own history in the blocks that have one.
    #[must_use]
    pub fn with_history(self, history: Arc<dyn EthereumHistory>) -> Self {
        let history = Some(history);
        Self { history, ..self }
    }

    /// History that it follows, if any.
    #[must_use]
    pub fn history(&self) -> Option<&dyn EthereumHistory> {
        self.history.as_deref()
    }

    /// Names the accounts that genesis gives storage but neither code nor nonce,
    /// each with one of its slots that is not zero: EIP-7610 lets nobody create a
    /// contract there. They come from a genesis only, and ours refuses them, so
    /// public test vectors alone need this.
    #[must_use]
    pub fn with_storage_without_code(self, slots: BTreeMap<Address, U256>) -> Self {
        let storage_without_code = Arc::new(slots);
        Self {
            storage_without_code,
            ..self
        }
    }

    /// The state that a block or call of this chain sees, with nothing changed yet.
    #[must_use]
    pub fn state_on<'a>(&self, below: &'a dyn StateReader) -> BlockState<'a> {
        let state = BlockState::new(below, &self.codes);
        state.with_storage_without_code(&self.storage_without_code)
    }

    /// The chain's spec.
    #[must_use]
    pub fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// The fork of a block from Paris on.
    #[must_use]
    pub fn fork_of(&self, number: u64, time_s: u64) -> Fork {
        self.spec.forks.at_block(number, time_s).fork
    }

    /// Rules that its machines follow in a block of this number and time.
    #[must_use]
    pub fn rules_of(&self, number: u64, time_s: u64) -> MachineRules {
        let spec = &self.spec;
        let step = spec.forks.at_block(number, time_s);
        let mut rules = MachineRules::under(spec.chain_id, spec.header_rules, step);
        rules.with_contracts_as_senders = self.edited.is_some();
        rules.with_marker = has_marker(spec);
        if let Some(fork) = self.history().and_then(|history| history.fork(number)) {
            rules.fork = fork;
        }
        rules
    }

    /// What the miner of a block before Paris is paid.
    pub(crate) fn reward_before_paris(&self, number: u64) -> U256 {
        let history = self.history();
        history.map_or(U256::ZERO, |history| history.reward(number))
    }

    /// Codes that it has analysed.
    #[must_use]
    pub fn codes(&self) -> &Arc<CodeCache> {
        &self.codes
    }

    /// Environment of the next block: `pending`, estimates and access checks
    /// run in it, since an idle head's time is old.
    #[must_use]
    pub fn pending_environment(&self, head: &Head, clock_s: u64) -> CallEnvironment {
        let height = head.height.next();
        CallEnvironment {
            number: height.0,
            timestamp: head.header.timestamp.max(clock_s),
            beneficiary: head
                .context
                .proposer(height, medina_types::Round::ZERO)
                .operator,
            gas_limit: self.spec.gas_limit,
            base_fee: next_base_fee(&self.spec, &head.header),
            prevrandao: prevrandao(head.hash, height),
            excess_blob_gas: 0,
        }
    }

    /// Environment in which a block with this header ran.
    #[must_use]
    pub fn environment_of(&self, header: &Header) -> CallEnvironment {
        CallEnvironment::of_header(header)
    }

    /// Refuses to work on anything but the store's head: the flat state that
    /// execution reads is the head's.
    pub(crate) fn check_is_head(&self, store: &Store, parent: &Head) -> Result<(), ExecutionError> {
        let head = store.head().hash;
        if head == parent.hash {
            Ok(())
        } else {
            Err(ExecutionError::ParentIsNotHead {
                parent: parent.hash,
                head,
            })
        }
    }
}
