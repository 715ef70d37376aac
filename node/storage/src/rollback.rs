//! Goes back to an earlier head, as a development network does when a test asks.
//!
//! Blocks are final everywhere else, so nothing but `medina dev` calls this. The
//! history has what every later block overwrote; put back, the tables are what
//! they were, apart from codes, which are kept under their hashes and harm nobody.

use crate::database::{Batch, View, corrupt};
use crate::encoding::{self, StoredHead};
use crate::schema::{CONSENSUS_RECORD, Table, meta};
use crate::{StorageError, Store, SyncMode, keys};
use medina_types::Height;

/// Where the history of a table of the state lies.
const HISTORIES: [(Table, Table); 4] = [
    (Table::AccountHistory, Table::Accounts),
    (Table::SlotHistory, Table::Slots),
    (Table::AccountTrieHistory, Table::AccountTrie),
    (Table::StorageTrieHistory, Table::StorageTrie),
];

impl Store {
    /// Makes an earlier block the head again and forgets what followed, and the
    /// record of the consensus engine with it: who votes on must start afresh.
    ///
    /// # Errors
    /// [`StorageError::UnknownHeight`] above the head,
    /// [`StorageError::StatePruned`] below what is kept, or a failure of the database.
    pub fn roll_back(&self, height: Height) -> Result<(), StorageError> {
        let _writer = self.lock_writer();
        let head = self.head().height;
        if height > head {
            let asked = height;
            return Err(StorageError::UnknownHeight { asked, head });
        }
        let from = self.kept().state_from;
        if height < from {
            let asked = height;
            return Err(StorageError::StatePruned { asked, from });
        }
        let header = self.header_by_number(height)?;
        let Some(header) = header else {
            let asked = height;
            return Err(StorageError::UnknownHeight { asked, head });
        };
        let view = self.database().view();
        let mut batch = self.database().batch();
        for (history, current) in HISTORIES {
            put_back(&mut batch, &view, (history, current), height)?;
        }
        for later in height.0 + 1..=head.0 {
            self.forget_block(&mut batch, Height(later))?;
        }
        let stored = StoredHead::new(height, header.hash_slow());
        batch.put(Table::Meta, meta::HEAD, &encoding::borsh(&stored));
        batch.delete(Table::Consensus, CONSENSUS_RECORD);
        batch.write(SyncMode::Synced)?;
        self.reread_head()?;
        self.lower_unchecked(height)
    }

    fn forget_block(&self, batch: &mut Batch<'_>, height: Height) -> Result<(), StorageError> {
        let key = keys::height(height);
        if let Some(block) = self.block_by_number(height)? {
            batch.delete(Table::HeightsByHash, block.hash().as_slice());
            for transaction in block.sealed.transactions() {
                batch.delete(Table::TransactionIndex, transaction.tx_hash().as_slice());
            }
        }
        for table in [
            Table::Headers,
            Table::Bodies,
            Table::Receipts,
            Table::Certificates,
        ] {
            batch.delete(table, &key);
        }
        batch.delete(Table::Contexts, &keys::height(height.next()));
        Ok(())
    }
}

/// Puts back what the first block after `height` found, subject by subject, and
/// forgets all history since.
fn put_back(
    batch: &mut Batch<'_>,
    view: &View<'_>,
    (history, current): (Table, Table),
    height: Height,
) -> Result<(), StorageError> {
    let mut last: Option<Box<[u8]>> = None;
    // In the order of keys: subject by subject, the oldest block first.
    for key in view.keys_from(history, &[]) {
        let key = key?;
        let damaged = || corrupt(history, &key, "no history key");
        let written = keys::height_of_history(&key).ok_or_else(damaged)?;
        if written <= height {
            continue;
        }
        batch.delete(history, &key);
        let subject = key.split_last_chunk::<8>().ok_or_else(damaged)?.0;
        if last.as_deref() == Some(subject) {
            continue;
        }
        last = Some(subject.into());
        let before = view.get(history, &key)?;
        let before = before.ok_or_else(|| corrupt(history, &key, "its value is missing"))?;
        match row_of(history, &before).map_err(|reason| corrupt(history, &key, reason))? {
            Some(row) => batch.put(current, subject, &row),
            None => batch.delete(current, subject),
        }
    }
    Ok(())
}

/// A row of the state as its history keeps it; `None` if there was none.
fn row_of(history: Table, before: &[u8]) -> Result<Option<Vec<u8>>, encoding::Reason> {
    Ok(match history {
        Table::AccountHistory => {
            encoding::read_account_before(before)?.map(|account| encoding::account(&account))
        }
        Table::SlotHistory => {
            let value = encoding::read_word(before)?;
            (!value.is_zero()).then(|| before.to_vec())
        }
        _ => (!before.is_empty()).then(|| before.to_vec()),
    })
}
