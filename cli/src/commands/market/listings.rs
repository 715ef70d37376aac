//! What a seller does with its offers, and what they have earned.

use super::described;
use crate::{
    args::RpcArgs,
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, ViewerArgs, connect},
    values,
};
use alloy_primitives::B256;
use clap::{Args, ValueEnum};
use medina_sdk::client::{IncomeRow, MarketClient, Receipt};
use serde_json::{Value, json};

/// Added to a status while a Moderator's flag is set.
const FLAGGED: u8 = 128;

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The listing's number
    listing: u64,
    /// Whether it can be bought; retired is for ever
    #[arg(value_enum)]
    status: Option<Status>,
    /// About the offer: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    meta: Option<B256>,
    /// Terms of use (ODRL): a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::hashed)]
    policy: Option<B256>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Live = 1,
    Paused = 2,
    Retired = 3,
}

#[derive(Debug, Args)]
pub(crate) struct RepriceArgs {
    /// The listing's number
    listing: u64,
    /// The new price of a unit
    #[arg(value_name = "TOKENS", value_parser = values::tokens)]
    price: u128,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FlagArgs {
    /// The listing's number
    listing: u64,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The listing's number
    listing: u64,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct IncomeArgs {
    /// The organisation: `me`, id, name, or an account of it
    #[arg(default_value = "me")]
    org: String,
    #[command(flatten)]
    viewer: ViewerArgs,
}

async fn changed(client: &MarketClient, id: u64, receipt: &Receipt, output: Output) -> Outcome {
    let listing = client.listing(id).await?;
    let value = json!({
        "listing": values::listing_json(&listing), "transaction": values::transaction(receipt),
    });
    output.result(&value, || {
        described(&listing) + &values::transaction_line(receipt)
    });
    Ok(())
}

pub(super) async fn set(args: &SetArgs, output: Output) -> Outcome {
    if args.status.is_none() && args.meta.is_none() && args.policy.is_none() {
        return Err(Failure::new("nothing to change")
            .hint("give live, paused or retired, --meta or --policy"));
    }
    let client = args.sender.connect().await?;
    let now = client.listing(args.listing).await?;
    let status = args
        .status
        .map_or(now.status & !FLAGGED, |status| status as u8);
    let (meta, policy) = (
        args.meta.unwrap_or(now.meta),
        args.policy.unwrap_or(now.policy),
    );
    let receipt = client
        .set_listing(args.listing, status, meta, policy)
        .await?;
    changed(&client, args.listing, &receipt, output).await
}

pub(super) async fn reprice(args: &RepriceArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let receipt = client.set_price(args.listing, args.price).await?;
    changed(&client, args.listing, &receipt, output).await
}

pub(super) async fn flag(args: &FlagArgs, is_flagged: bool, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let now = client.listing(args.listing).await?;
    if (now.status & FLAGGED != 0) == is_flagged {
        let state = if is_flagged {
            "flagged already"
        } else {
            "not flagged"
        };
        return Err(Failure::new(format!("listing {} is {state}", args.listing)));
    }
    let receipt = client
        .set_listing(args.listing, now.status ^ FLAGGED, now.meta, now.policy)
        .await?;
    changed(&client, args.listing, &receipt, output).await
}

pub(super) async fn show_one(args: &ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let listing = client.listing(args.listing).await?;
    output.result(&values::listing_json(&listing), || described(&listing));
    Ok(())
}

pub(super) async fn income(args: &IncomeArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let org = ids::find(&client, Thing::Org, &args.viewer.meant(&args.org)?).await?;
    let income = client.income(org).await?;
    let rows: Vec<_> = income
        .listings
        .iter()
        .map(|(id, row)| row_json(json!(id), row))
        .collect();
    let total = row_json(json!("all"), &income.total());
    let value = json!({ "org": org, "listings": rows, "total": total });
    output.result(&value, || {
        let columns = [
            "listing", "orders", "open", "earned", "escrow", "fees", "refunded",
        ];
        let mut shown = rows.clone();
        shown.push(total.clone());
        show::table_text(&shown, &columns)
    });
    Ok(())
}

fn row_json(listing: Value, row: &IncomeRow) -> Value {
    json!({
        "listing": listing,
        "orders": row.orders,
        "open": row.open,
        "earned": row.earned.to_string(),
        "escrow": row.escrow.to_string(),
        "fees": row.fees.to_string(),
        "refunded": row.refunded.to_string(),
    })
}
