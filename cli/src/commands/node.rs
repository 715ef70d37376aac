//! `medina node`: runs a node, or asks one.

use crate::{
    args::RpcArgs,
    commands::{asked_to_stop, parent_gone},
    errors::{Failure, Outcome},
    node_client::NodeClient,
    output::{Output, number, pairs, table},
};
use alloy_primitives::{B256, U64};
use clap::{Args, Subcommand};
use medina_service::{Node, NodeConfig, start_logging};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Run a node until Ctrl-C or SIGTERM
    Run(RunArgs),
    /// Show where a node stands
    Status(RpcArgs),
    /// Show whom a node is connected to
    Peers(RpcArgs),
    /// Show who decides the next block
    Validators(RpcArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration of the node
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What is logged, such as info or medina_network=debug; default: as the configuration says
    #[arg(long, value_name = "LEVEL", env = "MEDINA_LOG")]
    log: Option<String>,
    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

pub(crate) async fn run(command: NodeCommand, output: Output) -> Outcome {
    match command {
        NodeCommand::Run(args) => run_node(args).await,
        NodeCommand::Status(rpc) => status(&rpc, output).await,
        NodeCommand::Peers(rpc) => peers(&rpc, output).await,
        NodeCommand::Validators(rpc) => validators(&rpc, output).await,
    }
}

async fn run_node(args: RunArgs) -> Outcome {
    let config = NodeConfig::load(&args.config)?;
    let level = args.log.as_deref().unwrap_or(&config.log.level);
    start_logging(level).map_err(Failure::new)?;
    let mut node = Node::start(&config).await?;
    let parent_gone = async {
        if args.stop_with_parent {
            parent_gone().await
        } else {
            std::future::pending().await
        }
    };
    let ended = tokio::select! {
        fatal = node.failed() => Err(fatal.into()),
        asked = asked_to_stop() => asked,
        () = parent_gone => Ok(()),
    };
    node.stop().await;
    ended
}

/// Head of a node's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainHead {
    /// Height.
    pub(crate) height: u64,
    /// Hash of the block.
    pub(crate) hash: B256,
    /// State after it.
    pub(crate) state_root: B256,
}

/// Asks a node for the head of its chain.
pub(crate) async fn head_of(node: &NodeClient) -> Outcome<ChainHead> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Block {
        number: U64,
        hash: B256,
        state_root: B256,
    }
    let block: Block = node
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await?;
    Ok(ChainHead {
        height: block.number.to(),
        hash: block.hash,
        state_root: block.state_root,
    })
}

async fn status(rpc: &RpcArgs, output: Output) -> Outcome {
    let node = NodeClient::new(&rpc.rpc)?;
    let head = head_of(&node).await?;
    let spec: Value = node.call("medina_chainSpec", json!([])).await?;
    let peers: Vec<Value> = node.call("medina_peers", json!([])).await?;
    let syncing: Value = node.call("eth_syncing", json!([])).await?;
    let consensus: Value = node
        .call("medina_consensus", json!([]))
        .await
        .unwrap_or_default();
    let version: String = node.call("web3_clientVersion", json!([])).await?;
    let chain_id: U64 = node.call("eth_chainId", json!([])).await?;
    let value = json!({
        "rpc": rpc.rpc,
        "version": version,
        "chain": spec["name"],
        "chainId": chain_id.to::<u64>(),
        "genesisHash": spec["genesisHash"],
        "height": head.height,
        "headHash": head.hash,
        "stateRoot": head.state_root,
        "peers": peers.len(),
        "syncing": syncing,
        "consensus": consensus,
    });
    output.result(&value, || {
        pairs([
            ("node", format!("{version} at {}", rpc.rpc)),
            (
                "chain",
                format!(
                    "{} (id {chain_id}), genesis {}",
                    plain(&spec["name"]),
                    plain(&spec["genesisHash"])
                ),
            ),
            ("height", head.height.to_string()),
            ("head", head.hash.to_string()),
            ("state root", head.state_root.to_string()),
            ("peers", peers.len().to_string()),
            (
                "syncing",
                if syncing == json!(false) {
                    "no".to_owned()
                } else {
                    plain(&syncing)
                },
            ),
            ("consensus", consensus_text(&consensus)),
        ])
    });
    Ok(())
}

fn consensus_text(consensus: &Value) -> String {
    if consensus.is_null() {
        return "not started".to_owned();
    }
    let part = |name: &str| plain(&consensus[name]);
    let voting = if consensus["votes"] == json!(true) {
        "votes"
    } else {
        "only observes"
    };
    format!(
        "height {}, round {}, {}; this node {voting}",
        part("height"),
        part("round"),
        part("step")
    )
}

async fn peers(rpc: &RpcArgs, output: Output) -> Outcome {
    let node = NodeClient::new(&rpc.rpc)?;
    let peers: Vec<Value> = node.call("medina_peers", json!([])).await?;
    output.result(&peers, || {
        if peers.is_empty() {
            return "no peer is connected".to_owned();
        }
        let mut rows = table(&["key", "address", "height", "head"]);
        for peer in &peers {
            let text = |name: &str| plain(&peer[name]).into();
            rows.add_row([
                text("key"),
                text("address"),
                number(plain(&peer["height"])),
                text("head"),
            ]);
        }
        rows.to_string()
    });
    Ok(())
}

/// Shows the validator set of the next block.
pub(crate) async fn validators(rpc: &RpcArgs, output: Output) -> Outcome {
    let node = NodeClient::new(&rpc.rpc)?;
    let consensus: Value = node.call("medina_consensus", json!([])).await?;
    let set = consensus["validators"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let value = json!({ "validators": set, "quorum": consensus["quorum"], "proposer": consensus["proposer"] });
    output.result(&value, || {
        let mut rows = table(&["#", "key", "operator", "next proposer"]);
        for (index, validator) in set.iter().enumerate() {
            let proposes = validator["key"] == consensus["proposer"];
            rows.add_row([
                number(index),
                plain(&validator["key"]).into(),
                plain(&validator["operator"]).into(),
                if proposes { "yes" } else { "" }.into(),
            ]);
        }
        format!(
            "{rows}\n{} of {} votes decide",
            plain(&consensus["quorum"]),
            set.len()
        )
    });
    Ok(())
}

/// JSON as people read it: text without quotes, nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
