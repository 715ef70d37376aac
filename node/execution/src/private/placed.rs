//! A group's receipts as they are stored and found: by public transaction, by digest,
//! by public block, by the contract that was created.
//!
//! Notes of the group's store, beside its blocks:
//!
//! ```text
//! p                 -> position
//! d <group height>  -> what the receipts of that block say beside their logs
//! x <digest>        -> group height, index
//! c <address>       -> group height, index of the creation
//! l                 -> files may still have what was erased or pruned
//! ```

use super::{PrivateError, PrivateReceipt, PrivateStatus};
use alloy_consensus::TxType;
use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_storage::{Note, StorageError};
use medina_types::{Height, Receipt};

/// A receipt with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedReceipt {
    /// What it came to.
    pub receipt: PrivateReceipt,
    /// The public block.
    pub block: Height,
    /// Its hash.
    pub block_hash: B256,
    /// Number of its first log among the group's in that block's commit.
    pub first_log_index: u64,
}

/// Where a receipt is in the group's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Place {
    pub(super) height: Height,
    pub(super) index: u64,
}

/// What a stored receipt says beside its logs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Details {
    marker: [u8; 32],
    index: u64,
    digest: [u8; 32],
    transaction: Option<[u8; 32]>,
    from: Option<[u8; 20]>,
    to: Option<[u8; 20]>,
    nonce: Option<u64>,
    created: Option<[u8; 20]>,
    status: PrivateStatus,
    gas_used: u64,
    output: Vec<u8>,
    is_erased: bool,
}

impl From<&PrivateReceipt> for Details {
    fn from(receipt: &PrivateReceipt) -> Self {
        Self {
            marker: receipt.marker.0,
            index: receipt.index,
            digest: receipt.digest.0,
            transaction: receipt.transaction.map(|hash| hash.0),
            from: receipt.from.map(|address| address.0.0),
            to: receipt.to.map(|address| address.0.0),
            nonce: receipt.nonce,
            created: receipt.created.map(|address| address.0.0),
            status: receipt.status.clone(),
            gas_used: receipt.gas_used,
            output: receipt.output.to_vec(),
            is_erased: receipt.is_erased,
        }
    }
}

impl Details {
    /// Joins it with its logs.
    pub(super) fn with_logs(self, logs: Vec<alloy_primitives::Log>) -> PrivateReceipt {
        PrivateReceipt {
            marker: self.marker.into(),
            index: self.index,
            digest: self.digest.into(),
            transaction: self.transaction.map(B256::from),
            from: self.from.map(Address::from),
            to: self.to.map(Address::from),
            nonce: self.nonce,
            created: self.created.map(Address::from),
            status: self.status,
            gas_used: self.gas_used,
            output: self.output.into(),
            logs,
            is_erased: self.is_erased,
        }
    }
}

/// The form in which the store keeps a receipt's logs.
pub(super) fn stored_receipts(receipts: &[PrivateReceipt], types: &[TxType]) -> Vec<Receipt> {
    let mut cumulative_gas_used: u64 = 0;
    let pairs = receipts.iter().zip(types);
    pairs
        .map(|(receipt, tx_type)| {
            cumulative_gas_used = cumulative_gas_used.saturating_add(receipt.gas_used);
            Receipt {
                tx_type: *tx_type,
                success: receipt.is_success(),
                cumulative_gas_used,
                logs: receipt.logs.clone(),
            }
        })
        .collect()
}

pub(super) const POSITION_KEY: &[u8] = b"p";

pub(super) fn details_key(height: Height) -> Vec<u8> {
    [b"d", &height.0.to_be_bytes()[..]].concat()
}

pub(super) fn digest_key(digest: B256) -> Vec<u8> {
    [b"x", digest.as_slice()].concat()
}

pub(super) fn creation_key(address: Address) -> Vec<u8> {
    [b"c", address.as_slice()].concat()
}

pub(super) fn details_note(height: Height, receipts: &[PrivateReceipt]) -> Note {
    let details: Vec<_> = receipts.iter().map(Details::from).collect();
    Note::put(details_key(height), encode(&details))
}

pub(super) fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to memory cannot fail")
}

/// Reads back what [`encode`] wrote.
pub(super) fn decode<T: BorshDeserialize>(key: &[u8], value: &[u8]) -> Result<T, PrivateError> {
    borsh::from_slice(value).map_err(|error| {
        StorageError::Corrupt {
            table: "notes",
            key: alloy_primitives::hex::encode(key),
            reason: error.to_string(),
        }
        .into()
    })
}
