//! Two databases on one page: what a backup may hold, and what it must not.
//!
//! `payloads` holds ciphertexts and tombstones, `keys` the payloads' keys, each encrypted under
//! its bucket's key ([`crate::key_encryption`]). They are apart so that a copy of the first never
//! brings the second with it. A payload is here when its key is: the ciphertext is written first,
//! so that a stop between the two leaves nothing that is believed to be here.

use crate::EnclaveError;
use borsh::{BorshDeserialize, BorshSerialize};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB, Direction,
    IteratorMode, LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};
use std::path::Path;

const SCHEMA_VERSION: u32 = 1;
const SCHEMA_KEY: &[u8] = b"schema";
const META: &str = "meta";
/// RocksDB always makes this one; nothing is kept there.
const DEFAULT: &str = "default";

/// Bytes of recent writes kept in memory per table.
const WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Write-ahead log beyond which the oldest tables are written out.
const WAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Files that RocksDB keeps open.
const OPEN_FILES_MAX: i32 = 256;
/// Files of RocksDB's own notes kept.
const NOTES_MAX: usize = 4;

/// Tables of the database `payloads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadTable {
    /// digest -> envelope without wraps.
    Envelopes,
    /// handle -> digest.
    Handles,
    /// handle -> stored raw payload.
    Raw,
    /// digest -> tombstone.
    Tombstones,
}

/// Tables of the database `keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyTable {
    /// digest, party -> wrapped key.
    Payloads,
    /// handle, party -> wrapped key.
    Raw,
    /// group, version, id -> wrapped secret.
    GroupSecrets,
    /// digest -> tombstone; written with the removal of the keys.
    Tombstones,
    /// bucket, two bytes -> version of the key its rows use, once it is not the first.
    Buckets,
    /// bucket, two bytes -> nothing: keys were dropped from it since it got its key.
    Stale,
    /// digest -> its handle, or nothing: files may still have what was forgotten.
    Unswept,
}

/// A table of a database.
pub(crate) trait Table: Copy + 'static {
    /// All tables of the database.
    const ALL: &'static [Self];

    /// Name of the column family.
    fn name(self) -> &'static str;
}

impl Table for PayloadTable {
    const ALL: &'static [Self] = &[Self::Envelopes, Self::Handles, Self::Raw, Self::Tombstones];

    fn name(self) -> &'static str {
        match self {
            Self::Envelopes => "envelopes",
            Self::Handles => "handles",
            Self::Raw => "raw",
            Self::Tombstones => "tombstones",
        }
    }
}

impl Table for KeyTable {
    const ALL: &'static [Self] = &[
        Self::Payloads,
        Self::Raw,
        Self::GroupSecrets,
        Self::Tombstones,
        Self::Buckets,
        Self::Stale,
        Self::Unswept,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Payloads => "payload_keys",
            Self::Raw => "raw_keys",
            Self::GroupSecrets => "group_secrets",
            Self::Tombstones => "tombstones",
            Self::Buckets => "buckets",
            Self::Stale => "stale",
            Self::Unswept => "unswept",
        }
    }
}

/// A key and its value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

/// One of the two databases.
pub(crate) struct Database<T: Table> {
    db: DB,
    tables: std::marker::PhantomData<T>,
}

impl<T: Table> Database<T> {
    /// Opens or creates the database.
    pub(crate) fn open(path: &Path) -> Result<Self, EnclaveError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_total_wal_size(WAL_BYTES_MAX);
        options.set_max_open_files(OPEN_FILES_MAX);
        options.set_keep_log_file_num(NOTES_MAX);
        options.set_log_level(LogLevel::Warn);
        let names = T::ALL.iter().map(|table| table.name());
        let families = names
            .chain([META, DEFAULT])
            .map(|name| ColumnFamilyDescriptor::new(name, table_options()));
        let db = DB::open_cf_descriptors(&options, path, families).map_err(|error| {
            EnclaveError::Store(format!(
                "{}: {error} (is another enclave using it?)",
                path.display()
            ))
        })?;
        let database = Self {
            db,
            tables: std::marker::PhantomData,
        };
        database.check_schema(path)?;
        Ok(database)
    }

    fn check_schema(&self, path: &Path) -> Result<(), EnclaveError> {
        let meta = self.named(META);
        match self.db.get_cf(meta, SCHEMA_KEY)? {
            None => {
                let mut batch = WriteBatch::default();
                batch.put_cf(meta, SCHEMA_KEY, SCHEMA_VERSION.to_be_bytes());
                self.write(batch)
            }
            Some(found) if found == SCHEMA_VERSION.to_be_bytes() => Ok(()),
            Some(found) => Err(EnclaveError::Store(format!(
                "{} has schema {found:?}, this program reads {SCHEMA_VERSION}",
                path.display()
            ))),
        }
    }

    fn named(&self, name: &str) -> &ColumnFamily {
        self.db
            .cf_handle(name)
            .expect("open creates what is missing")
    }

    fn family(&self, table: T) -> &ColumnFamily {
        self.named(table.name())
    }

    /// The value under a key.
    pub(crate) fn get(&self, table: T, key: &[u8]) -> Result<Option<Vec<u8>>, EnclaveError> {
        Ok(self.db.get_cf(self.family(table), key)?)
    }

    /// Whether there is a value under a key.
    pub(crate) fn has(&self, table: T, key: &[u8]) -> Result<bool, EnclaveError> {
        Ok(self.db.get_pinned_cf(self.family(table), key)?.is_some())
    }

    /// The decoded value under a key.
    pub(crate) fn read<V: BorshDeserialize>(
        &self,
        table: T,
        key: &[u8],
    ) -> Result<Option<V>, EnclaveError> {
        let Some(bytes) = self.get(table, key)? else {
            return Ok(None);
        };
        decode(table.name(), &bytes).map(Some)
    }

    /// Rows whose keys begin with a prefix, in order.
    pub(crate) fn with_prefix(
        &self,
        table: T,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Row, EnclaveError>> + '_ {
        let mut options = ReadOptions::default();
        if let Some(end) = after_prefix(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let mode = IteratorMode::From(prefix, Direction::Forward);
        self.db
            .iterator_cf_opt(self.family(table), options, mode)
            .map(|row| row.map_err(EnclaveError::from))
    }

    /// Rows from a key on, in order.
    pub(crate) fn starting_at(
        &self,
        table: T,
        key: &[u8],
    ) -> impl Iterator<Item = Result<Row, EnclaveError>> + '_ {
        let mode = IteratorMode::From(key, Direction::Forward);
        self.db
            .iterator_cf(self.family(table), mode)
            .map(|row| row.map_err(EnclaveError::from))
    }

    /// An empty batch.
    pub(crate) fn batch(&self) -> Batch<'_, T> {
        Batch {
            database: self,
            batch: WriteBatch::default(),
        }
    }

    fn write(&self, batch: WriteBatch) -> Result<(), EnclaveError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    /// Rewrites the files around a key, so that removed values leave the disk. Forgetting does
    /// not rest on it.
    pub(crate) fn sweep(&self, table: T, prefix: &[u8]) -> Result<(), EnclaveError> {
        // A log file goes when no table needs it any more, the small ones too.
        for name in T::ALL.iter().map(|table| table.name()).chain([META]) {
            self.db.flush_cf(self.named(name))?;
        }
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        let end = after_prefix(prefix);
        self.db
            .compact_range_cf_opt(self.family(table), Some(prefix), end, &options);
        Ok(())
    }

    /// A copy in a folder that does not exist yet.
    pub(crate) fn checkpoint(&self, folder: &Path) -> Result<(), EnclaveError> {
        Ok(Checkpoint::new(&self.db)?.create_checkpoint(folder)?)
    }
}

/// Writes that happen together or not at all.
pub(crate) struct Batch<'a, T: Table> {
    database: &'a Database<T>,
    batch: WriteBatch,
}

impl<T: Table> Batch<'_, T> {
    /// Sets a value.
    pub(crate) fn put(&mut self, table: T, key: &[u8], value: &[u8]) {
        self.batch.put_cf(self.database.family(table), key, value);
    }

    /// Sets an encoded value.
    pub(crate) fn put_encoded<V: BorshSerialize>(&mut self, table: T, key: &[u8], value: &V) {
        let encoded = borsh::to_vec(value).expect("writing to memory cannot fail");
        self.put(table, key, &encoded);
    }

    /// Removes a value.
    pub(crate) fn delete(&mut self, table: T, key: &[u8]) {
        self.batch.delete_cf(self.database.family(table), key);
    }

    /// Writes all of it; it is on the disk when this returns.
    pub(crate) fn write(self) -> Result<(), EnclaveError> {
        self.database.write(self.batch)
    }
}

fn table_options() -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options
}

/// The first key after all keys with this prefix; none if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

pub(crate) fn decode<V: BorshDeserialize>(table: &str, bytes: &[u8]) -> Result<V, EnclaveError> {
    borsh::from_slice(bytes)
        .map_err(|error| EnclaveError::Store(format!("a row of {table} is damaged: {error}")))
}

/// A payload that a client stored and names later; its key is in the other database.
#[derive(BorshSerialize, BorshDeserialize)]
pub(crate) struct StoredRaw {
    pub(crate) from: crate::PartyId,
    pub(crate) stored_at_s: u64,
    pub(crate) ciphertext: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_prefix_comes_after_all_its_keys() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
    }

    #[test]
    fn rows_with_a_prefix_are_those_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let database: Database<KeyTable> = Database::open(folder.path()).unwrap();
        let mut batch = database.batch();
        for key in [[1, 1], [1, 255], [2, 0]] {
            batch.put(KeyTable::Payloads, &key, &[]);
        }
        batch.write().unwrap();
        let keys: Vec<Box<[u8]>> = database
            .with_prefix(KeyTable::Payloads, &[1])
            .map(|row| row.unwrap().0)
            .collect();
        assert_eq!(keys, [Box::from([1, 1]), Box::from([1, 255])]);
    }

    #[test]
    fn other_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let database: Database<KeyTable> = Database::open(folder.path()).unwrap();
        let mut batch = WriteBatch::default();
        batch.put_cf(database.named(META), SCHEMA_KEY, 9_u32.to_be_bytes());
        database.write(batch).unwrap();
        drop(database);
        let refused = Database::<KeyTable>::open(folder.path()).err().unwrap();
        assert!(refused.to_string().contains("schema"), "{refused}");
    }
}
