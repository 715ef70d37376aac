//! RocksDB behind typed tables: opening with every refusal named, reads of one
//! moment ([`View`]), and one [`Batch`] per write.

use crate::head_rows::{HeadRows, Row};
use crate::schema::{self, DEFAULT_COLUMN_FAMILY, SCHEMA_VERSION, Table, meta};
use crate::{OpenOptions, StorageError, StoreSize, SyncMode, encoding};
use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, Direction, IteratorMode,
    Options, ReadOptions, Snapshot, WriteBatch, WriteOptions,
};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// Names a RocksDB folder may hold before its `CURRENT` file exists: a creation
/// that was killed half-way leaves these, and nothing of value.
const UNFINISHED_PREFIXES: [&str; 5] = ["LOCK", "LOG", "MANIFEST-", "OPTIONS-", "IDENTITY"];
const UNFINISHED_SUFFIX: &str = ".dbtmp";
/// Folder that a node's private side keeps beside the database: keys among it, which
/// must outlive a chain that is fetched anew.
const PRIVATE_FOLDER: &str = "private";

/// The open database.
pub(crate) struct Database {
    db: DB,
    rows: HeadRows,
}

impl Database {
    /// Opens or creates; see [`crate::Store::open`] for what is refused.
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, StorageError> {
        let size = &options.size;
        let cache = match size {
            StoreSize::Node => Cache::new_lru_cache(options.block_cache_bytes),
            StoreSize::Group(cache) => cache.0.clone(),
        };
        if path.join("CURRENT").exists() {
            if let Some(database) = Self::open_existing(path, (&cache, size))? {
                return Ok(database);
            }
        } else {
            refuse_foreign_folder(path)?;
        }
        Self::create(path, (&cache, size))
    }

    fn new(db: DB, size: &StoreSize) -> Self {
        Self {
            db,
            rows: HeadRows::sized(size),
        }
    }

    /// `None` if the folder holds a database to which nothing was ever written:
    /// a creation that was killed half-way.
    fn open_existing(
        path: &Path,
        (cache, size): (&Cache, &StoreSize),
    ) -> Result<Option<Self>, StorageError> {
        let names = DB::list_cf(&Options::default(), path).map_err(|e| open_error(path, &e))?;
        let foreign = |reason: String| StorageError::Foreign {
            path: path.into(),
            reason,
        };
        let known = |name: &String| Table::ALL.iter().any(|table| table.name() == name);
        let is_ours = names.iter().any(|name| name == Table::Meta.name());
        let is_fresh = names
            .iter()
            .all(|name| known(name) || name == DEFAULT_COLUMN_FAMILY);
        if !is_ours && !is_fresh {
            return Err(foreign(format!(
                "its column families are {}",
                names.join(", ")
            )));
        }
        let options = schema::database_options(size);
        let db = open_families(path, &options, &names, (cache, size))?;
        if db.latest_sequence_number() == 0 {
            return Ok(None);
        }
        if !is_ours {
            return Err(foreign("a RocksDB database of another program".into()));
        }
        check_schema(path, &db)?;
        if let Some(table) = Table::of(size)
            .iter()
            .find(|table| db.cf_handle(table.name()).is_none())
        {
            let reason = format!("column family {} is missing", table.name());
            return Err(StorageError::Unreadable {
                path: path.into(),
                reason,
            });
        }
        Ok(Some(Self::new(db, size)))
    }

    fn create(path: &Path, (cache, size): (&Cache, &StoreSize)) -> Result<Self, StorageError> {
        let mut options = schema::database_options(size);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let names: Vec<_> = Table::of(size)
            .iter()
            .map(|table| table.name().to_string())
            .collect();
        let database = Self::new(open_families(path, &options, &names, (cache, size))?, size);
        let mut batch = database.batch();
        batch.put(Table::Meta, meta::SCHEMA, &SCHEMA_VERSION.to_be_bytes());
        batch.write(SyncMode::Synced)?;
        Ok(database)
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.db
            .cf_handle(table.name())
            .expect("open checks that every table exists")
    }

    /// The value as it is now.
    pub(crate) fn get(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StorageError> {
        Ok(self.db.get_pinned_cf(self.family(table), key)?)
    }

    /// Everything as it is now, unmoved by later writes.
    pub(crate) fn view(&self) -> View<'_> {
        let before = self.rows.version();
        let snapshot = self.db.snapshot();
        // The same version on both sides: nothing was written in between.
        let version = before.filter(|_| before == self.rows.version());
        View {
            database: self,
            snapshot,
            version,
        }
    }

    /// An empty batch.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            database: self,
            batch: WriteBatch::default(),
            rows: Vec::new(),
            is_past_rows: false,
        }
    }

    /// Whether the store has this table.
    pub(crate) fn has(&self, table: Table) -> bool {
        self.db.cf_handle(table.name()).is_some()
    }

    /// Writes every table anew without what was overwritten or deleted, and drops
    /// the log that still had it.
    pub(crate) fn compact(&self) -> Result<(), StorageError> {
        let tables = Table::ALL.into_iter().filter(|table| self.has(*table));
        let families: Vec<_> = tables.map(|table| self.family(table)).collect();
        let mut flush = rocksdb::FlushOptions::default();
        flush.set_wait(true);
        self.db.flush_cfs_opt(&families, &flush)?;
        let mut options = rocksdb::CompactOptions::default();
        options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
        for family in families {
            self.db
                .compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    /// Puts everything written so far on the disk.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        Ok(self.db.flush_wal(true)?)
    }

    /// A copy in another folder; table files are shared by hard links.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<(), StorageError> {
        Ok(rocksdb::checkpoint::Checkpoint::new(&self.db)?.create_checkpoint(path)?)
    }

    /// Counts every write ever made.
    #[cfg(test)]
    pub(crate) fn writes(&self) -> u64 {
        self.db.latest_sequence_number()
    }
}

/// A key and its value.
pub(crate) type Entry = (Box<[u8]>, Box<[u8]>);

/// The database at one moment.
pub(crate) struct View<'a> {
    database: &'a Database,
    snapshot: Snapshot<'a>,
    /// Version of the rows in memory that are this view's, if any are.
    version: Option<u64>,
}

/// A value of a row: in RocksDB's memory or in ours.
pub(crate) enum Value<'a> {
    Pinned(DBPinnableSlice<'a>),
    Shared(Arc<[u8]>),
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Pinned(value) => value,
            Self::Shared(value) => value,
        }
    }
}

impl AsRef<[u8]> for Value<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl View<'_> {
    /// A row of the head's state at that moment, from memory if it is there.
    pub(crate) fn row(&self, table: Table, key: &[u8]) -> Result<Option<Value<'_>>, StorageError> {
        if let Some(row) = self.row_in_memory(table, key) {
            return Ok(row.map(Value::Shared));
        }
        let value = self.get(table, key)?;
        self.remember(table, key, || value.as_deref().map(Arc::from));
        Ok(value.map(Value::Pinned))
    }

    /// A row if it is in memory.
    pub(crate) fn row_in_memory(&self, table: Table, key: &[u8]) -> Option<Row> {
        self.database.rows.get(self.version?, table, key)
    }

    /// Keeps a row that was read from this view.
    pub(crate) fn remember(&self, table: Table, key: &[u8], row: impl FnOnce() -> Row) {
        if let Some(version) = self.version {
            self.database.rows.remember(version, table, key, row());
        }
    }

    /// The value at that moment.
    pub(crate) fn get(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StorageError> {
        Ok(self
            .snapshot
            .get_pinned_cf(self.database.family(table), key)?)
    }

    /// The value under the smallest key that is not below `from` and starts
    /// with `prefix`.
    pub(crate) fn first(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let family = self.database.family(table);
        let mut entries = self.snapshot.iterator_cf_opt(family, within(prefix), mode);
        Ok(entries
            .next()
            .transpose()?
            .map(|(_, value)| value.into_vec()))
    }

    /// All entries whose key starts with `prefix`, in order.
    pub(crate) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Entry, StorageError>> + '_ {
        let mode = IteratorMode::From(prefix, Direction::Forward);
        let family = self.database.family(table);
        let entries = self.snapshot.iterator_cf_opt(family, within(prefix), mode);
        entries.map(|entry| entry.map_err(Into::into))
    }

    /// Keys that start with `prefix`, from `from` on in a direction.
    pub(crate) fn keys_within(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        direction: Direction,
    ) -> impl Iterator<Item = Result<Box<[u8]>, StorageError>> + '_ {
        let mode = IteratorMode::From(from, direction);
        let family = self.database.family(table);
        let mut options = within(prefix);
        options.set_total_order_seek(true);
        let entries = self.snapshot.iterator_cf_opt(family, options, mode);
        entries.map(|entry| Ok(entry?.0))
    }
}

impl<'v> View<'v> {
    /// All keys of a table from one on, in order, past the cache: a walk over a
    /// table must not push out what others need.
    pub(crate) fn keys_from<'s>(
        &'s self,
        table: Table,
        from: &[u8],
    ) -> impl Iterator<Item = Result<Box<[u8]>, StorageError>> + use<'s, 'v> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        // Tables with a prefix filter are else walked within one prefix only.
        options.set_total_order_seek(true);
        let mode = IteratorMode::From(from, Direction::Forward);
        let family = self.database.family(table);
        let entries = self.snapshot.iterator_cf_opt(family, options, mode);
        entries.map(|entry| Ok(entry?.0))
    }
}

fn within(prefix: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_range(rocksdb::PrefixRange(prefix));
    options
}

/// Writes that happen all or not at all.
pub(crate) struct Batch<'a> {
    database: &'a Database,
    batch: WriteBatch,
    /// Rows of the head's state that it changes.
    rows: Vec<(Table, Box<[u8]>, Row)>,
    /// Whether it changes such rows without saying to what.
    is_past_rows: bool,
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.is_past_rows |= HeadRows::keeps(table);
        self.batch.put_cf(self.database.family(table), key, value);
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) {
        self.is_past_rows |= HeadRows::keeps(table);
        self.batch.delete_cf(self.database.family(table), key);
    }

    /// Puts a row of the head's state, or deletes it for `None`.
    pub(crate) fn set_row(&mut self, table: Table, key: &[u8], row: Row) {
        let family = self.database.family(table);
        match &row {
            Some(value) => self.batch.put_cf(family, key, value),
            None => self.batch.delete_cf(family, key),
        }
        self.rows.push((table, key.into(), row));
    }

    pub(crate) fn write(self, sync: SyncMode) -> Result<(), StorageError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync == SyncMode::Synced);
        let Database { db, rows } = self.database;
        if self.rows.is_empty() && !self.is_past_rows {
            return Ok(db.write_opt(self.batch, &options)?);
        }
        rows.begin_change();
        if let Err(error) = db.write_opt(self.batch, &options) {
            rows.fail_change();
            return Err(error.into());
        }
        if self.is_past_rows {
            rows.forget();
        }
        rows.end_change(self.rows);
        Ok(())
    }
}

fn open_families(
    path: &Path,
    options: &Options,
    names: &[String],
    (cache, size): (&Cache, &StoreSize),
) -> Result<DB, StorageError> {
    let options_of = |name: &str| {
        let table = Table::ALL.iter().find(|table| table.name() == name);
        table.map_or_else(Options::default, |table| table.options(cache, size))
    };
    let families = names
        .iter()
        .map(|name| ColumnFamilyDescriptor::new(name, options_of(name)));
    DB::open_cf_descriptors(options, path, families).map_err(|error| open_error(path, &error))
}

fn check_schema(path: &Path, db: &DB) -> Result<(), StorageError> {
    let foreign = |reason: &str| StorageError::Foreign {
        path: path.into(),
        reason: reason.into(),
    };
    let family = db
        .cf_handle(Table::Meta.name())
        .ok_or_else(|| foreign("it has no meta table"))?;
    let value = db
        .get_cf(family, meta::SCHEMA)?
        .ok_or_else(|| foreign("it names no schema"))?;
    let bytes: [u8; 4] = value
        .try_into()
        .map_err(|_| foreign("its schema is no version"))?;
    let (found, supported) = (u32::from_be_bytes(bytes), SCHEMA_VERSION);
    match found.cmp(&supported) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StorageError::NewerSchema {
            path: path.into(),
            found,
            supported,
        }),
        std::cmp::Ordering::Less => Err(StorageError::OlderSchema {
            path: path.into(),
            found,
            supported,
        }),
    }
}

/// Refuses a folder that holds anything but an unfinished creation of ours.
fn refuse_foreign_folder(path: &Path) -> Result<(), StorageError> {
    let unreadable = |error: std::io::Error| StorageError::Unreadable {
        path: path.into(),
        reason: error.to_string(),
    };
    if !path.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let name = entry
            .map_err(unreadable)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        let unfinished = name.ends_with(UNFINISHED_SUFFIX)
            || UNFINISHED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
        if !unfinished && name != PRIVATE_FOLDER {
            let reason = format!("it holds {name}, but no CURRENT file");
            return Err(StorageError::Foreign {
                path: path.into(),
                reason,
            });
        }
    }
    Ok(())
}

/// RocksDB names a taken lock only in its text.
fn open_error(path: &Path, error: &rocksdb::Error) -> StorageError {
    let reason = error.to_string();
    if reason.contains("lock file") || reason.contains("lock hold") {
        return StorageError::Locked { path: path.into() };
    }
    StorageError::Unreadable {
        path: path.into(),
        reason,
    }
}

/// Names table and key of a value that does not read back.
pub(crate) fn corrupt(table: Table, key: &[u8], reason: impl Into<String>) -> StorageError {
    let key = alloy_primitives::hex::encode(key);
    StorageError::Corrupt {
        table: table.name(),
        key,
        reason: reason.into(),
    }
}

/// Decodes a value that may be absent.
pub(crate) fn decode<T>(
    table: Table,
    key: &[u8],
    value: Option<impl AsRef<[u8]>>,
    read: impl FnOnce(&[u8]) -> Result<T, encoding::Reason>,
) -> Result<Option<T>, StorageError> {
    let value = value.map(|value| read(value.as_ref())).transpose();
    value.map_err(|reason| corrupt(table, key, reason))
}
