//! An oracle for the QBFT engine, and runners for other projects' test data.
//!
//! [`spec`] is the published formal specification as plain Rust. It shares no
//! code with the engine: only the plain data types of `medina-types`.
//! [`differential`] feeds random messages to both and compares what they do.
//! [`scripts`] runs the data-driven scripts of etcd/raft against the `raft`
//! crate; [`ssv`] reads the specification tests of another QBFT and maps them
//! by meaning. Neither test suite is part of this repository: each is read from
//! a path that the user gives.

pub mod differential;
pub mod scripts;
pub mod spec;
pub mod ssv;
