//! IncidentRegistry under nine people of three organisations and a stranger: alerts are passed, confirmed and
//! rejected, responses answered and escalated, people suspended, time jumps, the contract is upgraded. A plain model
//! says which answers may be given; after each action the invariants of the specification's section 12 must hold.

use crate::{
    actors::{Module, PEOPLE, home, three_organisations, upgrade},
    harness::{Chain, org, seconds, user},
    incident::{CONFIRMED, PASSED, alert, evaluation, impact},
};
use alloy_primitives::{B256, U256};
use alloy_sol_types::{SolCall, SolEvent};
use medina_contracts::{identity::Identity, incident_registry::IncidentRegistry::*};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const ORGS: usize = 3;

#[derive(Clone, Debug)]
enum Action {
    Raise {
        site: usize,
        assignee: usize,
    },
    Evaluate {
        alert: u64,
        v: u8,
        to: usize,
    },
    Report {
        site: usize,
    },
    Publish {
        incident: u64,
        scores: Vec<u16>,
    },
    Opinion {
        impact: u64,
    },
    Respond {
        incident: u64,
        recipients: Vec<usize>,
        lasts: u64,
        needs_ack: bool,
    },
    Acknowledge {
        response: u64,
        can_execute: bool,
    },
    Escalate {
        response: u64,
    },
    Close {
        incident: u64,
    },
    Suspend {
        index: usize,
        s: u8,
    },
    Upgrade,
    Wait {
        seconds: u64,
    },
}

fn action() -> impl Strategy<Value = (usize, Action)> {
    // Three organisations, then users.
    let (site, someone, number) = (0..ORGS, 0..ORGS + PEOPLE, 1_u64..5);
    let recipients = prop::collection::vec(someone.clone(), 1..4);
    let scores = prop::collection::vec(prop_oneof![8 => 0_u16..=10_000, 1 => Just(10_001)], 1..3);
    let kind = prop_oneof![
        4 => (site.clone(), someone.clone())
            .prop_map(|(site, assignee)| Action::Raise { site, assignee }),
        8 => (number.clone(), 0_u8..4, someone.clone())
            .prop_map(|(alert, v, to)| Action::Evaluate { alert, v, to }),
        2 => site.prop_map(|site| Action::Report { site }),
        4 => (number.clone(), scores)
            .prop_map(|(incident, scores)| Action::Publish { incident, scores }),
        3 => number.clone().prop_map(|impact| Action::Opinion { impact }),
        6 => (number.clone(), recipients, 0_u64..1_000, prop::bool::weighted(0.8)).prop_map(
            |(incident, recipients, lasts, needs_ack)| {
                Action::Respond { incident, recipients, lasts, needs_ack }
            }
        ),
        8 => (number.clone(), any::<bool>())
            .prop_map(|(response, can_execute)| Action::Acknowledge { response, can_execute }),
        3 => number.clone().prop_map(|response| Action::Escalate { response }),
        1 => number.prop_map(|incident| Action::Close { incident }),
        1 => (3..PEOPLE, 1_u8..3).prop_map(|(index, s)| Action::Suspend { index, s }),
        1 => Just(Action::Upgrade),
        2 => prop_oneof![Just(1_u64), Just(300), Just(1_200)]
            .prop_map(|seconds| Action::Wait { seconds }),
    ];
    (0..=PEOPLE, kind)
}

#[derive(Clone, Debug)]
struct Response {
    incident: u64,
    timeout: u64,
    needs_ack: bool,
    /// Who was asked and what came back.
    answers: BTreeMap<B256, Option<bool>>,
    escalated: bool,
}

/// What may still happen, written down plainly.
#[derive(Default)]
struct Model {
    /// Who each alert waits for; none once decided.
    alerts: Vec<Option<B256>>,
    /// Whether each incident is closed, and its site.
    incidents: Vec<(bool, B256)>,
    impacts: Vec<u64>,
    opinions: BTreeSet<(u64, usize)>,
    responses: Vec<Response>,
    asleep: BTreeSet<usize>,
    reached: BTreeSet<&'static str>,
}

impl Model {
    fn is_live(&self, actor: usize) -> bool {
        !self.asleep.contains(&actor)
    }

    /// Whether the actor answers for `id`.
    fn answers_for(&self, actor: usize, id: B256) -> bool {
        self.is_live(actor) && (id == user(actor) || id == home(actor))
    }

    fn open_site(&self, incident: u64) -> Option<B256> {
        let place = usize::try_from(incident).ok()?.checked_sub(1)?;
        let (closed, site) = self.incidents.get(place)?;
        (!closed).then_some(*site)
    }
}

struct Desk {
    chain: Chain,
    model: Model,
}

fn someone(index: usize) -> B256 {
    if index < ORGS {
        org(index)
    } else {
        user(index - ORGS)
    }
}

impl Desk {
    fn new() -> Self {
        Self {
            chain: three_organisations(),
            model: Model::default(),
        }
    }

    /// The result of a call that succeeded; checked that it was allowed to.
    fn send<C: SolCall>(&mut self, actor: usize, call: &C) -> Option<crate::harness::Outcome> {
        let from = self.chain.account(actor);
        let outcome = self.chain.call(from, self.chain.at.incident_registry, call);
        outcome.success.then_some(outcome)
    }

    fn run(&mut self, actor: usize, action: &Action) {
        match action {
            Action::Raise { site, assignee } => {
                let assignee = someone(*assignee);
                if self.send(actor, &alert(org(*site), assignee)).is_some() {
                    self.model.alerts.push(Some(assignee));
                    self.reached("raised");
                }
            }
            Action::Evaluate { alert, v, to } => self.evaluate(actor, *alert, *v, someone(*to)),
            Action::Report { site } => {
                let call = reportCall {
                    class: B256::ZERO,
                    severity: 1,
                    site: org(*site),
                    asset: B256::ZERO,
                    doc: B256::ZERO,
                };
                if let Some(outcome) = self.send(actor, &call) {
                    assert!(self.model.is_live(actor), "a suspended user reported");
                    self.began(outcome.event());
                }
            }
            Action::Publish { incident, scores } => self.publish(actor, *incident, scores),
            Action::Opinion { impact } => self.opinion(actor, *impact),
            Action::Respond {
                incident,
                recipients,
                lasts,
                needs_ack,
            } => {
                let timeout = self.chain.time + lasts;
                self.respond(actor, *incident, recipients, timeout, *needs_ack);
            }
            Action::Acknowledge {
                response,
                can_execute,
            } => self.acknowledge(actor, *response, *can_execute),
            Action::Escalate { response } => self.escalate(actor, *response),
            Action::Close { incident } => self.close(actor, *incident),
            Action::Suspend { index, s } => self.suspend(*index, *s),
            Action::Upgrade => upgrade(&mut self.chain, Module::Incidents),
            Action::Wait { seconds } => self.chain.warp(*seconds),
        }
    }

    fn reached(&mut self, name: &'static str) {
        self.model.reached.insert(name);
    }

    fn began(&mut self, event: Incident) {
        let site = event.site;
        self.model.incidents.push((false, site));
        assert_eq!(event.incident, U256::from(self.model.incidents.len()));
        self.reached("incident");
    }

    fn evaluate(&mut self, actor: usize, number: u64, v: u8, to: B256) {
        let mut call = evaluation(U256::from(number), v);
        call.passTo = to;
        let place = usize::try_from(number - 1).expect("small");
        let waits = self.model.alerts.get(place).copied().flatten();
        let Some(outcome) = self.send(actor, &call) else {
            return;
        };
        let assignee = waits.expect("only what waits is evaluated");
        assert!(
            self.model.answers_for(actor, assignee),
            "{actor} was not asked"
        );
        assert_eq!(outcome.event::<Evaluated>().by, user(actor));
        self.model.alerts[place] = (v == PASSED).then_some(to);
        if v == CONFIRMED {
            self.began(outcome.event());
        } else {
            assert_eq!(outcome.logs.len(), 1);
            self.reached(if v == PASSED { "passed" } else { "rejected" });
        }
    }

    fn publish(&mut self, actor: usize, incident: u64, scores: &[u16]) {
        let call = impact(U256::from(incident), scores.to_vec());
        let site = self.model.open_site(incident);
        if let Some(outcome) = self.send(actor, &call) {
            assert_eq!(site, Some(home(actor)), "a stranger published an impact");
            for log in &outcome.logs {
                let event = Impact::decode_log(log).unwrap();
                assert!(event.score <= 10_000);
            }
            self.model.impacts.push(incident);
            self.reached("impact");
        }
    }

    fn opinion(&mut self, actor: usize, impact: u64) {
        let call = evaluateImpactCall {
            impact: U256::from(impact),
            agree: true,
            doc: B256::ZERO,
        };
        if self.send(actor, &call).is_none() {
            return;
        }
        let place = usize::try_from(impact - 1).expect("small");
        let incident = self.model.impacts[place];
        assert_eq!(self.model.open_site(incident), Some(home(actor)));
        assert!(
            self.model.opinions.insert((impact, actor)),
            "an opinion given twice"
        );
        self.reached("opinion");
    }

    fn respond(
        &mut self,
        actor: usize,
        incident: u64,
        recipients: &[usize],
        timeout: u64,
        needs_ack: bool,
    ) {
        let call = respondCall {
            incident: U256::from(incident),
            plan: B256::ZERO,
            recipients: recipients.iter().map(|index| someone(*index)).collect(),
            timeout: seconds(timeout),
            needsAck: needs_ack,
        };
        if self.send(actor, &call).is_none() {
            return;
        }
        assert_eq!(self.model.open_site(incident), Some(home(actor)));
        let answers: BTreeMap<_, _> = call.recipients.iter().map(|id| (*id, None)).collect();
        assert_eq!(answers.len(), recipients.len(), "somebody was asked twice");
        assert!(timeout > self.chain.time);
        self.model.responses.push(Response {
            incident,
            timeout,
            needs_ack,
            answers,
            escalated: false,
        });
        self.reached("response");
    }

    fn response(&mut self, number: u64) -> Option<&mut Response> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        self.model.responses.get_mut(place)
    }

    /// Also that who may answer can: a refusal has its reason in the model.
    fn acknowledge(&mut self, actor: usize, number: u64, can_execute: bool) {
        let call = acknowledgeCall {
            response: U256::from(number),
            canExecute: can_execute,
            note: B256::ZERO,
        };
        let outcome = self.send(actor, &call);
        let now = self.chain.time;
        let is_live = self.model.is_live(actor);
        let Some(response) = self.response(number).map(|found| found.clone()) else {
            assert!(outcome.is_none());
            return;
        };
        let is_open = self.model.open_site(response.incident).is_some();
        let waits = [user(actor), home(actor)]
            .into_iter()
            .find(|id| response.answers.get(id) == Some(&None));
        let may = is_live && is_open && now <= response.timeout;
        assert_eq!(
            outcome.is_some(),
            may && waits.is_some(),
            "{actor}: {response:?}"
        );
        if let (Some(outcome), Some(id)) = (outcome, waits) {
            assert_eq!(outcome.event::<Acked>().recipient, id);
            let response = self.response(number).expect("found above");
            response.answers.insert(id, Some(can_execute));
            self.reached("answered");
        }
    }

    fn escalate(&mut self, actor: usize, number: u64) {
        let call = escalateCall {
            response: U256::from(number),
        };
        let done = self.send(actor, &call).is_some();
        let now = self.chain.time;
        let Some(response) = self.response(number).map(|found| found.clone()) else {
            assert!(!done);
            return;
        };
        let is_open = self.model.open_site(response.incident).is_some();
        let lacks = response.answers.values().any(Option::is_none);
        let due = is_open && response.needs_ack && lacks && now > response.timeout;
        assert_eq!(done, due && !response.escalated, "{response:?}");
        if done {
            self.response(number).expect("found above").escalated = true;
            self.reached("escalated");
        }
    }

    fn close(&mut self, actor: usize, incident: u64) {
        let call = closeCall {
            incident: U256::from(incident),
            doc: B256::ZERO,
        };
        let site = self.model.open_site(incident);
        if self.send(actor, &call).is_some() {
            assert_eq!(site, Some(home(actor)), "closed twice or by a stranger");
            let place = usize::try_from(incident - 1).expect("small");
            self.model.incidents[place].0 = true;
            self.reached("closed");
        }
    }

    /// As Administrator: 1 active, 2 suspended.
    fn suspend(&mut self, index: usize, s: u8) {
        let call = Identity::setStatusCall {
            userId: user(index),
            s,
            reason: B256::ZERO,
        };
        if self
            .chain
            .call(self.chain.account(0), self.chain.at.identity, &call)
            .success
        {
            if s == 2 {
                self.model.asleep.insert(index);
            } else {
                self.model.asleep.remove(&index);
            }
        }
    }

    /// The contract says what the model says.
    fn check(&self) {
        let at = self.chain.at.incident_registry;
        for (number, waits) in (1_u64..).zip(&self.model.alerts) {
            let alert = U256::from(number);
            let found = self.chain.view(at, &getAlertCall { alert });
            assert_eq!(found.decided == 0, waits.is_some(), "alert {number}");
            if let Some(id) = *waits {
                assert!(self.chain.view(at, &isAssignedCall { alert, id }));
            }
        }
        for (number, (closed, site)) in (1_u64..).zip(&self.model.incidents) {
            let incident = U256::from(number);
            let found = self.chain.view(at, &getIncidentCall { incident });
            assert_eq!((found.closed, found.site), (*closed, *site));
        }
        for (number, response) in (1_u64..).zip(&self.model.responses) {
            let call = getResponseCall {
                response: U256::from(number),
            };
            let found = self.chain.view(at, &call);
            let pending = response.answers.values().filter(|said| said.is_none());
            assert_eq!(usize::from(found.pending), pending.count());
            assert_eq!(found.escalated, response.escalated);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn incidents_keep_their_rules_after_any_history(
        actions in proptest::collection::vec(action(), 1..60),
    ) {
        let mut desk = Desk::new();
        for (actor, action) in &actions {
            desk.run(*actor, action);
            desk.check();
        }
    }
}

/// The property above says little if histories never get anywhere.
#[test]
fn random_histories_reach_every_action_of_an_incident() {
    let mut runner = TestRunner::deterministic();
    let histories = proptest::collection::vec(action(), 120);
    let mut reached = BTreeSet::new();
    for _ in 0..24 {
        let mut desk = Desk::new();
        for (actor, action) in &histories.new_tree(&mut runner).unwrap().current() {
            desk.run(*actor, action);
        }
        reached.extend(desk.model.reached);
    }
    let all = [
        "raised",
        "passed",
        "rejected",
        "incident",
        "impact",
        "opinion",
        "response",
        "answered",
        "escalated",
        "closed",
    ];
    for name in all {
        assert!(reached.contains(name), "{name} was never reached");
    }
}
