//! Forgetting: a member's signed order, carried out by every holder, with receipts.
//!
//! A payload whose marker is on the chain and not followed yet is still needed here,
//! and is forgotten once it has been: the others ask again. What is forgotten leaves
//! a tombstone in the enclave, which no delivery and no fetch brings back, and its
//! words leave the receipts of the group's store.

use crate::private::{
    exec,
    members::{ask, blocking},
    outbox::MarkerStage,
    protocol::{Answer, Question, erasure_request},
    registry::{GroupRecord, report_erased_input},
    rows::{ErasureRow, HolderRow},
    shared::{OwnParty, Shared},
};
use alloy_primitives::B256;
use medina_enclave::{
    Digest, EnclaveError, ErasureReceipt, PartyId, PayloadStatus, SignDomain, verify,
};
use medina_execution::{CallRequest, private::PrivateError};
use medina_storage::StorageError;
use medina_types::NodeSignature;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// How often holders that have not answered are asked again.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// Gas of the report to the contract.
const REPORT_GAS: u64 = 300_000;
/// Envelopes that one transaction was sealed into, at most.
const SEALED_MAX: usize = 1_024;

/// Why an erasure was not begun or carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EraseError {
    /// The enclave.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// The private database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The group's store.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// Nobody of this node is a member.
    #[error("no party of this node is a member of the group")]
    NotAMember,
}

/// A member's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// What is to be forgotten.
    pub(crate) digest: B256,
    /// Its group.
    pub(crate) group: B256,
    /// The organisation that orders it.
    pub(crate) by: B256,
    /// Why.
    pub(crate) reason: String,
    /// When, seconds since 1970.
    pub(crate) at_s: u64,
    /// Its identity key's signature.
    pub(crate) signature: Vec<u8>,
}

impl Order {
    fn message(&self) -> Vec<u8> {
        let (by, group, digest) = (self.by.0, self.group.0, self.digest.0);
        erasure_request(by, group, digest, &self.reason, self.at_s)
    }

    /// Whether a party signed it.
    pub(crate) fn is_signed_by(&self, party: &PartyId) -> bool {
        let signature = <[u8; 64]>::try_from(self.signature.as_slice()).map(NodeSignature);
        signature.is_ok_and(|signature| {
            let message = self.message();
            verify(party, SignDomain::ErasureRequest, &message, &signature).is_ok()
        })
    }
}

/// There may be something to do.
pub(crate) fn wake(shared: &Shared) {
    shared.erasing_wake.notify_one();
}

/// What came of a member's order.
#[derive(Debug)]
pub(crate) enum Carried {
    /// It is forgotten.
    Out(ErasureReceipt),
    /// It is still needed to follow the chain.
    NotYet,
    /// The member has ordered too many of late.
    TooMany,
    /// Nothing here says that it is a payload of the group.
    Unknown,
}

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

/// Forgets a payload here on a member's order. Blocks.
///
/// # Errors
/// See [`EraseError`].
pub(crate) fn carry_out(
    shared: &Shared,
    group: &GroupRecord,
    order: &Order,
) -> Result<Carried, EraseError> {
    let party = shared.parties_in(group).next();
    let party = party.ok_or(EraseError::NotAMember)?;
    if !is_of_group::<EraseError>(shared, group.id, order.digest)? {
        return Ok(Carried::Unknown);
    }
    if is_needed(shared, group.id, order.digest)? {
        return Ok(Carried::NotYet);
    }
    if !shared.erasures.try_take(order.by, shared.now_ms()) {
        return Ok(Carried::TooMany);
    }
    let receipt = forget(shared, group, party, order)?;
    if shared.rows.erasure(order.digest)?.is_none() {
        let row = row_of(order, false, true, &group.members);
        shared.rows.put_erasure(&row)?;
    }
    Ok(Carried::Out(receipt))
}

/// Whether a payload's marker is on its way or not followed yet.
fn is_needed(shared: &Shared, group: B256, digest: B256) -> Result<bool, EraseError> {
    let delivery = shared.rows.delivery(digest)?;
    let is_on_its_way = delivery.is_some_and(|delivery| {
        let is_waiting = matches!(delivery.marker, MarkerStage::Released);
        is_waiting && delivery.sent_as.is_some()
    });
    let place = shared.first_place::<EraseError>(group, digest)?;
    let Some(place) = place else {
        return Ok(is_on_its_way);
    };
    let followed = match exec::store(shared, group)? {
        Some(store) => store.followed()?.map_or(0, |height| height.0),
        None => 0,
    };
    Ok(place.height > followed)
}

fn row_of(order: &Order, is_ours: bool, is_done_here: bool, members: &[B256]) -> ErasureRow {
    let holder = |org: &B256| HolderRow {
        org: org.0,
        receipt: None,
    };
    ErasureRow {
        digest: order.digest.0,
        group: order.group.0,
        by: order.by.0,
        reason: order.reason.clone(),
        at_s: order.at_s,
        signature: order.signature.clone(),
        is_ours,
        is_done_here,
        holders: members.iter().map(holder).collect(),
        event: None,
    }
}

/// Destroys keys and words of a payload, and of the envelopes that the same
/// transaction was sealed into before and after.
fn forget(
    shared: &Shared,
    group: &GroupRecord,
    party: &OwnParty,
    order: &Order,
) -> Result<ErasureReceipt, EraseError> {
    let abandoned = shared
        .outbox
        .lock()
        .abandon(order.digest, "the payload was erased");
    if let Some(delivery) = abandoned {
        shared.write_delivery(&delivery)?;
        shared.sending.finish(order.digest);
        crate::private::delivery::release(shared, group.id)?;
    }
    let caller = shared.caller("erase");
    let all = sealed_as(shared, order.digest)?;
    for digest in all.iter().filter(|digest| **digest != order.digest) {
        shared
            .enclave
            .erase(&caller, &Digest(digest.0), &party.id, &order.reason)?;
    }
    let digest = Digest(order.digest.0);
    let receipt = shared
        .enclave
        .erase(&caller, &digest, &party.id, &order.reason)?;
    if let Some(store) = exec::store(shared, group.id)? {
        store.erase_receipts(&all)?;
    }
    metrics::counter!("medina_private_erased_total").increment(1);
    info!(group = %group.id, digest = %order.digest, by = %order.by, "a private payload was erased");
    Ok(receipt)
}

/// All envelopes that a transaction of ours was sealed into, this one among them.
fn sealed_as(shared: &Shared, digest: B256) -> Result<Vec<B256>, StorageError> {
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

/// Begins to have a payload forgotten everywhere, in the name of a party of ours.
/// Blocks.
///
/// # Errors
/// See [`EraseError`].
pub(crate) fn begin(
    shared: &Shared,
    party: &OwnParty,
    group: &GroupRecord,
    digest: B256,
    reason: String,
) -> Result<ErasureRow, EraseError> {
    if let Some(known) = shared.rows.erasure(digest)?.filter(|row| row.is_ours) {
        return Ok(known);
    }
    let mut order = Order {
        digest,
        group: group.id,
        by: party.org,
        reason,
        at_s: shared.now_s(),
        signature: Vec::new(),
    };
    let signature = shared
        .enclave
        .sign(&party.id, SignDomain::ErasureRequest, &order.message())?;
    order.signature = signature.0.to_vec();
    let row = row_of(&order, true, false, &group.members);
    shared.rows.put_erasure(&row)?;
    let row = at_home(shared, group, row)?;
    wake(shared);
    Ok(row)
}

/// Carries an erasure out for the parties of this node.
fn at_home(
    shared: &Shared,
    group: &GroupRecord,
    mut row: ErasureRow,
) -> Result<ErasureRow, EraseError> {
    let order = order_of(&row);
    if is_needed(shared, group.id, order.digest)? {
        return Ok(row);
    }
    for party in shared.parties_in(group) {
        let receipt = forget(shared, group, party, &order)?;
        let mut holders = row.holders.iter_mut();
        if let Some(holder) = holders.find(|holder| holder.org == party.org.0) {
            holder.receipt = Some(receipt.to_bytes());
        }
    }
    row.is_done_here = true;
    shared.rows.put_erasure(&row)?;
    Ok(row)
}

fn order_of(row: &ErasureRow) -> Order {
    Order {
        digest: row.digest.into(),
        group: row.group.into(),
        by: row.by.into(),
        reason: row.reason.clone(),
        at_s: row.at_s,
        signature: row.signature.clone(),
    }
}

/// Carries erasures on until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(LOOK_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.erasing_wake.notified() => {}
            _ = tick.tick() => {}
        }
        let open = blocking(&shared, |shared| shared.rows.open_erasures()).await;
        let open = match open {
            Ok(Ok(open)) => open,
            Ok(Err(error)) => {
                warn!(%error, "erasures that are not complete cannot be read");
                continue;
            }
            Err(_) => return,
        };
        for row in open {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = carry_on(&shared, row) => {}
            }
        }
    }
}

async fn carry_on(shared: &Arc<Shared>, row: ErasureRow) {
    let digest = B256::from(row.digest);
    let Some(group) = shared.known().groups.get(&B256::from(row.group)).cloned() else {
        return;
    };
    let row = if row.is_done_here {
        row
    } else {
        let of = group.clone();
        match blocking(shared, move |shared| at_home(shared, &of, row)).await {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => return debug!(%digest, %error, "an erasure waits"),
            Err(_) => return,
        }
    };
    if !row.is_done_here || !row.is_ours {
        return;
    }
    let asked = ask_holders(shared, row).await;
    let reported = blocking(shared, move |shared| report(shared, asked)).await;
    if let Ok(Err(error)) = reported {
        warn!(%digest, %error, "an erasure cannot be written");
    }
}

/// Asks every holder that has not answered.
async fn ask_holders(shared: &Arc<Shared>, mut row: ErasureRow) -> ErasureRow {
    let members = shared.known();
    let group = members.groups.get(&B256::from(row.group)).cloned();
    // Who has left the group is asked no more.
    let is_member = |org: &[u8; 32]| {
        group
            .as_ref()
            .is_some_and(|group| group.has(&B256::from(*org)))
    };
    row.holders
        .retain(|holder| holder.receipt.is_some() || is_member(&holder.org));
    for index in 0..row.holders.len() {
        if row.holders[index].receipt.is_some() {
            continue;
        }
        let org = B256::from(row.holders[index].org);
        let question = Question::Erase {
            from: row.by,
            group: row.group,
            digest: row.digest,
            reason: row.reason.clone(),
            at_s: row.at_s,
            signature: row.signature.clone(),
        };
        match ask(shared, org, question).await {
            Ok(Answer::Erased(receipt)) if is_of(&receipt, row.digest) => {
                row.holders[index].receipt = Some(receipt);
            }
            Ok(answer) => {
                debug!(%org, answer = answer.name(), "a holder has not erased a payload yet")
            }
            Err(error) => debug!(%org, %error, "a holder has not erased a payload yet"),
        }
    }
    row
}

fn is_of(receipt: &[u8], digest: [u8; 32]) -> bool {
    ErasureReceipt::from_bytes(receipt).is_ok_and(|receipt| receipt.digest.0 == digest)
}

/// The receipts of an erasure, in no particular order.
pub(crate) fn receipts(row: &ErasureRow) -> Vec<(B256, ErasureReceipt)> {
    let holders = row.holders.iter();
    holders
        .filter_map(|holder| {
            let receipt = ErasureReceipt::from_bytes(holder.receipt.as_ref()?).ok()?;
            Some((B256::from(holder.org), receipt))
        })
        .collect()
}

/// Writes what came, and tells the contract once everybody has answered, if the
/// marker account acts for the organisation; else its admin does.
fn report(shared: &Shared, mut row: ErasureRow) -> Result<(), StorageError> {
    if row.is_complete() && row.event.is_none() {
        let all: Vec<_> = receipts(&row)
            .into_iter()
            .map(|(_, receipt)| receipt)
            .collect();
        let hash = B256::from(medina_enclave::receipts_hash(&all));
        let input = report_erased_input(row.group.into(), row.digest.into(), hash);
        let contract = shared.registry.contract();
        if may_call(shared, contract, &input) {
            let name = shared.sending.send_call(contract, input, REPORT_GAS);
            row.event = Some(name.0);
        }
    }
    shared.rows.put_erasure(&row)
}

/// Whether a call of the marker account would pass now.
fn may_call(
    shared: &Shared,
    to: alloy_primitives::Address,
    input: &alloy_primitives::Bytes,
) -> bool {
    let request = CallRequest {
        from: Some(shared.sending.address()),
        to: Some(to),
        gas: Some(REPORT_GAS),
        input: input.clone(),
        ..CallRequest::default()
    };
    let head = shared.chain.head();
    let executor = &shared.chain.executor;
    let environment = executor.pending_environment(&head, shared.chain.clock.unix_seconds());
    let state = shared.chain.store.state();
    let outcome = executor.call(&state, environment, &request);
    outcome.is_ok_and(|outcome| outcome.is_success())
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
