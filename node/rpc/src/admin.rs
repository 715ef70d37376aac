//! The `admin` namespace: this node's own affairs.
//!
//! Strangers beyond loopback have it only where the configuration says so
//! ([`RpcConfig::public`](crate::RpcConfig)). What changes something is refused
//! to web pages. Changes are this node's alone and last until it stops; the file
//! of known nodes and the Permissioning contract are what stays.

use jsonrpsee::{
    Extensions,
    server::{RegisterMethodError, RpcModule},
    types::Params,
};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::{
    PeerChangeError, PeerSummary,
    arguments::Arguments,
    browser::is_from_web_page,
    checkpoint,
    context::Context,
    errors::{Answer, invalid_params, peer_change, unsupported},
    node_address::NodeAddress,
    registry::Registry,
    web3::client_version,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("admin_nodeInfo", node_info)?;
    registry.quick("admin_peers", peers)?;
    registry.quick("admin_datadir", data_dir)?;
    changing(&mut registry.module, "admin_addPeer", add_peer)?;
    checkpoint::register(&mut registry.module)?;
    changing(&mut registry.module, "admin_removePeer", remove_peer)
}

/// A method that changes this node: not for web pages.
fn changing<F>(
    module: &mut RpcModule<Context>,
    name: &'static str,
    method: fn(Arc<Context>, NodeAddress) -> F,
) -> Result<(), RegisterMethodError>
where
    F: Future<Output = Answer<bool>> + Send + 'static,
{
    module.register_async_method(
        name,
        move |params: Params<'static>, context: Arc<Context>, extensions: Extensions| async move {
            if is_from_web_page(&extensions) {
                return Err(unsupported(format!(
                    "{name} is not for web pages: call it from a terminal on this machine"
                )));
            }
            let node = Arguments::of(&params)?.required()?;
            method(context, node).await
        },
    )?;
    Ok(())
}

/// Dials a node that is admitted, from now on; true, as geth answers.
async fn add_peer(context: Arc<Context>, node: NodeAddress) -> Answer<bool> {
    let listens = node.listens.ok_or_else(|| {
        invalid_params("where does it listen? Give the node as enode://KEY@IP:PORT")
    })?;
    not_oneself(&context, node)?;
    let added = context.node.add_peer(node.key, vec![listens]).await;
    added.map(|_| true).map_err(|error| peer_change(&error))
}

/// Closes the links to a node and dials it no more.
async fn remove_peer(context: Arc<Context>, node: NodeAddress) -> Answer<bool> {
    not_oneself(&context, node)?;
    let removed = context.node.remove_peer(node.key).await;
    removed.map_err(|error| peer_change(&error))
}

fn not_oneself(context: &Context, node: NodeAddress) -> Answer<()> {
    if node.key == context.node.identity().key {
        return Err(peer_change(&PeerChangeError::Oneself(node.key)));
    }
    Ok(())
}

fn node_info(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let identity = context.node.identity();
    let (head, spec) = (context.head(), context.spec());
    let enode = NodeAddress {
        key: identity.key,
        listens: Some(identity.p2p),
    };
    Ok(json!({
        "id": identity.key,
        "name": client_version(),
        "enode": enode.to_string(),
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

fn peers(context: &Context, _: &mut Arguments) -> Answer<Vec<Value>> {
    let peers = context.node.peers();
    Ok(peers.iter().map(|peer| describe(context, peer)).collect())
}

/// A peer in geth's shape.
fn describe(context: &Context, peer: &PeerSummary) -> Value {
    let enode = NodeAddress {
        key: peer.key,
        listens: context.listens(&peer.key, Some(peer)),
    };
    let name = peer.name.clone().unwrap_or_else(|| peer.key.to_string());
    json!({
        "id": peer.key,
        "name": name,
        "enode": enode.to_string(),
        "network": { "remoteAddress": peer.address, "inbound": peer.outbound.map(|out| !out) },
        "protocols": { "medina": { "head": peer.head, "height": peer.height } },
    })
}

fn data_dir(context: &Context, _: &mut Arguments) -> Answer<String> {
    let folder = context.node.data_dir();
    let folder = folder.ok_or_else(|| unsupported("this node does not say where its data is"))?;
    Ok(folder.display().to_string())
}
