//! Files of a network folder: who is in it and how each node is configured.
//!
//! ```text
//! DIR/genesis.json        the chain
//! DIR/network.toml        every node: name, key, p2p address; read by all nodes
//! DIR/node-I/config.toml  ports and paths of one node
//! DIR/node-I/node.key     its secret key, for its owner only
//! ```

use crate::{NetworkError, defaults::PORTS_PER_NODE};
use medina_types::{NodePublicKey, NodeSecretKey, limits::CONFIG_FILE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// File of all nodes of a network.
pub const NETWORK_FILE: &str = "network.toml";
/// File of the chain.
pub const GENESIS_FILE: &str = "genesis.json";
/// Configuration of one node, in its folder.
pub const CONFIG_FILE: &str = "config.toml";
/// Secret key of one node, in its folder.
pub const KEY_FILE: &str = "node.key";
/// Private key of a validator's operator account, in its folder, where the
/// operator is no test account.
pub const OPERATOR_KEY_FILE: &str = "operator.key";

/// Ports of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePorts {
    /// JSON-RPC: base port + 10 * I.
    pub rpc: u16,
    /// Links between nodes: one more.
    pub p2p: u16,
    /// Metrics and readiness: two more.
    pub metrics: u16,
}

impl NodePorts {
    /// Ports of node `index`.
    ///
    /// # Errors
    /// [`NetworkError::Option`] beyond port 65535.
    pub fn of(base_port: u16, index: usize) -> Result<Self, NetworkError> {
        let offset = u16::try_from(index)
            .ok()
            .and_then(|index| index.checked_mul(PORTS_PER_NODE));
        let rpc = offset
            .and_then(|offset| base_port.checked_add(offset))
            .filter(|rpc| *rpc > 0);
        let ports = rpc.and_then(|rpc| {
            Some(Self {
                rpc,
                p2p: rpc.checked_add(1)?,
                metrics: rpc.checked_add(2)?,
            })
        });
        ports.ok_or_else(|| NetworkError::Option {
            what: "base port",
            found: base_port.to_string(),
            expected: format!("1 to 65535, with base port + 10 * {index} + 2 below 65536"),
        })
    }
}

/// One node in [`NETWORK_FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedNode {
    /// Name for people, also the name of its folder.
    pub name: String,
    /// Its public key.
    pub key: NodePublicKey,
    /// Where it listens for other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
}

/// Content of [`NETWORK_FILE`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeList {
    /// The nodes.
    #[serde(default, rename = "node")]
    pub nodes: Vec<ListedNode>,
}

const NODE_LIST_HEAD: &str = "\
# Nodes that may connect to this network. Every node of it reads this file again
# when a stranger knocks, so adding a node needs no restart (`medina network add`).

";

impl NodeList {
    /// Reads the list of the network in `folder`.
    ///
    /// # Errors
    /// [`NetworkError::Io`] and [`NetworkError::Malformed`].
    pub fn load(folder: &Path) -> Result<Self, NetworkError> {
        let path = folder.join(NETWORK_FILE);
        toml::from_str(&read_text(&path)?).map_err(|error| NetworkError::Malformed {
            path,
            message: error.to_string(),
        })
    }

    /// Replaces the list of the network in `folder` in one step, so that a node
    /// never reads half of it.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), NetworkError> {
        let path = folder.join(NETWORK_FILE);
        let write_error = |source| NetworkError::Io {
            action: "write",
            path: path.clone(),
            source,
        };
        let text = toml::to_string(self).expect("plain data becomes TOML");
        let mut file = draft_in(folder).map_err(write_error)?;
        file.write_all(NODE_LIST_HEAD.as_bytes())
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.as_file().sync_all())
            .map_err(write_error)?;
        file.persist(&path)
            .map_err(|error| write_error(error.error))?;
        Ok(())
    }
}

/// A file that everybody may read once it has its name; temporary files are
/// their owner's alone otherwise.
fn draft_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(folder)
}

/// Address on this machine only.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Text of a node's configuration.
pub(crate) fn config_text(name: &str, ports: NodePorts) -> String {
    let (rpc, p2p, metrics) = (
        loopback(ports.rpc),
        loopback(ports.p2p),
        loopback(ports.metrics),
    );
    format!(
        "\
# {name}. Paths are relative to this file.
data_dir = \"data\"
genesis = \"../{GENESIS_FILE}\"
key_file = \"{KEY_FILE}\"
# Nodes to admit and to connect to.
known_nodes = \"../{NETWORK_FILE}\"

# JSON-RPC over HTTP and WebSocket.
[rpc]
listen = \"{rpc}\"
cors_origins = [\"*\"]

# Links between nodes.
[p2p]
listen = \"{p2p}\"

# /metrics for Prometheus and /readiness.
[metrics]
listen = \"{metrics}\"

[log]
level = \"info\"
"
    )
}

/// Creates the folder of a node with its configuration and key.
pub(crate) fn write_node(
    folder: &Path,
    name: &str,
    ports: NodePorts,
    key: &NodeSecretKey,
) -> Result<(), NetworkError> {
    create_folder(folder)?;
    write_new(&folder.join(CONFIG_FILE), &config_text(name, ports))?;
    write_secret(&folder.join(KEY_FILE), &key.to_bytes())
}

pub(crate) fn create_folder(path: &Path) -> Result<(), NetworkError> {
    std::fs::create_dir(path).map_err(|source| create_error(path, source))
}

/// Writes a file that must not exist yet.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<(), NetworkError> {
    write_with(
        std::fs::OpenOptions::new().write(true).create_new(true),
        path,
        text,
    )
}

/// Writes 32 secret bytes in hexadecimal, readable by the owner only.
pub(crate) fn write_secret(path: &Path, secret: &[u8; 32]) -> Result<(), NetworkError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    write_with(&options, path, &format!("{}\n", hex::encode(secret)))
}

fn write_with(options: &std::fs::OpenOptions, path: &Path, text: &str) -> Result<(), NetworkError> {
    let mut file = options
        .open(path)
        .map_err(|source| create_error(path, source))?;
    file.write_all(text.as_bytes())
        .map_err(|source| NetworkError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        })
}

fn create_error(path: &Path, source: std::io::Error) -> NetworkError {
    let path = path.to_owned();
    if source.kind() == std::io::ErrorKind::AlreadyExists {
        return NetworkError::Exists { path };
    }
    NetworkError::Io {
        action: "create",
        path,
        source,
    }
}

fn read_text(path: &Path) -> Result<String, NetworkError> {
    let read_error = |source| NetworkError::Io {
        action: "read",
        path: PathBuf::from(path),
        source,
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(read_error)?;
    Ok(text)
}
