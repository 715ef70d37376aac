//! The tasks that write one stream or read one stream.

use super::{Lane, queue::OutboundFrames};
use crate::{
    NetworkEvent,
    frame::{read_frame, write_frame},
    shared::Shared,
};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use medina_types::{
    NodePublicKey, limits,
    wire::{self, Hello, PeerMessage, PeerStatus},
};
use std::{io, sync::Arc, time::Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Bytes of the first frame, which holds a status.
const HELLO_BYTES_MAX: usize = 128;

/// Why a stream's task ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The connection is gone; nobody's fault.
    Lost(String),
    /// We end it, for a reason that an operator wants to know.
    Closed(String),
    /// The peer broke the protocol.
    Offence(String),
}

impl From<io::Error> for StreamEnd {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Offence(error.to_string()),
            _ => Self::Lost(error.to_string()),
        }
    }
}

/// Writes frames until the queue or the stream ends; flushes when none waits.
pub(crate) async fn write<W: AsyncWrite + Unpin>(
    mut stream: W,
    first: Option<Vec<u8>>,
    mut frames: OutboundFrames,
) -> StreamEnd {
    let written = async {
        if let Some(first) = first {
            write_frame(&mut stream, &first).await?;
            stream.flush().await?;
        }
        while let Some(frame) = frames.next().await {
            write_frame(&mut stream, &frame).await?;
            while let Some(frame) = frames.try_next() {
                write_frame(&mut stream, &frame).await?;
            }
            stream.flush().await?;
        }
        io::Result::Ok(())
    };
    match written.await {
        Ok(()) => StreamEnd::Lost("its queue ended".to_owned()),
        Err(error) => error.into(),
    }
}

/// Reads one stream of one peer and turns its frames into events.
pub(crate) struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: NodePublicKey,
    pub(crate) lane: Lane,
    /// True once the peer's status was accepted: nothing else is read before.
    pub(crate) ready: watch::Receiver<bool>,
    /// Bytes that the node has not looked at yet.
    pub(crate) budget: Arc<Semaphore>,
}

impl Reader {
    /// Reads until the stream ends or the peer breaks a rule. The first frame
    /// of the bulk lane is the hello, which goes to `hello`.
    pub(crate) async fn run<R: AsyncRead + Unpin>(
        mut self,
        mut stream: R,
        hello: Option<oneshot::Sender<Hello>>,
    ) -> StreamEnd {
        if let Some(hello) = hello {
            match read_hello(&mut stream).await {
                // The supervisor ended if it does not listen; so will we.
                Ok(first) => drop(hello.send(first)),
                Err(end) => return end,
            }
        }
        if self.ready.wait_for(|is_ready| *is_ready).await.is_err() {
            return StreamEnd::Lost("closed".to_owned());
        }
        loop {
            if let Err(end) = self.read_message(&mut stream).await {
                return end;
            }
        }
    }

    async fn read_message<R: AsyncRead + Unpin>(&self, stream: &mut R) -> Result<(), StreamEnd> {
        let bytes_max = match self.lane {
            Lane::Consensus => PeerMessage::BYTES_MAX,
            Lane::Bulk => limits::PEER_MESSAGE_BYTES_MAX,
        };
        let frame = read_frame(stream, bytes_max).await?;
        if !self
            .shared
            .table()
            .try_take_message(self.peer, Instant::now())
        {
            let max = limits::PEER_MESSAGES_PER_SECOND_MAX;
            return Err(StreamEnd::Offence(format!(
                "more than {max} messages per second"
            )));
        }
        metrics::counter!("medina_network_received_bytes_total").increment(frame.len() as u64);
        let budget = self.reserve(frame.len()).await;
        let message =
            PeerMessage::decode(&frame).map_err(|error| StreamEnd::Offence(error.to_string()))?;
        drop(frame);
        self.deliver(message, budget).await
    }

    /// Waits until the node has looked at enough of this peer's messages.
    async fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = bytes.min(limits::PEER_INBOUND_BYTES_MAX);
        let bytes = u32::try_from(bytes).expect("the budget of a peer is below 4 GiB");
        self.budget.clone().acquire_many_owned(bytes).await.ok()
    }

    async fn deliver(
        &self,
        message: PeerMessage,
        budget: Option<OwnedSemaphorePermit>,
    ) -> Result<(), StreamEnd> {
        let from = self.peer;
        let events = &self.shared.events;
        match (self.lane, message) {
            (Lane::Consensus, message @ PeerMessage::Consensus(_)) => {
                events
                    .send_urgent(NetworkEvent::Message { from, message }, budget)
                    .await;
            }
            (Lane::Consensus, _) => {
                let text = "something else than consensus on the consensus stream";
                return Err(StreamEnd::Offence(text.to_owned()));
            }
            (Lane::Bulk, PeerMessage::Consensus(_)) => {
                let text = "a consensus message outside the consensus stream";
                return Err(StreamEnd::Offence(text.to_owned()));
            }
            (Lane::Bulk, PeerMessage::Hello(_)) => {
                return Err(StreamEnd::Offence("a second hello".to_owned()));
            }
            (Lane::Bulk, PeerMessage::Status(status)) => {
                check_status(&self.shared.gate.our_status(), &status)
                    .map_err(StreamEnd::Offence)?;
                self.shared.table().set_status(&from, status);
                events
                    .send_bulk(NetworkEvent::HeadAnnounced { from, status }, budget)
                    .await;
            }
            (Lane::Bulk, message) => {
                events
                    .send_bulk(NetworkEvent::Message { from, message }, budget)
                    .await;
            }
        }
        Ok(())
    }
}

async fn read_hello<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Hello, StreamEnd> {
    let frame = read_frame(stream, HELLO_BYTES_MAX).await?;
    match PeerMessage::decode(&frame) {
        Ok(PeerMessage::Hello(hello)) => Ok(hello),
        Ok(_) => Err(StreamEnd::Offence(
            "the first message is no hello".to_owned(),
        )),
        Err(error) => Err(StreamEnd::Offence(error.to_string())),
    }
}

/// Compares what both sides must agree on.
///
/// # Errors
/// A sentence with both values.
pub(crate) fn check_status(ours: &PeerStatus, theirs: &PeerStatus) -> Result<(), String> {
    if ours.protocol != theirs.protocol {
        let (theirs, ours) = (theirs.protocol, ours.protocol);
        return Err(format!(
            "it speaks protocol {theirs}, we speak {ours}: update the older node"
        ));
    }
    if ours.genesis != theirs.genesis {
        let (theirs, ours) = (wire_hash(theirs.genesis), wire_hash(ours.genesis));
        return Err(format!(
            "it is on another chain: its genesis is {theirs}, ours is {ours}"
        ));
    }
    Ok(())
}

fn wire_hash(hash: wire::HashBytes) -> alloy_primitives::B256 {
    hash.into()
}
