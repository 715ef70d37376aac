//! What happens in one run: plain data, drawn from a seed by [`crate::generate`]
//! or written by hand, and made smaller when a run fails.

use medina_types::{ConsensusEngine, ConsensusParameters};
use std::fmt;

/// When, relative to a write, a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The write is lost.
    Before,
    /// The write is on disk, nothing after it happens.
    After,
}

/// What a lost consensus record looks like when the node comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// There is none.
    Missing,
    /// Its tail is gone.
    Truncated,
    /// One bit is another.
    Flipped,
    /// The next write of it stops in the middle: the head is new, the rest old.
    Torn,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node dies and comes back later. What it wrote without sync may be gone.
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
    /// It dies around the synced write of this number (record, commit or flush
    /// of imported blocks), counted from the start of the run.
    CrashAtWrite {
        /// Which.
        node: usize,
        /// Number of the write, from 0.
        number: u64,
        /// Before or after the write.
        moment: Moment,
        /// For how long.
        down_ms: u64,
    },
    /// It dies and its record is damaged when it comes back.
    LoseRecord {
        /// Which.
        node: usize,
        /// How it is damaged.
        damage: Damage,
        /// For how long.
        down_ms: u64,
    },
    /// It dies and comes back with an empty disk.
    LoseDisk {
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

impl Fault {
    /// The node that it strikes; `None` for the network's faults.
    #[must_use]
    pub fn node(&self) -> Option<usize> {
        match self {
            Self::Crash { node, .. }
            | Self::CrashAtPersist { node, .. }
            | Self::CrashAtCommit { node, .. }
            | Self::CrashAtWrite { node, .. }
            | Self::LoseRecord { node, .. }
            | Self::LoseDisk { node, .. } => Some(*node),
            Self::Partition { .. } => None,
        }
    }

    /// Whether the node may have forgotten what it signed.
    #[must_use]
    pub fn is_amnesia(&self) -> bool {
        matches!(self, Self::LoseRecord { .. } | Self::LoseDisk { .. })
    }
}

/// How a lying validator lies. With Raft nobody lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// Runs two engines with one key and shows each to a part of the others.
    Twins,
    /// Forgets at every restart what it signed, and votes on.
    Amnesiac,
    /// Damages bytes of what it sends.
    Garbler,
    /// Proposes invalid blocks.
    BadBlocks,
    /// Proposes one block to some and another to the rest, and votes likewise.
    Equivocator,
    /// Votes for every proposal at once, without checking, in every round.
    DoubleVoter,
    /// Proposes and changes rounds with forged, duplicated or missing justification.
    Forger,
    /// Sends its votes to a few only.
    Withholder,
    /// Says again what it or others said long ago.
    Replayer,
    /// Signs its votes wrongly.
    BadSeals,
    /// Asks for rounds far ahead, and for the next one on every idle head.
    Rusher,
    /// Sends hundreds of messages of many rounds at once.
    Flooder,
}

/// All habits.
pub const HABITS: [Habit; 12] = [
    Habit::Twins,
    Habit::Amnesiac,
    Habit::Garbler,
    Habit::BadBlocks,
    Habit::Equivocator,
    Habit::DoubleVoter,
    Habit::Forger,
    Habit::Withholder,
    Habit::Replayer,
    Habit::BadSeals,
    Habit::Rusher,
    Habit::Flooder,
];

/// A defect put in on purpose, to see the checker find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    Nothing,
    /// More twins than the protocol tolerates.
    TooManyTwins,
    /// Every node forgets its record at every crash and goes on as if it had not.
    ForgetfulHonest,
    /// Engines that check no signature.
    BlindEngines,
    /// The faults never end.
    NoHealing,
    /// Nodes of a replicated log disagree about which entries are valid.
    DisputedEntries,
    /// Imported blocks are not checked for a quorum, and everybody lies in sync.
    UncheckedImport,
    /// The proposers' clocks are not checked, and some are hours ahead.
    UncheckedClocks,
}

/// A change of the validator set, as a transaction carries it. Changes take
/// effect in the order of their transactions; one that would leave no validator,
/// add a member or remove a stranger has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This node becomes a validator.
    Add(usize),
    /// This node is one no more.
    Remove(usize),
}

/// A transaction of a run; its place in the list is its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// When it arrives.
    pub at_ms: u64,
    /// At which node first.
    pub first: usize,
    /// What it does to the validator set.
    pub change: Option<Change>,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Where everything comes from, the network's dice included.
    pub seed: u64,
    /// Which engine runs on all nodes.
    pub engine: ConsensusEngine,
    /// The first this many nodes are the validators of the first height.
    pub validators: usize,
    /// Nodes in all. The others follow, and validate once they are added.
    pub nodes: usize,
    /// Nodes that start later than the rest, and when.
    pub late: Vec<(usize, u64)>,
    /// Whether votes are real ed25519.
    pub has_real_crypto: bool,
    /// Times of consensus.
    pub parameters: ConsensusParameters,
    /// Nodes that lie; of every validator set at most f unless sabotaged.
    pub liars: Vec<(usize, Habit)>,
    /// Share of messages lost until the faults end.
    pub loss: f64,
    /// Share of messages delivered twice.
    pub duplication: f64,
    /// Longest delay of a message.
    pub delay_ms_max: u64,
    /// How far each node's wall clock is ahead until the faults end.
    pub skews_ms: Vec<i64>,
    /// Longest time that each node's disk takes for a synced write.
    pub disk_ms_max: Vec<u64>,
    /// Share of builds that fail.
    pub build_failure: f64,
    /// Share of a Raft leader's builds that give a block which no node can
    /// apply; the leader dies with it in its log.
    pub bad_builds: f64,
    /// What goes wrong when.
    pub faults: Vec<(u64, Fault)>,
    /// What is to be put into blocks.
    pub transactions: Vec<Transaction>,
    /// When the faults end.
    pub heal_at_ms: u64,
    /// Whether all links are made anew when the faults end; else what was lost
    /// must come by repetition.
    pub has_reconnects: bool,
    /// A defect put in on purpose.
    pub sabotage: Sabotage,
}

impl Scenario {
    /// The same scenario with a defect put in.
    #[must_use]
    pub fn sabotaged(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = sabotage;
        crate::generate::prepare_sabotage(&mut self);
        self
    }

    /// Members of every validator set that the run may come through, the first
    /// one first, as bits.
    #[must_use]
    pub fn member_sets(&self) -> Vec<u64> {
        let changes = self.transactions.iter().filter_map(|each| each.change);
        let mut sets = vec![(1 << self.validators) - 1];
        for change in changes {
            let members = *sets.last().expect("never empty");
            sets.push(changed(members, change).unwrap_or(members));
        }
        sets
    }

    /// Validators that lie.
    #[must_use]
    pub fn habit_of(&self, node: usize) -> Option<Habit> {
        let liar = self.liars.iter().find(|(liar, _)| *liar == node);
        liar.map(|(_, habit)| *habit)
    }
}

/// Members after a change; `None` when it has no effect.
pub(crate) fn changed(members: u64, change: Change) -> Option<u64> {
    match change {
        Change::Add(node) if members >> node & 1 == 0 => Some(members | 1 << node),
        Change::Remove(node) if members >> node & 1 == 1 && members.count_ones() > 1 => {
            Some(members & !(1 << node))
        }
        _ => None,
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = &self.parameters;
        writeln!(
            formatter,
            "seed {} {:?}: {} validators, {} nodes, faults end at {} ms",
            self.seed, self.engine, self.validators, self.nodes, self.heal_at_ms
        )?;
        writeln!(
            formatter,
            "  timeouts {:?} to {:?}, block interval {:?}, heartbeat {:?}, clock tolerance {:?}",
            parameters.base_timeout,
            parameters.timeout_max,
            parameters.min_block_interval,
            parameters.empty_block_period,
            parameters.clock_tolerance
        )?;
        writeln!(
            formatter,
            "  loss {}, duplication {}, delay up to {} ms, failed builds {}, bad builds {}{}{}",
            self.loss,
            self.duplication,
            self.delay_ms_max,
            self.build_failure,
            self.bad_builds,
            if self.has_real_crypto {
                ", ed25519"
            } else {
                ""
            },
            if self.has_reconnects {
                ", links made anew"
            } else {
                ""
            }
        )?;
        let not_zero = |values: &[i64]| {
            let set = values.iter().enumerate().filter(|(_, value)| **value != 0);
            set.map(|(node, value)| (node, *value)).collect::<Vec<_>>()
        };
        let disks: Vec<_> = self
            .disk_ms_max
            .iter()
            .map(|ms| i64::try_from(*ms).unwrap_or(i64::MAX))
            .collect();
        writeln!(
            formatter,
            "  clocks ahead (node, ms) {:?}, slow disks (node, ms) {:?}, late (node, at ms) {:?}",
            not_zero(&self.skews_ms),
            not_zero(&disks),
            self.late
        )?;
        writeln!(
            formatter,
            "  liars {:?}, sabotage {:?}",
            self.liars, self.sabotage
        )?;
        for (at_ms, fault) in &self.faults {
            writeln!(formatter, "  {at_ms} ms: {fault:?}")?;
        }
        for (number, transaction) in self.transactions.iter().enumerate() {
            let Transaction {
                at_ms,
                first,
                change,
            } = transaction;
            write!(
                formatter,
                "  {at_ms} ms: transaction {number} at node {first}"
            )?;
            match change {
                Some(change) => writeln!(formatter, ", {change:?}")?,
                None => writeln!(formatter)?,
            }
        }
        Ok(())
    }
}
