//! Public methods that answer members from their private state, too.
//!
//! A call, an estimate, a code or a slot is the private contract's where the
//! caller's party has one at the address; logs are both, in order; the receipt of a
//! marked transaction is the private one, and is not there until it is. For
//! everybody else, and for all other addresses, nothing changes.

use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_rpc_types_eth::{Log, TransactionRequest};
use jsonrpsee::{
    server::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use medina_types::MARKER_ADDRESS;
use serde::Serialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use std::sync::Arc;

use super::reads::group_of;
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, limit_exceeded, unsupported},
    eth::{call, state, transactions},
    log_filter::LogFilter,
    privacy::{Lookup, PrivateLogQuery, PrivateReceipt, asking::Asking, shapes},
    registry::{Method, Registry},
    storage_key::StorageKey,
    workers::Lane,
};

/// Answers from the tenant's private state; `None` where it has nothing there.
type PrivatePart = fn(&Asking, &mut Arguments) -> Answer<Option<Value>>;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    let compute = Lane::Compute;
    merge(registry, "eth_call", compute, private_call, call::call)?;
    merge(
        registry,
        "eth_estimateGas",
        compute,
        private_estimate,
        call::estimate_gas,
    )?;
    merge(
        registry,
        "eth_getCode",
        Lane::Read,
        private_code,
        state::code,
    )?;
    merge(
        registry,
        "eth_getStorageAt",
        Lane::Read,
        private_slot,
        state::storage_at,
    )?;
    merge(
        registry,
        "eth_getLogs",
        Lane::Scan,
        all_logs,
        crate::eth::logs::get_logs,
    )?;
    let name = "eth_getTransactionReceipt";
    registry.module.remove_method(name);
    registry.module.register_async_method(
        name,
        move |params: Params<'static>, context: Arc<Context>, extensions| async move {
            let public = transactions::receipt(context.clone(), params).await?;
            let Some(public) = public else {
                return Ok::<_, ErrorObjectOwned>(None);
            };
            let workers = context.workers.clone();
            let hash = public.transaction_hash;
            let shown = serde_json::to_value(&public).map_err(fault)?;
            let who = move || Asking::of_anybody(&context, &extensions, name);
            let Some(asking) = workers.run(Lane::Read, who).await? else {
                return Ok(Some(shown));
            };
            // Only who has a private part waits for the enclave.
            let merge = move || merged_receipt(&asking, hash, shown);
            workers.run(Lane::Private, merge).await
        },
    )?;
    Ok(())
}

/// Puts a private part before a public method.
fn merge<T: Serialize + 'static>(
    registry: &mut Registry,
    name: &'static str,
    lane: Lane,
    private: PrivatePart,
    public: Method<T>,
) -> Result<(), RegisterMethodError> {
    registry.module.remove_method(name);
    registry.module.register_async_method(
        name,
        move |params: Params<'static>, context: Arc<Context>, extensions| async move {
            let workers = context.workers.clone();
            let work = move || {
                if let Some(asking) = Asking::of_anybody(&context, &extensions, name)?
                    && let Some(answer) = private(&asking, &mut Arguments::of(&params)?)?
                {
                    return to_raw_value(&answer).map_err(fault);
                }
                let answer = public(&context, &mut Arguments::of(&params)?)?;
                to_raw_value(&answer).map_err(fault)
            };
            let answer: Box<RawValue> = workers.run(lane, work).await?;
            Ok::<_, ErrorObjectOwned>(answer)
        },
    )?;
    Ok(())
}

/// The group and the call where it goes to a private contract.
fn private_target(asking: &Asking, request: &TransactionRequest) -> Answer<Option<B256>> {
    match request.to.and_then(|kind| kind.to().copied()) {
        Some(address) => group_of(asking, address),
        None => Ok(None),
    }
}

fn no_overrides(arguments: &mut Arguments) -> Answer<()> {
    let (state, block): (Option<Value>, Option<Value>) =
        (arguments.optional()?, arguments.optional()?);
    if state.is_some() || block.is_some() {
        return Err(unsupported("calls on private state take no overrides"));
    }
    Ok(())
}

fn private_call(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let request: TransactionRequest = arguments.required()?;
    let Some(group) = private_target(asking, &request)? else {
        return Ok(None);
    };
    let at = asking.optional_height(arguments)?;
    no_overrides(arguments)?;
    let call = shapes::read_call(request)?;
    let output = asking.node.call(&asking.tenant, group, &call, at);
    output
        .map(|output| Some(json!(output)))
        .map_err(errors::private)
}

fn private_estimate(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let request: TransactionRequest = arguments.required()?;
    let Some(group) = private_target(asking, &request)? else {
        return Ok(None);
    };
    let at = asking.optional_height(arguments)?;
    no_overrides(arguments)?;
    let call = shapes::read_call(request)?;
    let gas = asking.node.estimate_gas(&asking.tenant, group, &call, at);
    gas.map(|gas| Some(json!(U64::from(gas))))
        .map_err(errors::private)
}

fn private_code(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let address: Address = arguments.required()?;
    let Some(group) = group_of(asking, address)? else {
        return Ok(None);
    };
    let at = asking.optional_height(arguments)?;
    let code = asking.node.code(&asking.tenant, group, address, at);
    let code: Bytes = code.map_err(errors::private)?;
    Ok(Some(json!(code)))
}

fn private_slot(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let address: Address = arguments.required()?;
    let key: StorageKey = arguments.required()?;
    let Some(group) = group_of(asking, address)? else {
        return Ok(None);
    };
    let at = asking.optional_height(arguments)?;
    let node = &asking.node;
    let value = node.storage(&asking.tenant, group, address, key.slot(), at);
    value
        .map(|value| Some(json!(value)))
        .map_err(errors::private)
}

/// Block, transaction, log: the order of an answer.
type Place = (u64, u64, u64);

fn place_of(log: &Log) -> Place {
    let [block, transaction, index] =
        [log.block_number, log.transaction_index, log.log_index].map(Option::unwrap_or_default);
    (block, transaction, index)
}

/// Public logs and those of the tenant's groups.
fn all_logs(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let context = &asking.context;
    let filter = LogFilter::read(arguments.optional()?)?;
    let mut all: Vec<(Place, Value)> = Vec::new();
    for log in context.logs(&filter)? {
        all.push((place_of(&log), serde_json::to_value(&log).map_err(fault)?));
    }
    let Some(blocks) = context.blocks_of(&filter)? else {
        return Ok(Some(json!([])));
    };
    let max = context.config.logs_max;
    for group in asking
        .node
        .groups(&asking.tenant)
        .map_err(errors::private)?
    {
        let query = PrivateLogQuery {
            blocks: blocks.clone(),
            filter: filter.wanted().clone(),
            max: max.saturating_sub(all.len()),
        };
        let group = asking.group(group.id)?;
        let logs = asking.node.logs(&asking.tenant, group.id, &query);
        let logs = logs.map_err(errors::private)?;
        if logs.len() > query.max {
            return Err(limit_exceeded(format!("query exceeds max results {max}")));
        }
        all.extend(logs.iter().map(|log| {
            let place = (log.block_number, log.transaction_index, log.log_index);
            (place, shapes::log(log))
        }));
    }
    all.sort_by_key(|(place, _)| *place);
    let logs: Vec<Value> = all.into_iter().map(|(_, log)| log).collect();
    Ok(Some(json!(logs)))
}

/// The receipt of a public transaction as a member sees it: `null` until its private
/// side has been followed to.
fn merged_receipt(asking: &Asking, hash: B256, mut public: Value) -> Answer<Option<Value>> {
    let is_marker = public["to"] == json!(MARKER_ADDRESS);
    public["isPrivacyMarkerTransaction"] = json!(false);
    let looked = asking.node.receipt_of_public(&asking.tenant, hash);
    Ok(match looked.map_err(errors::private)? {
        Lookup::Unknown | Lookup::Erased(_) => Some(public),
        Lookup::Waiting => None,
        Lookup::Found(private) if asking.group(private.group).is_err() => Some(public),
        Lookup::Found(_) if is_marker => {
            public["isPrivacyMarkerTransaction"] = json!(true);
            Some(public)
        }
        Lookup::Found(private) => Some(receipt(public, &private)),
    })
}

/// A public receipt with what the private side did in its place.
pub(super) fn receipt(mut public: Value, private: &PrivateReceipt) -> Value {
    public["from"] = json!(private.from);
    public["to"] = json!(private.to);
    public["contractAddress"] = json!(private.contract_address);
    public["status"] = json!(shapes::status_of(private));
    public["gasUsed"] = json!(U64::from(private.gas_used));
    public["logs"] = json!(shapes::logs_of(private));
    public["logsBloom"] = json!(shapes::bloom(&private.logs));
    public["isPrivacyMarkerTransaction"] = json!(false);
    if !private.success && !private.output.is_empty() {
        // The returned bytes, as GoQuorum has it.
        public["revertReason"] = json!(private.output);
    }
    public
}
