//! What a header must say before anything is executed.
//!
//! [`medina`] are our chains' rules, [`ethereum`] those of public test vectors.
//! Which fields a header has follows from the fork that holds at its time.
//! What only execution can tell (gas used, roots, bloom, requests) is compared
//! afterwards, in `validate`.

pub(crate) mod ethereum;
pub(crate) mod medina;

use crate::{InvalidBlock, evm::MachineRules};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, proofs::calculate_transaction_root};
use alloy_primitives::{B64, U256};
use alloy_rlp::Encodable;
use medina_types::{Block, ChainSpec, HeaderRules, HeightContext, SealedBlock, limits};
use revm::primitives::hardfork::SpecId;

/// What a block is checked against.
#[derive(Clone, Copy, Debug)]
pub struct ParentOf<'a> {
    /// Hash of the parent.
    pub hash: alloy_primitives::B256,
    /// Its header.
    pub header: &'a Header,
    /// Validators of the block's height.
    pub context: &'a HeightContext,
}

/// Checks header and body of a block by the chain's rules, without executing it.
///
/// # Errors
/// The first rule that is broken.
pub fn check_block(
    spec: &ChainSpec,
    rules: &MachineRules,
    parent: ParentOf<'_>,
    block: &Block,
    encoded_bytes: usize,
) -> Result<(), InvalidBlock> {
    check_header(spec, rules, parent, block, encoded_bytes)?;
    check_body(block)
}

/// As [`check_block`] for a block whose body may have been compared with its
/// header before: that hashes every transaction.
pub(crate) fn check_sealed_block(
    spec: &ChainSpec,
    rules: &MachineRules,
    parent: ParentOf<'_>,
    sealed: &SealedBlock,
) -> Result<(), InvalidBlock> {
    let block = sealed.block();
    check_header(spec, rules, parent, block, block.length())?;
    if sealed.is_body_of_header() {
        return Ok(());
    }
    check_body(block)
}

fn check_header(
    spec: &ChainSpec,
    rules: &MachineRules,
    parent: ParentOf<'_>,
    block: &Block,
    encoded_bytes: usize,
) -> Result<(), InvalidBlock> {
    if rules.fork.is_enabled_in(SpecId::OSAKA) {
        check_size(encoded_bytes)?;
    }
    check_common(parent, &block.header)?;
    check_fields(rules.fork, block)?;
    match spec.header_rules {
        HeaderRules::Medina => medina::check(spec, rules.fork, parent, block),
        HeaderRules::Ethereum => ethereum::check(rules, parent, block),
    }
}

/// EIP-7934.
const fn check_size(found: usize) -> Result<(), InvalidBlock> {
    if found > limits::BLOCK_BYTES_MAX {
        return Err(InvalidBlock::Size {
            expected: limits::BLOCK_BYTES_MAX,
            found,
        });
    }
    Ok(())
}

/// Rules that both worlds share.
fn check_common(parent: ParentOf<'_>, header: &Header) -> Result<(), InvalidBlock> {
    if header.parent_hash != parent.hash {
        let (expected, found) = (parent.hash, header.parent_hash);
        return Err(InvalidBlock::ParentHash { expected, found });
    }
    let number = parent.header.number.saturating_add(1);
    if header.number != number {
        return Err(InvalidBlock::Number {
            expected: number,
            found: header.number,
        });
    }
    let (expected, found) = (limits::EXTRA_DATA_BYTES_MAX, header.extra_data.len());
    if found > expected {
        return Err(InvalidBlock::ExtraData { expected, found });
    }
    if !header.difficulty.is_zero() {
        return Err(InvalidBlock::Difficulty {
            expected: U256::ZERO,
            found: header.difficulty,
        });
    }
    if header.nonce != B64::ZERO {
        return Err(InvalidBlock::Nonce {
            expected: B64::ZERO,
            found: header.nonce,
        });
    }
    if header.ommers_hash != EMPTY_OMMER_ROOT_HASH {
        let (expected, found) = (EMPTY_OMMER_ROOT_HASH, header.ommers_hash);
        return Err(InvalidBlock::OmmersHash { expected, found });
    }
    check_no_future_fields(header)
}

fn check_no_future_fields(header: &Header) -> Result<(), InvalidBlock> {
    if let Some(found) = header.block_access_list_hash {
        let field = "block access list hash";
        return Err(InvalidBlock::FutureField {
            field,
            found: found.to_string(),
        });
    }
    if let Some(found) = header.slot_number {
        let field = "slot number";
        return Err(InvalidBlock::FutureField {
            field,
            found: found.to_string(),
        });
    }
    Ok(())
}

/// Fields that a later fork brings are absent before it. That they are there
/// from it on follows from the rules for their values.
fn check_fields(fork: SpecId, block: &Block) -> Result<(), InvalidBlock> {
    let header = &block.header;
    let early = |field: &'static str, found: Option<String>| match found {
        Some(found) => Err(InvalidBlock::FutureField { field, found }),
        None => Ok(()),
    };
    if !fork.is_enabled_in(SpecId::SHANGHAI) {
        let root = header.withdrawals_root.map(|root| root.to_string());
        early("withdrawals root", root)?;
        let list = block.body.withdrawals.as_ref();
        early("withdrawals", list.map(|list| list.len().to_string()))?;
    }
    if !fork.is_enabled_in(SpecId::CANCUN) {
        let used = header.blob_gas_used.map(|gas| gas.to_string());
        early("blob gas used", used)?;
        let excess = header.excess_blob_gas.map(|gas| gas.to_string());
        early("excess blob gas", excess)?;
        let root = header.parent_beacon_block_root.map(|root| root.to_string());
        early("parent beacon block root", root)?;
    }
    Ok(())
}

/// The body is the one that the header names.
fn check_body(block: &Block) -> Result<(), InvalidBlock> {
    if !block.body.ommers.is_empty() {
        return Err(InvalidBlock::Ommers {
            expected: 0,
            found: block.body.ommers.len(),
        });
    }
    let expected = calculate_transaction_root(&block.body.transactions);
    let found = block.header.transactions_root;
    if found != expected {
        return Err(InvalidBlock::TransactionsRoot { expected, found });
    }
    Ok(())
}
