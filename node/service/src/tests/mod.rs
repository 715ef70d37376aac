//! Driver and sync against made-up engines and peers, on a real store.

mod catch_up;
mod claimed_senders;
mod driver;
pub(crate) mod support;
mod sync;
mod transfers;
