//! `qbft_*`, `ibft_*`, `istanbul_*` and `medina_*` on validators: exact shapes
//! on a chain of four, with what was stored with its blocks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::{Address, B256};
use medina_rpc::SyncProgress;
use medina_types::{ConsensusEngine, Height};
use serde_json::{Value, json};
use support::*;

/// Blocks 1 and 2 by validators 1 and 2, sealed by 0 to 2; block 3 by 1, sealed
/// by 1 to 3.
async fn four() -> Rpc {
    let node = TestNode::of(Shape {
        validators: 4,
        ..Shape::default()
    });
    node.mine_by(1, &[0, 1, 2]);
    node.mine_by(2, &[0, 1, 2]);
    node.mine_by(1, &[1, 2, 3]);
    Rpc::of(node, |_| {}).await
}

fn all() -> Vec<Address> {
    (0..4).map(validator_operator).collect()
}

async fn hash_of(rpc: &Rpc, number: u64) -> Value {
    let number = format!("{number:#x}");
    let block = rpc.call("eth_getBlockByNumber", json!([number, false]));
    block.await["hash"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_are_answered_by_number_tag_and_hash() {
    let rpc = four().await;
    for name in ["qbft", "ibft"] {
        let by_number = format!("{name}_getValidatorsByBlockNumber");
        for block in ["0x0", "0x3", "earliest", "latest", "pending"] {
            assert_eq!(rpc.call(&by_number, json!([block])).await, json!(all()));
        }
        assert_eq!(rpc.call(&by_number, json!(["0x4"])).await, Value::Null);
        let by_hash = format!("{name}_getValidatorsByBlockHash");
        let hash = hash_of(&rpc, 2).await;
        assert_eq!(rpc.call(&by_hash, json!([hash])).await, json!(all()));
        let unknown = json!([B256::repeat_byte(9)]);
        assert_eq!(rpc.call(&by_hash, unknown).await, Value::Null);
    }
    for params in [json!([]), json!(["0x3"]), json!(["latest"])] {
        let set = rpc.call("istanbul_getValidators", params).await;
        assert_eq!(set, json!(all()));
    }
    let hash = json!([hash_of(&rpc, 0).await]);
    let set = rpc.call("istanbul_getValidatorsAtHash", hash).await;
    assert_eq!(set, json!(all()));
}

#[tokio::test(flavor = "multi_thread")]
async fn signer_metrics_count_proposals_and_name_the_silent() {
    let rpc = four().await;
    let metric = |number: u8, count: &str, last: &str| {
        json!({
            "address": validator_operator(number),
            "proposedBlockCount": count,
            "lastProposedBlockNumber": last,
        })
    };
    let whole = json!([
        metric(0, "0x0", "0x0"),
        metric(1, "0x2", "0x3"),
        metric(2, "0x1", "0x2"),
        metric(3, "0x0", "0x0"),
    ]);
    for params in [json!([]), json!(["0x1", "latest"]), json!(["earliest"])] {
        assert_eq!(rpc.call("qbft_getSignerMetrics", params).await, whole);
    }
    let part = rpc.call("ibft_getSignerMetrics", json!(["0x2", "0x2"]));
    let part = part.await;
    assert_eq!(part[1], metric(1, "0x0", "0x0"));
    assert_eq!(part[2], metric(2, "0x1", "0x2"));
    for (params, code, text) in [
        (json!(["0x3", "0x2"]), -32602, "is after the last"),
        (json!(["0x1", "0x9"]), -32602, "does not exist yet"),
        (json!(["0x1", "pending"]), -32602, "does not exist yet"),
        (json!([true]), -32602, "invalid argument 0"),
    ] {
        let refused = rpc.refused("qbft_getSignerMetrics", params).await;
        assert_eq!(refused.0, code, "{refused:?}");
        assert!(refused.1.contains(text), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signers_of_a_block_are_those_of_its_certificate() {
    let rpc = four().await;
    let hash = hash_of(&rpc, 3).await;
    let operators: Vec<_> = (1..4).map(validator_operator).collect();
    let expected = json!({
        "Number": 3,
        "Hash": hash,
        "Author": validator_operator(1),
        "Committers": operators,
    });
    for params in [json!([]), json!(["0x3"])] {
        let signers = rpc.call("istanbul_getSignersFromBlock", params).await;
        assert_eq!(signers, expected);
    }
    let by_hash = "istanbul_getSignersFromBlockByHash";
    assert_eq!(rpc.call(by_hash, json!([hash])).await, expected);
    let genesis = rpc
        .refused("istanbul_getSignersFromBlock", json!(["0x0"]))
        .await;
    assert_eq!(
        genesis,
        (-32000, "the genesis block has no signers".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn istanbul_status_and_snapshot_have_goquorums_shape() {
    let rpc = four().await;
    let status = rpc.call("istanbul_status", json!([])).await;
    let activity = json!({
        validator_operator(0).to_string().to_lowercase(): 0,
        validator_operator(1).to_string().to_lowercase(): 2,
        validator_operator(2).to_string().to_lowercase(): 1,
        validator_operator(3).to_string().to_lowercase(): 0,
    });
    assert_eq!(
        status,
        json!({ "sealerActivity": activity, "numBlocks": 3 })
    );
    let last = rpc.call("istanbul_status", json!(["0x3", "0x3"])).await;
    assert_eq!(last["numBlocks"], 1);
    let half = rpc.refused("istanbul_status", json!(["0x1"])).await;
    assert_eq!(half.0, -32602);
    let expected = json!({
        "epoch": 0,
        "number": 2,
        "hash": hash_of(&rpc, 2).await,
        "votes": [],
        "tally": {},
        "validators": all(),
        "policy": { "id": 0 },
    });
    let snapshot = rpc.call("istanbul_getSnapshot", json!(["0x2"])).await;
    assert_eq!(snapshot, expected);
    let hash = json!([hash_of(&rpc, 2).await]);
    let at_hash = rpc.call("istanbul_getSnapshotAtHash", hash).await;
    assert_eq!(at_hash, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_is_known_by_its_operator() {
    let rpc = four().await;
    let own = rpc.call("istanbul_nodeAddress", json!([])).await;
    assert_eq!(own, json!(validator_operator(0)));
    for params in [json!([]), json!(["0x0"]), json!(["pending"])] {
        assert_eq!(rpc.call("istanbul_isValidator", params).await, true);
    }
    let node = rpc.call("medina_node", json!([])).await;
    assert_eq!(node["name"], "node-0");
    assert_eq!(node["isValidator"], true);
    assert_eq!(node["operator"], json!(validator_operator(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_blocks_and_bad_parameters_are_clear_errors() {
    let rpc = four().await;
    let number = json!(["0x99"]);
    let hash = json!([B256::repeat_byte(9)]);
    for (method, params) in [
        ("istanbul_getSnapshot", &number),
        ("istanbul_getSnapshotAtHash", &hash),
        ("istanbul_getValidators", &number),
        ("istanbul_getValidatorsAtHash", &hash),
        ("istanbul_getSignersFromBlock", &number),
        ("istanbul_getSignersFromBlockByHash", &hash),
        ("istanbul_isValidator", &number),
    ] {
        let refused = rpc.refused(method, params.clone()).await;
        assert_eq!(refused, (-32000, "unknown block".to_owned()), "{method}");
    }
    for (method, params) in [
        ("qbft_getValidatorsByBlockNumber", json!([])),
        ("qbft_getValidatorsByBlockNumber", json!(["soon"])),
        ("qbft_getValidatorsByBlockHash", json!(["0x12"])),
        ("qbft_proposeValidatorVote", json!([Address::ZERO])),
        ("qbft_proposeValidatorVote", json!(["0x12", true])),
        ("qbft_discardValidatorVote", json!([])),
        ("istanbul_propose", json!([Address::ZERO, "yes"])),
        ("istanbul_getValidators", json!([[]])),
        ("istanbul_getSnapshotAtHash", json!([])),
    ] {
        let refused = rpc.refused(method, params).await;
        assert_eq!(refused.0, -32602, "{method}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_are_sent_to_the_command_line() {
    let rpc = four().await;
    let operator = validator_operator(5);
    for (method, params, command) in [
        (
            "qbft_proposeValidatorVote",
            json!([operator, true]),
            "medina validator propose add NODEKEY",
        ),
        (
            "ibft_proposeValidatorVote",
            json!([operator, false]),
            "medina validator propose remove NODEKEY",
        ),
        (
            "istanbul_propose",
            json!([operator, true]),
            "medina validator propose add NODEKEY",
        ),
        (
            "qbft_discardValidatorVote",
            json!([operator]),
            "medina validator vote BALLOT no",
        ),
        (
            "istanbul_discard",
            json!([operator]),
            "medina validator vote BALLOT no",
        ),
    ] {
        let (code, text) = rpc.refused(method, params).await;
        assert_eq!(code, -32004, "{method}: {text}");
        assert!(text.contains(command), "{method}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_without_the_contract_says_so() {
    let rpc = four().await;
    for method in ["qbft_getPendingVotes", "istanbul_candidates"] {
        let (code, text) = rpc.refused(method, json!([])).await;
        assert_eq!(code, -32004);
        assert!(text.contains("no Permissioning contract"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_timeout_is_of_qbft_alone() {
    let rpc = four().await;
    let method = "qbft_getRequestTimeoutSeconds";
    assert_eq!(rpc.call(method, json!([])).await, 1);
    let raft = TestNode::of(Shape {
        engine: ConsensusEngine::Raft,
        ..Shape::default()
    });
    let rpc = Rpc::of(raft, |_| {}).await;
    let (code, text) = rpc.refused(method, json!([])).await;
    assert_eq!(code, -32004);
    assert!(text.contains("runs Raft"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn medina_validators_tells_what_was_seen_of_each() {
    let rpc = four().await;
    let answer = rpc.call("medina_validators", json!([])).await;
    assert_eq!(
        (&answer["height"], &answer["engine"], &answer["quorum"]),
        (&json!(4), &json!("qbft"), &json!(3))
    );
    assert_eq!(
        (&answer["firstSeenBlock"], &answer["lastSeenBlock"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(answer["admitted"], json!([]));
    let expected = json!({
        "key": validator_key(2).public_key(),
        "operator": validator_operator(2),
        "name": null,
        "isSelf": false,
        "isConnected": true,
        "height": 3,
        "lastProposed": 2,
        "lastSigned": 3,
        "proposed": 1,
        "signed": 3,
    });
    assert_eq!(answer["validators"][2], expected);
    let own = &answer["validators"][0];
    assert_eq!(
        (&own["isSelf"], &own["name"], &own["height"]),
        (&json!(true), &json!("node-0"), &json!(3))
    );
    assert_eq!(
        (&own["lastProposed"], &own["lastSigned"]),
        (&Value::Null, &json!(2))
    );
    let gone = &answer["validators"][3];
    assert_eq!(gone["isConnected"], false);
    assert_eq!(gone["lastSigned"], 3);
    let fresh = Rpc::start().await;
    let answer = fresh.call("medina_validators", json!([])).await;
    assert_eq!(answer["lastSeenBlock"], Value::Null);
    assert_eq!(answer["validators"][0]["lastProposed"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_progress_says_how_long_it_will_take() {
    let rpc = four().await;
    let method = "medina_syncProgress";
    assert_eq!(rpc.call(method, json!([])).await, Value::Null);
    let mut progress = SyncProgress {
        starting: Height(1),
        highest: Height(1_001),
        blocks_per_second: None,
    };
    *rpc.node.syncing.lock() = Some(progress);
    let expected = json!({
        "startingBlock": 1,
        "currentBlock": 3,
        "highestBlock": 1_001,
        "percent": 0.2,
        "blocksPerSecond": null,
        "secondsLeft": null,
    });
    assert_eq!(rpc.call(method, json!([])).await, expected);
    for (rate, left) in [(100.0, json!(10.0)), (0.0, Value::Null)] {
        progress.blocks_per_second = Some(rate);
        *rpc.node.syncing.lock() = Some(progress);
        let answer = rpc.call(method, json!([])).await;
        assert_eq!(answer["secondsLeft"], left);
    }
    // A peer that has boasted and is gone: we are beyond it.
    progress.highest = Height(0);
    *rpc.node.syncing.lock() = Some(progress);
    let answer = rpc.call(method, json!([])).await;
    assert_eq!(answer["percent"], 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_name_the_engine_that_runs() {
    let modules = four().await.call("rpc_modules", json!([])).await;
    assert_eq!(modules["qbft"], "1.0");
    assert_eq!(modules["raft"], Value::Null);
}
