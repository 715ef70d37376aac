//! When who is tried next: a queue per recipient, so that a look costs as much as it
//! finds, however many deliveries wait, and nobody who is away takes another's turn.

use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet};

/// Deliveries under way at once, to all recipients together.
pub(super) const UNDER_WAY_MAX: usize = 64;
/// Deliveries under way at once to one recipient.
pub(super) const UNDER_WAY_PER_RECIPIENT_MAX: usize = 8;

/// What waits for one recipient.
#[derive(Debug, Default)]
struct Queue {
    /// By time, then by digest.
    waiting: BTreeSet<(u64, B256)>,
    under_way: usize,
    /// Tries in a row that failed.
    failures: u32,
}

impl Queue {
    fn has_room(&self) -> bool {
        self.under_way < UNDER_WAY_PER_RECIPIENT_MAX
    }

    fn is_due(&self, now_ms: u64) -> bool {
        let first = self.waiting.first();
        self.has_room() && first.is_some_and(|(at_ms, _)| *at_ms <= now_ms)
    }
}

/// The queues of all recipients.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: BTreeMap<B256, Queue>,
    under_way: usize,
    /// Whose turn was last.
    last: B256,
}

impl Turns {
    /// Puts a delivery into a recipient's queue.
    pub(super) fn add(&mut self, org: B256, at_ms: u64, digest: B256) {
        let queue = self.queues.entry(org).or_default();
        queue.waiting.insert((at_ms, digest));
    }

    /// Takes it out again.
    pub(super) fn remove(&mut self, org: B256, at_ms: u64, digest: B256) {
        if let Some(queue) = self.queues.get_mut(&org) {
            queue.waiting.remove(&(at_ms, digest));
        }
    }

    /// The next delivery that is due, and to whom; it is under way from then on. One
    /// recipient comes after the other.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<(B256, B256)> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let after = self.queues.range((
            std::ops::Bound::Excluded(self.last),
            std::ops::Bound::Unbounded,
        ));
        let due = |(_, queue): &(&B256, &Queue)| queue.is_due(now_ms);
        let org = after.chain(self.queues.range(..=self.last)).find(due);
        let org = *org?.0;
        let queue = self.queues.get_mut(&org)?;
        let (_, digest) = queue.waiting.pop_first()?;
        queue.under_way += 1;
        self.under_way += 1;
        self.last = org;
        Some((org, digest))
    }

    /// A try has ended, however it did.
    pub(super) fn land(&mut self, org: B256) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(queue) = self.queues.get_mut(&org) {
            queue.under_way = queue.under_way.saturating_sub(1);
        }
    }

    /// How a try ended.
    pub(super) fn note(&mut self, org: B256, has_succeeded: bool) {
        let queue = self.queues.entry(org).or_default();
        queue.failures = match has_succeeded {
            true => 0,
            false => queue.failures.saturating_add(1),
        };
    }

    /// Whether nothing was heard from a recipient for many tries.
    pub(super) fn is_away(&self, org: B256) -> bool {
        let queue = self.queues.get(&org);
        queue.is_some_and(|queue| queue.failures >= FAILURES_OF_ABSENT)
    }

    /// All that waits for a recipient is due now; answers which these are.
    pub(super) fn all_now(&mut self, org: B256) -> Vec<B256> {
        let Some(queue) = self.queues.get_mut(&org) else {
            return Vec::new();
        };
        queue.failures = 0;
        let waiting = std::mem::take(&mut queue.waiting);
        let digests: Vec<_> = waiting.into_iter().map(|(_, digest)| digest).collect();
        queue.waiting = digests.iter().map(|digest| (0, *digest)).collect();
        digests
    }

    /// When something is due next, if nothing happens meanwhile.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let queues = self.queues.values().filter(|queue| queue.has_room());
        let firsts = queues.filter_map(|queue| queue.waiting.first());
        firsts.map(|(at_ms, _)| *at_ms).min()
    }

    /// Tries under way.
    #[cfg(test)]
    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }
}

/// Failures in a row after which a recipient counts as away: what is in a block anyway
/// is not kept for it.
const FAILURES_OF_ABSENT: u32 = 16;
