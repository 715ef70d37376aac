//! Osaka blocks compared with Ethereum's executable specification.
//!
//! The specification is an independent implementation (Python). To run:
//! `pip install ethereum-execution==2.20.0`, set `MEDINA_EELS` to its
//! `ethereum-spec-evm`, and
//! `cargo test -p medina-execution --test osaka_oracle -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_rlp::Header as RlpHeader;
use common::{CHAIN_ID, Chain, Send, account, authorize, free, init_code};
use medina_types::{StateChanges, Transaction};
use serde_json::{Value, json};
use std::process::Command;

/// A block with everything that our state handling has a rule for.
fn transactions(chain: &Chain) -> Vec<Transaction> {
    let fresh = Address::repeat_byte(0x55);
    let create = |from, nonce, code: &[u8]| Send {
        to: TxKind::Create,
        input: Bytes::copy_from_slice(code),
        ..Send::new(from, nonce, fresh).gas(300_000)
    };
    let mut request = Send::new(
        4,
        0,
        alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    );
    request.input = vec![9; 56].into();
    let mut p256 = Send::new(4, 1, Address::left_padding_from(&[1, 0]));
    p256.input = vec![7; 160].into();
    // Clears slot 0 of a counter that counted, for the refund: PUSH0 PUSH0 SSTORE.
    let clearer = init_code(&hex!("5f5f55"));
    vec![
        Send::new(1, 0, fresh).value(5).fees(9, 3).signed(),
        Send::new(1, 1, chain.counter).signed_legacy(),
        Send::new(1, 2, chain.reverter).value(1).signed(),
        Send::new(1, 3, chain.looper).gas(40_000).signed(),
        create(2, 0, &init_code(&common::COUNTER)).signed(),
        create(2, 1, &hex!("60015f5533ff")).value(7).signed(),
        create(2, 2, &clearer).signed(),
        Send::new(2, 3, account(2).address().create(0)).signed(),
        Send::new(2, 4, account(3).address())
            .gas(200_000)
            .signed_with(vec![
                authorize(3, 0, chain.counter),
                authorize(3, 7, chain.counter),
            ]),
        Send::new(2, 5, account(3).address()).signed(),
        Send::new(2, 6, account(3).address())
            .gas(200_000)
            .signed_with(vec![authorize(3, 1, account(2).address().create(2))]),
        Send::new(2, 7, account(3).address())
            .gas(200_000)
            .signed_with(vec![authorize(3, 2, Address::ZERO)]),
        request.value(1).gas(300_000).signed(),
        p256.gas(200_000).signed(),
    ]
}

fn alloc(state: &StateChanges) -> Value {
    let accounts = state.accounts.iter().map(|(address, change)| {
        let after = change.after.unwrap();
        let code = state
            .codes
            .get(&after.code_hash)
            .cloned()
            .unwrap_or_default();
        let slots = change.storage.iter();
        let storage: serde_json::Map<_, _> = slots
            .map(|(key, slot)| {
                (
                    format!("{key:#066x}"),
                    json!(format!("{:#066x}", slot.after)),
                )
            })
            .collect();
        let account = json!({
            "balance": format!("{:#x}", after.balance),
            "nonce": format!("{:#x}", after.nonce),
            "code": code,
            "storage": storage,
        });
        (address.to_string().to_lowercase(), account)
    });
    Value::Object(accounts.collect())
}

fn encoded(transactions: &[Transaction]) -> String {
    let mut list = Vec::new();
    for transaction in transactions {
        transaction.network_encode(&mut list);
    }
    let mut bytes = Vec::new();
    RlpHeader {
        list: true,
        payload_length: list.len(),
    }
    .encode(&mut bytes);
    bytes.extend(list);
    hex::encode_prefixed(bytes)
}

#[test]
#[ignore = "needs the executable specification: set MEDINA_EELS to its ethereum-spec-evm"]
fn executable_specification_agrees_with_our_block() {
    let program = std::env::var("MEDINA_EELS").expect("MEDINA_EELS names the program");
    let mut builder = common::builder();
    // The contracts that every test chain deploys, so that both sides start alike.
    let deployer = account(0).address();
    for code in [&common::COUNTER[..], &common::REVERTER, &common::LOOPER] {
        builder
            .deploy(deployer, init_code(code), U256::ZERO)
            .unwrap();
    }
    let genesis = builder.finish().unwrap();
    let chain = Chain::new(free());
    let transactions = transactions(&chain);
    let parent = chain.head();
    let built = chain.build(&transactions);
    assert_eq!(built.receipts.len(), transactions.len());
    let header = built.block.header();

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: Value| {
        std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    };
    write("alloc.json", alloc(&genesis));
    write("txs.rlp", json!(encoded(&transactions)));
    write(
        "env.json",
        json!({
            "currentCoinbase": header.beneficiary,
            "currentGasLimit": format!("{:#x}", header.gas_limit),
            "currentNumber": format!("{:#x}", header.number),
            "currentTimestamp": format!("{:#x}", header.timestamp),
            "currentRandom": header.mix_hash,
            "currentBaseFee": "0x0",
            "currentExcessBlobGas": "0x0",
            "parentBeaconBlockRoot": header.parent_beacon_block_root,
            "parentHash": parent.hash,
            "blockHashes": {"0x0": parent.hash},
            "withdrawals": [],
        }),
    );
    let output = Command::new(program)
        .current_dir(folder.path())
        .args([
            "t8n",
            "--input.alloc",
            "alloc.json",
            "--input.env",
            "env.json",
        ])
        .args([
            "--input.txs",
            "txs.rlp",
            "--state.fork",
            "Osaka",
            "--state.reward",
            "-1",
        ])
        .args([
            "--state.chainid",
            &CHAIN_ID.to_string(),
            "--output.result",
            "result.json",
        ])
        .args(["--output.alloc", "after.json", "--output.basedir", "."])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = std::fs::read_to_string(folder.path().join("result.json")).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(result["rejected"], json!([]), "{said}");
    let ours = json!({
        "gasUsed": format!("{:#x}", header.gas_used),
        "txRoot": header.transactions_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "requestsHash": header.requests_hash,
        "stateRoot": header.state_root,
    });
    for (field, value) in ours.as_object().unwrap() {
        assert_eq!(&result[field], value, "{field}");
    }
}
