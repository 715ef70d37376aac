//! Starts the engine of a node on what its disk holds.

use crate::{
    block::{GENESIS, operator},
    node::{Node, is_lost},
    scenario::Scenario,
};
use medina_consensus::{Engine, HeadInfo, Qbft, QbftConfig, Raft, RaftConfig, RecordError};
use medina_types::ConsensusEngine;

/// An engine that tells how much its peers make it keep.
pub(crate) trait Measured: Engine {
    /// Bytes, blocks and proofs included.
    fn kept_bytes(&self) -> usize;
}

impl Measured for Qbft {
    fn kept_bytes(&self) -> usize {
        Self::kept_bytes(self)
    }
}

impl Measured for Raft {
    /// Members of the group are trusted.
    fn kept_bytes(&self) -> usize {
        0
    }
}

/// As the node's service does: a record that is damaged counts as lost.
pub(crate) fn start(
    scenario: &Scenario,
    node: &Node,
    votes_anyway: bool,
    incarnation: u64,
) -> Result<Box<dyn Measured>, RecordError> {
    let record = node.disk.record.clone();
    match start_on(scenario, node, votes_anyway, incarnation, record) {
        Err(error) if is_lost(&error) => start_on(scenario, node, votes_anyway, incarnation, None),
        other => other,
    }
}

fn start_on(
    scenario: &Scenario,
    node: &Node,
    votes_anyway: bool,
    incarnation: u64,
    record: Option<Vec<u8>>,
) -> Result<Box<dyn Measured>, RecordError> {
    let head = HeadInfo {
        height: node.disk.height(),
        hash: node.disk.head_hash(),
        timestamp_s: node.disk.head_time_s(),
        committed_at_ms: 0,
    };
    let context = node.disk.context().clone();
    let crypto = Box::new(node.crypto.clone());
    match scenario.engine {
        ConsensusEngine::Qbft => {
            let config = QbftConfig {
                genesis_hash: GENESIS,
                own_key: node.key,
                operator: operator(node.validator),
                parameters: scenario.parameters,
                observe_only: record.is_none(),
                accept_lost_record: votes_anyway,
            };
            Ok(Box::new(Qbft::new(config, crypto, head, context, record)?))
        }
        ConsensusEngine::Raft => {
            let decided = node.disk.chain.iter().map(|decided| &decided.block);
            let config = RaftConfig {
                genesis_hash: GENESIS,
                own_key: node.key,
                parameters: scenario.parameters,
                fresh_incarnation: incarnation,
                accept_lost_record: votes_anyway,
                recent: decided.map(|it| (it.height(), it.hash())).collect(),
            };
            Ok(Box::new(Raft::new(config, crypto, head, context, record)?))
        }
    }
}
