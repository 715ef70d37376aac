//! Where the server listens and whom it lets in.

use medina_types::limits;
use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use crate::access::{Access, ApiKeys, JwtSecret, KeysError, NoScope};

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
    /// Address and port of the transaction manager's HTTP, for `GoQuorum`'s clients;
    /// `None`: it is not served.
    pub transaction_manager: Option<SocketAddr>,
    /// Which web pages may call.
    pub origins: AllowedOrigins,
    /// Host headers to accept, port included unless standard; `None` accepts all.
    pub hosts: Option<Vec<String>>,
    /// What everybody may call.
    pub public: Access,
    /// What holders of a key may call beside it.
    pub keys: ApiKeys,
    /// Checks tokens, which name what they open.
    pub jwt: Option<JwtSecret>,
    /// Bytes of a request body; larger ones are answered 413.
    pub request_bytes_max: u32,
    /// Bytes of an answer; a larger one becomes an error.
    pub response_bytes_max: u32,
    /// Calls in a batch; a longer one is refused whole.
    pub batch_max: u32,
    /// Connections; further ones are answered 429.
    pub connections_max: u32,
    /// Connections of one address (of one /64 network with IPv6).
    pub connections_per_address_max: u32,
    /// Calls per second of one connection, those of batches one by one; `None`:
    /// any number.
    pub requests_per_second: Option<NonZeroU32>,
    /// Time for the head of a request; a connection without a request is closed after it.
    pub header_timeout: Duration,
    /// Time for the body of a request.
    pub body_timeout: Duration,
    /// Time for which a client may take no byte of what is sent to it.
    pub write_timeout: Duration,
    /// Time for which a subscriber may be too slow for its announcements.
    pub slow_subscriber_timeout: Duration,
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
    /// Time of a trace whose caller names none.
    pub trace_time: Duration,
    /// Longest time that the caller of a trace may name; more is cut to it.
    pub trace_time_max: Duration,
}

impl RpcConfig {
    /// Configuration with all bounds from [`limits`]: on loopback any origin, every
    /// method and any rate, elsewhere no origin, the safe namespaces and
    /// [`limits::RPC_REQUESTS_PER_SECOND_MAX`].
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        let is_loopback = listen.ip().is_loopback();
        let (origins, public) = if is_loopback {
            (AllowedOrigins::Any, Access::everything())
        } else {
            (AllowedOrigins::These(Vec::new()), Access::safe())
        };
        Self {
            listen,
            transaction_manager: None,
            origins,
            hosts: None,
            public,
            keys: ApiKeys::default(),
            jwt: None,
            request_bytes_max: limits::RPC_REQUEST_BYTES_MAX,
            response_bytes_max: limits::RPC_RESPONSE_BYTES_MAX,
            batch_max: limits::RPC_BATCH_MAX,
            connections_max: limits::RPC_CONNECTIONS_MAX,
            connections_per_address_max: if is_loopback {
                limits::RPC_CONNECTIONS_MAX
            } else {
                limits::RPC_CONNECTIONS_PER_ADDRESS_MAX
            },
            requests_per_second: NonZeroU32::new(limits::RPC_REQUESTS_PER_SECOND_MAX)
                .filter(|_| !is_loopback),
            header_timeout: limits::RPC_HEADER_TIMEOUT,
            body_timeout: limits::RPC_BODY_TIMEOUT,
            write_timeout: limits::RPC_WRITE_TIMEOUT,
            slow_subscriber_timeout: limits::RPC_SLOW_SUBSCRIBER_TIMEOUT,
            subscriptions_per_connection_max: limits::RPC_SUBSCRIPTIONS_PER_CONNECTION_MAX,
            filters_max: limits::RPC_FILTERS_MAX,
            filter_lifetime: limits::RPC_FILTER_LIFETIME,
            log_blocks_max: limits::RPC_LOG_BLOCKS_MAX,
            logs_max: limits::RPC_LOGS_MAX,
            call_gas_max: limits::RPC_CALL_GAS_MAX,
            trace_time: limits::RPC_TRACE_TIME,
            trace_time_max: limits::RPC_TRACE_TIME_MAX,
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
    /// A transaction manager without anything to manage.
    #[error(
        "[rpc] transaction_manager needs a private side: name this node's party in [private], or leave it out"
    )]
    NoPrivateSide,
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
    /// An entry of a list opens nothing.
    #[error("[rpc] namespaces: {0}")]
    BadScope(#[from] NoScope),
    /// A limit that would let nothing through.
    #[error("[rpc.limits] {0} is 0, which lets nothing through; leave it out for the usual limit")]
    ZeroLimit(&'static str),
    /// The file of keys or the secret of tokens cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Two methods were registered under one name: a mistake of ours.
    #[error("JSON-RPC method registered twice: {0}")]
    MethodTwice(#[from] jsonrpsee::server::RegisterMethodError),
}
