//! The story, step by step. Seller, buyer, a second platform and a stranger are
//! accounts of the test mnemonic; each is the admin of its own organisation. The
//! sale is in `trade`, the coupon in `barter`.

use super::{
    DemoArgs,
    barter::barter,
    network::DemoNetwork,
    seller::{self, Device, SellerFiles},
    stage::{Done, Stage},
    trade::trade,
};
use crate::{
    commands::{readings::sample_host, since_epoch},
    errors::{Failure, Outcome},
    signer::connect,
    values::money,
};
use alloy_primitives::{B256, U256};
use medina_sdk::{
    client::{BuyerError, GatewayBuyer, ListingTerms, MarketClient, SearchFilter},
    readings::Reading,
    wallet::{Mnemonic, TEST_MNEMONIC},
};
use std::path::Path;

/// Places of the parties in the test mnemonic.
const SELLER: u32 = 1;
const BUYER: u32 = 2;
const PLATFORM: u32 = 3;
const STRANGER: u32 = 4;

/// HTTP status of a refusal.
const FORBIDDEN: u16 = 403;

/// Connections of the four parties.
pub(super) struct Parties {
    pub(super) seller: MarketClient,
    pub(super) buyer: MarketClient,
    pub(super) platform: MarketClient,
    pub(super) stranger: MarketClient,
}

/// Everything that later steps need of earlier ones.
pub(super) struct Market {
    pub(super) parties: Parties,
    pub(super) devices: Vec<Device>,
    files: SellerFiles,
    pub(super) gateway: GatewayBuyer,
    pub(super) proof: B256,
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

pub(super) fn first(devices: &[Device]) -> Outcome<&Device> {
    devices
        .first()
        .ok_or_else(|| Failure::new("no device observed anything"))
}

/// The gateway's reason to refuse; getting in is the failure here.
pub(super) fn refused_by_gateway<T>(answer: Result<T, BuyerError>) -> Outcome<String> {
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
