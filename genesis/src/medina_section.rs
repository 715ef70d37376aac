//! The `medina` section of a genesis file: what Ethereum's own fields cannot say.
//!
//! Written in the order of the fields here; [`MedinaSection::digest`] is taken
//! over exactly that text and ends up in the genesis header, so that two chains
//! that differ in anything here have different genesis hashes. A later field
//! must therefore be left out of the text while it has its default.

use crate::{GenesisError, field::Field, limits};
use alloy_primitives::{Address, B256, U256, keccak256};
use medina_types::{
    ConsensusEngine, ConsensusParameters, ContractDirectory, ForkSchedule, GasCreditParameters,
    GasPolicy, MeteredGas, NodePublicKey, PermissionMode, Validator, ValidatorSet,
    limits::{PRIVATE_GAS_MAX, VALIDATORS_MAX},
};
use serde::{Serialize, Serializer};
use std::{collections::BTreeSet, time::Duration};

/// Version of the section that this build reads and writes.
pub const SECTION_VERSION: u64 = 1;

const DIGEST_DOMAIN: &[u8] = b"medina/genesis/v1";

/// Everything that Medina adds to a genesis file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MedinaSection {
    /// [`SECTION_VERSION`].
    pub version: u64,
    /// Name of the chain for people.
    pub name: String,
    /// Times and engine of consensus.
    #[serde(serialize_with = "write_consensus")]
    pub consensus: ConsensusParameters,
    /// Who pays for gas.
    #[serde(serialize_with = "write_gas")]
    pub gas: GasPolicy,
    /// Wei minted to the proposer of each block.
    pub block_reward: U256,
    /// Whether the `Permissioning` contract decides.
    #[serde(serialize_with = "write_permissions")]
    pub permissions: PermissionMode,
    /// Validators of height 1.
    pub validators: ValidatorSet,
    /// Predeployed contracts by name.
    pub contracts: ContractDirectory,
    /// Keys of admitted nodes that do not vote.
    pub nodes: Vec<NodePublicKey>,
    /// Where permissions are enforced: accounts that may transact while the
    /// `Permissioning` contract gives no answer. None elsewhere.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<Address>,
    /// Whether nodes take the private transactions of `GoQuorum`'s clients, marked by
    /// `v` 37 or 38. Off unless it is said: the mark is outside the signature.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub quorum_compat: bool,
    /// Bounds that private state depends on.
    #[serde(skip_serializing_if = "PrivateBounds::is_default")]
    pub private: PrivateBounds,
}

/// Bounds that all members of a private group must share: who executes under others comes to
/// another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateBounds {
    /// Gas that one private transaction may use.
    pub gas_max: u64,
}

impl Default for PrivateBounds {
    fn default() -> Self {
        Self {
            gas_max: PRIVATE_GAS_MAX,
        }
    }
}

impl PrivateBounds {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn read(field: &Field<'_>) -> Result<Self, GenesisError> {
        if field.is_missing() {
            return Ok(Self::default());
        }
        field.only(&["gasMax"])?;
        let gas_max = field.get("gasMax");
        Ok(Self {
            gas_max: gas_max.u64(limits::PRIVATE_GAS_RANGE, "gas")?,
        })
    }
}

impl MedinaSection {
    /// Reads and checks the section.
    pub(crate) fn read(field: &Field<'_>) -> Result<Self, GenesisError> {
        if field.is_missing() {
            return Err(field.expected(
                "the section that makes this a chain of Medina: `medina network new` writes one, \
                 with `--from-genesis FILE` for a file of geth or Besu",
            ));
        }
        field.only(&[
            "version",
            "name",
            "consensus",
            "gas",
            "blockReward",
            "permissions",
            "validators",
            "contracts",
            "nodes",
            "accounts",
            "quorumCompat",
            "private",
        ])?;
        let version = field.get("version");
        version.u64(
            SECTION_VERSION..=SECTION_VERSION,
            "the version of the section",
        )?;
        Ok(Self {
            version: SECTION_VERSION,
            name: read_name(&field.get("name"))?,
            consensus: read_consensus(&field.get("consensus"))?,
            gas: read_gas(&field.get("gas"))?,
            block_reward: read_wei(&field.get("blockReward"))?,
            permissions: field.get("permissions").choice(&[
                ("open", PermissionMode::Open),
                ("enforced", PermissionMode::Enforced),
            ])?,
            validators: read_validators(&field.get("validators"))?,
            contracts: read_contracts(&field.get("contracts"))?,
            nodes: read_nodes(&field.get("nodes"))?,
            accounts: read_accounts(&field.get("accounts"))?,
            quorum_compat: read_flag(&field.get("quorumCompat"))?,
            private: PrivateBounds::read(&field.get("private"))?,
        })
    }

    /// Digest of the chain id, this section and the forks, which the genesis
    /// header carries as `mixHash`. Osaka from the first block on goes unsaid.
    #[must_use]
    pub fn digest(&self, chain_id: u64, forks: &ForkSchedule) -> B256 {
        let text = serde_json::to_vec(self).expect("plain data with text keys becomes JSON");
        let forks = if *forks == ForkSchedule::default() {
            String::new()
        } else {
            forks.to_string()
        };
        keccak256(
            [
                DIGEST_DOMAIN,
                &chain_id.to_be_bytes(),
                &text,
                forks.as_bytes(),
            ]
            .concat(),
        )
    }
}

/// `true` or `false`; missing is false.
fn read_flag(field: &Field<'_>) -> Result<bool, GenesisError> {
    if field.is_true() {
        return Ok(true);
    }
    match field.is_missing() || field.is_false() {
        true => Ok(false),
        false => Err(field.expected("true or false")),
    }
}

fn read_name(field: &Field<'_>) -> Result<String, GenesisError> {
    let name = field.text(limits::NAME_CHARACTERS_MAX)?;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(field.expected("a name without control characters"));
    }
    Ok(name.to_owned())
}

/// Balance or reward in wei, bounded so that no sum overflows.
pub(crate) fn read_wei(field: &Field<'_>) -> Result<U256, GenesisError> {
    let wei = field.u256()?;
    if wei.bit_len() > limits::WEI_BITS_MAX {
        return Err(field.expected(format!("wei below 2^{}", limits::WEI_BITS_MAX)));
    }
    Ok(wei)
}

fn read_consensus(field: &Field<'_>) -> Result<ConsensusParameters, GenesisError> {
    field.only(&[
        "engine",
        "baseTimeoutMs",
        "timeoutMaxMs",
        "minBlockIntervalMs",
        "emptyBlockPeriodS",
        "clockToleranceS",
    ])?;
    let milliseconds = |name: &str| {
        let read = field
            .get(name)
            .u64(limits::TIMEOUT_MS_RANGE, "milliseconds");
        read.map(Duration::from_millis)
    };
    let base_timeout = milliseconds("baseTimeoutMs")?;
    let timeout_max = milliseconds("timeoutMaxMs")?;
    if timeout_max < base_timeout {
        let base = base_timeout.as_millis();
        let expected = format!("at least medina.consensus.baseTimeoutMs, which is {base}");
        return Err(field.get("timeoutMaxMs").expected(expected));
    }
    let heartbeat = field.get("emptyBlockPeriodS");
    let tolerance = field.get("clockToleranceS");
    Ok(ConsensusParameters {
        engine: field.get("engine").choice(&[
            ("qbft", ConsensusEngine::Qbft),
            ("raft", ConsensusEngine::Raft),
        ])?,
        base_timeout,
        timeout_max,
        min_block_interval: milliseconds("minBlockIntervalMs")?,
        empty_block_period: heartbeat
            .optional(|field| field.u64(limits::EMPTY_BLOCK_PERIOD_S_RANGE, "seconds"))?
            .map(Duration::from_secs),
        clock_tolerance: Duration::from_secs(
            tolerance.u64(limits::CLOCK_TOLERANCE_S_RANGE, "seconds")?,
        ),
    })
}

#[derive(Clone, Copy)]
enum PolicyName {
    Free,
    Metered,
}

fn read_gas(field: &Field<'_>) -> Result<GasPolicy, GenesisError> {
    field.entries()?;
    let policy = field.get("policy");
    match policy.choice(&[("free", PolicyName::Free), ("metered", PolicyName::Metered)])? {
        PolicyName::Free => read_free(field),
        PolicyName::Metered => read_metered(field),
    }
}

fn read_free(field: &Field<'_>) -> Result<GasPolicy, GenesisError> {
    let names = [
        "policy",
        "creditCapacityGas",
        "creditRefillGasPerS",
        "sharedCapacityGas",
        "sharedRefillGasPerS",
    ];
    field.only(&names)?;
    let gas = |name: &str| field.get(name).u64(1..=u64::MAX / 2, "gas");
    Ok(GasPolicy::Free(GasCreditParameters {
        capacity_gas: gas("creditCapacityGas")?,
        refill_gas_per_s: gas("creditRefillGasPerS")?,
        shared_capacity_gas: gas("sharedCapacityGas")?,
        shared_refill_gas_per_s: gas("sharedRefillGasPerS")?,
    }))
}

fn read_metered(field: &Field<'_>) -> Result<GasPolicy, GenesisError> {
    field.only(&["policy", "initialBaseFee", "treasury", "treasuryShareBps"])?;
    let share = field
        .get("treasuryShareBps")
        .u64(0..=10_000, "basis points")?;
    Ok(GasPolicy::Metered(MeteredGas {
        initial_base_fee: field
            .get("initialBaseFee")
            .u64(1..=u64::MAX / 2, "wei per gas")?,
        treasury: field.get("treasury").address()?,
        treasury_share_bps: u16::try_from(share).expect("10,000 fits 16 bits"),
    }))
}

fn read_validators(field: &Field<'_>) -> Result<ValidatorSet, GenesisError> {
    let items = field.items(VALIDATORS_MAX)?;
    let validators = items.iter().map(|item| {
        item.only(&["key", "operator"])?;
        let (key, operator) = (item.get("key").node_key()?, item.get("operator").address()?);
        if operator.is_zero() {
            return Err(item
                .get("operator")
                .expected("an account that somebody holds"));
        }
        Ok(Validator { key, operator })
    });
    ValidatorSet::new(validators.collect::<Result<_, _>>()?)
        .map_err(|error| field.expected(format!("a validator set ({error})")))
}

fn read_contracts(field: &Field<'_>) -> Result<ContractDirectory, GenesisError> {
    let Some(entries) = field.optional(Field::entries)? else {
        return Ok(ContractDirectory::new());
    };
    if entries.len() > limits::CONTRACTS_MAX {
        return Err(field.expected(format!("at most {} contracts", limits::CONTRACTS_MAX)));
    }
    let read = |(name, entry): (&str, Field<'_>)| {
        let starts_low = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts_low || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(entry.expected("a contract name in camelCase"));
        }
        Ok((name.to_owned(), entry.address()?))
    };
    entries.into_iter().map(read).collect()
}

fn read_nodes(field: &Field<'_>) -> Result<Vec<NodePublicKey>, GenesisError> {
    let items = field
        .optional(|field| field.items(limits::NODES_MAX))?
        .unwrap_or_default();
    items.iter().map(Field::node_key).collect()
}

fn read_accounts(field: &Field<'_>) -> Result<BTreeSet<Address>, GenesisError> {
    let items = field
        .optional(|field| field.items(limits::ACCOUNTS_LISTED_MAX))?
        .unwrap_or_default();
    items.iter().map(Field::address).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsensusText {
    engine: &'static str,
    base_timeout_ms: u128,
    timeout_max_ms: u128,
    min_block_interval_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty_block_period_s: Option<u64>,
    clock_tolerance_s: u64,
}

fn write_consensus<S: Serializer>(
    consensus: &ConsensusParameters,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = ConsensusText {
        engine: match consensus.engine {
            ConsensusEngine::Qbft => "qbft",
            ConsensusEngine::Raft => "raft",
        },
        base_timeout_ms: consensus.base_timeout.as_millis(),
        timeout_max_ms: consensus.timeout_max.as_millis(),
        min_block_interval_ms: consensus.min_block_interval.as_millis(),
        empty_block_period_s: consensus.empty_block_period.map(|period| period.as_secs()),
        clock_tolerance_s: consensus.clock_tolerance.as_secs(),
    };
    text.serialize(serializer)
}

#[derive(Serialize)]
#[serde(
    tag = "policy",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
enum GasText {
    Free {
        credit_capacity_gas: u64,
        credit_refill_gas_per_s: u64,
        shared_capacity_gas: u64,
        shared_refill_gas_per_s: u64,
    },
    Metered {
        initial_base_fee: u64,
        treasury: Address,
        treasury_share_bps: u16,
    },
}

fn write_gas<S: Serializer>(gas: &GasPolicy, serializer: S) -> Result<S::Ok, S::Error> {
    let text = match *gas {
        GasPolicy::Free(credit) => GasText::Free {
            credit_capacity_gas: credit.capacity_gas,
            credit_refill_gas_per_s: credit.refill_gas_per_s,
            shared_capacity_gas: credit.shared_capacity_gas,
            shared_refill_gas_per_s: credit.shared_refill_gas_per_s,
        },
        GasPolicy::Metered(metered) => GasText::Metered {
            initial_base_fee: metered.initial_base_fee,
            treasury: metered.treasury,
            treasury_share_bps: metered.treasury_share_bps,
        },
    };
    text.serialize(serializer)
}

fn write_permissions<S: Serializer>(
    permissions: &PermissionMode,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match permissions {
        PermissionMode::Open => "open",
        PermissionMode::Enforced => "enforced",
    })
}
