//! `medina coupon`: access against access instead of money.
//!
//! A coupon travels as a file: its fields and the issuer's signature. The issuer
//! either brings it on chain (`issue`) or hands the file over (`offer`) for the
//! holder to do so (`accept`).

use crate::{
    args::RpcArgs,
    commands::{read_text, since_epoch},
    errors::{Failure, Outcome, cannot},
    output::{Output, pairs},
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{Address, B256, Bytes};
use clap::{Args, Subcommand};
use medina_sdk::client::{
    Coupon, CouponKind, GatewayBuyer, MarketClient, Target, UseRequest, coupon_state_text,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Bytes of a coupon file.
const COUPON_FILE_BYTES_MAX: u64 = 16 * 1024;

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
}

#[derive(Debug, Args)]
#[group(id = "value", required = true, multiple = false, args = ["uses", "time"])]
pub(crate) struct IssueArgs {
    /// The organisation that gets it, or an account of it
    #[arg(long, value_name = "ORG|ADDRESS")]
    holder: String,
    /// The federation of both
    #[arg(long, value_name = "ID")]
    federation: B256,
    /// How many uses
    #[arg(long, value_name = "COUNT")]
    uses: Option<u64>,
    /// How long from the first use on, such as 7d
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    time: Option<u32>,
    /// Only for this sensor [default: any that is bartered]
    #[arg(long, value_name = "ID", default_value_t = B256::ZERO, hide_default_value = true)]
    resource: B256,
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
    /// The sensor to read
    #[arg(long, value_name = "ID")]
    resource: B256,
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
        CouponCommand::Show(args) => show(args, output).await,
    }
}

/// An organisation by its id or an account of it.
pub(crate) async fn organisation(client: &MarketClient, text: &str) -> Outcome<B256> {
    if let Ok(org) = text.parse::<B256>() {
        return Ok(org);
    }
    let address: Address = text.parse().map_err(|_| {
        Failure::new(format!(
            "{text:?} is neither an organisation (32 bytes) nor an account (20 bytes)"
        ))
    })?;
    match client.org_of(address).await? {
        B256::ZERO => Err(Failure::new(format!(
            "account {address} belongs to no organisation"
        ))),
        org => Ok(org),
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
        fed: args.federation,
        kind,
        val,
        number: args
            .number
            .unwrap_or(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)),
        issued_at: now.as_secs(),
        holder: organisation(&client, &args.holder).await?,
        scope: args.resource,
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
    save(&args.out, &file)?;
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

fn save(path: &Path, file: &CouponFile) -> Outcome {
    let text = serde_json::to_string_pretty(file)?;
    std::fs::write(path, text + "\n").map_err(|error| cannot("write", path, error))
}

fn load(path: &Path) -> Outcome<CouponFile> {
    let text = read_text(path, COUPON_FILE_BYTES_MAX)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::from(error)
            .during(path.display())
            .hint("is this a file of `medina coupon issue` or `offer`?")
    })
}

async fn accept(args: AcceptArgs, output: Output) -> Outcome {
    let file = load(&args.file)?;
    let client = args.sender.connect().await?;
    let receipt = client.register_coupon(&file.coupon, file.signature).await?;
    let value = json!({ "key": file.coupon.key(), "transaction": values::transaction(&receipt) });
    output.result(&value, || {
        described(&file.coupon) + &values::transaction_line(&receipt)
    });
    Ok(())
}

async fn consume(args: ConsumeArgs, output: Output) -> Outcome {
    let file = load(&args.file)?;
    let client = args.sender.connect().await?;
    let key = file.coupon.key();
    let uses = client.coupon_uses(key).await? + 1;
    let signature = client.sign_use(UseRequest {
        key,
        resource: args.resource,
        uses,
    })?;
    let buyer = GatewayBuyer::new(&args.gateway)?;
    let session = buyer
        .open_session_with_coupon(&file.coupon, args.resource, signature)
        .await?;
    let delivery = buyer
        .fetch_verified(&client, &session, Target::Resource(args.resource))
        .await?;
    let status = client.coupon_status(&file.coupon).await?;
    let value =
        json!({ "key": key, "uses": uses, "verified": delivery.readings.len(), "status": status });
    output.result(&value, || {
        let count = delivery.readings.len();
        let state = coupon_state_text(status.state);
        format!("use {uses} of coupon {key}: {count} readings, every one proven; the coupon is now {state}")
    });
    Ok(())
}

async fn show(args: ShowArgs, output: Output) -> Outcome {
    let file = load(&args.file)?;
    let client = connect(&args.rpc.rpc).await?;
    let status = client.coupon_status(&file.coupon).await?;
    let value = json!({ "key": file.coupon.key(), "coupon": file.coupon, "status": status });
    output.result(&value, || {
        described(&file.coupon)
            + &pairs([
                ("state", coupon_state_text(status.state).to_owned()),
                ("uses left", status.remaining_uses.to_string()),
                ("seconds left", status.remaining_seconds.to_string()),
            ])
    });
    Ok(())
}
