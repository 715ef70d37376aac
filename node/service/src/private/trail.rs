//! What tenants are told of deliveries and of the enclave's audit log.

use crate::private::{
    outbox::{Delivery, MarkerStage},
    records::newest,
    shared::Shared,
    tenants::{fault, of_enclave},
};
use alloy_primitives::B256;
use medina_enclave::PayloadStatus;
use medina_rpc::privacy::{AuditEntry, DeliveryStatus, PrivateResult, RecipientDelivery, Tenant};

/// Who did something for another tenant, as this one is told.
const ANOTHER_TENANT: &str = "another tenant";
/// The node itself, in the audit log.
const NODE: &str = "node";

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
            actor: actor(&entry.actor, entry.scope == scope),
            group,
            digest: Some(entry.digest.0.into()),
            previous: entry.previous.into(),
            hash: hash.into(),
        });
    }
    Ok(shown)
}

/// Who did it: other tenants' names are theirs.
fn actor(actor: &str, is_own: bool) -> String {
    let is_shown = is_own || actor == NODE;
    if is_shown { actor } else { ANOTHER_TENANT }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_tenants_are_not_told() {
        assert_eq!(actor("bakery", true), "bakery");
        assert_eq!(actor("bank", false), ANOTHER_TENANT);
        assert_eq!(actor(NODE, false), NODE);
    }
}
