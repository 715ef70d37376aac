//! `medina market`: sell and buy data.

mod listings;
mod orders;
mod vouchers;

use crate::{
    args::RpcArgs,
    commands::chain_time,
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::{Output, number, pairs, table},
    signer::{SenderArgs, ViewerArgs, connect},
    values,
};
use alloy_primitives::{Address, B256, U256};
use clap::{Args, Subcommand};
use medina_sdk::{
    client::{
        GatewayBuyer, IndexQuery, ListingKind, ListingTerms, MarketClient, MarketListing,
        MarketOrder, Price, Purchase, Receipt, SearchIndex, Target, VerifiedReading,
    },
    place::{cells_around, parse_place},
};
use serde_json::{Value, json};
use std::{io::Write as _, path::PathBuf};

/// How long the permit of a purchase holds.
const PERMIT_SECONDS: u64 = 3600;

#[derive(Debug, Subcommand)]
pub(crate) enum MarketCommand {
    /// Offer data
    List(ListArgs),
    /// Find offers
    Search(SearchArgs),
    /// Buy: the price goes into escrow
    Buy(BuyArgs),
    /// Fetch what was bought from the seller's gateway and check every reading
    Fetch(FetchArgs),
    /// Seller: say that the data can be read
    Deliver(DeliverArgs),
    /// Buyer: accept, so that the seller is credited
    Confirm(OrderArgs),
    /// Seller: take the price after the buyer's time to confirm
    Claim(OrderArgs),
    /// Take the price back where nothing was delivered in time, or end a subscription: the unused
    /// part comes back
    Cancel(OrderArgs),
    /// Buyer: prolong a subscription
    Renew(orders::RenewArgs),
    /// Buyer: object to a delivery, inside the time to confirm
    Dispute(orders::DisputeArgs),
    /// Arbiter: decide a dispute
    Resolve(orders::ResolveArgs),
    /// End a dispute that nobody decided in time
    Expire(OrderArgs),
    /// Make an order the one that access is judged by
    Use(OrderArgs),
    /// Show one order
    Order(orders::ShowArgs),
    /// Buyer by the unit: sign how much was received in all
    Voucher(vouchers::VoucherArgs),
    /// Seller by the unit: take the money for what a voucher says
    ClaimUnits(vouchers::ClaimArgs),
    /// Sign a purchase for somebody else to bring
    Intent(vouchers::IntentArgs),
    /// Bring a purchase that its buyer has signed
    BuyFor(vouchers::BuyForArgs),
    /// Seller: pause, wake or retire an offer
    Set(listings::SetArgs),
    /// Seller: change the price; open orders keep theirs
    Reprice(listings::RepriceArgs),
    /// Moderator: flag an offer
    Flag(listings::FlagArgs),
    /// Moderator: lift a flag
    Unflag(listings::FlagArgs),
    /// Show one offer
    Show(listings::ShowArgs),
    /// Seller: show what offers have earned
    Income(listings::IncomeArgs),
    /// Buyer: rate a closed order
    Rate(RateArgs),
    /// Show orders of an account or a listing
    Orders(OrdersArgs),
    /// Pay out what the market owes
    Withdraw(WithdrawArgs),
    /// Show tokens and credit of an account
    Balance(BalanceArgs),
}

#[derive(Debug, Args)]
#[group(id = "subject", required = true, multiple = false, args = ["resource", "dataset", "service", "compute"])]
pub(crate) struct ListArgs {
    /// Sell the readings of this sensor: id, complete or short
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// Sell the batch with this anchored root
    #[arg(long, value_name = "ROOT")]
    dataset: Option<B256>,
    /// Sell what this service does on request: id, complete or short
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// Let these algorithms visit the data: the list, a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::hashed)]
    compute: Option<B256>,
    /// What is observed; buyers search for it
    #[arg(long, value_name = "NAME", value_parser = values::name)]
    property: String,
    /// Price in tokens; 0 is free
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    price: u128,
    /// What the price is for: `unit` for every reading received, or a time such as 30d or month for
    /// a subscription [default: once for all]
    #[arg(long, value_name = "unit|TIME", value_parser = per)]
    per: Option<Per>,
    /// How long the buyer may read, such as 30d [default: without end; by the unit 365d]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    access: Option<u32>,
    /// Time to deliver
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "1d")]
    deliver_in: u32,
    /// Time to confirm
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "1d")]
    confirm_in: u32,
    /// Least reputation of a buyer's organisation, 0 to 100
    #[arg(long, value_name = "POINTS", value_parser = values::percent, default_value = "0")]
    min_reputation: u16,
    /// Only for this organisation or federation
    #[arg(long, value_name = "ID")]
    audience: Option<String>,
    /// Only with the consent of this user (or for this sensor)
    #[arg(long, value_name = "ID")]
    consent: Option<String>,
    /// Terms of use (ODRL): a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::hashed, default_value_t = B256::ZERO, hide_default_value = true)]
    policy: B256,
    /// Deliver under seal (`medina sealed`): a wrong chunk gives the money back
    #[arg(long, requires = "dataset")]
    sealed: bool,
    /// Who is credited [default: the sender]
    #[arg(long, value_name = "ADDRESS")]
    payee: Option<Address>,
    /// About the offer: a text, @FILE or hash; only the hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document, default_value_t = B256::ZERO, hide_default_value = true)]
    meta: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

/// What a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Unit,
    Period(u32),
}

fn per(text: &str) -> Result<Per, String> {
    match text {
        "unit" | "reading" => Ok(Per::Unit),
        "hour" | "day" | "week" | "month" | "year" => per(&format!("1 {text}")),
        time => match values::duration(time)? {
            0 => Err("a period has a length".to_owned()),
            seconds => Ok(Per::Period(seconds)),
        },
    }
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// What is observed
    #[arg(long, value_name = "NAME", value_parser = values::name)]
    property: Option<String>,
    /// Around this place, as LATITUDE,LONGITUDE
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    near: Option<String>,
    /// How far around it, in kilometres
    #[arg(long, value_name = "KM", value_parser = values::kilometres, default_value_t = 10.0, requires = "near")]
    within: f64,
    /// What is sold
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The seller's organisation: id, name, or an account of it
    #[arg(long)]
    org: Option<String>,
    /// The sensor (id, complete or short) or root
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// The most it may cost
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    max_price: Option<u128>,
    /// The least trust, 0 to 100
    #[arg(long, value_name = "POINTS", value_parser = values::percent)]
    min_trust: Option<u16>,
    /// The least reputation of the seller, 0 to 100
    #[arg(long, value_name = "POINTS", value_parser = values::percent)]
    min_reputation: Option<u16>,
    /// Paused and retired offers as well
    #[arg(long)]
    all: bool,
    /// Keep the search index in this file, so that the next search asks for what is new only
    #[arg(long, value_name = "FILE", env = "MEDINA_INDEX")]
    index: Option<PathBuf>,
    #[command(flatten)]
    rpc: RpcArgs,
}

/// What is sold.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Stream,
    Dataset,
    Service,
    Compute,
}

impl From<Kind> for ListingKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Stream => Self::Stream,
            Kind::Dataset => Self::Dataset,
            Kind::Service => Self::Service,
            Kind::Compute => Self::Compute,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BuyArgs {
    /// The listing's number
    listing: u64,
    /// How many units (readings, periods or copies)
    #[arg(long, default_value_t = 1)]
    units: u64,
    /// The most it may cost [default: today's price]
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    max: Option<u128>,
    /// Who may read, if not the buyer
    #[arg(long, value_name = "ADDRESS")]
    user: Option<Address>,
    /// What the data are for; only its hash is stored
    #[arg(long, value_name = "TEXT", value_parser = values::hashed)]
    purpose: Option<B256>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// The listing's number
    listing: u64,
    /// The seller's gateway
    #[arg(long, value_name = "URL")]
    gateway: String,
    /// File for the readings, one JSON record per line
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeliverArgs {
    /// The order's number
    order: U256,
    /// What the delivery answers for, such as an anchored root
    #[arg(long, value_name = "HASH")]
    proof: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// The order's number
    order: U256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RateArgs {
    /// The order's number
    order: U256,
    /// 0 to 100
    #[arg(long, value_name = "POINTS", value_parser = values::percent)]
    score: u16,
    /// Only its hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    comment: Option<B256>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OrdersArgs {
    /// Orders of this listing [default: those that --account pays for or reads by]
    #[arg(long, value_name = "NUMBER")]
    listing: Option<u64>,
    #[command(flatten)]
    viewer: ViewerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// Who gets it [default: the account itself]
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Address>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BalanceArgs {
    /// The account [default: the one that would sign]
    address: Option<Address>,
    #[command(flatten)]
    viewer: ViewerArgs,
}

pub(crate) async fn run(command: MarketCommand, output: Output) -> Outcome {
    match command {
        MarketCommand::List(args) => list(args, output).await,
        MarketCommand::Search(args) => search(args, output).await,
        MarketCommand::Buy(args) => buy(args, output).await,
        MarketCommand::Fetch(args) => fetch(args, output).await,
        MarketCommand::Deliver(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.deliver(args.order, args.proof).await?;
            show_order(&client, args.order, &receipt, output).await
        }
        MarketCommand::Confirm(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.confirm(args.order).await?;
            show_order(&client, args.order, &receipt, output).await
        }
        MarketCommand::Claim(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.claim(args.order).await?;
            show_order(&client, args.order, &receipt, output).await
        }
        MarketCommand::Cancel(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.cancel(args.order).await?;
            show_order(&client, args.order, &receipt, output).await
        }
        MarketCommand::Expire(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.expire_dispute(args.order).await?;
            show_order(&client, args.order, &receipt, output).await
        }
        MarketCommand::Use(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.use_order(args.order).await?;
            show_order(&client, args.order, &receipt, output).await
        }
        MarketCommand::Renew(args) => orders::renew(&args, output).await,
        MarketCommand::Dispute(args) => orders::dispute(&args, output).await,
        MarketCommand::Resolve(args) => orders::resolve(&args, output).await,
        MarketCommand::Order(args) => orders::show_one(&args, output).await,
        MarketCommand::Voucher(args) => vouchers::voucher(&args, output).await,
        MarketCommand::ClaimUnits(args) => vouchers::claim(&args, output).await,
        MarketCommand::Intent(args) => vouchers::intent(&args, output).await,
        MarketCommand::BuyFor(args) => vouchers::buy_for(&args, output).await,
        MarketCommand::Set(args) => listings::set(&args, output).await,
        MarketCommand::Reprice(args) => listings::reprice(&args, output).await,
        MarketCommand::Flag(args) => listings::flag(&args, true, output).await,
        MarketCommand::Unflag(args) => listings::flag(&args, false, output).await,
        MarketCommand::Show(args) => listings::show_one(&args, output).await,
        MarketCommand::Income(args) => listings::income(&args, output).await,
        MarketCommand::Rate(args) => rate(args, output).await,
        MarketCommand::Orders(args) => orders(args, output).await,
        MarketCommand::Withdraw(args) => withdraw(args, output).await,
        MarketCommand::Balance(args) => balance(args, output).await,
    }
}

/// Access by the unit without a time given: a year.
const UNIT_ACCESS_SECONDS: u32 = 365 * 86_400;

async fn terms(client: &MarketClient, args: &ListArgs) -> Outcome<ListingTerms> {
    let topic = values::topic(&args.property);
    let sensor = async |text: &String| ids::find(client, Thing::Sensor, text).await;
    let (kind, subject) = match (&args.resource, args.dataset, &args.service, args.compute) {
        (Some(text), ..) => (ListingKind::Stream, sensor(text).await?),
        (None, Some(root), ..) => (ListingKind::Dataset, root),
        (None, None, Some(text), _) => (ListingKind::Service, sensor(text).await?),
        (None, None, None, Some(list)) => (ListingKind::Compute, list),
        _ => {
            return Err(Failure::new("what is sold?")
                .hint("give --resource, --dataset, --service or --compute"));
        }
    };
    let (price, access) = match args.per {
        _ if args.price == 0 => (Price::Free, args.access.unwrap_or(0)),
        None => (Price::Fixed, args.access.unwrap_or(0)),
        Some(Per::Unit) => (Price::PerUnit, args.access.unwrap_or(UNIT_ACCESS_SECONDS)),
        Some(Per::Period(seconds)) => (Price::Period, seconds),
    };
    let audience = match &args.audience {
        Some(text) => ids::find_any(client, &[Thing::Org, Thing::Federation], text).await?,
        None => B256::ZERO,
    };
    let consent_scope = match &args.consent {
        Some(text) => ids::find_any(client, &[Thing::User, Thing::Sensor], text).await?,
        None => B256::ZERO,
    };
    Ok(ListingTerms {
        kind,
        price,
        payee: args.payee,
        access_seconds: access,
        deliver_seconds: args.deliver_in,
        confirm_seconds: args.confirm_in,
        min_reputation: args.min_reputation,
        audience,
        consent_scope,
        policy: args.policy,
        meta: args.meta,
        judge: if args.sealed {
            Some(client.sealed_judge()?)
        } else {
            None
        },
        ..ListingTerms::stream(subject, topic, args.price)
    })
}

async fn list(args: ListArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let terms = terms(&client, &args).await?;
    let (id, receipt) = client.list(&terms).await?;
    let listing = client.listing(id).await?;
    let value = json!({ "listing": values::listing_json(&listing), "transaction": values::transaction(&receipt) });
    output.result(&value, || {
        described(&listing) + &values::transaction_line(&receipt)
    });
    Ok(())
}

/// A price with what it is for.
fn price_text(listing: &MarketListing) -> String {
    let money = values::money(listing.unit_price);
    match listing.price {
        Ok(Price::Free) => "free".to_owned(),
        Ok(Price::PerUnit) => format!("{money} per unit"),
        Ok(Price::Period) => {
            let period = medina_sdk::amount::format_duration(listing.access_seconds.into());
            format!("{money} per {period}")
        }
        _ => money,
    }
}

fn described(listing: &MarketListing) -> String {
    pairs([
        ("listing", listing.id.to_string()),
        (
            "sells",
            format!("{} {}", values::word(&listing.kind), listing.subject),
        ),
        ("price", price_text(listing)),
        ("status", values::status(listing.status)),
        (
            "seller",
            format!("{} (organisation {})", listing.payee, listing.org),
        ),
    ])
}

async fn search(args: SearchArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let query = query(&client, &args).await?;
    let mut index = match &args.index {
        Some(path) => {
            SearchIndex::load(path).map_err(|error| crate::errors::cannot("read", path, error))?
        }
        None => SearchIndex::default(),
    };
    client.update_index(&mut index).await?;
    if let Some(path) = &args.index {
        index
            .save(path)
            .map_err(|error| crate::errors::cannot("write", path, error))?;
    }
    let mut found = client.found(&index.search(&query)).await?;
    // The index has trust as it was last computed; what is shown and asked for is as it is now.
    let enough = |least: Option<u16>, now: Option<u16>| {
        least.is_none_or(|least| now.is_some_and(|now| now >= least))
    };
    found.retain(|hit| {
        enough(args.min_trust, hit.trust) && enough(args.min_reputation, hit.reputation)
    });
    let value: Vec<_> = found.iter().map(values::found_json).collect();
    output.result(&value, || {
        if found.is_empty() {
            return "nothing fits".to_owned();
        }
        let mut rows = table(&["listing", "sells", "price", "trust", "reputation", "seller"]);
        for hit in &found {
            let listing = &hit.listing;
            rows.add_row([
                number(listing.id),
                values::word(&listing.kind).into(),
                number(price_text(listing)),
                number(values::points_or_unknown(hit.trust)),
                number(values::points_or_unknown(hit.reputation)),
                listing.payee.to_string().into(),
            ]);
        }
        rows.to_string()
    });
    Ok(())
}

async fn query(client: &MarketClient, args: &SearchArgs) -> Outcome<IndexQuery> {
    let cells = match &args.near {
        Some(text) => {
            let (latitude, longitude) = parse_place(text)?;
            Some(cells_around(latitude, longitude, args.within * 1_000.0)?)
        }
        None => None,
    };
    let org = match &args.org {
        Some(text) => Some(ids::find(client, Thing::Org, text).await?),
        None => None,
    };
    let subject = match &args.subject {
        Some(text) => Some(ids::find(client, Thing::Sensor, text).await?),
        None => None,
    };
    Ok(IndexQuery {
        topic: args.property.as_deref().map(values::topic),
        cells,
        org,
        kind: args.kind.map(Into::into),
        price: None,
        subject,
        max_unit_price: args.max_price,
        // Judged on what the chain says now, below.
        min_trust: None,
        min_reputation: None,
        include_closed: args.all,
    })
}

async fn buy(args: BuyArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let purchase = Purchase {
        listing: args.listing,
        units: args.units,
        user: args.user,
        max_amount: args.max,
        purpose: args.purpose.unwrap_or_default(),
        deadline: chain_time(&client).await? + PERMIT_SECONDS,
    };
    let (order, receipt) = client.buy(&purchase).await?;
    show_order(&client, order, &receipt, output).await
}

async fn show_order(
    client: &MarketClient,
    order: U256,
    receipt: &Receipt,
    output: Output,
) -> Outcome {
    let order = client.order(order).await?;
    let facts = json!({ "order": values::order_json(&order) });
    crate::show::sent_all_as(output, facts, std::slice::from_ref(receipt), || {
        orders::described(&order)
    });
    Ok(())
}

async fn fetch(args: FetchArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let buyer = GatewayBuyer::new(&args.gateway)?;
    let session = buyer.open_session(client.account()?, args.listing).await?;
    let delivery = buyer
        .fetch_verified(&client, &session, Target::Listing(args.listing))
        .await?;
    if let Some(path) = &args.out {
        write_readings(path, &delivery.readings)
            .map_err(|error| crate::errors::cannot("write", path, error))?;
    }
    let value = json!({
        "verified": delivery.readings.len(),
        "erased": delivery.erased.len(),
        "batches": delivery.batches,
        "file": args.out,
    });
    output.result(&value, || {
        let count = values::count(delivery.readings.len(), "reading", "readings");
        let batches = values::count(delivery.batches, "batch", "batches");
        let place = args.out.as_ref().map_or_else(
            || "; keep them with --out FILE".to_owned(),
            |path| format!(", written to {}", path.display()),
        );
        format!("{count} of {batches}, every one proven by its anchored root{place}")
    });
    Ok(())
}

fn write_readings(path: &std::path::Path, readings: &[VerifiedReading]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for reading in readings {
        let record = reading.reading.to_record().map_err(std::io::Error::other)?;
        file.write_all(&record)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

async fn rate(args: RateArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let subject = client
        .listing(client.order(args.order).await?.listing)
        .await?;
    let before = client.platform_reputation(subject.org).await?;
    let comment = args.comment.unwrap_or_default();
    let receipt = client.rate(args.order, args.score, comment).await?;
    let after = client.platform_reputation(subject.org).await?;
    let value = json!({
        "order": args.order.to_string(),
        "score": values::points(args.score),
        "reputation": { "before": before.known().map(values::points), "after": after.known().map(values::points) },
        "transaction": values::transaction(&receipt),
    });
    output.result(&value, || {
        let (before, after) = (
            values::points_or_unknown(before.known()),
            values::points_or_unknown(after.known()),
        );
        let text = format!(
            "order {} rated; the seller's reputation went from {before} to {after}\n",
            args.order
        );
        text + &values::transaction_line(&receipt)
    });
    Ok(())
}

async fn orders(args: OrdersArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let orders = match args.listing {
        Some(listing) => client.orders_for(listing).await?,
        None => client.orders_of(args.viewer.address_or(None)?).await?,
    };
    let value: Vec<_> = orders.iter().map(values::order_json).collect();
    output.result(&value, || orders_table(&orders));
    Ok(())
}

fn orders_table(orders: &[MarketOrder]) -> String {
    if orders.is_empty() {
        return "no orders".to_owned();
    }
    let mut rows = table(&["order", "listing", "state", "amount", "paid", "buyer"]);
    for order in orders {
        rows.add_row([
            number(order.id),
            number(order.listing),
            values::word(&order.state).into(),
            number(values::money(order.amount)),
            number(values::money(order.paid)),
            order.buyer.to_string().into(),
        ]);
    }
    rows.to_string()
}

async fn withdraw(args: WithdrawArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let owner = client.account()?.address();
    let to = args.to.unwrap_or(owner);
    let amount = client.credits(owner).await?;
    if amount == 0 {
        return Err(Failure::new(format!("the market owes {owner} nothing"))
            .hint("a seller is credited when an order is confirmed or claimed (`medina market orders`)"));
    }
    let receipt = client.withdraw(to).await?;
    let balance = client.balance(to).await?;
    let value = json!({
        "amount": amount.to_string(),
        "to": to,
        "balance": balance.to_string(),
        "transaction": values::transaction(&receipt),
    });
    output.result(&value, || {
        let text = format!(
            "{} paid out to {to}, who now has {}\n",
            values::money(amount),
            values::money(balance)
        );
        text + &values::transaction_line(&receipt)
    });
    Ok(())
}

async fn balance(args: BalanceArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let address = args.viewer.address_or(args.address)?;
    let tokens = client.balance(address).await?;
    let credit = client.credits(address).await?;
    let value: Value =
        json!({ "address": address, "tokens": tokens.to_string(), "credit": credit.to_string() });
    output.result(&value, || {
        pairs([
            ("tokens", values::money(tokens)),
            ("credit in the market", values::money(credit)),
        ])
    });
    Ok(())
}
