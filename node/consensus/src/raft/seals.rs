//! Certificates: every validator signs each block that it has applied.
//!
//! Raft needs no signatures, but who syncs later, or audits, wants a proof that
//! a majority has the block. Each validator seals what it has applied; when a
//! majority's seals are known, they are stored in place of the few that were
//! known when the block was committed. Until then the block itself is kept, so
//! that a member who lacks it can get it from us: sync serves only what is
//! certified.

use crate::mutants::{Mutant, is_on};
use alloy_primitives::B256;
use medina_types::{
    Certificate, ConsensusEngine, Height, NodePublicKey, NodeSignature, Round, SealedBlock,
    ValidatorSet, limits,
};
use std::collections::BTreeMap;

/// Last blocks whose hashes are remembered to seal them again, for nodes that
/// come back after an outage (about a megabyte).
const RECENT_HEIGHTS_MAX: usize = 16_384;
/// How many of them the record keeps.
const STORED_HEIGHTS_MAX: usize = 64;
/// Blocks without certificate at which no further block is made.
const UNCERTIFIED_HEIGHTS_MAX: usize = 64;
/// Bytes of these blocks, likewise.
const UNCERTIFIED_BYTES_MAX: usize = 2 * limits::BLOCK_BYTES_MAX;
/// Heights ahead of ours whose seals are kept: others apply a little earlier.
const EARLY_HEIGHTS_MAX: u64 = 4;
/// Heights that are asked for at once.
const ASKED_HEIGHTS_MAX: usize = 8;

/// A block that we have applied and that has no certificate yet.
#[derive(Clone, Debug)]
pub(super) struct Uncertified {
    pub(super) validators: ValidatorSet,
    pub(super) block: SealedBlock,
    votes: BTreeMap<usize, NodeSignature>,
    bytes: usize,
}

impl Uncertified {
    pub(super) fn new(validators: ValidatorSet, block: SealedBlock) -> Self {
        let bytes = block.encode().len();
        Self {
            validators,
            block,
            votes: BTreeMap::new(),
            bytes,
        }
    }

    /// Counts a seal that was verified; false for a stranger's.
    pub(super) fn add(&mut self, key: &NodePublicKey, seal: NodeSignature) -> bool {
        let Some(index) = self.validators.index_of_key(key) else {
            return false;
        };
        self.votes.insert(index, seal);
        true
    }

    pub(super) fn has(&self, key: &NodePublicKey) -> bool {
        let index = self.validators.index_of_key(key);
        index.is_none_or(|index| self.votes.contains_key(&index))
    }

    pub(super) fn is_certified(&self) -> bool {
        let spared = usize::from(is_on(Mutant::RaftCertifiedByFew));
        self.votes.len() + spared >= ConsensusEngine::Raft.quorum(&self.validators)
    }

    pub(super) fn certificate(&self) -> Certificate {
        let votes = self.votes.iter().map(|(index, seal)| (*index, *seal));
        Certificate::new(Round::ZERO, votes)
    }
}

/// What is known about seals.
#[derive(Clone, Debug, Default)]
pub(super) struct Seals {
    pub(super) uncertified: BTreeMap<Height, Uncertified>,
    /// Hashes of the last blocks.
    recent: BTreeMap<Height, B256>,
    /// Seals for heights that we have not applied: last of each sender.
    early: BTreeMap<(Height, NodePublicKey), (B256, NodeSignature)>,
}

impl Seals {
    pub(super) fn remember(&mut self, height: Height, hash: B256) {
        self.recent.insert(height, hash);
        while self.recent.len() > RECENT_HEIGHTS_MAX {
            self.recent.pop_first();
        }
    }

    pub(super) fn recent_hash(&self, height: Height) -> Option<B256> {
        self.recent.get(&height).copied()
    }

    /// The newest of the recent blocks, ascending.
    pub(super) fn recent_to_store(&self) -> Vec<(Height, B256)> {
        let newest = self.recent.iter().rev().take(STORED_HEIGHTS_MAX);
        let mut newest: Vec<_> = newest.map(|(height, hash)| (*height, *hash)).collect();
        newest.reverse();
        newest
    }

    /// Keeps a validator's seal for a height that we have not applied.
    pub(super) fn keep_early(
        &mut self,
        head: Height,
        height: Height,
        from: NodePublicKey,
        seal: (B256, NodeSignature),
    ) {
        if height > head && height.0 - head.0 <= EARLY_HEIGHTS_MAX {
            self.early.insert((height, from), seal);
        }
    }

    /// Early seals for this block, not verified.
    pub(super) fn early_for(
        &self,
        height: Height,
        hash: B256,
    ) -> Vec<(NodePublicKey, NodeSignature)> {
        let of_height = self.early.iter().filter(|((at, _), _)| *at == height);
        let of_block = of_height.filter(|(_, (sealed, _))| *sealed == hash);
        of_block
            .map(|((_, key), (_, seal))| (*key, *seal))
            .collect()
    }

    /// The head is at `height` now: what is early no more goes, and what is so
    /// old that nobody can seal it any more.
    pub(super) fn on_new_head(&mut self, height: Height) {
        self.early.retain(|(at, _), _| *at > height);
        self.uncertified
            .retain(|at, _| at.0.saturating_add(RECENT_HEIGHTS_MAX as u64) > height.0);
    }

    /// Whether another block would be too much without certificates.
    pub(super) fn is_full(&self) -> bool {
        if is_on(Mutant::RaftUncertifiedUnbounded) {
            return false;
        }
        let bytes: usize = self.uncertified.values().map(|block| block.bytes).sum();
        self.uncertified.len() >= UNCERTIFIED_HEIGHTS_MAX || bytes >= UNCERTIFIED_BYTES_MAX
    }

    /// Forgets the lowest blocks beyond so many bytes; a leader that follows the
    /// rules stops long before.
    pub(super) fn bound_bytes(&mut self, bytes_max: usize) {
        let bytes = |kept: &BTreeMap<Height, Uncertified>| -> usize {
            kept.values().map(|block| block.bytes).sum()
        };
        if is_on(Mutant::RaftUncertifiedUnbounded) {
            return;
        }
        while self.uncertified.len() > 2 * UNCERTIFIED_HEIGHTS_MAX
            || self.uncertified.len() > 1 && bytes(&self.uncertified) > bytes_max
        {
            self.uncertified.pop_first();
        }
    }

    /// Some heights without certificate, with their hashes; others in the next
    /// turn, so that one which nobody answers is in no other's way.
    pub(super) fn wanted(&self, turn: u64) -> Vec<(Height, B256)> {
        let count = self.uncertified.len().max(1) as u64;
        let first = (turn % count) * ASKED_HEIGHTS_MAX as u64 % count;
        let skipped = usize::try_from(first).unwrap_or_default();
        let wanted = self.uncertified.iter().cycle().skip(skipped);
        let asked = self.uncertified.len().min(ASKED_HEIGHTS_MAX);
        wanted
            .take(asked)
            .map(|(height, uncertified)| (*height, uncertified.block.hash()))
            .collect()
    }
}
