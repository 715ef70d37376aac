//! `medina coupon`: access against access instead of money.
//!
//! A coupon travels as a file: its fields and the issuer's signature. The issuer
//! either brings it on chain (`issue`) or hands the file over (`offer`) for the
//! holder to do so (`accept`).

mod trade;

use crate::{
    args::RpcArgs,
    commands::since_epoch,
    errors::{Failure, Outcome},
    files,
    ids::{self, Thing},
    output::{Output, pairs},
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, Bytes};
use clap::{Args, Subcommand};
use medina_sdk::client::{Coupon, CouponKind, GatewayBuyer, Target, UseRequest, coupon_state_text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

/// What makes coupon files.
const MADE_BY: &str = "medina coupon issue` or `offer";

#[derive(Debug, Subcommand)]
pub(crate) enum CouponCommand {
    /// Sign a coupon and bring it on chain
    Issue(IssueArgs),
    /// Sign a coupon and hand it over as a file
    Offer(IssueArgs),
    /// Bring an offered coupon on chain
    Accept(AcceptArgs),
    /// Use a coupon once: read a sensor at the issuer's gateway
    Consume(ConsumeArgs),
    /// Show whether a coupon holds
    Show(ShowArgs),
    /// Take a coupon back before it is used, as its issuer
    Revoke(AcceptArgs),
    /// Hand a coupon on to another organisation
    Transfer(TransferArgs),
    /// Offer a coupon one holds for another one
    SwapOffer(trade::SwapOfferArgs),
    /// Take a swap that was offered: both coupons move, or neither
    Swap(trade::SwapArgs),
    /// Offer a new coupon for one access now
    BarterOffer(trade::BarterOfferArgs),
    /// Agree to a barter, as the sensor's owner, and bring it on chain
    Barter(trade::BarterArgs),
    /// Say whom the own organisation barters with
    Rules(trade::RulesArgs),
    /// Count an organisation's coupons
    Stats(trade::StatsArgs),
    /// Show the coupons an organisation has issued
    List(trade::ListArgs),
    /// Forget consumed coupons, as their issuer
    Cleanup(trade::CleanupArgs),
}

#[derive(Debug, Args)]
#[group(id = "value", required = true, multiple = false, args = ["uses", "time"])]
pub(crate) struct IssueArgs {
    /// The organisation that gets it: id, name, or an account of it
    #[arg(long, value_name = "ORG")]
    holder: String,
    /// The federation of both: id or name
    #[arg(long, value_name = "FEDERATION")]
    federation: String,
    /// How many uses
    #[arg(long, value_name = "COUNT")]
    uses: Option<u64>,
    /// How long from the first use on, such as 7d
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    time: Option<u32>,
    /// Only for this sensor [default: any that is bartered]
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// Number of the coupon, each works once [default: the time in milliseconds]
    #[arg(long)]
    number: Option<u64>,
    /// File to write the coupon to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// File of the coupon
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// File of the coupon
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The sensor to read: id, complete or short
    #[arg(long, value_name = "ID")]
    resource: String,
    /// The issuer's gateway
    #[arg(long, value_name = "URL")]
    gateway: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// File of the coupon
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TransferArgs {
    /// File of the coupon
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Who gets it: id, name, or an account
    #[arg(long, value_name = "ORG")]
    to: String,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Content of a coupon file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CouponFile {
    coupon: Coupon,
    signature: Bytes,
}

pub(crate) async fn run(command: CouponCommand, output: Output) -> Outcome {
    match command {
        CouponCommand::Issue(args) => issue(args, true, output).await,
        CouponCommand::Offer(args) => issue(args, false, output).await,
        CouponCommand::Accept(args) => accept(args, output).await,
        CouponCommand::Consume(args) => consume(args, output).await,
        CouponCommand::Show(args) => show_one(args, output).await,
        CouponCommand::Revoke(args) => {
            let file: CouponFile = files::load(&args.file, MADE_BY)?;
            let client = args.sender.connect().await?;
            let receipt = client.revoke_coupon(file.coupon.key()).await?;
            let facts = json!({ "coupon": file.coupon.key(), "state": "revoked" });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        CouponCommand::Transfer(args) => {
            let file: CouponFile = files::load(&args.file, MADE_BY)?;
            let client = args.sender.connect().await?;
            let to = ids::find(&client, Thing::Org, &args.to).await?;
            let receipt = client.transfer_coupon(file.coupon.key(), to).await?;
            let facts = json!({ "coupon": file.coupon.key(), "holder": to });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        CouponCommand::SwapOffer(args) => trade::offer_swap(&args, output).await,
        CouponCommand::Swap(args) => trade::swap(&args, output).await,
        CouponCommand::BarterOffer(args) => trade::offer_barter(&args, output).await,
        CouponCommand::Barter(args) => trade::barter(&args, output).await,
        CouponCommand::Rules(args) => trade::rules(&args, output).await,
        CouponCommand::Stats(args) => trade::stats(&args, output).await,
        CouponCommand::List(args) => trade::list(&args, output).await,
        CouponCommand::Cleanup(args) => trade::cleanup(&args, output).await,
    }
}

async fn issue(args: IssueArgs, on_chain: bool, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let (kind, val) = match (args.uses, args.time) {
        (Some(uses), _) => (CouponKind::Discrete, uses),
        (None, Some(seconds)) => (CouponKind::Periodic, seconds.into()),
        (None, None) => return Err(Failure::new("what is it worth? Give --uses or --time")),
    };
    let now = since_epoch();
    let coupon = Coupon {
        issuer: client.own_org().await?,
        fed: ids::find(&client, Thing::Federation, &args.federation).await?,
        kind,
        val,
        number: args
            .number
            .unwrap_or(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)),
        issued_at: now.as_secs(),
        holder: ids::find(&client, Thing::Org, &args.holder).await?,
        scope: match &args.resource {
            Some(resource) => ids::find(&client, Thing::Sensor, resource).await?,
            None => B256::ZERO,
        },
    };
    let signature = client.sign_coupon(&coupon)?;
    let file = CouponFile { coupon, signature };
    let receipt = if on_chain {
        Some(
            client
                .register_coupon(&file.coupon, file.signature.clone())
                .await?,
        )
    } else {
        None
    };
    files::save(&args.out, &file)?;
    let value = json!({
        "key": file.coupon.key(),
        "coupon": file.coupon,
        "file": args.out,
        "transaction": receipt.as_ref().map(values::transaction),
    });
    output.result(&value, || {
        let next = match &receipt {
            Some(receipt) => values::transaction_line(receipt),
            None => "not on chain yet: the holder brings it there with `medina coupon accept`"
                .to_owned(),
        };
        described(&file.coupon) + &pairs([("written to", args.out.display().to_string())]) + &next
    });
    Ok(())
}

fn described(coupon: &Coupon) -> String {
    let worth = match coupon.kind {
        CouponKind::Periodic => {
            medina_sdk::amount::format_duration(coupon.val) + " from the first use"
        }
        _ if coupon.val == 1 => "1 use".to_owned(),
        _ => format!("{} uses", coupon.val),
    };
    let scope = if coupon.scope.is_zero() {
        "any bartered sensor".to_owned()
    } else {
        coupon.scope.to_string()
    };
    pairs([
        ("coupon", coupon.key().to_string()),
        ("worth", worth),
        ("issuer", coupon.issuer.to_string()),
        ("holder", coupon.holder.to_string()),
        ("for", scope),
    ])
}

async fn accept(args: AcceptArgs, output: Output) -> Outcome {
    let file: CouponFile = files::load(&args.file, MADE_BY)?;
    let client = args.sender.connect().await?;
    let receipt = client.register_coupon(&file.coupon, file.signature).await?;
    let value = json!({ "key": file.coupon.key(), "transaction": values::transaction(&receipt) });
    output.result(&value, || {
        described(&file.coupon) + &values::transaction_line(&receipt)
    });
    Ok(())
}

async fn consume(args: ConsumeArgs, output: Output) -> Outcome {
    let file: CouponFile = files::load(&args.file, MADE_BY)?;
    let client = args.sender.connect().await?;
    let key = file.coupon.key();
    let resource = ids::find(&client, Thing::Sensor, &args.resource).await?;
    let uses = client.coupon_uses(key).await? + 1;
    let signature = client.sign_use(UseRequest {
        key,
        resource,
        uses,
    })?;
    let buyer = GatewayBuyer::new(&args.gateway)?;
    let session = buyer
        .open_session_with_coupon(&file.coupon, resource, signature)
        .await?;
    let delivery = buyer
        .fetch_verified(&client, &session, Target::Resource(resource))
        .await?;
    let status = client.coupon_status(&file.coupon).await?;
    let value =
        json!({ "key": key, "uses": uses, "verified": delivery.readings.len(), "status": status });
    output.result(&value, || {
        let count = delivery.readings.len();
        let state = coupon_state_text(status.state);
        let readings = values::count(count, "reading", "readings");
        format!(
            "use {uses} of coupon {key}: {readings}, every one proven; the coupon is now {state}"
        )
    });
    Ok(())
}

async fn show_one(args: ShowArgs, output: Output) -> Outcome {
    let file: CouponFile = files::load(&args.file, MADE_BY)?;
    let client = connect(&args.rpc.rpc).await?;
    let status = client.coupon_status(&file.coupon).await?;
    let value = json!({ "key": file.coupon.key(), "coupon": file.coupon, "status": status });
    output.result(&value, || {
        described(&file.coupon)
            + &pairs([
                ("state", coupon_state_text(status.state).to_owned()),
                ("uses left", status.remaining_uses.to_string()),
                (
                    "time left",
                    medina_sdk::amount::format_duration(status.remaining_seconds),
                ),
            ])
    });
    Ok(())
}
