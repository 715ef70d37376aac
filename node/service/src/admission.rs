//! Who may connect: validators, nodes named in genesis and in the file of known nodes.

use crate::{
    chain::Chain,
    config::{ConfigError, KnownNode, KnownNodes},
};
use medina_network::{KnownPeer, NetworkHandle, PeerGate};
use medina_types::{NodePublicKey, wire::PeerStatus};
use parking_lot::Mutex;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

/// Shortest time between two readings of the file, whoever knocks how often.
const REREAD_PERIOD_MS: u64 = 1_000;

struct Known {
    nodes: BTreeMap<NodePublicKey, KnownNode>,
    read_at_ms: u64,
}

/// The gate that the network asks about every peer.
pub(crate) struct Admission {
    chain: Chain,
    path: PathBuf,
    /// Named in genesis.
    always: Vec<NodePublicKey>,
    known: Mutex<Known>,
    changed: Notify,
}

impl Admission {
    /// Reads the file of known nodes for the first time.
    pub(crate) fn new(
        chain: Chain,
        path: PathBuf,
        always: Vec<NodePublicKey>,
    ) -> Result<Self, ConfigError> {
        let nodes = by_key(KnownNodes::load(&path)?);
        let read_at_ms = chain.clock.now_ms();
        let known = Mutex::new(Known { nodes, read_at_ms });
        Ok(Self {
            chain,
            path,
            always,
            known,
            changed: Notify::new(),
        })
    }

    /// Peers to dial.
    pub(crate) fn peers(&self) -> Vec<KnownPeer> {
        peers_of(&self.known.lock().nodes)
    }

    /// Tells the network the peers to dial whenever the file changed.
    pub(crate) async fn run(
        self: Arc<Self>,
        network: NetworkHandle,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.changed.notified() => {}
            }
            if network.set_known_peers(self.peers()).await.is_err() {
                return;
            }
        }
    }

    /// Reads the file again, unless that was done a moment ago.
    fn reread(&self) {
        let now_ms = self.chain.clock.now_ms();
        let mut known = self.known.lock();
        if now_ms.saturating_sub(known.read_at_ms) < REREAD_PERIOD_MS {
            return;
        }
        known.read_at_ms = now_ms;
        match KnownNodes::load(&self.path).map(by_key) {
            Ok(nodes) if nodes != known.nodes => {
                info!(nodes = nodes.len(), "the file of known nodes changed");
                known.nodes = nodes;
                self.changed.notify_one();
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "keeping the nodes known so far"),
        }
    }

    /// Name of a node for people, if the file has one.
    pub(crate) fn name_of(&self, key: &NodePublicKey) -> Option<String> {
        self.known
            .lock()
            .nodes
            .get(key)
            .map(|node| node.name.clone())
    }

    fn is_listed(&self, key: &NodePublicKey) -> bool {
        self.known.lock().nodes.contains_key(key)
    }
}

impl PeerGate for Admission {
    fn is_admitted(&self, key: &NodePublicKey) -> bool {
        let validators = &self.chain.head().context.validators;
        if validators.index_of_key(key).is_some()
            || self.always.contains(key)
            || self.is_listed(key)
        {
            return true;
        }
        self.reread();
        self.is_listed(key)
    }

    fn our_status(&self) -> PeerStatus {
        let head = self.chain.head();
        PeerStatus::new(self.chain.spec.genesis_hash, head.height, head.hash)
    }
}

fn by_key(file: KnownNodes) -> BTreeMap<NodePublicKey, KnownNode> {
    file.nodes
        .into_iter()
        .map(|node| (node.key, node))
        .collect()
}

fn peers_of(nodes: &BTreeMap<NodePublicKey, KnownNode>) -> Vec<KnownPeer> {
    nodes
        .values()
        .map(|node| KnownPeer {
            key: node.key,
            addresses: node.address.into_iter().collect(),
        })
        .collect()
}
