//! Snapshots: a member too far behind for the log first gets the blocks.
//!
//! A snapshot names a block and the group at it. It is held back until our own
//! chain has reached that block, by sync. What sync does not serve yet, because
//! there is no certificate, the sender of the snapshot has kept; it is asked
//! for it block by block.

use super::{
    Raft, RaftMessage,
    applying::Applying,
    messages::{RaftBody, Seal, SnapshotContent},
};
use crate::{
    Output,
    mutants::{Mutant, is_on},
};
use alloy_primitives::B256;
use medina_types::{Height, NodePublicKey, Round, SealedBlock, commit_message};
use raft::{ProgressState, SnapshotStatus};

/// Blocks to the snapshot's within which its sender is asked for them.
const ASKED_BLOCKS_MAX: u64 = 128;

/// A sealed block is not asked for again sooner.
const FETCH_PAUSE_MS: u64 = 1_000;

/// A snapshot that is held back.
#[derive(Clone, Debug)]
pub(super) struct Awaited {
    from: NodePublicKey,
    message: RaftBody,
}

/// A block that a validator has sealed and that sync does not serve for want of
/// a certificate, perhaps of ours: a node that left the group lacks its log, and
/// may not know yet that it left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetching {
    from: NodePublicKey,
    hash: B256,
    asked_at_ms: u64,
}

impl Awaited {
    fn content(&self) -> Option<&SnapshotContent> {
        self.message.snapshot.as_ref().map(|it| &it.content)
    }
}

impl Raft {
    pub(super) fn on_snapshot(&mut self, from: NodePublicKey, message: RaftBody) {
        let (Some(node), Some(snapshot)) = (&self.node, &message.snapshot) else {
            return;
        };
        let is_of_group = snapshot.content.group.get(node.raft.id).is_some();
        if message.term < node.raft.term || !is_of_group {
            return;
        }
        // The older one of a term is kept: it is reached first.
        let awaited = self.awaited.as_ref();
        if awaited.is_some_and(|awaited| awaited.message.term >= message.term) {
            return;
        }
        let height = snapshot.content.height;
        self.awaited = Some(Awaited { from, message });
        if height > self.head.height {
            self.out.push(Output::SyncNeeded { from, height });
            self.ask_for_next_block();
        }
    }

    /// Steps the snapshot once we have its block.
    pub(super) fn take_snapshot(&mut self) -> bool {
        let is_busy = self.applying.as_ref().is_some_and(Applying::is_committing);
        let content = self.awaited.as_ref().and_then(Awaited::content);
        let Some(content) = content.filter(|_| !is_busy && self.missing.is_none()) else {
            return false;
        };
        let is_reached = content.height <= self.head.height;
        if !is_reached && !is_on(Mutant::RaftSnapshotWithoutBlock) {
            return false;
        }
        let own_hash = self.seals.recent_hash(content.height);
        let is_other = own_hash.is_some_and(|hash| hash != content.hash())
            && !is_on(Mutant::RaftSnapshotHashUnchecked);
        let Some(Awaited { from, message }) = self.awaited.take() else {
            return false;
        };
        if is_other {
            self.accuse(from, "snapshot of another chain");
            return true;
        }
        let Some(node) = &mut self.node else {
            return true;
        };
        let before = node.raft.raft_log.committed;
        let _ = node.step(message.into_message());
        if node.raft.raft_log.committed > before {
            self.applying = None;
        }
        true
    }

    /// Asks the snapshot's sender for the block behind our head.
    pub(super) fn ask_for_next_block(&mut self) {
        let Some(awaited) = &self.awaited else {
            return;
        };
        let Some(content) = awaited.content() else {
            return;
        };
        let distance = content.height.0.saturating_sub(self.head.height.0);
        if (1..=ASKED_BLOCKS_MAX).contains(&distance) {
            let height = self.head.height.next();
            let from = awaited.from;
            self.send(from, &RaftMessage::Need { height });
        }
    }

    /// Repeats the questions of a node that lacks blocks.
    pub(super) fn repeat_catching_up(&mut self) {
        if let Some(awaited) = &self.awaited
            && let Some(content) = awaited.content()
            && content.height > self.head.height
        {
            let (from, height) = (awaited.from, content.height);
            self.out.push(Output::SyncNeeded { from, height });
            self.ask_for_next_block();
        }
        let others = self.everybody();
        let mut others = others.iter().filter(|key| self.connected.contains(key));
        if let (Some(height), Some(from)) = (self.missing, others.next()) {
            let from = *from;
            self.out.push(Output::SyncNeeded { from, height });
        }
    }

    pub(super) fn on_need(&mut self, from: NodePublicKey, height: Height) {
        let Some(seals) = self.seals.uncertified.get(&height) else {
            return;
        };
        if !self.is_known(&from) && seals.validators.index_of_key(&from).is_none() {
            return;
        }
        let block = seals.block.encode().to_vec();
        self.send(from, &RaftMessage::Block { block });
    }

    pub(super) fn on_fetched_block(&mut self, from: NodePublicKey, bytes: &[u8]) {
        if self.applying.is_some() {
            return;
        }
        let Ok(block) = SealedBlock::decode(bytes) else {
            return self.accuse(from, "sent a block that is none");
        };
        let is_wanted = self.is_wanted(&from, &block);
        if is_wanted && self.extends_head(&block) && block.is_body_of_header() {
            self.applying = Some(Applying {
                entry: None,
                block,
                seals: None,
            });
            self.order_check();
        }
    }

    /// Whether a block is on the way to the snapshot, or the sealed one.
    fn is_wanted(&self, from: &NodePublicKey, block: &SealedBlock) -> bool {
        let awaited = self.awaited.as_ref().filter(|it| it.from == *from);
        let content = awaited.and_then(Awaited::content);
        let is_before = content.is_some_and(|content| {
            block.height() < content.height
                || block.height() == content.height && block.hash() == content.hash()
        });
        let fetching = self.fetching.filter(|it| it.from == *from);
        let is_sealed = fetching.is_some_and(|it| it.hash == block.hash());
        is_before || is_sealed && (self.is_outside() || !self.hears_leader())
    }

    /// No member: no log brings us blocks.
    pub(super) fn is_outside(&self) -> bool {
        let id = self.identity.map(|identity| identity.id);
        id.is_none_or(|id| self.group.get(id).is_none())
    }

    /// A validator has applied the next block: get it, unless the log brings it.
    pub(super) fn fetch_sealed(&mut self, from: NodePublicKey, seal: &Seal) {
        let (height, hash) = (seal.height, seal.hash());
        let is_next = height == self.head.height.next();
        let is_alone = self.is_outside() || !self.hears_leader();
        if !is_next
            || !is_alone
            || !seal.is_wanted
            || !self.is_validator(&from)
            || self.applying.is_some()
        {
            return;
        }
        let asked_at_ms = self.now_ms;
        let is_asked =
            |it: Fetching| it.hash == hash && asked_at_ms < it.asked_at_ms + FETCH_PAUSE_MS;
        if self.fetching.is_some_and(is_asked) {
            return;
        }
        let message = commit_message(self.config.genesis_hash, height, Round::ZERO, hash);
        if self.crypto.verify(&from, &message, &seal.signature) {
            self.fetching = Some(Fetching {
                from,
                hash,
                asked_at_ms,
            });
            self.send(from, &RaftMessage::Need { height });
        }
    }

    /// A snapshot or its answer may have been lost: the leader tries again.
    pub(super) fn retry_snapshots(&mut self) {
        let Some(node) = &mut self.node else {
            return;
        };
        let progress = node.raft.prs().iter();
        let stuck = progress.filter(|(_, progress)| progress.state == ProgressState::Snapshot);
        let mut stuck: Vec<_> = stuck.map(|(id, _)| *id).collect();
        stuck.sort_unstable();
        for id in stuck {
            node.report_snapshot(id, SnapshotStatus::Failure);
        }
    }
}
