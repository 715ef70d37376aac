//! What the server must know of the node that it answers for.

use alloy_primitives::{B256, Bytes};
use medina_consensus::RaftStatus;
use medina_execution::Executor;
use medina_pool::Pool;
use medina_storage::Store;
use medina_types::{
    ChainSpec, Height, NodePublicKey, Receipt, RecoveredBlock, RecoveredTransaction, Round,
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::broadcast;

use crate::{DevControls, privacy::PrivateNode};

/// A block that is on disk, with what its transactions did.
#[derive(Clone, Debug)]
pub struct CommittedBlock {
    /// The block.
    pub block: RecoveredBlock,
    /// One receipt per transaction, same order.
    pub receipts: Arc<Vec<Receipt>>,
}

/// Why a submitted transaction did not enter the pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The transaction is wrong or not wanted. The text is geth's where geth has
    /// one, since clients tell errors apart by it.
    #[error("{0}")]
    Refused(String),
    /// The node cannot judge it now; the same transaction may pass later.
    #[error("{0}")]
    Unavailable(String),
}

/// Why the peers to connect to were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerChangeError {
    /// Nodes that the chain's rules and the file of known nodes do not admit
    /// cannot be let in by one node alone.
    #[error(
        "node {0} is not admitted here: add it to the file of known nodes (`medina network add`), \
         or have it admitted by the Permissioning contract"
    )]
    NotAdmitted(NodePublicKey),
    /// Validators are never kept apart.
    #[error(
        "node {0} is a validator of the current set and stays connected; \
         remove it by ballot first: `medina validator propose remove {0}`"
    )]
    Validator(NodePublicKey),
    /// It is this node itself.
    #[error("{0} is this node")]
    Oneself(NodePublicKey),
    /// This node cannot do it, or not now.
    #[error("{0}")]
    Unavailable(String),
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSummary {
    /// Its node key.
    pub key: NodePublicKey,
    /// Name for people, where the node knows one.
    pub name: Option<String>,
    /// Where it is connected from or to, in the network's own notation.
    pub address: String,
    /// Height of its head, once it has said so.
    pub height: Option<Height>,
    /// Hash of its head, once it has said so.
    pub head: Option<B256>,
    /// Round-trip time of the last ping.
    pub latency: Option<Duration>,
    /// True if we dialled, false if it did; `None` where the network does not say.
    pub outbound: Option<bool>,
}

/// How far a node that is behind has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyncProgress {
    /// Height at which this catch-up began.
    pub starting: Height,
    /// Highest height that a peer has told of.
    pub highest: Height,
    /// Blocks imported per second of late, once that can be told.
    pub blocks_per_second: Option<f64>,
}

/// What the consensus engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusSummary {
    /// Height being decided, one above the head.
    pub height: Height,
    /// Round of that height.
    pub round: Round,
    /// Name of the step within the round.
    pub step: String,
    /// Who proposes in this round.
    pub proposer: NodePublicKey,
    /// Timeout of this round.
    pub timeout: Duration,
    /// True if this node votes.
    pub votes: bool,
    /// What only Raft knows; `None` with QBFT.
    pub raft: Option<RaftStatus>,
}

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Its node key.
    pub key: NodePublicKey,
    /// Where it listens for peers.
    pub p2p: SocketAddr,
}

fn fixed_peers() -> PeerChangeError {
    PeerChangeError::Unavailable(
        "this node takes its peers from the file of known nodes only".to_owned(),
    )
}

/// The node as the server sees it. Every method that is not `async` answers from memory at
/// once; stores and executors are used from worker threads.
#[async_trait::async_trait]
pub trait NodeView: Send + Sync + 'static {
    /// What all nodes of the chain agree on.
    fn spec(&self) -> &Arc<ChainSpec>;

    /// Blocks and state.
    fn store(&self) -> &Store;

    /// The EVM.
    fn executor(&self) -> &Executor;

    /// Transactions waiting.
    fn pool(&self) -> &Pool;

    /// The node's clock, seconds since 1970.
    fn clock_s(&self) -> u64;

    /// Takes the EIP-2718 bytes of a signed transaction into the pool and on to
    /// the peers; answers its hash once the pool has it.
    ///
    /// # Errors
    /// See [`SubmitError`].
    async fn submit_transaction(&self, bytes: Bytes) -> Result<B256, SubmitError>;

    /// Who this node is.
    fn identity(&self) -> NodeIdentity;

    /// Peers connected now.
    fn peers(&self) -> Vec<PeerSummary>;

    /// Name of a node for people, from the file of known nodes.
    fn name_of(&self, _key: &NodePublicKey) -> Option<String> {
        None
    }

    /// Where a node listens, from the file of known nodes: a connection that came
    /// in does not tell.
    fn listen_address_of(&self, _key: &NodePublicKey) -> Option<SocketAddr> {
        None
    }

    /// Dials an admitted node from now on, until this node stops; true if it was
    /// not dialled there before.
    ///
    /// # Errors
    /// See [`PeerChangeError`].
    async fn add_peer(
        &self,
        _key: NodePublicKey,
        _addresses: Vec<SocketAddr>,
    ) -> Result<bool, PeerChangeError> {
        Err(fixed_peers())
    }

    /// Closes the links to a node and dials it no more, until this node stops;
    /// true if it was dialled or connected.
    ///
    /// # Errors
    /// See [`PeerChangeError`].
    async fn remove_peer(&self, _key: NodePublicKey) -> Result<bool, PeerChangeError> {
        Err(fixed_peers())
    }

    /// Folder of the node's data, where it has one.
    fn data_dir(&self) -> Option<PathBuf> {
        None
    }

    /// Progress of a catch-up, `None` when the node is at the head.
    fn sync_progress(&self) -> Option<SyncProgress>;

    /// What consensus is doing, `None` before it has started.
    fn consensus(&self) -> Option<ConsensusSummary>;

    /// State root that a receipt carries instead of its status. Blocks before
    /// Byzantium have it, so ours never do.
    fn root_of_receipt(&self, _height: Height, _index: usize) -> Option<B256> {
        None
    }

    /// Controls of the network, if it is a development network (`medina dev`).
    fn dev(&self) -> Option<Arc<dyn DevControls>> {
        None
    }

    /// The private side, if this node has one.
    fn private(&self) -> Option<Arc<dyn PrivateNode>> {
        None
    }

    /// Every block from now on, after it is on disk. A receiver that lags loses
    /// nothing: the server reads what it missed from the store.
    fn subscribe_heads(&self) -> broadcast::Receiver<Arc<CommittedBlock>>;

    /// Every transaction from now on that enters the pool, ours and gossiped.
    fn subscribe_pending(&self) -> broadcast::Receiver<Arc<RecoveredTransaction>>;
}
