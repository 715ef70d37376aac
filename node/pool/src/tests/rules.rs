//! Who is refused, and in which words.

use super::*;
use crate::Admission;
use alloy_consensus::{TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::B256;
use std::sync::Arc;

fn refusal(pool: &Pool, accounts: &Accounts, transaction: RecoveredTransaction) -> String {
    match pool.add(accounts, transaction, 0, Origin::Local) {
        Ok(outcome) => panic!("was taken: {outcome:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_fault_is_refused_in_the_words_of_geth() {
    let (pool, accounts) = (pool(), Accounts::default());
    accounts.set(5, 7, ETHER);
    let ordinary = || transfer(1, 0).unsigned();
    let legacy = |chain_id| TxLegacy {
        chain_id,
        gas_limit: 21_000,
        to: TxKind::Call(account(9)),
        ..TxLegacy::default()
    };
    let create = |bytes: usize| TxEip1559 {
        to: TxKind::Create,
        input: vec![0; bytes].into(),
        gas_limit: 1_000_000,
        ..ordinary()
    };
    let data = |byte: u8, gas_limit: u64| TxEip1559 {
        input: vec![byte; 1_000].into(),
        gas_limit,
        ..ordinary()
    };
    let cases = [
        (
            recovered(1, legacy(None)),
            "only replay-protected (EIP-155) transactions allowed over RPC",
        ),
        (
            recovered(1, legacy(Some(1))),
            "invalid chain id for signer: have 1 want 77",
        ),
        (
            recovered(1, create(49_153)),
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
        (
            transfer(1, 0).gas(20_999).build(),
            "intrinsic gas too low: gas 20999, minimum needed 21000",
        ),
        (
            recovered(1, data(1, 36_999)),
            "intrinsic gas too low: gas 36999, minimum needed 37000",
        ),
        (
            recovered(1, data(1, 60_999)),
            "insufficient gas for floor data gas cost: gas 60999, minimum needed 61000",
        ),
        (
            transfer(1, 0).gas(GAS_LIMIT + 1).build(),
            "exceeds block gas limit",
        ),
        (
            transfer(1, 0).gas((1 << 24) + 1).build(),
            "transaction gas limit too high (cap: 16777216, tx: 16777217)",
        ),
        (
            transfer(1, 0).tip(2).fee(1).build(),
            "max priority fee per gas higher than max fee per gas",
        ),
        (
            recovered(
                1,
                TxEip7702 {
                    chain_id: CHAIN_ID,
                    gas_limit: 21_000,
                    ..TxEip7702::default()
                },
            ),
            "EIP-7702 transaction with empty auth list",
        ),
        (transfer(1, u64::MAX).build(), "nonce has max value"),
        (
            transfer(5, 6).build(),
            "nonce too low: next nonce 7, tx nonce 6",
        ),
        (
            transfer(1, 4_097).build(),
            "nonce too high: next nonce 0, tx nonce 4097",
        ),
        (
            transfer(1, 0).value(ETHER + U256::from(1)).build(),
            "insufficient funds for gas * price + value",
        ),
    ];
    for (transaction, words) in cases {
        let text = refusal(&pool, &accounts, transaction);
        assert!(text.starts_with(words), "expected {words:?}, got {text:?}");
    }
    assert_eq!(pool.status(), crate::PoolStatus::default());
}

#[test]
fn handle_without_a_chain_is_taken_only_where_genesis_takes_goquorums_clients() {
    let handle = |bytes: usize| {
        let unsigned = TxLegacy {
            gas_limit: 100_000,
            to: TxKind::Call(account(9)),
            input: vec![7; bytes].into(),
            ..TxLegacy::default()
        };
        recovered(1, unsigned)
    };
    let words = "only replay-protected (EIP-155) transactions allowed over RPC";
    let accounts = Accounts::default();
    assert_eq!(refusal(&pool(), &accounts, handle(64)), words);
    let config = crate::PoolConfig {
        quorum_compat: true,
        ..crate::PoolConfig::new(CHAIN_ID, GAS_LIMIT, plenty())
    };
    let compat = Pool::new(config);
    for bytes in [0, 63, 65] {
        assert_eq!(refusal(&compat, &accounts, handle(bytes)), words);
    }
    assert!(compat.add(&accounts, handle(64), 0, Origin::Local).is_ok());
}

#[test]
fn gas_of_access_lists_and_creations_is_counted() {
    let access = AccessList(vec![AccessListItem {
        address: account(1),
        storage_keys: vec![B256::ZERO; 2],
    }]);
    let call = TxEip1559 {
        access_list: access,
        ..transfer(1, 0).unsigned()
    };
    let call = recovered(1, call);
    assert_eq!(
        crate::intrinsic_gas(call.transaction()),
        21_000 + 2_400 + 2 * 1_900
    );
    let create = TxEip1559 {
        to: TxKind::Create,
        input: vec![0, 1, 0, 1].into(),
        ..transfer(1, 0).unsigned()
    };
    let create = recovered(1, create);
    assert_eq!(
        crate::intrinsic_gas(create.transaction()),
        21_000 + 32_000 + 2 * 4 + 2 * 16 + 2
    );
    assert_eq!(
        crate::floor_gas(create.transaction()),
        21_000 + 10 * (2 + 8)
    );
}

#[test]
fn known_transaction_is_refused_as_known() {
    let (pool, accounts) = (pool(), Accounts::default());
    add(&pool, &accounts, transfer(1, 0)).expect("new");
    assert_eq!(
        add(&pool, &accounts, transfer(1, 0)),
        Err(PoolError::AlreadyKnown)
    );
}

#[test]
fn replacement_must_raise_fee_and_tip_by_a_tenth() {
    let (pool, accounts) = (pool(), Accounts::default());
    let first = add(&pool, &accounts, transfer(1, 0).tip(100).fee(200)).expect("new");
    for (tip, fee) in [(109, 220), (110, 219), (100, 400), (200, 200)] {
        let outcome = add(&pool, &accounts, transfer(1, 0).tip(tip).fee(fee));
        assert_eq!(
            outcome,
            Err(PoolError::ReplacementUnderpriced),
            "{tip} {fee}"
        );
    }
    let second = add(&pool, &accounts, transfer(1, 0).tip(110).fee(220)).expect("enough");
    assert_eq!(second.replaced, Some(first.hash));
    assert!(pool.get(&first.hash).is_none());
    assert_eq!(pool.status().executable, 1);
}

#[test]
fn free_transaction_is_replaced_by_one_that_pays_anything() {
    let (pool, accounts) = (pool(), Accounts::default());
    add(&pool, &accounts, transfer(1, 0)).expect("new");
    let other = transfer(1, 0).value(U256::from(1));
    assert_eq!(
        add(&pool, &accounts, other),
        Err(PoolError::ReplacementUnderpriced)
    );
    add(&pool, &accounts, other.tip(1)).expect("pays more than nothing");
}

#[test]
fn balance_must_pay_for_all_transactions_of_the_sender() {
    let (pool, accounts) = (pool(), Accounts::default());
    let half = ETHER / U256::from(2);
    add(&pool, &accounts, transfer(1, 0).value(half)).expect("affordable");
    add(&pool, &accounts, transfer(1, 1).value(half)).expect("affordable");
    let error = add(&pool, &accounts, transfer(1, 2).value(U256::from(1))).expect_err("too much");
    assert!(
        matches!(error, PoolError::InsufficientFundsForAll { .. }),
        "{error}"
    );
    add(&pool, &accounts, transfer(1, 2)).expect("costs nothing");
}

#[test]
fn fee_below_the_base_fee_is_refused() {
    let pool = Pool::new(PoolConfig::new(CHAIN_ID, GAS_LIMIT, metered(100)));
    let accounts = Accounts::default();
    let error = add(&pool, &accounts, transfer(1, 0).fee(99)).expect_err("too low");
    assert!(
        error
            .to_string()
            .starts_with("max fee per gas less than block base fee")
    );
    add(&pool, &accounts, transfer(1, 0).fee(100)).expect("pays");
}

#[test]
fn more_gas_than_the_credit_ever_holds_is_refused() {
    for (own, shared) in [(50_000, 60_000), (60_000, 50_000)] {
        let policy = GasPolicy::Free(GasCreditParameters {
            capacity_gas: own,
            refill_gas_per_s: 1,
            shared_capacity_gas: shared,
            shared_refill_gas_per_s: 1,
        });
        let pool = Pool::new(PoolConfig::new(CHAIN_ID, GAS_LIMIT, policy));
        let accounts = Accounts::default();
        let error = add(&pool, &accounts, transfer(1, 0).gas(50_001)).expect_err("never");
        let max = 50_000;
        assert_eq!(error, PoolError::ExceedsGasCredit { got: 50_001, max });
        add(&pool, &accounts, transfer(1, 0).gas(50_000)).expect("at last");
    }
}

#[test]
fn sender_may_hold_only_so_many() {
    let (pool, accounts) = (pool(), Accounts::default());
    for nonce in 0..4_096 {
        add(&pool, &accounts, transfer(1, nonce)).expect("room");
    }
    let error = add(&pool, &accounts, transfer(1, 4_096)).expect_err("too many");
    assert!(matches!(error, PoolError::AccountLimit { .. }), "{error}");
    add(&pool, &accounts, transfer(1, 4_095).tip(1)).expect("a replacement takes no room");
}

#[test]
fn rule_at_the_door_is_asked() {
    struct Closed;
    impl Admission for Closed {
        fn admit(&self, _: &RecoveredTransaction) -> Result<(), String> {
            Err("account may not transact".to_owned())
        }
    }
    let config = PoolConfig::new(CHAIN_ID, GAS_LIMIT, plenty());
    let pool = Pool::with_rules(config, Some(Arc::new(Closed)), None);
    let error = add(&pool, &Accounts::default(), transfer(1, 0)).expect_err("closed");
    assert_eq!(
        error.to_string(),
        "transaction not permitted: account may not transact"
    );
}

#[test]
fn unreadable_state_is_said_and_nothing_is_kept() {
    struct Broken;
    impl AccountView for Broken {
        fn nonce_and_balance(&self, _: Address) -> Result<(u64, U256), PoolError> {
            Err(PoolError::State("disk".to_owned()))
        }
    }
    let pool = pool();
    let outcome = pool.add(&Broken, transfer(1, 0).build(), 0, Origin::Peer);
    assert_eq!(outcome, Err(PoolError::State("disk".to_owned())));
    assert_eq!(pool.status(), crate::PoolStatus::default());
}
