//! Blocks that were executed with senders that somebody claimed.

use super::chain::{Chain, Prepared, certificate, changes, context, root_of, simple_model};
use crate::{BlockCommit, Kept, OpenOptions, SignatureCheck, StorageError, Store, SyncMode};
use alloy_consensus::{SignableTransaction, TxLegacy, transaction::SignerRecoverable};
use alloy_primitives::{Address, Signature, U256};
use medina_types::{Block, Height, RecoveredBlock, SealedBlock, Transaction};

/// The next block with senders that did not sign.
fn prepare(chain: &Chain, balance: u64) -> Prepared {
    let model = simple_model(3, balance);
    let changes = changes(chain.models.last().unwrap(), &model, &Default::default());
    chain.prepare(changes, root_of(&model))
}

/// The next block with those who did.
fn prepare_signed(chain: &Chain, balance: u64) -> Prepared {
    let mut prepared = prepare(chain, balance);
    let senders = signers(&prepared.block);
    prepared.block = RecoveredBlock::new_unchecked(prepared.block.sealed.clone(), senders);
    prepared
}

/// Commits the next block with its senders as claims.
fn claim(store: &Store, prepared: &Prepared) {
    let commit = BlockCommit {
        block: &prepared.block,
        receipts: &prepared.receipts,
        root: store.state_root_after(&prepared.changes).unwrap(),
        changes: &prepared.changes,
        certificate: &certificate(1),
        context: &context(),
        consensus_record: None,
        sync: SyncMode::Deferred,
    };
    store.commit_with_claimed_senders(commit).unwrap();
}

fn signers(block: &RecoveredBlock) -> Vec<Address> {
    let transactions = block.sealed.transactions().iter();
    transactions
        .map(|transaction| transaction.recover_signer().unwrap())
        .collect()
}

fn stored_senders(store: &Store, height: u64) -> Vec<Address> {
    store.block_rlp(Height(height)).unwrap().unwrap().senders
}

#[test]
fn claimed_senders_are_told_to_nobody_and_checked_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    chain.extend(simple_model(3, 2), &Default::default(), SyncMode::Synced);
    assert_eq!(chain.store.unchecked_from(), None);
    let done = Ok(SignatureCheck::Done);
    assert_eq!(chain.store.check_next_signatures(), done);

    let mut claimed = Vec::new();
    for balance in 3..=5 {
        let prepared = prepare_signed(&chain, balance);
        claim(&chain.store, &prepared);
        chain.models.push(simple_model(3, balance));
        claimed.push(prepared.block);
    }
    chain.store.flush().unwrap();
    drop(chain);

    let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
    assert_eq!(store.unchecked_from(), Some(Height(2)));
    for (height, block) in (2..).zip(&claimed) {
        assert_eq!(
            store.block_by_number(Height(height)),
            Ok(Some(block.clone()))
        );
        assert_eq!(
            store.sealed_block(Height(height)),
            Ok(Some(block.sealed.clone()))
        );
        assert!(stored_senders(&store, height).is_empty());
    }
    for (height, block) in (2..).zip(&claimed) {
        let checked = Ok(SignatureCheck::Checked(Height(height)));
        assert_eq!(store.check_next_signatures(), checked);
        assert_eq!(store.unchecked_from(), Some(Height(height + 1)));
        assert_eq!(stored_senders(&store, height), signers(block));
    }
    assert_eq!(store.check_next_signatures(), done);
    assert_eq!(store.unchecked_from(), None);
    drop(store);
    let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
    assert_eq!(store.unchecked_from(), None);
}

#[test]
fn senders_that_did_not_sign_are_told_to_nobody_and_hold_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    for balance in 2..=3 {
        let prepared = prepare(&chain, balance);
        claim(&chain.store, &prepared);
        chain.models.push(simple_model(3, balance));
    }
    let store = &chain.store;
    let read = store.block_by_number(Height(1)).unwrap().unwrap();
    assert_eq!(read.senders.to_vec(), signers(&read));
    assert!(stored_senders(store, 1).is_empty());
    for _ in 0..2 {
        let differs = SignatureCheck::Differs {
            height: Height(1),
            senders: signers(&read),
        };
        assert_eq!(store.check_next_signatures(), Ok(differs));
    }
    store.put_senders(Height(1), signers(&read)).unwrap();
    assert_eq!(stored_senders(store, 1), signers(&read));
    assert_eq!(store.unchecked_from(), Some(Height(2)));
    // Going back takes the mark along.
    store.roll_back(Height::GENESIS).unwrap();
    assert_eq!(store.unchecked_from(), Some(Height(1)));
    assert_eq!(store.check_next_signatures(), Ok(SignatureCheck::Done));
    assert_eq!(store.unchecked_from(), None);
}

#[test]
fn block_that_nobody_signed_is_found_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(3, 1));
    let mut prepared = prepare(&chain, 2);
    let nobody = Signature::new(U256::ZERO, U256::ZERO, false);
    let transaction: Transaction = TxLegacy::default().into_signed(nobody).into();
    let hash = *transaction.tx_hash();
    let block = prepared.block.sealed.block().clone();
    let body = alloy_consensus::BlockBody {
        transactions: vec![transaction],
        ..block.body
    };
    let sealed = SealedBlock::new(Block::new(block.header, body));
    prepared.block = RecoveredBlock::new_unchecked(sealed, vec![Address::repeat_byte(7)]);
    prepared.receipts.truncate(1);
    claim(&chain.store, &prepared);
    for _ in 0..2 {
        let forged = SignatureCheck::Forged {
            height: Height(1),
            index: 0,
            hash,
        };
        assert_eq!(chain.store.check_next_signatures(), Ok(forged));
    }
    let read = chain.store.block_by_number(Height(1));
    assert!(
        matches!(read, Err(StorageError::Corrupt { .. })),
        "{read:?}"
    );
}

#[test]
fn pruned_blocks_are_passed_over_and_stay_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(3, 1));
    for balance in 2..=6 {
        let prepared = prepare_signed(&chain, balance);
        claim(&chain.store, &prepared);
        chain.models.push(simple_model(3, balance));
    }
    let kept = Kept {
        state_from: Height(0),
        blocks_from: Height(4),
    };
    chain.store.keep_from(kept).unwrap();
    while !chain.store.sweep_blocks(2).unwrap().is_done {}
    let mut steps = 0;
    while chain.store.check_next_signatures() != Ok(SignatureCheck::Done) {
        steps += 1;
    }
    assert_eq!(steps, 3, "one over all that is pruned, two blocks");
    assert!(chain.store.block_by_number(Height(3)).is_err());
    assert!(!stored_senders(&chain.store, 5).is_empty());
}
