//! What marks a private transaction: the mark is signed where it is Medina's own, and
//! no signature is good on another chain.

use crate::TURN;
use alloy_consensus::{
    SignableTransaction as _, TxEnvelope, TxLegacy, transaction::SignerRecoverable as _,
};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use medina_genesis::test_account;
use medina_sdk::private::{MARKER_ADDRESS, PrivateMode, SignedPrivateTransaction};
use medina_tests::private::{
    PrivateNetwork, Setup, add, adding, count, deploy_counter, patiently, token_of,
};
use serde_json::{Value, json};

/// Account of the test phrase that sends marked transactions.
const SENDER: u32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn mark_that_is_flipped_and_transaction_of_another_chain_move_nothing_private() {
    let _turn = TURN.lock().await;
    let alone = Setup {
        validators: 1,
        places: vec![0],
        ..Setup::default()
    };
    let compatible = Setup {
        allows_quorum: true,
        ..alone.clone()
    };
    let here = PrivateNetwork::start_as(compatible).await;
    let elsewhere = Setup {
        arguments: vec!["--chain-id", "20263"],
        ..alone
    };
    let there = PrivateNetwork::start_as(elsewhere).await;
    let group = here.group(&[0], PrivateMode::CounterParty).await;
    assert_eq!(there.group(&[0], PrivateMode::CounterParty).await, group);
    let (party, other) = (here.party(0, 0).await, there.party(0, 0).await);
    let counter = deploy_counter(&party, group).await;
    assert_eq!(
        deploy_counter(&other, group).await,
        counter,
        "all is as on the other chain"
    );

    let to = TxKind::Call(counter);
    let signed = party
        .sign(group, to, adding(5, ""), Some(200_000))
        .await
        .unwrap();
    let sent = party.submit(&signed).await.unwrap();
    let marker = party.wait(sent.digest).await.unwrap().marker_hash.unwrap();
    inner_transaction_is_this_chains(&there, &signed).await;
    inner_transaction_with_another_v_is_another_accounts(&here, &signed).await;
    marker_is_this_chains(&here, &there, marker).await;
    assert_eq!(count(&party, group, counter).await, U256::from(5));
    assert_eq!(count(&other, group, counter).await, U256::ZERO);
    add(&party, group, counter, adding(1, "")).await;
    add(&other, group, counter, adding(1, "")).await;

    marked_transactions_are_the_same_in_both_forms(&here, &there).await;
}

/// The inner transaction, as it was signed for the first chain, on the second.
async fn inner_transaction_is_this_chains(
    there: &PrivateNetwork,
    signed: &SignedPrivateTransaction,
) {
    let other = there.party(0, 0).await;
    let refused = match other.submit(signed).await {
        Ok(sent) => other.wait(sent.digest).await.map(drop),
        Err(refused) => Err(refused),
    };
    assert!(refused.is_err(), "it was signed for another chain");
}

/// The mark of a private transaction is what is signed, so nothing outside the
/// signature can be flipped but v, which names another account then.
async fn inner_transaction_with_another_v_is_another_accounts(
    here: &PrivateNetwork,
    signed: &SignedPrivateTransaction,
) {
    let party = here.party(0, 0).await;
    let mut signature = signed.signature.to_vec();
    signature[64] = 27 + (28 - signature[64]);
    let flipped = SignedPrivateTransaction {
        signature: signature.into(),
        ..signed.clone()
    };
    let refused = match party.submit(&flipped).await {
        Ok(sent) => party.wait(sent.digest).await.map(drop),
        Err(refused) => Err(refused),
    };
    assert!(
        refused.is_err(),
        "nobody of a member organisation has signed it"
    );
    let mut changed = signed.clone();
    changed.mode = 0;
    assert!(party.submit(&changed).await.is_err(), "the mode is signed");
}

/// A marker is an ordinary transaction of its chain: elsewhere it is refused, with
/// another v it is another account's, and repeated it does nothing.
async fn marker_is_this_chains(here: &PrivateNetwork, there: &PrivateNetwork, marker: B256) {
    let raw = here
        .network
        .call(0, "debug_getRawTransaction", json!([marker]))
        .await;
    let raw: Bytes = serde_json::from_value(raw).expect("bytes");
    for network in [here, there] {
        assert!(
            refuses(network, &raw).await,
            "known here, of another chain there"
        );
    }
    let envelope = TxEnvelope::decode_2718(&mut raw.as_ref()).expect("any client decodes it");
    let TxEnvelope::Eip1559(inner) = envelope else {
        panic!("a marker is an ordinary transaction");
    };
    let (transaction, signature) = (inner.tx().clone(), *inner.signature());
    assert_eq!(transaction.to, TxKind::Call(MARKER_ADDRESS));
    let sender = inner.recover_signer().expect("it is signed");
    let flipped = signature.with_parity(!signature.v());
    let flipped = TxEnvelope::from(transaction.into_signed(flipped));
    let another = flipped.recover_signer().ok();
    assert_ne!(another, Some(sender));
    let nonce = nonce_of(here, sender).await;
    // Refused, or a stranger's copy: in both cases nothing of the sender's.
    refuses(here, &flipped.encoded_2718().into()).await;
    here.blocks(0, 2).await;
    assert_eq!(nonce_of(here, sender).await, nonce);
}

/// `GoQuorum`'s mark is outside the signature: whoever flips it has the same public
/// transaction, once, and an ordinary one does not become private.
async fn marked_transactions_are_the_same_in_both_forms(
    here: &PrivateNetwork,
    there: &PrivateNetwork,
) {
    let group = here.group(&[0], PrivateMode::Standard).await;
    let party = here.party(0, 0).await;
    let counter = deploy_counter(&party, group).await;
    let handle = store(here, &adding(7, "")).await;
    let marked = homestead(SENDER, (0, counter), &handle, true);
    let public = homestead(SENDER, (0, counter), &handle, false);
    assert!(
        refuses(there, &marked).await,
        "the mark is for chains that allow it"
    );
    let unknown = there
        .network
        .try_answer(
            0,
            "eth_sendRawPrivateTransaction",
            json!([marked, { "privateFor": [] }]),
        )
        .await;
    assert_eq!(unknown.expect("it answers")["error"]["code"], -32601);

    let sent = ask(
        here,
        "eth_sendRawPrivateTransaction",
        json!([marked, { "privateFor": [] }]),
    )
    .await;
    assert!(sent["error"].is_null(), "{sent}");
    // Others flip the mark and send the rest: it is known, or its nonce is used.
    assert!(refuses(here, &public).await && refuses(here, &marked).await);
    patiently("a marked transaction to run once", || async {
        (count(&party, group, counter).await == U256::from(7)).then_some(())
    })
    .await;
    let account = test_account(SENDER).address;
    assert_eq!(nonce_of(here, account).await, 1);

    // An ordinary transaction, marked by somebody else: there is no payload for it.
    let ordinary = Bytes::from(vec![9; 64]);
    let marked = homestead(SENDER, (1, counter), &ordinary, true);
    let refused = ask(
        here,
        "eth_sendRawPrivateTransaction",
        json!([marked, { "privateFor": [] }]),
    )
    .await;
    assert!(refused["error"].is_object(), "{refused}");
    assert_eq!(nonce_of(here, account).await, 1, "nothing of it was sent");
    here.blocks(0, 2).await;
    assert_eq!(count(&party, group, counter).await, U256::from(7));
}

/// Stores a payload at the transaction manager's port.
async fn store(network: &PrivateNetwork, payload: &[u8]) -> Bytes {
    let url = format!("http://127.0.0.1:{}/storeraw", network.managers[0]);
    let body = json!({ "payload": STANDARD.encode(payload) });
    let request = reqwest::Client::new()
        .post(url)
        .header("x-api-key", token_of(0));
    let answer = request.json(&body).send().await.expect("the port answers");
    let stored: Value = answer.json().await.expect("it answers JSON");
    let handle = stored["key"].as_str().unwrap_or_else(|| panic!("{stored}"));
    STANDARD.decode(handle).expect("base64").into()
}

async fn ask(network: &PrivateNetwork, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let url = network.network.rpc_url(0);
    let request = reqwest::Client::new()
        .post(url)
        .header("x-api-key", token_of(0));
    let answer = request.json(&body).send().await.expect("the node answers");
    answer.json().await.expect("it answers JSON")
}

/// Whether a node's pool refuses a raw transaction.
async fn refuses(network: &PrivateNetwork, raw: &Bytes) -> bool {
    let method = "eth_sendRawTransaction";
    let answer = network.network.try_answer(0, method, json!([raw])).await;
    answer.expect("it answers")["error"].is_object()
}

async fn nonce_of(network: &PrivateNetwork, account: Address) -> u64 {
    let asked = json!([account, "latest"]);
    let nonce = network
        .network
        .call(0, "eth_getTransactionCount", asked)
        .await;
    let nonce: U256 = serde_json::from_value(nonce).expect("a quantity");
    nonce.to()
}

/// A Homestead transaction of a test account to a contract, marked as private by its
/// v or in its public form.
pub(crate) fn homestead(
    account: u32,
    (nonce, to): (u64, Address),
    handle: &Bytes,
    is_marked: bool,
) -> Bytes {
    let signer = PrivateKeySigner::from_bytes(&test_account(account).private_key).expect("a key");
    let legacy = TxLegacy {
        chain_id: None,
        nonce,
        gas_price: 0,
        gas_limit: 200_000,
        to: TxKind::Call(to),
        value: U256::ZERO,
        input: handle.clone(),
    };
    let signature = signer
        .sign_hash_sync(&legacy.signature_hash())
        .expect("it signs");
    // 37 and 38 are EIP-155's v of chain 1.
    let written = TxLegacy {
        chain_id: is_marked.then_some(1),
        ..legacy
    };
    TxEnvelope::from(written.into_signed(signature))
        .encoded_2718()
        .into()
}
