//! A genesis file as it is typed: Ethereum's usual fields and the `medina` section.
//!
//! Accounts may be written as other clients write them: keys with or without
//! `0x`, balances in hexadecimal or decimal, extra keys such as `comment` or
//! `privateKey` beside them (ignored). Everything else is strict, so that a
//! misspelt field is an error and not a silent default.

use crate::{
    GenesisError, MedinaSection,
    field::{Field, parse_address, parse_word},
    limits,
    medina_section::read_wei,
};
use alloy_eips::eip7840::BlobParams;
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256};
use medina_types::{
    FORKS_BY_BLOCK, ForkSchedule,
    limits::{CONFIG_FILE_BYTES_MAX, EXTRA_DATA_BYTES_MAX},
};
use serde_json::Value;
use std::{collections::BTreeMap, io::Read as _, path::Path};

const TOP_LEVEL_FIELDS: &[&str] = &[
    "config",
    "nonce",
    "timestamp",
    "extraData",
    "gasLimit",
    "difficulty",
    "mixHash",
    "coinbase",
    "alloc",
    "baseFeePerGas",
    "excessBlobGas",
    "blobGasUsed",
    "number",
    "parentHash",
    "gasUsed",
    "stateRoot",
    "hash",
    "comment",
    "medina",
];

/// Names under which genesis files set forks by time, in the order of [`FORKS_BY_BLOCK`].
const FORKS_BY_TIME: [&str; 4] = ["shanghaiTime", "cancunTime", "pragueTime", "osakaTime"];

/// Says that a chain begins with Paris where no later fork is named.
pub(crate) const PARIS_BLOCK: &str = "parisBlock";

/// Forks before Paris, in the rules from block 0 on.
pub(crate) const FORKS: &[&str] = &[
    "homesteadBlock",
    "daoForkBlock",
    "eip150Block",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "muirGlacierBlock",
    "berlinBlock",
    "londonBlock",
    "arrowGlacierBlock",
    "grayGlacierBlock",
    "mergeNetsplitBlock",
    "terminalTotalDifficulty",
];

/// Consensus sections of other clients, which would be ignored silently otherwise.
const FOREIGN_CONSENSUS: &[&str] = &[
    "qbft", "ibft", "ibft2", "clique", "raft", "ethash", "parlia",
];

/// What stands in a genesis file. [`crate::LoadedGenesis`] is what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct GenesisFile {
    /// The usual fields.
    pub ethereum: Genesis,
    /// What Medina adds.
    pub medina: MedinaSection,
}

impl GenesisFile {
    /// Reads a file of bounded size.
    ///
    /// # Errors
    /// See [`GenesisError`].
    pub fn load(path: &Path) -> Result<Self, GenesisError> {
        let unreadable = |source| GenesisError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(CONFIG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        Self::parse(&bytes)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// See [`GenesisError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, GenesisError> {
        if bytes.len() as u64 > CONFIG_FILE_BYTES_MAX {
            return Err(GenesisError::TooLarge {
                max: CONFIG_FILE_BYTES_MAX,
            });
        }
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| GenesisError::NotJson {
                message: error.to_string(),
            })?;
        Self::from_json(&value)
    }

    /// Reads parsed JSON.
    ///
    /// # Errors
    /// See [`GenesisError::Field`].
    pub fn from_json(value: &Value) -> Result<Self, GenesisError> {
        let file = Field::root(value);
        file.only(TOP_LEVEL_FIELDS)?;
        let medina = MedinaSection::read(&file.get("medina"))?;
        let ethereum = read_ethereum(&file)?;
        let forks = forks_of(&ethereum.config)?;
        let digest = medina.digest(ethereum.config.chain_id, &forks);
        // Zero stands for "not given": no digest is zero.
        if !ethereum.mix_hash.is_zero() && ethereum.mix_hash != digest {
            return Err(file.get("mixHash").expected(format!(
                "{digest}, the digest of chain id and medina section, or nothing"
            )));
        }
        Ok(Self { ethereum, medina })
    }

    /// JSON of the file, `mixHash` filled in.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut ethereum = self.ethereum.clone();
        // A file that is read back refuses a schedule that is none.
        let forks = forks_of(&ethereum.config).unwrap_or_default();
        ethereum.mix_hash = self.medina.digest(ethereum.config.chain_id, &forks);
        let mut value = serde_json::to_value(&ethereum).expect("plain data becomes JSON");
        let medina = serde_json::to_value(&self.medina).expect("plain data becomes JSON");
        if let Value::Object(members) = &mut value {
            // The accounts are long: people look for everything else first.
            let accounts = members.remove("alloc");
            members.insert("medina".to_owned(), medina);
            members.extend(accounts.map(|accounts| ("alloc".to_owned(), accounts)));
        }
        value
    }
}

/// Configuration of a chain that follows Osaka rules from its first block.
#[must_use]
pub fn osaka_config(chain_id: u64) -> ChainConfig {
    ChainConfig {
        chain_id,
        homestead_block: Some(0),
        eip150_block: Some(0),
        eip155_block: Some(0),
        eip158_block: Some(0),
        byzantium_block: Some(0),
        constantinople_block: Some(0),
        petersburg_block: Some(0),
        istanbul_block: Some(0),
        berlin_block: Some(0),
        london_block: Some(0),
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        osaka_time: Some(0),
        terminal_total_difficulty: Some(alloy_primitives::U256::ZERO),
        terminal_total_difficulty_passed: true,
        ..ChainConfig::default()
    }
}

/// Which forks hold when.
pub(crate) fn forks_of(config: &ChainConfig) -> Result<ForkSchedule, GenesisError> {
    ForkSchedule::of_config(config).map_err(|error| GenesisError::Field {
        path: "config".to_owned(),
        found: error.to_string(),
        expected: "forks in order from Paris to Osaka".to_owned(),
    })
}

fn read_ethereum(file: &Field<'_>) -> Result<Genesis, GenesisError> {
    for (name, why) in [
        ("difficulty", "blocks are decided by votes"),
        ("number", "the genesis block is block 0"),
        ("gasUsed", "the genesis block has no transactions"),
        ("excessBlobGas", "this chain carries no blobs"),
        ("blobGasUsed", "this chain carries no blobs"),
    ] {
        file.get(name).fixed(0, why)?;
    }
    let parent = file.get("parentHash");
    if parent
        .optional(Field::b256)?
        .is_some_and(|hash| !hash.is_zero())
    {
        return Err(parent.expected("zero or nothing: the genesis block has no parent"));
    }
    let any = 0..=u64::MAX;
    let timestamp = file.get("timestamp");
    let timestamp = timestamp.optional(|f| f.u64(limits::TIMESTAMP_S_RANGE, "Unix seconds"))?;
    let base_fee = file
        .get("baseFeePerGas")
        .optional(|f| f.u64(any.clone(), "wei per gas"))?;
    Ok(Genesis {
        config: read_own_config(&file.get("config"))?,
        nonce: file
            .get("nonce")
            .optional(|field| field.u64(any, "a nonce"))?
            .unwrap_or(0),
        timestamp: timestamp.unwrap_or(0),
        extra_data: file
            .get("extraData")
            .optional(|field| field.bytes(EXTRA_DATA_BYTES_MAX))?
            .unwrap_or_default(),
        gas_limit: file.get("gasLimit").u64(limits::GAS_LIMIT_RANGE, "gas")?,
        mix_hash: file
            .get("mixHash")
            .optional(Field::b256)?
            .unwrap_or_default(),
        coinbase: file
            .get("coinbase")
            .optional(Field::address)?
            .unwrap_or_default(),
        alloc: read_accounts(&file.get("alloc"))?,
        base_fee_per_gas: base_fee.map(u128::from),
        ..Genesis::default()
    })
}

/// Chain id and forks of a file of ours. Other settings of other clients are
/// ignored, their consensus excepted.
fn read_own_config(config: &Field<'_>) -> Result<ChainConfig, GenesisError> {
    config.entries()?;
    for foreign in FOREIGN_CONSENSUS {
        let section = config.get(foreign);
        if !section.is_missing() {
            return Err(section.expected("nothing: consensus is set in medina.consensus"));
        }
    }
    read_config(config)
}

/// Chain id and forks.
pub(crate) fn read_config(config: &Field<'_>) -> Result<ChainConfig, GenesisError> {
    let mut osaka = osaka_config(read_chain_id(config)?);
    let time = |name: &str| {
        let field = config.get(name);
        field.optional(|field| field.u64(0..=u64::MAX, "Unix seconds"))
    };
    read_forks_by_block(config, &mut osaka)?;
    let named = ChainConfig {
        shanghai_time: time("shanghaiTime")?,
        cancun_time: time("cancunTime")?,
        prague_time: time("pragueTime")?,
        osaka_time: time("osakaTime")?,
        bpo1_time: time("bpo1Time")?,
        bpo2_time: time("bpo2Time")?,
        bpo3_time: time("bpo3Time")?,
        bpo4_time: time("bpo4Time")?,
        bpo5_time: time("bpo5Time")?,
        blob_schedule: read_blob_schedule(&config.get("blobSchedule"))?,
        ..osaka.clone()
    };
    let times = [
        named.shanghai_time,
        named.cancun_time,
        named.prague_time,
        named.osaka_time,
        named.bpo1_time,
        named.bpo2_time,
        named.bpo3_time,
        named.bpo4_time,
        named.bpo5_time,
    ];
    let is_by_time = times.iter().any(Option::is_some);
    let is_named = is_by_time || !osaka.extra_fields.is_empty();
    Ok(if is_named { named } else { osaka })
}

/// Forks that are set by block stay in the config under their names.
fn read_forks_by_block(config: &Field<'_>, into: &mut ChainConfig) -> Result<(), GenesisError> {
    let paris = config.get(PARIS_BLOCK);
    if !paris.is_missing() {
        paris.fixed(0, "the first rules are those of Paris")?;
        into.extra_fields.insert(PARIS_BLOCK.to_owned(), 0.into());
    }
    for (name, by_time) in FORKS_BY_BLOCK.into_iter().zip(FORKS_BY_TIME) {
        let field = config.get(name);
        let Some(block) = field.optional(|field| field.u64(0..=u64::MAX, "a block"))? else {
            continue;
        };
        if !config.get(by_time).is_missing() {
            return Err(field.expected(format!("nothing beside config.{by_time}")));
        }
        into.extra_fields.insert(name.to_owned(), block.into());
    }
    Ok(())
}

fn read_blob_schedule(field: &Field<'_>) -> Result<BTreeMap<String, BlobParams>, GenesisError> {
    let entries = field.optional(Field::entries)?.unwrap_or_default();
    let read = |(name, entry): (&str, Field<'_>)| {
        let number = |member: &str| {
            let range = 1..=limits::BLOB_PARAMETER_MAX;
            entry.get(member).u64(range, "a parameter of blobs")
        };
        let blobs = BlobParams {
            target_blob_count: number("target")?,
            max_blob_count: number("max")?,
            update_fraction: number("baseFeeUpdateFraction")?.into(),
            ..BlobParams::cancun()
        };
        Ok((name.to_owned(), blobs))
    };
    entries.into_iter().map(read).collect()
}

fn read_chain_id(config: &Field<'_>) -> Result<u64, GenesisError> {
    config.entries()?;
    for fork in FORKS {
        config
            .get(fork)
            .fixed(0, "all rules before Paris hold from the first block")?;
    }
    config
        .get("chainId")
        .u64(limits::CHAIN_ID_RANGE, "a chain id")
}

pub(crate) fn read_accounts(
    alloc: &Field<'_>,
) -> Result<BTreeMap<Address, GenesisAccount>, GenesisError> {
    let mut accounts = BTreeMap::new();
    for (name, entry) in alloc.entries()? {
        let address = parse_address(name)
            .ok_or_else(|| entry.expected("an address of 40 hexadecimal digits as the key"))?;
        if accounts.insert(address, read_account(&entry)?).is_some() {
            return Err(entry.expected("every account once; this one is here twice"));
        }
    }
    Ok(accounts)
}

fn read_account(entry: &Field<'_>) -> Result<GenesisAccount, GenesisError> {
    entry.entries()?;
    let nonce = entry
        .get("nonce")
        .optional(|field| field.u64(0..=u64::MAX - 1, "a nonce"))?;
    let code = entry
        .get("code")
        .optional(|field| field.bytes(limits::CODE_BYTES_MAX))?;
    let storage = entry.get("storage").optional(read_storage)?;
    Ok(GenesisAccount {
        nonce: nonce.filter(|nonce| *nonce != 0),
        balance: entry.get("balance").optional(read_wei)?.unwrap_or_default(),
        code: code.filter(|code| !code.is_empty()),
        storage: storage.filter(|storage| !storage.is_empty()),
        private_key: None,
    })
}

fn read_storage(field: &Field<'_>) -> Result<BTreeMap<B256, B256>, GenesisError> {
    let mut storage = BTreeMap::new();
    for (name, entry) in field.entries()? {
        let slot = parse_word(name)
            .ok_or_else(|| entry.expected("a slot of up to 64 hexadecimal digits as the key"))?;
        let value = parse_word(entry.text(66)?)
            .ok_or_else(|| entry.expected("a value of up to 64 hexadecimal digits"))?;
        // A slot of zero is no slot.
        if !value.is_zero() && storage.insert(slot, value).is_some() {
            return Err(entry.expected("every slot once; this one is here twice"));
        }
    }
    Ok(storage)
}
