//! `eth_subscribe` over WebSocket: `newHeads`, `logs`, `newPendingTransactions`,
//! `transactionReceipts` and `syncing`.
//!
//! Blocks are announced in order and none is left out: a subscriber that is too
//! slow for the announcements gets what it missed from the store; one whose queue
//! stays full loses its connection. A block never goes away again, so `removed` is
//! always false and no head comes twice.

use alloy_primitives::B256;
use alloy_rpc_types_eth::{
    SyncStatus,
    pubsub::{SubscriptionKind, TransactionReceiptsParams},
};
use jsonrpsee::{
    Extensions, PendingSubscriptionSink, SendTimeoutError, SubscriptionSink,
    core::server::SubscriptionMessage, server::RegisterMethodError, types::Params,
};
use medina_types::{Height, RecoveredTransaction};
use serde::Serialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{Receiver, error::RecvError},
};

use super::chain::sync_status;
use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    convert,
    errors::{Answer, invalid_params, limit_exceeded},
    front::Caller,
    log_filter::LogFilter,
    registry::Registry,
    workers::Lane,
};

/// A subscription with its arguments checked.
enum Wanted {
    Blocks(OfBlock),
    Pending { full: bool },
    Syncing,
}

impl Wanted {
    /// Room for what it names, for as long as it lasts.
    fn room(&self, context: &Context) -> Answer<OwnedSemaphorePermit> {
        let criteria = match self {
            Self::Blocks(OfBlock::Logs(filter)) => filter.criteria(),
            Self::Blocks(OfBlock::Receipts(hashes)) => hashes.len(),
            Self::Blocks(OfBlock::Head) | Self::Pending { .. } | Self::Syncing => 0,
        };
        let criteria = u32::try_from(criteria).unwrap_or(u32::MAX);
        let room = context.criteria.clone().try_acquire_many_owned(criteria);
        room.map_err(|_| limit_exceeded("too many addresses and topics are subscribed to"))
    }
}

/// What a subscriber wants to know of each block.
enum OfBlock {
    Head,
    Logs(Box<LogFilter>),
    Receipts(Vec<B256>),
}

/// The subscriber has gone or is too slow, or we stop.
struct Ended;

/// Who is told.
struct Subscriber {
    sink: SubscriptionSink,
    caller: Option<Caller>,
    /// How long its queue may be full.
    patience: Duration,
}

impl Subscriber {
    async fn closed(&self) {
        self.sink.closed().await;
    }
}

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.module.register_subscription_raw(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, context, extensions| subscribe(&params, pending, context, extensions),
    )?;
    Ok(())
}

fn subscribe(
    params: &Params<'_>,
    pending: PendingSubscriptionSink,
    context: Arc<Context>,
    extensions: &Extensions,
) {
    let caller = extensions.get::<Caller>().cloned();
    let wanted = wanted(params);
    // Announcements from here on count, although the answer is still on its way.
    let heads = context.node.subscribe_heads();
    let transactions = context.node.subscribe_pending();
    let next = context.head().height.next();
    tokio::spawn(async move {
        let held = wanted.and_then(|wanted| Ok((wanted.room(&context)?, wanted)));
        let (_room, wanted) = match held {
            Ok(held) => held,
            Err(error) => return pending.reject(error).await,
        };
        let Ok(sink) = pending.accept().await else {
            return;
        };
        let sink = Subscriber {
            sink,
            caller,
            patience: context.config.slow_subscriber_timeout,
        };
        // Both ends are no failure: the subscriber left, or the node stops.
        let _ended = match wanted {
            Wanted::Blocks(part) => send_blocks(&sink, context, heads, next, part).await,
            Wanted::Pending { full } => send_pending(&sink, transactions, full).await,
            Wanted::Syncing => send_syncing(&sink, &context, heads).await,
        };
    });
}

fn wanted(params: &Params<'_>) -> Answer<Wanted> {
    let mut arguments = Arguments::of(params)?;
    let kind: String = arguments.required()?;
    let kind = kind
        .parse::<SubscriptionKind>()
        .map_err(|_| invalid_params(format!("no \"{kind}\" subscription in eth namespace")))?;
    Ok(match kind {
        SubscriptionKind::NewHeads => Wanted::Blocks(OfBlock::Head),
        SubscriptionKind::Logs => Wanted::Blocks(OfBlock::Logs(Box::new(LogFilter::read(
            arguments.optional()?,
        )?))),
        SubscriptionKind::TransactionReceipts => {
            let wanted: TransactionReceiptsParams = arguments.optional()?.unwrap_or_default();
            let hashes = wanted.transaction_hashes.unwrap_or_default();
            if hashes.len() > medina_types::limits::RPC_LOG_CRITERIA_MAX {
                return Err(invalid_params("too many transaction hashes"));
            }
            Wanted::Blocks(OfBlock::Receipts(hashes))
        }
        SubscriptionKind::NewPendingTransactions => Wanted::Pending {
            full: arguments.optional()?.unwrap_or(false),
        },
        SubscriptionKind::Syncing => Wanted::Syncing,
    })
}

/// Announces every block from `next` on.
async fn send_blocks(
    sink: &Subscriber,
    context: Arc<Context>,
    mut heads: Receiver<Arc<CommittedBlock>>,
    mut next: Height,
    part: OfBlock,
) -> Result<(), Ended> {
    loop {
        let announced = tokio::select! {
            () = sink.closed() => return Err(Ended),
            announced = heads.recv() => announced,
        };
        // On a development network a height may be decided anew.
        if let Ok(committed) = &announced
            && context.node.dev().is_some()
        {
            next = next.min(committed.block.height());
        }
        let newest = match announced {
            // Receipts name senders, which the store knows better than a peer.
            Ok(committed)
                if committed.block.height() == next && !matches!(part, OfBlock::Receipts(_)) =>
            {
                send_block(sink, &committed, &part).await?;
                next = next.next();
                continue;
            }
            Ok(committed) => committed.block.height(),
            Err(RecvError::Lagged(_)) => context.head().height,
            Err(RecvError::Closed) => return Err(Ended),
        };
        while next <= newest {
            let shared = context.clone();
            let read = move || shared.committed(next);
            let missed = context
                .workers
                .run(Lane::Read, read)
                .await
                .map_err(|_| Ended)?;
            let missed: Arc<CommittedBlock> = missed.ok_or(Ended)?;
            send_block(sink, &missed, &part).await?;
            next = next.next();
        }
    }
}

async fn send_block(
    sink: &Subscriber,
    committed: &CommittedBlock,
    part: &OfBlock,
) -> Result<(), Ended> {
    match part {
        OfBlock::Head => send(sink, &convert::header(&committed.block.sealed)).await,
        OfBlock::Logs(filter) => {
            if !filter.covers(committed.block.header().number) {
                return Ok(());
            }
            for log in filter.logs_of(committed) {
                send(sink, &log).await?;
            }
            Ok(())
        }
        OfBlock::Receipts(wanted) => {
            let mut receipts = convert::receipts(&committed.block, &committed.receipts);
            receipts.retain(|one| wanted.is_empty() || wanted.contains(&one.transaction_hash));
            if receipts.is_empty() {
                Ok(())
            } else {
                send(sink, &receipts).await
            }
        }
    }
}

/// Announces transactions that enter the pool. What a slow subscriber misses is
/// lost: a pending transaction may be gone by then.
async fn send_pending(
    sink: &Subscriber,
    mut transactions: Receiver<Arc<RecoveredTransaction>>,
    full: bool,
) -> Result<(), Ended> {
    loop {
        let announced = tokio::select! {
            () = sink.closed() => return Err(Ended),
            announced = transactions.recv() => announced,
        };
        match announced {
            Ok(transaction) if full => {
                send(sink, &convert::pending_transaction(&transaction)).await?;
            }
            Ok(transaction) => send(sink, &transaction.hash()).await?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Err(Ended),
        }
    }
}

/// Says whether the node is catching up: at once, and whenever that changes.
async fn send_syncing(
    sink: &Subscriber,
    context: &Context,
    mut heads: Receiver<Arc<CommittedBlock>>,
) -> Result<(), Ended> {
    let mut said = None;
    loop {
        let status = sync_status(context);
        let is_syncing = matches!(status, SyncStatus::Info(_));
        if said != Some(is_syncing) {
            said = Some(is_syncing);
            send(sink, &syncing_message(&status)).await?;
        }
        tokio::select! {
            () = sink.closed() => return Err(Ended),
            announced = heads.recv() => if let Err(RecvError::Closed) = announced {
                return Err(Ended);
            },
        }
    }
}

fn syncing_message(status: &SyncStatus) -> Value {
    match status {
        SyncStatus::None => json!(false),
        SyncStatus::Info(info) => json!({ "syncing": true, "status": {
            "startingBlock": info.starting_block,
            "currentBlock": info.current_block,
            "highestBlock": info.highest_block,
        } }),
    }
}

async fn send<T: Serialize + ?Sized>(sink: &Subscriber, value: &T) -> Result<(), Ended> {
    let message: Box<RawValue> = to_raw_value(value).map_err(|_| Ended)?;
    let message = SubscriptionMessage::from(message);
    let sent = sink.sink.send_timeout(message, sink.patience).await;
    sent.map_err(|error| {
        // It could not tell a subscription that ended from a chain that stands
        // still: the whole connection ends.
        if let (SendTimeoutError::Timeout(_), Some(caller)) = (error, &sink.caller) {
            caller.connection.cut();
        }
        Ended
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::types::ErrorObjectOwned;

    fn refused(params: &'static str) -> ErrorObjectOwned {
        wanted(&Params::new(Some(params))).err().unwrap()
    }

    #[test]
    fn unknown_kind_is_named() {
        let error = refused(r#"["newBlocks"]"#);
        assert_eq!(error.code(), -32602);
        assert_eq!(
            error.message(),
            "no \"newBlocks\" subscription in eth namespace"
        );
    }

    #[test]
    fn bad_log_filter_is_refused() {
        assert_eq!(refused(r#"["logs", {"address": 5}]"#).code(), -32602);
    }
}
