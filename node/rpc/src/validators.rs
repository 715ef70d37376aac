//! `medina_validators`: who decides the next block, and what was seen of each.
//!
//! Seals are those of the certificates that this node keeps. A certificate holds
//! a quorum and not everybody, so a validator without a seal may be slow rather
//! than gone: the answer gives numbers and judges nobody.

use alloy_primitives::Address;
use jsonrpsee::server::RegisterMethodError;
use medina_types::{ConsensusEngine, Height, NodePublicKey, Validator};
use serde::Serialize;
use std::{collections::BTreeMap, ops::RangeInclusive};

use crate::{
    PeerSummary,
    arguments::Arguments,
    ballots::Change,
    context::Context,
    errors::{self, Answer},
    reading::Position,
    registry::Registry,
};

/// Last blocks that are looked at.
const SEEN_BLOCKS: u64 = 256;

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.scan("medina_validators", validators)
}

/// Name of an engine as the chain spec writes it.
pub(crate) const fn engine_name(engine: ConsensusEngine) -> &'static str {
    match engine {
        ConsensusEngine::Qbft => "qbft",
        ConsensusEngine::Raft => "raft",
    }
}

/// What the last blocks say of a validator.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    last_proposed: Option<u64>,
    last_signed: Option<u64>,
    proposed: u64,
    signed: u64,
}

/// A validator of the next block's set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    key: NodePublicKey,
    operator: Address,
    name: Option<String>,
    is_self: bool,
    is_connected: bool,
    /// Height of its head as far as it has told us.
    height: Option<u64>,
    #[serde(flatten)]
    seen: Seen,
}

/// A node that a ballot has admitted and whose operator has not activated it.
#[derive(Debug, Serialize)]
struct Admitted {
    key: NodePublicKey,
    operator: Address,
    name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Validators {
    /// Height that this set decides.
    height: u64,
    engine: &'static str,
    quorum: usize,
    proposer: Option<NodePublicKey>,
    /// Blocks that `lastProposed` and the like were looked for in; `null` on a fresh chain.
    first_seen_block: Option<u64>,
    last_seen_block: Option<u64>,
    validators: Vec<Described>,
    admitted: Vec<Admitted>,
}

fn validators(context: &Context, _: &mut Arguments) -> Answer<Validators> {
    let head = context.head();
    let set = &head.context.validators;
    let engine = context.spec().consensus.engine;
    let blocks = context.last_blocks(SEEN_BLOCKS);
    let seen = seen(context, blocks.clone())?;
    let peers = context.node.peers();
    let peers: BTreeMap<_, _> = peers.iter().map(|peer| (peer.key, peer)).collect();
    let describe = |validator: &Validator| {
        let seen = seen.get(&validator.key).copied().unwrap_or_default();
        let peer = peers.get(&validator.key).copied();
        describe(context, validator, peer, seen)
    };
    let (first, last) = (*blocks.start(), *blocks.end());
    let is_fresh = blocks.is_empty();
    Ok(Validators {
        height: head.height.next().0,
        engine: engine_name(engine),
        quorum: engine.quorum(set),
        proposer: context.node.consensus().map(|consensus| consensus.proposer),
        first_seen_block: (!is_fresh).then_some(first),
        last_seen_block: (!is_fresh).then_some(last),
        validators: set.validators().iter().map(describe).collect(),
        admitted: admitted(context)?,
    })
}

fn describe(
    context: &Context,
    validator: &Validator,
    peer: Option<&PeerSummary>,
    seen: Seen,
) -> Described {
    let is_self = validator.key == context.node.identity().key;
    let height = if is_self {
        Some(context.head().height)
    } else {
        peer.and_then(|peer| peer.height)
    };
    Described {
        key: validator.key,
        operator: validator.operator,
        name: context.node.name_of(&validator.key),
        is_self,
        is_connected: is_self || peer.is_some(),
        height: height.map(|height| height.0),
        seen,
    }
}

/// Proposals and seals of these blocks by key: keys, because an operator may
/// come back with another node.
fn seen(context: &Context, blocks: RangeInclusive<u64>) -> Answer<BTreeMap<NodePublicKey, Seen>> {
    let mut all: BTreeMap<NodePublicKey, Seen> = BTreeMap::new();
    for number in blocks {
        let height = Height(number);
        let Some(set) = context.deciders(height)? else {
            continue;
        };
        let header = context.store().header_by_number(height);
        let author = header.map_err(errors::storage)?;
        let author = author.and_then(|header| set.index_of_operator(&header.beneficiary));
        if let Some(validator) = author.and_then(|index| set.get(index)) {
            let seen = all.entry(validator.key).or_default();
            seen.proposed += 1;
            seen.last_proposed = Some(number);
        }
        let certificate = context.store().certificate(height);
        let certificate = certificate.map_err(errors::storage)?;
        for index in certificate.iter().flat_map(|found| found.signers()) {
            if let Some(validator) = set.get(index) {
                let seen = all.entry(validator.key).or_default();
                seen.signed += 1;
                seen.last_signed = Some(number);
            }
        }
    }
    Ok(all)
}

/// Nobody on a chain without the Permissioning contract.
fn admitted(context: &Context) -> Answer<Vec<Admitted>> {
    let Ok(ballots) = context.ballots(Position::Pending) else {
        return Ok(Vec::new());
    };
    let mut found = BTreeMap::new();
    for ballot in ballots.on_validators()?.iter().copied() {
        let Change::Add { key, operator } = ballot.change else {
            continue;
        };
        if !ballot.is_executed || found.contains_key(&key) {
            continue;
        }
        let node = ballots.node(&key)?;
        if !node.validator && node.operator == operator {
            let name = context.node.name_of(&key);
            found.insert(
                key,
                Admitted {
                    key,
                    operator,
                    name,
                },
            );
        }
    }
    Ok(found.into_values().collect())
}
