//! The `istanbul` namespace, GoQuorum's.
//!
//! Addresses are operator accounts. As there, a set or snapshot *at* a block is
//! the one after it, which decides the following block; signers are those of
//! the block itself, from the certificate that this node keeps. Votes of a
//! snapshot are those of the ballots that were open at that block. The set never
//! passes through an epoch, so `epoch` is 0.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256};
use jsonrpsee::{server::RegisterMethodError, types::ErrorObjectOwned};
use medina_types::{Height, ValidatorSet};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::{
    arguments::Arguments,
    ballots::Ballots,
    context::Context,
    errors::{self, Answer, server},
    qbft::{by_operator, discard, propose},
    reading::Position,
    registry::Registry,
    validator_history::{BlockSigners, operators},
};

/// Blocks that `istanbul_status` spans where the caller does not say.
const STATUS_BLOCKS: u64 = 64;

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("istanbul_nodeAddress", |context, _| {
        Ok(own_operator(context))
    })?;
    registry.compute("istanbul_candidates", candidates)?;
    registry.quick("istanbul_propose", propose)?;
    registry.quick("istanbul_discard", discard)?;
    registry.compute("istanbul_getSnapshot", |context, arguments| {
        let height = by_number(context, arguments)?;
        snapshot(context, height)
    })?;
    registry.compute("istanbul_getSnapshotAtHash", |context, arguments| {
        let height = by_hash(context, arguments)?;
        snapshot(context, height)
    })?;
    registry.read("istanbul_getValidators", |context, arguments| {
        let height = by_number(context, arguments)?;
        Ok(operators(&set_after(context, height)?))
    })?;
    registry.read("istanbul_getValidatorsAtHash", |context, arguments| {
        let height = by_hash(context, arguments)?;
        Ok(operators(&set_after(context, height)?))
    })?;
    registry.read("istanbul_getSignersFromBlock", |context, arguments| {
        let height = by_number(context, arguments)?;
        signers(context, height)
    })?;
    registry.read(
        "istanbul_getSignersFromBlockByHash",
        |context, arguments| {
            let height = by_hash(context, arguments)?;
            signers(context, height)
        },
    )?;
    registry.scan("istanbul_status", status)?;
    registry.read("istanbul_isValidator", |context, arguments| {
        let height = by_number(context, arguments)?;
        let own = context.node.identity().key;
        Ok(set_after(context, height)?.index_of_key(&own).is_some())
    })
}

/// GoQuorum's words.
fn unknown() -> ErrorObjectOwned {
    server("unknown block")
}

/// The block named by number or tag, the head if none is; `pending` means the head.
fn by_number(context: &Context, arguments: &mut Arguments) -> Answer<Height> {
    let number: Option<BlockNumberOrTag> = arguments.optional()?;
    match context.locate_number(number.unwrap_or_default()) {
        Some(Position::At(height)) => Ok(height),
        Some(Position::Pending) => Ok(context.head().height),
        None => Err(unknown()),
    }
}

/// The block named by hash.
fn by_hash(context: &Context, arguments: &mut Arguments) -> Answer<Height> {
    let hash: B256 = arguments.required()?;
    context.height_of_hash(hash)?.ok_or_else(unknown)
}

/// The set that decides the block after this one.
fn set_after(context: &Context, height: Height) -> Answer<ValidatorSet> {
    context.deciders(height.next())?.ok_or_else(unknown)
}

/// Operator of this node's validator; `null` for a node that does not validate.
fn own_operator(context: &Context) -> Option<Address> {
    let head = context.head();
    let set = &head.context.validators;
    let index = set.index_of_key(&context.node.identity().key)?;
    set.get(index).map(|validator| validator.operator)
}

/// What this node's organisation has said yes to and still is open.
fn candidates(context: &Context, _: &mut Arguments) -> Answer<BTreeMap<Address, bool>> {
    let own = context.node.identity().key;
    let ballots = context.ballots(Position::Pending)?;
    let org = ballots.node(&own)?.org;
    let mut supported = Vec::new();
    for ballot in ballots.open()? {
        if ballots.has_said_yes(&ballot, org)? {
            supported.push(ballot);
        }
    }
    Ok(by_operator(&supported))
}

fn snapshot(context: &Context, height: Height) -> Answer<Value> {
    let set = set_after(context, height)?;
    let header = context.store().header_by_number(height);
    let header = header.map_err(errors::storage)?.ok_or_else(unknown)?;
    let (votes, tally) = match context.ballots(Position::At(height)) {
        Ok(ballots) => votes(&ballots, &set, height)?,
        // A chain without ballots has no votes, but a set.
        Err(_) => (Vec::new(), BTreeMap::new()),
    };
    Ok(json!({
        "epoch": 0,
        "number": height,
        "hash": header.hash_slow(),
        "votes": votes,
        "tally": tally,
        "validators": operators(&set),
        "policy": { "id": 0 },
    }))
}

/// Who said yes to which open ballot, and how often it was said.
fn votes(
    ballots: &Ballots<'_>,
    set: &ValidatorSet,
    height: Height,
) -> Answer<(Vec<Value>, BTreeMap<Address, Value>)> {
    let mut voters = Vec::with_capacity(set.len());
    for validator in set.validators() {
        let org = ballots.node(&validator.key)?.org;
        voters.push((validator.operator, org));
    }
    let (mut votes, mut tally) = (Vec::new(), BTreeMap::new());
    for ballot in ballots.open()?.iter().rev() {
        let authorize = ballot.change.authorizes();
        for (operator, org) in &voters {
            if ballot.yes > 0 && ballots.has_said_yes(ballot, *org)? {
                votes.push(json!({
                    "validator": operator,
                    "block": height,
                    "address": ballot.operator,
                    "authorize": authorize,
                }));
            }
        }
        let count = json!({ "authorize": authorize, "votes": ballot.yes });
        tally.insert(ballot.operator, count);
    }
    Ok((votes, tally))
}

/// Genesis was signed by nobody.
fn signers(context: &Context, height: Height) -> Answer<BlockSigners> {
    context.signers(height)?.ok_or_else(|| match height {
        Height::GENESIS => server("the genesis block has no signers"),
        _ => unknown(),
    })
}

/// How many blocks of a range each operator's node proposed.
fn status(context: &Context, arguments: &mut Arguments) -> Answer<Value> {
    let start: Option<BlockNumberOrTag> = arguments.optional()?;
    let end: Option<BlockNumberOrTag> = arguments.optional()?;
    if start.is_some() != end.is_some() {
        return Err(errors::invalid_params(
            "pass the end block number, or neither start nor end",
        ));
    }
    let range = context.block_range(start, end, STATUS_BLOCKS)?;
    let set = set_after(context, context.head().height)?;
    let idle = operators(&set).into_iter().map(|operator| (operator, 0));
    let mut activity: BTreeMap<Address, u64> = idle.collect();
    let mut blocks = 0;
    for number in range {
        let header = context.store().header_by_number(Height(number));
        let header = header.map_err(errors::storage)?.ok_or_else(unknown)?;
        *activity.entry(header.beneficiary).or_default() += 1;
        blocks += 1;
    }
    Ok(json!({ "sealerActivity": activity, "numBlocks": blocks }))
}
