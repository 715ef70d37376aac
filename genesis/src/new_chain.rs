//! Puts together the genesis of a new chain: accounts, contracts, parameters.

use crate::{
    GenesisError, GenesisFile, MedinaSection, PrivateBounds, defaults, genesis_file::osaka_config,
    medina_section::SECTION_VERSION, predeploy::predeployed, test_accounts::test_addresses,
};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, U256};
use medina_contracts::DeploymentParameters;
use medina_types::{ConsensusParameters, ForkSchedule, GasPolicy, PermissionMode, ValidatorSet};
use std::collections::BTreeSet;

/// Wei of one coin.
const COIN: u64 = 1_000_000_000_000_000_000;

/// What a new chain should be.
#[derive(Clone, Debug)]
pub struct ChainOptions {
    /// Name for people.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Engine and times.
    pub consensus: ConsensusParameters,
    /// Whether permissions are enforced.
    pub permissions: PermissionMode,
    /// Validators of height 1.
    pub validators: ValidatorSet,
    /// Holds all coins and roles in place of the test accounts.
    pub admin: Option<Address>,
    /// Time of the genesis block, Unix seconds.
    pub timestamp_s: u64,
    /// Whether nodes take the private transactions of `GoQuorum`'s clients.
    pub quorum_compat: bool,
    /// Bounds that private state depends on.
    pub private: PrivateBounds,
}

/// How long what governor and minters want is announced before it can happen, seconds: time in which
/// guardians cancel it and others leave (contracts specification, section 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GovernanceDelays {
    /// Upgrades, parameters, allow lists, roles.
    pub governor_s: u32,
    /// New tokens.
    pub minter_s: u32,
}

impl GovernanceDelays {
    /// Development: everything at once.
    pub const NONE: Self = Self {
        governor_s: 0,
        minter_s: 0,
    };
    /// The specification's: 48 and 24 hours.
    pub const STANDARD: Self = Self {
        governor_s: 48 * 3_600,
        minter_s: 24 * 3_600,
    };

    /// The same delay for both.
    #[must_use]
    pub const fn both(seconds: u32) -> Self {
        Self {
            governor_s: seconds,
            minter_s: seconds,
        }
    }

    /// None where the well-known test accounts rule, else the specification's.
    #[must_use]
    pub const fn usual(admin: Option<Address>) -> Self {
        match admin {
            None => Self::NONE,
            Some(_) => Self::STANDARD,
        }
    }
}

/// Makes the genesis of a new chain with all contracts deployed and the usual delays of governance.
///
/// # Errors
/// [`GenesisError::Predeploy`].
pub fn new_chain(options: &ChainOptions) -> Result<GenesisFile, GenesisError> {
    new_chain_with(options, GovernanceDelays::usual(options.admin))
}

/// The same with these delays.
///
/// # Errors
/// [`GenesisError::Predeploy`].
pub fn new_chain_with(
    options: &ChainOptions,
    delays: GovernanceDelays,
) -> Result<GenesisFile, GenesisError> {
    let holders = options
        .admin
        .map_or_else(test_addresses, |admin| vec![admin]);
    let validators = options.validators.validators().iter();
    let mut parameters = DeploymentParameters::development(&holders)
        .with_validators(validators.map(|validator| (validator.key.0.into(), validator.operator)));
    (parameters.governor_delay_s, parameters.minter_delay_s) = (delays.governor_s, delays.minter_s);
    let accounts = match options.permissions {
        PermissionMode::Open => BTreeSet::new(),
        PermissionMode::Enforced => parameters.permissioning.accounts.iter().copied().collect(),
    };
    let predeployed = predeployed(&parameters, options)?;
    let mut alloc = predeployed.accounts;
    for holder in holders {
        let balance = U256::from(defaults::COINS_PER_ACCOUNT) * U256::from(COIN);
        alloc
            .entry(holder)
            .or_insert_with(GenesisAccount::default)
            .balance = balance;
    }
    let medina = MedinaSection {
        version: SECTION_VERSION,
        name: options.name.clone(),
        consensus: options.consensus,
        gas: GasPolicy::Free(defaults::GAS_CREDIT),
        block_reward: U256::ZERO,
        permissions: options.permissions,
        validators: options.validators.clone(),
        contracts: predeployed.contracts,
        nodes: Vec::new(),
        accounts,
        quorum_compat: options.quorum_compat,
        private: options.private,
    };
    let ethereum = Genesis {
        config: osaka_config(options.chain_id),
        timestamp: options.timestamp_s,
        gas_limit: defaults::GAS_LIMIT,
        mix_hash: medina.digest(options.chain_id, &ForkSchedule::default()),
        base_fee_per_gas: Some(0),
        alloc,
        ..Genesis::default()
    };
    // What we write must be what we accept, options from outside included.
    GenesisFile::from_json(&GenesisFile { ethereum, medina }.to_json())
}
