//! Asks the gate about every connection and starts a supervisor for it.

use super::{handler, handler::LinkHandler, supervisor::Supervisor};
use crate::{identity, shared::Shared};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, multiaddr::Protocol, transport::PortUse},
    swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm},
};
use medina_types::NodePublicKey;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

/// Why a connection ends right after the handshake.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// Another kind of key, or a key that the gate does not know.
    #[error("node key is not admitted")]
    Stranger,
    /// It misbehaved a moment ago.
    #[error("peer is kept away for a while after an offence")]
    CoolingDown,
    /// Another of several dials came through first.
    #[error("another dial of this peer came through first")]
    Superfluous,
}

/// The gate and the direct links.
pub(crate) struct Links {
    shared: Arc<Shared>,
}

impl Links {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn open(
        &self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        is_dialer: bool,
    ) -> Result<LinkHandler, ConnectionDenied> {
        let key = self.admit(peer, address).map_err(ConnectionDenied::new)?;
        if is_dialer && self.shared.table().was_just_dialled(&key, Instant::now()) {
            return Err(ConnectionDenied::new(Refusal::Superfluous));
        }
        let (sender, reports) = handler::reports();
        let address = socket_address(address);
        let supervisor = Supervisor::new(
            self.shared.clone(),
            key,
            connection,
            address,
            is_dialer,
            reports,
        );
        tokio::spawn(supervisor.run());
        Ok(LinkHandler::new(sender))
    }

    fn admit(&self, peer: PeerId, address: &Multiaddr) -> Result<NodePublicKey, Refusal> {
        let now = Instant::now();
        let admitted = identity::node_key(&peer).filter(|key| self.shared.gate.is_admitted(key));
        let Some(key) = admitted else {
            if self.shared.table().should_log_refusal(peer, now) {
                let key = identity::node_key(&peer)
                    .map_or_else(|| peer.to_string(), |key| key.to_string());
                tracing::warn!(%key, %address, "refused a peer: its node key is not admitted here");
            }
            return Err(Refusal::Stranger);
        };
        if self.shared.table().is_cooling_down(&key, now) {
            tracing::debug!(%key, "refused a peer that is kept away after an offence");
            return Err(Refusal::CoolingDown);
        }
        Ok(key)
    }
}

/// The TCP address in a libp2p address.
pub(crate) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

impl NetworkBehaviour for Links {
    type ConnectionHandler = LinkHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        address: &Multiaddr,
    ) -> Result<LinkHandler, ConnectionDenied> {
        self.open(connection, peer, address, false)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<LinkHandler, ConnectionDenied> {
        self.open(connection, peer, address, true)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Infallible>> {
        Poll::Pending
    }
}
