//! Story 1: a city buys hourly noise data by the month, cancels half-way, gets the unused part back.

use crate::town::{PROOF, TOKEN, Town, address, amount, number, text};
use medina_contracts::data_marketplace::DataMarketplace::{Paid, Refunded};
use medina_sdk::client::MarketClient;
use medina_tests::processes::free_ports;
use std::fmt::Write as _;

const SELLER: u32 = 1;
const CITY: u32 = 2;
const DAY_S: u64 = 86_400;
/// Hours of noise that are anchored.
const HOURS: u64 = 24;

/// A day of noise at full hours, until an hour ago.
fn noise(now: u64) -> String {
    let mut csv = "time,noise\n".to_owned();
    for hour in (1..=HOURS).rev() {
        let time = medina_sdk::moment::format_moment((now / 3_600 - hour) * 3_600);
        let time = time.replace(" UTC", ":00Z").replace(' ', "T");
        writeln!(csv, "{time},{}.5", 40 + hour).unwrap();
    }
    csv
}

async fn market_balance(client: &MarketClient) -> u128 {
    let market = client.contracts().data_marketplace;
    client.balance(market).await.unwrap().to()
}

#[tokio::test(flavor = "multi_thread")]
async fn city_cancels_its_months_of_noise_half_way_and_gets_the_unused_part_back() {
    let town = Town::with_clock().await;
    let chain = town.client(CITY).await;
    let port = free_ports(1);
    town.write_gateway(port);
    std::fs::write(town.path("noise.csv"), noise(town.now().await)).unwrap();
    let sensor = town.sensor(SELLER, "noise", "square");
    let line = format!(
        "sensor anchor {sensor} --device-key square.key --config gateway.toml --readings noise.csv"
    );
    assert_eq!(town.succeed(SELLER, &line)["readings"], HOURS);
    let line = format!(
        "market list --resource {sensor} --property noise --price 30 --per 30d --confirm-in 1m"
    );
    let listing = number(&town.succeed(SELLER, &line)["listing"]["id"]);
    town.serve(&listing, &sensor);
    let _gateway = town.beside("gateway run --config gateway.toml", "gateway listens");
    let fetch = format!("market fetch {listing} --gateway http://127.0.0.1:{port} --out got.jsonl");
    town.refused(CITY, &fetch, "no access");

    // Two months at 30 a month, all of it in escrow.
    let (city_had, seller_had) = (town.tokens(CITY), town.tokens(SELLER));
    town.refused(SELLER, &format!("market buy {listing}"), "OwnListing");
    let line = format!("market buy {listing} --units 2 --max 59");
    assert!(town.run(CITY, &line).is_err(), "it is dearer than 59");
    let bought = town.succeed(CITY, &format!("market buy {listing} --units 2 --max 60"));
    let order = text(&bought["order"]["id"]).to_owned();
    assert_eq!(amount(&bought["order"]["amount"]), 60 * TOKEN);
    assert_eq!(town.tokens(CITY), city_had - 60 * TOKEN);
    assert_eq!(market_balance(&chain).await, 60 * TOKEN);

    town.refused(
        CITY,
        &format!("market deliver {order} --proof {PROOF}"),
        "Not",
    );
    let line = format!("market deliver {order} --proof {PROOF}");
    let delivered = town.succeed(SELLER, &line);
    let (start, end) = (
        delivered["order"]["time"].as_u64().unwrap(),
        delivered["order"]["end"].as_u64().unwrap(),
    );
    assert_eq!(start, town.time_of(&delivered).await);
    assert_eq!(end - start, 60 * DAY_S);
    assert_eq!(town.succeed(CITY, &fetch)["verified"], HOURS);

    // A stranger cannot end it; the city does, after half of the time.
    town.until(start + 30 * DAY_S).await;
    assert_eq!(town.succeed(CITY, &fetch)["verified"], HOURS);
    town.refused(3, &format!("market cancel {order}"), "Not");
    let cancelled = town.succeed(CITY, &format!("market cancel {order}"));
    let at = town.time_of(&cancelled).await;
    let vested = 60 * TOKEN * u128::from(at - start) / u128::from(end - start);
    assert!((30 * TOKEN..30 * TOKEN + TOKEN / 100).contains(&vested));
    assert_eq!(cancelled["order"]["state"], "completed");
    assert_eq!(amount(&cancelled["order"]["paid"]), vested);
    let refund = 60 * TOKEN - vested;
    let market = chain.contracts().data_marketplace;
    let refunded = town.events::<Refunded>(market).await;
    assert_eq!((refunded.len(), refunded[0].amount), (1, refund));
    let fee = vested / 100;
    let paid = town.events::<Paid>(market).await;
    let of_paid = |paid: &Paid| (paid.to, paid.amount, paid.fee);
    assert_eq!(
        paid.iter().map(of_paid).collect::<Vec<_>>(),
        [(address(SELLER), vested, fee)]
    );

    // Both take what is theirs, to the unit; the fee is all that stays.
    assert_eq!(
        amount(&town.succeed(CITY, "market withdraw")["amount"]),
        refund
    );
    let got = amount(&town.succeed(SELLER, "market withdraw")["amount"]);
    assert_eq!(got, vested - fee);
    assert_eq!(town.tokens(CITY), city_had - vested);
    assert_eq!(town.tokens(SELLER), seller_had + vested - fee);
    assert_eq!(market_balance(&chain).await, fee);

    // What is over is over.
    town.refused(CITY, &fetch, "no access");
    town.refused(CITY, &format!("market cancel {order}"), "WrongState");
    town.refused(SELLER, &format!("market claim {order}"), "WrongState");
    town.refused(CITY, &format!("market renew {order}"), "WrongState");
    town.agree().await;
}
