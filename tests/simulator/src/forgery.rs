//! Proposals that a forger makes with all its means: each is right in every
//! respect but one, so that the one check that it is about must refuse it.

use crate::{
    block::GENESIS,
    byzantine::{signed_commit, signed_prepare, signed_proposal, signed_statement},
    scenario::Habit,
    world::World,
};
use alloy_primitives::B256;
use medina_consensus::{
    VoteCrypto,
    qbft::messages::{Justification, Message, NamedRoundChange, PreparedClaim, prepare_message},
};
use medina_types::{Block, Certificate, Height, HeightContext, Round, SealedBlock};
use rand::Rng;
use std::collections::BTreeSet;

/// Heights and rounds of which a forger keeps what it overheard.
const KEPT_MAX: usize = 40;
/// Keys that belong to no node.
const STRANGERS: usize = 1_000;
/// Ways to forge a proposal of a later round.
const WAYS: u32 = 13;

impl World {
    /// A forger remembers what can be quoted.
    pub(crate) fn collect(&mut self, liar: usize, from: usize, bytes: &[u8]) {
        let Ok(message) = Message::decode(bytes) else {
            return;
        };
        let author = self.nodes[from].validator;
        let lies = &mut self.nodes[liar].lies;
        match message {
            Message::RoundChange(change) => {
                let (height, round) = (change.statement.height, change.statement.round);
                let collected = lies.round_changes.entry((height, round)).or_default();
                collected.insert(author, *change);
                while lies.round_changes.len() > KEPT_MAX {
                    lies.round_changes.pop_first();
                }
                self.forge_for_all(liar, height, round);
            }
            Message::Prepare(prepare) => {
                let subject = (prepare.height, prepare.round, prepare.digest);
                let votes = lies.prepares.entry(subject).or_default();
                votes.insert(author, prepare.signature);
                while lies.prepares.len() > KEPT_MAX {
                    lies.prepares.pop_first();
                }
                self.forge_repeated(liar, prepare.height, prepare.round);
            }
            Message::Proposal(proposal) => {
                lies.blocks.insert(proposal.block.hash(), proposal.block);
                while lies.blocks.len() > KEPT_MAX {
                    lies.blocks.pop_first();
                }
            }
            _ => {}
        }
    }

    /// Proposes at once when others ask for a round of its own.
    fn forge_for_all(&mut self, liar: usize, height: Height, round: Round) {
        if self.rng.random_bool(0.7) {
            return;
        }
        if let Some(bytes) = self.forged_proposal(liar, height, round) {
            self.count_lie(Habit::Forger);
            self.send_to_others(liar, &bytes);
            self.vote_for(liar, &bytes);
        }
    }

    /// Proposes what is prepared in a round of its own as prepared before, to
    /// those who have not heard the true proposal.
    fn forge_repeated(&mut self, liar: usize, height: Height, round: Round) {
        let node = &self.nodes[liar];
        let context = node.disk.context().clone();
        let is_ours = node.disk.height().next() == height
            && !round.is_zero()
            && context.proposer(height, round).key == node.key;
        if !is_ours {
            return;
        }
        let Some((claim, prepares)) = self.prepared_here(liar, &context, (height, round)) else {
            return;
        };
        let Some(block) = self.nodes[liar].lies.blocks.get(&claim.digest).cloned() else {
            return;
        };
        let crypto = self.nodes[liar].crypto.clone();
        let own = NamedRoundChange {
            author: self.nodes[liar].key,
            statement: signed_statement(&crypto, height, round, Some(claim)),
        };
        let justification = Justification {
            round_changes: self.quoted(liar, own, |at, it| at == height && it == round),
            prepares: Some(prepares),
        };
        let bytes = signed_proposal(&crypto, round, block, justification).encode();
        self.send_to_others(liar, &bytes);
    }

    /// A forger that proposed something votes for it.
    fn vote_for(&mut self, liar: usize, bytes: &[u8]) {
        let crypto = self.nodes[liar].crypto.clone();
        if let Ok(Message::Proposal(it)) = Message::decode(bytes) {
            let digest = it.block.hash();
            for vote in [
                signed_prepare(&crypto, it.height, it.round, digest),
                signed_commit(&crypto, it.height, it.round, digest),
            ] {
                self.send_to_others(liar, &vote.encode());
            }
        }
    }

    /// A liar has a new head: some use the quiet.
    pub(crate) fn on_head_of_liar(&mut self, liar: usize) {
        let height = self.nodes[liar].disk.height().next();
        match self.nodes[liar].habit {
            Some(Habit::Rusher) => {
                let crypto = &self.nodes[liar].crypto;
                let statement = signed_statement(crypto, height, Round(1), None);
                let proof = None;
                let change = medina_consensus::qbft::messages::RoundChange { statement, proof };
                let bytes = Message::RoundChange(Box::new(change)).encode();
                self.count_lie(Habit::Rusher);
                self.send_to_others(liar, &bytes);
            }
            Some(Habit::Forger) => {
                let bytes = self.forged_first_proposal(liar, height);
                self.count_lie(Habit::Forger);
                self.send_to_others(liar, &bytes);
                self.vote_for(liar, &bytes);
            }
            _ => {}
        }
    }

    /// A proposal of round 0 that is wrong in one respect.
    fn forged_first_proposal(&mut self, liar: usize, height: Height) -> Vec<u8> {
        let context = self.nodes[liar].disk.context().clone();
        let crypto = self.nodes[liar].crypto.clone();
        let proposer = context.proposer(height, Round::ZERO);
        let is_ours = proposer.key == self.nodes[liar].key;
        let mut block = self.forged_block(liar, proposer.operator);
        let mut justification = Justification::default();
        match self.rng.random_range(0..3) {
            _ if !is_ours => {}
            0 => {
                let members = context.validators.validators();
                let other = members.iter().find(|other| other.key != proposer.key);
                let paid = other.map_or(proposer.operator, |other| other.operator);
                block = self.forged_block(liar, paid);
            }
            1 => block = self.elsewhere(&block),
            _ => {
                let author = self.nodes[liar].key;
                let statement = signed_statement(&crypto, height, Round(1), None);
                justification.round_changes = vec![NamedRoundChange { author, statement }];
            }
        }
        signed_proposal(&crypto, Round::ZERO, block, justification).encode()
    }

    /// A block on the liar's head that pays somebody.
    fn forged_block(&mut self, liar: usize, pays: alloy_primitives::Address) -> SealedBlock {
        let salt = self.rng.random();
        let block = self.draft(liar, 0, salt, false);
        let mut header = block.header().clone();
        header.beneficiary = pays;
        let block = SealedBlock::new(Block::new(header, block.block().body.clone()));
        self.checker.learn_block(&block);
        block
    }

    /// The same block on another parent.
    fn elsewhere(&mut self, block: &SealedBlock) -> SealedBlock {
        let mut header = block.header().clone();
        header.parent_hash = B256::repeat_byte(3);
        let block = SealedBlock::new(Block::new(header, block.block().body.clone()));
        self.checker.learn_block(&block);
        block
    }

    /// True round changes of others and one of the liar's own, of distinct authors,
    /// as far as the liar heard any that `suits`.
    fn quoted(
        &self,
        liar: usize,
        own: NamedRoundChange,
        suits: impl Fn(Height, Round) -> bool,
    ) -> Vec<NamedRoundChange> {
        let mut authors = BTreeSet::from([self.nodes[liar].validator]);
        let mut all = vec![own];
        let heard = self.nodes[liar].lies.round_changes.iter();
        for ((height, round), changes) in heard.rev() {
            if !suits(*height, *round) {
                continue;
            }
            for (node, change) in changes {
                if authors.insert(*node) {
                    all.push(NamedRoundChange {
                        author: self.keys[*node],
                        statement: change.statement.clone(),
                    });
                }
            }
        }
        all
    }

    /// A proposal of a later round that is wrong in one respect.
    pub(crate) fn forged_proposal(
        &mut self,
        liar: usize,
        height: Height,
        round: Round,
    ) -> Option<Vec<u8>> {
        let node = &self.nodes[liar];
        let context = node.disk.context().clone();
        let key = node.key;
        let proposer = context.proposer(height, round);
        let is_at_hand = node.disk.height().next() == height && !round.is_zero();
        let is_ours = proposer.key == key;
        if !is_at_hand || (!is_ours && !self.rng.random_bool(0.2)) {
            return None;
        }
        let crypto = node.crypto.clone();
        let pays = proposer.operator;
        let own = |prepared| NamedRoundChange {
            author: key,
            statement: signed_statement(&crypto, height, round, prepared),
        };
        let here = |at: Height, it: Round| at == height && it == round;
        let quorum = (2 * context.validators.len()).div_ceil(3);
        let fresh = self.forged_block(liar, pays);
        let mut block = fresh;
        let mut prepares = None;
        let quoted = match self.rng.random_range(0..WAYS) {
            // Nothing is wrong with the round changes.
            0 if !is_ours => self.quoted(liar, own(None), here),
            0 => {
                let members = context.validators.validators();
                let other = members.iter().find(|other| other.key != proposer.key)?;
                block = self.forged_block(liar, other.operator);
                self.quoted(liar, own(None), here)
            }
            1 => {
                block = self.elsewhere(&block);
                self.quoted(liar, own(None), here)
            }
            2 => {
                let mut few = self.quoted(liar, own(None), here);
                few.truncate(quorum - 1);
                few
            }
            3 => vec![own(None); quorum],
            4 => self.quoted(liar, own(None), |at, it| at < height && it == round),
            5 => self.quoted(liar, own(None), |at, it| at == height && it != round),
            6 => self.signed_by_strangers(liar, height, round, quorum),
            7 => Vec::new(),
            8 => self.signed_by_liar(liar, height, round, &context),
            // Claims of others are left without their proof.
            9 => self.quoted(liar, own(None), here),
            // What was never prepared, with PREPAREs that nobody signed.
            10 => {
                let (before, digest) = (Round(round.0 - 1), block.hash());
                let garbage = crypto.sign(b"nothing");
                let votes = (0..quorum).map(|index| (index, garbage));
                prepares = Some(Certificate::new(before, votes));
                let claim = PreparedClaim {
                    round: before,
                    digest,
                };
                self.quoted(liar, own(Some(claim)), here)
            }
            // What some prepared, with too few PREPAREs.
            11 => {
                let (claim, few) = self.half_prepared(liar, &context, (height, round))?;
                block = self.nodes[liar].lies.blocks.get(&claim.digest)?.clone();
                prepares = Some(few);
                self.quoted(liar, own(Some(claim)), here)
            }
            // What was prepared, under a higher claim.
            _ => {
                let changes = self.nodes[liar].lies.round_changes.get(&(height, round))?;
                let proofs = changes.values().filter_map(|change| change.proof.as_ref());
                let proof = proofs.min_by_key(|proof| proof.prepares.round)?.clone();
                block = proof.block;
                prepares = Some(proof.prepares);
                let claim = PreparedClaim {
                    round: Round(round.0 - 1),
                    digest: B256::repeat_byte(4),
                };
                self.quoted(liar, own(Some(claim)), here)
            }
        };
        let justification = Justification {
            round_changes: quoted,
            prepares,
        };
        Some(signed_proposal(&crypto, round, block, justification).encode())
    }

    /// Round changes of made-up keys.
    fn signed_by_strangers(
        &self,
        liar: usize,
        height: Height,
        round: Round,
        quorum: usize,
    ) -> Vec<NamedRoundChange> {
        let crypto = &self.nodes[liar].crypto;
        let strangers = (STRANGERS..STRANGERS + quorum).map(|index| NamedRoundChange {
            author: crate::crypto::SimulatedCrypto::secret(index).public_key(),
            statement: signed_statement(&crypto.of_other(index), height, round, None),
        });
        strangers.collect()
    }

    /// Round changes in the names of the others.
    fn signed_by_liar(
        &self,
        liar: usize,
        height: Height,
        round: Round,
        context: &HeightContext,
    ) -> Vec<NamedRoundChange> {
        let crypto = &self.nodes[liar].crypto;
        let members = context.validators.validators().iter();
        let named = members.map(|member| NamedRoundChange {
            author: member.key,
            statement: signed_statement(crypto, height, round, None),
        });
        named.collect()
    }

    /// PREPAREs for a block of a round, the liar's own among them.
    fn votes_for(
        &self,
        liar: usize,
        context: &HeightContext,
        (height, round, digest): (Height, Round, B256),
    ) -> Certificate {
        let node = &self.nodes[liar];
        let bytes = prepare_message(GENESIS, height, round, digest);
        let own = (node.validator, node.crypto.sign(&bytes));
        let heard = node.lies.prepares.get(&(height, round, digest));
        let heard = heard.into_iter().flatten();
        let votes = heard.map(|(node, signature)| (*node, *signature));
        let votes = votes.chain([own]).filter_map(|(node, signature)| {
            let index = context.validators.index_of_key(&self.keys[node])?;
            Some((index, signature))
        });
        Certificate::new(round, votes)
    }

    fn half_prepared(
        &self,
        liar: usize,
        context: &HeightContext,
        (height, round): (Height, Round),
    ) -> Option<(PreparedClaim, Certificate)> {
        let quorum = (2 * context.validators.len()).div_ceil(3);
        let subjects = self.nodes[liar].lies.prepares.keys();
        let mut subjects = subjects.filter(|(at, it, _)| *at == height && *it < round);
        let (_, prepared, digest) = *subjects.next_back()?;
        let subject = (height, prepared, digest);
        let votes = self.votes_for(liar, context, subject);
        let count = votes.signatures().len().min(quorum - 1);
        let few = votes.signers().zip(votes.signatures().iter().copied());
        let few = Certificate::new(prepared, few.take(count));
        let claim = PreparedClaim {
            round: prepared,
            digest,
        };
        Some((claim, few))
    }

    fn prepared_here(
        &self,
        liar: usize,
        context: &HeightContext,
        (height, round): (Height, Round),
    ) -> Option<(PreparedClaim, Certificate)> {
        let subjects = self.nodes[liar].lies.prepares.keys();
        let mut subjects = subjects.filter(|(at, it, _)| (*at, *it) == (height, round));
        let (_, _, digest) = *subjects.next()?;
        let votes = self.votes_for(liar, context, (height, round, digest));
        Some((PreparedClaim { round, digest }, votes))
    }
}
