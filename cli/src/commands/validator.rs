//! `medina validator`: who decides blocks. Ballots come with the Permissioning contract.

use crate::{
    args::RpcArgs,
    commands::node,
    errors::{Failure, Outcome},
    output::Output,
};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ValidatorCommand {
    /// Show who decides the next block
    List(RpcArgs),
    /// Open a ballot on a validator
    Propose(BallotArgs),
    /// Vote in a ballot
    Vote(BallotArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct BallotArgs {
    /// What the ballot is about
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<String>,
}

pub(crate) async fn run(command: ValidatorCommand, output: Output) -> Outcome {
    match command {
        ValidatorCommand::List(rpc) => node::validators(&rpc, output).await,
        ValidatorCommand::Propose(_) | ValidatorCommand::Vote(_) => Err(Failure::new(
            "ballots need the Permissioning contract, which this version does not have yet",
        )
        .hint(
            "the validators of this chain are those of its genesis file (`medina validator list`)",
        )),
    }
}
