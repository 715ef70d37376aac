//! Markers that may leave, in their order, and what a change of members does to those
//! that have not left.

use super::sealing::{SealError, tag_of};
use crate::private::{exec, outbox::Delivery, registry::GroupRecord, shared::Shared, tagging};
use alloy_primitives::{Address, B256};
use medina_storage::StorageError;
use medina_types::Marker;
use std::collections::BTreeSet;
use tracing::{debug, info, warn};

/// Lets the markers of a group out whose policy is met, in their order.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn release(shared: &Shared, group: B256) -> Result<(), StorageError> {
    let accounts = shared.outbox.lock().in_line(group);
    accounts
        .into_iter()
        .try_for_each(|account| release_of(shared, group, account))
}

/// The same for those of one account, or for those that keep no order.
pub(super) fn release_of(
    shared: &Shared,
    group: B256,
    account: Option<Address>,
) -> Result<(), StorageError> {
    let executed = account.and_then(|account| executed_nonce(shared, group, account));
    // One at a time, so that they come to the marker account in their order.
    let _turn = shared.releasing.lock();
    let released = shared.outbox.lock().release(group, account, executed);
    for delivery in released {
        shared.write_delivery(&delivery)?;
        send_marker(shared, &delivery);
    }
    Ok(())
}

/// The next nonce of an account in the group's state, where there is one.
fn executed_nonce(shared: &Shared, group: B256, account: Address) -> Option<u64> {
    let record = shared.known().groups.get(&group).cloned()?;
    let store = match exec::store(shared, group) {
        Ok(store) => store?,
        Err(error) => {
            debug!(%group, %error, "a group's nonces cannot be read now");
            return None;
        }
    };
    let executor = shared.executor_of(&record);
    executor.nonce(&store.store().state(), account).ok()
}

pub(super) fn send_marker(shared: &Shared, delivery: &Delivery) {
    shared.sending.send_marker(&Marker {
        digest: delivery.digest.into(),
        tag: delivery.tag.into(),
    });
}

/// What a change of members asks for: who left is waited for no more, and markers by a
/// secret that they know get tags by the new one. Then whatever may leave does.
pub(crate) fn keep_up(shared: &Shared, group: &GroupRecord) {
    let done = forget_absent(shared, group)
        .map_err(SealError::from)
        .and_then(|()| retag(shared, group))
        .and_then(|()| release(shared, group.id).map_err(SealError::from));
    if let Err(error) = done {
        warn!(group = %group.id, %error, "deliveries of a private group cannot be brought up to date; trying again");
    }
}

/// Members that left are waited for no more.
fn forget_absent(shared: &Shared, group: &GroupRecord) -> Result<(), StorageError> {
    let members: BTreeSet<_> = group.members.iter().copied().collect();
    let left: BTreeSet<B256> = {
        let outbox = shared.outbox.lock();
        let recipients = outbox
            .of_group(group.id)
            .flat_map(|delivery| delivery.recipients.keys());
        recipients
            .map(|org| B256::from(*org))
            .filter(|org| !members.contains(org))
            .collect()
    };
    for org in left {
        let changed = shared.outbox.lock().on_left(group.id, org);
        for delivery in &changed {
            shared.write_delivery(delivery)?;
        }
    }
    Ok(())
}

/// Markers whose tag does not count any more get one that does.
fn retag(shared: &Shared, group: &GroupRecord) -> Result<(), SealError> {
    let version = group.secret_version;
    let outdated = shared.outbox.lock().outdated(group.id, version);
    if outdated.is_empty() {
        return Ok(());
    }
    info!(group = %group.id, version, markers = outdated.len(), "a member has left: markers get new tags");
    tagging::make(shared, group.id).map_err(|error| match error {
        tagging::SecretError::Enclave(error) => SealError::Enclave(error),
        tagging::SecretError::Registry(error) => SealError::Registry(error),
        _ => SealError::NewSecret,
    })?;
    for digest in outdated {
        let (tag, version) = tag_of(shared, group.id, digest)?;
        let retagged = shared.outbox.lock().retag(digest, tag, version);
        let Some(delivery) = retagged else {
            continue;
        };
        shared.write_delivery(&delivery)?;
        // One that has left does nothing, and is followed by one with the new tag.
        shared.sending.withdraw(digest);
    }
    shared.outbox_wake.notify_one();
    Ok(())
}
