//! The other holders: who has still to forget, and who has said so under its name.

use super::Order;
use crate::private::{
    directory::Known,
    members::ask,
    protocol::Answer,
    registry::GroupRecord,
    rows::{ErasureRow, HolderRow},
    shared::{AskError, Shared},
};
use alloy_primitives::B256;
use medina_enclave::ErasureReceipt;
use medina_types::NodePublicKey;
use std::{collections::BTreeSet, sync::Arc};
use tracing::debug;

/// For so long a delivery may still be on its way to a holder that has nothing: longer than
/// any answer is waited for.
const UNDER_WAY_S: u64 = 30;
/// Receipts of others that are looked at in an order.
const RECEIPTS_MAX: usize = 64;

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

/// Whether an erasure receipt is a member's own, of this payload: signed by a party that
/// the member's node serves.
pub(crate) fn is_receipt_of(shared: &Shared, org: B256, digest: B256, bytes: &[u8]) -> bool {
    let known = shared.known();
    let node = known.parties.get(&org).map(|party| party.node);
    node.is_some() && signer_of(&known, digest, bytes) == node
}

/// The node of the party that signed a receipt of a payload.
fn signer_of(known: &Known, digest: B256, bytes: &[u8]) -> Option<NodePublicKey> {
    let receipt = ErasureReceipt::from_bytes(bytes).ok()?;
    let org = known.org_of(&receipt.party)?;
    let node = known.parties.get(&org).map(|party| party.node);
    node.filter(|_| receipt.digest.0 == digest.0)
}

/// Whether more than half of a group's members have signed that they erased a payload.
pub(super) fn is_signed_by_most(
    shared: &Shared,
    group: &GroupRecord,
    digest: B256,
    receipts: &[Vec<u8>],
) -> bool {
    let known = shared.known();
    let receipts = receipts.iter().take(RECEIPTS_MAX);
    let signed: BTreeSet<_> = receipts
        .filter_map(|receipt| signer_of(&known, digest, receipt))
        .collect();
    let has_signed = |org: &&B256| {
        let party = known.parties.get(*org);
        party.is_some_and(|party| signed.contains(&party.node))
    };
    2 * group.members.iter().filter(has_signed).count() > group.members.len()
}

/// Asks every holder that has not answered.
pub(super) async fn ask_all(shared: &Arc<Shared>, mut row: ErasureRow) -> ErasureRow {
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
    for org in group.iter().flat_map(|group| &group.members) {
        // Who has joined since may be given it by somebody's backup.
        if row.holders.iter().all(|holder| holder.org != org.0) {
            row.holders.push(HolderRow {
                org: org.0,
                receipt: None,
            });
        }
    }
    let mut without = Vec::new();
    for index in 0..row.holders.len() {
        if row.holders[index].receipt.is_some() {
            continue;
        }
        let org = B256::from(row.holders[index].org);
        let given = row.holders.iter().filter_map(|one| one.receipt.clone());
        let given = given.take(RECEIPTS_MAX).collect();
        let question = Order::of(&row).question(given);
        match ask(shared, org, question).await {
            Ok(Answer::Erased(receipt))
                if is_receipt_of(shared, org, row.digest.into(), &receipt) =>
            {
                row.holders[index].receipt = Some(receipt);
            }
            Ok(Answer::Missing) => without.push(org.0),
            Ok(answer) => {
                debug!(%org, answer = answer.name(), "a holder has not erased a payload yet");
            }
            Err(error @ AskError::Refused) => {
                debug!(%org, %error, "a holder does not erase a payload");
            }
            Err(error) => debug!(%org, %error, "a holder has not erased a payload yet"),
        }
    }
    forget_empty_handed(&mut row, &without, shared.now_s());
    row
}

/// Who has nothing is waited for no more once everybody else has forgotten: there is
/// nobody left to give it to them.
fn forget_empty_handed(row: &mut ErasureRow, without: &[[u8; 32]], now_s: u64) {
    let is_settled = row
        .done_at_s
        .is_some_and(|done_at_s| now_s >= done_at_s.saturating_add(UNDER_WAY_S));
    let mut waiting = row.holders.iter().filter(|one| one.receipt.is_none());
    if is_settled && waiting.all(|one| without.contains(&one.org)) {
        row.holders.retain(|one| one.receipt.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(receipts: &[Option<Vec<u8>>]) -> ErasureRow {
        let holders: Vec<_> = (0..receipts.len())
            .map(|index| B256::with_last_byte(u8::try_from(index).expect("few")))
            .collect();
        let order = Order {
            digest: B256::repeat_byte(1),
            group: B256::repeat_byte(2),
            by: B256::ZERO,
            reason: String::new(),
            at_s: 0,
            after: 0,
            signature: Vec::new(),
        };
        let mut row = order.row(true, &holders);
        for (holder, receipt) in row.holders.iter_mut().zip(receipts) {
            holder.receipt.clone_from(receipt);
        }
        row.done_at_s = Some(100);
        row
    }

    #[test]
    fn who_has_nothing_counts_only_when_nobody_can_give_it_to_them() {
        let some = Some(vec![1]);
        let (second, third) = (B256::with_last_byte(1).0, B256::with_last_byte(2).0);
        let later = 100 + UNDER_WAY_S;
        let mut waits = row(&[some.clone(), None, None]);
        forget_empty_handed(&mut waits, &[second], later);
        assert_eq!(waits.holders.len(), 3, "the third may hold it");
        forget_empty_handed(&mut waits, &[second, third], later - 1);
        assert_eq!(waits.holders.len(), 3, "a delivery may be on its way");
        forget_empty_handed(&mut waits, &[second, third], later);
        assert_eq!(waits.holders.len(), 1);
    }
}
