//! The story, step by step. Seller, buyer, a second platform and a stranger are
//! accounts of the test mnemonic; each is the admin of its own organisation.

use super::{
    DemoArgs,
    network::DemoNetwork,
    seller::{self, Device, SellerFiles},
    stage::{Done, Stage},
};
use crate::{
    commands::{federation, readings::sample_host, since_epoch},
    errors::{Failure, Outcome},
    signer::connect,
    values::{money, points_or_unknown},
};
use alloy_primitives::{B256, U256, keccak256};
use medina_sdk::{
    client::{
        BuyerError, Coupon, CouponKind, CouponState, GatewayBuyer, ListingTerms, MarketClient,
        OrderState, Purchase, Score, SearchFilter, Target, UseRequest,
    },
    readings::Reading,
    wallet::{Mnemonic, TEST_MNEMONIC},
};
use std::path::Path;

/// Places of the parties in the test mnemonic.
const SELLER: u32 = 1;
const BUYER: u32 = 2;
const PLATFORM: u32 = 3;
const STRANGER: u32 = 4;

/// The validator that is killed. The parties speak to node 0.
const VICTIM: usize = 3;

/// The buyer's rating, basis points.
const RATING: u16 = 9_500;

/// How long the permit of the purchase holds.
const PERMIT_SECONDS: u64 = 3600;

/// HTTP status of a refusal.
const FORBIDDEN: u16 = 403;

/// Connections of the four parties.
struct Parties {
    seller: MarketClient,
    buyer: MarketClient,
    platform: MarketClient,
    stranger: MarketClient,
}

/// Everything that later steps need of earlier ones.
struct Market {
    parties: Parties,
    devices: Vec<Device>,
    files: SellerFiles,
    gateway: GatewayBuyer,
    proof: B256,
}

/// Tells everything; the network is handed out so that it can be stopped
/// whatever happens.
pub(super) async fn tell(
    stage: &mut Stage,
    network: &mut Option<DemoNetwork>,
    args: &DemoArgs,
    folder: &Path,
) -> Outcome {
    let devices = read(stage, args).await?;
    let network = network.insert(DemoNetwork::start(folder)?);
    let parties = open(stage, network).await?;
    let market = supply(stage, network, parties, devices, folder).await?;
    let listing = offer(stage, network, &market, args.price).await?;
    trade(stage, network, &market, listing).await?;
    barter(stage, network, &market).await?;
    agree(stage, network).await
}

async fn read(stage: &mut Stage, args: &DemoArgs) -> Outcome<Vec<Device>> {
    let loaded = stage
        .step("read the data", async {
            let loaded = if args.readings.is_host() {
                sample_host().await
            } else {
                args.readings.load()?
            };
            if loaded.readings.is_empty() {
                return Err(Failure::new("no readings in the file").hint("every value is missing"));
            }
            refuse_future(&loaded.readings)?;
            let note = format!(
                "{} values of {} properties",
                loaded.readings.len(),
                loaded.properties.len()
            );
            Ok(Done::quiet(loaded, note))
        })
        .await?;
    for note in &loaded.notes {
        stage.say(format!("       {note}"));
    }
    let readings = &mut stage.report.readings;
    readings.rows = loaded.rows;
    readings.accepted = loaded.readings.len() as u64;
    readings.skipped = loaded.skipped;
    seller::devices(loaded.readings)
}

/// The chain anchors nothing that is yet to happen.
fn refuse_future(readings: &[Reading]) -> Outcome {
    let now = since_epoch().as_secs();
    let future = readings
        .iter()
        .filter(|reading| reading.time_seconds() > now)
        .count();
    if future == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{future} readings are later than this machine's clock (Unix second {now})"
    ))
    .hint("is --time the right column, and is it UTC?"))
}

async fn open(stage: &mut Stage, network: &mut DemoNetwork) -> Outcome<Parties> {
    stage
        .step("start four validators", async {
            network.wait_until_complete().await?;
            let mnemonic = Mnemonic::parse(TEST_MNEMONIC)?;
            let client = connect(&network.rpc_url()).await?;
            let party = |index| Ok::<_, Failure>(client.for_account(mnemonic.account(index)?));
            let parties = Parties {
                seller: party(SELLER)?,
                buyer: party(BUYER)?,
                platform: party(PLATFORM)?,
                stranger: party(STRANGER)?,
            };
            let note = format!(
                "four processes, chain {}, JSON-RPC at {}",
                client.chain_id(),
                network.rpc_url()
            );
            Ok(Done::quiet(parties, note))
        })
        .await
}

/// Devices and their data come on chain.
async fn supply(
    stage: &mut Stage,
    network: &DemoNetwork,
    parties: Parties,
    devices: Vec<Device>,
    folder: &Path,
) -> Outcome<Market> {
    let seller = &parties.seller;
    stage
        .step("register sensors", async {
            let receipts = seller::register(seller, &devices).await?;
            let names: Vec<_> = devices
                .iter()
                .map(|device| device.property.as_str())
                .collect();
            let note = format!(
                "{} sensors, each with its own key: {}",
                devices.len(),
                names.join(", ")
            );
            Ok(Done::sent((), &receipts, note))
        })
        .await?;
    let files = SellerFiles::new(folder.join("seller"))?;
    let anchored = stage
        .step("anchor the readings", async {
            let anchored = seller::anchor(seller, &devices, &files).await?;
            let note = format!(
                "{} readings signed and sealed in {} batches",
                anchored.readings, anchored.batches
            );
            let receipts = anchored.receipts.clone();
            Ok(Done::sent(anchored, &receipts, note))
        })
        .await?;
    stage.report.readings.anchored = anchored.readings;
    let gateway = GatewayBuyer::new(&format!("http://127.0.0.1:{}", network.gateway_port()))?;
    Ok(Market {
        parties,
        devices,
        files,
        gateway,
        proof: anchored.proof,
    })
}

/// The seller lists the data and opens the gateway; the buyer finds them.
async fn offer(
    stage: &mut Stage,
    network: &mut DemoNetwork,
    market: &Market,
    price: u128,
) -> Outcome<u64> {
    let Parties {
        seller,
        buyer,
        stranger,
        ..
    } = &market.parties;
    let subject = first(&market.devices)?;
    let (id, topic) = (subject.sensor.id, subject.sensor.topic);
    stage.report.payment.price = U256::from(price);
    let listing = stage
        .step("list the data", async {
            let (listing, receipt) = seller.list(&ListingTerms::stream(id, topic, price)).await?;
            Ok(Done::sent(
                listing,
                [&receipt],
                format!("listing {listing} for {}", money(price)),
            ))
        })
        .await?;
    stage
        .step("open the gateway", async {
            let sources: Vec<_> = market
                .devices
                .iter()
                .map(|device| device.sensor.id)
                .collect();
            let (rpc, port) = (network.rpc_url(), network.gateway_port());
            let config = market
                .files
                .write_config(seller, &rpc, port, listing, &sources)?;
            network.start_gateway(&config).await?;
            let served = market.gateway.listings().await?.listings.len();
            Ok(Done::quiet(
                (),
                format!("port {port}, {served} listing, readings encrypted at rest"),
            ))
        })
        .await?;
    stage
        .step("search", async {
            let filter = SearchFilter {
                topic: Some(topic),
                max_unit_price: Some(price),
                ..SearchFilter::default()
            };
            let found = buyer.search(&filter).await?;
            if !found.iter().any(|hit| hit.listing.id == listing) {
                return Err(Failure::new(format!(
                    "listing {listing} is not among the {} found",
                    found.len()
                )));
            }
            Ok(Done::quiet(
                (),
                format!("{} found by property {:?}", found.len(), subject.property),
            ))
        })
        .await?;
    stage
        .step("stranger is refused", async {
            let refused = refused_by_gateway(
                market
                    .gateway
                    .open_session(stranger.account()?, listing)
                    .await,
            )?;
            Ok(Done::quiet((), refused))
        })
        .await?;
    Ok(listing)
}

fn first(devices: &[Device]) -> Outcome<&Device> {
    devices
        .first()
        .ok_or_else(|| Failure::new("no device observed anything"))
}

/// The gateway's reason to refuse; getting in is the failure here.
fn refused_by_gateway<T>(answer: Result<T, BuyerError>) -> Outcome<String> {
    match answer {
        Err(BuyerError::Refused {
            status: FORBIDDEN,
            error,
            ..
        }) => Ok(error),
        Err(other) => Err(other.into()),
        Ok(_) => Err(Failure::new("the gateway let somebody in without access")),
    }
}

/// Money against data, while a validator dies and comes back.
async fn trade(
    stage: &mut Stage,
    network: &mut DemoNetwork,
    market: &Market,
    listing: u64,
) -> Outcome {
    let Parties { seller, buyer, .. } = &market.parties;
    let (seller_address, buyer_address) = (seller.account()?.address(), buyer.account()?.address());
    let seller_org = seller.own_org().await?;
    stage.report.payment.buyer_before = buyer.balance(buyer_address).await?;
    stage.report.payment.seller_before = seller.balance(seller_address).await?;
    stage.report.trust.before = Some(buyer.platform_reputation(seller_org).await?);

    let resource = first(&market.devices)?.sensor.id;
    stage.report.trust.sensor_before = Some(buyer.resource_trust(resource).await?);

    let order = buy(stage, buyer, listing).await?;
    stage
        .step("kill a validator", async {
            network.kill_node(VICTIM).await?;
            Ok(Done::quiet((), format!("SIGKILL for node-{VICTIM}")))
        })
        .await?;
    stage
        .step("deliver", async {
            let receipt = seller.deliver(order, market.proof).await?;
            Ok(Done::sent((), [&receipt], "with three of four validators"))
        })
        .await?;
    receive(stage, market, listing).await?;
    stage
        .step("confirm", async {
            let receipt = buyer.confirm(order).await?;
            let state = buyer.order(order).await?.state;
            if state != Ok(OrderState::Completed) {
                return Err(Failure::new(format!(
                    "the order is {state:?}, not completed"
                )));
            }
            Ok(Done::sent((), [&receipt], "the price leaves escrow"))
        })
        .await?;
    stage.report.payment.buyer_after = buyer.balance(buyer_address).await?;
    stage.report.payment.seller_after = pay_out(stage, seller).await?;
    check_payment(stage)?;
    rate(stage, market, order, seller_org).await?;
    stage
        .step("bring the validator back", async {
            network.start_node(VICTIM)?;
            network.wait_until_connected(VICTIM, 2).await?;
            Ok(Done::quiet(
                (),
                format!("node-{VICTIM} runs again and catches up"),
            ))
        })
        .await
}

async fn buy(stage: &mut Stage, buyer: &MarketClient, listing: u64) -> Outcome<U256> {
    let before = stage.report.payment.buyer_before;
    let price = stage.report.payment.price;
    stage
        .step("buy", async {
            let purchase = Purchase {
                listing,
                units: 1,
                user: None,
                max_amount: None,
                purpose: keccak256("demo"),
                deadline: since_epoch().as_secs() + PERMIT_SECONDS,
            };
            let (order, receipt) = buyer.buy(&purchase).await?;
            let address = buyer.account()?.address();
            let paid = before.saturating_sub(buyer.balance(address).await?);
            if paid != price {
                return Err(Failure::new(format!(
                    "{} left the buyer's account, not the price",
                    money(paid)
                )));
            }
            if !buyer.has_access(listing, address).await? {
                return Err(Failure::new("the buyer paid and has no access"));
            }
            Ok(Done::sent(
                order,
                [&receipt],
                format!("order {order}, {} in escrow", money(price)),
            ))
        })
        .await
}

async fn receive(stage: &mut Stage, market: &Market, listing: u64) -> Outcome {
    let buyer = &market.parties.buyer;
    let anchored = stage.report.readings.anchored;
    let verified = stage
        .step("receive and prove the readings", async {
            let session = market
                .gateway
                .open_session(buyer.account()?, listing)
                .await?;
            let delivery = market
                .gateway
                .fetch_verified(buyer, &session, Target::Listing(listing))
                .await?;
            let verified = delivery.readings.len() as u64;
            if verified != anchored {
                return Err(Failure::new(format!(
                    "{verified} readings were received and proven of {anchored}"
                )));
            }
            let note = format!(
                "{verified} readings lead to the roots of {} batches",
                delivery.batches
            );
            Ok(Done::quiet(verified, note))
        })
        .await?;
    stage.report.readings.verified = verified;
    Ok(())
}

async fn pay_out(stage: &mut Stage, seller: &MarketClient) -> Outcome<U256> {
    let before = stage.report.payment.seller_before;
    stage
        .step("pay the seller", async {
            let address = seller.account()?.address();
            let credit = seller.credits(address).await?;
            let receipt = seller.withdraw(address).await?;
            let balance = seller.balance(address).await?;
            if balance != before + U256::from(credit) {
                return Err(Failure::new(format!(
                    "the seller was owed {} and has {}",
                    money(credit),
                    money(balance)
                )));
            }
            Ok(Done::sent(
                balance,
                [&receipt],
                format!("{} after the market's fee", money(credit)),
            ))
        })
        .await
}

/// The seller earned what the buyer paid, less the fee of at most 5 %.
fn check_payment(stage: &Stage) -> Outcome {
    let payment = &stage.report.payment;
    let paid = payment.buyer_before.saturating_sub(payment.buyer_after);
    let earned = payment.seller_after.saturating_sub(payment.seller_before);
    let least = paid - paid / U256::from(20);
    if paid != payment.price || earned > paid || earned < least {
        let (paid, earned) = (money(paid), money(earned));
        return Err(Failure::new(format!(
            "the buyer paid {paid} and the seller earned {earned}"
        )));
    }
    Ok(())
}

async fn rate(stage: &mut Stage, market: &Market, order: U256, seller_org: B256) -> Outcome {
    let buyer = &market.parties.buyer;
    let resource = first(&market.devices)?.sensor.id;
    let (before, sensor_before) = (stage.report.trust.before, stage.report.trust.sensor_before);
    let (after, sensor_after) = stage
        .step("rate the seller", async {
            let rated = buyer.rate(order, RATING, keccak256("as promised")).await?;
            let after = buyer.platform_reputation(seller_org).await?;
            if Some(after) == before {
                return Err(Failure::new("the rating changed nothing"));
            }
            // Counts what the sensor has anchored as time it was up.
            let refreshed = buyer.refresh_trust(resource).await?;
            let sensor_after = buyer.resource_trust(resource).await?;
            let changed = |from: Option<Score>, to: Score| {
                let from = points_or_unknown(from.and_then(|score| score.known()));
                format!("{from} -> {}", points_or_unknown(to.known()))
            };
            let note = format!(
                "trust in seller {}, in sensor {}",
                changed(before, after),
                changed(sensor_before, sensor_after)
            );
            Ok(Done::sent(
                (after, sensor_after),
                [&rated, &refreshed],
                note,
            ))
        })
        .await?;
    stage.report.trust.after = Some(after);
    stage.report.trust.sensor_after = Some(sensor_after);
    Ok(())
}

/// A second platform reads against a coupon instead of money.
async fn barter(stage: &mut Stage, network: &DemoNetwork, market: &Market) -> Outcome {
    let Parties {
        seller, platform, ..
    } = &market.parties;
    let resource = first(&market.devices)?.sensor.id;
    let fed = keccak256(format!("demo federation {}", network.rpc_url()));
    stage
        .step("form a federation", async {
            let created = federation::create(seller, fed, vec![platform.own_org().await?]).await?;
            let accepted = federation::accept(platform, fed).await?;
            let shared = federation::share(seller, fed, vec![resource], true).await?;
            Ok(Done::sent(
                (),
                [&created, &accepted, &shared],
                "seller and second platform; one sensor bartered",
            ))
        })
        .await?;
    let coupon = issue(stage, market, fed, resource).await?;
    consume(stage, market, &coupon, resource).await?;
    refuse_second_use(stage, market, &coupon, resource).await
}

async fn issue(stage: &mut Stage, market: &Market, fed: B256, resource: B256) -> Outcome<Coupon> {
    let Parties {
        seller, platform, ..
    } = &market.parties;
    let coupon = stage
        .step("issue a coupon", async {
            let coupon = Coupon {
                issuer: seller.own_org().await?,
                fed,
                kind: CouponKind::Discrete,
                val: 1,
                number: 1,
                issued_at: since_epoch().as_secs(),
                holder: platform.own_org().await?,
                scope: resource,
            };
            let signature = seller.sign_coupon(&coupon)?;
            let receipt = platform.register_coupon(&coupon, signature).await?;
            let state = platform.coupon_status(&coupon).await?.state;
            if state != CouponState::Valid {
                return Err(Failure::new(format!("the coupon is {state:?}, not valid")));
            }
            Ok(Done::sent(
                coupon,
                [&receipt],
                "one use, checked by its holder: valid",
            ))
        })
        .await?;
    stage.report.coupon.issued = true;
    Ok(coupon)
}

fn use_signature(
    platform: &MarketClient,
    coupon: &Coupon,
    resource: B256,
    uses: u64,
) -> Outcome<alloy_primitives::Bytes> {
    Ok(platform.sign_use(UseRequest {
        key: coupon.key(),
        resource,
        uses,
    })?)
}

async fn consume(stage: &mut Stage, market: &Market, coupon: &Coupon, resource: B256) -> Outcome {
    let platform = &market.parties.platform;
    stage
        .step("use the coupon", async {
            let signature = use_signature(platform, coupon, resource, 1)?;
            let session = market
                .gateway
                .open_session_with_coupon(coupon, resource, signature)
                .await?;
            let target = Target::Resource(resource);
            let delivery = market
                .gateway
                .fetch_verified(platform, &session, target)
                .await?;
            let state = platform.coupon_status(coupon).await?.state;
            if delivery.readings.is_empty() || state != CouponState::Consumed {
                return Err(Failure::new(format!(
                    "{} readings, coupon {state:?}",
                    delivery.readings.len()
                )));
            }
            let note = format!(
                "the gateway consumed it and gave {} proven readings",
                delivery.readings.len()
            );
            Ok(Done::quiet((), note))
        })
        .await?;
    stage.report.coupon.consumed = true;
    Ok(())
}

async fn refuse_second_use(
    stage: &mut Stage,
    market: &Market,
    coupon: &Coupon,
    resource: B256,
) -> Outcome {
    let Parties {
        seller, platform, ..
    } = &market.parties;
    stage
        .step("second use is refused", async {
            let signature = use_signature(platform, coupon, resource, 2)?;
            let again = market
                .gateway
                .open_session_with_coupon(coupon, resource, signature.clone())
                .await;
            let by_gateway = refused_by_gateway(again)?;
            match seller
                .consume_coupon(coupon.key(), resource, signature)
                .await
            {
                Err(error) if error.is_refusal("NotValid") => Ok(Done::quiet(
                    (),
                    format!("gateway: {by_gateway}; contract: NotValid"),
                )),
                Err(other) => Err(other.into()),
                Ok(_) => Err(Failure::new("the contract took the coupon twice")),
            }
        })
        .await?;
    stage.report.coupon.second_use_refused = true;
    Ok(())
}

/// All four nodes report the same chain and state.
async fn agree(stage: &mut Stage, network: &mut DemoNetwork) -> Outcome {
    let nodes = stage
        .step("all nodes agree", async {
            let nodes = network.wait_until_equal().await?;
            let height = nodes.first().map_or(0, |node| node.height);
            Ok(Done::quiet(
                nodes,
                format!("same head hash and state root at height {height}"),
            ))
        })
        .await?;
    stage.report.nodes = nodes;
    Ok(())
}
