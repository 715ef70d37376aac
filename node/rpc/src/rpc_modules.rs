//! `rpc_modules`: which namespaces there are for the caller.

use jsonrpsee::{Extensions, server::RegisterMethodError};
use medina_types::ConsensusEngine;
use std::collections::BTreeMap;

use crate::{context::Context, errors::Answer, front::Caller, registry::Registry};

/// Namespaces of every server.
const NAMESPACES: [&str; 11] = [
    "admin", "debug", "eth", "istanbul", "medina", "net", "ots", "rpc", "trace", "txpool", "web3",
];
/// What is open to callers with a private scope alone.
const PRIVATE: &str = "priv";
/// geth's version of each.
const VERSION: &str = "1.0";

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    let dev = registry.namespaces_of_methods();
    registry
        .module
        .register_method("rpc_modules", move |_, context, extensions| {
            modules(context, extensions, &dev)
        })?;
    Ok(())
}

/// Those that the caller may use.
fn modules(
    context: &Context,
    extensions: &Extensions,
    registered: &[&'static str],
) -> Answer<BTreeMap<&'static str, &'static str>> {
    let engine = match context.spec().consensus.engine {
        ConsensusEngine::Qbft => "qbft",
        ConsensusEngine::Raft => "raft",
    };
    let caller = extensions.get::<Caller>();
    let is_open = |name: &&str| caller.is_none_or(|caller| caller.access.allows_namespace(name));
    let is_private_open = caller
        .and_then(|caller| caller.private.as_ref())
        .is_some_and(|private| private.allows_namespace(PRIVATE));
    let private = registered
        .iter()
        .copied()
        .filter(|name| *name == PRIVATE && is_private_open);
    let developers = registered
        .iter()
        .copied()
        .filter(|name| is_for_developers(name));
    let names = NAMESPACES.into_iter().chain([engine]).chain(developers);
    let open = names.filter(is_open).chain(private);
    Ok(open.map(|name| (name, VERSION)).collect())
}

/// Namespaces that only `medina dev` has.
fn is_for_developers(namespace: &str) -> bool {
    ["anvil", "evm", "hardhat"].contains(&namespace)
}
