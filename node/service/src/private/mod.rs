//! Private groups beside the chain: delivers envelopes, sends their markers, follows
//! the final blocks group by group, compares what members come to.
//!
//! ```text
//!  client ─> node.rs ─seal─> outbox.rs ─deliver─> members ─acks─> policy met
//!                                                                    │
//!                       pool <─ markers, sent until included <─ sending.rs
//!
//!  driver ─watch─> scanner.rs ─markers─> rows.rs ─> follower.rs, one per group
//!                                                      │ missing: asks members
//!                                                      │ every K blocks: attests
//!                                                      └ no way on: rebuilding.rs
//! ```
//!
//! The public chain knows nothing of this: the follower reads the height that the
//! driver publishes anyway, and no task of the chain waits for one of these. What is
//! decided from facts alone (`outbox`, `nonces`, `queue`, `attestation`) touches
//! neither clock nor disk nor network.

mod anchored;
mod attestation;
mod attesting;
mod audit_anchor;
mod beginning;
mod compat;
mod config;
mod delivery;
mod directory;
mod erasing;
mod exec;
mod follower;
mod following;
mod gathering;
mod going_back;
mod group;
mod guard;
mod judging;
mod keys;
mod members;
mod node;
mod nonces;
mod outbox;
mod places;
mod process;
mod protocol;
mod queue;
mod rate;
mod reading;
mod rebuilding;
mod records;
mod registry;
mod rows;
mod said;
mod scanner;
mod secrets;
mod sending;
mod serve;
mod settling;
mod shared;
mod start;
mod states;
mod tagging;
mod taking;
mod tenants;
mod trail;
mod unmarked;
mod upkeep;
mod validated;
mod views;

pub use config::{
    Follow, FollowWord, PartySection, PrivateLimitsSection, PrivateSection, TlsSection,
};
pub(crate) use node::PrivateSide;
pub use process::{EnclaveProcess, EnclaveProcessConfig, EnclaveProcessError, EnclaveTlsSection};
pub(crate) use start::{Grounds, PrivateError, PrivateHandle, Started, start};
