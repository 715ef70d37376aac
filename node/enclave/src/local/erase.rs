//! Forgetting: the payload's bucket gets a new key, everything else in it moves, the old one is
//! destroyed.
//!
//! ```text
//! 1. new key of the bucket on the disk
//! 2. one batch: rows moved, the payload's rows gone, tombstone, "the bucket uses the new key"
//! 3. old key destroyed: the payload is forgotten
//! 4. ciphertext removed
//! 5. files swept
//! ```
//! A stop after 2 is completed at the next start, one before 2 undone.

use super::payloads::{bucket_of, buckets_of};
use super::{LocalEnclave, check_caller, check_text};
use crate::key_encryption::Rotation;
use crate::store::{Batch, KeyTable, PayloadTable};
use crate::{
    AuditAction, Caller, Digest, EnclaveError, ErasureReceipt, PartyId, RawHandle, SignDomain,
    Tombstone, limits,
};
use medina_types::NodeSignature;

impl LocalEnclave {
    pub(super) fn erase_payload(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        reason: &str,
    ) -> Result<ErasureReceipt, EnclaveError> {
        check_caller(caller)?;
        check_text("bytes of the reason", reason)?;
        let signer = self.parties.signer(by)?;
        let tombstone = match self.tombstone(digest)? {
            Some(tombstone) => tombstone,
            None => self.forget(caller, digest, by, reason)?,
        };
        // No receipt while a key that should be gone is still there.
        self.key_encryption.destroy_doomed()?;
        let mut receipt = ErasureReceipt {
            party: *by,
            digest: *digest,
            reason: tombstone.reason,
            erased_at_s: tombstone.erased_at_s,
            was_held: tombstone.was_held,
            signature: NodeSignature([0; 64]),
        };
        receipt.signature = signer.sign(SignDomain::ErasureReceipt, &receipt.message());
        Ok(receipt)
    }

    fn forget(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        reason: &str,
    ) -> Result<Tombstone, EnclaveError> {
        let envelope = self.stored_envelope(digest)?;
        let handle = envelope.and_then(|envelope| envelope.metadata.handle);
        let buckets = buckets_of(digest, handle.as_ref());
        let locks: Vec<_> = buckets
            .iter()
            .map(|bucket| self.buckets[usize::from(*bucket)].write())
            .collect();
        if let Some(tombstone) = self.tombstone(digest)? {
            return Ok(tombstone);
        }
        self.audit.append(caller, AuditAction::Erase, *digest)?;
        let tombstone = Tombstone {
            digest: *digest,
            by: *by,
            reason: reason.to_owned(),
            actor: caller.actor.clone(),
            erased_at_s: caller.now_s,
            was_held: self.has_keys(digest, handle.as_ref())?,
        };
        self.destroy_keys(&buckets, &tombstone, handle.as_ref())?;
        self.remove_ciphertext(&tombstone, handle.as_ref())?;
        drop(locks);
        self.sweep(digest, handle.as_ref())?;
        self.note_swept(digest)?;
        Ok(tombstone)
    }

    fn has_keys(&self, digest: &Digest, handle: Option<&RawHandle>) -> Result<bool, EnclaveError> {
        if !self.holders(digest)?.is_empty() {
            return Ok(true);
        }
        let Some(handle) = handle else {
            return Ok(false);
        };
        let mut rows = self.keys.with_prefix(KeyTable::Raw, &handle.0);
        Ok(rows.next().transpose()?.is_some())
    }

    /// Steps 1 to 3. The buckets get new keys also if no key is held now: one may have been held
    /// once and lie in an old file.
    pub(super) fn destroy_keys(
        &self,
        buckets: &[u16],
        tombstone: &Tombstone,
        handle: Option<&RawHandle>,
    ) -> Result<(), EnclaveError> {
        let mut rotations = Vec::new();
        let mut batch = self.keys.batch();
        for bucket in buckets {
            let rotation = self.key_encryption.begin(*bucket)?;
            let digest = &tombstone.digest.0;
            self.move_rows(&rotation, KeyTable::Payloads, Some(digest), &mut batch)?;
            let handle = handle.map(|handle| handle.0.as_slice());
            self.move_rows(&rotation, KeyTable::Raw, handle, &mut batch)?;
            let version = rotation.version();
            batch.put_encoded(KeyTable::Buckets, &bucket.to_be_bytes(), &version);
            rotations.push(rotation);
        }
        batch.put_encoded(KeyTable::Tombstones, &tombstone.digest.0, tombstone);
        let handle = handle.map_or([].as_slice(), |handle| &handle.0);
        batch.put(KeyTable::Unswept, &tombstone.digest.0, handle);
        batch.write()?;
        let mut rotations = rotations.into_iter();
        rotations.try_for_each(|rotation| self.key_encryption.finish(rotation))
    }

    /// Moves a bucket's rows of a table to its new key, and drops those of one payload.
    pub(super) fn move_rows(
        &self,
        rotation: &Rotation,
        table: KeyTable,
        forgotten: Option<&[u8]>,
        batch: &mut Batch<'_, KeyTable>,
    ) -> Result<(), EnclaveError> {
        let bucket = u8::try_from(rotation.bucket()).expect("payloads' buckets fit a byte");
        for row in self.keys.with_prefix(table, &[bucket]) {
            let (row, wrapped) = row?;
            debug_assert_eq!(bucket_of(&row), rotation.bucket());
            if forgotten.is_some_and(|forgotten| row.starts_with(forgotten)) {
                batch.delete(table, &row);
                continue;
            }
            match rotation.move_over(&row, &wrapped)? {
                Some(moved) => batch.put(table, &row, &moved),
                None => batch.delete(table, &row),
            }
        }
        Ok(())
    }

    pub(super) fn remove_ciphertext(
        &self,
        tombstone: &Tombstone,
        handle: Option<&RawHandle>,
    ) -> Result<(), EnclaveError> {
        let digest = &tombstone.digest.0;
        let mut batch = self.payloads.batch();
        batch.put_encoded(PayloadTable::Tombstones, digest, tombstone);
        batch.delete(PayloadTable::Envelopes, digest);
        if let Some(handle) = handle {
            // The handle goes on naming the tombstone.
            batch.delete(PayloadTable::Raw, &handle.0);
        }
        batch.write()
    }

    fn sweep(&self, digest: &Digest, handle: Option<&RawHandle>) -> Result<(), EnclaveError> {
        self.keys.sweep(KeyTable::Payloads, &[digest.0[0]])?;
        self.payloads.sweep(PayloadTable::Envelopes, &digest.0)?;
        if let Some(handle) = handle {
            self.keys.sweep(KeyTable::Raw, &[handle.0[0]])?;
            self.payloads.sweep(PayloadTable::Raw, &handle.0)?;
        }
        Ok(())
    }

    fn note_swept(&self, digest: &Digest) -> Result<(), EnclaveError> {
        let mut batch = self.keys.batch();
        batch.delete(KeyTable::Unswept, &digest.0);
        batch.write()
    }

    /// Ends what a sudden stop left of erasures: ciphertexts whose keys were destroyed, files that
    /// were not rewritten.
    pub(super) fn finish_erasures(&self) -> Result<(), EnclaveError> {
        self.remove_lost_ciphertexts()?;
        for row in self.keys.with_prefix(KeyTable::Unswept, &[]) {
            let (digest, handle) = row?;
            let short = || EnclaveError::Store("a row of unswept has a short key".into());
            let digest = Digest(*digest.first_chunk().ok_or_else(short)?);
            let handle = <[u8; 64]>::try_from(&*handle).ok().map(RawHandle);
            if let Some(tombstone) = self.tombstone(&digest)? {
                self.remove_ciphertext(&tombstone, handle.as_ref())?;
            }
            self.sweep(&digest, handle.as_ref())?;
            self.note_swept(&digest)?;
        }
        Ok(())
    }

    /// Of erasures that left no note of what is to be swept.
    fn remove_lost_ciphertexts(&self) -> Result<(), EnclaveError> {
        for row in self.keys.with_prefix(KeyTable::Tombstones, &[]) {
            let (digest, _) = row?;
            if self.payloads.has(PayloadTable::Tombstones, &digest)? {
                continue;
            }
            let Some(tombstone): Option<Tombstone> =
                self.keys.read(KeyTable::Tombstones, &digest)?
            else {
                continue;
            };
            let envelope = self.stored_envelope(&tombstone.digest)?;
            let handle = envelope.and_then(|envelope| envelope.metadata.handle);
            self.remove_ciphertext(&tombstone, handle.as_ref())?;
            self.sweep(&tombstone.digest, handle.as_ref())?;
        }
        Ok(())
    }

    pub(super) fn tombstones_after(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Tombstone>, EnclaveError> {
        let start = after.map_or([].as_slice(), |digest| &digest.0);
        let rows = self.payloads.starting_at(PayloadTable::Tombstones, start);
        let later = rows.filter(|row| !matches!(row, Ok((key, _)) if **key == *start));
        later
            .take(limit.min(limits::ENTRIES_MAX))
            .map(|row| {
                let (_, value) = row?;
                borsh::from_slice(&value).map_err(|error| {
                    EnclaveError::Store(format!("a tombstone is damaged: {error}"))
                })
            })
            .collect()
    }
}
