//! Who has left knows the group's old secrets: its markers move nothing, and the markers
//! of those who stay go on by a new secret.

use crate::TURN;
use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{B256, TxKind, U256};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_sdk::{
    private::{Groups, MARKER_ADDRESS, PrivateMode, PrivateRpc},
    wallet::TEST_MNEMONIC,
};
use medina_tests::private::{
    PrivateNetwork, add, adding, count, deploy_counter, patiently, token_of,
};
use serde_json::{Value, json};

/// Account that sends markers by hand.
const STRANGER: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn marker_of_a_member_that_left_is_passed_by_and_those_who_stay_go_on() {
    let _turn = TURN.lock().await;
    let network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let (first, second) = (network.party(0, 0).await, network.party(1, 1).await);
    let counter = deploy_counter(&first, group).await;
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1, 2], group).await;

    // The third prepares a transaction that everybody has, and keeps its marker back.
    let third = network.party(2, 2).await;
    let signed = third
        .sign(
            group,
            TxKind::Call(counter),
            adding(1_000, ""),
            Some(200_000),
        )
        .await
        .unwrap();
    let rpc = PrivateRpc::new(&network.network.rpc_url(2), Some(&token_of(2))).unwrap();
    // A client whose members have not answered in time asks again.
    let prepared = patiently("the members to have it", || async {
        let prepared: Result<Value, _> = rpc
            .call("priv_distributeTransaction", json!([signed]))
            .await;
        prepared.ok()
    })
    .await;
    let marker: Vec<u8> = ["digest", "tag"]
        .iter()
        .flat_map(|half| {
            let word: B256 = serde_json::from_value(prepared[*half].clone()).expect("a word");
            word.0
        })
        .collect();

    remove(&network, group, 2).await;
    let height = send(&network, marker).await;
    patiently("the marker's block is followed", || async {
        (network.status(0, group).await.height >= height).then_some(())
    })
    .await;
    assert_eq!(count(&first, group, counter).await, U256::from(1));
    // Twenty at once by a secret that only those who stay have.
    let mut sent = Vec::new();
    for _ in 0..20 {
        let input = adding(1, "");
        let taken = first.send(group, counter, input, Some(200_000)).await;
        sent.push(taken.expect("the node takes it").digest);
    }
    for digest in sent {
        let receipt = first.wait(digest).await.expect("it settles");
        assert!(receipt.status, "{receipt:?}");
    }
    add(&second, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1], group).await;
    assert_eq!(count(&second, group, counter).await, U256::from(22));
}

/// More than half vote a member out.
async fn remove(network: &PrivateNetwork, group: B256, org: usize) {
    let (first, second) = (network.chain(0, 0).await, network.chain(0, 1).await);
    let of = |chain| Groups::of(chain).expect("the chain has the contract");
    of(&first)
        .propose_removal(group, network.orgs[org])
        .await
        .expect("the network answers");
    let is_member = of(&first)
        .is_member(group, network.orgs[org])
        .await
        .expect("the network answers");
    if is_member {
        of(&second)
            .vote(group, network.orgs[org])
            .await
            .expect("the network answers");
    }
    patiently("the member to be out", || async {
        let is_member = of(&first).is_member(group, network.orgs[org]).await.ok()?;
        (!is_member).then_some(())
    })
    .await;
}

/// Sends a marker as anybody may; answers its block.
async fn send(network: &PrivateNetwork, marker: Vec<u8>) -> u64 {
    let account = MnemonicBuilder::<English>::default()
        .phrase(TEST_MNEMONIC)
        .index(STRANGER)
        .and_then(|builder| builder.build())
        .expect("the test mnemonic has this account");
    let url = network.network.rpc_url(3).parse().expect("a URL");
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(account))
        .connect_http(url);
    let request = TransactionRequest::default()
        .with_to(MARKER_ADDRESS)
        .with_gas_limit(60_000)
        .with_input(marker);
    let pending = provider.send_transaction(request).await;
    let receipt = pending.expect("the pool takes it").get_receipt().await;
    let receipt = receipt.expect("it is in a block");
    assert!(receipt.status());
    receipt.block_number.expect("of a block")
}
