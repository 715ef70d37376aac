//! One step of a group over the final blocks: finds its markers, settles those that can
//! be settled, block by block. A block without a marker of the group costs no look into
//! the group's store.

use crate::private::{
    attestation::is_majority,
    delivery, erasing,
    exec::{self, StepError},
    gathering::ErasedBy,
    going_back::{Ground, heed_votes},
    group::{Group, Halt},
    judging::{self, Sentence},
    queue::{
        BlockTreatment, Holding, MARKERS_READ_AHEAD_MAX, OnChain, Placed, Treatment,
        block_treatment, first_block, repeats, treatment,
    },
    registry::GroupRecord,
    shared::Shared,
    tagging, validated,
};
use alloy_primitives::B256;
use medina_enclave::{Digest, PayloadStatus};
use medina_execution::private::{GroupStore, Position, PrivateReceipt};
use medina_storage::SyncMode;
use medina_types::{Height, PrivacyMode};
use tracing::{debug, warn};

/// Public blocks that one step settles before the group's other affairs are seen to.
const BLOCKS_PER_STEP: usize = 32;
/// Blocks without a marker of the group after which its store is told.
const TOLD_EVERY: u64 = 256;

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// All that is known is done.
    UpToDate,
    /// There is more to do at once.
    More,
    /// These payloads are not here.
    Missing(Vec<B256>),
    /// The state comes from others, after this height or a later one; these payloads
    /// would do instead.
    Rebuild(u64, Vec<B256>),
    /// The group stops, unless members say more about these heights.
    Halt(Halt),
}

/// Settles what can be settled. Under the group's lock.
///
/// # Errors
/// When disk, enclave or contract do not answer.
pub(crate) fn step(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
    erased_by: &ErasedBy,
) -> Result<Step, StepError> {
    delivery::keep_up(shared, record);
    if let Ground::Rebuild(from) = heed_votes(shared, group, record)? {
        return Ok(Step::Rebuild(from, Vec::new()));
    }
    // Where we are, before it is compared.
    next_block(shared, group)?;
    match judging::sentence(shared, group, record)? {
        Sentence::GoOn => {}
        Sentence::Rebuild(from) => return Ok(Step::Rebuild(from, Vec::new())),
        Sentence::Halt(halt) => return Ok(Step::Halt(halt)),
    }
    for _ in 0..BLOCKS_PER_STEP {
        let scanned = *shared.scanned.borrow();
        let Some(next) = next_block(shared, group)? else {
            return Ok(Step::UpToDate);
        };
        if next > scanned {
            return Ok(Step::UpToDate);
        }
        let Ahead { markers, known_to } = match ahead(shared, record.id, next, scanned) {
            Err(StepError::Pruned(height)) => return Ok(Step::Rebuild(height, Vec::new())),
            ahead => ahead?,
        };
        let block = first_block(&markers);
        let Some(first) = block.first() else {
            pass_by(shared, group, known_to)?;
            continue;
        };
        // The blocks before it have none.
        followed_to(group, first.height.saturating_sub(1).max(group.height()));
        match settle(shared, group, record, block, erased_by)? {
            Step::More => {}
            other => return Ok(other),
        }
    }
    Ok(Step::More)
}

/// The public block to be looked at next; `None` where there is no state.
fn next_block(shared: &Shared, group: &Group) -> Result<Option<u64>, StepError> {
    let known = group.sight.lock().next;
    if let Some(next) = known {
        return Ok(Some(next));
    }
    let Some(store) = exec::store(shared, group.id)? else {
        return Ok(None);
    };
    note_position(group, &store)?;
    Ok(group.sight.lock().next)
}

/// Takes over where the store is.
fn note_position(group: &Group, store: &GroupStore) -> Result<(), StepError> {
    let next = store.position()?.block.0;
    {
        let mut sight = group.sight.lock();
        (sight.next, sight.stored) = (Some(next), next);
    }
    group.begin_state();
    followed_to(group, next.saturating_sub(1));
    Ok(())
}

fn followed_to(group: &Group, height: u64) {
    if group.height() != height {
        group.followed.send_replace(height);
        metrics::gauge!("medina_private_followed", "group" => group.id.to_string())
            .set(height as f64);
    }
}

/// No marker of the group up to a height.
fn pass_by(shared: &Shared, group: &Group, height: u64) -> Result<(), StepError> {
    let is_due = {
        let mut sight = group.sight.lock();
        sight.next = Some(height + 1);
        height + 1 >= sight.stored + TOLD_EVERY
    };
    followed_to(group, height);
    if is_due && let Some(store) = exec::store(shared, group.id)? {
        store.advance(Position::after(Height(height)), SyncMode::Deferred)?;
        group.sight.lock().stored = height + 1;
    }
    Ok(())
}

/// Settles the markers of one block.
fn settle(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
    block: &[Placed],
    erased_by: &ErasedBy,
) -> Result<Step, StepError> {
    let height = block.first().map_or(0, |first| first.height);
    let treated = match treat(shared, record, block, erased_by) {
        Err(StepError::Pruned(height)) => return Ok(Step::Rebuild(height, Vec::new())),
        treated => treated?,
    };
    let markers = match block_treatment(treated) {
        BlockTreatment::Settle(markers) => markers,
        BlockTreatment::Wait(missing) => return Ok(Step::Missing(missing)),
        BlockTreatment::Rebuild(digest, wanted) => {
            debug!(group = %group.id, %digest, height, "an erased payload cannot be replayed");
            return Ok(Step::Rebuild(height, wanted));
        }
    };
    let Some(store) = exec::store(shared, record.id)? else {
        return Ok(Step::UpToDate);
    };
    match exec::settle(shared, record, &store, &markers) {
        Ok(receipts) => on_settled(shared, record, &receipts),
        Err(StepError::Pruned(height)) => {
            warn!(group = %group.id, height, "the public history is pruned further than this private group has come");
            return Ok(Step::Rebuild(height, Vec::new()));
        }
        Err(error) => return Err(error),
    }
    metrics::counter!("medina_private_executed_total").increment(markers.len() as u64);
    note_position(group, &store)?;
    Ok(Step::More)
}

/// Markers of the group from a block on.
struct Ahead {
    markers: Vec<Placed>,
    /// All markers up to this height are among them.
    known_to: u64,
}

fn ahead(shared: &Shared, group: B256, from: u64, scanned: u64) -> Result<Ahead, StepError> {
    let rows = &shared.rows;
    let (found, known_to) = rows.markers_of_blocks(from, scanned, MARKERS_READ_AHEAD_MAX)?;
    let mut markers = Vec::new();
    for (placed, row) in found {
        if let Some(digest) = tagging::digest_in(shared, group, placed.height, &row)? {
            markers.push(Placed { digest, ..placed });
        }
    }
    Ok(Ahead { markers, known_to })
}

fn treat(
    shared: &Shared,
    record: &GroupRecord,
    block: &[Placed],
    erased_by: &ErasedBy,
) -> Result<Vec<(Placed, Treatment)>, StepError> {
    let mut treated = Vec::with_capacity(block.len());
    for placed in block {
        let first = tagging::first_place(shared, record.id, placed.digest)?;
        if repeats(placed, first.as_ref()) && exec::is_tagged(shared, placed)? {
            treated.push((*placed, Treatment::Repeated));
            continue;
        }
        let holding = holding(shared, record, placed.digest, erased_by)?;
        let chain = shared.registry.now(|view| {
            Ok(OnChain {
                skipped_at: view.skipped_at(record.id, placed.digest)?,
                erased_at: view.erased_at(record.id, placed.digest)?,
            })
        })?;
        treated.push((*placed, treatment(placed.height, holding, chain)));
    }
    Ok(treated)
}

/// What is known of a payload. One that is wrapped for a former identity of ours alone
/// is not here: the members wrap it anew.
fn holding(
    shared: &Shared,
    record: &GroupRecord,
    digest: B256,
    erased_by: &ErasedBy,
) -> Result<Holding, StepError> {
    let words = erased_by.get(&digest);
    let words = words.map_or(0, |orgs| orgs.iter().filter(|org| record.has(org)).count());
    Ok(match shared.enclave.status(&Digest(digest.0))? {
        PayloadStatus::Held(held)
            if shared
                .parties_in(record)
                .any(|party| held.parties.contains(&party.id)) =>
        {
            Holding::Here
        }
        PayloadStatus::Erased(_) => Holding::Erased,
        _ if is_majority(words, record.members.len()) => Holding::Forgotten,
        PayloadStatus::Held(_) | PayloadStatus::Missing => Holding::Missing,
    })
}

fn on_settled(shared: &Shared, record: &GroupRecord, receipts: &[PrivateReceipt]) {
    for receipt in receipts {
        debug!(group = %record.id, digest = %receipt.digest, status = ?receipt.status.is_executed(),
            "a private transaction is settled");
    }
    if record.mode == PrivacyMode::Validated {
        for receipt in receipts {
            validated::on_receipt(shared, record, receipt);
        }
    }
    erasing::wake(shared);
}
