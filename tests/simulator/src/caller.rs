//! The caller of each engine: carries out its orders one after the other with a
//! made-up disk, clock and execution, as the node's driver does, and dies in
//! between when the scenario says so.

use crate::{
    block::{Draft, is_from_the_future},
    checker::Invariant,
    disk::Write,
    node::{CrashPoint, InFlight, Node},
    scenario::{Habit, Moment, Sabotage},
    world::{Event, Local, World, milliseconds},
};
use medina_consensus::{HeadInfo, Input, Output, RaftRole};
use medina_types::{
    Certificate, ConsensusEngine, Height, NodePublicKey, Round, SealedBlock, commit_message,
};
use rand::Rng;

/// Longest time until imported blocks are synced.
const IMPORT_SYNC_PERIOD_MS: u64 = 100;

impl World {
    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].engine.is_some()
    }

    /// Something reaches a process, which may be waiting for its disk.
    pub(crate) fn local(&mut self, node: usize, what: Local) {
        if !self.is_up(node) {
            return;
        }
        if let Local::DiskDone { number } = what {
            self.on_disk_done(node, number);
        } else if self.nodes[node].is_busy() {
            self.nodes[node].inbox.push_back(what);
            return;
        } else {
            self.take(node, what);
        }
        self.carry_on(node);
    }

    /// Executes what waits until nothing does or the disk is busy.
    fn carry_on(&mut self, node: usize) {
        let incarnation = self.nodes[node].incarnation;
        while self.nodes[node].incarnation == incarnation && !self.nodes[node].is_busy() {
            if let Some(order) = self.nodes[node].orders.pop_front() {
                self.execute(node, order);
            } else if let Some(what) = self.nodes[node].inbox.pop_front() {
                self.take(node, what);
            } else {
                return;
            }
        }
    }

    fn take(&mut self, node: usize, what: Local) {
        match what {
            Local::Timer { timer, setting } => {
                if self.nodes[node].timers.get(&timer) == Some(&setting) {
                    self.nodes[node].timers.remove(&timer);
                    self.feed(node, Input::TimerFired { timer });
                }
            }
            Local::Tell(input) => self.feed(node, input),
            Local::Work => self.feed_work(node),
            Local::Decided { height } => {
                if self.nodes[node].disk.height() == height {
                    self.decided(node);
                }
            }
            Local::Build { height, round } => self.build(node, height, round),
            Local::Check {
                block,
                fresh,
                is_decided,
            } => self.check(node, &block, fresh, is_decided),
            Local::Import { from, blocks } => self.import(node, from, blocks),
            Local::Flush => self.begin_write(node, Write::Flush),
            Local::DiskDone { .. } => {}
        }
    }

    fn feed(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let before = self.before_input(node, &input);
        let Some(engine) = self.nodes[node].engine.as_mut() else {
            return;
        };
        let outputs = engine.handle(now_ms, input);
        self.after_input(node, before, &outputs);
        self.nodes[node].orders.extend(outputs);
        if self.scenario.engine == ConsensusEngine::Raft {
            self.judge_leader(node);
        }
    }

    fn feed_work(&mut self, node: usize) {
        let waiting = self.executable(node) != 0;
        self.feed(node, Input::WorkWaiting { waiting });
    }

    /// The head moved: the engine goes on from there, and the others hear of it.
    fn decided(&mut self, node: usize) {
        self.feed_head(node);
        self.announce_head(node);
        self.on_head_of_liar(node);
    }

    fn feed_head(&mut self, node: usize) {
        let disk = &self.nodes[node].disk;
        let head = HeadInfo {
            height: disk.height(),
            hash: disk.head_hash(),
            timestamp_s: disk.head_time_s(),
            committed_at_ms: self.nodes[node].committed_at_ms,
        };
        let context = disk.context().clone();
        let height = head.height;
        self.feed(
            node,
            Input::HeightDecided {
                height,
                head,
                context,
            },
        );
        self.feed_work(node);
    }

    /// Transactions that this node could put into the next block.
    fn executable(&self, node: usize) -> u64 {
        let (known, disk) = (self.nodes[node].known, &self.nodes[node].disk);
        self.ledger.executable(known, disk.included())
    }

    fn execute(&mut self, node: usize, output: Output) {
        match output {
            Output::Persist { record } => {
                self.say(|| format!("node {node} persists {} bytes", record.len()));
                self.begin_write(node, Write::Record(record));
            }
            Output::Send { to, bytes } => {
                self.judge_sent(node, &bytes);
                self.send(node, to, &bytes);
            }
            Output::Broadcast { bytes } => self.broadcast(node, &bytes),
            Output::SetTimer { timer, after } => {
                self.sequence += 1;
                let setting = self.sequence;
                self.nodes[node].timers.insert(timer, setting);
                self.schedule_local(node, milliseconds(after), Local::Timer { timer, setting });
            }
            Output::CancelTimer { timer } => {
                self.nodes[node].timers.remove(&timer);
            }
            Output::Build {
                height,
                round,
                parent,
            } => {
                if self.nodes[node].disk.head_hash() == parent {
                    let after_ms = self.rng.random_range(0..10);
                    self.schedule_local(node, after_ms, Local::Build { height, round });
                }
            }
            Output::Check { block, fresh } => {
                self.judge_check(node, &block);
                self.order_check(node, block, fresh, false);
            }
            Output::CheckDecided { block } => self.order_check(node, block, false, true),
            Output::Commit {
                block,
                certificate,
                record,
            } => self.order_commit(node, block, certificate, record),
            Output::Certify {
                height,
                certificate,
            } => self.certify(node, height, certificate),
            Output::EntryRefused { index, reason } => {
                self.coverage.entries_refused += 1;
                self.say(|| format!("node {node} refuses entry {index}: {reason}"));
                self.checker
                    .on_entry_refused(self.now_ms, node, &self.nodes[node], index);
            }
            Output::SyncNeeded { from, .. } => self.request_from_key(node, from),
            Output::PeerMisbehaved { peer, reason } => self.judge_accusation(node, peer, reason),
        }
    }

    fn broadcast(&mut self, node: usize, bytes: &[u8]) {
        self.judge_sent(node, bytes);
        let set = &self.nodes[node].disk.context().validators;
        let others = set.validators().iter().map(|validator| validator.key);
        for to in others.collect::<Vec<_>>() {
            self.send(node, to, bytes);
        }
    }

    /// Writes a record, a block or imported blocks so that they last.
    pub(crate) fn begin_write(&mut self, node: usize, write: Write) {
        let number = self.nodes[node].synced_writes;
        self.nodes[node].synced_writes += 1;
        if let (Write::Record(record), Some(down_ms)) = (&write, self.nodes[node].tear_next) {
            let record = record.clone();
            if self.tear(node, &record, down_ms) {
                return;
            }
        }
        let target = &mut self.nodes[node];
        let point = match write {
            Write::Record(_) => target.crash_at_persist.take(),
            Write::Commit { .. } => target.crash_at_commit.take(),
            Write::Flush => None,
        };
        if let Some(point) = point.or_else(|| target.crash_at_write.remove(&number)) {
            if point.moment == Moment::After {
                self.coverage.crashes_after_write += 1;
                self.apply(node, write);
            } else {
                self.coverage.crashes_before_write += 1;
            }
            return self.crash(node, point.down_ms);
        }
        let slowest_ms = self.scenario.disk_ms_max[self.nodes[node].validator];
        let after_ms = match slowest_ms {
            _ if self.is_healed => 0,
            0 => 0,
            slowest_ms => self.rng.random_range(0..=slowest_ms),
        };
        if after_ms == 0 {
            self.complete(node, write);
        } else {
            self.coverage.slow_writes += 1;
            self.nodes[node].in_flight = Some(InFlight { write, number });
            self.schedule_local(node, after_ms, Local::DiskDone { number });
        }
    }

    fn on_disk_done(&mut self, node: usize, number: u64) {
        let flight = self.nodes[node].in_flight.take();
        match flight {
            Some(flight) if flight.number == number => self.complete(node, flight.write),
            other => self.nodes[node].in_flight = other,
        }
    }

    /// A write is on disk and the process lives.
    fn complete(&mut self, node: usize, write: Write) {
        let height = match &write {
            Write::Commit { block, .. } => Some(block.height()),
            _ => None,
        };
        self.apply(node, write);
        if let Some(height) = height {
            // The driver goes on at once; the engine must not depend on it.
            match self.rng.random_range(0..4) {
                0..2 => self.decided(node),
                after_ms => self.schedule_local(node, after_ms, Local::Decided { height }),
            }
        }
    }

    /// A write reaches the disk, whatever becomes of the process.
    pub(crate) fn apply(&mut self, node: usize, write: Write) {
        if let Write::Commit {
            block, certificate, ..
        } = &write
        {
            self.judge_block(node, block, certificate, true);
            self.nodes[node].committed_at_ms = self.now_ms;
        }
        self.nodes[node].disk.write(write, &self.ledger);
    }

    fn build(&mut self, node: usize, height: Height, round: Round) {
        let fails = !self.is_healed && self.rng.random_bool(self.scenario.build_failure);
        let is_bad = self.is_liar(node, Habit::BadBlocks) || self.builds_badly(node);
        let period = self
            .scenario
            .parameters
            .empty_block_period
            .map(milliseconds);
        let since_ms = self.now_ms - self.nodes[node].committed_at_ms.min(self.now_ms);
        let may_be_empty = !round.is_zero() || period.is_some_and(|period| since_ms >= period);
        let is_pointless = self.executable(node) == 0 && !may_be_empty;
        let salt = self.rng.random();
        let block = (!fails && !is_pointless).then(|| {
            let block = self.draft(node, self.clock_s(node), salt, is_bad);
            self.checker.learn_block(&block);
            block
        });
        let input = Input::BlockBuilt {
            height,
            round,
            block,
        };
        let after_ms = self.rng.random_range(0..10);
        self.schedule_local(node, after_ms, Local::Tell(input));
    }

    /// A leader makes a block that no node can apply, itself included, and dies
    /// once it is in its log: the next leader finds it there.
    fn builds_badly(&mut self, node: usize) -> bool {
        let status = self.nodes[node]
            .engine
            .as_ref()
            .map(|engine| engine.status());
        let members = status
            .and_then(|status| status.raft)
            .map_or(0, |raft| raft.members.len());
        let is_disputed = self.scenario.sabotage == Sabotage::DisputedEntries;
        let is_bad =
            members > 1 && !self.is_healed && self.rng.random_bool(self.scenario.bad_builds);
        if is_bad && !is_disputed {
            let (moment, down_ms) = (Moment::After, self.rng.random_range(1..500));
            self.nodes[node].crash_at_persist = Some(CrashPoint { moment, down_ms });
        }
        is_bad
    }

    /// A block on this node's head with everything that waits.
    pub(crate) fn draft(&self, node: usize, clock_s: u64, salt: u64, is_bad: bool) -> SealedBlock {
        let draft = Draft {
            node: self.nodes[node].validator,
            clock_s,
            salt,
            is_bad,
            transactions: self.executable(node),
        };
        self.ledger.build(&self.nodes[node].disk, draft)
    }

    fn order_check(&mut self, node: usize, block: SealedBlock, fresh: bool, is_decided: bool) {
        let after_ms = self.rng.random_range(0..20);
        let what = Local::Check {
            block,
            fresh,
            is_decided,
        };
        self.schedule_local(node, after_ms, what);
    }

    fn check(&mut self, node: usize, block: &SealedBlock, fresh: bool, is_decided: bool) {
        let disk = &self.nodes[node].disk;
        let tolerance_s = self.scenario.parameters.clock_tolerance.as_secs();
        let clock_s = self.clock_s(node);
        let is_checked = self.scenario.sabotage != Sabotage::UncheckedClocks;
        let is_early = fresh && is_checked && is_from_the_future(block, disk, clock_s, tolerance_s);
        let is_disputed = is_decided
            && self.scenario.sabotage == Sabotage::DisputedEntries
            && node % 2 == 1
            && disk.head_hash() == block.header().parent_hash;
        let valid = (self.ledger.accepts(disk, block) && !is_early) || is_disputed;
        self.coverage.clock_refusals += u64::from(is_early);
        let hash = block.hash();
        self.feed(node, Input::BlockChecked { hash, valid });
    }

    fn order_commit(
        &mut self,
        node: usize,
        block: SealedBlock,
        certificate: Certificate,
        record: Option<Vec<u8>>,
    ) {
        let (height, hash) = (block.height(), block.hash());
        if self.scenario.engine == ConsensusEngine::Raft {
            self.checker
                .check_durable(self.now_ms, &self.nodes, node, &block);
        }
        if height <= self.nodes[node].disk.height() {
            // Sync brought it first; it is only compared.
            let known = self.nodes[node]
                .disk
                .at(height)
                .map(|decided| decided.block.hash());
            if self.nodes[node].is_honest() && known != Some(hash) {
                let details = format!("node {node} decided height {height} twice");
                self.checker
                    .report(Invariant::Agreement, self.now_ms, details);
            }
            return;
        }
        self.say(|| {
            let round = certificate.round;
            format!("node {node} commits {height}/{round} {hash:.8}")
        });
        let write = Write::Commit {
            block,
            certificate,
            record,
        };
        self.begin_write(node, write);
    }

    fn certify(&mut self, node: usize, height: Height, certificate: Certificate) {
        let disk = &self.nodes[node].disk;
        let known = disk.at(height).map(|decided| decided.block.hash());
        let set = disk
            .context_of(height)
            .map(|context| context.validators.clone());
        let (Some(hash), Some(set)) = (known, set) else {
            let details = format!("node {node} certifies height {height} which it does not have");
            return self
                .checker
                .report(Invariant::Certificate, self.now_ms, details);
        };
        let quorum = self.scenario.engine.quorum(&set);
        self.checker.check_certificate(
            self.now_ms,
            node,
            (height, hash),
            &certificate,
            (&set, quorum),
        );
        self.nodes[node].disk.put_certificate(height, certificate);
        // Now peers can get the block from us.
        self.announce_head(node);
    }

    /// Blocks that sync brought: each is checked for its certificate, executed
    /// and written without sync; the engine's orders wait for the flush.
    fn import(&mut self, node: usize, from: usize, blocks: Vec<(SealedBlock, Certificate)>) {
        let before = self.nodes[node].disk.height();
        for (block, certificate) in blocks {
            let head = self.nodes[node].disk.height();
            if block.height() <= head {
                continue;
            }
            if block.height() != head.next() || !self.is_certified(node, &block, &certificate) {
                self.coverage.imports_refused += 1;
                if self.nodes[from].is_honest() {
                    let height = block.height();
                    let details = format!("node {node} refuses block {height} of node {from}");
                    self.checker
                        .report(Invariant::NoFalseAccusation, self.now_ms, details);
                }
                break;
            }
            self.coverage.imported += 1;
            self.judge_block(node, &block, &certificate, false);
            if self.checker.violation.is_some() {
                return;
            }
            self.nodes[node].committed_at_ms = self.now_ms;
            self.nodes[node]
                .disk
                .import(block, certificate, &self.ledger);
            self.feed_head(node);
        }
        if self.nodes[node].disk.height() > before {
            // Now or later: until then a crash may take what was imported.
            if self.rng.random_bool(0.5) {
                self.begin_write(node, Write::Flush);
            } else {
                self.schedule_local(node, IMPORT_SYNC_PERIOD_MS, Local::Flush);
            }
        }
        if self.is_up(node) && self.nodes[node].disk.height() > before {
            self.announce_head(node);
            self.request_blocks(node, from);
        }
    }

    fn is_certified(&self, node: usize, block: &SealedBlock, certificate: &Certificate) -> bool {
        use medina_consensus::VoteCrypto;
        if self.scenario.sabotage == Sabotage::UncheckedImport {
            return true;
        }
        let set = &self.nodes[node].disk.context().validators;
        let crypto = &self.nodes[node].crypto;
        let verify = |key: &_, message: &[u8], seal: &_| crypto.verify(key, message, seal);
        let subject = (block.height(), certificate.round, block.hash());
        let message = || commit_message(crate::block::GENESIS, subject.0, subject.1, subject.2);
        certificate
            .verify_with(set, self.scenario.engine.quorum(set), verify, message)
            .is_ok()
    }

    /// A block is about to enter a node's chain.
    fn judge_block(
        &mut self,
        node: usize,
        block: &SealedBlock,
        certificate: &Certificate,
        is_live: bool,
    ) {
        if block.height() != self.nodes[node].disk.height().next() {
            return;
        }
        self.note_set_change(node, block);
        if is_live {
            self.judge_rounds(node, block.height(), certificate);
        }
        if !self.nodes[node].is_honest() {
            return;
        }
        let tolerance_s = self.scenario.parameters.clock_tolerance.as_secs();
        let honest = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_honest());
        let fastest_s = honest
            .map(|node| self.clock_s(node))
            .max()
            .unwrap_or_default();
        let disk = &self.nodes[node].disk;
        // Clocks are set right when the faults end, maybe after the check.
        let is_early = !self.is_healed && is_from_the_future(block, disk, fastest_s, tolerance_s);
        if is_early && self.scenario.engine == ConsensusEngine::Qbft {
            let details = format!(
                "block {} has time {}, the fastest honest clock {fastest_s}",
                block.height(),
                block.header().timestamp
            );
            self.checker
                .report(Invariant::Validity, self.now_ms, details);
        }
        if !self.ledger.accepts(disk, block) {
            let details = format!("node {node} takes an invalid block {}", block.height());
            self.checker
                .report(Invariant::Validity, self.now_ms, details);
        }
        let needs_quorum = !is_live || self.scenario.engine == ConsensusEngine::Qbft;
        self.checker
            .on_block(self.now_ms, node, disk, block, certificate, needs_quorum);
    }

    /// Counts changes of the set when the first node takes the block.
    fn note_set_change(&mut self, node: usize, block: &SealedBlock) {
        let disk = &self.nodes[node].disk;
        let is_first = !self.checker.is_decided(block.height());
        let before = &disk.context().validators;
        let after = self
            .ledger
            .validators_after(disk.included() | block.header().gas_used);
        if !is_first || *before == after {
            return;
        }
        self.coverage.set_changes += 1;
        let members: Vec<_> = after
            .validators()
            .iter()
            .map(|each| each.operator)
            .collect();
        let is_gone = |node: &Node| after.index_of_key(&node.key).is_none();
        let leads = |node: &Node| {
            let status = node.engine.as_ref().map(|engine| engine.status());
            status.is_some_and(|status| match status.raft {
                Some(raft) => raft.role == RaftRole::Leader,
                None => status.proposer == node.key,
            })
        };
        let removed = self.nodes.iter().any(|node| is_gone(node) && leads(node));
        self.coverage.leaders_removed += u64::from(removed);
        self.say(|| {
            format!(
                "the set after block {} has {} members",
                block.height(),
                members.len()
            )
        });
    }

    /// An honest node says something.
    fn judge_sent(&mut self, node: usize, bytes: &[u8]) {
        self.judge_answer(node, bytes);
        let is_qbft = self.scenario.engine == ConsensusEngine::Qbft;
        if is_qbft && self.nodes[node].is_honest() {
            self.checker
                .on_sent(self.now_ms, node, &self.nodes[node], bytes);
        }
    }

    fn judge_leader(&mut self, node: usize) {
        let status = self.nodes[node]
            .engine
            .as_ref()
            .map(|engine| engine.status());
        if let Some(raft) = status.and_then(|status| status.raft) {
            let has_no_vote = matches!(raft.role, RaftRole::Outside | RaftRole::Learner);
            self.nodes[node].had_vote = !has_no_vote;
            self.checker.on_raft_status(self.now_ms, node, &raft);
        }
    }

    fn judge_accusation(&mut self, node: usize, peer: NodePublicKey, reason: String) {
        let accused = self.nodes.iter().find(|other| other.key == peer);
        let is_accused_honest = accused.is_some_and(Node::is_honest);
        let is_honest = self.nodes[node].is_honest();
        self.say(|| format!("node {node} accuses {peer}: {reason}"));
        if is_honest && is_accused_honest {
            let details = format!("node {node} accuses {peer}: {reason}");
            self.checker
                .report(Invariant::NoFalseAccusation, self.now_ms, details);
        }
    }

    /// Adds a line to the story, if anybody listens.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.story.is_told() {
            self.story.add(self.now_ms, line());
        }
    }

    pub(crate) fn is_liar(&self, node: usize, habit: Habit) -> bool {
        self.nodes[node].habit == Some(habit)
    }

    pub(crate) fn restart_later(&mut self, node: usize, down_ms: u64) {
        self.schedule(down_ms, Event::Restart { node });
    }
}
