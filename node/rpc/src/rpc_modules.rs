//! `rpc_modules`: which namespaces there are.

use jsonrpsee::server::RegisterMethodError;
use serde_json::{Value, json};

use crate::{arguments::Arguments, context::Context, errors::Answer, registry::Registry};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("rpc_modules", modules)
}

fn modules(_: &Context, _: &mut Arguments) -> Answer<Value> {
    Ok(json!({
        "admin": "1.0",
        "eth": "1.0",
        "medina": "1.0",
        "net": "1.0",
        "rpc": "1.0",
        "txpool": "1.0",
        "web3": "1.0",
    }))
}
