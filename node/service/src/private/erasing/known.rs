//! What this node knows of a payload: its group, its sender, its markers.

use super::{
    EraseError, Order,
    holders::is_signed_by_most,
    rules::{Facts, Ordered, Payload, WAITS_BLOCKS},
};
use crate::private::{
    exec::{self, StepError},
    registry::GroupRecord,
    shared::Shared,
    tagging,
};
use alloy_primitives::B256;
use medina_enclave::{Digest, EnclaveError, PayloadStatus};
use medina_storage::StorageError;

/// Markers of one payload that are looked at.
const MARKERS_MAX: usize = 4_096;
/// Envelopes that one transaction was sealed into, at most.
const SEALED_MAX: usize = 1_024;

/// Where a digest is known from, as groups.
#[derive(Clone, Copy, Debug, Default)]
struct KnownIn {
    /// The envelope that is held says so, bound by the digest.
    held: Option<B256>,
    /// It was erased for this group before.
    erased: Option<B256>,
    /// It was sent from here.
    sent: Option<B256>,
    /// Its first marker with a tag of the group that is asked about.
    marked: Option<B256>,
}

impl KnownIn {
    /// Whether the payload is one of a group: nobody's word counts, and the envelope
    /// itself counts most.
    fn is_of(&self, group: B256) -> bool {
        match self.held {
            Some(held) => held == group,
            None => [self.erased, self.sent, self.marked].contains(&Some(group)),
        }
    }
}

/// Whether a digest is known to be of a group: members of other groups learn nothing of
/// it, and have no say.
///
/// # Errors
/// When the enclave does not answer, or the private database cannot be read.
pub(crate) fn is_of_group<E>(shared: &Shared, group: B256, digest: B256) -> Result<bool, E>
where
    E: From<StorageError> + From<EnclaveError>,
{
    let held = match shared.enclave.status(&Digest(digest.0))? {
        PayloadStatus::Held(held) => Some(B256::from(held.metadata.group.0)),
        PayloadStatus::Erased(_) | PayloadStatus::Missing => None,
    };
    let erased = shared.rows.erasure(digest)?;
    let sent = shared.rows.delivery(digest)?;
    let marked = shared.first_place::<E>(group, digest)?;
    let known = KnownIn {
        held,
        erased: erased.map(|row| B256::from(row.group)),
        sent: sent.map(|delivery| B256::from(delivery.group)),
        marked: marked.map(|_| group),
    };
    Ok(known.is_of(group))
}

/// All that decides about an order.
pub(super) fn facts(
    shared: &Shared,
    group: &GroupRecord,
    order: &Order,
    receipts: &[Vec<u8>],
) -> Result<Facts, EraseError> {
    // Before anything else is read: what is found later stands behind it.
    let scanned = *shared.scanned.borrow();
    let head = shared.chain.head().height.0;
    let (payload, sealed_at) = match shared.enclave.status(&Digest(order.digest.0))? {
        PayloadStatus::Held(held) => {
            let metadata = &held.metadata;
            let sender = shared.registry.now(|view| view.owner_of(metadata.sender))?;
            let ours = shared.parties_in(group);
            let mut others = ours.filter(|party| party.org != order.by);
            let payload = Payload::Held {
                is_by_sender: sender == Some(order.by),
                is_shared: others.any(|party| held.parties.contains(&party.id)),
            };
            (payload, Some(metadata.anchor_slot))
        }
        PayloadStatus::Erased(_) => (Payload::Erased, None),
        PayloadStatus::Missing => (Payload::Missing, None),
    };
    let (marker, ordered_at) = ordered(shared, group.id, order.digest)?;
    let erased_at = shared
        .registry
        .now(|view| view.erased_at(group.id, order.digest))?;
    let since = ordered_at.or(sealed_at);
    Ok(Facts {
        payload,
        marker,
        is_scanned: scanned >= head.max(order.after),
        is_old: since.is_some_and(|since| since.saturating_add(WAITS_BLOCKS) < scanned),
        is_reported: erased_at.is_some()
            || is_signed_by_most(shared, group, order.digest, receipts),
    })
}

/// Where a payload's marker stands, and in which block. Of markers with a tag the first
/// one counts; of public transactions with a handle every one.
fn ordered(
    shared: &Shared,
    group: B256,
    digest: B256,
) -> Result<(Ordered, Option<u64>), EraseError> {
    let first = match tagging::first_place(shared, group, digest) {
        // Which tags counted then is not known any more.
        Err(StepError::Pruned(_)) => shared.first_place::<EraseError>(group, digest)?,
        first => first?,
    };
    let Some(first) = first else {
        return Ok((Ordered::Nowhere, None));
    };
    let last = match shared.rows.handle_of(digest)? {
        Some(handle) => {
            let places = shared.rows.handle_places(&handle, MARKERS_MAX)?;
            places.last().map_or(first.height, |last| last.height)
        }
        None => first.height,
    };
    let followed = match exec::store(shared, group)? {
        Some(store) => store.followed()?.map_or(0, |height| height.0),
        None => 0,
    };
    let state = if last <= followed {
        Ordered::Settled
    } else {
        Ordered::Ahead
    };
    Ok((state, Some(last)))
}

/// The markers of a payload in a group, as hashes of public transactions.
pub(super) fn markers(shared: &Shared, group: B256, digest: B256) -> Result<Vec<B256>, EraseError> {
    if let Some(handle) = shared.rows.handle_of(digest)? {
        let places = shared.rows.handle_places(&handle, MARKERS_MAX)?.into_iter();
        return Ok(places.map(|place| place.transaction).collect());
    }
    let mut found = Vec::new();
    shared.rows.first_place_of::<EraseError>(digest, |_, row| {
        if shared.recognise(digest, row.tag.into())? == Some(group) {
            found.push(B256::from(row.transaction));
        }
        Ok(found.len() >= MARKERS_MAX)
    })?;
    Ok(found)
}

/// All envelopes that a transaction of ours was sealed into, this one among them.
pub(super) fn sealed_as(shared: &Shared, digest: B256) -> Result<Vec<B256>, StorageError> {
    let mut all = vec![digest];
    let mut next = 0;
    while let Some(digest) = all.get(next).copied() {
        next += 1;
        let Some(delivery) = shared.rows.delivery(digest)? else {
            continue;
        };
        for other in [delivery.replaces, delivery.replaced_by]
            .into_iter()
            .flatten()
        {
            let other = B256::from(other);
            if !all.contains(&other) && all.len() < SEALED_MAX {
                all.push(other);
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_of_another_group_cannot_erase() {
        let (ours, theirs) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let held = KnownIn {
            held: Some(ours),
            ..KnownIn::default()
        };
        assert!(held.is_of(ours) && !held.is_of(theirs));
        // A marker with a tag of their group does not make our envelope theirs.
        let copied = KnownIn {
            marked: Some(theirs),
            ..held
        };
        assert!(!copied.is_of(theirs));
        let erased = KnownIn {
            erased: Some(ours),
            ..KnownIn::default()
        };
        assert!(erased.is_of(ours) && !erased.is_of(theirs));
    }

    #[test]
    fn digest_that_nobody_knows_is_of_no_group() {
        let group = B256::repeat_byte(1);
        assert!(!KnownIn::default().is_of(group));
        let marked = KnownIn {
            marked: Some(group),
            ..KnownIn::default()
        };
        assert!(marked.is_of(group), "its marker came before the payload");
    }
}
