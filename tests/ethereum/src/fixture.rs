//! What stands in a test case, read with errors that name the field.

use crate::network::quantity;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use medina_types::{AccountChange, AccountState, SealedBlock, StateChanges, StorageChange};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// Why a file or case cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// The system gave no bytes.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// More bytes than a test file may have.
    #[error("file of more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// No JSON object.
    #[error("no JSON object of test cases: {0}")]
    NotJson(String),
    /// A field is missing or is not what it should be.
    #[error("field {path}: expected {expected}")]
    Field {
        /// Which one.
        path: String,
        /// What should stand there.
        expected: &'static str,
    },
}

impl FixtureError {
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        }
    }

    fn field(path: impl Into<String>, expected: &'static str) -> Self {
        let path = path.into();
        Self::Field { path, expected }
    }
}

/// An account as tests name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamedAccount {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code: Bytes,
    /// Values other than zero.
    pub(crate) storage: BTreeMap<U256, U256>,
}

impl NamedAccount {
    pub(crate) fn state(&self) -> AccountState {
        let code_hash = match self.code.is_empty() {
            true => KECCAK256_EMPTY,
            false => keccak256(&self.code),
        };
        AccountState {
            nonce: self.nonce,
            balance: self.balance,
            code_hash,
        }
    }
}

pub(crate) type Accounts = BTreeMap<Address, NamedAccount>;

/// What is to become of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// It is imported, and has this hash where the case tells.
    Valid(Option<B256>),
    /// It is refused, for one of these reasons (`A|B`) where the case tells.
    Refused(Option<String>),
}

/// A block of a case.
#[derive(Clone, Debug)]
pub(crate) struct NamedBlock {
    pub(crate) encoded: Bytes,
    pub(crate) expectation: Expectation,
}

/// What the state after the last block must be.
#[derive(Clone, Debug)]
pub(crate) enum PostState {
    /// Every account.
    Accounts(Accounts),
    /// Its root.
    Root(B256),
    /// The case does not tell; the last block's header does.
    Unsaid,
}

/// A case of the BlockchainTests format.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    pub(crate) chain_id: u64,
    pub(crate) genesis: SealedBlock,
    pub(crate) pre: Accounts,
    pub(crate) blocks: Vec<NamedBlock>,
    pub(crate) last_block_hash: B256,
    pub(crate) post_state: PostState,
}

impl Fixture {
    /// Reads a case whose network is known to be ours.
    pub(crate) fn read(case: &Value) -> Result<Self, FixtureError> {
        let genesis = SealedBlock::decode(&bytes(case, "genesisRLP")?)
            .map_err(|_| FixtureError::field("genesisRLP", "a block"))?;
        let named_hash = &case["genesisBlockHeader"]["hash"];
        if named_hash.is_string() && hash(&case["genesisBlockHeader"], "hash")? != genesis.hash() {
            let expected = "the hash of genesisRLP's header";
            return Err(FixtureError::field("genesisBlockHeader.hash", expected));
        }
        let blocks = case["blocks"]
            .as_array()
            .ok_or_else(|| FixtureError::field("blocks", "a list"))?;
        let config = &case["config"];
        let chain_id = quantity(&config["chainid"]).or_else(|| quantity(&config["chainId"]));
        Ok(Self {
            chain_id: chain_id.unwrap_or(1),
            genesis,
            pre: accounts(&case["pre"], "pre")?,
            blocks: blocks.iter().map(read_block).collect::<Result<_, _>>()?,
            last_block_hash: hash(case, "lastblockhash")?,
            post_state: read_post_state(case)?,
        })
    }
}

fn read_block(block: &Value) -> Result<NamedBlock, FixtureError> {
    let fields = object(block, "blocks[]")?;
    let refusal = fields
        .iter()
        .find(|(name, _)| name.starts_with("expectException"));
    let header = &block["blockHeader"];
    // Blocks of our golden files come without a header beside the RLP.
    let expectation = match refusal {
        Some((_, reason)) => Expectation::Refused(reason.as_str().map(str::to_owned)),
        None if header["hash"].is_string() => Expectation::Valid(Some(hash(header, "hash")?)),
        None => Expectation::Valid(None),
    };
    Ok(NamedBlock {
        encoded: bytes(block, "rlp")?,
        expectation,
    })
}

fn read_post_state(case: &Value) -> Result<PostState, FixtureError> {
    let accounts_named = &case["postState"];
    if accounts_named.is_object() {
        return Ok(PostState::Accounts(accounts(accounts_named, "postState")?));
    }
    match case["postStateHash"].is_string() {
        true => Ok(PostState::Root(hash(case, "postStateHash")?)),
        false => Ok(PostState::Unsaid),
    }
}

/// The accounts as changes from nothing.
pub(crate) fn first_state(accounts: &Accounts) -> StateChanges {
    let mut changes = StateChanges::default();
    for (address, account) in accounts {
        let state = account.state();
        let storage = account.storage.iter().map(|(key, after)| {
            let (before, after) = (U256::ZERO, *after);
            (*key, StorageChange { before, after })
        });
        let change = AccountChange {
            after: Some(state),
            storage: storage.collect(),
            ..AccountChange::default()
        };
        changes.accounts.insert(*address, change);
        if !account.code.is_empty() {
            changes.codes.insert(state.code_hash, account.code.clone());
        }
    }
    changes
}

fn accounts(value: &Value, path: &str) -> Result<Accounts, FixtureError> {
    let mut accounts = Accounts::new();
    for (name, account) in object(value, path)? {
        let address = name
            .parse()
            .map_err(|_| FixtureError::field(format!("{path}.{name}"), "an address as the key"))?;
        accounts.insert(address, read_account(account, &format!("{path}.{name}"))?);
    }
    Ok(accounts)
}

fn read_account(account: &Value, path: &str) -> Result<NamedAccount, FixtureError> {
    let mut storage = BTreeMap::new();
    let slots = match &account["storage"] {
        Value::Null => None,
        storage => Some(object(storage, &format!("{path}.storage"))?),
    };
    for (key, value) in slots.into_iter().flatten() {
        let slot = key.parse().ok().zip(word(value));
        let (key, value) =
            slot.ok_or_else(|| FixtureError::field(format!("{path}.storage"), "slots"))?;
        if value != U256::ZERO {
            storage.insert(key, value);
        }
    }
    let nonce = word(&account["nonce"]).and_then(|nonce| u64::try_from(nonce).ok());
    Ok(NamedAccount {
        nonce: nonce.ok_or_else(|| FixtureError::field(format!("{path}.nonce"), "64 bits"))?,
        balance: word(&account["balance"])
            .ok_or_else(|| FixtureError::field(format!("{path}.balance"), "256 bits"))?,
        code: bytes(account, "code")?,
        storage,
    })
}

fn word(value: &Value) -> Option<U256> {
    value.as_str()?.parse().ok()
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, FixtureError> {
    value
        .as_object()
        .ok_or_else(|| FixtureError::field(path, "an object"))
}

fn bytes(of: &Value, name: &'static str) -> Result<Bytes, FixtureError> {
    let text = of[name].as_str().and_then(|text| text.parse().ok());
    text.ok_or_else(|| FixtureError::field(name, "hexadecimal bytes"))
}

fn hash(of: &Value, name: &'static str) -> Result<B256, FixtureError> {
    let text = of[name].as_str().and_then(|text| text.parse().ok());
    text.ok_or_else(|| FixtureError::field(name, "32 bytes"))
}
