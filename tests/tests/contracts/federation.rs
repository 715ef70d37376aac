//! FederationRegistry: founding, joining, leaving and sharing.

use crate::harness::{Chain, GENESIS_TIME, org, seconds};
use alloy_primitives::{B256, keccak256};
use medina_contracts::{
    federation_registry::{FederationRegistry::*, IFederationRegistry::Constraint},
    sensor_registry::SensorRegistry,
};

fn create(name: &str, invites: &[usize]) -> createCall {
    createCall {
        id: keccak256(name),
        name: keccak256(name),
        open: false,
        quorumBps: 0,
        infoModel: B256::ZERO,
        c: Vec::new(),
        invites: invites.iter().map(|index| org(*index)).collect(),
    }
}

fn constraint() -> Constraint {
    Constraint {
        metric: 0,
        op: 1,
        threshold: 9_000,
        durationDays: 1,
        resourceType: 0,
    }
}

fn is_shared(chain: &Chain, fed: B256, resource: B256) -> (bool, bool) {
    let found = chain.view(
        chain.at.federation_registry,
        &isSharedCall { fed, resource },
    );
    (found.shared, found.bartered)
}

/// Organisations 1 and 2 are members; 1 shares a sensor for barter.
fn sharing() -> (Chain, B256, B256) {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let sensor = chain.register(1, "sensor");
    let share = shareCall {
        fed,
        resources: vec![sensor],
        bartered: vec![true],
    };
    chain.ok(1, chain.at.federation_registry, &share);
    (chain, fed, sensor)
}

#[test]
fn founding_needs_somebody_who_acts_a_new_id_and_bounded_lists() {
    let mut chain = Chain::new();
    let at = chain.at.federation_registry;
    chain.fails_from::<NotPermitted>(
        crate::harness::key("stranger").address(),
        at,
        &create("fed", &[]),
    );
    chain.fails::<BadRequest>(
        1,
        at,
        &createCall {
            id: B256::ZERO,
            ..create("fed", &[])
        },
    );
    chain.fails::<BadRequest>(
        1,
        at,
        &createCall {
            quorumBps: 10_001,
            ..create("fed", &[])
        },
    );
    chain.fails::<BadRequest>(
        1,
        at,
        &createCall {
            c: vec![constraint(); 17],
            ..create("fed", &[])
        },
    );
    chain.fails::<BadRequest>(
        1,
        at,
        &createCall {
            invites: vec![org(2); 65],
            ..create("fed", &[])
        },
    );
    let with_rules = createCall {
        c: vec![constraint(); 16],
        ..create("fed", &[2])
    };
    chain.ok(1, at, &with_rules).event::<Created>();
    chain.fails::<Duplicate>(2, at, &create("fed", &[]));
    let fed = keccak256("fed");
    assert_eq!(chain.view(at, &constraintsCall { fed }).len(), 16);
    let found = chain.view(at, &getCall { fed });
    assert_eq!(
        (found.members, found.version, found.created),
        (1, 1, seconds(GENESIS_TIME))
    );
}

#[test]
fn joining_needs_an_invitation_and_the_read_version() {
    let mut chain = Chain::new();
    let at = chain.at.federation_registry;
    let fed = keccak256("fed");
    chain.ok(1, at, &create("fed", &[2]));
    chain.fails::<NotInvited>(3, at, &acceptCall { fed, version: 1 });
    chain.fails::<StaleVersion>(2, at, &acceptCall { fed, version: 2 });
    chain.fails::<Unknown>(
        2,
        at,
        &acceptCall {
            fed: B256::ZERO,
            version: 1,
        },
    );
    chain
        .ok(2, at, &acceptCall { fed, version: 1 })
        .event::<Joined>();
    chain.fails::<Duplicate>(2, at, &acceptCall { fed, version: 1 });
    chain.fails::<NotMember>(3, at, &inviteCall { fed, org: org(4) });
    chain
        .ok(2, at, &inviteCall { fed, org: org(3) })
        .event::<Invited>();
    chain.fails::<Duplicate>(2, at, &inviteCall { fed, org: org(1) });
    chain.ok(3, at, &declineCall { fed }).event::<Declined>();
    chain.fails::<NotInvited>(3, at, &declineCall { fed });
    chain.fails::<NotInvited>(3, at, &acceptCall { fed, version: 1 });
}

#[test]
fn open_federation_needs_no_invitation_and_a_quorum_needs_a_ballot() {
    let mut chain = Chain::new();
    let at = chain.at.federation_registry;
    chain.ok(
        1,
        at,
        &createCall {
            open: true,
            ..create("open", &[])
        },
    );
    chain.ok(
        3,
        at,
        &acceptCall {
            fed: keccak256("open"),
            version: 1,
        },
    );
    chain.ok(
        1,
        at,
        &createCall {
            quorumBps: 5_000,
            ..create("closed", &[])
        },
    );
    let invite = inviteCall {
        fed: keccak256("closed"),
        org: org(2),
    };
    chain.fails::<QuorumMissing>(1, at, &invite);
}

#[test]
fn last_leaver_removes_the_federation() {
    let (mut chain, fed, sensor) = sharing();
    let at = chain.at.federation_registry;
    chain.fails::<NotMember>(3, at, &leaveFederationCall { fed });
    chain.warp(50);
    chain
        .ok(1, at, &leaveFederationCall { fed })
        .event::<Left>();
    assert_eq!(is_shared(&chain, fed, sensor), (false, false));
    chain
        .ok(2, at, &leaveFederationCall { fed })
        .event::<Removed>();
    let found = chain.view(at, &getCall { fed });
    assert_eq!(
        (found.members, found.removed),
        (0, seconds(GENESIS_TIME + 50))
    );
    chain.fails::<Unknown>(1, at, &acceptCall { fed, version: 1 });
    let membership = chain.view(at, &membershipCall { fed, org: org(2) });
    assert_eq!(
        (membership.joined, membership.left),
        (seconds(GENESIS_TIME), found.removed)
    );
}

#[test]
fn sharing_is_the_owners_and_a_members() {
    let (mut chain, fed, sensor) = sharing();
    let at = chain.at.federation_registry;
    assert_eq!(is_shared(&chain, fed, sensor), (true, true));
    let share = shareCall {
        fed,
        resources: vec![sensor],
        bartered: vec![false],
    };
    chain.fails::<NotMember>(3, at, &share);
    chain.fails::<NotOwner>(2, at, &share);
    chain.fails::<BadRequest>(
        1,
        at,
        &shareCall {
            bartered: vec![],
            ..share.clone()
        },
    );
    chain.ok(1, at, &share).event::<Shared>();
    assert_eq!(is_shared(&chain, fed, sensor), (true, false));
    let unshare = unshareCall {
        fed,
        resources: vec![sensor],
    };
    chain.fails::<NotOwner>(2, at, &unshare);
    chain.ok(1, at, &unshare).event::<Unshared>();
    chain.fails::<NotShared>(1, at, &unshare);
}

#[test]
fn share_ends_with_membership_ownership_or_resource() {
    let (chain, fed, sensor) = sharing();
    let registry = chain.at.sensor_registry;

    let mut paused = chain.clone();
    paused.ok(
        1,
        registry,
        &SensorRegistry::setStatusCall {
            id: sensor,
            status: 2,
        },
    );
    assert!(!is_shared(&paused, fed, sensor).0);

    let mut moved = chain.clone();
    moved.warp(1);
    moved.ok(
        1,
        registry,
        &SensorRegistry::transferCall {
            id: sensor,
            toOrg: org(2),
        },
    );
    moved.ok(2, registry, &SensorRegistry::acceptCall { id: sensor });
    assert!(!is_shared(&moved, fed, sensor).0);

    let mut rejoined = chain;
    let at = rejoined.at.federation_registry;
    rejoined.ok(1, at, &leaveFederationCall { fed });
    rejoined.ok(2, at, &inviteCall { fed, org: org(1) });
    rejoined.ok(1, at, &acceptCall { fed, version: 1 });
    assert!(
        !is_shared(&rejoined, fed, sensor).0,
        "a new membership starts without shares"
    );
}

#[test]
fn access_is_for_members_to_what_is_shared() {
    let (chain, fed, sensor) = sharing();
    let allowed = |client: usize| {
        let call = accessAllowedCall {
            fed,
            resource: sensor,
            clientOrg: org(client),
        };
        let found = chain.view(chain.at.federation_registry, &call);
        (found.allowed, found.bartered)
    };
    assert_eq!((allowed(2), allowed(3)), ((true, true), (false, false)));
}

#[test]
fn history_tells_of_the_newest_sixteen_memberships() {
    let mut chain = Chain::new();
    let at = chain.at.federation_registry;
    for index in 0..20 {
        chain.ok(1, at, &create(&format!("fed {index}"), &[]));
        chain.warp(10);
        chain.ok(
            1,
            at,
            &leaveFederationCall {
                fed: keccak256(format!("fed {index}")),
            },
        );
    }
    let history = chain.view(at, &historyCall { org: org(1) });
    assert_eq!(history.len(), 16);
    let mut created: Vec<_> = history.iter().map(|entry| entry[0]).collect();
    created.sort();
    assert_eq!(created[0], seconds(GENESIS_TIME + 40));
    for [created, removed, joined, left] in history {
        assert_eq!((created, removed), (joined, left));
    }
}

#[test]
fn membership_of_a_revoked_organisation_lapses() {
    use medina_contracts::identity::Identity::setOrgCall;
    let (mut chain, fed, sensor) = sharing();
    let at = chain.at.federation_registry;
    let lapse = lapseCall { fed, org: org(1) };
    chain.fails::<TooEarly>(9, at, &lapse);
    let revoke = setOrgCall {
        org: org(1),
        admin: chain.account(1),
        s: 3,
        meta: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &revoke);
    chain.ok(9, at, &lapse).event::<Left>();
    chain.fails::<NotMember>(9, at, &lapse);
    assert!(!is_shared(&chain, fed, sensor).0);
}

#[test]
fn subscription_says_what_a_member_looks_for() {
    let (mut chain, fed, _) = sharing();
    let at = chain.at.federation_registry;
    let wish = subscribeCall {
        fed,
        types: 0b101,
        topics: vec![keccak256("no2"), keccak256("noise")],
        cells: vec![7, 9],
    };
    let said: Subscribed = chain.ok(2, at, &wish).event();
    assert_eq!((said.fed, said.org, said.types), (fed, org(2), wish.types));
    assert_eq!((&said.topics, &said.cells), (&wish.topics, &wish.cells));
    chain.fails::<NotMember>(3, at, &wish);
    let too_many = subscribeCall {
        topics: vec![B256::ZERO; 65],
        ..wish.clone()
    };
    chain.fails::<BadRequest>(2, at, &too_many);
    let too_wide = subscribeCall {
        cells: vec![0; 65],
        ..wish
    };
    chain.fails::<BadRequest>(2, at, &too_wide);
}
