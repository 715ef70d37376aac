//! Story 3: a dataset is sold, one chunk is wrong: the sealed delivery judge refunds without
//! anybody's opinion.

use crate::town::{AUTHORITY, TOKEN, Town, amount, number, text};
use alloy_primitives::{B256, U256};
use medina_contracts::{
    data_marketplace::DataMarketplace::{Paid, Refunded, Resolved},
    sealed_delivery::SealedDelivery::Complained,
};
use medina_sdk::{
    client::MarketClient,
    sealed::{Dataset, Package, key_hash, random_key},
};

const SELLER: u32 = 1;
const BUYER: u32 = 2;
const STRANGER: u32 = 3;
/// What the dataset costs.
const PRICE: u128 = 12 * TOKEN;
/// Which chunk the seller has spoilt.
const WRONG: usize = 2;

fn promised() -> Dataset {
    let rows: String = (0..400).map(|row| format!("{row},20.5\n")).collect();
    Dataset::new(rows.as_bytes()).unwrap()
}

/// The promised hashes, over chunks of which one says something else.
fn spoilt(dataset: &Dataset, key: B256) -> Package {
    let mut chunks = dataset.chunks().to_vec();
    chunks[WRONG][5] = B256::repeat_byte(7);
    let other = Dataset::from_chunks(chunks).unwrap();
    Package {
        hashes: dataset.hashes(),
        chunks: other.seal(key).chunks,
    }
}

fn buy(town: &Town, listing: &str) -> U256 {
    let bought = town.succeed(BUYER, &format!("market buy {listing}"));
    text(&bought["order"]["id"]).parse().unwrap()
}

/// The seller binds a package for an order, and the buyer, who has checked it, accepts it.
async fn bind(town: &Town, seller: &MarketClient, order: U256, package: &Package, key: B256) {
    std::fs::write(town.path("package.bin"), package.to_bytes()).unwrap();
    let root = package.root().unwrap();
    seller
        .offer_sealed(order, root, key_hash(key))
        .await
        .unwrap();
    town.succeed(
        BUYER,
        &format!("sealed accept {order} --package package.bin"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_chunk_of_a_dataset_is_refunded_by_the_judge_and_a_right_one_never() {
    let town = Town::of_processes(&[]).await;
    let seller = town.client(SELLER).await;
    let (market, judge) = (
        seller.contracts().data_marketplace,
        seller.contract("SealedDelivery").unwrap(),
    );
    let dataset = promised();
    let root = dataset.root().unwrap();
    let line = format!("market list --dataset {root} --sealed --property noise --price 12");
    let listing = number(&town.succeed(SELLER, &line)["listing"]["id"]);
    let (buyer_had, seller_had) = (town.tokens(BUYER), town.tokens(SELLER));

    // Everything but the chunk is as it should be, so the buyer accepts and cannot know.
    let order = buy(&town, &listing);
    assert_eq!(town.tokens(BUYER), buyer_had - PRICE);
    let key = random_key().unwrap();
    let package = spoilt(&dataset, key);
    bind(&town, &seller, order, &package, key).await;
    let open = format!("sealed open {order} --package package.bin --out received");
    town.refused(BUYER, &open, "not revealed");
    let other = random_key().unwrap();
    let wrong_key = seller.reveal_key(order, other).await.unwrap_err();
    assert!(wrong_key.to_string().contains("BadKey"), "{wrong_key}");
    seller.reveal_key(order, key).await.unwrap();

    // Neither the arbiter nor the buyer may decide by opinion.
    town.refused(
        AUTHORITY,
        &format!("market resolve {order} --to-buyer 0"),
        "NotJudge",
    );
    let dispute = format!("market dispute {order} --evidence \"I do not like it\"");
    assert!(town.run(BUYER, &dispute).is_err());
    let fault = package.fault(u32::try_from(WRONG).unwrap()).unwrap();
    let stranger = town.client(STRANGER).await;
    let refused = stranger.complain_sealed(order, &fault).await.unwrap_err();
    assert!(refused.to_string().contains("NotBuyer"), "{refused}");

    // Opening finds the chunk and shows it to the judge: all the money is back.
    let opened = town.succeed(BUYER, &open);
    assert_eq!(
        (&opened["wrongChunk"], &opened["state"]),
        (&WRONG.into(), &"refunded".into())
    );
    assert!(!town.path("received").exists());
    assert_eq!(
        amount(&town.succeed(BUYER, "market withdraw")["amount"]),
        PRICE
    );
    assert_eq!(
        (town.tokens(BUYER), town.tokens(SELLER)),
        (buyer_had, seller_had)
    );
    let complaints = town.events::<Complained>(judge).await;
    assert_eq!((complaints.len(), complaints[0].order), (1, order));
    let resolved = town.events::<Resolved>(market).await;
    assert_eq!((resolved.len(), resolved[0].buyerBps), (1, 10_000));
    let refunds = town.events::<Refunded>(market).await;
    assert_eq!((refunds.len(), refunds[0].amount), (1, PRICE));
    assert!(town.events::<Paid>(market).await.is_empty());
    assert!(town.run(BUYER, &open).is_err(), "it is over");

    honest_seller_is_paid(&town, &seller, &listing, &dataset).await;
    // One of two was bad, and everybody can see it.
    let trust = town.succeed(STRANGER, "trust show --org org-1");
    let score: f64 = text(&trust["reputation"]["score"]).parse().unwrap();
    assert!(score < 50.0, "{trust}");
    town.agree().await;
}

/// The same dataset as promised: no complaint holds, and the seller gets its money.
async fn honest_seller_is_paid(
    town: &Town,
    seller: &MarketClient,
    listing: &str,
    dataset: &Dataset,
) {
    let seller_had = town.tokens(SELLER);
    let order = buy(town, listing);
    let key = random_key().unwrap();
    let package = dataset.seal(key);
    bind(town, seller, order, &package, key).await;
    seller.reveal_key(order, key).await.unwrap();
    let buyer = town.client(BUYER).await;
    for index in 0..u32::try_from(package.chunks.len()).unwrap() {
        let fault = package.fault(index).unwrap();
        let refused = buyer.complain_sealed(order, &fault).await.unwrap_err();
        assert!(refused.to_string().contains("NoFault"), "{refused}");
    }
    let forged = spoilt(dataset, key)
        .fault(u32::try_from(WRONG).unwrap())
        .unwrap();
    let refused = buyer.complain_sealed(order, &forged).await.unwrap_err();
    assert!(refused.to_string().contains("BadProof"), "{refused}");
    town.succeed(
        BUYER,
        &format!("sealed open {order} --package package.bin --out received"),
    );
    let received = std::fs::read(town.path("received")).unwrap();
    assert_eq!(received, dataset.data().unwrap());
    town.refused(STRANGER, &format!("sealed settle {order}"), "TooEarly");
    let confirmed = town.succeed(BUYER, &format!("market confirm {order}"));
    assert_eq!(confirmed["order"]["state"], "completed");
    let fee = PRICE / 100;
    assert_eq!(
        amount(&town.succeed(SELLER, "market withdraw")["amount"]),
        PRICE - fee
    );
    assert_eq!(town.tokens(SELLER), seller_had + PRICE - fee);
}
