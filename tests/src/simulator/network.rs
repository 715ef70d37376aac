//! The made-up network: delays, losses, partitions, announcements and sync.

use super::{
    scenario::Habit,
    world::{Event, World},
};
use medina_consensus::Input;
use rand::Rng;

/// Longest delay of a message after the faults.
const HEALED_DELAY_MS_MAX: u64 = 10;
/// Blocks that one answer to a sync request carries.
const SYNC_BLOCKS: usize = 16;

impl World {
    pub(super) fn announce_head(&mut self, node: usize) {
        let height = self.nodes[node].disk.height();
        for to in 0..self.nodes.len() {
            if to != node && !self.is_lost(node, self.nodes[to].validator) {
                let after_ms = self.delay_ms();
                self.schedule(
                    after_ms,
                    Event::HeadAnnounced {
                        to,
                        from: node,
                        height,
                    },
                );
            }
        }
    }

    /// Asks some process of validator `from` for blocks.
    pub(super) fn request_blocks(&mut self, to: usize, from: usize) {
        if !self.is_cut(from, to) && !self.is_cut(to, from) {
            let after_ms = 2 * self.delay_ms();
            self.schedule(after_ms, Event::Synced { to, from });
        }
    }

    pub(super) fn import_from(&mut self, to: usize, from: usize) {
        if !self.is_up(to) || !self.is_up(from) {
            return;
        }
        let known = self.nodes[to].disk.chain.len();
        let theirs = self.nodes[from]
            .disk
            .chain
            .iter()
            .skip(known)
            .take(SYNC_BLOCKS);
        let blocks: Vec<_> = theirs
            .map(|decided| (decided.block.clone(), decided.certificate.clone()))
            .collect();
        if blocks.is_empty() {
            return;
        }
        for (block, certificate) in blocks {
            let height = block.height();
            // A twin's chain can only differ if agreement is broken already.
            if !self.nodes[to].accepts(&block) {
                return;
            }
            self.append(to, block, certificate);
            self.tell_height(to, height);
        }
        self.tell_work(to);
        self.request_blocks(to, from);
    }

    pub(super) fn delay_ms(&mut self) -> u64 {
        let max = if self.is_healed {
            HEALED_DELAY_MS_MAX
        } else {
            self.scenario.delay_ms_max
        };
        self.rng.random_range(0..=max)
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        let is_on = |side: u64, node: usize| side >> self.nodes[node].validator & 1 == 1;
        self.partitions
            .iter()
            .filter(|partition| !partition.is_over)
            .any(|partition| {
                let (sender, receiver) = (is_on(partition.side, from), is_on(partition.side, to));
                sender != receiver && (receiver || !partition.is_one_way)
            })
    }

    /// Whether a message from a node to a validator is lost on the way.
    pub(super) fn is_lost(&mut self, from: usize, to: usize) -> bool {
        let is_heard = self.nodes[from]
            .audience
            .as_ref()
            .is_none_or(|audience| audience.contains(&to));
        let is_dropped = !self.is_healed && self.rng.random_bool(self.scenario.loss);
        !is_heard || is_dropped || self.is_cut(from, to)
    }

    /// Sends to every process of validator `to`.
    pub(super) fn send(&mut self, from: usize, to: usize, mut bytes: Vec<u8>) {
        if self.nodes[from].is_honest() {
            self.checker.on_sent(self.now_ms, from, &bytes);
        }
        if self.nodes[from].habit == Some(Habit::Garbler) && self.rng.random_bool(0.3) {
            let position = self.rng.random_range(0..bytes.len());
            bytes[position] ^= 1 << self.rng.random_range(0..8);
        }
        for receiver in 0..self.nodes.len() {
            if self.nodes[receiver].validator != to || self.is_lost(from, to) {
                continue;
            }
            let is_twice = !self.is_healed && self.rng.random_bool(self.scenario.duplication);
            for _ in 0..=u8::from(is_twice) {
                let after_ms = self.delay_ms();
                let bytes = bytes.clone();
                self.schedule(
                    after_ms,
                    Event::Deliver {
                        to: receiver,
                        from,
                        bytes,
                    },
                );
            }
        }
    }

    pub(super) fn on_connected(&mut self, a: usize, b: usize) {
        for (node, other) in [(a, b), (b, a)] {
            if self.is_up(node) && self.is_up(other) && !self.is_cut(node, other) {
                let peer = self.keys[self.nodes[other].validator];
                self.tell(node, Input::PeerConnected { peer });
                if self.nodes[other].disk.height() > self.nodes[node].disk.height() {
                    self.request_blocks(node, other);
                }
            }
        }
    }

    pub(super) fn connect_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if self.nodes[other].validator != self.nodes[node].validator {
                let after_ms = self.delay_ms();
                self.schedule(after_ms, Event::Connected { a: node, b: other });
            }
        }
    }
}
