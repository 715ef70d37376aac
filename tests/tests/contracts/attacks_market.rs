//! Attacks on market, judge and consent: each test is somebody who tries, by a wallet that calls back, by waiting for
//! the last second, by a judge that goes too far, by a signature that was kept.

use crate::{
    harness::{Chain, GENESIS_TIME, TOKEN, key, seconds, user},
    sealed::{self, BUYER, DELIVER_IN, SELLER, Scene, WINDOW},
};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_sol_types::SolCall;
use medina_contracts::{
    consent_and_access::{ConsentAndAccess, IConsentAndAccess::Grant},
    data_marketplace::DataMarketplace::*,
    eip712,
    sealed_delivery::SealedDelivery,
    values::OrderState,
};

const PRICE: u128 = 10 * TOKEN;

/// Code of a wallet that says ERC-1271's yes to everything, after it has called `to` with `data` of 36 bytes.
fn calling_wallet(to: Address, data: &[u8]) -> Bytes {
    let mut word = [0; 64];
    word[..data.len()].copy_from_slice(data);
    [
        &hex!("7f")[..],
        &word[..32],
        &hex!("5f527f"),
        &word[32..],
        // mstore(32, ..); call(gas, to, 0, 0, 36, 0, 0)
        &hex!("6020525f5f60245f5f73"),
        to.as_slice(),
        &hex!("5af150"),
        &hex!("631626ba7e60e01b5f5260205ff3"),
    ]
    .concat()
    .into()
}

/// A listing by units of seller 1 and the order of buyer 2 for the user `key("wallet")`.
fn by_unit() -> (Chain, Address, U256) {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let mut listing = chain.listing(1, sensor, PRICE);
    (listing.price, listing.unit) = (2, 50_000);
    let id = chain.list(1, listing);
    let wallet = key("wallet").address();
    chain.approve(2, 9 * PRICE);
    let mut call = chain.purchase(2, id, u128::MAX);
    (call.units, call.user) = (9, wallet);
    let order = chain
        .ok(2, chain.at.data_marketplace, &call)
        .event::<Bought>()
        .order;
    (chain, wallet, order)
}

#[test]
fn wallet_that_calls_back_while_its_voucher_is_checked_changes_nothing() {
    let (mut chain, wallet, order) = by_unit();
    let market = chain.at.data_marketplace;
    let claim = claimUnitsCall {
        order,
        cumulative: 2,
        userSig: Bytes::from_static(b"yes"),
    };
    for data in [
        cancelCall { order }.abi_encode(),
        withdrawForCall {
            owner: chain.account(1),
        }
        .abi_encode(),
        useOrderCall { order }.abi_encode(),
    ] {
        let mut chain = chain.clone();
        chain.put_code(wallet, calling_wallet(market, &data));
        let outcome = chain.call(chain.account(9), market, &claim);
        assert!(outcome.success, "the wallet says yes");
        let found = chain.order(order);
        assert_eq!((found.paid, found.used), (2 * PRICE, 2));
        assert_eq!(found.state, u8::from(OrderState::Active));
        assert_eq!(chain.credit(chain.account(1)), 2 * PRICE - 2 * PRICE / 100);
        assert_eq!(chain.balance(market), 9 * PRICE);
    }
    // The same data sent by anybody does something: the wallet was stopped, not the call.
    let cancel = withdrawForCall {
        owner: chain.account(1),
    };
    chain.put_code(wallet, calling_wallet(market, &[]));
    chain.ok(9, market, &claim);
    chain.ok(9, market, &cancel);
    assert_eq!(chain.credit(chain.account(1)), 0);
}

#[test]
fn acceptance_in_the_last_second_costs_the_seller_nothing() {
    let mut scene = Scene::offered();
    let order = scene.order;
    scene.chain.warp(DELIVER_IN);
    scene.ok(BUYER, &SealedDelivery::acceptCall { order });
    let mut revealed = scene.chain.clone();
    let reveal = SealedDelivery::revealCall {
        order,
        key: sealed::key(),
    };
    revealed.ok(SELLER, revealed.at.sealed_delivery, &reveal);
    revealed.warp(WINDOW + 1);
    revealed.ok(
        9,
        revealed.at.sealed_delivery,
        &SealedDelivery::settleCall { order },
    );
    assert!(revealed.credit(revealed.account(SELLER)) > 0);
    scene.chain.warp(1);
    scene.ok(9, &SealedDelivery::settleCall { order });
    let seal = scene.chain.view(
        scene.chain.at.sealed_delivery,
        &SealedDelivery::getSealCall { order },
    );
    assert_eq!(seal.key, B256::ZERO, "the data is still secret");
    assert_eq!(
        scene.chain.credit(scene.chain.account(BUYER)),
        sealed::PRICE
    );
}

#[test]
fn buyer_cannot_take_the_money_back_between_acceptance_and_reveal() {
    let mut scene = Scene::offered();
    let order = scene.order;
    let market = scene.chain.at.data_marketplace;
    scene.ok(BUYER, &SealedDelivery::acceptCall { order });
    scene
        .chain
        .fails::<TooEarly>(BUYER, market, &cancelCall { order });
    scene.chain.fails::<NotJudge>(
        0,
        market,
        &resolveCall {
            order,
            buyerBps: 10_000,
        },
    );
}

/// A judge of its own, account 7, against the orders it has and those it has not.
#[test]
fn judge_decides_once_within_the_window_and_only_its_own_orders() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let market = chain.at.data_marketplace;
    let judge = chain.account(7);
    chain.ok(
        0,
        market,
        &setJudgeCall {
            judge,
            allowed: true,
        },
    );
    let plain = chain.listing(1, sensor, PRICE);
    let mut judged = plain.clone();
    judged.judge = judge;
    let (plain, judged) = (chain.list(1, plain), chain.list(1, judged));
    let [other, order, late] = [plain, judged, judged].map(|id| chain.buy(2, id, PRICE));
    let proof = keccak256("proof");
    let resolve = |order, buyer_bps| resolveCall {
        order,
        buyerBps: buyer_bps,
    };
    chain.fails::<NotParty>(
        7,
        market,
        &deliverCall {
            order: other,
            proof,
        },
    );
    chain.ok(
        1,
        market,
        &deliverCall {
            order: other,
            proof,
        },
    );
    chain.fails::<NotJudge>(7, market, &resolve(other, 0));
    chain.fails::<WrongState>(7, market, &resolve(order, 0));
    for order in [order, late] {
        chain.ok(7, market, &deliverCall { order, proof });
    }
    chain.fails::<OutOfRange>(7, market, &resolve(order, 10_001));
    chain.ok(7, market, &resolve(order, 2_500));
    chain.fails::<WrongState>(7, market, &resolve(order, 10_000));
    chain.warp(WINDOW + 1);
    chain.ok(9, market, &claimCall { order: late });
    chain.fails::<WrongState>(7, market, &resolve(late, 10_000));
    assert_eq!(chain.credit(chain.account(2)), PRICE / 4);
}

/// User 2's consent to user 3, signed and not yet brought.
fn kept(from: u64, purpose: &str) -> eip712::GrantFor {
    eip712::GrantFor {
        scope: user(2),
        grantee: user(3),
        purpose: keccak256(purpose),
        ops: 2,
        from: seconds(from),
        until: seconds(GENESIS_TIME + 86_400),
        form: keccak256("form"),
        deadline: seconds(GENESIS_TIME + 86_400),
    }
}

fn bring(chain: &Chain, message: &eip712::GrantFor) -> ConsentAndAccess::grantForCall {
    ConsentAndAccess::grantForCall {
        g: fields(message),
        deadline: message.deadline,
        ownerSig: chain.sign_packed(2, "ConsentAndAccess", message),
    }
}

fn fields(message: &eip712::GrantFor) -> Grant {
    Grant {
        scope: message.scope,
        grantee: message.grantee,
        purpose: message.purpose,
        ops: message.ops,
        from: message.from,
        until: message.until,
        form: message.form,
    }
}

#[test]
fn consent_narrowed_since_is_not_widened_by_a_signature_that_was_kept() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let mut wide = kept(GENESIS_TIME, "care");
    wide.ops = 15;
    let may_write = |chain: &Chain| {
        let call = ConsentAndAccess::allowedCall {
            scope: user(2),
            who: user(3),
            purpose: keccak256("care"),
            op: 1,
        };
        chain.view(at, &call)
    };
    // By an amendment, by a grant in person, and by a later signed one.
    chain.warp(600);
    let now = chain.time;
    let mut narrow = kept(now, "care");
    narrow.until = seconds(now + 60);
    let in_person = ConsentAndAccess::grantCall { g: fields(&narrow) };
    let mut amended = chain.clone();
    let first = kept(GENESIS_TIME, "care");
    let outcome = amended.ok(2, at, &ConsentAndAccess::grantCall { g: fields(&first) });
    let amend = ConsentAndAccess::amendCall {
        id: outcome.event::<ConsentAndAccess::Granted>().id,
        ops: 2,
        until: narrow.until,
    };
    amended.ok(2, at, &amend);
    let mut given = chain.clone();
    given.ok(2, at, &in_person);
    let mut signed = chain.clone();
    let call = bring(&signed, &narrow);
    signed.ok(9, at, &call);
    for chain in [&mut amended, &mut given, &mut signed] {
        for from in [0, GENESIS_TIME, now - 1] {
            wide.from = seconds(from);
            let call = bring(chain, &wide);
            chain.fails::<ConsentAndAccess::Ended>(9, at, &call);
            assert!(!may_write(chain));
        }
        // What holds from now on is as new.
        wide.from = seconds(now);
        let call = bring(chain, &wide);
        chain.ok(9, at, &call);
        assert!(may_write(chain));
    }
    // What begins later was still said now.
    let mut later = kept(now + 600, "care");
    later.ops = 15;
    let call = bring(&chain, &later);
    chain.ok(9, at, &call);
    chain.warp(300);
    let sooner = kept(now + 300, "care");
    let call = bring(&chain, &sooner);
    chain.ok(9, at, &call);
    assert!(!may_write(&chain));
}

#[test]
fn consent_taken_back_is_not_brought_back_by_a_signature_that_was_kept() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let mut given = kept(GENESIS_TIME, "care");
    given.ops = 3;
    let outcome = chain.ok(9, at, &bring(&chain, &given));
    let id = outcome.event::<ConsentAndAccess::Granted>().id;
    chain.warp(600);
    chain.ok(2, at, &ConsentAndAccess::revokeCall { id });
    // Another signature over the same consent, from before.
    for from in [0, GENESIS_TIME, GENESIS_TIME + 599] {
        let call = bring(&chain, &kept(from, "care"));
        chain.fails::<ConsentAndAccess::Ended>(9, at, &call);
    }
    let elsewhere = kept(GENESIS_TIME, "research");
    let mut other = chain.clone();
    other.ok(9, at, &bring(&chain, &elsewhere));
    chain.ok(2, at, &ConsentAndAccess::revokeAllCall { scope: user(2) });
    let call = bring(&chain, &elsewhere);
    chain.fails::<ConsentAndAccess::Ended>(9, at, &call);
    chain.warp(1);
    let again = kept(GENESIS_TIME + 601, "care");
    chain.ok(9, at, &bring(&chain, &again));
}

#[test]
fn seller_cannot_end_a_subscription_to_escape_a_dispute() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let mut listing = chain.listing(1, sensor, PRICE);
    (listing.price, listing.unit) = (3, 10_000);
    let id = chain.list(1, listing);
    let market = chain.at.data_marketplace;
    let order = chain.buy(2, id, PRICE);
    let proof = keccak256("proof");
    chain.ok(1, market, &deliverCall { order, proof });
    // Nothing is claimable yet; half has vested for data that never came.
    chain.warp(5_000);
    chain.ok(1, market, &cancelCall { order });
    let seller = chain.account(1);
    assert_eq!(chain.credit(seller), 0);
    chain.warp(WINDOW);
    chain.fails::<TooEarly>(9, market, &claimCall { order });
    let evidence = keccak256("nothing came");
    chain.ok(2, market, &disputeCall { order, evidence });
    chain.ok(
        0,
        market,
        &resolveCall {
            order,
            buyerBps: 10_000,
        },
    );
    assert_eq!(chain.credit(seller), 0);
    assert_eq!(chain.credit(chain.account(2)), PRICE);
}
