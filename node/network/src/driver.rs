//! The one task that owns the swarm: dials, gossips, asks for blocks.
//!
//! It never waits for the node: connections make no progress while the swarm
//! is not polled. What it hands over is offered, not pushed; direct messages do
//! not pass here at all.

use crate::{
    KnownPeer, NetworkConfig, NetworkError, NetworkEvent, NetworkEvents, NetworkHandle, PeerGate,
    SyncReply,
    dialing::DialSchedule,
    events,
    gossip::{self, Gossip, Topics},
    identity,
    private::{PrivateEvent, PrivateReply},
    rate_limit::RateLimit,
    shared::{Command, Shared},
    swarm::{Behaviour, BehaviourEvent, build_swarm, listen, multiaddr},
    sync::{self, Asked, SyncEvent},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm, gossipsub, ping,
    request_response::{self, OutboundRequestId, ResponseChannel},
    swarm::{
        DialError, ListenError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use medina_types::{
    NodePublicKey, limits,
    wire::{SyncRequest, SyncResponse},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};
use tokio::sync::{mpsc, oneshot, watch};

/// Starts the network.
pub struct Network;

impl Network {
    /// Listens, dials and admits from now on. Must run inside tokio.
    ///
    /// # Errors
    /// [`NetworkError::Listen`] when the address is taken, [`NetworkError::Setup`].
    pub fn start(
        config: NetworkConfig,
        gate: Arc<dyn PeerGate>,
    ) -> Result<(NetworkHandle, NetworkEvents), NetworkError> {
        let own_key = config.secret.public_key();
        let topics = Topics::of(gate.our_status().genesis);
        let (event_sender, network_events) = events::channel();
        let (command_sender, commands) = mpsc::channel(limits::NETWORK_COMMANDS_MAX);
        let shared = Arc::new(Shared::new(own_key, gate, event_sender, command_sender));
        let mut swarm = build_swarm(&config, shared.clone(), &topics)?;
        listen(&mut swarm, config.listen)?;

        let (listening_sender, listening) = watch::channel(None);
        let stop = Arc::new(watch::Sender::new(false));
        let mut driver = Driver {
            swarm,
            shared: shared.clone(),
            topics: topics.clone(),
            dials: DialSchedule::new(own_key),
            requests: BTreeMap::new(),
            answers: FuturesUnordered::new(),
            private_requests: BTreeMap::new(),
            private_answers: FuturesUnordered::new(),
            private_rates: BTreeMap::new(),
            listening: listening_sender,
            has_met_itself: false,
            swapped: BTreeSet::new(),
        };
        driver.set_known_peers(config.peers);
        tokio::spawn(driver.run(commands, stop.subscribe()));
        Ok((
            NetworkHandle {
                shared,
                topics,
                stop,
                listening,
            },
            network_events,
        ))
    }
}

/// A block request that waits for its answer.
struct PendingRequest {
    peer: NodePublicKey,
    request: SyncRequest,
    answer: oneshot::Sender<Result<SyncResponse, NetworkError>>,
}

/// A private request that waits for its answer.
struct PendingPrivate {
    peer: NodePublicKey,
    answer: oneshot::Sender<Result<Vec<u8>, NetworkError>>,
}

/// What the node answered to a peer's private request, with the way back.
type PrivateAnswer = (ResponseChannel<Vec<u8>>, Option<Vec<u8>>);

/// What the node answered to a peer's request, with the way back.
type Answer = (ResponseChannel<SyncResponse>, Option<SyncResponse>);

struct Driver {
    swarm: Swarm<Behaviour>,
    shared: Arc<Shared>,
    topics: Topics,
    dials: DialSchedule,
    requests: BTreeMap<OutboundRequestId, PendingRequest>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    private_requests: BTreeMap<OutboundRequestId, PendingPrivate>,
    private_answers: FuturesUnordered<BoxFuture<'static, PrivateAnswer>>,
    /// Of peers that are connected.
    private_rates: BTreeMap<NodePublicKey, RateLimit>,
    listening: watch::Sender<Option<SocketAddr>>,
    /// Said once: it would come again with every dial.
    has_met_itself: bool,
    /// Peers at whose address another key was found; each is named once.
    swapped: BTreeSet<NodePublicKey>,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut stop: watch::Receiver<bool>) {
        loop {
            let due = self.dials.next_due();
            tokio::select! {
                // An error means that the last handle is gone.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(command) = commands.recv() => self.on_command(command),
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some((channel, response)) = self.answers.next() => {
                    if let Some(response) = response {
                        // The peer may be gone meanwhile.
                        let _ = self.swarm.behaviour_mut().sync.send_response(channel, response);
                    }
                }
                Some((channel, answer)) = self.private_answers.next() => {
                    if let Some(answer) = answer {
                        let private = &mut self.swarm.behaviour_mut().private;
                        let _ = private.send_response(channel, answer);
                    }
                }
                () = wait_until(due) => self.dial_due(),
            }
        }
        tracing::debug!("network stopped");
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, bytes } => self.publish(topic, bytes),
            Command::Request {
                peer,
                request,
                answer,
            } => self.request(peer, request, answer),
            Command::RequestPrivate {
                peer,
                bytes,
                answer,
            } => self.request_private(peer, bytes, answer),
            Command::SetKnownPeers(peers) => self.set_known_peers(peers),
            Command::Close { connection } => {
                self.swarm.close_connection(connection);
            }
        }
    }

    fn publish(&mut self, topic: gossipsub::TopicHash, bytes: Vec<u8>) {
        let size = bytes.len();
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) | Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => {}
            Err(error) => tracing::debug!(%error, size, "gossip not sent"),
        }
    }

    fn request(
        &mut self,
        peer: NodePublicKey,
        request: SyncRequest,
        answer: oneshot::Sender<Result<SyncResponse, NetworkError>>,
    ) {
        let id = identity::peer_id(&peer).filter(|id| self.swarm.is_connected(id));
        let Some(id) = id else {
            let _ = answer.send(Err(NetworkError::NotConnected(peer)));
            return;
        };
        let id = self
            .swarm
            .behaviour_mut()
            .sync
            .send_request(&id, Ok(request));
        self.requests.insert(
            id,
            PendingRequest {
                peer,
                request,
                answer,
            },
        );
    }

    fn request_private(
        &mut self,
        peer: NodePublicKey,
        bytes: Vec<u8>,
        answer: oneshot::Sender<Result<Vec<u8>, NetworkError>>,
    ) {
        let id = identity::peer_id(&peer).filter(|id| self.swarm.is_connected(id));
        let Some(id) = id else {
            let _ = answer.send(Err(NetworkError::NotConnected(peer)));
            return;
        };
        let id = self.swarm.behaviour_mut().private.send_request(&id, bytes);
        self.private_requests
            .insert(id, PendingPrivate { peer, answer });
    }

    fn set_known_peers(&mut self, peers: Vec<KnownPeer>) {
        let swarm = &self.swarm;
        let is_connected =
            |key: &NodePublicKey| identity::peer_id(key).is_some_and(|id| swarm.is_connected(&id));
        self.dials.set_peers(peers, is_connected, Instant::now());
    }

    fn dial_due(&mut self) {
        for (key, addresses) in self.dials.take_due(Instant::now()) {
            let Some(peer) = identity::peer_id(&key) else {
                tracing::warn!(%key, "a known peer's key is no ed25519 key");
                continue;
            };
            let options = DialOpts::peer_id(peer)
                // Beside a dial that hangs: see `dialing`.
                .condition(PeerCondition::Disconnected)
                .addresses(addresses.into_iter().map(multiaddr).collect())
                // From the listening port, two nodes that dial each other at
                // once would open one TCP connection with two dialers.
                .allocate_new_port()
                .build();
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(%key, %error, "cannot dial");
                self.dials.on_failed(&key, Instant::now(), rand::random());
            }
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.on_sync(event),
            SwarmEvent::Behaviour(BehaviourEvent::Private(event)) => self.on_private(event),
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(&address),
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                if let Some(key) = identity::node_key(&peer_id) {
                    self.dials.on_connected(&key, now);
                }
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => {
                if let Some(key) = identity::node_key(&peer_id) {
                    self.dials.on_disconnected(&key, now, rand::random());
                    self.private_rates.remove(&key);
                }
            }
            SwarmEvent::IncomingConnectionError {
                error: ListenError::LocalPeerId { address },
                ..
            }
            | SwarmEvent::OutgoingConnectionError {
                error: DialError::LocalPeerId { address },
                peer_id: None,
                ..
            } => self.warn_of_own_key(&address),
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error: DialError::LocalPeerId { address },
                ..
            } => {
                self.warn_of_own_key(&address);
                if let Some(key) = identity::node_key(&peer) {
                    self.dials.on_failed(&key, now, rand::random());
                }
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } => {
                if let Some(key) = identity::node_key(&peer) {
                    if let DialError::WrongPeerId { obtained, address } = &error {
                        self.warn_of_other_key(key, *obtained, address);
                    }
                    tracing::debug!(%key, %error, "dial failed");
                    self.dials.on_failed(&key, now, rand::random());
                }
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "the listener for peers has a problem");
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                tracing::error!(?reason, "the listener for peers closed");
            }
            _ => {}
        }
    }

    fn on_listening(&mut self, address: &Multiaddr) {
        let Some(address) = crate::links::socket_address(address) else {
            return;
        };
        self.listening.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                tracing::info!(%address, key = %self.shared.own_key, "listening for peers");
                *known = Some(address);
            }
            is_first
        });
    }

    /// Two nodes with one key would vote against each other.
    fn warn_of_own_key(&mut self, address: &Multiaddr) {
        if !std::mem::replace(&mut self.has_met_itself, true) {
            let key = self.shared.own_key;
            tracing::warn!(%key, %address,
                "a node with this node's own key answers there: stop one of the two, or, if it is this node itself, take its address from the other key in the file of known nodes");
        }
    }

    /// Known peers are few, so the set needs no bound of its own.
    fn warn_of_other_key(&mut self, key: NodePublicKey, found: PeerId, address: &Multiaddr) {
        if self.swapped.insert(key) {
            let found = identity::node_key(&found)
                .map_or_else(|| found.to_string(), |found| found.to_string());
            tracing::warn!(%key, %found, %address,
                "another node key answers at the address of a known node: correct the file of known nodes, or give that node its own key back");
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(latency) => {
                if let Some(key) = identity::node_key(&event.peer) {
                    self.shared.table().set_latency(&key, latency);
                }
            }
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "a link does not answer");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_sync(&mut self, event: SyncEvent) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request {
                    request, channel, ..
                } => {
                    self.on_sync_request(peer, request, channel);
                }
                request_response::Message::Response {
                    request_id,
                    response,
                } => {
                    self.on_sync_response(request_id, response);
                }
            },
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                if let request_response::OutboundFailure::Io(error) = &error {
                    self.expel_if_malformed(peer, error);
                }
                if let Some(pending) = self.requests.remove(&request_id) {
                    let (peer, reason) = (pending.peer, error.to_string());
                    let _ = pending
                        .answer
                        .send(Err(NetworkError::RequestFailed { peer, reason }));
                }
            }
            // The peer asks again if it wants to.
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_sync_request(
        &mut self,
        peer: PeerId,
        asked: Asked,
        channel: ResponseChannel<SyncResponse>,
    ) {
        let request = match asked {
            Ok(request) => request,
            Err(reason) => return self.expel(peer, &format!("malformed block request: {reason}")),
        };
        let Some(from) = identity::node_key(&peer) else {
            return;
        };
        if !self.shared.table().is_connected(&from) {
            return;
        }
        if !sync::is_within_bounds(request) {
            self.expel(peer, &format!("asked for {} blocks at once", request.count));
            return;
        }
        if !self.may_send(peer) || self.answers.len() >= limits::NETWORK_EVENTS_MAX {
            return;
        }
        let (reply, response) = SyncReply::new();
        if self.shared.events.offer_bulk(NetworkEvent::SyncRequested {
            from,
            request,
            reply,
        }) {
            self.answers
                .push(response.map(|response| (channel, response.ok())).boxed());
        }
    }

    fn on_sync_response(&mut self, id: OutboundRequestId, response: SyncResponse) {
        let Some(PendingRequest {
            peer,
            request,
            answer,
        }) = self.requests.remove(&id)
        else {
            return;
        };
        let result = if sync::is_answer_to(request, &response) {
            Ok(response)
        } else {
            let reason = "more blocks than asked for".to_owned();
            self.shared.table().expel(peer, &reason, Instant::now());
            Err(NetworkError::RequestFailed { peer, reason })
        };
        // Whoever asked may have lost interest.
        let _ = answer.send(result);
    }

    fn on_private(&mut self, event: PrivateEvent) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request {
                    request, channel, ..
                } => self.on_private_request(peer, request, channel),
                request_response::Message::Response {
                    request_id,
                    response,
                } => {
                    if let Some(pending) = self.private_requests.remove(&request_id) {
                        // Whoever asked may have lost interest.
                        let _ = pending.answer.send(Ok(response));
                    }
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                if let Some(pending) = self.private_requests.remove(&request_id) {
                    let (peer, reason) = (pending.peer, error.to_string());
                    let failed = NetworkError::PrivateRequestFailed { peer, reason };
                    let _ = pending.answer.send(Err(failed));
                }
            }
            // The peer asks again if it wants to.
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// Dropping the channel tells the peer that there is no answer.
    fn on_private_request(
        &mut self,
        peer: PeerId,
        bytes: Vec<u8>,
        channel: ResponseChannel<Vec<u8>>,
    ) {
        let Some(from) = identity::node_key(&peer) else {
            return;
        };
        if !self.shared.table().is_connected(&from) || !self.may_ask_privately(from) {
            return;
        }
        let (reply, answer) = PrivateReply::new();
        let requested = NetworkEvent::PrivateRequested { from, bytes, reply };
        if self.shared.events.offer_private(requested) {
            let answered = answer.map(|answer| (channel, answer.ok()));
            self.private_answers.push(answered.boxed());
        }
    }

    fn may_ask_privately(&mut self, from: NodePublicKey) -> bool {
        let now = Instant::now();
        let rate = self
            .private_rates
            .entry(from)
            .or_insert_with(|| RateLimit::with_rate(limits::PRIVATE_REQUESTS_PER_SECOND_MAX, now));
        rate.try_take(now)
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message {
            propagation_source,
            message_id,
            message,
        } = event
        else {
            return;
        };
        let decoded = if self.may_send(propagation_source) {
            gossip::decode(&self.topics, &message.topic, &message.data)
                .map_err(|error| self.expel(propagation_source, &error.to_string()))
        } else {
            Err(())
        };
        let acceptance = match decoded {
            Ok(gossip) => {
                self.deliver_gossip(message.source, gossip);
                gossipsub::MessageAcceptance::Accept
            }
            Err(()) => gossipsub::MessageAcceptance::Reject,
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
    }

    /// Names the author, whose signature was checked: who passed a message on
    /// did not look into it further than we do here.
    fn deliver_gossip(&self, author: Option<PeerId>, gossip: Gossip) {
        let author = author.and_then(|peer| identity::node_key(&peer));
        let event = match gossip {
            Gossip::Transactions(transactions) => {
                author.map(|from| NetworkEvent::Gossip { from, transactions })
            }
            Gossip::Head(status) => author.map(|from| {
                self.shared.table().raise_status(&from, status);
                NetworkEvent::HeadAnnounced { from, status }
            }),
        };
        if let Some(event) = event {
            // Full: the node is behind; pool hashes and later heads make up for it.
            self.shared.events.offer_bulk(event);
        }
    }

    /// Counts a message against the peer's rate; too many cost its links.
    fn may_send(&mut self, peer: PeerId) -> bool {
        let Some(key) = identity::node_key(&peer) else {
            return false;
        };
        let may_send = self.shared.table().try_take_message(key, Instant::now());
        if !may_send {
            self.expel(peer, "too many messages per second");
        }
        may_send
    }

    fn expel_if_malformed(&mut self, peer: PeerId, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            self.expel(peer, &error.to_string());
        }
    }

    fn expel(&mut self, peer: PeerId, reason: &str) {
        if let Some(key) = identity::node_key(&peer) {
            let seconds = limits::PEER_COOLDOWN.as_secs();
            tracing::warn!(%key, reason, "disconnecting a peer, kept away for {seconds} s");
            self.shared.table().expel(key, reason, Instant::now());
        }
        // Also a connection that has not exchanged statuses yet; none is no error.
        let _ = self.swarm.disconnect_peer_id(peer);
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
