//! A small chain, an engine that follows a script, links that remember.

use crate::{
    chain::{Chain, Written},
    clock::Clock,
    config::{ConsensusSection, ListenSection, LogSection, NodeConfig, RpcSection},
    driver::{Driver, DriverHandle},
    fatal::Fatal,
    links::Links,
    organisations::Organisations,
    sync::{self, SyncProgress, serve},
};
use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;
use medina_consensus::{Engine, EngineStatus, Input, Output};
use medina_execution::{BuildAttributes, ExecutedBlock, Executor};
use medina_genesis::{ChainOptions, LoadedGenesis, PrivateBounds, new_chain};
use medina_network::{NetworkError, PeerInfo};
use medina_pool::{Pool, PoolConfig};
use medina_storage::{OpenOptions, Store};
use medina_types::{
    Certificate, ChainSpec, ConsensusEngine, ConsensusParameters, Height, NodePublicKey,
    NodeSecretKey, PermissionMode, Round, SealedBlock, Validator, ValidatorSet, commit_message,
    wire::{PeerMessage, PeerStatus, SyncRequest, SyncResponse},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

pub(crate) fn secret(index: u8) -> NodeSecretKey {
    NodeSecretKey::from_bytes([index + 1; 32])
}

pub(crate) fn key(index: u8) -> NodePublicKey {
    secret(index).public_key()
}

fn operator(index: u8) -> Address {
    Address::repeat_byte(index + 1)
}

fn genesis() -> &'static LoadedGenesis {
    static GENESIS: OnceLock<LoadedGenesis> = OnceLock::new();
    GENESIS.get_or_init(|| genesis_of(ConsensusEngine::Qbft))
}

fn raft_genesis() -> &'static LoadedGenesis {
    static GENESIS: OnceLock<LoadedGenesis> = OnceLock::new();
    GENESIS.get_or_init(|| genesis_of(ConsensusEngine::Raft))
}

fn genesis_of(engine: ConsensusEngine) -> LoadedGenesis {
    {
        let validator = |index| Validator {
            key: key(index),
            operator: operator(index),
        };
        let options = ChainOptions {
            name: "test".to_owned(),
            chain_id: 1337,
            consensus: ConsensusParameters {
                engine,
                ..ConsensusParameters::default()
            },
            permissions: PermissionMode::Open,
            validators: ValidatorSet::new((0..4).map(validator).collect()).unwrap(),
            admin: None,
            timestamp_s: 1_700_000_000,
            quorum_compat: false,
            private: PrivateBounds::default(),
        };
        LoadedGenesis::new(&new_chain(&options).unwrap()).unwrap()
    }
}

/// A chain at genesis, of validators 0 to 3.
pub(crate) fn chain() -> (TempDir, Chain) {
    chain_of(genesis())
}

/// The same with Raft.
pub(crate) fn raft_chain() -> (TempDir, Chain) {
    chain_of(raft_genesis())
}

fn chain_of(genesis: &LoadedGenesis) -> (TempDir, Chain) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("data"), OpenOptions::default()).unwrap();
    store.initialize_genesis(&genesis.state()).unwrap();
    (folder, chain_on(genesis.spec(), store))
}

/// A configuration with all files in a folder.
pub(crate) fn config_in(folder: &Path) -> NodeConfig {
    let listen = ListenSection {
        listen: ([127, 0, 0, 1], 0).into(),
    };
    NodeConfig {
        data_dir: folder.join("data"),
        genesis: folder.join("genesis.json"),
        key_file: folder.join("node.key"),
        known_nodes: folder.join("network.toml"),
        rpc: RpcSection {
            cors_origins: Vec::new(),
            ..RpcSection::listening_on(listen.listen)
        },
        p2p: listen,
        metrics: listen,
        consensus: ConsensusSection::default(),
        history: Default::default(),
        private: Default::default(),
        log: LogSection::default(),
    }
}

/// A node on a store that is there already, as after a restart.
pub(crate) fn chain_on(spec: &ChainSpec, store: Store) -> Chain {
    let spec = Arc::new(spec.clone());
    let executor = Arc::new(Executor::new(spec.clone()));
    let organisations = Arc::new(Organisations::new(store.clone(), executor.clone()));
    let pool = Pool::new(PoolConfig::of(&spec));
    Chain::new(spec, store, executor, pool, organisations, Clock::start())
}

/// Seals of validators 0 to 2 for a block.
pub(crate) fn seal(chain: &Chain, block: &SealedBlock) -> Certificate {
    seal_by(chain, block, 0..3)
}

/// Seals of some validators for a block on the head.
pub(crate) fn seal_by(
    chain: &Chain,
    block: &SealedBlock,
    signers: impl IntoIterator<Item = u8>,
) -> Certificate {
    let genesis = chain.spec.genesis_hash;
    let message = commit_message(genesis, block.height(), Round::ZERO, block.hash());
    let context = &chain.head().context.validators;
    let vote = |signer: u8| {
        let index = context.index_of_key(&key(signer)).unwrap();
        (index, secret(signer).sign(&message))
    };
    Certificate::new(Round::ZERO, signers.into_iter().map(vote))
}

/// An empty block on the head with its certificate.
pub(crate) fn next_block(chain: &Chain) -> (ExecutedBlock, Certificate) {
    let attributes = BuildAttributes {
        beneficiary: operator(0),
        timestamp_s: 1_700_000_001,
        extra_data: Bytes::new(),
    };
    let executor = &chain.executor;
    let head = chain.head();
    let executed = executor
        .build(&chain.store, &head, &attributes, &mut || None, &mut || {
            false
        })
        .unwrap();
    let certificate = seal(chain, &executed.block.sealed);
    (executed, certificate)
}

/// A chain with so many empty blocks.
pub(crate) fn grown_chain(blocks: u64) -> (TempDir, Chain) {
    let (folder, chain) = chain();
    for _ in 0..blocks {
        let (executed, certificate) = next_block(&chain);
        chain
            .commit(executed, &certificate, None, Written::IMPORTED)
            .unwrap();
    }
    (folder, chain)
}

/// What an engine was told, and the head at that time.
pub(crate) type Told = Arc<Mutex<Vec<(Input, Height)>>>;

/// Answers each kind of input once, as scripted.
pub(crate) struct ScriptedEngine {
    pub(crate) store: Store,
    pub(crate) on_started: Vec<Output>,
    pub(crate) on_decided: Vec<Output>,
    pub(crate) told: Told,
}

impl Engine for ScriptedEngine {
    fn handle(&mut self, _: u64, input: Input) -> Vec<Output> {
        let answer = match &input {
            Input::Started { .. } => std::mem::take(&mut self.on_started),
            Input::HeightDecided { .. } => std::mem::take(&mut self.on_decided),
            _ => Vec::new(),
        };
        self.told.lock().push((input, self.store.head().height));
        answer
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            height: self.store.head().height.next(),
            round: Round::ZERO,
            step: "scripted",
            proposer: key(0),
            timeout: Duration::ZERO,
            votes: true,
            raft: None,
        }
    }
}

/// Something that left the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A consensus message, and the record on disk at that time.
    Said(Vec<u8>, Option<Vec<u8>>),
    /// A head was gossiped.
    Announced(Height),
    /// A status was sent to one peer.
    Told(NodePublicKey, Height),
    /// A peer was sent away.
    Disconnected(NodePublicKey),
}

/// What a peer answers to requests for blocks.
pub(crate) type Answer = Box<dyn Fn(SyncRequest) -> Option<SyncResponse> + Send + Sync>;

/// Peers that claim heights and answer as told.
#[derive(Default)]
pub(crate) struct FakeLinks {
    pub(crate) store: Option<Store>,
    pub(crate) deeds: Mutex<Vec<Deed>>,
    pub(crate) peers: Mutex<Vec<PeerInfo>>,
    pub(crate) answers: Mutex<BTreeMap<NodePublicKey, Answer>>,
    pub(crate) requests: Mutex<Vec<(NodePublicKey, SyncRequest)>>,
    /// How long these take for an answer.
    pub(crate) delays: Mutex<BTreeMap<NodePublicKey, Duration>>,
}

impl FakeLinks {
    /// Connects a peer that claims a height.
    pub(crate) fn connect(&self, peer: NodePublicKey, height: Height, answer: Answer) {
        let hash = genesis().spec().genesis_hash;
        self.peers.lock().push(PeerInfo {
            key: peer,
            address: None,
            status: PeerStatus::new(hash, height, hash),
            latency: None,
        });
        self.answers.lock().insert(peer, answer);
    }

    /// Whom blocks were asked of, and from which height on.
    pub(crate) fn asked(&self) -> Vec<(NodePublicKey, u64)> {
        let requests = self.requests.lock();
        requests
            .iter()
            .map(|(peer, asked)| (*peer, asked.from.0))
            .collect()
    }

    pub(crate) fn disconnected(&self) -> Vec<NodePublicKey> {
        let deeds = self.deeds.lock();
        let sent_away = deeds.iter().filter_map(|deed| match deed {
            Deed::Disconnected(peer) => Some(*peer),
            _ => None,
        });
        sent_away.collect()
    }
}

#[async_trait]
impl Links for FakeLinks {
    fn send_to_all(&self, to: &[NodePublicKey], message: PeerMessage) {
        match message {
            PeerMessage::Consensus(bytes) => {
                let store = self.store.as_ref();
                let record = store.and_then(|store| store.consensus_record().unwrap());
                self.deeds.lock().push(Deed::Said(bytes, record));
            }
            PeerMessage::Status(status) => {
                let told = to.iter().map(|peer| Deed::Told(*peer, status.height));
                self.deeds.lock().extend(told);
            }
            other => panic!("{other:?}"),
        }
    }

    fn announce_head(&self, status: PeerStatus) {
        self.deeds.lock().push(Deed::Announced(status.height));
    }

    fn disconnect(&self, peer: NodePublicKey, _: &str) {
        self.deeds.lock().push(Deed::Disconnected(peer));
        self.peers.lock().retain(|info| info.key != peer);
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.peers.lock().clone()
    }

    async fn request_blocks(
        &self,
        peer: NodePublicKey,
        request: SyncRequest,
    ) -> Result<SyncResponse, NetworkError> {
        self.requests.lock().push((peer, request));
        let delay = self.delays.lock().get(&peer).copied();
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        let answers = self.answers.lock();
        let answer = answers.get(&peer).and_then(|answer| answer(request));
        let reason = "silence".to_owned();
        answer.ok_or(NetworkError::RequestFailed { peer, reason })
    }
}

/// Answers truly from a chain.
pub(crate) fn honest(chain: &Chain) -> Answer {
    let chain = chain.clone();
    Box::new(move |request| Some(serve(&chain, request)))
}

/// A driver on a task.
pub(crate) struct Running {
    pub(crate) handle: DriverHandle,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<Result<(), Fatal>>,
}

/// Runs a driver of validator 3 with a scripted engine.
pub(crate) fn run_driver(chain: &Chain, engine: ScriptedEngine, links: Arc<FakeLinks>) -> Running {
    let (stop, stopping) = watch::channel(false);
    let wanted = Arc::new(Notify::new());
    let (driver, handle, _) = Driver::new(
        chain.clone(),
        Box::new(engine),
        links,
        key(3),
        wanted,
        stopping,
    );
    let task = tokio::spawn(driver.run());
    Running { handle, stop, task }
}

/// An engine that only listens.
pub(crate) fn idle_engine(chain: &Chain) -> ScriptedEngine {
    ScriptedEngine {
        store: chain.store.clone(),
        on_started: Vec::new(),
        on_decided: Vec::new(),
        told: Told::default(),
    }
}

/// A node at genesis with peers of its own.
pub(crate) struct Behind {
    _folder: TempDir,
    pub(crate) chain: Chain,
    pub(crate) links: Arc<FakeLinks>,
    pub(crate) sync: sync::Sync,
    pub(crate) progress: watch::Receiver<Option<SyncProgress>>,
    _driver: Running,
}

/// A node at genesis that knows nobody yet.
pub(crate) fn behind() -> Behind {
    behind_on(chain())
}

pub(crate) fn behind_on((folder, chain): (TempDir, Chain)) -> Behind {
    let links = Arc::new(FakeLinks::default());
    let driver = run_driver(&chain, idle_engine(&chain), links.clone());
    let (sync, progress) = sync::Sync::new(
        chain.clone(),
        driver.handle.clone(),
        links.clone(),
        key(3),
        Arc::default(),
    );
    Behind {
        _folder: folder,
        chain,
        links,
        sync,
        progress,
        _driver: driver,
    }
}
