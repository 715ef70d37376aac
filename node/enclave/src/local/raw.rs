//! Payloads that a client of Tessera's interface stores first and sends later, by their handle.
//! One that is not sent within a day is dropped: no other row would ever have it forgotten.

use super::payloads::{bucket_of, key_row};
use super::{LocalEnclave, check_caller, check_size, stale};
use crate::sealing::RawPayload;
use crate::store::{KeyTable, PayloadTable, StoredRaw, decode};
use crate::{
    AuditAction, Caller, Digest, EnclaveError, Envelope, PartyId, PayloadStatus, RawHandle,
    RecipientKey, Terms, limits,
};
use zeroize::Zeroizing;

impl LocalEnclave {
    pub(super) fn store_raw_payload(
        &self,
        caller: &Caller,
        payload: &[u8],
        from: &PartyId,
    ) -> Result<RawHandle, EnclaveError> {
        check_caller(caller)?;
        check_size("payload bytes", payload.len(), limits::PAYLOAD_BYTES_MAX)?;
        if !self.parties.holds(from) {
            return Err(EnclaveError::UnknownParty(*from));
        }
        let raw = RawPayload::seal(*from, payload)?;
        let handle = raw.handle();
        let bucket = bucket_of(&handle.0);
        let _lock = self.buckets[usize::from(bucket)].read();
        self.audit
            .append(caller, AuditAction::Encrypt, audited(&handle))?;
        let stored = StoredRaw {
            from: *from,
            stored_at_s: caller.now_s,
            ciphertext: raw.ciphertext,
        };
        let mut batch = self.payloads.batch();
        batch.put_encoded(PayloadTable::Raw, &handle.0, &stored);
        batch.write()?;
        let row = key_row(&handle.0, from);
        let wrapped = self.key_encryption.wrap(bucket, &row, &raw.key)?;
        let mut batch = self.keys.batch();
        batch.put(KeyTable::Raw, &row, &wrapped);
        batch.write()?;
        Ok(handle)
    }

    pub(super) fn open_raw_payload(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        check_caller(caller)?;
        if let Some(digest) = self.digest_of_handle(handle)? {
            return self.open_payload(caller, &digest, party);
        }
        let raw = self.stored_raw(handle, party)?;
        self.audit
            .append(caller, AuditAction::Read, audited(handle))?;
        raw.open()
    }

    pub(super) fn seal_raw_payload(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        terms: &Terms,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        check_caller(caller)?;
        let _one_at_a_time = self.sealing_raw.lock();
        if let Some(digest) = self.digest_of_handle(handle)? {
            return self.seal_again(caller, &digest, terms, recipients);
        }
        let raw = self.stored_raw(handle, &terms.sender)?;
        let content = raw.to_content();
        let envelope = self.seal_content(caller, terms, (Some(*handle), &content), recipients)?;
        self.remove_raw(handle, &raw.from)?;
        Ok(envelope)
    }

    /// The envelope that was sealed before, wrapped anew; the terms must be the same.
    fn seal_again(
        &self,
        caller: &Caller,
        digest: &Digest,
        terms: &Terms,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        self.refuse_erased(digest, None)?;
        let envelope = self
            .stored_envelope(digest)?
            .ok_or(EnclaveError::Missing(*digest))?;
        let metadata = &envelope.metadata;
        if (metadata.sender, metadata.group, metadata.mode)
            != (terms.sender, terms.group, terms.mode)
        {
            let reason = "the stored payload was sealed before, on other terms";
            return Err(EnclaveError::BadRequest(reason.into()));
        }
        self.rewrap_payload(caller, digest, &terms.sender, recipients)
    }

    fn stored_raw(&self, handle: &RawHandle, party: &PartyId) -> Result<RawPayload, EnclaveError> {
        let bucket = bucket_of(&handle.0);
        let _lock = self.buckets[usize::from(bucket)].read();
        let unknown = || EnclaveError::UnknownHandle(*handle);
        let row = key_row(&handle.0, party);
        let wrapped = self
            .key_that_opens(KeyTable::Raw, &row)?
            .ok_or_else(unknown)?;
        let stored: StoredRaw = self
            .payloads
            .read(PayloadTable::Raw, &handle.0)?
            .ok_or_else(unknown)?;
        Ok(RawPayload {
            from: stored.from,
            key: self.key_encryption.unwrap(bucket, &row, &wrapped)?,
            ciphertext: stored.ciphertext,
        })
    }

    fn remove_raw(&self, handle: &RawHandle, from: &PartyId) -> Result<(), EnclaveError> {
        let mut batch = self.keys.batch();
        batch.delete(KeyTable::Raw, &key_row(&handle.0, from));
        stale::mark(&mut batch, bucket_of(&handle.0));
        batch.write()?;
        let mut batch = self.payloads.batch();
        batch.delete(PayloadTable::Raw, &handle.0);
        batch.write()
    }

    /// Drops what was stored longer ago than [`limits::RAW_S`] and not sent.
    pub(super) fn drop_old_raws(&self, caller: &Caller) -> Result<(), EnclaveError> {
        let is_old =
            |stored: &StoredRaw| stored.stored_at_s.saturating_add(limits::RAW_S) <= caller.now_s;
        let mut old = Vec::new();
        for row in self.payloads.with_prefix(PayloadTable::Raw, &[]) {
            let (handle, stored) = row?;
            let stored: StoredRaw = decode("raw", &stored)?;
            let handle = RawHandle(<[u8; 64]>::try_from(&*handle).map_err(|_| {
                EnclaveError::Store("a row of raw has a key that is no handle".into())
            })?);
            if is_old(&stored) {
                old.push((handle, stored.from));
            }
        }
        let _one_at_a_time = self.sealing_raw.lock();
        for (handle, from) in old {
            self.audit
                .append(caller, AuditAction::Erase, audited(&handle))?;
            self.remove_raw(&handle, &from)?;
        }
        Ok(())
    }

    /// The envelope of a handle, if it is here or was forgotten.
    pub(super) fn digest_of_handle(
        &self,
        handle: &RawHandle,
    ) -> Result<Option<Digest>, EnclaveError> {
        let Some(digest) = self.named_by(handle)? else {
            return Ok(None);
        };
        let status = self.payload_status(&digest)?;
        Ok((status != PayloadStatus::Missing).then_some(digest))
    }

    /// The envelope that was named by a handle, whatever became of it.
    pub(super) fn named_by(&self, handle: &RawHandle) -> Result<Option<Digest>, EnclaveError> {
        let found = self.payloads.read(PayloadTable::Handles, &handle.0)?;
        Ok(found.map(Digest))
    }
}

/// The part of a handle by which the audit log names it.
fn audited(handle: &RawHandle) -> Digest {
    let first = handle.0.first_chunk().expect("64 bytes begin with 32");
    Digest(*first)
}
