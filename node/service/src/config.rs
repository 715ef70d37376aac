//! `config.toml` of one node: what is typed there and what it means.

use crate::private::PrivateSection;
pub use medina_rpc::RpcSection;
use medina_types::{KeyError, NodePublicKey, NodeSecretKey, limits};
use serde::{Deserialize, Serialize};
use std::{
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Why a configuration cannot be used. Each text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any such file should be.
    #[error("{path} is larger than {max} bytes: this is no file of a node")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        max: u64,
    },
    /// Not the expected TOML.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Field, line and what was expected.
        message: String,
    },
    /// The key file holds no key.
    #[error("{path}: {source}; a node key file holds 64 hexadecimal digits")]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// Configuration of one node. Paths are relative to the file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Folder of the database.
    pub data_dir: PathBuf,
    /// Genesis file.
    pub genesis: PathBuf,
    /// File with the node's ed25519 secret key in hexadecimal.
    pub key_file: PathBuf,
    /// File that lists the nodes to admit and connect to, see [`KnownNodes`].
    pub known_nodes: PathBuf,
    /// JSON-RPC.
    pub rpc: RpcSection,
    /// Links between nodes.
    pub p2p: ListenSection,
    /// Prometheus metrics and `/readiness`.
    pub metrics: ListenSection,
    /// Consensus.
    #[serde(default)]
    pub consensus: ConsensusSection,
    /// What is kept of the past.
    #[serde(default, skip_serializing_if = "HistorySection::keeps_everything")]
    pub history: HistorySection,
    /// Private transactions.
    #[serde(default, skip_serializing_if = "PrivateSection::is_default")]
    pub private: PrivateSection,
    /// Logs.
    #[serde(default)]
    pub log: LogSection,
}

/// Where something listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSection {
    /// Address and port.
    pub listen: SocketAddr,
}

/// What an operator may say about consensus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusSection {
    /// Vote although the record of earlier votes is lost. RISK: if this key
    /// voted before on a block that others still wait for, voting again can
    /// support a fork. Off, a node without its record observes first.
    #[serde(default)]
    pub vote_without_record: bool,
}

/// Bodies and receipts of at least so many last blocks are kept: peers that were
/// away for a while fetch them.
pub const KEEP_BLOCKS_MIN: u64 = 1_024;

/// What is kept of the past; everything by default. Headers, certificates and
/// validator sets are always kept, and the head's state is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistorySection {
    /// States of so many last blocks can be read, the head's among them; without
    /// it those of all blocks. Calls and proofs below answer that it was pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_state_blocks: Option<u64>,
    /// Bodies, receipts and transaction lookup of so many last blocks are kept, at
    /// least [`KEEP_BLOCKS_MIN`]; without it those of all blocks. A new node
    /// fetches every block from genesis on: at least one node of a network must
    /// keep them all, or nobody can join by syncing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_blocks: Option<u64>,
}

impl HistorySection {
    fn keeps_everything(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything is.
    fn fault(&self) -> Option<String> {
        if self.keep_state_blocks == Some(0) {
            return Some("history.keep_state_blocks must be at least 1: the head's state".into());
        }
        let blocks = self
            .keep_blocks
            .filter(|blocks| *blocks < KEEP_BLOCKS_MIN)?;
        Some(format!(
            "history.keep_blocks is {blocks} and must be at least {KEEP_BLOCKS_MIN}: \
             peers that were away for a while fetch these"
        ))
    }
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSection {
    /// Filter such as `info` or `medina_network=debug,info`.
    pub level: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
        }
    }
}

/// A node that may connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownNode {
    /// Name for people.
    pub name: String,
    /// Its public key.
    pub key: NodePublicKey,
    /// Where it listens for peers, if we should dial it.
    #[serde(default)]
    pub address: Option<SocketAddr>,
}

/// The file of known nodes. A node reads it again when a stranger knocks, so
/// that adding a node needs no restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownNodes {
    /// The nodes.
    #[serde(default, rename = "node")]
    pub nodes: Vec<KnownNode>,
}

impl NodeConfig {
    /// Reads a configuration and makes its paths absolute or relative to the
    /// working folder.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read_toml(path)?;
        if let Some(message) = config.history.fault().or_else(|| config.private.fault()) {
            let path = path.to_owned();
            return Err(ConfigError::Malformed { path, message });
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        for part in [
            &mut config.data_dir,
            &mut config.genesis,
            &mut config.key_file,
            &mut config.known_nodes,
        ] {
            *part = folder.join(&*part);
        }
        config.rpc.place_in(folder);
        config.private.place_in(folder);
        Ok(config)
    }

    /// Reads the node's secret key.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load_key(&self) -> Result<NodeSecretKey, ConfigError> {
        let text = read_bounded(&self.key_file)?;
        NodeSecretKey::from_hex(&text).map_err(|source| ConfigError::BadKey {
            path: self.key_file.clone(),
            source,
        })
    }
}

impl KnownNodes {
    /// Reads the file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        read_toml(path)
    }
}

pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    toml::from_str(&read_bounded(path)?).map_err(|error| ConfigError::Malformed {
        path: path.to_owned(),
        message: error.to_string(),
    })
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let max = limits::CONFIG_FILE_BYTES_MAX;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(max + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > max {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            max,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
        data_dir = "data"
        genesis = "../genesis.json"
        key_file = "node.key"
        known_nodes = "../network.toml"
        [rpc]
        listen = "127.0.0.1:8545"
        [p2p]
        listen = "127.0.0.1:8546"
        [metrics]
        listen = "127.0.0.1:8547"
    "#;

    fn load(text: &str) -> Result<NodeConfig, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        NodeConfig::load(&path)
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = load(EXAMPLE).unwrap();
        assert!(config.genesis.ends_with("../genesis.json"));
        assert!(config.genesis.is_absolute());
        assert_eq!(config.log.level, "info");
        assert!(!config.consensus.vote_without_record);
    }

    #[test]
    fn history_is_kept_whole_unless_it_says_otherwise() {
        assert_eq!(load(EXAMPLE).unwrap().history, HistorySection::default());
        let pruned = format!("{EXAMPLE}\n[history]\nkeep_state_blocks = 128\n");
        let history = load(&pruned).unwrap().history;
        assert_eq!(history.keep_state_blocks, Some(128));
        assert_eq!(history.keep_blocks, None);
        for (line, word) in [
            ("keep_blocks = 5", "1024"),
            ("keep_state_blocks = 0", "head"),
        ] {
            let error = load(&format!("{EXAMPLE}\n[history]\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn unknown_field_is_named() {
        let error = load(&EXAMPLE.replace("listen = \"127.0.0.1:8546\"", "port = 3")).unwrap_err();
        assert!(error.to_string().contains("port"), "{error}");
    }

    #[test]
    fn bad_address_names_the_line() {
        let error = load(&EXAMPLE.replace("127.0.0.1:8545", "nowhere")).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn missing_file_is_named() {
        let error = NodeConfig::load(Path::new("missing/config.toml")).unwrap_err();
        assert!(error.to_string().contains("missing/config.toml"), "{error}");
    }

    #[test]
    fn key_file_without_a_key_says_so() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("node.key"), "hello").unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, EXAMPLE).unwrap();
        let error = NodeConfig::load(&path).unwrap().load_key().unwrap_err();
        assert!(
            error.to_string().contains("64 hexadecimal digits"),
            "{error}"
        );
    }
}
