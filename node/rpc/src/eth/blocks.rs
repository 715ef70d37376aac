//! `eth_getBlock…`, `eth_getHeader…` and what counts or lists a block's contents.
//!
//! An unknown block is `null`, never an error. `pending` is an empty block in
//! the next block's environment; what waits is in `txpool_content`.

use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth as rpc;
use jsonrpsee::server::RegisterMethodError;
use medina_types::{Block, RecoveredBlock, SealedBlock};

use super::receipts_of_ethereum;
use crate::{
    arguments::Arguments,
    context::Context,
    convert::{self, RpcBlock, RpcReceipt},
    errors::Answer,
    reading::Position,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("eth_getBlockByNumber", |context, arguments| {
        let number = by_number(arguments)?;
        block(context, number, arguments)
    })?;
    registry.read("eth_getBlockByHash", |context, arguments| {
        let hash = by_hash(arguments)?;
        block(context, hash, arguments)
    })?;
    registry.read("eth_getHeaderByNumber", |context, arguments| {
        header(context, by_number(arguments)?)
    })?;
    registry.read("eth_getHeaderByHash", |context, arguments| {
        header(context, by_hash(arguments)?)
    })?;
    registry.read(
        "eth_getBlockTransactionCountByNumber",
        |context, arguments| transaction_count(context, by_number(arguments)?),
    )?;
    registry.read(
        "eth_getBlockTransactionCountByHash",
        |context, arguments| transaction_count(context, by_hash(arguments)?),
    )?;
    registry.read("eth_getBlockReceipts", receipts)?;
    registry.read("eth_getUncleCountByBlockNumber", |context, arguments| {
        uncle_count(context, by_number(arguments)?)
    })?;
    registry.read("eth_getUncleCountByBlockHash", |context, arguments| {
        uncle_count(context, by_hash(arguments)?)
    })?;
    registry.quick("eth_getUncleByBlockNumberAndIndex", no_uncle)?;
    registry.quick("eth_getUncleByBlockHashAndIndex", no_uncle)
}

pub(crate) fn by_number(arguments: &mut Arguments) -> Answer<BlockId> {
    arguments
        .required::<BlockNumberOrTag>()
        .map(BlockId::Number)
}

pub(crate) fn by_hash(arguments: &mut Arguments) -> Answer<BlockId> {
    arguments.required::<B256>().map(BlockId::from)
}

/// The block that a caller names, `pending` included.
fn block_or_pending(context: &Context, id: BlockId) -> Answer<Option<RecoveredBlock>> {
    match context.locate(id)? {
        Some(Position::At(height)) => context.block_at(height),
        Some(Position::Pending) => pending(context).map(Some),
        None => Ok(None),
    }
}

/// What the next block would be without any transaction. State and gas are the
/// head's: nothing has run.
fn pending(context: &Context) -> Answer<RecoveredBlock> {
    let head = context.head();
    let environment = context.environment(Position::Pending)?;
    let header = Header {
        parent_hash: head.hash,
        number: environment.number,
        timestamp: environment.timestamp,
        beneficiary: environment.beneficiary,
        gas_limit: environment.gas_limit,
        base_fee_per_gas: Some(environment.base_fee),
        mix_hash: environment.prevrandao,
        state_root: head.header.state_root,
        withdrawals_root: head.header.withdrawals_root,
        blob_gas_used: head.header.blob_gas_used,
        excess_blob_gas: head.header.excess_blob_gas,
        parent_beacon_block_root: head.header.parent_beacon_block_root,
        requests_hash: head.header.requests_hash,
        ..Header::default()
    };
    let withdrawals = header.withdrawals_root.map(|_| Default::default());
    let body = alloy_consensus::BlockBody {
        withdrawals,
        ..Default::default()
    };
    Ok(RecoveredBlock::new_unchecked(
        SealedBlock::new(Block::new(header, body)),
        Vec::new(),
    ))
}

fn block(context: &Context, id: BlockId, arguments: &mut Arguments) -> Answer<Option<RpcBlock>> {
    let full = arguments.optional()?.unwrap_or(false);
    Ok(block_or_pending(context, id)?.map(|block| convert::block(&block, full)))
}

pub(crate) fn header(context: &Context, id: BlockId) -> Answer<Option<rpc::Header>> {
    Ok(block_or_pending(context, id)?.map(|block| convert::header(&block.sealed)))
}

fn transaction_count(context: &Context, id: BlockId) -> Answer<Option<U64>> {
    let count = |block: RecoveredBlock| U64::from(block.sealed.transactions().len());
    Ok(block_or_pending(context, id)?.map(count))
}

fn receipts(context: &Context, arguments: &mut Arguments) -> Answer<Option<Vec<RpcReceipt>>> {
    let Some(position) = context.locate(arguments.required()?)? else {
        return Ok(None);
    };
    let Position::At(height) = position else {
        return Ok(Some(Vec::new()));
    };
    let Some(committed) = context.committed(height)? else {
        return Ok(None);
    };
    let mut receipts = convert::receipts(&committed.block, &committed.receipts);
    for (index, receipt) in receipts.iter_mut().enumerate() {
        receipts_of_ethereum::complete(context, &committed.block, index, receipt);
    }
    Ok(Some(receipts))
}

fn uncle_count(context: &Context, id: BlockId) -> Answer<Option<U64>> {
    let count = |block: RecoveredBlock| U64::from(block.sealed.block().body.ommers.len());
    Ok(block_or_pending(context, id)?.map(count))
}

/// There are no uncles here.
fn no_uncle(_: &Context, _: &mut Arguments) -> Answer<Option<RpcBlock>> {
    Ok(None)
}
