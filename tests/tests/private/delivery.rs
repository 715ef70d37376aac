//! Who is waited for before a marker goes out, who is not, and whose word does not count.

use crate::TURN;
use alloy_primitives::{B256, Bytes, U256};
use medina_sdk::private::{Groups, PartyKey, PrivateClientError, PrivateMode};
use medina_tests::{
    private::{
        PrivateNetwork, STRANGER, add, adding, count, deploy_counter, name_of, patiently, token_of,
    },
    processes::eventually,
};
use serde_json::{Value, json};
use std::path::Path;

/// Transactions that one member misses.
const MISSED: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn delivery_waits_for_whom_the_policy_names_and_who_was_away_catches_up() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let all = network
        .group_with(&[0, 1, 2], PrivateMode::Standard, &[], 0)
        .await;
    let some = network
        .group_with(&[0, 1, 2, 3], PrivateMode::Mandatory, &[1], 1)
        .await;
    let first = network.party(0, 0).await;
    let of_all = deploy_counter(&first, all).await;
    let of_some = deploy_counter(&first, some).await;
    network.same_root(&[0, 1, 2], all).await;
    network.same_root(&[0, 1, 2, 3], some).await;

    one_of_the_others_is_enough(&mut network, some, of_some).await;
    mandatory_member_is_waited_for(&mut network, some, of_some).await;
    everybody_is_waited_for(&mut network, all, of_all).await;
    counter_party_protection_refuses_accounts_of_nobody(&network).await;
    nobody_speaks_for_another_organisation(&mut network, all, of_all).await;
}

/// A member that is neither named nor needed is away for as long as it likes.
async fn one_of_the_others_is_enough(
    network: &mut PrivateNetwork,
    group: B256,
    counter: alloy_primitives::Address,
) {
    let first = network.party(0, 0).await;
    network.network.kill(3);
    let mut sent = Vec::new();
    for number in 1..=MISSED {
        let input = adding(number, "");
        let taken = first.send(group, counter, input, Some(200_000)).await;
        sent.push(taken.expect("the node takes it").digest);
    }
    for digest in &sent {
        first.wait(*digest).await.expect("a quorum is enough");
    }
    network.same_root(&[0, 1, 2], group).await;
    let delivery = first
        .delivery(sent[0])
        .await
        .expect("the network answers")
        .expect("it is known");
    assert!(delivery.is_policy_met);
    let away = delivery
        .recipients
        .iter()
        .find(|one| one.org == network.orgs[3]);
    assert_eq!(away.expect("it is a recipient").acknowledged_at, None);
    network.network.run(3);
    network.network.ready(3).await;
    network.same_root(&[0, 1, 2, 3], group).await;
    let third = network.party(3, 3).await;
    let expected = U256::from((1..=MISSED).sum::<u64>());
    assert_eq!(count(&third, group, counter).await, expected);
    // What it missed, it has now: its own copy of a payload from before.
    patiently("the payload at the member that was away", || async {
        third.show(sent[0]).await.ok()?.transaction
    })
    .await;
}

/// Enough others do not stand in for a member that is named.
async fn mandatory_member_is_waited_for(
    network: &mut PrivateNetwork,
    group: B256,
    counter: alloy_primitives::Address,
) {
    let first = network.party(0, 0).await;
    let before = count(&first, group, counter).await;
    network.network.kill(1);
    let sent = first
        .send(group, counter, adding(5, ""), Some(200_000))
        .await
        .expect("the network answers");
    patiently("all others to acknowledge", || async {
        let delivery = first.delivery(sent.digest).await.ok()??;
        let have = delivery
            .recipients
            .iter()
            .filter(|one| one.acknowledged_at.is_some());
        (have.count() == 2).then_some(())
    })
    .await;
    network.blocks(0, 3).await;
    let delivery = first
        .delivery(sent.digest)
        .await
        .expect("the network answers")
        .expect("it is known");
    assert!(!delivery.is_policy_met, "{delivery:?}");
    assert_eq!(delivery.marker_hash, None);
    let named: Vec<_> = delivery
        .recipients
        .iter()
        .filter(|one| one.is_mandatory)
        .collect();
    assert_eq!(named.len(), 1);
    assert_eq!(
        (named[0].org, named[0].acknowledged_at),
        (network.orgs[1], None)
    );
    assert_eq!(count(&first, group, counter).await, before);
    network.network.run(1);
    network.network.ready(1).await;
    first.wait(sent.digest).await.expect("it was waited for");
    network.same_root(&[0, 1, 2, 3], group).await;
}

/// Without a policy all must acknowledge; public blocks do not wait with them.
async fn everybody_is_waited_for(
    network: &mut PrivateNetwork,
    group: B256,
    counter: alloy_primitives::Address,
) {
    let first = network.party(0, 0).await;
    network.network.kill(2);
    let mut sent = Vec::new();
    // One account's transactions in a row, so that their order shows.
    for number in 1..=MISSED {
        let input = adding(number, "");
        let taken = first.send(group, counter, input, Some(200_000)).await;
        sent.push(taken.expect("the node takes it").digest);
    }
    let before = network.network.height(0).await.expect("it is there");
    network.blocks(0, 3).await;
    assert!(network.network.height(0).await.expect("it is there") >= before + 3);
    for digest in &sent {
        let delivery = first
            .delivery(*digest)
            .await
            .expect("the network answers")
            .expect("it is known");
        assert!(!delivery.is_policy_met);
    }
    network.network.run(2);
    network.network.ready(2).await;
    for digest in sent {
        first.wait(digest).await.expect("it was waited for");
    }
    network.same_root(&[0, 1, 2], group).await;
    let third = network.party(2, 2).await;
    let expected = U256::from((1..=MISSED).sum::<u64>());
    assert_eq!(count(&third, group, counter).await, expected);
}

/// The account has to be a member organisation's, whoever lends it a token.
async fn counter_party_protection_refuses_accounts_of_nobody(network: &PrivateNetwork) {
    let group = network.group(&[0, 1], PrivateMode::CounterParty).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    add(&network.party(1, 1).await, group, counter, adding(4, "")).await;
    // Of nobody, and of an organisation that is no member.
    for account in [STRANGER, 2] {
        let other = network.party(0, account).await;
        let sent = other
            .send(group, counter, adding(9, ""), Some(200_000))
            .await;
        let refused = match sent {
            Ok(sent) => other.wait(sent.digest).await.map(drop),
            Err(refused) => Err(refused),
        };
        let refused = refused.expect_err("it is not the counter-party's");
        assert!(
            !matches!(refused, PrivateClientError::NoReceipt { .. }),
            "{refused}"
        );
    }
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1], group).await;
    assert_eq!(count(&first, group, counter).await, U256::from(5));
}

/// A node that says it acts for an organisation whose party is another key: nobody
/// gives it anything, nor takes anything from it.
async fn nobody_speaks_for_another_organisation(
    network: &mut PrivateNetwork,
    group: B256,
    counter: alloy_primitives::Address,
) {
    network.stop(3).await;
    pretend(network.network.node_folder(3), network.orgs[2]);
    network.network.run(3);
    network.network.ready(3).await;
    let url = network.network.rpc_url(3);
    let token = token_of(2);
    let chain = network.chain(3, 2).await;
    let impostor = medina_sdk::private::PrivateClient::new(chain, &url, Some(&token))
        .expect("the network answers");
    let written = network.private_folder(3).join("parties/org-2.json");
    let key = eventually("the impostor's own key", || async {
        let text = std::fs::read_to_string(&written).ok()?;
        let party: Value = serde_json::from_str(&text).ok()?;
        party["identityKey"].as_str()?.parse::<B256>().ok()
    })
    .await;
    let chain = network.chain(0, 2).await;
    let groups = Groups::of(&chain).expect("the network answers");
    let registered = groups
        .party(network.orgs[2])
        .await
        .expect("the network answers");
    assert_ne!(registered.identity_key, key, "it has a key of its own");
    let before = count(&network.party(0, 0).await, group, counter).await;
    let refused = impostor
        .send(group, counter, adding(7, ""), Some(200_000))
        .await
        .expect_err("nobody would take anything from it");
    let refused = refused.to_string();
    assert!(
        refused.contains("medina private party register"),
        "{refused}"
    );
    let after = count(&network.party(0, 0).await, group, counter).await;
    assert_eq!(after, before);
    let call = impostor.call(group, counter, Bytes::new()).await;
    assert!(
        call.unwrap_or_default().is_empty(),
        "there is no such contract"
    );
    // An encryption key that no registered identity has signed.
    let key = PartyKey {
        epoch: registered.epoch + 1,
        key: B256::repeat_byte(9),
        ..groups
            .key(network.orgs[2])
            .await
            .expect("the network answers")
            .expect("it is there")
    };
    let forged = Bytes::from_static(&[7; 64]);
    let published = groups.publish_key(network.orgs[2], key, forged).await;
    assert!(published.is_err());
    // Its organisation's own party goes on.
    let third = network.party(2, 2).await;
    add(&third, group, counter, adding(2, "")).await;
    network.same_root(&[0, 1, 2], group).await;
    let asked = network
        .network
        .try_call(3, "priv_getGroups", json!([]))
        .await;
    assert_eq!(asked, None, "nobody is answered without a token");
}

/// Adds the party of another organisation to a node's configuration.
fn pretend(folder: &Path, org: B256) {
    let path = folder.join("config.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let mut config: toml::Table = text.parse().expect("TOML");
    let party: toml::Table = format!("name = \"{}\"\norg = \"{org}\"", name_of(2))
        .parse()
        .expect("TOML");
    let private = config["private"].as_table_mut().expect("a section");
    let parties = private["party"].as_array_mut().expect("a list");
    parties.push(party.into());
    std::fs::write(&path, config.to_string()).expect("a configuration");
    let keys = folder.join("keys.toml");
    let mut text = std::fs::read_to_string(&keys).expect("a file of keys");
    text += &format!(
        "[[key]]\nname = \"impostor\"\nsecret = \"{}\"\nnamespaces = [\"*\"]\n\
         private = [\"psi://{}?self.eoa=0x0\"]\n",
        token_of(2),
        name_of(2)
    );
    std::fs::write(&keys, text).expect("a file of keys");
}
