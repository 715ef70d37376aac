//! Transactions on their way into the pool and to the other nodes.
//!
//! A signature is checked once: here, on blocking threads, after the pool said
//! that it does not hold the hash yet. Whatever peers say about transactions
//! waits in one bounded queue, apart from their votes: it may be late or lost,
//! since peers announce what still waits.

use crate::{
    chain::{Chain, HeadAccounts},
    driver::DriverHandle,
};
use alloy_primitives::{B256, keccak256};
use medina_network::NetworkHandle;
use medina_pool::{AddOutcome, Origin, PoolError};
use medina_types::{
    NodePublicKey, RecoveredTransaction, TransactionDecodeError, limits, wire::PeerMessage,
};
use parking_lot::Mutex;
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::Instant,
};
use tracing::debug;

/// Transactions that wait for the next gossip message.
const OUTBOX_LENGTH: usize = 8192;
/// Messages of peers about transactions that wait; further ones are dropped.
const INBOX_LENGTH: usize = 1_024;
/// Messages of one peer among them, so that none crowds out the others.
const INBOX_PER_PEER: usize = 256;
/// Bytes of one peer's messages among them.
const INBOX_BYTES_PER_PEER: usize = 2 * limits::PEER_MESSAGE_BYTES_MAX;
/// Bytes of transactions handed out per request; what is missing then is
/// announced and asked for again.
const HANDED_OUT_BYTES_MAX: usize = limits::PEER_MESSAGE_BYTES_MAX;
/// New transactions that a slow subscriber may lag behind.
const PENDING_BUFFERED: usize = 8192;
/// Shortest time between two gossip messages of this node, when the last carried
/// one transaction.
const GOSSIP_PERIOD: Duration = Duration::from_millis(5);
/// The same in a flood: signatures of gossip messages, checked by every node for
/// every neighbour that passes them on, took a tenth of all nodes' time at 5 ms.
/// Still several messages fit between two blocks.
const FLOOD_PERIOD: Duration = Duration::from_millis(20);
/// Time between two announcements of what still waits in the pool.
const ANNOUNCE_PERIOD: Duration = Duration::from_secs(1);

/// Why a submitted transaction was refused; the text is geth's wording.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Decode(#[from] TransactionDecodeError),
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Entry of transactions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transactions {
    chain: Chain,
    driver: DriverHandle,
    network: NetworkHandle,
    outbox: mpsc::Sender<Vec<u8>>,
    inbox: mpsc::Sender<Received>,
    waiting: Arc<Mutex<BTreeMap<NodePublicKey, Waiting>>>,
    pending: broadcast::Sender<Arc<RecoveredTransaction>>,
}

/// What a peer says about transactions.
enum Word {
    /// Here they are, encoded.
    Transactions(Vec<Vec<u8>>),
    /// These wait in its pool.
    Announced(Vec<[u8; 32]>),
    /// It wants these.
    Requested(Vec<[u8; 32]>),
}

impl Word {
    fn bytes(&self) -> usize {
        match self {
            Self::Transactions(encoded) => encoded.iter().map(Vec::len).sum(),
            Self::Announced(hashes) | Self::Requested(hashes) => hashes.len() * 32,
        }
    }
}

/// Author of gossip that is no direct peer: anybody can make up such keys, so
/// they share one place and none is worth a quarrel.
const STRANGERS: NodePublicKey = NodePublicKey([0; 32]);

/// A peer's messages in the inbox.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    messages: usize,
    bytes: usize,
}

/// A peer's message on its way to be looked at.
pub(crate) struct Received {
    from: NodePublicKey,
    word: Word,
}

/// What the tasks of this module work on.
pub(crate) struct Queues {
    /// For [`run_gossip`].
    pub(crate) outbox: mpsc::Receiver<Vec<u8>>,
    /// For [`Transactions::run_received`].
    pub(crate) inbox: mpsc::Receiver<Received>,
}

impl Transactions {
    pub(crate) fn new(
        chain: Chain,
        driver: DriverHandle,
        network: NetworkHandle,
    ) -> (Self, Queues) {
        let (outbox, outgoing) = mpsc::channel(OUTBOX_LENGTH);
        let (inbox, incoming) = mpsc::channel(INBOX_LENGTH);
        let (pending, _) = broadcast::channel(PENDING_BUFFERED);
        let queues = Queues {
            outbox: outgoing,
            inbox: incoming,
        };
        (
            Self {
                chain,
                driver,
                network,
                outbox,
                inbox,
                waiting: Arc::default(),
                pending,
            },
            queues,
        )
    }

    /// Transactions as they enter the pool.
    pub(crate) fn subscribe_pending(&self) -> broadcast::Receiver<Arc<RecoveredTransaction>> {
        self.pending.subscribe()
    }

    /// Takes a transaction from a client of this node. Call on a blocking thread.
    pub(crate) fn submit(&self, bytes: &[u8]) -> Result<B256, SubmitError> {
        let hash = keccak256(bytes);
        if self.chain.pool.contains(&hash) {
            return Err(PoolError::AlreadyKnown.into());
        }
        if let Some(dev) = &self.chain.dev {
            dev.is_sent_again(&hash);
        }
        let outcome = self.add(self.chain.decode(bytes)?, Origin::Local)?;
        if let Some(dev) = &self.chain.dev {
            dev.spread(bytes);
        }
        // A full outbox only delays gossip: the pool is announced again and again.
        let _ = self.outbox.try_send(bytes.to_vec());
        Ok(outcome.hash)
    }

    /// Takes a transaction that another node of this process has taken.
    pub(crate) fn take(&self, bytes: &[u8]) -> Result<(), SubmitError> {
        if !self.chain.pool.contains(&keccak256(bytes)) {
            self.add(self.chain.decode(bytes)?, Origin::Peer)?;
        }
        Ok(())
    }

    fn add(
        &self,
        transaction: RecoveredTransaction,
        origin: Origin,
    ) -> Result<AddOutcome, PoolError> {
        let accounts = HeadAccounts(&self.chain.store);
        let now_ms = self.chain.clock.now_ms();
        let outcome = self
            .chain
            .pool
            .add(&accounts, transaction, now_ms, origin)?;
        // Asked after it was added: a drop takes it out before or is seen here.
        let dev = self.chain.dev.as_ref();
        if dev.is_some_and(|dev| dev.has_dropped(&outcome.hash)) {
            self.chain.pool.remove(&outcome.hash);
            return Err(PoolError::AlreadyKnown);
        }
        if let Some(transaction) = self.chain.pool.get(&outcome.hash) {
            // Nobody listening is no failure.
            let _ = self.pending.send(transaction);
        }
        if outcome.executable {
            self.driver.pool_changed();
        }
        Ok(outcome)
    }

    /// Takes transactions that a peer signed for, without making the caller wait.
    pub(crate) fn on_received(&self, from: NodePublicKey, encoded: Vec<Vec<u8>>) {
        self.on_word(from, Word::Transactions(encoded));
    }

    /// Takes hashes that wait in a peer's pool.
    pub(crate) fn on_announced(&self, from: NodePublicKey, hashes: Vec<[u8; 32]>) {
        self.on_word(from, Word::Announced(hashes));
    }

    /// Takes a peer's request for transactions.
    pub(crate) fn on_requested(&self, from: NodePublicKey, hashes: Vec<[u8; 32]>) {
        self.on_word(from, Word::Requested(hashes));
    }

    fn on_word(&self, from: NodePublicKey, word: Word) {
        let from = if self.network.is_connected(&from) {
            from
        } else {
            STRANGERS
        };
        let bytes = word.bytes();
        let is_taken = self.reserve(from, bytes) && {
            let is_queued = self.inbox.try_send(Received { from, word }).is_ok();
            if !is_queued {
                self.release(from, bytes);
            }
            is_queued
        };
        if !is_taken {
            debug!(%from, "too many transactions at once; they will be announced again");
        }
    }

    fn reserve(&self, from: NodePublicKey, bytes: usize) -> bool {
        let mut waiting = self.waiting.lock();
        let of_peer = waiting.entry(from).or_default();
        if of_peer.messages >= INBOX_PER_PEER || of_peer.bytes + bytes > INBOX_BYTES_PER_PEER {
            return false;
        }
        of_peer.messages += 1;
        of_peer.bytes += bytes;
        true
    }

    fn release(&self, from: NodePublicKey, bytes: usize) {
        let mut waiting = self.waiting.lock();
        if let Some(of_peer) = waiting.get_mut(&from) {
            of_peer.messages -= 1;
            of_peer.bytes -= bytes;
            if of_peer.messages == 0 {
                waiting.remove(&from);
            }
        }
    }

    /// Looks at what peers said; refused transactions are forgotten quietly,
    /// malformed ones cost the peer its connection.
    pub(crate) async fn run_received(
        self,
        mut inbox: mpsc::Receiver<Received>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let received = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                received = inbox.recv() => received,
            };
            let Some(Received { from, word }) = received else {
                return;
            };
            let (this, bytes) = (self.clone(), word.bytes());
            let result = tokio::task::spawn_blocking(move || this.look_at(from, word)).await;
            self.release(from, bytes);
            if from == STRANGERS {
                continue;
            }
            if let Ok(Err(error)) = result {
                self.network
                    .disconnect(from, &format!("sent a bad transaction: {error}"));
            }
        }
    }

    fn look_at(&self, from: NodePublicKey, word: Word) -> Result<(), TransactionDecodeError> {
        match word {
            Word::Transactions(encoded) => return self.add_received(encoded),
            Word::Announced(hashes) => self.ask_for_missing(from, &hashes),
            Word::Requested(hashes) => self.hand_out(from, &hashes),
        }
        Ok(())
    }

    fn add_received(&self, encoded: Vec<Vec<u8>>) -> Result<(), TransactionDecodeError> {
        let unknown: Vec<_> = encoded
            .into_iter()
            .filter(|bytes| !self.chain.pool.contains(&keccak256(bytes)))
            .collect();
        let decoded: Result<Vec<_>, _> = unknown
            .par_iter()
            .map(|bytes| self.chain.decode(bytes))
            .collect();
        for transaction in decoded? {
            let hash = transaction.hash();
            if let Err(error) = self.add(transaction, Origin::Peer) {
                debug!(%hash, %error, "refused a peer's transaction");
            }
        }
        Ok(())
    }

    /// Asks for announced transactions that we lack.
    fn ask_for_missing(&self, from: NodePublicKey, hashes: &[[u8; 32]]) {
        let hashes: Vec<_> = hashes.iter().map(|hash| B256::from(*hash)).collect();
        let missing: Vec<_> = self
            .chain
            .pool
            .missing(&hashes)
            .into_iter()
            .filter(|hash| !matches!(self.chain.store.transaction_location(*hash), Ok(Some(_))))
            .map(|hash| hash.0)
            .collect();
        if !missing.is_empty() {
            self.network
                .send(from, PeerMessage::GetTransactions(missing));
        }
    }

    /// Hands out waiting transactions, in messages of bounded size.
    fn hand_out(&self, from: NodePublicKey, hashes: &[[u8; 32]]) {
        let wanted: BTreeSet<_> = hashes.iter().map(|hash| B256::from(*hash)).collect();
        let found = wanted.iter().filter_map(|hash| self.chain.pool.get(hash));
        let encoded = up_to(HANDED_OUT_BYTES_MAX, found.map(|found| encode(&found)));
        for batch in batches(encoded) {
            self.network.send(from, PeerMessage::Transactions(batch));
        }
    }

    /// Announces the pool's content to one peer.
    pub(crate) fn announce_to(&self, peer: NodePublicKey) {
        let hashes = self.waiting_hashes();
        if !hashes.is_empty() {
            self.network.send(peer, PeerMessage::PoolHashes(hashes));
        }
    }

    fn waiting_hashes(&self) -> Vec<[u8; 32]> {
        let hashes = self.chain.pool.hashes(limits::ANNOUNCED_HASHES_MAX);
        hashes.into_iter().map(|hash| hash.0).collect()
    }

    /// Announces what still waits, until it is included.
    pub(crate) async fn run_announcements(self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(ANNOUNCE_PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = tick.tick() => {}
            }
            let hashes = self.waiting_hashes();
            if hashes.is_empty() {
                continue;
            }
            for peer in self.network.peers() {
                self.network
                    .send(peer.key, PeerMessage::PoolHashes(hashes.clone()));
            }
        }
    }
}

/// Gossips submitted transactions. A single one leaves at once; a flood travels
/// in one message per [`FLOOD_PERIOD`], since every message costs every node
/// that passes it on a signature check.
pub(crate) async fn run_gossip(
    network: NetworkHandle,
    mut outbox: mpsc::Receiver<Vec<u8>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut waiting = Vec::new();
    let mut not_before = Instant::now();
    loop {
        let count = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            count = outbox.recv_many(&mut waiting, OUTBOX_LENGTH) => count,
        };
        if count == 0 {
            return;
        }
        tokio::time::sleep_until(not_before).await;
        while waiting.len() < OUTBOX_LENGTH
            && let Ok(more) = outbox.try_recv()
        {
            waiting.push(more);
        }
        not_before = Instant::now() + period_after(waiting.len());
        network.broadcast_transactions(std::mem::take(&mut waiting));
    }
}

/// Time to wait behind a message with so many transactions.
const fn period_after(transactions: usize) -> Duration {
    if transactions > 1 {
        FLOOD_PERIOD
    } else {
        GOSSIP_PERIOD
    }
}

fn encode(transaction: &RecoveredTransaction) -> Vec<u8> {
    alloy_eips::eip2718::Encodable2718::encoded_2718(transaction.transaction())
}

/// The first items that together stay within a number of bytes.
fn up_to(
    mut bytes_left: usize,
    items: impl Iterator<Item = Vec<u8>>,
) -> impl Iterator<Item = Vec<u8>> {
    items.take_while(move |item| {
        let rest = bytes_left.checked_sub(item.len());
        bytes_left = rest.unwrap_or(0);
        rest.is_some()
    })
}

/// Groups encoded transactions into messages that stay below the gossip bound.
fn batches(encoded: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    // Room for the encoding's own length fields.
    let bytes_max = limits::GOSSIP_BYTES_MAX / 2;
    let mut batches: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut bytes = usize::MAX;
    for transaction in encoded {
        let length = transaction.len() + 4;
        match batches.last_mut() {
            Some(batch) if bytes.saturating_add(length) <= bytes_max => {
                bytes += length;
                batch.push(transaction);
            }
            _ => {
                bytes = length;
                batches.push(vec![transaction]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_order_and_stay_below_the_bound() {
        let encoded: Vec<_> = (0..40u8).map(|byte| vec![byte; 100_000]).collect();
        let batches = batches(encoded.clone().into_iter());
        assert!(batches.len() > 1);
        for batch in &batches {
            assert!(batch.iter().map(Vec::len).sum::<usize>() <= limits::GOSSIP_BYTES_MAX / 2);
        }
        assert_eq!(batches.concat(), encoded);
    }

    #[test]
    fn what_is_handed_out_at_once_is_bounded() {
        let items = || (0..5).map(|_| vec![0; 10]);
        assert_eq!(up_to(30, items()).count(), 3);
        assert_eq!(up_to(29, items()).count(), 2);
        assert_eq!(up_to(500, items()).count(), 5);
    }

    #[test]
    fn one_transaction_is_one_batch_and_none_is_none() {
        assert_eq!(batches(std::iter::once(vec![1])), vec![vec![vec![1]]]);
        assert!(batches(std::iter::empty()).is_empty());
    }
}
