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
//! we believe of others, `hearing` how messages come in, `links` who is there,
//! `standing` whether we may vote at all.
//!
//! # Deviations
//! * On demand: round 0 proposes when there is work; an idle height has no timer.
//! * Messages of a round are repeated every base timeout and to every peer that
//!   connects, so that a lost message costs time and never the height.
//! * The timer of round r > 0 starts after a quorum asked for round r *or
//!   later*: somebody who went on has left round r too, and would else be missed.
//! * A round that is lost, as links tell, ends after a part of its time (`links`).
//! * A quorum of COMMITs decides in whatever round it was reached.
//! * Peers have budgets: signature checks per validator and time, bytes kept, and
//!   empty blocks that one validator alone forces on an idle chain (`budget`).

mod budget;
mod future;
mod hearing;
mod height;
mod justification;
mod links;
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

use crate::{
    Engine, EngineStatus, HeadInfo, Input, Output, Timer, VoteCrypto,
    mutants::{Mutant, is_on},
};
use alloy_primitives::{Address, B256};
use budget::{CheckBudget, Patience};
use future::FutureMessages;
use height::{AcceptedProposal, HeightState, Verdict};
use justification::{Rules, quorum};
use medina_types::{
    ConsensusParameters, Height, HeightContext, NodePublicKey, Round, SealedBlock, limits,
};
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
    /// Blocks of a record whose height the chain has still to reach again.
    recorded_blocks: BTreeMap<B256, SealedBlock>,
    state: HeightState,
    future: FutureMessages,
    budget: CheckBudget,
    patience: Patience,
    timers: Timers,
    /// Peers, validators or not: one may become a validator while connected.
    connected: BTreeSet<NodePublicKey>,
    /// A quorum of validators, ourselves included, was connected at once.
    has_seen_quorum: bool,
    /// We became a validator less than a base timeout ago.
    is_settling: bool,
    record_damage: Option<RecordError>,
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
    /// An engine on top of `head`, with the stored record if there is one. A
    /// damaged record counts as lost, see [`Self::record_damage`].
    ///
    /// # Errors
    /// [`RecordError`] if the record is whole, but of another chain, another
    /// validator or another version of this program.
    pub fn new(
        config: QbftConfig,
        crypto: Box<dyn VoteCrypto>,
        head: HeadInfo,
        context: HeightContext,
        record: Option<Vec<u8>>,
    ) -> Result<Self, RecordError> {
        let decode = |bytes: Vec<u8>| Record::decode(&bytes, config.genesis_hash, config.own_key);
        let (record, record_damage) = match record.map(decode).transpose() {
            Ok(record) => (record, None),
            Err(error) if error.is_damage() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let has_memory = record.is_some() && !config.observe_only;
        let is_accepted = config.accept_lost_record || is_on(Mutant::NoObservationAfterLoss);
        let fresh = match &record_damage {
            None => Standing::without_record(head.height, is_accepted),
            Some(_) => Standing::with_damaged_record(is_accepted),
        };
        let standing = match &record {
            Some(record) if has_memory && !config.accept_lost_record => {
                let signed = &record.signed;
                let is_head = |vote: record::SignedVote| vote.digest == head.hash;
                let voted_for_head = signed.commit.is_some_and(is_head);
                let standing = signed.standing;
                standing.restored(head.height, signed.height, voted_for_head)
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
            recorded_blocks: BTreeMap::new(),
            state: HeightState::default(),
            future: FutureMessages::default(),
            budget: CheckBudget::default(),
            patience: Patience::default(),
            timers: Timers::default(),
            connected: BTreeSet::new(),
            has_seen_quorum: false,
            is_settling: standing == Standing::Joined,
            record_damage,
            is_work_waiting: false,
            sync_asked_ms: BTreeMap::new(),
            is_record_dirty: false,
            out: Vec::new(),
        };
        if let Some(record) = record.filter(|_| !is_on(Mutant::RecordIgnoredOnRestart)) {
            engine.restore(record);
        }
        engine.note_connected();
        Ok(engine)
    }

    /// Why the stored record could not be read, if so: this validator counts as
    /// one that lost its record and observes first.
    #[must_use]
    pub fn record_damage(&self) -> Option<&RecordError> {
        self.record_damage.as_ref()
    }

    /// Bytes that peers make this engine keep, never above
    /// [`Self::KEPT_BYTES_MAX`]: blocks, proofs, votes, future messages.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.state.kept_bytes() + self.future.kept_bytes()
    }

    /// Bound of [`Self::kept_bytes`], whatever peers send.
    pub const KEPT_BYTES_MAX: usize = future::FUTURE_BYTES_MAX
        + height::BLOCKS_KEPT_MAX * limits::BLOCK_BYTES_MAX
        + height::VOTES_BYTES_MAX;

    /// Continues in the round of the record, with the same votes.
    fn restore(&mut self, record: Record) {
        self.signed = record.signed;
        if is_on(Mutant::LockLostOnRestart) {
            self.signed.prepared = None;
        }
        if is_on(Mutant::RestoresOtherHeight) {
            self.signed.height = self.height();
        }
        self.recorded_blocks = record.blocks;
        self.resume();
    }

    /// Takes up the votes of the record once the chain is at its height, which
    /// may be later: the last blocks of the chain may be lost, the record not.
    fn resume(&mut self) {
        if self.signed.height < self.height() {
            self.recorded_blocks.clear();
        }
        let Some(signed) = self.signed_here() else {
            return;
        };
        let Some(round) = signed.round() else {
            return;
        };
        let proposal = signed.proposal.as_ref().map(|proposal| proposal.vote);
        let accepted = [signed.prepare, proposal].into_iter().flatten();
        let accepted = accepted
            .filter(|vote| vote.round == round)
            .map(|vote| vote.digest)
            .next();
        self.state.round = round;
        self.state.is_active = true;
        for block in std::mem::take(&mut self.recorded_blocks).into_values() {
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
        self.is_settling = false;
        if !self.state.is_decided && !is_on(Mutant::RoundChangeOnce) {
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

    fn change_context(&mut self, mut context: HeightContext) {
        let is_same = context.validators == self.context.validators;
        if is_on(Mutant::OldSetKept) && !is_same {
            context = self.context.clone();
        }
        self.context = context;
        self.patience.retain(&self.context.validators);
    }

    /// The block that we just saw makes us a validator.
    fn join(&mut self) {
        let standing = self.standing.after_joining();
        let is_rolled_back = self.signed.height > self.head.height;
        if standing != Standing::Joined || is_rolled_back {
            return;
        }
        self.standing = standing;
        self.is_settling = true;
        self.has_seen_quorum = false;
        self.signed = Signed::nothing(self.height(), standing);
        self.is_record_dirty = true;
    }

    fn on_height_decided(&mut self, now_ms: u64, head: HeadInfo, context: HeightContext) {
        if head.height < self.height() {
            return;
        }
        let is_next = head.height == self.height();
        let has_seen_votes = self.state.voters.len() >= quorum(&self.context.validators);
        let vote = self.signed_here().and_then(|signed| signed.commit);
        let has_voted_for_it = vote.is_some_and(|vote| vote.digest == head.hash);
        let is_sure = is_on(Mutant::SyncedBlocksEndObservation);
        let is_live = is_next && (has_seen_votes || has_voted_for_it || is_sure);
        let (was_member, forced_by) = (self.is_member(), self.forced_by(head.hash));
        let (set, parameters) = (&self.context.validators, &self.config.parameters);
        self.patience
            .after_block(now_ms, forced_by, set, parameters);
        self.head = head;
        self.change_standing(self.standing.after_block(is_live));
        self.change_context(context);
        if is_next && !was_member && self.is_member() {
            self.join();
        }
        self.is_settling &= self.standing == Standing::Joined;
        self.state = HeightState::default();
        self.budget = CheckBudget::default();
        self.resume();
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
            Input::PeerDisconnected { peer } => self.on_peer_disconnected(&peer),
            Input::MessageReceived { from, bytes } => self.on_message(now_ms, from, bytes),
            Input::TimerFired { timer } => self.on_timer(now_ms, timer),
            Input::WorkWaiting { waiting } => {
                self.is_work_waiting = waiting;
                if waiting {
                    self.state.woken_by = None;
                }
            }
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
        let is_dirty = std::mem::take(&mut self.is_record_dirty);
        if is_dirty && has_others && self.is_member() && !is_on(Mutant::VoteNotPersisted) {
            let place = if is_on(Mutant::VoteBeforePersist) {
                out.len()
            } else {
                0
            };
            let record = self.encode_record();
            out.insert(place, Output::Persist { record });
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
