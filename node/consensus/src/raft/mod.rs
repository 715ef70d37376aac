//! Raft: crash tolerant replication of blocks, on the `raft` crate, for
//! networks whose members trust each other.
//!
//! ```text
//!   leader                              every member
//!   Build ──> entry ──> majority ──> committed entry ──> CheckDecided
//!     ^                                                      │ valid
//!     └────────── HeightDecided <── Commit <─────────────────┘
//!                      └──> Seal to all ──> majority ──> Certify
//! ```
//!
//! The crate decides what is in the log; this engine decides what goes into it
//! and what an entry means. `driving` moves the crate and its messages, `guard`
//! keeps from it what would make it panic, `log` is its memory and `record`
//! what of it is on disk; `applying` turns entries into blocks, `leading` makes
//! blocks and moves the group (`membership`) to the validator set, `starting`
//! finds out who we are, `catching_up` takes snapshots, `seals` certifies.
//!
//! # Deviations
//! * One block is in flight at a time, built on the applied head.
//! * The crate draws election timeouts at random. Here they follow from rank,
//!   term and failed attempts, so that the outputs follow from the inputs.
//! * A snapshot has no state. It is held back until the chain has reached its
//!   block, so a member never acknowledges what it does not have.
//! * A member that lost its record comes back under a new id, first without a
//!   vote. With two validators nobody can let it in: `accept_lost_record`.

mod applying;
mod catching_up;
mod driving;
mod guard;
mod leading;
mod log;
mod membership;
mod messages;
mod record;
mod seals;
mod starting;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "mutants"))]
pub mod trials;

use crate::{
    Engine, EngineStatus, HeadInfo, Input, Output, RaftRole, RaftStatus, RecordError, Timer,
    VoteCrypto,
    mutants::{Mutant, is_on},
};
use alloy_primitives::B256;
use applying::Applying;
use catching_up::{Awaited, Fetching};
use leading::Minting;
use log::Log;
use medina_types::{ConsensusParameters, Height, HeightContext, NodePublicKey, Round};
use membership::{Group, Identity};
use messages::RaftMessage;
use raft::{RawNode, StateRole, eraftpb::Entry};
use record::{Record, StoredUncertified};
use seals::Seals;
use starting::Search;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

/// What an engine is told once.
#[derive(Clone, Debug)]
pub struct RaftConfig {
    /// Hash of block 0; part of everything signed.
    pub genesis_hash: B256,
    /// This node's key, validator or not.
    pub own_key: NodePublicKey,
    /// Times of consensus.
    pub parameters: ConsensusParameters,
    /// A number that no earlier start of this node was given, from the system's
    /// source of randomness; becomes part of a new id if one is needed.
    pub fresh_incarnation: u64,
    /// The operator takes the risk: continue under the old id although the
    /// record is lost. What was voted under it may be voted again differently.
    pub accept_lost_record: bool,
    /// Heights and hashes of the last blocks below the head, as many as the
    /// caller likes: others may lack our seal of one that came by sync.
    pub recent: Vec<(Height, B256)>,
}

/// The engine.
pub struct Raft {
    config: RaftConfig,
    crypto: Box<dyn VoteCrypto>,
    head: HeadInfo,
    context: HeightContext,
    now_ms: u64,
    identity: Option<Identity>,
    /// There is one exactly while there is an identity.
    node: Option<RawNode<Log>>,
    /// As of the last applied entry.
    group: Arc<Group>,
    search: Option<Search>,
    /// New ids taken since the start.
    ids_taken: u64,
    /// Committed entries that wait to be applied.
    queue: VecDeque<Entry>,
    applying: Option<Applying>,
    awaited: Option<Awaited>,
    /// The record has applied up to here, but the block store has not: sync.
    missing: Option<Height>,
    seals: Seals,
    minting: Minting,
    /// Incarnations under which validators want to join, for the leader.
    joins: BTreeMap<NodePublicKey, u64>,
    /// Keys of ids that are not in the group as known here.
    strangers: BTreeMap<u64, NodePublicKey>,
    /// Members of the group that told us of it, when we know none.
    contacts: BTreeSet<NodePublicKey>,
    connected: BTreeSet<NodePublicKey>,
    /// Whose link broke, and who said nothing since.
    silent: BTreeSet<NodePublicKey>,
    /// Who got a Welcome unasked in this second.
    told: BTreeSet<NodePublicKey>,
    /// Who says that our id was removed.
    told_of_removal: BTreeSet<NodePublicKey>,
    /// The link to the leader broke, and there was none since.
    has_lost_leader: bool,
    /// Whom we asked to synchronise with in this second.
    sync_asked: BTreeSet<NodePublicKey>,
    /// A sealed block that we lack and nobody else brings us.
    fetching: Option<Fetching>,
    next_tick_ms: u64,
    ticks: u64,
    ticks_without_leader: u64,
    /// Elections that we started since there was a leader.
    attempts: u64,
    refused: u64,
    is_dirty: bool,
    out: Vec<Output>,
}

impl fmt::Debug for Raft {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        formatter
            .debug_struct("Raft")
            .field("status", &status)
            .finish_non_exhaustive()
    }
}

impl Raft {
    /// An engine on top of `head`, with the stored record if there is one.
    ///
    /// # Errors
    /// [`RecordError`] if the record is another chain's, another node's or of
    /// another version. A damaged one counts as lost.
    pub fn new(
        config: RaftConfig,
        crypto: Box<dyn VoteCrypto>,
        head: HeadInfo,
        context: HeightContext,
        record: Option<Vec<u8>>,
    ) -> Result<Self, RecordError> {
        let was_stored = record.is_some();
        let decode = |bytes: Vec<u8>| Record::decode(&bytes, config.genesis_hash, config.own_key);
        let record = record.map(decode).transpose()?.flatten();
        let mut engine = Self {
            config,
            crypto,
            head,
            context,
            now_ms: 0,
            identity: None,
            node: None,
            group: Arc::default(),
            search: None,
            ids_taken: 0,
            queue: VecDeque::new(),
            applying: None,
            awaited: None,
            missing: None,
            seals: Seals::default(),
            minting: Minting::default(),
            joins: BTreeMap::new(),
            strangers: BTreeMap::new(),
            contacts: BTreeSet::new(),
            connected: BTreeSet::new(),
            silent: BTreeSet::new(),
            told: BTreeSet::new(),
            told_of_removal: BTreeSet::new(),
            has_lost_leader: false,
            sync_asked: BTreeSet::new(),
            fetching: None,
            next_tick_ms: 0,
            ticks: 0,
            ticks_without_leader: 0,
            attempts: 0,
            refused: 0,
            is_dirty: false,
            out: Vec::new(),
        };
        for (height, hash) in std::mem::take(&mut engine.config.recent) {
            if height < head.height {
                engine.seals.remember(height, hash);
            }
        }
        engine.seals.remember(head.height, head.hash);
        match record {
            Some(record) => engine.restore(record),
            None => engine.start_without_record(was_stored),
        }
        Ok(engine)
    }

    /// Continues with what the record promises.
    fn restore(&mut self, record: Record) {
        for (height, hash) in &record.recent {
            if *height < self.head.height {
                self.seals.remember(*height, B256::from(*hash));
            }
        }
        self.restore_uncertified(&record.uncertified);
        self.missing = Some(record.head.0).filter(|height| *height > self.head.height);
        self.group = Arc::new(record.group.clone());
        match record.identity {
            Some(identity) => {
                let log = record.into_log(&self.head);
                self.become_member(identity, log);
            }
            None => self.join_if_validator(),
        }
    }

    fn restore_uncertified(&mut self, stored: &[StoredUncertified]) {
        for StoredUncertified { validators, block } in stored {
            let Ok(block) = medina_types::SealedBlock::decode(block) else {
                continue;
            };
            if block.height() <= self.head.height {
                self.await_seals(validators.clone(), block);
            }
        }
    }

    /// The record as of now; with a block that is being committed, as of then.
    fn encode_record(&self, committing: Option<&Applying>) -> Vec<u8> {
        let mut head = (self.head.height, self.head.hash.0);
        let mut uncertified: Vec<_> = self.seals.uncertified.values().collect();
        let recent = self.seals.recent_to_store().into_iter();
        let mut recent: Vec<_> = recent.map(|(at, hash)| (at, hash.0)).collect();
        // Also when it is committed already and we have not heard of it yet; if
        // it is not, a restart leaves it out.
        let in_commit = self.applying.iter().filter_map(|it| it.seals.as_ref());
        uncertified.extend(in_commit.filter(|seals| !seals.is_certified()));
        if let Some(applying) = committing {
            head = (applying.block.height(), applying.block.hash().0);
            recent.push(head);
        }
        let stored = |seals: &seals::Uncertified| StoredUncertified {
            validators: seals.validators.clone(),
            block: seals.block.encode().to_vec(),
        };
        let entry = committing.and_then(|applying| applying.entry);
        let mut record = Record {
            genesis: self.config.genesis_hash.0,
            key: self.config.own_key,
            identity: self.identity,
            term: 0,
            vote: 0,
            commit: 0,
            applied: (0, 0),
            head,
            group: if is_on(Mutant::RaftGroupForgotten) {
                Group::genesis(&self.context.validators)
            } else {
                Group::clone(&self.group)
            },
            entries: Vec::new(),
            uncertified: uncertified.into_iter().map(stored).collect(),
            recent,
        };
        if is_on(Mutant::RaftUncertifiedForgotten) {
            record.uncertified.clear();
        }
        if let Some(node) = &self.node {
            record.describe(node.store(), entry);
        }
        record.encode()
    }

    /// Puts the record into the orders: before anything leaves that it promises,
    /// and behind the certificates of the blocks that it names no longer.
    fn persist(&mut self) {
        let is_certificate = |order: &Output| matches!(order, Output::Certify { .. });
        if is_on(Mutant::RaftCertificateAfterRecord) {
            self.out.sort_by_key(is_certificate);
        } else {
            self.out.sort_by_key(|order| !is_certificate(order));
        }
        let certificates = self.out.iter().take_while(|it| is_certificate(it)).count();
        let is_commit = |order: &Output| {
            matches!(
                order,
                Output::Commit {
                    record: Some(_),
                    ..
                }
            )
        };
        let is_sending =
            |order: &Output| matches!(order, Output::Send { .. } | Output::Broadcast { .. });
        let commit = self.out.iter().position(is_commit);
        if let Some(at) = commit {
            let bytes = self.encode_record(self.applying.as_ref());
            if let Some(Output::Commit { record, .. }) = self.out.get_mut(at) {
                *record = Some(bytes);
            }
        }
        // What never leaves this node need not be remembered yet.
        let first_sending = self.out.iter().position(is_sending);
        let is_leaving = commit.is_some() || first_sending.is_some();
        if !self.is_dirty || !is_leaving {
            return;
        }
        self.is_dirty = false;
        // The batch of the block is as good when nothing leaves before it.
        let is_in_batch =
            commit.is_some_and(|commit| first_sending.is_none_or(|first| commit < first));
        if is_in_batch {
            return;
        }
        let record = self.encode_record(None);
        let at = if is_on(Mutant::RaftVoteBeforePersist) {
            self.out.len()
        } else {
            certificates
        };
        self.out.insert(at, Output::Persist { record });
    }

    fn is_validator(&self, key: &NodePublicKey) -> bool {
        self.context.validators.index_of_key(key).is_some()
    }

    /// Whether a peer may have a say: a validator or a member.
    fn is_known(&self, key: &NodePublicKey) -> bool {
        self.is_validator(key) || self.group.of_key(key).next().is_some()
    }

    fn is_leader(&self) -> bool {
        let role = self.node.as_ref().map(|node| node.raft.state);
        role == Some(StateRole::Leader)
    }

    /// Validators, members, contacts, and whose seals we wait for, without
    /// ourselves.
    fn everybody(&self) -> BTreeSet<NodePublicKey> {
        let sets = self
            .seals
            .uncertified
            .values()
            .map(|seals| &seals.validators);
        let validators = sets
            .chain([&self.context.validators])
            .flat_map(|set| set.validators());
        let members = self.group.members().iter().map(|member| member.key);
        let keys = validators.map(|validator| validator.key).chain(members);
        let keys = keys.chain(self.contacts.iter().copied());
        // The only validator asks whoever is there.
        let is_alone = matches!(self.search, Some(Search::Alone { .. }));
        let connected = self.connected.iter().copied().filter(|_| is_alone);
        let keys = keys.chain(connected);
        keys.filter(|key| *key != self.config.own_key).collect()
    }

    fn send(&mut self, to: NodePublicKey, message: &RaftMessage) {
        let bytes = message.encode();
        self.out.push(Output::Send { to, bytes });
    }

    fn send_to_everybody(&mut self, message: &RaftMessage) {
        let bytes = message.encode();
        for to in self.everybody() {
            let bytes = bytes.clone();
            self.out.push(Output::Send { to, bytes });
        }
    }

    fn accuse(&mut self, peer: NodePublicKey, reason: impl Into<String>) {
        let reason = reason.into();
        self.out.push(Output::PeerMisbehaved { peer, reason });
    }

    fn on_message(&mut self, from: NodePublicKey, bytes: &[u8]) {
        if from == self.config.own_key {
            return;
        }
        self.silent.remove(&from);
        let message = match RaftMessage::decode(bytes) {
            Ok(message) => message,
            Err(error) => return self.accuse(from, error.to_string()),
        };
        match message {
            RaftMessage::Raft { incarnation, body } => self.on_raft(from, incarnation, *body),
            RaftMessage::Hello { nonce } => self.send_welcome(from, nonce),
            RaftMessage::Welcome(welcome) => self.on_welcome(from, *welcome),
            RaftMessage::Join { incarnation } => self.on_join(from, incarnation),
            RaftMessage::Seal(seal) => self.on_seal(from, &seal),
            RaftMessage::Need { height } => self.on_need(from, height),
            RaftMessage::Block { block } => self.on_fetched_block(from, &block),
        }
    }

    fn on_peer_connected(&mut self, peer: NodePublicKey) {
        if peer == self.config.own_key {
            return;
        }
        self.connected.insert(peer);
        if let Some(message) = self.search_message() {
            self.send(peer, &message);
        }
        for message in self.wanted_seals() {
            self.send(peer, &message);
        }
    }

    fn on_peer_disconnected(&mut self, peer: &NodePublicKey) {
        self.connected.remove(peer);
        if self.is_known(peer) && self.silent.len() < membership::MEMBERS_MAX {
            self.silent.insert(*peer);
        }
        let ids: Vec<_> = self
            .group
            .of_key(peer)
            .map(membership::Member::id)
            .collect();
        if let Some(node) = &mut self.node {
            for id in &ids {
                node.report_unreachable(*id);
            }
        }
        self.on_leader_gone(&ids);
    }

    /// Does what can be done, then sets the timers that the new state needs.
    fn progress(&mut self) {
        while self.drain_ready() || self.take_snapshot() || self.apply_next() || self.lead() {}
        if !self.is_leader() {
            // They say it again, and by the next time they may be others.
            self.joins.clear();
        }
        self.set_propose_timer();
    }
}

impl Engine for Raft {
    fn handle(&mut self, now_ms: u64, input: Input) -> Vec<Output> {
        self.now_ms = now_ms;
        match input {
            Input::Started { .. } => self.on_started(),
            Input::PeerConnected { peer } => self.on_peer_connected(peer),
            Input::PeerDisconnected { peer } => self.on_peer_disconnected(&peer),
            Input::MessageReceived { from, bytes } => self.on_message(from, &bytes),
            Input::TimerFired { timer: Timer::Tick } => self.on_tick(),
            Input::TimerFired { timer } => self.minting.on_alarm(timer),
            Input::WorkWaiting { waiting } => self.minting.is_work_waiting = waiting,
            Input::BlockBuilt { height, block, .. } => self.on_block_built(height, block),
            Input::BlockChecked { hash, valid } => self.on_block_checked(hash, valid),
            Input::HeightDecided { head, context, .. } => self.on_height_decided(head, context),
        }
        self.progress();
        self.persist();
        std::mem::take(&mut self.out)
    }

    fn status(&self) -> EngineStatus {
        let raft = self.raft_status();
        let key_of = |id| self.group.get(id).map(|member| member.key);
        let leader = raft.leader.and_then(key_of);
        EngineStatus {
            height: self.head.height.next(),
            round: Round::ZERO,
            step: self.step(&raft),
            proposer: leader.unwrap_or(self.config.own_key),
            timeout: driving::TICK * u32::try_from(self.election_ticks()).unwrap_or(u32::MAX),
            votes: !matches!(raft.role, RaftRole::Outside | RaftRole::Learner),
            raft: Some(raft),
        }
    }
}

impl Raft {
    fn raft_status(&self) -> RaftStatus {
        let members = self.group.to_status();
        let (Some(node), Some(identity)) = (&self.node, self.identity) else {
            return RaftStatus {
                id: 0,
                role: RaftRole::Outside,
                leader: None,
                term: 0,
                committed: 0,
                applied: 0,
                refused: self.refused,
                members,
            };
        };
        let raft = &node.raft;
        let role = match (raft.state, self.group.get(identity.id)) {
            (StateRole::Leader, _) => RaftRole::Leader,
            (_, None) => RaftRole::Outside,
            (_, Some(member)) if member.is_learner => RaftRole::Learner,
            (StateRole::Follower, _) => RaftRole::Follower,
            (StateRole::Candidate | StateRole::PreCandidate, _) => RaftRole::Candidate,
        };
        RaftStatus {
            id: identity.id,
            role,
            leader: Some(raft.leader_id).filter(|id| *id != raft::INVALID_ID),
            term: raft.term,
            committed: raft.raft_log.committed,
            applied: raft.raft_log.applied,
            refused: self.refused,
            members,
        }
    }

    fn step(&self, raft: &RaftStatus) -> &'static str {
        match (&self.applying, raft.role) {
            _ if self.search.is_some() => "asking for the group",
            _ if self.awaited.is_some() || self.missing.is_some() => "catching up",
            (Some(applying), _) if applying.is_committing() => "committing",
            (Some(_), _) => "checking",
            (None, RaftRole::Outside) if self.group.is_retired(raft.id) => "leaving",
            (None, RaftRole::Outside) if self.identity.is_some() => "joining",
            (None, RaftRole::Outside) => "outside",
            (None, RaftRole::Leader) if self.minting.building.is_some() => "building",
            (None, RaftRole::Leader) => "leading",
            (None, RaftRole::Candidate) => "electing",
            (None, RaftRole::Learner) => "learning",
            (None, RaftRole::Follower) if raft.leader.is_none() => "waiting for a leader",
            (None, RaftRole::Follower) => "following",
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
