//! Erasure: after it, the bytes of key, salt and record are in no file of the database.
//!
//! A delete alone only hides the old value. So the write-ahead log is flushed away and the
//! range is compacted down to the last level before `erase` returns.

use rocksdb::{BottommostLevelCompaction, CompactOptions, FlushOptions, WriteBatch};

use super::schema::{Column, record_key};
use super::{Companion, CompanionError};
use crate::merkle::RecordId;

impl Companion {
    /// Destroys key, salt and bytes of the records; their leaves remain, to be tombstoned on
    /// chain. Records that are erased already stay so. All or none of them exist.
    pub fn erase(&self, records: &[RecordId]) -> Result<(), CompanionError> {
        let mut writes = WriteBatch::default();
        for id in records {
            // Fails for a place that never was.
            self.leaf(*id)?;
            writes.delete_cf(self.column(Column::Keys), record_key(*id));
            writes.delete_cf(self.column(Column::Records), record_key(*id));
        }
        self.commit(writes)?;
        match (records.iter().min(), records.iter().max()) {
            (Some(first), Some(last)) => self.scrub(*first, *last),
            _ => Ok(()),
        }
    }

    /// Removes what deletes left behind: log files first, then every older copy in the tables
    /// that hold anything between the two places.
    pub(super) fn scrub(&self, first: RecordId, last: RecordId) -> Result<(), CompanionError> {
        let columns: Vec<_> = Column::ALL
            .into_iter()
            .map(|column| self.column(column))
            .collect();
        let mut flush = FlushOptions::default();
        flush.set_wait(true);
        // A log file goes only when no column family needs it, so all are flushed.
        self.db
            .flush_cfs_opt(&columns, &flush)
            .map_err(|error| self.store_error(&error))?;
        let mut compact = CompactOptions::default();
        compact.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        compact.set_exclusive_manual_compaction(true);
        for column in [Column::Keys, Column::Records] {
            self.db.compact_range_cf_opt(
                self.column(column),
                Some(record_key(first)),
                Some(record_key(last)),
                &compact,
            );
        }
        Ok(())
    }
}
