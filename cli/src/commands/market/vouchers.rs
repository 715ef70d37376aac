//! What is signed away from the chain: vouchers for units received, and purchases for others to
//! bring.

use super::show_order;
use crate::{
    commands::since_epoch,
    errors::{Failure, Outcome},
    files,
    output::Output,
    show,
    signer::SenderArgs,
    values,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use clap::Args;
use medina_sdk::client::{PurchaseIntent, SignedIntent};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

/// What makes files for `claim-units`.
const VOUCHER: &str = "medina market voucher";
/// What makes files for `buy-for`.
const INTENT: &str = "medina market intent";

#[derive(Debug, Args)]
pub(crate) struct VoucherArgs {
    /// The order's number
    order: U256,
    /// Units received since the order began, all together
    #[arg(long, value_name = "UNITS")]
    received: u64,
    /// File for the voucher, which the seller gets
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// File of the voucher
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct IntentArgs {
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
    #[arg(long, value_name = "TEXT", value_parser = values::hashed)]
    purpose: Option<B256>,
    /// Until when it may be brought
    #[arg(long, value_name = "TIME", value_parser = values::when, default_value = "1h")]
    until: u64,
    /// File for the intent
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BuyForArgs {
    /// File of the intent
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Content of a voucher's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Voucher {
    order: U256,
    received: u64,
    signature: Bytes,
}

pub(super) async fn voucher(args: &VoucherArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let order = client.order(args.order).await?;
    let account = client.account()?.address();
    if order.user != account {
        return Err(
            Failure::new(format!("order {} is read by {}", order.id, order.user)).hint(format!(
                "{account} cannot sign for it: use --account {}",
                order.user
            )),
        );
    }
    if args.received <= order.used || args.received > order.units {
        return Err(Failure::new(format!(
            "{} is no new number of units: {} are paid, {} were bought",
            args.received, order.used, order.units
        ))
        .hint("--received counts from the beginning of the order"));
    }
    let voucher = Voucher {
        order: args.order,
        received: args.received,
        signature: client.sign_voucher(args.order, args.received)?,
    };
    files::save(&args.out, &voucher)?;
    let facts = json!({
        "order": args.order.to_string(), "received": args.received, "writtenTo": args.out,
        "next": format!("the seller: medina market claim-units --file {}", args.out.display()),
    });
    show::facts(output, &facts);
    Ok(())
}

pub(super) async fn claim(args: &ClaimArgs, output: Output) -> Outcome {
    let voucher: Voucher = files::load(&args.file, VOUCHER)?;
    let client = args.sender.connect().await?;
    let receipt = client
        .claim_units(voucher.order, voucher.received, voucher.signature)
        .await?;
    show_order(&client, voucher.order, &receipt, output).await
}

pub(super) async fn intent(args: &IntentArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let buyer = client.account()?.address();
    let max_amount = match args.max {
        Some(max) => max,
        None => client.quote(args.listing, args.units).await?,
    };
    let market = client.contracts().data_marketplace;
    let allowed = client.allowance(buyer, market).await?;
    if allowed < U256::from(max_amount) {
        let tokens = medina_sdk::amount::format_tokens(max_amount);
        return Err(
            Failure::new("the market may not take the price from this account yet")
                .hint(format!("medina token allow {tokens}")),
        );
    }
    let intent = PurchaseIntent {
        listing: args.listing,
        units: args.units,
        buyer,
        user: args.user.unwrap_or(buyer),
        max_amount,
        purpose: args.purpose.unwrap_or_default(),
        deadline: args.until,
        number: u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX),
    };
    let signed = client.sign_intent(intent)?;
    files::save(&args.out, &signed)?;
    let facts = json!({
        "listing": args.listing, "units": args.units, "maxAmount": max_amount.to_string(),
        "until": args.until, "writtenTo": args.out,
        "next": format!("anyone: medina market buy-for --file {}", args.out.display()),
    });
    show::facts(output, &facts);
    Ok(())
}

pub(super) async fn buy_for(args: &BuyForArgs, output: Output) -> Outcome {
    let signed: SignedIntent = files::load(&args.file, INTENT)?;
    let client = args.sender.connect().await?;
    let (order, receipt) = client.buy_for(&signed).await?;
    show_order(&client, order, &receipt, output).await
}
