//! Much at once: concurrent transactions of a validated group, and transactions that
//! never end by themselves.

use crate::TURN;
use alloy_primitives::{Bytes, U256};
use medina_sdk::private::{PrivateClientError, PrivateMode};
use medina_tests::private::{
    PrivateNetwork, adding, count, deploy, deploy_counter, looper, patiently,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Gas of a private transaction that uses all it may.
const ALL_GAS: u64 = 10_000_000;
/// Public blocks that are made while private transactions loop.
const BLOCKS: u64 = 25;
/// Loops that are under way at once.
const LOOPERS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_transactions_of_a_validated_group_all_settle_and_loops_stop_no_block() {
    const EACH: u64 = 4;
    let _turn = TURN.lock().await;
    let network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2, 3], PrivateMode::Validated).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    network.same_root(&[0, 1, 2, 3], group).await;
    let mut sent = Vec::new();
    for number in 1..=EACH {
        for node in 0..4_u32 {
            let party = network.party(node as usize, node).await;
            let input = adding(number, "");
            // Each sender's own nonces, in a row: an account per transaction.
            let account = 10 + node * 10 + u32::try_from(number).unwrap();
            let party_of = network.party(node as usize, account).await;
            let taken = party_of
                .send(group, counter, input, Some(200_000))
                .await
                .unwrap();
            sent.push((party, taken.digest));
        }
    }
    for (party, digest) in sent {
        patiently("a transaction of a validated group to settle", || async {
            party
                .receipt(digest)
                .await
                .ok()
                .flatten()
                .filter(|receipt| receipt.status)
        })
        .await;
    }
    network.same_root(&[0, 1, 2, 3], group).await;
    let expected = U256::from(4 * (1..=EACH).sum::<u64>());
    for node in 0..4 {
        assert_eq!(
            count(&network.party(node, 0).await, group, counter).await,
            expected
        );
    }
    endless_loops_end_and_hold_up_no_public_block(&network).await;
}

/// Feeds the members with loops until the public chain has made its blocks: it has
/// to make them while they loop.
async fn endless_loops_end_and_hold_up_no_public_block(network: &PrivateNetwork) {
    let group = network.group(&[0, 1, 2, 3], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let endless = deploy(&first, group, looper()).await;
    let quiet = network.group(&[0, 1], PrivateMode::Standard).await;
    let counter = deploy_counter(&first, quiet).await;
    let (is_over, ended) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut loops = tokio::task::JoinSet::new();
    for number in 0..LOOPERS {
        let party = network.party(number as usize, 50 + number).await;
        let (is_over, ended) = (is_over.clone(), ended.clone());
        loops.spawn(async move {
            while !is_over.load(Ordering::Acquire) {
                let sent = party
                    .send(group, endless, Bytes::new(), Some(ALL_GAS))
                    .await
                    .expect("the node takes it");
                let failed = party.wait(sent.digest).await.expect_err("it never ends");
                let PrivateClientError::Failed(receipt) = failed else {
                    panic!("{failed}");
                };
                assert_eq!(receipt.gas_used, ALL_GAS);
                ended.fetch_add(1, Ordering::AcqRel);
            }
        });
    }
    // Somebody loops before the first of these blocks and behind the last.
    patiently("the first loop to end", || async {
        (ended.load(Ordering::Acquire) > 0).then_some(())
    })
    .await;
    let before = (
        network.network.height(0).await.expect("it is there"),
        ended.load(Ordering::Acquire),
    );
    network.blocks(0, BLOCKS).await;
    let sent = first
        .send(quiet, counter, adding(3, ""), Some(200_000))
        .await
        .expect("the network answers");
    first.wait(sent.digest).await.expect("the network answers");
    let after = (
        network.network.height(0).await.expect("it is there"),
        ended.load(Ordering::Acquire),
    );
    is_over.store(true, Ordering::Release);
    while let Some(looped) = loops.join_next().await {
        looped.expect("every loop ends with its gas");
    }
    assert!(after.0 >= before.0 + BLOCKS, "{before:?} {after:?}");
    assert!(after.1 > before.1, "nothing looped meanwhile");
    network.same_root(&[0, 1, 2, 3], group).await;
    let more = first
        .send(group, endless, Bytes::new(), Some(ALL_GAS + 1))
        .await;
    let refused = more.expect_err("too many").to_string();
    assert!(refused.contains("gas"), "{refused}");
}
