//! Payloads: sealed here or taken in, opened for their parties, wrapped for others.

use super::{LocalEnclave, check_caller, check_size, stale};
use crate::key_encryption::BUCKETS;
use crate::sealing::{self, Signer};
use crate::secret::Secret;
use crate::store::{KeyTable, PayloadTable};
use crate::{
    Accepted, AuditAction, Caller, Digest, EnclaveError, Envelope, HeldPayload, PartyId,
    PayloadStatus, RawHandle, RecipientKey, Terms, Tombstone, Wrap, limits,
};
use parking_lot::RwLockReadGuard;
use zeroize::Zeroizing;

/// The bucket to which a payload belongs.
pub(super) fn bucket_of(id: &[u8]) -> u16 {
    let bucket = u16::from(id[0]);
    debug_assert!(bucket < BUCKETS);
    bucket
}

/// The row of a party's key to a payload or stored raw payload.
pub(super) fn key_row(id: &[u8], party: &PartyId) -> Vec<u8> {
    [id, &party.0].concat()
}

/// The buckets that a payload touches, ascending.
pub(super) fn buckets_of(digest: &Digest, handle: Option<&RawHandle>) -> Vec<u16> {
    let handle = handle.map(|handle| bucket_of(&handle.0));
    let mut buckets: Vec<u16> = [bucket_of(&digest.0)].into_iter().chain(handle).collect();
    buckets.sort_unstable();
    buckets.dedup();
    buckets
}

impl LocalEnclave {
    pub(super) fn seal_payload(
        &self,
        caller: &Caller,
        terms: &Terms,
        payload: &[u8],
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        check_caller(caller)?;
        check_size("payload bytes", payload.len(), limits::PAYLOAD_BYTES_MAX)?;
        self.seal_content(caller, terms, (None, payload), recipients)
    }

    /// Seals a content, which is the payload or, under a handle, its stored form.
    pub(super) fn seal_content(
        &self,
        caller: &Caller,
        terms: &Terms,
        (handle, content): (Option<RawHandle>, &[u8]),
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        let signer = self.parties.signer(&terms.sender)?;
        let others = in_order(recipients, Some(&terms.sender))?;
        let metadata = sealing::metadata(terms, &others, handle)?;
        let (mut envelope, key) = sealing::seal(&signer, metadata, content)?;
        let digest = envelope.digest();
        let wraps = wrap_all(&signer, &digest, &key, &others)?;
        let locks = self.read_buckets(&digest, handle.as_ref());
        self.audit.append(caller, AuditAction::Encrypt, digest)?;
        self.keep(&digest, &envelope, &[(terms.sender, key)])?;
        drop(locks);
        envelope.wraps = wraps;
        Ok(envelope)
    }

    pub(super) fn accept_envelope(
        &self,
        caller: &Caller,
        envelope: &Envelope,
    ) -> Result<Accepted, EnclaveError> {
        check_caller(caller)?;
        let digest = envelope.validate()?;
        let handle = envelope.metadata.handle;
        self.refuse_erased(&digest, handle.as_ref())?;
        let new = self.unwrap_new(&digest, envelope)?;
        let locks = self.read_buckets(&digest, handle.as_ref());
        self.refuse_erased(&digest, handle.as_ref())?;
        let is_new = !new.is_empty();
        if is_new {
            self.audit.append(caller, AuditAction::Decrypt, digest)?;
            self.keep(&digest, envelope, &new)?;
        }
        drop(locks);
        let parties = self.holders(&digest)?;
        if parties.is_empty() {
            return Err(EnclaveError::NotForUs(digest));
        }
        Ok(Accepted {
            digest,
            parties,
            is_new,
        })
    }

    /// The key for each of our parties that lacks it, checked against the content.
    fn unwrap_new(
        &self,
        digest: &Digest,
        envelope: &Envelope,
    ) -> Result<Vec<(PartyId, Secret)>, EnclaveError> {
        let mut new = Vec::new();
        let mut refused = None;
        for wrap in &envelope.wraps {
            if !self.parties.holds(&wrap.recipient) || self.holds_key(digest, &wrap.recipient)? {
                continue;
            }
            match self.unwrap_one(digest, envelope, wrap) {
                Ok(key) => new.push((wrap.recipient, key)),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if new.is_empty() => Err(error),
            _ => Ok(new),
        }
    }

    fn unwrap_one(
        &self,
        digest: &Digest,
        envelope: &Envelope,
        wrap: &Wrap,
    ) -> Result<Secret, EnclaveError> {
        let secret = self.parties.secret(&wrap.recipient, wrap.epoch)?;
        let key = sealing::unwrap(digest, wrap, &secret)?;
        let content = sealing::open(envelope, &key)?;
        let payload = sealing::payload_of(&envelope.metadata, content)?;
        check_size("payload bytes", payload.len(), limits::PAYLOAD_BYTES_MAX)?;
        Ok(key)
    }

    /// Puts a payload and keys to it on the disk; the caller holds its buckets' locks.
    fn keep(
        &self,
        digest: &Digest,
        envelope: &Envelope,
        keys: &[(PartyId, Secret)],
    ) -> Result<(), EnclaveError> {
        let mut batch = self.payloads.batch();
        let stored = envelope.without_wraps();
        batch.put_encoded(PayloadTable::Envelopes, &digest.0, &stored);
        if let Some(handle) = &envelope.metadata.handle
            && self.digest_of_handle(handle)?.is_none()
        {
            batch.put(PayloadTable::Handles, &handle.0, &digest.0);
        }
        batch.write()?;
        let mut batch = self.keys.batch();
        for (party, key) in keys {
            let row = key_row(&digest.0, party);
            let wrapped = self.key_encryption.wrap(bucket_of(&digest.0), &row, key)?;
            batch.put(KeyTable::Payloads, &row, &wrapped);
        }
        batch.write()
    }

    pub(super) fn open_payload(
        &self,
        caller: &Caller,
        digest: &Digest,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        check_caller(caller)?;
        let (envelope, key) = self.envelope_and_key(digest, party)?;
        self.audit.append(caller, AuditAction::Read, *digest)?;
        let content = sealing::open(&envelope, &key)?;
        sealing::payload_of(&envelope.metadata, content)
    }

    pub(super) fn rewrap_payload(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        check_caller(caller)?;
        let signer = self.parties.signer(by)?;
        let recipients = in_order(recipients, None)?;
        if recipients.is_empty() {
            let reason = "name the keys for which the payload is to be wrapped";
            return Err(EnclaveError::BadRequest(reason.into()));
        }
        let (mut envelope, key) = self.envelope_and_key(digest, by)?;
        self.audit.append(caller, AuditAction::Extend, *digest)?;
        envelope.wraps = wrap_all(&signer, digest, &key, &recipients)?;
        Ok(envelope)
    }

    pub(super) fn payload_status(&self, digest: &Digest) -> Result<PayloadStatus, EnclaveError> {
        if let Some(tombstone) = self.tombstone(digest)? {
            return Ok(PayloadStatus::Erased(tombstone));
        }
        let parties = self.holders(digest)?;
        let envelope = self.stored_envelope(digest)?;
        Ok(match envelope {
            Some(envelope) if !parties.is_empty() => PayloadStatus::Held(HeldPayload {
                metadata: envelope.metadata,
                parties,
            }),
            _ => PayloadStatus::Missing,
        })
    }

    /// Drops a payload's keys, then its ciphertext; a stop between leaves one that is not here.
    pub(super) fn discard_payload(
        &self,
        caller: &Caller,
        digest: &Digest,
    ) -> Result<(), EnclaveError> {
        check_caller(caller)?;
        let _locks = self.read_buckets(digest, None);
        if self.tombstone(digest)?.is_some() || self.stored_envelope(digest)?.is_none() {
            return Ok(());
        }
        self.audit.append(caller, AuditAction::Erase, *digest)?;
        let mut batch = self.keys.batch();
        for row in self.keys.with_prefix(KeyTable::Payloads, &digest.0) {
            let (row, _) = row?;
            batch.delete(KeyTable::Payloads, &row);
        }
        stale::mark(&mut batch, bucket_of(&digest.0));
        batch.write()?;
        let mut batch = self.payloads.batch();
        batch.delete(PayloadTable::Envelopes, &digest.0);
        batch.write()
    }

    /// The envelope without wraps, and its key for a party that has one.
    fn envelope_and_key(
        &self,
        digest: &Digest,
        party: &PartyId,
    ) -> Result<(Envelope, Secret), EnclaveError> {
        let _locks = self.read_buckets(digest, None);
        self.refuse_erased(digest, None)?;
        let row = key_row(&digest.0, party);
        let Some(wrapped) = self.key_that_opens(KeyTable::Payloads, &row)? else {
            return Err(self.why_no_key(digest, party)?);
        };
        let key = self
            .key_encryption
            .unwrap(bucket_of(&digest.0), &row, &wrapped)?;
        let envelope = self
            .stored_envelope(digest)?
            .ok_or(EnclaveError::Missing(*digest))?;
        Ok((envelope, key))
    }

    fn why_no_key(&self, digest: &Digest, party: &PartyId) -> Result<EnclaveError, EnclaveError> {
        if !self.parties.holds(party) {
            return Ok(EnclaveError::UnknownParty(*party));
        }
        Ok(if self.holders(digest)?.is_empty() {
            EnclaveError::Missing(*digest)
        } else {
            EnclaveError::NotAParty {
                digest: *digest,
                party: *party,
            }
        })
    }

    pub(super) fn stored_envelope(
        &self,
        digest: &Digest,
    ) -> Result<Option<Envelope>, EnclaveError> {
        self.payloads.read(PayloadTable::Envelopes, &digest.0)
    }

    /// Our parties that have a key to a payload which opens.
    pub(super) fn holders(&self, digest: &Digest) -> Result<Vec<PartyId>, EnclaveError> {
        let present = self.key_encryption.present(bucket_of(&digest.0));
        let mut holders = Vec::new();
        for row in self.keys.with_prefix(KeyTable::Payloads, &digest.0) {
            let (row, wrapped) = row?;
            let party = row.last_chunk().ok_or_else(|| {
                EnclaveError::Store("a row of payload_keys has a short key".into())
            })?;
            if present.opens(&wrapped) {
                holders.push(PartyId(*party));
            }
        }
        Ok(holders)
    }

    fn holds_key(&self, digest: &Digest, party: &PartyId) -> Result<bool, EnclaveError> {
        let row = key_row(&digest.0, party);
        Ok(self.key_that_opens(KeyTable::Payloads, &row)?.is_some())
    }

    /// The wrapped key in a row, unless it lies under a key of its bucket that was destroyed:
    /// such a payload is not held here, and another holder may send it again.
    pub(super) fn key_that_opens(
        &self,
        table: KeyTable,
        row: &[u8],
    ) -> Result<Option<Vec<u8>>, EnclaveError> {
        let present = self.key_encryption.present(bucket_of(row));
        let wrapped = self.keys.get(table, row)?;
        Ok(wrapped.filter(|wrapped| present.opens(wrapped)))
    }

    pub(super) fn tombstone(&self, digest: &Digest) -> Result<Option<Tombstone>, EnclaveError> {
        let found = self.keys.read(KeyTable::Tombstones, &digest.0)?;
        if found.is_some() {
            return Ok(found);
        }
        self.payloads.read(PayloadTable::Tombstones, &digest.0)
    }

    /// Refuses a payload that was forgotten, also under its handle in another envelope.
    pub(super) fn refuse_erased(
        &self,
        digest: &Digest,
        handle: Option<&RawHandle>,
    ) -> Result<(), EnclaveError> {
        if self.tombstone(digest)?.is_some() {
            return Err(EnclaveError::Erased(*digest));
        }
        let Some(handle) = handle else {
            return Ok(());
        };
        match self.named_by(handle)? {
            Some(named) if self.tombstone(&named)?.is_some() => Err(EnclaveError::Erased(named)),
            _ => Ok(()),
        }
    }

    pub(super) fn read_buckets(
        &self,
        digest: &Digest,
        handle: Option<&RawHandle>,
    ) -> Vec<RwLockReadGuard<'_, ()>> {
        let buckets = buckets_of(digest, handle).into_iter();
        buckets
            .map(|bucket| self.buckets[usize::from(bucket)].read())
            .collect()
    }
}

/// Recipients by party, each once, without one of them.
fn in_order(
    recipients: &[RecipientKey],
    without: Option<&PartyId>,
) -> Result<Vec<RecipientKey>, EnclaveError> {
    check_size("recipients", recipients.len(), limits::RECIPIENTS_MAX)?;
    let mut others: Vec<RecipientKey> = recipients
        .iter()
        .filter(|recipient| Some(&recipient.party) != without)
        .copied()
        .collect();
    others.sort_by_key(|recipient| recipient.party);
    if let Some([twice, _]) = others
        .array_windows()
        .find(|[left, right]| left.party == right.party)
    {
        let reason = format!("{} is named twice among the recipients", twice.party);
        return Err(EnclaveError::BadRequest(reason));
    }
    Ok(others)
}

fn wrap_all(
    signer: &Signer,
    digest: &Digest,
    key: &Secret,
    recipients: &[RecipientKey],
) -> Result<Vec<Wrap>, EnclaveError> {
    let wraps = recipients.iter();
    wraps
        .map(|recipient| sealing::wrap(signer, digest, key, recipient))
        .collect()
}
