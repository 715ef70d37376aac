//! Decides the next block: QBFT and Raft as one state machine of inputs and outputs.
//!
//! [`Engine`] is told facts ([`Input`]) and answers with orders ([`Output`])
//! that its caller executes in order. It owns no clock, disk, socket or source
//! of randomness, and iterates over nothing whose order depends on hashing: the
//! same inputs give the same outputs, which is what lets a simulator replay a
//! failing run from its seed.
//!
//! ```text
//!   network ── MessageReceived ──┐            ┌── Persist, Send, Broadcast ──> disk, network
//!   clock ──── TimerFired ───────┼── Engine ──┼── SetTimer, CancelTimer ─────> clock
//!   pool ───── WorkWaiting ──────┤            ├── Build, Check ──────────────> execution
//!   execution  BlockBuilt/Checked┘            └── Commit, SyncNeeded ────────> storage, sync
//! ```
//!
//! [`Qbft`] follows the QBFT specification; what it does beyond or differently
//! is said at the head of its modules under "Deviations". [`Raft`] replicates
//! blocks with the `raft` crate, for networks whose members trust each other.

mod crypto;
mod engine;
#[cfg(feature = "mutants")]
pub mod mutants;
#[cfg(not(feature = "mutants"))]
mod mutants;
pub mod qbft;
pub mod raft;

pub use crypto::{Ed25519Crypto, VoteCrypto};
pub use engine::{
    Engine, EngineStatus, HeadInfo, Input, Output, RaftMember, RaftRole, RaftStatus, Timer,
};
pub use qbft::{Qbft, QbftConfig, RecordError};
pub use raft::{Raft, RaftConfig};
