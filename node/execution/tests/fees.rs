//! Who pays for gas and who gets it.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_primitives::{Address, U256};
use common::{Chain, Send, TREASURY, account, free, metered, operator};
use medina_execution::{TransactionRefused, next_base_fee};
use proptest::prelude::*;

const FRESH: Address = Address::repeat_byte(0x55);
const GWEI: u128 = 1_000_000_000;

#[test]
fn base_fee_is_shared_and_the_tip_is_the_proposers() {
    let chain = Chain::new(metered(2_500));
    let sender = account(1).address();
    let before = chain.balance(sender);
    chain.advance(&[Send::new(1, 0, FRESH).fees(3 * GWEI, GWEI / 2).signed()]);
    let header = chain.head().header.clone();
    assert_eq!(header.base_fee_per_gas, Some(1_000_000_000));
    let base = U256::from(21_000 * GWEI);
    let treasury = base / U256::from(4);
    assert_eq!(chain.balance(TREASURY), treasury);
    let tip = U256::from(21_000 * GWEI / 2);
    assert_eq!(chain.balance(operator(0)), base - treasury + tip);
    assert_eq!(before - chain.balance(sender), base + tip);
}

#[test]
fn base_fee_follows_use_as_in_ethereum() {
    let chain = Chain::new(metered(0));
    let burn = |from, nonce| {
        Send::new(from, nonce, chain.looper)
            .gas(15_000_000)
            .fees(9 * GWEI, 0)
    };
    // Full: up by an eighth.
    chain.advance(&[burn(1, 0).signed(), burn(2, 0).signed()]);
    assert_eq!(
        next_base_fee(chain.executor.spec(), &chain.head().header),
        1_125_000_000
    );
    // At the target: unchanged.
    chain.advance(&[burn(1, 1).signed()]);
    assert_eq!(
        next_base_fee(chain.executor.spec(), &chain.head().header),
        1_125_000_000
    );
    // Empty: down by an eighth.
    chain.advance(&[]);
    assert_eq!(
        next_base_fee(chain.executor.spec(), &chain.head().header),
        984_375_000
    );
}

#[test]
fn offer_below_the_base_fee_waits() {
    let chain = Chain::new(metered(0));
    let mut low = Some(common::recovered(
        &Send::new(1, 0, FRESH).fees(GWEI - 1, 0).signed(),
    ));
    let built = chain
        .executor
        .build(
            &chain.store,
            &chain.head(),
            &chain.attributes(),
            &mut || low.take(),
            &mut || false,
        )
        .unwrap();
    assert!(built.receipts.is_empty());
    let refused = TransactionRefused::FeeBelowBaseFee {
        sender: FRESH,
        max_fee: 1,
        base_fee: 2,
    };
    assert!(
        refused
            .to_string()
            .starts_with("max fee per gas less than block base fee")
    );
}

#[test]
fn reward_is_minted_for_every_block_even_an_empty_one() {
    let chain = Chain::with_reward(free(), 7);
    chain.advance(&[]);
    chain.advance(&[Send::new(1, 0, FRESH).signed()]);
    assert_eq!(chain.balance(operator(0)), U256::from(7));
    assert_eq!(chain.balance(operator(1)), U256::from(7));
}

#[test]
fn tips_are_optional_where_gas_is_free_and_go_to_the_proposer() {
    let chain = Chain::new(free());
    chain.advance(&[
        Send::new(1, 0, FRESH).fees(5, 5).signed(),
        Send::new(2, 0, FRESH).signed(),
    ]);
    assert_eq!(chain.balance(operator(0)), U256::from(5 * 21_000));
    assert_eq!(chain.balance(TREASURY), U256::ZERO);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_wei_appears_or_vanishes(
        share_bps in 0u16..=10_000,
        sends in proptest::collection::vec((1u8..5, 0u64..1_000, 0u128..GWEI, 0u8..3), 1..8),
    ) {
        let chain = Chain::new(metered(share_bps));
        let everybody: Vec<_> = (0..5)
            .map(|number| account(number).address())
            .chain((0..4).map(operator))
            .chain([TREASURY, FRESH, chain.counter, chain.reverter])
            .collect();
        let total = || everybody.iter().map(|address| chain.balance(*address)).sum::<U256>();
        let before = total();
        let mut nonces = [0; 5];
        let transactions: Vec<_> = sends
            .iter()
            .map(|(from, value, tip, kind)| {
                let nonce = nonces[usize::from(*from)];
                nonces[usize::from(*from)] += 1;
                let to = [FRESH, chain.counter, chain.reverter][usize::from(*kind)];
                Send::new(*from, nonce, to).value(*value).fees(4 * GWEI, *tip).signed()
            })
            .collect();
        chain.advance(&transactions);
        prop_assert_eq!(total(), before);
    }
}
