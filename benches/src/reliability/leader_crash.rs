//! The gap between blocks when the proposer is killed under load.

use super::{
    Figure,
    load::SteadyLoad,
    outage::{BASE_TIMEOUT, chain_id, nodes_of, start_all},
    percentile,
    watch::HeightWatch,
};
use medina_service::KnownNodes;
use medina_tests::{
    chaos::{clients::Nodes, observe},
    processes::NetworkOfProcesses,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Transfers offered per second meanwhile.
const LOAD_PER_SECOND: u32 = 50;
/// Time before each crash, in which the usual time between blocks is measured.
const CALM: Duration = Duration::from_secs(1);
/// Time for the gap and for the blocks behind it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Blocks after the crash in which the gap may lie: the dead node's next turn
/// comes within one round of all validators.
const BLOCKS_AFTER: u64 = 6;
/// Raft: from the leader's death to the next block, at the default election time.
const RAFT_GOAL: Duration = Duration::from_millis(1_500);

/// What many crashes came to.
#[derive(Clone, Debug)]
pub struct Crashes {
    /// Longest time between two blocks around each crash.
    pub gaps: Vec<Duration>,
    /// Usual time between two blocks.
    pub block_time: Duration,
}

impl Crashes {
    /// Figures for QBFT.
    #[must_use]
    pub fn qbft_figures(&self) -> Vec<Figure> {
        let goal = BASE_TIMEOUT + self.block_time;
        let count = self.gaps.len();
        [50, 99]
            .map(|percent| {
                let name = format!(
                    "gap at a leader's crash, p{percent} of {count}, block time {:?}",
                    self.block_time
                );
                Figure::at_most(name, percentile(&self.gaps, percent), goal)
            })
            .to_vec()
    }

    /// Figures for Raft.
    #[must_use]
    pub fn raft_figures(&self) -> Vec<Figure> {
        let count = self.gaps.len();
        [50, 99, 100]
            .map(|percent| {
                let name = format!("gap at the Raft leader's death, p{percent} of {count}");
                Figure::at_most(name, percentile(&self.gaps, percent), RAFT_GOAL)
            })
            .to_vec()
    }
}

/// Kills the proposer of a network of `validators` again and again.
///
/// # Panics
/// When the network does not start, or does not go on.
pub async fn measure(validators: u16, count: usize, arguments: &[&str]) -> Crashes {
    let mut network = NetworkOfProcesses::create_with(validators, arguments);
    start_all(&mut network).await;
    let (nodes, keys) = (nodes_of(&network), keys(&network));
    let everybody: Vec<usize> = (0..network.len()).collect();
    let chain_id = chain_id(&network).await;
    let load = SteadyLoad::start(&nodes, chain_id, LOAD_PER_SECOND, everybody.clone());
    let (mut gaps, mut usual) = (Vec::new(), Vec::new());
    for crash in 0..count {
        // Never the one who is killed: asked again right before the crash.
        let asked = crash % network.len();
        let witness = (asked + 1) % network.len();
        let watch = [
            HeightWatch::start(&nodes, asked),
            HeightWatch::start(&nodes, witness),
        ];
        tokio::time::sleep(CALM).await;
        usual.extend(watch[0].gaps(Instant::now() - CALM));
        let victim = proposer(&nodes, asked, &keys).await.unwrap_or(witness);
        let survivor = usize::from(victim == asked);
        let killed = Instant::now();
        network.kill(victim);
        load.set_live(others(&everybody, victim));
        let height = watch[survivor].height();
        let reached = watch[survivor]
            .reaches(height + BLOCKS_AFTER, PATIENCE)
            .await;
        assert!(reached.is_some(), "the chain stopped after crash {crash}");
        let longest = watch[survivor].gaps(killed).into_iter().max();
        gaps.push(longest.unwrap_or_default());
        drop(watch);
        network.run(victim);
        voting_again(&mut network, &nodes, victim).await;
        load.set_live(everybody.clone());
    }
    Crashes {
        gaps,
        block_time: percentile(&usual, 50),
    }
}

async fn voting_again(network: &mut NetworkOfProcesses, nodes: &Nodes, node: usize) {
    network.ready(node).await;
    network.linked(node, network.len() - 1).await;
    let end = Instant::now() + PATIENCE;
    while !observe::votes(nodes, node).await && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn others(everybody: &[usize], victim: usize) -> Vec<usize> {
    everybody
        .iter()
        .copied()
        .filter(|node| *node != victim)
        .collect()
}

/// Public keys of all nodes as text.
pub(super) fn keys(network: &NetworkOfProcesses) -> Vec<String> {
    let path = network.directory().join("network.toml");
    let known = KnownNodes::load(&path).expect("a generated network");
    known
        .nodes
        .iter()
        .map(|node| node.key.to_string())
        .collect()
}

/// Who proposes now, as seen by a node: its place among `keys`.
async fn proposer(nodes: &Nodes, asked: usize, keys: &[String]) -> Option<usize> {
    let consensus = nodes.result(asked, "medina_consensus", json!([])).await?;
    let key = consensus["proposer"].as_str()?;
    keys.iter().position(|known| known == key)
}
