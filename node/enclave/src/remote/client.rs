//! The node's side of the connection.

use super::dial::{self, Failure};
use super::link::Link;
use super::pause;
use super::tls::{self, TlsKey};
use super::wire::{self, Answer, Plain, Reply, Request};
use crate::limits::{CALL_TIME_MAX, IDLE_CONNECTIONS_MAX, PATIENCE};
use crate::{
    Accepted, AuditEntry, AuditHead, Caller, Certificate, Digest, Enclave, EnclaveAddress,
    EnclaveError, Envelope, EpochKey, ErasureReceipt, GroupId, GroupSecretInfo, Party, PartyId,
    PayloadStatus, RawHandle, RecipientKey, SealedSecret, SignDomain, Tag, Terms, Tombstone,
};
use medina_types::{NodePublicKey, NodeSignature};
use parking_lot::Mutex;
use rustls::ClientConfig;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Asks an enclave in another process.
///
/// Connections are made when they are needed and kept for the next call. A call that finds no
/// enclave looks for it for a few seconds, then fails with [`EnclaveError::Unreachable`].
pub struct RemoteEnclave {
    address: EnclaveAddress,
    /// How the enclave at a TLS address is known.
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
    idle: Mutex<Vec<Link>>,
}

impl RemoteEnclave {
    /// An enclave behind a socket of this machine, which need not be there yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            address: EnclaveAddress::Unix(socket.into()),
            tls: None,
            patience: PATIENCE,
            idle: Mutex::default(),
        }
    }

    /// An enclave at `HOST:PORT` that proves the key `peer`, and to which `key` is proved.
    ///
    /// # Errors
    /// [`EnclaveError::BadRequest`] where TLS cannot be set up.
    pub fn over_tls(
        place: impl Into<String>,
        key: &TlsKey,
        peer: NodePublicKey,
    ) -> Result<Self, EnclaveError> {
        Ok(Self {
            address: EnclaveAddress::Tls(place.into()),
            tls: Some(tls::client(key, peer)?),
            patience: PATIENCE,
            idle: Mutex::default(),
        })
    }

    /// The same with another time for which a call looks for the enclave.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the enclave is.
    #[must_use]
    pub fn address(&self) -> &EnclaveAddress {
        &self.address
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
        let mut link = match self.take_idle() {
            Some(link) => link,
            None => dial::connect(&self.address, self.tls.as_ref())?,
        };
        link.within(Some(CALL_TIME_MAX)).map_err(Failure::NotSent)?;
        link.send(frame).map_err(Failure::NotSent)?;
        let reply = wire::read(&mut link)
            .and_then(|reply| reply.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
            .map_err(Failure::Lost)?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(link);
        }
        Ok(reply)
    }

    /// A connection that is still open. One whose other side has ended would take a request, and
    /// only then say that nobody answers: not everything may be asked twice.
    fn take_idle(&self) -> Option<Link> {
        loop {
            let mut link = self.idle.lock().pop()?;
            if link.is_quiet() {
                return Some(link);
            }
        }
    }

    fn unreachable(&self, reason: &str) -> EnclaveError {
        EnclaveError::Unreachable {
            socket: self.address.to_string(),
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

    fn discard(&self, caller: &Caller, digest: &Digest) -> Result<(), EnclaveError> {
        self.call(&Request::Discard(caller.clone(), *digest), done)
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

    fn secret_of(
        &self,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<Option<GroupSecretInfo>, EnclaveError> {
        ask!(self, Request::SecretOf(*digest, *tag), SecretOf)
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
