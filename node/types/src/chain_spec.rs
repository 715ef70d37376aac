//! The chain spec as plain data. The `genesis` crate reads and checks it.

use crate::{ForkSchedule, NodePublicKey, ValidatorSet};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256, address};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Precompile that verifies ed25519: input is a 32-byte key, a 64-byte
/// signature and the message; output is 32 bytes with value 1 if the signature
/// is valid under strict rules, else empty.
pub const ED25519_PRECOMPILE: Address = address!("0x000000000000000000000000000000000000ed25");

/// Contract addresses by name in camelCase, as `medina_contracts` answers them.
pub type ContractDirectory = BTreeMap<String, Address>;

/// Which rules headers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderRules {
    /// Our chains: time may repeat, gas limit from genesis, no withdrawals.
    Medina,
    /// Ethereum's own rules, for public test vectors.
    Ethereum,
}

/// How the validators agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsensusEngine {
    /// Byzantine fault tolerant: up to floor((n-1)/3) validators may lie.
    Qbft,
    /// Crash tolerant only, for networks of mutual trust.
    Raft,
}

impl ConsensusEngine {
    /// Signatures that a certificate of this engine needs: ceil(2n/3) with QBFT
    /// ([`ValidatorSet::quorum`]), a majority with Raft, where nobody lies.
    #[must_use]
    pub fn quorum(self, set: &ValidatorSet) -> usize {
        match self {
            Self::Qbft => set.quorum(),
            Self::Raft => set.len() / 2 + 1,
        }
    }
}

/// Times of consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsensusParameters {
    /// The engine.
    pub engine: ConsensusEngine,
    /// Timeout of round 0.
    pub base_timeout: Duration,
    /// Largest timeout of any round.
    pub timeout_max: Duration,
    /// Shortest time between two blocks.
    pub min_block_interval: Duration,
    /// Longest time without a block; `None`: blocks only when there is something to do.
    pub empty_block_period: Option<Duration>,
    /// How far a fresh proposal's time may be ahead of our clock.
    pub clock_tolerance: Duration,
}

impl Default for ConsensusParameters {
    fn default() -> Self {
        Self {
            engine: ConsensusEngine::Qbft,
            base_timeout: Duration::from_secs(1),
            timeout_max: Duration::from_secs(10),
            min_block_interval: Duration::from_millis(100),
            empty_block_period: None,
            clock_tolerance: Duration::from_secs(5),
        }
    }
}

/// Refilling credit that stops floods where gas is free: a rule of pool and
/// proposer, not of validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasCreditParameters {
    /// Gas that one account (its organisation, once known) may use at once.
    pub capacity_gas: u64,
    /// Gas that comes back per second.
    pub refill_gas_per_s: u64,
    /// Gas that all accounts without an organisation may use at once, together.
    pub shared_capacity_gas: u64,
    /// Gas that comes back to them per second, together.
    pub shared_refill_gas_per_s: u64,
}

/// EIP-1559 with fees that are kept instead of burnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeteredGas {
    /// Base fee of the first block, wei per gas.
    pub initial_base_fee: u64,
    /// Where the treasury's share of base fees goes.
    pub treasury: Address,
    /// Share of base fees for the treasury, basis points; the proposer gets the rest.
    pub treasury_share_bps: u16,
}

/// Who pays for gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GasPolicy {
    /// Base fee 0, tips optional, floods met by a credit.
    Free(GasCreditParameters),
    /// Base fees by EIP-1559.
    Metered(MeteredGas),
}

/// Whether the `Permissioning` contract decides who may connect and transact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionMode {
    /// Every account may transact; admitted nodes are listed in files.
    Open,
    /// The contract decides, as block validity.
    Enforced,
}

/// Who may connect and transact where permissions are enforced and the contract
/// gives no answer: a broken contract must be mendable, by those whom genesis
/// trusted, and by nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionLists {
    /// Accounts that may transact, deployments included.
    pub accounts: BTreeSet<Address>,
    /// Nodes that may connect, beside the validators of the current set.
    pub nodes: BTreeSet<NodePublicKey>,
}

/// Everything all nodes of a chain must agree on.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainSpec {
    /// Name for people.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Header of block 0.
    pub genesis_header: Header,
    /// Hash of block 0.
    pub genesis_hash: B256,
    /// Which rules headers follow.
    pub header_rules: HeaderRules,
    /// Which of Ethereum's forks hold when.
    pub forks: ForkSchedule,
    /// Times of consensus.
    pub consensus: ConsensusParameters,
    /// Gas limit of every block.
    pub gas_limit: u64,
    /// Who pays for gas.
    pub gas_policy: GasPolicy,
    /// Wei minted to the proposer of each block; zero for none.
    pub block_reward: U256,
    /// Whether permissions are enforced.
    pub permissions: PermissionMode,
    /// What holds where the contract gives no answer.
    pub permission_lists: PermissionLists,
    /// Validators of height 1.
    pub validators: ValidatorSet,
    /// Predeployed contracts by name.
    pub contracts: ContractDirectory,
}
