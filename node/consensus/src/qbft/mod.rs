//! QBFT: Byzantine fault tolerant agreement with justified round changes.
//!
//! Follows the QBFT formal specification (Dafny, `node.dfy` and
//! `node_auxiliary_functions.dfy`) and Moniz, arXiv 2002.03613.
//!
//! ```text
//!   proposer(h, r)   every validator        q PREPAREs          q COMMITs
//!   PROPOSAL ──────> check, PREPARE ──────> prepared, COMMIT ──> decided(h)
//!        ^                                                         │
//!        └── q ROUND-CHANGEs (h, r+1) <── timeout of round r       └─> h + 1
//! ```
//!
//! `height` holds what is known, `rules` what follows from it, `signing` what
//! we say about it, `record` what must survive a restart, `justification` what
//! we believe of others, `standing` whether we may vote at all.
//!
//! # Deviations
//! * On demand: round 0 proposes when there is work; an idle height has no timer.
//! * Messages of a round are repeated every base timeout and to every peer that
//!   connects, so that a lost message costs time and never the height.
//! * The timer of round r > 0 starts after a quorum asked for round r *or
//!   later*: somebody who went on has left round r too, and would else be missed.
//! * A quorum of COMMITs decides in whatever round it was reached.

mod future;
mod height;
mod justification;
pub mod messages;
mod record;
mod rules;
mod signing;
mod standing;
#[cfg(test)]
mod tests;
mod timers;
mod votes;

pub use justification::{Defect, Freshness};
pub use record::RecordError;

use crate::{Engine, EngineStatus, HeadInfo, Input, Output, Timer, VoteCrypto};
use alloy_primitives::{Address, B256};
use future::FutureMessages;
use height::{AcceptedProposal, HeightState, ProvenRoundChange, Verdict, Vote};
use justification::Rules;
use medina_types::{ConsensusParameters, Height, HeightContext, NodePublicKey, Round};
use messages::{Commit, Message, MessageKind, Prepare, Proposal, RoundChange};
use record::{Record, Signed};
use standing::Standing;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};
use timers::{Alarm, Timers, milliseconds, round_timeout};

/// What an engine is told once.
#[derive(Clone, Debug)]
pub struct QbftConfig {
    /// Hash of block 0; part of everything signed.
    pub genesis_hash: B256,
    /// This node's key, validator or not.
    pub own_key: NodePublicKey,
    /// Operator account of this node; the set's entry for our key decides.
    pub operator: Address,
    /// Times of consensus.
    pub parameters: ConsensusParameters,
    /// Behave as if the record was lost even if one is given. A missing record
    /// has the same effect without it; see the design's "Lost record".
    pub observe_only: bool,
    /// The operator takes the risk: vote at once although the record is lost.
    pub accept_lost_record: bool,
}

/// The engine.
pub struct Qbft {
    config: QbftConfig,
    crypto: Box<dyn VoteCrypto>,
    head: HeadInfo,
    context: HeightContext,
    standing: Standing,
    /// Last record; of an earlier height until we sign at this one.
    signed: Signed,
    state: HeightState,
    future: FutureMessages,
    timers: Timers,
    connected: BTreeSet<NodePublicKey>,
    /// A quorum of validators, ourselves included, was connected at once.
    has_seen_quorum: bool,
    is_work_waiting: bool,
    /// When we last asked to synchronise with whom.
    sync_asked_ms: BTreeMap<NodePublicKey, u64>,
    is_record_dirty: bool,
    out: Vec<Output>,
}

impl fmt::Debug for Qbft {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        formatter
            .debug_struct("Qbft")
            .field("status", &status)
            .finish_non_exhaustive()
    }
}

impl Qbft {
    /// An engine on top of `head`, with the stored record if there is one.
    ///
    /// # Errors
    /// [`RecordError`] if the record is damaged or not ours. To go on without
    /// it, as a validator that lost its record, construct again with `None`.
    pub fn new(
        config: QbftConfig,
        crypto: Box<dyn VoteCrypto>,
        head: HeadInfo,
        context: HeightContext,
        record: Option<Vec<u8>>,
    ) -> Result<Self, RecordError> {
        let decode = |bytes: Vec<u8>| Record::decode(&bytes, config.genesis_hash, config.own_key);
        let record = record.map(decode).transpose()?;
        let has_memory = record.is_some() && !config.observe_only;
        let fresh = Standing::without_record(head.height, config.accept_lost_record);
        let standing = match &record {
            Some(record) if has_memory && !config.accept_lost_record => {
                let signed = &record.signed;
                let is_head = |vote: record::SignedVote| vote.digest == head.hash;
                let voted_for_head = signed.commit.is_some_and(is_head);
                signed.standing.restored(head.height, voted_for_head)
            }
            _ => fresh,
        };
        let mut engine = Self {
            config,
            crypto,
            head,
            context,
            standing,
            signed: Signed::nothing(Height::GENESIS, standing),
            state: HeightState::default(),
            future: FutureMessages::default(),
            timers: Timers::default(),
            connected: BTreeSet::new(),
            has_seen_quorum: false,
            is_work_waiting: false,
            sync_asked_ms: BTreeMap::new(),
            is_record_dirty: false,
            out: Vec::new(),
        };
        if let Some(record) = record {
            engine.restore(record);
        }
        engine.note_connected();
        Ok(engine)
    }

    /// Continues in the round of the record, with the same votes.
    fn restore(&mut self, record: Record) {
        self.signed = record.signed;
        let Some(signed) = self.signed_here() else {
            return;
        };
        let round = signed.round().unwrap_or_default();
        let proposal = signed.proposal.as_ref().map(|proposal| proposal.vote);
        let accepted = [signed.prepare, proposal].into_iter().flatten();
        let accepted = accepted
            .filter(|vote| vote.round == round)
            .map(|vote| vote.digest)
            .next();
        self.state.round = round;
        self.state.is_active = true;
        for block in record.blocks.into_values() {
            self.state.learn_block(block, Verdict::Unchecked);
        }
        if let Some(digest) = accepted {
            // It passed the clock's test before the restart.
            let proposal = AcceptedProposal {
                digest,
                fresh: false,
            };
            self.state.proposals.insert(round, proposal);
        }
        self.recount_own_votes();
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            genesis: self.config.genesis_hash,
            height: self.height(),
            parent: self.head.hash,
            context: &self.context,
            crypto: self.crypto.as_ref(),
        }
    }

    fn is_member(&self) -> bool {
        self.is_validator(&self.config.own_key)
    }

    fn proposer_key(&self) -> NodePublicKey {
        self.context.proposer(self.height(), self.state.round).key
    }

    fn is_validator(&self, key: &NodePublicKey) -> bool {
        self.context.validators.index_of_key(key).is_some()
    }

    fn on_started(&mut self, now_ms: u64) {
        self.set_heartbeat(now_ms);
        for bytes in self.current_messages() {
            self.out.push(Output::Broadcast { bytes });
        }
    }

    fn set_heartbeat(&mut self, now_ms: u64) {
        if let Some(period) = self.config.parameters.empty_block_period {
            let due_ms = self
                .head
                .committed_at_ms
                .saturating_add(milliseconds(period));
            let after = Duration::from_millis(due_ms.saturating_sub(now_ms));
            self.timers
                .set(Timer::Heartbeat, now_ms, after, &mut self.out);
        }
    }

    fn note_connected(&mut self) {
        let others = self
            .connected
            .iter()
            .filter(|peer| self.is_validator(peer))
            .count();
        self.has_seen_quorum |=
            others + usize::from(self.is_member()) >= self.context.validators.quorum();
    }

    fn on_peer_connected(&mut self, peer: NodePublicKey) {
        if peer == self.config.own_key || !self.is_validator(&peer) {
            return;
        }
        self.connected.insert(peer);
        self.note_connected();
        for bytes in self.current_messages() {
            self.out.push(Output::Send { to: peer, bytes });
        }
    }

    fn on_message(&mut self, now_ms: u64, from: NodePublicKey, bytes: Vec<u8>) {
        if from == self.config.own_key || !self.is_validator(&from) {
            return;
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
            (at, _) if at == height => self.on_current_message(from, message),
            (at, kind) if at == next => self.future.insert(from, message.round(), kind, bytes),
            (at, _) => self.ask_to_sync(now_ms, from, at.previous().unwrap_or(at)),
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

    fn on_current_message(&mut self, from: NodePublicKey, message: Message) {
        if self.state.is_decided {
            return;
        }
        let result = match message {
            Message::Proposal(proposal) => self.on_proposal(from, *proposal),
            Message::Prepare(prepare) => self.on_prepare(from, prepare),
            Message::Commit(commit) => self.on_commit(from, commit),
            Message::RoundChange(change) => self.on_round_change(from, *change),
            Message::Ahead { .. } => Ok(()),
        };
        match result {
            Ok(()) => {}
            Err(defect) if defect.is_provable() => self.accuse(from, defect.to_string()),
            Err(_) => {}
        }
    }

    /// One proposal per round, the first that is justified.
    fn on_proposal(&mut self, from: NodePublicKey, proposal: Proposal) -> Result<(), Defect> {
        if self.state.proposals.contains_key(&proposal.round) {
            return Ok(());
        }
        let freshness = self.rules().check_proposal(&from, &proposal)?;
        let (round, digest) = (proposal.round, proposal.block.hash());
        self.state.learn_block(proposal.block, Verdict::Unchecked);
        let fresh = freshness == Freshness::Fresh;
        self.state
            .proposals
            .insert(round, AcceptedProposal { digest, fresh });
        self.note_voter(from);
        if round > self.state.round {
            self.move_to_round(round);
        }
        Ok(())
    }

    fn on_prepare(&mut self, from: NodePublicKey, prepare: Prepare) -> Result<(), Defect> {
        let round = prepare.round;
        if self.state.prepares.contains(round, &from) {
            return Ok(());
        }
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
        if self.state.commits.contains(round, &from) {
            return Ok(());
        }
        self.rules().check_commit(&from, &commit)?;
        let vote = Vote {
            digest: commit.digest,
            signature: commit.seal,
        };
        self.state.commits.insert(round, from, vote);
        self.note_voter(from);
        Ok(())
    }

    fn on_round_change(&mut self, from: NodePublicKey, change: RoundChange) -> Result<(), Defect> {
        let round = change.statement.round;
        if self.state.round_changes.contains(round, &from) {
            return Ok(());
        }
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
        self.note_voter(from);
        Ok(())
    }

    /// A validator provably works at this height, so there is something to decide.
    fn note_voter(&mut self, voter: NodePublicKey) {
        self.state.voters.insert(voter);
        self.state.is_active = true;
    }

    fn accuse(&mut self, peer: NodePublicKey, reason: String) {
        self.out.push(Output::PeerMisbehaved { peer, reason });
    }

    /// Asks for blocks up to `height`, at most once per peer and base timeout, so
    /// that a liar can neither flood us nor keep others from being asked.
    fn ask_to_sync(&mut self, now_ms: u64, from: NodePublicKey, height: Height) {
        let pause = milliseconds(self.config.parameters.base_timeout);
        let last_ms = self.sync_asked_ms.get(&from);
        if last_ms.is_none_or(|last_ms| now_ms.saturating_sub(*last_ms) >= pause) {
            self.sync_asked_ms.insert(from, now_ms);
            self.out.push(Output::SyncNeeded { from, height });
        }
    }

    fn on_timer(&mut self, now_ms: u64, timer: Timer) {
        match self.timers.on_alarm(timer, now_ms) {
            Alarm::Stale => return,
            Alarm::Early(rest) => return self.timers.set(timer, now_ms, rest, &mut self.out),
            Alarm::Due => {}
        }
        match timer {
            Timer::Round if self.is_round_running() && self.state.round < Round(u32::MAX) => {
                self.change_to_round(self.state.round.next());
            }
            Timer::Resend => self.on_resend(now_ms),
            Timer::Heartbeat => self.state.is_heartbeat_due = true,
            Timer::Round | Timer::Propose | Timer::Tick => {}
        }
    }

    /// Repeats what may have been lost, and looks for those who are ahead.
    fn on_resend(&mut self, now_ms: u64) {
        if !self.state.is_decided {
            for bytes in self.current_messages() {
                self.out.push(Output::Broadcast { bytes });
            }
        }
        if let Some(ahead) = self.future.any_author() {
            self.ask_to_sync(now_ms, ahead, self.height());
        } else if let Some((round, digest)) = self.committed_subject() {
            // Decided by others, but we lack the block or refuse it.
            let authors = self.state.commits.at(round);
            let author = authors
                .filter(|(_, vote)| vote.digest == digest)
                .map(|(key, _)| *key);
            let author = { author }.find(|key| *key != self.config.own_key);
            if let Some(author) = author.filter(|_| !self.state.is_decided) {
                self.ask_to_sync(now_ms, author, self.height());
            }
        }
    }

    /// A validator that may vote from now on must still know it after a restart.
    fn change_standing(&mut self, standing: Standing) {
        let is_admitted = standing == Standing::Voting && self.standing != Standing::Voting;
        self.standing = standing;
        if is_admitted && self.signed.height <= self.head.height {
            self.signed = Signed::nothing(self.head.height, standing);
            self.is_record_dirty = true;
        }
    }

    fn on_height_decided(&mut self, now_ms: u64, head: HeadInfo, context: HeightContext) {
        if head.height < self.height() {
            return;
        }
        let is_next = head.height == self.height();
        let has_seen_votes = self.state.voters.len() >= self.context.validators.quorum();
        let vote = self.signed_here().and_then(|signed| signed.commit);
        let has_voted_for_it = vote.is_some_and(|vote| vote.digest == head.hash);
        let is_live = is_next && (has_seen_votes || has_voted_for_it);
        self.head = head;
        self.change_standing(self.standing.after_block(is_live));
        self.context = context;
        self.state = HeightState::default();
        self.sync_asked_ms.clear();
        self.timers.cancel_all(&mut self.out);
        self.set_heartbeat(now_ms);
        self.note_connected();
        for (from, bytes) in self.future.drain() {
            self.on_message(now_ms, from, bytes);
        }
    }
}

impl Engine for Qbft {
    fn handle(&mut self, now_ms: u64, input: Input) -> Vec<Output> {
        match input {
            Input::Started { .. } => self.on_started(now_ms),
            Input::PeerConnected { peer } => self.on_peer_connected(peer),
            Input::PeerDisconnected { peer } => {
                self.connected.remove(&peer);
            }
            Input::MessageReceived { from, bytes } => self.on_message(now_ms, from, bytes),
            Input::TimerFired { timer } => self.on_timer(now_ms, timer),
            Input::WorkWaiting { waiting } => self.is_work_waiting = waiting,
            Input::BlockBuilt {
                height,
                round,
                block,
            } if height == self.height() => {
                self.on_block_built(now_ms, round, block);
            }
            Input::BlockBuilt { .. } => {}
            Input::BlockChecked { hash, valid } => self.on_block_checked(hash, valid),
            Input::HeightDecided { head, context, .. } => {
                self.on_height_decided(now_ms, head, context);
            }
        }
        self.progress(now_ms);
        let mut out = std::mem::take(&mut self.out);
        // A validator alone sends nothing, so its commit batch is its record; a
        // follower has nothing to remember.
        let has_others = self.context.validators.len() > 1;
        if std::mem::take(&mut self.is_record_dirty) && has_others && self.is_member() {
            out.insert(
                0,
                Output::Persist {
                    record: self.encode_record(),
                },
            );
        }
        out
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            height: self.height(),
            round: self.state.round,
            step: self.step(),
            proposer: self.proposer_key(),
            timeout: round_timeout(&self.config.parameters, self.state.round),
            votes: self.may_sign(),
            raft: None,
        }
    }
}

impl Qbft {
    fn step(&self) -> &'static str {
        let round = self.state.round;
        match self.state.proposal() {
            _ if self.state.is_decided => "decided",
            Some(_) if self.has_committed_in(round) => "committing",
            Some(_) if self.has_prepared_in(round) => "preparing",
            Some(_) => "checking",
            None if self.state.building == Some(round) => "building",
            None if !round.is_zero() && !self.is_round_running() => "changing rounds",
            None if self.is_round_running() => "waiting for proposal",
            None => "idle",
        }
    }
}
