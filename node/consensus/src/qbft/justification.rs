//! When a proposal or round change is justified: the predicates of the formal
//! specification (`isProposalJustification`, `validRoundChange`,
//! `isHighestPrepared`), each defect with its name.
//!
//! A proposal of round r > 0 needs ROUND-CHANGEs for exactly (h, r) of a quorum
//! of distinct validators. If none of them prepared anything, the block is
//! fresh and its beneficiary is the proposer of the round. Otherwise the block
//! is the one with the highest prepared round among them, proven by a quorum of
//! PREPAREs whose signatures are all checked; it keeps its first proposer as
//! beneficiary. Round 0 carries no justification.

use super::messages::{
    Commit, Prepare, PreparedClaim, Proposal, RoundChange, RoundChangeStatement, prepare_message,
};
use crate::{
    VoteCrypto,
    mutants::{Mutant, is_on},
};
use alloy_primitives::{Address, B256};
use medina_types::{
    Certificate, CertificateError, Height, HeightContext, NodePublicKey, NodeSignature, Round,
    SealedBlock, ValidatorSet, commit_message,
};
use std::collections::BTreeSet;

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The author is not in the set of this height.
    #[error("{0} is no validator of this height")]
    NotAValidator(NodePublicKey),
    /// Signature of the message or of something quoted in it.
    #[error("the {what} signature of {author} does not verify")]
    BadSignature {
        /// Who should have signed.
        author: NodePublicKey,
        /// Which message.
        what: &'static str,
    },
    /// Somebody proposed in another's round.
    #[error("{author} proposed in round {round}, which is {proposer}'s")]
    NotTheProposer {
        /// Who proposed.
        author: NodePublicKey,
        /// Whose turn it is.
        proposer: NodePublicKey,
        /// In which round.
        round: Round,
    },
    /// Round 0 with a justification, or a round change to round 0.
    #[error("round 0 needs no round change and allows none")]
    RoundZero,
    /// Fewer round changes than the quorum.
    #[error("justified by {got} round changes, {quorum} required")]
    TooFewRoundChanges {
        /// Found.
        got: usize,
        /// Required.
        quorum: usize,
    },
    /// One author counted twice.
    #[error("two round changes of {0} in one justification")]
    DuplicateRoundChange(NodePublicKey),
    /// A round change about something else than the proposal.
    #[error("round change for height {height} round {round} in a justification of another round")]
    OtherRound {
        /// Its height.
        height: Height,
        /// Its round.
        round: Round,
    },
    /// Prepared in the round changed to, or later.
    #[error("prepared in round {prepared}, not below round {round}")]
    PreparedNotBelow {
        /// Round claimed as prepared.
        prepared: Round,
        /// Round changed to.
        round: Round,
    },
    /// A claim without proof, a proof without claim, or a proof of something else.
    #[error("claim and proof of a prepared block do not belong together")]
    ProofMismatch,
    /// The PREPAREs do not prove that the block was prepared.
    #[error("prepared block is not proven: {0}")]
    NotPrepared(CertificateError),
    /// Not the block that must be proposed again.
    #[error("proposes {got}, but the highest prepared block is another")]
    NotHighestPrepared {
        /// Block proposed.
        got: B256,
    },
    /// The block does not extend our head.
    #[error("block {number} on {parent} does not extend the head")]
    OtherParent {
        /// Its number.
        number: Height,
        /// Its parent.
        parent: B256,
    },
    /// A fresh block that pays somebody else than its proposer.
    #[error("fresh block pays {got} instead of its proposer {expected}")]
    WrongBeneficiary {
        /// Operator of the proposer.
        expected: Address,
        /// Beneficiary of the block.
        got: Address,
    },
}

impl Defect {
    /// True when no honest node could have sent this, whatever it had seen.
    #[must_use]
    pub fn is_provable(&self) -> bool {
        matches!(
            self,
            Self::BadSignature { .. } | Self::NotPrepared(CertificateError::BadSignature(_))
        )
    }
}

/// Where a valid proposal's block comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Made for this round.
    Fresh,
    /// Prepared in an earlier round.
    Reproposed,
}

/// How many validators decide: ceil(2n / 3), for any n. (2f + 1 is less where
/// n is not 3f + 1, and two such quorums may share nobody but a liar.)
pub(crate) fn quorum(set: &ValidatorSet) -> usize {
    if is_on(Mutant::QuorumTwoFPlusOne) {
        return 2 * set.faulty_max() + 1;
    }
    set.quorum()
}

/// What messages of one height are judged by.
pub(crate) struct Rules<'a> {
    pub(crate) genesis: B256,
    pub(crate) height: Height,
    pub(crate) parent: B256,
    pub(crate) context: &'a HeightContext,
    pub(crate) crypto: &'a dyn VoteCrypto,
}

impl Rules<'_> {
    pub(crate) fn check_prepare(
        &self,
        author: &NodePublicKey,
        vote: &Prepare,
    ) -> Result<(), Defect> {
        if is_on(Mutant::PrepareUnsigned) {
            return Ok(());
        }
        let message = prepare_message(self.genesis, self.height, vote.round, vote.digest);
        self.check_signature(author, &message, &vote.signature, "PREPARE")
    }

    pub(crate) fn check_commit(&self, author: &NodePublicKey, vote: &Commit) -> Result<(), Defect> {
        if is_on(Mutant::CommitSealUnchecked) {
            return Ok(());
        }
        let message = commit_message(self.genesis, self.height, vote.round, vote.digest);
        self.check_signature(author, &message, &vote.seal, "COMMIT")
    }

    /// `validRoundChange` with the proof of its claim.
    pub(crate) fn check_round_change(
        &self,
        author: &NodePublicKey,
        change: &RoundChange,
    ) -> Result<(), Defect> {
        self.check_statement(&change.statement, change.statement.round)?;
        if !is_on(Mutant::RoundChangeUnsigned) {
            self.check_statement_signature(author, &change.statement)?;
        }
        match (&change.statement.prepared, &change.proof) {
            (None, None) => Ok(()),
            (Some(_), None) if is_on(Mutant::RoundChangeClaimWithoutProof) => Ok(()),
            (Some(claim), Some(proof)) => {
                if proof.block.hash() != claim.digest {
                    return Err(Defect::ProofMismatch);
                }
                self.check_extends_head(&proof.block)?;
                if is_on(Mutant::RoundChangeProofUnchecked) {
                    return Ok(());
                }
                self.check_prepared(claim, &proof.prepares)
            }
            _ => Err(Defect::ProofMismatch),
        }
    }

    /// `isProposalJustification`, and that this author may propose this block.
    pub(crate) fn check_proposal(
        &self,
        author: &NodePublicKey,
        proposal: &Proposal,
    ) -> Result<Freshness, Defect> {
        let (round, digest) = (proposal.round, proposal.block.hash());
        let proposer = self.context.proposer(self.height, round);
        if proposer.key != *author && !is_on(Mutant::ProposerUnchecked) {
            let (author, proposer) = (*author, proposer.key);
            return Err(Defect::NotTheProposer {
                author,
                proposer,
                round,
            });
        }
        let message = Proposal::signed_bytes(self.genesis, self.height, round, digest);
        self.check_signature(author, &message, &proposal.signature, "PROPOSAL")?;
        self.check_extends_head(&proposal.block)?;
        let freshness = self.check_justification(proposal, digest)?;
        let (expected, got) = (proposer.operator, proposal.block.header().beneficiary);
        let has_new_payee = got != expected && !is_on(Mutant::WrongBeneficiaryAccepted);
        let is_bound = freshness == Freshness::Fresh || is_on(Mutant::ReproposalPaysProposer);
        if is_bound && has_new_payee {
            return Err(Defect::WrongBeneficiary { expected, got });
        }
        Ok(freshness)
    }

    fn check_justification(&self, proposal: &Proposal, digest: B256) -> Result<Freshness, Defect> {
        let justification = &proposal.justification;
        if proposal.round.is_zero() {
            let is_plain = justification.is_empty();
            return if is_plain {
                Ok(Freshness::Fresh)
            } else if is_on(Mutant::RoundZeroJustified) {
                Ok(Freshness::Reproposed)
            } else {
                Err(Defect::RoundZero)
            };
        }
        if justification.is_empty() && is_on(Mutant::JustificationMissing) {
            return Ok(Freshness::Fresh);
        }
        self.check_round_change_quorum(proposal)?;
        let claims = justification
            .round_changes
            .iter()
            .filter_map(|named| named.statement.prepared);
        let claims: Vec<PreparedClaim> = claims.collect();
        let highest = claims.iter().map(|claim| claim.round).max();
        match (highest, &justification.prepares) {
            (None, None) => Ok(Freshness::Fresh),
            (Some(round), Some(prepares)) => {
                let mut claim = PreparedClaim { round, digest };
                if is_on(Mutant::NotHighestPreparedAccepted) {
                    claim.round = prepares.round;
                }
                if !claims.contains(&claim) || is_on(Mutant::DigestWithRound) {
                    return Err(Defect::NotHighestPrepared { got: digest });
                }
                if is_on(Mutant::JustificationPreparesUnchecked) {
                    return Ok(Freshness::Reproposed);
                }
                self.check_prepared(&claim, prepares)
                    .map(|()| Freshness::Reproposed)
            }
            (Some(_), None) if is_on(Mutant::FreshDespitePreparedAccepted) => Ok(Freshness::Fresh),
            _ => Err(Defect::ProofMismatch),
        }
    }

    fn check_round_change_quorum(&self, proposal: &Proposal) -> Result<(), Defect> {
        let mut authors = BTreeSet::new();
        for named in &proposal.justification.round_changes {
            if !authors.insert(named.author) && !is_on(Mutant::JustificationDuplicates) {
                return Err(Defect::DuplicateRoundChange(named.author));
            }
            let expected = if is_on(Mutant::JustificationOtherRound) {
                named.statement.round
            } else {
                proposal.round
            };
            self.check_statement(&named.statement, expected)?;
            if !is_on(Mutant::JustificationUnsigned) {
                self.check_statement_signature(&named.author, &named.statement)?;
            }
        }
        let mut got = authors.len();
        if is_on(Mutant::JustificationDuplicates) {
            got = proposal.justification.round_changes.len();
        }
        let mut quorum = quorum(&self.context.validators);
        if is_on(Mutant::JustificationFPlusOne) {
            quorum = self.context.validators.faulty_max() + 1;
        }
        if got < quorum {
            return Err(Defect::TooFewRoundChanges { got, quorum });
        }
        Ok(())
    }

    fn check_statement(
        &self,
        statement: &RoundChangeStatement,
        expected: Round,
    ) -> Result<(), Defect> {
        let RoundChangeStatement {
            height,
            round,
            prepared,
            ..
        } = statement;
        let is_height = *height == self.height || is_on(Mutant::JustificationOtherHeight);
        if !is_height || *round != expected {
            return Err(Defect::OtherRound {
                height: *height,
                round: *round,
            });
        }
        if round.is_zero() {
            return Err(Defect::RoundZero);
        }
        if let Some(claim) = prepared.filter(|claim| claim.round >= *round)
            && !is_on(Mutant::PreparedNotBelowAccepted)
        {
            return Err(Defect::PreparedNotBelow {
                prepared: claim.round,
                round: *round,
            });
        }
        Ok(())
    }

    fn check_statement_signature(
        &self,
        author: &NodePublicKey,
        statement: &RoundChangeStatement,
    ) -> Result<(), Defect> {
        let RoundChangeStatement {
            height,
            round,
            prepared,
            signature,
        } = statement;
        let message = RoundChangeStatement::signed_bytes(self.genesis, *height, *round, *prepared);
        self.check_signature(author, &message, signature, "ROUND-CHANGE")
    }

    /// A quorum of distinct validators signed PREPARE for exactly this claim.
    fn check_prepared(&self, claim: &PreparedClaim, prepares: &Certificate) -> Result<(), Defect> {
        if prepares.round != claim.round {
            return Err(Defect::ProofMismatch);
        }
        let mut quorum = quorum(&self.context.validators);
        if is_on(Mutant::JustificationPreparesFew) {
            quorum = self.context.validators.faulty_max() + 1;
        }
        prepares
            .verify_with(
                &self.context.validators,
                quorum,
                |key, message, signature| self.crypto.verify(key, message, signature),
                || prepare_message(self.genesis, self.height, claim.round, claim.digest),
            )
            .map_err(Defect::NotPrepared)
    }

    fn check_extends_head(&self, block: &SealedBlock) -> Result<(), Defect> {
        let (number, parent) = (block.height(), block.header().parent_hash);
        let is_next = number == self.height && parent == self.parent;
        if is_next || is_on(Mutant::OtherParentAccepted) {
            return Ok(());
        }
        Err(Defect::OtherParent { number, parent })
    }

    fn check_signature(
        &self,
        author: &NodePublicKey,
        message: &[u8],
        signature: &NodeSignature,
        what: &'static str,
    ) -> Result<(), Defect> {
        let is_validator = self.context.validators.index_of_key(author).is_some();
        if !is_validator && !is_on(Mutant::StrangersCounted) {
            return Err(Defect::NotAValidator(*author));
        }
        if self.crypto.verify(author, message, signature) {
            return Ok(());
        }
        Err(Defect::BadSignature {
            author: *author,
            what,
        })
    }
}
