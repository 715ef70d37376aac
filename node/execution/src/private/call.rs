//! Calls on a group's state: as private transactions run, and nothing is kept.

use super::{
    Overlay, PrivateError, PrivateExecutor,
    nonces::nonce_offset,
    overlay::has_code,
    read_only::{Permitted, public_write, read_only_status},
};
use crate::{
    CallEnvironment, CallOutcome, CallRequest, ExecutionError, TransactionRefused, outcome_of,
};
use alloy_primitives::{Address, Bytes, TxKind};
use medina_storage::StateReader;
use revm::context::TxEnv;

/// A call as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivateCallRequest {
    /// Who calls; the zero address if nobody.
    pub from: Address,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Gas; as much as a private transaction may have if unsaid, and never more.
    pub gas: Option<u64>,
    /// Call data or init code.
    pub input: Bytes,
}

impl PrivateExecutor {
    /// Runs a call on a group's state and forgets it. `group` and `public` are the
    /// two states at one public block, `environment` that block's.
    ///
    /// What would change public state is stopped, as in a transaction.
    ///
    /// # Errors
    /// When it could not be a transaction, or a store does not answer. A revert is
    /// an outcome.
    pub fn call(
        &self,
        group: &dyn StateReader,
        public: &dyn StateReader,
        environment: CallEnvironment,
        request: &PrivateCallRequest,
    ) -> Result<CallOutcome, PrivateError> {
        let nonce = self.nonce(group, request.from)? + nonce_offset(self.rules.group);
        let overlay = Overlay::new(group, public).with_nonce(request.from, nonce);
        let transaction = TxEnv {
            caller: request.from,
            gas_limit: self.gas_of(request),
            kind: request.to.map_or(TxKind::Create, TxKind::Call),
            data: request.input.clone(),
            nonce,
            ..TxEnv::default()
        };
        let state = self.executor.state_on(&overlay);
        let (outcome, mut state) = self.transact(state, environment, transaction);
        let outcome =
            outcome?.map_err(|reason| ExecutionError::from(TransactionRefused::Other(reason)))?;
        let is_private = |address: Address| has_code(group, address).map_err(ExecutionError::from);
        let permitted = Permitted {
            sender: request.from,
            is_private: &is_private,
        };
        let written = public_write(&mut state, &outcome.state, &permitted)?;
        let mut outcome = outcome_of(outcome.result);
        if let Some(address) = written.filter(|_| outcome.is_success()) {
            outcome.status = read_only_status(address);
            outcome.logs.clear();
            outcome.created = None;
        }
        Ok(outcome)
    }

    /// The least gas limit, within 1.5 %, with which a call succeeds.
    ///
    /// # Errors
    /// [`ExecutionError::Reverted`], [`ExecutionError::Halted`] also for what would
    /// change public state, [`ExecutionError::GasAllowanceExceeded`]; else as
    /// [`Self::call`].
    pub fn estimate_gas(
        &self,
        group: &dyn StateReader,
        public: &dyn StateReader,
        environment: CallEnvironment,
        request: &PrivateCallRequest,
    ) -> Result<u64, PrivateError> {
        use crate::CallStatus;
        let outcome = self.call(group, public, environment, request)?;
        if let CallStatus::Halt {
            reason,
            is_out_of_gas: false,
        } = outcome.status
        {
            return Err(ExecutionError::Halted { reason }.into());
        }
        let nonce = self.nonce(group, request.from)? + nonce_offset(self.rules.group);
        let overlay = Overlay::new(group, public).with_nonce(request.from, nonce);
        let public_request = CallRequest {
            from: Some(request.from),
            to: request.to,
            gas: Some(self.gas_of(request)),
            input: request.input.clone(),
            ..CallRequest::default()
        };
        let executor = &self.executor;
        Ok(executor.estimate_gas(&overlay, environment, &public_request)?)
    }

    fn gas_of(&self, request: &PrivateCallRequest) -> u64 {
        let most = self.rules.gas_max;
        request.gas.map_or(most, |gas| gas.min(most))
    }
}
