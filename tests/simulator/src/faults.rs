//! Faults as they strike, restarts, and the end of all faults.

use crate::{
    block::LAST_TRANSACTION,
    engines,
    node::CrashPoint,
    scenario::{Damage, Fault, Habit, Sabotage},
    world::{Event, Local, Partition, World},
};
use medina_consensus::Input;
use medina_types::{ConsensusEngine, Height};
use rand::Rng;

impl World {
    pub(crate) fn on_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash { node, down_ms } => self.crash(node, down_ms),
            Fault::CrashAtPersist {
                node,
                moment,
                down_ms,
            } => {
                self.nodes[node].crash_at_persist = Some(CrashPoint { moment, down_ms });
            }
            Fault::CrashAtCommit {
                node,
                moment,
                down_ms,
            } => {
                self.nodes[node].crash_at_commit = Some(CrashPoint { moment, down_ms });
            }
            Fault::CrashAtWrite {
                node,
                number,
                moment,
                down_ms,
            } => {
                let point = CrashPoint { moment, down_ms };
                self.nodes[node].crash_at_write.insert(number, point);
            }
            Fault::LoseRecord {
                node,
                damage,
                down_ms,
            } => self.lose_record(node, damage, down_ms),
            Fault::LoseDisk { node, down_ms } => self.lose_disk(node, down_ms),
            Fault::Partition {
                side,
                is_one_way,
                for_ms,
            } => {
                self.coverage.partitions += u64::from(!is_one_way);
                self.coverage.one_way += u64::from(is_one_way);
                self.partitions.push(Partition {
                    side,
                    is_one_way,
                    is_over: false,
                });
                let number = self.partitions.len() - 1;
                self.schedule(for_ms, Event::PartitionEnds { number });
            }
        }
    }

    fn lose_record(&mut self, node: usize, damage: Damage, down_ms: u64) {
        if !self.may_lose_memory(node) {
            return;
        }
        if damage == Damage::Torn {
            self.nodes[node].tear_next = Some(down_ms);
            return;
        }
        self.crash(node, down_ms);
        self.coverage.lost_records += 1;
        self.nodes[node].note_amnesia(Some(damage));
        let dice = self.rng.random_range(0..1 << 20);
        self.nodes[node].disk.damage(damage, None, dice);
    }

    /// On a fresh chain a lost record cannot be told from none. With Raft a node
    /// that starts when the group is at work gives up its first id until it is
    /// admitted anew and has its vote again, which counts as a loss of memory too.
    fn may_lose_memory(&self, node: usize) -> bool {
        let is_raft = self.scenario.engine == ConsensusEngine::Raft;
        let others = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != node);
        let mut validators = others.filter(|(_, other)| other.is_validator());
        let is_whole = validators.all(|(_, other)| other.disk.record.is_some() && other.had_vote);
        self.nodes[node].disk.height() > Height::GENESIS && (is_whole || !is_raft)
    }

    /// The record stops in the middle of a write; false when by now the others
    /// could not go on without this node.
    pub(crate) fn tear(&mut self, node: usize, new: &[u8], down_ms: u64) -> bool {
        self.nodes[node].tear_next = None;
        if !self.may_lose_memory(node) {
            return false;
        }
        self.coverage.torn_records += 1;
        self.crash(node, down_ms);
        self.nodes[node].note_amnesia(Some(Damage::Torn));
        let dice = self.rng.random_range(0..1 << 20);
        self.nodes[node].disk.damage(Damage::Torn, Some(new), dice);
        true
    }

    fn lose_disk(&mut self, node: usize, down_ms: u64) {
        if !self.may_lose_memory(node) {
            return;
        }
        self.crash(node, down_ms);
        self.coverage.lost_disks += 1;
        self.nodes[node].note_amnesia(None);
        self.nodes[node].disk.wipe();
    }

    pub(crate) fn crash(&mut self, node: usize, down_ms: u64) {
        if self.is_up(node) {
            self.say(|| format!("node {node} dies for {down_ms} ms"));
            self.coverage.crashes += 1;
            self.crash_disk(node);
            self.nodes[node].crash();
            self.restart_later(node, down_ms);
            self.disconnect_all(node);
        }
        if self.is_forgetful(node) {
            self.nodes[node].disk.record = None;
        }
    }

    /// A write under way reaches the disk or not; of the unsynced ones the
    /// latest may be gone.
    fn crash_disk(&mut self, node: usize) {
        if let Some(flight) = self.nodes[node].in_flight.take() {
            self.coverage.crashes_during_write += 1;
            if self.rng.random_bool(0.5) {
                self.apply(node, flight.write);
            }
        }
        let unsynced = self.nodes[node].disk.unsynced();
        let lost = self.rng.random_range(0..=unsynced);
        self.coverage.writes_lost += lost as u64;
        self.nodes[node].disk.lose(lost);
    }

    fn is_forgetful(&self, node: usize) -> bool {
        self.is_liar(node, Habit::Amnesiac) || self.scenario.sabotage == Sabotage::ForgetfulHonest
    }

    pub(crate) fn on_restart(&mut self, node: usize) {
        if self.is_up(node) {
            return;
        }
        let is_first = self.nodes[node].incarnation == 0;
        let has_no_record = self.nodes[node].disk.record.is_none();
        if is_first && self.now_ms > 1_000 {
            self.coverage.late_joins += 1;
        }
        let target = &self.nodes[node];
        let is_new = target.is_newcomer && has_no_record && !target.has_lost_record;
        let is_qbft = self.scenario.engine == ConsensusEngine::Qbft;
        let votes_anyway = self.is_forgetful(node) || target.is_vouched_for || (is_new && is_qbft);
        let is_silent = target.has_lost_record && !target.may_equivocate && !votes_anyway;
        let is_started = target.disk.height() > Height::GENESIS;
        if is_qbft && has_no_record && is_silent && is_started {
            self.nodes[node].heard.start_observing();
        }
        let target = &self.nodes[node];
        let incarnation = self.rng.random();
        let started = engines::start(&self.scenario, target, votes_anyway, incarnation);
        match started {
            Ok(engine) => self.nodes[node].engine = Some(engine),
            Err(error) => {
                let details = format!("node {node} cannot start: {error}");
                return self.checker.report(
                    crate::checker::Invariant::Liveness,
                    self.now_ms,
                    details,
                );
            }
        }
        self.nodes[node].incarnation += 1;
        let now_ms = self.now_ms;
        self.local(node, Local::Tell(Input::Started { now_ms }));
        self.local(node, Local::Work);
        self.connect_all(node);
    }

    pub(crate) fn end_partition(&mut self, number: usize) {
        self.partitions[number].is_over = true;
        for node in 0..self.nodes.len() {
            self.connect_all(node);
        }
    }

    /// Everything works from now on, apart from liars.
    pub(crate) fn on_heal(&mut self) {
        // Before newcomers are started again: a write that is under way then
        // may hold a block of the rounds until now.
        self.remember_rounds();
        self.is_healed = true;
        self.queue
            .retain(|_, event| !matches!(event, Event::Fault(_) | Event::PartitionEnds { .. }));
        for partition in &mut self.partitions {
            partition.is_over = true;
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].crash_at_persist = None;
            self.nodes[node].crash_at_commit = None;
            self.nodes[node].crash_at_write.clear();
            self.nodes[node].tear_next = None;
            self.vouch_for_newcomer(node);
            self.on_restart(node);
            if self.scenario.has_reconnects {
                self.connect_all(node);
            }
            let bit = LAST_TRANSACTION;
            self.schedule(10, Event::Transaction { node, bit });
        }
        self.remember_rounds();
    }

    /// With QBFT a validator that first came up when the chain had started
    /// already looks like one that lost its record: it votes after two live
    /// blocks. Where these cannot come without it, its operator uses the
    /// override.
    fn vouch_for_newcomer(&mut self, node: usize) {
        let newcomer = &mut self.nodes[node];
        let is_fresh = newcomer.disk.height() == Height::GENESIS;
        let is_in_doubt = is_fresh || !newcomer.votes();
        let is_qbft = self.scenario.engine == ConsensusEngine::Qbft;
        if is_qbft && !newcomer.has_lost_record && is_in_doubt {
            newcomer.is_vouched_for = true;
            self.crash_disk(node);
            self.nodes[node].crash();
        }
    }
}
