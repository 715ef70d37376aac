//! What can go wrong when links are used.

use medina_types::NodePublicKey;
use std::net::SocketAddr;

/// Why the network did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The address to listen on is taken or not ours.
    #[error(
        "cannot listen for peers on {address}: {reason}; is another node running there? Choose another p2p address"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The links could not be set up at all.
    #[error("cannot start the network: {0}")]
    Setup(String),
    /// There is no link to this peer now.
    #[error("not connected to peer {0}")]
    NotConnected(NodePublicKey),
    /// The peer gave no answer, or a wrong one.
    #[error("peer {peer} did not answer the block request: {reason}")]
    RequestFailed {
        /// The peer.
        peer: NodePublicKey,
        /// What happened.
        reason: String,
    },
    /// The request is larger than any peer reads.
    #[error("a private request of {bytes} bytes is larger than {bytes_max}")]
    PrivateRequestTooLarge {
        /// Its length.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The peer gave no answer to a private request, or none that could be read.
    #[error("peer {peer} did not answer the private request: {reason}")]
    PrivateRequestFailed {
        /// The peer.
        peer: NodePublicKey,
        /// What happened.
        reason: String,
    },
    /// Too many orders wait; try again later.
    #[error("the network is busy")]
    Busy,
    /// The network was shut down.
    #[error("the network was shut down")]
    Stopped,
}
