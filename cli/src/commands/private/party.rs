//! `medina private party`: an organisation's presence on a node.

use super::access::{ReaderArgs, WriterArgs};
use crate::{
    errors::{Failure, Outcome},
    files,
    ids::{self, Thing},
    output::Output,
    show,
};
use alloy_primitives::{B256, Bytes};
use clap::{Args, Subcommand};
use medina_sdk::private::{Groups, PartyRecord, PrivateClient};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum PartyCommand {
    /// Show the party that the token acts as, and what the chain knows of it
    Show(ReaderArgs),
    /// Show the parties that are registered on the chain
    List(ListArgs),
    /// Register a party on the chain, or replace it: the organisation's admin signs
    Register(RegisterArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this organisation: id, name, or an account of it
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    #[command(flatten)]
    reader: ReaderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// What the node wrote for it (DATA/private/parties/NAME.json) [default: the party that the token acts as]
    file: Option<PathBuf>,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(super) async fn run(command: PartyCommand, output: Output) -> Outcome {
    match command {
        PartyCommand::Show(args) => show_own(&args, output).await,
        PartyCommand::List(args) => list(&args, output).await,
        PartyCommand::Register(args) => register(&args, output).await,
    }
}

async fn show_own(args: &ReaderArgs, output: Output) -> Outcome {
    let client = args.connect().await?;
    let own = client.party().await?;
    let on_chain = Groups::of(client.chain())?.party(own.org).await.ok();
    let is_registered = on_chain.is_some_and(|party| {
        (party.identity_key, party.node_key) == (own.identity_key, own.node_key)
    });
    let facts = json!({
        "name": own.name,
        "organisation": own.org,
        "identityKey": own.identity_key,
        "encryptionKey": own.encryption_key,
        "epoch": own.epoch,
        "node": own.node_key,
        "registered": is_registered,
    });
    show::facts(output, &facts);
    Ok(())
}

async fn list(args: &ListArgs, output: Output) -> Outcome {
    let client = args.reader.chain().await?;
    let groups = Groups::of(&client)?;
    let found = match &args.org {
        Some(org) => {
            let org = ids::find(&client, Thing::Org, org).await?;
            vec![groups.party(org).await?]
        }
        None => groups.parties().await?,
    };
    let mut rows = Vec::new();
    for party in found {
        let key = groups.key(party.org).await?;
        rows.push(row(&party, key.map(|key| key.epoch)));
    }
    let columns = ["organisation", "node", "epoch", "since"];
    show::list(output, &rows, &columns, "no party is registered");
    Ok(())
}

fn row(party: &PartyRecord, epoch: Option<u32>) -> Value {
    json!({
        "organisation": party.org,
        "identityKey": party.identity_key,
        "node": party.node_key,
        "epoch": epoch.map_or_else(|| json!("none"), |epoch| json!(epoch)),
        "since": party.since,
    })
}

/// What a node writes for the admin of an organisation; fields that this version does not know are
/// passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    name: String,
    org: B256,
    identity_key: B256,
    node_key: B256,
    proof: Bytes,
    chain_id: Option<u64>,
}

async fn register(args: &RegisterArgs, output: Output) -> Outcome {
    let client = args.writer.connect().await?;
    let own = match &args.file {
        Some(path) => files::load(path, "medina node run")?,
        None => of_node(&client).await?,
    };
    let here = client.chain().chain_id();
    if let Some(chain) = own.chain_id.filter(|chain| *chain != here) {
        let text = format!("this registration is for chain {chain}, the node is on {here}");
        return Err(Failure::new(text));
    }
    let receipt = Groups::of(client.chain())?
        .register_party(own.org, own.identity_key, own.node_key, own.proof)
        .await?;
    let facts = json!({
        "name": own.name,
        "organisation": own.org,
        "identityKey": own.identity_key,
        "node": own.node_key,
        "next": "the node publishes its encryption key by itself",
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

/// The registration of the party that the token acts as.
async fn of_node(client: &PrivateClient) -> Outcome<Registration> {
    let own = client.party().await?;
    let proof = own.proof.ok_or_else(|| {
        Failure::new("the node does not say its party's proof to this token").hint(
            "give the file that it wrote for the admin: DATA/private/parties/NAME.json \
             (docs/private-transactions.md)",
        )
    })?;
    Ok(Registration {
        name: own.name,
        org: own.org,
        identity_key: own.identity_key,
        node_key: own.node_key,
        proof,
        chain_id: None,
    })
}
