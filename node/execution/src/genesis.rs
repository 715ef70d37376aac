//! Makes the state of block 0: accounts set by hand, contracts deployed by
//! running their deployment, precompiles and all.

use crate::{
    BlockState, CallEnvironment, CallOutcome, CallStatus, ExecutionError, SystemContract,
    call::outcome_of,
    error::revert_reason,
    evm::{MachineRules, machine},
    transaction::RefusalContext,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use medina_storage::{StateReader, StorageError};
use medina_types::{AccountState, HeaderRules, StateChanges};
use revm::{ExecuteEvm, context::TxEnv};
use std::{collections::BTreeMap, sync::Arc};

/// Gas of each genesis transaction: more than anything sensible takes.
const GENESIS_GAS: u64 = 1_000_000_000;

/// An account as genesis files describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Nonce; contracts start at one.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Runtime code.
    pub code: Bytes,
    /// Storage; zero values are left out.
    pub storage: BTreeMap<B256, B256>,
}

impl From<SystemContract> for GenesisAccount {
    fn from(contract: SystemContract) -> Self {
        Self {
            nonce: contract.nonce,
            code: contract.code,
            ..Self::default()
        }
    }
}

/// A transaction of genesis: nobody signs it and gas costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisTransaction {
    /// Who sends it; its nonce grows as ever.
    pub from: Address,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Call data, or init code with constructor arguments.
    pub data: Bytes,
    /// Wei sent along; the sender must have them.
    pub value: U256,
}

/// Why the genesis state cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// A transaction reverted or was stopped.
    #[error("genesis transaction from {from} to {} failed: {reason} (data {data})", target(.to))]
    Failed {
        /// Its sender.
        from: Address,
        /// Its callee.
        to: Option<Address>,
        /// The contract's words, if it has any, or the machine's.
        reason: String,
        /// Revert data.
        data: Bytes,
    },
    /// The transaction could not run at all.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

fn target(to: &Option<Address>) -> String {
    to.map_or_else(
        || "a new contract".to_owned(),
        |address| address.to_string(),
    )
}

/// The state before genesis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

impl StateReader for Nothing {
    fn account(&self, _address: Address) -> Result<Option<AccountState>, StorageError> {
        Ok(None)
    }

    fn slot(&self, _address: Address, _key: U256) -> Result<U256, StorageError> {
        Ok(U256::ZERO)
    }

    fn code(&self, _hash: B256) -> Result<Option<Bytes>, StorageError> {
        Ok(None)
    }

    fn block_hash(&self, _number: u64) -> Result<Option<B256>, StorageError> {
        Ok(None)
    }
}

/// Collects the state of block 0 in memory.
#[derive(Debug)]
pub struct GenesisBuilder {
    rules: MachineRules,
    environment: CallEnvironment,
    state: BlockState<'static>,
}

impl GenesisBuilder {
    /// An empty state; transactions will see this chain id and time, and block 0.
    #[must_use]
    pub fn new(chain_id: u64, timestamp: u64) -> Self {
        Self {
            rules: MachineRules::new(chain_id, HeaderRules::Medina),
            environment: CallEnvironment {
                number: 0,
                timestamp,
                beneficiary: Address::ZERO,
                gas_limit: GENESIS_GAS,
                base_fee: 0,
                prevrandao: B256::ZERO,
                excess_blob_gas: 0,
            },
            state: BlockState::new(&Nothing, &Arc::default()),
        }
    }

    /// Puts an account, storage included, in place of what is there.
    ///
    /// # Errors
    /// None in memory; the type is the state's.
    pub fn set_account(
        &mut self,
        address: Address,
        account: GenesisAccount,
    ) -> Result<(), GenesisError> {
        let GenesisAccount {
            nonce,
            balance,
            code,
            storage,
        } = account;
        let state = &mut self.state;
        state.wipe_storage(address).map_err(ExecutionError::from)?;
        state
            .set_account(address, balance, nonce, Some(code))
            .map_err(ExecutionError::from)?;
        for (key, value) in storage {
            state
                .set_slot(address, key.into(), value.into())
                .map_err(ExecutionError::from)?;
        }
        Ok(())
    }

    /// The account as it is now.
    ///
    /// # Errors
    /// None in memory; the type is the state's.
    pub fn account(&mut self, address: Address) -> Result<Option<AccountState>, GenesisError> {
        Ok(self.state.account(address).map_err(ExecutionError::from)?)
    }

    /// Creates a contract and answers its address.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn deploy(
        &mut self,
        from: Address,
        init_code: Bytes,
        value: U256,
    ) -> Result<Address, GenesisError> {
        let transaction = GenesisTransaction {
            from,
            to: None,
            data: init_code,
            value,
        };
        let outcome = self.execute(&transaction)?;
        outcome.created.ok_or_else(|| {
            failed(
                &transaction,
                "the machine created nothing".to_owned(),
                Bytes::new(),
            )
        })
    }

    /// Calls a contract and answers its output.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn call(&mut self, from: Address, to: Address, data: Bytes) -> Result<Bytes, GenesisError> {
        let transaction = GenesisTransaction {
            from,
            to: Some(to),
            data,
            value: U256::ZERO,
        };
        Ok(self.execute(&transaction)?.output)
    }

    /// Runs transactions in order and answers what they created.
    ///
    /// # Errors
    /// As [`Self::execute`]; the transactions before the failing one stay.
    pub fn execute_all(
        &mut self,
        transactions: &[GenesisTransaction],
    ) -> Result<Vec<Option<Address>>, GenesisError> {
        transactions
            .iter()
            .map(|transaction| self.execute(transaction).map(|outcome| outcome.created))
            .collect()
    }

    /// Runs one transaction and keeps what it changed.
    ///
    /// # Errors
    /// [`GenesisError::Failed`] with the contract's words if it reverts.
    pub fn execute(
        &mut self,
        transaction: &GenesisTransaction,
    ) -> Result<CallOutcome, GenesisError> {
        let prepared = self.prepare(transaction)?;
        let block = self.environment.to_block_env(&self.rules.blobs);
        let state = std::mem::replace(&mut self.state, BlockState::new(&Nothing, &Arc::default()));
        let mut machine = machine(&self.rules, self.rules.call_config(), block, state, ());
        let context = RefusalContext::of(&prepared, 0, GENESIS_GAS, self.rules.chain_id);
        let outcome = machine
            .transact(prepared)
            .map_err(|error| context.failure(error));
        self.state = machine.ctx.journaled_state.database;
        let outcome = outcome?;
        let result = outcome_of(outcome.result);
        match &result.status {
            CallStatus::Success => {
                self.state
                    .apply(outcome.state)
                    .map_err(ExecutionError::from)?;
                Ok(result)
            }
            CallStatus::Revert => {
                let reason = revert_reason(&result.output);
                let reason = reason.unwrap_or_else(|| "reverted without a reason".to_owned());
                Err(failed(transaction, reason, result.output))
            }
            CallStatus::Halt { reason, .. } => {
                Err(failed(transaction, reason.clone(), Bytes::new()))
            }
        }
    }

    fn prepare(&mut self, transaction: &GenesisTransaction) -> Result<TxEnv, GenesisError> {
        let nonce = self
            .account(transaction.from)?
            .map_or(0, |account| account.nonce);
        Ok(TxEnv {
            caller: transaction.from,
            gas_limit: GENESIS_GAS,
            kind: transaction.to.map_or(TxKind::Create, TxKind::Call),
            value: transaction.value,
            data: transaction.data.clone(),
            nonce,
            chain_id: Some(self.rules.chain_id),
            ..TxEnv::default()
        })
    }

    /// The whole state as changes from nothing.
    ///
    /// # Errors
    /// None in memory; the type is the state's.
    pub fn finish(self) -> Result<StateChanges, GenesisError> {
        Ok(self.state.into_changes().map_err(ExecutionError::from)?)
    }
}

fn failed(transaction: &GenesisTransaction, reason: String, data: Bytes) -> GenesisError {
    GenesisError::Failed {
        from: transaction.from,
        to: transaction.to,
        reason,
        data,
    }
}
