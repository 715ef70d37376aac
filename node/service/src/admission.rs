//! Who may connect: validators of the current set, and whom the `Permissioning`
//! contract admits. Whom the contract knows and keeps out stays out.
//!
//! Where permissions are open, nodes that the contract has never heard of are
//! admitted if genesis or the file of known nodes names them. Where they are
//! enforced, the contract alone decides; while it gives no answer, the nodes that
//! genesis names may connect, and while this node is still finding out what the
//! chain says now, those of its file.
//!
//! Validators of the current set are never kept out. Links of nodes that lose
//! their admission are closed.

use crate::{
    chain::Chain,
    config::{ConfigError, KnownNode, KnownNodes},
    monitoring::believable_height,
};
use medina_execution::NodeStanding;
use medina_network::{KnownPeer, NetworkHandle, PeerGate, PeerInfo};
use medina_rpc::PeerChangeError;
use medina_types::{NodePublicKey, PermissionMode, ValidatorSet, limits, wire::PeerStatus};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

/// How often a node that is behind looks whether it may part from peers by now.
const PARTING_PERIOD: Duration = Duration::from_secs(1);

/// Shortest time between two readings of the file, whoever knocks how often.
const REREAD_PERIOD_MS: u64 = 1_000;

#[derive(Default)]
struct Known {
    nodes: BTreeMap<NodePublicKey, KnownNode>,
    /// When a stranger last made us read the file.
    read_at_ms: Option<u64>,
    /// Where the operator wants further nodes to be dialled until the next start.
    added: BTreeMap<NodePublicKey, Vec<SocketAddr>>,
    /// Whom the operator sent away until the next start.
    removed: BTreeSet<NodePublicKey>,
}

/// The gate that the network asks about every peer.
pub(crate) struct Admission {
    chain: Chain,
    path: PathBuf,
    /// Named in genesis.
    always: Vec<NodePublicKey>,
    own_key: NodePublicKey,
    known: Mutex<Known>,
    changed: Notify,
    /// Whether our head was once as high as others say theirs is; no matter where
    /// permissions are open.
    has_caught_up: AtomicBool,
}

impl Admission {
    /// Reads the file of known nodes for the first time.
    pub(crate) fn new(
        chain: Chain,
        path: PathBuf,
        always: Vec<NodePublicKey>,
        own_key: NodePublicKey,
    ) -> Result<Self, ConfigError> {
        let nodes = by_key(KnownNodes::load(&path)?);
        let is_open = chain.spec.permissions == PermissionMode::Open;
        let known = Mutex::new(Known {
            nodes,
            ..Known::default()
        });
        let admission = Self {
            chain,
            path,
            always,
            own_key,
            known,
            changed: Notify::new(),
            has_caught_up: AtomicBool::new(is_open),
        };
        admission.warn_if_unlisted();
        Ok(admission)
    }

    /// Others list this node as we should: if we do not, they probably do not either.
    fn warn_if_unlisted(&self) {
        if !self.is_admitted_without_reading(&self.own_key) {
            warn!(key = %self.own_key, file = %self.path.display(),
                "this node's own key is in no list: other nodes refuse it until it is in their file of known nodes or a ballot admits it");
        }
    }

    /// Peers to dial.
    pub(crate) fn peers(&self) -> Vec<KnownPeer> {
        let known = self.known.lock();
        let mut addresses: BTreeMap<_, Vec<_>> = known
            .nodes
            .values()
            .map(|node| (node.key, node.address.into_iter().collect()))
            .collect();
        for (key, added) in &known.added {
            addresses.entry(*key).or_default().extend(added);
        }
        addresses
            .into_iter()
            .filter(|(key, _)| !known.removed.contains(key))
            .map(|(key, addresses)| KnownPeer { key, addresses })
            .collect()
    }

    /// Tells the network whom to dial whenever that changed, and closes links
    /// that a block has made unwelcome.
    pub(crate) async fn run(
        self: Arc<Self>,
        network: NetworkHandle,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut height = self.chain.watch_height();
        let mut rules = self.rules();
        let mut must_part = !self.has_caught_up.load(Ordering::Relaxed);
        loop {
            let has_list_changed = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.changed.notified() => true,
                Ok(()) = height.changed() => false,
                () = tokio::time::sleep(PARTING_PERIOD), if must_part => false,
            };
            if has_list_changed {
                if network.set_known_peers(self.peers()).await.is_err() {
                    return;
                }
                continue;
            }
            let now = self.rules();
            if now != rules {
                rules = now;
                // New validators may be in the file by now, with their address.
                self.reread();
                must_part = true;
            }
            let peers = network.peers();
            if must_part && self.hears_enough(&peers) && !self.is_behind(&peers) {
                must_part = false;
                self.has_caught_up.store(true, Ordering::Relaxed);
                self.part_from_unwelcome(&network);
            }
        }
    }

    /// What the chain says about who may connect; changes seldom.
    fn rules(&self) -> (ValidatorSet, u64) {
        let validators = self.chain.head().context.validators.clone();
        (validators, self.chain.permissions.changes())
    }

    /// Whether more peers than may lie have blocks that we lack: an old block's
    /// rules may shut out validators of today, from whom we have the rest.
    fn is_behind(&self, peers: &[PeerInfo]) -> bool {
        let head = self.chain.head();
        let claimed = peers.iter().map(|peer| peer.status.height).collect();
        let faulty_max = head.context.validators.faulty_max();
        believable_height(claimed, faulty_max) > head.height.next()
    }

    /// Whether more nodes than may lie say how high the chain is, this one included
    /// if it validates.
    fn hears_enough(&self, peers: &[PeerInfo]) -> bool {
        let faulty_max = self.chain.head().context.validators.faulty_max();
        let ours = usize::from(self.is_validator(&self.own_key));
        self.has_caught_up.load(Ordering::Relaxed) || peers.len() + ours > faulty_max
    }

    fn part_from_unwelcome(&self, network: &NetworkHandle) {
        for peer in network.peers() {
            if !self.is_admitted(&peer.key) {
                network.disconnect(peer.key, "it is not admitted here any more");
            }
        }
    }

    /// Dials a node from now on; true if it was not dialled there before.
    pub(crate) fn add_peer(
        &self,
        key: NodePublicKey,
        addresses: Vec<SocketAddr>,
    ) -> Result<bool, PeerChangeError> {
        if key == self.own_key {
            return Err(PeerChangeError::Oneself(key));
        }
        let was_removed = self.known.lock().removed.remove(&key);
        if !self.is_admitted(&key) {
            return Err(PeerChangeError::NotAdmitted(key));
        }
        let mut known = self.known.lock();
        if known.added.len() >= limits::PEERS_MAX && !known.added.contains_key(&key) {
            let max = limits::PEERS_MAX;
            let text = format!("{max} nodes were added already; use the file of known nodes");
            return Err(PeerChangeError::Unavailable(text));
        }
        let listed = known.nodes.get(&key).and_then(|node| node.address);
        let added = known.added.get(&key).cloned().unwrap_or_default();
        let is_new = |address: &SocketAddr| !added.contains(address) && listed != Some(*address);
        let news = was_removed || addresses.iter().any(is_new);
        known.added.insert(key, addresses);
        drop(known);
        self.changed.notify_one();
        Ok(news)
    }

    /// Dials a node no more and keeps it out until the next start; true if it was
    /// dialled before. Whoever calls closes its links.
    pub(crate) fn remove_peer(&self, key: NodePublicKey) -> Result<bool, PeerChangeError> {
        if key == self.own_key {
            return Err(PeerChangeError::Oneself(key));
        }
        if self.is_validator(&key) {
            return Err(PeerChangeError::Validator(key));
        }
        let mut known = self.known.lock();
        let was_listed = known
            .nodes
            .get(&key)
            .is_some_and(|node| node.address.is_some());
        let was_added = known.added.remove(&key).is_some();
        if was_listed || was_added || known.removed.len() < limits::PEERS_REMEMBERED_MAX {
            known.removed.insert(key);
        }
        drop(known);
        self.changed.notify_one();
        Ok(was_listed || was_added)
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
        match KnownNodes::load(&self.path) {
            Ok(file) if !is_same(&file, &known.nodes) => {
                let nodes = by_key(file);
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

    /// Where a node listens, if the file says so.
    pub(crate) fn listen_address_of(&self, key: &NodePublicKey) -> Option<SocketAddr> {
        self.known
            .lock()
            .nodes
            .get(key)
            .and_then(|node| node.address)
    }

    fn is_validator(&self, key: &NodePublicKey) -> bool {
        let validators = &self.chain.head().context.validators;
        validators.index_of_key(key).is_some()
    }

    /// What can be said without another look into the file.
    fn is_admitted_without_reading(&self, key: &NodePublicKey) -> bool {
        if self.is_validator(key) {
            return true;
        }
        let is_listed = {
            let known = self.known.lock();
            if known.removed.contains(key) {
                return false;
            }
            known.nodes.contains_key(key)
        };
        let is_enforced = self.chain.spec.permissions == PermissionMode::Enforced;
        match self.chain.permissions.standing(key) {
            Some(NodeStanding::Allowed) => true,
            Some(NodeStanding::Refused) => false,
            // Unknown to an old block may be a validator of today.
            Some(NodeStanding::Unknown) if is_enforced => {
                is_listed && !self.has_caught_up.load(Ordering::Relaxed)
            }
            None if is_enforced => self.chain.spec.permission_lists.nodes.contains(key),
            Some(NodeStanding::Unknown) | None => is_listed || self.always.contains(key),
        }
    }
}

impl PeerGate for Admission {
    fn is_admitted(&self, key: &NodePublicKey) -> bool {
        if self.is_admitted_without_reading(key) {
            return true;
        }
        self.reread();
        self.is_admitted_without_reading(key)
    }

    fn our_status(&self) -> PeerStatus {
        self.chain.status()
    }
}

/// The nodes of a file; of two entries with one key the last counts.
fn by_key(file: KnownNodes) -> BTreeMap<NodePublicKey, KnownNode> {
    let mut nodes = BTreeMap::<NodePublicKey, KnownNode>::new();
    for node in file.nodes {
        if let Some(former) = nodes.insert(node.key, node.clone()) {
            warn!(key = %node.key, first = former.name, second = node.name,
                "the file of known nodes lists one key twice: every node needs its own");
        }
    }
    nodes
}

fn is_same(file: &KnownNodes, nodes: &BTreeMap<NodePublicKey, KnownNode>) -> bool {
    let mut last = BTreeMap::new();
    for node in &file.nodes {
        last.insert(node.key, node);
    }
    last.len() == nodes.len() && nodes.iter().all(|(key, node)| last.get(key) == Some(&node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support;
    use medina_types::Height;

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
        let admission = Admission::new(
            chain,
            path.clone(),
            vec![third],
            support::secret(0).public_key(),
        )
        .unwrap();
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

    #[test]
    fn operator_adds_and_removes_peers_until_the_next_start() {
        let (folder, chain) = support::chain();
        let path = folder.path().join("known.toml");
        let [listed, stranger] = [61, 62].map(|byte| support::secret(byte).public_key());
        write(&path, &[listed]);
        let own = support::secret(0).public_key();
        let admission = Admission::new(chain, path, Vec::new(), own).unwrap();
        let address: SocketAddr = ([127, 0, 0, 1], 2).into();
        let added = |key| admission.add_peer(key, vec![address]);
        assert_eq!(added(own), Err(PeerChangeError::Oneself(own)));
        assert_eq!(added(stranger), Err(PeerChangeError::NotAdmitted(stranger)));
        assert_eq!(added(listed), Ok(true));
        assert_eq!(added(listed), Ok(false));
        assert_eq!(admission.peers()[0].addresses.len(), 2);
        let validator = support::secret(1).public_key();
        let refused = admission.remove_peer(validator);
        assert_eq!(refused, Err(PeerChangeError::Validator(validator)));
        assert_eq!(admission.remove_peer(listed), Ok(true));
        assert!(!admission.is_admitted(&listed));
        assert!(admission.peers().is_empty());
        assert_eq!(added(listed), Ok(true));
        assert!(admission.is_admitted(&listed));
    }

    #[test]
    fn node_that_is_behind_parts_from_nobody_by_an_old_blocks_rules() {
        let (folder, chain) = support::chain();
        let path = folder.path().join("known.toml");
        write(&path, &[]);
        let own = support::secret(0).public_key();
        let admission = Admission::new(chain, path, Vec::new(), own).unwrap();
        let at = |byte, height| PeerInfo {
            key: support::secret(byte).public_key(),
            address: None,
            status: PeerStatus::new(Default::default(), Height(height), Default::default()),
            latency: None,
        };
        assert!(admission.is_behind(&[at(1, 90), at(60, 91)]));
        assert!(!admission.is_behind(&[at(1, 1), at(2, 0), at(60, u64::MAX)]));
        assert!(!admission.is_behind(&[]));
    }

    #[test]
    fn key_listed_twice_counts_once() {
        let node = |name: &str| KnownNode {
            name: name.to_owned(),
            key: support::secret(61).public_key(),
            address: None,
        };
        let file = KnownNodes {
            nodes: vec![node("a"), node("b")],
        };
        let nodes = by_key(file.clone());
        assert_eq!(nodes.len(), 1);
        assert!(is_same(&file, &nodes), "no news at every reading");
    }
}
