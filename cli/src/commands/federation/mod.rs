//! `medina federation`: platforms that share sensors; coupons need one.

mod ballots;
mod reports;

use crate::{
    args::RpcArgs,
    commands::sensor::Kind,
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, keccak256};
use clap::{Args, Subcommand};
use medina_sdk::client::{
    Constraint, FederationRecord, FederationTerms, MarketClient, MembershipRecord, ResourceType,
    WishRecord,
};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum FederationCommand {
    /// Found a federation and invite organisations
    Create(CreateArgs),
    /// Show the federations
    List(RpcArgs),
    /// Show a federation: members, promises, shared sensors
    Show(ShowArgs),
    /// Invite an organisation
    Invite(InviteArgs),
    /// Join a federation one was invited to, or accept its new terms
    Accept(OneArgs),
    /// Decline an invitation
    Decline(OneArgs),
    /// Share a sensor with a federation
    Share(ShareArgs),
    /// Take a sensor back
    Unshare(ShareArgs),
    /// Leave; the own shares end
    Leave(OneArgs),
    /// End the membership of who did not accept new terms or is no more
    Lapse(InviteArgs),
    /// Tell the others what one looks for
    Subscribe(SubscribeArgs),
    /// Ask whether an organisation may read a sensor through the federation
    Access(AccessArgs),
    /// Open a ballot on the federation's terms, and vote yes
    #[command(subcommand)]
    Propose(ballots::ProposeCommand),
    /// Vote in a ballot
    Vote(ballots::VoteArgs),
    /// Execute a ballot that has passed
    Execute(ballots::ExecuteArgs),
    /// Show ballots
    Ballots(ShowArgs),
    /// Report an access that was refused although it was due
    Report(reports::ReportArgs),
    /// Sign a report as the side that refused
    Countersign(reports::FileArgs),
    /// Sign to have got what one asked for
    Receipt(reports::ReceiptArgs),
    /// Answer a false report with the client's receipt
    Rebut(reports::RebutArgs),
    /// Count a report that nobody has rebutted in time
    Settle(reports::SettleArgs),
    /// Show reports of refused accesses
    Reports(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name; its hash is the federation's id and all that is stored
    #[arg(long, value_parser = values::name)]
    name: String,
    /// Organisation to invite: id, name, or an account of it; may be repeated
    #[arg(long, value_name = "ORG")]
    invite: Vec<String>,
    /// What members promise, such as "availability>=95% per 1d"; may be repeated
    #[arg(long, value_name = "PROMISE", value_parser = promise)]
    promise: Vec<Constraint>,
    /// Anyone may join without an invitation
    #[arg(long)]
    open: bool,
    /// How many members must agree, in percent [default: more than half, and any member invites]
    #[arg(long, value_name = "PERCENT", value_parser = values::percent, default_value = "0", hide_default_value = true)]
    quorum: u16,
    /// Information model of the federation: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::hashed, default_value_t = B256::ZERO, hide_default_value = true)]
    info_model: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The federation: id or name
    federation: String,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// The federation: id or name
    federation: String,
    /// The organisation: id, name, or an account of it
    org: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The federation: id or name
    federation: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// The federation: id or name
    federation: String,
    /// The sensor: id, complete or short; may be repeated
    #[arg(long, value_name = "ID", required = true)]
    resource: Vec<String>,
    /// Against coupons only
    #[arg(long)]
    bartered: bool,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// The federation: id or name
    federation: String,
    /// What is observed; may be repeated
    #[arg(long, value_name = "NAME", value_parser = values::name)]
    property: Vec<String>,
    /// What kind of thing; may be repeated
    #[arg(long, value_enum)]
    kind: Vec<Kind>,
    /// Around which place, as LATITUDE,LONGITUDE
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    near: Option<String>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The federation: id or name
    federation: String,
    /// The sensor: id, complete or short
    #[arg(long, value_name = "ID")]
    resource: String,
    /// Who wants to read: id, name, or an account
    #[arg(long)]
    org: String,
    #[command(flatten)]
    rpc: RpcArgs,
}

/// Metrics by name.
const METRICS: [(&str, u8); 2] = [("availability", 0), ("load", 1)];
/// Comparisons, the longer ones first.
const COMPARISONS: [(&str, u8); 5] = [(">=", 1), ("<=", 4), (">", 0), ("<", 3), ("=", 2)];
/// Seconds of a day.
const DAY: u64 = 86_400;

/// Reads `availability>=95% per 7d`: a metric, a comparison, a threshold, the length of a window.
fn promise(text: &str) -> Result<Constraint, String> {
    let wrong =
        || "write a promise like \"availability>=95% per 7d\" or \"load<80 per 1h\"".to_owned();
    let (rule, window) = text.split_once(" per ").unwrap_or((text, "1d"));
    let found = COMPARISONS.iter().find_map(|(sign, number)| {
        rule.split_once(sign)
            .map(|(left, right)| (left, *number, right))
    });
    let (metric, comparator, threshold) = found.ok_or_else(wrong)?;
    let metric = metric.trim().to_lowercase();
    let known = METRICS.iter().find(|(name, _)| *name == metric);
    let metric = match known {
        Some((_, number)) => *number,
        None => metric.parse().map_err(|_| wrong())?,
    };
    let days = match u64::from(values::duration(window.trim())?) {
        3_600 => 0,
        seconds if seconds > 0 && seconds % DAY == 0 => {
            u16::try_from(seconds / DAY).map_err(|_| wrong())?
        }
        _ => return Err("windows are 1h, or whole days such as 7d".to_owned()),
    };
    Ok(Constraint {
        metric,
        comparator,
        threshold: super::sla::measured(threshold.trim())?,
        days,
        types: 0,
    })
}

/// A promise in words.
fn promise_text(constraint: &Constraint) -> String {
    let named = METRICS
        .iter()
        .find(|(_, number)| *number == constraint.metric);
    let metric = named.map_or_else(
        || constraint.metric.to_string(),
        |(name, _)| (*name).to_owned(),
    );
    let sign = COMPARISONS
        .iter()
        .find(|(_, number)| *number == constraint.comparator)
        .map_or("?", |(sign, _)| sign);
    let threshold = match (constraint.metric, u16::try_from(constraint.threshold)) {
        (0, Ok(basis_points)) => format!("{}%", values::points(basis_points)),
        _ => constraint.threshold.to_string(),
    };
    let window = match constraint.days {
        0 => "1h".to_owned(),
        days => format!("{days}d"),
    };
    format!("{metric}{sign}{threshold} per {window}")
}

pub(crate) async fn run(command: FederationCommand, output: Output) -> Outcome {
    match command {
        FederationCommand::Create(args) => found(&args, output).await,
        FederationCommand::List(args) => list(&args, output).await,
        FederationCommand::Show(args) => show_one(&args, output).await,
        FederationCommand::Invite(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let org = ids::find(&client, Thing::Org, &args.org).await?;
            let receipt = client.invite_to_federation(fed, org).await?;
            show::sent(
                output,
                json!({ "federation": fed, "invited": org }),
                &receipt,
            );
            Ok(())
        }
        FederationCommand::Accept(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let receipt = client.join_federation(fed).await?;
            let version = client.federation(fed).await?.version;
            show::sent(
                output,
                json!({ "federation": fed, "version": version }),
                &receipt,
            );
            Ok(())
        }
        FederationCommand::Decline(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let receipt = client.decline_federation(fed).await?;
            show::sent(
                output,
                json!({ "federation": fed, "state": "declined" }),
                &receipt,
            );
            Ok(())
        }
        FederationCommand::Share(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let resources = ids::find_all(&client, Thing::Sensor, &args.resource).await?;
            let receipts = client
                .share_resources(fed, &resources, args.bartered)
                .await?;
            let facts =
                json!({ "federation": fed, "shared": resources, "bartered": args.bartered });
            show::sent_all(output, facts, &receipts);
            Ok(())
        }
        FederationCommand::Unshare(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let resources = ids::find_all(&client, Thing::Sensor, &args.resource).await?;
            let receipts = client.unshare_resources(fed, &resources).await?;
            let facts = json!({ "federation": fed, "unshared": resources });
            show::sent_all(output, facts, &receipts);
            Ok(())
        }
        FederationCommand::Leave(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let receipt = client.leave_federation(fed).await?;
            show::sent(
                output,
                json!({ "federation": fed, "state": "left" }),
                &receipt,
            );
            Ok(())
        }
        FederationCommand::Lapse(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let org = ids::find(&client, Thing::Org, &args.org).await?;
            let receipt = client.lapse_membership(fed, org).await?;
            show::sent(
                output,
                json!({ "federation": fed, "lapsed": org }),
                &receipt,
            );
            Ok(())
        }
        FederationCommand::Subscribe(args) => subscribe(&args, output).await,
        FederationCommand::Access(args) => access(&args, output).await,
        FederationCommand::Propose(command) => ballots::propose(command, output).await,
        FederationCommand::Vote(args) => ballots::vote(&args, output).await,
        FederationCommand::Execute(args) => ballots::execute(&args, output).await,
        FederationCommand::Ballots(args) => ballots::list(&args, output).await,
        FederationCommand::Report(args) => reports::report(&args, output).await,
        FederationCommand::Countersign(args) => reports::countersign(&args, output).await,
        FederationCommand::Receipt(args) => reports::receipt(&args, output).await,
        FederationCommand::Rebut(args) => reports::rebut(&args, output).await,
        FederationCommand::Settle(args) => reports::settle(&args, output).await,
        FederationCommand::Reports(args) => reports::list(&args, output).await,
    }
}

async fn connected(sender: &SenderArgs, federation: &str) -> Outcome<(MarketClient, B256)> {
    let client = sender.connect_several().await?;
    let fed = ids::find(&client, Thing::Federation, federation).await?;
    Ok((client, fed))
}

async fn found(args: &CreateArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let id = keccak256(&args.name);
    if args.open && !args.invite.is_empty() {
        return Err(Failure::new("an open federation needs no invitations")
            .hint("leave --open or --invite out"));
    }
    let terms = FederationTerms {
        id,
        name: id,
        open: args.open,
        quorum: args.quorum,
        info_model: args.info_model,
        constraints: args.promise.clone(),
        invites: ids::find_all(&client, Thing::Org, &args.invite).await?,
    };
    let receipt = client.found_federation(&terms).await?;
    let promises: Vec<_> = args.promise.iter().map(promise_text).collect();
    let facts = json!({
        "federation": id, "name": args.name, "invited": terms.invites, "promises": promises,
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

fn federation_json(id: B256, found: &FederationRecord) -> Value {
    json!({
        "federation": id,
        "members": found.members,
        "version": found.version,
        "open": found.open,
        "quorum": match found.quorum {
            0 => "more than half".to_owned(),
            share => format!("{}%", values::points(share)),
        },
        "created": found.created,
        "removed": (found.removed != 0).then_some(found.removed),
    })
}

async fn list(args: &RpcArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc).await?;
    let mut rows = Vec::new();
    for id in client.federation_ids().await? {
        rows.push(federation_json(id, &client.federation(id).await?));
    }
    let columns = [
        "federation",
        "members",
        "version",
        "open",
        "quorum",
        "created",
        "removed",
    ];
    show::list(output, &rows, &columns, "there are no federations");
    Ok(())
}

async fn show_one(args: &ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let mut facts = federation_json(fed, &client.federation(fed).await?);
    let promises = client.constraints(fed).await?;
    let promise = |(number, constraint): (usize, &Constraint)| json!({ "constraint": number, "promise": promise_text(constraint) });
    facts["promises"] = json!(promises.iter().enumerate().map(promise).collect::<Vec<_>>());
    let member = |found: &MembershipRecord| {
        json!({
            "org": found.org, "joined": found.joined, "accepted": found.version,
            "member": found.is_member, "left": found.left,
        })
    };
    let members = client.memberships(fed).await?;
    facts["organisations"] = json!(members.iter().map(member).collect::<Vec<_>>());
    facts["shares"] = json!(client.shares(fed).await?);
    let wish = |found: &WishRecord| {
        json!({
            "org": found.org, "kinds": kinds_of(found.types), "properties": found.topics,
            "cells": found.cells,
        })
    };
    let wishes = client.federation_wishes(fed).await?;
    facts["lookedFor"] = json!(wishes.iter().map(wish).collect::<Vec<_>>());
    show::facts(output, &facts);
    Ok(())
}

/// Kinds of resources of a mask, in words.
fn kinds_of(types: u8) -> Vec<String> {
    let named = (0_u8..8).filter(|bit| types & (1 << bit) != 0);
    let word = |bit| values::word(&ResourceType::try_from(bit).map_err(|_| bit));
    named.map(word).collect()
}

async fn subscribe(args: &SubscribeArgs, output: Output) -> Outcome {
    let (client, fed) = connected(&args.sender, &args.federation).await?;
    let topics: Vec<_> = args
        .property
        .iter()
        .map(|name| values::topic(name))
        .collect();
    let cells: Vec<_> = match &args.near {
        Some(text) => {
            let (latitude, longitude) = medina_sdk::place::parse_place(text)?;
            vec![medina_sdk::place::cell_of(latitude, longitude)?]
        }
        None => Vec::new(),
    };
    let kinds = args
        .kind
        .iter()
        .map(|kind| 1 << u8::from(ResourceType::from(*kind)));
    let types = kinds.fold(0, |types: u8, bit: u8| types | bit);
    let receipt = client
        .subscribe_federation(fed, types, topics, cells.clone())
        .await?;
    let facts = json!({
        "federation": fed, "kinds": kinds_of(types), "properties": args.property, "cells": cells,
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn access(args: &AccessArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let resource = ids::find(&client, Thing::Sensor, &args.resource).await?;
    let org = ids::find(&client, Thing::Org, &args.org).await?;
    let (allowed, bartered) = client.federation_access(fed, resource, org).await?;
    let facts =
        json!({ "allowed": allowed, "bartered": bartered, "resource": resource, "org": org });
    show::facts(output, &facts);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_read_back_from_their_words() {
        for (text, metric, comparator, threshold, days) in [
            ("availability>=95% per 7d", 0, 1, 9_500, 7),
            ("availability > 99.5%", 0, 0, 9_950, 1),
            ("load<80 per 1h", 1, 3, 80, 0),
            ("7=-3 per 2w", 7, 2, -3, 14),
            ("load<=5", 1, 4, 5, 1),
        ] {
            let expected = Constraint {
                metric,
                comparator,
                threshold,
                days,
                types: 0,
            };
            assert_eq!(promise(text), Ok(expected), "{text}");
            assert_eq!(promise(&promise_text(&expected)), Ok(expected));
        }
        for text in [
            "",
            "availability",
            "speed>3",
            "load<80 per 5m",
            "availability>=101%",
        ] {
            assert!(promise(text).is_err(), "{text}");
        }
    }
}
