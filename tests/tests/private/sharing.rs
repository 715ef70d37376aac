//! What members share, and what everybody else finds of it: in files, in databases,
//! in answers and on the wire.

use crate::{NOWHERE, SECRET, SPOKEN, TURN, state_folder};
use alloy_primitives::{Bytes, U256, hex};
use medina_sdk::private::{PrivateClientError, PrivateMode};
use medina_tests::private::{
    PrivateNetwork, Setup, add, adding, count, deploy, deploy_counter, files_with, rows_with,
    teller,
};
use serde_json::json;

/// What is said in public, so that the search is known to find something.
const PUBLIC: &str = "this-is-said-to-everybody-and-found-everywhere";
/// What two nodes say first to each other, before they encrypt.
const GREETING: &[u8] = b"/multistream/1.0.0";

#[tokio::test(flavor = "multi_thread")]
async fn members_share_a_contract_and_everybody_else_holds_nothing() {
    let _turn = TURN.lock().await;
    let tapped = Setup {
        is_tapped: true,
        ..Setup::default()
    };
    let mut network = PrivateNetwork::start_as(tapped).await;
    let pair = network.group(&[0, 1], PrivateMode::Standard).await;
    let three = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let (first, second) = (network.party(0, 0).await, network.party(1, 1).await);
    let counter = deploy_counter(&first, pair).await;
    let receipt = add(&first, pair, counter, adding(5, SECRET)).await;
    assert_eq!(receipt.logs.len(), 1);
    network.same_root(&[0, 1], pair).await;
    assert_eq!(count(&second, pair, counter).await, U256::from(5));
    add(&second, pair, counter, adding(6, SECRET)).await;
    network.same_root(&[0, 1], pair).await;
    assert_eq!(count(&first, pair, counter).await, U256::from(11));
    let filter = json!({ "fromBlock": "0x0", "toBlock": "latest", "address": counter });
    assert_eq!(first.logs(pair, filter).await.unwrap().len(), 2);

    // It takes back what it does not want, and its sender's nonce counts.
    let sent = second
        .send(pair, counter, adding(0, SECRET), Some(200_000))
        .await
        .unwrap();
    let failed = second.wait(sent.digest).await.unwrap_err();
    assert!(matches!(&failed, PrivateClientError::Failed(_)), "{failed}");
    assert_eq!(count(&first, pair, counter).await, U256::from(11));

    // The same in a group of three, whose contract is another one.
    let third = network.party(2, 2).await;
    let other = deploy_counter(&third, three).await;
    assert_ne!(other, counter);
    add(&first, three, other, adding(7, SECRET)).await;
    network.same_root(&[0, 1, 2], three).await;
    assert_eq!(count(&third, three, other).await, U256::from(7));
    let told = deploy(&first, pair, teller()).await;
    let said = Bytes::from_static(SPOKEN.as_bytes());
    let receipt = add(&first, pair, told, said.clone()).await;
    assert_eq!(receipt.logs[0].data, said);
    network.same_root(&[0, 1], pair).await;

    // Who is no member has no group, no state, no payload.
    let stranger = network.party(3, 3).await;
    assert!(stranger.status(pair).await.is_err());
    assert!(stranger.call(pair, counter, Bytes::new()).await.is_err());
    assert!(third.status(pair).await.is_err());
    let code = network
        .network
        .call(3, "eth_getCode", json!([counter, "latest"]))
        .await;
    assert_eq!(code, "0x", "the public state knows nothing of it");
    network.say(0, Bytes::from_static(PUBLIC.as_bytes())).await;
    network.network.agree(&[0, 1, 2, 3]).await;
    let answers = everything_public(&network, 3).await;
    for text in [SECRET, SPOKEN] {
        assert!(!answers.contains(&hex::encode(text)) && !answers.contains(text));
    }
    assert!(answers.contains(&hex::encode(PUBLIC)));
    for node in 0..4 {
        network.stop(node).await;
    }
    nothing_is_left(&network);
    assert!(state_folder(&network, 2, three).exists());
    assert!(!state_folder(&network, 2, pair).exists());
    let states = network.private_folder(3).join("groups");
    assert_eq!(std::fs::read_dir(states).unwrap().count(), 0);
    assert_ne!(
        rows_with(&state_folder(&network, 0, pair), SPOKEN.as_bytes()),
        []
    );
}

/// Every block of a node with its transactions, receipts and traces.
async fn everything_public(network: &PrivateNetwork, node: usize) -> String {
    let mut all = String::new();
    let network = &network.network;
    for height in 0..=network.height(node).await.expect("it is there") {
        let number = format!("{height:#x}");
        let with_transactions = json!([number, true]);
        let block = network.call(node, "eth_getBlockByNumber", with_transactions);
        all += &block.await.to_string();
        let receipts = network.call(node, "eth_getBlockReceipts", json!([number]));
        all += &receipts.await.to_string();
        if height > 0 {
            let how = json!([number, { "tracer": "callTracer" }]);
            let traces = network.call(node, "debug_traceBlockByNumber", how).await;
            all += &traces.to_string();
        }
    }
    all
}

/// Nothing private in clear, in anything but the members' own states.
fn nothing_is_left(network: &PrivateNetwork) {
    let folder = |node| network.network.node_folder(node).to_owned();
    let tap = network.tap.as_ref().expect("the links are tapped");
    let outside = [(3, SECRET), (3, SPOKEN), (2, SPOKEN)];
    let inside = [(0, SECRET), (1, SECRET), (2, SECRET)];
    for (node, text) in outside.into_iter().chain(inside) {
        let needle = text.as_bytes();
        assert_eq!(files_with(&folder(node), needle), NOWHERE, "{text}");
        assert_eq!(rows_with(&folder(node), needle), [], "{text}");
        assert_eq!(tap.links_with(node, needle), [], "{text}");
    }
    for node in 0..4 {
        let public = rows_with(&folder(node), PUBLIC.as_bytes());
        assert_ne!(public, [], "the search finds what is there");
        assert!(!tap.links_with(node, GREETING).is_empty());
        assert_eq!(
            tap.links_with(node, PUBLIC.as_bytes()),
            [],
            "links are encrypted"
        );
        assert!(tap.bytes_of(node) > 100_000);
    }
}
