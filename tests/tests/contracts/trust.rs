//! TrustAndReputation: ratings, coverage, reputation and adaptive trust, through the other contracts.

use crate::harness::{Chain, GENESIS_TIME, TOKEN, key, org, seconds};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;
use medina_contracts::{
    data_anchor::{DataAnchor::anchorCall, IDataAnchor::Batch},
    data_marketplace::DataMarketplace::{cancelCall, disputeCall, resolveCall},
    trust_and_reputation::TrustAndReputation::*,
};

const PRICE: u128 = 5 * TOKEN;
/// min(10, ⌊log2(5 / 0.01)⌋) = 8, reputation unknown: 8 · 5000 · 10.
const WEIGHT: u64 = 400_000;

fn trust(chain: &Chain, id: B256) -> (u16, u16, bool) {
    let found = chain.view(chain.at.trust_and_reputation, &resourceTrustCall { id });
    (found.value, found.confidence, found.known)
}

fn reputation(chain: &Chain, org: B256) -> (u16, u16, bool) {
    let found = chain.view(
        chain.at.trust_and_reputation,
        &platformReputationCall { org },
    );
    (found.value, found.confidence, found.known)
}

/// Sensor "sensor" of organisation 1, its listing, and an order of organisation 2, complete.
fn completed() -> (Chain, B256, u64, U256) {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let id = chain.list(1, chain.listing(1, sensor, PRICE));
    let order = chain.complete(1, 2, id, PRICE);
    (chain, sensor, id, order)
}

fn rate(order: U256, score: u16) -> rateCall {
    rateCall {
        order,
        score,
        comment: keccak256("comment"),
    }
}

/// The device anchors readings of the first 600 s, one a minute.
fn anchor(chain: &mut Chain, source: B256, from: u64, to: u64) {
    let count = u32::try_from((to - from) / 60).unwrap().max(1);
    let b = Batch {
        root: keccak256("root"),
        from: seconds(from),
        to: seconds(to),
        count,
    };
    let call = anchorCall {
        source,
        b,
        sig: Bytes::new(),
    };
    let device = key("sensor").address();
    assert!(chain.call(device, chain.at.data_anchor, &call).success);
}

#[test]
fn rating_is_the_buyers_once_after_the_end() {
    let (mut chain, _, id, order) = completed();
    let at = chain.at.trust_and_reputation;
    chain.fails::<NotBuyer>(3, at, &rate(order, 10_000));
    chain.fails::<NotBuyer>(2, at, &rate(U256::from(99), 10_000));
    chain.fails::<OutOfRange>(2, at, &rate(order, 10_001));
    let open = chain.buy(2, id, PRICE);
    chain.fails::<NotClosed>(2, at, &rate(open, 10_000));
    chain.ok(2, at, &rate(order, 10_000));
    chain.fails::<AlreadyRated>(2, at, &rate(order, 0));
}

#[test]
fn rating_counts_by_payment_for_resource_and_organisation() {
    let (mut chain, sensor, _, order) = completed();
    let event = chain
        .ok(2, chain.at.trust_and_reputation, &rate(order, 10_000))
        .event::<Rated>();
    assert_eq!(
        (event.resource, event.org, event.score),
        (sensor, org(1), 10_000)
    );
    assert_eq!(event.weight, WEIGHT);
    // (0.4 + 0.5 · 4) / 4.4 and 0.4 / 4.4.
    assert_eq!(reputation(&chain, org(1)), (5_455, 909, true));
    assert_eq!(trust(&chain, sensor), (0, 909, false));
    assert_eq!(reputation(&chain, org(2)), (5_000, 0, false));
}

#[test]
fn rating_buyer_gets_his_part_of_the_fee() {
    let (mut chain, _, _, order) = completed();
    let before = chain.credit(chain.account(2));
    chain.ok(2, chain.at.trust_and_reputation, &rate(order, 5_000));
    // 1 % fee, a tenth of it back.
    assert_eq!(chain.credit(chain.account(2)), before + PRICE / 1_000);
}

#[test]
fn repetition_of_a_pair_weighs_half_each_time_until_the_half_life_is_over() {
    let (mut chain, _, id, first) = completed();
    let at = chain.at.trust_and_reputation;
    let second = chain.complete(1, 2, id, PRICE);
    let third = chain.complete(1, 3, id, PRICE);
    let fourth = chain.complete(1, 2, id, PRICE);
    let weight = |chain: &mut Chain, buyer, order| {
        chain
            .ok(buyer, at, &rate(order, 10_000))
            .event::<Rated>()
            .weight
    };
    assert_eq!(weight(&mut chain, 2, first), WEIGHT);
    assert_eq!(weight(&mut chain, 2, second), WEIGHT / 2);
    assert_eq!(weight(&mut chain, 3, third), WEIGHT, "another pair");
    chain.warp(96 * 86_400);
    assert_eq!(weight(&mut chain, 2, fourth), WEIGHT);
}

#[test]
fn dust_and_free_orders_weigh_nothing() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    for price in [0, TOKEN / 100 - 1, TOKEN / 100] {
        let id = chain.list(1, chain.listing(1, sensor, price));
        let order = if price == 0 {
            chain.buy(2, id, 0)
        } else {
            chain.complete(1, 2, id, price)
        };
        let event = chain
            .ok(2, chain.at.trust_and_reputation, &rate(order, 10_000))
            .event::<Rated>();
        assert_eq!(event.weight, 0, "price {price}");
    }
    assert!(!reputation(&chain, org(1)).2);
}

#[test]
fn evidence_fades_and_time_alone_never_raises_confidence() {
    let (mut chain, _, _, order) = completed();
    chain.ok(2, chain.at.trust_and_reputation, &rate(order, 10_000));
    let mut before = reputation(&chain, org(1)).1;
    for _ in 0..20 {
        chain.warp(20 * 86_400);
        let (value, confidence, _) = reputation(&chain, org(1));
        assert!(confidence <= before && value >= 5_000);
        before = confidence;
    }
    // 400 d are 4.4 half-lives of 90 d.
    assert!(before < 60, "{before}");
}

#[test]
fn blame_counts_against_the_seller_without_a_rating() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let id = chain.list(1, chain.listing(1, sensor, PRICE));
    let market = chain.at.data_marketplace;
    let order = chain.buy(2, id, PRICE);
    chain.warp(3_601);
    chain.ok(2, market, &cancelCall { order });
    // (0.5 · 4) / 4.4.
    assert_eq!(reputation(&chain, org(1)), (4_545, 909, true));

    let order = chain.buy(3, id, PRICE);
    let proof = keccak256("proof");
    let deliver = medina_contracts::data_marketplace::DataMarketplace::deliverCall { order, proof };
    chain.ok(1, market, &deliver);
    chain.ok(
        3,
        market,
        &disputeCall {
            order,
            evidence: B256::ZERO,
        },
    );
    chain.ok(
        0,
        market,
        &resolveCall {
            order,
            buyerBps: 5_000,
        },
    );
    // Half of the weight more, on the buyer's share lost.
    assert_eq!(reputation(&chain, org(1)), (4_348, 1_304, true));
}

#[test]
fn coverage_becomes_availability_since_registration() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let at = chain.at.trust_and_reputation;
    chain.warp(1_000);
    chain.ok(9, at, &refreshCall { resource: sensor });
    assert!(
        !trust(&chain, sensor).2,
        "who does not anchor is not judged by coverage"
    );
    anchor(&mut chain, sensor, GENESIS_TIME, GENESIS_TIME + 600);
    let outcome = chain.ok(9, at, &refreshCall { resource: sensor });
    // 600 s of 1000 s, prior 0.5.
    assert_eq!(trust(&chain, sensor), (3_000, 0, true));
    let event = outcome.event::<TrustSet>();
    assert_eq!((event.key, event.kind, event.value), (sensor, 0, 3_000));
    chain.ok(9, at, &refreshCall { resource: sensor });
    assert_eq!(
        trust(&chain, sensor).0,
        3_000,
        "nothing passed, nothing counted"
    );
    chain.fails::<OutOfRange>(
        9,
        at,
        &refreshCall {
            resource: keccak256("nothing"),
        },
    );
}

#[test]
fn refresh_looks_back_one_day_at_most() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let at = chain.at.trust_and_reputation;
    chain.warp(10 * 86_400);
    let now = chain.time;
    anchor(&mut chain, sensor, now - 43_200, now);
    chain.ok(9, at, &refreshCall { resource: sensor });
    // Half a day of the last day.
    assert_eq!(trust(&chain, sensor).0, 2_500);
}

#[test]
fn rating_raises_trust_of_a_covered_sensor() {
    let (mut chain, sensor, _, order) = completed();
    let at = chain.at.trust_and_reputation;
    chain.warp(600);
    anchor(&mut chain, sensor, GENESIS_TIME, GENESIS_TIME + 600);
    chain.ok(9, at, &refreshCall { resource: sensor });
    assert_eq!(trust(&chain, sensor), (5_000, 0, true));
    chain.ok(2, at, &rate(order, 10_000));
    // F(org) 54.55 is the prior: (0.4 + 0.5455 · 4) / 4.4.
    assert_eq!(trust(&chain, sensor), (5_868, 909, true));
    assert_eq!(reputation(&chain, org(1)), (5_455, 909, true));
}

#[test]
fn monitor_speaks_for_what_does_not_anchor() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let at = chain.at.trust_and_reputation;
    chain.warp(100);
    let report = |up, down| reportCall {
        resource: sensor,
        up,
        down,
    };
    chain.fails::<AccessManagedUnauthorized>(1, at, &report(1, 1));
    chain.fails::<TooSoon>(0, at, &report(80, 21));
    chain.fails::<OutOfRange>(
        0,
        at,
        &reportCall {
            resource: keccak256("nothing"),
            up: 0,
            down: 0,
        },
    );
    chain.ok(0, at, &report(80, 20));
    assert_eq!(trust(&chain, sensor), (4_000, 0, true));
    chain.fails::<TooSoon>(0, at, &report(1, 0));
    anchor(&mut chain, sensor, GENESIS_TIME, GENESIS_TIME + 60);
    chain.warp(100);
    chain.fails::<OnlyModule>(0, at, &report(1, 0));
}

#[test]
fn membership_makes_reputation_known() {
    let mut chain = Chain::new();
    chain.federate(1, &[2], "fed");
    chain.warp(100);
    assert_eq!(reputation(&chain, org(1)), (10_000, 0, true));
    let at = chain.at.federation_registry;
    use medina_contracts::federation_registry::FederationRegistry::leaveFederationCall;
    chain.ok(
        2,
        at,
        &leaveFederationCall {
            fed: keccak256("fed"),
        },
    );
    chain.warp(300);
    // FH 100 s of 400 s, AD 100: (10 · 25 + 100) / 11.
    assert_eq!(reputation(&chain, org(2)).0, 3_182);
}

#[test]
fn adaptive_trust_follows_with_five_minutes_between() {
    let (mut chain, sensor, _, order) = completed();
    let at = chain.at.trust_and_reputation;
    let refresh = refreshAdaptiveCall {
        resources: vec![sensor],
    };
    let adaptive = |chain: &Chain| {
        let found = chain.view(
            at,
            &adaptiveTrustCall {
                observerOrg: org(3),
                id: sensor,
            },
        );
        (found.value, found.known)
    };
    let stranger = key("stranger").address();
    chain.fails_from::<NotPermitted>(stranger, at, &refresh);
    chain.fails::<OutOfRange>(
        3,
        at,
        &refreshAdaptiveCall {
            resources: vec![sensor; 65],
        },
    );
    chain.ok(3, at, &refresh);
    assert_eq!(adaptive(&chain), (0, false), "unknown trust is skipped");
    chain.ok(2, at, &rate(order, 10_000));
    chain.warp(600);
    anchor(&mut chain, sensor, GENESIS_TIME, GENESIS_TIME + 600);
    chain.ok(9, at, &refreshCall { resource: sensor });
    let event = chain.ok(3, at, &refresh).event::<TrustSet>();
    assert_eq!(
        (event.key, event.kind),
        (keccak256((org(3), sensor).abi_encode()), 2)
    );
    // 58.68 · 0.8, as the owner's 54.55 is above 50.
    assert_eq!(adaptive(&chain), (4_694, true));
    chain.warp(299);
    assert!(chain.ok(3, at, &refresh).logs.is_empty(), "too young");
    chain.warp(1);
    assert_eq!(chain.ok(3, at, &refresh).event::<TrustSet>().kind, 2);
}

#[test]
fn answers_and_hidden_comments_are_events_of_rated_orders() {
    let (mut chain, _, _, order) = completed();
    let at = chain.at.trust_and_reputation;
    let respond = respondCall {
        order,
        reply: keccak256("reply"),
    };
    let hide = hideCall {
        order,
        reason: keccak256("insult"),
    };
    chain.fails::<NotClosed>(1, at, &respond);
    chain.fails::<NotClosed>(0, at, &hide);
    chain.ok(2, at, &rate(order, 0));
    chain.fails::<NotPermitted>(2, at, &respond);
    chain.fails::<NotPermitted>(1, at, &hide);
    chain.ok(1, at, &respond).event::<Responded>();
    chain.ok(0, at, &hide).event::<Hidden>();
    assert_eq!(
        reputation(&chain, org(1)).0,
        4_545,
        "hiding changes no score"
    );
}

#[test]
fn callbacks_serve_only_their_module() {
    let mut chain = Chain::new();
    let at = chain.at.trust_and_reputation;
    let resource = B256::ZERO;
    let closed = onClosedCall {
        _0: U256::ONE,
        resource,
        sellerOrg: org(1),
        buyerOrg: org(2),
        paid: PRICE,
        lostBps: 1,
    };
    chain.fails::<OnlyModule>(0, at, &closed);
    chain.fails::<OnlyModule>(0, at, &onViolationCall { resource });
    chain.fails::<OnlyModule>(0, at, &onCouponCall { org: org(1) });
    chain.fails::<OnlyModule>(0, at, &onMisdeedCall { org: org(1) });
}

#[test]
fn parameters_are_the_governors_and_compat_forgets_feedback() {
    let (mut chain, sensor, _, order) = completed();
    let at = chain.at.trust_and_reputation;
    let mut p = chain.view(at, &paramsCall {});
    assert_eq!(
        (p.prior, p.w, p.halfFeedback, p.dust),
        (5_000, 4, 90 * 86_400, TOKEN / 100)
    );
    assert_eq!((p.wFH, p.wBT, p.wAD, p.wFB), (10, 5, 1, 8));
    chain.fails::<AccessManagedUnauthorized>(1, at, &setParamsCall { p: p.clone() });
    p.prior = 10_001;
    chain.fails::<OutOfRange>(0, at, &setParamsCall { p: p.clone() });
    (p.prior, p.compat) = (10_000, true);
    chain.ok(0, at, &setParamsCall { p });
    chain.ok(2, at, &rate(order, 0));
    chain.warp(600);
    anchor(&mut chain, sensor, GENESIS_TIME, GENESIS_TIME + 600);
    chain.ok(9, at, &refreshCall { resource: sensor });
    assert_eq!(trust(&chain, sensor).0, 10_000);
    // BT 10 and AD 100: (5 · 10 + 100) / 6.
    assert_eq!(reputation(&chain, org(1)).0, 2_500);
}

#[test]
fn organisation_never_rates_itself_even_if_the_buyer_moves() {
    use medina_contracts::eip712;
    use medina_contracts::identity::{IIdentity, Identity::enrolCall};
    let (mut chain, _, id, _) = completed();
    // A Member of organisation 3 buys, is erased there, and comes back in the seller's organisation.
    let order = chain.buy(3, id, PRICE);
    use medina_contracts::identity::Identity::eraseCall;
    chain.ok(
        3,
        chain.at.identity,
        &eraseCall {
            userId: crate::harness::user(3),
        },
    );
    let e = eip712::Enrolment {
        userId: keccak256("again"),
        nullifier: keccak256("again"),
        org: org(1),
        account: chain.account(3),
        role: 1,
        expires: seconds(chain.time + 1_000_000),
        terms: B256::ZERO,
        deadline: chain.deadline(),
    };
    let sig = chain.sign(0, "Identity", &e);
    let e = IIdentity::Enrolment {
        userId: e.userId,
        nullifier: e.nullifier,
        org: e.org,
        account: e.account,
        role: e.role,
        expires: e.expires,
        terms: e.terms,
        deadline: e.deadline,
    };
    let certifier = chain.account(0);
    chain.ok(1, chain.at.identity, &enrolCall { e, certifier, sig });
    chain.warp(3_601);
    chain.ok(9, chain.at.data_marketplace, &cancelCall { order });
    chain.fails::<SameOrg>(3, chain.at.trust_and_reputation, &rate(order, 10_000));
}
