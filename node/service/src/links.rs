//! What driver and sync ask of the network. A seam, so that the order of their
//! deeds can be observed.

use async_trait::async_trait;
use medina_network::{NetworkError, NetworkHandle, PeerInfo};
use medina_types::{
    NodePublicKey,
    wire::{PeerMessage, PeerStatus, SyncRequest, SyncResponse},
};

/// Links to the peers.
#[async_trait]
pub(crate) trait Links: Send + Sync {
    /// Sends a message to each of these peers that has a link.
    fn send_to_all(&self, to: &[NodePublicKey], message: PeerMessage);

    /// Gossips our head.
    fn announce_head(&self, status: PeerStatus);

    /// Closes the links of a peer that misbehaved and keeps it away for a while.
    fn disconnect(&self, peer: NodePublicKey, reason: &str);

    /// The connected peers.
    fn peers(&self) -> Vec<PeerInfo>;

    /// Asks a peer for blocks.
    async fn request_blocks(
        &self,
        peer: NodePublicKey,
        request: SyncRequest,
    ) -> Result<SyncResponse, NetworkError>;
}

#[async_trait]
impl Links for NetworkHandle {
    fn send_to_all(&self, to: &[NodePublicKey], message: PeerMessage) {
        Self::send_to_all(self, to.iter().copied(), message);
    }

    fn announce_head(&self, status: PeerStatus) {
        Self::announce_head(self, status);
    }

    fn disconnect(&self, peer: NodePublicKey, reason: &str) {
        Self::disconnect(self, peer, reason);
    }

    fn peers(&self) -> Vec<PeerInfo> {
        Self::peers(self)
    }

    async fn request_blocks(
        &self,
        peer: NodePublicKey,
        request: SyncRequest,
    ) -> Result<SyncResponse, NetworkError> {
        Self::request_blocks(self, peer, request).await
    }
}
