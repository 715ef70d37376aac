//! Runs a folder of cases against one server.

use super::{
    block_building, cases,
    cases::{Case, Exchange},
    chain::RpcChain,
    compare::compare,
    node::RpcNode,
    places::RpcFiles,
};
use crate::{OpenRpc, Outcome, Reasons, Summary};
use medina_rpc::{RpcConfig, RpcServerHandle, start};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Time for one request.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Served here and not by the node, whose blocks nobody orders from outside.
const BUILD_BLOCK: &str = "testing_buildBlockV1";

/// A case and what came of it.
#[derive(Clone, Debug)]
pub struct RpcCaseReport {
    /// Its file.
    pub file: PathBuf,
    /// What came of it.
    pub outcome: Outcome,
}

/// Why no case was run.
#[derive(Debug, thiserror::Error)]
pub enum RpcRunError {
    /// Cases, chain or schema are missing or cannot be read.
    #[error("{0}")]
    Files(String),
    /// The chain was not imported.
    #[error("the chain cannot be imported: {0}")]
    Import(String),
    /// The server did not start.
    #[error("the server did not start: {0}")]
    Server(String),
}

/// Imports the chain, starts the server, and runs every case of a folder in order;
/// `tell` hears of each as soon as it is over. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// When nothing can be run. A case that cannot be read counts as failed.
pub async fn run_rpc_cases(
    cases: &Path,
    tell: &mut dyn FnMut(&RpcCaseReport),
) -> Result<Summary, RpcRunError> {
    let files = cases::find(cases).map_err(RpcRunError::Files)?;
    let places = RpcFiles::of_cases(cases).map_err(RpcRunError::Files)?;
    let schema = OpenRpc::read(&places.schema);
    let schema = schema.map_err(|error| RpcRunError::Files(error.to_string()))?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (server, node) = serve(&places, listen).await?;
    let client = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIME);
    let client = client.build();
    let client = client.map_err(|error| RpcRunError::Server(error.to_string()))?;
    let runner = Runner {
        url: format!("http://{}", server.local_addr()),
        node,
        client,
        schema,
    };
    let mut summary = Summary::default();
    for file in files {
        let outcome = match Case::read(&file) {
            Err(reason) => Outcome::Failed(reason),
            Ok(case) => runner.run(&case).await,
        };
        let report = RpcCaseReport { file, outcome };
        tell(&report);
        summary.count(&report.outcome);
    }
    server.stop();
    Ok(summary)
}

/// Imports the chain of a folder of cases and serves it until the handle is
/// dropped, for those who want to ask it themselves. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// When the chain cannot be imported, or the address is taken.
pub async fn serve_rpc_chain(
    cases: &Path,
    listen: SocketAddr,
) -> Result<RpcServerHandle, RpcRunError> {
    let places = RpcFiles::of_cases(cases).map_err(RpcRunError::Files)?;
    Ok(serve(&places, listen).await?.0)
}

async fn serve(
    places: &RpcFiles,
    listen: SocketAddr,
) -> Result<(RpcServerHandle, Arc<RpcNode>), RpcRunError> {
    let chain = RpcChain::import(&places.genesis, &places.chain).map_err(RpcRunError::Import)?;
    let node = Arc::new(RpcNode::new(chain));
    let server = start(RpcConfig::new(listen), node.clone()).await;
    let server = server.map_err(|error| RpcRunError::Server(error.to_string()))?;
    Ok((server, node))
}

struct Runner {
    url: String,
    node: Arc<RpcNode>,
    client: reqwest::Client,
    schema: OpenRpc,
}

impl Runner {
    async fn run(&self, case: &Case) -> Outcome {
        for (index, exchange) in case.exchanges.iter().enumerate() {
            let method = method_of(&exchange.request);
            if let Some(method) = method.as_deref().filter(|name| name.starts_with("engine_")) {
                let cause = format!("{method}: the engine API is not part of this node");
                return Outcome::Skipped(cause);
            }
            let compared = self.exchange(case, exchange, method.as_deref()).await;
            if let Err(reason) = compared {
                let number = index + 1;
                return Outcome::Failed(format!("request {number}: {reason}"));
            }
        }
        Outcome::Passed(Reasons::default())
    }

    async fn exchange(
        &self,
        case: &Case,
        exchange: &Exchange,
        method: Option<&str>,
    ) -> Result<(), String> {
        let found = match method {
            Some(BUILD_BLOCK) => self.build_block(&exchange.request)?,
            _ => self.ask(&exchange.request).await?,
        };
        let expected = &exchange.expected;
        let is_shape_wanted = case.schema_only && expected.get("result").is_some();
        let (Some(method), true) = (method, is_shape_wanted) else {
            return compare(expected, &found);
        };
        match found.get("result") {
            Some(result) => self.schema.check_result(method, result),
            None => Err(format!("no result: {}", found["error"])),
        }
    }

    async fn ask(&self, request: &str) -> Result<Value, String> {
        let sent = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .body(request.to_owned())
            .send()
            .await;
        let answer = sent.map_err(|error| format!("no answer: {error}"))?;
        answer
            .json()
            .await
            .map_err(|error| format!("no JSON: {error}"))
    }

    fn build_block(&self, request: &str) -> Result<Value, String> {
        let request: Value = serde_json::from_str(request).map_err(|error| error.to_string())?;
        let id = &request["id"];
        Ok(
            match block_building::build(&self.node, &request["params"]) {
                Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                Err(refused) => {
                    let (code, message) = refused;
                    let error = json!({ "code": code, "message": message });
                    json!({ "jsonrpc": "2.0", "id": id, "error": error })
                }
            },
        )
    }
}

fn method_of(request: &str) -> Option<String> {
    let request: Value = serde_json::from_str(request).ok()?;
    Some(request["method"].as_str()?.to_owned())
}
