//! One node of a simulation: an engine, what its disk holds, what is pending.

use crate::{
    byzantine::Lies,
    crypto::SimulatedCrypto,
    disk::{Disk, Write},
    engines::Measured,
    oracle::Heard,
    scenario::{Damage, Habit, Moment},
    world::Local,
};
use medina_consensus::{Output, RecordError, Timer};
use medina_types::{HeightContext, NodePublicKey};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How a write ends for a node that dies around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrashPoint {
    pub(crate) moment: Moment,
    pub(crate) down_ms: u64,
}

/// A write that the disk is still busy with.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    pub(crate) write: Write,
    /// Tells this write's completion from an earlier one's.
    pub(crate) number: u64,
}

/// A running or crashed node. A lying validator's twin is a node of its own
/// with the same key.
pub(crate) struct Node {
    /// Index of its key among the scenario's nodes.
    pub(crate) validator: usize,
    pub(crate) key: NodePublicKey,
    pub(crate) crypto: SimulatedCrypto,
    pub(crate) habit: Option<Habit>,
    pub(crate) lies: Lies,
    pub(crate) heard: Heard,
    /// Nodes that hear this one; `None` for everybody.
    pub(crate) audience: Option<BTreeSet<usize>>,
    pub(crate) engine: Option<Box<dyn Measured>>,
    /// Counts restarts, so that what was pending for a dead process is dropped.
    pub(crate) incarnation: u32,
    pub(crate) disk: Disk,
    /// Orders of the engine that wait for the disk.
    pub(crate) orders: VecDeque<Output>,
    /// What arrived meanwhile.
    pub(crate) inbox: VecDeque<Local>,
    pub(crate) in_flight: Option<InFlight>,
    /// Synced writes begun since the start of the run.
    pub(crate) synced_writes: u64,
    /// Running timers with the number of their latest setting.
    pub(crate) timers: BTreeMap<Timer, u64>,
    /// Bits of the transactions in its pool.
    pub(crate) known: u64,
    pub(crate) committed_at_ms: u64,
    pub(crate) crash_at_persist: Option<CrashPoint>,
    pub(crate) crash_at_commit: Option<CrashPoint>,
    /// By number of the synced write.
    pub(crate) crash_at_write: BTreeMap<u64, CrashPoint>,
    /// The next record stops in the middle, and the node is down so long.
    pub(crate) tear_next: Option<u64>,
    /// Joins a running chain for the first time: there is nothing to forget.
    pub(crate) is_newcomer: bool,
    /// Its record was lost once, so it may have forgotten votes.
    pub(crate) has_lost_record: bool,
    /// It lost its chain as well, or may vote without a record by the rules.
    pub(crate) may_equivocate: bool,
    /// The operator vouches that nothing is forgotten.
    pub(crate) is_vouched_for: bool,
    /// With Raft: it had a vote in its group when it was last seen.
    pub(crate) had_vote: bool,
}

impl Node {
    pub(crate) fn new(
        validator: usize,
        key: NodePublicKey,
        crypto: SimulatedCrypto,
        habit: Option<Habit>,
        context: HeightContext,
    ) -> Self {
        Self {
            validator,
            key,
            crypto,
            habit,
            lies: Lies::default(),
            heard: Heard::default(),
            audience: None,
            engine: None,
            incarnation: 0,
            disk: Disk::new(context),
            orders: VecDeque::new(),
            inbox: VecDeque::new(),
            in_flight: None,
            synced_writes: 0,
            timers: BTreeMap::new(),
            known: 0,
            committed_at_ms: 0,
            crash_at_persist: None,
            crash_at_commit: None,
            crash_at_write: BTreeMap::new(),
            tear_next: None,
            is_newcomer: false,
            has_lost_record: false,
            may_equivocate: false,
            is_vouched_for: false,
            had_vote: false,
        }
    }

    pub(crate) fn is_honest(&self) -> bool {
        self.habit.is_none()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether its key is in the set of the height that it works on.
    pub(crate) fn is_validator(&self) -> bool {
        self.disk
            .context()
            .validators
            .index_of_key(&self.key)
            .is_some()
    }

    pub(crate) fn votes(&self) -> bool {
        self.engine
            .as_ref()
            .is_some_and(|engine| engine.status().votes)
    }

    /// Takes the process away and leaves the disk. What was promised to happen
    /// around a later write no longer does.
    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.incarnation += 1;
        self.timers.clear();
        self.orders.clear();
        self.inbox.clear();
        self.in_flight = None;
        self.crash_at_persist = None;
        self.crash_at_commit = None;
        self.lies.forget();
    }

    /// The record was lost in this way, or is about to be.
    pub(crate) fn note_amnesia(&mut self, damage: Option<Damage>) {
        self.has_lost_record = true;
        let set = &self.disk.context().validators;
        self.may_equivocate |= damage.is_none() || set.quorum() == set.len();
    }
}

/// What a node does about a record that its engine refuses: one that is damaged
/// counts as lost, anything else stops the node.
pub(crate) fn is_lost(error: &RecordError) -> bool {
    matches!(
        error,
        RecordError::Truncated(_) | RecordError::Checksum | RecordError::Malformed(_)
    )
}
