//! Envelopes on their way: sealed for the members, given to each, acknowledged.
//!
//! The outbox keeps digests only. What travels is wrapped at every try for the key
//! that the recipient has published by then, so that a recipient who was away over a
//! rotation can open it.

use crate::private::{
    members::{ask, blocking},
    outbox::{Delivery, Due, MarkerStage, Policy, Recipient},
    protocol::{Answer, Question, acknowledgement},
    registry::{GroupRecord, RegistryError},
    shared::{AskError, OwnParty, Shared},
};
use alloy_primitives::B256;
use medina_enclave::{
    Digest, EnclaveError, GroupId, Mode, PayloadStatus, RecipientKey, Roots, SealedSecret,
    SignDomain, Terms, verify,
};
use medina_storage::StorageError;
use medina_types::{Marker, NodeSignature, PrivacyMode};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use tracing::{debug, warn};

/// How often the outbox is looked at when nothing is due.
const LOOK_PERIOD_MS: u64 = 1_000;

/// Why a payload was not sealed and put into the outbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// A member cannot be encrypted to.
    #[error("member {0} has published no encryption key yet; its node does so when it runs")]
    NoKey(B256),
    /// As many deliveries wait as the node keeps.
    #[error(
        "the outbox is full: {0} deliveries are not complete, because members do not answer; see priv_getDeliveryStatus"
    )]
    Full(usize),
    /// The enclave refused or is away.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// The contract did not answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// What was stored under a handle.
    Raw(&'a medina_enclave::RawHandle),
}

/// How a delivery goes on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// The client sends the marker, not the marker account.
    pub(crate) is_foreign: bool,
    /// It waits for its turn.
    pub(crate) is_held: bool,
    /// Place among those that wait for their turn.
    pub(crate) order: u64,
    /// The one that it was sealed anew for, and how often that was done.
    pub(crate) replaces: Option<(B256, u32)>,
}

/// Seals a payload for a group's members and puts it into the outbox. The group's
/// secret is there: see [`crate::private::follower::ensure_secret`]. Blocks.
///
/// # Errors
/// See [`SealError`].
pub(crate) fn seal(
    shared: &Shared,
    sender: &OwnParty,
    group: &GroupRecord,
    content: Content<'_>,
    roots: Option<Roots>,
    way: Way,
) -> Result<Delivery, SealError> {
    let others: Vec<_> = group
        .members
        .iter()
        .filter(|org| **org != sender.org)
        .copied()
        .collect();
    let keys = recipient_keys(shared, &others)?;
    let caller = shared.caller("send");
    let terms = Terms {
        chain_id: shared.chain.spec.chain_id,
        genesis_hash: shared.chain.spec.genesis_hash.0,
        group: GroupId(group.id.0),
        mode: mode_of(group.mode),
        sender: sender.id,
        anchor_slot: shared.chain.head().height.0,
        roots,
    };
    let envelope = match content {
        Content::Bytes(payload) => shared.enclave.seal(&caller, &terms, payload, &keys)?,
        Content::Raw(handle) => shared.enclave.seal_raw(&caller, handle, &terms, &keys)?,
    };
    let digest = envelope.digest();
    let tag = shared.enclave.tag(&terms.group, &digest)?;
    let mandatory = group.mandatory.iter().filter(|org| **org != sender.org);
    let delivery = Delivery {
        digest: digest.0,
        group: group.id.0,
        sender: sender.org.0,
        tag: tag.0,
        recipients: others
            .iter()
            .map(|org| (org.0, Recipient::default()))
            .collect(),
        policy: Policy {
            mandatory: mandatory.map(|org| org.0).collect(),
            quorum: group.quorum,
        },
        marker: if way.is_foreign {
            MarkerStage::Foreign
        } else {
            MarkerStage::Waiting
        },
        sent_as: None,
        replaced_by: None,
        replaces: way.replaces.map(|(digest, _)| digest.0),
        is_held: way.is_held,
        order: way.order,
        sealed_anew: way.replaces.map_or(0, |(_, times)| times + 1),
    };
    put(shared, delivery.clone())?;
    Ok(delivery)
}

/// Puts a delivery into the outbox, on the disk first.
///
/// # Errors
/// [`SealError::Full`] or [`SealError::Storage`].
pub(crate) fn put(shared: &Shared, delivery: Delivery) -> Result<(), SealError> {
    {
        // What is refused must not be on the disk: it would go out after a restart.
        let mut outbox = shared.outbox.lock();
        if !outbox.reserve() {
            return Err(SealError::Full(outbox.len()));
        }
    }
    if let Err(error) = shared.rows.put_delivery(&delivery, true) {
        shared.outbox.lock().give_back();
        return Err(error.into());
    }
    let group = B256::from(delivery.group);
    shared.outbox.lock().add(delivery);
    // Alone in the group.
    release(shared, group)?;
    shared.outbox_wake.notify_one();
    Ok(())
}

/// Puts a delivery back that was in the outbox before: the bound is not for it.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn put_back(shared: &Shared, delivery: Delivery) -> Result<(), StorageError> {
    shared.rows.put_delivery(&delivery, true)?;
    let group = B256::from(delivery.group);
    shared.outbox.lock().restore(delivery);
    release(shared, group)?;
    shared.outbox_wake.notify_one();
    Ok(())
}

/// Lets the markers of a group out whose policy is met, in their order.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn release(shared: &Shared, group: B256) -> Result<(), StorageError> {
    // One at a time, so that they come to the marker account in their order.
    let _turn = shared.releasing.lock();
    let released = shared.outbox.lock().release(group);
    for delivery in released {
        shared.write_delivery(&delivery)?;
        send_marker(shared, &delivery);
    }
    Ok(())
}

fn send_marker(shared: &Shared, delivery: &Delivery) {
    shared.sending.send_marker(&Marker {
        digest: delivery.digest.into(),
        tag: delivery.tag.into(),
    });
}

/// The enclave's word for a mode.
pub(crate) const fn mode_of(mode: PrivacyMode) -> Mode {
    match mode {
        PrivacyMode::Standard => Mode::Standard,
        PrivacyMode::CounterParty => Mode::CounterParty,
        PrivacyMode::MandatoryRecipients => Mode::Mandatory,
        PrivacyMode::Validated => Mode::Validated,
    }
}

/// The keys to encrypt to now, of all these organisations.
pub(crate) fn recipient_keys(
    shared: &Shared,
    orgs: &[B256],
) -> Result<Vec<RecipientKey>, SealError> {
    shared
        .registry
        .now(|view| {
            let keys = orgs.iter().map(|org| Ok((*org, view.key(*org)?)));
            keys.collect::<Result<BTreeMap<_, _>, RegistryError>>()
        })?
        .into_iter()
        .map(|(org, key)| key.ok_or(SealError::NoKey(org)))
        .collect()
}

/// Delivers until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    // The lock is not held while markers are handed over.
    let mut released: Vec<_> = shared.outbox.lock().released().cloned().collect();
    released.sort_by_key(|delivery| (delivery.order, delivery.digest));
    for delivery in &released {
        send_marker(&shared, delivery);
    }
    let mut under_way = JoinSet::new();
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
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn deliver(shared: Arc<Shared>, due: Due) {
    match try_deliver(&shared, due).await {
        Ok(()) => metrics::counter!("medina_private_delivered_total").increment(1),
        Err(error) => {
            debug!(digest = %due.digest, org = %due.org, %error, "an envelope was not delivered");
            let now_ms = shared.now_ms();
            let mut outbox = shared.outbox.lock();
            outbox.on_failed(due.digest, due.org, &error.to_string(), now_ms);
        }
    }
}

async fn try_deliver(shared: &Arc<Shared>, due: Due) -> Result<(), AskError> {
    let question = blocking(shared, move |shared| wrapped(shared, due)).await??;
    let has_secret = matches!(&question, Question::Deliver { secrets, .. } if !secrets.is_empty());
    match ask(shared, due.org, question).await? {
        Answer::Acknowledged { signature } => {
            blocking(shared, move |shared| acknowledged(shared, due, &signature)).await??;
            if has_secret && let Some(group) = shared.group(due.group) {
                group.know_secret.lock().insert(due.org);
            }
            Ok(())
        }
        Answer::Erased(_) => blocking(shared, move |shared| on_erased(shared, due)).await?,
        other => Err(AskError::Wrong(format!("{} to a delivery", other.name()))),
    }
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

/// The envelope for one recipient, with the group's secret if it may lack that.
fn wrapped(shared: &Shared, due: Due) -> Result<Question, AskError> {
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
    let knows = shared
        .group(due.group)
        .is_some_and(|group| group.know_secret.lock().contains(&due.org));
    let secrets = match keys.first().filter(|_| !knows) {
        Some(key) => {
            let group = GroupId(due.group.0);
            let enclave = &shared.enclave;
            let sealed = enclave.share_group_secrets(&caller, &group, &sender.id, key);
            let sealed = sealed.map_err(|error| ours(&error))?;
            sealed.iter().map(SealedSecret::to_bytes).collect()
        }
        None => Vec::new(),
    };
    Ok(Question::Deliver {
        from: due.sender.0,
        to: due.org.0,
        envelope: envelope.to_bytes(),
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
    let changed = shared
        .outbox
        .lock()
        .on_acknowledged(due.digest, due.org, at_s);
    let ours = |error: StorageError| AskError::Ours(error.to_string());
    if let Some(delivery) = changed {
        shared.write_delivery(&delivery).map_err(ours)?;
    }
    release(shared, due.group).map_err(ours)
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

/// Members that left are waited for no more.
pub(crate) fn forget_absent(shared: &Shared, group: &GroupRecord) {
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
        let written = changed
            .iter()
            .try_for_each(|delivery| shared.write_delivery(delivery))
            .and_then(|()| release(shared, group.id));
        if let Err(error) = written {
            warn!(%error, "a delivery cannot be written");
        }
    }
}
