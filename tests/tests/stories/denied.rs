//! Story 6: a refused access that should have been allowed is reported, counted once, rebutted when
//! false.

use crate::town::{Town, hash, text};
use alloy_primitives::keccak256;
use medina_contracts::federation_registry::FederationRegistry::{Misdeed, Rebutted, Reported};

/// Shares its sensors and refuses.
const TARGET: u32 = 3;
/// Is refused.
const CLIENT: u32 = 4;
/// No member.
const OUTSIDER: u32 = 5;
/// Time in which a report can be rebutted.
const REBUTTAL_S: u64 = 86_400;

fn misdeeds(town: &Town) -> u64 {
    let trust = town.succeed(OUTSIDER, "trust show --org org-3");
    trust["refusedAccesses"].as_u64().unwrap()
}

fn report(sensor: &str, request: &str) -> String {
    format!("federation report air --resource {sensor} --request \"{request}\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_access_counts_once_and_a_false_report_of_it_never() {
    let town = Town::with_clock().await;
    let registry = town.client(0).await.contracts().federation_registry;
    let [first, second, third, private] =
        ["a", "b", "c", "d"].map(|key| town.sensor(TARGET, "no2", key));
    town.succeed(TARGET, "federation create --name air --invite org-4");
    town.succeed(CLIENT, "federation accept air");
    for sensor in [&first, &second, &third] {
        town.succeed(TARGET, &format!("federation share air --resource {sensor}"));
    }
    let line = format!("federation access air --resource {first} --org org-4");
    assert_eq!(town.succeed(CLIENT, &line)["allowed"], true);

    // Only what should have been allowed can be reported.
    town.refused(OUTSIDER, &report(&first, "GET 1"), "NotMember");
    town.refused(CLIENT, &report(&private, "GET 1"), "NotShared");

    // Both sides sign: it counts at once, and once.
    let line = format!("{} --out denied.json", report(&first, "GET 1"));
    town.succeed(CLIENT, &line);
    town.succeed(TARGET, "federation countersign --file denied.json");
    let signed = town.succeed(CLIENT, "federation report --file denied.json");
    assert_eq!(misdeeds(&town), 1);
    town.refused(CLIENT, "federation report --file denied.json", "Duplicate");
    town.refused(CLIENT, &report(&first, "GET 1 again"), "Duplicate");
    let settle = |report: &serde_json::Value| format!("federation settle {}", text(report));
    assert!(town.run(OUTSIDER, &settle(&signed["report"])).is_err());
    assert_eq!(misdeeds(&town), 1);

    // One is false: the target has the client's receipt. One is true. One nobody brings in time.
    let receipt = |request: &str, file: &str| {
        let line = format!("federation receipt --request \"{request}\" --out {file}");
        town.succeed(CLIENT, &line);
    };
    receipt("GET 2", "two.json");
    receipt("GET 9", "nine.json");
    let lie = town.succeed(CLIENT, &report(&second, "GET 2"));
    let truth = town.succeed(CLIENT, &report(&third, "GET 3"));
    let line = format!("{} --out late.json", report(&first, "GET 4"));
    town.succeed(CLIENT, &line);
    let rebut = |report: &serde_json::Value, file: &str| {
        format!("federation rebut {} --receipt {file}", text(report))
    };
    let lie_with = |file| rebut(&lie["report"], file);
    assert!(
        town.run(TARGET, &lie_with("nine.json")).is_err(),
        "of another request"
    );
    for told in [&lie, &truth] {
        town.refused(CLIENT, &settle(&told["report"]), "TooEarly");
    }
    assert_eq!(misdeeds(&town), 1, "nothing counts before its time");
    town.succeed(TARGET, &lie_with("two.json"));
    assert!(town.run(TARGET, &lie_with("two.json")).is_err(), "once");

    town.later(REBUTTAL_S + 1).await;
    assert!(
        town.run(CLIENT, &settle(&lie["report"])).is_err(),
        "rebutted"
    );
    town.refused(TARGET, &rebut(&truth["report"], "nine.json"), "TooLate");
    town.succeed(OUTSIDER, &settle(&truth["report"]));
    assert!(
        town.run(OUTSIDER, &settle(&truth["report"])).is_err(),
        "once"
    );
    assert_eq!(misdeeds(&town), 2);
    town.refused(CLIENT, "federation report --file late.json", "BadRequest");

    let misdeeds = town.events::<Misdeed>(registry).await;
    let of: Vec<_> = misdeeds
        .iter()
        .map(|m| (m.target, m.origin, m.resource))
        .collect();
    let (target, origin) = (keccak256("org-3"), keccak256("org-4"));
    assert_eq!(
        of,
        [&first, &third].map(|sensor| (target, origin, sensor.parse().unwrap()))
    );
    assert_eq!(town.events::<Reported>(registry).await.len(), 3);
    let rebutted = town.events::<Rebutted>(registry).await;
    let number: alloy_primitives::U256 = text(&lie["report"]).parse().unwrap();
    assert_eq!((rebutted.len(), rebutted[0].report), (1, number));
    let listed = town.succeed(OUTSIDER, "federation reports air");
    let states: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|r| text(&r["state"]))
        .collect();
    assert_eq!(states, ["stands", "rebutted", "stands"]);
    assert_eq!(hash(&listed[1]["resource"]).to_string(), second);
    town.agree().await;
}
