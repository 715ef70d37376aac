//! What tenants are told of a transaction: its receipt, itself, its payload, each only
//! if it is one of their groups and, of several tenants, of their time in it.

use crate::private::{
    exec::{self, StepError},
    reading::of_group,
    shared::Shared,
    tenants::{caller, fault, groups_of, of_enclave, shown_from},
};
use alloy_primitives::{B256, Bytes};
use medina_enclave::{Digest, PayloadStatus};
use medina_execution::private::{PlacedReceipt, PrivateError as GroupError, PrivateStatus};
use medina_rpc::privacy::{
    Lookup, Payload, PrivateError, PrivateOutcome, PrivateReceipt, PrivateResult,
    PrivateTransactionView, Tenant, Tombstone,
};
use medina_types::{Height, PrivacyMode, SignedPrivateTransaction};

/// Times that a transaction may have been sealed anew.
const SEALED_MAX: usize = 1_024;

/// A receipt that a group's store has, if the tenant may see it.
fn placed(
    shared: &Shared,
    tenant: &Tenant,
    group: B256,
    find: impl FnOnce(
        &medina_execution::private::GroupStore,
    ) -> Result<Option<PlacedReceipt>, GroupError>,
) -> PrivateResult<Option<PlacedReceipt>> {
    let Some(store) = exec::store(shared, group).map_err(of_group)? else {
        return Ok(None);
    };
    let Some(placed) = find(&store).map_err(of_group)? else {
        return Ok(None);
    };
    let from = shown_from(shared, tenant, group)?;
    Ok(Some(placed).filter(|placed| placed.block.0 >= from))
}

/// The envelope that a transaction was sealed into last.
pub(crate) fn newest(shared: &Shared, digest: B256) -> PrivateResult<B256> {
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
        let found = placed(shared, tenant, group.id, |store| {
            store.receipt_of_digest(digest)
        })?;
        let is_on_chain = || {
            let erased = shared.registry.now(|view| view.erased_at(group.id, digest));
            erased.map(|height| height.is_some()).map_err(fault)
        };
        if found.is_some() || is_on_chain()? {
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
    let placed = placed(shared, tenant, group, |store| {
        store.receipt_of_digest(digest)
    })?;
    if let Some(tombstone) = tombstone(shared, group, digest)? {
        return Ok(Lookup::Erased(tombstone));
    }
    let placed = placed.filter(|placed| {
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
        let placed = placed(shared, tenant, group.id, |store| {
            store.receipt_of_marker(hash)
        })?;
        if let Some(placed) = placed {
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
    let Some((_, row)) = found else {
        return Ok(Lookup::Unknown);
    };
    for group in groups_of(shared, tenant) {
        let digest = shared.digest_in::<StepError>(group.id, &row);
        let is_shown = height.0 >= shown_from(shared, tenant, group.id)?;
        if digest.map_err(fault)?.is_some() && is_shown {
            return Ok(Lookup::Waiting);
        }
    }
    Ok(Lookup::Unknown)
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
