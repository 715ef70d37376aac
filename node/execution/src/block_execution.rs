//! One block being executed: the same steps for whoever builds it and whoever checks it.
//!
//! ```text
//! start:   EIP-2935 parent hash, EIP-4788 beacon root
//! execute: transaction after transaction, a receipt each
//! finish:  EIP-7002 and EIP-7251 requests, then rewards and fee shares
//! ```
//!
//! The base-fee part of all fees, which the machine burns as Ethereum does, is
//! credited at the end of the block: the treasury's share rounded down, the
//! rest to the proposer. So a contract sees neither during the block.

mod watch;

use crate::{
    BlockState, CallEnvironment, ExecutionError, TransactionRefused,
    deposits::deposit_requests,
    evm::{Machine, MachineError, MachineRules, machine, machine_failure},
    state::EmptyAccounts,
    system_contracts::{BEACON_ROOTS, CONSOLIDATIONS, PARENT_HASHES, SystemTarget, WITHDRAWALS},
    transaction::{BLOB_TRANSACTION_TYPE, RefusalContext, machine_transaction},
};
use alloy_consensus::{
    Transaction as _, TxReceipt, TxType, Typed2718, proofs::calculate_receipt_root,
};
use alloy_eips::{
    eip4895::Withdrawal, eip6110::DEPOSIT_REQUEST_TYPE, eip7002::WITHDRAWAL_REQUEST_TYPE,
    eip7251::CONSOLIDATION_REQUEST_TYPE, eip7685::Requests,
};
use alloy_primitives::{Address, B256, Bloom, Bytes, KECCAK256_EMPTY, U256};
use medina_types::{ChainSpec, GasPolicy, HeaderRules, Receipt, StateChanges, Transaction};
use revm::{
    ExecuteEvm, SystemCallEvm,
    context::CfgEnv,
    context_interface::result::{EVMError, ExecutionResult, ResultAndState},
    precompile::crypto,
    primitives::hardfork::SpecId,
};

/// Basis points of a whole.
const BPS: u64 = 10_000;

/// Why a transaction did not become part of the block.
#[derive(Debug)]
pub(crate) enum NotExecuted {
    /// It may not; the block goes on without it.
    Refused(TransactionRefused),
    /// We cannot; the block is given up.
    Failed(ExecutionError),
}

/// A block between its first system call and its last.
pub(crate) struct BlockExecution<'a> {
    pub(crate) machine: Machine<'a>,
    pub(crate) environment: CallEnvironment,
    chain: &'a ChainSpec,
    gas_used: u64,
    receipts: Vec<Receipt>,
}

/// What a block's execution came to.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) gas_used: u64,
    pub(crate) receipts_root: B256,
    pub(crate) logs_bloom: Bloom,
    /// `None` before Prague.
    pub(crate) requests: Option<Requests>,
    /// `None` before Prague.
    pub(crate) requests_hash: Option<B256>,
    pub(crate) changes: StateChanges,
}

impl<'a> BlockExecution<'a> {
    /// Opens a block on the parent's state.
    pub(crate) fn start(
        chain: &'a ChainSpec,
        rules: &MachineRules,
        state: BlockState<'a>,
        environment: CallEnvironment,
        roots: ParentRoots,
    ) -> Result<Self, ExecutionError> {
        let config = rules.block_config();
        Self::start_with(chain, rules, config, state, environment, roots)
    }

    /// As [`Self::start`] with other checks of transactions than a block's.
    pub(crate) fn start_with(
        chain: &'a ChainSpec,
        rules: &MachineRules,
        config: CfgEnv,
        mut state: BlockState<'a>,
        environment: CallEnvironment,
        roots: ParentRoots,
    ) -> Result<Self, ExecutionError> {
        if !rules.fork.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
            state.set_empty_accounts(EmptyAccounts::Kept);
        }
        let block = environment.to_block_env(&rules.blobs);
        let machine = machine(rules, config, block, state, ());
        let mut execution = Self {
            machine,
            environment,
            chain,
            gas_used: 0,
            receipts: Vec::new(),
        };
        if execution.is_enabled(SpecId::PRAGUE) {
            execution.system_call(PARENT_HASHES, roots.hash)?;
        }
        if execution.is_enabled(SpecId::CANCUN) {
            execution.system_call(BEACON_ROOTS, roots.beacon)?;
        }
        Ok(execution)
    }

    /// Whose rules headers follow.
    pub(crate) fn header_rules(&self) -> HeaderRules {
        self.chain.header_rules
    }

    /// Gas that further transactions may use.
    pub(crate) fn gas_left(&self) -> u64 {
        self.environment.gas_limit - self.gas_used
    }

    /// Executes the next transaction. A failing one is part of the block like
    /// any other; an error means that it is not, and that nothing changed.
    pub(crate) fn execute(
        &mut self,
        transaction: &Transaction,
        sender: Address,
    ) -> Result<(), NotExecuted> {
        self.check_fit(transaction).map_err(NotExecuted::Refused)?;
        let prepared = machine_transaction(transaction, sender);
        let context = RefusalContext::of(
            &prepared,
            self.environment.base_fee,
            self.environment.gas_limit,
            self.chain.chain_id,
        );
        let outcome = self
            .machine
            .transact(prepared)
            .map_err(|error| match error {
                EVMError::Transaction(invalid) => NotExecuted::Refused(context.explain(invalid)),
                other => NotExecuted::Failed(machine_failure(other)),
            })?;
        self.take_over(transaction, outcome)
            .map_err(NotExecuted::Failed)
    }

    /// Applies what a transaction changed, and writes its receipt.
    fn take_over(
        &mut self,
        transaction: &Transaction,
        outcome: ResultAndState,
    ) -> Result<(), ExecutionError> {
        self.take_over_as(transaction.tx_type(), outcome)
    }

    /// As [`Self::take_over`] for something of this type that nobody signed.
    pub(crate) fn take_over_as(
        &mut self,
        tx_type: TxType,
        outcome: ResultAndState,
    ) -> Result<(), ExecutionError> {
        self.apply(outcome.state)?;
        self.gas_used += outcome.result.tx_gas_used();
        let success = outcome.result.is_success();
        self.receipts.push(Receipt {
            tx_type,
            success,
            cumulative_gas_used: self.gas_used,
            logs: if success {
                outcome.result.into_logs()
            } else {
                Vec::new()
            },
        });
        Ok(())
    }

    fn check_fit(&self, transaction: &Transaction) -> Result<(), TransactionRefused> {
        let carries_blobs = transaction.ty() == BLOB_TRANSACTION_TYPE;
        if carries_blobs && self.chain.header_rules == HeaderRules::Medina {
            return Err(TransactionRefused::Blob);
        }
        let (wanted, left) = (transaction.gas_limit(), self.gas_left());
        if wanted > left {
            return Err(TransactionRefused::ExceedsBlockGas { wanted, left });
        }
        Ok(())
    }

    fn apply(&mut self, state: revm::state::EvmState) -> Result<(), ExecutionError> {
        Ok(self.machine.ctx.journaled_state.database.apply(state)?)
    }

    fn is_enabled(&self, fork: SpecId) -> bool {
        self.machine.ctx.cfg.spec.is_enabled_in(fork)
    }

    /// Closes the block; our own blocks carry no withdrawals.
    pub(crate) fn finish(self, withdrawals: &[Withdrawal]) -> Result<Executed, ExecutionError> {
        Ok(self.close(withdrawals)?.0)
    }

    /// As [`Self::finish`], answering the state for the next block on top too.
    pub(crate) fn close(
        mut self,
        withdrawals: &[Withdrawal],
    ) -> Result<(Executed, BlockState<'a>), ExecutionError> {
        self.credit_withdrawals(withdrawals)?;
        let requests = match self.is_enabled(SpecId::PRAGUE) {
            true => Some(self.collect_requests()?),
            false => None,
        };
        self.credit_proposer_and_treasury()?;
        let receipts = self.receipts;
        let blooms: Vec<_> = receipts.iter().map(Receipt::with_bloom_ref).collect();
        let logs_bloom = blooms
            .iter()
            .fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.logs_bloom);
        let state = self.machine.ctx.journaled_state.database;
        let executed = Executed {
            receipts_root: calculate_receipt_root(&blooms),
            logs_bloom,
            requests: requests.clone(),
            requests_hash: requests.as_ref().map(requests_hash),
            gas_used: self.gas_used,
            changes: state.changes()?,
            receipts: {
                drop(blooms);
                receipts
            },
        };
        Ok((executed, state))
    }

    /// Pays the miner of a block before Paris.
    pub(crate) fn pay_miner(&mut self, reward: U256) -> Result<(), ExecutionError> {
        self.pay(self.environment.beneficiary, reward)
    }

    /// Mints a reward of before Paris.
    pub(crate) fn pay(&mut self, to: Address, reward: U256) -> Result<(), ExecutionError> {
        let state = &mut self.machine.ctx.journaled_state.database;
        Ok(state.credit(to, reward)?)
    }

    /// EIP-4895: from the beacon chain, in gwei.
    fn credit_withdrawals(&mut self, withdrawals: &[Withdrawal]) -> Result<(), ExecutionError> {
        let state = &mut self.machine.ctx.journaled_state.database;
        for withdrawal in withdrawals {
            state.credit(withdrawal.address, withdrawal.amount_wei())?;
        }
        Ok(())
    }

    /// EIP-7685: what Ethereum's consensus layer would be asked for.
    fn collect_requests(&mut self) -> Result<Requests, ExecutionError> {
        let mut requests = Requests::default();
        if self.chain.header_rules == HeaderRules::Ethereum {
            let logs = self.receipts.iter().flat_map(|receipt| &receipt.logs);
            let deposits = deposit_requests(logs)?;
            requests.push_request_with_type(DEPOSIT_REQUEST_TYPE, deposits);
        }
        for (target, kind) in [
            (WITHDRAWALS, WITHDRAWAL_REQUEST_TYPE),
            (CONSOLIDATIONS, CONSOLIDATION_REQUEST_TYPE),
        ] {
            let output = self.checked_system_call(target)?;
            requests.push_request_with_type(kind, output);
        }
        Ok(requests)
    }

    /// EIP-2935 and EIP-4788: nothing happens where the contract is missing.
    fn system_call(&mut self, target: SystemTarget, input: B256) -> Result<(), ExecutionError> {
        self.run_system_call(target, input.0.into()).map(drop)
    }

    /// EIP-7002 and EIP-7251: without the contract, no block is valid.
    fn checked_system_call(&mut self, target: SystemTarget) -> Result<Bytes, ExecutionError> {
        let SystemTarget { name, address } = target;
        let account = self.machine.ctx.journaled_state.database.account(address)?;
        if account.is_none_or(|account| account.code_hash == KECCAK256_EMPTY) {
            return Err(ExecutionError::SystemContractMissing { name, address });
        }
        match self.run_system_call(target, Bytes::new())? {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            ExecutionResult::Revert { output, .. } => Err(ExecutionError::SystemCallFailed {
                name,
                reason: format!("reverted with {output}"),
            }),
            ExecutionResult::Halt { reason, .. } => Err(ExecutionError::SystemCallFailed {
                name,
                reason: reason.to_string(),
            }),
        }
    }

    fn run_system_call(
        &mut self,
        target: SystemTarget,
        input: Bytes,
    ) -> Result<ExecutionResult, ExecutionError> {
        let outcome = self
            .machine
            .system_call(target.address, input)
            .map_err(|error: MachineError| machine_failure(error))?;
        self.apply(outcome.state)?;
        Ok(outcome.result)
    }

    fn credit_proposer_and_treasury(&mut self) -> Result<(), ExecutionError> {
        // Under Ethereum's rules base fees are burnt and nobody is rewarded.
        if self.chain.header_rules != HeaderRules::Medina {
            return Ok(());
        }
        let proposer = self.environment.beneficiary;
        let state = &mut self.machine.ctx.journaled_state.database;
        state.credit(proposer, self.chain.block_reward)?;
        let GasPolicy::Metered(metered) = &self.chain.gas_policy else {
            return Ok(());
        };
        let fees = U256::from(self.gas_used) * U256::from(self.environment.base_fee);
        let share_bps = u64::from(metered.treasury_share_bps).min(BPS);
        let treasury = fees * U256::from(share_bps) / U256::from(BPS);
        state.credit(metered.treasury, treasury)?;
        state.credit(proposer, fees - treasury)?;
        Ok(())
    }
}

/// What the first two system calls write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParentRoots {
    /// Hash of the parent block.
    pub(crate) hash: B256,
    /// Root of the parent beacon block, zero on our chains.
    pub(crate) beacon: B256,
}

/// EIP-7685: SHA-256 over the SHA-256 of each request list that is not empty.
fn requests_hash(requests: &Requests) -> B256 {
    let hashes: Vec<u8> = requests
        .iter()
        .flat_map(|request| crypto().sha256(request))
        .collect();
    crypto().sha256(&hashes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;

    #[test]
    fn no_requests_have_the_published_hash() {
        assert_eq!(requests_hash(&Requests::default()), EMPTY_REQUESTS_HASH);
    }
}
