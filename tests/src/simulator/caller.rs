//! The caller of each engine: carries out its orders with a made-up disk, clock
//! and execution, and dies in between when the scenario says so.

use super::{
    checker::Invariant,
    node::Node,
    scenario::Moment,
    world::{Local, World, milliseconds},
};
use medina_consensus::{Engine, HeadInfo, Input, Output};
use medina_types::{Certificate, Height, NodePublicKey, SealedBlock};
use rand::Rng;

impl World {
    pub(super) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].engine.is_some()
    }

    pub(super) fn tell(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(engine) = self.nodes[node].engine.as_mut() else {
            return;
        };
        let outputs = engine.handle(now_ms, input);
        let incarnation = self.nodes[node].incarnation;
        for output in outputs {
            self.execute(node, output);
            if self.nodes[node].incarnation != incarnation {
                return;
            }
        }
    }

    pub(super) fn tell_work(&mut self, node: usize) {
        let waiting = self.nodes[node].waiting() != 0;
        self.tell(node, Input::WorkWaiting { waiting });
    }

    pub(super) fn tell_height(&mut self, node: usize, height: Height) {
        let Some(decided) = self.nodes[node].disk.at(height) else {
            return;
        };
        let head = HeadInfo {
            height,
            hash: decided.block.hash(),
            timestamp_s: 0,
            committed_at_ms: self.now_ms,
        };
        let context = decided.context.clone();
        self.tell(
            node,
            Input::HeightDecided {
                height,
                head,
                context,
            },
        );
    }

    pub(super) fn execute(&mut self, node: usize, output: Output) {
        match output {
            Output::Persist { record } => self.persist(node, record),
            Output::Send { to, bytes } => {
                let to = self.keys.iter().position(|key| *key == to);
                self.send(node, to.expect("engines address validators"), bytes);
            }
            Output::Broadcast { bytes } => {
                let others = (0..self.keys.len()).filter(|to| *to != self.nodes[node].validator);
                for to in others.collect::<Vec<_>>() {
                    self.send(node, to, bytes.clone());
                }
            }
            Output::SetTimer { timer, after } => {
                self.sequence += 1;
                let setting = self.sequence;
                self.nodes[node].timers.insert(timer, setting);
                self.schedule_local(node, milliseconds(after), Local::Timer { timer, setting });
            }
            Output::CancelTimer { timer } => {
                self.nodes[node].timers.remove(&timer);
            }
            Output::Build { height, round, .. } => self.build(node, height, round),
            Output::Check { block, fresh } => self.check(node, &block, fresh),
            Output::Commit {
                block, certificate, ..
            } => self.commit(node, block, certificate),
            Output::CheckDecided { .. } | Output::Certify { .. } | Output::EntryRefused { .. } => {
                unreachable!("QBFT never orders this")
            }
            Output::SyncNeeded { from, .. } => {
                let from = self.keys.iter().position(|key| *key == from);
                self.request_blocks(node, from.expect("engines name validators"));
            }
            Output::PeerMisbehaved { peer, reason } => self.judge_accusation(node, peer, reason),
        }
    }

    pub(super) fn persist(&mut self, node: usize, record: Vec<u8>) {
        let crash = self.nodes[node].crash_at_persist.take();
        if !matches!(crash, Some((Moment::Before, _))) {
            self.nodes[node].disk.record = Some(record);
        }
        if let Some((_, down_ms)) = crash {
            self.crash(node, down_ms);
        }
    }

    pub(super) fn build(&mut self, node: usize, height: Height, round: medina_types::Round) {
        let fails = !self.is_healed && self.rng.random_bool(self.scenario.build_failure);
        let salt = self.rng.random();
        let block = (!fails).then(|| self.nodes[node].build(salt));
        let after_ms = self.rng.random_range(0..20);
        self.schedule_local(
            node,
            after_ms,
            Local::Tell(Input::BlockBuilt {
                height,
                round,
                block,
            }),
        );
    }

    pub(super) fn check(&mut self, node: usize, block: &SealedBlock, fresh: bool) {
        let is_late = fresh && !self.is_healed && self.rng.random_bool(self.scenario.clock_refusal);
        let valid = self.nodes[node].accepts(block) && !is_late;
        let hash = block.hash();
        let after_ms = self.rng.random_range(0..20);
        self.schedule_local(
            node,
            after_ms,
            Local::Tell(Input::BlockChecked { hash, valid }),
        );
    }

    pub(super) fn commit(&mut self, node: usize, block: SealedBlock, certificate: Certificate) {
        let height = block.height();
        let crash = self.nodes[node].crash_at_commit.take();
        if !matches!(crash, Some((Moment::Before, _))) {
            self.append(node, block, certificate);
        }
        if let Some((_, down_ms)) = crash {
            return self.crash(node, down_ms);
        }
        let after_ms = self.rng.random_range(0..5);
        self.schedule_local(node, after_ms, Local::Decided { height });
    }

    /// Appends a block to a node's chain. A block that sync brought first is
    /// only compared.
    pub(super) fn append(&mut self, node: usize, block: SealedBlock, certificate: Certificate) {
        let (at_ms, is_honest) = (self.now_ms, self.nodes[node].is_honest());
        let height = block.height();
        if height <= self.nodes[node].disk.height() {
            let known = self.nodes[node]
                .disk
                .at(height)
                .map(|decided| decided.block.hash());
            if is_honest && known != Some(block.hash()) {
                let details = format!("node {node} decided height {height} twice");
                self.checker.report(Invariant::Agreement, at_ms, details);
            }
            return;
        }
        if is_honest {
            let parent = self.nodes[node].disk.head_hash();
            if !self.nodes[node].accepts(&block) {
                let details = format!("node {node} committed an invalid block {height}");
                self.checker.report(Invariant::Validity, at_ms, details);
            }
            self.checker
                .on_block(at_ms, node, parent, &block, &certificate);
        }
        self.nodes[node].disk.append(block, certificate);
    }

    pub(super) fn judge_accusation(&mut self, node: usize, peer: NodePublicKey, reason: String) {
        let accused = self
            .nodes
            .iter()
            .find(|other| self.keys[other.validator] == peer);
        let is_honest = self.nodes[node].is_honest();
        if is_honest && accused.is_some_and(Node::is_honest) {
            let details = format!("node {node} accuses {peer}: {reason}");
            self.checker
                .report(Invariant::NoFalseAccusation, self.now_ms, details);
        }
    }
}
