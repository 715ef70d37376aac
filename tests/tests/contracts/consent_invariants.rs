//! ConsentAndAccess against a plain model: nine people of three organisations grant, amend, revoke and delegate for a
//! patient and for a room, which changes hands; people are suspended and erased, the contract is upgraded, time
//! jumps. After each action `allowed` must be what the model says, for everybody: what is revoked, ended or another
//! owner's allows nothing in the same block, and what is allowed has a live grant by the owner or a delegate.

use crate::{
    actors::{Module, PEOPLE, three_organisations, upgrade},
    consent::{care, delegation, grant, may},
    harness::{Chain, org, seconds, user},
};
use alloy_primitives::{B256, U256, Uint, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{
    consent_and_access::ConsentAndAccess::*, eip712, identity::Identity,
    sensor_registry::SensorRegistry,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// A Member of organisation 1, who owns the consent to her own data.
const PATIENT: usize = 4;
/// Business roles of the accounts of `three_organisations`.
const ROLES: [u64; PEOPLE] = [4, 2, 2, 1, 1, 1, 2, 2, 3];

#[derive(Clone, Debug)]
enum Step {
    Grant {
        by: usize,
        room: bool,
        to: usize,
        ops: u8,
        wait: u64,
        lasts: u64,
        signed: bool,
    },
    Amend {
        by: usize,
        room: bool,
        to: usize,
        ops: u8,
        lasts: u64,
    },
    Revoke {
        by: usize,
        room: bool,
        to: usize,
    },
    RevokeAll {
        by: usize,
        room: bool,
    },
    Delegate {
        by: usize,
        room: bool,
        helper: usize,
        lasts: u64,
    },
    Move {
        to: usize,
    },
    Suspend {
        index: usize,
        s: u8,
    },
    Erase {
        index: usize,
    },
    Upgrade,
    Wait {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly those who own something.
    let by = || prop_oneof![3 => Just(PATIENT), 2 => Just(1_usize), 4 => 0..PEOPLE];
    let (room, to, ops, lasts) = (any::<bool>(), 0..GRANTEES, 0_u8..17, 0_u64..5_000);
    prop_oneof![
        10 => (by(), room, to.clone(), ops.clone(), 0_u64..1_000, lasts.clone(), any::<bool>())
            .prop_map(|(by, room, to, ops, wait, lasts, signed)| {
                Step::Grant { by, room, to, ops, wait, lasts, signed }
            }),
        3 => (by(), room, to.clone(), ops, lasts.clone())
            .prop_map(|(by, room, to, ops, lasts)| Step::Amend { by, room, to, ops, lasts }),
        3 => (by(), room, to).prop_map(|(by, room, to)| Step::Revoke { by, room, to }),
        1 => (by(), room).prop_map(|(by, room)| Step::RevokeAll { by, room }),
        4 => (by(), room, 0..PEOPLE, lasts)
            .prop_map(|(by, room, helper, lasts)| Step::Delegate { by, room, helper, lasts }),
        1 => (1_usize..3).prop_map(|to| Step::Move { to }),
        1 => (3..PEOPLE, 1_u8..3).prop_map(|(index, s)| Step::Suspend { index, s }),
        1 => (3..PEOPLE).prop_map(|index| Step::Erase { index }),
        1 => Just(Step::Upgrade),
        3 => (1_u64..2_000).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// Users, organisations and roles 1 to 4.
const GRANTEES: usize = PEOPLE + 3 + 4;

fn grantee(index: usize) -> B256 {
    match index {
        0..PEOPLE => user(index),
        PEOPLE..12 => org(index - PEOPLE),
        _ => U256::from(index - 11).into(),
    }
}

fn scope(room: bool) -> B256 {
    if room {
        keccak256("room")
    } else {
        user(PATIENT)
    }
}

/// Consent of one scope: end of each delegation; from, until and ops of each grant.
#[derive(Default)]
struct Consent {
    delegates: BTreeMap<usize, u64>,
    grants: BTreeMap<usize, (u64, u64, u8)>,
}

struct Model {
    room: Consent,
    patient: Consent,
    /// Admin, and organisation, of the room's owner.
    keeper: usize,
    asleep: BTreeSet<usize>,
    erased: BTreeSet<usize>,
    reached: BTreeSet<&'static str>,
}

impl Model {
    fn of(&mut self, room: bool) -> &mut Consent {
        if room {
            &mut self.room
        } else {
            &mut self.patient
        }
    }

    fn is_live(&self, index: usize) -> bool {
        !self.asleep.contains(&index) && !self.erased.contains(&index)
    }

    fn owns(&self, by: usize, room: bool) -> bool {
        if !room {
            return by == PATIENT && self.is_live(by);
        }
        by == self.keeper || (self.is_live(by) && ROLES[by] >= 2 && by % 3 == self.keeper)
    }

    /// The owner, who may end consent also while suspended.
    fn may_end(&self, by: usize, room: bool) -> bool {
        self.owns(by, room) || (!room && by == PATIENT && !self.erased.contains(&by))
    }

    fn helps(&mut self, by: usize, room: bool, now: u64) -> bool {
        let has_owner = room || !self.erased.contains(&PATIENT);
        let is_live = self.is_live(by);
        let until = self.of(room).delegates.get(&by);
        has_owner && is_live && until.is_some_and(|until| now < *until)
    }

    fn run(&mut self, step: &Step, now: u64) -> bool {
        match *step {
            Step::Grant {
                by,
                room,
                to,
                ops,
                wait,
                lasts,
                signed,
            } => {
                let is_owner = self.owns(by, room);
                let acts = is_owner || (!signed && self.helps(by, room, now));
                let fine = acts && lasts > 0 && (1..16).contains(&ops);
                if fine {
                    let grant = (now + wait, now + wait + lasts, ops);
                    self.of(room).grants.insert(to, grant);
                    self.reached.insert(if is_owner {
                        "granted"
                    } else {
                        "granted by a helper"
                    });
                }
                fine
            }
            Step::Amend {
                by,
                room,
                to,
                ops,
                lasts,
            } => {
                let acts = self.owns(by, room) || self.helps(by, room, now);
                let until = now + lasts;
                let Some(grant) = self.of(room).grants.get_mut(&to) else {
                    return false;
                };
                let is_live = now < grant.1;
                let fine = acts && is_live && until > grant.0.max(now) && (1..16).contains(&ops);
                if fine {
                    (grant.1, grant.2) = (until, ops);
                    self.reached.insert("amended");
                }
                fine
            }
            Step::Revoke { by, room, to } => {
                let acts = self.may_end(by, room) || self.helps(by, room, now);
                let grant = self.of(room).grants.get(&to);
                let fine = acts && grant.is_some_and(|(_, until, _)| now < *until);
                if fine {
                    self.of(room).grants.remove(&to);
                    self.reached.insert("revoked");
                }
                fine
            }
            Step::RevokeAll { by, room } => {
                let fine = self.may_end(by, room);
                if fine {
                    *self.of(room) = Consent::default();
                    self.reached.insert("revoked all");
                }
                fine
            }
            Step::Delegate {
                by,
                room,
                helper,
                lasts,
            } => {
                let fine = self.owns(by, room);
                if fine {
                    self.of(room).delegates.insert(helper, now + lasts);
                    self.reached.insert("delegated");
                }
                fine
            }
            Step::Move { to } => {
                if to != self.keeper {
                    (self.keeper, self.room) = (to, Consent::default());
                    self.reached.insert("moved");
                }
                true
            }
            Step::Suspend { index, s } => {
                if !self.erased.contains(&index) {
                    if s == 2 {
                        self.asleep.insert(index);
                    } else {
                        self.asleep.remove(&index);
                    }
                }
                true
            }
            Step::Erase { index } => {
                self.erased.insert(index);
                if index == PATIENT {
                    self.patient = Consent::default();
                    self.reached.insert("patient erased");
                }
                true
            }
            Step::Upgrade | Step::Wait { .. } => true,
        }
    }

    fn allows(&self, room: bool, who: usize, now: u64, op: u8) -> bool {
        if !self.is_live(who) {
            return false;
        }
        let consent = if room { &self.room } else { &self.patient };
        let role = 11 + usize::try_from(ROLES[who]).expect("small");
        [who, PEOPLE + who % 3, role].iter().any(|to| {
            let grant = consent.grants.get(to);
            grant.is_some_and(|(from, until, ops)| *from <= now && now < *until && ops & op == op)
        })
    }
}

struct Ward {
    chain: Chain,
    model: Model,
    /// Messages so far.
    signed: u64,
}

impl Ward {
    fn new() -> Self {
        let mut chain = three_organisations();
        chain.register(1, "room");
        let model = Model {
            room: Consent::default(),
            patient: Consent::default(),
            keeper: 1,
            asleep: BTreeSet::new(),
            erased: BTreeSet::new(),
            reached: BTreeSet::new(),
        };
        Self {
            chain,
            model,
            signed: 0,
        }
    }

    fn after(&self, wait: u64) -> Uint<48, 1> {
        seconds(self.chain.time + wait)
    }

    fn send(&mut self, by: usize, call: &impl SolCall) -> bool {
        let at = self.chain.at.consent_and_access;
        self.chain.call(self.chain.account(by), at, call).success
    }

    fn run(&mut self, step: &Step) -> bool {
        let id = |room, to| {
            let of = (scope(room), grantee(to), care());
            U256::from_be_bytes(keccak256(of.abi_encode()).0)
        };
        match *step {
            Step::Grant {
                by,
                room,
                to,
                ops,
                wait,
                lasts,
                signed,
            } => {
                let mut call = grant(&self.chain, scope(room), grantee(to));
                call.g.ops = ops;
                (call.g.from, call.g.until) = (self.after(wait), self.after(wait + lasts));
                if signed {
                    self.bring(by, call.g)
                } else {
                    self.send(by, &call)
                }
            }
            Step::Amend {
                by,
                room,
                to,
                ops,
                lasts,
            } => {
                let until = self.after(lasts);
                self.send(
                    by,
                    &amendCall {
                        id: id(room, to),
                        ops,
                        until,
                    },
                )
            }
            Step::Revoke { by, room, to } => self.send(by, &revokeCall { id: id(room, to) }),
            Step::RevokeAll { by, room } => self.send(by, &revokeAllCall { scope: scope(room) }),
            Step::Delegate {
                by,
                room,
                helper,
                lasts,
            } => {
                let mut call = delegation(&self.chain, scope(room), user(helper));
                call.until = self.after(lasts);
                self.send(by, &call)
            }
            Step::Move { to } => self.move_room(to),
            Step::Suspend { index, s } => {
                let call = Identity::setStatusCall {
                    userId: user(index),
                    s,
                    reason: B256::ZERO,
                };
                self.chain
                    .call(self.chain.account(0), self.chain.at.identity, &call);
                true
            }
            Step::Erase { index } => {
                let call = Identity::eraseCall {
                    userId: user(index),
                };
                let from = self.chain.account(index);
                self.chain.call(from, self.chain.at.identity, &call);
                true
            }
            Step::Upgrade => {
                upgrade(&mut self.chain, Module::Consent);
                true
            }
            Step::Wait { seconds } => {
                self.chain.warp(seconds);
                true
            }
        }
    }

    /// The grant signed by `by` and brought by a stranger.
    fn bring(
        &mut self,
        by: usize,
        g: medina_contracts::consent_and_access::IConsentAndAccess::Grant,
    ) -> bool {
        // A message works once: the deadline tells two of one second apart.
        self.signed += 1;
        let deadline = self.after(1_000 + self.signed);
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
        let owner_sig = self.chain.sign_packed(by, "ConsentAndAccess", &message);
        let call = grantForCall {
            g,
            deadline,
            ownerSig: owner_sig,
        };
        self.send(9, &call)
    }

    /// A second later, so that the room's owners are told apart by when they got it.
    fn move_room(&mut self, to: usize) -> bool {
        let from = self.model.keeper;
        if from == to {
            return true;
        }
        self.chain.warp(1);
        let at = self.chain.at.sensor_registry;
        let id = scope(true);
        let offer = SensorRegistry::transferCall { id, toOrg: org(to) };
        self.chain.ok(from, at, &offer);
        self.chain.ok(to, at, &SensorRegistry::acceptCall { id });
        true
    }

    fn check(&self, step: &Step) {
        for room in [true, false] {
            for who in 0..PEOPLE {
                for op in [1, 2, 5] {
                    let found = may(&self.chain, scope(room), user(who), care(), op);
                    let expected = self.model.allows(room, who, self.chain.time, op);
                    assert_eq!(found, expected, "{who} {room} {op} after {step:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn allowed_is_what_a_plain_model_says(steps in proptest::collection::vec(step(), 1..50)) {
        let mut ward = Ward::new();
        for step in &steps {
            let now = ward.chain.time;
            let done = ward.run(step);
            prop_assert_eq!(done, ward.model.run(step, now), "{:?}", step);
            ward.check(step);
        }
    }
}

/// The property above says little if histories never get anywhere.
#[test]
fn random_histories_reach_every_kind_of_consent() {
    let mut runner = TestRunner::deterministic();
    let histories = proptest::collection::vec(step(), 80);
    let mut reached = BTreeSet::new();
    for _ in 0..16 {
        let mut ward = Ward::new();
        for step in &histories.new_tree(&mut runner).unwrap().current() {
            let now = ward.chain.time;
            ward.run(step);
            ward.model.run(step, now);
        }
        reached.extend(ward.model.reached);
    }
    let all = [
        "granted",
        "granted by a helper",
        "amended",
        "revoked",
        "revoked all",
        "delegated",
        "moved",
        "patient erased",
    ];
    for name in all {
        assert!(reached.contains(name), "{name} was never reached");
    }
}
