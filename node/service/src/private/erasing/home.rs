//! Forgetting at home: the marker, the keys, the words.

use super::{EraseError, Order, known, rules::Verdict};
use crate::private::{
    delivery, exec, outbox::MarkerStage, registry::GroupRecord, rows::ErasureRow, shared::Shared,
};
use alloy_primitives::B256;
use medina_enclave::{Digest, ErasureReceipt, PayloadStatus, SignDomain};
use tracing::info;

/// Carries an erasure out for the parties of this node, as far as it may be.
pub(super) fn at_home(
    shared: &Shared,
    group: &GroupRecord,
    mut row: ErasureRow,
) -> Result<ErasureRow, EraseError> {
    if row.done_at_s.is_some() {
        return Ok(row);
    }
    let order = Order::of(&row);
    let facts = known::facts(shared, group, &order, &[])?;
    let verdict = match row.is_ours {
        true => facts.at_home(),
        false => facts.for_member(),
    };
    let verdict = match verdict {
        Verdict::TakeBack if take_back(shared, group.id, order.digest)? => Verdict::Forget,
        Verdict::TakeBack => facts.once_old(),
        verdict => verdict,
    };
    if verdict != Verdict::Forget {
        return Ok(row);
    }
    // A marker that came meanwhile stands before this height.
    let head = shared.chain.head().height.0;
    row.after = head.max(*shared.scanned.borrow());
    let receipts = destroy(shared, group, &order)?;
    if let Some(store) = exec::store(shared, group.id)? {
        store.remove_leftovers()?;
    }
    if row.is_ours {
        let order = Order::of(&row);
        let party = shared.party(order.by).ok_or(EraseError::NotAMember)?;
        let domain = SignDomain::ErasureRequest;
        let signature = shared.enclave.sign(&party.id, domain, &order.message())?;
        row.signature = signature.0.to_vec();
    }
    done(shared, row, &receipts)
}

/// Takes a marker of this node back that nobody has signed yet, for good; false where it
/// may be on its way or is the client's to send.
fn take_back(shared: &Shared, group: B256, digest: B256) -> Result<bool, EraseError> {
    let is_free = {
        let _turn = shared.releasing.lock();
        let waiting = shared.outbox.lock().get(digest).cloned();
        let delivery = match waiting {
            Some(delivery) => Some(delivery),
            None => shared.rows.delivery(digest)?,
        };
        let Some(delivery) = delivery else {
            return Ok(false);
        };
        match delivery.marker {
            MarkerStage::Abandoned(_) => delivery.sent_as.is_none(),
            MarkerStage::Included { .. } | MarkerStage::Foreign => false,
            MarkerStage::Waiting | MarkerStage::Released => {
                let is_free = delivery.sent_as.is_none() && shared.sending.withdraw(digest);
                let reason = "the payload was erased";
                let abandoned = is_free.then(|| shared.outbox.lock().abandon(digest, reason));
                if let Some(delivery) = abandoned.flatten() {
                    shared.write_delivery(&delivery)?;
                }
                is_free
            }
        }
    };
    if is_free {
        delivery::release(shared, group)?;
    }
    Ok(is_free)
}

/// Destroys the keys of a payload and the words of its receipts; the files that had them
/// are rewritten later. May be repeated.
pub(super) fn destroy(
    shared: &Shared,
    group: &GroupRecord,
    order: &Order,
) -> Result<Vec<(B256, ErasureReceipt)>, EraseError> {
    let digest = Digest(order.digest.0);
    let was_erased = matches!(shared.enclave.status(&digest)?, PayloadStatus::Erased(_));
    // Nobody is given it any more; its marker is in a block or taken back.
    let abandoned = shared
        .outbox
        .lock()
        .abandon(order.digest, "the payload was erased");
    if let Some(delivery) = abandoned {
        shared.write_delivery(&delivery)?;
        shared.sending.finish(order.digest);
        delivery::release(shared, group.id)?;
    }
    let caller = shared.caller("erase");
    let mut receipts = Vec::new();
    for party in shared.parties_in(group) {
        let enclave = &shared.enclave;
        let receipt = enclave.erase(&caller, &digest, &party.id, &order.reason)?;
        receipts.push((party.org, receipt));
    }
    if let Some(store) = exec::store(shared, group.id)? {
        let markers = known::markers(shared, group.id, order.digest)?;
        store.erase_receipts(order.digest, &markers)?;
    }
    if !was_erased {
        metrics::counter!("medina_private_erased_total").increment(1);
        info!(group = %group.id, digest = %order.digest, by = %order.by,
            "a private payload was erased");
    }
    Ok(receipts)
}

/// Writes that nothing is left of it here.
pub(super) fn done(
    shared: &Shared,
    mut row: ErasureRow,
    receipts: &[(B256, ErasureReceipt)],
) -> Result<ErasureRow, EraseError> {
    for (org, receipt) in receipts {
        let mut holders = row.holders.iter_mut();
        if let Some(holder) = holders.find(|holder| holder.org == org.0) {
            holder.receipt = Some(receipt.to_bytes());
        }
    }
    row.done_at_s = Some(shared.now_s());
    shared.rows.put_erasure(&row)?;
    Ok(row)
}
