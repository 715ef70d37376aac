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
