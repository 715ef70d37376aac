//! What was settled too early, or passed by: the group goes back to the block before and
//! settles everything from there anew, or takes the state of the others where its own
//! store does not reach back so far.

use crate::private::{
    exec::{self, StepError},
    group::Group,
    queue::{MARKERS_READ_AHEAD_MAX, goes_back_to},
    registry::GroupRecord,
    shared::Shared,
    tagging,
};
use medina_execution::private::{GroupStore, PrivateError};
use medina_storage::StorageError;
use medina_types::Height;
use tracing::warn;

/// Whether the group stands where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// It does, after going back or without.
    Firm,
    /// The state has to come from others, from this height on.
    Rebuild(u64),
}

/// Votes to pass a payload over that became final after it was executed here: its
/// changes are taken back. A vote is looked at until that is done, over a crash too.
/// Under the group's lock.
///
/// # Errors
/// When disk or enclave do not answer.
pub(crate) fn heed_votes(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
) -> Result<Ground, StepError> {
    for (digest, voted_at) in shared.rows.votes(record.id)? {
        if let Some(store) = exec::store(shared, record.id)? {
            let first = tagging::first_place(shared, record.id, digest)?;
            let placed = store.receipt_of_digest(digest)?;
            let executed = placed.filter(|placed| placed.receipt.status.is_executed());
            let executed_at = executed.map(|placed| placed.block.0);
            if let Some(to) = goes_back_to(first.map(|first| first.height), executed_at) {
                warn!(group = %group.id, %digest, to,
                    "the members voted to pass over a private transaction that was executed here: going back");
                if !go_back(group, &store, to)? {
                    return Ok(Ground::Rebuild(voted_at));
                }
            }
        }
        // What is settled from now on is settled by the vote.
        shared.rows.delete_vote(record.id, digest)?;
    }
    Ok(Ground::Firm)
}

/// A secret or an envelope came late: a marker behind us may be ours after all. Under
/// the group's lock.
///
/// # Errors
/// As [`heed_votes`].
pub(crate) fn look_again(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
) -> Result<Ground, StepError> {
    if let Some(store) = exec::store(shared, record.id)?
        && let Some(height) = first_passed_by(shared, record, &store)?
    {
        let joined_at = joined_at(shared, record)?;
        if height < joined_at {
            return Ok(Ground::Rebuild(joined_at));
        }
        warn!(group = %group.id, height,
            "a marker was passed by, because its secret or payload came late: going back");
        if !go_back(group, &store, height.saturating_sub(1))? {
            return Ok(Ground::Rebuild(height));
        }
    }
    shared.rows.delete_look(record.id)?;
    Ok(Ground::Firm)
}

/// Where our own markers begin: who joined later has the state before from others.
fn joined_at(shared: &Shared, record: &GroupRecord) -> Result<u64, StepError> {
    let mut first = None;
    for party in shared.parties_in(record) {
        let since = shared
            .registry
            .now(|view| view.member_since(record.id, party.org))?;
        first = first.into_iter().chain(since).min();
    }
    Ok(first.unwrap_or(0))
}

/// The first block behind us with a marker of the group that has no receipt.
fn first_passed_by(
    shared: &Shared,
    record: &GroupRecord,
    store: &GroupStore,
) -> Result<Option<u64>, StepError> {
    let position = store.position()?;
    let mut from = store.public_of(Height::GENESIS)?.0 + 1;
    while from < position.block.0 {
        let to = position.block.0 - 1;
        let rows = &shared.rows;
        let (markers, known_to) = rows.markers_of_blocks(from, to, MARKERS_READ_AHEAD_MAX)?;
        for (placed, row) in &markers {
            let is_ours = match tagging::digest_in(shared, record.id, placed.height, row) {
                // Nobody can tell any more whether it counts.
                Err(StepError::Pruned(_)) => false,
                counts => counts?.is_some(),
            };
            if is_ours && store.receipt_of_marker(placed.transaction)?.is_none() {
                return Ok(Some(placed.height));
            }
        }
        from = known_to + 1;
    }
    Ok(None)
}

/// Makes the state after a public block the newest again; false if the store does not
/// reach back so far.
fn go_back(group: &Group, store: &GroupStore, to: u64) -> Result<bool, StepError> {
    let _changing = group.change();
    match store.roll_back(Height(to)) {
        Ok(()) => {
            metrics::counter!("medina_private_went_back_total").increment(1);
            Ok(true)
        }
        Err(
            PrivateError::NotKept { .. } | PrivateError::Storage(StorageError::StatePruned { .. }),
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
