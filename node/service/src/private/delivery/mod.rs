//! Envelopes on their way: sealed for the members, given to each, acknowledged.
//!
//! The outbox keeps digests only. What travels is wrapped at every try for the key
//! that the recipient has published by then, so that a recipient who was away over a
//! rotation can open it. A recipient acknowledges only if it recognises the marker's
//! tag; if not, it is sent the group's secrets too.

mod releasing;
mod sealing;

pub(crate) use releasing::{keep_up, release};
pub(crate) use sealing::{
    Content, SealError, Way, put_back, recipient_keys, seal, seal_instead, signed_by,
};

use crate::private::{
    members::{ask, blocking},
    outbox::Due,
    protocol::{Answer, Question, acknowledgement},
    shared::{AskError, Shared},
    unmarked,
};
use alloy_primitives::{Address, B256};
use medina_enclave::{Digest, GroupId, PayloadStatus, SignDomain, verify};
use medina_storage::StorageError;
use medina_types::NodeSignature;
use releasing::{release_of, send_marker};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use tracing::{debug, warn};

/// How often the outbox is looked at when nothing is due.
const LOOK_PERIOD_MS: u64 = 1_000;
/// Secrets that travel with an envelope, those in use first.
const SECRETS_PER_DELIVERY_MAX: usize = 64;

/// Delivers until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    // The lock is not held while markers are handed over.
    {
        let _turn = shared.releasing.lock();
        let mut released: Vec<_> = shared.outbox.lock().released().cloned().collect();
        // Those of an account in the order of its nonces, all others as they were taken.
        released.sort_by_key(|one| (one.signed, one.order, one.digest));
        for delivery in &released {
            send_marker(&shared, delivery);
        }
    }
    let mut under_way = JoinSet::new();
    let mut sweep = tokio::time::interval(unmarked::SWEEP_PERIOD);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now_ms = shared.now_ms();
        let (due, next_ms) = {
            let mut outbox = shared.outbox.lock();
            (outbox.due(now_ms), outbox.next_due_ms())
        };
        for due in due {
            under_way.spawn(deliver(shared.clone(), due));
        }
        metrics::gauge!("medina_private_outbox").set(shared.outbox.lock().len() as f64);
        let wait_ms = next_ms.map_or(LOOK_PERIOD_MS, |at_ms| at_ms.saturating_sub(now_ms));
        let wait = Duration::from_millis(wait_ms.clamp(10, LOOK_PERIOD_MS));
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.outbox_wake.notified() => {}
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
            _ = sweep.tick() => {
                under_way.spawn(unmarked::sweep(shared.clone()));
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn deliver(shared: Arc<Shared>, due: Due) {
    let error = match try_deliver(&shared, due).await {
        Ok(()) => {
            metrics::counter!("medina_private_delivered_total").increment(1);
            return;
        }
        Err(error) => error.to_string(),
    };
    debug!(digest = %due.digest, org = %due.org, error, "an envelope was not delivered");
    let noted = blocking(&shared, move |shared| {
        let now_ms = shared.now_ms();
        let mut outbox = shared.outbox.lock();
        let complete = outbox.on_failed(due.digest, due.org, &error, now_ms);
        drop(outbox);
        complete.map_or(Ok(()), |delivery| shared.write_delivery(&delivery))
    });
    if let Ok(Err(error)) = noted.await {
        warn!(digest = %due.digest, %error, "a delivery cannot be written");
    }
}

/// Gives an envelope to a recipient; where that lacks the group's secret, once more with it.
async fn try_deliver(shared: &Arc<Shared>, due: Due) -> Result<(), AskError> {
    let group = shared.group(due.group);
    let knows = group.is_some_and(|group| group.know_secret.lock().contains(&due.org));
    for with_secrets in [!knows, true] {
        let question = blocking(shared, move |shared| wrapped(shared, due, with_secrets)).await??;
        return match ask(shared, due.org, question).await? {
            Answer::Acknowledged { signature } => {
                blocking(shared, move |shared| acknowledged(shared, due, &signature)).await??;
                // It would not have acknowledged what it does not recognise.
                if let Some(group) = shared.group(due.group) {
                    group.know_secret.lock().insert(due.org);
                }
                Ok(())
            }
            Answer::SecretWanted if !with_secrets => continue,
            Answer::Erased(_) => blocking(shared, move |shared| on_erased(shared, due)).await?,
            other => Err(AskError::Wrong(format!("{} to a delivery", other.name()))),
        };
    }
    Err(AskError::Wrong(
        "it does not take the group's secret".to_owned(),
    ))
}

/// A recipient says that it has erased the payload: it has not acknowledged it. Only
/// what was erased here too goes to nobody.
fn on_erased(shared: &Shared, due: Due) -> Result<(), AskError> {
    let ours = |error: &dyn std::fmt::Display| AskError::Ours(error.to_string());
    let status = shared.enclave.status(&Digest(due.digest.0));
    if !matches!(status, Ok(PayloadStatus::Erased(_))) {
        return Err(AskError::Wrong("it has erased the payload".to_owned()));
    }
    let reason = "the payload was erased";
    let abandoned = shared.outbox.lock().abandon(due.digest, reason);
    if let Some(delivery) = abandoned {
        shared
            .write_delivery(&delivery)
            .map_err(|error| ours(&error))?;
        release(shared, due.group).map_err(|error| ours(&error))?;
    }
    Ok(())
}

/// How far a delivery is, complete or not. Blocks.
///
/// # Errors
/// Why it was given up, or when the disk cannot be read.
pub(crate) fn is_acknowledged(shared: &Shared, digest: B256) -> Result<bool, String> {
    let waiting = shared.outbox.lock().get(digest).cloned();
    // Complete deliveries are on the disk only.
    let delivery = match waiting {
        Some(delivery) => Some(delivery),
        None => shared
            .rows
            .delivery(digest)
            .map_err(|error| error.to_string())?,
    };
    delivery.map_or(Ok(false), |delivery| delivery.is_acknowledged())
}

/// The envelope for one recipient, with the group's secrets if it may lack them.
fn wrapped(shared: &Shared, due: Due, with_secrets: bool) -> Result<Question, AskError> {
    let ours = |error: &dyn std::fmt::Display| AskError::Ours(error.to_string());
    let sender = shared.party(due.sender);
    let sender = sender.ok_or_else(|| ours(&"this node acts for the sender no more"))?;
    let keys = recipient_keys(shared, &[due.org]).map_err(|error| ours(&error))?;
    let caller = shared.caller("deliver");
    let digest = Digest(due.digest.0);
    let envelope = shared
        .enclave
        .rewrap(&caller, &digest, &sender.id, &keys)
        .map_err(|error| ours(&error))?;
    let secrets = match keys.first().filter(|_| with_secrets) {
        Some(key) => {
            let group = GroupId(due.group.0);
            let enclave = &shared.enclave;
            let sealed = enclave.share_group_secrets(&caller, &group, &sender.id, key);
            let sealed = sealed.map_err(|error| ours(&error))?.into_iter();
            sealed
                .take(SECRETS_PER_DELIVERY_MAX)
                .map(|sealed| sealed.to_bytes())
                .collect()
        }
        None => Vec::new(),
    };
    Ok(Question::Deliver {
        from: due.sender.0,
        to: due.org.0,
        envelope: envelope.to_bytes(),
        tag: due.tag.0,
        secrets,
    })
}

fn acknowledged(shared: &Shared, due: Due, signature: &[u8]) -> Result<(), AskError> {
    let known = shared.known();
    let party = known.parties.get(&due.org).ok_or(AskError::NoParty)?;
    let message = acknowledgement(due.digest.0, due.group.0, due.org.0);
    let signature = <[u8; 64]>::try_from(signature).map(NodeSignature);
    let is_signed = signature.is_ok_and(|signature| {
        verify(&party.id, SignDomain::Acknowledgement, &message, &signature).is_ok()
    });
    if !is_signed {
        return Err(AskError::Wrong(
            "the acknowledgement is not signed by it".to_owned(),
        ));
    }
    let at_s = shared.now_s();
    let named = (due.digest, due.tag);
    let changed = shared.outbox.lock().on_acknowledged(named, due.org, at_s);
    let ours = |error: StorageError| AskError::Ours(error.to_string());
    let Some(delivery) = changed else {
        return Ok(());
    };
    shared.write_delivery(&delivery).map_err(ours)?;
    let account = delivery.signed.map(|signed| Address::from(signed.account));
    release_of(shared, due.group, account).map_err(ours)
}

/// A peer has a link again: what waits for its organisations is due.
pub(crate) fn on_reachable(shared: &Shared, node: &medina_types::NodePublicKey) {
    let known = shared.known();
    let mut is_any = false;
    for org in known.served_by(node) {
        shared.outbox.lock().on_reachable(org);
        is_any = true;
    }
    if is_any {
        shared.outbox_wake.notify_one();
        for group in shared.groups() {
            group.wake.notify_one();
        }
    }
}
