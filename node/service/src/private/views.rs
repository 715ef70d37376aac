//! Parties, groups, erasures and contracts as JSON-RPC shows them to a tenant.

use crate::private::{
    erasing, exec,
    group::{Group, Phase},
    reading,
    registry::GroupRecord,
    rows::ErasureRow,
    shared::Shared,
    tenants::{fault, groups_of, member, of_enclave},
};
use alloy_primitives::{Address, B256, Bytes};
use medina_enclave::{Digest, PayloadStatus};
use medina_rpc::privacy::{
    ContractPrivacy, Erasure, ErasureReceipt, GroupPhase, GroupStatus, GroupSummary,
    MemberAttestation, PrivateParty, PrivateResult, Tenant, Tombstone,
};
use medina_types::Height;

/// Digests named in a status.
const MISSING_SHOWN_MAX: usize = 16;

pub(crate) fn party_view(shared: &Shared, org: B256) -> PrivateResult<Option<PrivateParty>> {
    let known = shared.known();
    let Some(party) = known.parties.get(&org) else {
        return Ok(None);
    };
    let key = shared.registry.now(|view| view.key(org)).map_err(fault)?;
    let own = shared.party(org).map(|own| own.name.clone());
    Ok(Some(PrivateParty {
        name: own.unwrap_or_default(),
        org,
        identity_key: party.id.0.into(),
        encryption_key: key.map(|key| key.x25519.into()),
        epoch: key.map_or(party.epoch, |key| key.epoch),
        node_key: party.node.0.into(),
    }))
}

/// A party as it is known; by name alone where it is not registered yet.
pub(crate) fn party_of(shared: &Shared, org: B256) -> PrivateResult<PrivateParty> {
    if let Some(party) = party_view(shared, org)? {
        return Ok(party);
    }
    let own = shared.party(org);
    Ok(PrivateParty {
        name: own.map(|own| own.name.clone()).unwrap_or_default(),
        org,
        identity_key: own.map(|own| own.id.0.into()).unwrap_or_default(),
        encryption_key: None,
        epoch: 0,
        node_key: own.map(|_| shared.own_node.0.into()).unwrap_or_default(),
    })
}

/// The groups of a tenant.
///
/// # Errors
/// When the contract does not answer.
pub(crate) fn groups(shared: &Shared, tenant: &Tenant) -> PrivateResult<Vec<GroupSummary>> {
    let summary = |group: GroupRecord| {
        let first = group.members.first().copied().unwrap_or_default();
        let since = shared
            .registry
            .now(|view| view.member_since(group.id, first))
            .map_err(fault)?;
        let members = group.members.iter().map(|org| party_of(shared, *org));
        Ok(GroupSummary {
            id: group.id,
            members: members.collect::<PrivateResult<_>>()?,
            mode: group.mode,
            mandatory: group.mandatory,
            quorum: group.quorum,
            created_at: since.unwrap_or(0),
            is_implicit: false,
        })
    };
    groups_of(shared, tenant).into_iter().map(summary).collect()
}

/// How far a group's follower has come.
///
/// # Errors
/// When the group is none of the tenant's, or its store does not answer.
pub(crate) fn group_status(
    shared: &Shared,
    tenant: &Tenant,
    group: B256,
) -> PrivateResult<GroupStatus> {
    member(shared, tenant, group)?;
    let live = shared.group(group).ok_or_else(|| not_followed(group))?;
    let (phase, missing) = phase_of(shared, &live);
    let store = exec::store(shared, group).map_err(fault)?;
    let root = store.map_or(B256::ZERO, |store| store.root());
    let attestations = live
        .book
        .lock()
        .newest()
        .map(|attestation| MemberAttestation {
            org: attestation.org.into(),
            height: attestation.height,
            root: attestation.root.into(),
        })
        .collect();
    let disputes = live.disputes.lock();
    let disputed_by = disputes.iter().map(|found| MemberAttestation {
        org: found.org,
        height: found.height,
        root: found.theirs,
    });
    Ok(GroupStatus {
        id: group,
        phase,
        height: Height(live.height()),
        root,
        missing,
        attestations,
        disputed_by: disputed_by.collect(),
    })
}

fn not_followed(group: B256) -> medina_rpc::privacy::PrivateError {
    medina_rpc::privacy::PrivateError::Unavailable(format!(
        "this node does not follow private group {group}: see private.follow, private.groups and private.limits in its configuration"
    ))
}

fn phase_of(shared: &Shared, group: &Group) -> (GroupPhase, Vec<B256>) {
    let phase = group.phase.lock().clone();
    match phase {
        Phase::Following => (GroupPhase::Following, Vec::new()),
        Phase::WaitingForSecret => (GroupPhase::WaitingForSecret, Vec::new()),
        Phase::Waiting(mut missing) => {
            missing.truncate(MISSING_SHOWN_MAX);
            let digest = missing.first().copied().unwrap_or_default();
            let sent_by = sender_of_marker(shared, digest);
            let waiting = GroupPhase::Waiting {
                digest,
                sent_by,
                org: sent_by.and_then(|account| organisation_of(shared, account)),
            };
            (waiting, missing)
        }
        Phase::Rebuilding => (GroupPhase::Rebuilding, Vec::new()),
        Phase::Failing(reason) => (GroupPhase::Failing(reason), Vec::new()),
        Phase::Halted(halt) => (
            GroupPhase::Halted {
                member: halt.member,
                height: halt.height,
                reason: halt.reason,
            },
            Vec::new(),
        ),
    }
}

/// Who put a marker on the chain.
fn sender_of_marker(shared: &Shared, digest: B256) -> Option<Address> {
    let placed = shared.rows.place_of_digest(digest).ok().flatten()?;
    let block = shared.chain.store.block_by_number(Height(placed.height));
    let index = usize::try_from(placed.index).ok()?;
    let block = block.ok().flatten()?;
    block.transactions().nth(index).map(|(_, sender)| sender)
}

fn organisation_of(shared: &Shared, account: Address) -> Option<B256> {
    let head = shared.chain.head().height;
    let state = shared.chain.store.state();
    exec::organisation_at(shared, account, head, &state)
        .ok()
        .flatten()
}

/// An erasure and who has answered.
pub(crate) fn erasure_of(row: &ErasureRow) -> Erasure {
    let receipts = erasing::receipts(row);
    let has_answered = |org: &B256| receipts.iter().any(|(holder, _)| holder == org);
    let holders = row.holders.iter().map(|holder| B256::from(holder.org));
    Erasure {
        tombstone: Tombstone {
            digest: row.digest.into(),
            reason: row.reason.clone(),
            erased_at: row.at_s,
        },
        group: row.group.into(),
        pending: holders.filter(|org| !has_answered(org)).collect(),
        receipts: receipts
            .iter()
            .map(|(org, receipt)| ErasureReceipt {
                org: *org,
                erased_at: receipt.erased_at_s,
                signature: Bytes::copy_from_slice(&receipt.signature.0),
            })
            .collect(),
        event: row.event.map(B256::from),
    }
}

/// The group of the tenant in whose state a contract is.
///
/// # Errors
/// When a group's store does not answer.
pub(crate) fn group_of_contract(
    shared: &Shared,
    tenant: &Tenant,
    address: Address,
) -> PrivateResult<Option<B256>> {
    for group in groups_of(shared, tenant) {
        let code = reading::with_state(shared, tenant, group.id, None, |store, at| {
            store.code_at(at.private, address)
        })?;
        if code.is_some_and(|code| !code.is_empty()) {
            return Ok(Some(group.id));
        }
    }
    Ok(None)
}

/// How a private contract was made.
///
/// # Errors
/// When a group's store or the enclave does not answer.
pub(crate) fn contract_privacy(
    shared: &Shared,
    tenant: &Tenant,
    address: Address,
) -> PrivateResult<Option<ContractPrivacy>> {
    for group in groups_of(shared, tenant) {
        let Some(store) = exec::store(shared, group.id).map_err(fault)? else {
            continue;
        };
        if let Some(placed) = store.creation_of(address).map_err(fault)? {
            let digest = placed.receipt.digest;
            let status = shared
                .enclave
                .status(&Digest(digest.0))
                .map_err(of_enclave)?;
            let handle = match status {
                PayloadStatus::Held(held) => held.metadata.handle,
                PayloadStatus::Erased(_) | PayloadStatus::Missing => None,
            };
            let creation = match handle {
                Some(handle) => Bytes::copy_from_slice(&handle.0),
                None => Bytes::copy_from_slice(digest.as_slice()),
            };
            return Ok(Some(ContractPrivacy {
                group: group.id,
                creation,
                mode: group.mode,
                mandatory: group.mandatory,
            }));
        }
    }
    Ok(None)
}
