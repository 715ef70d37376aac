//! What a node does: the `Upon…` predicates of `node.dfy`, one after another
//! until none applies (`NodeNext`, `NodeNextSubStep`).
//!
//! The state is the specification's `NodeState`: the messages received (own ones
//! among them), the round, the proposal accepted in each round, what was
//! prepared last. Everything else is derived from these each time it is needed.
//! The specification leaves the order of the predicates open; Medina's is the
//! order in [`Node::next_step`].

use super::{
    Block, Claim, Judge, Kind, Message, Perturbation, Predicate, Prepares, Proposal, RoundChange,
    Said, Vote,
};
use alloy_primitives::B256;
use medina_types::{NodePublicKey, NodeSignature, Round};
use std::collections::{BTreeMap, BTreeSet};

/// Stands where the checker would need a signature of its own node: it signs
/// nothing, and compares what was said without signatures.
const OWN_SIGNATURE: NodeSignature = NodeSignature([0; 64]);

/// Proposals that Medina keeps.
const PROPOSALS_KEPT: usize = 4;

/// Blocks that Medina keeps because round changes claim them.
const CLAIMS_KEPT: usize = 4;

/// Blocks that Medina keeps until it has been told whether they are valid.
const CHECKS_KEPT: usize = 2;

/// Something that happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is something to put into a block, or nothing any more.
    Work(bool),
    /// A message of the current height came from another validator.
    Received(NodePublicKey, Box<Message>),
    /// The round's timer expired.
    RoundTimeout,
    /// A block was made for a round (`getNewBlock`).
    Built(Round, Block),
    /// Answer about a block (`validateEthereumBlock`).
    Checked(B256, bool),
    /// Say again what was said in this round.
    Repeat,
}

/// Something that a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `Multicast` to all validators.
    Say(Said),
    /// Ask for a block of this round.
    Build(Round),
    /// Ask whether a block is valid; fresh blocks are judged by the clock too.
    Check(B256, bool),
    /// The block is decided, by the seals of these validators in this round.
    Decide(B256, Round, Vec<usize>),
}

/// What is known about a block's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Asked { fresh: bool },
    Valid,
    Refused { fresh: bool },
}

/// `lastPreparedBlock` and `lastPreparedRound` with the PREPAREs that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LastPrepared {
    claim: Claim,
    signers: Vec<usize>,
}

/// `NodeState`.
pub struct Node<'a> {
    /// Judges the messages of this height.
    pub judge: Judge<'a>,
    own_key: NodePublicKey,
    /// `round`.
    pub round: Round,
    /// `messagesReceived`, own ones among them.
    received: Vec<(NodePublicKey, Message)>,
    /// What this node said; it is among the messages received, too, unless the
    /// node is told to wait until it hears itself.
    own: Vec<Message>,
    /// `proposalAcceptedForCurrentRound`, for every round: block, and whether it
    /// was made for this round.
    accepted: BTreeMap<Round, (B256, bool)>,
    last_prepared: Option<LastPrepared>,
    answers: BTreeMap<B256, Answer>,
    blocks: BTreeMap<B256, Block>,
    building: Option<Round>,
    has_work: bool,
    is_active: bool,
    is_decided: bool,
    hears_itself: bool,
    effects: Vec<Effect>,
}

/// Round and block of a proposal or PREPARE.
fn voted_for(message: &Message) -> Option<(Round, B256)> {
    match message {
        Message::Proposal(proposal) => Some((proposal.round, proposal.block.digest)),
        Message::Prepare(vote) => Some((vote.round, vote.digest)),
        _ => None,
    }
}

impl<'a> Node<'a> {
    /// `NodeInit`, at any height.
    #[must_use]
    pub fn new(judge: Judge<'a>, own_key: NodePublicKey) -> Self {
        Self {
            judge,
            own_key,
            round: Round::ZERO,
            received: Vec::new(),
            own: Vec::new(),
            accepted: BTreeMap::new(),
            last_prepared: None,
            answers: BTreeMap::new(),
            blocks: BTreeMap::new(),
            building: None,
            has_work: false,
            is_active: false,
            is_decided: false,
            hears_itself: false,
            effects: Vec::new(),
        }
    }

    /// `NodeNext`: takes an event, then all steps that follow from it.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Work(waiting) => self.has_work = waiting,
            Event::Received(author, message) => self.receive(author, *message),
            Event::RoundTimeout => self.upon_round_timeout(),
            Event::Built(round, block) => self.on_built(round, block),
            Event::Checked(digest, is_valid) => self.on_checked(digest, is_valid),
            Event::Repeat => {
                let again = self.current_sayings();
                self.effects.extend(again.into_iter().map(Effect::Say));
            }
        }
        while !self.is_decided && self.next_step() {}
        std::mem::take(&mut self.effects)
    }

    /// True once a block is decided; nothing happens at this height any more.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.is_decided
    }

    /// The block accepted as proposal of a round.
    #[must_use]
    pub fn accepted_in(&self, round: Round) -> Option<B256> {
        self.accepted.get(&round).map(|(digest, _)| *digest)
    }

    /// What this node prepared last: `lastPreparedRound`, `lastPreparedBlock`.
    #[must_use]
    pub fn prepared(&self) -> Option<Claim> {
        self.last_prepared.as_ref().map(|last| last.claim)
    }

    /// Whether an author's message of a kind and round is known.
    #[must_use]
    pub fn has_heard(&self, author: &NodePublicKey, kind: Kind, round: Round) -> bool {
        self.of_kind(kind)
            .any(|(from, message)| from == author && message.round() == round)
    }

    /// Whether a message is taken, apart from its validity: only the first of
    /// an author in a round, of a proposal the first of anybody.
    #[must_use]
    pub fn is_news(&self, author: &NodePublicKey, message: &Message) -> bool {
        let round = message.round();
        !self.is_decided
            && match message.kind() {
                Kind::Proposal => !self.accepted.contains_key(&round),
                kind => !self.has_heard(author, kind, round),
            }
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &(NodePublicKey, Message)> {
        self.received
            .iter()
            .filter(move |(_, message)| message.kind() == kind)
    }

    fn is_validator(&self) -> bool {
        self.judge.place_of(&self.own_key).is_some()
    }

    fn note(&self, predicate: Predicate, holds: bool) -> bool {
        self.judge.coverage.borrow_mut().note(predicate, holds)
    }

    fn receive(&mut self, author: NodePublicKey, message: Message) {
        let is_ours = author == self.own_key && !self.hears_itself;
        let is_news = !is_ours && self.is_news(&author, &message);
        if !is_news || !self.judge.judge(&author, &message).is_empty() {
            return;
        }
        self.is_active |= message.kind() != Kind::RoundChange;
        match &message {
            Message::Proposal(proposal) => {
                let (round, digest) = (proposal.round, proposal.block.digest);
                let accepted = (digest, Judge::is_fresh(proposal));
                self.accepted.insert(round, accepted);
                self.blocks.insert(digest, proposal.block);
                if round > self.round {
                    self.move_to(round);
                }
            }
            Message::RoundChange(_, Some((block, _))) => {
                self.blocks.insert(block.digest, *block);
            }
            _ => {}
        }
        let brings_block = matches!(message.kind(), Kind::Proposal | Kind::RoundChange);
        self.received.push((author, message));
        if brings_block {
            self.forget();
        }
    }

    /// One step of `NodeNextSubStep`; false when none applies.
    fn next_step(&mut self) -> bool {
        self.upon_commit()
            || self.upon_round_change_jump()
            || self.upon_unheard_round()
            || self.upon_round_change_propose()
            || self.upon_proposal()
            || self.upon_prepare()
    }

    /// Signers of votes of a kind for a block in a round, by place.
    fn signers(&self, kind: Kind, round: Round, digest: B256) -> Vec<usize> {
        let is_for = |message: &Message| match message {
            Message::Prepare(vote) | Message::Commit(vote) => {
                vote.round == round && vote.digest == digest
            }
            _ => false,
        };
        let votes = self.of_kind(kind).filter(|(_, message)| is_for(message));
        let places: BTreeSet<usize> = votes
            .filter_map(|(author, _)| self.judge.place_of(author))
            .collect();
        places.into_iter().collect()
    }

    /// `UponCommit`, for any round.
    fn upon_commit(&mut self) -> bool {
        let Some((round, digest)) = self.committed() else {
            return false;
        };
        match self.answers.get(&digest) {
            Some(Answer::Valid) => {
                let signers = self.signers(Kind::Commit, round, digest);
                self.is_decided = true;
                self.effects.push(Effect::Decide(digest, round, signers));
                true
            }
            None if self.blocks.contains_key(&digest) => self.ask(digest, false),
            Some(Answer::Refused { fresh: true }) => self.ask(digest, false),
            _ => false,
        }
    }

    /// The lowest round and block that a quorum committed to.
    fn committed(&self) -> Option<(Round, B256)> {
        let subjects: BTreeSet<(Round, B256)> = self
            .of_kind(Kind::Commit)
            .filter_map(|(_, message)| match message {
                Message::Commit(vote) => Some((vote.round, vote.digest)),
                _ => None,
            })
            .collect();
        let is_current = |round| {
            round == self.round || !self.judge.errs(Perturbation::CommitsOfCurrentRoundOnly)
        };
        subjects.into_iter().find(|&(round, digest)| {
            let seals = self.signers(Kind::Commit, round, digest).len();
            let is_quorum = seals >= self.judge.quorum() && is_current(round);
            self.note(Predicate::UponCommit, is_quorum)
        })
    }

    fn ask(&mut self, digest: B256, fresh: bool) -> bool {
        self.answers.insert(digest, Answer::Asked { fresh });
        self.effects.push(Effect::Check(digest, fresh));
        true
    }

    /// The highest round that each validator asked for.
    fn highest_rounds(&self) -> BTreeMap<NodePublicKey, Round> {
        let mut highest = BTreeMap::new();
        for (author, message) in self.of_kind(Kind::RoundChange) {
            let round: &mut Round = highest.entry(*author).or_default();
            *round = message.round().max(*round);
        }
        highest
    }

    /// `UponRoundChange`, the `Frc` branch.
    fn upon_round_change_jump(&mut self) -> bool {
        let highest = self.highest_rounds().into_values();
        let higher: Vec<Round> = highest.filter(|round| *round > self.round).collect();
        let is_enough = higher.len() >= self.judge.jump_size();
        if !self.note(Predicate::UponRoundChangeJump, is_enough) {
            return false;
        }
        let target = if self.judge.errs(Perturbation::JumpToHighest) {
            higher.iter().max()
        } else {
            higher.iter().min()
        };
        let Some(&target) = target else {
            return false;
        };
        debug_assert!(
            self.judge.perturbation.is_some() || self.may_jump_to(target),
            "the specification does not allow a jump to round {target}"
        );
        self.change_to(target);
        true
    }

    /// What the specification allows: some f + 1 validators asked for higher
    /// rounds, the lowest of which is `target`.
    #[must_use]
    pub fn may_jump_to(&self, target: Round) -> bool {
        let mut from_target_on = BTreeSet::new();
        let mut is_asked_for = false;
        for (author, message) in self.of_kind(Kind::RoundChange) {
            is_asked_for |= message.round() == target;
            if message.round() >= target {
                from_target_on.insert(*author);
            }
        }
        target > self.round && is_asked_for && from_target_on.len() >= self.judge.jump_size()
    }

    fn move_to(&mut self, round: Round) {
        self.round = round;
        self.is_active = true;
        self.forget();
    }

    /// Forgets what there is no room for: all but the proposals of the highest
    /// rounds, and blocks that neither they, nor own messages, nor the most
    /// needed claims refer to, with the answers about them.
    fn forget(&mut self) {
        while self.accepted.len() > PROPOSALS_KEPT {
            self.accepted.pop_first();
        }
        let accepted = self.accepted.values().map(|(digest, _)| *digest);
        let own = [Kind::Proposal, Kind::Prepare].into_iter();
        let own = own.filter_map(|kind| Some(voted_for(self.own_last(kind)?)?.1));
        let prepared = self.prepared().map(|claim| claim.digest);
        let claims: BTreeSet<(bool, Round, B256)> = self
            .of_kind(Kind::RoundChange)
            .filter_map(|(_, message)| match message {
                Message::RoundChange(change, _) => {
                    let claim = change.prepared?;
                    Some((change.round == self.round, claim.round, claim.digest))
                }
                _ => None,
            })
            .collect();
        let claimed = claims.into_iter().rev().take(CLAIMS_KEPT);
        let claimed = claimed.map(|(_, _, digest)| digest);
        let mut wanted: BTreeSet<B256> =
            accepted.chain(own).chain(prepared).chain(claimed).collect();
        let is_asked =
            |digest: &&B256| matches!(self.answers.get(*digest), Some(Answer::Asked { .. }));
        let idle = self.blocks.keys().filter(is_asked);
        let idle: Vec<B256> = idle
            .filter(|digest| !wanted.contains(*digest))
            .copied()
            .collect();
        wanted.extend(idle.into_iter().take(CHECKS_KEPT));
        self.blocks.retain(|digest, _| wanted.contains(digest));
        self.answers.retain(|digest, _| wanted.contains(digest));
    }

    fn change_to(&mut self, round: Round) {
        self.move_to(round);
        if self.is_validator() {
            self.say_round_change();
        }
    }

    /// The highest own round of a kind of message.
    fn own_round(&self, kind: Kind) -> Option<Round> {
        Some(self.own_last(kind)?.round())
    }

    fn has_said(&self, kind: Kind, round: Round) -> bool {
        self.own_round(kind).is_some_and(|last| last >= round)
    }

    /// `createRoundChange`, once per round.
    fn say_round_change(&mut self) {
        if self.has_said(Kind::RoundChange, self.round) {
            return;
        }
        let prepared = self.prepared();
        let change = RoundChange {
            author: self.own_key,
            height: self.judge.facts.height,
            round: self.round,
            prepared,
            signature: OWN_SIGNATURE,
        };
        let proof = self.last_prepared.as_ref().map(|last| {
            let votes = last.signers.iter().map(|&place| (place, OWN_SIGNATURE));
            let prepares = Prepares {
                round: last.claim.round,
                votes: votes.collect(),
            };
            (self.blocks[&last.claim.digest], prepares)
        });
        self.say(Message::RoundChange(change, proof));
    }

    fn say(&mut self, message: Message) {
        self.is_active = true;
        if self.judge.facts.validators.len() > 1 {
            self.effects.push(Effect::Say(message.said()));
        }
        if !self.hears_itself {
            self.received.push((self.own_key, message.clone()));
        }
        self.own.push(message);
    }

    /// A validator in a round above 0 asks for it before it accepts anything.
    fn upon_unheard_round(&mut self) -> bool {
        let is_heard = self.round == Round::ZERO || self.has_said(Kind::RoundChange, self.round);
        if is_heard || self.accepted.contains_key(&self.round) || !self.is_validator() {
            return false;
        }
        self.say_round_change();
        true
    }

    /// Round changes for exactly the current round, by author.
    fn changes_to_round(&self) -> BTreeMap<NodePublicKey, &Message> {
        self.of_kind(Kind::RoundChange)
            .filter(|(_, message)| message.round() == self.round)
            .map(|(author, message)| (*author, message))
            .collect()
    }

    fn is_turn(&self) -> bool {
        let is_open =
            !self.accepted.contains_key(&self.round) && !self.has_said(Kind::Proposal, self.round);
        if self.judge.proposer(self.round).0 != self.own_key || !is_open || self.is_decided {
            return false;
        }
        if self.round == Round::ZERO {
            return self.note(Predicate::UponBlockTimeout, self.has_work);
        }
        let is_quorum = self.changes_to_round().len() >= self.judge.quorum();
        self.note(Predicate::UponRoundChangePropose, is_quorum)
    }

    /// `UponBlockTimeout` for round 0, `UponRoundChange` with
    /// `hasReceivedProposalJustification` above.
    fn upon_round_change_propose(&mut self) -> bool {
        if !self.is_turn() {
            return false;
        }
        if let Some((claim, prepares)) = self.highest_prepared() {
            let is_known = self.blocks.contains_key(&claim.digest);
            if is_known {
                self.propose(claim.digest, Some(prepares), false);
            }
            return is_known;
        }
        if self.building == Some(self.round) {
            return false;
        }
        self.building = Some(self.round);
        self.effects.push(Effect::Build(self.round));
        true
    }

    /// `isHighestPrepared` among the round changes for this round, with the
    /// PREPAREs that came with it; of several the one of the highest key.
    fn highest_prepared(&self) -> Option<(Claim, Prepares)> {
        let mut best: Option<(Claim, Prepares)> = None;
        for message in self.changes_to_round().into_values() {
            if let Message::RoundChange(change, Some((_, prepares))) = message
                && let Some(claim) = change.prepared
            {
                let is_better = best.as_ref().is_none_or(|(other, _)| {
                    if self.judge.errs(Perturbation::LowestPreparedWins) {
                        claim.round <= other.round
                    } else {
                        claim.round >= other.round
                    }
                });
                if is_better {
                    best = Some((claim, prepares.clone()));
                }
            }
        }
        best
    }

    fn propose(&mut self, digest: B256, prepares: Option<Prepares>, fresh: bool) {
        let changes = self.changes_to_round().into_values();
        let quoted = changes.filter_map(|message| match message {
            Message::RoundChange(change, _) => Some(change.clone()),
            _ => None,
        });
        let mut round_changes: Vec<RoundChange> = quoted.collect();
        if self.round == Round::ZERO {
            round_changes.clear();
        }
        let proposal = Proposal {
            height: self.judge.facts.height,
            round: self.round,
            block: self.blocks[&digest],
            round_changes,
            prepares,
            signature: OWN_SIGNATURE,
        };
        if !self.hears_itself {
            self.accepted.insert(self.round, (digest, fresh));
        }
        self.say(Message::Proposal(proposal));
    }

    fn on_built(&mut self, round: Round, block: Block) {
        if self.building != Some(round) || round != self.round {
            return;
        }
        self.building = None;
        if self.is_turn() && self.highest_prepared().is_none() {
            self.blocks.insert(block.digest, block);
            self.answers.entry(block.digest).or_insert(Answer::Valid);
            self.propose(block.digest, None, true);
        }
    }

    fn on_checked(&mut self, digest: B256, is_valid: bool) {
        if let Some(Answer::Asked { fresh }) = self.answers.get(&digest).copied() {
            let answer = if is_valid {
                Answer::Valid
            } else {
                Answer::Refused { fresh }
            };
            self.answers.insert(digest, answer);
        }
    }

    /// `UponProposal`.
    fn upon_proposal(&mut self) -> bool {
        let Some(&(digest, fresh)) = self.accepted.get(&self.round) else {
            return false;
        };
        match self.answers.get(&digest) {
            None => self.ask(digest, fresh),
            Some(Answer::Refused { fresh: true }) if !fresh => self.ask(digest, false),
            Some(Answer::Valid) => {
                let is_due = self.is_validator() && !self.has_said(Kind::Prepare, self.round);
                if self.note(Predicate::UponProposal, is_due) {
                    let vote = self.own_vote(digest);
                    self.say(Message::Prepare(vote));
                }
                is_due
            }
            _ => false,
        }
    }

    fn own_vote(&self, digest: B256) -> Vote {
        Vote {
            height: self.judge.facts.height,
            round: self.round,
            digest,
            signature: OWN_SIGNATURE,
        }
    }

    /// `UponPrepare`.
    fn upon_prepare(&mut self) -> bool {
        let Some(&(digest, _)) = self.accepted.get(&self.round) else {
            return false;
        };
        let is_valid = self.answers.get(&digest) == Some(&Answer::Valid);
        if !is_valid || self.has_said(Kind::Commit, self.round) || !self.is_validator() {
            return false;
        }
        let signers = self.signers(Kind::Prepare, self.round, digest);
        let is_quorum = signers.len() >= self.judge.quorum();
        if !self.note(Predicate::UponPrepare, is_quorum) {
            return false;
        }
        let claim = Claim {
            round: self.round,
            digest,
        };
        self.last_prepared = Some(LastPrepared { claim, signers });
        let vote = self.own_vote(digest);
        self.say(Message::Commit(vote));
        true
    }

    /// Whether the round may end by timeout: Medina runs the timer of
    /// `UponRoundTimeout` only then.
    #[must_use]
    pub fn is_timer_running(&self) -> bool {
        if self.is_decided || !self.is_validator() {
            return false;
        }
        if self.accepted.contains_key(&self.round) {
            return true;
        }
        if self.round == Round::ZERO {
            return self.has_work || self.is_active;
        }
        let highest = self.highest_rounds().into_values();
        highest.filter(|round| *round >= self.round).count() >= self.judge.quorum()
    }

    /// Whether the timer need not run although it may: only round changes were
    /// heard on an idle chain. Medina limits how often a single validator can
    /// make it build a block of nothing.
    #[must_use]
    pub fn is_timer_optional(&self) -> bool {
        let is_asked = self.of_kind(Kind::RoundChange).next().is_some();
        let is_idle = !self.has_work && !self.is_active;
        self.round == Round::ZERO && is_asked && is_idle && !self.is_decided
    }

    /// `UponRoundTimeout`.
    fn upon_round_timeout(&mut self) {
        let may_run = self.is_timer_running() || self.is_timer_optional();
        let is_due = may_run && self.round.0 < u32::MAX;
        if self.note(Predicate::UponRoundTimeout, is_due) {
            self.change_to(Round(self.round.0 + 1));
        }
    }

    /// The last own message of a kind.
    fn own_last(&self, kind: Kind) -> Option<&Message> {
        let own = self.own.iter().filter(|message| message.kind() == kind);
        own.max_by_key(|message| message.round())
    }

    fn current_sayings(&self) -> Vec<Said> {
        let is_alone = self.judge.facts.validators.len() == 1;
        if !self.is_validator() || is_alone {
            return Vec::new();
        }
        let kinds = [
            Kind::RoundChange,
            Kind::Proposal,
            Kind::Prepare,
            Kind::Commit,
        ];
        let last = kinds.into_iter().filter_map(|kind| self.own_last(kind));
        let current = last.filter(|message| message.round() == self.round);
        let sayable = current.filter(|message| match message {
            // Something prepared in this very round makes its round change old.
            Message::RoundChange(change, _) => self
                .prepared()
                .is_none_or(|claim| claim.round < change.round),
            _ => true,
        });
        sayable.map(Message::said).collect()
    }

    /// Restarts with nothing but what this node itself signed: the last message
    /// of each kind, and what it prepared.
    pub fn crash(&mut self) {
        let kinds = [
            Kind::Proposal,
            Kind::Prepare,
            Kind::Commit,
            Kind::RoundChange,
        ];
        let own: Vec<Message> = kinds
            .into_iter()
            .filter_map(|kind| self.own_last(kind).cloned())
            .collect();
        if self.judge.errs(Perturbation::LockLostOnCrash) {
            self.last_prepared = None;
        }
        let round = own.iter().map(Message::round).max();
        let mut votes = own.iter().rev().filter_map(voted_for);
        let accepted = votes.find(|(at, _)| Some(*at) == round);
        self.round = round.unwrap_or_default();
        self.accepted = accepted
            .map(|(at, digest)| (at, (digest, false)))
            .into_iter()
            .collect();
        self.answers.clear();
        self.building = None;
        self.has_work = false;
        self.is_active = !own.is_empty();
        self.is_decided = false;
        let kept: BTreeSet<B256> = own
            .iter()
            .filter_map(voted_for)
            .map(|(_, digest)| digest)
            .chain(self.prepared().map(|claim| claim.digest))
            .collect();
        self.blocks.retain(|digest, _| kept.contains(digest));
        let received = own.iter().map(|message| (self.own_key, message.clone()));
        self.received = received.collect();
        self.own = own;
    }
}

impl Node<'_> {
    /// The start of a height: the messages that came too early are looked at, in
    /// the order of their authors, rounds and kinds, before anything follows.
    pub fn take_kept(
        &mut self,
        has_work: bool,
        kept: BTreeMap<NodePublicKey, BTreeMap<(Round, Kind), Message>>,
    ) -> Vec<Effect> {
        self.has_work = has_work;
        for (author, messages) in kept {
            for message in messages.into_values() {
                self.receive(author, message);
            }
        }
        while !self.is_decided && self.next_step() {}
        std::mem::take(&mut self.effects)
    }
}

/// A state to start from, for tests that describe one.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// `round`.
    pub round: Round,
    /// `proposalAcceptedForCurrentRound`; its block is valid.
    pub accepted: Option<Block>,
    /// `lastPreparedRound` and `lastPreparedBlock`, with the signers.
    pub prepared: Option<(Round, Block, Vec<usize>)>,
    /// `messagesReceived`.
    pub received: Vec<(NodePublicKey, Message)>,
    /// Own messages are only known once they come back, as in the specification.
    pub hears_itself: bool,
}

impl<'a> Node<'a> {
    /// A node in the middle of a height.
    #[must_use]
    pub fn resume(judge: Judge<'a>, own_key: NodePublicKey, state: Resume) -> Self {
        let mut node = Self::new(judge, own_key);
        node.round = state.round;
        node.received = state.received;
        node.hears_itself = state.hears_itself;
        node.is_active = true;
        if let Some(block) = state.accepted {
            node.accepted.insert(state.round, (block.digest, true));
            node.blocks.insert(block.digest, block);
            node.answers.insert(block.digest, Answer::Valid);
        }
        node.last_prepared = state.prepared.map(|(round, block, signers)| {
            node.blocks.insert(block.digest, block);
            let digest = block.digest;
            let claim = Claim { round, digest };
            LastPrepared { claim, signers }
        });
        node
    }
}
