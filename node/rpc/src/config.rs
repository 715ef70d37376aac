//! Where the server listens and whom it lets in.

use medina_types::limits;
use std::{net::SocketAddr, time::Duration};

/// Web pages whose scripts may call the server (CORS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Any page, as browser wallets need; meant for loopback.
    Any,
    /// These origins, such as `https://explorer.example`. An empty list: none.
    These(Vec<String>),
}

impl AllowedOrigins {
    /// Reads the list of a configuration file, where `*` means any.
    #[must_use]
    pub fn from_list(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        Self::These(origins.to_vec())
    }
}

/// Configuration of the server. Bounds default to [`limits`]; tests tighten them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// Address and port of HTTP and WebSocket; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Which web pages may call.
    pub origins: AllowedOrigins,
    /// Host headers to accept, port included unless standard; `None` accepts all.
    pub hosts: Option<Vec<String>>,
    /// Whether the `admin` namespace is served.
    pub admin: bool,
    /// Whether the namespaces `debug`, `trace` and `ots` are served.
    pub tracing: bool,
    /// Bytes of a request body; larger ones are answered 413.
    pub request_bytes_max: u32,
    /// Bytes of an answer; a larger one becomes an error.
    pub response_bytes_max: u32,
    /// Calls in a batch; a longer one is refused whole.
    pub batch_max: u32,
    /// Connections; further ones are answered 429.
    pub connections_max: u32,
    /// Subscriptions of one WebSocket connection.
    pub subscriptions_per_connection_max: u32,
    /// Installed polling filters; beyond it the least recently used goes.
    pub filters_max: usize,
    /// Idle time after which a polling filter is dropped.
    pub filter_lifetime: Duration,
    /// Blocks that one log query may span.
    pub log_blocks_max: u64,
    /// Logs that one log query may return.
    pub logs_max: usize,
    /// Gas of one call or estimate.
    pub call_gas_max: u64,
}

impl RpcConfig {
    /// Configuration with all bounds from [`limits`]: on loopback any origin and
    /// the namespaces `admin`, `debug`, `trace` and `ots`, elsewhere none of it.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        let origins = if listen.ip().is_loopback() {
            AllowedOrigins::Any
        } else {
            AllowedOrigins::These(Vec::new())
        };
        Self {
            listen,
            origins,
            hosts: None,
            admin: listen.ip().is_loopback(),
            tracing: listen.ip().is_loopback(),
            request_bytes_max: limits::RPC_REQUEST_BYTES_MAX,
            response_bytes_max: limits::RPC_RESPONSE_BYTES_MAX,
            batch_max: limits::RPC_BATCH_MAX,
            connections_max: limits::RPC_CONNECTIONS_MAX,
            subscriptions_per_connection_max: limits::RPC_SUBSCRIPTIONS_PER_CONNECTION_MAX,
            filters_max: limits::RPC_FILTERS_MAX,
            filter_lifetime: limits::RPC_FILTER_LIFETIME,
            log_blocks_max: limits::RPC_LOG_BLOCKS_MAX,
            logs_max: limits::RPC_LOGS_MAX,
            call_gas_max: limits::RPC_CALL_GAS_MAX,
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The port is taken, or the address is not ours.
    #[error(
        "cannot listen for JSON-RPC on {listen}: {source}; stop what uses the port or set another one"
    )]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// An origin of the list is no origin.
    #[error("`{0}` is no origin; write scheme and host, such as https://explorer.example, or *")]
    BadOrigin(String),
    /// A host of the list is no host.
    #[error("`{host}` is no host name to accept: {reason}")]
    BadHost {
        /// The entry.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two methods were registered under one name: a mistake of ours.
    #[error("JSON-RPC method registered twice: {0}")]
    MethodTwice(#[from] jsonrpsee::server::RegisterMethodError),
}
