//! What outsiders get wrong, on purpose or not, and that the server survives it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use jsonrpsee::{core::client::SubscriptionClientT, rpc_params, ws_client::WsClientBuilder};
use medina_rpc::{AllowedOrigins, NodeView, RpcConfig, RpcError};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use support::*;

/// One of each method, for input that ought to fail.
const METHODS: [&str; 46] = [
    "eth_call",
    "eth_estimateGas",
    "eth_createAccessList",
    "eth_getLogs",
    "eth_newFilter",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_uninstallFilter",
    "eth_getProof",
    "eth_getStorageAt",
    "eth_getBalance",
    "eth_getCode",
    "eth_getTransactionCount",
    "eth_feeHistory",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getUncleCountByBlockHash",
    "eth_subscribe",
    "eth_unsubscribe",
    "txpool_contentFrom",
    "medina_certificate",
    "web3_sha3",
    "eth_getRawTransactionByHash",
    "eth_getHeaderByNumber",
    "qbft_proposeValidatorVote",
    "qbft_discardValidatorVote",
    "qbft_getPendingVotes",
    "qbft_getSignerMetrics",
    "qbft_getValidatorsByBlockNumber",
    "qbft_getValidatorsByBlockHash",
    "istanbul_getSnapshot",
    "istanbul_getSnapshotAtHash",
    "istanbul_getValidators",
    "istanbul_getSignersFromBlock",
    "istanbul_status",
    "istanbul_isValidator",
    "raft_getRaftId",
    "raft_removePeer",
    "admin_addPeer",
    "admin_removePeer",
];

async fn is_alive(rpc: &Rpc) -> bool {
    rpc.call("eth_chainId", json!([])).await == "0x539"
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_method_is_an_answer_and_no_http_error() {
    let rpc = Rpc::start().await;
    for method in ["anvil_nodeInfo", "engine_newPayloadV1", "personal_sign"] {
        let (code, text) = rpc.refused(method, json!([])).await;
        let expected = format!("the method {method} does not exist/is not available");
        assert_eq!((code, text), (-32601, expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_told_apart() {
    let rpc = Rpc::start().await;
    let table = [
        ("{", "-32700"),
        ("text", "-32700"),
        ("\"text\"", "-32600"),
        ("{}", "-32600"),
        (
            r#"{"jsonrpc":"2.0","id":20e2266044,"method":"eth_chainId"}"#,
            "-32700",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"eth_chainId"}"#,
            "-32600",
        ),
        ("1", "-32600"),
        ("[]", "-32600"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "-32600"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"a":1}}"#,
            "-32602",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}"#,
            "-32602",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}"#,
            "-32602",
        ),
    ];
    for (body, code) in table {
        let (_, answer) = rpc.raw(body).await;
        assert!(answer.contains(code), "{body}: {answer}");
    }
    // No text at all, in a place that nobody reads.
    let mut body = br#"{"jsonrpc":"2.0","method":"eth_chainId","param":["..."]}"#.to_vec();
    body[52] = 0xff;
    let (_, answer) = rpc.raw(body).await;
    assert!(answer.contains("-32700"), "{answer}");
    assert!(is_alive(&rpc).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_body_is_refused_and_nothing_else_suffers() {
    let rpc = Rpc::with(|config| config.request_bytes_max = 10_000).await;
    let (status, answer) = rpc.raw(vec![b' '; 10_001]).await;
    assert_eq!(status, 413);
    assert!(answer.contains("too big"), "{answer}");
    assert!(is_alive(&rpc).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_answer_is_an_error() {
    let rpc = Rpc::with(|config| config.response_bytes_max = 500).await;
    let (code, text) = rpc
        .refused("eth_getBlockByNumber", json!(["latest", true]))
        .await;
    assert_eq!((code, text.as_str()), (-32008, "Response is too big"));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_answered_in_order_up_to_the_bound() {
    let rpc = Rpc::with(|config| config.batch_max = 3).await;
    let call = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_chainId" });
    let batch = |count| Value::from((0..count).map(call).collect::<Vec<_>>()).to_string();
    let (_, answer) = rpc.raw(batch(3)).await;
    let answers: Vec<Value> = serde_json::from_str(&answer).unwrap();
    let ids: Vec<_> = answers
        .iter()
        .map(|answer| answer["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [0, 1, 2]);
    let (_, answer) = rpc.raw(batch(4)).await;
    assert!(
        answer.contains("The batch request was too large"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_of_allowed_origins_may_call() {
    let preflight = |rpc: &Rpc, origin: &'static str| {
        rpc.options()
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .send()
    };
    let allowed = "access-control-allow-origin";
    let rpc = Rpc::start().await;
    let answer = preflight(&rpc, "https://wallet.example").await.unwrap();
    assert_eq!(answer.headers()[allowed], "*");
    let one = vec!["https://wallet.example".to_owned()];
    let rpc = Rpc::with(|config| config.origins = AllowedOrigins::These(one)).await;
    let answer = preflight(&rpc, "https://wallet.example").await.unwrap();
    assert_eq!(answer.headers()[allowed], "https://wallet.example");
    let answer = preflight(&rpc, "https://other.example").await.unwrap();
    assert!(answer.headers().get(allowed).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_host_header_is_refused_where_hosts_are_listed() {
    let rpc = Rpc::with(|config| config.hosts = Some(vec!["node.example".to_owned()])).await;
    let answer = rpc
        .post("{}")
        .header("host", "node.example")
        .send()
        .await
        .unwrap();
    assert_ne!(answer.status().as_u16(), 403);
    let answer = rpc
        .post("{}")
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_at_the_port_sees_a_sentence() {
    let rpc = Rpc::start().await;
    let answer = rpc.get().send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.text().await.unwrap().starts_with("Medina JSON-RPC"));
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_port_and_bad_origin_are_one_clear_line() {
    let rpc = Rpc::start().await;
    let config = RpcConfig::new(rpc.handle.local_addr());
    let error = medina_rpc::start(config, TestNode::new())
        .await
        .unwrap_err();
    assert!(matches!(error, RpcError::Listen { .. }));
    assert!(
        error.to_string().contains("stop what uses the port"),
        "{error}"
    );
    let mut config = RpcConfig::new("127.0.0.1:0".parse().unwrap());
    config.origins = AllowedOrigins::These(vec!["wallet".to_owned()]);
    let error = medina_rpc::start(config, TestNode::new())
        .await
        .unwrap_err();
    assert!(matches!(error, RpcError::BadOrigin(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_nobody_and_frees_the_port() {
    let rpc = std::sync::Arc::new(Rpc::start().await);
    assert!(is_alive(&rpc).await);
    let client = WsClientBuilder::default()
        .build(rpc.websocket_url())
        .await
        .unwrap();
    let params = rpc_params!["newHeads"];
    let _heads = client
        .subscribe::<Value, _>("eth_subscribe", params, "eth_unsubscribe")
        .await
        .unwrap();
    let mut pending = rpc.node.subscribe_pending();
    let waiting = tokio::spawn({
        let (rpc, raw) = (rpc.clone(), signed(0, 0, Some(COUNTER_AT), &[]));
        async move {
            rpc.refused("eth_sendRawTransactionSync", json!([raw, 60_000]))
                .await
        }
    });
    pending.recv().await.unwrap();
    let address = rpc.handle.local_addr();
    rpc.handle.stop();
    let stopped = rpc.handle.clone().stopped();
    tokio::time::timeout(std::time::Duration::from_secs(2), stopped)
        .await
        .unwrap();
    assert_eq!(
        waiting.await.unwrap(),
        (-32002, "the node is stopping".to_owned())
    );
    std::net::TcpListener::bind(address).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_filters_expire() {
    let rpc = Rpc::with(|config| config.filter_lifetime = std::time::Duration::ZERO).await;
    let id = rpc.call("eth_newBlockFilter", json!([])).await;
    let gone = rpc.refused("eth_getFilterChanges", json!([id])).await;
    assert_eq!(gone, (-32000, "filter not found".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_calls_do_not_hold_up_others() {
    let rpc = std::sync::Arc::new(Rpc::start().await);
    let endless =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{ "to": LOOPER_AT }] });
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let (rpc, body) = (rpc.clone(), endless.to_string());
            tokio::spawn(async move { rpc.raw(body).await })
        })
        .collect();
    assert_eq!(rpc.call("eth_getBalance", json!([LOOPER_AT])).await, "0x0");
    assert!(is_alive(&rpc).await);
    for call in slow {
        assert!(call.await.unwrap().1.contains("out of gas"));
    }
}

/// Arguments that look almost right.
fn argument() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(0x)?[0-9a-fA-F]{0,66}".prop_map(Value::from),
        prop_oneof![
            Just("latest"),
            Just("pending"),
            Just("logs"),
            Just("newHeads"),
            Just("")
        ]
        .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!(COUNTER_AT)),
    ];
    let key = prop_oneof![
        Just("to"),
        Just("from"),
        Just("data"),
        Just("input"),
        Just("gas"),
        Just("value"),
        Just("fromBlock"),
        Just("toBlock"),
        Just("address"),
        Just("topics"),
        Just("blockHash"),
        Just("blockNumber"),
        Just("accessList"),
        Just("nonce"),
        Just("balance"),
        Just("code"),
        Just("stateDiff"),
        Just("number"),
        Just("time"),
        Just("authorizationList"),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_arguments_whatever_break_the_server() {
    let rpc = Rpc::with(|config| config.call_gas_max = 100_000).await;
    let mut runner = TestRunner::new(Config::default());
    let request = (
        0..METHODS.len(),
        proptest::collection::vec(argument(), 0..4),
    );
    for id in 0..900 {
        let (method, params) = request.new_tree(&mut runner).unwrap().current();
        let method = METHODS[method];
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let (status, answer) = rpc.raw(body.to_string()).await;
        assert_eq!(status, 200, "{body}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["id"], json!(id), "{body}: {answer}");
        assert_ne!(answer["error"]["code"], -32603, "{body}: {answer}");
    }
    assert!(is_alive(&rpc).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_whatever_break_the_server() {
    let rpc = Rpc::start().await;
    let mut runner = TestRunner::new(Config::default());
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[\\[\\]{}\":,0-9a-z]{0,200}".prop_map(String::into_bytes),
        Just(vec![b'['; 50_000]),
    ];
    for _ in 0..300 {
        let body = bytes.new_tree(&mut runner).unwrap().current();
        let (status, _) = rpc.raw(body).await;
        assert!(status == 200 || status == 400, "{status}");
    }
    assert!(is_alive(&rpc).await);
}
