//! Catching up: certified blocks from whoever is ahead, several peers at once.
//!
//! Blocks are downloaded in ranges, in parallel, checked as they come and
//! imported in order by the driver, which executes each block and stands by it
//! that each certificate holds a full quorum. Signatures of transactions are
//! checked behind it, where a peer says who the senders are (`signatures`). A peer
//! that sends wrong blocks loses the connection; one that does not answer, or slower
//! than another that was asked after it, is left alone for a while, longer each
//! time, so that whoever boasts of blocks that it does not hand out holds nobody up.

mod download;
mod plan;
mod serve;
mod signatures;
mod unpacked_key;

pub(crate) use serve::serve;
pub(crate) use signatures::run as check_signatures;

use crate::{
    chain::Chain,
    driver::{DriverHandle, ImportError},
    links::Links,
    monitoring::believable_height,
};
use download::Outcome;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use medina_network::PeerInfo;
use medina_types::{
    Height, NodePublicKey,
    wire::{PeerMessage, SyncResponse},
};
use parking_lot::Mutex;
use plan::{Order, Plan, ReadyRange, Source};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::MissedTickBehavior,
};
use tracing::{debug, info, warn};

/// How long consensus may take to deliver the very next block before it is fetched.
pub(crate) const GRACE: Duration = Duration::from_millis(300);
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
    /// When it began, on the node's monotonic clock.
    pub(crate) started_ms: u64,
    /// Highest height that may be believed of what peers claim.
    pub(crate) target: Height,
}

impl SyncProgress {
    /// Blocks per second since this run began, `None` in its first moments.
    pub(crate) fn blocks_per_second(&self, head: Height, now_ms: u64) -> Option<f64> {
        let elapsed_ms = now_ms.saturating_sub(self.started_ms);
        let blocks = head.0.saturating_sub(self.started_at.0);
        (elapsed_ms > 0 && blocks > 0).then(|| blocks as f64 * 1e3 / elapsed_ms as f64)
    }
}

/// The task that catches up.
pub(crate) struct Sync {
    chain: Chain,
    driver: DriverHandle,
    links: Arc<dyn Links>,
    own_key: NodePublicKey,
    wanted: Arc<Notify>,
    progress: watch::Sender<Option<SyncProgress>>,
    /// Peers that did not answer last time.
    silent: Mutex<BTreeMap<NodePublicKey, Pause>>,
}

/// A peer is not asked before `until_ms`.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until_ms: u64,
    length_ms: u64,
}

/// A request for blocks has come a step further.
enum Step {
    Answered(SyncResponse),
    Done(Outcome),
}

/// A request that is under way, or whose answer is being checked.
type Download<'a> = BoxFuture<'a, (Order, Step)>;

/// Result of an import, with who sent the blocks.
type Imported = (NodePublicKey, Result<Height, ImportError>);

impl Sync {
    pub(crate) fn new(
        chain: Chain,
        driver: DriverHandle,
        links: Arc<dyn Links>,
        own_key: NodePublicKey,
        wanted: Arc<Notify>,
    ) -> (Self, watch::Receiver<Option<SyncProgress>>) {
        let (progress, seen) = watch::channel(None);
        (
            Self {
                chain,
                driver,
                links,
                own_key,
                wanted,
                progress,
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

    /// Peers ahead of us that may be asked.
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
        let last = silent.get(&peer);
        if last.is_some_and(|last| last.until_ms > now_ms) {
            // One pause for all requests that were under way at once.
            return;
        }
        let length_ms = last.map_or(PAUSE_MS, |last| (2 * last.length_ms).min(PAUSE_MS_MAX));
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
        let status = self.chain.status();
        let peers = self.links.peers().into_iter();
        let behind: Vec<_> = peers
            .filter(|peer| peer.status.height < status.height)
            .map(|peer| peer.key)
            .collect();
        if !behind.is_empty() {
            self.links.send_to_all(&behind, PeerMessage::Status(status));
        }
    }

    pub(crate) async fn catch_up(&self) {
        let before = self.chain.head().height;
        match self.target() {
            None => return,
            Some(best) if best == before.next() && self.is_validator() => {
                self.wait_for_consensus(before).await;
            }
            Some(_) => {}
        }
        while self.target().is_some() && self.sweep().await {}
        let head = self.chain.head().height;
        if head > before.next() {
            info!(from = before.0, to = head.0, "caught up with the peers");
        }
    }

    /// The highest height that a peer that may be asked claims, if above ours.
    fn target(&self) -> Option<Height> {
        let peers = self.peers_ahead().into_iter();
        peers.map(|peer| peer.status.height).max()
    }

    /// To followers nobody brings blocks: they fetch each as soon as it is announced.
    fn is_validator(&self) -> bool {
        let head = self.chain.head();
        head.context
            .validators
            .index_of_key(&self.own_key)
            .is_some()
    }

    async fn wait_for_consensus(&self, head: Height) {
        let mut height = self.chain.watch_height();
        // Time running out is the expected case: then the block is fetched.
        let _ = tokio::time::timeout(GRACE, height.wait_for(|height| *height > head)).await;
    }

    fn report_progress(&self, peers: &[PeerInfo]) {
        if peers.is_empty() {
            return;
        }
        let head = self.chain.head();
        let claimed = peers.iter().map(|peer| peer.status.height).collect();
        let target = believable_height(claimed, head.context.validators.faulty_max());
        self.progress.send_modify(|progress| {
            let fresh = SyncProgress {
                started_at: head.height,
                started_ms: self.chain.clock.now_ms(),
                target,
            };
            progress.get_or_insert(fresh).target = target;
        });
    }

    /// Downloads and imports until nobody has more; false when nothing could be
    /// imported.
    async fn sweep(&self) -> bool {
        let mut plan = Plan::new(self.chain.head().height.next());
        let mut downloads = FuturesUnordered::<Download<'_>>::new();
        let mut importing: OptionFuture<BoxFuture<'_, Imported>> = None.into();
        let mut is_importing = false;
        let mut has_imported = false;
        loop {
            let now_ms = self.chain.clock.now_ms();
            let peers = self.peers_ahead();
            self.report_progress(&peers);
            plan.skip_to(self.chain.head().height.next());
            for order in plan.orders(&sources(&peers), now_ms) {
                downloads.push(self.fetch(order).boxed());
            }
            if !is_importing && let Some(range) = plan.take_ready() {
                importing = Some(self.import(range).boxed()).into();
                is_importing = true;
            }
            if !is_importing && (downloads.is_empty() || plan.is_done()) {
                return has_imported;
            }
            tokio::select! {
                Some((peer, result)) = &mut importing, if is_importing => {
                    is_importing = false;
                    match result {
                        Ok(_) => has_imported = true,
                        Err(ImportError::Stopped) => return false,
                        Err(error) => {
                            self.send_away(peer, &error.to_string());
                            plan.distrust(peer, self.chain.head().height.next());
                        }
                    }
                }
                Some((order, step)) = downloads.next() => match step {
                    Step::Answered(response) => {
                        let now_ms = self.chain.clock.now_ms();
                        plan.on_answer(&order, download::size(&response), now_ms);
                        downloads.push(self.check(order, response).boxed());
                    }
                    Step::Done(outcome) => self.on_download(&mut plan, order, outcome),
                },
                () = sleep_until(plan.impatient_at_ms(), now_ms) => {}
            }
        }
    }

    async fn fetch(&self, order: Order) -> (Order, Step) {
        let fetched = download::fetch(self.links.as_ref(), order).await;
        (order, fetched.map_or_else(Step::Done, Step::Answered))
    }

    async fn check(&self, order: Order, response: SyncResponse) -> (Order, Step) {
        let peers = self.links.peers();
        let peer = peers.iter().find(|peer| peer.key == order.peer);
        let newest = peer.map(|peer| peer.status.height).unwrap_or_default();
        let outcome = download::check(&self.chain, newest, order, response).await;
        (order, Step::Done(outcome))
    }

    fn on_download(
        &self,
        plan: &mut Plan<crate::driver::ImportBlock>,
        order: Order,
        outcome: Outcome,
    ) {
        let peer = order.peer;
        match outcome {
            Outcome::Blocks { blocks, is_stingy } => {
                if is_stingy {
                    debug!(%peer, "a peer sent fewer blocks than it claims to have");
                    self.note_silence(peer);
                } else {
                    self.silent.lock().remove(&peer);
                }
                for slower in plan.on_blocks(order, blocks) {
                    debug!(peer = %slower, "a peer answers more slowly than others");
                    self.note_silence(slower);
                }
            }
            Outcome::Silent => {
                // A slow peer may be a validator whose votes we need: ask another, keep it.
                debug!(%peer, "a peer did not answer a request for blocks");
                self.note_silence(peer);
                plan.on_failure(order);
            }
            Outcome::Nothing => {
                let from = order.request.from;
                warn!(%peer, %from, "a peer hands out nothing from this height on; it may have pruned it (`history.keep_blocks`)");
                self.note_silence(peer);
                plan.on_failure(order);
            }
            Outcome::Gone => plan.on_failure(order),
            Outcome::Wrong(reason) => {
                self.send_away(peer, &reason);
                plan.on_failure(order);
                plan.distrust(peer, self.chain.head().height.next());
            }
        }
    }

    /// Several of its requests may be under way: one quarrel is enough.
    fn send_away(&self, peer: NodePublicKey, reason: &str) {
        if self.links.peers().iter().any(|other| other.key == peer) {
            self.links.disconnect(peer, reason);
        }
    }

    async fn import(&self, range: ReadyRange<crate::driver::ImportBlock>) -> Imported {
        debug!(from = %range.from, blocks = range.blocks.len(), "importing");
        (range.peer, self.driver.import(range.blocks).await)
    }
}

fn sources(peers: &[PeerInfo]) -> Vec<Source> {
    let source = |peer: &PeerInfo| Source {
        key: peer.key,
        height: peer.status.height,
    };
    peers.iter().map(source).collect()
}

async fn sleep_until(at_ms: Option<u64>, now_ms: u64) {
    match at_ms {
        // A little later than due, so that it is due when looked at.
        Some(at_ms) if at_ms > now_ms => {
            tokio::time::sleep(Duration::from_millis(at_ms - now_ms + 1)).await;
        }
        // Due, but there is nobody else to ask yet.
        Some(_) => tokio::time::sleep(GRACE).await,
        None => std::future::pending().await,
    }
}
