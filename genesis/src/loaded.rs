//! What a genesis file means: the chain spec, the first state and its root.

use crate::{
    GenesisError, GenesisFile, MedinaSection, PrivateBounds, genesis_file::forks_of,
    test_accounts::test_addresses,
};
use alloy_consensus::{Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B64, B256, U256};
use alloy_trie::root::state_root_ref_unhashed;
use medina_execution::{Executor, PERMISSIONING};
use medina_storage::GenesisState;
use medina_types::{
    AccountChange, AccountState, ChainSpec, Fork, ForkSchedule, GasPolicy, HeaderRules,
    HeightContext, NodePublicKey, PermissionLists, PermissionMode, StateChanges, StorageChange,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// A checked genesis.
#[derive(Clone, Debug)]
pub struct LoadedGenesis {
    spec: ChainSpec,
    changes: StateChanges,
    nodes: Vec<NodePublicKey>,
    quorum_compat: bool,
    private: PrivateBounds,
}

/// Reads and checks the genesis file at `path`.
///
/// # Errors
/// See [`GenesisError`].
pub fn load(path: &Path) -> Result<LoadedGenesis, GenesisError> {
    let in_file = |error| match error {
        GenesisError::Unreadable { .. } => error,
        error => GenesisError::InFile {
            path: path.to_owned(),
            source: Box::new(error),
        },
    };
    let file = GenesisFile::load(path).map_err(in_file)?;
    LoadedGenesis::new(&file).map_err(in_file)
}

impl LoadedGenesis {
    /// Reads and checks the bytes of a file.
    ///
    /// # Errors
    /// See [`GenesisError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, GenesisError> {
        Self::new(&GenesisFile::parse(bytes)?)
    }

    /// Checks what fields mean together, and computes state root and hash.
    ///
    /// # Errors
    /// See [`GenesisError::Field`].
    pub fn new(file: &GenesisFile) -> Result<Self, GenesisError> {
        let (ethereum, medina) = (&file.ethereum, &file.medina);
        check_permission_mode(medina)?;
        check_base_fee(ethereum, medina)?;
        check_accounts(ethereum, medina)?;
        check_nodes(medina)?;
        let forks = forks_of(&ethereum.config)?;
        let header = genesis_header(ethereum, medina, &forks);
        let spec = ChainSpec {
            name: medina.name.clone(),
            chain_id: ethereum.config.chain_id,
            genesis_hash: header.hash_slow(),
            genesis_header: header,
            header_rules: HeaderRules::Medina,
            forks,
            consensus: medina.consensus,
            gas_limit: ethereum.gas_limit,
            gas_policy: medina.gas,
            block_reward: medina.block_reward,
            permissions: medina.permissions,
            permission_lists: permission_lists(medina),
            validators: medina.validators.clone(),
            contracts: medina.contracts.clone(),
        };
        let changes = first_state(&ethereum.alloc);
        check_permissioning(&spec, &changes)?;
        Ok(Self {
            spec,
            changes,
            nodes: medina.nodes.clone(),
            quorum_compat: medina.quorum_compat,
            private: medina.private,
        })
    }

    /// What all nodes agree on, genesis header and hash included.
    #[must_use]
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The first state, every account new.
    #[must_use]
    pub fn changes(&self) -> &StateChanges {
        &self.changes
    }

    /// Admitted nodes that do not vote.
    #[must_use]
    pub fn nodes(&self) -> &[NodePublicKey] {
        &self.nodes
    }

    /// Whether nodes take the private transactions of `GoQuorum`'s clients.
    #[must_use]
    pub const fn quorum_compat(&self) -> bool {
        self.quorum_compat
    }

    /// Bounds that private state depends on.
    #[must_use]
    pub const fn private(&self) -> PrivateBounds {
        self.private
    }

    /// Validators and proposers of height 1.
    #[must_use]
    pub fn context(&self) -> HeightContext {
        HeightContext::genesis(self.spec.validators.clone())
    }

    /// What the database starts with.
    #[must_use]
    pub fn state(&self) -> GenesisState {
        GenesisState {
            header: self.spec.genesis_header.clone(),
            state: self.changes.clone(),
            context: self.context(),
        }
    }

    /// True when somebody whose key everybody knows owns something here.
    #[must_use]
    pub fn has_test_accounts(&self) -> bool {
        !self.test_accounts().is_empty()
    }

    /// Accounts of the standard test mnemonic that own something or operate a
    /// validator here. Everybody knows their keys: such a chain stays on loopback.
    #[must_use]
    pub fn test_accounts(&self) -> Vec<Address> {
        let operates =
            |address: &Address| self.spec.validators.index_of_operator(address).is_some();
        let is_known =
            |address: &Address| self.changes.accounts.contains_key(address) || operates(address);
        test_addresses().into_iter().filter(is_known).collect()
    }
}

/// An error of a field that was read already.
fn wrong(
    path: impl Into<String>,
    found: impl ToString,
    expected: impl Into<String>,
) -> GenesisError {
    GenesisError::Field {
        path: path.into(),
        found: found.to_string(),
        expected: expected.into(),
    }
}

/// Enforced permissions need the contract that decides, and somebody who can mend it.
fn check_permission_mode(medina: &MedinaSection) -> Result<(), GenesisError> {
    let listed = medina.accounts.len();
    match medina.permissions {
        PermissionMode::Open if listed > 0 => {
            let expected = "nothing, as medina.permissions is \"open\"";
            Err(wrong("medina.accounts", listed, expected))
        }
        PermissionMode::Enforced if listed == 0 => {
            let expected = "at least one account, which can mend the Permissioning contract";
            Err(wrong("medina.accounts", "none", expected))
        }
        PermissionMode::Enforced if !medina.contracts.contains_key(PERMISSIONING) => {
            let expected =
                "the address of the contract that decides, as medina.permissions is \"enforced\"";
            Err(wrong(
                format!("medina.contracts.{PERMISSIONING}"),
                "nothing",
                expected,
            ))
        }
        _ => Ok(()),
    }
}

/// Those who may connect and transact where the contract gives no answer.
fn permission_lists(medina: &MedinaSection) -> PermissionLists {
    let validators = medina.validators.validators().iter();
    let nodes = validators
        .map(|validator| validator.key)
        .chain(medina.nodes.iter().copied());
    PermissionLists {
        accounts: medina.accounts.clone(),
        nodes: nodes.collect(),
    }
}

fn first_base_fee(gas: GasPolicy) -> u64 {
    match gas {
        GasPolicy::Free(_) => 0,
        GasPolicy::Metered(metered) => metered.initial_base_fee,
    }
}

fn check_base_fee(ethereum: &Genesis, medina: &MedinaSection) -> Result<(), GenesisError> {
    let expected = first_base_fee(medina.gas);
    match ethereum.base_fee_per_gas {
        Some(found) if found != u128::from(expected) => Err(wrong(
            "baseFeePerGas",
            found,
            format!("{expected} as medina.gas says, or nothing"),
        )),
        _ => Ok(()),
    }
}

fn check_accounts(ethereum: &Genesis, medina: &MedinaSection) -> Result<(), GenesisError> {
    let code_of = |address: &Address| ethereum.alloc.get(address).and_then(|a| a.code.as_ref());
    for contract in medina_execution::system_contracts() {
        if code_of(&contract.address) != Some(&contract.code) {
            let found = if code_of(&contract.address).is_some() {
                "other code"
            } else {
                "nothing"
            };
            let expected = format!("the code of Ethereum's system contract {}", contract.name);
            return Err(wrong(
                format!("alloc.{}.code", contract.address),
                found,
                expected,
            ));
        }
    }
    for (name, address) in &medina.contracts {
        if code_of(address).is_none() {
            let expected = "the address of an account in alloc with code";
            return Err(wrong(format!("medina.contracts.{name}"), address, expected));
        }
    }
    for (address, account) in &ethereum.alloc {
        if account.code.is_none() && account.storage.is_some() {
            let path = format!("alloc.{address}.storage");
            return Err(wrong(path, "slots", "none, as the account has no code"));
        }
    }
    Ok(())
}

fn check_nodes(medina: &MedinaSection) -> Result<(), GenesisError> {
    for (index, key) in medina.nodes.iter().enumerate() {
        let is_validator = medina.validators.index_of_key(key).is_some();
        if is_validator || medina.nodes[..index].contains(key) {
            let expected = "a key that is neither a validator's nor listed before";
            return Err(wrong(format!("medina.nodes[{index}]"), key, expected));
        }
    }
    Ok(())
}

/// Where there is a `Permissioning` contract, it takes over from the list of the
/// file with block 1, so both must say the same.
fn check_permissioning(spec: &ChainSpec, state: &StateChanges) -> Result<(), GenesisError> {
    if !spec.contracts.contains_key(PERMISSIONING) {
        return Ok(());
    }
    let executor = Executor::new(Arc::new(spec.clone()));
    let path = format!("medina.contracts.{PERMISSIONING}");
    let set = executor.validators_of_genesis(state).map_err(|error| {
        let expected = "a contract that names the validators of medina.validators";
        wrong(&path, error, expected)
    })?;
    let pairs = set.validators().iter().zip(spec.validators.validators());
    let differing = pairs.enumerate().find(|(_, (ours, listed))| ours != listed);
    if let Some((index, (ours, listed))) = differing {
        let expected = format!(
            "key {} and operator {}, which {PERMISSIONING} has there",
            ours.key, ours.operator
        );
        let found = format!("key {} and operator {}", listed.key, listed.operator);
        let path = format!("medina.validators[{index}]");
        return Err(wrong(path, found, expected));
    }
    if set.len() != spec.validators.len() {
        let expected = format!("{}, as many as {PERMISSIONING} has", set.len());
        let found = format!("{} validators", spec.validators.len());
        return Err(wrong("medina.validators", found, expected));
    }
    Ok(())
}

/// Header of block 0. Its `mixHash` binds the `medina` section, so that the
/// genesis hash names everything that nodes must agree on.
fn genesis_header(ethereum: &Genesis, medina: &MedinaSection, forks: &ForkSchedule) -> Header {
    let fork = forks.at_block(0, ethereum.timestamp).fork;
    Header {
        beneficiary: ethereum.coinbase,
        state_root: state_root(&ethereum.alloc),
        gas_limit: ethereum.gas_limit,
        timestamp: ethereum.timestamp,
        extra_data: ethereum.extra_data.clone(),
        mix_hash: medina.digest(ethereum.config.chain_id, forks),
        nonce: B64::from(ethereum.nonce),
        base_fee_per_gas: Some(first_base_fee(medina.gas)),
        withdrawals_root: (fork >= Fork::Shanghai).then_some(EMPTY_WITHDRAWALS),
        blob_gas_used: (fork >= Fork::Cancun).then_some(0),
        excess_blob_gas: (fork >= Fork::Cancun).then_some(0),
        parent_beacon_block_root: (fork >= Fork::Cancun).then_some(B256::ZERO),
        requests_hash: (fork >= Fork::Prague).then_some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

type Accounts = BTreeMap<Address, GenesisAccount>;

/// Accounts that exist: EIP-161 knows no empty ones.
fn existing(accounts: &Accounts) -> impl Iterator<Item = (&Address, &GenesisAccount)> {
    accounts
        .iter()
        .filter(|(_, account)| !account_state(account).is_empty())
}

fn state_root(accounts: &Accounts) -> B256 {
    state_root_ref_unhashed(existing(accounts))
}

fn account_state(account: &GenesisAccount) -> AccountState {
    let empty = AccountState::default();
    AccountState {
        nonce: account.nonce.unwrap_or(0),
        balance: account.balance,
        code_hash: account.code_hash().unwrap_or(empty.code_hash),
    }
}

fn first_state(accounts: &Accounts) -> StateChanges {
    let mut state = StateChanges::default();
    for (address, account) in existing(accounts) {
        let slots = account.storage_slots().map(|(slot, value)| {
            (
                U256::from_be_bytes(slot.0),
                StorageChange {
                    before: U256::ZERO,
                    after: value,
                },
            )
        });
        let change = AccountChange {
            before: None,
            after: Some(account_state(account)),
            storage_wiped: false,
            storage: slots
                .filter(|(_, change)| !change.after.is_zero())
                .collect(),
        };
        state.accounts.insert(*address, change);
        if let (Some(hash), Some(code)) = (account.code_hash(), account.non_empty_code()) {
            state.codes.insert(hash, code.clone());
        }
    }
    state
}
