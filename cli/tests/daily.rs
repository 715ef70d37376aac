//! The days of people who have only just begun: what they leave out, write wrong or mean by `me`, in every
//! role. Each mistake is one clear line and what to do, for programs one JSON document; nothing is sent by it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Place, beside, command, free_port, text};
use serde_json::Value;
use std::process::Output;

const ADMINISTRATOR: &str = "0";
const SELLER: &str = "1";
const BUYER: &str = "2";
const OTHER: &str = "3";
const SELLER_ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const BUYER_ADDRESS: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
/// Account 10: nobody's before it is enrolled.
const NEWCOMER_ADDRESS: &str = "0xBcd4042DE499D14e55001CcbB24a551F3b954096";
const PROOF: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

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

fn typed(place: &Place<'_>, account: &str, line: &str) -> Output {
    command(place.folder, line)
        .env("MEDINA_RPC", &place.rpc)
        .env("MEDINA_ACCOUNT", account)
        .output()
        .unwrap()
}

/// A mistake: for people a line of what is wrong with what is expected in it, then at most three about what to
/// do; for programs one JSON document with the same words.
fn mistake(place: &Place<'_>, account: &str, line: &str, expected: &str) {
    let told = typed(place, account, line);
    assert!(!told.status.success(), "{line} passed");
    assert!(told.stdout.is_empty(), "{line}");
    let told = String::from_utf8(told.stderr).unwrap();
    let first = told.lines().next().unwrap_or_default();
    assert!(first.starts_with("error: "), "{line}: {told}");
    assert!(told.contains(expected), "{line}: {told}\nnot {expected}");
    assert!(first.len() < 300, "{line}: {first}");
    for hidden in ["panicked", "backtrace", "bytes32", "uint"] {
        assert!(!told.contains(hidden), "{line}: {told}");
    }
    let json = typed(place, account, &format!("{line} --json"));
    let json: Value = serde_json::from_slice(&json.stderr).unwrap_or_else(|error| {
        let told = String::from_utf8_lossy(&json.stderr).into_owned();
        panic!("{line} --json: {error}: {told}")
    });
    let (what, hint) = (text(&json["error"]), json["hint"].as_str());
    assert!(!what.contains('\n'), "{line}: {what}");
    let said = format!("{what} {}", hint.unwrap_or_default());
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&said).contains(&words(expected)), "{line}: {said}");
}

fn height(place: &Place<'_>) -> u64 {
    let status = place.succeed(SELLER, "node status");
    status["height"].as_u64().unwrap()
}

fn number(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn sensor(place: &Place<'_>, account: &str) -> String {
    let line = format!("sensor register --property noise --period 1h --device-key {account}.key");
    text(&place.succeed(account, &line)["id"]).to_owned()
}

#[test]
fn market_and_people_from_day_to_day() {
    with_chain(|place| {
        let id = sensor(place, SELLER);
        let short = format!("{}…{}", &id[..10], &id[62..]);
        let list = format!("market list --resource {short} --property noise");
        let line = format!("{list} --price 2.5 --per month --confirm-in \"2 days\"");
        let monthly = place.succeed(SELLER, &line);
        assert_eq!(monthly["listing"]["accessSeconds"], 30 * 86_400);
        assert_eq!(monthly["listing"]["confirmSeconds"], 2 * 86_400);
        let once = place.succeed(SELLER, &format!("{list} --price 2.5"));
        let once = number(&once["listing"]["id"]);
        let bought = place.succeed(BUYER, &format!("market buy {once}"));
        let order = number(&bought["order"]["id"]);

        // Whoever asks means himself.
        assert_eq!(place.succeed(SELLER, "sensor list")[0]["id"], id.as_str());
        assert_eq!(
            number(&place.succeed(BUYER, "market orders")[0]["id"]),
            order
        );
        assert_eq!(
            place.succeed(BUYER, "market balance")["address"],
            BUYER_ADDRESS.to_lowercase()
        );
        assert_eq!(place.succeed(SELLER, "market income")["total"]["orders"], 1);
        let me = place.succeed(BUYER, "user show");
        assert_eq!(me["account"], BUYER_ADDRESS.to_lowercase());
        assert_eq!(place.succeed(BUYER, "org show")["org"], me["org"]);
        assert_eq!(place.succeed(BUYER, "role show")["org"], me["org"]);
        let named = format!("market orders --account {BUYER_ADDRESS}");
        assert_eq!(number(&place.succeed(OTHER, &named)[0]["id"]), order);

        let before = height(place);
        for (account, line, expected) in [
            (SELLER, format!("{list} --price abc"), "like 12.5"),
            (SELLER, format!("{list} --price 1,5"), "like 12.5"),
            (SELLER, format!("{list} --price -5"), "not negative"),
            (
                SELLER,
                format!("{list} --price 0.0000000000000000001"),
                "18",
            ),
            (SELLER, format!("{list} --price 1 --per sometimes"), "1h30m"),
            (
                SELLER,
                format!("{list} --price 1 --access -1h"),
                "not negative",
            ),
            (
                BUYER,
                format!("{list} --price 1"),
                "list was refused: NotOwner",
            ),
            (
                SELLER,
                "market list --property noise --price 1".into(),
                "--resource",
            ),
            (
                SELLER,
                "market list --resource 0x99 --property n --price 1".into(),
                "medina sensor list",
            ),
            (
                SELLER,
                format!("{list} --price 1 --audience nobody"),
                "nobody",
            ),
            (
                SELLER,
                "sensor register --property \"\" --device-key k".into(),
                "empty",
            ),
            (
                SELLER,
                "sensor register --property n --period 0 --device-key k".into(),
                "--period",
            ),
            (
                SELLER,
                "sensor register --property n --period 1h --place 200,5 --device-key k".into(),
                "latitude",
            ),
            (
                SELLER,
                format!("sensor register --property n --period 1h --device-key {SELLER}.key"),
                "--device-key",
            ),
            (SELLER, "sensor show nothing".into(), "medina sensor list"),
            (BUYER, "market buy first".into(), "whole number"),
            (BUYER, "market buy 99".into(), "medina market show"),
            (BUYER, format!("market buy {once} --max 1"), "--max"),
            (
                SELLER,
                format!("market buy {once}"),
                "cannot buy from itself",
            ),
            (
                BUYER,
                format!("market buy {once} --units 0"),
                "at least one",
            ),
            (BUYER, "market order 77".into(), "no order 77"),
            (
                BUYER,
                format!("market confirm {order}"),
                "after its delivery",
            ),
            (
                SELLER,
                format!("market deliver {order} --proof everything"),
                "64",
            ),
            (
                BUYER,
                format!("market rate {order} --score good"),
                "0 to 100",
            ),
            (
                OTHER,
                format!("market rate {order} --score 90"),
                "only the buyer",
            ),
            (SELLER, "market withdraw".into(), "owes"),
            (OTHER, "market balance org-1".into(), "40 hexadecimal"),
            (BUYER, "market search --near here".into(), "41.39,2.17"),
            (
                BUYER,
                "market search --near 41,2 --within far".into(),
                "kilometres",
            ),
            (BUYER, "market search --kind thing".into(), "stream"),
            (
                ADMINISTRATOR,
                format!("org register \"\" --admin {NEWCOMER_ADDRESS}"),
                "empty",
            ),
            (
                ADMINISTRATOR,
                "org register Haven --admin nobody".into(),
                "40 hexadecimal",
            ),
            (ADMINISTRATOR, "org set org-1".into(), "--status"),
            (
                ADMINISTRATOR,
                format!("org register org-1 --admin {NEWCOMER_ADDRESS}"),
                "another name",
            ),
            (
                ADMINISTRATOR,
                format!("user enrol {NEWCOMER_ADDRESS} --org org-1 --person \"\""),
                "empty",
            ),
            (
                ADMINISTRATOR,
                format!("user enrol {NEWCOMER_ADDRESS} --person Ada --until yesterday"),
                "2026-12-01",
            ),
            (
                ADMINISTRATOR,
                format!("user enrol {NEWCOMER_ADDRESS} --person Ada --until 2020-01-01"),
                "too late",
            ),
            (
                ADMINISTRATOR,
                format!("user enrol {BUYER_ADDRESS} --person Ada"),
                "has an id already",
            ),
            (
                SELLER,
                format!("user enrol {NEWCOMER_ADDRESS} --person Ada"),
                "certifier",
            ),
            (
                SELLER,
                format!("role grant arbiter {NEWCOMER_ADDRESS}"),
                "only the governor",
            ),
            (
                SELLER,
                format!("token send {NEWCOMER_ADDRESS} 99999999999"),
                "too few tokens",
            ),
            (SELLER, "token send nobody 1".into(), "40 hexadecimal"),
        ] {
            mistake(place, account, &line, expected);
        }
        assert_eq!(height(place), before, "nothing was sent");

        // The same purchase as a rehearsal: what would be sent, and what it costs.
        let rehearsal = place.succeed(BUYER, &format!("market buy {once} --dry-run"));
        assert_eq!(rehearsal["dryRun"], true);
        assert!(rehearsal["transaction"]["costMax"].is_string());
        let shown = typed(place, BUYER, &format!("market buy {once} --dry-run"));
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(
            shown.contains("DataMarketplace.buy") && shown.contains("at most"),
            "{shown}"
        );
        assert!(shown.lines().all(|line| line.len() < 120), "{shown}");
        assert_eq!(height(place), before);
        let line = format!("market deliver {order} --proof {PROOF}");
        assert_eq!(place.succeed(SELLER, &line)["order"]["state"], "delivered");
    });
}

#[test]
fn federations_barter_and_promises_from_day_to_day() {
    with_chain(|place| {
        let id = sensor(place, SELLER);
        let found =
            "federation create --name air --invite org-2 --promise \"availability>=95% per 1d\"";
        let fed = place.succeed(SELLER, found);
        place.succeed(BUYER, "federation accept air");
        let wish = "federation subscribe air --property no2 --property noise --kind sensor --kind service --near 41.39,2.17";
        let said = place.succeed(BUYER, wish);
        assert_eq!(said["kinds"], serde_json::json!(["sensor", "service"]));
        place.succeed(
            BUYER,
            "federation subscribe air --property no2 --kind device",
        );
        let shown = place.succeed(OTHER, "federation show air");
        let looked_for = shown["lookedFor"].as_array().unwrap();
        assert_eq!(looked_for.len(), 1, "what was said last counts");
        assert_eq!(looked_for[0]["kinds"], serde_json::json!(["device"]));
        let both = place.succeed(OTHER, "sla show air");
        assert_eq!(both.as_array().map(Vec::len), Some(2));
        let short = &text(&fed["federation"])[..10];
        assert_eq!(
            place.succeed(OTHER, &format!("federation show {short}"))["members"],
            2
        );
        place.succeed(
            SELLER,
            &format!("federation share air --resource {} --bartered", &id[..12]),
        );
        let issue = "coupon issue --holder org-2 --federation air --uses 2 --out a.json";
        place.succeed(SELLER, issue);

        let before = height(place);
        for (account, line, expected) in [
            (
                SELLER,
                "federation create --name air",
                "of this name already",
            ),
            (SELLER, "federation create --name \"\"", "empty"),
            (
                SELLER,
                "federation create --name b --promise \"availability above 95\"",
                "availability>=95%",
            ),
            (
                SELLER,
                "federation create --name b --promise \"availability>=195% per 1d\"",
                "0 to 100",
            ),
            (OTHER, "federation accept air", "federation invite"),
            (OTHER, "federation invite air org-4", "no member"),
            (BUYER, "federation accept nowhere", "medina federation list"),
            (
                BUYER,
                &format!("federation share air --resource {}", &id[..12]),
                "belongs to",
            ),
            (
                OTHER,
                "federation subscribe air --property no2",
                "no member",
            ),
            (SELLER, "federation subscribe air --kind thing", "sensor"),
            (
                SELLER,
                "coupon issue --holder org-2 --federation air --uses 0 --out b.json",
                "at least one use",
            ),
            (
                SELLER,
                "coupon issue --holder org-2 --federation air --uses 1 --time 7d --out b.json",
                "--time",
            ),
            (SELLER, "coupon show --file none.json", "none.json"),
            (SELLER, "coupon show --file 1.key", "medina coupon issue"),
            (
                BUYER,
                "coupon revoke --file a.json",
                "only the organisation that issued",
            ),
            (SELLER, "sla bond air 0", "more than nothing"),
            (OTHER, "sla bond air 5", "no member"),
            (SELLER, "sla unbond air", "bond"),
            (SELLER, "sla report air", "--sensor"),
        ] {
            mistake(place, account, line, expected);
        }
        assert_eq!(height(place), before, "nothing was sent");
    });
}

#[test]
fn consent_incidents_and_operators_from_day_to_day() {
    with_chain(|place| {
        let grant =
            format!("consent grant --to {SELLER_ADDRESS} --purpose care --form paper --until");
        place.succeed(BUYER, &format!("{grant} \"30 days\""));
        assert_eq!(place.succeed(BUYER, "consent list")[0]["state"], "in force");
        let check = format!("consent check --user {SELLER_ADDRESS} --purpose care");
        assert_eq!(place.succeed(BUYER, &check)["allowed"], true);
        let asked = format!("consent check --scope {BUYER_ADDRESS} --user me --purpose research");
        assert_eq!(place.succeed(SELLER, &asked)["allowed"], false);
        let alert = "incident alert fire --site org-1 --assignee org-3 --asset room --doc smoke";
        let alert = place.succeed(BUYER, alert)["alert"].clone();
        let alert = number(&alert);

        let before = height(place);
        for (account, line, expected) in [
            (BUYER, format!("{grant} \"next week\""), "friday 18:00"),
            (BUYER, format!("{grant} 2020-01-01"), "an end after"),
            (
                BUYER,
                "consent grant --to nobody --purpose p --form f --until 1d".into(),
                "nobody",
            ),
            (
                BUYER,
                "consent grant --to org-1 --form f --until 1d".into(),
                "--purpose",
            ),
            (BUYER, "consent revoke 0x1234".into(), "medina consent list"),
            (
                BUYER,
                "consent ask forget --about org-1 --doc d".into(),
                "erase",
            ),
            (
                BUYER,
                "consent answer 7 --doc d".into(),
                "medina consent requests",
            ),
            (
                OTHER,
                format!("incident evaluate {alert} maybe --doc d"),
                "confirm",
            ),
            (
                SELLER,
                format!("incident evaluate {alert} confirm --doc d"),
                "somebody else",
            ),
            (
                SELLER,
                "incident evaluate 55 confirm --doc d".into(),
                "medina incident alerts",
            ),
            (
                BUYER,
                "incident alert \"\" --site org-1 --assignee org-3 --doc d".into(),
                "empty",
            ),
            (
                BUYER,
                "incident alert fire --site nowhere --assignee org-3 --doc d".into(),
                "nowhere",
            ),
            (
                SELLER,
                "incident impact 1 --risk fire --doc d".into(),
                "ASSET:RISK:PERCENT",
            ),
            (BUYER, "incident show 9".into(), "no incident 9"),
            (SELLER, "validator vote 1 perhaps".into(), "yes"),
            (SELLER, "validator vote 1 yes".into(), "ballot"),
            (SELLER, "governance market --fee 200".into(), "0 to 100"),
            (
                SELLER,
                "governance judge allow Nothing".into(),
                "SealedDelivery",
            ),
            (SELLER, "trust show".into(), "--sensor"),
        ] {
            mistake(place, account, &line, expected);
        }
        assert_eq!(height(place), before, "nothing was sent");
    });
}

#[test]
fn who_has_no_node_no_key_or_another_chain_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Place {
        folder: folder.path(),
        rpc: "http://me:secret@127.0.0.1:1/secret?token=secret".to_owned(),
    };
    for line in [
        "market search",
        "node status",
        "token send 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 1",
    ] {
        mistake(&nobody, SELLER, line, "--rpc URL");
        let told = String::from_utf8(typed(&nobody, SELLER, line).stderr).unwrap();
        assert!(
            told.contains("127.0.0.1:1") && !told.contains("secret"),
            "{told}"
        );
    }
    let nonsense = Place {
        folder: folder.path(),
        rpc: "somewhere over there".to_owned(),
    };
    mistake(&nonsense, SELLER, "market search", "no URL");
    mistake(&nonsense, SELLER, "node status", "no URL");

    // A node of another kind of chain, which knows nothing of a market.
    let other = other_chain();
    let foreign = Place {
        folder: folder.path(),
        rpc: format!("http://{other}"),
    };
    mistake(
        &foreign,
        SELLER,
        "market search",
        "no node of a Medina chain",
    );

    let keyless = |line: &str, variables: &[(&str, &str)]| {
        let mut command = command(folder.path(), line);
        command
            .env_remove("MEDINA_MNEMONIC")
            .env("HOME", folder.path());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    let send = "token send 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 1";
    assert!(keyless(send, &[]).contains("medina account new"));
    let wrong = keyless(send, &[("MEDINA_MNEMONIC", "wrong words")]);
    assert!(
        wrong.contains("MEDINA_MNEMONIC") && !wrong.contains("wrong words"),
        "{wrong}"
    );
    let wrong = keyless(send, &[("MEDINA_PRIVATE_KEY", "0x1234")]);
    assert!(
        wrong.contains("64 hex digits") && !wrong.contains("1234"),
        "{wrong}"
    );
    std::fs::write(folder.path().join("not.key"), "nothing").unwrap();
    let wrong = keyless(&format!("{send} --private-key-file not.key"), &[]);
    assert!(wrong.contains("not.key"), "{wrong}");
    let away = keyless(&format!("{send} --private-key-file away.key"), &[]);
    assert!(away.contains("away.key"), "{away}");
}

/// JSON-RPC that answers `eth_chainId` and nothing else.
fn other_chain() -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut asked = String::new();
            let mut bytes = [0; 4096];
            while !asked.contains("\"method\"") {
                match stream.read(&mut bytes) {
                    Ok(count @ 1..) => asked.push_str(&String::from_utf8_lossy(&bytes[..count])),
                    _ => break,
                }
            }
            let id = asked
                .split("\"id\":")
                .nth(1)
                .and_then(|rest| rest.split([',', '}']).next())
                .unwrap_or("0");
            let result = if asked.contains("eth_chainId") {
                "\"result\":\"0x1\""
            } else {
                "\"error\":{\"code\":-32601,\"message\":\"no such method\"}"
            };
            let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{result}}}");
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}
