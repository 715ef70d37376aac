//! The seller's data door: readings handed out over HTTP to whom the chain lets read.
//!
//! Rule followed: the design's "Off-chain data" and contracts specification, section 6 (`hasAccess`
//! is checked when a session opens and again once the last answer is 10 s old).
//!
//! ```text
//! buyer                      gateway                      chain
//!   | POST /v1/challenge ------> |                            |
//!   | <------------- text, nonce |                            |
//!   | POST /v1/session, signed-> | hasAccess(listing, buyer) -> |
//!   | <------------------- token | <----------------------- yes |
//!   | GET readings, token -----> | (again after 10 s)           |
//!   | <-- records, salts, proofs |                              |
//! ```
//!
//! [`Gateway::start`] is told the time by a [`Clock`] and what the chain says by a
//! [`GatewayChain`]; what is said on the wire is in [`wire`].
//!
//! # Deviations
//!
//! Plain HTTP: TLS is the business of a proxy in front (`public_url`). Contract wallets (ERC-1271)
//! cannot open sessions yet.

mod chain;
mod challenge;
mod config;
mod listener;
mod pages;
mod problem;
mod server;
mod sessions;
pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use self::chain::{ChainError, GatewayChain};
pub use self::config::{AccountConfig, ConfigError, GatewayConfig, GatewayLimits, ListingConfig};
use self::listener::BoundedListener;
use self::server::State;
use crate::client::{ClientError, MarketClient};
use crate::companion::{Companion, CompanionError, MasterKey};
use crate::limits::GATEWAY_SHUTDOWN_SECONDS_MAX;

/// Tells the time in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Why the gateway cannot run.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The port is taken or not ours.
    #[error("cannot listen at {address}: {source}; choose another `listen` or stop what uses it")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended by itself.
    #[error("the gateway's server ended: {0}")]
    Serve(std::io::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Companion(#[from] CompanionError),
    /// The node cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// The server's task panicked.
    #[error("the gateway's server was lost")]
    Lost,
}

/// What a gateway is made of.
pub struct Gateway {
    /// Where to listen, what to serve, within which bounds.
    pub config: GatewayConfig,
    /// The chain's id, part of typed challenges.
    pub chain_id: u64,
    /// The readings.
    pub companion: Arc<Companion>,
    /// Who is asked for access.
    pub chain: Arc<dyn GatewayChain>,
    /// Whether `chain` has an account to consume coupons with.
    pub takes_coupons: bool,
    /// The time.
    pub clock: Clock,
}

/// A running gateway. Dropping it stops the gateway at once.
#[derive(Debug)]
pub struct GatewayHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), std::io::Error>>,
}

impl Gateway {
    /// Opens everything the configuration names: node, account, database and its key.
    pub async fn open(config: GatewayConfig, clock: Clock) -> Result<Self, GatewayError> {
        let account = config
            .account
            .as_ref()
            .map(AccountConfig::open)
            .transpose()?;
        let client = MarketClient::connect(&config.rpc).await?;
        let master = MasterKey::load_or_create(&config.master_key)?;
        let companion = Arc::new(Companion::open(&config.data, master)?);
        let (chain_id, takes_coupons) = (client.chain_id(), account.is_some());
        let client = match account {
            Some(account) => client.with_account(account),
            None => client,
        };
        Ok(Self {
            config,
            chain_id,
            companion,
            chain: Arc::new(client),
            takes_coupons,
            clock,
        })
    }

    /// Listens and serves until the handle says stop.
    pub async fn start(self) -> Result<GatewayHandle, GatewayError> {
        let wanted = self.config.listen;
        let fail = |source| GatewayError::Listen {
            address: wanted,
            source,
        };
        let listener = tokio::net::TcpListener::bind(wanted).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let state = Arc::new(State::new(self, address)?);
        let (stop, stopped) = oneshot::channel::<()>();
        let router = server::router(state);
        let task = tokio::spawn(async move {
            let stopped = async move {
                // A dropped handle means stop as well.
                let _ = stopped.await;
            };
            axum::serve(BoundedListener::new(listener), router)
                .with_graceful_shutdown(stopped)
                .await
        });
        tracing::info!(%address, "gateway listens");
        Ok(GatewayHandle {
            address,
            stop: Some(stop),
            task,
        })
    }
}

impl GatewayHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new requests, finishes those in flight within a bound, and ends.
    pub async fn shutdown(mut self) -> Result<(), GatewayError> {
        if let Some(stop) = self.stop.take() {
            // An error means that the server is gone already.
            let _ = stop.send(());
        }
        let patience = Duration::from_secs(GATEWAY_SHUTDOWN_SECONDS_MAX);
        match tokio::time::timeout(patience, &mut self.task).await {
            Ok(Ok(served)) => served.map_err(GatewayError::Serve),
            Ok(Err(_)) => Err(GatewayError::Lost),
            Err(_) => {
                // Idle connections that are kept open must not keep the process.
                self.task.abort();
                Ok(())
            }
        }
    }

    /// Ends when the server ends by itself, which it should not.
    pub async fn wait(&mut self) -> Result<(), GatewayError> {
        match (&mut self.task).await {
            Ok(served) => served.map_err(GatewayError::Serve),
            Err(_) => Err(GatewayError::Lost),
        }
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
