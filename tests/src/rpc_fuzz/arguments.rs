//! Requests that are nearly right: every method that a node may know, and arguments
//! from what exists, what could exist and what cannot.

use rand::{Rng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

use super::wire;

/// Methods, those that nodes of ours do not have included.
const METHODS: &[&str] = &[
    "admin_addPeer",
    "admin_datadir",
    "admin_nodeInfo",
    "admin_peers",
    "admin_removePeer",
    "debug_accountRange",
    "debug_getBadBlocks",
    "debug_getRawBlock",
    "debug_getRawBlockAccessList",
    "debug_getRawHeader",
    "debug_getRawReceipts",
    "debug_getRawTransaction",
    "debug_storageRangeAt",
    "debug_traceBlock",
    "debug_traceBlockByHash",
    "debug_traceBlockByNumber",
    "debug_traceCall",
    "debug_traceCallMany",
    "debug_traceTransaction",
    "engine_newPayloadV4",
    "erigon_getHeaderByNumber",
    "eth_accounts",
    "eth_baseFee",
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_capabilities",
    "eth_chainId",
    "eth_coinbase",
    "eth_config",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_fillTransaction",
    "eth_gasPrice",
    "eth_getAccount",
    "eth_getAccountInfo",
    "eth_getBalance",
    "eth_getBlockAccessList",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_getHeaderByHash",
    "eth_getHeaderByNumber",
    "eth_getLogs",
    "eth_getProof",
    "eth_getRawTransactionByBlockHashAndIndex",
    "eth_getRawTransactionByBlockNumberAndIndex",
    "eth_getRawTransactionByHash",
    "eth_getStorageAt",
    "eth_getStorageValues",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionBySenderAndNonce",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_getUncleByBlockHashAndIndex",
    "eth_getUncleByBlockNumberAndIndex",
    "eth_getUncleCountByBlockHash",
    "eth_getUncleCountByBlockNumber",
    "eth_maxPriorityFeePerGas",
    "eth_newBlockFilter",
    "eth_newFilter",
    "eth_newPendingTransactionFilter",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "eth_sendTransaction",
    "eth_sign",
    "eth_simulateV1",
    "eth_subscribe",
    "eth_syncing",
    "eth_uninstallFilter",
    "eth_unsubscribe",
    "ibft_getPendingVotes",
    "istanbul_candidates",
    "istanbul_discard",
    "istanbul_getSignersFromBlock",
    "istanbul_getSnapshot",
    "istanbul_getSnapshotAtHash",
    "istanbul_getValidators",
    "istanbul_isValidator",
    "istanbul_nodeAddress",
    "istanbul_propose",
    "istanbul_status",
    "medina_certificate",
    "medina_chainSpec",
    "medina_consensus",
    "medina_contracts",
    "medina_node",
    "medina_peers",
    "medina_syncProgress",
    "medina_validators",
    "net_listening",
    "net_peerCount",
    "net_version",
    "no_suchMethod",
    "",
    "ots_getApiLevel",
    "ots_getBlockDetails",
    "ots_getBlockDetailsByHash",
    "ots_getBlockTransactions",
    "ots_getContractCreator",
    "ots_getInternalOperations",
    "ots_getTransactionBySenderAndNonce",
    "ots_getTransactionError",
    "ots_hasCode",
    "ots_searchTransactionsAfter",
    "ots_searchTransactionsBefore",
    "ots_traceTransaction",
    "personal_sign",
    "qbft_discardValidatorVote",
    "qbft_getPendingVotes",
    "qbft_getRequestTimeoutSeconds",
    "qbft_getSignerMetrics",
    "qbft_getValidatorsByBlockHash",
    "qbft_getValidatorsByBlockNumber",
    "qbft_proposeValidatorVote",
    "raft_addPeer",
    "raft_cluster",
    "raft_getRaftId",
    "raft_leader",
    "raft_removePeer",
    "raft_role",
    "rpc_modules",
    "trace_block",
    "trace_call",
    "trace_callMany",
    "trace_filter",
    "trace_get",
    "trace_rawTransaction",
    "trace_replayBlockTransactions",
    "trace_replayTransaction",
    "trace_transaction",
    "txpool_content",
    "txpool_contentFrom",
    "txpool_inspect",
    "txpool_status",
    "web3_clientVersion",
    "web3_sha3",
];

/// Names of fields that requests have somewhere.
const FIELDS: &[&str] = &[
    "accessList",
    "address",
    "addresses",
    "after",
    "authorizationList",
    "balance",
    "baseFeePerGas",
    "blobVersionedHashes",
    "blockHash",
    "blockNumber",
    "blockOverrides",
    "blockStateCalls",
    "calls",
    "chainId",
    "code",
    "count",
    "data",
    "fromAddress",
    "fromBlock",
    "from",
    "gas",
    "gasLimit",
    "gasPrice",
    "input",
    "maxFeePerGas",
    "maxPriorityFeePerGas",
    "mode",
    "movePrecompileToAddress",
    "nonce",
    "number",
    "requireCanonical",
    "returnFullTransactions",
    "state",
    "stateDiff",
    "stateOverrides",
    "storageKeys",
    "time",
    "timeout",
    "to",
    "toAddress",
    "toBlock",
    "topics",
    "traceTransfers",
    "tracer",
    "tracerConfig",
    "transactionHashes",
    "type",
    "validation",
    "value",
    "withdrawals",
];

/// What exists on the chain under attack.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Hashes of blocks and transactions.
    hashes: Vec<Value>,
    /// A contract, if the chain says which it has.
    pub(super) contract: Value,
    accounts: Vec<Value>,
}

impl Known {
    /// Asks for it.
    pub(super) async fn of(address: SocketAddr) -> Self {
        let ask = |method: &'static str, params: Value| async move {
            let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            let answer = wire::post(address, request.to_string().as_bytes())
                .await
                .ok()?;
            let mut answer: Value = serde_json::from_slice(&answer.body).ok()?;
            Some(answer["result"].take())
        };
        let block = ask("eth_getBlockByNumber", json!(["latest", false]))
            .await
            .unwrap_or_default();
        let contracts = ask("medina_contracts", json!([])).await.unwrap_or_default();
        let contracts = contracts.as_object().cloned().unwrap_or_default();
        let contract = contracts.values().next().cloned();
        let mut hashes = vec![block["hash"].clone(), block["parentHash"].clone()];
        hashes.extend(
            block["transactions"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
        let mut accounts: Vec<Value> = contracts.into_iter().map(|(_, address)| address).collect();
        accounts.push(json!("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"));
        accounts.push(json!("0x0000000000000000000000000000000000000001"));
        Self {
            hashes,
            contract: contract.unwrap_or(Value::Null),
            accounts,
        }
    }
}

/// A request, sometimes without an id or with an odd one.
pub(super) fn request(random: &mut ChaCha8Rng, known: &Known) -> Value {
    let method = METHODS.choose(random).copied().unwrap_or("eth_chainId");
    let params = params(method, random, known);
    let mut request = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    request["id"] = match random.random_range(0..40) {
        0 => json!("text"),
        1 => json!(null),
        2 => json!(u64::MAX),
        3 => json!(-1),
        4 => json!(1.5),
        5 => json!({}),
        6 => {
            if let Some(fields) = request.as_object_mut() {
                fields.remove("id");
            }
            return request;
        }
        _ => json!(random.random::<u32>()),
    };
    match random.random_range(0..60) {
        0 => request["jsonrpc"] = json!("1.0"),
        1 => request["params"] = json!({ "a": 1 }),
        2 => request["method"] = json!(7),
        3 => request["extra"] = json!([1, 2, 3]),
        _ => {}
    }
    request
}

/// Arguments that fit the method's name, or any.
fn params(method: &str, random: &mut ChaCha8Rng, known: &Known) -> Value {
    if random.random_range(0..4) == 0 {
        let count = random.random_range(0..5);
        return (0..count).map(|_| anything(random, known, 3)).collect();
    }
    let (hash, block, account, call) = (
        hash(random, known),
        block(random, known),
        account(random, known),
        call(random, known),
    );
    let tracer = tracer(random);
    let types = json!(["trace", "vmTrace", "stateDiff"]);
    let page = random.random_range(0..30);
    match method {
        "eth_call" | "eth_estimateGas" | "eth_createAccessList" | "eth_fillTransaction" => {
            json!([call, block, overrides(random, known)])
        }
        "eth_simulateV1" => {
            json!([{ "blockStateCalls": [{ "calls": [call] }], "validation": random.random::<bool>() }, block])
        }
        "debug_traceCall" => json!([call, block, tracer]),
        "trace_call" => json!([call, types, block]),
        "trace_callMany" => json!([[[call.clone(), types.clone()], [call, types]], block]),
        "debug_traceCallMany" => {
            json!([[{ "transactions": [call.clone(), call] }], { "blockNumber": block }, tracer])
        }
        "debug_storageRangeAt" => json!([block, 0, account, hash, 5]),
        "debug_accountRange" => json!([block, hash, 5, random.random::<bool>()]),
        "debug_traceTransaction" => json!([hash, tracer]),
        "debug_traceBlockByNumber" | "debug_traceBlockByHash" => json!([block, tracer]),
        "trace_replayTransaction" | "trace_rawTransaction" => json!([hash, types]),
        "trace_replayBlockTransactions" => json!([block, types]),
        "trace_filter" => {
            json!([{ "fromBlock": block, "toBlock": "latest", "toAddress": [account], "count": page }])
        }
        "trace_get" => json!([hash, ["0x0"]]),
        "eth_getLogs" | "eth_newFilter" => json!([filter(random, known)]),
        "eth_getProof" => json!([account, [hash, "0x1"], block]),
        "eth_getStorageAt" => json!([account, "0x0", block]),
        "eth_getStorageValues" => {
            json!([{ (account.as_str().unwrap_or("")): ["0x0", hash] }, block])
        }
        "eth_feeHistory" => json!([quantity(random), block, [10, 50.5, 99]]),
        "ots_searchTransactionsBefore" | "ots_searchTransactionsAfter" => {
            json!([account, random.random_range(0..5), page])
        }
        "ots_getBlockTransactions" => json!([0, 0, page]),
        "ots_getTransactionBySenderAndNonce" | "eth_getTransactionBySenderAndNonce" => {
            json!([account, random.random_range(0..3)])
        }
        name if name.contains("ByHash") || name.contains("AtHash") || name.ends_with("Receipt") => {
            json!([hash, random.random::<bool>()])
        }
        name if name.contains("Block") || name.contains("Number") => {
            json!([block, random.random::<bool>()])
        }
        name if name.contains("raw") || name.contains("Raw") => json!([bytes(random)]),
        name if name.contains("ransaction") => json!([hash]),
        name if name.contains("ilter") => json!([quantity(random)]),
        _ => json!([account, block]),
    }
}

fn pick(random: &mut ChaCha8Rng, from: &[Value]) -> Value {
    from.choose(random).cloned().unwrap_or_default()
}

fn digits(random: &mut ChaCha8Rng, bytes: usize) -> String {
    let digits = (0..bytes).map(|_| format!("{:02x}", random.random::<u8>()));
    format!("0x{}", digits.collect::<String>())
}

fn hash(random: &mut ChaCha8Rng, known: &Known) -> Value {
    match random.random_range(0..4) {
        0 => json!(digits(random, 32)),
        _ => pick(random, &known.hashes),
    }
}

fn account(random: &mut ChaCha8Rng, known: &Known) -> Value {
    match random.random_range(0..4) {
        0 => json!(digits(random, 20)),
        _ => pick(random, &known.accounts),
    }
}

fn bytes(random: &mut ChaCha8Rng) -> Value {
    let length = *[0, 1, 4, 31, 32, 36, 100, 5_000]
        .choose(random)
        .unwrap_or(&4);
    json!(digits(random, length))
}

fn quantity(random: &mut ChaCha8Rng) -> Value {
    let values = [
        json!("0x0"),
        json!("0x1"),
        json!("0x5208"),
        json!("0xffffffffffffffff"),
        json!("0x10000000000000000"),
        json!(format!("0x{}", "f".repeat(64))),
        json!("0x00"),
        json!("0x"),
        json!(""),
        json!(1),
        json!(-1),
        json!("1"),
        json!(1e300),
    ];
    pick(random, &values)
}

fn block(random: &mut ChaCha8Rng, known: &Known) -> Value {
    let hash = hash(random, known);
    let values = [
        json!("latest"),
        json!("earliest"),
        json!("pending"),
        json!("safe"),
        json!("finalized"),
        json!("0x0"),
        json!("0x1"),
        json!("0x2"),
        json!("0xffffffffffff"),
        json!("unknown"),
        json!({ "blockHash": hash, "requireCanonical": true }),
        json!({ "blockNumber": "0x1" }),
        hash,
        Value::Null,
    ];
    pick(random, &values)
}

fn call(random: &mut ChaCha8Rng, known: &Known) -> Value {
    let mut call = json!({ "to": account(random, known), "from": account(random, known) });
    let extras = [
        ("gas", quantity(random)),
        ("value", quantity(random)),
        ("input", bytes(random)),
        ("data", bytes(random)),
        ("gasPrice", quantity(random)),
        ("maxFeePerGas", quantity(random)),
        ("nonce", quantity(random)),
        (
            "accessList",
            json!([{ "address": account(random, known), "storageKeys": [hash(random, known)] }]),
        ),
        ("authorizationList", json!([anything(random, known, 2)])),
        ("to", Value::Null),
    ];
    for _ in 0..random.random_range(0..4) {
        if let Some((name, value)) = extras.choose(random) {
            call[*name] = value.clone();
        }
    }
    if random.random_range(0..6) == 0 {
        // A loop that never ends, as init code.
        call = json!({ "input": "0x5b600056" });
    }
    call
}

fn overrides(random: &mut ChaCha8Rng, known: &Known) -> Value {
    let account = account(random, known);
    let name = account.as_str().unwrap_or("").to_owned();
    let codes = [
        "0x5b600056",
        "0x60006000fd",
        "0x",
        "0xfe",
        "0x6000515b80600101905b600056",
    ];
    let code = codes.choose(random).copied().unwrap_or("0x");
    match random.random_range(0..4) {
        0 => Value::Null,
        1 => json!({ name: { "code": code } }),
        2 => {
            json!({ name: { "balance": quantity(random), "stateDiff": { (digits(random, 32)): digits(random, 32) } } })
        }
        _ => anything(random, known, 2),
    }
}

fn filter(random: &mut ChaCha8Rng, known: &Known) -> Value {
    let mut filter = json!({ "fromBlock": block(random, known), "toBlock": block(random, known) });
    match random.random_range(0..5) {
        0 => filter["address"] = account(random, known),
        1 => filter["topics"] = json!([null, [hash(random, known)], []]),
        2 => filter["address"] = json!(vec![account(random, known); 1_001]),
        3 => filter = json!({ "blockHash": hash(random, known) }),
        _ => {}
    }
    filter
}

fn tracer(random: &mut ChaCha8Rng) -> Value {
    let values = [
        Value::Null,
        json!({}),
        json!({ "tracer": "callTracer" }),
        json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
        json!({ "tracer": "4byteTracer" }),
        json!({ "tracer": "flatCallTracer" }),
        json!({ "tracer": "muxTracer", "tracerConfig": { "callTracer": {}, "noopTracer": null } }),
        json!({ "tracer": "{ fault: function() {} }" }),
        json!({ "timeout": "1ns" }),
        json!({ "timeout": "x" }),
        json!({ "enableMemory": true, "enableReturnData": true }),
        json!({ "limit": 3, "disableStack": true }),
        json!({ "txIndex": "0x0" }),
        json!({ "stateOverrides": {}, "blockOverrides": { "number": "0x1" } }),
    ];
    pick(random, &values)
}

/// Any JSON.
fn anything(random: &mut ChaCha8Rng, known: &Known, depth: u32) -> Value {
    let kinds = if depth == 0 { 8 } else { 10 };
    match random.random_range(0..kinds) {
        0 => Value::Null,
        1 => json!(random.random::<bool>()),
        2 => quantity(random),
        3 => hash(random, known),
        4 => account(random, known),
        5 => block(random, known),
        6 => bytes(random),
        7 => json!("\u{0}\u{fffd}\u{1f600}\"\\"),
        8 => {
            let count = random.random_range(0..4);
            (0..count)
                .map(|_| anything(random, known, depth - 1))
                .collect()
        }
        _ => {
            let count = random.random_range(0..4);
            let fields = (0..count).map(|_| {
                let name = FIELDS.choose(random).copied().unwrap_or("to").to_owned();
                (name, anything(random, known, depth - 1))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}
