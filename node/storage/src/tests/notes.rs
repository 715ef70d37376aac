//! Notes of a group's store: written with blocks or alone, never in a node's store.

use super::chain::{Chain, certificate, context, genesis, simple_model};
use crate::{
    BlockCommit, Note, OpenOptions, SharedCache, StorageError, Store, StoreSize, SyncMode,
};
use medina_types::Height;
use std::path::Path;

fn group_options() -> OpenOptions {
    OpenOptions {
        size: StoreSize::Group(SharedCache::new(1024 * 1024)),
        ..OpenOptions::default()
    }
}

fn group_chain(folder: &Path) -> Chain {
    let store = Store::open(folder, group_options()).unwrap();
    let model = simple_model(3, 1);
    store.initialize_genesis(&genesis(&model)).unwrap();
    Chain {
        store,
        models: vec![model],
    }
}

fn commit_with(chain: &Chain, notes: &[Note], is_right: bool) -> Result<(), StorageError> {
    let changes = Default::default();
    let root = chain.store.head().header.state_root;
    let prepared = chain.prepare(changes, root);
    let receipts = if is_right {
        &prepared.receipts[..]
    } else {
        &[]
    };
    let commit = BlockCommit {
        block: &prepared.block,
        receipts,
        root: chain.store.state_root_after(&prepared.changes)?,
        changes: &prepared.changes,
        certificate: &certificate(0),
        context: &context(),
        consensus_record: None,
        sync: SyncMode::Deferred,
    };
    chain.store.commit_with_notes(commit, notes)
}

#[test]
fn notes_are_written_with_their_block_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let chain = group_chain(folder.path());
    let notes = [Note::put(*b"a1", *b"one"), Note::put(*b"b", *b"two")];
    assert!(commit_with(&chain, &notes, false).is_err());
    assert_eq!(chain.store.note(b"b"), Ok(None));
    commit_with(&chain, &notes, true).unwrap();
    assert_eq!(chain.store.note(b"b"), Ok(Some(b"two".to_vec())));
    let alone = [Note::put(*b"a2", *b"three"), Note::delete(*b"b")];
    chain.store.put_notes(&alone, SyncMode::Synced).unwrap();
    let keys = |from: &[u8], max| chain.store.note_keys(b"a", from, max).unwrap();
    assert_eq!(keys(b"", 9), [b"a1".to_vec(), b"a2".to_vec()]);
    assert_eq!(keys(b"a2", 9), [b"a2".to_vec()]);
    assert_eq!(keys(b"", 1), [b"a1".to_vec()]);
    drop(chain);
    let store = Store::open(folder.path(), group_options()).unwrap();
    assert_eq!(store.head().height, Height(1));
    assert_eq!(store.note(b"a2"), Ok(Some(b"three".to_vec())));
    assert_eq!(store.note(b"b"), Ok(None));
}

#[test]
fn nodes_store_keeps_no_notes() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(1, 1));
    assert_eq!(chain.store.note(b"a"), Err(StorageError::NoNotes));
    let refused = commit_with(&chain, &[Note::delete(*b"a")], true);
    assert_eq!(refused, Err(StorageError::NoNotes));
    assert_eq!(chain.store.head().height, Height(0));
    commit_with(&chain, &[], true).unwrap();
}

#[test]
fn replaced_receipts_are_as_many_as_before_and_leave_the_block_alone() {
    let folder = tempfile::tempdir().unwrap();
    let chain = group_chain(folder.path());
    commit_with(&chain, &[], true).unwrap();
    let height = Height(1);
    let mut receipts = chain.store.receipts(height).unwrap().unwrap();
    let head = chain.store.head();
    receipts[0].logs.clear();
    let note = [Note::put(*b"n", *b"x")];
    chain
        .store
        .replace_receipts(height, &receipts, &note)
        .unwrap();
    assert_eq!(chain.store.receipts(height), Ok(Some(receipts.clone())));
    assert_eq!(chain.store.note(b"n"), Ok(Some(b"x".to_vec())));
    assert_eq!(chain.store.head(), head);
    let refused = chain.store.replace_receipts(height, &receipts[..1], &[]);
    assert!(matches!(refused, Err(StorageError::ReceiptCount { .. })));
    let refused = chain.store.replace_receipts(Height(2), &receipts, &[]);
    assert!(matches!(refused, Err(StorageError::UnknownHeight { .. })));
}

#[test]
fn compaction_drops_what_was_overwritten_from_the_files_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let chain = group_chain(folder.path());
    let secret = b"a secret of forty-two bytes that is known.";
    let put = |value: &[u8]| {
        let note = Note::put(*b"k", value);
        chain.store.put_notes(&[note], SyncMode::Synced).unwrap();
    };
    put(secret);
    assert!(is_on_disk(folder.path(), secret));
    put(b"nothing");
    chain.store.compact().unwrap();
    assert!(!is_on_disk(folder.path(), secret));
    assert_eq!(chain.store.note(b"k"), Ok(Some(b"nothing".to_vec())));
    assert_eq!(chain.store.head().height, Height(0));
}

fn is_on_disk(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}
