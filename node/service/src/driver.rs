//! The consensus driver: feeds facts to the engine and turns its orders into deeds.
//!
//! One task per node owns the engine and is the only writer of the chain, so
//! that blocks decided here and blocks imported by sync never race. Orders are
//! carried out in the order given: a record is on disk before the vote that it
//! allows leaves. Blocks are built and executed on blocking threads; their
//! results come back as facts.

mod committing;
mod importing;
mod jobs;
mod rolling_back;

pub(crate) use importing::{ImportBlock, ImportError, ImportResult, KnownSenders};
pub(crate) use rolling_back::{EngineMaker, RollBack};

use jobs::Completion;

use crate::{chain::Chain, clock::ClockWatch, fatal::Fatal, links::Links};
use alloy_primitives::B256;
use medina_consensus::{Engine, EngineStatus, Input, Output, Timer};
use medina_execution::ExecutedBlock;
use medina_types::{NodePublicKey, ValidatorSet, wire::PeerMessage};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{debug, warn};

/// Facts that wait for the driver; when full, senders wait, and so do peers.
const INBOX_LENGTH: usize = 1024;
/// Results of build and check jobs on their way back.
const COMPLETIONS_LENGTH: usize = 64;

/// Something for the driver.
pub(crate) enum DriverInput {
    /// A fact for the engine.
    Fact(Input),
    /// Certified blocks that follow the head, from sync.
    Import {
        blocks: Vec<ImportBlock>,
        reply: oneshot::Sender<ImportResult>,
    },
    /// Back to an earlier block, on a development network.
    RollBack(RollBack, oneshot::Sender<()>),
}

/// What was written since the last synced write. Blocks imported in bulk may wait
/// for a while: a crash loses the last of them, and they are fetched again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Unsynced {
    #[default]
    Nothing,
    Blocks,
    /// The record too: before anything leaves, it must be on the disk.
    Record,
}

/// How other tasks reach the driver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DriverHandle {
    inbox: mpsc::Sender<DriverInput>,
    work: Arc<Notify>,
}

impl DriverHandle {
    /// Hands over a fact, waiting while the driver is busy.
    pub(crate) async fn fact(&self, input: Input) {
        // A closed inbox means that the node is stopping.
        let _ = self.inbox.send(DriverInput::Fact(input)).await;
    }

    /// Says that the pool changed.
    pub(crate) fn pool_changed(&self) {
        self.work.notify_one();
    }

    /// Imports certified blocks that follow the head.
    pub(crate) async fn import(&self, blocks: Vec<ImportBlock>) -> ImportResult {
        let (reply, answer) = oneshot::channel();
        let input = DriverInput::Import { blocks, reply };
        self.inbox
            .send(input)
            .await
            .map_err(|_| ImportError::Stopped)?;
        answer.await.map_err(|_| ImportError::Stopped)?
    }
}

/// The task's own data.
pub(crate) struct Driver {
    chain: Chain,
    engine: Box<dyn Engine>,
    links: Arc<dyn Links>,
    own_key: NodePublicKey,
    /// Validators of the next height, as the engine knows them.
    validators: Arc<ValidatorSet>,
    stop: watch::Receiver<bool>,
    status: watch::Sender<EngineStatus>,
    sync_wanted: Arc<Notify>,
    inbox: mpsc::Receiver<DriverInput>,
    work: Arc<Notify>,
    completions: mpsc::Receiver<Completion>,
    completed: mpsc::Sender<Completion>,
    timers: BTreeMap<Timer, u64>,
    executed: BTreeMap<B256, Box<ExecutedBlock>>,
    orders: VecDeque<Output>,
    work_waiting: bool,
    work_at_ms: Option<u64>,
    last_disk_sync_ms: u64,
    /// What is written but perhaps not on the disk yet.
    unsynced: Unsynced,
    last_commit_ms: u64,
    clock_watch: ClockWatch,
    /// Makes engines that go on from an earlier block, on a development network.
    engine_maker: Option<EngineMaker>,
}

impl Driver {
    pub(crate) fn new(
        chain: Chain,
        engine: Box<dyn Engine>,
        links: Arc<dyn Links>,
        own_key: NodePublicKey,
        sync_wanted: Arc<Notify>,
        stop: watch::Receiver<bool>,
    ) -> (Self, DriverHandle, watch::Receiver<EngineStatus>) {
        let (sender, inbox) = mpsc::channel(INBOX_LENGTH);
        let (completed, completions) = mpsc::channel(COMPLETIONS_LENGTH);
        let (status, status_seen) = watch::channel(engine.status());
        let work = Arc::new(Notify::new());
        let handle = DriverHandle {
            inbox: sender,
            work: work.clone(),
        };
        let validators = Arc::new(chain.head().context.validators.clone());
        let driver = Self {
            validators,
            chain,
            engine,
            links,
            own_key,
            stop,
            status,
            sync_wanted,
            inbox,
            work,
            completions,
            completed,
            timers: BTreeMap::new(),
            executed: BTreeMap::new(),
            orders: VecDeque::new(),
            work_waiting: false,
            work_at_ms: None,
            last_disk_sync_ms: 0,
            unsynced: Unsynced::default(),
            last_commit_ms: 0,
            clock_watch: ClockWatch::default(),
            engine_maker: None,
        };
        (driver, handle, status_seen)
    }

    /// Runs until told to stop or until the node cannot go on.
    pub(crate) async fn run(mut self) -> Result<(), Fatal> {
        let mut stop = self.stop.clone();
        let now_ms = self.chain.clock.now_ms();
        self.feed(Input::Started { now_ms })?;
        self.look_for_work()?;
        loop {
            let wake = self.sleep_until_timer();
            tokio::select! {
                biased;
                // Nothing of the watch is held while an order is carried out.
                _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => break,
                Some(completion) = self.completions.recv() => self.on_completion(completion)?,
                () = wake => self.on_timers()?,
                () = self.work.notified() => self.look_for_work()?,
                input = self.inbox.recv() => match input {
                    Some(DriverInput::RollBack(order, done)) => self.roll_back(order, done).await?,
                    Some(input) => self.on_input(input)?,
                    None => break,
                },
            }
        }
        self.chain.store.flush().map_err(Fatal::from)
    }

    fn sleep_until_timer(&self) -> impl Future<Output = ()> + use<> {
        let others = self.work_at_ms.into_iter().chain(self.disk_sync_at_ms());
        let next = self.timers.values().copied().chain(others).min();
        let now_ms = self.chain.clock.now_ms();
        async move {
            match next {
                Some(due) => {
                    tokio::time::sleep(Duration::from_millis(due.saturating_sub(now_ms))).await
                }
                None => std::future::pending().await,
            }
        }
    }

    fn on_timers(&mut self) -> Result<(), Fatal> {
        let now_ms = self.chain.clock.now_ms();
        let due: Vec<_> = self
            .timers
            .iter()
            .filter(|(_, at)| **at <= now_ms)
            .map(|(timer, _)| *timer)
            .collect();
        for timer in due {
            self.timers.remove(&timer);
            self.feed(Input::TimerFired { timer })?;
        }
        if self.work_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.look_for_work()?;
        }
        if self.disk_sync_at_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            tokio::task::block_in_place(|| self.sync_disk())?;
        }
        Ok(())
    }

    fn look_for_work(&mut self) -> Result<(), Fatal> {
        let waiting = self.is_work_waiting();
        if waiting == self.work_waiting {
            return Ok(());
        }
        self.work_waiting = waiting;
        self.feed(Input::WorkWaiting { waiting })
    }

    /// Whether the pool offers something now; if it will later, remembers when.
    fn is_work_waiting(&mut self) -> bool {
        let now_ms = self.chain.clock.now_ms();
        let at_ms = self.chain.work_at_ms();
        self.work_at_ms = at_ms.filter(|at_ms| *at_ms > now_ms);
        at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    fn on_input(&mut self, input: DriverInput) -> Result<(), Fatal> {
        match input {
            DriverInput::Fact(fact) => match self.of_this_epoch(fact) {
                Some(fact) => self.feed(fact),
                None => Ok(()),
            },
            DriverInput::RollBack(..) => Ok(()),
            DriverInput::Import { blocks, reply } => {
                let blocks = self.not_undone(blocks);
                let result = self.import(blocks)?;
                // The asker may have stopped waiting; the blocks stay imported.
                let _ = reply.send(result);
                Ok(())
            }
        }
    }

    /// Feeds one fact and carries out every order that follows from it.
    fn feed(&mut self, input: Input) -> Result<(), Fatal> {
        let now_ms = self.chain.clock.now_ms();
        self.orders.extend(self.engine.handle(now_ms, input));
        while let Some(order) = self.orders.pop_front() {
            self.carry_out(order)?;
        }
        self.status.send_replace(self.engine.status());
        Ok(())
    }

    fn carry_out(&mut self, order: Output) -> Result<(), Fatal> {
        match order {
            Output::Persist { .. } if self.is_persisted_again() => {}
            Output::Persist { record } => self.persist(&record)?,
            // A message without a link is lost; the engine repeats itself.
            Output::Send { to, bytes } => {
                self.sync_record()?;
                let bytes = self.with_epoch(bytes);
                self.links.send_to_all(&[to], PeerMessage::Consensus(bytes));
            }
            Output::Broadcast { bytes } => {
                self.sync_record()?;
                let bytes = self.with_epoch(bytes);
                self.broadcast(bytes);
            }
            Output::SetTimer { timer, after } => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                let due_ms = self.chain.clock.now_ms().saturating_add(after_ms);
                self.timers.insert(timer, due_ms);
            }
            Output::CancelTimer { timer } => {
                self.timers.remove(&timer);
            }
            Output::Build {
                height,
                round,
                parent,
            } => self.build(height, round, parent),
            Output::Check { block, fresh } => self.check(block, fresh),
            Output::CheckDecided { block } => self.check_decided(block),
            Output::Commit {
                block,
                certificate,
                record,
            } => self.commit(&block, &certificate, record)?,
            Output::Certify {
                height,
                certificate,
            } => {
                let certify = || self.chain.certify(height, &certificate);
                if tokio::task::block_in_place(certify)? {
                    self.announce();
                }
            }
            Output::EntryRefused { index, reason } => {
                metrics::counter!("medina_consensus_entries_refused_total").increment(1);
                warn!(
                    index,
                    reason, "skipped an entry of the log that no node can apply"
                );
            }
            Output::SyncNeeded { from, height } => {
                debug!(%from, %height, "a peer is ahead");
                self.sync_wanted.notify_one();
            }
            Output::PeerMisbehaved { peer, reason } => {
                self.links.disconnect(peer, &reason);
            }
        }
        Ok(())
    }

    /// Whether another record comes before anything can leave that this one allows:
    /// blocks imported in bulk would else sync the disk for every height passed.
    fn is_persisted_again(&self) -> bool {
        let leads_nowhere = |order: &&Output| {
            matches!(
                order,
                Output::SetTimer { .. } | Output::CancelTimer { .. } | Output::SyncNeeded { .. }
            )
        };
        let next = self.orders.iter().find(|order| !leads_nowhere(order));
        matches!(next, Some(Output::Persist { .. }))
    }

    fn broadcast(&self, bytes: Vec<u8>) {
        let head = self.chain.head();
        let validators = head
            .context
            .validators
            .validators()
            .iter()
            .map(|validator| validator.key);
        let others: Vec<_> = validators.filter(|key| *key != self.own_key).collect();
        self.links
            .send_to_all(&others, PeerMessage::Consensus(bytes));
    }
}
