//! Blocks that begin with changes of the state which no transaction made.
//!
//! `medina dev` offers them to test suites (`anvil_setBalance` and its kin). Such a
//! block names its changes by their hash in its extra data, and whoever executes it
//! looks them up, so that all nodes of the network come to the same root. Nobody
//! else brings an [`EditedBlocks`] along: to every other node extra data says nothing.

use crate::{BlockState, ExecutionError, Executor, StateFailure, state::bytecode};
use alloy_primitives::{Address, Bytes, U256};
use revm::{
    Database as _,
    state::{Account, AccountInfo, AccountStatus, EvmState, EvmStorageSlot},
};
use std::{fmt, sync::Arc};

/// One change of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEdit {
    /// The account.
    pub address: Address,
    /// What becomes of it.
    pub change: AccountEdit,
}

/// What becomes of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountEdit {
    /// It owns this much, wei.
    Balance(U256),
    /// Its next transaction has this nonce.
    Nonce(u64),
    /// Its code is this; none if empty.
    Code(Bytes),
    /// A slot of its storage has this value.
    Slot {
        /// The slot.
        key: U256,
        /// Its value.
        value: U256,
    },
}

/// Who knows the changes that blocks name in their extra data.
pub trait EditedBlocks: Send + Sync + fmt::Debug {
    /// The changes that this extra data names, if it names any.
    fn edits_of(&self, extra_data: &[u8]) -> Option<Arc<Vec<StateEdit>>>;
}

impl Executor {
    /// Follows the changes that blocks of a development network begin with. On
    /// such a network accounts with code may send transactions, too, since tests
    /// pretend to be contracts (EIP-3607 is off).
    #[must_use]
    pub fn with_edited_blocks(mut self, edited: Arc<dyn EditedBlocks>) -> Self {
        self.edited = Some(edited);
        self
    }

    /// Makes the changes that a block begins with.
    pub(crate) fn begin_edited(
        &self,
        extra_data: &[u8],
        state: &mut BlockState<'_>,
    ) -> Result<(), ExecutionError> {
        let edited = self.edited.as_ref();
        let Some(edits) = edited.and_then(|edited| edited.edits_of(extra_data)) else {
            return Ok(());
        };
        for edit in edits.iter() {
            make(state, edit)?;
        }
        Ok(())
    }
}

/// As if a transaction had done it, so that empty accounts vanish as ever.
fn make(state: &mut BlockState<'_>, edit: &StateEdit) -> Result<(), StateFailure> {
    let address = edit.address;
    let mut info = state.basic(address)?.unwrap_or_default();
    let mut account = Account::default();
    match &edit.change {
        AccountEdit::Balance(balance) => info.balance = *balance,
        AccountEdit::Nonce(nonce) => info.nonce = *nonce,
        AccountEdit::Code(code) => {
            let code = bytecode(code.clone());
            info = AccountInfo {
                code_hash: code.hash_slow(),
                code: Some(code),
                ..info
            };
        }
        AccountEdit::Slot { key, value } => {
            let before = state.storage(address, *key)?;
            let slot = EvmStorageSlot::new_changed(before, *value, Default::default());
            account.storage.insert(*key, slot);
        }
    }
    account.info = info;
    account.status = AccountStatus::Touched;
    state.apply(EvmState::from_iter([(address, account)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CodeCache;
    use alloy_primitives::{B256, KECCAK256_EMPTY, keccak256};
    use medina_storage::{StateReader, StorageError};
    use medina_types::AccountState;

    /// One account with one slot.
    struct Below;

    const OWNER: Address = Address::repeat_byte(1);

    impl StateReader for Below {
        fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
            let owner = AccountState {
                nonce: 3,
                balance: U256::from(7),
                code_hash: KECCAK256_EMPTY,
            };
            Ok((address == OWNER).then_some(owner))
        }

        fn slot(&self, address: Address, key: U256) -> Result<U256, StorageError> {
            let is_set = address == OWNER && key == U256::ONE;
            Ok(U256::from(u8::from(is_set)))
        }

        fn code(&self, _hash: B256) -> Result<Option<Bytes>, StorageError> {
            Ok(None)
        }

        fn block_hash(&self, _number: u64) -> Result<Option<B256>, StorageError> {
            Ok(None)
        }
    }

    fn changed(edits: &[(Address, AccountEdit)]) -> medina_types::StateChanges {
        let codes = Arc::<CodeCache>::default();
        let mut state = BlockState::new(&Below, &codes);
        for (address, change) in edits.iter().cloned() {
            make(&mut state, &StateEdit { address, change }).unwrap();
        }
        state.changes().unwrap()
    }

    #[test]
    fn each_change_leaves_the_rest_of_the_account_alone() {
        let slot = |key: u64, value: u64| AccountEdit::Slot {
            key: U256::from(key),
            value: U256::from(value),
        };
        let code = Bytes::from_static(&[0]);
        let changes = changed(&[
            (OWNER, AccountEdit::Balance(U256::from(9))),
            (OWNER, AccountEdit::Nonce(1)),
            (OWNER, AccountEdit::Code(code.clone())),
            (OWNER, slot(1, 0)),
            (OWNER, slot(2, 5)),
        ]);
        let account = &changes.accounts[&OWNER];
        let after = AccountState {
            nonce: 1,
            balance: U256::from(9),
            code_hash: keccak256(&code),
        };
        assert_eq!(account.after, Some(after));
        let slots: Vec<_> = account
            .storage
            .iter()
            .map(|(key, slot)| (*key, slot.before, slot.after))
            .collect();
        let [zero, one, two, five] = [0, 1, 2, 5].map(U256::from);
        assert_eq!(slots, [(one, one, zero), (two, zero, five)]);
        assert_eq!(changes.codes[&keccak256(&code)], code);
    }

    #[test]
    fn code_that_only_begins_like_a_delegation_is_taken_as_it_is() {
        let code = Bytes::from_static(&[0xef, 0x01, 0x00, 0x07]);
        let changes = changed(&[(OWNER, AccountEdit::Code(code.clone()))]);
        assert_eq!(changes.codes[&keccak256(&code)], code);
    }

    #[test]
    fn account_without_anything_left_is_gone() {
        let changes = changed(&[
            (OWNER, AccountEdit::Balance(U256::ZERO)),
            (OWNER, AccountEdit::Nonce(0)),
        ]);
        assert_eq!(changes.accounts[&OWNER].after, None);
    }
}
