//! A load of fixed rate on the nodes that are up, sent again where a node that
//! was killed took transfers with it.

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use medina_tests::chaos::clients::{Nodes, numbered_transfer, quantity, test_account};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// Accounts that share the load.
const ACCOUNTS: u32 = 10;
/// Time between two batches of one account.
const BATCH_PERIOD: Duration = Duration::from_millis(100);
/// Batches between two looks for what has to be sent again.
const BATCHES_PER_RESEND: u64 = 10;
/// Transfers that one account may have on their way; it waits beyond.
const UNDER_WAY_MAX: usize = 3_000;

/// A load that goes on until it is dropped.
#[derive(Debug)]
pub struct SteadyLoad {
    live: Arc<Mutex<Vec<usize>>>,
    offered: Arc<AtomicU64>,
    _senders: JoinSet<()>,
}

impl SteadyLoad {
    /// Offers `per_second` transfers to the `live` nodes in turn.
    #[must_use]
    pub fn start(nodes: &Nodes, chain_id: u64, per_second: u32, live: Vec<usize>) -> Self {
        let live = Arc::new(Mutex::new(live));
        let offered = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for index in 0..ACCOUNTS {
            let sender = Sender {
                nodes: nodes.clone(),
                signer: test_account(index),
                chain_id,
                live: Arc::clone(&live),
                offered: Arc::clone(&offered),
                turn: index as usize,
                under_way: VecDeque::new(),
            };
            senders.spawn(sender.run(per_second, index));
        }
        Self {
            live,
            offered,
            _senders: senders,
        }
    }

    /// Changes who is sent to.
    pub fn set_live(&self, nodes: Vec<usize>) {
        if let Ok(mut live) = self.live.lock() {
            *live = nodes;
        }
    }

    /// Transfers offered so far, repetitions not counted.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.offered.load(Ordering::Relaxed)
    }
}

struct Sender {
    nodes: Nodes,
    signer: PrivateKeySigner,
    chain_id: u64,
    live: Arc<Mutex<Vec<usize>>>,
    offered: Arc<AtomicU64>,
    turn: usize,
    under_way: VecDeque<(u64, String)>,
}

impl Sender {
    async fn run(mut self, per_second: u32, index: u32) {
        let per_batch = f64::from(per_second) / f64::from(ACCOUNTS) * BATCH_PERIOD.as_secs_f64();
        let mut nonce = self.chain_nonce().await.unwrap_or(0);
        // Accounts one after the other, so that the load is even.
        tokio::time::sleep(BATCH_PERIOD / ACCOUNTS * index).await;
        let mut due = 0.0;
        let mut clock = tokio::time::interval_at(Instant::now(), BATCH_PERIOD);
        for batch in 1u64.. {
            clock.tick().await;
            due += per_batch;
            let mut encoded = Vec::new();
            while due >= 1.0 && self.under_way.len() < UNDER_WAY_MAX {
                due -= 1.0;
                encoded.push(self.sign(nonce));
                nonce += 1;
            }
            self.offered
                .fetch_add(encoded.len() as u64, Ordering::Relaxed);
            self.send(encoded).await;
            if batch % BATCHES_PER_RESEND == 0 {
                self.resend().await;
            }
        }
    }

    fn sign(&mut self, nonce: u64) -> String {
        let to = Address::repeat_byte(0xfe);
        let (_, encoded) = numbered_transfer(&self.signer, to, (self.chain_id, nonce), nonce);
        self.under_way.push_back((nonce, encoded.clone()));
        encoded
    }

    /// The next live node in turn.
    fn next_node(&mut self) -> usize {
        self.turn += 1;
        let live = self.live.lock().map(|live| live.clone());
        let live = live.unwrap_or_default();
        live.get(self.turn % live.len().max(1))
            .copied()
            .unwrap_or(0)
    }

    async fn chain_nonce(&mut self) -> Option<u64> {
        let node = self.next_node();
        let params = json!([self.signer.address(), "latest"]);
        let answer = self.nodes.result(node, "eth_getTransactionCount", params);
        quantity(&answer.await?)
    }

    async fn send(&mut self, encoded: Vec<String>) {
        if encoded.is_empty() {
            return;
        }
        let calls: Value = encoded
            .iter()
            .enumerate()
            .map(|(id, encoded)| {
                json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction",
                        "params": [encoded] })
            })
            .collect();
        let node = self.next_node();
        if self.nodes.batch(node, &calls).await.is_none() {
            let other = self.next_node();
            self.nodes.batch(other, &calls).await;
        }
    }

    /// What a second ago was sent and is not in a block yet.
    async fn resend(&mut self) {
        let Some(next) = self.chain_nonce().await else {
            return;
        };
        let before = self.under_way.len();
        self.under_way.retain(|(nonce, _)| *nonce >= next);
        if self.under_way.len() == before && before > 0 {
            let again: Vec<_> = self
                .under_way
                .iter()
                .take(200)
                .map(|(_, encoded)| encoded.clone())
                .collect();
            self.send(again).await;
        }
    }
}

/// Transactions in the blocks `first..=last` of a node.
pub async fn included(nodes: &Nodes, node: usize, first: u64, last: u64) -> u64 {
    let mut sum = 0;
    for height in first..=last {
        let params = json!([format!("0x{height:x}")]);
        let count = nodes
            .result(node, "eth_getBlockTransactionCountByNumber", params)
            .await;
        sum += count.as_ref().and_then(quantity).unwrap_or(0);
    }
    sum
}

/// Clock ticks per second in which Linux counts processor time for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that a process has used on all its threads, seconds; zero where
/// the system does not say.
#[must_use]
pub fn processor_s(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program comes second, in brackets, and may hold anything.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = rest
        .split_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let (user, system) = (fields.get(11), fields.get(12));
    (user.unwrap_or(&0.0) + system.unwrap_or(&0.0)) / TICKS_PER_SECOND
}
