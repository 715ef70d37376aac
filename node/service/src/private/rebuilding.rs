//! A private state taken from other members: only one that more than half of them
//! signed, recomputed here before it is used. What a member may send is bounded by the
//! configuration and by the room on the disk: the public chain shares it.

use crate::private::{
    attestation::{Attestation, Believed, Standing, newest_believed},
    exec,
    group::Group,
    judging::sides,
    members::{ask, blocking},
    protocol::{Answer, Question},
    registry::GroupRecord,
    serve,
    shared::{AskError, Shared},
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

/// Pieces of one state, whatever is in them.
const CHUNKS_MAX: usize = 1 << 20;
/// Part of the free room on the disk that a state may take: it is there twice for a
/// while, and the public chain needs room.
const FREE_ROOM_PART: u64 = 4;

/// What came of asking for a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rebuilt {
    /// It is here.
    Done,
    /// All members answered, and no state is signed by enough of them.
    NobodyHasOne,
    /// None now: somebody did not answer, or what was sent is no use.
    Unknown,
}

/// Takes the newest state at a height or above that the members may be believed.
///
/// # Errors
/// When something of our own fails.
pub(crate) async fn rebuild(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    from: u64,
    standing: Standing,
) -> Result<Rebuilt, AskError> {
    let (own, _) = sides(shared, record);
    let Some(asking) = own.first().copied() else {
        return Ok(Rebuilt::Unknown);
    };
    // What we signed last links what comes to our own past.
    let last = group.book.lock().newest_of(&own).map(|(last, _)| last);
    let heights = collect(shared, group, record, asking, last).await?;
    let mut believed = best(shared, group, record, (from, standing));
    if let Some(found) = &believed
        && take(shared, group, asking, found).await?
    {
        return Ok(Rebuilt::Done);
    }
    let common = common_height(&heights, record.members.len(), &own, standing);
    if let Some(at) = common.filter(|at| *at >= from) {
        collect(shared, group, record, asking, Some(at)).await?;
        let now = best(shared, group, record, (from, standing));
        if now != believed
            && let Some(found) = &now
            && take(shared, group, asking, found).await?
        {
            return Ok(Rebuilt::Done);
        }
        believed = now;
    }
    debug!(group = %group.id, from, "no private state was taken from the members");
    let has_everybody_said = heights.len() >= shared.others_in(record).len();
    Ok(match believed {
        None if has_everybody_said => Rebuilt::NobodyHasOne,
        _ => Rebuilt::Unknown,
    })
}

/// Takes a state from one of those that signed it.
async fn take(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    asking: B256,
    believed: &Believed,
) -> Result<bool, AskError> {
    for signer in &believed.signers {
        match import(shared, group, asking, *signer, believed).await {
            Ok(()) => {
                info!(group = %group.id, height = believed.height, root = %believed.root,
                    member = %signer, "took the private state from a member");
                metrics::counter!("medina_private_rebuilt_total").increment(1);
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
fn common_height(
    heights: &BTreeMap<B256, u64>,
    members: usize,
    own: &BTreeSet<B256>,
    standing: Standing,
) -> Option<u64> {
    let electorate = match standing {
        Standing::Here => members,
        Standing::Lost | Standing::Disowned => members.saturating_sub(own.len()),
    };
    let mut reached: Vec<_> = heights.values().copied().collect();
    reached.sort_unstable_by_key(|height| std::cmp::Reverse(*height));
    let enough = electorate / 2 + 1;
    reached
        .get(enough - 1)
        .copied()
        .filter(|height| *height > 0)
}

fn best(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
    (from, standing): (u64, Standing),
) -> Option<Believed> {
    let (own, members) = sides(shared, record);
    let head = shared.chain.head().height.0;
    let book = group.book.lock();
    // A height that this node has not reached cannot be checked, nor followed on.
    let words = book.all().filter(|word| word.height <= head);
    newest_believed((&own, &members), words, from, standing)
}

/// Asks all members what they and others signed, and where they stand; they sign a
/// height that is named, too.
///
/// # Errors
/// When this node is stopping.
pub(crate) async fn collect(
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
    let mut room = Room::new(shared.limits.snapshot_bytes);
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
        let free = blocking(shared, |shared| free_room(shared.stores.folder())).await?;
        room.take(bytes.len() as u64, free)?;
        let chunk = SnapshotChunk::try_from_slice(&bytes)
            .map_err(|error| AskError::Wrong(error.to_string()))?;
        cursor = chunk.next;
        let put = blocking(shared, move |_| import.put(&chunk).map(|()| import));
        import = put.await?.map_err(ours)?;
        if cursor.is_none() {
            let _writer = group.writer.lock().await;
            let live = group.clone();
            let finished = blocking(shared, move |shared| {
                let _changing = live.change();
                shared.stores.finish_import(import).map(drop)
            });
            return finished.await?.map_err(ours);
        }
    }
    Err(AskError::Wrong("its state has no end".to_owned()))
}

/// Free bytes of the disk that a folder is on, where the system says.
fn free_room(folder: &std::path::Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What one state may still take.
#[derive(Clone, Copy, Debug)]
struct Room {
    max: u64,
    taken: u64,
}

impl Room {
    const fn new(max: u64) -> Self {
        Self { max, taken: 0 }
    }

    /// Takes a piece in, with so much free on the disk, where that is known.
    fn take(&mut self, bytes: u64, free: Option<u64>) -> Result<(), AskError> {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > self.max {
            let max = self.max;
            return Err(AskError::Ours(format!(
                "the state has more than {max} bytes (private.limits.snapshot_bytes)"
            )));
        }
        if free.is_some_and(|free| self.taken > free / FREE_ROOM_PART) {
            let taken = self.taken;
            return Err(AskError::Ours(format!(
                "the disk has too little room for a state of {taken} bytes and more"
            )));
        }
        Ok(())
    }
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

    fn common(members: usize, reached: &[u64], standing: Standing) -> Option<u64> {
        let org = B256::repeat_byte;
        let heights = (2..).map(org).zip(reached.iter().copied()).collect();
        common_height(&heights, members, &[org(1)].into(), standing)
    }

    #[test]
    fn height_is_one_that_more_than_half_of_the_others_have_reached() {
        let lost = |members, reached: &[u64]| common(members, reached, Standing::Lost);
        assert_eq!(lost(2, &[70]), Some(70));
        assert_eq!(lost(3, &[70, 90]), Some(70), "both of two");
        assert_eq!(lost(4, &[70, 90, 80]), Some(80), "two of three");
        assert_eq!(lost(3, &[70]), None, "one of two is not enough");
        assert_eq!(lost(2, &[]), None);
        assert_eq!(lost(2, &[0]), None);
    }

    #[test]
    fn who_has_a_state_wants_more_than_half_of_all() {
        let here = |members, reached: &[u64]| common(members, reached, Standing::Here);
        assert_eq!(here(2, &[70]), None);
        assert_eq!(here(3, &[70, 90]), Some(70));
        assert_eq!(here(4, &[70, 90, 80]), Some(70), "three of four");
    }

    #[test]
    fn state_without_end_does_not_fill_the_disk() {
        let mut room = Room::new(100);
        assert!(room.take(60, Some(1_000)).is_ok());
        assert!(room.take(60, Some(1_000)).is_err(), "the bound");
        let mut room = Room::new(100);
        assert!(room.take(60, Some(300)).is_ok());
        assert!(room.take(60, Some(120)).is_err(), "the room");
        assert!(Room::new(100).take(60, None).is_ok(), "not known");
        assert!(Room::new(u64::MAX).take(u64::MAX, None).is_ok());
    }
}
