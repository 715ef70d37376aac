//! Everything that this node signs. Each kind of message is signed once per
//! round, never in a round below one already signed in, and only together with
//! the record that remembers it: [`Qbft::handle`](crate::Engine::handle) puts
//! one `Persist` before all orders of a call in which anything was signed.

use super::{
    Qbft,
    height::{HeightState, ProvenRoundChange, Vote},
    messages::{
        Commit, Justification, Message, Prepare, PreparedProof, Proposal, RoundChange,
        RoundChangeStatement, prepare_message,
    },
    record::{Prepared, Record, Signed, SignedProposal, SignedVote},
};
use crate::{
    Output,
    mutants::{Mutant, is_on},
};
use alloy_primitives::B256;
use medina_types::{Certificate, Height, Round, commit_message};

impl Qbft {
    /// Whether this node signs anything at the current height.
    pub(super) fn may_sign(&self) -> bool {
        let set = &self.context.validators;
        // A record of a later height than ours means that blocks were lost:
        // what was signed in between is forgotten, so nothing is signed again.
        set.index_of_key(&self.config.own_key).is_some()
            && self.signed.height <= self.height()
            && self
                .standing
                .allows_voting(set, self.has_seen_quorum && !self.is_settling)
    }

    /// What was signed at this height, if anything.
    pub(super) fn signed_here(&self) -> Option<&Signed> {
        Some(&self.signed).filter(|signed| signed.height == self.height())
    }

    pub(super) fn prepared(&self) -> Option<&Prepared> {
        self.signed_here()?.prepared.as_ref()
    }

    pub(super) fn has_prepared_in(&self, round: Round) -> bool {
        let vote = self.signed_here().and_then(|signed| signed.prepare);
        vote.is_some_and(|vote| vote.round >= round)
    }

    pub(super) fn has_committed_in(&self, round: Round) -> bool {
        let vote = self.signed_here().and_then(|signed| signed.commit);
        vote.is_some_and(|vote| vote.round >= round)
    }

    pub(super) fn has_proposed_in(&self, round: Round) -> bool {
        let proposal = self
            .signed_here()
            .and_then(|signed| signed.proposal.as_ref());
        proposal.is_some_and(|proposal| proposal.vote.round >= round)
    }

    pub(super) fn has_changed_to(&self, round: Round) -> bool {
        let changed = self.signed_here().and_then(|signed| signed.round_change);
        changed.is_some_and(|changed| changed >= round)
    }

    /// Opens the record of this height for one more signature.
    fn record_to_sign(&mut self, round: Round) -> &mut Signed {
        let height = self.height();
        if self.signed.height != height {
            assert!(
                self.signed.height < height,
                "signing below the recorded height"
            );
            self.signed = Signed::nothing(height, self.standing);
        }
        let last = self.signed.round().unwrap_or_default();
        let is_mutant = is_on(Mutant::CommitsLeftRound) || is_on(Mutant::FollowsLowerRound);
        assert!(
            round >= last || is_mutant,
            "signing in round {round} after round {last}"
        );
        self.signed.standing = self.standing;
        self.state.is_active = true;
        self.is_record_dirty = true;
        &mut self.signed
    }

    pub(super) fn sign_proposal(&mut self, digest: B256, justification: Justification) {
        let round = self.state.round;
        let vote = SignedVote { round, digest };
        self.record_to_sign(round).proposal = Some(SignedProposal {
            vote,
            justification,
        });
        self.broadcast_own(self.proposal_message());
    }

    pub(super) fn sign_prepare(&mut self, digest: B256) {
        let vote = SignedVote {
            round: self.state.round,
            digest,
        };
        self.record_to_sign(vote.round).prepare = Some(vote);
        self.count_own_prepare(vote);
        self.broadcast_own(self.prepare_message());
    }

    pub(super) fn sign_commit(&mut self, digest: B256, prepares: Certificate) {
        let vote = SignedVote {
            round: self.state.round,
            digest,
        };
        let record = self.record_to_sign(vote.round);
        record.prepared = Some(Prepared {
            claim: vote,
            prepares,
        });
        record.commit = Some(vote);
        self.count_own_commit(vote);
        self.broadcast_own(self.commit_message());
    }

    /// Asks for the current round, once.
    pub(super) fn sign_round_change(&mut self) {
        let round = self.state.round;
        if self.has_changed_to(round) {
            return;
        }
        self.record_to_sign(round).round_change = Some(round);
        self.count_own_round_change();
        self.broadcast_own(self.round_change_message());
    }

    fn broadcast_own(&mut self, message: Option<Message>) {
        if let Some(message) = message.filter(|_| self.context.validators.len() > 1) {
            self.out.push(Output::Broadcast {
                bytes: message.encode(),
            });
        }
    }

    fn count_own_prepare(&mut self, vote: SignedVote) {
        let signature = self.crypto.sign(&self.prepare_bytes(vote));
        let counted = Vote {
            digest: vote.digest,
            signature,
        };
        self.state
            .prepares
            .insert(vote.round, self.config.own_key, counted);
        self.state.voters.insert(self.config.own_key);
    }

    fn count_own_commit(&mut self, vote: SignedVote) {
        let signature = self.crypto.sign(&self.commit_bytes(vote));
        let counted = Vote {
            digest: vote.digest,
            signature,
        };
        self.state
            .commits
            .insert(vote.round, self.config.own_key, counted);
    }

    fn count_own_round_change(&mut self) {
        if let Some(Message::RoundChange(change)) = self.round_change_message() {
            let RoundChange { statement, proof } = *change;
            let prepares = proof.map(|proof| proof.prepares);
            let round = statement.round;
            let proven = ProvenRoundChange {
                statement,
                prepares,
            };
            self.state
                .round_changes
                .insert(round, self.config.own_key, proven);
        }
    }

    fn prepare_bytes(&self, vote: SignedVote) -> [u8; 92] {
        prepare_message(
            self.config.genesis_hash,
            self.height(),
            vote.round,
            vote.digest,
        )
    }

    fn commit_bytes(&self, vote: SignedVote) -> [u8; 92] {
        commit_message(
            self.config.genesis_hash,
            self.height(),
            vote.round,
            vote.digest,
        )
    }

    fn proposal_message(&self) -> Option<Message> {
        let SignedProposal {
            vote,
            justification,
        } = self.signed_here()?.proposal.clone()?;
        let (height, round) = (self.height(), vote.round);
        let block = self.state.blocks.get(&vote.digest)?.block.clone();
        let bytes = Proposal::signed_bytes(self.config.genesis_hash, height, round, vote.digest);
        let signature = self.crypto.sign(&bytes);
        let proposal = Proposal {
            height,
            round,
            block,
            justification,
            signature,
        };
        Some(Message::Proposal(Box::new(proposal)))
    }

    fn prepare_message(&self) -> Option<Message> {
        let vote = self.signed_here()?.prepare?;
        let signature = self.crypto.sign(&self.prepare_bytes(vote));
        let SignedVote { round, digest } = vote;
        Some(Message::Prepare(Prepare {
            height: self.height(),
            round,
            digest,
            signature,
        }))
    }

    fn commit_message(&self) -> Option<Message> {
        let vote = self.signed_here()?.commit?;
        let seal = self.crypto.sign(&self.commit_bytes(vote));
        let SignedVote { round, digest } = vote;
        Some(Message::Commit(Commit {
            height: self.height(),
            round,
            digest,
            seal,
        }))
    }

    /// The round change as it was first signed; `None` once something newer is
    /// prepared, since then it would say something else.
    fn round_change_message(&self) -> Option<Message> {
        let (height, round) = (self.height(), self.signed_here()?.round_change?);
        let prepared = self.prepared().filter(|_| !is_on(Mutant::PreparedWithheld));
        if prepared.is_some_and(|prepared| prepared.claim.round >= round) {
            return None;
        }
        let claim = prepared.map(|prepared| prepared.claim);
        let bytes =
            RoundChangeStatement::signed_bytes(self.config.genesis_hash, height, round, claim);
        let signature = self.crypto.sign(&bytes);
        let statement = RoundChangeStatement {
            height,
            round,
            prepared: claim,
            signature,
        };
        let proof = match prepared {
            None => None,
            Some(Prepared { claim, prepares }) => {
                let block = self.state.blocks.get(&claim.digest)?.block.clone();
                Some(PreparedProof {
                    prepares: prepares.clone(),
                    block,
                })
            }
        };
        Some(Message::RoundChange(Box::new(RoundChange {
            statement,
            proof,
        })))
    }

    /// What this node has said in the current round, to be said again.
    pub(super) fn current_messages(&self) -> Vec<Vec<u8>> {
        if !self.may_sign() || self.context.validators.len() == 1 {
            return Vec::new();
        }
        let said = [
            self.round_change_message(),
            self.proposal_message(),
            self.prepare_message(),
            self.commit_message(),
        ];
        let current = said.into_iter().flatten();
        let current = current.filter(|message| message.round() == self.state.round);
        current.map(|message| message.encode()).collect()
    }

    /// Counts again what the restored record says we signed.
    pub(super) fn recount_own_votes(&mut self) {
        let Some(signed) = self.signed_here().cloned() else {
            return;
        };
        if let Some(vote) = signed.prepare {
            self.count_own_prepare(vote);
        }
        if let Some(vote) = signed.commit {
            self.count_own_commit(vote);
        }
        self.count_own_round_change();
    }

    /// The record as it must be on disk before what was signed may leave.
    pub(super) fn encode_record(&self) -> Vec<u8> {
        let known = |digest: &B256| Some((*digest, self.state.blocks.get(digest)?.block.clone()));
        let record = Record {
            genesis: self.config.genesis_hash,
            key: self.config.own_key,
            signed: self.signed.clone(),
            blocks: self.signed.digests().iter().filter_map(known).collect(),
        };
        record.encode()
    }

    /// Commit seals for a block, as many as we know.
    pub(super) fn seals(&self, round: Round, digest: B256) -> Certificate {
        let set = &self.context.validators;
        let index_of = |key: &_| set.index_of_key(key);
        Certificate::new(
            round,
            HeightState::tally(&self.state.commits, round, digest, index_of),
        )
    }

    /// PREPAREs for a block, as many as we know.
    pub(super) fn prepares(&self, round: Round, digest: B256) -> Certificate {
        let set = &self.context.validators;
        let index_of = |key: &_| set.index_of_key(key);
        let mut votes = HeightState::tally(&self.state.prepares, round, digest, index_of);
        if is_on(Mutant::VotesOfAnyRoundCounted) {
            let rounds = self.state.prepares.rounds();
            let of = |round| HeightState::tally(&self.state.prepares, round, digest, index_of);
            votes.extend(rounds.flat_map(of));
        }
        Certificate::new(round, votes)
    }

    /// The height being decided.
    pub(super) fn height(&self) -> Height {
        self.head.height.next()
    }
}
