//! The namespaces `debug`, `trace` and `ots`: what transactions did, step by step.
//!
//! Strangers beyond loopback have them only where the configuration says so
//! ([`RpcConfig::public`](crate::RpcConfig)): a trace executes blocks again, so
//! one request can cost what thousands of others do. Time and size of a trace are
//! bounded ([`budget`]), and traces have worker threads of their own.

mod budget;
mod debug;
mod many;
mod ots_tracers;
mod otterscan;
mod parity;
mod raw;
mod replay;
mod search;
mod state_ranges;
mod tracers;

use jsonrpsee::server::RegisterMethodError;

use crate::registry::Registry;

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    debug::register(registry)?;
    raw::register(registry)?;
    parity::register(registry)?;
    many::register(registry)?;
    state_ranges::register(registry)?;
    otterscan::register(registry)
}
