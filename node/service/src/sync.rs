//! Catching up: certified blocks from whoever is ahead, several peers at once.
//!
//! Blocks are downloaded in ranges, in parallel, and imported in order by the
//! driver, which checks each certificate at full quorum and executes each
//! block. A peer that sends wrong blocks or none loses the connection; one that
//! does not answer is left alone for a while, longer each time, so that whoever
//! boasts of blocks that it does not hand out holds nobody up.

use crate::{
    chain::Chain,
    driver::{DriverHandle, ImportError},
    links::Links,
};
use futures::{StreamExt as _, stream::FuturesOrdered};
use medina_network::{NetworkError, PeerInfo};
use medina_types::{
    Certificate, Height, NodePublicKey, SealedBlock, limits,
    wire::{CertifiedBlock, PeerMessage, PeerStatus, SyncRequest, SyncResponse},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::MissedTickBehavior,
};
use tracing::{debug, info, warn};

/// Ranges downloaded ahead of the import.
const RANGES_IN_FLIGHT: usize = 4;
/// How long consensus may take to deliver the very next block before it is fetched.
const GRACE: Duration = Duration::from_millis(300);
/// How often the peers' heights are looked at without being told to.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// How long a peer that did not answer is not asked again; doubles each time.
const PAUSE_MS: u64 = 2_000;
/// Longest such pause.
const PAUSE_MS_MAX: u64 = 10 * 60 * 1_000;

/// Progress of catching up, for status answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyncProgress {
    /// Height at which this run of catching up began.
    pub(crate) started_at: Height,
    /// Highest height that a peer claims.
    pub(crate) target: Height,
}

/// The task that catches up.
pub(crate) struct Sync {
    chain: Chain,
    driver: DriverHandle,
    links: Arc<dyn Links>,
    wanted: Arc<Notify>,
    progress: watch::Sender<Option<SyncProgress>>,
    /// Counts requests, so that every sweep begins with another peer.
    turn: AtomicUsize,
    /// Peers that did not answer last time.
    silent: Mutex<BTreeMap<NodePublicKey, Pause>>,
}

/// A peer is not asked before `until_ms`.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until_ms: u64,
    length_ms: u64,
}

struct Range {
    peer: NodePublicKey,
    request: SyncRequest,
    answer: Result<SyncResponse, NetworkError>,
}

impl Sync {
    pub(crate) fn new(
        chain: Chain,
        driver: DriverHandle,
        links: Arc<dyn Links>,
        wanted: Arc<Notify>,
    ) -> (Self, watch::Receiver<Option<SyncProgress>>) {
        let (progress, seen) = watch::channel(None);
        (
            Self {
                chain,
                driver,
                links,
                wanted,
                progress,
                turn: AtomicUsize::new(0),
                silent: Mutex::default(),
            },
            seen,
        )
    }

    /// Runs until told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(LOOK_PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = tick.tick() => self.tell_those_behind(),
                () = self.wanted.notified() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.catch_up() => {}
            }
            self.progress.send_replace(None);
        }
    }

    /// Peers ahead of us that may be asked, the furthest first.
    fn peers_ahead(&self) -> Vec<PeerInfo> {
        let head = self.chain.head().height;
        let now_ms = self.chain.clock.now_ms();
        let mut peers = self.links.peers();
        self.forget_absent(&peers);
        let silent = self.silent.lock();
        let may_ask = |peer: &PeerInfo| {
            let pause = silent.get(&peer.key);
            pause.is_none_or(|pause| pause.until_ms <= now_ms)
        };
        peers.retain(|peer| peer.status.height > head && may_ask(peer));
        peers.sort_by_key(|peer| std::cmp::Reverse(peer.status.height));
        peers
    }

    /// A peer that comes back starts afresh, once its pause is over.
    fn forget_absent(&self, peers: &[PeerInfo]) {
        let now_ms = self.chain.clock.now_ms();
        let is_here = |key: &NodePublicKey| peers.iter().any(|peer| peer.key == *key);
        self.silent
            .lock()
            .retain(|key, pause| pause.until_ms > now_ms || is_here(key));
    }

    fn note_silence(&self, peer: NodePublicKey) {
        let now_ms = self.chain.clock.now_ms();
        let mut silent = self.silent.lock();
        let last = silent.get(&peer).map(|pause| pause.length_ms);
        let length_ms = last.map_or(PAUSE_MS, |last| (2 * last).min(PAUSE_MS_MAX));
        let until_ms = now_ms.saturating_add(length_ms);
        silent.insert(
            peer,
            Pause {
                until_ms,
                length_ms,
            },
        );
    }

    /// Announcements are gossip and may be lost, the last one before a quiet
    /// time for good: says our head again to whom it is news.
    pub(crate) fn tell_those_behind(&self) {
        let head = self.chain.head();
        let peers = self.links.peers().into_iter();
        let behind: Vec<_> = peers
            .filter(|peer| peer.status.height < head.height)
            .map(|peer| peer.key)
            .collect();
        if !behind.is_empty() {
            let genesis = self.chain.spec.genesis_hash;
            let status = PeerStatus::new(genesis, head.height, head.hash);
            self.links.send_to_all(&behind, PeerMessage::Status(status));
        }
    }

    pub(crate) async fn catch_up(&self) {
        let before = self.chain.head().height;
        match self.peers_ahead().first() {
            None => return,
            Some(best) if best.status.height == before.next() => {
                self.wait_for_consensus(before).await
            }
            Some(_) => {}
        }
        let mut imported_any = false;
        while let Some(best) = self.peers_ahead().first().map(|peer| peer.status.height) {
            let from = self.chain.head().height;
            let started_at = self
                .progress
                .borrow()
                .map_or(from, |progress| progress.started_at);
            self.progress.send_replace(Some(SyncProgress {
                started_at,
                target: best,
            }));
            if !self.fetch_and_import().await {
                break;
            }
            imported_any = true;
        }
        let head = self.chain.head().height;
        if imported_any && head > before.next() {
            info!(from = before.0, to = head.0, "caught up with the peers");
        }
    }

    async fn wait_for_consensus(&self, head: Height) {
        let mut height = self.chain.watch_height();
        // Time running out is the expected case: then the block is fetched.
        let _ = tokio::time::timeout(GRACE, height.wait_for(|height| *height > head)).await;
    }

    /// One sweep over the missing ranges; false when nothing could be imported.
    async fn fetch_and_import(&self) -> bool {
        let peers = self.peers_ahead();
        let Some(target) = peers.first().map(|peer| peer.status.height) else {
            return false;
        };
        let mut next = self.chain.head().height.next();
        let mut ranges = FuturesOrdered::new();
        let mut imported = false;
        loop {
            while ranges.len() < RANGES_IN_FLIGHT && next <= target {
                let request = range_from(next, target);
                let able: Vec<_> = peers
                    .iter()
                    .filter(|peer| peer.status.height >= next)
                    .collect();
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let Some(peer) = able.get(turn % able.len().max(1)) else {
                    break;
                };
                next = Height(next.0.saturating_add(request.count));
                ranges.push_back(self.download(peer.key, request));
            }
            let Some(range) = ranges.next().await else {
                return imported;
            };
            let complete = range
                .answer
                .as_ref()
                .is_ok_and(|answer| answer.blocks.len() as u64 == range.request.count);
            if !self.import(range).await {
                return imported;
            }
            imported = true;
            if !complete {
                // Later ranges would leave a gap: start again from the new head.
                return true;
            }
        }
    }

    async fn download(&self, peer: NodePublicKey, request: SyncRequest) -> Range {
        let answer = self.links.request_blocks(peer, request).await;
        Range {
            peer,
            request,
            answer,
        }
    }

    /// Imports one downloaded range; false when it was of no use.
    async fn import(&self, range: Range) -> bool {
        let Range {
            peer,
            request,
            answer,
        } = range;
        let blocks = match answer {
            Ok(response) => response.blocks,
            Err(error) => {
                // A slow peer may be a validator whose votes we need: ask another, keep it.
                debug!(%peer, %error, "a peer did not answer a request for blocks");
                if matches!(error, NetworkError::RequestFailed { .. }) {
                    self.note_silence(peer);
                }
                return false;
            }
        };
        self.silent.lock().remove(&peer);
        if blocks.is_empty() || blocks.len() as u64 > request.count {
            self.links
                .disconnect(peer, "sent another number of blocks than asked for");
            return false;
        }
        match self.import_blocks(request.from, blocks).await {
            Ok(_) => true,
            Err(ImportFailure::Peer(reason)) => {
                self.links.disconnect(peer, &reason);
                false
            }
            Err(ImportFailure::Stopping) => false,
        }
    }

    async fn import_blocks(
        &self,
        from: Height,
        blocks: Vec<CertifiedBlock>,
    ) -> Result<Height, ImportFailure> {
        let decoded: Result<Vec<(SealedBlock, Certificate)>, _> = blocks
            .into_iter()
            .map(|certified| {
                SealedBlock::decode(&certified.block).map(|block| (block, certified.certificate))
            })
            .collect();
        let decoded = decoded.map_err(|error| ImportFailure::Peer(error.to_string()))?;
        // Blocks that we have are skipped by the import, so old ones in place of
        // those asked for would look like progress for ever.
        let heights = (from.0..).map(Height);
        if decoded
            .iter()
            .zip(heights)
            .any(|((block, _), height)| block.height() != height)
        {
            let reason = "sent other blocks than asked for".to_owned();
            return Err(ImportFailure::Peer(reason));
        }
        self.driver
            .import(decoded)
            .await
            .map_err(|error| match error {
                ImportError::Stopped => ImportFailure::Stopping,
                other => ImportFailure::Peer(other.to_string()),
            })
    }
}

enum ImportFailure {
    Peer(String),
    Stopping,
}

fn range_from(from: Height, target: Height) -> SyncRequest {
    let missing = target.0.saturating_sub(from.0).saturating_add(1);
    let count = missing.min(limits::SYNC_BLOCKS_MAX);
    SyncRequest { from, count }
}

/// Answers a peer that catches up. Call on a blocking thread.
pub(crate) fn serve(chain: &Chain, request: SyncRequest) -> SyncResponse {
    let count = request.count.min(limits::SYNC_BLOCKS_MAX);
    let mut response = SyncResponse::default();
    let mut bytes = 0;
    for height in (request.from.0..request.from.0.saturating_add(count)).map(Height) {
        let Some(certified) = certified_block(chain, height) else {
            break;
        };
        bytes += certified.block.len();
        if bytes > limits::SYNC_RESPONSE_BYTES_MAX && !response.blocks.is_empty() {
            break;
        }
        response.blocks.push(certified);
    }
    response
}

fn certified_block(chain: &Chain, height: Height) -> Option<CertifiedBlock> {
    let found = chain.store.block_by_number(height).and_then(|block| {
        let certificate = chain.store.certificate(height)?;
        Ok(block.zip(certificate))
    });
    match found {
        Ok(found) => found.map(|(block, certificate)| CertifiedBlock {
            block: block.sealed.encode().to_vec(),
            certificate,
        }),
        Err(error) => {
            warn!(%height, %error, "cannot read a block that a peer asked for");
            None
        }
    }
}
