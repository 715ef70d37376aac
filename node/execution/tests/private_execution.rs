//! Private transactions on a public chain: what they see, what they may change, and
//! that nothing of it reaches the public state.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_consensus::TxReceipt as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use common::private::{
    BALANCE, BOX, COPIER, ENVIRONMENT, FACTORY, FORWARDER, GAS, GROUP, Inner, World, compat, item,
    marker_transaction, rules, word, words,
};
use common::{
    COUNTER, Chain, LOOPER, REVERTER, Send, account, builder, caller_topic, free, init_code,
};
use medina_execution::private::{
    Below, MARKER_GAS, Position, PrivateCallRequest, PrivateError, PrivateInput, PrivateReceipt,
    PrivateStatus, PublicBlock, RootClaim, is_marker, nonce_offset,
};
use medina_execution::{CallEnvironment, CallStatus, ExecutionError, GenesisAccount};
use medina_storage::{StateReader, SyncMode};
use medina_types::{Height, MARKER_ADDRESS, MARKER_BYTES, PrivacyMode, limits};

fn only(mut receipts: Vec<PrivateReceipt>) -> PrivateReceipt {
    assert_eq!(receipts.len(), 1);
    receipts.remove(0)
}

/// Deploys a contract privately and answers its address.
fn deployed(world: &World, from: u8, nonce: u64, runtime: &[u8]) -> Address {
    let receipt = only(world.run([Inner::create(from, nonce, runtime).input()]));
    assert_eq!(receipt.status, PrivateStatus::Success, "{receipt:?}");
    receipt.created.unwrap()
}

fn failure(receipt: &PrivateReceipt) -> &str {
    match &receipt.status {
        PrivateStatus::Failed(reason) => reason,
        other => panic!("it did not fail but is {other:?}"),
    }
}

fn refusal(receipt: &PrivateReceipt) -> &str {
    match &receipt.status {
        PrivateStatus::Invalid(reason) => reason,
        other => panic!("it was not refused but is {other:?}"),
    }
}

mod typed_data {
    alloy_sol_types::sol! {
        struct PrivateTransaction {
            bytes32 group;
            uint8 mode;
            bool create;
            address to;
            uint64 nonce;
            uint64 gas;
            bytes data;
        }
    }
}

#[test]
fn signed_hash_is_that_of_another_implementation_of_eip_712() {
    let domain = Eip712Domain::new(
        Some("Medina private transaction".into()),
        Some("1".into()),
        Some(U256::from(common::CHAIN_ID)),
        Some(MARKER_ADDRESS),
        None,
    );
    for inner in [
        Inner::call(1, 3, Address::repeat_byte(5), vec![1, 2, 3]),
        Inner::create(2, 0, &COUNTER),
    ] {
        let typed = typed_data::PrivateTransaction {
            group: inner.group,
            mode: inner.mode.number(),
            create: inner.kind.is_create(),
            to: inner.kind.to().copied().unwrap_or_default(),
            nonce: inner.nonce,
            gas: inner.gas,
            data: inner.data.clone(),
        };
        let ours = inner.signed().transaction().signing_hash(common::CHAIN_ID);
        assert_eq!(typed.eip712_signing_hash(&domain), ours);
        let text = typed_data::PrivateTransaction::eip712_root_type();
        assert_eq!(text, medina_types::PRIVATE_TRANSACTION_TYPE);
    }
}

#[test]
fn chain_made_without_private_groups_has_no_precompile_of_markers() {
    let chain = Chain::without_private_groups();
    let send = |nonce, gas| Send::new(3, nonce, MARKER_ADDRESS).gas(gas);
    // What the precompile would refuse: wei, and an input that is no marker.
    let transactions = [
        send(0, 21_000).value(7).signed(),
        Send {
            input: vec![1, 2, 3].into(),
            ..send(1, 30_000)
        }
        .signed(),
        marker_transaction(0).1,
    ];
    let receipts = chain.advance(&transactions);
    assert!(receipts.iter().all(|receipt| receipt.status()));
    assert_eq!(chain.balance(MARKER_ADDRESS), U256::from(7));
    assert_eq!(receipts[0].cumulative_gas_used, 21_000);
    // With them it refuses both.
    let receipts = Chain::new(free()).advance(&transactions);
    let passed: Vec<_> = receipts.iter().map(|receipt| receipt.status()).collect();
    assert_eq!(passed, [false, false, true]);
}

#[test]
fn marker_costs_the_same_always_and_is_found_only_where_it_was_sent_and_succeeded() {
    let chain = Chain::new(free());
    let (marker, sent) = marker_transaction(0);
    let short = Send {
        input: marker.input().slice(1..),
        ..Send::new(3, 0, MARKER_ADDRESS)
    };
    let with_value = Send {
        input: marker.input(),
        value: 1,
        ..Send::new(3, 1, MARKER_ADDRESS)
    };
    let starved = Send {
        input: marker.input(),
        // Floor of 64 bytes' data, and one gas too little for the precompile.
        gas: 21_000 + 16 * MARKER_BYTES as u64 + MARKER_GAS - 1,
        ..Send::new(3, 2, MARKER_ADDRESS)
    };
    let transactions = [sent, short.signed(), with_value.signed(), starved.signed()];
    let receipts = chain.advance(&transactions);
    let found: Vec<_> = transactions
        .iter()
        .zip(&receipts)
        .map(|(transaction, receipt)| is_marker(transaction, receipt))
        .collect();
    assert_eq!(found, [Some(marker), None, None, None]);
    let data: u64 = marker.input().iter().map(|_| 16).sum();
    assert_eq!(receipts[0].cumulative_gas_used, 21_000 + data + MARKER_GAS);
    assert_eq!(chain.balance(MARKER_ADDRESS), U256::ZERO);
}

#[test]
fn marker_sent_from_inside_a_contract_is_none_and_answers_nothing() {
    let mut builder = builder();
    let forwarder = builder
        .deploy(account(0).address(), init_code(&FORWARDER), U256::ZERO)
        .unwrap();
    let chain = Chain::with_builder(free(), U256::ZERO, builder);
    let send = Send {
        input: words(MARKER_ADDRESS, 1),
        ..Send::new(1, 0, forwarder)
    };
    let transaction = send.signed();
    let receipts = chain.advance(std::slice::from_ref(&transaction));
    assert_eq!(is_marker(&transaction, &receipts[0]), None);
}

#[test]
fn private_contract_counts_and_logs_and_the_public_chain_sees_nothing() {
    let world = World::new();
    let counter = deployed(&world, 1, 0, &COUNTER);
    let receipts = world.run([
        Inner::call(1, 1, counter, vec![]).input(),
        Inner::call(2, 0, counter, vec![]).input(),
    ]);
    assert!(receipts.iter().all(PrivateReceipt::is_success));
    assert_eq!(world.slot(counter, 0), U256::from(2));
    let log = &receipts[1].logs[0];
    let topic = caller_topic(account(2).address());
    assert_eq!((log.address, log.topics()), (counter, &[topic][..]));
    assert_eq!(receipts[1].from, Some(account(2).address()));
    assert_eq!(receipts[1].to, Some(counter));
    assert!(receipts[0].gas_used > 21_000);
    // The block after sees what the one before left.
    let again = only(world.run([Inner::call(2, 1, counter, vec![]).input()]));
    assert!(again.is_success());
    assert_eq!(world.slot(counter, 0), U256::from(3));
    assert!(!world.chain.exists(counter));
    let state = world.chain.store.state();
    let senders = [1, 2].map(|number| account(number).address());
    for sender in senders {
        assert_eq!(state.account(sender).unwrap().unwrap().nonce, 0);
    }
}

#[test]
fn reverts_and_halts_have_receipts_and_change_the_nonce_alone() {
    let world = World::new();
    let reverter = deployed(&world, 1, 0, &REVERTER);
    let receipt = only(world.run([Inner::call(1, 1, reverter, vec![]).input()]));
    assert_eq!(receipt.status, PrivateStatus::Reverted);
    assert_eq!(
        receipt.output,
        Bytes::from(U256::from(42).to_be_bytes_vec())
    );
    let next = only(world.run([Inner::call(1, 2, reverter, vec![]).input()]));
    assert_eq!(next.status, PrivateStatus::Reverted);
}

#[test]
fn endless_loop_ends_at_the_gas_limit_of_the_transaction() {
    let world = World::new();
    let looper = deployed(&world, 1, 0, &LOOPER);
    let receipt = only(world.run([Inner::call(1, 1, looper, vec![]).input()]));
    assert_eq!(failure(&receipt), "out of gas");
    assert_eq!(receipt.gas_used, GAS);
    let more = Inner {
        gas: limits::PRIVATE_GAS_MAX + 1,
        ..Inner::call(1, 2, looper, vec![])
    };
    let receipt = only(world.run([more.input()]));
    assert!(refusal(&receipt).contains("private gas limit"));
}

#[test]
fn public_state_is_read_as_it_was_after_the_block_before() {
    let mut builder = builder();
    let public = builder
        .deploy(account(0).address(), init_code(&BOX), U256::ZERO)
        .unwrap();
    let mut world = World::new();
    world.chain = Chain::with_builder(free(), U256::ZERO, builder);
    let copier = deployed(&world, 1, 0, &COPIER);
    let set = |nonce: u64, value: u64| {
        let input = U256::from(value).to_be_bytes_vec().into();
        Send {
            input,
            ..Send::new(2, nonce, public)
        }
        .signed()
    };
    world.run_beside(&[set(0, 7)], []);
    // Its own block sets 8, which it does not see.
    world.run_beside(
        &[set(1, 8)],
        [Inner::call(1, 1, copier, word(public)).input()],
    );
    assert_eq!(world.chain.slot(public, 0), U256::from(8));
    assert_eq!(world.slot(copier, 0), U256::from(7));
    world.run([Inner::call(1, 2, copier, word(public)).input()]);
    assert_eq!(world.slot(copier, 0), U256::from(8));
}

#[test]
fn transaction_that_would_write_public_state_fails_as_a_whole_and_its_nonce_counts() {
    let world = World::new();
    let public = world.chain.counter;
    let forwarder = deployed(&world, 1, 0, &FORWARDER);
    let receipts = world.run([
        // Straight, and through a private contract.
        Inner::call(1, 1, public, vec![]).input(),
        Inner::call(1, 2, forwarder, words(public, 1)).input(),
        Inner::call(1, 3, forwarder, words(Address::repeat_byte(0x44), 1)).input(),
    ]);
    for receipt in &receipts[..2] {
        let reason = failure(receipt);
        assert!(
            reason.starts_with("public state is read-only here"),
            "{reason}"
        );
        assert!(reason.contains(&public.to_string()));
        assert!(receipt.logs.is_empty() && receipt.gas_used > 21_000);
    }
    assert!(receipts[2].is_success());
    assert_eq!(world.chain.slot(public, 0), U256::ZERO);
    assert_eq!(world.slot(public, 0), U256::ZERO);
    let store = world.store();
    let state = store.store().state();
    assert_eq!(state.account(public).unwrap(), None);
    let nonce = world.executor().nonce(&state, account(1).address());
    assert_eq!(nonce.unwrap(), 4);
}

#[test]
fn private_contracts_have_no_public_contracts_address_and_groups_none_in_common() {
    let world = World::new();
    let sender = account(1).address();
    let private = deployed(&world, 1, 0, &COUNTER);
    assert_eq!(private, sender.create(nonce_offset(GROUP)));
    world.run_beside(&[Send::create(1, 0, init_code(&COUNTER)).signed()], []);
    let public = sender.create(0);
    assert!(world.chain.exists(public) && !world.chain.exists(private));
    let other = B256::repeat_byte(0x12);
    assert_ne!(sender.create(nonce_offset(other)), private);
}

#[test]
fn contracts_create_contracts_and_all_of_them_are_the_groups() {
    let world = World::new();
    let factory = deployed(&world, 1, 0, &FACTORY);
    let receipt = only(world.run([Inner::call(1, 1, factory, init_code(&COUNTER)).input()]));
    assert!(receipt.is_success());
    let child = Address::from_word(world.slot(factory, 0).into());
    assert_eq!(child, factory.create(1));
    let call = Inner::call(2, 0, child, vec![]);
    assert!(only(world.run([call.input()])).is_success());
    assert_eq!(world.slot(child, 0), U256::from(1));
    // One that a public account would create fails: its nonce is public.
    let create2 = only(world.run([Inner::call(2, 1, world.chain.looper, vec![]).input()]));
    assert_eq!(failure(&create2), "out of gas");
}

#[test]
fn a_transaction_runs_once_in_its_group_its_mode_and_its_chain() {
    let world = World::new();
    let create = Inner::create(1, 0, &COUNTER);
    let receipts = world.run([create.input(), create.input()]);
    assert!(receipts[0].is_success());
    assert_eq!(refusal(&receipts[1]), "private nonce 0, expected 1");
    assert!(refusal(&only(world.run([create.input()]))).contains("nonce"));
    let next = Inner::create(1, 1, &COUNTER);
    let others = [
        Inner {
            group: B256::repeat_byte(0x12),
            ..next.clone()
        },
        Inner {
            mode: PrivacyMode::CounterParty,
            ..next.clone()
        },
        // Recovers to somebody whose nonce is 0.
        Inner {
            chain_id: common::CHAIN_ID + 1,
            ..next.clone()
        },
        Inner {
            nonce: 2,
            ..next.clone()
        },
        Inner {
            gas: 21_000,
            ..next.clone()
        },
    ];
    let root = world.store().root();
    let receipts = world.run(others.iter().map(Inner::input));
    let reasons: Vec<_> = receipts.iter().map(refusal).collect();
    assert!(reasons[0].contains("group") && reasons[1].contains("mode"));
    assert!(reasons[2].contains("nonce") && reasons[3].contains("nonce"));
    assert!(reasons[4].contains("gas"), "{}", reasons[4]);
    assert_eq!(world.store().root(), root);
    assert!(only(world.run([next.input()])).is_success());
}

#[test]
fn erased_skipped_and_refused_items_have_receipts_and_no_effect() {
    let world = World::new();
    let root = world.store().root();
    let receipts = world.run([
        PrivateInput::Erased,
        PrivateInput::Skipped,
        PrivateInput::Invalid("no member of the group".to_owned()),
        Inner::create(1, 0, &COUNTER).input(),
    ]);
    let statuses: Vec<_> = receipts.iter().map(|one| one.status.clone()).collect();
    let refused = PrivateStatus::Invalid("no member of the group".to_owned());
    let expected = [PrivateStatus::Erased, PrivateStatus::Skipped, refused];
    assert_eq!(statuses[..3], expected);
    assert!(receipts[3].is_success());
    assert_ne!(world.store().root(), root);
}

#[test]
fn private_execution_sees_the_environment_of_its_public_block() {
    let world = World::new();
    let contract = deployed(&world, 1, 0, &ENVIRONMENT);
    world.run([Inner::call(1, 1, contract, vec![]).input()]);
    let header = world.chain.head().header.clone();
    let seen = [0, 1, 2, 3].map(|slot| world.slot(contract, slot));
    let expected = [
        U256::from(header.number),
        U256::from(header.timestamp),
        header.mix_hash.into(),
        header.beneficiary.into_word().into(),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn wei_sent_to_a_private_contracts_address_neither_stops_it_nor_is_seen_by_it() {
    let world = World::new();
    let sender = account(1).address();
    let address = sender.create(nonce_offset(GROUP));
    let gift = |nonce| Send::new(2, nonce, address).value(5).signed();
    world.run_beside(&[gift(0)], []);
    let reader = deployed(&world, 1, 0, &BALANCE);
    assert_eq!(reader, address);
    // In the block of the gift, and after it; in one commit with the creation or not.
    for (nonce, gifts) in [(1, vec![]), (2, vec![gift(1)]), (3, vec![])] {
        let own = Inner::call(1, nonce, reader, word(reader));
        assert!(only(world.run_beside(&gifts, [own.input()])).is_success());
        assert_eq!(world.slot(reader, 0), U256::ZERO);
    }
    let own = Inner::call(1, 4, reader, word(account(3).address()));
    world.run([own.input()]);
    let rich = world.chain.balance(account(3).address());
    assert_eq!(world.slot(reader, 0), rich);
}

#[test]
fn contract_destroyed_at_birth_leaves_neither_account_nor_public_trace() {
    let world = World::new();
    let address = account(1).address().create(nonce_offset(GROUP));
    let code = Bytes::from_static(&alloy_primitives::hex!("60015f555fff"));
    let inner = Inner {
        data: code,
        ..Inner::create(1, 0, &[])
    };
    assert!(only(world.run([inner.input()])).is_success());
    let store = world.store();
    assert_eq!(store.store().state().account(address).unwrap(), None);
    drop(store);
    // Where wei were waiting they would go elsewhere, which is a public write.
    let next = account(1).address().create(nonce_offset(GROUP) + 1);
    world.run_beside(&[Send::new(2, 0, next).value(5).signed()], []);
    let inner = Inner { nonce: 1, ..inner };
    let receipt = only(world.run([inner.input()]));
    assert!(failure(&receipt).starts_with("public state is read-only here"));
    assert_eq!(world.chain.balance(next), U256::from(5));
}

#[test]
fn compat_contracts_have_the_addresses_that_quorums_clients_compute() {
    let world = World::new();
    let sender = account(1).address();
    let receipt = only(world.run([compat(1, 17, TxKind::Create, init_code(&COUNTER))]));
    assert_eq!(receipt.created, Some(sender.create(17)));
    let counter = sender.create(17);
    let call = compat(1, 18, TxKind::Call(counter), Bytes::new());
    assert!(only(world.run([call])).is_success());
    assert_eq!(world.slot(counter, 0), U256::from(1));
    // Their public nonces are no private ones: the first of those is still 0.
    let native = Inner::call(1, 0, counter, vec![]);
    assert!(only(world.run([native.input()])).is_success());
    let looping = compat(1, 19, TxKind::Call(world.chain.looper), Bytes::new());
    assert_eq!(failure(&only(world.run([looping]))), "out of gas");
}

#[test]
fn calls_run_as_transactions_would_at_any_kept_block() {
    let world = World::new();
    let public = world.chain.counter;
    let boxed = deployed(&world, 1, 0, &BOX);
    let first = world.chain.head().height;
    let value = Bytes::from(U256::from(9).to_be_bytes_vec());
    world.run([Inner::call(1, 1, boxed, value.clone()).input()]);
    let second = world.chain.head().height;
    let (store, executor) = (world.store(), world.executor());
    let at = |block: Height, request: &PrivateCallRequest| {
        let header = world.chain.store.header_by_number(block).unwrap().unwrap();
        let (group, state) = (
            store.state_at(block).unwrap(),
            world.chain.store.state_at(block).unwrap(),
        );
        let environment = CallEnvironment::of_header(&header);
        let outcome = executor.call(&group, &state, environment, request);
        (
            outcome.unwrap(),
            executor.estimate_gas(&group, &state, environment, request),
        )
    };
    let read = PrivateCallRequest {
        to: Some(boxed),
        ..Default::default()
    };
    let number = |output: &Bytes| U256::from_be_slice(output);
    assert_eq!(number(&at(first, &read).0.output), U256::ZERO);
    assert_eq!(number(&at(second, &read).0.output), U256::from(9));
    let write = PrivateCallRequest {
        from: account(1).address(),
        to: Some(public),
        ..Default::default()
    };
    let (outcome, estimate) = at(second, &write);
    assert!(
        matches!(outcome.status, CallStatus::Halt { reason, .. } if reason.contains("read-only"))
    );
    let refused = estimate.unwrap_err();
    assert!(matches!(
        refused,
        PrivateError::Execution(ExecutionError::Halted { .. })
    ));
    // What an estimate says is enough, and a little less is not.
    let create = PrivateCallRequest {
        from: account(1).address(),
        input: init_code(&COUNTER),
        ..Default::default()
    };
    let (outcome, estimate) = at(second, &create);
    let expected = account(1).address().create(nonce_offset(GROUP) + 2);
    assert_eq!(outcome.created, Some(expected));
    let gas = estimate.unwrap();
    for (gas, is_enough) in [(gas, true), (gas * 97 / 100, false)] {
        let nonce = executor
            .nonce(&store.store().state(), account(1).address())
            .unwrap();
        let inner = Inner {
            gas,
            ..Inner::create(1, nonce, &COUNTER)
        };
        assert_eq!(only(world.run([inner.input()])).is_success(), is_enough);
    }
    let early = store.state_at(Height(world.chain.head().height.0 + 1));
    assert!(matches!(early, Err(PrivateError::NotReached { .. })));
}

#[test]
fn validated_transactions_run_only_from_the_root_they_name_and_to_it() {
    let world = World::new();
    let executor = world.executor_of(rules(PrivacyMode::Validated));
    let store = world.store();
    let preview = |inner: &Inner| {
        let head = world.chain.head();
        let public = world.chain.store.state();
        let below = Below {
            store: store.store(),
            public: &public,
            environment: world.chain.executor.pending_environment(&head, 0),
        };
        executor.preview(below, &inner.signed())
    };
    let apply = |inputs: Vec<PrivateInput>| {
        world.chain.advance(&[]);
        let block = world.chain.head().height;
        let items: Vec<_> = (0..)
            .zip(inputs)
            .map(|(index, input)| item(block.0 * 1_000 + index, index, input))
            .collect();
        world.apply_to((&store, &executor), block.0, &items, Position::after(block))
    };
    let validated = |inner: Inner| Inner {
        mode: PrivacyMode::Validated,
        ..inner
    };
    let create = validated(Inner::create(1, 0, &COUNTER));
    let claim = preview(&create).unwrap().claim;
    assert_eq!(claim.before(), store.root());
    let counter = apply(vec![create.claiming(claim)]).unwrap();
    assert_eq!(store.root(), claim.after());
    let counter = counter.receipts[0].created.unwrap();
    // Two senders from the same root: one runs, the other is stale and loses nothing.
    let calls = [1, 2].map(|from| {
        let nonce = u64::from(from == 1);
        validated(Inner::call(from, nonce, counter, vec![]))
    });
    let claims = calls.clone().map(|call| preview(&call).unwrap().claim);
    let both = vec![calls[0].claiming(claims[0]), calls[1].claiming(claims[1])];
    let receipts = apply(both).unwrap().receipts;
    assert!(receipts[0].is_success());
    assert!(matches!(receipts[1].status, PrivateStatus::Stale { .. }));
    let again = calls[1].claiming(preview(&calls[1]).unwrap().claim);
    assert!(apply(vec![again]).unwrap().receipts[0].is_success());
    assert_eq!(world.slot(counter, 0), U256::from(2));
    // Without roots nothing happens.
    let call = validated(Inner::call(1, 2, counter, vec![]));
    let receipts = apply(vec![call.input()]).unwrap().receipts;
    assert!(refusal(&receipts[0]).contains("roots"));
    let refused = preview(&Inner { nonce: 9, ..call });
    assert!(matches!(refused, Err(PrivateError::WouldNotRun(_))));
}

#[test]
fn wrong_root_after_is_the_same_no_op_for_all_members_and_the_group_goes_on() {
    let world = World::new();
    let executor = world.executor_of(rules(PrivacyMode::Validated));
    let (other, _folder) = world.another_node();
    let store = world.store();
    let other = other
        .get_or_create(GROUP, Position::start_of(Height(1)))
        .unwrap();
    let preview = |inner: &Inner| {
        let head = world.chain.head();
        let public = world.chain.store.state();
        let below = Below {
            store: store.store(),
            public: &public,
            environment: world.chain.executor.pending_environment(&head, 0),
        };
        executor.preview(below, &inner.signed()).unwrap().claim
    };
    // Both members in one commit each; they agree on receipts, position and root.
    let apply = |inputs: Vec<PrivateInput>| {
        world.chain.advance(&[]);
        let block = world.chain.head().height;
        let items: Vec<_> = (0..)
            .zip(inputs)
            .map(|(index, input)| item(block.0 * 1_000 + index, index, input))
            .collect();
        let next = Position::after(block);
        let of = |store| world.apply_to((store, &executor), block.0, &items, next);
        let (here, there) = (of(&store).unwrap(), of(&other).unwrap());
        assert_eq!(here.receipts, there.receipts);
        assert_eq!((here.root, here.position), (there.root, next));
        here.receipts
    };
    let validated = |inner: Inner| Inner {
        mode: PrivacyMode::Validated,
        ..inner
    };
    let create = validated(Inner::create(1, 0, &COUNTER));
    let counter = apply(vec![create.claiming(preview(&create))]);
    let counter = counter[0].created.unwrap();
    let call = validated(Inner::call(1, 1, counter, vec![]));
    let right = preview(&call);
    let wrong = RootClaim::new(right.before(), B256::repeat_byte(1));
    // A false claim, and behind it, in the same block, the same transaction with the true one.
    let receipts = apply(vec![call.claiming(wrong), call.claiming(right)]);
    let status = PrivateStatus::Diverged {
        claimed: wrong.after().0,
        found: right.after().0,
    };
    assert_eq!(receipts[0].status, status);
    assert_eq!(receipts[0].from, Some(account(1).address()));
    assert_eq!(receipts[0].gas_used, 0);
    assert!(receipts[0].reason().unwrap().contains("leads to the root"));
    assert!(receipts[1].is_success(), "{:?}", receipts[1].status);
    assert_eq!(store.root(), right.after());
    // One that keeps the time leads elsewhere than it did when it was tried: honest, and no end.
    let clock = validated(Inner::create(1, 2, &ENVIRONMENT));
    let clock = apply(vec![clock.claiming(preview(&clock))])[0]
        .created
        .unwrap();
    let (before, tick) = (store.root(), validated(Inner::call(1, 3, clock, vec![])));
    let receipts = apply(vec![tick.claiming(preview(&tick))]);
    assert!(matches!(receipts[0].status, PrivateStatus::Diverged { .. }));
    assert_eq!(store.root(), before);
    let next = validated(Inner::call(1, 3, counter, vec![]));
    assert!(apply(vec![next.claiming(preview(&next))])[0].is_success());
    assert_eq!(world.slot(counter, 0), U256::from(2));
}

#[test]
fn contract_that_keeps_the_time_comes_to_its_root_in_the_block_it_was_tried_in() {
    let world = World::new();
    let executor = world.executor_of(rules(PrivacyMode::Validated));
    let store = world.store();
    let at = |height: Height| {
        let header = world.chain.store.header_by_number(height).unwrap().unwrap();
        let public = world.chain.store.state_at(height).unwrap();
        (world.chain.executor.environment_of(&header), public)
    };
    // Tried on the newest block, and in a block two later: a marker waits for its turn.
    let settle = |inner: Inner| {
        let inner = Inner {
            mode: PrivacyMode::Validated,
            ..inner
        };
        let (environment, tried_on) = at(world.chain.head().height);
        let below = Below {
            store: store.store(),
            public: &tried_on,
            environment,
        };
        let claim = executor.preview(below, &inner.signed()).unwrap().claim;
        world.chain.advance(&[]);
        world.chain.advance(&[]);
        let height = world.chain.head().height;
        let header = world.chain.store.header_by_number(height).unwrap().unwrap();
        let block = PublicBlock {
            hash: header.hash_slow(),
            header: &header,
            state_before: &tried_on,
            environment,
        };
        let items = [item(height.0, 0, inner.claiming(claim))];
        let next = Position::after(height);
        let applied = store.apply(&executor, &block, &items, next, SyncMode::Deferred);
        let receipt = only(applied.unwrap().receipts);
        assert!(receipt.is_success(), "{:?}", receipt.status);
        assert_eq!(store.root(), claim.after());
        receipt
    };
    let clock = settle(Inner::create(1, 0, &ENVIRONMENT)).created.unwrap();
    for nonce in 1..4 {
        settle(Inner::call(1, nonce, clock, vec![]));
    }
}

#[test]
fn account_that_delegates_publicly_still_sends_privately() {
    let world = World::new();
    let delegate = Send::new(1, 0, Address::repeat_byte(0x55)).gas(200_000);
    let authorized = common::authorize(3, 0, world.chain.counter);
    world.run_beside(&[delegate.signed_with(vec![authorized])], []);
    let counter = deployed(&world, 3, 0, &COUNTER);
    assert!(only(world.run([Inner::call(3, 1, counter, vec![]).input()])).is_success());
    // Its public code would write the account's public storage.
    let own = Inner::call(3, 2, account(3).address(), vec![]);
    let receipt = only(world.run([own.input()]));
    assert!(failure(&receipt).starts_with("public state is read-only here"));
}

#[test]
fn public_account_with_storage_is_not_taken_for_a_groups() {
    let mut builder = builder();
    let at = Address::repeat_byte(0x66);
    let storage = [(B256::ZERO, B256::from(U256::from(5)))].into();
    let contract = GenesisAccount {
        nonce: 1,
        code: BOX.to_vec().into(),
        storage,
        ..Default::default()
    };
    builder.set_account(at, contract).unwrap();
    let mut world = World::new();
    world.chain = Chain::with_builder(free(), U256::ZERO, builder);
    let copier = deployed(&world, 1, 0, &COPIER);
    world.run([Inner::call(1, 1, copier, word(at)).input()]);
    assert_eq!(world.slot(copier, 0), U256::from(5));
    assert_eq!(world.slot(at, 0), U256::ZERO);
}
