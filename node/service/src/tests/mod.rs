//! Driver and sync against made-up engines and peers, on a real store.

mod driver;
pub(crate) mod support;
mod sync;
