//! The namespaces `debug`, `trace` and `ots`: what transactions did, step by step.
//!
//! They are served on loopback, elsewhere only where the configuration says so
//! ([`RpcConfig::tracing`](crate::RpcConfig)): a trace executes blocks again, so
//! one request can cost what thousands of others do. Time and size of a trace are
//! bounded ([`budget`]), and traces have worker threads of their own.

mod budget;
mod debug;
mod ots_tracers;
mod otterscan;
mod parity;
mod raw;
mod replay;
mod tracers;

use jsonrpsee::{server::RegisterMethodError, types::ErrorObjectOwned};

use crate::{errors::unsupported, registry::Registry};

/// Every name, for the refusal where the namespaces are not served.
const METHODS: [&str; 26] = [
    "debug_getRawBlock",
    "debug_getRawHeader",
    "debug_getRawReceipts",
    "debug_getRawTransaction",
    "debug_traceBlockByHash",
    "debug_traceBlockByNumber",
    "debug_traceCall",
    "debug_traceTransaction",
    "ots_getApiLevel",
    "ots_getBlockDetails",
    "ots_getBlockDetailsByHash",
    "ots_getBlockTransactions",
    "ots_getContractCreator",
    "ots_getInternalOperations",
    "ots_getTransactionBySenderAndNonce",
    "ots_getTransactionError",
    "ots_hasCode",
    "ots_traceTransaction",
    "trace_block",
    "trace_call",
    "trace_filter",
    "trace_get",
    "trace_replayBlockTransactions",
    "trace_replayTransaction",
    "trace_transaction",
    "erigon_getHeaderByNumber",
];

pub(crate) fn register(
    registry: &mut Registry,
    is_served: bool,
) -> Result<(), RegisterMethodError> {
    if !is_served {
        for name in METHODS {
            registry.quick::<()>(name, |_, _| Err(not_served()))?;
        }
        return Ok(());
    }
    debug::register(registry)?;
    raw::register(registry)?;
    parity::register(registry)?;
    otterscan::register(registry)
}

fn not_served() -> ErrorObjectOwned {
    unsupported(
        "debug, trace and ots methods are answered on loopback only; set `tracing = true` under \
         [rpc] in config.toml to answer them everywhere",
    )
}
