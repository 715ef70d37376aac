//! `debug_*`, `trace_*` and `ots_*` on a chain with creations, reverts, nested
//! calls, delegated ones, self-destruction and events.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_trie::root::ordered_trie_root_with_encoder;
use medina_types::GasPolicy;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use support::*;

/// Gets value from the hub.
const HEIR: Address = Address::repeat_byte(0xe1);
/// Gets value from a plain transfer.
const FRIEND: Address = Address::repeat_byte(0xe2);

/// `PUSH20 callee, GAS, opcode, POP` behind what the opcode takes below.
fn call_of(callee: Address, opcode: u8, below: &[u8]) -> Vec<u8> {
    let mut code = below.to_vec();
    code.push(0x73);
    code.extend(callee);
    code.extend([0x5a, opcode, 0x50]);
    code
}

/// Calls, delegates, is reverted, creates what destroys itself, sends value and
/// answers what a static call says.
fn hub() -> Vec<u8> {
    let no_data = hex!("5f5f5f5f");
    let call = |callee, value: u8| call_of(callee, 0xf1, &[&no_data[..], &[0x60, value]].concat());
    [
        call(COUNTER_AT, 0),
        call_of(COUNTER_AT, 0xf4, &no_data),
        call(REVERTER_AT, 0),
        // CALLER SELFDESTRUCT as init code, with one wei.
        hex!("6133ff5f526002601e6001f050").to_vec(),
        call(HEIR, 7),
        call_of(CLOCK_AT, 0xfa, &hex!("60405f5f5f")),
        hex!("60405ff3").to_vec(),
    ]
    .concat()
}

/// Init code of a runtime code.
fn deployment(code: &[u8]) -> Vec<u8> {
    let length = u8::try_from(code.len()).unwrap();
    [&[0x60, length], &hex!("8060095f395ff3")[..], code].concat()
}

fn hub_at() -> Address {
    account(0).address().create(0)
}

fn sent(from: u8, nonce: u64, to: Option<Address>, value: u64, input: &[u8]) -> Bytes {
    let mut transaction = unpriced(nonce, to, input);
    transaction.value = U256::from(value);
    signed_with(&account(from), transaction)
}

/// All kinds of transactions: per block, what it contains.
fn story() -> Vec<Vec<Bytes>> {
    vec![
        vec![
            sent(0, 0, None, 0, &deployment(&hub())),
            sent(1, 0, None, 0, REVERTER),
        ],
        vec![
            sent(0, 1, Some(hub_at()), 1_000, &hex!("a1b2c3d4e5")),
            sent(1, 1, Some(REVERTER_AT), 0, &[]),
            sent(2, 0, Some(FRIEND), 5, &[]),
            sent(3, 0, Some(COUNTER_AT), 0, &[]),
        ],
    ]
}

async fn tell(blocks: impl IntoIterator<Item = Vec<Bytes>>) -> Rpc {
    let rpc = Rpc::start().await;
    for transactions in blocks {
        for transaction in &transactions {
            rpc.send(transaction).await;
        }
        let block = rpc.node.mine();
        assert_eq!(block.receipts.len(), transactions.len());
    }
    rpc
}

fn hash_of(transaction: &Bytes) -> B256 {
    keccak256(transaction)
}

fn hub_call() -> B256 {
    hash_of(&story()[1][0])
}

/// Hashes of a block's transactions, in order.
async fn hashes_in(rpc: &Rpc, block: &str) -> Vec<Value> {
    let block = rpc
        .call("eth_getBlockByNumber", json!([block, false]))
        .await;
    list(&block["transactions"]).clone()
}

fn quantity(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value}"));
    u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn gas_and_results_of_a_traced_block_are_those_of_its_receipts() {
    let rpc = tell(story()).await;
    for block in ["0x1", "0x2"] {
        let receipts = rpc.call("eth_getBlockReceipts", json!([block])).await;
        let logs = rpc.call("debug_traceBlockByNumber", json!([block])).await;
        let calls = json!([block, { "tracer": "callTracer", "tracerConfig": { "withLog": true } }]);
        let calls = rpc.call("debug_traceBlockByNumber", calls).await;
        assert_eq!(list(&logs).len(), list(&receipts).len());
        for ((receipt, log), call) in list(&receipts).iter().zip(list(&logs)).zip(list(&calls)) {
            let hash = &receipt["transactionHash"];
            assert_eq!((&log["txHash"], &call["txHash"]), (hash, hash));
            let (log, call) = (&log["result"], &call["result"]);
            assert_eq!(log["gas"], quantity(&receipt["gasUsed"]));
            assert_eq!(call["gasUsed"], receipt["gasUsed"]);
            let failed = receipt["status"] == "0x0";
            assert_eq!(log["failed"], failed);
            assert_eq!(call.get("error").is_some(), failed);
            assert_eq!(
                log["returnValue"],
                call.get("output").cloned().unwrap_or(json!("0x"))
            );
            if !failed {
                assert_eq!(logs_in(call), list(&receipt["logs"]).len());
            }
            let alone = rpc.call("debug_traceTransaction", json!([hash])).await;
            assert_eq!(alone, *log);
        }
        let hash = &receipts[0]["blockHash"];
        let by_hash = rpc.call("debug_traceBlockByHash", json!([hash])).await;
        assert_eq!(by_hash, logs);
    }
}

/// Events in a tree of calls; those of reverted calls are not in it.
fn logs_in(call: &Value) -> usize {
    let own = call.get("logs").map_or(0, |logs| list(logs).len());
    let calls = call.get("calls").and_then(Value::as_array);
    own + calls.into_iter().flatten().map(logs_in).sum::<usize>()
}

#[tokio::test(flavor = "multi_thread")]
async fn tree_of_calls_shows_every_kind() {
    let rpc = tell(story()).await;
    let trace = async |config: Value| {
        let options = json!({ "tracer": "callTracer", "tracerConfig": config });
        rpc.call("debug_traceTransaction", json!([hub_call(), options]))
            .await
    };
    let call = trace(json!({})).await;
    assert_eq!(
        (&call["type"], &call["value"]),
        (&json!("CALL"), &json!("0x3e8"))
    );
    assert_eq!(call["to"], json!(hub_at()));
    assert_eq!(call["input"], "0xa1b2c3d4e5");
    let calls = list(&call["calls"]);
    let kinds: Vec<_> = calls
        .iter()
        .map(|call| call["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "CALL",
            "DELEGATECALL",
            "CALL",
            "CREATE",
            "CALL",
            "STATICCALL"
        ]
    );
    assert_eq!(calls[2]["error"], "execution reverted");
    assert_eq!(calls[2]["revertReason"], "no");
    let destroyed = &calls[3]["calls"][0];
    assert_eq!(
        (&destroyed["type"], &destroyed["to"], &destroyed["value"]),
        (&json!("SELFDESTRUCT"), &json!(hub_at()), &json!("0x1"))
    );
    assert_eq!(
        (&calls[4]["to"], &calls[4]["value"]),
        (&json!(HEIR), &json!("0x7"))
    );
    assert_eq!(call["output"], calls[5]["output"]);
    assert_eq!(logs_in(&call), 0);
    let top = trace(json!({ "onlyTopCall": true })).await;
    assert_eq!(top.get("calls"), None);
    assert_eq!(top["gasUsed"], call["gasUsed"]);
    let with_logs = trace(json!({ "withLog": true })).await;
    assert_eq!(with_logs["calls"][1]["logs"][0]["address"], json!(hub_at()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tracers_answer_in_geths_shapes() {
    let rpc = tell(story()).await;
    let trace = async |tracer: &str, config: Value| {
        let options = json!({ "tracer": tracer, "tracerConfig": config });
        rpc.call("debug_traceTransaction", json!([hub_call(), options]))
            .await
    };
    assert_eq!(
        trace("4byteTracer", json!({})).await,
        json!({ "0xa1b2c3d4-1": 1 })
    );
    assert_eq!(trace("noopTracer", Value::Null).await, json!({}));
    let flat = trace("flatCallTracer", json!({})).await;
    assert_eq!(list(&flat).len(), 8);
    assert_eq!(flat[5]["traceAddress"], json!([3, 0]));
    assert_eq!(flat[5]["type"], "suicide");
    let both = json!({ "callTracer": { "onlyTopCall": true }, "4byteTracer": {} });
    let both = trace("muxTracer", both).await;
    let none = trace(
        "muxTracer",
        json!({ "callTracer": null, "noopTracer": null }),
    )
    .await;
    assert_eq!(
        (&none["callTracer"]["type"], &none["noopTracer"]),
        (&json!("CALL"), &json!({}))
    );
    assert_eq!(both["callTracer"]["type"], "CALL");
    assert_eq!(both["4byteTracer"]["0xa1b2c3d4-1"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn struct_logs_obey_their_options() {
    let rpc = tell(story()).await;
    let call = hash_of(&story()[1][3]);
    let trace = async |options: Value| {
        rpc.call("debug_traceTransaction", json!([call, options]))
            .await
    };
    let all = trace(json!({ "enableMemory": true, "enableReturnData": true })).await;
    let steps = list(&all["structLogs"]);
    let ops: Vec<_> = steps
        .iter()
        .map(|step| step["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops[..4], ["PUSH0", "SLOAD", "PUSH1", "ADD"]);
    assert_eq!(ops.last(), Some(&"STOP"));
    assert_eq!(steps[1]["stack"], json!(["0x0"]));
    assert_eq!(
        (&steps[1]["pc"], &steps[1]["depth"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(steps[1]["gasCost"], 2_100);
    let slots = steps[1]["storage"].as_object().unwrap();
    let keys: Vec<_> = slots.keys().cloned().collect();
    assert_eq!(keys, [B256::ZERO.to_string()]);
    assert_eq!(steps[0].get("storage"), None);
    let memory = json!([hub_call(), { "enableMemory": true }]);
    let memory = rpc.call("debug_traceTransaction", memory).await;
    let words = list(&memory["structLogs"]).iter();
    let mut words = words.filter_map(|step| step["memory"].as_array()).flatten();
    assert!(words.clone().count() > 10);
    assert!(
        words.all(|word| serde_json::from_value::<B256>(word.clone()).is_ok()
            && word.as_str().unwrap().starts_with("0x"))
    );
    let bare = json!({ "disableStack": true, "disableStorage": true, "tracer": "" });
    let bare = trace(bare).await;
    for step in list(&bare["structLogs"]) {
        for field in ["stack", "storage", "memory", "returnData"] {
            assert_eq!(step.get(field), None, "{step}");
        }
    }
    let cut = trace(json!({ "limit": 3 })).await;
    assert_eq!(list(&cut["structLogs"]).len(), 3);
    let whole = trace(json!({})).await;
    assert_eq!(cut["gas"], whole["gas"]);
}

/// Nonce, balance, code and the given slots of an account after a block.
async fn account_at(rpc: &Rpc, address: &str, slots: &BTreeSet<String>, block: u64) -> Value {
    let block = format!("{block:#x}");
    let at = json!([address, block]);
    let mut storage = BTreeMap::new();
    for slot in slots {
        let value = rpc
            .call("eth_getStorageAt", json!([address, slot, block]))
            .await;
        storage.insert(slot.clone(), value);
    }
    json!({
        "balance": rpc.call("eth_getBalance", at.clone()).await,
        "nonce": quantity(&rpc.call("eth_getTransactionCount", at.clone()).await),
        "code": rpc.call("eth_getCode", at).await,
        "storage": storage,
    })
}

/// An account of a tracer's answer with what it leaves out filled in.
fn filled(account: Option<&Value>, base: Option<&Value>, slots: &BTreeSet<String>) -> Value {
    let zero = json!(B256::ZERO);
    let field = |name: &str, default: Value| {
        let given = |account: Option<&Value>| account.and_then(|one| one.get(name)).cloned();
        given(account).or(given(base)).unwrap_or(default)
    };
    let slot = |slot: &String| {
        let given = |account: Option<&Value>| {
            account.and_then(|one| one.get("storage")?.get(slot).cloned())
        };
        given(account).or(given(base)).unwrap_or(zero.clone())
    };
    json!({
        "balance": field("balance", json!("0x0")),
        "nonce": field("nonce", json!(0)),
        "code": field("code", json!("0x")),
        "storage": slots.iter().map(|one| (one.clone(), slot(one))).collect::<BTreeMap<_, _>>(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn state_before_and_differences_make_the_state_after() {
    // One transaction per block: then the states around it can be asked for.
    let transactions: Vec<_> = story().into_iter().flatten().collect();
    let rpc = tell(transactions.iter().map(|one| vec![one.clone()])).await;
    let mut compared = 0;
    for (transaction, block) in transactions.iter().zip(1..) {
        let trace = async |diff: bool| {
            let options =
                json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": diff } });
            rpc.call(
                "debug_traceTransaction",
                json!([hash_of(transaction), options]),
            )
            .await
        };
        let (before, changes) = (trace(false).await, trace(true).await);
        let (pre, post) = (&changes["pre"], &changes["post"]);
        let listed = [&before, pre, post].map(|accounts| accounts.as_object().unwrap());
        let addresses: BTreeSet<_> = listed.iter().flat_map(|list| list.keys()).collect();
        for address in addresses {
            let slots: BTreeSet<String> = listed
                .iter()
                .filter_map(|list| list.get(address)?.get("storage")?.as_object())
                .flat_map(|storage| storage.keys().cloned())
                .collect();
            let known = before.get(address);
            let expected = account_at(&rpc, address, &slots, block - 1).await;
            assert_eq!(
                filled(known, None, &slots),
                expected,
                "{address} before {block}"
            );
            // What is in `pre` and not in `post` was destroyed; slots likewise are zero.
            let is_gone = pre.get(address).is_some() && post.get(address).is_none();
            let cleared = |slot: &&String| {
                let has = |side: &Value| {
                    side.get(address).is_some_and(|one| {
                        one.get("storage")
                            .is_some_and(|slots| slots.get(slot.as_str()).is_some())
                    })
                };
                has(pre) && !has(post)
            };
            assert_eq!(slots.iter().filter(cleared).count(), 0);
            let after = match is_gone {
                true => filled(None, None, &slots),
                false => filled(post.get(address), known, &slots),
            };
            let expected = account_at(&rpc, address, &slots, block).await;
            assert_eq!(after, expected, "{address} after {block}");
            compared += 1;
        }
    }
    assert!(compared > 10, "{compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_traced_on_any_state() {
    let rpc = tell(story()).await;
    let request = json!({ "to": COUNTER_AT, "gas": "0xffff" });
    let tracer = json!({ "tracer": "prestateTracer" });
    for (block, count) in [("0x1", 0), ("latest", 2), ("pending", 2)] {
        let state = rpc
            .call("debug_traceCall", json!([request, block, tracer]))
            .await;
        let storage = &state[COUNTER_AT.to_string().to_lowercase()]["storage"];
        assert_eq!(
            storage[B256::ZERO.to_string()],
            json!(B256::from(U256::from(count)))
        );
    }
    // An override makes another contract of it.
    let options = json!({
        "tracer": "callTracer",
        "stateOverrides": { COUNTER_AT.to_string(): { "code": Bytes::from_static(REVERTER) } },
        "blockOverrides": { "number": "0x63" },
    });
    let call = rpc
        .call("debug_traceCall", json!([request, "latest", options]))
        .await;
    assert_eq!(call["revertReason"], "no");
    let plain = rpc
        .call("debug_traceCall", json!([request, "latest"]))
        .await;
    assert_eq!(plain["failed"], false);
    assert!(!list(&plain["structLogs"]).is_empty());
    let replayed = rpc
        .call(
            "trace_call",
            json!([request, ["trace", "stateDiff"], "latest"]),
        )
        .await;
    assert_eq!(list(&replayed["trace"]).len(), 1);
    let slot = &replayed["stateDiff"][COUNTER_AT.to_string().to_lowercase()]["storage"]
        [B256::ZERO.to_string()]["*"];
    assert_eq!(slot["from"], json!(B256::from(U256::from(2))));
    assert_eq!(slot["to"], json!(B256::from(U256::from(3))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_traced_is_refused_in_geths_words() {
    let rpc = tell(story()).await;
    let genesis = rpc
        .call("eth_getBlockByNumber", json!(["0x0", false]))
        .await;
    let unknown = B256::with_last_byte(1);
    let by_number = "debug_traceBlockByNumber";
    let table = [
        (
            by_number,
            json!(["0x0"]),
            -32000,
            "genesis is not traceable",
        ),
        (
            "debug_traceBlockByHash",
            json!([genesis["hash"]]),
            -32000,
            "genesis is not traceable",
        ),
        (
            "debug_traceTransaction",
            json!([unknown]),
            -32000,
            "transaction not found",
        ),
        (
            "trace_transaction",
            json!([unknown]),
            -32000,
            "transaction not found",
        ),
        (
            "ots_traceTransaction",
            json!([unknown]),
            -32000,
            "transaction not found",
        ),
        (by_number, json!(["0x63"]), -32000, "block #99 not found"),
        (
            "debug_getRawHeader",
            json!(["0x63"]),
            -32000,
            "block #99 not found",
        ),
        (
            by_number,
            json!(["pending"]),
            -32000,
            "tracing on top of pending is not supported",
        ),
        (
            by_number,
            json!(["3"]),
            -32602,
            "invalid argument 0: hex string without 0x prefix",
        ),
        (
            by_number,
            json!(["0x1", { "timeout": "soon" }]),
            -32602,
            "time: invalid duration \"soon\"",
        ),
        (
            by_number,
            json!(["0x1", { "tracer": "{step: function() {}}" }]),
            -32004,
            "JavaScript tracers are not supported; use callTracer, flatCallTracer, \
             prestateTracer, 4byteTracer, muxTracer, noopTracer, or none",
        ),
        (
            by_number,
            json!(["0x1", { "tracer": "callTracer", "tracerConfig": { "onlyTopCall": 7 } }]),
            -32602,
            "invalid tracer config",
        ),
        (
            "debug_traceCall",
            json!([{}, "latest", { "txIndex": "0x0" }]),
            -32004,
            "txIndex is not supported; a call is traced on the state after a block",
        ),
        (
            "trace_filter",
            json!([{ "fromBlock": "0x1", "toBlock": "0x63" }]),
            -32602,
            "block range extends beyond current head block",
        ),
        (
            "trace_filter",
            json!([{ "fromBlock": "0x2", "toBlock": "0x1" }]),
            -32602,
            "invalid block range params",
        ),
    ];
    for (method, params, code, message) in table {
        let refused = rpc.refused(method, params.clone()).await;
        assert_eq!(refused, (code, message.to_owned()), "{method} {params}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_and_size_of_a_trace_are_bounded() {
    let rpc = Rpc::with(|config| config.response_bytes_max = 100_000).await;
    let request = json!({ "to": LOOPER_AT });
    let noop = json!({ "tracer": "noopTracer", "timeout": "1ms" });
    let (code, text) = rpc
        .refused("debug_traceCall", json!([request, "latest", noop]))
        .await;
    assert_eq!((code, text.as_str()), (-32000, "execution timeout"));
    for options in [json!({}), json!({ "disableStack": true, "timeout": "1h" })] {
        let asked = json!([request, "latest", options]);
        let (code, text) = rpc.refused("debug_traceCall", asked).await;
        assert_eq!(code, -32005);
        assert!(text.starts_with("the trace exceeds 100000 bytes"), "{text}");
    }
    let steps = json!([request, ["vmTrace"], "latest"]);
    assert_eq!(rpc.refused("trace_call", steps).await.0, -32005);
    // A limit of steps keeps the same run within the bound.
    let cut = json!([request, "latest", { "limit": 5 }]);
    let cut = rpc.call("debug_traceCall", cut).await;
    assert_eq!(list(&cut["structLogs"]).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_blocks_hash_to_what_the_chain_says() {
    let rpc = tell(story()).await;
    let block = rpc.call("eth_getBlockByNumber", json!(["0x2", true])).await;
    let bytes = |value: &Value| -> Bytes { serde_json::from_value(value.clone()).unwrap() };
    for id in [json!("0x2"), json!("latest"), block["hash"].clone()] {
        let header = rpc.call("debug_getRawHeader", json!([id])).await;
        assert_eq!(json!(keccak256(bytes(&header))), block["hash"]);
        let raw = bytes(&rpc.call("debug_getRawBlock", json!([id])).await);
        let decoded: medina_types::Block = alloy_rlp::Decodable::decode(&mut &raw[..]).unwrap();
        assert_eq!(json!(decoded.header.hash_slow()), block["hash"]);
        assert_eq!(decoded.body.transactions.len(), 4);
        let receipts = rpc.call("debug_getRawReceipts", json!([id])).await;
        let receipts: Vec<Bytes> = list(&receipts).iter().map(bytes).collect();
        let root = ordered_trie_root_with_encoder(&receipts, |one, buffer| {
            buffer.extend_from_slice(one);
        });
        assert_eq!(json!(root), block["receiptsRoot"]);
    }
    for transaction in &story()[1] {
        let raw = json!([hash_of(transaction)]);
        let raw = rpc.call("debug_getRawTransaction", raw).await;
        assert_eq!(bytes(&raw), *transaction);
    }
    let unknown = rpc
        .call("debug_getRawTransaction", json!([B256::ZERO]))
        .await;
    assert_eq!(unknown, "0x");
}

#[tokio::test(flavor = "multi_thread")]
async fn flat_traces_are_found_by_block_transaction_and_address() {
    let rpc = tell(story()).await;
    let all = rpc.call("trace_block", json!(["0x2"])).await;
    let mut single = Vec::new();
    for transaction in &hashes_in(&rpc, "0x2").await {
        let traces = rpc.call("trace_transaction", json!([transaction])).await;
        single.extend(list(&traces).clone());
    }
    assert_eq!(*list(&all), single);
    assert_eq!(rpc.call("trace_block", json!(["0x0"])).await, json!([]));
    let destroyed = rpc
        .call("trace_get", json!([hub_call(), ["0x3", "0x0"]]))
        .await;
    assert_eq!(
        (&destroyed["type"], &destroyed["blockNumber"]),
        (&json!("suicide"), &json!(2))
    );
    let nothing = rpc.call("trace_get", json!([hub_call(), ["0x9"]])).await;
    assert_eq!(nothing, Value::Null);
    let range = |more: Value| {
        let mut filter = json!({ "fromBlock": "0x0", "toBlock": "latest" });
        filter
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!([filter])
    };
    let filtered = rpc.call("trace_filter", range(json!({}))).await;
    assert_eq!(list(&filtered).len(), list(&all).len() + 2);
    let to_counter = rpc
        .call("trace_filter", range(json!({ "toAddress": [COUNTER_AT] })))
        .await;
    let callers = list(&to_counter).iter();
    let mut callers: Vec<_> = callers
        .map(|one| one["action"]["from"].to_string())
        .collect();
    callers.sort();
    // Called, called by delegation, and called by another account.
    let hub = json!(hub_at()).to_string();
    let mut expected = [hub.clone(), hub, json!(account(3).address()).to_string()];
    expected.sort();
    assert_eq!(callers, expected);
    let page = json!({ "after": 1, "count": 2 });
    let page = rpc.call("trace_filter", range(page)).await;
    assert_eq!(list(&page)[..], list(&filtered)[1..3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_tell_calls_steps_and_differences() {
    let rpc = tell(story()).await;
    let types = json!(["trace", "vmTrace", "stateDiff"]);
    let block = rpc
        .call("trace_replayBlockTransactions", json!(["0x2", types]))
        .await;
    let hashes = hashes_in(&rpc, "0x2").await;
    assert_eq!(list(&block).len(), hashes.len());
    for (replayed, hash) in list(&block).iter().zip(&hashes) {
        let mut replayed = replayed.clone();
        let named = replayed.as_object_mut().unwrap().remove("transactionHash");
        assert_eq!(named.as_ref(), Some(hash));
        let alone = rpc
            .call("trace_replayTransaction", json!([hash, types]))
            .await;
        assert_eq!(alone, replayed);
        let flat = rpc.call("trace_transaction", json!([hash])).await;
        let flat = list(&flat)
            .iter()
            .map(|one| &one["action"])
            .collect::<Vec<_>>();
        let calls = list(&alone["trace"]).iter().map(|one| &one["action"]);
        assert_eq!(calls.collect::<Vec<_>>(), flat);
    }
    let hub = rpc
        .call("trace_replayTransaction", json!([hub_call(), types]))
        .await;
    assert!(!list(&hub["vmTrace"]["ops"]).is_empty());
    let heir = &hub["stateDiff"][HEIR.to_string().to_lowercase()];
    assert_eq!(heir["balance"], json!({ "+": "0x7" }));
    let none = rpc
        .call("trace_replayTransaction", json!([hub_call(), []]))
        .await;
    assert_eq!(
        (&none["vmTrace"], &none["stateDiff"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(none["output"], hub["output"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explorer_reads_blocks_page_by_page() {
    let rpc = tell(story()).await;
    assert_eq!(rpc.call("ots_getApiLevel", json!([])).await, 8);
    let block = rpc
        .call("eth_getBlockByNumber", json!(["0x2", false]))
        .await;
    let details = rpc.call("ots_getBlockDetails", json!([2])).await;
    assert_eq!(
        details,
        rpc.call("ots_getBlockDetails", json!(["0x2"])).await
    );
    let by_hash = rpc
        .call("ots_getBlockDetailsByHash", json!([block["hash"]]))
        .await;
    assert_eq!(details, by_hash);
    assert_eq!(details["block"]["transactionCount"], 4);
    assert_eq!(details["block"]["hash"], block["hash"]);
    assert_eq!(details["block"].get("transactions"), None);
    assert_eq!(details["issuance"]["issuance"], "0x0");
    assert_eq!(details["totalFees"], "0x0");
    assert_eq!(
        rpc.call("ots_getBlockDetails", json!([99])).await,
        Value::Null
    );
    // Pages go from the last transaction backwards and leave nothing out.
    let mut seen = Vec::new();
    for page in [1, 0] {
        let read = rpc
            .call("ots_getBlockTransactions", json!([2, page, 3]))
            .await;
        let transactions = list(&read["fullblock"]["transactions"]);
        let receipts = list(&read["receipts"]);
        assert_eq!(transactions.len(), receipts.len());
        for (transaction, receipt) in transactions.iter().zip(receipts) {
            assert_eq!(transaction["hash"], receipt["transactionHash"]);
            assert_eq!(
                (&receipt["logs"], &receipt["logsBloom"]),
                (&Value::Null, &Value::Null)
            );
            assert!(transaction["input"].as_str().unwrap().len() <= 10);
            seen.push(transaction["hash"].clone());
        }
    }
    assert_eq!(seen, *list(&block["transactions"]));
    let behind = rpc.call("ots_getBlockTransactions", json!([2, 2, 3])).await;
    assert_eq!(behind["receipts"], json!([]));
    let header = rpc.call("erigon_getHeaderByNumber", json!(["0x2"])).await;
    assert_eq!(header["hash"], block["hash"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explorer_looks_into_transactions() {
    let rpc = tell(story()).await;
    let operations = rpc
        .call("ots_getInternalOperations", json!([hub_call()]))
        .await;
    let kinds: Vec<_> = list(&operations).iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, [2, 1, 0]);
    assert_eq!(operations[2]["to"], json!(HEIR));
    let entries = rpc.call("ots_traceTransaction", json!([hub_call()])).await;
    let shown: Vec<_> = list(&entries)
        .iter()
        .map(|one| {
            (
                one["type"].as_str().unwrap(),
                one["depth"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("CALL", 0),
        ("CALL", 1),
        ("DELEGATECALL", 1),
        ("CALL", 1),
        ("CREATE", 1),
        ("SELFDESTRUCT", 2),
        ("CALL", 1),
        ("STATICCALL", 1),
    ];
    assert_eq!(shown, expected);
    assert_eq!(
        (&entries[2]["value"], &entries[0]["value"]),
        (&Value::Null, &json!("0x3e8"))
    );
    let failed = hash_of(&story()[1][1]);
    let error = rpc.call("ots_getTransactionError", json!([failed])).await;
    assert!(error.as_str().unwrap().starts_with("0x08c379a0"), "{error}");
    assert_eq!(
        rpc.call("ots_getTransactionError", json!([hub_call()]))
            .await,
        "0x"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explorer_finds_transactions_and_creators_without_an_index() {
    let rpc = tell(story()).await;
    let rich = account(0).address();
    let found = async |method: &str, params: Value| rpc.call(method, params).await;
    let by_nonce = "ots_getTransactionBySenderAndNonce";
    assert_eq!(
        found(by_nonce, json!([rich, 0])).await,
        json!(hash_of(&story()[0][0]))
    );
    assert_eq!(
        found(by_nonce, json!([rich, "0x1"])).await,
        json!(hub_call())
    );
    assert_eq!(found(by_nonce, json!([rich, 2])).await, Value::Null);
    let creator = json!({ "hash": hash_of(&story()[0][0]), "creator": rich });
    assert_eq!(
        found("ots_getContractCreator", json!([hub_at()])).await,
        creator
    );
    for other in [rich, COUNTER_AT, HEIR] {
        assert_eq!(
            found("ots_getContractCreator", json!([other])).await,
            Value::Null
        );
    }
    assert_eq!(
        found("ots_hasCode", json!([hub_at(), "latest"])).await,
        true
    );
    assert_eq!(found("ots_hasCode", json!([hub_at(), "0x0"])).await, false);
    assert_eq!(found("ots_hasCode", json!([rich])).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_refused_where_they_are_not_served() {
    let rpc = Rpc::with(|config| {
        for namespace in ["debug", "trace", "ots"] {
            config.public.close(namespace);
        }
    })
    .await;
    for method in ["debug_traceTransaction", "trace_block", "ots_getApiLevel"] {
        let (code, text) = rpc.refused(method, json!([])).await;
        assert_eq!(code, -32601);
        assert!(text.contains("is closed to this caller"), "{text}");
    }
    let modules = rpc.call("rpc_modules", json!([])).await;
    assert_eq!(modules.get("debug"), None);
    let served = Rpc::start().await.call("rpc_modules", json!([])).await;
    assert_eq!(
        (&served["debug"], &served["ots"]),
        (&json!("1.0"), &json!("1.0"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metered_blocks_are_traced_with_their_fees() {
    let policy = GasPolicy::Metered(medina_types::MeteredGas {
        treasury: Address::repeat_byte(0xfe),
        treasury_share_bps: 2_500,
        initial_base_fee: 1_000_000_000,
    });
    let rpc = Rpc::of(TestNode::with_gas(policy), |_| {}).await;
    let price = 3_000_000_000;
    rpc.send(&signed_at_price(0, 0, Some(COUNTER_AT), &[], price))
        .await;
    rpc.node.mine();
    let traces = rpc
        .call("debug_traceBlockByNumber", json!(["latest"]))
        .await;
    let receipts = rpc.call("eth_getBlockReceipts", json!(["latest"])).await;
    assert_eq!(
        traces[0]["result"]["gas"],
        quantity(&receipts[0]["gasUsed"])
    );
    let details = rpc.call("ots_getBlockDetails", json!(["latest"])).await;
    let fee = quantity(&receipts[0]["gasUsed"]) * quantity(&receipts[0]["effectiveGasPrice"]);
    assert_eq!(quantity(&details["totalFees"]), fee);
    assert_ne!(fee, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_request_build_on_one_another() {
    let rpc = Rpc::start().await;
    // The counter raises its slot with each call and answers nothing: the state tells.
    let call = json!([{ "to": COUNTER_AT }, ["stateDiff"]]);
    let traces = rpc
        .call("trace_callMany", json!([[call, call], "latest"]))
        .await;
    let diffs: Vec<&Value> = traces
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| &trace["stateDiff"][COUNTER_AT.to_string().to_lowercase()]["storage"])
        .collect();
    assert_eq!(diffs.len(), 2);
    let first = diffs[0].as_object().unwrap().values().next().unwrap();
    let second = diffs[1].as_object().unwrap().values().next().unwrap();
    let after_first = first["*"]["to"].as_str().or(first["+"].as_str()).unwrap();
    assert_eq!(second["*"]["from"], after_first, "{traces}");
    let many = vec![call; 257];
    let (code, text) = rpc.refused("trace_callMany", json!([many, "latest"])).await;
    assert!(code == -32005 && text.contains("at most 256"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_is_traced_before_anybody_sends_it() {
    let rpc = Rpc::start().await;
    let raw = signed(0, 0, Some(COUNTER_AT), &[]);
    let traced = rpc
        .call("trace_rawTransaction", json!([raw, ["trace"]]))
        .await;
    let to = traced["trace"][0]["action"]["to"].as_str().unwrap();
    assert_eq!(to, COUNTER_AT.to_string().to_lowercase());
    assert_eq!(rpc.call("eth_blockNumber", json!([])).await, "0x0");
    let refused = rpc
        .refused("trace_rawTransaction", json!(["0x01", []]))
        .await;
    assert_eq!(refused.0, -32602);
}

#[tokio::test(flavor = "multi_thread")]
async fn block_is_traced_by_its_bytes_if_it_is_of_the_chain() {
    let rpc = Rpc::start().await;
    rpc.send(&signed(0, 0, Some(COUNTER_AT), &[])).await;
    rpc.node.mine();
    let raw = rpc.call("debug_getRawBlock", json!(["latest"])).await;
    let tracer = json!({ "tracer": "callTracer" });
    let by_bytes = rpc.call("debug_traceBlock", json!([raw, tracer])).await;
    let by_number = rpc
        .call("debug_traceBlockByNumber", json!(["latest", tracer]))
        .await;
    assert_eq!(by_bytes, by_number);
    let (_, text) = rpc.refused("debug_traceBlock", json!(["0x01"])).await;
    assert!(text.contains("could not decode block"), "{text}");
    assert_eq!(rpc.call("debug_getBadBlocks", json!([])).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_an_address_are_found_page_by_page() {
    let rpc = Rpc::start().await;
    let mut hashes = Vec::new();
    for nonce in 0..5 {
        hashes.push(rpc.send(&signed(0, nonce, Some(COUNTER_AT), &[])).await);
        rpc.node.mine();
        // Blocks of others in between.
        rpc.send(&signed(1, nonce, Some(COUNTER_AT), &[])).await;
        rpc.node.mine();
    }
    let sender = rpc
        .call("eth_getTransactionByHash", json!([hashes[0]]))
        .await["from"]
        .clone();
    let page = |method: &'static str, address: Value, from: u64| {
        let rpc = &rpc;
        async move { rpc.call(method, json!([address, from, 2])).await }
    };
    let of = |page: &Value| -> Vec<String> {
        let transactions = page["txs"].as_array().unwrap().iter();
        transactions
            .map(|one| one["hash"].as_str().unwrap().to_owned())
            .collect()
    };
    let (before, after) = (
        "ots_searchTransactionsBefore",
        "ots_searchTransactionsAfter",
    );
    let newest = page(before, sender.clone(), 0).await;
    assert_eq!(of(&newest), [hashes[4].clone(), hashes[3].clone()]);
    assert_eq!(
        (&newest["firstPage"], &newest["lastPage"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(newest["receipts"][0]["transactionHash"], json!(hashes[4]));
    assert!(newest["receipts"][0]["timestamp"].is_u64());
    let next = page(before, sender.clone(), 7).await;
    assert_eq!(of(&next), [hashes[2].clone(), hashes[1].clone()]);
    let last = page(before, sender.clone(), 3).await;
    assert_eq!(of(&last), [hashes[0].clone()]);
    assert_eq!(
        (&last["firstPage"], &last["lastPage"]),
        (&json!(false), &json!(true))
    );
    let oldest = page(after, sender.clone(), 0).await;
    assert_eq!(of(&oldest), [hashes[1].clone(), hashes[0].clone()]);
    assert_eq!(
        (&oldest["firstPage"], &oldest["lastPage"]),
        (&json!(false), &json!(true))
    );
    let end = page(after, sender, 8).await;
    assert_eq!(of(&end), [hashes[4].clone()]);
    assert_eq!(end["firstPage"], json!(true));
    // Of a contract every block is looked at.
    let contract = page(before, json!(COUNTER_AT), 0).await;
    assert_eq!(of(&contract).len(), 2);
    assert_eq!(of(&contract)[1], hashes[4]);
    let nobody = page(before, json!(Address::repeat_byte(0xcd)), 0).await;
    assert_eq!((of(&nobody).len(), &nobody["lastPage"]), (0, &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_of_calls_are_traced_one_on_the_other() {
    let rpc = Rpc::start().await;
    let call = json!({ "to": COUNTER_AT });
    let bundle = json!({ "transactions": [call, call] });
    let tracer = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let params = json!([[bundle, { "transactions": [call], "blockOverride": { "number": "0x9" } }], { "blockNumber": "latest" }, tracer]);
    let traces = rpc.call("debug_traceCallMany", params).await;
    let lengths: Vec<_> = list(&traces).iter().map(|one| list(one).len()).collect();
    assert_eq!(lengths, [2, 1]);
    let counter = COUNTER_AT.to_string().to_lowercase();
    let after = |trace: &Value| {
        let slots = trace["post"][&counter]["storage"].as_object().unwrap();
        slots.values().next().unwrap().as_str().unwrap().to_owned()
    };
    let all = [&traces[0][0], &traces[0][1], &traces[1][0]].map(after);
    assert!(all[0] < all[1] && all[1] < all[2], "{all:?}");
    let far = json!([[bundle], { "blockNumber": "latest", "transactionIndex": 1 }]);
    let (code, _) = rpc.refused("debug_traceCallMany", far).await;
    assert_eq!(code, -32004);
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_is_listed_before_each_transaction_of_a_block() {
    let rpc = tell([
        vec![sent(0, 0, Some(COUNTER_AT), 0, &[])],
        vec![
            sent(0, 1, Some(COUNTER_AT), 0, &[]),
            sent(0, 2, Some(COUNTER_AT), 0, &[]),
        ],
    ])
    .await;
    let mut values = Vec::new();
    for index in 0..2 {
        let params = json!(["0x2", index, COUNTER_AT, "0x", 10]);
        let range = rpc.call("debug_storageRangeAt", params).await;
        assert!(range["nextKey"].is_null(), "{range}");
        let (hash, entry) = range["storage"].as_object().unwrap().iter().next().unwrap();
        let key: B256 = entry["key"].as_str().unwrap().parse().unwrap();
        assert_eq!(hash, &keccak256(key).to_string());
        values.push(entry["value"].as_str().unwrap().to_owned());
    }
    // What a transaction finds is what the one before it left.
    let after = |block: &'static str| {
        let rpc = &rpc;
        async move {
            let accounts = rpc
                .call("debug_accountRange", json!([block, "0x", 256]))
                .await;
            accounts["accounts"][COUNTER_AT.to_string()]["storage"].clone()
        }
    };
    let of = |storage: &Value| {
        let value = storage.as_object().unwrap().values().next().unwrap();
        u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
    };
    assert_eq!(quantity(&json!(values[0])), of(&after("0x1").await));
    assert!(values[0] < values[1]);
    assert!(of(&after("0x2").await) > quantity(&json!(values[1])));
    let params = json!(["0x2", 2, COUNTER_AT, "0x", 10]);
    let (_, text) = rpc.refused("debug_storageRangeAt", params).await;
    assert!(text.contains("index 2 out of range"), "{text}");
    let params = json!(["0x0", 0, COUNTER_AT, "0x", 10]);
    let (_, text) = rpc.refused("debug_storageRangeAt", params).await;
    assert_eq!(text, "no transaction in genesis");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_page_by_page_in_the_order_of_the_trie() {
    let rpc = tell(story()).await;
    let whole = rpc
        .call("debug_accountRange", json!(["latest", "0x", 256]))
        .await;
    assert!(whole.get("next").is_none());
    let block = rpc
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let root = format!("0x{}", whole["root"].as_str().unwrap());
    assert_eq!(json!(root), block["stateRoot"]);
    let whole = whole["accounts"].as_object().unwrap().clone();
    let mut paged = serde_json::Map::new();
    let mut start = "0x".to_owned();
    loop {
        let params = json!(["latest", start, 2, false, false]);
        let page = rpc.call("debug_accountRange", params).await;
        let accounts = page["accounts"].as_object().unwrap().clone();
        assert!((1..=2).contains(&accounts.len()));
        paged.extend(accounts);
        let Some(next) = page["next"].as_str() else {
            break;
        };
        start = hex::encode_prefixed(base64_bytes(next));
    }
    assert_eq!(paged, whole);
    for (address, account) in &whole {
        let balance = rpc.call("eth_getBalance", json!([address, "latest"])).await;
        let balance: U256 = balance.as_str().unwrap().parse().unwrap();
        assert_eq!(account["balance"], balance.to_string());
        let code = rpc.call("eth_getCode", json!([address, "latest"])).await;
        assert_eq!(account.get("code").unwrap_or(&json!("0x")), &code);
    }
    let params = json!(["latest", "0x", 256, true, true]);
    let plain = rpc.call("debug_accountRange", params).await;
    let plain = plain["accounts"].as_object().unwrap();
    assert_eq!(plain.len(), whole.len());
    let bare = |account: &Value| account.get("code").is_none() && account.get("storage").is_none();
    assert!(plain.values().all(bare));
}

/// Bytes of a text as Go writes byte lists.
fn base64_bytes(text: &str) -> Vec<u8> {
    let digit = |symbol: char| match symbol {
        'A'..='Z' => u32::from(symbol) - 65,
        'a'..='z' => u32::from(symbol) - 71,
        '0'..='9' => u32::from(symbol) + 4,
        '+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text.trim_end_matches('=').chars().map(digit).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
