//! A seller, a buyer and a second platform who only have a terminal, on `medina dev`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Place, beside, free_port, text};
use std::{io::Read as _, path::Path};

/// Accounts of the test mnemonic.
const SELLER: &str = "1";
const BUYER: &str = "2";
const PLATFORM: &str = "3";
const PLATFORM_ADDRESS: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";

const READINGS: &str = "\
time,temperature
2024-03-01T10:00:00Z,20.5
2024-03-01T10:01:00Z,20.75
2024-03-01T10:02:00Z,21
";

#[test]
fn data_are_sold_bought_and_bartered_from_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("readings.csv"), READINGS).unwrap();
    let port = free_port();
    let line = format!("dev --validators 1 --rpc-port {port}");
    let _chain = beside(folder, &line, "Ctrl-C stops it");
    let place = Place {
        folder,
        rpc: format!("http://127.0.0.1:{port}"),
    };
    let gateway = format!("http://127.0.0.1:{}", write_gateway(&place));

    let sensor = supply(&place);
    let list = format!("market list --resource {sensor} --property temperature --price 2.5");
    let listed = place.succeed(SELLER, &list);
    assert_eq!(listed["listing"]["unitPrice"], "2500000000000000000");
    append_listing(folder, &sensor);
    let _gateway = beside(
        folder,
        "gateway run --config gateway.toml",
        "gateway listens",
    );

    buy_and_rate(&place, &gateway);
    barter(&place, &gateway, &sensor);
}

/// Writes the gateway's configuration without listings; answers its port.
fn write_gateway(place: &Place<'_>) -> u16 {
    let port = free_port();
    let key = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
    std::fs::write(place.folder.join("gateway.key"), key).unwrap();
    let config = format!(
        "listen = \"127.0.0.1:{port}\"\nrpc = \"{}\"\ndata = \"companion\"\n\
         master_key = \"companion.key\"\n[account]\nkey_file = \"gateway.key\"\n",
        place.rpc
    );
    std::fs::write(place.folder.join("gateway.toml"), config).unwrap();
    port
}

fn append_listing(folder: &Path, sensor: &str) {
    let path = folder.join("gateway.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let listing = format!("[[listings]]\nid = 1\nsources = [\"{sensor}\"]\n");
    std::fs::write(path, config + &listing).unwrap();
}

fn supply(place: &Place<'_>) -> String {
    let line = "sensor register --property temperature --device-key device.key --period 60s";
    let registered = place.succeed(SELLER, line);
    let sensor = text(&registered["id"]).to_owned();
    let line = format!("sensor update {sensor} --period 30s --cell 7");
    assert_eq!(place.succeed(SELLER, &line)["sensor"]["periodSeconds"], 30);
    assert!(
        place
            .fail(SELLER, &format!("sensor update {sensor}"))
            .contains("nothing to change")
    );
    assert!(place.fail(BUYER, &line).contains("NotOwner"));
    let line = format!(
        "sensor anchor {sensor} --device-key device.key --config gateway.toml --readings readings.csv"
    );
    let anchored = place.succeed(SELLER, &line);
    assert_eq!(
        (&anchored["readings"], &anchored["batch"]),
        (&3.into(), &1.into())
    );
    let shown = place.succeed(SELLER, &format!("sensor show {sensor}"));
    assert_eq!(
        (&shown["sensor"]["cell"], &shown["anchored"]["seq"]),
        (&7.into(), &1.into())
    );
    let owner = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    let all = place.succeed(SELLER, &format!("sensor list --account {owner}"));
    assert_eq!(all[0]["id"], sensor.as_str());
    sensor
}

fn buy_and_rate(place: &Place<'_>, gateway: &str) {
    let found = place.succeed(BUYER, "market search --property Temperature --max-price 3");
    assert_eq!(found[0]["id"], 1);
    let none = place.succeed(BUYER, "market search --property temperature --max-price 2");
    assert!(none.as_array().unwrap().is_empty());
    let fetch = format!("market fetch 1 --gateway {gateway} --out bought.jsonl");
    assert!(place.fail(BUYER, &fetch).contains("no access"));

    let bought = place.succeed(BUYER, "market buy 1 --purpose research");
    assert_eq!(bought["order"]["state"], "funded");
    let order = text(&bought["order"]["id"]).to_owned();
    assert_eq!(place.succeed(BUYER, &fetch)["verified"], 3);
    let mut written = String::new();
    std::fs::File::open(place.folder.join("bought.jsonl"))
        .unwrap()
        .read_to_string(&mut written)
        .unwrap();
    assert!(written.lines().count() == 3 && written.contains("\"value\":\"20.75\""));

    let proof = format!("0x{}", "11".repeat(32));
    assert!(
        place
            .fail(BUYER, &format!("market confirm {order}"))
            .contains("WrongState")
    );
    let delivered = place.succeed(SELLER, &format!("market deliver {order} --proof {proof}"));
    assert_eq!(delivered["order"]["state"], "delivered");
    let confirmed = place.succeed(BUYER, &format!("market confirm {order}"));
    assert_eq!(confirmed["order"]["state"], "completed");
    let rated = place.succeed(
        BUYER,
        &format!("market rate {order} --score 95 --comment good"),
    );
    assert_ne!(rated["reputation"]["before"], rated["reputation"]["after"]);
    let paid = place.succeed(SELLER, "market withdraw");
    assert_eq!(paid["amount"], "2475000000000000000");
    assert_eq!(
        place.succeed(SELLER, "market orders --listing 1")[0]["state"],
        "completed"
    );
}

fn barter(place: &Place<'_>, gateway: &str, sensor: &str) {
    let line = format!("federation create --name cities --invite {PLATFORM_ADDRESS}");
    let federation = place.succeed(SELLER, &line);
    let federation = text(&federation["federation"]);
    place.succeed(PLATFORM, &format!("federation accept {federation}"));
    place.succeed(
        SELLER,
        &format!("federation share {federation} --resource {sensor} --bartered"),
    );

    let line = format!(
        "coupon offer --holder {PLATFORM_ADDRESS} --federation {federation} --uses 1 --out coupon.json"
    );
    assert!(place.succeed(SELLER, &line)["transaction"].is_null());
    let state = |place: &Place<'_>| {
        let shown = place.succeed(PLATFORM, "coupon show --file coupon.json");
        text(&shown["status"]["state"]).to_owned()
    };
    assert_eq!(state(place), "notregistered");
    place.succeed(PLATFORM, "coupon accept --file coupon.json");
    assert_eq!(state(place), "valid");
    let consume =
        format!("coupon consume --file coupon.json --resource {sensor} --gateway {gateway}");
    assert_eq!(place.succeed(PLATFORM, &consume)["verified"], 3);
    assert_eq!(state(place), "consumed");
    assert!(place.fail(PLATFORM, &consume).contains("consumed"));
    let line = format!(
        "coupon issue --holder {PLATFORM_ADDRESS} --federation {federation} --time 7d --out week.json"
    );
    assert!(place.succeed(SELLER, &line)["transaction"]["hash"].is_string());
}
