//! From what the machine changed above both states to what changed in the group's.

use super::PrivateError;
use alloy_primitives::{Address, KECCAK256_EMPTY, U256};
use medina_storage::StateReader;
use medina_types::{AccountChange, AccountState, StateChanges};
use std::collections::{BTreeMap, BTreeSet};

/// Private contracts and the nonces of senders; everything else that the machine
/// touched is public and, as was checked, unchanged.
pub(super) fn of(
    all: StateChanges,
    group: &dyn StateReader,
    nonces: &BTreeMap<Address, u64>,
    created: &BTreeSet<Address>,
) -> Result<StateChanges, PrivateError> {
    let mut changes = StateChanges::default();
    for (address, change) in all.accounts {
        let before = group.account(address)?;
        let has_code = before.is_some_and(|account| account.code_hash != KECCAK256_EMPTY);
        if !has_code && !created.contains(&address) {
            continue;
        }
        let change = contract_change(before, change);
        if let Some(after) = change.after
            && let Some(code) = all.codes.get(&after.code_hash)
        {
            changes.codes.insert(after.code_hash, code.clone());
        }
        changes.accounts.insert(address, change);
    }
    for (address, nonce) in nonces {
        let before = group.account(*address)?;
        let after = Some(AccountState {
            nonce: *nonce,
            ..AccountState::default()
        });
        if before != after {
            let change = AccountChange {
                before,
                after,
                ..AccountChange::default()
            };
            changes.accounts.insert(*address, change);
        }
    }
    Ok(changes)
}

fn contract_change(before: Option<AccountState>, change: AccountChange) -> AccountChange {
    let balance = U256::ZERO;
    AccountChange {
        before,
        after: change.after.map(|after| AccountState { balance, ..after }),
        // What is public below does not become the group's to wipe.
        storage_wiped: change.storage_wiped && before.is_some(),
        storage: change.storage,
    }
}
