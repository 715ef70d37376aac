//! BarteringCoupons: issue, use, hand on, swap, revoke, clean up.

use crate::harness::{Chain, org};
use alloy_primitives::{B256, Bytes, Uint, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{
    bartering_coupons::{BarteringCoupons::*, IBarteringCoupons},
    eip712,
    federation_registry::FederationRegistry::shareCall,
    trust_and_reputation::TrustAndReputation::platformReputationCall,
    values::{CouponKind, CouponStatus},
};
use proptest::prelude::*;

/// Organisations 1 (issuer), 2 (holder) and 3 are members; 1 shares "sensor" for barter, "money" not.
fn federation() -> (Chain, B256, B256, B256) {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2, 3], "fed");
    let (sensor, money) = (chain.register(1, "sensor"), chain.register(1, "money"));
    let share = shareCall {
        fed,
        resources: vec![sensor, money],
        bartered: vec![true, false],
    };
    chain.ok(1, chain.at.federation_registry, &share);
    (chain, fed, sensor, money)
}

fn coupon(fed: B256, kind: CouponKind, val: u64, number: u64) -> eip712::Coupon {
    eip712::Coupon {
        issuer: org(1),
        fed,
        kind: kind.into(),
        val,
        number,
        issuedAt: Uint::from(1),
        holder: org(2),
        scope: B256::ZERO,
    }
}

fn plain(c: &eip712::Coupon) -> IBarteringCoupons::Coupon {
    IBarteringCoupons::Coupon {
        issuer: c.issuer,
        fed: c.fed,
        kind: c.kind,
        val: c.val,
        number: c.number,
        issuedAt: c.issuedAt,
        holder: c.holder,
        scope: c.scope,
    }
}

fn key_of(c: &eip712::Coupon) -> B256 {
    keccak256((c.issuer, c.number).abi_encode_params())
}

fn registration(chain: &Chain, signer: usize, c: &eip712::Coupon) -> registerCall {
    registerCall {
        c: plain(c),
        sig: chain.sign_packed(signer, "BarteringCoupons", c),
    }
}

fn register(chain: &mut Chain, c: &eip712::Coupon) -> B256 {
    let call = registration(chain, 1, c);
    chain.ok(9, chain.at.bartering_coupons, &call);
    key_of(c)
}

fn usage(chain: &Chain, signer: usize, key: B256, resource: B256, uses: u64) -> consumeCall {
    let message = eip712::Use {
        key,
        resource,
        uses,
    };
    consumeCall {
        key_: key,
        resource,
        holderSig: chain.sign_packed(signer, "BarteringCoupons", &message),
    }
}

fn validity(chain: &Chain, c: &eip712::Coupon) -> (CouponStatus, u64, u64) {
    let found = chain.view(chain.at.bartering_coupons, &validityCall { c: plain(c) });
    (
        found.status.try_into().unwrap(),
        found.remainingUses,
        found.remainingTime,
    )
}

fn stats(chain: &Chain, org: B256, fed: B256) -> (u64, u64, u64, u64) {
    let s = chain.view(chain.at.bartering_coupons, &statsCall { org, fed });
    (s.issued, s.consumed, s.received, s.uses)
}

#[test]
fn key_is_issuer_and_number() {
    let (chain, fed, ..) = federation();
    let c = coupon(fed, CouponKind::Discrete, 1, 7);
    assert_eq!(
        chain.view(chain.at.bartering_coupons, &keyCall { c: plain(&c) }),
        key_of(&c)
    );
}

#[test]
fn registration_needs_value_kind_members_signature_and_a_new_number() {
    let (mut chain, fed, ..) = federation();
    let at = chain.at.bartering_coupons;
    let good = coupon(fed, CouponKind::Discrete, 2, 7);
    let refused = |change: &dyn Fn(&mut eip712::Coupon)| {
        let mut c = coupon(fed, CouponKind::Discrete, 2, 7);
        change(&mut c);
        registration(&chain, 1, &c)
    };
    let zero = refused(&|c| c.val = 0);
    let null = refused(&|c| c.kind = 0);
    let stranger = refused(&|c| c.holder = org(5));
    let elsewhere = refused(&|c| c.fed = B256::ZERO);
    let foreign = refused(&|c| c.issuer = org(3));
    let not_issuer = registration(&chain, 2, &good);
    let short = registerCall {
        c: plain(&good),
        sig: Bytes::from_static(&[1; 19]),
    };
    chain.fails::<ZeroVal>(9, at, &zero);
    chain.fails::<NotValid>(9, at, &null);
    chain.fails::<NotMember>(9, at, &stranger);
    chain.fails::<NotMember>(9, at, &elsewhere);
    chain.fails::<BadSignature>(9, at, &foreign);
    chain.fails::<BadSignature>(9, at, &not_issuer);
    chain.fails::<BadSignature>(9, at, &short);
    let call = registration(&chain, 1, &good);
    let event = chain.ok(9, at, &call).event::<Issued>();
    assert_eq!(
        (event.key, event.issuer, event.holder),
        (key_of(&good), org(1), org(2))
    );
    let other = coupon(fed, CouponKind::Periodic, 9, 7);
    let other = registration(&chain, 1, &other);
    chain.fails::<NumberUsed>(9, at, &other);
}

#[test]
fn validity_tells_apart_unknown_valid_and_mismatch() {
    let (mut chain, fed, ..) = federation();
    let c = coupon(fed, CouponKind::Discrete, 2, 7);
    assert_eq!(validity(&chain, &c).0, CouponStatus::NotRegistered);
    register(&mut chain, &c);
    assert_eq!(validity(&chain, &c), (CouponStatus::Valid, 2, 0));
    let mut other = c.clone();
    other.val = 3;
    assert_eq!(validity(&chain, &other).0, CouponStatus::Mismatch);
    let mut moved = c;
    moved.holder = org(3);
    assert_eq!(
        validity(&chain, &moved).0,
        CouponStatus::Valid,
        "the holder does not count"
    );
}

#[test]
fn consumption_is_refused_for_every_missing_condition() {
    let (mut chain, fed, sensor, money) = federation();
    let at = chain.at.bartering_coupons;
    let key = register(&mut chain, &coupon(fed, CouponKind::Discrete, 2, 7));
    let foreign = chain.register(3, "foreign");
    let good = usage(&chain, 2, key, sensor, 1);
    let unknown = usage(&chain, 2, B256::ZERO, sensor, 1);
    let unshared = usage(&chain, 2, key, money, 1);
    let not_issuers = usage(&chain, 2, key, foreign, 1);
    let by_other = usage(&chain, 3, key, sensor, 1);
    let wrong_count = usage(&chain, 2, key, sensor, 2);
    chain.fails::<NotValid>(1, at, &unknown);
    chain.fails::<NotMember>(2, at, &good);
    chain.fails::<NotBartered>(1, at, &unshared);
    chain.fails::<NotBartered>(1, at, &not_issuers);
    chain.fails::<BadSignature>(1, at, &by_other);
    chain.fails::<BadSignature>(1, at, &wrong_count);

    let mut scoped = coupon(fed, CouponKind::Discrete, 1, 8);
    scoped.scope = money;
    let scoped = register(&mut chain, &scoped);
    let out_of_scope = usage(&chain, 2, scoped, sensor, 1);
    chain.fails::<NotBartered>(1, at, &out_of_scope);

    let mut own = coupon(fed, CouponKind::Discrete, 1, 9);
    own.holder = org(1);
    let own = register(&mut chain, &own);
    let own = usage(&chain, 1, own, sensor, 1);
    chain.fails::<NotHolder>(1, at, &own);
}

#[test]
fn discrete_coupon_is_used_up_and_refused_afterwards() {
    let (mut chain, fed, sensor, _) = federation();
    let at = chain.at.bartering_coupons;
    let c = coupon(fed, CouponKind::Discrete, 2, 7);
    let key = register(&mut chain, &c);
    let first = usage(&chain, 2, key, sensor, 1);
    let event = chain.ok(1, at, &first).event::<Used>();
    assert_eq!(
        (event.key, event.issuer, event.resource, event.uses),
        (key, org(1), sensor, 1)
    );
    assert_eq!(validity(&chain, &c), (CouponStatus::Valid, 1, 0));
    chain.fails::<BadSignature>(1, at, &first);
    let second = usage(&chain, 2, key, sensor, 2);
    chain.ok(1, at, &second);
    assert_eq!(validity(&chain, &c), (CouponStatus::Consumed, 0, 0));
    let third = usage(&chain, 2, key, sensor, 3);
    chain.fails::<NotValid>(1, at, &third);
    assert_eq!(stats(&chain, org(1), fed), (1, 1, 0, 2));
    assert_eq!(stats(&chain, org(2), fed), (0, 0, 1, 0));
}

#[test]
fn use_makes_bartering_part_of_the_issuers_reputation() {
    let (mut chain, fed, sensor, _) = federation();
    let key = register(&mut chain, &coupon(fed, CouponKind::Discrete, 20, 7));
    for uses in 1..=13 {
        let call = usage(&chain, 2, key, sensor, uses);
        chain.ok(1, chain.at.bartering_coupons, &call);
    }
    let call = platformReputationCall { org: org(1) };
    let found = chain.view(chain.at.trust_and_reputation, &call);
    // FH 100, BT 60 for more than 12 uses, AD 100: (10 · 100 + 5 · 60 + 100) / 16.
    assert_eq!((found.value, found.known), (8_750, true));
}

#[test]
fn periodic_coupon_runs_from_its_first_use() {
    let (mut chain, fed, sensor, _) = federation();
    let at = chain.at.bartering_coupons;
    let c = coupon(fed, CouponKind::Periodic, 100, 7);
    let key = register(&mut chain, &c);
    chain.warp(1_000);
    assert_eq!(validity(&chain, &c), (CouponStatus::Valid, 0, 100));
    let first = usage(&chain, 2, key, sensor, 1);
    chain.ok(1, at, &first);
    chain.warp(100);
    assert_eq!(validity(&chain, &c), (CouponStatus::Valid, 0, 0));
    let last = usage(&chain, 2, key, sensor, 2);
    chain.ok(1, at, &last);
    chain.warp(1);
    assert_eq!(validity(&chain, &c).0, CouponStatus::Consumed);
    let late = usage(&chain, 2, key, sensor, 3);
    chain.fails::<NotValid>(1, at, &late);
    assert_eq!(stats(&chain, org(1), fed), (1, 1, 0, 2));
}

#[test]
fn holder_hands_a_coupon_to_another_member() {
    let (mut chain, fed, sensor, _) = federation();
    let at = chain.at.bartering_coupons;
    let key = register(&mut chain, &coupon(fed, CouponKind::Discrete, 1, 7));
    chain.fails::<NotHolder>(
        3,
        at,
        &transferCall {
            key_: key,
            toOrg: org(3),
        },
    );
    chain.fails::<NotMember>(
        2,
        at,
        &transferCall {
            key_: key,
            toOrg: org(5),
        },
    );
    chain
        .ok(
            2,
            at,
            &transferCall {
                key_: key,
                toOrg: org(3),
            },
        )
        .event::<Moved>();
    assert_eq!(chain.view(at, &holderOfCall { key_: key }), org(3));
    let old_holder = usage(&chain, 2, key, sensor, 1);
    chain.fails::<BadSignature>(1, at, &old_holder);
    let new_holder = usage(&chain, 3, key, sensor, 1);
    chain.ok(1, at, &new_holder);
    chain.fails::<NotValid>(
        3,
        at,
        &transferCall {
            key_: key,
            toOrg: org(2),
        },
    );
    assert_eq!(stats(&chain, org(3), fed), (0, 0, 1, 0));
}

#[test]
fn swap_moves_both_or_none() {
    let (mut chain, fed, ..) = federation();
    let at = chain.at.bartering_coupons;
    let mine = register(&mut chain, &coupon(fed, CouponKind::Discrete, 1, 7));
    let mut c = coupon(fed, CouponKind::Discrete, 1, 8);
    c.holder = org(3);
    let theirs = register(&mut chain, &c);
    let message = eip712::Swap {
        mine,
        theirs,
        moves: 0,
    };
    let swap = |chain: &Chain, signer: usize| swapCall {
        mine,
        theirs,
        theirSig: chain.sign_packed(signer, "BarteringCoupons", &message),
    };
    let (good, by_other) = (swap(&chain, 3), swap(&chain, 2));
    chain.fails::<NotHolder>(1, at, &good);
    chain.fails::<BadSignature>(2, at, &by_other);
    chain.fails::<NotValid>(
        2,
        at,
        &swapCall {
            mine,
            theirs: mine,
            theirSig: good.theirSig.clone(),
        },
    );
    chain.ok(2, at, &good);
    let holder = |key| chain.view(at, &holderOfCall { key_: key });
    assert_eq!((holder(mine), holder(theirs)), (org(3), org(2)));
    chain.fails::<NotHolder>(2, at, &good);
}

#[test]
fn revocation_is_the_issuers_until_use_and_a_moderators_always() {
    let (mut chain, fed, sensor, _) = federation();
    let at = chain.at.bartering_coupons;
    let [fresh, used, moved] =
        [7, 8, 9].map(|number| register(&mut chain, &coupon(fed, CouponKind::Discrete, 2, number)));
    let call = usage(&chain, 2, used, sensor, 1);
    chain.ok(1, at, &call);
    chain.ok(
        2,
        at,
        &transferCall {
            key_: moved,
            toOrg: org(3),
        },
    );
    chain.fails::<NotMember>(2, at, &revokeCall { key_: fresh });
    chain.fails::<NotValid>(1, at, &revokeCall { key_: used });
    chain.fails::<NotValid>(1, at, &revokeCall { key_: moved });
    chain
        .ok(1, at, &revokeCall { key_: fresh })
        .event::<Revoked>();
    chain.ok(0, at, &revokeCall { key_: used });
    chain.fails::<NotValid>(0, at, &revokeCall { key_: fresh });
    assert_eq!(
        validity(&chain, &coupon(fed, CouponKind::Discrete, 2, 7)).0,
        CouponStatus::Revoked
    );
}

#[test]
fn cleaned_numbers_never_return() {
    let (mut chain, fed, sensor, _) = federation();
    let at = chain.at.bartering_coupons;
    let c = coupon(fed, CouponKind::Discrete, 1, 7);
    let key = register(&mut chain, &c);
    let open = register(&mut chain, &coupon(fed, CouponKind::Discrete, 1, 8));
    let call = usage(&chain, 2, key, sensor, 1);
    chain.ok(1, at, &call);
    chain.warp(10);
    let clean = |chain: &Chain, before: u64, keys: Vec<B256>| cleanupCall {
        keys,
        before: Uint::from(chain.time - before),
    };
    let too_many = clean(&chain, 0, vec![key; 65]);
    chain.fails::<OutOfRange>(1, at, &too_many);
    let good = clean(&chain, 0, vec![key, open]);
    chain.fails::<NotMember>(2, at, &good);
    let too_early = clean(&chain, 10, vec![key]);
    let outcome = chain.ok(1, at, &too_early);
    assert_eq!(
        cleanupCall::abi_decode_returns(&outcome.output).unwrap(),
        Uint::ZERO
    );
    let outcome = chain.ok(1, at, &good);
    assert_eq!(outcome.event::<Cleaned>().key, key);
    assert_eq!(validity(&chain, &c).0, CouponStatus::NotRegistered);
    let again = registration(&chain, 1, &c);
    chain.fails::<NumberUsed>(9, at, &again);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the issuer tries: never more uses than promised, and statistics are what happened.
    #[test]
    fn uses_never_pass_the_value(val in 1_u64..6, tries in proptest::collection::vec(0_u64..8, 1..12)) {
        let (mut chain, fed, sensor, _) = federation();
        let key = register(&mut chain, &coupon(fed, CouponKind::Discrete, val, 7));
        let mut used = 0;
        for uses in tries {
            let call = usage(&chain, 2, key, sensor, uses);
            let accepted = chain.call(chain.account(1), chain.at.bartering_coupons, &call).success;
            prop_assert_eq!(accepted, uses == used + 1 && used < val);
            used += u64::from(accepted);
        }
        prop_assert_eq!(stats(&chain, org(1), fed), (1, u64::from(used == val), 0, used));
    }
}

/// Organisation 2 gives a new coupon to organisation 1 for one access to `resource`.
fn trade(
    chain: &Chain,
    c: &eip712::Coupon,
    resource: B256,
    client: usize,
    owner: usize,
) -> barterCall {
    let message = eip712::Barter {
        give: c.clone(),
        resource,
    };
    barterCall {
        give: plain(c),
        giveSig: chain.sign_packed(client, "BarteringCoupons", &message),
        resource,
        acceptSig: chain.sign_packed(owner, "BarteringCoupons", &message),
    }
}

fn gift(fed: B256, number: u64) -> eip712::Coupon {
    eip712::Coupon {
        issuer: org(2),
        holder: org(1),
        ..coupon(fed, CouponKind::Discrete, 3, number)
    }
}

/// A federation in which organisation 1 barters with everybody.
fn generous() -> (Chain, B256, B256, B256) {
    let (mut chain, fed, sensor, money) = federation();
    set_rules(&mut chain, fed, 0, 0);
    (chain, fed, sensor, money)
}

fn set_rules(chain: &mut Chain, fed: B256, min_reputation: u16, types: u8) {
    let call = setRulesCall {
        fed,
        minReputation: min_reputation,
        types,
    };
    let event = chain
        .ok(1, chain.at.bartering_coupons, &call)
        .event::<RulesSet>();
    assert_eq!((event.fed, event.org), (fed, org(1)));
    assert_eq!((event.minReputation, event.types), (min_reputation, types));
}

#[test]
fn rules_are_a_members_managers_and_within_bounds() {
    let (mut chain, fed, ..) = federation();
    let at = chain.at.bartering_coupons;
    let call = |min_reputation, types| setRulesCall {
        fed,
        minReputation: min_reputation,
        types,
    };
    chain.fails::<NotMember>(5, at, &call(0, 0));
    let stranger = crate::harness::key("stranger").address();
    chain.fails_from::<NotMember>(stranger, at, &call(0, 0));
    chain.fails::<OutOfRange>(1, at, &call(10_001, 0));
    chain.fails::<OutOfRange>(1, at, &call(0, 16));
    chain.ok(1, at, &call(10_000, 15));
}

#[test]
fn barter_trades_a_new_coupon_for_one_access() {
    let (mut chain, fed, sensor, _) = generous();
    let at = chain.at.bartering_coupons;
    let c = gift(fed, 7);
    let call = trade(&chain, &c, sensor, 2, 1);
    let outcome = chain.ok(9, at, &call);
    let event = outcome.event::<Bartered>();
    assert_eq!((event.fed, event.client), (fed, org(2)));
    assert_eq!((event.owner, event.resource), (org(1), sensor));
    assert_eq!(outcome.event::<Issued>().key, key_of(&c));
    assert_eq!(validity(&chain, &c), (CouponStatus::Valid, 3, 0));
    assert_eq!(stats(&chain, org(2), fed), (1, 0, 0, 0));
    assert_eq!(stats(&chain, org(1), fed), (0, 0, 1, 0));
    chain.fails::<NumberUsed>(9, at, &call);
    let as_a_registration = registration(&chain, 2, &c);
    chain.fails::<NumberUsed>(9, at, &as_a_registration);
    let revoke = revokeCall { key_: key_of(&c) };
    chain.fails::<NotValid>(2, at, &revoke);
}

#[test]
fn coupon_of_a_barter_is_used_as_any_other() {
    let (mut chain, fed, sensor, _) = generous();
    let at = chain.at.bartering_coupons;
    let c = gift(fed, 7);
    let call = trade(&chain, &c, sensor, 2, 1);
    chain.ok(9, at, &call);
    let theirs = chain.register(2, "theirs");
    let share = shareCall {
        fed,
        resources: vec![theirs],
        bartered: vec![true],
    };
    chain.ok(2, chain.at.federation_registry, &share);
    let call = usage(&chain, 1, key_of(&c), theirs, 1);
    chain.ok(2, at, &call).event::<Used>();
    assert_eq!(validity(&chain, &c), (CouponStatus::Valid, 2, 0));
}

#[test]
fn barter_needs_both_signatures_of_this_very_trade() {
    let (mut chain, fed, sensor, money) = generous();
    let at = chain.at.bartering_coupons;
    let c = gift(fed, 7);
    let good = trade(&chain, &c, sensor, 2, 1);
    let by_others = [
        trade(&chain, &c, sensor, 3, 1),
        trade(&chain, &c, sensor, 2, 3),
    ];
    for call in by_others {
        chain.fails::<BadSignature>(9, at, &call);
    }
    let mut elsewhere = good.clone();
    elsewhere.resource = money;
    chain.fails::<BadSignature>(9, at, &elsewhere);
    let mut more = good.clone();
    more.give.val = 4;
    chain.fails::<BadSignature>(9, at, &more);
    let mut unsigned = good.clone();
    unsigned.acceptSig = Bytes::new();
    chain.fails::<BadSignature>(9, at, &unsigned);
    // The signature of the coupon itself is not one of the trade, nor the other way round.
    let mut bare = good.clone();
    bare.giveSig = registration(&chain, 2, &c).sig;
    chain.fails::<BadSignature>(9, at, &bare);
    let registration = registerCall {
        c: plain(&c),
        sig: good.giveSig.clone(),
    };
    chain.fails::<BadSignature>(9, at, &registration);
    chain.ok(9, at, &good);
}

#[test]
fn barter_keeps_the_rules_of_coupons() {
    let (mut chain, fed, sensor, _) = generous();
    let at = chain.at.bartering_coupons;
    let call = |chain: &Chain, change: &dyn Fn(&mut eip712::Coupon)| {
        let mut c = gift(fed, 7);
        change(&mut c);
        trade(chain, &c, sensor, 2, 1)
    };
    let (zero, null) = (call(&chain, &|c| c.val = 0), call(&chain, &|c| c.kind = 0));
    let elsewhere = call(&chain, &|c| c.fed = B256::ZERO);
    let stranger = call(&chain, &|c| c.issuer = org(5));
    chain.fails::<ZeroVal>(9, at, &zero);
    chain.fails::<NotValid>(9, at, &null);
    chain.fails::<NotMember>(9, at, &elsewhere);
    chain.fails::<NotMember>(9, at, &stranger);
    let own = eip712::Coupon {
        issuer: org(1),
        ..gift(fed, 8)
    };
    let own = trade(&chain, &own, sensor, 1, 1);
    chain.fails::<NotHolder>(9, at, &own);
}

#[test]
fn barter_is_for_what_the_owner_offers() {
    let (mut chain, fed, sensor, money) = generous();
    let at = chain.at.bartering_coupons;
    let foreign = chain.register(3, "foreign");
    for resource in [money, foreign, keccak256("nothing")] {
        let call = trade(&chain, &gift(fed, 7), resource, 2, 1);
        chain.fails::<NotBartered>(9, at, &call);
    }
    let call = trade(&chain, &gift(fed, 7), sensor, 2, 1);
    // Only actuators, then only sensors.
    set_rules(&mut chain, fed, 0, 2);
    chain.fails::<NotBartered>(9, at, &call);
    set_rules(&mut chain, fed, 0, 1);
    chain.ok(9, at, &call);
}

#[test]
fn barter_asks_for_the_reputation_of_the_owners_rules() {
    use medina_contracts::federation_registry::FederationRegistry::{acceptCall, inviteCall};
    let (mut chain, fed, sensor, _) = federation();
    let at = chain.at.bartering_coupons;
    let federations = chain.at.federation_registry;
    chain.warp(100_000);
    // Organisation 4 joins late: its history is poor, and grows.
    chain.ok(1, federations, &inviteCall { fed, org: org(4) });
    chain.ok(4, federations, &acceptCall { fed, version: 1 });
    let reputation = |chain: &Chain| {
        let call = platformReputationCall { org: org(4) };
        chain.view(chain.at.trust_and_reputation, &call).value
    };
    let call = |chain: &Chain, number| {
        let c = eip712::Coupon {
            issuer: org(4),
            ..gift(fed, number)
        };
        trade(chain, &c, sensor, 4, 1)
    };
    let first = call(&chain, 1);
    chain.fails::<LowReputation>(9, at, &first);
    let mut generous = chain.clone();
    set_rules(&mut generous, fed, 0, 0);
    generous.ok(9, at, &first);
    chain.warp(300_000);
    let value = reputation(&chain);
    assert!((7_000..10_000).contains(&value), "{value}");
    chain.ok(9, at, &first);
    let second = call(&chain, 2);
    set_rules(&mut chain, fed, value + 1, 0);
    chain.fails::<LowReputation>(9, at, &second);
    set_rules(&mut chain, fed, value, 0);
    chain.ok(9, at, &second);
}
