//! FederationRegistry: what members decide by ballot, new rules that must be accepted, shares that end and go on.

use crate::harness::{Chain, GENESIS_TIME, Outcome, org, seconds};
use alloy_primitives::{B256, Bytes, U256, Uint, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{
    federation_ballots::FederationBallots,
    federation_registry::{FederationRegistry::*, IFederationRegistry::Constraint},
    sensor_registry::SensorRegistry,
    sla_registry::SlaRegistry,
    values::FederationBallotKind as Kind,
};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Availability of at least `threshold` basis points over windows of so many days, for all types.
pub(crate) fn availability(threshold: i64, days: u16) -> Constraint {
    Constraint {
        metric: 0,
        op: 1,
        threshold,
        durationDays: days,
        resourceType: 0,
    }
}

/// Data of a ballot on a policy.
pub(crate) fn policy(
    constraint: u8,
    count: u8,
    interval: u32,
    penalties: (u8, u32, u128),
) -> Bytes {
    let (penalty_count, penalty_interval, amount) = penalties;
    let words = [
        U256::from(constraint),
        U256::from(count),
        U256::from(interval),
        U256::from(penalty_count),
        U256::from(penalty_interval),
        U256::from(amount),
    ];
    words.abi_encode().into()
}

/// Data of a ballot on constraints.
pub(crate) fn rules(list: &[Constraint]) -> Bytes {
    list.to_vec().abi_encode().into()
}

fn word(value: impl Into<U256>) -> Bytes {
    value.into().to_be_bytes::<32>().into()
}

fn id(org: B256) -> Bytes {
    org.0.into()
}

impl Chain {
    /// Opens a ballot and returns its id.
    pub(crate) fn fed_propose(&mut self, from: usize, fed: B256, kind: Kind, data: Bytes) -> U256 {
        let call = proposeCall {
            fed,
            kind: kind.into(),
            data,
        };
        let outcome = self.ok(from, self.at.federation_registry, &call);
        proposeCall::abi_decode_returns(&outcome.output).expect("propose returns a ballot")
    }

    /// Opens a ballot, lets these vote yes and executes it.
    pub(crate) fn fed_decide(
        &mut self,
        voters: &[usize],
        fed: B256,
        kind: Kind,
        data: Bytes,
    ) -> Outcome {
        let at = self.at.federation_registry;
        let ballot = self.fed_propose(voters[0], fed, kind, data);
        for voter in voters {
            self.ok(*voter, at, &voteCall { ballot, yes: true });
        }
        self.ok(9, at, &executeCall { ballot })
    }

    /// Whether an organisation is a member now.
    pub(crate) fn fed_member(&self, fed: B256, index: usize) -> bool {
        let call = isMemberCall {
            fed,
            org: org(index),
        };
        self.view(self.at.federation_registry, &call)
    }

    fn fed_accept(&mut self, index: usize, fed: B256, version: u32) -> Outcome {
        self.ok(
            index,
            self.at.federation_registry,
            &acceptCall { fed, version },
        )
    }
}

#[test]
fn ballot_changes_what_it_says_once_enough_members_agree() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2, 3], "fed");
    let at = chain.at.federation_registry;
    let ballot = chain.fed_propose(1, fed, Kind::Rename, id(keccak256("new name")));
    assert_eq!(ballot, U256::ONE);
    let execute = executeCall { ballot };
    let yes = voteCall { ballot, yes: true };
    chain.fails::<QuorumMissing>(9, at, &execute);
    let voted = chain.ok(1, at, &yes).event::<Voted>();
    assert_eq!((voted.org, voted.yes), (org(1), true));
    chain.fails::<AlreadyVoted>(1, at, &yes);
    chain.ok(2, at, &voteCall { ballot, yes: false });
    chain.fails::<QuorumMissing>(9, at, &execute);
    chain.ok(3, at, &yes);
    let seen = chain.view(at, &getBallotCall { ballot });
    assert_eq!((seen.members, seen.yes, seen.no, seen.needed), (3, 2, 1, 2));
    assert!(seen.open && seen.passes && !seen.executed && seen.fed == fed);
    let voice = |index: usize| {
        let org = org(index);
        chain.view(at, &voteOfCall { ballot, org })
    };
    assert_eq!([1, 2, 4].map(voice), [1, 2, 0]);
    assert_eq!(chain.ok(9, at, &execute).event::<Executed>().ballot, ballot);
    chain.fails::<TooLate>(9, at, &execute);
    chain.fails::<TooLate>(1, at, &yes);
    let found = chain.view(at, &getCall { fed });
    assert_eq!((found.name, found.version), (keccak256("new name"), 1));
    let voters = [1, 2];
    chain.fed_decide(&voters, fed, Kind::InfoModel, id(keccak256("model")));
    chain.fed_decide(&voters, fed, Kind::Quorum, word(U256::from(6_700)));
    let found = chain.view(at, &getCall { fed });
    assert_eq!(
        (found.infoModel, found.quorumBps),
        (keccak256("model"), 6_700)
    );
}

#[test]
fn quorum_is_that_of_the_start_and_counts_whoever_was_there() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2, 3], "fed");
    let at = chain.at.federation_registry;
    let early = chain.fed_propose(1, fed, Kind::Rename, id(keccak256("a")));
    chain.fed_decide(&[1, 2], fed, Kind::Quorum, word(U256::from(10_000)));
    chain.ok(
        1,
        at,
        &voteCall {
            ballot: early,
            yes: true,
        },
    );
    chain.ok(
        2,
        at,
        &voteCall {
            ballot: early,
            yes: true,
        },
    );
    // Two of three were enough when it began.
    chain.ok(9, at, &executeCall { ballot: early });
    let late = chain.fed_propose(1, fed, Kind::Rename, id(keccak256("b")));
    for member in [1, 2] {
        chain.ok(
            member,
            at,
            &voteCall {
                ballot: late,
                yes: true,
            },
        );
    }
    chain.fails::<QuorumMissing>(9, at, &executeCall { ballot: late });
    // Who leaves is still one of those there were.
    chain.ok(3, at, &leaveFederationCall { fed });
    chain.fails::<QuorumMissing>(9, at, &executeCall { ballot: late });
    // And who comes in the same second comes late.
    chain.fed_decide(&[1, 2], fed, Kind::Invite, id(org(4)));
    let open = chain.fed_propose(1, fed, Kind::Rename, id(keccak256("c")));
    chain.fed_accept(4, fed, 1);
    chain.fails::<NotMember>(
        4,
        at,
        &voteCall {
            ballot: open,
            yes: true,
        },
    );
    for member in [1, 2] {
        chain.ok(
            member,
            at,
            &voteCall {
                ballot: open,
                yes: true,
            },
        );
    }
    chain.ok(9, at, &executeCall { ballot: open });
    // Who left and came back is new.
    let next = chain.fed_propose(1, fed, Kind::Invite, id(org(5)));
    chain.ok(4, at, &leaveFederationCall { fed });
    chain.fed_decide(&[1, 2], fed, Kind::Quorum, word(U256::ZERO));
    chain.ok(1, at, &inviteCall { fed, org: org(4) });
    chain.fed_accept(4, fed, 1);
    chain.fails::<NotMember>(
        4,
        at,
        &voteCall {
            ballot: next,
            yes: true,
        },
    );
}

#[test]
fn share_of_a_quorum_is_rounded_up_and_more_than_half_without_one() {
    for (quorum, members, needed) in [
        (0_u16, 1_usize, 1_u16),
        (0, 2, 2),
        (0, 3, 2),
        (0, 4, 3),
        (5_000, 2, 1),
        (5_000, 3, 2),
        (6_667, 3, 3),
        (6_666, 3, 2),
        (10_000, 4, 4),
        (1, 4, 1),
    ] {
        let mut chain = Chain::new();
        let others: Vec<_> = (2..=members).collect();
        let fed = chain.federate(1, &others, "fed");
        let all: Vec<_> = (1..=members).collect();
        chain.fed_decide(&all, fed, Kind::Quorum, word(U256::from(quorum)));
        let ballot = chain.fed_propose(1, fed, Kind::Remove, Bytes::new());
        let seen = chain.view(chain.at.federation_registry, &getBallotCall { ballot });
        assert_eq!(seen.needed, needed, "{quorum} of {members}");
    }
}

#[test]
fn ballot_is_open_to_members_for_thirty_days() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let at = chain.at.federation_registry;
    let call = proposeCall {
        fed,
        kind: Kind::Remove.into(),
        data: Bytes::new(),
    };
    chain.fails::<NotMember>(3, at, &call);
    chain.fails::<Unknown>(
        1,
        at,
        &proposeCall {
            fed: B256::ZERO,
            ..call
        },
    );
    let unknown = U256::from(7);
    chain.fails::<Unknown>(
        1,
        at,
        &voteCall {
            ballot: unknown,
            yes: true,
        },
    );
    chain.fails::<Unknown>(1, at, &executeCall { ballot: unknown });
    chain.fails::<Unknown>(1, at, &executeCall { ballot: U256::ZERO });
    let ballot = chain.fed_propose(1, fed, Kind::Remove, Bytes::new());
    chain.fails::<NotMember>(3, at, &voteCall { ballot, yes: true });
    chain.ok(1, at, &voteCall { ballot, yes: true });
    let mut later = chain.clone();
    later.warp(30 * DAY);
    later.ok(2, at, &voteCall { ballot, yes: true });
    later.warp(1);
    later.fails::<TooLate>(9, at, &executeCall { ballot });
    chain.warp(30 * DAY + 1);
    chain.fails::<TooLate>(2, at, &voteCall { ballot, yes: true });
    assert!(!chain.view(at, &getBallotCall { ballot }).open);
}

#[test]
fn ballots_that_make_no_sense_are_refused() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let at = chain.at.federation_registry;
    let sound = rules(&vec![availability(9_000, 1); 16]);
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = rules(&[availability(9_000, 1)]).to_vec();
        change(&mut bytes);
        Bytes::from(bytes)
    };
    let mut cases = vec![
        (8, Bytes::new()),
        (255, id(org(1))),
        (Kind::Rename.into(), Bytes::new()),
        (Kind::Expel.into(), id(B256::ZERO)),
        (Kind::Expel.into(), Bytes::from(vec![1; 33])),
        (Kind::Invite.into(), id(B256::ZERO)),
        (Kind::Quorum.into(), word(U256::from(10_001))),
        (Kind::Quorum.into(), word(U256::MAX)),
        (Kind::Remove.into(), id(org(1))),
        (Kind::Constraints.into(), Bytes::new()),
        (
            Kind::Constraints.into(),
            rules(&vec![availability(9_000, 1); 17]),
        ),
        (Kind::Constraints.into(), rules(&[availability(-1, 1)])),
        (Kind::Constraints.into(), rules(&[availability(10_001, 1)])),
        (Kind::Policy.into(), policy(16, 1, 0, (0, 0, 0))),
        (Kind::Policy.into(), Bytes::from(vec![0; 191])),
        (Kind::Policy.into(), Bytes::from(vec![0xff; 192])),
        // A head that points elsewhere, a wrong length, and each field out of its range.
        (Kind::Constraints.into(), wrong(&|bytes| bytes[31] = 64)),
        (Kind::Constraints.into(), wrong(&|bytes| bytes.push(0))),
        (Kind::Constraints.into(), wrong(&|bytes| bytes[63] = 2)),
        (Kind::Constraints.into(), wrong(&|bytes| bytes[64] = 1)),
        (Kind::Constraints.into(), wrong(&|bytes| bytes[96 + 31] = 5)),
        (Kind::Constraints.into(), wrong(&|bytes| bytes[128] = 1)),
        (
            Kind::Constraints.into(),
            wrong(&|bytes| bytes[160 + 29] = 1),
        ),
        (
            Kind::Constraints.into(),
            wrong(&|bytes| bytes[192 + 31] = 16),
        ),
    ];
    for place in 0..6 {
        let mut bytes = policy(0, 1, 1, (1, 1, 1)).to_vec();
        bytes[place * 32] = 1;
        cases.push((Kind::Policy.into(), bytes.into()));
    }
    for (kind, data) in cases {
        let call = proposeCall { fed, kind, data };
        chain.fails::<BadBallot>(1, at, &call);
    }
    chain.fed_decide(&[1, 2], fed, Kind::Constraints, sound);
    assert_eq!(chain.view(at, &constraintsCall { fed }).len(), 16);
    chain.fed_decide(&[1, 2], fed, Kind::Constraints, rules(&[]));
    assert_eq!(chain.view(at, &constraintsCall { fed }).len(), 0);
    // Well formed, and about a constraint that there is not.
    let ballot = chain.fed_propose(1, fed, Kind::Policy, policy(0, 1, 0, (0, 0, 0)));
    for member in [1, 2] {
        chain.ok(member, at, &voteCall { ballot, yes: true });
    }
    chain.fails::<BadBallot>(9, at, &executeCall { ballot });
}

#[test]
fn negative_thresholds_of_other_metrics_survive_the_ballot() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let list = [
        Constraint {
            metric: 7,
            op: 4,
            threshold: i64::MIN,
            durationDays: 0,
            resourceType: 9,
        },
        Constraint {
            metric: 1,
            op: 0,
            threshold: -5,
            durationDays: u16::MAX,
            resourceType: 15,
        },
    ];
    chain.fed_decide(&[1, 2], fed, Kind::Constraints, rules(&list));
    let found = chain.view(chain.at.federation_registry, &constraintsCall { fed });
    assert_eq!(found, list);
    let second = constraintAtCall { fed, index: 1 };
    let second = chain.view(chain.at.federation_registry, &second);
    assert_eq!(
        (second._0, second.since, second.begun),
        (list[1].clone(), 2, seconds(GENESIS_TIME))
    );
    let third = constraintAtCall { fed, index: 2 };
    chain.fails::<Unknown>(9, chain.at.federation_registry, &third);
}

#[test]
fn invitation_expulsion_and_removal_come_by_ballot() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2, 3], "fed");
    let at = chain.at.federation_registry;
    let sensor = chain.register(3, "sensor");
    let share = shareCall {
        fed,
        resources: vec![sensor],
        bartered: vec![false],
    };
    chain.ok(3, at, &share);
    let invited = chain.fed_decide(&[1, 2], fed, Kind::Invite, id(org(4)));
    assert_eq!(invited.event::<Invited>().org, org(4));
    let member = chain.fed_propose(1, fed, Kind::Invite, id(org(2)));
    for voter in [1, 2] {
        chain.ok(
            voter,
            at,
            &voteCall {
                ballot: member,
                yes: true,
            },
        );
    }
    chain.fails::<Duplicate>(9, at, &executeCall { ballot: member });
    chain.warp(10);
    let expelled = chain.fed_decide(&[1, 2], fed, Kind::Expel, id(org(3)));
    assert_eq!(expelled.event::<Left>().org, org(3));
    assert!(!chain.fed_member(fed, 3));
    let is_shared = isSharedCall {
        fed,
        resource: sensor,
    };
    assert!(!chain.view(at, &is_shared).shared);
    chain.fails::<NotInvited>(3, at, &acceptCall { fed, version: 1 });
    let again = chain.fed_propose(1, fed, Kind::Expel, id(org(3)));
    for voter in [1, 2] {
        chain.ok(
            voter,
            at,
            &voteCall {
                ballot: again,
                yes: true,
            },
        );
    }
    chain.fails::<NotMember>(9, at, &executeCall { ballot: again });
    let open = chain.fed_propose(1, fed, Kind::Rename, id(keccak256("never")));
    let removed = chain.fed_decide(&[1, 2], fed, Kind::Remove, Bytes::new());
    assert_eq!(removed.event::<Removed>().fed, fed);
    let found = chain.view(at, &getCall { fed });
    assert_eq!(
        (found.members, found.removed),
        (0, seconds(GENESIS_TIME + 10))
    );
    assert!(!chain.fed_member(fed, 1) && !chain.fed_member(fed, 2));
    let membership = chain.view(at, &membershipCall { fed, org: org(1) });
    assert_eq!(membership.left, found.removed, "removal counts as leaving");
    let history = chain.view(at, &historyCall { org: org(1) });
    assert_eq!(history[0][3], found.removed);
    chain.fails::<Unknown>(
        1,
        at,
        &voteCall {
            ballot: open,
            yes: true,
        },
    );
    chain.fails::<Unknown>(1, at, &leaveFederationCall { fed });
    chain.fails::<Unknown>(1, at, &lapseCall { fed, org: org(1) });
    assert!(!chain.view(at, &getBallotCall { ballot: open }).open);
}

#[test]
fn new_constraints_and_policies_raise_the_version() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let (at, sla) = (chain.at.federation_registry, chain.at.sla_registry);
    let changed = chain.fed_decide(
        &[1, 2],
        fed,
        Kind::Constraints,
        rules(&[availability(9_000, 1)]),
    );
    assert_eq!(changed.event::<Changed>().version, 2);
    let changed = chain.fed_decide(
        &[1, 2],
        fed,
        Kind::Policy,
        policy(0, 2, 1_000, (3, 2_000, 500)),
    );
    assert_eq!(changed.event::<Changed>().version, 3);
    let set = changed.event::<SlaRegistry::PolicySet>();
    assert_eq!((set.fed, set.constraint, set.version), (fed, 0, 3));
    let policy_of = SlaRegistry::policyOfCall { fed, constraint: 0 };
    let found = chain.view(sla, &policy_of);
    assert_eq!(
        (found.count, found.interval, found.penaltyCount),
        (2, 1_000, 3)
    );
    assert_eq!(
        (found.penaltyInterval, found.amount, found.version),
        (2_000, 500, 3)
    );
    // New constraints void it.
    chain.fed_decide(
        &[1, 2],
        fed,
        Kind::Constraints,
        rules(&[availability(9_000, 1)]),
    );
    let found = chain.view(sla, &policy_of);
    assert_eq!((found.count, found.amount, found.version), (0, 0, 0));
    assert_eq!(chain.view(at, &getCall { fed }).version, 4);
}

#[test]
fn who_does_not_accept_new_rules_within_seven_days_is_no_member() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2, 3], "fed");
    let at = chain.at.federation_registry;
    let sensor = chain.register(3, "sensor");
    let share = shareCall {
        fed,
        resources: vec![sensor],
        bartered: vec![false],
    };
    chain.ok(3, at, &share);
    let new_rules = rules(&[availability(9_000, 1)]);
    chain.fed_decide(&[1, 2], fed, Kind::Constraints, new_rules.clone());
    chain.fails::<StaleVersion>(1, at, &acceptCall { fed, version: 1 });
    let accepted = chain.fed_accept(1, fed, 2).event::<Accepted>();
    assert_eq!((accepted.org, accepted.version), (org(1), 2));
    chain.fails::<Duplicate>(1, at, &acceptCall { fed, version: 2 });
    // A later change gives no more time for the earlier one.
    chain.warp(5 * DAY);
    chain.fed_decide(&[1, 2], fed, Kind::Constraints, new_rules);
    chain.fed_accept(1, fed, 3);
    chain.warp(2 * DAY);
    chain.fails::<TooEarly>(9, at, &lapseCall { fed, org: org(3) });
    assert!(chain.fed_member(fed, 2) && chain.fed_member(fed, 3));
    let mut in_time = chain.clone();
    in_time.fed_accept(3, fed, 3);
    in_time.warp(1);
    assert!(in_time.fed_member(fed, 3));
    chain.warp(1);
    assert!(!chain.fed_member(fed, 2) && !chain.fed_member(fed, 3) && chain.fed_member(fed, 1));
    let is_shared = isSharedCall {
        fed,
        resource: sensor,
    };
    assert!(!chain.view(at, &is_shared).shared);
    let deadline = seconds(GENESIS_TIME + 7 * DAY);
    let membership = chain.view(at, &membershipCall { fed, org: org(3) });
    assert_eq!(membership.left, deadline);
    chain.fails::<NotMember>(3, at, &leaveFederationCall { fed });
    chain.warp(DAY);
    let lapsed = chain.ok(9, at, &lapseCall { fed, org: org(3) });
    assert_eq!(lapsed.event::<Left>().org, org(3));
    let membership = chain.view(at, &membershipCall { fed, org: org(3) });
    assert_eq!(membership.left, deadline, "not when somebody noted it");
    chain.fails::<NotMember>(9, at, &lapseCall { fed, org: org(3) });
    assert_eq!(chain.view(at, &getCall { fed }).members, 2);
    // Who comes too late comes anew, by invitation.
    chain.fails::<NotInvited>(2, at, &acceptCall { fed, version: 3 });
    chain.ok(1, at, &inviteCall { fed, org: org(2) });
    let back = chain.fed_accept(2, fed, 3);
    assert_eq!(back.event::<Left>().org, org(2));
    assert_eq!(back.event::<Joined>().org, org(2));
    assert_eq!(chain.view(at, &getCall { fed }).members, 2);
    let history = chain.view(at, &historyCall { org: org(2) });
    assert_eq!((history.len(), history[0][3]), (2, deadline));
    assert_eq!(history[1][3], seconds(0));
}

#[test]
fn federation_that_nobody_accepts_ends_with_the_last_lapse() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let at = chain.at.federation_registry;
    chain.fed_decide(&[1, 2], fed, Kind::Constraints, rules(&[]));
    chain.warp(7 * DAY + 1);
    chain.ok(9, at, &lapseCall { fed, org: org(1) });
    chain
        .ok(9, at, &lapseCall { fed, org: org(2) })
        .event::<Removed>();
    assert_eq!(chain.view(at, &getCall { fed }).members, 0);
    // The last of an open one comes back too late, too.
    let open = createCall {
        id: keccak256("open"),
        name: B256::ZERO,
        open: true,
        quorumBps: 0,
        infoModel: B256::ZERO,
        c: Vec::new(),
        invites: Vec::new(),
    };
    chain.ok(1, at, &open);
    chain.fed_decide(&[1], open.id, Kind::Constraints, rules(&[]));
    chain.warp(7 * DAY + 1);
    let late = acceptCall {
        fed: open.id,
        version: 2,
    };
    chain.fails::<Unknown>(1, at, &late);
}

#[test]
fn sharing_tells_of_the_owners_share_across_short_pauses() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let at = chain.at.federation_registry;
    let sensor = chain.register(1, "sensor");
    chain.warp(100);
    let share = shareCall {
        fed,
        resources: vec![sensor],
        bartered: vec![false],
    };
    let unshare = unshareCall {
        fed,
        resources: vec![sensor],
    };
    let sharing = |chain: &Chain| {
        let call = sharingCall {
            fed,
            resource: sensor,
        };
        let found = chain.view(at, &call);
        let time = |t: Uint<48, 1>| t.to::<u64>().saturating_sub(GENESIS_TIME);
        (found.owner, time(found.start), time(found.end))
    };
    assert_eq!(sharing(&chain), (B256::ZERO, 0, 0));
    chain.ok(1, at, &share);
    chain.warp(900);
    assert_eq!(sharing(&chain), (org(1), 100, 0));
    chain.ok(1, at, &unshare);
    assert_eq!(sharing(&chain), (org(1), 100, 1_000));
    let mut pause = chain.clone();
    pause.warp(7 * DAY);
    pause.ok(1, at, &share);
    assert_eq!(sharing(&pause), (org(1), 100, 0), "a pause");
    let mut anew = chain.clone();
    anew.warp(7 * DAY + 1);
    anew.ok(1, at, &share);
    assert_eq!(sharing(&anew), (org(1), 1_001 + 7 * DAY, 0), "a new one");
    // Leaving ends it; so does coming back, until it is shared again.
    pause.ok(1, at, &leaveFederationCall { fed });
    let left = 1_000 + 7 * DAY;
    assert_eq!(sharing(&pause), (org(1), 100, left));
    pause.warp(10);
    pause.ok(2, at, &inviteCall { fed, org: org(1) });
    pause.ok(1, at, &acceptCall { fed, version: 1 });
    assert_eq!(sharing(&pause), (org(1), 100, left));
    assert!(
        !pause
            .view(
                at,
                &isSharedCall {
                    fed,
                    resource: sensor
                }
            )
            .shared
    );
    pause.ok(1, at, &share);
    assert_eq!(sharing(&pause), (org(1), 100, 0));
    // Another owner is another share.
    let registry = chain.at.sensor_registry;
    let offer = SensorRegistry::transferCall {
        id: sensor,
        toOrg: org(2),
    };
    pause.ok(1, registry, &offer);
    pause.ok(2, registry, &SensorRegistry::acceptCall { id: sensor });
    assert_eq!(sharing(&pause), (B256::ZERO, 0, 0));
    pause.fails::<NotShared>(2, at, &unshare);
}

#[test]
fn half_that_runs_ballots_does_nothing_by_itself() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let half = crate::harness::DEPLOYER.create(28);
    assert!(chain.has_code(half));
    let call = FederationBallots::proposeCall {
        fed,
        kind: Kind::Remove.into(),
        data: Bytes::new(),
    };
    chain.fails::<Unknown>(1, half, &call);
    let vote = FederationBallots::voteCall {
        ballot: U256::ONE,
        yes: true,
    };
    chain.fails::<Unknown>(1, half, &vote);
}
