//! Header rules of our own chains (design, "Blocks").
//!
//! Time may repeat but not run backwards; how far it may be ahead of a clock is
//! asked of fresh proposals only, by consensus. The gas limit is genesis's. The
//! beneficiary is an operator of the height's validator set.

use super::ParentOf;
use crate::{
    InvalidBlock,
    environment::{next_base_fee, prevrandao},
    transaction::BLOB_TRANSACTION_TYPE,
};
use alloy_consensus::{Header, Typed2718, constants::EMPTY_WITHDRAWALS};
use alloy_primitives::B256;
use medina_types::{Block, ChainSpec, Height};
use revm::primitives::hardfork::SpecId;

pub(super) fn check(
    spec: &ChainSpec,
    fork: SpecId,
    parent: ParentOf<'_>,
    block: &Block,
) -> Result<(), InvalidBlock> {
    let header = &block.header;
    check_time_and_gas(spec, parent.header, header)?;
    check_proposer(parent, header)?;
    check_base_fee(spec, parent.header, header)?;
    if fork.is_enabled_in(SpecId::CANCUN) {
        check_no_blobs(header)?;
    }
    check_nothing_from_a_beacon_chain(fork, block)?;
    check_body(block)
}

fn check_time_and_gas(
    spec: &ChainSpec,
    parent: &Header,
    header: &Header,
) -> Result<(), InvalidBlock> {
    let (expected, found) = (parent.timestamp, header.timestamp);
    if found < expected {
        return Err(InvalidBlock::Timestamp { expected, found });
    }
    let (expected, found) = (spec.gas_limit, header.gas_limit);
    if found != expected {
        return Err(InvalidBlock::GasLimit { expected, found });
    }
    Ok(())
}

fn check_proposer(parent: ParentOf<'_>, header: &Header) -> Result<(), InvalidBlock> {
    let validators = &parent.context.validators;
    if validators.index_of_operator(&header.beneficiary).is_none() {
        let (expected, found) = (validators.len(), header.beneficiary);
        return Err(InvalidBlock::Beneficiary { expected, found });
    }
    let expected = prevrandao(parent.hash, Height(header.number));
    let found = header.mix_hash;
    if found != expected {
        return Err(InvalidBlock::Prevrandao { expected, found });
    }
    Ok(())
}

fn check_base_fee(spec: &ChainSpec, parent: &Header, header: &Header) -> Result<(), InvalidBlock> {
    let (expected, found) = (next_base_fee(spec, parent), header.base_fee_per_gas);
    if found != Some(expected) {
        return Err(InvalidBlock::BaseFee { expected, found });
    }
    Ok(())
}

fn check_no_blobs(header: &Header) -> Result<(), InvalidBlock> {
    let (expected, found) = (0, header.blob_gas_used);
    if found != Some(expected) {
        return Err(InvalidBlock::BlobGasUsed { expected, found });
    }
    let (expected, found) = (0, header.excess_blob_gas);
    if found != Some(expected) {
        return Err(InvalidBlock::ExcessBlobGas { expected, found });
    }
    Ok(())
}

fn check_nothing_from_a_beacon_chain(fork: SpecId, block: &Block) -> Result<(), InvalidBlock> {
    let header = &block.header;
    if !fork.is_enabled_in(SpecId::SHANGHAI) {
        return Ok(());
    }
    let (expected, found) = (EMPTY_WITHDRAWALS, header.withdrawals_root);
    if found != Some(expected) {
        return Err(InvalidBlock::WithdrawalsRoot { expected, found });
    }
    let found = block.body.withdrawals.as_ref().map(|list| list.len());
    if found != Some(0) {
        return Err(InvalidBlock::Withdrawals { expected: 0, found });
    }
    if !fork.is_enabled_in(SpecId::CANCUN) {
        return Ok(());
    }
    let (expected, found) = (Some(B256::ZERO), header.parent_beacon_block_root);
    if found != expected {
        return Err(InvalidBlock::ParentBeaconRoot { expected, found });
    }
    Ok(())
}

fn check_body(block: &Block) -> Result<(), InvalidBlock> {
    let types = block.body.transactions.iter().map(Typed2718::ty);
    match types
        .enumerate()
        .find(|(_, kind)| *kind == BLOB_TRANSACTION_TYPE)
    {
        Some((index, found)) => Err(InvalidBlock::BlobTransaction { index, found }),
        None => Ok(()),
    }
}
