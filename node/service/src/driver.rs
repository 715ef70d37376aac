//! The consensus driver: feeds facts to the engine and turns its orders into deeds.
//!
//! One task per node owns the engine and is the only writer of the chain, so
//! that blocks decided here and blocks imported by sync never race. Orders are
//! carried out in the order given: a record is on disk before the vote that it
//! allows leaves. Blocks are built and executed on blocking threads; their
//! results come back as facts.

mod importing;

pub(crate) use importing::{ImportBlock, ImportError, ImportResult};

use crate::{
    blocks::{self, Refusal},
    chain::Chain,
    clock::{ClockWatch, Doubt},
    fatal::Fatal,
    links::Links,
};
use alloy_primitives::B256;
use medina_consensus::{Engine, EngineStatus, HeadInfo, Input, Output, Timer};
use medina_execution::ExecutedBlock;
use medina_storage::{Head, SyncMode};
use medina_types::{
    Certificate, Height, NodePublicKey, Round, SealedBlock, ValidatorSet, wire::PeerMessage,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{debug, error, info, warn};

/// Facts that wait for the driver; when full, senders wait, and so do peers.
const INBOX_LENGTH: usize = 1024;
/// Results of build and check jobs on their way back.
const COMPLETIONS_LENGTH: usize = 64;
/// Executed blocks kept for their commit; beyond it a decided block is executed
/// again. One height knows a few, unless rounds change for hours.
const EXECUTED_BLOCKS_MAX: usize = 16;

/// Something for the driver.
pub(crate) enum DriverInput {
    /// A fact for the engine.
    Fact(Input),
    /// Certified blocks that follow the head, from sync.
    Import {
        blocks: Vec<ImportBlock>,
        reply: oneshot::Sender<ImportResult>,
    },
}

enum Completion {
    Built {
        height: Height,
        round: Round,
        executed: Option<Box<ExecutedBlock>>,
    },
    Checked {
        hash: B256,
        result: Result<Box<ExecutedBlock>, Refusal>,
    },
    /// `None`: it was executed here before.
    CheckedDecided {
        height: Height,
        hash: B256,
        result: Result<Option<Box<ExecutedBlock>>, Refusal>,
    },
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
                _ = stop.wait_for(|stop| *stop) => break,
                Some(completion) = self.completions.recv() => self.on_completion(completion)?,
                () = wake => self.on_timers()?,
                () = self.work.notified() => self.look_for_work()?,
                input = self.inbox.recv() => match input {
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
            DriverInput::Fact(fact) => self.feed(fact),
            DriverInput::Import { blocks, reply } => {
                let result = self.import(blocks)?;
                // The asker may have stopped waiting; the blocks stay imported.
                let _ = reply.send(result);
                Ok(())
            }
        }
    }

    fn on_completion(&mut self, completion: Completion) -> Result<(), Fatal> {
        match completion {
            Completion::Built {
                height,
                round,
                executed,
            } => {
                let block = executed
                    .as_ref()
                    .map(|executed| executed.block.sealed.clone());
                let is_empty_handed = executed.is_none();
                if let Some(executed) = executed {
                    self.remember(executed);
                }
                self.feed(Input::BlockBuilt {
                    height,
                    round,
                    block,
                })?;
                if is_empty_handed {
                    // What waited may be gone: the builder drops what can never run.
                    self.look_for_work()?;
                }
                Ok(())
            }
            Completion::Checked { hash, result } => {
                let valid = result.is_ok();
                match result {
                    Ok(executed) => self.remember(executed),
                    // The head moved on, by sync or with a quorum's votes.
                    Err(_) if self.chain.head().hash == hash => {}
                    Err(Refusal::Invalid(error)) if error.is_our_fault() => {
                        error!(%hash, %error, "could not check a proposed block");
                    }
                    Err(error) => warn!(%hash, %error, "refused a proposed block"),
                }
                self.feed(Input::BlockChecked { hash, valid })
            }
            Completion::CheckedDecided {
                height,
                hash,
                result,
            } => {
                let valid = match result {
                    Ok(executed) => {
                        executed
                            .into_iter()
                            .for_each(|executed| self.remember(executed));
                        true
                    }
                    // Sync brought the height meanwhile: what is there was decided.
                    Err(_) if height <= self.chain.head().height => {
                        self.chain.store.hash_of_number(height)? == Some(hash)
                    }
                    Err(Refusal::Invalid(error)) if !error.is_our_fault() => {
                        warn!(%hash, %error, "a block of the log is invalid");
                        false
                    }
                    // To call it invalid would make this node differ from the others.
                    Err(refusal) => {
                        return Err(Fatal::LogEntryUnchecked {
                            hash,
                            reason: refusal.to_string(),
                        });
                    }
                };
                self.feed(Input::BlockChecked { hash, valid })
            }
        }
    }

    fn remember(&mut self, executed: Box<ExecutedBlock>) {
        if self.executed.len() >= EXECUTED_BLOCKS_MAX {
            self.executed.pop_first();
        }
        self.executed.insert(executed.block.hash(), executed);
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
                self.links.send_to_all(&[to], PeerMessage::Consensus(bytes));
            }
            Output::Broadcast { bytes } => {
                self.sync_record()?;
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

    fn build(&self, height: Height, round: Round, parent: B256) {
        let head = self.chain.head();
        let validators = &head.context.validators;
        let own = validators
            .index_of_key(&self.own_key)
            .and_then(|index| validators.get(index));
        let Some(operator) = own.map(|validator| validator.operator) else {
            return;
        };
        if head.hash != parent {
            debug!(%height, "the head moved before the block was built");
            return;
        }
        let may_be_empty = !round.is_zero() || self.is_heartbeat_due();
        let chain = self.chain.clone();
        let job = move || match blocks::build(&chain, &head, operator) {
            Ok(executed) if executed.block.senders.is_empty() && !may_be_empty => None,
            Ok(executed) => Some(Box::new(executed)),
            Err(error) => {
                warn!(%height, %round, %error, "could not build a block");
                None
            }
        };
        self.spawn_job(job, move |executed| Completion::Built {
            height,
            round,
            executed: executed.flatten(),
        });
    }

    /// Runs a job on a blocking thread; the engine hears of its end even when it
    /// panics, since it waits for an answer.
    fn spawn_job<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        completion: impl FnOnce(Option<T>) -> Completion + Send + 'static,
    ) {
        let completed = self.completed.clone();
        tokio::spawn(async move {
            let result = tokio::task::spawn_blocking(job).await;
            if let Err(error) = &result {
                error!(%error, "a build or check of a block ended badly; please report this");
            }
            // A closed channel means that the node is stopping.
            let _ = completed.send(completion(result.ok())).await;
        });
    }

    fn is_heartbeat_due(&self) -> bool {
        let since_ms = self
            .chain
            .clock
            .now_ms()
            .saturating_sub(self.last_commit_ms);
        let period = self.chain.spec.consensus.empty_block_period;
        period.is_some_and(|period| u128::from(since_ms) >= period.as_millis())
    }

    fn check(&self, block: SealedBlock, fresh: bool) {
        let (chain, hash) = (self.chain.clone(), block.hash());
        let job = move || blocks::check(&chain, &block, fresh).map(Box::new);
        self.spawn_job(job, move |result| Completion::Checked {
            hash,
            result: result.unwrap_or(Err(Refusal::Failed)),
        });
    }

    /// Executes a block of the replicated log. What was built or checked here
    /// before is not executed again.
    fn check_decided(&self, block: SealedBlock) {
        let (chain, height, hash) = (self.chain.clone(), block.height(), block.hash());
        let is_known = self.executed.contains_key(&hash);
        let job = move || match is_known {
            true => Ok(None),
            false => blocks::check(&chain, &block, false).map(|executed| Some(Box::new(executed))),
        };
        self.spawn_job(job, move |result| Completion::CheckedDecided {
            height,
            hash,
            result: result.unwrap_or(Err(Refusal::Failed)),
        });
    }

    fn commit(
        &mut self,
        block: &SealedBlock,
        certificate: &Certificate,
        record: Option<Vec<u8>>,
    ) -> Result<(), Fatal> {
        if block.height() <= self.chain.head().height {
            // Sync was faster; what the record says of votes and log still counts.
            return match record {
                Some(record) => self.persist(&record),
                None => Ok(()),
            };
        }
        let executed = match self.executed.remove(&block.hash()) {
            Some(executed) => *executed,
            // A quorum decided a block that we did not check before.
            None => {
                tokio::task::block_in_place(|| self.chain.validate(block)).map_err(|error| {
                    Fatal::CertifiedBlockInvalid {
                        height: block.height(),
                        reason: error.to_string(),
                    }
                })?
            }
        };
        tokio::task::block_in_place(|| {
            self.finish(executed, certificate, record, SyncMode::Synced)
        })?;
        self.announce();
        self.decided()
    }

    fn finish(
        &mut self,
        executed: ExecutedBlock,
        certificate: &Certificate,
        record: Option<Vec<u8>>,
        sync: SyncMode,
    ) -> Result<(), Fatal> {
        let header = executed.block.header();
        let (height, gas, time_s) = (header.number, header.gas_used, header.timestamp);
        let (hash, transactions) = (executed.block.hash(), executed.block.senders.len());
        if let Some(reason) = &executed.validators_refused {
            warn!(height, %reason, "the Permissioning contract names validators that cannot be used: the set stays");
        }
        self.chain.commit(executed, certificate, record, sync)?;
        self.unsynced = match sync {
            SyncMode::Synced => Unsynced::Nothing,
            SyncMode::Deferred if self.unsynced == Unsynced::Nothing => Unsynced::Blocks,
            SyncMode::Deferred => self.unsynced,
        };
        let now_ms = self.chain.clock.now_ms();
        let since_ms = now_ms.saturating_sub(std::mem::replace(&mut self.last_commit_ms, now_ms));
        metrics::histogram!("medina_chain_block_interval_seconds").record(since_ms as f64 / 1e3);
        metrics::gauge!("medina_chain_height").set(height as f64);
        metrics::counter!("medina_chain_transactions_total").increment(transactions as u64);
        metrics::counter!("medina_chain_gas_used_total").increment(gas);
        metrics::gauge!("medina_chain_head_time_seconds").set(time_s as f64);
        let (round, signers) = (certificate.round, certificate.signatures().len());
        match sync {
            SyncMode::Synced => {
                info!(height, %hash, transactions, gas, %round, signers, "block committed");
                self.watch_clock(time_s);
            }
            SyncMode::Deferred => debug!(height, %hash, transactions, gas, "block imported"),
        }
        Ok(())
    }

    /// A clock that is off shows in the times of live blocks.
    fn watch_clock(&mut self, block_s: u64) {
        let clock_s = self.chain.clock.unix_seconds();
        let tolerance_s = self.chain.spec.consensus.clock_tolerance.as_secs();
        match self.clock_watch.on_block(block_s, clock_s, tolerance_s) {
            Some(Doubt::Behind(seconds)) => warn!(
                seconds,
                "this machine's clock is behind the times of the last blocks: set it, or proposals of others will be refused here"
            ),
            Some(Doubt::Ahead(seconds)) => warn!(
                seconds,
                "this machine's clock is ahead of the times of the last blocks: set it, or proposals of this node will be refused"
            ),
            None => {}
        }
    }

    /// Gossip may be lost and consensus tells the validators; to the others our
    /// word is also sent directly, so that a follower is a moment behind at most.
    fn announce(&self) {
        let status = self.chain.status();
        self.links.announce_head(status);
        let head = self.chain.head();
        let validators = &head.context.validators;
        let follows = |key: &NodePublicKey| validators.index_of_key(key).is_none();
        let peers = self.links.peers().into_iter();
        let behind = peers.filter(|peer| peer.status.height < status.height);
        let followers: Vec<_> = behind.map(|peer| peer.key).filter(follows).collect();
        if !followers.is_empty() {
            self.links
                .send_to_all(&followers, PeerMessage::Status(status));
        }
    }

    /// Tells the engine about the new head; its orders join the queue.
    fn decided(&mut self) -> Result<(), Fatal> {
        let head = self.chain.head();
        self.executed
            .retain(|_, executed| executed.block.height() > head.height);
        let now_ms = self.chain.clock.now_ms();
        let info = HeadInfo {
            height: head.height,
            hash: head.hash,
            timestamp_s: head.header.timestamp,
            committed_at_ms: now_ms,
        };
        let decided = Input::HeightDecided {
            height: head.height,
            head: info,
            context: head.context.clone(),
        };
        self.orders.extend(self.engine.handle(now_ms, decided));
        self.greet_new_validators(&head);
        self.work_waiting = self.is_work_waiting();
        let work = Input::WorkWaiting {
            waiting: self.work_waiting,
        };
        self.orders.extend(self.engine.handle(now_ms, work));
        Ok(())
    }

    /// A peer that has become a validator was connected long before: what it was
    /// sent until now passed it by, as on a new link.
    fn greet_new_validators(&mut self, head: &Head) {
        let set = &head.context.validators;
        // At genesis peers with blocks were kept from the engine: see `peers`.
        let leaves_genesis = head.height == Height::GENESIS.next();
        if *set == *self.validators && !leaves_genesis {
            return;
        }
        let former = std::mem::replace(&mut self.validators, Arc::new(set.clone()));
        let (before, now) = (former.len(), set.len());
        if *set != *former {
            info!(before, now, "the set of validators changed");
        }
        let peers = self.links.peers();
        let is_new = |key: &NodePublicKey| {
            let was_there = former.index_of_key(key).is_some() && !leaves_genesis;
            set.index_of_key(key).is_some() && !was_there
        };
        for peer in peers.into_iter().map(|peer| peer.key).filter(is_new) {
            let now_ms = self.chain.clock.now_ms();
            let greeting = Input::PeerConnected { peer };
            self.orders.extend(self.engine.handle(now_ms, greeting));
        }
    }
}
