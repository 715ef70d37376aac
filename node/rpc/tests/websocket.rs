//! Subscriptions over WebSocket, with the client of the library that serves them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::B256;
use jsonrpsee::{
    core::client::{ClientT, Error, Subscription, SubscriptionClientT},
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use serde_json::{Value, json};
use std::{future::Future, time::Duration};
use support::*;

async fn connect(rpc: &Rpc) -> WsClient {
    WsClientBuilder::default()
        .build(rpc.websocket_url())
        .await
        .unwrap()
}

async fn subscribe(client: &WsClient, params: Vec<Value>) -> Subscription<Value> {
    client
        .subscribe("eth_subscribe", params, "eth_unsubscribe")
        .await
        .unwrap()
}

/// The next announcement; a test that waits in vain fails.
async fn next(subscription: &mut Subscription<Value>) -> Value {
    let announced = tokio::time::timeout(Duration::from_secs(10), subscription.next());
    announced
        .await
        .expect("nothing was announced")
        .unwrap()
        .unwrap()
}

/// Runs something and answers what is announced on account of it.
async fn announced(subscription: &mut Subscription<Value>, cause: impl Future) -> Value {
    cause.await;
    next(subscription).await
}

#[tokio::test(flavor = "multi_thread")]
async fn new_heads_come_in_order_and_none_is_left_out() {
    let rpc = Rpc::start().await;
    let client = connect(&rpc).await;
    let mut heads = subscribe(&client, vec![json!("newHeads")]).await;
    // More than the node's channel holds: the server reads the rest from the store.
    for _ in 0..200 {
        rpc.node.mine();
    }
    let mut parent = json!(rpc.node.mine().block.header().parent_hash);
    let _ = parent.take();
    for number in 1..=201_u64 {
        let head = next(&mut heads).await;
        assert_eq!(head["number"], json!(format!("{number:#x}")));
        assert!(head.get("transactions").is_none());
        if number > 1 {
            assert_eq!(head["parentHash"], parent);
        }
        parent = head["hash"].clone();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_announced_by_filter() {
    let rpc = Rpc::start().await;
    let client = connect(&rpc).await;
    let mine = json!({ "address": COUNTER_AT, "topics": [account(1).address().into_word()] });
    let mut logs = subscribe(&client, vec![json!("logs"), mine]).await;
    rpc.send(&signed(0, 0, Some(COUNTER_AT), &[])).await;
    let hash = rpc.send(&signed(1, 0, Some(COUNTER_AT), &[])).await;
    let log = announced(&mut logs, async { rpc.node.mine() }).await;
    assert_eq!(
        (&log["transactionHash"], &log["removed"]),
        (&json!(hash), &json!(false))
    );
    assert_eq!(
        (&log["blockNumber"], &log["logIndex"]),
        (&json!("0x1"), &json!("0x1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_transactions_are_announced_as_hash_or_whole() {
    let rpc = Rpc::start().await;
    let client = connect(&rpc).await;
    let mut hashes = subscribe(&client, vec![json!("newPendingTransactions")]).await;
    let mut whole = subscribe(&client, vec![json!("newPendingTransactions"), json!(true)]).await;
    let hash = rpc.send(&signed(0, 0, Some(COUNTER_AT), &[])).await;
    assert_eq!(next(&mut hashes).await, json!(hash));
    assert_eq!(next(&mut whole).await["hash"], json!(hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_announced_by_hash() {
    let rpc = Rpc::start().await;
    let client = connect(&rpc).await;
    let raw = signed(0, 0, Some(COUNTER_AT), &[]);
    let hash: B256 = alloy_primitives::keccak256(&raw);
    let wanted = json!({ "transactionHashes": [hash] });
    let mut receipts = subscribe(&client, vec![json!("transactionReceipts"), wanted]).await;
    rpc.send(&signed(1, 0, Some(COUNTER_AT), &[])).await;
    rpc.send(&raw).await;
    let found = announced(&mut receipts, async { rpc.node.mine() }).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["transactionHash"], json!(hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn syncing_is_told_at_once_and_on_change() {
    let rpc = Rpc::start().await;
    let client = connect(&rpc).await;
    let mut syncing = subscribe(&client, vec![json!("syncing")]).await;
    assert_eq!(next(&mut syncing).await, json!(false));
    let (starting, highest) = (medina_types::Height(0), medina_types::Height(9));
    *rpc.node.syncing.lock() = Some(medina_rpc::SyncProgress {
        starting,
        highest,
        blocks_per_second: None,
    });
    let status = announced(&mut syncing, async { rpc.node.mine() }).await;
    assert_eq!(
        (&status["syncing"], &status["status"]["highestBlock"]),
        (&json!(true), &json!("0x9"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_ends_once() {
    let rpc = Rpc::start().await;
    let client = connect(&rpc).await;
    let heads = subscribe(&client, vec![json!("newHeads")]).await;
    let id = match heads.kind() {
        jsonrpsee::core::client::SubscriptionKind::Subscription(id) => {
            serde_json::to_value(id).unwrap()
        }
        other => panic!("{other:?}"),
    };
    assert!(id.as_str().unwrap().starts_with("0x"), "{id}");
    let gone: bool = client
        .request("eth_unsubscribe", rpc_params![id.clone()])
        .await
        .unwrap();
    let again: bool = client
        .request("eth_unsubscribe", rpc_params![id])
        .await
        .unwrap();
    assert!(gone && !again);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_too_many_subscriptions_are_refused() {
    let rpc = Rpc::with(|config| config.subscriptions_per_connection_max = 2).await;
    let client = connect(&rpc).await;
    let wrong = client
        .subscribe::<Value, _>("eth_subscribe", rpc_params!["newBlocks"], "eth_unsubscribe")
        .await
        .unwrap_err();
    let Error::Call(wrong) = wrong else {
        panic!("{wrong}")
    };
    assert_eq!(wrong.code(), -32602);
    let _first = subscribe(&client, vec![json!("newHeads")]).await;
    let _second = subscribe(&client, vec![json!("syncing")]).await;
    let third = client
        .subscribe::<Value, _>("eth_subscribe", rpc_params!["newHeads"], "eth_unsubscribe")
        .await
        .unwrap_err();
    assert!(
        third.to_string().contains("Too many subscriptions"),
        "{third}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_subscriptions_share_one_connection() {
    let rpc = Rpc::start().await;
    let client = connect(&rpc).await;
    let id: String = client.request("eth_chainId", rpc_params![]).await.unwrap();
    assert_eq!(id, "0x539");
}
