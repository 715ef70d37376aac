//! Taking a group's state from other members, piece by piece, into a store of its own
//! beside the group's: it takes the group's place only with the promised root.

use super::{GroupStore, Position, PrivateError, group_store::NewBlock};
use alloy_primitives::B256;
use medina_storage::{Kept, SnapshotChunk, SnapshotCursor, StorageError, SyncMode};
use medina_types::Height;
use std::path::PathBuf;

/// Entries of the history that one step of the sweep looks at.
const SWEEP_ENTRIES: usize = 10_000;

/// An import under way. Dropped unfinished, its folder is removed by the next one.
#[derive(Debug)]
pub struct GroupImport {
    store: GroupStore,
    folder: PathBuf,
    /// Public block whose state it is, its hash and its time.
    at: (Height, B256, u64),
    root: B256,
    /// Where the next piece begins.
    next: Option<SnapshotCursor>,
    is_complete: bool,
}

impl GroupImport {
    pub(super) const fn new(
        store: GroupStore,
        folder: PathBuf,
        at: (Height, B256, u64),
        root: B256,
    ) -> Self {
        Self {
            store,
            folder,
            at,
            root,
            next: None,
            is_complete: false,
        }
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> B256 {
        self.store.group()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When the piece is none, or does not go on where the last one ended; the import
    /// is of no use then.
    pub fn put(&mut self, chunk: &SnapshotChunk) -> Result<(), PrivateError> {
        self.check_progress(chunk)?;
        self.is_complete = chunk.next.is_none();
        let store = self.store.store();
        let changes = chunk.changes_on(&store.state())?;
        if changes.is_empty() {
            return Ok(());
        }
        let root = store.state_root_after(&changes)?;
        self.store.commit(NewBlock {
            public: self.at,
            next: Position::after(self.at.0),
            items: &[],
            receipts: &[],
            changes: &changes,
            root,
            sync: SyncMode::Deferred,
        })
    }

    /// Every piece goes further than the one before, content or not: a long row of deleted
    /// entries comes as pieces with nothing in them.
    fn check_progress(&mut self, chunk: &SnapshotChunk) -> Result<(), PrivateError> {
        if self.is_complete {
            let reason = "a piece after the last one".to_owned();
            return Err(StorageError::MalformedSnapshot(reason).into());
        }
        chunk.check_place(self.next.as_ref())?;
        self.next = chunk.next;
        Ok(())
    }

    /// Compares the root and makes the store ready to follow on; answers the folder.
    pub(super) fn seal(self) -> Result<PathBuf, PrivateError> {
        let store = self.store.store();
        let (expected, found) = (self.root, self.store.root());
        if !self.is_complete || found != expected {
            return Err(PrivateError::WrongRoot {
                group: self.store.group(),
                expected,
                found,
            });
        }
        let head = store.head().height;
        store.keep_from(Kept {
            state_from: head,
            blocks_from: head,
        })?;
        while !store.sweep_history(SWEEP_ENTRIES)?.is_done {}
        store.flush()?;
        Ok(self.folder)
    }
}
