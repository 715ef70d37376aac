//! The file of the audit log.
//!
//! ```text
//! length, 4 bytes | complement of it, 4 bytes | entry | keccak256(domain, entry)
//! ```
//! Each entry holds the hash of the one before it. An incomplete last entry is what a sudden stop
//! leaves; it was never acknowledged and is cut off. Anything else that does not fit is refused.
//! Whole entries missing at the end can only be found by a head that was anchored outside
//! ([`crate::Enclave::audit_head`]).

use crate::audit_reader::{Reader, entry_hash, store_error};
use crate::{AuditAction, AuditEntry, AuditHead, Caller, Digest, EnclaveError, key_files, limits};
use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Entries between two places that are remembered, for reading from the middle.
const PLACES_EVERY: u64 = 256;

/// The open log.
pub(crate) struct AuditLog {
    path: PathBuf,
    tail: Mutex<Tail>,
    /// For syncing while others append.
    sync: Mutex<Synced>,
}

struct Tail {
    file: File,
    head: AuditHead,
    bytes: u64,
    /// Offsets of entries 0, [`PLACES_EVERY`], twice that, and so on.
    places: Vec<u64>,
}

struct Synced {
    file: File,
    entries: u64,
}

impl AuditLog {
    /// Opens the log and checks all of it.
    pub(crate) fn open(path: &Path) -> Result<Self, EnclaveError> {
        let fail = |error: std::io::Error| store_error(path, &error);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        if let Some(folder) = path.parent() {
            key_files::sync_folder(folder)?;
        }
        let mut reader = Reader::new(path, &file, 0, AuditHead::default())?;
        let mut places = Vec::new();
        while let Some((_, offset)) = reader.next()? {
            if (reader.head.entries - 1).is_multiple_of(PLACES_EVERY) {
                places.push(offset);
            }
        }
        let (head, bytes, torn) = (reader.head, reader.offset, reader.torn_bytes);
        if torn > 0 {
            tracing::warn!(path = %path.display(), torn, "cut off an unfinished audit entry");
            file.set_len(bytes).map_err(fail)?;
            file.sync_all().map_err(fail)?;
        }
        let sync = Synced {
            file: file.try_clone().map_err(fail)?,
            entries: head.entries,
        };
        Ok(Self {
            path: path.to_owned(),
            tail: Mutex::new(Tail {
                file,
                head,
                bytes,
                places,
            }),
            sync: Mutex::new(sync),
        })
    }

    /// Appends an entry; it is on the disk when this returns.
    pub(crate) fn append(
        &self,
        caller: &Caller,
        action: AuditAction,
        digest: Digest,
    ) -> Result<(), EnclaveError> {
        let fail = |error: std::io::Error| store_error(&self.path, &error);
        let entries = self
            .tail
            .lock()
            .append(caller, action, digest)
            .map_err(fail)?;
        let mut synced = self.sync.lock();
        if synced.entries < entries {
            // Whoever waited here meanwhile is served by this sync too.
            let now = self.tail.lock().head.entries;
            synced.file.sync_data().map_err(fail)?;
            synced.entries = now;
        }
        Ok(())
    }

    /// Where the log stands.
    pub(crate) fn head(&self) -> AuditHead {
        self.tail.lock().head
    }

    /// Entries from a number on.
    pub(crate) fn entries(
        &self,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, EnclaveError> {
        let (head, place) = {
            let tail = self.tail.lock();
            let index = usize::try_from(from_seq / PLACES_EVERY).unwrap_or(usize::MAX);
            (tail.head, tail.places.get(index).copied())
        };
        let (Some(offset), true) = (place, from_seq < head.entries) else {
            return Ok(Vec::new());
        };
        let file = File::open(&self.path).map_err(|error| store_error(&self.path, &error))?;
        let start = from_seq - from_seq % PLACES_EVERY;
        let mut reader = Reader::inside(&self.path, &file, offset, start)?;
        let mut found = Vec::new();
        while found.len() < limit.min(limits::ENTRIES_MAX) && reader.head.entries < head.entries {
            let Some((entry, _)) = reader.next()? else {
                break;
            };
            if entry.seq >= from_seq {
                found.push(entry);
            }
        }
        Ok(found)
    }

    /// Reads the whole log again and checks it against what was written.
    pub(crate) fn verify(&self) -> Result<AuditHead, EnclaveError> {
        let head = self.head();
        let file = File::open(&self.path).map_err(|error| store_error(&self.path, &error))?;
        let mut reader = Reader::new(&self.path, &file, 0, AuditHead::default())?;
        while reader.head.entries < head.entries && reader.next()?.is_some() {}
        if reader.head == head {
            return Ok(head);
        }
        Err(EnclaveError::AuditBroken {
            seq: reader.head.entries,
            reason: format!("{} entries were written", head.entries),
        })
    }
}

impl Tail {
    fn append(
        &mut self,
        caller: &Caller,
        action: AuditAction,
        digest: Digest,
    ) -> std::io::Result<u64> {
        let entry = AuditEntry {
            seq: self.head.entries,
            at_s: caller.now_s,
            actor: caller.actor.clone(),
            scope: caller.scope.clone(),
            action,
            digest,
            previous: self.head.hash,
        };
        let body = borsh::to_vec(&entry)?;
        let hash = entry_hash(&body);
        let length = u32::try_from(body.len()).map_err(std::io::Error::other)?;
        let record = [
            length.to_be_bytes().as_slice(),
            &(!length).to_be_bytes(),
            &body,
            &hash,
        ]
        .concat();
        if let Err(error) = self.file.write_all(&record) {
            // A part of it would make what follows unreadable.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        if entry.seq.is_multiple_of(PLACES_EVERY) {
            self.places.push(self.bytes);
        }
        self.bytes += u64::try_from(record.len()).map_err(std::io::Error::other)?;
        self.head = AuditHead {
            entries: entry.seq + 1,
            hash,
        };
        Ok(self.head.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_audit_log;
    use std::fs;

    struct Fixture {
        folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().expect("a folder"),
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("audit.log")
        }

        fn open(&self) -> Result<AuditLog, EnclaveError> {
            AuditLog::open(&self.path())
        }

        fn with_entries(count: u8) -> Self {
            let fixture = Self::new();
            let log = fixture.open().expect("opens");
            for number in 0..count {
                append(&log, number);
            }
            fixture
        }
    }

    fn append(log: &AuditLog, number: u8) {
        let caller = Caller::new("tenant", "psi://a", number.into());
        log.append(&caller, AuditAction::Read, Digest([number; 32]))
            .expect("appends");
    }

    #[test]
    fn entries_read_back_after_a_restart() {
        let fixture = Fixture::with_entries(3);
        let log = fixture.open().unwrap();
        append(&log, 3);
        let entries = log.entries(2, 10).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].seq, entries[0].at_s), (2, 2));
        assert_eq!(entries[1].digest, Digest([3; 32]));
        assert_eq!(log.verify().unwrap().entries, 4);
        assert_eq!(log.entries(4, 10).unwrap(), []);
    }

    #[test]
    fn entries_far_inside_are_found() {
        let fixture = Fixture::new();
        let log = fixture.open().unwrap();
        for number in 0..=u8::MAX {
            append(&log, number);
            append(&log, number);
        }
        assert_eq!(log.entries(300, 1).unwrap()[0].digest, Digest([150; 32]));
        let again = fixture.open().unwrap();
        assert_eq!(again.entries(511, 9).unwrap()[0].digest, Digest([255; 32]));
        assert_eq!(again.head(), log.head());
    }

    #[test]
    fn every_torn_tail_is_cut_off_and_the_log_goes_on() {
        let whole = fs::read(Fixture::with_entries(3).path()).unwrap();
        let two = fs::read(Fixture::with_entries(2).path()).unwrap();
        for end in two.len()..whole.len() {
            let fixture = Fixture::new();
            fs::write(fixture.path(), &whole[..end]).unwrap();
            let log = fixture.open().unwrap();
            assert_eq!(log.head().entries, 2, "cut at {end}");
            append(&log, 2);
            assert_eq!(fs::read(fixture.path()).unwrap(), whole);
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let whole = fs::read(Fixture::with_entries(3).path()).unwrap();
        for index in 0..whole.len() {
            let fixture = Fixture::new();
            let mut changed = whole.clone();
            changed[index] ^= 1;
            fs::write(fixture.path(), &changed).unwrap();
            let opened = fixture.open();
            assert!(
                matches!(opened, Err(EnclaveError::AuditBroken { .. })),
                "byte {index}"
            );
        }
    }

    #[test]
    fn entry_taken_out_of_the_middle_is_found() {
        let whole = fs::read(Fixture::with_entries(3).path()).unwrap();
        let one = fs::read(Fixture::with_entries(1).path()).unwrap().len();
        let two = fs::read(Fixture::with_entries(2).path()).unwrap().len();
        let fixture = Fixture::new();
        fs::write(fixture.path(), [&whole[..one], &whole[two..]].concat()).unwrap();
        assert!(matches!(
            fixture.open(),
            Err(EnclaveError::AuditBroken { seq: 1, .. })
        ));
    }

    #[test]
    fn file_is_read_from_outside_and_left_as_it_is() {
        let fixture = Fixture::with_entries(3);
        let mut torn = fs::read(fixture.path()).unwrap();
        torn.extend_from_slice(&[0, 0]);
        fs::write(fixture.path(), &torn).unwrap();
        let mut seen = Vec::new();
        let head = read_audit_log(&fixture.path(), |entry, hash| seen.push((entry.seq, hash)));
        let head = head.unwrap();
        assert_eq!(fs::read(fixture.path()).unwrap(), torn);
        assert_eq!(seen.len(), 3);
        assert_eq!(seen.last(), Some(&(2, head.hash)));
        assert_eq!(fixture.open().unwrap().head(), head);

        torn[60] ^= 1;
        fs::write(fixture.path(), &torn).unwrap();
        let broken = read_audit_log(&fixture.path(), |_, _| {});
        assert!(matches!(
            broken,
            Err(EnclaveError::AuditBroken { seq: 0, .. })
        ));
    }

    #[test]
    fn change_under_a_running_log_is_found_by_verifying() {
        let fixture = Fixture::with_entries(3);
        let log = fixture.open().unwrap();
        let mut changed = fs::read(fixture.path()).unwrap();
        changed[40] ^= 1;
        fs::write(fixture.path(), changed).unwrap();
        assert!(log.verify().is_err());
    }
}
