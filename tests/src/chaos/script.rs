//! What happens when: a list of faults drawn from a seed.
//!
//! The list is a function of the seed, the number of nodes and the duration, so
//! that a seed replays the same faults; when processes get their turn is up to
//! the machine. Kinds of faults are dealt from a shuffled deck: a script that is
//! long enough holds every kind. Each fault ends before the script does, and no
//! two faults of one kind hold the same node or link at the same time. They may
//! well hold more than f nodes: the chain then stops, and must go on by itself.

use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// Time before the first fault and after the last one.
const MARGIN_MS: u64 = 500;
/// Shortest and longest time from one fault to the next.
const GAP_MS: std::ops::RangeInclusive<u64> = 100..=1_300;
/// Shortest and longest fault.
const LENGTH_MS: std::ops::RangeInclusive<u64> = 300..=4_000;

/// What a link does to bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Passes them on.
    Open,
    /// Holds them back; nothing is lost, as TCP would send it again.
    Cut,
    /// As [`Self::Cut`], and new connections are closed at once, as behind a
    /// firewall or while a machine has no address.
    Refused,
    /// Passes them on later.
    Slow {
        /// By how much.
        delay_ms: u64,
    },
    /// Passes few of them on.
    Narrow {
        /// How many.
        bytes_per_s: u64,
    },
}

/// One deed of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill {
        /// The victim.
        node: usize,
    },
    /// Starts a node that does not run.
    Start {
        /// Which.
        node: usize,
    },
    /// SIGSTOP.
    Pause {
        /// The victim.
        node: usize,
    },
    /// SIGCONT.
    Resume {
        /// Which.
        node: usize,
    },
    /// Changes one direction of a link.
    SetLink {
        /// Sender of the bytes.
        from: usize,
        /// Receiver of the bytes.
        to: usize,
        /// What happens to them from now on.
        link: Link,
    },
    /// Closes all connections of a node; it may connect again at once.
    Break {
        /// The victim.
        node: usize,
    },
    /// No further byte fits on the disk of a node.
    FillDisk {
        /// The victim.
        node: usize,
    },
    /// There is room again; a node that gave up is started as a supervisor would.
    FreeDisk {
        /// Which.
        node: usize,
    },
    /// The wall clock of a node jumps.
    SetClock {
        /// Whose.
        node: usize,
        /// Ahead of the machine's clock.
        offset_s: i64,
    },
    /// SIGKILL, and the database is gone. Once per script: who loses several
    /// consensus records at a time has lost promises.
    LoseDatabase {
        /// The victim.
        node: usize,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node } => write!(formatter, "kill -9 node {node}"),
            Self::Start { node } => write!(formatter, "start node {node}"),
            Self::Pause { node } => write!(formatter, "SIGSTOP node {node}"),
            Self::Resume { node } => write!(formatter, "SIGCONT node {node}"),
            Self::SetLink { from, to, link } => write!(formatter, "link {from} to {to}: {link:?}"),
            Self::Break { node } => write!(formatter, "close connections of node {node}"),
            Self::FillDisk { node } => write!(formatter, "disk of node {node} full"),
            Self::FreeDisk { node } => write!(formatter, "disk of node {node} has room"),
            Self::SetClock { node, offset_s } => {
                write!(formatter, "clock of node {node} {offset_s:+} s")
            }
            Self::LoseDatabase { node } => write!(formatter, "kill -9 node {node}, database lost"),
        }
    }
}

/// A deed and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the script's start.
    pub at_ms: u64,
    /// What to do.
    pub action: Action,
}

/// Everything that is done to a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where it came from.
    pub seed: u64,
    /// Nodes of the network.
    pub nodes: usize,
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// In the order of time.
    pub events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    KillOne,
    KillSeveral,
    PauseOne,
    PauseSeveral,
    Isolate,
    Refuse,
    Split,
    Mute,
    Deafen,
    Slow,
    Narrow,
    Break,
    FullDisk,
    Clock,
    AllClocks,
    LostDatabase,
}

/// Every kind, the likelier ones twice.
const DECK: [Kind; 18] = [
    Kind::KillOne,
    Kind::KillOne,
    Kind::KillSeveral,
    Kind::PauseOne,
    Kind::PauseSeveral,
    Kind::Isolate,
    Kind::Refuse,
    Kind::Split,
    Kind::Split,
    Kind::Mute,
    Kind::Deafen,
    Kind::Slow,
    Kind::Narrow,
    Kind::Break,
    Kind::FullDisk,
    Kind::Clock,
    Kind::AllClocks,
    Kind::LostDatabase,
];

/// Nodes whose disk can be filled: the last one, of seven the last two.
#[must_use]
pub fn nodes_with_small_disks(nodes: usize) -> std::ops::Range<usize> {
    nodes - (nodes / 3).clamp(1, 2)..nodes
}

impl Script {
    /// The script of a seed.
    #[must_use]
    pub fn generate(seed: u64, nodes: usize, duration_ms: u64) -> Self {
        let mut author = Author {
            random: ChaCha8Rng::seed_from_u64(seed),
            nodes,
            end_ms: duration_ms.saturating_sub(MARGIN_MS),
            process_free_ms: vec![0; nodes],
            clock_free_ms: vec![0; nodes],
            link_free_ms: vec![vec![0; nodes]; nodes],
            has_lost_database: false,
            events: Vec::new(),
        };
        author.write();
        let mut events = author.events;
        // Stable: what ends a fault was written after what began it.
        events.sort_by_key(|event| event.at_ms);
        Self {
            seed,
            nodes,
            duration_ms,
            events,
        }
    }
}

struct Author {
    random: ChaCha8Rng,
    nodes: usize,
    end_ms: u64,
    process_free_ms: Vec<u64>,
    clock_free_ms: Vec<u64>,
    link_free_ms: Vec<Vec<u64>>,
    has_lost_database: bool,
    events: Vec<Event>,
}

impl Author {
    fn write(&mut self) {
        let mut deck = Vec::new();
        let mut at_ms = MARGIN_MS;
        while at_ms + LENGTH_MS.start() < self.end_ms {
            if deck.is_empty() {
                deck.extend(DECK);
                deck.shuffle(&mut self.random);
            }
            let until_ms = (at_ms + self.random.random_range(LENGTH_MS)).min(self.end_ms);
            if let Some(kind) = deck.pop() {
                self.deal(kind, at_ms, until_ms);
            }
            at_ms += self.random.random_range(GAP_MS);
        }
    }

    fn deal(&mut self, kind: Kind, at_ms: u64, until_ms: u64) {
        match kind {
            Kind::KillOne => self.kill(1, at_ms, until_ms),
            Kind::KillSeveral => {
                let count = self.random.random_range(self.nodes.min(2)..=self.nodes);
                self.kill(count, at_ms, until_ms);
            }
            Kind::PauseOne => self.pause(1, at_ms, until_ms),
            Kind::PauseSeveral => self.pause(self.nodes / 3 + 1, at_ms, until_ms),
            Kind::Isolate | Kind::Refuse => {
                let victim = self.any_node();
                let link = match kind {
                    Kind::Refuse => Link::Refused,
                    _ => Link::Cut,
                };
                self.links(link, at_ms, until_ms, |from, to| {
                    from == victim || to == victim
                });
                if kind == Kind::Refuse {
                    self.push(at_ms, Action::Break { node: victim });
                }
            }
            Kind::Split => {
                let sides: Vec<bool> = (0..self.nodes).map(|_| self.random.random()).collect();
                self.links(Link::Cut, at_ms, until_ms, |from, to| {
                    sides[from] != sides[to]
                });
            }
            Kind::Mute => {
                let victim = self.any_node();
                self.links(Link::Cut, at_ms, until_ms, |from, _| from == victim);
            }
            Kind::Deafen => {
                let victim = self.any_node();
                self.links(Link::Cut, at_ms, until_ms, |_, to| to == victim);
            }
            Kind::Slow => {
                let delay_ms = self.random.random_range(20..=800);
                let victim = self.any_node();
                self.links(Link::Slow { delay_ms }, at_ms, until_ms, |from, to| {
                    from == victim || to == victim
                });
            }
            Kind::Narrow => {
                let bytes_per_s = self.random.random_range(2_000..=60_000);
                let victim = self.any_node();
                self.links(Link::Narrow { bytes_per_s }, at_ms, until_ms, |from, to| {
                    from == victim || to == victim
                });
            }
            Kind::Break => {
                let node = self.any_node();
                self.push(at_ms, Action::Break { node });
            }
            Kind::FullDisk => {
                let node = self.random.random_range(nodes_with_small_disks(self.nodes));
                if self.take_process(node, at_ms, until_ms) {
                    self.push(at_ms, Action::FillDisk { node });
                    self.push(until_ms, Action::FreeDisk { node });
                }
            }
            Kind::Clock => {
                let node = self.any_node();
                self.clock(node, at_ms, until_ms);
            }
            Kind::AllClocks => self.all_clocks(at_ms, until_ms),
            Kind::LostDatabase => self.lose_database(at_ms, until_ms),
        }
    }

    fn push(&mut self, at_ms: u64, action: Action) {
        self.events.push(Event { at_ms, action });
    }

    fn any_node(&mut self) -> usize {
        self.random.random_range(0..self.nodes)
    }

    fn some_nodes(&mut self, count: usize) -> Vec<usize> {
        let mut nodes: Vec<usize> = (0..self.nodes).collect();
        nodes.shuffle(&mut self.random);
        nodes.truncate(count);
        nodes
    }

    fn take_process(&mut self, node: usize, at_ms: u64, until_ms: u64) -> bool {
        let is_free = self.process_free_ms[node] <= at_ms;
        if is_free {
            // Not the same moment: what ends one fault must not follow the next one's begin.
            self.process_free_ms[node] = until_ms + 1;
        }
        is_free
    }

    fn kill(&mut self, count: usize, at_ms: u64, until_ms: u64) {
        for node in self.some_nodes(count) {
            if self.take_process(node, at_ms, until_ms) {
                self.push(at_ms, Action::Kill { node });
                self.push(until_ms, Action::Start { node });
            }
        }
    }

    fn pause(&mut self, count: usize, at_ms: u64, until_ms: u64) {
        for node in self.some_nodes(count) {
            if self.take_process(node, at_ms, until_ms) {
                self.push(at_ms, Action::Pause { node });
                self.push(until_ms, Action::Resume { node });
            }
        }
    }

    fn lose_database(&mut self, at_ms: u64, until_ms: u64) {
        // Small disks are mounted folders, which cannot be deleted. A network of
        // one has nobody to get the chain back from.
        let healthy = 0..nodes_with_small_disks(self.nodes).start;
        if healthy.is_empty() {
            return;
        }
        let node = self.random.random_range(healthy);
        if !self.has_lost_database && self.take_process(node, at_ms, until_ms) {
            self.has_lost_database = true;
            self.push(at_ms, Action::LoseDatabase { node });
            self.push(until_ms, Action::Start { node });
        }
    }

    fn links(
        &mut self,
        link: Link,
        at_ms: u64,
        until_ms: u64,
        is_hit: impl Fn(usize, usize) -> bool,
    ) {
        for from in 0..self.nodes {
            for to in (0..self.nodes).filter(|to| *to != from) {
                if is_hit(from, to) && self.link_free_ms[from][to] <= at_ms {
                    self.link_free_ms[from][to] = until_ms + 1;
                    self.push(at_ms, Action::SetLink { from, to, link });
                    let link = Link::Open;
                    self.push(until_ms, Action::SetLink { from, to, link });
                }
            }
        }
    }

    fn clock(&mut self, node: usize, at_ms: u64, until_ms: u64) {
        let offset_s = self.offset_s();
        self.set_clock(node, offset_s, at_ms, until_ms);
    }

    /// All clocks jump by the same amount and back again, as after a bad time server.
    fn all_clocks(&mut self, at_ms: u64, until_ms: u64) {
        let offset_s = self.offset_s();
        for node in 0..self.nodes {
            self.set_clock(node, offset_s, at_ms, until_ms);
        }
    }

    fn offset_s(&mut self) -> i64 {
        let size = [2, 4, 30, 3_600][self.random.random_range(0..4)];
        if self.random.random() { size } else { -size }
    }

    fn set_clock(&mut self, node: usize, offset_s: i64, at_ms: u64, until_ms: u64) {
        if self.clock_free_ms[node] <= at_ms {
            self.clock_free_ms[node] = until_ms + 1;
            self.push(at_ms, Action::SetClock { node, offset_s });
            self.push(until_ms, Action::SetClock { node, offset_s: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What is broken after a script; empty when it cleans up behind itself.
    fn left_broken(script: &Script) -> BTreeSet<String> {
        let mut broken = BTreeSet::new();
        for event in &script.events {
            match event.action {
                Action::Kill { node } | Action::LoseDatabase { node } => {
                    assert!(broken.insert(format!("process {node}")), "{script:?}");
                }
                Action::Pause { node } | Action::FillDisk { node } => {
                    assert!(broken.insert(format!("process {node}")), "{script:?}");
                }
                Action::Start { node } | Action::Resume { node } | Action::FreeDisk { node } => {
                    assert!(broken.remove(&format!("process {node}")), "{script:?}");
                }
                Action::SetLink { from, to, link } => {
                    let name = format!("link {from} {to}");
                    let changed = match link {
                        Link::Open => broken.remove(&name),
                        _ => broken.insert(name),
                    };
                    assert!(changed, "{script:?}");
                }
                Action::SetClock { node, offset_s } => {
                    let name = format!("clock {node}");
                    let changed = match offset_s {
                        0 => broken.remove(&name),
                        _ => broken.insert(name),
                    };
                    assert!(changed, "{script:?}");
                }
                Action::Break { .. } => {}
            }
        }
        broken
    }

    #[test]
    fn same_seed_writes_the_same_script_and_another_seed_another() {
        let script = Script::generate(7, 4, 20_000);
        assert_eq!(script, Script::generate(7, 4, 20_000));
        assert_ne!(script.events, Script::generate(8, 4, 20_000).events);
    }

    #[test]
    fn every_fault_ends_before_the_script_does() {
        for seed in 0..200 {
            for nodes in [1, 4, 7] {
                let script = Script::generate(seed, nodes, 20_000);
                assert_eq!(left_broken(&script), BTreeSet::new());
                assert!(script.events.iter().all(|event| event.at_ms < 20_000));
            }
        }
    }

    #[test]
    fn long_scripts_hold_every_kind_of_fault() {
        let mut kinds = BTreeSet::new();
        for event in Script::generate(1, 7, 60_000).events {
            let text = format!("{:?}", event.action);
            kinds.insert(text.split(' ').next().unwrap().to_owned());
        }
        assert_eq!(kinds.len(), 10, "{kinds:?}");
    }

    #[test]
    fn database_is_lost_at_most_once() {
        for seed in 0..50 {
            let script = Script::generate(seed, 7, 120_000);
            let losses = script
                .events
                .iter()
                .filter(|event| matches!(event.action, Action::LoseDatabase { .. }));
            assert!(losses.count() <= 1);
        }
    }
}
