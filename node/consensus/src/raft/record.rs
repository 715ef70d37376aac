//! What a node promised its group and must still know after a restart.
//!
//! Term, vote and the entries that it acknowledged, its id, the group, up to
//! where the log is applied, and the blocks for which there is no certificate
//! yet. One record, written whole: a crash leaves the old one or the new one.
//!
//! ```text
//!   version (1) | keccak of the rest (32) | borsh: genesis, key, state
//! ```
//!
//! A record that is damaged counts as lost, since its promises are: the node
//! comes back under a new id. Only what a person has to look at is an error.

use super::{
    log::{Applied, Log},
    membership::{Group, Identity},
    messages::{LogEntry, RAFT_VERSION},
};
use crate::{
    HeadInfo, RecordError,
    mutants::{Mutant, is_on},
};
use alloy_primitives::{B256, keccak256};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Height, NodePublicKey, ValidatorSet};
use raft::eraftpb::HardState;
use std::sync::Arc;

/// A block without certificate, and whose seals would make one.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct StoredUncertified {
    pub(super) validators: ValidatorSet,
    /// RLP.
    pub(super) block: Vec<u8>,
}

/// Everything that is stored.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Record {
    pub(super) genesis: [u8; 32],
    pub(super) key: NodePublicKey,
    /// `None` while this node is of no group.
    pub(super) identity: Option<Identity>,
    pub(super) term: u64,
    pub(super) vote: u64,
    pub(super) commit: u64,
    /// Index and term of the last applied entry.
    pub(super) applied: (u64, u64),
    /// The chain's head when it was applied.
    pub(super) head: (Height, [u8; 32]),
    pub(super) group: Group,
    /// Entries behind `applied`.
    pub(super) entries: Vec<LogEntry>,
    pub(super) uncertified: Vec<StoredUncertified>,
    /// Hashes of the last blocks, so that we can seal them again for others.
    pub(super) recent: Vec<(Height, [u8; 32])>,
}

impl Record {
    /// Bytes for the disk.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = vec![RAFT_VERSION];
        let written = self.serialize(&mut body);
        written.expect("writing to memory cannot fail");
        let mut bytes = Vec::with_capacity(32 + body.len());
        bytes.push(RAFT_VERSION);
        bytes.extend_from_slice(keccak256(&body).as_slice());
        bytes.extend_from_slice(&body[1..]);
        bytes
    }

    /// Reads bytes from the disk; `None` for a damaged record.
    ///
    /// The checksum covers the version, so that a flipped bit is not taken for
    /// a newer build's record.
    pub(super) fn decode(
        bytes: &[u8],
        genesis: B256,
        key: NodePublicKey,
    ) -> Result<Option<Self>, RecordError> {
        let Some((&version, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let Some((checksum, body)) = rest.split_at_checked(32) else {
            return Ok(None);
        };
        let mut covered = vec![version];
        covered.extend_from_slice(body);
        let is_whole = keccak256(&covered).as_slice() == checksum;
        if !is_whole && !is_on(Mutant::RaftRecordUnchecked) {
            return Ok(None);
        }
        if version != RAFT_VERSION {
            return Err(RecordError::Version {
                found: version,
                expected: RAFT_VERSION,
            });
        }
        let Ok(record) = borsh::from_slice::<Self>(body) else {
            return Ok(None);
        };
        if record.genesis != genesis.0 {
            return Err(RecordError::OtherChain {
                found: B256::from(record.genesis),
                expected: genesis,
            });
        }
        if record.key != key {
            return Err(RecordError::OtherKey {
                found: record.key,
                expected: key,
            });
        }
        Ok(record.is_consistent().then_some(record))
    }

    /// Adds what the log holds; `applied`, if given, is about to be applied.
    pub(super) fn describe(&mut self, log: &Log, applied: Option<(u64, u64)>) {
        let last_applied = log.applied.index;
        let applied = applied.unwrap_or_else(|| {
            let term = log.term_at(last_applied).unwrap_or_default();
            (last_applied, term)
        });
        (self.term, self.vote) = (log.hard.term, log.hard.vote);
        if is_on(Mutant::RaftVoteForgotten) {
            self.vote = 0;
        }
        self.applied = applied;
        self.entries = log.after(applied.0).map(LogEntry::of).collect();
        if is_on(Mutant::RaftLogTailLost) {
            self.entries.clear();
        }
        let last = applied.0 + self.entries.len() as u64;
        self.commit = log.hard.commit.clamp(applied.0, last);
        if is_on(Mutant::RaftTermForgotten) {
            self.term = self.entries.last().map_or(applied.1, |entry| entry.term);
        }
    }

    /// The log as it was written, under a chain that may have gone on.
    pub(super) fn into_log(self, head: &HeadInfo) -> Log {
        let mut hard = HardState::default();
        (hard.term, hard.vote, hard.commit) = (self.term, self.vote, self.commit);
        let applied = Applied {
            index: self.applied.0,
            height: head.height,
            hash: head.hash,
        };
        let entries = self.entries.into_iter().map(LogEntry::into_entry);
        Log::new(
            hard,
            Arc::new(self.group),
            applied,
            self.applied,
            entries.collect(),
        )
    }

    /// Entries follow on the applied one and on each other, terms never fall.
    fn is_consistent(&self) -> bool {
        let mut before = self.applied;
        for entry in &self.entries {
            if Some(entry.index) != before.0.checked_add(1) || entry.term < before.1 {
                return false;
            }
            before = (entry.index, entry.term);
        }
        let is_committed = (self.applied.0..=before.0).contains(&self.commit);
        is_committed && self.term >= before.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GENESIS: B256 = B256::repeat_byte(7);
    const KEY: NodePublicKey = NodePublicKey([9; 32]);

    fn record() -> Record {
        let entry = LogEntry {
            is_member_change: false,
            term: 2,
            index: 5,
            data: vec![1, 2, 3],
            context: Vec::new(),
        };
        Record {
            genesis: GENESIS.0,
            key: KEY,
            identity: Some(Identity::new(&KEY, 3)),
            term: 2,
            vote: 1,
            commit: 4,
            applied: (4, 2),
            head: (Height(3), [4; 32]),
            group: Group::of([(KEY, 3)]),
            entries: vec![entry],
            uncertified: Vec::new(),
            recent: vec![(Height(3), [4; 32])],
        }
    }

    #[test]
    fn record_reads_back() {
        let bytes = record().encode();
        assert_eq!(Record::decode(&bytes, GENESIS, KEY), Ok(Some(record())));
    }

    #[test]
    fn any_cut_or_flipped_bit_is_a_lost_record_and_never_an_error() {
        let bytes = record().encode();
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..length], GENESIS, KEY), Ok(None));
        }
        for bit in 0..bytes.len() * 8 {
            let mut torn = bytes.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&torn, GENESIS, KEY), Ok(None), "bit {bit}");
        }
    }

    #[test]
    fn record_of_another_chain_or_node_is_an_error() {
        let bytes = record().encode();
        let other = Record::decode(&bytes, B256::ZERO, KEY);
        assert!(matches!(other, Err(RecordError::OtherChain { .. })));
        let other = Record::decode(&bytes, GENESIS, NodePublicKey([1; 32]));
        assert!(matches!(other, Err(RecordError::OtherKey { .. })));
    }

    proptest! {
        #[test]
        fn decoder_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(Record::decode(&bytes, GENESIS, KEY), Ok(None));
        }
    }
}
