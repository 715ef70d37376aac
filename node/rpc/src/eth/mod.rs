//! The `eth` namespace, one file per subject.

pub(crate) mod blocks;
pub(crate) mod call;
mod chain;
mod fees;
mod filters;
mod logs;
mod state;
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
    filters::register(registry)?;
    logs::register(registry)?;
    state::register(registry)?;
    subscriptions::register(registry)?;
    transactions::register(registry)
}
