//! `medina federation propose`, `vote` and `execute`: what members decide together.

use super::{ShowArgs, connected, promise, promise_text};
use crate::{
    errors::Outcome,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, U256, keccak256};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::client::{
    Constraint, FederationBallot, FederationChange, MarketClient, PolicyTerms,
};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum ProposeCommand {
    /// Another name
    Rename(RenameArgs),
    /// Another information model
    InfoModel(InfoModelArgs),
    /// Other promises; everybody accepts anew, policies end
    Promises(PromisesArgs),
    /// End a membership
    Expel(OrgArgs),
    /// How many members must agree
    Quorum(QuorumArgs),
    /// End the federation
    Remove(FederationArgs),
    /// Invite an organisation, where that needs a ballot
    Invite(OrgArgs),
    /// What a broken promise costs
    Policy(PolicyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FederationArgs {
    /// The federation: id or name
    federation: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// The federation: id or name
    federation: String,
    /// The new name; only its hash is stored, and the id stays
    #[arg(value_parser = values::name)]
    name: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InfoModelArgs {
    /// The federation: id or name
    federation: String,
    /// The model: a text, @FILE or hash
    #[arg(value_parser = values::hashed)]
    model: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PromisesArgs {
    /// The federation: id or name
    federation: String,
    /// What members promise, such as "availability>=95% per 1d"; may be repeated
    #[arg(long, value_name = "PROMISE", value_parser = promise)]
    promise: Vec<Constraint>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OrgArgs {
    /// The federation: id or name
    federation: String,
    /// The organisation: id, name, or an account of it
    org: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QuorumArgs {
    /// The federation: id or name
    federation: String,
    /// Percent of the members; 0 is more than half, and any member invites
    #[arg(value_name = "PERCENT", value_parser = values::percent)]
    quorum: u16,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// The federation: id or name
    federation: String,
    /// Which promise: its number in `medina federation show`
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    constraint: u8,
    /// Breaches that make a violation
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    breaches: u8,
    /// Within how long
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "30d")]
    within: u32,
    /// Violations that cost the penalty
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    violations: u8,
    /// Within how long
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "30d")]
    violations_within: u32,
    /// What it costs
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    penalty: u128,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VoteArgs {
    /// The ballot's number
    ballot: U256,
    /// The vote
    #[arg(value_enum)]
    vote: YesNo,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    Yes,
    No,
}

#[derive(Debug, Args)]
pub(crate) struct ExecuteArgs {
    /// The ballot's number
    ballot: U256,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(super) async fn propose(command: ProposeCommand, output: Output) -> Outcome {
    match command {
        ProposeCommand::Rename(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let name = keccak256(&args.name);
            open(&client, fed, FederationChange::Rename { name }, output).await
        }
        ProposeCommand::InfoModel(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let model = args.model;
            open(&client, fed, FederationChange::InfoModel { model }, output).await
        }
        ProposeCommand::Promises(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let constraints = args.promise;
            open(
                &client,
                fed,
                FederationChange::Constraints { constraints },
                output,
            )
            .await
        }
        ProposeCommand::Expel(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let org = ids::find(&client, Thing::Org, &args.org).await?;
            open(&client, fed, FederationChange::Expel { org }, output).await
        }
        ProposeCommand::Quorum(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let quorum = args.quorum;
            open(&client, fed, FederationChange::Quorum { quorum }, output).await
        }
        ProposeCommand::Remove(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            open(&client, fed, FederationChange::Remove, output).await
        }
        ProposeCommand::Invite(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let org = ids::find(&client, Thing::Org, &args.org).await?;
            open(&client, fed, FederationChange::Invite { org }, output).await
        }
        ProposeCommand::Policy(args) => {
            let (client, fed) = connected(&args.sender, &args.federation).await?;
            let terms = PolicyTerms {
                constraint: args.constraint,
                count: args.breaches,
                interval: args.within,
                penalty_count: args.violations,
                penalty_interval: args.violations_within,
                amount: args.penalty,
            };
            open(&client, fed, FederationChange::Policy { terms }, output).await
        }
    }
}

/// Opens a ballot and says yes to it: who proposes is for it.
async fn open(
    client: &MarketClient,
    fed: B256,
    change: FederationChange,
    output: Output,
) -> Outcome {
    let (ballot, proposed) = client.propose_federation(fed, &change).await?;
    let voted = client.vote_federation(ballot, true).await?;
    let facts = json!({
        "ballot": ballot.to_string(),
        "federation": fed,
        "change": change_text(&change),
        "next": format!(
            "the others: medina federation vote {ballot} yes; then medina federation execute {ballot}"
        ),
    });
    show::sent_all(output, facts, &[proposed, voted]);
    Ok(())
}

pub(super) async fn vote(args: &VoteArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let yes = args.vote == YesNo::Yes;
    let receipt = client.vote_federation(args.ballot, yes).await?;
    let facts =
        json!({ "ballot": args.ballot.to_string(), "vote": if yes { "yes" } else { "no" } });
    show::sent(output, facts, &receipt);
    Ok(())
}

pub(super) async fn execute(args: &ExecuteArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let receipt = client.execute_federation(args.ballot).await?;
    let facts = json!({ "ballot": args.ballot.to_string(), "state": "executed" });
    show::sent(output, facts, &receipt);
    Ok(())
}

pub(super) async fn list(args: &ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let fed = ids::find(&client, Thing::Federation, &args.federation).await?;
    let found = client.federation_ballots(fed).await?;
    let rows: Vec<_> = found.iter().map(ballot_json).collect();
    let columns = ["ballot", "change", "yes", "no", "state"];
    show::list(output, &rows, &columns, "there are no ballots");
    Ok(())
}

fn ballot_json(found: &FederationBallot) -> Value {
    let change = found.change.as_ref();
    json!({
        "ballot": found.ballot.to_string(),
        "change": change.map_or_else(|| "unknown to this version".to_owned(), change_text),
        "yes": found.yes,
        "no": found.no,
        "state": if found.is_executed { "executed" } else { "open" },
    })
}

fn change_text(change: &FederationChange) -> String {
    let short = |id: &B256| show::short(&id.to_string());
    match change {
        FederationChange::Rename { name } => format!("rename to {}", short(name)),
        FederationChange::InfoModel { model } => format!("information model {}", short(model)),
        FederationChange::Constraints { constraints } => {
            let promises: Vec<_> = constraints.iter().map(promise_text).collect();
            format!("promise {}", promises.join("; "))
        }
        FederationChange::Expel { org } => format!("expel {}", short(org)),
        FederationChange::Quorum { quorum } => format!("quorum {}%", values::points(*quorum)),
        FederationChange::Remove => "end the federation".to_owned(),
        FederationChange::Invite { org } => format!("invite {}", short(org)),
        FederationChange::Policy { terms } => format!(
            "{} violations of promise {} cost {}",
            terms.penalty_count,
            terms.constraint,
            values::money(terms.amount)
        ),
    }
}
