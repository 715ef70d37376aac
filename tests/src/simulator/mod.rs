//! Many consensus engines in one thread, in virtual time, from one seed.
//!
//! Real engines talk over a made-up network that loses, delays, repeats,
//! reorders and cuts; nodes crash, also exactly before and after each record or
//! block reaches the disk, and come back with what the disk holds; one
//! validator may lie. After every step a checker looks for two decisions at one
//! height, a certificate without quorum, an honest validator that contradicts
//! itself or is accused, and at the end for a network that does not recover.
//!
//! A run is a function of its [`Scenario`], and that of its seed: the seed of a
//! failure replays it exactly ([`Outcome::trace`] is a hash of every step).

mod caller;
mod checker;
mod crypto;
mod faults;
mod network;
mod node;
mod scenario;
mod world;

pub use checker::{Invariant, Violation};
pub use scenario::{Fault, Habit, Moment, Sabotage, Scenario};
pub use world::{Outcome, run};
