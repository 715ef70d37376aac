//! Group stores: positions, lookups, boundaries of commits, snapshots, erasure, kills.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_primitives::{Address, B256, Bytes, U256};
use common::private::{BOX, COPIER, GAS, GROUP, Inner, World, item, rules, word};
use common::{COUNTER, REVERTER, Send, account, init_code};
use medina_execution::private::{
    GroupOpening, GroupStore, GroupStores, Position, PrivateError, PrivateExecutor, PrivateInput,
    PrivateItem, PrivateStatus, nonce_offset,
};
use medina_storage::{SnapshotChunk, StateReader, StorageError, SyncMode};
use medina_types::{Height, PrivacyMode, Transaction};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

/// Address of a sender's private creation.
fn created(from: u8, nonce: u64) -> Address {
    account(from).address().create(nonce_offset(GROUP) + nonce)
}

fn all_state(store: &GroupStore, at: Height) -> Vec<SnapshotChunk> {
    let mut chunks = Vec::new();
    let mut next = None;
    loop {
        let chunk = store.snapshot_chunk(at, next.as_ref()).unwrap();
        next = chunk.next;
        chunks.push(chunk);
        if next.is_none() {
            return chunks;
        }
    }
}

/// A world in which account 1 keeps a counter and a box, and account 2 uses them.
fn busy_world(blocks: u64) -> World {
    let world = World::new();
    world.run([
        Inner::create(1, 0, &COUNTER).input(),
        Inner::create(1, 1, &BOX).input(),
    ]);
    for block in 0..blocks {
        let value = U256::from(block + 1).to_be_bytes_vec();
        world.run([
            Inner::call(2, 2 * block, created(1, 0), vec![]).input(),
            Inner::call(2, 2 * block + 1, created(1, 1), value).input(),
        ]);
    }
    world
}

#[test]
fn what_was_applied_is_not_applied_again_and_positions_never_go_back() {
    let world = World::new();
    world.chain.advance(&[]);
    let (store, executor) = (world.store(), world.executor());
    let items = [
        item(1, 0, Inner::create(1, 0, &COUNTER).input()),
        item(2, 5, Inner::create(1, 1, &COUNTER).input()),
    ];
    let half = Position::new(Height(1), 3);
    let pair = (&*store, &executor);
    // The second item waits for its payload.
    let applied = world.apply_to(pair, 1, &items[..1], half).unwrap();
    assert_eq!((applied.receipts.len(), applied.position), (1, half));
    assert!(matches!(
        store.state_at(Height(1)),
        Err(PrivateError::NotReached { .. })
    ));
    let again = world.apply_to(pair, 1, &items[..1], half).unwrap();
    assert_eq!((again.receipts.len(), again.root), (0, applied.root));
    let head = store.store().head().height;
    // With both, only the one that is missing runs.
    let end = Position::after(Height(1));
    let rest = world.apply_to(pair, 1, &items, end).unwrap();
    assert_eq!((rest.receipts.len(), rest.position), (1, end));
    assert_eq!(store.store().head().height, head.next());
    store.advance(half, SyncMode::Synced).unwrap();
    assert_eq!(store.position().unwrap(), end);
    let later = Position::new(Height(7), 2);
    store.advance(later, SyncMode::Synced).unwrap();
    assert_eq!(store.position().unwrap(), later);
    drop(store);
    // As a new process finds it.
    let folder = world.folder().to_owned();
    let World { chain, stores, .. } = &world;
    stores.get(GROUP).unwrap();
    let genesis = chain.executor.spec().genesis_hash;
    assert!(matches!(
        GroupStores::new(GroupOpening::new(folder, genesis))
            .unwrap()
            .get(GROUP),
        Err(PrivateError::Storage(StorageError::Locked { .. }))
    ));
}

#[test]
fn items_out_of_order_or_behind_the_next_position_are_refused_and_nothing_is_written() {
    let world = World::new();
    world.chain.advance(&[]);
    let (store, executor) = (world.store(), world.executor());
    let input = |nonce| Inner::create(1, nonce, &COUNTER).input();
    let [first, second] = [item(1, 4, input(0)), item(2, 3, input(1))];
    let end = Position::after(Height(1));
    let pair = (&*store, &executor);
    for (items, next) in [
        (vec![first.clone(), second.clone()], end),
        (vec![first.clone(), first.clone()], end),
        (vec![first], Position::new(Height(1), 4)),
    ] {
        let refused = world.apply_to(pair, 1, &items, next);
        assert!(matches!(refused, Err(PrivateError::OutOfOrder { .. })));
    }
    let other = world.executor_of(medina_execution::private::PrivateRules::new(
        B256::ZERO,
        PrivacyMode::Standard,
    ));
    let refused = world.apply_to((&store, &other), 1, &[second], end);
    assert!(matches!(refused, Err(PrivateError::AnotherGroup { .. })));
    assert_eq!(store.store().head().height, Height(0));
}

#[test]
fn receipts_are_found_by_marker_digest_block_and_contract_and_logs_are_numbered() {
    let world = World::new();
    world.chain.advance(&[]);
    let (store, executor) = (world.store(), world.executor());
    let pair = (&*store, &executor);
    let counter = created(1, 0);
    let call = |nonce| Inner::call(2, nonce, counter, vec![]).input();
    let items = [
        item(1, 0, Inner::create(1, 0, &COUNTER).input()),
        item(2, 1, call(0)),
        item(3, 2, call(1)),
        item(4, 6, call(2)),
    ];
    let half = Position::new(Height(1), 3);
    world.apply_to(pair, 1, &items[..3], half).unwrap();
    world
        .apply_to(pair, 1, &items, Position::after(Height(1)))
        .unwrap();
    let header = world.chain.head();
    let placed = store
        .receipt_of_marker(items[3].marker.hash())
        .unwrap()
        .unwrap();
    assert_eq!((placed.block, placed.block_hash), (Height(1), header.hash));
    assert_eq!((placed.receipt.index, placed.first_log_index), (6, 2));
    assert_eq!(
        store.receipt_of_digest(items[3].digest).unwrap(),
        Some(placed.clone())
    );
    let creation = store.creation_of(counter).unwrap().unwrap();
    assert_eq!(creation.receipt.digest, items[0].digest);
    assert_eq!(store.creation_of(Address::ZERO).unwrap(), None);
    let (all, more) = store.receipts_between(Height(0)..=Height(9), 100).unwrap();
    assert_eq!((all.len(), more), (4, None));
    assert_eq!(all[3], placed);
    let (none, _) = store.receipts_between(Height(2)..=Height(9), 100).unwrap();
    assert!(none.is_empty());
    // The body holds markers only.
    let bodies = [1, 2].map(|height| {
        store
            .store()
            .block_by_number(Height(height))
            .unwrap()
            .unwrap()
    });
    let transactions: Vec<_> = bodies
        .iter()
        .flat_map(|block| block.sealed.transactions())
        .collect();
    let markers: Vec<&Transaction> = items.iter().map(|item| item.marker.transaction()).collect();
    assert_eq!(transactions, markers);
}

#[test]
fn range_of_receipts_is_cut_between_public_blocks() {
    let world = busy_world(6);
    let store = world.store();
    let (first, more) = store.receipts_between(Height(1)..=Height(7), 3).unwrap();
    assert_eq!(first.len(), 4);
    let (rest, end) = store
        .receipts_between(more.unwrap()..=Height(7), 100)
        .unwrap();
    assert_eq!((first.len() + rest.len(), end), (14, None));
}

#[test]
fn digest_that_comes_again_does_not_hide_what_its_run_came_to() {
    let world = World::new();
    world.chain.advance(&[]);
    let (store, executor) = (world.store(), world.executor());
    let create = Inner::create(1, 0, &COUNTER).input();
    let early = item(1, 0, PrivateInput::Invalid("not yet".to_owned()));
    let first = item(1, 1, create.clone());
    let second = item(1, 2, create);
    let items = [early, first, second];
    let end = Position::after(Height(1));
    let pair = (&*store, &executor);
    for (upto, next) in [(1, Position::new(Height(1), 1)), (3, end)] {
        world.apply_to(pair, 1, &items[..upto], next).unwrap();
    }
    let placed = store.receipt_of_digest(items[0].digest).unwrap().unwrap();
    assert_eq!(
        (placed.receipt.index, placed.receipt.status),
        (1, PrivateStatus::Success)
    );
}

#[test]
fn states_roots_and_proofs_of_older_public_blocks_are_what_they_were() {
    let world = busy_world(5);
    world.chain.advance(&[]);
    let store = world.store();
    store
        .advance(Position::after(Height(9)), SyncMode::Synced)
        .unwrap();
    let counter = created(1, 0);
    for block in 1..=9 {
        let expected = U256::from(u64::min(block, 6) - 1);
        let (at, slot) = (Height(block), U256::ZERO);
        assert_eq!(
            store.state_at(at).unwrap().slot(counter, slot).unwrap(),
            expected
        );
        let proof = store.proof_at(at, counter, &[slot]).unwrap();
        assert_eq!(proof.storage_proofs[0].value, expected);
        let root = alloy_primitives::keccak256(&proof.account_proof[0]);
        assert_eq!(root, store.root_at(at).unwrap());
    }
    assert_eq!(
        store.root_at(Height(0)).unwrap(),
        alloy_trie::EMPTY_ROOT_HASH
    );
    assert_eq!(
        store.code_at(Height(2), counter).unwrap(),
        Bytes::from_static(&COUNTER)
    );
    assert_eq!(
        store
            .slots_at(Height(3), created(1, 1), U256::ZERO, 10)
            .unwrap(),
        [(U256::ZERO, U256::from(2))]
    );
    store.keep_from(Height(4), Height(4)).unwrap();
    while !store.store().sweep_history(100).unwrap().is_done {}
    while !store.store().sweep_blocks(100).unwrap().is_done {}
    assert!(store.state_at(Height(4)).is_ok());
    assert!(matches!(
        store.state_at(Height(3)),
        Err(PrivateError::NotKept {
            from: Height(4),
            ..
        })
    ));
    let (kept, _) = store.receipts_between(Height(0)..=Height(9), 100).unwrap();
    assert_eq!(kept.first().unwrap().block, Height(4));
}

#[test]
fn roll_back_forgets_later_blocks_and_the_group_goes_on_from_there() {
    let world = busy_world(4);
    let (store, executor) = (world.store(), world.executor());
    let (root, digest) = (
        store.root_at(Height(3)).unwrap(),
        item(5_000, 0, PrivateInput::Erased).digest,
    );
    let last = store.root();
    assert!(store.receipt_of_digest(digest).unwrap().is_some());
    // Blocks without a marker are passed by: they are not done any more either.
    store
        .advance(Position::after(Height(90)), SyncMode::Deferred)
        .unwrap();
    store.roll_back(Height(3)).unwrap();
    assert_eq!(
        (store.root(), store.position().unwrap()),
        (root, Position::after(Height(3)))
    );
    assert_eq!(store.receipt_of_digest(digest).unwrap(), None);
    for block in 4..=5_u64 {
        let (step, value) = (block - 2, U256::from(block - 1).to_be_bytes_vec());
        let items = [
            item(
                block * 1_000,
                0,
                Inner::call(2, 2 * step, created(1, 0), vec![]).input(),
            ),
            item(
                block * 1_000 + 1,
                1,
                Inner::call(2, 2 * step + 1, created(1, 1), value).input(),
            ),
        ];
        world
            .apply_to(
                (&store, &executor),
                block,
                &items,
                Position::after(Height(block)),
            )
            .unwrap();
    }
    assert_eq!(store.root(), last);
}

#[test]
fn state_of_an_older_block_is_taken_over_and_followed_on_to_the_same_root() {
    let world = busy_world(5);
    let (store, executor) = (world.store(), world.executor());
    let at = Height(4);
    let chunks = all_state(&store, at);
    let (other, _folder) = world.another_node();
    let header = world.chain.store.header_by_number(at).unwrap().unwrap();
    let root = store.root_at(at).unwrap();
    let mut import = other
        .begin_import(GROUP, (&header, header.hash_slow()), root)
        .unwrap();
    for chunk in &chunks {
        import.put(chunk).unwrap();
    }
    let taken = other.finish_import(import).unwrap();
    assert_eq!(
        (taken.root(), taken.position().unwrap()),
        (root, Position::after(at))
    );
    assert_eq!(all_state(&taken, at), chunks);
    assert!(matches!(
        taken.state_at(Height(3)),
        Err(PrivateError::NotKept { .. })
    ));
    for block in 5..=6_u64 {
        let (step, value) = (block - 2, U256::from(block - 1).to_be_bytes_vec());
        let items = [
            item(
                block * 1_000,
                0,
                Inner::call(2, 2 * step, created(1, 0), vec![]).input(),
            ),
            item(
                block * 1_000 + 1,
                1,
                Inner::call(2, 2 * step + 1, created(1, 1), value).input(),
            ),
        ];
        let next = Position::after(Height(block));
        world
            .apply_to((&taken, &executor), block, &items, next)
            .unwrap();
    }
    assert_eq!(taken.root(), store.root());
}

#[test]
fn snapshot_with_one_wrong_byte_is_refused_and_the_former_state_stays() {
    let world = busy_world(2);
    let store = world.store();
    let at = Height(3);
    let root = store.root_at(at).unwrap();
    let header = world.chain.store.header_by_number(at).unwrap().unwrap();
    let [chunk] = all_state(&store, at).try_into().unwrap();
    let good = borsh::to_vec(&chunk).unwrap();
    let (other, _folder) = world.another_node();
    let mut taken = 0;
    for index in (0..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[index] ^= 1 << (index % 8);
        let Ok(chunk) = borsh::from_slice::<SnapshotChunk>(&bytes) else {
            continue;
        };
        let place = (&header, header.hash_slow());
        let mut import = other.begin_import(GROUP, place, root).unwrap();
        let refused = import.put(&chunk).is_err() || other.finish_import(import).is_err();
        assert!(refused, "byte {index}");
        taken += 1;
    }
    assert!(taken > 50, "most bytes are values: {taken}");
    assert!(matches!(other.get(GROUP), Err(PrivateError::NoState(_))));
    // The same for a node that has a state already.
    drop(store);
    let mut import = world
        .stores
        .begin_import(GROUP, (&header, header.hash_slow()), B256::ZERO)
        .unwrap();
    import.put(&chunk).unwrap();
    let refused = world.stores.finish_import(import).unwrap_err();
    assert!(matches!(refused, PrivateError::WrongRoot { found, .. } if found == root));
    assert_eq!(world.store().root(), root);
}

#[test]
fn snapshot_comes_in_bounded_pieces_that_must_go_on() {
    let world = World::new();
    // A contract whose constructor fills slots 1 to 3,000 with themselves.
    let filler = alloy_primitives::hex!("610bb85b80815560019003806003575f5ff3");
    let inner = Inner {
        data: filler.to_vec().into(),
        gas: medina_types::limits::PRIVATE_GAS_MAX,
        ..Inner::create(1, 0, &[])
    };
    // 3,000 fresh slots cost 66 million gas: more than one transaction may have here.
    let rules = medina_execution::private::PrivateRules {
        gas_max: 100_000_000,
        ..rules(PrivacyMode::Standard)
    };
    let inner = Inner {
        gas: rules.gas_max,
        ..inner
    };
    world.chain.advance(&[]);
    let (store, executor) = (world.store(), world.executor_of(rules));
    let (items, next) = ([item(1, 0, inner.input())], Position::after(Height(1)));
    let applied = world
        .apply_to((&store, &executor), 1, &items, next)
        .unwrap();
    assert_eq!(applied.receipts[0].status, PrivateStatus::Success);
    let head = store.store().head().height;
    let mut chunks: Vec<SnapshotChunk> = Vec::new();
    loop {
        let from = chunks.last().and_then(|chunk| chunk.next);
        let chunk = store
            .store()
            .snapshot_chunk(head, from.as_ref(), 10_000)
            .unwrap();
        assert!(borsh::to_vec(&chunk).unwrap().len() < 11_000);
        chunks.push(chunk);
        if chunks.last().is_some_and(|chunk| chunk.next.is_none()) {
            break;
        }
    }
    assert!(chunks.len() > 15, "{} pieces", chunks.len());
    let (other, _folder) = world.another_node();
    let header = world.chain.head().header.clone();
    let begin = || {
        let place = (&header, header.hash_slow());
        other.begin_import(GROUP, place, applied.root).unwrap()
    };
    let mut import = begin();
    import.put(&chunks[0]).unwrap();
    assert!(import.put(&chunks[0]).is_err(), "no piece twice");
    drop(import);
    let mut import = begin();
    import.put(&chunks[0]).unwrap();
    assert!(matches!(
        other.finish_import(import),
        Err(PrivateError::WrongRoot { .. })
    ));
    let mut import = begin();
    for chunk in &chunks {
        import.put(chunk).unwrap();
    }
    assert!(import.put(&chunks[0]).is_err(), "nothing behind the last");
    assert_eq!(other.finish_import(import).unwrap().root(), applied.root);
}

/// Sets slots 1 to n, the first word of the input, to its second word.
const ROW: [u8; 18] = alloy_primitives::hex!("5f355b602035815560019003806002570000");

#[test]
fn long_row_of_cleared_slots_is_passed_in_pieces_without_content() {
    let (cleared, gas) = (1_100_u64, 100_000_000);
    let world = World::new();
    let rules = medina_execution::private::PrivateRules {
        gas_max: gas,
        ..rules(PrivacyMode::Standard)
    };
    let (store, executor) = (world.store(), world.executor_of(rules));
    let row = created(1, 0);
    let set = |nonce, count: u64, value: u64| {
        let words = [count, value].map(|word| U256::from(word).to_be_bytes::<32>());
        Inner {
            gas,
            ..Inner::call(1, nonce, row, words.concat())
        }
    };
    let steps = [
        Inner::create(1, 0, &ROW),
        set(1, cleared + 1, 7),
        set(2, cleared, 0),
    ];
    for (block, step) in (1..).zip(steps) {
        world.chain.advance(&[]);
        let (items, next) = (
            [item(block, 0, step.input())],
            Position::after(Height(block)),
        );
        let applied = world.apply_to((&store, &executor), block, &items, next);
        let receipts = applied.unwrap().receipts;
        assert_eq!(receipts[0].status, PrivateStatus::Success);
    }
    let (head, root) = (store.store().head().height, store.root());
    // As little as fits into a piece: one slot is looked at for each.
    let mut chunks: Vec<SnapshotChunk> = Vec::new();
    while chunks.last().is_none_or(|chunk| chunk.next.is_some()) {
        let from = chunks.last().and_then(|chunk| chunk.next);
        let chunk = store.store().snapshot_chunk(head, from.as_ref(), 1);
        chunks.push(chunk.unwrap());
    }
    assert!(chunks.len() as u64 > cleared, "{} pieces", chunks.len());
    let (other, _folder) = world.another_node();
    let header = world.chain.head().header.clone();
    let begin = || {
        let place = (&header, header.hash_slow());
        other.begin_import(GROUP, place, root).unwrap()
    };
    let mut import = begin();
    for chunk in &chunks {
        import.put(chunk).unwrap();
    }
    assert_eq!(other.finish_import(import).unwrap().root(), root);
    // A piece without content that comes again goes no further.
    let mut import = begin();
    let bare = chunks.len() / 2;
    for chunk in &chunks[..=bare] {
        import.put(chunk).unwrap();
    }
    assert!(import.put(&chunks[bare]).is_err(), "the same again");
    drop(import);
    let mut import = begin();
    for chunk in &chunks[..bare] {
        import.put(chunk).unwrap();
    }
    assert!(import.put(&chunks[bare - 2]).is_err(), "an earlier one");
    drop(import);
    // One that says it ends before what it holds is none.
    let mut import = begin();
    let mut early = chunks.last().unwrap().clone();
    early.next = chunks[bare].next;
    assert!(import.put(&early).is_err(), "content behind its end");
}

fn files_hold(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_hold(&path, needle));
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(needle.len()).any(|window| window == needle)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn erased_receipt_says_nothing_and_its_words_are_no_more_on_the_disk() {
    let secret = b"patient 4711 pays 99";
    // Logs the input.
    let echo = alloy_primitives::hex!("365f5f37365fa000");
    let world = World::new();
    world.run([Inner::create(1, 0, &echo).input()]);
    let inner = Inner::call(1, 1, created(1, 0), secret.to_vec());
    let receipt = world
        .run([inner.input(), Inner::create(1, 2, &REVERTER).input()])
        .remove(0);
    assert_eq!(&receipt.logs[0].data.data[..], secret);
    let store = world.store();
    assert!(
        !files_hold(world.folder(), secret).is_empty(),
        "the log is on the disk"
    );
    let root = store.root();
    assert_eq!(store.erase_receipts(B256::ZERO, &[]).unwrap(), 0);
    assert!(!store.remove_leftovers().unwrap());
    assert_eq!(store.erase_receipts(receipt.digest, &[]).unwrap(), 1);
    assert!(store.has_leftovers().unwrap());
    assert!(store.remove_leftovers().unwrap());
    assert_eq!(store.erase_receipts(receipt.digest, &[]).unwrap(), 0);
    assert!(!store.has_leftovers().unwrap());
    let placed = store.receipt_of_digest(receipt.digest).unwrap().unwrap();
    assert!(placed.receipt.is_erased && placed.receipt.logs.is_empty());
    assert!(placed.receipt.is_success());
    assert_eq!(files_hold(world.folder(), secret), Vec::<String>::new());
    let (all, _) = store.receipts_between(Height(1)..=Height(2), 10).unwrap();
    assert_eq!(all.iter().filter(|one| one.receipt.is_erased).count(), 1);
    assert_eq!(store.root(), root);
    drop(store);
    assert_eq!(files_hold(world.folder(), secret), Vec::<String>::new());
}

#[test]
fn every_run_of_a_digest_loses_its_words_and_files_are_rewritten_once_after_a_restart() {
    let (secret, other) = (b"patient 4711 pays 99", b"patient 4712 pays 98");
    let echo = alloy_primitives::hex!("365f5f37365fa000");
    let world = World::new();
    world.run([Inner::create(1, 0, &echo).input()]);
    // One digest in two blocks, as a handle of a GoQuorum client is used again; the
    // note of a digest names one of them.
    let call = |nonce, words: &[u8]| Inner::call(1, nonce, created(1, 0), words.to_vec()).input();
    let first = world.run([call(1, secret), call(2, other)]);
    world.chain.advance(&[]);
    let again = PrivateItem {
        digest: first[0].digest,
        ..item(77, 0, call(3, secret))
    };
    let (store, executor) = (world.store(), world.executor());
    let end = Position::after(Height(3));
    let pair = (&*store, &executor);
    world
        .apply_to(pair, 3, std::slice::from_ref(&again), end)
        .unwrap();
    let markers = [first[0].marker, again.marker.hash()];
    assert_eq!(store.erase_receipts(first[0].digest, &markers).unwrap(), 2);
    assert_eq!(store.erase_receipts(first[1].digest, &[]).unwrap(), 1);
    drop(store);
    // As a new process finds it.
    let (folder, genesis) = (
        world.folder().to_owned(),
        world.chain.executor.spec().genesis_hash,
    );
    drop(world.stores);
    let stores = GroupStores::new(GroupOpening::new(&folder, genesis)).unwrap();
    let store = stores.get(GROUP).unwrap();
    assert!(
        store.remove_leftovers().unwrap(),
        "the mark was on the disk"
    );
    assert!(!store.remove_leftovers().unwrap(), "once for all");
    for words in [&secret[..], other] {
        assert_eq!(files_hold(&folder, words), Vec::<String>::new());
    }
}

#[test]
fn pruned_values_are_no_more_on_the_disk_and_receipts_stay() {
    let secret = B256::repeat_byte(0xd7);
    let world = World::new();
    world.run([Inner::create(1, 0, &BOX).input()]);
    world.run([Inner::call(1, 1, created(1, 0), secret.to_vec()).input()]);
    world.run([Inner::call(1, 2, created(1, 0), vec![0; 32]).input()]);
    let store = world.store();
    assert!(!files_hold(world.folder(), secret.as_slice()).is_empty());
    let root = store.root();
    assert!(!store.is_pruning_due(Height(0), 1).unwrap());
    assert!(store.is_pruning_due(Height(3), 1).unwrap());
    while !store.prune().unwrap() {}
    assert!(!store.is_pruning_due(Height(3), 1).unwrap());
    assert!(store.remove_leftovers().unwrap());
    assert_eq!(
        files_hold(world.folder(), secret.as_slice()),
        Vec::<String>::new()
    );
    assert_eq!(store.root_at(Height(3)).unwrap(), root);
    assert!(matches!(
        store.root_at(Height(2)),
        Err(PrivateError::NotKept { .. })
    ));
    let (kept, _) = store.receipts_between(Height(0)..=Height(3), 10).unwrap();
    assert_eq!(kept.len(), 3);
}

#[test]
fn plaintext_inputs_are_never_on_the_disk() {
    let secret = b"price list of 2027: 12.34";
    let world = busy_world(1);
    world.run([Inner::call(1, 2, created(1, 0), secret.to_vec()).input()]);
    assert_eq!(files_hold(world.folder(), secret), Vec::<String>::new());
}

#[test]
fn more_items_than_one_commit_takes_are_committed_in_pieces() {
    let world = World::new();
    world.chain.advance(&[]);
    let (store, executor) = (world.store(), world.executor());
    let count = 2 * medina_types::limits::PRIVATE_ITEMS_PER_COMMIT_MAX as u64 + 5;
    let items: Vec<_> = (0..count)
        .map(|nonce| item(nonce, nonce, Inner::create(1, nonce, &COUNTER).input()))
        .collect();
    let end = Position::after(Height(1));
    let applied = world.apply_to((&store, &executor), 1, &items, end).unwrap();
    assert_eq!(
        (applied.receipts.len() as u64, applied.position),
        (count, end)
    );
    assert_eq!(store.store().head().height, Height(3));
    let too_many = executor.execute(
        medina_execution::private::Below {
            store: store.store(),
            public: &world.chain.store.state(),
            environment: medina_execution::CallEnvironment::of_header(&world.chain.head().header),
        },
        &items,
    );
    assert!(matches!(too_many, Err(PrivateError::TooManyItems { .. })));
}

#[test]
fn forgotten_states_and_receipts_are_no_more_on_the_disk() {
    let secret = B256::repeat_byte(0xd7);
    let world = World::new();
    world.run([Inner::create(1, 0, &BOX).input()]);
    world.run([Inner::call(1, 1, created(1, 0), secret.to_vec()).input()]);
    world.run([Inner::call(1, 2, created(1, 0), vec![0; 32]).input()]);
    let store = world.store();
    assert!(!files_hold(world.folder(), secret.as_slice()).is_empty());
    let root = store.root();
    store.forget_before(Height(3)).unwrap();
    assert_eq!(
        files_hold(world.folder(), secret.as_slice()),
        Vec::<String>::new()
    );
    assert_eq!(store.root_at(Height(3)).unwrap(), root);
    assert_eq!(
        store
            .slots_at(Height(3), created(1, 0), U256::ZERO, 9)
            .unwrap(),
        []
    );
    let (kept, _) = store.receipts_between(Height(0)..=Height(3), 10).unwrap();
    assert_eq!(kept.len(), 1);
}

fn opening(folder: &Path, groups_max: usize, open_max: usize) -> GroupOpening {
    GroupOpening {
        groups_max,
        open_max,
        ..GroupOpening::new(folder, B256::repeat_byte(0xcc))
    }
}

#[test]
fn groups_and_open_stores_are_bounded_and_removed_ones_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let stores = GroupStores::new(opening(folder.path(), 4, 2)).unwrap();
    let base = Position::start_of(Height(3));
    let groups = [1, 2, 3, 4, 5].map(B256::repeat_byte);
    for group in &groups[..4] {
        stores.get_or_create(*group, base).unwrap();
    }
    assert_eq!(stores.groups().unwrap(), groups[..4]);
    assert_eq!(stores.open_count(), 2);
    let refused = stores.get_or_create(groups[4], base);
    assert!(matches!(
        refused,
        Err(PrivateError::TooManyGroups { max: 4 })
    ));
    let [one, _two] = [groups[0], groups[1]].map(|group| stores.get(group).unwrap());
    assert_eq!(one.position().unwrap(), base);
    assert!(matches!(
        stores.get(groups[2]),
        Err(PrivateError::TooManyOpen { max: 2 })
    ));
    assert!(matches!(
        stores.remove(groups[0]),
        Err(PrivateError::InUse(_))
    ));
    drop(one);
    stores.remove(groups[0]).unwrap();
    assert!(matches!(
        stores.get(groups[0]),
        Err(PrivateError::NoState(_))
    ));
    assert_eq!(stores.groups().unwrap(), groups[1..4]);
    stores.get_or_create(groups[4], base).unwrap();
    // What was given up half-way is cleared away.
    let leftover = folder.path().join(format!("{}.importing", "ab".repeat(32)));
    std::fs::create_dir(&leftover).unwrap();
    drop((stores, _two));
    let stores = GroupStores::new(opening(folder.path(), 4, 2)).unwrap();
    assert!(!leftover.exists());
    assert_eq!(stores.get(groups[4]).unwrap().position().unwrap(), base);
    drop(stores);
    let other = GroupOpening {
        chain: B256::ZERO,
        ..opening(folder.path(), 4, 2)
    };
    let refused = GroupStores::new(other).unwrap().get(groups[4]);
    assert!(matches!(refused, Err(PrivateError::AnotherGroup { .. })));
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// A figure, asked for by name: memory and time of 64 open groups with a little state.
#[test]
#[ignore = "measures this process, so it runs alone"]
fn open_groups_are_cheap() {
    let world = World::new();
    world.chain.advance(&[]);
    let folder = tempfile::tempdir().unwrap();
    let chain = world.chain.executor.spec().genesis_hash;
    let opening = GroupOpening {
        open_max: 64,
        ..GroupOpening::new(folder.path(), chain)
    };
    let stores = GroupStores::new(opening).unwrap();
    let (before, started) = (resident_bytes(), std::time::Instant::now());
    for number in 0..64 {
        let group = B256::repeat_byte(number + 1);
        let store = stores
            .get_or_create(group, Position::start_of(Height(1)))
            .unwrap();
        let executor = world.executor_of(medina_execution::private::PrivateRules::new(
            group,
            PrivacyMode::Standard,
        ));
        let inner = Inner {
            group,
            ..Inner::create(1, 0, &COUNTER)
        };
        let items = [item(u64::from(number), 0, inner.input())];
        let next = Position::after(Height(1));
        let applied = world
            .apply_to((&store, &executor), 1, &items, next)
            .unwrap();
        assert!(applied.receipts[0].is_success());
    }
    let each = (resident_bytes() - before) / 64;
    let created = started.elapsed() / 64;
    let opening = GroupOpening {
        open_max: 1,
        ..GroupOpening::new(folder.path(), chain)
    };
    drop(stores);
    let stores = GroupStores::new(opening).unwrap();
    let started = std::time::Instant::now();
    for number in 0..64 {
        stores.get(B256::repeat_byte(number + 1)).unwrap();
    }
    let opened = started.elapsed() / 64;
    println!("{each} bytes per open group, {created:?} to create, {opened:?} to open");
    assert!(each < 4 * 1024 * 1024, "{each} bytes per open group");
}

/// One step of the random story, for the item with this number.
fn step(kind: u8, number: u64, nonces: &mut BTreeMap<u8, u64>, deployed: &mut u64) -> PrivateInput {
    let from = 1 + u8::try_from(number % 3).unwrap();
    let nonce = *nonces.get(&from).unwrap_or(&0);
    let to = Address::from_word(B256::from(U256::from(number)));
    let mut counts = true;
    let counter = created(1, 0);
    let input = match kind % 10 {
        0 | 1 => {
            *deployed += 1;
            Inner::create(
                from,
                nonce,
                if kind.is_multiple_of(2) {
                    &COUNTER
                } else {
                    &BOX
                },
            )
            .input()
        }
        2..=4 => Inner::call(from, nonce, counter, U256::from(number).to_be_bytes_vec()).input(),
        5 => Inner::create(from, nonce, &COPIER).input(),
        6 => {
            counts = false;
            Inner::call(from, nonce + 1, to, vec![]).input()
        }
        7 => Inner::call(from, nonce, counter, word(to)).input(),
        8 => {
            counts = false;
            if number.is_multiple_of(2) {
                PrivateInput::Erased
            } else {
                PrivateInput::Skipped
            }
        }
        _ => Inner {
            gas: GAS / 10,
            data: init_code(&REVERTER),
            ..Inner::create(from, nonce, &[])
        }
        .input(),
    };
    if counts {
        nonces.insert(from, nonce + 1);
    }
    input
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Wherever commits are cut and whenever the process starts again, all members
    /// come to the same receipts and roots.
    #[test]
    fn commit_boundaries_do_not_matter(
        blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..7), 1..6),
        cuts in proptest::collection::vec(any::<bool>(), 40),
        reopened in any::<prop::sample::Index>(),
    ) {
        let world = World::new();
        let (other, folder) = world.another_node();
        let mut other = Some(other);
        let executor = world.executor();
        let (mut nonces, mut deployed, mut number) = (BTreeMap::new(), 0, 0);
        let reopen_at = reopened.index(blocks.len());
        for (at, kinds) in blocks.iter().enumerate() {
            // The public chain moves beside it: gifts to private addresses among others.
            let public_nonce = u64::try_from(at).unwrap();
            let gift = Send::new(4, public_nonce, created(1, public_nonce)).value(3);
            world.chain.advance(&[gift.signed()]);
            let block = world.chain.head().height;
            let items: Vec<PrivateItem> = (0..).zip(kinds).map(|(index, kind)| {
                number += 1;
                item(number, index, step(*kind, number, &mut nonces, &mut deployed))
            }).collect();
            let end = Position::after(block);
            let whole = world.store();
            let at_once = world.apply_to((&whole, &executor), block.0, &items, end).unwrap();
            if at == reopen_at {
                drop(other.take());
                let genesis = world.chain.executor.spec().genesis_hash;
                other = Some(GroupStores::new(GroupOpening::new(folder.path(), genesis)).unwrap());
            }
            let base = Position::start_of(Height(1));
            let stores = other.as_ref().expect("it is open");
            let pieces: Arc<GroupStore> = stores.get_or_create(GROUP, base).unwrap();
            let mut receipts = Vec::new();
            for (upto, is_cut) in (1..items.len()).zip(&cuts) {
                if *is_cut {
                    let next = Position::new(block, items[upto].index);
                    let applied = world.apply_to((&pieces, &executor), block.0, &items[..upto], next);
                    receipts.extend(applied.unwrap().receipts);
                }
            }
            let applied = world.apply_to((&pieces, &executor), block.0, &items, end).unwrap();
            receipts.extend(applied.receipts);
            prop_assert_eq!(&receipts, &at_once.receipts);
            prop_assert_eq!(applied.root, at_once.root);
            prop_assert_eq!(applied.position, end);
            prop_assert_eq!(pieces.root_at(block).unwrap(), whole.root_at(block).unwrap());
            prop_assert_eq!(all_state(&pieces, block), all_state(&whole, block));
        }
    }
}

const FOLDER: &str = "MEDINA_PRIVATE_TEST_FOLDER";
const BLOCKS: u64 = 60;

/// The items of a block of the story that is interrupted.
fn story(block: u64) -> Vec<PrivateItem> {
    if block == 1 {
        return vec![item(1_000, 0, Inner::create(1, 0, &COUNTER).input())];
    }
    let counter = created(1, 0);
    (0..3)
        .map(|index| {
            let nonce = (block - 2) * 3 + index;
            let input = Inner::call(2, nonce, counter, vec![]).input();
            item(block * 1_000 + index, index, input)
        })
        .collect()
}

/// Follows on from where the store is, item by item.
fn follow(world: &World, store: &GroupStore, executor: &PrivateExecutor, say: impl Fn(u64)) {
    let from = store.position().unwrap().block.0;
    for block in from..=BLOCKS {
        let items = story(block);
        for upto in 1..=items.len() {
            let next = match items.get(upto) {
                Some(next) => Position::new(Height(block), next.index),
                None => Position::after(Height(block)),
            };
            world
                .apply_to((store, executor), block, &items[..upto], next)
                .unwrap();
        }
        say(block);
    }
}

fn world_of_the_story(folder: &Path) -> World {
    let world = World::in_folder(folder);
    for _ in 1..=BLOCKS {
        world.chain.advance(&[]);
    }
    world
}

/// The child's part; without its environment it has nothing to do.
#[test]
fn child_follows_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let world = world_of_the_story(Path::new(&folder));
    let (store, executor) = (world.store(), world.executor());
    follow(&world, &store, &executor, |block| {
        println!("followed {block}.")
    });
}

#[test]
fn killed_at_any_point_the_group_goes_on_exactly_where_it_was() {
    let whole = tempfile::tempdir().unwrap();
    let world = world_of_the_story(whole.path());
    let executor = world.executor();
    follow(&world, &world.store(), &executor, |_| {});
    let expected = world.store().root();
    let folder = tempfile::tempdir().unwrap();
    for block in [3, 20, 41] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_follows_until_it_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let word = format!("followed {block}.");
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let found = lines.map(Result::unwrap).any(|line| line.contains(&word));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found, "the child ended before block {block}");
    }
    let genesis = world.chain.executor.spec().genesis_hash;
    let stores = GroupStores::new(GroupOpening::new(folder.path(), genesis)).unwrap();
    let store = stores.get(GROUP).unwrap();
    assert!(store.position().unwrap() > Position::start_of(Height(41)));
    follow(&world, &store, &executor, |_| {});
    assert_eq!(store.root(), expected);
    let counted = store
        .store()
        .state()
        .slot(created(1, 0), U256::ZERO)
        .unwrap();
    assert_eq!(counted, U256::from((BLOCKS - 1) * 3));
}
