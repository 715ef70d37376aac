//! Reading accounts, slots and code: at the head from the flat tables, at old
//! blocks with one seek into the history.
//!
//! Each reader holds a snapshot, so that a block committed meanwhile changes
//! nothing of what it sees. A snapshot keeps overwritten values alive until it
//! is dropped: take one per call or block, not for the life of a process.

use crate::database::{View, corrupt, decode};
use crate::schema::Table;
use crate::{StorageError, encoding, keys};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use medina_types::{AccountState, Height};

/// The state at one block, as execution and RPC read it.
pub trait StateReader {
    /// An account, `None` if it does not exist.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] or [`StorageError::Database`].
    fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError>;

    /// A storage slot; zero where nothing was stored.
    ///
    /// # Errors
    /// As [`Self::account`].
    fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError>;

    /// Code by its hash; empty for the hash of nothing.
    ///
    /// # Errors
    /// As [`Self::account`].
    fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError>;

    /// Hash of a block at or below the reader's own, `None` above it.
    ///
    /// # Errors
    /// As [`Self::account`].
    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError>;
}

impl<T: StateReader + ?Sized> StateReader for &T {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
        (**self).account(address)
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        (**self).slot(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
        (**self).code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        (**self).block_hash(number)
    }
}

/// The state of the head at the moment this was made.
pub struct LatestState<'a> {
    view: View<'a>,
}

/// The state right after an old block.
pub struct HistoricalState<'a> {
    view: View<'a>,
    height: Height,
    /// Nothing was overwritten since: the history need not be asked.
    is_head: bool,
}

impl<'a> LatestState<'a> {
    pub(crate) const fn new(view: View<'a>) -> Self {
        Self { view }
    }
}

impl<'a> HistoricalState<'a> {
    pub(crate) fn new(view: View<'a>, height: Height) -> Result<Self, StorageError> {
        let head = view.head_height()?;
        if height > head {
            return Err(StorageError::UnknownHeight {
                asked: height,
                head,
            });
        }
        Ok(Self {
            view,
            height,
            is_head: height == head,
        })
    }

    /// The block after which this is the state.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    fn overwritten(&self, table: Table, subject: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if self.is_head {
            Ok(None)
        } else {
            self.view.overwritten(table, subject, self.height)
        }
    }
}

impl View<'_> {
    /// Height of the head at this moment.
    pub(crate) fn head_height(&self) -> Result<Height, StorageError> {
        Ok(self.head()?.ok_or(StorageError::NotInitialized)?.height)
    }

    /// Head at this moment, `None` before genesis.
    pub(crate) fn head(&self) -> Result<Option<encoding::StoredHead>, StorageError> {
        let (table, key) = (Table::Meta, crate::schema::meta::HEAD);
        decode(table, key, self.get(table, key)?, encoding::read_borsh)
    }

    /// The value that a block after `height` was the first to overwrite.
    pub(crate) fn overwritten(
        &self,
        history: Table,
        subject: &[u8],
        height: Height,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        self.first(history, subject, &keys::at(subject, height.next()))
    }

    fn account(&self, address: &Address) -> Result<Option<AccountState>, StorageError> {
        let (table, key) = (Table::Accounts, address.as_slice());
        decode(table, key, self.row(table, key)?, encoding::read_account)
    }

    fn slot(&self, key: &[u8]) -> Result<U256, StorageError> {
        let table = Table::Slots;
        Ok(decode(table, key, self.row(table, key)?, encoding::read_word)?.unwrap_or_default())
    }

    fn code(&self, hash: &B256) -> Result<Option<Bytes>, StorageError> {
        if *hash == KECCAK256_EMPTY {
            return Ok(Some(Bytes::new()));
        }
        let code = self.get(Table::Codes, hash.as_slice())?;
        Ok(code.map(|code| Bytes::copy_from_slice(&code)))
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        let header = self.get(Table::Headers, &keys::height(Height(number)))?;
        Ok(header.map(|header| keccak256(&*header)))
    }
}

impl StateReader for LatestState<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
        self.view.account(&address)
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        self.view.slot(&keys::slot(&address, &slot))
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
        self.view.code(&hash)
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        self.view.block_hash(number)
    }
}

impl StateReader for HistoricalState<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
        let table = Table::AccountHistory;
        match self.overwritten(table, address.as_slice())? {
            Some(before) => encoding::read_account_before(&before)
                .map_err(|reason| corrupt(table, address.as_slice(), reason)),
            None => self.view.account(&address),
        }
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        let (table, key) = (Table::SlotHistory, keys::slot(&address, &slot));
        match self.overwritten(table, &key)? {
            Some(before) => {
                encoding::read_word(&before).map_err(|reason| corrupt(table, &key, reason))
            }
            None => self.view.slot(&key),
        }
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
        self.view.code(&hash)
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        if number > self.height.0 {
            Ok(None)
        } else {
            self.view.block_hash(number)
        }
    }
}
