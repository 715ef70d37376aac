//! Deliberate defects, to prove that simulator and tests notice them.
//!
//! Each [`Mutant`] is a mistake that an implementation has made or could make.
//! The rule that it breaks asks [`is_on`]. Without the crate's feature `mutants`
//! that is the constant `false`, so a release carries none of them; with it, the
//! harness turns on one at a time, for its own thread, with [`Mutant::turn_on`].

#![cfg_attr(
    not(feature = "mutants"),
    allow(
        unreachable_pub,
        reason = "the module is private without the feature, public with it"
    )
)]

macro_rules! mutants {
    ($($engine:ident {$($name:ident: $source:literal, $description:literal;)*})*) => {
        /// A deliberate defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            not(feature = "mutants"),
            allow(dead_code, reason = "nobody asks for every one of them in a release")
        )]
        pub enum Mutant {
            $($(#[doc = $description] $name,)*)*
        }

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// Its name in tables and on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)*)* }
            }

            /// Which engine carries it.
            #[must_use]
            pub fn engine(self) -> MutatedEngine {
                match self { $($(Self::$name => MutatedEngine::$engine,)*)* }
            }

            /// Where the mistake comes from.
            #[must_use]
            pub fn source(self) -> &'static str {
                match self { $($(Self::$name => $source,)*)* }
            }

            /// What goes wrong.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $($(Self::$name => $description,)*)* }
            }
        }
    };
}

/// Which engine a mutant belongs to.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MutatedEngine {
    /// `qbft`.
    Qbft,
    /// `raft`.
    Raft,
}

mutants! {
    Qbft {
        // Quorums and signatures.
        QuorumTwoFPlusOne: "GoQuorum before ceil2Nby3Block", "Takes 2f + 1 for a quorum of any number of validators.";
        DecidesOnFPlusOneSeals: "GoQuorum verifyCommittedSeals", "Decides with f + 1 commit seals.";
        PrepareUnsigned: "GoQuorum verifySignatures", "Counts PREPAREs whose signature does not verify.";
        DuplicatePreparesCounted: "IBFT class", "Counts every copy of a PREPARE.";
        CommitSealUnchecked: "GoQuorum qbft/core/commit.go", "Counts COMMITs without verifying the seal.";
        StrangersCounted: "GoQuorum #1728 class", "Counts round changes of those who are no validators.";
        VotesOfAnyRoundCounted: "Besu #6613 class", "Counts PREPAREs of all rounds for a block together.";
        // What a proposal needs.
        ProposerUnchecked: "specification, isProposer", "Takes a proposal from any validator.";
        WrongBeneficiaryAccepted: "specification, validateNonPreparedBlock", "Takes a fresh block that pays somebody else.";
        OtherParentAccepted: "specification, validBlock", "Takes a block that does not extend the head.";
        RoundZeroJustified: "Besu ProposalValidator", "Takes a justification in round 0 for a re-proposal.";
        PreparesSecondProposal: "specification, UponProposal", "Takes a second proposal of the round and prepares it too.";
        PreparesUnchecked: "specification, validBlock", "Prepares a block without having it executed.";
        // Justification.
        JustificationMissing: "specification, isProposalJustification", "Takes a proposal of a later round without any justification.";
        JustificationFPlusOne: "specification, isProposalJustification", "Takes f + 1 round changes for a justification.";
        JustificationDuplicates: "GoQuorum justification.go", "Counts copies of one round change in a justification.";
        JustificationUnsigned: "GoQuorum verifySignatures", "Takes forged round changes in a justification.";
        JustificationOtherHeight: "GoQuorum justification.go", "Takes round changes of another height in a justification.";
        JustificationOtherRound: "GoQuorum justification.go", "Takes round changes of another round in a justification.";
        JustificationPreparesUnchecked: "GoQuorum verifySignatures", "Takes piggy-backed PREPAREs without verifying any.";
        JustificationPreparesFew: "GoQuorum justification.go", "Takes f + 1 piggy-backed PREPAREs.";
        NotHighestPreparedAccepted: "specification, isHighestPrepared", "Takes any prepared block for the highest.";
        FreshDespitePreparedAccepted: "specification, isProposalJustification", "Takes a fresh block although one is prepared.";
        PreparedNotBelowAccepted: "specification, validRoundChange", "Takes a claim prepared in the round changed to, or later.";
        RoundChangeUnsigned: "specification, validRoundChange", "Counts round changes whose signature does not verify.";
        RoundChangeProofUnchecked: "GoQuorum verifySignatures", "Takes the proof of a round change without verifying it.";
        RoundChangeClaimWithoutProof: "specification, validRoundChange", "Takes a claim of a prepared block without proof.";
        // What the next proposer does.
        ProposesLowestPrepared: "specification, isHighestPrepared", "Proposes the block prepared in the lowest round again.";
        ProposesFreshDespitePrepared: "PBFT class", "Proposes a fresh block although one is prepared.";
        ProposesWithoutQuorum: "specification, isReceivedProposalJustification", "Proposes after f + 1 round changes.";
        DigestWithRound: "Besu #6613", "Compares a re-proposal with a digest that contains the round.";
        ReproposalPaysProposer: "Besu #7875", "Wants a re-proposed block to pay the new proposer.";
        ReproposalJudgedByClock: "Besu #2265 class", "Applies the clock's tolerance to a re-proposal.";
        FreshWithoutClock: "Besu #2546 class", "Judges fresh proposals without the clock.";
        // Locks, records and restarts.
        PreparedWithheld: "amnesia", "Does not say in a round change what it prepared.";
        PreparedForgottenOnNewRound: "IBFT 1.0 UnlockHash", "Forgets what it prepared when the round changes.";
        LockLostOnRestart: "GoQuorum and Besu, no consensus log", "Restarts without the prepared certificate of the record.";
        RecordIgnoredOnRestart: "GoQuorum and Besu, no consensus log", "Restarts as if nothing had been signed.";
        RestoresOtherHeight: "Besu #8307 class", "Takes the record of an earlier height for one of this height.";
        VoteNotPersisted: "GoQuorum and Besu, no consensus log", "Never writes the record.";
        VoteBeforePersist: "CometBFT Jepsen 2017 class", "Sends what it signed before the record is on disk.";
        NoObservationAfterLoss: "restart all validators", "Votes at once after its record was lost.";
        SyncedBlocksEndObservation: "our decision 0001", "Takes blocks fetched by sync for blocks decided live.";
        CommitsWithoutPrepared: "specification, UponPrepare", "Commits a proposal that no quorum prepared.";
        CommitsLeftRound: "specification, UponPrepare", "Commits in a round that it has left.";
        FollowsLowerRound: "specification, UponProposal", "Goes back to the round of an older proposal and votes there.";
        // Rounds and timers.
        NoJump: "Besu early round change off", "Does not follow f + 1 round changes to a higher round.";
        JumpsOnOne: "specification, UponRoundChange", "Follows one round change to a higher round.";
        RoundChangeOnce: "Besu #8397", "Never repeats anything.";
        TimeoutDoubles: "Besu #7642, GoQuorum newRoundChangeTimer", "Doubles the timeout each round without a cap.";
        TimeoutOverflows: "GoQuorum #1664", "Lets the timeout overflow to nothing at round 33.";
        RoundTimerWithoutQuorum: "Besu #7642", "Runs the timer of a later round without a quorum there.";
        IdleRoundTimer: "Besu #10917", "Runs a round timer while there is nothing to do.";
        NoEmptyBlockAfterRoundChange: "Besu #11031 class", "Proposes nothing after a round change without transactions.";
        // Bounds and sets.
        FutureUnbounded: "Besu GHSA-23rh-rrqg-wq82", "Keeps messages of the next height without bound.";
        RoundsUnbounded: "GoQuorum #1660", "Keeps votes of all rounds of this height.";
        ChecksUnbounded: "Besu #10897 class", "Verifies signatures for a peer without bound.";
        OldSetKept: "GoQuorum #1311", "Keeps the validators of the height before.";
    }
    Raft {
        RaftCommitWithoutQuorum: "openraft #1802", "Takes an entry for committed without a quorum.";
        RaftVoteBeforePersist: "databend #16175 class", "Sends its vote before term and vote are on disk.";
        RaftLogTailLost: "GoQuorum #845", "Acknowledges entries that are not on disk.";
        RaftOldIdReused: "qdrant #1235", "Joins again under its old id after losing its disk.";
        RaftApplyUnchecked: "GoQuorum InvalidRaftOrdering", "Applies an entry without validating it.";
        RaftRecordUnchecked: "GoQuorum #860", "Takes a damaged record for a whole one.";
        RaftSnapshotWithoutBlock: "GoQuorum #186 class", "Takes a snapshot for its block without having the block.";
        RaftTwoInFlight: "GoQuorum speculative chain", "Proposes a block on top of one that is not applied.";
        RaftLearnerVotes: "Raft, learners", "Counts the votes of learners.";
        RaftSealBeforeApply: "Raft, certificates", "Signs a block before having applied it.";
        // Terms, votes and the log.
        RaftVoteForgotten: "databend #16175 class", "Restarts without the vote of its record.";
        RaftTermForgotten: "databend #16175 class", "Restarts in an earlier term than its record's.";
        RaftElectionUnrestricted: "Raft 5.4.1", "Votes for a candidate whatever that one lacks.";
        RaftCommitsOldTerm: "Raft 5.4.2, figure 8", "Commits entries of earlier terms by counting who has them.";
        RaftOldLeaderFollowed: "Raft 5.1", "Takes entries from a leader of an earlier term.";
        RaftLeaseIgnored: "Raft, leader stickiness", "Votes although it hears a leader.";
        RaftNoPreVote: "GoQuorum raft/handler.go", "Asks for votes without asking whether it would get them.";
        RaftNoCheckQuorum: "GoQuorum raft/handler.go", "Leads on without a majority that hears it.";
        RaftElectionsAtOnce: "GoQuorum #724 class", "Starts elections at the same time as all others.";
        // Messages.
        RaftSenderUnchecked: "links and ids", "Takes a message under another node's id.";
        RaftStaleIdAccepted: "reference, ids are never reused", "Listens to ids that were removed.";
        RaftHeartbeatUnchecked: "GoQuorum #941, qdrant #1235", "Takes a commit index beyond its log: out of range.";
        RaftAppendUnchecked: "GoQuorum #845 class", "Takes entries that do not follow on each other.";
        RaftAckUnchecked: "GoQuorum #860 class", "Takes an acknowledgement of what was never sent.";
        RaftSnapshotHashUnchecked: "reference, snapshots carry a hash", "Takes a snapshot of another chain.";
        // Members.
        RaftRetiredIdAdmitted: "reference, ids are never reused", "Lets a removed id in again.";
        RaftIdsRepeat: "GoQuorum addPeer, local maximum + 1", "Takes the same new id after every loss.";
        RaftFreshUnasked: "qdrant #1235 class", "Takes an empty disk for a fresh chain without asking anybody.";
        RaftGroupForgotten: "GoQuorum #281 class", "Restarts with the group that genesis had.";
        RaftLearnerPromotedEarly: "Raft, learners", "Gives a learner its vote before it has the log.";
        RaftShrinksToTheDead: "reference, removals keep the chain alive", "Removes a member that the others cannot do without.";
        RaftRemovedForgetsAtOnce: "our seeds 271 and 130", "Forgets its log as soon as it hears of its removal.";
        RaftMintsBehindChange: "our decision 0005", "Makes blocks behind a change of the group that is not applied.";
        RaftMintsUncertifiable: "our seed 161", "Makes blocks that no majority of the validators can seal.";
        RaftLeaverKeepsLead: "reference, removing a live leader", "Leads on when it is no validator any more.";
        RaftJoinsOnce: "GoQuorum #281 class", "Asks to be let in once and never again.";
        // Blocks and certificates.
        RaftInvalidEntryPanics: "GoQuorum raft/handler.go", "Panics at a committed block that is invalid.";
        RaftOwnBlockUnchecked: "GoQuorum raft/minter.go", "Applies blocks of its own making unchecked.";
        RaftBodyUnchecked: "GoQuorum InvalidRaftOrdering class", "Applies a body that is not its header's.";
        RaftSealUnchecked: "GoQuorum verifyCommittedSeals class", "Counts a seal that nobody signed.";
        RaftCertifiedByFew: "GoQuorum verifyCommittedSeals", "Takes one seal less than a majority for a certificate.";
        RaftUncertifiedForgotten: "GoQuorum #845 class", "Restarts without knowing which blocks lack seals.";
        RaftCertificateAfterRecord: "our seed 1656", "Writes that a block is certified before the certificate.";
        RaftSealsOnce: "Besu #8397 class", "Asks for missing seals once and never again.";
        // Bounds.
        RaftLogUnbounded: "GoQuorum #1660 class", "Keeps the whole log in memory.";
        RaftUncertifiedUnbounded: "GoQuorum #1660 class", "Makes any number of blocks that nobody seals.";
    }
}

/// Whether this defect is turned on in this thread.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is_on(mutant: Mutant) -> bool {
    switch::current() == Some(mutant)
}

/// Whether this defect is turned on: never, without the feature.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is_on(_mutant: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use switch::MutantGuard;

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::{cell::Cell, marker::PhantomData};

    thread_local! {
        static CURRENT: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(super) fn current() -> Option<Mutant> {
        CURRENT.get()
    }

    impl Mutant {
        /// Turns this defect on, in this thread and instead of another, for as
        /// long as the guard lives.
        #[must_use = "the defect is turned off when the guard is dropped"]
        pub fn turn_on(self) -> MutantGuard {
            MutantGuard {
                before: CURRENT.replace(Some(self)),
                of_this_thread: PhantomData,
            }
        }
    }

    /// Keeps a defect turned on.
    #[derive(Debug)]
    pub struct MutantGuard {
        before: Option<Mutant>,
        /// A thread-local switch must not be turned off from another thread.
        of_this_thread: PhantomData<*const ()>,
    }

    impl Drop for MutantGuard {
        fn drop(&mut self) {
            CURRENT.set(self.before);
        }
    }
}

#[cfg(all(test, feature = "mutants"))]
mod tests {
    use super::*;

    #[test]
    fn defects_are_off_until_turned_on_and_after() {
        assert!(Mutant::ALL.iter().all(|&mutant| !is_on(mutant)));
        let guard = Mutant::NoJump.turn_on();
        assert!(is_on(Mutant::NoJump) && !is_on(Mutant::JumpsOnOne));
        drop(guard);
        assert!(!is_on(Mutant::NoJump));
    }

    #[test]
    fn there_are_at_least_fifty() {
        assert!(Mutant::ALL.len() >= 50);
    }
}
