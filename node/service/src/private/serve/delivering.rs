//! Envelopes that members deliver: taken in, and acknowledged, if this node will find
//! their markers.

use super::{Asker, Refusal, Reply, receipt};
use crate::private::{
    compat,
    protocol::{Answer, acknowledgement},
    shared::Shared,
    tagging, unmarked,
};
use alloy_primitives::B256;
use medina_enclave::{EnclaveError, Envelope, Metadata, SignDomain};
use tracing::debug;

/// Takes an envelope in, for a party of ours, whose marker has this tag.
pub(super) fn deliver(
    shared: &Shared,
    asker: &Asker,
    (to, tag): (B256, B256),
    envelope: &Envelope,
    secrets: &[Vec<u8>],
) -> Reply {
    let group = &asker.group;
    let party = shared.party(to).filter(|_| group.has(&to));
    let party = party.ok_or(Refusal::Stranger)?;
    check(shared, asker, &envelope.metadata)?;
    let digest = envelope.digest();
    let named = B256::from(digest.0);
    // An envelope whose marker nobody here recognises is of no use.
    if let Some(answer) = unrecognised(shared, asker, (named, tag), secrets)? {
        return Ok(answer);
    }
    if !shared.unmarked.has_room(group.id, asker.org) {
        debug!(group = %group.id, by = %asker.org, "a member delivers much and marks nothing");
        return Ok(Answer::Later);
    }
    let caller = shared.caller("receive");
    match shared.enclave.accept(&caller, envelope) {
        Ok(_) => {}
        Err(EnclaveError::Erased(_)) => return receipt(shared, group, &digest),
        Err(error) => return Err(error.into()),
    }
    unmarked::on_accepted(shared, group.id, asker.org, named)?;
    compat::note_envelope(shared, named, &envelope.metadata)?;
    let message = acknowledgement(digest.0, group.id.0, to.0);
    let signature = shared
        .enclave
        .sign(&party.id, SignDomain::Acknowledgement, &message)?;
    if let Some(group) = shared.group(group.id) {
        group.wake.notify_one();
    }
    Ok(Answer::Acknowledged {
        signature: signature.0.to_vec(),
    })
}

/// What the envelope says of itself.
fn check(shared: &Shared, asker: &Asker, metadata: &Metadata) -> Result<(), Refusal> {
    let spec = &shared.chain.spec;
    let wrong = |reason: &str| Err(Refusal::Wrong(reason.to_owned()));
    if metadata.chain_id != spec.chain_id || metadata.genesis_hash != spec.genesis_hash.0 {
        return wrong("the envelope is of another chain");
    }
    if metadata.mode.number() != asker.group.mode.number() {
        return wrong("the envelope is of another mode");
    }
    let sender = shared.known().org_of(&metadata.sender);
    if !sender.is_some_and(|org| asker.group.has(&org)) {
        return wrong("the envelope is from no member");
    }
    Ok(())
}

/// What to answer where our own secrets, with those that came along, do not make the
/// marker one that counts; `None` where they do.
fn unrecognised(
    shared: &Shared,
    asker: &Asker,
    (digest, tag): (B256, B256),
    secrets: &[Vec<u8>],
) -> Result<Option<Answer>, Refusal> {
    let group = asker.group.id;
    let version = || tagging::version_of(shared, group, (digest, tag));
    let is_enough = || matches!(version(), Ok(Some(_)));
    tagging::take_all(shared, &asker.group, asker.org, secrets, is_enough);
    let in_force = tagging::version_now(shared, group)?;
    Ok(match version()? {
        Some(version) if version == in_force => None,
        // One of the two has not seen yet who has left.
        Some(_) => Some(Answer::Later),
        None => Some(Answer::SecretWanted),
    })
}
