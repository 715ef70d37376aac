//! The node as its JSON-RPC server sees it.

use crate::{
    admission::Admission, chain::Chain, private::PrivateSide, sync, transactions::Transactions,
};
use alloy_primitives::{B256, Bytes};
use medina_consensus::EngineStatus;
use medina_execution::Executor;
use medina_network::NetworkHandle;
use medina_pool::Pool;
use medina_rpc::{
    CommittedBlock, ConsensusSummary, DevControls, NodeIdentity, NodeView, PeerChangeError,
    PeerSummary, SubmitError, SyncProgress, privacy::PrivateNode,
};
use medina_storage::Store;
use medina_types::{ChainSpec, NodePublicKey, RecoveredTransaction};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::sync::{broadcast, watch};

/// Blocks behind the best peer from which the node says that it is syncing.
const SYNCING_FROM_BLOCKS: u64 = 2;

/// Handles of the running node.
pub(crate) struct View {
    pub(crate) chain: Chain,
    pub(crate) transactions: Transactions,
    pub(crate) network: NetworkHandle,
    pub(crate) admission: Arc<Admission>,
    pub(crate) data_dir: PathBuf,
    pub(crate) own_key: NodePublicKey,
    pub(crate) p2p: SocketAddr,
    pub(crate) status: watch::Receiver<EngineStatus>,
    pub(crate) progress: watch::Receiver<Option<sync::SyncProgress>>,
    pub(crate) private: Option<Arc<PrivateSide>>,
}

#[async_trait::async_trait]
impl NodeView for View {
    fn spec(&self) -> &Arc<ChainSpec> {
        &self.chain.spec
    }

    fn store(&self) -> &Store {
        &self.chain.store
    }

    fn executor(&self) -> &Executor {
        &self.chain.executor
    }

    fn pool(&self) -> &Pool {
        &self.chain.pool
    }

    fn clock_s(&self) -> u64 {
        self.chain.clock.unix_seconds()
    }

    async fn submit_transaction(&self, bytes: Bytes) -> Result<B256, SubmitError> {
        let transactions = self.transactions.clone();
        tokio::task::spawn_blocking(move || transactions.submit(&bytes))
            .await
            .map_err(|_| SubmitError::Unavailable("the node is stopping".to_owned()))?
            .map_err(|error| SubmitError::Refused(error.to_string()))
    }

    fn identity(&self) -> NodeIdentity {
        NodeIdentity {
            key: self.own_key,
            p2p: self.p2p,
        }
    }

    fn peers(&self) -> Vec<PeerSummary> {
        let summary = |peer: medina_network::PeerInfo| PeerSummary {
            key: peer.key,
            name: self.admission.name_of(&peer.key),
            address: peer
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            height: Some(peer.status.height),
            head: Some(B256::from(peer.status.head)),
            latency: peer.latency,
            outbound: None,
        };
        self.network.peers().into_iter().map(summary).collect()
    }

    fn name_of(&self, key: &NodePublicKey) -> Option<String> {
        self.admission.name_of(key)
    }

    fn listen_address_of(&self, key: &NodePublicKey) -> Option<SocketAddr> {
        self.admission.listen_address_of(key)
    }

    async fn add_peer(
        &self,
        key: NodePublicKey,
        addresses: Vec<SocketAddr>,
    ) -> Result<bool, PeerChangeError> {
        self.admission.add_peer(key, addresses)
    }

    async fn remove_peer(&self, key: NodePublicKey) -> Result<bool, PeerChangeError> {
        let was_dialled = self.admission.remove_peer(key)?;
        let was_connected = self.network.is_connected(&key);
        if was_connected {
            self.network.disconnect(key, "removed by the operator");
        }
        Ok(was_dialled || was_connected)
    }

    fn data_dir(&self) -> Option<PathBuf> {
        Some(self.data_dir.clone())
    }

    fn sync_progress(&self) -> Option<SyncProgress> {
        let progress = (*self.progress.borrow())?;
        let head = self.chain.head().height;
        let behind = progress.target.0.saturating_sub(head.0);
        (behind >= SYNCING_FROM_BLOCKS).then_some(SyncProgress {
            starting: progress.started_at,
            highest: progress.target,
            blocks_per_second: progress.blocks_per_second(head, self.chain.clock.now_ms()),
        })
    }

    fn consensus(&self) -> Option<ConsensusSummary> {
        let status = self.status.borrow().clone();
        Some(ConsensusSummary {
            height: status.height,
            round: status.round,
            step: status.step.to_owned(),
            proposer: status.proposer,
            timeout: status.timeout,
            votes: status.votes,
            raft: status.raft,
        })
    }

    fn dev(&self) -> Option<Arc<dyn DevControls>> {
        let dev = self.chain.dev.clone()?;
        Some(Arc::new(dev))
    }

    fn private(&self) -> Option<Arc<dyn PrivateNode>> {
        let private = self.private.clone()?;
        Some(private)
    }

    fn subscribe_heads(&self) -> broadcast::Receiver<Arc<CommittedBlock>> {
        self.chain.subscribe_committed()
    }

    fn subscribe_pending(&self) -> broadcast::Receiver<Arc<RecoveredTransaction>> {
        self.transactions.subscribe_pending()
    }
}
