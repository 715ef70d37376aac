//! What happens in one run, drawn from its seed before it starts.

use medina_types::ConsensusParameters;
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use std::{ops::Range, time::Duration};

/// When, relative to a write, a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The write is lost.
    Before,
    /// The write is on disk, nothing after it happens.
    After,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node dies and comes back later.
    Crash {
        /// Which.
        node: usize,
        /// For how long.
        down_ms: u64,
    },
    /// It dies around its next write of the consensus record.
    CrashAtPersist {
        /// Which.
        node: usize,
        /// Before or after the write.
        moment: Moment,
        /// For how long.
        down_ms: u64,
    },
    /// It dies around its next commit.
    CrashAtCommit {
        /// Which.
        node: usize,
        /// Before or after the write.
        moment: Moment,
        /// For how long.
        down_ms: u64,
    },
    /// It dies and its record is torn when it comes back.
    LoseRecord {
        /// Which.
        node: usize,
        /// For how long.
        down_ms: u64,
    },
    /// Nodes of one side hear nothing of the other, and the reverse unless one-way.
    Partition {
        /// Bit i: node i is on the deaf side.
        side: u64,
        /// Only the side is deaf; it is still heard.
        is_one_way: bool,
        /// For how long.
        for_ms: u64,
    },
}

/// How the lying validator lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Runs two engines with one key and shows each to a part of the others.
    Twins,
    /// Forgets at every restart what it signed, and votes on.
    Amnesiac,
    /// Damages bytes of what it sends.
    Garbler,
    /// Proposes invalid blocks.
    BadBlocks,
}

/// A defect put in on purpose, to see the checker find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    Nothing,
    /// More twins than the protocol tolerates.
    TooManyTwins,
    /// A validator that counts as honest forgets its record and votes on.
    ForgetfulHonest,
    /// Engines that check no signature.
    BlindEngines,
    /// The faults never end.
    NoHealing,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where everything comes from, the network's dice included.
    pub seed: u64,
    /// Number of validators.
    pub validators: usize,
    /// Whether votes are real ed25519.
    pub has_real_crypto: bool,
    /// Times of consensus.
    pub parameters: ConsensusParameters,
    /// Validators that lie, at most f unless sabotaged.
    pub liars: Vec<(usize, Habit)>,
    /// Share of messages lost until the faults end.
    pub loss: f64,
    /// Share of messages delivered twice.
    pub duplication: f64,
    /// Longest delay of a message.
    pub delay_ms_max: u64,
    /// Share of fresh proposals refused because of the clock.
    pub clock_refusal: f64,
    /// Share of builds that fail.
    pub build_failure: f64,
    /// What goes wrong when.
    pub faults: Vec<(u64, Fault)>,
    /// When which transaction arrives, and at which node first.
    pub transactions: Vec<(u64, usize)>,
    /// When the faults end.
    pub heal_at_ms: u64,
    /// Whether all links are made anew when the faults end; else what was lost
    /// must come by repetition.
    pub has_reconnects: bool,
    /// A defect put in on purpose.
    pub sabotage: Sabotage,
}

/// Transactions of a run besides the last one; each is a bit of a block.
const TRANSACTIONS_MAX: usize = 40;

impl Scenario {
    /// The scenario of a seed. Every hundredth has real signatures.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let validators = if rng.random_bool(0.02) {
            13
        } else {
            rng.random_range(1..=7)
        };
        let heal_at_ms = rng.random_range(5_000..30_000);
        let mut scenario = Self {
            seed,
            validators,
            has_real_crypto: seed % 100 == 99,
            parameters: parameters(&mut rng),
            liars: liars(&mut rng, validators),
            loss: *[0.0, 0.0, 0.02, 0.1, 0.3]
                .choose(&mut rng)
                .expect("not empty"),
            duplication: *[0.0, 0.05, 0.3].choose(&mut rng).expect("not empty"),
            delay_ms_max: *[5, 20, 100, 400].choose(&mut rng).expect("not empty"),
            clock_refusal: *[0.0, 0.0, 0.1].choose(&mut rng).expect("not empty"),
            build_failure: *[0.0, 0.0, 0.1].choose(&mut rng).expect("not empty"),
            faults: Vec::new(),
            transactions: Vec::new(),
            heal_at_ms,
            has_reconnects: rng.random_bool(0.5),
            sabotage: Sabotage::Nothing,
        };
        let count = rng.random_range(1..TRANSACTIONS_MAX);
        scenario.transactions = (0..count)
            .map(|_| {
                (
                    rng.random_range(0..heal_at_ms),
                    rng.random_range(0..validators),
                )
            })
            .collect();
        let count = rng.random_range(0..16);
        scenario.faults = (0..count)
            .map(|_| {
                (
                    rng.random_range(0..heal_at_ms),
                    scenario.draw_fault(&mut rng),
                )
            })
            .collect();
        scenario.draw_lost_record(&mut rng);
        scenario
    }

    /// The same scenario with a defect put in.
    #[must_use]
    pub fn sabotaged(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = sabotage;
        self
    }

    fn draw_fault(&self, rng: &mut ChaCha8Rng) -> Fault {
        let node = rng.random_range(0..self.validators);
        let lengths: Range<u64> = if rng.random_bool(0.5) {
            1..200
        } else {
            200..10_000
        };
        let down_ms = rng.random_range(lengths);
        let moment = if rng.random_bool(0.5) {
            Moment::Before
        } else {
            Moment::After
        };
        match rng.random_range(0..10) {
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
            _ => Fault::Partition {
                side: rng.random_range(0..1 << self.validators),
                is_one_way: rng.random_bool(0.3),
                for_ms: down_ms,
            },
        }
    }

    /// At most one record is lost, and only where the others can go on without
    /// that validator until it has seen two blocks.
    fn draw_lost_record(&mut self, rng: &mut ChaCha8Rng) {
        if self.validators >= 4 && self.liars.is_empty() && rng.random_bool(0.2) {
            let node = rng.random_range(0..self.validators);
            let down_ms = rng.random_range(1..3_000);
            let at_ms = rng.random_range(0..self.heal_at_ms);
            self.faults
                .push((at_ms, Fault::LoseRecord { node, down_ms }));
        }
    }
}

fn parameters(rng: &mut ChaCha8Rng) -> ConsensusParameters {
    ConsensusParameters {
        base_timeout: Duration::from_millis(rng.random_range(300..1_500)),
        timeout_max: Duration::from_millis(rng.random_range(1_500..5_000)),
        min_block_interval: Duration::from_millis(*[0, 20, 100, 500].choose(rng).expect("full")),
        empty_block_period: rng.random_bool(0.1).then_some(Duration::from_secs(3)),
        ..ConsensusParameters::default()
    }
}

fn liars(rng: &mut ChaCha8Rng, validators: usize) -> Vec<(usize, Habit)> {
    if validators < 4 || rng.random_bool(0.6) {
        return Vec::new();
    }
    let habits = [
        Habit::Twins,
        Habit::Twins,
        Habit::Amnesiac,
        Habit::Garbler,
        Habit::BadBlocks,
    ];
    let faulty_max = (validators - 1) / 3;
    let first = rng.random_range(0..validators);
    let count = rng.random_range(1..=faulty_max);
    let liars = (0..count).map(|step| (first + step) % validators);
    liars
        .map(|node| (node, *habits.choose(rng).expect("not empty")))
        .collect()
}
