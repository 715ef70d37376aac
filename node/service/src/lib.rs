//! Owns every task, timer and shutdown; the only place where outputs become deeds.
//!
//! ```text
//!  peers ──> peers.rs ──facts──> driver.rs <──blocks── sync.rs
//!              │                   │   │
//!              └─> transactions.rs │   └─> engine (consensus): decides
//!  clients ──> view.rs ──┘   │     └─────> chain.rs: executor, store, pool
//!                            └─> pool, gossip
//! ```
//!
//! [`Node::start`] opens the database, binds the ports and spawns the tasks;
//! [`Node::stop`] ends them within two seconds. Only the driver writes to the
//! chain. Private groups are followed beside it (`private`), and nothing of the
//! chain waits for them.

mod admission;
mod blocks;
mod chain;
mod clock;
mod config;
mod dev;
mod driver;
mod engine;
mod fatal;
mod links;
mod monitoring;
mod node;
mod organisations;
mod peers;
mod permissions;
mod private;
mod pruning;
mod sync;
mod telemetry;
#[cfg(test)]
mod tests;
mod transaction_permissions;
mod transactions;
mod view;

pub use config::{
    ConfigError, ConsensusSection, HistorySection, KEEP_BLOCKS_MIN, KnownNode, KnownNodes,
    ListenSection, LogSection, NodeConfig, RpcSection,
};
pub use dev::DevNetwork;
pub use fatal::Fatal;
pub use node::{Node, NodeError};
pub use private::{
    EnclaveProcess, EnclaveProcessConfig, EnclaveProcessError, EnclaveTlsSection, Follow,
    FollowWord, PartySection, PrivateLimitsSection, PrivateSection, TlsSection,
};
pub use telemetry::start_logging;
