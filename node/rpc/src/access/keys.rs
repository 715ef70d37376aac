//! API keys: a file that names each, what it opens and how often it may call.
//!
//! ```toml
//! [[key]]
//! name = "explorer"
//! secret = "at least 16 characters"   # or sha256 = "64 hexadecimal digits" of one
//! namespaces = ["eth", "debug", "ots"]
//! requests_per_second = 200           # optional
//! private = ["psi://clinic?self.eoa=0x0"]  # optional: parties that it may act as
//! ```
//!
//! A party's methods are opened by `namespaces` as others are (`priv`, `priv_call`).
//!
//! Only digests of the secrets are kept.

use alloy_primitives::hex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Access, NoScope,
    private::{PrivateAccess, PrivateScope, part},
};
use crate::front::Bucket;

/// Characters below which a secret can be guessed.
const SECRET_CHARACTERS_MIN: usize = 16;
/// Keys of one file.
const KEYS_MAX: usize = 4_096;

/// Why keys cannot be used. No text repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others on this machine can read the secrets.
    #[error("{path} can be read by others (mode {mode:o}): run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Something in the file.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, without the secret.
        reason: String,
    },
}

/// One key.
pub(crate) struct ApiKey {
    /// For people and logs.
    pub(crate) name: String,
    /// What it opens.
    pub(crate) access: Arc<Access>,
    /// Whom it may act as among this node's private parties.
    pub(crate) private: Option<Arc<PrivateAccess>>,
    /// How often it may call, over all connections; `None`: as often as its
    /// connections may.
    pub(crate) bucket: Option<Bucket>,
}

/// All keys by the digest of their secret.
#[derive(Clone, Default)]
pub struct ApiKeys(BTreeMap<[u8; 32], Arc<ApiKey>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    secret: Option<String>,
    sha256: Option<String>,
    namespaces: Vec<String>,
    #[serde(default)]
    private: Vec<String>,
    requests_per_second: Option<NonZeroU32>,
}

impl ApiKeys {
    /// Reads the file of keys, which only its owner may be able to read.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn load(path: &Path) -> Result<Self, KeysError> {
        let text = read_secret_file(path)?;
        Self::parse(&text).map_err(|reason| KeysError::Malformed {
            path: path.to_owned(),
            reason,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The parser's own message quotes the line, which may hold a secret.
        let file: File = toml::from_str(text).map_err(|error| match error.span() {
            Some(span) => {
                let line = text[..span.start].lines().count().max(1);
                format!(
                    "line {line} is no part of a list of [[key]]: {}",
                    error.message()
                )
            }
            None => error.message().to_owned(),
        })?;
        if file.key.len() > KEYS_MAX {
            return Err(format!("{} keys, at most {KEYS_MAX}", file.key.len()));
        }
        let mut keys = BTreeMap::new();
        for entry in file.key {
            let name = entry.name.clone();
            let (digest, key) = read(entry).map_err(|reason| format!("key {name:?}: {reason}"))?;
            if keys.insert(digest, Arc::new(key)).is_some() {
                return Err(format!("key {name:?}: its secret is another key's, too"));
            }
        }
        Ok(Self(keys))
    }

    /// Adds a key, for those who make it themselves.
    ///
    /// # Errors
    /// When the secret is too short.
    pub fn with(
        mut self,
        name: &str,
        secret: &str,
        access: Access,
        requests_per_second: Option<NonZeroU32>,
    ) -> Result<Self, String> {
        let key = ApiKey {
            name: name.to_owned(),
            access: Arc::new(access),
            private: None,
            bucket: requests_per_second.map(Bucket::per_second),
        };
        self.0.insert(digest_of(secret)?, Arc::new(key));
        Ok(self)
    }

    /// As [`Self::with`], for a key that may act as private parties (`psi://…`).
    ///
    /// # Errors
    /// When the secret is too short or a scope is none.
    pub fn with_private(
        mut self,
        name: &str,
        secret: &str,
        access: Access,
        scopes: &[&str],
    ) -> Result<Self, String> {
        let access = Arc::new(access);
        let private = read_private(name, &access, scopes.iter().copied())?;
        let key = ApiKey {
            name: name.to_owned(),
            access,
            private,
            bucket: None,
        };
        self.0.insert(digest_of(secret)?, Arc::new(key));
        Ok(self)
    }

    /// The key with this secret.
    pub(crate) fn find(&self, secret: &str) -> Option<&Arc<ApiKey>> {
        // Who measures how long this takes learns of digests, not of secrets.
        self.0.get(&<[u8; 32]>::from(Sha256::digest(secret)))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn read(entry: Entry) -> Result<([u8; 32], ApiKey), String> {
    let digest = match (&entry.secret, &entry.sha256) {
        (Some(secret), None) => digest_of(secret)?,
        (None, Some(digest)) => {
            let read = hex::decode(digest)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            read.ok_or("sha256 is no digest of 64 hexadecimal digits")?
        }
        _ => return Err("give either secret or sha256".to_owned()),
    };
    let access = Access::of(&entry.namespaces).map_err(|error: NoScope| error.to_string())?;
    let access = Arc::new(access);
    let scopes = entry.private.iter().map(String::as_str);
    let private = read_private(&entry.name, &access, scopes)?;
    let key = ApiKey {
        name: entry.name,
        access,
        private,
        bucket: entry.requests_per_second.map(Bucket::per_second),
    };
    Ok((digest, key))
}

fn read_private<'a>(
    name: &str,
    access: &Arc<Access>,
    scopes: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Arc<PrivateAccess>>, String> {
    let (scopes, others): (Vec<PrivateScope>, _) = part(scopes)?;
    if let Some(other) = others.first() {
        return Err(format!("private: `{other}` is no psi://PARTY"));
    }
    let private = PrivateAccess::new(name.to_owned(), access.clone(), scopes);
    private.map_err(str::to_owned)
}

fn digest_of(secret: &str) -> Result<[u8; 32], String> {
    if secret.len() < SECRET_CHARACTERS_MIN {
        return Err(format!(
            "its secret has less than {SECRET_CHARACTERS_MIN} characters: it can be guessed"
        ));
    }
    Ok(Sha256::digest(secret).into())
}

/// Reads a file that only its owner may be able to read.
pub(super) fn read_secret_file(path: &Path) -> Result<String, KeysError> {
    let unreadable = |source| KeysError::Unreadable {
        path: path.to_owned(),
        source,
    };
    #[cfg(unix)]
    {
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            let path = path.to_owned();
            return Err(KeysError::Exposed { path, mode });
        }
    }
    let mut text = String::new();
    let max = medina_types::limits::CONFIG_FILE_BYTES_MAX;
    std::fs::File::open(path)
        .and_then(|file| {
            std::io::Read::read_to_string(&mut std::io::Read::take(file, max), &mut text)
        })
        .map_err(unreadable)?;
    Ok(text)
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.values().map(|key| &key.name);
        formatter.debug_set().entries(names).finish()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ApiKey").field(&self.name).finish()
    }
}

/// The same names for the same secrets.
impl PartialEq for ApiKeys {
    fn eq(&self, other: &Self) -> bool {
        let named = |keys: &Self| -> Vec<_> {
            let pairs = keys.0.iter();
            pairs
                .map(|(digest, key)| (*digest, key.name.clone()))
                .collect()
        };
        named(self) == named(other)
    }
}

impl Eq for ApiKeys {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery";

    fn file(secret_line: &str) -> String {
        format!("[[key]]\nname = \"explorer\"\n{secret_line}\nnamespaces = [\"eth\", \"debug\"]\n")
    }

    #[test]
    fn key_is_found_by_its_secret_or_what_the_file_says_of_it() {
        let plain = ApiKeys::parse(&file(&format!("secret = \"{SECRET}\""))).unwrap();
        let digest = hex::encode(Sha256::digest(SECRET));
        let hashed = ApiKeys::parse(&file(&format!("sha256 = \"{digest}\""))).unwrap();
        for keys in [plain, hashed] {
            let key = keys.find(SECRET).unwrap();
            assert_eq!(key.name, "explorer");
            assert!(key.access.allows("debug_traceCall") && !key.access.allows("admin_peers"));
            assert!(keys.find("correct horse battery.").is_none());
            assert!(keys.find("").is_none());
        }
    }

    #[test]
    fn nothing_that_is_shown_holds_the_secret() {
        let good = ApiKeys::parse(&file(&format!("secret = \"{SECRET}\""))).unwrap();
        assert!(!format!("{good:?}").contains("horse"));
        for wrong in [
            format!("secret = \"{SECRET}"),
            format!("secret = \"{SECRET}\"\nsha256 = \"00\""),
            format!("secret = \"{SECRET}\"\nsecrets = 1"),
            format!("secret = [\"{SECRET}\"]"),
        ] {
            let error = ApiKeys::parse(&file(&wrong)).unwrap_err();
            assert!(!error.contains("horse"), "{error}");
        }
        let short = ApiKeys::parse(&file("secret = \"12345\"")).unwrap_err();
        assert!(
            short.contains("explorer") && !short.contains("12345"),
            "{short}"
        );
    }

    #[test]
    fn key_says_which_parties_it_may_act_as() {
        let with = |private: &str| {
            ApiKeys::parse(&file(&format!(
                "secret = \"{SECRET}\"\nprivate = {private}"
            )))
        };
        let keys = with("[\"psi://clinic?self.eoa=0x0\", \"psi://lab\"]").unwrap();
        let private = keys.find(SECRET).unwrap().private.clone().unwrap();
        assert_eq!(private.actor, "explorer");
        assert!(private.scope("lab").is_some() && private.scope("bank").is_none());
        // What it opens is what its namespaces say.
        assert!(private.allows("eth_getQuorumPayload") && !private.allows("priv_call"));
        for wrong in ["[\"clinic\"]", "[\"psi://clinic?eoa=1\"]", "[\"eth\"]"] {
            assert!(with(wrong).unwrap_err().contains("explorer"), "{wrong}");
        }
        assert!(with("[]").unwrap().find(SECRET).unwrap().private.is_none());
    }

    #[cfg(unix)]
    #[test]
    fn file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, file(&format!("secret = \"{SECRET}\""))).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = ApiKeys::load(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(ApiKeys::load(&path).unwrap().find(SECRET).is_some());
    }
}
