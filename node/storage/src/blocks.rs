//! Reading what blocks left behind. A block never changes once it is there, so
//! these reads need no snapshot.

use crate::database::{corrupt, decode};
use crate::encoding::StoredSenders;
use crate::schema::{Table, meta};
use crate::senders::recovered;
use crate::{StorageError, Store, encoding, keys};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, keccak256};
use medina_types::{
    Block, Certificate, Height, HeightContext, Receipt, RecoveredBlock, SealedBlock,
};

/// A block as peers get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBlock {
    /// RLP of the block.
    pub rlp: Vec<u8>,
    /// Senders of its transactions, none where they are only claimed yet.
    pub senders: Vec<Address>,
}

impl Store {
    /// Hash of the genesis block, `None` before genesis.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] or [`StorageError::Database`], as for every read below.
    pub fn genesis_hash(&self) -> Result<Option<B256>, StorageError> {
        self.read(Table::Meta, meta::GENESIS, encoding::read_hash)
    }

    /// Height of the block with this hash.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn number_of_hash(&self, hash: B256) -> Result<Option<Height>, StorageError> {
        self.read(Table::HeightsByHash, hash.as_slice(), encoding::read_height)
    }

    /// Header by height.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn header_by_number(&self, height: Height) -> Result<Option<Header>, StorageError> {
        self.read(Table::Headers, &keys::height(height), encoding::read_header)
    }

    /// Header by hash.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn header_by_hash(&self, hash: B256) -> Result<Option<Header>, StorageError> {
        let height = self.number_of_hash(hash)?;
        Ok(height
            .map(|height| self.header_by_number(height))
            .transpose()?
            .flatten())
    }

    /// Hash of the block at a height.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn hash_of_number(&self, height: Height) -> Result<Option<B256>, StorageError> {
        let header = self.database().get(Table::Headers, &keys::height(height))?;
        Ok(header.map(|header| keccak256(&*header)))
    }

    /// Block with the senders of its transactions, by height. Senders that are only
    /// claimed yet ([`Self::check_next_signatures`]) are recovered here; who needs none
    /// reads [`Self::sealed_block`].
    ///
    /// # Errors
    /// [`StorageError::BlockPruned`]; else see [`Self::genesis_hash`].
    pub fn block_by_number(&self, height: Height) -> Result<Option<RecoveredBlock>, StorageError> {
        self.check_block_is_kept(height)?;
        let Some(header) = self.header_by_number(height)? else {
            return Ok(None);
        };
        let body = self.read(Table::Bodies, &keys::height(height), encoding::read_body)?;
        let (body, senders) = body.ok_or_else(|| self.no_body(height))?;
        let senders = match senders {
            StoredSenders::Recovered(senders) => senders,
            StoredSenders::Claimed(_) => recovered(&body, height)?,
        };
        let sealed = SealedBlock::new(Block::new(header, body));
        Ok(Some(RecoveredBlock::new_unchecked(sealed, senders)))
    }

    /// Block by height, whoever signed its transactions.
    ///
    /// # Errors
    /// [`StorageError::BlockPruned`]; else see [`Self::genesis_hash`].
    pub fn sealed_block(&self, height: Height) -> Result<Option<SealedBlock>, StorageError> {
        self.check_block_is_kept(height)?;
        let Some(header) = self.header_by_number(height)? else {
            return Ok(None);
        };
        let body = self.read(Table::Bodies, &keys::height(height), encoding::read_body)?;
        let (body, _) = body.ok_or_else(|| self.no_body(height))?;
        Ok(Some(SealedBlock::new(Block::new(header, body))))
    }

    /// RLP of a block as peers get it, put together without decoding what is stored,
    /// and the senders of its transactions.
    ///
    /// # Errors
    /// [`StorageError::BlockPruned`]; else see [`Self::genesis_hash`].
    pub fn block_rlp(&self, height: Height) -> Result<Option<EncodedBlock>, StorageError> {
        self.check_block_is_kept(height)?;
        let key = keys::height(height);
        let database = self.database();
        let Some(header) = database.get(Table::Headers, &key)? else {
            return Ok(None);
        };
        let body = database.get(Table::Bodies, &key)?;
        let body = body.ok_or_else(|| self.no_body(height))?;
        let block = encoding::block_rlp(&header, &body);
        Ok(Some(
            block.map_err(|reason| corrupt(Table::Bodies, &key, reason))?,
        ))
    }

    /// Block with the senders of its transactions, by hash.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn block_by_hash(&self, hash: B256) -> Result<Option<RecoveredBlock>, StorageError> {
        let height = self.number_of_hash(hash)?;
        Ok(height
            .map(|height| self.block_by_number(height))
            .transpose()?
            .flatten())
    }

    /// Receipts of a block, one per transaction.
    ///
    /// # Errors
    /// [`StorageError::BlockPruned`]; else see [`Self::genesis_hash`].
    pub fn receipts(&self, height: Height) -> Result<Option<Vec<Receipt>>, StorageError> {
        self.check_block_is_kept(height)?;
        let (table, key) = (Table::Receipts, keys::height(height));
        let receipts = self.read(table, &key, encoding::read_receipts)?;
        match receipts {
            Some(receipts) => Ok(Some(receipts)),
            // It may have been pruned since.
            None => self.check_block_is_kept(height).map(|()| None),
        }
    }

    fn check_block_is_kept(&self, height: Height) -> Result<(), StorageError> {
        let from = self.kept().blocks_from;
        if height > Height::GENESIS && height < from {
            let asked = height;
            return Err(StorageError::BlockPruned { asked, from });
        }
        Ok(())
    }

    /// Why a known header has no body.
    fn no_body(&self, height: Height) -> StorageError {
        if let Err(pruned) = self.check_block_is_kept(height) {
            return pruned;
        }
        let reason = "the body of a known header is missing";
        corrupt(Table::Bodies, &keys::height(height), reason)
    }

    /// Block and index of a transaction.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn transaction_location(&self, hash: B256) -> Result<Option<(Height, u64)>, StorageError> {
        let location = self.read(
            Table::TransactionIndex,
            hash.as_slice(),
            encoding::read_borsh::<encoding::StoredLocation>,
        )?;
        Ok(location.map(|location| (location.height, location.index)))
    }

    /// Proof that a block was decided; genesis has none.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn certificate(&self, height: Height) -> Result<Option<Certificate>, StorageError> {
        self.read(
            Table::Certificates,
            &keys::height(height),
            encoding::read_borsh,
        )
    }

    /// Validators and proposers *of* a height, from 1 to the head's next.
    ///
    /// # Errors
    /// See [`Self::genesis_hash`].
    pub fn context_at(&self, height: Height) -> Result<Option<HeightContext>, StorageError> {
        self.read(Table::Contexts, &keys::height(height), encoding::read_borsh)
    }

    fn read<T>(
        &self,
        table: Table,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, encoding::Reason>,
    ) -> Result<Option<T>, StorageError> {
        decode(table, key, self.database().get(table, key)?, read)
    }
}
