//! Story 7: an alert becomes an incident, gets an impact and a response, one recipient declines, the
//! other acknowledges, a third times out and is escalated.

use crate::town::{Town, number, text};
use alloy_primitives::keccak256;
use medina_contracts::incident_registry::IncidentRegistry::{
    Acked, Alerted, Closed, Escalated, Evaluated, Incident,
};

/// Runs the site.
const SITE: u32 = 1;
/// Sees smoke; is asked too, and declines.
const WITNESS: u32 = 2;
/// Judges the alert; is asked too, and agrees.
const JUDGE: u32 = 3;
/// Is asked, and never answers.
const SILENT: u32 = 4;
/// Has nothing to do with it.
const STRANGER: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn alert_goes_all_the_way_to_a_closed_incident_with_three_kinds_of_answers() {
    let town = Town::with_clock().await;
    let registry = town.client(0).await.contract("IncidentRegistry").unwrap();
    let alert =
        "incident alert fire --site org-1 --assignee org-4 --severity 3 --asset roof --doc smoke";
    let alert = number(&town.succeed(WITNESS, alert)["alert"]);

    // Whom it is passed to alone may judge, and once.
    let confirm = format!("incident evaluate {alert} confirm --doc seen");
    town.refused(JUDGE, &confirm, "NotAssignee");
    let pass = format!("incident evaluate {alert} pass --to org-3 --doc \"not ours\"");
    town.succeed(SILENT, &pass);
    town.refused(SILENT, &confirm, "NotAssignee");
    let confirmed = town.succeed(JUDGE, &confirm);
    let incident = number(&confirmed["incident"]);
    for line in [
        confirm,
        format!("incident evaluate {alert} reject --doc no"),
    ] {
        town.refused(JUDGE, &line, "Answered");
    }

    // The site says what it does to what.
    let impact = format!(
        "incident impact {incident} --risk roof:fire:80 --risk archive:water:40 --doc estimate"
    );
    town.refused(STRANGER, &impact, "NotSite");
    let published = town.succeed(SITE, &impact);
    assert_eq!(published["risks"], 2);
    let impact = number(&published["impact"]);
    let assess = |word: &str| format!("incident assess {impact} {word} --doc same");
    town.refused(WITNESS, &assess("agree"), "NotSite");
    town.succeed(SITE, &assess("agree"));

    // Three are asked; each answers once, in time, or not at all.
    let respond = format!(
        "incident respond {incident} --plan leave --to org-2 --to org-3 --to org-4 --answer-by 1h"
    );
    town.refused(STRANGER, &respond, "NotSite");
    let asked = town.succeed(SITE, &respond);
    let response = number(&asked["response"]);
    let acknowledge = format!("incident acknowledge {response}");
    let decline = format!("{acknowledge} --decline --note \"no vehicle\"");
    town.refused(STRANGER, &acknowledge, "NotRecipient");
    assert_eq!(town.succeed(WITNESS, &decline)["answer"], "declined");
    assert_eq!(town.succeed(JUDGE, &acknowledge)["answer"], "accepted");
    town.refused(WITNESS, &acknowledge, "Answered");
    town.refused(JUDGE, &decline, "Answered");
    let escalate = format!("incident escalate {response}");
    town.refused(STRANGER, &escalate, "TooEarly");
    town.until(asked["timeout"].as_u64().unwrap() + 1).await;
    town.refused(SILENT, &acknowledge, "TimedOut");
    assert_eq!(town.succeed(STRANGER, &escalate)["state"], "escalated");
    town.refused(STRANGER, &escalate, "Answered");

    let shown = town.succeed(STRANGER, &format!("incident show {incident}"));
    let answers = shown["responses"].as_array().unwrap();
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| text(&answer["answer"]))
        .collect();
    assert_eq!(answers, ["declined", "accepted", "timed out, escalated"]);
    let impacts = shown["impacts"].as_array().unwrap();
    let scores: Vec<_> = impacts.iter().map(|one| text(&one["score"])).collect();
    assert_eq!(scores, ["80.00", "40.00"]);
    assert_eq!(
        (&impacts[0]["agreed"], &impacts[0]["disagreed"]),
        (&1.into(), &0.into())
    );

    // Closed is final.
    let close = format!("incident close {incident} --doc \"fire out\"");
    town.refused(STRANGER, &close, "NotSite");
    town.succeed(SITE, &close);
    for line in [close, respond] {
        town.refused(SITE, &line, "WrongState");
    }
    assert_eq!(
        town.succeed(STRANGER, "incident list")[0]["state"],
        "closed"
    );

    // The chain tells it in this order.
    let of = |name: &str| keccak256(name);
    let alerts = town.events::<Alerted>(registry).await;
    assert_eq!(
        (alerts.len(), alerts[0].site, alerts[0].assignee),
        (1, of("org-1"), of("org-4"))
    );
    let verdicts = town.events::<Evaluated>(registry).await;
    assert_eq!(verdicts.iter().map(|e| e.v).collect::<Vec<_>>(), [3, 1]);
    let incidents = town.events::<Incident>(registry).await;
    assert_eq!((incidents.len(), incidents[0].alert), (1, alerts[0].alert));
    let acked = town.events::<Acked>(registry).await;
    let acked: Vec<_> = acked.iter().map(|a| (a.recipient, a.canExecute)).collect();
    assert_eq!(acked, [(of("org-2"), false), (of("org-3"), true)]);
    assert_eq!(town.events::<Escalated>(registry).await.len(), 1);
    assert_eq!(town.events::<Closed>(registry).await.len(), 1);
    town.agree().await;
}
