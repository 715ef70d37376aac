//! Virtual time, the network and the callers of the engines.

use super::{
    checker::{Checker, Invariant, Violation},
    crypto::SimulatedCrypto,
    node::{GENESIS, Node, operator},
    scenario::{Fault, Habit, Moment, Sabotage, Scenario},
};
use medina_consensus::{
    Ed25519Crypto, Engine, HeadInfo, Input, Output, Timer, qbft::messages::Message,
};
use medina_types::{
    Certificate, Height, HeightContext, NodePublicKey, SealedBlock, Validator, ValidatorSet,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Bit of the transaction that arrives everywhere after the faults.
const LAST_TRANSACTION: u64 = 1 << 63;
/// Longest delay of a message after the faults.
const HEALED_DELAY_MS_MAX: u64 = 10;
/// Blocks that one answer to a sync request carries.
const SYNC_BLOCKS: usize = 16;
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
enum Event {
    /// Dropped if the node restarted meanwhile.
    ToProcess { node: usize, incarnation: u32, what: Local },
    /// Bytes arrive.
    Deliver { to: usize, from: usize, bytes: Vec<u8> },
    /// A node hears of another's head.
    HeadAnnounced { to: usize, from: usize, height: Height },
    /// Blocks that `from` had arrive at `to`.
    Synced { to: usize, from: usize },
    /// A link is up.
    Connected { a: usize, b: usize },
    Transaction { node: usize, bit: u64 },
    Fault(Fault),
    Restart { node: usize },
    PartitionEnds { number: usize },
    Heal,
}

#[derive(Debug)]
enum Local {
    Timer { timer: Timer, setting: u64 },
    Tell(Input),
    Decided { height: Height },
}

#[derive(Debug)]
struct Partition {
    side: u64,
    is_one_way: bool,
    is_over: bool,
}

struct World {
    scenario: Scenario,
    rng: ChaCha8Rng,
    now_ms: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Event>,
    keys: Vec<NodePublicKey>,
    nodes: Vec<Node>,
    partitions: Vec<Partition>,
    checker: Checker,
    trace: DefaultHasher,
    is_healed: bool,
    recovered_at_ms: Option<u64>,
    crashes: u64,
    steps: u64,
    /// `MEDINA_TRACE` is set: tell every step on standard error.
    is_told: bool,
}

fn crypto_of(scenario: &Scenario, validator: usize) -> SimulatedCrypto {
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
        let keys: Vec<_> =
            (0..count).map(|index| SimulatedCrypto::secret(index).public_key()).collect();
        let validator = |(index, key): (usize, &_)| Validator { key: *key, operator: operator(index) };
        let set = ValidatorSet::new(keys.iter().enumerate().map(validator).collect())
            .expect("simulated validators are distinct");
        let context = HeightContext::genesis(set.clone());
        let judge = if scenario.has_real_crypto {
            crypto_of(&scenario, 0)
        } else {
            SimulatedCrypto::Cheap(keys[0])
        };
        let habit = |node| scenario.liars.iter().find(|(liar, _)| *liar == node).map(|(_, h)| *h);
        let mut nodes: Vec<_> =
            (0..count).map(|node| Node::new(node, habit(node), context.clone())).collect();
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
                let gossip_ms =
                    if is_first { 0 } else { self.rng.random_range(0..self.scenario.delay_ms_max) };
                let bit = 1 << (number % 63);
                self.schedule_at(at_ms + gossip_ms, Event::Transaction { node, bit });
            }
        }
        if self.scenario.sabotage != Sabotage::NoHealing {
            self.schedule_at(self.scenario.heal_at_ms, Event::Heal);
        }
    }

    fn schedule_at(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.sequence), event);
    }

    fn schedule(&mut self, after_ms: u64, event: Event) {
        self.schedule_at(self.now_ms.saturating_add(after_ms), event);
    }

    fn schedule_local(&mut self, node: usize, after_ms: u64, what: Local) {
        let incarnation = self.nodes[node].incarnation;
        self.schedule(after_ms, Event::ToProcess { node, incarnation, what });
    }

    /// Time in which an honest network must recover: one round of every liar
    /// and of a few unlucky meetings at the longest timeout.
    fn recovery_ms_max(&self) -> u64 {
        let parameters = &self.scenario.parameters;
        let base = parameters.base_timeout.as_millis() as u64;
        let longest = (parameters.timeout_max.as_millis() as u64).max(base);
        let interval = parameters.min_block_interval.as_millis() as u64;
        (self.scenario.liars.len() as u64 + 3) * longest + 4 * base + interval + 1_000
    }

    fn run_to_end(&mut self) {
        let deadline_ms = self.scenario.heal_at_ms + self.recovery_ms_max();
        let quiet_ms = 4 * self.scenario.parameters.timeout_max.as_millis() as u64;
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            let end_ms = self.recovered_at_ms.map_or(deadline_ms, |at_ms| at_ms + quiet_ms);
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
                return self.checker.report(Invariant::Liveness, self.now_ms, details);
            }
        }
        self.check_end();
    }

    fn note(&mut self, event: &Event) {
        self.now_ms.hash(&mut self.trace);
        // Debug text is stable within a build and covers every field.
        match event {
            Event::Deliver { to, from, bytes } => (to, from, bytes).hash(&mut self.trace),
            Event::ToProcess { node, incarnation, what } => {
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
                eprint!(" [{index}: {height}/{round} {step}{}]", if status.votes { "" } else { " silent" });
            }
        }
        eprintln!();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::ToProcess { node, incarnation, what } => {
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

    fn is_up(&self, node: usize) -> bool {
        self.nodes[node].engine.is_some()
    }

    fn tell(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(engine) = self.nodes[node].engine.as_mut() else { return };
        let outputs = engine.handle(now_ms, input);
        let incarnation = self.nodes[node].incarnation;
        for output in outputs {
            self.execute(node, output);
            if self.nodes[node].incarnation != incarnation {
                return;
            }
        }
    }

    fn tell_work(&mut self, node: usize) {
        let waiting = self.nodes[node].waiting() != 0;
        self.tell(node, Input::WorkWaiting { waiting });
    }

    fn tell_height(&mut self, node: usize, height: Height) {
        let Some(decided) = self.nodes[node].disk.at(height) else { return };
        let head = HeadInfo {
            height,
            hash: decided.block.hash(),
            timestamp_s: 0,
            committed_at_ms: self.now_ms,
        };
        let context = decided.context.clone();
        self.tell(node, Input::HeightDecided { height, head, context });
    }

    fn execute(&mut self, node: usize, output: Output) {
        match output {
            Output::Persist { record } => self.persist(node, record),
            Output::Send { to, bytes } => {
                let to = self.keys.iter().position(|key| *key == to);
                self.send(node, to.expect("engines address validators"), bytes);
            }
            Output::Broadcast { bytes } => {
                let others = (0..self.keys.len()).filter(|to| *to != self.nodes[node].validator);
                for to in others.collect::<Vec<_>>() {
                    self.send(node, to, bytes.clone());
                }
            }
            Output::SetTimer { timer, after } => {
                self.sequence += 1;
                let setting = self.sequence;
                self.nodes[node].timers.insert(timer, setting);
                self.schedule_local(node, milliseconds(after), Local::Timer { timer, setting });
            }
            Output::CancelTimer { timer } => {
                self.nodes[node].timers.remove(&timer);
            }
            Output::Build { height, round, .. } => self.build(node, height, round),
            Output::Check { block, fresh } => self.check(node, &block, fresh),
            Output::Commit { block, certificate } => self.commit(node, block, certificate),
            Output::SyncNeeded { from, .. } => {
                let from = self.keys.iter().position(|key| *key == from);
                self.request_blocks(node, from.expect("engines name validators"));
            }
            Output::PeerMisbehaved { peer, reason } => self.judge_accusation(node, peer, reason),
        }
    }

    fn persist(&mut self, node: usize, record: Vec<u8>) {
        let crash = self.nodes[node].crash_at_persist.take();
        if !matches!(crash, Some((Moment::Before, _))) {
            self.nodes[node].disk.record = Some(record);
        }
        if let Some((_, down_ms)) = crash {
            self.crash(node, down_ms);
        }
    }

    fn build(&mut self, node: usize, height: Height, round: medina_types::Round) {
        let fails = !self.is_healed && self.rng.random_bool(self.scenario.build_failure);
        let salt = self.rng.random();
        let block = (!fails).then(|| self.nodes[node].build(salt));
        let after_ms = self.rng.random_range(0..20);
        self.schedule_local(node, after_ms, Local::Tell(Input::BlockBuilt { height, round, block }));
    }

    fn check(&mut self, node: usize, block: &SealedBlock, fresh: bool) {
        let is_late = fresh
            && !self.is_healed
            && self.rng.random_bool(self.scenario.clock_refusal);
        let valid = self.nodes[node].accepts(block) && !is_late;
        let hash = block.hash();
        let after_ms = self.rng.random_range(0..20);
        self.schedule_local(node, after_ms, Local::Tell(Input::BlockChecked { hash, valid }));
    }

    fn commit(&mut self, node: usize, block: SealedBlock, certificate: Certificate) {
        let height = block.height();
        let crash = self.nodes[node].crash_at_commit.take();
        if !matches!(crash, Some((Moment::Before, _))) {
            self.append(node, block, certificate);
        }
        if let Some((_, down_ms)) = crash {
            return self.crash(node, down_ms);
        }
        let after_ms = self.rng.random_range(0..5);
        self.schedule_local(node, after_ms, Local::Decided { height });
    }

    /// Appends a block to a node's chain. A block that sync brought first is
    /// only compared.
    fn append(&mut self, node: usize, block: SealedBlock, certificate: Certificate) {
        let (at_ms, is_honest) = (self.now_ms, self.nodes[node].is_honest());
        let height = block.height();
        if height <= self.nodes[node].disk.height() {
            let known = self.nodes[node].disk.at(height).map(|decided| decided.block.hash());
            if is_honest && known != Some(block.hash()) {
                let details = format!("node {node} decided height {height} twice");
                self.checker.report(Invariant::Agreement, at_ms, details);
            }
            return;
        }
        if is_honest {
            let parent = self.nodes[node].disk.head_hash();
            if !self.nodes[node].accepts(&block) {
                let details = format!("node {node} committed an invalid block {height}");
                self.checker.report(Invariant::Validity, at_ms, details);
            }
            self.checker.on_block(at_ms, node, parent, &block, &certificate);
        }
        self.nodes[node].disk.append(block, certificate);
    }

    fn announce_head(&mut self, node: usize) {
        let height = self.nodes[node].disk.height();
        for to in 0..self.nodes.len() {
            if to != node && !self.is_lost(node, self.nodes[to].validator) {
                let after_ms = self.delay_ms();
                self.schedule(after_ms, Event::HeadAnnounced { to, from: node, height });
            }
        }
    }

    /// Asks some process of validator `from` for blocks.
    fn request_blocks(&mut self, to: usize, from: usize) {
        if !self.is_cut(from, to) && !self.is_cut(to, from) {
            let after_ms = 2 * self.delay_ms();
            self.schedule(after_ms, Event::Synced { to, from });
        }
    }

    fn import_from(&mut self, to: usize, from: usize) {
        if !self.is_up(to) || !self.is_up(from) {
            return;
        }
        let known = self.nodes[to].disk.chain.len();
        let theirs = self.nodes[from].disk.chain.iter().skip(known).take(SYNC_BLOCKS);
        let blocks: Vec<_> =
            theirs.map(|decided| (decided.block.clone(), decided.certificate.clone())).collect();
        if blocks.is_empty() {
            return;
        }
        for (block, certificate) in blocks {
            let height = block.height();
            // A twin's chain can only differ if agreement is broken already.
            if !self.nodes[to].accepts(&block) {
                return;
            }
            self.append(to, block, certificate);
            self.tell_height(to, height);
        }
        self.tell_work(to);
        self.request_blocks(to, from);
    }

    fn judge_accusation(&mut self, node: usize, peer: NodePublicKey, reason: String) {
        let accused = self.nodes.iter().find(|other| self.keys[other.validator] == peer);
        let is_honest = self.nodes[node].is_honest();
        if is_honest && accused.is_some_and(Node::is_honest) {
            let details = format!("node {node} accuses {peer}: {reason}");
            self.checker.report(Invariant::NoFalseAccusation, self.now_ms, details);
        }
    }

    fn delay_ms(&mut self) -> u64 {
        let max = if self.is_healed { HEALED_DELAY_MS_MAX } else { self.scenario.delay_ms_max };
        self.rng.random_range(0..=max)
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        let is_on = |side: u64, node: usize| side >> self.nodes[node].validator & 1 == 1;
        self.partitions.iter().filter(|partition| !partition.is_over).any(|partition| {
            let (sender, receiver) = (is_on(partition.side, from), is_on(partition.side, to));
            sender != receiver && (receiver || !partition.is_one_way)
        })
    }

    /// Whether a message from a node to a validator is lost on the way.
    fn is_lost(&mut self, from: usize, to: usize) -> bool {
        let is_heard =
            self.nodes[from].audience.as_ref().is_none_or(|audience| audience.contains(&to));
        let is_dropped = !self.is_healed && self.rng.random_bool(self.scenario.loss);
        !is_heard || is_dropped || self.is_cut(from, to)
    }

    /// Sends to every process of validator `to`.
    fn send(&mut self, from: usize, to: usize, mut bytes: Vec<u8>) {
        if self.nodes[from].is_honest() {
            self.checker.on_sent(self.now_ms, from, &bytes);
        }
        if self.nodes[from].habit == Some(Habit::Garbler) && self.rng.random_bool(0.3) {
            let position = self.rng.random_range(0..bytes.len());
            bytes[position] ^= 1 << self.rng.random_range(0..8);
        }
        for receiver in 0..self.nodes.len() {
            if self.nodes[receiver].validator != to || self.is_lost(from, to) {
                continue;
            }
            let is_twice = !self.is_healed && self.rng.random_bool(self.scenario.duplication);
            for _ in 0..=u8::from(is_twice) {
                let after_ms = self.delay_ms();
                let bytes = bytes.clone();
                self.schedule(after_ms, Event::Deliver { to: receiver, from, bytes });
            }
        }
    }

    fn on_connected(&mut self, a: usize, b: usize) {
        for (node, other) in [(a, b), (b, a)] {
            if self.is_up(node) && self.is_up(other) && !self.is_cut(node, other) {
                let peer = self.keys[self.nodes[other].validator];
                self.tell(node, Input::PeerConnected { peer });
                if self.nodes[other].disk.height() > self.nodes[node].disk.height() {
                    self.request_blocks(node, other);
                }
            }
        }
    }

    fn connect_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if self.nodes[other].validator != self.nodes[node].validator {
                let after_ms = self.delay_ms();
                self.schedule(after_ms, Event::Connected { a: node, b: other });
            }
        }
    }

    fn on_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash { node, down_ms } => self.crash(node, down_ms),
            Fault::CrashAtPersist { node, moment, down_ms } => {
                self.nodes[node].crash_at_persist = Some((moment, down_ms));
            }
            Fault::CrashAtCommit { node, moment, down_ms } => {
                self.nodes[node].crash_at_commit = Some((moment, down_ms));
            }
            Fault::LoseRecord { node, down_ms } => {
                // On a fresh chain a lost record cannot be told from none.
                if self.nodes[node].disk.height() == Height::GENESIS {
                    return;
                }
                self.crash(node, down_ms);
                self.nodes[node].has_lost_record = true;
                let record = &mut self.nodes[node].disk.record;
                *record = record.take().map(|bytes| bytes[..bytes.len() / 2].to_vec());
            }
            Fault::Partition { side, is_one_way, for_ms } => {
                self.partitions.push(Partition { side, is_one_way, is_over: false });
                let number = self.partitions.len() - 1;
                self.schedule(for_ms, Event::PartitionEnds { number });
            }
        }
    }

    fn crash(&mut self, node: usize, down_ms: u64) {
        if self.is_up(node) {
            self.crashes += 1;
            self.nodes[node].crash();
            self.schedule(down_ms, Event::Restart { node });
        }
        let is_forgetful = self.nodes[node].habit == Some(Habit::Amnesiac)
            || self.scenario.sabotage == Sabotage::ForgetfulHonest;
        if is_forgetful {
            self.nodes[node].disk.record = None;
        }
    }

    fn on_restart(&mut self, node: usize) {
        if self.is_up(node) {
            return;
        }
        let validator = self.nodes[node].validator;
        let crypto = crypto_of(&self.scenario, validator);
        let is_forgetful = self.nodes[node].habit == Some(Habit::Amnesiac)
            || self.scenario.sabotage == Sabotage::ForgetfulHonest;
        let (key, parameters) = (self.keys[validator], self.scenario.parameters);
        let votes_anyway = is_forgetful || self.nodes[node].is_vouched_for;
        self.nodes[node].start(key, crypto, parameters, votes_anyway);
        self.tell(node, Input::Started { now_ms: self.now_ms });
        self.tell_work(node);
        self.connect_all(node);
    }

    fn end_partition(&mut self, number: usize) {
        self.partitions[number].is_over = true;
        for node in 0..self.nodes.len() {
            self.connect_all(node);
        }
    }

    /// Everything works from now on, apart from liars.
    fn on_heal(&mut self) {
        self.is_healed = true;
        self.queue.retain(|_, event| !matches!(event, Event::Fault(_)));
        for partition in &mut self.partitions {
            partition.is_over = true;
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].crash_at_persist = None;
            self.nodes[node].crash_at_commit = None;
            self.vouch_for_newcomer(node);
            self.on_restart(node);
            self.connect_all(node);
            self.schedule(10, Event::Transaction { node, bit: LAST_TRANSACTION });
        }
    }

    /// A validator that first came up when the chain had started already looks
    /// like one that lost its record: it votes after two live blocks. Where
    /// these cannot come without it, its operator uses the override.
    fn vouch_for_newcomer(&mut self, node: usize) {
        let newcomer = &mut self.nodes[node];
        let is_voting = newcomer.engine.as_ref().is_some_and(|engine| engine.status().votes);
        let is_fresh = newcomer.disk.height() == Height::GENESIS;
        if !newcomer.has_lost_record && (is_fresh || !is_voting) {
            newcomer.crash();
            newcomer.is_vouched_for = true;
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
            (node.validator, node.habit, status, node.timers.keys().copied().collect::<Vec<_>>())
        };
        let states = || self.nodes.iter().map(state).collect::<Vec<_>>();
        if self.recovered_at_ms.is_none() {
            let details = format!("not recovered: {:?}", states());
            return self.checker.report(Invariant::Liveness, at_ms, details);
        }
        let is_quiet = self.scenario.liars.is_empty()
            && self.scenario.parameters.empty_block_period.is_none();
        let is_idle = self.nodes.iter().all(|node| node.timers.is_empty());
        if is_quiet && !is_idle {
            let details = format!("nothing to do, but: {:?}", states());
            self.checker.report(Invariant::Idleness, at_ms, details);
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
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
    scenario.transactions.iter_mut().for_each(|(_, first)| *first %= count);
    scenario.faults.iter_mut().for_each(|(_, fault)| match fault {
        Fault::Crash { node, .. }
        | Fault::CrashAtPersist { node, .. }
        | Fault::CrashAtCommit { node, .. }
        | Fault::LoseRecord { node, .. } => *node %= count,
        Fault::Partition { .. } => {}
    });
}
