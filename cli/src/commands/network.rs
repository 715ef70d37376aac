//! `medina network`: files of a network.

use crate::{
    commands::since_epoch,
    errors::{Failure, Outcome},
    output::{Output, pairs, table},
};
use alloy_primitives::Address;
use clap::{Args, Subcommand, ValueEnum};
use medina_genesis::{
    ForeignGenesis, GeneratedNetwork, GeneratedNode, GovernanceDelays, NetworkOptions,
    PrivateBounds, add_node, defaults, generate_network,
};
use medina_types::{ConsensusEngine, ConsensusParameters, PermissionMode, limits::VALIDATORS_MAX};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Make a network: genesis, and configuration and key of every validator
    New(NewArgs),
    /// Add an admitted node to a network, running or not
    Add(AddArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// How many validators
    #[arg(long, value_name = "N", value_parser = validator_count)]
    validators: usize,
    /// Folder to make
    #[arg(long)]
    dir: PathBuf,
    /// How validators agree
    #[arg(long, value_enum, default_value_t = Engine::Qbft)]
    consensus: Engine,
    /// EIP-155 chain id
    #[arg(long, value_name = "ID", default_value_t = defaults::CHAIN_ID)]
    chain_id: u64,
    /// Genesis file of geth or Besu whose chain id, forks, accounts and times to take over
    #[arg(long, value_name = "FILE", conflicts_with = "chain_id")]
    from_genesis: Option<PathBuf>,
    /// RPC port of node 0; node I has base port + 10 * I, p2p +1, metrics +2
    #[arg(long, value_name = "PORT", default_value_t = defaults::BASE_PORT)]
    base_port: u16,
    /// Whether the Permissioning contract decides who takes part
    #[arg(long, value_enum, default_value_t = Permissions::Open)]
    permissions: Permissions,
    /// Account that gets coins and roles instead of the well-known test accounts
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Address>,
    /// How long what the governor or a minter wants is announced before it can happen, such as 48h [default: 0 for the
    /// test accounts; with --admin 48h, and 24h for new tokens]
    #[arg(long, value_name = "TIME", value_parser = crate::values::duration)]
    governance_delay: Option<u32>,
    /// Name of the chain
    #[arg(long, default_value = defaults::CHAIN_NAME)]
    name: String,
    /// Take the private transactions of GoQuorum's clients, marked by v 37 or 38 outside the signature
    #[arg(long)]
    quorum_compat: bool,
    /// Gas that one private transaction may use; the same for all nodes as long as the chain lives
    #[arg(long, value_name = "GAS", default_value_t = PrivateBounds::default().gas_max)]
    private_gas: u64,
    /// Longest time without a block, in seconds; without it, blocks come on demand only
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    empty_block_period: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Folder of the network
    #[arg(long)]
    dir: PathBuf,
    /// The node will follow the chain and never vote
    #[arg(long)]
    follower: bool,
}

/// How validators agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Byzantine fault tolerant
    Qbft,
    /// Crash tolerant, for mutual trust
    Raft,
}

/// Whether permissions are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Permissions {
    /// Everybody may transact
    Open,
    /// The Permissioning contract decides
    Enforced,
}

impl From<Engine> for ConsensusEngine {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Qbft => Self::Qbft,
            Engine::Raft => Self::Raft,
        }
    }
}

/// Reads a number of validators.
pub(crate) fn validator_count(text: &str) -> Result<usize, String> {
    let count = text
        .parse()
        .ok()
        .filter(|count| (1..=VALIDATORS_MAX).contains(count));
    count.ok_or_else(|| format!("expected a number from 1 to {VALIDATORS_MAX}"))
}

pub(crate) fn run(command: NetworkCommand, output: Output) -> Outcome {
    match command {
        NetworkCommand::New(args) => new(args, output),
        NetworkCommand::Add(args) => add(&args, output),
    }
}

fn options(args: NewArgs) -> Outcome<NetworkOptions> {
    let foreign = args.from_genesis.as_deref();
    let foreign = foreign.map(ForeignGenesis::load).transpose()?;
    let heartbeat = args
        .empty_block_period
        .map(|seconds| std::time::Duration::from_secs(seconds.into()));
    Ok(NetworkOptions {
        foreign,
        validators: args.validators,
        name: args.name,
        chain_id: args.chain_id,
        base_port: args.base_port,
        consensus: ConsensusParameters {
            engine: args.consensus.into(),
            empty_block_period: heartbeat,
            ..ConsensusParameters::default()
        },
        permissions: match args.permissions {
            Permissions::Open => PermissionMode::Open,
            Permissions::Enforced => PermissionMode::Enforced,
        },
        admin: args.admin,
        governance: args.governance_delay.map(GovernanceDelays::both),
        quorum_compat: args.quorum_compat,
        private: PrivateBounds {
            gas_max: args.private_gas,
        },
        ..NetworkOptions::new(args.dir, since_epoch().as_secs())
    })
}

fn new(args: NewArgs, output: Output) -> Outcome {
    let options = options(args)?;
    let network = generate_network(&options)?;
    output.result(&described(&network), || text(&options, &network));
    Ok(())
}

fn described(network: &GeneratedNetwork) -> Value {
    let spec = network.genesis.spec();
    json!({
        "chainId": spec.chain_id,
        "genesisHash": spec.genesis_hash,
        "genesis": network.genesis_path,
        "nodes": network.nodes.iter().map(described_node).collect::<Vec<_>>(),
        "contracts": spec.contracts,
        "notes": network.notes,
    })
}

fn described_node(node: &GeneratedNode) -> Value {
    json!({
        "name": node.name,
        "key": node.key,
        "config": node.config,
        "operator": node.operator,
        "rpc": rpc_url(node),
        "p2pPort": node.ports.p2p,
        "metricsPort": node.ports.metrics,
    })
}

fn rpc_url(node: &GeneratedNode) -> String {
    format!("http://127.0.0.1:{}", node.ports.rpc)
}

fn text(options: &NetworkOptions, network: &GeneratedNetwork) -> String {
    let spec = network.genesis.spec();
    let mut nodes = table(&["node", "rpc", "operator", "start it with"]);
    for node in &network.nodes {
        let operator = node
            .operator
            .map(|address| address.to_string())
            .unwrap_or_default();
        nodes.add_row([
            node.name.clone(),
            rpc_url(node),
            operator,
            run_command(&node.config),
        ]);
    }
    let accounts = match options.admin {
        None => "the ten of the test mnemonic (anybody has their keys: loopback only)".to_owned(),
        Some(admin) => format!("{admin}; operator keys lie beside the node keys"),
    };
    let facts = pairs([
        ("genesis", network.genesis_path.display().to_string()),
        ("chain id", spec.chain_id.to_string()),
        ("genesis hash", spec.genesis_hash.to_string()),
        ("funded", accounts),
    ]);
    format!(
        "network of {} validators made\n\n{facts}\n{nodes}{}",
        network.nodes.len(),
        notes(&network.notes)
    )
}

/// What of another client's genesis has no effect.
fn notes(notes: &[String]) -> String {
    let lines = notes.iter().map(|note| format!("\n- {note}"));
    let lines: String = lines.collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n\nof the genesis file, not taken over as it stands:{lines}")
    }
}

fn run_command(config: &Path) -> String {
    format!("medina node run --config {}", config.display())
}

fn add(args: &AddArgs, output: Output) -> Outcome {
    let node =
        add_node(&args.dir).map_err(|error| Failure::from(error).during("no node was added"))?;
    output.result(&described_node(&node), || {
        let role = if args.follower {
            "It follows the chain and does not vote."
        } else {
            "It follows the chain until a ballot makes it a validator (`medina validator register`)."
        };
        format!(
            "{} added, key {}\nRunning nodes admit it without a restart. {role}\n\n{}",
            node.name,
            node.key,
            pairs([("rpc", rpc_url(&node)), ("start it with", run_command(&node.config))])
        )
    });
    Ok(())
}
