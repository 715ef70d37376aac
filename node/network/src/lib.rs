//! Moves messages between admitted peers.
//!
//! ```text
//!            NetworkHandle ──────────────┐ orders            NetworkEvents
//!                 │ frames               ▼                        ▲
//!                 ▼                  driver (swarm)               │
//!   per peer: consensus queue ─► consensus stream ─► reader ── urgent queue
//!             bulk queue      ─► message stream   ─► reader ── bulk queue
//! ```
//!
//! Links are libp2p over TCP, encrypted by noise, multiplexed by yamux; the node's
//! ed25519 key is its network identity. Right after the handshake the
//! [`PeerGate`] is asked; then both sides say protocol and genesis before
//! anything else is read.
//!
//! Votes have a stream and a queue of their own, so no bulk traffic delays them.
//! Every queue is bounded in number and bytes (`medina_types::limits`). A full
//! consensus queue closes the connection, so that both sides notice and
//! consensus repeats itself on reconnection; nothing is lost in silence.
//! Gossip and pool hashes may be lost, the pools announce again.
//!
//! Parties of private groups ask each other on streams of their own, with bounds
//! of their own (`private`).
//!
//! Whoever sends something malformed, too large or too much loses the
//! connection and is not let in again for `limits::PEER_COOLDOWN`.

mod config;
mod dialing;
mod driver;
mod error;
mod events;
mod frame;
mod gossip;
mod handle;
mod identity;
mod links;
mod private;
mod rate_limit;
mod shared;
mod swarm;
mod sync;

pub use config::{KnownPeer, NetworkConfig, PeerGate};
pub use driver::Network;
pub use error::NetworkError;
pub use events::{NetworkEvent, NetworkEvents, SyncReply};
pub use handle::{NetworkHandle, PeerInfo};
pub use private::PrivateReply;
