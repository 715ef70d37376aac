//! The `raft` namespace, GoQuorum's.
//!
//! A node's Raft id is a 64-bit number here, which JSON numbers do not hold, so
//! it is written and read as a hexadecimal quantity. Nodes are named by their
//! ed25519 key. Membership follows the validator set, which ballots change:
//! nothing here does.

use alloy_primitives::U64;
use jsonrpsee::server::RegisterMethodError;
use medina_consensus::{RaftMember, RaftRole, RaftStatus};
use medina_types::{ConsensusEngine, NodePublicKey, ValidatorSet};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::{
    PeerSummary,
    arguments::Arguments,
    ballots::votes_are_transactions,
    context::Context,
    errors::{Answer, invalid_params, not_found, server, unsupported},
    node_address::NodeAddress,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("raft_role", |context, _| Ok(role(status(context)?.role)))?;
    registry.quick("raft_leader", leader)?;
    registry.quick("raft_cluster", cluster)?;
    registry.quick("raft_getRaftId", raft_id)?;
    registry.quick("raft_addPeer", add)?;
    registry.quick("raft_addLearner", add)?;
    registry.quick("raft_promoteToPeer", promote)?;
    registry.quick("raft_removePeer", remove)
}

/// The engine's own status; an error on a chain that does not run Raft.
fn status(context: &Context) -> Answer<RaftStatus> {
    on_raft(context)?;
    let consensus = context.node.consensus();
    let status = consensus.and_then(|consensus| consensus.raft);
    status.ok_or_else(|| server("consensus has not started"))
}

fn on_raft(context: &Context) -> Answer<()> {
    match context.spec().consensus.engine {
        ConsensusEngine::Raft => Ok(()),
        ConsensusEngine::Qbft => Err(unsupported(
            "this chain runs QBFT, not Raft: ask `qbft_*` or `istanbul_*`",
        )),
    }
}

/// GoQuorum's words for roles; `outside` is a node that is not of the group.
pub(crate) const fn role(role: RaftRole) -> &'static str {
    match role {
        RaftRole::Leader => "minter",
        RaftRole::Candidate | RaftRole::Follower => "verifier",
        RaftRole::Learner => "learner",
        RaftRole::Outside => "outside",
    }
}

/// The member that leads.
pub(crate) fn leader_of(status: &RaftStatus) -> Option<&RaftMember> {
    let leader = status.leader?;
    status.members.iter().find(|member| member.id == leader)
}

/// Key of the leader.
fn leader(context: &Context, _: &mut Arguments) -> Answer<NodePublicKey> {
    let status = status(context)?;
    let leader = leader_of(&status).ok_or_else(|| server("no leader is currently elected"))?;
    Ok(leader.key)
}

/// Every member, as far as this node can tell.
fn cluster(context: &Context, _: &mut Arguments) -> Answer<Vec<Value>> {
    let status = status(context)?;
    let peers = context.node.peers();
    let peers: BTreeMap<_, _> = peers.iter().map(|peer| (peer.key, peer)).collect();
    let head = context.head();
    let set = &head.context.validators;
    let describe = |member: &RaftMember| {
        let peer = peers.get(&member.key).copied();
        describe(context, &status, set, member, peer)
    };
    Ok(status.members.iter().map(describe).collect())
}

fn describe(
    context: &Context,
    status: &RaftStatus,
    set: &ValidatorSet,
    member: &RaftMember,
    peer: Option<&PeerSummary>,
) -> Value {
    let identity = context.node.identity();
    let is_self = member.key == identity.key;
    let place = if is_self {
        Some(identity.p2p)
    } else {
        context.listens(&member.key, peer)
    };
    let operator = set.index_of_key(&member.key).and_then(|at| set.get(at));
    let port = place.map(|place| place.port());
    json!({
        "raftId": U64::from(member.id),
        "nodeId": member.key,
        "role": role_of(status, member),
        "hostname": place.map(|place| place.ip().to_string()),
        "p2pPort": port,
        // Raft has no port of its own.
        "raftPort": port,
        "nodeActive": is_self || peer.is_some(),
        "operator": operator.map(|validator| validator.operator),
    })
}

fn role_of(status: &RaftStatus, member: &RaftMember) -> &'static str {
    if status.leader == Some(member.id) {
        role(RaftRole::Leader)
    } else if member.is_learner {
        role(RaftRole::Learner)
    } else {
        role(RaftRole::Follower)
    }
}

/// Id of a node of the group, named by key, with or without address.
fn raft_id(context: &Context, arguments: &mut Arguments) -> Answer<U64> {
    let status = status(context)?;
    let node: NodeAddress = arguments.required()?;
    let member = status.members.iter().find(|member| member.key == node.key);
    let member = member.ok_or_else(|| not_found(format!("{} is not of the group", node.key)))?;
    Ok(U64::from(member.id))
}

fn add(context: &Context, arguments: &mut Arguments) -> Answer<()> {
    on_raft(context)?;
    let node: NodeAddress = arguments.required()?;
    Err(votes_are_transactions(&format!(
        "Use `medina validator propose add {} OPERATOR`; once activated it joins as a learner \
         and is promoted by itself when it has caught up.",
        node.key
    )))
}

/// Learners are promoted by the leader as soon as they have caught up.
fn promote(context: &Context, arguments: &mut Arguments) -> Answer<()> {
    on_raft(context)?;
    member(context, arguments)?;
    Err(unsupported(
        "the leader promotes a learner by itself once it has caught up; see its `role` in \
         `raft_cluster`",
    ))
}

fn remove(context: &Context, arguments: &mut Arguments) -> Answer<()> {
    on_raft(context)?;
    let key = member(context, arguments)?;
    Err(votes_are_transactions(&format!(
        "Use `medina validator propose remove {key}`."
    )))
}

/// Key of the member that a Raft id names.
fn member(context: &Context, arguments: &mut Arguments) -> Answer<NodePublicKey> {
    let id = arguments.required::<RaftId>()?.0;
    let status = status(context)?;
    let member = status.members.iter().find(|member| member.id == id);
    let member = member.ok_or_else(|| invalid_params(format!("{id:#x} is no id of the group")));
    Ok(member?.key)
}

/// An id as JSON number, decimal or hexadecimal text.
#[derive(serde::Deserialize)]
struct RaftId(#[serde(with = "alloy_serde::quantity")] u64);
