//! Networks of real `medina` processes on loopback, for stories about operators.
//!
//! The binary is the one that `cargo test --workspace` has just built. Every
//! network lives in a temporary folder and on ports that were free a moment
//! ago; children die with the value that holds them.

use reqwest::Client;
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    fs::File,
    future::Future,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long anything in a story may take before the test says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at something that is being waited for.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// Ports that one node takes.
const PORTS_PER_NODE: u16 = 10;

/// Waits until `look` answers `Some`; fails saying `what` was waited for.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain for: {what}"
        );
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}

/// Path of the `medina` binary beside the test binaries.
///
/// # Panics
/// When it was not built: run `cargo build -p medina-cli` or the whole workspace's tests.
#[must_use]
pub fn medina_binary() -> PathBuf {
    let running = std::env::current_exe().expect("a running program has a path");
    // Test binaries lie in target/PROFILE/deps, programs in target/PROFILE.
    running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("medina"))
        .find(|binary| binary.is_file())
        .expect("no medina binary beside this one: cargo build -p medina-cli")
}

/// Runs `medina` with arguments and returns what it printed; both streams are
/// in the panic when it fails.
///
/// # Panics
/// When the exit code is not 0.
#[must_use]
pub fn medina(arguments: &[&str]) -> String {
    let output = Command::new(medina_binary())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary can be started");
    let (printed, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "medina {arguments:?}: {}\n{printed}{errors}",
        output.status
    );
    printed.into_owned()
}

/// First of `count` consecutive ports that are free now; never the same twice
/// in one process, nor in two that run at the same time. The range lies below
/// the ports that systems hand out.
///
/// # Panics
/// When the machine has none left.
#[must_use]
pub fn free_ports(count: u16) -> u16 {
    static OURS: Mutex<PortBlocks> = Mutex::new(PortBlocks {
        next: 0,
        end: 0,
        held: Vec::new(),
    });
    let mut ours = OURS.lock().expect("nobody panics while holding it");
    for _ in 0..PORT_BLOCKS {
        let base = ours.take(count);
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (base..base + count).all(is_free) {
            return base;
        }
    }
    panic!("no {count} free ports in a row");
}

/// First port of the first block.
const PORTS_FIRST: u16 = 10_000;
/// Ports of one block.
const PORT_BLOCK: u16 = 100;
/// Blocks there are.
const PORT_BLOCKS: u16 = 220;

/// Blocks of ports that belong to this process: it holds a locked file for each,
/// which the system unlocks when the process ends, however it ends.
#[derive(Debug)]
struct PortBlocks {
    /// First port not given away.
    next: u16,
    /// End of the blocks held in a row.
    end: u16,
    held: Vec<File>,
}

impl PortBlocks {
    /// Takes ports in a row out of the blocks held, or of new ones.
    fn take(&mut self, count: u16) -> u16 {
        if self.end - self.next < count {
            let blocks = count.div_ceil(PORT_BLOCK);
            self.next = self.hold(blocks);
            self.end = self.next + blocks * PORT_BLOCK;
        }
        let base = self.next;
        self.next += count;
        base
    }

    /// Locks blocks in a row; their first port.
    fn hold(&mut self, blocks: u16) -> u16 {
        let folder = std::env::temp_dir().join("medina-test-ports");
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        // Where to begin looking: few processes begin at the same place.
        let own = u16::try_from(std::process::id() % u32::from(PORT_BLOCKS)).expect("small");
        for turn in 0..PORT_BLOCKS {
            let first = (own + turn) % PORT_BLOCKS;
            if first + blocks > PORT_BLOCKS {
                continue;
            }
            let locks: Option<Vec<_>> = (first..first + blocks)
                .map(|block| lock(&folder.join(block.to_string())))
                .collect();
            if let Some(locks) = locks {
                self.held.extend(locks);
                return PORTS_FIRST + first * PORT_BLOCK;
            }
        }
        panic!("all ports for tests belong to processes that run");
    }
}

/// The file, if nobody else has locked it.
fn lock(path: &Path) -> Option<File> {
    let file = File::options().create(true).append(true).open(path).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// One node of a network.
#[derive(Debug)]
pub struct NodeProcess {
    folder: PathBuf,
    port: u16,
    environment: Vec<(&'static str, OsString)>,
    child: Option<Child>,
}

/// A network made by `medina network new`.
#[derive(Debug)]
pub struct NetworkOfProcesses {
    folder: TempDir,
    base_port: u16,
    nodes: Vec<NodeProcess>,
    client: Client,
}

impl NetworkOfProcesses {
    /// Makes a network of `validators` and starts all of them.
    ///
    /// # Panics
    /// When it cannot be made or does not become ready.
    pub async fn start(validators: u16) -> Self {
        let mut network = Self::create(validators);
        for index in 0..network.nodes.len() {
            network.run(index);
        }
        let others = network.nodes.len() - 1;
        for index in 0..network.nodes.len() {
            network.ready(index).await;
        }
        for index in 0..network.nodes.len() {
            network.linked(index, others).await;
        }
        network
    }

    /// Makes a network of `validators` without starting any.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn create(validators: u16) -> Self {
        Self::create_with(validators, &[])
    }

    /// As [`Self::create`] with further arguments of `medina network new`.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn create_with(validators: u16, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Room for nodes that are added later.
        let base_port = free_ports((validators + 3) * PORTS_PER_NODE);
        let directory = folder.path().join("network");
        let text = |path: &Path| path.to_str().expect("temporary paths are text").to_owned();
        let (count, directory_text) = (validators.to_string(), text(&directory));
        let port = base_port.to_string();
        let mut new = vec!["network", "new", "--validators", &count];
        new.extend(["--dir", &directory_text, "--base-port", &port]);
        new.extend(arguments);
        let _ = medina(&new);
        let nodes = (0..validators).map(|index| NodeProcess::new(&directory, base_port, index));
        let nodes = nodes.collect();
        Self {
            folder,
            base_port,
            nodes,
            client: Client::new(),
        }
    }

    /// Folder of the network.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.folder.path().join("network")
    }

    /// Number of nodes, added ones included.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a network has nodes")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Folder of a node.
    #[must_use]
    pub fn node_folder(&self, index: usize) -> &Path {
        &self.nodes[index].folder
    }

    /// URL of a node's JSON-RPC.
    #[must_use]
    pub fn rpc_url(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.nodes[index].port)
    }

    /// URL of a node's metrics and readiness.
    #[must_use]
    pub fn metrics_url(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.nodes[index].port + 2)
    }

    /// Adds a follower with `medina network add`; returns its index. It is not started.
    ///
    /// # Panics
    /// When it cannot be added.
    pub fn add_follower(&mut self) -> usize {
        let directory = self.directory();
        let directory_text = directory.to_str().expect("temporary paths are text");
        let _ = medina(&["network", "add", "--dir", directory_text, "--follower"]);
        let index = u16::try_from(self.nodes.len()).expect("a test network is small");
        self.nodes
            .push(NodeProcess::new(&directory, self.base_port, index));
        self.nodes.len() - 1
    }

    /// Starts a node that is not running.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&mut self, index: usize) {
        self.nodes[index].run();
    }

    /// Waits until a node answers JSON-RPC.
    ///
    /// # Panics
    /// After [`PATIENCE`], or when the process ended.
    pub async fn ready(&mut self, index: usize) {
        let started = Instant::now();
        while self
            .try_call(index, "eth_blockNumber", json!([]))
            .await
            .is_none()
        {
            if let Some(status) = self.nodes[index].ended() {
                panic!("node {index} ended with {status}:\n{}", self.log(index));
            }
            assert!(
                started.elapsed() < PATIENCE,
                "node {index} is silent:\n{}",
                self.log(index)
            );
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    /// Waits until a node has links to so many peers. Who is not linked when a
    /// block is decided hears no votes: a validator without a record, at genesis
    /// or wiped, then has to observe longer before it may vote.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn linked(&self, index: usize, peers: usize) {
        eventually(&format!("node {index} to have {peers} peers"), || async {
            let linked = self.try_call(index, "medina_peers", json!([])).await?;
            linked.as_array().filter(|linked| linked.len() >= peers)?;
            Some(())
        })
        .await;
    }

    /// Whether a node runs, as far as is known; a paused one does.
    #[must_use]
    pub fn is_running(&self, index: usize) -> bool {
        self.nodes[index].child.is_some()
    }

    /// Process id of a node that runs.
    #[must_use]
    pub fn pid(&self, index: usize) -> Option<u32> {
        self.nodes[index].child.as_ref().map(Child::id)
    }

    /// Looks whether a node has ended by itself, and forgets its process if so.
    pub fn ended(&mut self, index: usize) -> Option<ExitStatus> {
        let status = self.nodes[index].ended()?;
        self.nodes[index].child = None;
        Some(status)
    }

    /// Variables that a node's process gets from its next start on.
    pub fn set_environment(&mut self, index: usize, variables: Vec<(&'static str, OsString)>) {
        self.nodes[index].environment = variables;
    }

    /// Sends a signal such as `STOP` to a node.
    ///
    /// # Panics
    /// When the node is not running.
    pub fn signal(&self, index: usize, name: &str) {
        let pid = self.pid(index).expect("the node is running").to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .expect("kill exists");
        assert!(sent.success(), "kill -{name} {pid}: {sent}");
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// When the node is not running.
    pub fn kill(&mut self, index: usize) {
        let mut child = self.nodes[index].child.take().expect("the node is running");
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }

    /// SIGTERM; returns how long the node took and how it ended.
    ///
    /// # Panics
    /// When the node is not running or does not end.
    pub async fn terminate(&mut self, index: usize) -> (Duration, ExitStatus) {
        self.signal(index, "TERM");
        let node = &mut self.nodes[index];
        let started = Instant::now();
        loop {
            if let Some(status) = node.ended() {
                node.child = None;
                return (started.elapsed(), status);
            }
            assert!(
                started.elapsed() < PATIENCE,
                "SIGTERM did not stop node {index}"
            );
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    /// File of a node's log.
    #[must_use]
    pub fn log_path(&self, index: usize) -> PathBuf {
        self.nodes[index].log_path()
    }

    /// What a node has logged since it was first started.
    #[must_use]
    pub fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.nodes[index].log_path()).unwrap_or_default()
    }

    /// Calls JSON-RPC of a node.
    ///
    /// # Panics
    /// When the node does not answer or answers an error.
    pub async fn call(&self, index: usize, method: &str, params: Value) -> Value {
        match self.request(index, method, &params).await {
            Ok(answer) if answer.get("error").is_none() => answer["result"].clone(),
            other => panic!(
                "node {index}: {method} {params}: {other:?}\n{}",
                self.log(index)
            ),
        }
    }

    /// Calls JSON-RPC of a node that may be down.
    pub async fn try_call(&self, index: usize, method: &str, params: Value) -> Option<Value> {
        let answer = self.request(index, method, &params).await.ok()?;
        answer.get("result").cloned()
    }

    /// The whole answer of a node, error or result; `None` when it is down.
    pub async fn try_answer(&self, index: usize, method: &str, params: Value) -> Option<Value> {
        self.request(index, method, &params).await.ok()
    }

    async fn request(&self, index: usize, method: &str, params: &Value) -> reqwest::Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self
            .client
            .post(self.rpc_url(index))
            .timeout(Duration::from_secs(5));
        request.json(&body).send().await?.json().await
    }

    /// Height of a node, `None` when it is down.
    pub async fn height(&self, index: usize) -> Option<u64> {
        let answer = self.try_call(index, "eth_blockNumber", json!([])).await?;
        u64::from_str_radix(answer.as_str()?.strip_prefix("0x")?, 16).ok()
    }

    /// Waits until a node has reached a height.
    pub async fn reaches(&self, index: usize, height: u64) {
        eventually(&format!("node {index} at height {height}"), || async {
            self.height(index)
                .await
                .filter(|reached| *reached >= height)
        })
        .await;
    }

    /// Hash and state root of the block at a height on one node.
    pub async fn block_identity(&self, index: usize, height: u64) -> (String, String) {
        let params = json!([format!("0x{height:x}"), false]);
        let block = self.call(index, "eth_getBlockByNumber", params).await;
        let field = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        (field("hash"), field("stateRoot"))
    }

    /// Waits until the given nodes have the same head, and returns its height.
    pub async fn agree(&self, nodes: &[usize]) -> u64 {
        eventually(&format!("nodes {nodes:?} at one head"), || async {
            let mut heads = Vec::new();
            for &index in nodes {
                let params = json!(["latest", false]);
                let head = self.try_call(index, "eth_getBlockByNumber", params).await?;
                heads.push((
                    head["number"].clone(),
                    head["hash"].clone(),
                    head["stateRoot"].clone(),
                ));
            }
            let same = heads.windows(2).all(|pair| pair[0] == pair[1]);
            let number = heads.first()?.0.as_str()?.strip_prefix("0x")?.to_owned();
            same.then(|| u64::from_str_radix(&number, 16).ok())
                .flatten()
        })
        .await
    }
}

impl NodeProcess {
    fn new(directory: &Path, base_port: u16, index: u16) -> Self {
        let folder = directory.join(format!("node-{index}"));
        Self {
            folder,
            port: base_port + PORTS_PER_NODE * index,
            environment: Vec::new(),
            child: None,
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    fn run(&mut self) {
        assert!(
            self.child.is_none(),
            "{} runs already",
            self.folder.display()
        );
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path());
        let log = log.expect("a log file in the node's folder");
        let child = Command::new(medina_binary())
            .args(["node", "run", "--config"])
            .arg(self.folder.join("config.toml"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("the binary can be started"));
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The child may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> PortBlocks {
        PortBlocks {
            next: 0,
            end: 0,
            held: Vec::new(),
        }
    }

    #[test]
    fn two_that_take_ports_at_the_same_time_never_share_one() {
        // Two holders in one process exclude each other as two processes do:
        // a lock belongs to the file that was opened.
        let (mut one, mut other) = (blocks(), blocks());
        let mut taken = std::collections::BTreeSet::new();
        for count in [70, 50, 130, 10, 100, 1] {
            for holder in [&mut one, &mut other] {
                let base = holder.take(count);
                for port in base..base + count {
                    assert!(taken.insert(port), "port {port} twice");
                }
            }
        }
        assert!(taken.iter().all(|port| (10_000..32_000).contains(port)));
    }

    #[test]
    fn ports_come_free_when_their_holder_ends() {
        let mut gone = blocks();
        let base = gone.take(PORT_BLOCK);
        let block = (base - PORTS_FIRST) / PORT_BLOCK;
        let path = std::env::temp_dir()
            .join("medina-test-ports")
            .join(block.to_string());
        assert!(lock(&path).is_none());
        drop(gone);
        assert!(lock(&path).is_some());
    }
}
