//! The calls of one simulated block, one after the other.
//!
//! What is checked before a call runs, and in which order, is geth's, so that a
//! call with two faults is refused for the same one.

use super::{
    Left, SimulatedCall, SimulationBounds, SimulationError, transfers::Transfers, unsigned,
};
use crate::{
    CallRequest, ExecutionError, TransactionRefused,
    block_execution::BlockExecution,
    call::{call_transaction, outcome_of},
    evm::MachineRules,
    trace::{Bounded, TraceBounds},
    transaction::RefusalContext,
};
use alloy_eips::eip4844::{DATA_GAS_PER_BLOB, VERSIONED_HASH_VERSION_KZG};
use alloy_primitives::{Address, U256};
use medina_types::{HeaderRules, Transaction};
use revm::{InspectEvm, context::TxEnv, primitives::hardfork::SpecId};

/// How the calls of a block run.
pub(super) struct Calls<'a> {
    pub(super) trace_transfers: bool,
    pub(super) validation: bool,
    pub(super) bounds: SimulationBounds,
    pub(super) chain_id: u64,
    pub(super) rules: &'a MachineRules,
}

/// A block after its calls: transactions, their senders, what they did.
type Ran<'s> = (
    BlockExecution<'s>,
    Vec<Transaction>,
    Vec<Address>,
    Vec<SimulatedCall>,
);

/// A call whose blanks are filled.
struct Prepared {
    environment: TxEnv,
    transaction: Transaction,
    nonce_of_sender: u64,
}

impl Calls<'_> {
    /// Runs them all; `left` is what the calls of the simulation may use yet.
    pub(super) fn run<'s>(
        &self,
        mut execution: BlockExecution<'s>,
        calls: &[CallRequest],
        left: &mut Left,
    ) -> Result<Ran<'s>, SimulationError> {
        let mut transactions = Vec::with_capacity(calls.len());
        let mut senders = Vec::with_capacity(calls.len());
        let mut outcomes = Vec::with_capacity(calls.len());
        let mut logs_before = 0;
        for request in calls {
            let prepared = self.prepare(&mut execution, request, left.gas)?;
            senders.push(prepared.environment.caller);
            transactions.push(prepared.transaction.clone());
            let outcome;
            (execution, outcome) = self.run_one(execution, prepared, logs_before)?;
            left.gas = left.gas.saturating_sub(outcome.outcome.gas_used);
            let bytes = left.bytes.checked_sub(outcome.outcome.output.len());
            left.bytes = bytes.ok_or(SimulationError::TooLarge(self.bounds.bytes_max))?;
            logs_before += outcome.outcome.logs.len() as u64;
            outcomes.push(outcome);
        }
        Ok((execution, transactions, senders, outcomes))
    }

    fn prepare(
        &self,
        execution: &mut BlockExecution<'_>,
        request: &CallRequest,
        gas_left: u64,
    ) -> Result<Prepared, SimulationError> {
        let block = execution.environment;
        let sender = request.from.unwrap_or_default();
        let state = &mut execution.machine.ctx.journaled_state.database;
        let account = state.account(sender).map_err(ExecutionError::from)?;
        let account = account.unwrap_or_default();
        let nonce = request.nonce.unwrap_or(account.nonce);
        let block_gas_left = execution.gas_left();
        let gas = request.gas.unwrap_or(block_gas_left);
        if gas > block_gas_left {
            let limit = block.gas_limit;
            let used = (limit - block_gas_left).saturating_add(gas);
            return Err(SimulationError::BlockGasLimit { used, limit });
        }
        self.check_arguments(request)?;
        let gas = gas.min(gas_left);
        let has_base_fee = self.rules.fork.is_enabled_in(SpecId::LONDON);
        let chain_id = self.chain_id;
        let prepared = Prepared {
            environment: call_transaction(request, gas, nonce, chain_id),
            transaction: unsigned::unsigned_transaction(
                request,
                gas,
                nonce,
                chain_id,
                has_base_fee,
            ),
            nonce_of_sender: account.nonce,
        };
        let refused = |reason| SimulationError::Refused { reason, gas };
        self.check_nonce(sender, nonce, account.nonce)
            .map_err(refused)?;
        self.check_prices(execution, request, &prepared.environment)
            .map_err(refused)?;
        check_kinds(execution, request).map_err(refused)?;
        self.check_balance(&prepared.environment, account.balance)
            .map_err(refused)?;
        Ok(prepared)
    }

    fn check_arguments(&self, request: &CallRequest) -> Result<(), SimulationError> {
        let has_caps = request.max_fee_per_gas.or(request.max_priority_fee_per_gas);
        if request.gas_price.is_some() && has_caps.is_some() {
            let text = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
            return Err(SimulationError::Arguments(text.to_owned()));
        }
        match request.chain_id {
            Some(have) if have != self.chain_id => {
                let want = self.chain_id;
                let text = format!("chainId does not match node's (have={have}, want={want})");
                Err(SimulationError::Arguments(text))
            }
            _ => Ok(()),
        }
    }

    fn check_nonce(
        &self,
        sender: Address,
        nonce: u64,
        expected: u64,
    ) -> Result<(), TransactionRefused> {
        use TransactionRefused::{NonceExhausted, NonceTooHigh, NonceTooLow};
        if !self.validation {
            return Ok(());
        }
        match nonce.cmp(&expected) {
            std::cmp::Ordering::Less => Err(NonceTooLow {
                sender,
                nonce,
                expected,
            }),
            std::cmp::Ordering::Greater => Err(NonceTooHigh {
                sender,
                nonce,
                expected,
            }),
            std::cmp::Ordering::Equal if nonce == u64::MAX => Err(NonceExhausted(sender)),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }

    /// A call that names no price pays none, unless prices are checked.
    fn check_prices(
        &self,
        execution: &BlockExecution<'_>,
        request: &CallRequest,
        call: &TxEnv,
    ) -> Result<(), TransactionRefused> {
        if !self.rules.fork.is_enabled_in(SpecId::LONDON) {
            return Ok(());
        }
        let (max_fee, tip) = (
            call.gas_price,
            request.max_priority_fee_per_gas.unwrap_or(0),
        );
        if !self.validation && max_fee == 0 && tip == 0 {
            return Ok(());
        }
        let (sender, base_fee) = (call.caller, execution.environment.base_fee);
        if tip > max_fee {
            return Err(TransactionRefused::TipAboveFee(sender));
        }
        if max_fee < u128::from(base_fee) {
            return Err(TransactionRefused::FeeBelowBaseFee {
                sender,
                max_fee,
                base_fee,
            });
        }
        Ok(())
    }

    /// Gas at its highest price, blobs and value.
    fn check_balance(&self, call: &TxEnv, have: U256) -> Result<(), TransactionRefused> {
        let gas = U256::from(call.gas_limit) * U256::from(call.gas_price);
        let blobs = U256::from(call.blob_hashes.len() as u64 * DATA_GAS_PER_BLOB);
        let blobs = blobs * U256::from(call.max_fee_per_blob_gas);
        let want = gas.saturating_add(blobs).saturating_add(call.value);
        if have < want {
            let sender = call.caller;
            return Err(TransactionRefused::InsufficientFunds { sender, have, want });
        }
        Ok(())
    }

    fn run_one<'s>(
        &self,
        mut execution: BlockExecution<'s>,
        prepared: Prepared,
        first_log_index: u64,
    ) -> Result<(BlockExecution<'s>, SimulatedCall), SimulationError> {
        let call = prepared.environment;
        let (caller, gas) = (call.caller, call.gas_limit);
        let block = execution.environment;
        let context = RefusalContext::of(&call, block.base_fee, block.gas_limit, self.chain_id);
        let bounds = TraceBounds {
            deadline: self.bounds.deadline,
            bytes_max: self.bounds.bytes_max,
            steps: None,
        };
        let price = self.free_blobs(&mut execution, &call);
        let inspector = Bounded::new(Transfers::new(self.trace_transfers), bounds);
        let mut machine = execution.machine.with_inspector(inspector);
        let ran = machine.inspect_tx(call);
        let mut ran = ran.map_err(|error| match machine.inspector.passed() {
            Some(passed) => passed.into(),
            None => refused_or_failed(context.failure(error), gas),
        })?;
        let logs = std::mem::take(&mut machine.inspector.inner).into_logs();
        execution.machine = machine.with_inspector(());
        if let (Some(price), Some(blob)) = (
            price,
            &mut execution.machine.ctx.block.blob_excess_gas_and_price,
        ) {
            blob.blob_gasprice = price;
        }
        // Unchecked, a nonce runs over, as in geth.
        if prepared.nonce_of_sender == u64::MAX
            && let Some(sender) = ran.state.get_mut(&caller)
        {
            sender.info.nonce = 0;
        }
        let gas_used = *ran.result.gas();
        let mut outcome = outcome_of(ran.result.clone());
        outcome.logs = logs;
        execution.take_over_as(prepared.transaction.tx_type(), ran)?;
        let simulated = SimulatedCall {
            outcome,
            max_gas_used: gas_used.total_gas_spent().max(gas_used.floor_gas()),
            first_log_index,
        };
        Ok((execution, simulated))
    }

    /// Who names no price for blobs pays none, unless prices are checked. Answers
    /// the price that was taken away.
    fn free_blobs(&self, execution: &mut BlockExecution<'_>, call: &TxEnv) -> Option<u128> {
        let is_free = !self.validation && call.max_fee_per_blob_gas == 0;
        if !is_free || call.blob_hashes.is_empty() {
            return None;
        }
        let blob = execution
            .machine
            .ctx
            .block
            .blob_excess_gas_and_price
            .as_mut();
        blob.map(|blob| std::mem::take(&mut blob.blob_gasprice))
    }
}

/// What a transaction of its type must have.
fn check_kinds(
    execution: &BlockExecution<'_>,
    request: &CallRequest,
) -> Result<(), TransactionRefused> {
    let other = |text: &str| Err(TransactionRefused::Other(text.to_owned()));
    if !request.blob_versioned_hashes.is_empty() {
        if execution.header_rules() == HeaderRules::Medina {
            return Err(TransactionRefused::Blob);
        }
        if request.to.is_none() {
            return other(
                "input string too short for common.Address: blob transaction of type create",
            );
        }
        let hashes = request.blob_versioned_hashes.iter();
        let wrong = hashes
            .enumerate()
            .find(|(_, hash)| hash[0] != VERSIONED_HASH_VERSION_KZG);
        if let Some((index, _)) = wrong {
            return other(&format!("blob {index} has invalid hash version"));
        }
    }
    if !request.authorization_list.is_empty() && request.to.is_none() {
        return other("EIP-7702 transaction cannot be used to create contract");
    }
    Ok(())
}

fn refused_or_failed(error: ExecutionError, gas: u64) -> SimulationError {
    match error {
        ExecutionError::Refused(reason) => SimulationError::Refused { reason, gas },
        error => SimulationError::Execution(error),
    }
}
