//! A group of engines with their disks, a clock and a network: deterministic.
//!
//! Orders are executed at once, answers and messages arrive a millisecond
//! later. Every block that any node commits is compared with all others'.

use crate::{
    Engine, HeadInfo, Input, Output, Raft, RaftConfig, RaftRole, Timer, VoteCrypto,
    raft::{RaftMessage, messages::RaftBody},
};
use alloy_primitives::{Address, B256, keccak256};
use medina_types::{
    Block, Certificate, ConsensusEngine, ConsensusParameters, Height, HeightContext, NodePublicKey,
    NodeSignature, SealedBlock, Validator, ValidatorSet, commit_message,
};
use std::collections::{BTreeMap, BTreeSet};

pub(in crate::raft) const GENESIS: B256 = B256::repeat_byte(0x11);
/// How often nodes of no group look for blocks.
const SYNC_PERIOD_MS: u64 = 200;
/// Gas that no block of ours has used: such a block is invalid.
const INVALID_GAS: u64 = 666;

fn byte(index: usize) -> u8 {
    u8::try_from(index + 1).expect("tests have few nodes")
}

pub(in crate::raft) fn key(index: usize) -> NodePublicKey {
    NodePublicKey([byte(index); 32])
}

/// A keyed hash in place of a signature.
pub(in crate::raft) struct Hashes(pub(in crate::raft) NodePublicKey);

fn hash_signature(key: &NodePublicKey, message: &[u8]) -> NodeSignature {
    let half = keccak256([&key.0, message].concat()).0;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&half);
    NodeSignature(bytes)
}

impl VoteCrypto for Hashes {
    fn sign(&self, message: &[u8]) -> NodeSignature {
        hash_signature(&self.0, message)
    }

    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool {
        hash_signature(key, message) == *signature
    }
}

pub(in crate::raft) fn set_of(indices: &[usize]) -> ValidatorSet {
    let validator = |index: &usize| Validator {
        key: key(*index),
        operator: Address::repeat_byte(byte(*index)),
    };
    ValidatorSet::new(indices.iter().map(validator).collect()).expect("distinct validators")
}

pub(in crate::raft) fn block(parent: &SealedBlock, salt: u64, valid: bool) -> SealedBlock {
    let header = alloy_consensus::Header {
        number: parent.height().0 + 1,
        parent_hash: parent.hash(),
        timestamp: salt,
        gas_used: if valid { 0 } else { INVALID_GAS },
        transactions_root: alloy_consensus::proofs::calculate_transaction_root(
            &[] as &[medina_types::Transaction]
        ),
        ..alloy_consensus::Header::default()
    };
    SealedBlock::new(Block::new(header, Default::default()))
}

pub(in crate::raft) fn genesis_block() -> SealedBlock {
    SealedBlock::new(Block::new(
        alloy_consensus::Header::default(),
        Default::default(),
    ))
}

#[derive(Default)]
pub(in crate::raft) struct Node {
    pub(in crate::raft) engine: Option<Raft>,
    pub(in crate::raft) record: Option<Vec<u8>>,
    /// By height, genesis first.
    pub(in crate::raft) chain: Vec<SealedBlock>,
    pub(in crate::raft) certificates: BTreeMap<u64, Certificate>,
    timers: BTreeMap<Timer, u64>,
    pub(in crate::raft) persisted: usize,
    pub(in crate::raft) refused: Vec<u64>,
    pub(in crate::raft) accused: Vec<String>,
    starts: u64,
}

pub(in crate::raft) struct Cluster {
    pub(in crate::raft) now_ms: u64,
    pub(in crate::raft) nodes: Vec<Node>,
    /// Set of the height and those that follow, by indices of nodes.
    pub(in crate::raft) sets: BTreeMap<u64, Vec<usize>>,
    queue: BTreeMap<(u64, u64), (usize, Input)>,
    sequence: u64,
    /// Nodes whose links are cut.
    pub(in crate::raft) isolated: BTreeSet<usize>,
    pub(in crate::raft) is_building_invalid: bool,
    /// Seals go astray.
    pub(in crate::raft) is_losing_seals: bool,
    /// Milliseconds that a node's commits take.
    pub(in crate::raft) commit_ms: BTreeMap<usize, u64>,
    pub(in crate::raft) accept_lost_record: bool,
    /// Every order of every node, as text: to compare two runs.
    pub(in crate::raft) trace: B256,
}

/// A crash between a record that no longer names a block and the block's
/// certificate would leave a block that nobody certifies any more.
fn assert_certificates_first(orders: &[Output]) {
    let is_record = |order: &Output| match order {
        Output::Persist { .. } => true,
        Output::Commit { record, .. } => record.is_some(),
        _ => false,
    };
    let is_certificate = |order: &Output| matches!(order, Output::Certify { .. });
    let record = orders.iter().position(is_record);
    let certificate = orders.iter().rposition(is_certificate);
    let is_early = certificate < record || certificate.is_none() || record.is_none();
    assert!(is_early, "a record goes before a certificate: {orders:?}");
}

impl Cluster {
    /// `count` nodes; the first validators are those of `set`.
    pub(in crate::raft) fn new(count: usize, set: &[usize]) -> Self {
        let mut cluster = Self {
            now_ms: 1,
            nodes: (0..count).map(|_| Node::default()).collect(),
            sets: BTreeMap::from([(1, set.to_vec())]),
            queue: BTreeMap::new(),
            sequence: 0,
            isolated: BTreeSet::new(),
            is_building_invalid: false,
            is_losing_seals: false,
            commit_ms: BTreeMap::new(),
            accept_lost_record: false,
            trace: B256::ZERO,
        };
        for node in &mut cluster.nodes {
            node.chain.push(genesis_block());
        }
        cluster
    }

    pub(in crate::raft) fn started(count: usize, set: &[usize]) -> Self {
        let mut cluster = Self::new(count, set);
        for index in 0..count {
            cluster.start(index);
        }
        cluster.run_ms(3_000);
        cluster
    }

    fn context(&self, height: u64) -> HeightContext {
        let (_, set) = self
            .sets
            .range(..=height)
            .next_back()
            .expect("height 1 has a set");
        HeightContext::genesis(set_of(set))
    }

    fn head(&self, index: usize, committed_at_ms: u64) -> HeadInfo {
        let head = self.nodes[index]
            .chain
            .last()
            .expect("a chain has a genesis");
        HeadInfo {
            height: head.height(),
            hash: head.hash(),
            timestamp_s: 0,
            committed_at_ms,
        }
    }

    pub(in crate::raft) fn height(&self, index: usize) -> u64 {
        self.nodes[index].chain.len() as u64 - 1
    }

    pub(in crate::raft) fn start(&mut self, index: usize) {
        let context = self.context(self.height(index) + 1);
        let head = self.head(index, 0);
        let accept_lost_record = self.accept_lost_record;
        let node = &mut self.nodes[index];
        node.starts += 1;
        let config = RaftConfig {
            genesis_hash: GENESIS,
            own_key: key(index),
            parameters: ConsensusParameters::default(),
            fresh_incarnation: node.starts * 1_000 + index as u64 + 7,
            accept_lost_record,
            recent: node
                .chain
                .iter()
                .map(|it| (it.height(), it.hash()))
                .collect(),
        };
        let crypto = Box::new(Hashes(key(index)));
        let engine = Raft::new(config, crypto, head, context, node.record.clone());
        node.engine = Some(engine.expect("our own record"));
        let now_ms = self.now_ms;
        self.handle(index, Input::Started { now_ms });
        for other in (0..self.nodes.len()).filter(|other| *other != index) {
            if self.nodes[other].engine.is_some() {
                self.handle(index, Input::PeerConnected { peer: key(other) });
                self.handle(other, Input::PeerConnected { peer: key(index) });
            }
        }
    }

    /// As kill -9: what is on disk stays.
    pub(in crate::raft) fn crash(&mut self, index: usize) {
        self.nodes[index].engine = None;
        self.nodes[index].timers.clear();
        self.queue.retain(|_, (to, _)| *to != index);
        for other in 0..self.nodes.len() {
            self.handle(other, Input::PeerDisconnected { peer: key(index) });
        }
    }

    pub(in crate::raft) fn restart(&mut self, index: usize) {
        self.crash(index);
        self.start(index);
    }

    /// Loses everything that is on its way to a node.
    pub(in crate::raft) fn drop_messages_to(&mut self, index: usize) {
        let is_message = |input: &Input| matches!(input, Input::MessageReceived { .. });
        self.queue
            .retain(|_, (to, input)| *to != index || !is_message(input));
    }

    /// Takes from the wire what is on its way to a node, down or not.
    pub(in crate::raft) fn take_messages_to(&mut self, index: usize) -> Vec<Vec<u8>> {
        self.take_messages(|to, _| to == index)
    }

    /// Takes from the wire what is on its way between two nodes.
    pub(in crate::raft) fn take_messages_between(
        &mut self,
        from: usize,
        to: usize,
    ) -> Vec<Vec<u8>> {
        self.take_messages(|receiver, sender| receiver == to && *sender == key(from))
    }

    fn take_messages(&mut self, is_wanted: impl Fn(usize, &NodePublicKey) -> bool) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        self.queue.retain(|_, (to, input)| match input {
            Input::MessageReceived { from, bytes } if is_wanted(*to, from) => {
                taken.push(std::mem::take(bytes));
                false
            }
            _ => true,
        });
        taken
    }

    pub(in crate::raft) fn later(&mut self, to: usize, input: Input) {
        self.after_ms(1, to, input);
    }

    fn after_ms(&mut self, ms: u64, to: usize, input: Input) {
        self.sequence += 1;
        self.queue
            .insert((self.now_ms + ms, self.sequence), (to, input));
    }

    pub(in crate::raft) fn set_work(&mut self, waiting: bool) {
        for index in 0..self.nodes.len() {
            self.handle(index, Input::WorkWaiting { waiting });
        }
    }

    /// Runs the clock, with everything that happens meanwhile.
    pub(in crate::raft) fn run_ms(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            let next = (self.now_ms / SYNC_PERIOD_MS + 1) * SYNC_PERIOD_MS;
            self.run_until(next.min(end));
            if next <= end {
                self.sync_followers();
            }
        }
    }

    /// Nodes of no group follow the chain, as every node does.
    fn sync_followers(&mut self) {
        for index in 0..self.nodes.len() {
            let is_follower = self.role(index) == RaftRole::Outside;
            if !is_follower || self.nodes[index].engine.is_none() || self.is_isolated(index) {
                continue;
            }
            for from in (0..self.nodes.len()).filter(|from| *from != index) {
                self.sync(index, key(from), Height(u64::MAX));
            }
        }
    }

    fn is_isolated(&self, index: usize) -> bool {
        self.isolated.contains(&index)
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let message = self.queue.first_key_value().map(|((at, _), _)| *at);
            let timers = self.nodes.iter().enumerate();
            let timer = timers
                .flat_map(|(index, node)| node.timers.iter().map(move |(t, at)| (*at, index, *t)))
                .min();
            match (message, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, ..)| at <= due) => {
                    self.now_ms = self.now_ms.max(at);
                    let (_, (to, input)) = self.queue.pop_first().expect("looked at above");
                    self.handle(to, input);
                }
                (_, Some((due, index, timer))) if due <= end => {
                    self.now_ms = self.now_ms.max(due);
                    self.nodes[index].timers.remove(&timer);
                    self.handle(index, Input::TimerFired { timer });
                }
                _ => break,
            }
        }
        self.now_ms = end;
    }

    pub(in crate::raft) fn handle(&mut self, index: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(engine) = self.nodes[index].engine.as_mut() else {
            return;
        };
        let orders = engine.handle(now_ms, input);
        assert_certificates_first(&orders);
        for order in orders {
            let line = format!("{now_ms} {index} {order:?}");
            self.trace = keccak256([self.trace.0.as_slice(), line.as_bytes()].concat());
            self.execute(index, order);
        }
    }

    fn deliver(&mut self, from: usize, to: NodePublicKey, bytes: Vec<u8>) {
        let to = (0..self.nodes.len()).find(|index| key(*index) == to);
        let Some(to) = to.filter(|to| *to != from) else {
            return;
        };
        let is_lost =
            self.is_losing_seals && matches!(RaftMessage::decode(&bytes), Ok(RaftMessage::Seal(_)));
        if !is_lost && !self.isolated.contains(&from) && !self.isolated.contains(&to) {
            let from = key(from);
            self.later(to, Input::MessageReceived { from, bytes });
        }
    }

    fn execute(&mut self, index: usize, order: Output) {
        match order {
            Output::Persist { record } => {
                self.nodes[index].persisted += 1;
                self.nodes[index].record = Some(record);
            }
            Output::Send { to, bytes } => self.deliver(index, to, bytes),
            Output::Broadcast { bytes } => {
                for to in 0..self.nodes.len() {
                    self.deliver(index, key(to), bytes.clone());
                }
            }
            Output::SetTimer { timer, after } => {
                let at = self.now_ms + u64::try_from(after.as_millis()).expect("short");
                self.nodes[index].timers.insert(timer, at);
            }
            Output::CancelTimer { timer } => {
                self.nodes[index].timers.remove(&timer);
            }
            Output::Build { height, round, .. } => {
                let parent = self.nodes[index].chain.last().expect("genesis");
                let salt = self.now_ms * 16 + index as u64;
                let block = Some(block(parent, salt, !self.is_building_invalid));
                let built = Input::BlockBuilt {
                    height,
                    round,
                    block,
                };
                self.later(index, built);
            }
            Output::CheckDecided { block } => {
                let valid = block.header().gas_used != INVALID_GAS;
                let hash = block.hash();
                self.later(index, Input::BlockChecked { hash, valid });
            }
            Output::Check { .. } => panic!("Raft checks decided blocks only"),
            Output::Commit {
                block,
                certificate,
                record,
            } => {
                let record = record.expect("a commit carries the record");
                assert!(!record.is_empty(), "the record was filled in");
                self.nodes[index].record = Some(record);
                self.commit(index, block, certificate);
            }
            Output::Certify {
                height,
                certificate,
            } => {
                assert!(self.is_certificate(index, height, &certificate));
                self.nodes[index].certificates.insert(height.0, certificate);
            }
            Output::EntryRefused { index: at, .. } => self.nodes[index].refused.push(at),
            Output::SyncNeeded { from, height } => self.sync(index, from, height),
            Output::PeerMisbehaved { reason, .. } => self.nodes[index].accused.push(reason),
        }
    }

    fn commit(&mut self, index: usize, block: SealedBlock, certificate: Certificate) {
        let height = block.height();
        for node in &self.nodes {
            let other = node.chain.get(usize::try_from(height.0).expect("small"));
            let is_same = other.is_none_or(|other| other.hash() == block.hash());
            assert!(is_same, "fork at height {height}");
        }
        let parent = self.nodes[index].chain.last().expect("genesis");
        assert_eq!(
            parent.hash(),
            block.header().parent_hash,
            "extends the chain"
        );
        assert_ne!(block.header().gas_used, INVALID_GAS, "a valid block");
        self.nodes[index].chain.push(block);
        self.nodes[index].certificates.insert(height.0, certificate);
        let decided = Input::HeightDecided {
            height,
            head: self.head(index, self.now_ms),
            context: self.context(height.0 + 1),
        };
        let after_ms = self.commit_ms.get(&index).copied().unwrap_or(1);
        self.after_ms(after_ms, index, decided);
    }

    /// A block that sync brought is at the head, and the engine hears of it.
    pub(in crate::raft) fn append(&mut self, index: usize, block: SealedBlock) {
        self.nodes[index].chain.push(block);
        let height = Height(self.height(index));
        let decided = Input::HeightDecided {
            height,
            head: self.head(index, self.now_ms),
            context: self.context(height.0 + 1),
        };
        self.handle(index, decided);
    }

    fn is_certificate(&self, index: usize, height: Height, certificate: &Certificate) -> bool {
        let set = self.context(height.0).validators;
        let at = usize::try_from(height.0).expect("small");
        let hash = self.nodes[index].chain[at].hash();
        let quorum = ConsensusEngine::Raft.quorum(&set);
        let verify = |key: &NodePublicKey, message: &[u8], seal: &NodeSignature| {
            hash_signature(key, message) == *seal
        };
        let message = || commit_message(GENESIS, height, certificate.round, hash);
        certificate
            .verify_with(&set, quorum, verify, message)
            .is_ok()
    }

    pub(in crate::raft) fn is_certified(&self, index: usize, height: u64) -> bool {
        let certificate = self.nodes[index].certificates.get(&height);
        certificate.is_some_and(|it| self.is_certificate(index, Height(height), it))
    }

    /// Takes certified blocks from a peer, as sync does.
    fn sync(&mut self, index: usize, from: NodePublicKey, height: Height) {
        let from = (0..self.nodes.len()).find(|it| key(*it) == from);
        let is_up = |from: &usize| self.nodes[*from].engine.is_some() && !self.is_isolated(*from);
        let Some(from) = from.filter(is_up) else {
            return;
        };
        while self.height(index) < height.0.min(self.height(from)) {
            let next = self.height(index) + 1;
            if !self.is_certified(from, next) {
                return;
            }
            let block = self.nodes[from].chain[usize::try_from(next).expect("small")].clone();
            let certificate = self.nodes[from].certificates[&next].clone();
            self.commit(index, block, certificate);
        }
    }

    pub(in crate::raft) fn role(&self, index: usize) -> RaftRole {
        let status = self.nodes[index].engine.as_ref().map(Engine::status);
        let raft = status.and_then(|status| status.raft);
        raft.map_or(RaftRole::Outside, |raft| raft.role)
    }

    pub(in crate::raft) fn raft_id(&self, index: usize) -> u64 {
        let status = self.nodes[index].engine.as_ref().map(Engine::status);
        let raft = status.and_then(|status| status.raft);
        raft.map_or(0, |raft| raft.id)
    }

    pub(in crate::raft) fn leader(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|index| self.role(*index) == RaftRole::Leader)
    }

    pub(in crate::raft) fn mint_until(&mut self, height: u64, ms_max: u64) {
        self.set_work(true);
        let end = self.now_ms + ms_max;
        while self.now_ms < end && (0..self.nodes.len()).all(|index| self.height(index) < height) {
            self.run_ms(10);
        }
        self.set_work(false);
        self.run_ms(1_500);
        let highest = (0..self.nodes.len()).map(|index| self.height(index)).max();
        assert!(
            highest >= Some(height),
            "height {height} within {ms_max} ms, got {highest:?}"
        );
    }

    /// Every given node has the highest chain.
    pub(in crate::raft) fn assert_all_equal(&self, indices: &[usize]) {
        let highest = indices.iter().map(|index| self.height(*index)).max();
        for &index in indices {
            assert_eq!(Some(self.height(index)), highest, "node {index}");
        }
    }

    pub(in crate::raft) fn assert_nobody_accused(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            assert!(
                node.accused.is_empty(),
                "node {index} accused: {:?}",
                node.accused
            );
        }
    }
}

/// A Raft message as `from` sends it in its first incarnation.
pub(in crate::raft) fn raft_bytes(body: RaftBody) -> Vec<u8> {
    let body = Box::new(body);
    RaftMessage::Raft {
        incarnation: 0,
        body,
    }
    .encode()
}
