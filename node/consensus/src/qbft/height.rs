//! Everything known about the height being decided. It is thrown away whole
//! when the height is decided.

use super::{
    messages::{PreparedClaim, RoundChangeStatement},
    votes::VoteStore,
};
use alloy_primitives::B256;
use medina_types::{Certificate, NodePublicKey, NodeSignature, Round, SealedBlock, limits};
use std::collections::{BTreeMap, BTreeSet};

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
        proven.max_by_key(|(claim, _)| claim.round)
    }

    /// Drops proposals of long past rounds and blocks that nothing refers to.
    pub(crate) fn prune(&mut self, keep: &[B256]) {
        while self.proposals.len() > limits::ROUNDS_KEPT_PER_VALIDATOR_MAX {
            self.proposals.pop_first();
        }
        let proposed = self.proposals.values().map(|proposal| proposal.digest);
        let claimed = self
            .round_changes
            .values()
            .filter_map(|change| Some(change.statement.prepared?.digest));
        let wanted: BTreeSet<B256> = proposed
            .chain(claimed)
            .chain(keep.iter().copied())
            .collect();
        let is_busy = |verdict| matches!(verdict, Verdict::Checking { .. });
        self.blocks
            .retain(|digest, known| wanted.contains(digest) || is_busy(known.verdict));
    }
}
