//! Payloads that are not here, asked of the other members.

use crate::private::{
    compat, erasing,
    members::{ask, blocking},
    protocol::{Answer, Question},
    registry::GroupRecord,
    shared::{AskError, Shared},
};
use alloy_primitives::B256;
use medina_enclave::{EnclaveError, Envelope};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tracing::debug;

/// Payloads that are asked for at once.
const ASKED_AT_ONCE: usize = 16;
/// Payloads of which it is remembered who has erased them.
const REMEMBERED_MAX: usize = 4_096;

/// Members that signed that they erased a payload, by payload.
pub(crate) type ErasedBy = BTreeMap<B256, BTreeSet<B256>>;

/// Asks the members for payloads; true if one came, or a member said for the first time
/// that it has erased one.
///
/// # Errors
/// When this node is stopping.
pub(crate) async fn gather(
    shared: &Arc<Shared>,
    record: &GroupRecord,
    missing: &[B256],
    erased_by: &mut ErasedBy,
) -> Result<bool, AskError> {
    let Some(from) = shared.parties_in(record).next().map(|party| party.org) else {
        return Ok(false);
    };
    let mut is_news = false;
    for digest in missing.iter().take(ASKED_AT_ONCE).copied() {
        for (org, _) in shared.others_in(record) {
            let question = Question::Fetch {
                from: from.0,
                group: record.id.0,
                digest: digest.0,
            };
            match ask(shared, org, question).await {
                Ok(Answer::Envelope(bytes)) => match take(shared, digest, bytes).await {
                    Ok(()) => {
                        metrics::counter!("medina_private_fetched_total").increment(1);
                        is_news = true;
                        break;
                    }
                    Err(error) => debug!(%org, %digest, %error, "a member's envelope is no use"),
                },
                Ok(Answer::Erased(receipt)) => {
                    if erasing::is_receipt_of(shared, org, digest, &receipt) {
                        is_news |= erased_by.entry(digest).or_default().insert(org);
                    }
                }
                Ok(_) => {}
                Err(error) => debug!(%org, %digest, %error, "a member gave no payload"),
            }
        }
    }
    while erased_by.len() > REMEMBERED_MAX {
        erased_by.pop_first();
    }
    Ok(is_news)
}

async fn take(shared: &Arc<Shared>, digest: B256, bytes: Vec<u8>) -> Result<(), AskError> {
    let taken = blocking(shared, move |shared| accept(shared, digest, &bytes));
    taken
        .await?
        .map_err(|error| AskError::Ours(error.to_string()))
}

fn accept(shared: &Shared, digest: B256, bytes: &[u8]) -> Result<(), EnclaveError> {
    let envelope = Envelope::from_bytes(bytes)?;
    if envelope.digest().0 != digest.0 {
        return Err(EnclaveError::BadEnvelope("another one".to_owned()));
    }
    shared.enclave.accept(&shared.caller("fetch"), &envelope)?;
    compat::note_envelope(shared, digest, &envelope.metadata)
        .map_err(|error| EnclaveError::Store(error.to_string()))
}
