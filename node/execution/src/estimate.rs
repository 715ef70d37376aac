//! `eth_estimateGas`: the least gas limit with which a call succeeds.
//!
//! The search is geth's: run once with the most gas allowed, then once a little
//! above what that used, then halve the distance until it is below one part in
//! 64 of the answer (geth's error ratio of 1.5 %), so the estimate is never too
//! low and hardly ever needs more than a handful of runs.

use crate::{
    CallEnvironment, CallOutcome, CallRequest, CallStatus, ExecutionError, Executor,
    TransactionRefused, call::affordable_gas,
};
use alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use alloy_primitives::KECCAK256_EMPTY;
use medina_storage::StateReader;
use medina_types::limits;

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value gives to its callee on top.
const CALL_STIPEND: u64 = 2_300;
/// Allowed error of the estimate, in thousandths.
const ERROR_PER_MILLE: u64 = 15;

impl Executor {
    /// The least gas limit, within 1.5 %, with which the call succeeds.
    ///
    /// # Errors
    /// [`ExecutionError::Reverted`] with the contract's words,
    /// [`ExecutionError::Halted`], [`ExecutionError::GasAllowanceExceeded`], or
    /// as [`Executor::call`].
    pub fn estimate_gas(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
    ) -> Result<u64, ExecutionError> {
        let highest = self.highest_gas(state, environment, request)?;
        let run = |gas| self.try_gas(state, environment, request, gas);
        if is_plain_transfer(state, request)?
            && highest >= TRANSFER_GAS
            && matches!(run(TRANSFER_GAS)?, Some(outcome) if outcome.is_success())
        {
            return Ok(TRANSFER_GAS);
        }
        let outcome = check_possible(run(highest)?, highest)?;
        let spent = outcome.gas_used + outcome.gas_refunded;
        let mut too_low = outcome.gas_used.saturating_sub(1);
        let mut enough = highest;
        // A sixty-fourth of the gas stays behind at each call (EIP-150).
        let guess = (spent + CALL_STIPEND).saturating_mul(64) / 63;
        if guess < enough {
            if succeeds(&run(guess)?) {
                enough = guess
            } else {
                too_low = guess
            }
        }
        while too_low + 1 < enough {
            if (enough - too_low).saturating_mul(1_000) < enough.saturating_mul(ERROR_PER_MILLE) {
                break;
            }
            // Most calls need little more than their lower bound: never overshoot twice.
            let middle = (too_low + (enough - too_low) / 2).min(too_low.saturating_mul(2));
            if succeeds(&run(middle)?) {
                enough = middle
            } else {
                too_low = middle
            }
        }
        Ok(enough)
    }

    /// The most gas that may be tried: asked for or the block's, at most what
    /// the balance pays for, a transaction may have and a call is allowed.
    fn highest_gas(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
    ) -> Result<u64, ExecutionError> {
        let block_gas = request
            .block_overrides
            .gas_limit
            .unwrap_or(environment.gas_limit);
        let asked = request
            .gas
            .filter(|gas| *gas >= TRANSFER_GAS)
            .unwrap_or(block_gas);
        let affordable = affordable_gas(state, request)?.unwrap_or(u64::MAX);
        Ok(asked
            .min(MAX_TX_GAS_LIMIT_OSAKA)
            .min(affordable)
            .min(limits::RPC_CALL_GAS_MAX))
    }

    /// Runs with a gas limit; `None` when it does not even pay the intrinsic gas.
    fn try_gas(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
        gas: u64,
    ) -> Result<Option<CallOutcome>, ExecutionError> {
        use TransactionRefused::{FloorDataGas, IntrinsicGasTooLow};
        match self.call_with_gas(state, environment, request, gas) {
            Ok(outcome) => Ok(Some(outcome)),
            Err(ExecutionError::Refused(IntrinsicGasTooLow { .. } | FloorDataGas { .. })) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn succeeds(outcome: &Option<CallOutcome>) -> bool {
    outcome.as_ref().is_some_and(CallOutcome::is_success)
}

fn is_plain_transfer(
    state: &dyn StateReader,
    request: &CallRequest,
) -> Result<bool, ExecutionError> {
    let Some(to) = request.to.filter(|_| request.input.is_empty()) else {
        return Ok(false);
    };
    let has_pretended_code = request
        .state_overrides
        .get(&to)
        .is_some_and(|account| account.code.is_some());
    let code_hash = state
        .account(to)?
        .map_or(KECCAK256_EMPTY, |account| account.code_hash);
    Ok(!has_pretended_code && code_hash == KECCAK256_EMPTY)
}

/// The first run, with all gas there is, decides whether there is an answer.
fn check_possible(
    outcome: Option<CallOutcome>,
    allowance: u64,
) -> Result<CallOutcome, ExecutionError> {
    let Some(outcome) = outcome else {
        return Err(ExecutionError::GasAllowanceExceeded { allowance });
    };
    match &outcome.status {
        CallStatus::Success => Ok(outcome),
        CallStatus::Revert => Err(ExecutionError::Reverted {
            data: outcome.output,
        }),
        CallStatus::Halt {
            is_out_of_gas: true,
            ..
        } => Err(ExecutionError::GasAllowanceExceeded { allowance }),
        CallStatus::Halt { reason, .. } => Err(ExecutionError::Halted {
            reason: reason.clone(),
        }),
    }
}
