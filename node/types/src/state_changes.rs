//! What one block changed: the only thing that execution hands to storage.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use std::collections::BTreeMap;

/// An account without its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak of the code; [`KECCAK256_EMPTY`] for none.
    pub code_hash: B256,
}

impl AccountState {
    /// True when EIP-161 says the account does not exist.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
    }
}

impl Default for AccountState {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK256_EMPTY,
        }
    }
}

/// One storage slot before and after a block; zero means absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageChange {
    /// Value before the block.
    pub before: U256,
    /// Value after the block.
    pub after: U256,
}

/// One account before and after a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// Account before, `None` if it did not exist.
    pub before: Option<AccountState>,
    /// Account after, `None` if it does not exist any more.
    pub after: Option<AccountState>,
    /// True when all storage from before the block was deleted first
    /// (destruction, or creation over an old account); `storage` then holds
    /// the slots that exist afterwards and, with `after` zero, nothing else:
    /// storage expands the wipe itself from its own data.
    pub storage_wiped: bool,
    /// Changed slots by key.
    pub storage: BTreeMap<U256, StorageChange>,
}

/// Everything that one block changed in the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Changed accounts; an account appears only if something differs.
    pub accounts: BTreeMap<Address, AccountChange>,
    /// Code that first appeared in this block, by its hash.
    pub codes: BTreeMap<B256, Bytes>,
}

impl StateChanges {
    /// True when the block changed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.codes.is_empty()
    }
}
