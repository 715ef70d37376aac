//! Forgetting what the operator does not want to keep: old states, old blocks.
//!
//! A mark says from which block on there is a state, and from which one on bodies
//! and receipts; headers, certificates and validator sets stay for good. The mark
//! is raised first, and what lies below it is an error from then on. Then sweeps
//! delete in bounded steps, each one batch that also says how far it came, so that
//! a process killed on the way goes on where it stopped.
//!
//! An entry of the history under height h is what block h overwrote; it serves the
//! states before h only. So with states kept from s on, entries up to s are of no use.

use crate::database::{Batch, View, decode};
use crate::schema::{Table, meta};
use crate::{StorageError, Store, SyncMode, encoding, keys};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::Height;

/// Tables that hold what blocks overwrote, in the order in which they are swept.
const HISTORIES: [Table; 4] = [
    Table::AccountHistory,
    Table::SlotHistory,
    Table::AccountTrieHistory,
    Table::StorageTrieHistory,
];

/// What can still be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// First block whose state can be read, proven and called on.
    pub state_from: Height,
    /// First block whose body and receipts are there; genesis always has its own.
    pub blocks_from: Height,
}

/// What a step of a sweep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Entries deleted.
    pub deleted: usize,
    /// Whether nothing is left to delete below the mark.
    pub is_done: bool,
}

impl Swept {
    /// There was nothing to do.
    pub const NOTHING: Self = Self {
        deleted: 0,
        is_done: true,
    };
}

/// The mark, and how far the sweeps are.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Pruning {
    pub(crate) state_from: u64,
    pub(crate) blocks_from: u64,
    /// Entries of the history up to this height are gone.
    state_swept_to: u64,
    /// Blocks below this one are gone.
    blocks_swept_to: u64,
    /// A sweep of the history on its way.
    sweep: Option<Sweep>,
}

/// A walk over all histories.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Sweep {
    /// Entries up to this height go.
    up_to: u64,
    /// Index among [`HISTORIES`].
    table: u8,
    /// Key from which on nothing was looked at.
    next: Vec<u8>,
}

impl Sweep {
    const fn start(up_to: u64) -> Self {
        Self {
            up_to,
            table: 0,
            next: Vec::new(),
        }
    }

    fn table(&self) -> Option<Table> {
        HISTORIES.get(usize::from(self.table)).copied()
    }

    fn next_table(&mut self) {
        self.table = self.table.saturating_add(1);
        self.next.clear();
    }
}

impl Pruning {
    pub(crate) const fn kept(&self) -> Kept {
        Kept {
            state_from: Height(self.state_from),
            blocks_from: Height(self.blocks_from),
        }
    }
}

impl View<'_> {
    /// The mark at this moment; without one everything is kept.
    pub(crate) fn pruning(&self) -> Result<Pruning, StorageError> {
        let (table, key) = (Table::Meta, meta::PRUNING);
        let stored = decode(table, key, self.get(table, key)?, encoding::read_borsh)?;
        Ok(stored.unwrap_or_default())
    }
}

impl Store {
    /// Raises the mark: what lies below can no longer be read. A mark is never
    /// lowered, and the head always stays whole. Nothing is deleted yet.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn keep_from(&self, wanted: Kept) -> Result<Kept, StorageError> {
        let head = self.head().height.0;
        let mut pruning = self.pruning().lock();
        let raised = Pruning {
            state_from: wanted.state_from.0.min(head).max(pruning.state_from),
            blocks_from: wanted.blocks_from.0.min(head).max(pruning.blocks_from),
            ..pruning.clone()
        };
        if raised != *pruning {
            self.write_pruning(self.database().batch(), &raised)?;
            self.announce_kept(raised.kept());
            *pruning = raised;
        }
        Ok(pruning.kept())
    }

    /// Whether a sweep of the history is under way, or overwritten values of so many
    /// blocks wait for one: it reads the whole history and pays for many at once.
    #[must_use]
    pub fn is_sweep_due(&self, blocks_min: u64) -> bool {
        let pruning = self.pruning().lock();
        let waiting = pruning.state_from.saturating_sub(pruning.state_swept_to);
        pruning.sweep.is_some() || waiting >= blocks_min.max(1)
    }

    /// Looks at so many entries of the history and deletes those below the mark.
    /// To be called again until it is done.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn sweep_history(&self, entries_max: usize) -> Result<Swept, StorageError> {
        let mut pruning = self.pruning().lock();
        let mut next = pruning.clone();
        let mut sweep = match next.sweep.take() {
            Some(sweep) => sweep,
            None if next.state_swept_to < next.state_from => Sweep::start(next.state_from),
            None => return Ok(Swept::NOTHING),
        };
        let mut batch = self.database().batch();
        let deleted = sweep_some(&self.database().view(), &mut batch, &mut sweep, entries_max)?;
        let is_done = sweep.table().is_none();
        if is_done {
            next.state_swept_to = sweep.up_to;
        } else {
            next.sweep = Some(sweep);
        }
        self.write_pruning(batch, &next)?;
        *pruning = next;
        Ok(Swept { deleted, is_done })
    }

    /// Deletes bodies, receipts and the index entries of so many blocks below the
    /// mark. To be called again until it is done.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] or [`StorageError::Database`].
    pub fn sweep_blocks(&self, blocks_max: u64) -> Result<Swept, StorageError> {
        let mut pruning = self.pruning().lock();
        // Genesis keeps its empty body.
        let first = pruning.blocks_swept_to.max(Height::GENESIS.next().0);
        let end = pruning.blocks_from.min(first.saturating_add(blocks_max));
        if first >= end {
            return Ok(Swept::NOTHING);
        }
        let mut batch = self.database().batch();
        for height in (first..end).map(Height) {
            self.delete_block(&mut batch, height)?;
        }
        let next = Pruning {
            blocks_swept_to: end,
            ..pruning.clone()
        };
        self.write_pruning(batch, &next)?;
        *pruning = next;
        Ok(Swept {
            deleted: usize::try_from(end - first).unwrap_or(usize::MAX),
            is_done: end == pruning.blocks_from,
        })
    }

    fn delete_block(&self, batch: &mut Batch<'_>, height: Height) -> Result<(), StorageError> {
        let key = keys::height(height);
        let stored = self.database().get(Table::Bodies, &key)?;
        if let Some((body, _)) = decode(Table::Bodies, &key, stored, encoding::read_body)? {
            for transaction in &body.transactions {
                batch.delete(Table::TransactionIndex, transaction.tx_hash().as_slice());
            }
        }
        batch.delete(Table::Bodies, &key);
        batch.delete(Table::Receipts, &key);
        Ok(())
    }

    /// What is lost of this in a crash is done again.
    fn write_pruning(&self, mut batch: Batch<'_>, pruning: &Pruning) -> Result<(), StorageError> {
        batch.put(Table::Meta, meta::PRUNING, &encoding::borsh(pruning));
        batch.write(SyncMode::Deferred)
    }
}

/// Looks at the next entries, moves the sweep behind them and answers how many go.
fn sweep_some(
    view: &View<'_>,
    batch: &mut Batch<'_>,
    sweep: &mut Sweep,
    entries_max: usize,
) -> Result<usize, StorageError> {
    let (mut looked_at, mut deleted) = (0, 0);
    while let Some(table) = sweep.table() {
        for key in view.keys_from(table, &sweep.next) {
            let key = key?;
            if looked_at == entries_max {
                sweep.next = key.into_vec();
                return Ok(deleted);
            }
            looked_at += 1;
            let height = keys::height_of_history(&key);
            if height.is_some_and(|height| height.0 <= sweep.up_to) {
                batch.delete(table, &key);
                deleted += 1;
            }
        }
        sweep.next_table();
    }
    Ok(deleted)
}
