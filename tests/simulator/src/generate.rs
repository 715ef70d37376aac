//! The scenario of a seed.
//!
//! Dice decide everything within what the engines promise to survive: at most f
//! liars in every validator set (none with Raft), at most a minority that loses
//! its memory, and clocks that may lie as they like until the faults end.

use crate::scenario::{
    Change, Damage, Fault, HABITS, Habit, Moment, Sabotage, Scenario, Transaction,
};
use medina_types::{ConsensusEngine, ConsensusParameters};
use rand::{
    Rng, SeedableRng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use std::{ops::Range, time::Duration};

/// Transactions of a run besides the last one; each is a bit of a block.
const TRANSACTIONS_MAX: usize = 40;
/// Changes of the validator set in one run.
const CHANGES_MAX: usize = 12;
/// Share of the liars that forge, besides those that do by chance.
const FORGERS: f64 = 0.15;
/// Nodes of a run, twins apart.
const NODES_MAX: usize = 13;

impl Scenario {
    /// The scenario of a seed. Every hundredth has real signatures.
    #[must_use]
    pub fn from_seed(engine: ConsensusEngine, seed: u64) -> Self {
        let domain = match engine {
            ConsensusEngine::Qbft => 0,
            ConsensusEngine::Raft => 1 << 63,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ domain);
        let mut scenario = Self::quiet(engine, seed, draw_size(&mut rng));
        scenario.parameters = parameters(&mut rng, engine);
        scenario.heal_at_ms = rng.random_range(5_000..30_000);
        scenario.has_reconnects = rng.random_bool(0.5);
        scenario.draw_network(&mut rng);
        scenario.draw_transactions(&mut rng);
        scenario.draw_changes(&mut rng);
        scenario.draw_liars(&mut rng);
        scenario.draw_late_nodes(&mut rng);
        scenario.draw_clocks_and_disks(&mut rng);
        scenario.draw_faults(&mut rng);
        scenario.draw_amnesia(&mut rng);
        scenario
    }

    /// A run in which nothing goes wrong, to add to by hand.
    #[must_use]
    pub fn quiet(engine: ConsensusEngine, seed: u64, validators: usize) -> Self {
        Self {
            seed,
            engine,
            validators,
            nodes: validators,
            late: Vec::new(),
            has_real_crypto: seed % 100 == 99,
            parameters: ConsensusParameters {
                engine,
                ..ConsensusParameters::default()
            },
            liars: Vec::new(),
            loss: 0.0,
            duplication: 0.0,
            delay_ms_max: 10,
            skews_ms: vec![0; validators],
            disk_ms_max: vec![0; validators],
            build_failure: 0.0,
            bad_builds: 0.0,
            faults: Vec::new(),
            transactions: Vec::new(),
            heal_at_ms: 5_000,
            has_reconnects: true,
            sabotage: Sabotage::Nothing,
        }
    }

    fn draw_network(&mut self, rng: &mut ChaCha8Rng) {
        self.loss = pick(rng, &[0.0, 0.0, 0.02, 0.1, 0.3]);
        self.duplication = pick(rng, &[0.0, 0.05, 0.3]);
        self.delay_ms_max = pick(rng, &[5, 20, 100, 400]);
        self.build_failure = pick(rng, &[0.0, 0.0, 0.1]);
        // Rounds pass quickly and without end.
        if self.engine == ConsensusEngine::Qbft && rng.random_bool(0.02) {
            self.build_failure = 1.0;
            self.loss = 0.0;
            self.delay_ms_max = 5;
            self.parameters.base_timeout = Duration::from_millis(300);
            self.parameters.timeout_max = Duration::from_millis(300);
            self.heal_at_ms = self.heal_at_ms.max(20_000);
        }
        if self.engine == ConsensusEngine::Raft {
            self.bad_builds = pick(rng, &[0.0, 0.0, 0.1]);
        }
    }

    fn draw_transactions(&mut self, rng: &mut ChaCha8Rng) {
        let count = rng.random_range(1..TRANSACTIONS_MAX);
        self.transactions = (0..count)
            .map(|_| Transaction {
                at_ms: rng.random_range(0..self.heal_at_ms),
                first: rng.random_range(0..self.validators),
                change: None,
            })
            .collect();
    }

    /// A third of the runs change the set, some along 4 -> 7 -> 4 -> 1 -> 2.
    fn draw_changes(&mut self, rng: &mut ChaCha8Rng) {
        if rng.random_bool(0.03) {
            self.validators = 4;
            self.nodes = 7;
            let adds = (4..7).map(Change::Add);
            let mut removable: Vec<_> = (0..7).collect();
            removable.shuffle(rng);
            let removes = removable[..6].iter().map(|node| Change::Remove(*node));
            let changes = adds.chain(removes).chain([Change::Add(removable[0])]);
            let changes: Vec<_> = changes.collect();
            self.place_changes(rng, &changes);
        } else if rng.random_bool(0.3) {
            let strangers = rng.random_range(0..=3).min(NODES_MAX - self.validators);
            self.nodes = self.validators + strangers;
            let count = rng.random_range(1..CHANGES_MAX);
            let changes: Vec<_> = (0..count)
                .map(|_| {
                    let node = rng.random_range(0..self.nodes);
                    if rng.random_bool(0.5) {
                        Change::Add(node)
                    } else {
                        Change::Remove(node)
                    }
                })
                .collect();
            self.place_changes(rng, &changes);
        }
    }

    /// Appends changes as transactions, spread over the run or at once.
    fn place_changes(&mut self, rng: &mut ChaCha8Rng, changes: &[Change]) {
        let first_ms = rng.random_range(0..self.heal_at_ms);
        let is_burst = rng.random_bool(0.3);
        let mut times: Vec<_> = (0..changes.len())
            .map(|_| {
                if is_burst {
                    first_ms
                } else {
                    rng.random_range(0..self.heal_at_ms)
                }
            })
            .collect();
        times.sort_unstable();
        let first = rng.random_range(0..self.nodes);
        for (change, at_ms) in changes.iter().zip(times) {
            self.transactions.push(Transaction {
                at_ms,
                first,
                change: Some(*change),
            });
        }
    }

    fn draw_liars(&mut self, rng: &mut ChaCha8Rng) {
        if self.engine == ConsensusEngine::Raft || rng.random_bool(0.5) {
            return;
        }
        let mut nodes: Vec<_> = (0..self.nodes).collect();
        nodes.shuffle(rng);
        let wanted = rng.random_range(1..=4);
        for node in nodes {
            // A forger has the most ways to lie.
            let habit = if rng.random_bool(FORGERS) {
                Habit::Forger
            } else {
                pick(rng, &HABITS)
            };
            self.liars.push((node, habit));
            let is_useful = self.validators >> 2 != 0;
            if !is_useful || self.liars.len() > wanted || !self.tolerates_liars(0) {
                self.liars.pop();
            }
        }
    }

    /// Whether every set of the run has at most f liars, with room for `more`.
    fn tolerates_liars(&self, more: u32) -> bool {
        let liars = self
            .liars
            .iter()
            .fold(0_u64, |bits, (node, _)| bits | 1 << node);
        self.member_sets().iter().all(|members| {
            let faulty_max = (members.count_ones() - 1) / 3;
            (members & liars).count_ones() + more <= faulty_max
        })
    }

    fn draw_late_nodes(&mut self, rng: &mut ChaCha8Rng) {
        for node in 0..self.nodes {
            let share = if node < self.validators { 0.03 } else { 0.6 };
            if rng.random_bool(share) {
                self.late.push((node, rng.random_range(0..self.heal_at_ms)));
            }
        }
    }

    fn draw_clocks_and_disks(&mut self, rng: &mut ChaCha8Rng) {
        let skew_ms_max = pick(rng, &[0, 0, 500, 4_000, 60_000]);
        let disk_ms_max: u64 = pick(rng, &[0, 0, 0, 5, 50, 300]);
        let draw = |_| rng.random_range(-skew_ms_max..=skew_ms_max);
        self.skews_ms = (0..self.nodes).map(draw).collect();
        let draw = |_| if rng.random_bool(0.5) { disk_ms_max } else { 0 };
        self.disk_ms_max = (0..self.nodes).map(draw).collect();
    }

    fn draw_faults(&mut self, rng: &mut ChaCha8Rng) {
        let count = rng.random_range(0..16);
        self.faults = (0..count)
            .map(|_| (rng.random_range(0..self.heal_at_ms), self.draw_fault(rng)))
            .collect();
    }

    fn draw_fault(&self, rng: &mut ChaCha8Rng) -> Fault {
        let node = rng.random_range(0..self.nodes);
        let lengths: Range<u64> = if rng.random_bool(0.5) {
            1..200
        } else {
            200..10_000
        };
        let down_ms = rng.random_range(lengths);
        let moment = pick(rng, &[Moment::Before, Moment::After]);
        match rng.random_range(0..11) {
            0..2 => Fault::Crash { node, down_ms },
            2..5 => Fault::CrashAtPersist {
                node,
                moment,
                down_ms,
            },
            5..7 => Fault::CrashAtCommit {
                node,
                moment,
                down_ms,
            },
            7 => Fault::CrashAtWrite {
                node,
                number: rng.random_range(0..60),
                moment,
                down_ms,
            },
            _ => Fault::Partition {
                side: rng.random_range(0..1 << self.nodes),
                is_one_way: rng.random_bool(0.3),
                for_ms: down_ms,
            },
        }
    }

    /// Some nodes lose their memory, and only where the others can go on
    /// without them: with QBFT one that counts among the f faulty of every set
    /// (a lone validator or a pair needs no exception, see the engine), with
    /// Raft a minority of every set.
    fn draw_amnesia(&mut self, rng: &mut ChaCha8Rng) {
        if !rng.random_bool(0.25) {
            return;
        }
        let smallest = self
            .member_sets()
            .iter()
            .map(|members| members.count_ones())
            .min();
        let smallest = smallest.unwrap_or_default();
        let count = match self.engine {
            ConsensusEngine::Qbft => u32::from(self.tolerates_liars(1) || self.liars.is_empty()),
            ConsensusEngine::Raft => smallest.saturating_sub(1) / 2,
        };
        for _ in 0..count.min(2) {
            let node = rng.random_range(0..self.nodes);
            let down_ms = rng.random_range(1..3_000);
            let at_ms = rng.random_range(0..self.heal_at_ms);
            let damages = [
                Damage::Missing,
                Damage::Truncated,
                Damage::Flipped,
                Damage::Torn,
            ];
            let damage = pick(rng, &damages);
            let may_lose_disk = self.engine == ConsensusEngine::Raft || self.tolerates_liars(1);
            let fault = if may_lose_disk && rng.random_bool(0.3) {
                Fault::LoseDisk { node, down_ms }
            } else {
                Fault::LoseRecord {
                    node,
                    damage,
                    down_ms,
                }
            };
            if self.habit_of(node).is_none() {
                self.faults.push((at_ms, fault));
            }
        }
    }
}

fn draw_size(rng: &mut ChaCha8Rng) -> usize {
    match rng.random_range(0..50) {
        0 => 13,
        1..4 => rng.random_range(8..=12),
        _ => rng.random_range(1..=7),
    }
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    *choices.choose(rng).expect("choices are written out")
}

fn parameters(rng: &mut ChaCha8Rng, engine: ConsensusEngine) -> ConsensusParameters {
    ConsensusParameters {
        engine,
        base_timeout: Duration::from_millis(rng.random_range(300..1_500)),
        timeout_max: Duration::from_millis(rng.random_range(1_500..5_000)),
        min_block_interval: Duration::from_millis(pick(rng, &[0, 20, 100, 500])),
        empty_block_period: rng.random_bool(0.1).then_some(Duration::from_secs(3)),
        clock_tolerance: Duration::from_secs(pick(rng, &[1, 2, 5])),
    }
}

/// Changes a scenario so that the defect has something to break.
pub(crate) fn prepare_sabotage(scenario: &mut Scenario) {
    match scenario.sabotage {
        Sabotage::Nothing | Sabotage::NoHealing => {}
        Sabotage::TooManyTwins => {
            scenario.set_members(4);
            scenario.liars = vec![(0, Habit::Twins), (1, Habit::Twins)];
            scenario.faults.clear();
        }
        Sabotage::ForgetfulHonest => scenario.liars.clear(),
        Sabotage::BlindEngines => {
            scenario.set_members(4);
            scenario.liars = vec![(0, Habit::Garbler)];
            scenario.has_real_crypto = false;
        }
        Sabotage::DisputedEntries => scenario.bad_builds = 0.5,
        Sabotage::UncheckedImport => {
            scenario.set_members(4);
            scenario.liars = vec![(3, Habit::Withholder)];
        }
        Sabotage::UncheckedClocks => {
            scenario.skews_ms = vec![0; scenario.nodes];
            scenario.skews_ms[0] = 3_600_000;
        }
    }
}

impl Scenario {
    /// Cuts the run to a fixed set of this many validators.
    pub(crate) fn set_members(&mut self, validators: usize) {
        self.validators = validators;
        self.nodes = validators;
        self.transactions
            .retain(|transaction| transaction.change.is_none());
        self.fit();
    }

    /// Drops or moves whatever names a node that does not exist.
    pub(crate) fn fit(&mut self) {
        let nodes = self.nodes;
        self.skews_ms.resize(nodes, 0);
        self.disk_ms_max.resize(nodes, 0);
        self.late.retain(|(node, _)| *node < nodes);
        self.liars.retain(|(node, _)| *node < nodes);
        self.faults
            .retain(|(_, fault)| fault.node().is_none_or(|node| node < nodes));
        self.transactions
            .retain(|transaction| match transaction.change {
                Some(Change::Add(node) | Change::Remove(node)) => node < nodes,
                None => true,
            });
        for transaction in &mut self.transactions {
            transaction.first %= nodes;
        }
    }
}
