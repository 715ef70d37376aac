//! What pool and chain say of the marker account's transactions.

use crate::{private::shared::Shared, transactions::SubmitError};
use alloy_consensus::TxReceipt as _;
use alloy_primitives::{B256, Bytes, keccak256};
use medina_pool::PoolError;
use medina_storage::StorageError;

/// What a signed transaction carries.
pub(super) fn input_of(raw: &[u8]) -> Option<Bytes> {
    use alloy_consensus::Transaction as _;
    use alloy_eips::eip2718::Decodable2718 as _;
    let decoded = medina_types::Transaction::decode_2718(&mut &*raw).ok()?;
    Some(decoded.input().clone())
}

/// Whether a transaction succeeded, `None` if it is in no block.
pub(super) fn outcome(shared: &Shared, hash: B256) -> Result<Option<bool>, StorageError> {
    let Some((height, index)) = shared.chain.store.transaction_location(hash)? else {
        return Ok(None);
    };
    let receipts = shared.chain.store.receipts(height)?;
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let receipt = receipts.as_deref().and_then(|receipts| receipts.get(index));
    Ok(Some(receipt.is_some_and(|receipt| receipt.status())))
}

/// Puts a transaction into the pool unless it is there; false where another of the
/// account stands in its place.
pub(super) fn submit(shared: &Shared, raw: &[u8]) -> Result<bool, String> {
    if shared.chain.pool.contains(&keccak256(raw)) {
        return Ok(true);
    }
    match shared.transactions.submit(raw) {
        Ok(_) => Ok(true),
        // In the pool or in a block by now.
        Err(SubmitError::Pool(PoolError::AlreadyKnown | PoolError::NonceTooLow { .. })) => Ok(true),
        Err(SubmitError::Pool(PoolError::ReplacementUnderpriced)) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}
