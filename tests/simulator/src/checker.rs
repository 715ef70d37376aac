//! The invariants: what must hold after every step of every run.

use crate::{
    block::fingerprint,
    crypto::SimulatedCrypto,
    disk::Disk,
    node::Node,
    scenario::{Sabotage, Scenario},
};
use alloy_primitives::B256;
use medina_consensus::{
    RaftRole, RaftStatus, VoteCrypto,
    qbft::messages::{Message, MessageKind, PreparedClaim},
};
use medina_types::{
    Certificate, ConsensusEngine, Height, NodePublicKey, Round, SealedBlock, ValidatorSet,
    commit_message,
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

/// Groups of voters that are remembered of each node.
const GROUPS_MAX: usize = 3;

/// What can be violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// One block per height.
    Agreement,
    /// Each block extends the one before and passed the checks of honest nodes.
    Validity,
    /// Each block has a certificate of a quorum.
    Certificate,
    /// An honest validator signs one thing per kind, height and round, and never
    /// forgets what it committed to.
    NoEquivocation,
    /// Honest validators propose and prepare justified blocks only.
    Justification,
    /// Peers make an honest node keep and check a bounded amount.
    Bounds,
    /// What an honest node promises is on its disk before it says so; with Raft,
    /// a committed block is on the disks of a majority.
    Durability,
    /// With Raft, a term has one leader at most.
    OneLeader,
    /// With Raft, an entry that is refused is refused by all.
    SameEntries,
    /// Honest validators are not accused.
    NoFalseAccusation,
    /// After the faults every honest node decides in bounded rounds and time.
    Liveness,
    /// With nothing to do no timer runs and nothing is written.
    Idleness,
    /// Engines never panic.
    NoPanic,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Engine of the run.
    pub engine: ConsensusEngine,
    /// Seed of the run.
    pub seed: u64,
    /// Virtual time.
    pub at_ms: u64,
    /// What was seen.
    pub details: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            engine,
            seed,
            at_ms,
            details,
        } = self;
        let name = format!("{engine:?}").to_lowercase();
        writeln!(
            formatter,
            "seed {seed}: {invariant:?} violated at {at_ms} ms: {details}"
        )?;
        write!(
            formatter,
            "  replay with: make simulate ENGINE={name} SEED={seed}"
        )
    }
}

type Statement = (B256, Option<PreparedClaim>);

/// Sees everything that all nodes do.
#[derive(Debug)]
pub(crate) struct Checker {
    seed: u64,
    engine: ConsensusEngine,
    genesis: B256,
    crypto: SimulatedCrypto,
    decided: BTreeMap<Height, B256>,
    signed: BTreeMap<(usize, MessageKind, Height, Round), Statement>,
    /// Highest round of each node's COMMITs.
    committed: BTreeMap<(usize, Height), Round>,
    /// Bytes by which a block is recognised on a disk.
    fingerprints: BTreeMap<B256, Vec<u8>>,
    leaders: BTreeMap<u64, u64>,
    refused: BTreeMap<u64, (usize, Height)>,
    /// Each node's latest groups of voters: an entry may be committed by the
    /// group before a change that is applied at the same time.
    groups: BTreeMap<usize, VecDeque<Vec<NodePublicKey>>>,
    judges_answers: bool,
    pub(crate) violation: Option<Violation>,
}

impl Checker {
    pub(crate) fn new(scenario: &Scenario, genesis: B256, crypto: SimulatedCrypto) -> Self {
        Self {
            seed: scenario.seed,
            engine: scenario.engine,
            genesis,
            crypto,
            decided: BTreeMap::new(),
            signed: BTreeMap::new(),
            committed: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            leaders: BTreeMap::new(),
            refused: BTreeMap::new(),
            groups: BTreeMap::new(),
            // Engines that check no signature answer to anything.
            judges_answers: scenario.sabotage != Sabotage::BlindEngines,
            violation: None,
        }
    }

    /// Keeps the first violation.
    pub(crate) fn report(&mut self, invariant: Invariant, at_ms: u64, details: String) {
        let (seed, engine) = (self.seed, self.engine);
        self.violation.get_or_insert(Violation {
            invariant,
            engine,
            seed,
            at_ms,
            details,
        });
    }

    /// Somebody made a block.
    pub(crate) fn learn_block(&mut self, block: &SealedBlock) {
        self.fingerprints
            .insert(block.hash(), fingerprint(block).to_vec());
    }

    /// An honest node is about to put a block on its chain.
    pub(crate) fn on_block(
        &mut self,
        at_ms: u64,
        node: usize,
        disk: &Disk,
        block: &SealedBlock,
        certificate: &Certificate,
        needs_quorum: bool,
    ) {
        let (height, hash) = (block.height(), block.hash());
        let first = *self.decided.entry(height).or_insert(hash);
        if first != hash {
            let details = format!("node {node} decided {hash} at height {height}, others {first}");
            self.report(Invariant::Agreement, at_ms, details);
        }
        let set = &disk.context().validators;
        let quorum = if needs_quorum {
            self.engine.quorum(set)
        } else {
            0
        };
        self.check_certificate(at_ms, node, (height, hash), certificate, (set, quorum));
    }

    pub(crate) fn check_certificate(
        &mut self,
        at_ms: u64,
        node: usize,
        (height, hash): (Height, B256),
        certificate: &Certificate,
        (set, quorum): (&ValidatorSet, usize),
    ) {
        let message = || commit_message(self.genesis, height, certificate.round, hash);
        let verify =
            |key: &_, message: &[u8], signature: &_| self.crypto.verify(key, message, signature);
        if let Err(error) = certificate.verify_with(set, quorum, verify, message) {
            let details = format!("node {node}, height {height}: {error}");
            self.report(Invariant::Certificate, at_ms, details);
        }
    }

    /// An honest node sends something signed.
    pub(crate) fn on_sent(&mut self, at_ms: u64, number: usize, node: &Node, bytes: &[u8]) {
        let Ok(message) = Message::decode(bytes) else {
            let details = format!("node {number} sent what nobody can decode");
            return self.report(Invariant::NoFalseAccusation, at_ms, details);
        };
        let statement: Statement = match &message {
            Message::Proposal(proposal) => (proposal.block.hash(), None),
            Message::Prepare(prepare) => (prepare.digest, None),
            Message::Commit(commit) => (commit.digest, None),
            Message::RoundChange(change) => (B256::ZERO, change.statement.prepared),
            Message::Ahead { .. } => return,
        };
        let promised = statement.1.map_or(statement.0, |claim| claim.digest);
        let (height, round) = (message.height(), message.round());
        let subject = (number, message.kind(), height, round);
        // A round change that is said again may follow a record that has a
        // block of its own round in place of the claimed one: that holds more.
        let is_claim_again = statement.1.is_some() && self.signed.get(&subject) == Some(&statement);
        if !is_claim_again {
            self.check_promise(at_ms, number, node, &message, promised);
        }
        if node.may_equivocate {
            return;
        }
        let first = *self.signed.entry(subject).or_insert(statement);
        if first != statement {
            let details = format!("{subject:?}: first {first:?}, then {statement:?}");
            self.report(Invariant::NoEquivocation, at_ms, details);
        }
        self.check_memory(at_ms, number, &message, statement.1);
    }

    /// Whoever committed in a round claims it in every later round change.
    fn check_memory(
        &mut self,
        at_ms: u64,
        node: usize,
        message: &Message,
        claim: Option<PreparedClaim>,
    ) {
        let (height, round) = (message.height(), message.round());
        match message.kind() {
            MessageKind::Commit => {
                let highest = self.committed.entry((node, height)).or_insert(round);
                *highest = round.max(*highest);
            }
            MessageKind::RoundChange => {
                let committed = self.committed.get(&(node, height)).copied();
                let committed = committed.filter(|committed| *committed < round);
                let is_kept = |committed| claim.is_some_and(|claim| claim.round >= committed);
                if let Some(committed) = committed.filter(|committed| !is_kept(*committed)) {
                    let details = format!(
                        "node {node} committed in {height}/{committed} and asks for round {round} \
                         with {claim:?}"
                    );
                    self.report(Invariant::NoEquivocation, at_ms, details);
                }
            }
            _ => {}
        }
    }

    /// The block that a message is about must be in the record by now.
    fn check_promise(
        &mut self,
        at_ms: u64,
        number: usize,
        node: &Node,
        message: &Message,
        digest: B256,
    ) {
        let Some(mark) = self.fingerprints.get(&digest) else {
            return;
        };
        let record = node.disk.record.as_deref().unwrap_or_default();
        if !contains(record, mark) {
            let details = format!(
                "node {number} sends {:?} {}/{} of {digest:.8} and its record does not know of it",
                message.kind(),
                message.height(),
                message.round()
            );
            self.report(Invariant::Durability, at_ms, details);
        }
    }

    /// With Raft a node commits what a majority of the voters has on disk.
    pub(crate) fn check_durable(
        &mut self,
        at_ms: u64,
        nodes: &[Node],
        number: usize,
        block: &SealedBlock,
    ) {
        let is_known = self.decided.contains_key(&block.height());
        if is_known || nodes.iter().any(|node| node.has_lost_record) {
            return;
        }
        let groups = self.groups.get(&number).cloned().unwrap_or_default();
        // A node that is outside has the block from the chain of others.
        if groups
            .back()
            .is_none_or(|group| !group.contains(&nodes[number].key))
        {
            return;
        }
        let mark = fingerprint(block);
        let has_it = |node: &Node| {
            // The commit itself writes block and record together.
            let is_committing = node.key == nodes[number].key;
            let decided = node.disk.at(block.height());
            is_committing
                || decided.is_some_and(|decided| decided.block.hash() == block.hash())
                || contains(node.disk.record.as_deref().unwrap_or_default(), mark)
        };
        let holders: Vec<_> = nodes
            .iter()
            .filter(|node| has_it(node))
            .map(|node| node.key)
            .collect();
        let is_majority = |group: &Vec<NodePublicKey>| {
            let count = group.iter().filter(|key| holders.contains(key)).count();
            count > group.len() / 2
        };
        if !groups.iter().any(is_majority) {
            let details = format!(
                "node {number} commits block {} that {} nodes have on disk, no majority of {:?} voters",
                block.height(),
                holders.len(),
                groups.iter().map(Vec::len).collect::<Vec<_>>()
            );
            self.report(Invariant::Durability, at_ms, details);
        }
    }

    fn learn_group(&mut self, node: usize, raft: &RaftStatus) {
        let voters = raft.members.iter().filter(|member| !member.is_learner);
        let voters: Vec<_> = voters.map(|member| member.key).collect();
        let groups = self.groups.entry(node).or_default();
        if groups.back() != Some(&voters) {
            groups.push_back(voters);
        }
        if groups.len() > GROUPS_MAX {
            groups.pop_front();
        }
    }

    pub(crate) fn on_raft_status(&mut self, at_ms: u64, node: usize, raft: &RaftStatus) {
        self.learn_group(node, raft);
        if raft.role != RaftRole::Leader {
            return;
        }
        let first = *self.leaders.entry(raft.term).or_insert(raft.id);
        if first != raft.id {
            let details = format!(
                "node {node} leads term {} as {:x}, which {first:x} led before",
                raft.term, raft.id
            );
            self.report(Invariant::OneLeader, at_ms, details);
        }
    }

    /// Nodes that applied every entry themselves refuse the same ones at the
    /// same place; one that synchronised may skip them.
    pub(crate) fn on_entry_refused(&mut self, at_ms: u64, number: usize, node: &Node, index: u64) {
        let height = node.disk.height();
        let (other, first) = *self.refused.entry(index).or_insert((number, height));
        if first > height {
            let details = format!(
                "entry {index} refused by node {number} at height {height}, by node {other} at {first}"
            );
            self.report(Invariant::SameEntries, at_ms, details);
        }
    }

    /// Whether answers of honest nodes are compared with the oracle's.
    pub(crate) fn judges_answers(&self) -> bool {
        self.judges_answers
    }

    pub(crate) fn is_decided(&self, height: Height) -> bool {
        self.decided.contains_key(&height)
    }

    pub(crate) fn blocks_decided(&self) -> usize {
        self.decided.len()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((&first, rest)) = needle.split_first() else {
        return true;
    };
    let starts = haystack
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == first);
    let mut tails = starts.map(|(at, _)| &haystack[at + 1..]);
    tails.any(|tail| tail.starts_with(rest))
}
