//! DataMarketplace: orders that run, by signed unit or by time, from purchase to every way they end.

use crate::attacks::wallet_code;
use crate::harness::{CHAIN_ID, Chain, GENESIS_TIME, TOKEN, key, seconds, sign};
use alloy_primitives::{Address, B256, Bytes, U256, Uint, keccak256};
use alloy_sol_types::{SolCall, SolStruct};
use medina_contracts::{
    data_marketplace::{DataMarketplace::*, IDataMarketplace},
    eip712::{self, UnitVoucher},
    trust_and_reputation::TrustAndReputation,
    values::OrderState,
};
use proptest::prelude::*;

pub(crate) const PRICE: u128 = 10 * TOKEN;
pub(crate) const UNITS: u64 = 10;
pub(crate) const AMOUNT: u128 = PRICE * UNITS as u128;
/// Seconds of a period, and of the buyer's window.
pub(crate) const PERIOD: u64 = 1_000;
pub(crate) const WINDOW: u64 = 600;
/// How long an order by units lasts in all.
pub(crate) const LIFE: u64 = 50_000;

pub(crate) const PER_UNIT: u8 = 2;
pub(crate) const BY_PERIOD: u8 = 3;

pub(crate) fn listing(chain: &mut Chain, price: u8) -> u64 {
    let sensor = chain.register(1, "sensor");
    let mut listing = chain.listing(1, sensor, PRICE);
    listing.price = price;
    listing.unit = u32::try_from(if price == PER_UNIT { LIFE } else { PERIOD }).unwrap();
    listing.confirmIn = u32::try_from(WINDOW).unwrap();
    chain.list(1, listing)
}

pub(crate) fn buy(chain: &mut Chain, id: u64, units: u64) -> U256 {
    chain.approve(2, PRICE * u128::from(units));
    let mut call = chain.purchase(2, id, u128::MAX);
    call.units = units;
    let outcome = chain.ok(2, chain.at.data_marketplace, &call);
    buyCall::abi_decode_returns(&outcome.output).unwrap()
}

/// Buyer 2 has ten units of seller 1, paid by voucher.
pub(crate) fn by_unit() -> (Chain, u64, U256) {
    let mut chain = Chain::new();
    let id = listing(&mut chain, PER_UNIT);
    let order = buy(&mut chain, id, UNITS);
    (chain, id, order)
}

/// Buyer 2 has ten periods of seller 1, not delivered.
pub(crate) fn subscribed() -> (Chain, u64, U256) {
    let mut chain = Chain::new();
    let id = listing(&mut chain, BY_PERIOD);
    let order = buy(&mut chain, id, UNITS);
    (chain, id, order)
}

/// As `subscribed`, delivered at once.
pub(crate) fn vesting() -> (Chain, u64, U256) {
    let (mut chain, id, order) = subscribed();
    chain.ok(1, chain.at.data_marketplace, &deliver(order));
    (chain, id, order)
}

pub(crate) fn deliver(order: U256) -> deliverCall {
    let proof = keccak256("proof");
    deliverCall { order, proof }
}

pub(crate) fn dispute(order: U256) -> disputeCall {
    let evidence = keccak256("evidence");
    disputeCall { order, evidence }
}

pub(crate) fn renew(order: U256, periods: u64) -> renewCall {
    let max_amount = PRICE * u128::from(periods);
    renewCall {
        order,
        periods,
        maxAmount: max_amount,
    }
}

/// A voucher of the user, account 2.
pub(crate) fn voucher(chain: &Chain, order: U256, cumulative: u64) -> claimUnitsCall {
    claimUnitsCall {
        order,
        cumulative,
        userSig: chain.sign(2, "DataMarketplace", &UnitVoucher { order, cumulative }),
    }
}

pub(crate) fn has_access(chain: &Chain, listing: u64) -> bool {
    let user = chain.account(2);
    chain.view(chain.at.data_marketplace, &hasAccessCall { listing, user })
}

pub(crate) fn expires_at(chain: &Chain, order: U256) -> Uint<48, 1> {
    chain.view(chain.at.data_marketplace, &expiresAtCall { order })
}

pub(crate) fn state(chain: &Chain, order: U256) -> OrderState {
    chain.order(order).state.try_into().unwrap()
}

/// What the seller has, fee included; all orders of these tests are seller 1's.
pub(crate) fn paid(chain: &Chain, order: U256) -> u128 {
    chain.order(order).paid
}

/// The order is closed with `paid` for the seller and everything else back at the buyer, and no money is elsewhere.
#[track_caller]
pub(crate) fn assert_closed(chain: &Chain, order: U256, paid: u128, amount: u128) {
    let expected = if paid == 0 {
        OrderState::Refunded
    } else {
        OrderState::Completed
    };
    assert_eq!(state(chain, order), expected);
    assert_eq!(chain.order(order).paid, paid);
    let (seller, buyer) = (
        chain.credit(chain.account(1)),
        chain.credit(chain.account(2)),
    );
    assert_eq!(buyer, amount - paid);
    let fees = chain.balance(chain.at.data_marketplace) - seller - buyer;
    assert!(fees <= paid / 100 && fees + 64 >= paid / 100, "fee {fees}");
    assert_eq!(seller + fees, paid);
}

#[test]
fn running_prices_need_a_unit_a_price_and_no_judge() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    for price in [PER_UNIT, BY_PERIOD] {
        let mut good = chain.listing(1, sensor, PRICE);
        (good.price, good.unit) = (price, 60);
        let mut endless = good.clone();
        endless.unit = 0;
        let mut gratis = good.clone();
        gratis.unitPrice = 0;
        let mut judged = good.clone();
        judged.judge = Address::repeat_byte(1);
        for l in [endless, gratis, judged] {
            chain.fails::<BadListing>(1, chain.at.data_marketplace, &listCall { l });
        }
        let id = chain.list(1, good);
        let nothing = setPriceCall { id, unitPrice: 0 };
        chain.fails::<BadListing>(1, chain.at.data_marketplace, &nothing);
    }
}

#[test]
fn order_by_unit_is_active_at_once_and_lasts_its_time() {
    let (mut chain, id, order) = by_unit();
    let found = chain.order(order);
    assert_eq!(state(&chain, order), OrderState::Active);
    assert_eq!((found.amount, found.units, found.used), (AMOUNT, UNITS, 0));
    assert_eq!(found.deadline, Uint::ZERO, "nobody has given notice");
    assert_eq!(expires_at(&chain, order), seconds(GENESIS_TIME + LIFE));
    assert_eq!(chain.balance(chain.at.data_marketplace), AMOUNT);
    chain.warp(LIFE - 1);
    assert!(has_access(&chain, id));
    chain.warp(1);
    assert!(!has_access(&chain, id));
}

#[test]
fn vouchers_pay_the_difference_and_the_last_one_closes() {
    let (mut chain, id, order) = by_unit();
    let market = chain.at.data_marketplace;
    let event = chain
        .ok(9, market, &voucher(&chain, order, 3))
        .event::<Paid>();
    assert_eq!(
        (event.to, event.amount, event.fee),
        (chain.account(1), 3 * PRICE, 3 * PRICE / 100)
    );
    assert_eq!(
        (chain.order(order).used, paid(&chain, order)),
        (3, 3 * PRICE)
    );
    chain.ok(9, market, &voucher(&chain, order, 9));
    assert_eq!(paid(&chain, order), 9 * PRICE);
    assert!(has_access(&chain, id));
    chain.ok(9, market, &voucher(&chain, order, UNITS));
    assert!(!has_access(&chain, id), "no units are left");
    assert_eq!(expires_at(&chain, order), Uint::ZERO);
    assert_closed(&chain, order, AMOUNT, AMOUNT);
    chain.fails::<WrongState>(9, market, &voucher(&chain, order, UNITS));
}

#[test]
fn replayed_lower_and_excessive_vouchers_are_refused() {
    let (mut chain, _, order) = by_unit();
    let market = chain.at.data_marketplace;
    chain.fails::<BadVoucher>(1, market, &voucher(&chain, order, 0));
    chain.fails::<BadVoucher>(1, market, &voucher(&chain, order, UNITS + 1));
    let call = voucher(&chain, order, 4);
    chain.ok(1, market, &call);
    chain.fails::<BadVoucher>(1, market, &call);
    chain.fails::<BadVoucher>(1, market, &voucher(&chain, order, 3));
    let mut overclaim = call;
    overclaim.cumulative = 5;
    chain.fails::<BadVoucher>(1, market, &overclaim);
    assert_eq!(paid(&chain, order), 4 * PRICE);
}

#[test]
fn voucher_is_the_users_for_this_order_only() {
    let (mut chain, id, order) = by_unit();
    let market = chain.at.data_marketplace;
    let second = buy(&mut chain, id, UNITS);
    let mut elsewhere = voucher(&chain, order, 1);
    elsewhere.order = second;
    chain.fails::<BadVoucher>(1, market, &elsewhere);
    let mut forged = voucher(&chain, order, 1);
    forged.userSig = chain.sign(
        1,
        "DataMarketplace",
        &UnitVoucher {
            order,
            cumulative: 1,
        },
    );
    chain.fails::<BadVoucher>(1, market, &forged);
    chain.fails::<WrongState>(1, market, &voucher(&chain, U256::from(9), 1));
}

#[test]
fn vouchers_of_a_fixed_or_period_order_are_refused() {
    let (mut chain, _, order) = vesting();
    let market = chain.at.data_marketplace;
    chain.fails::<WrongState>(1, market, &voucher(&chain, order, 1));
    let fixed = chain.listing(1, keccak256("sensor"), PRICE);
    let fixed = chain.list(1, fixed);
    let order = chain.buy(2, fixed, PRICE);
    chain.fails::<WrongState>(1, market, &voucher(&chain, order, 1));
}

#[test]
fn contract_wallet_signs_vouchers_for_what_it_says_yes_to() {
    let (mut chain, id, _) = by_unit();
    let market = chain.at.data_marketplace;
    let wallet = key("wallet").address();
    chain.approve(2, AMOUNT);
    let mut call = chain.purchase(2, id, u128::MAX);
    (call.user, call.units) = (wallet, UNITS);
    let order = chain.ok(2, market, &call).event::<Bought>().order;
    let message = UnitVoucher {
        order,
        cumulative: 4,
    };
    let hash = message.eip712_signing_hash(&chain.domain("DataMarketplace"));
    chain.put_code(wallet, wallet_code(hash));
    let mut call = claimUnitsCall {
        order,
        cumulative: 5,
        userSig: Bytes::from_static(b"any"),
    };
    chain.fails::<BadVoucher>(1, market, &call);
    call.cumulative = 4;
    chain.ok(1, market, &call);
    assert_eq!(paid(&chain, order), 4 * PRICE);
}

#[test]
fn seller_gives_up_what_no_voucher_was_brought_for() {
    let (mut chain, _, order) = by_unit();
    let market = chain.at.data_marketplace;
    chain.ok(1, market, &voucher(&chain, order, 2));
    chain.fails::<NotParty>(3, market, &cancelCall { order });
    chain.ok(1, market, &cancelCall { order });
    assert_closed(&chain, order, 2 * PRICE, AMOUNT);
    chain.fails::<WrongState>(1, market, &cancelCall { order });
}

#[test]
fn buyer_ends_units_by_notice_and_vouchers_count_till_then() {
    let (mut chain, id, order) = by_unit();
    let market = chain.at.data_marketplace;
    let event = chain
        .ok(2, market, &cancelCall { order })
        .event::<Noticed>();
    assert_eq!(event.deadline, seconds(chain.time + WINDOW));
    assert_eq!(chain.order(order).deadline, event.deadline);
    assert!(!has_access(&chain, id), "a notice ends access");
    assert_eq!(expires_at(&chain, order), Uint::ZERO);
    chain.warp(WINDOW - 1);
    chain.fails::<TooEarly>(2, market, &cancelCall { order });
    chain.ok(1, market, &voucher(&chain, order, 7));
    chain.warp(1);
    chain.ok(2, market, &cancelCall { order });
    assert_closed(&chain, order, 7 * PRICE, AMOUNT);
}

#[test]
fn anyone_ends_units_after_the_end_and_the_window() {
    let (mut chain, _, order) = by_unit();
    let market = chain.at.data_marketplace;
    chain.warp(LIFE + WINDOW);
    chain.fails::<NotParty>(9, market, &cancelCall { order });
    chain.warp(1);
    chain.ok(9, market, &cancelCall { order });
    assert_closed(&chain, order, 0, AMOUNT);
}

#[test]
fn order_by_unit_has_no_delivery_confirmation_claim_or_dispute() {
    let (mut chain, _, order) = by_unit();
    let market = chain.at.data_marketplace;
    chain.fails::<WrongState>(1, market, &deliver(order));
    chain.fails::<WrongState>(2, market, &confirmCall { order });
    chain.fails::<WrongState>(1, market, &claimCall { order });
    chain.fails::<WrongState>(2, market, &dispute(order));
    chain.fails::<WrongState>(0, market, &resolveCall { order, buyerBps: 1 });
    chain.fails::<WrongState>(9, market, &expireCall { order });
    chain.fails::<WrongState>(2, market, &renew(order, 1));
}

#[test]
fn lower_fee_between_two_payments_bounds_the_rebate() {
    let (mut chain, _, order) = by_unit();
    let market = chain.at.data_marketplace;
    chain.ok(1, market, &voucher(&chain, order, 5));
    let half_of_nothing = setParamsCall {
        feeBps: 0,
        rebateBps: 10_000,
        disputeIn: 60,
    };
    chain.ok(0, market, &half_of_nothing);
    chain.ok(1, market, &voucher(&chain, order, UNITS));
    let rate = TrustAndReputation::rateCall {
        order,
        score: 9_000,
        comment: B256::ZERO,
    };
    chain.ok(2, chain.at.trust_and_reputation, &rate);
    assert_eq!(chain.credit(chain.account(2)), 0);
}

#[test]
fn code_of_the_other_half_knows_no_order_by_itself() {
    let (mut chain, _, order) = vesting();
    let orders = Address::repeat_byte(0xde).create(20);
    assert!(chain.has_code(orders));
    chain.warp(5_000);
    chain.fails::<WrongState>(2, orders, &cancelCall { order });
    chain.fails::<WrongState>(2, orders, &claimCall { order });
    chain.fails::<WrongState>(1, orders, &deliver(order));
}

#[test]
fn closing_units_needs_gas_to_tell_trust() {
    let (mut chain, _, order) = by_unit();
    let market = chain.at.data_marketplace;
    let call = voucher(&chain, order, UNITS);
    let outcome = chain.call_with_gas(chain.account(1), market, &call, 300_000);
    assert_eq!(
        outcome.output[..4],
        <LowGas as alloy_sol_types::SolError>::SELECTOR
    );
    chain.break_code(chain.at.trust_and_reputation);
    chain.ok(1, market, &call);
    assert_closed(&chain, order, AMOUNT, AMOUNT);
}

#[test]
fn relayed_intent_buys_units_for_another_user() {
    let (mut chain, id, _) = by_unit();
    let market = chain.at.data_marketplace;
    chain.approve(2, AMOUNT);
    let message = eip712::BuyIntent {
        listing: id,
        units: 2,
        buyer: chain.account(2),
        user: chain.account(3),
        maxAmount: 2 * PRICE,
        purpose: B256::ZERO,
        deadline: chain.deadline(),
        number: 1,
    };
    let i = IDataMarketplace::BuyIntent {
        listing: id,
        units: 2,
        buyer: message.buyer,
        user: message.user,
        maxAmount: message.maxAmount,
        purpose: B256::ZERO,
        deadline: message.deadline,
        number: 1,
    };
    let call = buyForCall {
        i,
        buyerSig: chain.sign(2, "DataMarketplace", &message),
    };
    let order = chain.ok(9, market, &call).event::<Bought>().order;
    chain.fails::<BadVoucher>(1, market, &voucher(&chain, order, 1));
    let cumulative = 1;
    let call = claimUnitsCall {
        order,
        cumulative,
        userSig: chain.sign(3, "DataMarketplace", &UnitVoucher { order, cumulative }),
    };
    chain.ok(1, market, &call);
}

/// How a voucher is made wrong.
#[derive(Clone, Debug)]
enum Forgery {
    OtherChain(u64),
    OtherContract([u8; 20]),
    OtherOrder(u64),
    OtherSigner(u8),
    OtherCount(u64),
    FlippedBit(usize),
    Truncated(usize),
}

fn forgery() -> impl Strategy<Value = Forgery> {
    prop_oneof![
        any::<u64>()
            .prop_filter("another chain", |id| *id != CHAIN_ID)
            .prop_map(Forgery::OtherChain),
        any::<[u8; 20]>().prop_map(Forgery::OtherContract),
        (2_u64..).prop_map(Forgery::OtherOrder),
        any::<u8>().prop_map(Forgery::OtherSigner),
        any::<u64>()
            .prop_filter("another count", |count| *count != 5)
            .prop_map(Forgery::OtherCount),
        (0_usize..520).prop_map(Forgery::FlippedBit),
        (0_usize..65).prop_map(Forgery::Truncated),
    ]
}

/// A voucher for five units of order 1 whose signature is another one's.
fn forged(chain: &Chain, forgery: &Forgery) -> claimUnitsCall {
    let order = U256::ONE;
    let mut domain = chain.domain("DataMarketplace");
    let mut message = UnitVoucher {
        order,
        cumulative: 5,
    };
    let mut signer = chain.key(2).clone();
    match forgery {
        Forgery::OtherChain(id) => domain.chain_id = Some(U256::from(*id)),
        Forgery::OtherContract(address) => domain.verifying_contract = Some(address.into()),
        Forgery::OtherOrder(other) => message.order = U256::from(*other),
        Forgery::OtherSigner(seed) => signer = key(&format!("somebody {seed}")),
        Forgery::OtherCount(count) => message.cumulative = *count,
        Forgery::FlippedBit(_) | Forgery::Truncated(_) => {}
    }
    let mut bytes = sign(&signer, &domain, &message).to_vec();
    match forgery {
        Forgery::FlippedBit(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
        Forgery::Truncated(length) => bytes.truncate(*length),
        _ => {}
    }
    claimUnitsCall {
        order,
        cumulative: 5,
        userSig: bytes.into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn forged_vouchers_are_refused(forgeries in proptest::collection::vec(forgery(), 8)) {
        let (mut chain, _, order) = by_unit();
        let market = chain.at.data_marketplace;
        for forgery in &forgeries {
            let call = forged(&chain, forgery);
            prop_assert!(!chain.call(chain.account(1), market, &call).success, "{:?}", forgery);
        }
        chain.ok(1, market, &voucher(&chain, order, 5));
    }

    #[test]
    fn vesting_pays_each_second_once(
        price in 1_u128..u128::from(u64::MAX),
        period in 1_u32..100_000,
        units in 1_u64..50,
        steps in proptest::collection::vec((0_u64..200_000, any::<bool>()), 1..12),
    ) {
        let mut chain = Chain::new();
        let sensor = chain.register(1, "sensor");
        let mut listing = chain.listing(1, sensor, price);
        (listing.price, listing.unit, listing.confirmIn) = (BY_PERIOD, period, 60);
        let id = chain.list(1, listing);
        chain.approve(2, u128::MAX);
        let mut call = chain.purchase(2, id, u128::MAX);
        call.units = units;
        let market = chain.at.data_marketplace;
        let order = chain.ok(2, market, &call).event::<Bought>().order;
        chain.ok(1, market, &deliver(order));
        let (start, mut all) = (chain.time, units);
        for (seconds, renews) in steps {
            chain.warp(seconds);
            if renews {
                let call = renewCall { order, periods: 1, maxAmount: u128::MAX };
                all += u64::from(chain.call(chain.account(2), market, &call).success);
            }
            chain.call(chain.account(9), market, &claimCall { order });
            let lasted = u64::from(period) * all;
            let vested = (chain.time - start).saturating_sub(60).min(lasted);
            let expected = price * u128::from(all) * u128::from(vested) / u128::from(lasted);
            prop_assert_eq!(paid(&chain, order), expected);
        }
        chain.warp(100_000_000);
        chain.call(chain.account(9), market, &claimCall { order });
        assert_closed(&chain, order, price * u128::from(all), price * u128::from(all));
    }
}
