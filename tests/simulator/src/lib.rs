//! Many consensus engines in one thread, in virtual time, from one seed.
//!
//! Real engines, QBFT or Raft, talk over a made-up network that loses, delays,
//! repeats, reorders and cuts; nodes crash, also exactly before, after and
//! during each write, and come back with what the disk holds: records may be
//! torn or lost, unsynced writes gone, disks slow or empty, clocks wrong.
//! Transactions change the validator set. With QBFT up to f validators lie.
//! After every step a checker looks for two decisions at one height, an invalid
//! block, a certificate without quorum, an honest validator that contradicts
//! itself, promises what its disk does not know or is accused, answers what is
//! not justified, or lets peers cost it more than they may, and at the end for a
//! network that does not recover in bounded rounds or never rests.
//!
//! A run is a function of its [`Scenario`], and that of its seed: the seed of a
//! failure replays it exactly ([`Outcome::trace`] is a hash of every step), and
//! [`shrink`] makes its scenario smaller.

mod block;
mod byzantine;
mod caller;
mod campaign;
mod checker;
mod coverage;
mod crypto;
mod disk;
mod engines;
mod faults;
mod forgery;
mod generate;
mod judge;
mod liveness;
#[cfg(feature = "mutants")]
pub mod mutants;
mod network;
mod node;
mod oracle;
mod scenario;
mod shrink;
mod story;
mod world;

pub use campaign::{Campaign, crash_everywhere};
pub use checker::{Invariant, Violation};
pub use coverage::Coverage;
pub use scenario::{Change, Damage, Fault, HABITS, Habit, Moment, Sabotage, Scenario, Transaction};
pub use shrink::shrink;
pub use world::{Outcome, run, run_told};
