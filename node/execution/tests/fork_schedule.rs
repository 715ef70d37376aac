//! Chains that change their rules on the way from Paris to Osaka.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_primitives::{Address, U256};
use common::{Chain, Send, account, authorize};
use medina_execution::{CallRequest, InvalidBlock};
use medina_storage::StateReader as _;
use medina_types::{Block, Fork, ForkRules, ForkSchedule, SealedBlock};

const FRESH: Address = Address::repeat_byte(0x55);
/// Creates, itself without `PUSH0`, a contract that stores what `PUSH0` gives,
/// plus one: `PUSH0 PUSH1 1 ADD PUSH1 0 SSTORE STOP`.
const PUSH0_INIT: [u8; 17] = [
    0x67, 0x5f, 0x60, 1, 0x01, 0x60, 0, 0x55, 0, 0x60, 0, 0x52, 0x60, 8, 0x60, 0x18, 0xf3,
];

/// A fork per block: block 1 follows Paris, block 5 Osaka.
fn chain() -> Chain {
    let start = Chain::new(common::free()).head().header.timestamp;
    let later = Fork::ALL[1..].iter().zip(2..);
    let later = later.map(|(fork, after)| ForkRules::new(start + after, *fork));
    let steps = std::iter::once(ForkRules::new(0, Fork::Paris)).chain(later);
    Chain::with_forks(ForkSchedule::new(steps.collect()).unwrap())
}

#[test]
fn every_block_has_the_fields_of_its_fork_and_no_other() {
    let chain = chain();
    for (nonce, fork) in (0..).zip(Fork::ALL) {
        chain.advance(&[Send::new(1, nonce, FRESH).value(1).signed()]);
        let header = chain.head().header.clone();
        let block = chain.store.block_by_number(chain.head().height).unwrap();
        let body = &block.unwrap().sealed.block().body.clone();
        assert_eq!(header.withdrawals_root.is_some(), fork >= Fork::Shanghai);
        assert_eq!(body.withdrawals.is_some(), fork >= Fork::Shanghai);
        assert_eq!(header.blob_gas_used.is_some(), fork >= Fork::Cancun);
        assert_eq!(header.excess_blob_gas.is_some(), fork >= Fork::Cancun);
        let has_beacon_root = header.parent_beacon_block_root.is_some();
        assert_eq!(has_beacon_root, fork >= Fork::Cancun);
        assert_eq!(header.requests_hash.is_some(), fork >= Fork::Prague);
    }
    assert_eq!(chain.balance(FRESH), U256::from(5));
}

#[test]
fn forks_by_block_begin_with_their_block_whatever_its_time() {
    let steps = Fork::ALL.into_iter().zip([0, 2, 3, 5, 6]);
    let steps = steps.map(|(fork, block)| ForkRules::new(0, fork).from_block(block));
    let chain = Chain::with_forks(ForkSchedule::new(steps.collect()).unwrap());
    use Fork::{Cancun, Osaka, Paris, Prague, Shanghai};
    for fork in [Paris, Shanghai, Cancun, Cancun, Prague, Osaka] {
        chain.advance(&[]);
        let header = chain.head().header.clone();
        assert_eq!(header.withdrawals_root.is_some(), fork >= Shanghai);
        assert_eq!(header.excess_blob_gas.is_some(), fork >= Cancun);
        assert_eq!(header.requests_hash.is_some(), fork >= Prague);
        let named = chain.executor.fork_of(header.number, header.timestamp);
        assert_eq!(named, fork, "block {}", header.number);
    }
}

#[test]
fn a_field_of_a_later_fork_is_refused_before_it() {
    let chain = chain();
    let refused = |change: &dyn Fn(&mut Block), field: &str| {
        let mut block = chain.build(&[]).block.sealed.block().clone();
        change(&mut block);
        let block = SealedBlock::new(block);
        let checked = chain
            .executor
            .validate(&chain.store, &chain.head(), &block, |_| None);
        let error = checked.unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    };
    refused(
        &|block| block.header.withdrawals_root = Some(Default::default()),
        "withdrawals root",
    );
    refused(
        &|block| block.body.withdrawals = Some(Default::default()),
        "withdrawals",
    );
    chain.advance(&[]);
    refused(
        &|block| block.header.withdrawals_root = None,
        "withdrawals root",
    );
    refused(&|block| block.body.withdrawals = None, "withdrawals");
    refused(
        &|block| block.header.blob_gas_used = Some(0),
        "blob gas used",
    );
    refused(
        &|block| block.header.excess_blob_gas = Some(0),
        "excess blob gas",
    );
    refused(
        &|block| block.header.parent_beacon_block_root = Some(Default::default()),
        "parent beacon block root",
    );
    chain.advance(&[]);
    refused(&|block| block.header.blob_gas_used = None, "blob gas used");
    refused(
        &|block| block.header.requests_hash = Some(Default::default()),
        "requests hash",
    );
    chain.advance(&[]);
    refused(&|block| block.header.requests_hash = None, "requests hash");
}

#[test]
fn instructions_and_transactions_begin_with_their_fork() {
    let chain = chain();
    let create = |nonce| Send::create(1, nonce, PUSH0_INIT.into()).signed();
    let first = chain.advance(&[create(0)]);
    assert!(first[0].success, "the code is only stored");
    let at = account(1).address().create(0);
    let call = |nonce| Send::new(1, nonce, at).gas(100_000).signed();
    // Block 2 is the first with PUSH0; a call on the state of block 1 has none.
    let request = CallRequest {
        to: Some(at),
        ..CallRequest::default()
    };
    let head = chain.head();
    let run = |time_s| {
        let mut environment = chain.executor.environment_of(&head.header);
        environment.timestamp = time_s;
        let state = chain.store.state();
        let outcome = chain.executor.call(&state, environment, &request);
        outcome.unwrap().is_success()
    };
    assert!(!run(head.header.timestamp));
    assert!(run(head.header.timestamp + 1));
    assert!(chain.advance(&[call(1)])[0].success);
    assert_eq!(chain.slot(at, 0), U256::from(1));
    // Block 3 is Cancun's: delegations are left out until Prague.
    let delegation = Send::new(1, 2, FRESH)
        .gas(100_000)
        .signed_with(vec![authorize(2, 0, at)]);
    let built = chain.build(std::slice::from_ref(&delegation));
    assert!(built.block.sealed.transactions().is_empty());
    chain.commit(built);
    chain.advance(&[delegation]);
    let delegated = chain.store.state().account(account(2).address()).unwrap();
    assert_eq!(delegated.unwrap().nonce, 1);
}

#[test]
fn parent_hashes_are_kept_from_prague_on() {
    let chain = chain();
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    for _ in 0..5 {
        let parent = chain.head();
        chain.advance(&[]);
        let kept = chain.slot(history, parent.height.0);
        let is_kept = chain
            .executor
            .spec()
            .forks
            .at(chain.head().header.timestamp)
            .fork
            >= Fork::Prague;
        let expected = if is_kept {
            parent.hash.into()
        } else {
            U256::ZERO
        };
        assert_eq!(kept, expected, "block {}", parent.height.0);
    }
}

#[test]
fn another_schedule_refuses_the_block() {
    let (early, late) = (chain(), Chain::with_forks(ForkSchedule::only(Fork::Paris)));
    for chain in [&early, &late] {
        chain.advance(&[]);
    }
    let block = early.build(&[]).block.sealed;
    let mut moved = block.block().clone();
    moved.header.parent_hash = late.head().hash;
    let checked =
        late.executor
            .validate(&late.store, &late.head(), &SealedBlock::new(moved), |_| {
                None
            });
    assert!(
        matches!(
            checked,
            Err(InvalidBlock::Prevrandao { .. } | InvalidBlock::FutureField { .. })
        ),
        "{checked:?}"
    );
}
