//! `medina private`: contracts that run among some organisations only, on the common chain.
//!
//! What is on the chain (groups, members, keys) anybody may ask for; everything else is the node's
//! of one's own organisation and needs a token of it.

mod abi;
mod access;
mod contracts;
mod groups;
mod members;
mod party;
mod status;

use crate::{errors::Outcome, output::Output};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PrivateCommand {
    /// Make a private contract
    Deploy(contracts::DeployArgs),
    /// Read from a private contract
    Call(contracts::CallArgs),
    /// Send a transaction to a private contract
    Send(contracts::SendArgs),
    /// Show a private transaction and what it did
    Show(contracts::ShowArgs),
    /// Show logs of private contracts
    Logs(contracts::LogsArgs),
    /// Show groups; make one, join, vote, leave
    Groups(groups::GroupsArgs),
    /// Show the members of a group; propose to add or remove one
    Members(members::MembersArgs),
    /// Have a payload forgotten by every holder
    Erase(status::EraseArgs),
    /// Show how far a group, or the delivery of a transaction, has come
    Status(status::StatusArgs),
    /// An organisation's presence on a node: its keys
    #[command(subcommand)]
    Party(party::PartyCommand),
    /// Vote to pass over a marker whose payload nobody serves
    Skip(groups::SkipArgs),
}

pub(crate) async fn run(command: PrivateCommand, output: Output) -> Outcome {
    match command {
        PrivateCommand::Deploy(args) => contracts::deploy(&args, output).await,
        PrivateCommand::Call(args) => contracts::call(&args, output).await,
        PrivateCommand::Send(args) => contracts::send(&args, output).await,
        PrivateCommand::Show(args) => contracts::show(&args, output).await,
        PrivateCommand::Logs(args) => contracts::logs(&args, output).await,
        PrivateCommand::Groups(args) => groups::run(args, output).await,
        PrivateCommand::Members(args) => members::run(args, output).await,
        PrivateCommand::Erase(args) => status::erase(&args, output).await,
        PrivateCommand::Status(args) => status::show(&args, output).await,
        PrivateCommand::Party(command) => party::run(command, output).await,
        PrivateCommand::Skip(args) => groups::skip(&args, output).await,
    }
}
