//! Every column family and row of the companion database on one page.
//!
//! | Column family | Key | Value |
//! |---|---|---|
//! | `meta` | `version`, `probe` | schema version; a sealed text that only the right master key opens |
//! | `sources` | source | last anchored batch and time, pending batch |
//! | `batches` | source ‖ seq | root, from, to, count, anchoring transaction |
//! | `records` | source ‖ seq ‖ index | nonce ‖ encrypted record |
//! | `keys` | source ‖ seq ‖ index | nonce ‖ sealed (record key ‖ salt); absent = erased |
//! | `leaves` | source ‖ seq ‖ index | leaf |
//!
//! Numbers are big-endian, so that keys sort by batch and place.

use std::path::Path;

use alloy_primitives::B256;
use rocksdb::{ColumnFamilyDescriptor, DB, DBCompressionType, Options};

use super::{CompanionError, StoredBatch};
use crate::device::Batch;
use crate::merkle::RecordId;

/// Written at creation, checked at every start.
pub(super) const VERSION: u64 = 1;
pub(super) const VERSION_KEY: &[u8] = b"version";
pub(super) const PROBE_KEY: &[u8] = b"probe";

/// RocksDB's own log files kept; they hold no data.
const LOG_FILES_KEPT: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Meta,
    Sources,
    Batches,
    Records,
    Keys,
    Leaves,
}

impl Column {
    pub(super) const ALL: [Self; 6] = [
        Self::Meta,
        Self::Sources,
        Self::Batches,
        Self::Records,
        Self::Keys,
        Self::Leaves,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Sources => "sources",
            Self::Batches => "batches",
            Self::Records => "records",
            Self::Keys => "keys",
            Self::Leaves => "leaves",
        }
    }
}

pub(super) fn open(path: &Path) -> Result<DB, CompanionError> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_keep_log_file_num(LOG_FILES_KEPT);
    let descriptors = Column::ALL.map(|column| {
        let mut options = Options::default();
        // Ciphertext and hashes do not shrink, and what was erased must not hide in a block.
        options.set_compression_type(DBCompressionType::None);
        ColumnFamilyDescriptor::new(column.name(), options)
    });
    DB::open_cf_descriptors(&options, path, descriptors).map_err(|error| CompanionError::Store {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

pub(super) fn batch_key(source: B256, seq: u64) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(source.as_slice());
    key[32..].copy_from_slice(&seq.to_be_bytes());
    key
}

pub(super) fn record_key(id: RecordId) -> [u8; 44] {
    let mut key = [0; 44];
    key[..40].copy_from_slice(&batch_key(id.source, id.seq));
    key[40..].copy_from_slice(&id.index.to_be_bytes());
    key
}

pub(super) fn number(bytes: &[u8], what: &'static str) -> Result<u64, CompanionError> {
    bytes
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| CompanionError::Damaged { what })
}

/// What is known of a source.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize,
)]
pub(super) struct SourceRow {
    /// Last anchored batch, 0 if none.
    pub(super) seq: u64,
    /// Time of the last anchored reading, Unix seconds.
    pub(super) last: u64,
    /// Batch that waits to be anchored.
    pub(super) pending: Option<u64>,
}

impl SourceRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, CompanionError> {
        borsh::from_slice(row).map_err(|_| CompanionError::Damaged { what: "source" })
    }
}

/// A batch without what its key says.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize)]
pub(super) struct BatchRow {
    root: [u8; 32],
    from: u64,
    to: u64,
    count: u32,
    anchored_by: Option<[u8; 32]>,
}

impl BatchRow {
    pub(super) fn encode(stored: &StoredBatch) -> Vec<u8> {
        let Batch {
            root,
            from,
            to,
            count,
            ..
        } = stored.batch;
        let anchored_by = stored.anchored_by.map(|transaction| transaction.0);
        borsh::to_vec(&Self {
            root: root.0,
            from,
            to,
            count,
            anchored_by,
        })
        .expect("writing to memory does not fail")
    }

    pub(super) fn decode(
        row: &[u8],
        source: B256,
        seq: u64,
    ) -> Result<StoredBatch, CompanionError> {
        let row: Self =
            borsh::from_slice(row).map_err(|_| CompanionError::Damaged { what: "batch" })?;
        let Self {
            root,
            from,
            to,
            count,
            anchored_by,
        } = row;
        let batch = Batch {
            source,
            seq,
            root: root.into(),
            from,
            to,
            count,
        };
        Ok(StoredBatch {
            batch,
            anchored_by: anchored_by.map(B256::from),
        })
    }
}
