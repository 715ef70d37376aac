//! The node's side of the socket.

use super::wire::{self, Answer, HELLO, Plain, Reply, Request};
use super::{check_peer, pause};
use crate::limits::{CALL_TIME_MAX, IDLE_CONNECTIONS_MAX, PATIENCE};
use crate::{
    Accepted, AuditEntry, AuditHead, Caller, Certificate, Digest, Enclave, EnclaveError, Envelope,
    EpochKey, ErasureReceipt, GroupId, GroupSecretInfo, Party, PartyId, PayloadStatus, RawHandle,
    RecipientKey, SealedSecret, SignDomain, Tag, Terms, Tombstone,
};
use medina_types::NodeSignature;
use parking_lot::Mutex;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Asks an enclave in another process of this machine.
///
/// Connections are made when they are needed and kept for the next call. A call that finds no
/// enclave looks for it for a few seconds, then fails with [`EnclaveError::Unreachable`].
pub struct RemoteEnclave {
    socket: PathBuf,
    patience: Duration,
    idle: Mutex<Vec<UnixStream>>,
}

/// How an attempt ended without an answer.
enum Failure {
    /// The enclave never got the whole request.
    NotSent(io::Error),
    /// The enclave may have done what was asked.
    Lost(io::Error),
    /// It will not be better the next time.
    Refused(String),
}

impl RemoteEnclave {
    /// An enclave behind a socket, which need not be there yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            patience: PATIENCE,
            idle: Mutex::default(),
        }
    }

    /// The same with another time for which a call looks for the enclave.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the enclave is.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn call<T>(
        &self,
        request: &Request,
        expected: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T, EnclaveError> {
        let frame = wire::frame(request)
            .map_err(|error| EnclaveError::BadRequest(format!("the request: {error}")))?;
        let answer = self.reply(&frame, request.may_repeat())??;
        expected(answer).ok_or_else(|| self.unreachable("it answered another question"))
    }

    fn reply(&self, frame: &[u8], may_repeat: bool) -> Result<Reply, EnclaveError> {
        let began = Instant::now();
        loop {
            let error = match self.attempt(frame) {
                Ok(reply) => return Ok(reply),
                Err(Failure::Refused(reason)) => return Err(self.unreachable(&reason)),
                Err(Failure::Lost(error)) if !may_repeat => {
                    return Err(self.unreachable(&error.to_string()));
                }
                Err(Failure::NotSent(error) | Failure::Lost(error)) => error,
            };
            // What else is idle is as dead as this one was.
            self.idle.lock().clear();
            if began.elapsed() >= self.patience {
                return Err(self.unreachable(&error.to_string()));
            }
            pause();
        }
    }

    fn attempt(&self, frame: &[u8]) -> Result<Reply, Failure> {
        let idle = self.idle.lock().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.write_all(frame).map_err(Failure::NotSent)?;
        let reply = wire::read(&mut stream)
            .and_then(|reply| reply.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
            .map_err(Failure::Lost)?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(stream);
        }
        Ok(reply)
    }

    fn connect(&self) -> Result<UnixStream, Failure> {
        let mut stream = UnixStream::connect(&self.socket).map_err(Failure::NotSent)?;
        check_peer(&stream).map_err(Failure::Refused)?;
        let mut greet = || {
            stream.set_read_timeout(Some(CALL_TIME_MAX))?;
            stream.set_write_timeout(Some(CALL_TIME_MAX))?;
            stream.write_all(&HELLO)?;
            let mut hello = [0; HELLO.len()];
            stream.read_exact(&mut hello)?;
            Ok(hello)
        };
        let hello = greet().map_err(Failure::NotSent)?;
        if hello != HELLO {
            let reason = "it speaks another version; use the same program for both";
            return Err(Failure::Refused(reason.into()));
        }
        Ok(stream)
    }

    fn unreachable(&self, reason: &str) -> EnclaveError {
        EnclaveError::Unreachable {
            socket: self.socket.display().to_string(),
            reason: reason.into(),
        }
    }
}

fn as_count(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// Calls and takes the answer of one kind.
macro_rules! ask {
    ($remote:expr, $request:expr, $answer:ident) => {
        $remote.call(&$request, |answer| match answer {
            Answer::$answer(value) => Some(value),
            _ => None,
        })
    };
}

impl Enclave for RemoteEnclave {
    fn parties(&self) -> Result<Vec<Party>, EnclaveError> {
        ask!(self, Request::Parties, Parties)
    }

    fn ensure_party(&self, caller: &Caller, label: &str) -> Result<PartyId, EnclaveError> {
        ask!(
            self,
            Request::EnsureParty(caller.clone(), label.into()),
            Party
        )
    }

    fn epoch_keys(&self, party: &PartyId) -> Result<Vec<EpochKey>, EnclaveError> {
        ask!(self, Request::EpochKeys(*party), EpochKeys)
    }

    fn rotate(
        &self,
        caller: &Caller,
        party: &PartyId,
        from_epoch: u32,
    ) -> Result<EpochKey, EnclaveError> {
        ask!(
            self,
            Request::Rotate(caller.clone(), *party, from_epoch),
            EpochKey
        )
    }

    fn keep_time(&self, caller: &Caller) -> Result<Vec<(PartyId, EpochKey)>, EnclaveError> {
        ask!(self, Request::KeepTime(caller.clone()), NewEpochKeys)
    }

    fn destroy_epochs_before(
        &self,
        caller: &Caller,
        party: &PartyId,
        epoch: u32,
    ) -> Result<(), EnclaveError> {
        let request = Request::DestroyEpochsBefore(caller.clone(), *party, epoch);
        self.call(&request, done)
    }

    fn certify(
        &self,
        party: &PartyId,
        certificate: &Certificate,
    ) -> Result<NodeSignature, EnclaveError> {
        ask!(self, Request::Certify(*party, *certificate), Signature)
    }

    fn sign(
        &self,
        party: &PartyId,
        domain: SignDomain,
        message: &[u8],
    ) -> Result<NodeSignature, EnclaveError> {
        ask!(
            self,
            Request::Sign(*party, domain, message.to_vec()),
            Signature
        )
    }

    fn seal(
        &self,
        caller: &Caller,
        terms: &Terms,
        payload: &[u8],
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        let payload = Plain::copy(payload);
        ask!(
            self,
            Request::Seal(caller.clone(), *terms, payload, recipients.to_vec()),
            Envelope
        )
    }

    fn accept(&self, caller: &Caller, envelope: &Envelope) -> Result<Accepted, EnclaveError> {
        ask!(
            self,
            Request::Accept(caller.clone(), envelope.clone()),
            Accepted
        )
    }

    fn open(
        &self,
        caller: &Caller,
        digest: &Digest,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        let request = Request::Open(caller.clone(), *digest, *party);
        ask!(self, request, Payload).map(|payload| payload.0)
    }

    fn status(&self, digest: &Digest) -> Result<PayloadStatus, EnclaveError> {
        ask!(self, Request::Status(*digest), Status)
    }

    fn rewrap(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        let request = Request::Rewrap(caller.clone(), *digest, *by, recipients.to_vec());
        ask!(self, request, Envelope)
    }

    fn erase(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        reason: &str,
    ) -> Result<ErasureReceipt, EnclaveError> {
        let request = Request::Erase(caller.clone(), *digest, *by, reason.into());
        ask!(self, request, Receipt)
    }

    fn tombstones(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Tombstone>, EnclaveError> {
        let request = Request::Tombstones(after.copied(), as_count(limit));
        ask!(self, request, Tombstones)
    }

    fn ensure_group_secret(
        &self,
        caller: &Caller,
        group: &GroupId,
        version: u32,
    ) -> Result<GroupSecretInfo, EnclaveError> {
        let request = Request::EnsureGroupSecret(caller.clone(), *group, version);
        ask!(self, request, GroupSecret)
    }

    fn group_secrets(&self) -> Result<Vec<GroupSecretInfo>, EnclaveError> {
        ask!(self, Request::GroupSecrets, GroupSecrets)
    }

    fn share_group_secrets(
        &self,
        caller: &Caller,
        group: &GroupId,
        by: &PartyId,
        recipient: &RecipientKey,
    ) -> Result<Vec<SealedSecret>, EnclaveError> {
        let request = Request::ShareGroupSecrets(caller.clone(), *group, *by, *recipient);
        ask!(self, request, SealedSecrets)
    }

    fn accept_group_secret(
        &self,
        caller: &Caller,
        sealed: &SealedSecret,
    ) -> Result<GroupSecretInfo, EnclaveError> {
        let request = Request::AcceptGroupSecret(caller.clone(), sealed.clone());
        ask!(self, request, GroupSecret)
    }

    fn tag(&self, group: &GroupId, digest: &Digest) -> Result<Tag, EnclaveError> {
        ask!(self, Request::Tag(*group, *digest), Tag)
    }

    fn group_of(&self, digest: &Digest, tag: &Tag) -> Result<Option<GroupId>, EnclaveError> {
        ask!(self, Request::GroupOf(*digest, *tag), Group)
    }

    fn store_raw(
        &self,
        caller: &Caller,
        payload: &[u8],
        from: &PartyId,
    ) -> Result<RawHandle, EnclaveError> {
        let request = Request::StoreRaw(caller.clone(), Plain::copy(payload), *from);
        ask!(self, request, Handle)
    }

    fn open_raw(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        let request = Request::OpenRaw(caller.clone(), *handle, *party);
        ask!(self, request, Payload).map(|payload| payload.0)
    }

    fn seal_raw(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        terms: &Terms,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        let request = Request::SealRaw(caller.clone(), *handle, *terms, recipients.to_vec());
        ask!(self, request, Envelope)
    }

    fn digest_of(&self, handle: &RawHandle) -> Result<Option<Digest>, EnclaveError> {
        ask!(self, Request::DigestOf(*handle), Digest)
    }

    fn audit_head(&self) -> Result<AuditHead, EnclaveError> {
        ask!(self, Request::AuditHead, AuditHead)
    }

    fn audit_entries(&self, from_seq: u64, limit: usize) -> Result<Vec<AuditEntry>, EnclaveError> {
        let request = Request::AuditEntries(from_seq, as_count(limit));
        ask!(self, request, AuditEntries)
    }

    fn verify_audit(&self) -> Result<AuditHead, EnclaveError> {
        ask!(self, Request::VerifyAudit, AuditHead)
    }

    fn back_up(&self, folder: &Path) -> Result<(), EnclaveError> {
        let absolute = folder.to_str().filter(|_| folder.is_absolute());
        let folder = absolute.ok_or_else(|| {
            let reason = "name the folder of a backup from the root, in UTF-8";
            EnclaveError::BadRequest(reason.into())
        })?;
        self.call(&Request::BackUp(folder.into()), done)
    }
}

fn done(answer: Answer) -> Option<()> {
    matches!(answer, Answer::Done).then_some(())
}
