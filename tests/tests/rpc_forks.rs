//! A network that begins with Paris and goes on to Osaka, by block and by time, as a
//! genesis file of another client says it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use medina_tests::processes::{NetworkOfProcesses, eventually};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

const CHAIN_ID: u64 = 77_001;
const SHANGHAI_BLOCK: u64 = 3;
const CANCUN_BLOCK: u64 = 5;
/// Time that the first blocks have before Prague: enough for what is done until then
/// on a busy machine, and a test that comes late still proves the rest.
const PRAGUE_AFTER: Duration = Duration::from_secs(25);
const OSAKA_AFTER: Duration = Duration::from_secs(30);

/// Seconds since the epoch, by the clock that nodes take their times from.
fn now_s() -> u64 {
    // A folder made now bears the system's time.
    let folder = tempfile::tempdir().unwrap();
    let made = std::fs::metadata(folder.path())
        .unwrap()
        .modified()
        .unwrap();
    made.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn genesis(begin_s: u64) -> Value {
    json!({
        "config": {
            "chainId": CHAIN_ID,
            "homesteadBlock": 0,
            "eip150Block": 0,
            "eip155Block": 0,
            "eip158Block": 0,
            "byzantiumBlock": 0,
            "constantinopleBlock": 0,
            "petersburgBlock": 0,
            "istanbulBlock": 0,
            "berlinBlock": 0,
            "londonBlock": 0,
            "mergeNetsplitBlock": 0,
            "terminalTotalDifficulty": 0,
            "shanghaiBlock": SHANGHAI_BLOCK,
            "cancunBlock": CANCUN_BLOCK,
            "pragueTime": begin_s + PRAGUE_AFTER.as_secs(),
            "osakaTime": begin_s + OSAKA_AFTER.as_secs(),
            "qbft": { "requesttimeoutseconds": 2 },
        },
        "difficulty": "0x1",
        "gasLimit": "0x1c9c380",
        "timestamp": format!("{begin_s:#x}"),
        "alloc": {},
    })
}

fn sender() -> PrivateKeySigner {
    let phrase = "test test test test test test test test test test test junk";
    let builder = MnemonicBuilder::<English>::default().phrase(phrase);
    builder.build().unwrap()
}

fn transfer(nonce: u64) -> Bytes {
    let signer = sender();
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        to: Address::repeat_byte(0x77).into(),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    TxEnvelope::from(transaction.into_signed(signature))
        .encoded_2718()
        .into()
}

/// What a block must look like and run by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rules {
    Paris,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
}

fn rules_of(block: &Value, begin_s: u64) -> Rules {
    let quantity = |name: &str| {
        let text = block[name].as_str().unwrap().trim_start_matches("0x");
        u64::from_str_radix(text, 16).unwrap()
    };
    let after = Duration::from_secs(quantity("timestamp") - begin_s);
    if after >= OSAKA_AFTER {
        Rules::Osaka
    } else if after >= PRAGUE_AFTER {
        Rules::Prague
    } else if quantity("number") >= CANCUN_BLOCK {
        Rules::Cancun
    } else if quantity("number") >= SHANGHAI_BLOCK {
        Rules::Shanghai
    } else {
        Rules::Paris
    }
}

/// Runs code in the environment of a block; whether it ended well.
async fn runs(network: &NetworkOfProcesses, number: &Value, code: &str) -> bool {
    let place = Address::repeat_byte(0xc0);
    let call = json!([{ "to": place }, number, { place.to_string(): { "code": code } }]);
    let answer = network.try_answer(0, "eth_call", call).await.unwrap();
    answer.get("error").is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_goes_from_paris_to_osaka_by_block_and_by_time() {
    let begin_s = now_s();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), genesis(begin_s).to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let mut network = NetworkOfProcesses::create_with(4, &["--from-genesis", path]);
    for index in 0..4 {
        network.run(index);
    }
    for index in 0..4 {
        network.ready(index).await;
        network.linked(index, 3).await;
    }
    let mut seen = vec![Rules::Paris];
    for nonce in 0.. {
        let block = block_with(&network, nonce).await;
        let rules = rules_of(&block, begin_s);
        check_block(&network, &block, rules).await;
        if seen.last() != Some(&rules) {
            seen.push(rules);
        }
        if rules == Rules::Osaka {
            break;
        }
        if rules >= Rules::Cancun {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    // How many blocks there are between the times is the machine's affair; those by
    // block are there unless it was very slow.
    assert!(seen.is_sorted() && seen.contains(&Rules::Osaka), "{seen:?}");
    assert_eq!(network.agree(&[0, 1, 2, 3]).await, height(&network).await);
    // Who joins now checks every block by the rules of its time.
    let follower = network.add_follower();
    network.run(follower);
    network.ready(follower).await;
    network.reaches(follower, height(&network).await).await;
    network.agree(&[0, follower]).await;
}

async fn height(network: &NetworkOfProcesses) -> u64 {
    network.height(0).await.unwrap()
}

/// Sends a transfer and answers its block.
async fn block_with(network: &NetworkOfProcesses, nonce: u64) -> Value {
    let raw = json!([transfer(nonce)]);
    let hash = network.call(0, "eth_sendRawTransaction", raw).await;
    let receipt = eventually("a receipt", || async {
        let params = json!([hash]);
        let receipt = network.try_call(0, "eth_getTransactionReceipt", params);
        receipt.await.filter(Value::is_object)
    })
    .await;
    assert_eq!(receipt["status"], "0x1");
    let params = json!([receipt["blockNumber"], false]);
    network.call(0, "eth_getBlockByNumber", params).await
}

async fn check_block(network: &NetworkOfProcesses, block: &Value, rules: Rules) {
    for (field, since) in [
        ("withdrawals", Rules::Shanghai),
        ("withdrawalsRoot", Rules::Shanghai),
        ("blobGasUsed", Rules::Cancun),
        ("excessBlobGas", Rules::Cancun),
        ("parentBeaconBlockRoot", Rules::Cancun),
        ("requestsHash", Rules::Prague),
    ] {
        let is_there = !block[field].is_null();
        assert_eq!(is_there, rules >= since, "{field} under {rules:?}: {block}");
    }
    // PUSH0 PUSH0 RETURN; the same behind MCOPY; behind CLZ.
    for (code, since) in [
        ("0x5f5ff3", Rules::Shanghai),
        ("0x6000600060005e60006000f3", Rules::Cancun),
        ("0x60011e60006000f3", Rules::Osaka),
    ] {
        let number = &block["number"];
        assert_eq!(
            runs(network, number, code).await,
            rules >= since,
            "{code} under {rules:?}"
        );
    }
    let named = network.call(0, "medina_validators", json!([])).await;
    let named = named.as_array().or(named["validators"].as_array()).unwrap();
    assert_eq!(named.len(), 4);
}
