//! Real nodes on loopback whose events can be awaited.

#![allow(dead_code, reason = "each test file uses a part of it")]

use alloy_primitives::B256;
use medina_network::{
    KnownPeer, Network, NetworkConfig, NetworkEvent, NetworkEvents, NetworkHandle, PeerGate,
};
use medina_types::{
    Height, NodePublicKey, NodeSecretKey,
    wire::{PeerMessage, PeerStatus},
};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::mpsc;

pub(crate) const GENESIS: B256 = B256::repeat_byte(1);

/// Longest time that any awaited thing may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn secret(node: u8) -> NodeSecretKey {
    NodeSecretKey::from_bytes([node; 32])
}

pub(crate) fn key(node: u8) -> NodePublicKey {
    secret(node).public_key()
}

pub(crate) fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub(crate) fn status(genesis: B256) -> PeerStatus {
    PeerStatus::new(genesis, Height(7), B256::repeat_byte(9))
}

pub(crate) fn consensus(bytes: usize) -> PeerMessage {
    PeerMessage::Consensus(vec![5; bytes])
}

/// Admits some keys and reports every question.
struct Gate {
    admitted: BTreeSet<NodePublicKey>,
    genesis: B256,
    asked: mpsc::Sender<NodePublicKey>,
}

impl PeerGate for Gate {
    fn is_admitted(&self, key: &NodePublicKey) -> bool {
        let _ = self.asked.try_send(*key);
        self.admitted.contains(key)
    }

    fn our_status(&self) -> PeerStatus {
        status(self.genesis)
    }
}

pub(crate) struct Node {
    pub(crate) key: NodePublicKey,
    pub(crate) handle: NetworkHandle,
    pub(crate) events: NetworkEvents,
    pub(crate) address: SocketAddr,
    asked: mpsc::Receiver<NodePublicKey>,
}

impl Node {
    /// Node `number` that listens on any port, admits `admitted` and dials `peers`.
    pub(crate) async fn start(number: u8, admitted: &[u8], peers: Vec<KnownPeer>) -> Self {
        Self::start_at(number, admitted, peers, loopback(), GENESIS).await
    }

    pub(crate) async fn start_at(
        number: u8,
        admitted: &[u8],
        peers: Vec<KnownPeer>,
        listen: SocketAddr,
        genesis: B256,
    ) -> Self {
        let (asked_sender, asked) = mpsc::channel(10_000);
        let admitted = admitted.iter().map(|node| key(*node)).collect();
        let gate = Arc::new(Gate {
            admitted,
            genesis,
            asked: asked_sender,
        });
        let config = NetworkConfig {
            secret: secret(number),
            listen,
            peers,
        };
        let (handle, events) = Network::start(config, gate).expect("starts");
        let address = handle.listen_address().await.expect("listens");
        Self {
            key: key(number),
            handle,
            events,
            address,
            asked,
        }
    }

    pub(crate) fn known(&self) -> KnownPeer {
        KnownPeer {
            key: self.key,
            addresses: vec![self.address],
        }
    }

    pub(crate) async fn next(&mut self) -> NetworkEvent {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("the network runs")
    }

    /// Waits for the first event that fits; others are passed over.
    pub(crate) async fn wait_for<T>(&mut self, fits: impl Fn(NetworkEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = fits(self.next().await) {
                return found;
            }
        }
    }

    pub(crate) async fn connected(&mut self) -> NodePublicKey {
        self.wait_for(|event| match event {
            NetworkEvent::PeerConnected { key, .. } => Some(key),
            _ => None,
        })
        .await
    }

    pub(crate) async fn disconnected(&mut self) -> NodePublicKey {
        self.wait_for(|event| match event {
            NetworkEvent::PeerDisconnected { key } => Some(key),
            _ => None,
        })
        .await
    }

    pub(crate) async fn message(&mut self) -> (NodePublicKey, PeerMessage) {
        self.wait_for(|event| match event {
            NetworkEvent::Message { from, message } => Some((from, message)),
            _ => None,
        })
        .await
    }

    /// Waits until the gate was asked about a node this often.
    pub(crate) async fn asked_about(&mut self, node: NodePublicKey, times: usize) {
        let mut left = times;
        while left > 0 {
            let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
            if asked.expect("asked in time").expect("the gate lives") == node {
                left -= 1;
            }
        }
    }
}

/// Two nodes with a link.
pub(crate) async fn pair() -> (Node, Node) {
    let mut first = Node::start(1, &[1, 2], vec![]).await;
    let mut second = Node::start(2, &[1, 2], vec![first.known()]).await;
    assert_eq!(first.connected().await, second.key);
    assert_eq!(second.connected().await, first.key);
    (first, second)
}
