//! What the network tells the node, in three queues: urgent before bulk before
//! private.

use crate::private::PrivateReply;
use medina_types::{
    NodePublicKey, limits,
    wire::{PeerMessage, PeerStatus, SyncRequest, SyncResponse},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Something that happened on a link.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A peer passed the gate and showed the same protocol and genesis. Also
    /// comes after a [`NetworkEvent::PeerDisconnected`] when one of two
    /// connections was lost: what was under way may be lost, repeat it.
    PeerConnected {
        /// Its key.
        key: NodePublicKey,
        /// Where its chain stands.
        status: PeerStatus,
    },
    /// The link is gone, and messages under way may be lost. Bulk messages
    /// received before may still follow.
    PeerDisconnected {
        /// Its key.
        key: NodePublicKey,
    },
    /// A direct message, never [`PeerMessage::Status`].
    Message {
        /// Who sent it.
        from: NodePublicKey,
        /// What it says.
        message: PeerMessage,
    },
    /// A peer asks for blocks; the count is within its bound.
    SyncRequested {
        /// Who asks.
        from: NodePublicKey,
        /// For what.
        request: SyncRequest,
        /// Takes the answer; dropped, the peer gets an error.
        reply: SyncReply,
    },
    /// A peer asks about a private group; the bytes are within their bound and
    /// otherwise unchecked.
    PrivateRequested {
        /// Who asks.
        from: NodePublicKey,
        /// What it says.
        bytes: Vec<u8>,
        /// Takes the answer; dropped, the peer gets an error.
        reply: PrivateReply,
    },
    /// Transactions from the gossip, each within its size, otherwise unchecked.
    Gossip {
        /// Who gossiped them first, proven by its signature; perhaps no direct
        /// peer of ours.
        from: NodePublicKey,
        /// EIP-2718 bytes.
        transactions: Vec<Vec<u8>>,
    },
    /// A node's head moved.
    HeadAnnounced {
        /// Whose head; perhaps no direct peer of ours.
        from: NodePublicKey,
        /// Where its chain stands.
        status: PeerStatus,
    },
}

/// Takes the answer to one block request.
#[derive(Debug)]
pub struct SyncReply(oneshot::Sender<SyncResponse>);

impl SyncReply {
    /// A reply and where its answer arrives.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<SyncResponse>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. A peer that is gone meanwhile is no error.
    pub fn send(self, response: SyncResponse) {
        let _ = self.0.send(response);
    }
}

/// An event and the bytes it holds of its sender's budget until it is taken.
pub(crate) struct Queued {
    event: NetworkEvent,
    _budget: Option<OwnedSemaphorePermit>,
}

/// Receiving end of the events.
pub struct NetworkEvents {
    urgent: mpsc::Receiver<Queued>,
    bulk: mpsc::Receiver<Queued>,
    private: mpsc::Receiver<Queued>,
}

impl NetworkEvents {
    /// The next event: connections and consensus first, private requests last. `None` once the network
    /// stopped and its last handle is gone. Safe to cancel.
    pub async fn recv(&mut self) -> Option<NetworkEvent> {
        tokio::select! {
            biased;
            Some(queued) = self.urgent.recv() => Some(queued.event),
            Some(queued) = self.bulk.recv() => Some(queued.event),
            Some(queued) = self.private.recv() => Some(queued.event),
            else => None,
        }
    }

    /// The next event if one waits.
    pub fn try_recv(&mut self) -> Option<NetworkEvent> {
        let queued = self
            .urgent
            .try_recv()
            .or_else(|_| self.bulk.try_recv())
            .or_else(|_| self.private.try_recv())
            .ok()?;
        Some(queued.event)
    }
}

/// Sending end of the events.
#[derive(Clone)]
pub(crate) struct EventSender {
    urgent: mpsc::Sender<Queued>,
    bulk: mpsc::Sender<Queued>,
    private: mpsc::Sender<Queued>,
}

/// Both ends.
pub(crate) fn channel() -> (EventSender, NetworkEvents) {
    let (urgent, urgent_receiver) = mpsc::channel(limits::NETWORK_EVENTS_MAX);
    let (bulk, bulk_receiver) = mpsc::channel(limits::NETWORK_EVENTS_MAX);
    let (private, private_receiver) = mpsc::channel(limits::PRIVATE_REQUESTS_WAITING_MAX);
    (
        EventSender {
            urgent,
            bulk,
            private,
        },
        NetworkEvents {
            urgent: urgent_receiver,
            bulk: bulk_receiver,
            private: private_receiver,
        },
    )
}

impl EventSender {
    /// Waits for room; nobody listening any more is no error, we are stopping.
    pub(crate) async fn send_urgent(
        &self,
        event: NetworkEvent,
        budget: Option<OwnedSemaphorePermit>,
    ) {
        let _ = self
            .urgent
            .send(Queued {
                event,
                _budget: budget,
            })
            .await;
    }

    /// Waits for room behind all urgent events.
    pub(crate) async fn send_bulk(
        &self,
        event: NetworkEvent,
        budget: Option<OwnedSemaphorePermit>,
    ) {
        let _ = self
            .bulk
            .send(Queued {
                event,
                _budget: budget,
            })
            .await;
    }

    /// Drops the event when there is no room: for gossip and requests only,
    /// which the swarm's task hands over and must not wait for.
    pub(crate) fn offer_bulk(&self, event: NetworkEvent) -> bool {
        offer(&self.bulk, event)
    }

    /// As [`Self::offer_bulk`], for private requests.
    pub(crate) fn offer_private(&self, event: NetworkEvent) -> bool {
        offer(&self.private, event)
    }
}

fn offer(queue: &mpsc::Sender<Queued>, event: NetworkEvent) -> bool {
    let queued = Queued {
        event,
        _budget: None,
    };
    let is_offered = queue.try_send(queued).is_ok();
    if !is_offered {
        metrics::counter!("medina_network_events_dropped_total").increment(1);
    }
    is_offered
}
