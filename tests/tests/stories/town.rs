//! A network of four validators, and people with terminals beside it.

use alloy_primitives::{Address, B256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolEvent;
use medina_sdk::{
    client::MarketClient,
    wallet::{Account, Mnemonic, TEST_MNEMONIC},
};
use medina_tests::{
    processes::{NetworkOfProcesses, eventually, free_ports, medina_binary},
    terminal::Beside,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// Validators of every network here.
pub(crate) const VALIDATORS: u16 = 4;
/// Ports that one node takes.
const PORTS_PER_NODE: u16 = 10;
/// One token, in its smallest unit.
pub(crate) const TOKEN: u128 = 1_000_000_000_000_000_000;
/// What stands for a delivery that nobody reads here.
pub(crate) const PROOF: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";
/// Account of the governor, administrator, certifier, monitor and arbiter.
pub(crate) const AUTHORITY: u32 = 0;

/// Two networks at a time are more than small machines carry.
static TURN: Mutex<()> = Mutex::const_new(());

enum Chain {
    Dev {
        /// Ends with the story.
        _process: Beside,
    },
    Processes(Box<NetworkOfProcesses>),
}

/// The network, a folder for everybody's files, and the turn that the story has.
pub(crate) struct Town {
    chain: Chain,
    urls: Vec<String>,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Town {
    /// `medina dev`: four validators in one process, whose clock can be moved.
    pub(crate) async fn with_clock() -> Self {
        let turn = TURN.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let port = free_ports(VALIDATORS * PORTS_PER_NODE);
        let line = format!("dev --validators {VALIDATORS} --rpc-port {port}");
        let process = beside(folder.path(), &line, "Ctrl-C stops it");
        let url = |index| format!("http://127.0.0.1:{}", port + PORTS_PER_NODE * index);
        let town = Self {
            chain: Chain::Dev { _process: process },
            urls: (0..VALIDATORS).map(url).collect(),
            folder,
            _turn: turn,
        };
        eventually("the validators to be linked", || async {
            let peers = town.try_ask(0, "net_peerCount", json!([])).await;
            (peers == Ok(json!("0x3"))).then_some(())
        })
        .await;
        town
    }

    /// Four processes of `medina node run`.
    pub(crate) async fn of_processes(arguments: &[&str]) -> Self {
        let turn = TURN.lock().await;
        let mut network = NetworkOfProcesses::create_with(VALIDATORS, arguments);
        for index in 0..network.len() {
            network.run(index);
        }
        for index in 0..network.len() {
            network.ready(index).await;
            network.linked(index, usize::from(VALIDATORS) - 1).await;
        }
        Self {
            urls: (0..network.len()).map(|i| network.rpc_url(i)).collect(),
            chain: Chain::Processes(Box::new(network)),
            folder: tempfile::tempdir().unwrap(),
            _turn: turn,
        }
    }

    /// The processes, where it is a network of them.
    pub(crate) fn processes(&mut self) -> &mut NetworkOfProcesses {
        match &mut self.chain {
            Chain::Processes(network) => network,
            Chain::Dev { .. } => panic!("this story runs on medina dev"),
        }
    }

    /// JSON-RPC of the first validator.
    pub(crate) fn url(&self) -> &str {
        &self.urls[0]
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command as it is typed, with `--json`.
    pub(crate) fn run(&self, account: u32, line: &str) -> Result<Value, String> {
        let output = command(self.folder.path(), &format!("{line} --json"))
            .env("MEDINA_RPC", &self.urls[0])
            .env("MEDINA_ACCOUNT", account.to_string())
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    }

    pub(crate) fn succeed(&self, account: u32, line: &str) -> Value {
        self.run(account, line)
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// A command that the chain refuses with this error.
    pub(crate) fn refused(&self, account: u32, line: &str, error: &str) {
        let said = self.run(account, line).expect_err(line);
        assert!(said.contains(error), "{line}: {said}, not {error}");
    }

    /// A program beside the story, ready when it says so.
    pub(crate) fn beside(&self, line: &str, ready: &str) -> Beside {
        beside(self.folder.path(), line, ready)
    }

    /// Writes `gateway.toml` of a gateway that sells for money, without listings.
    pub(crate) fn write_gateway(&self, port: u16) {
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\nrpc = \"{}\"\ndata = \"companion\"\n\
             master_key = \"companion.key\"\n",
            self.url()
        );
        std::fs::write(self.path("gateway.toml"), config).unwrap();
    }

    /// Adds a listing to `gateway.toml`.
    pub(crate) fn serve(&self, listing: &str, sensor: &str) {
        let path = self.path("gateway.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let listing = format!("[[listings]]\nid = {listing}\nsources = [\"{sensor}\"]\n");
        std::fs::write(path, config + &listing).unwrap();
    }

    /// A sensor of the account's organisation; its key lies in `sensor-ACCOUNT.key` or such.
    pub(crate) fn sensor(&self, account: u32, property: &str, key: &str) -> String {
        let line =
            format!("sensor register --property {property} --period 1h --device-key {key}.key");
        text(&self.succeed(account, &line)["id"]).to_owned()
    }

    pub(crate) fn tokens(&self, account: u32) -> u128 {
        self.tokens_of(address(account))
    }

    pub(crate) fn tokens_of(&self, account: Address) -> u128 {
        amount(&self.succeed(0, &format!("market balance {account}"))["tokens"])
    }

    pub(crate) async fn try_ask(
        &self,
        node: usize,
        method: &str,
        params: Value,
    ) -> Result<Value, Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let lost = |error: reqwest::Error| json!({ "message": error.to_string() });
        let sent = reqwest::Client::new()
            .post(&self.urls[node])
            .json(&body)
            .send();
        let mut answer: Value = sent.await.map_err(lost)?.json().await.map_err(lost)?;
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.try_ask(0, method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Seconds pass, for all validators.
    pub(crate) async fn later(&self, seconds: u64) {
        self.ask("evm_increaseTime", json!([seconds])).await;
        self.ask("evm_mine", json!([])).await;
    }

    /// Seconds pass until a moment.
    pub(crate) async fn until(&self, moment: u64) {
        let now = self.now().await;
        self.later(moment.checked_sub(now).expect("it is still to come"))
            .await;
    }

    /// Time of the head.
    pub(crate) async fn now(&self) -> u64 {
        let head = self
            .ask("eth_getBlockByNumber", json!(["latest", false]))
            .await;
        quantity(&head["timestamp"])
    }

    /// Time of the block that a command's transaction went into.
    pub(crate) async fn time_of(&self, sent: &Value) -> u64 {
        let block = sent["transaction"]["block"].as_u64().expect("it was sent");
        let params = json!([format!("{block:#x}"), false]);
        quantity(&self.ask("eth_getBlockByNumber", params).await["timestamp"])
    }

    /// The SDK, as an account of the test mnemonic.
    pub(crate) async fn client(&self, index: u32) -> MarketClient {
        let client = MarketClient::connect(&self.urls[0]).await.unwrap();
        client.with_account(account(index))
    }

    /// All events of a kind that a contract has emitted, oldest first.
    pub(crate) async fn events<E: SolEvent>(&self, contract: Address) -> Vec<E> {
        let client = self.client(0).await;
        let filter = Filter::new()
            .address(contract)
            .event_signature(E::SIGNATURE_HASH)
            .from_block(0);
        let logs = client.provider().get_logs(&filter).await.unwrap();
        logs.iter()
            .map(|log| E::decode_log(&log.inner).unwrap().data)
            .collect()
    }

    /// All four validators have one head, with one state.
    pub(crate) async fn agree(&self) {
        eventually("four validators at one head", || async {
            let mut heads = Vec::new();
            for node in 0..usize::from(VALIDATORS) {
                let head = self.try_ask(node, "eth_getBlockByNumber", json!(["latest", false]));
                let head = head.await.ok()?;
                heads.push((head["hash"].clone(), head["stateRoot"].clone()));
            }
            heads.dedup();
            (heads.len() == 1).then_some(())
        })
        .await;
    }
}

pub(crate) fn account(index: u32) -> Account {
    let phrase = Mnemonic::parse(TEST_MNEMONIC).unwrap();
    phrase.account(index).unwrap()
}

pub(crate) fn address(index: u32) -> Address {
    account(index).address()
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

pub(crate) fn hash(value: &Value) -> B256 {
    text(value).parse().unwrap()
}

/// A number that may be written as a text.
pub(crate) fn number(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

pub(crate) fn amount(value: &Value) -> u128 {
    number(value).parse().unwrap()
}

pub(crate) fn quantity(value: &Value) -> u64 {
    let digits = text(value).strip_prefix("0x").expect("a quantity");
    u64::from_str_radix(digits, 16).unwrap()
}

fn beside(folder: &Path, line: &str, ready: &str) -> Beside {
    Beside::start(medina_binary(), folder, line, ready)
}

fn command(folder: &Path, line: &str) -> Command {
    medina_tests::terminal::command(medina_binary(), folder, line)
}
