//! The made-up network: delays, losses, partitions, announcements and sync.

use crate::{
    scenario::Habit,
    world::{Event, Local, World},
};
use medina_consensus::Input;
use medina_types::NodePublicKey;
use rand::Rng;

/// Longest delay of a message after the faults.
const HEALED_DELAY_MS_MAX: u64 = 10;
/// Blocks that one answer to a sync request carries.
const SYNC_BLOCKS: usize = 16;

impl World {
    pub(crate) fn announce_head(&mut self, node: usize) {
        let height = self.nodes[node].disk.height();
        for to in 0..self.nodes.len() {
            if to != node && !self.is_lost(node, to) {
                let after_ms = self.delay_ms();
                let from = node;
                self.schedule(after_ms, Event::HeadAnnounced { to, from, height });
            }
        }
    }

    /// Asks a node for the blocks that follow the asker's head.
    pub(crate) fn request_blocks(&mut self, to: usize, from: usize) {
        if !self.is_cut(from, to) && !self.is_cut(to, from) {
            let after_ms = 2 * self.delay_ms();
            self.schedule(after_ms, Event::Served { to, from });
        }
    }

    /// Asks every process of a validator.
    pub(crate) fn request_from_key(&mut self, to: usize, key: NodePublicKey) {
        for from in 0..self.nodes.len() {
            if self.nodes[from].key == key && from != to {
                self.request_blocks(to, from);
            }
        }
    }

    /// An answer to a request for blocks arrives. Blocks without a quorum's
    /// certificate are not served: with Raft it comes after the block.
    pub(crate) fn on_served(&mut self, to: usize, from: usize) {
        if !self.is_up(to) || !self.is_up(from) {
            return;
        }
        let known = self.nodes[to].disk.chain.len();
        let disk = &self.nodes[from].disk;
        let engine = self.scenario.engine;
        let mut blocks = Vec::new();
        for decided in disk.chain.iter().skip(known).take(SYNC_BLOCKS) {
            let context = disk.context_of(decided.block.height());
            let needed = context.map_or(1, |context| engine.quorum(&context.validators));
            if decided.certificate.signatures().len() < needed {
                break;
            }
            blocks.push((decided.block.clone(), decided.certificate.clone()));
        }
        let lies_in_sync = !self.nodes[from].is_honest() && self.rng.random_bool(0.4);
        if lies_in_sync {
            self.served_by_liar(from, &mut blocks);
        }
        if !blocks.is_empty() {
            self.local(to, Local::Import { from, blocks });
        }
    }

    pub(crate) fn delay_ms(&mut self) -> u64 {
        let max = if self.is_healed {
            HEALED_DELAY_MS_MAX
        } else {
            self.scenario.delay_ms_max
        };
        self.rng.random_range(0..=max)
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        let is_on = |side: u64, node: usize| side >> self.nodes[node].validator & 1 == 1;
        self.partitions
            .iter()
            .filter(|partition| !partition.is_over)
            .any(|partition| {
                let (sender, receiver) = (is_on(partition.side, from), is_on(partition.side, to));
                sender != receiver && (receiver || !partition.is_one_way)
            })
    }

    /// Whether a message from a node to another is lost on the way.
    pub(crate) fn is_lost(&mut self, from: usize, to: usize) -> bool {
        let to_validator = self.nodes[to].validator;
        let audience = self.nodes[from].audience.as_ref();
        let is_heard = match audience {
            _ if self.is_liar(from, Habit::Twins) && self.is_liar(to, Habit::Twins) => {
                self.is_second_twin(from) == self.is_second_twin(to)
            }
            audience => audience.is_none_or(|audience| audience.contains(&to_validator)),
        };
        let is_dropped = !self.is_healed && self.rng.random_bool(self.scenario.loss);
        !is_heard || is_dropped || self.is_cut(from, to)
    }

    /// The first processes of all twins work together, and so do the second.
    fn is_second_twin(&self, node: usize) -> bool {
        node >= self.scenario.nodes
    }

    /// Sends to every process with this key.
    pub(crate) fn send(&mut self, from: usize, to: NodePublicKey, bytes: &[u8]) {
        for receiver in 0..self.nodes.len() {
            if self.nodes[receiver].key == to && self.nodes[receiver].key != self.nodes[from].key {
                let all = self.lie(from, receiver, bytes.to_vec());
                for bytes in all {
                    self.transmit(from, receiver, bytes);
                }
            }
        }
    }

    /// What a liar says on its own account, to everybody.
    pub(crate) fn send_to_others(&mut self, from: usize, bytes: &[u8]) {
        for receiver in 0..self.nodes.len() {
            if self.nodes[receiver].key != self.nodes[from].key {
                self.transmit(from, receiver, bytes.to_vec());
            }
        }
    }

    fn transmit(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        if self.is_lost(from, to) {
            self.coverage.lost += 1;
            return;
        }
        let is_twice = !self.is_healed && self.rng.random_bool(self.scenario.duplication);
        self.coverage.duplicated += u64::from(is_twice);
        for _ in 0..=u8::from(is_twice) {
            let after_ms = self.delay_ms();
            let bytes = bytes.clone();
            self.schedule(after_ms, Event::Deliver { to, from, bytes });
        }
    }

    pub(crate) fn on_connected(&mut self, a: usize, b: usize) {
        for (node, other) in [(a, b), (b, a)] {
            if self.is_up(node) && self.is_up(other) && !self.is_cut(node, other) {
                let peer = self.nodes[other].key;
                self.local(node, Local::Tell(Input::PeerConnected { peer }));
                if self.nodes[other].disk.height() > self.nodes[node].disk.height() {
                    self.request_blocks(node, other);
                }
            }
        }
    }

    pub(crate) fn connect_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if self.nodes[other].validator != self.nodes[node].validator {
                let after_ms = self.delay_ms();
                self.schedule(after_ms, Event::Connected { a: node, b: other });
            }
        }
    }

    /// The others notice sooner or later that a process is gone.
    pub(crate) fn disconnect_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if self.nodes[other].validator != self.nodes[node].validator {
                let after_ms = self.delay_ms();
                self.schedule(
                    after_ms,
                    Event::Disconnected {
                        gone: node,
                        at: other,
                    },
                );
            }
        }
    }

    /// A link that broke, unless the process is back meanwhile.
    pub(crate) fn on_disconnected(&mut self, gone: usize, at: usize) {
        if !self.is_up(gone) {
            let peer = self.nodes[gone].key;
            self.local(at, Local::Tell(Input::PeerDisconnected { peer }));
        }
    }
}
