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
use std::collections::BTreeSet;

/// Entries of the history, or blocks, that one step of a sweep looks at.
const SWEEP_STEP: u64 = 10_000;
/// Note: files may still have what was erased or pruned.
const LEFTOVERS_KEY: &[u8] = b"l";
/// Notes that one step deletes.
const NOTES_STEP: usize = 1_000;

impl GroupStore {
    /// Forgets what the receipts of an envelope say (logs, output, words of failure), in
    /// all its places: `markers` are public transactions that carry it. The files that
    /// said it are rewritten by [`Self::remove_leftovers`]. Answers how many there were.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn erase_receipts(&self, digest: B256, markers: &[B256]) -> Result<usize, PrivateError> {
        // Of two that erase in one block the second must see what the first did.
        let _applying = self.applying.lock();
        let mut heights = BTreeSet::new();
        let key = digest_key(digest);
        if let Some(value) = self.store.note(&key)? {
            let place: Place = decode(&key, &value)?;
            heights.insert(place.height);
        }
        for marker in markers {
            let location = self.store.transaction_location(*marker)?;
            heights.extend(location.map(|(height, _)| height));
        }
        let mut erased = 0;
        for height in heights {
            erased += self.erase_receipts_at(height, digest)?;
        }
        Ok(erased)
    }

    fn erase_receipts_at(&self, height: Height, digest: B256) -> Result<usize, PrivateError> {
        // A note may outlive a roll-back; what was pruned says nothing.
        if height > self.store.head().height || height < self.store.kept().blocks_from {
            return Ok(0);
        }
        let placed = self.receipts_of_height(height)?;
        let mut receipts: Vec<_> = placed.into_iter().map(|placed| placed.receipt).collect();
        let mut erased = 0;
        let of_digest = receipts.iter_mut().filter(|one| one.digest == digest);
        for receipt in of_digest.filter(|receipt| !receipt.is_erased) {
            receipt.erase();
            erased += 1;
        }
        if erased > 0 {
            let former = self.store.receipts(height)?.unwrap_or_default();
            let types: Vec<_> = former.iter().map(|receipt| receipt.tx_type).collect();
            let stored = stored_receipts(&receipts, &types);
            let notes = [details_note(height, &receipts), self.leftovers()?];
            self.store.replace_receipts(height, &stored, &notes)?;
        }
        Ok(erased)
    }

    /// Whether files may still have what was erased or pruned.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn has_leftovers(&self) -> Result<bool, PrivateError> {
        Ok(self.store.note(LEFTOVERS_KEY)?.is_some())
    }

    /// Rewrites the files, once for all that was erased or pruned since the last time,
    /// over a restart too. Answers whether there was anything.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn remove_leftovers(&self) -> Result<bool, PrivateError> {
        let Some(mark) = self.store.note(LEFTOVERS_KEY)? else {
            return Ok(false);
        };
        self.store.compact()?;
        // Killed before, it is done again; what was erased meanwhile has made another mark.
        let _applying = self.applying.lock();
        if self.store.note(LEFTOVERS_KEY)?.as_ref() == Some(&mark) {
            let gone = [Note::delete(LEFTOVERS_KEY)];
            self.store.put_notes(&gone, SyncMode::Deferred)?;
        }
        Ok(true)
    }

    /// The mark of what is to be removed from the files; each is another one.
    fn leftovers(&self) -> Result<Note, PrivateError> {
        let mark = match self.store.note(LEFTOVERS_KEY)? {
            Some(value) => decode::<u64>(LEFTOVERS_KEY, &value)?,
            None => 0,
        };
        Ok(Note::put(LEFTOVERS_KEY, encode(&mark.wrapping_add(1))))
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

    /// Whether states before a public block wait to be deleted, of so many blocks of the
    /// group at least.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn is_pruning_due(&self, states: Height, blocks_min: u64) -> Result<bool, PrivateError> {
        let blocks = Height::GENESIS;
        self.keep_from(states, blocks)?;
        Ok(self.store.is_sweep_due(blocks_min))
    }

    /// One step of deleting what [`Self::is_pruning_due`] found; receipts stay. Answers
    /// whether it was the last. The files are rewritten by [`Self::remove_leftovers`].
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn prune(&self) -> Result<bool, PrivateError> {
        {
            // First: who is killed behind it rewrites the files all the same.
            let _applying = self.applying.lock();
            let mark = [self.leftovers()?];
            self.store.put_notes(&mark, SyncMode::Deferred)?;
        }
        let entries = usize::try_from(SWEEP_STEP).unwrap_or(usize::MAX);
        Ok(self.store.sweep_history(entries)?.is_done)
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

    /// Goes back to right after a public block, to settle again what follows.
    ///
    /// # Errors
    /// [`PrivateError::NotKept`], or as [`Self::position`].
    pub fn roll_back(&self, public: Height) -> Result<(), PrivateError> {
        let at = self.position()?;
        if at.block <= public {
            return Ok(());
        }
        let height = self.height_at(public)?;
        // First: with the note of before, a stop between would pass over what is gone.
        let note = Note::put(POSITION_KEY, encode(&Position::after(public)));
        self.store.put_notes(&[note], SyncMode::Synced)?;
        Ok(self.store.roll_back(height)?)
    }
}
