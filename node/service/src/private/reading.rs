//! What tenants read of a group's state: calls, code, slots, logs. Nothing here changes
//! anything.

use crate::private::{
    exec::{self, StateAt},
    registry::GroupRecord,
    shared::Shared,
    tenants::{fault, shown_from},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use medina_execution::{
    CallEnvironment, CallStatus, ExecutionError,
    private::{GroupStore, PlacedReceipt, PrivateCallRequest, PrivateError as GroupError},
};
use medina_rpc::privacy::{
    AccountDump, PrivateCall, PrivateError, PrivateLog, PrivateLogQuery, PrivateResult, Tenant,
};
use medina_storage::StateReader as _;
use medina_types::Height;

/// Receipts of one look at a range of blocks.
const RECEIPTS_PER_LOOK: usize = 1_024;

pub(crate) fn of_group(error: GroupError) -> PrivateError {
    match error {
        GroupError::NotReached { .. } | GroupError::NotKept { .. } => {
            PrivateError::UnknownBlock(error.to_string())
        }
        GroupError::TooManyOpen { .. } => PrivateError::Unavailable(error.to_string()),
        GroupError::Execution(ExecutionError::Refused(refused)) => {
            PrivateError::Refused(refused.to_string())
        }
        GroupError::Execution(ExecutionError::Reverted { data, .. }) => {
            PrivateError::Reverted(data)
        }
        GroupError::Execution(ExecutionError::Halted { reason }) => PrivateError::Halted(reason),
        GroupError::Execution(error @ ExecutionError::GasAllowanceExceeded { .. }) => {
            PrivateError::Halted(error.to_string())
        }
        error => fault(error),
    }
}

/// Reads a group's state after a public block, the newest that was followed if none
/// is named; `None` where the group has no state yet, or had none that the tenant may
/// see.
pub(crate) fn with_state<T>(
    shared: &Shared,
    tenant: &Tenant,
    group: B256,
    at: Option<Height>,
    read: impl FnOnce(&GroupStore, StateAt) -> Result<T, GroupError>,
) -> PrivateResult<Option<T>> {
    let Some(store) = exec::store(shared, group).map_err(of_group)? else {
        return Ok(None);
    };
    let at = exec::state_at(shared, &store, at).map_err(of_group)?;
    let Some(at) = at else {
        return Ok(None);
    };
    if at.public.0 < shown_from(shared, tenant, group)? {
        return Ok(None);
    }
    read(&store, at).map(Some).map_err(of_group)
}

fn environment_at(shared: &Shared, at: Height) -> Result<CallEnvironment, GroupError> {
    let header = shared.chain.store.header_by_number(at)?;
    let header = header.ok_or_else(|| exec::not_reached(shared, at.0))?;
    Ok(shared.chain.executor.environment_of(&header))
}

fn request_of(call: &PrivateCall, gas_max: u64) -> PrivateCallRequest {
    PrivateCallRequest {
        from: call.from,
        to: call.to,
        gas: Some(call.gas.unwrap_or(gas_max).min(gas_max)),
        input: call.input.clone(),
    }
}

/// Runs a call on a group's state.
pub(crate) fn call(
    shared: &Shared,
    tenant: &Tenant,
    group: &GroupRecord,
    call: &PrivateCall,
    at: Option<Height>,
    gas_max: u64,
) -> PrivateResult<Bytes> {
    let executor = shared.executor_of(group);
    let outcome = with_state(shared, tenant, group.id, at, |store, at| {
        let state = store.state_at(at.private)?;
        let public = shared.chain.store.state_at(at.public)?;
        let environment = environment_at(shared, at.public)?;
        executor.call(&state, &public, environment, &request_of(call, gas_max))
    })?;
    let Some(outcome) = outcome else {
        return Ok(Bytes::new());
    };
    match outcome.status {
        CallStatus::Success => Ok(outcome.output),
        CallStatus::Revert => Err(PrivateError::Reverted(outcome.output)),
        CallStatus::Halt { reason, .. } => Err(PrivateError::Halted(reason)),
    }
}

/// Gas with which a call would succeed.
pub(crate) fn estimate_gas(
    shared: &Shared,
    tenant: &Tenant,
    group: &GroupRecord,
    call: &PrivateCall,
    at: Option<Height>,
    gas_max: u64,
) -> PrivateResult<u64> {
    let executor = shared.executor_of(group);
    let gas = with_state(shared, tenant, group.id, at, |store, at| {
        let state = store.state_at(at.private)?;
        let public = shared.chain.store.state_at(at.public)?;
        let environment = environment_at(shared, at.public)?;
        executor.estimate_gas(&state, &public, environment, &request_of(call, gas_max))
    })?;
    gas.ok_or_else(|| {
        PrivateError::Unavailable("the group has no state on this node yet; try again".to_owned())
    })
}

/// Logs of a range of public blocks.
pub(crate) fn logs(
    shared: &Shared,
    tenant: &Tenant,
    group: B256,
    query: &PrivateLogQuery,
) -> PrivateResult<Vec<PrivateLog>> {
    let Some(store) = exec::store(shared, group).map_err(of_group)? else {
        return Ok(Vec::new());
    };
    let (from, to) = (*query.blocks.start(), Height(*query.blocks.end()));
    let mut from = Height(from.max(shown_from(shared, tenant, group)?));
    let mut logs = Vec::new();
    loop {
        let (receipts, next) = store
            .receipts_between(from..=to, RECEIPTS_PER_LOOK)
            .map_err(of_group)?;
        for placed in receipts {
            add_logs(shared, query, &placed, &mut logs)?;
        }
        match next {
            Some(next) if next > from => from = next,
            _ => return Ok(logs),
        }
    }
}

fn add_logs(
    shared: &Shared,
    query: &PrivateLogQuery,
    placed: &PlacedReceipt,
    logs: &mut Vec<PrivateLog>,
) -> PrivateResult<()> {
    let header = shared
        .chain
        .store
        .header_by_number(placed.block)
        .map_err(fault)?;
    for (index, log) in (placed.first_log_index..).zip(&placed.receipt.logs) {
        if !query.filter.matches(log) {
            continue;
        }
        if logs.len() >= query.max {
            let max = query.max;
            return Err(PrivateError::Limit(format!(
                "query returned more than {max} results"
            )));
        }
        logs.push(PrivateLog {
            log: log.clone(),
            digest: placed.receipt.digest,
            marker: placed.receipt.marker,
            block_hash: placed.block_hash,
            block_number: placed.block.0,
            block_timestamp: header.as_ref().map_or(0, |header| header.timestamp),
            transaction_index: placed.receipt.index,
            log_index: index,
        });
    }
    Ok(())
}

/// A private account with its storage.
pub(crate) fn dump(
    store: &GroupStore,
    at: Height,
    address: Address,
    slots_max: usize,
) -> Result<AccountDump, GroupError> {
    let proof = store.proof_at(at, address, &[])?;
    let account = store.state_at(at)?.account(address)?.unwrap_or_default();
    let slots = store.slots_at(at, address, U256::ZERO, slots_max)?;
    Ok(AccountDump {
        nonce: account.nonce,
        balance: account.balance,
        storage_root: proof.storage_hash,
        code_hash: account.code_hash,
        code: store.code_at(at, address)?,
        storage: slots
            .into_iter()
            .map(|(slot, value)| (B256::from(slot), value))
            .collect(),
    })
}
