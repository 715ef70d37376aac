//! Runs the items of one group in one public block.

use super::{
    Overlay, PrivateCommand, PrivateError, PrivateItem, PrivateReceipt, PrivateStatus, RootClaim,
    nonces::nonce_offset,
    run::{Claims, Run},
};
use crate::{CallEnvironment, Executor};
use alloy_primitives::{Address, B256};
use medina_storage::{StateReader, StateRootUpdate, Store};
use medina_types::{PrivacyMode, SignedPrivateTransaction, StateChanges, limits};

/// What all members of a group agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateRules {
    /// Identifier of the group.
    pub group: B256,
    /// Its mode.
    pub mode: PrivacyMode,
    /// Gas limit of one private transaction.
    pub gas_max: u64,
}

impl PrivateRules {
    /// Rules of a group with the usual gas limit.
    #[must_use]
    pub const fn new(group: B256, mode: PrivacyMode) -> Self {
        let gas_max = limits::PRIVATE_GAS_MAX;
        Self {
            group,
            mode,
            gas_max,
        }
    }
}

/// Executes private transactions of one group by the rules of a chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PrivateExecutor {
    pub(super) executor: Executor,
    pub(super) rules: PrivateRules,
}

/// What an execution stands on.
#[derive(Clone, Copy)]
pub struct Below<'a> {
    /// The group's store; execution goes on from its head.
    pub store: &'a Store,
    /// The public state after the block before.
    pub public: &'a dyn StateReader,
    /// The public block that it happens in.
    pub environment: CallEnvironment,
}

/// What a block's items came to; nothing is written yet.
#[derive(Clone, Debug)]
pub struct ExecutedItems {
    /// One receipt per item, in order.
    pub receipts: Vec<PrivateReceipt>,
    /// What changed among the group's accounts.
    pub changes: StateChanges,
    /// The group's trie afterwards.
    pub root: StateRootUpdate,
}

/// What a private transaction would come to.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Its receipt.
    pub receipt: PrivateReceipt,
    /// The group's roots before and after it: what its envelope claims.
    pub claim: RootClaim,
}

impl PrivateExecutor {
    /// An executor of a group on the chain of `executor`.
    #[must_use]
    pub fn new(executor: &Executor, rules: PrivateRules) -> Self {
        let executor = executor.clone();
        Self { executor, rules }
    }

    /// The group's rules.
    #[must_use]
    pub const fn rules(&self) -> &PrivateRules {
        &self.rules
    }

    /// Runs the items of one block, in order. Nothing is written.
    ///
    /// # Errors
    /// [`PrivateError::TooManyItems`], or when a store does not answer. An item that
    /// fails has a receipt that says so.
    pub fn execute(
        &self,
        below: Below<'_>,
        items: &[PrivateItem],
    ) -> Result<ExecutedItems, PrivateError> {
        let (got, max) = (items.len(), limits::PRIVATE_ITEMS_PER_COMMIT_MAX);
        if got > max {
            return Err(PrivateError::TooManyItems { got, max });
        }
        let group = below.store.state();
        let overlay = Overlay::new(&group, below.public);
        let mut run = Run::new(self, &below, &overlay, Claims::Compared);
        let mut receipts = Vec::with_capacity(items.len());
        for item in items {
            receipts.push(run.item(item)?);
        }
        let changes = run.changes()?;
        let root = below.store.state_root_after(&changes)?;
        Ok(ExecutedItems {
            receipts,
            changes,
            root,
        })
    }

    /// What one private transaction would come to on the group's newest state, and
    /// the roots that its envelope would name. Nothing is written.
    ///
    /// # Errors
    /// [`PrivateError::WouldNotRun`] for one that may not, with the reason; or when a
    /// store does not answer.
    pub fn preview(
        &self,
        below: Below<'_>,
        transaction: &SignedPrivateTransaction,
    ) -> Result<Preview, PrivateError> {
        let group = below.store.state();
        let overlay = Overlay::new(&group, below.public);
        let mut run = Run::new(self, &below, &overlay, Claims::Ignored);
        let before = run.root()?;
        let bare = PrivateReceipt::new((B256::ZERO, 0), B256::ZERO, PrivateStatus::Success);
        let command = PrivateCommand::Native(Box::new(transaction.clone()));
        let receipt = run.command(bare, &command, None)?;
        if !receipt.status.is_executed() {
            let reason = receipt.reason().unwrap_or_default();
            return Err(PrivateError::WouldNotRun(reason));
        }
        let claim = RootClaim::new(before, run.root()?);
        Ok(Preview { receipt, claim })
    }

    /// The next private nonce of an account, in the state of a group's store.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn nonce(&self, group: &dyn StateReader, sender: Address) -> Result<u64, PrivateError> {
        let account = group.account(sender)?;
        let offset = nonce_offset(self.rules.group);
        Ok(account.map_or(0, |account| account.nonce.saturating_sub(offset)))
    }
}
