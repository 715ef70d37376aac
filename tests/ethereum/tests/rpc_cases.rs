//! The public JSON-RPC cases against our own server.
//!
//! Data of others is not committed: it is looked for in `shared/rpc` beside the
//! repository, or where `MEDINA_RPC_TESTS` says (a folder that holds `openrpc.json`
//! and `tests`).

use medina_ethereum_tests::{
    OpenRpc, Outcome, RpcCaseReport, RpcFiles, Summary, run_rpc_cases, serve_rpc_chain,
    shared_rpc_folder,
};
use serde_json::{Value, json};
use std::{fs, net::Ipv4Addr, path::Path};

/// Folder of the shared cases, if they are here.
fn cases() -> Option<std::path::PathBuf> {
    let found = shared_rpc_folder().map(|folder| folder.join("tests"));
    if found.is_none() {
        eprintln!("skipped: no shared/rpc beside the repository; MEDINA_RPC_TESTS names one");
    }
    found
}

async fn run(folder: &Path) -> Summary {
    let mut tell = |report: &RpcCaseReport| {
        if let Outcome::Failed(reason) = &report.outcome {
            eprintln!("{}: {reason}", report.file.display());
        }
    };
    let summary = run_rpc_cases(folder, &mut tell).await;
    let summary = summary.expect("a folder that can be run");
    eprintln!("{summary}");
    summary
}

#[tokio::test]
async fn public_json_rpc_cases_pass() {
    let Some(folder) = cases() else {
        return;
    };
    let summary = run(&folder).await;
    assert!(summary.passed > 0, "an empty folder proves nothing");
    assert_eq!(summary.failed, 0);
}

#[tokio::test]
async fn wrong_answers_missing_fields_and_broken_files_fail() {
    let Some(folder) = cases() else {
        return;
    };
    let own = tempfile::tempdir().expect("a folder");
    let number = |answer: &str| {
        format!(">> {{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_blockNumber\"}}\n<< {answer}\n")
    };
    let right = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x36\"}";
    for (name, text) in [
        ("right", number(right)),
        ("value", number(&right.replace("0x36", "0x37"))),
        (
            "field",
            number(&right.replace("\"id\":1,", "\"id\":1,\"more\":1,")),
        ),
        ("broken", "?".to_owned()),
        (
            "shape",
            format!(
                "// speconly: x\n{}",
                number(right).replace("eth_blockNumber", "web3_sha3")
            ),
        ),
        (
            "engine",
            number(right).replace("eth_blockNumber", "engine_newPayloadV4"),
        ),
    ] {
        fs::write(own.path().join(format!("{name}.io")), text).expect("a file");
    }
    for name in ["genesis.json", "chain.rlp"] {
        fs::copy(folder.join(name), own.path().join(name)).expect("a copy");
    }
    let summary = run(own.path()).await;
    let counts = (summary.passed, summary.failed, summary.skipped_count());
    assert_eq!(counts, (1, 4, 1), "{summary}");
}

#[tokio::test]
async fn chain_that_does_not_fit_its_headers_is_not_served() {
    let Some(folder) = cases() else {
        return;
    };
    let own = tempfile::tempdir().expect("a folder");
    let genesis = fs::read_to_string(folder.join("genesis.json")).expect("a genesis");
    let mut genesis: Value = serde_json::from_str(&genesis).expect("JSON");
    genesis["alloc"]["0x000000000000000000000000000000000000beef"] = json!({ "balance": "0x1" });
    fs::write(own.path().join("genesis.json"), genesis.to_string()).expect("a file");
    fs::copy(folder.join("chain.rlp"), own.path().join("chain.rlp")).expect("a copy");
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let error = serve_rpc_chain(own.path(), listen)
        .await
        .expect_err("another genesis");
    assert!(error.to_string().contains("block 1"), "{error}");
}

/// Asks one method and answers its result.
async fn ask(client: &reqwest::Client, url: &str, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let sent = client
        .post(url)
        .json(&request)
        .send()
        .await
        .expect("an answer");
    let mut answer: Value = sent.json().await.expect("JSON");
    assert!(answer.get("result").is_some(), "{method}: {answer}");
    answer["result"].take()
}

#[tokio::test]
async fn every_block_of_the_chain_has_the_shapes_of_the_schema() {
    let Some(folder) = cases() else {
        return;
    };
    let files = RpcFiles::of_cases(&folder).expect("files");
    let schema = OpenRpc::read(&files.schema).expect("a schema");
    let server = serve_rpc_chain(&folder, (Ipv4Addr::LOCALHOST, 0).into()).await;
    let server = server.expect("a server");
    let url = format!("http://{}", server.local_addr());
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let transfer = json!({
        "from": "0x7435ed30a8b4aeb0877cef0c6e8cffe834eb865f",
        "to": "0x7dcd17433742f4c0ca53122ab541d0ba67fc27df",
        "value": "0x1", "input": "0x010203040506",
    });
    let simulation = json!({
        "blockStateCalls": [{ "calls": [transfer] }, {}],
        "traceTransfers": true, "returnFullTransactions": true,
    });
    for number in 0..=54 {
        let block = format!("{number:#x}");
        let mut asked = vec![
            ("eth_getBlockByNumber", json!([block, false])),
            ("eth_getBlockByNumber", json!([block, true])),
            ("eth_getBlockReceipts", json!([block])),
            (
                "eth_getTransactionByBlockNumberAndIndex",
                json!([block, "0x0"]),
            ),
            ("eth_getProof", json!([transfer["to"], ["0x0"], block])),
            ("eth_feeHistory", json!(["0x2", block, [5, 50]])),
            ("eth_simulateV1", json!([simulation, block])),
            ("debug_getRawBlock", json!([block])),
            ("debug_getRawHeader", json!([block])),
            ("debug_getRawReceipts", json!([block])),
        ];
        if number > 0 {
            let all = json!({ "enableMemory": true, "enableReturnData": true });
            asked.push(("debug_traceBlockByNumber", json!([block, all])));
        }
        for (method, params) in asked {
            let result = ask(&client, &url, method, params.clone()).await;
            let fits = schema.check_result(method, &result);
            assert_eq!(fits, Ok(()), "{method} {params}");
        }
    }
}
