//! Catching up: certified blocks from whoever is ahead, several peers at once.
//!
//! Blocks are downloaded in ranges, in parallel, and imported in order by the
//! driver, which checks each certificate at full quorum and executes each
//! block. A peer that sends wrong blocks or none loses the connection.

use crate::{
    chain::Chain,
    driver::{DriverHandle, ImportError},
};
use futures::{StreamExt as _, stream::FuturesOrdered};
use medina_network::{NetworkHandle, PeerInfo};
use medina_types::{
    Certificate, Height, NodePublicKey, SealedBlock, limits,
    wire::{CertifiedBlock, SyncRequest, SyncResponse},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

/// Ranges downloaded ahead of the import.
const RANGES_IN_FLIGHT: usize = 4;
/// How long consensus may take to deliver the very next block before it is fetched.
const GRACE: Duration = Duration::from_millis(300);
/// How often the peers' heights are looked at without being told to.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

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
    network: NetworkHandle,
    wanted: Arc<Notify>,
    progress: watch::Sender<Option<SyncProgress>>,
    /// Counts requests, so that every sweep begins with another peer.
    turn: std::sync::atomic::AtomicUsize,
}

struct Range {
    peer: NodePublicKey,
    request: SyncRequest,
    answer: Result<SyncResponse, medina_network::NetworkError>,
}

impl Sync {
    pub(crate) fn new(
        chain: Chain,
        driver: DriverHandle,
        network: NetworkHandle,
        wanted: Arc<Notify>,
    ) -> (Self, watch::Receiver<Option<SyncProgress>>) {
        let (progress, seen) = watch::channel(None);
        let turn = std::sync::atomic::AtomicUsize::new(0);
        (
            Self {
                chain,
                driver,
                network,
                wanted,
                progress,
                turn,
            },
            seen,
        )
    }

    /// Runs until told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(LOOK_PERIOD);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = tick.tick() => {}
                () = self.wanted.notified() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.catch_up() => {}
            }
            self.progress.send_replace(None);
        }
    }

    /// Peers ahead of us, the furthest first.
    fn peers_ahead(&self) -> Vec<PeerInfo> {
        let head = self.chain.head().height;
        let mut peers = self.network.peers();
        peers.retain(|peer| peer.status.height > head);
        peers.sort_by_key(|peer| std::cmp::Reverse(peer.status.height));
        peers
    }

    async fn catch_up(&self) {
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
        if imported_any && head.0 - before.0 > 1 {
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
                let request = self.range_from(next, target);
                let able: Vec<_> = peers
                    .iter()
                    .filter(|peer| peer.status.height >= next)
                    .collect();
                let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(peer) = able.get(turn % able.len().max(1)) else {
                    break;
                };
                next = Height(next.0 + request.count);
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

    fn range_from(&self, from: Height, target: Height) -> SyncRequest {
        let count = (target.0 + 1 - from.0).min(limits::SYNC_BLOCKS_MAX);
        SyncRequest { from, count }
    }

    async fn download(&self, peer: NodePublicKey, request: SyncRequest) -> Range {
        let answer = self.network.request_blocks(peer, request).await;
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
                return false;
            }
        };
        if blocks.is_empty() || blocks.len() as u64 > request.count {
            self.network
                .disconnect(peer, "sent another number of blocks than asked for");
            return false;
        }
        match self.import_blocks(blocks).await {
            Ok(_) => true,
            Err(ImportFailure::Peer(reason)) => {
                self.network.disconnect(peer, &reason);
                false
            }
            Err(ImportFailure::Stopping) => false,
        }
    }

    async fn import_blocks(&self, blocks: Vec<CertifiedBlock>) -> Result<Height, ImportFailure> {
        let decoded: Result<Vec<(SealedBlock, Certificate)>, _> = blocks
            .into_iter()
            .map(|certified| {
                SealedBlock::decode(&certified.block).map(|block| (block, certified.certificate))
            })
            .collect();
        let decoded = decoded.map_err(|error| ImportFailure::Peer(error.to_string()))?;
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
