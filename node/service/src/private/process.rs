//! The enclave as a process of its own: `medina enclave run`.

use crate::config::{ConfigError, LogSection, read_toml};
use medina_enclave::{
    Enclave, EnclaveAddress, EnclaveConfig, EnclaveError, EnclaveServer, LocalEnclave, TlsKey,
    forbid_core_dumps,
};
use medina_types::NodePublicKey;
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Configuration of an enclave process, which listens on a socket, or behind TLS, or both. Paths
/// are relative to the file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnclaveProcessConfig {
    /// Socket on which it listens; the node says `enclave = "unix:PATH"`. Its folder
    /// must be open to this user only.
    pub socket: Option<PathBuf>,
    /// Port on which it listens for nodes of other machines.
    pub tls: Option<EnclaveTlsSection>,
    /// Folder of keys and payloads.
    pub folder: PathBuf,
    /// Folder of the secrets, if they are to lie elsewhere: another disk, a mounted
    /// token.
    pub secrets: Option<PathBuf>,
    /// Seconds for which an encryption key is used; a day by default.
    pub epoch_s: Option<u64>,
    /// Logs.
    #[serde(default)]
    pub log: LogSection,
}

/// How an enclave listens for nodes of other machines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnclaveTlsSection {
    /// Address and port; the node says `enclave = "tls://HOST:PORT"`.
    pub listen: String,
    /// File of the enclave's key for this (`medina enclave key FILE`).
    pub key_file: PathBuf,
    /// Public keys of the nodes that are served.
    pub peers: Vec<NodePublicKey>,
}

impl EnclaveProcessConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read_toml(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.folder = folder.join(&config.folder);
        let others = [&mut config.socket, &mut config.secrets];
        for other in others.into_iter().flatten() {
            *other = folder.join(&*other);
        }
        if let Some(tls) = &mut config.tls {
            tls.key_file = folder.join(&tls.key_file);
        }
        if config.socket.is_none() && config.tls.is_none() {
            return Err(ConfigError::Malformed {
                path: path.to_owned(),
                message: "an enclave listens somewhere: say socket = \"PATH\", or [tls] with listen, key_file and peers".to_owned(),
            });
        }
        Ok(config)
    }

    fn enclave(&self) -> EnclaveConfig {
        let usual = EnclaveConfig::in_folder(&self.folder);
        EnclaveConfig {
            secrets: self.secrets.clone(),
            epoch_s: self.epoch_s.unwrap_or(usual.epoch_s),
            ..usual
        }
    }
}

/// An enclave that serves nodes until it is dropped.
pub struct EnclaveProcess {
    servers: Vec<EnclaveServer>,
}

impl EnclaveProcess {
    /// Opens the enclave and listens. What it holds stays out of core dumps.
    ///
    /// # Errors
    /// See [`EnclaveProcessError`].
    pub fn start(config: &EnclaveProcessConfig) -> Result<Self, EnclaveProcessError> {
        forbid_core_dumps()?;
        let key = match &config.tls {
            Some(tls) => Some((tls, TlsKey::load(&tls.key_file)?)),
            None => None,
        };
        let enclave: Arc<dyn Enclave> = Arc::new(LocalEnclave::open(config.enclave())?);
        let mut servers = Vec::new();
        if let Some(socket) = &config.socket {
            servers.push(EnclaveServer::start(Arc::clone(&enclave), socket)?);
        }
        if let Some((tls, key)) = &key {
            let place = tls.listen.strip_prefix("tls://").unwrap_or(&tls.listen);
            let server = EnclaveServer::start_tls(Arc::clone(&enclave), place, key, &tls.peers)?;
            tracing::info!(key = %key.public(), nodes = tls.peers.len(), "behind TLS");
            servers.push(server);
        }
        for server in &servers {
            tracing::info!(address = %server.address(), "the enclave serves");
        }
        Ok(Self { servers })
    }

    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = &EnclaveAddress> {
        self.servers.iter().map(EnclaveServer::address)
    }
}

/// Why an enclave process does not serve.
#[derive(Debug, thiserror::Error)]
pub enum EnclaveProcessError {
    /// Keys, store, audit log or socket.
    #[error("the enclave: {0}")]
    Enclave(#[from] EnclaveError),
    /// Core dumps of this process would hold keys.
    #[error("core dumps cannot be forbidden: {0}")]
    CoreDumps(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<EnclaveProcessConfig, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("enclave.toml");
        std::fs::write(&path, text).expect("writes");
        let loaded = EnclaveProcessConfig::load(&path)?;
        assert!(loaded.folder.starts_with(folder.path()));
        Ok(loaded)
    }

    #[test]
    fn enclave_listens_on_a_socket_or_a_port_or_both() {
        let key = medina_types::NodeSecretKey::from_bytes([3; 32]).public_key();
        let tls = format!(
            "[tls]\nlisten = \"0.0.0.0:7443\"\nkey_file = \"tls.key\"\npeers = [\"{key}\"]\n"
        );
        let (folder, socket) = ("folder = \"e\"\n", "socket = \"e.sock\"\n");
        assert!(load(&format!("{folder}{socket}")).unwrap().tls.is_none());
        assert!(load(&format!("{folder}{tls}")).unwrap().socket.is_none());
        let both = load(&format!("{folder}{socket}{tls}")).unwrap();
        assert_eq!(both.tls.expect("a port").peers, [key]);
        let nowhere = load(folder).unwrap_err().to_string();
        assert!(nowhere.contains("socket"), "{nowhere}");
    }
}
