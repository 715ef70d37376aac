//! Answers wallets and tools: Ethereum's JSON-RPC over HTTP and WebSocket on
//! one port, and Medina's own few methods beside it.
//!
//! The `service` crate implements [`NodeView`] and calls [`start`]. Everything
//! here reads; what changes the node is handed on to it: a submitted transaction
//! ([`NodeView::submit_transaction`]), and from `admin_*` the peers to dial.
//! Consensus is asked under the names of other clients (`qbft_*`, `istanbul_*`,
//! `raft_*`) and changed by none of them: validators change by ballot.
//!
//! ```text
//! socket -> front (connections, callers, rates) -> jsonrpsee (JSON, batches)
//!        -> method (arguments read, bounds checked) -> lane of workers -> store, executor, pool
//! ```
//!
//! Work that touches the disk or the EVM runs in a bounded lane of
//! blocking threads, slow work in a lane of its own, so that no caller can hold
//! up another.

mod access;
mod admin;
mod arguments;
mod ballots;
mod block_cache;
mod browser;
mod checkpoint;
mod config;
mod context;
mod convert;
mod dev;
mod errors;
mod eth;
mod fresh_transactions;
mod front;
mod istanbul;
mod landing;
mod log_filter;
mod log_search;
mod medina;
mod net;
mod node_address;
mod node_view;
mod polling_filters;
pub mod privacy;
mod qbft;
mod raft;
mod reading;
mod registry;
mod revert;
mod rpc_modules;
mod section;
mod server;
mod storage_key;
mod traces;
mod txpool;
mod validator_history;
mod validators;
mod web3;
mod workers;

pub use access::{Access, ApiKeys, JwtSecret, KeysError, NoScope, SAFE_NAMESPACES};
pub use config::{AllowedOrigins, RpcConfig, RpcError};
pub use dev::{DevControls, DevError};
pub use node_view::{
    CommittedBlock, ConsensusSummary, NodeIdentity, NodeView, PeerChangeError, PeerSummary,
    SubmitError, SyncProgress,
};
pub use section::{RpcLimits, RpcSection};
pub use server::{RpcServerHandle, start};
