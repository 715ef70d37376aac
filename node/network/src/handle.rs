//! What the node may ask of the network.

use crate::{
    KnownPeer, NetworkError,
    gossip::{self, Topics},
    links::Lane,
    shared::{Command, Shared},
};
use medina_types::{
    NodePublicKey, limits,
    wire::{self, PeerMessage, PeerStatus, SyncRequest, SyncResponse},
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc::error::TrySendError, oneshot, watch};

/// Longest time that a shutdown waits for the network's task.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its key.
    pub key: NodePublicKey,
    /// Its address: where it listens if we dialled it.
    pub address: Option<SocketAddr>,
    /// Where its chain stood when it last said so.
    pub status: PeerStatus,
    /// Last measured round trip.
    pub latency: Option<Duration>,
}

/// Gives orders to the network. Cheap to clone; nothing here waits except where
/// it says `async`. The network stops when the last handle is dropped.
#[derive(Clone)]
pub struct NetworkHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) topics: Topics,
    pub(crate) stop: Arc<watch::Sender<bool>>,
    pub(crate) listening: watch::Receiver<Option<SocketAddr>>,
}

impl NetworkHandle {
    /// Sends a direct message. False when there is no link or no room; a full
    /// consensus queue also closes the link, so that both sides start afresh.
    pub fn send(&self, to: NodePublicKey, message: PeerMessage) -> bool {
        self.send_to_all([to], message) == 1
    }

    /// Sends the same direct message to many, encoded once; says to how many.
    pub fn send_to_all(
        &self,
        to: impl IntoIterator<Item = NodePublicKey>,
        message: PeerMessage,
    ) -> usize {
        let lane = match message {
            PeerMessage::Consensus(_) => Lane::Consensus,
            _ => Lane::Bulk,
        };
        let frame = Arc::new(wire::encode(&message));
        let bytes_max = if lane == Lane::Consensus {
            PeerMessage::BYTES_MAX
        } else {
            limits::PEER_MESSAGE_BYTES_MAX
        };
        if frame.len() > bytes_max {
            tracing::error!(
                bytes = frame.len(),
                bytes_max,
                "a message of ours is too large"
            );
            return 0;
        }
        let table = self.shared.table();
        to.into_iter()
            .filter(|key| table.send(key, lane, frame.clone()))
            .count()
    }

    /// Gossips transactions (EIP-2718 bytes) in batches. Best effort: pool
    /// hashes, exchanged on connection and until inclusion, fill gaps.
    pub fn broadcast_transactions(&self, transactions: Vec<Vec<u8>>) {
        for bytes in gossip::batches(transactions) {
            self.publish(Command::Publish {
                topic: self.topics.transactions.clone(),
                bytes,
            });
        }
    }

    /// Gossips our head.
    pub fn announce_head(&self, status: PeerStatus) {
        let bytes = wire::encode(&status);
        self.publish(Command::Publish {
            topic: self.topics.heads.clone(),
            bytes,
        });
    }

    fn publish(&self, command: Command) {
        if self.shared.commands.try_send(command).is_err() {
            metrics::counter!("medina_network_gossip_dropped_total").increment(1);
        }
    }

    /// Asks a peer for consecutive blocks.
    ///
    /// # Errors
    /// See [`NetworkError`]. An answer that breaks the protocol also costs the
    /// peer its link.
    pub async fn request_blocks(
        &self,
        peer: NodePublicKey,
        request: SyncRequest,
    ) -> Result<SyncResponse, NetworkError> {
        if !self.shared.table().is_connected(&peer) {
            return Err(NetworkError::NotConnected(peer));
        }
        let (answer, response) = oneshot::channel();
        let command = Command::Request {
            peer,
            request,
            answer,
        };
        self.shared
            .commands
            .send(command)
            .await
            .map_err(|_| NetworkError::Stopped)?;
        response.await.map_err(|_| NetworkError::Stopped)?
    }

    /// Asks a peer about a private group. Never waits for room: private affairs
    /// do not hold up orders of the chain.
    ///
    /// # Errors
    /// [`NetworkError::NotConnected`], [`NetworkError::PrivateRequestTooLarge`],
    /// [`NetworkError::PrivateRequestFailed`], [`NetworkError::Busy`],
    /// [`NetworkError::Stopped`].
    pub async fn request_private(
        &self,
        peer: NodePublicKey,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, NetworkError> {
        let bytes_max = limits::PRIVATE_REQUEST_BYTES_MAX;
        if bytes.len() > bytes_max {
            let bytes = bytes.len();
            return Err(NetworkError::PrivateRequestTooLarge { bytes, bytes_max });
        }
        if !self.shared.table().is_connected(&peer) {
            return Err(NetworkError::NotConnected(peer));
        }
        let (answer, response) = oneshot::channel();
        let command = Command::RequestPrivate {
            peer,
            bytes,
            answer,
        };
        self.shared
            .commands
            .try_send(command)
            .map_err(|error| match error {
                TrySendError::Full(_) => NetworkError::Busy,
                TrySendError::Closed(_) => NetworkError::Stopped,
            })?;
        response.await.map_err(|_| NetworkError::Stopped)?
    }

    /// Closes all links of a peer that misbehaved or was revoked, and keeps it
    /// away for `limits::PEER_COOLDOWN`.
    pub fn disconnect(&self, key: NodePublicKey, reason: &str) {
        tracing::warn!(%key, reason, "disconnecting a peer");
        self.shared.table().expel(key, reason, Instant::now());
    }

    /// The connected peers, by key.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shared.table().infos()
    }

    /// Whether there is a link to this peer.
    #[must_use]
    pub fn is_connected(&self, key: &NodePublicKey) -> bool {
        self.shared.table().is_connected(key)
    }

    /// Replaces the peers to dial. Links that stand stay; who must go is said
    /// with [`Self::disconnect`].
    ///
    /// # Errors
    /// [`NetworkError::Busy`] when too many orders wait, [`NetworkError::Stopped`].
    pub async fn set_known_peers(&self, peers: Vec<KnownPeer>) -> Result<(), NetworkError> {
        let command = Command::SetKnownPeers(peers);
        self.shared
            .commands
            .send(command)
            .await
            .map_err(|_| NetworkError::Stopped)
    }

    /// Where the network listens: the port that was taken when 0 was asked for.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`].
    pub async fn listen_address(&self) -> Result<SocketAddr, NetworkError> {
        let mut listening = self.listening.clone();
        let address = listening.wait_for(Option::is_some).await;
        address
            .ok()
            .and_then(|address| *address)
            .ok_or(NetworkError::Stopped)
    }

    /// Closes all links and stops listening. Returns within a second.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let mut listening = self.listening.clone();
        // The driver owns the other end and drops it last.
        let stopped = async { while listening.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(SHUTDOWN_WAIT, stopped).await;
    }
}
