//! Ethereum's rules before Paris, as a genesis file names them.

use alloy_genesis::ChainConfig;
use alloy_primitives::{Address, U256};
use medina_execution::{EthereumHistory, SpecId};
use medina_types::{ForkSchedule, ForkScheduleError};

/// Wei in an ether.
const ETHER: u64 = 1_000_000_000_000_000_000;

/// Forks of a chain that began with proof of work.
#[derive(Debug)]
pub(super) struct History {
    /// Forks before Paris by their first block, ascending.
    forks: Vec<(u64, SpecId)>,
    /// All blocks at which anything changed, ascending.
    blocks: Vec<u64>,
    /// First block without proof of work.
    merge: u64,
    deposit_contract: Address,
}

impl History {
    pub(super) fn of_config(config: &ChainConfig) -> Self {
        let forks = [
            (config.homestead_block, SpecId::HOMESTEAD),
            (config.eip150_block, SpecId::TANGERINE),
            (config.eip158_block, SpecId::SPURIOUS_DRAGON),
            (config.byzantium_block, SpecId::BYZANTIUM),
            // Constantinople differs from Petersburg in EIP-1283 alone, which no
            // transaction of the public chain comes near.
            (config.constantinople_block, SpecId::PETERSBURG),
            (config.petersburg_block, SpecId::PETERSBURG),
            (config.istanbul_block, SpecId::ISTANBUL),
            (config.berlin_block, SpecId::BERLIN),
            (config.london_block, SpecId::LONDON),
        ];
        let others = [
            config.eip155_block,
            config.muir_glacier_block,
            config.arrow_glacier_block,
            config.gray_glacier_block,
            config.merge_netsplit_block,
        ];
        let named = forks.iter().map(|(block, _)| *block).chain(others);
        let mut blocks: Vec<u64> = named.flatten().collect();
        blocks.sort_unstable();
        blocks.dedup();
        let forks = forks.into_iter();
        Self {
            forks: forks
                .filter_map(|(block, fork)| Some((block?, fork)))
                .collect(),
            blocks,
            merge: config.merge_netsplit_block.unwrap_or(0),
            deposit_contract: config.deposit_contract_address.unwrap_or_default(),
        }
    }

    /// First block whose receipts say how a transaction ended.
    pub(super) fn has_roots_in_receipts(&self, number: u64) -> bool {
        let fork = self.fork(number);
        fork.is_some_and(|fork| !fork.is_enabled_in(SpecId::BYZANTIUM))
    }
}

impl EthereumHistory for History {
    fn fork(&self, number: u64) -> Option<SpecId> {
        if number >= self.merge {
            return None;
        }
        let begun = self.forks.iter().rev().find(|(block, _)| *block <= number);
        Some(begun.map_or(SpecId::FRONTIER, |(_, fork)| *fork))
    }

    /// EIP-649 and EIP-1234.
    fn reward(&self, number: u64) -> U256 {
        let Some(fork) = self.fork(number) else {
            return U256::ZERO;
        };
        let ethers = match fork {
            fork if fork.is_enabled_in(SpecId::PETERSBURG) => 2,
            fork if fork.is_enabled_in(SpecId::BYZANTIUM) => 3,
            _ => 5,
        };
        U256::from(ethers) * U256::from(ETHER)
    }

    fn fork_blocks(&self) -> Vec<u64> {
        self.blocks.clone()
    }

    fn deposit_contract(&self) -> Address {
        self.deposit_contract
    }
}

/// The schedule from Paris on: what was before is the history's.
pub(super) fn schedule_of(config: &ChainConfig) -> Result<ForkSchedule, ForkScheduleError> {
    let since_paris = ChainConfig {
        chain_id: config.chain_id,
        shanghai_time: config.shanghai_time,
        cancun_time: config.cancun_time,
        prague_time: config.prague_time,
        osaka_time: config.osaka_time,
        bpo1_time: config.bpo1_time,
        bpo2_time: config.bpo2_time,
        bpo3_time: config.bpo3_time,
        bpo4_time: config.bpo4_time,
        bpo5_time: config.bpo5_time,
        blob_schedule: config.blob_schedule.clone(),
        ..ChainConfig::default()
    };
    ForkSchedule::of_config(&since_paris)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_and_rewards_follow_from_the_blocks_of_the_config() {
        let config = ChainConfig {
            homestead_block: Some(0),
            eip158_block: Some(6),
            byzantium_block: Some(9),
            constantinople_block: Some(12),
            petersburg_block: Some(15),
            london_block: Some(27),
            merge_netsplit_block: Some(36),
            ..ChainConfig::default()
        };
        let history = History::of_config(&config);
        let forks = [0, 8, 9, 12, 35, 36].map(|number| history.fork(number));
        use SpecId as Fork;
        let expected = [
            Some(Fork::HOMESTEAD),
            Some(Fork::SPURIOUS_DRAGON),
            Some(Fork::BYZANTIUM),
            Some(Fork::PETERSBURG),
            Some(Fork::LONDON),
            None,
        ];
        assert_eq!(forks, expected);
        let ethers = [1, 9, 12, 36].map(|number| history.reward(number) / U256::from(ETHER));
        assert_eq!(ethers, [5, 3, 2, 0].map(U256::from));
        assert_eq!(history.fork_blocks(), [0, 6, 9, 12, 15, 27, 36]);
        let roots = [8, 9, 36].map(|number| history.has_roots_in_receipts(number));
        assert_eq!(roots, [true, false, false]);
    }
}
