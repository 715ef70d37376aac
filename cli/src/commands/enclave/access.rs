//! How a command reaches an enclave that runs.

use crate::errors::{Failure, Outcome};
use clap::Args;
use medina_enclave::{EnclaveAddress, RemoteEnclave, TlsKey};
use medina_types::NodePublicKey;
use std::path::{Path, PathBuf};

/// An enclave that runs.
#[derive(Debug, Args)]
pub(crate) struct EnclaveArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Where it listens.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct PlaceArgs {
    /// Where it listens on this machine
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where it listens for nodes of other machines
    #[arg(long, value_name = "tls://HOST:PORT", value_parser = tls_place, requires = "key", requires = "peer")]
    address: Option<String>,
}

/// How both sides know each other over TLS.
#[derive(Debug, Args)]
struct TlsArgs {
    /// Own key for TLS (medina enclave key), which the enclave must name
    #[arg(long, value_name = "FILE", requires = "address")]
    key: Option<PathBuf>,
    /// Public key that the enclave proves
    #[arg(long, value_name = "KEY", requires = "address")]
    peer: Option<NodePublicKey>,
}

/// Host and port of a `tls://` address.
pub(super) fn tls_place(text: &str) -> Result<String, String> {
    match text.parse() {
        Ok(EnclaveAddress::Tls(place)) => Ok(place),
        Ok(EnclaveAddress::Unix(_)) => Err("a socket is named by --socket".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl EnclaveArgs {
    /// The enclave, which is asked only when something is asked of it.
    pub(super) fn open(&self) -> Outcome<RemoteEnclave> {
        match (&self.place.socket, &self.place.address) {
            (Some(socket), _) => Ok(RemoteEnclave::new(socket)),
            (None, Some(place)) => self.over_tls(place),
            (None, None) => Err(Failure::new("name --socket or --address")),
        }
    }

    fn over_tls(&self, place: &str) -> Outcome<RemoteEnclave> {
        let (Some(key), Some(peer)) = (&self.tls.key, self.tls.peer) else {
            return Err(Failure::new("name --key and --peer"));
        };
        Ok(RemoteEnclave::over_tls(place, &load_key(key)?, peer)?)
    }
}

/// A key for TLS from its file.
pub(super) fn load_key(path: &Path) -> Outcome<TlsKey> {
    TlsKey::load(path).map_err(|error| Failure::from(error).during("the key for TLS"))
}
