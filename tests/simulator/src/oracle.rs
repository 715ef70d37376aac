//! What an honest validator may do about what it heard: a second, small reading
//! of QBFT's rules, compared with the engine's after every input.
//!
//! * It PREPAREs and proposes justified blocks only, and has only blocks on its
//!   head checked.
//! * It follows f + 1 honest round changes to a higher round.
//! * The timer of a later round runs after a quorum asked for it, and never
//!   longer than the configured bounds.
//! * Having lost its record it signs nothing before two blocks decided live.
//! * Peers make it keep and check a bounded amount.

use crate::{
    block::GENESIS,
    checker::Invariant,
    crypto,
    judge::{Judge, quorum},
    world::{World, milliseconds},
};
use alloy_primitives::B256;
use medina_consensus::{
    Input, Output, Timer,
    qbft::messages::{Message, MessageKind, Proposal},
};
use medina_types::{ConsensusEngine, Height, HeightContext, NodePublicKey, Round, SealedBlock};
use std::collections::{BTreeMap, BTreeSet};

/// Different proposals of one peer for one block that are remembered.
const PROPOSALS_MAX: usize = 64;
/// Blocks to be seen decided live after a lost record.
const LIVE_BLOCKS_MIN: u8 = 2;
/// Rounds of one height for which a node keeps each kind of message of a peer.
const ROUNDS_KEPT_MAX: usize = 8;
/// Bytes of one vote or of one round change without a claim.
const VOTE_BYTES_MAX: usize = 256;
/// A round takes this share of the base timeout at least, however lost it is.
const SHORT_ROUND_DIVISOR: u64 = 8;
/// Kinds of messages: proposal and the three votes.
const KINDS: usize = 4;

/// What one node heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    proposals: BTreeMap<(Height, Round, B256), Vec<(NodePublicKey, Proposal)>>,
    proposed: BTreeSet<(Height, Round)>,
    /// Highest round that each peer asked for, whether validly or not.
    asked: BTreeMap<Height, BTreeMap<NodePublicKey, Round>>,
    spoke: BTreeMap<Height, BTreeSet<NodePublicKey>>,
    /// Of honest peers, since this process works at this height.
    honest: BTreeMap<NodePublicKey, Round>,
    loads: BTreeMap<NodePublicKey, Load>,
    place: (u32, Height),
    /// Where the round timer was set last.
    timed: (u32, Height, Round),
    /// Blocks seen decided live since the record was lost.
    live_blocks: Option<u8>,
}

/// What one peer made a node keep and check at one height.
#[derive(Clone, Copy, Debug)]
struct Load {
    since_ms: u64,
    checks: u64,
    votes: i64,
    future: i64,
    largest: usize,
}

/// A message and what was true before the engine took it.
#[derive(Debug)]
pub(crate) struct Before {
    from: NodePublicKey,
    height: Height,
    kept: usize,
    checks: u64,
    bytes: usize,
    is_vote: bool,
}

impl Heard {
    /// The record is gone and the node starts without it.
    pub(crate) fn start_observing(&mut self) {
        self.live_blocks = Some(0);
    }

    fn learn(&mut self, from: NodePublicKey, message: Message) {
        let (height, round) = (message.height(), message.round());
        if !matches!(message, Message::Ahead { .. }) {
            self.spoke.entry(height).or_default().insert(from);
        }
        match message {
            Message::Proposal(proposal) => {
                self.proposed.insert((height, round));
                let subject = (height, round, proposal.block.hash());
                let known = self.proposals.entry(subject).or_default();
                let entry = (from, *proposal);
                if known.len() < PROPOSALS_MAX && !known.contains(&entry) {
                    known.push(entry);
                }
            }
            Message::RoundChange(_) => {
                let asked = self.asked.entry(height).or_default();
                let highest = asked.entry(from).or_default();
                *highest = round.max(*highest);
            }
            _ => {}
        }
    }
}

impl World {
    fn is_judged(&self, node: usize) -> bool {
        self.scenario.engine == ConsensusEngine::Qbft
            && self.nodes[node].is_honest()
            && self.checker.judges_answers()
    }

    /// An engine is about to take an input.
    pub(crate) fn before_input(&mut self, node: usize, input: &Input) -> Option<Before> {
        if !self.is_judged(node) {
            return None;
        }
        match input {
            Input::MessageReceived { from, bytes } => self.before_message(node, *from, bytes),
            Input::HeightDecided { height, .. } => {
                self.before_height(node, *height);
                None
            }
            _ => None,
        }
    }

    fn before_message(&mut self, node: usize, from: NodePublicKey, bytes: &[u8]) -> Option<Before> {
        let message = Message::decode(bytes).ok()?;
        let target = &mut self.nodes[node];
        let engine = target.engine.as_ref()?;
        let place = (target.incarnation, engine.status().height);
        let author = self.keys.iter().position(|key| *key == from);
        let is_author_honest =
            author.is_some_and(|author| self.scenario.habit_of(author).is_none());
        let heard = &mut target.heard;
        if heard.place != place {
            heard.place = place;
            heard.honest.clear();
            heard.loads.clear();
        }
        let (height, round) = (message.height(), message.round());
        if is_author_honest && height == place.1 && message.kind() == MessageKind::RoundChange {
            let highest = heard.honest.entry(from).or_default();
            *highest = round.max(*highest);
        }
        let is_vote = match &message {
            Message::Prepare(_) | Message::Commit(_) => true,
            Message::RoundChange(change) => change.statement.prepared.is_none(),
            _ => false,
        };
        heard.learn(from, message);
        let is_measured = !is_author_honest;
        is_measured.then(|| Before {
            from,
            height,
            kept: engine.kept_bytes(),
            checks: crypto::checks(),
            bytes: bytes.len(),
            is_vote,
        })
    }

    /// A block is on the chain: was it decided before this node's eyes?
    fn before_height(&mut self, node: usize, height: Height) {
        let target = &self.nodes[node];
        let (Some(context), Some(live)) =
            (target.disk.context_of(height), target.heard.live_blocks)
        else {
            return;
        };
        let is_in =
            |context: &HeightContext| context.validators.index_of_key(&target.key).is_some();
        let spoke = target.heard.spoke.get(&height);
        let voters = spoke.into_iter().flatten();
        let voters = voters.filter(|key| context.validators.index_of_key(key).is_some());
        let is_live = voters.count() + 1 >= quorum(context);
        let joins = !is_in(context) && is_in(target.disk.context());
        let live = live.saturating_add(u8::from(is_live));
        self.nodes[node].heard.live_blocks = Some(live).filter(|_| !joins);
    }

    /// An engine took an input and answers.
    pub(crate) fn after_input(&mut self, node: usize, before: Option<Before>, orders: &[Output]) {
        if !self.is_judged(node) {
            return;
        }
        self.judge_jump(node);
        for order in orders {
            if let Output::SetTimer {
                timer: Timer::Round,
                after,
            } = order
            {
                self.judge_round_timer(node, milliseconds(*after));
            }
        }
        if let Some(before) = before {
            self.judge_load(node, &before);
        }
    }

    fn judge_jump(&mut self, node: usize) {
        let target = &self.nodes[node];
        let Some(status) = target.engine.as_ref().map(|engine| engine.status()) else {
            return;
        };
        let is_current = target.heard.place == (target.incarnation, status.height);
        let context = target.disk.context_of(status.height);
        let Some(set) = context.map(|context| &context.validators) else {
            return;
        };
        let asks = |(key, round): &(&NodePublicKey, &Round)| {
            **round > status.round && set.index_of_key(key).is_some()
        };
        let askers = target.heard.honest.iter().filter(asks).count();
        if is_current && status.step != "decided" && askers > (set.len() - 1) / 3 {
            let details = format!(
                "node {node} stays in {}/{} although {askers} ask for later rounds",
                status.height, status.round
            );
            self.checker
                .report(Invariant::Liveness, self.now_ms, details);
        }
    }

    fn judge_round_timer(&mut self, node: usize, after_ms: u64) {
        let target = &self.nodes[node];
        let Some(status) = target.engine.as_ref().map(|engine| engine.status()) else {
            return;
        };
        let Some(context) = target.disk.context_of(status.height) else {
            return;
        };
        let parameters = &self.scenario.parameters;
        let (height, round) = (status.height, status.round);
        let base = milliseconds(parameters.base_timeout);
        let mut longest = milliseconds(parameters.timeout_max).max(base);
        if round.is_zero() {
            longest += milliseconds(parameters.min_block_interval);
        }
        let asked = target.heard.asked.get(&height);
        let asked = asked.into_iter().flatten().filter(|(key, asked)| {
            **key != target.key
                && **asked >= round
                && context.validators.index_of_key(key).is_some()
        });
        let has_quorum = asked.count() + 1 >= quorum(context);
        let place = (target.incarnation, height, round);
        // Later settings of the same timer tell what is left of it.
        let is_first = target.heard.timed != place;
        let shortest = base / SHORT_ROUND_DIVISOR;
        let is_short = is_first && after_ms < shortest;
        let has_proposal = target.heard.proposed.contains(&(height, round));
        let details = if is_short || after_ms > longest {
            format!(
                "node {node} gives round {height}/{round} {after_ms} ms, not {shortest} to {longest}"
            )
        } else if !round.is_zero() && !has_quorum && !has_proposal {
            format!("node {node} times round {height}/{round} that no quorum asked for")
        } else {
            self.nodes[node].heard.timed = place;
            return;
        };
        self.checker
            .report(Invariant::Liveness, self.now_ms, details);
    }

    fn judge_load(&mut self, node: usize, before: &Before) {
        let Some(engine) = self.nodes[node].engine.as_ref() else {
            return;
        };
        let (height, kept) = (engine.status().height, engine.kept_bytes());
        // The set of the height that the engine works on: its block may be on
        // disk already.
        let disk = &self.nodes[node].disk;
        let context = disk.context_of(height).unwrap_or(disk.context());
        let count = context.validators.len();
        let fresh = Load {
            since_ms: self.now_ms,
            checks: 0,
            votes: 0,
            future: 0,
            largest: 0,
        };
        let load = self.nodes[node]
            .heard
            .loads
            .entry(before.from)
            .or_insert(fresh);
        let grown = i64::try_from(kept).unwrap_or(i64::MAX)
            - i64::try_from(before.kept).unwrap_or(i64::MAX);
        if before.height > height {
            load.largest = load.largest.max(before.bytes);
            load.future += grown;
        } else if before.is_vote {
            load.votes += grown;
        }
        load.checks += crypto::checks() - before.checks;
        let base_ms = milliseconds(self.scenario.parameters.base_timeout).max(1);
        let rounds = 2 + ROUNDS_KEPT_MAX as u64 + 4 * (self.now_ms - load.since_ms) / base_ms;
        let checks_max = rounds * (3 * count as u64 + 4);
        let votes_max = 2 * (KINDS * ROUNDS_KEPT_MAX * VOTE_BYTES_MAX) as i64;
        let future_max = (KINDS * ROUNDS_KEPT_MAX * load.largest) as i64;
        let load = *load;
        if load.checks > checks_max || load.votes > votes_max || load.future > future_max {
            let details = format!(
                "node {node} lets a peer cause {load:?}, at most {checks_max} checks, {votes_max} \
                 bytes of votes and {future_max} for the next height"
            );
            self.checker.report(Invariant::Bounds, self.now_ms, details);
        }
    }

    /// An honest node has a block checked.
    pub(crate) fn judge_check(&mut self, node: usize, block: &SealedBlock) {
        let disk = &self.nodes[node].disk;
        let (height, head) = (block.height(), disk.height());
        let is_next = height == head.next() && block.header().parent_hash == disk.head_hash();
        if self.is_judged(node) && height > head && !is_next {
            let details = format!("node {node} has a block checked that is not on its head");
            self.checker
                .report(Invariant::Justification, self.now_ms, details);
        }
    }

    /// An honest node says something: may it?
    pub(crate) fn judge_answer(&mut self, node: usize, bytes: &[u8]) {
        if !self.is_judged(node) {
            return;
        }
        let Ok(message) = Message::decode(bytes) else {
            return;
        };
        self.judge_silence(node, &message);
        let key = self.nodes[node].key;
        let (height, round) = (message.height(), message.round());
        match message {
            Message::Proposal(proposal) => {
                let subject = (height, round, proposal.block.hash());
                self.nodes[node]
                    .heard
                    .learn(key, Message::Proposal(proposal));
                self.judge_subject(node, subject, "proposes");
            }
            Message::Prepare(prepare) => {
                self.judge_subject(node, (height, round, prepare.digest), "prepares");
            }
            _ => {}
        }
    }

    fn judge_subject(&mut self, node: usize, subject: (Height, Round, B256), does: &str) {
        let target = &self.nodes[node];
        let Some(context) = target.disk.context_of(subject.0) else {
            return;
        };
        let before = subject
            .0
            .previous()
            .and_then(|before| target.disk.at(before));
        let judge = Judge {
            crypto: &target.crypto,
            context,
            height: subject.0,
            parent: before.map_or(GENESIS, |before| before.block.hash()),
        };
        let heard = target.heard.proposals.get(&subject);
        let reasons: Vec<_> = heard
            .into_iter()
            .flatten()
            .map(|(author, proposal)| judge.judge(author, proposal).err())
            .collect();
        if !reasons.iter().any(Option::is_none) {
            let (height, round, digest) = subject;
            let details =
                format!("node {node} {does} {digest:.8} in {height}/{round}, heard as {reasons:?}");
            self.checker
                .report(Invariant::Justification, self.now_ms, details);
        }
    }

    /// Without its record a validator says nothing until it cannot contradict itself.
    fn judge_silence(&mut self, node: usize, message: &Message) {
        let target = &self.nodes[node];
        let is_vote = !matches!(message, Message::Ahead { .. });
        let set = &target.disk.context().validators;
        let is_free = target.may_equivocate
            || target.is_vouched_for
            || quorum(target.disk.context()) == set.len();
        let live = target.heard.live_blocks;
        if let Some(live) = live.filter(|live| is_vote && !is_free && *live < LIVE_BLOCKS_MIN) {
            let details = format!(
                "node {node} lost its record and signs at height {} after {live} live blocks",
                message.height()
            );
            self.checker
                .report(Invariant::NoEquivocation, self.now_ms, details);
        }
    }
}
