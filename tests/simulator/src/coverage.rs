//! What really happened in a run, to see that no fault exists on paper only.

use crate::scenario::{Habit, Scenario};
use std::collections::BTreeMap;

/// Counts of what happened in one run or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Runs summed up.
    pub runs: u64,
    /// Runs with real ed25519 votes.
    pub real_crypto: u64,
    /// Messages lost.
    pub lost: u64,
    /// Messages delivered twice.
    pub duplicated: u64,
    /// Partitions both ways.
    pub partitions: u64,
    /// Partitions one way.
    pub one_way: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Of these, just before a synced write.
    pub crashes_before_write: u64,
    /// Of these, just after a synced write.
    pub crashes_after_write: u64,
    /// Of these, while the disk was busy.
    pub crashes_during_write: u64,
    /// Unsynced writes that a crash took.
    pub writes_lost: u64,
    /// Records torn in the middle of a write.
    pub torn_records: u64,
    /// Records that were lost in another way.
    pub lost_records: u64,
    /// Disks lost.
    pub lost_disks: u64,
    /// Synced writes that took time.
    pub slow_writes: u64,
    /// Fresh proposals refused because of a clock.
    pub clock_refusals: u64,
    /// Entries of a replicated log refused.
    pub entries_refused: u64,
    /// Changes of the validator set that took effect.
    pub set_changes: u64,
    /// Of these, removals of the validator whose turn it was, or of the leader.
    pub leaders_removed: u64,
    /// Nodes that joined a running chain.
    pub late_joins: u64,
    /// Answers to sync requests that were refused.
    pub imports_refused: u64,
    /// Blocks imported by sync.
    pub imported: u64,
    /// Lies told, by habit.
    pub lies: BTreeMap<Habit, u64>,
    /// Runs by number of validators at the start.
    pub sizes: BTreeMap<usize, u64>,
}

impl Coverage {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        Self {
            runs: 1,
            real_crypto: u64::from(scenario.has_real_crypto),
            sizes: BTreeMap::from([(scenario.validators, 1)]),
            ..Self::default()
        }
    }

    pub(crate) fn count_lie(&mut self, habit: Habit) {
        *self.lies.entry(habit).or_default() += 1;
    }

    /// Counts by name, for tables.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let plain = [
            ("runs", self.runs),
            ("runs with real ed25519", self.real_crypto),
            ("messages lost", self.lost),
            ("messages duplicated", self.duplicated),
            ("partitions", self.partitions),
            ("one-way partitions", self.one_way),
            ("crashes", self.crashes),
            ("crashes before a write", self.crashes_before_write),
            ("crashes after a write", self.crashes_after_write),
            ("crashes during a write", self.crashes_during_write),
            ("unsynced writes lost", self.writes_lost),
            ("torn records", self.torn_records),
            ("lost records", self.lost_records),
            ("lost disks", self.lost_disks),
            ("slow writes", self.slow_writes),
            ("proposals refused by the clock", self.clock_refusals),
            ("log entries refused", self.entries_refused),
            ("validator-set changes", self.set_changes),
            ("leaders removed", self.leaders_removed),
            ("late joins", self.late_joins),
            ("lying sync answers refused", self.imports_refused),
            ("blocks imported", self.imported),
        ];
        let plain = plain.map(|(name, count)| (name.to_owned(), count));
        let lies = self
            .lies
            .iter()
            .map(|(habit, count)| (format!("lies of {habit:?}"), *count));
        plain.into_iter().chain(lies).collect()
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.runs, other.runs),
            (&mut self.real_crypto, other.real_crypto),
            (&mut self.lost, other.lost),
            (&mut self.duplicated, other.duplicated),
            (&mut self.partitions, other.partitions),
            (&mut self.one_way, other.one_way),
            (&mut self.crashes, other.crashes),
            (&mut self.crashes_before_write, other.crashes_before_write),
            (&mut self.crashes_after_write, other.crashes_after_write),
            (&mut self.crashes_during_write, other.crashes_during_write),
            (&mut self.writes_lost, other.writes_lost),
            (&mut self.torn_records, other.torn_records),
            (&mut self.lost_records, other.lost_records),
            (&mut self.lost_disks, other.lost_disks),
            (&mut self.slow_writes, other.slow_writes),
            (&mut self.clock_refusals, other.clock_refusals),
            (&mut self.entries_refused, other.entries_refused),
            (&mut self.set_changes, other.set_changes),
            (&mut self.leaders_removed, other.leaders_removed),
            (&mut self.late_joins, other.late_joins),
            (&mut self.imports_refused, other.imports_refused),
            (&mut self.imported, other.imported),
        ];
        for (mine, theirs) in pairs {
            *mine += theirs;
        }
        for (habit, count) in &other.lies {
            *self.lies.entry(*habit).or_default() += count;
        }
        for (size, count) in &other.sizes {
            *self.sizes.entry(*size).or_default() += count;
        }
    }
}
