//! The market from both sides: client, companion, gateway and the real contracts, without a node.

mod chain;
#[allow(dead_code, reason = "the example is a program too")]
#[path = "../examples/live_and_historic.rs"]
mod live_and_historic;

use std::sync::Arc;

use alloy_primitives::{B256, U256, keccak256};
use medina_sdk::amount::ONE_TOKEN;
use medina_sdk::client::{
    BuyerError, ClientError, Coupon, CouponKind, CouponState, GatewayBuyer, IndexQuery,
    ListingTerms, MarketClient, NewSensor, OrderState, Purchase, ResourceType, SearchFilter,
    SearchIndex, Target, UseRequest, Verdict, VerifiedReading,
};
use medina_sdk::companion::{Companion, MasterKey, Slot};
use medina_sdk::device::{DeviceKey, DeviceKind};
use medina_sdk::gateway::{Gateway, GatewayConfig, GatewayHandle};
use medina_sdk::merkle::{RecordId, leaf};
use medina_sdk::readings::{Decimal, Reading};

use chain::{GENESIS_TIME, TestChain, account, org};

const SELLER: u32 = 1;
const BUYER: u32 = 2;
const STRANGER: u32 = 3;
const READINGS: u64 = 40;
const PRICE: u128 = 25 * ONE_TOKEN;
const DEADLINE: u64 = GENESIS_TIME + 86_400;

/// Two sensors of the seller with anchored readings.
struct Market {
    chain: TestChain,
    seller: MarketClient,
    buyer: MarketClient,
    companion: Arc<Companion>,
    sensors: Vec<NewSensor>,
    _dir: tempfile::TempDir,
}

impl Market {
    async fn new() -> Self {
        let chain = TestChain::start().await;
        let connect = async |index| {
            MarketClient::connect(&chain.url)
                .await
                .expect("connects")
                .with_account(account(index))
        };
        let (seller, buyer) = (connect(SELLER).await, connect(BUYER).await);
        let dir = tempfile::tempdir().expect("a folder");
        let companion = Companion::open(&dir.path().join("db"), MasterKey::from_bytes([1; 32]));
        let sensors = ["temperature", "humidity"].map(sensor).to_vec();
        let market = Self {
            seller,
            buyer,
            companion: Arc::new(companion.expect("opens")),
            sensors,
            _dir: dir,
            chain,
        };
        market
            .seller
            .register_sensors(&market.sensors, DEADLINE)
            .await
            .expect("registers");
        market.anchor_readings().await;
        market
    }

    async fn anchor_readings(&self) {
        let mut signed = Vec::new();
        for sensor in &self.sensors {
            let readings =
                (1..=READINGS).map(|n| Reading::new(n * 60_000, "value", Decimal::from(n)));
            let batch = self
                .companion
                .prepare(sensor.id, readings.collect())
                .expect("stores");
            let signature = self
                .seller
                .sign_batch(&batch, &sensor.device)
                .expect("signs");
            signed.push((batch, signature));
        }
        let receipts = self.seller.anchor_many(&signed).await.expect("anchors");
        for (batch, _) in signed {
            let hash = receipts[0].hash;
            self.companion
                .mark_anchored(batch.source, batch.seq, hash)
                .expect("notes");
        }
    }

    async fn offer(&self) -> u64 {
        let sensor = &self.sensors[0];
        let terms = ListingTerms::stream(sensor.id, sensor.topic, PRICE);
        self.seller.list(&terms).await.expect("lists").0
    }

    async fn buy(&self, listing: u64) -> U256 {
        self.buyer.buy(&purchase(listing)).await.expect("buys").0
    }

    async fn open_gateway(&self, listing: u64) -> GatewayHandle {
        let (first, second) = (self.sensors[0].id, self.sensors[1].id);
        let text = format!(
            "listen = \"127.0.0.1:0\"\nrpc = \"{}\"\ndata = \"d\"\nmaster_key = \"k\"\n[[listings]]\n\
             id = {listing}\nsources = [\"{first}\", \"{second}\"]\n",
            self.chain.url
        );
        let config = GatewayConfig::parse(&text, std::path::Path::new("test.toml")).expect("reads");
        let gateway = Gateway {
            config,
            chain_id: self.seller.chain_id(),
            companion: self.companion.clone(),
            chain: Arc::new(self.seller.for_account(account(SELLER))),
            takes_coupons: true,
            clock: Arc::new(|| GENESIS_TIME * 1_000),
        };
        gateway.start().await.expect("starts")
    }
}

fn sensor(name: &str) -> NewSensor {
    NewSensor {
        id: keccak256(format!("sensor {name}")),
        device: DeviceKey::random(DeviceKind::Secp256k1).expect("randomness"),
        kind: ResourceType::Sensor,
        topic: keccak256(name),
        period_seconds: 60,
        cell: 7,
        meta: B256::repeat_byte(1),
    }
}

fn purchase(listing: u64) -> Purchase {
    Purchase {
        listing,
        units: 1,
        user: None,
        max_amount: None,
        purpose: keccak256("research"),
        deadline: DEADLINE,
    }
}

fn buyer_of(gateway: &GatewayHandle) -> GatewayBuyer {
    GatewayBuyer::new(&format!("http://{}", gateway.address())).expect("a URL")
}

#[tokio::test]
async fn registered_sensors_are_found_with_their_devices() {
    let market = Market::new().await;
    let found = market.buyer.sensors_of(org(SELLER)).await.expect("reads");
    assert_eq!(found.len(), 2);
    let expected = market.sensors[0]
        .device
        .signer(&(&market.chain.addresses()).into());
    assert_eq!(
        (found[0].id, &found[0].signer),
        (market.sensors[0].id, &expected)
    );
    assert_eq!(
        (found[0].kind, found[0].status, found[0].period_seconds),
        (Ok(ResourceType::Sensor), 1, 60)
    );
    market
        .seller
        .update_sensor(found[0].id, 30, 9, B256::ZERO)
        .await
        .expect("updates");
    let changed = market.buyer.sensor(found[0].id).await.expect("reads");
    assert_eq!((changed.period_seconds, changed.cell), (30, 9));
    let again = market
        .seller
        .register_sensor(&market.sensors[0], DEADLINE)
        .await;
    assert!(again.expect_err("exists").is_refusal("Exists"));
    let unknown = market.buyer.sensor(B256::ZERO).await;
    assert!(matches!(
        unknown,
        Err(ClientError::Unknown { what: "sensor", .. })
    ));
}

#[tokio::test]
async fn chain_agrees_with_every_proof_and_knows_what_was_erased() {
    let market = Market::new().await;
    let source = market.sensors[0].id;
    let stats = market.buyer.anchor_stats(source).await.expect("reads");
    assert_eq!((stats.seq, stats.first, stats.last), (1, 60, READINGS * 60));
    let tree = market.companion.tree(source, 1).expect("a tree");
    assert_eq!(
        market
            .buyer
            .anchored_root(source, 1)
            .await
            .expect("reads")
            .root,
        tree.root()
    );
    let id = RecordId {
        source,
        seq: 1,
        index: 17,
    };
    let Slot::Present(stored) = market.companion.record(id).expect("reads") else {
        panic!("the record is there");
    };
    let hash = leaf(id, stored.salt, &stored.record);
    let ask = async |hash| {
        let proof = tree.proof(17).expect("in the batch");
        market
            .buyer
            .verify_leaf(source, 1, hash, proof)
            .await
            .expect("answers")
    };
    assert_eq!(ask(hash).await, Verdict::Valid);
    assert_eq!(ask(B256::ZERO).await, Verdict::Unproven);
    market.companion.erase(&[id]).expect("erases");
    market
        .seller
        .tombstone(source, 1, vec![hash], B256::ZERO)
        .await
        .expect("tombstones");
    assert_eq!(ask(hash).await, Verdict::Erased);
}

#[tokio::test]
async fn data_are_sold_delivered_checked_paid_and_rated() {
    let market = Market::new().await;
    let listing = market.offer().await;
    let (seller, buyer) = (&market.seller, &market.buyer);
    let topic = Some(market.sensors[0].topic);
    let found = buyer
        .search(&SearchFilter {
            topic,
            ..SearchFilter::default()
        })
        .await
        .expect("searches");
    assert_eq!((found.len(), found[0].listing.id), (1, listing));
    assert_eq!(buyer.quote(listing, 2).await.expect("answers"), 2 * PRICE);

    let balance = async |index| {
        buyer
            .balance(account(index).address())
            .await
            .expect("reads")
    };
    let (seller_before, buyer_before) = (balance(SELLER).await, balance(BUYER).await);
    let order = market.buy(listing).await;
    assert_eq!(balance(BUYER).await, buyer_before - U256::from(PRICE));
    assert!(
        buyer
            .has_access(listing, account(BUYER).address())
            .await
            .expect("answers")
    );

    let gateway = market.open_gateway(listing).await;
    let door = buyer_of(&gateway);
    let stranger = door.open_session(&account(STRANGER), listing).await;
    assert!(matches!(
        stranger,
        Err(BuyerError::Refused { status: 403, .. })
    ));
    let session = door
        .open_session(&account(BUYER), listing)
        .await
        .expect("opens");
    let delivery = door
        .fetch_verified(buyer, &session, Target::Listing(listing))
        .await
        .expect("reads");
    assert_eq!((delivery.readings.len(), delivery.withheld.len()), (80, 0));

    let root = buyer
        .anchored_root(market.sensors[0].id, 1)
        .await
        .expect("reads")
        .root;
    seller.deliver(order, root).await.expect("delivers");
    buyer.confirm(order).await.expect("confirms");
    let twice = buyer.confirm(order).await.expect_err("is closed");
    assert!(twice.is_refusal("WrongState"), "{twice}");
    let owed = seller
        .credits(account(SELLER).address())
        .await
        .expect("reads");
    assert_eq!(owed, PRICE - PRICE / 100);
    seller
        .withdraw(account(SELLER).address())
        .await
        .expect("withdraws");
    assert_eq!(balance(SELLER).await, seller_before + U256::from(owed));

    let resource = market.sensors[0].id;
    let before = buyer.platform_reputation(org(SELLER)).await.expect("reads");
    buyer
        .rate(order, 9_500, keccak256("good"))
        .await
        .expect("rates");
    let after = buyer.platform_reputation(org(SELLER)).await.expect("reads");
    assert!(after.known && after.value > before.value && after.confidence > before.confidence);
    seller.refresh_trust(resource).await.expect("refreshes");
    let orders = buyer
        .orders_of(account(BUYER).address())
        .await
        .expect("reads");
    assert_eq!(
        (orders.len(), orders[0].id, orders[0].state),
        (1, order, Ok(OrderState::Completed))
    );
    assert_eq!(buyer.orders_for(listing).await.expect("reads"), orders);
    gateway.shutdown().await.expect("stops");
}

#[tokio::test]
async fn refusals_are_named_before_anything_is_sent() {
    let market = Market::new().await;
    let listing = market.offer().await;
    let own = market
        .seller
        .buy(&purchase(listing))
        .await
        .expect_err("own listing");
    assert!(own.is_refusal("OwnListing"), "{own}");
    let cheap = Purchase {
        max_amount: Some(1),
        ..purchase(listing)
    };
    let dear = market.buyer.buy(&cheap).await.expect_err("too dear");
    assert!(dear.is_refusal("TooDear"), "{dear}");
    let unknown = market.buyer.listing(99).await;
    assert!(matches!(
        unknown,
        Err(ClientError::Unknown {
            what: "listing",
            ..
        })
    ));
    let nobody = MarketClient::connect(&market.chain.url)
        .await
        .expect("connects");
    assert!(matches!(
        nobody.confirm(U256::from(1)).await,
        Err(ClientError::NoAccount)
    ));
    assert!(matches!(
        market.buyer.rate(U256::from(1), 10_001, B256::ZERO).await,
        Err(ClientError::BadInput(_))
    ));
}

#[tokio::test]
async fn nonce_that_went_stale_is_asked_for_anew() {
    let market = Market::new().await;
    let to = account(STRANGER).address();
    let other = market.buyer.for_account(account(BUYER));
    for client in [&market.buyer, &other, &market.buyer, &other] {
        client
            .transfer(to, U256::from(1))
            .await
            .expect("is sent all the same");
    }
    let (first, second) = futures::join!(
        market.buyer.transfer(to, U256::from(1)),
        market.buyer.transfer(to, U256::from(2)),
    );
    assert_ne!(first.expect("is sent").hash, second.expect("is sent").hash);
}

#[tokio::test]
async fn events_are_found_in_as_many_parts_as_the_node_wants() {
    let market = Market::new().await;
    let listing = market.offer().await;
    for _ in 0..70 {
        market
            .buyer
            .transfer(account(STRANGER).address(), U256::from(1))
            .await
            .expect("is sent");
    }
    let later = market.offer().await;
    let found = market
        .buyer
        .search(&SearchFilter::default())
        .await
        .expect("searches");
    let ids: Vec<_> = found.iter().map(|found| found.listing.id).collect();
    assert_eq!(ids, [listing, later]);
}

#[tokio::test]
async fn gateway_opens_from_its_file_and_says_what_is_wrong() {
    let chain = TestChain::start().await;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("gateway.toml");
    let write = |rpc: &str| {
        let text = format!(
            "listen = \"127.0.0.1:0\"\nrpc = \"{rpc}\"\ndata = \"db\"\nmaster_key = \"key\"\n\
             [account]\nkey_file = \"account\"\n"
        );
        std::fs::write(&path, text).expect("writes");
        GatewayConfig::load(&path).expect("reads")
    };
    let secret = hex::encode(*account(SELLER).to_bytes().expect("is here"));
    let missing = Gateway::open(write(&chain.url), Arc::new(|| 0))
        .await
        .err()
        .expect("no key");
    assert!(missing.to_string().contains("account"), "{missing}");
    std::fs::write(dir.path().join("account"), secret).expect("writes");
    let silent = Gateway::open(write("http://127.0.0.1:1"), Arc::new(|| 0))
        .await
        .err();
    assert!(
        silent
            .expect("nobody is there")
            .to_string()
            .contains("http://127.0.0.1:1")
    );
    let gateway = Gateway::open(write(&chain.url), Arc::new(|| 0))
        .await
        .expect("opens");
    assert!(gateway.takes_coupons && dir.path().join("key").exists());
    gateway
        .start()
        .await
        .expect("starts")
        .shutdown()
        .await
        .expect("stops");
}

#[tokio::test]
async fn coupon_lets_a_second_platform_in_once() {
    let market = Market::new().await;
    let listing = market.offer().await;
    let fed = keccak256("federation");
    let resource = market.sensors[1].id;
    let (issuer, holder) = (&market.seller, &market.buyer);
    issuer
        .create_federation(fed, keccak256("name"), false, &[org(BUYER)])
        .await
        .expect("makes");
    holder.join_federation(fed).await.expect("joins");
    assert!(holder.is_member(fed, org(BUYER)).await.expect("answers"));
    issuer
        .share_resources(fed, &[resource], true)
        .await
        .expect("shares");

    let coupon = Coupon {
        issuer: org(SELLER),
        fed,
        kind: CouponKind::Discrete,
        val: 1,
        number: 42,
        issued_at: GENESIS_TIME,
        holder: org(BUYER),
        scope: B256::ZERO,
    };
    let state = async || holder.coupon_status(&coupon).await.expect("answers").state;
    assert_eq!(state().await, CouponState::NotRegistered);
    let signature = issuer.sign_coupon(&coupon).expect("signs");
    holder
        .register_coupon(&coupon, signature)
        .await
        .expect("registers");
    assert_eq!(state().await, CouponState::Valid);
    assert_eq!(
        holder.coupon_holder(coupon.key()).await.expect("answers"),
        org(BUYER)
    );

    let gateway = market.open_gateway(listing).await;
    let door = buyer_of(&gateway);
    let uses = holder.coupon_uses(coupon.key()).await.expect("answers") + 1;
    let used = holder
        .sign_use(UseRequest {
            key: coupon.key(),
            resource,
            uses,
        })
        .expect("signs");
    let forged = market.seller.for_account(account(STRANGER));
    let forged = forged
        .sign_use(UseRequest {
            key: coupon.key(),
            resource,
            uses,
        })
        .expect("signs");
    let refused = door
        .open_session_with_coupon(&coupon, resource, forged)
        .await
        .expect_err("not the holder");
    assert!(refused.to_string().contains("BadSignature"), "{refused}");

    let session = door
        .open_session_with_coupon(&coupon, resource, used.clone())
        .await
        .expect("opens");
    let delivery = door
        .fetch_verified(holder, &session, Target::Resource(resource))
        .await
        .expect("reads");
    assert_eq!(delivery.readings.len(), 40);
    assert_eq!(state().await, CouponState::Consumed);
    let again = door.open_session_with_coupon(&coupon, resource, used).await;
    assert!(matches!(
        again,
        Err(BuyerError::Refused { status: 403, .. })
    ));
    gateway.shutdown().await.expect("stops");
}

#[tokio::test]
async fn index_finds_what_a_look_at_every_listing_finds() {
    let market = Market::new().await;
    let seller = &market.seller;
    let (warm, damp) = (&market.sensors[0], &market.sensors[1]);
    let mut index = SearchIndex::default();
    // Between the steps the index is kept up to date, stored or made anew.
    for step in 0_u64..6 {
        let sensor = if step.is_multiple_of(2) { warm } else { damp };
        let price = u128::from(10 * (step % 4)) * ONE_TOKEN;
        let terms = ListingTerms::stream(sensor.id, sensor.topic, price);
        let (listing, _) = seller.list(&terms).await.expect("lists");
        match step {
            2 => {
                let paused = seller.set_listing(listing, 2, B256::ZERO, B256::ZERO).await;
                paused.expect("pauses");
            }
            3 => {
                seller
                    .set_price(listing, 3 * ONE_TOKEN)
                    .await
                    .expect("reprices");
            }
            _ => {}
        }
        same_is_found(&market, &mut index).await;
        match step {
            1 => index = SearchIndex::default(),
            4 => {
                let path = market._dir.path().join("index.json");
                index.save(&path).expect("is written");
                index = SearchIndex::load(&path).expect("is read");
            }
            _ => {}
        }
    }
    let order = market.buy(2).await;
    let proof = B256::repeat_byte(1);
    seller.deliver(order, proof).await.expect("delivers");
    market.buyer.confirm(order).await.expect("confirms");
    market
        .buyer
        .rate(order, 9_000, B256::ZERO)
        .await
        .expect("rates");
    same_is_found(&market, &mut index).await;
}

/// Whatever is asked, the index and a look at each listing on the chain answer the same.
async fn same_is_found(market: &Market, index: &mut SearchIndex) {
    market.buyer.update_index(index).await.expect("follows");
    let topics = [None, Some(market.sensors[0].topic), Some(B256::ZERO)];
    let orgs = [None, Some(org(SELLER)), Some(org(BUYER))];
    let prices = [None, Some(0), Some(10 * ONE_TOKEN)];
    for (topic, org, max_unit_price) in topics
        .iter()
        .flat_map(|topic| orgs.iter().map(move |org| (*topic, *org)))
        .flat_map(|(topic, org)| prices.iter().map(move |price| (topic, org, *price)))
    {
        for include_closed in [false, true] {
            let filter = SearchFilter {
                topic,
                org,
                max_unit_price,
                include_closed,
                ..SearchFilter::default()
            };
            let query = IndexQuery {
                topic,
                org,
                max_unit_price,
                include_closed,
                ..IndexQuery::default()
            };
            let looked = market.buyer.search(&filter).await.expect("searches");
            let mut looked: Vec<_> = looked.iter().map(|found| found.listing.id).collect();
            let mut indexed = index.search(&query);
            looked.sort_unstable();
            indexed.sort_unstable();
            assert_eq!(indexed, looked, "{filter:?}");
        }
    }
}

#[tokio::test]
async fn example_reads_what_was_and_what_comes() {
    let market = Market::new().await;
    let listing = market.offer().await;
    market.buy(listing).await;
    let gateway = market.open_gateway(listing).await;
    let (sender, mut taken) = tokio::sync::mpsc::channel(1_000);
    let (node, door) = (
        market.chain.url.clone(),
        format!("http://{}", gateway.address()),
    );
    let follower = tokio::spawn(async move {
        let take = |found: &VerifiedReading| sender.try_send(found.id).expect("is read");
        let buyer = account(BUYER);
        live_and_historic::follow((&node, &door, listing), &buyer, take).await
    });
    let per_round = market.sensors.len() * usize::try_from(READINGS).expect("is small");
    let mut seen = std::collections::BTreeSet::new();
    for round in 1..=3 {
        while seen.len() < round * per_round {
            let next = tokio::time::timeout(std::time::Duration::from_secs(60), taken.recv());
            let id: RecordId = next.await.expect("comes").expect("the example goes on");
            assert!(
                seen.insert((id.source, id.seq, id.index)),
                "{id:?} came twice"
            );
        }
        if round < 3 {
            market.anchor_readings().await;
        }
    }
    assert!(taken.try_recv().is_err(), "nothing more");
    follower.abort();
}

#[test]
fn example_is_as_short_as_promised() {
    let source = include_str!("../examples/live_and_historic.rs");
    let code = source.lines().filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("//")
    });
    assert!(code.count() < 45, "an example is read, not studied");
}
