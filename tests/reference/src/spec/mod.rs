//! The QBFT formal specification (`Consensys/qbft-formal-spec-and-verification`,
//! Dafny, `dafny/spec/L1`) in plain Rust.
//!
//! [`predicates`] holds what `node_auxiliary_functions.dfy` says about messages,
//! [`node`] the `Upon…` predicates of `node.dfy`, [`proposer`] whose turn it is,
//! [`signing`] the bytes that signatures are about. Written from the
//! specification and from the description of Medina's messages, without a line
//! of the engine.
//!
//! # Deviations of Medina, modelled here
//! * The digest does not contain the round (`replaceRoundInBlock` has nothing to
//!   do), and the header's proposer is its beneficiary.
//! * Blocks extend the head: parent hash and number are judged with the message,
//!   not by `validateEthereumBlock`, which here is the caller's answer to an
//!   order, and comes later.
//! * The first justified proposal of a round holds the round's place, whatever
//!   the answer about its block is; a justified proposal of any higher round is
//!   followed (the specification: only when the current round has one), and one
//!   of a lower round is remembered. A re-proposed block is validated too.
//! * An author's first vote of a round counts, a second one does not.
//! * Round 0 carries no justification, and a justification carries PREPAREs
//!   exactly when one of its round changes claims something; two round changes
//!   of one author spoil it (the specification counts senders).
//! * A round change proves its claim on receipt: block and PREPAREs come with it.
//! * A quorum of COMMITs decides in whatever round it was reached.
//! * f + 1 validators in higher rounds: the specification allows any minimum of
//!   f + 1 of their round changes; Medina takes the lowest of everybody's highest.
//! * A late proposer is passed over; see [`proposer`].
//! * On demand: round 0 proposes when there is work, and a round's timer runs
//!   only while there is something to wait for.
//! * What was said in the current round is said again when asked to.
//! * Memory is bounded: proposals of four rounds, four claimed blocks, and what
//!   own messages refer to; see [`node`].
//! * A crash forgets what others said and keeps the last own message of each kind.

pub mod coverage;
pub mod message;
pub mod node;
pub mod predicates;
pub mod proposer;
pub mod signing;

pub use coverage::{Coverage, Predicate};
pub use message::{Block, Claim, Kind, Message, Prepares, Proposal, RoundChange, Said, Vote};
pub use node::{Effect, Event, Node, Resume};
pub use predicates::{Facts, Judge, Perturbation, Signatures};
