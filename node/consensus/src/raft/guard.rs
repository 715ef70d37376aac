//! What is checked before a message may reach the `raft` crate.
//!
//! The crate trusts its peers: a message that could not come from a correct
//! node makes it panic or walk out of its log. Nothing of that kind gets past
//! here. A message is refused as provably wrong only when no correct node could
//! have sent it, whatever we have lost ourselves.

use super::{
    log::Log,
    messages::{RaftBody, RaftKind},
};
use crate::mutants::{Mutant, is_on};
use medina_types::limits;
use raft::{Raft, StateRole};

/// Terms above this are nobody's: a group would need ages to get there.
pub(super) const TERM_MAX: u64 = 1 << 62;
/// Bytes of the change of a member.
const MEMBER_CHANGE_BYTES_MAX: usize = 1_024;

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be stepped.
    Step,
    /// Late, or it assumes something that we lost.
    Ignore,
    /// No correct node sends this.
    Misbehaved(&'static str),
}

/// Judges a message whose sender's id is proven.
pub(super) fn check(raft: &Raft<Log>, body: &RaftBody) -> Verdict {
    if body.to != raft.id {
        return Verdict::Ignore;
    }
    if body.from == raft.id || body.term == 0 || body.term > TERM_MAX || body.index > TERM_MAX {
        return Verdict::Misbehaved("Raft message with impossible sender, term or index");
    }
    let carries_entries = body.kind == RaftKind::Append;
    let carries_snapshot = body.kind == RaftKind::Snapshot;
    if !carries_entries && !body.entries.is_empty() || carries_snapshot != body.snapshot.is_some() {
        return Verdict::Misbehaved("Raft message with a content that its kind does not have");
    }
    match body.kind {
        RaftKind::Append if is_on(Mutant::RaftAppendUnchecked) => Verdict::Step,
        RaftKind::AppendResponse if is_on(Mutant::RaftAckUnchecked) => Verdict::Step,
        RaftKind::Heartbeat if is_on(Mutant::RaftHeartbeatUnchecked) => Verdict::Step,
        RaftKind::Append => check_append(body),
        RaftKind::AppendResponse => check_append_response(raft, body),
        RaftKind::Heartbeat => check_heartbeat(raft, body),
        RaftKind::Snapshot => check_snapshot(body),
        RaftKind::TimeoutNow if raft.leader_id != body.from => Verdict::Ignore,
        _ => Verdict::Step,
    }
}

/// Entries follow on each other, terms never fall and never exceed the sender's.
fn check_append(body: &RaftBody) -> Verdict {
    if (body.index == 0) != (body.log_term == 0) {
        return Verdict::Misbehaved("append that follows on an impossible entry");
    }
    let mut before = (body.index, body.log_term);
    for entry in &body.entries {
        let bytes_max = match entry.is_member_change {
            true => MEMBER_CHANGE_BYTES_MAX,
            false => limits::BLOCK_BYTES_MAX + 1,
        };
        let is_next = entry.index == before.0 + 1 && entry.term >= before.1.max(1);
        if !is_next || entry.term > body.term {
            return Verdict::Misbehaved("append with entries out of order");
        }
        if entry.data.len() > bytes_max || entry.context.len() > MEMBER_CHANGE_BYTES_MAX {
            return Verdict::Misbehaved("append with an entry that is too large");
        }
        before = (entry.index, entry.term);
    }
    if before.1 > body.term {
        return Verdict::Misbehaved("append that follows on a later term");
    }
    Verdict::Step
}

/// Nobody acknowledges, or misses, what the leader of this term has not got.
fn check_append_response(raft: &Raft<Log>, body: &RaftBody) -> Verdict {
    if body.reject && body.reject_hint > body.index {
        return Verdict::Misbehaved("rejection with a hint behind what it rejects");
    }
    let is_ours = raft.state == StateRole::Leader && body.term == raft.term;
    if is_ours && body.index > raft.raft_log.last_index() {
        return Verdict::Misbehaved("acknowledges entries that were never sent");
    }
    Verdict::Step
}

/// A leader that counts on entries that we do not have: we lost them, so the
/// leader is not to blame, but it must not take us there.
fn check_heartbeat(raft: &Raft<Log>, body: &RaftBody) -> Verdict {
    if body.term >= raft.term && body.commit > raft.raft_log.last_index() {
        return Verdict::Ignore;
    }
    Verdict::Step
}

fn check_snapshot(body: &RaftBody) -> Verdict {
    let Some(snapshot) = &body.snapshot else {
        return Verdict::Ignore;
    };
    let is_possible = snapshot.index > 0
        && snapshot.index <= TERM_MAX
        && snapshot.term > 0
        && snapshot.term <= body.term
        && snapshot.content.group.voters().next().is_some();
    if is_possible {
        Verdict::Step
    } else {
        Verdict::Misbehaved("snapshot of an impossible point of the log")
    }
}
