//! A decided block becomes the head: written, announced, told to the engine.

use super::{Driver, Unsynced};
use crate::{chain::Written, clock::Doubt, fatal::Fatal};
use medina_consensus::{HeadInfo, Input};
use medina_execution::ExecutedBlock;
use medina_storage::{Head, SyncMode};
use medina_types::{Certificate, Height, NodePublicKey, SealedBlock, wire::PeerMessage};
use std::sync::Arc;
use tracing::{debug, info, warn};

impl Driver {
    pub(super) fn commit(
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
        tokio::task::block_in_place(|| self.finish(executed, certificate, record, Written::LIVE))?;
        self.announce();
        self.decided()
    }

    pub(super) fn finish(
        &mut self,
        executed: ExecutedBlock,
        certificate: &Certificate,
        record: Option<Vec<u8>>,
        how: Written,
    ) -> Result<(), Fatal> {
        let header = executed.block.header();
        let (height, gas, time_s) = (header.number, header.gas_used, header.timestamp);
        let (hash, transactions) = (executed.block.hash(), executed.block.senders.len());
        if let Some(reason) = &executed.validators_refused {
            warn!(height, %reason, "the Permissioning contract names validators that cannot be used: the set stays");
        }
        let sync = how.sync;
        self.chain.commit(executed, certificate, record, how)?;
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
    pub(super) fn watch_clock(&mut self, block_s: u64) {
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
    pub(super) fn announce(&self) {
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
    pub(super) fn decided(&mut self) -> Result<(), Fatal> {
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
    pub(super) fn greet_new_validators(&mut self, head: &Head) {
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
