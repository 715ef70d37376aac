//! Every column family of the database on one page.
//!
//! Numbers in keys are big-endian, so that their order is the order of keys.
//! `path` is a trie path: its length in nibbles, then the nibbles packed two to
//! a byte. "History" tables hold, under height h, the value that block h
//! overwrote: a read at an old block g takes the entry with the smallest h > g,
//! one seek, and falls back to the current value.

use crate::StoreSize;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel,
    Options, SliceTransform,
};

/// Version of everything below; a change of meaning raises it.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// One of [`meta`] -> its value.
    Meta,
    /// height -> RLP header.
    Headers,
    /// block hash -> height.
    HeightsByHash,
    /// height -> RLP body and the senders of its transactions.
    Bodies,
    /// height -> receipts.
    Receipts,
    /// transaction hash -> height, index.
    TransactionIndex,
    /// height -> certificate (none for genesis).
    Certificates,
    /// height -> context *of* this height; written with the block before it.
    Contexts,
    /// address -> account.
    Accounts,
    /// address, slot -> value without leading zeros; zero is not stored.
    Slots,
    /// code hash -> code.
    Codes,
    /// path -> RLP node of the account trie.
    AccountTrie,
    /// keccak(address), path -> RLP node of the account's storage trie.
    StorageTrie,
    /// address, height -> account before that block, or none.
    AccountHistory,
    /// address, slot, height -> value before that block.
    SlotHistory,
    /// path, height -> node before that block, empty for none.
    AccountTrieHistory,
    /// keccak(address), path, height -> node before that block, empty for none.
    StorageTrieHistory,
    /// [`CONSENSUS_RECORD`] -> the engine's current record.
    Consensus,
    /// key -> value, both their owner's; in stores of private groups alone.
    Notes,
}

/// Keys of [`Table::Meta`].
pub(crate) mod meta {
    /// Schema version, four bytes.
    pub(crate) const SCHEMA: &[u8] = b"schema";
    /// Hash of the genesis block.
    pub(crate) const GENESIS: &[u8] = b"genesis";
    /// Height and hash of the head.
    pub(crate) const HEAD: &[u8] = b"head";
    /// What was pruned and how far; absent while everything is kept.
    pub(crate) const PRUNING: &[u8] = b"pruning";
    /// First block whose signatures were not checked; absent when all were.
    pub(crate) const UNCHECKED: &[u8] = b"unchecked";
}

/// The only key of [`Table::Consensus`].
pub(crate) const CONSENSUS_RECORD: &[u8] = b"record";

/// RocksDB always makes this one; we keep nothing there.
pub(crate) const DEFAULT_COLUMN_FAMILY: &str = "default";

impl Table {
    /// All tables, in the order of creation; the last is a group store's.
    pub(crate) const ALL: [Self; 19] = [
        Self::Meta,
        Self::Headers,
        Self::HeightsByHash,
        Self::Bodies,
        Self::Receipts,
        Self::TransactionIndex,
        Self::Certificates,
        Self::Contexts,
        Self::Accounts,
        Self::Slots,
        Self::Codes,
        Self::AccountTrie,
        Self::StorageTrie,
        Self::AccountHistory,
        Self::SlotHistory,
        Self::AccountTrieHistory,
        Self::StorageTrieHistory,
        Self::Consensus,
        Self::Notes,
    ];

    /// Tables of a store.
    pub(crate) fn of(size: &StoreSize) -> &'static [Self] {
        match size {
            StoreSize::Node => &Self::ALL[..Self::ALL.len() - 1],
            StoreSize::Group(_) => &Self::ALL,
        }
    }

    /// Name of the column family on disk.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Headers => "headers",
            Self::HeightsByHash => "heights_by_hash",
            Self::Bodies => "bodies",
            Self::Receipts => "receipts",
            Self::TransactionIndex => "transaction_index",
            Self::Certificates => "certificates",
            Self::Contexts => "contexts",
            Self::Accounts => "accounts",
            Self::Slots => "slots",
            Self::Codes => "codes",
            Self::AccountTrie => "account_trie",
            Self::StorageTrie => "storage_trie",
            Self::AccountHistory => "account_history",
            Self::SlotHistory => "slot_history",
            Self::AccountTrieHistory => "account_trie_history",
            Self::StorageTrieHistory => "storage_trie_history",
            Self::Consensus => "consensus",
            Self::Notes => "notes",
        }
    }

    const fn is_trie(self) -> bool {
        matches!(self, Self::AccountTrie | Self::StorageTrie)
    }

    /// Hashes do not compress, and state is read too often to unpack it.
    const fn compression(self) -> DBCompressionType {
        match self {
            Self::Headers
            | Self::Bodies
            | Self::Receipts
            | Self::Contexts
            | Self::Codes
            | Self::Notes => DBCompressionType::Lz4,
            _ => DBCompressionType::None,
        }
    }

    /// Bytes of the key's part that a history seek holds fixed: a bloom filter
    /// on it answers "never overwritten" without touching data blocks.
    const fn filtered_prefix(self) -> Option<usize> {
        match self {
            Self::AccountHistory => Some(20),
            Self::SlotHistory => Some(52),
            _ => None,
        }
    }

    /// Options of this column family; `cache` is shared by all.
    pub(crate) fn options(self, cache: &Cache, size: &StoreSize) -> Options {
        let mut options = self.node_options(cache);
        if matches!(size, StoreSize::Group(_)) {
            options.set_write_buffer_size(GROUP_WRITE_BUFFER_BYTES);
            options.set_arena_block_size(GROUP_MEMTABLE_BLOCK_BYTES);
            options.set_target_file_size_base(GROUP_TABLE_FILE_BYTES);
        }
        options
    }

    fn node_options(self, cache: &Cache) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(cache);
        blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
        // Index and filter blocks count against the cache, so that memory stays
        // bounded however large the state grows; in parts, since a whole filter
        // of a large table would push everything else out with each read.
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_metadata_block_size(4096);
        blocks.set_pin_top_level_index_and_filter(true);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        blocks.set_format_version(5);
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(self.compression());
        // Reads of these end in a hit, where a filter of the last level is of no use.
        options.set_optimize_filters_for_hits(self.is_trie());
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_write_buffer_number(2);
        options.set_arena_block_size(MEMTABLE_BLOCK_BYTES);
        options.set_target_file_size_base(TABLE_FILE_BYTES);
        options.set_level_zero_file_num_compaction_trigger(FLUSHED_FILES_PER_COMPACTION);
        options.set_level_compaction_dynamic_level_bytes(true);
        if let Some(length) = self.filtered_prefix() {
            options.set_prefix_extractor(SliceTransform::create_fixed_prefix(length));
        }
        options
    }
}

/// Bits per key of the bloom filters: one false answer in a hundred.
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// Bytes of one column family's memtable before it is flushed.
const WRITE_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Bytes that a memtable grows by: small enough for the allocator to use the same
/// memory again, which larger ones have mapped anew each time.
const MEMTABLE_BLOCK_BYTES: usize = 64 * 1024;
/// Bytes of all memtables together: an idle validator stays below 150 MB.
const WRITE_BUFFERS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Flushed memtables that are merged into the next level at once. Every block
/// writes to all of the key space, so each merge rewrites the whole level: fewer
/// merges save half of what a node that catches up writes, and the filters keep
/// the files between them cheap to ask.
const FLUSHED_FILES_PER_COMPACTION: i32 = 8;
/// Bytes of one table file.
const TABLE_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of write-ahead log kept before old memtables are flushed; bounds the
/// time of a restart.
const WRITE_AHEAD_LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Table files held open.
const OPEN_FILES_MAX: i32 = 512;
/// Bytes of RocksDB's own text log, and how many of them are kept.
const TEXT_LOG_BYTES_MAX: usize = 1024 * 1024;
const TEXT_LOGS_MAX: usize = 2;

/// The same bounds for a private group's store, of which a node has many.
const GROUP_WRITE_BUFFER_BYTES: usize = 512 * 1024;
const GROUP_MEMTABLE_BLOCK_BYTES: usize = 8 * 1024;
const GROUP_TABLE_FILE_BYTES: u64 = 4 * 1024 * 1024;
const GROUP_WRITE_BUFFERS_BYTES_MAX: usize = 2 * 1024 * 1024;
const GROUP_WRITE_AHEAD_LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;
const GROUP_OPEN_FILES_MAX: i32 = 32;
const GROUP_FILE_BUFFER_BYTES: u64 = 64 * 1024;

/// Options of the database of a store.
pub(crate) fn database_options(size: &StoreSize) -> Options {
    let mut options = node_options();
    if matches!(size, StoreSize::Group(_)) {
        options.set_db_write_buffer_size(GROUP_WRITE_BUFFERS_BYTES_MAX);
        options.set_max_total_wal_size(GROUP_WRITE_AHEAD_LOG_BYTES_MAX);
        options.set_max_open_files(GROUP_OPEN_FILES_MAX);
        options.set_max_background_jobs(1);
        options.set_writable_file_max_buffer_size(GROUP_FILE_BUFFER_BYTES);
    }
    options
}

/// Options of the whole database. Nothing here writes while nothing is asked:
/// statistics are not dumped, and only warnings reach the text log.
fn node_options() -> Options {
    let mut options = Options::default();
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES_MAX);
    options.set_max_total_wal_size(WRITE_AHEAD_LOG_BYTES_MAX);
    // A power loss may tear what was not synced yet: what lies before it counts.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1024 * 1024);
    options.set_keep_log_file_num(TEXT_LOGS_MAX);
    options.set_max_log_file_size(TEXT_LOG_BYTES_MAX);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_are_distinct() {
        let names: std::collections::BTreeSet<_> = Table::ALL.iter().map(|t| t.name()).collect();
        assert_eq!(names.len(), Table::ALL.len());
    }
}
