//! What a development network lets its users do to it.

use alloy_primitives::{Address, B256, Signature};
use medina_execution::StateEdit;
use medina_types::Height;

/// Why a control did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevError {
    /// What was asked for makes no sense; the text says why.
    #[error("{0}")]
    Refused(String),
    /// This network cannot do it; the text says which can.
    #[error("{0}")]
    Unsupported(String),
    /// The nodes did not all follow in time.
    #[error("the network did not {0} in time; its log says why")]
    TooLate(&'static str),
}

/// The controls of a development network, which work on all of its nodes at once.
/// Only `medina dev` makes them: a node without serves none of the methods.
#[async_trait::async_trait]
pub trait DevControls: Send + Sync + 'static {
    /// Accounts whose keys everybody knows and this network signs with.
    fn accounts(&self) -> Vec<Address>;

    /// Signs for one of the accounts; `None` for others.
    fn sign(&self, account: Address, hash: B256) -> Option<Signature>;

    /// What stands in the place of a signature of an impersonated account; `None`
    /// if nobody asked to impersonate it.
    fn impersonation_of(&self, account: Address) -> Option<Signature>;

    /// Begins or ends to impersonate an account.
    fn impersonate(&self, account: Address, is_impersonated: bool);

    /// Begins or ends to impersonate whoever is named as a sender.
    fn impersonate_all(&self, is_on: bool);

    /// Whether a transaction makes a block at once.
    fn automine(&self) -> bool;

    /// Says whether transactions make blocks at once.
    fn set_automine(&self, is_on: bool);

    /// Makes a block every so many milliseconds from now on, whether there are
    /// transactions or not; 0 for never.
    fn set_interval_mining(&self, period_ms: u64);

    /// Makes a block now, of this time if one is given, with what waits in the pool.
    async fn mine(&self, time_s: Option<u64>) -> Result<Height, DevError>;

    /// The network's clock, seconds since 1970.
    fn clock_s(&self) -> u64;

    /// Winds the clock on; answers by how much it is ahead in all.
    fn advance_clock(&self, seconds: u64) -> i64;

    /// Sets the clock; answers by how much it is ahead in all.
    fn set_clock(&self, to_s: u64) -> Result<i64, DevError>;

    /// Sets the time of the next block.
    fn set_next_time(&self, time_s: u64) -> Result<(), DevError>;

    /// Changes the state with a block of its own.
    async fn edit(&self, edits: Vec<StateEdit>) -> Result<(), DevError>;

    /// Takes a waiting transaction out of every pool; false if none had it.
    fn drop_transaction(&self, hash: B256) -> bool;

    /// Empties every pool.
    fn drop_all_transactions(&self);

    /// Remembers the chain as it is; answers the number to go back to.
    async fn snapshot(&self) -> Result<u64, DevError>;

    /// Goes back to a snapshot, which is used up with all that came after it;
    /// false if there is none of this number.
    async fn revert(&self, snapshot: u64) -> Result<bool, DevError>;

    /// Goes back to genesis.
    async fn reset(&self) -> Result<(), DevError>;
}
