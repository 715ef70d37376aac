//! Forgetting: an order becomes a row on the disk, and the row is worked at until
//! everybody has forgotten and the chain shows it, whatever ends this process meanwhile.
//!
//! ```text
//! row written -> marker settled or taken back -> keys destroyed, tombstone -> words of
//! receipts gone, files rewritten -> "done here" -> the holders' receipts -> report
//! ```
//!
//! Every step may be repeated. What is forgotten leaves a tombstone in the enclave, which
//! no delivery and no fetch brings back. Who may order what is in [`rules`].

mod holders;
mod home;
mod known;
mod order;
mod reporting;
mod rules;
mod task;

use crate::private::{
    exec,
    registry::{GroupRecord, RegistryError},
    rows::ErasureRow,
    shared::{OwnParty, Shared},
};
use alloy_primitives::B256;
pub(crate) use holders::{is_receipt_of, receipts};
use home::{at_home, destroy, done};
pub(crate) use known::is_of_group;
use medina_enclave::{EnclaveError, ErasureReceipt};
use medina_execution::private::PrivateError;
use medina_storage::StorageError;
pub(crate) use order::Order;
pub(crate) use reporting::reports_in;
use rules::Verdict;
pub(crate) use task::run;

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
    /// The contract.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The public chain.
    #[error(transparent)]
    Step(#[from] exec::StepError),
    /// Nobody of this node is a member.
    #[error("no party of this node is a member of the group")]
    NotAMember,
    /// Another tenant's copy would go with it.
    #[error(
        "another organisation of this node holds the payload too: only its sender may have it erased here, or more than half of the group's members with reportErased"
    )]
    NotAllowed,
}

/// What came of a member's order.
#[derive(Debug)]
pub(crate) enum Carried {
    /// It is forgotten.
    Out(ErasureReceipt),
    /// It is still needed to follow the chain, or its words are being removed.
    NotYet,
    /// The member has ordered too many of late.
    TooMany,
    /// Nothing here says that it is a payload of the group, or it was never here.
    Unknown,
    /// The member may not order it.
    NotAllowed,
}

/// There may be something to do.
pub(crate) fn wake(shared: &Shared) {
    shared.erasing_wake.notify_one();
}

/// Forgets a payload here on a member's order, who may show what others have answered.
/// Blocks.
///
/// # Errors
/// See [`EraseError`].
pub(crate) fn carry_out(
    shared: &Shared,
    group: &GroupRecord,
    order: &Order,
    receipts: &[Vec<u8>],
) -> Result<Carried, EraseError> {
    let party = shared.parties_in(group).next();
    let party = party.ok_or(EraseError::NotAMember)?;
    if !is_of_group::<EraseError>(shared, group.id, order.digest)? {
        return Ok(Carried::Unknown);
    }
    match known::facts(shared, group, order, receipts)?.for_member() {
        Verdict::Forget => {}
        Verdict::NotYet | Verdict::TakeBack => return Ok(Carried::NotYet),
        Verdict::NotAllowed => return Ok(Carried::NotAllowed),
        Verdict::Nothing => return Ok(Carried::Unknown),
    }
    let row = match shared.rows.erasure(order.digest)? {
        Some(row) => row,
        None if !shared.erasures.try_take(order.by, shared.now_ms()) => {
            return Ok(Carried::TooMany);
        }
        None => {
            // On the disk first: who is killed now carries it out when he is back.
            let own: Vec<_> = shared.parties_in(group).map(|party| party.org).collect();
            let row = order.row(false, &own);
            shared.rows.put_erasure(&row)?;
            row
        }
    };
    let receipts = destroy(shared, group, order)?;
    let has_words = exec::store(shared, group.id)?
        .map(|store| store.has_leftovers())
        .transpose()?;
    if row.done_at_s.is_none() && (row.is_ours || has_words == Some(true)) {
        // The files are rewritten once for all orders of the last moments.
        return Ok(Carried::NotYet);
    }
    if row.done_at_s.is_none() {
        done(shared, row, &receipts)?;
    }
    let mut receipts = receipts.into_iter();
    let ours = receipts.find(|(org, _)| *org == party.org);
    let (_, receipt) = ours.ok_or(EraseError::NotAMember)?;
    Ok(Carried::Out(receipt))
}

/// Begins to have a payload forgotten everywhere, in the name of a party of ours, with
/// every other envelope that it was sealed into. Blocks.
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
    let order = Order {
        digest,
        group: group.id,
        by: party.org,
        reason,
        at_s: shared.now_s(),
        after: 0,
        signature: Vec::new(),
    };
    let facts = known::facts(shared, group, &order, &[])?;
    if facts.at_home() == Verdict::NotAllowed {
        return Err(EraseError::NotAllowed);
    }
    let row = ErasureRow {
        is_senders: is_sender(shared, party, digest, facts.payload)?,
        ..order.row(true, &group.members)
    };
    shared.rows.put_erasure(&row)?;
    add_twins(shared, &row)?;
    let row = at_home(shared, group, row)?;
    wake(shared);
    Ok(row)
}

fn is_sender(
    shared: &Shared,
    party: &OwnParty,
    digest: B256,
    payload: rules::Payload,
) -> Result<bool, StorageError> {
    let delivery = shared.rows.delivery(digest)?;
    let has_sent = delivery.is_some_and(|delivery| delivery.sender == party.org.0);
    let is_by_sender = matches!(
        payload,
        rules::Payload::Held {
            is_by_sender: true,
            ..
        }
    );
    Ok(has_sent || is_by_sender)
}

/// One order for each envelope that the same transaction was sealed into before and
/// after: the others hold them too. Answers whether there were new ones.
fn add_twins(shared: &Shared, row: &ErasureRow) -> Result<bool, StorageError> {
    let digest = B256::from(row.digest);
    let mut has_new = false;
    if row.part_of.is_some() || !row.is_senders {
        return Ok(false);
    }
    for twin in known::sealed_as(shared, digest)? {
        let is_known = twin == digest
            || shared
                .rows
                .erasure(twin)?
                .is_some_and(|known| known.is_ours);
        if is_known {
            continue;
        }
        has_new = true;
        let members: Vec<_> = row.holders.iter().map(|one| B256::from(one.org)).collect();
        let order = Order {
            digest: twin,
            signature: Vec::new(),
            ..Order::of(row)
        };
        let twin = ErasureRow {
            is_senders: true,
            part_of: Some(row.digest),
            ..order.row(true, &members)
        };
        shared.rows.put_erasure(&twin)?;
    }
    Ok(has_new)
}
