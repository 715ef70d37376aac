//! What is done to a group's store beside following: erasing, pruning, handing the
//! state over, going back.

use super::{
    GroupStore, Position, PrivateError,
    placed::{
        POSITION_KEY, Place, decode, details_key, details_note, digest_key, encode, stored_receipts,
    },
};
use alloy_primitives::B256;
use medina_storage::{Kept, Note, SnapshotChunk, SnapshotCursor, SyncMode};
use medina_types::{Height, limits};

/// Entries of the history, or blocks, that one step of a sweep looks at.
const SWEEP_STEP: u64 = 10_000;
/// Notes that one step deletes.
const NOTES_STEP: usize = 1_000;

impl GroupStore {
    /// Forgets what the receipts of envelopes say (logs, output, words of failure) and
    /// rewrites the files that said it. Answers how many there were.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn erase_receipts(&self, digests: &[B256]) -> Result<usize, PrivateError> {
        let mut erased = 0;
        for digest in digests {
            erased += usize::from(self.erase_receipt(*digest)?);
        }
        if erased > 0 {
            self.store.compact()?;
        }
        Ok(erased)
    }

    fn erase_receipt(&self, digest: B256) -> Result<bool, PrivateError> {
        let key = digest_key(digest);
        let Some(value) = self.store.note(&key)? else {
            return Ok(false);
        };
        let place: Place = decode(&key, &value)?;
        let placed = self.receipts_of_height(place.height)?;
        let mut receipts: Vec<_> = placed.into_iter().map(|placed| placed.receipt).collect();
        let mut is_found = false;
        for receipt in receipts.iter_mut().filter(|one| one.digest == digest) {
            receipt.erase();
            is_found = true;
        }
        if is_found {
            let types: Vec<_> = self
                .store
                .receipts(place.height)?
                .unwrap_or_default()
                .iter()
                .map(|receipt| receipt.tx_type)
                .collect();
            let stored = stored_receipts(&receipts, &types);
            let notes = [details_note(place.height, &receipts)];
            self.store.replace_receipts(place.height, &stored, &notes)?;
        }
        Ok(is_found)
    }

    /// A piece of the group's state right after a public block, for a member that has
    /// none, of at most [`limits::PRIVATE_SNAPSHOT_CHUNK_BYTES_MAX`] and one code or
    /// slot more.
    ///
    /// # Errors
    /// As [`Self::height_at`].
    pub fn snapshot_chunk(
        &self,
        public: Height,
        from: Option<&SnapshotCursor>,
    ) -> Result<SnapshotChunk, PrivateError> {
        let (height, bytes) = (
            self.height_at(public)?,
            limits::PRIVATE_SNAPSHOT_CHUNK_BYTES_MAX,
        );
        Ok(self.store.snapshot_chunk(height, from, bytes)?)
    }

    /// Gives up states and receipts before public blocks; what is kept may begin
    /// earlier. Sweeps of [`Self::store`] then delete them.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn keep_from(&self, states: Height, blocks: Height) -> Result<Kept, PrivateError> {
        let last = |public| self.last_at_or_before(public, Height::GENESIS);
        Ok(self.store.keep_from(Kept {
            state_from: last(states)?,
            blocks_from: last(blocks)?,
        })?)
    }

    /// As [`Self::keep_from`] for states and receipts alike, and deletes at once, down
    /// to the files: what former states held is no more on the disk.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn forget_before(&self, public: Height) -> Result<Kept, PrivateError> {
        let kept = self.keep_from(public, public)?;
        let entries = usize::try_from(SWEEP_STEP).unwrap_or(usize::MAX);
        while !self.store.sweep_history(entries)?.is_done {}
        self.forget_details(kept.blocks_from)?;
        while !self.store.sweep_blocks(SWEEP_STEP)?.is_done {}
        self.store.compact()?;
        Ok(kept)
    }

    /// Notes of receipts whose blocks are given up.
    fn forget_details(&self, from: Height) -> Result<(), PrivateError> {
        let end = details_key(from);
        loop {
            let keys = self.store.note_keys(b"d", b"d", NOTES_STEP)?;
            let gone = keys.into_iter().take_while(|key| *key < end);
            let notes: Vec<_> = gone.map(Note::delete).collect();
            if notes.is_empty() {
                return Ok(());
            }
            self.store.put_notes(&notes, SyncMode::Deferred)?;
        }
    }

    /// Goes back to right after a public block, as a development network does when a
    /// test asks; the public chain must have gone back before.
    ///
    /// # Errors
    /// [`PrivateError::NotKept`], or as [`Self::position`].
    pub fn roll_back(&self, public: Height) -> Result<(), PrivateError> {
        let at = self.position()?;
        if at.block <= public {
            return Ok(());
        }
        self.store.roll_back(self.height_at(public)?)?;
        let note = Note::put(POSITION_KEY, encode(&Position::after(public)));
        Ok(self.store.put_notes(&[note], SyncMode::Synced)?)
    }
}
