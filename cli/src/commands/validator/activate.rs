//! `medina validator register` and `activate`: what a new validator's own people do.

use super::{
    ActivateArgs, RegisterArgs,
    explain::{Step, explained},
    key_of,
};
use crate::{
    errors::{Failure, Outcome},
    node_client::NodeClient,
    output::{Output, pairs},
    values,
};
use medina_types::NodePublicKey;
use serde::Deserialize;
use serde_json::{Value, json};

/// Blocks that a synced node may lack at any moment.
const BEHIND_BLOCKS_MAX: u64 = 2;

/// Enters a node of the sender's organisation.
pub(super) async fn register(args: &RegisterArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let org = client.own_org().await?;
    let receipt = client
        .register_node(org, key_of(args.node))
        .await
        .map_err(|error| explained(Step::Register, error))?;
    let value = json!({
        "node": args.node,
        "org": org,
        "transaction": values::transaction(&receipt),
    });
    output.result(&value, || {
        let facts = pairs([
            ("node", args.node.to_string()),
            ("organisation", org.to_string()),
        ]);
        format!(
            "{facts}{}\nAn operator of a validator proposes it: medina validator propose add {} OPERATOR",
            values::transaction_line(&receipt),
            args.node
        )
    });
    Ok(())
}

/// Makes an admitted node a validator.
pub(super) async fn activate(args: &ActivateArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let node = NodeClient::new(args.sender.rpc_url())?;
    if !args.force {
        let standing = Standing::ask(&node, args.node).await?;
        if let Some(problem) = standing.problem() {
            let failure = Failure::new(format!("{} is not ready: {problem}", args.node));
            return Err(failure.hint(
                "an activated node that is behind counts for the quorum without voting: start it, \
                 wait until it is synced (`medina node status`), or insist with --force",
            ));
        }
    }
    let receipt = client
        .activate_validator(key_of(args.node))
        .await
        .map_err(|error| explained(Step::Activate, error))?;
    let validators = client.validator_nodes().await?.len();
    let value = json!({
        "node": args.node,
        "firstBlock": receipt.block + 1,
        "validators": validators,
        "transaction": values::transaction(&receipt),
    });
    output.result(&value, || {
        format!(
            "{}\n{} validates from block {} on, one of {validators}",
            values::transaction_line(&receipt),
            args.node,
            receipt.block + 1
        )
    });
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Oneself {
    key: NodePublicKey,
    height: u64,
}

#[derive(Debug, Deserialize)]
struct Peer {
    key: NodePublicKey,
    height: Option<u64>,
}

/// Where the node stands that is to be activated, as the asked node sees it.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// The asked node, or a peer of it, at this height; the best known height.
    At { height: u64, best: u64 },
    /// The asked node is itself catching up.
    AskedNodeBehind { height: u64, best: u64 },
    /// The asked node itself, without a peer to compare with.
    Alone,
    /// A peer that has not told its height.
    Silent,
    /// Not connected to the asked node.
    OutOfReach,
}

impl Standing {
    async fn ask(node: &NodeClient, key: NodePublicKey) -> Outcome<Self> {
        let oneself: Oneself = node.call("medina_node", json!([])).await?;
        let peers: Vec<Peer> = node.call("medina_peers", json!([])).await?;
        let progress: Value = node.call("medina_syncProgress", json!([])).await?;
        let target = progress["highestBlock"].as_u64();
        Ok(Self::of(key, &oneself, &peers, target))
    }

    fn of(key: NodePublicKey, oneself: &Oneself, peers: &[Peer], target: Option<u64>) -> Self {
        let told = peers.iter().filter_map(|peer| peer.height).max();
        let best = oneself.height.max(told.unwrap_or(0));
        if oneself.key == key {
            return match told {
                None => Self::Alone,
                Some(_) => Self::At {
                    height: oneself.height,
                    best: best.max(target.unwrap_or(0)),
                },
            };
        }
        if target.is_some() {
            let height = oneself.height;
            return Self::AskedNodeBehind { height, best };
        }
        match peers.iter().find(|peer| peer.key == key) {
            None => Self::OutOfReach,
            Some(Peer { height: None, .. }) => Self::Silent,
            Some(Peer {
                height: Some(height),
                ..
            }) => Self::At {
                height: *height,
                best,
            },
        }
    }

    /// Why it should not be activated now.
    fn problem(&self) -> Option<String> {
        match self {
            Self::At { height, best } if best.saturating_sub(*height) <= BEHIND_BLOCKS_MAX => None,
            Self::At { height, best } => {
                Some(format!("it is at block {height}, the others at {best}"))
            }
            Self::AskedNodeBehind { height, best } => Some(format!(
                "the node that was asked (--rpc) is itself at block {height} of {best} and cannot tell"
            )),
            Self::Alone => Some("it has no peer, so it cannot be synced".to_owned()),
            Self::Silent => Some("it has not told its height yet".to_owned()),
            Self::OutOfReach => {
                Some("it is not connected to the node that was asked (--rpc)".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NodePublicKey {
        NodePublicKey([byte; 32])
    }

    #[test]
    fn only_a_synced_node_is_ready() {
        let asked = |height| Oneself {
            key: key(1),
            height,
        };
        let peer = |byte, height| Peer {
            key: key(byte),
            height,
        };
        let cases = [
            (
                "itself, synced",
                1,
                asked(9),
                vec![peer(2, Some(10))],
                None,
                true,
            ),
            (
                "itself, behind",
                1,
                asked(5),
                vec![peer(2, Some(10))],
                None,
                false,
            ),
            (
                "itself, catching up",
                1,
                asked(9),
                vec![peer(2, Some(9))],
                Some(99),
                false,
            ),
            ("itself, alone", 1, asked(9), vec![], None, false),
            (
                "a peer, synced",
                2,
                asked(9),
                vec![peer(2, Some(9))],
                None,
                true,
            ),
            (
                "a peer, behind",
                2,
                asked(9),
                vec![peer(2, Some(3))],
                None,
                false,
            ),
            (
                "a peer, silent",
                2,
                asked(9),
                vec![peer(2, None)],
                None,
                false,
            ),
            (
                "a stranger",
                3,
                asked(9),
                vec![peer(2, Some(9))],
                None,
                false,
            ),
            (
                "asked node behind",
                2,
                asked(3),
                vec![peer(2, Some(3))],
                Some(9),
                false,
            ),
        ];
        for (what, wanted, oneself, peers, target, is_ready) in cases {
            let standing = Standing::of(key(wanted), &oneself, &peers, target);
            assert_eq!(
                standing.problem().is_none(),
                is_ready,
                "{what}: {standing:?}"
            );
        }
    }
}
