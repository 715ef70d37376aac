//! What every method can reach.

use medina_storage::{Head, Store};
use medina_types::ChainSpec;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

use crate::{
    NodeView, RpcConfig, ballots::BallotsKept, block_cache::BlockCache,
    fresh_transactions::FreshTransactions, polling_filters::PollingFilters, privacy::PartyPlaces,
    workers::Workers,
};

/// Addresses, topics and hashes of all subscriptions together, some 64 bytes each.
const SUBSCRIBED_CRITERIA_MAX: usize = 1_000_000;

/// Shared by all methods of one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) node: Arc<dyn NodeView>,
    pub(crate) config: Arc<RpcConfig>,
    pub(crate) filters: Arc<PollingFilters>,
    pub(crate) blocks: Arc<BlockCache>,
    pub(crate) fresh: Arc<FreshTransactions>,
    pub(crate) workers: Workers,
    /// Addresses and topics that log subscriptions may still name.
    pub(crate) criteria: Arc<Semaphore>,
    pub(crate) ballots_kept: Arc<BallotsKept>,
    pub(crate) party_places: Arc<PartyPlaces>,
    /// Becomes true, or loses its sender, when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Context {
    pub(crate) fn new(
        node: Arc<dyn NodeView>,
        config: RpcConfig,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let filters = PollingFilters::new(config.filters_max, config.filter_lifetime);
        Self {
            node,
            config: Arc::new(config),
            filters: Arc::new(filters),
            blocks: Arc::default(),
            fresh: Arc::default(),
            workers: Workers::for_this_machine(),
            criteria: Arc::new(Semaphore::new(SUBSCRIBED_CRITERIA_MAX)),
            ballots_kept: Arc::default(),
            party_places: Arc::default(),
            stopping,
        }
    }

    /// Waits until the server stops.
    pub(crate) async fn stopped(&self) {
        // A lost sender is the end, too.
        let _ = self
            .stopping
            .clone()
            .wait_for(|is_stopping| *is_stopping)
            .await;
    }

    pub(crate) fn spec(&self) -> &ChainSpec {
        self.node.spec()
    }

    pub(crate) fn store(&self) -> &Store {
        self.node.store()
    }

    pub(crate) fn head(&self) -> Arc<Head> {
        self.node.store().head()
    }
}
