//! Free gas under a flood from fresh accounts, on running validators.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, B256, TxKind, U256, hex};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer::SignerSync as _;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use medina_genesis::TEST_MNEMONIC;
use medina_tests::processes::NetworkOfProcesses;
use serde_json::{Value, json};

const STRANGERS: u32 = 6_000;
const BATCH: usize = 500;
/// A hundred plain transfers: the flood needs dozens of blocks.
const BLOCK_GAS: u64 = 2_100_000;
/// Transactions that must still wait when the organisation comes, or the test shows nothing.
const WAITING_MIN: u64 = 1_000;

/// A transaction of an account that nobody has ever heard of: it needs no coins.
fn from_a_stranger(number: u32, chain_id: u64) -> String {
    let mut key = B256::repeat_byte(7);
    key[..4].copy_from_slice(&number.to_be_bytes());
    let signer = PrivateKeySigner::from_bytes(&key).expect("a valid key");
    let transaction = TxEip1559 {
        chain_id,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(8)),
        ..TxEip1559::default()
    };
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .expect("a signature");
    let signed = TxEnvelope::from(transaction.into_signed(signature));
    hex::encode_prefixed(signed.encoded_2718())
}

async fn network_with_small_blocks() -> NetworkOfProcesses {
    let mut network = NetworkOfProcesses::create(4);
    let path = network.directory().join("genesis.json");
    let text = std::fs::read(&path).expect("a generated genesis");
    let mut genesis: Value = serde_json::from_slice(&text).expect("JSON");
    genesis["gasLimit"] = json!(format!("0x{BLOCK_GAS:x}"));
    std::fs::write(&path, genesis.to_string()).expect("a writable folder");
    for node in 0..network.len() {
        network.run(node);
    }
    for node in 0..network.len() {
        network.ready(node).await;
    }
    network
}

fn number(hexadecimal: &Value) -> u64 {
    let digits = hexadecimal
        .as_str()
        .and_then(|text| text.strip_prefix("0x"));
    u64::from_str_radix(digits.expect("a quantity"), 16).expect("hexadecimal digits")
}

#[tokio::test(flavor = "multi_thread")]
async fn organisation_is_served_at_once_while_a_flood_of_strangers_waits() {
    let network = network_with_small_blocks().await;
    let chain_id = network.call(0, "eth_chainId", json!([])).await;
    let chain_id = number(&chain_id);
    let flood: Vec<_> = (0..STRANGERS)
        .map(|number| from_a_stranger(number, chain_id))
        .collect();
    let client = reqwest::Client::new();
    for batch in flood.chunks(BATCH) {
        let calls: Vec<_> = batch
            .iter()
            .map(|encoded| {
                json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction",
                        "params": [encoded] })
            })
            .collect();
        let answer = client
            .post(network.rpc_url(1))
            .json(&calls)
            .send()
            .await
            .unwrap();
        let answers: Vec<Value> = answer.json().await.unwrap();
        assert_eq!(answers.len(), batch.len());
    }

    let signer = MnemonicBuilder::<English>::default()
        .phrase(TEST_MNEMONIC)
        .build()
        .unwrap();
    let url = network.rpc_url(0).parse().unwrap();
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_http(url);
    let before = network.height(0).await.unwrap();
    let waiting = network.call(0, "txpool_status", json!([])).await;
    let waiting = number(&waiting["pending"]);
    assert!(
        waiting >= WAITING_MIN,
        "only {waiting} strangers wait at height {before}"
    );
    let to = Address::repeat_byte(9);
    // No tip, as the strangers: nothing but the organisation may tell them apart.
    let request = TransactionRequest::default()
        .with_to(to)
        .with_value(U256::from(1))
        .with_max_fee_per_gas(0)
        .with_max_priority_fee_per_gas(0);
    let pending = provider.send_transaction(request).await.unwrap();
    let receipt = pending.get_receipt().await.unwrap();
    let included = receipt.block_number.unwrap();
    // The block under way when it was sent, the proposer of the next that had not heard of it, and one more.
    assert!(
        included <= before + 3,
        "sent at height {before}, included at {included}"
    );
    network.agree(&[0, 1, 2, 3]).await;
}
