//! Notes: keys and values of whoever owns a private group's store, written with a
//! block in one batch, or alone. The store knows nothing of what they mean.

use crate::database::Batch;
use crate::schema::Table;
use crate::{StorageError, Store, SyncMode, encoding, keys};
use medina_types::{Height, Receipt};
use rocksdb::Direction;

/// A key and the value that it gets; `None` deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

impl Note {
    /// Sets a key.
    #[must_use]
    pub fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        let (key, value) = (key.into(), Some(value.into()));
        Self { key, value }
    }

    /// Deletes a key.
    #[must_use]
    pub fn delete(key: impl Into<Vec<u8>>) -> Self {
        let (key, value) = (key.into(), None);
        Self { key, value }
    }
}

impl Store {
    /// The value of a note.
    ///
    /// # Errors
    /// [`StorageError::NoNotes`] in a store that keeps none, or
    /// [`StorageError::Database`].
    pub fn note(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.check_keeps_notes()?;
        let value = self.database().get(Table::Notes, key)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Keys of notes that start with a prefix, in order, from a key on, at most `max`.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub fn note_keys(
        &self,
        prefix: &[u8],
        from: &[u8],
        max: usize,
    ) -> Result<Vec<Vec<u8>>, StorageError> {
        self.check_keeps_notes()?;
        let view = self.database().view();
        let from = from.max(prefix);
        let keys = view.keys_within(Table::Notes, prefix, from, Direction::Forward);
        keys.take(max).map(|key| Ok(key?.into_vec())).collect()
    }

    /// Writes notes, all or none.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub fn put_notes(&self, notes: &[Note], sync: SyncMode) -> Result<(), StorageError> {
        let mut batch = self.database().batch();
        self.write_notes(&mut batch, notes)?;
        batch.write(sync)
    }

    pub(crate) fn write_notes(
        &self,
        batch: &mut Batch<'_>,
        notes: &[Note],
    ) -> Result<(), StorageError> {
        if notes.is_empty() {
            return Ok(());
        }
        self.check_keeps_notes()?;
        for Note { key, value } in notes {
            match value {
                Some(value) => batch.put(Table::Notes, key, value),
                None => batch.delete(Table::Notes, key),
            }
        }
        Ok(())
    }

    /// Replaces the receipts of a block, and notes with them: who must forget what a
    /// transaction said does so here. The header keeps the root of what they were.
    ///
    /// # Errors
    /// [`StorageError::UnknownHeight`], [`StorageError::BlockPruned`],
    /// [`StorageError::ReceiptCount`], or as [`Self::note`].
    pub fn replace_receipts(
        &self,
        height: Height,
        receipts: &[Receipt],
        notes: &[Note],
    ) -> Result<(), StorageError> {
        let _writer = self.lock_writer();
        let Some(former) = self.receipts(height)? else {
            let (asked, head) = (height, self.head().height);
            return Err(StorageError::UnknownHeight { asked, head });
        };
        if former.len() != receipts.len() {
            let (transactions, receipts) = (former.len(), receipts.len());
            return Err(StorageError::ReceiptCount {
                height,
                transactions,
                receipts,
            });
        }
        let mut batch = self.database().batch();
        let value = encoding::receipts(receipts);
        batch.put(Table::Receipts, &keys::height(height), &value);
        self.write_notes(&mut batch, notes)?;
        batch.write(SyncMode::Synced)
    }

    /// Rewrites the store's files without what was overwritten, deleted or pruned:
    /// until then the bytes of it are still on the disk. Reads the whole store.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn compact(&self) -> Result<(), StorageError> {
        self.database().compact()
    }

    fn check_keeps_notes(&self) -> Result<(), StorageError> {
        if self.database().has(Table::Notes) {
            Ok(())
        } else {
            Err(StorageError::NoNotes)
        }
    }
}
