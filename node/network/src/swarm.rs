//! Puts transport and protocols together.

use crate::{
    NetworkConfig, NetworkError,
    gossip::{self, Topics},
    identity,
    links::Links,
    private::{self, PrivateBehaviour},
    shared::Shared,
    sync::{self, SyncBehaviour},
};
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder,
    connection_limits::{self, ConnectionLimits},
    core::multiaddr::Protocol,
    gossipsub, noise, ping,
    swarm::NetworkBehaviour,
    tcp, yamux,
};
use medina_types::limits;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// How often a link is tried; two unanswered tries end it. A link through which
/// nothing passes must end soon: TCP itself resumes ever more slowly.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// Time for TCP and the handshakes, enough for the slowest of links; the schedule
/// of dials begins others beside one that hangs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// All protocols; the generated event has one variant each.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) links: Links,
    pub(crate) sync: SyncBehaviour,
    pub(crate) private: PrivateBehaviour,
    pub(crate) gossip: gossipsub::Behaviour,
    pub(crate) ping: ping::Behaviour,
}

pub(crate) fn build_swarm(
    config: &NetworkConfig,
    shared: Arc<Shared>,
    topics: &Topics,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let setup = |error: &dyn std::fmt::Display| NetworkError::Setup(error.to_string());
    let keypair = identity::keypair(&config.secret);
    let peers_max = u32::try_from(limits::PEERS_MAX).expect("a few hundred peers");
    let connections = ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits::PENDING_CONNECTIONS_MAX))
        .with_max_established(Some(peers_max))
        .with_max_established_per_peer(Some(limits::PEER_CONNECTIONS_MAX));
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(connections),
        links: Links::new(shared),
        sync: sync::behaviour(),
        private: private::behaviour(),
        gossip: gossip::behaviour(&keypair, topics).map_err(|error| setup(&error))?,
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_INTERVAL)
                .with_timeout(PING_TIMEOUT),
        ),
    };
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .map_err(|error| setup(&error))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| setup(&error))?
        .with_swarm_config(|config| config)
        .with_connection_timeout(CONNECT_TIMEOUT)
        .build();
    Ok(swarm)
}

pub(crate) fn listen(
    swarm: &mut Swarm<Behaviour>,
    address: SocketAddr,
) -> Result<(), NetworkError> {
    // libp2p shares ports (SO_REUSEPORT), so that two nodes could hold the same
    // one unnoticed. A plain listener for a moment finds that out, and its error
    // says why.
    let probe = std::net::TcpListener::bind(address).map_err(|error| listen_error(address, &error));
    drop(probe?);
    swarm
        .listen_on(multiaddr(address))
        .map(|_| ())
        .map_err(|error| listen_error(address, &error))
}

fn listen_error(address: SocketAddr, error: &dyn std::error::Error) -> NetworkError {
    NetworkError::Listen {
        address,
        reason: error.to_string(),
    }
}

pub(crate) fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}
