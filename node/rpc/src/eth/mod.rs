//! The `eth` namespace, one file per subject.

pub(crate) mod blocks;
pub(crate) mod call;
mod chain;
mod fees;
pub(crate) mod fill;
mod filters;
mod fork_config;
pub(crate) mod logs;
mod receipts_of_ethereum;
mod simulate;
pub(crate) mod state;
mod subscriptions;
pub(crate) mod transactions;

use jsonrpsee::server::RegisterMethodError;

use crate::registry::Registry;

/// Registers every `eth_` method.
pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    blocks::register(registry)?;
    call::register(registry)?;
    chain::register(registry)?;
    fees::register(registry)?;
    fill::register(registry)?;
    filters::register(registry)?;
    fork_config::register(registry)?;
    logs::register(registry)?;
    simulate::register(registry)?;
    state::register(registry)?;
    subscriptions::register(registry)?;
    transactions::register(registry)
}
