//! Numbers and times of simulated blocks: both rise, gaps are filled.

use super::{BlockToSimulate, SIMULATED_BLOCKS_MAX, SIMULATED_CALLS_MAX, SimulationError};
use crate::{CallRequest, StateOverrides};
use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256};

/// Seconds between two blocks where nobody says otherwise.
const SECONDS_BETWEEN_BLOCKS: u64 = 12;

/// A block with every default filled in that does not need an execution.
pub(super) struct PlannedBlock<'a> {
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) gas_limit: u64,
    pub(super) beneficiary: Address,
    pub(super) prev_randao: B256,
    pub(super) base_fee: Option<u64>,
    pub(super) blob_base_fee: Option<u128>,
    pub(super) beacon_root: B256,
    pub(super) withdrawals: &'a [Withdrawal],
    pub(super) accounts: &'a StateOverrides,
    pub(super) calls: &'a [CallRequest],
}

static NO_ACCOUNTS: StateOverrides = StateOverrides::new();

impl PlannedBlock<'_> {
    /// The block that follows where nobody says anything.
    fn after(&self) -> PlannedBlock<'static> {
        PlannedBlock {
            number: self.number.saturating_add(1),
            time: self.time.saturating_add(SECONDS_BETWEEN_BLOCKS),
            gas_limit: self.gas_limit,
            beneficiary: self.beneficiary,
            prev_randao: B256::ZERO,
            base_fee: None,
            blob_base_fee: None,
            beacon_root: B256::ZERO,
            withdrawals: &[],
            accounts: &NO_ACCOUNTS,
            calls: &[],
        }
    }
}

/// Puts the blocks in a row behind `base`.
pub(super) fn plan<'a>(
    base: &Header,
    blocks: &'a [BlockToSimulate],
) -> Result<Vec<PlannedBlock<'a>>, SimulationError> {
    if blocks.is_empty() {
        return Err(SimulationError::Empty);
    }
    if blocks.len() as u64 > SIMULATED_BLOCKS_MAX {
        return Err(SimulationError::TooManyBlocks);
    }
    let mut last = PlannedBlock {
        number: base.number,
        time: base.timestamp,
        gas_limit: base.gas_limit,
        beneficiary: base.beneficiary,
        prev_randao: B256::ZERO,
        base_fee: None,
        blob_base_fee: None,
        beacon_root: B256::ZERO,
        withdrawals: &[],
        accounts: &NO_ACCOUNTS,
        calls: &[],
    };
    let mut plan: Vec<PlannedBlock<'a>> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let number = block.header.number.unwrap_or(last.number.saturating_add(1));
        if number <= last.number {
            let before = last.number;
            return Err(SimulationError::NumberOrder { number, before });
        }
        if number - base.number > SIMULATED_BLOCKS_MAX {
            return Err(SimulationError::TooManyBlocks);
        }
        while last.number + 1 < number {
            let empty = last.after();
            last = empty.after_itself();
            plan.push(empty);
        }
        let next = with_overrides(last.after(), block, last.time)?;
        last = next.after_itself();
        plan.push(next);
    }
    Ok(plan)
}

impl PlannedBlock<'_> {
    /// What the next block takes over from this one.
    fn after_itself(&self) -> PlannedBlock<'static> {
        PlannedBlock {
            number: self.number,
            time: self.time,
            ..self.after()
        }
    }
}

fn with_overrides<'a>(
    default: PlannedBlock<'static>,
    block: &'a BlockToSimulate,
    before: u64,
) -> Result<PlannedBlock<'a>, SimulationError> {
    let header = &block.header;
    let time = header.time.unwrap_or(default.time);
    if time <= before {
        return Err(SimulationError::TimeOrder { time, before });
    }
    let (got, max) = (block.calls.len(), SIMULATED_CALLS_MAX);
    if got > max {
        return Err(SimulationError::TooManyCalls { got, max });
    }
    Ok(PlannedBlock {
        number: default.number,
        time,
        gas_limit: header.gas_limit.unwrap_or(default.gas_limit),
        beneficiary: header.fee_recipient.unwrap_or(default.beneficiary),
        prev_randao: header.prev_randao.unwrap_or_default(),
        base_fee: header.base_fee_per_gas,
        blob_base_fee: header.blob_base_fee,
        beacon_root: header.beacon_root.unwrap_or_default(),
        withdrawals: &header.withdrawals,
        accounts: &block.accounts,
        calls: &block.calls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Header {
        Header {
            number: 10,
            timestamp: 100,
            gas_limit: 7,
            ..Header::default()
        }
    }

    fn block(number: Option<u64>, time: Option<u64>) -> BlockToSimulate {
        let mut block = BlockToSimulate::default();
        (block.header.number, block.header.time) = (number, time);
        block
    }

    #[test]
    fn gaps_become_empty_blocks_and_later_ones_take_over_what_was_said() {
        let mut blocks = [block(Some(13), Some(500)), block(None, None)];
        blocks[0].header.gas_limit = Some(9);
        let plan = plan(&base(), &blocks).unwrap();
        let rows: Vec<_> = plan
            .iter()
            .map(|one| (one.number, one.time, one.gas_limit))
            .collect();
        assert_eq!(
            rows,
            [(11, 112, 7), (12, 124, 7), (13, 500, 9), (14, 512, 9)]
        );
    }

    #[test]
    fn numbers_and_times_must_rise_within_bounds() {
        let refusal = |blocks: &[BlockToSimulate]| plan(&base(), blocks).err().unwrap().to_string();
        assert_eq!(refusal(&[]), "empty input");
        assert_eq!(
            refusal(&[block(Some(10), None)]),
            "block numbers must be in order: 10 <= 10"
        );
        assert_eq!(
            refusal(&[block(Some(13), Some(124))]),
            "block timestamps must be in order: 124 <= 124"
        );
        assert_eq!(refusal(&[block(Some(267), None)]), "too many blocks");
        assert_eq!(refusal(&[block(Some(u64::MAX), None)]), "too many blocks");
        let many = vec![block(None, None); 257];
        assert_eq!(refusal(&many), "too many blocks");
        assert_eq!(plan(&base(), &[block(Some(266), None)]).unwrap().len(), 256);
    }
}
