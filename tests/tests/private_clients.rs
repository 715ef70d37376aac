//! `GoQuorum`'s clients, unmodified, on a network of processes that takes their
//! private transactions: they deploy and use a contract that two of three parties
//! share, and the third, and who has no token, find nothing of it.
//!
//! The clients come from npm, pinned in `tests/clients/quorum`; where they cannot be
//! installed they are said to be skipped and why.

#[path = "clients/install.rs"]
#[allow(dead_code, reason = "other clients are installed by another test")]
mod install;

use alloy_primitives::{hex, keccak256};
use install::{Group, install, run, text};
use medina_genesis::{TEST_MNEMONIC, test_account};
use medina_sdk::{client::MarketClient, private::PrivateClient, wallet::Mnemonic};
use medina_tests::processes::{NetworkOfProcesses, eventually, free_ports, medina_binary};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};
use tokio::task::spawn_blocking;

/// Parties, on as many nodes: the first two share a group.
const PARTIES: [&str; 3] = ["alice", "bob", "carol"];
/// Account of the test phrase that the clients send with; nobody's operator.
const SENDERS: [u32; 2] = [6, 7];

/// Past the test runner, which keeps what passing tests print to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// An API key that may stand in an address.
fn key_of(party: &str) -> String {
    format!("key_of_{party}_in_an_address")
}

/// Turns the chain into one that takes marked transactions. What the header carries
/// of the section is filled in anew.
fn allow_quorum(network: &NetworkOfProcesses) {
    let path = network.directory().join("genesis.json");
    let text = fs::read_to_string(&path).expect("the network has a genesis file");
    let mut genesis: Value = serde_json::from_str(&text).expect("it is JSON");
    genesis["medina"]["quorumCompat"] = json!(true);
    let members = genesis.as_object_mut().expect("it is an object");
    members.remove("mixHash");
    fs::write(&path, genesis.to_string()).expect("it can be written");
}

/// Gives a node its party, its key file and its transaction manager's port.
fn configure(folder: &Path, index: usize, manager: u16) {
    let party = PARTIES[index];
    let path = folder.join("config.toml");
    let text = fs::read_to_string(&path).expect("a node has a configuration");
    let mut config: toml::Table = text.parse().expect("it is TOML");
    let rpc = config["rpc"].as_table_mut().expect("it has [rpc]");
    rpc.insert("keys_file".into(), "keys.toml".into());
    let listen = format!("127.0.0.1:{manager}");
    rpc.insert("transaction_manager".into(), listen.into());
    let org = keccak256(format!("org-{index}")).to_string();
    let private = format!("enabled = true\n[[party]]\nname = \"{party}\"\norg = \"{org}\"\n");
    let private: toml::Table = private.parse().expect("it is TOML");
    config.insert("private".into(), private.into());
    fs::write(&path, config.to_string()).expect("it can be written");
    let keys = format!(
        "[[key]]\nname = \"{party}\"\nsecret = \"{}\"\nnamespaces = [\"*\"]\n\
         private = [\"psi://{party}?self.eoa=0x0&node.eoa=0x0\"]\n",
        key_of(party)
    );
    let path = folder.join("keys.toml");
    fs::write(&path, keys).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// Runs `medina` as one of the test accounts.
fn act(arguments: &[&str]) {
    let output = Command::new(medina_binary())
        .args(arguments)
        .env("MEDINA_MNEMONIC", TEST_MNEMONIC)
        .output()
        .expect("the binary can be started");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
}

/// Registers the parties and makes the group of the first two.
async fn join(network: &NetworkOfProcesses) {
    for (index, party) in PARTIES.iter().enumerate() {
        let folder = network.node_folder(index).to_owned();
        let file = folder.join(format!("data/private/parties/{party}.json"));
        eventually("the node to write its party", || async {
            fs::read_to_string(&file)
                .ok()
                .filter(|text| text.ends_with("}\n"))
        })
        .await;
        let (url, account) = (network.rpc_url(index), index.to_string());
        let file = file.to_str().expect("temporary paths are text").to_owned();
        let register = move || {
            act(&[
                "private",
                "party",
                "register",
                &file,
                "--rpc",
                &url,
                "--account",
                &account,
            ])
        };
        spawn_blocking(register).await.expect("it is registered");
    }
    let url = network.rpc_url(0);
    let (first, second) = (
        keccak256("org-0").to_string(),
        keccak256("org-1").to_string(),
    );
    let found = move || {
        let orgs = ["--org", &first, "--org", &second];
        let of = [
            "private",
            "groups",
            "new",
            "deal between two",
            "--rpc",
            &url,
            "--account",
            "0",
        ];
        act(&[&of[..], &orgs].concat())
    };
    spawn_blocking(found).await.expect("the group is made");
}

async fn ask(url: &str, method: &str, params: Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let client = reqwest::Client::new();
    let answer = client.post(url).json(&body).send().await.ok()?;
    let mut answer: Value = answer.json().await.ok()?;
    answer.get_mut("result").map(Value::take)
}

/// Waits until every party knows its group and the members' keys.
async fn ready(urls: &[String]) {
    for url in &urls[..2] {
        eventually("the group with both members' keys", || async {
            let groups = ask(url, "priv_getGroups", json!([])).await?;
            let members = groups[0]["members"].as_array()?;
            let have_keys = members.iter().all(|one| one["encryptionKey"].is_string());
            (members.len() == 2 && have_keys).then_some(())
        })
        .await;
    }
}

/// Where a party is reached, by addresses that carry its key.
async fn place(network: &NetworkOfProcesses, index: usize, manager: u16) -> Value {
    let party = PARTIES[index];
    let key = key_of(party);
    let rpc = format!("{}/key/{key}", network.rpc_url(index));
    let manager = format!("http://127.0.0.1:{manager}/key/{key}");
    let keys = reqwest::get(format!("{manager}/keys")).await;
    let keys: Value = keys.expect("it answers").json().await.expect("it is JSON");
    json!({ "psi": party, "rpc": rpc, "manager": manager, "key": keys["keys"][0]["key"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn web3js_quorum_and_quorum_js_use_private_contracts_unmodified() {
    let installed = spawn_blocking(|| install(Group::Common).and_then(|()| install(Group::Quorum)));
    if let Err(why) = installed.await.expect("installing does not panic") {
        say(&format!("skipped: web3js-quorum and quorum-js: {why}"));
        return;
    }
    let mut network = NetworkOfProcesses::create(4);
    allow_quorum(&network);
    let managers = free_ports(3);
    for (index, port) in (0..PARTIES.len()).zip(managers..) {
        configure(network.node_folder(index), index, port);
    }
    for index in 0..network.len() {
        network.run(index);
    }
    for index in 0..network.len() {
        network.ready(index).await;
    }
    for index in 0..network.len() {
        network.linked(index, 3).await;
    }
    join(&network).await;
    let mut places = Vec::new();
    for (index, port) in (0..PARTIES.len()).zip(managers..) {
        places.push(place(&network, index, port).await);
    }
    let urls: Vec<_> = places
        .iter()
        .map(|place| place["rpc"].as_str().unwrap().to_owned())
        .collect();
    ready(&urls).await;

    for (script, sender) in ["quorum/private.cjs", "quorum/quorum-js.cjs"]
        .into_iter()
        .zip(SENDERS)
    {
        let account = hex::encode_prefixed(test_account(sender).private_key);
        let setup = json!({
            "alice": places[0], "bob": places[1], "carol": places[2], "account": account,
        })
        .to_string();
        // Whoever is no party talks to a node without a private side.
        let url = network.rpc_url(3);
        let ran = spawn_blocking(move || run("node", &[script, &url, &setup]));
        let output: Output = ran.await.unwrap().expect("node ran a moment ago");
        assert!(
            output.status.success(),
            "{script}: {}\n{}\nits node said\n{}",
            output.status,
            text(&output),
            network.log(0)
        );
        say(text(&output).trim().lines().last().unwrap_or_default());
    }
    every_client_decodes_every_block(&network).await;
    network.agree(&[0, 1, 2, 3]).await;
}

/// Markers of Medina's own beside `GoQuorum`'s transactions: whoever reads the chain
/// reads all of it.
async fn every_client_decodes_every_block(network: &NetworkOfProcesses) {
    const MARKERS: usize = 3;
    let url = network.rpc_url(0);
    let chain = MarketClient::connect(&url).await.expect("the node answers");
    let account = Mnemonic::parse(TEST_MNEMONIC).and_then(|phrase| phrase.account(0));
    let chain = chain.with_account(account.expect("a test account"));
    let token = key_of(PARTIES[0]);
    let party = PrivateClient::new(chain, &url, Some(&token)).expect("a client");
    let groups = party.groups().await.expect("the group of both");
    for number in 0..MARKERS {
        // Code that is no more than a stop.
        let code = [
            0x60,
            0x01,
            0x60,
            0x00,
            0xf3,
            u8::try_from(number).expect("small"),
        ];
        let sent = party.deploy(groups[0].id, code.into(), Some(200_000)).await;
        let sent = sent.expect("the node takes it");
        party.wait(sent.digest).await.expect("it runs");
    }
    let (url, least) = (network.rpc_url(3), MARKERS.to_string());
    let ran = spawn_blocking(move || run("node", &["private-blocks.mjs", &url, &least]));
    let output = ran
        .await
        .expect("running does not panic")
        .expect("node ran a moment ago");
    assert!(output.status.success(), "{}", text(&output));
    say(text(&output).trim().lines().last().unwrap_or_default());
}
