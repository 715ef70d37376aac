//! What becomes of an order besides delivery and confirmation.

use super::show_order;
use crate::{
    args::RpcArgs,
    errors::Outcome,
    output::{Output, pairs},
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, U256};
use clap::Args;
use medina_sdk::client::MarketOrder;

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// The order's number
    order: U256,
    /// How many periods more
    #[arg(long, default_value_t = 1)]
    periods: u64,
    /// The most it may cost [default: today's price]
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    max: Option<u128>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DisputeArgs {
    /// The order's number
    order: U256,
    /// What is wrong: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    evidence: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// The order's number
    order: U256,
    /// How much of what is contested the buyer gets back, in percent
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    to_buyer: u16,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The order's number
    order: U256,
    #[command(flatten)]
    rpc: RpcArgs,
}

/// An order for people.
pub(super) fn described(order: &MarketOrder) -> String {
    let units = if order.used == 0 {
        order.units.to_string()
    } else {
        format!("{}, {} of them used", order.units, order.used)
    };
    let end = match order.end {
        0 => "without end".to_owned(),
        end => values::moment(end),
    };
    pairs([
        ("order", order.id.to_string()),
        ("listing", order.listing.to_string()),
        ("state", values::word(&order.state)),
        ("units", units),
        ("amount", values::money(order.amount)),
        ("paid", values::money(order.paid)),
        ("buyer", order.buyer.to_string()),
        ("deadline", values::moment(order.deadline)),
        ("access until", end),
    ])
}

pub(super) async fn renew(args: &RenewArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let receipt = client
        .renew_order(args.order, args.periods, args.max)
        .await?;
    show_order(&client, args.order, &receipt, output).await
}

pub(super) async fn dispute(args: &DisputeArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let receipt = client.dispute(args.order, args.evidence).await?;
    show_order(&client, args.order, &receipt, output).await
}

pub(super) async fn resolve(args: &ResolveArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let receipt = client.resolve(args.order, args.to_buyer).await?;
    show_order(&client, args.order, &receipt, output).await
}

pub(super) async fn show_one(args: &ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let order = client.order(args.order).await?;
    output.result(&values::order_json(&order), || described(&order));
    Ok(())
}
