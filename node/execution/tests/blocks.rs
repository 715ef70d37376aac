//! Blocks on a real store: what transactions do, and that build and validate agree.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_consensus::{TxReceipt, proofs::calculate_receipt_root};
use alloy_primitives::{Address, B256, Bloom, Bytes, U256, hex};
use common::{Chain, Send, account, authorize, caller_topic, code_hash, free, init_code, operator};
use medina_execution::{
    BuildAttributes, ExecutionError, TransactionRefused, TransactionSource, ed25519_gas, prevrandao,
};
use medina_storage::StateReader;
use medina_types::{ED25519_PRECOMPILE, Height, RecoveredTransaction, limits};
use proptest::prelude::*;
use std::{collections::VecDeque, sync::Arc};

const FRESH: Address = Address::repeat_byte(0x55);

#[test]
fn transfer_moves_value_and_costs_no_wei_where_gas_is_free() {
    let chain = Chain::new(free());
    let sender = account(1).address();
    let before = chain.balance(sender);
    let receipts = chain.advance(&[Send::new(1, 0, FRESH).value(5).signed()]);
    assert!(receipts[0].success);
    assert_eq!(receipts[0].cumulative_gas_used, 21_000);
    assert_eq!(chain.balance(FRESH), U256::from(5));
    assert_eq!(before - chain.balance(sender), U256::from(5));
    let header = &chain.head().header;
    assert_eq!(
        (header.gas_used, header.base_fee_per_gas),
        (21_000, Some(0))
    );
}

#[test]
fn created_contract_counts_logs_and_is_found_by_its_bloom() {
    let chain = Chain::new(free());
    let creator = account(2).address();
    let created = creator.create(0);
    chain.advance(&[Send::create(2, 0, init_code(&common::COUNTER)).signed()]);
    let state = chain.store.state();
    assert_eq!(
        state.account(created).unwrap().unwrap().code_hash,
        code_hash(&common::COUNTER)
    );
    drop(state);
    let receipts = chain.advance(&[
        Send::new(2, 1, created).signed(),
        Send::new(1, 0, created).signed_legacy(),
    ]);
    assert_eq!(chain.slot(created, 0), U256::from(2));
    let log = &receipts[1].logs[0];
    assert_eq!(
        (log.address, log.topics()),
        (created, &[caller_topic(account(1).address())][..])
    );
    let header = chain.head().header.clone();
    let blooms: Vec<_> = receipts.iter().map(TxReceipt::with_bloom_ref).collect();
    assert_eq!(header.receipts_root, calculate_receipt_root(&blooms));
    assert_eq!(
        header.logs_bloom,
        receipts
            .iter()
            .fold(Bloom::ZERO, |all, one| all | one.bloom())
    );
    assert!(
        header
            .logs_bloom
            .contains_input(alloy_primitives::BloomInput::Raw(created.as_slice()))
    );
}

#[test]
fn failed_transactions_are_part_of_the_block_and_change_only_nonce_and_gas() {
    let chain = Chain::new(free());
    let receipts = chain.advance(&[
        Send::new(1, 0, chain.reverter).value(1).signed(),
        Send::new(1, 1, chain.looper).gas(60_000).signed(),
        Send::new(1, 2, FRESH).value(1).signed(),
    ]);
    let successes: Vec<_> = receipts.iter().map(|receipt| receipt.success).collect();
    assert_eq!(successes, [false, false, true]);
    assert_eq!(
        receipts[1].cumulative_gas_used - receipts[0].cumulative_gas_used,
        60_000
    );
    assert_eq!(chain.balance(chain.reverter), U256::ZERO);
}

#[test]
fn contract_that_destroys_itself_at_birth_leaves_nothing() {
    let chain = Chain::new(free());
    let created = account(1).address().create(0);
    // Writes slot 0, then pays the caller back and vanishes.
    let code = Bytes::from_static(&hex!("60015f5533ff"));
    let before = chain.balance(account(1).address());
    let receipts = chain.advance(&[Send::create(1, 0, code).value(7).signed()]);
    assert!(receipts[0].success);
    assert!(!chain.exists(created));
    assert_eq!(chain.slot(created, 0), U256::ZERO);
    assert_eq!(chain.balance(account(1).address()), before);
}

#[test]
fn delegated_account_runs_the_code_on_its_own_storage_until_it_takes_it_back() {
    let chain = Chain::new(free());
    let owner = account(3).address();
    let delegate = Send::new(1, 0, owner).gas(200_000);
    chain.advance(&[delegate.signed_with(vec![authorize(3, 0, chain.counter)])]);
    assert_eq!(chain.slot(owner, 0), U256::from(1));
    let state = chain.store.state();
    let code_hash = state.account(owner).unwrap().unwrap().code_hash;
    let code = state.code(code_hash).unwrap().unwrap();
    assert_eq!(code[..3], hex!("ef0100"));
    assert_eq!(code[3..], chain.counter[..]);
    drop(state);
    // The owner still sends transactions, and clears the delegation; its storage stays.
    let clear = Send::new(3, 1, FRESH).gas(200_000);
    chain.advance(&[clear.signed_with(vec![authorize(3, 2, Address::ZERO)])]);
    chain.advance(&[Send::new(1, 1, owner).signed()]);
    assert_eq!(chain.slot(owner, 0), U256::from(1));
}

#[test]
fn parent_hash_and_zero_beacon_root_are_written_where_contracts_read_them() {
    let chain = Chain::new(free());
    let genesis = chain.head().hash;
    chain.advance(&[]);
    let hashes = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    assert_eq!(B256::from(chain.slot(hashes, 0)), genesis);
    let time = chain.head().header.timestamp;
    let roots = alloy_eips::eip4788::BEACON_ROOTS_ADDRESS;
    assert_eq!(chain.slot(roots, time % 8191), U256::from(time));
}

#[test]
fn requests_are_hashed_into_the_header_one_block_later_they_are_gone() {
    let chain = Chain::new(free());
    let empty = chain.head().header.requests_hash;
    let contract = alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
    let mut send = Send::new(1, 0, contract).value(1).gas(300_000);
    send.input = Bytes::from(vec![9; 56]);
    let receipts = chain.advance(&[send.signed()]);
    assert!(receipts[0].success);
    let with_request = chain.head().header.requests_hash;
    assert_ne!(with_request, empty);
    chain.advance(&[]);
    assert_eq!(chain.head().header.requests_hash, empty);
}

#[test]
fn device_signature_is_checked_by_the_precompile_in_a_transaction() {
    let chain = Chain::new(free());
    let mut send = Send::new(1, 0, ED25519_PRECOMPILE);
    let device = medina_types::NodeSecretKey::from_bytes([9; 32]);
    let message = b"22.4 degrees";
    send.input = [&device.public_key().0[..], &device.sign(message).0, message]
        .concat()
        .into();
    let receipts = chain.advance(&[send.signed()]);
    let tokens: u64 = send
        .input
        .iter()
        .map(|byte| if *byte == 0 { 1 } else { 4 })
        .sum();
    let intrinsic = 21_000 + 4 * tokens;
    let floor = 21_000 + 10 * tokens;
    let expected = (intrinsic + ed25519_gas(send.input.len())).max(floor);
    assert_eq!(receipts[0].cumulative_gas_used, expected);
}

#[test]
fn several_blocks_may_share_a_second_and_a_slow_clock_never_turns_time_back() {
    let chain = Chain::new(free());
    let head = chain.head();
    let attributes = BuildAttributes {
        timestamp_s: 5,
        ..chain.attributes()
    };
    let built = chain
        .executor
        .build(&chain.store, &head, &attributes, &mut || None, &mut || {
            false
        })
        .unwrap();
    assert_eq!(built.block.header().timestamp, head.header.timestamp);
    assert_eq!(
        built.block.header().mix_hash,
        prevrandao(head.hash, Height(1))
    );
    chain
        .executor
        .validate(&chain.store, &head, &built.block.sealed, |_| None)
        .unwrap();
}

#[test]
fn only_operators_build_and_only_on_the_head() {
    let chain = Chain::new(free());
    let old = chain.head();
    let stranger = BuildAttributes {
        beneficiary: FRESH,
        ..chain.attributes()
    };
    let refused = chain
        .executor
        .build(&chain.store, &old, &stranger, &mut || None, &mut || false);
    assert!(matches!(refused, Err(ExecutionError::NotAnOperator(FRESH))));
    let attributes = chain.attributes();
    chain.advance(&[]);
    let late = chain
        .executor
        .build(&chain.store, &old, &attributes, &mut || None, &mut || false);
    assert!(matches!(late, Err(ExecutionError::ParentIsNotHead { .. })));
}

/// A source that remembers what it was told.
#[derive(Default)]
struct Waiting {
    transactions: VecDeque<Arc<RecoveredTransaction>>,
    invalid: Vec<TransactionRefused>,
    skipped: Vec<Address>,
}

impl TransactionSource for Waiting {
    fn next(&mut self) -> Option<Arc<RecoveredTransaction>> {
        loop {
            let next = self.transactions.pop_front()?;
            if !self.skipped.contains(&next.sender()) {
                return Some(next);
            }
        }
    }

    fn mark_invalid(&mut self, _hash: B256, reason: &TransactionRefused) {
        self.invalid.push(reason.clone());
    }

    fn skip_sender(&mut self, sender: Address) {
        self.skipped.push(sender);
    }
}

fn build_from(chain: &Chain, sends: &[Send]) -> (Waiting, Vec<Address>) {
    let transactions = sends
        .iter()
        .map(|send| common::recovered(&send.signed()))
        .collect();
    let mut waiting = Waiting {
        transactions,
        ..Waiting::default()
    };
    let built = chain
        .executor
        .build(
            &chain.store,
            &chain.head(),
            &chain.attributes(),
            &mut waiting,
            &mut || false,
        )
        .unwrap();
    (waiting, built.block.senders.to_vec())
}

#[test]
fn stale_transaction_is_dropped_and_its_successor_included() {
    let chain = Chain::new(free());
    chain.advance(&[Send::new(1, 0, FRESH).signed()]);
    let (waiting, senders) = build_from(&chain, &[Send::new(1, 0, FRESH), Send::new(1, 1, FRESH)]);
    assert_eq!(senders, [account(1).address()]);
    assert!(matches!(
        waiting.invalid[..],
        [TransactionRefused::NonceTooLow {
            nonce: 0,
            expected: 1,
            ..
        }]
    ));
    assert!(waiting.skipped.is_empty());
}

#[test]
fn sender_with_a_gap_or_without_funds_is_skipped_and_others_are_not() {
    let chain = Chain::new(free());
    let poor = Send::new(9, 0, FRESH).value(1);
    let (waiting, senders) = build_from(
        &chain,
        &[
            Send::new(1, 3, FRESH),
            Send::new(1, 4, FRESH),
            poor,
            Send::new(2, 0, FRESH),
        ],
    );
    assert_eq!(senders, [account(2).address()]);
    assert_eq!(
        waiting.skipped,
        [account(1).address(), account(9).address()]
    );
    assert!(waiting.invalid.is_empty());
}

#[test]
fn transaction_without_its_intrinsic_gas_or_above_the_cap_is_dropped() {
    let chain = Chain::new(free());
    let (waiting, senders) = build_from(
        &chain,
        &[
            Send::new(1, 0, FRESH).gas(20_999),
            Send::new(2, 0, FRESH).gas(16_777_217),
        ],
    );
    assert!(senders.is_empty());
    assert!(matches!(
        waiting.invalid[..],
        [
            TransactionRefused::IntrinsicGasTooLow {
                have: 20_999,
                want: 21_000
            },
            TransactionRefused::GasLimitAboveCap {
                wanted: 16_777_217,
                cap: 16_777_216
            },
        ]
    ));
}

#[test]
fn block_is_full_when_the_next_gas_limit_does_not_fit() {
    let chain = Chain::new(free());
    let burn = |from| Send::new(from, 0, chain.looper).gas(14_000_000);
    let (waiting, senders) = build_from(
        &chain,
        &[
            burn(1),
            burn(2),
            burn(3),
            Send::new(4, 0, FRESH).gas(21_000),
        ],
    );
    assert_eq!(senders, [1, 2, 4].map(|number| account(number).address()));
    assert_eq!(waiting.skipped, [account(3).address()]);
}

#[test]
fn proposer_stops_when_its_time_is_up() {
    let chain = Chain::new(free());
    let mut waiting = (0..10).map(|nonce| common::recovered(&Send::new(1, nonce, FRESH).signed()));
    let mut calls = 0;
    let mut is_time_up = || {
        calls += 1;
        calls > 3
    };
    let built = chain
        .executor
        .build(
            &chain.store,
            &chain.head(),
            &chain.attributes(),
            &mut || waiting.next(),
            &mut is_time_up,
        )
        .unwrap();
    assert_eq!(built.receipts.len(), 3);
}

#[test]
fn block_never_outgrows_its_bytes() {
    let chain = Chain::new(free());
    // Zero bytes are the cheapest: 10 gas each by EIP-7623's floor.
    let send = |nonce| Send {
        input: Bytes::from(vec![0; 100_000]),
        ..Send::new(1, nonce, FRESH).gas(1_100_000)
    };
    let built = chain.build(
        &(0..30)
            .map(|nonce| send(nonce).signed())
            .collect::<Vec<_>>(),
    );
    assert!(built.block.sealed.encode().len() <= limits::BLOCK_BYTES_MAX);
    assert!(built.receipts.len() > 20);
}

#[test]
fn known_senders_are_not_recovered_again() {
    let chain = Chain::new(free());
    let built = chain.build(&[
        Send::new(1, 0, FRESH).signed(),
        Send::new(2, 0, FRESH).signed(),
    ]);
    let hash = *built.block.sealed.transactions()[0].tx_hash();
    let asked = std::cell::Cell::new(0);
    let known = |of: &B256| {
        asked.set(asked.get() + 1);
        (*of == hash).then(|| account(1).address())
    };
    let checked = chain
        .executor
        .validate(&chain.store, &chain.head(), &built.block.sealed, known)
        .unwrap();
    assert_eq!(checked.block, built.block);
    assert_eq!(asked.get(), 2);
}

#[test]
fn code_and_storage_of_a_destroyed_contract_never_reach_the_changes() {
    let chain = Chain::new(free());
    let code = Bytes::from_static(&hex!("60015f5533ff"));
    let built = chain.build(&[Send::create(1, 0, code).signed()]);
    let created = account(1).address().create(0);
    assert!(!built.changes.accounts.contains_key(&created));
    assert!(built.changes.codes.is_empty());
    let sender = &built.changes.accounts[&account(1).address()];
    assert_eq!(
        sender.before.unwrap().nonce + 1,
        sender.after.unwrap().nonce
    );
    assert!(
        built
            .changes
            .accounts
            .values()
            .all(|change| change.before != change.after || !change.storage.is_empty())
    );
}

/// One random transaction: what kind, from whom, how much.
fn any_send() -> impl Strategy<Value = (u8, u8, u64)> {
    (0u8..9, 0u8..4, 0u64..1_000)
}

fn transaction_of(
    chain: &Chain,
    nonces: &mut [u64; 5],
    (kind, from, amount): (u8, u8, u64),
) -> medina_types::Transaction {
    let nonce = nonces[usize::from(from)];
    nonces[usize::from(from)] += 1;
    let to = |address| {
        Send::new(from, nonce, address)
            .gas(200_000)
            .fees(10_000_000_000, u128::from(amount))
    };
    match kind {
        0 => to(Address::repeat_byte(from + 1)).value(amount).signed(),
        1 => to(chain.counter).signed(),
        2 => to(chain.reverter).value(amount).signed(),
        3 => to(chain.looper).gas(30_000 + amount).signed(),
        4 => Send {
            to: alloy_primitives::TxKind::Create,
            input: init_code(&common::COUNTER),
            ..to(FRESH)
        }
        .signed(),
        5 => Send {
            to: alloy_primitives::TxKind::Create,
            input: Bytes::from_static(&hex!("60015f5533ff")),
            ..to(FRESH)
        }
        .value(amount)
        .signed(),
        6 => {
            let authorization = authorize(4, nonces[4], chain.counter);
            nonces[4] += 1;
            to(account(4).address()).signed_with(vec![authorization])
        }
        7 => to(operator(from)).value(amount).signed_legacy(),
        _ => to(account(4).address()).value(amount).signed(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// `advance` compares block, receipts, changes and trie of builder and
    /// validator; the store compares values before with its own state.
    #[test]
    fn what_is_built_validates_to_the_same_block(
        blocks in proptest::collection::vec(proptest::collection::vec(any_send(), 0..8), 1..4),
        is_metered in any::<bool>(),
    ) {
        let chain = Chain::new(if is_metered { common::metered(2_500) } else { free() });
        let mut nonces = [0; 5];
        nonces[0] = 3; // Three deployments in genesis.
        for block in blocks {
            let transactions: Vec<_> =
                block.into_iter().map(|send| transaction_of(&chain, &mut nonces, send)).collect();
            chain.advance(&transactions);
        }
    }
}
