//! The key of the marker account: a file that only the node's user may read.

use alloy_primitives::hex;
use alloy_signer_local::PrivateKeySigner;
use std::path::{Path, PathBuf};

/// Why there is no marker account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// The file cannot be read or made.
    #[error("the key of the marker account, {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file holds no key.
    #[error("{} holds no secp256k1 key: 64 hexadecimal digits are expected", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("{} may be read by others (mode {mode:o}): chmod 600 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Reads the account's key, or makes one that only this user can read.
pub(crate) fn load_account(path: &Path) -> Result<PrivateKeySigner, AccountError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let failed = |error: std::io::Error| AccountError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    if path.exists() {
        return read_account(path);
    }
    let signer = PrivateKeySigner::random();
    // Under its own name only once it is whole.
    let unfinished = path.with_extension("unfinished");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed)?;
    let text = format!("{}\n", hex::encode(signer.to_bytes()));
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&unfinished, path).map_err(failed)?;
    Ok(signer)
}

fn read_account(path: &Path) -> Result<PrivateKeySigner, AccountError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |error: std::io::Error| AccountError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mode = std::fs::metadata(path)
        .map_err(failed)?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(AccountError::Open { path, mode });
    }
    let not_a_key = || AccountError::NotAKey {
        path: path.to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let bytes = hex::decode(digits).map_err(|_| not_a_key())?;
    PrivateKeySigner::from_slice(&bytes).map_err(|_| not_a_key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marker.key");
        let made = load_account(&path).unwrap().address();
        assert_eq!(load_account(&path).unwrap().address(), made);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = load_account(&path).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn file_without_a_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marker.key");
        std::fs::write(&path, "hello").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let refused = load_account(&path).unwrap_err();
        assert!(refused.to_string().contains("64 hexadecimal"), "{refused}");
    }
}
