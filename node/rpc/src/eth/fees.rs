//! What gas costs. Where it is free, base fee and suggested tip are zero, and
//! the fields that wallets look for are there all the same.

use alloy_consensus::{Header, Transaction as _};
use alloy_eips::{BlockNumberOrTag, eip7840::BlobParams};
use alloy_primitives::{U64, U128};
use alloy_rpc_types_eth::FeeHistory;
use jsonrpsee::server::RegisterMethodError;
use medina_execution::next_base_fee;
use medina_types::{GasPolicy, Height, limits};

use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, invalid_params, unknown_block},
    reading::Position,
    registry::Registry,
};

/// Recent blocks from whose tips a tip is suggested (geth's count).
const SUGGESTION_BLOCKS: u64 = 20;
/// Percentile of those tips that is suggested (geth's).
const SUGGESTION_PERCENTILE: usize = 60;
/// Least tip that is suggested where gas is paid for, wei per gas.
const SUGGESTED_TIP_MIN: u128 = 1;

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.read("eth_gasPrice", |context, _| {
        let price = u128::from(base_fee_of_next(context)).saturating_add(suggested_tip(context)?);
        Ok(U128::from(price))
    })?;
    registry.read("eth_maxPriorityFeePerGas", |context, _| {
        suggested_tip(context).map(U128::from)
    })?;
    registry.quick("eth_baseFee", |context, _| {
        Ok(U64::from(base_fee_of_next(context)))
    })?;
    registry.quick("eth_blobBaseFee", |context, _| {
        Ok(U128::from(blob_base_fee(context, &context.head().header)))
    })?;
    registry.scan("eth_feeHistory", fee_history)
}

pub(super) fn base_fee_of_next(context: &Context) -> u64 {
    next_base_fee(context.spec(), &context.head().header)
}

/// Limits and prices of blobs in a block.
pub(super) fn blobs_of(context: &Context, header: &Header) -> BlobParams {
    let forks = &context.spec().forks;
    forks.at_block(header.number, header.timestamp).blobs
}

/// Wei per blob gas in a block, zero before there were blobs. Our chains carry
/// none, so the price never leaves its minimum.
fn blob_base_fee(context: &Context, header: &Header) -> u128 {
    let blobs = blobs_of(context, header);
    header.blob_fee(blobs).unwrap_or(0)
}

/// As [`blob_base_fee`] in the block after one.
fn next_blob_base_fee(context: &Context, header: &Header) -> u128 {
    let blobs = blobs_of(context, header);
    header.next_block_blob_fee(blobs).unwrap_or(0)
}

pub(super) fn suggested_tip(context: &Context) -> Answer<u128> {
    if matches!(context.spec().gas_policy, GasPolicy::Free(_)) {
        return Ok(0);
    }
    let head = context.head().height.0;
    let mut tips = Vec::new();
    for number in head.saturating_sub(SUGGESTION_BLOCKS - 1)..=head {
        let Some(block) = context.block_at(Height(number))? else {
            continue;
        };
        let base_fee = block.header().base_fee_per_gas.unwrap_or(0);
        let offered = |(transaction, _): (&medina_types::Transaction, _)| {
            transaction.effective_tip_per_gas(base_fee)
        };
        tips.extend(block.transactions().filter_map(offered));
    }
    tips.sort_unstable();
    let index = tips.len().saturating_sub(1) * SUGGESTION_PERCENTILE / 100;
    Ok(tips.get(index).copied().unwrap_or(0).max(SUGGESTED_TIP_MIN))
}

fn fee_history(context: &Context, arguments: &mut Arguments) -> Answer<FeeHistory> {
    let count: U64 = arguments.required()?;
    let newest: BlockNumberOrTag = arguments.required()?;
    let percentiles: Vec<f64> = arguments.optional()?.unwrap_or_default();
    check_percentiles(&percentiles)?;
    let newest = match context.locate_number(newest) {
        Some(Position::At(height)) => height.0,
        // The block that does not exist yet has no gas used: history ends at the head.
        Some(Position::Pending) => context.head().height.0,
        None => return Err(errors::invalid_params("request beyond head block")),
    };
    let count = count
        .to::<u64>()
        .min(limits::RPC_FEE_HISTORY_BLOCKS_MAX)
        .min(newest + 1);
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let mut history = FeeHistory {
        oldest_block: newest + 1 - count,
        ..FeeHistory::default()
    };
    let mut rewards = Vec::new();
    for number in history.oldest_block..=newest {
        let reward = add_block(context, &mut history, Height(number), &percentiles)?;
        rewards.push(reward);
    }
    let newest = header_at(context, Height(newest))?;
    let next = u128::from(base_fee_after(context, &newest));
    history.base_fee_per_gas.push(next);
    let next = next_blob_base_fee(context, &newest);
    history.base_fee_per_blob_gas.push(next);
    history.reward = (!percentiles.is_empty()).then_some(rewards);
    Ok(history)
}

fn check_percentiles(percentiles: &[f64]) -> Answer<()> {
    if percentiles.len() > limits::RPC_FEE_PERCENTILES_MAX {
        let max = limits::RPC_FEE_PERCENTILES_MAX;
        return Err(invalid_params(format!(
            "over the query limit {max} of percentiles"
        )));
    }
    let in_order = percentiles.is_sorted();
    if !in_order
        || !percentiles
            .iter()
            .all(|percentile| (0.0..=100.0).contains(percentile))
    {
        return Err(invalid_params(
            "invalid reward percentile: ascending, from 0 to 100",
        ));
    }
    Ok(())
}

/// Adds one block to the history and answers its tips at the percentiles.
fn add_block(
    context: &Context,
    history: &mut FeeHistory,
    height: Height,
    percentiles: &[f64],
) -> Answer<Vec<u128>> {
    let header = header_at(context, height)?;
    history
        .base_fee_per_gas
        .push(u128::from(header.base_fee_per_gas.unwrap_or(0)));
    let blob_price = blob_base_fee(context, &header);
    history.base_fee_per_blob_gas.push(blob_price);
    let blobs = blobs_of(context, &header);
    history.blob_gas_used_ratio.push(ratio(
        header.blob_gas_used.unwrap_or(0),
        blobs.max_blob_gas_per_block(),
    ));
    history
        .gas_used_ratio
        .push(ratio(header.gas_used, header.gas_limit));
    if percentiles.is_empty() || header.gas_used == 0 {
        return Ok(vec![0; percentiles.len()]);
    }
    let block = context
        .committed_uncached(height)?
        .ok_or_else(unknown_block)?;
    Ok(rewards(&block, percentiles))
}

/// Tips at percentiles of the block's gas, cheapest first.
fn rewards(committed: &CommittedBlock, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = committed.block.header().base_fee_per_gas.unwrap_or(0);
    let mut before = 0;
    let mut tips: Vec<(u128, u64)> = committed
        .block
        .transactions()
        .zip(committed.receipts.iter())
        .map(|((transaction, _), receipt)| {
            let gas = receipt.cumulative_gas_used.saturating_sub(before);
            before = receipt.cumulative_gas_used;
            (
                transaction.effective_tip_per_gas(base_fee).unwrap_or(0),
                gas,
            )
        })
        .collect();
    tips.sort_unstable();
    let total = before;
    percentiles
        .iter()
        .map(|percentile| tip_at(&tips, total, *percentile))
        .collect()
}

fn tip_at(tips: &[(u128, u64)], total: u64, percentile: f64) -> u128 {
    // Whole gas, as geth reckons.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a percentile is between 0 and 100: at most the block's gas"
    )]
    let threshold = (total as f64 * percentile / 100.0) as u64;
    let mut gas = 0;
    for (tip, used) in tips {
        gas += used;
        if gas >= threshold {
            return *tip;
        }
    }
    tips.last().map_or(0, |(tip, _)| *tip)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn header_at(context: &Context, height: Height) -> Answer<Header> {
    let header = context
        .store()
        .header_by_number(height)
        .map_err(errors::storage)?;
    header.ok_or_else(unknown_block)
}

/// Base fee of the block after one; zero before there were base fees.
fn base_fee_after(context: &Context, header: &Header) -> u64 {
    match header.base_fee_per_gas {
        Some(_) => next_base_fee(context.spec(), header),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_must_ascend_within_bounds() {
        assert!(check_percentiles(&[0.0, 50.0, 100.0]).is_ok());
        for wrong in [&[50.0, 20.0][..], &[101.0], &[-1.0], &[f64::NAN]] {
            assert_eq!(check_percentiles(wrong).unwrap_err().code(), -32602);
        }
        assert!(check_percentiles(&vec![1.0; limits::RPC_FEE_PERCENTILES_MAX + 1]).is_err());
    }

    #[test]
    fn tips_are_weighed_by_gas() {
        let tips = [(1, 90), (5, 10)];
        assert_eq!(tip_at(&tips, 100, 0.0), 1);
        assert_eq!(tip_at(&tips, 100, 90.0), 1);
        assert_eq!(tip_at(&tips, 100, 95.0), 5);
        assert_eq!(tip_at(&[], 0, 50.0), 0);
    }
}
