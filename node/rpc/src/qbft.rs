//! The `qbft` namespace, Besu's, and `ibft`, its older name.
//!
//! Validators are operator accounts. `getValidatorsByBlock…` answers the set
//! that decided the block; `pending` is the set of the next one. Pending votes
//! are the open ballots of the Permissioning contract, so they are the same on
//! every node. Voting itself is a transaction: see [`votes_are_transactions`].

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, U64};
use jsonrpsee::server::RegisterMethodError;
use medina_types::ConsensusEngine;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::{
    arguments::Arguments,
    ballots::{Ballot, votes_are_transactions},
    context::Context,
    errors::{Answer, unknown_block, unsupported},
    reading::Position,
    registry::Registry,
    validator_history::operators,
};

/// Blocks that signer metrics span where the caller does not say.
const METRIC_BLOCKS: u64 = 100;

/// Names of the older namespace.
const ALIASES: [(&str, &str); 6] = [
    ("ibft_discardValidatorVote", "qbft_discardValidatorVote"),
    ("ibft_getPendingVotes", "qbft_getPendingVotes"),
    ("ibft_getSignerMetrics", "qbft_getSignerMetrics"),
    (
        "ibft_getValidatorsByBlockHash",
        "qbft_getValidatorsByBlockHash",
    ),
    (
        "ibft_getValidatorsByBlockNumber",
        "qbft_getValidatorsByBlockNumber",
    ),
    ("ibft_proposeValidatorVote", "qbft_proposeValidatorVote"),
];

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("qbft_proposeValidatorVote", propose)?;
    registry.quick("qbft_discardValidatorVote", discard)?;
    registry.compute("qbft_getPendingVotes", pending_votes)?;
    registry.scan("qbft_getSignerMetrics", signer_metrics)?;
    registry.read("qbft_getValidatorsByBlockNumber", validators_by_number)?;
    registry.read("qbft_getValidatorsByBlockHash", validators_by_hash)?;
    registry.quick("qbft_getRequestTimeoutSeconds", request_timeout)?;
    for (alias, name) in ALIASES {
        registry.module.register_alias(alias, name)?;
    }
    Ok(())
}

/// Sends who wants to vote to the command line; shared with `istanbul`.
pub(crate) fn propose(_: &Context, arguments: &mut Arguments) -> Answer<()> {
    let operator: Address = arguments.required()?;
    let advice = if arguments.required::<bool>()? {
        format!("Use `medina validator propose add NODEKEY {operator}`.")
    } else {
        format!(
            "Use `medina validator propose remove NODEKEY` with the node key of {operator} \
             (`medina validator list`)."
        )
    };
    Err(votes_are_transactions(&advice))
}

/// A vote that was cast stands.
pub(crate) fn discard(_: &Context, arguments: &mut Arguments) -> Answer<()> {
    let _: Address = arguments.required()?;
    Err(votes_are_transactions(
        "A vote cannot be taken back: vote against an open ballot with \
         `medina validator vote BALLOT no`, or let it run out.",
    ))
}

/// What the open ballots would do, by operator; the newest ballot counts.
pub(crate) fn by_operator(open: &[Ballot]) -> BTreeMap<Address, bool> {
    let newest_last = open.iter().rev();
    newest_last
        .map(|ballot| (ballot.operator, ballot.change.authorizes()))
        .collect()
}

fn pending_votes(context: &Context, _: &mut Arguments) -> Answer<BTreeMap<Address, bool>> {
    Ok(by_operator(&context.ballots(Position::Pending)?.open()?))
}

/// How often a validator proposed of late.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct SignerMetric {
    address: Address,
    proposed_block_count: U64,
    last_proposed_block_number: U64,
}

/// Proposers of a range, and with zeros who of its last set proposed nothing.
fn signer_metrics(context: &Context, arguments: &mut Arguments) -> Answer<Vec<SignerMetric>> {
    let from = arguments.optional()?;
    let range = context.block_range(from, arguments.optional()?, METRIC_BLOCKS)?;
    let last = medina_types::Height(*range.end());
    let set = context.deciders(last)?.ok_or_else(unknown_block)?;
    let silent = operators(&set)
        .into_iter()
        .map(|operator| (operator, (0, 0)));
    let mut metrics: BTreeMap<Address, (u64, u64)> = silent.collect();
    for number in range {
        let height = medina_types::Height(number);
        let header = context.store().header_by_number(height);
        let header = header.map_err(crate::errors::storage)?;
        let author = header.ok_or_else(unknown_block)?.beneficiary;
        let (count, last) = metrics.entry(author).or_default();
        (*count, *last) = (*count + 1, number);
    }
    let metric = |(address, (count, last))| SignerMetric {
        address,
        proposed_block_count: U64::from(count),
        last_proposed_block_number: U64::from(last),
    };
    Ok(metrics.into_iter().map(metric).collect())
}

/// `null` for a block that does not exist.
fn validators_by_number(
    context: &Context,
    arguments: &mut Arguments,
) -> Answer<Option<Vec<Address>>> {
    let number: BlockNumberOrTag = arguments.required()?;
    let Some(position) = context.locate_number(number) else {
        return Ok(None);
    };
    let set = context.deciders_at(position)?;
    Ok(set.as_ref().map(operators))
}

/// `null` for a block that does not exist.
fn validators_by_hash(
    context: &Context,
    arguments: &mut Arguments,
) -> Answer<Option<Vec<Address>>> {
    let hash: B256 = arguments.required()?;
    let Some(height) = context.height_of_hash(hash)? else {
        return Ok(None);
    };
    Ok(context.deciders(height)?.as_ref().map(operators))
}

/// Base timeout of a round, rounded up to whole seconds.
fn request_timeout(context: &Context, _: &mut Arguments) -> Answer<u64> {
    let parameters = &context.spec().consensus;
    match parameters.engine {
        ConsensusEngine::Qbft => Ok(parameters.base_timeout.as_millis().div_ceil(1_000))
            .map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX)),
        ConsensusEngine::Raft => Err(unsupported(
            "this chain runs Raft, which has no rounds that time out; ask `raft_role`",
        )),
    }
}
