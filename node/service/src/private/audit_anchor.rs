//! Writes on the chain how far the enclave's audit log is, at most once an hour and only
//! when it has grown, and looks whether the log still leads to what was written before:
//! who holds the disk can write a log anew, but not the chain.
//!
//! Where the marker account does not act for an organisation, nothing is sent.

use crate::private::{
    members::blocking,
    registry::{RegistryError, View, record_audit_input},
    shared::Shared,
};
use alloy_primitives::B256;
use medina_enclave::{AuditComparison, AuditHead, EnclaveError, compare_audit};
use medina_storage::StorageError;
use medina_types::Height;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{debug, error, info};

/// Least time between two records of one organisation, seconds.
const ANCHOR_PERIOD_S: u64 = 60 * 60;
/// How often is looked whether one is due.
const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// Gas of a record.
const RECORD_GAS: u64 = 200_000;

/// What an organisation wrote on the chain of its audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuditAnchor {
    /// Entries and hash of the last one.
    pub(crate) head: AuditHead,
    /// Block in which it was written.
    pub(crate) height: u64,
}

/// Why a look had no result.
#[derive(Debug, thiserror::Error)]
enum AnchorError {
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// When something was last done for an organisation; gone after a restart.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    sent_s: Option<u64>,
    compared_s: Option<u64>,
}

fn has_passed(since_s: Option<u64>, now_s: u64) -> bool {
    since_s.is_none_or(|since| now_s.saturating_sub(since) >= ANCHOR_PERIOD_S)
}

/// Whether a record is to be sent: the log has grown, and the last record, on the chain or
/// on its way there, is old enough.
fn is_due(head: &AuditHead, anchor: Option<(&AuditHead, u64)>, done: Done, now_s: u64) -> bool {
    let has_grown = head.entries > anchor.map_or(0, |(anchored, _)| anchored.entries);
    has_grown
        && has_passed(done.sent_s, now_s)
        && has_passed(anchor.map(|(_, written_s)| written_s), now_s)
}

/// Looks until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let done: Arc<Mutex<BTreeMap<B256, Done>>> = Arc::default();
    let mut tick = tokio::time::interval(LOOK_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => {}
        }
        let memory = done.clone();
        let looked = blocking(&shared, move |shared| step(shared, &mut memory.lock())).await;
        if let Ok(Err(error)) = looked {
            debug!(%error, "the audit log is not recorded now");
        }
    }
}

fn step(shared: &Shared, memory: &mut BTreeMap<B256, Done>) -> Result<(), AnchorError> {
    let head = shared.enclave.audit_head()?;
    for party in &shared.parties {
        let done = memory.entry(party.org).or_default();
        look(shared, party.org, &head, done)?;
    }
    Ok(())
}

fn look(shared: &Shared, org: B256, head: &AuditHead, done: &mut Done) -> Result<(), AnchorError> {
    let anchor = shared.registry.now(|view: &View<'_>| view.audit_of(org))?;
    let now_s = shared.now_s();
    let written_s = match anchor {
        Some(anchor) => written_at(shared, anchor.height)?,
        None => 0,
    };
    let known = anchor.as_ref().map(|anchor| (&anchor.head, written_s));
    let is_due = is_due(head, known, *done, now_s);
    if !is_due && !has_passed(done.compared_s, now_s) {
        return Ok(());
    }
    done.compared_s = Some(now_s);
    let anchors: Vec<_> = anchor.iter().map(|anchor| anchor.head).collect();
    let compared = compare_audit(head, &anchors, |entries| hash_after(shared, head, entries))?;
    if !matches!(compared, AuditComparison::Agrees { .. }) {
        complain(org, compared);
        return Ok(());
    }
    let input = record_audit_input(org, head);
    // The marker account may not act for the organisation.
    if is_due && shared.would_pass(&input, RECORD_GAS) {
        let contract = shared.registry.contract();
        shared.sending.send_call(contract, input, RECORD_GAS);
        done.sent_s = Some(now_s);
        info!(%org, entries = head.entries, "the audit log's head goes to the chain");
    }
    Ok(())
}

/// When a block was made; long ago where that is not known any more.
fn written_at(shared: &Shared, height: u64) -> Result<u64, StorageError> {
    let header = shared.chain.store.header_by_number(Height(height))?;
    Ok(header.map_or(0, |header| header.timestamp))
}

fn hash_after(shared: &Shared, head: &AuditHead, entries: u64) -> Result<[u8; 32], EnclaveError> {
    if entries == head.entries {
        return Ok(head.hash);
    }
    let next = shared.enclave.audit_entries(entries, 1)?.pop();
    let missing = || EnclaveError::AuditBroken {
        seq: entries,
        reason: "it cannot be read".to_owned(),
    };
    next.map(|entry| entry.previous).ok_or_else(missing)
}

fn complain(org: B256, compared: AuditComparison) {
    match compared {
        AuditComparison::Cut { entries, anchored } => error!(%org, entries, anchored,
            "the enclave's audit log is shorter than what the chain says of it: entries are gone, or this is another enclave"),
        AuditComparison::Rewritten { first, before } => error!(%org, first, before,
            "the enclave's audit log is not the one that the chain says: it was written anew between these entries, or this is another enclave"),
        AuditComparison::Agrees { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn head(entries: u64) -> AuditHead {
        AuditHead {
            entries,
            hash: [1; 32],
        }
    }

    fn due(entries: u64, anchor: Option<(u64, u64)>, sent_s: Option<u64>) -> bool {
        let anchored = anchor.map(|(entries, written_s)| (head(entries), written_s));
        let anchor = anchored
            .as_ref()
            .map(|(head, written_s)| (head, *written_s));
        let done = Done {
            sent_s,
            ..Done::default()
        };
        is_due(&head(entries), anchor, done, NOW_S)
    }

    #[test]
    fn first_record_is_due_at_once_and_an_empty_log_has_none() {
        assert!(due(1, None, None));
        assert!(!due(0, None, None));
    }

    #[test]
    fn log_that_does_not_grow_sends_nothing_however_long_it_takes() {
        assert!(!due(7, Some((7, 0)), None));
        assert!(!due(7, Some((7, 0)), Some(0)));
        assert!(!due(6, Some((7, 0)), None), "a cut log is no news either");
    }

    #[test]
    fn record_is_sent_once_an_hour_at_most() {
        let ago = |seconds: u64| NOW_S - seconds;
        assert!(due(8, Some((7, ago(3_600))), None));
        assert!(!due(8, Some((7, ago(3_599))), None), "on the chain lately");
        assert!(!due(8, Some((7, 0)), Some(ago(3_599))), "on its way there");
        assert!(due(8, Some((7, 0)), Some(ago(3_600))));
        // A clock that goes back does no harm.
        assert!(!due(8, Some((7, NOW_S + 50)), None));
    }
}
