//! Four real processes, driven as an operator and a wallet would.

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, U256};
use alloy_provider::{DynProvider, Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_tests::processes::{NetworkOfProcesses, PATIENCE, eventually};
use serde_json::json;
use std::time::Duration;

const MNEMONIC: &str = "test test test test test test test test test test test junk";

fn wallet(index: u32) -> (EthereumWallet, Address) {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(MNEMONIC)
        .index(index)
        .and_then(|builder| builder.build())
        .expect("the test mnemonic has this account");
    (EthereumWallet::from(signer.clone()), signer.address())
}

fn provider(network: &NetworkOfProcesses, node: usize, account: u32) -> DynProvider {
    let url = network.rpc_url(node).parse().expect("a URL");
    let provider = ProviderBuilder::new()
        .wallet(wallet(account).0)
        .connect_http(url)
        .erased();
    provider
        .client()
        .set_poll_interval(Duration::from_millis(20));
    provider
}

async fn pay(provider: &DynProvider, to: Address) -> TransactionReceipt {
    let request = TransactionRequest::default()
        .with_to(to)
        .with_value(U256::from(1));
    let pending = provider
        .send_transaction(request)
        .await
        .expect("the pool takes it");
    let pending = pending.with_timeout(Some(PATIENCE));
    let receipt = pending.get_receipt().await.expect("a receipt");
    assert!(receipt.status());
    receipt
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_sent_to_any_node_is_included_on_all() {
    let network = NetworkOfProcesses::start(4).await;
    let to = Address::repeat_byte(0x77);
    for node in 0..4u32 {
        let sender = provider(&network, node as usize, node);
        pay(&sender, to).await;
    }
    let height = network.agree(&[0, 1, 2, 3]).await;
    assert_eq!(height, 4, "one block per transaction and none between");
    let balance = network
        .call(2, "eth_getBalance", json!([to, "latest"]))
        .await;
    assert_eq!(balance, "0x4");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_chain_makes_no_blocks() {
    let network = NetworkOfProcesses::start(4).await;
    let sender = provider(&network, 0, 0);
    pay(&sender, Address::repeat_byte(1)).await;
    let before = network.agree(&[0, 1, 2, 3]).await;
    // Longer than several round timeouts.
    let idle = tokio::time::timeout(Duration::from_secs(5), network.reaches(1, before + 1)).await;
    assert!(idle.is_err(), "a block appeared without a transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_validator_stops_nobody_and_catches_up_by_itself() {
    let mut network = NetworkOfProcesses::start(4).await;
    let sender = provider(&network, 0, 0);
    for victim in [1, 2, 3] {
        pay(&sender, Address::repeat_byte(2)).await;
        network.kill(victim);
        for _ in 0..6 {
            pay(&sender, Address::repeat_byte(2)).await;
        }
        network.run(victim);
        network.ready(victim).await;
        network.linked(victim, 3).await;
        network.agree(&[0, 1, 2, 3]).await;
    }
    pay(&provider(&network, 3, 3), Address::repeat_byte(2)).await;
    network.agree(&[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_goes_on_by_itself_after_all_nodes_were_killed() {
    let mut network = NetworkOfProcesses::start(4).await;
    let sender = provider(&network, 0, 0);
    for _ in 0..3 {
        pay(&sender, Address::repeat_byte(3)).await;
    }
    let before = network.agree(&[0, 1, 2, 3]).await;
    let identity = network.block_identity(0, before).await;
    for index in 0..4 {
        network.kill(index);
    }
    for index in 0..4 {
        network.run(index);
    }
    for index in 0..4 {
        network.ready(index).await;
        assert_eq!(network.block_identity(index, before).await, identity);
    }
    pay(&sender, Address::repeat_byte(3)).await;
    network.agree(&[0, 1, 2, 3]).await;
}

/// Goal: two seconds. Tests share the machine with other tests, so they are given more.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_a_node_cleanly_and_soon() {
    let mut network = NetworkOfProcesses::start(4).await;
    pay(&provider(&network, 0, 0), Address::repeat_byte(4)).await;
    let (took, status) = network.terminate(2).await;
    assert!(status.success(), "{status}\n{}", network.log(2));
    assert!(took < STOP_TIME_MAX, "{took:?}\n{}", network.log(2));
    pay(&provider(&network, 0, 0), Address::repeat_byte(4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_added_to_a_running_network_follows() {
    let mut network = NetworkOfProcesses::start(4).await;
    let sender = provider(&network, 0, 0);
    for _ in 0..5 {
        pay(&sender, Address::repeat_byte(5)).await;
    }
    let follower = network.add_follower();
    network.run(follower);
    network.ready(follower).await;
    network.reaches(follower, 5).await;
    pay(&provider(&network, follower, 1), Address::repeat_byte(5)).await;
    network.agree(&[0, 1, 2, 3, follower]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_with_a_wiped_database_catches_up_and_votes_again() {
    let mut network = NetworkOfProcesses::start(4).await;
    let sender = provider(&network, 0, 0);
    for _ in 0..5 {
        pay(&sender, Address::repeat_byte(6)).await;
    }
    network.kill(3);
    std::fs::remove_dir_all(network.node_folder(3).join("data")).unwrap();
    network.run(3);
    network.ready(3).await;
    network.linked(3, 3).await;
    network.reaches(3, 5).await;
    // It observes for two blocks, then votes: the chain must live without another validator.
    for _ in 0..3 {
        pay(&sender, Address::repeat_byte(6)).await;
    }
    network.agree(&[0, 1, 2, 3]).await;
    eventually("node 3 to vote again", || async {
        let consensus = network.try_call(3, "medina_consensus", json!([])).await?;
        consensus["votes"].as_bool().filter(|votes| *votes)
    })
    .await;
    network.kill(1);
    pay(&sender, Address::repeat_byte(6)).await;
    network.agree(&[0, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_and_metrics_answer() {
    let network = NetworkOfProcesses::start(4).await;
    pay(&provider(&network, 0, 0), Address::repeat_byte(7)).await;
    let client = reqwest::Client::new();
    let readiness = format!("{}/readiness", network.metrics_url(0));
    eventually("a ready node", || async {
        client
            .get(&readiness)
            .send()
            .await
            .ok()
            .filter(|answer| answer.status().is_success())
    })
    .await;
    let metrics = client
        .get(format!("{}/metrics", network.metrics_url(0)))
        .send()
        .await
        .unwrap();
    let text = metrics.text().await.unwrap();
    for name in [
        "medina_chain_height",
        "medina_network_peers",
        "medina_consensus_round",
    ] {
        assert!(text.contains(name), "{name} is missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_one_key_are_named_to_the_operators_of_the_others() {
    let mut network = NetworkOfProcesses::create(4);
    let key = |node: usize| network.node_folder(node).join("node.key");
    std::fs::copy(key(0), key(1)).unwrap();
    for index in 0..4 {
        network.run(index);
    }
    for index in 0..4 {
        network.ready(index).await;
    }
    for said in ["two nodes seem to use one key", "another node key answers"] {
        eventually(said, || async {
            let log = network.log(2) + &network.log(3);
            log.contains(said).then_some(())
        })
        .await;
    }
}

/// Goal: a validator votes again within two seconds of the start of its process.
/// Tests share the machine with other tests, so they are given more; a validator that
/// only observes would take for ever, as its vote is the one that is missing.
const VOTES_AGAIN_MAX: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn killed_validator_votes_again_at_once() {
    let mut network = NetworkOfProcesses::start(4).await;
    let sender = provider(&network, 0, 0);
    for _ in 0..5 {
        pay(&sender, Address::repeat_byte(8)).await;
    }
    network.agree(&[0, 1, 2, 3]).await;
    network.kill(2);
    network.kill(3);
    let request = TransactionRequest::default()
        .with_to(Address::repeat_byte(8))
        .with_value(U256::from(1));
    let waiting = sender.send_transaction(request).await.unwrap();
    let started = std::time::Instant::now();
    network.run(3);
    // The quorum of three needs its vote.
    let receipt = waiting.with_timeout(Some(PATIENCE)).get_receipt().await;
    assert!(receipt.unwrap().status());
    let took = started.elapsed();
    println!("a block with the vote of a killed validator {took:.2?} after its start");
    assert!(took < VOTES_AGAIN_MAX, "{took:?}\n{}", network.log(3));
}
