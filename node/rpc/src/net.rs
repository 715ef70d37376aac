//! The `net` namespace, and `admin`'s two reading methods.

use alloy_primitives::U64;
use jsonrpsee::server::RegisterMethodError;
use serde_json::{Value, json};

use crate::{
    PeerSummary, arguments::Arguments, context::Context, errors::Answer, registry::Registry,
    web3::client_version,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("net_version", |context, _| {
        Ok(context.spec().chain_id.to_string())
    })?;
    registry.quick("net_listening", |_, _| Ok(true))?;
    registry.quick("net_peerCount", |context, _| {
        Ok(U64::from(context.node.peers().len()))
    })?;
    registry.quick("admin_nodeInfo", node_info)?;
    registry.quick("admin_peers", |context, _| {
        Ok(context
            .node
            .peers()
            .iter()
            .map(admin_peer)
            .collect::<Vec<_>>())
    })
}

fn node_info(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let identity = context.node.identity();
    let (head, spec) = (context.head(), context.spec());
    Ok(json!({
        "id": identity.key,
        "name": client_version(),
        "enode": format!("{}@{}", identity.key, identity.p2p),
        "ip": identity.p2p.ip().to_string(),
        "listenAddr": identity.p2p.to_string(),
        "ports": { "listener": identity.p2p.port() },
        "protocols": { "medina": {
            "network": spec.chain_id,
            "genesis": spec.genesis_hash,
            "head": head.hash,
            "height": head.height,
        } },
    }))
}

/// A peer in geth's shape.
fn admin_peer(peer: &PeerSummary) -> Value {
    json!({
        "id": peer.key,
        "name": peer.key.to_string(),
        "network": { "remoteAddress": peer.address, "inbound": peer.outbound.map(|out| !out) },
        "protocols": { "medina": { "head": peer.head, "height": peer.height } },
    })
}
