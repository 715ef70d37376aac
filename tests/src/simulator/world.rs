//! Virtual time, the network and the callers of the engines.

use super::{
    checker::{Checker, Invariant, Violation},
    crypto::SimulatedCrypto,
    node::{GENESIS, Node, operator},
    scenario::{Fault, Habit, Sabotage, Scenario},
};
use medina_consensus::{Ed25519Crypto, Engine, Input, Timer, qbft::messages::Message};
use medina_types::{Height, HeightContext, NodePublicKey, Validator, ValidatorSet};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Bit of the transaction that arrives everywhere after the faults.
pub(super) const LAST_TRANSACTION: u64 = 1 << 63;
/// Steps after which a run counts as livelocked.
const STEPS_MAX: u64 = 400_000;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Hash of every step in order: equal for equal runs.
    pub trace: u64,
    /// Heights decided by honest nodes.
    pub blocks: usize,
    /// Crashes that happened.
    pub crashes: u64,
    /// Steps made.
    pub steps: u64,
    /// Virtual time from the end of the faults until all honest nodes had
    /// decided the last transaction.
    pub recovery_ms: u64,
}

/// Runs a scenario to its end.
///
/// # Errors
/// The first violated invariant.
pub fn run(scenario: Scenario) -> Result<Outcome, Violation> {
    let mut world = World::new(scenario);
    world.run_to_end();
    match world.checker.violation.take() {
        Some(violation) => Err(violation),
        None => Ok(Outcome {
            trace: world.trace.finish(),
            blocks: world.checker.blocks_decided(),
            crashes: world.crashes,
            steps: world.steps,
            recovery_ms: world.recovered_at_ms.unwrap_or_default() - world.scenario.heal_at_ms,
        }),
    }
}

/// Something that will happen to a node or to the world.
#[derive(Debug)]
pub(super) enum Event {
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
    /// Blocks that `from` had arrive at `to`.
    Synced {
        to: usize,
        from: usize,
    },
    /// A link is up.
    Connected {
        a: usize,
        b: usize,
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

#[derive(Debug)]
pub(super) enum Local {
    Timer { timer: Timer, setting: u64 },
    Tell(Input),
    Decided { height: Height },
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) side: u64,
    pub(super) is_one_way: bool,
    pub(super) is_over: bool,
}

pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) rng: ChaCha8Rng,
    pub(super) now_ms: u64,
    pub(super) sequence: u64,
    pub(super) queue: BTreeMap<(u64, u64), Event>,
    pub(super) keys: Vec<NodePublicKey>,
    pub(super) nodes: Vec<Node>,
    pub(super) partitions: Vec<Partition>,
    pub(super) checker: Checker,
    pub(super) trace: DefaultHasher,
    pub(super) is_healed: bool,
    pub(super) recovered_at_ms: Option<u64>,
    pub(super) crashes: u64,
    pub(super) steps: u64,
    /// `MEDINA_TRACE` is set: tell every step on standard error.
    pub(super) is_told: bool,
}

pub(super) fn crypto_of(scenario: &Scenario, validator: usize) -> SimulatedCrypto {
    let secret = SimulatedCrypto::secret(validator);
    match scenario.sabotage {
        Sabotage::BlindEngines => SimulatedCrypto::Blind(secret.public_key()),
        _ if scenario.has_real_crypto => SimulatedCrypto::Real(Ed25519Crypto::new(secret)),
        _ => SimulatedCrypto::Cheap(secret.public_key()),
    }
}

impl World {
    fn new(mut scenario: Scenario) -> Self {
        sabotage(&mut scenario);
        let count = scenario.validators;
        let keys: Vec<_> = (0..count)
            .map(|index| SimulatedCrypto::secret(index).public_key())
            .collect();
        let validator = |(index, key): (usize, &_)| Validator {
            key: *key,
            operator: operator(index),
        };
        let set = ValidatorSet::new(keys.iter().enumerate().map(validator).collect())
            .expect("simulated validators are distinct");
        let context = HeightContext::genesis(set.clone());
        let judge = if scenario.has_real_crypto {
            crypto_of(&scenario, 0)
        } else {
            SimulatedCrypto::Cheap(keys[0])
        };
        let habit = |node| {
            scenario
                .liars
                .iter()
                .find(|(liar, _)| *liar == node)
                .map(|(_, h)| *h)
        };
        let mut nodes: Vec<_> = (0..count)
            .map(|node| Node::new(node, habit(node), context.clone()))
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed ^ 0x6d65_6469_6e61);
        for liar in 0..count {
            if nodes[liar].habit == Some(Habit::Twins) {
                let mut twin = Node::new(liar, Some(Habit::Twins), context.clone());
                let mut hears = || (0..count).filter(|_| rng.random_bool(0.6)).collect();
                nodes[liar].audience = Some(hears());
                twin.audience = Some(hears());
                if scenario.sabotage == Sabotage::TooManyTwins {
                    // Each half of the honest sees a world of its own.
                    nodes[liar].audience = Some([0, 1, 2].into());
                    twin.audience = Some([0, 1, 3].into());
                }
                nodes.push(twin);
            }
        }
        let checker = Checker::new(&scenario, GENESIS, set, judge);
        let mut world = Self {
            scenario,
            rng,
            now_ms: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            keys,
            nodes,
            partitions: Vec::new(),
            checker,
            trace: DefaultHasher::new(),
            is_healed: false,
            recovered_at_ms: None,
            crashes: 0,
            steps: 0,
            is_told: std::env::var_os("MEDINA_TRACE").is_some(),
        };
        world.schedule_scenario();
        world
    }

    fn schedule_scenario(&mut self) {
        for node in 0..self.nodes.len() {
            let at_ms = self.rng.random_range(0..50);
            self.schedule_at(at_ms, Event::Restart { node });
        }
        for (at_ms, fault) in self.scenario.faults.clone() {
            self.schedule_at(at_ms, Event::Fault(fault));
        }
        for (number, (at_ms, first)) in self.scenario.transactions.clone().into_iter().enumerate() {
            for node in 0..self.nodes.len() {
                let is_first = self.nodes[node].validator == first;
                let gossip_ms = if is_first {
                    0
                } else {
                    self.rng.random_range(0..self.scenario.delay_ms_max)
                };
                let bit = 1 << (number % 63);
                self.schedule_at(at_ms + gossip_ms, Event::Transaction { node, bit });
            }
        }
        if self.scenario.sabotage != Sabotage::NoHealing {
            self.schedule_at(self.scenario.heal_at_ms, Event::Heal);
        }
    }

    pub(super) fn schedule_at(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue
            .insert((at_ms.max(self.now_ms), self.sequence), event);
    }

    pub(super) fn schedule(&mut self, after_ms: u64, event: Event) {
        self.schedule_at(self.now_ms.saturating_add(after_ms), event);
    }

    pub(super) fn schedule_local(&mut self, node: usize, after_ms: u64, what: Local) {
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

    /// Time in which an honest network must recover: one round of every liar
    /// and of a few unlucky meetings at the longest timeout.
    fn recovery_ms_max(&self) -> u64 {
        let parameters = &self.scenario.parameters;
        let base = milliseconds(parameters.base_timeout);
        let longest = milliseconds(parameters.timeout_max).max(base);
        let interval = milliseconds(parameters.min_block_interval);
        (self.scenario.liars.len() as u64 + 3) * longest + 4 * base + interval + 1_000
    }

    fn run_to_end(&mut self) {
        let deadline_ms = self.scenario.heal_at_ms + self.recovery_ms_max();
        let quiet_ms = 4 * milliseconds(self.scenario.parameters.timeout_max);
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            let end_ms = self
                .recovered_at_ms
                .map_or(deadline_ms, |at_ms| at_ms + quiet_ms);
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
            if self.steps > STEPS_MAX {
                let details = format!("{STEPS_MAX} steps");
                return self
                    .checker
                    .report(Invariant::Liveness, self.now_ms, details);
            }
        }
        self.check_end();
    }

    fn note(&mut self, event: &Event) {
        self.now_ms.hash(&mut self.trace);
        // Debug text is stable within a build and covers every field.
        match event {
            Event::Deliver { to, from, bytes } => (to, from, bytes).hash(&mut self.trace),
            Event::ToProcess {
                node,
                incarnation,
                what,
            } => {
                (node, incarnation).hash(&mut self.trace);
                match what {
                    Local::Timer { timer, setting } => (timer, setting).hash(&mut self.trace),
                    Local::Decided { height } => height.hash(&mut self.trace),
                    Local::Tell(input) => std::mem::discriminant(input).hash(&mut self.trace),
                }
            }
            other => format!("{other:?}").hash(&mut self.trace),
        }
        if self.is_told {
            self.tell_reader(event);
        }
    }

    fn tell_reader(&self, event: &Event) {
        let text = match event {
            Event::Deliver { to, from, bytes } => match Message::decode(bytes) {
                Ok(message) => {
                    let (kind, height, round) = (message.kind(), message.height(), message.round());
                    format!("{from} -> {to}: {kind:?} {height}/{round}")
                }
                Err(error) => format!("{from} -> {to}: {error}"),
            },
            other => format!("{other:?}").chars().take(160).collect(),
        };
        eprintln!("{:>6} {text}", self.now_ms);
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(status) = node.engine.as_ref().map(Engine::status) {
                let (height, round, step) = (status.height, status.round, status.step);
                eprint!(
                    " [{index}: {height}/{round} {step}{}]",
                    if status.votes { "" } else { " silent" }
                );
            }
        }
        eprintln!();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::ToProcess {
                node,
                incarnation,
                what,
            } => {
                if self.nodes[node].incarnation == incarnation && self.is_up(node) {
                    self.on_local(node, what);
                }
            }
            Event::Deliver { to, from, bytes } => {
                if self.is_up(to) {
                    let from = self.keys[self.nodes[from].validator];
                    self.tell(to, Input::MessageReceived { from, bytes });
                }
            }
            Event::HeadAnnounced { to, from, height } => {
                if self.is_up(to) && height > self.nodes[to].disk.height() {
                    self.request_blocks(to, from);
                }
            }
            Event::Synced { to, from } => self.import_from(to, from),
            Event::Connected { a, b } => self.on_connected(a, b),
            Event::Transaction { node, bit } => {
                self.nodes[node].known |= bit;
                self.tell_work(node);
            }
            Event::Fault(fault) => self.on_fault(fault),
            Event::Restart { node } => self.on_restart(node),
            Event::PartitionEnds { number } => self.end_partition(number),
            Event::Heal => self.on_heal(),
        }
    }

    fn on_local(&mut self, node: usize, what: Local) {
        match what {
            Local::Timer { timer, setting } => {
                if self.nodes[node].timers.get(&timer) == Some(&setting) {
                    self.nodes[node].timers.remove(&timer);
                    self.tell(node, Input::TimerFired { timer });
                }
            }
            Local::Tell(input) => self.tell(node, input),
            Local::Decided { height } => {
                self.tell_height(node, height);
                self.tell_work(node);
                self.announce_head(node);
            }
        }
    }

    fn is_recovered(&self) -> bool {
        let mut honest = self.nodes.iter().filter(|node| node.is_honest());
        honest.all(|node| node.disk.included() & LAST_TRANSACTION != 0)
    }

    fn note_recovery(&mut self) {
        if self.recovered_at_ms.is_none() && self.is_recovered() {
            self.recovered_at_ms = Some(self.now_ms);
        }
    }

    fn check_end(&mut self) {
        let at_ms = self.now_ms;
        let state = |node: &Node| {
            let engine = node.engine.as_ref();
            let status = engine.map(|engine| {
                let status = engine.status();
                (status.height.0, status.round.0, status.step, status.votes)
            });
            (
                node.validator,
                node.habit,
                status,
                node.timers.keys().copied().collect::<Vec<_>>(),
            )
        };
        let states = || self.nodes.iter().map(state).collect::<Vec<_>>();
        if self.recovered_at_ms.is_none() {
            let details = format!("not recovered: {:?}", states());
            return self.checker.report(Invariant::Liveness, at_ms, details);
        }
        let is_quiet =
            self.scenario.liars.is_empty() && self.scenario.parameters.empty_block_period.is_none();
        let is_idle = self.nodes.iter().all(|node| node.timers.is_empty());
        if is_quiet && !is_idle {
            let details = format!("nothing to do, but: {:?}", states());
            self.checker.report(Invariant::Idleness, at_ms, details);
        }
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Changes a scenario so that the defect has something to break.
fn sabotage(scenario: &mut Scenario) {
    match scenario.sabotage {
        Sabotage::Nothing | Sabotage::NoHealing => {}
        Sabotage::TooManyTwins => {
            scenario.validators = 4;
            scenario.liars = vec![(0, Habit::Twins), (1, Habit::Twins)];
            scenario.faults.clear();
        }
        Sabotage::ForgetfulHonest => scenario.liars.clear(),
        Sabotage::BlindEngines => {
            scenario.validators = 4;
            scenario.liars = vec![(0, Habit::Garbler)];
            scenario.has_real_crypto = false;
        }
    }
    let count = scenario.validators;
    scenario
        .transactions
        .iter_mut()
        .for_each(|(_, first)| *first %= count);
    scenario
        .faults
        .iter_mut()
        .for_each(|(_, fault)| match fault {
            Fault::Crash { node, .. }
            | Fault::CrashAtPersist { node, .. }
            | Fault::CrashAtCommit { node, .. }
            | Fault::LoseRecord { node, .. } => *node %= count,
            Fault::Partition { .. } => {}
        });
}
