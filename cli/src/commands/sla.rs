//! `medina sla`: bonds behind a federation's promises, what was measured, what it cost.

use crate::{
    args::RpcArgs,
    errors::Outcome,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::U256;
use clap::{Args, Subcommand};
use medina_sdk::client::{PenaltyRecord, SlaReading, ViolationRecord};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum SlaCommand {
    /// Put money behind the own organisation's promises
    Bond(BondArgs),
    /// Get a bond back, 7 days after the organisation has left
    Unbond(OrgArgs),
    /// Report what was measured in a window, as a monitor or consumer
    Report(ReportArgs),
    /// Judge a sensor's availability by what it has anchored
    Evaluate(EvaluateArgs),
    /// Show how an organisation keeps its promises
    Show(ShowArgs),
    /// Show the broken promises of a federation
    Violations(FederationArgs),
    /// Show what broken promises cost
    Penalties(FederationArgs),
    /// Pay a penalty out once nobody can pardon it
    Collect(PenaltyArgs),
    /// Give a penalty back, as an arbiter
    Pardon(PenaltyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BondArgs {
    /// The federation: id or name
    federation: String,
    /// How much
    #[arg(value_name = "TOKENS", value_parser = values::tokens)]
    amount: u128,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OrgArgs {
    /// The federation: id or name
    federation: String,
    /// The organisation: id, name, or an account of it
    #[arg(long, default_value = "me")]
    org: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The federation: id or name
    federation: String,
    /// The sensor: id, complete or short
    #[arg(long, value_name = "ID")]
    sensor: String,
    /// Which promise: its number in `medina federation show`
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    constraint: u8,
    /// What was measured: availability in percent (99.5%), other metrics as plain numbers
    #[arg(long, allow_hyphen_values = true, value_parser = measured)]
    value: i64,
    /// Start of the window
    #[arg(long, value_name = "TIME", value_parser = values::when)]
    from: u64,
    /// End of the window
    #[arg(long, value_name = "TIME", value_parser = values::when)]
    to: u64,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The federation: id or name
    federation: String,
    /// The sensor: id, complete or short
    #[arg(long, value_name = "ID")]
    sensor: String,
    /// Which promise: its number in `medina federation show`
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    constraint: u8,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The federation: id or name
    federation: String,
    /// The organisation: id, name, or an account of it [default: every member]
    org: Option<String>,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FederationArgs {
    /// The federation: id or name
    federation: String,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PenaltyArgs {
    /// The penalty's number
    penalty: U256,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Reads `99.5%` into basis points, other numbers as they are.
pub(crate) fn measured(text: &str) -> Result<i64, String> {
    match text.strip_suffix('%') {
        Some(percent) => values::percent(percent).map(i64::from),
        None => text
            .parse()
            .map_err(|_| "expected a whole number, or a percentage such as 99.5%".to_owned()),
    }
}

pub(crate) async fn run(command: SlaCommand, output: Output) -> Outcome {
    match command {
        SlaCommand::Bond(args) => bond(&args, output).await,
        SlaCommand::Unbond(args) => {
            let client = args.sender.connect().await?;
            let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
            let org = ids::find(&client, Thing::Org, &args.org).await?;
            let receipt = client.unbond(fed, org).await?;
            show::sent(output, json!({ "federation": fed, "org": org }), &receipt);
            Ok(())
        }
        SlaCommand::Report(args) => report(&args, output).await,
        SlaCommand::Evaluate(args) => evaluate(&args, output).await,
        SlaCommand::Show(args) => {
            let client = connect(&args.rpc.rpc).await?;
            let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
            let Some(org) = &args.org else {
                return all_members(&client, fed, output).await;
            };
            let org = ids::find(&client, Thing::Org, org).await?;
            let facts = summary(&client, fed, org).await?;
            show::facts(output, &facts);
            Ok(())
        }
        SlaCommand::Violations(args) => {
            let client = connect(&args.rpc.rpc).await?;
            let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
            let found = client.violations(fed).await?;
            let rows: Vec<_> = found.iter().map(violation_json).collect();
            let columns = ["resource", "org", "constraint", "value", "from", "to"];
            show::list(output, &rows, &columns, "no promise was broken");
            Ok(())
        }
        SlaCommand::Penalties(args) => {
            let client = connect(&args.rpc.rpc).await?;
            let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
            let found = client.penalties(fed).await?;
            let rows: Vec<_> = found.iter().map(penalty_json).collect();
            let columns = ["penalty", "org", "amount", "state"];
            show::list(output, &rows, &columns, "there are no penalties");
            Ok(())
        }
        SlaCommand::Collect(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.collect_penalty(args.penalty).await?;
            let facts = json!({ "penalty": args.penalty.to_string(), "state": "collected" });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        SlaCommand::Pardon(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.pardon_penalty(args.penalty).await?;
            let facts = json!({ "penalty": args.penalty.to_string(), "state": "pardoned" });
            show::sent(output, facts, &receipt);
            Ok(())
        }
    }
}

async fn summary(
    client: &medina_sdk::client::MarketClient,
    fed: alloy_primitives::B256,
    org: alloy_primitives::B256,
) -> Outcome<Value> {
    let found = client.sla_summary(fed, org).await?;
    Ok(json!({
        "federation": fed,
        "org": org,
        "reports": found.reports,
        "breaches": found.breaches,
        "violations": found.violations,
        "bonded": found.bonded.to_string(),
    }))
}

async fn all_members(
    client: &medina_sdk::client::MarketClient,
    fed: alloy_primitives::B256,
    output: Output,
) -> Outcome {
    let mut rows = Vec::new();
    for member in client.memberships(fed).await? {
        rows.push(summary(client, fed, member.org).await?);
    }
    let columns = ["org", "reports", "breaches", "violations", "bonded"];
    show::list(output, &rows, &columns, "the federation has no members");
    Ok(())
}

fn violation_json(found: &ViolationRecord) -> Value {
    json!({
        "federation": found.fed,
        "resource": found.resource,
        "org": found.org,
        "constraint": found.constraint,
        "value": found.value,
        "from": found.from,
        "to": found.to,
    })
}

fn penalty_json(found: &PenaltyRecord) -> Value {
    let state = match (found.is_pardoned, found.is_collected) {
        (true, _) => "pardoned",
        (false, true) => "collected",
        (false, false) => "held",
    };
    json!({
        "penalty": found.penalty.to_string(),
        "federation": found.fed,
        "org": found.org,
        "amount": found.amount.to_string(),
        "state": state,
    })
}

async fn bond(args: &BondArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let receipt = client.bond(fed, args.amount).await?;
    let facts = summary(&client, fed, client.own_org().await?).await?;
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn report(args: &ReportArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let reading = SlaReading {
        fed,
        resource: ids::find(&client, Thing::Sensor, &args.sensor).await?,
        constraint: args.constraint,
        value: args.value,
        from: args.from,
        to: args.to,
    };
    let receipts = client.report_sla(&[reading]).await?;
    let owner = client.sensor(reading.resource).await?.org;
    show::sent_all(output, summary(&client, fed, owner).await?, &receipts);
    Ok(())
}

async fn evaluate(args: &EvaluateArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let sensor = ids::find(&client, Thing::Sensor, &args.sensor).await?;
    let receipt = client.evaluate_sla(fed, sensor, args.constraint).await?;
    let owner = client.sensor(sensor).await?.org;
    show::sent(output, summary(&client, fed, owner).await?, &receipt);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_basis_points_and_numbers_are_themselves() {
        for (text, value) in [("99.5%", 9_950), ("100%", 10_000), ("-3", -3), ("17", 17)] {
            assert_eq!(measured(text), Ok(value), "{text}");
        }
        assert!(measured("101%").is_err() && measured("much").is_err());
    }
}
