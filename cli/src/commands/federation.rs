//! `medina federation`: platforms that share sensors; coupons need one.

use crate::{
    commands::coupon::organisation,
    errors::Outcome,
    output::{Output, pairs},
    signer::SenderArgs,
    values,
};
use alloy_primitives::{B256, keccak256};
use clap::{Args, Subcommand};
use medina_contracts::federation_registry::FederationRegistry;
use medina_sdk::client::{ClientError, MarketClient, Receipt};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum FederationCommand {
    /// Found a federation and invite organisations
    Create(CreateArgs),
    /// Join a federation one was invited to
    Accept(AcceptArgs),
    /// Share a sensor with a federation
    Share(ShareArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name; its hash is the federation's id and all that is stored
    #[arg(long)]
    name: String,
    /// Organisation to invite, or an account of it; may be repeated
    #[arg(long, value_name = "ORG|ADDRESS")]
    invite: Vec<String>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// The federation's id
    federation: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// The federation's id
    federation: B256,
    /// The sensor; may be repeated
    #[arg(long, value_name = "ID", required = true)]
    resource: Vec<B256>,
    /// Against coupons only
    #[arg(long)]
    bartered: bool,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) async fn run(command: FederationCommand, output: Output) -> Outcome {
    let (federation, receipt) = match command {
        FederationCommand::Create(args) => {
            let client = args.sender.connect().await?;
            let id = keccak256(&args.name);
            let mut invited = Vec::new();
            for text in &args.invite {
                invited.push(organisation(&client, text).await?);
            }
            (id, create(&client, id, invited).await?)
        }
        FederationCommand::Accept(args) => {
            let client = args.sender.connect().await?;
            (args.federation, accept(&client, args.federation).await?)
        }
        FederationCommand::Share(args) => {
            let client = args.sender.connect().await?;
            let receipt = share(&client, args.federation, args.resource, args.bartered).await?;
            (args.federation, receipt)
        }
    };
    let value = json!({ "federation": federation, "transaction": values::transaction(&receipt) });
    output.result(&value, || {
        pairs([("federation", federation.to_string())]) + &values::transaction_line(&receipt)
    });
    Ok(())
}

/// Founds a federation where any member invites.
pub(crate) async fn create(
    client: &MarketClient,
    id: B256,
    invites: Vec<B256>,
) -> Result<Receipt, ClientError> {
    let call = FederationRegistry::createCall {
        id,
        name: id,
        open: false,
        quorumBps: 0,
        infoModel: B256::ZERO,
        c: Vec::new(),
        invites,
    };
    client
        .send(client.contracts().federation_registry, call)
        .await
}

/// Joins by accepting the federation's present rules.
pub(crate) async fn accept(client: &MarketClient, id: B256) -> Result<Receipt, ClientError> {
    let registry = client.contracts().federation_registry;
    let federation = client
        .call(registry, FederationRegistry::getCall { fed: id })
        .await?;
    let call = FederationRegistry::acceptCall {
        fed: id,
        version: federation.version,
    };
    client.send(registry, call).await
}

/// Shares own sensors.
pub(crate) async fn share(
    client: &MarketClient,
    id: B256,
    resources: Vec<B256>,
    bartered: bool,
) -> Result<Receipt, ClientError> {
    let bartered = vec![bartered; resources.len()];
    let call = FederationRegistry::shareCall {
        fed: id,
        resources,
        bartered,
    };
    client
        .send(client.contracts().federation_registry, call)
        .await
}
