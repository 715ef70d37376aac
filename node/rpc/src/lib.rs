//! Answers wallets and tools: Ethereum's JSON-RPC over HTTP and WebSocket on
//! one port, and Medina's own few methods beside it.
//!
//! The `service` crate implements [`NodeView`] and calls [`start`]. Everything
//! here reads; the only thing that changes the node is a submitted transaction,
//! which is handed on to [`NodeView::submit_transaction`].
//!
//! ```text
//! socket -> jsonrpsee (limits, batches) -> method (arguments read, bounds checked)
//!                                            -> lane of workers -> store, executor, pool
//! ```
//!
//! Work that touches the disk or the EVM runs in a bounded lane of
//! blocking threads, slow work in a lane of its own, so that no caller can hold
//! up another.

mod arguments;
mod block_cache;
mod config;
mod context;
mod convert;
mod errors;
mod eth;
mod fresh_transactions;
mod landing;
mod log_filter;
mod log_search;
mod medina;
mod net;
mod node_view;
mod polling_filters;
mod reading;
mod registry;
mod revert;
mod rpc_modules;
mod server;
mod txpool;
mod web3;
mod workers;

pub use config::{AllowedOrigins, RpcConfig, RpcError};
pub use node_view::{
    CommittedBlock, ConsensusSummary, NodeIdentity, NodeView, PeerSummary, SubmitError,
    SyncProgress,
};
pub use server::{RpcServerHandle, start};
