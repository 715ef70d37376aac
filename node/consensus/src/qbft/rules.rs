//! The "upon" rules of QBFT: what follows from what is known. Each rule does
//! one step and says whether it did; they run until none applies.

use super::{
    Qbft,
    height::{HeightState, Verdict},
    justification::quorum,
    messages::{Justification, NamedRoundChange},
    timers::{lost_round_timeout, milliseconds, round_timeout},
};
use crate::{
    Output, Timer,
    mutants::{Mutant, is_on},
};
use alloy_primitives::B256;
use medina_types::{Round, SealedBlock};
use std::time::Duration;

/// A failed build is tried again after the minimum block interval, but not
/// sooner than this.
const BUILD_RETRY_MIN: Duration = Duration::from_millis(20);

impl Qbft {
    /// Applies all rules until nothing changes, then sets the timers that the
    /// new state needs.
    pub(super) fn progress(&mut self, now_ms: u64) {
        while !self.state.is_decided && self.apply_one_rule(now_ms) {}
        self.refresh_timers(now_ms);
    }

    fn apply_one_rule(&mut self, now_ms: u64) -> bool {
        self.upon_commit_quorum()
            || self.upon_higher_round_changes()
            || self.upon_round_entered_unheard()
            || self.upon_turn_to_propose(now_ms)
            || self.upon_proposal()
            || self.upon_prepare_quorum()
    }

    /// UponCommit: a quorum of seals for a block in any round decides it.
    fn upon_commit_quorum(&mut self) -> bool {
        let Some((round, digest)) = self.committed_subject() else {
            return false;
        };
        match self.state.verdict(&digest) {
            Some(Verdict::Valid) => {
                let block = self.state.blocks[&digest].block.clone();
                let certificate = self.seals(round, digest);
                self.state.is_decided = true;
                self.out.push(Output::Commit {
                    block,
                    certificate,
                    record: None,
                });
                true
            }
            Some(Verdict::Unchecked | Verdict::Invalid { fresh: true }) => {
                self.order_check(digest, false)
            }
            _ => false,
        }
    }

    /// Round and digest that a quorum committed to.
    pub(super) fn committed_subject(&self) -> Option<(Round, B256)> {
        let mut quorum = quorum(&self.context.validators);
        if is_on(Mutant::DecidesOnFPlusOneSeals) {
            quorum = self.context.validators.faulty_max() + 1;
        }
        let subjects = HeightState::subjects(&self.state.commits);
        subjects
            .into_iter()
            .find(|&(round, digest)| self.seals(round, digest).signatures().len() >= quorum)
    }

    /// UponRoundChange, first half: when f + 1 validators ask for higher
    /// rounds, at least one of them is honest; go to the lowest of these rounds.
    fn upon_higher_round_changes(&mut self) -> bool {
        let highest = self.state.round_changes.highest_rounds().into_values();
        let higher: Vec<_> = highest.filter(|&round| round > self.state.round).collect();
        let mut faulty_max = self.context.validators.faulty_max();
        if is_on(Mutant::JumpsOnOne) {
            faulty_max = 0;
        }
        if higher.len() <= faulty_max || is_on(Mutant::NoJump) {
            return false;
        }
        let lowest = higher
            .into_iter()
            .min()
            .expect("more than f rounds are at least one");
        self.change_to_round(lowest);
        true
    }

    /// A validator that entered a round while it was not allowed to vote asks
    /// for it as soon as it is.
    fn upon_round_entered_unheard(&mut self) -> bool {
        let round = self.state.round;
        let is_heard = round.is_zero() || self.has_changed_to(round);
        if is_heard || self.state.proposal().is_some() || !self.may_sign() {
            return false;
        }
        self.sign_round_change();
        true
    }

    /// UponRoundChange, second half, and round 0: propose when it is our turn.
    fn upon_turn_to_propose(&mut self, now_ms: u64) -> bool {
        if !self.is_turn_to_propose() {
            return false;
        }
        if let Some((claim, prepares)) = self.state.highest_prepared(self.state.round) {
            if !self.state.blocks.contains_key(&claim.digest) {
                return false;
            }
            let justification = self.justification(Some(prepares));
            self.propose(claim.digest, justification, false);
            return true;
        }
        if self.state.building == Some(self.state.round) || now_ms < self.propose_not_before_ms() {
            return false;
        }
        let (height, round, parent) = (self.height(), self.state.round, self.head.hash);
        self.state.building = Some(round);
        self.out.push(Output::Build {
            height,
            round,
            parent,
        });
        true
    }

    /// Ours is the round, nothing is proposed in it, and there is a reason:
    /// work or the heartbeat in round 0, a quorum of round changes above.
    fn is_turn_to_propose(&self) -> bool {
        let round = self.state.round;
        let is_ours = self.proposer_key() == self.config.own_key;
        let is_open = self.state.proposal().is_none() && !self.has_proposed_in(round);
        let has_reason = if round.is_zero() {
            self.is_work_waiting || self.state.is_heartbeat_due
        } else {
            let mut quorum = quorum(&self.context.validators);
            if is_on(Mutant::ProposesWithoutQuorum) {
                quorum = self.context.validators.faulty_max() + 1;
            }
            let is_idle = is_on(Mutant::NoEmptyBlockAfterRoundChange) && !self.is_work_waiting;
            self.state.round_changes.count_at(round) >= quorum && !is_idle
        };
        !self.state.is_decided && is_ours && is_open && has_reason && self.may_sign()
    }

    /// The shortest time between two blocks binds round 0 only: a round change
    /// has waited long enough.
    fn propose_not_before_ms(&self) -> u64 {
        let retry = self.state.build_not_before_ms;
        if self.state.round.is_zero() {
            retry.max(self.interval_end_ms())
        } else {
            retry
        }
    }

    fn interval_end_ms(&self) -> u64 {
        let interval = milliseconds(self.config.parameters.min_block_interval);
        self.head.committed_at_ms.saturating_add(interval)
    }

    fn justification(&self, prepares: Option<medina_types::Certificate>) -> Justification {
        let named = |(author, change): (&_, &super::height::ProvenRoundChange)| NamedRoundChange {
            author: *author,
            statement: change.statement.clone(),
        };
        let round_changes = self
            .state
            .round_changes
            .at(self.state.round)
            .map(named)
            .collect();
        Justification {
            round_changes,
            prepares,
        }
    }

    /// Takes a built block, if it is still the one wanted.
    pub(super) fn on_block_built(&mut self, now_ms: u64, round: Round, block: Option<SealedBlock>) {
        if self.state.building != Some(round) || round != self.state.round {
            return;
        }
        self.state.building = None;
        match block.filter(|block| self.is_own_block(block)) {
            Some(block) if self.is_turn_to_propose() => {
                // Something prepared may have come while the block was built.
                if self.state.highest_prepared(round).is_none() {
                    let digest = block.hash();
                    self.state.learn_block(block, Verdict::Valid);
                    let is_first = round.is_zero();
                    let justification = if is_first {
                        Justification::default()
                    } else {
                        self.justification(None)
                    };
                    self.propose(digest, justification, true);
                }
            }
            Some(_) => {}
            None => {
                let pause = self
                    .config
                    .parameters
                    .min_block_interval
                    .max(BUILD_RETRY_MIN);
                self.state.build_not_before_ms = now_ms.saturating_add(milliseconds(pause));
            }
        }
    }

    fn is_own_block(&self, block: &SealedBlock) -> bool {
        let own = self.context.validators.index_of_key(&self.config.own_key);
        let operator = own.and_then(|index| self.context.validators.get(index));
        block.height() == self.height()
            && block.header().parent_hash == self.head.hash
            && operator.is_some_and(|own| own.operator == block.header().beneficiary)
    }

    fn propose(&mut self, digest: B256, justification: Justification, fresh: bool) {
        let round = self.state.round;
        self.state
            .proposals
            .insert(round, super::height::AcceptedProposal { digest, fresh });
        self.sign_proposal(digest, justification);
    }

    /// UponProposal: have the block checked, then PREPARE it.
    fn upon_proposal(&mut self) -> bool {
        let Some(proposal) = self.state.proposal() else {
            return false;
        };
        match self.state.verdict(&proposal.digest) {
            Some(Verdict::Unchecked) if is_on(Mutant::PreparesUnchecked) => {
                self.on_check_ended(proposal.digest, Verdict::Valid)
            }
            Some(Verdict::Unchecked) => {
                let fresh = match () {
                    () if is_on(Mutant::ReproposalJudgedByClock) => true,
                    () if is_on(Mutant::FreshWithoutClock) => false,
                    () => proposal.fresh,
                };
                self.order_check(proposal.digest, fresh)
            }
            Some(Verdict::Invalid { fresh: true })
                if !proposal.fresh && !is_on(Mutant::ReproposalJudgedByClock) =>
            {
                self.order_check(proposal.digest, false)
            }
            Some(Verdict::Valid) if self.may_sign() && !self.has_answered(proposal.digest) => {
                self.sign_prepare(proposal.digest);
                true
            }
            _ => false,
        }
    }

    /// Whether the proposal of this round has got our PREPARE.
    fn has_answered(&self, digest: B256) -> bool {
        let signed = self.signed_here().and_then(|signed| signed.prepare);
        let is_other = signed.is_some_and(|vote| vote.digest != digest);
        let is_twice = is_other && is_on(Mutant::PreparesSecondProposal);
        self.has_prepared_in(self.state.round) && !is_twice
    }

    fn on_check_ended(&mut self, digest: B256, verdict: Verdict) -> bool {
        let known = self.state.blocks.get_mut(&digest);
        known.map(|known| known.verdict = verdict).is_some()
    }

    fn order_check(&mut self, digest: B256, fresh: bool) -> bool {
        let Some(known) = self.state.blocks.get_mut(&digest) else {
            return false;
        };
        known.verdict = Verdict::Checking { fresh };
        self.out.push(Output::Check {
            block: known.block.clone(),
            fresh,
        });
        true
    }

    /// Takes the caller's answer about a block.
    pub(super) fn on_block_checked(&mut self, hash: B256, is_valid: bool) {
        if let Some(known) = self.state.blocks.get_mut(&hash)
            && let Verdict::Checking { fresh } = known.verdict
        {
            known.verdict = if is_valid {
                Verdict::Valid
            } else {
                Verdict::Invalid { fresh }
            };
        }
    }

    /// UponPrepare: a quorum prepared the valid proposal of this round.
    fn upon_prepare_quorum(&mut self) -> bool {
        if is_on(Mutant::CommitsLeftRound) && self.commit_left_round() {
            return true;
        }
        let Some(proposal) = self.state.proposal() else {
            return false;
        };
        let round = self.state.round;
        let is_valid = self.state.verdict(&proposal.digest) == Some(Verdict::Valid);
        if !is_valid || self.has_committed_in(round) || !self.may_sign() {
            return false;
        }
        let prepares = self.prepares(round, proposal.digest);
        if !self.is_enough(round, prepares.signatures().len()) {
            return false;
        }
        self.sign_commit(proposal.digest, prepares);
        true
    }

    fn is_enough(&self, round: Round, prepares: usize) -> bool {
        let mut prepares = prepares;
        if is_on(Mutant::DuplicatePreparesCounted) {
            prepares = self.state.prepares.count_at(round);
        }
        let is_careless = is_on(Mutant::CommitsWithoutPrepared) && prepares > 0;
        prepares >= quorum(&self.context.validators) || is_careless
    }

    /// What [`Mutant::CommitsLeftRound`] does.
    fn commit_left_round(&mut self) -> bool {
        let current = self.state.round;
        let past: Vec<_> = self
            .state
            .proposals
            .iter()
            .map(|(round, it)| (*round, it.digest))
            .collect();
        for (round, digest) in past {
            let prepares = self.prepares(round, digest);
            let is_valid = self.state.verdict(&digest) == Some(Verdict::Valid);
            let is_ready = self.is_enough(round, prepares.signatures().len()) && is_valid;
            if round < current && is_ready && self.may_sign() && !self.has_committed_in(round) {
                self.state.round = round;
                self.sign_commit(digest, prepares);
                self.state.round = current;
                return true;
            }
        }
        false
    }

    /// Leaves the current round and asks for a higher one.
    pub(super) fn change_to_round(&mut self, round: Round) {
        self.move_to_round(round);
        if self.may_sign() {
            self.sign_round_change();
        }
    }

    /// Leaves the current round without asking, as a justified proposal allows.
    pub(super) fn move_to_round(&mut self, round: Round) {
        self.state.round = round;
        if is_on(Mutant::PreparedForgottenOnNewRound) {
            self.signed.prepared = None;
        }
        self.state.is_active = true;
        self.state.build_not_before_ms = 0;
        self.timers.cancel(Timer::Round, &mut self.out);
        self.timers.cancel(Timer::Propose, &mut self.out);
        self.prune();
    }

    fn refresh_timers(&mut self, now_ms: u64) {
        self.refresh_round_timer(now_ms);
        self.refresh_propose_timer(now_ms);
        let base = self.config.parameters.base_timeout;
        if self.has_something_to_repeat() {
            self.timers
                .ensure(Timer::Resend, now_ms, base, &mut self.out);
        } else {
            self.timers.cancel(Timer::Resend, &mut self.out);
        }
    }

    fn refresh_round_timer(&mut self, now_ms: u64) {
        if !self.is_round_running() {
            self.timers.cancel(Timer::Round, &mut self.out);
            return;
        }
        let parameters = &self.config.parameters;
        let mut timeout = round_timeout(parameters, self.state.round);
        let mut open_ms = 0;
        if self.state.round.is_zero() {
            // The proposer may not propose before the interval is over.
            open_ms = self.interval_end_ms();
            timeout += Duration::from_millis(open_ms.saturating_sub(now_ms));
        }
        let grace = (open_ms, lost_round_timeout(parameters));
        let is_lost = self.is_round_lost();
        self.timers
            .run_round(now_ms, timeout, is_lost, grace, &mut self.out);
    }

    /// Whether the current round may end by timeout.
    pub(super) fn is_round_running(&self) -> bool {
        if self.state.is_decided || !self.may_sign() {
            return false;
        }
        if self.state.proposal().is_some() {
            return true;
        }
        if self.state.round.is_zero() {
            let has_reason = self.is_work_waiting || self.state.is_heartbeat_due;
            return has_reason || self.state.is_active || is_on(Mutant::IdleRoundTimer);
        }
        let is_alone = is_on(Mutant::RoundTimerWithoutQuorum);
        is_alone || self.state.askers_from(self.state.round) >= quorum(&self.context.validators)
    }

    fn refresh_propose_timer(&mut self, now_ms: u64) {
        let is_building = self.state.building == Some(self.state.round);
        let ready_ms = self.propose_not_before_ms();
        if self.is_turn_to_propose() && !is_building && now_ms < ready_ms {
            let after = Duration::from_millis(ready_ms - now_ms);
            self.timers
                .ensure(Timer::Propose, now_ms, after, &mut self.out);
        } else {
            self.timers.cancel(Timer::Propose, &mut self.out);
        }
    }

    fn has_something_to_repeat(&self) -> bool {
        let has_signed = self
            .signed_here()
            .is_some_and(|signed| signed.round().is_some());
        let is_waiting = has_signed || !self.state.commits.is_empty();
        let is_settling = self.is_settling && self.is_member();
        (is_waiting && !self.state.is_decided) || is_settling || self.future.any_author().is_some()
    }
}
