//! Ethereum's header rules from Paris to Osaka, for public test vectors.

use super::ParentOf;
use crate::{InvalidBlock, evm::MachineRules};
use alloy_consensus::{Header, Transaction as _, proofs::calculate_withdrawals_root};
use alloy_eips::{
    eip1559::{BaseFeeParams, calc_next_block_base_fee},
    eip4844::DATA_GAS_PER_BLOB,
};
use alloy_primitives::B256;
use medina_types::Block;
use revm::primitives::hardfork::SpecId;

/// Least gas limit of a block.
const GAS_LIMIT_MIN: u64 = 5_000;
/// Greatest gas limit of a block.
const GAS_LIMIT_MAX: u64 = i64::MAX as u64;
/// The gas limit changes by less than this part from block to block.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1_024;

pub(super) fn check(
    rules: &MachineRules,
    parent: ParentOf<'_>,
    block: &Block,
) -> Result<(), InvalidBlock> {
    check_time_and_gas(parent.header, &block.header)?;
    if rules.fork.is_enabled_in(SpecId::SHANGHAI) {
        check_withdrawals(block)?;
    }
    if rules.fork.is_enabled_in(SpecId::CANCUN) {
        check_blobs(rules, parent.header, block)?;
        check_beacon_root(&block.header)?;
    }
    check_requests(rules, &block.header)
}

fn check_time_and_gas(parent: &Header, header: &Header) -> Result<(), InvalidBlock> {
    let (expected, found) = (parent.timestamp.saturating_add(1), header.timestamp);
    if found < expected {
        return Err(InvalidBlock::Timestamp { expected, found });
    }
    let (expected, found) = (parent.gas_limit, header.gas_limit);
    let is_close = found.abs_diff(expected) < expected / GAS_LIMIT_BOUND_DIVISOR;
    if !is_close || !(GAS_LIMIT_MIN..=GAS_LIMIT_MAX).contains(&found) {
        return Err(InvalidBlock::GasLimit { expected, found });
    }
    let expected = calc_next_block_base_fee(
        parent.gas_used,
        parent.gas_limit,
        parent.base_fee_per_gas.unwrap_or(0),
        BaseFeeParams::ethereum(),
    );
    let found = header.base_fee_per_gas;
    if found != Some(expected) {
        return Err(InvalidBlock::BaseFee { expected, found });
    }
    Ok(())
}

fn check_withdrawals(block: &Block) -> Result<(), InvalidBlock> {
    let Some(withdrawals) = &block.body.withdrawals else {
        return Err(InvalidBlock::Withdrawals {
            expected: 0,
            found: None,
        });
    };
    let (expected, found) = (
        calculate_withdrawals_root(withdrawals),
        block.header.withdrawals_root,
    );
    if found != Some(expected) {
        return Err(InvalidBlock::WithdrawalsRoot { expected, found });
    }
    Ok(())
}

fn check_blobs(rules: &MachineRules, parent: &Header, block: &Block) -> Result<(), InvalidBlock> {
    let params = rules.blobs;
    let transactions = block.body.transactions.iter();
    let blobs = transactions.flat_map(|one| one.blob_versioned_hashes().unwrap_or_default());
    let used = blobs.count() as u64 * DATA_GAS_PER_BLOB;
    let most = params.max_blob_gas_per_block();
    if used > most {
        return Err(InvalidBlock::TooManyBlobs {
            expected: most,
            found: used,
        });
    }
    let (expected, found) = (used, block.header.blob_gas_used);
    if found != Some(expected) {
        return Err(InvalidBlock::BlobGasUsed { expected, found });
    }
    let expected = params.next_block_excess_blob_gas_osaka(
        parent.excess_blob_gas.unwrap_or(0),
        parent.blob_gas_used.unwrap_or(0),
        parent.base_fee_per_gas.unwrap_or(0),
    );
    let found = block.header.excess_blob_gas;
    if found != Some(expected) {
        return Err(InvalidBlock::ExcessBlobGas { expected, found });
    }
    Ok(())
}

/// The beacon root is there, whatever it is.
fn check_beacon_root(header: &Header) -> Result<(), InvalidBlock> {
    if header.parent_beacon_block_root.is_none() {
        let (expected, found) = (Some(B256::ZERO), None);
        return Err(InvalidBlock::ParentBeaconRoot { expected, found });
    }
    Ok(())
}

/// No requests before Prague; what they are from then on only execution tells.
fn check_requests(rules: &MachineRules, header: &Header) -> Result<(), InvalidBlock> {
    let found = header.requests_hash;
    if found.is_some() && !rules.fork.is_enabled_in(SpecId::PRAGUE) {
        return Err(InvalidBlock::RequestsHash {
            expected: None,
            found,
        });
    }
    Ok(())
}
