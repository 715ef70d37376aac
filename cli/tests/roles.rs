//! Administrators, buyers by the unit and by the month, federations, people who consent, and those
//! who deal with incidents: each from a terminal, on `medina dev`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Place, beside, free_port, text};
use serde_json::Value;

/// Accounts of the test mnemonic; account I is the admin of org-I.
const ADMINISTRATOR: &str = "0";
const SELLER: &str = "1";
const BUYER: &str = "2";
const OTHER: &str = "3";
const SELLER_ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const BUYER_ADDRESS: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
/// Account 10: nobody's before it is enrolled.
const NEWCOMER: &str = "10";
const NEWCOMER_ADDRESS: &str = "0xBcd4042DE499D14e55001CcbB24a551F3b954096";
const PROOF: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

/// A chain of one validator, and a folder.
fn with_chain(story: impl FnOnce(&Place<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let line = format!("dev --validators 1 --rpc-port {port}");
    let _chain = beside(folder.path(), &line, "Ctrl-C stops it");
    story(&Place {
        folder: folder.path(),
        rpc: format!("http://127.0.0.1:{port}"),
    });
}

fn sensor(place: &Place<'_>, account: &str) -> String {
    let line = format!(
        "sensor register --property noise --period 1h --device-key {account}.key --place 41.39,2.17"
    );
    text(&place.succeed(account, &line)["id"]).to_owned()
}

fn number(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn administrator_makes_organisations_and_people_and_takes_them_back() {
    with_chain(|place| {
        let register = format!("org register Haven --admin {NEWCOMER_ADDRESS}");
        let refused = place.fail(SELLER, &register);
        assert!(
            refused.contains("NotAllowed") && refused.contains("Administrator"),
            "{refused}"
        );
        let planned = place.succeed(ADMINISTRATOR, &format!("{register} --dry-run"));
        assert_eq!(planned["dryRun"], true);
        assert_eq!(planned["transaction"]["contract"], "Identity");
        assert!(
            place
                .fail(SELLER, "org show Haven")
                .contains("no organisation")
        );
        let made = place.succeed(ADMINISTRATOR, &register);

        let person = "--person \"Ada, 1990-01-01\" --org Haven --role manager";
        let enrol = format!("user enrol {NEWCOMER_ADDRESS} {person}");
        assert!(place.fail(SELLER, &enrol).contains("NotCertifier"));
        place.succeed(ADMINISTRATOR, &format!("{enrol} --out enrolment.json"));
        let user = place.succeed(NEWCOMER, "user accept --file enrolment.json");
        assert_eq!(
            (&user["status"], &user["role"]),
            (&"active".into(), &"manager".into())
        );
        let again = format!("user enrol 0x00000000000000000000000000000000000000aa {person}");
        assert!(place.fail(ADMINISTRATOR, &again).contains("Nullified"));

        let org = text(&made["org"]);
        let short = format!("{}…{}", &org[..8], &org[62..]);
        let shown = place.succeed(SELLER, &format!("org show {short}"));
        assert_eq!(
            (&shown["org"], &shown["users"][0]["user"]),
            (&made["org"], &user["user"])
        );

        place.succeed(ADMINISTRATOR, "org set Haven --status suspended");
        let stopped = place.fail(NEWCOMER, "sensor register --property x --device-key x.key");
        assert!(
            stopped.contains("NotOwner") || stopped.contains("NotPermitted"),
            "{stopped}"
        );
        place.succeed(ADMINISTRATOR, "org set Haven --status active");
        sensor(place, NEWCOMER);
        let line = format!("user set {NEWCOMER_ADDRESS} suspended --reason holidays");
        assert_eq!(place.succeed(ADMINISTRATOR, &line)["status"], "suspended");
        let line = format!("role show {NEWCOMER_ADDRESS}");
        assert_eq!(place.succeed(SELLER, &line)["role"], "visitor");
    });
}

#[test]
fn readings_are_bought_by_the_unit_and_by_the_month() {
    with_chain(|place| {
        let sensor = sensor(place, SELLER);
        let list = format!("market list --resource {} --property noise", &sensor[..14]);
        let units = place.succeed(SELLER, &format!("{list} --price 0.5 --per unit"));
        let units = number(&units["listing"]["id"]);
        let bought = place.succeed(BUYER, &format!("market buy {units} --units 10"));
        let order = number(&bought["order"]["id"]);
        let voucher = |received: u64| {
            place.succeed(
                BUYER,
                &format!("market voucher {order} --received {received} --out v.json"),
            )
        };
        voucher(4);
        let paid = place.succeed(SELLER, "market claim-units --file v.json");
        assert_eq!(paid["order"]["paid"], "2000000000000000000");
        let replayed = place.fail(SELLER, "market claim-units --file v.json");
        assert!(replayed.contains("BadVoucher"), "{replayed}");
        let line = format!("market voucher {order} --received 11 --out v.json");
        assert!(place.fail(BUYER, &line).contains("10 were bought"));
        assert!(place.fail(OTHER, &line).contains("is read by"));
        voucher(10);
        let paid = place.succeed(SELLER, "market claim-units --file v.json");
        assert_eq!(paid["order"]["state"], "completed");

        let month = place.succeed(
            SELLER,
            &format!("{list} --price 30 --per 30d --confirm-in 1m"),
        );
        let month = number(&month["listing"]["id"]);
        let bought = place.succeed(BUYER, &format!("market buy {month} --units 2"));
        let order = number(&bought["order"]["id"]);
        place.succeed(SELLER, &format!("market deliver {order} --proof {PROOF}"));
        let longer = place.succeed(BUYER, &format!("market renew {order}"));
        assert_eq!(
            (&longer["order"]["units"], &longer["order"]["amount"]),
            (&3.into(), &"90000000000000000000".into())
        );
        let ended = place.succeed(BUYER, &format!("market cancel {order}"));
        assert!(["refunded", "completed"].contains(&text(&ended["order"]["state"])));
        let back = place.succeed(BUYER, "market withdraw");
        let back: u128 = text(&back["amount"]).parse().unwrap();
        assert!(back > 89_000_000_000_000_000_000, "{back}");

        let near = place.succeed(
            BUYER,
            "market search --near 41.4,2.2 --within 8 --index i.json",
        );
        assert_eq!(near.as_array().unwrap().len(), 2);
        let far = place.succeed(BUYER, "market search --near -33.9,18.4 --index i.json");
        assert!(far.as_array().unwrap().is_empty());
        place.succeed(SELLER, &format!("market set {month} paused"));
        assert!(
            place
                .fail(BUYER, &format!("market buy {month}"))
                .contains("NotLive")
        );
        assert!(
            place
                .fail(SELLER, &format!("market flag {units}"))
                .contains("NotOwner")
        );
        let flagged = place.succeed(ADMINISTRATOR, &format!("market flag {units}"));
        assert_eq!(flagged["listing"]["status"], "live, flagged");
    });
}

#[test]
fn dispute_is_decided_and_a_signed_purchase_is_brought_by_another() {
    with_chain(|place| {
        let sensor = sensor(place, SELLER);
        let line = format!("market list --resource {sensor} --property noise --price 10");
        let listing = number(&place.succeed(SELLER, &line)["listing"]["id"]);
        let bought = place.succeed(BUYER, &format!("market buy {listing}"));
        let order = number(&bought["order"]["id"]);
        place.succeed(SELLER, &format!("market deliver {order} --proof {PROOF}"));
        place.succeed(
            BUYER,
            &format!("market dispute {order} --evidence \"half is missing\""),
        );
        let line = format!("market resolve {order} --to-buyer 25");
        assert!(place.fail(SELLER, &line).contains("NotJudge"));
        let decided = place.succeed(ADMINISTRATOR, &line);
        assert_eq!(decided["order"]["paid"], "7500000000000000000");

        let intent = format!("market intent {listing} --out intent.json");
        assert!(place.fail(BUYER, &intent).contains("medina token allow"));
        place.succeed(BUYER, "token allow 10");
        place.succeed(BUYER, &intent);
        let bought = place.succeed(OTHER, "market buy-for --file intent.json");
        assert_eq!(
            text(&bought["order"]["buyer"]).to_lowercase(),
            BUYER_ADDRESS.to_lowercase()
        );
        assert!(
            place
                .fail(OTHER, "market buy-for --file intent.json")
                .contains("BadVoucher")
        );
        let income = place.succeed(SELLER, &format!("market income {SELLER_ADDRESS}"));
        assert_eq!(
            (&income["total"]["orders"], &income["total"]["open"]),
            (&2.into(), &1.into())
        );
        assert_eq!(income["total"]["refunded"], "2500000000000000000");
    });
}

#[test]
fn federation_decides_shares_barters_and_counts_a_refusal_once() {
    with_chain(|place| {
        let (mine, theirs) = (sensor(place, SELLER), sensor(place, BUYER));
        let line =
            "federation create --name air --invite org-2 --promise \"availability>=95% per 1d\"";
        place.succeed(SELLER, line);
        assert!(
            place
                .fail(OTHER, "federation accept air")
                .contains("NotInvited")
        );
        place.succeed(BUYER, "federation accept air");
        let shown = place.succeed(OTHER, "federation show air");
        assert_eq!(
            (&shown["members"], &shown["promises"][0]["promise"]),
            (&2.into(), &"availability>=95.00% per 1d".into())
        );

        let opened = place.succeed(SELLER, "federation propose quorum air 60");
        let ballot = number(&opened["ballot"]);
        assert!(
            place
                .fail(OTHER, &format!("federation execute {ballot}"))
                .contains("QuorumMissing")
        );
        place.succeed(BUYER, &format!("federation vote {ballot} yes"));
        place.succeed(OTHER, &format!("federation execute {ballot}"));
        let ballots = place.succeed(OTHER, "federation ballots air");
        assert_eq!(
            (
                &ballots[0]["state"],
                &ballots[0]["yes"].as_array().unwrap().len()
            ),
            (&"executed".into(), &2)
        );

        for (account, resource) in [(SELLER, &mine), (BUYER, &theirs)] {
            place.succeed(
                account,
                &format!("federation share air --resource {resource} --bartered"),
            );
        }
        let line = "coupon issue --federation air";
        place.succeed(
            SELLER,
            &format!("{line} --holder org-2 --uses 2 --out a.json"),
        );
        place.succeed(
            BUYER,
            &format!("{line} --holder org-1 --time 7d --out b.json"),
        );
        place.succeed(
            BUYER,
            "coupon swap-offer --give a.json --want b.json --out swap.json",
        );
        assert!(
            place
                .fail(OTHER, "coupon swap --file swap.json")
                .contains("NotHolder")
        );
        place.succeed(SELLER, "coupon swap --file swap.json");
        assert!(
            place
                .fail(SELLER, "coupon swap --file swap.json")
                .contains("Not")
        );
        let stats = place.succeed(OTHER, "coupon stats org-1 air");
        assert_eq!((&stats["issued"], &stats["uses"]), (&1.into(), &0.into()));

        let report =
            format!("federation report air --resource {mine} --request \"GET 1\" --out d.json");
        place.succeed(BUYER, &report);
        place.succeed(SELLER, "federation countersign --file d.json");
        place.succeed(BUYER, "federation report --file d.json");
        assert!(
            place
                .fail(BUYER, "federation report --file d.json")
                .contains("refused")
        );
        let trust = place.succeed(OTHER, "trust show --org org-1");
        assert_eq!(trust["refusedAccesses"], 1);

        let bonded = place.succeed(SELLER, "sla bond air 12.5");
        assert_eq!(bonded["bonded"], "12500000000000000000");
        assert!(place.fail(OTHER, "sla bond air 1").contains("NotMember"));
        place.succeed(BUYER, "federation leave air");
        assert_eq!(place.succeed(OTHER, "federation show air")["members"], 1);
    });
}

#[test]
fn consent_is_given_changed_taken_back_and_every_access_is_seen() {
    with_chain(|place| {
        let scope = format!("--scope {BUYER_ADDRESS}");
        let check = format!("consent check {scope} --user {SELLER_ADDRESS} --purpose care");
        let is_allowed = || place.succeed(OTHER, &check)["allowed"].as_bool().unwrap();
        assert!(!is_allowed());
        let grant = format!(
            "consent grant {scope} --to {SELLER_ADDRESS} --purpose care --until \"friday 18:00\" --form paper"
        );
        assert!(place.fail(OTHER, &grant).contains("NotDelegate"));
        place.succeed(BUYER, &format!("{grant} --out grant.json"));
        let granted = place.succeed(OTHER, "consent bring --file grant.json");
        assert!(is_allowed());
        let id = &text(&granted["grant"])[..12];
        place.succeed(BUYER, &format!("consent amend {id} --allow read,delete"));
        let listed = place.succeed(OTHER, &format!("consent list {scope}"));
        assert_eq!(
            (&listed[0]["allows"], &listed[0]["state"]),
            (&"read,delete".into(), &"in force".into())
        );
        let log = format!("consent log {scope} --actor {SELLER_ADDRESS} --purpose care");
        place.succeed(SELLER, &log);
        assert_eq!(
            place
                .succeed(BUYER, "consent log")
                .as_array()
                .unwrap()
                .len(),
            1
        );
        place.succeed(BUYER, &format!("consent revoke {id}"));
        assert!(!is_allowed());
        let asked = place.succeed(BUYER, "consent ask erase --about org-1 --doc please");
        let request = number(&asked["request"]);
        assert!(
            place
                .fail(OTHER, &format!("consent answer {request} --doc no"))
                .contains("NotOwner")
        );
        place.succeed(SELLER, &format!("consent answer {request} --doc done"));
        let requests = place.succeed(OTHER, "consent requests --about org-1");
        assert_eq!(requests[0]["state"], "answered");
        assert!(
            place
                .succeed(OTHER, "consent overdue")
                .as_array()
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn alert_becomes_an_incident_that_is_answered_and_closed() {
    with_chain(|place| {
        let line = "incident alert fire --site org-1 --assignee org-3 --asset roof --doc smoke";
        let alert = number(&place.succeed(BUYER, line)["alert"]);
        let confirm = format!("incident evaluate {alert} confirm --doc seen");
        assert!(place.fail(SELLER, &confirm).contains("NotAssignee"));
        let incident = number(&place.succeed(OTHER, &confirm)["incident"]);
        let line = format!("incident impact {incident} --risk roof:fire:80 --doc d");
        assert!(place.fail(BUYER, &line).contains("NotSite"));
        place.succeed(SELLER, &line);
        let line = format!(
            "incident respond {incident} --plan leave --to org-2 --to org-3 --answer-by 1h"
        );
        let response = number(&place.succeed(SELLER, &line)["response"]);
        place.succeed(BUYER, &format!("incident acknowledge {response} --decline"));
        assert!(
            place
                .fail(BUYER, &format!("incident acknowledge {response}"))
                .contains("Answered")
        );
        assert!(
            place
                .fail(OTHER, &format!("incident escalate {response}"))
                .contains("TooEarly")
        );
        let shown = place.succeed(OTHER, &format!("incident show {incident}"));
        assert_eq!(
            (
                &shown["impacts"][0]["score"],
                &shown["responses"][0]["answer"]
            ),
            (&"80.00".into(), &"declined".into())
        );
        place.succeed(SELLER, &format!("incident close {incident} --doc out"));
        assert_eq!(place.succeed(OTHER, "incident list")[0]["state"], "closed");
    });
}

#[test]
fn sealed_dataset_is_sold_and_a_broken_package_is_not_accepted() {
    with_chain(|place| {
        std::fs::write(place.folder.join("data"), "7".repeat(3_000)).unwrap();
        let root = place.succeed(SELLER, "sealed root data --secrets s.json");
        let root = text(&root["root"]);
        let list = format!(
            "market list --dataset {root} --sealed --property noise --price 12 --confirm-in 1m"
        );
        let listing = number(&place.succeed(SELLER, &list)["listing"]["id"]);
        let order = number(&place.succeed(BUYER, &format!("market buy {listing}"))["order"]["id"]);
        place.succeed(
            SELLER,
            &format!("sealed offer {order} --file data --secrets s.json --out p.bin"),
        );
        let open = format!("sealed open {order} --package p.bin --out received");
        assert!(place.fail(BUYER, &open).contains("not revealed"));
        let package = std::fs::read(place.folder.join("p.bin")).unwrap();
        let mut broken = package.clone();
        *broken.last_mut().unwrap() ^= 1;
        std::fs::write(place.folder.join("broken.bin"), broken).unwrap();
        let refused = place.fail(
            BUYER,
            &format!("sealed accept {order} --package broken.bin"),
        );
        assert!(refused.contains("do not accept"), "{refused}");
        place.succeed(BUYER, &format!("sealed accept {order} --package p.bin"));
        place.succeed(SELLER, &format!("sealed reveal {order} --secrets s.json"));
        place.succeed(BUYER, &open);
        let received = std::fs::read(place.folder.join("received")).unwrap();
        assert_eq!(received, "7".repeat(3_000).into_bytes());
        assert!(
            place
                .fail(BUYER, &format!("sealed settle {order}"))
                .contains("TooEarly")
        );
    });
}
