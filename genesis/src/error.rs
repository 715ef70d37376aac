//! Why a genesis file or a network folder was refused, each text with what, where and what to do.

use std::path::PathBuf;

/// Why a genesis file is not the start of a chain.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The file cannot be read.
    #[error("cannot read genesis file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in this file.
    #[error("{path}: {source}")]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<GenesisError>,
    },
    /// More bytes than a genesis file may have.
    #[error("genesis of more than {max} bytes: this is no genesis file of Medina")]
    TooLarge {
        /// The bound in bytes.
        max: u64,
    },
    /// No JSON at all.
    #[error("genesis is no valid JSON: {message}")]
    NotJson {
        /// Line, column and what was expected there.
        message: String,
    },
    /// A field that does not say what it should.
    #[error("genesis field {path}: found {found}, expected {expected}")]
    Field {
        /// Where, such as `medina.consensus.baseTimeoutMs`.
        path: String,
        /// What stands there, shortened.
        found: String,
        /// What should stand there.
        expected: String,
    },
    /// Deploying the contracts failed: a fault of this build, not of the user.
    #[error("cannot make the predeployed contracts: {0}")]
    Predeploy(String),
}

/// Why a network could not be made or extended.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The genesis would be no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A wish that cannot be met.
    #[error("{what}: found {found}, expected {expected}")]
    Option {
        /// Which option.
        what: &'static str,
        /// What was given.
        found: String,
        /// What is possible.
        expected: String,
    },
    /// Something is there already; nothing was changed.
    #[error("{path} exists already and is left as it is; choose another folder or move it away")]
    Exists {
        /// What exists.
        path: PathBuf,
    },
    /// A file of the network cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read`, `write` or `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the network is not what `medina network new` writes.
    #[error("{path}: {message}; is this a folder made by `medina network new`?")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The system gave no random bytes for keys.
    #[error("the system gave no random bytes for keys: {0}")]
    NoRandomness(String),
}
