//! Plays a script on a network of processes and gathers the history.

use super::{
    ChaosPlan, Script, Summary,
    clients::{Client, ClientReport, Nodes, quantity, receiver},
    clock::Clocks,
    collect::stored_chain,
    disk::SmallDisk,
    history::{History, SeenHead},
    known_nodes::through_proxies,
    observe,
    proxy::Mesh,
    script::{Action, nodes_with_small_disks},
};
use crate::processes::NetworkOfProcesses;
use medina_types::ConsensusEngine;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// Time between two looks for processes that ended by themselves.
const DEATH_WATCH: Duration = Duration::from_millis(50);
/// How long clients go on after the last fault.
const AFTERMATH: Duration = Duration::from_secs(2);
/// How long everything sent may take to get its receipt, and all nodes to come
/// to one head, once no fault is left.
const HEALED_PATIENCE: Duration = Duration::from_secs(60);
/// How long after its disk had room again a node may still end because it was full:
/// it stops its tasks first.
const GIVING_UP_MAX: Duration = Duration::from_secs(3);
/// Last lines of a dead node's log that are shown.
const LAST_WORDS: usize = 5;

/// Whether these last words are meant for a disk that is full: a running node
/// stops when a write fails, a starting one cannot open its database.
fn is_said_of_full_disk(words: &str) -> bool {
    let cannot_open = words.contains("cannot be opened") && words.contains("No space left");
    cannot_open || words.contains("the database failed")
}

/// Runs a plan; `say` is told what happens.
///
/// # Panics
/// When the network cannot be made or does not start.
pub async fn run(plan: ChaosPlan, say: &(dyn Fn(&str) + Sync)) -> Summary {
    let script = Script::generate(plan.seed, plan.nodes.into(), plan.duration_ms);
    let mut stage = Stage::build(plan, say).await;
    let started = Instant::now();
    let crew = Crew::start(&stage, plan, started).await;
    stage.play(&script, started).await;
    stage.heal();
    let healed = Instant::now();
    say("all faults have ended");
    stage.watch_for(AFTERMATH).await;
    let (reports, mut seen) = crew.stop(&mut stage).await;
    let settled_ms = stage.settle(plan.engine).await.then(|| millis(healed));
    seen.sort_by_key(|head| head.at_ms);
    let recovered_ms = recovery(&seen, milliseconds(healed - started));
    let mut summary = summarize(&reports);
    summary.settled_ms = settled_ms;
    summary.recovered_ms = recovered_ms;
    let history = stage.history(plan, reports, seen);
    let blocks = history.chains.first().map_or(0, |chain| chain.blocks.len());
    summary.blocks = blocks.saturating_sub(1) as u64;
    summary.violations = history.violations();
    summary.deeds = stage.deeds;
    summary.skipped = stage.skipped;
    summary
}

fn millis(since: Instant) -> u64 {
    milliseconds(since.elapsed())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Time from `healed_ms` to the first head above everything shown before.
fn recovery(seen: &[SeenHead], healed_ms: u64) -> Option<u64> {
    let (before, after): (Vec<_>, Vec<_>) = seen.iter().partition(|head| head.at_ms <= healed_ms);
    let highest = before.iter().map(|head| head.height).max().unwrap_or(0);
    let next = after.iter().find(|head| head.height > highest)?;
    Some(next.at_ms - healed_ms)
}

fn summarize(reports: &[ClientReport]) -> Summary {
    let mut waits_ms: Vec<u64> = reports
        .iter()
        .flat_map(|report| report.waits_ms.iter().copied())
        .collect();
    waits_ms.sort_unstable();
    Summary {
        acknowledged: reports.iter().map(|report| report.acknowledged.len()).sum(),
        unanswered: reports.iter().map(|report| report.unanswered.len()).sum(),
        waits_ms,
        ..Summary::default()
    }
}

/// Clients and observers of one run.
struct Crew {
    stop_clients: watch::Sender<bool>,
    stop_observers: watch::Sender<bool>,
    clients: Vec<JoinHandle<ClientReport>>,
    observers: Vec<JoinHandle<Vec<SeenHead>>>,
}

impl Crew {
    async fn start(stage: &Stage<'_>, plan: ChaosPlan, started: Instant) -> Self {
        let stop_clients = watch::Sender::new(false);
        let stop_observers = watch::Sender::new(false);
        let chain_id = stage.network.call(0, "eth_chainId", json!([])).await;
        let chain_id = quantity(&chain_id).expect("a chain id");
        let clients = (0..plan.clients).map(|index| {
            let client = Client::new(stage.nodes.clone(), index, chain_id, plan.seed);
            tokio::spawn(client.run(stop_clients.subscribe(), HEALED_PATIENCE))
        });
        let clients = clients.collect();
        let observers = (0..stage.nodes.len()).map(|node| {
            let stop = stop_observers.subscribe();
            tokio::spawn(observe::watch_heads(
                stage.nodes.clone(),
                node,
                started,
                stop,
            ))
        });
        let observers = observers.collect();
        Self {
            stop_clients,
            stop_observers,
            clients,
            observers,
        }
    }

    /// Lets clients finish what they sent.
    async fn stop(self, stage: &mut Stage<'_>) -> (Vec<ClientReport>, Vec<SeenHead>) {
        self.stop_clients.send_replace(true);
        let mut reports = Vec::new();
        for mut client in self.clients {
            loop {
                tokio::select! {
                    report = &mut client => {
                        reports.push(report.expect("a client does not panic"));
                        break;
                    }
                    () = tokio::time::sleep(DEATH_WATCH) => stage.bury(),
                }
            }
        }
        self.stop_observers.send_replace(true);
        let mut seen = Vec::new();
        for observer in self.observers {
            seen.extend(observer.await.expect("an observer does not panic"));
        }
        (reports, seen)
    }
}

/// A network and everything that can be done to it.
struct Stage<'a> {
    /// Before the network: unmounted before its folder is deleted.
    disks: BTreeMap<usize, SmallDisk>,
    network: NetworkOfProcesses,
    nodes: Nodes,
    mesh: Mesh,
    clocks: Option<Clocks>,
    paused: BTreeSet<usize>,
    full: BTreeSet<usize>,
    freed: BTreeMap<usize, Instant>,
    deaths: Vec<(usize, String)>,
    deeds: BTreeMap<String, usize>,
    skipped: BTreeSet<String>,
    say: &'a (dyn Fn(&str) + Sync),
}

impl<'a> Stage<'a> {
    async fn build(plan: ChaosPlan, say: &'a (dyn Fn(&str) + Sync)) -> Self {
        let consensus = match plan.engine {
            ConsensusEngine::Qbft => "qbft",
            ConsensusEngine::Raft => "raft",
        };
        let network = NetworkOfProcesses::create_with(plan.nodes, &["--consensus", consensus]);
        let mesh = through_proxies(&network).await;
        let urls = (0..network.len())
            .map(|node| network.rpc_url(node))
            .collect();
        let mut stage = Self {
            disks: BTreeMap::new(),
            nodes: Nodes::new(urls),
            network,
            mesh: mesh.expect("files of a new network can be changed"),
            clocks: None,
            paused: BTreeSet::new(),
            full: BTreeSet::new(),
            freed: BTreeMap::new(),
            deaths: Vec::new(),
            deeds: BTreeMap::new(),
            skipped: BTreeSet::new(),
            say,
        };
        stage.mount_disks();
        stage.wind_clocks();
        stage.start_nodes().await;
        stage
    }

    fn mount_disks(&mut self) {
        for node in nodes_with_small_disks(self.network.len()) {
            match SmallDisk::mount(&self.network.node_folder(node).join("data")) {
                Ok(disk) => {
                    self.disks.insert(node, disk);
                }
                Err(reason) => self.skip(format!("full disk: {reason}")),
            }
        }
    }

    fn wind_clocks(&mut self) {
        match Clocks::new(&self.network.directory(), self.network.len()) {
            Ok(clocks) => {
                for node in 0..self.network.len() {
                    self.network.set_environment(node, clocks.environment(node));
                }
                self.clocks = Some(clocks);
            }
            Err(reason) => self.skip(format!("clock change: {reason}")),
        }
    }

    async fn start_nodes(&mut self) {
        let count = self.network.len();
        for node in 0..count {
            self.network.run(node);
        }
        for node in 0..count {
            self.network.ready(node).await;
        }
        for node in 0..count {
            self.network.linked(node, count - 1).await;
        }
    }

    fn skip(&mut self, reason: String) {
        self.skipped.insert(reason);
    }

    async fn play(&mut self, script: &Script, started: Instant) {
        for event in &script.events {
            let due = started + Duration::from_millis(event.at_ms);
            self.watch_for(due.saturating_duration_since(Instant::now()))
                .await;
            self.bury();
            self.announce(event.at_ms, event.action);
            self.perform(event.action);
        }
        let end = started + Duration::from_millis(script.duration_ms);
        self.watch_for(end.saturating_duration_since(Instant::now()))
            .await;
    }

    fn announce(&mut self, at_ms: u64, action: Action) {
        let text = format!("{action:?}");
        let name = text.split(' ').next().unwrap_or_default().to_owned();
        *self.deeds.entry(name).or_default() += 1;
        let seconds = at_ms as f64 / 1_000.0;
        (self.say)(&format!("{seconds:7.2} s  {action}"));
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Kill { node } => self.kill(node),
            Action::Start { node } => self.start(node),
            Action::Pause { node } => {
                if self.network.is_running(node) && self.paused.insert(node) {
                    self.network.signal(node, "STOP");
                }
            }
            Action::Resume { node } => self.resume(node),
            Action::SetLink { from, to, link } => self.mesh.set(from, to, link),
            Action::Break { node } => self.mesh.break_connections(node),
            Action::FillDisk { node } => self.fill_disk(node),
            Action::FreeDisk { node } => self.free_disk(node),
            Action::SetClock { node, offset_s } => self.set_clock(node, offset_s),
            Action::LoseDatabase { node } => {
                self.kill(node);
                let data = self.network.node_folder(node).join("data");
                // Not there when the node never came to make it.
                let _ = std::fs::remove_dir_all(data);
            }
        }
    }

    fn kill(&mut self, node: usize) {
        self.paused.remove(&node);
        if self.network.is_running(node) {
            self.network.kill(node);
        }
    }

    fn start(&mut self, node: usize) {
        if !self.network.is_running(node) {
            self.network.run(node);
        }
    }

    fn resume(&mut self, node: usize) {
        if self.paused.remove(&node) && self.network.is_running(node) {
            self.network.signal(node, "CONT");
        }
    }

    fn fill_disk(&mut self, node: usize) {
        let Some(disk) = self.disks.get(&node) else {
            return;
        };
        match disk.fill() {
            Ok(()) => {
                self.full.insert(node);
            }
            Err(reason) => self.skip(format!("one full disk: {reason}")),
        }
    }

    fn free_disk(&mut self, node: usize) {
        let Some(disk) = self.disks.get(&node) else {
            return;
        };
        disk.free().expect("a disk that was shrunk can grow");
        // It may have given up in this very moment.
        self.bury();
        if self.full.remove(&node) {
            self.freed.insert(node, Instant::now());
        }
        self.start(node);
    }

    fn set_clock(&mut self, node: usize, offset_s: i64) {
        if let Some(clocks) = &self.clocks {
            let set = clocks.set(node, offset_s);
            set.expect("an open file of eight bytes can be written");
        }
    }

    /// Ends every fault that is left.
    fn heal(&mut self) {
        self.mesh.open_all();
        for node in 0..self.network.len() {
            self.resume(node);
            self.set_clock(node, 0);
            if self.full.contains(&node) {
                self.free_disk(node);
            }
            self.start(node);
        }
    }

    /// Waits, looking after the nodes.
    async fn watch_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let next = (Instant::now() + DEATH_WATCH).min(end);
            tokio::time::sleep_until(next).await;
            self.bury();
        }
    }

    /// Notices nodes that ended by themselves. Only a full disk excuses that.
    fn bury(&mut self) {
        for node in 0..self.network.len() {
            let Some(status) = self.network.ended(node) else {
                continue;
            };
            let log = self.network.log(node);
            let lines: Vec<_> = log.lines().rev().take(LAST_WORDS).collect();
            let words = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            let is_excused = self.is_disk_to_blame(node) && status.code() == Some(1);
            if is_excused && is_said_of_full_disk(&words) {
                (self.say)(&format!("           node {node} gave up: its disk is full"));
            } else {
                (self.say)(&format!("           node {node} DIED: {status}\n{words}"));
                self.deaths.push((node, format!("{status}\n{words}")));
            }
            // As a supervisor would, once there is room.
            if !self.full.contains(&node) {
                self.network.run(node);
            }
        }
    }

    fn is_disk_to_blame(&self, node: usize) -> bool {
        let freed = self.freed.get(&node);
        self.full.contains(&node) || freed.is_some_and(|at| at.elapsed() < GIVING_UP_MAX)
    }

    /// Waits until all nodes stand at one head and can prove every block.
    async fn settle(&mut self, engine: ConsensusEngine) -> bool {
        let end = Instant::now() + HEALED_PATIENCE;
        let mut proven = vec![0; self.nodes.len()];
        while Instant::now() < end {
            self.bury();
            if let Some(height) = self.common_height().await
                && self.are_proven(&mut proven, height, engine).await
            {
                return true;
            }
            tokio::time::sleep(DEATH_WATCH).await;
        }
        false
    }

    async fn common_height(&self) -> Option<u64> {
        let heads = (0..self.nodes.len()).map(|node| observe::head(&self.nodes, node));
        let heads: Option<Vec<_>> = futures::future::join_all(heads).await.into_iter().collect();
        let heads = heads?;
        let are_equal = heads.windows(2).all(|pair| pair[0] == pair[1]);
        are_equal.then(|| heads[0].0)
    }

    /// Raft's certificates come after the blocks: goes on where it stopped before.
    async fn are_proven(&self, proven: &mut [u64], height: u64, engine: ConsensusEngine) -> bool {
        let count = self.nodes.len();
        let quorum = match engine {
            ConsensusEngine::Qbft => (2 * count).div_ceil(3),
            ConsensusEngine::Raft => count / 2 + 1,
        };
        for (node, proven) in proven.iter_mut().enumerate() {
            while *proven < height {
                let signers = observe::signers(&self.nodes, node, *proven + 1).await;
                if signers.unwrap_or_default() < quorum {
                    return false;
                }
                *proven += 1;
            }
        }
        true
    }

    /// Kills every node and reads its disk.
    fn history(
        &mut self,
        plan: ChaosPlan,
        reports: Vec<ClientReport>,
        seen: Vec<SeenHead>,
    ) -> History {
        let receivers: Vec<_> = (0..plan.clients).map(receiver).collect();
        let mut chains = Vec::new();
        for node in 0..self.network.len() {
            self.kill(node);
            let data = self.network.node_folder(node).join("data");
            let chain = stored_chain(&data, plan.engine, &receivers).unwrap_or_else(|reason| {
                self.deaths.push((node, format!("its disk: {reason}")));
                Default::default()
            });
            chains.push(chain);
        }
        let mut history = History {
            seen,
            chains,
            deaths: self.deaths.clone(),
            ..History::default()
        };
        for report in reports {
            history.acknowledged.extend(report.acknowledged);
            history.offered.extend(report.offered);
        }
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    #[test]
    fn recovery_counts_from_the_last_fault_to_a_height_nobody_had_shown() {
        let head = |height, at_ms| SeenHead {
            node: 0,
            height,
            block: B256::ZERO,
            at_ms,
        };
        let seen = [head(5, 100), head(7, 900), head(6, 1_100), head(8, 1_300)];
        assert_eq!(recovery(&seen, 1_000), Some(300));
        assert_eq!(recovery(&seen[..3], 1_000), None);
    }
}
