//! Time, blocks, snapshots, waiting transactions, and what the network is.

use alloy_primitives::{B256, U64, hex};
use jsonrpsee::server::RegisterMethodError;
use medina_types::Height;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{control, controls, failed, quantity::Quantity};
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{Answer, invalid_params},
    registry::Registry,
    web3::client_version,
};

/// Blocks that one call may ask for.
const BLOCKS_MAX: u64 = 10_000;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    control(registry, "evm_mine", mine)?;
    for name in ["anvil_mine", "hardhat_mine"] {
        control(registry, name, mine_many)?;
    }
    for name in ["evm_increaseTime", "anvil_increaseTime"] {
        control(registry, name, increase_time)?;
    }
    for name in ["evm_setTime", "anvil_setTime"] {
        control(registry, name, set_time)?;
    }
    for name in ["evm_setNextBlockTimestamp", "anvil_setNextBlockTimestamp"] {
        control(registry, name, set_next_time)?;
    }
    for name in ["evm_setAutomine", "anvil_setAutomine"] {
        control(registry, name, set_automine)?;
    }
    for name in ["anvil_getAutomine", "hardhat_getAutomine"] {
        control(registry, name, automine)?;
    }
    for name in ["evm_setIntervalMining", "anvil_setIntervalMining"] {
        control(registry, name, set_interval_mining)?;
    }
    for name in ["evm_snapshot", "anvil_snapshot"] {
        control(registry, name, snapshot)?;
    }
    for name in ["evm_revert", "anvil_revert"] {
        control(registry, name, revert)?;
    }
    for name in ["anvil_reset", "hardhat_reset"] {
        control(registry, name, reset)?;
    }
    for name in ["anvil_dropTransaction", "hardhat_dropTransaction"] {
        control(registry, name, drop_transaction)?;
    }
    control(registry, "anvil_dropAllTransactions", drop_all)?;
    control(registry, "anvil_nodeInfo", node_info)?;
    for name in ["anvil_metadata", "hardhat_metadata"] {
        control(registry, name, metadata)?;
    }
    Ok(())
}

/// `evm_mine` takes a time, or an object with it, or nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Time(Quantity),
    Options {
        timestamp: Option<Quantity>,
        blocks: Option<Quantity>,
    },
}

async fn mine(context: Arc<Context>, mut arguments: Arguments) -> Answer<&'static str> {
    let (time, blocks) = match arguments.optional()? {
        None => (None, None),
        Some(MineOptions::Time(time)) => (Some(time), None),
        Some(MineOptions::Options { timestamp, blocks }) => (timestamp, blocks),
    };
    // Some clients send 0 for "no particular time".
    let time_s = time.map(Quantity::saturated).filter(|time_s| *time_s > 0);
    let blocks = blocks.map_or(1, Quantity::saturated);
    mine_blocks(&context, blocks, time_s, None).await?;
    Ok("0x0")
}

async fn mine_many(context: Arc<Context>, mut arguments: Arguments) -> Answer<Option<()>> {
    let blocks = arguments.optional()?.map_or(1, Quantity::saturated);
    let interval_s = arguments.optional()?.map(Quantity::saturated);
    mine_blocks(&context, blocks, None, interval_s).await?;
    Ok(None)
}

/// The first block has a time that was asked for, and each further one is as many
/// seconds older than the one before as was asked for.
async fn mine_blocks(
    context: &Context,
    blocks: u64,
    time_s: Option<u64>,
    interval_s: Option<u64>,
) -> Answer<()> {
    if blocks > BLOCKS_MAX {
        return Err(invalid_params(format!(
            "at most {BLOCKS_MAX} blocks at once"
        )));
    }
    let controls = controls(context)?;
    for index in 0..blocks {
        let time_s = match (index, interval_s) {
            (0, _) => time_s,
            (_, None) => None,
            (_, Some(interval_s)) => {
                Some(context.head().header.timestamp.saturating_add(interval_s))
            }
        };
        controls.mine(time_s).await.map_err(failed)?;
    }
    Ok(())
}

async fn increase_time(context: Arc<Context>, mut arguments: Arguments) -> Answer<i64> {
    let seconds = arguments.required::<Quantity>()?.saturated();
    Ok(controls(&context)?.advance_clock(seconds))
}

async fn set_time(context: Arc<Context>, mut arguments: Arguments) -> Answer<i64> {
    let to_s = arguments.required::<Quantity>()?.saturated();
    controls(&context)?.set_clock(to_s).map_err(failed)
}

async fn set_next_time(context: Arc<Context>, mut arguments: Arguments) -> Answer<Option<()>> {
    let time_s = arguments.required::<Quantity>()?.saturated();
    controls(&context)?.set_next_time(time_s).map_err(failed)?;
    Ok(None)
}

async fn set_automine(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let is_on = arguments.required()?;
    controls(&context)?.set_automine(is_on);
    Ok(true)
}

async fn automine(context: Arc<Context>, _arguments: Arguments) -> Answer<bool> {
    Ok(controls(&context)?.automine())
}

/// Milliseconds; Hardhat may give two, between which it draws: the first holds here.
async fn set_interval_mining(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Period {
        One(Quantity),
        Between(
            Quantity,
            #[allow(dead_code, reason = "any time between will do")] Quantity,
        ),
    }
    let (Period::One(period) | Period::Between(period, _)) = arguments.required()?;
    controls(&context)?.set_interval_mining(period.saturated());
    Ok(true)
}

async fn snapshot(context: Arc<Context>, _arguments: Arguments) -> Answer<U64> {
    let number = controls(&context)?.snapshot().await.map_err(failed)?;
    Ok(U64::from(number))
}

async fn revert(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let number = arguments.required::<Quantity>()?.saturated();
    let is_done = controls(&context)?.revert(number).await.map_err(failed)?;
    context.filters.go_back(context.head().height.next());
    Ok(is_done)
}

/// To genesis. There is no chain elsewhere to fork from.
async fn reset(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let options: Option<Value> = arguments.optional()?;
    if options.is_some_and(|options| options.get("forking").is_some()) {
        return Err(invalid_params("this network forks no other chain"));
    }
    controls(&context)?.reset().await.map_err(failed)?;
    context.filters.go_back(context.head().height.next());
    Ok(true)
}

async fn drop_transaction(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let hash: B256 = arguments.required()?;
    Ok(controls(&context)?.drop_transaction(hash))
}

async fn drop_all(context: Arc<Context>, _arguments: Arguments) -> Answer<Option<()>> {
    controls(&context)?.drop_all_transactions();
    Ok(None)
}

async fn node_info(context: Arc<Context>, _arguments: Arguments) -> Answer<Value> {
    let head = context.head();
    let fork = context
        .node
        .executor()
        .fork_of(head.height.0, head.header.timestamp);
    let base_fee = head.header.base_fee_per_gas.unwrap_or_default();
    Ok(json!({
        "currentBlockNumber": U64::from(head.height.0),
        "currentBlockTimestamp": head.header.timestamp,
        "currentBlockHash": head.hash,
        "hardFork": format!("{fork:?}"),
        "transactionOrder": "fees",
        "environment": {
            "baseFee": U64::from(base_fee),
            "chainId": context.spec().chain_id,
            "gasLimit": U64::from(head.header.gas_limit),
            "gasPrice": U64::from(base_fee),
        },
        "forkConfig": { "forkUrl": null, "forkBlockNumber": null, "forkRetryBackoff": null },
    }))
}

async fn metadata(context: Arc<Context>, _arguments: Arguments) -> Answer<Value> {
    let head = context.head();
    // One for as long as the chain is.
    let genesis = context.store().hash_of_number(Height::GENESIS);
    let instance = genesis.ok().flatten().unwrap_or_default();
    Ok(json!({
        "clientVersion": client_version(),
        "chainId": context.spec().chain_id,
        "instanceId": format!("0x{}", hex::encode(instance)),
        "latestBlockNumber": head.height.0,
        "latestBlockHash": head.hash,
    }))
}
