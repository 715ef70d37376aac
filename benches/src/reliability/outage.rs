//! The first block after an outage, with a transaction waiting all the time.

use super::{Figure, load::SteadyLoad, watch::HeightWatch};
use alloy_primitives::Address;
use medina_tests::{
    chaos::{
        clients::{Nodes, numbered_transfer, quantity, test_account},
        known_nodes::through_proxies,
        script::Link,
    },
    processes::NetworkOfProcesses,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How the quorum is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// SIGSTOP and SIGCONT.
    Pause,
    /// kill -9 and start; counted from the start of the processes.
    Kill,
    /// All their links are cut both ways, then open: bytes and connections hang.
    Cut,
    /// As before, but connections end and new ones are refused at once.
    Refuse,
}

/// Base timeout of a generated network.
pub const BASE_TIMEOUT: Duration = Duration::from_secs(1);
/// Base timeouts that the first block may take.
const BASE_TIMEOUTS_MAX: u32 = 2;
/// How long it is waited for at all.
const PATIENCE: Duration = Duration::from_secs(60);
/// Account of the transaction that waits; the load uses the others before it.
const WAITING_ACCOUNT: u32 = 9;

/// Four validators; f + 1 of them are gone for a time.
///
/// # Panics
/// When the network does not start or loses the transaction.
pub async fn measure(how: Outage, lasting: Duration, arguments: &[&str]) -> Figure {
    let mut network = NetworkOfProcesses::create_with(4, arguments);
    let mesh = through_proxies(&network)
        .await
        .expect("files can be changed");
    start_all(&mut network).await;
    let nodes = nodes_of(&network);
    let chain_id = chain_id(&network).await;
    warm_up(&nodes, chain_id).await;
    let victims = [2, 3];
    let quorum_links: Vec<(usize, usize)> = (0..4)
        .flat_map(|from| (0..4).map(move |to| (from, to)))
        .filter(|(from, to)| from != to && (victims.contains(from) || victims.contains(to)))
        .collect();
    for node in victims {
        match how {
            Outage::Pause => network.signal(node, "STOP"),
            Outage::Kill => network.kill(node),
            Outage::Cut | Outage::Refuse => {}
        }
    }
    let link = match how {
        Outage::Cut => Link::Cut,
        Outage::Refuse => Link::Refused,
        Outage::Pause | Outage::Kill => Link::Open,
    };
    for (from, to) in &quorum_links {
        mesh.set(*from, *to, link);
    }
    if how == Outage::Refuse {
        for node in victims {
            mesh.break_connections(node);
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let watch = HeightWatch::start(&nodes, 0);
    let before = network.height(0).await.expect("node 0 is up");
    send_one(&nodes, chain_id).await;
    tokio::time::sleep(lasting).await;
    assert_eq!(watch.height(), before, "no quorum, no block");
    let returned = Instant::now();
    for node in victims {
        match how {
            Outage::Pause => network.signal(node, "CONT"),
            Outage::Kill => network.run(node),
            Outage::Cut | Outage::Refuse => {}
        }
    }
    mesh.open_all();
    let next = watch.reaches(before + 1, PATIENCE).await;
    let took = next.map_or(PATIENCE, |at| at - returned);
    let name = format!("first block after an outage of {lasting:?} ({how:?})");
    Figure::at_most(name, took, BASE_TIMEOUT * BASE_TIMEOUTS_MAX)
}

/// Starts every node and waits until all are linked.
///
/// # Panics
/// When they do not start.
pub async fn start_all(network: &mut NetworkOfProcesses) {
    for node in 0..network.len() {
        network.run(node);
    }
    for node in 0..network.len() {
        network.ready(node).await;
    }
    for node in 0..network.len() {
        network.linked(node, network.len() - 1).await;
    }
}

/// JSON-RPC of a network.
#[must_use]
pub fn nodes_of(network: &NetworkOfProcesses) -> Nodes {
    Nodes::new(
        (0..network.len())
            .map(|node| network.rpc_url(node))
            .collect(),
    )
}

/// Chain id of a network.
///
/// # Panics
/// When node 0 does not answer.
pub async fn chain_id(network: &NetworkOfProcesses) -> u64 {
    let answer = network.call(0, "eth_chainId", json!([])).await;
    quantity(&answer).expect("a chain id")
}

/// A second of light load: all links and caches are in use.
async fn warm_up(nodes: &Nodes, chain_id: u64) {
    let load = SteadyLoad::start(nodes, chain_id, 50, (0..nodes.len()).collect());
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(load);
    // Until everything offered is included.
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn send_one(nodes: &Nodes, chain_id: u64) {
    let signer = test_account(WAITING_ACCOUNT);
    let params = json!([signer.address(), "pending"]);
    let nonce = nodes.result(0, "eth_getTransactionCount", params).await;
    let nonce = nonce.as_ref().and_then(quantity).expect("node 0 is up");
    let to = Address::repeat_byte(0xfd);
    let (_, encoded) = numbered_transfer(&signer, to, (chain_id, nonce), 0);
    let sent = nodes.result(0, "eth_sendRawTransaction", json!([encoded]));
    sent.await.expect("the pool takes it");
}
