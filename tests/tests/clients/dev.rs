//! `medina dev` under test suites, and that nothing of it is served anywhere else.

use crate::{
    install::{Group, folder, install, run, text},
    say,
};
use medina_tests::processes::{NetworkOfProcesses, eventually, free_ports, medina_binary};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use tokio::task::spawn_blocking;

/// Validators of the development network.
const VALIDATORS: u16 = 4;
/// Ports that one node takes.
const PORTS_PER_NODE: u16 = 10;

/// What only a development network answers.
const CONTROLS: [&str; 38] = [
    "eth_sendTransaction",
    "eth_signTransaction",
    "eth_sign",
    "eth_signTypedData_v4",
    "anvil_impersonateAccount",
    "anvil_stopImpersonatingAccount",
    "anvil_autoImpersonateAccount",
    "anvil_setBalance",
    "anvil_setNonce",
    "anvil_setCode",
    "anvil_setStorageAt",
    "anvil_setCoinbase",
    "anvil_setNextBlockBaseFeePerGas",
    "anvil_dropTransaction",
    "anvil_dropAllTransactions",
    "anvil_nodeInfo",
    "anvil_mine",
    "anvil_reset",
    "evm_snapshot",
    "evm_revert",
    "evm_mine",
    "evm_increaseTime",
    "evm_setTime",
    "evm_setNextBlockTimestamp",
    "evm_setAutomine",
    "evm_setIntervalMining",
    "hardhat_impersonateAccount",
    "hardhat_stopImpersonatingAccount",
    "hardhat_setBalance",
    "hardhat_setNonce",
    "hardhat_setCode",
    "hardhat_setStorageAt",
    "hardhat_setCoinbase",
    "hardhat_dropTransaction",
    "hardhat_mine",
    "hardhat_metadata",
    "hardhat_reset",
    "personal_sign",
];

/// What no node of any kind answers: keys and miners inside a node.
const NOWHERE: [&str; 8] = [
    "personal_listAccounts",
    "personal_newAccount",
    "personal_importRawKey",
    "personal_unlockAccount",
    "personal_lockAccount",
    "personal_sendTransaction",
    "personal_ecRecover",
    "miner_start",
];

/// A running `medina dev`; ends with the value.
struct Dev {
    process: Child,
    url: String,
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself, which the test says already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Dev {
    async fn start() -> Self {
        let port = free_ports(VALIDATORS * PORTS_PER_NODE);
        let process = Command::new(medina_binary())
            .args(["dev", "--rpc-port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary can be started");
        let dev = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        };
        let answers = || async {
            let peers = dev.ask("net_peerCount", json!([])).await.ok()?;
            (peers == json!("0x3")).then_some(())
        };
        eventually("medina dev to connect its validators", answers).await;
        dev
    }

    /// URL of another of its nodes.
    fn url_of(&self, index: u16) -> String {
        let (host, port) = self.url.rsplit_once(':').expect("it ends with a port");
        let port: u16 = port.parse().expect("it is a number");
        format!("{host}:{}", port + index * PORTS_PER_NODE)
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        ask(&self.url, method, params).await
    }
}

async fn ask(url: &str, method: &str, params: Value) -> Result<Value, Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let unreachable = |error: reqwest::Error| json!({ "code": 0, "message": error.to_string() });
    let client = reqwest::Client::new();
    let answer = client.post(url).json(&body).send().await;
    let mut answer: Value = answer
        .map_err(unreachable)?
        .json()
        .await
        .map_err(unreachable)?;
    match answer.get_mut("error") {
        Some(error) => Err(error.take()),
        None => Ok(answer["result"].take()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_keep_no_keys_and_serve_no_controls() {
    let network = NetworkOfProcesses::start(1).await;
    let url = network.rpc_url(0);
    for method in CONTROLS.into_iter().chain(NOWHERE) {
        let refused = ask(&url, method, json!([])).await.unwrap_err();
        assert_eq!(refused["code"], json!(-32601), "{method}: {refused}");
    }
    assert_eq!(ask(&url, "eth_accounts", json!([])).await, Ok(json!([])));
    let modules = ask(&url, "rpc_modules", json!([])).await.unwrap();
    for namespace in ["anvil", "evm", "hardhat", "personal"] {
        assert_eq!(modules.get(namespace), None, "{modules}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn development_network_signs_for_its_accounts_and_none_keeps_wallets() {
    let dev = Dev::start().await;
    let accounts = dev.ask("eth_accounts", json!([])).await.unwrap();
    assert_eq!(accounts.as_array().unwrap().len(), 10);
    let stranger = "0x00000000000000000000000000000000000057e1";
    let payment = json!([{ "from": accounts[0], "to": stranger, "value": "0x7" }]);
    let hash = dev.ask("eth_sendTransaction", payment).await.unwrap();
    // It is in a block, and every node has it.
    for index in 0..VALIDATORS {
        let url = dev.url_of(index);
        let receipt = || async {
            let asked = ask(&url, "eth_getTransactionReceipt", json!([hash])).await;
            asked.ok().filter(Value::is_object)
        };
        let receipt = eventually("the receipt", receipt).await;
        assert_eq!(receipt["status"], json!("0x1"));
    }
    let unsigned = json!([{ "from": stranger, "to": stranger }]);
    let refused = dev.ask("eth_sendTransaction", unsigned).await.unwrap_err();
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("unknown account")
    );
    for method in NOWHERE {
        let refused = dev.ask(method, json!([])).await.unwrap_err();
        assert_eq!(refused["code"], json!(-32601), "{method}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_follow_every_control() {
    let dev = Dev::start().await;
    let somebody = "0x00000000000000000000000000000000000057e1";
    let snapshot = dev.ask("evm_snapshot", json!([])).await.unwrap();
    let set = json!([somebody, "0xde0b6b3a7640000"]);
    assert_eq!(dev.ask("anvil_setBalance", set).await, Ok(json!(true)));
    dev.ask("anvil_impersonateAccount", json!([somebody]))
        .await
        .unwrap();
    let payment = json!([{ "from": somebody, "to": somebody, "value": "0x1" }]);
    dev.ask("eth_sendTransaction", payment).await.unwrap();
    dev.ask("anvil_mine", json!(["0x3"])).await.unwrap();
    let same = |what: &'static str| {
        let urls: Vec<_> = (0..VALIDATORS).map(|index| dev.url_of(index)).collect();
        async move {
            let look = || async {
                let mut heads = Vec::new();
                for url in &urls {
                    let block = ask(url, "eth_getBlockByNumber", json!(["latest", false])).await;
                    heads.push(block.ok()?["hash"].clone());
                }
                heads.dedup();
                (heads.len() == 1).then(|| heads.remove(0))
            };
            eventually(what, look).await
        }
    };
    let later = same("all nodes to have one head after the controls").await;
    let balance = json!([somebody, "latest"]);
    for index in 0..VALIDATORS {
        let read = ask(&dev.url_of(index), "eth_getBalance", balance.clone()).await;
        assert_eq!(read, Ok(json!("0xde0b6b3a7640000")), "node {index}");
    }
    assert_eq!(
        dev.ask("evm_revert", json!([snapshot])).await,
        Ok(json!(true))
    );
    let earlier = same("all nodes to have one head after the revert").await;
    assert_ne!(earlier, later);
    for index in 0..VALIDATORS {
        let read = ask(&dev.url_of(index), "eth_getBalance", balance.clone()).await;
        assert_eq!(read, Ok(json!("0x0")), "node {index}");
    }
    assert_eq!(
        dev.ask("evm_revert", json!([snapshot])).await,
        Ok(json!(false))
    );
    dev.ask("evm_mine", json!([])).await.unwrap();
    same("all nodes to go on together").await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "the test runner shows it on demand")]
async fn test_suite_written_for_hardhats_own_network_passes() {
    for group in [Group::Common, Group::Hardhat] {
        if let Err(why) = spawn_blocking(move || install(group)).await.unwrap() {
            say(&format!("skipped: the test suite for hardhat: {why}"));
            return;
        }
    }
    let dev = Dev::start().await;
    let url = dev.url.clone();
    let ran = move || run("node", &["hardhat-test.mjs", &url]);
    let output = spawn_blocking(ran)
        .await
        .unwrap()
        .expect("node ran a moment ago");
    assert!(output.status.success(), "{}", text(&output));
    println!("{}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn cast_controls_the_network() {
    if let Err(why) = spawn_blocking(|| install(Group::Common)).await.unwrap() {
        say(&format!("skipped: cast rpc: {why}"));
        return;
    }
    let program = folder().join("node_modules/@foundry-rs/cast-linux-amd64/bin/cast");
    if !program.is_file() {
        say("skipped: cast rpc: no pinned cast for this machine");
        return;
    }
    let dev = Dev::start().await;
    let cast = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        let (program, url) = (program.clone(), dev.url.clone());
        async move {
            let run = move || {
                let output = Command::new(program)
                    .args(arguments)
                    .env("ETH_RPC_URL", url)
                    .stdin(Stdio::null())
                    .output()
                    .expect("the file is there");
                assert!(output.status.success(), "{}", text(&output));
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            };
            spawn_blocking(run).await.unwrap()
        }
    };
    let somebody = "0x00000000000000000000000000000000000057E1";
    let snapshot = cast(&["rpc", "evm_snapshot"]).await;
    cast(&["rpc", "anvil_setBalance", somebody, "0xde0b6b3a7640000"]).await;
    let coin = cast(&["balance", somebody, "--ether"]).await;
    assert_eq!(coin.parse::<f64>().ok(), Some(1.0), "{coin}");
    cast(&["rpc", "anvil_impersonateAccount", somebody]).await;
    let sent = [
        "send",
        "--unlocked",
        "--from",
        somebody,
        somebody,
        "--value",
        "1",
    ];
    let receipt = cast(&[&sent[..], &["--json"]].concat()).await;
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["status"], json!("0x1"));
    cast(&["rpc", "anvil_mine", "0x5"]).await;
    cast(&["rpc", "evm_increaseTime", "1000"]).await;
    cast(&["rpc", "evm_mine"]).await;
    let reverted = cast(&["rpc", "evm_revert", snapshot.trim_matches('"')]).await;
    assert_eq!(reverted, "true");
    assert_eq!(cast(&["balance", somebody]).await, "0");
}
