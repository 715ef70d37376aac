//! A node: opens the database, binds the ports, starts every task, stops them all.

use crate::{
    admission::Admission,
    chain::Chain,
    clock::Clock,
    config::{ConfigError, NodeConfig},
    dev::{DevNetwork, DevNode},
    driver::{Driver, EngineMaker},
    engine::engine,
    fatal::Fatal,
    links::Links,
    monitoring::{self, Monitoring},
    organisations::Organisations,
    peers::Peers,
    private::{self, Grounds, PrivateError},
    pruning,
    sync::{self, Sync},
    telemetry,
    transaction_permissions::{self, TransactionPermissions},
    transactions::{self, Transactions},
    view::View,
};
use medina_consensus::{Engine, RecordError};
use medina_execution::Executor;
use medina_genesis::{GenesisError, LoadedGenesis};
use medina_network::{Network, NetworkConfig, NetworkError, NetworkEvents, NetworkHandle};
use medina_pool::{Pool, PoolConfig};
use medina_rpc::{RpcError, RpcServerHandle};
use medina_storage::{OpenOptions, StorageError, Store};
use medina_types::{NodePublicKey, NodeSecretKey};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::{info, warn};

/// Time that tasks have to end after a stop; the node answers SIGTERM within 2 s.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Why a node did not start. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis file cannot be used.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The database cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The consensus record is damaged, and not by a torn write.
    #[error("the consensus record cannot be read: {0}")]
    Record(#[from] RecordError),
    /// The network did not start.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// JSON-RPC did not start.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A port is taken or an address is not ours.
    #[error(
        "cannot listen for {what} on {address}: {source}; stop what uses the port or set another one"
    )]
    Listen {
        /// What should listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Private transactions are turned on and cannot be offered.
    #[error("private transactions: {0}")]
    Private(String),
    /// The system gave no random bytes, which name a node that lost its disk.
    #[error("the system's random source does not answer: {0}")]
    NoRandomness(String),
    /// Test accounts hold roles, so that anybody could act as them.
    #[error(
        "the well-known test accounts hold funds and roles on this chain, so JSON-RPC stays on loopback; {0} is not: listen on 127.0.0.1, or make the network with --admin ADDRESS"
    )]
    TestAccountsExposed(SocketAddr),
}

impl From<PrivateError> for NodeError {
    fn from(error: PrivateError) -> Self {
        Self::Private(error.to_string())
    }
}

/// A running node. Dropping it does not stop it; call [`Node::stop`].
pub struct Node {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<(), Fatal>>,
    rpc: RpcServerHandle,
    network: NetworkHandle,
    store: Store,
}

impl Node {
    /// Reads genesis and key as the configuration says and starts the node.
    /// Must be called inside a multi-threaded Tokio runtime.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start(config: &NodeConfig) -> Result<Self, NodeError> {
        let genesis = medina_genesis::load(&config.genesis)?;
        let key = config.load_key()?;
        Self::start_with(config, &genesis, key).await
    }

    /// Starts a node of a development network: see [`DevNetwork`].
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start_dev(config: &NodeConfig, network: &DevNetwork) -> Result<Self, NodeError> {
        let genesis = medina_genesis::load(&config.genesis)?;
        let key = config.load_key()?;
        Self::start_in(config, &genesis, key, Some(network)).await
    }

    /// Starts a node with a genesis and key that were read before.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start_with(
        config: &NodeConfig,
        genesis: &LoadedGenesis,
        key: NodeSecretKey,
    ) -> Result<Self, NodeError> {
        Self::start_in(config, genesis, key, None).await
    }

    async fn start_in(
        config: &NodeConfig,
        genesis: &LoadedGenesis,
        key: NodeSecretKey,
        dev: Option<&DevNetwork>,
    ) -> Result<Self, NodeError> {
        check_exposure(config, genesis)?;
        telemetry::metrics();
        let chain = open_chain(config, genesis, dev)?;
        let engine_maker = dev.map(|_| engine_maker(config.clone(), key.clone()));
        let (own_key, node_secret) = (key.public_key(), key.clone());
        let admission = Arc::new(Admission::new(
            chain.clone(),
            config.known_nodes.clone(),
            genesis.nodes().to_vec(),
            own_key,
        )?);
        let metrics_listener = monitoring::bind(config.metrics.listen).await?;
        let engine = engine(config, &chain, &key)?;
        let peers = admission.peers();
        let network_config = NetworkConfig {
            secret: key,
            listen: config.p2p.listen,
            peers,
        };
        let (network, events) = Network::start(network_config, admission.clone())?;
        let wiring = Wiring {
            config,
            chain,
            own_key,
            node_secret,
            network,
            events,
            metrics_listener,
            engine,
            engine_maker,
            admission,
        };
        wiring.start().await
    }

    /// URL of this node's JSON-RPC.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.rpc.local_addr())
    }

    /// Waits until the node fails; a healthy node never returns from here.
    pub async fn failed(&mut self) -> Fatal {
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(fatal)) => return fatal,
                Err(panic) => return Fatal::TaskPanicked(panic.to_string()),
            }
        }
        Fatal::TaskPanicked("every task has ended".to_owned())
    }

    /// Stops all tasks, closes links and writes what waits, within two seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.rpc.stop();
        let (network, tasks) = (self.network.clone(), &mut self.tasks);
        let all = async { while tasks.join_next().await.is_some() {} };
        let tasks_ended = tokio::time::timeout(STOP_TIMEOUT, all);
        if tokio::join!(network.shutdown(), tasks_ended).1.is_err() {
            warn!("some tasks did not end in time");
        }
        if let Err(error) = self.store.flush() {
            warn!(%error, "the last flush failed; the node will start from the last synced block");
        }
        info!("stopped");
    }
}

fn check_exposure(config: &NodeConfig, genesis: &LoadedGenesis) -> Result<(), NodeError> {
    let listen = config.rpc.listen;
    if genesis.has_test_accounts() && !listen.ip().is_loopback() {
        return Err(NodeError::TestAccountsExposed(listen));
    }
    Ok(())
}

fn open_chain(
    config: &NodeConfig,
    genesis: &LoadedGenesis,
    dev: Option<&DevNetwork>,
) -> Result<Chain, NodeError> {
    let spec = Arc::new(genesis.spec().clone());
    let store = Store::open(&config.data_dir, OpenOptions::default())?;
    store.initialize_genesis(&genesis.state())?;
    let mut executor = Executor::new(spec.clone());
    let mut clock = Clock::start();
    if let Some(dev) = dev {
        executor = executor.with_edited_blocks(dev.edited_blocks());
        clock = clock.with_dev(dev.time());
    }
    let executor = Arc::new(executor);
    let organisations = Arc::new(Organisations::new(store.clone(), executor.clone()));
    let pool = Pool::with_rules(
        PoolConfig {
            quorum_compat: genesis.quorum_compat(),
            ..PoolConfig::of(&spec)
        },
        TransactionPermissions::for_pool(&store, &executor, &clock),
        Some(organisations.clone()),
    );
    let mut chain = Chain::new(spec, store, executor, pool, organisations, clock);
    chain.dev = dev.cloned();
    chain.quorum_compat = genesis.quorum_compat();
    chain.private_gas = genesis.private().gas_max;
    Ok(chain)
}

struct Wiring<'a> {
    config: &'a NodeConfig,
    chain: Chain,
    own_key: NodePublicKey,
    node_secret: NodeSecretKey,
    network: NetworkHandle,
    events: NetworkEvents,
    metrics_listener: tokio::net::TcpListener,
    engine: Box<dyn Engine>,
    engine_maker: Option<EngineMaker>,
    admission: Arc<Admission>,
}

/// Engines for the nodes of a development network that goes back: all of them
/// forget their votes at once, so none contradicts another's memory.
fn engine_maker(mut config: NodeConfig, key: NodeSecretKey) -> EngineMaker {
    config.consensus.vote_without_record = true;
    Box::new(move |chain| engine(&config, chain, &key).map_err(|error| error.to_string()))
}

/// The private side, where the configuration turns it on.
fn start_private(
    config: &NodeConfig,
    (chain, network, transactions): (&Chain, &NetworkHandle, &Transactions),
    node_secret: NodeSecretKey,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<private::Started>, PrivateError> {
    if !config.private.enabled {
        return Ok(None);
    }
    let grounds = Grounds {
        chain: chain.clone(),
        network: network.clone(),
        transactions: transactions.clone(),
        own_node: node_secret.public_key(),
        node_secret,
        folder: config.data_dir.join("private"),
    };
    private::start(&config.private, grounds, stopping.clone()).map(Some)
}

impl Wiring<'_> {
    async fn start(self) -> Result<Node, NodeError> {
        let Self {
            config,
            chain,
            own_key,
            node_secret,
            network,
            events,
            metrics_listener,
            engine,
            engine_maker,
            admission,
        } = self;
        let (stop, stopping) = watch::channel(false);
        let sync_wanted = Arc::new(Notify::new());
        let links: Arc<dyn Links> = Arc::new(network.clone());
        let (driver, driver_handle, status) = Driver::new(
            chain.clone(),
            engine,
            links.clone(),
            own_key,
            sync_wanted.clone(),
            stopping.clone(),
        );
        let driver = match engine_maker {
            Some(maker) => driver.with_engine_maker(maker),
            None => driver,
        };
        let (transactions, queues) =
            Transactions::new(chain.clone(), driver_handle.clone(), network.clone());
        let (sync, progress) = Sync::new(
            chain.clone(),
            driver_handle.clone(),
            links,
            own_key,
            sync_wanted.clone(),
        );
        if let Some(dev) = &chain.dev {
            dev.join(DevNode {
                chain: chain.clone(),
                driver: driver_handle.clone(),
                transactions: transactions.clone(),
            });
        }
        let private = start_private(
            config,
            (&chain, &network, &transactions),
            node_secret,
            &stopping,
        )?;
        let view = View {
            private: private.as_ref().map(|private| private.side.clone()),
            chain: chain.clone(),
            transactions: transactions.clone(),
            network: network.clone(),
            admission: admission.clone(),
            data_dir: config.data_dir.clone(),
            own_key,
            p2p: config.p2p.listen,
            status: status.clone(),
            progress: progress.clone(),
        };
        let rpc = medina_rpc::start(config.rpc.to_config()?, Arc::new(view)).await?;

        let peers = Peers {
            chain: chain.clone(),
            driver: driver_handle,
            transactions: transactions.clone(),
            sync_wanted,
            private: private.as_ref().map(|private| private.handle.clone()),
        };
        let monitoring = Monitoring {
            chain: chain.clone(),
            network: network.clone(),
            own_key,
            status,
        };
        let head = chain.head();
        let name = admission.name_of(&own_key).unwrap_or_default();
        info!(name, key = %own_key, height = %head.height, head = %head.hash,
            rpc = %rpc.local_addr(), p2p = %config.p2p.listen, "node started");
        let store = chain.store.clone();
        let asked = chain.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run());
        tasks.spawn(sync::check_signatures(
            asked.clone(),
            progress,
            stopping.clone(),
        ));
        let mut spawn = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            tasks.spawn(async move {
                task.await;
                Ok(())
            });
        };
        spawn(Box::pin(peers.run(events, stopping.clone())));
        spawn(Box::pin(sync.run(stopping.clone())));
        spawn(Box::pin(
            transactions.clone().run_announcements(stopping.clone()),
        ));
        spawn(Box::pin(
            transactions.run_received(queues.inbox, stopping.clone()),
        ));
        spawn(Box::pin(transactions::run_gossip(
            network.clone(),
            queues.outbox,
            stopping.clone(),
        )));
        spawn(Box::pin(admission.run(network.clone(), stopping.clone())));
        spawn(Box::pin(pruning::run(
            asked.clone(),
            config.history,
            private.as_ref().map(|private| private.handle.clone()),
            stopping.clone(),
        )));
        if let Some(private) = private {
            spawn(private.task);
        }
        spawn(Box::pin(transaction_permissions::recheck(
            asked,
            stopping.clone(),
        )));
        spawn(Box::pin(monitoring::run(
            metrics_listener,
            monitoring,
            stopping,
        )));
        Ok(Node {
            stop,
            tasks,
            rpc,
            network,
            store,
        })
    }
}
