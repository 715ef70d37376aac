//! DataMarketplace: Free and Fixed orders from offer to payment, and every way they end.

use crate::harness::{Chain, GENESIS_TIME, TOKEN, key, org, seconds};
use alloy_primitives::{Address, B256, U256, Uint, keccak256};
use alloy_sol_types::SolCall;
use medina_contracts::{
    access_manager::AccessManager,
    data_marketplace::{DataMarketplace::*, IDataMarketplace},
    eip712,
    identity::Identity,
    medina_token::MedinaToken,
    sensor_registry::SensorRegistry,
    values::{OrderState, access_roles},
};

const PRICE: u128 = 5 * TOKEN;
/// One per cent.
const FEE: u128 = PRICE / 100;

/// Seller 1 offers a sensor's stream at a fixed price; returns chain, resource and listing.
fn offered() -> (Chain, B256, u64) {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let listing = chain.listing(1, sensor, PRICE);
    let id = chain.list(1, listing);
    (chain, sensor, id)
}

/// Makes a good listing a bad one.
type Spoil = Box<dyn Fn(&mut IDataMarketplace::Listing)>;

fn bought() -> (Chain, u64, U256) {
    let (mut chain, _, id) = offered();
    let order = chain.buy(2, id, PRICE);
    (chain, id, order)
}

fn delivered() -> (Chain, u64, U256) {
    let (mut chain, id, order) = bought();
    chain.ok(1, chain.at.data_marketplace, &deliver(order));
    (chain, id, order)
}

fn disputed() -> (Chain, u64, U256) {
    let (mut chain, id, order) = delivered();
    chain.ok(
        2,
        chain.at.data_marketplace,
        &disputeCall {
            order,
            evidence: B256::ZERO,
        },
    );
    (chain, id, order)
}

fn deliver(order: U256) -> deliverCall {
    deliverCall {
        order,
        proof: keccak256("proof"),
    }
}

fn has_access(chain: &Chain, listing: u64, account: usize) -> bool {
    chain.view(
        chain.at.data_marketplace,
        &hasAccessCall {
            listing,
            user: chain.account(account),
        },
    )
}

fn state(chain: &Chain, order: U256) -> OrderState {
    chain.order(order).state.try_into().unwrap()
}

/// token balance = open escrow + credits + pool, with all credits being those of the ten accounts.
fn assert_books_balance(chain: &Chain, open: u128, pool: u128) {
    let credits: u128 = (0..10)
        .map(|index| chain.credit(chain.account(index)))
        .sum();
    assert_eq!(
        chain.balance(chain.at.data_marketplace),
        open + credits + pool
    );
}

#[test]
fn listing_needs_a_manager_of_the_seller() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let listing = chain.listing(1, sensor, PRICE);
    chain.fails::<NotOwner>(2, chain.at.data_marketplace, &listCall { l: listing });
}

#[test]
fn listing_needs_the_sellers_own_live_resource() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let market = chain.at.data_marketplace;
    let foreign = chain.listing(2, sensor, PRICE);
    chain.fails::<NotOwner>(2, market, &listCall { l: foreign });
    let own = chain.listing(1, sensor, PRICE);
    chain.ok(
        1,
        chain.at.sensor_registry,
        &SensorRegistry::setStatusCall {
            id: sensor,
            status: 2,
        },
    );
    chain.fails::<NotLive>(1, market, &listCall { l: own });
}

#[test]
fn listing_refuses_terms_outside_the_rules() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let good = chain.listing(1, sensor, PRICE);
    let cases: [(&str, Spoil); 11] = [
        ("units without an end", Box::new(|l| l.price = 2)),
        ("periods without a length", Box::new(|l| l.price = 3)),
        ("fixed without a price", Box::new(|l| l.unitPrice = 0)),
        ("free with a price", Box::new(|l| l.price = 0)),
        ("nobody to pay", Box::new(|l| l.payee = Address::ZERO)),
        ("no subject", Box::new(|l| l.subject = B256::ZERO)),
        (
            "reputation above 100",
            Box::new(|l| l.minReputation = 10_001),
        ),
        (
            "delivery after 30 days",
            Box::new(|l| l.deliverIn = 30 * 86_400 + 1),
        ),
        ("window below a minute", Box::new(|l| l.confirmIn = 59)),
        (
            "window above 30 days",
            Box::new(|l| l.confirmIn = 30 * 86_400 + 1),
        ),
        (
            "free with a judge",
            Box::new(|l| {
                (l.price, l.unitPrice, l.judge) = (0, 0, Address::repeat_byte(1));
            }),
        ),
    ];
    for (what, spoil) in cases {
        let mut listing = good.clone();
        spoil(&mut listing);
        let outcome = chain.call(
            chain.account(1),
            chain.at.data_marketplace,
            &listCall { l: listing },
        );
        assert!(!outcome.success, "{what}");
        assert_eq!(
            outcome.output[..4],
            <BadListing as alloy_sol_types::SolError>::SELECTOR,
            "{what}"
        );
    }
    let mut judged = good;
    judged.judge = Address::repeat_byte(1);
    chain.fails::<NotJudge>(1, chain.at.data_marketplace, &listCall { l: judged });
}

#[test]
fn listing_is_numbered_kept_and_announced() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let mut listing = chain.listing(1, sensor, PRICE);
    listing.org = B256::ZERO;
    let outcome = chain.ok(
        1,
        chain.at.data_marketplace,
        &listCall { l: listing.clone() },
    );
    assert_eq!(listCall::abi_decode_returns(&outcome.output).unwrap(), 1);
    let event = outcome.event::<Listed>();
    assert_eq!((event.id, event.org, event.subject), (1, org(1), sensor));
    assert_eq!((event.unitPrice, event.topic), (PRICE, listing.topic));
    listing.org = org(1);
    listing.status = 1;
    assert_eq!(
        chain.view(chain.at.data_marketplace, &getListingCall { id: 1 }),
        listing
    );
}

#[test]
fn price_changes_only_by_the_seller_and_not_to_nothing() {
    let (mut chain, _, id) = offered();
    let market = chain.at.data_marketplace;
    chain.fails::<NotOwner>(2, market, &setPriceCall { id, unitPrice: 1 });
    chain.fails::<BadListing>(1, market, &setPriceCall { id, unitPrice: 0 });
    chain.fails::<NotLive>(
        1,
        market,
        &setPriceCall {
            id: 9,
            unitPrice: 1,
        },
    );
    chain.ok(1, market, &setPriceCall { id, unitPrice: 7 });
    assert_eq!(chain.view(market, &quoteCall { id, units: 3 }), 21);
}

#[test]
fn quote_beyond_money_is_too_dear() {
    let (mut chain, _, id) = offered();
    let market = chain.at.data_marketplace;
    chain.ok(
        1,
        market,
        &setPriceCall {
            id,
            unitPrice: u128::MAX,
        },
    );
    chain.fails::<TooDear>(2, market, &quoteCall { id, units: 2 });
}

#[test]
fn listing_status_is_the_sellers_and_flags_are_the_moderators() {
    let (mut chain, _, id) = offered();
    let market = chain.at.data_marketplace;
    let set = |status| setListingCall {
        id,
        status,
        meta: B256::ZERO,
        policy: B256::ZERO,
    };
    chain.fails::<NotOwner>(2, market, &set(2));
    chain.fails::<NotOwner>(1, market, &set(129));
    chain.fails::<BadListing>(1, market, &set(0));
    chain.fails::<BadListing>(1, market, &set(4));
    chain.ok(0, market, &set(129));
    chain.approve(2, PRICE);
    chain.fails::<NotLive>(2, market, &chain.purchase(2, id, PRICE));
    chain.fails::<NotOwner>(1, market, &set(1));
    let event = chain.ok(1, market, &set(2)).event::<ListingSet>();
    assert_eq!(event.status, 130, "the flag stays");
    chain.ok(0, market, &set(2));
    chain.ok(1, market, &set(3));
    chain.fails::<NotLive>(1, market, &set(1));
}

#[test]
fn buying_is_refused_to_strangers_own_and_dead_offers() {
    let (mut chain, sensor, id) = offered();
    let market = chain.at.data_marketplace;
    let stranger = key("stranger").address();
    chain.fails_from::<NotParty>(stranger, market, &chain.purchase(2, id, PRICE));
    chain.fails::<OwnListing>(1, market, &chain.purchase(1, id, PRICE));
    chain.fails::<NotLive>(2, market, &chain.purchase(2, 9, PRICE));
    chain.fails::<TooDear>(2, market, &chain.purchase(2, id, PRICE - 1));
    let mut nothing = chain.purchase(2, id, PRICE);
    nothing.units = 0;
    chain.fails::<OutOfRange>(2, market, &nothing);
    let mut nobody = chain.purchase(2, id, PRICE);
    nobody.user = Address::ZERO;
    chain.fails::<OutOfRange>(2, market, &nobody);
    chain.fails::<ERC20InsufficientAllowance>(2, market, &chain.purchase(2, id, PRICE));
    chain.ok(
        1,
        chain.at.sensor_registry,
        &SensorRegistry::setStatusCall {
            id: sensor,
            status: 2,
        },
    );
    chain.fails::<NotLive>(2, market, &chain.purchase(2, id, PRICE));
}

// The token's error passes through the market.
use MedinaToken::ERC20InsufficientAllowance;

#[test]
fn buying_a_resource_that_moved_away_is_refused() {
    let (mut chain, sensor, id) = offered();
    let registry = chain.at.sensor_registry;
    chain.ok(
        1,
        registry,
        &SensorRegistry::transferCall {
            id: sensor,
            toOrg: org(3),
        },
    );
    chain.ok(3, registry, &SensorRegistry::acceptCall { id: sensor });
    chain.fails::<NotOwner>(2, chain.at.data_marketplace, &chain.purchase(2, id, PRICE));
}

#[test]
fn audience_reputation_and_consent_are_asked_for() {
    let (mut chain, sensor, _) = offered();
    let market = chain.at.data_marketplace;
    let mut closed = chain.listing(1, sensor, PRICE);
    closed.audience = org(3);
    let closed = chain.list(1, closed);
    chain.fails::<NotAudience>(2, market, &chain.purchase(2, closed, PRICE));
    chain.buy(3, closed, PRICE);

    let mut demanding = chain.listing(1, sensor, PRICE);
    demanding.minReputation = 5_001;
    let demanding = chain.list(1, demanding);
    chain.fails::<LowReputation>(2, market, &chain.purchase(2, demanding, PRICE));

    let mut personal = chain.listing(1, sensor, PRICE);
    personal.consentScope = keccak256("patient");
    let personal = chain.list(1, personal);
    chain.fails::<NoConsent>(2, market, &chain.purchase(2, personal, PRICE));
}

#[test]
fn audience_of_a_federation_needs_both_in_it() {
    let (mut chain, sensor, _) = offered();
    let fed = chain.federate(1, &[2], "fed");
    let mut listing = chain.listing(1, sensor, PRICE);
    listing.audience = fed;
    let id = chain.list(1, listing);
    chain.fails::<NotAudience>(3, chain.at.data_marketplace, &chain.purchase(3, id, PRICE));
    chain.buy(2, id, PRICE);
}

#[test]
fn purchase_moves_the_amount_to_escrow_and_opens_access() {
    let (mut chain, _, id) = offered();
    let before = chain.balance(chain.account(2));
    chain.approve(2, PRICE);
    let outcome = chain.ok(2, chain.at.data_marketplace, &chain.purchase(2, id, PRICE));
    let event = outcome.event::<Bought>();
    assert_eq!(
        (event.listing, event.user, event.buyer),
        (id, chain.account(2), chain.account(2))
    );
    assert_eq!(
        (event.units, event.amount, event.end),
        (1, PRICE, Uint::ZERO)
    );
    assert_eq!(chain.balance(chain.account(2)), before - PRICE);
    assert_eq!(chain.balance(chain.at.data_marketplace), PRICE);
    let order = chain.order(event.order);
    assert_eq!(
        (order.amount, order.paid, order.purpose),
        (PRICE, 0, keccak256("research"))
    );
    assert_eq!(order.deadline, seconds(GENESIS_TIME + 3_600));
    assert_eq!(state(&chain, event.order), OrderState::Funded);
    assert!(has_access(&chain, id, 2));
    assert!(!has_access(&chain, id, 3));
}

#[test]
fn permit_pays_without_an_allowance_and_a_used_one_does_not_hurt() {
    let (mut chain, _, id) = offered();
    let market = chain.at.data_marketplace;
    let deadline = U256::from(chain.time + 60);
    let message = eip712::Permit {
        owner: chain.account(2),
        spender: market,
        value: U256::from(PRICE),
        nonce: U256::ZERO,
        deadline,
    };
    let signature = chain.sign(2, "MedinaToken", &message);
    let (r, s) = (
        B256::from_slice(&signature[..32]),
        B256::from_slice(&signature[32..64]),
    );
    let call = buyWithPermitCall {
        id,
        units: 1,
        user: chain.account(2),
        maxAmount: PRICE,
        purpose: B256::ZERO,
        deadline,
        v: signature[64],
        r,
        s,
    };
    let mut front_run = chain.clone();
    chain.ok(2, market, &call);
    assert_eq!(chain.balance(market), PRICE);
    chain.fails::<ERC20InsufficientAllowance>(2, market, &call);

    let permit = MedinaToken::permitCall {
        owner: front_run.account(2),
        spender: market,
        value: U256::from(PRICE),
        deadline,
        v: signature[64],
        r,
        s,
    };
    front_run.ok(9, front_run.at.medina_token, &permit);
    front_run.ok(2, market, &call);
}

#[test]
fn relayed_purchase_is_the_buyers_and_works_once() {
    let (mut chain, _, id) = offered();
    let market = chain.at.data_marketplace;
    chain.approve(2, 2 * PRICE);
    let intent = eip712::BuyIntent {
        listing: id,
        units: 1,
        buyer: chain.account(2),
        user: chain.account(2),
        maxAmount: PRICE,
        purpose: B256::ZERO,
        deadline: chain.deadline(),
        number: 300,
    };
    let call = |chain: &Chain, signer: usize| buyForCall {
        i: IDataMarketplace::BuyIntent {
            listing: intent.listing,
            units: intent.units,
            buyer: intent.buyer,
            user: intent.user,
            maxAmount: intent.maxAmount,
            purpose: intent.purpose,
            deadline: intent.deadline,
            number: intent.number,
        },
        buyerSig: chain.sign(signer, "DataMarketplace", &intent),
    };
    chain.fails::<BadVoucher>(5, market, &call(&chain, 3));
    let event = chain.ok(5, market, &call(&chain, 2)).event::<Bought>();
    assert_eq!(event.buyer, chain.account(2));
    chain.fails::<BadVoucher>(5, market, &call(&chain, 2));
    chain.warp(3_601);
    chain.fails::<TooLate>(5, market, &call(&chain, 2));
}

#[test]
fn free_order_is_complete_at_once() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let id = chain.list(1, chain.listing(1, sensor, 0));
    let order = chain.buy(2, id, 0);
    assert_eq!(state(&chain, order), OrderState::Completed);
    assert!(has_access(&chain, id, 2));
    assert_eq!(chain.balance(chain.at.data_marketplace), 0);
}

#[test]
fn delivery_is_the_sellers_in_time() {
    let (mut chain, _, order) = bought();
    let market = chain.at.data_marketplace;
    chain.fails::<NotParty>(2, market, &deliver(order));
    chain.fails::<WrongState>(1, market, &deliver(U256::from(9)));
    let mut late = chain.clone();
    late.warp(3_601);
    late.fails::<TooLate>(1, market, &deliver(order));
    let mut by_device = chain.clone();
    assert!(
        by_device
            .call(key("sensor").address(), market, &deliver(order))
            .success
    );
    chain.ok(1, market, &deliver(order)).event::<Delivered>();
    assert_eq!(chain.order(order).deadline, seconds(GENESIS_TIME + 7_200));
    chain.fails::<WrongState>(1, market, &deliver(order));
}

#[test]
fn confirmation_pays_the_seller_less_the_fee() {
    let (mut chain, id, order) = delivered();
    let market = chain.at.data_marketplace;
    chain.fails::<NotParty>(1, market, &confirmCall { order });
    let outcome = chain.ok(2, market, &confirmCall { order });
    let event = outcome.event::<Paid>();
    assert_eq!(
        (event.to, event.amount, event.fee),
        (chain.account(1), PRICE, FEE)
    );
    assert_eq!(state(&chain, order), OrderState::Completed);
    assert_eq!(chain.order(order).paid, PRICE);
    assert_eq!(chain.credit(chain.account(1)), PRICE - FEE);
    assert!(has_access(&chain, id, 2));
    assert_books_balance(&chain, 0, FEE);
    chain.fails::<WrongState>(2, market, &confirmCall { order });
}

#[test]
fn undelivered_order_cannot_be_confirmed_or_claimed() {
    let (mut chain, _, order) = bought();
    chain.fails::<WrongState>(2, chain.at.data_marketplace, &confirmCall { order });
    chain.fails::<WrongState>(1, chain.at.data_marketplace, &claimCall { order });
}

#[test]
fn anyone_claims_for_the_seller_after_the_window() {
    let (mut chain, _, order) = delivered();
    let market = chain.at.data_marketplace;
    chain.warp(7_200);
    chain.fails::<TooEarly>(9, market, &claimCall { order });
    chain.warp(1);
    chain.ok(9, market, &claimCall { order });
    assert_eq!(chain.credit(chain.account(1)), PRICE - FEE);
}

#[test]
fn undelivered_order_is_refunded_in_full_and_access_ends() {
    let (mut chain, id, order) = bought();
    let market = chain.at.data_marketplace;
    chain.warp(3_600);
    chain.fails::<TooEarly>(2, market, &cancelCall { order });
    chain.warp(1);
    let outcome = chain.ok(9, market, &cancelCall { order });
    assert_eq!(outcome.event::<Refunded>().amount, PRICE);
    assert_eq!(state(&chain, order), OrderState::Refunded);
    assert_eq!(chain.credit(chain.account(2)), PRICE);
    assert!(!has_access(&chain, id, 2));
    assert_eq!(chain.view(market, &expiresAtCall { order }), Uint::ZERO);
    assert_books_balance(&chain, 0, 0);
    chain.fails::<WrongState>(2, market, &cancelCall { order });
}

#[test]
fn delivered_order_cannot_be_cancelled() {
    let (mut chain, _, order) = delivered();
    chain.warp(1_000_000);
    chain.fails::<WrongState>(2, chain.at.data_marketplace, &cancelCall { order });
}

#[test]
fn dispute_is_the_buyers_inside_the_window() {
    let (mut chain, id, order) = delivered();
    let market = chain.at.data_marketplace;
    let dispute = disputeCall {
        order,
        evidence: keccak256("evidence"),
    };
    chain.fails::<NotParty>(1, market, &dispute);
    let mut late = chain.clone();
    late.warp(7_201);
    late.fails::<TooLate>(2, market, &dispute);
    chain.ok(2, market, &dispute).event::<Disputed>();
    assert!(!has_access(&chain, id, 2));
    chain.fails::<WrongState>(2, market, &confirmCall { order });
    chain.fails::<WrongState>(2, market, &dispute);
}

#[test]
fn arbiter_divides_and_nobody_else() {
    let (mut chain, _, order) = disputed();
    let market = chain.at.data_marketplace;
    chain.fails::<NotJudge>(1, market, &resolveCall { order, buyerBps: 0 });
    chain.fails::<OutOfRange>(
        0,
        market,
        &resolveCall {
            order,
            buyerBps: 10_001,
        },
    );
    let outcome = chain.ok(
        0,
        market,
        &resolveCall {
            order,
            buyerBps: 2_500,
        },
    );
    assert_eq!(outcome.event::<Resolved>().buyerBps, 2_500);
    let (refund, paid) = (PRICE / 4, PRICE - PRICE / 4);
    assert_eq!(outcome.event::<Refunded>().amount, refund);
    assert_eq!(chain.credit(chain.account(2)), refund);
    assert_eq!(chain.credit(chain.account(1)), paid - paid / 100);
    assert_eq!(chain.order(order).paid + refund, PRICE);
    assert_books_balance(&chain, 0, paid / 100);
    chain.fails::<WrongState>(0, market, &resolveCall { order, buyerBps: 0 });
}

#[test]
fn dispute_for_the_buyer_refunds_all() {
    let (mut chain, _, order) = disputed();
    chain.ok(
        0,
        chain.at.data_marketplace,
        &resolveCall {
            order,
            buyerBps: 10_000,
        },
    );
    assert_eq!(state(&chain, order), OrderState::Refunded);
    assert_eq!(chain.credit(chain.account(2)), PRICE);
}

#[test]
fn undisputed_order_cannot_be_resolved() {
    let (mut chain, _, order) = delivered();
    chain.fails::<WrongState>(
        0,
        chain.at.data_marketplace,
        &resolveCall { order, buyerBps: 0 },
    );
}

#[test]
fn unanswered_dispute_ends_by_half_or_without_proof_for_the_buyer() {
    let (mut chain, _, order) = disputed();
    let market = chain.at.data_marketplace;
    chain.warp(7 * 86_400);
    chain.fails::<TooEarly>(9, market, &expireCall { order });
    chain.warp(1);
    chain.ok(9, market, &expireCall { order });
    assert_eq!(chain.credit(chain.account(2)), PRICE / 2);
    chain.fails::<WrongState>(9, market, &expireCall { order });

    let (mut chain, _, order) = bought();
    chain.ok(
        1,
        market,
        &deliverCall {
            order,
            proof: B256::ZERO,
        },
    );
    chain.ok(
        2,
        market,
        &disputeCall {
            order,
            evidence: B256::ZERO,
        },
    );
    chain.warp(7 * 86_400 + 1);
    chain.ok(9, market, &expireCall { order });
    assert_eq!(chain.credit(chain.account(2)), PRICE);
}

#[test]
fn credits_are_withdrawn_once() {
    let (mut chain, _, order) = delivered();
    let market = chain.at.data_marketplace;
    chain.ok(2, market, &confirmCall { order });
    let seller = chain.account(1);
    let before = chain.balance(seller);
    let outcome = chain.ok(1, market, &withdrawCall { to: seller });
    assert_eq!(
        withdrawCall::abi_decode_returns(&outcome.output).unwrap(),
        PRICE - FEE
    );
    chain.ok(1, market, &withdrawCall { to: seller });
    chain.ok(9, market, &withdrawForCall { owner: seller });
    assert_eq!(chain.balance(seller), before + PRICE - FEE);
    assert_books_balance(&chain, 0, FEE);
}

#[test]
fn anyone_may_push_a_credit_to_its_owner_only() {
    let (mut chain, _, order) = delivered();
    let market = chain.at.data_marketplace;
    chain.ok(2, market, &confirmCall { order });
    let seller = chain.account(1);
    let before = (chain.balance(seller), chain.balance(chain.account(9)));
    chain.ok(9, market, &withdrawForCall { owner: seller });
    let after = (chain.balance(seller), chain.balance(chain.account(9)));
    assert_eq!(after, (before.0 + PRICE - FEE, before.1));
}

#[test]
fn access_ends_with_its_time() {
    let (mut chain, sensor, _) = offered();
    let market = chain.at.data_marketplace;
    let mut listing = chain.listing(1, sensor, PRICE);
    listing.unit = 100;
    let id = chain.list(1, listing);
    let order = chain.buy(2, id, PRICE);
    assert_eq!(
        chain.view(market, &expiresAtCall { order }),
        seconds(GENESIS_TIME + 100)
    );
    chain.warp(99);
    assert!(has_access(&chain, id, 2));
    chain.warp(1);
    assert!(!has_access(&chain, id, 2));
}

#[test]
fn strangers_purchase_replaces_no_live_order() {
    let (mut chain, id, mine) = bought();
    let market = chain.at.data_marketplace;
    chain.approve(3, PRICE);
    let mut gift = chain.purchase(3, id, PRICE);
    gift.user = chain.account(2);
    let outcome = chain.ok(3, market, &gift);
    let given = outcome.event::<Bought>().order;
    chain.warp(3_601);
    chain.ok(9, market, &cancelCall { order: mine });
    assert!(!has_access(&chain, id, 2), "the own order was in use");
    chain.fails::<NotParty>(3, market, &useOrderCall { order: given });
    chain.ok(2, market, &useOrderCall { order: given });
    assert!(has_access(&chain, id, 2));
}

#[test]
fn only_trust_reports_ratings() {
    let (mut chain, _, order) = bought();
    chain.fails::<OnlyModule>(2, chain.at.data_marketplace, &onRatedCall { order });
}

#[test]
fn parameters_judges_and_fees_are_the_governors() {
    let (mut chain, _, order) = delivered();
    let at = chain.at.data_marketplace;
    chain.ok(2, at, &confirmCall { order });
    let set = |fee, rebate, window| setParamsCall {
        feeBps: fee,
        rebateBps: rebate,
        disputeIn: window,
    };
    chain.fails::<AccessManagedUnauthorized>(1, at, &set(0, 0, 60));
    chain.fails::<AccessManagedUnauthorized>(1, at, &collectFeesCall { amount: 1 });
    let judge = setJudgeCall {
        judge: chain.account(1),
        allowed: true,
    };
    chain.fails::<AccessManagedUnauthorized>(1, at, &judge);
    for wrong in [
        set(501, 0, 60),
        set(0, 10_001, 60),
        set(0, 0, 59),
        set(0, 0, 30 * 86_400 + 1),
    ] {
        chain.fails::<OutOfRange>(0, at, &wrong);
    }
    chain.fails::<OutOfRange>(0, at, &collectFeesCall { amount: FEE + 1 });
    let before = chain.balance(chain.account(0));
    chain.ok(0, at, &collectFeesCall { amount: FEE });
    assert_eq!(chain.balance(chain.account(0)), before + FEE);
    chain.ok(0, at, &set(0, 0, 60));
    chain.ok(0, at, &judge);
}

#[test]
fn judge_alone_delivers_and_resolves() {
    let (mut chain, sensor, _) = offered();
    let at = chain.at.data_marketplace;
    let judge = chain.account(7);
    chain.ok(
        0,
        at,
        &setJudgeCall {
            judge,
            allowed: true,
        },
    );
    let mut listing = chain.listing(1, sensor, PRICE);
    listing.judge = judge;
    let id = chain.list(1, listing);
    let order = chain.buy(2, id, PRICE);
    chain.fails::<NotParty>(1, at, &deliver(order));
    chain.ok(7, at, &deliver(order));
    chain.fails::<NotJudge>(
        2,
        at,
        &disputeCall {
            order,
            evidence: B256::ZERO,
        },
    );
    chain.fails::<NotJudge>(
        0,
        at,
        &resolveCall {
            order,
            buyerBps: 10_000,
        },
    );
    chain.ok(
        7,
        at,
        &resolveCall {
            order,
            buyerBps: 10_000,
        },
    );
    assert_eq!(chain.credit(chain.account(2)), PRICE);
}

#[test]
fn guardian_stops_new_business_but_no_exit() {
    let (mut chain, id, order) = delivered();
    let at = chain.at.data_marketplace;
    use medina_contracts::gatekeeper::Gatekeeper;
    let close = Gatekeeper::closeCall { target: at };
    chain.fails::<AccessManagedUnauthorized>(1, chain.at.gatekeeper, &close);
    chain.ok(0, chain.at.gatekeeper, &close);
    chain.approve(2, PRICE);
    chain.fails::<AccessManagedUnauthorized>(2, at, &chain.purchase(2, id, PRICE));
    chain.ok(2, at, &confirmCall { order });
    chain.ok(
        1,
        at,
        &withdrawCall {
            to: chain.account(1),
        },
    );
    let open = AccessManager::setTargetClosedCall {
        target: at,
        closed: false,
    };
    chain.ok(0, chain.at.access_manager, &open);
    chain.ok(2, at, &chain.purchase(2, id, PRICE));
}

#[test]
fn suspended_buyer_cannot_buy() {
    let (mut chain, _, id) = offered();
    let suspend = Identity::setStatusCall {
        userId: crate::harness::user(2),
        s: 2,
        reason: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &suspend);
    chain.fails::<NotParty>(2, chain.at.data_marketplace, &chain.purchase(2, id, PRICE));
}

#[test]
fn closing_without_gas_for_trust_is_refused_and_broken_trust_stops_nothing() {
    let (mut chain, _, order) = delivered();
    let at = chain.at.data_marketplace;
    let outcome = chain.call_with_gas(chain.account(2), at, &confirmCall { order }, 300_000);
    assert_eq!(
        outcome.output[..4],
        <LowGas as alloy_sol_types::SolError>::SELECTOR
    );
    chain.break_code(chain.at.trust_and_reputation);
    chain.ok(2, at, &confirmCall { order });
    assert_eq!(chain.credit(chain.account(1)), PRICE - FEE);
}

#[test]
fn role_numbers_are_those_of_the_contracts() {
    let chain = Chain::new();
    for role in [
        access_roles::GOVERNOR,
        access_roles::ARBITER,
        access_roles::CERTIFIER,
    ] {
        let call = AccessManager::hasRoleCall {
            roleId: role,
            account: chain.account(0),
        };
        assert!(chain.view(chain.at.access_manager, &call).isMember);
    }
}
