//! Secrets in files: one secret a file, readable by its owner only.
//!
//! A secret is destroyed by writing over it, syncing, and removing the file. On media that write
//! elsewhere (copy-on-write file systems, flash) the old bytes may stay below the file system
//! until they are reused: put this folder on a medium where that does not matter, or encrypt the
//! medium.

use crate::EnclaveError;
use crate::secret::Secret;
use alloy_primitives::hex;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a key file: 64 hexadecimal digits and a line end.
const FILE_BYTES: usize = 65;
/// A file that was being written when the process ended.
const UNFINISHED: &str = "new";

/// Makes a folder for its owner only, or checks that it is one.
pub(crate) fn private_folder(path: &Path) -> Result<(), EnclaveError> {
    let fail = |error: std::io::Error| EnclaveError::key_file(path, error);
    if !path.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(fail)?;
        if let Some(parent) = path.parent().filter(|parent| parent.exists()) {
            sync_folder(parent)?;
        }
    }
    check_private(path, &fs::metadata(path).map_err(fail)?, "700")
}

fn check_private(path: &Path, metadata: &fs::Metadata, wanted: &str) -> Result<(), EnclaveError> {
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let reason = format!(
            "others may read it (mode {mode:03o}); run: chmod {wanted} {}",
            path.display()
        );
        return Err(EnclaveError::key_file(path, reason));
    }
    Ok(())
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), EnclaveError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| EnclaveError::key_file(path, error))
}

/// Writes a secret: on the disk, whole and named, when this returns.
pub(crate) fn write(path: &Path, secret: &Secret) -> Result<(), EnclaveError> {
    let fail = |error: std::io::Error| EnclaveError::key_file(path, error);
    let unfinished = path.with_extension(UNFINISHED);
    let mut digits = Zeroizing::new(hex::encode(secret.expose()));
    digits.push('\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(fail)?;
    file.write_all(digits.as_bytes()).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::rename(&unfinished, path).map_err(fail)?;
    sync_folder(parent(path))
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("a key file lies in a folder")
}

/// Reads a secret from a file that nobody else may read.
pub(crate) fn read(path: &Path) -> Result<Secret, EnclaveError> {
    let fail = |error: std::io::Error| EnclaveError::key_file(path, error);
    let file = File::open(path).map_err(fail)?;
    check_private(path, &file.metadata().map_err(fail)?, "600")?;
    // Room for all of it at once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
    let limit = u64::try_from(FILE_BYTES + 1).expect("a small number");
    file.take(limit).read_to_end(&mut text).map_err(fail)?;
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    let mut secret = Secret::zero();
    hex::decode_to_slice(digits, secret.expose_mut()).map_err(|_| {
        EnclaveError::key_file(
            path,
            "it does not hold 64 hexadecimal digits and a line end",
        )
    })?;
    Ok(secret)
}

/// Destroys a secret; nothing happens if it is gone already.
pub(crate) fn destroy(path: &Path) -> Result<(), EnclaveError> {
    let fail = |error: std::io::Error| EnclaveError::key_file(path, error);
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    file.write_all(&[0; FILE_BYTES]).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::remove_file(path).map_err(fail)?;
    sync_folder(parent(path))
}

/// Names in a folder, sorted; secrets that were never finished are destroyed.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, EnclaveError> {
    let fail = |error: std::io::Error| EnclaveError::key_file(folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path: PathBuf = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|end| end == UNFINISHED) && path.is_file() {
            destroy(&path)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secret_reads_back_and_is_gone_when_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = secret::random().unwrap();
        write(&path, &key).unwrap();
        assert_eq!(read(&path).unwrap().expose(), key.expose());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        destroy(&path).unwrap();
        destroy(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn file_that_others_may_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, &secret::random().unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = read(&path).err().expect("refused").to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, &secret::random().unwrap()).unwrap();
        fs::write(&path, "12").unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn unfinished_file_is_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.new");
        fs::write(&path, "half").unwrap();
        assert_eq!(names(folder.path()).unwrap(), Vec::<String>::new());
        assert!(!path.exists());
    }
}
