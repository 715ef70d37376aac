//! Who may transact, where the genesis says that permissions are enforced.
//!
//! Every transaction of a block is judged by the `Permissioning` contract on the state after the parent block, in the
//! environment of the block that is to hold it: so the order of transactions does not matter, and whoever builds and
//! whoever checks asks the same question. A block with a refused transaction is invalid.
//!
//! Where the contract gives no usable answer, the accounts that genesis lists may transact and nobody else: they can
//! mend it. Calls, simulations and traces never ask.

use crate::{
    CallEnvironment, CallRequest, ExecutionError, Executor, InvalidBlock, PermissionsError,
    TransactionRefused, permissions::PERMISSIONING,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, sol};
use medina_storage::StateReader;
use medina_types::{PermissionMode, SealedBlock, Transaction, limits};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

sol! {
    function transactionAllowed(
        address sender,
        address target,
        uint256 value,
        uint256 gasPrice,
        uint256 gasLimit,
        bytes payload
    ) external view returns (bool allowed);
}

const TRANSACTION_ALLOWED: &str = transactionAllowedCall::SIGNATURE;

/// Judges transactions on one state, for one block.
pub struct TransactionJudge<'a> {
    executor: &'a Executor,
    state: &'a (dyn StateReader + Sync),
    environment: CallEnvironment,
}

impl Executor {
    /// The judge of the block with this environment, on the state after its parent; `None` where everybody may
    /// transact.
    #[must_use]
    pub fn transaction_judge<'a>(
        &'a self,
        parent_state: &'a (dyn StateReader + Sync),
        environment: CallEnvironment,
    ) -> Option<TransactionJudge<'a>> {
        let is_enforced = self.spec.permissions == PermissionMode::Enforced;
        is_enforced.then_some(TransactionJudge {
            executor: self,
            state: parent_state,
            environment,
        })
    }

    /// Refuses a block that holds a transaction which the contract refuses; names the first.
    pub(crate) fn check_permissions(
        &self,
        parent_state: &(dyn StateReader + Sync),
        environment: CallEnvironment,
        block: &SealedBlock,
        senders: &[Address],
    ) -> Result<(), InvalidBlock> {
        let Some(judge) = self.transaction_judge(parent_state, environment) else {
            return Ok(());
        };
        let transactions = block.transactions();
        let answers: Vec<_> = transactions
            .par_iter()
            .zip(senders)
            .map(|(transaction, sender)| judge.allows(*sender, transaction))
            .collect();
        for (index, answer) in answers.into_iter().enumerate() {
            if !answer? {
                return Err(InvalidBlock::Transaction {
                    index,
                    hash: *transactions[index].tx_hash(),
                    reason: Box::new(TransactionRefused::NotPermitted(senders[index])),
                });
            }
        }
        Ok(())
    }
}

impl TransactionJudge<'_> {
    /// Whether this account may send this transaction.
    ///
    /// # Errors
    /// Only when this node cannot ask; what the contract does wrong is answered by the lists of genesis.
    pub fn allows(
        &self,
        sender: Address,
        transaction: &Transaction,
    ) -> Result<bool, ExecutionError> {
        let question = transactionAllowedCall {
            sender,
            // A transaction that creates a contract has no target.
            target: transaction.to().unwrap_or_default(),
            value: transaction.value(),
            gasPrice: U256::from(transaction.effective_gas_price(Some(self.environment.base_fee))),
            gasLimit: U256::from(transaction.gas_limit()),
            payload: transaction.input().clone(),
        };
        self.ask(question)
    }

    /// Whether this account may send transactions at all: here, a call to itself of nothing.
    ///
    /// # Errors
    /// As [`Self::allows`].
    pub fn may_transact(&self, sender: Address) -> Result<bool, ExecutionError> {
        self.ask(transactionAllowedCall {
            sender,
            target: sender,
            value: U256::ZERO,
            gasPrice: U256::ZERO,
            gasLimit: U256::ZERO,
            payload: Bytes::new(),
        })
    }

    fn ask(&self, question: transactionAllowedCall) -> Result<bool, ExecutionError> {
        let sender = question.sender;
        match self.answer(question.abi_encode().into()) {
            Ok(answer) => Ok(answer),
            Err(PermissionsError::Execution(error @ ExecutionError::Refused(_))) => {
                tracing::debug!(%sender, %error, "the question to Permissioning could not be asked");
                Ok(self.is_listed(sender))
            }
            Err(PermissionsError::Execution(error)) => Err(error),
            Err(reason) => {
                tracing::debug!(%sender, %reason, "Permissioning gave no answer; genesis decides");
                Ok(self.is_listed(sender))
            }
        }
    }

    fn is_listed(&self, sender: Address) -> bool {
        let lists = &self.executor.spec.permission_lists;
        lists.accounts.contains(&sender)
    }

    fn answer(&self, input: Bytes) -> Result<bool, PermissionsError> {
        let to = self.executor.spec.contracts.get(PERMISSIONING).copied();
        // The contract's cap is for what it does, not for what the question's bytes cost.
        let gas = limits::PERMISSION_CALL_GAS_MAX.saturating_add(data_gas(&input));
        let request = CallRequest {
            to: Some(to.ok_or(PermissionsError::NotDeployed)?),
            input,
            ..CallRequest::default()
        };
        let outcome = self
            .executor
            .ask_with_gas(self.state, self.environment, &request, gas)?;
        crate::permissions::yes_or_no(TRANSACTION_ALLOWED, outcome)
    }
}

/// EIP-7623's floor for call data, which is above EIP-2028's price: 10 gas per token, a non-zero byte is four.
fn data_gas(input: &[u8]) -> u64 {
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    10 * (zeros + 4 * (input.len() as u64 - zeros))
}
