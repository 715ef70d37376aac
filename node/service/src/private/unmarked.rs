//! Envelopes that members delivered and whose marker has not come: each member may have
//! only so many here, and what never gets a marker is dropped, so that nobody fills this
//! node's disk with payloads that no block names. Should the marker come after all, the
//! payload is fetched from the members.

use crate::private::{
    members::blocking,
    rows::{Rows, UnmarkedRow},
    shared::Shared,
};
use alloy_primitives::B256;
use medina_enclave::{Digest, EnclaveError, PayloadStatus};
use medina_storage::StorageError;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tracing::{debug, info};

/// Envelopes without a marker that one member may have here, in one group.
const UNMARKED_PER_MEMBER_MAX: usize = 1_000;
/// Blocks after which an envelope without a marker is dropped: a day of seconds.
const UNMARKED_BLOCKS_MAX: u64 = 86_400;
/// How often they are looked through.
pub(crate) const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// How many there are, by group and member.
#[derive(Debug, Default)]
pub(crate) struct Unmarked(Mutex<BTreeMap<(B256, B256), usize>>);

impl Unmarked {
    /// As the rows say.
    ///
    /// # Errors
    /// When the private database cannot be read.
    pub(crate) fn load(rows: &Rows) -> Result<Self, StorageError> {
        let unmarked = Self::default();
        for (_, row) in rows.all_unmarked()? {
            unmarked.add(&row);
        }
        Ok(unmarked)
    }

    fn add(&self, row: &UnmarkedRow) {
        let whose = (B256::from(row.group), B256::from(row.by));
        *self.0.lock().entry(whose).or_default() += 1;
    }

    fn remove(&self, row: &UnmarkedRow) {
        let whose = (B256::from(row.group), B256::from(row.by));
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(&whose) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&whose);
            }
        }
    }

    /// Whether a member may have one more here.
    pub(crate) fn has_room(&self, group: B256, by: B256) -> bool {
        let counts = self.0.lock();
        counts.get(&(group, by)).copied().unwrap_or(0) < UNMARKED_PER_MEMBER_MAX
    }
}

/// An envelope of a member was taken in.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn on_accepted(
    shared: &Shared,
    group: B256,
    by: B256,
    digest: B256,
) -> Result<(), StorageError> {
    let is_known = shared.rows.unmarked(digest)?.is_some();
    if is_known || shared.rows.place_of_digest(digest)?.is_some() {
        return Ok(());
    }
    let row = UnmarkedRow {
        group: group.0,
        by: by.0,
        height: shared.chain.head().height.0,
    };
    shared.rows.put_unmarked(digest, &row)?;
    shared.unmarked.add(&row);
    Ok(())
}

/// A digest has a marker.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn on_marker(shared: &Shared, digest: B256) -> Result<(), StorageError> {
    if let Some(row) = shared.rows.unmarked(digest)? {
        shared.rows.delete_unmarked(digest)?;
        shared.unmarked.remove(&row);
    }
    Ok(())
}

/// What a sweep met.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Drops what has been here for too long.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let swept = blocking(&shared, |shared| sweep_now(shared)).await;
    if let Ok(Err(error)) = swept {
        debug!(%error, "envelopes without a marker are looked through later");
    }
}

fn sweep_now(shared: &Shared) -> Result<(), SweepError> {
    let scanned = *shared.scanned.borrow();
    for (digest, row) in shared.rows.all_unmarked()? {
        if scanned < row.height.saturating_add(UNMARKED_BLOCKS_MAX) {
            continue;
        }
        // One that came between two looks of the scanner has its marker behind us.
        let has_marker = shared.rows.place_of_digest(digest)?.is_some();
        let named = Digest(digest.0);
        if !has_marker && matches!(shared.enclave.status(&named)?, PayloadStatus::Held(_)) {
            info!(%digest, by = %B256::from(row.by), "an envelope without a marker is dropped");
            shared.enclave.discard(&shared.caller("sweep"), &named)?;
        }
        on_marker(shared, digest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_fills_its_own_share_and_no_others() {
        let unmarked = Unmarked::default();
        let row = |by: u8| UnmarkedRow {
            group: [1; 32],
            by: [by; 32],
            height: 7,
        };
        let has_room = |by: u8| unmarked.has_room(B256::repeat_byte(1), B256::repeat_byte(by));
        for _ in 0..UNMARKED_PER_MEMBER_MAX {
            assert!(has_room(2));
            unmarked.add(&row(2));
        }
        assert!(!has_room(2));
        assert!(has_room(3));
        assert!(unmarked.has_room(B256::repeat_byte(9), B256::repeat_byte(2)));
        unmarked.remove(&row(2));
        assert!(has_room(2), "its marker came");
    }
}
