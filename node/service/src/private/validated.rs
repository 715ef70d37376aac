//! Validated mode: each transaction names the group's root before and after it, so
//! one that was made on an older state does nothing ("stale"). This node then seals
//! it anew on the newest state, by itself, until it is settled.
//!
//! One transaction per node and group is under way at a time; the others wait for
//! their turn in the order in which they were taken. Nodes that collide wait for a
//! random while, longer each time, so that all of them get through.

use crate::private::{
    delivery::{self, Content, SealError, Way},
    exec,
    members::blocking,
    outbox::{Delivery, MarkerStage},
    registry::GroupRecord,
    shared::{OwnParty, Shared},
};
use alloy_primitives::B256;
use medina_enclave::{Digest, Roots};
use medina_execution::private::{Below, PrivateError, PrivateReceipt, RootClaim};
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
    /// It leads from one root to another.
    Runs(RootClaim),
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
    let order = shared.next_order();
    let claim = match verdict(shared, group, transaction) {
        Ok(Verdict::Runs(claim)) if !is_busy(shared, group.id) => Some(claim),
        _ => None,
    };
    let roots = claim.map_or_else(Roots::default_roots, |claim| roots_of(&claim));
    let way = Way {
        is_held: claim.is_none(),
        order,
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
trait NoRoots {
    fn default_roots() -> Self;
}

impl NoRoots for Roots {
    fn default_roots() -> Self {
        Self {
            before: [0; 32],
            after: [0; 32],
        }
    }
}

const fn roots_of(claim: &RootClaim) -> Roots {
    Roots {
        before: claim.before().0,
        after: claim.after().0,
    }
}

/// Whether a transaction of this node is under way in a group.
fn is_busy(shared: &Shared, group: B256) -> bool {
    let outbox = shared.outbox.lock();
    let is_under_way = |delivery: &Delivery| {
        let is_on_its_way = matches!(
            delivery.marker,
            MarkerStage::Waiting | MarkerStage::Released
        );
        is_on_its_way && !delivery.is_held
    };
    outbox.of_group(group).any(is_under_way)
}

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
    let head = shared.chain.head();
    let environment = shared
        .chain
        .executor
        .pending_environment(&head, shared.chain.clock.unix_seconds());
    let public = shared.chain.store.state();
    let below = Below {
        store: store.store(),
        public: &public,
        environment,
    };
    match executor.preview(below, transaction) {
        Ok(preview) => Ok(Verdict::Runs(preview.claim)),
        Err(PrivateError::WouldNotRun(reason)) => Ok(Verdict::Never(reason)),
        Err(error) => Err(error.into()),
    }
}

/// A transaction of ours that did nothing because it was stale, or led elsewhere than when it was
/// tried, waits for its turn again.
pub(crate) fn on_receipt(shared: &Shared, record: &GroupRecord, receipt: &PrivateReceipt) {
    let Ok(Some(delivery)) = shared.rows.delivery(receipt.digest) else {
        return;
    };
    if delivery.group != record.id.0 || shared.party(delivery.sender.into()).is_none() {
        return;
    }
    let Some(group) = shared.group(record.id) else {
        return;
    };
    let is_stale = receipt.status.may_be_tried_again();
    let mut lane = group.lane.lock();
    if !is_stale {
        *lane = Lane::default();
        return;
    }
    metrics::counter!("medina_private_stale_total").increment(1);
    lane.collisions = lane.collisions.saturating_add(1);
    let pause_ms = (PAUSE_MS << lane.collisions.min(8)).min(PAUSE_MS_MAX);
    lane.not_before_ms = shared.now_ms() + random_below(pause_ms);
    if delivery.marker == MarkerStage::Foreign || delivery.replaced_by.is_some() {
        return;
    }
    let waiting = Delivery {
        marker: MarkerStage::Waiting,
        is_held: true,
        ..delivery
    };
    if let Err(error) = delivery::put_back(shared, waiting) {
        warn!(digest = %receipt.digest, %error, "a stale private transaction cannot be sent again");
    }
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
    let claim = match verdict(shared, record, &transaction) {
        Ok(Verdict::Runs(claim)) => claim,
        Ok(Verdict::NotYet) => return Ok(false),
        Ok(Verdict::Never(reason)) => return give_up(&reason),
        Err(error) => {
            debug!(%digest, %error, "a private transaction cannot be tried now");
            return Ok(false);
        }
    };
    let way = Way {
        order: delivery.order,
        replaces: Some((digest, delivery.sealed_anew)),
        ..Way::default()
    };
    let content = Content::Bytes(&payload);
    let roots = Some(roots_of(&claim));
    let sealed = delivery::seal(shared, sender, record, content, roots, way)?;
    let replaced = shared.outbox.lock().replace(digest, sealed.digest.into());
    if let Some(replaced) = replaced {
        shared.write_delivery(&replaced)?;
    }
    Ok(true)
}
