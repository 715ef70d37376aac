//! What an idle chain does to the disk: nothing.

use super::{
    Figure,
    load::SteadyLoad,
    outage::{chain_id, nodes_of, start_all},
};
use medina_tests::processes::NetworkOfProcesses;
use std::time::Duration;

/// Time after the last transfer until the chain counts as idle.
const SETTLE: Duration = Duration::from_secs(5);

/// Four validators, a little work, then nothing for a while.
///
/// # Panics
/// When the network does not start, or the system does not count bytes.
pub async fn measure(idle: Duration, arguments: &[&str]) -> Vec<Figure> {
    let mut network = NetworkOfProcesses::create_with(4, arguments);
    start_all(&mut network).await;
    let (nodes, chain_id) = (nodes_of(&network), chain_id(&network).await);
    let load = SteadyLoad::start(&nodes, chain_id, 50, vec![0, 1, 2, 3]);
    tokio::time::sleep(SETTLE).await;
    drop(load);
    tokio::time::sleep(SETTLE).await;
    let before = state(&network).await;
    tokio::time::sleep(idle).await;
    let after = state(&network).await;
    let figure = |what: &str, before: u64, after: u64| Figure {
        name: format!("{what} of four idle validators in {idle:?}"),
        measured: (after - before).to_string(),
        goal: "0".to_owned(),
        is_met: after == before,
    };
    vec![
        figure("blocks", before.0, after.0),
        figure("bytes written to disk", before.1, after.1),
    ]
}

/// Sum of heights and of bytes that the processes have had written to disk.
async fn state(network: &NetworkOfProcesses) -> (u64, u64) {
    let (mut heights, mut bytes) = (0, 0);
    for node in 0..network.len() {
        heights += network.height(node).await.expect("the node is up");
        bytes += written(network.pid(node).expect("the node is up"));
    }
    (heights, bytes)
}

fn written(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("Linux counts bytes");
    text.lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok())
        .expect("Linux counts bytes")
}
