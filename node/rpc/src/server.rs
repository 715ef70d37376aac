//! Binds the port, puts the methods together and runs them until told to stop.

use alloy_primitives::{B128, U128};
use jsonrpsee::{
    server::{
        BatchRequestConfig, HttpRequest, IdProvider, Methods, PingConfig, RegisterMethodError,
        RpcModule, Server, ServerConfig, ServerHandle,
        middleware::{
            http::{Authority, AuthorityError, HostFilterLayer},
            rpc::RpcServiceBuilder,
        },
        stop_channel,
    },
    types::SubscriptionId,
};
use medina_types::{RecoveredTransaction, limits};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    net::TcpListener,
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
};
use tower::Service as _;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::{
    AllowedOrigins, NodeView, RpcConfig, RpcError, admin,
    browser::MarkWebPages,
    context::Context,
    dev, eth,
    front::{self, Doors, GateLayer, GuardLayer},
    istanbul,
    landing::LandingLayer,
    medina, net, privacy, qbft, raft,
    registry::Registry,
    rpc_modules, traces, txpool, validators, web3,
};

/// A running server. It stops when the last clone of this is dropped.
#[derive(Clone, Debug)]
pub struct RpcServerHandle(Arc<Running>);

#[derive(Debug)]
struct Running {
    handle: ServerHandle,
    /// Ends what waits for something: [`Context::stopped`].
    stopping: watch::Sender<bool>,
    local: SocketAddr,
    transaction_manager: Option<SocketAddr>,
}

impl RpcServerHandle {
    /// Address and port that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    /// Address and port of the transaction manager, where there is one.
    #[must_use]
    pub fn transaction_manager_addr(&self) -> Option<SocketAddr> {
        self.0.transaction_manager
    }

    /// Stops taking requests. Answers under way are still given, apart from those
    /// that wait for a block.
    pub fn stop(&self) {
        // It may have been stopped before, which is as good.
        let _ = self.0.handle.stop();
        self.0.stopping.send_replace(true);
    }

    /// Waits until every connection is closed.
    pub async fn stopped(self) {
        self.0.handle.clone().stopped().await;
    }
}

/// Binds the port and serves until the handle is stopped or dropped. Must be
/// called inside a tokio runtime.
///
/// # Errors
/// See [`RpcError`].
pub async fn start(
    config: RpcConfig,
    node: Arc<dyn NodeView>,
) -> Result<RpcServerHandle, RpcError> {
    let listen = config.listen;
    let failed = |source| RpcError::Listen { listen, source };
    let middleware = tower::ServiceBuilder::new()
        .layer(cors(&config.origins)?)
        .layer(host_filter(config.hosts.as_deref())?)
        .layer(GateLayer::new(&config, node.clone()))
        .layer(LandingLayer)
        .layer(MarkWebPages);
    let server_config = server_config(&config);
    let doors = Doors::new(&config);
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let (stopping, stopped) = watch::channel(false);
    let context = Context::new(node.clone(), config.clone(), stopped);
    let methods = methods(context.clone())?;
    let guard = GuardLayer::new(methods.method_names());
    let methods = Methods::from(methods);
    let (stop, handle) = stop_channel();
    let manager = privacy::manager::start(&config, context.clone(), stop.clone()).await?;
    let services = Server::builder()
        .set_config(server_config)
        .set_http_middleware(middleware)
        .set_rpc_middleware(RpcServiceBuilder::new().layer(guard))
        .to_service_builder();
    let stop_of_services = stop.clone();
    let answer = move |request: HttpRequest, connection: u32| {
        let services = services.clone().connection_id(connection);
        services
            .build(methods.clone(), stop_of_services.clone())
            .call(request)
    };
    tokio::spawn(remember_pending(context, node.subscribe_pending()));
    tokio::spawn(front::serve(listener, doors, stop, answer));
    Ok(RpcServerHandle(Arc::new(Running {
        handle,
        stopping,
        local,
        transaction_manager: manager,
    })))
}

/// Every method of the server.
pub(crate) fn methods(context: Context) -> Result<RpcModule<Context>, RegisterMethodError> {
    let is_dev = context.node.dev().is_some();
    let private = context.node.private();
    let mut registry = Registry::new(context);
    admin::register(&mut registry)?;
    dev::register(&mut registry, is_dev)?;
    eth::register(&mut registry)?;
    istanbul::register(&mut registry)?;
    medina::register(&mut registry)?;
    net::register(&mut registry)?;
    qbft::register(&mut registry)?;
    raft::register(&mut registry)?;
    traces::register(&mut registry)?;
    txpool::register(&mut registry)?;
    validators::register(&mut registry)?;
    web3::register(&mut registry)?;
    // It merges private answers into what was registered before it.
    privacy::register(&mut registry, private.as_deref(), is_dev)?;
    // It lists what was registered before it.
    rpc_modules::register(&mut registry)?;
    Ok(registry.module)
}

fn server_config(config: &RpcConfig) -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(config.request_bytes_max)
        .max_response_body_size(config.response_bytes_max)
        .max_connections(config.connections_max)
        .max_subscriptions_per_connection(config.subscriptions_per_connection_max)
        .set_batch_request_config(BatchRequestConfig::Limit(config.batch_max))
        .set_message_buffer_capacity(limits::RPC_WEBSOCKET_MESSAGES_MAX)
        .enable_ws_ping(PingConfig::new())
        .set_id_provider(HexIds)
        .build()
}

/// Subscription identifiers as geth writes them, which nobody can guess.
#[derive(Clone, Copy, Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        format!("{:#x}", U128::from_be_bytes(B128::random().0)).into()
    }
}

fn cors(origins: &AllowedOrigins) -> Result<CorsLayer, RpcError> {
    // A wildcard would leave out `authorization`.
    let layer = CorsLayer::new()
        .allow_methods(Any)
        .allow_headers(AllowHeaders::mirror_request());
    match origins {
        // Browsers ask before a public page may call this machine's own network.
        AllowedOrigins::Any => Ok(layer.allow_origin(Any).allow_private_network(true)),
        AllowedOrigins::These(list) => {
            let parse = |origin: &String| {
                let is_origin = origin.contains("://") && !origin.ends_with('/');
                let value = origin.parse().ok().filter(|_| is_origin);
                value.ok_or_else(|| RpcError::BadOrigin(origin.clone()))
            };
            let list: Vec<_> = list.iter().map(parse).collect::<Result<_, _>>()?;
            Ok(layer.allow_origin(list))
        }
    }
}

fn host_filter(hosts: Option<&[String]>) -> Result<HostFilterLayer, RpcError> {
    let Some(hosts) = hosts else {
        return Ok(HostFilterLayer::disable());
    };
    for host in hosts {
        Authority::try_from(host.as_str()).map_err(|error| bad_host(host, &error))?;
    }
    HostFilterLayer::new(hosts.iter().map(String::as_str))
        .map_err(|error| bad_host(&hosts.join(", "), &error))
}

fn bad_host(host: &str, error: &AuthorityError) -> RpcError {
    RpcError::BadHost {
        host: host.to_owned(),
        reason: error.to_string(),
    }
}

/// Keeps the hashes of pending transactions for polling filters.
async fn remember_pending(context: Context, mut pending: Receiver<Arc<RecoveredTransaction>>) {
    loop {
        let announced = tokio::select! {
            () = context.stopped() => return,
            announced = pending.recv() => announced,
        };
        match announced {
            Ok(transaction) => context.filters.on_pending(transaction.hash()),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
