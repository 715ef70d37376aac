//! By which secrets markers count, and which secrets are taken in.
//!
//! A secret has a version, and the contract counts the members that have left a group:
//! that count is the version in force. A marker counts only by a secret of the version
//! that was in force before its block, so that who has left, and knows older secrets
//! only, sends no marker that counts. Whose tags a member recognises must not depend on
//! luck either: an envelope is acknowledged only by who recognises its marker.

use crate::private::{
    exec::StepError,
    queue::Placed,
    registry::{GroupRecord, RegistryError},
    rows::MarkerRow,
    shared::Shared,
};
use alloy_primitives::B256;
use medina_enclave::{Digest, EnclaveError, GroupId, GroupSecretInfo, SealedSecret, Tag};
use medina_storage::StorageError;
use medina_types::Height;
use std::collections::BTreeMap;
use tracing::{debug, warn};

/// Secrets of one version that one member may bring: two would do, for who made one
/// while another did.
const SECRETS_PER_MEMBER_MAX: u32 = 8;

/// What is known of the versions of groups, by the heights at which they were read.
#[derive(Debug, Default)]
pub(crate) struct Versions(BTreeMap<B256, BTreeMap<u32, (u64, u64)>>);

impl Versions {
    /// Notes the version after a block.
    fn note(&mut self, group: B256, height: u64, version: u32) {
        let of_group = self.0.entry(group).or_default();
        let (first, last) = of_group.entry(version).or_insert((height, height));
        *first = height.min(*first);
        *last = height.max(*last);
        // It only grows, so a group without any has had none before.
        if version == 0 {
            *first = 0;
        }
    }

    /// The version after a block, as far as it follows from what was read.
    fn at(&self, group: B256, height: u64) -> Option<u32> {
        let mut of_group = self.0.get(&group)?.iter();
        let found = of_group.find(|(_, (first, last))| (*first..=*last).contains(&height));
        found.map(|(version, _)| *version)
    }
}

/// New secrets that members brought, by version and member.
#[derive(Debug, Default)]
pub(crate) struct Brought(BTreeMap<(u32, B256), u32>);

impl Brought {
    fn may_bring(&self, version: u32, by: B256) -> bool {
        let count = self.0.get(&(version, by)).copied().unwrap_or(0);
        count < SECRETS_PER_MEMBER_MAX
    }

    fn note(&mut self, version: u32, by: B256) {
        *self.0.entry((version, by)).or_default() += 1;
    }
}

/// The version of a group's secret in force after a public block.
///
/// # Errors
/// [`StepError::Pruned`] where the block's state is not kept any more.
fn version_after(shared: &Shared, group: B256, height: u64) -> Result<u32, StepError> {
    if let Some(version) = shared.versions.lock().at(group, height) {
        return Ok(version);
    }
    // The newest state is here; often it says enough.
    let head = shared.chain.head().height.0.max(height);
    for read in [head, height] {
        let version = read_version(shared, group, read)?;
        let mut versions = shared.versions.lock();
        versions.note(group, read, version);
        if let Some(version) = versions.at(group, height) {
            return Ok(version);
        }
    }
    Err(StepError::Pruned(height))
}

fn read_version(shared: &Shared, group: B256, height: u64) -> Result<u32, StepError> {
    let version = shared
        .registry
        .at(Height(height), |view| view.secret_version(group));
    version.map_err(|error| match error {
        RegistryError::Storage(StorageError::StatePruned { .. }) => StepError::Pruned(height + 1),
        error => error.into(),
    })
}

/// Whether a version was in force before a block; yes where nobody can tell any more.
///
/// # Errors
/// When the contract does not answer.
pub(crate) fn was_in_force(
    shared: &Shared,
    group: B256,
    height: u64,
    version: u32,
) -> Result<bool, RegistryError> {
    match version_after(shared, group, height.saturating_sub(1)) {
        Ok(in_force) => Ok(in_force == version),
        Err(StepError::Registry(error)) => Err(error),
        Err(StepError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(true),
    }
}

/// The version in force now.
///
/// # Errors
/// As of the contract.
pub(crate) fn version_now(shared: &Shared, group: B256) -> Result<u32, RegistryError> {
    shared.registry.now(|view| view.secret_version(group))
}

/// The envelope that a marker, or a handle, names in a group, if it counts there: by a
/// tag of the secret that was in force before its block.
///
/// # Errors
/// When the enclave or the contract does not answer, and [`StepError::Pruned`].
pub(crate) fn digest_in(
    shared: &Shared,
    group: B256,
    height: u64,
    row: &MarkerRow,
) -> Result<Option<B256>, StepError> {
    if row.is_handle {
        // It carries no tag; the envelope's metadata names the group.
        return shared.digest_in(group, row);
    }
    let digest = B256::from(row.digest);
    let secret = shared.recognise_secret(digest, row.tag.into())?;
    let Some(secret) = secret.filter(|secret| secret.group.0 == group.0) else {
        return Ok(None);
    };
    let in_force = version_after(shared, group, height.saturating_sub(1))?;
    Ok((in_force == secret.version).then_some(digest))
}

/// Where the first marker of a digest stands that counts in a group.
///
/// # Errors
/// As [`digest_in`].
pub(crate) fn first_place(
    shared: &Shared,
    group: B256,
    digest: B256,
) -> Result<Option<Placed>, StepError> {
    shared.rows.first_place_of(digest, |height, row| {
        Ok(digest_in(shared, group, height, row)? == Some(digest))
    })
}

/// The version of the secret of ours by which a marker would be a group's; `None` where
/// none of ours makes it that.
///
/// # Errors
/// When the enclave does not answer.
pub(crate) fn version_of(
    shared: &Shared,
    group: B256,
    (digest, tag): (B256, B256),
) -> Result<Option<u32>, EnclaveError> {
    let (digest, tag) = (Digest(digest.0), Tag(tag.0));
    let secret = shared.enclave.secret_of(&digest, &tag)?;
    let ours = secret.filter(|secret| secret.group.0 == group.0);
    Ok(ours.map(|secret| secret.version))
}

/// Why a secret is not taken in, or not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The enclave refused it, or is away.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// The contract did not answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is no secret of the group's.
    #[error("the secret is of another group, or from no member of it")]
    Stranger,
    /// Not so many members have left.
    #[error("the secret has version {got}, the group is at {now}")]
    TooNew {
        /// Its version.
        got: u32,
        /// The version in force.
        now: u32,
    },
    /// The member has brought as many as it may.
    #[error("member {0} has brought as many secrets of this version as it may")]
    TooMany(B256),
}

/// Takes in a group's secret that a member brings, and has markers looked at again that
/// nobody's secret fitted.
fn take(shared: &Shared, group: &GroupRecord, by: B256, sealed: &[u8]) -> Result<(), SecretError> {
    let sealed = SealedSecret::from_bytes(sealed)?;
    let sender = shared.known().org_of(&sealed.sender);
    let is_members = sender.is_some_and(|org| group.has(&org));
    if sealed.group.0 != group.id.0 || !is_members {
        return Err(SecretError::Stranger);
    }
    let now = version_now(shared, group.id)?;
    if sealed.version > now {
        let got = sealed.version;
        return Err(SecretError::TooNew { got, now });
    }
    let live = shared.group(group.id);
    let is_too_many = live
        .as_ref()
        .is_some_and(|live| !live.brought.lock().may_bring(sealed.version, by));
    if is_too_many {
        return Err(SecretError::TooMany(by));
    }
    let before = shared.enclave.group_secrets()?;
    let caller = shared.caller("receive");
    // First: a stop after the secret is taken in must not lose the look.
    shared.rows.put_look(group.id)?;
    let taken = shared.enclave.accept_group_secret(&caller, &sealed)?;
    if before.contains(&taken) {
        return Ok(());
    }
    shared.forget_recognised();
    if let Some(live) = live {
        live.brought.lock().note(taken.version, by);
        live.know_secret.lock().clear();
        live.look_again();
    }
    Ok(())
}

/// Takes in what a member brings and is any good, until it is enough: one that is not
/// does not keep the others away.
pub(crate) fn take_all(
    shared: &Shared,
    group: &GroupRecord,
    by: B256,
    secrets: &[Vec<u8>],
    mut is_enough: impl FnMut() -> bool,
) {
    for sealed in secrets {
        if is_enough() {
            return;
        }
        match take(shared, group, by, sealed) {
            Ok(()) => {}
            Err(error @ SecretError::TooMany(_)) => {
                warn!(group = %group.id, %by, %error, "a member makes up secrets of a private group");
                return;
            }
            Err(error) => debug!(group = %group.id, %by, %error, "a member's secret is no use"),
        }
    }
}

/// What is here of a group's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Any version.
    pub(crate) is_any: bool,
    /// The one in force.
    pub(crate) is_current: bool,
}

/// What is here of a group's secrets. Blocks.
///
/// # Errors
/// When the enclave or the contract does not answer.
pub(crate) fn held(shared: &Shared, group: B256) -> Result<Held, SecretError> {
    let version = version_now(shared, group)?;
    let secrets = shared.enclave.group_secrets()?;
    let of_group = |secret: &&GroupSecretInfo| secret.group.0 == group.0;
    let versions = secrets.iter().filter(of_group).map(|one| one.version);
    let newest = versions.max();
    Ok(Held {
        is_any: newest.is_some(),
        is_current: newest.is_some_and(|newest| newest >= version),
    })
}

/// Makes the secret in force, if it is not here. Blocks.
///
/// # Errors
/// When the enclave or the contract does not answer.
pub(crate) fn make(shared: &Shared, group: B256) -> Result<(), SecretError> {
    let version = version_now(shared, group)?;
    let before = shared.enclave.group_secrets()?;
    let caller = shared.caller("send");
    let made = shared
        .enclave
        .ensure_group_secret(&caller, &GroupId(group.0), version)?;
    if before.contains(&made) {
        return Ok(());
    }
    shared.forget_recognised();
    if let Some(live) = shared.group(group) {
        live.know_secret.lock().clear();
        live.wake.notify_one();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    #[test]
    fn version_between_two_equal_ones_is_the_same_and_none_has_one_before_the_first() {
        let mut versions = Versions::default();
        assert_eq!(versions.at(group(1), 5), None);
        versions.note(group(1), 90, 0);
        assert_eq!(versions.at(group(1), 5), Some(0));
        assert_eq!(versions.at(group(1), 91), None);
        assert_eq!(versions.at(group(2), 5), None);
        versions.note(group(1), 200, 1);
        versions.note(group(1), 120, 1);
        assert_eq!(versions.at(group(1), 150), Some(1));
        assert_eq!(versions.at(group(1), 100), None, "nobody has looked there");
    }

    #[test]
    fn one_member_cannot_fill_the_table_of_secrets() {
        let mut brought = Brought::default();
        for _ in 0..SECRETS_PER_MEMBER_MAX {
            assert!(brought.may_bring(3, group(1)));
            brought.note(3, group(1));
        }
        assert!(!brought.may_bring(3, group(1)));
        assert!(brought.may_bring(3, group(2)), "others bring theirs");
        assert!(brought.may_bring(4, group(1)), "after somebody has left");
    }

    proptest! {
        /// Whatever was read in whatever order, nothing is concluded that is not so.
        #[test]
        fn conclusions_agree_with_the_chain(
            changes in proptest::collection::btree_set(1..60_u64, 0..5),
            reads in proptest::collection::vec(0..64_u64, 0..20),
            asked in 0..64_u64,
        ) {
            let truth = |height: u64| {
                let left = changes.iter().filter(|at| **at <= height).count();
                u32::try_from(left).expect("small")
            };
            let mut versions = Versions::default();
            for height in reads {
                versions.note(group(1), height, truth(height));
            }
            if let Some(found) = versions.at(group(1), asked) {
                prop_assert_eq!(found, truth(asked));
            }
        }
    }
}
