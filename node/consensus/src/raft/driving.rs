//! Moves the `raft` crate: ticks, messages, and what it wants done.

use super::{
    Raft, RaftMessage,
    guard::{self, Verdict},
    log::Log,
    membership::Identity,
    messages::{RaftBody, RaftKind, SnapshotBody},
};
use crate::{
    Output, Timer,
    mutants::{Mutant, is_on},
};
use alloy_primitives::keccak256;
use medina_types::NodePublicKey;
use raft::{Config, INVALID_ID, RawNode, StateRole, eraftpb::Message};
use std::time::Duration;

/// The unit of Raft's clock.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Ticks between two heartbeats of the leader.
const HEARTBEAT_TICKS: usize = 2;
/// Ticks for which a heartbeat holds: nobody is elected meanwhile, and a leader
/// that hears of no majority for so long steps down.
const LEASE_TICKS: usize = 10;
/// Ticks on top of the lease, since heartbeats do not reach all at once.
const LEASE_MARGIN_TICKS: u64 = 2;
/// Ticks between the elections of two members.
const RANK_TICKS: u64 = 2;
/// Ranks that differ; of more members some share one.
const RANKS_MAX: u64 = 16;
/// Ticks that a member waits at least when the leader's link broke: the others
/// must have noticed as well.
const LOST_LEADER_TICKS: u64 = 2;
/// Ticks that a failed candidate waits at least.
const RETRY_TICKS: u64 = 4;
/// How far the distance between two members' elections grows with failures.
const ATTEMPTS_MAX: u64 = 12;
/// Ticks that a member waits in addition when it would be of little use as
/// leader.
const RELUCTANT_TICKS: u64 = 20;
/// Ticks of a second: the rhythm of everything that is repeated.
const SLOW_TICKS: u64 = 20;
/// Ticks between two questions of a node that looks for its group.
const SEARCH_TICKS: u64 = 4;
/// Ticks without a leader after which a member asks whether it is still one.
const DOUBT_TICKS: u64 = 60;
/// Bytes of entries after which an append takes no further one.
const APPEND_BYTES_MAX: u64 = 1024 * 1024;
/// Appends to one follower that are on their way at once.
const APPENDS_IN_FLIGHT_MAX: usize = 64;
/// Ids outside the group whose keys are remembered to answer them.
const STRANGERS_MAX: usize = 256;

/// A sink for the crate's log lines: what matters is in the status.
fn logger() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

fn config(id: u64, applied: u64) -> Config {
    Config {
        id,
        applied,
        heartbeat_tick: HEARTBEAT_TICKS,
        election_tick: LEASE_TICKS,
        // Elections are started by `on_tick`, never by the crate, which would
        // draw their time.
        min_election_tick: usize::MAX - 1,
        max_election_tick: usize::MAX,
        max_size_per_msg: APPEND_BYTES_MAX,
        max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
        check_quorum: !is_on(Mutant::RaftNoCheckQuorum),
        pre_vote: !is_on(Mutant::RaftNoPreVote),
        ..Config::default()
    }
}

impl Raft {
    /// Acts under an identity from now on, with this memory.
    pub(super) fn become_member(&mut self, identity: Identity, log: Log) {
        let config = config(identity.id, log.applied.index);
        self.queue.clear();
        self.search = None;
        // A block that is being committed is of the chain, its entry of the log
        // that this one replaces.
        if let Some(applying) = &mut self.applying {
            applying.entry = None;
        }
        // It fails on a configuration that is none, and on a log that the
        // record's check refuses.
        if let Ok(node) = RawNode::new(&config, log, &logger()) {
            self.identity = Some(identity);
            self.node = Some(node);
        }
    }

    pub(super) fn on_started(&mut self) {
        self.next_tick_ms = self.now_ms;
        self.set_tick();
        if let Some(message) = self.search_message() {
            self.send_to_everybody(&message);
        }
        for message in self.wanted_seals() {
            self.send_to_everybody(&message);
        }
        self.elect_if_alone();
    }

    /// A group of one needs no election time.
    pub(super) fn elect_if_alone(&mut self) {
        if let Some(node) = &mut self.node {
            let is_alone = node.raft.prs().is_singleton() && node.raft.promotable();
            if is_alone && node.raft.state != StateRole::Leader {
                let _ = node.campaign();
            }
        }
    }

    fn set_tick(&mut self) {
        self.next_tick_ms = self.now_ms.saturating_add(super::milliseconds(TICK));
        self.out.push(Output::SetTimer {
            timer: Timer::Tick,
            after: TICK,
        });
    }

    pub(super) fn on_tick(&mut self) {
        if self.now_ms < self.next_tick_ms {
            let after = Duration::from_millis(self.next_tick_ms - self.now_ms);
            let timer = Timer::Tick;
            return self.out.push(Output::SetTimer { timer, after });
        }
        self.set_tick();
        self.ticks += 1;
        let election_ticks = self.election_ticks();
        if let Some(node) = &mut self.node {
            node.tick();
            // A member without a vote never asks for any and never loses its leader.
            let is_silent = node.raft.election_elapsed as u64 > DOUBT_TICKS;
            let is_leader = node.raft.state == StateRole::Leader;
            let has_leader = node.raft.leader_id != INVALID_ID && !is_silent;
            if has_leader || is_leader {
                self.ticks_without_leader = 0;
                self.attempts = 0;
                self.has_lost_leader = false;
            } else {
                self.ticks_without_leader += 1;
            }
            let is_due = node.raft.election_elapsed as u64 >= election_ticks;
            if node.raft.state != StateRole::Leader && node.raft.promotable() && is_due {
                node.raft.election_elapsed = 0;
                self.attempts += 1;
                let _ = node.campaign();
            }
        }
        self.start_if_alone();
        if self.ticks.is_multiple_of(SEARCH_TICKS)
            && !is_on(Mutant::RaftJoinsOnce)
            && let Some(message) = self.search_message()
        {
            self.send_to_everybody(&message);
        }
        if self.ticks.is_multiple_of(SLOW_TICKS) {
            self.on_slow_tick();
        }
    }

    /// Whether the log still comes to us.
    pub(super) fn hears_leader(&self) -> bool {
        let raft = self.node.as_ref().map(|node| &node.raft);
        raft.is_some_and(|raft| {
            let is_fresh = (raft.election_elapsed as u64) < 2 * LEASE_TICKS as u64;
            raft.state == StateRole::Leader || raft.leader_id != INVALID_ID && is_fresh
        })
    }

    /// Seconds since the start.
    pub(super) fn slow_ticks(&self) -> u64 {
        self.ticks / SLOW_TICKS
    }

    /// Once a second: repeats what may have been lost.
    fn on_slow_tick(&mut self) {
        self.told.clear();
        self.sync_asked.clear();
        self.invite();
        for message in self.wanted_seals() {
            self.send_to_everybody(&message);
        }
        self.retry_snapshots();
        self.repeat_catching_up();
        if self.identity.is_some() && self.ticks_without_leader > DOUBT_TICKS {
            let nonce = self.config.fresh_incarnation;
            self.send_to_everybody(&RaftMessage::Hello { nonce });
        }
    }

    /// The link to one of these members broke. If it was the leader, its process
    /// is gone, most likely: the lease that it has is not waited for. If it is
    /// there and others hear it, they give us no vote.
    pub(super) fn on_leader_gone(&mut self, ids: &[u64]) {
        let Some(node) = &mut self.node else {
            return;
        };
        let raft = &mut node.raft;
        if raft.state == StateRole::Follower && ids.contains(&raft.leader_id) {
            let term = raft.term;
            raft.become_follower(term, INVALID_ID);
            self.has_lost_leader = true;
        }
    }

    /// Ticks without word of a leader after which we ask for votes: of two
    /// members one is always earlier, in the next term another one, and the
    /// distance grows until messages are fast enough for it.
    pub(super) fn election_ticks(&self) -> u64 {
        let (Some(node), Some(identity)) = (&self.node, self.identity) else {
            return LEASE_TICKS as u64;
        };
        let count = self.group.voters().count().max(1) as u64;
        let before = self.group.voters().filter(|it| it.id() < identity.id);
        let rank = (before.count() as u64 + node.raft.term % count) % count % RANKS_MAX;
        let attempts = self.attempts.min(ATTEMPTS_MAX);
        if is_on(Mutant::RaftElectionsAtOnce) {
            return LEASE_TICKS as u64 + LEASE_MARGIN_TICKS;
        }
        let distance = RANK_TICKS + attempts;
        let is_reluctant = !self.is_validator(&self.config.own_key) || self.missing.is_some();
        let base = match node.raft.state {
            StateRole::Follower if self.has_lost_leader && attempts == 0 => LOST_LEADER_TICKS,
            StateRole::Follower if attempts == 0 => LEASE_TICKS as u64 + LEASE_MARGIN_TICKS,
            _ => RETRY_TICKS + self.jitter(identity.id, node.raft.term),
        };
        base + rank * distance + if is_reluctant { RELUCTANT_TICKS } else { 0 }
    }

    /// A few ticks that differ from member to member and attempt to attempt.
    fn jitter(&self, id: u64, term: u64) -> u64 {
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&term.to_be_bytes());
        bytes.extend_from_slice(&self.attempts.to_be_bytes());
        u64::from(keccak256(bytes)[0]) % (1 + self.attempts.min(ATTEMPTS_MAX))
    }

    pub(super) fn on_raft(&mut self, from: NodePublicKey, incarnation: u64, mut body: RaftBody) {
        if !body.is_from(&from, incarnation) && !is_on(Mutant::RaftSenderUnchecked) {
            return self.accuse(from, "Raft message under another node's id");
        }
        if self.group.is_retired(body.from) && !is_on(Mutant::RaftStaleIdAccepted) {
            return self.tell_unasked(from);
        }
        self.make_mistakes(&mut body);
        let Some(node) = &self.node else {
            return;
        };
        match guard::check(&node.raft, &body) {
            Verdict::Ignore => return,
            Verdict::Misbehaved(reason) => return self.accuse(from, reason),
            Verdict::Step => {}
        }
        if self.group.get(body.from).is_none() {
            if self.strangers.len() >= STRANGERS_MAX {
                self.strangers.clear();
            }
            self.strangers.insert(body.from, from);
        }
        if body.kind == RaftKind::Snapshot {
            return self.on_snapshot(from, body);
        }
        if let Some(node) = &mut self.node {
            // An error is an answer to somebody who is no member any more.
            let _ = node.step(body.into_message());
        }
    }

    /// The rules about messages that the crate keeps and some mutants break.
    fn make_mistakes(&self, body: &mut RaftBody) {
        let is_vote = matches!(body.kind, RaftKind::Vote | RaftKind::PreVote);
        if is_vote && is_on(Mutant::RaftElectionUnrestricted) {
            (body.log_term, body.index) = (body.term, guard::TERM_MAX);
        }
        if is_vote && is_on(Mutant::RaftLeaseIgnored) {
            body.is_transfer = true;
        }
        let term = self.node.as_ref().map_or(0, |node| node.raft.term);
        if body.kind == RaftKind::Append && is_on(Mutant::RaftOldLeaderFollowed) {
            body.term = body.term.max(term);
        }
    }

    /// Does what the crate wants done; false when it wants nothing.
    pub(super) fn drain_ready(&mut self) -> bool {
        let Some(node) = &mut self.node else {
            return false;
        };
        if is_on(Mutant::RaftCommitWithoutQuorum) && node.raft.state == StateRole::Leader {
            let last = node.raft.raft_log.last_index();
            node.raft.raft_log.commit_to(last);
        }
        if is_on(Mutant::RaftCommitsOldTerm) && node.raft.state == StateRole::Leader {
            let (held, _) = node.raft.mut_prs().maximal_committed_index();
            let known = held.min(node.raft.raft_log.last_index());
            node.raft.raft_log.commit_to(known);
        }
        if !node.has_ready() {
            return false;
        }
        let mut ready = node.ready();
        self.is_dirty |= ready.must_sync();
        if let Some(hard) = ready.hs() {
            node.mut_store().hard = hard.clone();
        }
        let snapshot = SnapshotBody::of(ready.snapshot()).filter(|it| it.index > 0);
        if let Some(snapshot) = &snapshot {
            node.mut_store().reset(snapshot);
            self.group = std::sync::Arc::clone(&node.store().group);
            self.queue.clear();
        }
        node.mut_store().append(ready.entries());
        let mut messages = ready.take_messages();
        messages.extend(ready.take_persisted_messages());
        self.queue.extend(ready.take_committed_entries());
        let mut light = node.advance_append(ready);
        if let Some(commit) = light.commit_index() {
            node.mut_store().hard.commit = commit;
        }
        messages.extend(light.take_messages());
        self.queue.extend(light.take_committed_entries());
        if let Some(snapshot) = snapshot {
            node.advance_apply_to(snapshot.index);
        }
        self.send_raft(messages);
        true
    }

    /// Sends the crate's messages, by receiver.
    fn send_raft(&mut self, mut messages: Vec<Message>) {
        let Some(identity) = self.identity else {
            return;
        };
        messages.sort_by_key(|message| message.to);
        for message in messages {
            let member = self.group.get(message.to).map(|member| member.key);
            let to = member.or_else(|| self.strangers.get(&message.to).copied());
            let (Some(to), Some(body)) = (to, RaftBody::of(&message)) else {
                continue;
            };
            let message = RaftMessage::Raft {
                incarnation: identity.incarnation,
                body: Box::new(body),
            };
            self.send(to, &message);
        }
    }
}
