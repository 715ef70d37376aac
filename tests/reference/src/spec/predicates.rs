//! What makes a message valid: `node_auxiliary_functions.dfy`.
//!
//! A [`Judge`] evaluates every condition of a message, not only up to the first
//! that fails, and names all that do not hold.

use super::{
    Block, Claim, Coverage, Message, Predicate, Prepares, Proposal, RoundChange, Vote, signing,
};
use alloy_primitives::{Address, B256};
use medina_types::{Height, NodePublicKey, NodeSignature, Round};
use std::{cell::RefCell, collections::BTreeSet};

/// `recoverSigned…Author`, as a question that Medina's signatures can answer.
pub trait Signatures {
    /// True when the signature is this key's over these bytes.
    fn is_by(&self, key: &NodePublicKey, bytes: &[u8], signature: &NodeSignature) -> bool;
}

/// What is fixed while a height is decided: the specification's `blockchain`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Hash of block 0.
    pub genesis: B256,
    /// `|blockchain|`.
    pub height: Height,
    /// Hash of the head.
    pub parent: B256,
    /// `validators(blockchain)`: keys and operators.
    pub validators: Vec<(NodePublicKey, Address)>,
    /// Places of the proposers of rounds 0, 1, …
    pub proposers: Vec<usize>,
}

/// A deliberate mistake of the checker, to prove that a comparison notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Perturbation {
    /// One vote less is a quorum.
    QuorumOneLess,
    /// One vote more is needed.
    QuorumOneMore,
    /// 2f + 1 is a quorum, as GoQuorum has it without its fix.
    QuorumTwoFPlusOne,
    /// f validators are enough to jump.
    JumpAtF,
    /// f + 2 validators are needed to jump.
    JumpAtFPlusTwo,
    /// One author may count twice.
    DuplicateSendersCount,
    /// PREPAREs of a justification are not checked.
    PreparesUnsigned,
    /// Round changes of a justification are not checked.
    RoundChangesUnsigned,
    /// PREPAREs are not checked.
    VotesUnsigned,
    /// Seals are not checked.
    SealsUnsigned,
    /// Any claimed block may be proposed.
    AnyPrepared,
    /// A claim may be of the round asked for.
    PreparedNotBelow,
    /// Blocks may extend anything.
    AnyParent,
    /// A fresh block may pay anybody.
    AnyBeneficiary,
    /// Anybody may propose.
    AnyProposer,
    /// The height of round changes is not looked at.
    AnyRoundChangeHeight,
    /// The round of round changes is not looked at.
    AnyRoundChangeRound,
    /// Round 0 may carry a justification.
    JustifiedRoundZero,
    /// A claim needs no proof.
    ClaimWithoutProof,
    /// What was prepared is forgotten at a crash.
    LockLostOnCrash,
    /// A jump goes to the highest round.
    JumpToHighest,
    /// The lowest prepared block is proposed again.
    LowestPreparedWins,
    /// COMMITs count only in the current round, as the specification has it.
    CommitsOfCurrentRoundOnly,
}

impl Perturbation {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::QuorumOneLess,
        Self::QuorumOneMore,
        Self::QuorumTwoFPlusOne,
        Self::JumpAtF,
        Self::JumpAtFPlusTwo,
        Self::DuplicateSendersCount,
        Self::PreparesUnsigned,
        Self::RoundChangesUnsigned,
        Self::VotesUnsigned,
        Self::SealsUnsigned,
        Self::AnyPrepared,
        Self::PreparedNotBelow,
        Self::AnyParent,
        Self::AnyBeneficiary,
        Self::AnyProposer,
        Self::AnyRoundChangeHeight,
        Self::AnyRoundChangeRound,
        Self::JustifiedRoundZero,
        Self::ClaimWithoutProof,
        Self::LockLostOnCrash,
        Self::JumpToHighest,
        Self::LowestPreparedWins,
        Self::CommitsOfCurrentRoundOnly,
    ];
}

/// Judges the messages of one height.
pub struct Judge<'a> {
    /// What is fixed.
    pub facts: Facts,
    /// Who signed what.
    pub signatures: &'a dyn Signatures,
    /// What was evaluated so far.
    pub coverage: RefCell<Coverage>,
    /// A deliberate mistake.
    pub perturbation: Option<Perturbation>,
}

/// `f`: how many validators may be faulty.
#[must_use]
pub fn faulty_max(validators: usize) -> usize {
    validators.saturating_sub(1) / 3
}

/// `quorum`: two of these share an honest validator.
#[must_use]
pub fn quorum(validators: usize) -> usize {
    (validators * 2).div_ceil(3)
}

/// Collects the conditions that do not hold.
struct Findings<'a> {
    failed: Vec<Predicate>,
    coverage: &'a RefCell<Coverage>,
}

impl Findings<'_> {
    fn require(&mut self, predicate: Predicate, holds: bool) {
        if !self.coverage.borrow_mut().note(predicate, holds) && !self.failed.contains(&predicate) {
            self.failed.push(predicate);
        }
    }
}

impl<'a> Judge<'a> {
    /// A judge of a height that makes no mistakes.
    #[must_use]
    pub fn new(facts: Facts, signatures: &'a dyn Signatures) -> Self {
        Self {
            facts,
            signatures,
            coverage: RefCell::default(),
            perturbation: None,
        }
    }

    /// Whether the checker makes this mistake.
    pub(super) fn errs(&self, perturbation: Perturbation) -> bool {
        self.perturbation == Some(perturbation)
    }

    /// Votes that make a quorum at this height.
    #[must_use]
    pub fn quorum(&self) -> usize {
        let count = self.facts.validators.len();
        match self.perturbation {
            Some(Perturbation::QuorumOneLess) => quorum(count) - 1,
            Some(Perturbation::QuorumOneMore) => quorum(count) + 1,
            Some(Perturbation::QuorumTwoFPlusOne) => 2 * faulty_max(count) + 1,
            _ => quorum(count),
        }
    }

    /// Validators that must be in higher rounds before this one follows: f + 1.
    #[must_use]
    pub fn jump_size(&self) -> usize {
        let faulty = faulty_max(self.facts.validators.len());
        match self.perturbation {
            Some(Perturbation::JumpAtF) => faulty.max(1),
            Some(Perturbation::JumpAtFPlusTwo) => faulty + 2,
            _ => faulty + 1,
        }
    }

    /// `proposer(round, blockchain)`.
    #[must_use]
    pub fn proposer(&self, round: Round) -> (NodePublicKey, Address) {
        let turn = round.0 as usize % self.facts.proposers.len();
        self.facts.validators[self.facts.proposers[turn]]
    }

    /// Place of a key in the set.
    #[must_use]
    pub fn place_of(&self, key: &NodePublicKey) -> Option<usize> {
        let mut validators = self.facts.validators.iter();
        validators.position(|(validator, _)| validator == key)
    }

    fn findings(&self) -> Findings<'_> {
        Findings {
            failed: Vec::new(),
            coverage: &self.coverage,
        }
    }

    /// Everything that is wrong with a message of this height by this author.
    #[must_use]
    pub fn judge(&self, author: &NodePublicKey, message: &Message) -> Vec<Predicate> {
        let mut findings = self.findings();
        let is_validator = self.place_of(author).is_some();
        findings.require(Predicate::AuthorIsValidator, is_validator);
        match message {
            Message::Proposal(proposal) => self.valid_proposal(&mut findings, author, proposal),
            Message::Prepare(vote) => self.valid_prepare(&mut findings, author, vote),
            Message::Commit(vote) => self.valid_commit(&mut findings, author, vote),
            Message::RoundChange(change, proof) => {
                self.valid_received_round_change(&mut findings, author, change, proof.as_ref());
            }
        }
        findings.failed
    }

    /// `validSignedPrepareForHeightRoundAndDigest`.
    fn valid_prepare(&self, findings: &mut Findings<'_>, author: &NodePublicKey, vote: &Vote) {
        let bytes = signing::prepare(self.facts.genesis, vote.height, vote.round, vote.digest);
        let is_signed = self.signatures.is_by(author, &bytes, &vote.signature);
        let is_excused = self.errs(Perturbation::VotesUnsigned);
        findings.require(Predicate::PrepareIsSigned, is_signed || is_excused);
    }

    /// `validateCommit`.
    fn valid_commit(&self, findings: &mut Findings<'_>, author: &NodePublicKey, vote: &Vote) {
        let bytes = signing::commit(self.facts.genesis, vote.height, vote.round, vote.digest);
        let is_signed = self.signatures.is_by(author, &bytes, &vote.signature);
        let is_excused = self.errs(Perturbation::SealsUnsigned);
        findings.require(Predicate::CommitIsSigned, is_signed || is_excused);
    }

    /// `validRoundChange`, for a round change of this round.
    fn valid_round_change(&self, findings: &mut Findings<'_>, change: &RoundChange, round: Round) {
        let is_height = change.height == self.facts.height;
        let is_excused = self.errs(Perturbation::AnyRoundChangeHeight);
        findings.require(Predicate::RoundChangeHeight, is_height || is_excused);
        let is_round = change.round == round;
        let is_excused = self.errs(Perturbation::AnyRoundChangeRound);
        findings.require(Predicate::RoundChangeRound, is_round || is_excused);
        if let Some(claim) = change.prepared {
            let is_excused = self.errs(Perturbation::PreparedNotBelow);
            let is_below = claim.round < change.round || is_excused;
            findings.require(Predicate::PreparedIsBelow, is_below);
        }
        let bytes = signing::round_change(
            self.facts.genesis,
            change.height,
            change.round,
            change.prepared,
        );
        let is_validator = self.place_of(&change.author).is_some();
        findings.require(Predicate::RoundChangerIsValidator, is_validator);
        if is_validator {
            let signature = &change.signature;
            let is_signed = self.signatures.is_by(&change.author, &bytes, signature);
            let is_excused = self.errs(Perturbation::RoundChangesUnsigned);
            findings.require(Predicate::RoundChangeIsSigned, is_signed || is_excused);
        }
    }

    /// A round change as a message of its own: `validRoundChange`, and the proof
    /// of its claim.
    fn valid_received_round_change(
        &self,
        findings: &mut Findings<'_>,
        author: &NodePublicKey,
        change: &RoundChange,
        proof: Option<&(Block, Prepares)>,
    ) {
        debug_assert_eq!(change.author, *author);
        self.valid_round_change(findings, change, change.round);
        let is_above = change.round > Round::ZERO;
        findings.require(Predicate::RoundChangeIsAboveZero, is_above);
        let is_matched = change.prepared.is_some() == proof.is_some();
        let is_excused = self.errs(Perturbation::ClaimWithoutProof);
        findings.require(Predicate::ClaimHasProof, is_matched || is_excused);
        if let (Some(claim), Some((block, prepares))) = (change.prepared, proof) {
            let is_claimed = block.digest == claim.digest;
            findings.require(Predicate::ProofIsOfClaim, is_claimed);
            self.extends_head(findings, block);
            self.proven(findings, claim, prepares);
        }
    }

    /// `isValidProposal`, apart from what the receiver has accepted before.
    fn valid_proposal(
        &self,
        findings: &mut Findings<'_>,
        author: &NodePublicKey,
        proposal: &Proposal,
    ) {
        let (leader, operator) = self.proposer(proposal.round);
        let is_excused = self.errs(Perturbation::AnyProposer);
        findings.require(Predicate::AuthorIsProposer, *author == leader || is_excused);
        let bytes = signing::proposal(
            self.facts.genesis,
            proposal.height,
            proposal.round,
            proposal.block.digest,
        );
        let is_signed = self.signatures.is_by(author, &bytes, &proposal.signature);
        findings.require(Predicate::ProposalIsSigned, is_signed);
        self.extends_head(findings, &proposal.block);
        self.justified(findings, proposal);
        if Self::is_fresh(proposal) {
            let is_proposers = proposal.block.beneficiary == operator;
            let is_excused = self.errs(Perturbation::AnyBeneficiary);
            findings.require(Predicate::FreshBlockIsProposers, is_proposers || is_excused);
        }
    }

    /// True when nothing is claimed, so that the block is made for this round.
    #[must_use]
    pub fn is_fresh(proposal: &Proposal) -> bool {
        let mut changes = proposal.round_changes.iter();
        proposal.round == Round::ZERO || changes.all(|change| change.prepared.is_none())
    }

    /// `isProposalJustification`.
    fn justified(&self, findings: &mut Findings<'_>, proposal: &Proposal) {
        if proposal.round == Round::ZERO {
            let is_plain = proposal.round_changes.is_empty() && proposal.prepares.is_none();
            let is_excused = self.errs(Perturbation::JustifiedRoundZero);
            findings.require(Predicate::RoundZeroIsPlain, is_plain || is_excused);
            return;
        }
        let changes = &proposal.round_changes;
        let senders: BTreeSet<_> = changes.iter().map(|change| change.author).collect();
        let are_distinct = senders.len() == changes.len();
        let senders = if self.errs(Perturbation::DuplicateSendersCount) {
            changes.len()
        } else {
            findings.require(Predicate::SendersAreDistinct, are_distinct);
            senders.len()
        };
        findings.require(Predicate::RoundChangeQuorum, senders >= self.quorum());
        for change in changes {
            self.valid_round_change(findings, change, proposal.round);
        }
        self.proposes_highest(findings, proposal);
    }

    /// The second half of `isProposalJustification`: which block.
    fn proposes_highest(&self, findings: &mut Findings<'_>, proposal: &Proposal) {
        let is_claimed = !Self::is_fresh(proposal);
        let is_matched = is_claimed == proposal.prepares.is_some();
        findings.require(Predicate::PreparesMatchClaims, is_matched);
        let changes = &proposal.round_changes;
        let claims: Vec<Claim> = changes
            .iter()
            .filter_map(|change| change.prepared)
            .collect();
        if claims.is_empty() {
            return;
        }
        let is_wanted = |claim: &&Claim| {
            claim.digest == proposal.block.digest
                && (is_highest_prepared(claim, &claims) || self.errs(Perturbation::AnyPrepared))
        };
        let wanted = claims.iter().find(is_wanted);
        findings.require(Predicate::BlockIsHighestPrepared, wanted.is_some());
        if let (Some(claim), Some(prepares)) = (wanted, &proposal.prepares) {
            self.proven(findings, *claim, prepares);
        }
    }

    /// `|prepares| >= quorum` and each is valid for exactly this claim.
    fn proven(&self, findings: &mut Findings<'_>, claim: Claim, prepares: &Prepares) {
        let is_of_round = prepares.round == claim.round;
        findings.require(Predicate::PreparesAreOfRound, is_of_round);
        let is_quorum = prepares.votes.len() >= self.quorum();
        findings.require(Predicate::PrepareQuorum, is_quorum);
        let (genesis, height) = (self.facts.genesis, self.facts.height);
        let bytes = signing::prepare(genesis, height, claim.round, claim.digest);
        for (place, signature) in &prepares.votes {
            let signer = self.facts.validators.get(*place);
            findings.require(Predicate::PreparersAreValidators, signer.is_some());
            if let Some((key, _)) = signer {
                let is_signed = self.signatures.is_by(key, &bytes, signature);
                let is_excused = self.errs(Perturbation::PreparesUnsigned);
                findings.require(Predicate::PreparesAreSigned, is_signed || is_excused);
            }
        }
    }

    fn extends_head(&self, findings: &mut Findings<'_>, block: &Block) {
        let is_next = block.number == self.facts.height && block.parent == self.facts.parent;
        let is_excused = self.errs(Perturbation::AnyParent);
        findings.require(Predicate::BlockExtendsHead, is_next || is_excused);
    }

    /// `ValidNewBlock`: seals of a quorum of validators for this block.
    #[must_use]
    pub fn valid_new_block(&self, digest: B256, round: Round, seals: &Prepares) -> bool {
        let bytes = signing::commit(self.facts.genesis, self.facts.height, round, digest);
        let is_seal = |(place, signature): &(usize, NodeSignature)| {
            let signer = self.facts.validators.get(*place);
            signer.is_some_and(|(key, _)| self.signatures.is_by(key, &bytes, signature))
        };
        let holds = seals.votes.len() >= self.quorum() && seals.votes.iter().all(is_seal);
        let mut coverage = self.coverage.borrow_mut();
        coverage.note(Predicate::ValidNewBlock, holds)
    }
}

/// `isHighestPrepared`.
fn is_highest_prepared(claim: &Claim, claims: &[Claim]) -> bool {
    claims.iter().all(|other| other.round <= claim.round)
}
