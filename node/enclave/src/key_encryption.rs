//! Keys that encrypt keys: one file per bucket, outside the store.
//!
//! A payload's key rests encrypted under the key of its bucket, which is the first byte of its
//! digest. To forget a payload its bucket gets a new key, the other payloads' keys move under it,
//! and the old one is destroyed: whatever copy of the old rows exists in a write-ahead log, a
//! table file or a backup opens no more.
//!
//! The store says which version of a bucket's key its rows use; it is raised in the same batch
//! that moves the rows. Files of other versions are the traces of a stop half-way. A bucket with
//! rows and no file is refused at the start: a new key in its place would look healthy and open
//! nothing.

use crate::secret::{self, Secret};
use crate::{EnclaveError, key_files};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Buckets of payloads; one more is for secrets of groups.
pub(crate) const BUCKETS: u16 = 256;
/// The bucket of group secrets.
pub(crate) const GROUP_BUCKET: u16 = BUCKETS;

const DOMAIN: &[u8] = b"medina.private.wrapped-key.v1";
const NONCE_BYTES: usize = 24;
const WRAPPED_BYTES: usize = 4 + NONCE_BYTES + 48;
/// The version of a bucket's key of which the store says nothing yet.
pub(crate) const FIRST_VERSION: KeyVersion = 1;

/// Version of a bucket's key.
pub(crate) type KeyVersion = u32;

/// A key with its version.
#[derive(Clone)]
struct BucketKey {
    version: KeyVersion,
    key: Secret,
}

/// The keys of all buckets that are in use.
pub(crate) struct KeyEncryptionKeys {
    folder: PathBuf,
    keys: Mutex<BTreeMap<u16, BucketKey>>,
    /// Files of old keys that no row needs.
    doomed: Mutex<Vec<PathBuf>>,
}

impl KeyEncryptionKeys {
    /// Opens the folder; `current` says which version a bucket's rows in the store use, none
    /// where it has no rows.
    pub(crate) fn open(
        folder: &Path,
        current: impl Fn(u16) -> Result<Option<KeyVersion>, EnclaveError>,
    ) -> Result<Self, EnclaveError> {
        key_files::private_folder(folder)?;
        let mut files: BTreeMap<u16, Vec<KeyVersion>> = BTreeMap::new();
        for name in key_files::names(folder)? {
            let (bucket, version) = parse(&name).ok_or_else(|| {
                EnclaveError::key_file(&folder.join(&name), "not a file of this enclave")
            })?;
            files.entry(bucket).or_default().push(version);
        }
        let mut keys = BTreeMap::new();
        for bucket in 0..=GROUP_BUCKET {
            match (files.get(&bucket), current(bucket)?) {
                (Some(versions), current) => {
                    keys.insert(bucket, settle(folder, bucket, versions, current)?);
                }
                (None, Some(current)) => return Err(lost(folder, bucket, current)),
                (None, None) => {}
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            keys: Mutex::new(keys),
            doomed: Mutex::default(),
        })
    }

    /// Encrypts a key for a row.
    pub(crate) fn wrap(
        &self,
        bucket: u16,
        row: &[u8],
        key: &Secret,
    ) -> Result<Vec<u8>, EnclaveError> {
        self.current(bucket)?.wrap(row, key)
    }

    /// Decrypts the key of a row.
    pub(crate) fn unwrap(
        &self,
        bucket: u16,
        row: &[u8],
        wrapped: &[u8],
    ) -> Result<Secret, EnclaveError> {
        self.current(bucket)?.unwrap(row, wrapped)
    }

    /// What rows of a bucket that are read from now on must be [since](Present::opens) to open.
    pub(crate) fn present(&self, bucket: u16) -> Present {
        Present(self.lock().get(&bucket).map(|key| key.version))
    }

    /// A new key for a bucket, on the disk but not in use before [`Self::finish`].
    pub(crate) fn begin(&self, bucket: u16) -> Result<Rotation, EnclaveError> {
        let old = self.current(bucket)?;
        // A change that failed may have reached the disk all the same: its key stays where it is.
        let version = (old.version..KeyVersion::MAX)
            .map(|version| version + 1)
            .find(|version| !path(&self.folder, bucket, *version).exists())
            .ok_or_else(|| {
                EnclaveError::Store(format!("bucket {bucket} has used up its key versions"))
            })?;
        let new = create(&self.folder, bucket, version)?;
        Ok(Rotation { bucket, old, new })
    }

    /// Destroys the old key; the rows moved to the new one before.
    pub(crate) fn finish(&self, rotation: Rotation) -> Result<(), EnclaveError> {
        let path = path(&self.folder, rotation.bucket, rotation.old.version);
        self.lock().insert(rotation.bucket, rotation.new);
        self.doomed.lock().push(path);
        self.destroy_doomed()
    }

    /// Destroys old keys that could not be destroyed when it was their turn.
    pub(crate) fn destroy_doomed(&self) -> Result<(), EnclaveError> {
        let mut doomed = self.doomed.lock();
        while let Some(path) = doomed.last() {
            key_files::destroy(path)?;
            doomed.pop();
        }
        Ok(())
    }

    fn current(&self, bucket: u16) -> Result<BucketKey, EnclaveError> {
        let mut keys = self.lock();
        if let Some(key) = keys.get(&bucket) {
            return Ok(key.clone());
        }
        let key = create(&self.folder, bucket, FIRST_VERSION)?;
        keys.insert(bucket, key.clone());
        Ok(key)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, BucketKey>> {
        self.keys.lock()
    }
}

/// The version of a bucket's key, taken before its rows are read.
///
/// Rows move before the key changes: one that is read later is of this version or of a newer one.
/// An older one is of an older copy of the store, and nothing opens it any more.
#[derive(Clone, Copy)]
pub(crate) struct Present(Option<KeyVersion>);

impl Present {
    /// Whether the key of a row opens.
    pub(crate) fn opens(self, wrapped: &[u8]) -> bool {
        let version = wrapped
            .first_chunk()
            .copied()
            .map(KeyVersion::from_be_bytes);
        version >= self.0
    }
}

/// The change of a bucket's key.
pub(crate) struct Rotation {
    bucket: u16,
    old: BucketKey,
    new: BucketKey,
}

impl Rotation {
    /// The version that rows use from now on.
    pub(crate) fn version(&self) -> KeyVersion {
        self.new.version
    }

    pub(crate) fn bucket(&self) -> u16 {
        self.bucket
    }

    /// The same row under the new key; none for a row of an older copy of the store, whose key is
    /// destroyed.
    pub(crate) fn move_over(
        &self,
        row: &[u8],
        wrapped: &[u8],
    ) -> Result<Option<Vec<u8>>, EnclaveError> {
        if !wrapped.starts_with(&self.old.version.to_be_bytes()) {
            return Ok(None);
        }
        let key = self.old.unwrap(row, wrapped)?;
        self.new.wrap(row, &key).map(Some)
    }
}

impl BucketKey {
    fn wrap(&self, row: &[u8], key: &Secret) -> Result<Vec<u8>, EnclaveError> {
        let nonce = secret::nonce().map_err(EnclaveError::Store)?;
        let aad = associated_data(self.version, row);
        let payload = Payload {
            msg: key.expose(),
            aad: &aad,
        };
        let sealed = self
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("memory takes the ciphertext");
        Ok([&self.version.to_be_bytes(), nonce.as_slice(), &sealed].concat())
    }

    fn unwrap(&self, row: &[u8], wrapped: &[u8]) -> Result<Secret, EnclaveError> {
        let fail = |reason: String| EnclaveError::Store(format!("a wrapped key: {reason}"));
        if wrapped.len() != WRAPPED_BYTES {
            return Err(fail(format!("{} bytes", wrapped.len())));
        }
        let (version, rest) = wrapped.split_at(4);
        let (nonce, sealed) = rest.split_at(NONCE_BYTES);
        if version != self.version.to_be_bytes() {
            return Err(fail("the key it is encrypted under is destroyed".into()));
        }
        let aad = associated_data(self.version, row);
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        let opened = self
            .cipher()
            .decrypt(XNonce::from_slice(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| fail("it does not open under its bucket's key".into()))?;
        let bytes = opened.as_slice().try_into().expect("48 bytes less a tag");
        Ok(Secret::new(bytes))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(Key::from_slice(self.key.expose()))
    }
}

fn associated_data(version: KeyVersion, row: &[u8]) -> Vec<u8> {
    [DOMAIN, &version.to_be_bytes(), row].concat()
}

fn path(folder: &Path, bucket: u16, version: KeyVersion) -> PathBuf {
    folder.join(format!("{bucket:03x}-{version}"))
}

fn parse(name: &str) -> Option<(u16, KeyVersion)> {
    let (bucket, version) = name.split_once('-')?;
    let bucket = u16::from_str_radix(bucket, 16).ok()?;
    (bucket <= GROUP_BUCKET).then_some((bucket, version.parse().ok()?))
}

fn create(folder: &Path, bucket: u16, version: KeyVersion) -> Result<BucketKey, EnclaveError> {
    let key = secret::random().map_err(EnclaveError::Store)?;
    key_files::write(&path(folder, bucket, version), &key)?;
    Ok(BucketKey { version, key })
}

/// Which of a bucket's files is kept after a start; the others are destroyed.
///
/// The one the store names: newer ones were made for a change that never happened, older ones
/// should have been destroyed after it. If the store's one is not here and there is a newer one,
/// the store is older than the keys (someone put an old copy in place): its rows are lost on
/// purpose, the newest key is kept for new rows. With older ones only, it was lost.
fn settle(
    folder: &Path,
    bucket: u16,
    versions: &[KeyVersion],
    current: Option<KeyVersion>,
) -> Result<BucketKey, EnclaveError> {
    let newest = versions.iter().copied().max().expect("a bucket has a file");
    let named = current.unwrap_or(FIRST_VERSION);
    if newest < named {
        return Err(lost(folder, bucket, named));
    }
    let kept = if versions.contains(&named) {
        named
    } else {
        newest
    };
    for version in versions.iter().filter(|version| **version != kept) {
        key_files::destroy(&path(folder, bucket, *version))?;
    }
    let key = key_files::read(&path(folder, bucket, kept))?;
    Ok(BucketKey { version: kept, key })
}

/// A key that rows need is not here.
fn lost(folder: &Path, bucket: u16, version: KeyVersion) -> EnclaveError {
    EnclaveError::key_file(
        &path(folder, bucket, version),
        "missing, and the store has keys that only it opens: put it back, or mount the medium on \
         which the secrets lie; if it is gone for good, move the folder payload-keys away, and \
         payloads and groups' secrets are asked of the other members again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of a store with rows in bucket 7.
    fn try_open(
        folder: &Path,
        current: Option<KeyVersion>,
    ) -> Result<KeyEncryptionKeys, EnclaveError> {
        KeyEncryptionKeys::open(folder, |bucket| Ok(current.filter(|_| bucket == 7)))
    }

    fn open(folder: &Path, current: Option<KeyVersion>) -> KeyEncryptionKeys {
        try_open(folder, current).expect("opens")
    }

    #[test]
    fn bucket_with_rows_and_without_their_key_or_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        for version in [FIRST_VERSION, 2] {
            let refused = try_open(&keys, Some(version)).err().unwrap().to_string();
            assert!(
                refused.contains(&format!("007-{version}: missing")),
                "{refused}"
            );
            assert!(key_files::names(&keys).unwrap().is_empty());
        }
        open(&keys, None)
            .wrap(7, b"row", &secret::random().unwrap())
            .unwrap();
        assert!(
            try_open(&keys, Some(2)).is_err(),
            "an older one does not do"
        );
        assert!(path(&keys, 7, 1).exists());
        open(&keys, Some(1));
    }

    #[test]
    fn only_rows_under_the_present_key_count_as_held() {
        let folder = tempfile::tempdir().unwrap();
        let keys = open(&folder.path().join("keys"), None);
        let wrapped = keys.wrap(7, b"row", &secret::random().unwrap()).unwrap();
        let before = keys.present(7);
        assert!(before.opens(&wrapped));
        let rotation = keys.begin(7).unwrap();
        let moved = rotation.move_over(b"row", &wrapped).unwrap().unwrap();
        // While the key changes, a row opens before and after it has moved.
        let during = keys.present(7);
        assert!(during.opens(&wrapped) && during.opens(&moved));
        keys.finish(rotation).unwrap();
        assert!(before.opens(&moved) && keys.present(7).opens(&moved));
        assert!(!keys.present(7).opens(&wrapped));
        assert!(!keys.present(7).opens(b"cut"));
    }

    #[test]
    fn wrapped_key_opens_for_its_row_until_its_bucket_changes() {
        let folder = tempfile::tempdir().unwrap();
        let keys = open(&folder.path().join("keys"), None);
        let key = secret::random().unwrap();
        let wrapped = keys.wrap(7, b"row", &key).unwrap();
        let opened = keys.unwrap(7, b"row", &wrapped).unwrap();
        assert_eq!(opened.expose(), key.expose());
        assert!(keys.unwrap(7, b"other", &wrapped).is_err());
        assert!(keys.unwrap(8, b"row", &wrapped).is_err());

        let rotation = keys.begin(7).unwrap();
        let moved = rotation.move_over(b"row", &wrapped).unwrap().unwrap();
        keys.finish(rotation).unwrap();
        assert!(keys.unwrap(7, b"row", &wrapped).is_err());
        let opened = keys.unwrap(7, b"row", &moved).unwrap();
        assert_eq!(opened.expose(), key.expose());
        assert!(!path(&folder.path().join("keys"), 7, 1).exists());
    }

    #[test]
    fn stop_before_the_rows_moved_keeps_the_old_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys = open(&folder.path().join("keys"), None);
        let key = secret::random().unwrap();
        let wrapped = keys.wrap(7, b"row", &key).unwrap();
        drop(keys.begin(7).unwrap());
        let again = open(&folder.path().join("keys"), Some(1));
        assert_eq!(
            again.unwrap(7, b"row", &wrapped).unwrap().expose(),
            key.expose()
        );
        assert!(!path(&folder.path().join("keys"), 7, 2).exists());
    }

    #[test]
    fn stop_after_the_rows_moved_destroys_the_old_key_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let keys = open(&folder.path().join("keys"), None);
        let key = secret::random().unwrap();
        let wrapped = keys.wrap(7, b"row", &key).unwrap();
        let rotation = keys.begin(7).unwrap();
        let moved = rotation.move_over(b"row", &wrapped).unwrap().unwrap();
        drop(rotation);
        let again = open(&folder.path().join("keys"), Some(2));
        assert!(!path(&folder.path().join("keys"), 7, 1).exists());
        assert!(again.unwrap(7, b"row", &wrapped).is_err());
        assert_eq!(
            again.unwrap(7, b"row", &moved).unwrap().expose(),
            key.expose()
        );
    }

    #[test]
    fn keys_newer_than_the_store_stay_and_its_rows_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let keys = open(&folder.path().join("keys"), None);
        let wrapped = keys.wrap(7, b"row", &secret::random().unwrap()).unwrap();
        keys.finish(keys.begin(7).unwrap()).unwrap();
        let again = open(&folder.path().join("keys"), None);
        assert!(again.unwrap(7, b"row", &wrapped).is_err());
        let rotation = again.begin(7).unwrap();
        assert_eq!(rotation.version(), 3);
        assert!(rotation.move_over(b"row", &wrapped).unwrap().is_none());
    }

    #[test]
    fn change_that_failed_does_not_lose_its_key_to_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let keys = open(&folder.path().join("keys"), None);
        let key = secret::random().unwrap();
        let wrapped = keys.wrap(7, b"row", &key).unwrap();
        let failed = keys.begin(7).unwrap();
        let moved = failed.move_over(b"row", &wrapped).unwrap().unwrap();
        assert_eq!(keys.begin(7).unwrap().version(), failed.version() + 1);
        // The failed one was on the disk after all.
        let again = open(&folder.path().join("keys"), Some(failed.version()));
        let opened = again.unwrap(7, b"row", &moved).unwrap();
        assert_eq!(opened.expose(), key.expose());
    }

    #[test]
    fn old_key_that_could_not_be_destroyed_is_destroyed_when_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let keys = open(&folder.path().join("keys"), None);
        keys.wrap(7, b"row", &secret::random().unwrap()).unwrap();
        let old = path(&folder.path().join("keys"), 7, 1);
        // A folder in its place cannot be written over.
        std::fs::remove_file(&old).unwrap();
        std::fs::create_dir(&old).unwrap();
        assert!(keys.finish(keys.begin(7).unwrap()).is_err());
        assert!(keys.destroy_doomed().is_err());
        std::fs::remove_dir(&old).unwrap();
        std::fs::write(&old, "secret").unwrap();
        keys.destroy_doomed().unwrap();
        assert!(!old.exists());
    }

    #[test]
    fn foreign_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder.path().join("keys"), None));
        std::fs::write(folder.path().join("keys/notes"), "").unwrap();
        let opened = KeyEncryptionKeys::open(&folder.path().join("keys"), |_| Ok(None));
        let refused = opened.err().unwrap().to_string();
        assert!(refused.contains("not a file of this enclave"), "{refused}");
    }
}
