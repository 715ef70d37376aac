//! Random messages: such as an honest validator might send now, any other, and
//! both with one to three mistakes.

use super::{
    draft::{Draft, PreparesDraft, Signed, StatementDraft},
    world::World,
};
use crate::spec::{Kind, Node, predicates};
use alloy_primitives::B256;
use medina_types::{Round, SealedBlock};
use rand::{Rng, seq::IndexedRandom, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Rounds that messages are about, apart from the highest there is. As many as
/// a node keeps of each validator, so that nothing is forgotten for lack of room.
const ROUNDS: u32 = 7;

/// Highest round: it must overflow nothing.
const LAST_ROUND: u32 = u32::MAX;

/// Draws messages for a node in a world.
pub struct Generator<'a, 'b> {
    /// Validators and blocks.
    pub world: &'a World,
    /// The checker's node, to know what would make sense.
    pub node: &'a Node<'b>,
    /// Our index of the node under test.
    pub own: usize,
    /// Source of randomness.
    pub rng: &'a mut ChaCha8Rng,
}

impl Generator<'_, '_> {
    /// A message and who sends it.
    pub fn draw(&mut self) -> (usize, Draft) {
        let (mut author, mut draft) = if self.rng.random_bool(0.65) {
            self.helpful()
        } else {
            self.any()
        };
        if self.rng.random_bool(0.35) {
            for _ in 0..*[1, 1, 1, 2, 3].choose(self.rng).unwrap_or(&1) {
                self.spoil(&mut author, &mut draft);
            }
        }
        (author, draft)
    }

    fn quorum(&self) -> usize {
        predicates::quorum(self.world.count)
    }

    fn other(&mut self) -> usize {
        let index = self.rng.random_range(0..self.world.count);
        if index == self.own && self.world.count > 1 {
            return (index + 1) % self.world.count;
        }
        index
    }

    fn any_round(&mut self) -> u32 {
        let current = self.node.round.0;
        match self.rng.random_range(0..100) {
            0..50 => current,
            50..65 => current.saturating_add(1).min(ROUNDS - 1),
            65 => LAST_ROUND,
            _ => self.rng.random_range(0..ROUNDS),
        }
    }

    fn any_block(&mut self) -> SealedBlock {
        let place = self.rng.random_range(0..self.world.blocks.len());
        self.world.blocks[place].0.clone()
    }

    /// A block of some honest author on the head.
    fn proper_block(&mut self) -> SealedBlock {
        let place = self.rng.random_range(0..2 * self.world.count);
        self.world.blocks[place].0.clone()
    }

    fn block_of(&self, digest: B256) -> Option<SealedBlock> {
        let mut blocks = self.world.blocks.iter();
        let known = blocks.find(|(block, _)| block.hash() == digest);
        known.map(|(block, _)| block.clone())
    }

    fn proposer(&self, round: u32) -> usize {
        let (key, _) = self.node.judge.proposer(Round(round));
        let index = self.world.keys.iter().position(|one| *one == key);
        index.unwrap_or(0)
    }

    /// What would help the node to decide.
    fn helpful(&mut self) -> (usize, Draft) {
        let round = self.node.round.0;
        let Some(digest) = self.node.accepted_in(self.node.round) else {
            let proposer = self.proposer(round);
            if proposer != self.own && self.rng.random_bool(0.5) {
                return (proposer, self.proposal(round));
            }
            if round == 0 {
                return self.any();
            }
            let author = self.silent(Kind::RoundChange, round);
            return (author, self.round_change(author, round));
        };
        match self.rng.random_range(0..20) {
            0 => {
                let author = self.other();
                let next = round.saturating_add(1).min(ROUNDS - 1);
                (author, self.round_change(author, next))
            }
            1..9 => {
                let author = self.silent(Kind::Prepare, round);
                (author, self.vote(false, round, digest))
            }
            _ => {
                let author = self.silent(Kind::Commit, round);
                (author, self.vote(true, round, digest))
            }
        }
    }

    /// Somebody who has not said this yet, if the dice find one.
    fn silent(&mut self, kind: Kind, round: u32) -> usize {
        let mut author = self.other();
        for _ in 0..3 {
            let key = self.world.keys[author];
            if !self.node.has_heard(&key, kind, Round(round)) {
                break;
            }
            author = self.other();
        }
        author
    }

    fn any(&mut self) -> (usize, Draft) {
        let round = self.any_round();
        match self.rng.random_range(0..10) {
            0..3 => (self.proposer(round), self.proposal(round)),
            3..7 => {
                let author = self.other();
                (author, self.round_change(author, round.max(1)))
            }
            choice => {
                let accepted = self.node.accepted_in(Round(round));
                let digest = match accepted {
                    Some(digest) if self.rng.random_bool(0.7) => digest,
                    _ => self.any_block().hash(),
                };
                (self.other(), self.vote(choice == 7, round, digest))
            }
        }
    }

    fn vote(&self, is_commit: bool, round: u32, digest: B256) -> Draft {
        Draft::Vote {
            is_commit,
            height: self.world.height(),
            round,
            digest,
            signed: Signed::Well,
        }
    }

    fn authors(&mut self) -> Vec<usize> {
        let mut authors: Vec<usize> = (0..self.world.count).collect();
        authors.shuffle(self.rng);
        let count = self.rng.random_range(self.quorum()..=self.world.count);
        authors.truncate(count);
        authors
    }

    fn prepares(&mut self, round: u32, digest: B256) -> PreparesDraft {
        let signers = self.authors().into_iter();
        PreparesDraft {
            round,
            signed_round: round,
            digest,
            signers: signers.map(|signer| (signer, Signed::Well)).collect(),
            has_outsider: false,
        }
    }

    /// Something that may have been prepared below a round.
    fn claim(&mut self, round: u32) -> (u32, SealedBlock) {
        if let Some(claim) = self.node.prepared()
            && claim.round.0 < round
            && self.rng.random_bool(0.4)
            && let Some(block) = self.block_of(claim.digest)
        {
            return (claim.round.0, block);
        }
        let below = self.rng.random_range(0..round.clamp(1, ROUNDS));
        (below, self.proper_block())
    }

    fn round_change(&mut self, author: usize, round: u32) -> Draft {
        let mut statement = StatementDraft {
            author,
            height: self.world.height(),
            round,
            prepared: None,
            signed: Signed::Well,
        };
        let mut proof = None;
        if self.rng.random_bool(0.4) {
            let (prepared_round, block) = self.claim(round);
            statement.prepared = Some((prepared_round, block.hash()));
            let prepares = self.prepares(prepared_round, block.hash());
            proof = Some((block, prepares));
        }
        Draft::RoundChange { statement, proof }
    }

    fn proposal(&mut self, round: u32) -> Draft {
        let author = self.proposer(round);
        let salt = self.rng.random_range(0..2);
        let mut block = self.world.block(author, salt);
        let (mut changes, mut prepares) = (Vec::new(), None);
        if round > 0 {
            let mut highest: Option<(u32, SealedBlock)> = None;
            let is_prepared = self.rng.random_bool(0.5);
            for author in self.authors() {
                let claim = (is_prepared && self.rng.random_bool(0.5)).then(|| self.claim(round));
                changes.push(StatementDraft {
                    author,
                    height: self.world.height(),
                    round,
                    prepared: claim.as_ref().map(|(round, block)| (*round, block.hash())),
                    signed: Signed::Well,
                });
                if let Some((at, block)) = claim
                    && highest.as_ref().is_none_or(|(other, _)| at >= *other)
                {
                    highest = Some((at, block));
                }
            }
            if let Some((at, highest)) = highest {
                prepares = Some(self.prepares(at, highest.hash()));
                block = highest;
            }
        }
        Draft::Proposal {
            height: self.world.height(),
            round,
            block,
            changes,
            prepares,
            signed: Signed::Well,
        }
    }

    fn bad_signature(&mut self) -> Signed {
        let who = self.rng.random_range(0..=self.world.count);
        let ways = [
            Signed::By(who),
            Signed::OfOtherRound,
            Signed::OfOtherHeight,
            Signed::AsOtherKind,
            Signed::Not,
        ];
        *ways.choose(self.rng).unwrap_or(&Signed::Not)
    }

    /// Makes one thing wrong, or at least different.
    fn spoil(&mut self, author: &mut usize, draft: &mut Draft) {
        if self.rng.random_bool(0.08) {
            // Somebody else sends it, perhaps no validator.
            *author = self.rng.random_range(0..=self.world.count);
            if let Draft::RoundChange { statement, .. } = draft {
                statement.author = *author;
            }
            return;
        }
        match draft {
            Draft::Vote { .. } => self.spoil_vote(draft),
            Draft::RoundChange { statement, proof } => match self.rng.random_range(0..6) {
                0..3 => self.spoil_statement(statement),
                3 if proof.is_some() => *proof = None,
                3 => {
                    let block = self.proper_block();
                    let prepares = self.prepares(0, block.hash());
                    *proof = Some((block, prepares));
                }
                _ => {
                    if let Some((block, prepares)) = proof {
                        if self.rng.random_bool(0.3) {
                            *block = self.any_block();
                            if self.rng.random_bool(0.5) {
                                prepares.digest = block.hash();
                                let round = prepares.round;
                                statement.prepared = Some((round, block.hash()));
                            }
                        } else {
                            self.spoil_prepares(prepares);
                        }
                    } else {
                        self.spoil_statement(statement);
                    }
                }
            },
            Draft::Proposal { .. } => self.spoil_proposal(draft),
        }
    }

    fn spoil_vote(&mut self, draft: &mut Draft) {
        let bad = self.bad_signature();
        let other = self.any_block().hash();
        let any_round = self.any_round();
        let choice = self.rng.random_range(0..6);
        let Draft::Vote {
            height,
            round,
            digest,
            signed,
            ..
        } = draft
        else {
            return;
        };
        match choice {
            0 => *height = height.next(),
            1 => *height = height.previous().unwrap_or(*height),
            2 => *round = any_round,
            3 => *digest = other,
            _ => *signed = bad,
        }
    }

    fn spoil_statement(&mut self, statement: &mut StatementDraft) {
        match self.rng.random_range(0..9) {
            0 => statement.height = statement.height.next(),
            1 => statement.height = statement.height.previous().unwrap_or(statement.height),
            2 => statement.round = self.any_round(),
            3 => statement.round = 0,
            4 => {
                let (round, block) = self.claim(statement.round);
                statement.prepared = Some((round, block.hash()));
            }
            5 => {
                let block = self.proper_block();
                let round = statement.round.saturating_add(self.rng.random_range(0..2));
                statement.prepared = Some((round, block.hash()));
            }
            6 => statement.prepared = None,
            _ => statement.signed = self.bad_signature(),
        }
    }

    fn spoil_prepares(&mut self, prepares: &mut PreparesDraft) {
        let signer = self.rng.random_range(0..prepares.signers.len().max(1));
        match self.rng.random_range(0..8) {
            0 => prepares.round = self.any_round(),
            1 => prepares.signed_round = self.any_round(),
            2 => {
                let round = self.any_round();
                (prepares.round, prepares.signed_round) = (round, round);
            }
            3 => prepares.digest = self.any_block().hash(),
            4 => prepares.has_outsider = true,
            5 => {
                prepares.signers.truncate(self.quorum() - 1);
            }
            _ => {
                let bad = self.bad_signature();
                if let Some((_, signed)) = prepares.signers.get_mut(signer) {
                    *signed = bad;
                }
            }
        }
    }

    fn spoil_proposal(&mut self, draft: &mut Draft) {
        let bad = self.bad_signature();
        let other_round = self.any_round();
        let other_block = self.any_block();
        let extra = self.prepares(0, other_block.hash());
        let quorum = self.quorum();
        let choice = self.rng.random_range(0..14);
        let Draft::Proposal {
            height,
            round,
            block,
            changes,
            prepares,
            signed,
        } = draft
        else {
            return;
        };
        let named = self.rng.random_range(0..changes.len().max(1));
        match choice {
            0 if self.rng.random_bool(0.5) => *height = height.next(),
            0 => *height = height.previous().unwrap_or(*height),
            1 => *round = other_round,
            2 => *block = other_block,
            3 => *signed = bad,
            4 => changes.truncate(quorum - 1),
            5 if changes.len() > 1 => {
                // One author twice: as many statements as before.
                let copy = changes[0].clone();
                changes.pop();
                changes.push(copy);
            }
            6 if !changes.is_empty() => {
                // One author twice: one statement more.
                changes.push(changes[named].clone());
            }
            7 => *prepares = None,
            8 if prepares.is_none() => *prepares = Some(extra),
            9 | 10 if prepares.is_some() => {
                if let Some(prepares) = prepares {
                    self.spoil_prepares(prepares);
                }
            }
            11 if !changes.is_empty() => {
                let stranger = self.world.count;
                changes[named].author = stranger;
            }
            _ if !changes.is_empty() => self.spoil_statement(&mut changes[named]),
            _ => {
                // A justification where none belongs.
                changes.push(StatementDraft {
                    author: 0,
                    height: *height,
                    round: *round,
                    prepared: None,
                    signed: Signed::Well,
                });
            }
        }
    }
}
