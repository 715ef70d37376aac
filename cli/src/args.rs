//! What can be typed: one struct per subsystem.

use crate::commands::{
    account::AccountCommand, coupon::CouponCommand, demo::DemoArgs, dev::DevArgs,
    federation::FederationCommand, gateway::GatewayCommand, market::MarketCommand,
    network::NetworkCommand, node::NodeCommand, sensor::SensorCommand, validator::ValidatorCommand,
};
use clap::{Parser, Subcommand};

/// A permissioned EVM chain with a data market built in.
#[derive(Debug, Parser)]
#[command(
    name = "medina",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a local network in one process, with funded accounts
    Dev(DevArgs),
    /// Tell the whole market story on a fresh local network
    Demo(DemoArgs),
    /// Make the files of a network, or add a node to it
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Run a node, or ask one
    #[command(subcommand)]
    Node(NodeCommand),
    /// A seller's data door
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Accounts: keystore files, mnemonics, signatures
    #[command(subcommand)]
    Account(AccountCommand),
    /// Register and show sensors
    #[command(subcommand)]
    Sensor(SensorCommand),
    /// Sell and buy data
    #[command(subcommand)]
    Market(MarketCommand),
    /// Barter access by coupons
    #[command(subcommand)]
    Coupon(CouponCommand),
    /// Platforms that share sensors
    #[command(subcommand)]
    Federation(FederationCommand),
    /// Who decides blocks
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The node that is asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RpcArgs {
    /// JSON-RPC of a node
    #[arg(
        long,
        value_name = "URL",
        env = "MEDINA_RPC",
        default_value = "http://127.0.0.1:8545"
    )]
    pub(crate) rpc: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    /// A point of the curve.
    const NODE_KEY: &str = "0xd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn is_accepted(line: &str) -> bool {
        Cli::try_parse_from(line.split_whitespace()).is_ok()
    }

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_of_the_design_are_accepted() {
        for line in [
            "medina dev",
            "medina dev --validators 4 --consensus qbft --rpc-port 8545 --state d",
            "medina demo --readings f.csv --report r.json --missing -200 --skip-bad",
            "medina network new --validators 4 --dir d",
            "medina network new --validators 4 --dir d --consensus raft --chain-id 7 --base-port 9000 \
             --permissions open --admin 0x00000000000000000000000000000000000000aa",
            "medina network add --dir d --follower",
            "medina node run --config d/node-0/config.toml",
            "medina node status",
            "medina node peers --rpc http://127.0.0.1:8555 --json",
            "medina --json node validators",
            "medina gateway run --config g.toml",
            "medina account new",
            "medina account list",
            "medina account import --private-key-file k",
            "medina account sign --message hello --account 0",
            "medina validator list",
            "medina validator register KEY",
            "medina validator propose add KEY 0x00000000000000000000000000000000000000aa",
            "medina validator propose remove KEY --account 0",
            "medina validator vote 1 yes",
            "medina --json validator vote 1 no --rpc http://127.0.0.1:8555",
            "medina validator ballots --all",
            "medina validator execute 1",
            "medina validator activate KEY --force",
            "medina completions bash",
        ] {
            let line = line.replace("KEY", NODE_KEY);
            assert!(is_accepted(&line), "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "medina",
            "medina dev --consensus pow",
            "medina dev --validators 0",
            "medina network new --dir d --validators 129",
            "medina network new --dir d --validators 4 --admin me",
            "medina node run",
            "medina account sign --message a --hash 0x00",
            "medina validator propose",
            "medina validator propose add KEY",
            "medina validator propose add 0x12 0x00000000000000000000000000000000000000aa",
            "medina validator vote 1",
            "medina validator vote one yes",
            "medina validator vote 1 perhaps",
            "medina validator activate",
        ] {
            let line = line.replace("KEY", NODE_KEY);
            assert!(!is_accepted(&line), "{line}");
        }
    }
}
