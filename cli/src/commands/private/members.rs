//! `medina private members`: who is in a group, and votes to change that.

use super::{
    access::{self, ReaderArgs},
    groups::vote_facts,
};
use crate::{
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::Output,
    show,
    signer::SenderArgs,
};
use clap::{Args, Subcommand};
use medina_sdk::private::{Groups, MemberRecord};
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct MembersArgs {
    #[command(subcommand)]
    command: Option<MembersCommand>,
    /// The group: id, its first digits, or name
    group: Option<String>,
    #[command(flatten)]
    reader: ReaderArgs,
}

#[derive(Debug, Subcommand)]
enum MembersCommand {
    /// Propose to add an organisation, and vote for it
    Add(ChangeArgs),
    /// Propose to remove an organisation, and vote for it
    Remove(ChangeArgs),
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// The group: id, its first digits, or name
    group: String,
    /// The organisation: id, name, or an account of it
    org: String,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(super) async fn run(args: MembersArgs, output: Output) -> Outcome {
    match args.command {
        None => list(&args, output).await,
        Some(MembersCommand::Add(args)) => change(&args, true, output).await,
        Some(MembersCommand::Remove(args)) => change(&args, false, output).await,
    }
}

async fn list(args: &MembersArgs, output: Output) -> Outcome {
    let Some(group) = &args.group else {
        return Err(
            Failure::new("of which group?").hint("name it: `medina private groups` shows them")
        );
    };
    let client = args.reader.chain().await?;
    let group = access::group(&client, group).await?;
    let found = Groups::of(&client)?.members(group).await?;
    let rows: Vec<_> = found.iter().map(row).collect();
    let columns = [
        "organisation",
        "node",
        "epoch",
        "sinceBlock",
        "mandatory",
        "anchoredAt",
    ];
    show::list(output, &rows, &columns, "it has no members");
    Ok(())
}

fn row(member: &MemberRecord) -> Value {
    json!({
        "organisation": member.org,
        "node": member.party.node_key,
        "identityKey": member.party.identity_key,
        "encryptionKey": member.key.map(|key| key.key),
        "epoch": member.key.map_or_else(|| json!("none"), |key| json!(key.epoch)),
        "sinceBlock": member.since_block,
        "mandatory": member.is_mandatory,
        "anchoredAt": member.anchored.map(|state| state.height),
        "anchoredRoot": member.anchored.map(|state| state.root),
    })
}

async fn change(args: &ChangeArgs, is_admission: bool, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let group = access::group(&client, &args.group).await?;
    let org = ids::find(&client, Thing::Org, &args.org).await?;
    let groups = Groups::of(&client)?;
    let receipt = if is_admission {
        groups.propose_member(group, org).await?
    } else {
        groups.propose_removal(group, org).await?
    };
    show::sent(output, vote_facts(&client, group, org).await?, &receipt);
    Ok(())
}
