//! Random histories: every block's root is that of a full build, every old
//! state reads as it was, every old proof verifies, and nothing stale is left.

use super::chain::{Chain, Model, ModelAccount, root_of, simple_model};
use super::pruning::entries;
use crate::schema::Table;
use crate::{OpenOptions, StateReader, StorageError, Store, SyncMode};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{Nibbles, proof::verify_proof};
use medina_types::{AccountState, Height};
use proptest::prelude::*;
use std::collections::BTreeSet;

const ACCOUNTS: u8 = 14;
const SLOTS: u64 = 12;

#[derive(Clone, Debug)]
pub(super) enum Operation {
    SetAccount {
        account: u8,
        nonce: u64,
        balance: u64,
    },
    SetSlot {
        account: u8,
        slot: u64,
        value: u64,
    },
    Destroy {
        account: u8,
    },
    Recreate {
        account: u8,
        slot: u64,
        value: u64,
    },
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let account = || 0..ACCOUNTS;
    prop_oneof![
        3 => (account(), 0_u64..4, 0_u64..4).prop_map(|(account, nonce, balance)| {
            Operation::SetAccount { account, nonce, balance }
        }),
        6 => (account(), 0..SLOTS, 0_u64..3).prop_map(|(account, slot, value)| {
            Operation::SetSlot { account, slot, value }
        }),
        2 => account().prop_map(|account| Operation::Destroy { account }),
        1 => (account(), 0..SLOTS, 0_u64..3).prop_map(|(account, slot, value)| {
            Operation::Recreate { account, slot, value }
        }),
    ]
}

fn address(account: u8) -> Address {
    Address::repeat_byte(account)
}

/// Some slots are far apart and some values fill the word.
fn slot(slot: u64) -> U256 {
    if slot.is_multiple_of(3) {
        U256::MAX - U256::from(slot)
    } else {
        U256::from(slot)
    }
}

fn value(value: u64) -> U256 {
    if value == 2 {
        U256::MAX
    } else {
        U256::from(value)
    }
}

fn set_slot(account: &mut ModelAccount, index: u64, word: u64) {
    account.state.nonce = account.state.nonce.max(1);
    match value(word) {
        U256::ZERO => account.slots.remove(&slot(index)),
        word => account.slots.insert(slot(index), word),
    };
}

pub(super) fn apply(model: &mut Model, wiped: &mut BTreeSet<Address>, operation: &Operation) {
    match *operation {
        Operation::SetAccount {
            account,
            nonce,
            balance,
        } => {
            let entry = model.entry(address(account)).or_default();
            let code_hash = keccak256([account]);
            entry.state = AccountState {
                nonce,
                balance: U256::from(balance),
                code_hash,
            };
        }
        Operation::SetSlot {
            account,
            slot,
            value,
        } => {
            set_slot(model.entry(address(account)).or_default(), slot, value);
        }
        Operation::Destroy { account } => {
            model.remove(&address(account));
            wiped.insert(address(account));
        }
        Operation::Recreate {
            account,
            slot,
            value,
        } => {
            let mut fresh = ModelAccount::default();
            set_slot(&mut fresh, slot, value);
            model.insert(address(account), fresh);
            wiped.insert(address(account));
        }
    }
}

pub(super) fn assert_reads_as(
    reader: &impl StateReader,
    model: &Model,
) -> Result<(), StorageError> {
    let nobody = ModelAccount::default();
    for account in (0..ACCOUNTS).map(address) {
        let expected = model.get(&account);
        assert_eq!(
            reader.account(account)?,
            expected.map(|account| account.state)
        );
        for slot in (0..SLOTS).map(slot) {
            let expected = expected.unwrap_or(&nobody).slots.get(&slot).copied();
            assert_eq!(reader.slot(account, slot)?, expected.unwrap_or_default());
        }
    }
    Ok(())
}

fn rlp(value: &impl Encodable) -> Vec<u8> {
    alloy_rlp::encode(value)
}

pub(super) fn assert_proofs_verify(store: &Store, height: Height, model: &Model) {
    let root = store.header_by_number(height).unwrap().unwrap().state_root;
    let slots: Vec<_> = (0..SLOTS).map(slot).collect();
    for account in (0..ACCOUNTS).map(address) {
        let proof = store.proof_at(height, account, &slots).unwrap();
        let expected = model.get(&account);
        assert_eq!(proof.account, expected.map(|account| account.state));
        let key = Nibbles::unpack(keccak256(account));
        let leaf = expected.map(|account| rlp(&account.trie_account()));
        verify_proof(root, key, leaf, &proof.account_proof).unwrap();
        let expected = expected.cloned().unwrap_or_default();
        assert_eq!(proof.storage_hash, expected.storage_root());
        for slot in proof.storage_proofs {
            let value = expected.slots.get(&slot.slot).copied();
            assert_eq!(slot.value, value.unwrap_or_default());
            let key = Nibbles::unpack(keccak256(slot.slot.to_be_bytes::<32>()));
            let leaf = value.map(|value| rlp(&value));
            verify_proof(proof.storage_hash, key, leaf, &slot.proof).unwrap();
        }
    }
}

/// The latest state lies on the disk exactly as if it had been there from genesis.
fn assert_nothing_stale(store: &Store, model: &Model) {
    let folder = tempfile::tempdir().unwrap();
    let fresh = Chain::create(folder.path(), model.clone());
    for table in [
        Table::Accounts,
        Table::Slots,
        Table::AccountTrie,
        Table::StorageTrie,
    ] {
        assert_eq!(
            entries(store, table),
            entries(&fresh.store, table),
            "{}",
            table.name()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_histories_hold_at_every_block(
        blocks in proptest::collection::vec(
            proptest::collection::vec(operation(), 0..10), 1..14
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = Chain::create(folder.path(), simple_model(5, 10));
        for operations in &blocks {
            let (mut model, mut wiped) = (chain.models.last().unwrap().clone(), BTreeSet::new());
            for operation in operations {
                apply(&mut model, &mut wiped, operation);
            }
            // The commit itself compares the root with the model's full build.
            chain.extend(model, &wiped, SyncMode::Deferred);
            assert_reads_as(&chain.store.state(), chain.models.last().unwrap()).unwrap();
        }
        assert_nothing_stale(&chain.store, chain.models.last().unwrap());
        let Chain { store, models } = chain;
        drop(store);
        let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
        for (height, model) in (0..).map(Height).zip(&models) {
            assert_reads_as(&store.state_at(height).unwrap(), model).unwrap();
            assert_proofs_verify(&store, height, model);
        }
    }
}

#[test]
fn reader_keeps_its_block_while_others_are_committed() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 10));
    let store = chain.store.clone();
    let (latest, at_genesis) = (store.state(), store.state_at(Height(0)).unwrap());
    chain.extend(simple_model(2, 20), &BTreeSet::new(), SyncMode::Synced);
    assert_reads_as(&latest, &simple_model(3, 10)).unwrap();
    assert_reads_as(&at_genesis, &simple_model(3, 10)).unwrap();
    assert_eq!(latest.block_hash(1), Ok(None));
    assert_reads_as(&store.state(), &simple_model(2, 20)).unwrap();
    assert_eq!(store.state().block_hash(1), Ok(Some(store.head().hash)));
    assert_eq!(store.state_at(Height(0)).unwrap().block_hash(1), Ok(None));
}

#[test]
fn readers_beside_a_writer_never_see_half_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(8, 0));
    let store = chain.store.clone();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_done.load(order) {
                    let state = store.state();
                    let balances: BTreeSet<_> = (1..=8)
                        .map(|a| state.account(address(a)).unwrap().unwrap().balance)
                        .collect();
                    assert_eq!(balances.len(), 1, "two blocks at once: {balances:?}");
                    let height = store.head().height;
                    let state = store.state_at(height).unwrap();
                    let balance = state.account(address(1)).unwrap().unwrap().balance;
                    assert_eq!(balance, U256::from(height.0));
                }
            });
        }
        for balance in 1..=150 {
            chain.extend(
                simple_model(8, balance),
                &BTreeSet::new(),
                SyncMode::Deferred,
            );
        }
        is_done.store(true, order);
    });
}

#[test]
fn heights_above_the_head_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(1, 1));
    let unknown = StorageError::UnknownHeight {
        asked: Height(1),
        head: Height(0),
    };
    assert_eq!(chain.store.state_at(Height(1)).err(), Some(unknown.clone()));
    let proof = chain.store.proof_at(Height(1), Address::ZERO, &[]);
    assert_eq!(proof.err(), Some(unknown));
}

#[test]
fn empty_state_proves_that_nobody_exists() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), Model::new());
    assert_eq!(chain.store.head().header.state_root, root_of(&Model::new()));
    assert_proofs_verify(&chain.store, Height(0), &Model::new());
    assert_eq!(chain.store.state().code(B256::ZERO), Ok(None));
}
