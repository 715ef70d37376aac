//! What can be typed: one struct per subsystem.

use crate::commands::{
    account::AccountCommand, consent::ConsentCommand, coupon::CouponCommand, demo::DemoArgs,
    dev::DevArgs, document::DocumentCommand, enclave::EnclaveCommand,
    federation::FederationCommand, gateway::GatewayCommand, governance::GovernanceCommand,
    incident::IncidentCommand, man::ManArgs, market::MarketCommand, network::NetworkCommand,
    node::NodeCommand, org::OrgCommand, private::PrivateCommand, role::RoleCommand,
    sealed::SealedCommand, sensor::SensorCommand, sla::SlaCommand, token::TokenCommand,
    trust::TrustCommand, user::UserCommand, validator::ValidatorCommand,
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
    /// Run the enclave of a node's private groups as a process of its own
    #[command(subcommand)]
    Enclave(EnclaveCommand),
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
    /// What members of a federation promise, and what broken promises cost
    #[command(subcommand)]
    Sla(SlaCommand),
    /// Who may read whose data for what, who did, and what people ask
    #[command(subcommand)]
    Consent(ConsentCommand),
    /// Alerts, incidents, and who does what about them
    #[command(subcommand)]
    Incident(IncidentCommand),
    /// Datasets under seal: a wrong chunk gives the money back
    #[command(subcommand)]
    Sealed(SealedCommand),
    /// Contracts among some organisations only, on the common chain
    #[command(subcommand)]
    Private(PrivateCommand),
    /// Trust in sensors, reputation of organisations
    #[command(subcommand)]
    Trust(TrustCommand),
    /// The market's money
    #[command(subcommand)]
    Token(TokenCommand),
    /// Organisations
    #[command(subcommand)]
    Org(OrgCommand),
    /// People and their ids
    #[command(subcommand)]
    User(UserCommand),
    /// What users may do, and who has powers over the contracts
    #[command(subcommand)]
    Role(RoleCommand),
    /// Parameters, allow lists, upgrades; what is announced and waits
    #[command(subcommand)]
    Governance(GovernanceCommand),
    /// What stands on chain for a document
    #[command(subcommand)]
    Document(DocumentCommand),
    /// Who decides blocks
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// Write manual pages
    Man(ManArgs),
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
            "medina man --dir d",
            "medina org register Haven --admin 0x00000000000000000000000000000000000000aa --dry-run",
            "medina org set Haven --status suspended",
            "medina user enrol 0x00000000000000000000000000000000000000aa --person p --until 2030-01-01",
            "medina role set 0x1234 manager",
            "medina market list --resource 0x1234 --property p --price 2 --per unit",
            "medina market list --dataset 0x1111111111111111111111111111111111111111111111111111111111111111 --sealed --property p --price 2",
            "medina market search --near -33.9,18.4 --within 20 --kind stream",
            "medina market renew 1 --periods 2 --max 5",
            "medina market resolve 1 --to-buyer 12.5",
            "medina coupon barter --file f",
            "medina consent grant --to carer --purpose care --until 90d --form f --allow read,update",
            "medina consent ask erase --about 0x1234 --doc d",
            "medina sla report f --sensor 0x1234 --value 72% --from 2026-01-01 --to 2026-01-02",
            "medina incident respond 1 --plan p --to org-1 --answer-by 30m",
            "medina sealed reveal 1 --secrets f",
            "medina governance market --fee 2 --rebate 10 --dispute-in 3d",
            "medina governance trust --weights 10 5 1 8 --compat true",
            "medina governance execute 0x12345678 --account 0",
            "medina network new --validators 4 --dir d --governance-delay 48h",
            "medina dev --governance-delay 1h",
            "medina document check 0x1111111111111111111111111111111111111111111111111111111111111111 text --salt 0x1111111111111111111111111111111111111111111111111111111111111111",
            "medina sensor register --property p --key ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a --device-signer ./chip",
            "medina private deploy prices Prices.json 5 --constructor (uint256) --token t",
            "medina private call prices 0x00000000000000000000000000000000000000aa priceOf(bytes32)(uint256) 0x12",
            "medina private send prices 0x00000000000000000000000000000000000000aa set(int256) -5 --no-wait --dry-run",
            "medina private show 0x1111111111111111111111111111111111111111111111111111111111111111",
            "medina private logs prices --from-block 7",
            "medina private groups",
            "medina private groups --org org-1 --token @f --json",
            "medina private groups new prices --org org-1 --mode mandatory --mandatory org-1 --quorum 1",
            "medina private groups show prices",
            "medina private groups join prices",
            "medina private groups vote prices org-2 --account 1",
            "medina private groups leave prices",
            "medina private members prices",
            "medina private members add prices org-2",
            "medina private members remove prices org-2 --dry-run",
            "medina private erase 0x1111111111111111111111111111111111111111111111111111111111111111 --reason r",
            "medina private status prices",
            "medina private party register --token t",
            "medina private party register node-1/data/private/parties/bakery.json --account 1",
            "medina private skip prices 0x1111111111111111111111111111111111111111111111111111111111111111",
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
            "medina market list --resource 0x1234 --service 0x12 --property p --price 2",
            "medina market list --resource 0x1234 --property p --price 2 --per 0",
            "medina market resolve 1 --to-buyer 101",
            "medina consent grant --to carer --purpose care --until soon --form f",
            "medina consent grant --to carer --purpose care --until 90d --form f --allow write",
            "medina consent revoke 0x1234 --all",
            "medina incident evaluate 1 pass --doc d",
            "medina role set 0x1234 king",
            "medina sensor register --property p",
            "medina sensor register --property p --key p256:00 --device-signer ./chip",
            "medina sensor register --property p --device-key f --device-signer ./chip",
            "medina governance market --fee 2",
            "medina private groups new prices",
            "medina private groups new prices --org a --mode open",
            "medina private show 0x12",
            "medina private call prices me f()",
            "medina sla report f --sensor 0x1234 --value much --from 2026-01-01 --to 2026-01-02",
        ] {
            let line = line.replace("KEY", NODE_KEY);
            assert!(!is_accepted(&line), "{line}");
        }
    }
}
