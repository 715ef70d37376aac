//! `admin_*`: what it tells, what it changes, and where it is not served.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::{Value, json};
use support::*;

fn enode(number: u8, port: u16) -> String {
    let key = validator_key(number).public_key().to_string();
    format!(
        "enode://{}@127.0.0.1:{port}",
        key.strip_prefix("0x").unwrap()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn node_and_peers_are_described_in_geths_shape() {
    let rpc = Rpc::start().await;
    let info = rpc.call("admin_nodeInfo", json!([])).await;
    assert_eq!(info["enode"], json!(enode(0, 30303)));
    assert_eq!(info["id"], json!(node_key().public_key()));
    assert_eq!(info["ports"]["listener"], 30303);
    let peers = rpc.call("admin_peers", json!([])).await;
    assert_eq!(peers[0]["name"], "node-2");
    assert_eq!(peers[0]["enode"], json!(enode(2, 30304)));
    assert_eq!(
        peers[0]["network"],
        json!({ "remoteAddress": "127.0.0.1:30304", "inbound": false })
    );
    let folder = rpc.call("admin_datadir", json!([])).await;
    assert_eq!(folder, "/var/lib/medina");
    let peers = rpc.call("medina_peers", json!([])).await;
    assert_eq!(
        (&peers[0]["name"], &peers[0]["isValidator"]),
        (&json!("node-2"), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn admitted_peer_is_dialled_and_dropped() {
    let rpc = Rpc::start().await;
    let node = json!([enode(2, 30304)]);
    assert_eq!(rpc.call("admin_addPeer", node.clone()).await, true);
    assert_eq!(*rpc.node.dialled.lock(), [validator_key(2).public_key()]);
    assert_eq!(rpc.call("admin_removePeer", node.clone()).await, true);
    assert_eq!(rpc.call("admin_removePeer", node).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why_and_what_to_do() {
    let rpc = Rpc::start().await;
    let key = validator_key(2).public_key();
    for (method, node, code, text) in [
        (
            "admin_addPeer",
            json!(enode(9, 1)),
            -32000,
            "is not admitted here",
        ),
        ("admin_addPeer", json!(key), -32602, "where does it listen"),
        ("admin_addPeer", json!(enode(0, 1)), -32000, "is this node"),
        ("admin_addPeer", json!("x"), -32602, "enode://KEY@IP:PORT"),
        ("admin_addPeer", json!(3), -32602, "invalid argument 0"),
        (
            "admin_removePeer",
            json!(enode(0, 1)),
            -32000,
            "is this node",
        ),
        ("admin_removePeer", Value::Null, -32602, "missing value"),
    ] {
        let refused = rpc.refused(method, json!([node])).await;
        assert_eq!(refused.0, code, "{method} {node}: {refused:?}");
        assert!(refused.1.contains(text), "{method} {node}: {refused:?}");
    }
    let four = TestNode::of(Shape {
        validators: 4,
        ..Shape::default()
    });
    let rpc = Rpc::of(four, |_| {}).await;
    let validator = json!([validator_key(3).public_key()]);
    let refused = rpc.refused("admin_removePeer", validator).await;
    assert!(refused.1.contains("is a validator"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_may_look_and_not_touch() {
    let rpc = Rpc::start().await;
    for (method, is_allowed) in [
        ("admin_addPeer", false),
        ("admin_removePeer", false),
        ("admin_peers", true),
    ] {
        let params = [enode(2, 30304)];
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = rpc.post(request.to_string());
        let answer = request.header("origin", "https://evil.example").send();
        let body = answer.await.unwrap().text().await.unwrap();
        assert_eq!(!body.contains("-32004"), is_allowed, "{method}: {body}");
    }
    assert!(rpc.node.dialled.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_admin_is_served_only_where_configured() {
    let rpc = Rpc::with(|config| config.public.close("admin")).await;
    for method in [
        "admin_nodeInfo",
        "admin_peers",
        "admin_addPeer",
        "admin_removePeer",
        "admin_datadir",
    ] {
        let (code, text) = rpc.refused(method, json!([])).await;
        assert_eq!(code, -32601, "{method}");
        assert!(
            text.contains("namespaces of config.toml"),
            "{method}: {text}"
        );
    }
    let modules = rpc.call("rpc_modules", json!([])).await;
    assert_eq!(modules.get("admin"), None);
    let anywhere = medina_rpc::RpcConfig::new("0.0.0.0:0".parse().unwrap());
    assert!(!anywhere.public.allows("admin_peers"));
    let loopback = medina_rpc::RpcConfig::new("127.0.0.1:0".parse().unwrap());
    assert!(loopback.public.allows("admin_peers"));
}
