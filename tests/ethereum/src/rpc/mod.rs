//! The public JSON-RPC cases of `ethereum/execution-apis` against Medina's own
//! server.
//!
//! ```text
//! genesis.json, chain.rlp ── import (production executor, store, state root)
//!                                │
//! *.io ── request ── HTTP ── production JSON-RPC server ── answer as expected?
//! ```
//!
//! The chain began with proof of work. Its rules before Paris (forks by block,
//! miners' rewards, receipts with state roots) are kept here, out of the node.

mod block_building;
mod cases;
mod chain;
mod compare;
mod history;
mod node;
mod places;
mod run;

pub use places::{RpcFiles, shared_rpc_folder};
pub use run::{RpcCaseReport, RpcRunError, run_rpc_cases, serve_rpc_chain};
