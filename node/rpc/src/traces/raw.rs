//! `debug_getRaw…`: headers, blocks, receipts and transactions as they are hashed.

use alloy_consensus::{Eip658Value, TxReceipt as _};
use alloy_eips::{BlockId, eip2718::Encodable2718 as _};
use alloy_primitives::Bytes;
use jsonrpsee::server::RegisterMethodError;
use std::sync::Arc;

use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    errors::{Answer, not_found, server},
    eth::transactions::raw_by_hash,
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("debug_getRawHeader", |context, arguments| {
        let block = block(context, arguments)?;
        Ok(Bytes::from(alloy_rlp::encode(block.block.header())))
    })?;
    registry.read("debug_getRawBlock", |context, arguments| {
        let block = block(context, arguments)?;
        Ok(Bytes::from(alloy_rlp::encode(block.block.sealed.block())))
    })?;
    registry.read("debug_getRawReceipts", receipts)?;
    registry.read("debug_getRawTransaction", transaction)?;
    // EIP-7928's lists come with a fork behind Osaka: no block here has one.
    registry.read("debug_getRawBlockAccessList", |context, arguments| {
        let block = block(context, arguments)?;
        let number = block.block.height();
        let text = format!("block {number} has no access list: they come after Osaka");
        Err::<Bytes, _>(not_found(text))
    })?;
    registry.read("eth_getBlockAccessList", |context, arguments| {
        context.locate(arguments.required()?)?;
        Ok(None::<()>)
    })
}

/// geth takes a number, a tag or a hash.
fn block(context: &Context, arguments: &mut Arguments) -> Answer<Arc<CommittedBlock>> {
    let id: BlockId = arguments.required()?;
    if id.is_pending() {
        // geth builds one for every such question; here it is decided or not there.
        return Err(server("pending block is not available"));
    }
    context.block_to_trace(id)
}

fn receipts(context: &Context, arguments: &mut Arguments) -> Answer<Vec<Bytes>> {
    let block = block(context, arguments)?;
    let height = block.block.height();
    let encode = |(index, receipt): (usize, &medina_types::Receipt)| {
        let Some(root) = context.node.root_of_receipt(height, index) else {
            return receipt.with_bloom_ref().encoded_2718().into();
        };
        let with_root = alloy_consensus::Receipt {
            status: Eip658Value::PostState(root),
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs: receipt.logs.clone(),
        };
        alloy_rlp::encode(with_root.with_bloom()).into()
    };
    Ok(block.receipts.iter().enumerate().map(encode).collect())
}

/// One that nobody knows is empty, as with geth.
fn transaction(context: &Context, arguments: &mut Arguments) -> Answer<Bytes> {
    Ok(raw_by_hash(context, arguments)?.unwrap_or_default())
}
