//! Which accounts and slots there ever were, for those who list the state: rows of
//! the flat tables and of their histories, so that old states are covered too.

use crate::schema::Table;
use crate::{StorageError, Store, keys};
use alloy_primitives::{Address, U256};
use rocksdb::Direction;
use std::collections::BTreeSet;

/// Bytes of an address at the beginning of a key.
const ADDRESS_BYTES: usize = Address::len_bytes();
/// Bytes of an address and a slot.
const SLOT_KEY_BYTES: usize = ADDRESS_BYTES + 32;

impl Store {
    /// Accounts that exist or ever did, in order; `None` where more than `rows_max`
    /// rows would have to be read.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn accounts_ever(&self, rows_max: usize) -> Result<Option<Vec<Address>>, StorageError> {
        let tables = [Table::Accounts, Table::AccountHistory];
        let read = |key: &[u8]| key.get(..ADDRESS_BYTES).map(Address::from_slice);
        self.keys_ever(tables, &[], rows_max, read)
    }

    /// Slots of an account that hold something or ever did, in order; `None` where
    /// more than `rows_max` rows would have to be read.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn slots_ever(
        &self,
        address: Address,
        rows_max: usize,
    ) -> Result<Option<Vec<U256>>, StorageError> {
        let tables = [Table::Slots, Table::SlotHistory];
        let read = |key: &[u8]| key.get(..SLOT_KEY_BYTES).and_then(keys::slot_of);
        self.keys_ever(tables, address.as_slice(), rows_max, read)
    }

    fn keys_ever<T: Ord>(
        &self,
        tables: [Table; 2],
        prefix: &[u8],
        rows_max: usize,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<Vec<T>>, StorageError> {
        let view = self.database().view();
        let mut found = BTreeSet::new();
        let mut rows = 0;
        for table in tables {
            for key in view.keys_within(table, prefix, prefix, Direction::Forward) {
                rows += 1;
                if rows > rows_max {
                    return Ok(None);
                }
                found.extend(read(&key?));
            }
        }
        Ok(Some(found.into_iter().collect()))
    }
}
