//! Holds and orders waiting transactions.
//!
//! Told the time and shown accounts through [`AccountView`], the pool reads no
//! clock, no disk and no network. Each sender has one queue by nonce:
//!
//! ```text
//!   state nonce ──► n, n+1, n+2 │ (gap) n+4, n+5
//!                   executable  │ queued
//! ```
//!
//! Executable transactions follow the account's nonce without a gap and are paid
//! for together by its balance. [`Pool::best`] offers the first of each sender,
//! the highest tip first, then the earliest. Errors have geth's words, since
//! wallets look for them.
//!
//! Where gas is free, [`GasCredit`] bounds what strangers may use: a rule of
//! this pool and of the proposer that asks it, never of validity.

mod best;
mod config;
mod error;
mod gas_credit;
mod index;
mod intrinsic;
mod pool;
mod sender;
mod validate;

#[cfg(test)]
mod tests;

pub use best::BestTransactions;
pub use config::{AccountView, Admission, OrganisationOf, Origin, PoolConfig};
pub use error::PoolError;
pub use gas_credit::{GasCredit, Payer};
pub use intrinsic::{floor_gas, intrinsic_gas};
pub use pool::{
    AddOutcome, BlockOutcome, BlockUpdate, IncludedTransaction, Pool, PoolContent, PoolStatus,
};
