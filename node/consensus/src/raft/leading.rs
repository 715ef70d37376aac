//! What only the leader does: blocks on demand, and the group after the set.

use super::{
    Raft, RaftMessage, Timer,
    membership::{Member, MemberChange, raft_id},
    messages::{Seal, block_entry},
    milliseconds,
};
use crate::{
    Output,
    mutants::{Mutant, is_on},
};
use medina_types::{
    ConsensusEngine, Height, NodePublicKey, Round, SealedBlock, commit_message, limits,
};
use raft::eraftpb::EntryType;
use std::time::Duration;

/// A failed build is tried again after the minimum block interval, but not
/// sooner than this.
const BUILD_RETRY_MIN: Duration = Duration::from_millis(20);
/// Entries that a learner may lack when it gets its vote.
const PROMOTION_LAG_MAX: u64 = 8;

/// The next block, as far as the leader has got with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Minting {
    pub(super) is_work_waiting: bool,
    /// Height for which a block was ordered.
    pub(super) building: Option<Height>,
    /// A failed build is not tried again before.
    retry_at_ms: u64,
    /// When the timer was last set to ring.
    timer_at_ms: Option<u64>,
}

impl Minting {
    pub(super) fn on_alarm(&mut self, timer: Timer) {
        if timer == Timer::Propose {
            self.timer_at_ms = None;
        }
    }

    pub(super) fn on_new_head(&mut self) {
        self.building = None;
        self.retry_at_ms = 0;
    }
}

impl Raft {
    /// One step of what a leader has to do; false when there is nothing.
    pub(super) fn lead(&mut self) -> bool {
        if !self.has_applied_own_term() {
            return false;
        }
        self.change_group() || self.hand_over() || self.order_block()
    }

    /// A leader that has applied an entry of its own term: then everything
    /// committed before is applied as well.
    fn has_applied_own_term(&self) -> bool {
        let Some(node) = self.node.as_ref().filter(|_| self.is_leader()) else {
            return false;
        };
        let log = node.store();
        log.term_at(log.applied.index) == Some(node.raft.term)
    }

    /// Whether the next block may be made, time apart.
    fn may_mint(&self) -> bool {
        let Some(node) = &self.node else {
            return false;
        };
        let is_idle = self.applying.is_none() && self.queue.is_empty() && self.missing.is_none();
        let is_block = |entry: &raft::eraftpb::Entry| {
            entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty()
        };
        let log = node.store();
        let is_in_flight = log.after(log.applied.index).any(is_block)
            || node.raft.raft_log.unstable_entries().iter().any(is_block);
        self.has_applied_own_term()
            && (is_idle && !is_in_flight || is_on(Mutant::RaftTwoInFlight))
            && node.raft.lead_transferee.is_none()
            // A member that is about to leave must not be counted among those
            // who keep the block: it forgets the log when it goes.
            && (!node.raft.has_pending_conf() || is_on(Mutant::RaftMintsBehindChange))
            && self.is_validator(&self.config.own_key)
            && (self.can_be_certified() || is_on(Mutant::RaftMintsUncertifiable))
            && !self.seals.is_full()
    }

    /// A majority of the validators are members: without them there would be
    /// blocks that never get a certificate.
    fn can_be_certified(&self) -> bool {
        let set = &self.context.validators;
        let keys = set.validators().iter().map(|validator| validator.key);
        let members = keys.filter(|key| self.group.of_key(key).next().is_some());
        members.count() >= ConsensusEngine::Raft.quorum(set)
    }

    /// When the next block may be made; `None` while there is no reason for one.
    fn mint_at_ms(&self) -> Option<u64> {
        let parameters = &self.config.parameters;
        let after_head = |pause| {
            self.head
                .committed_at_ms
                .saturating_add(milliseconds(pause))
        };
        let earliest = after_head(parameters.min_block_interval).max(self.minting.retry_at_ms);
        let heartbeat = parameters.empty_block_period.map(after_head);
        match heartbeat {
            _ if self.minting.is_work_waiting => Some(earliest),
            Some(heartbeat) => Some(heartbeat.max(earliest)),
            None => None,
        }
    }

    fn order_block(&mut self) -> bool {
        let height = self.head.height.next();
        let is_due = self.mint_at_ms().is_some_and(|at| at <= self.now_ms);
        if self.minting.building.is_some() || !is_due || !self.may_mint() {
            return false;
        }
        self.minting.building = Some(height);
        self.out.push(Output::Build {
            height,
            round: Round::ZERO,
            parent: self.head.hash,
        });
        true
    }

    pub(super) fn set_propose_timer(&mut self) {
        let at = self.mint_at_ms().filter(|at| *at > self.now_ms);
        let is_ours = self.minting.building.is_none() && self.is_leader();
        let Some(at) = at.filter(|at| is_ours && self.minting.timer_at_ms != Some(*at)) else {
            return;
        };
        self.minting.timer_at_ms = Some(at);
        self.out.push(Output::SetTimer {
            timer: Timer::Propose,
            after: Duration::from_millis(at - self.now_ms),
        });
    }

    pub(super) fn on_block_built(&mut self, height: Height, block: Option<SealedBlock>) {
        if self.minting.building != Some(height) {
            return;
        }
        self.minting.building = None;
        let fits = |block: &SealedBlock| self.extends_head(block);
        let Some(block) = block.filter(fits) else {
            let pause = self.config.parameters.min_block_interval;
            let pause = milliseconds(pause.max(BUILD_RETRY_MIN));
            self.minting.retry_at_ms = self.now_ms.saturating_add(pause);
            return;
        };
        let data = block_entry(&block);
        if !self.may_mint() || data.len() > limits::BLOCK_BYTES_MAX + 1 {
            return;
        }
        if let Some(node) = &mut self.node {
            // Refused, it is built again.
            let _ = node.propose(Vec::new(), data);
        }
    }

    pub(super) fn on_join(&mut self, from: NodePublicKey, incarnation: u64) {
        let id = raft_id(&from, incarnation);
        let is_retired = self.group.is_retired(id) && !is_on(Mutant::RaftRetiredIdAdmitted);
        if is_retired || !self.is_leader() || !self.is_validator(&from) {
            // It may have fallen behind, and want what is past.
            return self.tell_unasked(from);
        }
        self.joins.insert(from, incarnation);
    }

    /// Proposes the next change of the group, one at a time.
    fn change_group(&mut self) -> bool {
        let Some(node) = &self.node else {
            return false;
        };
        if node.raft.has_pending_conf() || node.raft.lead_transferee.is_some() {
            return false;
        }
        let change = self.next_change();
        let change = change.filter(|change| self.group.refusal(change).is_none());
        let (Some(change), Some(node)) = (change, &mut self.node) else {
            return false;
        };
        let context = borsh::to_vec(&change).expect("writing to memory cannot fail");
        node.propose_conf_change(context, change.conf_change())
            .is_ok()
    }

    fn next_change(&self) -> Option<MemberChange> {
        let replaced = || self.replaced_member();
        let newcomer = || self.newcomer();
        let learner = || self.learner_to_promote();
        let leaver = || self.member_to_remove();
        replaced()
            .or_else(newcomer)
            .or_else(learner)
            .or_else(leaver)
    }

    /// A member whose node came back under another id.
    fn replaced_member(&self) -> Option<MemberChange> {
        let is_replaced = |member: &&Member| {
            let joining = self.joins.get(&member.key);
            let is_other = joining.is_some_and(|other| *other != member.incarnation);
            is_other && member.key != self.config.own_key && self.is_validator(&member.key)
        };
        let member = self.group.members().iter().find(is_replaced)?;
        Some(MemberChange::Remove { id: member.id() })
    }

    /// A validator that is no member yet.
    fn newcomer(&self) -> Option<MemberChange> {
        let validators = self.context.validators.validators().iter();
        let outside = validators.filter(|it| self.group.of_key(&it.key).next().is_none());
        let mut joining = outside.filter_map(|it| Some((it.key, *self.joins.get(&it.key)?)));
        let (key, incarnation) = joining.next()?;
        Some(MemberChange::AddLearner { key, incarnation })
    }

    /// A learner that has caught up.
    fn learner_to_promote(&self) -> Option<MemberChange> {
        let node = self.node.as_ref()?;
        let last = node.raft.raft_log.last_index();
        let is_ready = |member: &&Member| {
            let progress = node.raft.prs().get(member.id());
            member.is_learner
                && self.is_validator(&member.key)
                && !self.silent.contains(&member.key)
                && progress.is_some_and(|progress| {
                    // In a short log a member without any of it lacks little, too.
                    let has_log = progress.recent_active && progress.matched > 0;
                    has_log && progress.matched + PROMOTION_LAG_MAX >= last
                        || is_on(Mutant::RaftLearnerPromotedEarly)
                })
        };
        let learner = self.group.members().iter().find(is_ready)?;
        Some(MemberChange::Promote { id: learner.id() })
    }

    /// A member that is no validator any more, as long as a validator votes
    /// without it.
    fn member_to_remove(&self) -> Option<MemberChange> {
        let stays = |member: &Member| self.is_validator(&member.key);
        if !self.group.voters().any(stays) {
            return None;
        }
        let own_id = self.identity.map(|identity| identity.id);
        let mut leaving = self.group.members().iter().filter(|member| !stays(member));
        let leaver = leaving.find(|member| Some(member.id()) != own_id)?;
        self.can_do_without(leaver.id())
            .then_some(MemberChange::Remove { id: leaver.id() })
    }

    /// Whether a majority of the other voters is heard of now: a group must not
    /// shrink to members that are not there.
    fn can_do_without(&self, id: u64) -> bool {
        let Some(node) = &self.node else {
            return false;
        };
        if is_on(Mutant::RaftShrinksToTheDead) {
            return true;
        }
        let own_id = node.raft.id;
        // The crate takes notice of silence only once in a lease; a link that
        // broke tells at once.
        let is_active = |member: &&Member| {
            let progress = node.raft.prs().get(member.id());
            let is_heard = progress.is_some_and(|progress| progress.recent_active);
            member.id() == own_id || is_heard && !self.silent.contains(&member.key)
        };
        let others = self.group.voters().filter(|it| it.id() != id);
        let others: Vec<_> = others.collect();
        let active = others.iter().filter(|it| is_active(it)).count();
        active > others.len() / 2
    }

    /// A leader that is no validator any more gives the lead to one who is; the
    /// next leader removes it.
    fn hand_over(&mut self) -> bool {
        if self.is_validator(&self.config.own_key) || is_on(Mutant::RaftLeaverKeepsLead) {
            return false;
        }
        let Some(node) = &mut self.node else {
            return false;
        };
        if node.raft.lead_transferee.is_some() {
            return false;
        }
        let set = &self.context.validators;
        let staying = self
            .group
            .voters()
            .filter(|it| set.index_of_key(&it.key).is_some());
        let progress = |member: &Member| {
            let progress = node.raft.prs().get(member.id());
            progress.map(|it| (it.recent_active, it.matched, member.id()))
        };
        let Some((_, _, id)) = staying.filter_map(progress).max() else {
            return false;
        };
        node.transfer_leader(id);
        true
    }

    /// Seals that we lack, as questions.
    pub(super) fn wanted_seals(&self) -> Vec<RaftMessage> {
        if is_on(Mutant::RaftSealsOnce) {
            return Vec::new();
        }
        let question = |(height, hash)| {
            let signature = self.own_seal(height, hash);
            RaftMessage::Seal(Seal::new(height, hash, signature, true))
        };
        self.seals
            .wanted(self.slow_ticks())
            .into_iter()
            .map(question)
            .collect()
    }

    pub(super) fn on_seal(&mut self, from: NodePublicKey, seal: &Seal) {
        let (height, hash) = (seal.height, seal.hash());
        if height > self.head.height {
            if self.is_validator(&from) {
                let head = self.head.height;
                let early = (hash, seal.signature);
                self.seals.keep_early(head, height, from, early);
            }
            return self.fetch_sealed(from, seal);
        }
        self.count_seal(from, seal);
        if seal.is_wanted && self.seals.recent_hash(height) == Some(hash) {
            let signature = self.own_seal(height, hash);
            let answer = Seal::new(height, hash, signature, false);
            self.send(from, &RaftMessage::Seal(answer));
        }
    }

    fn count_seal(&mut self, from: NodePublicKey, seal: &Seal) {
        let (height, hash) = (seal.height, seal.hash());
        let Some(uncertified) = self.seals.uncertified.get_mut(&height) else {
            return;
        };
        if uncertified.has(&from) {
            return;
        }
        if uncertified.block.hash() != hash {
            return self.accuse(from, "sealed another block than the one committed");
        }
        let message = commit_message(self.config.genesis_hash, height, Round::ZERO, hash);
        let is_signed = self.crypto.verify(&from, &message, &seal.signature);
        if !is_signed && !is_on(Mutant::RaftSealUnchecked) {
            return self.accuse(from, "a seal whose signature does not verify");
        }
        uncertified.add(&from, seal.signature);
        if uncertified.is_certified() {
            let certificate = uncertified.certificate();
            self.seals.uncertified.remove(&height);
            self.out.push(Output::Certify {
                height,
                certificate,
            });
        }
    }
}
