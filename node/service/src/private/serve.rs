//! Answers to other members. Who is no member of the group, by this node's own
//! chain, is refused and learns nothing, not even whether there is such a group.

mod delivering;

use crate::private::{
    attestation::Attestation,
    erasing::{self, Carried, Order},
    members::blocking,
    protocol::{Answer, Question},
    registry::GroupRecord,
    shared::{OwnParty, Shared},
};
use alloy_primitives::B256;
use borsh::BorshDeserialize as _;
use medina_enclave::{
    Certificate, Digest, EnclaveError, Envelope, GroupId, PayloadStatus, SealedSecret,
};
use medina_storage::SnapshotCursor;
use medina_types::{Height, NodePublicKey, limits};
use std::sync::Arc;
use tracing::debug;

/// Bytes of a piece of a snapshot, with room for one code and the words around it.
const CHUNK_BYTES: usize = limits::PRIVATE_ANSWER_BYTES_MAX / 2;

/// Answers a question of a node.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    from: NodePublicKey,
    question: Question,
) -> Answer {
    let answered = blocking(shared, move |shared| reply(shared, &from, question)).await;
    let answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(refusal)) => refusal.into_answer(&from),
        Err(_) => Answer::Later,
    };
    if answer == Answer::Refused {
        metrics::counter!("medina_private_refused_total").increment(1);
    }
    answer
}

/// Why there is no answer to the point.
enum Refusal {
    Stranger,
    Enclave(EnclaveError),
    Ours(String),
    Wrong(String),
}

impl Refusal {
    fn into_answer(self, from: &NodePublicKey) -> Answer {
        match self {
            Self::Stranger => Answer::Refused,
            Self::Wrong(reason) => Answer::Wrong(reason),
            Self::Enclave(EnclaveError::Missing(_) | EnclaveError::NoGroupSecret(_)) => {
                Answer::Missing
            }
            Self::Enclave(
                error @ (EnclaveError::BadEnvelope(_)
                | EnclaveError::NotForUs(_)
                | EnclaveError::TooLarge { .. }),
            ) => Answer::Wrong(error.to_string()),
            Self::Enclave(error) => {
                debug!(%from, %error, "a member gets no answer now");
                Answer::Later
            }
            Self::Ours(error) => {
                debug!(%from, error, "a member gets no answer now");
                Answer::Later
            }
        }
    }
}

impl From<EnclaveError> for Refusal {
    fn from(error: EnclaveError) -> Self {
        Self::Enclave(error)
    }
}

impl From<crate::private::registry::RegistryError> for Refusal {
    fn from(error: crate::private::registry::RegistryError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<medina_storage::StorageError> for Refusal {
    fn from(error: medina_storage::StorageError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<medina_execution::private::PrivateError> for Refusal {
    fn from(error: medina_execution::private::PrivateError) -> Self {
        Self::Ours(error.to_string())
    }
}

type Reply = Result<Answer, Refusal>;

/// The asking member: its organisation and the group that both belong to.
struct Asker {
    org: B256,
    group: GroupRecord,
}

fn asker(
    shared: &Shared,
    node: &NodePublicKey,
    org: [u8; 32],
    group: [u8; 32],
) -> Result<Asker, Refusal> {
    let (org, group) = (B256::from(org), B256::from(group));
    let known = shared.known();
    if !known.speaks_for(node, &org, &group) {
        return Err(Refusal::Stranger);
    }
    let group = known.groups.get(&group).cloned();
    let group = group.ok_or(Refusal::Stranger)?;
    Ok(Asker { org, group })
}

/// A party of ours in the group, in whose name we answer.
fn answering<'a>(shared: &'a Shared, group: &'a GroupRecord) -> Result<&'a OwnParty, Refusal> {
    shared.parties_in(group).next().ok_or(Refusal::Stranger)
}

fn reply(shared: &Shared, node: &NodePublicKey, question: Question) -> Reply {
    match question {
        Question::Deliver {
            from,
            to,
            envelope,
            tag,
            secrets,
        } => {
            let envelope = Envelope::from_bytes(&envelope)?;
            let asker = asker(shared, node, from, envelope.metadata.group.0)?;
            let (to, tag) = (B256::from(to), B256::from(tag));
            delivering::deliver(shared, &asker, (to, tag), &envelope, &secrets)
        }
        Question::Fetch {
            from,
            group,
            digest,
        } => fetch(shared, &asker(shared, node, from, group)?, digest),
        Question::Secrets { from, group } => secrets(shared, &asker(shared, node, from, group)?),
        Question::Attest { group, attestation } => {
            let asker = asker(shared, node, attestation.org, group)?;
            attest(shared, &asker, attestation)
        }
        Question::Attestations { from, group, at } => {
            attestations(shared, &asker(shared, node, from, group)?, at)
        }
        Question::Snapshot {
            from,
            group,
            height,
            cursor,
        } => snapshot(
            shared,
            &asker(shared, node, from, group)?,
            height,
            cursor.as_deref(),
        ),
        Question::Erase {
            from,
            group,
            digest,
            reason,
            at_s,
            after,
            receipts,
            signature,
        } => {
            let asker = asker(shared, node, from, group)?;
            let order = Order {
                digest: B256::from(digest),
                group: asker.group.id,
                by: asker.org,
                reason,
                at_s,
                after,
                signature,
            };
            erase(shared, &asker, &order, &receipts)
        }
    }
}

/// The signed word that a payload was forgotten here.
fn receipt(shared: &Shared, group: &GroupRecord, digest: &Digest) -> Reply {
    let party = answering(shared, group)?;
    let reason = match shared.enclave.status(digest)? {
        PayloadStatus::Erased(tombstone) => tombstone.reason,
        PayloadStatus::Held(_) | PayloadStatus::Missing => return Ok(Answer::Missing),
    };
    let caller = shared.caller("answer erased");
    let receipt = shared.enclave.erase(&caller, digest, &party.id, &reason)?;
    Ok(Answer::Erased(receipt.to_bytes()))
}

fn fetch(shared: &Shared, asker: &Asker, digest: [u8; 32]) -> Reply {
    let (id, digest) = (asker.group.id, Digest(digest));
    // The same answer whether it is another group's or nobody's.
    if !erasing::is_of_group::<Refusal>(shared, id, B256::from(digest.0))? {
        return Ok(Answer::Missing);
    }
    match shared.enclave.status(&digest)? {
        PayloadStatus::Missing => return Ok(Answer::Missing),
        PayloadStatus::Erased(_) => return receipt(shared, &asker.group, &digest),
        PayloadStatus::Held(_) => {}
    }
    // Who joined later has the state, and not what was said before.
    let place = shared.first_place::<Refusal>(id, B256::from(digest.0))?;
    let since = shared
        .registry
        .now(|view| view.member_since(asker.group.id, asker.org))?;
    let is_before = place
        .zip(since)
        .is_some_and(|(place, since)| place.height < since);
    if is_before {
        return Err(Refusal::Stranger);
    }
    let key = shared
        .registry
        .now(|view| view.key(asker.org))?
        .ok_or_else(|| Refusal::Wrong("you have published no encryption key".to_owned()))?;
    let party = answering(shared, &asker.group)?;
    let caller = shared.caller("serve a member");
    let envelope = shared.enclave.rewrap(&caller, &digest, &party.id, &[key])?;
    Ok(Answer::Envelope(envelope.to_bytes()))
}

fn secrets(shared: &Shared, asker: &Asker) -> Reply {
    let key = shared
        .registry
        .now(|view| view.key(asker.org))?
        .ok_or_else(|| Refusal::Wrong("you have published no encryption key".to_owned()))?;
    let party = answering(shared, &asker.group)?;
    let caller = shared.caller("serve a member");
    let group = GroupId(asker.group.id.0);
    let sealed = shared
        .enclave
        .share_group_secrets(&caller, &group, &party.id, &key)?;
    let sealed = sealed.iter().map(SealedSecret::to_bytes).collect();
    Ok(Answer::Secrets(sealed))
}

fn attest(shared: &Shared, asker: &Asker, attestation: Attestation) -> Reply {
    let chain_id = shared.chain.spec.chain_id;
    let id = asker.group.id;
    let is_signed = shared
        .registry
        .now(|view| view.is_signed(chain_id, id, &attestation))?;
    if !is_signed {
        return Err(Refusal::Wrong(
            "the attestation is not signed by you".to_owned(),
        ));
    }
    let Some(group) = shared.group(id) else {
        return Ok(Answer::Later);
    };
    note(shared, &group, attestation)?;
    Ok(Answer::Noted)
}

/// Writes down what a member signed, checked before, and has it compared.
pub(crate) fn note(
    shared: &Shared,
    group: &crate::private::group::Group,
    attestation: Attestation,
) -> Result<(), medina_storage::StorageError> {
    let mut book = group.book.lock();
    if book.note(attestation) {
        shared.rows.put_book(group.id, &book)?;
        group.wake.notify_one();
    }
    Ok(())
}

/// Signs our root after a height, for a party of ours.
pub(crate) fn sign_root(
    shared: &Shared,
    group: B256,
    party: &OwnParty,
    (height, root): (u64, B256),
) -> Result<Attestation, EnclaveError> {
    let certificate = Certificate::Attestation {
        chain_id: shared.chain.spec.chain_id,
        group: GroupId(group.0),
        height,
        root: root.0,
    };
    let signature = shared.enclave.certify(&party.id, &certificate)?;
    Ok(Attestation {
        org: party.org.0,
        height,
        root: root.0,
        signature: signature.0.to_vec(),
    })
}

fn attestations(shared: &Shared, asker: &Asker, at: Option<u64>) -> Reply {
    let Some(group) = shared.group(asker.group.id) else {
        return Ok(Answer::Later);
    };
    let height = group.height();
    let mut attestations: Vec<_> = group.book.lock().all().cloned().collect();
    if let Some(at) = at.filter(|at| *at <= height)
        && let Some(root) = crate::private::exec::root_at(shared, group.id, at)?
    {
        for party in shared.parties_in(&asker.group) {
            attestations.push(sign_root(shared, group.id, party, (at, root))?);
        }
    }
    Ok(Answer::Attestations {
        height,
        attestations,
    })
}

fn snapshot(shared: &Shared, asker: &Asker, height: u64, cursor: Option<&[u8]>) -> Reply {
    let cursor = match cursor.map(SnapshotCursor::try_from_slice) {
        Some(Ok(cursor)) => Some(cursor),
        Some(Err(_)) => return Err(Refusal::Wrong("no cursor".to_owned())),
        None => None,
    };
    let chunk = crate::private::exec::snapshot_chunk(
        shared,
        asker.group.id,
        Height(height),
        cursor.as_ref(),
        CHUNK_BYTES,
    )?;
    Ok(match chunk {
        Some(chunk) => {
            let bytes = borsh::to_vec(&chunk).expect("writing to memory cannot fail");
            Answer::Chunk(bytes)
        }
        None => Answer::Missing,
    })
}

fn erase(shared: &Shared, asker: &Asker, order: &Order, receipts: &[Vec<u8>]) -> Reply {
    let known = shared.known();
    let party = known.parties.get(&asker.org).ok_or(Refusal::Stranger)?;
    if !order.is_signed_by(&party.id) {
        return Err(Refusal::Wrong(
            "the erasure is not signed by you".to_owned(),
        ));
    }
    match erasing::carry_out(shared, &asker.group, order, receipts) {
        Ok(Carried::Out(receipt)) => Ok(Answer::Erased(receipt.to_bytes())),
        Ok(Carried::NotYet) => Ok(Answer::NotYet),
        Ok(Carried::TooMany) => Ok(Answer::Later),
        Ok(Carried::Unknown) => Ok(Answer::Missing),
        Ok(Carried::NotAllowed) => Err(Refusal::Wrong(
            "only who sent a payload has it erased at the others, or more than half of the \
             members with reportErased"
                .to_owned(),
        )),
        Err(error) => Err(Refusal::Ours(error.to_string())),
    }
}
