//! Who may transact where permissions are enforced: the contract says, and genesis where it does not.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolValue};
use common::{
    Chain, Send, account, builder, init_code,
    permissioning::{deploy, executeCall, proposeCall, seed, voteCall},
};
use medina_execution::{Executor, GenesisAccount, InvalidBlock, TransactionRefused};
use medina_types::{ChainSpec, PermissionMode, SealedBlock, Transaction};
use std::sync::Arc;

/// Operates the only validator of the contract.
const OPERATOR: u8 = 1;
/// Listed in genesis, in the file and in the contract.
const LISTED: u8 = 2;
/// Known to nobody.
const STRANGER: u8 = 3;
/// The contract where a test writes it by hand.
const FAKE: Address = Address::repeat_byte(0xfa);

fn address(number: u8) -> Address {
    account(number).address()
}

/// A chain whose contract knows one operator and one listed account.
fn enforced() -> (Chain, Address) {
    let mut builder = builder();
    let seeds = vec![seed(OPERATOR, OPERATOR, address(OPERATOR))];
    let contract = deploy(&mut builder, seeds, vec![address(LISTED)]);
    let chain = Chain::with_enforced_permissions(builder, Some(contract), [address(LISTED)]);
    (chain, contract)
}

/// A chain whose contract has this code.
fn with_code(code: &[u8]) -> Chain {
    let mut builder = builder();
    let contract = GenesisAccount {
        nonce: 1,
        code: code.to_vec().into(),
        ..Default::default()
    };
    builder.set_account(FAKE, contract).unwrap();
    Chain::with_enforced_permissions(builder, Some(FAKE), [address(LISTED)])
}

fn call(from: u8, nonce: u64) -> Transaction {
    Send::new(from, nonce, Address::repeat_byte(0xcc)).signed()
}

fn creation(from: u8) -> Transaction {
    Send::create(from, 0, init_code(&[0])).signed()
}

/// Transactions of a block that this chain builds from these.
fn included(chain: &Chain, offered: &[Transaction]) -> Vec<B256> {
    let built = chain.build(offered);
    let transactions = built.block.sealed.transactions();
    transactions
        .iter()
        .map(|transaction| *transaction.tx_hash())
        .collect()
}

/// A block of somebody who does not ask the contract.
fn built_without_asking(chain: &Chain, offered: &[Transaction]) -> SealedBlock {
    let spec = ChainSpec {
        permissions: PermissionMode::Open,
        ..ChainSpec::clone(chain.executor.spec())
    };
    let mut waiting = offered
        .iter()
        .map(common::recovered)
        .collect::<Vec<_>>()
        .into_iter();
    let built = Executor::new(Arc::new(spec)).build(
        &chain.store,
        &chain.head(),
        &chain.attributes(),
        &mut || waiting.next(),
        &mut || false,
    );
    built.unwrap().block.sealed
}

fn verdict(chain: &Chain, block: &SealedBlock) -> Result<(), InvalidBlock> {
    let executed = chain
        .executor
        .validate(&chain.store, &chain.head(), block, |_| None);
    executed.map(|_| ())
}

/// Asserts that proposer and validator both refuse this transaction, and take the other.
#[track_caller]
fn assert_refused(chain: &Chain, refused: Transaction, taken: Transaction) {
    let sender = common::recovered(&refused).sender();
    let offered = [taken.clone(), refused.clone()];
    assert_eq!(included(chain, &offered), [*taken.tx_hash()]);
    let block = built_without_asking(chain, &offered);
    assert_eq!(block.transactions().len(), 2);
    let InvalidBlock::Transaction {
        index: 1,
        hash,
        reason,
    } = verdict(chain, &block).unwrap_err()
    else {
        panic!("another reason");
    };
    assert_eq!(hash, *refused.tx_hash());
    assert_eq!(*reason, TransactionRefused::NotPermitted(sender));
}

#[test]
fn stranger_is_refused_by_proposer_and_validators() {
    let (chain, _) = enforced();
    assert_refused(&chain, call(STRANGER, 0), call(OPERATOR, 0));
}

#[test]
fn deploying_needs_more_than_transacting() {
    let (chain, _) = enforced();
    assert_refused(&chain, creation(OPERATOR), creation(LISTED));
    // A transfer to nowhere looks the same to the contract.
    let burning = Send::new(OPERATOR, 0, Address::ZERO).signed();
    assert_refused(&chain, burning, call(LISTED, 0));
}

#[test]
fn block_is_judged_by_what_held_before_it() {
    const ACCOUNT: u8 = 5;
    const BLOCKED: U256 = U256::ONE;
    let (chain, contract) = enforced();
    let ballot = U256::from(1);
    let send = |nonce, input: Vec<u8>| {
        let mut send = Send::new(OPERATOR, nonce, contract).gas(1_000_000);
        send.input = input.into();
        send.signed()
    };
    let data = (address(LISTED), BLOCKED).abi_encode_params().into();
    let propose = proposeCall {
        kind: ACCOUNT,
        data,
    };
    let vote = voteCall { ballot, yes: true };
    let block = [
        send(0, propose.abi_encode()),
        send(1, vote.abi_encode()),
        send(2, executeCall { ballot }.abi_encode()),
        call(LISTED, 0),
    ];
    let receipts = chain.advance(&block);
    assert!(receipts.iter().all(|receipt| receipt.success));
    assert_refused(&chain, call(LISTED, 1), call(OPERATOR, 3));
}

#[test]
fn question_with_much_data_is_answered_as_any_other() {
    let (chain, _) = enforced();
    let send = |from| {
        let mut send = Send::new(from, 0, Address::repeat_byte(0xcc)).gas(6_000_000);
        send.input = Bytes::from(vec![0xff; 120_000]);
        send.signed()
    };
    assert_refused(&chain, send(STRANGER), send(OPERATOR));
}

#[test]
fn contract_that_fails_leaves_the_decision_to_genesis() {
    let cases: [(&str, &[u8]); 6] = [
        ("reverts", &hex!("5f5ffd")),
        ("is invalid", &hex!("fe")),
        ("never ends", &hex!("5b5f56")),
        ("says nothing", &hex!("00")),
        ("says two", &hex!("60025f5260205ff3")),
        ("says too much", &hex!("60015f5260405ff3")),
    ];
    for (what, code) in cases {
        let chain = with_code(code);
        let block = built_without_asking(&chain, &[call(OPERATOR, 0)]);
        assert!(verdict(&chain, &block).is_err(), "{what}");
        assert_refused(&chain, call(OPERATOR, 0), creation(LISTED));
    }
    let chain = Chain::with_enforced_permissions(builder(), None, [address(LISTED)]);
    assert_refused(&chain, call(STRANGER, 0), call(LISTED, 0));
}

#[test]
fn contract_that_always_agrees_lets_everybody_in() {
    let chain = with_code(&hex!("60015f5260205ff3"));
    let offered = [call(STRANGER, 0), creation(OPERATOR)];
    assert_eq!(chain.advance(&offered).len(), 2);
}

#[test]
fn contract_sees_the_transaction_as_it_is() {
    // Agrees if word `place` of the question is not zero.
    let asks_for = |place: u8| {
        let offset = 4 + 32 * place;
        with_code(
            &[
                &[0x60, offset][..],
                &hex!("351515")[..],
                &hex!("5f5260205ff3"),
            ]
            .concat(),
        )
    };
    let plain = call(STRANGER, 0);
    let rich = Send::new(STRANGER, 0, Address::repeat_byte(0xcc))
        .value(9)
        .fees(7, 7)
        .signed();
    for (place, name, takes_plain) in [
        (0, "sender", true),
        (1, "target", true),
        (2, "value", false),
        (3, "price", false),
        (4, "gas", true),
    ] {
        let chain = asks_for(place);
        assert_eq!(
            included(&chain, std::slice::from_ref(&plain)).len(),
            usize::from(takes_plain),
            "{name}"
        );
        assert_eq!(
            included(&chain, std::slice::from_ref(&rich)).len(),
            1,
            "{name}"
        );
    }
}

#[test]
fn calls_ask_nobody() {
    let chain = with_code(&hex!("5f5ffd"));
    let environment = chain.executor.environment_of(&chain.head().header);
    let request = medina_execution::CallRequest {
        from: Some(address(STRANGER)),
        to: Some(chain.counter),
        ..Default::default()
    };
    let outcome = chain
        .executor
        .call(&chain.store.state(), environment, &request);
    assert!(outcome.unwrap().is_success());
}
