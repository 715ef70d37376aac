//! Senders of transactions, which stand in their signatures.
//!
//! A node that catches up executes blocks with the senders that a peer claims; the
//! state root, which a quorum signed, tells whether they lead where the validators
//! were. Such a block is stored with its claims, which no reader sees: reads recover
//! the senders. A walk in the background recovers them once for all, and compares.

use crate::database::{Batch, View, corrupt, decode};
use crate::encoding::StoredSenders;
use crate::schema::{Table, meta};
use crate::{StorageError, Store, SyncMode, encoding, keys};
use alloy_consensus::{BlockBody, transaction::SignerRecoverable};
use alloy_primitives::{Address, B256};
use medina_types::{Height, Transaction};

/// What one step of the check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// Nothing is left to check.
    Done,
    /// This block was executed with the senders that signed.
    Checked(Height),
    /// This one was executed with others. [`Store::put_senders`] goes on behind it,
    /// once it is known to lead to the same state with those who signed.
    Differs {
        /// Height of the block.
        height: Height,
        /// Who signed its transactions.
        senders: Vec<Address>,
    },
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

    /// Checks the signatures of the next block that was stored with claimed senders.
    /// What is lost of this in a crash is done again.
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
        let body = decode(Table::Bodies, &key, stored, encoding::read_body)?;
        let Some((body, StoredSenders::Claimed(claimed))) = body else {
            self.check_goes_on(height, None)?;
            return Ok(SignatureCheck::Checked(height));
        };
        match senders_of(&body) {
            Ok(senders) if senders == claimed => {
                self.check_goes_on(height, Some((&body, senders)))?;
                Ok(SignatureCheck::Checked(height))
            }
            Ok(senders) => Ok(SignatureCheck::Differs { height, senders }),
            Err((index, hash)) => Ok(SignatureCheck::Forged {
                height,
                index,
                hash,
            }),
        }
    }

    /// Stores the senders of the block at which the check stands, and goes on.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] or [`StorageError::Database`].
    pub fn put_senders(&self, height: Height, senders: Vec<Address>) -> Result<(), StorageError> {
        let key = keys::height(height);
        let stored = self.database().get(Table::Bodies, &key)?;
        let body = decode(Table::Bodies, &key, stored, encoding::read_body)?;
        let body = body.as_ref().map(|(body, _)| (body, senders));
        self.check_goes_on(height, body)
    }

    /// The next block is the first unchecked one. What is pruned has nothing to check.
    fn check_goes_on(
        &self,
        height: Height,
        checked: Option<(&BlockBody<Transaction>, Vec<Address>)>,
    ) -> Result<(), StorageError> {
        let _writer = self.lock_writer();
        // A sweep must not delete the body before it is written again.
        let pruning = self.pruning().lock();
        let kept_from = pruning.kept().blocks_from;
        let key = keys::height(height);
        let mut batch = self.database().batch();
        if height >= kept_from {
            if let Some((body, senders)) = checked {
                let senders = StoredSenders::Recovered(senders);
                batch.put(Table::Bodies, &key, &encoding::body(body, &senders));
            } else if self.database().get(Table::Bodies, &key)?.is_none() {
                return Err(corrupt(Table::Bodies, &key, "a block without its body"));
            }
        }
        let next = height.next().max(kept_from);
        batch.put(Table::Meta, meta::UNCHECKED, &keys::height(next));
        batch.write(SyncMode::Deferred)?;
        self.announce_unchecked(Some(next));
        Ok(())
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

    /// After going back to `head` no block above it is checked or not. Call with the
    /// writer's lock.
    pub(crate) fn lower_unchecked(&self, head: Height) -> Result<(), StorageError> {
        if self.unchecked().is_some_and(|from| from > head.next()) {
            let mut batch = self.database().batch();
            batch.put(Table::Meta, meta::UNCHECKED, &keys::height(head.next()));
            batch.write(SyncMode::Deferred)?;
            self.announce_unchecked(Some(head.next()));
        }
        Ok(())
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
        corrupt(Table::Bodies, &keys::height(height), reason)
    })
}
