//! What tenants read: states, receipts, logs, payloads, deliveries. Nothing here
//! changes anything, apart from the audit log's entry for a payload that is read.

use crate::private::{
    exec,
    node::{caller, fault, groups_of, member, of_enclave},
    outbox::{Delivery, MarkerStage},
    registry::GroupRecord,
    shared::Shared,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use medina_enclave::{Digest, PayloadStatus};
use medina_execution::{
    CallEnvironment, CallStatus, ExecutionError,
    private::{
        GroupStore, PlacedReceipt, PrivateCallRequest, PrivateError as GroupError, PrivateStatus,
    },
};
use medina_rpc::privacy::{
    AccountDump, AuditEntry, DeliveryStatus, Lookup, Payload, PrivateCall, PrivateError,
    PrivateLog, PrivateLogQuery, PrivateOutcome, PrivateReceipt, PrivateResult,
    PrivateTransactionView, RecipientDelivery, Tenant, Tombstone,
};
use medina_storage::StateReader as _;
use medina_types::{Height, PrivacyMode, SignedPrivateTransaction};

/// Times that a transaction may have been sealed anew.
const SEALED_MAX: usize = 1_024;
/// Receipts of one look at a range of blocks.
const RECEIPTS_PER_LOOK: usize = 1_024;

fn of_group(error: GroupError) -> PrivateError {
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
/// is named; `None` where the group has no state yet.
pub(crate) fn with_state<T>(
    shared: &Shared,
    group: B256,
    at: Option<Height>,
    read: impl FnOnce(&GroupStore, Height) -> Result<T, GroupError>,
) -> PrivateResult<Option<T>> {
    let Some(store) = exec::store(shared, group).map_err(of_group)? else {
        return Ok(None);
    };
    let at = match at {
        Some(at) => at,
        None => match store.followed().map_err(of_group)? {
            Some(at) => at,
            None => return Ok(None),
        },
    };
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
    group: &GroupRecord,
    call: &PrivateCall,
    at: Option<Height>,
    gas_max: u64,
) -> PrivateResult<Bytes> {
    let executor = shared.executor_of(group);
    let outcome = with_state(shared, group.id, at, |store, at| {
        let state = store.state_at(at)?;
        let public = shared.chain.store.state_at(at)?;
        let environment = environment_at(shared, at)?;
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
    group: &GroupRecord,
    call: &PrivateCall,
    at: Option<Height>,
    gas_max: u64,
) -> PrivateResult<u64> {
    let executor = shared.executor_of(group);
    let gas = with_state(shared, group.id, at, |store, at| {
        let state = store.state_at(at)?;
        let public = shared.chain.store.state_at(at)?;
        let environment = environment_at(shared, at)?;
        executor.estimate_gas(&state, &public, environment, &request_of(call, gas_max))
    })?;
    gas.ok_or_else(|| {
        PrivateError::Unavailable("the group has no state on this node yet; try again".to_owned())
    })
}

/// The envelope that a transaction was sealed into last.
fn newest(shared: &Shared, digest: B256) -> PrivateResult<B256> {
    let mut digest = digest;
    for _ in 0..SEALED_MAX {
        let delivery = shared.rows.delivery(digest).map_err(fault)?;
        match delivery.and_then(|delivery| delivery.replaced_by) {
            Some(next) => digest = next.into(),
            None => break,
        }
    }
    Ok(digest)
}

/// The group of the tenant that a digest belongs to.
pub(crate) fn group_of(
    shared: &Shared,
    tenant: &Tenant,
    digest: B256,
) -> PrivateResult<Option<B256>> {
    let groups = groups_of(shared, tenant);
    let is_tenants = |group: &B256| groups.iter().any(|one| one.id == *group);
    if let Some(delivery) = shared.rows.delivery(digest).map_err(fault)? {
        return Ok(Some(B256::from(delivery.group)).filter(is_tenants));
    }
    let status = shared
        .enclave
        .status(&Digest(digest.0))
        .map_err(of_enclave)?;
    if let PayloadStatus::Held(held) = status {
        return Ok(Some(B256::from(held.metadata.group.0)).filter(is_tenants));
    }
    if let Some(erasure) = shared.rows.erasure(digest).map_err(fault)? {
        return Ok(Some(B256::from(erasure.group)).filter(is_tenants));
    }
    for group in &groups {
        let found = with_state(shared, group.id, None, |store, _| {
            store.receipt_of_digest(digest)
        })?;
        let is_on_chain = || {
            let erased = shared.registry.now(|view| view.erased_at(group.id, digest));
            erased.map(|height| height.is_some()).map_err(fault)
        };
        if found.flatten().is_some() || is_on_chain()? {
            return Ok(Some(group.id));
        }
    }
    Ok(None)
}

/// What is left of an erased payload, wherever that is known from.
fn tombstone(shared: &Shared, group: B256, digest: B256) -> PrivateResult<Option<Tombstone>> {
    let status = shared
        .enclave
        .status(&Digest(digest.0))
        .map_err(of_enclave)?;
    if let PayloadStatus::Erased(tombstone) = status {
        return Ok(Some(Tombstone {
            digest,
            reason: tombstone.reason,
            erased_at: tombstone.erased_at_s,
        }));
    }
    let erased_at = shared
        .registry
        .now(|view| view.erased_at(group, digest))
        .map_err(fault)?;
    let Some(height) = erased_at else {
        return Ok(None);
    };
    let header = shared
        .chain
        .store
        .header_by_number(Height(height))
        .map_err(fault)?;
    Ok(Some(Tombstone {
        digest,
        reason: format!("reported erased in block {height}"),
        erased_at: header.map_or(0, |header| header.timestamp),
    }))
}

fn receipt_view(group: B256, placed: PlacedReceipt) -> PrivateReceipt {
    let PlacedReceipt {
        receipt,
        block,
        block_hash,
        first_log_index,
    } = placed;
    let outcome = match receipt.status {
        PrivateStatus::Success | PrivateStatus::Reverted | PrivateStatus::Failed(_) => {
            PrivateOutcome::Executed
        }
        PrivateStatus::Invalid(_) => PrivateOutcome::Refused,
        PrivateStatus::Stale { .. } | PrivateStatus::Diverged { .. } => PrivateOutcome::Stale,
        PrivateStatus::Erased => PrivateOutcome::Erased,
        PrivateStatus::Skipped => PrivateOutcome::Skipped,
    };
    // The contract's own words come first where it gave some.
    let (success, reason) = (receipt.is_success(), receipt.reason());
    PrivateReceipt {
        digest: receipt.digest,
        group,
        marker: receipt.marker,
        block_hash,
        block_number: block.0,
        transaction_index: receipt.index,
        from: receipt.from.unwrap_or_default(),
        to: receipt.to,
        contract_address: receipt.created,
        outcome,
        success,
        gas_used: receipt.gas_used,
        logs: receipt.logs,
        first_log_index,
        output: receipt.output,
        reason,
    }
}

/// What an inner transaction did.
pub(crate) fn receipt(
    shared: &Shared,
    tenant: &Tenant,
    digest: B256,
) -> PrivateResult<Lookup<PrivateReceipt>> {
    let Some(group) = group_of(shared, tenant, digest)? else {
        return Ok(Lookup::Unknown);
    };
    let digest = newest(shared, digest)?;
    let placed = with_state(shared, group, None, |store, _| {
        store.receipt_of_digest(digest)
    })?;
    if let Some(tombstone) = tombstone(shared, group, digest)? {
        return Ok(Lookup::Erased(tombstone));
    }
    let placed = placed.flatten().filter(|placed| {
        // It is being sealed anew: there is more to come.
        let is_stale = placed.receipt.status.may_be_tried_again();
        !(is_stale && shared.outbox.lock().get(digest).is_some())
    });
    Ok(match placed {
        Some(placed) => Lookup::Found(receipt_view(group, placed)),
        None => Lookup::Waiting,
    })
}

/// What the private side of a public transaction did.
pub(crate) fn receipt_of_public(
    shared: &Shared,
    tenant: &Tenant,
    hash: B256,
) -> PrivateResult<Lookup<PrivateReceipt>> {
    for group in groups_of(shared, tenant) {
        let placed = with_state(shared, group.id, None, |store, _| {
            store.receipt_of_marker(hash)
        })?;
        if let Some(placed) = placed.flatten() {
            if let Some(tombstone) = tombstone(shared, group.id, placed.receipt.digest)? {
                return Ok(Lookup::Erased(tombstone));
            }
            return Ok(Lookup::Found(receipt_view(group.id, placed)));
        }
    }
    let Some((height, index)) = shared
        .chain
        .store
        .transaction_location(hash)
        .map_err(fault)?
    else {
        return Ok(Lookup::Unknown);
    };
    // On the chain, and perhaps not looked through yet.
    if height.0 > *shared.scanned.borrow() {
        return Ok(Lookup::Waiting);
    }
    let markers = shared
        .rows
        .markers(height.0, height.0, usize::MAX)
        .map_err(fault)?;
    let mut markers = markers.into_iter();
    let found = markers.find(|(placed, _)| u64::from(placed.index) == index);
    let Some((placed, row)) = found else {
        return Ok(Lookup::Unknown);
    };
    let group = shared
        .recognise(placed.digest, row.tag.into())
        .map_err(of_enclave)?;
    let is_tenants = group.is_some_and(|group| member(shared, tenant, group).is_ok());
    Ok(if is_tenants {
        Lookup::Waiting
    } else {
        Lookup::Unknown
    })
}

/// A held payload for a tenant that has part in it.
fn open(
    shared: &Shared,
    tenant: &Tenant,
    digest: B256,
) -> PrivateResult<Lookup<(B256, medina_enclave::HeldPayload, Bytes)>> {
    let Some(group) = group_of(shared, tenant, digest)? else {
        return Ok(Lookup::Unknown);
    };
    if let Some(tombstone) = tombstone(shared, group, digest)? {
        return Ok(Lookup::Erased(tombstone));
    }
    let held = match shared
        .enclave
        .status(&Digest(digest.0))
        .map_err(of_enclave)?
    {
        PayloadStatus::Held(held) => held,
        PayloadStatus::Erased(_) | PayloadStatus::Missing => return Ok(Lookup::Waiting),
    };
    let Some(party) = shared
        .party(tenant.org)
        .filter(|party| held.parties.contains(&party.id))
    else {
        return Ok(Lookup::Unknown);
    };
    let caller = caller(shared, tenant);
    let payload = shared
        .enclave
        .open(&caller, &Digest(digest.0), &party.id)
        .map_err(of_enclave)?;
    let payload = Bytes::copy_from_slice(&payload);
    Ok(Lookup::Found((group, held, payload)))
}

/// An inner transaction itself.
pub(crate) fn transaction(
    shared: &Shared,
    tenant: &Tenant,
    digest: B256,
) -> PrivateResult<Lookup<PrivateTransactionView>> {
    let digest = newest(shared, digest)?;
    let opened = match open(shared, tenant, digest)? {
        Lookup::Found((_, _, payload)) => payload,
        Lookup::Erased(tombstone) => return Ok(Lookup::Erased(tombstone)),
        Lookup::Waiting => return Ok(Lookup::Waiting),
        Lookup::Unknown => return Ok(Lookup::Unknown),
    };
    let Ok(transaction) = SignedPrivateTransaction::decode(&opened) else {
        return Ok(Lookup::Unknown);
    };
    let from = transaction
        .recover(shared.chain.spec.chain_id)
        .map_err(|error| PrivateError::Refused(error.to_string()))?;
    let placed = shared.rows.place_of_digest(digest).map_err(fault)?;
    let place = match placed {
        Some(placed) => {
            let hash = shared
                .chain
                .store
                .hash_of_number(Height(placed.height))
                .map_err(fault)?;
            hash.map(|hash| (hash, placed.height, u64::from(placed.index)))
        }
        None => None,
    };
    let sent_as = shared.rows.delivery(digest).map_err(fault)?;
    let sent_as = sent_as
        .and_then(|delivery| delivery.sent_as)
        .map(B256::from);
    Ok(Lookup::Found(PrivateTransactionView {
        digest,
        from,
        transaction,
        marker: placed.map(|placed| placed.transaction).or(sent_as),
        place,
    }))
}

/// The plaintext behind a digest.
pub(crate) fn payload(
    shared: &Shared,
    tenant: &Tenant,
    digest: B256,
) -> PrivateResult<Lookup<Payload>> {
    let opened = open(shared, tenant, digest)?;
    let known = shared.known();
    Ok(opened.map(|(group, held, payload)| {
        // The data alone where it is a transaction of Medina's own.
        let data = match SignedPrivateTransaction::decode(&payload) {
            Ok(signed) if held.metadata.handle.is_none() => signed.transaction().data.clone(),
            _ => payload,
        };
        let own = shared.party(tenant.org).map(|party| party.id);
        let parties = held.metadata.recipients.iter().filter_map(|id| {
            let org = known.org_of(id)?;
            let party = known.parties.get(&org)?;
            Some(medina_rpc::privacy::PrivateParty {
                name: shared
                    .party(org)
                    .map(|own| own.name.clone())
                    .unwrap_or_default(),
                org,
                identity_key: party.id.0.into(),
                encryption_key: None,
                epoch: party.epoch,
                node_key: party.node.0.into(),
            })
        });
        Payload {
            data,
            group: Some(group),
            mode: PrivacyMode::try_from(held.metadata.mode.number()).unwrap_or_default(),
            is_sender: own == Some(held.metadata.sender),
            parties: parties.collect(),
        }
    }))
}

/// Logs of a range of public blocks.
pub(crate) fn logs(
    shared: &Shared,
    group: B256,
    query: &PrivateLogQuery,
) -> PrivateResult<Vec<PrivateLog>> {
    let Some(store) = exec::store(shared, group).map_err(of_group)? else {
        return Ok(Vec::new());
    };
    let (mut from, to) = (Height(*query.blocks.start()), Height(*query.blocks.end()));
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

/// How far a delivery of the tenant has come.
pub(crate) fn delivery(
    shared: &Shared,
    tenant: &Tenant,
    digest: B256,
) -> PrivateResult<Option<DeliveryStatus>> {
    let named = digest;
    let digest = newest(shared, digest)?;
    let live = shared.outbox.lock().get(digest).cloned();
    let delivery = match live {
        Some(delivery) => Some(delivery),
        None => shared.rows.delivery(digest).map_err(fault)?,
    };
    let delivery = delivery.filter(|delivery| delivery.sender == tenant.org.0);
    Ok(delivery.map(|delivery| delivery_view(named, &delivery)))
}

fn delivery_view(digest: B256, delivery: &Delivery) -> DeliveryStatus {
    let recipients = delivery.recipients.iter();
    let recipients = recipients.map(|(org, recipient)| RecipientDelivery {
        org: B256::from(*org),
        is_mandatory: delivery.policy.mandatory.contains(org),
        acknowledged_at: recipient.acknowledged_at_s,
        attempts: recipient.attempts,
        last_error: recipient.last_error.clone(),
    });
    let (block_number, failure) = match &delivery.marker {
        MarkerStage::Included { height, .. } => (Some(*height), None),
        MarkerStage::Abandoned(reason) => (None, Some(reason.clone())),
        // Trouble with the pool passes, and is tried again: it is in the log.
        MarkerStage::Waiting | MarkerStage::Released | MarkerStage::Foreign => (None, None),
    };
    DeliveryStatus {
        digest,
        group: delivery.group.into(),
        is_policy_met: delivery.is_policy_met(),
        quorum: delivery.policy.quorum,
        recipients: recipients.collect(),
        marker: delivery.sent_as.map(B256::from),
        block_number,
        failure,
    }
}

/// Entries of the audit log that are the tenant's: asked by it, or about payloads
/// that its party can open.
pub(crate) fn audit(
    shared: &Shared,
    tenant: &Tenant,
    from: u64,
    max: usize,
) -> PrivateResult<Vec<AuditEntry>> {
    let Some(party) = shared.party(tenant.org) else {
        return Ok(Vec::new());
    };
    // An entry's hash is what the next one holds.
    let entries = shared
        .enclave
        .audit_entries(from, max.saturating_add(1))
        .map_err(of_enclave)?;
    let head = shared.enclave.audit_head().map_err(of_enclave)?;
    let hashes = entries.iter().skip(1).map(|entry| entry.previous);
    let hashes: Vec<_> = hashes.chain([head.hash]).collect();
    let scope = format!("psi://{}", tenant.psi);
    let mut shown = Vec::new();
    for (entry, hash) in entries.into_iter().zip(hashes).take(max) {
        let status = shared.enclave.status(&entry.digest).map_err(of_enclave)?;
        let group = match &status {
            PayloadStatus::Held(held) if held.parties.contains(&party.id) => {
                Some(B256::from(held.metadata.group.0))
            }
            _ => None,
        };
        if entry.scope != scope && group.is_none() {
            continue;
        }
        shown.push(AuditEntry {
            index: entry.seq,
            at: entry.at_s,
            action: format!("{:?}", entry.action).to_lowercase(),
            actor: entry.actor.clone(),
            group,
            digest: Some(entry.digest.0.into()),
            previous: entry.previous.into(),
            hash: hash.into(),
        });
    }
    Ok(shown)
}
