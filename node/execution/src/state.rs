//! The state as one block sees it: the head's state below, the block's changes above.
//!
//! Every account and slot is read from below once and remembered with the value
//! it had there. So the changes of the block, with correct values before, fall
//! out at the end, and nothing that ends as it began is among them.

use crate::{CodeCache, ExecutionError};
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, U256,
    map::{AddressMap, B256Map, HashMap},
};
use medina_storage::{StateReader, StorageError};
use medina_types::{AccountChange, AccountState, StateChanges, StorageChange};
use revm::{
    Database,
    bytecode::Bytecode,
    database_interface::DBErrorMarker,
    state::{Account, AccountInfo, EvmState},
};
use std::{collections::BTreeMap, sync::Arc};

/// A failure of the store, in the form that the virtual machine passes on.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StateFailure(#[from] pub StorageError);

impl DBErrorMarker for StateFailure {}

impl From<StateFailure> for ExecutionError {
    fn from(failure: StateFailure) -> Self {
        Self::State(failure.0)
    }
}

#[derive(Clone, Debug)]
struct Slot {
    /// Value below; `None` while nobody needed it (writes to a fresh contract).
    before: Option<U256>,
    now: U256,
}

#[derive(Clone, Debug)]
struct CachedAccount {
    before: Option<AccountState>,
    now: Option<AccountState>,
    /// Storage from below is gone; slots that are not in `storage` are zero.
    is_wiped: bool,
    storage: HashMap<U256, Slot>,
}

impl CachedAccount {
    fn loaded(before: Option<AccountState>) -> Self {
        Self {
            before,
            now: before,
            is_wiped: false,
            storage: HashMap::default(),
        }
    }

    fn wipe(&mut self) {
        self.is_wiped = true;
        self.storage
            .values_mut()
            .for_each(|slot| slot.now = U256::ZERO);
    }

    fn write(&mut self, key: U256, value: U256) {
        self.storage
            .entry(key)
            .and_modify(|slot| slot.now = value)
            .or_insert(Slot {
                before: None,
                now: value,
            });
    }
}

/// State below and changes above, as a database of the virtual machine.
#[derive(Clone)]
pub struct BlockState<'a> {
    below: &'a dyn StateReader,
    codes: Arc<CodeCache>,
    accounts: AddressMap<CachedAccount>,
    new_codes: B256Map<Bytecode>,
    block_hashes: BTreeMap<u64, B256>,
    storage_without_code: Option<Arc<BTreeMap<Address, U256>>>,
    /// What empty accounts are.
    empty: EmptyAccounts,
}

/// What becomes of accounts without nonce, balance and code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EmptyAccounts {
    /// They are nowhere: EIP-161, and no genesis of ours has any.
    #[default]
    Absent,
    /// They are where somebody pretended them, until they are touched (EIP-161).
    UntilTouched,
    /// They stay: the rules before EIP-161.
    Kept,
}

/// Nonce that the machine sees where an account has storage but neither code nor
/// nonce. The machine asks code and nonce before it creates a contract, and not
/// storage as EIP-7610 demands; any nonce but zero makes it refuse.
const NONCE_OF_STORAGE_ALONE: u64 = 1;

impl std::fmt::Debug for BlockState<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BlockState")
            .field("accounts", &self.accounts.len())
            .finish_non_exhaustive()
    }
}

impl<'a> BlockState<'a> {
    /// Nothing changed yet.
    #[must_use]
    pub fn new(below: &'a dyn StateReader, codes: &Arc<CodeCache>) -> Self {
        Self {
            below,
            codes: Arc::clone(codes),
            accounts: AddressMap::default(),
            new_codes: B256Map::default(),
            block_hashes: BTreeMap::new(),
            storage_without_code: None,
            empty: EmptyAccounts::Absent,
        }
    }

    /// Says what empty accounts are from now on.
    pub(crate) fn set_empty_accounts(&mut self, empty: EmptyAccounts) {
        self.empty = empty;
    }

    /// As [`crate::Executor::with_storage_without_code`].
    pub(crate) fn with_storage_without_code(self, slots: &Arc<BTreeMap<Address, U256>>) -> Self {
        let storage_without_code = (!slots.is_empty()).then(|| Arc::clone(slots));
        Self {
            storage_without_code,
            ..self
        }
    }

    /// Whether the account still is one with storage but neither code nor nonce.
    fn is_storage_alone(&mut self, address: Address) -> Result<bool, StateFailure> {
        let slots = self.storage_without_code.as_ref();
        let Some(slot) = slots.and_then(|slots| slots.get(&address).copied()) else {
            return Ok(false);
        };
        let is_bare = self
            .load(address)?
            .now
            .is_some_and(|state| state.nonce == 0 && state.code_hash == KECCAK256_EMPTY);
        Ok(is_bare && !self.slot(address, slot)?.is_zero())
    }

    fn load(&mut self, address: Address) -> Result<&mut CachedAccount, StateFailure> {
        use std::collections::hash_map::Entry;
        Ok(match self.accounts.entry(address) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(CachedAccount::loaded(self.below.account(address)?))
            }
        })
    }

    /// The account as it is now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn account(&mut self, address: Address) -> Result<Option<AccountState>, StateFailure> {
        Ok(self.load(address)?.now)
    }

    fn slot(&mut self, address: Address, key: U256) -> Result<U256, StateFailure> {
        let below = self.below;
        let account = self.load(address)?;
        if let Some(slot) = account.storage.get(&key) {
            return Ok(slot.now);
        }
        let is_fresh = account.is_wiped || account.before.is_none();
        if is_fresh {
            return Ok(U256::ZERO);
        }
        let value = below.slot(address, key)?;
        account.storage.insert(
            key,
            Slot {
                before: Some(value),
                now: value,
            },
        );
        Ok(value)
    }

    /// Takes over what one transaction changed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn apply(&mut self, changes: EvmState) -> Result<(), StateFailure> {
        // The order does not matter: accounts are independent of each other.
        #[allow(
            clippy::iter_over_hash_type,
            reason = "every account is applied on its own"
        )]
        for (address, account) in changes {
            if account.is_touched() {
                self.apply_account(address, account)?;
            }
        }
        Ok(())
    }

    fn apply_account(&mut self, address: Address, changed: Account) -> Result<(), StateFailure> {
        let mut state = state_of(&changed.info);
        if state.nonce == NONCE_OF_STORAGE_ALONE
            && !changed.is_created()
            && self.is_storage_alone(address)?
        {
            state.nonce = 0;
        }
        let clears_empty = self.empty != EmptyAccounts::Kept;
        let is_gone = changed.is_selfdestructed() || (clears_empty && state.is_empty());
        let code = changed.info.code.clone();
        let cached = self.load(address)?;
        let former_code = cached
            .now
            .map_or(KECCAK256_EMPTY, |account| account.code_hash);
        if is_gone || changed.is_created() {
            cached.wipe();
        }
        // EIP-161: what is empty after being touched does not exist.
        cached.now = (!is_gone).then_some(state);
        if is_gone {
            return Ok(());
        }
        #[allow(
            clippy::iter_over_hash_type,
            reason = "every slot is written on its own"
        )]
        for (key, slot) in &changed.storage {
            if slot.is_changed() {
                cached.write(*key, slot.present_value);
            }
        }
        if state.code_hash != former_code && state.code_hash != KECCAK256_EMPTY {
            self.new_codes
                .extend(code.map(|code| (state.code_hash, code)));
        }
        Ok(())
    }

    /// Adds to a balance outside of any transaction: rewards and fee shares.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn credit(&mut self, address: Address, amount: U256) -> Result<(), StateFailure> {
        if !amount.is_zero() {
            let account = self.load(address)?;
            let mut state = account.now.unwrap_or_default();
            state.balance = state.balance.saturating_add(amount);
            account.now = Some(state);
        }
        Ok(())
    }

    /// Puts an account in place of what is there, its storage excepted.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn set_account(
        &mut self,
        address: Address,
        balance: U256,
        nonce: u64,
        code: Option<Bytes>,
    ) -> Result<(), StateFailure> {
        let code_hash = match code.filter(|code| !code.is_empty()) {
            Some(code) => self.remember_code(code),
            None => KECCAK256_EMPTY,
        };
        self.load(address)?.now = Some(AccountState {
            nonce,
            balance,
            code_hash,
        });
        Ok(())
    }

    /// Changes parts of an account.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn change_account(
        &mut self,
        address: Address,
        change: impl FnOnce(&mut AccountState),
    ) -> Result<(), StateFailure> {
        let account = self.load(address)?;
        let mut state = account.now.unwrap_or_default();
        change(&mut state);
        account.now = Some(state);
        Ok(())
    }

    /// Keeps a code under its hash, and answers the hash.
    pub fn remember_code(&mut self, code: Bytes) -> B256 {
        let hash = alloy_primitives::keccak256(&code);
        self.new_codes.insert(hash, bytecode(code));
        hash
    }

    /// Deletes all storage of an account.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn wipe_storage(&mut self, address: Address) -> Result<(), StateFailure> {
        self.load(address)?.wipe();
        Ok(())
    }

    /// Sets one slot outside of any transaction.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn set_slot(
        &mut self,
        address: Address,
        key: U256,
        value: U256,
    ) -> Result<(), StateFailure> {
        self.load(address)?.write(key, value);
        Ok(())
    }

    /// Pretends that a block has this hash.
    pub fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// Everything that differs from the state below.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn into_changes(self) -> Result<StateChanges, StateFailure> {
        self.changes()
    }

    /// Everything that differs from the state below so far.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn changes(&self) -> Result<StateChanges, StateFailure> {
        let mut changes = StateChanges::default();
        let keeps_empty = self.empty != EmptyAccounts::Absent;
        #[allow(
            clippy::iter_over_hash_type,
            reason = "the changes are sorted by address"
        )]
        for (address, account) in &self.accounts {
            if let Some(change) = change_of(self.below, *address, account, keeps_empty)? {
                add_code(&mut changes, &change, &self.new_codes);
                changes.accounts.insert(*address, change);
            }
        }
        Ok(changes)
    }
}

/// A code for the machine. What only begins like a delegation (EIP-7702) is code
/// like any other.
pub(crate) fn bytecode(code: Bytes) -> Bytecode {
    let known = Bytecode::new_raw_checked(code.clone());
    known.unwrap_or_else(|_| Bytecode::new_legacy(code))
}

fn state_of(info: &AccountInfo) -> AccountState {
    // The machine writes a zero hash for accounts that it never loaded code for.
    let code_hash = if info.code_hash.is_zero() {
        KECCAK256_EMPTY
    } else {
        info.code_hash
    };
    AccountState {
        nonce: info.nonce,
        balance: info.balance,
        code_hash,
    }
}

/// What differs between an account below and now, if anything does.
fn change_of(
    below: &dyn StateReader,
    address: Address,
    account: &CachedAccount,
    keeps_empty: bool,
) -> Result<Option<AccountChange>, StateFailure> {
    let after = account.now.filter(|state| keeps_empty || !state.is_empty());
    let storage_wiped = account.is_wiped && account.before.is_some();
    let mut storage = BTreeMap::new();
    #[allow(clippy::iter_over_hash_type, reason = "the slots are sorted by key")]
    for (key, slot) in &account.storage {
        let before = match slot.before {
            Some(before) => before,
            None if account.before.is_none() => U256::ZERO,
            None => below.slot(address, *key)?,
        };
        // Behind a wipe only what exists afterwards counts; storage knows the rest.
        let is_listed = if storage_wiped {
            !slot.now.is_zero()
        } else {
            slot.now != before
        };
        if is_listed && after.is_some() {
            let after = slot.now;
            storage.insert(*key, StorageChange { before, after });
        }
    }
    if account.before == after && storage.is_empty() && !storage_wiped {
        return Ok(None);
    }
    Ok(Some(AccountChange {
        before: account.before,
        after,
        storage_wiped,
        storage,
    }))
}

fn add_code(changes: &mut StateChanges, change: &AccountChange, codes: &B256Map<Bytecode>) {
    let hash_of = |state: Option<AccountState>| state.map(|state| state.code_hash);
    let (before, after) = (hash_of(change.before), hash_of(change.after));
    if before != after
        && let Some(hash) = after
        && let Some(code) = codes.get(&hash)
    {
        changes.codes.insert(hash, code.original_bytes());
    }
}

impl Database for BlockState<'_> {
    type Error = StateFailure;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateFailure> {
        let is_storage_alone = self.is_storage_alone(address)?;
        Ok(self.load(address)?.now.map(|state| AccountInfo {
            balance: state.balance,
            nonce: if is_storage_alone {
                NONCE_OF_STORAGE_ALONE
            } else {
                state.nonce
            },
            code_hash: state.code_hash,
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateFailure> {
        if let Some(code) = self.new_codes.get(&hash) {
            return Ok(code.clone());
        }
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code);
        }
        // A code that the store lacks is not remembered: it may come with the next block.
        let Some(code) = self.below.code(hash)?.map(bytecode) else {
            return Ok(Bytecode::default());
        };
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, StateFailure> {
        self.slot(address, key)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateFailure> {
        match self.block_hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => Ok(self.below.block_hash(number)?.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::state::{AccountStatus, EvmStorageSlot, TransactionId};

    const CONTRACT: Address = Address::repeat_byte(1);
    const PLAIN: Address = Address::repeat_byte(2);
    const FRESH: Address = Address::repeat_byte(3);

    /// One contract with the slots 1, 2, 3 = 10, 20, 30 and one plain account.
    struct Below;

    impl StateReader for Below {
        fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
            let code_hash = if address == CONTRACT {
                B256::repeat_byte(0xcc)
            } else {
                KECCAK256_EMPTY
            };
            let state = AccountState {
                nonce: 1,
                balance: U256::from(100),
                code_hash,
            };
            Ok((address != FRESH).then_some(state))
        }

        fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
            let is_used = address == CONTRACT && slot > U256::ZERO && slot < U256::from(4);
            Ok(if is_used {
                slot * U256::from(10)
            } else {
                U256::ZERO
            })
        }

        fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
            let is_odd = hash == B256::repeat_byte(0xef);
            Ok(is_odd.then(|| Bytes::from_static(&[0xef, 0x01, 0x00, 0x07])))
        }

        fn block_hash(&self, _number: u64) -> Result<Option<B256>, StorageError> {
            Ok(None)
        }
    }

    fn state() -> BlockState<'static> {
        BlockState::new(&Below, &Arc::default())
    }

    #[test]
    fn stored_code_that_only_begins_like_a_delegation_is_read_as_it_is() {
        let code = state().code_by_hash(B256::repeat_byte(0xef)).unwrap();
        assert_eq!(code.original_byte_slice(), [0xef, 0x01, 0x00, 0x07]);
    }

    fn touched(
        balance: u64,
        nonce: u64,
        status: AccountStatus,
        slots: &[(u64, u64, u64)],
    ) -> Account {
        let mut account = Account::default();
        account.info.balance = U256::from(balance);
        account.info.nonce = nonce;
        account.status = status | AccountStatus::Touched;
        for (key, original, present) in slots {
            let slot = EvmStorageSlot::new_changed(
                U256::from(*original),
                U256::from(*present),
                TransactionId::ZERO,
            );
            account.storage.insert(U256::from(*key), slot);
        }
        account
    }

    fn apply(state: &mut BlockState<'_>, address: Address, account: Account) {
        state
            .apply(EvmState::from_iter([(address, account)]))
            .unwrap();
    }

    #[test]
    fn what_ends_as_it_began_is_no_change() {
        let mut state = state();
        apply(
            &mut state,
            PLAIN,
            touched(50, 1, AccountStatus::empty(), &[]),
        );
        apply(
            &mut state,
            PLAIN,
            touched(100, 1, AccountStatus::empty(), &[]),
        );
        assert_eq!(state.slot(CONTRACT, U256::from(1)).unwrap(), U256::from(10));
        let mut unchanged = touched(100, 1, AccountStatus::empty(), &[(1, 10, 11)]);
        unchanged.info.code_hash = B256::repeat_byte(0xcc);
        apply(&mut state, CONTRACT, unchanged.clone());
        unchanged.storage.clear();
        let back = EvmStorageSlot::new_changed(U256::from(11), U256::from(10), TransactionId::ZERO);
        unchanged.storage.insert(U256::from(1), back);
        apply(&mut state, CONTRACT, unchanged);
        assert_eq!(state.into_changes().unwrap(), StateChanges::default());
    }

    #[test]
    fn destroyed_contract_is_wiped_and_its_slots_read_zero() {
        let mut state = state();
        assert_eq!(state.slot(CONTRACT, U256::from(1)).unwrap(), U256::from(10));
        apply(
            &mut state,
            CONTRACT,
            touched(0, 0, AccountStatus::SelfDestructed, &[]),
        );
        assert_eq!(state.slot(CONTRACT, U256::from(1)).unwrap(), U256::ZERO);
        assert_eq!(state.slot(CONTRACT, U256::from(2)).unwrap(), U256::ZERO);
        assert_eq!(state.account(CONTRACT).unwrap(), None);
        let changes = state.into_changes().unwrap();
        let change = &changes.accounts[&CONTRACT];
        assert!(change.before.is_some() && change.after.is_none() && change.storage_wiped);
        assert!(change.storage.is_empty());
    }

    #[test]
    fn contract_made_anew_lists_only_what_exists_with_the_values_before() {
        let mut state = state();
        assert_eq!(state.slot(CONTRACT, U256::from(1)).unwrap(), U256::from(10));
        apply(
            &mut state,
            CONTRACT,
            touched(0, 0, AccountStatus::SelfDestructed, &[]),
        );
        let anew = touched(5, 1, AccountStatus::Created, &[(2, 0, 7), (9, 0, 8)]);
        apply(&mut state, CONTRACT, anew);
        let changes = state.into_changes().unwrap();
        let change = &changes.accounts[&CONTRACT];
        assert!(change.storage_wiped);
        let slot = |key: u64| change.storage.get(&U256::from(key)).copied();
        let changed = |before: u64, after: u64| {
            Some(StorageChange {
                before: U256::from(before),
                after: U256::from(after),
            })
        };
        assert_eq!(
            [slot(1), slot(2), slot(3), slot(9)],
            [None, changed(20, 7), None, changed(0, 8)]
        );
    }

    #[test]
    fn account_touched_and_empty_does_not_exist() {
        let mut state = state();
        apply(
            &mut state,
            FRESH,
            touched(0, 0, AccountStatus::empty(), &[]),
        );
        apply(
            &mut state,
            PLAIN,
            touched(0, 0, AccountStatus::empty(), &[]),
        );
        let changes = state.into_changes().unwrap();
        assert_eq!(changes.accounts.keys().collect::<Vec<_>>(), [&PLAIN]);
        assert_eq!(changes.accounts[&PLAIN].after, None);
    }

    #[test]
    fn fresh_account_never_asks_below_for_slots() {
        let mut state = state();
        apply(
            &mut state,
            FRESH,
            touched(0, 1, AccountStatus::Created, &[(1, 0, 4)]),
        );
        assert_eq!(state.slot(FRESH, U256::from(1)).unwrap(), U256::from(4));
        assert_eq!(state.slot(FRESH, U256::from(2)).unwrap(), U256::ZERO);
        let changes = state.into_changes().unwrap();
        let change = &changes.accounts[&FRESH];
        assert!(change.before.is_none() && !change.storage_wiped);
        assert_eq!(change.storage.len(), 1);
    }
}
