//! What liars say instead of what their engine would. They know their own key
//! only: every signature of theirs is real unless the lie is a bad signature.
//! Links name their sender, so nobody speaks for another.

use crate::{
    block::{GENESIS, another},
    crypto::SimulatedCrypto,
    scenario::Habit,
    world::World,
};
use alloy_primitives::B256;
use medina_consensus::{
    VoteCrypto,
    qbft::messages::{
        Commit, Justification, Message, NamedRoundChange, Prepare, PreparedClaim, PreparedProof,
        Proposal, RoundChange, RoundChangeStatement, prepare_message,
    },
};
use medina_types::{Certificate, Height, NodeSignature, Round, SealedBlock, commit_message};
use rand::{Rng, seq::IndexedRandom};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages of one flood.
const FLOOD: u32 = 500;
/// Messages that a replayer keeps.
const REPLAY_MAX: usize = 200;

/// What a liar keeps in mind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lies {
    /// The other block of each round in which two were proposed.
    other: BTreeMap<(Height, Round), (B256, B256)>,
    /// Old messages, own and overheard.
    heard: VecDeque<Vec<u8>>,
    /// Round changes of all, by round: material for justifications.
    pub(crate) round_changes: BTreeMap<(Height, Round), BTreeMap<usize, RoundChange>>,
    /// PREPAREs of others, by block: material for too small proofs.
    pub(crate) prepares: BTreeMap<(Height, Round, B256), BTreeMap<usize, NodeSignature>>,
    /// Blocks proposed, by hash.
    pub(crate) blocks: BTreeMap<B256, SealedBlock>,
    /// Who was flooded already.
    flooded: BTreeSet<usize>,
}

impl Lies {
    pub(crate) fn forget(&mut self) {
        self.other.clear();
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.heard.len() >= REPLAY_MAX {
            self.heard.pop_front();
        }
        self.heard.push_back(bytes.to_vec());
    }
}

pub(crate) fn signed_commit(
    crypto: &SimulatedCrypto,
    height: Height,
    round: Round,
    digest: B256,
) -> Message {
    let seal = crypto.sign(&commit_message(GENESIS, height, round, digest));
    Message::Commit(Commit {
        height,
        round,
        digest,
        seal,
    })
}

pub(crate) fn signed_prepare(
    crypto: &SimulatedCrypto,
    height: Height,
    round: Round,
    digest: B256,
) -> Message {
    let signature = crypto.sign(&prepare_message(GENESIS, height, round, digest));
    Message::Prepare(Prepare {
        height,
        round,
        digest,
        signature,
    })
}

pub(crate) fn signed_statement(
    crypto: &SimulatedCrypto,
    height: Height,
    round: Round,
    prepared: Option<PreparedClaim>,
) -> RoundChangeStatement {
    let bytes = RoundChangeStatement::signed_bytes(GENESIS, height, round, prepared);
    RoundChangeStatement {
        height,
        round,
        prepared,
        signature: crypto.sign(&bytes),
    }
}

pub(crate) fn signed_proposal(
    crypto: &SimulatedCrypto,
    round: Round,
    block: SealedBlock,
    justification: Justification,
) -> Message {
    let height = block.height();
    let bytes = Proposal::signed_bytes(GENESIS, height, round, block.hash());
    Message::Proposal(Box::new(Proposal {
        height,
        round,
        signature: crypto.sign(&bytes),
        block,
        justification,
    }))
}

impl World {
    /// What a liar sends to one node in place of `bytes`.
    pub(crate) fn lie(&mut self, liar: usize, to: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(habit) = self.nodes[liar].habit else {
            return vec![bytes];
        };
        self.count_lie(habit);
        match habit {
            Habit::Garbler => vec![self.garbled(bytes)],
            Habit::Equivocator => self.equivocated(liar, to, bytes),
            Habit::Withholder => self.withheld(to, bytes),
            Habit::Replayer => self.replayed(liar, bytes),
            Habit::BadSeals => vec![self.badly_sealed(liar, bytes)],
            Habit::Rusher => self.rushed(liar, bytes),
            Habit::Forger => self.forged(liar, to, bytes),
            Habit::Flooder => self.flooded(liar, to, bytes),
            Habit::Twins | Habit::Amnesiac | Habit::BadBlocks | Habit::DoubleVoter => vec![bytes],
        }
    }

    /// A liar overhears what is sent to it; some answer at once.
    pub(crate) fn on_heard_by_liar(&mut self, liar: usize, from: usize, bytes: &[u8]) {
        match self.nodes[liar].habit {
            Some(Habit::Replayer) => self.nodes[liar].lies.hear(bytes),
            Some(Habit::DoubleVoter) => self.vote_for_everything(liar, bytes),
            Some(Habit::Forger) => self.collect(liar, from, bytes),
            _ => {}
        }
    }

    fn garbled(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.rng.random_bool(0.3) && !bytes.is_empty() {
            let position = self.rng.random_range(0..bytes.len());
            bytes[position] ^= 1 << self.rng.random_range(0..8);
        }
        bytes
    }

    /// Odd nodes hear of another block than even ones.
    fn equivocated(&mut self, liar: usize, to: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let Ok(message) = Message::decode(&bytes) else {
            return vec![bytes];
        };
        let crypto = self.nodes[liar].crypto.clone();
        let is_other_half = (to ^ liar) & 1 == 1;
        let (height, round) = (message.height(), message.round());
        match message {
            Message::Proposal(proposal) if proposal.justification.prepares.is_none() => {
                let block = another(&proposal.block);
                let pair = (proposal.block.hash(), block.hash());
                self.checker.learn_block(&block);
                self.nodes[liar].lies.other.insert((height, round), pair);
                if !is_other_half {
                    return vec![bytes];
                }
                vec![signed_proposal(&crypto, round, block, proposal.justification).encode()]
            }
            Message::Prepare(_) | Message::Commit(_) if is_other_half => {
                let Some((_, other)) = self.nodes[liar].lies.other.get(&(height, round)) else {
                    return vec![bytes];
                };
                let messages = [
                    signed_prepare(&crypto, height, round, *other),
                    signed_commit(&crypto, height, round, *other),
                ];
                messages.map(|message| message.encode()).to_vec()
            }
            _ => vec![bytes],
        }
    }

    fn withheld(&mut self, to: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let is_vote = matches!(
            Message::decode(&bytes),
            Ok(Message::Prepare(_) | Message::Commit(_))
        );
        let is_dropped = is_vote && (!to.is_multiple_of(3) || self.rng.random_bool(0.3));
        if is_dropped { Vec::new() } else { vec![bytes] }
    }

    fn replayed(&mut self, liar: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        self.nodes[liar].lies.hear(&bytes);
        let mut all = vec![bytes];
        for _ in 0..self.rng.random_range(0..3) {
            let heard = &self.nodes[liar].lies.heard;
            all.push(heard[self.rng.random_range(0..heard.len())].clone());
        }
        all
    }

    fn badly_sealed(&mut self, liar: usize, bytes: Vec<u8>) -> Vec<u8> {
        let crypto = self.nodes[liar].crypto.clone();
        let variant = self.rng.random_range(0..4);
        let garbage = NodeSignature(std::array::from_fn(|_| self.rng.random()));
        match Message::decode(&bytes) {
            Ok(Message::Commit(mut commit)) => {
                let (height, round, digest) = (commit.height, commit.round, commit.digest);
                commit.seal = match variant {
                    0 => garbage,
                    1 => NodeSignature([0; 64]),
                    2 => crypto.sign(&commit_message(GENESIS, height, round.next(), digest)),
                    _ => crypto.sign(&prepare_message(GENESIS, height, round, digest)),
                };
                Message::Commit(commit).encode()
            }
            Ok(Message::Prepare(mut prepare)) if variant < 2 => {
                prepare.signature = garbage;
                Message::Prepare(prepare).encode()
            }
            Ok(Message::RoundChange(mut change)) if variant < 2 => {
                change.statement.signature = garbage;
                Message::RoundChange(change).encode()
            }
            _ => bytes,
        }
    }

    fn rushed(&mut self, liar: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut all = vec![bytes];
        if let Ok(message) = Message::decode(&all[0]) {
            let steps = *[1, 2, 7, 1_000, u32::MAX]
                .choose(&mut self.rng)
                .expect("written out");
            let round = Round(message.round().0.saturating_add(steps));
            let crypto = self.nodes[liar].crypto.clone();
            let heights = u64::from(self.rng.random_range(0..4_u8) == 0);
            let height = Height(message.height().0 + heights);
            let statement = signed_statement(&crypto, height, round, None);
            let change = RoundChange {
                statement,
                proof: None,
            };
            all.push(Message::RoundChange(Box::new(change)).encode());
            all.push(signed_commit(&crypto, height, round, B256::repeat_byte(1)).encode());
        }
        all
    }

    fn vote_for_everything(&mut self, liar: usize, bytes: &[u8]) {
        let (height, round, digest) = match Message::decode(bytes) {
            Ok(Message::Proposal(proposal)) => {
                (proposal.height, proposal.round, proposal.block.hash())
            }
            Ok(Message::Prepare(prepare)) => (prepare.height, prepare.round, prepare.digest),
            _ => return,
        };
        let known = self.nodes[liar]
            .lies
            .other
            .entry((height, round))
            .or_default();
        if known.0 == digest || known.1 == digest {
            return;
        }
        *known = (digest, known.0);
        self.count_lie(Habit::DoubleVoter);
        let crypto = self.nodes[liar].crypto.clone();
        for message in [
            signed_prepare(&crypto, height, round, digest),
            signed_commit(&crypto, height, round, digest),
        ] {
            self.send_to_others(liar, &message.encode());
        }
    }

    /// Hundreds of messages of many rounds, once for each other node: votes for
    /// this height, or round changes with a proof for the next.
    fn flooded(&mut self, liar: usize, to: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let known = self.nodes[liar].lies.flooded.contains(&to);
        let height = self.nodes[liar].disk.height().next();
        if known || !self.rng.random_bool(0.2) {
            return vec![bytes];
        }
        self.nodes[liar].lies.flooded.insert(to);
        let crypto = self.nodes[liar].crypto.clone();
        let block = self.draft(liar, 0, 0, false);
        let digest = block.hash();
        let is_ahead = self.rng.random_bool(0.5);
        let garbage = crypto.sign(b"nothing");
        let mut all = vec![bytes];
        for round in (1..FLOOD).map(Round) {
            let message = if is_ahead {
                let claim = PreparedClaim {
                    round: Round::ZERO,
                    digest,
                };
                let prepares = Certificate::new(Round::ZERO, (0..3).map(|index| (index, garbage)));
                let block = block.clone();
                Message::RoundChange(Box::new(RoundChange {
                    statement: signed_statement(&crypto, height.next(), round, Some(claim)),
                    proof: Some(PreparedProof { prepares, block }),
                }))
            } else if round.0.is_multiple_of(2) {
                signed_commit(&crypto, height, round, digest)
            } else {
                Message::RoundChange(Box::new(RoundChange {
                    statement: signed_statement(&crypto, height, round, None),
                    proof: None,
                }))
            };
            all.push(message.encode());
        }
        all
    }

    /// Proposals and round changes whose justification does not hold.
    fn forged(&mut self, liar: usize, to: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let Ok(message) = Message::decode(&bytes) else {
            return vec![bytes];
        };
        let crypto = self.nodes[liar].crypto.clone();
        match message {
            Message::RoundChange(change) => {
                let (height, round) = (change.statement.height, change.statement.round);
                let mut all = vec![self.forged_round_change(&crypto, *change).encode()];
                all.extend(self.unjustified_proposal(liar, height, round));
                all.extend(self.forged_proposal(liar, height, round));
                all
            }
            Message::Proposal(proposal) => {
                let (height, round) = (proposal.height, proposal.round);
                let true_block = proposal.block.clone();
                let known = &mut self.nodes[liar].lies.blocks;
                known.insert(true_block.hash(), true_block);
                // One is left out, and hears of it later in another form.
                if !round.is_zero() && self.rng.random_bool(0.5) {
                    let is_left_out = to % self.scenario.nodes == (liar + 1) % self.scenario.nodes;
                    return if is_left_out { Vec::new() } else { vec![bytes] };
                }
                let block = self.unwanted_block(liar, &proposal.block);
                let justification = self.forged_justification(liar, height, round);
                let forged = signed_proposal(&crypto, round, block, justification).encode();
                if self.rng.random_bool(0.5) {
                    vec![forged, bytes]
                } else {
                    vec![forged]
                }
            }
            _ => vec![bytes],
        }
    }

    /// A fresh block of the liar's own, whatever was prepared.
    fn unwanted_block(&mut self, liar: usize, like: &SealedBlock) -> SealedBlock {
        let mut header = like.header().clone();
        header.beneficiary = crate::block::operator(self.nodes[liar].validator);
        let salt: [u8; 16] = self.rng.random();
        header.extra_data = salt.to_vec().into();
        let block = SealedBlock::new(medina_types::Block::new(header, like.block().body.clone()));
        self.checker.learn_block(&block);
        block
    }

    /// Right after a round change, with too few or the wrong ones of others.
    fn unjustified_proposal(
        &mut self,
        liar: usize,
        height: Height,
        round: Round,
    ) -> Option<Vec<u8>> {
        let node = &self.nodes[liar];
        let is_ours = node.disk.height().next() == height
            && node.disk.context().proposer(height, round).key == node.key;
        if !is_ours || !self.rng.random_bool(0.5) {
            return None;
        }
        let salt = self.rng.random();
        let block = self.draft(liar, 0, salt, false);
        self.checker.learn_block(&block);
        let justification = self.forged_justification(liar, height, round);
        let crypto = self.nodes[liar].crypto.clone();
        Some(signed_proposal(&crypto, round, block, justification).encode())
    }

    fn forged_justification(&mut self, liar: usize, height: Height, round: Round) -> Justification {
        let (crypto, author) = (self.nodes[liar].crypto.clone(), self.nodes[liar].key);
        let set = self.nodes[liar].disk.context().validators.clone();
        let (quorum, count) = (set.quorum(), set.len());
        let own = NamedRoundChange {
            author,
            statement: signed_statement(&crypto, height, round, None),
        };
        let collected = self.nodes[liar]
            .lies
            .round_changes
            .get(&(height, round))
            .cloned();
        let collected = collected.unwrap_or_default();
        let named = collected
            .into_iter()
            .map(|(node, change)| NamedRoundChange {
                author: self.keys[node],
                statement: change.statement,
            });
        let round_changes = match self.rng.random_range(0..5) {
            // The same one again and again.
            0 => vec![own; quorum],
            // One for each validator, all signed by the liar.
            1 => set.validators()[..quorum.min(count)]
                .iter()
                .map(|validator| NamedRoundChange {
                    author: validator.key,
                    statement: own.statement.clone(),
                })
                .collect(),
            // Those of others, without what they had prepared.
            2 => named
                .map(|mut named| {
                    named.statement.prepared = None;
                    named
                })
                .chain([own])
                .collect(),
            // Only those that had prepared nothing, true but too few perhaps.
            3 => named
                .filter(|named| named.statement.prepared.is_none())
                .chain([own])
                .collect(),
            _ => Vec::new(),
        };
        let prepares = self.rng.random_bool(0.3).then(|| {
            let garbage = crypto.sign(b"nothing");
            Certificate::new(Round::ZERO, (0..quorum).map(|index| (index, garbage)))
        });
        Justification {
            round_changes,
            prepares,
        }
    }

    /// Claims something prepared that never was, or hides what was.
    fn forged_round_change(&mut self, crypto: &SimulatedCrypto, change: RoundChange) -> Message {
        let (height, round) = (change.statement.height, change.statement.round);
        let plain = |prepared, proof| {
            let statement = signed_statement(crypto, height, round, prepared);
            Message::RoundChange(Box::new(RoundChange { statement, proof }))
        };
        let garbage = crypto.sign(b"nothing");
        let before = Round(round.0.saturating_sub(1));
        let digest = B256::repeat_byte(2);
        match (self.rng.random_range(0..5), change.proof) {
            (0, _) => plain(None, None),
            // A claim of the round before, and no proof at all.
            (4, _) => plain(
                Some(PreparedClaim {
                    round: before,
                    digest,
                }),
                None,
            ),
            (1, Some(proof)) => {
                let votes = (0..proof.prepares.signatures().len()).map(|index| (index, garbage));
                let prepares = Certificate::new(before, votes);
                let claim = PreparedClaim {
                    round: before,
                    digest: proof.block.hash(),
                };
                let block = proof.block;
                plain(Some(claim), Some(PreparedProof { prepares, block }))
            }
            (2, Some(proof)) => {
                // A true certificate for another block.
                let block = another(&proof.block);
                self.checker.learn_block(&block);
                let claim = PreparedClaim {
                    round: proof.prepares.round,
                    digest: block.hash(),
                };
                let prepares = proof.prepares;
                plain(Some(claim), Some(PreparedProof { prepares, block }))
            }
            (_, proof) => Message::RoundChange(Box::new(RoundChange {
                statement: change.statement,
                proof,
            })),
        }
    }

    /// What a liar serves to somebody who synchronises.
    pub(crate) fn served_by_liar(
        &mut self,
        liar: usize,
        blocks: &mut [(SealedBlock, Certificate)],
    ) {
        let crypto = self.nodes[liar].crypto.clone();
        let Some((block, certificate)) = blocks.first_mut() else {
            return;
        };
        let height = block.height();
        let Some(context) = self.nodes[liar].disk.context_of(height) else {
            return;
        };
        let set = context.validators.clone();
        let own = set.index_of_key(&self.nodes[liar].key);
        let round = certificate.round;
        match self.rng.random_range(0..4) {
            // Too few seals, the first f + 1.
            0 => {
                let few = certificate
                    .signers()
                    .zip(certificate.signatures().iter().copied());
                let few: Vec<_> = few.take(set.faulty_max() + 1).collect();
                *certificate = Certificate::new(round, few);
            }
            // Another block under the true seals.
            1 => *block = another(block),
            // Another block, sealed by the liar in everybody's name.
            2 => {
                *block = another(block);
                let seal = crypto.sign(&commit_message(GENESIS, height, round, block.hash()));
                *certificate = Certificate::new(round, (0..set.len()).map(|index| (index, seal)));
            }
            // Another block with the liar's own true seal alone.
            _ => {
                *block = another(block);
                let seal = crypto.sign(&commit_message(GENESIS, height, round, block.hash()));
                *certificate = Certificate::new(round, own.map(|index| (index, seal)));
            }
        }
    }
}
