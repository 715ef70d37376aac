//! What other validators say: which messages are heard, checked and kept.
//!
//! Only the first valid message of a kind, round and author counts; repetitions
//! cost nothing, everything else costs its author's [budget](super::budget).

use super::{
    Qbft,
    height::{AcceptedProposal, ProvenRoundChange, Verdict, Vote},
    justification::{Defect, Freshness},
    messages::{Commit, Message, MessageKind, Prepare, Proposal, RoundChange},
    record::Signed,
};
use crate::{
    Output,
    mutants::{Mutant, is_on},
};
use alloy_primitives::B256;
use medina_types::{Height, NodePublicKey, Round};

impl Qbft {
    pub(super) fn on_message(&mut self, now_ms: u64, from: NodePublicKey, bytes: Vec<u8>) {
        if from == self.config.own_key {
            return;
        }
        if !self.is_validator(&from) && !is_on(Mutant::StrangersCounted) {
            return self.on_strangers_message(from, bytes);
        }
        // Not at genesis, where a connection also says that the peer is there too.
        if self.head.height > Height::GENESIS && self.connected.insert(from) {
            self.note_connected();
        }
        let message = match Message::decode(&bytes) {
            Ok(message) => message,
            Err(error) => return self.accuse(from, error.to_string()),
        };
        let (height, next) = (self.height(), self.height().next());
        match (message.height(), message.kind()) {
            (at, MessageKind::Ahead) if at >= height => self.ask_to_sync(now_ms, from, at),
            (_, MessageKind::Ahead) => {}
            (at, MessageKind::RoundChange) if at < height => self.answer_laggard(from),
            (at, _) if at < height => {}
            (at, _) if at == height => {
                self.on_current_message(now_ms, from, message);
            }
            (at, kind) if at == next => {
                self.future
                    .insert(from, true, (message.round(), kind), bytes);
            }
            (at, _) => self.ask_to_sync(now_ms, from, at.previous().unwrap_or(at)),
        }
    }

    /// A peer that is no validator may be one at the next height; nothing else
    /// that it says counts.
    fn on_strangers_message(&mut self, from: NodePublicKey, bytes: Vec<u8>) {
        let Ok(message) = Message::decode(&bytes) else {
            return;
        };
        let is_vote = message.kind() != MessageKind::Ahead;
        if is_vote && message.height() == self.height().next() {
            let place = (message.round(), message.kind());
            self.future.insert(from, false, place, bytes);
        }
    }

    /// A validator still changes rounds at a height that we know as decided.
    fn answer_laggard(&mut self, to: NodePublicKey) {
        let bytes = Message::Ahead {
            height: self.head.height,
        }
        .encode();
        self.out.push(Output::Send { to, bytes });
    }

    fn on_current_message(&mut self, now_ms: u64, from: NodePublicKey, message: Message) {
        if self.state.is_decided {
            return;
        }
        if self.is_known(&from, &message) {
            return self.on_repeated(now_ms, from, &message);
        }
        let (set, parameters) = (&self.context.validators, &self.config.parameters);
        if !self.budget.take(from, &message, now_ms, set, parameters) {
            return;
        }
        let result = match message {
            Message::Proposal(proposal) => self.on_proposal(from, *proposal),
            Message::Prepare(prepare) => self.on_prepare(from, prepare),
            Message::Commit(commit) => self.on_commit(from, commit),
            Message::RoundChange(change) => self.on_round_change(now_ms, from, *change),
            Message::Ahead { .. } => Ok(()),
        };
        match result {
            Ok(()) => {}
            Err(defect) if defect.is_provable() => self.accuse(from, defect.to_string()),
            Err(_) => {}
        }
    }

    /// The first message of a kind, round and author counts: one proposal per
    /// round, one vote per validator. The first that is valid, to be exact.
    fn is_known(&self, from: &NodePublicKey, message: &Message) -> bool {
        let (round, state) = (message.round(), &self.state);
        match message.kind() {
            MessageKind::Proposal => {
                state.proposals.contains_key(&round) && !is_on(Mutant::PreparesSecondProposal)
            }
            MessageKind::Prepare => state.prepares.contains(round, from),
            MessageKind::Commit => state.commits.contains(round, from),
            MessageKind::RoundChange => state.round_changes.contains(round, from),
            MessageKind::Ahead => false,
        }
    }

    /// A repetition says nothing new, but its author is still waiting.
    fn on_repeated(&mut self, now_ms: u64, from: NodePublicKey, message: &Message) {
        match message {
            Message::RoundChange(_) => self.note_asker(now_ms, from),
            Message::Prepare(prepare) if is_on(Mutant::DuplicatePreparesCounted) => {
                let copies = self.state.prepares.count_at(prepare.round) as u64;
                let mut copy = from;
                copy.0[..8].copy_from_slice(&copies.to_be_bytes());
                let vote = Vote {
                    digest: prepare.digest,
                    signature: prepare.signature,
                };
                self.state.prepares.insert(prepare.round, copy, vote);
            }
            _ => {}
        }
    }

    /// Takes a proposal that is justified.
    fn on_proposal(&mut self, from: NodePublicKey, proposal: Proposal) -> Result<(), Defect> {
        let freshness = self.rules().check_proposal(&from, &proposal)?;
        let (round, digest) = (proposal.round, proposal.block.hash());
        self.state.learn_block(proposal.block, Verdict::Unchecked);
        let fresh = freshness == Freshness::Fresh;
        self.state
            .proposals
            .insert(round, AcceptedProposal { digest, fresh });
        self.note_voter(from);
        if round > self.state.round || is_on(Mutant::FollowsLowerRound) {
            self.move_to_round(round);
        }
        self.prune();
        Ok(())
    }

    fn on_prepare(&mut self, from: NodePublicKey, prepare: Prepare) -> Result<(), Defect> {
        let round = prepare.round;
        self.rules().check_prepare(&from, &prepare)?;
        let vote = Vote {
            digest: prepare.digest,
            signature: prepare.signature,
        };
        self.state.prepares.insert(round, from, vote);
        self.note_voter(from);
        Ok(())
    }

    fn on_commit(&mut self, from: NodePublicKey, commit: Commit) -> Result<(), Defect> {
        let round = commit.round;
        self.rules().check_commit(&from, &commit)?;
        let vote = Vote {
            digest: commit.digest,
            signature: commit.seal,
        };
        self.state.commits.insert(round, from, vote);
        self.note_voter(from);
        Ok(())
    }

    fn on_round_change(
        &mut self,
        now_ms: u64,
        from: NodePublicKey,
        change: RoundChange,
    ) -> Result<(), Defect> {
        let round = change.statement.round;
        self.rules().check_round_change(&from, &change)?;
        let RoundChange { statement, proof } = change;
        let prepares = proof.map(|proof| {
            self.state.learn_block(proof.block, Verdict::Unchecked);
            proof.prepares
        });
        self.state.round_changes.insert(
            round,
            from,
            ProvenRoundChange {
                statement,
                prepares,
            },
        );
        self.state.voters.insert(from);
        self.note_asker(now_ms, from);
        self.prune();
        Ok(())
    }

    /// Somebody wants another round. That wakes an idle height, but a validator
    /// alone with nothing to show for it not again and again.
    fn note_asker(&mut self, now_ms: u64, asker: NodePublicKey) {
        if self.state.is_active {
            return;
        }
        let askers = self.state.askers_from(Round(1));
        let is_alone = askers <= self.context.validators.faulty_max()
            && !self.is_work_waiting
            && !self.state.is_heartbeat_due
            && !self.state.has_claims();
        if !is_alone {
            self.state.is_active = true;
        } else if self.patience.allows(&asker, now_ms) {
            self.state.is_active = true;
            self.state.woken_by = Some(asker);
        }
    }

    /// Who alone made us decide an empty block, if so.
    pub(super) fn forced_by(&self, head: B256) -> Option<NodePublicKey> {
        let block = &self.state.blocks.get(&head)?.block;
        self.state
            .woken_by
            .filter(|_| block.transactions().is_empty())
    }

    pub(super) fn prune(&mut self) {
        let signed = self.signed_here();
        let keep = signed.map(Signed::digests).unwrap_or_default();
        self.state.prune(&keep);
    }

    /// A validator provably works at this height, so there is something to decide.
    fn note_voter(&mut self, voter: NodePublicKey) {
        self.state.voters.insert(voter);
        self.state.is_active = true;
    }

    pub(super) fn accuse(&mut self, peer: NodePublicKey, reason: String) {
        self.out.push(Output::PeerMisbehaved { peer, reason });
    }
}
