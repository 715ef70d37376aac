//! `/metrics`, `/liveness` and `/readiness` for operators and their tools.

use crate::{chain::Chain, node::NodeError, telemetry};
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use medina_consensus::{EngineStatus, RaftRole};
use medina_network::NetworkHandle;
use medina_types::{Height, NodePublicKey};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::watch};

/// Blocks that a ready node may be behind its peers.
const BLOCKS_BEHIND_MAX: u64 = 2;

/// What the answers are made from.
pub(crate) struct Monitoring {
    pub(crate) chain: Chain,
    pub(crate) network: NetworkHandle,
    pub(crate) own_key: NodePublicKey,
    pub(crate) status: watch::Receiver<EngineStatus>,
}

/// Binds the port, so that a taken one is an error at start.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| NodeError::Listen {
            what: "metrics",
            address,
            source,
        })
}

/// Serves until told to stop.
pub(crate) async fn run(
    listener: TcpListener,
    monitoring: Monitoring,
    mut stop: watch::Receiver<bool>,
) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/liveness", get(|| async { "OK" }))
        .route("/readiness", get(readiness))
        .with_state(Arc::new(monitoring));
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
    {
        tracing::warn!(%error, "the metrics server stopped");
    }
}

async fn metrics(State(monitoring): State<Arc<Monitoring>>) -> String {
    let status = monitoring.status.borrow().clone();
    metrics::gauge!("medina_consensus_round").set(f64::from(status.round.0));
    metrics::gauge!("medina_consensus_votes").set(f64::from(u8::from(status.votes)));
    let head = monitoring.chain.head();
    metrics::gauge!("medina_consensus_validators").set(head.context.validators.len() as f64);
    if let Some(raft) = &status.raft {
        metrics::gauge!("medina_raft_term").set(raft.term as f64);
        metrics::gauge!("medina_raft_committed").set(raft.committed as f64);
        metrics::gauge!("medina_raft_applied").set(raft.applied as f64);
        let leads = raft.role == RaftRole::Leader;
        metrics::gauge!("medina_raft_leads").set(f64::from(u8::from(leads)));
    }
    metrics::gauge!("medina_network_peers").set(monitoring.network.peers().len() as f64);
    let pool = monitoring.chain.pool.status();
    metrics::gauge!("medina_pool_transactions", "state" => "executable")
        .set(pool.executable as f64);
    metrics::gauge!("medina_pool_transactions", "state" => "queued").set(pool.queued as f64);
    telemetry::metrics().render()
}

async fn readiness(State(monitoring): State<Arc<Monitoring>>) -> (StatusCode, Json<Value>) {
    let peers = monitoring.network.peers();
    let head = monitoring.chain.head();
    let validators = &head.context.validators;
    let heights = peers.iter().map(|peer| peer.status.height).collect();
    let best = believable_height(heights, validators.faulty_max());
    let behind = best.0.saturating_sub(head.height.0);
    let is_validator = validators.index_of_key(&monitoring.own_key).is_some();
    let connected = peers
        .iter()
        .filter(|peer| validators.index_of_key(&peer.key).is_some())
        .count();
    let quorum = monitoring.chain.spec.consensus.engine.quorum(validators);
    // A follower hears of blocks through anybody; a validator makes them with a
    // quorum, and at genesis votes only once it has met one.
    let needed = if is_validator { quorum } else { quorum.min(2) };
    let reason = not_ready(behind, connected + usize::from(is_validator), needed);
    let code = if reason.is_none() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "ready": reason.is_none(),
        "reason": reason,
        "height": head.height,
        "blocksBehind": behind,
        "peers": peers.len(),
        "validator": is_validator,
    });
    (code, Json(body))
}

/// The highest height that more peers claim than may lie, if there are so many.
pub(crate) fn believable_height(mut claimed: Vec<Height>, liars_max: usize) -> Height {
    claimed.sort_unstable_by_key(|height| std::cmp::Reverse(*height));
    let index = liars_max.min(claimed.len().saturating_sub(1));
    claimed.get(index).copied().unwrap_or(Height::GENESIS)
}

/// The first reason why a node should get no traffic.
fn not_ready(behind: u64, validators_in_reach: usize, needed: usize) -> Option<String> {
    if behind > BLOCKS_BEHIND_MAX {
        return Some(format!("{behind} blocks behind the peers"));
    }
    (validators_in_reach < needed)
        .then(|| format!("{validators_in_reach} validators in reach, {needed} are needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_boasting_peer_does_not_make_a_node_unready() {
        let boasted = vec![Height(7), Height(u64::MAX), Height(7)];
        assert_eq!(believable_height(boasted, 1), Height(7));
        assert_eq!(believable_height(vec![Height(7)], 1), Height(7));
        assert_eq!(believable_height(Vec::new(), 1), Height::GENESIS);
    }

    #[test]
    fn node_far_behind_or_alone_is_not_ready() {
        assert_eq!(not_ready(0, 4, 3), None);
        assert_eq!(not_ready(2, 1, 1), None);
        assert!(not_ready(3, 4, 3).is_some_and(|reason| reason.contains("behind")));
        assert!(not_ready(0, 2, 3).is_some_and(|reason| reason.contains("in reach")));
    }
}
