//! Everything known about the height being decided. It is thrown away whole
//! when the height is decided.

use super::{
    messages::{PreparedClaim, RoundChangeStatement},
    votes::VoteStore,
};
use crate::mutants::{Mutant, is_on};
use alloy_primitives::B256;
use medina_types::{Certificate, NodePublicKey, NodeSignature, Round, SealedBlock, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Justified proposals kept, of the highest rounds.
const PROPOSALS_KEPT_MAX: usize = 4;
/// Blocks kept because round changes prove that they were prepared.
const CLAIMS_KEPT_MAX: usize = 4;
/// Blocks kept although nothing refers to them any more, until their check ends.
const CHECKS_KEPT_MAX: usize = 2;
/// Blocks kept for one height: those, and what our own record refers to.
pub(crate) const BLOCKS_KEPT_MAX: usize =
    PROPOSALS_KEPT_MAX + CLAIMS_KEPT_MAX + CHECKS_KEPT_MAX + super::record::BLOCKS_MAX as usize;

/// Bytes of all votes and round changes of one height, blocks apart.
pub(crate) const VOTES_BYTES_MAX: usize = limits::VALIDATORS_MAX
    * limits::ROUNDS_KEPT_PER_VALIDATOR_MAX
    * (2 * size_of::<Vote>()
        + size_of::<ProvenRoundChange>()
        + limits::VALIDATORS_MAX * size_of::<NodeSignature>());

/// What we know about a block's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody asked.
    Unchecked,
    /// The caller is executing it.
    Checking {
        /// Whether the clock's tolerance applies.
        fresh: bool,
    },
    /// Built by us, or executed and found valid.
    Valid,
    /// Refused; a refusal as fresh may be the clock's and is asked again
    /// without the clock once the block is proposed as prepared.
    Invalid {
        /// Whether the clock's tolerance applied.
        fresh: bool,
    },
}

/// A block of this height.
#[derive(Clone, Debug)]
pub(crate) struct KnownBlock {
    pub(crate) block: SealedBlock,
    pub(crate) verdict: Verdict,
}

/// The justified proposal of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptedProposal {
    pub(crate) digest: B256,
    pub(crate) fresh: bool,
}

/// A vote for a block with its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) digest: B256,
    pub(crate) signature: NodeSignature,
}

/// A proven round change; the block of its claim is among the known blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvenRoundChange {
    pub(crate) statement: RoundChangeStatement,
    pub(crate) prepares: Option<Certificate>,
}

/// State of one height.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeightState {
    pub(crate) round: Round,
    pub(crate) proposals: BTreeMap<Round, AcceptedProposal>,
    pub(crate) blocks: BTreeMap<B256, KnownBlock>,
    pub(crate) prepares: VoteStore<Vote>,
    pub(crate) commits: VoteStore<Vote>,
    pub(crate) round_changes: VoteStore<ProvenRoundChange>,
    /// Validators that provably work at this height.
    pub(crate) voters: BTreeSet<NodePublicKey>,
    /// Round for which a block is being built.
    pub(crate) building: Option<Round>,
    /// A failed build is not repeated before this.
    pub(crate) build_not_before_ms: u64,
    /// Somebody wants this height decided: a valid message arrived or was sent.
    pub(crate) is_active: bool,
    /// Who alone woke this height, with nothing to show for it.
    pub(crate) woken_by: Option<NodePublicKey>,
    /// The longest time without a block has passed.
    pub(crate) is_heartbeat_due: bool,
    /// [`crate::Output::Commit`] was ordered.
    pub(crate) is_decided: bool,
}

impl HeightState {
    /// The justified proposal of the current round.
    pub(crate) fn proposal(&self) -> Option<AcceptedProposal> {
        self.proposals.get(&self.round).copied()
    }

    /// Remembers a block unless it is known.
    pub(crate) fn learn_block(&mut self, block: SealedBlock, verdict: Verdict) {
        self.blocks
            .entry(block.hash())
            .or_insert(KnownBlock { block, verdict });
    }

    pub(crate) fn verdict(&self, digest: &B256) -> Option<Verdict> {
        self.blocks.get(digest).map(|known| known.verdict)
    }

    /// Votes for `digest` in one round with the index that `index_of` gives.
    pub(crate) fn tally(
        votes: &VoteStore<Vote>,
        round: Round,
        digest: B256,
        index_of: impl Fn(&NodePublicKey) -> Option<usize>,
    ) -> Vec<(usize, NodeSignature)> {
        let for_digest = votes.at(round).filter(|(_, vote)| vote.digest == digest);
        for_digest
            .filter_map(|(author, vote)| index_of(author).map(|index| (index, vote.signature)))
            .collect()
    }

    /// Distinct digests voted for, by round, ascending.
    pub(crate) fn subjects(votes: &VoteStore<Vote>) -> BTreeSet<(Round, B256)> {
        let rounds = votes.rounds();
        rounds
            .flat_map(|round| votes.at(round).map(move |(_, vote)| (round, vote.digest)))
            .collect()
    }

    /// Validators that asked for this round or a later one: all of them have
    /// given up the rounds below.
    pub(crate) fn askers_from(&self, round: Round) -> usize {
        self.round_changes
            .highest_rounds()
            .values()
            .filter(|&&highest| highest >= round)
            .count()
    }

    /// The highest prepared block among the round changes for exactly `round`.
    pub(crate) fn highest_prepared(&self, round: Round) -> Option<(PreparedClaim, Certificate)> {
        let proven = self
            .round_changes
            .at(round)
            .filter_map(|(_, change)| Some((change.statement.prepared?, change.prepares.clone()?)));
        match () {
            () if is_on(Mutant::ProposesFreshDespitePrepared) => None,
            () if is_on(Mutant::ProposesLowestPrepared) => {
                proven.min_by_key(|(claim, _)| claim.round)
            }
            () => proven.max_by_key(|(claim, _)| claim.round),
        }
    }

    /// Drops proposals of long past rounds and blocks that nothing refers to, so
    /// that at most [`BLOCKS_KEPT_MAX`] remain. Of what peers claim as prepared
    /// the blocks of the highest rounds stay, those named for the current round
    /// first. A block that was dropped and is decided all the same comes by sync.
    pub(crate) fn prune(&mut self, keep: &[B256]) {
        while self.proposals.len() > PROPOSALS_KEPT_MAX {
            self.proposals.pop_first();
        }
        let proposed = self.proposals.values().map(|proposal| proposal.digest);
        let mut wanted: BTreeSet<B256> = proposed.chain(keep.iter().copied()).collect();
        wanted.extend(self.claimed_digests());
        let busy = |known: &KnownBlock| matches!(known.verdict, Verdict::Checking { .. });
        let checking = self.blocks.iter().filter(|(_, known)| busy(known));
        let checking: Vec<B256> = checking.map(|(digest, _)| *digest).collect();
        let idle = checking
            .into_iter()
            .filter(|digest| !wanted.contains(digest));
        let unwanted: Vec<B256> = idle.take(CHECKS_KEPT_MAX).collect();
        wanted.extend(unwanted);
        self.blocks.retain(|digest, _| wanted.contains(digest));
    }

    /// Blocks claimed as prepared, the most needed first, bounded.
    fn claimed_digests(&self) -> Vec<B256> {
        let claims = self.round_changes.values().filter_map(|change| {
            let claim = change.statement.prepared?;
            Some((
                change.statement.round == self.round,
                claim.round,
                claim.digest,
            ))
        });
        let claims: BTreeSet<_> = claims.collect();
        let digests = claims.into_iter().rev().map(|(_, _, digest)| digest);
        digests.take(CLAIMS_KEPT_MAX).collect()
    }

    /// True when somebody proves that a block was prepared at this height.
    pub(crate) fn has_claims(&self) -> bool {
        let mut changes = self.round_changes.values();
        changes.any(|change| change.statement.prepared.is_some())
    }

    /// Bytes that peers make us keep at this height.
    pub(crate) fn kept_bytes(&self) -> usize {
        let blocks = self.blocks.values();
        let blocks: usize = blocks.map(|known| known.block.encode().len()).sum();
        let of_change = |change: &ProvenRoundChange| {
            let proof = change.prepares.as_ref();
            let signatures = proof.map_or(0, |prepares| prepares.signatures().len());
            size_of::<ProvenRoundChange>() + signatures * size_of::<NodeSignature>()
        };
        let changes: usize = self.round_changes.values().map(of_change).sum();
        let votes = self.prepares.values().chain(self.commits.values()).count();
        blocks + changes + votes * size_of::<Vote>()
    }
}
