//! Federations and their agreements under ten organisations: two federations are founded, joined, left, ruled by
//! ballots and removed; sensors are shared, reported, judged; bonds are paid, held, pardoned and collected; time jumps
//! and both contracts are upgraded. Most actions are refused. Events are folded beside the chain, and after each
//! action the invariants of the specification's sections 8 and 9 must hold.

use crate::{
    federation_ballots::{availability, policy, rules},
    harness::{Chain, Outcome, TOKEN, org, seconds},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolConstructor, SolEvent};
use medina_contracts::{
    eip712,
    federation_ballots::{FederationBallots, FederationState as BallotsState},
    federation_registry::{
        FederationRegistry, FederationRegistry::*, FederationState, IFederationRegistry,
    },
    identity::Identity,
    medina_token::MedinaToken,
    sensor_registry::SensorRegistry,
    sla_registry::{ISlaRegistry, SlaRegistry},
    values::{FederationBallotKind as Kind, PenaltyState},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// Organisations that act; each has one account. Account 0 is also monitor, arbiter and Administrator.
const ORGS: usize = 8;
const FEDS: usize = 3;
/// Sensor I belongs to organisation I % ORGS at first.
const SENSORS: usize = 4;
const HOUR: u64 = 3_600;
const THRESHOLD: i64 = 9_000;

#[derive(Clone, Debug)]
enum Action {
    Wait(u64),
    Upgrade {
        sla: bool,
    },
    Create {
        fed: usize,
        open: bool,
        quorum: u16,
    },
    Invite {
        fed: usize,
        org: usize,
    },
    Accept {
        fed: usize,
    },
    Decline {
        fed: usize,
    },
    Leave {
        fed: usize,
    },
    Lapse {
        fed: usize,
        org: usize,
    },
    Revoke {
        org: usize,
    },
    Propose {
        fed: usize,
        kind: u8,
        org: usize,
    },
    Vote {
        ballot: u64,
        yes: bool,
    },
    /// All vote yes, then it is executed.
    Pass {
        ballot: u64,
    },
    Execute {
        ballot: u64,
    },
    Share {
        fed: usize,
        sensor: usize,
    },
    Unshare {
        fed: usize,
        sensor: usize,
    },
    Pause {
        sensor: usize,
    },
    Move {
        sensor: usize,
        to: usize,
    },
    Denied {
        fed: usize,
        sensor: usize,
        origin: usize,
        agreed: bool,
    },
    Rebut {
        report: usize,
    },
    Settle {
        report: usize,
    },
    Bond {
        fed: usize,
        amount: u128,
    },
    Unbond {
        fed: usize,
        org: usize,
    },
    Measure {
        fed: usize,
        sensor: usize,
        ago: u64,
        value: i64,
    },
    Evaluate {
        fed: usize,
        sensor: usize,
    },
    Pardon {
        penalty: u64,
    },
    Collect {
        penalty: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let (fed, org, sensor) = (0..FEDS, 0..ORGS, 0..SENSORS);
    prop_oneof![
        4 => prop_oneof![4 => Just(0), 4 => 1_u64..HOUR, 8 => HOUR..4 * HOUR, 2 => 25 * HOUR..200 * HOUR].prop_map(Action::Wait),
        1 => any::<bool>().prop_map(|sla| Action::Upgrade { sla }),
        4 => (fed.clone(), any::<bool>(), prop_oneof![Just(0), 1_u16..=10_000])
            .prop_map(|(fed, open, quorum)| Action::Create { fed, open, quorum }),
        5 => (fed.clone(), org.clone()).prop_map(|(fed, org)| Action::Invite { fed, org }),
        14 => fed.clone().prop_map(|fed| Action::Accept { fed }),
        1 => fed.clone().prop_map(|fed| Action::Decline { fed }),
        1 => fed.clone().prop_map(|fed| Action::Leave { fed }),
        10 => (fed.clone(), org.clone()).prop_map(|(fed, org)| Action::Lapse { fed, org }),
        1 => (ORGS - 1..ORGS).prop_map(|org| Action::Revoke { org }),
        6 => (fed.clone(), prop_oneof![9 => 0_u8..5, 14 => 6_u8..8, 1 => Just(5_u8)], org.clone()).prop_map(|(fed, kind, org)| Action::Propose { fed, kind, org }),
        6 => (1_u64..12, any::<bool>()).prop_map(|(ballot, yes)| Action::Vote { ballot, yes }),
        6 => (1_u64..12).prop_map(|ballot| Action::Pass { ballot }),
        3 => (1_u64..12).prop_map(|ballot| Action::Execute { ballot }),
        8 => (fed.clone(), sensor.clone()).prop_map(|(fed, sensor)| Action::Share { fed, sensor }),
        2 => (fed.clone(), sensor.clone()).prop_map(|(fed, sensor)| Action::Unshare { fed, sensor }),
        1 => sensor.clone().prop_map(|sensor| Action::Pause { sensor }),
        1 => (sensor.clone(), org.clone()).prop_map(|(sensor, to)| Action::Move { sensor, to }),
        16 => (fed.clone(), sensor.clone(), org.clone(), any::<bool>())
            .prop_map(|(fed, sensor, origin, agreed)| Action::Denied { fed, sensor, origin, agreed }),
        4 => (0_usize..6).prop_map(|report| Action::Rebut { report }),
        3 => (0_usize..6).prop_map(|report| Action::Settle { report }),
        4 => (fed.clone(), 0..50 * TOKEN).prop_map(|(fed, amount)| Action::Bond { fed, amount }),
        8 => (fed.clone(), org).prop_map(|(fed, org)| Action::Unbond { fed, org }),
        14 => (fed.clone(), sensor.clone(), 0_u64..3, prop_oneof![Just(THRESHOLD), Just(THRESHOLD - 1), 0_i64..10_000])
            .prop_map(|(fed, sensor, ago, value)| Action::Measure { fed, sensor, ago, value }),
        4 => (fed, sensor).prop_map(|(fed, sensor)| Action::Evaluate { fed, sensor }),
        2 => (1_u64..6).prop_map(|penalty| Action::Pardon { penalty }),
        6 => (1_u64..6).prop_map(|penalty| Action::Collect { penalty }),
    ]
}

/// What the events say.
#[derive(Default)]
struct Ledger {
    created: BTreeSet<B256>,
    removed: BTreeSet<B256>,
    /// Joins less departures.
    members: BTreeMap<B256, BTreeSet<B256>>,
    votes: BTreeSet<(U256, B256)>,
    executed: BTreeSet<U256>,
    misdeeds: BTreeMap<(B256, B256, B256), u64>,
    reports: Vec<(U256, eip712::Denied)>,
    /// By federation, resource and beginning: what decided a window.
    windows: BTreeSet<(B256, B256, u64, u32)>,
    held: BTreeMap<U256, u128>,
    counts: BTreeMap<(B256, B256), [u32; 2]>,
    reached: BTreeMap<&'static str, usize>,
}

struct World {
    chain: Chain,
    ledger: Ledger,
    number: u64,
}

fn fed(index: usize) -> B256 {
    keccak256(format!("fed {index}"))
}

fn sensor(index: usize) -> B256 {
    keccak256(format!("sensor {index}"))
}

impl World {
    fn new() -> Self {
        let mut chain = Chain::new();
        for index in 0..SENSORS {
            chain.register(index % ORGS, &format!("sensor {index}"));
        }
        let approve = MedinaToken::approveCall {
            spender: chain.at.sla_registry,
            value: U256::MAX,
        };
        for index in 0..ORGS {
            chain.ok(index, chain.at.medina_token, &approve);
        }
        chain.warp(10 * HOUR);
        Self {
            chain,
            ledger: Ledger::default(),
            number: 0,
        }
    }

    fn federations(&self) -> Address {
        self.chain.at.federation_registry
    }

    fn sla(&self) -> Address {
        self.chain.at.sla_registry
    }

    /// Whether it was done.
    fn send<C: SolCall>(&mut self, actor: usize, to: Address, call: &C) -> Option<Outcome> {
        let from = self.chain.account(actor);
        let outcome = self.chain.call(from, to, call);
        if !outcome.success {
            return None;
        }
        let name = C::SIGNATURE.split('(').next().unwrap_or_default();
        *self.ledger.reached.entry(name).or_default() += 1;
        self.fold(&outcome);
        Some(outcome)
    }

    fn fold(&mut self, outcome: &Outcome) {
        let (federations, sla) = (self.federations(), self.sla());
        for log in &outcome.logs {
            if log.address == federations {
                self.fold_federations(log);
            } else if log.address == sla {
                self.fold_agreements(log);
            }
        }
    }

    fn fold_federations(&mut self, log: &alloy_primitives::Log) {
        let ledger = &mut self.ledger;
        if let Ok(e) = Created::decode_log(log) {
            assert!(ledger.created.insert(e.fed), "an id is used once");
        } else if let Ok(e) = Removed::decode_log(log) {
            assert!(ledger.removed.insert(e.fed));
            ledger.members.remove(&e.fed);
        } else if let Ok(e) = Joined::decode_log(log) {
            assert!(ledger.members.entry(e.fed).or_default().insert(e.org));
        } else if let Ok(e) = Left::decode_log(log) {
            let members = ledger.members.entry(e.fed).or_default();
            assert!(members.remove(&e.org));
        } else if let Ok(e) = Voted::decode_log(log) {
            assert!(ledger.votes.insert((e.ballot, e.org)), "one vote each");
        } else if let Ok(e) = Executed::decode_log(log) {
            assert!(ledger.executed.insert(e.ballot), "executed once");
        } else if let Ok(e) = Misdeed::decode_log(log) {
            *ledger
                .misdeeds
                .entry((e.target, e.origin, e.fed))
                .or_default() += 1;
        }
    }

    fn fold_agreements(&mut self, log: &alloy_primitives::Log) {
        let ledger = &mut self.ledger;
        if let Ok(e) = SlaRegistry::Violation::decode_log(log) {
            let counts = ledger.counts.entry((e.fed, e.org)).or_default();
            counts[1] += 1;
            assert!(e.value < THRESHOLD, "a violation is a breach");
        } else if let Ok(e) = SlaRegistry::Penalty::decode_log(log) {
            assert!(e.amount > 0);
            assert_eq!(ledger.held.insert(e.penalty, e.amount), None);
        } else if let Ok(e) = SlaRegistry::Pardoned::decode_log(log) {
            assert!(ledger.held.remove(&e.penalty).is_some());
        } else if let Ok(e) = SlaRegistry::Collected::decode_log(log) {
            assert!(ledger.held.remove(&e.penalty).is_some());
        }
    }

    fn version(&self, index: usize) -> u32 {
        let get = getCall { fed: fed(index) };
        self.chain.view(self.federations(), &get).version
    }

    fn owner(&self, index: usize) -> B256 {
        let call = SensorRegistry::ownerOfCall { id: sensor(index) };
        self.chain.view(self.chain.at.sensor_registry, &call).org
    }

    fn run(&mut self, actor: usize, action: &Action) {
        let (federations, sla) = (self.federations(), self.sla());
        match action {
            Action::Wait(time) => self.chain.warp(*time),
            Action::Upgrade { sla } => self.upgrade(*sla),
            Action::Revoke { org: index } => {
                let call = Identity::setOrgCall {
                    org: org(*index),
                    admin: self.chain.account(*index),
                    s: 3,
                    meta: B256::ZERO,
                };
                self.send(actor, self.chain.at.identity, &call);
            }
            Action::Pause { sensor: index } => {
                let call = SensorRegistry::setStatusCall {
                    id: sensor(*index),
                    status: 1 + u8::from(actor.is_multiple_of(2)),
                };
                self.send(actor, self.chain.at.sensor_registry, &call);
            }
            Action::Move { sensor: index, to } => self.hand_over(*index, *to),
            Action::Denied { .. } | Action::Rebut { .. } | Action::Settle { .. } => {
                self.run_denied(actor, action);
            }
            Action::Bond { fed: index, amount } => {
                let call = SlaRegistry::bondCall {
                    fed: fed(*index),
                    amount: *amount,
                };
                self.send(actor, sla, &call);
            }
            Action::Unbond { fed: f, org: o } => {
                let call = SlaRegistry::unbondCall {
                    fed: fed(*f),
                    org: org(*o),
                };
                self.send(actor, sla, &call);
            }
            Action::Measure {
                fed,
                sensor,
                ago,
                value,
            } => self.measure(actor, *fed, *sensor, *ago, *value),
            Action::Evaluate { fed: f, sensor: s } => {
                let call = SlaRegistry::evaluateCall {
                    fed: fed(*f),
                    resource: sensor(*s),
                    constraint: 0,
                };
                self.send(actor, sla, &call);
            }
            Action::Pardon { penalty } => {
                let penalty = U256::from(*penalty);
                self.send(actor, sla, &SlaRegistry::pardonCall { penalty });
            }
            Action::Collect { penalty } => {
                let penalty = U256::from(*penalty);
                self.send(actor, sla, &SlaRegistry::collectCall { penalty });
            }
            _ => self.run_membership(actor, action, federations),
        }
    }

    fn run_membership(&mut self, actor: usize, action: &Action, at: Address) {
        match action {
            Action::Create {
                fed: index,
                open,
                quorum,
            } => {
                let call = createCall {
                    id: fed(*index),
                    name: B256::ZERO,
                    open: *open,
                    quorumBps: *quorum,
                    infoModel: B256::ZERO,
                    c: vec![availability(THRESHOLD, 0)],
                    invites: (0..ORGS)
                        .step_by(2)
                        .filter(|o| *o != actor)
                        .map(org)
                        .collect(),
                };
                self.send(actor, at, &call);
            }
            Action::Invite { fed: f, org: o } => {
                let call = inviteCall {
                    fed: fed(*f),
                    org: org(*o),
                };
                self.send(actor, at, &call);
            }
            Action::Accept { fed: f } => {
                let version = self.version(*f);
                let call = acceptCall {
                    fed: fed(*f),
                    version,
                };
                self.send(actor, at, &call);
            }
            Action::Decline { fed: f } => {
                self.send(actor, at, &declineCall { fed: fed(*f) });
            }
            Action::Leave { fed: f } => {
                self.send(actor, at, &leaveFederationCall { fed: fed(*f) });
            }
            Action::Lapse { fed: f, org: o } => {
                let call = lapseCall {
                    fed: fed(*f),
                    org: org(*o),
                };
                self.send(actor, at, &call);
            }
            Action::Propose {
                fed: f,
                kind,
                org: o,
            } => {
                let call = proposeCall {
                    fed: fed(*f),
                    kind: *kind,
                    data: ballot_data(*kind, *o),
                };
                self.send(actor, at, &call);
            }
            Action::Vote { ballot, yes } => {
                let ballot = U256::from(*ballot);
                self.send(actor, at, &voteCall { ballot, yes: *yes });
            }
            Action::Pass { ballot } => {
                let ballot = U256::from(*ballot);
                for voter in 0..ORGS {
                    self.send(voter, at, &voteCall { ballot, yes: true });
                }
                self.send(actor, at, &executeCall { ballot });
            }
            Action::Execute { ballot } => {
                let ballot = U256::from(*ballot);
                self.send(actor, at, &executeCall { ballot });
            }
            Action::Share { fed: f, sensor: s } => {
                let call = shareCall {
                    fed: fed(*f),
                    resources: vec![sensor(*s)],
                    bartered: vec![actor.is_multiple_of(2)],
                };
                // Mostly by its owner.
                let owner = (0..ORGS).find(|index| org(*index) == self.owner(*s));
                self.send(
                    if actor < 6 {
                        owner.unwrap_or(actor)
                    } else {
                        actor
                    },
                    at,
                    &call,
                );
            }
            Action::Unshare { fed: f, sensor: s } => {
                let call = unshareCall {
                    fed: fed(*f),
                    resources: vec![sensor(*s)],
                };
                let owner = (0..ORGS).find(|index| org(*index) == self.owner(*s));
                self.send(owner.unwrap_or(actor), at, &call);
            }
            _ => unreachable!("run handles the others"),
        }
    }

    fn hand_over(&mut self, index: usize, to: usize) {
        let owner = (0..ORGS).find(|o| org(*o) == self.owner(index));
        let registry = self.chain.at.sensor_registry;
        let call = SensorRegistry::transferCall {
            id: sensor(index),
            toOrg: org(to),
        };
        if self
            .send(owner.expect("one of them"), registry, &call)
            .is_some()
        {
            let accept = SensorRegistry::acceptCall { id: sensor(index) };
            self.send(to, registry, &accept);
        }
    }

    fn run_denied(&mut self, actor: usize, action: &Action) {
        let at = self.federations();
        match action {
            Action::Denied {
                fed: f,
                sensor: s,
                origin,
                agreed,
            } => {
                self.number += 1;
                let target = self.owner(*s);
                let message = eip712::Denied {
                    fed: fed(*f),
                    resource: sensor(*s),
                    targetOrg: target,
                    originOrg: org(*origin),
                    request: keccak256(self.number.to_be_bytes()),
                    time: seconds(self.chain.time),
                    // Some numbers come twice.
                    number: self.number - u64::from(self.number.is_multiple_of(5)),
                    client: self.chain.account(actor),
                };
                let signer = (0..ORGS).find(|index| org(*index) == target);
                let target_sig = match signer {
                    Some(index) if *agreed => {
                        self.chain
                            .sign_packed(index, "FederationRegistry", &message)
                    }
                    _ => Bytes::new(),
                };
                let call = reportDeniedCall {
                    d: denied(&message),
                    clientSig: self.chain.sign(actor, "FederationRegistry", &message),
                    targetSig: target_sig,
                };
                if let Some(outcome) = self.send(9, at, &call) {
                    let event = outcome.event::<Reported>();
                    self.ledger.reports.push((event.report, message));
                }
            }
            Action::Rebut { report } => {
                let Some((report, message)) = self.ledger.reports.iter().nth_back(*report).cloned()
                else {
                    return;
                };
                let client = (0..10).find(|index| self.chain.account(*index) == message.client);
                let receipt = eip712::Receipt {
                    request: message.request,
                    time: message.time,
                };
                let client = client.expect("an account of the chain");
                let signature = self.chain.sign(client, "FederationRegistry", &receipt);
                let call = rebutCall {
                    report,
                    receipt: eip712::receipt(message.time, &signature),
                };
                let target = (0..ORGS).find(|index| org(*index) == message.targetOrg);
                self.send(target.expect("one of them"), at, &call);
            }
            Action::Settle { report } => {
                let found = self.ledger.reports.iter().nth_back(*report).cloned();
                if let Some((report, _)) = found {
                    self.send(actor, at, &settleReportCall { report });
                }
            }
            _ => unreachable!("run handles the others"),
        }
    }

    /// Also that the verdict is the comparator's and that a window is decided once.
    fn measure(&mut self, actor: usize, f: usize, s: usize, ago: u64, value: i64) {
        let to = self.chain.time / HOUR * HOUR - ago * HOUR;
        let at = self.sla();
        let (fed, resource) = (fed(f), sensor(s));
        let call = SlaRegistry::reportCall {
            r: vec![ISlaRegistry::Report {
                fed,
                resource,
                constraint: 0,
                value,
                from: seconds(to - HOUR),
                to: seconds(to),
            }],
        };
        let is_decided = SlaRegistry::isDecidedCall {
            fed,
            resource,
            constraint: 0,
            from: seconds(to - HOUR),
        };
        let before = self.summary(fed, self.owner(s));
        let Some(_) = self.send(actor, at, &call) else {
            return;
        };
        let after = self.summary(fed, self.owner(s));
        let decided = self.chain.view(at, &is_decided);
        let since = constraintAtCall { fed, index: 0 };
        let since = self.chain.view(self.federations(), &since).since;
        if decided {
            let key = (fed, resource, to, since);
            assert!(self.ledger.windows.insert(key), "a window is decided once");
        }
        assert_eq!(after[0], before[0] + 1);
        let is_breach = decided && value < THRESHOLD;
        assert_eq!(
            after[1],
            before[1] + u32::from(is_breach),
            "breach iff the comparator is false"
        );
        let count = self.ledger.counts.entry((fed, self.owner(s))).or_default();
        count[0] = after[1];
    }

    fn summary(&self, fed: B256, org: B256) -> [u32; 3] {
        let found = self
            .chain
            .view(self.sla(), &SlaRegistry::summaryCall { fed, org });
        [found.reports, found.breaches, found.violations]
    }

    fn upgrade(&mut self, sla: bool) {
        let at = self.chain.at;
        let (proxy, code) = if sla {
            let modules = SlaRegistry::Modules {
                identity: at.identity,
                registry: at.sensor_registry,
                anchor: at.data_anchor,
                federation: at.federation_registry,
                trust: at.trust_and_reputation,
                token: at.medina_token,
            };
            let arguments = SlaRegistry::constructorCall { modules }.abi_encode();
            (
                at.sla_registry,
                [SlaRegistry::BYTECODE.as_ref(), &arguments].concat(),
            )
        } else {
            let modules = BallotsState::Modules {
                identity: at.identity,
                registry: at.sensor_registry,
                trust: at.trust_and_reputation,
                sla: at.sla_registry,
            };
            let arguments = FederationBallots::constructorCall { modules }.abi_encode();
            let half = [FederationBallots::BYTECODE.as_ref(), &arguments].concat();
            let ballots = self.chain.create(&half.into());
            let modules = FederationState::Modules {
                identity: at.identity,
                registry: at.sensor_registry,
                trust: at.trust_and_reputation,
                sla: at.sla_registry,
            };
            let arguments = FederationRegistry::constructorCall { modules, ballots }.abi_encode();
            (
                at.federation_registry,
                [FederationRegistry::BYTECODE.as_ref(), &arguments].concat(),
            )
        };
        let new_implementation = self.chain.create(&code.into());
        let call = upgradeToAndCallCall {
            newImplementation: new_implementation,
            data: Bytes::new(),
        };
        self.chain.ok(0, proxy, &call);
    }

    fn check(&self) {
        for index in 0..FEDS {
            self.check_federation(fed(index));
        }
        self.check_misdeeds();
        self.check_money();
    }

    fn check_federation(&self, fed: B256) {
        let at = self.federations();
        let found = self.chain.view(at, &getCall { fed });
        let listed = self.ledger.members.get(&fed).cloned().unwrap_or_default();
        let is_removed = self.ledger.removed.contains(&fed);
        assert_eq!(
            usize::from(found.members),
            listed.len(),
            "joins less departures"
        );
        assert_eq!(!found.removed.is_zero(), is_removed);
        assert!(is_removed || found.members > 0 || found.created.is_zero());
        let mut members = BTreeSet::new();
        for index in 0..ORGS {
            let org = org(index);
            if self.chain.view(at, &isMemberCall { fed, org }) {
                members.insert(org);
            }
            let m = self.chain.view(at, &membershipCall { fed, org });
            let is_running = !m.joined.is_zero() && m.left.is_zero();
            assert_eq!(is_running, members.contains(&org));
        }
        assert!(
            members.is_subset(&listed),
            "who lapsed is listed until somebody notes it"
        );
        assert!(!is_removed || members.is_empty());
        for index in 0..SENSORS {
            let resource = sensor(index);
            let shared = self.chain.view(at, &isSharedCall { fed, resource }).shared;
            assert!(
                !shared || members.contains(&self.owner(index)),
                "shared: the owner is a member"
            );
            let stranger = accessAllowedCall {
                fed,
                resource,
                clientOrg: org(99),
            };
            assert!(!self.chain.view(at, &stranger).allowed);
        }
    }

    fn check_misdeeds(&self) {
        let at = self.federations();
        for index in 0..ORGS {
            let target = org(index);
            let mut sum = 0;
            for ((t, origin, fed), count) in &self.ledger.misdeeds {
                if *t != target {
                    continue;
                }
                let by = misdeedsByCall {
                    target,
                    origin: *origin,
                    fed: *fed,
                };
                assert_eq!(self.chain.view(at, &by), *count);
                sum += count;
            }
            assert_eq!(self.chain.view(at, &misdeedsCall { target }), sum);
        }
    }

    fn check_money(&self) {
        let at = self.sla();
        let mut bonded = 0;
        for f in 0..FEDS {
            for o in 0..ORGS {
                let (fed, org) = (fed(f), org(o));
                let found = self.chain.view(at, &SlaRegistry::summaryCall { fed, org });
                bonded += found.bonded;
                let counted = self
                    .ledger
                    .counts
                    .get(&(fed, org))
                    .copied()
                    .unwrap_or_default();
                assert_eq!(found.violations, counted[1]);
                assert!(found.violations <= found.breaches && found.breaches <= found.reports);
            }
        }
        let held: u128 = self.ledger.held.values().sum();
        assert_eq!(
            self.chain.balance(at),
            bonded + held,
            "bonds and held penalties"
        );
        for penalty in self.ledger.held.keys() {
            let call = SlaRegistry::getPenaltyCall { penalty: *penalty };
            let state = self.chain.view(at, &call).state;
            assert_eq!(PenaltyState::try_from(state), Ok(PenaltyState::Held));
        }
    }
}

fn denied(m: &eip712::Denied) -> IFederationRegistry::Denied {
    IFederationRegistry::Denied {
        fed: m.fed,
        resource: m.resource,
        targetOrg: m.targetOrg,
        originOrg: m.originOrg,
        request: m.request,
        time: m.time,
        number: m.number,
        client: m.client,
    }
}

fn ballot_data(kind: u8, about: usize) -> Bytes {
    match Kind::try_from(kind) {
        Ok(Kind::Constraints) => rules(&[availability(THRESHOLD, 0)]),
        Ok(Kind::Remove) | Err(_) => Bytes::new(),
        Ok(Kind::Policy) => {
            // Sometimes two breaches are a violation, sometimes two violations a penalty.
            let (breaches, violations) = (
                1 + u8::from(about < 4),
                1 + u8::from(about.is_multiple_of(2)),
            );
            policy(0, breaches, 86_400, (violations, 0, 3 * TOKEN))
        }
        Ok(Kind::Quorum) => U256::from(about * 1_000).to_be_bytes::<32>().into(),
        Ok(_) => org(about).0.into(),
    }
}

/// A federation of six with a policy that all accepted, with bonds and shared sensors: from here anything may happen.
fn beginning() -> Vec<(usize, Action)> {
    let create = Action::Create {
        fed: 0,
        open: true,
        quorum: 0,
    };
    let policy = Action::Propose {
        fed: 0,
        kind: Kind::Policy.into(),
        org: 5,
    };
    let mut actions = vec![(0, create)];
    actions.extend((1..6).map(|org| (org, Action::Accept { fed: 0 })));
    actions.extend([(0, policy), (0, Action::Pass { ballot: 1 })]);
    actions.extend((0..6).map(|org| (org, Action::Accept { fed: 0 })));
    let amount = 20 * TOKEN;
    actions.extend((0..6).map(|org| (org, Action::Bond { fed: 0, amount })));
    actions.extend((0..SENSORS).map(|sensor| (sensor, Action::Share { fed: 0, sensor })));
    actions.push((0, Action::Wait(2 * HOUR)));
    actions
}

fn play(actions: &[(usize, Action)]) -> Ledger {
    let mut world = World::new();
    for (actor, action) in beginning() {
        world.run(actor, &action);
        world.check();
    }
    for (actor, action) in actions {
        world.run(*actor, action);
        world.check();
    }
    world.ledger
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn invariants_of_federations_and_agreements_hold(
        actions in proptest::collection::vec((0..10_usize, action()), 1..160)
    ) {
        play(&actions);
    }
}

/// Otherwise the property would hold for nothing.
#[test]
fn random_actions_reach_what_the_invariants_speak_of() {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec((0..10_usize, action()), 1_000);
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..12 {
        let actions = strategy
            .new_tree(&mut runner)
            .expect("a sequence")
            .current();
        for (name, count) in play(&actions).reached {
            *reached.entry(name).or_default() += count;
        }
    }
    for name in [
        "create",
        "invite",
        "accept",
        "leaveFederation",
        "lapse",
        "propose",
        "vote",
        "execute",
        "share",
        "unshare",
        "reportDenied",
        "rebut",
        "settleReport",
        "bond",
        "report",
        "evaluate",
        "collect",
        "unbond",
    ] {
        assert!(
            reached.get(name).copied().unwrap_or_default() > 0,
            "{name}: {reached:?}"
        );
    }
}
