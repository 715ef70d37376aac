//! Genesis files of geth and Besu: what of them a new network takes over.
//!
//! Such a file has no `medina` section and names validators by accounts, which
//! cannot vote here, so it starts no node by itself: `medina network new
//! --from-genesis FILE` makes a network of it. Taken over are the chain id, the
//! schedule of forks and blobs, the gas limit, the accounts with code and storage,
//! and of a `qbft`, `ibft2` or `ibft` section its times and its block reward. What
//! is not taken over is said ([`ForeignGenesis::notes`]), never dropped in silence;
//! rules before Paris that begin later than block 0 are an error.
//!
//! # Deviations
//! Gas is free unless the file names a base fee above zero: with `zeroBaseFee` that
//! is what it says, and permissioned networks that set nothing run so in practice.

use crate::{
    GenesisError, GenesisFile,
    field::Field,
    genesis_file::{FORKS, PARIS_BLOCK, forks_of, read_accounts, read_config},
    limits,
};
use alloy_genesis::{ChainConfig, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256};
use medina_types::{
    Fork, GasPolicy, MeteredGas,
    limits::{CONFIG_FILE_BYTES_MAX, EXTRA_DATA_BYTES_MAX},
};
use serde_json::Value;
use std::{collections::BTreeMap, io::Read as _, path::Path, time::Duration};

/// Consensus sections whose times are taken over, by the names of both clients.
const TIMED_CONSENSUS: [&str; 4] = ["qbft", "ibft2", "ibft", "clique"];
/// Settings that mean nothing here, and why.
const LEFT_OUT: [(&str, &str); 6] = [
    (
        "contractSizeLimit",
        "code is limited to 24,576 bytes (EIP-170)",
    ),
    ("maxCodeSize", "code is limited to 24,576 bytes (EIP-170)"),
    (
        "maxCodeSizeConfig",
        "code is limited to 24,576 bytes (EIP-170)",
    ),
    ("txnSizeLimit", "transactions are limited to 128 KiB"),
    (
        "transitions",
        "validators change by ballot, and other settings not at all",
    ),
    ("evmStackSize", "the stack has 1,024 words"),
];
/// The first fork under which transactions can call Medina's contracts.
const CONTRACTS_NEED: Fork = Fork::Cancun;
/// Bytes of a genesis file's extra data that are read at all: a Besu network of
/// all the validators that there may be stays far below.
const FOREIGN_EXTRA_DATA_BYTES_MAX: usize = 64 * 1024;

/// What a genesis file of another client says.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignGenesis {
    config: ChainConfig,
    timestamp_s: u64,
    gas_limit: u64,
    coinbase: Address,
    extra_data: Bytes,
    base_fee: u64,
    accounts: BTreeMap<Address, GenesisAccount>,
    base_timeout: Option<Duration>,
    empty_block_period: Option<Duration>,
    block_reward: U256,
    notes: Vec<String>,
}

impl ForeignGenesis {
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
        Self::parse(&bytes).map_err(|error| GenesisError::InFile {
            path: path.to_owned(),
            source: Box::new(error),
        })
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// See [`GenesisError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, GenesisError> {
        if bytes.len() as u64 > CONFIG_FILE_BYTES_MAX {
            let max = CONFIG_FILE_BYTES_MAX;
            return Err(GenesisError::TooLarge { max });
        }
        let mut value: Value =
            serde_json::from_slice(bytes).map_err(|error| GenesisError::NotJson {
                message: error.to_string(),
            })?;
        let mut notes = Vec::new();
        level_old_forks(&mut value, &mut notes);
        cut_balances(&mut value, &mut notes);
        Self::read(&Field::root(&value), notes)
    }

    fn read(file: &Field<'_>, mut notes: Vec<String>) -> Result<Self, GenesisError> {
        if !file.get("medina").is_missing() {
            let expected = "nothing: a file with this section is a genesis of Medina already";
            return Err(file.get("medina").expected(expected));
        }
        file.get("number")
            .fixed(0, "the genesis block is block 0")?;
        let config = file.get("config");
        note_settings(&config, &mut notes);
        let times = Times::read(&config, &mut notes)?;
        let extra_data = read_extra_data(&file.get("extraData"), &mut notes)?;
        let seconds = |field: &Field<'_>| field.u64(limits::TIMESTAMP_S_RANGE, "Unix seconds");
        let wei = |field: &Field<'_>| field.u64(0..=u64::MAX / 2, "wei per gas");
        let is_free = config.get("zeroBaseFee").is_true();
        let base_fee = file.get("baseFeePerGas").optional(wei)?.unwrap_or(0);
        Ok(Self {
            config: read_config(&config)?,
            timestamp_s: file.get("timestamp").optional(seconds)?.unwrap_or(0),
            gas_limit: read_gas_limit(&file.get("gasLimit"), &mut notes)?,
            coinbase: file
                .get("coinbase")
                .optional(Field::address)?
                .unwrap_or_default(),
            extra_data,
            base_fee: if is_free { 0 } else { base_fee },
            accounts: read_accounts(&file.get("alloc"))?,
            base_timeout: times.base_timeout,
            empty_block_period: times.empty_block_period,
            block_reward: times.block_reward,
            notes,
        })
    }

    /// Its chain id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.config.chain_id
    }

    /// What of the file has no effect, a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Time of the genesis block: the file's, unless it is 0, which stands for
    /// "never" in Medina's contracts, so that no role could begin then.
    ///
    /// # Errors
    /// When the forks are none that a chain can follow.
    pub(crate) fn timestamp_s(&mut self, now_s: u64) -> Result<u64, GenesisError> {
        let mut begins_s = self.timestamp_s;
        if begins_s == 0 {
            begins_s = now_s;
            self.notes.push(format!(
                "timestamp 0: the chain begins at {now_s} instead, since Medina's contracts need a \
                 time above 0"
            ));
        }
        let first = forks_of(&self.config)?
            .at_block(1, now_s.max(begins_s))
            .fork;
        if first < CONTRACTS_NEED {
            self.notes.push(format!(
                "config: the first blocks follow {first}. Medina's contracts hold from the first \
                 block on for validators and permissions; transactions to them succeed from \
                 {CONTRACTS_NEED} on"
            ));
        }
        Ok(begins_s)
    }

    /// Puts it into the genesis of a new network.
    ///
    /// # Errors
    /// When an account of the file lies where one of Medina's contracts does, or the
    /// whole is no genesis.
    pub(crate) fn apply_to(&self, file: GenesisFile) -> Result<GenesisFile, GenesisError> {
        let GenesisFile {
            mut ethereum,
            mut medina,
        } = file;
        ethereum.config = self.config.clone();
        ethereum.gas_limit = self.gas_limit;
        ethereum.coinbase = self.coinbase;
        ethereum.extra_data = self.extra_data.clone();
        for (address, account) in &self.accounts {
            let ours = ethereum
                .alloc
                .get(address)
                .filter(|ours| ours.code.is_some());
            if ours.is_some() && account.code.is_some() && ours != Some(account) {
                // Ethereum's own contracts are the same everywhere, their storage is not.
                if ours.and_then(|ours| ours.code.as_ref()) == account.code.as_ref() {
                    continue;
                }
                return Err(GenesisError::Field {
                    path: format!("alloc.{address}"),
                    found: "code".to_owned(),
                    expected: "no account: one of Medina's contracts lies there".to_owned(),
                });
            }
            let entry = ethereum.alloc.entry(*address).or_default();
            if entry.code.is_none() {
                *entry = account.clone();
            }
        }
        let consensus = &mut medina.consensus;
        if let Some(timeout) = self.base_timeout {
            consensus.base_timeout = timeout;
            consensus.timeout_max = consensus.timeout_max.max(timeout);
        }
        if consensus.empty_block_period.is_none() {
            consensus.empty_block_period = self.empty_block_period;
        }
        medina.block_reward = self.block_reward;
        if self.base_fee > 0 {
            let first = medina.validators.validators().first();
            medina.gas = GasPolicy::Metered(MeteredGas {
                initial_base_fee: self.base_fee,
                treasury: first
                    .map(|validator| validator.operator)
                    .unwrap_or_default(),
                treasury_share_bps: 0,
            });
        }
        ethereum.base_fee_per_gas = Some(self.base_fee.into());
        // What we write must be what we accept.
        GenesisFile::from_json(&GenesisFile { ethereum, medina }.to_json())
    }
}

/// What a consensus section says that means something here.
#[derive(Default)]
struct Times {
    base_timeout: Option<Duration>,
    empty_block_period: Option<Duration>,
    block_reward: U256,
}

impl Times {
    fn read(config: &Field<'_>, notes: &mut Vec<String>) -> Result<Self, GenesisError> {
        let mut times = Self::default();
        for name in TIMED_CONSENSUS {
            let section = config.get(name);
            if section.is_missing() {
                continue;
            }
            section.entries()?;
            notes.push(format!(
                "config.{name}: validators are made anew, with ed25519 keys of their own; engine \
                 and other times are those of this network"
            ));
            let range = 0..=limits::TIMEOUT_MS_RANGE.end() / 1_000;
            let seconds = |names: [&str; 2]| -> Result<Option<Duration>, GenesisError> {
                for name in names {
                    let given = section.get(name);
                    let given = given.optional(|field| field.u64(range.clone(), "seconds"))?;
                    if let Some(seconds) = given.filter(|seconds| *seconds > 0) {
                        return Ok(Some(Duration::from_secs(seconds)));
                    }
                }
                Ok(None)
            };
            let period = seconds(["blockperiodseconds", "blockPeriodSeconds"])?;
            let empty = seconds(["xemptyblockperiodseconds", "emptyBlockPeriodSeconds"])?;
            times.empty_block_period = empty.or(period);
            times.base_timeout = seconds(["requesttimeoutseconds", "requestTimeoutSeconds"])?;
            let reward = section.get("blockreward");
            let reward = reward.optional(crate::medina_section::read_wei)?;
            times.block_reward = reward.unwrap_or_default();
            for unused in ["miningbeneficiary", "validatorcontractaddress"] {
                if !section.get(unused).is_missing() {
                    notes.push(format!("config.{name}.{unused}: has no effect here"));
                }
            }
        }
        Ok(times)
    }
}

fn note_settings(config: &Field<'_>, notes: &mut Vec<String>) {
    for (name, why) in LEFT_OUT {
        if !config.get(name).is_missing() {
            notes.push(format!("config.{name}: has no effect, {why}"));
        }
    }
}

/// Permissioned networks write the largest number that they can.
fn read_gas_limit(field: &Field<'_>, notes: &mut Vec<String>) -> Result<u64, GenesisError> {
    let (least, most) = (
        *limits::GAS_LIMIT_RANGE.start(),
        *limits::GAS_LIMIT_RANGE.end(),
    );
    let given = field.u64(least..=u64::MAX, "gas")?;
    if given > most {
        notes.push(format!("gasLimit: {given} is cut to {most}"));
    }
    Ok(given.min(most))
}

/// What fits is kept; the rest is what other engines put there.
fn read_extra_data(field: &Field<'_>, notes: &mut Vec<String>) -> Result<Bytes, GenesisError> {
    let given = field.optional(|field| field.bytes(FOREIGN_EXTRA_DATA_BYTES_MAX))?;
    let given = given.unwrap_or_default();
    if given.len() <= EXTRA_DATA_BYTES_MAX {
        return Ok(given);
    }
    notes.push(format!(
        "extraData: {} bytes of another engine are left out",
        given.len()
    ));
    Ok(Bytes::new())
}

/// What ends proof of work: such a file means Paris, even where it names no later fork.
const MERGE: [&str; 4] = [
    "terminalTotalDifficulty",
    "terminalTotalDifficultyPassed",
    "mergeNetsplitBlock",
    "preMergeForkBlock",
];

/// Forks up to Paris hold from the first block on, whenever the file has them begin.
fn level_old_forks(file: &mut Value, notes: &mut Vec<String>) {
    let Some(config) = file.get_mut("config").and_then(Value::as_object_mut) else {
        return;
    };
    let has_merge = MERGE.iter().any(|name| config.contains_key(*name));
    for name in FORKS.iter().chain(&MERGE) {
        let Some(begins) = config.get(*name) else {
            continue;
        };
        // Difficulties are beyond 64 bits, where a JSON number is a float.
        let is_later = match Field::root(begins).u256() {
            Ok(begins) => !begins.is_zero(),
            Err(_) => begins.as_f64().is_some_and(|begins| begins > 0.0),
        };
        if is_later {
            notes.push(format!(
                "config.{name} {begins}: all rules up to Paris hold from the first block on"
            ));
            config.remove(*name);
        }
    }
    let is_later = |name: &String| {
        ["shanghai", "cancun", "prague", "osaka", "bpo"]
            .iter()
            .any(|fork| name.starts_with(fork))
    };
    if config.keys().any(is_later) {
        return;
    }
    if has_merge {
        config.insert(PARIS_BLOCK.to_owned(), 0.into());
    } else {
        notes.push(
            "config: names no fork from Paris on, so Osaka holds from the first block on"
                .to_owned(),
        );
    }
}

/// Balances that no chain of ours can hold, such as that of geth's developer
/// account, are cut to the most that one can.
fn cut_balances(file: &mut Value, notes: &mut Vec<String>) {
    let most = (U256::ONE << limits::WEI_BITS_MAX) - U256::ONE;
    let accounts = file.get_mut("alloc").and_then(Value::as_object_mut);
    for (address, account) in accounts.into_iter().flatten() {
        let Some(balance) = account.get_mut("balance") else {
            continue;
        };
        let wei = Field::root(balance).u256();
        if wei.is_ok_and(|wei| wei > most) {
            notes.push(format!(
                "alloc.{address}.balance: cut to 2^{} - 1 wei, so that no sum overflows",
                limits::WEI_BITS_MAX
            ));
            *balance = Value::from(format!("{most:#x}"));
        }
    }
}
