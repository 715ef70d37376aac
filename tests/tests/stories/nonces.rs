//! Transactions that would stick: the node loses them with its pool, the base fee rises past what they offer,
//! another program signs for the same account. Each payment is made once, or is told not to have been.

use crate::town::{TOKEN, Town, account};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_provider::Provider as _;
use alloy_sol_types::SolCall as _;
use medina_contracts::medina_token::MedinaToken::transferCall;
use medina_sdk::client::{ClientError, MarketClient};
use medina_tests::processes::eventually;
use serde_json::json;

const PAYER: u32 = 1;
/// Who fills blocks, so that the base fee rises.
const SPENDER: u32 = 2;
/// Runs until its gas is gone: `JUMPDEST PUSH1 0 JUMP`.
const ENDLESS: &str = "5b600056";
/// Gas of a block, and of one that runs so: it fills the block.
const BLOCK_GAS: u64 = 16_000_000;
const ENDLESS_GAS: u64 = 15_900_000;

fn somebody() -> Address {
    Address::repeat_byte(0x77)
}

/// A genesis in which gas costs something from the first block on.
fn metered(folder: &std::path::Path) -> String {
    let path = folder.join("metered.json");
    let genesis = json!({
        "config": {
            "chainId": 77_004,
            "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
            "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0, "mergeNetsplitBlock": 0,
            "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
            "qbft": { "requesttimeoutseconds": 2 },
        },
        "difficulty": "0x1", "gasLimit": format!("{BLOCK_GAS:#x}"), "baseFeePerGas": "0x3b9aca00",
        "alloc": {},
    });
    std::fs::write(&path, genesis.to_string()).unwrap();
    path.to_str().expect("a plain path").to_owned()
}

async fn base_fee(client: &MarketClient) -> u128 {
    let latest = client
        .provider()
        .get_block_by_number(alloy_eips::BlockNumberOrTag::Latest);
    let latest = latest.await.unwrap().expect("a chain has a head");
    latest
        .header
        .base_fee_per_gas
        .expect("gas costs something")
        .into()
}

/// Fills blocks until the base fee is above this.
async fn raise_base_fee(client: &MarketClient, above: u128) {
    let spender = account(SPENDER);
    let provider = client.provider();
    let mut nonce = provider
        .get_transaction_count(spender.address())
        .await
        .unwrap();
    while base_fee(client).await <= above {
        let transaction = TxEip1559 {
            chain_id: client.chain_id(),
            nonce,
            gas_limit: ENDLESS_GAS,
            max_fee_per_gas: 100 * above,
            max_priority_fee_per_gas: 1,
            to: TxKind::Create,
            input: Bytes::from(hex::decode(ENDLESS).unwrap()),
            ..TxEip1559::default()
        };
        let signed = spender.sign_transaction(transaction).unwrap();
        let sent = provider.send_raw_transaction(&signed.raw).await;
        assert!(sent.is_ok(), "{:?}", sent.err());
        nonce += 1;
        client.wait_for_receipt(signed.hash).await.unwrap();
    }
}

async fn received(client: &MarketClient) -> U256 {
    client.balance(somebody()).await.unwrap()
}

fn payment(amount: u64) -> Bytes {
    let to = somebody();
    let value = U256::from(amount);
    transferCall { to, value }.abi_encode().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_that_was_lost_and_became_too_cheap_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = metered(folder.path());
    let mut town = Town::of_processes(&["--from-genesis", &genesis]).await;
    let client = town.client(PAYER).await;
    let token = client.contracts().medina_token;
    assert!(base_fee(&client).await > 0);
    client.transfer(somebody(), U256::ONE).await.unwrap();

    // Only the first node is left: it takes the payment, tells nobody, and loses it.
    let network = town.processes();
    for node in 1..network.len() {
        network.kill(node);
    }
    let lost = client.submit(token, payment(2), "transfer").await.unwrap();
    let offered = 2 * base_fee(&client).await;
    network.kill(0);
    for node in 0..network.len() {
        network.run(node);
    }
    for node in 0..network.len() {
        network.ready(node).await;
    }
    let at_node = client
        .provider()
        .get_transaction_by_hash(lost)
        .await
        .unwrap();
    assert!(at_node.is_none(), "a pool does not outlive its node");
    raise_base_fee(&client, 2 * offered).await;

    // What comes behind it makes it move: dearer, under another hash, once.
    client.transfer(somebody(), U256::from(4)).await.unwrap();
    assert_eq!(received(&client).await, U256::from(7));
    let provider = client.provider();
    let receipt = provider.get_transaction_receipt(lost).await.unwrap();
    assert!(
        receipt.is_none(),
        "at its first fee it could not be included"
    );
    let nonce = provider
        .get_transaction_count(account(PAYER).address())
        .await
        .unwrap();
    assert_eq!(nonce, 3);
    town.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_with_one_account_pay_each_sum_once_or_say_that_it_was_not_paid() {
    let town = Town::of_processes(&[]).await;
    let programs = [town.client(PAYER).await, town.client(PAYER).await];
    let observer = town.client(0).await;
    let paid = async |client: &MarketClient, amounts: std::ops::Range<u64>| {
        let mut sum = 0;
        for amount in amounts {
            match client.transfer(somebody(), U256::from(amount)).await {
                Ok(_) => sum += amount,
                Err(ClientError::NonceTaken { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        sum
    };
    let (first, second) = tokio::join!(paid(&programs[0], 1..15), paid(&programs[1], 100..115));
    assert!(
        first > 0 && second > 0,
        "neither is starved: {first}, {second}"
    );
    assert_eq!(received(&observer).await, U256::from(first + second));

    // A third program of that account, the terminal, in between: both go on.
    let line = format!("token send {} 1", somebody());
    town.succeed(PAYER, &line);
    for client in &programs {
        client
            .transfer(somebody(), U256::from(1_000))
            .await
            .unwrap();
    }
    let all = U256::from(first + second + 2_000) + U256::from(TOKEN);
    eventually("every payment to be seen", || async {
        (received(&observer).await == all).then_some(())
    })
    .await;
    let pending = observer
        .provider()
        .get_transaction_count(account(PAYER).address())
        .pending();
    let (pending, latest) = (
        pending.await.unwrap(),
        observer
            .provider()
            .get_transaction_count(account(PAYER).address())
            .await
            .unwrap(),
    );
    assert_eq!(pending, latest, "nothing is left in the pool");
    town.agree().await;
}
