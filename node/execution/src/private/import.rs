//! Taking a group's state from other members, piece by piece, into a store of its own
//! beside the group's: it takes the group's place only with the promised root.

use super::{GroupStore, Position, PrivateError, group_store::NewBlock};
use alloy_primitives::{Address, B256, U256};
use medina_storage::{Kept, SnapshotChunk, StorageError, SyncMode};
use medina_types::Height;
use std::path::PathBuf;

/// Entries of the history that one step of the sweep looks at.
const SWEEP_ENTRIES: usize = 10_000;
/// Pieces without content of one import: each stands for a long row of deleted entries.
const EMPTY_PIECES_MAX: usize = 1_000;

/// An import under way. Dropped unfinished, its folder is removed by the next one.
#[derive(Debug)]
pub struct GroupImport {
    store: GroupStore,
    folder: PathBuf,
    /// Public block whose state it is, its hash and its time.
    at: (Height, B256, u64),
    root: B256,
    /// Last account and slot that came.
    last: Option<(Address, Option<U256>)>,
    /// Pieces that brought nothing.
    empty_pieces: usize,
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
            last: None,
            empty_pieces: 0,
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

    /// Every piece goes further than the one before: nobody can feed us for ever.
    fn check_progress(&mut self, chunk: &SnapshotChunk) -> Result<(), PrivateError> {
        let malformed = |reason: &str| StorageError::MalformedSnapshot(reason.to_owned());
        if self.is_complete {
            return Err(malformed("a piece after the last one").into());
        }
        let ends = chunk.accounts.last().map(|account| {
            let slot = account.slots().last().map(|(slot, _)| slot);
            (account.address(), slot)
        });
        if ends > self.last {
            self.last = ends;
            return Ok(());
        }
        // Nothing but accounts and slots that are gone by now lay there.
        self.empty_pieces += 1;
        let is_bare = chunk.accounts.iter().all(|one| one.slots().len() == 0);
        if !is_bare || self.empty_pieces > EMPTY_PIECES_MAX {
            return Err(malformed("a piece that goes no further").into());
        }
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
