//! What a node keeps of the past, on real processes: pruning as `config.toml` says,
//! and a checkpoint taken while the node runs, on which another one starts.

use medina_tests::{
    chaos::clients::{numbered_transfer, test_account},
    processes::{NetworkOfProcesses, eventually},
};
use serde_json::{Value, json};
use std::path::Path;

const KEPT_STATES: u64 = 4;
const PAID: &str = "0x7777777777777777777777777777777777777777";

/// Adds a section to a node's configuration.
fn configure(network: &NetworkOfProcesses, node: usize, section: &str) {
    let path = network.node_folder(node).join("config.toml");
    let mut text = std::fs::read_to_string(&path).expect("a made configuration");
    text.push_str(section);
    std::fs::write(&path, text).expect("its own folder");
}

/// Pays one wei and waits until it is in a block; answers the block's height.
async fn pay(network: &NetworkOfProcesses, nonce: u64) -> u64 {
    let chain_id = network.call(0, "eth_chainId", json!([])).await;
    let chain_id = number(&chain_id);
    let to = PAID.parse().expect("an address");
    let (hash, encoded) = numbered_transfer(&test_account(0), to, (chain_id, nonce), nonce);
    network
        .call(0, "eth_sendRawTransaction", json!([encoded]))
        .await;
    eventually("a receipt", || async {
        let receipt = network
            .try_call(0, "eth_getTransactionReceipt", json!([hash]))
            .await?;
        receipt["blockNumber"]
            .is_string()
            .then(|| number(&receipt["blockNumber"]))
    })
    .await
}

fn number(value: &Value) -> u64 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let parsed = digits.map(|digits| u64::from_str_radix(digits, 16));
    parsed.expect("a quantity").expect("a quantity")
}

/// The balance that was paid to, at a height: a number or the error.
async fn balance(network: &NetworkOfProcesses, node: usize, height: u64) -> Result<u64, Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBalance",
                       "params": [PAID, format!("0x{height:x}")] });
    let request = reqwest::Client::new()
        .post(network.rpc_url(node))
        .json(&body);
    let answer: Value = request
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    match answer.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(number(&answer["result"])),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pruned_node_answers_for_what_it_keeps_and_says_what_it_has_pruned() {
    let mut network = NetworkOfProcesses::create(4);
    configure(
        &network,
        1,
        &format!("\n[history]\nkeep_state_blocks = {KEPT_STATES}\n"),
    );
    for node in 0..4 {
        network.run(node);
    }
    for node in 0..4 {
        network.ready(node).await;
        network.linked(node, 3).await;
    }
    let mut heights = Vec::new();
    for nonce in 0..10 {
        heights.push(pay(&network, nonce).await);
    }
    let head = network.agree(&[0, 1, 2, 3]).await;
    let first = head + 1 - KEPT_STATES;
    eventually("the node has pruned", || async {
        balance(&network, 1, first - 1).await.err()
    })
    .await;
    for (paid, height) in (1..).zip(heights) {
        assert_eq!(balance(&network, 0, height).await, Ok(paid), "an archive");
        match balance(&network, 1, height).await {
            Ok(found) => assert!(height >= first && found == paid, "block {height}"),
            Err(error) => {
                assert!(height < first, "block {height}: {error}");
                assert_eq!(error["code"], -32000);
                let message = error["message"].as_str().unwrap_or_default();
                assert!(message.contains("is not available"), "{message}");
                assert!(message.contains(&first.to_string()), "{message}");
            }
        }
        let block = json!([format!("0x{height:x}"), true]);
        let block = network.call(1, "eth_getBlockByNumber", block).await;
        assert_eq!(block["transactions"].as_array().map(Vec::len), Some(1));
    }
    let capabilities = network.call(1, "eth_capabilities", json!([])).await;
    let oldest = |of: &str| number(&capabilities[of]["oldestBlock"]);
    assert_eq!([oldest("state"), oldest("stateproofs")], [first, first]);
    assert_eq!([oldest("blocks"), oldest("receipts")], [0, 0]);
    // It goes on validating, and its head is whole.
    network.kill(2);
    pay(&network, 10).await;
    network.agree(&[0, 1, 3]).await;
    assert_eq!(balance(&network, 1, head + 1).await, Ok(11));
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_of_a_running_node_is_a_data_folder_to_start_on() {
    let mut network = NetworkOfProcesses::start(4).await;
    for nonce in 0..3 {
        pay(&network, nonce).await;
    }
    network.agree(&[0, 1, 2, 3]).await;
    let copy = network.call(3, "admin_checkpoint", json!([])).await;
    let path = copy["path"].as_str().expect("a path").to_owned();
    let block = network
        .call(0, "eth_getBlockByHash", json!([copy["hash"], false]))
        .await;
    assert!(block.is_object(), "the copy's head is the chain's: {copy}");
    pay(&network, 3).await;

    // The disk is lost, the copy is not.
    network.kill(3);
    let data = network.node_folder(3).join("data");
    std::fs::remove_dir_all(&data).expect("its own folder");
    std::fs::rename(Path::new(&path), &data).expect("the same disk");
    network.run(3);
    network.ready(3).await;
    pay(&network, 4).await;
    let head = network.agree(&[0, 1, 2, 3]).await;
    assert_eq!(balance(&network, 3, head).await, Ok(5));
    assert_eq!(balance(&network, 3, 3).await, Ok(3), "history came along");
}
