//! Pieces of a state lead to the same state elsewhere, at any kept block.

use super::chain::{Chain, certificate, context, genesis, simple_model};
use super::history::{apply, operation};
use crate::schema::Table;
use crate::{
    BlockCommit, OpenOptions, SnapshotChunk, SnapshotCursor, StorageError, Store, SyncMode,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, U256, keccak256};
use medina_types::{Block, Height, RecoveredBlock, SealedBlock};
use proptest::prelude::*;
use std::{collections::BTreeSet, path::Path};

fn chunks(store: &Store, height: Height, bytes_max: usize) -> Vec<SnapshotChunk> {
    let (mut chunks, mut next): (Vec<SnapshotChunk>, Option<SnapshotCursor>) = (vec![], None);
    loop {
        let chunk = store
            .snapshot_chunk(height, next.as_ref(), bytes_max)
            .unwrap();
        next = chunk.next;
        chunks.push(chunk);
        if next.is_none() {
            return chunks;
        }
    }
}

fn empty_store(folder: &Path) -> Store {
    let store = Store::open(folder, OpenOptions::default()).unwrap();
    store
        .initialize_genesis(&genesis(&Default::default()))
        .unwrap();
    store
}

/// Takes a piece as a block without transactions.
fn take(store: &Store, chunk: &SnapshotChunk) -> Result<(), StorageError> {
    let changes = chunk.changes_on(&store.state())?;
    let (root, head) = (store.state_root_after(&changes)?, store.head());
    let header = Header {
        number: head.height.next().0,
        parent_hash: head.hash,
        state_root: root.root,
        ..Header::default()
    };
    let sealed = SealedBlock::new(Block::new(header, Default::default()));
    store.commit(BlockCommit {
        block: &RecoveredBlock::new_unchecked(sealed, vec![]),
        receipts: &[],
        changes: &changes,
        root,
        certificate: &certificate(0),
        context: &context(),
        consensus_record: None,
        sync: SyncMode::Deferred,
    })
}

/// Operations give every account the code of its own number, and no bytes with it.
fn put_codes(store: &Store) {
    let mut batch = store.database().batch();
    for account in 0..=u8::MAX {
        let code = [account];
        batch.put(Table::Codes, keccak256(code).as_slice(), &code);
    }
    batch.write(SyncMode::Deferred).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pieces_of_any_size_of_any_block_lead_to_its_root(
        blocks in proptest::collection::vec(proptest::collection::vec(operation(), 0..8), 1..5),
        at in any::<prop::sample::Index>(),
        bytes_max in 1_usize..1_500,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = Chain::create(folder.path(), simple_model(6, 10));
        put_codes(&chain.store);
        for operations in &blocks {
            let (mut model, mut wiped) = (chain.models.last().unwrap().clone(), BTreeSet::new());
            for operation in operations {
                apply(&mut model, &mut wiped, operation);
            }
            chain.extend(model, &wiped, SyncMode::Deferred);
        }
        let height = at.index(chain.models.len());
        let model = &chain.models[height];
        let height = Height(u64::try_from(height).unwrap());
        let pieces = chunks(&chain.store, height, bytes_max);
        let other = tempfile::tempdir().unwrap();
        let taken = empty_store(other.path());
        for piece in &pieces {
            take(&taken, piece).unwrap();
        }
        let root = chain.store.header_by_number(height).unwrap().unwrap().state_root;
        prop_assert_eq!(taken.head().header.state_root, root);
        let slots: usize = model.values().map(|account| account.slots.len()).sum();
        let sent: usize = pieces.iter().flat_map(|piece| &piece.accounts).map(|one| one.slots().len()).sum();
        prop_assert_eq!(sent, slots, "no slot twice, none that was zero");
        for (address, account) in model {
            let found = chain.store.slots_at(height, *address, U256::ZERO, 1_000).unwrap();
            prop_assert_eq!(found, account.slots.clone().into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn pieces_that_come_twice_or_out_of_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(4, 10));
    let pieces = chunks(&chain.store, Height(0), 1);
    assert!(pieces.len() >= 4);
    let other = tempfile::tempdir().unwrap();
    let taken = empty_store(other.path());
    take(&taken, &pieces[0]).unwrap();
    let again = SnapshotChunk {
        accounts: [&pieces[0].accounts[..], &pieces[0].accounts[..]].concat(),
        next: None,
    };
    assert!(matches!(
        take(&taken, &again),
        Err(StorageError::MalformedSnapshot(_))
    ));
    let whole = chunks(&chain.store, Height(0), 100_000).remove(0);
    let mut backwards = whole.clone();
    backwards.accounts.reverse();
    let fresh = tempfile::tempdir().unwrap();
    let fresh = empty_store(fresh.path());
    assert!(matches!(
        take(&fresh, &backwards),
        Err(StorageError::MalformedSnapshot(_))
    ));
    take(&fresh, &whole).unwrap();
    assert!(matches!(
        take(&fresh, &whole),
        Err(StorageError::MalformedSnapshot(_))
    ));
}

#[test]
fn pieces_lie_between_their_cursors_and_get_further_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(4, 10));
    for bytes_max in [1, 100, 200] {
        let pieces = chunks(&chain.store, Height(0), bytes_max);
        let mut from = None;
        for piece in &pieces {
            piece.check_place(from.as_ref()).unwrap();
            if piece.next.is_some() {
                let stuck = piece.check_place(piece.next.as_ref());
                assert!(matches!(stuck, Err(StorageError::MalformedSnapshot(_))));
            }
            from = piece.next;
        }
        // Without content it gets further as well; with that of another place it does not.
        let (first, later) = (&pieces[0], &pieces[pieces.len() - 1]);
        let bare = SnapshotChunk {
            accounts: vec![],
            next: first.next,
        };
        bare.check_place(None).unwrap();
        for (accounts, from, next) in [
            (&later.accounts, None, first.next),
            (&first.accounts, pieces[pieces.len() - 2].next, None),
        ] {
            let misplaced = SnapshotChunk {
                accounts: accounts.clone(),
                next,
            };
            let refused = misplaced.check_place(from.as_ref());
            assert!(matches!(refused, Err(StorageError::MalformedSnapshot(_))));
        }
    }
}

#[test]
fn slots_of_an_account_are_cut_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(2, 10));
    let address = Address::repeat_byte(2);
    let all = chain
        .store
        .slots_at(Height(0), address, U256::ZERO, 5)
        .unwrap();
    assert_eq!(all, [(U256::from(2), U256::from(11))]);
    let later = chain
        .store
        .slots_at(Height(0), address, U256::from(3), 5)
        .unwrap();
    assert_eq!(later, []);
    assert_eq!(
        chain
            .store
            .slots_at(Height(0), Address::ZERO, U256::ZERO, 5),
        Ok(vec![])
    );
}
