//! Forgetting, looked at from inside: the key itself is searched for.

use super::payloads::{bucket_of, key_row};
use super::*;
use crate::store::KeyTable;
use crate::{Mode, RecipientKey};
use std::fs;

fn caller() -> Caller {
    Caller::new("tests", "private:*", 1_800_000_000)
}

fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if fs::read(&path).is_ok_and(|bytes| contains(&bytes, needle)) {
            found.push(path);
        }
    }
    found
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

struct Fixture {
    folder: tempfile::TempDir,
    enclave: LocalEnclave,
    party: PartyId,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let enclave = Self::open(&folder);
        let party = enclave.ensure_party(&caller(), "alice").expect("a party");
        Self {
            folder,
            enclave,
            party,
        }
    }

    fn open(folder: &tempfile::TempDir) -> LocalEnclave {
        let config = EnclaveConfig::in_folder(folder.path().join("enclave"));
        LocalEnclave::open(config).expect("opens")
    }

    fn seal(&self, payload: &[u8]) -> Digest {
        let terms = Terms {
            chain_id: 1,
            genesis_hash: [2; 32],
            group: GroupId([3; 32]),
            mode: Mode::Standard,
            sender: self.party,
            anchor_slot: 4,
            roots: None,
        };
        let none: &[RecipientKey] = &[];
        let sealed = self.enclave.seal(&caller(), &terms, payload, none);
        sealed.expect("seals").digest()
    }

    /// The row of the payload's key, as it lies in the store.
    fn wrapped(&self, digest: &Digest) -> Vec<u8> {
        let row = key_row(&digest.0, &self.party);
        let found = self.enclave.keys.get(KeyTable::Payloads, &row);
        found.expect("reads").expect("a row")
    }

    /// The payload's key itself.
    fn key(&self, digest: &Digest, wrapped: &[u8]) -> Result<[u8; 32], EnclaveError> {
        let row = key_row(&digest.0, &self.party);
        let bucket = bucket_of(&digest.0);
        let key = self.enclave.key_encryption.unwrap(bucket, &row, wrapped)?;
        Ok(*key.expose())
    }
}

#[test]
fn after_erasure_neither_key_nor_wrapped_key_nor_payload_is_anywhere() {
    let fixture = Fixture::new();
    let payload = b"patient 0815 has never been here";
    let digest = fixture.seal(payload);
    let wrapped = fixture.wrapped(&digest);
    let key = fixture.key(&digest, &wrapped).unwrap();
    let folder = fixture.folder.path();
    assert!(!files_with(folder, &wrapped).is_empty(), "the scan finds");
    let early = fixture.folder.path().join("early");
    fixture.enclave.back_up(&early).unwrap();

    fixture
        .enclave
        .erase(&caller(), &digest, &fixture.party, "")
        .unwrap();
    let late = fixture.folder.path().join("late");
    fixture.enclave.back_up(&late).unwrap();
    // Enclave, write-ahead logs, table files and both backups lie below.
    for needle in [
        key.as_slice(),
        alloy_primitives::hex::encode(key).as_bytes(),
    ] {
        assert_eq!(files_with(folder, needle), Vec::<PathBuf>::new());
    }
    assert_eq!(files_with(folder, payload), Vec::<PathBuf>::new());
    assert_eq!(files_with(folder, &wrapped), Vec::<PathBuf>::new());
    // An old copy of the row opens no more, now and after a restart.
    assert!(fixture.key(&digest, &wrapped).is_err());
    let Fixture {
        folder,
        enclave,
        party,
    } = fixture;
    drop(enclave);
    let fixture = Fixture {
        enclave: Fixture::open(&folder),
        folder,
        party,
    };
    assert!(fixture.key(&digest, &wrapped).is_err());
}

#[test]
fn stop_between_the_batch_and_the_rest_is_completed_at_the_next_start() {
    let fixture = Fixture::new();
    let digest = fixture.seal(b"payload");
    let wrapped = fixture.wrapped(&digest);
    let bucket = bucket_of(&digest.0);
    let tombstone = Tombstone {
        digest,
        by: fixture.party,
        reason: String::new(),
        actor: "tests".into(),
        erased_at_s: 1,
        was_held: true,
    };
    // Steps 1 and 2, by hand; then the process is gone.
    let rotation = fixture.enclave.key_encryption.begin(bucket).unwrap();
    let mut batch = fixture.enclave.keys.batch();
    let row = key_row(&digest.0, &fixture.party);
    batch.delete(KeyTable::Payloads, &row);
    batch.put_encoded(KeyTable::Tombstones, &digest.0, &tombstone);
    let version = rotation.version();
    batch.put_encoded(KeyTable::Buckets, &bucket.to_be_bytes(), &version);
    batch.write().unwrap();
    let Fixture {
        folder,
        enclave,
        party,
    } = fixture;
    drop(enclave);

    let fixture = Fixture {
        enclave: Fixture::open(&folder),
        folder,
        party,
    };
    assert!(fixture.key(&digest, &wrapped).is_err());
    let status = fixture.enclave.status(&digest).unwrap();
    assert_eq!(status, PayloadStatus::Erased(tombstone));
    assert!(fixture.enclave.stored_envelope(&digest).unwrap().is_none());
    let buckets = fixture.folder.path().join("enclave/secrets/buckets");
    assert_eq!(key_files::names(&buckets).unwrap().len(), 1);
}

/// Where a process may end in the middle of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    NewKey,
    KeysDestroyed,
    CiphertextRemoved,
}

#[test]
fn erasure_that_was_stopped_anywhere_ends_at_the_next_start_or_when_it_is_repeated() {
    for stop in [Stop::NewKey, Stop::KeysDestroyed, Stop::CiphertextRemoved] {
        let fixture = Fixture::new();
        let (digest, kept) = (fixture.seal(b"payload"), fixture.seal(b"keep me"));
        let wrapped = fixture.wrapped(&digest);
        let ciphertext = fixture.enclave.stored_envelope(&digest).unwrap();
        let ciphertext = ciphertext.unwrap().ciphertext;
        let bucket = bucket_of(&digest.0);
        let tombstone = Tombstone {
            digest,
            by: fixture.party,
            reason: String::new(),
            actor: "tests".into(),
            erased_at_s: 1,
            was_held: true,
        };
        let enclave = &fixture.enclave;
        if stop == Stop::NewKey {
            enclave.key_encryption.begin(bucket).unwrap();
        } else {
            enclave.destroy_keys(&[bucket], &tombstone, None).unwrap();
        }
        if stop == Stop::CiphertextRemoved {
            enclave.remove_ciphertext(&tombstone, None).unwrap();
            assert!(!files_with(fixture.folder.path(), &ciphertext).is_empty());
        }
        let Fixture {
            folder,
            enclave,
            party,
        } = fixture;
        drop(enclave);

        let fixture = Fixture {
            enclave: Fixture::open(&folder),
            folder,
            party,
        };
        if stop == Stop::NewKey {
            // Nothing had happened; the order is repeated.
            assert!(fixture.key(&digest, &wrapped).is_ok());
            let repeated = fixture.enclave.erase(&caller(), &digest, &party, "");
            assert!(repeated.unwrap().was_held);
        }
        let status = fixture.enclave.status(&digest).unwrap();
        assert!(matches!(status, PayloadStatus::Erased(_)), "{stop:?}");
        assert!(fixture.key(&digest, &wrapped).is_err(), "{stop:?}");
        for needle in [&ciphertext, &wrapped] {
            let left = files_with(fixture.folder.path(), needle);
            assert_eq!(left, Vec::<PathBuf>::new(), "{stop:?}");
        }
        let opened = fixture.enclave.open(&caller(), &kept, &party).unwrap();
        assert_eq!(opened.as_slice(), b"keep me");
    }
}

#[test]
fn stored_payload_that_is_not_sent_goes_after_a_day_with_its_key() {
    let fixture = Fixture::new();
    let at = |now_s| Caller { now_s, ..caller() };
    let stored_at_s = caller().now_s;
    let enclave = &fixture.enclave;
    let handle = enclave
        .store_raw(&caller(), b"never sent", &fixture.party)
        .unwrap();
    let row = key_row(&handle.0, &fixture.party);
    let wrapped = enclave.keys.get(KeyTable::Raw, &row).unwrap().unwrap();
    let bucket = bucket_of(&handle.0);
    let day = limits::RAW_S;
    enclave.keep_time(&at(stored_at_s + day - 1)).unwrap();
    assert!(enclave.open_raw(&caller(), &handle, &fixture.party).is_ok());
    // The next look is an hour later.
    enclave.keep_time(&at(stored_at_s + 2 * day)).unwrap();
    let refused = enclave.open_raw(&caller(), &handle, &fixture.party);
    assert_eq!(refused.err(), Some(EnclaveError::UnknownHandle(handle)));
    let unwrapped = enclave.key_encryption.unwrap(bucket, &row, &wrapped);
    assert!(unwrapped.is_err(), "an old copy of the row opens no more");
    assert_eq!(
        files_with(fixture.folder.path(), &wrapped),
        Vec::<PathBuf>::new()
    );
}

#[test]
fn dropped_payload_is_unreadable_within_an_hour_and_what_is_kept_is_not() {
    let fixture = Fixture::new();
    let (digest, kept) = (fixture.seal(b"nobody names it"), fixture.seal(b"keep me"));
    let wrapped = fixture.wrapped(&digest);
    let enclave = &fixture.enclave;
    enclave.discard(&caller(), &digest).unwrap();
    enclave.keep_time(&caller()).unwrap();
    assert!(fixture.key(&digest, &wrapped).is_err());
    assert_eq!(
        files_with(fixture.folder.path(), &wrapped),
        Vec::<PathBuf>::new()
    );
    let opened = enclave.open(&caller(), &kept, &fixture.party).unwrap();
    assert_eq!(opened.as_slice(), b"keep me");
    let stale = enclave.keys.with_prefix(KeyTable::Stale, &[]).count();
    assert_eq!(stale, 0);
}

#[test]
fn ciphertext_without_a_key_is_not_believed_to_be_here() {
    let fixture = Fixture::new();
    let digest = fixture.seal(b"payload");
    let row = key_row(&digest.0, &fixture.party);
    let mut batch = fixture.enclave.keys.batch();
    batch.delete(KeyTable::Payloads, &row);
    batch.write().unwrap();
    assert_eq!(
        fixture.enclave.status(&digest).unwrap(),
        PayloadStatus::Missing
    );
    let refused = fixture.enclave.open(&caller(), &digest, &fixture.party);
    assert_eq!(refused.err(), Some(EnclaveError::Missing(digest)));
}
