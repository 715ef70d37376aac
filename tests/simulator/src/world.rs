//! Virtual time: one queue of events for all nodes, and the dice.

use crate::{
    block::{GENESIS, LAST_TRANSACTION, Ledger},
    checker::{Checker, Invariant, Violation},
    coverage::Coverage,
    crypto::SimulatedCrypto,
    node::Node,
    scenario::{Fault, Habit, Sabotage, Scenario},
    story::Story,
};
use medina_consensus::{Ed25519Crypto, Input, Timer};
use medina_types::{
    Certificate, ConsensusEngine, Height, HeightContext, NodePublicKey, Round, SealedBlock,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// Steps after which a short run counts as livelocked, and how many more for
/// each millisecond of faults.
const STEPS_MAX: u64 = 600_000;
const STEPS_PER_MS_MAX: u64 = 20;
/// Time without work at the end of a run with Raft: in its first half, members
/// that were removed may still find out and forget their log.
const QUIET_MS: u64 = 12_000;
/// Wall clock of a node without skew at the start of every run.
const CLOCK_START_S: u64 = 1_000_000;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Hash of every step in order: equal for equal runs.
    pub trace: u64,
    /// Heights decided by honest nodes.
    pub blocks: usize,
    /// Steps made.
    pub steps: u64,
    /// Virtual time from the end of the faults until all honest nodes had
    /// decided the last transaction.
    pub recovery_ms: u64,
    /// Most rounds that a height took after the faults.
    pub recovery_rounds: u32,
    /// Synced writes of each node, in all: how often it may die around one.
    pub synced_writes: Vec<u64>,
    /// What happened how often.
    pub coverage: Coverage,
}

/// Runs a scenario to its end.
///
/// # Errors
/// The first violated invariant; a panic of an engine is one.
pub fn run(scenario: Scenario) -> Result<Outcome, Box<Violation>> {
    run_with(scenario, Story::untold()).0
}

/// As [`run`], with the run's last events in readable lines.
pub fn run_told(scenario: Scenario) -> (Result<Outcome, Box<Violation>>, Vec<String>) {
    run_with(scenario, Story::told())
}

fn run_with(scenario: Scenario, story: Story) -> (Result<Outcome, Box<Violation>>, Vec<String>) {
    let (seed, engine) = (scenario.seed, scenario.engine);
    let mut world = World::new(scenario, story);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run_to_end()));
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.checker.violation = Some(Violation {
            invariant: Invariant::NoPanic,
            engine,
            seed,
            at_ms: world.now_ms,
            details: text.unwrap_or_else(|| "a panic without a message".to_owned()),
        });
    }
    let lines = world.story.take();
    match world.checker.violation.take() {
        Some(violation) => (Err(Box::new(violation)), lines),
        None => (Ok(world.outcome()), lines),
    }
}

/// Something that will happen to a node or to the world.
#[derive(Debug)]
pub(crate) enum Event {
    /// Dropped if the node restarted meanwhile.
    ToProcess {
        node: usize,
        incarnation: u32,
        what: Local,
    },
    /// Bytes arrive.
    Deliver {
        to: usize,
        from: usize,
        bytes: Vec<u8>,
    },
    /// A node hears of another's head.
    HeadAnnounced {
        to: usize,
        from: usize,
        height: Height,
    },
    /// Blocks that `from` has arrive at `to`.
    Served {
        to: usize,
        from: usize,
    },
    /// A link is up.
    Connected {
        a: usize,
        b: usize,
    },
    /// A link broke because a process is gone.
    Disconnected {
        gone: usize,
        at: usize,
    },
    Transaction {
        node: usize,
        bit: u64,
    },
    Fault(Fault),
    Restart {
        node: usize,
    },
    PartitionEnds {
        number: usize,
    },
    Heal,
}

/// What reaches a process: it waits while the process waits for its disk.
#[derive(Debug)]
pub(crate) enum Local {
    Timer {
        timer: Timer,
        setting: u64,
    },
    Tell(Input),
    /// A transaction arrived in the pool.
    Work,
    /// The engine's commit is on disk.
    Decided {
        height: Height,
    },
    Build {
        height: Height,
        round: Round,
    },
    Check {
        block: SealedBlock,
        fresh: bool,
        is_decided: bool,
    },
    Import {
        from: usize,
        blocks: Vec<(SealedBlock, Certificate)>,
    },
    /// Imported blocks are to be synced by now.
    Flush,
    DiskDone {
        number: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) side: u64,
    pub(crate) is_one_way: bool,
    pub(crate) is_over: bool,
}

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) ledger: Ledger,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) now_ms: u64,
    pub(crate) sequence: u64,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    pub(crate) keys: Vec<NodePublicKey>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) checker: Checker,
    pub(crate) coverage: Coverage,
    pub(crate) story: Story,
    pub(crate) trace: DefaultHasher,
    pub(crate) is_healed: bool,
    pub(crate) recovered_at_ms: Option<u64>,
    pub(crate) steps: u64,
    /// Highest round of an honest node at each height when the faults ended.
    pub(crate) rounds_at_heal: BTreeMap<Height, Round>,
    pub(crate) recovery_rounds: u32,
    /// Disk writes of all nodes at the middle of the last quiet time.
    writes_in_quiet: Option<u64>,
}

fn crypto_of(scenario: &Scenario, node: usize) -> SimulatedCrypto {
    let secret = SimulatedCrypto::secret(node);
    match scenario.sabotage {
        Sabotage::BlindEngines => SimulatedCrypto::Blind(secret.public_key()),
        _ if scenario.has_real_crypto => SimulatedCrypto::Real(Ed25519Crypto::new(secret)),
        _ => SimulatedCrypto::Cheap(secret.public_key()),
    }
}

fn checking_crypto(scenario: &Scenario) -> SimulatedCrypto {
    let secret = SimulatedCrypto::secret(0);
    if scenario.has_real_crypto {
        SimulatedCrypto::Real(Ed25519Crypto::new(secret))
    } else {
        SimulatedCrypto::Cheap(secret.public_key())
    }
}

/// Nodes, a twin of each node that has one at the end.
fn nodes(scenario: &Scenario, ledger: &Ledger, rng: &mut ChaCha8Rng) -> Vec<Node> {
    let context = HeightContext::genesis(ledger.validators_after(0));
    let new = |validator: usize| {
        let key = SimulatedCrypto::secret(validator).public_key();
        let crypto = crypto_of(scenario, validator);
        let habit = scenario.habit_of(validator);
        Node::new(validator, key, crypto, habit, context.clone())
    };
    let mut nodes: Vec<_> = (0..scenario.nodes).map(new).collect();
    for node in 0..scenario.nodes {
        if nodes[node].habit == Some(Habit::Twins) {
            let mut twin = new(node);
            let (mut one, mut other) = (BTreeSet::new(), BTreeSet::new());
            for to in 0..scenario.nodes {
                match rng.random_range(0..4) {
                    0 => {
                        one.insert(to);
                        other.insert(to);
                    }
                    1..3 => drop(if to % 2 == 0 {
                        one.insert(to)
                    } else {
                        other.insert(to)
                    }),
                    _ => drop(if rng.random_bool(0.5) {
                        one.insert(to)
                    } else {
                        other.insert(to)
                    }),
                }
            }
            nodes[node].audience = Some(one);
            twin.audience = Some(other);
            nodes.push(twin);
        }
    }
    nodes
}

impl World {
    fn new(scenario: Scenario, story: Story) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed.rotate_left(32) ^ 0x6d65_6469_6e61);
        let ledger = Ledger::new(&scenario);
        let mut nodes = nodes(&scenario, &ledger, &mut rng);
        for (node, _) in &scenario.late {
            let is_validator_from_start = *node < scenario.validators;
            nodes[*node].is_newcomer = !is_validator_from_start;
        }
        for node in &mut nodes[scenario.validators..] {
            node.is_newcomer = node.validator >= scenario.validators;
        }
        let keys = nodes
            .iter()
            .map(|node| node.key)
            .take(scenario.nodes)
            .collect();
        let checker = Checker::new(&scenario, GENESIS, checking_crypto(&scenario));
        let mut world = Self {
            ledger,
            rng,
            now_ms: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            keys,
            nodes,
            partitions: Vec::new(),
            checker,
            coverage: Coverage::of(&scenario),
            story,
            trace: DefaultHasher::new(),
            is_healed: false,
            recovered_at_ms: None,
            steps: 0,
            rounds_at_heal: BTreeMap::new(),
            recovery_rounds: 0,
            writes_in_quiet: None,
            scenario,
        };
        world.schedule_scenario();
        world
    }

    fn schedule_scenario(&mut self) {
        for node in 0..self.nodes.len() {
            let validator = self.nodes[node].validator;
            let late = self
                .scenario
                .late
                .iter()
                .find(|(late, _)| *late == validator);
            let late = late.map(|(_, at_ms)| *at_ms);
            let at_ms = late.unwrap_or_else(|| self.rng.random_range(0..50));
            self.schedule_at(at_ms, Event::Restart { node });
        }
        for (at_ms, fault) in self.scenario.faults.clone() {
            self.schedule_at(at_ms, Event::Fault(fault));
        }
        for (number, transaction) in self.scenario.transactions.clone().into_iter().enumerate() {
            for node in 0..self.nodes.len() {
                let gossip_ms = if self.nodes[node].validator == transaction.first {
                    0
                } else {
                    self.rng.random_range(0..=self.scenario.delay_ms_max)
                };
                let bit = 1 << number;
                let at_ms = transaction.at_ms + gossip_ms;
                self.schedule_at(at_ms, Event::Transaction { node, bit });
            }
        }
        if self.scenario.sabotage != Sabotage::NoHealing {
            self.schedule_at(self.scenario.heal_at_ms, Event::Heal);
        }
    }

    pub(crate) fn schedule_at(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue
            .insert((at_ms.max(self.now_ms), self.sequence), event);
    }

    pub(crate) fn schedule(&mut self, after_ms: u64, event: Event) {
        self.schedule_at(self.now_ms.saturating_add(after_ms), event);
    }

    pub(crate) fn schedule_local(&mut self, node: usize, after_ms: u64, what: Local) {
        let incarnation = self.nodes[node].incarnation;
        self.schedule(
            after_ms,
            Event::ToProcess {
                node,
                incarnation,
                what,
            },
        );
    }

    /// A node's wall clock in seconds.
    pub(crate) fn clock_s(&self, node: usize) -> u64 {
        let validator = self.nodes[node].validator;
        let is_right = self.is_healed && self.scenario.sabotage != Sabotage::UncheckedClocks;
        let skew_ms = if is_right {
            0
        } else {
            self.scenario.skews_ms[validator]
        };
        let clock_ms = (CLOCK_START_S * 1_000 + self.now_ms).saturating_add_signed(skew_ms);
        clock_ms / 1_000
    }

    /// Time in which an honest network must recover: one round of every liar
    /// and of a few unlucky meetings at the longest timeout.
    fn recovery_ms_max(&self) -> u64 {
        let parameters = &self.scenario.parameters;
        let base = milliseconds(parameters.base_timeout);
        let longest = milliseconds(parameters.timeout_max).max(base);
        let interval = milliseconds(parameters.min_block_interval);
        let changes = self
            .scenario
            .transactions
            .iter()
            .filter(|each| each.change.is_some());
        let changes = changes.count() as u64;
        (self.scenario.liars.len() as u64 + 3) * longest
            + 4 * base
            + (changes + 1) * (interval + 1_000)
            + 5_000
    }

    fn run_to_end(&mut self) {
        let deadline_ms = self.scenario.heal_at_ms + self.recovery_ms_max();
        let steps_max = STEPS_MAX + STEPS_PER_MS_MAX * self.scenario.heal_at_ms;
        let quiet_ms = match self.scenario.engine {
            ConsensusEngine::Qbft => 4 * milliseconds(self.scenario.parameters.timeout_max),
            ConsensusEngine::Raft => QUIET_MS,
        };
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            let end_ms = self
                .recovered_at_ms
                .map_or(deadline_ms, |at_ms| at_ms + quiet_ms);
            let is_late_quiet = self
                .recovered_at_ms
                .is_some_and(|from| at_ms > from + quiet_ms / 2);
            if is_late_quiet && self.writes_in_quiet.is_none() {
                self.writes_in_quiet = Some(self.writes());
            }
            if at_ms > end_ms {
                self.now_ms = end_ms;
                break;
            }
            self.now_ms = at_ms;
            self.steps += 1;
            self.note(&event);
            self.on_event(event);
            self.note_recovery();
            if self.checker.violation.is_some() {
                return;
            }
            if self.steps > steps_max {
                let details = format!("{steps_max} steps");
                return self
                    .checker
                    .report(Invariant::Liveness, self.now_ms, details);
            }
        }
        self.check_end();
    }

    fn note(&mut self, event: &Event) {
        self.now_ms.hash(&mut self.trace);
        match event {
            Event::Deliver { to, from, bytes } => (to, from, bytes).hash(&mut self.trace),
            Event::ToProcess {
                node,
                incarnation,
                what,
            } => {
                (node, incarnation, std::mem::discriminant(what)).hash(&mut self.trace);
                match what {
                    Local::Timer { timer, setting } => (timer, setting).hash(&mut self.trace),
                    Local::Check { block, .. } => block.hash().hash(&mut self.trace),
                    _ => {}
                }
            }
            // Debug text is stable within a build and covers every field.
            other => format!("{other:?}").hash(&mut self.trace),
        }
        if self.story.is_told() {
            let line = crate::story::tell(self.scenario.engine, event);
            self.story.add(self.now_ms, line);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::ToProcess {
                node,
                incarnation,
                what,
            } => {
                if self.nodes[node].incarnation == incarnation {
                    self.local(node, what);
                }
            }
            Event::Deliver { to, from, bytes } => {
                if self.is_up(to) {
                    self.on_heard_by_liar(to, from, &bytes);
                    let from = self.nodes[from].key;
                    self.local(to, Local::Tell(Input::MessageReceived { from, bytes }));
                }
            }
            Event::HeadAnnounced { to, from, height } => {
                if self.is_up(to) && height > self.nodes[to].disk.height() {
                    self.request_blocks(to, from);
                }
            }
            Event::Served { to, from } => self.on_served(to, from),
            Event::Connected { a, b } => self.on_connected(a, b),
            Event::Disconnected { gone, at } => self.on_disconnected(gone, at),
            Event::Transaction { node, bit } => {
                self.nodes[node].known |= bit;
                self.local(node, Local::Work);
            }
            Event::Fault(fault) => self.on_fault(fault),
            Event::Restart { node } => self.on_restart(node),
            Event::PartitionEnds { number } => self.end_partition(number),
            Event::Heal => self.on_heal(),
        }
    }

    fn is_recovered(&self) -> bool {
        let mut honest = self.nodes.iter().filter(|node| node.is_honest());
        honest.all(|node| node.disk.included() & LAST_TRANSACTION != 0)
    }

    fn note_recovery(&mut self) {
        if self.is_healed && self.recovered_at_ms.is_none() && self.is_recovered() {
            self.recovered_at_ms = Some(self.now_ms);
        }
    }

    fn writes(&self) -> u64 {
        self.nodes.iter().map(|node| node.disk.writes).sum()
    }

    fn outcome(self) -> Outcome {
        let recovered_at_ms = self.recovered_at_ms.unwrap_or_default();
        Outcome {
            trace: self.trace.finish(),
            blocks: self.checker.blocks_decided(),
            steps: self.steps,
            recovery_ms: recovered_at_ms.saturating_sub(self.scenario.heal_at_ms),
            recovery_rounds: self.recovery_rounds,
            synced_writes: self.nodes.iter().map(|node| node.synced_writes).collect(),
            coverage: self.coverage,
        }
    }

    /// Writes since the middle of the quiet time at the end.
    pub(crate) fn writes_while_idle(&self) -> u64 {
        self.writes_in_quiet
            .map_or(0, |before| self.writes() - before)
    }

    pub(crate) fn count_lie(&mut self, habit: Habit) {
        self.coverage.count_lie(habit);
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
