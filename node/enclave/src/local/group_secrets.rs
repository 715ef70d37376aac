//! Secrets of groups: in memory while the enclave runs, encrypted in the store.
//!
//! A tag is bound to the group and to the secret's version, not to the secret alone: who gives one
//! group's secret away as another's, or an old one as new, makes no marker change its group.

use super::{LocalEnclave, check_caller};
use crate::hpke::{self, Context, Sealed};
use crate::key_encryption::{GROUP_BUCKET, KeyEncryptionKeys};
use crate::sealing::seal_error;
use crate::secret::{self, Secret};
use crate::store::{Database, KeyTable};
use crate::{
    AuditAction, Caller, Digest, EnclaveError, GroupId, GroupSecretInfo, PartyId, RecipientKey,
    SealedSecret, SignDomain, Tag, limits,
};
use alloy_primitives::keccak256;
use hmac::{Hmac, KeyInit, Mac};
use medina_types::NodeSignature;
use parking_lot::RwLock;
use sha2::Sha256;
use std::collections::BTreeMap;

const ID_DOMAIN: &[u8] = b"medina.private.group-secret-id.v1";
const TAG_DOMAIN: &[u8] = b"medina.private.marker-tag.v1";

/// The secrets held, by group, version and id.
pub(super) struct GroupSecrets {
    held: RwLock<BTreeMap<GroupSecretInfo, Secret>>,
}

impl GroupSecrets {
    pub(super) fn load(
        keys: &Database<KeyTable>,
        key_encryption: &KeyEncryptionKeys,
    ) -> Result<Self, EnclaveError> {
        let mut held = BTreeMap::new();
        for row in keys.with_prefix(KeyTable::GroupSecrets, &[]) {
            let (row, wrapped) = row?;
            let secret = key_encryption.unwrap(GROUP_BUCKET, &row, &wrapped)?;
            held.insert(parse_row(&row)?, secret);
        }
        Ok(Self {
            held: RwLock::new(held),
        })
    }

    pub(super) fn all(&self) -> Vec<GroupSecretInfo> {
        self.held.read().keys().copied().collect()
    }

    pub(super) fn tag(&self, group: &GroupId, digest: &Digest) -> Result<Tag, EnclaveError> {
        let held = self.held.read();
        let of_group = held.iter().filter(|(info, _)| info.group == *group);
        // The newest version; of twins the smaller, so that all members come to use one.
        of_group
            .min_by_key(|(info, _)| (std::cmp::Reverse(info.version), info.id))
            .map(|(info, secret)| tag_of(info, secret, digest))
            .ok_or(EnclaveError::NoGroupSecret(*group))
    }

    pub(super) fn secret_of(&self, digest: &Digest, tag: &Tag) -> Option<GroupSecretInfo> {
        let held = self.held.read();
        let mut found = held
            .iter()
            .filter(|(info, secret)| mac(info, secret, digest).verify_slice(&tag.0).is_ok());
        found.next().map(|(info, _)| *info)
    }

    /// The secrets of a group, those in use first.
    fn of_group(&self, group: &GroupId) -> Vec<(GroupSecretInfo, Secret)> {
        let held = self.held.read();
        let mut secrets: Vec<_> = held
            .iter()
            .filter(|(info, _)| info.group == *group)
            .map(|(info, secret)| (*info, secret.clone()))
            .collect();
        secrets.sort_by_key(|(info, _)| (std::cmp::Reverse(info.version), info.id));
        secrets
    }
}

impl LocalEnclave {
    pub(super) fn make_group_secret(
        &self,
        caller: &Caller,
        group: &GroupId,
        version: u32,
    ) -> Result<GroupSecretInfo, EnclaveError> {
        check_caller(caller)?;
        let mut held = self.group_secrets.held.write();
        let here = |info: &&GroupSecretInfo| info.group == *group && info.version == version;
        if let Some(info) = held.keys().find(here) {
            return Ok(*info);
        }
        self.audit
            .append(caller, AuditAction::Rotate, Digest(group.0))?;
        let secret = secret::random().map_err(EnclaveError::Store)?;
        self.keep_group_secret(&mut held, group, version, secret)
    }

    pub(super) fn seal_group_secrets(
        &self,
        caller: &Caller,
        group: &GroupId,
        by: &PartyId,
        recipient: &RecipientKey,
    ) -> Result<Vec<SealedSecret>, EnclaveError> {
        check_caller(caller)?;
        let signer = self.parties.signer(by)?;
        let secrets = self.group_secrets.of_group(group);
        if secrets.is_empty() {
            return Err(EnclaveError::NoGroupSecret(*group));
        }
        self.audit
            .append(caller, AuditAction::Extend, Digest(group.0))?;
        let seal = |(info, secret): (GroupSecretInfo, Secret)| {
            let mut sealed = SealedSecret {
                group: info.group,
                version: info.version,
                sender: *by,
                recipient: recipient.party,
                epoch: recipient.epoch,
                encapsulated: [0; 32],
                sealed: [0; 48],
                signature: NodeSignature([0; 64]),
            };
            let wrapped = hpke::seal(&recipient.x25519, context(&sealed.info()), &secret)
                .map_err(|error| seal_error(&error, &recipient.party))?;
            sealed.encapsulated = wrapped.encapsulated;
            sealed.sealed = wrapped.sealed;
            sealed.signature = signer.sign(SignDomain::GroupSecret, &sealed.message());
            Ok(sealed)
        };
        secrets.into_iter().map(seal).collect()
    }

    pub(super) fn take_group_secret(
        &self,
        caller: &Caller,
        sealed: &SealedSecret,
    ) -> Result<GroupSecretInfo, EnclaveError> {
        check_caller(caller)?;
        sealed.validate()?;
        let key = self.parties.secret(&sealed.recipient, sealed.epoch)?;
        let wrapped = Sealed {
            encapsulated: sealed.encapsulated,
            sealed: sealed.sealed,
        };
        let secret = hpke::open(&key, context(&sealed.info()), &wrapped)
            .map_err(|_| EnclaveError::BadEnvelope("the group secret does not open".into()))?;
        let mut held = self.group_secrets.held.write();
        let info = info_of(&sealed.group, sealed.version, &secret);
        if held.contains_key(&info) {
            return Ok(info);
        }
        self.audit
            .append(caller, AuditAction::Decrypt, Digest(sealed.group.0))?;
        self.keep_group_secret(&mut held, &sealed.group, sealed.version, secret)
    }

    fn keep_group_secret(
        &self,
        held: &mut BTreeMap<GroupSecretInfo, Secret>,
        group: &GroupId,
        version: u32,
        secret: Secret,
    ) -> Result<GroupSecretInfo, EnclaveError> {
        let of_version = |info: &&GroupSecretInfo| info.group == *group && info.version == version;
        let count = held.keys().filter(of_version).count();
        if count >= limits::GROUP_SECRETS_MAX {
            let max = limits::GROUP_SECRETS_MAX;
            return Err(EnclaveError::too_large(
                "secrets of one version of a group",
                count + 1,
                max,
            ));
        }
        let info = info_of(group, version, &secret);
        let row = row_of(&info);
        let wrapped = self.key_encryption.wrap(GROUP_BUCKET, &row, &secret)?;
        let mut batch = self.keys.batch();
        batch.put(KeyTable::GroupSecrets, &row, &wrapped);
        batch.write()?;
        held.insert(info, secret);
        Ok(info)
    }
}

fn context(info: &[u8]) -> Context<'_> {
    Context { info, aad: &[] }
}

fn info_of(group: &GroupId, version: u32, secret: &Secret) -> GroupSecretInfo {
    let message = zeroize::Zeroizing::new([ID_DOMAIN, secret.expose()].concat());
    let hash = keccak256(message.as_slice());
    GroupSecretInfo {
        group: *group,
        version,
        id: *hash.0.first_chunk().expect("32 bytes begin with 8"),
    }
}

fn row_of(info: &GroupSecretInfo) -> Vec<u8> {
    [
        info.group.0.as_slice(),
        &info.version.to_be_bytes(),
        &info.id,
    ]
    .concat()
}

fn parse_row(row: &[u8]) -> Result<GroupSecretInfo, EnclaveError> {
    let parse = || {
        let (group, rest) = row.split_first_chunk()?;
        let (version, id) = rest.split_first_chunk()?;
        Some(GroupSecretInfo {
            group: GroupId(*group),
            version: u32::from_be_bytes(*version),
            id: id.try_into().ok()?,
        })
    };
    parse().ok_or_else(|| EnclaveError::Store("a row of group_secrets has a bad key".into()))
}

fn mac(info: &GroupSecretInfo, secret: &Secret, digest: &Digest) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).expect("HMAC takes any key");
    mac.update(TAG_DOMAIN);
    mac.update(&info.group.0);
    mac.update(&info.version.to_be_bytes());
    mac.update(&digest.0);
    mac
}

fn tag_of(info: &GroupSecretInfo, secret: &Secret, digest: &Digest) -> Tag {
    Tag(mac(info, secret, digest).finalize().into_bytes().into())
}
