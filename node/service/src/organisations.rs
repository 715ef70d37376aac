//! Which organisation an account belongs to, asked of the `Identity` contract.
//!
//! The answer decides whose gas credit a transaction draws on. It is kept until
//! a block changes the contract's account, so a flood asks the EVM once per
//! account and not once per transaction.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use medina_execution::{CallRequest, Executor};
use medina_pool::OrganisationOf;
use medina_storage::Store;
use medina_types::StateChanges;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Accounts whose organisation is remembered; beyond it the memory starts anew.
const ACCOUNTS_REMEMBERED_MAX: usize = 100_000;
/// Gas of one question; the specification's goal is 8,000.
const QUESTION_GAS: u64 = 100_000;

/// The `Identity` contract's view of accounts, remembered.
pub(crate) struct Organisations {
    store: Store,
    executor: Arc<Executor>,
    identity: Option<Address>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    organisations: BTreeMap<Address, Option<B256>>,
    /// Counts changes, so that an answer from before one is not kept.
    changes: u64,
}

impl Organisations {
    pub(crate) fn new(store: Store, executor: Arc<Executor>) -> Self {
        let identity = executor.spec().contracts.get("identity").copied();
        Self {
            store,
            executor,
            identity,
            remembered: Mutex::default(),
        }
    }

    /// Forgets what a block may have changed.
    pub(crate) fn on_block(&self, changes: &StateChanges) {
        if self
            .identity
            .is_some_and(|identity| changes.accounts.contains_key(&identity))
        {
            let mut remembered = self.remembered.lock();
            remembered.organisations.clear();
            remembered.changes += 1;
        }
    }

    fn ask(&self, identity: Address, account: Address) -> Option<B256> {
        let mut input = keccak256("orgOf(address)")[..4].to_vec();
        input.extend_from_slice(account.into_word().as_slice());
        let request = CallRequest {
            to: Some(identity),
            gas: Some(QUESTION_GAS),
            input: Bytes::from(input),
            ..CallRequest::default()
        };
        let head = self.store.head();
        let environment = self.executor.environment_of(&head.header);
        let outcome = self
            .executor
            .ask_contract(&self.store.state(), environment, &request)
            .ok()?;
        let answer = outcome.is_success().then_some(outcome.output)?;
        let organisation = B256::try_from(answer.as_ref()).ok()?;
        (organisation != B256::from(U256::ZERO)).then_some(organisation)
    }
}

impl OrganisationOf for Organisations {
    fn organisation(&self, account: Address) -> Option<B256> {
        let identity = self.identity?;
        let changes = {
            let remembered = self.remembered.lock();
            if let Some(known) = remembered.organisations.get(&account) {
                return *known;
            }
            remembered.changes
        };
        let organisation = self.ask(identity, account);
        let mut remembered = self.remembered.lock();
        if remembered.organisations.len() >= ACCOUNTS_REMEMBERED_MAX {
            remembered.organisations.clear();
        }
        if remembered.changes == changes {
            remembered.organisations.insert(account, organisation);
        }
        organisation
    }
}
