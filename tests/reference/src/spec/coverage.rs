//! How often each predicate held and did not, so that it is visible whether a
//! comparison has reached every branch.

use std::{collections::BTreeMap, fmt};

/// One condition of the specification, or of Medina's deviations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Predicate {
    /// Signer of a vote or round change is in the set: `… in validators`.
    AuthorIsValidator,
    /// `recoverSignedProposalAuthor(m) == roundLeader`.
    AuthorIsProposer,
    /// The proposal's signature is its author's.
    ProposalIsSigned,
    /// The block extends the head, with the right number.
    BlockExtendsHead,
    /// Round 0 carries no justification.
    RoundZeroIsPlain,
    /// No author twice among the round changes.
    SendersAreDistinct,
    /// `|getSetOfRoundChangeSenders(roundChanges)| >= quorum`.
    RoundChangeQuorum,
    /// `validRoundChange`: height.
    RoundChangeHeight,
    /// `validRoundChange`: round.
    RoundChangeRound,
    /// `validRoundChange`: prepared below the round asked for.
    PreparedIsBelow,
    /// `validRoundChange`: of a validator.
    RoundChangerIsValidator,
    /// `validRoundChange`: signed.
    RoundChangeIsSigned,
    /// PREPAREs are there exactly when something is claimed.
    PreparesMatchClaims,
    /// `isHighestPrepared`, and the block is the one claimed.
    BlockIsHighestPrepared,
    /// `|prepares| >= quorum`.
    PrepareQuorum,
    /// The PREPAREs name the round of the claim.
    PreparesAreOfRound,
    /// Each PREPARE is of a validator.
    PreparersAreValidators,
    /// Each PREPARE of a justification is signed, for this height and block.
    PreparesAreSigned,
    /// `validateNonPreparedBlock`: `header.proposer == proposer(round)`.
    FreshBlockIsProposers,
    /// A round change asks for a round above 0.
    RoundChangeIsAboveZero,
    /// Claim and proof of a round change come together.
    ClaimHasProof,
    /// The block of the proof is the one claimed.
    ProofIsOfClaim,
    /// A PREPARE is signed by its author.
    PrepareIsSigned,
    /// `validateCommit`: the seal is the author's.
    CommitIsSigned,
    /// `validPreparesForHeightRoundAndDigest` reach a quorum.
    UponPrepare,
    /// `validCommitsForHeightRoundAndDigest` reach a quorum.
    UponCommit,
    /// More than f validators asked for higher rounds.
    UponRoundChangeJump,
    /// A quorum asked for the round of which this node is the leader.
    UponRoundChangePropose,
    /// There is a justified, valid proposal not yet prepared.
    UponProposal,
    /// The round's timer expired.
    UponRoundTimeout,
    /// Round 0 is to be proposed by this node.
    UponBlockTimeout,
    /// `ValidNewBlock`: a quorum of seals, all of validators.
    ValidNewBlock,
}

impl Predicate {
    /// All of them.
    pub const ALL: [Self; 32] = [
        Self::AuthorIsValidator,
        Self::AuthorIsProposer,
        Self::ProposalIsSigned,
        Self::BlockExtendsHead,
        Self::RoundZeroIsPlain,
        Self::SendersAreDistinct,
        Self::RoundChangeQuorum,
        Self::RoundChangeHeight,
        Self::RoundChangeRound,
        Self::PreparedIsBelow,
        Self::RoundChangerIsValidator,
        Self::RoundChangeIsSigned,
        Self::PreparesMatchClaims,
        Self::BlockIsHighestPrepared,
        Self::PrepareQuorum,
        Self::PreparesAreOfRound,
        Self::PreparersAreValidators,
        Self::PreparesAreSigned,
        Self::FreshBlockIsProposers,
        Self::RoundChangeIsAboveZero,
        Self::ClaimHasProof,
        Self::ProofIsOfClaim,
        Self::PrepareIsSigned,
        Self::CommitIsSigned,
        Self::UponPrepare,
        Self::UponCommit,
        Self::UponRoundChangeJump,
        Self::UponRoundChangePropose,
        Self::UponProposal,
        Self::UponRoundTimeout,
        Self::UponBlockTimeout,
        Self::ValidNewBlock,
    ];

    /// True when the predicate is about a signature: what an honest node could
    /// never have sent.
    #[must_use]
    pub fn is_about_signature(self) -> bool {
        matches!(
            self,
            Self::ProposalIsSigned
                | Self::RoundChangeIsSigned
                | Self::PreparesAreSigned
                | Self::PrepareIsSigned
                | Self::CommitIsSigned
        )
    }
}

/// Outcomes counted by predicate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<Predicate, [u64; 2]>,
}

impl Coverage {
    /// Counts an outcome and hands it on.
    pub fn note(&mut self, predicate: Predicate, holds: bool) -> bool {
        self.counts.entry(predicate).or_default()[usize::from(holds)] += 1;
        holds
    }

    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        for (predicate, [fails, holds]) in &other.counts {
            let mine = self.counts.entry(*predicate).or_default();
            mine[0] += fails;
            mine[1] += holds;
        }
    }

    /// How often a predicate (failed, held).
    #[must_use]
    pub fn of(&self, predicate: Predicate) -> [u64; 2] {
        self.counts.get(&predicate).copied().unwrap_or_default()
    }

    /// Predicates with an outcome that never came.
    #[must_use]
    pub fn missing(&self) -> Vec<(Predicate, bool)> {
        let outcomes = |predicate| [(predicate, false), (predicate, true)];
        let all = Predicate::ALL.into_iter().flat_map(outcomes);
        all.filter(|&(predicate, holds)| self.of(predicate)[usize::from(holds)] == 0)
            .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<26}{:>12}{:>12}",
            "predicate", "true", "false"
        )?;
        for predicate in Predicate::ALL {
            let [fails, holds] = self.of(predicate);
            let name = format!("{predicate:?}");
            writeln!(formatter, "{name:<26}{holds:>12}{fails:>12}")?;
        }
        Ok(())
    }
}
