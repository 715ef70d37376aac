//! The `net` namespace.

use alloy_primitives::U64;
use jsonrpsee::server::RegisterMethodError;

use crate::registry::Registry;

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("net_version", |context, _| {
        Ok(context.spec().chain_id.to_string())
    })?;
    registry.quick("net_listening", |_, _| Ok(true))?;
    registry.quick("net_peerCount", |context, _| {
        Ok(U64::from(context.node.peers().len()))
    })
}
