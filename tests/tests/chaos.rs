//! A short run of chaos on real processes; `make chaos` makes long ones.

use medina_tests::chaos::{self, ChaosPlan};
use medina_types::ConsensusEngine;

/// Length of one script.
const DURATION_MS: u64 = 13_000;

#[allow(
    clippy::print_stdout,
    reason = "the script is shown beside a failure, to be repeated by its seed"
)]
fn show(text: &str) {
    println!("{text}");
}

async fn survive(seed: u64, nodes: u16, engine: ConsensusEngine) {
    let plan = ChaosPlan {
        seed,
        nodes,
        engine,
        duration_ms: DURATION_MS,
        clients: 4,
    };
    show(&format!("seed {seed}, {nodes} nodes, {engine:?}"));
    let summary = chaos::run(plan, &show).await;
    show(&summary.to_string());
    assert!(summary.is_flawless(), "seed {seed}: {summary}");
    assert!(summary.acknowledged > 0, "nothing was sent");
}

/// One network after the other: machines of two cores run this.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whatever_happens_to_the_processes() {
    survive(1, 4, ConsensusEngine::Qbft).await;
    survive(2, 7, ConsensusEngine::Qbft).await;
    survive(3, 4, ConsensusEngine::Raft).await;
}
