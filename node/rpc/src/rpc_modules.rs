//! `rpc_modules`: which namespaces there are.

use jsonrpsee::server::RegisterMethodError;
use medina_types::ConsensusEngine;
use serde_json::{Value, json};

use crate::{arguments::Arguments, context::Context, errors::Answer, registry::Registry};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("rpc_modules", modules)
}

fn modules(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let mut modules = json!({
        "eth": "1.0",
        "istanbul": "1.0",
        "medina": "1.0",
        "net": "1.0",
        "rpc": "1.0",
        "txpool": "1.0",
        "web3": "1.0",
    });
    let engine = match context.spec().consensus.engine {
        ConsensusEngine::Qbft => "qbft",
        ConsensusEngine::Raft => "raft",
    };
    modules[engine] = json!("1.0");
    if context.config.admin {
        modules["admin"] = json!("1.0");
    }
    if context.config.tracing {
        for name in ["debug", "ots", "trace"] {
            modules[name] = json!("1.0");
        }
    }
    Ok(modules)
}
