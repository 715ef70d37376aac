//! The `medina` namespace: contracts, chain spec, consensus, certificates, peers.

use alloy_primitives::U64;
use jsonrpsee::server::RegisterMethodError;
use medina_types::{
    ConsensusEngine, GasPolicy, Height, NodeSignature, PermissionMode, Validator, ValidatorSet,
};
use serde_json::{Value, json};

use crate::{
    PeerSummary,
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, server},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("medina_contracts", |context, _| {
        Ok(context.spec().contracts.clone())
    })?;
    registry.quick("medina_chainSpec", chain_spec)?;
    registry.quick("medina_consensus", consensus)?;
    registry.quick("medina_peers", |context, _| {
        Ok(context.node.peers().iter().map(peer).collect::<Vec<_>>())
    })?;
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
            "engine": match times.engine {
                ConsensusEngine::Qbft => "qbft",
                ConsensusEngine::Raft => "raft",
            },
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
    Ok(json!({
        "height": state.height,
        "round": state.round,
        "step": state.step,
        "proposer": state.proposer,
        "timeoutMs": state.timeout.as_millis(),
        "votes": state.votes,
        "quorum": set.quorum(),
        "validators": validators(set),
    }))
}

fn validators(set: &ValidatorSet) -> Vec<Validator> {
    set.validators().to_vec()
}

fn peer(peer: &PeerSummary) -> Value {
    json!({
        "key": peer.key,
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
        "quorum": set.quorum(),
        "signatures": signers.filter_map(signature).collect::<Vec<_>>(),
        "validators": validators(&set),
    })))
}

/// A height as JSON number, decimal or hexadecimal text.
#[derive(serde::Deserialize)]
struct Number(#[serde(with = "alloy_serde::quantity")] u64);
