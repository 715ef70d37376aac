//! What takes days, from a terminal on `medina dev`, whose clock the test moves: each command is refused before its time
//! and works after it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Place, beside, free_port, text};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// Accounts of the test mnemonic; account I is the admin of org-I. 0 is also governor, guardian, certifier, arbiter and
/// monitor.
const AUTHORITY: &str = "0";
const SELLER: &str = "1";
const BUYER: &str = "2";
const OTHER: &str = "3";
const OTHER_ADDRESS: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
const STRANGER: &str = "5";
const STRANGER_ADDRESS: &str = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc";
const NEWCOMER: &str = "10";
const NEWCOMER_ADDRESS: &str = "0xBcd4042DE499D14e55001CcbB24a551F3b954096";
const PROOF: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// One token.
const TOKEN: u128 = 1_000_000_000_000_000_000;

/// A chain of one validator, and a folder.
fn with_chain(options: &str, story: impl FnOnce(&Place<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let line = format!("dev --validators 1 --rpc-port {port} {options}");
    let _chain = beside(folder.path(), &line, "Ctrl-C stops it");
    story(&Place {
        folder: folder.path(),
        rpc: format!("http://127.0.0.1:{port}"),
    });
}

/// Seconds pass.
fn later(place: &Place<'_>, seconds: u64) {
    ask(place, "evm_increaseTime", &format!("[{seconds}]"));
    ask(place, "evm_mine", "[]");
}

/// Time of the head.
fn now(place: &Place<'_>) -> u64 {
    let head = ask(place, "eth_getBlockByNumber", "[\"latest\",false]");
    let time = text(&head["result"]["timestamp"]).to_owned();
    u64::from_str_radix(&time[2..], 16).unwrap()
}

fn ask(place: &Place<'_>, method: &str, params: &str) -> Value {
    let address = place.rpc.strip_prefix("http://").unwrap();
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let start = answer.find('{').unwrap();
    let end = answer.rfind('}').unwrap();
    let answer: Value = serde_json::from_str(&answer[start..=end]).unwrap();
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer
}

fn number(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn refused(place: &Place<'_>, account: &str, line: &str, error: &str) {
    let said = place.fail(account, line);
    assert!(said.contains(error), "{line}: {said}, not {error}");
}

fn sensor(place: &Place<'_>, account: &str) -> String {
    let line = format!("sensor register --property no2 --period 1h --device-key {account}.key");
    text(&place.succeed(account, &line)["id"]).to_owned()
}

/// A delivered order of the buyer.
fn delivered(place: &Place<'_>, listing: &str) -> String {
    let bought = place.succeed(BUYER, &format!("market buy {listing}"));
    let order = number(&bought["order"]["id"]);
    place.succeed(SELLER, &format!("market deliver {order} --proof {PROOF}"));
    order
}

#[test]
fn order_that_nobody_cares_for_ends_by_itself() {
    with_chain("", |place| {
        let sensor = sensor(place, SELLER);
        let line = format!(
            "market list --resource {sensor} --property no2 --price 10 --deliver-in 1h --confirm-in 2h"
        );
        let listing = number(&place.succeed(SELLER, &line)["listing"]["id"]);

        // Silence of the buyer is agreement.
        let order = delivered(place, &listing);
        let claim = format!("market claim {order}");
        refused(place, SELLER, &claim, "TooEarly");
        later(place, 2 * HOUR + 1);
        let late = format!("market dispute {order} --evidence late");
        refused(place, BUYER, &late, "TooLate");
        assert_eq!(place.succeed(OTHER, &claim)["order"]["state"], "completed");

        // Silence of the judge divides.
        let order = delivered(place, &listing);
        place.succeed(BUYER, &format!("market dispute {order} --evidence broken"));
        let expire = format!("market expire {order}");
        refused(place, OTHER, &expire, "TooEarly");
        later(place, 8 * DAY);
        let ended = place.succeed(OTHER, &expire);
        assert_eq!(ended["order"]["paid"], (5 * TOKEN).to_string());

        // Silence of the seller gives all back.
        let bought = place.succeed(BUYER, &format!("market buy {listing}"));
        let order = number(&bought["order"]["id"]);
        later(place, HOUR + 1);
        let ended = place.succeed(BUYER, &format!("market cancel {order}"));
        assert_eq!(ended["order"]["state"], "refunded");
    });
}

#[test]
fn sealed_order_is_settled_with_or_without_its_seller() {
    with_chain("", |place| {
        std::fs::write(place.folder.join("data"), vec![7; 5_000]).unwrap();
        let root = place.succeed(SELLER, "sealed root data --secrets s.json");
        let line = format!(
            "market list --dataset {} --sealed --property no2 --price 12 --deliver-in 1h --confirm-in 1h",
            text(&root["root"])
        );
        let listing = number(&place.succeed(SELLER, &line)["listing"]["id"]);
        let accepted = || {
            let bought = place.succeed(BUYER, &format!("market buy {listing}"));
            let order = number(&bought["order"]["id"]);
            let offer = format!("sealed offer {order} --file data --secrets s.json --out p.bin");
            place.succeed(SELLER, &offer);
            place.succeed(BUYER, &format!("sealed accept {order} --package p.bin"));
            order
        };
        let order = accepted();
        let settle = format!("sealed settle {order}");
        refused(place, OTHER, &settle, "TooEarly");
        later(place, HOUR + 1);
        assert_eq!(place.succeed(OTHER, &settle)["state"], "refunded");

        let order = accepted();
        place.succeed(SELLER, &format!("sealed reveal {order} --secrets s.json"));
        let settle = format!("sealed settle {order}");
        refused(place, OTHER, &settle, "TooEarly");
        later(place, HOUR + 1);
        assert_eq!(place.succeed(OTHER, &settle)["state"], "completed");
    });
}

#[test]
fn penalty_waits_for_its_pardon_and_a_bond_for_its_end() {
    with_chain("", |place| {
        let found =
            "federation create --name air --invite org-2 --promise \"availability>=90% per 1h\"";
        place.succeed(SELLER, found);
        place.succeed(BUYER, "federation accept air");
        let policy = "federation propose policy air --penalty 3 --violations 1";
        let ballot = number(&place.succeed(SELLER, policy)["ballot"]);
        place.succeed(BUYER, &format!("federation vote {ballot} yes"));
        place.succeed(OTHER, &format!("federation execute {ballot}"));
        for account in [SELLER, BUYER] {
            place.succeed(account, "federation accept air");
        }
        let sensor = sensor(place, BUYER);
        place.succeed(BUYER, &format!("federation share air --resource {sensor}"));
        let planned = place.succeed(BUYER, "sla bond air 50 --dry-run");
        assert_eq!(
            planned["transactions"].as_array().unwrap().len(),
            2,
            "{planned}"
        );
        place.succeed(BUYER, "sla bond air 50");
        later(place, 3 * HOUR);
        let breaks = |back: u64| {
            let hour = now(place) / HOUR;
            let [from, to] = [hour - back, hour - back + 1]
                .map(|hour| medina_sdk::moment::format_moment(hour * HOUR));
            let line = format!(
                "sla report air --sensor {sensor} --value 50% --from \"{from}\" --to \"{to}\""
            );
            place.succeed(AUTHORITY, &line);
        };
        breaks(1);
        breaks(2);
        let penalties = place.succeed(OTHER, "sla penalties air");
        let numbers: Vec<_> = penalties
            .as_array()
            .unwrap()
            .iter()
            .map(|p| number(&p["penalty"]))
            .collect();
        let [first, second] = numbers.as_slice() else {
            panic!("{penalties}");
        };
        let collect = |penalty: &str| format!("sla collect {penalty}");
        refused(place, OTHER, &collect(first), "TooEarly");
        place.succeed(AUTHORITY, &format!("sla pardon {first}"));
        later(place, 7 * DAY + 1);
        refused(place, AUTHORITY, &format!("sla pardon {second}"), "TooLate");
        place.succeed(OTHER, &collect(second));
        refused(place, OTHER, &collect(first), "TooLate");
        let shown = place.succeed(OTHER, "sla show air org-2");
        assert_eq!(shown["bonded"], (47 * TOKEN).to_string());

        refused(place, OTHER, "sla unbond air --org org-2", "BondLocked");
        place.succeed(BUYER, "federation leave air");
        refused(place, OTHER, "sla unbond air --org org-2", "BondLocked");
        later(place, 7 * DAY + 1);
        place.succeed(OTHER, "sla unbond air --org org-2");
        let shown = place.succeed(OTHER, "sla show air org-2");
        assert_eq!(shown["bonded"], "0");
    });
}

#[test]
fn member_that_does_not_accept_new_terms_lapses() {
    with_chain("", |place| {
        place.succeed(SELLER, "federation create --name air --invite org-2");
        place.succeed(BUYER, "federation accept air");
        let planned = place.succeed(SELLER, "federation propose quorum air 60 --dry-run");
        let calls = planned["transactions"].as_array().unwrap();
        assert_eq!(calls.len(), 2, "the ballot and the own vote: {planned}");
        assert!(text(&calls[1]["call"]).starts_with("vote"), "{planned}");
        let promise = "federation propose promises air --promise \"availability>=90% per 1d\"";
        let ballot = number(&place.succeed(SELLER, promise)["ballot"]);
        assert_eq!(ballot, "1", "the dry run opened none");
        place.succeed(BUYER, &format!("federation vote {ballot} yes"));
        place.succeed(OTHER, &format!("federation execute {ballot}"));
        place.succeed(SELLER, "federation accept air");
        refused(place, OTHER, "federation lapse air org-2", "TooEarly");
        later(place, 7 * DAY + 1);
        place.succeed(OTHER, "federation lapse air org-2");
        assert_eq!(place.succeed(OTHER, "federation show air")["members"], 1);
    });
}

#[test]
fn person_is_forgotten_a_year_after_its_id_was_erased() {
    with_chain("", |place| {
        let enrol =
            format!("user enrol {NEWCOMER_ADDRESS} --person \"Ada, 1990-01-01\" --org org-0");
        place.succeed(AUTHORITY, &enrol);
        place.succeed(NEWCOMER, &format!("user erase {NEWCOMER_ADDRESS}"));
        refused(place, AUTHORITY, &enrol, "Nullified");
        let forget = "user forget --person \"Ada, 1990-01-01\"";
        assert!(place.run(AUTHORITY, forget).is_err(), "not yet");
        later(place, 360 * DAY + 1);
        place.succeed(AUTHORITY, forget);
        place.succeed(AUTHORITY, &enrol);
    });
}

#[test]
fn request_is_overdue_after_thirty_days() {
    with_chain("", |place| {
        let asked = "consent ask erase --about org-1 --doc \"please erase room 12\"";
        let asked = place.succeed(BUYER, asked);
        let none = place.succeed(OTHER, "consent overdue");
        assert!(none.as_array().unwrap().is_empty(), "{none}");
        later(place, 30 * DAY + 1);
        let overdue = place.succeed(OTHER, "consent overdue");
        assert_eq!(overdue[0]["request"], asked["request"]);
        let answer = format!("consent answer {} --doc erased", number(&asked["request"]));
        place.succeed(SELLER, &answer);
        let none = place.succeed(OTHER, "consent overdue");
        assert!(none.as_array().unwrap().is_empty(), "{none}");
        // What was asked cannot be found by trying what it might say, and can be shown.
        let listed = place.succeed(OTHER, "consent requests --about org-1");
        let shown = place.succeed(BUYER, "document hash \"please erase room 12\"");
        assert_eq!(listed[0]["document"], shown["hash"]);
        let check = format!(
            "document check {} \"please erase room 12\" --salt {}",
            text(&shown["hash"]),
            text(&shown["salt"])
        );
        place.succeed(OTHER, &check);
        let other = check.replace("room 12", "room 13");
        refused(place, OTHER, &other, "not the document");
    });
}

#[test]
fn governor_with_a_delay_announces_and_the_guardian_cancels() {
    with_chain("", |place| {
        let grant = format!("role grant governor {STRANGER_ADDRESS} --delay 2d");
        refused(place, SELLER, &grant, "AccessManagerUnauthorizedAccount");
        place.succeed(AUTHORITY, &grant);
        let terms = "governance market --fee 2 --rebate 10 --dispute-in 3d";
        let announced = place.succeed(STRANGER, terms);
        assert_eq!(announced["state"], "announced");
        let operation = text(&announced["operation"]);
        let execute = format!("governance execute {}", &operation[..12]);
        refused(place, STRANGER, &execute, "NotReady");
        later(place, 2 * DAY + 1);
        place.succeed(STRANGER, &execute);
        let waiting = place.succeed(OTHER, "governance waiting");
        assert!(waiting.as_array().unwrap().is_empty(), "{waiting}");
        refused(place, STRANGER, &execute, "nothing that was announced");

        let judge = format!("governance judge allow {OTHER_ADDRESS}");
        let operation = place.succeed(STRANGER, &judge)["operation"].clone();
        let cancel = format!("governance cancel {}", text(&operation));
        refused(place, SELLER, &cancel, "Unauthorized");
        place.succeed(AUTHORITY, &cancel);
        later(place, 3 * DAY);
        refused(
            place,
            STRANGER,
            &format!("governance execute {}", text(&operation)),
            "nothing",
        );

        // What was announced and not executed within a week is forgotten.
        place.succeed(STRANGER, &judge);
        later(place, 10 * DAY);
        let waiting = place.succeed(OTHER, "governance waiting");
        assert!(waiting.as_array().unwrap().is_empty(), "{waiting}");

        // Without a delay it is done at once; a closed contract begins nothing.
        refused(
            place,
            SELLER,
            "governance close DataMarketplace",
            "Unauthorized",
        );
        place.succeed(AUTHORITY, "governance close DataMarketplace");
        let sensor = sensor(place, SELLER);
        let list = format!("market list --resource {sensor} --property no2 --price 1");
        refused(place, SELLER, &list, "AccessManagedUnauthorized");
        let shown = place.succeed(OTHER, "governance show");
        assert_eq!(shown["closed"][0], "DataMarketplace");
        place.succeed(AUTHORITY, "governance open datamarketplace");
        place.succeed(SELLER, &list);
        place.succeed(AUTHORITY, "governance trust --half-uptime 3d");
        let shown = place.succeed(OTHER, "governance show");
        assert_eq!(shown["trust"]["halfUptimeSeconds"], 3 * DAY);
        place.succeed(AUTHORITY, "governance verifier forbid Ed25519Verifier");
        let ed25519 = "sensor register --property x --device-key x.key";
        refused(place, SELLER, ed25519, "BadDeviceKey");
        place.succeed(
            SELLER,
            "sensor register --property x --device-key y.key --curve p256",
        );
        place.succeed(AUTHORITY, "governance close-boot");
    });
}
