//! `medina validator`: who decides blocks, and the ballots that change it.
//!
//! A change takes several people: the node's organisation registers it, operators
//! propose and vote, and the new operator activates its node once it is synced.
//! Every command says whose turn is next.

mod activate;
mod ballots;
mod explain;
mod list;

pub(crate) use list::list;

use crate::{args::RpcArgs, errors::Outcome, output::Output, signer::SenderArgs};
use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand, ValueEnum};
use medina_types::NodePublicKey;

#[derive(Debug, Subcommand)]
pub(crate) enum ValidatorCommand {
    /// Show who decides the next block, and what was seen of each
    List(RpcArgs),
    /// Register a node of your organisation, so that a ballot can name it
    Register(RegisterArgs),
    /// Open a ballot on a validator and vote yes
    #[command(subcommand)]
    Propose(ProposeCommand),
    /// Vote in a ballot; it is executed as soon as it has passed
    Vote(VoteArgs),
    /// Show open ballots and who has not voted
    Ballots(BallotsArgs),
    /// Execute a ballot that has passed
    Execute(ExecuteArgs),
    /// Make an admitted node a validator, as its operator, once it is synced
    Activate(ActivateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The node's ed25519 key (`medina node status`)
    #[arg(value_name = "NODEKEY")]
    node: NodePublicKey,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProposeCommand {
    /// Admit a registered node; it counts after its operator's `activate`
    Add(ProposeAddArgs),
    /// Remove a validator, or take an admission back
    Remove(ProposeRemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ProposeAddArgs {
    /// The node's ed25519 key
    #[arg(value_name = "NODEKEY")]
    node: NodePublicKey,
    /// Account that operates it: gets its blocks' fees, votes in ballots
    operator: Address,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ProposeRemoveArgs {
    /// The node's ed25519 key
    #[arg(value_name = "NODEKEY")]
    node: NodePublicKey,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VoteArgs {
    /// Number of the ballot (`medina validator ballots`)
    ballot: u64,
    /// What your organisation says
    vote: YesNo,
    #[command(flatten)]
    sender: SenderArgs,
}

/// A vote as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum YesNo {
    /// For it
    Yes,
    /// Against it
    No,
}

#[derive(Debug, Args)]
pub(crate) struct BallotsArgs {
    /// Also those that are executed or over
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecuteArgs {
    /// Number of the ballot
    ballot: u64,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ActivateArgs {
    /// The node's ed25519 key
    #[arg(value_name = "NODEKEY")]
    node: NodePublicKey,
    /// Activate it even if it is behind or out of reach: it then counts for the quorum without voting
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) async fn run(command: ValidatorCommand, output: Output) -> Outcome {
    match command {
        ValidatorCommand::List(rpc) => list(&rpc, output).await,
        ValidatorCommand::Register(args) => activate::register(&args, output).await,
        ValidatorCommand::Propose(ProposeCommand::Add(args)) => ballots::add(&args, output).await,
        ValidatorCommand::Propose(ProposeCommand::Remove(args)) => {
            ballots::remove(&args, output).await
        }
        ValidatorCommand::Vote(args) => ballots::vote(&args, output).await,
        ValidatorCommand::Ballots(args) => list::ballots(&args, output).await,
        ValidatorCommand::Execute(args) => ballots::execute(&args, output).await,
        ValidatorCommand::Activate(args) => activate::activate(&args, output).await,
    }
}

/// A node's key as contracts know it.
fn key_of(node: NodePublicKey) -> B256 {
    node.0.into()
}
