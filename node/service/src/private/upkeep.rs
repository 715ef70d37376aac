//! What is done seldom, beside everything else: former states of the groups are deleted,
//! down to the files, and so are envelopes of this node that nothing names.
//!
//! A contract's former values would otherwise stay on the disk for good, whatever it has
//! overwritten. An envelope that no delivery and no marker names is one whose sending
//! failed half-way: its client sends another, and nobody would ever order this one's
//! erasure.

use crate::private::{
    exec::{self, StepError},
    members::blocking,
    registry::GroupRecord,
    shared::Shared,
};
use alloy_primitives::B256;
use medina_enclave::{AuditAction, PayloadStatus};
use medina_types::Height;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{debug, info};

/// How often something is looked for.
const LOOK_PERIOD: Duration = Duration::from_secs(60);
/// Pause between two looks at one group.
const GROUP_PAUSE_MS: u64 = 60 * 60 * 1_000;
/// A sweep reads the whole history: it waits for so many blocks of the group to delete,
const BLOCKS_PER_SWEEP: u64 = 4_096;
/// or for so long.
const SWEEP_PAUSE_MS: u64 = 24 * 60 * 60 * 1_000;
/// Attested heights whose states are kept: members may sign or fetch them yet.
const ATTESTED_KEPT: u64 = 17;
/// Age in seconds of an envelope that nothing names.
const UNNAMED_S: u64 = 24 * 60 * 60;
/// Entries of the audit log in one piece, and pieces in one look.
const ENTRIES: usize = 512;
const PIECES_PER_LOOK: usize = 16;

/// When a group was last looked at, and swept.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    looked_at_ms: u64,
    swept_at_ms: Option<u64>,
}

impl Seen {
    fn is_due(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.looked_at_ms) >= GROUP_PAUSE_MS
    }

    /// How many blocks have to wait for a sweep.
    fn blocks_min(&self, now_ms: u64) -> u64 {
        let is_long_ago = |at_ms: u64| now_ms.saturating_sub(at_ms) >= SWEEP_PAUSE_MS;
        if self.swept_at_ms.is_none_or(is_long_ago) {
            1
        } else {
            BLOCKS_PER_SWEEP
        }
    }
}

/// The first public block whose state is kept.
fn states_from(followed: u64, keep_blocks: u64, attest_every: u64) -> u64 {
    let attested = attest_every.saturating_mul(ATTESTED_KEPT);
    followed.saturating_sub(keep_blocks.max(attested))
}

/// Keeps house until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut groups: BTreeMap<B256, Seen> = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Not in the rush of a start.
    tick.tick().await;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => {}
        }
        let known = shared.known();
        groups.retain(|id, _| known.groups.contains_key(id));
        for (id, group) in &known.groups {
            let now_ms = shared.now_ms();
            let seen = groups.get(id).copied();
            if seen.is_some_and(|seen| !seen.is_due(now_ms)) {
                continue;
            }
            let mut seen = seen.unwrap_or_default();
            let (of, min) = (group.clone(), seen.blocks_min(now_ms));
            let pruned = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                pruned = blocking(&shared, move |shared| prune(shared, &of, min)) => pruned,
            };
            seen.looked_at_ms = now_ms;
            match pruned {
                Ok(Ok(true)) => seen.swept_at_ms = Some(now_ms),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => debug!(group = %id, %error, "a group's history stays for now"),
                Err(error) => debug!(group = %id, %error, "a group's history stays for now"),
            }
            groups.insert(*id, seen);
        }
        match blocking(&shared, |shared| drop_unnamed(shared)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "envelopes that nothing names stay for now"),
            Err(error) => debug!(%error, "envelopes that nothing names stay for now"),
        }
    }
}

/// Deletes former states of a group if there are enough, and rewrites its files if they
/// may still have something; whether states were deleted.
fn prune(shared: &Shared, group: &GroupRecord, blocks_min: u64) -> Result<bool, StepError> {
    let Some(store) = exec::store(shared, group.id)? else {
        return Ok(false);
    };
    let followed = store.followed()?.map_or(0, |height| height.0);
    let from = states_from(followed, shared.limits.state_blocks, group.attest_every);
    let is_due = from > 0 && store.is_pruning_due(Height(from), blocks_min)?;
    if is_due {
        while !store.prune()? {}
        info!(group = %group.id, from, "former states of a private group are deleted");
    }
    store.remove_leftovers()?;
    Ok(is_due)
}

/// Drops envelopes that this node sealed a day ago or longer and that nothing names.
fn drop_unnamed(shared: &Shared) -> Result<(), StepError> {
    // A marker may stand in what was not looked through.
    if *shared.scanned.borrow() < shared.chain.head().height.0 {
        return Ok(());
    }
    let mut from = shared.rows.looked_through()?;
    if shared.enclave.audit_head()?.entries < from {
        // Another log: the enclave's folder was made anew.
        from = 0;
    }
    let now_s = shared.now_s();
    for _ in 0..PIECES_PER_LOOK {
        let entries = shared.enclave.audit_entries(from, ENTRIES)?;
        let is_old = |at_s: u64| at_s.saturating_add(UNNAMED_S) <= now_s;
        let old: Vec<_> = entries
            .into_iter()
            .take_while(|entry| is_old(entry.at_s))
            .collect();
        let Some(last) = old.last() else {
            return Ok(());
        };
        from = last.seq + 1;
        for entry in old {
            let digest = B256::from(entry.digest.0);
            if entry.action == AuditAction::Encrypt && is_unnamed(shared, digest)? {
                info!(%digest, "an envelope that was never sent is dropped");
                let caller = shared.caller("drop what was not sent");
                shared.enclave.discard(&caller, &entry.digest)?;
            }
        }
        shared.rows.put_looked_through(from)?;
    }
    Ok(())
}

/// Whether an envelope is one of this node that was never put on its way.
fn is_unnamed(shared: &Shared, digest: B256) -> Result<bool, StepError> {
    let status = shared.enclave.status(&medina_enclave::Digest(digest.0))?;
    let PayloadStatus::Held(held) = status else {
        return Ok(false);
    };
    let sender = held.metadata.sender;
    let is_ours = shared.parties.iter().any(|party| party.id == sender);
    let rows = &shared.rows;
    Ok(is_ours
        && rows.delivery(digest)?.is_none()
        && rows.place_of_digest(digest)?.is_none()
        && rows.erasure(digest)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_the_window_and_of_what_members_attest_are_kept() {
        assert_eq!(states_from(100, 1_000, 64), 0);
        assert_eq!(states_from(5_000, 1_000, 1), 4_000);
        assert_eq!(states_from(5_000, 1_000, 64), 5_000 - 17 * 64);
        assert_eq!(states_from(5_000, 1_000, u64::MAX), 0);
    }

    #[test]
    fn group_is_looked_at_each_hour_and_swept_for_many_blocks_or_once_a_day() {
        let mut seen = Seen {
            looked_at_ms: 10,
            swept_at_ms: None,
        };
        assert!(!seen.is_due(10 + GROUP_PAUSE_MS - 1));
        assert!(seen.is_due(10 + GROUP_PAUSE_MS));
        assert_eq!(seen.blocks_min(10), 1, "not since the start");
        seen.swept_at_ms = Some(10);
        assert_eq!(seen.blocks_min(10 + SWEEP_PAUSE_MS - 1), BLOCKS_PER_SWEEP);
        assert_eq!(seen.blocks_min(10 + SWEEP_PAUSE_MS), 1);
    }
}
