//! Identity: enrolment, approval, roles, status, rotation and erasure.

use crate::harness::{Chain, key, org, seconds, sign, user};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_signer_local::PrivateKeySigner;
use medina_contracts::{
    eip712,
    identity::{
        IIdentity::{self, User},
        Identity::*,
    },
    values::IdentityStatus as Status,
};

/// A certified person who wants into organisation 1.
fn enrolment(chain: &Chain) -> eip712::Enrolment {
    eip712::Enrolment {
        userId: keccak256("ada"),
        nullifier: keccak256("nullifier of ada"),
        org: org(1),
        account: key("ada").address(),
        role: 1,
        expires: seconds(chain.time + 365 * 86_400),
        terms: keccak256("terms"),
        deadline: chain.deadline(),
    }
}

fn call(e: &eip712::Enrolment, certifier: Address, sig: Bytes) -> enrolCall {
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
    enrolCall { e, certifier, sig }
}

/// Certified by account 0.
fn certified(chain: &Chain, e: &eip712::Enrolment) -> enrolCall {
    call(e, chain.account(0), chain.sign(0, "Identity", e))
}

fn role(chain: &Chain, account: Address) -> u8 {
    chain.view(chain.at.identity, &roleOfCall { a: account })
}

fn get(chain: &Chain, user_id: B256) -> User {
    chain.view(chain.at.identity, &getUserCall { userId: user_id })
}

fn status(chain: &Chain, user_id: B256) -> Status {
    get(chain, user_id).status.try_into().unwrap()
}

/// Ada is an approved Member of organisation 1.
fn with_ada() -> (Chain, PrivateKeySigner, B256) {
    let mut chain = Chain::new();
    let e = enrolment(&chain);
    chain.ok(9, chain.at.identity, &certified(&chain, &e));
    chain.ok(1, chain.at.identity, &approveCall { userId: e.userId });
    (chain, key("ada"), e.userId)
}

#[test]
fn enrolment_is_refused_for_every_broken_part() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    let good = enrolment(&chain);
    let by_stranger = call(&good, chain.account(5), chain.sign(5, "Identity", &good));
    chain.fails::<NotCertifier>(9, at, &by_stranger);
    let forged = call(&good, chain.account(0), chain.sign(5, "Identity", &good));
    chain.fails::<BadSignature>(9, at, &forged);
    let with = |change: &dyn Fn(&mut eip712::Enrolment)| {
        let mut e = enrolment(&chain);
        change(&mut e);
        certified(&chain, &e)
    };
    let late = with(&|e| e.deadline = seconds(chain.time - 1));
    let expired = with(&|e| e.expires = seconds(chain.time));
    let too_high = with(&|e| e.role = 3);
    let no_role = with(&|e| e.role = 0);
    let unknown = with(&|e| e.org = keccak256("nobody"));
    let taken_id = with(&|e| e.userId = user(1));
    let id_of_org = with(&|e| e.userId = org(2));
    let taken_account = with(&|e| e.account = chain.account(1));
    chain.fails::<Expired>(9, at, &late);
    chain.fails::<Expired>(9, at, &expired);
    chain.fails::<RoleTooHigh>(9, at, &too_high);
    chain.fails::<RoleTooHigh>(9, at, &no_role);
    chain.fails::<UnknownOrg>(9, at, &unknown);
    chain.fails::<IdTaken>(9, at, &taken_id);
    chain.fails::<IdTaken>(9, at, &id_of_org);
    chain.fails::<AccountTaken>(9, at, &taken_account);
    let set = setOrgCall {
        org: org(1),
        admin: chain.account(1),
        s: Status::Suspended.into(),
        meta: B256::ZERO,
    };
    chain.ok(0, at, &set);
    let into_suspended = certified(&chain, &good);
    chain.fails::<OrgInactive>(9, at, &into_suspended);
}

#[test]
fn enrolment_waits_for_the_org_admin_and_works_once() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    let e = enrolment(&chain);
    let call = certified(&chain, &e);
    chain.ok(9, at, &call).event::<Enrolled>();
    assert_eq!(
        (status(&chain, e.userId), role(&chain, e.account)),
        (Status::Pending, 0)
    );
    chain.fails::<NotAllowed>(2, at, &approveCall { userId: e.userId });
    chain.ok(1, at, &approveCall { userId: e.userId });
    assert_eq!(role(&chain, e.account), 1);
    chain.fails::<NotAllowed>(1, at, &approveCall { userId: e.userId });
    chain.fails::<Nullified>(9, at, &call);
    let mut twin = e;
    twin.userId = keccak256("ada again");
    twin.account = key("ada again").address();
    let twin = certified(&chain, &twin);
    chain.fails::<Nullified>(9, at, &twin);
}

#[test]
fn admins_own_call_needs_no_approval_and_individuals_are_their_own_org() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    let e = enrolment(&chain);
    let call = certified(&chain, &e);
    chain.ok(1, at, &call);
    assert_eq!(status(&chain, e.userId), Status::Active);

    let mut alone = enrolment(&chain);
    (alone.userId, alone.org) = (keccak256("bob"), keccak256("bob"));
    (alone.nullifier, alone.account) = (keccak256("nullifier of bob"), key("bob").address());
    let call = certified(&chain, &alone);
    chain.ok(9, at, &call);
    assert_eq!(role(&chain, alone.account), 1);
    let found = chain.view(at, &getOrgCall { org: alone.org });
    assert_eq!((found.admin, found.status), (alone.account, 1));
    let register = registerOrgCall {
        org: alone.org,
        admin: chain.account(5),
        meta: B256::ZERO,
    };
    chain.fails::<IdTaken>(0, at, &register);
}

#[test]
fn roles_end_with_time_user_and_organisation() {
    let (chain, ada, _) = with_ada();
    let mut later = chain.clone();
    later.warp(365 * 86_400);
    assert_eq!(role(&later, ada.address()), 0);
    let mut suspended = chain;
    let set = setOrgCall {
        org: org(1),
        admin: suspended.account(1),
        s: Status::Suspended.into(),
        meta: B256::ZERO,
    };
    suspended.ok(0, suspended.at.identity, &set);
    assert_eq!(
        (
            role(&suspended, ada.address()),
            role(&suspended, suspended.account(1))
        ),
        (0, 0)
    );
}

#[test]
fn organisations_are_the_administrators() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    let register = registerOrgCall {
        org: keccak256("new"),
        admin: chain.account(5),
        meta: B256::ZERO,
    };
    chain.fails::<NotAllowed>(1, at, &register);
    chain.ok(0, at, &register).event::<OrgSet>();
    chain.fails::<IdTaken>(0, at, &register);
    let set = |org: B256, s: Status| setOrgCall {
        org,
        admin: key("x").address(),
        s: s.into(),
        meta: B256::ZERO,
    };
    chain.fails::<NotAllowed>(1, at, &set(org(2), Status::Active));
    chain.fails::<UnknownOrg>(0, at, &set(keccak256("nobody"), Status::Active));
    chain.fails::<NotAllowed>(0, at, &set(org(2), Status::Erased));
    chain.ok(0, at, &set(org(2), Status::Revoked));
    chain.fails::<OrgInactive>(0, at, &set(org(2), Status::Active));
}

#[test]
fn last_administrator_cannot_go_by_any_call() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    let admin = chain.account(0);
    let set = setOrgCall {
        org: org(0),
        admin,
        s: Status::Suspended.into(),
        meta: B256::ZERO,
    };
    chain.fails::<NotAllowed>(0, at, &set);
    chain.fails::<NotAllowed>(
        0,
        at,
        &setRoleCall {
            userId: user(0),
            role: 2,
        },
    );
    chain.fails::<NotAllowed>(0, at, &eraseCall { userId: user(0) });
    for s in [Status::Suspended, Status::Revoked] {
        let call = setStatusCall {
            userId: user(0),
            s: s.into(),
            reason: B256::ZERO,
        };
        chain.fails::<NotAllowed>(0, at, &call);
    }
    chain.ok(
        0,
        at,
        &setRoleCall {
            userId: user(1),
            role: 4,
        },
    );
    chain.ok(0, at, &eraseCall { userId: user(0) });
    assert_eq!(role(&chain, chain.account(1)), 4);
    chain.fails::<NotAllowed>(1, at, &eraseCall { userId: user(1) });
}

#[test]
fn org_admins_set_roles_up_to_manager() {
    let (mut chain, ada, id) = with_ada();
    let at = chain.at.identity;
    chain.fails::<NotAllowed>(
        2,
        at,
        &setRoleCall {
            userId: id,
            role: 2,
        },
    );
    chain.fails::<RoleTooHigh>(
        1,
        at,
        &setRoleCall {
            userId: id,
            role: 3,
        },
    );
    chain.fails::<RoleTooHigh>(
        0,
        at,
        &setRoleCall {
            userId: id,
            role: 5,
        },
    );
    chain
        .ok(
            1,
            at,
            &setRoleCall {
                userId: id,
                role: 2,
            },
        )
        .event::<RoleSet>();
    chain.ok(
        0,
        at,
        &setRoleCall {
            userId: id,
            role: 3,
        },
    );
    assert_eq!(role(&chain, ada.address()), 3);
    chain.fails::<RoleTooHigh>(
        1,
        at,
        &setRoleCall {
            userId: id,
            role: 1,
        },
    );
}

#[test]
fn suspension_is_lifted_by_the_same_level_or_above() {
    let (mut chain, ada, id) = with_ada();
    let at = chain.at.identity;
    let set = |s: Status| setStatusCall {
        userId: id,
        s: s.into(),
        reason: keccak256("why"),
    };
    chain.fails::<NotAllowed>(2, at, &set(Status::Suspended));
    chain
        .ok(0, at, &set(Status::Suspended))
        .event::<StatusSet>();
    assert_eq!((get(&chain, id).level, role(&chain, ada.address())), (4, 0));
    chain.fails::<NotAllowed>(1, at, &set(Status::Active));
    chain.ok(0, at, &set(Status::Active));
    chain.ok(1, at, &set(Status::Suspended));
    chain.ok(1, at, &set(Status::Active));
    chain.fails::<NotAllowed>(1, at, &set(Status::Erased));
    chain.ok(1, at, &set(Status::Revoked));
    chain.fails::<NotAllowed>(0, at, &set(Status::Active));
    chain.fails::<NotAllowed>(
        0,
        at,
        &setRoleCall {
            userId: id,
            role: 4,
        },
    );
}

#[test]
fn rotation_needs_holder_or_certifier_and_the_next_account() {
    let (mut chain, ada, id) = with_ada();
    let at = chain.at.identity;
    let next = key("next");
    let deadline = chain.deadline();
    let message = eip712::Rotation {
        userId: id,
        next: next.address(),
        deadline,
    };
    let rotate = |sig: Bytes| rotateCall {
        userId: id,
        next: next.address(),
        deadline,
        nextSig: sig,
    };
    let good = rotate(sign(&next, &chain.domain("Identity"), &message));
    chain.fails::<NotAllowed>(2, at, &good);
    let forged = rotate(sign(&ada, &chain.domain("Identity"), &message));
    chain.fails_from::<BadSignature>(ada.address(), at, &forged);
    let mut late = chain.clone();
    late.warp(3_601);
    late.fails_from::<Expired>(ada.address(), at, &good);
    let mut lost = chain.clone();
    lost.ok(0, at, &good);
    assert!(chain.call(ada.address(), at, &good).success);
    assert_eq!(
        (role(&chain, ada.address()), role(&chain, next.address())),
        (0, 1)
    );
    chain.fails_from::<AccountTaken>(next.address(), at, &good);
}

#[test]
fn agreement_to_a_rotation_works_once_however_the_id_moves() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    let deadline = chain.deadline();
    let to = |chain: &Chain, name: &str| {
        let next = key(name).address();
        let message = eip712::Rotation {
            userId: user(1),
            next,
            deadline,
        };
        let sig = sign(&key(name), &chain.domain("Identity"), &message);
        rotateCall {
            userId: user(1),
            next,
            deadline,
            nextSig: sig,
        }
    };
    let (first, second) = (to(&chain, "first"), to(&chain, "second"));
    chain.ok(1, at, &first);
    assert!(chain.call(key("first").address(), at, &second).success);
    chain.fails_from::<BadSignature>(key("second").address(), at, &first);
}

#[test]
fn rotation_moves_the_admin_along() {
    let mut chain = Chain::new();
    let next = key("next");
    let deadline = chain.deadline();
    let message = eip712::Rotation {
        userId: user(1),
        next: next.address(),
        deadline,
    };
    let sig = sign(&next, &chain.domain("Identity"), &message);
    let call = rotateCall {
        userId: user(1),
        next: next.address(),
        deadline,
        nextSig: sig,
    };
    chain.ok(1, chain.at.identity, &call);
    assert_eq!(
        chain
            .view(chain.at.identity, &getOrgCall { org: org(1) })
            .admin,
        next.address()
    );
}

#[test]
fn renewal_only_prolongs() {
    let (mut chain, _, id) = with_ada();
    let at = chain.at.identity;
    let expires = seconds(chain.time + 700 * 86_400);
    let message = eip712::Renewal {
        userId: id,
        expires,
    };
    let certifier = chain.account(0);
    let good = renewCall {
        userId: id,
        expires,
        certifier,
        sig: chain.sign(0, "Identity", &message),
    };
    let forged = renewCall {
        sig: chain.sign(1, "Identity", &message),
        ..good.clone()
    };
    chain.fails::<BadSignature>(9, at, &forged);
    let other = renewCall {
        certifier: chain.account(1),
        ..good.clone()
    };
    chain.fails::<NotCertifier>(9, at, &other);
    chain.ok(9, at, &good);
    chain.fails::<Expired>(9, at, &good);
    assert_eq!(get(&chain, id).expires, expires);
}

#[test]
fn erased_id_keeps_its_nullifier_for_360_days_and_never_revives() {
    let (mut chain, ada, id) = with_ada();
    let at = chain.at.identity;
    let nullifier = keccak256("nullifier of ada");
    chain.fails::<NotAllowed>(1, at, &eraseCall { userId: id });
    chain.fails::<NotAllowed>(0, at, &forgetCall { nullifier });
    assert!(
        chain
            .call(ada.address(), at, &eraseCall { userId: id })
            .success
    );
    let found = get(&chain, id);
    assert_eq!(
        (found.account, found.org, found.certifier),
        (Address::ZERO, B256::ZERO, Address::ZERO)
    );
    assert_eq!(found.expires, seconds(chain.time));
    assert_eq!(chain.view(at, &idOfCall { a: ada.address() }), B256::ZERO);

    let mut again = enrolment(&chain);
    let call = certified(&chain, &again);
    chain.fails::<Nullified>(9, at, &call);
    again.nullifier = keccak256("another");
    let call = certified(&chain, &again);
    chain.fails::<IdTaken>(9, at, &call);

    chain.warp(360 * 86_400);
    chain.fails::<NotCertifier>(1, at, &forgetCall { nullifier });
    chain.ok(0, at, &forgetCall { nullifier });
    let mut fresh = enrolment(&chain);
    fresh.userId = keccak256("ada, new life");
    let call = certified(&chain, &fresh);
    chain.ok(9, at, &call);
}
