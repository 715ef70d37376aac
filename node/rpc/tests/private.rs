//! The `priv` namespace against a running server: who is answered, and in what shape.
//! The private side behind it trusts everybody, so what keeps tenants apart here is
//! the server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::{Address, B256, Bytes, U64};
use medina_rpc::{Access, ApiKeys};
use medina_types::MARKER_ADDRESS;
use serde_json::{Value, json};
use std::sync::Arc;
use support::{private::*, *};

/// Reads and writes for the clinic, with every method of the namespace.
const CLINICS_KEY: &str = "clinic's secret key";
/// The same for the lab.
const LABS_KEY: &str = "lab's secret key 123";
/// Acts for both.
const BOTH_KEY: &str = "secret key of both 1";
/// Reads alone.
const READERS_KEY: &str = "reader's secret key!";
/// May act for the clinic, but opens other methods.
const NARROW_KEY: &str = "narrow secret key 12";
/// Opens everything for no party.
const GENERAL_KEY: &str = "general secret key 1";
/// For a party of another node.
const BANKS_KEY: &str = "bank's secret key 12";

fn keys() -> ApiKeys {
    let all = || Access::of(["*"]).unwrap();
    let private = || Access::of(["priv"]).unwrap();
    let full = |party: &str| format!("psi://{party}?self.eoa=0x0&node.eoa=0x0");
    let (clinic, lab, bank) = (full("clinic"), full("lab"), full("bank"));
    let keys = ApiKeys::default();
    let keys = keys.with_private("clinic's", CLINICS_KEY, private(), &[&clinic]);
    let keys = keys
        .unwrap()
        .with_private("lab's", LABS_KEY, all(), &[&lab]);
    let keys = keys
        .unwrap()
        .with_private("both", BOTH_KEY, all(), &[&clinic, &lab]);
    let keys = keys
        .unwrap()
        .with_private("reader's", READERS_KEY, private(), &["psi://clinic"]);
    let narrow = Access::of(["eth", "priv_getParty"]).unwrap();
    let keys = keys
        .unwrap()
        .with_private("narrow", NARROW_KEY, narrow, &[&clinic]);
    let keys = keys
        .unwrap()
        .with_private("bank's", BANKS_KEY, all(), &[&bank]);
    keys.unwrap()
        .with("general", GENERAL_KEY, all(), None)
        .unwrap()
}

struct Server {
    rpc: Rpc,
    memory: Arc<Memory>,
}

async fn server() -> Server {
    let memory = Arc::new(Memory::default());
    let node = TestNode::new();
    *node.private.lock() = Some(memory.clone());
    let rpc = Rpc::of(node, |config| config.keys = keys()).await;
    Server { rpc, memory }
}

impl Server {
    /// Asks with a key in a header.
    async fn ask(&self, key: &str, method: &str, params: &Value) -> Value {
        self.ask_with(&[("x-api-key", key)], "", method, params)
            .await
    }

    async fn ask_with(
        &self,
        headers: &[(&str, &str)],
        address: &str,
        method: &str,
        params: &Value,
    ) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client
            .post(format!("{}{address}", self.rpc.url()))
            .header("content-type", "application/json")
            .body(body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
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

    fn reached(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.memory.asked.lock())
            .into_iter()
            .map(|(what, _)| what)
            .collect()
    }
}

fn inner(data: Bytes) -> Value {
    serde_json::to_value(signed_private(&account(0), CLINICS_GROUP, 0, data)).unwrap()
}

/// Every method of the namespace, asked about the clinic's group.
fn questions() -> Vec<(&'static str, Value)> {
    let call = json!({ "to": CONTRACT, "data": "0x01" });
    vec![
        (
            "priv_sendTransaction",
            json!([inner(Bytes::from_static(&[1]))]),
        ),
        (
            "priv_distributeTransaction",
            json!([inner(Bytes::from_static(&[1]))]),
        ),
        ("priv_call", json!([CLINICS_GROUP, call, "latest"])),
        ("priv_estimateGas", json!([CLINICS_GROUP, call])),
        ("priv_getTransactionReceipt", json!([DIGEST])),
        ("priv_getTransactionByDigest", json!([DIGEST])),
        ("priv_getTransactionCount", json!([CLINICS_GROUP, CONTRACT])),
        ("priv_getTransactionCount", json!([CONTRACT, CLINICS_GROUP])),
        ("priv_getCode", json!([CLINICS_GROUP, CONTRACT, "latest"])),
        ("priv_getStorageAt", json!([CLINICS_GROUP, CONTRACT, "0x0"])),
        (
            "priv_getLogs",
            json!([CLINICS_GROUP, { "fromBlock": "0x0" }]),
        ),
        (
            "priv_getProof",
            json!([CLINICS_GROUP, CONTRACT, ["0x0"], "latest"]),
        ),
        ("priv_getDeliveryStatus", json!([DIGEST])),
        ("priv_getGroupStatus", json!([CLINICS_GROUP])),
        ("priv_getMembers", json!([CLINICS_GROUP])),
        ("priv_getErasure", json!([ERASED])),
        ("priv_getAudit", json!(["0x0"])),
    ]
}

/// Methods that name no group, answer for the caller's own party and no other.
const OWN: [&str; 3] = ["priv_getGroups", "priv_getParty", "priv_erase"];

fn all_questions() -> Vec<(&'static str, Value)> {
    let mut all = questions();
    all.push(("priv_getGroups", json!([])));
    all.push(("priv_getParty", json!([])));
    all.push(("priv_erase", json!([DIGEST, "consent withdrawn"])));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_private_method_answers_without_a_scope_of_its_own() {
    let server = server().await;
    for (method, params) in all_questions() {
        // Loopback and everything open: not even then.
        let (code, text) = server.rpc.refused(method, params.clone()).await;
        assert_eq!(code, -32601, "{method}: {text}");
        let (code, text) = server.error(GENERAL_KEY, method, params.clone()).await;
        assert_eq!(code, -32601, "{method}: {text}");
        if method != "priv_getParty" {
            let (code, text) = server.error(NARROW_KEY, method, params.clone()).await;
            assert_eq!(code, -32601, "{method}: {text}");
        }
        let (code, text) = server.error(BANKS_KEY, method, params.clone()).await;
        assert_eq!(code, -32000, "{method}: {text}");
        assert!(text.starts_with("unauthorized"), "{text}");
        let forged = server.ask("no such key at all", method, &params).await;
        let text = forged["error"]["message"].as_str().unwrap();
        assert!(text.starts_with("unauthorized"), "{text}");
    }
    assert_eq!(server.reached(), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_groups_do_not_exist() {
    let server = server().await;
    for (method, params) in questions() {
        let answer = server.ask(LABS_KEY, method, &params).await;
        assert!(!answer.to_string().contains(SECRET), "{method}: {answer}");
        let is_unknown = answer["error"]["code"] == json!(-32001);
        let is_nothing = answer["result"].is_null() && answer.get("error").is_none();
        let is_own = method == "priv_getAudit";
        assert!(is_unknown || is_nothing || is_own, "{method}: {answer}");
        // A group of others is answered as one that nobody has.
        let nobodys = params.to_string().replace("1111", "9999");
        if params[0] == json!(CLINICS_GROUP) {
            let nobodys: Value = serde_json::from_str(&nobodys).unwrap();
            assert_eq!(
                server.ask(LABS_KEY, method, &nobodys).await,
                answer,
                "{method}"
            );
        }
    }
    // Named by PSI, the scope decides: not the name.
    let groups = json!([]);
    let crossing = [("x-api-key", LABS_KEY), ("psi", "clinic")];
    let refused = server
        .ask_with(&crossing, "", "priv_getGroups", &groups)
        .await;
    let stranger = [("x-api-key", LABS_KEY), ("psi", "nobody")];
    let unknown = server
        .ask_with(&stranger, "", "priv_getGroups", &groups)
        .await;
    let text = refused["error"]["message"].as_str().unwrap();
    assert_eq!(
        text.replace("clinic", "nobody"),
        unknown["error"]["message"].as_str().unwrap()
    );
    let sends = [
        "send",
        "distribute",
        "call",
        "estimate_gas",
        "code",
        "storage",
        "logs",
        "proof",
    ];
    let reached = server.reached();
    assert!(
        reached.iter().all(|what| !sends.contains(what)),
        "{reached:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_answers_for_the_right_scope() {
    let server = server().await;
    for (method, params) in all_questions() {
        let answer = server.ask(CLINICS_KEY, method, &params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        let is_shown = answer.to_string().contains(SECRET);
        let shows_none = ["priv_getMembers", "priv_getGroups", "priv_getParty"];
        assert!(
            is_shown || shows_none.contains(&method),
            "{method}: {answer}"
        );
    }
    let asked = server.memory.asked.lock();
    assert!(asked.iter().all(|(_, tenant)| {
        tenant.org == CLINIC && tenant.psi == "clinic" && tenant.actor == "clinic's"
    }));
    assert!(OWN.iter().all(|method| method.starts_with("priv_")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_alone_sends_and_erases_nothing() {
    let server = server().await;
    for method in ["priv_sendTransaction", "priv_distributeTransaction"] {
        let sent = json!([inner(Bytes::new())]);
        let (code, text) = server.error(READERS_KEY, method, sent).await;
        assert_eq!(code, -32000);
        assert!(
            text.starts_with("unauthorized") && text.contains("self.eoa"),
            "{text}"
        );
    }
    let (code, text) = server
        .error(READERS_KEY, "priv_erase", json!([DIGEST, "why"]))
        .await;
    assert!(code == -32000 && text.starts_with("unauthorized"), "{text}");
    let call = json!([CLINICS_GROUP, { "to": CONTRACT }]);
    server.result(READERS_KEY, "priv_call", call).await;
    assert!(!server.reached().contains(&"send"));
}

#[tokio::test(flavor = "multi_thread")]
async fn token_and_party_are_taken_from_header_or_address() {
    let server = server().await;
    let bearer = format!("Bearer {CLINICS_KEY}");
    let in_path = format!("/key/{}", "both_secret_key_in_url");
    let url_key = ApiKeys::default()
        .with_private(
            "url",
            "both_secret_key_in_url",
            Access::of(["priv"]).unwrap(),
            &["psi://clinic", "psi://lab"],
        )
        .unwrap();
    let groups_of = |answer: &Value| answer["result"][0]["id"].clone();
    let asked = [("authorization", bearer.as_str())];
    let answer = server
        .ask_with(&asked, "", "priv_getGroups", &json!([]))
        .await;
    assert_eq!(groups_of(&answer), json!(CLINICS_GROUP));
    for (psi, group) in [("clinic", CLINICS_GROUP), ("lab", LABS_GROUP)] {
        let headers = [("x-api-key", BOTH_KEY), ("PSI", psi)];
        let answer = server
            .ask_with(&headers, "", "priv_getGroups", &json!([]))
            .await;
        assert_eq!(groups_of(&answer), json!(group));
        let key = [("x-api-key", BOTH_KEY)];
        let address = format!("/?PSI={psi}");
        let answer = server
            .ask_with(&key, &address, "priv_getGroups", &json!([]))
            .await;
        assert_eq!(groups_of(&answer), json!(group));
    }
    // Both at once, neither named: the caller has to say.
    let (code, text) = server.error(BOTH_KEY, "priv_getGroups", json!([])).await;
    assert_eq!(code, -32602);
    assert!(text.contains("PSI"), "{text}");

    let node = TestNode::new();
    *node.private.lock() = Some(server.memory.clone());
    let rpc = Rpc::of(node, |config| config.keys = url_key).await;
    let by_url = Server {
        rpc,
        memory: server.memory.clone(),
    };
    for address in [
        format!("{in_path}?PSI=lab"),
        "/?key=both_secret_key_in_url&PSI=lab".to_owned(),
    ] {
        let answer = by_url
            .ask_with(&[], &address, "priv_getGroups", &json!([]))
            .await;
        assert_eq!(groups_of(&answer), json!(LABS_GROUP), "{address}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_is_another_answer_than_missing() {
    let server = server().await;
    for method in ["priv_getTransactionReceipt", "priv_getTransactionByDigest"] {
        let answer = server.ask(CLINICS_KEY, method, &json!([ERASED])).await;
        let error = &answer["error"];
        assert_eq!(error["code"], json!(-32010), "{method}: {answer}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("consent withdrawn")
        );
        assert_eq!(error["data"]["digest"], json!(ERASED));
        assert_eq!(error["data"]["erasedAt"], json!(U64::from(1_700_000_000)));
        let missing = server
            .result(CLINICS_KEY, method, json!([B256::ZERO]))
            .await;
        assert_eq!(missing, Value::Null);
    }
    let none = server
        .result(CLINICS_KEY, "priv_getErasure", json!([DIGEST]))
        .await;
    assert_eq!(none, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_named_when_they_are_passed() {
    let server = server().await;
    let large = Bytes::from(vec![1; PAYLOAD_BYTES_MAX + 1]);
    let (code, text) = server
        .error(
            CLINICS_KEY,
            "priv_sendTransaction",
            json!([inner(large.clone())]),
        )
        .await;
    assert_eq!(
        (code, text.as_str()),
        (-32005, "private payload of 1025 bytes; at most 1024")
    );
    let call = json!([CLINICS_GROUP, { "to": CONTRACT, "data": large }]);
    assert_eq!(server.error(CLINICS_KEY, "priv_call", call).await.0, -32005);
    let mut greedy = inner(Bytes::new());
    greedy["gas"] = json!(U64::from(GAS_MAX + 1));
    let (code, text) = server
        .error(CLINICS_KEY, "priv_sendTransaction", json!([greedy]))
        .await;
    assert!(code == -32005 && text.contains("10000000"), "{text}");
    let mut strict = inner(Bytes::new());
    strict["mode"] = json!(3);
    let (code, text) = server
        .error(CLINICS_KEY, "priv_sendTransaction", json!([strict]))
        .await;
    assert!(code == -32000 && text.contains("mode 3"), "{text}");
    let slots: Vec<String> = (0..2_000).map(|slot| format!("{slot:#x}")).collect();
    let many = json!([CLINICS_GROUP, CONTRACT, slots]);
    assert_eq!(
        server.error(CLINICS_KEY, "priv_getProof", many).await.0,
        -32005
    );
    for reason in [" ".to_owned(), "x".repeat(501)] {
        let (code, _) = server
            .error(CLINICS_KEY, "priv_erase", json!([DIGEST, reason]))
            .await;
        assert_eq!(code, -32602);
    }
    let future = json!([CLINICS_GROUP, CONTRACT, "0xffff"]);
    let (code, text) = server.error(CLINICS_KEY, "priv_getCode", future).await;
    assert_eq!((code, text.as_str()), (-32000, "header not found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shapes_that_clients_read() {
    let server = server().await;
    let receipt = server
        .result(CLINICS_KEY, "priv_getTransactionReceipt", json!([DIGEST]))
        .await;
    assert_eq!(receipt["status"], json!("0x1"));
    assert_eq!(receipt["gasUsed"], json!("0x309"));
    assert_eq!(receipt["contractAddress"], json!(CONTRACT));
    assert_eq!(receipt["outcome"], json!("executed"));
    assert_eq!(
        receipt["logs"][0]["transactionHash"],
        receipt["transactionHash"]
    );
    assert_eq!(receipt["revertReason"], Value::Null);
    let params = json!([inner(Bytes::new())]);
    let made = server
        .result(CLINICS_KEY, "priv_distributeTransaction", params)
        .await;
    assert_eq!(made["to"], json!(MARKER_ADDRESS));
    let digest = made["digest"].as_str().unwrap();
    assert!(made["input"].as_str().unwrap().starts_with(digest));
    assert_eq!(made["input"].as_str().unwrap().len(), 2 + 128);
    let status = server
        .result(CLINICS_KEY, "priv_getGroupStatus", json!([CLINICS_GROUP]))
        .await;
    assert_eq!(
        (&status["phase"], &status["height"]),
        (&json!("halted"), &json!("0x46"))
    );
    assert_eq!(status["halt"]["member"], json!(BANK));
    assert_eq!(status["halt"]["height"], json!("0x40"));
    let party = server.result(CLINICS_KEY, "priv_getParty", json!([])).await;
    assert_eq!(party["party"]["name"], json!("clinic"));
    assert_eq!(party["limits"]["payloadBytes"], json!("0x400"));
    let logs = json!([CLINICS_GROUP, {}]);
    let logs = server.result(CLINICS_KEY, "priv_getLogs", logs).await;
    assert_eq!(logs[0]["digest"], json!(DIGEST));
    let reverting = json!([CLINICS_GROUP, { "to": CONTRACT, "input": "0xff" }]);
    let answer = server.ask(CLINICS_KEY, "priv_call", &reverting).await;
    assert_eq!(answer["error"]["code"], json!(3));
    assert_eq!(answer["error"]["data"], json!(secret()));
    let paying = json!([CLINICS_GROUP, { "to": CONTRACT, "value": "0x1" }]);
    assert_eq!(
        server.error(CLINICS_KEY, "priv_call", paying).await.0,
        -32602
    );
    let audit = server
        .result(CLINICS_KEY, "priv_getAudit", json!(["0x2", "0xffffff"]))
        .await;
    assert_eq!(
        (&audit[0]["index"], &audit[0]["at"]),
        (&json!("0x2"), &json!("0x3e8"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_are_the_callers_fault_and_reach_nobody() {
    let server = server().await;
    for (method, _) in all_questions() {
        for params in [
            json!([]),
            json!(["0x12"]),
            json!([{}]),
            json!([[], [], []]),
            json!([null, null]),
            json!([CLINICS_GROUP, 7, {}]),
        ] {
            let answer = server.ask(CLINICS_KEY, method, &params).await;
            let code = answer["error"]["code"].as_i64();
            let may_be_empty = [
                "priv_getGroups",
                "priv_getParty",
                "priv_getAudit",
                "priv_getMembers",
                "priv_getGroupStatus",
                "priv_getLogs",
            ];
            let is_fine = code.is_none() && may_be_empty.contains(&method)
                || answer["result"].is_null() && code.is_none();
            assert!(
                is_fine || matches!(code, Some(-32602 | -32001)),
                "{method} {params}: {answer}"
            );
        }
    }
    assert!(!server.reached().contains(&"send"));
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_are_listed_for_those_who_may_use_them() {
    let server = server().await;
    let open = server.rpc.call("rpc_modules", json!([])).await;
    assert_eq!(open.get("priv"), None, "{open}");
    let general = server.result(GENERAL_KEY, "rpc_modules", json!([])).await;
    assert_eq!(general.get("priv"), None, "{general}");
    let clinic = server.result(CLINICS_KEY, "rpc_modules", json!([])).await;
    assert_eq!(clinic["priv"], json!("1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_without_a_private_side_has_none_of_the_methods() {
    let rpc = Rpc::with(|config| config.keys = keys()).await;
    let server = Server {
        rpc,
        memory: Arc::default(),
    };
    for (method, params) in all_questions() {
        let (code, _) = server.error(CLINICS_KEY, method, params).await;
        assert_eq!(code, -32601, "{method}");
    }
    for method in [
        "eth_sendRawPrivateTransaction",
        "eth_getQuorumPayload",
        "quorumExtension_activeExtensionContracts",
    ] {
        let (code, _) = server.error(BOTH_KEY, method, json!([Address::ZERO])).await;
        assert_eq!(code, -32601, "{method}");
    }
}
