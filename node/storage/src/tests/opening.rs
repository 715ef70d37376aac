//! Folders that are no store of ours, each with its own error.

use super::chain::{Chain, simple_model};
use crate::schema::{SCHEMA_VERSION, Table, meta};
use crate::{OpenOptions, StorageError, Store, SyncMode};
use rocksdb::{DB, Options};
use std::path::Path;

fn open(path: &Path) -> Result<Store, StorageError> {
    Store::open(path, OpenOptions::default())
}

fn refusal(path: &Path) -> StorageError {
    open(path).expect_err("the folder must be refused")
}

#[test]
fn folder_with_other_files_is_foreign_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("holiday.jpg"), b"x").unwrap();
    let error = refusal(folder.path());
    assert!(matches!(&error, StorageError::Foreign { .. }));
    assert!(error.to_string().contains("holiday.jpg"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn chain_that_was_deleted_beside_the_private_folder_begins_anew_and_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::write(private.join("identity.key"), b"x").unwrap();
    drop(Store::open(folder.path(), OpenOptions::default()).unwrap());
    assert_eq!(std::fs::read(private.join("identity.key")).unwrap(), b"x");
}

#[test]
fn file_in_place_of_the_folder_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    assert!(matches!(refusal(&file), StorageError::Unreadable { .. }));
}

#[test]
fn databases_of_other_programs_are_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let default_only = folder.path().join("default");
    DB::open_default(&default_only)
        .unwrap()
        .put(b"key", b"value")
        .unwrap();
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let other_families = folder.path().join("families");
    drop(DB::open_cf(&options, &other_families, ["coins"]).unwrap());
    let same_names = folder.path().join("same");
    let db = DB::open_cf(&options, &same_names, ["meta"]).unwrap();
    db.put(b"key", b"value").unwrap();
    drop(db);
    for path in [default_only, other_families, same_names] {
        assert!(
            matches!(refusal(&path), StorageError::Foreign { .. }),
            "{}",
            path.display()
        );
    }
}

#[test]
fn creation_that_was_killed_half_way_is_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let before_any_family = folder.path().join("default");
    drop(DB::open_default(&before_any_family).unwrap());
    let before_the_last_family = folder.path().join("meta");
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(DB::open_cf(&options, &before_the_last_family, ["meta", "headers"]).unwrap());
    let before_the_database = folder.path().join("lock");
    std::fs::create_dir(&before_the_database).unwrap();
    std::fs::write(before_the_database.join("LOCK"), b"").unwrap();
    for path in [
        before_any_family,
        before_the_last_family,
        before_the_database,
    ] {
        Chain::create(&path, simple_model(1, 1));
        assert_eq!(
            open(&path).unwrap().head().height.0,
            0,
            "{}",
            path.display()
        );
    }
}

#[test]
fn other_schemas_are_named() {
    for found in [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1] {
        let folder = tempfile::tempdir().unwrap();
        let chain = Chain::create(folder.path(), simple_model(1, 1));
        let mut batch = chain.store.database().batch();
        batch.put(Table::Meta, meta::SCHEMA, &found.to_be_bytes());
        batch.write(SyncMode::Synced).unwrap();
        drop(chain);
        let (path, supported) = (folder.path().to_path_buf(), SCHEMA_VERSION);
        let expected = if found > supported {
            StorageError::NewerSchema {
                path,
                found,
                supported,
            }
        } else {
            StorageError::OlderSchema {
                path,
                found,
                supported,
            }
        };
        assert_eq!(refusal(folder.path()), expected);
    }
}

#[test]
fn second_handle_finds_the_store_locked() {
    let folder = tempfile::tempdir().unwrap();
    let _chain = Chain::create(folder.path(), simple_model(1, 1));
    assert_eq!(
        refusal(folder.path()),
        StorageError::Locked {
            path: folder.path().into()
        }
    );
}

/// A copy whose state lies in table files, not in the log.
fn checkpoint_of(chain: &Chain, folder: &Path) -> std::path::PathBuf {
    let path = folder.join("checkpoint");
    chain.store.checkpoint(&path).unwrap();
    path
}

#[test]
fn checkpoint_opens_at_the_same_head_and_goes_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(&folder.path().join("live"), simple_model(3, 1));
    chain.extend(simple_model(3, 2), &Default::default(), SyncMode::Deferred);
    let path = checkpoint_of(&chain, folder.path());
    let head = chain.store.head();
    chain.extend(simple_model(3, 3), &Default::default(), SyncMode::Deferred);
    let copy = open(&path).unwrap();
    assert_eq!(copy.head(), head);
    assert_ne!(chain.store.head(), head);
    // What was signed since is not in it, so neither is what was signed before.
    assert_eq!(copy.consensus_record(), Ok(None));
    assert!(chain.store.consensus_record().unwrap().is_some());
    let again = chain.store.checkpoint(&path);
    assert_eq!(again, Err(StorageError::CheckpointExists { path }));
}

fn files_ending(path: &Path, suffix: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort();
    files
}

/// What was done to a folder, in words and in deed.
type Damage = (&'static str, fn(&Path));

#[test]
fn truncated_databases_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(&folder.path().join("live"), simple_model(3, 1));
    let damages: [Damage; 4] = [
        ("a table file is gone", |path| {
            std::fs::remove_file(&files_ending(path, ".sst")[0]).unwrap();
        }),
        ("a table file is cut", |path| {
            let file = &files_ending(path, ".sst")[0];
            let bytes = std::fs::read(file).unwrap();
            std::fs::remove_file(file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("the manifest is gone", |path| {
            for entry in std::fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                if path.to_string_lossy().contains("MANIFEST") {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }),
        ("CURRENT is gone", |path| {
            std::fs::remove_file(path.join("CURRENT")).unwrap()
        }),
    ];
    for (index, (damage, apply)) in damages.into_iter().enumerate() {
        let path = folder.path().join(index.to_string());
        chain.store.checkpoint(&path).unwrap();
        apply(&path);
        let error = refusal(&path);
        let is_named = matches!(
            error,
            StorageError::Unreadable { .. } | StorageError::Foreign { .. }
        );
        assert!(is_named, "{damage}: {error}");
        assert_eq!(error.to_string().lines().count(), 1, "{damage}: {error}");
    }
}
