//! Calls that change nothing: `eth_call` and what is built on it.
//!
//! As geth does: nonce, sender's code, base fee and the gas limits of blocks
//! and transactions are not checked; value, and gas where a price is named,
//! must be covered by the caller's balance. Gas is capped by
//! [`limits::RPC_CALL_GAS_MAX`], so that nobody can occupy a node with one call.

mod watch;

use crate::{
    BlockOverrides, BlockState, CallEnvironment, ExecutionError, Executor, StateOverrides,
    TransactionRefused,
    evm::{Machine, MachineContext, MachineRules, machine},
    overrides::{places_of_precompiles, pretend},
    transaction::RefusalContext,
};
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256};
use medina_storage::StateReader;
use medina_types::limits;
use revm::{
    ExecuteEvm, InspectEvm, Inspector,
    context::{TransactionType, TxEnv},
    context_interface::{
        either::Either,
        result::{ExecutionResult, HaltReason, Output},
    },
    primitives::hardfork::SpecId,
};

/// A call as somebody asks for it; what is `None` gets a sensible value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls; the zero address if nobody.
    pub from: Option<Address>,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Gas limit; as much as allowed if unsaid.
    pub gas: Option<u64>,
    /// Wei per gas of transactions before EIP-1559.
    pub gas_price: Option<u128>,
    /// Highest wei per gas.
    pub max_fee_per_gas: Option<u128>,
    /// Highest tip per gas.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Wei sent along.
    pub value: Option<U256>,
    /// Call data or init code.
    pub input: Bytes,
    /// Nonce; not checked. A created contract's address follows from the
    /// account's own nonce, as in geth.
    pub nonce: Option<u64>,
    /// Chain that the caller believes to talk to.
    pub chain_id: Option<u64>,
    /// EIP-2930.
    pub access_list: Option<AccessList>,
    /// EIP-7702.
    pub authorization_list: Vec<SignedAuthorization>,
    /// EIP-4844: hashes of blobs; none on our chains.
    pub blob_versioned_hashes: Vec<B256>,
    /// Highest wei per blob gas.
    pub max_fee_per_blob_gas: Option<u128>,
    /// Pretended accounts.
    pub state_overrides: StateOverrides,
    /// Pretended block.
    pub block_overrides: BlockOverrides,
}

impl CallRequest {
    /// Highest wei per gas that the caller is ready to pay; zero if unsaid.
    #[must_use]
    pub fn fee_cap(&self) -> u128 {
        self.gas_price.or(self.max_fee_per_gas).unwrap_or(0)
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// As intended.
    Success,
    /// The contract took it back; its words are in the output.
    Revert,
    /// The machine stopped it and took all gas.
    Halt {
        /// Why, in geth's words where it has them.
        reason: String,
        /// True when more gas might have helped.
        is_out_of_gas: bool,
    },
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// How it ended.
    pub status: CallStatus,
    /// Gas used, refunds taken off.
    pub gas_used: u64,
    /// Gas given back for cleared storage.
    pub gas_refunded: u64,
    /// Returned or revert data; the runtime code of a created contract.
    pub output: Bytes,
    /// Events; none unless it succeeded.
    pub logs: Vec<Log>,
    /// Address of a created contract.
    pub created: Option<Address>,
}

impl CallOutcome {
    /// True for [`CallStatus::Success`].
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == CallStatus::Success
    }
}

impl Executor {
    /// Runs a call on a state and in a block's environment, and forgets it.
    ///
    /// # Errors
    /// When the call could not be a transaction ([`ExecutionError::Refused`]),
    /// or this node cannot execute. A revert is an outcome.
    pub fn call(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
    ) -> Result<CallOutcome, ExecutionError> {
        let gas = self.call_gas(state, request)?;
        self.call_with_gas(state, environment, request, gas)
    }

    /// As [`Self::call`], watched by an inspector, which is answered too.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn inspect_call<'a, I: Inspector<MachineContext<'a>>>(
        &'a self,
        state: &'a dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
        inspector: I,
    ) -> Result<(CallOutcome, I), ExecutionError> {
        let gas = self.call_gas(state, request)?;
        let (mut machine, transaction) =
            self.prepare_call(state, environment, request, gas, inspector)?;
        let context = self.refusal_context(&machine, &transaction);
        let outcome = machine
            .inspect_tx(transaction)
            .map_err(|error| context.failure(error))?;
        Ok((outcome_of(outcome.result), machine.inspector))
    }

    /// As [`Self::call`] with exactly this gas limit.
    pub(crate) fn call_with_gas(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
        gas: u64,
    ) -> Result<CallOutcome, ExecutionError> {
        let prepared = self.prepare_call(state, environment, request, gas, ())?;
        self.run_call(prepared)
    }

    /// As [`Self::call`] for a question to one of the chain's own contracts, which
    /// answers under every fork: see [`Self::ask_with_gas`].
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn ask_contract(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
    ) -> Result<CallOutcome, ExecutionError> {
        let gas = self.call_gas(state, request)?;
        self.ask_with_gas(state, environment, request, gas)
    }

    /// As [`Self::call_with_gas`] for a question that the chain itself asks one of
    /// its own contracts. Before Cancun it runs by Cancun's rules, without whose
    /// instructions none of these contracts runs.
    pub(crate) fn ask_with_gas(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
        gas: u64,
    ) -> Result<CallOutcome, ExecutionError> {
        let mut rules = self.rules_of(environment.number, environment.timestamp);
        if !rules.fork.is_enabled_in(SpecId::CANCUN) {
            rules.fork = SpecId::CANCUN;
        }
        let prepared = self.prepare_call_under(&rules, state, environment, request, gas, ())?;
        self.run_call(prepared)
    }

    fn run_call(
        &self,
        (mut machine, transaction): (Machine<'_>, TxEnv),
    ) -> Result<CallOutcome, ExecutionError> {
        let context = self.refusal_context(&machine, &transaction);
        let outcome = machine
            .transact(transaction)
            .map_err(|error| context.failure(error))?;
        Ok(outcome_of(outcome.result))
    }

    fn refusal_context<I>(&self, machine: &Machine<'_, I>, transaction: &TxEnv) -> RefusalContext {
        let block = &machine.ctx.block;
        RefusalContext::of(
            transaction,
            block.basefee,
            block.gas_limit,
            self.spec.chain_id,
        )
    }

    fn prepare_call<'a, I>(
        &'a self,
        state: &'a dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
        gas: u64,
        inspector: I,
    ) -> Result<(Machine<'a, I>, TxEnv), ExecutionError> {
        let at = request.block_overrides.apply_to(environment);
        let rules = self.rules_of(at.number, at.timestamp);
        self.prepare_call_under(&rules, state, environment, request, gas, inspector)
    }

    fn prepare_call_under<'a, I>(
        &'a self,
        rules: &MachineRules,
        state: &'a dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
        gas: u64,
        inspector: I,
    ) -> Result<(Machine<'a, I>, TxEnv), ExecutionError> {
        self.check_chain(request)?;
        let mut environment = request.block_overrides.apply_to(environment);
        // A call that names no price sees a block whose gas is free, as in geth.
        if request.fee_cap() == 0 && request.block_overrides.base_fee_per_gas.is_none() {
            environment.base_fee = 0;
        }
        let mut state = self.state_on(state);
        pretend(
            &mut state,
            &request.state_overrides,
            &request.block_overrides,
        )?;
        let nonce = match request.nonce {
            Some(nonce) => nonce,
            None => nonce_of(&mut state, request)?,
        };
        let transaction = call_transaction(request, gas, nonce, self.spec.chain_id);
        let mut block = environment.to_block_env(&rules.blobs);
        // As with the base fee: who names no price for blobs pays none.
        if request.max_fee_per_blob_gas.unwrap_or(0) == 0
            && let Some(blob) = &mut block.blob_excess_gas_and_price
        {
            blob.blob_gasprice = 0;
        }
        let config = rules.call_config();
        let mut machine = machine(rules, config, block, state, inspector);
        let places = places_of_precompiles(&machine.precompiles, &request.state_overrides);
        if let Some(places) = places.map_err(ExecutionError::from)? {
            machine.precompiles.set_places(places);
        }
        Ok((machine, transaction))
    }

    fn check_chain(&self, request: &CallRequest) -> Result<(), TransactionRefused> {
        let want = self.spec.chain_id;
        match request.chain_id {
            Some(id) if id != want => Err(TransactionRefused::WrongChain {
                have: Some(id),
                want,
            }),
            _ => Ok(()),
        }
    }

    /// Gas limit of a call: what was asked for or can be paid, capped.
    fn call_gas(
        &self,
        state: &dyn StateReader,
        request: &CallRequest,
    ) -> Result<u64, ExecutionError> {
        let cap = limits::RPC_CALL_GAS_MAX;
        if let Some(gas) = request.gas {
            return Ok(gas.min(cap));
        }
        Ok(affordable_gas(state, request)?.map_or(cap, |gas| gas.min(cap)))
    }
}

fn nonce_of(state: &mut BlockState<'_>, request: &CallRequest) -> Result<u64, ExecutionError> {
    let account = state.account(request.from.unwrap_or_default())?;
    Ok(account.map_or(0, |account| account.nonce))
}

/// Gas that the caller's balance pays for at the named price, value taken off;
/// `None` when no price is named.
pub(crate) fn affordable_gas(
    state: &dyn StateReader,
    request: &CallRequest,
) -> Result<Option<u64>, ExecutionError> {
    let price = request.fee_cap();
    if price == 0 {
        return Ok(None);
    }
    let sender = request.from.unwrap_or_default();
    let pretended = request
        .state_overrides
        .get(&sender)
        .and_then(|account| account.balance);
    let balance = match pretended {
        Some(balance) => balance,
        None => state
            .account(sender)?
            .map_or(U256::ZERO, |account| account.balance),
    };
    let value = request.value.unwrap_or_default();
    let Some(available) = balance.checked_sub(value) else {
        return Err(TransactionRefused::InsufficientFunds {
            sender,
            have: balance,
            want: value,
        }
        .into());
    };
    Ok(Some(
        u64::try_from(available / U256::from(price)).unwrap_or(u64::MAX),
    ))
}

pub(crate) fn call_transaction(
    request: &CallRequest,
    gas: u64,
    nonce: u64,
    chain_id: u64,
) -> TxEnv {
    let tx_type = call_type(request);
    let has_tip = !matches!(tx_type, TransactionType::Legacy | TransactionType::Eip2930);
    // A cap without a tip offers none; with the older single price it is all tip.
    let unsaid_tip = has_tip.then(|| request.gas_price.unwrap_or(0));
    TxEnv {
        tx_type: tx_type as u8,
        caller: request.from.unwrap_or_default(),
        gas_limit: gas,
        gas_price: request.fee_cap(),
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value.unwrap_or_default(),
        data: request.input.clone(),
        nonce,
        chain_id: Some(chain_id),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: request.max_priority_fee_per_gas.or(unsaid_tip),
        blob_hashes: request.blob_versioned_hashes.clone(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or(0),
        authorization_list: request
            .authorization_list
            .iter()
            .cloned()
            .map(Either::Left)
            .collect(),
    }
}

/// The oldest type of transaction that can carry the request.
fn call_type(request: &CallRequest) -> TransactionType {
    if !request.authorization_list.is_empty() {
        TransactionType::Eip7702
    } else if !request.blob_versioned_hashes.is_empty() {
        TransactionType::Eip4844
    } else if request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some() {
        TransactionType::Eip1559
    } else if request.access_list.is_some() {
        TransactionType::Eip2930
    } else {
        TransactionType::Legacy
    }
}

/// The machine's result in our form.
#[must_use]
pub fn outcome_of(result: ExecutionResult) -> CallOutcome {
    let gas = *result.gas();
    let (gas_used, gas_refunded) = (gas.tx_gas_used(), gas.final_refunded());
    match result {
        ExecutionResult::Success { logs, output, .. } => {
            let created = match &output {
                Output::Create(_, created) => *created,
                Output::Call(_) => None,
            };
            let (status, output) = (CallStatus::Success, output.into_data());
            CallOutcome {
                status,
                gas_used,
                gas_refunded,
                output,
                logs,
                created,
            }
        }
        ExecutionResult::Revert { output, .. } => CallOutcome {
            status: CallStatus::Revert,
            gas_used,
            gas_refunded,
            output,
            logs: Vec::new(),
            created: None,
        },
        ExecutionResult::Halt { reason, .. } => CallOutcome {
            status: halted(&reason),
            gas_used,
            gas_refunded,
            output: Bytes::new(),
            logs: Vec::new(),
            created: None,
        },
    }
}

/// Why the machine stopped, in geth's words.
fn halted(reason: &HaltReason) -> CallStatus {
    let is_out_of_gas = matches!(reason, HaltReason::OutOfGas(_));
    let reason = match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".to_owned(),
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::StackUnderflow => "stack underflow".to_owned(),
        HaltReason::StackOverflow => "stack limit reached 1024".to_owned(),
        HaltReason::OutOfOffset => "return data out of bounds".to_owned(),
        HaltReason::CreateCollision => "contract address collision".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        HaltReason::CreateContractStartingWithEF => {
            "invalid code: must not begin with 0xef".to_owned()
        }
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection".to_owned()
        }
        HaltReason::OutOfFunds => "insufficient balance for transfer".to_owned(),
        HaltReason::CallTooDeep => "max call depth exceeded".to_owned(),
        other => other.to_string(),
    };
    CallStatus::Halt {
        reason,
        is_out_of_gas,
    }
}
