//! What the private side must still know after a restart, apart from the groups'
//! states and the enclave's payloads: one small database, every row on this page.
//!
//! | key                        | value                                             |
//! |----------------------------|---------------------------------------------------|
//! | `scanned`                  | public height up to which markers were looked for |
//! | `m` height index           | [`MarkerRow`]                                     |
//! | `d` digest height index    | nothing: where a digest's markers stand           |
//! | `o` digest                 | [`Delivery`]                                      |
//! | `u` digest                 | nothing: the delivery is not complete             |
//! | `n` nonce                  | [`SentMarker`]                                    |
//! | `a` group                  | [`Book`]                                          |
//! | `e` digest                 | [`ErasureRow`]                                    |
//! | `f` digest                 | nothing: the erasure is not complete              |
//!
//! Nothing here is a secret or a plaintext.

use crate::private::{attestation::Book, outbox::Delivery, queue::Placed};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_storage::{Note, StorageError, Store, SyncMode};
use std::path::Path;

const SCANNED: &[u8] = b"scanned";
const MARKER: u8 = b'm';
const PLACE: u8 = b'd';
const DELIVERY: u8 = b'o';
const UNFINISHED_DELIVERY: u8 = b'u';
const SENT: u8 = b'n';
const BOOK: u8 = b'a';
const ERASURE: u8 = b'e';
const UNFINISHED_ERASURE: u8 = b'f';

/// Rows that one look lists.
const LISTED_MAX: usize = 100_000;

/// Places of one digest that one look lists.
const PLACES_PER_LOOK: usize = 64;

/// A marker of any group, as the public chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct MarkerRow {
    /// Digest of the envelope.
    pub(crate) digest: [u8; 32],
    /// By which members recognise it.
    pub(crate) tag: [u8; 32],
    /// Hash of the public transaction.
    pub(crate) transaction: [u8; 32],
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
    /// The asking organisation's signature.
    pub(crate) signature: Vec<u8>,
    /// Whether the asking organisation is one of this node.
    pub(crate) is_ours: bool,
    /// Whether this node has destroyed its keys.
    pub(crate) is_done_here: bool,
    /// Everybody who may hold it.
    pub(crate) holders: Vec<HolderRow>,
    /// Public transaction that reported it.
    pub(crate) event: Option<[u8; 32]>,
}

impl ErasureRow {
    /// Whether nothing is left to be done.
    pub(crate) fn is_complete(&self) -> bool {
        let is_known_everywhere = self.holders.iter().all(|holder| holder.receipt.is_some());
        self.is_done_here && (!self.is_ours || is_known_everywhere)
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

fn place_key(height: u64, index: u32) -> Vec<u8> {
    [&height.to_be_bytes()[..], &index.to_be_bytes()].concat()
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

/// Height and index at the end of a key.
fn place_of(key: &[u8]) -> RowResult<(u64, u32)> {
    let place = key.last_chunk::<12>().ok_or_else(|| malformed(key))?;
    let (height, index) = place.split_at(8);
    let height = height.try_into().map_err(|_| malformed(key))?;
    let index = index.try_into().map_err(|_| malformed(key))?;
    Ok((u64::from_be_bytes(height), u32::from_be_bytes(index)))
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

    /// Notes the markers of blocks up to a height.
    pub(crate) fn put_markers(
        &self,
        scanned: u64,
        markers: &[(u64, u32, MarkerRow)],
    ) -> RowResult<()> {
        let mut notes = vec![Note::put(SCANNED, encode(&scanned))];
        for (height, index, row) in markers {
            let place = place_key(*height, *index);
            notes.push(Note::put(key(MARKER, &place), encode(row)));
            let by_digest = [&row.digest[..], &place].concat();
            notes.push(Note::put(key(PLACE, &by_digest), Vec::new()));
        }
        // Lost with a crash, the blocks are looked through again.
        self.put(&notes, SyncMode::Deferred)
    }

    /// Markers of blocks from one to another, at most so many, in order.
    pub(crate) fn markers(
        &self,
        from: u64,
        to: u64,
        max: usize,
    ) -> RowResult<Vec<(Placed, MarkerRow)>> {
        let start = key(MARKER, &place_key(from, 0));
        let mut markers = Vec::new();
        for found in self.0.note_keys(&[MARKER], &start, max)? {
            let (height, index) = place_of(&found)?;
            if height > to {
                break;
            }
            let row: MarkerRow = self.get(&found)?.ok_or_else(|| malformed(&found))?;
            let placed = Placed {
                height,
                index,
                digest: B256::from(row.digest),
                transaction: B256::from(row.transaction),
            };
            markers.push((placed, row));
        }
        Ok(markers)
    }

    /// Where the first marker of a digest stands: height, index and transaction.
    pub(crate) fn place_of_digest(&self, digest: B256) -> RowResult<Option<Placed>> {
        let prefix = key(PLACE, digest.as_slice());
        let Some(found) = self.0.note_keys(&prefix, &prefix, 1)?.pop() else {
            return Ok(None);
        };
        let (height, index) = place_of(&found)?;
        let row: Option<MarkerRow> = self.get(&key(MARKER, &place_key(height, index)))?;
        Ok(row.map(|row| Placed {
            height,
            index,
            digest,
            transaction: B256::from(row.transaction),
        }))
    }

    /// Where the first marker of a digest stands that somebody recognises: anybody may
    /// put a digest on the chain with another tag.
    pub(crate) fn first_place_of<E: From<StorageError>>(
        &self,
        digest: B256,
        mut is_recognised: impl FnMut(&MarkerRow) -> Result<bool, E>,
    ) -> Result<Option<Placed>, E> {
        let prefix = key(PLACE, digest.as_slice());
        let mut start = prefix.clone();
        loop {
            let page = self.0.note_keys(&prefix, &start, PLACES_PER_LOOK)?;
            for found in &page {
                let (height, index) = place_of(found)?;
                let marker: Option<MarkerRow> =
                    self.get(&key(MARKER, &place_key(height, index)))?;
                if let Some(row) = marker
                    && is_recognised(&row)?
                {
                    return Ok(Some(Placed {
                        height,
                        index,
                        digest,
                        transaction: B256::from(row.transaction),
                    }));
                }
            }
            match page.last() {
                Some(last) if page.len() == PLACES_PER_LOOK => {
                    start = [&last[..], &[0]].concat();
                }
                _ => return Ok(None),
            }
        }
    }

    /// A delivery, complete or not.
    pub(crate) fn delivery(&self, digest: B256) -> RowResult<Option<Delivery>> {
        self.get(&key(DELIVERY, digest.as_slice()))
    }

    /// Writes a delivery; on the disk when this returns.
    pub(crate) fn put_delivery(&self, delivery: &Delivery, is_open: bool) -> RowResult<()> {
        let name = &delivery.digest;
        let mark = key(UNFINISHED_DELIVERY, name);
        let mark = match is_open {
            true => Note::put(mark, Vec::new()),
            false => Note::delete(mark),
        };
        let row = Note::put(key(DELIVERY, name), encode(delivery));
        self.put(&[row, mark], SyncMode::Synced)
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

    /// Erasures that are not complete.
    pub(crate) fn open_erasures(&self) -> RowResult<Vec<ErasureRow>> {
        let mut erasures = Vec::new();
        for digest in self.names(UNFINISHED_ERASURE)? {
            erasures.extend(self.erasure(digest)?);
        }
        Ok(erasures)
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

    fn rows() -> (TempDir, Rows) {
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

    fn marker(byte: u8) -> MarkerRow {
        MarkerRow {
            digest: [byte; 32],
            tag: [0xee; 32],
            transaction: [byte ^ 0xff; 32],
        }
    }

    #[test]
    fn markers_come_in_the_order_of_the_chain_within_their_blocks() {
        let (_folder, rows) = rows();
        assert_eq!(rows.scanned().unwrap(), None);
        let markers = [(300, 1, marker(3)), (2, 7, marker(1)), (300, 0, marker(2))];
        rows.put_markers(400, &markers).unwrap();
        assert_eq!(rows.scanned().unwrap(), Some(400));
        let found = |from, to, max| -> Vec<_> {
            let markers = rows.markers(from, to, max).unwrap();
            markers.iter().map(|(placed, _)| placed.digest[0]).collect()
        };
        assert_eq!(found(0, 400, 10), [1, 2, 3]);
        assert_eq!(found(3, 400, 10), [2, 3]);
        assert_eq!(found(0, 299, 10), [1]);
        assert_eq!(found(0, 400, 2), [1, 2]);
        let placed = rows.place_of_digest(B256::repeat_byte(3)).unwrap().unwrap();
        assert_eq!((placed.height, placed.index), (300, 1));
        assert_eq!(placed.transaction, B256::repeat_byte(0xfc));
        assert_eq!(rows.place_of_digest(B256::repeat_byte(9)).unwrap(), None);
    }

    #[test]
    fn first_place_is_the_first_recognised_one() {
        let (_folder, rows) = rows();
        let marker = |tag| MarkerRow {
            digest: [7; 32],
            tag: [tag; 32],
            transaction: [tag; 32],
        };
        // A stranger's copies with a wrong tag come first, and fill more than one look.
        let wrong = (0..150_u32).map(|index| (5, index, marker(1)));
        let right = [(5, 200, marker(2)), (9, 0, marker(2))];
        let all: Vec<_> = wrong.chain(right).collect();
        rows.put_markers(9, &all).unwrap();
        let digest = B256::repeat_byte(7);
        let first = |tag: u8| {
            let is_ours = |row: &MarkerRow| Ok::<_, StorageError>(row.tag == [tag; 32]);
            let place = rows.first_place_of(digest, is_ours).unwrap();
            place.map(|place| (place.height, place.index))
        };
        assert_eq!(first(2), Some((5, 200)));
        assert_eq!(first(1), Some((5, 0)));
        assert_eq!(first(3), None);
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
    fn erasure_is_open_until_every_holder_has_answered() {
        let (_folder, rows) = rows();
        let mut erasure = ErasureRow {
            digest: [1; 32],
            group: [2; 32],
            by: [3; 32],
            reason: "asked".to_owned(),
            at_s: 5,
            signature: vec![],
            is_ours: true,
            is_done_here: true,
            holders: vec![HolderRow {
                org: [4; 32],
                receipt: None,
            }],
            event: None,
        };
        rows.put_erasure(&erasure).unwrap();
        assert_eq!(rows.open_erasures().unwrap().len(), 1);
        erasure.holders[0].receipt = Some(vec![1]);
        rows.put_erasure(&erasure).unwrap();
        assert_eq!(rows.open_erasures().unwrap(), []);
        assert_eq!(rows.erasure(B256::repeat_byte(1)).unwrap(), Some(erasure));
    }
}
