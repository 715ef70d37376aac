//! What peers say, handed to whom it concerns.

use crate::{
    chain::Chain, driver::DriverHandle, private::PrivateHandle, sync, transactions::Transactions,
};
use medina_consensus::Input;
use medina_network::{NetworkEvent, NetworkEvents};
use medina_types::{ConsensusEngine, Height, NodePublicKey, wire::PeerMessage};
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore, watch};
use tracing::info;

/// Requests for blocks that are answered at the same time.
const SYNC_ANSWERS_AT_ONCE: usize = 8;

/// Hands network events on.
pub(crate) struct Peers {
    pub(crate) chain: Chain,
    pub(crate) driver: DriverHandle,
    pub(crate) transactions: Transactions,
    pub(crate) sync_wanted: Arc<Notify>,
    /// Where private requests go; without it they get no answer.
    pub(crate) private: Option<PrivateHandle>,
}

impl Peers {
    /// Runs until the network or the node stops.
    pub(crate) async fn run(self, mut events: NetworkEvents, mut stop: watch::Receiver<bool>) {
        let answers = Arc::new(Semaphore::new(SYNC_ANSWERS_AT_ONCE));
        loop {
            let event = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                event = events.recv() => event,
            };
            match event {
                Some(event) => self.on_event(event, &answers).await,
                None => return,
            }
        }
    }

    async fn on_event(&self, event: NetworkEvent, answers: &Arc<Semaphore>) {
        match event {
            NetworkEvent::PeerConnected { key, status } => {
                info!(peer = %key, height = %status.height, "peer connected");
                self.transactions.announce_to(key);
                if self.is_raft() || self.counts_for_consensus(status.height) {
                    self.driver.fact(Input::PeerConnected { peer: key }).await;
                }
                self.sync_wanted.notify_one();
                if let Some(private) = &self.private {
                    private.on_peer(&key);
                }
            }
            NetworkEvent::PrivateRequested { from, bytes, reply } => {
                if let Some(private) = &self.private {
                    private.on_question(from, bytes, reply);
                }
            }
            NetworkEvent::PeerDisconnected { key } => {
                info!(peer = %key, "peer disconnected");
                self.driver
                    .fact(Input::PeerDisconnected { peer: key })
                    .await;
            }
            NetworkEvent::Message { from, message } => self.on_message(from, message).await,
            NetworkEvent::Gossip { from, transactions } => {
                self.transactions.on_received(from, transactions);
            }
            NetworkEvent::HeadAnnounced { status, .. } => {
                if status.height > self.chain.head().height {
                    self.sync_wanted.notify_one();
                }
            }
            NetworkEvent::SyncRequested { request, reply, .. } => {
                let (chain, answers) = (self.chain.clone(), answers.clone());
                tokio::spawn(async move {
                    let Ok(_permit) = answers.acquire_owned().await else {
                        return;
                    };
                    let answer = tokio::task::spawn_blocking(move || sync::serve(&chain, request));
                    if let Ok(response) = answer.await {
                        reply.send(response);
                    }
                });
            }
        }
    }

    fn is_raft(&self) -> bool {
        self.chain.spec.consensus.engine == ConsensusEngine::Raft
    }

    /// With QBFT a node at genesis may vote once it sees a quorum that is at genesis too;
    /// a peer with blocks proves that the chain is not fresh and that this node
    /// has lost its data, so it must not help to form that quorum.
    fn counts_for_consensus(&self, height: Height) -> bool {
        self.chain.head().height > Height::GENESIS || height == Height::GENESIS
    }

    async fn on_message(&self, from: NodePublicKey, message: PeerMessage) {
        match message {
            PeerMessage::Consensus(bytes) => {
                let head = self.chain.head();
                let validators = &head.context.validators;
                // A Raft group and the validators of our head differ for moments,
                // and a node that lost its disk asks to come back: the engine knows.
                if self.is_raft() || validators.index_of_key(&from).is_some() {
                    self.driver
                        .fact(Input::MessageReceived { from, bytes })
                        .await;
                }
            }
            PeerMessage::Transactions(encoded) => {
                self.transactions.on_received(from, encoded);
            }
            PeerMessage::PoolHashes(hashes) => self.transactions.on_announced(from, hashes),
            PeerMessage::GetTransactions(hashes) => self.transactions.on_requested(from, hashes),
            // The network keeps statuses itself.
            PeerMessage::Hello(_) | PeerMessage::Status(_) => {}
        }
    }
}
