//! `raft_*`: exact shapes, ids beyond JSON's numbers, and chains that run
//! something else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use medina_consensus::{RaftMember, RaftRole, RaftStatus};
use medina_types::ConsensusEngine;
use serde_json::{Value, json};
use support::*;

/// More than a double holds.
const ID: u64 = 0xfedc_ba98_7654_3210;

fn member(number: u8, is_learner: bool) -> RaftMember {
    RaftMember {
        id: ID + u64::from(number),
        key: validator_key(number).public_key(),
        is_learner,
    }
}

fn status(role: RaftRole) -> RaftStatus {
    RaftStatus {
        id: ID,
        role,
        leader: Some(ID + 2),
        term: 7,
        committed: 12,
        applied: 11,
        refused: 0,
        members: vec![member(0, false), member(1, true), member(2, false)],
    }
}

async fn raft() -> Rpc {
    let node = TestNode::of(Shape {
        engine: ConsensusEngine::Raft,
        validators: 3,
        ..Shape::default()
    });
    *node.raft.lock() = Some(status(RaftRole::Follower));
    Rpc::of(node, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_goquorums_words() {
    let rpc = raft().await;
    for (role, word) in [
        (RaftRole::Leader, "minter"),
        (RaftRole::Candidate, "verifier"),
        (RaftRole::Follower, "verifier"),
        (RaftRole::Learner, "learner"),
        (RaftRole::Outside, "outside"),
    ] {
        *rpc.node.raft.lock() = Some(status(role));
        assert_eq!(rpc.call("raft_role", json!([])).await, word);
        let consensus = rpc.call("medina_consensus", json!([])).await;
        assert_eq!(consensus["raft"]["role"], word);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_is_named_by_key_or_said_to_be_missing() {
    let rpc = raft().await;
    let leader = rpc.call("raft_leader", json!([])).await;
    assert_eq!(leader, json!(validator_key(2).public_key()));
    let mut without = status(RaftRole::Candidate);
    without.leader = None;
    *rpc.node.raft.lock() = Some(without);
    let refused = rpc.refused("raft_leader", json!([])).await;
    assert_eq!(
        refused,
        (-32000, "no leader is currently elected".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_lists_every_member_with_what_is_known_of_it() {
    let rpc = raft().await;
    let expected = json!([
        {
            "raftId": "0xfedcba9876543210",
            "nodeId": validator_key(0).public_key(),
            "role": "verifier",
            "hostname": "127.0.0.1",
            "p2pPort": 30303,
            "raftPort": 30303,
            "nodeActive": true,
            "operator": validator_operator(0),
        },
        {
            "raftId": "0xfedcba9876543211",
            "nodeId": validator_key(1).public_key(),
            "role": "learner",
            "hostname": "10.0.0.1",
            "p2pPort": 30305,
            "raftPort": 30305,
            "nodeActive": false,
            "operator": validator_operator(1),
        },
        {
            "raftId": "0xfedcba9876543212",
            "nodeId": validator_key(2).public_key(),
            "role": "minter",
            "hostname": "127.0.0.1",
            "p2pPort": 30304,
            "raftPort": 30304,
            "nodeActive": true,
            "operator": validator_operator(2),
        },
    ]);
    assert_eq!(rpc.call("raft_cluster", json!([])).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn medina_consensus_tells_the_whole_standing() {
    let rpc = raft().await;
    let consensus = rpc.call("medina_consensus", json!([])).await;
    assert_eq!(
        (&consensus["engine"], &consensus["quorum"]),
        (&json!("raft"), &json!(2))
    );
    let raft = &consensus["raft"];
    assert_eq!(raft["id"], "0xfedcba9876543210");
    assert_eq!(raft["leader"], json!(validator_key(2).public_key()));
    assert_eq!(
        (&raft["term"], &raft["committed"], &raft["applied"]),
        (&json!(7), &json!(12), &json!(11))
    );
    let learner = json!({
        "id": "0xfedcba9876543211",
        "key": validator_key(1).public_key(),
        "isLearner": true,
    });
    assert_eq!(raft["members"][1], learner);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_found_by_key_however_it_is_written() {
    let rpc = raft().await;
    let key = validator_key(1).public_key().to_string();
    let digits = key.strip_prefix("0x").unwrap().to_owned();
    for node in [
        key.clone(),
        format!("enode://{digits}@10.0.0.1:30303?discport=0"),
    ] {
        let id = rpc.call("raft_getRaftId", json!([node])).await;
        assert_eq!(id, "0xfedcba9876543211");
    }
    let stranger = json!([validator_key(9).public_key()]);
    assert_eq!(rpc.refused("raft_getRaftId", stranger).await.0, -32001);
    let nonsense = rpc
        .refused("raft_getRaftId", json!(["enode://12@host"]))
        .await;
    assert_eq!(nonsense.0, -32602);
    assert!(nonsense.1.contains("enode://KEY@IP:PORT"), "{nonsense:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn membership_is_sent_to_the_ballots() {
    let rpc = raft().await;
    let key = validator_key(9).public_key().to_string();
    for method in ["raft_addPeer", "raft_addLearner"] {
        let (code, text) = rpc.refused(method, json!([key])).await;
        assert_eq!(code, -32004);
        assert!(text.contains(&format!("propose add {key}")), "{text}");
    }
    for id in [json!("0xfedcba9876543211"), json!(ID + 1)] {
        let (code, text) = rpc.refused("raft_removePeer", json!([id])).await;
        let key = validator_key(1).public_key();
        assert_eq!(code, -32004);
        assert!(text.contains(&format!("propose remove {key}")), "{text}");
    }
    let learner = json!(["0xfedcba9876543211"]);
    let (code, text) = rpc.refused("raft_promoteToPeer", learner).await;
    assert_eq!(code, -32004);
    assert!(text.contains("by itself"), "{text}");
    for method in ["raft_removePeer", "raft_promoteToPeer"] {
        for params in [json!([]), json!(["x"]), json!([1])] {
            assert_eq!(rpc.refused(method, params).await.0, -32602, "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raft_that_has_not_started_says_so() {
    let rpc = raft().await;
    *rpc.node.raft.lock() = None;
    let refused = rpc.refused("raft_role", json!([])).await;
    assert_eq!(refused, (-32000, "consensus has not started".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_of_another_engine_says_whom_to_ask() {
    let rpc = Rpc::start().await;
    let key = json!([validator_key(0).public_key()]);
    for (method, params) in [
        ("raft_role", json!([])),
        ("raft_leader", json!([])),
        ("raft_cluster", json!([])),
        ("raft_getRaftId", key.clone()),
        ("raft_addPeer", key.clone()),
        ("raft_addLearner", key),
        ("raft_promoteToPeer", json!([1])),
        ("raft_removePeer", json!([1])),
    ] {
        let (code, text) = rpc.refused(method, params).await;
        assert_eq!(code, -32004, "{method}");
        assert!(text.contains("runs QBFT"), "{method}: {text}");
    }
    let consensus = rpc.call("medina_consensus", json!([])).await;
    assert_eq!(consensus["raft"], Value::Null);
}
