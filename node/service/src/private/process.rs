//! The enclave as a process of its own: `medina enclave run`.

use crate::config::{ConfigError, LogSection, read_toml};
use medina_enclave::{EnclaveConfig, EnclaveError, EnclaveServer, LocalEnclave, forbid_core_dumps};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Configuration of an enclave process. Paths are relative to the file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnclaveProcessConfig {
    /// Socket on which it listens; the node says `enclave = "unix:PATH"`. Its folder
    /// must be open to this user only.
    pub socket: PathBuf,
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

impl EnclaveProcessConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = read_toml(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.socket = folder.join(&config.socket);
        config.folder = folder.join(&config.folder);
        if let Some(secrets) = &mut config.secrets {
            *secrets = folder.join(&*secrets);
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

/// An enclave that serves a node of the same user until it is dropped.
pub struct EnclaveProcess {
    server: EnclaveServer,
}

impl EnclaveProcess {
    /// Opens the enclave and listens. What it holds stays out of core dumps.
    ///
    /// # Errors
    /// See [`EnclaveProcessError`].
    pub fn start(config: &EnclaveProcessConfig) -> Result<Self, EnclaveProcessError> {
        forbid_core_dumps()?;
        let enclave = LocalEnclave::open(config.enclave())?;
        let server = EnclaveServer::start(Arc::new(enclave), &config.socket)?;
        tracing::info!(socket = %config.socket.display(), "the enclave serves");
        Ok(Self { server })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.server.socket()
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
