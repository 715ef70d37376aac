//! Batches, encryption at rest, and erasure down to the bytes of the files.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::merkle::verify;
use crate::readings::Decimal;

const SOURCE: B256 = B256::repeat_byte(1);

fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}

fn open(dir: &tempfile::TempDir) -> Companion {
    Companion::open(&dir.path().join("db"), master()).expect("opens")
}

fn readings(count: u64) -> Vec<Reading> {
    let of = |n: u64| {
        Reading::new(
            n * 1_000,
            format!("plaintext-property-{n}"),
            Decimal::from(n),
        )
    };
    (1..=count).map(of).collect()
}

fn present(slot: Slot) -> StoredRecord {
    match slot {
        Slot::Present(record) => record,
        Slot::Erased(id) => panic!("record {id:?} is erased"),
    }
}

fn id(seq: u64, index: u32) -> RecordId {
    RecordId {
        source: SOURCE,
        seq,
        index,
    }
}

/// Whether any file of the database holds these bytes.
fn files_hold(dir: &tempfile::TempDir, needle: &[u8]) -> bool {
    let files = fs::read_dir(dir.path().join("db")).expect("lists");
    files
        .map(|file| fs::read(file.expect("an entry").path()).unwrap_or_default())
        .any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

#[test]
fn prepared_batch_proves_every_record_against_its_root() {
    let dir = tempfile::tempdir().expect("a folder");
    let companion = open(&dir);
    let batch = companion.prepare(SOURCE, readings(5)).expect("stores");
    assert_eq!((batch.seq, batch.from, batch.to, batch.count), (1, 1, 5, 5));
    let tree = companion.tree(SOURCE, 1).expect("a tree");
    for slot in companion.records(SOURCE, 1, 0, 10).expect("reads") {
        let record = present(slot);
        let leaf = leaf(record.id, record.salt, &record.record);
        let proof = tree.proof(record.id.index).expect("in the batch");
        assert!(verify(batch.root, leaf, &proof));
    }
}

#[test]
fn batches_are_numbered_without_gaps_and_never_go_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let companion = open(&dir);
    companion.prepare(SOURCE, readings(3)).expect("stores");
    assert!(matches!(
        companion.prepare(SOURCE, readings(3)),
        Err(CompanionError::StillPending(1))
    ));
    companion
        .mark_anchored(SOURCE, 1, B256::repeat_byte(9))
        .expect("notes");
    assert_eq!(companion.last_anchored(SOURCE).expect("reads"), 1);
    let error = companion.prepare(SOURCE, readings(2));
    assert!(matches!(
        error,
        Err(CompanionError::Backwards { to: 2, last: 3 })
    ));
    assert_eq!(
        companion.prepare(SOURCE, readings(4)).expect("stores").seq,
        2
    );
    assert_eq!(
        companion
            .pending(SOURCE)
            .expect("reads")
            .expect("is pending")
            .batch
            .seq,
        2
    );
}

#[test]
fn dropped_batch_gives_its_number_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let companion = open(&dir);
    companion.prepare(SOURCE, readings(3)).expect("stores");
    companion.drop_pending(SOURCE, 1).expect("drops");
    assert!(matches!(
        companion.batch(SOURCE, 1),
        Err(CompanionError::UnknownBatch { .. })
    ));
    assert_eq!(
        companion.prepare(SOURCE, readings(1)).expect("stores").seq,
        1
    );
    companion
        .mark_anchored(SOURCE, 1, B256::ZERO)
        .expect("notes");
    assert!(matches!(
        companion.drop_pending(SOURCE, 1),
        Err(CompanionError::Anchored(1))
    ));
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let batch = open(&dir).prepare(SOURCE, readings(2)).expect("stores");
    let companion = open(&dir);
    assert_eq!(companion.batch(SOURCE, 1).expect("reads").batch, batch);
    let record = present(companion.record(id(1, 1)).expect("reads"));
    assert_eq!(
        Reading::from_record(&record.record).expect("a reading"),
        readings(2)[1]
    );
}

#[test]
fn unknown_places_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let companion = open(&dir);
    companion.prepare(SOURCE, readings(1)).expect("stores");
    assert!(matches!(
        companion.record(id(1, 1)),
        Err(CompanionError::UnknownRecord(_))
    ));
    assert!(matches!(
        companion.record(id(2, 0)),
        Err(CompanionError::UnknownBatch { .. })
    ));
    assert!(matches!(
        companion.erase(&[id(1, 1)]),
        Err(CompanionError::UnknownRecord(_))
    ));
    assert!(matches!(
        companion.prepare(SOURCE, vec![]),
        Err(CompanionError::Tree(MerkleError::Empty))
    ));
}

#[test]
fn another_master_key_or_a_second_process_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("db");
    let companion = open(&dir);
    assert!(matches!(
        Companion::open(&path, master()),
        Err(CompanionError::Store { .. })
    ));
    drop(companion);
    let other = Companion::open(&path, MasterKey::from_bytes([8; 32]));
    assert!(matches!(other, Err(CompanionError::WrongKey)));
}

#[test]
fn master_key_file_is_made_once_and_then_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("companion.key");
    let made = MasterKey::load_or_create(&path).expect("makes");
    let read = MasterKey::load_or_create(&path).expect("reads");
    assert!(read.check(&made.probe().expect("randomness")).is_ok());
    fs::write(&path, "short").expect("writes");
    assert!(matches!(
        MasterKey::load(&path),
        Err(CompanionError::KeyFile { .. })
    ));
    assert_eq!(format!("{made:?}"), "MasterKey(hidden)");
}

#[test]
fn no_plaintext_or_key_is_ever_in_the_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let companion = open(&dir);
    companion.prepare(SOURCE, readings(3)).expect("stores");
    let sealed = companion
        .get(Column::Keys, &record_key(id(1, 0)))
        .expect("reads")
        .expect("there");
    let secret = companion
        .master
        .unseal(&sealed, &record_key(id(1, 0)))
        .expect("opens");
    let salt = secret.salt();
    for scrubbed in [false, true] {
        assert!(
            files_hold(&dir, &sealed),
            "the scan must see what is there, scrubbed: {scrubbed}"
        );
        assert!(!files_hold(&dir, b"plaintext-property"));
        assert!(!files_hold(&dir, salt.as_slice()));
        assert!(!files_hold(&dir, &[7; 32]));
        companion.scrub(id(1, 0), id(1, 2)).expect("compacts");
    }
}

#[test]
fn erased_record_leaves_no_byte_and_its_neighbours_still_prove_themselves() {
    let dir = tempfile::tempdir().expect("a folder");
    let companion = open(&dir);
    let batch = companion.prepare(SOURCE, readings(4)).expect("stores");
    let key = record_key(id(1, 2));
    let sealed = companion
        .get(Column::Keys, &key)
        .expect("reads")
        .expect("there");
    let encrypted = companion
        .get(Column::Records, &key)
        .expect("reads")
        .expect("there");
    let kept = companion
        .get(Column::Keys, &record_key(id(1, 1)))
        .expect("reads")
        .expect("there");
    assert!(files_hold(&dir, &sealed) && files_hold(&dir, &encrypted));

    companion.erase(&[id(1, 2)]).expect("erases");

    assert!(!files_hold(&dir, &sealed) && !files_hold(&dir, &encrypted));
    assert!(
        !files_hold(&dir, &sealed[24..56]),
        "not even a part of the sealed key"
    );
    assert!(files_hold(&dir, &kept));
    assert_eq!(
        companion.record(id(1, 2)).expect("reads"),
        Slot::Erased(id(1, 2))
    );
    let tree = companion
        .tree(SOURCE, 1)
        .expect("the leaves are still there");
    let neighbour = present(companion.record(id(1, 1)).expect("reads"));
    let leaf = leaf(neighbour.id, neighbour.salt, &neighbour.record);
    assert!(verify(
        batch.root,
        leaf,
        &tree.proof(1).expect("in the batch")
    ));
    companion.erase(&[id(1, 2)]).expect("twice is once");
}

#[test]
fn exchanged_or_damaged_rows_are_not_handed_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let companion = open(&dir);
    companion.prepare(SOURCE, readings(2)).expect("stores");
    let other = companion
        .get(Column::Keys, &record_key(id(1, 1)))
        .expect("reads")
        .expect("there");
    companion
        .db
        .put_cf(companion.column(Column::Keys), record_key(id(1, 0)), &other)
        .expect("writes");
    assert!(matches!(
        companion.record(id(1, 0)),
        Err(CompanionError::Damaged { .. })
    ));
    companion
        .db
        .put_cf(
            companion.column(Column::Leaves),
            record_key(id(1, 0)),
            [0; 32],
        )
        .expect("writes");
    assert!(matches!(
        companion.tree(SOURCE, 1),
        Err(CompanionError::Damaged { .. })
    ));
}

proptest! {
    #[test]
    fn damaged_rows_do_not_panic(bytes in any::<Vec<u8>>()) {
        let _ = SourceRow::decode(&bytes);
        let _ = BatchRow::decode(&bytes, SOURCE, 1);
        prop_assert!(master().unseal(&bytes, b"place").is_err());
        prop_assert!(master().check(&bytes).is_err());
    }
}

#[test]
fn folder_with_other_things_in_it_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("key.json"), "{}").expect("written");
    let opened = Companion::open(dir.path(), MasterKey::from_bytes([1; 32]));
    assert!(matches!(opened, Err(CompanionError::Foreign(_))));
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
}
