//! The block around an execution: what contracts read with NUMBER, TIMESTAMP and the like.

use alloy_consensus::Header;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, U256, keccak256};
use medina_types::{ChainSpec, GasPolicy, Height};
use revm::{context::BlockEnv, context_interface::block::BlobExcessGasAndPrice};

/// Block values that an execution can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEnvironment {
    /// Number of the block.
    pub number: u64,
    /// Its time, seconds.
    pub timestamp: u64,
    /// Who is paid.
    pub beneficiary: Address,
    /// Gas of all its transactions together.
    pub gas_limit: u64,
    /// Wei per gas that every transaction pays.
    pub base_fee: u64,
    /// `PREVRANDAO`; the difficulty, which the same opcode answered before Paris.
    pub prevrandao: B256,
    /// Sets the price of blob gas; zero on our chains.
    pub excess_blob_gas: u64,
}

impl CallEnvironment {
    /// The environment in which a block with this header ran.
    #[must_use]
    pub fn of_header(header: &Header) -> Self {
        Self {
            number: header.number,
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            gas_limit: header.gas_limit,
            base_fee: header.base_fee_per_gas.unwrap_or(0),
            prevrandao: match header.difficulty {
                U256::ZERO => header.mix_hash,
                difficulty => difficulty.into(),
            },
            excess_blob_gas: header.excess_blob_gas.unwrap_or(0),
        }
    }

    /// The form that the virtual machine reads.
    #[must_use]
    pub fn to_block_env(&self, blobs: &BlobParams) -> BlockEnv {
        BlockEnv {
            number: U256::from(self.number),
            beneficiary: self.beneficiary,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            difficulty: self.prevrandao.into(),
            prevrandao: Some(self.prevrandao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: self.excess_blob_gas,
                blob_gasprice: blobs.calc_blob_fee(self.excess_blob_gas),
            }),
            ..BlockEnv::default()
        }
    }
}

/// `PREVRANDAO` of a Medina block: keccak of the parent's hash and the block's
/// own number as eight big-endian bytes.
///
/// Anybody who knows the parent can compute it, and the proposer of the parent
/// can choose among parents: it varies from block to block but is predictable,
/// so no contract may draw lots with it.
#[must_use]
pub fn prevrandao(parent: B256, number: Height) -> B256 {
    let mut input = [0; 40];
    input[..32].copy_from_slice(parent.as_slice());
    input[32..].copy_from_slice(&number.0.to_be_bytes());
    keccak256(input)
}

/// Base fee of the block after `parent`: zero where gas is free; by EIP-1559
/// where it is metered, starting with the chain spec's value in block 1.
#[must_use]
pub fn next_base_fee(spec: &ChainSpec, parent: &Header) -> u64 {
    use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
    match &spec.gas_policy {
        GasPolicy::Free(_) => 0,
        GasPolicy::Metered(metered) if parent.number == 0 => metered.initial_base_fee,
        GasPolicy::Metered(_) => calc_next_block_base_fee(
            parent.gas_used,
            parent.gas_limit,
            parent.base_fee_per_gas.unwrap_or(0),
            BaseFeeParams::ethereum(),
        ),
    }
}
