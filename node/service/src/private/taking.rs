//! Private transactions of this node's tenants: what they are held to before anything
//! is sealed, and how they are put on their way.

use crate::private::{
    delivery::{self, Content, Way},
    exec, follower,
    members::blocking,
    outbox::Delivery,
    registry::GroupRecord,
    shared::Shared,
    tenants::{fault, member, of_ask, of_seal},
    validated,
};
use alloy_primitives::B256;
use medina_rpc::privacy::{Distributed, PrivateError, PrivateLimits, PrivateResult, Tenant};
use medina_types::{PrivacyMode, SignedPrivateTransaction};
use std::{sync::Arc, time::Duration};

/// How often a delivery that somebody waits for is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(25);
/// How long somebody may wait for acknowledgements.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Takes a signed transaction: checks, seals, puts it on its way.
///
/// # Errors
/// With [`PrivateError`], as JSON-RPC answers it.
pub(crate) async fn take(
    shared: &Arc<Shared>,
    limits: PrivateLimits,
    tenant: &Tenant,
    transaction: SignedPrivateTransaction,
    is_foreign: bool,
) -> PrivateResult<Delivery> {
    let inner = transaction.transaction();
    let group = member(shared, tenant, inner.group)?.group;
    check(shared, limits, &group, &transaction)?;
    follower::ensure_secret(shared, &group)
        .await
        .map_err(of_ask)?;
    let tenant = tenant.clone();
    let sealed = blocking(shared, move |shared| {
        let member = member(shared, &tenant, group.id)?;
        if group.mode == PrivacyMode::CounterParty {
            check_sender(shared, &group, &transaction)?;
        }
        if group.mode == PrivacyMode::Validated && !is_foreign {
            return validated::seal(shared, member.party, &group, &transaction).map_err(of_seal);
        }
        if group.mode == PrivacyMode::Validated {
            return Err(PrivateError::Unsupported(
                "this group's transactions follow each other: its markers are sent by the node, with priv_sendTransaction".to_owned(),
            ));
        }
        let way = Way {
            is_foreign,
            order: shared.next_order(),
            signed: delivery::signed_by(shared, &transaction),
            ..Way::default()
        };
        let payload = transaction.encode();
        let content = Content::Bytes(&payload);
        delivery::seal(shared, member.party, &group, content, None, way).map_err(of_seal)
    });
    sealed.await.map_err(of_ask)?
}

/// What every sender is held to, before anything is sealed.
fn check(
    shared: &Shared,
    limits: PrivateLimits,
    group: &GroupRecord,
    transaction: &SignedPrivateTransaction,
) -> PrivateResult<()> {
    let inner = transaction.transaction();
    if inner.mode != group.mode {
        let (got, want) = (inner.mode.number(), group.mode.number());
        return Err(PrivateError::Refused(format!(
            "the transaction is signed for mode {got}, the group's is {want}"
        )));
    }
    let (got, max) = (inner.data.len(), limits.payload_bytes);
    if got > max {
        return Err(PrivateError::Limit(format!(
            "payload of {got} bytes, limit {max}"
        )));
    }
    let (got, max) = (inner.gas, limits.gas);
    if got > max {
        return Err(PrivateError::Limit(format!(
            "private gas {got}, limit {max}"
        )));
    }
    let sender = transaction
        .recover(shared.chain.spec.chain_id)
        .map_err(|error| PrivateError::Refused(error.to_string()))?;
    if !shared.rates.try_take(sender, shared.now_ms()) {
        let max = shared.limits.sender_per_minute;
        return Err(PrivateError::Limit(format!(
            "{sender} has sent {max} private transactions within a minute, the limit; wait a little"
        )));
    }
    Ok(())
}

/// Counter-party protection at the door: what the members would pass over is refused.
fn check_sender(
    shared: &Shared,
    group: &GroupRecord,
    transaction: &SignedPrivateTransaction,
) -> PrivateResult<()> {
    let sender = transaction
        .recover(shared.chain.spec.chain_id)
        .map_err(|error| PrivateError::Refused(error.to_string()))?;
    let head = shared.chain.head().height;
    let state = shared.chain.store.state();
    let org = exec::organisation_at(shared, sender, head, &state).map_err(fault)?;
    if org.is_some_and(|org| group.has(&org)) {
        return Ok(());
    }
    Err(PrivateError::Refused(format!(
        "counter-party protection: account {sender} belongs to no member organisation of the group"
    )))
}

/// Seals and delivers without a marker; answers when enough members have acknowledged.
///
/// # Errors
/// As [`take`], and when they have not within [`DELIVERY_WAIT_MAX`].
pub(crate) async fn distribute(
    shared: &Arc<Shared>,
    limits: PrivateLimits,
    tenant: &Tenant,
    transaction: SignedPrivateTransaction,
) -> PrivateResult<Distributed> {
    let delivery = take(shared, limits, tenant, transaction, true).await?;
    let digest = B256::from(delivery.digest);
    let until = tokio::time::Instant::now() + DELIVERY_WAIT_MAX;
    loop {
        let looked = blocking(shared, move |shared| {
            delivery::is_acknowledged(shared, digest)
        });
        let given_up = |reason| PrivateError::Unavailable(format!("envelope {digest}: {reason}"));
        if looked.await.map_err(of_ask)?.map_err(given_up)? {
            return Ok(Distributed {
                digest,
                tag: delivery.tag.into(),
            });
        }
        if tokio::time::Instant::now() >= until {
            return Err(PrivateError::Unavailable(format!(
                "the members have not acknowledged envelope {digest} yet; priv_getDeliveryStatus says who is missing"
            )));
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}
