//! Who we are when there is no record, and how to become a member.
//!
//! On a fresh chain everybody is a member under its first id. But an empty disk
//! may also be a lost one, and whoever forgot its votes must not vote again
//! under the same id. So a validator without record asks: when so many others
//! know of no term that no majority can have voted with us, nobody has, and the
//! group starts. When the chain or anybody is further, our memory is lost: we
//! take a new id and ask the leader to let it in for the old one.
//!
//! # Deviations
//! The only validator of a set has no other to ask. It asks whoever is linked to
//! it: the chain may have gone on to another set, or its group may live in members
//! that are no validators. When nobody knows better for two seconds, it starts.

use super::{
    Raft, RaftMessage,
    log::{FIRST_TERM, Log},
    membership::{Group, Identity, Member, raft_id},
    messages::{Welcome, WelcomeStanding},
};
use crate::{
    Output,
    mutants::{Mutant, is_on},
};
use alloy_primitives::keccak256;
use medina_types::{ConsensusEngine, Height, NodePublicKey};
use raft::{INVALID_ID, StateRole};
use std::{collections::BTreeSet, sync::Arc};

/// Ticks for which the only validator of a set asks for others who know better.
const ALONE_TICKS: u64 = 40;
/// Members of a group that are remembered by who knows none.
const CONTACTS_MAX: usize = 128;

/// What a node without record tries to find out.
#[derive(Clone, Debug)]
pub(super) enum Search {
    /// Whether anybody has voted yet.
    Fresh {
        /// Who knows of no term.
        answers: BTreeSet<NodePublicKey>,
    },
    /// Whether anybody knows of a group or a longer chain, although we are the
    /// only validator of the set that we know.
    Alone {
        /// Tick at which we have waited long enough.
        until: u64,
    },
    /// Our old id, which the operator wants us to take again.
    OldId,
}

impl Raft {
    /// `was_stored`: there was a record, but it is damaged.
    pub(super) fn start_without_record(&mut self, was_stored: bool) {
        let set = &self.context.validators;
        let own_key = self.config.own_key;
        if !self.is_validator(&own_key) {
            return;
        }
        let is_genesis = self.head.height == Height::GENESIS;
        if set.len() == 1 {
            let until = self.ticks + ALONE_TICKS;
            self.search = Some(Search::Alone { until });
        } else if is_genesis && is_on(Mutant::RaftFreshUnasked) {
            self.start_group(0, Group::genesis(&self.context.validators.clone()));
        } else if is_genesis && (!was_stored || self.config.accept_lost_record) {
            let answers = BTreeSet::new();
            self.search = Some(Search::Fresh { answers });
        } else if self.config.accept_lost_record {
            self.search = Some(Search::OldId);
        } else if is_on(Mutant::RaftOldIdReused) {
            self.start_group(0, Group::genesis(&self.context.validators.clone()));
        } else {
            self.join();
        }
    }

    /// Starts as the only voter when nobody has known better for long enough.
    pub(super) fn start_if_alone(&mut self) {
        let is_due =
            |search: &Search| matches!(search, Search::Alone { until } if *until <= self.ticks);
        if self.search.as_ref().is_some_and(is_due) {
            let incarnation = match self.head.height {
                Height::GENESIS => 0,
                _ => self.config.fresh_incarnation,
            };
            let own_key = self.config.own_key;
            self.start_group(incarnation, Group::of([(own_key, incarnation)]));
            self.elect_if_alone();
        }
    }

    /// The chain has gone on while we waited alone: judge the set that it has now.
    pub(super) fn wait_alone_anew(&mut self) {
        if matches!(self.search, Some(Search::Alone { .. })) {
            self.search = None;
            self.start_without_record(true);
        }
    }

    /// Somebody answers while we wait alone.
    fn on_welcome_alone(&mut self, from: NodePublicKey, welcome: &Welcome) {
        let own_key = self.config.own_key;
        let is_of_group = welcome.standing == WelcomeStanding::Member;
        if welcome.height > self.head.height {
            let until = self.ticks + ALONE_TICKS;
            self.search = Some(Search::Alone { until });
        } else if is_of_group && welcome.group.voters().all(|voter| voter.key == own_key) {
            self.start_over(&welcome.group);
        } else if is_of_group {
            self.search = None;
            if self.contacts.len() < CONTACTS_MAX {
                self.contacts.insert(from);
            }
            self.join();
        }
    }

    /// Starts a group of which nobody has voted yet.
    fn start_group(&mut self, incarnation: u64, group: Group) {
        let (height, hash) = (self.head.height, self.head.hash);
        let log = Log::first_of_group(Arc::new(group), height, hash);
        self.start_with(incarnation, log);
    }

    fn start_with(&mut self, incarnation: u64, log: Log) {
        self.group = Arc::clone(&log.group);
        let identity = Identity::new(&self.config.own_key, incarnation);
        self.become_member(identity, log);
        self.is_dirty = true;
    }

    /// Takes a new id, outside until the leader lets it in.
    fn join(&mut self) {
        let incarnation = loop {
            let incarnation = self.next_incarnation();
            let id = raft_id(&self.config.own_key, incarnation);
            if !self.group.is_retired(id) && incarnation != 0 {
                break incarnation;
            }
        };
        self.start_as_stranger(incarnation);
    }

    /// A number that no start of this node took before.
    fn next_incarnation(&mut self) -> u64 {
        self.ids_taken += 1;
        let fresh = match self.config.fresh_incarnation {
            _ if is_on(Mutant::RaftIdsRepeat) => 0,
            fresh => fresh,
        };
        let mut bytes = fresh.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.ids_taken.to_be_bytes());
        let hash = keccak256(bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        u64::from_be_bytes(first)
    }

    fn start_as_stranger(&mut self, incarnation: u64) {
        let group = Arc::new(self.group.without_members());
        let log = Log::empty(group, self.head.height, self.head.hash);
        self.start_with(incarnation, log);
        if let Some(message) = self.search_message() {
            self.send_to_everybody(&message);
        }
    }

    /// A validator that is of no group wants to be of it.
    pub(super) fn join_if_validator(&mut self) {
        let is_outside = self.identity.is_none() && self.search.is_none();
        if is_outside && self.is_validator(&self.config.own_key) {
            self.join();
        }
    }

    /// We wanted to join, and by now the set is another. Whoever vouches for its
    /// old id keeps it: others may count on it.
    pub(super) fn forget_join_if_not_validator(&mut self) {
        let is_member = |identity: Identity| {
            self.group.get(identity.id).is_some() || self.group.is_retired(identity.id)
        };
        let is_joining = self.identity.is_some_and(|identity| !is_member(identity));
        let is_past = !self.is_validator(&self.config.own_key);
        if is_joining && is_past && !self.config.accept_lost_record {
            self.leave_group();
        }
    }

    /// Our id was removed, and we are among the first to know. Those who are not
    /// yet may need our vote to find out, so we keep the log and vote, until a
    /// majority of them has told us that it knows.
    pub(super) fn stand_aside(&mut self) {
        if is_on(Mutant::RaftRemovedForgetsAtOnce) {
            return self.leave_group();
        }
        self.minting.building = None;
        if let Some(node) = &mut self.node {
            // A leader that is no member would make the crate panic when it
            // commits on.
            if node.raft.state == StateRole::Leader {
                let term = node.raft.term;
                node.raft.become_follower(term, INVALID_ID);
            }
        }
    }

    /// A peer says that the id `id` of ours was removed.
    fn on_told_of_removal(&mut self, from: NodePublicKey, id: u64, group: &Group) {
        self.told_of_removal.insert(from);
        let is_told = |voter: &&Member| self.told_of_removal.contains(&voter.key);
        let told = group.voters().filter(is_told).count();
        if told > group.voters().count() / 2 {
            let mut group = Group::clone(&self.group);
            group.retire(id);
            self.group = Arc::new(group);
            self.leave_group();
        }
    }

    /// Our id was removed: forget everything under it.
    fn leave_group(&mut self) {
        self.told_of_removal.clear();
        self.node = None;
        self.identity = None;
        self.queue.clear();
        self.awaited = None;
        let is_busy = self.applying.as_ref().is_some_and(|it| it.is_committing());
        if !is_busy {
            self.applying = None;
        }
        self.minting.building = None;
        self.group = Arc::new(self.group.without_members());
        self.is_dirty = true;
        self.join_if_validator();
    }

    /// What a node outside says until somebody answers.
    pub(super) fn search_message(&self) -> Option<RaftMessage> {
        let is_removed = |identity: Identity| self.group.is_retired(identity.id);
        let is_leaving = self.identity.is_some_and(is_removed) || !self.told_of_removal.is_empty();
        if self.search.is_some() || is_leaving {
            let nonce = self.config.fresh_incarnation;
            return Some(RaftMessage::Hello { nonce });
        }
        let identity = self.identity?;
        let is_outside = self.group.get(identity.id).is_none();
        is_outside.then_some(RaftMessage::Join {
            incarnation: identity.incarnation,
        })
    }

    pub(super) fn send_welcome(&mut self, to: NodePublicKey, nonce: u64) {
        let own_id = self.identity.map(|identity| identity.id);
        let is_member = own_id.is_some_and(|id| self.group.get(id).is_some());
        let standing = match self.search {
            Some(Search::Fresh { .. }) => WelcomeStanding::Fresh,
            _ if is_member => WelcomeStanding::Member,
            _ => WelcomeStanding::Outside,
        };
        let welcome = Welcome {
            nonce,
            standing,
            term: self.node.as_ref().map_or(0, |node| node.raft.term),
            height: self.head.height,
            group: Group::clone(&self.group),
        };
        self.send(to, &RaftMessage::Welcome(Box::new(welcome)));
    }

    /// Tells a peer how things stand, at most once a second.
    pub(super) fn tell_unasked(&mut self, to: NodePublicKey) {
        if self.told.insert(to) {
            self.send_welcome(to, 0);
        }
    }

    pub(super) fn on_welcome(&mut self, from: NodePublicKey, welcome: Welcome) {
        if welcome.height > self.head.height && self.sync_asked.insert(from) {
            let height = welcome.height;
            self.out.push(Output::SyncNeeded { from, height });
        }
        if matches!(self.search, Some(Search::Alone { .. })) {
            return self.on_welcome_alone(from, &welcome);
        }
        if !self.is_known(&from) {
            return self.on_invitation(from, &welcome);
        }
        let own_id = self.identity.map(|identity| identity.id);
        if let Some(id) = own_id.filter(|id| welcome.group.is_retired(*id)) {
            return self.on_told_of_removal(from, id, &welcome.group);
        }
        self.learn_contacts(&welcome);
        if welcome.nonce != self.config.fresh_incarnation {
            return;
        }
        match &mut self.search {
            None | Some(Search::Alone { .. }) => {}
            Some(Search::OldId) => self.on_old_id(&welcome),
            Some(Search::Fresh { .. })
                if welcome.term > FIRST_TERM || welcome.height > Height::GENESIS =>
            {
                self.on_chain_not_fresh(&welcome);
            }
            Some(Search::Fresh { answers }) => {
                if welcome.standing != WelcomeStanding::Outside {
                    answers.insert(from);
                }
                self.start_if_fresh();
            }
        }
    }

    /// A validator that knows the group names others of it, when we want to join:
    /// the leader may be no validator.
    fn learn_contacts(&mut self, welcome: &Welcome) {
        let is_joining = self.is_outside() && self.search.is_none();
        if !is_joining || welcome.standing != WelcomeStanding::Member {
            return;
        }
        let known = self.everybody();
        for member in welcome.group.members() {
            let is_new = member.key != self.config.own_key && !known.contains(&member.key);
            if is_new
                && self.contacts.len() < CONTACTS_MAX
                && self.contacts.insert(member.key)
                && let Some(message) = self.search_message()
            {
                self.send(member.key, &message);
            }
        }
    }

    /// A set may change so far that a new validator knows no member, or one that
    /// lost its id only members that are gone: the leader tells it where the
    /// group is.
    pub(super) fn invite(&mut self) {
        let Some(node) = self.node.as_ref().filter(|_| self.is_leader()) else {
            return;
        };
        let own_id = node.raft.id;
        let is_active = |member: &Member| {
            let progress = node.raft.prs().get(member.id());
            member.id() == own_id || progress.is_some_and(|progress| progress.recent_active)
        };
        let validators = self.context.validators.validators().iter();
        let outside = validators.filter(|it| !self.group.of_key(&it.key).any(is_active));
        let outside: Vec<_> = outside.map(|validator| validator.key).collect();
        for key in outside {
            self.tell_unasked(key);
        }
    }

    /// All that is taken from a stranger is whom to ask.
    fn on_invitation(&mut self, from: NodePublicKey, welcome: &Welcome) {
        let is_member = welcome.group.of_key(&from).next().is_some();
        let is_wanted = is_member && self.is_validator(&self.config.own_key);
        let is_new = is_wanted && self.contacts.len() < CONTACTS_MAX && self.contacts.insert(from);
        if let Some(message) = self.search_message().filter(|_| is_new) {
            self.send(from, &message);
        }
    }

    fn on_chain_not_fresh(&mut self, welcome: &Welcome) {
        if self.config.accept_lost_record {
            self.search = Some(Search::OldId);
            self.on_old_id(welcome);
        } else if is_on(Mutant::RaftOldIdReused) {
            self.start_group(0, Group::genesis(&self.context.validators.clone()));
        } else {
            self.join();
        }
    }

    /// Takes the id under which a member of the group knows us. The log comes
    /// from the leader; who else is in the group comes with it.
    fn on_old_id(&mut self, welcome: &Welcome) {
        if welcome.standing != WelcomeStanding::Member {
            return;
        }
        let own_key = self.config.own_key;
        if welcome.group.voters().all(|voter| voter.key == own_key) {
            return self.start_over(&welcome.group);
        }
        let own = welcome.group.of_key(&own_key);
        match own.last().copied() {
            Some(Member { incarnation, .. }) => self.start_as_stranger(incarnation),
            None => self.join(),
        }
    }

    /// We were the only one with a vote, so nobody can lead us back: the others
    /// join a new group.
    fn start_over(&mut self, old: &Group) {
        let incarnation = self.config.fresh_incarnation;
        let mut group = Group::of([(self.config.own_key, incarnation)]);
        for id in old.retired().chain(old.members().iter().map(Member::id)) {
            group.retire(id);
        }
        self.search = None;
        self.start_group(incarnation, group);
        self.elect_if_alone();
    }

    /// Starts the group when no majority can have voted without one of those who
    /// know of no term.
    fn start_if_fresh(&mut self) {
        let Some(Search::Fresh { answers }) = &self.search else {
            return;
        };
        let set = &self.context.validators;
        let others = answers
            .iter()
            .filter(|key| set.index_of_key(key).is_some())
            .count();
        let needed = set.len() - ConsensusEngine::Raft.quorum(set) + 1;
        if others >= needed.min(set.len() - 1) {
            self.start_group(0, Group::genesis(&self.context.validators.clone()));
        }
    }
}
