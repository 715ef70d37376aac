//! One task per connection: exchanges hellos, announces the peer, ends the
//! connection when a stream ends or somebody says so.

use super::{
    Lane,
    handler::Report,
    queue::{self, CloseSignal, OutboundFrames, OutboundQueue},
    streams::{Reader, StreamEnd, check_status, write},
};
use crate::shared::{Command, Link, Shared};
use libp2p::{Stream, swarm::ConnectionId};
use medina_types::{
    NodePublicKey, limits,
    wire::{self, Hello, PeerMessage},
};
use std::{net::SocketAddr, sync::Arc, time::Instant};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};

/// Queue and budget of one lane; a part is taken when its stream stands.
struct LaneState {
    queue: OutboundQueue,
    frames: Option<OutboundFrames>,
    is_accepted: bool,
}

impl LaneState {
    fn new(bytes_max: usize) -> Self {
        let (queue, frames) = queue::channel(bytes_max);
        Self {
            queue,
            frames: Some(frames),
            is_accepted: false,
        }
    }
}

/// Owns the streams of one connection.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    peer: NodePublicKey,
    connection: ConnectionId,
    address: Option<SocketAddr>,
    is_dialer: bool,
    since: Instant,
    reports: mpsc::Receiver<Report>,
    consensus: LaneState,
    bulk: LaneState,
    streams: JoinSet<StreamEnd>,
    ready: watch::Sender<bool>,
    hello: Option<oneshot::Sender<Hello>>,
}

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        peer: NodePublicKey,
        connection: ConnectionId,
        address: Option<SocketAddr>,
        is_dialer: bool,
        reports: mpsc::Receiver<Report>,
    ) -> Self {
        Self {
            shared,
            peer,
            connection,
            address,
            is_dialer,
            since: Instant::now(),
            reports,
            consensus: LaneState::new(limits::PEER_CONSENSUS_QUEUE_BYTES_MAX),
            bulk: LaneState::new(limits::PEER_BULK_QUEUE_BYTES_MAX),
            streams: JoinSet::new(),
            ready: watch::Sender::new(false),
            hello: None,
        }
    }

    /// Runs until the connection is gone or must go.
    pub(crate) async fn run(mut self) {
        let (close, mut close_reason) = CloseSignal::new();
        let (hello, mut peer_hello) = oneshot::channel();
        self.hello = Some(hello);
        let handshake = tokio::time::sleep(limits::PEER_HANDSHAKE_TIMEOUT);
        tokio::pin!(handshake);
        let mut is_joined = false;
        let end = loop {
            tokio::select! {
                report = self.reports.recv() => match report {
                    None => break StreamEnd::Lost("connection closed".to_owned()),
                    Some(report) => {
                        if let Err(end) = self.on_report(report) {
                            break end;
                        }
                    }
                },
                Some(ended) = self.streams.join_next() => {
                    break ended.unwrap_or_else(|error| StreamEnd::Lost(error.to_string()));
                }
                Ok(hello) = &mut peer_hello, if !is_joined => {
                    if let Err(end) = self.on_hello(hello, &close).await {
                        break end;
                    }
                    is_joined = true;
                }
                Some(reason) = close_reason.recv() => break StreamEnd::Closed(reason),
                () = &mut handshake, if !is_joined => {
                    break StreamEnd::Lost("no hello in time".to_owned());
                }
            }
        };
        self.finish(end, is_joined).await;
    }

    fn on_report(&mut self, report: Report) -> Result<(), StreamEnd> {
        match report {
            Report::Opened { lane, stream } => self.start_writer(lane, stream),
            Report::Accepted { lane, stream } => self.start_reader(lane, stream),
            Report::Failed { lane, reason } => {
                let text = format!("stream for {lane:?} not opened: {reason}");
                Err(StreamEnd::Lost(text))
            }
        }
    }

    fn start_writer(&mut self, lane: Lane, stream: Stream) -> Result<(), StreamEnd> {
        let first = (lane == Lane::Bulk)
            .then(|| wire::encode(&PeerMessage::Hello(self.shared.our_hello())));
        let frames = self.lane(lane).frames.take();
        let frames = frames.ok_or_else(|| StreamEnd::Lost("stream opened twice".to_owned()))?;
        self.streams.spawn(write(stream, first, frames));
        Ok(())
    }

    fn start_reader(&mut self, lane: Lane, stream: Stream) -> Result<(), StreamEnd> {
        if std::mem::replace(&mut self.lane(lane).is_accepted, true) {
            return Err(StreamEnd::Offence(format!("a second stream for {lane:?}")));
        }
        let reader = Reader {
            shared: self.shared.clone(),
            peer: self.peer,
            lane,
            ready: self.ready.subscribe(),
            budget: Arc::new(Semaphore::new(limits::PEER_INBOUND_BYTES_MAX)),
        };
        let hello = if lane == Lane::Bulk {
            self.hello.take()
        } else {
            None
        };
        self.streams.spawn(reader.run(stream, hello));
        Ok(())
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneState {
        match lane {
            Lane::Consensus => &mut self.consensus,
            Lane::Bulk => &mut self.bulk,
        }
    }

    async fn on_hello(&self, hello: Hello, close: &CloseSignal) -> Result<(), StreamEnd> {
        let Hello { status, process } = hello;
        let ours = self.shared.gate.our_status();
        check_status(&ours, &status).map_err(StreamEnd::Offence)?;
        let link = Link {
            connection: self.connection,
            address: self.address,
            is_dialer: self.is_dialer,
            since: self.since,
            process,
            consensus: self.consensus.queue.clone(),
            bulk: self.bulk.queue.clone(),
            close: close.clone(),
        };
        if !self.shared.join(self.peer, link, status).await {
            return Err(StreamEnd::Lost("kept away after an offence".to_owned()));
        }
        let (key, height) = (self.peer, status.height);
        tracing::debug!(%key, address = ?self.address, %height, "link ready");
        self.ready.send_replace(true);
        Ok(())
    }

    async fn finish(mut self, end: StreamEnd, is_joined: bool) {
        let key = self.peer;
        match &end {
            StreamEnd::Offence(reason) => {
                let seconds = limits::PEER_COOLDOWN.as_secs();
                tracing::warn!(%key, %reason, "disconnected a peer, kept away for {seconds} s");
                self.shared.table().expel(key, reason, Instant::now());
            }
            StreamEnd::Closed(reason) => tracing::info!(%key, %reason, "closed a link"),
            StreamEnd::Lost(reason) => tracing::debug!(%key, %reason, is_joined, "lost a link"),
        }
        // Nothing more is delivered once the node hears that the link is gone.
        self.streams.shutdown().await;
        let _ = self
            .shared
            .commands
            .send(Command::Close {
                connection: self.connection,
            })
            .await;
        if is_joined {
            self.shared.leave(key, self.connection).await;
        }
    }
}
