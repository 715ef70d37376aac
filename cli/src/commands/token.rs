//! `medina token`: the market's money.

use crate::{
    args::RpcArgs,
    commands::governance::govern,
    errors::Outcome,
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{Address, U256};
use clap::{Args, Subcommand};
use medina_sdk::client::GovernanceAction;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Send tokens
    Send(SendArgs),
    /// Make tokens, as a minter
    Mint(SendArgs),
    /// Destroy tokens of one's own
    Burn(BurnArgs),
    /// Let the market take tokens, for purchases that others bring
    Allow(BurnArgs),
    /// Show how many tokens there are
    Supply(RpcArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// Who gets them
    #[arg(value_name = "ADDRESS")]
    to: Address,
    /// How many
    #[arg(value_name = "TOKENS", value_parser = values::tokens)]
    amount: u128,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BurnArgs {
    /// How many
    #[arg(value_name = "TOKENS", value_parser = values::tokens)]
    amount: u128,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) async fn run(command: TokenCommand, output: Output) -> Outcome {
    match command {
        TokenCommand::Send(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.transfer(args.to, U256::from(args.amount)).await?;
            let facts = json!({ "recipient": args.to, "amount": args.amount.to_string() });
            show::sent(output, facts, &receipt);
        }
        TokenCommand::Mint(args) => {
            let client = args.sender.connect().await?;
            let action = GovernanceAction::Mint {
                to: args.to,
                amount: U256::from(args.amount),
            };
            let facts = json!({ "recipient": args.to, "amount": args.amount.to_string() });
            govern(&client, &action, facts, output).await?;
        }
        TokenCommand::Burn(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.burn(U256::from(args.amount)).await?;
            show::sent(
                output,
                json!({ "amount": args.amount.to_string() }),
                &receipt,
            );
        }
        TokenCommand::Allow(args) => {
            let client = args.sender.connect().await?;
            let market = client.contracts().data_marketplace;
            let receipt = client.approve(market, U256::from(args.amount)).await?;
            let facts = json!({ "market": market, "amount": args.amount.to_string() });
            show::sent(output, facts, &receipt);
        }
        TokenCommand::Supply(args) => {
            let (supply, cap) = connect(&args.rpc).await?.supply().await?;
            let facts = json!({ "supply": supply.to_string(), "cap": cap.to_string() });
            show::facts(output, &facts);
        }
    }
    Ok(())
}
