//! Our root among those that the members signed: whether this group goes on here, stops,
//! or takes the state of the others.

use crate::private::{
    attestation::{Judgement, Mismatch},
    exec::{self, StepError},
    group::{Group, Halt},
    registry::GroupRecord,
    shared::Shared,
};
use alloy_primitives::B256;
use std::collections::BTreeSet;
use tracing::{error, info, warn};

/// What follows from the members' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sentence {
    /// More than half of the members stand where we do, or nobody differs.
    GoOn,
    /// More than half stand elsewhere, from this height on.
    Rebuild(u64),
    /// Nobody can tell who is right.
    Halt(Halt),
}

/// Our parties in a group, and its members.
pub(crate) fn sides(shared: &Shared, record: &GroupRecord) -> (BTreeSet<B256>, BTreeSet<B256>) {
    let own = shared.parties_in(record).map(|party| party.org).collect();
    (own, record.members.iter().copied().collect())
}

/// Compares. Roots of heights that were compared before are not read again.
///
/// # Errors
/// When the group's store does not answer.
pub(crate) fn sentence(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
) -> Result<Sentence, StepError> {
    let (own, members) = sides(shared, record);
    let book = {
        let mut book = group.book.lock();
        book.retain(&members);
        book.clone()
    };
    let judgement = book.judge((&own, &members), |height| own_root(shared, group, height))?;
    let heights: BTreeSet<_> = book.all().map(|one| one.height).collect();
    let newest = group.height();
    let mut sight = group.sight.lock();
    // Bounded by what the members may have in the book; the newest are being signed.
    sight
        .roots
        .retain(|height, _| heights.contains(height) || height + record.attest_every > newest);
    drop(sight);
    note_disputes(group, &judgement);
    note_halt(shared, group, matches!(judgement, Judgement::Undecided(_)))?;
    Ok(match judgement {
        Judgement::Agreed | Judgement::Disputed(_) => Sentence::GoOn,
        Judgement::Outvoted(found) => {
            warn!(group = %group.id, height = found.height, ours = %found.ours,
                "more than half of the members came to another private state than this node: taking theirs");
            Sentence::Rebuild(found.height)
        }
        Judgement::Undecided(found) => Sentence::Halt(halt(&found)),
    })
}

/// Our root after a public height, `None` if we have not come so far or know no more.
///
/// # Errors
/// As [`sentence`].
pub(crate) fn own_root(
    shared: &Shared,
    group: &Group,
    height: u64,
) -> Result<Option<B256>, StepError> {
    if height > group.height() {
        return Ok(None);
    }
    if let Some(root) = group.sight.lock().roots.get(&height) {
        return Ok(*root);
    }
    let root = exec::root_at(shared, group.id, height)?;
    // Once followed, a root stays: what changes it empties the memory.
    group.sight.lock().roots.insert(height, root);
    Ok(root)
}

/// Whether the group has stopped is still known when its state is thrown away.
fn note_halt(shared: &Shared, group: &Group, is_halted: bool) -> Result<(), StepError> {
    if group.sight.lock().is_halted == Some(is_halted) {
        return Ok(());
    }
    if shared.rows.is_halted(group.id)? != is_halted {
        shared.rows.put_halted(group.id, is_halted)?;
    }
    group.sight.lock().is_halted = Some(is_halted);
    Ok(())
}

fn halt(found: &Mismatch) -> Halt {
    Halt {
        member: found.org,
        height: found.height,
        reason: format!(
            "member {} signed the private root {} after public block {}, this node came to {}, and not more than half of the members signed either",
            found.org, found.theirs, found.height, found.ours
        ),
    }
}

/// Who disputes a root that more than half signed is named once, and as long as it does.
fn note_disputes(group: &Group, judgement: &Judgement) {
    let now = match judgement {
        Judgement::Disputed(found) => found.clone(),
        _ => Vec::new(),
    };
    let mut known = group.disputes.lock();
    if *known == now {
        return;
    }
    for found in now.iter().filter(|found| !known.contains(found)) {
        metrics::counter!("medina_private_disputes_total", "member" => found.org.to_string())
            .increment(1);
        error!(group = %group.id, member = %found.org, height = found.height,
            theirs = %found.theirs, ours = %found.ours,
            "a member signed another private root than more than half of the members; the group goes on");
    }
    if now.is_empty() && *judgement == Judgement::Agreed {
        info!(group = %group.id, "the members of a private group agree again");
    }
    *known = now;
}
