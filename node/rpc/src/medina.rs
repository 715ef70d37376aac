//! The `medina` namespace: contracts, chain spec, consensus, certificates, peers.

use alloy_primitives::U64;
use jsonrpsee::server::RegisterMethodError;
use medina_consensus::RaftStatus;
use medina_types::{GasPolicy, Height, NodeSignature, PermissionMode, Validator, ValidatorSet};
use serde_json::{Value, json};

use crate::{
    PeerSummary, SyncProgress,
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, server},
    raft::{leader_of, role},
    registry::Registry,
    validators::engine_name,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("medina_contracts", |context, _| {
        Ok(context.spec().contracts.clone())
    })?;
    registry.quick("medina_chainSpec", chain_spec)?;
    registry.quick("medina_consensus", consensus)?;
    registry.quick("medina_peers", peers)?;
    registry.quick("medina_node", node)?;
    registry.quick("medina_syncProgress", sync_progress)?;
    registry.read("medina_certificate", certificate)
}

fn chain_spec(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let spec = context.spec();
    let times = &spec.consensus;
    Ok(json!({
        "name": spec.name,
        "chainId": U64::from(spec.chain_id),
        "genesisHash": spec.genesis_hash,
        "gasLimit": U64::from(spec.gas_limit),
        "gasPolicy": match spec.gas_policy {
            GasPolicy::Free(_) => "free",
            GasPolicy::Metered(_) => "metered",
        },
        "blockReward": spec.block_reward,
        "permissions": match spec.permissions {
            PermissionMode::Open => "open",
            PermissionMode::Enforced => "enforced",
        },
        "consensus": {
            "engine": engine_name(times.engine),
            "baseTimeoutMs": times.base_timeout.as_millis(),
            "timeoutMaxMs": times.timeout_max.as_millis(),
            "minBlockIntervalMs": times.min_block_interval.as_millis(),
            "emptyBlockPeriodMs": times.empty_block_period.map(|period| period.as_millis()),
            "clockToleranceMs": times.clock_tolerance.as_millis(),
        },
        "genesisValidators": validators(&spec.validators),
        "contracts": spec.contracts,
    }))
}

fn consensus(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let state = context
        .node
        .consensus()
        .ok_or_else(|| server("consensus has not started"))?;
    let set = &context.head().context.validators;
    let engine = context.spec().consensus.engine;
    Ok(json!({
        "engine": engine_name(engine),
        "height": state.height,
        "round": state.round,
        "step": state.step,
        "proposer": state.proposer,
        "timeoutMs": state.timeout.as_millis(),
        "votes": state.votes,
        "quorum": engine.quorum(set),
        "validators": validators(set),
        "raft": state.raft.as_ref().map(raft),
    }))
}

/// Where this node stands in its Raft group. Ids are quantities, since JSON
/// numbers do not hold 64 bits.
fn raft(status: &RaftStatus) -> Value {
    let members = status.members.iter().map(|member| {
        json!({
            "id": U64::from(member.id),
            "key": member.key,
            "isLearner": member.is_learner,
        })
    });
    json!({
        "id": U64::from(status.id),
        "role": role(status.role),
        "leader": leader_of(status).map(|leader| leader.key),
        "term": status.term,
        "committed": status.committed,
        "applied": status.applied,
        "refused": status.refused,
        "members": members.collect::<Vec<_>>(),
    })
}

/// Who this node is: its key is what ballots name.
fn node(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let identity = context.node.identity();
    let head = context.head();
    let set = &head.context.validators;
    let own = set
        .index_of_key(&identity.key)
        .and_then(|index| set.get(index));
    Ok(json!({
        "key": identity.key,
        "name": context.node.name_of(&identity.key),
        "p2p": identity.p2p.to_string(),
        "height": head.height,
        "isValidator": own.is_some(),
        "operator": own.map(|validator| validator.operator),
    }))
}

/// How far a catch-up has come and how long it will take; `null` at the head.
fn sync_progress(context: &Context, _: &mut Arguments) -> Answer<Option<Value>> {
    let head = context.head().height;
    let progress = context.node.sync_progress();
    Ok(progress.map(|progress| progress_at(&progress, head)))
}

fn progress_at(progress: &SyncProgress, head: Height) -> Value {
    let whole = progress.highest.0.saturating_sub(progress.starting.0);
    let done = head.0.saturating_sub(progress.starting.0).min(whole);
    let left = progress.highest.0.saturating_sub(head.0);
    let rate = progress.blocks_per_second.filter(|rate| *rate > 0.0);
    // Heights are far below 2^52; whole blocks and tenths of percents are meant.
    let percent = if whole == 0 {
        100.0
    } else {
        (done as f64 * 1_000.0 / whole as f64).floor() / 10.0
    };
    json!({
        "startingBlock": progress.starting,
        "currentBlock": head,
        "highestBlock": progress.highest,
        "percent": percent,
        "blocksPerSecond": rate,
        "secondsLeft": rate.map(|rate| (left as f64 / rate).ceil()),
    })
}

fn validators(set: &ValidatorSet) -> Vec<Validator> {
    set.validators().to_vec()
}

fn peers(context: &Context, _: &mut Arguments) -> Answer<Vec<Value>> {
    let head = context.head();
    let set = &head.context.validators;
    let describe = |summary: &PeerSummary| {
        let is_validator = set.index_of_key(&summary.key).is_some();
        peer(summary, is_validator)
    };
    Ok(context.node.peers().iter().map(describe).collect())
}

fn peer(peer: &PeerSummary, is_validator: bool) -> Value {
    json!({
        "key": peer.key,
        "name": peer.name,
        "isValidator": is_validator,
        "address": peer.address,
        "height": peer.height,
        "head": peer.head,
        "latencyMs": peer.latency.map(|latency| latency.as_secs_f64() * 1_000.0),
        "outbound": peer.outbound,
    })
}

/// The proof that a block was decided, with the set that it is checked against,
/// so that anybody can check it: `null` for genesis and unknown blocks.
fn certificate(context: &Context, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let height = Height(arguments.required::<Number>()?.0);
    let store = context.store();
    let Some(certificate) = store.certificate(height).map_err(errors::storage)? else {
        return Ok(None);
    };
    let header = store.header_by_number(height).map_err(errors::storage)?;
    let set = store.context_at(height).map_err(errors::storage)?;
    let (Some(header), Some(set)) = (header, set) else {
        return Ok(None);
    };
    let set = set.validators;
    let signature = |(index, signature): (usize, &NodeSignature)| {
        let validator = set.get(index)?;
        let signature = alloy_primitives::hex::encode_prefixed(signature.0);
        Some(json!({
            "key": validator.key,
            "operator": validator.operator,
            "signature": signature,
        }))
    };
    let signers = certificate.signers().zip(certificate.signatures());
    Ok(Some(json!({
        "height": height,
        "blockHash": header.hash_slow(),
        "round": certificate.round,
        "quorum": context.spec().consensus.engine.quorum(&set),
        "signatures": signers.filter_map(signature).collect::<Vec<_>>(),
        "validators": validators(&set),
    })))
}

/// A height as JSON number, decimal or hexadecimal text.
#[derive(serde::Deserialize)]
struct Number(#[serde(with = "alloy_serde::quantity")] u64);
