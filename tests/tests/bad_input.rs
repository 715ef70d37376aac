//! What a newcomer, a disk or a stranger gets wrong, on real processes: one
//! clear line and a failing exit code, and whatever was kept before is kept still.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, U256};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_tests::processes::{NetworkOfProcesses, PATIENCE, eventually, medina_binary};
use medina_types::limits::{RPC_BATCH_MAX, RPC_REQUEST_BYTES_MAX};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// What no message for people contains.
const TRACES: [&str; 3] = ["panicked", "RUST_BACKTRACE", "stack backtrace"];
/// Time in which SIGTERM ends a node; the goal is two seconds, but tests share the machine.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

/// A process that does not outlive its test.
struct Attempt(Child);

impl Drop for Attempt {
    fn drop(&mut self) {
        // It has ended by itself unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `medina` until it ends; answers exit code and what it told on standard error.
async fn attempt(arguments: &[&str]) -> (Option<i32>, String) {
    let child = Command::new(medina_binary())
        .args(arguments)
        .env("MEDINA_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut attempt = Attempt(child.expect("the binary can be started"));
    let waited_for = format!("the end of medina {arguments:?}");
    let end = std::cell::RefCell::new(&mut attempt.0);
    let status = eventually(&waited_for, || async {
        end.borrow_mut().try_wait().expect("our own child")
    })
    .await;
    let mut told = String::new();
    let mut errors = attempt.0.stderr.take().expect("it was piped");
    errors.read_to_string(&mut told).expect("messages are text");
    for trace in TRACES {
        assert!(!told.contains(trace), "medina {arguments:?}: {told}");
    }
    (status.code(), told)
}

/// Starts a node that must refuse with one line that has all these parts.
async fn refuses(config: &Path, parts: &[&str]) {
    let told = refusal(config, parts).await;
    assert_eq!(
        told.trim_end().lines().count(),
        1,
        "more than one line: {told}"
    );
}

/// Starts a node that must refuse with all these parts; answers the whole text.
async fn refusal(config: &Path, parts: &[&str]) -> String {
    let path = config.to_str().expect("temporary paths are text");
    let (code, told) = attempt(&["node", "run", "--config", path]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.starts_with("error: "), "{told}");
    for part in parts {
        assert!(told.contains(part), "{part:?} is missing: {told}");
    }
    told
}

/// A validator that is a network alone, with one block in its database.
struct Place {
    network: NetworkOfProcesses,
    block: (String, String),
}

impl Place {
    /// Runs, and has made its block.
    async fn running() -> Self {
        let network = NetworkOfProcesses::start(1).await;
        pay(&network).await;
        network.reaches(0, 1).await;
        let block = network.block_identity(0, 1).await;
        Self { network, block }
    }

    /// Has made its block and was stopped.
    async fn stopped() -> Self {
        let mut place = Self::running().await;
        place.stop().await;
        place
    }

    async fn stop(&mut self) {
        let (_, status) = self.network.terminate(0).await;
        assert!(status.success(), "{status}\n{}", self.network.log(0));
    }

    /// The block is there still, and another one can follow it.
    async fn lives(&self) {
        assert_eq!(self.network.block_identity(0, 1).await, self.block);
        let height = self.network.height(0).await.expect("it runs");
        pay(&self.network).await;
        self.network.reaches(0, height + 1).await;
    }

    /// Started with the right files, it has all it had.
    async fn is_intact(&mut self) {
        self.network.run(0);
        self.network.ready(0).await;
        self.lives().await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.network.node_folder(0).join(name)
    }

    fn port(&self, offset: u16) -> u16 {
        let url = self.network.rpc_url(0);
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        let port: u16 = port.expect("a URL ends with its port");
        port + offset
    }

    /// A configuration beside the right one with one text replaced.
    fn config(&self, from: &str, to: &str) -> PathBuf {
        let text = fs::read_to_string(self.file("config.toml")).unwrap();
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        let path = self.file("other.toml");
        fs::write(&path, text.replace(from, to)).unwrap();
        path
    }

    /// A configuration beside the right one with all ports moved.
    fn config_elsewhere(&self, from: &str, to: &str) -> PathBuf {
        let path = self.config(from, to);
        let mut text = fs::read_to_string(&path).unwrap();
        for offset in 0..3 {
            let (here, there) = (self.port(offset), self.port(offset + 10));
            text = text.replace(&format!(":{here}"), &format!(":{there}"));
        }
        fs::write(&path, text).unwrap();
        path
    }
}

/// Sends one coin and waits for the receipt.
async fn pay(network: &NetworkOfProcesses) {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(MNEMONIC)
        .build();
    let wallet = EthereumWallet::from(signer.expect("the test mnemonic"));
    let url = network.rpc_url(0).parse().expect("a URL");
    let provider = ProviderBuilder::new().wallet(wallet).connect_http(url);
    provider
        .client()
        .set_poll_interval(Duration::from_millis(20));
    let request = TransactionRequest::default()
        .with_to(Address::repeat_byte(9))
        .with_value(U256::from(1));
    let pending = provider
        .send_transaction(request)
        .await
        .expect("the pool takes it");
    let receipt = pending.with_timeout(Some(PATIENCE)).get_receipt().await;
    assert!(receipt.expect("a receipt").status());
}

/// Every file of a folder with its bytes.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_port_is_named_with_what_wanted_it() {
    let mut place = Place::stopped().await;
    let config = place.file("config.toml");
    for (offset, what) in [(0, "JSON-RPC"), (1, "peers"), (2, "metrics")] {
        let port = place.port(offset);
        let other_program = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let text = format!("cannot listen for {what} on 127.0.0.1:{port}: ");
        refuses(&config, &[&text]).await;
        drop(other_program);
    }
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_for_peers_of_another_node_is_taken_too() {
    let place = Place::running().await;
    let port = place.port(1);
    let config = place.config_elsewhere("\"data\"", "\"data-2\"");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace(&format!(":{}", place.port(11)), &format!(":{port}")),
    )
    .unwrap();
    let text = format!("cannot listen for peers on 127.0.0.1:{port}: ");
    refuses(&config, &[&text]).await;
    place.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_chain_are_refused_with_both_genesis_hashes() {
    let mut place = Place::stopped().await;
    let other = NetworkOfProcesses::create(1);
    let genesis = other.directory().join("genesis.json");
    let config = place.config("../genesis.json", genesis.to_str().unwrap());
    let parts = [
        "the database belongs to genesis 0x",
        "the chain spec is genesis 0x",
        "check genesis file and data folder",
    ];
    refuses(&config, &parts).await;
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_key_that_is_none_is_named_with_its_file() {
    let mut place = Place::stopped().await;
    let (config, path) = (place.file("config.toml"), place.file("node.key"));
    let key = fs::read_to_string(&path).unwrap();
    let shape = "a node key is 64 hexadecimal digits";
    for (bytes, part) in [
        (&key.as_bytes()[..30], shape),
        (b"", shape),
        (&[b'g'; 64][..], "hexadecimal"),
        (&[0xff; 64][..], "valid UTF-8"),
    ] {
        fs::write(&path, bytes).unwrap();
        refuses(&config, &["node.key: ", part]).await;
    }
    fs::remove_file(&path).unwrap();
    refuses(&config, &["cannot read ", "node.key: No such file"]).await;
    fs::create_dir(&path).unwrap();
    refuses(&config, &["cannot read ", "node.key: Is a directory"]).await;
    fs::remove_dir(&path).unwrap();
    fs::write(&path, key).unwrap();
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_error_names_file_field_and_line() {
    let mut place = Place::stopped().await;
    let listen = format!("listen = \"127.0.0.1:{}\"", place.port(0));
    for (from, to, parts) in [
        (
            "data_dir = ",
            "color = 3\ndata_dir = ",
            ["unknown field `color`", "line 2"],
        ),
        (
            "data_dir = ",
            "# ",
            ["missing field `data_dir`", "other.toml"],
        ),
        (&listen, "listen = \"here\"", ["line 10", "socket address"]),
        (&listen, "listen = ", ["line 10", "string values"]),
    ] {
        // The TOML reader shows the place under its line.
        let told = refusal(&place.config(from, to), &parts).await;
        assert!(told.contains("other.toml: "), "{told}");
    }
    let config = place.config(&format!("127.0.0.1:{}", place.port(0)), "0.0.0.0:1");
    refuses(
        &config,
        &["well-known test accounts", "0.0.0.0:1", "--admin ADDRESS"],
    )
    .await;
    let missing = place.file("none.toml");
    refuses(&missing, &["cannot read ", "none.toml: No such file"]).await;
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_genesis_is_refused_at_its_place() {
    let mut place = Place::stopped().await;
    let config = place.file("config.toml");
    let path = place.network.directory().join("genesis.json");
    let genesis = fs::read_to_string(&path).unwrap();
    let broken_field = genesis.replacen("\"chainId\": ", "\"chainId\": -", 1);
    assert_ne!(broken_field, genesis);
    for (bytes, part) in [
        (
            &genesis.as_bytes()[..genesis.len() / 2],
            "genesis is no valid JSON: EOF",
        ),
        (b"", "genesis is no valid JSON: EOF"),
        (b"[1, 2]", "found a list of 2, expected an object"),
        (broken_field.as_bytes(), "chainId"),
    ] {
        fs::write(&path, bytes).unwrap();
        refuses(&config, &["genesis.json: ", part]).await;
    }
    fs::remove_file(&path).unwrap();
    refuses(
        &config,
        &["cannot read genesis file ", "genesis.json: No such file"],
    )
    .await;
    fs::write(&path, genesis).unwrap();
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_folder_is_no_database_and_stays_as_it_is() {
    let mut place = Place::stopped().await;
    let folder = place.file("photos");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "not yours").unwrap();
    let before = content(&folder);
    let config = place.config("\"data\"", "\"photos\"");
    refuses(&config, &["is no Medina database", "notes.txt"]).await;
    assert_eq!(content(&folder), before);
    let config = place.config("\"data\"", "\"node.key\"");
    refuses(&config, &["node.key"]).await;
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_database_is_refused_and_opens_again_when_it_is_whole() {
    let mut place = Place::stopped().await;
    let config = place.file("config.toml");
    let data = place.file("data");
    let is_list = |path: &PathBuf| path.to_string_lossy().contains("MANIFEST");
    for path in content(&data).into_keys().filter(is_list) {
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..50]).unwrap();
        refuses(&config, &["the database in ", "cannot be opened"]).await;
        fs::write(&path, whole).unwrap();
    }
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_node_on_one_database_is_refused_and_the_first_goes_on() {
    let place = Place::running().await;
    let config = place.config_elsewhere("[log]", "[log]");
    refuses(&config, &["is in use by another process"]).await;
    place.lives().await;
}

/// Posts bytes to a node's JSON-RPC; answers what came back.
async fn post(place: &Place, body: Vec<u8>) -> Value {
    let request = reqwest::Client::new().post(place.network.rpc_url(0));
    let request = request
        .header("content-type", "application/json")
        .body(body);
    let answer = request.send().await.expect("an answer");
    answer.json().await.expect("answers are JSON")
}

/// Announces a body of so many bytes, sends none; answers what came back. A
/// client that does send them may lose the answer when the connection closes.
async fn announce(place: &Place, bytes: usize) -> String {
    let address = ("127.0.0.1", place.port(0));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    let read = tokio::time::timeout(PATIENCE, read).await;
    read.expect("an answer in time").expect("answers are text");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_the_standard_errors_and_the_node_goes_on() {
    let place = Place::running().await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId" });
    let calls = vec![call; RPC_BATCH_MAX as usize + 1];
    for (what, body, code) in [
        ("cut JSON", b"{\"jsonrpc\":\"2.0\",\"id\"".to_vec(), -32700),
        ("no JSON", b"hello".to_vec(), -32700),
        ("no text", vec![0xff; 1000], -32700),
        ("deep JSON", vec![b'['; 200_000], -32700),
        ("empty batch", b"[]".to_vec(), -32600),
        (
            "unknown method",
            br#"{"jsonrpc":"2.0","id":1,"method":"eth_nope"}"#.to_vec(),
            -32601,
        ),
        (
            "bad argument",
            br#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}"#.to_vec(),
            -32602,
        ),
        ("large batch", serde_json::to_vec(&calls).unwrap(), -32010),
    ] {
        let answer = post(&place, body).await;
        assert_eq!(answer["error"]["code"], code, "{what}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{what}: {answer}");
    }
    let refused = announce(&place, RPC_REQUEST_BYTES_MAX as usize + 1).await;
    assert!(refused.contains(" 413 "), "{refused}");
    assert!(refused.contains("Request is too big"), "{refused}");
    place.lives().await;
    let log = place.network.log(0);
    for trace in TRACES {
        assert!(!log.contains(trace), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_is_turned_away_by_name_and_learns_nothing() {
    let mut place = Place::running().await;
    let stranger = place.network.add_follower();
    // The list admits the key that it was made with, and no other.
    let key = place.network.node_folder(stranger).join("node.key");
    fs::write(key, "5e".repeat(32)).unwrap();
    place.network.run(stranger);
    place.network.ready(stranger).await;
    let refused = "refused a peer: its node key is not admitted here";
    eventually(refused, || async {
        place.network.log(0).contains(refused).then_some(())
    })
    .await;
    let peers = place.network.call(0, "medina_peers", json!([])).await;
    assert_eq!(peers, json!([]));
    place.lives().await;
    assert_eq!(place.network.height(stranger).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_while_it_starts_ends_a_node_and_loses_nothing() {
    let mut place = Place::stopped().await;
    for sign in ["", "listening for peers", "node started"] {
        let before = place.network.log(0).len();
        place.network.run(0);
        eventually(sign, || async {
            place.network.log(0)[before..].contains(sign).then_some(())
        })
        .await;
        // Before it has looked at its files the system ends it, afterwards it ends itself.
        let (took, _) = place.network.terminate(0).await;
        assert!(took < STOP_TIME_MAX, "{sign:?}: {took:?}");
        let log = place.network.log(0);
        assert!(!log.contains("panicked"), "{log}");
    }
    place.is_intact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_show_what_was_expected() {
    for (arguments, part) in [
        ("", "Usage: medina"),
        ("nonsense", "unrecognized subcommand 'nonsense'"),
        ("network new", "--validators <N>"),
        (
            "network new --validators 0 --dir d",
            "expected a number from 1 to 128",
        ),
        (
            "network new --validators 4 --dir d --admin me",
            "--admin <ADDRESS>",
        ),
        ("node run", "--config <FILE>"),
        ("node run --config a --config b", "cannot be used multiple"),
        ("dev --rpc-port 99999", "99999 is not in 0..=65535"),
        ("market buy one", "`one` cannot be <LISTING>"),
        (
            "market list --resource 0x12 --property a --price much",
            "'much' for '--price <TOKENS>'",
        ),
        ("sensor register --property a", "--device-key <FILE>"),
    ] {
        let words: Vec<_> = arguments.split_whitespace().collect();
        let (code, told) = attempt(&words).await;
        assert_eq!(code, Some(2), "{arguments}: {told}");
        assert!(told.contains(part), "{arguments}: {told}");
    }
}
