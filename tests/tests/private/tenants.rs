//! Two organisations on one node: neither sees the other, whatever method, route,
//! token or party is tried. The methods are read from the server's own source, so
//! that a new one cannot be forgotten here.

use crate::{SPOKEN, TURN, marking::homestead};
use alloy_primitives::{Address, B256, Bytes, TxKind, hex};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use medina_genesis::test_account;
use medina_sdk::private::{MARKER_ADDRESS, PrivateMode, PrivateTransaction};
use medina_tests::private::{
    PUBLIC_TOKEN, PrivateNetwork, Setup, account_of, add, adding, deploy, deploy_counter, name_of,
    patiently, reading_token_of, teller, token_of,
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The tenant that has something, and the one beside it on the same node.
const OWNER: usize = 0;
const NEIGHBOUR: usize = 1;
/// A number in the owner's state that is nowhere else.
const NUMBER: u64 = 0x00c0_ffee_c0ff_eec0;
/// Account of the test phrase that sends marked transactions.
const MARKING: u32 = 6;
/// Methods that answer nobody with anything of their own, and why.
const ANSWER_NOBODY: [(&str, &str); 3] = [
    ("eth_decryptQuorumPayload", "it would be an oracle"),
    (
        "eth_distributePrivateTransaction",
        "the transaction below is in a block by then",
    ),
    (
        "eth_sendTransaction",
        "a node signs for nobody outside a development network",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_one_node_never_see_each_other_by_any_method_or_route() {
    let _turn = TURN.lock().await;
    let setup = Setup {
        places: vec![0, 0, 2, 3],
        allows_quorum: true,
        ..Setup::default()
    };
    let network = PrivateNetwork::start_as(setup).await;
    let known = Known::make(&network).await;
    let questions = questions(&known);
    let asked: BTreeSet<_> = questions.keys().copied().collect();
    let methods = methods_of_the_server();
    let methods: BTreeSet<_> = methods.iter().map(String::as_str).collect();
    assert_eq!(
        asked, methods,
        "a question for every method, and for no other"
    );
    let mut telling = 0;
    for (method, params) in &questions {
        outsiders_learn_nothing(&known, method, params).await;
        readers_change_nothing(&known, method, params).await;
        telling += usize::from(owner_is_answered(&known, method, params).await);
    }
    assert!(
        telling > 10,
        "only {telling} methods tell their owner what others must not see"
    );
    erased_is_the_owners_to_know(&known).await;
    routes_are_for_their_tokens(&network, &known).await;
}

/// What the owner has, and how to ask for it.
struct Known {
    url: String,
    manager: String,
    group: B256,
    counter: Address,
    digest: B256,
    marker: B256,
    handle: Bytes,
    marked: B256,
    owners_key: String,
    neighbours_key: String,
    peers_key: String,
    inner: [Value; 2],
    raw: Bytes,
    /// Texts that are private to the owner.
    words: Vec<String>,
    client: Client,
}

impl Known {
    async fn make(network: &PrivateNetwork) -> Self {
        let group = network.group(&[OWNER, 2], PrivateMode::Standard).await;
        // So that the neighbour has something, too.
        network.group(&[NEIGHBOUR, 3], PrivateMode::Standard).await;
        let owner = network.tenant(OWNER, 0).await;
        let counter = deploy_counter(&owner, group).await;
        let sent = add(&owner, group, counter, adding(NUMBER, SPOKEN)).await;
        let speaker = deploy(&owner, group, teller()).await;
        let said = Bytes::from_static(SPOKEN.as_bytes());
        add(&owner, group, speaker, said).await;
        let code = owner
            .code(group, counter)
            .await
            .expect("the network answers");
        let root = owner.status(group).await.expect("the network answers").root;
        let plain = |bytes: &[u8]| hex::encode(bytes);
        let words = vec![
            SPOKEN.to_owned(),
            plain(SPOKEN.as_bytes()),
            plain(group.as_slice()),
            format!("{NUMBER:x}"),
            plain(&code),
            plain(root.as_slice()),
            plain(sent.digest.as_slice()),
        ];
        let key_of = async |org: usize| {
            let party = network
                .tenant(org, 0)
                .await
                .party()
                .await
                .expect("the network answers");
            STANDARD.encode(party.identity_key.as_slice())
        };
        let url = network.network.rpc_url(0);
        let mut known = Self {
            manager: format!("http://127.0.0.1:{}", network.managers[0]),
            group,
            counter,
            digest: sent.digest,
            marker: sent.marker_hash.expect("it is in a block"),
            handle: Bytes::new(),
            marked: B256::ZERO,
            owners_key: key_of(OWNER).await,
            neighbours_key: key_of(NEIGHBOUR).await,
            peers_key: key_of(2).await,
            inner: [inner(group, counter, 60), inner(group, counter, 61)],
            raw: Bytes::new(),
            words,
            client: Client::builder()
                .no_proxy()
                .build()
                .expect("the network answers"),
            url,
        };
        known.send_marked().await;
        known
    }

    /// Sends one of `GoQuorum`'s marked transactions to the counter.
    async fn send_marked(&mut self) {
        let payload = STANDARD.encode(adding(1, SPOKEN));
        let stored = json!({ "payload": payload, "from": self.owners_key });
        let token = token_of(OWNER);
        let (status, text) = self
            .route(Method::POST, "/storeraw", Some(&token), Some(&stored))
            .await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let stored: Value = serde_json::from_str(&text).expect("the network answers");
        self.handle = STANDARD
            .decode(stored["key"].as_str().expect("it is there"))
            .expect("the network answers")
            .into();
        self.raw = homestead(MARKING, (0, self.counter), &self.handle, true);
        let how = json!([self.raw, { "privateFor": [self.peers_key] }]);
        let sent = self
            .ask(Some(&token), None, "eth_sendRawPrivateTransaction", &how)
            .await;
        self.marked = serde_json::from_value(sent["result"].clone())
            .unwrap_or_else(|error| panic!("{error}: {sent}"));
        patiently("a marked transaction to run", || async {
            let asked = json!([self.marked]);
            let method = "eth_getPrivateTransactionReceipt";
            let answer = self.ask(Some(&token), None, method, &asked).await;
            answer["result"].is_object().then_some(())
        })
        .await;
    }

    async fn ask(
        &self,
        token: Option<&str>,
        party: Option<&str>,
        method: &str,
        params: &Value,
    ) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = self.client.post(&self.url).json(&body);
        if let Some(token) = token {
            request = request.header("x-api-key", token);
        }
        if let Some(party) = party {
            request = request.header("PSI", party);
        }
        let answer = request.send().await.expect("the node answers");
        answer.json().await.expect("it answers JSON")
    }

    async fn route(
        &self,
        method: Method,
        route: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, String) {
        let url = format!("{}{route}", self.manager);
        let mut request = self.client.request(method, url);
        if let Some(token) = token {
            request = request.header("x-api-key", token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("the port answers");
        let status = answer.status();
        (status, answer.text().await.expect("it answers text"))
    }

    /// The first private text of the owner in an answer.
    fn word_in(&self, method: &str, answer: &Value) -> Option<&str> {
        let text = answer["result"].to_string();
        // Which groups there are is public: the contract's events say so.
        let group = hex::encode(self.group);
        let mut words = self
            .words
            .iter()
            .filter(|word| is_private(method) || **word != group);
        words.find(|word| text.contains(*word)).map(String::as_str)
    }
}

/// A private transaction of one of the test accounts, as the owner's node takes it.
fn inner(group: B256, counter: Address, account: u32) -> Value {
    let to = TxKind::Call(counter);
    let transaction = PrivateTransaction::new(group, 0, to, 0, 200_000, adding(1, ""));
    let signed = transaction
        .expect("the network answers")
        .sign(&account_of(account), CHAIN);
    serde_json::to_value(signed.expect("the network answers")).expect("the network answers")
}

/// Id of generated chains.
const CHAIN: u64 = 20_262;

/// Every method of the private side, with arguments that ask for what the owner has.
fn questions(known: &Known) -> BTreeMap<&'static str, Value> {
    let (group, counter, digest) = (known.group, known.counter, known.digest);
    let call = json!({ "to": counter, "input": "0x" });
    let filter = json!({ "fromBlock": "0x0", "toBlock": "latest" });
    let private_for = json!({ "privateFor": [known.peers_key] });
    let stored = json!({
        "from": test_account(MARKING).address, "to": counter, "input": "0x01",
        "privateFor": [known.peers_key],
    });
    BTreeMap::from([
        ("priv_sendTransaction", json!([known.inner[0]])),
        ("priv_distributeTransaction", json!([known.inner[1]])),
        ("priv_call", json!([group, call])),
        ("priv_estimateGas", json!([group, call])),
        ("priv_getTransactionReceipt", json!([digest])),
        ("priv_getTransactionByDigest", json!([digest])),
        (
            "priv_getTransactionCount",
            json!([group, account_of(0).address()]),
        ),
        ("priv_getCode", json!([group, counter])),
        ("priv_getStorageAt", json!([group, counter, "0x0"])),
        ("priv_getProof", json!([group, counter, ["0x0"]])),
        ("priv_getLogs", json!([group, filter])),
        ("priv_getDeliveryStatus", json!([digest])),
        ("priv_getGroupStatus", json!([group])),
        ("priv_getGroups", json!([])),
        ("priv_getMembers", json!([group])),
        ("priv_getParty", json!([])),
        ("priv_getErasure", json!([digest])),
        ("priv_getAudit", json!(["0x0"])),
        ("priv_erase", json!([digest, "nobody asked"])),
        ("priv_getPrivacyPrecompileAddress", json!([])),
        ("eth_getPrivacyPrecompileAddress", json!([])),
        ("eth_getPSI", json!([])),
        ("eth_getQuorumPayload", json!([known.handle])),
        ("eth_getQuorumPayloadExtra", json!([known.handle])),
        ("eth_decryptQuorumPayload", json!([known.handle])),
        ("eth_getContractPrivacyMetadata", json!([counter])),
        ("eth_getPrivateTransactionByHash", json!([known.marker])),
        ("eth_getPrivateTransactionReceipt", json!([known.marked])),
        ("eth_storageRoot", json!([counter, "latest"])),
        ("debug_privateStateRoot", json!(["latest"])),
        ("debug_dumpAddress", json!([counter, "latest"])),
        (
            "eth_sendRawPrivateTransaction",
            json!([known.raw, private_for]),
        ),
        (
            "eth_distributePrivateTransaction",
            json!([known.raw, private_for]),
        ),
        ("eth_sendRawTransaction", json!([known.raw])),
        ("eth_fillTransaction", json!([stored])),
        ("eth_sendTransaction", json!([stored])),
        ("eth_call", json!([call, "latest"])),
        ("eth_estimateGas", json!([call])),
        ("eth_getCode", json!([counter, "latest"])),
        ("eth_getStorageAt", json!([counter, "0x0", "latest"])),
        ("eth_getLogs", json!([filter])),
        ("eth_getTransactionReceipt", json!([known.marked])),
    ])
}

/// Every name of a method that the private side's source registers.
fn methods_of_the_server() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in sources() {
        if path.components().any(|part| part.as_os_str() == "manager") {
            continue;
        }
        for text in text.split('"').skip(1).step_by(2) {
            let is_name = text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let space = text.split_once('_').map(|(space, _)| space);
            if is_name && matches!(space, Some("priv" | "eth" | "debug")) {
                found.insert(text.to_owned());
            }
        }
    }
    assert!(
        found.len() > 30,
        "the methods are registered elsewhere now: {found:?}"
    );
    found
}

/// The private side of the server, up to its unit tests.
fn sources() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/rpc/src/privacy");
    let (mut found, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).expect("a source");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                found.push((path, code.to_owned()));
            }
        }
    }
    found
}

/// Whether a method answers nobody without a scope: the server's own rule.
fn is_private(method: &str) -> bool {
    let path = "../node/rpc/src/access/private.rs";
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let listed = text.expect("a source").contains(&format!("\"{method}\""));
    method.starts_with("priv_") || listed
}

/// Who has no token, a wrong one, one for no party, or one for the party beside.
async fn outsiders_learn_nothing(known: &Known, method: &str, params: &Value) {
    let (owner, neighbour) = (name_of(OWNER), token_of(NEIGHBOUR));
    let nobodys = ["no such token at all", PUBLIC_TOKEN];
    let mut outsiders = vec![(None, None), (None, Some(owner.as_str()))];
    outsiders.extend(nobodys.map(|token| (Some(token), None)));
    outsiders.extend(nobodys.map(|token| (Some(token), Some(owner.as_str()))));
    for (token, party) in outsiders {
        let answer = known.ask(token, party, method, params).await;
        assert!(
            !is_private(method) || answer["error"].is_object(),
            "{method}: {answer}"
        );
        let told = known.word_in(method, &answer);
        assert_eq!(told, None, "{method} to {token:?} as {party:?}: {answer}");
    }
    let crossing = known
        .ask(Some(&neighbour), Some(&owner), method, params)
        .await;
    let told = known.word_in(method, &crossing);
    assert_eq!(
        told, None,
        "{method} to the neighbour as the owner: {crossing}"
    );
    // The address of markers is the same on every chain.
    let is_constant = crossing["result"] == json!(MARKER_ADDRESS);
    if is_private(method) && !is_constant {
        let text = crossing["error"]["message"].as_str().unwrap_or_default();
        assert!(text.starts_with("unauthorized"), "{method}: {crossing}");
    }
    let answer = known.ask(Some(&neighbour), None, method, params).await;
    let told = known.word_in(method, &answer);
    assert_eq!(told, None, "{method} to the neighbour: {answer}");
    let open = known.ask(None, None, method, params).await;
    // What is public is the same for the neighbour as for everybody.
    if !is_private(method) && open["error"].is_null() {
        let (mut told, mut open) = (answer["result"].clone(), open["result"].clone());
        for receipt in [&mut told, &mut open].map(Value::as_object_mut) {
            // Whether it went to the marker's address, which everybody sees.
            receipt.and_then(|receipt| receipt.remove("isPrivacyMarkerTransaction"));
        }
        assert_eq!(told, open, "{method}");
    }
}

/// A token that reads alone neither sends nor erases.
async fn readers_change_nothing(known: &Known, method: &str, params: &Value) {
    let changes = [
        "priv_sendTransaction",
        "priv_distributeTransaction",
        "priv_erase",
        "eth_sendRawPrivateTransaction",
        "eth_distributePrivateTransaction",
        "eth_fillTransaction",
    ];
    if !changes.contains(&method) {
        return;
    }
    let token = reading_token_of(OWNER);
    let answer = known.ask(Some(&token), None, method, params).await;
    let text = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(text.starts_with("unauthorized"), "{method}: {answer}");
}

/// The same question, asked by the owner: it is answered, so the refusals above are
/// about who asked. Says whether the answer has a private text in it.
async fn owner_is_answered(known: &Known, method: &str, params: &Value) -> bool {
    if method == "priv_erase" {
        return false;
    }
    let answer = known
        .ask(Some(&token_of(OWNER)), None, method, params)
        .await;
    let is_known = answer["error"]["message"]
        .as_str()
        .is_some_and(|text| text.contains("known") || text.contains("nonce"));
    // What was sent once is in a block.
    let is_sent = method.starts_with("eth_sendRaw") && is_known;
    let is_excused = ANSWER_NOBODY.iter().any(|(name, _)| *name == method);
    let is_answered = answer["error"].is_null();
    assert!(is_answered || is_sent || is_excused, "{method}: {answer}");
    let is_telling = known.word_in(method, &answer).is_some();
    is_telling && is_private(method)
}

/// That something was erased, and why, is private as well.
async fn erased_is_the_owners_to_know(known: &Known) {
    let (owner, neighbour) = (token_of(OWNER), token_of(NEIGHBOUR));
    let order = json!([known.digest, "asked by the patient"]);
    let answer = known.ask(Some(&owner), None, "priv_erase", &order).await;
    assert!(answer["error"].is_null(), "{answer}");
    let asked = json!([known.digest]);
    for method in [
        "priv_getErasure",
        "priv_getTransactionByDigest",
        "priv_getTransactionReceipt",
    ] {
        patiently("the owner to be told of an erasure", || async {
            let answer = known.ask(Some(&owner), None, method, &asked).await;
            answer
                .to_string()
                .contains("asked by the patient")
                .then_some(())
        })
        .await;
        let answer = known.ask(Some(&neighbour), None, method, &asked).await;
        let text = answer.to_string();
        assert!(
            answer["result"].is_null() && !text.contains("patient"),
            "{method}: {answer}"
        );
        assert_ne!(answer["error"]["code"], -32010, "{method}: {answer}");
    }
}

/// Routes of the transaction manager's port, as its source matches them.
fn routes_of_the_manager() -> BTreeSet<String> {
    let all = sources();
    let (_, text) = all
        .iter()
        .find(|(path, _)| path.ends_with("manager/handlers.rs"))
        .expect("the routes are registered there");
    let texts = text.split('"').skip(1).step_by(2);
    let routes = texts.filter(|text| text.starts_with('/') && !text.contains(' '));
    routes.map(str::to_owned).collect()
}

async fn routes_are_for_their_tokens(network: &PrivateNetwork, known: &Known) {
    let payload = STANDARD.encode(SPOKEN.as_bytes());
    let from_owner = json!({ "payload": payload, "from": known.owners_key });
    let to_peer = json!({ "payload": payload, "from": known.owners_key, "to": [known.peers_key] });
    let private = BTreeMap::from([
        ("/keys", (Method::GET, None)),
        ("/partyinfo/keys", (Method::GET, None)),
        ("/storeraw", (Method::POST, Some(from_owner))),
        ("/send", (Method::POST, Some(to_peer))),
    ]);
    let open = ["/upcheck", "/version"];
    let asked: BTreeSet<String> = private
        .keys()
        .chain(&open)
        .map(ToString::to_string)
        .collect();
    assert_eq!(asked, routes_of_the_manager(), "every route is asked for");
    for route in open {
        let (status, text) = known.route(Method::GET, route, None, None).await;
        assert_eq!(status, StatusCode::OK, "{text}");
    }
    let (owner, neighbour) = (token_of(OWNER), token_of(NEIGHBOUR));
    let reader = reading_token_of(OWNER);
    for (route, (method, body)) in &private {
        let ask = |token| known.route(method.clone(), route, token, body.as_ref());
        for token in [None, Some("no such token at all")] {
            let (status, text) = ask(token).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{route}: {text}");
        }
        let (status, text) = ask(Some(PUBLIC_TOKEN)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{route}: {text}");
        let (status, text) = ask(Some(&owner)).await;
        assert!(status.is_success(), "{route}: {text}");
        let (status, text) = ask(Some(&neighbour)).await;
        match body {
            // In the owner's name.
            Some(_) => assert!(!status.is_success(), "{route}: {text}"),
            None => assert!(status.is_success(), "{route}: {text}"),
        }
        let (status, text) = ask(Some(&reader)).await;
        let is_refused = !status.is_success();
        assert_eq!(is_refused, body.is_some(), "{route}: {text}");
        // Parties of the chain are everybody's to know; whose keys these are is not.
        let (_, text) = ask(Some(&neighbour)).await;
        let is_own = *route == "/keys";
        assert!(!is_own || text.contains(&known.neighbours_key), "{text}");
        assert!(!is_own || !text.contains(&known.owners_key), "{text}");
    }
    let (status, _) = known
        .route(Method::DELETE, "/transaction/abc", Some(&owner), None)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    network.network.agree(&[0, 1, 2, 3]).await;
}
