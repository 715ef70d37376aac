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
    /// When a stranger last made us read the file.
    read_at_ms: Option<u64>,
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
        let known = Mutex::new(Known {
            nodes,
            read_at_ms: None,
        });
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
        let is_fresh = |at_ms| now_ms.saturating_sub(at_ms) < REREAD_PERIOD_MS;
        if known.read_at_ms.is_some_and(is_fresh) {
            return;
        }
        known.read_at_ms = Some(now_ms);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support;

    fn write(path: &std::path::Path, keys: &[NodePublicKey]) {
        let nodes = keys.iter().map(|key| KnownNode {
            name: "node".to_owned(),
            key: *key,
            address: Some(([127, 0, 0, 1], 1).into()),
        });
        let file = KnownNodes {
            nodes: nodes.collect(),
        };
        std::fs::write(path, toml::to_string(&file).unwrap()).unwrap();
    }

    #[test]
    fn node_added_to_the_file_is_admitted_and_a_broken_file_forgets_nobody() {
        let (folder, chain) = support::chain();
        let path = folder.path().join("known.toml");
        let [first, second, third] = [61, 62, 63].map(|byte| support::secret(byte).public_key());
        write(&path, &[first]);
        let admission = Admission::new(chain, path.clone(), vec![third]).unwrap();
        let validator = support::secret(0).public_key();
        for admitted in [first, third, validator] {
            assert!(admission.is_admitted(&admitted));
        }
        assert!(!admission.is_admitted(&second));
        write(&path, &[first, second]);
        assert!(
            !admission.is_admitted(&second),
            "the file is not read at every knock"
        );
        let forget_reading = || admission.known.lock().read_at_ms = None;
        forget_reading();
        assert!(admission.is_admitted(&second));
        assert_eq!(admission.peers().len(), 2);
        std::fs::write(&path, "node = 3").unwrap();
        forget_reading();
        assert!(!admission.is_admitted(&support::secret(64).public_key()));
        assert!(admission.is_admitted(&second));
    }
}
