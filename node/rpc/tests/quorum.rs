//! What `GoQuorum`'s clients ask for, and the transaction manager's port, against a
//! running server whose private side is in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::{B256, B512, Bytes, keccak256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use medina_rpc::{
    Access, ApiKeys,
    privacy::{CompatSend, Lookup, PrivateReceipt, Tombstone},
};
use medina_types::{MARKER_ADDRESS, PrivacyMode};
use serde_json::{Value, json};
use std::sync::Arc;
use support::{private::*, *};

const CLINICS_KEY: &str = "clinic's secret key";
const LABS_KEY: &str = "lab's secret key 123";
const READERS_KEY: &str = "readers_secret_key_1";
const URL_KEY: &str = "clinics_key_in_an_address";

fn keys() -> ApiKeys {
    let all = || Access::of(["*"]).unwrap();
    let keys = ApiKeys::default();
    let keys = keys.with_private(
        "clinic's",
        CLINICS_KEY,
        all(),
        &["psi://clinic?self.eoa=0x0&node.eoa=0x0"],
    );
    let keys = keys
        .unwrap()
        .with_private("lab's", LABS_KEY, all(), &["psi://lab?self.eoa=0x0"]);
    let keys = keys
        .unwrap()
        .with_private("reader's", READERS_KEY, all(), &["psi://clinic"]);
    let keys = keys
        .unwrap()
        .with_private("url", URL_KEY, all(), &["psi://clinic?self.eoa=0x0"]);
    keys.unwrap()
}

struct Server {
    rpc: Rpc,
    memory: Arc<Memory>,
    http: reqwest::Client,
}

async fn server() -> Server {
    let memory = Arc::new(Memory {
        is_compat: true,
        ..Memory::default()
    });
    let node = TestNode::new();
    *node.private.lock() = Some(memory.clone());
    let rpc = Rpc::of(node, |config| {
        config.keys = keys();
        config.transaction_manager = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    Server {
        rpc,
        memory,
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
    }
}

/// A party's name among `GoQuorum`'s clients.
fn key_of(org: B256) -> String {
    STANDARD.encode(keccak256(org))
}

impl Server {
    async fn ask(&self, key: &str, method: &str, params: &Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.rpc.post(body.to_string()).header("x-api-key", key);
        let answer = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    async fn result(&self, key: &str, method: &str, params: Value) -> Value {
        let mut answer = self.ask(key, method, &params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    async fn error(&self, key: &str, method: &str, params: Value) -> (i64, String) {
        let answer = self.ask(key, method, &params).await;
        let code = answer["error"]["code"].as_i64();
        let code = code.unwrap_or_else(|| panic!("{method}: {answer}"));
        (
            code,
            answer["error"]["message"].as_str().unwrap().to_owned(),
        )
    }

    fn manager(&self, path: &str) -> String {
        let address = self.rpc.handle.transaction_manager_addr().unwrap();
        format!("http://{address}{path}")
    }

    /// Status and text of a request to the transaction manager.
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(self.manager(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let request = self.http.post(self.manager(path)).body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// Every private method of the dialect, asked about what is the clinic's.
fn questions() -> Vec<(&'static str, Value)> {
    let raw = marked(&account(0), None, B512::repeat_byte(0x5e));
    let to = json!({ "privateFor": [key_of(BANK)] });
    vec![
        ("eth_sendRawPrivateTransaction", json!([raw, to])),
        ("eth_distributePrivateTransaction", json!([raw, to])),
        ("eth_getQuorumPayload", json!([DIGEST])),
        ("eth_getQuorumPayloadExtra", json!([DIGEST])),
        ("eth_getContractPrivacyMetadata", json!([CONTRACT])),
        ("eth_getPrivateTransactionByHash", json!([B256::ZERO])),
        ("eth_getPrivateTransactionReceipt", json!([B256::ZERO])),
        ("eth_getPSI", json!([])),
        ("eth_storageRoot", json!([CONTRACT, "latest"])),
        ("debug_privateStateRoot", json!(["latest"])),
        ("debug_dumpAddress", json!([CONTRACT, "latest"])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_dialect_is_answered_without_a_scope() {
    let server = server().await;
    for (method, params) in questions() {
        let (code, text) = server.rpc.refused(method, params.clone()).await;
        assert_eq!(code, -32601, "{method}: {text}");
        let answer = server.ask(CLINICS_KEY, method, &params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        let crossed = server.ask(LABS_KEY, method, &params).await;
        assert!(!crossed.to_string().contains(SECRET), "{method}: {crossed}");
    }
    let (code, text) = server
        .error(CLINICS_KEY, "eth_decryptQuorumPayload", json!(["0x00"]))
        .await;
    assert!(
        code == -32004 && text.contains("eth_getQuorumPayload"),
        "{text}"
    );
    let precompile = server
        .rpc
        .call("eth_getPrivacyPrecompileAddress", json!([]))
        .await;
    assert_eq!(precompile, json!(MARKER_ADDRESS));
    for method in [
        "eth_sendTransactionAsync",
        "eth_sendTransaction",
        "quorumExtension_extendContract",
    ] {
        assert_eq!(
            server.error(CLINICS_KEY, method, json!([{}])).await.0,
            -32601,
            "{method}"
        );
    }
    let raw = questions().remove(0).1;
    let (code, text) = server
        .error(READERS_KEY, "eth_sendRawPrivateTransaction", raw)
        .await;
    assert!(code == -32000 && text.starts_with("unauthorized"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_named_by_keys_and_become_a_set_of_organisations() {
    let server = server().await;
    let raw = marked(&account(0), None, B512::repeat_byte(0x5e));
    let send = |private: Value| {
        let params = json!([raw, private]);
        let server = &server;
        async move {
            server
                .ask(CLINICS_KEY, "eth_sendRawPrivateTransaction", &params)
                .await
        }
    };
    let epoch_key = STANDARD.encode(keccak256(keccak256(BANK)));
    let (lab, bank, own) = (key_of(LAB), key_of(BANK), key_of(CLINIC));
    for private in [
        json!({ "privateFor": [bank, lab, own] }),
        json!({ "privateFor": [lab, bank, bank], "privateFrom": own }),
        json!({ "privateFor": [epoch_key, STANDARD.encode(LAB)], "privacyFlag": 0 }),
    ] {
        let answer = send(private.clone()).await;
        assert!(answer["result"].is_string(), "{private}: {answer}");
        let expected = CompatSend {
            recipients: vec![LAB, BANK],
            ..CompatSend::default()
        };
        assert_eq!(server.memory.sent.lock().pop(), Some(expected), "{private}");
    }
    send(json!({ "privateFor": [], "privacyFlag": "0x1" })).await;
    let alone = server.memory.sent.lock().pop().unwrap();
    assert_eq!(
        (alone.recipients.len(), alone.mode),
        (0, PrivacyMode::CounterParty)
    );
    send(json!({ "privateFor": [bank], "privacyFlag": 2, "mandatoryFor": [bank] })).await;
    let mandatory = server.memory.sent.lock().pop().unwrap();
    assert_eq!(mandatory.mandatory, vec![BANK]);
    for (private, words) in [
        (json!({}), "privateFor is missing"),
        (
            json!({ "privateFor": ["AAAA"] }),
            "Recipient not found for key: AAAA",
        ),
        (
            json!({ "privateFor": ["no base64!"] }),
            "Recipient not found",
        ),
        (
            json!({ "privateFor": [bank], "privateFrom": lab }),
            "no key of party clinic",
        ),
        (
            json!({ "privateFor": [bank], "privacyFlag": 2 }),
            "mandatoryFor",
        ),
        (
            json!({ "privateFor": [bank], "mandatoryFor": [bank] }),
            "mandatoryFor",
        ),
        (
            json!({ "privateFor": [lab], "privacyFlag": 2, "mandatoryFor": [bank] }),
            "mandatoryFor",
        ),
        (json!({ "privateFor": [bank], "privacyFlag": 7 }), "mode"),
        (
            json!({ "privateFor": vec![bank.clone(); 257] }),
            "recipients",
        ),
    ] {
        let answer = send(private.clone()).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains(words), "{private}: {answer}");
    }
    assert_eq!(server.memory.sent.lock().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_marked_transactions_of_one_handle_are_taken() {
    let server = server().await;
    let to = json!({ "privateFor": [] });
    let unmarked = signed(0, 0, Some(CONTRACT), &[1; 64]);
    let good = marked(&account(0), Some(CONTRACT), B512::repeat_byte(1));
    for raw in [
        unmarked,
        Bytes::new(),
        Bytes::from_static(&[0xc0]),
        [&good[..], &[0]].concat().into(),
        good.slice(..good.len() - 1),
    ] {
        let params = json!([raw, to]);
        let (code, text) = server
            .error(CLINICS_KEY, "eth_sendRawPrivateTransaction", params)
            .await;
        assert_eq!(code, -32602, "{raw}: {text}");
    }
    let hash = server
        .result(
            CLINICS_KEY,
            "eth_sendRawPrivateTransaction",
            json!([good, to]),
        )
        .await;
    assert_eq!(hash.as_str().unwrap().len(), 66);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_read_private_contracts_with_public_methods_and_others_do_not() {
    let server = server().await;
    let call = json!({ "to": CONTRACT, "data": "0x01" });
    let all = [
        ("eth_call", json!([call, "latest"]), json!("0x")),
        ("eth_getCode", json!([CONTRACT, "latest"]), json!("0x")),
        (
            "eth_getStorageAt",
            json!([CONTRACT, "0x0", "latest"]),
            json!(B256::ZERO),
        ),
        ("eth_getLogs", json!([{ "fromBlock": "0x0" }]), json!([])),
    ];
    for (method, params, public) in all {
        assert_eq!(
            server.rpc.call(method, params.clone()).await,
            public,
            "{method}"
        );
        let crossed = server.result(LABS_KEY, method, params.clone()).await;
        assert!(!crossed.to_string().contains(SECRET), "{method}: {crossed}");
        let private = server.result(CLINICS_KEY, method, params).await;
        assert!(private.to_string().contains(SECRET), "{method}: {private}");
    }
    let gas = server
        .result(CLINICS_KEY, "eth_estimateGas", json!([call]))
        .await;
    assert_eq!(gas, json!("0x5ec2e75ec2e75ec2"));
    // What is public stays public for members.
    let clock = json!([{ "to": CLOCK_AT }, "latest"]);
    let public = server.rpc.call("eth_call", clock.clone()).await;
    assert_eq!(server.result(CLINICS_KEY, "eth_call", clock).await, public);
    let overridden = json!([call, "latest", { CONTRACT.to_string(): { "nonce": "0x1" } }]);
    assert_eq!(
        server.error(CLINICS_KEY, "eth_call", overridden).await.0,
        -32004
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_of_a_marked_transaction_is_the_private_one_once_it_is_there() {
    let server = server().await;
    let transaction = signed(0, 0, Some(COUNTER_AT), &[]);
    let hash = server.rpc.send(&transaction).await;
    server.rpc.node.mine();
    let name = "eth_getTransactionReceipt";
    let public = server.rpc.call(name, json!([hash])).await;
    let ask = || server.result(CLINICS_KEY, name, json!([hash]));
    // Nothing private about it.
    let same = ask().await;
    assert_eq!(same["isPrivacyMarkerTransaction"], json!(false));
    assert_eq!(same["gasUsed"], public["gasUsed"]);
    *server.memory.of_public.lock() = Some(Lookup::Waiting);
    assert_eq!(ask().await, Value::Null);
    let failed = PrivateReceipt {
        success: false,
        ..receipt(DIGEST)
    };
    *server.memory.of_public.lock() = Some(Lookup::Found(failed));
    let private = ask().await;
    assert_eq!(
        (&private["status"], &private["gasUsed"]),
        (&json!("0x0"), &json!("0x309"))
    );
    assert_eq!(private["contractAddress"], json!(CONTRACT));
    assert_eq!(private["revertReason"], json!(secret()));
    assert_eq!(private["blockHash"], public["blockHash"]);
    assert_eq!(private["logs"][0]["data"], json!(secret()));
    let inner = server
        .result(
            CLINICS_KEY,
            "eth_getPrivateTransactionReceipt",
            json!([hash]),
        )
        .await;
    assert_eq!(inner["contractAddress"], json!(CONTRACT));
    // Another tenant sees what everybody sees.
    assert_eq!(
        server.result(LABS_KEY, name, json!([hash])).await["gasUsed"],
        public["gasUsed"]
    );
    let tombstone = Tombstone {
        digest: ERASED,
        reason: "gone".into(),
        erased_at: 1,
    };
    *server.memory.of_public.lock() = Some(Lookup::Erased(tombstone));
    assert_eq!(ask().await["gasUsed"], public["gasUsed"]);
    let (code, _) = server
        .error(
            CLINICS_KEY,
            "eth_getPrivateTransactionReceipt",
            json!([hash]),
        )
        .await;
    assert_eq!(code, -32010);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_of_a_marker_says_that_it_is_one() {
    let server = server().await;
    let transaction = signed(0, 0, Some(MARKER_ADDRESS), &[7; 64]);
    let hash = server.rpc.send(&transaction).await;
    server.rpc.node.mine();
    *server.memory.of_public.lock() = Some(Lookup::Found(receipt(DIGEST)));
    let name = "eth_getTransactionReceipt";
    let marker = server.result(CLINICS_KEY, name, json!([hash])).await;
    assert_eq!(marker["isPrivacyMarkerTransaction"], json!(true));
    assert_eq!(marker["to"], json!(MARKER_ADDRESS));
}

#[tokio::test(flavor = "multi_thread")]
async fn filling_in_stores_the_payload_only_where_recipients_are_named() {
    let server = server().await;
    let from = account(0).address();
    let public = json!([{ "from": from, "to": COUNTER_AT, "gas": "0x100000" }]);
    let filled = server.rpc.call("eth_fillTransaction", public.clone()).await;
    assert_eq!(
        server
            .result(CLINICS_KEY, "eth_fillTransaction", public)
            .await,
        filled
    );
    assert!(server.memory.stored.lock().is_empty());
    let private = json!([{ "from": from, "data": secret(), "privateFor": [key_of(BANK)] }]);
    let (code, text) = server
        .rpc
        .refused("eth_fillTransaction", private.clone())
        .await;
    assert!(code == -32000 && text.starts_with("unauthorized"), "{text}");
    let filled = server
        .result(CLINICS_KEY, "eth_fillTransaction", private)
        .await;
    assert_eq!(server.memory.stored.lock().as_slice(), [secret()]);
    assert_eq!(filled["tx"]["input"], json!(B512::repeat_byte(0x5e)));
    assert_eq!(
        (&filled["tx"]["to"], &filled["tx"]["nonce"]),
        (&Value::Null, &json!("0x0"))
    );
    assert!(filled["raw"].as_str().unwrap().len() > 128);
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_manager_answers_as_tessera_does() {
    let server = server().await;
    assert_eq!(server.get("/upcheck").await, (200, "I'm up!".into()));
    let (status, version) = server.get("/version").await;
    assert!(status == 200 && version.contains('.'), "{version}");
    let own = json!({ "keys": [{ "key": key_of(CLINIC) }] });
    let in_path = |path: &str| format!("/key/{URL_KEY}{path}");
    let (status, keys) = server.get(&in_path("/keys")).await;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&keys).unwrap()),
        (200, own)
    );
    let (_, keys) = server.get(&in_path("/partyinfo/keys")).await;
    let keys: Value = serde_json::from_str(&keys).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 3);
    let payload = STANDARD.encode(secret());
    let stored = json!({ "payload": payload, "from": key_of(CLINIC) });
    let (status, answer) = server.post(&in_path("/storeraw"), &stored).await;
    let expected = json!({ "key": STANDARD.encode([0x5e; 64]) });
    assert_eq!(
        (status, serde_json::from_str::<Value>(&answer).unwrap()),
        (200, expected)
    );
    let sent = json!({ "payload": payload, "to": [key_of(BANK)] });
    let (status, answer) = server.post(&format!("/send?key={URL_KEY}"), &sent).await;
    assert_eq!(status, 201, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["key"], json!(STANDARD.encode([0x5f; 64])));
    assert_eq!(answer["senderKey"], json!(key_of(CLINIC)));
    assert_eq!(server.memory.stored.lock().as_slice(), [secret(), secret()]);
    assert_eq!(server.memory.sent.lock()[0].recipients, vec![BANK]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_manager_answers_strangers_nothing_private() {
    let server = server().await;
    let stored = json!({ "payload": "AA==" });
    for path in ["/keys", "/partyinfo/keys", "/key/no_such_key_at_all/keys"] {
        assert_eq!(server.get(path).await.0, 401, "{path}");
    }
    for path in ["/storeraw", "/send", "/key/no_such_key_at_all/send"] {
        assert_eq!(server.post(path, &stored).await.0, 401, "{path}");
    }
    // Who reads alone stores nothing.
    let (status, text) = server
        .post(&format!("/key/{READERS_KEY}/storeraw"), &stored)
        .await;
    assert_eq!(status, 403, "{text}");
    for (path, status) in [
        ("/", 404),
        ("/receive", 404),
        ("/push", 404),
        ("/resend", 404),
        ("/storeraw", 405),
    ] {
        assert_eq!(
            server.get(&format!("/key/{URL_KEY}{path}")).await.0,
            status,
            "{path}"
        );
    }
    assert!(server.memory.stored.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_manager_bounds_what_it_takes() {
    let server = server().await;
    let post = |path: &str, body: Value| {
        let path = format!("/key/{URL_KEY}{path}");
        let server = &server;
        async move { server.post(&path, &body).await }
    };
    let payload = |bytes: usize| STANDARD.encode(vec![1; bytes]);
    for (path, body, status, words) in [
        (
            "/storeraw",
            json!({ "payload": payload(PAYLOAD_BYTES_MAX + 1) }),
            413,
            "at most 1024",
        ),
        (
            "/storeraw",
            json!({ "payload": payload(100_000) }),
            413,
            "larger than",
        ),
        (
            "/storeraw",
            json!({ "payload": "no base64" }),
            400,
            "base64",
        ),
        ("/storeraw", json!({ "payload": "" }), 400, "empty"),
        ("/storeraw", json!({}), 400, "payload"),
        (
            "/storeraw",
            json!({ "payload": "AA==", "from": key_of(LAB) }),
            403,
            "unauthorized",
        ),
        (
            "/storeraw",
            json!({ "payload": "AA==", "from": key_of(BANK) }),
            404,
            "no key of this party",
        ),
        (
            "/send",
            json!({ "payload": "AA==", "to": ["AAAA"] }),
            404,
            "Recipient not found",
        ),
    ] {
        let (got, text) = post(path, body).await;
        assert_eq!(got, status, "{text}");
        assert!(text.contains(words), "{text}");
    }
    assert!(server.memory.stored.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_manager_is_off_unless_it_is_asked_for_and_needs_a_private_side() {
    let rpc = Rpc::start().await;
    assert_eq!(rpc.handle.transaction_manager_addr(), None);
    let mut config = medina_rpc::RpcConfig::new("127.0.0.1:0".parse().unwrap());
    config.transaction_manager = Some("127.0.0.1:0".parse().unwrap());
    let error = medina_rpc::start(config, TestNode::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("transaction_manager"), "{error}");
    let node = TestNode::new();
    *node.private.lock() = Some(Arc::new(Memory::default()));
    let native = Rpc::of(node, |config| config.keys = keys()).await;
    // Without quorumCompat the dialect is not there for anybody.
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getQuorumPayload", "params": [DIGEST] });
    let answer = native
        .post(body.to_string())
        .header("x-api-key", CLINICS_KEY);
    let answer: Value = answer.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["error"]["code"], json!(-32601));
}
