//! What a group's store answers: states, roots and proofs by public block, receipts by
//! marker, digest, block and contract.

use super::{
    GroupStore, PlacedReceipt, PrivateError,
    group_store::Named,
    placed::{Details, Place, creation_key, decode, details_key, digest_key},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use medina_storage::{AccountProof, HistoricalState, StateReader, StorageError};
use medina_types::Height;
use std::ops::RangeInclusive;

impl GroupStore {
    /// The group's height that holds the state right after a public block.
    ///
    /// # Errors
    /// [`PrivateError::NotReached`] or [`PrivateError::NotKept`].
    pub fn height_at(&self, public: Height) -> Result<Height, PrivateError> {
        let at = self.position()?;
        if at.block <= public {
            let asked = public;
            return Err(PrivateError::NotReached { asked, at });
        }
        let first = self.store.kept().state_from;
        let from = self.public_of(first)?;
        if from > public {
            let asked = public;
            return Err(PrivateError::NotKept { asked, from });
        }
        self.last_at_or_before(public, first)
    }

    /// The last group block that names this public block or one before; `low` does.
    pub(super) fn last_at_or_before(
        &self,
        public: Height,
        low: Height,
    ) -> Result<Height, PrivateError> {
        let (mut low, mut high) = (low.0, self.store.head().height.0);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.public_of(Height(middle))? <= public {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(Height(low))
    }

    /// The public block that a block of the group names.
    ///
    /// # Errors
    /// When there is no such block.
    pub fn public_of(&self, height: Height) -> Result<Height, PrivateError> {
        Ok(Named::of(&self.header(height)?)?.block)
    }

    fn header(&self, height: Height) -> Result<Header, PrivateError> {
        let header = self.store.header_by_number(height)?;
        let head = self.store.head().height;
        header.ok_or_else(|| {
            let asked = height;
            StorageError::UnknownHeight { asked, head }.into()
        })
    }

    /// The group's own state right after a public block, to be put into an
    /// [`super::Overlay`] or asked for nonces.
    ///
    /// # Errors
    /// As [`Self::height_at`].
    pub fn state_at(&self, public: Height) -> Result<HistoricalState<'_>, PrivateError> {
        Ok(self.store.state_at(self.height_at(public)?)?)
    }

    /// The group's root right after a public block: what members sign.
    ///
    /// # Errors
    /// As [`Self::height_at`].
    pub fn root_at(&self, public: Height) -> Result<B256, PrivateError> {
        Ok(self.header(self.height_at(public)?)?.state_root)
    }

    /// The newest public block all of which was followed, `None` before the first.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn followed(&self) -> Result<Option<Height>, PrivateError> {
        Ok(self.position()?.block.previous())
    }

    /// Proves an account of the group and slots of it against [`Self::root_at`].
    ///
    /// # Errors
    /// As [`Self::height_at`].
    pub fn proof_at(
        &self,
        public: Height,
        address: Address,
        slots: &[U256],
    ) -> Result<AccountProof, PrivateError> {
        let height = self.height_at(public)?;
        Ok(self.store.proof_at(height, address, slots)?)
    }

    /// Code of a private contract right after a public block; empty where none is.
    ///
    /// # Errors
    /// As [`Self::height_at`].
    pub fn code_at(&self, public: Height, address: Address) -> Result<Bytes, PrivateError> {
        let state = self.state_at(public)?;
        let Some(account) = state.account(address)? else {
            return Ok(Bytes::new());
        };
        Ok(state.code(account.code_hash)?.unwrap_or_default())
    }

    /// Slots of a private contract right after a public block that are not zero, in
    /// order from one on, at most `max`.
    ///
    /// # Errors
    /// As [`Self::height_at`].
    pub fn slots_at(
        &self,
        public: Height,
        address: Address,
        from: U256,
        max: usize,
    ) -> Result<Vec<(U256, U256)>, PrivateError> {
        let height = self.height_at(public)?;
        Ok(self.store.slots_at(height, address, from, max)?)
    }

    /// What the private side of a public transaction came to.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn receipt_of_marker(&self, hash: B256) -> Result<Option<PlacedReceipt>, PrivateError> {
        let location = self.store.transaction_location(hash)?;
        let Some((height, index)) = location else {
            return Ok(None);
        };
        self.receipt_at(Place { height, index })
    }

    /// What an envelope came to: its run, or where it never ran, why not.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn receipt_of_digest(&self, digest: B256) -> Result<Option<PlacedReceipt>, PrivateError> {
        let placed = self.receipt_of_note(&digest_key(digest))?;
        Ok(placed.filter(|placed| placed.receipt.digest == digest))
    }

    /// The transaction that created a private contract; `None` for those that a
    /// contract created.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn creation_of(&self, address: Address) -> Result<Option<PlacedReceipt>, PrivateError> {
        let placed = self.receipt_of_note(&creation_key(address))?;
        Ok(placed.filter(|placed| placed.receipt.created == Some(address)))
    }

    fn receipt_of_note(&self, key: &[u8]) -> Result<Option<PlacedReceipt>, PrivateError> {
        match self.store.note(key)? {
            Some(value) => self.receipt_at(decode(key, &value)?),
            None => Ok(None),
        }
    }

    fn receipt_at(&self, place: Place) -> Result<Option<PlacedReceipt>, PrivateError> {
        // A note may outlive a roll-back.
        if place.height > self.store.head().height {
            return Ok(None);
        }
        let index = usize::try_from(place.index).unwrap_or(usize::MAX);
        let placed = self.receipts_of_height(place.height)?;
        Ok(placed.into_iter().nth(index))
    }

    /// Receipts of public blocks, in order; at most `max`, and the block from which to
    /// go on if there are more. Of pruned blocks there are none.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn receipts_between(
        &self,
        blocks: RangeInclusive<Height>,
        max: usize,
    ) -> Result<(Vec<PlacedReceipt>, Option<Height>), PrivateError> {
        let mut found: Vec<PlacedReceipt> = Vec::new();
        let kept = self.store.kept().blocks_from.max(Height(1));
        let mut height = match blocks.start().previous() {
            Some(before) => self.last_at_or_before(before, Height::GENESIS)?.next(),
            None => kept,
        }
        .max(kept);
        while height <= self.store.head().height {
            let block = self.public_of(height)?;
            if block > *blocks.end() {
                break;
            }
            // A public block is given whole or not at all.
            if found.len() >= max && found.last().is_none_or(|last| last.block != block) {
                return Ok((found, Some(block)));
            }
            found.extend(self.receipts_of_height(height)?);
            height = height.next();
        }
        Ok((found, None))
    }

    pub(super) fn receipts_of_height(
        &self,
        height: Height,
    ) -> Result<Vec<PlacedReceipt>, PrivateError> {
        let receipts = self.store.receipts(height)?.unwrap_or_default();
        let key = details_key(height);
        let details: Vec<Details> = match self.store.note(&key)? {
            Some(value) => decode(&key, &value)?,
            None => Vec::new(),
        };
        let header = self.header(height)?;
        let block = Named::of(&header)?.block;
        let mut first_log_index = self.logs_before(height, block)?;
        let pairs = details.into_iter().zip(receipts);
        Ok(pairs
            .map(|(details, receipt)| {
                let placed = PlacedReceipt {
                    first_log_index,
                    receipt: details.with_logs(receipt.logs),
                    block,
                    block_hash: header.mix_hash,
                };
                first_log_index += placed.receipt.logs.len() as u64;
                placed
            })
            .collect())
    }

    /// Logs of the same public block in the group's blocks before this one.
    fn logs_before(&self, height: Height, block: Height) -> Result<u64, PrivateError> {
        let mut count = 0;
        let mut before = height.previous();
        while let Some(earlier) = before.filter(|earlier| *earlier > Height::GENESIS) {
            if self.public_of(earlier)? != block {
                break;
            }
            let receipts = self.store.receipts(earlier)?.unwrap_or_default();
            count += receipts
                .iter()
                .map(|one| one.logs.len() as u64)
                .sum::<u64>();
            before = earlier.previous();
        }
        Ok(count)
    }
}
