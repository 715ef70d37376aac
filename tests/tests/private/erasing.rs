//! Who may have a payload forgotten, when, and in how many envelopes it lies.

use crate::{SECRET, TURN};
use alloy_primitives::{Address, B256, U256};
use medina_sdk::private::{Erasure, Groups, PrivateClient, PrivateMode};
use medina_tests::private::{PrivateNetwork, add, adding, count, deploy_counter, patiently};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where markers are sent to.
const MARKERS: Address = Address::with_last_byte(0x7a);

#[tokio::test(flavor = "multi_thread")]
async fn payload_erased_before_its_marker_leaves_a_group_that_goes_on() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    network.same_root(&[0, 1, 2], group).await;
    // All must acknowledge: with one away the marker waits.
    network.network.kill(2);
    let sent = first
        .send(group, counter, adding(9, SECRET), Some(200_000))
        .await
        .unwrap();
    patiently("one recipient to have it", || async {
        let delivery = first.delivery(sent.digest).await.ok().flatten()?;
        let mut recipients = delivery.recipients.iter();
        recipients
            .any(|one| one.acknowledged_at.is_some())
            .then_some(())
    })
    .await;
    // Who did not send it waits for the marker.
    let second = network.party(1, 1).await;
    second.erase(sent.digest, "too early").await.unwrap();
    network.blocks(0, 3).await;
    assert!(show(&second, sent.digest).await.is_ok());

    first.erase(sent.digest, "sent by mistake").await.unwrap();
    let delivery = first.delivery(sent.digest).await.unwrap().unwrap();
    assert!(delivery.failure.is_some(), "its marker never comes");
    network.network.run(2);
    network.network.ready(2).await;
    everywhere(&first, sent.digest).await;
    for node in 0..2 {
        let answer = show(&network.party(node, 0).await, sent.digest).await;
        assert!(answer.unwrap_err().contains("erased"));
    }
    // Its nonce is free again: a client that does not remember having used it.
    let first = network.party(0, 0).await;
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1, 2], group).await;
    let third = network.party(2, 0).await;
    assert_eq!(count(&third, group, counter).await, U256::from(1));
    assert_eq!(markers(&network).await.get(&sent.digest), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_not_send_a_payload_erases_at_home_until_more_than_half_have() {
    let _turn = TURN.lock().await;
    let network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    let done = add(&first, group, counter, adding(9, SECRET)).await;
    network.same_root(&[0, 1, 2], group).await;
    let digest = done.digest;

    let second = network.party(1, 1).await;
    second.erase(digest, "inconvenient").await.unwrap();
    patiently("a member to have erased at home", || async {
        show(&second, digest).await.is_err().then_some(())
    })
    .await;
    network.blocks(0, 5).await;
    let third = network.party(2, 2).await;
    for party in [&first, &third] {
        assert!(show(party, digest).await.is_ok(), "one member's word");
    }
    // One report on the chain changes nothing for the others.
    report(&network, 1, group, digest).await;
    network.blocks(0, 2).await;
    for party in [&first, &third] {
        assert!(show(party, digest).await.is_ok(), "one member's report");
    }
    patiently("the report to be shown", || async {
        let erasure = second.erasure(digest).await.ok().flatten()?;
        erasure.event
    })
    .await;
    // With the second report, it is what the members want.
    third.erase(digest, "agreed").await.unwrap();
    patiently("another member to have erased at home", || async {
        show(&third, digest).await.is_err().then_some(())
    })
    .await;
    report(&network, 2, group, digest).await;
    patiently("the last holder to be told", || async {
        show(&first, digest).await.is_err().then_some(())
    })
    .await;
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1, 2], group).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_that_was_sealed_several_times_is_erased_in_all_its_envelopes() {
    let _turn = TURN.lock().await;
    let network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1], PrivateMode::Validated).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    network.same_root(&[0, 1], group).await;
    let second = network.party(1, 1).await;
    // Both send at the same time until a transaction was stale.
    let mut found = None;
    for round in 0..30_u64 {
        let input = |number| adding(number, &format!("{SECRET} {round}"));
        let (one, other) = tokio::join!(
            first.send(group, counter, input(1), Some(200_000)),
            second.send(group, counter, input(2), Some(200_000)),
        );
        let sent = [one.unwrap().digest, other.unwrap().digest];
        let parties = [&first, &second];
        for (party, digest) in parties.into_iter().zip(sent) {
            patiently("a transaction of a validated group to settle", || async {
                let receipt = party.receipt(digest).await.ok().flatten();
                receipt.filter(|receipt| receipt.status)
            })
            .await;
        }
        network.same_root(&[0, 1], group).await;
        for (sender, digest, holder) in [(&first, sent[0], &second), (&second, sent[1], &first)] {
            let twins = twins_of(&network, holder, digest, sender).await;
            if twins.len() > 1 {
                found = Some((sender, digest, holder, twins));
            }
        }
        if found.is_some() {
            break;
        }
    }
    let (sender, digest, holder, twins) = found.expect("a transaction that was stale");
    sender.erase(digest, "all of it").await.unwrap();
    everywhere(sender, digest).await;
    for twin in &twins {
        patiently(
            "every envelope to be erased at the other member",
            || async {
                show(holder, *twin)
                    .await
                    .err()
                    .filter(|text| text.contains("erased"))
            },
        )
        .await;
    }
    network.same_root(&[0, 1], group).await;
}

/// Envelopes with a marker in which a member holds the same transaction.
async fn twins_of(
    network: &PrivateNetwork,
    member: &PrivateClient,
    digest: B256,
    sender: &PrivateClient,
) -> Vec<B256> {
    let name = |shown: &Value| (shown["from"].clone(), shown["nonce"].clone());
    let sent = show(sender, digest).await.expect("the network answers");
    let mut twins = Vec::new();
    for marker in markers(network).await.into_keys() {
        if let Ok(shown) = show(member, marker).await
            && !shown.is_null()
            && name(&shown) == name(&sent)
        {
            twins.push(marker);
        }
    }
    twins
}

/// What a node says of a transaction.
async fn show(party: &PrivateClient, digest: B256) -> Result<Value, String> {
    let answer = party
        .rpc()
        .call("priv_getTransactionByDigest", json!([digest]));
    answer.await.map_err(|error| error.to_string())
}

/// Digests of all markers, with their blocks.
async fn markers(network: &PrivateNetwork) -> BTreeMap<B256, u64> {
    let height = network.network.height(0).await.expect("it is there");
    let mut markers = BTreeMap::new();
    for number in 1..=height {
        let params = json!([format!("{number:#x}"), true]);
        let block = network
            .network
            .call(0, "eth_getBlockByNumber", params)
            .await;
        for transaction in block["transactions"].as_array().expect("it is there") {
            let to: Option<Address> =
                serde_json::from_value(transaction["to"].clone()).expect("the network answers");
            let input = transaction["input"].as_str().expect("it is there");
            if to == Some(MARKERS) {
                markers.insert(input[..66].parse().expect("the network answers"), number);
            }
        }
    }
    markers
}

/// Waits for the receipts of all who may hold a payload.
async fn everywhere(party: &PrivateClient, digest: B256) -> Erasure {
    patiently("all holders to have erased a payload", || async {
        let erasure = party.erasure(digest).await.ok().flatten()?;
        erasure.pending.is_empty().then_some(erasure)
    })
    .await
}

/// An organisation's admin reports.
async fn report(network: &PrivateNetwork, org: u32, group: B256, digest: B256) {
    let admin = network.chain(0, org).await;
    let groups = Groups::of(&admin).expect("the network answers");
    groups
        .report_erased(group, digest, B256::ZERO)
        .await
        .expect("the network answers");
}
