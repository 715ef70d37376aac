//! Story 4: two platforms found a federation with an availability constraint, share sensors (one
//! bartered), exchange coupons; one breaks the constraint, its bond pays, its reputation falls, the
//! other's adaptive trust follows.

use crate::town::{AUTHORITY, PROOF, TOKEN, Town, amount, number, text};
use alloy_primitives::keccak256;
use medina_contracts::{
    bartering_coupons::BarteringCoupons::Used,
    medina_token::MedinaToken,
    sla_registry::SlaRegistry::{Penalty, Violation},
};
use medina_sdk::client::{Coupon, UseRequest};
use serde_json::Value;

/// The platform that keeps its promises, and looks.
const NORTH: u32 = 3;
/// The platform that does not.
const SOUTH: u32 = 4;
const STRANGER: u32 = 5;
const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;
const BOND: u128 = 50 * TOKEN;
const PENALTY: u128 = 20 * TOKEN;
/// Violations that cost the penalty, and the first number that lowers a sensor's trust.
const VIOLATIONS: u64 = 5;

fn points(value: &Value) -> u32 {
    text(value).replace('.', "").parse().unwrap()
}

fn moment(seconds: u64) -> String {
    medina_sdk::moment::format_moment(seconds).replace(" UTC", "")
}

/// Both platforms agree to a promise and to what it costs, and share a sensor each.
fn found(town: &Town, north: &str, south: &str) {
    let line = "federation create --name air --invite org-4 --promise \"availability>=95% per 1h\"";
    town.succeed(NORTH, line);
    town.refused(STRANGER, "federation accept air", "NotInvited");
    town.succeed(SOUTH, "federation accept air");
    let line = "federation propose policy air --penalty 20 --violations 5 --violations-within 1d";
    let ballot = number(&town.succeed(NORTH, line)["ballot"]);
    town.refused(
        NORTH,
        &format!("federation execute {ballot}"),
        "QuorumMissing",
    );
    town.succeed(SOUTH, &format!("federation vote {ballot} yes"));
    town.succeed(STRANGER, &format!("federation execute {ballot}"));
    for account in [NORTH, SOUTH] {
        assert_eq!(town.succeed(account, "federation accept air")["version"], 2);
    }
    let share = |sensor: &str| format!("federation share air --resource {sensor}");
    town.refused(STRANGER, &share(south), "NotMember");
    town.refused(NORTH, &share(south), "NotOwner");
    town.succeed(NORTH, &format!("{} --bartered", share(north)));
    town.succeed(SOUTH, &share(south));
    for (sensor, org, is_bartered) in [(north, "org-4", true), (south, "org-3", false)] {
        let line = format!("federation access air --resource {sensor} --org {org}");
        let access = town.succeed(STRANGER, &line);
        assert_eq!(
            (&access["allowed"], &access["bartered"]),
            (&true.into(), &is_bartered.into())
        );
        let line = format!("federation access air --resource {sensor} --org org-5");
        assert_eq!(town.succeed(STRANGER, &line)["allowed"], false);
    }
}

fn coupon(town: &Town, file: &str) -> Coupon {
    let bytes = std::fs::read(town.path(file)).unwrap();
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    serde_json::from_value(file["coupon"].clone()).unwrap()
}

/// A coupon each way; the one for the bartered sensor is used, the other finds nothing bartered.
async fn exchange(town: &Town, north_sensor: &str, south_sensor: &str) {
    let line = "coupon issue --federation air";
    town.refused(
        STRANGER,
        &format!("{line} --holder org-4 --uses 2 --out x.json"),
        "NotMember",
    );
    town.succeed(
        NORTH,
        &format!("{line} --holder org-4 --uses 2 --out north.json"),
    );
    town.succeed(
        SOUTH,
        &format!("{line} --holder org-3 --time 7d --out south.json"),
    );
    let (north, south) = (town.client(NORTH).await, town.client(SOUTH).await);
    let (of_north, of_south) = (coupon(town, "north.json"), coupon(town, "south.json"));
    let request = |coupon: &Coupon, sensor: &str, uses| UseRequest {
        key: coupon.key(),
        resource: sensor.parse().unwrap(),
        uses,
    };
    let used = request(&of_north, north_sensor, 1);
    let signed = south.sign_use(used).unwrap();
    north
        .consume_coupon(used.key, used.resource, signed.clone())
        .await
        .unwrap();
    let replayed = north.consume_coupon(used.key, used.resource, signed).await;
    let replayed = replayed.expect_err("used already").to_string();
    assert!(
        replayed.contains("BadSignature") || replayed.contains("NotHolder"),
        "{replayed}"
    );
    let used = request(&of_south, south_sensor, 1);
    let signed = north.sign_use(used).unwrap();
    let refused = south.consume_coupon(used.key, used.resource, signed).await;
    let refused = refused.expect_err("nothing is bartered there").to_string();
    assert!(refused.contains("NotBartered"), "{refused}");
    let left = town.succeed(STRANGER, "coupon show --file north.json");
    assert_eq!(left["status"]["remaining_uses"], 1);
    let stats = town.succeed(STRANGER, "coupon stats org-3 air");
    assert_eq!((&stats["issued"], &stats["uses"]), (&1.into(), &1.into()));
    let stats = town.succeed(STRANGER, "coupon stats org-4 air");
    assert_eq!((&stats["issued"], &stats["uses"]), (&1.into(), &0.into()));
    let coupons = north.contracts().bartering_coupons;
    let uses = town.events::<Used>(coupons).await;
    assert_eq!(
        (uses.len(), uses[0].key, uses[0].uses),
        (1, of_north.key(), 1)
    );
}

/// The monitor has measured half an hour of every one of the last hours; returns how often.
async fn breaks(town: &Town, sensor: &str) {
    let hour = town.now().await / HOUR_S;
    for back in 1..=VIOLATIONS {
        let (from, to) = ((hour - back) * HOUR_S, (hour - back + 1) * HOUR_S);
        let line = format!(
            "sla report air --sensor {sensor} --value 50% --from \"{}\" --to \"{}\"",
            moment(from),
            moment(to)
        );
        assert!(
            town.run(STRANGER, &line).is_err(),
            "no monitor and no consumer"
        );
        let summary = town.succeed(AUTHORITY, &line);
        let held = if back == VIOLATIONS { PENALTY } else { 0 };
        assert_eq!(
            (&summary["violations"], amount(&summary["bonded"])),
            (&back.into(), BOND - held)
        );
        town.refused(AUTHORITY, &line, "WindowDone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn platform_that_breaks_its_promise_pays_and_is_trusted_less() {
    let town = Town::with_clock().await;
    let chain = town.client(NORTH).await;
    let north = town.sensor(NORTH, "no2", "north");
    let south = town.sensor(SOUTH, "no2", "south");
    found(&town, &north, &south);
    exchange(&town, &north, &south).await;
    let (south_had, sla) = (town.tokens(SOUTH), chain.contract("SlaRegistry").unwrap());
    town.refused(STRANGER, "sla bond air 1", "NotMember");
    town.succeed(SOUTH, "sla bond air 50");
    assert_eq!(
        (town.tokens(SOUTH), town.tokens_of(sla)),
        (south_had - BOND, BOND)
    );
    // North also pays for South's data, so it may say what they were worth.
    let line = format!("market list --resource {south} --property no2 --price 100 --confirm-in 1m");
    let listing = number(&town.succeed(SOUTH, &line)["listing"]["id"]);
    let bought = town.succeed(NORTH, &format!("market buy {listing}"));
    let order = text(&bought["order"]["id"]).to_owned();
    town.succeed(SOUTH, &format!("market deliver {order} --proof {PROOF}"));
    town.succeed(NORTH, &format!("market confirm {order}"));

    // Nine of ten hours up, nobody has complained: .9 of a trust that begins at the half.
    town.later(10 * HOUR_S).await;
    town.succeed(
        AUTHORITY,
        &format!("trust uptime {south} --up 9h --down 1h"),
    );
    let show = format!("trust show --sensor {south} --observer org-3");
    let before = town.succeed(STRANGER, &show);
    assert_eq!(
        (&before["trust"]["score"], &before["reputation"]["score"]),
        (&"45.00".into(), &"100.00".into())
    );
    let adapt = format!("trust adapt {south}");
    assert_eq!(town.succeed(NORTH, &adapt)["sensors"][0]["trust"], "45.00");

    breaks(&town, &south).await;
    let violations = town.events::<Violation>(sla).await;
    assert_eq!(violations.len(), 5);
    let org = keccak256("org-4");
    assert!(
        violations
            .iter()
            .all(|v| v.org == org && v.resource.to_string() == south)
    );
    let penalties = town.events::<Penalty>(sla).await;
    assert_eq!(
        (penalties.len(), penalties[0].org, penalties[0].amount),
        (1, org, PENALTY)
    );
    let broken = town.succeed(STRANGER, &show);
    assert_eq!(
        broken["trust"]["score"], "42.75",
        "five violations: .95 of .9 of the half"
    );

    // Its customer says so, with the weight of what it paid.
    town.refused(
        STRANGER,
        &format!("market rate {order} --score 0 --comment no"),
        "NotBuyer",
    );
    town.succeed(
        NORTH,
        &format!("market rate {order} --score 0 --comment \"half was missing\""),
    );
    let after = town.succeed(STRANGER, &show);
    let (trust, reputation) = (
        points(&after["trust"]["score"]),
        points(&after["reputation"]["score"]),
    );
    assert!(reputation < 10_000 && trust < 4_275, "{after}");

    // The other's own trust follows: half the old, half the new, which counts the platform too.
    town.succeed(NORTH, &adapt);
    assert_eq!(
        town.succeed(STRANGER, &show)["trustOfObserver"],
        "45.00",
        "once in five minutes"
    );
    town.later(301).await;
    town.succeed(NORTH, &adapt);
    let adapted = points(&town.succeed(STRANGER, &show)["trustOfObserver"]);
    assert!(
        (7_001..=9_000).contains(&reputation),
        "counts .95: {reputation}"
    );
    assert_eq!(adapted, (trust * 95 + 4_500 * 100 + 100) / 200);

    // Nobody pardons it: after a week the treasury has it, and the bond is smaller for good.
    let penalty = penalties[0].penalty;
    let collect = format!("sla collect {penalty}");
    town.refused(STRANGER, &collect, "TooEarly");
    town.refused(SOUTH, &format!("sla pardon {penalty}"), "NotPermitted");
    assert_eq!(town.tokens_of(sla), BOND);
    let token = chain.contracts().medina_token;
    let treasury = chain
        .call(token, MedinaToken::treasuryCall {})
        .await
        .unwrap();
    let treasury_had = town.tokens_of(treasury);
    town.later(7 * DAY_S + 1).await;
    town.succeed(STRANGER, &collect);
    assert_eq!(town.tokens_of(treasury), treasury_had + PENALTY);
    assert_eq!(town.tokens_of(sla), BOND - PENALTY);
    assert!(town.run(STRANGER, &collect).is_err(), "once");
    let summary = town.succeed(STRANGER, "sla show air org-4");
    assert_eq!(amount(&summary["bonded"]), BOND - PENALTY);
    let kept = town.succeed(STRANGER, "sla show air org-3");
    assert_eq!(
        (&kept["violations"], &kept["breaches"]),
        (&0.into(), &0.into())
    );
    town.agree().await;
}
