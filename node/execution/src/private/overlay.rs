//! The state as private execution sees it: the group's accounts, else the public ones.
//!
//! An account of the group is a private contract, which has code, or the private
//! nonce of a sender, which has none: of that one only the nonce is the group's, and
//! balance and code are public. Slots are the group's where the code is.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use medina_storage::{StateReader, StorageError};
use medina_types::AccountState;

/// A group's state above the public one. Balances are the public ones, and those of
/// private contracts are zero.
pub struct Overlay<'a> {
    group: &'a dyn StateReader,
    public: &'a dyn StateReader,
    /// What somebody's nonce is said to be inside the machine.
    nonce: Option<(Address, u64)>,
}

impl<'a> Overlay<'a> {
    /// A group's state above a public one.
    #[must_use]
    pub const fn new(group: &'a dyn StateReader, public: &'a dyn StateReader) -> Self {
        Self {
            group,
            public,
            nonce: None,
        }
    }

    /// The same with an account's nonce inside the machine.
    #[must_use]
    pub(super) const fn with_nonce(self, address: Address, nonce: u64) -> Self {
        let nonce = Some((address, nonce));
        Self { nonce, ..self }
    }

    /// The group's own accounts alone.
    #[must_use]
    pub const fn group(&self) -> &'a dyn StateReader {
        self.group
    }

    /// Whether a private contract is there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn is_private(&self, address: Address) -> Result<bool, StorageError> {
        has_code(self.group, address)
    }
}

/// Whether the group has a contract there.
pub(super) fn has_code(group: &dyn StateReader, address: Address) -> Result<bool, StorageError> {
    let account = group.account(address)?;
    Ok(account.is_some_and(|account| account.code_hash != KECCAK256_EMPTY))
}

impl StateReader for Overlay<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
        let named = self.nonce.filter(|(of, _)| *of == address);
        let found = match self.group.account(address)? {
            Some(own) if own.code_hash != KECCAK256_EMPTY => Some(own),
            Some(own) => Some(AccountState {
                nonce: own.nonce,
                ..self.public.account(address)?.unwrap_or_default()
            }),
            None => self.public.account(address)?,
        };
        Ok(match named {
            Some((_, nonce)) => Some(AccountState {
                nonce,
                ..found.unwrap_or_default()
            }),
            None => found,
        })
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        if self.is_private(address)? {
            self.group.slot(address, slot)
        } else {
            self.public.slot(address, slot)
        }
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
        match self.group.code(hash)? {
            Some(code) => Ok(Some(code)),
            None => self.public.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        self.public.block_hash(number)
    }
}
