//! The file of `medina gateway run --config FILE`.
//!
//! ```toml
//! listen = "127.0.0.1:8600"          # where buyers connect
//! rpc = "http://127.0.0.1:8545"      # the node that is asked for access
//! data = "companion"                 # folder of the companion database
//! master_key = "companion.key"       # made at the first start
//! public_url = "https://data.example" # how buyers see this gateway; default http://LISTEN
//!
//! [account]                          # only for coupons: who calls `consume`
//! key_file = "gateway.key"           # a private key in hex; or keystore, address, password_file
//!
//! [[listings]]
//! id = 1
//! sources = ["0x…"]                  # resource ids whose readings this listing gives
//!
//! [limits]                           # all optional
//! requests = 256
//! sessions = 10000
//! session_seconds = 900
//! challenge_seconds = 120
//! ```
//!
//! Paths are relative to the file.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::{
    CONFIG_BYTES_MAX, GATEWAY_CHALLENGE_SECONDS, GATEWAY_LISTINGS_MAX, GATEWAY_REQUESTS_MAX,
    GATEWAY_SESSION_SECONDS, GATEWAY_SESSIONS_MAX,
};
use crate::url::place_of;
use crate::wallet::{Account, KeystoreDir, WalletError};

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not TOML, or not these fields.
    #[error("{path}: {reason}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A field with a value that cannot be.
    #[error("{path}: `{field}` is {found}; expected {expected}")]
    Field {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: String,
        /// What it says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// The account cannot be opened.
    #[error("cannot open the gateway's account: {0}")]
    Account(#[from] WalletError),
}

/// What the gateway is told at its start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where buyers connect.
    pub listen: SocketAddr,
    /// The node's JSON-RPC.
    pub rpc: String,
    /// Folder of the companion database.
    pub data: PathBuf,
    /// File of the master key; made if it is not there.
    pub master_key: PathBuf,
    /// How buyers see this gateway.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Who consumes coupons.
    #[serde(default)]
    pub account: Option<AccountConfig>,
    /// What is served.
    #[serde(default)]
    pub listings: Vec<ListingConfig>,
    /// Bounds.
    #[serde(default)]
    pub limits: GatewayLimits,
}

/// Where the gateway's key is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// A file with a private key in hex.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// A keystore folder.
    #[serde(default)]
    pub keystore: Option<PathBuf>,
    /// The account in it.
    #[serde(default)]
    pub address: Option<Address>,
    /// A file with its password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// A listing and the resources behind it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListingConfig {
    /// Its number on chain.
    pub id: u64,
    /// Resource ids whose readings it gives.
    pub sources: Vec<B256>,
}

/// Bounds that an operator may lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayLimits {
    /// Requests at once.
    pub requests: usize,
    /// Sessions at once.
    pub sessions: usize,
    /// Life of a session, in seconds.
    pub session_seconds: u64,
    /// Life of a challenge, in seconds.
    pub challenge_seconds: u64,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            requests: GATEWAY_REQUESTS_MAX,
            sessions: GATEWAY_SESSIONS_MAX,
            session_seconds: GATEWAY_SESSION_SECONDS,
            challenge_seconds: GATEWAY_CHALLENGE_SECONDS,
        }
    }
}

impl GatewayConfig {
    /// Reads and checks a file; paths in it become relative to its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path, CONFIG_BYTES_MAX)?;
        let mut config = Self::parse(&text, path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.data = folder.join(&config.data);
        config.master_key = folder.join(&config.master_key);
        if let Some(account) = &mut config.account {
            for file in [
                &mut account.key_file,
                &mut account.keystore,
                &mut account.password_file,
            ] {
                *file = file.as_ref().map(|file| folder.join(file));
            }
        }
        Ok(config)
    }

    /// Reads and checks a text; `path` is for messages only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            reason: where_and_what(text, &error),
        })?;
        config.check(path)?;
        Ok(config)
    }

    /// How buyers see this gateway when it listens at `bound`.
    pub fn origin(&self, bound: SocketAddr) -> String {
        let own = || format!("http://{bound}");
        self.public_url
            .as_ref()
            .map_or_else(own, |url| url.trim_end_matches('/').to_owned())
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let fail = |field: &str, found: String, expected: &'static str| {
            Err(ConfigError::Field {
                path: path.to_owned(),
                field: field.into(),
                found,
                expected,
            })
        };
        let is_url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        if !is_url(&self.rpc) {
            return fail(
                "rpc",
                // It may carry a token.
                format!("`{}`", place_of(&self.rpc)),
                "a URL like http://127.0.0.1:8545",
            );
        }
        if let Some(url) = self.public_url.as_ref().filter(|url| !is_url(url)) {
            return fail(
                "public_url",
                format!("`{url}`"),
                "a URL like https://data.example",
            );
        }
        if self.listings.len() > GATEWAY_LISTINGS_MAX {
            return fail(
                "listings",
                self.listings.len().to_string(),
                "at most 10000 entries",
            );
        }
        for (place, listing) in self.listings.iter().enumerate() {
            if listing.sources.is_empty() {
                let field = format!("listings[{place}].sources");
                return fail(&field, "empty".into(), "at least one resource id");
            }
            if self.listings[..place]
                .iter()
                .any(|other| other.id == listing.id)
            {
                let field = format!("listings[{place}].id");
                return fail(&field, listing.id.to_string(), "each listing once");
            }
        }
        self.limits.check(fail)?;
        self.account
            .as_ref()
            .map_or(Ok(()), |account| account.check(fail))
    }
}

impl GatewayLimits {
    fn check(
        &self,
        fail: impl Fn(&str, String, &'static str) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        if !(1..=GATEWAY_REQUESTS_MAX).contains(&self.requests) {
            return fail("limits.requests", self.requests.to_string(), "1 to 256");
        }
        if !(1..=GATEWAY_SESSIONS_MAX).contains(&self.sessions) {
            return fail("limits.sessions", self.sessions.to_string(), "1 to 10000");
        }
        if !(1..=86_400).contains(&self.session_seconds) {
            return fail(
                "limits.session_seconds",
                self.session_seconds.to_string(),
                "1 to 86400",
            );
        }
        if !(1..=3_600).contains(&self.challenge_seconds) {
            return fail(
                "limits.challenge_seconds",
                self.challenge_seconds.to_string(),
                "1 to 3600",
            );
        }
        Ok(())
    }
}

impl AccountConfig {
    fn check(
        &self,
        fail: impl Fn(&str, String, &'static str) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let stored = [
            self.keystore.is_some(),
            self.address.is_some(),
            self.password_file.is_some(),
        ];
        match (&self.key_file, stored) {
            (Some(_), [false, false, false]) | (None, [true, true, true]) => Ok(()),
            _ => fail(
                "account",
                "incomplete".into(),
                "key_file, or keystore, address and password_file",
            ),
        }
    }

    /// Opens the account.
    pub fn open(&self) -> Result<Account, ConfigError> {
        if let Some(key_file) = &self.key_file {
            let text = Zeroizing::new(read_text(key_file, 256)?);
            return Ok(Account::from_private_key(&text)?);
        }
        let (Some(keystore), Some(address), Some(password_file)) =
            (&self.keystore, self.address, &self.password_file)
        else {
            return Err(ConfigError::Account(WalletError::BadPrivateKey));
        };
        let password = Zeroizing::new(read_text(password_file, 4_096)?);
        let password = password.trim_end_matches(['\r', '\n']);
        Ok(KeystoreDir::open(keystore)?.unlock(address, password)?)
    }
}

fn read_text(path: &Path, bytes_max: u64) -> Result<String, ConfigError> {
    let fail = |reason: String| ConfigError::Read {
        path: path.to_owned(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut text = String::new();
    file.take(bytes_max + 1)
        .read_to_string(&mut text)
        .map_err(|error| fail(error.to_string()))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(fail(format!("it is larger than {bytes_max} bytes")));
    }
    Ok(text)
}

/// One line: the library's own text draws the line of the file, which may hold a secret.
fn where_and_what(text: &str, error: &toml::de::Error) -> String {
    let what = error.message().trim().replace('\n', "; ");
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before.filter(|_| !what.starts_with("missing field")) else {
        return what;
    };
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let field = line.split('=').next().unwrap_or_default().trim();
    let is_name = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if !field.is_empty() && is_name(field) {
        format!("line {number}, `{field}`: {what}")
    } else {
        format!("line {number}: {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"
listen = "127.0.0.1:8600"
rpc = "http://127.0.0.1:8545"
data = "companion"
master_key = "companion.key"
[account]
key_file = "gateway.key"
[[listings]]
id = 1
sources = ["0x0101010101010101010101010101010101010101010101010101010101010101"]
[limits]
sessions = 5
"#;

    fn parse(text: &str) -> Result<GatewayConfig, ConfigError> {
        GatewayConfig::parse(text, Path::new("gateway.toml"))
    }

    #[test]
    fn documented_file_is_read() {
        let config = parse(GOOD).expect("reads");
        assert_eq!(config.listings[0].sources, [B256::repeat_byte(1)]);
        assert_eq!(
            (config.limits.sessions, config.limits.requests),
            (5, GATEWAY_REQUESTS_MAX)
        );
        assert_eq!(config.origin(config.listen), "http://127.0.0.1:8600");
    }

    #[test]
    fn errors_name_field_value_and_what_was_expected() {
        let cases = [
            (
                "rpc = \"http://127.0.0.1:8545\"",
                "rpc = \"127.0.0.1\"",
                "`rpc` is `127.0.0.1`; expected a URL",
            ),
            (
                "sessions = 5",
                "sessions = 0",
                "`limits.sessions` is 0; expected 1 to 10000",
            ),
            ("sessions = 5", "session = 5", "unknown field `session`"),
            ("key_file =", "keystore =", "`account` is incomplete"),
            (
                "listen = \"127.0.0.1:8600\"",
                "listen = \"here\"",
                "invalid socket address",
            ),
            ("id = 1\n", "id = -1\n", "line 9"),
            ("data = \"companion\"", "", "missing field `data`"),
            (
                "[limits]",
                "[[listings]]\nid = 1\nsources = []\n[limits]",
                "`listings[1].sources` is empty",
            ),
        ];
        for (from, to, expected) in cases {
            let error = parse(&GOOD.replace(from, to)).expect_err(to).to_string();
            assert!(
                error.contains(expected) && error.contains("gateway.toml"),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let named = parse(&GOOD.replace("127.0.0.1:8600", "here")).expect_err("no address");
        assert!(named.to_string().contains("line 2, `listen`"), "{named}");
        let token = parse("rpc = \"http://a/?token=secret\" x").expect_err("no TOML");
        assert!(!token.to_string().contains("secret"), "{token}");
    }

    #[test]
    fn paths_are_relative_to_the_file_and_the_account_opens() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("gateway.toml");
        std::fs::write(&path, GOOD).expect("writes");
        let account = Account::random().expect("randomness");
        std::fs::write(
            dir.path().join("gateway.key"),
            hex::encode(*account.to_bytes().expect("the key is here")),
        )
        .expect("writes");
        let config = GatewayConfig::load(&path).expect("reads");
        assert_eq!(config.data, dir.path().join("companion"));
        let opened = config.account.expect("there").open().expect("opens");
        assert_eq!(opened.address(), account.address());
        let missing = GatewayConfig::load(&dir.path().join("none.toml"));
        assert!(matches!(missing, Err(ConfigError::Read { .. })));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", cut in any::<prop::sample::Index>()) {
            let _ = parse(&text);
            let _ = parse(&GOOD[..cut.index(GOOD.len())]);
        }
    }
}
