//! A group's store: its chain of blocks, one per public block with items of the group,
//! and how far the group has been followed.
//!
//! A group's block keeps the public transactions that are its markers, never a
//! plaintext input. Its header names the public block and the position after it, so
//! that the position is committed with the state, in one batch: whoever is killed
//! finds either both or neither. Items that wait for their payload may be committed
//! later than those before them in the same public block: then two group blocks name
//! one public block, and the state in the end is the same.
//!
//! The header's receipts root is that of nothing: what is erased of a receipt leaves
//! no hash behind to guess it from.

use super::{
    Below, Position, PrivateError, PrivateExecutor, PrivateItem, PrivateReceipt,
    placed::{
        POSITION_KEY, Place, creation_key, decode, details_note, digest_key, encode,
        stored_receipts,
    },
};
use crate::CallEnvironment;
use alloy_consensus::{
    BlockBody, Header, constants::EMPTY_ROOT_HASH, proofs::calculate_transaction_root,
};
use alloy_primitives::{B256, Bytes};
use medina_storage::{
    BlockCommit, GenesisState, Note, StateReader, StateRootUpdate, StorageError, Store, SyncMode,
};
use medina_types::{
    Block, Certificate, Height, HeightContext, MARKER_ADDRESS, NodePublicKey, RecoveredBlock,
    Round, SealedBlock, StateChanges, Validator, ValidatorSet, limits,
};
use parking_lot::Mutex;

/// A public block, as the execution of its private items needs it.
#[derive(Clone, Copy)]
pub struct PublicBlock<'a> {
    /// Its header.
    pub header: &'a Header,
    /// Its hash.
    pub hash: B256,
    /// The public state that its items read: after the block before, or, where an
    /// item was tried on an older one, after that.
    pub state_before: &'a dyn StateReader,
    /// The block that its items run in, as they see it.
    pub environment: CallEnvironment,
}

impl PublicBlock<'_> {
    /// Its number.
    #[must_use]
    pub const fn height(&self) -> Height {
        Height(self.header.number)
    }
}

/// What came of applying items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Receipts of the items that were not applied before.
    pub receipts: Vec<PrivateReceipt>,
    /// The group's root now.
    pub root: B256,
    /// Where the group is now.
    pub position: Position,
}

/// The state of one group. [`super::GroupStores`] shares it.
#[derive(Debug)]
pub struct GroupStore {
    group: B256,
    pub(super) store: Store,
    /// Held by whoever applies items: the second of two waits for the first.
    pub(super) applying: Mutex<()>,
}

/// What a group's header says of the public chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Public block.
    pub(super) block: Height,
    /// Position after it.
    next: Position,
}

impl Named {
    fn to_extra_data(self) -> Bytes {
        let Position { block, index } = self.next;
        let words = [self.block.0, block.0, index].map(u64::to_be_bytes);
        words.concat().into()
    }

    /// Reads what the header of a group's block says.
    pub(super) fn of(header: &Header) -> Result<Self, PrivateError> {
        let bytes: &[u8] = &header.extra_data;
        let bytes: &[u8; 24] = bytes.try_into().map_err(|_| StorageError::Corrupt {
            table: "headers",
            key: alloy_primitives::hex::encode(header.number.to_be_bytes()),
            reason: "it names no public block".to_owned(),
        })?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(word)
        };
        Ok(Self {
            block: Height(word(0)),
            next: Position::new(Height(word(8)), word(16)),
        })
    }
}

/// A new block of a group.
pub(super) struct NewBlock<'a> {
    /// The public block, its hash and time.
    pub(super) public: (Height, B256, u64),
    /// Position after it.
    pub(super) next: Position,
    /// Markers.
    pub(super) items: &'a [PrivateItem],
    /// Receipts of the items.
    pub(super) receipts: &'a [PrivateReceipt],
    /// What changed.
    pub(super) changes: &'a StateChanges,
    /// The trie afterwards.
    pub(super) root: StateRootUpdate,
    /// When it has to be on the disk.
    pub(super) sync: SyncMode,
}

impl GroupStore {
    /// Makes the group's first block in an empty store, or checks that the store is
    /// this group's. `base` is where following begins; the state before is empty.
    pub(super) fn initialize(
        store: Store,
        (group, chain): (B256, B256),
        base: (Height, Position),
    ) -> Result<Self, PrivateError> {
        if store.try_head().is_none() {
            let (block, next) = base;
            let header = Header {
                parent_hash: group,
                mix_hash: chain,
                state_root: EMPTY_ROOT_HASH,
                extra_data: Named { block, next }.to_extra_data(),
                ..Header::default()
            };
            store.initialize_genesis(&GenesisState {
                header,
                state: StateChanges::default(),
                context: nobody(),
            })?;
        }
        let first = store
            .header_by_number(Height::GENESIS)?
            .ok_or(StorageError::NotInitialized)?;
        let (expected, found) = (group, first.parent_hash);
        if found != expected || first.mix_hash != chain {
            return Err(PrivateError::AnotherGroup { expected, found });
        }
        Ok(Self {
            group,
            store,
            applying: Mutex::new(()),
        })
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> B256 {
        self.group
    }

    /// The store itself: latest state, pruning sweeps, proofs by group height.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The newest root.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.store.head().header.state_root
    }

    /// Where the group is: everything before is done.
    ///
    /// # Errors
    /// When the store does not answer, as everywhere below.
    pub fn position(&self) -> Result<Position, PrivateError> {
        let committed = Named::of(&self.store.head().header)?.next;
        let noted = match self.store.note(POSITION_KEY)? {
            Some(value) => decode(POSITION_KEY, &value)?,
            None => committed,
        };
        Ok(committed.max(noted))
    }

    /// Moves the position over public transactions that are none of the group's;
    /// never back. What is lost of this in a crash is looked at again.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub fn advance(&self, to: Position, sync: SyncMode) -> Result<(), PrivateError> {
        if to > self.position()? {
            let note = Note::put(POSITION_KEY, encode(&to));
            self.store.put_notes(&[note], sync)?;
        }
        Ok(())
    }

    /// Executes items of a public block and commits what they did together with the
    /// position `next`. Items before the group's position are done and passed over:
    /// the same call twice is the same as once. More than
    /// [`limits::PRIVATE_ITEMS_PER_COMMIT_MAX`] are committed in pieces.
    ///
    /// # Errors
    /// [`PrivateError::OutOfOrder`], or as [`PrivateExecutor::execute`]; nothing of that
    /// piece is written then.
    pub fn apply(
        &self,
        executor: &PrivateExecutor,
        block: &PublicBlock<'_>,
        items: &[PrivateItem],
        next: Position,
        sync: SyncMode,
    ) -> Result<Applied, PrivateError> {
        let (expected, found) = (self.group, executor.rules().group);
        if expected != found {
            return Err(PrivateError::AnotherGroup { expected, found });
        }
        check_order(block.height(), items, next)?;
        let _applying = self.applying.lock();
        let at = self.position()?;
        let first = items.partition_point(|item| Position::new(block.height(), item.index) < at);
        let mut items = &items[first..];
        let mut receipts = Vec::new();
        while next > at && !items.is_empty() {
            let piece = items.len().min(limits::PRIVATE_ITEMS_PER_COMMIT_MAX);
            let (now, later) = items.split_at(piece);
            let after = later
                .first()
                .map_or(next, |item| Position::new(block.height(), item.index));
            receipts.extend(self.apply_piece(executor, block, now, after, sync)?);
            items = later;
        }
        self.advance(next, sync)?;
        self.applied(receipts)
    }

    fn apply_piece(
        &self,
        executor: &PrivateExecutor,
        block: &PublicBlock<'_>,
        items: &[PrivateItem],
        next: Position,
        sync: SyncMode,
    ) -> Result<Vec<PrivateReceipt>, PrivateError> {
        let below = Below {
            store: &self.store,
            public: block.state_before,
            environment: block.environment,
        };
        let executed = executor.execute(below, items)?;
        self.commit(NewBlock {
            public: (block.height(), block.hash, block.header.timestamp),
            next,
            items,
            receipts: &executed.receipts,
            changes: &executed.changes,
            root: executed.root,
            sync,
        })?;
        Ok(executed.receipts)
    }

    fn applied(&self, receipts: Vec<PrivateReceipt>) -> Result<Applied, PrivateError> {
        Ok(Applied {
            receipts,
            root: self.root(),
            position: self.position()?,
        })
    }

    /// Appends a block.
    pub(super) fn commit(&self, new: NewBlock<'_>) -> Result<(), PrivateError> {
        let head = self.store.head();
        let (block, hash, timestamp) = new.public;
        let transactions: Vec<_> = new
            .items
            .iter()
            .map(|item| item.marker.transaction().clone())
            .collect();
        let types: Vec<_> = transactions.iter().map(|one| one.tx_type()).collect();
        let receipts = stored_receipts(new.receipts, &types);
        let named = Named {
            block,
            next: new.next,
        };
        let header = Header {
            parent_hash: head.hash,
            number: head.height.next().0,
            timestamp,
            mix_hash: hash,
            state_root: new.root.root,
            transactions_root: calculate_transaction_root(&transactions),
            receipts_root: EMPTY_ROOT_HASH,
            gas_used: receipts.last().map_or(0, |last| last.cumulative_gas_used),
            extra_data: named.to_extra_data(),
            ..Header::default()
        };
        let notes = self.notes_of(Height(header.number), new.receipts)?;
        let body = BlockBody {
            transactions,
            ..BlockBody::default()
        };
        let sealed = SealedBlock::new(Block::new(header, body));
        let senders = new.items.iter().map(|item| item.marker.sender()).collect();
        let commit = BlockCommit {
            block: &RecoveredBlock::new_unchecked(sealed, senders),
            receipts: &receipts,
            changes: new.changes,
            root: new.root,
            certificate: &Certificate::new(Round::ZERO, []),
            context: &head.context,
            consensus_record: None,
            sync: new.sync,
        };
        Ok(self.store.commit_with_notes(commit, &notes)?)
    }

    fn notes_of(
        &self,
        height: Height,
        receipts: &[PrivateReceipt],
    ) -> Result<Vec<Note>, PrivateError> {
        let mut notes = vec![details_note(height, receipts)];
        for (index, receipt) in (0..).zip(receipts) {
            let place = encode(&Place { height, index });
            // A digest that comes again does not hide what its first run came to.
            let is_executed = receipt.status.is_executed();
            if is_executed || self.receipt_of_digest(receipt.digest)?.is_none() {
                notes.push(Note::put(digest_key(receipt.digest), place.clone()));
            }
            if let Some(created) = receipt.created {
                notes.push(Note::put(creation_key(created), place));
            }
        }
        Ok(notes)
    }
}

/// Items are ascending, within the block, and before the position that follows.
fn check_order(block: Height, items: &[PrivateItem], next: Position) -> Result<(), PrivateError> {
    let mut after = Position::start_of(block);
    for item in items {
        let at = Position::new(block, item.index);
        if at < after || at >= next {
            let index = item.index;
            return Err(PrivateError::OutOfOrder { index, after });
        }
        after = Position::new(block, item.index.saturating_add(1));
    }
    Ok(())
}

/// A group's blocks are decided by the public chain: the context that every store
/// wants names nobody's key.
fn nobody() -> HeightContext {
    let validator = Validator {
        key: NodePublicKey([0; 32]),
        operator: MARKER_ADDRESS,
    };
    let set = ValidatorSet::new(vec![validator]).expect("one validator is a set");
    HeightContext::genesis(set)
}
