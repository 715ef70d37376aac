//! The contracts that a chain starts with, made by running their deployment.

use crate::{ChainOptions, GenesisError};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use medina_contracts::{ContractAddresses, DeploymentParameters, Step, plan};
use medina_execution::{GenesisBuilder, system_contracts};
use medina_types::{AccountChange, ContractDirectory, StateChanges};
use std::collections::BTreeMap;

/// Accounts and names that deployment left behind.
pub(crate) struct Predeployed {
    /// Contracts with their code and storage.
    pub(crate) accounts: BTreeMap<Address, GenesisAccount>,
    /// Their names.
    pub(crate) contracts: ContractDirectory,
}

/// Account that deploys; a hash, so nobody has its key.
fn deployer() -> Address {
    Address::from_word(keccak256("medina/genesis/deployer/v1"))
}

/// Runs the deployment beside Ethereum's system contracts.
pub(crate) fn predeployed(
    parameters: &DeploymentParameters,
    options: &ChainOptions,
) -> Result<Predeployed, GenesisError> {
    let failed = |error: medina_execution::GenesisError| GenesisError::Predeploy(error.to_string());
    let mut builder = GenesisBuilder::new(options.chain_id, options.timestamp_s);
    for contract in system_contracts() {
        builder
            .set_account(contract.address, contract.into())
            .map_err(failed)?;
    }
    let plan = plan(parameters, deployer());
    for step in &plan.steps {
        run(&mut builder, step)?;
    }
    let mut state = builder.finish().map_err(failed)?;
    // It is done and nobody can speak for it: no need to keep it.
    state.accounts.remove(&plan.deployer);
    Ok(Predeployed {
        accounts: to_accounts(&state),
        contracts: directory(&plan.addresses),
    })
}

fn run(builder: &mut GenesisBuilder, step: &Step) -> Result<(), GenesisError> {
    match step {
        Step::Create {
            name,
            address,
            init_code,
        } => {
            let created = builder.deploy(deployer(), init_code.clone(), U256::ZERO);
            let created = created.map_err(|error| failed_step(name, error))?;
            if created != *address {
                return Err(failed_step(
                    name,
                    format!("it came to lie at {created}, not {address}"),
                ));
            }
        }
        Step::Call { name, to, data } => {
            let called = builder.call(deployer(), *to, data.clone());
            called.map_err(|error| failed_step(name, error))?;
        }
    }
    Ok(())
}

fn failed_step(name: &str, error: impl ToString) -> GenesisError {
    GenesisError::Predeploy(format!("{name}: {}", error.to_string()))
}

fn to_accounts(state: &StateChanges) -> BTreeMap<Address, GenesisAccount> {
    let code_of = |hash: &B256| state.codes.get(hash).cloned();
    let accounts = state.accounts.iter();
    accounts
        .filter_map(|(at, change)| Some((*at, to_account(change, code_of)?)))
        .collect()
}

fn to_account(
    change: &AccountChange,
    code_of: impl Fn(&B256) -> Option<Bytes>,
) -> Option<GenesisAccount> {
    let account = change.after.filter(|account| !account.is_empty())?;
    let slots = change
        .storage
        .iter()
        .filter(|(_, change)| !change.after.is_zero());
    let storage: BTreeMap<B256, B256> = slots
        .map(|(slot, change)| ((*slot).into(), change.after.into()))
        .collect();
    Some(GenesisAccount {
        nonce: Some(account.nonce).filter(|nonce| *nonce != 0),
        balance: account.balance,
        code: code_of(&account.code_hash).filter(|code| !code.is_empty()),
        storage: Some(storage).filter(|storage| !storage.is_empty()),
        private_key: None,
    })
}

/// Names in camelCase, as JSON has them.
fn directory(addresses: &ContractAddresses) -> ContractDirectory {
    addresses
        .named()
        .into_iter()
        .map(|(name, address)| (camel_case(name), address))
        .collect()
}

fn camel_case(name: &str) -> String {
    // The one name that begins with an abbreviation goes without it.
    let name = name.trim_start_matches("ERC7913");
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_what_the_contracts_crate_reads() {
        let addresses = ContractAddresses::of(Address::repeat_byte(7));
        let directory = directory(&addresses);
        assert_eq!(directory.len(), addresses.named().len());
        let json = serde_json::to_value(&directory).expect("names and addresses become JSON");
        let read: ContractAddresses = serde_json::from_value(json).expect("camelCase is an alias");
        assert_eq!(read, addresses);
    }
}
