//! Buckets from which keys were dropped without an erasure: what was never sent, what nobody
//! names. A dropped row lies in old files until its bucket gets a new key, which happens for all
//! of an hour at once.

use super::LocalEnclave;
use crate::key_encryption::BUCKETS;
use crate::store::{Batch, KeyTable, PayloadTable};
use crate::{Caller, EnclaveError, limits};

/// Notes with the removal of a key that its bucket wants a new one.
pub(super) fn mark(batch: &mut Batch<'_, KeyTable>, bucket: u16) {
    batch.put(KeyTable::Stale, &bucket.to_be_bytes(), &[]);
}

impl LocalEnclave {
    /// Drops what is too old, and makes what was dropped unreadable; once an hour by the caller's
    /// clock.
    pub(super) fn upkeep(&self, caller: &Caller) -> Result<(), EnclaveError> {
        {
            let mut at_s = self.upkeep_at_s.lock();
            if at_s.is_some_and(|at_s| caller.now_s < at_s.saturating_add(limits::UPKEEP_S)) {
                return Ok(());
            }
            *at_s = Some(caller.now_s);
        }
        self.drop_old_raws(caller)?;
        let stale: Vec<_> = self
            .keys
            .with_prefix(KeyTable::Stale, &[])
            .map(|row| row.map(|(bucket, _)| bucket))
            .collect::<Result<_, _>>()?;
        for bucket in stale {
            let bucket = bucket.first_chunk().copied().map(u16::from_be_bytes);
            if let Some(bucket) = bucket.filter(|bucket| *bucket < BUCKETS) {
                self.renew(bucket)?;
            }
        }
        Ok(())
    }

    /// Gives a bucket a new key and destroys the old one; see [`super::erase`] for the order.
    fn renew(&self, bucket: u16) -> Result<(), EnclaveError> {
        let lock = self.buckets[usize::from(bucket)].write();
        let rotation = self.key_encryption.begin(bucket)?;
        let mut batch = self.keys.batch();
        self.move_rows(&rotation, KeyTable::Payloads, None, &mut batch)?;
        self.move_rows(&rotation, KeyTable::Raw, None, &mut batch)?;
        let version = rotation.version();
        batch.put_encoded(KeyTable::Buckets, &bucket.to_be_bytes(), &version);
        batch.delete(KeyTable::Stale, &bucket.to_be_bytes());
        batch.write()?;
        self.key_encryption.finish(rotation)?;
        drop(lock);
        let first = [u8::try_from(bucket).expect("payloads' buckets fit a byte")];
        for table in [KeyTable::Payloads, KeyTable::Raw] {
            self.keys.sweep(table, &first)?;
        }
        for table in [PayloadTable::Envelopes, PayloadTable::Raw] {
            self.payloads.sweep(table, &first)?;
        }
        Ok(())
    }
}
