//! One block as one write batch: everything a block leaves behind, or nothing.

use crate::database::{Batch, View, corrupt};
use crate::encoding::StoredSenders;
use crate::schema::{CONSENSUS_RECORD, Table, meta};
use crate::state::{StateRootUpdate, tables_of};
use crate::trie::NodeChange;
use crate::{StorageError, encoding, keys};
use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{Address, B256, U256};
use medina_types::{
    AccountChange, Certificate, Height, HeightContext, Receipt, RecoveredBlock, StateChanges,
    StorageChange, Transaction,
};
use std::collections::BTreeMap;

/// When a write has to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Before the call returns: live blocks, votes.
    Synced,
    /// At the next synced write or [`crate::Store::flush`]: catching up.
    /// Batches stay whole and in order whatever happens.
    Deferred,
}

/// Where the senders of a block's transactions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    /// From the signatures.
    Recovered,
    /// From whoever sent the block. Readers are told what the signatures say, and the
    /// block is among those that [`crate::Store::check_next_signatures`] goes through.
    Claimed,
}

/// A decided block with everything that was computed for it.
#[derive(Clone, Debug)]
pub struct BlockCommit<'a> {
    /// The block; its parent is the head.
    pub block: &'a RecoveredBlock,
    /// One receipt per transaction.
    pub receipts: &'a [Receipt],
    /// What the block changed.
    pub changes: &'a StateChanges,
    /// From [`crate::Store::state_root_after`] with the same changes.
    pub root: StateRootUpdate,
    /// Proof that the block was decided.
    pub certificate: &'a Certificate,
    /// Context of the next height.
    pub context: &'a HeightContext,
    /// New record of the consensus engine, if it changes with this block.
    pub consensus_record: Option<Vec<u8>>,
    /// When it has to be on the disk.
    pub sync: SyncMode,
}

/// The first block: a state and who decides the next one.
#[derive(Clone, Debug)]
pub struct GenesisState {
    /// The genesis header; its state root is checked.
    pub header: Header,
    /// The whole state as changes from nothing (every `before` is `None` or zero).
    pub state: StateChanges,
    /// Context of height 1.
    pub context: HeightContext,
}

/// Puts a decided block into a batch.
pub(crate) fn write_block(
    batch: &mut Batch<'_>,
    view: &View<'_>,
    commit: &BlockCommit<'_>,
    senders: Senders,
) -> Result<(), StorageError> {
    let (block, height) = (commit.block, commit.block.height());
    write_header(batch, block.header(), block.hash());
    let listed = block.senders.to_vec();
    let senders = match senders {
        Senders::Recovered => StoredSenders::Recovered(listed),
        Senders::Claimed => StoredSenders::Claimed(listed),
    };
    write_body(batch, height, &block.sealed.block().body, &senders);
    write_receipts(batch, height, commit.receipts);
    batch.put(
        Table::Certificates,
        &keys::height(height),
        &encoding::borsh(commit.certificate),
    );
    write_context(batch, height, commit.context);
    write_state(batch, view, height, commit.changes)?;
    write_tries(batch, height, &commit.root);
    if let Some(record) = &commit.consensus_record {
        batch.put(Table::Consensus, CONSENSUS_RECORD, record);
    }
    Ok(())
}

/// Puts the genesis block into a batch.
pub(crate) fn write_genesis(
    batch: &mut Batch<'_>,
    view: &View<'_>,
    genesis: &GenesisState,
    (hash, root): (B256, &StateRootUpdate),
) -> Result<(), StorageError> {
    let height = Height::GENESIS;
    batch.put(Table::Meta, meta::GENESIS, hash.as_slice());
    write_header(batch, &genesis.header, hash);
    let withdrawals = genesis.header.withdrawals_root.map(|_| Default::default());
    write_body(
        batch,
        height,
        &BlockBody {
            withdrawals,
            ..BlockBody::default()
        },
        &StoredSenders::Recovered(Vec::new()),
    );
    write_receipts(batch, height, &[]);
    write_context(batch, height, &genesis.context);
    write_state(batch, view, height, &genesis.state)?;
    write_tries(batch, height, root);
    Ok(())
}

fn write_header(batch: &mut Batch<'_>, header: &Header, hash: B256) {
    let height = Height(header.number);
    batch.put(
        Table::Headers,
        &keys::height(height),
        &alloy_rlp::encode(header),
    );
    batch.put(Table::HeightsByHash, hash.as_slice(), &keys::height(height));
    let head = encoding::StoredHead::new(height, hash);
    batch.put(Table::Meta, meta::HEAD, &encoding::borsh(&head));
}

fn write_body(
    batch: &mut Batch<'_>,
    height: Height,
    body: &BlockBody<Transaction>,
    senders: &StoredSenders,
) {
    batch.put(
        Table::Bodies,
        &keys::height(height),
        &encoding::body(body, senders),
    );
    for (index, transaction) in (0_u64..).zip(&body.transactions) {
        let location = encoding::borsh(&encoding::StoredLocation { height, index });
        batch.put(
            Table::TransactionIndex,
            transaction.tx_hash().as_slice(),
            &location,
        );
    }
}

fn write_receipts(batch: &mut Batch<'_>, height: Height, receipts: &[Receipt]) {
    batch.put(
        Table::Receipts,
        &keys::height(height),
        &encoding::receipts(receipts),
    );
}

fn write_context(batch: &mut Batch<'_>, height: Height, next: &HeightContext) {
    batch.put(
        Table::Contexts,
        &keys::height(height.next()),
        &encoding::borsh(next),
    );
}

fn write_state(
    batch: &mut Batch<'_>,
    view: &View<'_>,
    height: Height,
    changes: &StateChanges,
) -> Result<(), StorageError> {
    for (hash, code) in &changes.codes {
        batch.put(Table::Codes, hash.as_slice(), code);
    }
    for (address, change) in &changes.accounts {
        write_account(batch, height, address, change);
        if change.storage_wiped || change.after.is_none() {
            for (slot, values) in wiped_slots(view, address, change)? {
                write_slot(batch, height, &keys::slot(address, &slot), values);
            }
        } else {
            for (slot, values) in &change.storage {
                write_slot(batch, height, &keys::slot(address, slot), *values);
            }
        }
    }
    Ok(())
}

fn write_account(batch: &mut Batch<'_>, height: Height, address: &Address, change: &AccountChange) {
    if change.before == change.after {
        return;
    }
    let key = address.as_slice();
    let after = change.after.as_ref().map(encoding::account);
    batch.set_row(Table::Accounts, key, after.map(Into::into));
    let before = encoding::account_before(change.before.as_ref());
    write_history(batch, Table::AccountHistory, key, height, &before);
}

fn write_slot(batch: &mut Batch<'_>, height: Height, key: &[u8], values: StorageChange) {
    if values.before == values.after {
        return;
    }
    let after = (!values.after.is_zero()).then(|| encoding::word(values.after));
    batch.set_row(Table::Slots, key, after.map(Into::into));
    write_history(
        batch,
        Table::SlotHistory,
        key,
        height,
        &encoding::word(values.before),
    );
}

/// Every slot that a wipe concerns: those that were there and those set anew.
fn wiped_slots(
    view: &View<'_>,
    address: &Address,
    change: &AccountChange,
) -> Result<BTreeMap<U256, StorageChange>, StorageError> {
    let mut slots = BTreeMap::new();
    if change.after.is_some() {
        for (slot, values) in &change.storage {
            slots.insert(
                *slot,
                StorageChange {
                    before: U256::ZERO,
                    after: values.after,
                },
            );
        }
    }
    let table = Table::Slots;
    for entry in view.scan(table, address.as_slice()) {
        let (key, value) = entry?;
        let slot = keys::slot_of(&key).ok_or_else(|| corrupt(table, &key, "no slot key"))?;
        let before = encoding::read_word(&value).map_err(|reason| corrupt(table, &key, reason))?;
        let nothing = StorageChange {
            before,
            after: U256::ZERO,
        };
        slots.entry(slot).or_insert(nothing).before = before;
    }
    Ok(slots)
}

fn write_tries(batch: &mut Batch<'_>, height: Height, update: &StateRootUpdate) {
    for change in &update.account_nodes {
        write_node(batch, height, None, change);
    }
    for (owner, changes) in &update.storage_nodes {
        for change in changes {
            write_node(batch, height, Some(owner), change);
        }
    }
}

fn write_node(batch: &mut Batch<'_>, height: Height, owner: Option<&B256>, change: &NodeChange) {
    let (current, history) = tables_of(owner);
    let key = keys::path(owner, &change.path);
    batch.set_row(current, &key, change.after.clone());
    let before = change.before.as_deref().unwrap_or_default();
    write_history(batch, history, &key, height, before);
}

/// Nothing was before genesis, so it leaves no history.
fn write_history(
    batch: &mut Batch<'_>,
    table: Table,
    subject: &[u8],
    height: Height,
    before: &[u8],
) {
    if height != Height::GENESIS {
        batch.put(table, &keys::at(subject, height), before);
    }
}
