//! From the start of a killed node's process to its next vote that counts.

use super::{
    Figure,
    leader_crash::keys,
    load::SteadyLoad,
    outage::{chain_id, nodes_of, start_all},
    percentile,
};
use medina_tests::{
    chaos::clients::{Nodes, quantity},
    processes::NetworkOfProcesses,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Transfers offered per second meanwhile.
const LOAD_PER_SECOND: u32 = 50;
/// How long a killed node stays down.
const DOWN: Duration = Duration::from_secs(2);
/// How long a vote is waited for at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK_PERIOD: Duration = Duration::from_millis(5);
const GOAL: Duration = Duration::from_secs(2);

/// Kills validators one after the other and measures when their signature is
/// in a certificate again: not what a node says, what it did.
///
/// # Panics
/// When the network does not start.
pub async fn measure(times: usize, arguments: &[&str]) -> Vec<Figure> {
    let mut network = NetworkOfProcesses::create_with(4, arguments);
    start_all(&mut network).await;
    let (nodes, keys) = (nodes_of(&network), keys(&network));
    let chain_id = chain_id(&network).await;
    let everybody: Vec<usize> = (0..network.len()).collect();
    let mut took = Vec::new();
    let _load = SteadyLoad::start(&nodes, chain_id, LOAD_PER_SECOND, everybody[..1].to_vec());
    tokio::time::sleep(DOWN).await;
    for time in 0..times {
        // Node 0 takes the load.
        let victim = 1 + time % (network.len() - 1);
        network.kill(victim);
        tokio::time::sleep(DOWN).await;
        let head = network.height(0).await.unwrap_or(0);
        let started = Instant::now();
        network.run(victim);
        took.push(next_vote(&nodes, victim, &keys[victim], head, started).await);
        network.linked(victim, network.len() - 1).await;
    }
    let count = took.len();
    [50, 100]
        .map(|percent| {
            let name =
                format!("voting again after kill -9, from process start, p{percent} of {count}");
            Figure::at_most(name, percentile(&took, percent), GOAL)
        })
        .to_vec()
}

/// Time until a certificate above `head` that the node has holds its own signature.
async fn next_vote(nodes: &Nodes, node: usize, key: &str, head: u64, started: Instant) -> Duration {
    let mut looked = head;
    while started.elapsed() < PATIENCE {
        let height = nodes.result(node, "eth_blockNumber", json!([])).await;
        let height = height.as_ref().and_then(quantity).unwrap_or(0);
        while looked < height {
            looked += 1;
            if has_signed(nodes, node, key, looked).await {
                return started.elapsed();
            }
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    PATIENCE
}

async fn has_signed(nodes: &Nodes, node: usize, key: &str, height: u64) -> bool {
    let certificate = nodes
        .result(node, "medina_certificate", json!([height]))
        .await;
    let signatures = certificate.as_ref().map(|answer| &answer["signatures"]);
    signatures
        .and_then(|signatures| signatures.as_array())
        .is_some_and(|signatures| signatures.iter().any(|one| one["key"] == key))
}
