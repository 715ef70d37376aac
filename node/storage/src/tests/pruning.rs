//! Pruning against a model that keeps everything: what is kept reads and proves as
//! ever, what is not is an error that says so, and sweeps leave nothing behind.

use super::chain::{Chain, simple_model};
use super::history::{Operation, apply, assert_proofs_verify, assert_reads_as, operation};
use crate::database::Entry;
use crate::keys::height_of_history;
use crate::schema::Table;
use crate::{Kept, OpenOptions, StateReader, StorageError, Store, SyncMode};
use alloy_primitives::{Address, U256};
use medina_types::Height;
use proptest::prelude::*;
use std::collections::BTreeSet;

const HISTORIES: [Table; 4] = [
    Table::AccountHistory,
    Table::SlotHistory,
    Table::AccountTrieHistory,
    Table::StorageTrieHistory,
];

pub(super) fn entries(store: &Store, table: Table) -> Vec<Entry> {
    let view = store.database().view();
    view.scan(table, &[]).collect::<Result<_, _>>().unwrap()
}

fn keep(state_from: u64, blocks_from: u64) -> Kept {
    Kept {
        state_from: Height(state_from),
        blocks_from: Height(blocks_from),
    }
}

/// Every block is as the model says, or is pruned and says so.
fn assert_kept(chain: &Chain) {
    let (store, kept) = (&chain.store, chain.store.kept());
    for (height, model) in (0..).map(Height).zip(&chain.models) {
        if height >= kept.state_from {
            assert_reads_as(&store.state_at(height).unwrap(), model).unwrap();
            assert_proofs_verify(store, height, model);
        } else {
            let (asked, from) = (height, kept.state_from);
            let pruned = StorageError::StatePruned { asked, from };
            assert_eq!(store.state_at(height).err(), Some(pruned.clone()));
            let proof = store.proof_at(height, Address::ZERO, &[]);
            assert_eq!(proof.err(), Some(pruned.clone()));
            let root = store.state_root_on(height, &Default::default());
            assert_eq!(root.err(), Some(pruned));
        }
        assert!(store.header_by_number(height).unwrap().is_some());
    }
}

fn assert_blocks_kept(store: &Store) {
    let from = store.kept().blocks_from;
    for height in (0..=store.head().height.0).map(Height) {
        let pruned = Some(StorageError::BlockPruned {
            asked: height,
            from,
        });
        if height >= from || height == Height::GENESIS {
            let block = store.block_by_number(height).unwrap().unwrap();
            assert_eq!(
                store.receipts(height).unwrap().unwrap().len(),
                block.senders.len()
            );
            for transaction in block.sealed.transactions() {
                let location = store.transaction_location(*transaction.tx_hash());
                assert_eq!(location.unwrap().unwrap().0, height);
            }
        } else {
            assert_eq!(store.block_by_number(height).err(), pruned);
            assert_eq!(store.block_rlp(height).err(), pruned);
            assert_eq!(store.receipts(height).err(), pruned);
        }
    }
}

/// Sweeps are done and nothing is left of what was pruned.
fn assert_swept(store: &Store) {
    let kept = store.kept();
    for table in HISTORIES {
        for (key, _) in entries(store, table) {
            let height = height_of_history(&key).unwrap();
            assert!(height > kept.state_from, "{} {height}", table.name());
        }
    }
    let blocks = kept.blocks_from.0.max(1);
    let left = store.head().height.0 + 1 - blocks + 1;
    for table in [Table::Bodies, Table::Receipts] {
        assert_eq!(entries(store, table).len() as u64, left, "{}", table.name());
    }
    let transactions: usize = (blocks..=store.head().height.0)
        .map(|height| store.block_by_number(Height(height)).unwrap().unwrap())
        .map(|block| block.senders.len())
        .sum();
    assert_eq!(entries(store, Table::TransactionIndex).len(), transactions);
}

fn sweep_all(store: &Store, step: usize) {
    while !store.sweep_history(step).unwrap().is_done {}
    while !store.sweep_blocks(step as u64).unwrap().is_done {}
}

/// Something that happens to a chain.
#[derive(Clone, Debug)]
enum Event {
    Block(Vec<Operation>),
    /// Keep so many states and blocks.
    Keep(u64, u64),
    /// Sweep so many entries.
    Sweep(usize),
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => proptest::collection::vec(operation(), 0..8).prop_map(Event::Block),
        2 => (1u64..8, 1u64..8).prop_map(|(states, blocks)| Event::Keep(states, blocks)),
        4 => (1usize..60).prop_map(Event::Sweep),
        1 => Just(Event::Reopen),
    ]
}

fn happen(chain: &mut Chain, folder: &std::path::Path, event: &Event) {
    match event {
        Event::Block(operations) => {
            let (mut model, mut wiped) = (chain.models.last().unwrap().clone(), BTreeSet::new());
            for operation in operations {
                apply(&mut model, &mut wiped, operation);
            }
            chain.extend(model, &wiped, SyncMode::Deferred);
        }
        Event::Keep(states, blocks) => {
            let next = chain.store.head().height.0 + 1;
            let wanted = keep(next.saturating_sub(*states), next.saturating_sub(*blocks));
            let before = chain.store.kept();
            let kept = chain.store.keep_from(wanted).unwrap();
            assert_eq!(kept.state_from, wanted.state_from.max(before.state_from));
            assert_eq!(kept.blocks_from, wanted.blocks_from.max(before.blocks_from));
        }
        Event::Sweep(entries) => {
            chain.store.sweep_history(*entries).unwrap();
            chain.store.sweep_blocks(1).unwrap();
        }
        Event::Reopen => {
            // The old handle must be gone before the folder can be opened again.
            let elsewhere = tempfile::tempdir().unwrap();
            let other = Store::open(elsewhere.path(), OpenOptions::default()).unwrap();
            let kept = chain.store.kept();
            drop(std::mem::replace(&mut chain.store, other));
            chain.store = Store::open(folder, OpenOptions::default()).unwrap();
            assert_eq!(chain.store.kept(), kept);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_histories_with_pruning_hold_at_every_kept_block(
        events in proptest::collection::vec(event(), 1..40),
        step in 1usize..40,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = Chain::create(folder.path(), simple_model(5, 10));
        for event in &events {
            happen(&mut chain, folder.path(), event);
        }
        // In the middle of whatever sweep was on its way, and at its end.
        assert_kept(&chain);
        assert_blocks_kept(&chain.store);
        sweep_all(&chain.store, step);
        sweep_all(&chain.store, step);
        assert_kept(&chain);
        assert_blocks_kept(&chain.store);
        assert_swept(&chain.store);
        chain.extend(simple_model(3, 7), &BTreeSet::new(), SyncMode::Deferred);
        assert_kept(&chain);
    }
}

fn chain_of(blocks: u64) -> (tempfile::TempDir, Chain) {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(4, 0));
    for height in 1..=blocks {
        chain.extend(
            simple_model(4, height),
            &BTreeSet::new(),
            SyncMode::Deferred,
        );
    }
    (folder, chain)
}

#[test]
fn head_is_always_kept_and_marks_never_fall() {
    let (_folder, chain) = chain_of(5);
    assert_eq!(chain.store.keep_from(keep(99, 99)), Ok(keep(5, 5)));
    assert_eq!(chain.store.keep_from(keep(2, 3)), Ok(keep(5, 5)));
    sweep_all(&chain.store, 1_000);
    assert_kept(&chain);
    assert_blocks_kept(&chain.store);
}

#[test]
fn reader_of_a_block_that_is_pruned_meanwhile_reads_on() {
    let (_folder, chain) = chain_of(6);
    let (old, model) = (chain.store.state_at(Height(2)).unwrap(), &chain.models[2]);
    chain.store.keep_from(keep(6, 6)).unwrap();
    sweep_all(&chain.store, 1_000);
    assert_swept(&chain.store);
    for (address, account) in model {
        assert_eq!(old.account(*address).unwrap(), Some(account.state));
    }
}

#[test]
fn steps_are_bounded_and_a_finished_sweep_writes_nothing() {
    let (_folder, chain) = chain_of(12);
    chain.store.keep_from(keep(12, 12)).unwrap();
    assert!(chain.store.is_sweep_due(12) && !chain.store.is_sweep_due(13));
    let mut steps = 0;
    loop {
        let swept = chain.store.sweep_history(7).unwrap();
        assert!(swept.deleted <= 7);
        steps += 1;
        if swept.is_done {
            break;
        }
        assert!(chain.store.is_sweep_due(13), "one is under way");
    }
    assert!(steps > 3, "{steps} steps");
    assert_eq!(chain.store.sweep_blocks(4).unwrap().deleted, 4);
    sweep_all(&chain.store, 7);
    assert!(!chain.store.is_sweep_due(0));
    let writes = chain.store.database().writes();
    sweep_all(&chain.store, 7);
    chain.store.keep_from(keep(3, 3)).unwrap();
    assert_eq!(chain.store.database().writes(), writes);
}

#[test]
fn checkpoint_of_a_pruned_store_knows_what_it_keeps() {
    let (folder, chain) = chain_of(6);
    chain.store.keep_from(keep(4, 3)).unwrap();
    chain.store.sweep_history(5).unwrap();
    let copy = folder.path().join("copy");
    chain.store.checkpoint(&copy).unwrap();
    let models = chain.models.clone();
    let store = Store::open(&copy, OpenOptions::default()).unwrap();
    assert_eq!(store.kept(), keep(4, 3));
    sweep_all(&store, 5);
    assert_swept(&store);
    assert_kept(&Chain { store, models });
}

/// A store that was killed somewhere between marks, sweeps and blocks, in which
/// block h has balance h everywhere.
pub(super) fn assert_whole_after_a_kill(store: &Store) {
    let (head, kept) = (store.head().height, store.kept());
    for height in (0..=head.0).map(Height) {
        let Ok(state) = store.state_at(height) else {
            assert!(
                height < kept.state_from,
                "block {height} of {head}: {kept:?}"
            );
            continue;
        };
        for address in (1..=4).map(Address::repeat_byte) {
            let account = state.account(address).unwrap().unwrap();
            assert_eq!(account.balance, U256::from(height.0));
            let proof = store.proof_at(height, address, &[]).unwrap();
            assert_eq!(proof.account, Some(account));
        }
    }
    assert_blocks_kept(store);
    sweep_all(store, 100);
    sweep_all(store, 100);
    assert_swept(store);
}
