//! One followed group, as its follower and everybody who asks share it.

use crate::private::{
    attestation::{Book, Mismatch},
    tagging::Brought,
    validated::Lane,
};
use alloy_primitives::B256;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::{Notify, watch};

/// Why a group does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    /// Organisation whose root differs; our own where the fault is here.
    pub(crate) member: B256,
    /// Public height.
    pub(crate) height: u64,
    /// For an operator.
    pub(crate) reason: String,
}

/// What a group's follower is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It follows.
    #[default]
    Following,
    /// It has no secret by which it could tell the group's markers.
    WaitingForSecret,
    /// It waits for payloads.
    Waiting(Vec<B256>),
    /// It takes the state from other members.
    Rebuilding,
    /// Something failed that is tried again.
    Failing(String),
    /// It has stopped.
    Halted(Halt),
}

/// What the follower knows of a group's store without opening it: a group that nothing
/// happens in costs no file.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The public block to be looked at next; `None` where only the store knows.
    pub(crate) next: Option<u64>,
    /// The one that the store knows of: the blocks between have no marker of the group.
    pub(crate) stored: u64,
    /// Our roots by public height, `None` where the store does not keep them.
    pub(crate) roots: BTreeMap<u64, Option<B256>>,
    /// Public height at which the state was taken from others, 0 if it was not.
    pub(crate) imported: Option<u64>,
    /// Whether it was noted that the group has stopped.
    pub(crate) is_halted: Option<bool>,
}

/// One group as its follower and everybody who asks share it.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its id.
    pub(crate) id: B256,
    /// There is something new for its follower.
    pub(crate) wake: Notify,
    /// What the follower does.
    pub(crate) phase: Mutex<Phase>,
    /// Public height up to which it was followed, markers or not.
    pub(crate) followed: watch::Sender<u64>,
    /// Signed roots.
    pub(crate) book: Mutex<Book>,
    /// Members that have acknowledged the secret since this node started.
    pub(crate) know_secret: Mutex<BTreeSet<B256>>,
    /// New secrets that members have brought since this node started.
    pub(crate) brought: Mutex<Brought>,
    /// Serialises whatever changes the group's state.
    pub(crate) writer: tokio::sync::Mutex<()>,
    /// Members whose root differs while more than half signed ours.
    pub(crate) disputes: Mutex<Vec<Mismatch>>,
    /// What the follower knows of the store without opening it.
    pub(crate) sight: Mutex<Sight>,
    /// Whether there is a state of the group on the disk.
    has_state: AtomicBool,
    /// Odd while the state is being replaced or taken back.
    changes: AtomicU64,
    /// When transactions that follow each other may go on.
    pub(crate) lane: Mutex<Lane>,
    /// A secret is new: markers behind us may be the group's.
    look_again: AtomicBool,
}

impl Group {
    pub(crate) fn new(id: B256, book: Book, followed: u64) -> Self {
        Self {
            id,
            wake: Notify::new(),
            phase: Mutex::default(),
            followed: watch::Sender::new(followed),
            book: Mutex::new(book),
            know_secret: Mutex::default(),
            brought: Mutex::default(),
            writer: tokio::sync::Mutex::new(()),
            disputes: Mutex::default(),
            sight: Mutex::default(),
            has_state: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            lane: Mutex::default(),
            look_again: AtomicBool::new(false),
        }
    }

    /// Whether there is a state of the group on the disk.
    pub(crate) fn has_state(&self) -> bool {
        self.has_state.load(Ordering::Acquire)
    }

    /// There is one.
    pub(crate) fn begin_state(&self) {
        self.has_state.store(true, Ordering::Release);
    }

    /// Until the answer is dropped the group has followed nothing: its state is taken
    /// back or replaced. The caller holds [`Self::writer`].
    pub(crate) fn change(&self) -> Changing<'_> {
        self.changes.fetch_add(1, Ordering::AcqRel);
        *self.sight.lock() = Sight::default();
        self.followed.send_replace(0);
        Changing(self)
    }

    /// A number that differs when the state was taken back or replaced between; `None`
    /// while it is.
    pub(crate) fn state_number(&self) -> Option<u64> {
        let number = self.changes.load(Ordering::Acquire);
        number.is_multiple_of(2).then_some(number)
    }

    /// Has markers looked at again that were passed by.
    pub(crate) fn look_again(&self) {
        self.look_again.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether they are to be, once.
    pub(crate) fn take_look_again(&self) -> bool {
        self.look_again.swap(false, Ordering::AcqRel)
    }

    /// Public height up to which it was followed.
    pub(crate) fn height(&self) -> u64 {
        *self.followed.borrow()
    }

    /// Changes the phase, and says so in the log when it is news.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut current = self.phase.lock();
        if *current == phase {
            return;
        }
        let group = self.id;
        match &phase {
            Phase::Halted(halt) => {
                metrics::counter!("medina_private_halts_total").increment(1);
                tracing::error!(%group, member = %halt.member, height = halt.height, reason = halt.reason,
                    "a private group has stopped; public blocks and other groups go on");
            }
            Phase::Waiting(missing) => {
                tracing::info!(%group, missing = missing.len(), first = ?missing.first(),
                    "a private group waits for payloads");
            }
            Phase::Failing(reason) => {
                tracing::warn!(%group, reason, "a private group cannot go on now")
            }
            Phase::Rebuilding => {
                tracing::warn!(%group, "a private group takes its state from other members");
            }
            Phase::WaitingForSecret => {
                tracing::debug!(%group, "no member has a secret of this private group yet");
            }
            Phase::Following => {
                if matches!(*current, Phase::Halted(_)) {
                    tracing::info!(%group, "the members of a private group agree again");
                }
            }
        }
        *current = phase;
    }
}

/// A state being taken back or replaced.
#[derive(Debug)]
pub(crate) struct Changing<'a>(&'a Group);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_state_ends_with_it() {
        let group = Group::new(B256::ZERO, Book::default(), 7);
        group.sight.lock().next = Some(8);
        let before = group.state_number();
        let changing = group.change();
        assert_eq!(group.state_number(), None, "nobody signs a root meanwhile");
        assert_eq!(group.height(), 0);
        assert_eq!(group.sight.lock().next, None);
        drop(changing);
        assert!(group.state_number().is_some_and(|now| Some(now) != before));
    }
}
