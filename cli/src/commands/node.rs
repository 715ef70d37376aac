//! `medina node`: runs a node, or asks one.

use crate::{
    args::RpcArgs,
    commands::{asked_to_stop, parent_gone, validator},
    errors::{Failure, Outcome},
    node_client::NodeClient,
    output::{Output, number, pairs, table},
};
use alloy_primitives::{B256, U64};
use clap::{Args, Subcommand};
use medina_sdk::url::place_of;
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
    /// Copy a running node's data on its machine, to start another node on or to keep
    Checkpoint(RpcArgs),
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
        NodeCommand::Validators(rpc) => validator::list(&rpc, output).await,
        NodeCommand::Checkpoint(rpc) => checkpoint(&rpc, output).await,
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
    let own: Value = node.call("medina_node", json!([])).await?;
    let peers: Vec<Value> = node.call("medina_peers", json!([])).await?;
    let syncing: Value = node.call("eth_syncing", json!([])).await?;
    let progress: Value = node.call("medina_syncProgress", json!([])).await?;
    let consensus: Value = node
        .call("medina_consensus", json!([]))
        .await
        .unwrap_or_default();
    let kept: Value = node
        .call("eth_capabilities", json!([]))
        .await
        .unwrap_or_default();
    let version: String = node.call("web3_clientVersion", json!([])).await?;
    let chain_id: U64 = node.call("eth_chainId", json!([])).await?;
    let value = json!({
        "rpc": place_of(&rpc.rpc),
        "version": version,
        "name": own["name"],
        "key": own["key"],
        "isValidator": own["isValidator"],
        "operator": own["operator"],
        "chain": spec["name"],
        "chainId": chain_id.to::<u64>(),
        "genesisHash": spec["genesisHash"],
        "engine": spec["consensus"]["engine"],
        "height": head.height,
        "headHash": head.hash,
        "stateRoot": head.state_root,
        "peers": peers.len(),
        "syncing": syncing,
        "syncProgress": progress,
        "consensus": consensus,
        "kept": {
            "blocksFrom": oldest(&kept, "blocks"),
            "stateFrom": oldest(&kept, "state"),
        },
    });
    output.result(&value, || status_text(&value, &consensus, &progress));
    Ok(())
}

fn status_text(status: &Value, consensus: &Value, progress: &Value) -> String {
    let part = |name: &str| plain(&status[name]);
    let mut rows = vec![
        ("node", format!("{} at {}", part("version"), part("rpc"))),
        ("key", named(&status["name"], &status["key"])),
        (
            "chain",
            format!(
                "{} (id {}), genesis {}",
                part("chain"),
                part("chainId"),
                part("genesisHash")
            ),
        ),
        ("height", part("height")),
        ("head", part("headHash")),
        ("state root", part("stateRoot")),
        ("kept", kept_text(&status["kept"])),
        ("peers", part("peers")),
        ("syncing", progress_text(progress)),
        (
            "consensus",
            format!("{}: {}", part("engine"), consensus_text(consensus)),
        ),
    ];
    let raft = &consensus["raft"];
    if !raft.is_null() {
        rows.push(("raft", raft_text(raft)));
    }
    pairs(rows)
}

/// The first block of which a node still has something, as `eth_capabilities` says it.
fn oldest(capabilities: &Value, what: &str) -> Option<u64> {
    let oldest = capabilities[what]["oldestBlock"].as_str()?;
    u64::from_str_radix(oldest.strip_prefix("0x")?, 16).ok()
}

/// `everything`, or from which block on what is kept.
fn kept_text(kept: &Value) -> String {
    let from = |name: &str| kept[name].as_u64();
    match (from("blocksFrom"), from("stateFrom")) {
        (Some(0), Some(0)) => "everything".to_owned(),
        (Some(blocks), Some(state)) => {
            format!("blocks from {blocks} on, state from {state} on; older ones are pruned")
        }
        _ => "-".to_owned(),
    }
}

async fn checkpoint(rpc: &RpcArgs, output: Output) -> Outcome {
    let node = NodeClient::new(&rpc.rpc)?;
    let copy: Value = node.call("admin_checkpoint", json!([])).await?;
    output.result(&copy, || {
        pairs([
            ("height", plain(&copy["height"])),
            ("head", plain(&copy["hash"])),
            ("copy", plain(&copy["path"])),
        ])
    });
    Ok(())
}

/// A name for people before a key, where there is one.
fn named(name: &Value, key: &Value) -> String {
    match name.as_str() {
        Some(name) => format!("{} ({name})", plain(key)),
        None => plain(key),
    }
}

/// `12.5 %, block 50 of 400, 35 blocks/s, about 10 s left`.
fn progress_text(progress: &Value) -> String {
    if progress.is_null() {
        return "no".to_owned();
    }
    let part = |name: &str| plain(&progress[name]);
    let mut text = format!(
        "{} %, block {} of {}",
        part("percent"),
        part("currentBlock"),
        part("highestBlock")
    );
    if let (Some(rate), Some(left)) = (
        progress["blocksPerSecond"].as_f64(),
        progress["secondsLeft"].as_f64(),
    ) {
        text += &format!(", {rate:.0} blocks/s, about {} left", time_left(left));
    }
    text
}

/// Seconds in the two units that matter.
fn time_left(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    if seconds < 2.0 * MINUTE {
        format!("{seconds:.0} s")
    } else if seconds < 2.0 * HOUR {
        format!("{:.0} min", seconds / MINUTE)
    } else {
        format!(
            "{:.0} h {:.0} min",
            (seconds / HOUR).floor(),
            (seconds % HOUR) / MINUTE
        )
    }
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

fn raft_text(raft: &Value) -> String {
    let part = |name: &str| plain(&raft[name]);
    let leader = match raft["leader"].as_str() {
        Some(key) => format!("leader {key}"),
        None => "no leader".to_owned(),
    };
    let members = raft["members"].as_array().map_or(0, Vec::len);
    format!(
        "{}, {leader}, term {}, {members} members, log {} of {} applied",
        part("role"),
        part("term"),
        part("applied"),
        part("committed")
    )
}

async fn peers(rpc: &RpcArgs, output: Output) -> Outcome {
    let node = NodeClient::new(&rpc.rpc)?;
    let peers: Vec<Value> = node.call("medina_peers", json!([])).await?;
    output.result(&peers, || {
        if peers.is_empty() {
            return "no peer is connected".to_owned();
        }
        let mut rows = table(&["name", "key", "address", "height", "latency", "validator"]);
        for peer in &peers {
            let text = |name: &str| plain(&peer[name]).into();
            let is_validator = peer["isValidator"] == json!(true);
            rows.add_row([
                text("name"),
                text("key"),
                text("address"),
                number(plain(&peer["height"])),
                number(latency(&peer["latencyMs"])),
                if is_validator { "yes" } else { "no" }.into(),
            ]);
        }
        rows.to_string()
    });
    Ok(())
}

fn latency(milliseconds: &Value) -> String {
    match milliseconds.as_f64() {
        Some(milliseconds) => format!("{milliseconds:.1} ms"),
        None => "-".to_owned(),
    }
}

/// JSON as people read it: text without quotes, nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_with_percent_and_time_left() {
        assert_eq!(progress_text(&Value::Null), "no");
        let mut progress = json!({
            "percent": 12.5,
            "currentBlock": 50,
            "highestBlock": 400,
            "blocksPerSecond": null,
            "secondsLeft": null,
        });
        assert_eq!(progress_text(&progress), "12.5 %, block 50 of 400");
        progress["blocksPerSecond"] = json!(35.4);
        progress["secondsLeft"] = json!(10.0);
        assert_eq!(
            progress_text(&progress),
            "12.5 %, block 50 of 400, 35 blocks/s, about 10 s left"
        );
        for (seconds, text) in [(119.0, "119 s"), (600.0, "10 min"), (9_000.0, "2 h 30 min")] {
            assert_eq!(time_left(seconds), text);
        }
    }

    #[test]
    fn what_is_kept_is_told_from_its_first_block_on() {
        let kept = json!({ "blocksFrom": 0, "stateFrom": 0 });
        assert_eq!(kept_text(&kept), "everything");
        let kept = json!({ "blocksFrom": 0, "stateFrom": 70 });
        assert!(kept_text(&kept).starts_with("blocks from 0 on, state from 70 on"));
        assert_eq!(kept_text(&Value::Null), "-");
        let answer = json!({ "state": { "disabled": false, "oldestBlock": "0x46" } });
        assert_eq!(oldest(&answer, "state"), Some(70));
        assert_eq!(oldest(&answer, "blocks"), None);
    }

    #[test]
    fn raft_is_told_with_role_leader_and_term() {
        let mut raft = json!({
            "role": "verifier",
            "leader": "0xab",
            "term": 7,
            "members": [1, 2, 3],
            "applied": 4,
            "committed": 5,
        });
        assert_eq!(
            raft_text(&raft),
            "verifier, leader 0xab, term 7, 3 members, log 4 of 5 applied"
        );
        raft["leader"] = Value::Null;
        assert!(raft_text(&raft).contains("no leader"));
    }
}
