//! A private state taken from other members: only one that more than half of them
//! signed, recomputed here before it is used.

use crate::private::{
    attestation::{Attestation, Believed, newest_believed},
    exec,
    members::{ask, blocking},
    protocol::{Answer, Question},
    registry::GroupRecord,
    serve,
    shared::{AskError, Group, Shared},
};
use alloy_primitives::B256;
use borsh::BorshDeserialize as _;
use medina_execution::private::{GroupImport, PrivateError};
use medina_storage::{SnapshotChunk, SnapshotCursor};
use medina_types::Height;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tracing::{debug, info, warn};

/// Pieces of one state: 512 GiB, more than any group has.
const CHUNKS_MAX: usize = 1 << 20;

/// Takes the newest state at a height or above that more than half of the members
/// signed; false if there is none now.
///
/// # Errors
/// When something of our own fails.
pub(crate) async fn rebuild(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    from: u64,
) -> Result<bool, AskError> {
    let Some(own) = shared.parties_in(record).next().map(|party| party.org) else {
        return Ok(false);
    };
    let heights = collect(shared, group, record, own, None).await?;
    let mut believed = best(group, record, own, from);
    if believed.is_none()
        && let Some(at) = common_height(&heights, record, own).filter(|at| *at >= from)
    {
        collect(shared, group, record, own, Some(at)).await?;
        believed = best(group, record, own, from);
    }
    let Some(believed) = believed else {
        debug!(group = %group.id, from, "no private state at this height is signed by enough members");
        return Ok(false);
    };
    for signer in &believed.signers {
        match import(shared, group, own, *signer, &believed).await {
            Ok(()) => {
                info!(group = %group.id, height = believed.height, root = %believed.root,
                    member = %signer, "took the private state from a member");
                metrics::counter!("medina_private_rebuilt_total").increment(1);
                *group.rebuild_from.lock() = None;
                return Ok(true);
            }
            Err(error) => {
                warn!(group = %group.id, member = %signer, %error, "a member's private state is no use");
            }
        }
    }
    Ok(false)
}

/// The newest height that enough members have reached to sign it together.
fn common_height(heights: &BTreeMap<B256, u64>, record: &GroupRecord, own: B256) -> Option<u64> {
    let others = record.members.iter().filter(|org| **org != own).count();
    let mut reached: Vec<_> = heights.values().copied().collect();
    reached.sort_unstable_by_key(|height| std::cmp::Reverse(*height));
    reached
        .get(others / 2)
        .copied()
        .filter(|height| *height > 0)
}

fn best(group: &Group, record: &GroupRecord, own: B256, from: u64) -> Option<Believed> {
    let members: BTreeSet<_> = record.members.iter().copied().collect();
    let book = group.book.lock();
    newest_believed(own, &members, book.all(), from)
}

/// Asks all members what they and others signed, and where they stand.
async fn collect(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    own: B256,
    at: Option<u64>,
) -> Result<BTreeMap<B256, u64>, AskError> {
    let mut heights = BTreeMap::new();
    for (org, _) in shared.others_in(record) {
        let question = Question::Attestations {
            from: own.0,
            group: record.id.0,
            at,
        };
        match ask(shared, org, question).await {
            Ok(Answer::Attestations {
                height,
                attestations,
            }) => {
                heights.insert(org, height);
                let (live, of) = (group.clone(), record.clone());
                let noted = blocking(shared, move |shared| {
                    note_all(shared, &live, &of, attestations)
                });
                noted.await?;
            }
            Ok(_) => {}
            Err(error) => debug!(%org, %error, "a member did not say what it signed"),
        }
    }
    Ok(heights)
}

/// Notes what is signed by its member; the rest is nobody's word.
fn note_all(shared: &Shared, group: &Group, record: &GroupRecord, attestations: Vec<Attestation>) {
    let chain_id = shared.chain.spec.chain_id;
    for attestation in attestations {
        let is_members = record.has(&B256::from(attestation.org));
        let is_signed = is_members
            && shared
                .registry
                .now(|view| view.is_signed(chain_id, group.id, &attestation))
                .unwrap_or(false);
        if is_signed && let Err(error) = serve::note(shared, group, attestation) {
            warn!(%error, "what a member signed cannot be written");
        }
    }
}

async fn import(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    own: B256,
    signer: B256,
    believed: &Believed,
) -> Result<(), AskError> {
    let ours = |error: PrivateError| AskError::Ours(error.to_string());
    let (id, height, root) = (group.id, believed.height, believed.root);
    let begun = blocking(shared, move |shared| begin(shared, id, height, root));
    let mut import = begun.await?.map_err(ours)?;
    let mut cursor: Option<SnapshotCursor> = None;
    for _ in 0..CHUNKS_MAX {
        let question = Question::Snapshot {
            from: own.0,
            group: id.0,
            height,
            cursor: cursor.map(|cursor| borsh::to_vec(&cursor).expect("memory cannot fail")),
        };
        let Answer::Chunk(bytes) = ask(shared, signer, question).await? else {
            return Err(AskError::Wrong("it has no such state".to_owned()));
        };
        let chunk = SnapshotChunk::try_from_slice(&bytes)
            .map_err(|error| AskError::Wrong(error.to_string()))?;
        cursor = chunk.next;
        let put = blocking(shared, move |_| import.put(&chunk).map(|()| import));
        import = put.await?.map_err(ours)?;
        if cursor.is_none() {
            let _writer = group.writer.lock().await;
            let finished = blocking(shared, move |shared| {
                shared.stores.finish_import(import).map(drop)
            });
            return finished.await?.map_err(ours);
        }
    }
    Err(AskError::Wrong("its state has no end".to_owned()))
}

fn begin(
    shared: &Shared,
    group: B256,
    height: u64,
    root: B256,
) -> Result<GroupImport, PrivateError> {
    let store = &shared.chain.store;
    let header = store.header_by_number(Height(height))?;
    let header = header.ok_or(exec::not_reached(shared, height))?;
    let hash = store.hash_of_number(Height(height))?.unwrap_or_default();
    shared.stores.begin_import(group, (&header, hash), root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use medina_types::PrivacyMode;

    #[test]
    fn height_is_one_that_more_than_half_of_the_others_have_reached() {
        let org = B256::repeat_byte;
        let record = |members: u8| GroupRecord {
            id: org(9),
            mode: PrivacyMode::Standard,
            quorum: 0,
            attest_every: 64,
            members: (1..=members).map(org).collect(),
            mandatory: Vec::new(),
        };
        let heights = |heights: &[u64]| -> BTreeMap<_, _> {
            (2..).map(org).zip(heights.iter().copied()).collect()
        };
        let common =
            |members, reached: &[u64]| common_height(&heights(reached), &record(members), org(1));
        assert_eq!(common(2, &[70]), Some(70));
        assert_eq!(common(3, &[70, 90]), Some(70), "both of two");
        assert_eq!(common(4, &[70, 90, 80]), Some(80), "two of three");
        assert_eq!(common(3, &[70]), None, "one of two is not enough");
        assert_eq!(common(2, &[]), None);
        assert_eq!(common(2, &[0]), None);
    }
}
