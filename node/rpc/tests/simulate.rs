//! `eth_simulateV1` and `eth_fillTransaction` on a chain of our own. The public
//! cases, in `tests/ethereum`, compare every field with geth's answers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::Address;
use medina_types::{GasPolicy, MeteredGas};
use serde_json::{Value, json};
use support::*;

const ETHER: &str = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

fn metered() -> GasPolicy {
    GasPolicy::Metered(MeteredGas {
        initial_base_fee: 1_000_000_000,
        treasury: Address::repeat_byte(0xee),
        treasury_share_bps: 1_000,
    })
}

fn transfer(from: Address) -> Value {
    json!({ "from": from, "to": Address::repeat_byte(9), "value": "0x5" })
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_build_on_each_other_and_nothing_stays() {
    let rpc = Rpc::start().await;
    let sender = account(0).address();
    let count = json!({ "from": sender, "to": COUNTER_AT });
    let blocks = json!([
        { "calls": [count, transfer(sender)] },
        { "blockOverrides": { "number": "0x4" }, "calls": [count] },
    ]);
    let simulation = json!({
        "blockStateCalls": blocks, "traceTransfers": true, "returnFullTransactions": true,
    });
    let answer = rpc
        .call("eth_simulateV1", json!([simulation, "latest"]))
        .await;
    let numbers: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["number"])
        .collect();
    assert_eq!(numbers, ["0x1", "0x2", "0x3", "0x4"]);
    for pair in answer.as_array().unwrap().windows(2) {
        assert_eq!(pair[1]["parentHash"], pair[0]["hash"]);
    }
    let first = &answer[0];
    let logs = [&first["calls"][0]["logs"][0], &first["calls"][1]["logs"][0]];
    assert_eq!(logs[1]["address"], ETHER);
    assert_eq!(
        (&logs[0]["logIndex"], &logs[1]["logIndex"]),
        (&json!("0x0"), &json!("0x1"))
    );
    assert_eq!(logs[1]["transactionHash"], first["transactions"][1]["hash"]);
    assert_eq!(first["transactions"][0]["from"], json!(sender));
    assert_eq!(answer[3]["calls"][0]["status"], "0x1");
    // The second count of the same slot costs less: the first one is still there.
    let gas = |block: usize| {
        answer[block]["calls"][0]["gasUsed"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_ne!(gas(0), gas(3));
    let kept = rpc
        .call("eth_getStorageAt", json!([COUNTER_AT, "0x0", "latest"]))
        .await;
    assert_eq!(kept, format!("0x{}", "00".repeat(32)));
    assert_eq!(rpc.call("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_block_has_the_root_of_the_real_one() {
    let rpc = Rpc::start().await;
    let sender = account(0).address();
    let head = rpc
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let time = number(&head["timestamp"]) + 1;
    let calls = json!([{ "from": sender, "to": COUNTER_AT, "gas": "0x186a0" }]);
    let header = json!({ "time": format!("{time:#x}"), "feeRecipient": operator() });
    let simulation = json!({ "blockStateCalls": [{ "blockOverrides": header, "calls": calls }] });
    let simulated = rpc
        .call("eth_simulateV1", json!([simulation, "latest"]))
        .await;
    rpc.send(&signed(0, 0, Some(COUNTER_AT), &[])).await;
    rpc.node.mine();
    let real = rpc
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    for field in [
        "stateRoot",
        "gasUsed",
        "logsBloom",
        "requestsHash",
        "parentHash",
        "number",
    ] {
        assert_eq!(simulated[0][field], real[field], "{field}");
    }
    // At the block before, it comes to the same after the chain went on.
    let again = rpc.call("eth_simulateV1", json!([simulation, "0x0"])).await;
    assert_eq!(again, simulated);
}

fn number(value: &Value) -> u64 {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_codes_of_the_specification() {
    let rpc = Rpc::of(TestNode::with_gas(metered()), |_| {}).await;
    let (rich, poor) = (account(0).address(), Address::repeat_byte(0x77));
    let one = |call: Value| json!([{ "calls": [call] }]);
    let with = |mut call: Value, field: &str, value: Value| {
        call[field] = value;
        call
    };
    let blocks = |first: Value, second: Value| json!([{ "blockOverrides": first }, { "blockOverrides": second }]);
    let table = [
        (
            one(with(transfer(rich), "nonce", json!("0x5"))),
            true,
            -38011,
        ),
        (one(transfer(rich)), true, -38012),
        (
            one(with(transfer(rich), "gas", json!("0x1"))),
            false,
            -38013,
        ),
        (one(transfer(poor)), false, -38014),
        (
            one(with(transfer(rich), "gas", json!("0xffffffffffff"))),
            false,
            -38015,
        ),
        (
            blocks(json!({ "number": "0x5" }), json!({ "number": "0x5" })),
            false,
            -38020,
        ),
        (blocks(json!({}), json!({ "time": "0x1" })), false, -38021),
        (
            blocks(json!({ "number": "0xfff" }), json!({})),
            false,
            -38026,
        ),
        (one(with(transfer(rich), "to", Value::Null)), false, 0),
        (json!([]), false, -32602),
    ];
    for (blocks, validation, code) in table {
        let simulation = json!({ "blockStateCalls": blocks, "validation": validation });
        let params = json!([simulation, "latest"]);
        if code == 0 {
            rpc.call("eth_simulateV1", params).await;
        } else {
            let refused = rpc.refused("eth_simulateV1", params).await;
            assert_eq!(refused.0, code, "{}", refused.1);
        }
    }
    let unknown = rpc
        .refused(
            "eth_simulateV1",
            json!([{ "blockStateCalls": [{}] }, "0x99"]),
        )
        .await;
    assert_eq!(unknown, (-32000, "header not found".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_calls_are_bounded_by_the_gas_of_all_calls_together() {
    let rpc = Rpc::start().await;
    let sender = account(0).address();
    let block = json!({
        "blockOverrides": { "gasLimit": "0xffffffffff" },
        "calls": [{ "from": sender, "to": LOOPER_AT }],
    });
    let one = json!({ "blockStateCalls": [block] });
    let answer = rpc.call("eth_simulateV1", json!([one, "latest"])).await;
    let call = &answer[0]["calls"][0];
    assert_eq!(
        (&call["status"], &call["error"]["code"]),
        (&json!("0x0"), &json!(-32015))
    );
    assert_eq!(number(&call["gasUsed"]), 50_000_000);
    let two = json!({ "blockStateCalls": [block, block] });
    let refused = rpc.refused("eth_simulateV1", json!([two, "latest"])).await;
    assert_eq!(refused.0, -38013, "{}", refused.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn precompiles_move_and_what_is_none_does_not() {
    let rpc = Rpc::start().await;
    let (identity, elsewhere) = (Address::with_last_byte(4), Address::repeat_byte(0x99));
    let moved = json!({ identity.to_string(): { "movePrecompileToAddress": elsewhere } });
    let ask = |to: Address| json!({ "to": to, "input": "0x1234" });
    let simulation = json!({ "blockStateCalls": [
        { "stateOverrides": moved, "calls": [ask(elsewhere), ask(identity)] },
        { "calls": [ask(elsewhere), ask(identity)] },
    ]});
    let answer = rpc
        .call("eth_simulateV1", json!([simulation, "latest"]))
        .await;
    let data = |block: usize, call: usize| answer[block]["calls"][call]["returnData"].clone();
    assert_eq!([data(0, 0), data(0, 1)], ["0x1234", "0x"]);
    assert_eq!([data(1, 0), data(1, 1)], ["0x", "0x1234"]);
    let called = rpc
        .call("eth_call", json!([ask(elsewhere), "latest", moved]))
        .await;
    assert_eq!(called, "0x1234");
    let none = json!({ COUNTER_AT.to_string(): { "movePrecompileToAddress": elsewhere } });
    let refused = rpc
        .refused("eth_call", json!([ask(elsewhere), "latest", none]))
        .await;
    assert_eq!(refused.0, -32000);
    assert!(refused.1.ends_with("is not a precompile"), "{}", refused.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_only_begins_like_a_delegation_harms_nobody() {
    let rpc = Rpc::start().await;
    let at = Address::repeat_byte(0x88);
    for code in [
        "0xef0100",
        "0xef01",
        "0xef",
        "0xef010000000000000000000000000000000000000000000000",
    ] {
        let pretended = json!({ at.to_string(): { "code": code } });
        let refused = rpc
            .refused("eth_call", json!([{ "to": at }, "latest", pretended]))
            .await;
        assert_eq!(refused.0, -32000, "{code}: {}", refused.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_filled_ready_to_be_signed() {
    let rpc = Rpc::of(TestNode::with_gas(metered()), |_| {}).await;
    let sender = account(0).address();
    let filled = rpc
        .call("eth_fillTransaction", json!([transfer(sender)]))
        .await;
    let transaction = &filled["tx"];
    assert_eq!(
        (&transaction["type"], &transaction["nonce"]),
        (&json!("0x2"), &json!("0x0"))
    );
    assert_eq!(
        (&transaction["gas"], &transaction["chainId"]),
        (&json!("0x5208"), &json!("0x539"))
    );
    let (cap, tip) = (
        &transaction["maxFeePerGas"],
        &transaction["maxPriorityFeePerGas"],
    );
    assert_eq!(number(cap), 2_000_000_000 + number(tip));
    assert!(filled["raw"].as_str().unwrap().starts_with("0x02"));
    let mut older = transfer(sender);
    older["gasPrice"] = json!("0x77359400");
    let filled = rpc.call("eth_fillTransaction", json!([older])).await;
    assert_eq!(filled["tx"]["type"], "0x0");
    let nothing = rpc
        .refused("eth_fillTransaction", json!([{ "from": sender }]))
        .await;
    assert_eq!(nothing.1, "contract creation without any data provided");
}
