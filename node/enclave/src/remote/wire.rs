//! What node and enclave process say to each other: one request, one answer, each in a frame.
//!
//! ```text
//! frame: length, 4 bytes | borsh
//! first on a connection, from both sides: HELLO
//! ```

use crate::limits::FRAME_BYTES_MAX;
use crate::{
    Accepted, AuditEntry, AuditHead, Caller, Certificate, Digest, Enclave, EnclaveError, Envelope,
    EpochKey, ErasureReceipt, GroupId, GroupSecretInfo, Party, PartyId, PayloadStatus, RawHandle,
    RecipientKey, SealedSecret, SignDomain, Tag, Terms, Tombstone,
};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::NodeSignature;
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// The name of this protocol and its version.
pub(super) const HELLO: [u8; 16] = *b"medina enclave 1";

/// A payload in clear: not shown, not left behind in memory.
pub(super) struct Plain(pub(super) Zeroizing<Vec<u8>>);

impl Plain {
    pub(super) fn copy(payload: &[u8]) -> Self {
        Self(Zeroizing::new(payload.to_vec()))
    }
}

impl BorshSerialize for Plain {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.as_slice().serialize(writer)
    }
}

impl BorshDeserialize for Plain {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let length = u32::deserialize_reader(reader)?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::other("a payload longer than a frame"));
        }
        // All at once: a growing buffer would leave copies behind.
        let mut payload = Zeroizing::new(vec![0; length]);
        reader.read_exact(&mut payload)?;
        Ok(Self(payload))
    }
}

/// A call of [`Enclave`]; the variants are its functions.
#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Request {
    Parties,
    EnsureParty(Caller, String),
    EpochKeys(PartyId),
    Rotate(Caller, PartyId, u32),
    KeepTime(Caller),
    DestroyEpochsBefore(Caller, PartyId, u32),
    Certify(PartyId, Certificate),
    Sign(PartyId, SignDomain, Vec<u8>),
    Seal(Caller, Terms, Plain, Vec<RecipientKey>),
    Accept(Caller, Envelope),
    Open(Caller, Digest, PartyId),
    Status(Digest),
    Rewrap(Caller, Digest, PartyId, Vec<RecipientKey>),
    Erase(Caller, Digest, PartyId, String),
    Tombstones(Option<Digest>, u32),
    EnsureGroupSecret(Caller, GroupId, u32),
    GroupSecrets,
    ShareGroupSecrets(Caller, GroupId, PartyId, RecipientKey),
    AcceptGroupSecret(Caller, SealedSecret),
    Tag(GroupId, Digest),
    SecretOf(Digest, Tag),
    StoreRaw(Caller, Plain, PartyId),
    OpenRaw(Caller, RawHandle, PartyId),
    SealRaw(Caller, RawHandle, Terms, Vec<RecipientKey>),
    DigestOf(RawHandle),
    AuditHead,
    AuditEntries(u64, u32),
    VerifyAudit,
    BackUp(String),
    Discard(Caller, Digest),
}

impl Request {
    /// Whether it does no harm when it is done twice.
    pub(super) const fn may_repeat(&self) -> bool {
        !matches!(self, Self::Seal(..) | Self::StoreRaw(..))
    }
}

/// The answer to a call.
#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Answer {
    Done,
    Parties(Vec<Party>),
    Party(PartyId),
    EpochKeys(Vec<EpochKey>),
    EpochKey(EpochKey),
    NewEpochKeys(Vec<(PartyId, EpochKey)>),
    Signature(NodeSignature),
    Envelope(Envelope),
    Accepted(Accepted),
    Payload(Plain),
    Status(PayloadStatus),
    Receipt(ErasureReceipt),
    Tombstones(Vec<Tombstone>),
    GroupSecret(GroupSecretInfo),
    GroupSecrets(Vec<GroupSecretInfo>),
    SealedSecrets(Vec<SealedSecret>),
    Tag(Tag),
    SecretOf(Option<GroupSecretInfo>),
    Handle(RawHandle),
    Digest(Option<Digest>),
    AuditHead(AuditHead),
    AuditEntries(Vec<AuditEntry>),
}

/// What comes back over the socket.
pub(super) type Reply = Result<Answer, EnclaveError>;

/// Does what a request asks.
pub(super) fn answer(enclave: &dyn Enclave, request: &Request) -> Reply {
    use Request as R;
    Ok(match request {
        R::Parties => Answer::Parties(enclave.parties()?),
        R::EnsureParty(caller, label) => Answer::Party(enclave.ensure_party(caller, label)?),
        R::EpochKeys(party) => Answer::EpochKeys(enclave.epoch_keys(party)?),
        R::Rotate(caller, party, from) => Answer::EpochKey(enclave.rotate(caller, party, *from)?),
        R::KeepTime(caller) => Answer::NewEpochKeys(enclave.keep_time(caller)?),
        R::DestroyEpochsBefore(caller, party, epoch) => {
            enclave.destroy_epochs_before(caller, party, *epoch)?;
            Answer::Done
        }
        R::Certify(party, certificate) => Answer::Signature(enclave.certify(party, certificate)?),
        R::Sign(party, domain, message) => {
            Answer::Signature(enclave.sign(party, *domain, message)?)
        }
        R::AuditHead => Answer::AuditHead(enclave.audit_head()?),
        R::AuditEntries(from, limit) => {
            Answer::AuditEntries(enclave.audit_entries(*from, as_count(*limit))?)
        }
        R::VerifyAudit => Answer::AuditHead(enclave.verify_audit()?),
        R::BackUp(folder) => {
            enclave.back_up(folder.as_ref())?;
            Answer::Done
        }
        R::EnsureGroupSecret(caller, group, version) => {
            Answer::GroupSecret(enclave.ensure_group_secret(caller, group, *version)?)
        }
        R::GroupSecrets => Answer::GroupSecrets(enclave.group_secrets()?),
        R::ShareGroupSecrets(caller, group, by, key) => {
            Answer::SealedSecrets(enclave.share_group_secrets(caller, group, by, key)?)
        }
        R::AcceptGroupSecret(caller, sealed) => {
            Answer::GroupSecret(enclave.accept_group_secret(caller, sealed)?)
        }
        R::Tag(group, digest) => Answer::Tag(enclave.tag(group, digest)?),
        R::SecretOf(digest, tag) => Answer::SecretOf(enclave.secret_of(digest, tag)?),
        payload => return answer_payload(enclave, payload),
    })
}

/// The calls about payloads.
fn answer_payload(enclave: &dyn Enclave, request: &Request) -> Reply {
    use Request as R;
    Ok(match request {
        R::Seal(caller, terms, payload, recipients) => {
            Answer::Envelope(enclave.seal(caller, terms, &payload.0, recipients)?)
        }
        R::Accept(caller, envelope) => Answer::Accepted(enclave.accept(caller, envelope)?),
        R::Open(caller, digest, party) => {
            Answer::Payload(Plain(enclave.open(caller, digest, party)?))
        }
        R::Status(digest) => Answer::Status(enclave.status(digest)?),
        R::Rewrap(caller, digest, by, recipients) => {
            Answer::Envelope(enclave.rewrap(caller, digest, by, recipients)?)
        }
        R::Erase(caller, digest, by, reason) => {
            Answer::Receipt(enclave.erase(caller, digest, by, reason)?)
        }
        R::Discard(caller, digest) => {
            enclave.discard(caller, digest)?;
            Answer::Done
        }
        R::Tombstones(after, limit) => {
            Answer::Tombstones(enclave.tombstones(after.as_ref(), as_count(*limit))?)
        }
        R::StoreRaw(caller, payload, from) => {
            Answer::Handle(enclave.store_raw(caller, &payload.0, from)?)
        }
        R::OpenRaw(caller, handle, party) => {
            Answer::Payload(Plain(enclave.open_raw(caller, handle, party)?))
        }
        R::SealRaw(caller, handle, terms, recipients) => {
            Answer::Envelope(enclave.seal_raw(caller, handle, terms, recipients)?)
        }
        R::DigestOf(handle) => Answer::Digest(enclave.digest_of(handle)?),
        _ => {
            let reason = "the request is of another kind".into();
            return Err(EnclaveError::BadRequest(reason));
        }
    })
}

fn as_count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// An encoded message with its length in front.
pub(super) fn frame(message: &impl BorshSerialize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it at once: a growing buffer would leave copies behind.
    let length = borsh::object_length(message)?;
    let announced = u32::try_from(length).map_err(io::Error::other)?;
    if length > FRAME_BYTES_MAX {
        return Err(too_large(length));
    }
    let mut frame = Zeroizing::new(Vec::with_capacity(4 + length));
    frame.extend_from_slice(&announced.to_be_bytes());
    message.serialize(&mut *frame)?;
    Ok(frame)
}

/// Reads one message; none if the other side has closed before it.
pub(super) fn read<M: BorshDeserialize>(input: &mut impl Read) -> io::Result<Option<M>> {
    match begin(input)? {
        Some(first) => rest(first, input).map(Some),
        None => Ok(None),
    }
}

/// Waits for the first byte of a message; none if the other side has closed before it.
pub(super) fn begin(input: &mut impl Read) -> io::Result<Option<u8>> {
    let mut first = [0; 1];
    loop {
        match input.read(&mut first) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(first[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads what follows the first byte of a message.
pub(super) fn rest<M: BorshDeserialize>(first: u8, input: &mut impl Read) -> io::Result<M> {
    let mut length = [first, 0, 0, 0];
    input.read_exact(&mut length[1..])?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > FRAME_BYTES_MAX {
        return Err(too_large(length));
    }
    let mut message = Zeroizing::new(vec![0; length]);
    input.read_exact(&mut message)?;
    borsh::from_slice(&message)
}

fn too_large(length: usize) -> io::Error {
    io::Error::other(format!(
        "a message of {length} bytes, limit {FRAME_BYTES_MAX}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn message_reads_back_and_the_end_is_no_error() {
        let request = Request::Sign(PartyId([1; 32]), SignDomain::Request, b"hello".to_vec());
        let frame = frame(&request).unwrap();
        let mut input = frame.as_slice();
        let back: Option<Request> = read(&mut input).unwrap();
        assert!(matches!(back, Some(Request::Sign(_, _, message)) if message == b"hello"));
        assert!(read::<Request>(&mut input).unwrap().is_none());
    }

    #[test]
    fn announced_length_beyond_the_bound_is_refused_before_reading() {
        let mut input: &[u8] = &[0xff; 8];
        assert!(read::<Request>(&mut input).is_err());
    }

    #[test]
    fn message_cut_anywhere_is_refused() {
        let request = Request::Sign(PartyId([1; 32]), SignDomain::Request, vec![7; 300]);
        let frame = frame(&request).unwrap();
        for end in 1..frame.len() {
            let mut input = &frame[..end];
            let cut = read::<Request>(&mut input).err().expect("it is cut");
            assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
        }
    }

    #[test]
    fn payload_that_announces_more_than_the_message_has_takes_no_room() {
        let terms = Terms {
            chain_id: 1,
            genesis_hash: [2; 32],
            group: GroupId([3; 32]),
            mode: crate::Mode::Standard,
            sender: PartyId([4; 32]),
            anchor_slot: 5,
            roots: None,
        };
        let caller = Caller::new("tests", "private:*", 1);
        let request = Request::Seal(caller, terms, Plain::copy(b"x"), Vec::new());
        let whole = frame(&request).unwrap();
        // Before the payload's one byte and the number of recipients.
        let at = whole.len() - 9;
        assert_eq!(whole[at..at + 4], 1u32.to_le_bytes());
        for announced in [u32::MAX, 1 << 21, 100] {
            let mut lying = whole.to_vec();
            lying[at..at + 4].copy_from_slice(&announced.to_le_bytes());
            assert!(read::<Request>(&mut lying.as_slice()).is_err());
        }
    }

    proptest! {
        /// Every kind of request and answer, with any bytes behind its number, and lengths
        /// that lie in either direction.
        #[test]
        fn any_kind_with_any_body_and_any_length_is_read_or_refused(
            kind in 0u8..40,
            body in prop::collection::vec(any::<u8>(), 0..300),
            lie in -8i64..8,
        ) {
            let whole = [&[kind], body.as_slice()].concat();
            let said = i64::try_from(whole.len()).expect("short") + lie;
            let said = u32::try_from(said.max(0)).expect("short").to_be_bytes();
            let framed = [said.as_slice(), &whole].concat();
            if let Ok(Some(request)) = read::<Request>(&mut framed.as_slice()) {
                // What was understood is exactly what was said.
                let again = frame(&request).expect("it was short");
                prop_assert_eq!(&again[..], &framed[..again.len()]);
            }
            let _ = read::<Reply>(&mut framed.as_slice());
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
            let framed = [length.as_slice(), &bytes].concat();
            let _ = read::<Request>(&mut framed.as_slice());
            let _ = read::<Reply>(&mut framed.as_slice());
            let _ = read::<Request>(&mut bytes.as_slice());
        }
    }
}
