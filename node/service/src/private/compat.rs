//! Private transactions of `GoQuorum`'s clients, where genesis says `quorumCompat`.
//!
//! ```text
//! storeraw -> handle -> client signs a transaction that carries it, marks it (v 37, 38)
//!   -> sealed for the group of its parties, delivered to all of them
//!   -> its public form (v 27, 28) goes into the pool, and is the marker
//! members: handle -> envelope (known before the transaction is in the pool) -> digest
//! ```
//!
//! Every public transaction that may carry a handle is written down by the scanner. One
//! whose envelope comes later, by a member's mistake or because this node was away, is
//! found then: what was settled behind it is settled anew. Which envelope a handle names
//! in a group stays known when that is erased.
//!
//! The parties of a transaction are a group of the chain with just these members and
//! this mode; where there is none, one has to be made first. All members have to
//! acknowledge before the public transaction leaves: nobody recognises its handle
//! before the envelope is there, since it carries no tag.
//!
//! As in `GoQuorum`, the handle binds the payload and nothing else: who copies it into
//! a transaction of his own has the payload run in his name. Groups in counter-party
//! mode refuse that.

use crate::{
    private::{
        delivery::{self, Content, Way},
        follower,
        members::blocking,
        reading,
        registry::GroupRecord,
        rows::MarkerRow,
        shared::Shared,
        tenants::{caller, groups_of, member, of_ask, of_enclave, of_seal},
    },
    transactions::SubmitError,
};
use alloy_primitives::{Address, B256, B512, Bytes};
use medina_enclave::{Metadata, RawHandle};
use medina_execution::private::CompatCall;
use medina_pool::PoolError;
use medina_rpc::privacy::{CompatSend, PrivateError, PrivateResult, Tenant};
use medina_storage::StorageError;
use medina_types::{
    CompatTransaction, PrivacyMode, RecoveredTransaction, Transaction, compat_handle,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How often a delivery that somebody waits for is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(25);
/// How long somebody may wait for acknowledgements.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Delivers a marked transaction's payload and puts the transaction into the pool.
///
/// # Errors
/// Without a group of just these parties, without the payload, or when the members
/// or the pool do not take it.
pub(crate) async fn send_marked(
    shared: &Arc<Shared>,
    tenant: &Tenant,
    transaction: CompatTransaction,
    to: CompatSend,
) -> PrivateResult<B256> {
    let sender = transaction.sender();
    if !shared.rates.try_take(sender, shared.now_ms()) {
        let max = shared.limits.sender_per_minute;
        return Err(PrivateError::Limit(format!(
            "{sender} has sent {max} private transactions within a minute, the limit; wait a little"
        )));
    }
    let callee = transaction.fields().to.to().copied();
    let group = group_of(shared, tenant, &to, callee).await?;
    let handle = RawHandle(transaction.handle().0);
    deliver(shared, tenant, group, handle).await?;
    let (hash, bytes) = (transaction.public_hash(), transaction.public_bytes());
    let submitted = blocking(shared, move |shared| shared.transactions.submit(&bytes));
    match submitted.await.map_err(of_ask)? {
        Ok(_) | Err(SubmitError::Pool(PoolError::AlreadyKnown)) => Ok(hash),
        Err(error) => Err(PrivateError::Refused(error.to_string())),
    }
}

/// Stores a payload and delivers it: the client sends a transaction with its handle.
///
/// # Errors
/// As [`send_marked`].
pub(crate) async fn send_payload(
    shared: &Arc<Shared>,
    tenant: &Tenant,
    payload: Bytes,
    to: CompatSend,
) -> PrivateResult<B512> {
    check_rate(shared, tenant)?;
    let group = group_of(shared, tenant, &to, None).await?;
    let by = tenant.clone();
    let stored = blocking(shared, move |shared| {
        let party = shared.party(by.org).ok_or(PrivateError::UnknownGroup)?;
        let stored = shared
            .enclave
            .store_raw(&caller(shared, &by), &payload, &party.id);
        stored.map_err(of_enclave)
    });
    let handle = stored.await.map_err(of_ask)??;
    let answer = B512::from(handle.0);
    deliver(shared, tenant, group, handle).await?;
    Ok(answer)
}

/// Payloads that are stored or sent without a signed transaction are counted by tenant.
///
/// # Errors
/// [`PrivateError::Limit`].
pub(crate) fn check_rate(shared: &Shared, tenant: &Tenant) -> PrivateResult<()> {
    if shared.payload_rates.try_take(tenant.org, shared.now_ms()) {
        return Ok(());
    }
    let max = shared.limits.sender_per_minute;
    Err(PrivateError::Limit(format!(
        "{max} payloads were stored within a minute, the limit; wait a little"
    )))
}

/// The group of just these parties. Of several, one that has the contract called.
async fn group_of(
    shared: &Arc<Shared>,
    tenant: &Tenant,
    to: &CompatSend,
    callee: Option<Address>,
) -> PrivateResult<GroupRecord> {
    let (tenant, to) = (tenant.clone(), to.clone());
    let found = blocking(shared, move |shared| {
        let of = groups_of(shared, &tenant);
        let mut fitting = of.into_iter().filter(|group| fits(group, tenant.org, &to));
        let Some(first) = fitting.next() else {
            return Err(no_group(&to));
        };
        let Some(callee) = callee else {
            return Ok(first);
        };
        if has_code(shared, &tenant, &first, callee)? {
            return Ok(first);
        }
        for group in fitting {
            if has_code(shared, &tenant, &group, callee)? {
                return Ok(group);
            }
        }
        Ok(first)
    });
    found.await.map_err(of_ask)?
}

/// Whether a group is that of these parties, in this mode.
fn fits(group: &GroupRecord, own: B256, to: &CompatSend) -> bool {
    let mut parties: BTreeSet<_> = to.recipients.iter().copied().collect();
    parties.insert(own);
    let mandatory: BTreeSet<_> = to.mandatory.iter().copied().collect();
    group.mode == to.mode
        && group.members.iter().copied().collect::<BTreeSet<_>>() == parties
        && (to.mode != PrivacyMode::MandatoryRecipients
            || group.mandatory.iter().copied().collect::<BTreeSet<_>>() == mandatory)
}

fn no_group(to: &CompatSend) -> PrivateError {
    PrivateError::Refused(format!(
        "no private group of just these parties has mode {}: make one first (`medina private groups new`)",
        to.mode.number()
    ))
}

fn has_code(
    shared: &Shared,
    tenant: &Tenant,
    group: &GroupRecord,
    address: Address,
) -> PrivateResult<bool> {
    let code = reading::with_state(shared, tenant, group.id, None, |store, at| {
        store.code_at(at.private, address)
    })?;
    Ok(code.is_some_and(|code| !code.is_empty()))
}

/// Seals what is stored under a handle, and waits until every member has it.
async fn deliver(
    shared: &Arc<Shared>,
    tenant: &Tenant,
    group: GroupRecord,
    handle: RawHandle,
) -> PrivateResult<()> {
    if group.mode == PrivacyMode::Validated {
        return Err(PrivateError::Unsupported(
            "validated groups take priv_sendTransaction alone: their transactions follow each other"
                .to_owned(),
        ));
    }
    follower::ensure_secret(shared, &group)
        .await
        .map_err(of_ask)?;
    let tenant = tenant.clone();
    let sealed = blocking(shared, move |shared| {
        let member = member(shared, &tenant, group.id)?;
        // Nobody who lacks the envelope recognises the public transaction.
        let everybody = GroupRecord { quorum: 0, ..group };
        let way = Way {
            is_foreign: true,
            ..Way::default()
        };
        let content = Content::Raw(&handle);
        delivery::seal(shared, member.party, &everybody, content, None, way).map_err(of_seal)
    });
    let delivery = sealed.await.map_err(of_ask)??;
    acknowledged(shared, delivery.digest.into()).await
}

async fn acknowledged(shared: &Arc<Shared>, digest: B256) -> PrivateResult<()> {
    let until = tokio::time::Instant::now() + DELIVERY_WAIT_MAX;
    loop {
        let looked = blocking(shared, move |shared| {
            delivery::is_acknowledged(shared, digest)
        });
        let given_up = |reason| PrivateError::Unavailable(format!("envelope {digest}: {reason}"));
        if looked.await.map_err(of_ask)?.map_err(given_up)? {
            return Ok(());
        }
        if tokio::time::Instant::now() >= until {
            return Err(PrivateError::Unavailable(format!(
                "the members have not acknowledged envelope {digest} yet, so the transaction was not sent; \
                 send it again"
            )));
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}

/// What a public transaction is if its data is a handle of ours, which shows when the
/// envelope is here. It counts however it ended: its public side has no meaning.
pub(crate) fn candidate(shared: &Shared, transaction: &Transaction) -> Option<MarkerRow> {
    if !shared.chain.quorum_compat {
        return None;
    }
    let handle = compat_handle(transaction)?;
    Some(MarkerRow::of_handle(&handle.0, *transaction.tx_hash()))
}

/// Notes an envelope that this node has sealed or taken in, if a handle names it. A
/// transaction with the handle that was passed by is looked at again. Call it after
/// each, also where the enclave had the envelope before: the call may have been lost.
///
/// # Errors
/// When the private database does not take it.
pub(crate) fn note_envelope(
    shared: &Shared,
    digest: B256,
    metadata: &Metadata,
) -> Result<(), StorageError> {
    let Some(handle) = metadata
        .handle
        .as_ref()
        .filter(|_| shared.chain.quorum_compat)
    else {
        return Ok(());
    };
    let (rows, group) = (&shared.rows, B256::from(metadata.group.0));
    if rows.digest_of_handle(&handle.0, group)?.is_some() {
        return Ok(());
    }
    // Before the handle is known: a crash between must not lose the look.
    if rows.is_handle_placed(&handle.0)? {
        rows.put_look(group)?;
    }
    rows.put_handle(&handle.0, group, digest)?;
    // Again: the scanner may just have found it.
    if rows.is_handle_placed(&handle.0)? {
        rows.put_look(group)?;
        if let Some(group) = shared.group(group) {
            group.look_again();
        }
    }
    Ok(())
}

/// The call that a public transaction and the payload behind its handle are; `None`
/// where the envelope is another handle's.
pub(crate) fn call(
    marker: &RecoveredTransaction,
    handle: &RawHandle,
    payload: &[u8],
) -> Option<CompatCall> {
    use alloy_consensus::Transaction as _;
    let transaction = marker.transaction();
    let named = compat_handle(transaction)?;
    (named.0 == handle.0).then(|| CompatCall {
        sender: marker.sender(),
        nonce: transaction.nonce(),
        kind: transaction.kind(),
        gas: transaction.gas_limit(),
        data: Bytes::copy_from_slice(payload),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(members: &[u8], mode: PrivacyMode, mandatory: &[u8]) -> GroupRecord {
        GroupRecord {
            id: B256::ZERO,
            mode,
            quorum: 0,
            attest_every: 64,
            secret_version: 0,
            members: members.iter().copied().map(B256::repeat_byte).collect(),
            mandatory: mandatory.iter().copied().map(B256::repeat_byte).collect(),
        }
    }

    #[test]
    fn parties_are_a_group_only_together_and_in_its_mode() {
        let own = B256::repeat_byte(1);
        let to = |recipients: &[u8], mode, mandatory: &[u8]| CompatSend {
            recipients: recipients.iter().copied().map(B256::repeat_byte).collect(),
            mode,
            mandatory: mandatory.iter().copied().map(B256::repeat_byte).collect(),
        };
        let standard = PrivacyMode::Standard;
        let pair = group(&[2, 1], standard, &[]);
        assert!(fits(&pair, own, &to(&[2], standard, &[])));
        assert!(!fits(&pair, own, &to(&[], standard, &[])));
        assert!(!fits(&pair, own, &to(&[2, 3], standard, &[])));
        assert!(!fits(&pair, own, &to(&[2], PrivacyMode::CounterParty, &[])));
        let strict = PrivacyMode::MandatoryRecipients;
        let named = group(&[1, 2], strict, &[2]);
        assert!(fits(&named, own, &to(&[2], strict, &[2])));
        assert!(!fits(&named, own, &to(&[2], strict, &[1])));
    }
}
