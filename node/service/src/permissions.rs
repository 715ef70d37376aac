//! Which nodes the `Permissioning` contract lets connect.
//!
//! The answer is kept until a block changes the contract, or the identities that
//! it asks, so that a stranger who knocks again and again asks the EVM once.

use alloy_primitives::Address;
use medina_execution::{Executor, NodeStanding, PERMISSIONING};
use medina_storage::Store;
use medina_types::{NodePublicKey, StateChanges};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tracing::debug;

/// Nodes whose answer is remembered; beyond it the memory starts anew.
const NODES_REMEMBERED_MAX: usize = 4_096;

/// The contract's view of nodes, remembered.
pub(crate) struct NodePermissions {
    store: Store,
    executor: Arc<Executor>,
    contract: Option<Address>,
    identity: Option<Address>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    answers: BTreeMap<NodePublicKey, Option<NodeStanding>>,
    /// Counts changes, so that an answer from before one is not kept.
    changes: u64,
}

impl NodePermissions {
    pub(crate) fn new(store: Store, executor: Arc<Executor>) -> Self {
        let address_of = |name: &str| executor.spec().contracts.get(name).copied();
        let (contract, identity) = (address_of(PERMISSIONING), address_of("identity"));
        Self {
            store,
            executor,
            contract,
            identity,
            remembered: Mutex::default(),
        }
    }

    /// Forgets what a block may have changed.
    pub(crate) fn on_block(&self, changes: &StateChanges) {
        if self.contract.is_none() {
            return;
        }
        let asked = [self.contract, self.identity].into_iter().flatten();
        if asked
            .into_iter()
            .any(|address| changes.accounts.contains_key(&address))
        {
            let mut remembered = self.remembered.lock();
            remembered.answers.clear();
            remembered.changes += 1;
        }
    }

    /// Grows with every block that may have changed an answer.
    pub(crate) fn changes(&self) -> u64 {
        self.remembered.lock().changes
    }

    /// What the contract says of this node; `None` where there is none, or when
    /// it fails.
    pub(crate) fn standing(&self, key: &NodePublicKey) -> Option<NodeStanding> {
        self.contract?;
        let changes = {
            let remembered = self.remembered.lock();
            if let Some(answer) = remembered.answers.get(key) {
                return *answer;
            }
            remembered.changes
        };
        let answer = self.ask(key);
        let mut remembered = self.remembered.lock();
        if remembered.answers.len() >= NODES_REMEMBERED_MAX {
            remembered.answers.clear();
        }
        if remembered.changes == changes {
            remembered.answers.insert(*key, answer);
        }
        answer
    }

    fn ask(&self, key: &NodePublicKey) -> Option<NodeStanding> {
        let head = self.store.head();
        let environment = self.executor.environment_of(&head.header);
        let state = self.store.state();
        let answer = self.executor.node_standing(&state, environment, key);
        answer
            .inspect_err(|error| debug!(%key, %error, "the Permissioning contract gave no answer"))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::support::{chain, secret};
    use medina_execution::{NodeStanding, PERMISSIONING};
    use medina_types::{AccountChange, StateChanges};

    #[test]
    fn contract_admits_its_validators_and_no_stranger() {
        let (_folder, chain) = chain();
        let standing = |byte| chain.permissions.standing(&secret(byte).public_key());
        assert_eq!(standing(0), Some(NodeStanding::Allowed));
        assert_eq!(standing(60), Some(NodeStanding::Unknown));
        assert_eq!(standing(0), Some(NodeStanding::Allowed), "from memory");
    }

    #[test]
    fn answers_are_forgotten_when_a_block_changes_the_contract() {
        let (_folder, chain) = chain();
        let key = secret(60).public_key();
        chain.permissions.standing(&key);
        let changed = |address| {
            let mut changes = StateChanges::default();
            changes.accounts.insert(address, AccountChange::default());
            changes
        };
        let other = alloy_primitives::Address::repeat_byte(7);
        chain.permissions.on_block(&changed(other));
        assert_eq!(chain.permissions.changes(), 0);
        let contract = chain.spec.contracts[PERMISSIONING];
        chain.permissions.on_block(&changed(contract));
        assert_eq!(chain.permissions.changes(), 1);
        let remembered = chain.permissions.remembered.lock();
        assert!(remembered.answers.is_empty());
    }
}
