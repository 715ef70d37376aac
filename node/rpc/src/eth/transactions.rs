//! Submitting transactions and finding them again.
//!
//! A transaction can be read by hash as soon as the pool has it; its receipt
//! from the moment its block is on disk, and who asks shortly before that gets
//! it a little later (see [`crate::fresh_transactions`]).

use alloy_eips::{BlockId, eip2718::Encodable2718 as _};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::Index;
use jsonrpsee::{server::RegisterMethodError, types::Params};
use medina_types::{RecoveredBlock, limits};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

use super::{
    blocks::{by_hash, by_number},
    receipts_of_ethereum,
};
use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    convert::{self, RpcReceipt, RpcTransaction},
    errors::{self, Answer, receipt_timeout, stopping},
    registry::Registry,
    workers::Lane,
};

/// Blocks as they are decided.
type Heads = Receiver<Arc<CommittedBlock>>;

/// How long `eth_sendRawTransactionSync` waits where the caller does not say.
const RECEIPT_WAIT: Duration = Duration::from_secs(2);

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry
        .module
        .register_async_method("eth_sendRawTransaction", |params, context, _| {
            send_raw(context, params)
        })?;
    registry
        .module
        .register_async_method("eth_sendRawTransactionSync", |params, context, _| {
            send_raw_and_wait(context, params)
        })?;
    registry.read("eth_getTransactionByHash", by_transaction_hash)?;
    registry
        .module
        .register_async_method("eth_getTransactionReceipt", |params, context, _| {
            receipt(context, params)
        })?;
    registry.read(
        "eth_getTransactionByBlockNumberAndIndex",
        |context, arguments| {
            let id = by_number(arguments)?;
            at_index(context, id, arguments, convert::transaction_of)
        },
    )?;
    registry.read(
        "eth_getTransactionByBlockHashAndIndex",
        |context, arguments| {
            let id = by_hash(arguments)?;
            at_index(context, id, arguments, convert::transaction_of)
        },
    )?;
    registry.read("eth_getRawTransactionByHash", raw_by_hash)?;
    registry.read(
        "eth_getRawTransactionByBlockNumberAndIndex",
        |context, arguments| {
            let id = by_number(arguments)?;
            at_index(context, id, arguments, raw_of)
        },
    )?;
    registry.read(
        "eth_getRawTransactionByBlockHashAndIndex",
        |context, arguments| {
            let id = by_hash(arguments)?;
            at_index(context, id, arguments, raw_of)
        },
    )
}

async fn submit(context: &Context, bytes: Bytes) -> Answer<B256> {
    let turn = context.workers.turn(Lane::Submit).await?;
    let submitted = context.node.submit_transaction(bytes).await;
    drop(turn);
    let hash = submitted.map_err(|error| errors::submit(&error))?;
    // On a development network `settle` waits, unless blocks are made by hand.
    if context.node.dev().is_none() {
        context.fresh.add(hash, Instant::now());
    }
    Ok(hash)
}

async fn send_raw(context: Arc<Context>, params: Params<'static>) -> Answer<B256> {
    let bytes = Arguments::of(&params)?.required()?;
    send_bytes(context, bytes).await
}

/// Submits a transaction and answers its hash.
pub(crate) async fn send_bytes(context: Arc<Context>, bytes: Bytes) -> Answer<B256> {
    let heads = context.node.subscribe_heads();
    let hash = submit(&context, bytes).await?;
    crate::dev::settle(&context, heads, hash).await;
    Ok(hash)
}

/// EIP-7966: submits, waits for the block and answers the receipt.
async fn send_raw_and_wait(context: Arc<Context>, params: Params<'static>) -> Answer<RpcReceipt> {
    let mut arguments = Arguments::of(&params)?;
    let bytes = arguments.required()?;
    let wait = arguments.optional::<Milliseconds>()?;
    let wait = wait.map_or(RECEIPT_WAIT, |given| {
        given.0.min(limits::RPC_RECEIPT_WAIT_MAX)
    });
    // Listening begins before the transaction can be included.
    let heads = context.node.subscribe_heads();
    let hash = submit(&context, bytes).await?;
    tokio::select! {
        answer = inclusion(&context, heads, hash) => answer,
        () = tokio::time::sleep(wait) => Err(receipt_timeout(hash, wait)),
        () = context.stopped() => Err(stopping()),
    }
}

/// Waits until a block includes the transaction.
async fn inclusion(context: &Arc<Context>, mut heads: Heads, hash: B256) -> Answer<RpcReceipt> {
    loop {
        let may_be_there = match heads.recv().await {
            Ok(committed) => includes(&committed, hash),
            // Blocks were missed: the store knows.
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) => return Err(stopping()),
        };
        // Senders of a block from a peer are what the store says, not the peer.
        if may_be_there && let Some(receipt) = stored_receipt(context, hash).await? {
            return Ok(receipt);
        }
    }
}

/// A number of milliseconds, as a JSON number or as a hexadecimal quantity.
struct Milliseconds(Duration);

impl<'de> serde::Deserialize<'de> for Milliseconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Given {
            Number(u64),
            Quantity(alloy_primitives::U64),
        }
        let milliseconds = match serde::Deserialize::deserialize(deserializer)? {
            Given::Number(number) => number,
            Given::Quantity(number) => number.to(),
        };
        Ok(Self(Duration::from_millis(milliseconds)))
    }
}

fn includes(committed: &CommittedBlock, hash: B256) -> bool {
    let transactions = committed.block.sealed.transactions();
    transactions
        .iter()
        .any(|transaction| *transaction.tx_hash() == hash)
}

async fn stored_receipt(context: &Arc<Context>, hash: B256) -> Answer<Option<RpcReceipt>> {
    let shared = context.clone();
    context
        .workers
        .run(Lane::Read, move || receipt_of(&shared, hash))
        .await
}

/// The receipt, `null` while there is none; a fresh transaction's is waited for.
pub(crate) async fn receipt(
    context: Arc<Context>,
    params: Params<'static>,
) -> Answer<Option<RpcReceipt>> {
    let hash = Arguments::of(&params)?.required()?;
    let Some(until) = context.fresh.until(hash, Instant::now()) else {
        return stored_receipt(&context, hash).await;
    };
    // Listening begins before the look, so that no block falls between them.
    let heads = context.node.subscribe_heads();
    let found = stored_receipt(&context, hash).await?;
    if found.is_some() {
        return Ok(found);
    }
    tokio::select! {
        answer = inclusion(&context, heads, hash) => answer.map(Some),
        () = tokio::time::sleep_until(until) => Ok(None),
        () = context.stopped() => Err(stopping()),
    }
}

pub(crate) fn receipt_of(context: &Context, hash: B256) -> Answer<Option<RpcReceipt>> {
    let Some((committed, index)) = included(context, hash)? else {
        return Ok(None);
    };
    let mut receipt = convert::receipt(&committed.block, &committed.receipts, index);
    if let Some(receipt) = &mut receipt {
        receipts_of_ethereum::complete(context, &committed.block, index, receipt);
    }
    Ok(receipt)
}

/// The block of a transaction and its index there.
fn included(context: &Context, hash: B256) -> Answer<Option<(Arc<CommittedBlock>, usize)>> {
    let location = context
        .store()
        .transaction_location(hash)
        .map_err(errors::storage)?;
    let Some((height, index)) = location else {
        return Ok(None);
    };
    let index = usize::try_from(index).map_err(errors::fault)?;
    Ok(context.committed(height)?.map(|block| (block, index)))
}

pub(crate) fn by_transaction_hash(
    context: &Context,
    arguments: &mut Arguments,
) -> Answer<Option<RpcTransaction>> {
    find(
        context,
        arguments,
        convert::transaction_of,
        convert::pending_transaction,
    )
}

pub(crate) fn raw_by_hash(context: &Context, arguments: &mut Arguments) -> Answer<Option<Bytes>> {
    find(context, arguments, raw_of, |waiting| {
        waiting.transaction().encoded_2718().into()
    })
}

/// Looks in the chain, in the pool, and in the chain again, since a transaction
/// leaves the pool after its block is on disk.
fn find<T>(
    context: &Context,
    arguments: &mut Arguments,
    in_block: impl Fn(&RecoveredBlock, usize) -> Option<T>,
    in_pool: impl Fn(&medina_types::RecoveredTransaction) -> T,
) -> Answer<Option<T>> {
    let hash: B256 = arguments.required()?;
    if let Some((committed, index)) = included(context, hash)? {
        return Ok(in_block(&committed.block, index));
    }
    if let Some(waiting) = context.node.pool().get(&hash) {
        return Ok(Some(in_pool(&waiting)));
    }
    let found = included(context, hash)?;
    Ok(found.and_then(|(committed, index)| in_block(&committed.block, index)))
}

fn raw_of(block: &RecoveredBlock, index: usize) -> Option<Bytes> {
    block
        .sealed
        .transactions()
        .get(index)
        .map(|one| one.encoded_2718().into())
}

fn at_index<T>(
    context: &Context,
    id: BlockId,
    arguments: &mut Arguments,
    of: impl Fn(&RecoveredBlock, usize) -> Option<T>,
) -> Answer<Option<T>> {
    let index: Index = arguments.required()?;
    Ok(context.block(id)?.and_then(|block| of(&block, index.0)))
}
