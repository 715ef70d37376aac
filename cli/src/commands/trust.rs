//! `medina trust`: trust in sensors, reputation of organisations, and what is said about ratings.

use crate::{
    args::RpcArgs,
    commands::since_epoch,
    errors::Outcome,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, U256};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Show trust in a sensor, or an organisation's reputation
    Show(ShowArgs),
    /// Count what a sensor has anchored since the last time
    Refresh(RefreshArgs),
    /// Compute the own organisation's trust in sensors
    Adapt(AdaptArgs),
    /// Answer a rating, as the seller
    Respond(SayArgs),
    /// Ask readers to hide a rating's comment, as a Moderator
    Hide(SayArgs),
    /// Report how long a sensor that does not anchor was up, as a monitor
    Uptime(UptimeArgs),
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["sensor", "org"])]
pub(crate) struct ShowArgs {
    /// A sensor: id, complete or short
    #[arg(long, value_name = "ID")]
    sensor: Option<String>,
    /// An organisation: id, name, or an account of it
    #[arg(long)]
    org: Option<String>,
    /// Who looks: adds that organisation's own trust in the sensor
    #[arg(long, value_name = "ORG", requires = "sensor")]
    observer: Option<String>,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RefreshArgs {
    /// The sensor: id, complete or short
    sensor: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AdaptArgs {
    /// The sensors: ids, complete or short
    #[arg(required = true)]
    sensors: Vec<String>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// The order's number
    order: U256,
    /// What is said: a text, @FILE or hash; only the hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    text: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UptimeArgs {
    /// The sensor: id, complete or short
    sensor: String,
    /// How long it was up since the last report
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    up: u32,
    /// How long it was down
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "0")]
    down: u32,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) async fn run(command: TrustCommand, output: Output) -> Outcome {
    match command {
        TrustCommand::Show(args) => show(&args, output).await,
        TrustCommand::Refresh(args) => {
            let client = args.sender.connect().await?;
            let sensor = ids::find(&client, Thing::Sensor, &args.sensor).await?;
            let receipt = client.refresh_trust(sensor).await?;
            let trust = client.resource_trust(sensor).await?.known();
            let facts = json!({ "sensor": sensor, "trust": trust.map(values::points) });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        TrustCommand::Adapt(args) => {
            let client = args.sender.connect().await?;
            let sensors = ids::find_all(&client, Thing::Sensor, &args.sensors).await?;
            let receipt = client.refresh_adaptive(&sensors).await?;
            let own = client.own_org().await?;
            let mut found = Vec::new();
            for sensor in sensors {
                let trust = client.adaptive_trust(own, sensor).await?;
                found.push(json!({ "sensor": sensor, "trust": trust.map(values::points) }));
            }
            show::sent(
                output,
                json!({ "observer": own, "sensors": found }),
                &receipt,
            );
            Ok(())
        }
        TrustCommand::Respond(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.respond_rating(args.order, args.text).await?;
            let facts = json!({ "order": args.order.to_string(), "reply": args.text });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        TrustCommand::Hide(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.hide_rating(args.order, args.text).await?;
            let facts = json!({ "order": args.order.to_string(), "reason": args.text });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        TrustCommand::Uptime(args) => {
            let client = args.sender.connect().await?;
            let sensor = ids::find(&client, Thing::Sensor, &args.sensor).await?;
            let receipt = client.report_uptime(sensor, args.up, args.down).await?;
            show::sent(output, json!({ "sensor": sensor }), &receipt);
            Ok(())
        }
    }
}

async fn show(args: &ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let score = |score: medina_sdk::client::Score| {
        json!({
            "score": values::points_or_unknown(score.known()),
            "confidence": values::points(score.confidence),
        })
    };
    let now = since_epoch().as_secs();
    let mut facts = json!({ "at": now });
    if let Some(text) = &args.sensor {
        let sensor = ids::find(&client, Thing::Sensor, text).await?;
        let org = client.sensor(sensor).await?.org;
        facts["sensor"] = json!(sensor);
        facts["org"] = json!(org);
        facts["trust"] = score(client.resource_trust(sensor).await?);
        facts["reputation"] = score(client.platform_reputation(org).await?);
        if let Some(observer) = &args.observer {
            let observer = ids::find(&client, Thing::Org, observer).await?;
            let trust = client.adaptive_trust(observer, sensor).await?;
            facts["trustOfObserver"] = json!(values::points_or_unknown(trust));
        }
    }
    if let Some(text) = &args.org {
        let org = ids::find(&client, Thing::Org, text).await?;
        facts["org"] = json!(org);
        facts["reputation"] = score(client.platform_reputation(org).await?);
        facts["refusedAccesses"] = json!(client.misdeeds(org).await?);
    }
    show::facts(output, &facts);
    Ok(())
}
