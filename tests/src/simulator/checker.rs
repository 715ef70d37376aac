//! The invariants: what must hold after every step of every run.

use super::{crypto::SimulatedCrypto, scenario::Scenario};
use alloy_primitives::B256;
use medina_consensus::{
    VoteCrypto,
    qbft::messages::{Message, MessageKind, PreparedClaim},
};
use medina_types::{Certificate, Height, Round, SealedBlock, ValidatorSet, commit_message};
use std::{collections::BTreeMap, fmt};

/// What can be violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// One block per height.
    Agreement,
    /// Each block extends the one before and passed the checks of honest nodes.
    Validity,
    /// Each block has a certificate of a quorum.
    Certificate,
    /// An honest validator signs one thing per kind, height and round.
    NoEquivocation,
    /// Honest validators are not accused.
    NoFalseAccusation,
    /// After the faults every honest node decides in bounded time.
    Liveness,
    /// With nothing to do no timer runs.
    Idleness,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
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
            seed,
            at_ms,
            details,
        } = self;
        write!(
            formatter,
            "seed {seed}: {invariant:?} violated at {at_ms} ms: {details}; "
        )?;
        write!(formatter, "replay with MEDINA_SEED={seed}")
    }
}

type Statement = (B256, Option<PreparedClaim>);

/// Sees everything that all nodes do.
#[derive(Debug)]
pub(crate) struct Checker {
    seed: u64,
    genesis: B256,
    set: ValidatorSet,
    crypto: SimulatedCrypto,
    decided: BTreeMap<Height, B256>,
    signed: BTreeMap<(usize, MessageKind, Height, Round), Statement>,
    pub(crate) violation: Option<Violation>,
}

impl Checker {
    pub(crate) fn new(
        scenario: &Scenario,
        genesis: B256,
        set: ValidatorSet,
        crypto: SimulatedCrypto,
    ) -> Self {
        let seed = scenario.seed;
        let (decided, signed) = (BTreeMap::new(), BTreeMap::new());
        Self {
            seed,
            genesis,
            set,
            crypto,
            decided,
            signed,
            violation: None,
        }
    }

    /// Keeps the first violation.
    pub(crate) fn report(&mut self, invariant: Invariant, at_ms: u64, details: String) {
        let seed = self.seed;
        self.violation.get_or_insert(Violation {
            invariant,
            seed,
            at_ms,
            details,
        });
    }

    /// An honest node put a block on its chain.
    pub(crate) fn on_block(
        &mut self,
        at_ms: u64,
        node: usize,
        parent: B256,
        block: &SealedBlock,
        certificate: &Certificate,
    ) {
        let (height, hash) = (block.height(), block.hash());
        let first = *self.decided.entry(height).or_insert(hash);
        if first != hash {
            let details = format!("node {node} decided {hash} at height {height}, others {first}");
            self.report(Invariant::Agreement, at_ms, details);
        }
        if block.header().parent_hash != parent {
            let details = format!("node {node}: block {height} does not extend its parent");
            self.report(Invariant::Validity, at_ms, details);
        }
        let message = || commit_message(self.genesis, height, certificate.round, hash);
        let verify =
            |key: &_, message: &[u8], signature: &_| self.crypto.verify(key, message, signature);
        if let Err(error) = certificate.verify_with(&self.set, self.set.quorum(), verify, message) {
            let details = format!("node {node}, height {height}: {error}");
            self.report(Invariant::Certificate, at_ms, details);
        }
    }

    /// An honest node sends something signed.
    pub(crate) fn on_sent(&mut self, at_ms: u64, node: usize, bytes: &[u8]) {
        let Ok(message) = Message::decode(bytes) else {
            let details = format!("node {node} sent what nobody can decode");
            return self.report(Invariant::NoFalseAccusation, at_ms, details);
        };
        let statement: Statement = match &message {
            Message::Proposal(proposal) => (proposal.block.hash(), None),
            Message::Prepare(prepare) => (prepare.digest, None),
            Message::Commit(commit) => (commit.digest, None),
            Message::RoundChange(change) => (B256::ZERO, change.statement.prepared),
            Message::Ahead { .. } => return,
        };
        let subject = (node, message.kind(), message.height(), message.round());
        let first = *self.signed.entry(subject).or_insert(statement);
        if first != statement {
            let details = format!("{subject:?}: first {first:?}, then {statement:?}");
            self.report(Invariant::NoEquivocation, at_ms, details);
        }
    }

    pub(crate) fn blocks_decided(&self) -> usize {
        self.decided.len()
    }
}
