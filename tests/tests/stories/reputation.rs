//! Story 8: a bad seller re-registers sensors and organisations and cannot wash its name; a buyer
//! cannot rate without paying or rate itself.

use crate::town::{AUTHORITY, PROOF, TOKEN, Town, address, number, text};
use medina_contracts::trust_and_reputation::TrustAndReputation::Rated;
use medina_tests::processes::eventually;
use serde_json::Value;

const BUYER: u32 = 2;
const STRANGER: u32 = 3;
/// The bad seller's accounts: two of one organisation, and the one it begins anew with.
const BAD: u32 = 10;
const BAD_TOO: u32 = 11;
const BAD_AGAIN: u32 = 12;
/// The bad seller's friend, whose organisation takes its sensor over.
const FRIEND: u32 = 13;
const PERSON: &str = "--person \"Max Mustermann, 1980-01-01\"";

fn org(town: &Town, name: &str, admin: u32) {
    let line = format!("org register {name} --admin {}", address(admin));
    town.succeed(AUTHORITY, &line);
}

fn enrolment(account: u32, person: &str, org: &str) -> String {
    let account = address(account);
    format!("user enrol {account} {person} --org {org} --role manager")
}

/// Trust in a sensor and its seller, as everybody sees it.
fn trust(town: &Town, sensor: &str) -> (Value, Value) {
    let shown = town.succeed(STRANGER, &format!("trust show --sensor {sensor}"));
    (
        shown["trust"]["score"].clone(),
        shown["reputation"]["score"].clone(),
    )
}

/// A sensor that was up all the time, so that trust in it is known.
async fn sensor(town: &Town, account: u32, key: &str) -> String {
    let sensor = town.sensor(account, "noise", key);
    let up = format!("trust uptime {sensor} --up 1s");
    // A second must have passed since it was registered.
    eventually("a second of uptime", || async {
        town.run(AUTHORITY, &up).ok()
    })
    .await;
    sensor
}

/// Buys and confirms; the order.
fn deal(town: &Town, seller: u32, listing: &str) -> String {
    let bought = town.succeed(BUYER, &format!("market buy {listing}"));
    let order = text(&bought["order"]["id"]).to_owned();
    let early = format!("market rate {order} --score 100 --comment early");
    town.refused(BUYER, &early, "NotClosed");
    town.succeed(seller, &format!("market deliver {order} --proof {PROOF}"));
    town.succeed(BUYER, &format!("market confirm {order}"));
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_seller_keeps_its_name_and_ratings_are_for_those_who_paid() {
    let town = Town::of_processes(&[]).await;
    org(&town, "Bad", BAD);
    town.succeed(AUTHORITY, &enrolment(BAD, PERSON, "Bad"));
    let old = sensor(&town, BAD, "old").await;
    assert_eq!(trust(&town, &old), ("50.00".into(), "unknown".into()));
    let line = format!("market list --resource {old} --property noise --price 100");
    let listing = number(&town.succeed(BAD, &line)["listing"]["id"]);
    let paid = town.tokens(BUYER);
    let order = deal(&town, BAD, &listing);
    assert_eq!(town.tokens(BUYER), paid - 100 * TOKEN);
    let rate = |score: u32| format!("market rate {order} --score {score} --comment bad");
    town.refused(STRANGER, &rate(0), "NotBuyer");
    town.refused(BAD, &rate(100), "NotBuyer");
    town.succeed(BUYER, &rate(0));
    town.refused(BUYER, &rate(100), "AlreadyRated");
    // F = .5 · 4 / (4 + .5); the sensor's own begins there, at 44.44: 44.44 · 4 / (4 + .5).
    assert_eq!(trust(&town, &old), ("39.50".into(), "44.44".into()));

    cannot_rate_itself(&town, &listing).await;
    let young = cannot_begin_anew(&town, &old).await;
    // Whoever takes the sensor over gets its past with it.
    let honest = "--person \"Erika Musterfrau, 1985-05-05\"";
    org(&town, "Friends", FRIEND);
    town.succeed(AUTHORITY, &enrolment(FRIEND, honest, "Friends"));
    town.succeed(BAD, &format!("sensor transfer {old} --to Friends"));
    town.succeed(FRIEND, &format!("sensor accept {old}"));
    let moved = town.succeed(STRANGER, &format!("trust show --sensor {old}"));
    assert_eq!(moved["trust"]["confidence"], "11.11");
    let fresh = sensor(&town, FRIEND, "fresh").await;
    assert_eq!(
        trust(&town, &fresh).0,
        "50.00",
        "an honest one begins at the half"
    );

    erased_person_does_not_come_back(&town);
    assert_eq!(trust(&town, &young).1, "44.44", "erasure changes no score");
    let ratings = town.client(0).await.contracts().trust_and_reputation;
    let ratings = town.events::<Rated>(ratings).await;
    let scores: Vec<_> = ratings
        .iter()
        .map(|rated| (rated.score, rated.weight > 0))
        .collect();
    assert_eq!(scores, [(0, true), (10_000, false)]);
    town.agree().await;
}

/// Its other account buys nothing of its own, and a friend's free order weighs nothing.
async fn cannot_rate_itself(town: &Town, listing: &str) {
    let second = "--person \"Moritz Mustermann, 1981-01-01\"";
    let line = enrolment(BAD_TOO, second, "Bad");
    let user = text(&town.succeed(AUTHORITY, &line)["user"]).to_owned();
    town.succeed(BAD, &format!("user approve {user}"));
    for account in [BAD, BAD_TOO] {
        town.refused(account, &format!("market buy {listing}"), "OwnListing");
    }
    let gift = town.sensor(BAD, "noise", "gift");
    let line = format!("market list --resource {gift} --property noise --price 0");
    let free = number(&town.succeed(BAD, &line)["listing"]["id"]);
    let order = town.succeed(STRANGER, &format!("market buy {free}"));
    let order = text(&order["order"]["id"]);
    town.succeed(
        STRANGER,
        &format!("market rate {order} --score 100 --comment great"),
    );
    let seller = town.succeed(STRANGER, "trust show --org Bad");
    assert_eq!(
        (
            &seller["reputation"]["score"],
            &seller["reputation"]["confidence"]
        ),
        (&"44.44".into(), &"11.11".into()),
        "who paid nothing says nothing"
    );
}

/// New sensors begin where the name is; the same device or person does not begin again.
async fn cannot_begin_anew(town: &Town, old: &str) -> String {
    let again = "sensor register --property noise --period 1h --device-key old.key";
    town.refused(BAD, again, "Exists");
    let other_id = format!("{again} --id 0x{}", "ab".repeat(32));
    town.refused(BAD, &other_id, "BadDeviceKey");
    let young = sensor(town, BAD, "young").await;
    assert_eq!(trust(town, &young), ("44.44".into(), "44.44".into()));
    // A worse past stays with the old one, also when its key is another.
    let line = format!("sensor rotate-key {old} --device-key rotated.key");
    town.succeed(BAD, &line);
    assert_eq!(trust(town, old), ("39.50".into(), "44.44".into()));

    // A new organisation needs somebody else: the person has been enrolled.
    let register = format!("org register Good --admin {}", address(BAD_AGAIN));
    town.refused(BAD, &register, "NotAllowed");
    town.succeed(AUTHORITY, &register);
    town.refused(
        AUTHORITY,
        &enrolment(BAD_AGAIN, PERSON, "Good"),
        "Nullified",
    );
    let alone = format!("user enrol {} {PERSON}", address(BAD_AGAIN));
    town.refused(AUTHORITY, &alone, "Nullified");
    let sell = "sensor register --property noise --period 1h --device-key good.key";
    assert!(
        town.run(BAD_AGAIN, sell).is_err(),
        "without an id it sells nothing"
    );
    young
}

/// Its id can be erased; its mark stays for 360 days.
fn erased_person_does_not_come_back(town: &Town) {
    town.succeed(BAD, &format!("user erase {}", address(BAD)));
    town.refused(
        AUTHORITY,
        &enrolment(BAD_AGAIN, PERSON, "Good"),
        "Nullified",
    );
    let nobody = format!(
        "market list --resource 0x{} --property x --price 1",
        "ab".repeat(32)
    );
    assert!(
        town.run(BAD, &nobody).is_err(),
        "its account is nobody's now"
    );
}
