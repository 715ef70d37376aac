//! Faults as they strike, restarts, and the end of all faults.

use super::{
    scenario::{Fault, Habit, Sabotage},
    world::{Event, LAST_TRANSACTION, Partition, World, crypto_of},
};
use medina_consensus::{Engine, Input};
use medina_types::Height;

impl World {
    pub(super) fn on_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash { node, down_ms } => self.crash(node, down_ms),
            Fault::CrashAtPersist {
                node,
                moment,
                down_ms,
            } => {
                self.nodes[node].crash_at_persist = Some((moment, down_ms));
            }
            Fault::CrashAtCommit {
                node,
                moment,
                down_ms,
            } => {
                self.nodes[node].crash_at_commit = Some((moment, down_ms));
            }
            Fault::LoseRecord { node, down_ms } => {
                // On a fresh chain a lost record cannot be told from none.
                if self.nodes[node].disk.height() == Height::GENESIS {
                    return;
                }
                self.crash(node, down_ms);
                self.nodes[node].has_lost_record = true;
                let record = &mut self.nodes[node].disk.record;
                *record = record.take().map(|bytes| bytes[..bytes.len() / 2].to_vec());
            }
            Fault::Partition {
                side,
                is_one_way,
                for_ms,
            } => {
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

    pub(super) fn crash(&mut self, node: usize, down_ms: u64) {
        if self.is_up(node) {
            self.crashes += 1;
            self.nodes[node].crash();
            self.schedule(down_ms, Event::Restart { node });
        }
        let is_forgetful = self.nodes[node].habit == Some(Habit::Amnesiac)
            || self.scenario.sabotage == Sabotage::ForgetfulHonest;
        if is_forgetful {
            self.nodes[node].disk.record = None;
        }
    }

    pub(super) fn on_restart(&mut self, node: usize) {
        if self.is_up(node) {
            return;
        }
        let validator = self.nodes[node].validator;
        let crypto = crypto_of(&self.scenario, validator);
        let is_forgetful = self.nodes[node].habit == Some(Habit::Amnesiac)
            || self.scenario.sabotage == Sabotage::ForgetfulHonest;
        let (key, parameters) = (self.keys[validator], self.scenario.parameters);
        let votes_anyway = is_forgetful || self.nodes[node].is_vouched_for;
        self.nodes[node].start(key, crypto, parameters, votes_anyway);
        self.tell(
            node,
            Input::Started {
                now_ms: self.now_ms,
            },
        );
        self.tell_work(node);
        self.connect_all(node);
    }

    pub(super) fn end_partition(&mut self, number: usize) {
        self.partitions[number].is_over = true;
        for node in 0..self.nodes.len() {
            self.connect_all(node);
        }
    }

    /// Everything works from now on, apart from liars.
    pub(super) fn on_heal(&mut self) {
        self.is_healed = true;
        self.queue
            .retain(|_, event| !matches!(event, Event::Fault(_) | Event::PartitionEnds { .. }));
        for partition in &mut self.partitions {
            partition.is_over = true;
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].crash_at_persist = None;
            self.nodes[node].crash_at_commit = None;
            self.vouch_for_newcomer(node);
            self.on_restart(node);
            if self.scenario.has_reconnects {
                self.connect_all(node);
            }
            self.schedule(
                10,
                Event::Transaction {
                    node,
                    bit: LAST_TRANSACTION,
                },
            );
        }
    }

    /// A validator that first came up when the chain had started already looks
    /// like one that lost its record: it votes after two live blocks. Where
    /// these cannot come without it, its operator uses the override.
    pub(super) fn vouch_for_newcomer(&mut self, node: usize) {
        let newcomer = &mut self.nodes[node];
        let is_voting = newcomer
            .engine
            .as_ref()
            .is_some_and(|engine| engine.status().votes);
        let is_fresh = newcomer.disk.height() == Height::GENESIS;
        if !newcomer.has_lost_record && (is_fresh || !is_voting) {
            newcomer.crash();
            newcomer.is_vouched_for = true;
        }
    }
}
