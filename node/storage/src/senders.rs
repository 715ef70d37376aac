//! Senders of transactions, which stand in their signatures.
//!
//! A node that catches up executes blocks with the senders that a peer claims; the
//! state root, which a quorum signed, tells whether they lead where the validators
//! were. Such a block is stored without senders: reads recover them, and a walk in
//! the background checks every signature and stores the senders.

use crate::database::{Batch, View, decode};
use crate::schema::{Table, meta};
use crate::{StorageError, Store, SyncMode, encoding, keys};
use alloy_consensus::{BlockBody, transaction::SignerRecoverable};
use alloy_primitives::{Address, B256};
use medina_types::{Height, Transaction};

/// What one step of the check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// Nothing is left to check.
    Done,
    /// This block's signatures are its senders'.
    Checked(Height),
    /// A block that a quorum decided has a transaction that nobody signed.
    Forged {
        /// Height of the block.
        height: Height,
        /// Place of the transaction in it.
        index: usize,
        /// Hash of the transaction.
        hash: B256,
    },
}

impl View<'_> {
    /// First block whose signatures were not checked.
    pub(crate) fn unchecked_from(&self) -> Result<Option<Height>, StorageError> {
        let (table, key) = (Table::Meta, meta::UNCHECKED);
        decode(table, key, self.get(table, key)?, encoding::read_height)
    }
}

impl Store {
    /// First block whose signatures were not checked, `None` when all were.
    #[must_use]
    pub fn unchecked_from(&self) -> Option<Height> {
        self.unchecked()
    }

    /// Checks the signatures of the next block that was stored with claimed senders,
    /// and stores its senders. What is lost of this in a crash is done again.
    ///
    /// One caller at a time.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] or [`StorageError::Database`].
    pub fn check_next_signatures(&self) -> Result<SignatureCheck, StorageError> {
        let Some(height) = self.unchecked() else {
            return Ok(SignatureCheck::Done);
        };
        if height > self.head().height {
            return self.all_are_checked();
        }
        let key = keys::height(height);
        let stored = self.database().get(Table::Bodies, &key)?;
        let mut batch = self.database().batch();
        if let Some((body, None)) = decode(Table::Bodies, &key, stored, encoding::read_body)? {
            match senders_of(&body) {
                Ok(senders) => batch.put(Table::Bodies, &key, &encoding::body(&body, &senders)),
                Err((index, hash)) => {
                    return Ok(SignatureCheck::Forged {
                        height,
                        index,
                        hash,
                    });
                }
            }
        }
        // A sweep must not delete the body before it is written again.
        let pruning = self.pruning().lock();
        let is_pruned = height.0 < pruning.kept().blocks_from.0;
        if is_pruned {
            batch = self.database().batch();
        }
        let next = height.next().max(pruning.kept().blocks_from);
        batch.put(Table::Meta, meta::UNCHECKED, &keys::height(next));
        batch.write(SyncMode::Deferred)?;
        drop(pruning);
        self.announce_unchecked(Some(next));
        Ok(SignatureCheck::Checked(height))
    }

    /// Notes in a block's own batch that its signatures are unchecked; answers the
    /// mark if it is new. Call with the writer's lock.
    pub(crate) fn note_unchecked(
        &self,
        batch: &mut Batch<'_>,
        height: Height,
    ) -> Result<Option<Height>, StorageError> {
        if self.unchecked().is_some() {
            return Ok(None);
        }
        batch.put(Table::Meta, meta::UNCHECKED, &keys::height(height));
        Ok(Some(height))
    }

    /// Takes the mark away, unless a block has come meanwhile.
    fn all_are_checked(&self) -> Result<SignatureCheck, StorageError> {
        let _writer = self.lock_writer();
        let from = self.unchecked();
        if from.is_some_and(|from| from > self.head().height) {
            let mut batch = self.database().batch();
            batch.delete(Table::Meta, meta::UNCHECKED);
            batch.write(SyncMode::Deferred)?;
            self.announce_unchecked(None);
        }
        Ok(SignatureCheck::Done)
    }
}

/// Sender of every transaction, or the first that nobody signed.
fn senders_of(body: &BlockBody<Transaction>) -> Result<Vec<Address>, (usize, B256)> {
    let transactions = body.transactions.iter().enumerate();
    transactions
        .map(|(index, transaction)| {
            let sender = transaction.recover_signer();
            sender.map_err(|_| (index, *transaction.tx_hash()))
        })
        .collect()
}

/// The same for a reader, to whom such a block is a damaged one.
pub(crate) fn recovered(
    body: &BlockBody<Transaction>,
    height: Height,
) -> Result<Vec<Address>, StorageError> {
    senders_of(body).map_err(|(_, hash)| {
        let reason = format!("nobody signed transaction {hash}");
        crate::database::corrupt(Table::Bodies, &keys::height(height), reason)
    })
}
