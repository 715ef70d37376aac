//! Sealing: a payload becomes an envelope for a group's members, and a delivery.

use crate::private::{
    compat,
    outbox::{Delivery, MarkerStage, Policy, Recipient, Signed},
    registry::{GroupRecord, RegistryError},
    shared::{OwnParty, Shared},
    tagging,
};
use alloy_primitives::B256;
use medina_enclave::{EnclaveError, GroupId, Mode, RecipientKey, Roots, Terms};
use medina_storage::StorageError;
use medina_types::{PrivacyMode, SignedPrivateTransaction};
use std::collections::BTreeMap;

/// Why a payload was not sealed and put into the outbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The members would take nothing from this node.
    #[error(
        "this node's identity key is not the one that organisation {0} has registered; its admin runs `medina private party register`"
    )]
    NotRegistered(B256),
    /// A member cannot be encrypted to.
    #[error("member {0} has published no encryption key yet; its node does so when it runs")]
    NoKey(B256),
    /// As many deliveries wait as the node keeps of a group, or at all.
    #[error(
        "the outbox is full: {0} deliveries of this group are not complete, because members do not answer; see priv_getDeliveryStatus"
    )]
    Full(usize),
    /// A member has left since, and the group's new secret is not here yet.
    #[error("a member has left the group just now; send it again")]
    NewSecret,
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
    /// It is done only when it was executed.
    pub(crate) awaits_receipt: bool,
    /// Place among those that wait for their turn.
    pub(crate) order: u64,
    /// Its account, and its place among the transactions of that.
    pub(crate) signed: Option<Signed>,
    /// Public block that it was tried on; the newest where that does not matter.
    pub(crate) anchor: Option<u64>,
    /// The one that it was sealed anew for, and how often that was done.
    pub(crate) replaces: Option<(B256, u32)>,
}

/// By which account, with which private nonce; `None` where nobody can be recovered,
/// which is refused when it is executed.
pub(crate) fn signed_by(shared: &Shared, transaction: &SignedPrivateTransaction) -> Option<Signed> {
    let account = transaction.recover(shared.chain.spec.chain_id).ok()?;
    Some(Signed::new(account, transaction.transaction().nonce))
}

/// Seals a payload for a group's members and puts it into the outbox. The group's
/// secret is there: see [`crate::private::secrets::ensure_secret`]. Blocks.
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
    let delivery = sealed(shared, sender, group, content, roots, way)?;
    put(shared, &delivery, None)?;
    Ok(delivery)
}

/// The same, instead of a delivery that was sealed on an older state: both are on the
/// disk, or neither.
///
/// # Errors
/// See [`SealError`].
pub(crate) fn seal_instead(
    shared: &Shared,
    sender: &OwnParty,
    group: &GroupRecord,
    payload: &[u8],
    roots: Option<Roots>,
    (old, way): (B256, Way),
) -> Result<Delivery, SealError> {
    let content = Content::Bytes(payload);
    let delivery = sealed(shared, sender, group, content, roots, way)?;
    put(shared, &delivery, Some(old))?;
    Ok(delivery)
}

/// An envelope in the enclave, and what is to be done with it.
fn sealed(
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
    check_registered(shared, sender)?;
    let keys = recipient_keys(shared, &others)?;
    let caller = shared.caller("send");
    let anchor = way.anchor.unwrap_or_else(|| shared.chain.head().height.0);
    let terms = Terms {
        chain_id: shared.chain.spec.chain_id,
        genesis_hash: shared.chain.spec.genesis_hash.0,
        group: GroupId(group.id.0),
        mode: mode_of(group.mode),
        sender: sender.id,
        anchor_slot: anchor,
        roots,
    };
    let envelope = match content {
        Content::Bytes(payload) => shared.enclave.seal(&caller, &terms, payload, &keys)?,
        Content::Raw(handle) => shared.enclave.seal_raw(&caller, handle, &terms, &keys)?,
    };
    let digest = B256::from(envelope.digest().0);
    compat::note_envelope(shared, digest, &envelope.metadata)?;
    let (tag, secret_version) = tag_of(shared, group.id, digest)?;
    let mandatory = group.mandatory.iter().filter(|org| **org != sender.org);
    Ok(Delivery {
        digest: digest.0,
        group: group.id.0,
        sender: sender.org.0,
        tag: tag.0,
        secret_version,
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
        awaits_receipt: way.awaits_receipt,
        order: way.order,
        signed: way.signed,
        sealed_anew: way.replaces.map_or(0, |(_, times)| times + 1),
    })
}

/// The tag of a marker by the newest secret, and that secret's version.
pub(super) fn tag_of(shared: &Shared, group: B256, digest: B256) -> Result<(B256, u32), SealError> {
    let group_id = GroupId(group.0);
    let tag = shared
        .enclave
        .tag(&group_id, &medina_enclave::Digest(digest.0))?;
    let tag = B256::from(tag.0);
    let version = tagging::version_of(shared, group, (digest, tag))?;
    // A handle's marker carries no tag; all others are of no use by an older secret.
    match version {
        Some(version) if version >= tagging::version_now(shared, group)? => Ok((tag, version)),
        _ => Err(SealError::NewSecret),
    }
}

/// Puts a delivery into the outbox, on the disk first, in the place of another one
/// where there is one.
fn put(shared: &Shared, delivery: &Delivery, old: Option<B256>) -> Result<(), SealError> {
    let group = B256::from(delivery.group);
    {
        // What is refused must not be on the disk: it would go out after a restart.
        let mut outbox = shared.outbox.lock();
        if old.is_none() && !outbox.reserve(group) {
            return Err(SealError::Full(outbox.len_of(group)));
        }
    }
    let replaced = old.and_then(|old| {
        let outbox = shared.outbox.lock();
        let old = outbox.get(old)?;
        Some(old.replaced_with(B256::from(delivery.digest)))
    });
    let rows = replaced.iter().map(|old| (old, false));
    let rows: Vec<_> = rows.chain([(delivery, true)]).collect();
    if let Err(error) = shared.rows.put_deliveries(&rows) {
        if old.is_none() {
            shared.outbox.lock().give_back(group);
        }
        return Err(error.into());
    }
    {
        let mut outbox = shared.outbox.lock();
        match old {
            None => outbox.add(delivery.clone()),
            Some(old) => {
                outbox.replace(old, B256::from(delivery.digest));
                outbox.restore(delivery.clone());
            }
        }
    }
    // Alone in the group.
    super::release(shared, group)?;
    shared.outbox_wake.notify_one();
    Ok(())
}

/// Puts a delivery back that was in the outbox before: the bound is not for it.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn put_back(shared: &Shared, delivery: Delivery) -> Result<(), StorageError> {
    shared.rows.put_deliveries(&[(&delivery, true)])?;
    let group = B256::from(delivery.group);
    shared.outbox.lock().restore(delivery);
    super::release(shared, group)?;
    shared.outbox_wake.notify_one();
    Ok(())
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

fn check_registered(shared: &Shared, sender: &OwnParty) -> Result<(), SealError> {
    let party = shared.registry.now(|view| view.party(sender.org))?;
    match party.is_some_and(|party| party.id == sender.id) {
        true => Ok(()),
        false => Err(SealError::NotRegistered(sender.org)),
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
