//! `medina market`: sell and buy data.

use crate::{
    args::RpcArgs,
    commands::since_epoch,
    errors::{Failure, Outcome},
    output::{Output, number, pairs, table},
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{Address, B256, U256, keccak256};
use clap::{Args, Subcommand};
use medina_sdk::client::{
    GatewayBuyer, ListingTerms, MarketClient, MarketListing, MarketOrder, Purchase, Receipt,
    SearchFilter, Target, VerifiedReading,
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
    /// Take the price back where nothing was delivered in time
    Cancel(OrderArgs),
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
#[group(id = "subject", required = true, multiple = false, args = ["resource", "dataset"])]
pub(crate) struct ListArgs {
    /// Sell the readings of this sensor
    #[arg(long, value_name = "ID")]
    resource: Option<B256>,
    /// Sell the batch with this anchored root
    #[arg(long, value_name = "ROOT")]
    dataset: Option<B256>,
    /// What is observed; buyers search for it
    #[arg(long, value_name = "NAME")]
    property: String,
    /// Price in tokens; 0 is free
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    price: u128,
    /// How long the buyer may read, such as 30d [default: without end]
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "0", hide_default_value = true)]
    access: u32,
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
    #[arg(long, value_name = "ID", default_value_t = B256::ZERO, hide_default_value = true)]
    audience: B256,
    /// Hash of a salted document about the offer
    #[arg(long, value_name = "HASH", default_value_t = B256::ZERO, hide_default_value = true)]
    meta: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// What is observed
    #[arg(long, value_name = "NAME")]
    property: Option<String>,
    /// The seller's organisation
    #[arg(long)]
    org: Option<B256>,
    /// The sensor or root
    #[arg(long, value_name = "ID")]
    subject: Option<B256>,
    /// The most it may cost
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    max_price: Option<u128>,
    /// The least trust, 0 to 100
    #[arg(long, value_name = "POINTS", value_parser = values::percent)]
    min_trust: Option<u16>,
    /// Paused and retired offers as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BuyArgs {
    /// The listing's number
    listing: u64,
    /// How many units
    #[arg(long, default_value_t = 1)]
    units: u64,
    /// The most it may cost [default: today's price]
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    max: Option<u128>,
    /// Who may read, if not the buyer
    #[arg(long, value_name = "ADDRESS")]
    user: Option<Address>,
    /// What the data are for; only its hash is stored
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
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
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
#[group(id = "whose", required = true, multiple = false, args = ["account", "listing"])]
pub(crate) struct OrdersArgs {
    /// Orders this account pays for or reads by
    #[arg(long, value_name = "ADDRESS")]
    account: Option<Address>,
    /// Orders of this listing
    #[arg(long, value_name = "NUMBER")]
    listing: Option<u64>,
    #[command(flatten)]
    rpc: RpcArgs,
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
    /// The account
    address: Address,
    #[command(flatten)]
    rpc: RpcArgs,
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
        MarketCommand::Rate(args) => rate(args, output).await,
        MarketCommand::Orders(args) => orders(args, output).await,
        MarketCommand::Withdraw(args) => withdraw(args, output).await,
        MarketCommand::Balance(args) => balance(args, output).await,
    }
}

fn terms(args: &ListArgs) -> Outcome<ListingTerms> {
    let topic = values::topic(&args.property);
    let plain = match (args.resource, args.dataset) {
        (Some(resource), _) => ListingTerms::stream(resource, topic, args.price),
        (None, Some(root)) => ListingTerms::dataset(root, topic, args.price),
        (None, None) => return Err(Failure::new("what is sold? Give --resource or --dataset")),
    };
    Ok(ListingTerms {
        access_seconds: args.access,
        deliver_seconds: args.deliver_in,
        confirm_seconds: args.confirm_in,
        min_reputation: args.min_reputation,
        audience: args.audience,
        meta: args.meta,
        ..plain
    })
}

async fn list(args: ListArgs, output: Output) -> Outcome {
    let terms = terms(&args)?;
    let client = args.sender.connect().await?;
    let (id, receipt) = client.list(&terms).await?;
    let listing = client.listing(id).await?;
    let value = json!({ "listing": values::listing_json(&listing), "transaction": values::transaction(&receipt) });
    output.result(&value, || {
        described(&listing) + &values::transaction_line(&receipt)
    });
    Ok(())
}

fn described(listing: &MarketListing) -> String {
    pairs([
        ("listing", listing.id.to_string()),
        (
            "sells",
            format!("{} {}", values::word(&listing.kind), listing.subject),
        ),
        ("price", values::money(listing.unit_price)),
        ("status", values::status(listing.status)),
        (
            "seller",
            format!("{} (organisation {})", listing.payee, listing.org),
        ),
    ])
}

async fn search(args: SearchArgs, output: Output) -> Outcome {
    let filter = SearchFilter {
        topic: args.property.as_deref().map(values::topic),
        org: args.org,
        kind: None,
        subject: args.subject,
        max_unit_price: args.max_price,
        min_trust: args.min_trust,
        include_closed: args.all,
    };
    let found = connect(&args.rpc.rpc).await?.search(&filter).await?;
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
                number(values::money(listing.unit_price)),
                number(values::points_or_unknown(hit.trust)),
                number(values::points_or_unknown(hit.reputation)),
                listing.payee.to_string().into(),
            ]);
        }
        rows.to_string()
    });
    Ok(())
}

async fn buy(args: BuyArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let purchase = Purchase {
        listing: args.listing,
        units: args.units,
        user: args.user,
        max_amount: args.max,
        purpose: args.purpose.map(keccak256).unwrap_or_default(),
        deadline: since_epoch().as_secs() + PERMIT_SECONDS,
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
    let value =
        json!({ "order": values::order_json(&order), "transaction": values::transaction(receipt) });
    output.result(&value, || {
        pairs([
            ("order", order.id.to_string()),
            ("listing", order.listing.to_string()),
            ("state", values::word(&order.state)),
            ("amount", values::money(order.amount)),
            ("buyer", order.buyer.to_string()),
            ("deadline", values::moment(order.deadline)),
        ]) + &values::transaction_line(receipt)
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
        let (count, batches) = (delivery.readings.len(), delivery.batches);
        let place = args.out.as_ref().map_or_else(
            || "; keep them with --out FILE".to_owned(),
            |path| format!(", written to {}", path.display()),
        );
        format!(
            "{count} readings of {batches} batches, every one proven by its anchored root{place}"
        )
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
    let comment = args.comment.map(keccak256).unwrap_or_default();
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
    let client = connect(&args.rpc.rpc).await?;
    let orders = match (args.account, args.listing) {
        (Some(account), _) => client.orders_of(account).await?,
        (None, Some(listing)) => client.orders_for(listing).await?,
        (None, None) => return Err(Failure::new("whose orders? Give --account or --listing")),
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
    let client = connect(&args.rpc.rpc).await?;
    let tokens = client.balance(args.address).await?;
    let credit = client.credits(args.address).await?;
    let value: Value = json!({ "address": args.address, "tokens": tokens.to_string(), "credit": credit.to_string() });
    output.result(&value, || {
        pairs([
            ("tokens", values::money(tokens)),
            ("credit in the market", values::money(credit)),
        ])
    });
    Ok(())
}
