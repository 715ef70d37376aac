//! The store as its users meet it: whole chains on a real folder.

mod chain;
mod committing;
mod corruption;
mod crash;
mod history;
mod notes;
mod opening;
mod pruning;
mod rollback;
mod senders;
mod snapshot;
