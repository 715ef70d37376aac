//! Every method called over HTTP on a real store, executor and pool.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::{Address, B256, U256};
use medina_types::{GasPolicy, MeteredGas};
use serde_json::{Value, json};
use support::*;

fn number(value: &Value) -> u64 {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("no quantity: {value}"));
    u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

/// A server whose chain has one block with two calls of the counter.
async fn with_a_block() -> (Rpc, String, Value) {
    let rpc = Rpc::start().await;
    let first = rpc.send(&signed(0, 0, Some(COUNTER_AT), &[])).await;
    rpc.send(&signed(1, 0, Some(COUNTER_AT), &[])).await;
    rpc.node.mine();
    let block = rpc
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    (rpc, first, block)
}

#[tokio::test(flavor = "multi_thread")]
async fn node_and_chain_introduce_themselves() {
    let rpc = Rpc::start().await;
    let version = rpc.call("web3_clientVersion", json!([])).await;
    assert!(
        version.as_str().unwrap().starts_with("Medina/v"),
        "{version}"
    );
    let empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
    assert_eq!(rpc.call("web3_sha3", json!(["0x"])).await, empty);
    assert_eq!(rpc.call("net_version", json!([])).await, "1337");
    assert_eq!(rpc.call("net_listening", json!([])).await, true);
    assert_eq!(rpc.call("net_peerCount", json!([])).await, "0x1");
    assert_eq!(rpc.call("eth_chainId", json!([])).await, "0x539");
    assert_eq!(rpc.call("eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(rpc.call("eth_syncing", json!([])).await, false);
    assert_eq!(rpc.call("eth_accounts", json!([])).await, json!([]));
    let modules = rpc.call("rpc_modules", json!([])).await;
    assert_eq!(modules["eth"], "1.0");
    let config = rpc.call("eth_config", json!([])).await;
    assert_eq!(config["current"]["chainId"], "0x539");
    assert!(config["current"]["precompiles"]["ED25519VERIFY"].is_string());
    assert_eq!(config["next"], Value::Null);
    let kept = rpc.call("eth_capabilities", json!([])).await;
    assert_eq!(
        kept["state"],
        json!({ "disabled": false, "oldestBlock": "0x0" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn medina_methods_describe_the_network() {
    let (rpc, _, block) = with_a_block().await;
    let contracts = rpc.call("medina_contracts", json!([])).await;
    assert_eq!(contracts, json!({ "dataMarketplace": COUNTER_AT }));
    let spec = rpc.call("medina_chainSpec", json!([])).await;
    assert_eq!(
        (&spec["gasPolicy"], &spec["chainId"]),
        (&json!("free"), &json!("0x539"))
    );
    let consensus = rpc.call("medina_consensus", json!([])).await;
    assert_eq!(
        (&consensus["height"], &consensus["round"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(consensus["validators"][0]["operator"], json!(operator()));
    let peers = rpc.call("medina_peers", json!([])).await;
    assert_eq!(
        (&peers[0]["height"], &peers[0]["latencyMs"]),
        (&json!(3), &json!(1.5))
    );
    for given in [json!(1), json!("0x1")] {
        let certificate = rpc.call("medina_certificate", json!([given])).await;
        assert_eq!(certificate["blockHash"], block["hash"]);
        assert_eq!(certificate["signatures"].as_array().unwrap().len(), 1);
    }
    assert_eq!(
        rpc.call("medina_certificate", json!([99])).await,
        Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_found_by_number_tag_and_hash() {
    let (rpc, first, block) = with_a_block().await;
    assert_eq!(
        (&block["number"], &block["miner"]),
        (&json!("0x1"), &json!(operator()))
    );
    assert_eq!(
        (&block["baseFeePerGas"], &block["uncles"]),
        (&json!("0x0"), &json!([]))
    );
    assert_eq!(block["transactions"][0], json!(first));
    assert!(number(&block["size"]) > 500);
    for tag in ["latest", "safe", "finalized", "0x1"] {
        assert_eq!(
            rpc.call("eth_getBlockByNumber", json!([tag, false])).await,
            block,
            "{tag}"
        );
    }
    assert_eq!(
        rpc.call("eth_getBlockByHash", json!([block["hash"], false]))
            .await,
        block
    );
    let full = rpc
        .call("eth_getBlockByHash", json!([block["hash"], true]))
        .await;
    assert_eq!(full["transactions"][0]["hash"], json!(first));
    assert_eq!(full["transactions"][0]["from"], json!(account(0).address()));
    assert_eq!(full["transactions"][1]["transactionIndex"], "0x1");
    let genesis = rpc
        .call("eth_getBlockByNumber", json!(["earliest", true]))
        .await;
    assert_eq!(genesis["hash"], block["parentHash"]);
    let header = rpc.call("eth_getHeaderByNumber", json!(["0x1"])).await;
    assert_eq!(
        (&header["hash"], header.get("transactions")),
        (&block["hash"], None)
    );
    assert_eq!(
        rpc.call("eth_getHeaderByHash", json!([block["hash"]]))
            .await,
        header
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_blocks_and_transactions_are_null() {
    let (rpc, _, _) = with_a_block().await;
    let hash = B256::repeat_byte(9);
    let calls = [
        ("eth_getBlockByNumber", json!(["0x99", false])),
        ("eth_getBlockByHash", json!([hash, true])),
        ("eth_getHeaderByHash", json!([hash])),
        ("eth_getHeaderByNumber", json!(["0x99"])),
        ("eth_getBlockReceipts", json!(["0x99"])),
        ("eth_getBlockTransactionCountByHash", json!([hash])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x99"])),
        ("eth_getUncleCountByBlockHash", json!([hash])),
        ("eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"])),
        ("eth_getUncleByBlockHashAndIndex", json!([hash, "0x0"])),
        ("eth_getTransactionByHash", json!([hash])),
        ("eth_getTransactionReceipt", json!([hash])),
        ("eth_getRawTransactionByHash", json!([hash])),
        (
            "eth_getTransactionByBlockNumberAndIndex",
            json!(["0x1", "0x7"]),
        ),
        (
            "eth_getTransactionByBlockHashAndIndex",
            json!([hash, "0x0"]),
        ),
    ];
    for (method, params) in calls {
        assert_eq!(rpc.call(method, params).await, Value::Null, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_of_a_block_are_counted_and_listed() {
    let (rpc, first, block) = with_a_block().await;
    for (method, key) in [("Number", &json!("0x1")), ("Hash", &block["hash"])] {
        let count = format!("eth_getBlockTransactionCountBy{method}");
        assert_eq!(rpc.call(&count, json!([key])).await, "0x2");
        let uncles = format!("eth_getUncleCountByBlock{method}");
        assert_eq!(rpc.call(&uncles, json!([key])).await, "0x0");
        let by_index = format!("eth_getTransactionByBlock{method}AndIndex");
        assert_eq!(
            rpc.call(&by_index, json!([key, "0x0"])).await["hash"],
            json!(first)
        );
        let raw = format!("eth_getRawTransactionByBlock{method}AndIndex");
        let expected = json!(signed(0, 0, Some(COUNTER_AT), &[]));
        assert_eq!(rpc.call(&raw, json!([key, "0x0"])).await, expected);
    }
    let receipts = rpc.call("eth_getBlockReceipts", json!(["latest"])).await;
    assert_eq!(receipts.as_array().unwrap().len(), 2);
    let single = rpc.call("eth_getTransactionReceipt", json!([first])).await;
    assert_eq!(receipts[0], single);
    let second = rpc
        .call(
            "eth_getTransactionReceipt",
            json!([block["transactions"][1]]),
        )
        .await;
    assert_eq!(receipts[1], second);
    assert_eq!(second["logs"][0]["logIndex"], "0x1");
    let total = number(&single["gasUsed"]) + number(&second["gasUsed"]);
    assert_eq!(number(&second["cumulativeGasUsed"]), total);
    assert_eq!(number(&block["gasUsed"]), total);
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_is_visible_at_once_and_its_receipt_with_its_block() {
    let rpc = Rpc::start().await;
    let raw = signed(0, 0, Some(COUNTER_AT), &[]);
    let hash = rpc.send(&raw).await;
    let waiting = rpc.call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(
        (&waiting["hash"], &waiting["blockNumber"]),
        (&json!(hash), &Value::Null)
    );
    assert_eq!(
        rpc.call("eth_getRawTransactionByHash", json!([hash])).await,
        json!(raw)
    );
    assert_eq!(
        rpc.call("eth_getTransactionReceipt", json!([hash])).await,
        Value::Null
    );
    let sender = account(0).address();
    let count = |tag: &'static str| rpc.call("eth_getTransactionCount", json!([sender, tag]));
    assert_eq!(
        (count("latest").await, count("pending").await),
        (json!("0x0"), json!("0x1"))
    );
    rpc.node.mine();
    assert_eq!(
        (count("latest").await, count("pending").await),
        (json!("0x1"), json!("0x1"))
    );
    let receipt = rpc.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(
        (&receipt["status"], &receipt["type"]),
        (&json!("0x1"), &json!("0x2"))
    );
    assert_eq!(
        (&receipt["to"], &receipt["contractAddress"]),
        (&json!(COUNTER_AT), &Value::Null)
    );
    assert_eq!(receipt["effectiveGasPrice"], "0x0");
    assert_eq!(receipt["logs"][0]["topics"][0], json!(sender.into_word()));
    let included = rpc.call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(included["blockNumber"], "0x1");
    assert_eq!(
        rpc.call("eth_getRawTransactionByHash", json!([hash])).await,
        json!(raw)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn created_contract_is_named_in_the_receipt() {
    let rpc = Rpc::start().await;
    let hash = rpc.send(&signed(0, 0, None, &[0x00])).await;
    rpc.node.mine();
    let receipt = rpc.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(
        receipt["contractAddress"],
        json!(account(0).address().create(0))
    );
    assert_eq!(receipt["to"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_read_at_any_block() {
    let (rpc, _, block) = with_a_block().await;
    let hash = &block["hash"];
    let slot = |at: Value| rpc.call("eth_getStorageAt", json!([COUNTER_AT, "0x0", at]));
    assert_eq!(slot(json!("0x0")).await, json!(B256::ZERO));
    let two = json!(B256::from(U256::from(2)));
    assert_eq!(slot(json!("latest")).await, two);
    assert_eq!(
        slot(json!({ "blockHash": hash, "requireCanonical": true })).await,
        two
    );
    assert_eq!(slot(json!({ "blockNumber": "0x1" })).await, two);
    let rich = rpc
        .call("eth_getBalance", json!([account(0).address(), "earliest"]))
        .await;
    assert_eq!(rich, "0x56bc75e2d63100000");
    assert_eq!(
        rpc.call("eth_getBalance", json!([Address::repeat_byte(1)]))
            .await,
        "0x0"
    );
    let code = rpc.call("eth_getCode", json!([COUNTER_AT, "latest"])).await;
    assert_eq!(code, "0x5f546001015f55335f5fa100");
    assert_eq!(
        rpc.call("eth_getCode", json!([account(0).address(), "latest"]))
            .await,
        "0x"
    );
    for at in [json!("0x99"), json!({ "blockHash": B256::repeat_byte(1) })] {
        let refused = rpc.refused("eth_getBalance", json!([COUNTER_AT, at])).await;
        assert_eq!(refused, (-32000, "header not found".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_name_the_slots_as_asked() {
    let (rpc, _, _) = with_a_block().await;
    let proof = rpc
        .call("eth_getProof", json!([COUNTER_AT, ["0x0"], "latest"]))
        .await;
    assert_eq!(
        (&proof["address"], &proof["nonce"]),
        (&json!(COUNTER_AT), &json!("0x1"))
    );
    assert_eq!(proof["storageProof"][0]["key"], "0x0");
    assert_eq!(proof["storageProof"][0]["value"], "0x2");
    assert!(!proof["accountProof"].as_array().unwrap().is_empty());
    let old = rpc
        .call("eth_getProof", json!([COUNTER_AT, ["0x0"], "0x0"]))
        .await;
    assert_eq!(old["storageProof"][0]["value"], "0x0");
    let many = vec!["0x0"; 1_025];
    let refused = rpc
        .refused("eth_getProof", json!([COUNTER_AT, many, "latest"]))
        .await;
    assert_eq!(refused, (-32005, "too many keys (max 1024)".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_run_in_the_environment_of_their_block() {
    let (rpc, _, _) = with_a_block().await;
    let read = async |at: Value| {
        let output = rpc.call("eth_call", json!([{ "to": CLOCK_AT }, at])).await;
        let words = output.as_str().unwrap()[2..].to_owned();
        let word =
            |index: usize| u64::from_str_radix(&words[index * 64 + 48..(index + 1) * 64], 16);
        (word(0).unwrap(), word(1).unwrap())
    };
    assert_eq!(read(json!("0x0")).await, (0, GENESIS_TIME));
    assert_eq!(read(json!("latest")).await, (1, GENESIS_TIME + 1));
    assert_eq!(read(Value::Null).await, (1, GENESIS_TIME + 1));
    assert_eq!(read(json!("pending")).await, (2, CLOCK));
    let pending = rpc
        .call("eth_getBlockByNumber", json!(["pending", true]))
        .await;
    assert_eq!(number(&pending["timestamp"]), CLOCK);
    assert_eq!(
        (&pending["number"], &pending["transactions"]),
        (&json!("0x2"), &json!([]))
    );
    let overrides = json!([{ "to": CLOCK_AT }, "latest", {}, { "number": "0x64", "time": "0x5" }]);
    let output = rpc.call("eth_call", overrides).await;
    assert!(output.as_str().unwrap()[2..].starts_with(&format!("{:064x}{:064x}", 0x64, 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_take_pretended_accounts() {
    let rpc = Rpc::start().await;
    // Answers slot 0.
    let code = "0x5f545f5260205ff3";
    let at = Address::repeat_byte(0xee);
    let five = B256::with_last_byte(5);
    let pretended =
        json!({ at.to_string(): { "code": code, "stateDiff": { B256::ZERO.to_string(): five } } });
    let output = rpc
        .call("eth_call", json!([{ "to": at }, "latest", pretended]))
        .await;
    assert_eq!(output, json!(five));
    let both = json!({ at.to_string(): { "state": {}, "stateDiff": {} } });
    assert_eq!(
        rpc.refused("eth_call", json!([{ "to": at }, "latest", both]))
            .await
            .0,
        -32602
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reverts_carry_reason_and_data() {
    let rpc = Rpc::start().await;
    for method in ["eth_call", "eth_estimateGas"] {
        let refused = rpc.refused(method, json!([{ "to": REVERTER_AT }])).await;
        assert_eq!(
            refused,
            (3, "execution reverted: no".to_owned()),
            "{method}"
        );
    }
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{ "to": REVERTER_AT }] });
    let (_, answer) = rpc.raw(body.to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(
        answer["error"]["data"]
            .as_str()
            .unwrap()
            .starts_with("0x08c379a0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_call_ends_at_the_gas_cap() {
    let rpc = Rpc::with(|config| config.call_gas_max = 1_000_000).await;
    let endless = json!([{ "to": LOOPER_AT, "gas": "0xffffffff" }]);
    assert_eq!(
        rpc.refused("eth_call", endless).await,
        (-32000, "out of gas".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn estimates_and_access_lists_fit_the_call() {
    let rpc = Rpc::start().await;
    let (from, to) = (account(0).address(), account(1).address());
    let transfer = json!([{ "from": from, "to": to, "value": "0x1" }]);
    assert_eq!(rpc.call("eth_estimateGas", transfer).await, "0x5208");
    let gas = rpc
        .call(
            "eth_estimateGas",
            json!([{ "from": from, "to": COUNTER_AT }]),
        )
        .await;
    assert!((40_000..60_000).contains(&number(&gas)), "{gas}");
    let list = rpc
        .call(
            "eth_createAccessList",
            json!([{ "from": from, "to": COUNTER_AT }]),
        )
        .await;
    assert_eq!(list["accessList"][0]["storageKeys"][0], json!(B256::ZERO));
    assert!(number(&list["gasUsed"]) > 21_000);
    let poor = json!([{ "from": Address::repeat_byte(5), "to": to, "value": "0x1" }]);
    let (code, text) = rpc.refused("eth_estimateGas", poor).await;
    assert_eq!(code, -32000);
    assert!(text.contains("insufficient funds for"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_are_zero_but_present_where_gas_is_free() {
    let (rpc, _, _) = with_a_block().await;
    assert_eq!(rpc.call("eth_gasPrice", json!([])).await, "0x0");
    assert_eq!(rpc.call("eth_maxPriorityFeePerGas", json!([])).await, "0x0");
    assert_eq!(rpc.call("eth_baseFee", json!([])).await, "0x0");
    assert_eq!(rpc.call("eth_blobBaseFee", json!([])).await, "0x1");
    let history = rpc
        .call("eth_feeHistory", json!(["0x5", "latest", [25.0, 75.0]]))
        .await;
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(history["reward"], json!([["0x0", "0x0"], ["0x0", "0x0"]]));
    assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 2);
    let decimal = rpc.call("eth_feeHistory", json!([1, "pending"])).await;
    assert_eq!(decimal["oldestBlock"], "0x1");
    let refused = rpc
        .refused("eth_feeHistory", json!(["0x1", "0x99", []]))
        .await;
    assert_eq!(refused, (-32602, "request beyond head block".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_follow_the_chain_where_gas_is_metered() {
    const GWEI: u64 = 1_000_000_000;
    let node = TestNode::with_gas(GasPolicy::Metered(MeteredGas {
        initial_base_fee: GWEI,
        treasury: Address::repeat_byte(0x77),
        treasury_share_bps: 0,
    }));
    let rpc = Rpc::of(node, |_| {}).await;
    assert_eq!(number(&rpc.call("eth_baseFee", json!([])).await), GWEI);
    assert_eq!(rpc.call("eth_maxPriorityFeePerGas", json!([])).await, "0x1");
    let raw = signed_at_price(0, 0, Some(COUNTER_AT), &[], u128::from(3 * GWEI));
    let hash = rpc.send(&raw).await;
    rpc.node.mine();
    let receipt = rpc.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(number(&receipt["effectiveGasPrice"]), 3 * GWEI);
    let history = rpc
        .call("eth_feeHistory", json!(["0x1", "latest", [50]]))
        .await;
    assert_eq!(number(&history["reward"][0][0]), 2 * GWEI);
    let (this, next) = (&history["baseFeePerGas"][0], &history["baseFeePerGas"][1]);
    assert_eq!(number(this), GWEI);
    assert!(
        number(next) < GWEI,
        "a nearly empty block makes gas cheaper: {next}"
    );
    assert_eq!(rpc.call("eth_baseFee", json!([])).await, *next);
    let price = number(&rpc.call("eth_gasPrice", json!([])).await);
    assert_eq!(price, number(next) + 2 * GWEI);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_found_by_address_topic_and_block() {
    let (rpc, _, block) = with_a_block().await;
    rpc.node.mine();
    let logs = |filter: Value| rpc.call("eth_getLogs", json!([filter]));
    let all = logs(json!({ "fromBlock": "0x0" })).await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[1]["transactionIndex"], "0x1");
    assert_eq!(all[0]["removed"], false);
    assert_eq!(logs(json!({ "blockHash": block["hash"] })).await, all);
    let mine = json!([account(1).address().into_word()]);
    let found = logs(json!({ "fromBlock": "earliest", "topics": mine })).await;
    assert_eq!(found, json!([all[1]]));
    let either = json!([[
        account(0).address().into_word(),
        account(1).address().into_word()
    ]]);
    assert_eq!(
        logs(json!({ "fromBlock": "0x1", "toBlock": "0x1", "topics": either })).await,
        all
    );
    assert_eq!(
        logs(json!({ "fromBlock": "0x0", "address": CLOCK_AT })).await,
        json!([])
    );
    assert_eq!(
        logs(json!({})).await,
        json!([]),
        "the head alone by default"
    );
    assert_eq!(
        logs(json!({ "fromBlock": "0x99" })).await,
        json!([]),
        "behind the head"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn log_queries_beyond_the_bounds_say_how_to_ask() {
    let rpc = Rpc::with(|config| {
        config.logs_max = 2;
        config.log_blocks_max = 4;
    })
    .await;
    for nonce in 0..3 {
        rpc.send(&signed(0, nonce, Some(COUNTER_AT), &[])).await;
        rpc.node.mine();
    }
    let refused = |filter: Value| rpc.refused("eth_getLogs", json!([filter]));
    let too_many = refused(json!({ "fromBlock": "0x1" })).await;
    let text = "query exceeds max results 2, retry with the range 0x1-0x2";
    assert_eq!(too_many, (-32005, text.to_owned()));
    rpc.node.mine();
    let too_wide = refused(json!({ "fromBlock": "0x0" })).await;
    assert_eq!(
        too_wide,
        (-32005, "query exceeds max block range 4".to_owned())
    );
    let table = [
        (
            json!({ "fromBlock": "0x2", "toBlock": "0x1" }),
            -32602,
            "invalid block range params",
        ),
        (
            json!({ "fromBlock": "0x1", "toBlock": "0x99" }),
            -32602,
            "block range extends beyond current head block",
        ),
        (json!({ "blockHash": B256::ZERO }), -32000, "unknown block"),
    ];
    for (filter, code, text) in table {
        assert_eq!(refused(filter).await, (code, text.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_filters_bring_what_is_new_once() {
    let rpc = Rpc::start().await;
    let blocks = rpc.call("eth_newBlockFilter", json!([])).await;
    let logs = rpc
        .call("eth_newFilter", json!([{ "address": COUNTER_AT }]))
        .await;
    let pending = rpc.call("eth_newPendingTransactionFilter", json!([])).await;
    let changes = |id: &Value| rpc.call("eth_getFilterChanges", json!([id]));
    assert_eq!(changes(&blocks).await, json!([]));
    let hash = rpc.send(&signed(0, 0, Some(COUNTER_AT), &[])).await;
    // The ring hears of it through a channel: ask until it is there.
    let mut heard = changes(&pending).await;
    while heard == json!([]) {
        tokio::task::yield_now().await;
        heard = changes(&pending).await;
    }
    assert_eq!(heard, json!([hash]));
    let block = rpc.node.mine();
    assert_eq!(changes(&blocks).await, json!([block.block.hash()]));
    assert_eq!(changes(&blocks).await, json!([]));
    let found = changes(&logs).await;
    assert_eq!(found[0]["transactionHash"], json!(hash));
    assert_eq!(changes(&logs).await, json!([]));
    let again = rpc.call("eth_getFilterLogs", json!([logs])).await;
    assert_eq!(again, found);
    assert_eq!(rpc.call("eth_uninstallFilter", json!([blocks])).await, true);
    assert_eq!(
        rpc.call("eth_uninstallFilter", json!([blocks])).await,
        false
    );
    let gone = rpc.refused("eth_getFilterChanges", json!([blocks])).await;
    assert_eq!(gone, (-32000, "filter not found".to_owned()));
    let wrong = rpc.refused("eth_getFilterLogs", json!([pending])).await;
    assert_eq!(wrong, (-32000, "filter not found".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pool_is_shown_by_sender_and_nonce() {
    let rpc = Rpc::start().await;
    rpc.send(&signed(0, 0, Some(COUNTER_AT), &[])).await;
    rpc.send(&signed(1, 5, Some(COUNTER_AT), &[])).await;
    let status = rpc.call("txpool_status", json!([])).await;
    assert_eq!(status, json!({ "pending": "0x1", "queued": "0x1" }));
    let content = rpc.call("txpool_content", json!([])).await;
    let (first, second) = (account(0).address(), account(1).address());
    assert_eq!(content["pending"][first.to_string()]["0"]["nonce"], "0x0");
    assert_eq!(content["queued"][second.to_string()]["5"]["nonce"], "0x5");
    let of_first = rpc.call("txpool_contentFrom", json!([first])).await;
    assert_eq!(of_first["pending"]["0"]["from"], json!(first));
    assert_eq!(of_first["queued"], json!({}));
    let inspected = rpc.call("txpool_inspect", json!([])).await;
    let line = inspected["pending"][first.to_string()]["0"]
        .as_str()
        .unwrap();
    assert_eq!(line, format!("{COUNTER_AT}: 0 wei + 100000 gas × 0 wei"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_submission_answers_the_receipt_or_times_out() {
    let rpc = Rpc::start().await;
    let raw = signed(0, 0, Some(COUNTER_AT), &[]);
    let (code, _) = rpc
        .refused("eth_sendRawTransactionSync", json!([raw, "0x1"]))
        .await;
    assert_eq!(code, 4);
    rpc.node.mine();
    *rpc.node.instant.lock() = true;
    let raw = signed(0, 1, Some(COUNTER_AT), &[]);
    let receipt = rpc
        .call("eth_sendRawTransactionSync", json!([raw, 5_000]))
        .await;
    assert_eq!(
        (&receipt["status"], &receipt["blockNumber"]),
        (&json!("0x1"), &json!("0x2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_asked_for_just_before_the_block_is_answered_with_it() {
    let rpc = Rpc::start().await;
    for nonce in 0..10 {
        let hash = rpc.send(&signed(0, nonce, Some(COUNTER_AT), &[])).await;
        let asking = rpc.call("eth_getTransactionReceipt", json!([hash]));
        let mining = async {
            // Answered after the question has been sent, about when it is looked into.
            rpc.call("eth_chainId", json!([])).await;
            rpc.node.mine();
        };
        let (receipt, ()) = tokio::join!(asking, mining);
        assert_eq!(receipt["transactionHash"], json!(hash));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_transactions_keep_geths_words() {
    let rpc = Rpc::start().await;
    let raw = signed(0, 0, Some(COUNTER_AT), &[]);
    rpc.send(&raw).await;
    let refused = |bytes: Value| rpc.refused("eth_sendRawTransaction", json!([bytes]));
    let (code, text) = refused(json!(raw)).await;
    assert_eq!((code, text.as_str()), (-32000, "already known"));
    rpc.node.mine();
    let (code, text) = refused(json!(signed(0, 0, Some(CLOCK_AT), &[]))).await;
    assert_eq!(code, -32000);
    assert!(text.starts_with("nonce too low"), "{text}");
    let (code, text) = refused(json!("0x03c0")).await;
    assert_eq!(code, -32000);
    assert!(text.contains("blob transactions"), "{text}");
    assert_eq!(refused(json!("0x02c0")).await.0, -32000);
    assert_eq!(refused(json!("nothing")).await.0, -32602);
    assert_eq!(
        rpc.refused("eth_sendRawTransaction", json!([])).await.0,
        -32602
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_says_how_far() {
    let rpc = Rpc::start().await;
    let progress = medina_rpc::SyncProgress {
        starting: medina_types::Height(0),
        highest: medina_types::Height(77),
        blocks_per_second: None,
    };
    *rpc.node.syncing.lock() = Some(progress);
    let status = rpc.call("eth_syncing", json!([])).await;
    assert_eq!(
        (&status["currentBlock"], &status["highestBlock"]),
        (&json!("0x0"), &json!("0x4d"))
    );
}
