//! The validators of the height after a block: the contract's, where it names a usable set, else the block's own.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolValue};
use common::{
    Chain, Send, account, builder,
    permissioning::{
        NodeSeed, activateCall, deploy, executeCall, key, proposeCall, seed, voteCall,
    },
};
use medina_execution::{CallEnvironment, ExecutedBlock, GenesisAccount, PermissionsError};
use medina_types::{NodePublicKey, Transaction, Validator, ValidatorSet};

const ADD_VALIDATOR: u8 = 1;
const REMOVE_VALIDATOR: u8 = 2;
/// The contract where a test writes it by hand.
const FAKE: Address = Address::repeat_byte(0xfa);
const GAS: u64 = 2_000_000;

/// The validator of node `number`, operated by account `number`.
fn validator(number: u8) -> Validator {
    Validator {
        key: key(number),
        operator: account(number).address(),
    }
}

fn set(numbers: &[u8]) -> ValidatorSet {
    ValidatorSet::new(numbers.iter().copied().map(validator).collect()).unwrap()
}

/// The real contract with these nodes. There is no Identity: what genesis lists needs none.
fn deployed(seeds: Vec<NodeSeed>, validators: ValidatorSet) -> (Chain, Address) {
    let mut builder = builder();
    let proxy = deploy(&mut builder, seeds, Vec::new());
    let chain = Chain::with_permissioning(builder, validators, Some(proxy));
    (chain, proxy)
}

/// The real contract with validators 0 to 3 and node 4, which genesis admits.
fn governed() -> (Chain, Address) {
    let mut seeds: Vec<_> = (0..4)
        .map(|number| seed(number, number, account(number).address()))
        .collect();
    seeds.push(seed(4, 4, Address::ZERO));
    deployed(seeds, set(&[0, 1, 2, 3]))
}

/// Numbers the transactions of each account.
struct Sender {
    to: Address,
    nonces: [u64; 5],
}

impl Sender {
    fn new(to: Address) -> Self {
        // Account 4 deployed the two contracts, account 0 the three of every test chain.
        Self {
            to,
            nonces: [3, 0, 0, 0, 2],
        }
    }

    fn call(&mut self, from: u8, call: &impl SolCall) -> Transaction {
        let nonce = &mut self.nonces[usize::from(from)];
        let mut send = Send::new(from, *nonce, self.to).gas(GAS);
        send.input = call.abi_encode().into();
        *nonce += 1;
        send.signed()
    }

    /// A ballot by account 0 with the votes of these, executed.
    fn ballot(&mut self, number: u64, kind: u8, data: Vec<u8>, voters: &[u8]) -> Vec<Transaction> {
        let ballot = U256::from(number);
        let propose = proposeCall {
            kind,
            data: data.into(),
        };
        let mut transactions = vec![self.call(0, &propose)];
        for voter in voters {
            transactions.push(self.call(*voter, &voteCall { ballot, yes: true }));
        }
        transactions.push(self.call(0, &executeCall { ballot }));
        transactions
    }
}

fn advance(chain: &Chain, transactions: &[Transaction]) -> ValidatorSet {
    for receipt in chain.advance(transactions) {
        assert!(receipt.success);
    }
    chain.head().context.validators.clone()
}

fn word(key: NodePublicKey) -> B256 {
    key.0.into()
}

#[test]
fn contract_of_genesis_names_its_validators() {
    let (chain, _) = governed();
    let environment = CallEnvironment::of_header(&chain.head().header);
    let found = chain
        .executor
        .validators_of(&chain.store.state(), environment)
        .unwrap();
    assert_eq!(found, set(&[0, 1, 2, 3]));
}

#[test]
fn ballots_change_the_set_of_the_next_height_in_the_contracts_order() {
    let (chain, at) = governed();
    let mut sender = Sender::new(at);
    assert_eq!(advance(&chain, &[]), set(&[0, 1, 2, 3]));
    let removal = word(key(1)).abi_encode();
    let transactions = sender.ballot(1, REMOVE_VALIDATOR, removal, &[0, 1, 2]);
    assert_eq!(advance(&chain, &transactions), set(&[0, 3, 2]));
    assert_eq!(advance(&chain, &[]), set(&[0, 3, 2]), "it lasts");
    // Admitted is not active.
    let admission = (word(key(4)), account(4).address()).abi_encode();
    let transactions = sender.ballot(2, ADD_VALIDATOR, admission, &[0, 2]);
    assert_eq!(advance(&chain, &transactions), set(&[0, 3, 2]));
    let activate = activateCall {
        nodeKey: word(key(4)),
    };
    let transactions = [sender.call(4, &activate)];
    assert_eq!(advance(&chain, &transactions), set(&[0, 3, 2, 4]));
}

#[test]
fn set_shrinks_to_one_and_grows_to_two() {
    let (chain, at) = governed();
    let mut sender = Sender::new(at);
    for (number, removed, voters) in [(1, 3, &[0, 1, 2][..]), (2, 2, &[0, 1]), (3, 1, &[0, 1])] {
        let removal = word(key(removed)).abi_encode();
        let transactions = sender.ballot(number, REMOVE_VALIDATOR, removal, voters);
        // Executed in a block of its own.
        let (votes, execution) = transactions.split_at(transactions.len() - 1);
        advance(&chain, votes);
        advance(&chain, execution);
    }
    assert_eq!(chain.head().context.validators, set(&[0]));
    let admission = (word(key(4)), account(4).address()).abi_encode();
    let mut transactions = sender.ballot(4, ADD_VALIDATOR, admission, &[0]);
    let activate = activateCall {
        nodeKey: word(key(4)),
    };
    transactions.push(sender.call(4, &activate));
    assert_eq!(advance(&chain, &transactions), set(&[0, 4]));
}

/// Validators 0 to 127 of one organisation; account 0 operates the first.
fn crowd() -> Vec<Validator> {
    let operator = |number: u8| match number {
        0 => account(0).address(),
        _ => Address::left_padding_from(&[number, 1]),
    };
    (0..128)
        .map(|number| Validator {
            key: key(number),
            operator: operator(number),
        })
        .collect()
}

#[test]
fn set_of_128_validators_shrinks_and_grows_again() {
    let mut expected = crowd();
    let mut seeds: Vec<_> = (0..128)
        .map(|number| seed(number, 0, expected[usize::from(number)].operator))
        .collect();
    seeds.push(seed(200, 0, Address::ZERO));
    let (chain, at) = deployed(seeds, ValidatorSet::new(expected.clone()).unwrap());
    let mut sender = Sender::new(at);
    let removal = word(key(7)).abi_encode();
    let transactions = sender.ballot(1, REMOVE_VALIDATOR, removal, &[0]);
    expected.swap_remove(7);
    assert_eq!(advance(&chain, &transactions).validators(), expected);
    let newcomer = Validator {
        key: key(200),
        operator: account(4).address(),
    };
    let admission = (word(newcomer.key), newcomer.operator).abi_encode();
    let mut transactions = sender.ballot(2, ADD_VALIDATOR, admission, &[0]);
    let node_key = word(newcomer.key);
    transactions.push(sender.call(4, &activateCall { nodeKey: node_key }));
    expected.push(newcomer);
    assert_eq!(advance(&chain, &transactions).validators(), expected);
}

#[test]
fn node_that_starts_anew_finds_the_same_set_behind_transactions_that_fail_and_fill_the_block() {
    let (chain, at) = governed();
    let mut sender = Sender::new(at);
    let removal = word(key(1)).abi_encode();
    let mut transactions = sender.ballot(1, REMOVE_VALIDATOR, removal, &[0, 1, 2]);
    // It passes no more: refused in the same block as what it repeats.
    transactions.push(sender.call(
        0,
        &executeCall {
            ballot: U256::from(1),
        },
    ));
    for number in 0..8 {
        let all = Send::new(3, number, chain.looper).gas(16_000_000);
        transactions.push(all.signed());
    }
    let built = chain.build(&transactions);
    let failed = built.receipts.iter().filter(|receipt| !receipt.success);
    assert!(failed.count() >= 2);
    assert!(common::GAS_LIMIT - built.gas_used < 16_000_000, "full");
    let other = medina_execution::Executor::new(chain.executor.spec().clone());
    let checked = other
        .validate(&chain.store, &chain.head(), &built.block.sealed, |_| None)
        .unwrap();
    assert_eq!(checked.next_validators, set(&[0, 3, 2]));
    assert_eq!(built.next_validators, checked.next_validators);
}

#[test]
fn operator_whose_account_runs_code_activates_and_proposes_as_any_other() {
    let (chain, at) = governed();
    let mut sender = Sender::new(at);
    let admission = (word(key(4)), account(4).address()).abi_encode();
    let transactions = sender.ballot(1, ADD_VALIDATOR, admission, &[0, 1, 2]);
    advance(&chain, &transactions);
    let looper = chain.looper;
    // The account's own code would burn all gas of whoever runs it.
    let delegation = common::authorize(4, sender.nonces[4], looper);
    let delegate = Send::new(3, 0, chain.counter).gas(GAS);
    sender.nonces[4] += 1;
    let activate = activateCall {
        nodeKey: word(key(4)),
    };
    let transactions = [
        delegate.signed_with(vec![delegation]),
        sender.call(4, &activate),
    ];
    assert_eq!(advance(&chain, &transactions), set(&[0, 1, 2, 3, 4]));
    for _ in 0..5 {
        assert_eq!(advance(&chain, &[]), set(&[0, 1, 2, 3, 4]));
    }
}

#[test]
fn contract_answers_who_may_connect() {
    let (chain, _) = governed();
    let environment = CallEnvironment::of_header(&chain.head().header);
    let state = chain.store.state();
    let allowed = |key| chain.executor.connection_allowed(&state, environment, &key);
    assert!(allowed(key(0)).unwrap(), "a validator");
    assert!(allowed(key(4)).unwrap(), "listed in genesis");
    assert!(!allowed(key(9)).unwrap(), "a stranger");
    let without = Chain::with_permissioning(builder(), set(&[0]), None);
    let answer = without
        .executor
        .connection_allowed(&without.store.state(), environment, &key(0));
    assert!(matches!(answer, Err(PermissionsError::NotDeployed)));
}

/// Where the hand-written contract answers `validatorKeys()`.
const ANSWER: usize = 0x13;

/// Adds one to slot 0 when called without data, and answers the two questions with these bytes.
fn fake(keys: &[u8], operators: &[u8]) -> Vec<u8> {
    const DATA: usize = 0x37;
    let short = |value: usize| u16::try_from(value).unwrap().to_be_bytes();
    // PUSH2 length, PUSH2 place, PUSH0, CODECOPY, PUSH2 length, PUSH0, RETURN
    let answer = |place: usize, length: usize| {
        let (place, length) = (short(place), short(length));
        let copy = [&[0x61][..], &length, &[0x61], &place, &hex!("5f39")].concat();
        [&copy[..], &[0x61], &length, &hex!("5ff3")].concat()
    };
    // No data: jump to the counter at 0x2e. getValidators(): jump to the second answer at 0x20.
    let head = hex!("3615602e57" "5f3560e01c63b7ab4db514602057");
    let counter = hex!("5b5f546001015f5500");
    let code = [
        &head[..],
        &answer(DATA, keys.len()),
        &[0x5b],
        &answer(DATA + keys.len(), operators.len()),
        &counter,
        keys,
        operators,
    ]
    .concat();
    assert_eq!(code.len(), DATA + keys.len() + operators.len());
    code
}

fn list(words: &[B256]) -> Vec<u8> {
    words.to_vec().abi_encode()
}

/// Keys and operators of these validators as the contract would answer them.
fn answers(numbers: &[u8]) -> (Vec<B256>, Vec<B256>) {
    let keys = numbers.iter().map(|number| word(key(*number)));
    let operators = numbers
        .iter()
        .map(|number| account(*number).address().into_word());
    (keys.collect(), operators.collect())
}

/// A chain of validators 0 to 3 whose contract has this code.
fn with_code(code: Vec<u8>) -> Chain {
    let mut builder = builder();
    let contract = GenesisAccount {
        nonce: 1,
        code: code.into(),
        ..Default::default()
    };
    builder.set_account(FAKE, contract).unwrap();
    Chain::with_permissioning(builder, set(&[0, 1, 2, 3]), Some(FAKE))
}

/// Makes the contract change its storage.
fn touch() -> Transaction {
    Send::new(1, 0, FAKE).signed()
}

#[test]
fn any_usable_set_is_taken_over_as_it_is() {
    for numbers in [
        &[0][..],
        &[3, 2, 1, 0],
        &[1, 2, 3, 4],
        &[4],
        &[0, 1, 2, 3, 4],
    ] {
        let (keys, operators) = answers(numbers);
        let chain = with_code(fake(&list(&keys), &list(&operators)));
        assert_eq!(advance(&chain, &[touch()]), set(numbers));
    }
}

#[test]
fn contract_is_asked_only_when_a_block_changes_it() {
    let (keys, operators) = answers(&[4]);
    let chain = with_code(fake(&list(&keys), &list(&operators)));
    let current = set(&[0, 1, 2, 3]);
    assert_eq!(advance(&chain, &[]), current);
    // Coins sent to it change its account and not what it says.
    let mut coins = Send::new(2, 0, FAKE).value(7);
    coins.input = Bytes::from_static(&[1]);
    assert_eq!(advance(&chain, &[coins.signed()]), current);
    assert_eq!(advance(&chain, &[touch()]), set(&[4]));
}

#[test]
fn contract_that_names_no_usable_set_leaves_it_as_it_was() {
    let (keys, operators) = answers(&[0, 1, 2]);
    let (good_keys, good_operators) = (list(&keys), list(&operators));
    let good = fake(&good_keys, &good_operators);
    let with_head = |head: &[u8]| {
        let mut code = good.clone();
        code[ANSWER..ANSWER + head.len()].copy_from_slice(head);
        code
    };
    let of = |keys: &[B256], operators: &[B256]| fake(&list(keys), &list(operators));
    let operator = |number: u8| B256::left_padding_from(&[number, 1]);
    let many: Vec<_> = (0..=128).map(|number| word(key(number))).collect();
    let many_operators: Vec<_> = (0..=128).map(operator).collect();
    let mut dirty = operators.clone();
    dirty[1].0[0] = 1;
    let weak = B256::with_last_byte(0);
    let cases: [(&str, Vec<u8>); 14] = [
        (
            "validatorKeys() failed: it reverted",
            with_head(&hex!("5f5ffd")),
        ),
        (
            "validatorKeys() failed: invalid opcode: INVALID",
            with_head(&hex!("fe")),
        ),
        (
            "validatorKeys() failed: out of gas",
            with_head(&hex!("5b601356")),
        ),
        (
            "validatorKeys() answered 0 bytes",
            fake(&[], &good_operators),
        ),
        (
            "validatorKeys() answered 159 bytes",
            fake(&good_keys[1..], &good_operators),
        ),
        ("getValidators() answered 0 bytes", fake(&good_keys, &[])),
        (
            "3 validator keys for 2 operators",
            of(&keys, &operators[1..]),
        ),
        ("at least one validator", of(&[], &[])),
        (
            "at most 128 validators, got 129",
            of(&many, &many_operators),
        ),
        ("appears twice", of(&[keys[0], keys[0]], &operators[..2])),
        (
            "appears twice",
            of(&keys[..2], &[operators[0], operators[0]]),
        ),
        ("has no operator", of(&keys[..1], &[B256::ZERO])),
        ("getValidators() answered 32 bytes", of(&keys, &dirty)),
        (
            "no usable ed25519 key",
            of(&[keys[0], weak], &operators[..2]),
        ),
    ];
    for (expected, code) in cases {
        let chain = with_code(code);
        let built = chain.build(&[touch()]);
        let reason = refusal(&built);
        assert!(reason.contains(expected), "{reason} instead of {expected}");
        assert_eq!(
            advance(&chain, &[touch()]),
            set(&[0, 1, 2, 3]),
            "{expected}"
        );
        assert_eq!(advance(&chain, &[]), set(&[0, 1, 2, 3]), "{expected}");
    }
}

#[test]
fn no_key_of_a_list_that_is_too_long_is_looked_at() {
    // None of them is a key: there is no point with y = 2.
    let words = vec![B256::right_padding_from(&[2]); 900];
    let chain = with_code(fake(&list(&words), &list(&words)));
    let reason = refusal(&chain.build(&[touch()]));
    assert!(reason.contains("got 900"), "{reason}");
}

fn refusal(block: &ExecutedBlock) -> String {
    let refused = block.validators_refused.as_ref();
    refused.expect("the set is not usable").to_string()
}

#[test]
fn asking_changes_neither_state_nor_receipts() {
    let (keys, operators) = answers(&[0, 1, 2]);
    let code = fake(&list(&keys), &list(&operators));
    let asked = with_code(code.clone());
    let mut builder = builder();
    let contract = GenesisAccount {
        nonce: 1,
        code: code.into(),
        ..Default::default()
    };
    builder.set_account(FAKE, contract).unwrap();
    let silent = Chain::with_permissioning(builder, set(&[0, 1, 2, 3]), None);
    let (asked, silent) = (asked.build(&[touch()]), silent.build(&[touch()]));
    assert_eq!(asked.next_validators, set(&[0, 1, 2]));
    assert_eq!(silent.next_validators, set(&[0, 1, 2, 3]));
    assert_eq!(asked.block, silent.block);
    assert_eq!(asked.changes, silent.changes);
    assert_eq!(asked.root.root, silent.root.root);
}

#[test]
fn contract_that_is_gone_leaves_the_set_as_it_was() {
    let nobody = Address::repeat_byte(0x55);
    let chain = Chain::with_permissioning(builder(), set(&[0, 1]), Some(nobody));
    // Coins bring the account to life; it has neither code nor storage.
    let coins = Send::new(1, 0, nobody).value(1).signed();
    assert_eq!(advance(&chain, &[coins]), set(&[0, 1]));
}
