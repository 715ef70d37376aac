//! Runs Ethereum's public blockchain tests through Medina's own block import,
//! storage and state root, not through the virtual machine alone.
//!
//! ```text
//! file ── case ── genesis ── block ── block … ── head and state as expected?
//!          │                   └ executor.validate, store.commit; an invalid one must be refused
//!          └ network ── fork schedule
//! ```
//!
//! A case passes, fails with a reason, or is skipped with a cause; nothing is
//! passed over in silence. Files in the older layout of `ethereum/tests` and the
//! newer one of `execution-spec-tests` are read. `rpc` does the like with the public
//! cases of the JSON-RPC interface, and `openrpc` checks answers against its schema.

mod chain;
mod exceptions;
mod files;
mod fixture;
mod folder;
mod network;
mod openrpc;
mod rpc;
mod run;
mod summary;

pub use fixture::FixtureError;
pub use network::{NotOurs, schedule_of};
pub use openrpc::{OpenRpc, OpenRpcError};
pub use rpc::{
    RpcCaseReport, RpcFiles, RpcRunError, run_rpc_cases, serve_rpc_chain, shared_rpc_folder,
};
pub use run::{CaseReport, Outcome, Reasons, run_paths};
pub use summary::Summary;
