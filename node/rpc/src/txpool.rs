//! The `txpool` namespace: what waits, by sender and nonce.
//!
//! `pending` can be executed now, `queued` waits for an earlier nonce. Senders
//! are written with their checksum, as geth does.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U64};
use jsonrpsee::server::RegisterMethodError;
use medina_types::RecoveredTransaction;
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

use crate::{
    arguments::Arguments,
    context::Context,
    convert::{self, RpcTransaction},
    errors::Answer,
    registry::Registry,
};

/// Transactions by nonce, the nonce as decimal text as in geth.
type ByNonce<T> = BTreeMap<String, T>;

/// Transactions as the pool lists them.
type BySender = BTreeMap<Address, BTreeMap<u64, Arc<RecoveredTransaction>>>;

/// Both halves of the pool.
#[derive(Debug, Default, Serialize)]
struct Halves<T> {
    pending: T,
    queued: T,
}

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("txpool_status", status)?;
    registry.read("txpool_content", |context, _| {
        Ok(by_sender(context, convert::pending_transaction))
    })?;
    registry.read("txpool_inspect", |context, _| {
        Ok(by_sender(context, summary))
    })?;
    registry.read("txpool_contentFrom", content_from)
}

fn status(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let status = context.node.pool().status();
    Ok(json!({ "pending": U64::from(status.executable), "queued": U64::from(status.queued) }))
}

fn by_sender<T>(
    context: &Context,
    show: fn(&RecoveredTransaction) -> T,
) -> Halves<BTreeMap<String, ByNonce<T>>> {
    let content = context.node.pool().content();
    let shown = |waiting: BySender| {
        let by_nonce = |transactions: BTreeMap<u64, Arc<RecoveredTransaction>>| {
            let one = |(nonce, waiting): (u64, Arc<RecoveredTransaction>)| {
                (nonce.to_string(), show(&waiting))
            };
            transactions.into_iter().map(one).collect()
        };
        waiting
            .into_iter()
            .map(|(sender, waiting)| (sender.to_string(), by_nonce(waiting)))
            .collect()
    };
    Halves {
        pending: shown(content.executable),
        queued: shown(content.queued),
    }
}

fn content_from(
    context: &Context,
    arguments: &mut Arguments,
) -> Answer<Halves<ByNonce<RpcTransaction>>> {
    let sender = arguments.required::<Address>()?.to_string();
    let mut all = by_sender(context, convert::pending_transaction);
    Ok(Halves {
        pending: all.pending.remove(&sender).unwrap_or_default(),
        queued: all.queued.remove(&sender).unwrap_or_default(),
    })
}

/// geth's one-line summary: receiver, value, gas and price.
fn summary(waiting: &RecoveredTransaction) -> String {
    let transaction = waiting.transaction();
    let to = transaction
        .to()
        .map_or_else(|| "contract creation".to_owned(), |to| to.to_string());
    format!(
        "{to}: {} wei + {} gas × {} wei",
        transaction.value(),
        transaction.gas_limit(),
        transaction.max_fee_per_gas()
    )
}
