//! `/metrics`, `/liveness` and `/readiness` for operators and their tools.

use crate::{chain::Chain, node::NodeError, telemetry};
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use medina_consensus::EngineStatus;
use medina_network::NetworkHandle;
use medina_types::NodePublicKey;
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
    let best = peers
        .iter()
        .map(|peer| peer.status.height)
        .max()
        .unwrap_or(head.height);
    let behind = best.0.saturating_sub(head.height.0);
    let validators = &head.context.validators;
    let is_validator = validators.index_of_key(&monitoring.own_key).is_some();
    let connected = peers
        .iter()
        .filter(|peer| validators.index_of_key(&peer.key).is_some())
        .count();
    let reason = not_ready(
        behind,
        connected + usize::from(is_validator),
        validators.quorum(),
    );
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

/// The first reason why a node should get no traffic.
fn not_ready(behind: u64, validators_in_reach: usize, quorum: usize) -> Option<String> {
    if behind > BLOCKS_BEHIND_MAX {
        return Some(format!("{behind} blocks behind the peers"));
    }
    (validators_in_reach < quorum.min(2)).then(|| {
        format!("{validators_in_reach} validators in reach, {quorum} are needed for a block")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_far_behind_or_alone_is_not_ready() {
        assert_eq!(not_ready(0, 4, 3), None);
        assert_eq!(not_ready(2, 1, 1), None);
        assert!(not_ready(3, 4, 3).is_some_and(|reason| reason.contains("behind")));
        assert!(not_ready(0, 1, 3).is_some_and(|reason| reason.contains("in reach")));
    }
}
