//! Gives every node a file of known nodes of its own, whose addresses lead
//! through the proxies.

use super::proxy::Mesh;
use crate::processes::NetworkOfProcesses;
use medina_service::{KnownNodes, NodeConfig};
use std::{io, net::SocketAddr};

const FILE: &str = "known-nodes.toml";

/// Starts the proxies of a network whose nodes do not run yet, and leads all
/// links through them.
///
/// # Errors
/// When a file cannot be read or written, or the machine has no port left.
pub async fn through_proxies(network: &NetworkOfProcesses) -> io::Result<Mesh> {
    let targets = targets(network)?;
    let mesh = Mesh::start(&targets).await?;
    lead(network, &targets, &|from, to| mesh.address(from, to))?;
    Ok(mesh)
}

/// Where the nodes of a network listen for each other.
///
/// # Errors
/// When a configuration cannot be read.
pub fn targets(network: &NetworkOfProcesses) -> io::Result<Vec<SocketAddr>> {
    (0..network.len())
        .map(|node| Ok(config(network, node)?.p2p.listen))
        .collect()
}

/// Has every node of a network that does not run yet dial the others where `address`
/// of dialling and dialled node says.
///
/// # Errors
/// When a file cannot be read or written.
pub fn lead(
    network: &NetworkOfProcesses,
    targets: &[SocketAddr],
    address: &dyn Fn(usize, usize) -> Option<SocketAddr>,
) -> io::Result<()> {
    (0..network.len()).try_for_each(|node| write_known_nodes(network, node, targets, address))
}

fn config(network: &NetworkOfProcesses, node: usize) -> io::Result<NodeConfig> {
    let path = network.node_folder(node).join("config.toml");
    NodeConfig::load(&path).map_err(io::Error::other)
}

fn write_known_nodes(
    network: &NetworkOfProcesses,
    node: usize,
    targets: &[SocketAddr],
    address: &dyn Fn(usize, usize) -> Option<SocketAddr>,
) -> io::Result<()> {
    let own = config(network, node)?;
    let mut known = KnownNodes::load(&own.known_nodes).map_err(io::Error::other)?;
    for entry in &mut known.nodes {
        let to = targets
            .iter()
            .position(|target| Some(*target) == entry.address);
        if let Some(address) = to.and_then(|to| address(node, to)) {
            entry.address = Some(address);
        }
    }
    let folder = network.node_folder(node);
    let text = toml::to_string(&known).map_err(io::Error::other)?;
    std::fs::write(folder.join(FILE), text)?;
    // Not through NodeConfig: its loader has made paths absolute.
    let path = folder.join("config.toml");
    let mut table: toml::Table = std::fs::read_to_string(&path)?
        .parse()
        .map_err(io::Error::other)?;
    table.insert("known_nodes".to_owned(), FILE.into());
    std::fs::write(path, table.to_string())
}
