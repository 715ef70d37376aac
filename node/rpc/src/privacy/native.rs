//! The `priv` namespace: one group, one digest at a time, always for one party.

use alloy_primitives::{Address, B256, Bytes, U64};
use jsonrpsee::server::RegisterMethodError;
use medina_types::{MARKER_ADDRESS, SignedPrivateTransaction, limits};
use serde_json::{Value, json};
use std::time::Duration;

use super::{
    AuditEntry, DeliveryStatus, Erasure, PrivateLogQuery, PrivateParty, Sent,
    asking::{Asking, method, sending},
    shapes,
};
use crate::{
    arguments::Arguments,
    convert,
    errors::{self, Answer, fault, invalid_params, limit_exceeded},
    log_filter::LogFilter,
    registry::Registry,
    storage_key::StorageKey,
    workers::Lane,
};

/// Entries of one `priv_getAudit`.
const AUDIT_ENTRIES_MAX: usize = 1_000;
/// Characters of the reason of an erasure.
const REASON_CHARACTERS_MAX: usize = 500;
/// How long `priv_distributeTransaction` waits for the recipients.
const DISTRIBUTION_WAIT: Duration = Duration::from_secs(60);

/// Registers every `priv_` method.
pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    sending(registry, "priv_sendTransaction", send)?;
    sending(registry, "priv_distributeTransaction", distribute)?;
    sending(registry, "priv_erase", erase)?;
    method(registry, "priv_call", Lane::Compute, call)?;
    method(registry, "priv_estimateGas", Lane::Compute, estimate_gas)?;
    let read = Lane::Private;
    method(registry, "priv_getTransactionReceipt", read, receipt)?;
    method(registry, "priv_getTransactionByDigest", read, transaction)?;
    method(registry, "priv_getTransactionCount", read, count)?;
    method(registry, "priv_getCode", read, code)?;
    method(registry, "priv_getStorageAt", read, storage_at)?;
    method(registry, "priv_getProof", read, proof)?;
    method(registry, "priv_getLogs", read, logs)?;
    method(registry, "priv_getDeliveryStatus", read, delivery)?;
    method(registry, "priv_getGroupStatus", read, group_status)?;
    method(registry, "priv_getGroups", read, groups)?;
    method(registry, "priv_getMembers", read, members)?;
    method(registry, "priv_getParty", read, party)?;
    method(registry, "priv_getErasure", read, erasure)?;
    method(registry, "priv_getAudit", read, audit)
}

/// Checks a signed transaction against the group, the bounds and the caller's scope.
fn checked(asking: &Asking, given: Value) -> Answer<SignedPrivateTransaction> {
    let signed = shapes::read_transaction(given)?;
    let inner = signed.transaction();
    asking.check_payload(inner.data.len())?;
    asking.check_gas(inner.gas)?;
    let group = asking.group(inner.group)?;
    if group.mode != inner.mode {
        return Err(errors::server(format!(
            "the transaction is signed for mode {}, the group's is {}",
            inner.mode.number(),
            group.mode.number()
        )));
    }
    let chain_id = asking.context.spec().chain_id;
    let sender = signed.recover(chain_id);
    let sender = sender.map_err(|error| invalid_params(error.to_string()))?;
    asking.check_sender(sender)?;
    Ok(signed)
}

/// [`checked`] reads the registry, so it runs on a thread of the lane.
async fn checked_in_lane(
    asking: Asking,
    mut arguments: Arguments,
) -> Answer<(Asking, SignedPrivateTransaction)> {
    let given: Value = arguments.required()?;
    let workers = asking.context.workers.clone();
    let check = move || {
        let signed = checked(&asking, given)?;
        Ok((asking, signed))
    };
    workers.run(Lane::Private, check).await
}

async fn send(asking: Asking, arguments: Arguments) -> Answer<Sent> {
    let (asking, signed) = checked_in_lane(asking, arguments).await?;
    let sent = asking.node.send(&asking.tenant, signed).await;
    sent.map_err(errors::private)
}

async fn distribute(asking: Asking, arguments: Arguments) -> Answer<Value> {
    let (asking, signed) = checked_in_lane(asking, arguments).await?;
    let distributing = asking.node.distribute(&asking.tenant, signed);
    let distributed = tokio::select! {
        answer = tokio::time::timeout(DISTRIBUTION_WAIT, distributing) => answer,
        () = asking.context.stopped() => return Err(errors::stopping()),
    };
    let text = "the recipients have not acknowledged yet; the delivery goes on, ask again";
    let distributed = distributed.map_err(|_| errors::unavailable(text))?;
    let distributed = distributed.map_err(errors::private)?;
    Ok(json!({
        "digest": distributed.digest,
        "tag": distributed.tag,
        "to": MARKER_ADDRESS,
        "input": shapes::marker_input(distributed.digest, distributed.tag),
    }))
}

fn call(asking: &Asking, arguments: &mut Arguments) -> Answer<Bytes> {
    let group = asking.required_group(arguments)?;
    let call = shapes::read_call(arguments.required()?)?;
    asking.check_payload(call.input.len())?;
    let at = asking.optional_height(arguments)?;
    let output = asking.node.call(&asking.tenant, group.id, &call, at);
    output.map_err(errors::private)
}

fn estimate_gas(asking: &Asking, arguments: &mut Arguments) -> Answer<U64> {
    let group = asking.required_group(arguments)?;
    let call = shapes::read_call(arguments.required()?)?;
    asking.check_payload(call.input.len())?;
    let at = asking.optional_height(arguments)?;
    let gas = asking
        .node
        .estimate_gas(&asking.tenant, group.id, &call, at);
    gas.map(U64::from).map_err(errors::private)
}

fn receipt(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let looked = asking.node.receipt(&asking.tenant, arguments.required()?);
    let found = asking.found(looked, |receipt| receipt.group)?;
    Ok(found.as_ref().map(shapes::receipt))
}

fn transaction(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let digest = arguments.required()?;
    let looked = asking.node.transaction(&asking.tenant, digest);
    let found = asking.found(looked, |view| view.transaction.transaction().group)?;
    found.as_ref().map(shapes::transaction).transpose()
}

/// Group and account, in whichever order: Besu's clients say the account first.
fn count(asking: &Asking, arguments: &mut Arguments) -> Answer<U64> {
    let (first, second): (Value, Value) = (arguments.required()?, arguments.required()?);
    let is_address = |value: &Value| serde_json::from_value::<Address>(value.clone()).ok();
    let (group, address) = match (is_address(&first), is_address(&second)) {
        (Some(address), None) => (second, address),
        (None, Some(address)) => (first, address),
        _ => return Err(invalid_params("give a group and an address")),
    };
    let group: B256 = serde_json::from_value(group)
        .map_err(|error| invalid_params(format!("no group: {error}")))?;
    let group = asking.group(group)?;
    let at = asking.optional_height(arguments)?;
    let node = &asking.node;
    let count = node.transaction_count(&asking.tenant, group.id, address, at);
    count.map(U64::from).map_err(errors::private)
}

fn code(asking: &Asking, arguments: &mut Arguments) -> Answer<Bytes> {
    let group = asking.required_group(arguments)?;
    let address = arguments.required()?;
    let at = asking.optional_height(arguments)?;
    let code = asking.node.code(&asking.tenant, group.id, address, at);
    code.map_err(errors::private)
}

fn storage_at(asking: &Asking, arguments: &mut Arguments) -> Answer<B256> {
    let group = asking.required_group(arguments)?;
    let address = arguments.required()?;
    let key: StorageKey = arguments.required()?;
    let at = asking.optional_height(arguments)?;
    let node = &asking.node;
    let value = node.storage(&asking.tenant, group.id, address, key.slot(), at);
    value.map_err(errors::private)
}

fn proof(asking: &Asking, arguments: &mut Arguments) -> Answer<Value> {
    let group = asking.required_group(arguments)?;
    let address = arguments.required()?;
    let keys: Vec<StorageKey> = arguments.optional()?.unwrap_or_default();
    if keys.len() > limits::RPC_PROOF_SLOTS_MAX {
        let max = limits::RPC_PROOF_SLOTS_MAX;
        return Err(limit_exceeded(format!("too many keys (max {max})")));
    }
    let at = asking.optional_height(arguments)?;
    let slots: Vec<B256> = keys.iter().map(StorageKey::slot).collect();
    let node = &asking.node;
    let proof = node.proof(&asking.tenant, group.id, address, &slots, at);
    let (height, root, proof) = proof.map_err(errors::private)?;
    let shown: Vec<_> = keys.iter().map(StorageKey::shown).collect();
    let mut answer = serde_json::to_value(convert::proof(&shown, proof)).map_err(fault)?;
    answer["blockNumber"] = json!(U64::from(height.0));
    answer["privateStateRoot"] = json!(root);
    Ok(answer)
}

fn logs(asking: &Asking, arguments: &mut Arguments) -> Answer<Vec<Value>> {
    let group = asking.required_group(arguments)?;
    let filter = LogFilter::read(arguments.optional()?)?;
    let Some(blocks) = asking.context.blocks_of(&filter)? else {
        return Ok(Vec::new());
    };
    let query = PrivateLogQuery {
        blocks,
        filter: filter.wanted().clone(),
        max: asking.context.config.logs_max,
    };
    let logs = asking.node.logs(&asking.tenant, group.id, &query);
    let logs = logs.map_err(errors::private)?;
    Ok(logs.iter().map(shapes::log_of_group).collect())
}

fn delivery(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<DeliveryStatus>> {
    let status = asking.node.delivery(&asking.tenant, arguments.required()?);
    let status = status.map_err(errors::private)?;
    Ok(status.filter(|status| asking.group(status.group).is_ok()))
}

fn group_status(asking: &Asking, arguments: &mut Arguments) -> Answer<Value> {
    let group = asking.required_group(arguments)?;
    let status = asking.node.group_status(&asking.tenant, group.id);
    Ok(shapes::status(&status.map_err(errors::private)?))
}

fn groups(asking: &Asking, _: &mut Arguments) -> Answer<Vec<Value>> {
    let groups = asking
        .node
        .groups(&asking.tenant)
        .map_err(errors::private)?;
    let org = asking.tenant.org;
    let own = groups
        .iter()
        .filter(|group| group.members.iter().any(|one| one.org == org));
    Ok(own.map(shapes::group).collect())
}

fn members(asking: &Asking, arguments: &mut Arguments) -> Answer<Vec<PrivateParty>> {
    Ok(asking.required_group(arguments)?.members)
}

fn party(asking: &Asking, _: &mut Arguments) -> Answer<Value> {
    let bounds = asking.node.limits();
    Ok(json!({
        "party": asking.party,
        "chainId": U64::from(asking.context.spec().chain_id),
        "markerAddress": MARKER_ADDRESS,
        "quorumCompat": asking.node.is_compat(),
        "limits": {
            "payloadBytes": U64::from(bounds.payload_bytes),
            "gas": U64::from(bounds.gas),
        },
    }))
}

async fn erase(asking: Asking, mut arguments: Arguments) -> Answer<Erasure> {
    let digest: B256 = arguments.required()?;
    let reason: String = arguments.required()?;
    if reason.trim().is_empty() || reason.chars().count() > REASON_CHARACTERS_MAX {
        let max = REASON_CHARACTERS_MAX;
        let text = format!("say why it is erased, in up to {max} characters");
        return Err(invalid_params(text));
    }
    asking.check_writer()?;
    let erasing = asking.node.erase(&asking.tenant, digest, reason);
    erasing.await.map_err(errors::private)
}

fn erasure(asking: &Asking, arguments: &mut Arguments) -> Answer<Option<Erasure>> {
    let erasure = asking.node.erasure(&asking.tenant, arguments.required()?);
    let erasure = erasure.map_err(errors::private)?;
    Ok(erasure.filter(|erasure| asking.group(erasure.group).is_ok()))
}

fn audit(asking: &Asking, arguments: &mut Arguments) -> Answer<Vec<AuditEntry>> {
    let from: U64 = arguments.optional()?.unwrap_or_default();
    let max: Option<U64> = arguments.optional()?;
    let max = max.map_or(AUDIT_ENTRIES_MAX, |max| {
        usize::try_from(max.to::<u64>()).unwrap_or(usize::MAX)
    });
    let max = max.min(AUDIT_ENTRIES_MAX);
    let entries = asking.node.audit(&asking.tenant, from.to(), max);
    entries.map_err(errors::private)
}
