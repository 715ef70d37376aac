//! Looks at one node's height as often as the machine allows.

use medina_tests::chaos::clients::{Nodes, quantity};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// Time between two looks.
const LOOK_PERIOD: Duration = Duration::from_millis(2);

/// Heights and the moments at which they were first seen.
#[derive(Debug)]
pub struct HeightWatch {
    seen: Arc<Mutex<Vec<(u64, Instant)>>>,
    _task: JoinSet<()>,
}

impl HeightWatch {
    /// Watches a node until dropped.
    #[must_use]
    pub fn start(nodes: &Nodes, node: usize) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        task.spawn(look(nodes.clone(), node, Arc::clone(&seen)));
        Self { seen, _task: task }
    }

    /// Everything seen so far.
    #[must_use]
    pub fn seen(&self) -> Vec<(u64, Instant)> {
        self.seen
            .lock()
            .map(|seen| seen.clone())
            .unwrap_or_default()
    }

    /// Highest height so far.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.seen().last().map_or(0, |(height, _)| *height)
    }

    /// Waits for a height; `None` when patience ends before.
    pub async fn reaches(&self, height: u64, patience: Duration) -> Option<Instant> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            let reached = self.seen().into_iter().find(|(seen, _)| *seen >= height);
            if let Some((_, at)) = reached {
                return Some(at);
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        None
    }

    /// Times between two blocks that were seen, from `from` on.
    #[must_use]
    pub fn gaps(&self, from: Instant) -> Vec<Duration> {
        let seen = self.seen();
        seen.windows(2)
            .filter(|pair| pair[1].1 >= from)
            .map(|pair| pair[1].1 - pair[0].1)
            .collect()
    }
}

async fn look(nodes: Nodes, node: usize, seen: Arc<Mutex<Vec<(u64, Instant)>>>) {
    loop {
        let height = nodes.result(node, "eth_blockNumber", json!([])).await;
        if let Some(height) = height.as_ref().and_then(quantity)
            && let Ok(mut seen) = seen.lock()
            && seen.last().is_none_or(|(last, _)| *last < height)
        {
            seen.push((height, Instant::now()));
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}
