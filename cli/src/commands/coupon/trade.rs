//! Coupons against coupons, a coupon for one access, and what an organisation asks for and counts.

use super::{CouponFile, MADE_BY};
use crate::{
    args::RpcArgs,
    commands::since_epoch,
    errors::Outcome,
    files,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, Bytes};
use clap::Args;
use medina_sdk::client::{Coupon, CouponKind, CouponRules, SwapOffer};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SwapOfferArgs {
    /// File of the coupon one gives
    #[arg(long, value_name = "FILE")]
    give: PathBuf,
    /// File of the coupon one wants
    #[arg(long, value_name = "FILE")]
    want: PathBuf,
    /// File for the offer
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SwapArgs {
    /// File of the offer
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
#[group(id = "worth", required = true, multiple = false, args = ["uses", "time"])]
pub(crate) struct BarterOfferArgs {
    /// The sensor one wants to read: id, complete or short
    #[arg(long, value_name = "ID")]
    resource: String,
    /// The federation of both: id or name
    #[arg(long, value_name = "FEDERATION")]
    federation: String,
    /// How many uses of own sensors one gives for it
    #[arg(long, value_name = "COUNT")]
    uses: Option<u64>,
    /// How long from the first use on, such as 7d
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    time: Option<u32>,
    /// File for the offer
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BarterArgs {
    /// File of the offer
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// The federation: id or name
    federation: String,
    /// Least reputation of who offers, 0 to 100
    #[arg(long, value_name = "POINTS", value_parser = values::percent)]
    min_reputation: u16,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// The organisation: id, name, or an account of it
    org: String,
    /// The federation: id or name
    federation: String,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The organisation: id, name, or an account of it
    org: String,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    /// Those last used before then
    #[arg(long, value_name = "TIME", value_parser = values::when, default_value = "now")]
    before: u64,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Content of a barter offer's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BarterOffer {
    give: Coupon,
    resource: B256,
    client_signature: Bytes,
}

pub(super) async fn offer_swap(args: &SwapOfferArgs, output: Output) -> Outcome {
    let give: CouponFile = files::load(&args.give, MADE_BY)?;
    let want: CouponFile = files::load(&args.want, MADE_BY)?;
    let client = args.sender.connect().await?;
    // "Mine" is of the one who calls: the holder of what is wanted.
    let offer = client
        .sign_swap(want.coupon.key(), give.coupon.key())
        .await?;
    files::save(&args.out, &offer)?;
    let facts = json!({
        "gives": offer.theirs, "wants": offer.mine, "writtenTo": args.out,
        "next": format!("the other holder: medina coupon swap --file {}", args.out.display()),
    });
    show::facts(output, &facts);
    Ok(())
}

pub(super) async fn swap(args: &SwapArgs, output: Output) -> Outcome {
    let offer: SwapOffer = files::load(&args.file, "medina coupon swap-offer")?;
    let client = args.sender.connect().await?;
    let receipt = client.swap_coupons(&offer).await?;
    let facts = json!({ "gave": offer.mine, "got": offer.theirs });
    show::sent(output, facts, &receipt);
    Ok(())
}

pub(super) async fn offer_barter(args: &BarterOfferArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let resource = ids::find(&client, Thing::Sensor, &args.resource).await?;
    let now = since_epoch();
    let (kind, val) = match args.uses {
        Some(uses) => (CouponKind::Discrete, uses),
        None => (CouponKind::Periodic, args.time.unwrap_or_default().into()),
    };
    let give = Coupon {
        issuer: client.own_org().await?,
        fed: ids::find(&client, Thing::Federation, &args.federation).await?,
        kind,
        val,
        number: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        issued_at: now.as_secs(),
        holder: client.sensor(resource).await?.org,
        scope: B256::ZERO,
    };
    let offer = BarterOffer {
        client_signature: client.sign_barter(&give, resource)?,
        give,
        resource,
    };
    files::save(&args.out, &offer)?;
    let facts = json!({
        "resource": resource, "gives": offer.give.key(), "to": offer.give.holder, "writtenTo": args.out,
        "next": format!("the owner: medina coupon barter --file {}", args.out.display()),
    });
    show::facts(output, &facts);
    Ok(())
}

pub(super) async fn barter(args: &BarterArgs, output: Output) -> Outcome {
    let offer: BarterOffer = files::load(&args.file, "medina coupon barter-offer")?;
    let client = args.sender.connect().await?;
    let accepted = client.sign_barter(&offer.give, offer.resource)?;
    let receipt = client
        .barter(
            &offer.give,
            offer.client_signature,
            offer.resource,
            accepted,
        )
        .await?;
    let facts = json!({
        "coupon": offer.give.key(), "client": offer.give.issuer, "resource": offer.resource,
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

pub(super) async fn rules(args: &RulesArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let rules = CouponRules {
        min_reputation: args.min_reputation,
        types: 0,
    };
    let receipt = client.set_coupon_rules(fed, rules).await?;
    let facts = json!({
        "federation": fed, "minReputation": values::points(args.min_reputation),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

pub(super) async fn stats(args: &StatsArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let org = ids::find(&client, Thing::Org, &args.org).await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let found = client.coupon_stats(org, fed).await?;
    let facts = json!({
        "org": org, "federation": fed, "issued": found.issued, "consumed": found.consumed,
        "received": found.received, "uses": found.uses,
    });
    show::facts(output, &facts);
    Ok(())
}

pub(super) async fn list(args: &ListArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let org = ids::find(&client, Thing::Org, &args.org).await?;
    let mut rows = Vec::new();
    for key in client.coupons_issued(org).await? {
        rows.push(json!({
            "coupon": key,
            "holder": client.coupon_holder(key).await?,
            "uses": client.coupon_uses(key).await?,
            "moves": client.coupon_moves(key).await?,
        }));
    }
    let columns = ["coupon", "holder", "uses", "moves"];
    show::list(output, &rows, &columns, "no coupons were issued");
    Ok(())
}

pub(super) async fn cleanup(args: &CleanupArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let keys = client.coupons_issued(client.own_org().await?).await?;
    let receipts = client.clean_coupons(&keys, args.before).await?;
    let facts = json!({ "looked at": keys.len(), "before": args.before });
    show::sent_all(output, facts, &receipts);
    Ok(())
}
