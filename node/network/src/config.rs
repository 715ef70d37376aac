//! What the network is told at the start and whom it asks about strangers.

use medina_types::{NodePublicKey, NodeSecretKey, wire::PeerStatus};
use std::net::SocketAddr;

/// A peer to keep a link to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its node key.
    pub key: NodePublicKey,
    /// Where it listens; empty when it dials us.
    pub addresses: Vec<SocketAddr>,
}

/// Configuration of the network of one node.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The node's key: its network identity.
    pub secret: NodeSecretKey,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Peers to dial; change them with `NetworkHandle::set_known_peers`.
    pub peers: Vec<KnownPeer>,
}

/// Answers the network's two questions. Called often; must be quick.
pub trait PeerGate: Send + Sync + 'static {
    /// Whether a node with this key may connect now.
    fn is_admitted(&self, key: &NodePublicKey) -> bool;

    /// Where our chain stands; its genesis must never change.
    fn our_status(&self) -> PeerStatus;
}
