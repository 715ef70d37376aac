//! Story 2: pay per reading with signed cumulative vouchers; replay and overclaim refused.

use crate::town::{TOKEN, Town, amount, number, text};
use alloy_primitives::U256;
use medina_contracts::data_marketplace::DataMarketplace::Paid;
use serde_json::{Value, json};

const SELLER: u32 = 1;
const BUYER: u32 = 2;
const THIEF: u32 = 3;
/// Readings that are bought, at half a token each.
const BOUGHT: u128 = 10;
const CLAIM: &str = "market claim-units --file voucher.json";

/// What the buyer signs, in `voucher.json`.
fn sign(town: &Town, order: &str, received: u64) {
    let line = format!("market voucher {order} --received {received} --out voucher.json");
    town.succeed(BUYER, &line);
}

/// Changes the voucher without its signature.
fn forge(town: &Town, field: &str, value: Value) {
    let path = town.path("voucher.json");
    let mut voucher: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    voucher[field] = value;
    std::fs::write(path, voucher.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_are_paid_by_vouchers_that_work_once_and_for_no_more_than_was_signed() {
    let town = Town::of_processes(&[]).await;
    let sensor = town.sensor(SELLER, "noise", "square");
    let line = format!("market list --resource {sensor} --property noise --price 0.5 --per unit");
    let listing = number(&town.succeed(SELLER, &line)["listing"]["id"]);
    let (buyer_had, seller_had) = (town.tokens(BUYER), town.tokens(SELLER));
    let buy = format!("market buy {listing} --units {BOUGHT}");
    let order = text(&town.succeed(BUYER, &buy)["order"]["id"]).to_owned();
    let other = text(&town.succeed(BUYER, &buy)["order"]["id"]).to_owned();
    assert_eq!(town.tokens(BUYER), buyer_had - BOUGHT * TOKEN);

    // Four readings, brought by anyone: the money is the seller's all the same.
    sign(&town, &order, 4);
    let paid = town.succeed(THIEF, CLAIM);
    assert_eq!(
        (&paid["order"]["used"], amount(&paid["order"]["paid"])),
        (&4.into(), 2 * TOKEN)
    );
    for account in [SELLER, THIEF] {
        town.refused(account, CLAIM, "BadVoucher");
    }

    // Overclaims: another number, another order, another signer, more than was bought.
    sign(&town, &order, 6);
    forge(&town, "received", json!(7));
    town.refused(SELLER, CLAIM, "BadVoucher");
    sign(&town, &order, 6);
    forge(
        &town,
        "order",
        json!(format!("{:#x}", other.parse::<U256>().unwrap())),
    );
    town.refused(SELLER, CLAIM, "BadVoucher");
    let line = format!("market voucher {order} --received 8 --out voucher.json");
    assert!(town.run(THIEF, &line).is_err(), "it does not read there");
    let too_many = format!("market voucher {order} --received 11 --out voucher.json");
    town.refused(BUYER, &too_many, "10 were bought");
    overclaims_with_signatures(&town, &order).await;

    // Cumulative: six and then nine are five more, not fifteen; an old one is worth nothing.
    sign(&town, &order, 6);
    let paid = town.succeed(SELLER, CLAIM);
    assert_eq!(amount(&paid["order"]["paid"]), 3 * TOKEN);
    std::fs::copy(town.path("voucher.json"), town.path("old.json")).unwrap();
    sign(&town, &order, 9);
    let paid = town.succeed(SELLER, CLAIM);
    assert_eq!(
        (&paid["order"]["state"], amount(&paid["order"]["paid"])),
        (&"active".into(), 9 * TOKEN / 2)
    );
    std::fs::copy(town.path("old.json"), town.path("voucher.json")).unwrap();
    town.refused(SELLER, CLAIM, "BadVoucher");
    sign(&town, &order, 10);
    assert_eq!(town.succeed(SELLER, CLAIM)["order"]["state"], "completed");
    town.refused(SELLER, CLAIM, "WrongState");

    // Every claim has its event; fees of 1 % are all that is missing.
    let chain = town.client(SELLER).await;
    let market = chain.contracts().data_marketplace;
    let claims = town.events::<Paid>(market).await;
    let gross: Vec<u128> = claims.iter().map(|paid| paid.amount).collect();
    assert_eq!(gross, [2 * TOKEN, TOKEN, 3 * TOKEN / 2, TOKEN / 2]);
    assert!(claims.iter().all(|paid| paid.fee * 100 == paid.amount));
    assert_eq!(
        amount(&town.succeed(SELLER, "market withdraw")["amount"]),
        495 * TOKEN / 100
    );
    assert_eq!(town.tokens(SELLER), seller_had + 495 * TOKEN / 100);

    // The seller gives the other order up: nothing was used, all comes back.
    let ended = town.succeed(SELLER, &format!("market cancel {other}"));
    assert_eq!(
        (&ended["order"]["used"], amount(&ended["order"]["paid"])),
        (&0.into(), 0)
    );
    assert_eq!(
        amount(&town.succeed(BUYER, "market withdraw")["amount"]),
        5 * TOKEN
    );
    assert_eq!(town.tokens(BUYER), buyer_had - 5 * TOKEN);
    town.agree().await;
}

/// What the terminal does not let one sign, the SDK does; the contract refuses it.
async fn overclaims_with_signatures(town: &Town, order: &str) {
    let order: U256 = order.parse().unwrap();
    let seller = town.client(SELLER).await;
    let by_buyer = town.client(BUYER).await.sign_voucher(order, 11).unwrap();
    let by_thief = town.client(THIEF).await.sign_voucher(order, 8).unwrap();
    for (units, signature) in [(11, by_buyer), (8, by_thief)] {
        let refused = seller.claim_units(order, units, signature).await;
        let error = refused.expect_err("an overclaim").to_string();
        assert!(error.contains("BadVoucher"), "{error}");
    }
}
