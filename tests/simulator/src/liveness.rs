//! What must hold once the faults are over: every honest node decides within
//! f + 2 rounds and bounded time, and a network with nothing to do does nothing.

use crate::{checker::Invariant, node::Node, world::World};
use medina_types::{Certificate, ConsensusEngine, Height, Round, ValidatorSet};

impl World {
    /// The faults end: whatever rounds were reached count for nobody's patience.
    pub(crate) fn remember_rounds(&mut self) {
        for node in self.nodes.iter().filter(|node| node.is_honest()) {
            if let Some(status) = node.engine.as_ref().map(|engine| engine.status()) {
                let highest = self.rounds_at_heal.entry(status.height).or_default();
                *highest = status.round.max(*highest);
            }
        }
    }

    /// A height was decided after the faults: in how many rounds?
    pub(crate) fn judge_rounds(&mut self, node: usize, height: Height, certificate: &Certificate) {
        let is_qbft = self.scenario.engine == ConsensusEngine::Qbft;
        if !self.is_healed || !is_qbft || !self.nodes[node].is_honest() {
            return;
        }
        let Some(context) = self.nodes[node].disk.context_of(height) else {
            return;
        };
        let set = context.validators.clone();
        let silent = self.unhelpful(&set);
        let start = self.rounds_at_heal.get(&height).copied();
        let taken = certificate
            .round
            .0
            .saturating_sub(start.unwrap_or(Round::ZERO).0)
            + 1;
        // The round that was under way when the faults ended may be lost.
        let interrupted = u32::from(start.is_some());
        let allowed = silent + 2 + interrupted;
        self.recovery_rounds = self.recovery_rounds.max(taken - interrupted.min(taken - 1));
        if taken > allowed {
            let details = format!(
                "node {node} decided height {height} in round {}, {taken} rounds after round {} \
                 at the end of the faults, {allowed} allowed",
                certificate.round.0,
                start.unwrap_or(Round::ZERO).0,
            );
            self.checker
                .report(Invariant::Liveness, self.now_ms, details);
        }
    }

    /// Validators of a set whose rounds may be lost: liars, and those that may
    /// not vote yet because their record is gone.
    fn unhelpful(&self, set: &ValidatorSet) -> u32 {
        let is_in_set = |node: &&Node| set.index_of_key(&node.key).is_some();
        let originals = &self.nodes[..self.scenario.nodes];
        let count = originals
            .iter()
            .filter(is_in_set)
            .filter(|node| !node.is_honest() || node.has_lost_record)
            .count();
        let faulty_max = u32::try_from(set.faulty_max()).unwrap_or(u32::MAX);
        u32::try_from(count).unwrap_or(u32::MAX).max(faulty_max)
    }

    pub(crate) fn check_end(&mut self) {
        let at_ms = self.now_ms;
        if self.recovered_at_ms.is_none() {
            let details = format!("not recovered:{}", self.states());
            return self.checker.report(Invariant::Liveness, at_ms, details);
        }
        let lacks = |node: &&Node| node.disk.included() != self.ledger.transactions;
        if let Some(node) = self
            .nodes
            .iter()
            .filter(|node| node.is_honest())
            .find(lacks)
        {
            let missing = self.ledger.transactions & !node.disk.included();
            let details = format!(
                "transactions {missing:b} never came into a block:{}",
                self.states()
            );
            return self.checker.report(Invariant::Liveness, at_ms, details);
        }
        self.check_open_height();
        let is_quiet =
            self.scenario.liars.is_empty() && self.scenario.parameters.empty_block_period.is_none();
        if !is_quiet {
            return;
        }
        let is_qbft = self.scenario.engine == ConsensusEngine::Qbft;
        let is_idle = self.nodes.iter().all(|node| node.timers.is_empty());
        if is_qbft && !is_idle {
            let details = format!("nothing to do, but timers run:{}", self.states());
            self.checker.report(Invariant::Idleness, at_ms, details);
        }
        let writes = self.writes_while_idle();
        if writes > 0 {
            let details = format!("{writes} disk writes with nothing to do:{}", self.states());
            self.checker.report(Invariant::Idleness, at_ms, details);
        }
        if !is_qbft {
            self.check_certified();
        }
    }

    /// With QBFT the height that is open at the end has not wandered through
    /// rounds without a decision.
    fn check_open_height(&mut self) {
        if self.scenario.engine != ConsensusEngine::Qbft {
            return;
        }
        let silent = self.unhelpful_at_head();
        let honest = self.nodes.iter().enumerate();
        let honest = honest.filter(|(_, node)| node.is_honest() && node.is_validator());
        let mut late = honest.filter_map(|(number, node)| {
            let status = node.engine.as_ref()?.status();
            let start = self.rounds_at_heal.get(&status.height).copied();
            let taken = status.round.0.saturating_sub(start.unwrap_or_default().0);
            let allowed = silent + 2 + u32::from(start.is_some());
            (taken > allowed).then_some((number, status.height, status.round))
        });
        if let Some((number, height, round)) = late.next() {
            let details = format!(
                "node {number} is in {height}/{round} long after the faults:{}",
                self.states()
            );
            self.checker
                .report(Invariant::Liveness, self.now_ms, details);
        }
    }

    fn unhelpful_at_head(&self) -> u32 {
        let sets = self
            .nodes
            .iter()
            .map(|node| &node.disk.context().validators);
        sets.map(|set| self.unhelpful(set))
            .max()
            .unwrap_or_default()
    }

    /// With Raft certificates come after the blocks, but they come.
    fn check_certified(&mut self) {
        let engine = self.scenario.engine;
        for (number, node) in self.nodes.iter().enumerate() {
            // The record that was lost named the blocks that lacked seals.
            if node.has_lost_record {
                continue;
            }
            let missing = node.disk.chain.iter().find(|decided| {
                let context = node.disk.context_of(decided.block.height());
                let quorum = context.map_or(1, |context| engine.quorum(&context.validators));
                decided.certificate.signatures().len() < quorum
            });
            if let Some(missing) = missing {
                let height = missing.block.height();
                let details = format!(
                    "node {number}: block {height} was never certified:{}",
                    self.states()
                );
                return self
                    .checker
                    .report(Invariant::Liveness, self.now_ms, details);
            }
        }
    }

    /// Where everybody stands, for people.
    pub(crate) fn states(&self) -> String {
        let state = |(number, node): (usize, &Node)| {
            let habit = node
                .habit
                .map(|habit| format!(" {habit:?}"))
                .unwrap_or_default();
            let member = if node.is_validator() { "" } else { " follows" };
            let Some(status) = node.engine.as_ref().map(|engine| engine.status()) else {
                return format!("\n    node {number}{habit}{member}: down");
            };
            let silent = if status.votes { "" } else { " silent" };
            let raft = status.raft.map(|raft| {
                format!(
                    " {:?} id {:x} leader {:x?} term {} committed {} applied {} members {:x?}",
                    raft.role,
                    raft.id,
                    raft.leader,
                    raft.term,
                    raft.committed,
                    raft.applied,
                    raft.members
                        .iter()
                        .map(|member| (member.id, member.is_learner))
                        .collect::<Vec<_>>()
                )
            });
            let timers: Vec<_> = node.timers.keys().copied().collect();
            format!(
                "\n    node {number}{habit}{member}: height {} round {} {}{silent}{} timers {timers:?}",
                status.height.0,
                status.round.0,
                status.step,
                raft.unwrap_or_default()
            )
        };
        self.nodes.iter().enumerate().map(state).collect()
    }
}
