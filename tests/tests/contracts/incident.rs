//! IncidentRegistry: from an alert to a closed incident, each way an action is refused first.

use crate::{
    actors::three_organisations,
    harness::{Chain, Outcome, org, seconds, user},
};
use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolError};
use medina_contracts::{
    gatekeeper::Gatekeeper, identity::Identity, incident_registry::IncidentRegistry::*,
    sensor_registry::SensorRegistry,
};

/// Verdicts.
pub(crate) const CONFIRMED: u8 = 1;
pub(crate) const REJECTED: u8 = 2;
pub(crate) const PASSED: u8 = 3;
/// Accounts of `three_organisations`: Managers of organisations 1 and 2, a Member of 0 and of 1, a stranger.
const MANAGER_1: usize = 1;
const MANAGER_2: usize = 2;
const MEMBER_0: usize = 3;
const MEMBER_1: usize = 4;
const STRANGER: usize = 9;

fn doc() -> B256 {
    keccak256("salted document")
}

/// A Manager of organisation 2 alerts organisation 1 to its own site.
pub(crate) fn alert(site: B256, assignee: B256) -> raiseAlertCall {
    raiseAlertCall {
        r#ref: keccak256("ref"),
        class: keccak256("intrusion"),
        severity: 7,
        site,
        assets: vec![keccak256("door"), keccak256("camera")],
        doc: doc(),
        assignee,
    }
}

pub(crate) fn evaluation(alert: U256, v: u8) -> evaluateCall {
    evaluateCall {
        alert,
        v,
        passTo: B256::ZERO,
        doc: doc(),
    }
}

fn report(site: B256) -> reportCall {
    reportCall {
        class: keccak256("fire"),
        severity: 9,
        site,
        asset: keccak256("server room"),
        doc: doc(),
    }
}

pub(crate) fn impact(incident: U256, scores: Vec<u16>) -> publishImpactCall {
    let count = scores.len();
    publishImpactCall {
        incident,
        assets: vec![keccak256("asset"); count],
        risks: vec![keccak256("risk"); count],
        scores,
        doc: doc(),
    }
}

fn response(chain: &Chain, incident: U256, recipients: Vec<B256>) -> respondCall {
    respondCall {
        incident,
        plan: keccak256("plan"),
        recipients,
        timeout: seconds(chain.time + 600),
        needsAck: true,
    }
}

fn acknowledge(response: U256, can_execute: bool) -> acknowledgeCall {
    acknowledgeCall {
        response,
        canExecute: can_execute,
        note: keccak256("note"),
    }
}

fn send(chain: &mut Chain, from: usize, call: &impl SolCall) -> Outcome {
    chain.ok(from, chain.at.incident_registry, call)
}

#[track_caller]
fn fails<E: SolError>(chain: &mut Chain, from: usize, call: &impl SolCall) {
    chain.fails::<E>(from, chain.at.incident_registry, call);
}

/// An alert for organisation 1, raised by organisation 2.
fn alerted() -> (Chain, U256) {
    let mut chain = three_organisations();
    let outcome = send(&mut chain, MANAGER_2, &alert(org(1), org(1)));
    let alert = outcome.event::<Alerted>().alert;
    (chain, alert)
}

/// A reported incident at organisation 1.
fn incident() -> (Chain, U256) {
    let mut chain = three_organisations();
    let outcome = send(&mut chain, MEMBER_0, &report(org(1)));
    let incident = outcome.event::<Incident>().incident;
    (chain, incident)
}

/// A response to user 3, organisation 2 and user 9.
fn responded() -> (Chain, U256, U256) {
    let (mut chain, incident) = incident();
    let call = response(&chain, incident, vec![user(3), org(2), user(9)]);
    let outcome = send(&mut chain, MANAGER_1, &call);
    let response = respondCall::abi_decode_returns(&outcome.output).unwrap();
    (chain, incident, response)
}

fn suspend(chain: &mut Chain, index: usize) {
    let call = Identity::setStatusCall {
        userId: user(index),
        s: 2,
        reason: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &call);
}

#[test]
fn alert_is_a_managers_about_a_site_to_somebody_who_can_answer() {
    let mut chain = three_organisations();
    let call = alert(org(1), org(1));
    fails::<NotPermitted>(&mut chain, MEMBER_1, &call);
    let mut many = call.clone();
    many.assets = vec![B256::ZERO; 65];
    fails::<OutOfRange>(&mut chain, MANAGER_2, &many);
    for site in [B256::ZERO, keccak256("nowhere")] {
        fails::<NotSite>(&mut chain, MANAGER_2, &alert(site, org(1)));
    }
    for nobody in [B256::ZERO, keccak256("nobody")] {
        fails::<NotAssignee>(&mut chain, MANAGER_2, &alert(org(1), nobody));
    }
    suspend(&mut chain, 4);
    fails::<NotAssignee>(&mut chain, MANAGER_2, &alert(org(1), user(4)));
    let event = send(&mut chain, MANAGER_2, &call).event::<Alerted>();
    assert_eq!(
        (event.alert, event.site, event.assignee),
        (U256::ONE, org(1), org(1))
    );
    assert_eq!((event.class, event.severity), (call.class, 7));
    assert_eq!(
        (event.r#ref, event.assets, event.doc),
        (call.r#ref, call.assets, doc())
    );
    let at = chain.at.incident_registry;
    let found = chain.view(at, &getAlertCall { alert: U256::ONE });
    assert_eq!(
        (found.site, found.class, found.decided),
        (org(1), call.class, 0)
    );
    for (id, expected) in [(org(1), true), (user(1), false), (B256::ZERO, false)] {
        let alert = U256::ONE;
        assert_eq!(chain.view(at, &isAssignedCall { alert, id }), expected);
    }
}

#[test]
fn alert_is_evaluated_by_its_assignee_once() {
    let (mut chain, alert) = alerted();
    let call = evaluation(alert, REJECTED);
    fails::<WrongState>(&mut chain, MEMBER_1, &evaluation(U256::from(9), REJECTED));
    fails::<OutOfRange>(&mut chain, MEMBER_1, &evaluation(alert, 0));
    for other in [MANAGER_2, MEMBER_0, STRANGER] {
        fails::<NotAssignee>(&mut chain, other, &call);
    }
    let mut asleep = chain.clone();
    suspend(&mut asleep, MEMBER_1);
    fails::<NotAssignee>(&mut asleep, MEMBER_1, &call);
    let outcome = send(&mut chain, MEMBER_1, &call);
    let event = outcome.event::<Evaluated>();
    assert_eq!(
        (event.alert, event.by, event.v, event.doc),
        (alert, user(4), REJECTED, doc())
    );
    assert_eq!(
        evaluateCall::abi_decode_returns(&outcome.output).unwrap(),
        U256::ZERO
    );
    for from in [MEMBER_1, MANAGER_1] {
        fails::<Answered>(&mut chain, from, &evaluation(alert, CONFIRMED));
    }
    let found = chain.view(chain.at.incident_registry, &getAlertCall { alert });
    assert_eq!(found.decided, REJECTED);
}

#[test]
fn confirmed_alert_becomes_one_incident() {
    let (mut chain, alert) = alerted();
    let outcome = send(&mut chain, MEMBER_1, &evaluation(alert, CONFIRMED));
    let event = outcome.event::<Incident>();
    assert_eq!(
        evaluateCall::abi_decode_returns(&outcome.output).unwrap(),
        event.incident
    );
    assert_eq!((event.site, event.class), (org(1), keccak256("intrusion")));
    assert_eq!(
        (event.severity, event.alert, event.asset),
        (7, alert, B256::ZERO)
    );
    fails::<Answered>(&mut chain, MEMBER_1, &evaluation(alert, CONFIRMED));
    let incident = event.incident;
    let at = chain.at.incident_registry;
    let found = chain.view(at, &getIncidentCall { incident });
    assert_eq!((found.site, found.closed), (org(1), false));
    let found = chain.view(at, &getAlertCall { alert });
    assert_eq!(found.decided, CONFIRMED);
}

#[test]
fn passed_alert_waits_for_the_next_assignee_only() {
    let (mut chain, alert) = alerted();
    let pass = |to| evaluateCall {
        passTo: to,
        ..evaluation(alert, PASSED)
    };
    fails::<NotAssignee>(&mut chain, MEMBER_1, &pass(keccak256("nobody")));
    let event = send(&mut chain, MEMBER_1, &pass(user(3))).event::<Evaluated>();
    assert_eq!((event.v, event.passTo), (PASSED, user(3)));
    fails::<NotAssignee>(&mut chain, MEMBER_1, &evaluation(alert, CONFIRMED));
    // The user was asked, not its organisation.
    fails::<NotAssignee>(&mut chain, 0, &evaluation(alert, CONFIRMED));
    send(&mut chain, MEMBER_0, &pass(org(2)));
    send(&mut chain, 5, &evaluation(alert, CONFIRMED));
}

#[test]
fn report_is_any_members_about_a_site() {
    let mut chain = three_organisations();
    fails::<NotSite>(&mut chain, MEMBER_0, &report(keccak256("nowhere")));
    let sensor = chain.register(1, "sensor");
    let event = send(&mut chain, MEMBER_0, &report(sensor)).event::<Incident>();
    assert_eq!((event.site, event.class), (sensor, keccak256("fire")));
    assert_eq!(
        (event.alert, event.asset),
        (U256::ZERO, keccak256("server room"))
    );
    suspend(&mut chain, MEMBER_0);
    fails::<NotPermitted>(&mut chain, MEMBER_0, &report(sensor));
}

#[test]
fn impact_is_the_sites_managers_with_a_score_for_each_asset() {
    let (mut chain, incident) = incident();
    let call = impact(incident, vec![0, 10_000]);
    for other in [MEMBER_1, MANAGER_2, STRANGER] {
        fails::<NotSite>(&mut chain, other, &call);
    }
    fails::<WrongState>(&mut chain, MANAGER_1, &impact(U256::from(9), vec![1]));
    fails::<OutOfRange>(&mut chain, MANAGER_1, &impact(incident, vec![]));
    fails::<OutOfRange>(&mut chain, MANAGER_1, &impact(incident, vec![1; 65]));
    fails::<OutOfRange>(&mut chain, MANAGER_1, &impact(incident, vec![5, 10_001]));
    let mut uneven = call.clone();
    uneven.risks.pop();
    fails::<OutOfRange>(&mut chain, MANAGER_1, &uneven);
    let mut uneven = call.clone();
    uneven.scores.pop();
    fails::<OutOfRange>(&mut chain, MANAGER_1, &uneven);
    let outcome = send(&mut chain, MANAGER_1, &call);
    let id = publishImpactCall::abi_decode_returns(&outcome.output).unwrap();
    let scores: Vec<_> = outcome
        .logs
        .iter()
        .map(|log| {
            let event = <Impact as alloy_sol_types::SolEvent>::decode_log(log).unwrap();
            assert_eq!((event.incident, event.impact), (incident, id));
            event.score
        })
        .collect();
    assert_eq!(scores, [0, 10_000]);
}

#[test]
fn members_of_the_site_evaluate_an_impact_once_each() {
    let (mut chain, incident) = incident();
    let outcome = send(&mut chain, MANAGER_1, &impact(incident, vec![5_000]));
    let id = publishImpactCall::abi_decode_returns(&outcome.output).unwrap();
    let opinion = |impact, agree| evaluateImpactCall {
        impact,
        agree,
        doc: doc(),
    };
    fails::<NotSite>(&mut chain, MEMBER_0, &opinion(id, true));
    fails::<WrongState>(&mut chain, MEMBER_1, &opinion(U256::from(9), true));
    let event = send(&mut chain, MEMBER_1, &opinion(id, false)).event::<ImpactEvaluated>();
    assert_eq!((event.impact, event.by, event.agree), (id, user(4), false));
    fails::<Answered>(&mut chain, MEMBER_1, &opinion(id, true));
    send(&mut chain, MANAGER_1, &opinion(id, true));
    let close = closeCall {
        incident,
        doc: doc(),
    };
    send(&mut chain, MANAGER_1, &close);
    fails::<WrongState>(&mut chain, 7, &opinion(id, true));
}

#[test]
fn response_names_different_recipients_who_can_answer_and_a_moment_to_come() {
    let (mut chain, incident) = incident();
    let call = response(&chain, incident, vec![user(3), org(2)]);
    for other in [MEMBER_1, MANAGER_2] {
        fails::<NotSite>(&mut chain, other, &call);
    }
    let unknown = response(&chain, U256::from(9), vec![user(3)]);
    fails::<WrongState>(&mut chain, MANAGER_1, &unknown);
    for count in [0, 65] {
        let wrong = response(&chain, incident, vec![user(3); count]);
        fails::<OutOfRange>(&mut chain, MANAGER_1, &wrong);
    }
    for wrong in [vec![user(3), user(3)], vec![B256::ZERO], vec![doc()]] {
        let wrong = response(&chain, incident, wrong);
        fails::<NotRecipient>(&mut chain, MANAGER_1, &wrong);
    }
    let mut past = call.clone();
    past.timeout = seconds(chain.time);
    fails::<TimedOut>(&mut chain, MANAGER_1, &past);
    let outcome = send(&mut chain, MANAGER_1, &call);
    assert_eq!(outcome.logs.len(), 2);
    let id = respondCall::abi_decode_returns(&outcome.output).unwrap();
    let found = chain.view(
        chain.at.incident_registry,
        &getResponseCall { response: id },
    );
    assert_eq!((found.incident, found.timeout), (incident, call.timeout));
    assert_eq!(
        (found.needsAck, found.pending, found.escalated),
        (true, 2, false)
    );
}

#[test]
fn recipients_answer_once_in_time_for_themselves_or_their_organisation() {
    let (mut chain, _, response) = responded();
    for other in [0, MANAGER_1, MEMBER_1] {
        fails::<NotRecipient>(&mut chain, other, &acknowledge(response, true));
    }
    fails::<WrongState>(&mut chain, MEMBER_0, &acknowledge(U256::from(9), true));
    let event = send(&mut chain, MEMBER_0, &acknowledge(response, false)).event::<Acked>();
    assert_eq!((event.recipient, event.canExecute), (user(3), false));
    assert_eq!((event.response, event.note), (response, keccak256("note")));
    fails::<Answered>(&mut chain, MEMBER_0, &acknowledge(response, true));
    // Any member answers for organisation 2; the others are late.
    chain.warp(600);
    let event = send(&mut chain, 5, &acknowledge(response, true)).event::<Acked>();
    assert_eq!(event.recipient, org(2));
    fails::<Answered>(&mut chain, MANAGER_2, &acknowledge(response, true));
    chain.warp(1);
    fails::<TimedOut>(&mut chain, STRANGER, &acknowledge(response, true));
    let at = chain.at.incident_registry;
    for (recipient, expected) in [(user(3), 3), (org(2), 2), (user(9), 1), (org(1), 0)] {
        let call = answerOfCall {
            response,
            recipient,
        };
        assert_eq!(chain.view(at, &call), expected);
    }
}

#[test]
fn who_is_asked_twice_answers_for_himself_first() {
    let (mut chain, incident) = incident();
    let call = response(&chain, incident, vec![org(2), user(5)]);
    let outcome = send(&mut chain, MANAGER_1, &call);
    let id = respondCall::abi_decode_returns(&outcome.output).unwrap();
    for expected in [user(5), org(2)] {
        let event = send(&mut chain, 5, &acknowledge(id, true)).event::<Acked>();
        assert_eq!(event.recipient, expected);
    }
    fails::<Answered>(&mut chain, 5, &acknowledge(id, true));
}

#[test]
fn silence_is_escalated_once_after_the_timeout() {
    let (mut chain, _, response) = responded();
    let call = escalateCall { response };
    send(&mut chain, MEMBER_0, &acknowledge(response, false));
    send(&mut chain, MANAGER_2, &acknowledge(response, true));
    chain.warp(600);
    fails::<TooEarly>(&mut chain, STRANGER, &call);
    fails::<WrongState>(
        &mut chain,
        STRANGER,
        &escalateCall {
            response: U256::from(9),
        },
    );
    chain.warp(1);
    let event = send(&mut chain, STRANGER, &call).event::<Escalated>();
    assert_eq!(event.response, response);
    fails::<Answered>(&mut chain, STRANGER, &call);
}

#[test]
fn nothing_is_escalated_that_all_answered_or_nobody_had_to() {
    let (mut chain, incident) = incident();
    let mut quiet = response(&chain, incident, vec![user(3)]);
    quiet.needsAck = false;
    let heard = response(&chain, incident, vec![user(3)]);
    let [quiet, heard] = [quiet, heard].map(|call| {
        let outcome = send(&mut chain, MANAGER_1, &call);
        respondCall::abi_decode_returns(&outcome.output).unwrap()
    });
    send(&mut chain, MEMBER_0, &acknowledge(heard, false));
    chain.warp(601);
    fails::<WrongState>(&mut chain, 9, &escalateCall { response: quiet });
    fails::<Answered>(&mut chain, 9, &escalateCall { response: heard });
}

#[test]
fn closing_is_the_sites_managers_and_final() {
    let (mut chain, incident, response) = responded();
    let call = closeCall {
        incident,
        doc: doc(),
    };
    for other in [MEMBER_1, MANAGER_2] {
        fails::<NotSite>(&mut chain, other, &call);
    }
    let event = send(&mut chain, 7, &call).event::<Closed>();
    assert_eq!((event.incident, event.doc), (incident, doc()));
    fails::<WrongState>(&mut chain, MANAGER_1, &call);
    fails::<WrongState>(&mut chain, MANAGER_1, &impact(incident, vec![1]));
    let again = crate::incident::response(&chain, incident, vec![user(3)]);
    fails::<WrongState>(&mut chain, MANAGER_1, &again);
    fails::<WrongState>(&mut chain, MEMBER_0, &acknowledge(response, true));
    chain.warp(601);
    fails::<WrongState>(&mut chain, 9, &escalateCall { response });
}

#[test]
fn incident_goes_along_with_the_resource_it_is_at() {
    let mut chain = three_organisations();
    let sensor = chain.register(1, "sensor");
    let outcome = send(&mut chain, MEMBER_0, &report(sensor));
    let incident = outcome.event::<Incident>().incident;
    let (at, call) = (chain.at.sensor_registry, impact(incident, vec![1]));
    let transfer = SensorRegistry::transferCall {
        id: sensor,
        toOrg: org(2),
    };
    chain.ok(1, at, &transfer);
    send(&mut chain, MANAGER_1, &call);
    chain.ok(2, at, &SensorRegistry::acceptCall { id: sensor });
    fails::<NotSite>(&mut chain, MANAGER_1, &call);
    send(&mut chain, MANAGER_2, &call);
}

#[test]
fn guardian_stops_new_alerts_and_reports_but_no_answer() {
    let (mut chain, _, response) = responded();
    let outcome = send(&mut chain, MANAGER_2, &alert(org(1), org(1)));
    let waiting = outcome.event::<Alerted>().alert;
    let close = Gatekeeper::closeCall {
        target: chain.at.incident_registry,
    };
    chain.ok(0, chain.at.gatekeeper, &close);
    fails::<AccessManagedUnauthorized>(&mut chain, MANAGER_2, &alert(org(1), org(1)));
    fails::<AccessManagedUnauthorized>(&mut chain, MEMBER_0, &report(org(1)));
    send(&mut chain, MEMBER_1, &evaluation(waiting, CONFIRMED));
    send(&mut chain, MEMBER_0, &acknowledge(response, true));
}

/// Story 7: one declines, one acknowledges, a third times out.
#[test]
fn alert_becomes_incident_with_impact_response_answers_and_an_escalation() {
    let (mut chain, alert) = alerted();
    let outcome = send(&mut chain, MEMBER_1, &evaluation(alert, CONFIRMED));
    let incident = outcome.event::<Incident>().incident;
    send(&mut chain, MANAGER_1, &impact(incident, vec![8_000]));
    let call = response(&chain, incident, vec![user(3), org(2), user(9)]);
    let outcome = send(&mut chain, MANAGER_1, &call);
    let response = respondCall::abi_decode_returns(&outcome.output).unwrap();
    send(&mut chain, MEMBER_0, &acknowledge(response, false));
    send(&mut chain, 5, &acknowledge(response, true));
    chain.warp(601);
    send(&mut chain, 3, &escalateCall { response });
    let close = closeCall {
        incident,
        doc: doc(),
    };
    send(&mut chain, MANAGER_1, &close);
    let at = chain.at.incident_registry;
    let found = chain.view(at, &getResponseCall { response });
    assert_eq!((found.pending, found.escalated), (1, true));
    assert!(chain.view(at, &getIncidentCall { incident }).closed);
}
