//! The log as the `raft` crate sees it: in memory, short, written elsewhere.
//!
//! Blocks that were applied live in the block store. What stays here is what is
//! not applied yet, and a small tail for followers that are slightly behind;
//! who is further behind gets a snapshot, which says up to which block to sync.

use super::{
    membership::Group,
    messages::{SnapshotBody, SnapshotContent},
};
use crate::mutants::{Mutant, is_on};
use alloy_primitives::B256;
use medina_types::{Height, limits};
use raft::{
    Error, GetEntriesContext, RaftState, Storage, StorageError,
    eraftpb::{Entry, HardState, Snapshot},
    util::limit_size,
};
use std::{collections::VecDeque, sync::Arc};

/// Term, and index, at which a group starts; the first leader has the next term.
pub(super) const FIRST_TERM: u64 = 1;
/// Applied entries kept for followers that are slightly behind.
const TAIL_ENTRIES_MAX: usize = 64;
/// Bytes of these entries; the newest applied one is kept in any case.
const TAIL_BYTES_MAX: usize = limits::BLOCK_BYTES_MAX;

/// Up to where the log is applied, and what the chain's head was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) index: u64,
    pub(super) height: Height,
    pub(super) hash: B256,
}

/// The log, in memory.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) hard: HardState,
    /// The group at `applied`.
    pub(super) group: Arc<Group>,
    pub(super) applied: Applied,
    /// Index and term of the entry before the first.
    truncated: (u64, u64),
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Log {
    /// A log whose entries begin behind `truncated`.
    pub(super) fn new(
        hard: HardState,
        group: Arc<Group>,
        applied: Applied,
        truncated: (u64, u64),
        entries: Vec<Entry>,
    ) -> Self {
        let bytes = entries.iter().map(entry_bytes).sum();
        Self {
            hard,
            group,
            applied,
            truncated,
            entries: entries.into(),
            bytes,
        }
    }

    /// The log of a node outside every group: empty.
    pub(super) fn empty(group: Arc<Group>, height: Height, hash: B256) -> Self {
        Self::starting_at(0, group, height, hash)
    }

    /// The log of a new group. It begins behind an entry that nobody has: who
    /// joins later with an empty log cannot be served from it and gets a
    /// snapshot, with the group.
    pub(super) fn first_of_group(group: Arc<Group>, height: Height, hash: B256) -> Self {
        Self::starting_at(FIRST_TERM, group, height, hash)
    }

    fn starting_at(start: u64, group: Arc<Group>, height: Height, hash: B256) -> Self {
        let applied = Applied {
            index: start,
            height,
            hash,
        };
        let mut hard = HardState::default();
        (hard.term, hard.commit) = (start, start);
        Self::new(hard, group, applied, (start, start), Vec::new())
    }

    pub(super) fn first(&self) -> u64 {
        self.truncated.0 + 1
    }

    pub(super) fn last(&self) -> u64 {
        self.truncated.0 + self.entries.len() as u64
    }

    fn position(&self, index: u64) -> usize {
        usize::try_from(index.saturating_sub(self.first())).unwrap_or(usize::MAX)
    }

    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.truncated.0 {
            return Some(self.truncated.1);
        }
        if index < self.first() {
            return None;
        }
        self.entries
            .get(self.position(index))
            .map(|entry| entry.term)
    }

    /// Entries behind `index`.
    pub(super) fn after(&self, index: u64) -> impl Iterator<Item = &Entry> {
        let start = self.position(index.saturating_add(1));
        self.entries.iter().skip(start)
    }

    /// Appends entries, replacing what they conflict with.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else {
            return;
        };
        let keep = self.position(first.index);
        for replaced in self.entries.drain(keep.min(self.entries.len())..) {
            self.bytes = self.bytes.saturating_sub(entry_bytes(&replaced));
        }
        self.bytes += entries.iter().map(entry_bytes).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
    }

    /// Starts anew behind a snapshot.
    pub(super) fn reset(&mut self, snapshot: &SnapshotBody) {
        self.entries.clear();
        self.bytes = 0;
        self.truncated = (snapshot.index, snapshot.term);
        self.applied.index = snapshot.index;
        self.group = Arc::new(snapshot.content.group.clone());
        self.hard.commit = self.hard.commit.max(snapshot.index);
    }

    /// Entries up to `applied.index` may go, except for the tail.
    pub(super) fn compact(&mut self) {
        if is_on(Mutant::RaftLogUnbounded) {
            return;
        }
        while self.first() < self.applied.index
            && (self.entries.len() > TAIL_ENTRIES_MAX || self.bytes > TAIL_BYTES_MAX)
        {
            let Some(entry) = self.entries.pop_front() else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(entry_bytes(&entry));
            self.truncated = (entry.index, entry.term);
        }
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    entry.data.len() + entry.context.len() + 32
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard.clone(), self.group.conf_state()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first() {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let range = self.position(low)..self.position(high);
        let mut entries: Vec<_> = self.entries.range(range).cloned().collect();
        limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let missing = if index < self.first() {
            StorageError::Compacted
        } else {
            StorageError::Unavailable
        };
        self.term_at(index).ok_or(Error::Store(missing))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let Applied {
            index,
            height,
            hash,
        } = self.applied;
        let term = self.term_at(index).filter(|_| index > 0);
        let unavailable = Error::Store(StorageError::SnapshotTemporarilyUnavailable);
        let term = term.filter(|_| index >= request_index).ok_or(unavailable)?;
        let content = SnapshotContent::new(height, hash, Group::clone(&self.group));
        let snapshot = SnapshotBody {
            index,
            term,
            content,
        };
        Ok(snapshot.into_snapshot())
    }
}
