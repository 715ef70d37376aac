//! What the private side must still know after a restart, apart from the groups'
//! states and the enclave's payloads: one small database, every row on this page.
//!
//! | key                        | value                                             |
//! |----------------------------|---------------------------------------------------|
//! | `scanned`                  | public height up to which markers were looked for |
//! | `looked-through`           | entry of the audit log where a look goes on       |
//! | `m` height index           | [`MarkerRow`]                                     |
//! | `d` digest height index    | nothing: where a digest's markers stand           |
//! | `h` height index           | [`MarkerRow`] that may be a handle of `GoQuorum`  |
//! | `H` handle height index    | nothing: where a handle stands                    |
//! | `g` handle group           | digest of the envelope behind a handle            |
//! | `q` digest                 | the handle of an envelope, kept over its erasure  |
//! | `k` group digest           | height of a vote that is still to be looked at    |
//! | `c` group                  | organisation that made it                         |
//! | `l` group                  | nothing: markers passed by are to be looked at    |
//! | `Z` group                  | nothing: the group has stopped                    |
//! | `o` digest                 | [`Delivery`]                                      |
//! | `u` digest                 | nothing: the delivery is not complete             |
//! | `w` digest                 | [`UnmarkedRow`]                                   |
//! | `n` nonce                  | [`SentMarker`]                                    |
//! | `a` group                  | [`Book`]                                          |
//! | `e` digest                 | [`ErasureRow`]                                    |
//! | `f` digest                 | nothing: the erasure is not complete              |
//! | `r` digest org             | public transaction that reported an erasure       |
//!
//! Nothing here is a secret or a plaintext.

mod deliveries;
mod found;

pub(crate) use deliveries::UnmarkedRow;
pub(crate) use found::Findings;

use crate::private::{attestation::Book, outbox::Delivery};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_storage::{Note, StorageError, Store, SyncMode};
use std::path::Path;

const SCANNED: &[u8] = b"scanned";
const LOOKED_THROUGH: &[u8] = b"looked-through";
const DELIVERY: u8 = b'o';
const UNFINISHED_DELIVERY: u8 = b'u';
const SENT: u8 = b'n';
const BOOK: u8 = b'a';
const ERASURE: u8 = b'e';
const UNFINISHED_ERASURE: u8 = b'f';

/// Rows that one look lists.
const LISTED_MAX: usize = 100_000;

/// A marker of any group, as the public chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct MarkerRow {
    /// Digest of the envelope.
    pub(crate) digest: [u8; 32],
    /// By which members recognise it.
    pub(crate) tag: [u8; 32],
    /// Hash of the public transaction.
    pub(crate) transaction: [u8; 32],
    /// Digest and tag are the halves of a handle instead, of `GoQuorum`'s clients; the
    /// row's key says so.
    #[borsh(skip)]
    pub(crate) is_handle: bool,
}

/// A marker that was sent with a nonce of the marker account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct SentMarker {
    /// Digest of the envelope; zero for a transaction that is no marker.
    pub(crate) digest: [u8; 32],
    /// The signed transaction.
    pub(crate) raw: Vec<u8>,
}

/// A holder's receipt of an erasure, encoded.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct HolderRow {
    /// Its organisation.
    pub(crate) org: [u8; 32],
    /// The enclave's receipt; `None` until it has answered.
    pub(crate) receipt: Option<Vec<u8>>,
}

/// An erasure that this node asked for or carried out.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ErasureRow {
    /// The payload.
    pub(crate) digest: [u8; 32],
    /// Its group.
    pub(crate) group: [u8; 32],
    /// Organisation that asked for it.
    pub(crate) by: [u8; 32],
    /// Why.
    pub(crate) reason: String,
    /// When it was asked for, seconds since 1970.
    pub(crate) at_s: u64,
    /// Public height behind which its marker does not come any more.
    pub(crate) after: u64,
    /// The asking organisation's signature; empty until it is done here.
    pub(crate) signature: Vec<u8>,
    /// Whether the asking organisation is one of this node.
    pub(crate) is_ours: bool,
    /// Whether the asking organisation sent the payload, so that the others obey.
    pub(crate) is_senders: bool,
    /// The erasure that this is a part of: the same transaction, sealed another time.
    pub(crate) part_of: Option<[u8; 32]>,
    /// When this node had destroyed its keys and removed its words.
    pub(crate) done_at_s: Option<u64>,
    /// Everybody who may hold it.
    pub(crate) holders: Vec<HolderRow>,
    /// Public transaction that reported it, as the chain has it.
    pub(crate) event: Option<[u8; 32]>,
    /// Nobody waits for a report of this node.
    pub(crate) is_unreported: bool,
}

impl ErasureRow {
    /// Whether nothing is left to be done.
    pub(crate) fn is_complete(&self) -> bool {
        let is_told = self.part_of.is_some() || self.event.is_some() || self.is_unreported;
        self.done_at_s.is_some() && is_told && (!self.is_ours || self.is_known_everywhere())
    }

    /// Whether every holder has given its receipt.
    pub(crate) fn is_known_everywhere(&self) -> bool {
        self.holders.iter().all(|holder| holder.receipt.is_some())
    }
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rows(Store);

/// What opening and reading it may meet.
pub(crate) type RowResult<T> = Result<T, StorageError>;

fn key(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], name].concat()
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to memory cannot fail")
}

fn malformed(key: &[u8]) -> StorageError {
    StorageError::Database(format!(
        "a row of the private database is damaged: key {}",
        alloy_primitives::hex::encode(key)
    ))
}

impl Rows {
    /// Opens the database in a folder, or makes one.
    pub(crate) fn open(folder: &Path, options: medina_storage::OpenOptions) -> RowResult<Self> {
        Store::open(folder, options).map(Self)
    }

    fn get<T: BorshDeserialize>(&self, key: &[u8]) -> RowResult<Option<T>> {
        let Some(bytes) = self.0.note(key)? else {
            return Ok(None);
        };
        borsh::from_slice(&bytes)
            .map(Some)
            .map_err(|_| malformed(key))
    }

    fn put(&self, notes: &[Note], sync: SyncMode) -> RowResult<()> {
        self.0.put_notes(notes, sync)
    }

    /// Public height up to which markers were looked for.
    pub(crate) fn scanned(&self) -> RowResult<Option<u64>> {
        self.get(SCANNED)
    }

    /// A delivery, complete or not.
    pub(crate) fn delivery(&self, digest: B256) -> RowResult<Option<Delivery>> {
        self.get(&key(DELIVERY, digest.as_slice()))
    }

    /// Deliveries that were not complete when they were last written.
    pub(crate) fn open_deliveries(&self) -> RowResult<Vec<Delivery>> {
        let mut deliveries = Vec::new();
        for digest in self.names(UNFINISHED_DELIVERY)? {
            deliveries.extend(self.delivery(digest)?);
        }
        Ok(deliveries)
    }

    fn names(&self, kind: u8) -> RowResult<Vec<B256>> {
        let keys = self.0.note_keys(&[kind], &[kind], LISTED_MAX)?;
        let name = |key: Vec<u8>| B256::try_from(&key[1..]).map_err(|_| malformed(&key));
        keys.into_iter().map(name).collect()
    }

    /// Transactions of the marker account by nonce.
    pub(crate) fn sent_markers(&self) -> RowResult<Vec<(u64, SentMarker)>> {
        let mut sent = Vec::new();
        for found in self.0.note_keys(&[SENT], &[SENT], LISTED_MAX)? {
            let nonce = found[1..].try_into().map_err(|_| malformed(&found))?;
            let row = self.get(&found)?.ok_or_else(|| malformed(&found))?;
            sent.push((u64::from_be_bytes(nonce), row));
        }
        Ok(sent)
    }

    /// Writes a transaction of the marker account, on the disk when this returns.
    pub(crate) fn put_sent_marker(&self, nonce: u64, sent: &SentMarker) -> RowResult<()> {
        let row = Note::put(key(SENT, &nonce.to_be_bytes()), encode(sent));
        self.put(&[row], SyncMode::Synced)
    }

    /// Forgets transactions of the marker account that are in blocks.
    pub(crate) fn delete_sent_markers(&self, nonces: &[u64]) -> RowResult<()> {
        let delete = |nonce: &u64| Note::delete(key(SENT, &nonce.to_be_bytes()));
        let notes: Vec<_> = nonces.iter().map(delete).collect();
        self.put(&notes, SyncMode::Deferred)
    }

    /// Signed roots of a group.
    pub(crate) fn book(&self, group: B256) -> RowResult<Book> {
        Ok(self.get(&key(BOOK, group.as_slice()))?.unwrap_or_default())
    }

    /// Writes the signed roots of a group.
    pub(crate) fn put_book(&self, group: B256, book: &Book) -> RowResult<()> {
        let row = Note::put(key(BOOK, group.as_slice()), encode(book));
        self.put(&[row], SyncMode::Synced)
    }

    /// An erasure.
    pub(crate) fn erasure(&self, digest: B256) -> RowResult<Option<ErasureRow>> {
        self.get(&key(ERASURE, digest.as_slice()))
    }

    /// Writes an erasure; on the disk when this returns.
    pub(crate) fn put_erasure(&self, erasure: &ErasureRow) -> RowResult<()> {
        let mark = key(UNFINISHED_ERASURE, &erasure.digest);
        let mark = match erasure.is_complete() {
            true => Note::delete(mark),
            false => Note::put(mark, Vec::new()),
        };
        let row = Note::put(key(ERASURE, &erasure.digest), encode(erasure));
        self.put(&[row, mark], SyncMode::Synced)
    }

    /// Entry of the audit log up to which envelopes were looked for that nothing names.
    pub(crate) fn looked_through(&self) -> RowResult<u64> {
        Ok(self.get(LOOKED_THROUGH)?.unwrap_or(0))
    }

    /// Notes that entry; lost with a crash, they are looked for again.
    pub(crate) fn put_looked_through(&self, entry: u64) -> RowResult<()> {
        let row = Note::put(LOOKED_THROUGH, encode(&entry));
        self.put(&[row], SyncMode::Deferred)
    }

    /// Erasures that are not complete.
    pub(crate) fn open_erasures(&self) -> RowResult<Vec<B256>> {
        self.names(UNFINISHED_ERASURE)
    }

    /// Puts everything on the disk.
    pub(crate) fn flush(&self) -> RowResult<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medina_storage::{OpenOptions, SharedCache, StoreSize};
    use tempfile::TempDir;

    pub(super) fn rows() -> (TempDir, Rows) {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = open(folder.path());
        (folder, rows)
    }

    fn open(folder: &Path) -> Rows {
        let options = OpenOptions {
            size: StoreSize::Group(SharedCache::new(1 << 20)),
            ..OpenOptions::default()
        };
        Rows::open(&folder.join("rows"), options).expect("a database")
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let (folder, rows) = rows();
        let sent = SentMarker {
            digest: [1; 32],
            raw: vec![2, 3],
        };
        rows.put_sent_marker(7, &sent).unwrap();
        rows.put_sent_marker(300, &sent).unwrap();
        rows.flush().unwrap();
        drop(rows);
        let rows = open(folder.path());
        let nonces: Vec<_> = rows.sent_markers().unwrap().into_iter().collect();
        assert_eq!(nonces, [(7, sent.clone()), (300, sent)]);
        rows.delete_sent_markers(&[7]).unwrap();
        assert_eq!(rows.sent_markers().unwrap().len(), 1);
    }

    #[test]
    fn erasure_is_open_until_every_holder_has_answered_and_the_chain_shows_it() {
        let (_folder, rows) = rows();
        let mut erasure = ErasureRow {
            digest: [1; 32],
            group: [2; 32],
            by: [3; 32],
            reason: "asked".to_owned(),
            at_s: 5,
            after: 6,
            signature: vec![],
            is_ours: true,
            is_senders: true,
            part_of: None,
            done_at_s: None,
            holders: vec![HolderRow {
                org: [4; 32],
                receipt: None,
            }],
            event: None,
            is_unreported: false,
        };
        let digest = B256::repeat_byte(1);
        let mut is_open = |change: fn(&mut ErasureRow)| {
            change(&mut erasure);
            rows.put_erasure(&erasure).unwrap();
            assert_eq!(rows.erasure(digest).unwrap().as_ref(), Some(&erasure));
            rows.open_erasures().unwrap() == [digest]
        };
        assert!(is_open(|_| ()));
        assert!(is_open(|row| row.done_at_s = Some(7)));
        assert!(is_open(|row| row.holders[0].receipt = Some(vec![1])));
        assert!(!is_open(|row| row.event = Some([9; 32])));
        // A part of another one is told with that; who only obeyed is not waited for.
        assert!(is_open(|row| row.event = None));
        assert!(!is_open(|row| row.part_of = Some([2; 32])));
        assert!(!is_open(
            |row| (row.part_of, row.is_unreported) = (None, true)
        ));
    }
}
