//! A validator that lies about everything it can reach: its links are its own
//! loss, and the honest ones keep theirs.

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, B256, U256};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_genesis::{NetworkOptions, TEST_MNEMONIC, generate_network};
use medina_network::{KnownPeer, Network, NetworkConfig, PeerGate};
use medina_service::{Node, NodeConfig};
use medina_tests::processes::{PATIENCE, eventually, free_ports};
use medina_types::{
    Height, NodePublicKey,
    wire::{PeerMessage, PeerStatus},
};
use std::{sync::Arc, time::Duration};

const PAYMENTS: usize = 15;

struct Boaster(B256);

impl PeerGate for Boaster {
    fn is_admitted(&self, _: &NodePublicKey) -> bool {
        true
    }

    fn our_status(&self) -> PeerStatus {
        PeerStatus::new(self.0, Height(u64::MAX), B256::repeat_byte(1))
    }
}

async fn pay(url: &str, count: usize) {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(TEST_MNEMONIC)
        .build()
        .expect("a valid mnemonic");
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_http(url.parse().expect("a URL"));
    provider
        .client()
        .set_poll_interval(Duration::from_millis(20));
    for _ in 0..count {
        let request = TransactionRequest::default()
            .with_to(Address::repeat_byte(9))
            .with_value(U256::from(1));
        let pending = provider.send_transaction(request).await.expect("taken");
        let receipt = tokio::time::timeout(PATIENCE, pending.get_receipt()).await;
        receipt.expect("a block in time").expect("a receipt");
    }
}

async fn peers_of(node: &Node) -> Option<usize> {
    let provider = ProviderBuilder::new().connect_http(node.rpc_url().parse().expect("a URL"));
    let peers: Vec<serde_json::Value> = provider.client().request("medina_peers", ()).await.ok()?;
    Some(peers.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_gossip_and_boasts_passed_on_by_honest_nodes_cut_no_honest_link() {
    medina_service::start_logging("error").expect("a valid level");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut options = NetworkOptions::new(folder.path().join("network"), 1_700_000_000);
    options.validators = 4;
    options.base_port = free_ports(40);
    let network = generate_network(&options).expect("a network");
    let load = |index: usize| NodeConfig::load(&network.nodes[index].config).expect("generated");
    let mut nodes = Vec::new();
    for index in 0..3 {
        nodes.push(Node::start(&load(index)).await.expect("a node that starts"));
    }
    for node in &nodes {
        eventually("honest nodes to be linked", || async {
            peers_of(node).await.filter(|peers| *peers >= 2)
        })
        .await;
    }

    // The liar is linked to node 0 alone, which passes its gossip on.
    let genesis = medina_genesis::load(&load(3).genesis).expect("a genesis");
    let config = NetworkConfig {
        secret: load(3).load_key().expect("a key"),
        listen: ([127, 0, 0, 1], 0).into(),
        peers: vec![KnownPeer {
            key: network.nodes[0].key,
            addresses: vec![load(0).p2p.listen],
        }],
    };
    let gate = Arc::new(Boaster(genesis.spec().genesis_hash));
    let (liar, mut heard) = Network::start(config, gate.clone()).expect("a network");
    let victim = network.nodes[0].key;
    eventually("the liar's link", || async {
        liar.is_connected(&victim).then_some(())
    })
    .await;
    let lying = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let mut number = 0_u8;
        loop {
            tick.tick().await;
            // Requests for blocks are dropped unanswered.
            while heard.try_recv().is_some() {}
            number = number.wrapping_add(1);
            liar.broadcast_transactions(vec![vec![2, number]]);
            liar.announce_head(gate.our_status());
            liar.send(victim, PeerMessage::PoolHashes(vec![[number; 32]; 100]));
        }
    });
    pay(&nodes[1].rpc_url(), PAYMENTS).await;
    lying.abort();
    for node in &nodes {
        assert!(
            peers_of(node).await.is_some_and(|peers| peers >= 2),
            "an honest node lost an honest link"
        );
    }
    for node in nodes {
        node.stop().await;
    }
}
