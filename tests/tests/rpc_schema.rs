//! Every answer of every public method against the OpenRPC document of
//! execution-apis, asked of a network that runs, with every type of transaction,
//! events, reverts, creations and something that waits.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_primitives::B256;
use medina_ethereum_tests::{OpenRpc, shared_rpc_folder};
use medina_tests::{
    processes::NetworkOfProcesses,
    rpc_fuzz::{Filled, fill},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Methods of the document that a node does not serve, each with its reason.
const NOT_SERVED: [(&str, &str); 3] = [
    ("eth_sign", "a node keeps no keys of accounts"),
    ("eth_signTransaction", "a node keeps no keys of accounts"),
    ("eth_sendTransaction", "a node keeps no keys of accounts"),
];

/// A network with its document.
struct Checked {
    network: NetworkOfProcesses,
    document: OpenRpc,
    asked: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Checked {
    /// Asks, and notes what is not as the document says; the result, if there is one.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked.insert(method.to_owned());
        let list = params.as_array().cloned().unwrap_or_default();
        let Some(answer) = self.network.try_answer(0, method, params.clone()).await else {
            self.wrong.push(format!("{method}{params}: no answer"));
            return Value::Null;
        };
        if answer.get("error").is_some() {
            self.wrong
                .push(format!("{method}{params}: {}", answer["error"]));
            return Value::Null;
        }
        let result = answer["result"].clone();
        if let Err(reason) = self.document.check_params(method, &list) {
            self.wrong
                .push(format!("{method}{params}: the test asks wrongly: {reason}"));
        }
        if let Err(reason) = self.document.check_result(method, &result) {
            let shown: String = result.to_string().chars().take(300).collect();
            self.wrong
                .push(format!("{method}{params}: {reason}\n    {shown}"));
        }
        result
    }

    /// Asks for something that must be refused with this code.
    async fn refused(&mut self, method: &str, params: Value, code: i64) {
        let answer = self.network.try_answer(0, method, params.clone()).await;
        let found = answer.unwrap_or_default()["error"]["code"].as_i64();
        if found != Some(code) {
            self.wrong
                .push(format!("{method}{params}: {found:?} and not {code}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_shape_that_the_document_says() {
    let Some(folder) = shared_rpc_folder() else {
        eprintln!("skipped: no OpenRPC document beside the repository (MEDINA_RPC_TESTS)");
        return;
    };
    let document = OpenRpc::read(&folder.join("openrpc.json")).unwrap();
    let network = NetworkOfProcesses::start(1).await;
    let filled = fill(&network.rpc_url(0)).await;
    let mut checked = Checked {
        network,
        document,
        asked: BTreeSet::new(),
        wrong: Vec::new(),
    };
    chain(&mut checked).await;
    blocks(&mut checked, &filled).await;
    transactions(&mut checked, &filled).await;
    state(&mut checked, &filled).await;
    calls(&mut checked, &filled).await;
    fees(&mut checked).await;
    filters(&mut checked, &filled).await;
    debugging(&mut checked, &filled).await;
    pool(&mut checked, &filled).await;
    submit(&mut checked, &filled).await;
    not_served(&mut checked).await;
    let all: BTreeSet<String> = checked.document.methods().map(str::to_owned).collect();
    let left_out: Vec<_> = all.difference(&checked.asked).collect();
    assert!(left_out.is_empty(), "nobody asked for {left_out:?}");
    let wrong = checked.wrong.join("\n");
    assert!(
        checked.wrong.is_empty(),
        "{} answers are wrong:\n{wrong}",
        checked.wrong.len()
    );
}

async fn chain(checked: &mut Checked) {
    for method in [
        "eth_chainId",
        "eth_syncing",
        "eth_coinbase",
        "eth_accounts",
        "eth_blockNumber",
        "eth_config",
        "eth_capabilities",
        "net_version",
    ] {
        checked.ask(method, json!([])).await;
    }
}

async fn blocks(checked: &mut Checked, filled: &Filled) {
    let tags = ["earliest", "latest", "safe", "finalized", "pending"];
    let heights = (0..=filled.height).map(|height| format!("{height:#x}"));
    let unknown = "0xffffff".to_owned();
    let all: Vec<String> = tags
        .iter()
        .map(|tag| (*tag).to_owned())
        .chain(heights)
        .collect();
    for id in all.into_iter().chain([unknown]) {
        for is_full in [false, true] {
            let block = checked
                .ask("eth_getBlockByNumber", json!([id, is_full]))
                .await;
            let hash = &block["hash"];
            if hash.is_string() {
                checked
                    .ask("eth_getBlockByHash", json!([hash, is_full]))
                    .await;
                checked
                    .ask("eth_getBlockTransactionCountByHash", json!([hash]))
                    .await;
            }
        }
        checked
            .ask("eth_getBlockTransactionCountByNumber", json!([id]))
            .await;
        if id != "pending" {
            checked.ask("eth_getBlockReceipts", json!([id])).await;
        }
    }
    let nowhere = B256::repeat_byte(0xee);
    checked
        .ask("eth_getBlockByHash", json!([nowhere, false]))
        .await;
}

async fn transactions(checked: &mut Checked, filled: &Filled) {
    for (_, hash) in &filled.transactions {
        let found = checked.ask("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!(found["hash"], json!(hash));
        checked
            .ask("eth_getTransactionReceipt", json!([hash]))
            .await;
        let (block, index) = (&found["blockHash"], &found["transactionIndex"]);
        checked
            .ask(
                "eth_getTransactionByBlockHashAndIndex",
                json!([block, index]),
            )
            .await;
        let number = &found["blockNumber"];
        let params = json!([number, index]);
        checked
            .ask("eth_getTransactionByBlockNumberAndIndex", params)
            .await;
    }
    let nowhere = B256::repeat_byte(0xee);
    checked
        .ask("eth_getTransactionByHash", json!([nowhere]))
        .await;
    checked
        .ask("eth_getTransactionReceipt", json!([nowhere]))
        .await;
    let params = json!(["latest", "0x7f"]);
    checked
        .ask("eth_getTransactionByBlockNumberAndIndex", params)
        .await;
}

async fn state(checked: &mut Checked, filled: &Filled) {
    let slots = [
        "0x0",
        "0x1",
        "0x0000000000000000000000000000000000000000000000000000000000000001",
    ];
    for address in [
        filled.sender,
        filled.contract,
        alloy_primitives::Address::repeat_byte(0xab),
    ] {
        for id in ["earliest", "latest", "pending", "0x1"] {
            checked.ask("eth_getBalance", json!([address, id])).await;
            checked.ask("eth_getCode", json!([address, id])).await;
            checked
                .ask("eth_getTransactionCount", json!([address, id]))
                .await;
            for slot in slots {
                checked
                    .ask("eth_getStorageAt", json!([address, slot, id]))
                    .await;
            }
            checked
                .ask("eth_getProof", json!([address, slots, id]))
                .await;
            let wanted = BTreeMap::from([(address.to_string().to_lowercase(), [slots[2]])]);
            checked
                .ask("eth_getStorageValues", json!([wanted, id]))
                .await;
        }
    }
}

async fn calls(checked: &mut Checked, filled: &Filled) {
    let good = json!({ "from": filled.sender, "to": filled.contract });
    for id in ["latest", "pending", "0x1"] {
        checked.ask("eth_call", json!([good, id])).await;
        checked.ask("eth_estimateGas", json!([good, id])).await;
        checked.ask("eth_createAccessList", json!([good, id])).await;
    }
    let reverting = json!({ "from": filled.sender, "to": filled.contract, "input": "0x01" });
    checked
        .refused("eth_call", json!([reverting, "latest"]), 3)
        .await;
    checked
        .refused("eth_estimateGas", json!([reverting, "latest"]), 3)
        .await;
    checked
        .ask("eth_createAccessList", json!([reverting, "latest"]))
        .await;
    let payload = json!({ "blockStateCalls": [
        { "calls": [good, reverting] },
        { "blockOverrides": { "gasLimit": "0x1c9c380" }, "calls": [good] },
    ] });
    for is_full in [false, true] {
        let mut payload = payload.clone();
        payload["returnFullTransactions"] = json!(is_full);
        payload["traceTransfers"] = json!(is_full);
        checked
            .ask("eth_simulateV1", json!([payload, "latest"]))
            .await;
    }
    checked.ask("eth_fillTransaction", json!([good])).await;
}

async fn fees(checked: &mut Checked) {
    for method in [
        "eth_gasPrice",
        "eth_baseFee",
        "eth_blobBaseFee",
        "eth_maxPriorityFeePerGas",
    ] {
        checked.ask(method, json!([])).await;
    }
    checked
        .ask("eth_feeHistory", json!(["0x5", "latest", [5, 50, 95]]))
        .await;
    checked
        .ask("eth_feeHistory", json!(["0x2", "pending", []]))
        .await;
}

async fn filters(checked: &mut Checked, filled: &Filled) {
    let wanted =
        json!({ "fromBlock": "earliest", "toBlock": "latest", "address": filled.contract });
    let logs = checked.ask("eth_getLogs", json!([wanted])).await;
    assert!(
        logs.as_array().is_some_and(|logs| !logs.is_empty()),
        "the contract tells of itself"
    );
    let by_block = json!({ "blockHash": logs[0]["blockHash"] });
    checked.ask("eth_getLogs", json!([by_block])).await;
    // Of all contracts, so that it has news: an empty list fits two of the document's alternatives.
    let of_logs = checked
        .ask("eth_newFilter", json!([{ "fromBlock": "earliest" }]))
        .await;
    let of_blocks = checked.ask("eth_newBlockFilter", json!([])).await;
    let of_pending = checked
        .ask("eth_newPendingTransactionFilter", json!([]))
        .await;
    checked.ask("eth_getFilterLogs", json!([of_logs])).await;
    let again = fill(&checked.network.rpc_url(0)).await;
    assert!(again.height > filled.height);
    for filter in [of_logs, of_blocks, of_pending] {
        checked.ask("eth_getFilterChanges", json!([filter])).await;
        checked.ask("eth_uninstallFilter", json!([filter])).await;
    }
}

async fn debugging(checked: &mut Checked, filled: &Filled) {
    let tracers = [
        json!({}),
        json!({ "enableMemory": true, "enableReturnData": true }),
        json!({ "tracer": "callTracer" }),
        json!({ "tracer": "prestateTracer" }),
        json!({ "tracer": "4byteTracer" }),
    ];
    for (_, hash) in &filled.transactions {
        checked.ask("debug_getRawTransaction", json!([hash])).await;
        for tracer in &tracers {
            checked
                .ask("debug_traceTransaction", json!([hash, tracer]))
                .await;
        }
    }
    let block = checked
        .ask("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    for method in [
        "debug_getRawHeader",
        "debug_getRawBlock",
        "debug_getRawReceipts",
    ] {
        for id in ["0x0", "latest"] {
            checked.ask(method, json!([id])).await;
        }
    }
    for tracer in &tracers {
        checked
            .ask("debug_traceBlockByNumber", json!(["latest", tracer]))
            .await;
        checked
            .ask("debug_traceBlockByHash", json!([block["hash"], tracer]))
            .await;
    }
    checked.ask("debug_getBadBlocks", json!([])).await;
    // EIP-7928 comes after Osaka: no block has a list.
    for id in [&json!("latest"), &block["hash"], &json!("0xffffff")] {
        let found = checked.ask("eth_getBlockAccessList", json!([id])).await;
        assert!(found.is_null());
    }
    let raw = "debug_getRawBlockAccessList";
    checked.asked.insert(raw.to_owned());
    checked.refused(raw, json!(["latest"]), -32001).await;
}

async fn pool(checked: &mut Checked, filled: &Filled) {
    checked.ask("txpool_status", json!([])).await;
    let content = checked.ask("txpool_content", json!([])).await;
    assert!(
        content["queued"]
            .as_object()
            .is_some_and(|queued| !queued.is_empty())
    );
    checked
        .ask("txpool_contentFrom", json!([filled.sender]))
        .await;
}

async fn submit(checked: &mut Checked, filled: &Filled) {
    // The chain has gone on since it was signed: it is the next one no longer.
    checked
        .refused("eth_sendRawTransaction", json!([filled.unsent]), -32000)
        .await;
    let again = fill(&checked.network.rpc_url(0)).await;
    checked
        .ask("eth_sendRawTransaction", json!([again.unsent]))
        .await;
}

async fn not_served(checked: &mut Checked) {
    for (method, _) in NOT_SERVED {
        checked.asked.insert(method.to_owned());
        checked.refused(method, json!([]), -32601).await;
    }
    for method in [
        "engine_newPayloadV4",
        "engine_forkchoiceUpdatedV3",
        "personal_sign",
    ] {
        checked.refused(method, json!([]), -32601).await;
    }
}
