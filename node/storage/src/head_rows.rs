//! Rows of the head's state in memory: what the last blocks read and wrote.
//!
//! A block touches mostly what the blocks before it touched: the same accounts,
//! and the upper nodes of the tries always. A commit writes its rows here too, so
//! that the next block finds them without asking RocksDB, and trie nodes need no
//! second check of their hash.
//!
//! The rows are those of one version of the state. Whoever reads took a snapshot
//! of the database at some version and gets rows of that version or none: a
//! commit makes the version odd before it writes and even again afterwards.
//!
//! Memory is bounded per table. Rows live in two generations: when the young one
//! is full it becomes the old one, and what nobody asked for since is dropped.

use crate::{StoreSize, schema::Table};
use alloy_primitives::map::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value, or that there is none.
pub(crate) type Row = Option<Arc<[u8]>>;

/// What one row costs beside its key and value: hash table, allocations.
const ROW_OVERHEAD_BYTES: usize = 96;
/// Bytes of accounts in memory.
const ACCOUNT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Bytes of slots in memory.
const SLOT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Bytes of nodes of the account trie in memory.
const ACCOUNT_NODE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Bytes of nodes of all storage tries in memory.
const STORAGE_NODE_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Bytes of each of them in the store of a private group.
const GROUP_TABLE_BYTES_MAX: usize = 64 * 1024;

/// The rows of all tables that are kept.
pub(crate) struct HeadRows {
    /// Odd while a commit is under way.
    version: AtomicU64,
    accounts: Mutex<Generations>,
    slots: Mutex<Generations>,
    account_nodes: Mutex<Generations>,
    storage_nodes: Mutex<Generations>,
}

impl Default for HeadRows {
    fn default() -> Self {
        Self::sized(&StoreSize::Node)
    }
}

impl HeadRows {
    /// Rows of a store of this size.
    pub(crate) fn sized(size: &StoreSize) -> Self {
        let rows = |node_bytes_max| {
            let bytes_max = match size {
                StoreSize::Node => node_bytes_max,
                StoreSize::Group(_) => GROUP_TABLE_BYTES_MAX,
            };
            Mutex::new(Generations::new(bytes_max))
        };
        Self {
            version: AtomicU64::new(0),
            accounts: rows(ACCOUNT_BYTES_MAX),
            slots: rows(SLOT_BYTES_MAX),
            account_nodes: rows(ACCOUNT_NODE_BYTES_MAX),
            storage_nodes: rows(STORAGE_NODE_BYTES_MAX),
        }
    }

    /// Whether rows of this table are kept at all.
    pub(crate) const fn keeps(table: Table) -> bool {
        matches!(
            table,
            Table::Accounts | Table::Slots | Table::AccountTrie | Table::StorageTrie
        )
    }

    const fn of(&self, table: Table) -> Option<&Mutex<Generations>> {
        match table {
            Table::Accounts => Some(&self.accounts),
            Table::Slots => Some(&self.slots),
            Table::AccountTrie => Some(&self.account_nodes),
            Table::StorageTrie => Some(&self.storage_nodes),
            _ => None,
        }
    }

    /// The version that holds now, `None` while it changes.
    pub(crate) fn version(&self) -> Option<u64> {
        let version = self.version.load(Ordering::SeqCst);
        version.is_multiple_of(2).then_some(version)
    }

    /// A row of this version, `None` if it is not in memory.
    pub(crate) fn get(&self, version: u64, table: Table, key: &[u8]) -> Option<Row> {
        let mut rows = self.of(table)?.lock();
        // Under the lock: a commit changes the version first and the rows then.
        (self.version() == Some(version)).then(|| rows.get(key))?
    }

    /// Keeps what was read at this version, if it still holds.
    pub(crate) fn remember(&self, version: u64, table: Table, key: &[u8], row: Row) {
        let Some(rows) = self.of(table) else {
            return;
        };
        let mut rows = rows.lock();
        if self.version() == Some(version) {
            rows.put(key.into(), row);
        }
    }

    /// From here on nobody is answered, until [`Self::end_change`]. There is one
    /// writer at a time.
    pub(crate) fn begin_change(&self) {
        // Odd already after a change that failed.
        self.version.fetch_or(1, Ordering::SeqCst);
    }

    /// The write failed, and whoever knows what is on the disk: nobody is answered
    /// until another one succeeds, and then not from what was before.
    pub(crate) fn fail_change(&self) {
        self.forget();
    }

    /// The database holds these rows now.
    pub(crate) fn end_change(&self, changed: Vec<(Table, Box<[u8]>, Row)>) {
        for (table, key, row) in changed {
            if let Some(rows) = self.of(table) {
                rows.lock().put(key, row);
            }
        }
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// The database was changed in ways that nobody told.
    pub(crate) fn forget(&self) {
        for rows in [
            &self.accounts,
            &self.slots,
            &self.account_nodes,
            &self.storage_nodes,
        ] {
            rows.lock().clear();
        }
    }
}

/// Rows by key, those asked for lately and those before them.
struct Generations {
    young: HashMap<Box<[u8]>, Row>,
    old: HashMap<Box<[u8]>, Row>,
    young_bytes: usize,
    bytes_max: usize,
}

impl Generations {
    fn new(bytes_max: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            young_bytes: 0,
            bytes_max,
        }
    }

    fn get(&mut self, key: &[u8]) -> Option<Row> {
        if let Some(row) = self.young.get(key) {
            return Some(row.clone());
        }
        let (key, row) = self.old.remove_entry(key)?;
        self.put(key, row.clone());
        Some(row)
    }

    fn put(&mut self, key: Box<[u8]>, row: Row) {
        self.old.remove(&key);
        self.young_bytes += cost(&key, &row);
        let key_bytes = key.len();
        if let Some(former) = self.young.insert(key, row) {
            let former = former.map_or(0, |value| value.len());
            let saved = key_bytes + former + ROW_OVERHEAD_BYTES;
            self.young_bytes = self.young_bytes.saturating_sub(saved);
        }
        if self.young_bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }

    fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }
}

fn cost(key: &[u8], row: &Row) -> usize {
    key.len() + row.as_ref().map_or(0, |value| value.len()) + ROW_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: Table = Table::Slots;

    fn row(byte: u8) -> Row {
        Some(Arc::from([byte; 10]))
    }

    fn change(rows: &HeadRows, key: u8, value: Row) {
        rows.begin_change();
        rows.end_change(vec![(TABLE, [key].into(), value)]);
    }

    #[test]
    fn rows_of_another_version_are_not_answered() {
        let rows = HeadRows::default();
        let before = rows.version().unwrap();
        rows.remember(before, TABLE, &[1], row(1));
        assert_eq!(rows.get(before, TABLE, &[1]), Some(row(1)));
        change(&rows, 2, row(2));
        assert_eq!(rows.get(before, TABLE, &[1]), None);
        assert_eq!(rows.get(before, TABLE, &[2]), None);
        let after = rows.version().unwrap();
        assert_eq!(rows.get(after, TABLE, &[1]), Some(row(1)));
        assert_eq!(rows.get(after, TABLE, &[2]), Some(row(2)));
        // What was read before the change is not what holds now.
        rows.remember(before, TABLE, &[2], row(9));
        assert_eq!(rows.get(after, TABLE, &[2]), Some(row(2)));
    }

    #[test]
    fn nothing_is_answered_or_kept_while_a_commit_is_under_way() {
        let rows = HeadRows::default();
        let before = rows.version().unwrap();
        rows.remember(before, TABLE, &[1], row(1));
        rows.begin_change();
        assert_eq!(rows.version(), None);
        assert_eq!(rows.get(before, TABLE, &[1]), None);
        rows.remember(before, TABLE, &[3], row(3));
        rows.end_change(Vec::new());
        let after = rows.version().unwrap();
        assert_eq!(rows.get(after, TABLE, &[3]), None);
    }

    #[test]
    fn failed_commit_leaves_nothing_behind_for_those_after_it() {
        let rows = HeadRows::default();
        let before = rows.version().unwrap();
        rows.remember(before, TABLE, &[1], row(1));
        rows.begin_change();
        rows.fail_change();
        assert_eq!(rows.version(), None);
        rows.begin_change();
        assert_eq!(rows.version(), None, "silent while the next one writes");
        rows.end_change(vec![(TABLE, [2].into(), row(2))]);
        let after = rows.version().unwrap();
        assert_eq!(rows.get(after, TABLE, &[1]), None);
        assert_eq!(rows.get(after, TABLE, &[2]), Some(row(2)));
        assert_eq!(rows.get(before, TABLE, &[2]), None);
    }

    #[test]
    fn absence_is_a_row_too() {
        let rows = HeadRows::default();
        change(&rows, 1, None);
        let version = rows.version().unwrap();
        assert_eq!(rows.get(version, TABLE, &[1]), Some(None));
        rows.forget();
        assert_eq!(rows.get(version, TABLE, &[1]), None);
    }

    #[test]
    fn row_in_use_outlives_those_that_nobody_asks_for() {
        let mut rows = Generations::new(20 * (ROW_OVERHEAD_BYTES + 11));
        rows.put([0].into(), row(0));
        for key in 1..=200 {
            rows.put([key].into(), row(key));
            assert_eq!(rows.get(&[0]), Some(row(0)), "after {key} others");
        }
        assert_eq!(rows.get(&[1]), None);
    }

    proptest! {
        /// Against a plain map: what is answered is right, and memory is bounded.
        #[test]
        fn answers_are_the_last_that_was_put_and_bytes_stay_bounded(
            operations in proptest::collection::vec((0u8..40, 0usize..300, any::<bool>()), 0..400)
        ) {
            let bytes_max = 6_000;
            let mut rows = Generations::new(bytes_max);
            let mut model = std::collections::BTreeMap::new();
            for (key, length, is_put) in operations {
                if is_put {
                    let value: Row = Some(Arc::from(vec![key; length]));
                    rows.put([key].into(), value.clone());
                    model.insert(key, value);
                } else if let Some(found) = rows.get(&[key]) {
                    prop_assert_eq!(Some(&found), model.get(&key));
                }
                let bytes = |map: &HashMap<Box<[u8]>, Row>| {
                    map.iter().map(|(key, row)| cost(key, row)).sum::<usize>()
                };
                prop_assert_eq!(bytes(&rows.young), rows.young_bytes);
                let largest = 300 + 1 + ROW_OVERHEAD_BYTES;
                prop_assert!(bytes(&rows.young) + bytes(&rows.old) <= bytes_max + largest);
            }
        }
    }
}
