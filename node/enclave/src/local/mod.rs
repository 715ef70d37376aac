//! The enclave in this process.
//!
//! ```text
//! folder/payloads        database: ciphertexts, tombstones        goes into backups
//!       /payload-keys    database: wrapped keys                   stays out of them
//!       /audit.log
//!       /secrets/buckets keys that encrypt keys                   another medium, if there is one
//!               /parties identity and encryption keys
//! ```
//!
//! A payload belongs to the bucket of its digest's first byte. Who adds to a bucket holds its lock
//! for reading, who forgets holds it for writing: nothing is added under a key that is about to
//! be destroyed, and nothing comes back between the question and the deed. Locks of several
//! buckets are taken in ascending order.

mod erase;
mod group_secrets;
mod parties;
mod payloads;
mod raw;
mod stale;
#[cfg(test)]
mod tests;

use crate::audit_log::AuditLog;
use crate::key_encryption::{BUCKETS, FIRST_VERSION, KeyEncryptionKeys, KeyVersion};
use crate::store::{Database, KeyTable, PayloadTable};
use crate::{
    Accepted, AuditAction, AuditEntry, AuditHead, Caller, Certificate, Digest, Enclave,
    EnclaveError, Envelope, EpochKey, ErasureReceipt, GroupId, GroupSecretInfo, Party, PartyId,
    PayloadStatus, RawHandle, RecipientKey, SealedSecret, SignDomain, Tag, Terms, Tombstone,
    attestation_hash, epoch_key_hash, key_files, limits, party_hash,
};
use group_secrets::GroupSecrets;
use medina_types::NodeSignature;
use parking_lot::{Mutex, RwLock};
use parties::Parties;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where an enclave keeps what, and how long its keys live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveConfig {
    /// Folder of the enclave; made if there is none.
    pub folder: PathBuf,
    /// Folder of the secrets, if they are to lie elsewhere than in `folder`: another disk, a
    /// mounted token.
    pub secrets: Option<PathBuf>,
    /// Seconds for which an encryption key is used.
    pub epoch_s: u64,
    /// Seconds for which a replaced key still opens what was under way.
    pub epoch_grace_s: u64,
}

impl EnclaveConfig {
    /// An enclave with everything in one folder and the usual times.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            secrets: None,
            epoch_s: limits::EPOCH_S,
            epoch_grace_s: limits::EPOCH_GRACE_S,
        }
    }
}

/// An enclave in this process.
pub struct LocalEnclave {
    config: EnclaveConfig,
    payloads: Database<PayloadTable>,
    keys: Database<KeyTable>,
    key_encryption: KeyEncryptionKeys,
    parties: Parties,
    group_secrets: GroupSecrets,
    audit: AuditLog,
    buckets: Vec<RwLock<()>>,
    /// One at a time: a handle names one envelope.
    sealing_raw: Mutex<()>,
    /// When what was dropped was last looked for.
    upkeep_at_s: Mutex<Option<u64>>,
}

impl LocalEnclave {
    /// Opens or makes an enclave, and ends what a sudden stop left half-done.
    ///
    /// # Errors
    /// [`EnclaveError::KeyFile`] for secrets that are missing, damaged or open to others,
    /// [`EnclaveError::Store`], [`EnclaveError::AuditBroken`].
    pub fn open(config: EnclaveConfig) -> Result<Self, EnclaveError> {
        key_files::private_folder(&config.folder)?;
        let secrets = config
            .secrets
            .clone()
            .unwrap_or_else(|| config.folder.join("secrets"));
        key_files::private_folder(&secrets)?;
        let payloads = Database::open(&config.folder.join("payloads"))?;
        let keys = Database::open(&config.folder.join("payload-keys"))?;
        let key_encryption =
            KeyEncryptionKeys::open(&secrets.join("buckets"), |bucket| version_in(&keys, bucket))?;
        let group_secrets = GroupSecrets::load(&keys, &key_encryption)?;
        let enclave = Self {
            parties: Parties::open(&secrets.join("parties"))?,
            audit: AuditLog::open(&config.folder.join("audit.log"))?,
            buckets: (0..BUCKETS).map(|_| RwLock::new(())).collect(),
            sealing_raw: Mutex::new(()),
            upkeep_at_s: Mutex::default(),
            config,
            payloads,
            keys,
            key_encryption,
            group_secrets,
        };
        enclave.finish_erasures()?;
        Ok(enclave)
    }

    fn certificate_hash(
        &self,
        party: &PartyId,
        certificate: &Certificate,
    ) -> Result<[u8; 32], EnclaveError> {
        match *certificate {
            Certificate::Party {
                chain_id,
                contract,
                org,
                node_key,
            } => Ok(party_hash(chain_id, contract.into(), org, *party, node_key)),
            Certificate::EpochKey {
                chain_id,
                contract,
                org,
                epoch,
            } => {
                let keys = self.parties.epoch_keys(party)?;
                let key = keys.into_iter().find(|key| key.epoch == epoch);
                let key = key.ok_or(EnclaveError::UnknownEpoch {
                    party: *party,
                    epoch,
                })?;
                Ok(epoch_key_hash(
                    chain_id,
                    contract.into(),
                    org,
                    epoch,
                    key.x25519,
                    key.valid_from_s,
                ))
            }
            Certificate::Attestation {
                chain_id,
                group,
                height,
                root,
            } => Ok(attestation_hash(chain_id, group, height, root)),
        }
    }
}

/// The version of a bucket's key that its rows use; none where nothing was ever put there.
fn version_in(keys: &Database<KeyTable>, bucket: u16) -> Result<Option<KeyVersion>, EnclaveError> {
    let named = keys.read(KeyTable::Buckets, &bucket.to_be_bytes())?;
    if named.is_some() {
        return Ok(named);
    }
    let has_rows = |table, prefix: &[u8]| {
        let row = keys.with_prefix(table, prefix).next().transpose();
        row.map(|row| row.is_some())
    };
    let is_used = match u8::try_from(bucket) {
        Ok(bucket) => {
            has_rows(KeyTable::Payloads, &[bucket])? || has_rows(KeyTable::Raw, &[bucket])?
        }
        Err(_) => has_rows(KeyTable::GroupSecrets, &[])?,
    };
    Ok(is_used.then_some(FIRST_VERSION))
}

/// Refuses texts beyond their bound.
fn check_text(what: &str, text: &str) -> Result<(), EnclaveError> {
    check_size(what, text.len(), limits::TEXT_BYTES_MAX)
}

fn check_size(what: &str, got: usize, max: usize) -> Result<(), EnclaveError> {
    if got > max {
        return Err(EnclaveError::too_large(what, got, max));
    }
    Ok(())
}

fn check_caller(caller: &Caller) -> Result<(), EnclaveError> {
    check_text("bytes of the actor", &caller.actor)?;
    check_text("bytes of the scope", &caller.scope)
}

impl Enclave for LocalEnclave {
    fn parties(&self) -> Result<Vec<Party>, EnclaveError> {
        Ok(self.parties.all())
    }

    fn ensure_party(&self, caller: &Caller, label: &str) -> Result<PartyId, EnclaveError> {
        check_caller(caller)?;
        check_text("bytes of the name", label)?;
        if let Some(party) = self.parties.labelled(label) {
            return Ok(party);
        }
        let party = self.parties.create(label, caller.now_s)?;
        self.audit
            .append(caller, AuditAction::Rotate, Digest(party.0))?;
        Ok(party)
    }

    fn epoch_keys(&self, party: &PartyId) -> Result<Vec<EpochKey>, EnclaveError> {
        self.parties.epoch_keys(party)
    }

    fn rotate(
        &self,
        caller: &Caller,
        party: &PartyId,
        from_epoch: u32,
    ) -> Result<EpochKey, EnclaveError> {
        check_caller(caller)?;
        if !self.parties.holds(party) {
            return Err(EnclaveError::UnknownParty(*party));
        }
        self.audit
            .append(caller, AuditAction::Rotate, Digest(party.0))?;
        self.parties.rotate(party, from_epoch, caller.now_s)
    }

    fn keep_time(&self, caller: &Caller) -> Result<Vec<(PartyId, EpochKey)>, EnclaveError> {
        check_caller(caller)?;
        let mut new = Vec::new();
        for (party, epoch) in self.parties.due(self.config.epoch_s, caller.now_s) {
            new.push((party, self.rotate(caller, &party, epoch)?));
        }
        let outdated = self
            .parties
            .outdated(self.config.epoch_grace_s, caller.now_s);
        for (party, epoch) in outdated {
            self.destroy_epochs_before(caller, &party, epoch)?;
        }
        self.upkeep(caller)?;
        Ok(new)
    }

    fn destroy_epochs_before(
        &self,
        caller: &Caller,
        party: &PartyId,
        epoch: u32,
    ) -> Result<(), EnclaveError> {
        check_caller(caller)?;
        if !self.parties.holds(party) {
            return Err(EnclaveError::UnknownParty(*party));
        }
        self.audit
            .append(caller, AuditAction::Rotate, Digest(party.0))?;
        self.parties.destroy_before(party, epoch)
    }

    fn certify(
        &self,
        party: &PartyId,
        certificate: &Certificate,
    ) -> Result<NodeSignature, EnclaveError> {
        let hash = self.certificate_hash(party, certificate)?;
        Ok(self.parties.signer(party)?.identity.sign(&hash))
    }

    fn sign(
        &self,
        party: &PartyId,
        domain: SignDomain,
        message: &[u8],
    ) -> Result<NodeSignature, EnclaveError> {
        if !domain.is_open() {
            let reason = format!("{domain:?}: only the enclave itself signs that");
            return Err(EnclaveError::BadRequest(reason));
        }
        check_size("bytes to sign", message.len(), limits::SIGNED_BYTES_MAX)?;
        Ok(self.parties.signer(party)?.sign(domain, message))
    }

    fn seal(
        &self,
        caller: &Caller,
        terms: &Terms,
        payload: &[u8],
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        self.seal_payload(caller, terms, payload, recipients)
    }

    fn accept(&self, caller: &Caller, envelope: &Envelope) -> Result<Accepted, EnclaveError> {
        self.accept_envelope(caller, envelope)
    }

    fn open(
        &self,
        caller: &Caller,
        digest: &Digest,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        self.open_payload(caller, digest, party)
    }

    fn status(&self, digest: &Digest) -> Result<PayloadStatus, EnclaveError> {
        self.payload_status(digest)
    }

    fn rewrap(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        self.rewrap_payload(caller, digest, by, recipients)
    }

    fn discard(&self, caller: &Caller, digest: &Digest) -> Result<(), EnclaveError> {
        self.discard_payload(caller, digest)
    }

    fn erase(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        reason: &str,
    ) -> Result<ErasureReceipt, EnclaveError> {
        self.erase_payload(caller, digest, by, reason)
    }

    fn tombstones(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Tombstone>, EnclaveError> {
        self.tombstones_after(after, limit)
    }

    fn ensure_group_secret(
        &self,
        caller: &Caller,
        group: &GroupId,
        version: u32,
    ) -> Result<GroupSecretInfo, EnclaveError> {
        self.make_group_secret(caller, group, version)
    }

    fn group_secrets(&self) -> Result<Vec<GroupSecretInfo>, EnclaveError> {
        Ok(self.group_secrets.all())
    }

    fn share_group_secrets(
        &self,
        caller: &Caller,
        group: &GroupId,
        by: &PartyId,
        recipient: &RecipientKey,
    ) -> Result<Vec<SealedSecret>, EnclaveError> {
        self.seal_group_secrets(caller, group, by, recipient)
    }

    fn accept_group_secret(
        &self,
        caller: &Caller,
        sealed: &SealedSecret,
    ) -> Result<GroupSecretInfo, EnclaveError> {
        self.take_group_secret(caller, sealed)
    }

    fn tag(&self, group: &GroupId, digest: &Digest) -> Result<Tag, EnclaveError> {
        self.group_secrets.tag(group, digest)
    }

    fn secret_of(
        &self,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<Option<GroupSecretInfo>, EnclaveError> {
        Ok(self.group_secrets.secret_of(digest, tag))
    }

    fn store_raw(
        &self,
        caller: &Caller,
        payload: &[u8],
        from: &PartyId,
    ) -> Result<RawHandle, EnclaveError> {
        self.store_raw_payload(caller, payload, from)
    }

    fn open_raw(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        self.open_raw_payload(caller, handle, party)
    }

    fn seal_raw(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        terms: &Terms,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError> {
        self.seal_raw_payload(caller, handle, terms, recipients)
    }

    fn digest_of(&self, handle: &RawHandle) -> Result<Option<Digest>, EnclaveError> {
        self.digest_of_handle(handle)
    }

    fn audit_head(&self) -> Result<AuditHead, EnclaveError> {
        Ok(self.audit.head())
    }

    fn audit_entries(&self, from_seq: u64, limit: usize) -> Result<Vec<AuditEntry>, EnclaveError> {
        self.audit.entries(from_seq, limit)
    }

    fn verify_audit(&self) -> Result<AuditHead, EnclaveError> {
        self.audit.verify()
    }

    fn back_up(&self, folder: &Path) -> Result<(), EnclaveError> {
        self.payloads.checkpoint(folder)
    }
}
