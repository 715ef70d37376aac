//! The door to this crate: what a chain's rules make of blocks and calls.

use crate::{
    BlockState, CallEnvironment, CodeCache, ExecutionError, PermissionsError,
    environment::{next_base_fee, prevrandao},
    evm::MachineRules,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, U256};
use medina_storage::{Head, StateReader, StateRootUpdate, Store};
use medina_types::{ChainSpec, Receipt, RecoveredBlock, StateChanges, ValidatorSet};
use std::{collections::BTreeMap, sync::Arc};

/// Executes blocks and calls by the rules of one chain. Cheap to clone; all
/// clones share the cache of analysed codes.
#[derive(Clone, Debug)]
pub struct Executor {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) codes: Arc<CodeCache>,
    storage_without_code: Arc<BTreeMap<Address, U256>>,
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
        }
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

    /// Rules that its machines follow in a block of this time.
    #[must_use]
    pub fn rules_at(&self, time_s: u64) -> MachineRules {
        let spec = &self.spec;
        MachineRules::under(spec.chain_id, spec.header_rules, spec.forks.at(time_s))
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
