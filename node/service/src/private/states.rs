//! A group's states as they are read: the store of a group is not told of every public
//! block without a marker, and nobody signs a state that is being replaced.

use crate::private::shared::Shared;
use alloy_primitives::B256;
use medina_execution::private::{GroupStore, PrivateError};
use medina_storage::{SnapshotChunk, SnapshotCursor};
use medina_types::Height;
use std::sync::Arc;

/// The state of a group, `None` where there is none yet.
pub(crate) fn store(shared: &Shared, group: B256) -> Result<Option<Arc<GroupStore>>, PrivateError> {
    match shared.stores.get(group) {
        Ok(store) => Ok(Some(store)),
        Err(PrivateError::NoState(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The height at which the group's store has the state after a public block: it is not
/// told of blocks without a marker of the group one by one.
fn kept_at(shared: &Shared, store: &GroupStore, public: u64) -> Result<Height, PrivateError> {
    let followed = shared
        .group(store.group())
        .map_or(0, |group| group.height());
    let public = Height(public);
    let stored = store.followed()?.filter(|_| public.0 <= followed);
    Ok(stored.map_or(public, |stored| stored.min(public)))
}

/// A state that is read: where the group's store has it, and the public block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateAt {
    /// For the group's store.
    pub(crate) private: Height,
    /// For the public one.
    pub(crate) public: Height,
}

/// The state after a public block, the newest that was followed if none is named;
/// `None` before the first.
pub(crate) fn state_at(
    shared: &Shared,
    store: &GroupStore,
    at: Option<Height>,
) -> Result<Option<StateAt>, PrivateError> {
    let public = match at {
        Some(at) => at,
        None => {
            let followed = shared.group(store.group()).map(|group| group.height());
            match store.followed()?.max(followed.map(Height)) {
                Some(newest) => newest,
                None => return Ok(None),
            }
        }
    };
    let private = kept_at(shared, store, public.0)?;
    Ok(Some(StateAt { private, public }))
}

/// Our root after a public block, `None` if we have not come so far or know no more.
pub(crate) fn root_at(
    shared: &Shared,
    group: B256,
    height: u64,
) -> Result<Option<B256>, PrivateError> {
    let live = shared.group(group);
    let number = || live.as_ref().map(|live| live.state_number());
    let before = number();
    let Some(store) = store(shared, group)? else {
        return Ok(None);
    };
    let root = match store.root_at(kept_at(shared, &store, height)?) {
        Ok(root) => Some(root),
        Err(PrivateError::NotReached { .. } | PrivateError::NotKept { .. }) => None,
        Err(error) => return Err(error),
    };
    // Nobody signs the root of a state that was taken back meanwhile.
    let is_sound = before != Some(None) && before == number();
    Ok(root.filter(|_| is_sound))
}

/// A piece of the state after a public block, `None` if we do not have that state.
pub(crate) fn snapshot_chunk(
    shared: &Shared,
    group: B256,
    height: Height,
    cursor: Option<&SnapshotCursor>,
    bytes_max: usize,
) -> Result<Option<SnapshotChunk>, PrivateError> {
    let Some(store) = store(shared, group)? else {
        return Ok(None);
    };
    let at = match store.height_at(kept_at(shared, &store, height.0)?) {
        Ok(at) => at,
        Err(PrivateError::NotReached { .. } | PrivateError::NotKept { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let chunk = store.store().snapshot_chunk(at, cursor, bytes_max)?;
    Ok(Some(chunk))
}
