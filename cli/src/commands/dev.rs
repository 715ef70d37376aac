//! `medina dev`: a local network in one process.

use crate::{
    commands::{
        asked_to_stop,
        network::{Engine, validator_count},
        since_epoch,
    },
    errors::{Failure, Outcome, cannot},
    output::{Output, number, pairs, table},
};
use alloy_primitives::hex;
use clap::Args;
use futures::future::select_all;
use medina_genesis::{
    CONFIG_FILE, GENESIS_FILE, GovernanceDelays, LoadedGenesis, NetworkOptions, NodeList,
    TEST_ACCOUNTS, TEST_MNEMONIC, defaults, generate_network, test_account,
};
use medina_service::{DevNetwork as DevControls, Node, NodeConfig, start_logging};
use medina_types::ConsensusParameters;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Shorter than networks of several machines have it: test suites wait for a block
/// with every transaction.
const BLOCK_INTERVAL_MS: u64 = 10;

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// How many validators
    #[arg(long, value_name = "N", value_parser = validator_count, default_value = "4")]
    validators: usize,
    /// How validators agree
    #[arg(long, value_enum, default_value_t = Engine::Qbft)]
    consensus: Engine,
    /// RPC port of node 0; node I has 10 * I more
    #[arg(long, value_name = "PORT", default_value_t = defaults::BASE_PORT)]
    rpc_port: u16,
    /// Shortest time between two blocks of a new network, milliseconds
    #[arg(long, value_name = "MS", default_value_t = BLOCK_INTERVAL_MS)]
    block_interval: u64,
    /// EIP-155 chain id
    #[arg(long, value_name = "ID", default_value_t = defaults::CHAIN_ID)]
    chain_id: u64,
    /// How long what the governor or a minter wants is announced before it can happen, on a new network
    #[arg(long, value_name = "TIME", value_parser = crate::values::duration, default_value = "0")]
    governance_delay: u32,
    /// Keep the data here and go on with it next time [default: thrown away at the end]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// What is logged
    #[arg(long, value_name = "LEVEL", env = "MEDINA_LOG", default_value = "warn")]
    log: String,
}

/// Nodes of the network and the folder they live in.
struct DevNetwork {
    nodes: Vec<(String, Node)>,
    /// What test suites do to it.
    controls: DevControls,
    /// Removes the folder when dropped, after the nodes.
    _temporary: Option<tempfile::TempDir>,
}

pub(crate) async fn run(args: DevArgs, output: Output) -> Outcome {
    start_logging(&args.log).map_err(Failure::new)?;
    let temporary = match &args.state {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("medina-dev-").tempdir()?),
    };
    let folder = match (&args.state, &temporary) {
        (Some(state), _) => state.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => return Err(Failure::new("there is no folder for the data")),
    };
    prepare(&args, &folder)?;
    let configs = configs(&args, &folder)?;
    let genesis = medina_genesis::load(&folder.join(GENESIS_FILE))?;
    check_validators(&args, &genesis, &folder)?;
    let mut network = DevNetwork {
        nodes: Vec::new(),
        controls: controls()?,
        _temporary: temporary,
    };
    let started = start(&mut network, configs).await;
    let ended = match started {
        Ok(()) => {
            let kept = args.state.as_deref();
            output.result(&described(&network, &genesis), || {
                text(&network, &genesis, kept)
            });
            run_until_asked(&mut network).await
        }
        Err(failure) => Err(failure),
    };
    for (_, node) in network.nodes.drain(..) {
        node.stop().await;
    }
    ended
}

/// Makes the network unless the folder holds it already.
fn prepare(args: &DevArgs, folder: &Path) -> Outcome {
    if folder.join(GENESIS_FILE).exists() {
        return Ok(());
    }
    let options = NetworkOptions {
        validators: args.validators,
        chain_id: args.chain_id,
        base_port: args.rpc_port,
        consensus: ConsensusParameters {
            engine: args.consensus.into(),
            min_block_interval: Duration::from_millis(args.block_interval),
            ..ConsensusParameters::default()
        },
        governance: Some(GovernanceDelays::both(args.governance_delay)),
        ..NetworkOptions::new(folder, since_epoch().as_secs())
    };
    generate_network(&options)?;
    Ok(())
}

/// A folder that was kept has the number of validators it was made with.
fn check_validators(args: &DevArgs, genesis: &LoadedGenesis, folder: &Path) -> Outcome {
    let made_with = genesis.spec().validators.len();
    if made_with == args.validators {
        return Ok(());
    }
    let text = format!(
        "the network in {} has {made_with} validators",
        folder.display()
    );
    Err(Failure::new(text).hint(format!(
        "give --validators {made_with}, or another --state folder"
    )))
}

/// Configurations of all nodes in the folder, in the order of the list.
fn configs(args: &DevArgs, folder: &Path) -> Outcome<Vec<(String, NodeConfig)>> {
    let mut configs = Vec::new();
    for node in NodeList::load(folder)?.nodes {
        let path = folder.join(&node.name).join(CONFIG_FILE);
        configs.push((node.name, NodeConfig::load(&path)?));
    }
    let port = configs.first().map(|(_, config)| config.rpc.listen.port());
    match port {
        Some(port) if port == args.rpc_port => Ok(configs),
        Some(port) => Err(Failure::new(format!(
            "the network in {} was made for port {port}",
            folder.display()
        ))
        .hint(format!("give --rpc-port {port}, or another --state folder"))),
        None => Err(cannot(
            "use",
            &folder.join("network.toml"),
            "it lists no node",
        )),
    }
}

/// The controls of a network that signs for the test accounts.
fn controls() -> Outcome<DevControls> {
    let keys = (0..)
        .take(TEST_ACCOUNTS)
        .map(|index| test_account(index).private_key);
    DevControls::new(keys).map_err(Failure::new)
}

async fn start(network: &mut DevNetwork, configs: Vec<(String, NodeConfig)>) -> Outcome {
    for (name, config) in configs {
        let node = Node::start_dev(&config, &network.controls).await;
        let node = node.map_err(|error| Failure::from(error).during(&name))?;
        network.nodes.push((name, node));
    }
    Ok(())
}

async fn run_until_asked(network: &mut DevNetwork) -> Outcome {
    let failures = network.nodes.iter_mut().map(|(name, node)| {
        Box::pin(async move { Failure::from(node.failed().await).during(name) })
    });
    tokio::select! {
        (failure, _, _) = select_all(failures) => Err(failure),
        () = network.controls.run_interval_mining() => Ok(()),
        asked = asked_to_stop() => asked,
    }
}

fn described(network: &DevNetwork, genesis: &LoadedGenesis) -> Value {
    let accounts =
        accounts().map(|(address, key)| json!({ "address": address, "privateKey": key }));
    let nodes = network
        .nodes
        .iter()
        .map(|(name, node)| json!({ "name": name, "rpc": node.rpc_url() }));
    json!({
        "chainId": genesis.spec().chain_id,
        "genesisHash": genesis.spec().genesis_hash,
        "mnemonic": TEST_MNEMONIC,
        "accounts": accounts.collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
        "contracts": genesis.spec().contracts,
    })
}

/// Addresses and private keys of the test accounts.
fn accounts() -> impl Iterator<Item = (String, String)> {
    (0..).take(TEST_ACCOUNTS).map(|index| {
        let account = test_account(index);
        (
            account.address.to_string(),
            hex::encode_prefixed(account.private_key),
        )
    })
}

fn text(network: &DevNetwork, genesis: &LoadedGenesis, kept: Option<&Path>) -> String {
    let spec = genesis.spec();
    let mut funded = table(&["#", "account", "private key"]);
    for (index, (address, key)) in accounts().enumerate() {
        funded.add_row([number(index), address.into(), key.into()]);
    }
    let endpoints = network
        .nodes
        .iter()
        .map(|(name, node)| (name.as_str(), node.rpc_url()));
    let contracts = spec
        .contracts
        .iter()
        .map(|(name, address)| (name.as_str(), address.to_string()));
    let data = kept.map_or_else(
        || "thrown away at the end (keep it with --state DIR)".to_owned(),
        |folder| format!("kept in {}", folder.display()),
    );
    let facts = pairs([
        ("chain", format!("{} (id {})", spec.name, spec.chain_id)),
        ("mnemonic", TEST_MNEMONIC.to_owned()),
        (
            "each has",
            format!("{} coins and 1,000,000 MDN", defaults::COINS_PER_ACCOUNT),
        ),
        ("data", data),
    ]);
    format!(
        "{facts}\nAccounts (anybody has these keys: never use them for money)\n{funded}\n\n\
         JSON-RPC over HTTP and WebSocket\n{}\nContracts\n{}\nCtrl-C stops it.",
        pairs(endpoints),
        pairs(contracts),
    )
}
