//! Links for direct messages: per connection one stream for consensus and one
//! for everything else, each way, owned by a supervising task.
//!
//! The swarm only negotiates the streams; bytes then flow between queue, stream
//! and event channel without passing it.

mod behaviour;
mod handler;
mod queue;
mod streams;
mod supervisor;

pub(crate) use behaviour::{Links, socket_address};
#[cfg(test)]
pub(crate) use queue::channel;
pub(crate) use queue::{CloseSignal, OutboundFrame, OutboundQueue};

use libp2p::StreamProtocol;

/// Which stream a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Votes and proposals.
    Consensus,
    /// Status, pool hashes, transactions.
    Bulk,
}

impl Lane {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Consensus, Self::Bulk];

    const fn protocol(self) -> StreamProtocol {
        match self {
            Self::Consensus => StreamProtocol::new("/medina/consensus/1"),
            Self::Bulk => StreamProtocol::new("/medina/messages/1"),
        }
    }
}
