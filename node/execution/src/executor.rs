//! The door to this crate: what a chain's rules make of blocks and calls.

use crate::{
    CallEnvironment, CodeCache, ExecutionError,
    environment::{next_base_fee, prevrandao},
    evm::MachineRules,
};
use alloy_consensus::Header;
use medina_storage::{Head, StateRootUpdate, Store};
use medina_types::{ChainSpec, Receipt, RecoveredBlock, StateChanges, ValidatorSet};
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// Executes blocks and calls by the rules of one chain. Cheap to clone; all
/// clones share the cache of analysed codes.
#[derive(Clone, Debug)]
pub struct Executor {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) rules: MachineRules,
    pub(crate) codes: Arc<CodeCache>,
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
    /// Gas of all its transactions.
    pub gas_used: u64,
}

impl Executor {
    /// Executor of a chain.
    #[must_use]
    pub fn new(spec: Arc<ChainSpec>) -> Self {
        let rules = MachineRules::new(spec.chain_id, spec.header_rules);
        Self {
            spec,
            rules,
            codes: Arc::default(),
        }
    }

    /// Executor of a chain under another fork's rules than Osaka's, Cancun or
    /// later, for public test vectors.
    #[must_use]
    pub fn for_fork(spec: Arc<ChainSpec>, fork: SpecId) -> Self {
        let executor = Self::new(spec);
        Self {
            rules: MachineRules {
                fork,
                ..executor.rules
            },
            ..executor
        }
    }

    /// The chain's spec.
    #[must_use]
    pub fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// Rules that its machines follow, for tracers that build their own.
    #[must_use]
    pub fn rules(&self) -> &MachineRules {
        &self.rules
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
