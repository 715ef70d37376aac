//! The enclave from outside: one list of stories for all places where it can live, then what a
//! thief, a liar and a sudden stop can do.

mod both;
mod common;
mod envelopes;
mod forgetting;
mod process;
mod theft;
mod tls;
mod traffic;
