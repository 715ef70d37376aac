//! Makes the consensus engine that genesis asks for.

use crate::{chain::Chain, config::NodeConfig, node::NodeError};
use alloy_primitives::B256;
use medina_consensus::{
    Ed25519Crypto, Engine, HeadInfo, Qbft, QbftConfig, Raft, RaftConfig, RecordError,
};
use medina_types::{ConsensusEngine, Height, NodeSecretKey};
use tracing::warn;

/// Blocks below the head that a Raft engine can seal again after a restart.
const RECENT_HASHES: usize = 1_024;

/// The engine that genesis asks for. A record that is torn or damaged is as good
/// as none: the node goes on as one that lost it, which every engine can do
/// without contradicting its earlier votes. A record of another chain, key or
/// version is a mistake that only a person can judge.
pub(crate) fn engine(
    config: &NodeConfig,
    chain: &Chain,
    key: &NodeSecretKey,
) -> Result<Box<dyn Engine>, NodeError> {
    let record = chain.store.consensus_record()?;
    match engine_with(config, chain, key, record) {
        Err(NodeError::Record(
            error @ (RecordError::Truncated(_) | RecordError::Checksum | RecordError::Malformed(_)),
        )) => {
            warn!(%error, "the record of this node's votes is lost: it observes before it votes again");
            engine_with(config, chain, key, None)
        }
        other => other,
    }
}

fn engine_with(
    config: &NodeConfig,
    chain: &Chain,
    key: &NodeSecretKey,
    record: Option<Vec<u8>>,
) -> Result<Box<dyn Engine>, NodeError> {
    let head = chain.head();
    let parameters = chain.spec.consensus;
    let genesis_hash = chain.spec.genesis_hash;
    let own_key = key.public_key();
    let accept_lost_record = config.consensus.vote_without_record;
    let info = HeadInfo {
        height: head.height,
        hash: head.hash,
        timestamp_s: head.header.timestamp,
        committed_at_ms: 0,
    };
    let crypto = Box::new(Ed25519Crypto::new(key.clone()));
    let context = head.context.clone();
    Ok(match parameters.engine {
        ConsensusEngine::Qbft => {
            let validators = &head.context.validators;
            let own = validators.index_of_key(&own_key);
            let own = own.and_then(|index| validators.get(index));
            let qbft = QbftConfig {
                genesis_hash,
                own_key,
                operator: own.map(|own| own.operator).unwrap_or_default(),
                parameters,
                observe_only: record.is_none(),
                accept_lost_record,
            };
            Box::new(Qbft::new(qbft, crypto, info, context, record)?)
        }
        ConsensusEngine::Raft => {
            let raft = RaftConfig {
                genesis_hash,
                own_key,
                parameters,
                fresh_incarnation: random_number()?,
                accept_lost_record,
                recent: recent_hashes(chain, &info)?,
            };
            Box::new(Raft::new(raft, crypto, info, context, record)?)
        }
    })
}

/// Hashes of the blocks below the head, which headers hold of their parents.
fn recent_hashes(chain: &Chain, head: &HeadInfo) -> Result<Vec<(Height, B256)>, NodeError> {
    let mut hashes = Vec::new();
    let mut child = head.height;
    while hashes.len() < RECENT_HASHES {
        let Some(height) = child.previous() else {
            break;
        };
        let Some(header) = chain.store.header_by_number(child)? else {
            break;
        };
        hashes.push((height, header.parent_hash));
        child = height;
    }
    Ok(hashes)
}

fn random_number() -> Result<u64, NodeError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| NodeError::NoRandomness(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support::{chain, config_in, raft_chain, secret};

    #[test]
    fn torn_or_damaged_record_is_a_lost_one_with_both_engines() {
        for (folder, chain) in [chain(), raft_chain()] {
            let config = config_in(folder.path());
            for damaged in [&b""[..], b"torn", &[1; 200], &[0xff; 4]] {
                chain.store.put_consensus_record(damaged).unwrap();
                let start = engine(&config, &chain, &secret(0));
                match start {
                    Ok(engine) => assert_eq!(engine.status().height, medina_types::Height(1)),
                    // Of a version that this node does not know: a person must look.
                    Err(NodeError::Record(RecordError::Version { .. })) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    #[test]
    fn record_of_another_key_stops_the_node() {
        let (folder, chain) = chain();
        let config = config_in(folder.path());
        let mut first = engine(&config, &chain, &secret(0)).unwrap();
        let mut outputs = first.handle(0, medina_consensus::Input::Started { now_ms: 0 });
        for peer in 1..4 {
            let peer = secret(peer).public_key();
            let fact = medina_consensus::Input::PeerConnected { peer };
            outputs.extend(first.handle(0, fact));
        }
        for now_ms in [0, 2_000, 10_000] {
            let fact = medina_consensus::Input::WorkWaiting { waiting: true };
            outputs.extend(first.handle(now_ms, fact));
            let timer = medina_consensus::Timer::Round;
            let fact = medina_consensus::Input::TimerFired { timer };
            outputs.extend(first.handle(now_ms, fact));
        }
        let record = outputs.into_iter().rev().find_map(|output| match output {
            medina_consensus::Output::Persist { record } => Some(record),
            _ => None,
        });
        let record = record.expect("a round change is signed when a round takes too long");
        chain.store.put_consensus_record(&record).unwrap();
        assert!(engine(&config, &chain, &secret(0)).is_ok());
        let other = engine(&config, &chain, &secret(1)).err();
        let is_refused = matches!(other, Some(NodeError::Record(RecordError::OtherKey { .. })));
        assert!(is_refused, "{other:?}");
    }
}
