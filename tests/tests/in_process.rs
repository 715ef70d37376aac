//! Four validators in one process, as `medina dev` runs them.

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, U256};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_contracts::medina_token::MedinaToken::Transfer;
use medina_genesis::{GeneratedNetwork, NetworkOptions, TEST_MNEMONIC, generate_network};
use medina_sdk::{
    client::{Cursor, EventFilter, MarketClient},
    wallet::{Mnemonic, TEST_MNEMONIC as PHRASE},
};
use medina_service::{Node, NodeConfig};
use medina_tests::processes::{eventually, free_ports};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const GENESIS_TIME_S: u64 = 1_700_000_000;

fn network(validators: usize) -> (TempDir, GeneratedNetwork) {
    network_with(validators, |_| {})
}

fn network_with(
    validators: usize,
    change: impl FnOnce(&mut NetworkOptions),
) -> (TempDir, GeneratedNetwork) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut options = NetworkOptions::new(folder.path().join("network"), GENESIS_TIME_S);
    options.validators = validators;
    options.base_port = free_ports(u16::try_from(validators).expect("few validators") * 10);
    change(&mut options);
    let network = generate_network(&options).expect("a network");
    (folder, network)
}

async fn start(network: &GeneratedNetwork) -> Vec<Node> {
    medina_service::start_logging("warn").expect("a valid level");
    let mut nodes = Vec::new();
    for node in &network.nodes {
        let config = NodeConfig::load(&node.config).expect("a generated configuration");
        nodes.push(Node::start(&config).await.expect("a node that starts"));
    }
    nodes
}

/// Time in which a node stops; a second is usual, but tests share the machine.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

async fn pay_one_by_one(nodes: &[Node], count: u64) -> Vec<Duration> {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(TEST_MNEMONIC)
        .build()
        .expect("a valid mnemonic");
    let url = nodes[0].rpc_url().parse().expect("a URL");
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_http(url);
    provider
        .client()
        .set_poll_interval(Duration::from_millis(5));
    let mut times = Vec::new();
    for _ in 0..count {
        let to = Address::repeat_byte(9);
        let request = TransactionRequest::default()
            .with_to(to)
            .with_value(U256::from(1));
        let started = Instant::now();
        let pending = provider
            .send_transaction(request)
            .await
            .expect("the pool takes it");
        let receipt = pending.get_receipt().await.expect("a receipt");
        assert!(receipt.status());
        times.push(started.elapsed());
    }
    times
}

async fn heads_agree(nodes: &[Node], height: u64) {
    for node in nodes {
        let provider = ProviderBuilder::new().connect_http(node.rpc_url().parse().expect("a URL"));
        eventually(
            &format!("{} at height {height}", node.rpc_url()),
            || async {
                provider
                    .get_block_number()
                    .await
                    .ok()
                    .filter(|reached| *reached == height)
            },
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_include_transactions_and_stop_cleanly() {
    let (_folder, network) = network(4);
    let nodes = start(&network).await;
    let times = pay_one_by_one(&nodes, 30).await;
    println!("submission to receipt seen by the client: {times:?}");
    heads_agree(&nodes, 30).await;
    for node in nodes {
        let stopped = tokio::time::timeout(STOP_TIME_MAX, node.stop()).await;
        assert!(stopped.is_ok(), "a node did not stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_is_a_chain_too() {
    let (_folder, network) = network(1);
    let nodes = start(&network).await;
    pay_one_by_one(&nodes, 3).await;
    heads_agree(&nodes, 3).await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeat_makes_empty_blocks_when_the_genesis_asks_for_it() {
    let period = Duration::from_secs(1);
    let (_folder, network) = network_with(4, |options| {
        options.consensus.empty_block_period = Some(period)
    });
    let started = Instant::now();
    let nodes = start(&network).await;
    let provider = ProviderBuilder::new().connect_http(nodes[1].rpc_url().parse().expect("a URL"));
    let height = eventually("three heartbeats", || async {
        provider
            .get_block_number()
            .await
            .ok()
            .filter(|height| *height >= 3)
    })
    .await;
    // Not more often than asked for: one per period, and one for the start.
    assert!(u128::from(height) <= started.elapsed().as_millis() / period.as_millis() + 1);
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_survives_its_nodes_end_without_gaps_or_duplicates() {
    const ROUND: u64 = 5;
    let (_folder, network) = network(4);
    let mut nodes = start(&network).await;
    let account = Mnemonic::parse(PHRASE).and_then(|phrase| phrase.account(1));
    let payer = MarketClient::connect(&nodes[1].rpc_url())
        .await
        .expect("a running node")
        .with_account(account.expect("an account of the phrase"));
    let reader = MarketClient::connect(&nodes[0].rpc_url())
        .await
        .expect("a running node");
    let token = reader.contracts().medina_token;
    let mut events = reader.subscribe(EventFilter::of::<Transfer>(token), Cursor::at(1));
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 3 * usize::try_from(ROUND).expect("small") {
            let event = events.next().await.expect("the same chain");
            seen.push(event.decode::<Transfer>().expect("a transfer").value);
        }
        seen
    });
    let pay = async |from: u64| {
        for amount in from..from + ROUND {
            let to = Address::repeat_byte(9);
            let paid = payer.transfer(to, U256::from(amount)).await;
            paid.expect("three of four decide");
        }
    };
    pay(1).await;
    nodes.remove(0).stop().await;
    pay(1 + ROUND).await;
    let config = NodeConfig::load(&network.nodes[0].config).expect("a generated configuration");
    nodes.push(
        Node::start(&config)
            .await
            .expect("a node that starts again"),
    );
    pay(1 + 2 * ROUND).await;
    let seen = tokio::time::timeout(medina_tests::processes::PATIENCE, seen);
    let seen = seen.await.expect("every event comes").expect("it runs");
    let expected: Vec<_> = (1..=3 * ROUND).map(U256::from).collect();
    assert_eq!(seen, expected);
    for node in nodes {
        node.stop().await;
    }
}
