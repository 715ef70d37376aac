//! In which blocks an account changed, read from the history of accounts: an index
//! of addresses that costs nothing beside it.

use crate::schema::Table;
use crate::{StorageError, Store, keys};
use alloy_primitives::Address;
use medina_types::Height;
use rocksdb::Direction;

impl Store {
    /// The last blocks at or below a height that changed an account's balance, nonce
    /// or code, newest first, at most `max`. Of blocks whose history is pruned
    /// nothing is known.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn account_changes_down_from(
        &self,
        address: Address,
        height: Height,
        max: usize,
    ) -> Result<Vec<Height>, StorageError> {
        self.account_changes(address, height, Direction::Reverse, max)
    }

    /// The first blocks at or above a height that changed an account's balance,
    /// nonce or code, oldest first, at most `max`.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn account_changes_up_from(
        &self,
        address: Address,
        height: Height,
        max: usize,
    ) -> Result<Vec<Height>, StorageError> {
        self.account_changes(address, height, Direction::Forward, max)
    }

    fn account_changes(
        &self,
        address: Address,
        height: Height,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<Height>, StorageError> {
        let prefix = address.as_slice();
        let from = keys::at(prefix, height);
        let view = self.database().view();
        let found = view.keys_within(Table::AccountHistory, prefix, &from, direction);
        let heights =
            found.filter_map(|key| key.map(|key| keys::height_of_history(&key)).transpose());
        heights.take(max).collect()
    }
}
