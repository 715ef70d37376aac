//! Back to an earlier block with all nodes of a development network at once.
//!
//! All drivers meet; none sends anything while any of them still has the later
//! blocks. What was sent before carries an older epoch and is dropped on arrival.

use super::{COMPLETIONS_LENGTH, Driver, DriverHandle, DriverInput, ImportBlock, Unsynced};
use crate::{chain::Chain, dev::DevNetwork, fatal::Fatal};
use medina_consensus::{Engine, Input};
use medina_types::{Height, wire::PeerMessage};
use std::sync::Arc;
use tokio::sync::{Barrier, mpsc, oneshot};

/// Makes an engine that votes from the store's head on, without a record.
pub(crate) type EngineMaker = Box<dyn Fn(&Chain) -> Result<Box<dyn Engine>, String> + Send + Sync>;

/// The order to go back.
#[derive(Clone)]
pub(crate) struct RollBack {
    /// The block that is to be the head.
    pub(crate) height: Height,
    /// What the network's clock is to say.
    pub(crate) clock_s: u64,
    /// Where the drivers of all nodes meet.
    pub(crate) barrier: Arc<Barrier>,
    /// Their network.
    pub(crate) network: DevNetwork,
}

impl DriverHandle {
    /// Goes back to an earlier block; false if the driver is stopping.
    pub(crate) async fn roll_back(&self, order: RollBack) -> bool {
        let (done, is_done) = oneshot::channel();
        let sent = self.inbox.send(DriverInput::RollBack(order, done)).await;
        sent.is_ok() && is_done.await.is_ok()
    }
}

impl Driver {
    /// The driver of a development network, which can go back.
    pub(crate) fn with_engine_maker(mut self, maker: EngineMaker) -> Self {
        self.engine_maker = Some(maker);
        self
    }

    pub(super) fn with_epoch(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.chain.dev {
            Some(dev) => dev.wrap(bytes),
            None => bytes,
        }
    }

    /// The fact, unless it is a message from before the last roll-back.
    pub(super) fn of_this_epoch(&self, fact: Input) -> Option<Input> {
        match (&self.chain.dev, fact) {
            (Some(dev), Input::MessageReceived { from, bytes }) => {
                let bytes = dev.unwrap(&bytes)?;
                Some(Input::MessageReceived { from, bytes })
            }
            (_, fact) => Some(fact),
        }
    }

    /// Those of the blocks that were not undone while they were on their way.
    pub(super) fn not_undone(&self, mut blocks: Vec<ImportBlock>) -> Vec<ImportBlock> {
        if let Some(dev) = &self.chain.dev {
            blocks.retain(|import| dev.has_block(import.block.height(), import.block.hash()));
        }
        blocks
    }

    pub(super) async fn roll_back(
        &mut self,
        order: RollBack,
        done: oneshot::Sender<()>,
    ) -> Result<(), Fatal> {
        let Some(maker) = &self.engine_maker else {
            return Ok(());
        };
        let mut stop = self.stop.clone();
        let has_met = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            met = order.barrier.wait() => met,
        };
        if has_met.is_leader() {
            let machine_s = self.chain.clock.machine_seconds();
            order.network.begin_epoch(machine_s, order.clock_s);
        }
        tokio::task::block_in_place(|| self.chain.roll_back(order.height))?;
        self.engine = maker(&self.chain).map_err(Fatal::TaskPanicked)?;
        // Blocks still being built or checked report to nobody.
        (self.completed, self.completions) = mpsc::channel(COMPLETIONS_LENGTH);
        self.timers.clear();
        self.executed.clear();
        self.orders.clear();
        self.work_waiting = false;
        self.work_at_ms = None;
        self.unsynced = Unsynced::Nothing;
        self.validators = Arc::new(self.chain.head().context.validators.clone());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            _ = order.barrier.wait() => {}
        }
        self.start_again()?;
        // Who asked may have stopped waiting; it is done all the same.
        let _ = done.send(());
        Ok(())
    }

    fn start_again(&mut self) -> Result<(), Fatal> {
        let now_ms = self.chain.clock.now_ms();
        let peers: Vec<_> = self.links.peers().iter().map(|peer| peer.key).collect();
        // They know higher heads of us than we have.
        let status = PeerMessage::Status(self.chain.status());
        self.links.send_to_all(&peers, status);
        self.feed(Input::Started { now_ms })?;
        for peer in peers {
            self.feed(Input::PeerConnected { peer })?;
        }
        self.look_for_work()
    }
}
