//! SlaRegistry: bonds, windows and who decides them, violations, penalties, anchored availability.

use crate::{
    federation_ballots::{availability, policy, rules},
    harness::{Chain, GENESIS_TIME, key, org, seconds, sign},
};
use alloy_primitives::{Address, B256, U256, keccak256};
use medina_contracts::{
    data_anchor::{DataAnchor, IDataAnchor::Batch},
    eip712,
    federation_registry::{
        FederationRegistry::{acceptCall, createCall, leaveFederationCall, shareCall, unshareCall},
        IFederationRegistry::Constraint,
    },
    gatekeeper::Gatekeeper,
    identity::Identity,
    medina_token::MedinaToken,
    sensor_registry::SensorRegistry,
    sla_registry::{ISlaRegistry::Report, SlaRegistry::*},
    trust_and_reputation::TrustAndReputation,
    values::{FederationBallotKind as Kind, PenaltyState},
};

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
/// The monitor, arbiter and treasury of the test chain.
const OFFICE: usize = 0;
const BOND: u128 = 1_000;

/// Organisations 1 to 4 are members; 1 shares a sensor that must be available for 90 % of every hour.
pub(crate) struct Scene {
    pub(crate) chain: Chain,
    pub(crate) fed: B256,
    pub(crate) sensor: B256,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(&[availability(9_000, 0)])
    }

    pub(crate) fn with(constraints: &[Constraint]) -> Self {
        let mut chain = Chain::new();
        let fed = keccak256("fed");
        let create = createCall {
            id: fed,
            name: fed,
            open: false,
            quorumBps: 0,
            infoModel: B256::ZERO,
            c: constraints.to_vec(),
            invites: vec![org(2), org(3), org(4)],
        };
        let federations = chain.at.federation_registry;
        chain.ok(1, federations, &create);
        for member in [2, 3, 4] {
            chain.ok(member, federations, &acceptCall { fed, version: 1 });
        }
        let sensor = chain.register(1, "sensor");
        let share = shareCall {
            fed,
            resources: vec![sensor],
            bartered: vec![false],
        };
        chain.ok(1, federations, &share);
        chain.warp(10 * HOUR);
        Self { chain, fed, sensor }
    }

    pub(crate) fn at(&self) -> Address {
        self.chain.at.sla_registry
    }

    /// A report about the hour that ended so many hours ago.
    pub(crate) fn window(&self, ago: u64, value: i64) -> Report {
        let to = self.chain.time / HOUR * HOUR - ago * HOUR;
        Report {
            fed: self.fed,
            resource: self.sensor,
            constraint: 0,
            value,
            from: seconds(to - HOUR),
            to: seconds(to),
        }
    }

    fn one(&self, ago: u64, value: i64) -> reportCall {
        reportCall {
            r: vec![self.window(ago, value)],
        }
    }

    pub(crate) fn bond(&mut self, index: usize, amount: u128) {
        let at = self.at();
        let approve = MedinaToken::approveCall {
            spender: at,
            value: U256::from(amount),
        };
        self.chain.ok(index, self.chain.at.medina_token, &approve);
        let bond = bondCall {
            fed: self.fed,
            amount,
        };
        self.chain.ok(index, at, &bond);
    }

    /// A policy that all have accepted.
    pub(crate) fn set_policy(&mut self, count: u8, interval: u32, penalties: (u8, u32, u128)) {
        let fed = self.fed;
        let data = policy(0, count, interval, penalties);
        self.chain.fed_decide(&[1, 2, 3], fed, Kind::Policy, data);
        let federations = self.chain.at.federation_registry;
        let get = medina_contracts::federation_registry::FederationRegistry::getCall { fed };
        let version = self.chain.view(federations, &get).version;
        for member in 1..=4 {
            self.chain
                .ok(member, federations, &acceptCall { fed, version });
        }
    }

    /// Reports, breaches, violations, bond of organisation 1.
    fn summary(&self) -> (u32, u32, u32, u128) {
        let call = summaryCall {
            fed: self.fed,
            org: org(1),
        };
        let found = self.chain.view(self.at(), &call);
        (
            found.reports,
            found.breaches,
            found.violations,
            found.bonded,
        )
    }

    fn is_decided(&self, report: &Report) -> bool {
        let call = isDecidedCall {
            fed: report.fed,
            resource: report.resource,
            constraint: report.constraint,
            from: report.from,
        };
        self.chain.view(self.at(), &call)
    }

    fn penalty(&self, penalty: u64) -> (u128, PenaltyState) {
        let call = getPenaltyCall {
            penalty: U256::from(penalty),
        };
        let found = self.chain.view(self.at(), &call);
        (found.amount, found.state.try_into().expect("a known state"))
    }

    /// The sensor anchors readings of a time, every minute one.
    fn anchor(&mut self, from: u64, to: u64) {
        let source = self.sensor;
        let stats = DataAnchor::statsCall { source };
        let seq = self.chain.view(self.chain.at.data_anchor, &stats).seq + 1;
        let (from, to, count) = (seconds(from), seconds(to), u32::MAX);
        let root = keccak256(seq.to_be_bytes());
        let message = eip712::Anchoring {
            source,
            seq,
            root,
            from,
            to,
            count,
        };
        let sig = sign(&key("sensor"), &self.chain.domain("DataAnchor"), &message);
        let b = Batch {
            root,
            from,
            to,
            count,
        };
        let call = DataAnchor::anchorCall { source, b, sig };
        self.chain.ok(9, self.chain.at.data_anchor, &call);
    }
}

#[test]
fn bond_is_a_members_and_has_one_payer() {
    let mut scene = Scene::new();
    let (at, fed) = (scene.at(), scene.fed);
    let call = bondCall { fed, amount: BOND };
    scene.chain.fails::<NotMember>(5, at, &call);
    scene
        .chain
        .fails::<OutOfRange>(1, at, &bondCall { fed, amount: 0 });
    // Without an allowance the token refuses.
    assert!(!scene.chain.call(scene.chain.account(1), at, &call).success);
    scene.bond(1, BOND);
    scene.bond(1, 5);
    assert_eq!(scene.summary(), (0, 0, 0, BOND + 5));
    let payer = payerOfCall { fed, org: org(1) };
    assert_eq!(scene.chain.view(at, &payer), scene.chain.account(1));
    assert_eq!(scene.chain.balance(at), BOND + 5);
    // Another Manager of the same organisation is another account.
    let other = key("second manager");
    let message = eip712::Enrolment {
        userId: keccak256("second"),
        nullifier: keccak256("second"),
        org: org(1),
        account: other.address(),
        role: 2,
        expires: seconds(scene.chain.time + DAY),
        terms: B256::ZERO,
        deadline: scene.chain.deadline(),
    };
    let enrol = Identity::enrolCall {
        e: medina_contracts::identity::IIdentity::Enrolment {
            userId: message.userId,
            nullifier: message.nullifier,
            org: message.org,
            account: message.account,
            role: message.role,
            expires: message.expires,
            terms: message.terms,
            deadline: message.deadline,
        },
        certifier: scene.chain.account(0),
        sig: scene.chain.sign(0, "Identity", &message),
    };
    scene.chain.ok(1, scene.chain.at.identity, &enrol);
    scene
        .chain
        .fails_from::<BondLocked>(other.address(), at, &call);
    // A closed target takes no more.
    let mut closed = scene.chain.clone();
    closed.ok(
        OFFICE,
        closed.at.gatekeeper,
        &Gatekeeper::closeCall { target: at },
    );
    closed.fails::<AccessManagedUnauthorized>(1, at, &call);
}

#[test]
fn bond_goes_back_to_its_payer_a_week_after_leaving() {
    let mut scene = Scene::new();
    let (at, fed) = (scene.at(), scene.fed);
    let unbond = unbondCall { fed, org: org(1) };
    scene.chain.fails::<NotMember>(9, at, &unbond);
    let before = scene.chain.balance(scene.chain.account(1));
    scene.bond(1, BOND);
    scene.chain.fails::<BondLocked>(9, at, &unbond);
    let federations = scene.chain.at.federation_registry;
    scene.chain.ok(1, federations, &leaveFederationCall { fed });
    scene.chain.warp(7 * DAY - 1);
    scene.chain.fails::<BondLocked>(9, at, &unbond);
    scene.chain.warp(1);
    // Also from a closed target.
    scene.chain.ok(
        OFFICE,
        scene.chain.at.gatekeeper,
        &Gatekeeper::closeCall { target: at },
    );
    let event = scene.chain.ok(9, at, &unbond).event::<Bonded>();
    assert_eq!((event.org, event.bonded), (org(1), 0));
    assert_eq!(scene.chain.balance(scene.chain.account(1)), before);
    assert_eq!(scene.chain.balance(at), 0);
    scene.chain.fails::<NotMember>(9, at, &unbond);
}

#[test]
fn window_is_past_and_aligned_and_the_constraint_exists() {
    let mut scene = Scene::new();
    let at = scene.at();
    let sound = scene.window(1, 9_500);
    let changed = |change: &dyn Fn(&mut Report)| {
        let mut report = sound.clone();
        change(&mut report);
        reportCall { r: vec![report] }
    };
    let bad = [
        changed(&|r| r.from += seconds(1)),
        changed(&|r| r.to -= seconds(1)),
        changed(&|r| r.to += seconds(HOUR)),
        changed(&|r| (r.from, r.to) = (r.to, r.from)),
        // The hour that is running.
        changed(&|r| {
            r.from += seconds(2 * HOUR);
            r.to += seconds(2 * HOUR);
        }),
    ];
    for call in &bad {
        scene.chain.fails::<BadWindow>(OFFICE, at, call);
    }
    type Unknown = medina_contracts::federation_registry::FederationRegistry::Unknown;
    scene
        .chain
        .fails::<Unknown>(OFFICE, at, &changed(&|r| r.constraint = 1));
    scene
        .chain
        .fails::<NotShared>(OFFICE, at, &changed(&|r| r.resource = keccak256("x")));
    scene
        .chain
        .fails::<NotShared>(OFFICE, at, &changed(&|r| r.fed = keccak256("x")));
    scene
        .chain
        .fails::<OutOfRange>(OFFICE, at, &reportCall { r: vec![] });
    let many = reportCall {
        r: vec![sound.clone(); 65],
    };
    scene.chain.fails::<OutOfRange>(OFFICE, at, &many);
    scene.chain.fails::<NotMember>(1, at, &scene.one(1, 9_500));
    scene.chain.fails::<NotMember>(5, at, &scene.one(1, 9_500));
    let event = scene
        .chain
        .ok(OFFICE, at, &scene.one(1, 9_500))
        .event::<Reported>();
    assert_eq!(
        (event.resource, event.constraint, event.value),
        (scene.sensor, 0, 9_500)
    );
    assert_eq!((event.from, event.to), (sound.from, sound.to));
    assert!(scene.is_decided(&sound) && !scene.is_decided(&scene.window(2, 0)));
    scene
        .chain
        .fails::<WindowDone>(OFFICE, at, &scene.one(1, 100));
    scene.chain.fails::<WindowDone>(2, at, &scene.one(1, 100));
    assert_eq!(scene.summary(), (1, 0, 0, 0));
}

#[test]
fn windows_of_days_begin_at_multiples_of_their_length() {
    let mut scene = Scene::with(&[availability(9_000, 3)]);
    let at = scene.at();
    scene.chain.warp(9 * DAY);
    let from = (scene.chain.time / (3 * DAY) - 1) * 3 * DAY;
    let report = |from: u64, days: u64| reportCall {
        r: vec![Report {
            from: seconds(from),
            to: seconds(from + days * DAY),
            ..scene.window(0, 0)
        }],
    };
    let (sound, short, early) = (report(from, 3), report(from, 1), report(from + DAY, 3));
    scene.chain.fails::<BadWindow>(OFFICE, at, &short);
    scene.chain.fails::<BadWindow>(OFFICE, at, &early);
    scene.chain.ok(OFFICE, at, &sound).event::<Violation>();
}

#[test]
fn breach_is_where_the_comparator_does_not_hold() {
    let operators: [fn(i64, i64) -> bool; 5] = [
        |a, b| a > b,
        |a, b| a >= b,
        |a, b| a == b,
        |a, b| a < b,
        |a, b| a <= b,
    ];
    for (op, holds) in (0_u8..).zip(operators) {
        for threshold in [-7, 0, 50, i64::MAX] {
            let constraint = Constraint {
                metric: 1,
                op,
                threshold,
                durationDays: 0,
                resourceType: 0,
            };
            let mut scene = Scene::with(&[constraint]);
            let values = [
                threshold.saturating_sub(1),
                threshold,
                threshold.saturating_add(1),
                i64::MIN,
            ];
            let mut breaches = 0;
            for (ago, value) in (0..).zip(values) {
                let call = scene.one(ago, value);
                let at = scene.at();
                let outcome = scene.chain.ok(OFFICE, at, &call);
                let is_breach = outcome.logs.len() > 1;
                assert_eq!(
                    is_breach,
                    !holds(value, threshold),
                    "{value} {op} {threshold}"
                );
                breaches += u32::from(is_breach);
                assert_eq!(scene.summary().1, breaches);
            }
        }
    }
}

#[test]
fn constraint_is_about_the_types_it_names() {
    let services = Constraint {
        resourceType: 8,
        ..availability(9_000, 0)
    };
    let mut scene = Scene::with(&[services]);
    let at = scene.at();
    let call = scene.one(0, 0);
    scene.chain.fails::<OutOfRange>(OFFICE, at, &call);
    let evaluate = evaluateCall {
        fed: scene.fed,
        resource: scene.sensor,
        constraint: 0,
    };
    scene.chain.fails::<OutOfRange>(9, at, &evaluate);
    let mut scene = Scene::with(&[Constraint {
        resourceType: 1,
        ..availability(9_000, 0)
    }]);
    let call = scene.one(0, 0);
    scene.chain.ok(OFFICE, at, &call).event::<Violation>();
}

#[test]
fn two_consumer_organisations_decide_by_agreeing() {
    let mut scene = Scene::new();
    let at = scene.at();
    let sound = scene.window(0, 0);
    scene.chain.ok(2, at, &scene.one(0, 8_000));
    assert!(!scene.is_decided(&sound));
    // The same organisation does not agree with itself, nor say two things.
    scene.chain.fails::<WindowDone>(2, at, &scene.one(0, 8_100));
    scene.chain.fails::<WindowDone>(2, at, &scene.one(0, 9_100));
    // One sees it otherwise; the third decides.
    scene.chain.ok(3, at, &scene.one(0, 9_500));
    assert!(!scene.is_decided(&sound));
    let outcome = scene.chain.ok(4, at, &scene.one(0, 7_000));
    let violation = outcome.event::<Violation>();
    assert_eq!(
        (violation.org, violation.resource, violation.value),
        (org(1), scene.sensor, 7_000)
    );
    assert!(scene.is_decided(&sound));
    assert_eq!(scene.summary(), (3, 1, 1, 0));
    scene
        .chain
        .fails::<WindowDone>(OFFICE, at, &scene.one(0, 9_500));
    // Two say that it was kept.
    scene.chain.ok(2, at, &scene.one(1, 9_000));
    scene.chain.ok(3, at, &scene.one(1, 9_900));
    assert!(scene.is_decided(&scene.window(1, 0)));
    assert_eq!(scene.summary(), (5, 1, 1, 0));
    // The first of two hears a monitor decide before the second comes.
    scene.chain.ok(2, at, &scene.one(2, 8_000));
    scene
        .chain
        .ok(OFFICE, at, &scene.one(2, 8_000))
        .event::<Violation>();
    scene.chain.fails::<WindowDone>(3, at, &scene.one(2, 8_000));
}

#[test]
fn violation_lowers_the_trust_in_the_resource() {
    let mut scene = Scene::new();
    let at = scene.at();
    let trust = scene.chain.at.trust_and_reputation;
    scene.anchor(GENESIS_TIME, GENESIS_TIME + 10 * HOUR);
    let refresh = TrustAndReputation::refreshCall {
        resource: scene.sensor,
    };
    scene.chain.ok(9, trust, &refresh);
    let value = TrustAndReputation::resourceTrustCall { id: scene.sensor };
    let before = scene.chain.view(trust, &value).value;
    let windows = (0..5).map(|ago| scene.window(ago, 0)).collect();
    scene.chain.ok(OFFICE, at, &reportCall { r: windows });
    let after = scene.chain.view(trust, &value).value;
    assert_eq!(
        u32::from(after),
        (u32::from(before) * 95).div_ceil(100),
        "five violations: VF .95"
    );
    assert_eq!(scene.summary(), (5, 5, 5, 0));
}

#[test]
fn violation_is_so_many_breaches_within_the_interval_in_any_order() {
    let mut scene = Scene::new();
    scene.set_policy(3, 2 * 3_600, (0, 0, 0));
    let at = scene.at();
    scene.chain.warp(50 * HOUR);
    let mut say = |ago: u64| {
        let call = scene.one(ago, 0);
        let outcome = scene.chain.ok(OFFICE, at, &call);
        outcome.logs.len() > 1
    };
    // 40, 38, 36: three within two hours only with 37.
    assert!(!say(40) && !say(36) && !say(38) && say(37));
    // What made a violation is used up.
    assert!(!say(39) && !say(35) && !say(30));
    // The oldest is forgotten for a newer one: 29, 30 and 28.
    assert!(!say(29 - 10) && !say(29 - 12));
    assert!(say(18));
    let found = scene.summary();
    assert_eq!((found.1, found.2), (10, 2));
}

#[test]
fn penalty_holds_part_of_the_bond_and_an_arbiter_pardons_it() {
    let mut scene = Scene::new();
    scene.bond(1, BOND);
    scene.set_policy(1, 0, (2, 10 * 3_600, 400));
    let at = scene.at();
    assert_eq!(scene.chain.ok(OFFICE, at, &scene.one(3, 0)).logs.len(), 2);
    let held = scene
        .chain
        .ok(OFFICE, at, &scene.one(2, 0))
        .event::<Penalty>();
    assert_eq!(
        (held.penalty, held.org, held.amount),
        (U256::ONE, org(1), 400)
    );
    assert_eq!(scene.summary(), (2, 2, 2, BOND - 400));
    assert_eq!(scene.chain.view(at, &penaltyTotalCall {}), U256::ONE);
    let penalty = U256::ONE;
    scene
        .chain
        .fails::<NotPermitted>(1, at, &pardonCall { penalty });
    scene
        .chain
        .fails::<TooEarly>(9, at, &collectCall { penalty });
    scene.chain.fails::<OutOfRange>(
        OFFICE,
        at,
        &pardonCall {
            penalty: U256::from(2),
        },
    );
    scene.chain.fails::<OutOfRange>(
        9,
        at,
        &collectCall {
            penalty: U256::ZERO,
        },
    );
    let mut late = scene.chain.clone();
    late.warp(7 * DAY + 1);
    late.fails::<TooLate>(OFFICE, at, &pardonCall { penalty });
    scene.chain.warp(7 * DAY);
    scene
        .chain
        .fails::<TooEarly>(9, at, &collectCall { penalty });
    let pardoned = scene.chain.ok(OFFICE, at, &pardonCall { penalty });
    assert_eq!(pardoned.event::<Pardoned>().penalty, penalty);
    assert_eq!(scene.summary().3, BOND);
    assert_eq!(scene.penalty(1), (400, PenaltyState::Pardoned));
    scene
        .chain
        .fails::<TooLate>(OFFICE, at, &pardonCall { penalty });
    scene.chain.warp(DAY);
    scene
        .chain
        .fails::<TooLate>(9, at, &collectCall { penalty });
}

#[test]
fn collected_penalty_is_halved_between_reporters_or_the_treasurys() {
    let mut scene = Scene::new();
    scene.bond(1, BOND);
    scene.set_policy(1, 0, (1, 0, 401));
    let at = scene.at();
    scene.chain.ok(2, at, &scene.one(0, 0));
    scene.chain.ok(3, at, &scene.one(0, 0)).event::<Penalty>();
    let second = scene
        .chain
        .ok(OFFICE, at, &scene.one(1, 0))
        .event::<Penalty>();
    assert_eq!((second.penalty, second.amount), (U256::from(2), 401));
    // No more is held than there is.
    let third = scene
        .chain
        .ok(OFFICE, at, &scene.one(2, 0))
        .event::<Penalty>();
    assert_eq!(third.amount, BOND - 802);
    let none = scene.chain.ok(OFFICE, at, &scene.one(3, 0));
    assert_eq!(none.logs.len(), 2, "reported and a violation, no penalty");
    let balances = |chain: &Chain| [0, 2, 3].map(|index| chain.balance(chain.account(index)));
    let before = balances(&scene.chain);
    scene.chain.warp(7 * DAY + 1);
    for penalty in 1..=3 {
        let call = collectCall {
            penalty: U256::from(penalty),
        };
        scene.chain.ok(9, at, &call).event::<Collected>();
        scene.chain.fails::<TooLate>(9, at, &call);
        assert_eq!(scene.penalty(penalty).1, PenaltyState::Collected);
    }
    let after = balances(&scene.chain);
    assert_eq!(
        [0, 1, 2].map(|index| after[index] - before[index]),
        [401 + BOND - 802, 200, 201]
    );
    assert_eq!(scene.chain.balance(at), 0);
}

#[test]
fn bond_stays_while_a_penalty_is_held() {
    let mut scene = Scene::new();
    let fed = scene.fed;
    scene.bond(1, BOND);
    scene.set_policy(1, 0, (1, 0, 400));
    let at = scene.at();
    let federations = scene.chain.at.federation_registry;
    scene.chain.ok(1, federations, &leaveFederationCall { fed });
    scene.chain.warp(6 * DAY);
    // The hour before it left is told of within the week.
    let report = reportCall {
        r: vec![Report {
            from: seconds(GENESIS_TIME + 9 * HOUR),
            to: seconds(GENESIS_TIME + 10 * HOUR),
            ..scene.window(0, 0)
        }],
    };
    scene.chain.ok(OFFICE, at, &report).event::<Penalty>();
    let after = scene.window(0, 0);
    scene
        .chain
        .fails::<NotShared>(OFFICE, at, &reportCall { r: vec![after] });
    scene.chain.warp(2 * DAY);
    let unbond = unbondCall { fed, org: org(1) };
    scene.chain.fails::<BondLocked>(9, at, &unbond);
    scene.chain.fails::<NotShared>(OFFICE, at, &report);
    scene.chain.warp(5 * DAY + 1);
    scene.chain.ok(9, at, &collectCall { penalty: U256::ONE });
    scene.chain.ok(9, at, &unbond);
    assert_eq!(scene.chain.balance(at), 0);
}

#[test]
fn member_that_has_not_accepted_the_policy_owes_nothing() {
    let mut scene = Scene::new();
    let fed = scene.fed;
    scene.bond(1, BOND);
    let at = scene.at();
    let federations = scene.chain.at.federation_registry;
    let data = policy(0, 1, 0, (1, 0, 400));
    scene.chain.fed_decide(&[2, 3, 4], fed, Kind::Policy, data);
    let outcome = scene.chain.ok(OFFICE, at, &scene.one(0, 0));
    outcome.event::<Violation>();
    assert_eq!(scene.summary(), (1, 1, 1, BOND));
    scene
        .chain
        .ok(1, federations, &acceptCall { fed, version: 2 });
    scene
        .chain
        .ok(OFFICE, at, &scene.one(1, 0))
        .event::<Penalty>();
}

#[test]
fn taking_a_resource_back_does_not_undo_the_hour_before() {
    let mut scene = Scene::new();
    let at = scene.at();
    let federations = scene.chain.at.federation_registry;
    let (fed, resources) = (scene.fed, vec![scene.sensor]);
    let unshare = unshareCall {
        fed,
        resources: resources.clone(),
    };
    let share = shareCall {
        fed,
        resources,
        bartered: vec![false],
    };
    // Taken back and shared again just before the report.
    scene.chain.ok(1, federations, &unshare);
    scene
        .chain
        .ok(OFFICE, at, &scene.one(0, 0))
        .event::<Violation>();
    scene.chain.ok(1, federations, &share);
    scene
        .chain
        .ok(OFFICE, at, &scene.one(1, 0))
        .event::<Violation>();
    // Paused is not taken back.
    let pause = SensorRegistry::setStatusCall {
        id: scene.sensor,
        status: 2,
    };
    scene.chain.ok(1, scene.chain.at.sensor_registry, &pause);
    scene
        .chain
        .ok(OFFICE, at, &scene.one(2, 0))
        .event::<Violation>();
    // But windows from before it was shared are nobody's.
    let before = Report {
        from: seconds(GENESIS_TIME - HOUR),
        to: seconds(GENESIS_TIME),
        ..scene.window(0, 0)
    };
    let call = reportCall { r: vec![before] };
    assert!(
        !scene
            .chain
            .call(scene.chain.account(OFFICE), at, &call)
            .success
    );
    // And a week after it was taken back nothing is said any more.
    scene.chain.ok(1, federations, &unshare);
    scene.chain.warp(7 * DAY);
    let last = Report {
        from: seconds(GENESIS_TIME + 5 * HOUR),
        to: seconds(GENESIS_TIME + 6 * HOUR),
        ..scene.window(0, 0)
    };
    scene
        .chain
        .fails::<NotShared>(OFFICE, at, &reportCall { r: vec![last] });
}

#[test]
fn new_constraints_begin_new_windows() {
    let mut scene = Scene::new();
    let (at, fed) = (scene.at(), scene.fed);
    scene.chain.ok(OFFICE, at, &scene.one(1, 0));
    let list = rules(&[availability(5_000, 0)]);
    scene.chain.warp(600);
    scene
        .chain
        .fed_decide(&[1, 2, 3], fed, Kind::Constraints, list);
    // The hour before there were such rules.
    scene.chain.fails::<BadWindow>(OFFICE, at, &scene.one(1, 0));
    scene.chain.warp(HOUR);
    let report = scene.window(0, 4_999);
    assert!(!scene.is_decided(&report));
    scene
        .chain
        .ok(OFFICE, at, &reportCall { r: vec![report] })
        .event::<Violation>();
}

#[test]
fn only_the_federations_set_policies() {
    let mut scene = Scene::new();
    let call = setPolicyCall {
        fed: scene.fed,
        constraint: 0,
        count: 1,
        interval: 0,
        penaltyCount: 1,
        penaltyInterval: 0,
        amount: 1,
    };
    let at = scene.at();
    for account in 0..10 {
        scene.chain.fails::<OnlyModule>(account, at, &call);
    }
}

#[test]
fn anchored_availability_is_evaluated_between_checkpoints() {
    let mut scene = Scene::with(&[
        availability(9_000, 0),
        Constraint {
            metric: 1,
            ..availability(9_000, 0)
        },
    ]);
    let at = scene.at();
    let (fed, resource) = (scene.fed, scene.sensor);
    let evaluate = evaluateCall {
        fed,
        resource,
        constraint: 0,
    };
    let load = evaluateCall {
        constraint: 1,
        ..evaluate.clone()
    };
    scene.chain.fails::<OutOfRange>(9, at, &load);
    let begin = scene.chain.time;
    assert!(
        scene.chain.ok(9, at, &evaluate).logs.is_empty(),
        "the first call only begins"
    );
    scene.chain.warp(HOUR - 1);
    scene.chain.fails::<TooEarly>(9, at, &evaluate);
    scene.chain.warp(1);
    scene.anchor(begin, begin + HOUR * 9 / 10);
    let event = scene.chain.ok(9, at, &evaluate).event::<Reported>();
    assert_eq!(
        (event.value, event.from, event.to),
        (9_000, seconds(begin), seconds(begin + HOUR))
    );
    assert_eq!(scene.summary(), (1, 0, 0, 0));
    // Two hours with half an hour covered.
    scene.chain.warp(2 * HOUR);
    scene.anchor(begin + HOUR, begin + HOUR * 3 / 2);
    let violation = scene.chain.ok(9, at, &evaluate).event::<Violation>();
    assert_eq!(violation.value, 2_500);
    assert_eq!(scene.summary(), (2, 1, 1, 0));
    // What was anchored late is no more than everything.
    scene.chain.warp(HOUR);
    scene.anchor(begin + 2 * HOUR, begin + 4 * HOUR);
    assert_eq!(
        scene.chain.ok(9, at, &evaluate).event::<Reported>().value,
        10_000
    );
    let federations = scene.chain.at.federation_registry;
    let resources = vec![resource];
    scene.chain.ok(
        1,
        federations,
        &unshareCall {
            fed,
            resources: resources.clone(),
        },
    );
    scene.chain.warp(8 * DAY);
    scene.chain.fails::<NotShared>(9, at, &evaluate);
    let share = shareCall {
        fed,
        resources,
        bartered: vec![false],
    };
    scene.chain.ok(1, federations, &share);
    assert!(
        scene.chain.ok(9, at, &evaluate).logs.is_empty(),
        "a new share begins anew"
    );
}

#[test]
fn initializer_runs_once_and_never_on_the_implementation() {
    let mut scene = Scene::new();
    let again = initializeCall {
        authority: scene.chain.account(1),
    };
    let implementation = crate::harness::DEPLOYER.create(23);
    for target in [scene.at(), implementation] {
        scene
            .chain
            .fails::<InvalidInitialization>(1, target, &again);
    }
}
