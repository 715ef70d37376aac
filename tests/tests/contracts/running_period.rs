//! DataMarketplace: orders by time, from delivery to every way they end; see `running.rs` for those by unit.

use crate::{
    harness::{Chain, GENESIS_TIME, seconds},
    running::{
        AMOUNT, PERIOD, PRICE, UNITS, WINDOW, assert_closed, deliver, dispute, expires_at,
        has_access, paid, renew, state, subscribed, vesting,
    },
};
use alloy_primitives::{B256, U256, Uint, keccak256};
use medina_contracts::{
    data_marketplace::DataMarketplace::*, trust_and_reputation::TrustAndReputation,
    values::OrderState,
};

#[test]
fn period_order_lasts_its_periods_and_waits_for_delivery() {
    let (mut chain, id, order) = subscribed();
    let market = chain.at.data_marketplace;
    let end = GENESIS_TIME + PERIOD * UNITS;
    assert_eq!(state(&chain, order), OrderState::Funded);
    assert_eq!(expires_at(&chain, order), seconds(end));
    assert!(has_access(&chain, id));
    chain.fails::<WrongState>(1, market, &claimCall { order });
    chain.fails::<TooEarly>(2, market, &cancelCall { order });
    chain.fails::<WrongState>(2, market, &dispute(order));
    chain.warp(100);
    chain.ok(1, market, &deliver(order)).event::<Delivered>();
    assert_eq!(state(&chain, order), OrderState::Active);
    assert_eq!(
        chain.order(order).deadline,
        seconds(GENESIS_TIME + 100 + WINDOW)
    );
    chain.fails::<WrongState>(2, market, &confirmCall { order });
    chain.fails::<WrongState>(1, market, &deliver(order));
    chain.warp(end - 1 - chain.time);
    assert!(has_access(&chain, id));
    chain.warp(1);
    assert!(!has_access(&chain, id));
}

#[test]
fn periods_beyond_the_end_of_time_are_refused() {
    let (mut chain, id, order) = subscribed();
    let market = chain.at.data_marketplace;
    let cheap = setPriceCall { id, unitPrice: 1 };
    chain.ok(1, market, &cheap);
    let mut forever = chain.purchase(2, id, u128::MAX);
    forever.units = u64::MAX;
    chain.fails::<OutOfRange>(2, market, &forever);
    forever.units = (1 << 48) / PERIOD;
    chain.fails::<OutOfRange>(2, market, &forever);
    let back = setPriceCall {
        id,
        unitPrice: PRICE,
    };
    chain.ok(1, market, &back);
    let mut call = renew(order, (1 << 48) / PERIOD);
    call.maxAmount = u128::MAX;
    chain.fails::<OutOfRange>(2, market, &call);
}

#[test]
fn undelivered_period_order_is_refunded_and_blamed() {
    let (mut chain, id, order) = subscribed();
    let market = chain.at.data_marketplace;
    chain.warp(3_601);
    chain.fails::<TooLate>(1, market, &deliver(order));
    chain.ok(9, market, &cancelCall { order });
    assert_closed(&chain, order, 0, AMOUNT);
    assert!(!has_access(&chain, id));
    let reputation = TrustAndReputation::platformReputationCall {
        org: crate::harness::org(1),
    };
    let found = chain.view(chain.at.trust_and_reputation, &reputation);
    assert!(found.known && found.value < 5_000, "{}", found.value);
}

#[test]
fn vested_money_is_claimable_a_window_later() {
    let (mut chain, _, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.fails::<TooEarly>(9, market, &claimCall { order });
    chain.warp(WINDOW);
    chain.fails::<TooEarly>(9, market, &claimCall { order });
    chain.warp(1);
    chain.ok(9, market, &claimCall { order });
    // One second of ten thousand.
    assert_eq!(paid(&chain, order), AMOUNT / 10_000);
    chain.fails::<TooEarly>(9, market, &claimCall { order });
    chain.warp(2_499);
    chain.ok(9, market, &claimCall { order });
    assert_eq!(paid(&chain, order), AMOUNT / 4);
    chain.warp(PERIOD * UNITS);
    chain.ok(9, market, &claimCall { order });
    assert_closed(&chain, order, AMOUNT, AMOUNT);
    chain.fails::<WrongState>(9, market, &claimCall { order });
}

#[test]
fn last_second_is_claimable_exactly_a_window_after_the_end() {
    let (mut chain, _, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.warp(PERIOD * UNITS + WINDOW - 1);
    chain.ok(9, market, &claimCall { order });
    assert_eq!(paid(&chain, order), AMOUNT - AMOUNT / 10_000);
    assert_eq!(state(&chain, order), OrderState::Active);
    chain.warp(1);
    chain.ok(9, market, &claimCall { order });
    assert_closed(&chain, order, AMOUNT, AMOUNT);
}

#[test]
fn late_delivery_opens_a_whole_window_for_everything_before_it() {
    let (mut chain, _, order) = subscribed();
    let market = chain.at.data_marketplace;
    chain.warp(3_600);
    chain.ok(1, market, &deliver(order));
    chain.warp(WINDOW);
    chain.fails::<TooEarly>(1, market, &claimCall { order });
    let mut disputed = chain.clone();
    disputed.ok(2, market, &dispute(order));
    assert_eq!(paid(&disputed, order), 0, "nothing was claimable");
    chain.warp(1);
    chain.ok(1, market, &claimCall { order });
    assert_eq!(paid(&chain, order), AMOUNT / 10_000 * 3_601);
}

#[test]
fn buyers_cancelling_pays_what_vested_and_returns_the_rest() {
    let (mut chain, id, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.warp(4_000);
    chain.ok(9, market, &claimCall { order });
    assert_eq!(paid(&chain, order), AMOUNT / 10_000 * 3_400);
    chain.fails::<NotParty>(9, market, &cancelCall { order });
    chain.ok(2, market, &cancelCall { order });
    assert_closed(&chain, order, AMOUNT / 10 * 4, AMOUNT);
    assert!(!has_access(&chain, id));
    assert_eq!(expires_at(&chain, order), Uint::ZERO);
    chain.fails::<WrongState>(2, market, &cancelCall { order });
}

/// Ended by the seller 4 000 s after purchase and delivery; 3 400 s of it are claimable.
fn stopped() -> (Chain, u64, U256) {
    let (mut chain, id, order) = vesting();
    chain.warp(4_000);
    let outcome = chain.ok(1, chain.at.data_marketplace, &cancelCall { order });
    let notice = outcome.event::<Noticed>();
    assert_eq!(
        (notice.order, notice.deadline),
        (order, seconds(chain.time + WINDOW))
    );
    assert_eq!(
        outcome.event::<Paid>().amount,
        AMOUNT / 10_000 * 3_400,
        "what nobody can dispute is paid first"
    );
    (chain, id, order)
}

#[test]
fn sellers_cancelling_stops_the_order_and_leaves_the_buyer_its_window() {
    let (mut chain, id, order) = stopped();
    let market = chain.at.data_marketplace;
    assert_eq!(state(&chain, order), OrderState::Active);
    assert!(!has_access(&chain, id), "access ends at once");
    assert_eq!(expires_at(&chain, order), Uint::ZERO);
    chain.approve(2, PRICE);
    chain.fails::<WrongState>(2, market, &renew(order, 1));
    chain.warp(WINDOW);
    chain.fails::<TooEarly>(1, market, &cancelCall { order });
    chain.fails::<TooEarly>(9, market, &claimCall { order });
    chain.warp(1);
    chain.fails::<TooLate>(2, market, &dispute(order));
    chain.ok(9, market, &claimCall { order });
    assert_closed(&chain, order, AMOUNT / 10 * 4, AMOUNT);
    chain.fails::<WrongState>(9, market, &claimCall { order });
}

#[test]
fn second_cancel_by_the_seller_after_the_window_settles_too() {
    let (mut chain, _, order) = stopped();
    let market = chain.at.data_marketplace;
    chain.warp(WINDOW + 1);
    chain.ok(1, market, &cancelCall { order });
    assert_closed(&chain, order, AMOUNT / 10 * 4, AMOUNT);
}

#[test]
fn buyer_may_agree_to_the_sellers_end_at_once() {
    let (mut chain, _, order) = stopped();
    let market = chain.at.data_marketplace;
    chain.warp(100);
    chain.ok(2, market, &cancelCall { order });
    assert_closed(&chain, order, AMOUNT / 10 * 4, AMOUNT);
}

#[test]
fn buyer_disputes_what_vested_last_although_the_seller_ended_the_order() {
    let (mut chain, _, order) = stopped();
    let market = chain.at.data_marketplace;
    chain.warp(WINDOW);
    chain.ok(2, market, &dispute(order));
    let resolve = resolveCall {
        order,
        buyerBps: 10_000,
    };
    chain.ok(0, market, &resolve);
    assert_closed(&chain, order, AMOUNT / 10_000 * 3_400, AMOUNT);
}

#[test]
fn order_ended_by_the_seller_before_anything_vested_is_over_at_once() {
    let (mut chain, _, order) = vesting();
    chain.ok(1, chain.at.data_marketplace, &cancelCall { order });
    assert_closed(&chain, order, 0, AMOUNT);
}

#[test]
fn cancelling_at_once_returns_everything_and_after_the_end_nothing() {
    let (mut chain, _, order) = vesting();
    let market = chain.at.data_marketplace;
    let mut late = chain.clone();
    chain.ok(2, market, &cancelCall { order });
    assert_closed(&chain, order, 0, AMOUNT);
    late.warp(PERIOD * UNITS);
    late.ok(2, market, &cancelCall { order });
    assert_closed(&late, order, AMOUNT, AMOUNT);
}

#[test]
fn renewal_adds_time_at_the_same_price() {
    let (mut chain, id, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.warp(5_000);
    chain.approve(2, 10 * PRICE);
    let event = chain.ok(2, market, &renew(order, 10)).event::<Renewed>();
    let end = seconds(GENESIS_TIME + 20_000);
    assert_eq!(
        (event.order, event.units, event.amount, event.end),
        (order, 10, 10 * PRICE, end)
    );
    let found = chain.order(order);
    assert_eq!(
        (found.units, found.amount, found.end),
        (20, 2 * AMOUNT, end)
    );
    assert_eq!(chain.balance(market), 2 * AMOUNT);
    chain.ok(9, market, &claimCall { order });
    assert_eq!(paid(&chain, order), AMOUNT / 10_000 * 4_400, "no faster");
    chain.warp(10_000);
    assert!(has_access(&chain, id));
    chain.ok(2, market, &cancelCall { order });
    assert_closed(&chain, order, AMOUNT / 10 * 15, 2 * AMOUNT);
}

#[test]
fn renewal_is_the_buyers_before_the_end_and_checked_as_a_purchase() {
    let (mut chain, id, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.approve(2, 10 * PRICE);
    chain.fails::<NotParty>(3, market, &renew(order, 1));
    chain.fails::<OutOfRange>(2, market, &renew(order, 0));
    let mut cheap = renew(order, 2);
    cheap.maxAmount -= 1;
    chain.fails::<TooDear>(2, market, &cheap);
    let mut paused = chain.clone();
    let pause = setListingCall {
        id,
        status: 2,
        meta: B256::ZERO,
        policy: B256::ZERO,
    };
    paused.ok(1, market, &pause);
    paused.fails::<NotLive>(2, market, &renew(order, 1));
    for price in [PRICE + 1, PRICE - 1] {
        let mut other = chain.clone();
        let set = setPriceCall {
            id,
            unitPrice: price,
        };
        other.ok(1, market, &set);
        let mut call = renew(order, 1);
        call.maxAmount = u128::MAX;
        other.fails::<TooDear>(2, market, &call);
    }
    let mut poor = chain.clone();
    poor.approve(2, 0);
    assert!(!poor.call(poor.account(2), market, &renew(order, 1)).success);
    chain.warp(PERIOD * UNITS);
    chain.fails::<TooLate>(2, market, &renew(order, 1));
    chain.warp(WINDOW);
    chain.ok(9, market, &claimCall { order });
    chain.fails::<WrongState>(2, market, &renew(order, 1));
}

#[test]
fn undelivered_order_may_be_renewed_and_comes_back_whole() {
    let (mut chain, _, order) = subscribed();
    let market = chain.at.data_marketplace;
    chain.approve(2, PRICE);
    chain.ok(2, market, &renew(order, 1));
    chain.warp(3_601);
    chain.ok(9, market, &cancelCall { order });
    assert_closed(&chain, order, 0, AMOUNT + PRICE);
}

#[test]
fn guardian_stops_renewal_but_no_claim() {
    use medina_contracts::gatekeeper::Gatekeeper;
    let (mut chain, _, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.ok(
        0,
        chain.at.gatekeeper,
        &Gatekeeper::closeCall { target: market },
    );
    chain.approve(2, PRICE);
    chain.fails::<AccessManagedUnauthorized>(2, market, &renew(order, 1));
    chain.warp(5_000);
    chain.ok(9, market, &claimCall { order });
    chain.ok(2, market, &cancelCall { order });
}

#[test]
fn dispute_pays_what_was_claimable_and_contests_only_what_vested_since() {
    let (mut chain, id, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.warp(5_000);
    chain.fails::<NotParty>(1, market, &dispute(order));
    let outcome = chain.ok(2, market, &dispute(order));
    assert_eq!(outcome.event::<Paid>().amount, AMOUNT / 100 * 44);
    outcome.event::<Disputed>();
    assert_eq!(state(&chain, order), OrderState::Disputed);
    assert!(!has_access(&chain, id));
    chain.fails::<WrongState>(2, market, &dispute(order));
    chain.fails::<WrongState>(9, market, &claimCall { order });
    chain.fails::<WrongState>(2, market, &cancelCall { order });
    chain.warp(500);
    // 6 % vested in the window and is contested; 50 % had not vested and is the buyer's in any case.
    for (bps, seller) in [(0, 50), (5_000, 47), (10_000, 44)] {
        let mut chain = chain.clone();
        let resolve = resolveCall {
            order,
            buyerBps: bps,
        };
        chain.fails::<NotJudge>(1, market, &resolve);
        chain.ok(0, market, &resolve).event::<Resolved>();
        assert_closed(&chain, order, AMOUNT / 100 * seller, AMOUNT);
    }
}

#[test]
fn unanswered_dispute_of_a_period_divides_what_is_contested() {
    for (proof, seller) in [(keccak256("proof"), 47), (B256::ZERO, 44)] {
        let (mut chain, _, order) = subscribed();
        let market = chain.at.data_marketplace;
        chain.ok(1, market, &deliverCall { order, proof });
        chain.warp(5_000);
        chain.ok(2, market, &dispute(order));
        chain.warp(7 * 86_400);
        chain.fails::<TooEarly>(9, market, &expireCall { order });
        chain.warp(1);
        chain.ok(9, market, &expireCall { order });
        assert_closed(&chain, order, AMOUNT / 100 * seller, AMOUNT);
    }
}

#[test]
fn dispute_ends_when_everything_is_claimable() {
    let (mut chain, _, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.warp(PERIOD * UNITS + WINDOW - 1);
    let mut last = chain.clone();
    last.ok(2, market, &dispute(order));
    chain.warp(1);
    chain.fails::<TooLate>(2, market, &dispute(order));
}
