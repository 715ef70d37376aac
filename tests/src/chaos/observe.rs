//! Looks at the heads of all nodes while a run goes on.

use super::{
    clients::{Nodes, quantity},
    history::SeenHead,
};
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// Time between two looks at one node.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// Height, hash and state root of a node's head.
pub async fn head(nodes: &Nodes, node: usize) -> Option<(u64, B256, B256)> {
    let params = json!(["latest", false]);
    let block = nodes.result(node, "eth_getBlockByNumber", params).await?;
    let hash = |name: &str| block[name].as_str()?.parse().ok();
    Some((
        quantity(&block["number"])?,
        hash("hash")?,
        hash("stateRoot")?,
    ))
}

/// Every head that a node shows from `started` until told to stop.
pub async fn watch_heads(
    nodes: Nodes,
    node: usize,
    started: Instant,
    mut stop: watch::Receiver<bool>,
) -> Vec<SeenHead> {
    let mut seen: Vec<SeenHead> = Vec::new();
    loop {
        if let Some((height, block, _)) = head(&nodes, node).await
            && seen.last().is_none_or(|last| last.block != block)
        {
            let at_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            seen.push(SeenHead {
                node,
                height,
                block,
                at_ms,
            });
        }
        let stopped = tokio::time::timeout(LOOK_PERIOD, stop.wait_for(|stop| *stop)).await;
        if stopped.is_ok() {
            return seen;
        }
    }
}

/// Signers in the certificate that a node has for a height.
pub async fn signers(nodes: &Nodes, node: usize, height: u64) -> Option<usize> {
    let certificate = nodes
        .result(node, "medina_certificate", json!([height]))
        .await?;
    certificate["signatures"].as_array().map(Vec::len)
}

/// Whether a node votes, by its own word.
pub async fn votes(nodes: &Nodes, node: usize) -> bool {
    let consensus = nodes.result(node, "medina_consensus", json!([])).await;
    consensus.is_some_and(|consensus| consensus["votes"] == Value::Bool(true))
}
