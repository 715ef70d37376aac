//! Whole networks of engines on one made-up clock, with links that break on both
//! sides at once, as those of processes do. The simulator plays more faults; this
//! one is about links and times.

use super::fixture::*;
use crate::VoteCrypto;
use crate::{Engine, HeadInfo, Input, Output, Qbft, Timer};
use alloy_primitives::keccak256;
use medina_types::{
    Block, Height, HeightContext, NodePublicKey, NodeSignature, Round, SealedBlock,
};
use std::collections::{BTreeMap, BTreeSet};

/// Delay of messages, and time for building and checking, in milliseconds.
const STEP_MS: u64 = 5;

/// A keyed hash in place of signatures, as in the simulator: nobody forges here.
#[derive(Debug)]
struct KeyedHash(NodePublicKey);

fn keyed_hash(key: &NodePublicKey, message: &[u8]) -> NodeSignature {
    let half = keccak256([&key.0, message].concat()).0;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half);
    NodeSignature(signature)
}

impl VoteCrypto for KeyedHash {
    fn sign(&self, message: &[u8]) -> NodeSignature {
        keyed_hash(&self.0, message)
    }

    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool {
        keyed_hash(key, message) == *signature
    }
}

enum Event {
    Deliver { from: usize, bytes: Vec<u8> },
    Alarm { timer: Timer, setting: u64 },
    Tell(Input),
    Decided(SealedBlock),
    Sync { from: usize },
}

struct Node {
    key: NodePublicKey,
    engine: Option<Qbft>,
    incarnation: u64,
    record: Option<Vec<u8>>,
    chain: Vec<(SealedBlock, HeightContext, u64)>,
    timers: BTreeMap<Timer, u64>,
    has_work: bool,
}

/// A network; time passes in [`Cluster::run`] only.
pub(super) struct Cluster {
    pub(super) now_ms: u64,
    nodes: Vec<Node>,
    links: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(u64, u64), (usize, u64, Event)>,
    sequence: u64,
}

impl Cluster {
    /// All nodes up, all links too, nothing to do.
    pub(super) fn new(count: usize) -> Self {
        let node = |index| Node {
            key: key(index),
            engine: None,
            incarnation: 0,
            record: None,
            chain: Vec::new(),
            timers: BTreeMap::new(),
            has_work: false,
        };
        let mut cluster = Self {
            now_ms: NOW,
            nodes: (0..count).map(node).collect(),
            links: BTreeSet::new(),
            queue: BTreeMap::new(),
            sequence: 0,
        };
        for node in 0..count {
            cluster.start(node);
        }
        cluster.join_all();
        cluster
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].engine.is_some()
    }

    pub(super) fn start(&mut self, node: usize) {
        let (head, context) = (self.head(node), self.context(node));
        let record = self.nodes[node].record.clone();
        let crypto = Box::new(KeyedHash(key(node)));
        let engine = Qbft::new(config(node), crypto, head, context, record).unwrap();
        self.nodes[node].engine = Some(engine);
        let now_ms = self.now_ms;
        self.tell(node, Input::Started { now_ms });
        let waiting = self.nodes[node].has_work;
        self.tell(node, Input::WorkWaiting { waiting });
    }

    /// kill -9: links break at once, only the record and the chain stay.
    pub(super) fn kill(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        state.engine = None;
        state.incarnation += 1;
        state.timers.clear();
        for other in 0..self.count() {
            self.cut(node, other);
        }
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))) {
            for (node, other) in [(a, b), (b, a)] {
                self.tell(node, Input::PeerDisconnected { peer: key(other) });
            }
        }
    }

    pub(super) fn join(&mut self, a: usize, b: usize) {
        let is_possible = a != b && self.is_up(a) && self.is_up(b);
        if is_possible && self.links.insert((a.min(b), a.max(b))) {
            for (node, other) in [(a, b), (b, a)] {
                self.tell(node, Input::PeerConnected { peer: key(other) });
            }
        }
    }

    pub(super) fn join_all(&mut self) {
        for node in 0..self.count() {
            (0..node).for_each(|other| self.join(node, other));
        }
    }

    /// Whether a transaction waits at a node; it stays after every block.
    pub(super) fn set_work(&mut self, node: usize, waiting: bool) {
        self.nodes[node].has_work = waiting;
        self.tell(node, Input::WorkWaiting { waiting });
    }

    pub(super) fn set_all_work(&mut self) {
        (0..self.count()).for_each(|node| self.set_work(node, true));
    }

    pub(super) fn height(&self, node: usize) -> u64 {
        self.head(node).height.0
    }

    pub(super) fn highest(&self) -> u64 {
        let heights = (0..self.count()).map(|node| self.height(node));
        heights.max().unwrap_or_default()
    }

    pub(super) fn round(&self, node: usize) -> u32 {
        let engine = self.nodes[node].engine.as_ref();
        engine.map_or(0, |engine| engine.status().round.0)
    }

    /// Who proposes at the height and round that a node works on.
    pub(super) fn proposer(&self, node: usize) -> usize {
        let engine = self.nodes[node].engine.as_ref().unwrap();
        self.index_of(&engine.status().proposer)
    }

    /// Beneficiaries of a node's blocks.
    pub(super) fn makers(&self, node: usize) -> Vec<usize> {
        let of = |(block, ..): &(SealedBlock, HeightContext, u64)| {
            (0..self.count()).find(|maker| operator(*maker) == block.header().beneficiary)
        };
        self.nodes[node].chain.iter().filter_map(of).collect()
    }

    /// When a node committed its blocks.
    pub(super) fn times_ms(&self, node: usize) -> Vec<u64> {
        self.nodes[node].chain.iter().map(|(.., at)| *at).collect()
    }

    pub(super) fn run(&mut self, for_ms: u64) {
        let end_ms = self.now_ms + for_ms;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end_ms {
                break;
            }
            let ((at_ms, _), (node, incarnation, event)) = entry.remove_entry();
            self.now_ms = at_ms;
            if self.nodes[node].incarnation == incarnation {
                self.on_event(node, event);
            }
        }
        self.now_ms = end_ms;
        self.check_agreement();
    }

    /// Runs until a node has a block of this height. Returns how long it took.
    pub(super) fn run_to(&mut self, node: usize, height: u64, for_ms: u64) -> Option<u64> {
        let start_ms = self.now_ms;
        while self.now_ms < start_ms + for_ms {
            if self.height(node) >= height {
                return Some(self.now_ms - start_ms);
            }
            self.run(1);
        }
        None
    }

    fn index_of(&self, wanted: &NodePublicKey) -> usize {
        let found = self.nodes.iter().position(|node| node.key == *wanted);
        found.unwrap()
    }

    fn check_agreement(&self) {
        let chains = || self.nodes.iter().map(|node| &node.chain);
        let longest = chains().max_by_key(|chain| chain.len()).unwrap();
        for chain in chains() {
            let pairs = chain.iter().zip(longest);
            assert!(pairs.into_iter().all(|(a, b)| a.0.hash() == b.0.hash()));
        }
    }

    fn head(&self, node: usize) -> HeadInfo {
        let last = self.nodes[node].chain.last();
        last.map_or_else(head, |(block, _, at_ms)| HeadInfo {
            height: block.height(),
            hash: block.hash(),
            timestamp_s: 0,
            committed_at_ms: *at_ms,
        })
    }

    fn context(&self, node: usize) -> HeightContext {
        let last = self.nodes[node].chain.last();
        last.map_or_else(|| context(self.count()), |(_, context, _)| context.clone())
    }

    fn schedule(&mut self, node: usize, after_ms: u64, event: Event) {
        self.sequence += 1;
        let incarnation = self.nodes[node].incarnation;
        let at = (self.now_ms + after_ms, self.sequence);
        self.queue.insert(at, (node, incarnation, event));
    }

    fn on_event(&mut self, node: usize, event: Event) {
        match event {
            Event::Deliver { from, bytes } => {
                if self.links.contains(&(from.min(node), from.max(node))) {
                    let from = self.nodes[from].key;
                    self.tell(node, Input::MessageReceived { from, bytes });
                }
            }
            Event::Alarm { timer, setting } => {
                if self.nodes[node].timers.get(&timer) == Some(&setting) {
                    self.nodes[node].timers.remove(&timer);
                    self.tell(node, Input::TimerFired { timer });
                }
            }
            Event::Tell(input) => self.tell(node, input),
            Event::Decided(block) => self.import(node, block),
            Event::Sync { from } => {
                let known = self.nodes[node].chain.len();
                let blocks = self.nodes[from].chain[known.min(self.nodes[from].chain.len())..]
                    .iter()
                    .map(|(block, ..)| block.clone());
                for block in blocks.collect::<Vec<_>>() {
                    self.import(node, block);
                }
            }
        }
    }

    fn tell(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(engine) = self.nodes[node].engine.as_mut() else {
            return;
        };
        for output in engine.handle(now_ms, input) {
            self.execute(node, output);
        }
    }

    fn execute(&mut self, node: usize, output: Output) {
        match output {
            Output::Persist { record } => self.nodes[node].record = Some(record),
            Output::Send { to, bytes } => {
                let to = self.index_of(&to);
                self.send(node, to, bytes);
            }
            Output::Broadcast { bytes } => {
                (0..self.count()).for_each(|to| self.send(node, to, bytes.clone()));
            }
            Output::SetTimer { timer, after } => {
                let setting = self.sequence + 1;
                self.nodes[node].timers.insert(timer, setting);
                let after_ms = u64::try_from(after.as_millis()).unwrap();
                self.schedule(node, after_ms, Event::Alarm { timer, setting });
            }
            Output::CancelTimer { timer } => drop(self.nodes[node].timers.remove(&timer)),
            Output::Build {
                height,
                round,
                parent,
            } => self.build(node, height, round, parent),
            Output::Check { block, .. } => {
                let (hash, valid) = (block.hash(), true);
                let answer = Input::BlockChecked { hash, valid };
                self.schedule(node, STEP_MS, Event::Tell(answer));
            }
            // After the other orders of the call.
            Output::Commit { block, .. } => self.schedule(node, 0, Event::Decided(block)),
            Output::SyncNeeded { from, .. } => {
                let from = self.index_of(&from);
                self.schedule(node, 2 * STEP_MS, Event::Sync { from });
            }
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        if from != to {
            self.schedule(to, STEP_MS, Event::Deliver { from, bytes });
        }
    }

    fn build(&mut self, node: usize, height: Height, round: Round, parent: alloy_primitives::B256) {
        let mut header = block(node, 1_000 * height.0 + u64::from(round.0))
            .header()
            .clone();
        header.number = height.0;
        header.parent_hash = parent;
        let block = Some(SealedBlock::new(Block::new(header, Default::default())));
        let answer = Input::BlockBuilt {
            height,
            round,
            block,
        };
        self.schedule(node, STEP_MS, Event::Tell(answer));
    }

    fn import(&mut self, node: usize, block: SealedBlock) {
        if block.height() != self.head(node).height.next() {
            return;
        }
        let context = self.context(node);
        let set = context.validators.clone();
        let height = block.height();
        let context = context.after(height, block.header().beneficiary, set);
        let now_ms = self.now_ms;
        self.nodes[node].chain.push((block, context, now_ms));
        let (head, context) = (self.head(node), self.context(node));
        let decided = Input::HeightDecided {
            height,
            head,
            context,
        };
        self.tell(node, decided);
        let waiting = self.nodes[node].has_work;
        self.tell(node, Input::WorkWaiting { waiting });
    }
}
