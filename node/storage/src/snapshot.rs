//! The state at one block in bounded pieces: read from one store, written into
//! another, whose root then says whether all of it is right.
//!
//! Pieces come in the order of addresses and slots. Old states are read from the
//! history: what lies in the current tables and what the history says was there are
//! walked together, and each account and slot is asked for as it was.
//!
//! A piece is turned into [`StateChanges`] on top of the pieces before, so that a
//! store takes it like the changes of a block: memory stays bounded by one piece,
//! and the trie is built along the way.

use crate::database::{View, corrupt};
use crate::schema::Table;
use crate::state::StateReader;
use crate::{StorageError, Store, keys};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{AccountChange, AccountState, Height, StateChanges, StorageChange};
use std::collections::BTreeMap;

/// Bytes of an account in a piece, its code and slots aside.
const ACCOUNT_BYTES: usize = 96;
/// Bytes of a slot in a piece.
const SLOT_BYTES: usize = 64;
/// Accounts and slots that are looked at for one piece, also where they were gone at its
/// block: so many deleted ones in a row, and the piece ends early, with nothing in it
/// perhaps. A smaller piece looks at no more of them than it may have bytes.
const LOOKED_AT_MAX: usize = 200_000;
/// What every piece looks at, however small: an account and one of its slots.
const LOOKED_AT_MIN: usize = 2;

/// Where the next piece begins. Cursors are in the order of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SnapshotCursor {
    address: [u8; 20],
    /// The first slot that was not sent; the account itself was.
    slot: Option<[u8; 32]>,
}

/// An account in a piece.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SnapshotAccount {
    address: [u8; 20],
    nonce: u64,
    balance: [u8; 32],
    code_hash: [u8; 32],
    /// The code, in the piece in which the account begins.
    code: Option<Vec<u8>>,
    /// Slots in ascending order, none zero.
    slots: Vec<([u8; 32], [u8; 32])>,
}

/// A piece of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SnapshotChunk {
    /// Accounts in ascending order; the first may go on from the piece before.
    pub accounts: Vec<SnapshotAccount>,
    /// Where the next piece begins; `None` if this was the last.
    pub next: Option<SnapshotCursor>,
}

impl SnapshotAccount {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address.into()
    }

    /// Nonce, balance and code.
    #[must_use]
    pub fn state(&self) -> AccountState {
        AccountState {
            nonce: self.nonce,
            balance: U256::from_be_bytes(self.balance),
            code_hash: self.code_hash.into(),
        }
    }

    /// Its slots in this piece.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = (U256, U256)> + '_ {
        let word = |bytes: &[u8; 32]| U256::from_be_bytes(*bytes);
        self.slots
            .iter()
            .map(move |(slot, value)| (word(slot), word(value)))
    }

    fn begin(address: Address, state: &AccountState, code: Option<Bytes>) -> Self {
        Self {
            address: address.0.0,
            nonce: state.nonce,
            balance: state.balance.to_be_bytes(),
            code_hash: state.code_hash.0,
            code: code.map(|code| code.to_vec()),
            slots: Vec::new(),
        }
    }

    fn check_code(&self) -> Result<(), StorageError> {
        let (address, expected) = (self.address(), B256::from(self.code_hash));
        let found = self.code.as_ref().map_or(KECCAK256_EMPTY, keccak256);
        if found == expected {
            return Ok(());
        }
        Err(StorageError::SnapshotCode {
            address,
            expected,
            found,
        })
    }
}

impl SnapshotChunk {
    /// Checks that the piece lies between the cursor it was asked with and the one that
    /// it names, which is further on: a walk gets somewhere with each piece, also where
    /// there is nothing in it, and never comes back.
    ///
    /// # Errors
    /// [`StorageError::MalformedSnapshot`].
    pub fn check_place(&self, from: Option<&SnapshotCursor>) -> Result<(), StorageError> {
        if self.next.is_some() && self.next.as_ref() <= from {
            return Err(malformed("a piece that goes no further".to_owned()));
        }
        let first = self.accounts.first();
        let is_early = first.zip(from).is_some_and(|(account, from)| {
            let slot = account.slots.first().map(|(slot, _)| *slot);
            let is_before = slot.is_some() && slot < from.slot;
            account.address < from.address || (account.address == from.address && is_before)
        });
        let last = self.accounts.last();
        let is_late = last.zip(self.next.as_ref()).is_some_and(|(account, next)| {
            let slot = account.slots.last().map(|(slot, _)| *slot);
            let is_behind = next.slot.is_none() || slot >= next.slot;
            account.address > next.address || (account.address == next.address && is_behind)
        });
        if is_early || is_late {
            return Err(malformed("a piece that is not where it says".to_owned()));
        }
        Ok(())
    }

    /// The changes that bring this piece onto the pieces before, `state` being the
    /// state after those.
    ///
    /// # Errors
    /// [`StorageError::MalformedSnapshot`] for a piece out of order,
    /// [`StorageError::SnapshotCode`] for a code that is not the account's, or a
    /// failure of the database.
    pub fn changes_on(&self, state: &dyn StateReader) -> Result<StateChanges, StorageError> {
        let mut changes = StateChanges::default();
        let mut last: Option<Address> = None;
        for account in &self.accounts {
            let address = account.address();
            if last.is_some_and(|last| last >= address) {
                return Err(malformed(format!("account {address} is out of order")));
            }
            let is_first = last.is_none();
            last = Some(address);
            let before = state.account(address)?;
            let after = account.state();
            match before {
                // Only the first of a piece can have begun in the one before.
                Some(before) if is_first && before == after => {}
                Some(_) => return Err(malformed(format!("account {address} comes twice"))),
                None => account.check_code()?,
            }
            if before.is_none()
                && let Some(code) = &account.code
            {
                let code = Bytes::copy_from_slice(code);
                changes.codes.insert(after.code_hash, code);
            }
            let storage = slots_on(account, before.is_some().then_some(state))?;
            // It goes on, and nothing but deleted slots lay there.
            if before.is_some() && storage.is_empty() {
                continue;
            }
            let change = AccountChange {
                before,
                after: Some(after),
                storage_wiped: false,
                storage,
            };
            changes.accounts.insert(address, change);
        }
        Ok(changes)
    }
}

fn malformed(reason: String) -> StorageError {
    StorageError::MalformedSnapshot(reason)
}

fn slots_on(
    account: &SnapshotAccount,
    state: Option<&dyn StateReader>,
) -> Result<BTreeMap<U256, StorageChange>, StorageError> {
    let (address, mut slots) = (account.address(), BTreeMap::new());
    for (slot, after) in account.slots() {
        let out_of_order = slots
            .last_key_value()
            .is_some_and(|(last, _)| *last >= slot);
        if out_of_order || after.is_zero() {
            return Err(malformed(format!(
                "slot {slot} of {address} is out of order"
            )));
        }
        let before = match state {
            Some(state) => state.slot(address, slot)?,
            None => U256::ZERO,
        };
        if !before.is_zero() {
            return Err(malformed(format!("slot {slot} of {address} comes twice")));
        }
        slots.insert(slot, StorageChange { before, after });
    }
    Ok(slots)
}

impl Store {
    /// A piece of the state right after a block, of about `bytes_max` bytes: one
    /// code or slot more at most. From the beginning without a cursor.
    ///
    /// # Errors
    /// As [`Self::state_at`], or [`StorageError::Corrupt`].
    pub fn snapshot_chunk(
        &self,
        height: Height,
        from: Option<&SnapshotCursor>,
        bytes_max: usize,
    ) -> Result<SnapshotChunk, StorageError> {
        let state = self.state_at(height)?;
        let view = self.database().view();
        let mut walk = Walk {
            view: &view,
            state: &state,
            chunk: SnapshotChunk::default(),
            bytes_left: bytes_max.max(1),
            looked_at: 0,
            looked_at_max: bytes_max.clamp(LOOKED_AT_MIN, LOOKED_AT_MAX),
        };
        walk.run(from)?;
        Ok(walk.chunk)
    }

    /// Slots of one account right after a block that are not zero, in order, from one
    /// on, at most `max`.
    ///
    /// # Errors
    /// As [`Self::snapshot_chunk`].
    pub fn slots_at(
        &self,
        height: Height,
        address: Address,
        from: U256,
        max: usize,
    ) -> Result<Vec<(U256, U256)>, StorageError> {
        let state = self.state_at(height)?;
        let view = self.database().view();
        let mut found = Vec::new();
        for slot in slots_once_there(&view, address, from).take(LOOKED_AT_MAX) {
            let slot = slot?;
            let value = state.slot(address, slot)?;
            if !value.is_zero() {
                found.push((slot, value));
            }
            if found.len() >= max {
                break;
            }
        }
        Ok(found)
    }
}

/// A walk over the state that fills one piece.
struct Walk<'a> {
    view: &'a View<'a>,
    state: &'a dyn StateReader,
    chunk: SnapshotChunk,
    bytes_left: usize,
    looked_at: usize,
    looked_at_max: usize,
}

impl Walk<'_> {
    fn run(&mut self, from: Option<&SnapshotCursor>) -> Result<(), StorageError> {
        let first = from.map_or(Address::ZERO, |cursor| cursor.address.into());
        for address in accounts_once_there(self.view, first) {
            let address = address?;
            let begun = from.filter(|cursor| cursor.address == address.0.0);
            let from_slot = begun.and_then(|cursor| cursor.slot);
            if self.is_full() {
                self.chunk.next = Some(SnapshotCursor {
                    address: address.0.0,
                    slot: None,
                });
                return Ok(());
            }
            self.looked_at += 1;
            let Some(account) = self.state.account(address)? else {
                continue;
            };
            if !self.take(address, &account, from_slot)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes_left == 0 || self.looked_at >= self.looked_at_max
    }

    /// Puts an account and its slots into the piece; false when the piece is full.
    fn take(
        &mut self,
        address: Address,
        account: &AccountState,
        from_slot: Option<[u8; 32]>,
    ) -> Result<bool, StorageError> {
        // It is named again where its slots go on, without its code.
        let code = match from_slot {
            None => self.code(account)?,
            Some(_) => None,
        };
        // Whoever goes on with slots takes one at least: every piece goes further.
        if from_slot.is_none() {
            self.spend(ACCOUNT_BYTES + code.as_ref().map_or(0, |code| code.len()));
        }
        let mut taken = SnapshotAccount::begin(address, account, code);
        let first = from_slot.map_or(U256::ZERO, U256::from_be_bytes);
        for slot in slots_once_there(self.view, address, first) {
            let slot = slot?;
            if self.is_full() {
                self.chunk.next = Some(SnapshotCursor {
                    address: address.0.0,
                    slot: Some(slot.to_be_bytes()),
                });
                self.chunk.accounts.push(taken);
                return Ok(false);
            }
            self.looked_at += 1;
            let value = self.state.slot(address, slot)?;
            if !value.is_zero() {
                self.spend(SLOT_BYTES);
                taken.slots.push((slot.to_be_bytes(), value.to_be_bytes()));
            }
        }
        self.chunk.accounts.push(taken);
        Ok(true)
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    fn code(&self, account: &AccountState) -> Result<Option<Bytes>, StorageError> {
        if account.code_hash == KECCAK256_EMPTY {
            return Ok(None);
        }
        let hash = account.code_hash;
        let code = self.state.code(hash)?;
        let missing = || corrupt(Table::Codes, hash.as_slice(), "a code is missing");
        code.ok_or_else(missing).map(Some)
    }
}

/// Addresses that are or ever were in the kept state, in order, each once.
fn accounts_once_there<'a>(
    view: &'a View<'a>,
    from: Address,
) -> impl Iterator<Item = Result<Address, StorageError>> + 'a {
    let address = |table: Table, key: &[u8]| {
        let bytes = key.first_chunk::<20>();
        let bytes = bytes.ok_or_else(|| corrupt(table, key, "no address"))?;
        Ok(Address::from(*bytes))
    };
    let current = view
        .keys_from(Table::Accounts, from.as_slice())
        .map(move |key| address(Table::Accounts, &key?));
    let former = view
        .keys_from(Table::AccountHistory, from.as_slice())
        .map(move |key| address(Table::AccountHistory, &key?));
    merged(current, former)
}

/// Slots of an account that are or ever were in the kept state, in order, each once.
fn slots_once_there<'a>(
    view: &'a View<'a>,
    address: Address,
    from: U256,
) -> impl Iterator<Item = Result<U256, StorageError>> + 'a {
    let start = keys::slot(&address, &from);
    let within = |table: Table| {
        view.keys_from(table, &start)
            .map(move |key| Ok((table, key?)))
            .take_while(move |key| match key {
                Ok((_, key)) => key.starts_with(address.as_slice()),
                Err(_) => true,
            })
            .map(|key: Result<(Table, Box<[u8]>), StorageError>| {
                let (table, key) = key?;
                let slot = key.get(..52).and_then(keys::slot_of);
                slot.ok_or_else(|| corrupt(table, &key, "no slot key"))
            })
    };
    merged(within(Table::Slots), within(Table::SlotHistory))
}

/// Two ascending sequences as one without repetitions.
fn merged<T: Ord + Copy>(
    left: impl Iterator<Item = Result<T, StorageError>>,
    right: impl Iterator<Item = Result<T, StorageError>>,
) -> impl Iterator<Item = Result<T, StorageError>> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    let mut last = None;
    std::iter::from_fn(move || {
        loop {
            let from_left = match (left.peek(), right.peek()) {
                (Some(Ok(one)), Some(Ok(other))) => one <= other,
                (Some(Ok(_)), None) | (Some(Err(_)), _) => true,
                (None | Some(Ok(_)), _) => false,
            };
            let next = if from_left { left.next() } else { right.next() }?;
            match next {
                Ok(item) if last == Some(item) => {}
                Ok(item) => {
                    last = Some(item);
                    return Some(Ok(item));
                }
                error => return Some(error),
            }
        }
    })
}
