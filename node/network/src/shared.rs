//! What all parts of the network share: the table of peers, told the time, and
//! the channels.

use crate::{
    KnownPeer, NetworkError, NetworkEvent, PeerGate, PeerInfo,
    events::EventSender,
    links::{CloseSignal, Lane, OutboundFrame, OutboundQueue},
    rate_limit::RateLimit,
};
use libp2p::{PeerId, gossipsub::TopicHash, swarm::ConnectionId};
use medina_types::{
    NodePublicKey, limits,
    wire::{Hello, PeerStatus, SyncRequest, SyncResponse},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Two connections dialled from both sides within this time are a coincidence;
/// otherwise the peer lost the older one and came back.
const SIMULTANEOUS_DIAL: Duration = Duration::from_secs(5);

/// A stranger is named in the log once in this time.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Processes of a peer remembered after another took their place.
const FORMER_PROCESSES_MAX: usize = 8;

/// Two nodes with one key are named in the log once in this time.
const TWINS_LOG_INTERVAL: Duration = Duration::from_secs(600);

/// Strangers remembered for [`REFUSAL_LOG_INTERVAL`].
const REFUSALS_REMEMBERED_MAX: usize = 1_024;

/// Orders to the driver.
pub(crate) enum Command {
    /// Gossip these bytes.
    Publish { topic: TopicHash, bytes: Vec<u8> },
    /// Ask a peer for blocks.
    Request {
        peer: NodePublicKey,
        request: SyncRequest,
        answer: oneshot::Sender<Result<SyncResponse, NetworkError>>,
    },
    /// Ask a peer about a private group.
    RequestPrivate {
        peer: NodePublicKey,
        bytes: Vec<u8>,
        answer: oneshot::Sender<Result<Vec<u8>, NetworkError>>,
    },
    /// Dial these from now on.
    SetKnownPeers(Vec<KnownPeer>),
    /// End one connection.
    Close { connection: ConnectionId },
}

/// Shared by driver, handles and supervisors.
pub(crate) struct Shared {
    pub(crate) own_key: NodePublicKey,
    process: u64,
    pub(crate) gate: Arc<dyn PeerGate>,
    pub(crate) events: EventSender,
    pub(crate) commands: mpsc::Sender<Command>,
    table: Mutex<PeerTable>,
    /// Held while a link joins or leaves, events included, so that the node
    /// hears of connections in the order in which they changed.
    order: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn new(
        own_key: NodePublicKey,
        gate: Arc<dyn PeerGate>,
        events: EventSender,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        let (table, order) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Self {
            own_key,
            process: rand::random(),
            gate,
            events,
            commands,
            table,
            order,
        }
    }

    /// What this node says first on a link.
    pub(crate) fn our_hello(&self) -> Hello {
        Hello {
            status: self.gate.our_status(),
            process: self.process,
        }
    }

    /// The peer table, for one short look.
    pub(crate) fn table(&self) -> parking_lot::MutexGuard<'_, PeerTable> {
        self.table.lock()
    }

    /// A link is ready: the node hears of a peer that had none before.
    /// False when the peer was expelled meanwhile.
    pub(crate) async fn join(&self, key: NodePublicKey, link: Link, status: PeerStatus) -> bool {
        let _order = self.order.lock().await;
        let joined = self.table().add_link(key, link, status, Instant::now());
        if joined == Joined::First {
            self.events
                .send_urgent(NetworkEvent::PeerConnected { key, status }, None)
                .await;
        }
        joined != Joined::Refused
    }

    /// A link is gone, and what was under way on it may be lost: the node hears
    /// of it even when a second link remains.
    pub(crate) async fn leave(&self, key: NodePublicKey, connection: ConnectionId) {
        let _order = self.order.lock().await;
        let remaining = self.table().remove_link(&key, connection);
        self.events
            .send_urgent(NetworkEvent::PeerDisconnected { key }, None)
            .await;
        if let Some(status) = remaining {
            self.events
                .send_urgent(NetworkEvent::PeerConnected { key, status }, None)
                .await;
        }
    }
}

/// A connection that passed the gate and the exchange of statuses.
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) is_dialer: bool,
    pub(crate) since: Instant,
    /// The peer's process, by the number it drew.
    pub(crate) process: u64,
    pub(crate) consensus: OutboundQueue,
    pub(crate) bulk: OutboundQueue,
    pub(crate) close: CloseSignal,
}

/// What became of a new link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    First,
    Another,
    Refused,
}

#[derive(Default)]
struct Peer {
    links: Vec<Link>,
    status: Option<PeerStatus>,
    latency: Option<Duration>,
    rate: Option<RateLimit>,
    cooldown_until: Option<Instant>,
    processes: Processes,
}

/// The processes that answered with one key, by the number each drew when it started.
#[derive(Default)]
struct Processes {
    latest: Option<u64>,
    former: VecDeque<u64>,
    named_at: Option<Instant>,
}

impl Processes {
    /// Notes who is linked now; true when two nodes are found to use the key and
    /// nobody was told lately. A process that restarts draws a new number: one whose
    /// place was taken by another and who then comes back never ended.
    fn note(&mut self, process: u64, now: Instant) -> bool {
        let Some(before) = self.latest.replace(process) else {
            return false;
        };
        if before == process {
            return false;
        }
        let is_back = self.former.contains(&process);
        if !self.former.contains(&before) {
            if self.former.len() == FORMER_PROCESSES_MAX {
                self.former.pop_front();
            }
            self.former.push_back(before);
        }
        let is_told = |at: Instant| now.saturating_duration_since(at) < TWINS_LOG_INTERVAL;
        if !is_back || self.named_at.is_some_and(is_told) {
            return false;
        }
        self.named_at = Some(now);
        true
    }
}

/// Peers with their links, rates and cool-downs.
#[derive(Default)]
pub(crate) struct PeerTable {
    peers: BTreeMap<NodePublicKey, Peer>,
    refusals: BTreeMap<PeerId, Instant>,
}

impl PeerTable {
    fn peer(&mut self, key: NodePublicKey, now: Instant) -> &mut Peer {
        if self.peers.len() >= limits::PEERS_REMEMBERED_MAX && !self.peers.contains_key(&key) {
            let is_kept = |peer: &Peer| {
                !peer.links.is_empty() || peer.cooldown_until.is_some_and(|until| until > now)
            };
            self.peers.retain(|_, peer| is_kept(peer));
        }
        self.peers.entry(key).or_default()
    }

    fn add_link(
        &mut self,
        key: NodePublicKey,
        link: Link,
        status: PeerStatus,
        now: Instant,
    ) -> Joined {
        if self.is_cooling_down(&key, now) {
            return Joined::Refused;
        }
        let peer = self.peer(key, now);
        let mut replaced = None;
        for former in &peer.links {
            let is_coincidence = former.is_dialer != link.is_dialer
                && former.process == link.process
                && link.since.saturating_duration_since(former.since) < SIMULTANEOUS_DIAL;
            if !is_coincidence {
                replaced = former.address;
                former
                    .close
                    .close("the peer came back on a newer connection");
            }
        }
        if peer.processes.note(link.process, now) {
            let address = link.address;
            tracing::warn!(%key, ?replaced, ?address,
                "two nodes seem to use one key: every node needs its own, or votes contradict each other");
        }
        peer.status = Some(status);
        peer.links.push(link);
        if peer.links.len() == 1 {
            Joined::First
        } else {
            Joined::Another
        }
    }

    fn remove_link(&mut self, key: &NodePublicKey, connection: ConnectionId) -> Option<PeerStatus> {
        let peer = self.peers.get_mut(key)?;
        peer.links.retain(|link| link.connection != connection);
        if peer.links.is_empty() {
            peer.status = None;
            peer.latency = None;
        }
        peer.status
    }

    /// Queues a frame on the newest link. A full consensus queue closes the
    /// link; false when the frame goes nowhere.
    pub(crate) fn send(&self, to: &NodePublicKey, lane: Lane, frame: OutboundFrame) -> bool {
        let Some(link) = self.peers.get(to).and_then(|peer| peer.links.last()) else {
            return false;
        };
        match lane {
            Lane::Consensus => {
                let is_queued = link.consensus.push(frame);
                if !is_queued {
                    link.close.close("it does not read its consensus messages");
                }
                is_queued
            }
            Lane::Bulk => link.bulk.push(frame),
        }
    }

    /// Counts one message; false when the peer sends too many.
    pub(crate) fn try_take_message(&mut self, key: NodePublicKey, now: Instant) -> bool {
        let peer = self.peer(key, now);
        peer.rate
            .get_or_insert_with(|| RateLimit::new(now))
            .try_take(now)
    }

    /// Keeps a peer away for a while and closes its links.
    pub(crate) fn expel(&mut self, key: NodePublicKey, reason: &str, now: Instant) {
        let peer = self.peer(key, now);
        peer.cooldown_until = Some(now + limits::PEER_COOLDOWN);
        for link in &peer.links {
            link.close.close(reason);
        }
    }

    /// Whether a peer is kept away.
    pub(crate) fn is_cooling_down(&self, key: &NodePublicKey, now: Instant) -> bool {
        let until = self.peers.get(key).and_then(|peer| peer.cooldown_until);
        until.is_some_and(|until| until > now)
    }

    /// Whether another dial to this peer came through a moment ago: one that hung
    /// beside it (see `dialing`) must not replace its link.
    pub(crate) fn was_just_dialled(&self, key: &NodePublicKey, now: Instant) -> bool {
        let is_fresh = |link: &Link| {
            link.is_dialer && now.saturating_duration_since(link.since) < SIMULTANEOUS_DIAL
        };
        let peer = self.peers.get(key);
        peer.is_some_and(|peer| peer.links.iter().any(is_fresh))
    }

    /// Whether a ready link to this peer exists.
    pub(crate) fn is_connected(&self, key: &NodePublicKey) -> bool {
        self.peers
            .get(key)
            .is_some_and(|peer| !peer.links.is_empty())
    }

    /// Notes a newer head of a connected peer.
    pub(crate) fn set_status(&mut self, key: &NodePublicKey, status: PeerStatus) {
        if let Some(peer) = self
            .peers
            .get_mut(key)
            .filter(|peer| !peer.links.is_empty())
        {
            peer.status = Some(status);
        }
    }

    /// Notes what a connected peer gossiped, which may have been overtaken by a
    /// newer word on its own link.
    pub(crate) fn raise_status(&mut self, key: &NodePublicKey, status: PeerStatus) {
        let known = self.peers.get(key).and_then(|peer| peer.status);
        if known.is_none_or(|known| known.height < status.height) {
            self.set_status(key, status);
        }
    }

    /// Notes a round trip.
    pub(crate) fn set_latency(&mut self, key: &NodePublicKey, latency: Duration) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.latency = Some(latency);
        }
    }

    /// Whether the refusal of this stranger is worth a line in the log now.
    pub(crate) fn should_log_refusal(&mut self, peer: PeerId, now: Instant) -> bool {
        self.refusals
            .retain(|_, at| now.saturating_duration_since(*at) < REFUSAL_LOG_INTERVAL);
        if self.refusals.len() >= REFUSALS_REMEMBERED_MAX {
            return false;
        }
        self.refusals.insert(peer, now).is_none()
    }

    /// The connected peers.
    pub(crate) fn infos(&self) -> Vec<PeerInfo> {
        let info = |(key, peer): (&NodePublicKey, &Peer)| {
            let link = peer.links.last()?;
            let (address, latency) = (link.address, peer.latency);
            Some(PeerInfo {
                key: *key,
                address,
                status: peer.status?,
                latency,
            })
        };
        self.peers.iter().filter_map(info).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::channel;

    fn link(number: usize, is_dialer: bool, since: Instant) -> Link {
        Link {
            connection: ConnectionId::new_unchecked(number),
            address: None,
            is_dialer,
            since,
            process: 1,
            consensus: channel(1).0,
            bulk: channel(1).0,
            close: CloseSignal::new().0,
        }
    }

    #[test]
    fn dial_that_hung_is_superfluous_for_a_moment_after_another_came_through() {
        let (key, start) = (NodePublicKey([7; 32]), Instant::now());
        let later = start + SIMULTANEOUS_DIAL;
        let status = PeerStatus::new(Default::default(), Default::default(), Default::default());
        let mut table = PeerTable::default();
        assert!(!table.was_just_dialled(&key, start));
        table.add_link(key, link(1, false, start), status, start);
        assert!(!table.was_just_dialled(&key, start), "the peer dialled");
        table.add_link(key, link(2, true, start), status, start);
        assert!(table.was_just_dialled(&key, start));
        assert!(
            !table.was_just_dialled(&key, later),
            "a restart is heard of"
        );
        table.remove_link(&key, ConnectionId::new_unchecked(2));
        assert!(!table.was_just_dialled(&key, start));
    }

    #[test]
    fn two_nodes_with_one_key_are_named_when_one_comes_back_and_a_restart_is_not() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut restarts = Processes::default();
        assert!((0..50).all(|process| !restarts.note(process, at(process))));
        assert!(!restarts.note(49, at(51)), "a link of the same process");
        let mut twins = Processes::default();
        let named: Vec<_> = (0..1_200)
            .filter(|second| twins.note(second % 2, at(*second)))
            .collect();
        assert_eq!(named, [2, 602]);
    }

    #[test]
    fn two_links_dialled_at_once_stand_unless_they_lead_to_two_processes() {
        let (key, now) = (NodePublicKey([7; 32]), Instant::now());
        let status = PeerStatus::new(Default::default(), Default::default(), Default::default());
        let mut table = PeerTable::default();
        let mut closings = Vec::new();
        for (number, process) in [(1, 1), (2, 1), (3, 2)] {
            let (close, closing) = CloseSignal::new();
            let link = Link {
                process,
                close,
                ..link(number, number == 2, now)
            };
            table.add_link(key, link, status, now);
            closings.push(closing);
        }
        let closed: Vec<_> = closings
            .iter_mut()
            .map(|closing| closing.try_recv().is_ok())
            .collect();
        assert_eq!(closed, [true, true, false]);
    }
}
