//! Blocks that are executed with the senders that a peer claims.

use super::{support::*, transfers::*};
use crate::{
    chain::Chain,
    fatal::Fatal,
    sync::{check_signatures, serve},
};
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use medina_storage::StateReader as _;
use medina_types::{
    Height, RecoveredTransaction, Transaction,
    wire::{CertifiedBlock, SyncRequest},
};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::sync::watch;

const BLOCKS: u64 = 5;

/// A peer that hands out the blocks of a chain with senders of its own.
fn claiming(source: &Chain, claim: impl Fn(&mut CertifiedBlock) + Send + Sync + 'static) -> Answer {
    let source = source.clone();
    Box::new(move |request: SyncRequest| {
        let mut response = serve(&source, request);
        response.blocks.iter_mut().for_each(&claim);
        Some(response)
    })
}

/// The check behind the import, until it has nothing left to do or finds something.
async fn checked(chain: &Chain) -> Result<(), Fatal> {
    let (_progress, progress) = watch::channel(None);
    let (stop, stopping) = watch::channel(false);
    let check = tokio::spawn(check_signatures(chain.clone(), progress, stopping));
    for _ in 0..600 {
        if chain.store.unchecked_from().is_none() || check.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.send_replace(true);
    check.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_checked_behind_the_import() {
    let (_source_folder, source) = chain_of_transfers(BLOCKS, 8);
    let node = behind();
    node.links.connect(key(0), Height(BLOCKS), honest(&source));
    node.sync.catch_up().await;
    assert_eq!(node.chain.head(), source.head());
    assert_eq!(node.chain.store.unchecked_from(), Some(Height(1)));
    for height in (1..=BLOCKS).map(Height) {
        let (ours, theirs) = (&node.chain.store, &source.store);
        assert_eq!(ours.block_by_number(height), theirs.block_by_number(height));
        let is_stored = !ours.block_rlp(height).unwrap().unwrap().senders.is_empty();
        assert_eq!(
            is_stored,
            height == Height(BLOCKS),
            "the newest is checked at once"
        );
    }
    checked(&node.chain).await.unwrap();
    assert_eq!(node.chain.store.unchecked_from(), None);
    for height in (1..=BLOCKS).map(Height) {
        let (ours, theirs) = (&node.chain.store, &source.store);
        assert_eq!(ours.block_rlp(height), theirs.block_rlp(height));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_claims_false_senders_loses_its_link_and_misleads_nobody() {
    let (_source_folder, source) = chain_of_transfers(BLOCKS, 8);
    let swap = |block: &mut CertifiedBlock| block.senders.swap(0, 1);
    let nobody = |block: &mut CertifiedBlock| block.senders[7] = [9; 20];
    for lie in [claiming(&source, swap), claiming(&source, nobody)] {
        let node = behind();
        node.links.connect(key(9), Height(BLOCKS), lie);
        node.sync.catch_up().await;
        assert_eq!(node.links.disconnected(), [key(9)]);
        // Who signed is known by now, so the block itself is no loss.
        assert_eq!(node.chain.head().height, Height(1));
        assert_eq!(node.chain.store.unchecked_from(), None);
        node.links.connect(key(0), Height(BLOCKS), honest(&source));
        node.sync.catch_up().await;
        assert_eq!(node.chain.head(), source.head());
        checked(&node.chain).await.unwrap();
    }
}

/// Blocks with two calls of which nobody can tell who made them.
fn source_of_like_calls() -> (TempDir, Chain) {
    let (folder, source) = chain_of_transfers(0, 0);
    for nonce in 0..3 {
        let calls = (0..2).map(|sender| {
            let nothing = TxEip1559 {
                to: TxKind::Call(Address::repeat_byte(7)),
                input: Bytes::new(),
                ..unsigned(&source, nonce)
            };
            Arc::new(RecoveredTransaction::recover(signed(sender, nothing)).unwrap())
        });
        extend(&source, calls.collect());
    }
    (folder, source)
}

#[tokio::test(flavor = "multi_thread")]
async fn lie_that_makes_no_difference_is_corrected_and_stops_nobody() {
    let (_source_folder, source) = source_of_like_calls();
    let node = behind();
    let swap = |block: &mut CertifiedBlock| block.senders.swap(0, 1);
    node.links
        .connect(key(9), Height(3), claiming(&source, swap));
    node.sync.catch_up().await;
    assert_eq!(node.chain.head(), source.head());
    assert_eq!(node.chain.store.unchecked_from(), Some(Height(1)));
    for is_checked in [false, true] {
        if is_checked {
            checked(&node.chain).await.unwrap();
            assert_eq!(node.chain.store.unchecked_from(), None);
        }
        for height in (1..=3).map(Height) {
            let (ours, theirs) = (&node.chain.store, &source.store);
            assert_eq!(ours.block_by_number(height), theirs.block_by_number(height));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_that_are_not_one_for_each_transaction_are_no_claim() {
    let (_source_folder, source) = chain_of_transfers(BLOCKS, 8);
    let too_few = |block: &mut CertifiedBlock| {
        block.senders.pop();
    };
    let too_many = |block: &mut CertifiedBlock| block.senders.push([1; 20]);
    for answer in [claiming(&source, too_few), claiming(&source, too_many)] {
        let node = behind();
        node.links.connect(key(0), Height(BLOCKS), answer);
        node.sync.catch_up().await;
        assert_eq!(node.chain.head(), source.head());
        assert_eq!(node.chain.store.unchecked_from(), None);
        assert!(node.links.disconnected().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_follows_a_quorum_stops_at_what_nobody_or_somebody_else_signed() {
    let nobody = Signature::new(U256::ZERO, U256::ZERO, false);
    let by_nobody = |transfer: TxEip1559| transfer.into_signed(nobody).into();
    let by_another = |transfer: TxEip1559| signed(9, transfer);
    let cases: [(&dyn Fn(TxEip1559) -> Transaction, &str); 2] = [
        (&by_nobody, "nobody signed transaction 0"),
        (&by_another, "with those who signed its transactions: "),
    ];
    for (sign, expected) in cases {
        // A quorum that is no more honest decides a transfer in another's name.
        let (_source_folder, source) = chain_of_transfers(2, 8);
        let first = source.store.block_by_number(Height(1)).unwrap().unwrap();
        let victim = first.senders[0];
        let nonce = source.store.state().account(victim).unwrap().unwrap().nonce;
        let forged = sign(unsigned(&source, nonce));
        let forged = RecoveredTransaction::new_unchecked(forged, victim);
        extend(&source, vec![Arc::new(forged)]);
        extend(&source, Vec::new());

        let node = behind();
        node.links.connect(key(0), Height(4), honest(&source));
        node.sync.catch_up().await;
        assert_eq!(node.chain.head(), source.head());
        let found = checked(&node.chain).await;
        let Err(Fatal::CertifiedBlockInvalid { height, reason }) = found else {
            panic!("{found:?}");
        };
        assert_eq!(height, Height(3));
        assert!(reason.starts_with(expected), "{reason}");
    }
}
