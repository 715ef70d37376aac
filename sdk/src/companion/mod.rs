//! The companion database: the seller's readings, encrypted one by one, next to what is anchored.
//!
//! Rule followed: the design's "Off-chain data" and contracts specification, section 5. The chain
//! keeps roots and tombstones; readings, salts and keys live here. Erasing a record destroys its
//! key and salt, after which neither the record nor a guess at it can be matched with its leaf;
//! the leaf stays, so that its neighbours still prove themselves.
//!
//! ```text
//! master key --seals--> record key + salt   (column family "keys": deleting it erases)
//!                           |
//!                        encrypts--> record (column family "records")
//!                           |
//!                        leaf ------------> (column family "leaves") --tree--> root, anchored
//! ```
//!
//! Life of a batch: [`Companion::prepare`] stores readings under the next number and gives the
//! root; when it is on chain, [`Companion::mark_anchored`]; only then is it handed out.
//!
//! # Deviations
//!
//! Erased bytes leave RocksDB's files, which is what a program can promise; what a disk's own
//! remapping keeps is out of reach, and unreadable without the master key.

mod crypto;
mod erase;
mod schema;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use rocksdb::{DB, WriteBatch, WriteOptions};
use thiserror::Error;

pub use self::crypto::MasterKey;
use self::crypto::{RecordSecret, open_record, seal_record};
use self::schema::{BatchRow, Column, SourceRow, record_key};
use crate::device::Batch;
use crate::limits::{BATCH_READINGS_MAX, GATEWAY_PAGE_READINGS_MAX};
use crate::merkle::{MerkleError, MerkleTree, RecordId, leaf};
use crate::readings::{Reading, ReadingError};

/// Why the companion database cannot do what it was asked.
#[derive(Debug, Error)]
pub enum CompanionError {
    /// The store itself failed or is in use by another process.
    #[error("cannot use the companion database {path}: {reason}")]
    Store {
        /// Where it lies.
        path: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
    /// The folder holds something else.
    #[error("{0} is no companion database and not empty; choose another folder")]
    Foreign(PathBuf),
    /// A row that this version did not write, or a damaged one.
    #[error("the companion database holds a damaged {what}")]
    Damaged {
        /// Which kind of row.
        what: &'static str,
    },
    /// Written by another version.
    #[error("the companion database has schema {found}, this program reads {expected}")]
    Schema {
        /// What is written there.
        found: u64,
        /// What this program knows.
        expected: u64,
    },
    /// The master key is not the one the data were sealed with.
    #[error("the master key does not open this companion database: it was made with another key")]
    WrongKey,
    /// The file of the master key.
    #[error("cannot use the master key {path}: {reason}")]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A reading that cannot become a record.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// No readings, or too many.
    #[error(transparent)]
    Tree(#[from] MerkleError),
    /// Readings older than what the source already has.
    #[error(
        "the batch ends at {to}, but the source already has readings of {last}; the chain never goes back"
    )]
    Backwards {
        /// The batch's end, Unix seconds.
        to: u64,
        /// The last anchored time, Unix seconds.
        last: u64,
    },
    /// The batch before this one is not on chain yet.
    #[error("batch {0} of this source is not anchored yet; anchor or drop it first")]
    StillPending(u64),
    /// No such batch.
    #[error("source {source_id} has no batch {seq}")]
    UnknownBatch {
        /// Which resource.
        source_id: B256,
        /// Which batch.
        seq: u64,
    },
    /// No such record.
    #[error("batch {} of source {} has no record {}", .0.seq, .0.source, .0.index)]
    UnknownRecord(RecordId),
    /// The batch is anchored and cannot be dropped.
    #[error("batch {0} is anchored; erase its records instead")]
    Anchored(u64),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// A batch as the database knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBatch {
    /// What is anchored.
    pub batch: Batch,
    /// The transaction that anchored it; `None` while it is pending.
    pub anchored_by: Option<B256>,
}

/// A record with everything a buyer checks it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Where it stands.
    pub id: RecordId,
    /// Its canonical bytes.
    pub record: Vec<u8>,
    /// The salt of its leaf.
    pub salt: B256,
}

/// One place of a batch: the record, or that it was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// The record is there.
    Present(StoredRecord),
    /// The record was erased; its leaf remains.
    Erased(RecordId),
}

/// The open database. One process at a time.
#[derive(Debug)]
pub struct Companion {
    db: DB,
    path: PathBuf,
    master: MasterKey,
}

/// A folder with other things in it is somebody's mistake: nothing is written there.
fn refuse_foreign_folder(path: &Path) -> Result<(), CompanionError> {
    // A folder that is not there yet is made; one that cannot be read fails on opening.
    let Ok(mut entries) = std::fs::read_dir(path) else {
        return Ok(());
    };
    // What RocksDB writes before CURRENT, should it be stopped there.
    let is_first_file = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
        let name = name.to_string_lossy();
        ["LOG", "LOCK", "IDENTITY", "MANIFEST-", "OPTIONS-"]
            .iter()
            .any(|start| name.starts_with(start))
            || name.ends_with(".dbtmp")
    };
    if path.join("CURRENT").is_file() || entries.all(is_first_file) {
        return Ok(());
    }
    Err(CompanionError::Foreign(path.to_owned()))
}

impl Companion {
    /// Opens the database, or makes it, under `master`.
    pub fn open(path: &Path, master: MasterKey) -> Result<Self, CompanionError> {
        refuse_foreign_folder(path)?;
        let db = schema::open(path)?;
        let companion = Self {
            db,
            path: path.to_owned(),
            master,
        };
        companion.check_or_write_meta()?;
        Ok(companion)
    }

    /// Stores readings of `source` as its next batch and gives what is to be anchored. Readings
    /// are put in the order of their times; a batch may not end before the last one did.
    pub fn prepare(
        &self,
        source: B256,
        mut readings: Vec<Reading>,
    ) -> Result<Batch, CompanionError> {
        readings.sort_by_key(|reading| reading.time_ms);
        let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
            return Err(MerkleError::Empty.into());
        };
        if readings.len() > BATCH_READINGS_MAX {
            return Err(MerkleError::TooManyLeaves(readings.len()).into());
        }
        let known = self.source(source)?;
        let (from, to) = (first.time_seconds(), last.time_seconds());
        if let Some(pending) = known.pending {
            return Err(CompanionError::StillPending(pending));
        }
        if to < known.last {
            return Err(CompanionError::Backwards {
                to,
                last: known.last,
            });
        }
        let seq = known.seq + 1;
        let mut writes = WriteBatch::default();
        let leaves = self.put_records(&mut writes, source, seq, &readings)?;
        let count = NonZeroU32::try_from(u32::try_from(leaves.len()).unwrap_or(u32::MAX))
            .map_err(|_| MerkleError::Empty)?;
        let root = MerkleTree::new(leaves)?.root();
        let batch = Batch {
            source,
            seq,
            root,
            from,
            to,
            count: count.get(),
        };
        self.put_batch(
            &mut writes,
            &StoredBatch {
                batch,
                anchored_by: None,
            },
        );
        self.put_source(
            &mut writes,
            source,
            &SourceRow {
                pending: Some(seq),
                ..known
            },
        );
        self.commit(writes)?;
        Ok(batch)
    }

    /// Notes that a batch is on chain.
    pub fn mark_anchored(
        &self,
        source: B256,
        seq: u64,
        transaction: B256,
    ) -> Result<(), CompanionError> {
        let stored = self.batch(source, seq)?;
        let known = self.source(source)?;
        let mut writes = WriteBatch::default();
        self.put_batch(
            &mut writes,
            &StoredBatch {
                anchored_by: Some(transaction),
                ..stored
            },
        );
        if known.pending == Some(seq) {
            let row = SourceRow {
                seq,
                last: stored.batch.to,
                pending: None,
            };
            self.put_source(&mut writes, source, &row);
        }
        self.commit(writes)
    }

    /// Forgets a batch that never reached the chain, so that its readings can be prepared anew.
    pub fn drop_pending(&self, source: B256, seq: u64) -> Result<(), CompanionError> {
        let stored = self.batch(source, seq)?;
        if stored.anchored_by.is_some() {
            return Err(CompanionError::Anchored(seq));
        }
        let mut writes = WriteBatch::default();
        for index in 0..stored.batch.count {
            let key = record_key(RecordId { source, seq, index });
            for column in [Column::Keys, Column::Records, Column::Leaves] {
                writes.delete_cf(self.column(column), key);
            }
        }
        writes.delete_cf(self.column(Column::Batches), schema::batch_key(source, seq));
        let known = self.source(source)?;
        self.put_source(
            &mut writes,
            source,
            &SourceRow {
                pending: None,
                ..known
            },
        );
        self.commit(writes)
    }

    /// One batch.
    pub fn batch(&self, source: B256, seq: u64) -> Result<StoredBatch, CompanionError> {
        let found = self.get(Column::Batches, &schema::batch_key(source, seq))?;
        let row = found.ok_or(CompanionError::UnknownBatch {
            source_id: source,
            seq,
        })?;
        BatchRow::decode(&row, source, seq)
    }

    /// The number of the source's last anchored batch; 0 if there is none.
    pub fn last_anchored(&self, source: B256) -> Result<u64, CompanionError> {
        Ok(self.source(source)?.seq)
    }

    /// The batch that waits to be anchored, if there is one.
    pub fn pending(&self, source: B256) -> Result<Option<StoredBatch>, CompanionError> {
        let pending = self.source(source)?.pending;
        pending.map(|seq| self.batch(source, seq)).transpose()
    }

    /// One record.
    pub fn record(&self, id: RecordId) -> Result<Slot, CompanionError> {
        let stored = self.batch(id.source, id.seq)?;
        if id.index >= stored.batch.count {
            return Err(CompanionError::UnknownRecord(id));
        }
        self.slot(id)
    }

    /// Up to `limit` places of one batch from `first` on.
    pub fn records(
        &self,
        source: B256,
        seq: u64,
        first: u32,
        limit: usize,
    ) -> Result<Vec<Slot>, CompanionError> {
        let count = self.batch(source, seq)?.batch.count;
        (first..count)
            .take(limit.min(GATEWAY_PAGE_READINGS_MAX))
            .map(|index| self.slot(RecordId { source, seq, index }))
            .collect()
    }

    /// The hash tree of a batch, from its leaves; erased records keep theirs.
    pub fn tree(&self, source: B256, seq: u64) -> Result<MerkleTree, CompanionError> {
        let batch = self.batch(source, seq)?.batch;
        let leaves = (0..batch.count)
            .map(|index| self.leaf(RecordId { source, seq, index }))
            .collect::<Result<Vec<_>, _>>()?;
        let tree = MerkleTree::new(leaves)?;
        if tree.root() != batch.root {
            return Err(CompanionError::Damaged {
                what: "batch: its leaves do not give its root",
            });
        }
        Ok(tree)
    }

    /// The leaf of a record, erased or not.
    pub fn leaf(&self, id: RecordId) -> Result<B256, CompanionError> {
        let row = self.get(Column::Leaves, &record_key(id))?;
        let row = row.ok_or(CompanionError::UnknownRecord(id))?;
        B256::try_from(row.as_slice()).map_err(|_| CompanionError::Damaged { what: "leaf" })
    }

    fn slot(&self, id: RecordId) -> Result<Slot, CompanionError> {
        let key = record_key(id);
        let Some(sealed) = self.get(Column::Keys, &key)? else {
            return Ok(Slot::Erased(id));
        };
        let secret = self.master.unseal(&sealed, &key)?;
        let encrypted = self
            .get(Column::Records, &key)?
            .ok_or(CompanionError::Damaged {
                what: "record: its key is there, its bytes are not",
            })?;
        let record = open_record(&secret, &encrypted, &key)?;
        Ok(Slot::Present(StoredRecord {
            id,
            record,
            salt: secret.salt(),
        }))
    }

    fn put_records(
        &self,
        writes: &mut WriteBatch,
        source: B256,
        seq: u64,
        readings: &[Reading],
    ) -> Result<Vec<B256>, CompanionError> {
        let mut leaves = Vec::with_capacity(readings.len());
        for (index, reading) in (0_u32..).zip(readings) {
            let id = RecordId { source, seq, index };
            let key = record_key(id);
            let record = reading.to_record()?;
            let secret = RecordSecret::random()?;
            let leaf = leaf(id, secret.salt(), &record);
            writes.put_cf(
                self.column(Column::Records),
                key,
                seal_record(&secret, &record, &key)?,
            );
            writes.put_cf(
                self.column(Column::Keys),
                key,
                self.master.seal(&secret, &key)?,
            );
            writes.put_cf(self.column(Column::Leaves), key, leaf);
            leaves.push(leaf);
        }
        Ok(leaves)
    }

    fn source(&self, source: B256) -> Result<SourceRow, CompanionError> {
        let row = self.get(Column::Sources, source.as_slice())?;
        row.map_or(Ok(SourceRow::default()), |row| SourceRow::decode(&row))
    }

    fn put_source(&self, writes: &mut WriteBatch, source: B256, row: &SourceRow) {
        writes.put_cf(self.column(Column::Sources), source, row.encode());
    }

    fn put_batch(&self, writes: &mut WriteBatch, stored: &StoredBatch) {
        let key = schema::batch_key(stored.batch.source, stored.batch.seq);
        writes.put_cf(self.column(Column::Batches), key, BatchRow::encode(stored));
    }

    /// A new database takes the key it is opened with; an old one refuses any other.
    fn check_or_write_meta(&self) -> Result<(), CompanionError> {
        let Some(version) = self.get(Column::Meta, schema::VERSION_KEY)? else {
            let mut writes = WriteBatch::default();
            let meta = self.column(Column::Meta);
            writes.put_cf(meta, schema::VERSION_KEY, schema::VERSION.to_be_bytes());
            writes.put_cf(meta, schema::PROBE_KEY, self.master.probe()?);
            return self.commit(writes);
        };
        let found = schema::number(&version, "schema version")?;
        if found != schema::VERSION {
            return Err(CompanionError::Schema {
                found,
                expected: schema::VERSION,
            });
        }
        let probe = self.get(Column::Meta, schema::PROBE_KEY)?;
        self.master.check(&probe.unwrap_or_default())
    }

    fn column(&self, column: Column) -> &rocksdb::ColumnFamily {
        self.db
            .cf_handle(column.name())
            .expect("every column family is opened with the database")
    }

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, CompanionError> {
        self.db
            .get_cf(self.column(column), key)
            .map_err(|error| self.store_error(&error))
    }

    /// Everything of one step, synced.
    fn commit(&self, writes: WriteBatch) -> Result<(), CompanionError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db
            .write_opt(writes, &options)
            .map_err(|error| self.store_error(&error))
    }

    fn store_error(&self, error: &rocksdb::Error) -> CompanionError {
        CompanionError::Store {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
