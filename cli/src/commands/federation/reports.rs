//! `medina federation report`, `rebut` and what lies between: accesses that were refused although
//! they were due.

use super::ShowArgs;
use crate::{
    commands::since_epoch,
    errors::{Failure, Outcome},
    files,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, Bytes, U256};
use clap::Args;
use medina_sdk::client::{DenialReport, DeniedAccess, MarketClient};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What makes files for `countersign` and `report --file`.
const REPORT: &str = "medina federation report --out";
/// What makes files for `rebut`.
const RECEIPT: &str = "medina federation receipt";

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The federation: id or name; the sender signs as the client
    #[arg(required_unless_present = "file")]
    federation: Option<String>,
    /// The sensor that was asked for: id, complete or short
    #[arg(long, value_name = "ID", required_unless_present = "file")]
    resource: Option<String>,
    /// The request: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::hashed, required_unless_present = "file")]
    request: Option<B256>,
    /// Only sign, and write to a file: the other side signs it too, or one's platform brings it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    out: Option<PathBuf>,
    /// Bring this signed report
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The report's file, which gets the second signature
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReceiptArgs {
    /// The request that was answered: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::hashed)]
    request: B256,
    /// File for the receipt, which the platform keeps
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RebutArgs {
    /// The report's number
    report: U256,
    /// File of the client's receipt
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SettleArgs {
    /// The report's number
    report: U256,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Content of a report's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignedReport {
    denied: DeniedAccess,
    client_signature: Bytes,
    target_signature: Bytes,
}

/// Content of a receipt's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptFile {
    request: B256,
    receipt: Bytes,
}

pub(super) async fn report(args: &ReportArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let signed = match &args.file {
        Some(path) => files::load(path, REPORT)?,
        None => sign(&client, args).await?,
    };
    if let Some(path) = &args.out {
        files::save(path, &signed)?;
        let facts = json!({
            "request": signed.denied.request, "refusedBy": signed.denied.target_org, "writtenTo": path,
            "next": "within two minutes: medina federation report --file, with or without countersign",
        });
        show::facts(output, &facts);
        return Ok(());
    }
    let SignedReport {
        denied,
        client_signature,
        target_signature,
    } = signed;
    let counts_at_once = !target_signature.is_empty();
    let (number, receipt) = client
        .report_denied(&denied, client_signature, target_signature)
        .await?;
    let facts = json!({
        "report": number.to_string(),
        "refusedBy": denied.target_org,
        "resource": denied.resource,
        "counts": if counts_at_once {
            "at once, both have signed".to_owned()
        } else {
            format!("if nobody rebuts it within 24 hours: medina federation settle {number}")
        },
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn sign(client: &MarketClient, args: &ReportArgs) -> Outcome<SignedReport> {
    let missing = || Failure::new("what was refused? Give federation, --resource and --request");
    let federation = args.federation.as_deref().ok_or_else(missing)?;
    let resource = args.resource.as_deref().ok_or_else(missing)?;
    let resource = ids::find(client, Thing::Sensor, resource).await?;
    let now = since_epoch();
    let denied = DeniedAccess {
        fed: ids::find(client, Thing::Federation, federation).await?,
        resource,
        target_org: client.sensor(resource).await?.org,
        origin_org: client.own_org().await?,
        request: args.request.ok_or_else(missing)?,
        time: client.next_block_time().await?,
        number: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        client: client.account()?.address(),
    };
    Ok(SignedReport {
        client_signature: client.sign_denied(&denied, false)?,
        target_signature: Bytes::new(),
        denied,
    })
}

pub(super) async fn countersign(args: &FileArgs, output: Output) -> Outcome {
    let mut signed: SignedReport = files::load(&args.file, REPORT)?;
    let client = args.sender.connect().await?;
    signed.target_signature = client.sign_denied(&signed.denied, true)?;
    files::save(&args.file, &signed)?;
    let facts = json!({
        "request": signed.denied.request, "signedFor": signed.denied.target_org, "file": args.file,
    });
    show::facts(output, &facts);
    Ok(())
}

pub(super) async fn receipt(args: &ReceiptArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let receipt = client.sign_receipt(args.request, client.next_block_time().await?)?;
    let file = ReceiptFile {
        request: args.request,
        receipt,
    };
    files::save(&args.out, &file)?;
    show::facts(
        output,
        &json!({ "request": args.request, "writtenTo": args.out }),
    );
    Ok(())
}

pub(super) async fn rebut(args: &RebutArgs, output: Output) -> Outcome {
    let file: ReceiptFile = files::load(&args.receipt, RECEIPT)?;
    let client = args.sender.connect().await?;
    let receipt = client.rebut(args.report, file.receipt).await?;
    let facts = json!({ "report": args.report.to_string(), "state": "rebutted" });
    show::sent(output, facts, &receipt);
    Ok(())
}

pub(super) async fn settle(args: &SettleArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let receipt = client.settle_report(args.report).await?;
    let facts = json!({ "report": args.report.to_string(), "state": "counted" });
    show::sent(output, facts, &receipt);
    Ok(())
}

pub(super) async fn list(args: &ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let found = client.denial_reports(fed).await?;
    let rows: Vec<_> = found.iter().map(report_json).collect();
    let columns = ["report", "resource", "state"];
    show::list(output, &rows, &columns, "nothing was reported");
    Ok(())
}

fn report_json(found: &DenialReport) -> Value {
    json!({
        "report": found.report.to_string(),
        "resource": found.resource,
        "state": if found.is_rebutted { "rebutted" } else { "stands" },
    })
}
