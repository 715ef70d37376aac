//! Attacks the JSON-RPC port of a node: random methods and arguments, broken JSON,
//! odd sizes, batches, pipelines, WebSocket frames, half-open sockets and readers
//! that do not read.
//!
//! Three things must hold whatever is sent: every answer is a JSON-RPC object (or a
//! list of them), the process neither panics nor ends, and its memory does not grow
//! with the number of requests. All randomness comes from the seed; the order in
//! which the server sees the requests of several workers does not.

mod arguments;
mod attacks;
mod chain;
mod verdict;
mod wire;

pub use chain::{Filled, fill};
pub use verdict::{Findings, Report};

use arguments::Known;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// What to attack, and for how long.
#[derive(Clone, Debug)]
pub struct FuzzPlan {
    /// Where JSON-RPC listens.
    pub address: SocketAddr,
    /// How long.
    pub duration: Duration,
    /// Source of all randomness.
    pub seed: u64,
    /// Attackers at the same time.
    pub workers: u64,
    /// Process of the node, if it runs here: its memory is watched.
    pub pid: Option<u32>,
    /// Log of the node, if it is here: no panic may stand there.
    pub log: Option<PathBuf>,
}

/// Time between two looks at the node's memory.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Looks that are made at least, so that a short attack has a middle and an end.
const LOOKS_MIN: u32 = 20;
/// Resident memory that may come on top between the middle of the time and its end.
/// It goes up and down by more than this with the answers that are on their way.
const GROWTH_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The same for attacks that end before caches and threads are all there.
const GROWTH_WHEN_COLD_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Time in which all caches are filled.
const COLD: Duration = Duration::from_secs(3 * 60);

/// Attacks as planned.
pub async fn run(plan: &FuzzPlan) -> Report {
    let begin = Instant::now();
    let findings = Arc::new(Findings::default());
    let known = Arc::new(Known::of(plan.address).await);
    let deadline = begin + plan.duration;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..plan.workers {
        let seed = plan.seed.wrapping_mul(1_000).wrapping_add(worker);
        let (address, known, findings) = (plan.address, known.clone(), findings.clone());
        workers.spawn(async move {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut left_open = Vec::new();
            while Instant::now() < deadline {
                let attack = random.random_range(0..100);
                attacks::one(
                    attack,
                    address,
                    &mut random,
                    &known,
                    &findings,
                    &mut left_open,
                )
                .await;
            }
        });
    }
    let looks = look_at_memory(plan, deadline).await;
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            findings.add("a worker of the fuzzer failed", &error.to_string());
        }
    }
    check_life(plan, &findings).await;
    // A third each: while it fills up, in the middle, at the end.
    let third = looks.len() / 3;
    let middle = mean(&looks[third..2 * third]);
    let end = mean(&looks[2 * third..]);
    let most = match plan.duration {
        short if short < COLD => GROWTH_WHEN_COLD_BYTES_MAX,
        _ => GROWTH_BYTES_MAX,
    };
    if let (Some(warm), Some(end)) = (middle, end)
        && end > warm + most
    {
        let text = format!("{} MB grew to {} MB", warm / 1_000_000, end / 1_000_000);
        findings.add("memory grew", &text);
    }
    findings.report(begin.elapsed(), middle, end)
}

/// Resident memory of the node from time to time until the deadline.
async fn look_at_memory(plan: &FuzzPlan, deadline: Instant) -> Vec<u64> {
    let mut looks = Vec::new();
    while Instant::now() < deadline {
        looks.extend(plan.pid.and_then(resident_bytes));
        tokio::time::sleep(LOOK_PERIOD.min(plan.duration / LOOKS_MIN)).await;
    }
    looks
}

/// `None` of nothing.
fn mean(looks: &[u64]) -> Option<u64> {
    let sum: u64 = looks.iter().sum();
    sum.checked_div(looks.len() as u64)
}

/// The node still answers, and its log tells of no panic.
async fn check_life(plan: &FuzzPlan, findings: &Findings) {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [] });
    let mut answer = Err("not asked".to_owned());
    // Connections that we left open may still have all places.
    for _ in 0..60 {
        answer = wire::post(plan.address, request.to_string().as_bytes()).await;
        let is_result = |answer: &wire::Answer| {
            let body = serde_json::from_slice::<Value>(&answer.body);
            body.is_ok_and(|body| body["result"].is_string())
        };
        if answer.as_ref().is_ok_and(is_result) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if let Err(error) = answer {
        findings.add("the node does not answer any more", &error);
    }
    if let Some(path) = &plan.log {
        let log = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| line.contains("panicked")) {
            findings.add("the node panicked", line);
        }
    }
}

/// Memory of a process that is in use, from the system's own account.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}
