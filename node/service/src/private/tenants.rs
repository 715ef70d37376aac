//! Tenants of this node and their groups, and how what went wrong is told to them.

use crate::private::{
    delivery::SealError,
    registry::GroupRecord,
    shared::{AskError, OwnParty, Shared},
};
use alloy_primitives::B256;
use medina_enclave::{Caller, EnclaveError};
use medina_rpc::privacy::{PrivateError, PrivateResult, Tenant};

/// A tenant in one of its groups.
pub(crate) struct Member<'a> {
    /// Its party.
    pub(crate) party: &'a OwnParty,
    /// The group.
    pub(crate) group: GroupRecord,
}

/// A tenant as a member of a group; everybody else is told that there is none.
pub(crate) fn member<'a>(
    shared: &'a Shared,
    tenant: &Tenant,
    group: B256,
) -> PrivateResult<Member<'a>> {
    let party = shared.party(tenant.org).ok_or(PrivateError::UnknownGroup)?;
    let known = shared.known();
    let group = known
        .groups
        .get(&group)
        .filter(|group| group.has(&tenant.org));
    let group = group.cloned().ok_or(PrivateError::UnknownGroup)?;
    Ok(Member { party, group })
}

/// Groups of a tenant.
pub(crate) fn groups_of(shared: &Shared, tenant: &Tenant) -> Vec<GroupRecord> {
    if shared.party(tenant.org).is_none() {
        return Vec::new();
    }
    let known = shared.known();
    let groups = known.groups.values();
    groups
        .filter(|group| group.has(&tenant.org))
        .cloned()
        .collect()
}

/// A tenant's call of the enclave.
pub(crate) fn caller(shared: &Shared, tenant: &Tenant) -> Caller {
    let scope = format!("psi://{}", tenant.psi);
    Caller::new(tenant.actor.clone(), scope, shared.now_s())
}

/// The public block before which a tenant is shown nothing of a group: its organisation
/// joined later than another one of this node, which has what was said before.
pub(crate) fn shown_from(shared: &Shared, tenant: &Tenant, group: B256) -> PrivateResult<u64> {
    let record = member(shared, tenant, group)?.group;
    let others = shared.parties_in(&record);
    let others: Vec<_> = others
        .map(|party| party.org)
        .filter(|org| *org != tenant.org)
        .collect();
    if others.is_empty() {
        return Ok(0);
    }
    let read = shared.registry.now(|view| {
        let own = view.member_since(group, tenant.org)?;
        let others = others.iter().map(|org| view.member_since(group, *org));
        Ok((own, others.collect::<Result<Vec<_>, _>>()?))
    });
    let (own, others) = read.map_err(fault)?;
    Ok(shown_from_of(own, others.into_iter().flatten()))
}

/// Of when the tenant's organisation joined, and when others of this node did.
fn shown_from_of(own: Option<u64>, others: impl Iterator<Item = u64>) -> u64 {
    let own = own.unwrap_or(u64::MAX);
    others.min().filter(|first| *first < own).map_or(0, |_| own)
}

pub(crate) fn fault(error: impl std::fmt::Display) -> PrivateError {
    PrivateError::Fault(error.to_string())
}

/// The enclave's words, for who asked.
pub(crate) fn of_enclave(error: EnclaveError) -> PrivateError {
    match error {
        EnclaveError::TooLarge { .. } => PrivateError::Limit(error.to_string()),
        EnclaveError::BadRequest(_) | EnclaveError::UnknownHandle(_) => {
            PrivateError::Refused(error.to_string())
        }
        EnclaveError::Unreachable { .. } => PrivateError::Unavailable(error.to_string()),
        error => fault(error),
    }
}

pub(crate) fn of_seal(error: SealError) -> PrivateError {
    match error {
        SealError::NotRegistered(_) | SealError::NoKey(_) | SealError::NewSecret => {
            PrivateError::Unavailable(error.to_string())
        }
        SealError::Full(_) => PrivateError::Limit(error.to_string()),
        SealError::Enclave(error) => of_enclave(error),
        error => fault(error),
    }
}

pub(crate) fn of_ask(error: AskError) -> PrivateError {
    PrivateError::Unavailable(error.to_string())
}

pub(crate) fn nothing_yet() -> PrivateError {
    PrivateError::Unavailable("the group has no state on this node yet; try again".to_owned())
}

pub(crate) fn no_compat() -> PrivateError {
    PrivateError::Unsupported(
        "this chain takes no marked transactions of GoQuorum's clients: use priv_sendTransaction"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joined_later_than_another_tenant_sees_nothing_from_before() {
        let from = |own, others: &[u64]| shown_from_of(own, others.iter().copied());
        assert_eq!(from(Some(90), &[40]), 90);
        assert_eq!(from(Some(90), &[120, 40]), 90);
        assert_eq!(from(Some(40), &[90]), 0, "the state begins with it");
        assert_eq!(from(Some(40), &[40]), 0);
        assert_eq!(from(Some(40), &[]), 0);
        assert_eq!(from(None, &[40]), u64::MAX);
    }
}
