//! What a commit refuses, and what it leaves to be read.

use super::chain::{Chain, Model, certificate, changes, context, genesis, root_of, simple_model};
use crate::{BlockCommit, OpenOptions, StateReader, StorageError, Store, SyncMode};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use medina_types::{Height, StateChanges};

fn next(chain: &Chain, model: &Model) -> StateChanges {
    changes(chain.models.last().unwrap(), model, &Default::default())
}

#[test]
fn everything_of_a_block_reads_back_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    chain.extend(simple_model(3, 2), &Default::default(), SyncMode::Synced);
    let prepared = chain.prepare(Default::default(), root_of(&simple_model(3, 2)));
    prepared.commit(&chain.store, SyncMode::Deferred).unwrap();
    chain.store.flush().unwrap();
    let head = chain.store.head();
    drop(chain);

    let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
    assert_eq!(store.head(), head);
    let (hash, height) = (prepared.block.hash(), Height(2));
    assert_eq!(head.hash, hash);
    assert_eq!(head.certificate, Some(certificate(2)));
    assert_eq!(
        store.block_by_number(height),
        Ok(Some(prepared.block.clone()))
    );
    assert_eq!(store.block_by_hash(hash), Ok(Some(prepared.block.clone())));
    for height in [0, 1, 2].map(Height) {
        let block = store.block_by_number(height).unwrap().unwrap();
        let encoded = block.sealed.encode().to_vec();
        let expected = crate::EncodedBlock {
            rlp: encoded,
            senders: block.senders.to_vec(),
        };
        assert_eq!(store.block_rlp(height), Ok(Some(expected)));
    }
    assert_eq!(store.block_rlp(Height(3)), Ok(None));
    assert_eq!(
        store.header_by_hash(hash),
        Ok(Some(prepared.block.header().clone()))
    );
    assert_eq!(store.number_of_hash(hash), Ok(Some(height)));
    assert_eq!(store.hash_of_number(height), Ok(Some(hash)));
    assert_eq!(store.receipts(height), Ok(Some(prepared.receipts)));
    assert_eq!(store.certificate(Height(1)), Ok(Some(certificate(1))));
    assert_eq!(store.certificate(Height(0)), Ok(None));
    assert_eq!(store.context_at(Height(3)), Ok(Some(context())));
    assert_eq!(store.context_at(Height(0)), Ok(None));
    assert_eq!(
        store.consensus_record(),
        Ok(Some(2_u64.to_be_bytes().to_vec()))
    );
    for (index, transaction) in (0..).zip(prepared.block.sealed.transactions()) {
        let location = store.transaction_location(*transaction.tx_hash());
        assert_eq!(location, Ok(Some((height, index))));
    }
    assert_eq!(store.block_by_number(Height(3)), Ok(None));
    assert_eq!(store.transaction_location(B256::ZERO), Ok(None));
    let genesis = store.block_by_number(Height(0)).unwrap().unwrap();
    assert_eq!(store.genesis_hash(), Ok(Some(genesis.hash())));
}

#[test]
fn code_is_kept_under_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(1, 1));
    let code = Bytes::from_static(&[0x60, 0x00]);
    let hash = keccak256(&code);
    let mut changes = StateChanges::default();
    changes.codes.insert(hash, code.clone());
    let root = root_of(&simple_model(1, 1));
    chain
        .prepare(changes, root)
        .commit(&chain.store, SyncMode::Synced)
        .unwrap();
    assert_eq!(chain.store.state().code(hash), Ok(Some(code)));
    assert_eq!(
        chain.store.state().code(keccak256([])),
        Ok(Some(Bytes::new()))
    );
}

#[test]
fn block_that_does_not_extend_the_head_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    let stale = chain.prepare(Default::default(), root_of(&simple_model(3, 1)));
    chain.extend(simple_model(3, 2), &Default::default(), SyncMode::Synced);
    let refused = stale.commit(&chain.store, SyncMode::Synced);
    let head = chain.store.head();
    let parent = stale.block.header().parent_hash;
    let (head_height, head_hash) = (head.height, head.hash);
    let expected = StorageError::NotOnHead {
        height: Height(1),
        parent,
        head_height,
        head: head_hash,
    };
    assert_eq!(refused, Err(expected));
    assert_eq!(chain.store.head(), head);
}

#[test]
fn root_computed_on_an_older_head_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    let stale = chain
        .store
        .state_root_after(&StateChanges::default())
        .unwrap();
    chain.extend(simple_model(3, 1), &Default::default(), SyncMode::Synced);
    let prepared = chain.prepare(Default::default(), root_of(&simple_model(3, 1)));
    let refused = chain.store.commit(BlockCommit {
        block: &prepared.block,
        receipts: &prepared.receipts,
        root: stale,
        changes: &prepared.changes,
        certificate: &certificate(2),
        context: &context(),
        consensus_record: None,
        sync: SyncMode::Synced,
    });
    assert!(matches!(refused, Err(StorageError::NotOnHead { .. })));
}

#[test]
fn header_with_another_state_root_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(3, 1));
    let (head, writes) = (chain.store.head(), chain.store.database().writes());
    let changes = next(&chain, &simple_model(3, 2));
    let refused = chain
        .prepare(changes, B256::ZERO)
        .commit(&chain.store, SyncMode::Synced);
    let computed = root_of(&simple_model(3, 2));
    let expected = B256::ZERO;
    let height = Height(1);
    assert_eq!(
        refused,
        Err(StorageError::StateRootMismatch {
            height,
            expected,
            computed
        })
    );
    assert_eq!(
        (chain.store.head(), chain.store.database().writes()),
        (head, writes)
    );
}

#[test]
fn missing_receipt_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(1, 1));
    let mut prepared = chain.prepare(Default::default(), root_of(&simple_model(1, 1)));
    prepared.receipts.pop();
    let refused = prepared.commit(&chain.store, SyncMode::Synced);
    assert!(matches!(
        refused,
        Err(StorageError::ReceiptCount {
            transactions: 2,
            receipts: 1,
            ..
        })
    ));
}

#[test]
fn changes_from_another_state_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(3, 1));
    let other_account = changes(
        &simple_model(3, 5),
        &simple_model(3, 6),
        &Default::default(),
    );
    let mut other_slot = next(&chain, &simple_model(3, 2));
    let account = other_slot
        .accounts
        .get_mut(&Address::repeat_byte(1))
        .unwrap();
    account.storage.get_mut(&U256::from(1)).unwrap().before = U256::from(77);
    for changes in [other_account, other_slot] {
        let refused = chain.store.state_root_after(&changes);
        assert!(
            matches!(refused, Err(StorageError::ChangesOffState { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn genesis_is_written_once_and_another_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(2, 1));
    let (ours, other) = (genesis(&simple_model(2, 1)), genesis(&simple_model(2, 2)));
    let writes = chain.store.database().writes();
    assert_eq!(chain.store.initialize_genesis(&ours), Ok(()));
    let (expected, found) = (other.header.hash_slow(), ours.header.hash_slow());
    let refused = chain.store.initialize_genesis(&other);
    assert_eq!(refused, Err(StorageError::WrongGenesis { expected, found }));
    assert_eq!(chain.store.database().writes(), writes);
}

#[test]
fn genesis_whose_header_promises_another_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
    let mut genesis = genesis(&simple_model(2, 1));
    genesis.header.state_root = B256::ZERO;
    let refused = store.initialize_genesis(&genesis);
    assert!(matches!(
        refused,
        Err(StorageError::StateRootMismatch { .. })
    ));
    assert_eq!(store.try_head(), None);
    let changes = StateChanges::default();
    assert_eq!(
        store.state_root_after(&changes),
        Err(StorageError::NotInitialized)
    );
}

#[test]
fn idle_store_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    chain.extend(simple_model(3, 2), &Default::default(), SyncMode::Synced);
    let files = || -> std::collections::BTreeMap<_, _> {
        let entry = |entry: std::io::Result<std::fs::DirEntry>| {
            let (entry, metadata) = entry
                .map(|entry| (entry.file_name(), entry.metadata()))
                .unwrap();
            let metadata = metadata.unwrap();
            (entry, (metadata.len(), metadata.modified().unwrap()))
        };
        std::fs::read_dir(folder.path())
            .unwrap()
            .map(entry)
            .collect()
    };
    let before = (files(), chain.store.database().writes());
    for height in [0, 1].map(Height) {
        chain.store.block_by_number(height).unwrap();
        let address = Address::repeat_byte(1);
        chain
            .store
            .state_at(height)
            .unwrap()
            .account(address)
            .unwrap();
        chain
            .store
            .proof_at(height, address, &[U256::from(1)])
            .unwrap();
    }
    chain
        .store
        .state_root_after(&next(&chain, &simple_model(3, 3)))
        .unwrap();
    assert_eq!((files(), chain.store.database().writes()), before);
}

#[test]
fn more_complete_certificate_replaces_the_stored_one_and_none_runs_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    chain.extend(simple_model(3, 2), &Default::default(), SyncMode::Synced);
    chain.extend(simple_model(3, 3), &Default::default(), SyncMode::Synced);
    let head = chain.store.head();
    for height in [Height(1), Height(2)] {
        chain
            .store
            .put_certificate(height, &certificate(9))
            .unwrap();
    }
    let early = chain.store.put_certificate(Height(3), &certificate(9));
    assert!(matches!(early, Err(StorageError::UnknownHeight { .. })));
    assert_eq!(chain.store.head().certificate, Some(certificate(9)));
    assert_eq!(chain.store.head().hash, head.hash);
    chain.store.flush().unwrap();
    drop(chain);
    let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
    for height in [Height(1), Height(2)] {
        assert_eq!(store.certificate(height), Ok(Some(certificate(9))));
    }
}
