//! What receipts of public Ethereum chains carry and ours never do.

use alloy_consensus::{Eip658Value, ReceiptEnvelope};
use medina_types::RecoveredBlock;

use crate::{context::Context, convert::RpcReceipt};

/// Adds the price of blobs, and the state root that blocks before Byzantium have
/// in place of a status.
pub(super) fn complete(
    context: &Context,
    block: &RecoveredBlock,
    index: usize,
    receipt: &mut RpcReceipt,
) {
    let header = block.header();
    if receipt.blob_gas_used.is_some() {
        let blobs = super::fees::blobs_of(context, header);
        receipt.blob_gas_price = header.blob_fee(blobs);
    }
    let root = context.node.root_of_receipt(block.height(), index);
    if let (Some(root), ReceiptEnvelope::Legacy(inner)) = (root, &mut receipt.inner) {
        inner.receipt.status = Eip658Value::PostState(root);
    }
}
