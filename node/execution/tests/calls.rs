//! Calls, estimates and access lists on a state in memory.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use common::{COUNTER, LOOPER, REVERTER, account, init_code};
use medina_execution::{
    AccountOverride, BlockToSimulate, CallEnvironment, CallRequest, CallStatus, ExecutionError,
    Executor, Simulation, SimulationBounds, SimulationError, TransactionRefused,
};
use medina_storage::{StateReader, StorageError};
use medina_types::{AccountState, limits};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const CALLER: Address = Address::repeat_byte(1);
const COUNTER_AT: Address = Address::repeat_byte(2);
const REVERTER_AT: Address = Address::repeat_byte(3);
const LOOPER_AT: Address = Address::repeat_byte(4);
const BLOCK_AT: Address = Address::repeat_byte(5);
const EMPTY_AT: Address = Address::repeat_byte(6);
const RICH: Address = Address::repeat_byte(7);
const NEEDY_AT: Address = Address::repeat_byte(8);
/// Returns NUMBER, TIMESTAMP, BASEFEE, PREVRANDAO, GASLIMIT, COINBASE.
const BLOCK_READER: &[u8] = &hex!("435f52426020524860405244606052456080524160a05260c05ff3");
/// Fails unless 40,000 gas are left at its first instruction.
const NEEDY: &[u8] = &hex!("619c405a10600a57005b5f5ffd");

/// Accounts and codes in memory.
#[derive(Default)]
struct Memory {
    accounts: BTreeMap<Address, AccountState>,
    codes: BTreeMap<B256, Bytes>,
}

impl Memory {
    fn with_code(mut self, address: Address, code: &'static [u8]) -> Self {
        let code_hash = keccak256(code);
        self.codes.insert(code_hash, Bytes::from_static(code));
        self.accounts.insert(
            address,
            AccountState {
                nonce: 1,
                balance: U256::ZERO,
                code_hash,
            },
        );
        self
    }

    fn with_balance(mut self, address: Address, balance: u64) -> Self {
        let balance = U256::from(balance);
        self.accounts.insert(
            address,
            AccountState {
                balance,
                ..AccountState::default()
            },
        );
        self
    }
}

impl StateReader for Memory {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
        Ok(self.accounts.get(&address).copied())
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        let is_counter = address == COUNTER_AT && slot.is_zero();
        Ok(if is_counter {
            U256::from(10)
        } else {
            U256::ZERO
        })
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
        Ok(self.codes.get(&hash).cloned())
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        Ok(Some(B256::left_padding_from(&number.to_be_bytes())))
    }
}

fn memory() -> Memory {
    Memory::default()
        .with_code(COUNTER_AT, &COUNTER)
        .with_code(REVERTER_AT, &REVERTER)
        .with_code(LOOPER_AT, &LOOPER)
        .with_code(BLOCK_AT, BLOCK_READER)
        .with_code(NEEDY_AT, NEEDY)
        .with_balance(RICH, 10_000_000)
}

fn executor() -> Executor {
    let chain = common::Chain::new(common::free());
    chain.executor.clone()
}

fn environment() -> CallEnvironment {
    CallEnvironment {
        number: 100,
        timestamp: 1_000,
        beneficiary: Address::repeat_byte(0xcb),
        gas_limit: 30_000_000,
        base_fee: 0,
        prevrandao: B256::repeat_byte(9),
        excess_blob_gas: 0,
    }
}

fn to(address: Address) -> CallRequest {
    CallRequest {
        from: Some(CALLER),
        to: Some(address),
        ..CallRequest::default()
    }
}

#[test]
fn call_answers_logs_and_gas_without_any_funds() {
    let outcome = executor()
        .call(&memory(), environment(), &to(COUNTER_AT))
        .unwrap();
    assert_eq!(outcome.status, CallStatus::Success);
    assert_eq!(outcome.logs.len(), 1);
    assert!(outcome.gas_used > 21_000);
}

#[test]
fn revert_data_is_kept_and_halts_are_named_as_geth_does() {
    let executor = executor();
    let outcome = executor
        .call(&memory(), environment(), &to(REVERTER_AT))
        .unwrap();
    assert_eq!(outcome.status, CallStatus::Revert);
    assert_eq!(U256::from_be_slice(&outcome.output), U256::from(42));
    let endless = CallRequest {
        gas: Some(50_000),
        ..to(LOOPER_AT)
    };
    let outcome = executor.call(&memory(), environment(), &endless).unwrap();
    let reason = "out of gas".to_owned();
    assert_eq!(
        outcome.status,
        CallStatus::Halt {
            reason,
            is_out_of_gas: true
        }
    );
    assert_eq!(outcome.gas_used, 50_000);
}

#[test]
fn no_call_uses_more_gas_than_allowed() {
    let greedy = CallRequest {
        gas: Some(u64::MAX),
        ..to(LOOPER_AT)
    };
    let outcome = executor().call(&memory(), environment(), &greedy).unwrap();
    assert_eq!(outcome.gas_used, limits::RPC_CALL_GAS_MAX);
}

#[test]
fn block_values_are_the_environments_or_pretended() {
    let executor = executor();
    let words = |request: &CallRequest| -> Vec<U256> {
        let environment = CallEnvironment {
            base_fee: 17,
            ..environment()
        };
        let outcome = executor.call(&memory(), environment, request).unwrap();
        outcome.output.chunks(32).map(U256::from_be_slice).collect()
    };
    let mut request = to(BLOCK_AT);
    let plain = words(&request);
    assert_eq!(
        plain[..3],
        [100, 1_000, 0].map(U256::from),
        "no price: base fee zero, as geth"
    );
    assert_eq!(plain[3], U256::from_be_bytes([9; 32]));
    assert_eq!(plain[4], U256::from(30_000_000));
    request.block_overrides.number = Some(5);
    request.block_overrides.time = Some(6);
    request.block_overrides.base_fee_per_gas = Some(7);
    request.block_overrides.gas_limit = Some(8);
    request.block_overrides.prev_randao = Some(B256::ZERO);
    request.block_overrides.fee_recipient = Some(RICH);
    let pretended = words(&request);
    assert_eq!(pretended[..5], [5, 6, 7, 0, 8].map(U256::from));
    assert_eq!(pretended[5], U256::from_be_slice(RICH.as_slice()));
}

#[test]
fn accounts_can_be_pretended_without_touching_the_state() {
    let executor = executor();
    let state = memory();
    // SLOAD(0) and SLOAD(1), returned.
    let reader = Bytes::from_static(&hex!("5f545f526001546020526040 5ff3"));
    let slot = |number: u64| B256::from(U256::from(number));
    let words = |pretended: AccountOverride| {
        let mut request = to(COUNTER_AT);
        request.state_overrides.insert(COUNTER_AT, pretended);
        let outcome = executor.call(&state, environment(), &request).unwrap();
        [0, 32].map(|at| U256::from_be_slice(&outcome.output[at..at + 32]))
    };
    let code = Some(reader);
    let one = Some(BTreeMap::from([(slot(1), slot(8))]));
    let only_code = AccountOverride {
        code: code.clone(),
        ..Default::default()
    };
    assert_eq!(words(only_code.clone()), [10, 0].map(U256::from));
    let diff = AccountOverride {
        state_diff: one.clone(),
        ..only_code.clone()
    };
    assert_eq!(words(diff), [10, 8].map(U256::from), "the others stay");
    let whole = AccountOverride {
        state: one,
        ..only_code
    };
    assert_eq!(words(whole), [0, 8].map(U256::from), "the others are gone");
}

#[test]
fn value_must_be_covered_unless_the_balance_is_pretended() {
    let executor = executor();
    let mut request = CallRequest {
        value: Some(U256::from(5)),
        ..to(EMPTY_AT)
    };
    let refused = executor
        .call(&memory(), environment(), &request)
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("insufficient funds for gas * price + value"),
        "{refused}"
    );
    let rich = AccountOverride {
        balance: Some(U256::from(5)),
        ..Default::default()
    };
    request.state_overrides.insert(CALLER, rich);
    assert!(
        executor
            .call(&memory(), environment(), &request)
            .unwrap()
            .is_success()
    );
}

#[test]
fn creation_answers_address_and_code() {
    let request = CallRequest {
        to: None,
        input: init_code(&COUNTER),
        ..to(CALLER)
    };
    let outcome = executor().call(&memory(), environment(), &request).unwrap();
    assert_eq!(outcome.created, Some(CALLER.create(0)));
    assert_eq!(outcome.output[..], COUNTER);
    let mut later = CallRequest {
        nonce: Some(3),
        ..request
    };
    let used = AccountOverride {
        nonce: Some(7),
        ..Default::default()
    };
    later.state_overrides.insert(CALLER, used);
    let outcome = executor().call(&memory(), environment(), &later).unwrap();
    assert_eq!(
        outcome.created,
        Some(CALLER.create(7)),
        "the account's nonce counts"
    );
}

#[test]
fn other_chain_is_refused() {
    let request = CallRequest {
        chain_id: Some(1),
        ..to(EMPTY_AT)
    };
    let refused = executor()
        .call(&memory(), environment(), &request)
        .unwrap_err();
    let ExecutionError::Refused(TransactionRefused::WrongChain { have, want }) = refused else {
        panic!("{refused}")
    };
    assert_eq!((have, want), (Some(1), common::CHAIN_ID));
}

#[test]
fn plain_transfer_needs_21_000() {
    let gas = executor()
        .estimate_gas(&memory(), environment(), &to(EMPTY_AT))
        .unwrap();
    assert_eq!(gas, 21_000);
}

#[test]
fn estimate_suffices_and_is_within_its_error() {
    let executor = executor();
    let state = memory();
    for address in [COUNTER_AT, BLOCK_AT, NEEDY_AT] {
        let gas = executor
            .estimate_gas(&state, environment(), &to(address))
            .unwrap();
        let with = |gas| {
            let request = CallRequest {
                gas: Some(gas),
                ..to(address)
            };
            executor
                .call(&state, environment(), &request)
                .is_ok_and(|outcome| outcome.is_success())
        };
        assert!(with(gas), "{address}: {gas}");
        assert!(!with(gas - gas / 50), "{address}: {gas} is far too much");
    }
}

#[test]
fn estimate_says_why_there_is_none() {
    let executor = executor();
    let estimate = |request: &CallRequest| {
        executor
            .estimate_gas(&memory(), environment(), request)
            .unwrap_err()
    };
    let ExecutionError::Reverted { data } = estimate(&to(REVERTER_AT)) else {
        panic!("reverts")
    };
    assert_eq!(U256::from_be_slice(&data), U256::from(42));
    let endless = estimate(&to(LOOPER_AT));
    assert_eq!(
        endless.to_string(),
        "gas required exceeds allowance (16777216)"
    );
    let capped = estimate(&CallRequest {
        gas: Some(22_000),
        ..to(COUNTER_AT)
    });
    assert_eq!(capped.to_string(), "gas required exceeds allowance (22000)");
    let priced = CallRequest {
        from: Some(RICH),
        gas_price: Some(400),
        ..to(COUNTER_AT)
    };
    assert_eq!(
        estimate(&priced).to_string(),
        "gas required exceeds allowance (25000)"
    );
    let invalid = CallRequest {
        to: None,
        input: Bytes::from_static(&[0xfe]),
        ..to(EMPTY_AT)
    };
    assert_eq!(estimate(&invalid).to_string(), "invalid opcode: INVALID");
}

#[test]
fn access_list_names_what_is_touched_and_nothing_that_is_warm_anyway() {
    // BALANCE(0x02..02), then SLOAD(3).
    let code = [
        &hex!("73")[..],
        COUNTER_AT.as_slice(),
        &hex!("315060035400"),
    ]
    .concat();
    let mut request = to(EMPTY_AT);
    let pretended = AccountOverride {
        code: Some(code.into()),
        ..Default::default()
    };
    request.state_overrides.insert(EMPTY_AT, pretended);
    let answer = executor()
        .create_access_list(&memory(), environment(), &request)
        .unwrap();
    let item = |address, keys: &[u64]| AccessListItem {
        address,
        storage_keys: keys
            .iter()
            .map(|key| B256::from(U256::from(*key)))
            .collect(),
    };
    assert_eq!(
        answer.access_list,
        AccessList(vec![item(COUNTER_AT, &[]), item(EMPTY_AT, &[3])])
    );
    assert!(answer.outcome.is_success());
}

#[test]
fn sender_with_code_may_call_and_authorizations_are_applied() {
    let executor = executor();
    let from_contract = CallRequest {
        from: Some(COUNTER_AT),
        ..to(BLOCK_AT)
    };
    assert!(
        executor
            .call(&memory(), environment(), &from_contract)
            .unwrap()
            .is_success()
    );
    let owner = account(3).address();
    let delegated = CallRequest {
        authorization_list: vec![common::authorize(3, 0, REVERTER_AT)],
        max_fee_per_gas: Some(0),
        ..to(owner)
    };
    let outcome = executor.call(&memory(), environment(), &delegated).unwrap();
    assert_eq!(outcome.status, CallStatus::Revert);
}

#[test]
fn simulation_ends_when_its_calls_return_too_much() {
    let chain = common::Chain::new(common::free());
    // Returns 64 KiB of nothing.
    let at = Address::repeat_byte(0x64);
    let code = Bytes::from_static(&hex!("620100005ff3"));
    let pretended = AccountOverride {
        code: Some(code),
        ..AccountOverride::default()
    };
    let simulate = |calls: usize| {
        let call = CallRequest {
            to: Some(at),
            gas: Some(100_000),
            ..CallRequest::default()
        };
        let mut block = BlockToSimulate {
            calls: vec![call; calls],
            ..BlockToSimulate::default()
        };
        block.accounts.insert(at, pretended.clone());
        let simulation = Simulation {
            blocks: vec![block],
            ..Simulation::default()
        };
        let bounds = SimulationBounds {
            deadline: Instant::now() + Duration::from_secs(60),
            gas: limits::RPC_CALL_GAS_MAX,
            bytes_max: 4 * 65_536,
        };
        let base = chain.store.head().height;
        chain
            .executor
            .simulate(&chain.store, base, &simulation, bounds)
    };
    let within = simulate(4).unwrap();
    assert!(
        within[0]
            .calls
            .iter()
            .all(|call| call.outcome.output.len() == 65_536)
    );
    let beyond = simulate(5).unwrap_err();
    assert!(matches!(beyond, SimulationError::TooLarge(_)), "{beyond}");
}
