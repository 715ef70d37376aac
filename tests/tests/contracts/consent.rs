//! ConsentAndAccess: who may read whose data, how that begins and ends, what is logged, asked and answered.

use crate::harness::{Chain, TOKEN, key, org, seconds, user};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{
    consent_and_access::{ConsentAndAccess::*, IConsentAndAccess::Grant},
    data_marketplace::DataMarketplace,
    eip712,
    identity::Identity,
    sensor_registry::SensorRegistry,
};

const READ: u8 = 2;
const DAY: u64 = 86_400;

pub(crate) fn care() -> B256 {
    keccak256("care")
}

/// Reading for care, from now for a day.
pub(crate) fn grant(chain: &Chain, scope: B256, grantee: B256) -> grantCall {
    grantCall {
        g: Grant {
            scope,
            grantee,
            purpose: care(),
            ops: READ,
            from: seconds(chain.time),
            until: seconds(chain.time + DAY),
            form: keccak256("form"),
        },
    }
}

fn give(chain: &mut Chain, owner: usize, scope: B256, grantee: B256) -> U256 {
    let call = grant(chain, scope, grantee);
    let outcome = chain.ok(owner, chain.at.consent_and_access, &call);
    grantCall::abi_decode_returns(&outcome.output).unwrap()
}

pub(crate) fn may(chain: &Chain, scope: B256, who: B256, purpose: B256, op: u8) -> bool {
    let call = allowedCall {
        scope,
        who,
        purpose,
        op,
    };
    chain.view(chain.at.consent_and_access, &call)
}

fn may_read(chain: &Chain, scope: B256, who: B256) -> bool {
    may(chain, scope, who, care(), READ)
}

pub(crate) fn delegation(chain: &Chain, scope: B256, helper: B256) -> delegateCall {
    delegateCall {
        scope,
        helper,
        until: seconds(chain.time + DAY),
        form: keccak256("form"),
    }
}

/// Sets the status of user `index` as Administrator 0.
fn set_status(chain: &mut Chain, index: usize, s: u8) {
    let call = Identity::setStatusCall {
        userId: user(index),
        s,
        reason: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &call);
}

#[test]
fn nothing_is_allowed_without_a_grant() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    for scope in [user(1), sensor, org(1), B256::ZERO] {
        for who in [user(1), user(2), B256::ZERO] {
            assert!(!may_read(&chain, scope, who));
        }
    }
}

#[test]
fn grant_allows_what_it_says_and_no_more() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let call = grant(&chain, user(1), user(2));
    let event = chain.ok(1, at, &call).event::<Granted>();
    let id: U256 = keccak256((user(1), user(2), care()).abi_encode()).into();
    assert_eq!(
        (event.scope, event.grantee, event.purpose, event.id),
        (user(1), user(2), care(), id)
    );
    assert_eq!((event.ops, event.form), (READ, keccak256("form")));
    assert_eq!((event.from, event.until), (call.g.from, call.g.until));
    assert!(may_read(&chain, user(1), user(2)));
    assert!(!may_read(&chain, user(1), user(3)), "another user");
    assert!(!may_read(&chain, user(2), user(1)), "another scope");
    assert!(!may(&chain, user(1), user(2), keccak256("research"), READ));
    for op in [0, 1, 3, 4, 8, 18, 255] {
        assert!(!may(&chain, user(1), user(2), care(), op), "operation {op}");
    }
}

#[test]
fn organisations_and_exact_roles_are_granted_to_their_users() {
    let mut chain = Chain::new();
    give(&mut chain, 1, user(1), org(2));
    assert!(may_read(&chain, user(1), user(2)));
    assert!(!may_read(&chain, user(1), user(3)));
    give(&mut chain, 4, user(4), U256::from(4).into());
    assert!(may_read(&chain, user(4), user(0)), "the Administrator");
    assert!(!may_read(&chain, user(4), user(2)), "a Manager");
}

#[test]
fn several_operations_are_allowed_together() {
    let mut chain = Chain::new();
    let mut call = grant(&chain, user(1), user(2));
    call.g.ops = 6;
    chain.ok(1, chain.at.consent_and_access, &call);
    for (op, expected) in [(2, true), (4, true), (6, true), (7, false), (8, false)] {
        assert_eq!(may(&chain, user(1), user(2), care(), op), expected, "{op}");
    }
}

#[test]
fn grants_are_the_owners() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let sensor = chain.register(1, "sensor");
    let personal = grant(&chain, user(1), user(3));
    let call = grant(&chain, sensor, user(3));
    chain.fails::<NotDelegate>(2, at, &personal);
    chain.fails::<NotDelegate>(2, at, &call);
    let unknown = grant(&chain, keccak256("nothing"), user(3));
    chain.fails::<NotDelegate>(1, at, &unknown);
    let stranger = key("stranger").address();
    chain.fails_from::<NotDelegate>(stranger, at, &personal);
    let zero = grant(&chain, B256::ZERO, user(3));
    chain.fails_from::<NotDelegate>(stranger, at, &zero);
    chain.ok(1, at, &call);
    assert!(may_read(&chain, sensor, user(3)));
}

#[test]
fn grants_without_meaning_are_refused() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let good = grant(&chain, user(1), user(2));
    let spoils: [fn(&mut Grant); 5] = [
        |g| g.grantee = B256::ZERO,
        |g| g.form = B256::ZERO,
        |g| g.ops = 0,
        |g| g.ops = 16,
        |g| g.until = g.from,
    ];
    for spoil in spoils {
        let mut call = good.clone();
        spoil(&mut call.g);
        chain.fails::<BadForm>(1, at, &call);
    }
    let mut late = good.clone();
    (late.g.from, late.g.until) = (seconds(1), seconds(chain.time));
    chain.fails::<Ended>(1, at, &late);
}

#[test]
fn grant_begins_and_ends_to_the_second() {
    let mut chain = Chain::new();
    let mut call = grant(&chain, user(1), user(2));
    (call.g.from, call.g.until) = (seconds(chain.time + 10), seconds(chain.time + 20));
    chain.ok(1, chain.at.consent_and_access, &call);
    for (wait, expected) in [(9, false), (1, true), (9, true), (1, false), (1_000, false)] {
        chain.warp(wait);
        assert_eq!(may_read(&chain, user(1), user(2)), expected);
    }
}

#[test]
fn later_grant_replaces_the_earlier_one() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let first = give(&mut chain, 1, user(1), user(2));
    let mut call = grant(&chain, user(1), user(2));
    call.g.ops = 1;
    let event = chain.ok(1, at, &call).event::<Granted>();
    assert_eq!(event.id, first, "one id per scope, grantee and purpose");
    assert!(!may_read(&chain, user(1), user(2)));
    assert!(may(&chain, user(1), user(2), care(), 1));
}

#[test]
fn revocation_counts_in_the_same_block() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let id = give(&mut chain, 1, user(1), user(2));
    chain.fails::<NotDelegate>(2, at, &revokeCall { id });
    let event = chain.ok(1, at, &revokeCall { id }).event::<Revoked>();
    assert_eq!(
        (event.scope, event.grantee, event.purpose, event.id),
        (user(1), user(2), care(), id)
    );
    assert_eq!((event.ops, event.until), (READ, seconds(chain.time)));
    assert!(!may_read(&chain, user(1), user(2)));
    chain.fails::<Ended>(1, at, &revokeCall { id });
    let amend = amendCall {
        id,
        ops: READ,
        until: seconds(chain.time + 9),
    };
    chain.fails::<Ended>(1, at, &amend);
    chain.fails::<NotDelegate>(1, at, &revokeCall { id: U256::ZERO });
}

#[test]
fn suspended_user_still_takes_consent_back_and_gives_none() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let id = give(&mut chain, 1, user(1), user(2));
    set_status(&mut chain, 1, 2);
    let call = grant(&chain, user(1), user(3));
    chain.fails::<NotDelegate>(1, at, &call);
    let mut all = chain.clone();
    all.ok(1, at, &revokeAllCall { scope: user(1) });
    assert!(!may_read(&all, user(1), user(2)));
    chain.ok(1, at, &revokeCall { id });
    assert!(!may_read(&chain, user(1), user(2)));
}

#[test]
fn amendment_changes_operations_and_end() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let id = give(&mut chain, 1, user(1), user(2));
    let until = seconds(chain.time + 2 * DAY);
    let call = |ops, until| amendCall { id, ops, until };
    chain.fails::<NotDelegate>(2, at, &call(3, until));
    chain.fails::<BadForm>(1, at, &call(0, until));
    chain.fails::<BadForm>(1, at, &call(16, until));
    chain.fails::<BadForm>(1, at, &call(3, seconds(chain.time)));
    let event = chain.ok(1, at, &call(1, until)).event::<Amended>();
    assert_eq!(
        (event.scope, event.grantee, event.purpose, event.id),
        (user(1), user(2), care(), id)
    );
    assert_eq!((event.ops, event.until), (1, until));
    assert!(!may_read(&chain, user(1), user(2)));
    chain.warp(2 * DAY - 1);
    assert!(may(&chain, user(1), user(2), care(), 1));
    chain.fails::<Ended>(1, at, &call(1, seconds(chain.time)));
    chain.warp(1);
    let later = seconds(chain.time + 9);
    chain.fails::<Ended>(1, at, &call(1, later));
}

#[test]
fn revoking_all_ends_grants_and_delegations() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let id = give(&mut chain, 1, user(1), user(2));
    give(&mut chain, 1, user(1), org(3));
    let other = give(&mut chain, 4, user(4), user(2));
    let call = delegation(&chain, user(1), user(5));
    chain.ok(1, at, &call);
    let all = revokeAllCall { scope: user(1) };
    chain.fails::<NotOwner>(2, at, &all);
    chain.fails::<NotOwner>(5, at, &all);
    assert_eq!(chain.ok(1, at, &all).event::<RevokedAll>().scope, user(1));
    assert!(!may_read(&chain, user(1), user(2)));
    assert!(!may_read(&chain, user(1), user(3)));
    assert!(may_read(&chain, user(4), user(2)), "another scope");
    chain.fails::<Ended>(1, at, &revokeCall { id });
    chain.ok(4, at, &revokeCall { id: other });
    let call = grant(&chain, user(1), user(2));
    chain.fails::<NotDelegate>(5, at, &call);
    chain.ok(1, at, &call);
    assert!(may_read(&chain, user(1), user(2)), "and begins anew");
    assert!(!may_read(&chain, user(1), user(3)));
}

#[test]
fn delegate_acts_for_the_scope_but_does_not_delegate() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let call = delegation(&chain, user(1), user(5));
    chain.fails::<NotOwner>(5, at, &call);
    let event = chain.ok(1, at, &call).event::<Delegated>();
    assert_eq!((event.scope, event.helper), (user(1), user(5)));
    assert_eq!((event.until, event.form), (call.until, call.form));
    let id = give(&mut chain, 5, user(1), user(2));
    assert!(may_read(&chain, user(1), user(2)));
    let until = seconds(chain.time + 9);
    chain.ok(
        5,
        at,
        &amendCall {
            id,
            ops: READ,
            until,
        },
    );
    chain.ok(5, at, &revokeCall { id });
    let private = setPrivacyCall {
        scope: user(1),
        level: 3,
    };
    chain.ok(5, at, &private);
    let on = delegation(&chain, user(1), user(6));
    chain.fails::<NotOwner>(5, at, &on);
    chain.fails::<NotOwner>(5, at, &revokeAllCall { scope: user(1) });
    let elsewhere = grant(&chain, user(4), user(2));
    chain.fails::<NotDelegate>(5, at, &elsewhere);
    set_status(&mut chain, 5, 2);
    let call = grant(&chain, user(1), user(2));
    chain.fails::<NotDelegate>(5, at, &call);
}

#[test]
fn delegation_ends_with_its_time_or_by_another_one() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let good = delegation(&chain, user(1), user(5));
    let mut nobody = good.clone();
    nobody.helper = B256::ZERO;
    let mut formless = good.clone();
    formless.form = B256::ZERO;
    chain.fails::<BadForm>(1, at, &nobody);
    chain.fails::<BadForm>(1, at, &formless);
    chain.ok(1, at, &good);
    let mut late = chain.clone();
    late.warp(DAY);
    let call = grant(&late, user(1), user(2));
    late.fails::<NotDelegate>(5, at, &call);
    let mut end = good;
    end.until = seconds(chain.time);
    chain.ok(1, at, &end);
    let call = grant(&chain, user(1), user(2));
    chain.fails::<NotDelegate>(5, at, &call);
}

#[test]
fn new_owner_of_a_resource_inherits_no_grant_and_no_delegate() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let registry = chain.at.sensor_registry;
    let id = chain.register(1, "sensor");
    let granted = give(&mut chain, 1, id, user(2));
    let call = delegation(&chain, id, user(5));
    chain.ok(1, at, &call);
    for (from, to) in [(1, 3), (3, 1)] {
        chain.warp(1);
        let transfer = SensorRegistry::transferCall { id, toOrg: org(to) };
        chain.ok(from, registry, &transfer);
        chain.ok(to, registry, &SensorRegistry::acceptCall { id });
        assert!(!may_read(&chain, id, user(2)), "{to}");
        chain.fails::<NotDelegate>(5, at, &grant(&chain, id, user(2)));
        chain.fails::<NotDelegate>(from, at, &revokeCall { id: granted });
        chain.fails::<Ended>(to, at, &revokeCall { id: granted });
    }
    give(&mut chain, 1, id, user(4));
    assert!(may_read(&chain, id, user(4)));
    assert!(!may_read(&chain, id, user(2)), "still not");
}

#[test]
fn resource_that_changes_hands_within_a_second_keeps_no_grant() {
    let mut chain = Chain::new();
    let id = chain.register(1, "sensor");
    give(&mut chain, 1, id, user(2));
    let registry = chain.at.sensor_registry;
    let transfer = SensorRegistry::transferCall { id, toOrg: org(3) };
    chain.ok(1, registry, &transfer);
    chain.ok(3, registry, &SensorRegistry::acceptCall { id });
    assert!(!may_read(&chain, id, user(2)));
}

#[test]
fn erasure_of_owner_or_reader_ends_access() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let id = give(&mut chain, 1, user(1), user(2));
    let erase = |index| Identity::eraseCall {
        userId: user(index),
    };
    let mut reader = chain.clone();
    reader.ok(2, reader.at.identity, &erase(2));
    assert!(!may_read(&reader, user(1), user(2)));
    chain.ok(1, chain.at.identity, &erase(1));
    assert!(!may_read(&chain, user(1), user(2)));
    chain.fails::<NotDelegate>(1, at, &revokeCall { id });
    let call = grant(&chain, user(1), user(2));
    chain.fails::<NotDelegate>(1, at, &call);
}

#[test]
fn suspended_or_expelled_reader_is_not_allowed() {
    let mut chain = Chain::new();
    give(&mut chain, 1, user(1), org(2));
    give(&mut chain, 1, user(1), user(2));
    set_status(&mut chain, 2, 2);
    assert!(!may_read(&chain, user(1), user(2)));
    set_status(&mut chain, 2, 1);
    assert!(may_read(&chain, user(1), user(2)));
}

#[test]
fn resource_under_a_users_id_gives_nobody_power_over_the_user() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    give(&mut chain, 1, user(1), user(2));
    let device = key("imposter");
    let call = chain.registration(3, user(1), &device);
    chain.ok(3, chain.at.sensor_registry, &call);
    let call = grant(&chain, user(1), user(3));
    chain.fails::<NotDelegate>(3, at, &call);
    chain.fails::<NotOwner>(3, at, &revokeAllCall { scope: user(1) });
    assert!(may_read(&chain, user(1), user(2)));
    // Nor does a resource under an organisation's id take its questions.
    let device = key("second imposter");
    let call = chain.registration(3, org(1), &device);
    chain.ok(3, chain.at.sensor_registry, &call);
    let id = ask(&mut chain, 2, org(1));
    let answer = answerCall {
        id,
        doc: keccak256("answer"),
    };
    chain.fails::<NotOwner>(3, at, &answer);
    chain.ok(1, at, &answer);
}

#[test]
fn brought_grant_is_the_owners_in_time_and_works_once() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let g = grant(&chain, user(2), user(3)).g;
    let deadline = chain.deadline();
    let message = eip712::GrantFor {
        scope: g.scope,
        grantee: g.grantee,
        purpose: g.purpose,
        ops: g.ops,
        from: g.from,
        until: g.until,
        form: g.form,
        deadline,
    };
    let call = |chain: &Chain, signer| grantForCall {
        g: g.clone(),
        deadline,
        ownerSig: chain.sign_packed(signer, "ConsentAndAccess", &message),
    };
    chain.fails::<NotOwner>(9, at, &call(&chain, 3));
    let mut more = call(&chain, 2);
    more.g.ops = 15;
    chain.fails::<NotOwner>(9, at, &more);
    let mut unsigned = call(&chain, 2);
    unsigned.ownerSig = Bytes::new();
    chain.fails::<NotOwner>(9, at, &unsigned);
    let mut late = chain.clone();
    late.warp(3_601);
    late.fails::<Ended>(9, at, &call(&late, 2));
    let id = chain.ok(9, at, &call(&chain, 2)).event::<Granted>().id;
    assert!(may_read(&chain, user(2), user(3)));
    chain.ok(2, at, &revokeCall { id });
    chain.fails::<Ended>(9, at, &call(&chain, 2));
    assert!(!may_read(&chain, user(2), user(3)), "no replay revives it");
}

#[test]
fn access_is_logged_by_managers_only() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let call = logAccessCall {
        scope: user(1),
        actor: user(2),
        profile: 7,
        action: READ,
        purpose: care(),
        detail: keccak256("detail"),
    };
    let stranger = key("stranger").address();
    chain.fails_from::<NotPermitted>(stranger, at, &call);
    let event = chain.ok(3, at, &call).event::<Accessed>();
    assert_eq!(
        (event.scope, event.actor, event.by),
        (user(1), user(2), org(3))
    );
    assert_eq!((event.profile, event.action), (7, READ));
    assert_eq!((event.purpose, event.detail), (care(), keccak256("detail")));
}

fn ask(chain: &mut Chain, by: usize, scope: B256) -> U256 {
    let call = askCall {
        scope,
        kind: 2,
        doc: keccak256("question"),
    };
    chain
        .ok(by, chain.at.consent_and_access, &call)
        .event::<Asked>()
        .id
}

#[test]
fn questions_go_to_organisations_and_are_answered_once() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let sensor = chain.register(1, "sensor");
    let question = |scope, kind| askCall {
        scope,
        kind,
        doc: keccak256("question"),
    };
    let stranger = key("stranger").address();
    chain.fails_from::<NotPermitted>(stranger, at, &question(sensor, 0));
    chain.fails::<BadForm>(2, at, &question(sensor, 6));
    chain.fails::<BadForm>(2, at, &question(keccak256("nothing"), 0));
    let event = chain.ok(2, at, &question(sensor, 2)).event::<Asked>();
    assert_eq!(
        (event.id, event.scope, event.by),
        (U256::ONE, sensor, user(2))
    );
    assert_eq!((event.kind, event.doc), (2, keccak256("question")));
    assert_eq!(event.due, seconds(chain.time + 30 * DAY));
    let id = event.id;
    let doc = keccak256("answer");
    let answer = answerCall { id, doc };
    chain.fails::<NotOwner>(2, at, &answer);
    chain.fails::<NotOwner>(
        1,
        at,
        &answerCall {
            id: U256::from(9),
            doc,
        },
    );
    let empty = answerCall {
        id,
        doc: B256::ZERO,
    };
    chain.fails::<BadForm>(1, at, &empty);
    let event = chain.ok(1, at, &answer).event::<Answered>();
    assert_eq!((event.id, event.doc), (id, doc));
    chain.fails::<Ended>(1, at, &answer);
}

#[test]
fn unanswered_question_is_overdue_after_thirty_days() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let sensor = chain.register(1, "sensor");
    let (first, second) = (ask(&mut chain, 2, sensor), ask(&mut chain, 2, org(1)));
    chain.warp(30 * DAY);
    assert!(!chain.view(at, &overdueCall { id: first }));
    chain.warp(1);
    assert!(chain.view(at, &overdueCall { id: first }));
    let answer = answerCall {
        id: second,
        doc: keccak256("answer"),
    };
    chain.ok(1, at, &answer);
    assert!(!chain.view(at, &overdueCall { id: second }));
    assert!(!chain.view(at, &overdueCall { id: U256::from(9) }));
}

#[test]
fn breaches_are_told_in_batches_and_privacy_is_the_owners() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let call = |count: usize| notifyBreachCall {
        scopes: vec![user(1); count],
        notice: keccak256("notice"),
    };
    let stranger = key("stranger").address();
    chain.fails_from::<NotPermitted>(stranger, at, &call(1));
    chain.fails::<OutOfRange>(3, at, &call(65));
    let event = chain.ok(3, at, &call(1)).event::<Breach>();
    assert_eq!((event.scope, event.by), (user(1), org(3)));
    assert_eq!(chain.ok(3, at, &call(64)).logs.len(), 64);
    let private = setPrivacyCall {
        scope: user(1),
        level: 3,
    };
    chain.fails::<NotDelegate>(2, at, &private);
    let event = chain.ok(1, at, &private).event::<PrivacySet>();
    assert_eq!((event.scope, event.level), (user(1), 3));
}

#[test]
fn guardian_stops_new_consent_but_no_revocation() {
    use medina_contracts::gatekeeper::Gatekeeper;
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let id = give(&mut chain, 1, user(1), user(2));
    let asked = ask(&mut chain, 2, org(1));
    let close = Gatekeeper::closeCall { target: at };
    chain.ok(0, chain.at.gatekeeper, &close);
    let call = grant(&chain, user(1), user(3));
    chain.fails::<AccessManagedUnauthorized>(1, at, &call);
    let call = delegation(&chain, user(1), user(3));
    chain.fails::<AccessManagedUnauthorized>(1, at, &call);
    chain.ok(1, at, &revokeCall { id });
    chain.ok(1, at, &revokeAllCall { scope: user(1) });
    let answer = answerCall {
        id: asked,
        doc: keccak256("answer"),
    };
    chain.ok(1, at, &answer);
}

#[test]
fn market_sells_what_the_patient_consents_to() {
    let mut chain = Chain::new();
    let market = chain.at.data_marketplace;
    let sensor = chain.register(1, "sensor");
    let mut listing = chain.listing(1, sensor, TOKEN);
    (listing.price, listing.unit, listing.consentScope) = (3, 1_000, user(4));
    let listing = chain.list(1, listing);
    chain.approve(2, 10 * TOKEN);
    let mut call = chain.purchase(2, listing, TOKEN);
    chain.fails::<DataMarketplace::NoConsent>(2, market, &call);
    let id = give(&mut chain, 4, user(4), user(2));
    chain.fails::<DataMarketplace::NoConsent>(2, market, &call);
    call.purpose = care();
    let mut for_another = call.clone();
    for_another.user = chain.account(3);
    chain.fails::<DataMarketplace::NoConsent>(2, market, &for_another);
    let order = chain
        .ok(2, market, &call)
        .event::<DataMarketplace::Bought>()
        .order;
    let renew = DataMarketplace::renewCall {
        order,
        periods: 1,
        maxAmount: TOKEN,
    };
    chain.ok(2, market, &renew);
    chain.ok(4, chain.at.consent_and_access, &revokeCall { id });
    chain.fails::<DataMarketplace::NoConsent>(2, market, &renew);
    chain.fails::<DataMarketplace::NoConsent>(2, market, &call);
}
