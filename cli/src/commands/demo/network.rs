//! The demo's network: four validators as four child processes.

use super::{
    processes::{FreePorts, Process, free_ports},
    report::NodeReport,
};
use crate::{
    commands::{node::head_of, since_epoch},
    errors::{Failure, Outcome},
    node_client::NodeClient,
};
use medina_genesis::{GeneratedNode, NetworkOptions, generate_network};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Validators of the demo.
const VALIDATORS: u16 = 4;

/// Time that processes have to answer, and nodes to agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// One validator.
struct DemoNode {
    files: GeneratedNode,
    client: NodeClient,
    /// `None` while it is killed.
    process: Option<Process>,
}

/// The processes of the demo. Dropping it kills them.
pub(crate) struct DemoNetwork {
    folder: PathBuf,
    nodes: Vec<DemoNode>,
    gateway: Option<Process>,
    ports: FreePorts,
}

impl DemoNetwork {
    /// Makes the files and starts the nodes.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let ports = free_ports(VALIDATORS)?;
        let options = NetworkOptions {
            validators: VALIDATORS.into(),
            base_port: ports.base,
            name: "Medina demo".to_owned(),
            ..NetworkOptions::new(folder.join("network"), since_epoch().as_secs())
        };
        let generated = generate_network(&options)?;
        let mut network = Self {
            folder: folder.to_owned(),
            nodes: Vec::new(),
            gateway: None,
            ports,
        };
        for files in generated.nodes {
            let client = NodeClient::new(&format!("http://127.0.0.1:{}", files.ports.rpc))?;
            network.nodes.push(DemoNode {
                files,
                client,
                process: None,
            });
        }
        for index in 0..network.nodes.len() {
            network.start_node(index)?;
        }
        Ok(network)
    }

    /// Starts a node that does not run.
    pub(crate) fn start_node(&mut self, index: usize) -> Outcome {
        let node = &mut self.nodes[index];
        let log = self.folder.join(format!("{}.log", node.files.name));
        let config = node.files.config.as_os_str();
        let arguments = ["node".as_ref(), "run".as_ref(), "--config".as_ref(), config];
        node.process = Some(Process::start(&node.files.name, &log, arguments)?);
        Ok(())
    }

    /// SIGKILL for a node.
    pub(crate) async fn kill_node(&mut self, index: usize) -> Outcome {
        match self.nodes[index].process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// JSON-RPC of the first node.
    pub(crate) fn rpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.base)
    }

    /// Where the gateway will listen.
    pub(crate) fn gateway_port(&self) -> u16 {
        self.ports.gateway
    }

    /// Starts the gateway.
    pub(crate) async fn start_gateway(&mut self, config: &Path) -> Outcome {
        let arguments = [
            "gateway".as_ref(),
            "run".as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
        ];
        let log = self.folder.join("gateway.log");
        self.gateway = Some(Process::start("the gateway", &log, arguments)?);
        let deadline = Instant::now() + PATIENCE;
        let port = self.ports.gateway;
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            self.check_alive()?;
            wait_before(deadline, "the gateway does not listen").await?;
        }
        Ok(())
    }

    /// Waits until a node answers and is connected to `peers` others.
    pub(crate) async fn wait_until_connected(&mut self, index: usize, peers: usize) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.check_alive()?;
            let node = &self.nodes[index];
            let connected: Outcome<Vec<Value>> = node.client.call("medina_peers", json!([])).await;
            if connected.is_ok_and(|connected| connected.len() >= peers) {
                return Ok(());
            }
            let late = format!("{} is not connected to {peers} peers", node.files.name);
            wait_before(deadline, &late).await?;
        }
    }

    /// Waits until every node answers and knows every other.
    pub(crate) async fn wait_until_complete(&mut self) -> Outcome {
        for index in 0..self.nodes.len() {
            self.wait_until_connected(index, usize::from(VALIDATORS) - 1)
                .await?;
        }
        Ok(())
    }

    /// Waits until all nodes have the same head, and answers what each reports.
    pub(crate) async fn wait_until_equal(&mut self) -> Outcome<Vec<NodeReport>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.check_alive()?;
            let reports = self.heads().await?;
            let is_same = |pair: &[NodeReport]| {
                (pair[0].head_hash, pair[0].state_root) == (pair[1].head_hash, pair[1].state_root)
            };
            if reports.windows(2).all(is_same) {
                return Ok(reports);
            }
            let heads: Vec<_> = reports
                .iter()
                .map(|node| format!("{} {} {}", node.name, node.height, node.head_hash))
                .collect();
            wait_before(
                deadline,
                &format!("the nodes do not agree: {}", heads.join("; ")),
            )
            .await?;
        }
    }

    async fn heads(&self) -> Outcome<Vec<NodeReport>> {
        let mut reports = Vec::new();
        for node in &self.nodes {
            reports.push(NodeReport::new(
                &node.files.name,
                head_of(&node.client).await?,
            ));
        }
        Ok(reports)
    }

    fn check_alive(&mut self) -> Outcome {
        let nodes = self
            .nodes
            .iter_mut()
            .filter_map(|node| node.process.as_mut());
        nodes
            .chain(&mut self.gateway)
            .try_for_each(Process::check_alive)
    }

    /// Ends every process.
    pub(crate) async fn stop(self) {
        let nodes = self.nodes.into_iter().filter_map(|node| node.process);
        let processes = self.gateway.into_iter().chain(nodes);
        futures::future::join_all(processes.map(Process::stop)).await;
    }
}

async fn wait_before(deadline: Instant, late: &str) -> Outcome {
    if Instant::now() >= deadline {
        return Err(Failure::new(format!(
            "{late} after {} s",
            PATIENCE.as_secs()
        )));
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}
