//! Validated mode: each transaction names the group's root before and after it, so
//! one that was made on an older state does nothing ("stale"). This node then seals
//! it anew on the newest state, by itself, until it is settled.
//!
//! It is executed in the public block that it was tried on, not in its marker's: time,
//! number and public state are those of then, so that a contract which stores them
//! comes to the same root. It is done only with a receipt that says so; until then it
//! stays in the outbox, over a stop and over a state that was taken from others.
//!
//! One transaction per node and group is under way at a time; the others wait for
//! their turn in the order in which they were taken. Nodes that collide wait for a
//! random while, longer each time, so that all of them get through.

use crate::private::{
    anchored,
    delivery::{self, Content, SealError, Way},
    exec,
    members::blocking,
    outbox::{Delivery, MarkerStage},
    registry::GroupRecord,
    shared::{OwnParty, Shared},
};
use alloy_primitives::B256;
use medina_enclave::{Digest, Roots};
use medina_execution::private::{Below, PrivateError, PrivateReceipt, PrivateStatus, RootClaim};
use medina_types::SignedPrivateTransaction;
use std::{sync::Arc, time::Duration};
use tracing::{debug, warn};

/// Times that one transaction is sealed anew before it is given up.
const SEALED_ANEW_MAX: u32 = 500;
/// Longest random pause after the first collision; it doubles up to the largest.
const PAUSE_MS: u64 = 40;
const PAUSE_MS_MAX: u64 = 1_000;

/// When a group's next transaction of this node may go out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lane {
    not_before_ms: u64,
    collisions: u32,
}

/// What a transaction would do now.
enum Verdict {
    /// It leads from one root to another, on this public block.
    Runs(RootClaim, u64),
    /// Not yet: another of its sender comes first.
    NotYet,
    /// Never, for this reason.
    Never(String),
}

/// Seals a transaction of the validated mode: to go out now if nothing is under way
/// and it runs, else to wait for its turn. Blocks.
///
/// # Errors
/// See [`SealError`].
pub(crate) fn seal(
    shared: &Shared,
    sender: &OwnParty,
    group: &GroupRecord,
    transaction: &SignedPrivateTransaction,
) -> Result<Delivery, SealError> {
    let tried = match verdict(shared, group, transaction) {
        Ok(Verdict::Runs(claim, anchor)) if !is_busy(shared, group.id) => Some((claim, anchor)),
        _ => None,
    };
    let roots = tried.map_or(NO_ROOTS, |(claim, _)| roots_of(&claim));
    let way = Way {
        is_held: tried.is_none(),
        awaits_receipt: true,
        order: shared.next_order(),
        anchor: tried.map(|(_, anchor)| anchor),
        signed: delivery::signed_by(shared, transaction),
        ..Way::default()
    };
    let payload = transaction.encode();
    let content = Content::Bytes(&payload);
    let delivery = delivery::seal(shared, sender, group, content, Some(roots), way)?;
    if let Some(group) = shared.group(group.id) {
        group.wake.notify_one();
    }
    Ok(delivery)
}

/// Roots of an envelope that waits for its turn and is sealed anew before it leaves.
const NO_ROOTS: Roots = Roots {
    before: [0; 32],
    after: [0; 32],
};

const fn roots_of(claim: &RootClaim) -> Roots {
    Roots {
        before: claim.before().0,
        after: claim.after().0,
    }
}

/// Whether a transaction of this node is under way in a group.
fn is_busy(shared: &Shared, group: B256) -> bool {
    let outbox = shared.outbox.lock();
    let is_under_way = |delivery: &Delivery| delivery.is_before_its_block() && !delivery.is_held;
    outbox.of_group(group).any(is_under_way)
}

/// Tries a transaction on the newest state: it is executed in the same public block that
/// it is tried in, whichever one its marker is in.
fn verdict(
    shared: &Shared,
    group: &GroupRecord,
    transaction: &SignedPrivateTransaction,
) -> Result<Verdict, exec::StepError> {
    let Some(store) = exec::store(shared, group.id)? else {
        return Ok(Verdict::NotYet);
    };
    let executor = shared.executor_of(group);
    let sender = match transaction.recover(shared.chain.spec.chain_id) {
        Ok(sender) => sender,
        Err(error) => return Ok(Verdict::Never(error.to_string())),
    };
    let expected = executor.nonce(&store.store().state(), sender)?;
    let nonce = transaction.transaction().nonce;
    if nonce > expected {
        return Ok(Verdict::NotYet);
    }
    let anchor = shared.chain.head().height;
    let (environment, public) = anchored::environment_at(shared, anchor)?;
    let below = Below {
        store: store.store(),
        public: &public,
        environment,
    };
    match executor.preview(below, transaction) {
        Ok(preview) => Ok(Verdict::Runs(preview.claim, anchor.0)),
        Err(PrivateError::WouldNotRun(reason)) => Ok(Verdict::Never(reason)),
        Err(error) => Err(error.into()),
    }
}

/// What is done about a transaction of ours that was in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It was executed, or never will be.
    Settled,
    /// It did nothing and is sealed anew.
    Again,
}

/// What follows from a receipt, or, where a state was taken from others that had the
/// block behind it, from the account's nonce there: who finds its nonce used was
/// executed.
fn next_of(status: Option<&PrivateStatus>, is_nonce_used: bool) -> Next {
    match status {
        Some(status) if status.may_be_tried_again() => Next::Again,
        Some(_) => Next::Settled,
        None if is_nonce_used => Next::Settled,
        None => Next::Again,
    }
}

/// A transaction of ours was in a block: one that did nothing because it was stale, or
/// led elsewhere than when it was tried, waits for its turn again.
pub(crate) fn on_receipt(shared: &Shared, record: &GroupRecord, receipt: &PrivateReceipt) {
    let Ok(Some(delivery)) = shared.rows.delivery(receipt.digest) else {
        return;
    };
    if delivery.group != record.id.0 || shared.party(delivery.sender.into()).is_none() {
        return;
    }
    go_on(
        shared,
        record,
        delivery,
        next_of(Some(&receipt.status), false),
    );
}

fn go_on(shared: &Shared, record: &GroupRecord, delivery: Delivery, next: Next) {
    let digest = B256::from(delivery.digest);
    let written = match next {
        Next::Settled => {
            if let Some(group) = shared.group(record.id) {
                *group.lane.lock() = Lane::default();
            }
            let settled = shared.outbox.lock().on_settled(digest);
            settled.map_or(Ok(()), |delivery| shared.write_delivery(&delivery))
        }
        Next::Again => {
            collide(shared, record.id);
            let is_done = delivery.marker == MarkerStage::Foreign || delivery.replaced_by.is_some();
            if is_done || !delivery.awaits_receipt {
                return;
            }
            let waiting = Delivery {
                marker: MarkerStage::Waiting,
                is_held: true,
                ..delivery
            };
            delivery::put_back(shared, waiting)
        }
    };
    if let Err(error) = written {
        // Looked at again when the group is followed so far: see [`take_up`].
        warn!(%digest, %error, "a delivery cannot be written");
    }
}

/// Another was faster: the next try of this node waits for a random while.
fn collide(shared: &Shared, group: B256) {
    metrics::counter!("medina_private_stale_total").increment(1);
    let Some(group) = shared.group(group) else {
        return;
    };
    let mut lane = group.lane.lock();
    lane.collisions = lane.collisions.saturating_add(1);
    let pause_ms = (PAUSE_MS << lane.collisions.min(8)).min(PAUSE_MS_MAX);
    lane.not_before_ms = shared.now_ms() + random_below(pause_ms);
}

/// Deliveries whose marker is in a block that was followed, and of which nobody has seen
/// what came of it: the node stopped between, or took the state behind it from others.
fn take_up(shared: &Shared, record: &GroupRecord) -> Result<(), exec::StepError> {
    let followed = shared.group(record.id).map_or(0, |group| group.height());
    let open: Vec<_> = {
        let outbox = shared.outbox.lock();
        let is_open = |delivery: &&Delivery| {
            let is_behind = matches!(delivery.marker, MarkerStage::Included { height, .. } if height <= followed);
            delivery.awaits_receipt && is_behind
        };
        outbox
            .of_group(record.id)
            .filter(is_open)
            .cloned()
            .collect()
    };
    if open.is_empty() {
        return Ok(());
    }
    let Some(store) = exec::store(shared, record.id)? else {
        return Ok(());
    };
    for delivery in open {
        let placed = store.receipt_of_digest(B256::from(delivery.digest))?;
        let status = placed.as_ref().map(|placed| &placed.receipt.status);
        let is_nonce_used = match delivery.signed {
            Some(signed) => {
                let executor = shared.executor_of(record);
                let account = signed.account.into();
                executor.nonce(&store.store().state(), account)? > signed.nonce
            }
            None => true,
        };
        go_on(shared, record, delivery, next_of(status, is_nonce_used));
    }
    Ok(())
}

/// A number for a pause; without randomness, half of the bound.
fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes) % bound.max(1),
        Err(_) => bound / 2,
    }
}

/// Sends the next transaction that waits for its turn, if it is time.
pub(crate) async fn continue_lane(shared: &Arc<Shared>, record: &GroupRecord) {
    if record.mode != medina_types::PrivacyMode::Validated {
        return;
    }
    let Some(group) = shared.group(record.id) else {
        return;
    };
    if shared.outbox.lock().len_of(record.id) == 0 {
        return;
    }
    let of = record.clone();
    let taken = blocking(shared, move |shared| take_up(shared, &of)).await;
    if let Ok(Err(error)) = taken {
        debug!(group = %record.id, %error, "what came of private transactions is looked at later");
    }
    let has_waiting = {
        let outbox = shared.outbox.lock();
        outbox.of_group(record.id).any(|delivery| delivery.is_held)
    };
    if !has_waiting || is_busy(shared, record.id) {
        return;
    }
    let not_before_ms = group.lane.lock().not_before_ms;
    let now_ms = shared.now_ms();
    if not_before_ms > now_ms {
        // The follower looks again then, and does not wait here.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(not_before_ms - now_ms)).await;
            group.wake.notify_one();
        });
        return;
    }
    let of = record.clone();
    let sent = blocking(shared, move |shared| send_next(shared, &of)).await;
    match sent {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(group = %record.id, %error, "the next private transaction waits"),
        Err(error) => debug!(group = %record.id, %error, "the next private transaction waits"),
    }
}

fn send_next(shared: &Shared, record: &GroupRecord) -> Result<(), SealError> {
    let mut waiting: Vec<_> = {
        let outbox = shared.outbox.lock();
        let held = outbox.of_group(record.id).filter(|one| one.is_held);
        held.cloned().collect()
    };
    waiting.sort_by_key(|delivery| delivery.order);
    for delivery in waiting {
        if try_send(shared, record, &delivery)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Seals one anew and lets it go; false if it is not its turn.
fn try_send(shared: &Shared, record: &GroupRecord, delivery: &Delivery) -> Result<bool, SealError> {
    let digest = B256::from(delivery.digest);
    let give_up = |reason: &str| -> Result<bool, SealError> {
        let abandoned = shared.outbox.lock().abandon(digest, reason);
        if let Some(delivery) = abandoned {
            shared.write_delivery(&delivery)?;
        }
        Ok(false)
    };
    let Some(sender) = shared.party(delivery.sender.into()) else {
        return give_up("this node acts for the sender no more");
    };
    if delivery.sealed_anew >= SEALED_ANEW_MAX {
        return give_up("the group's state changed each time before it was ordered");
    }
    let caller = shared.caller("seal anew");
    let payload = shared
        .enclave
        .open(&caller, &Digest(delivery.digest), &sender.id)?;
    let transaction = match SignedPrivateTransaction::decode(&payload) {
        Ok(transaction) => transaction,
        Err(error) => return give_up(&error.to_string()),
    };
    let (claim, anchor) = match verdict(shared, record, &transaction) {
        Ok(Verdict::Runs(claim, anchor)) => (claim, anchor),
        Ok(Verdict::NotYet) => return Ok(false),
        Ok(Verdict::Never(reason)) => return give_up(&reason),
        Err(error) => {
            debug!(%digest, %error, "a private transaction cannot be tried now");
            return Ok(false);
        }
    };
    let way = Way {
        awaits_receipt: true,
        order: delivery.order,
        anchor: Some(anchor),
        signed: delivery.signed,
        replaces: Some((digest, delivery.sealed_anew)),
        ..Way::default()
    };
    let roots = Some(roots_of(&claim));
    delivery::seal_instead(shared, sender, record, &payload, roots, (digest, way))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_is_done_only_when_it_was_executed_or_never_will_be() {
        let (claimed, found) = ([1; 32], [2; 32]);
        let stale = PrivateStatus::Stale { claimed, found };
        assert_eq!(next_of(Some(&stale), true), Next::Again);
        let elsewhere = PrivateStatus::Diverged { claimed, found };
        assert_eq!(next_of(Some(&elsewhere), false), Next::Again);
        for status in [
            PrivateStatus::Success,
            PrivateStatus::Skipped,
            PrivateStatus::Erased,
            PrivateStatus::Invalid("private nonce".to_owned()),
        ] {
            assert_eq!(next_of(Some(&status), false), Next::Settled);
        }
        // The block lies behind a state that was taken from others.
        assert_eq!(next_of(None, true), Next::Settled);
        assert_eq!(next_of(None, false), Next::Again);
    }
}
