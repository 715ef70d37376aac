//! A node without network and consensus: a real store, executor and pool, and
//! blocks that are built when a test says so.
#![allow(dead_code, reason = "every test file uses another part of this")]

pub(crate) mod private;

use alloy_consensus::{
    Header, SignableTransaction, Transaction as _, TxEip1559,
    constants::{EMPTY_ROOT_HASH, EMPTY_WITHDRAWALS},
};
use alloy_eips::{eip2718::Encodable2718, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B256, B512, Bytes, TxKind, U256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_trie::{TrieAccount, root};
use medina_consensus::RaftStatus;
use medina_execution::{
    BuildAttributes, Executor, GenesisAccount, GenesisBuilder, system_contracts,
};
use medina_genesis::{ChainOptions, LoadedGenesis, PrivateBounds, new_chain, test_account};
use medina_pool::{
    AccountView, BlockUpdate, IncludedTransaction, Origin, Pool, PoolConfig, PoolError,
};
use medina_rpc::{
    CommittedBlock, ConsensusSummary, NodeIdentity, NodeView, PeerChangeError, PeerSummary,
    RpcConfig, RpcServerHandle, SubmitError, SyncProgress, privacy::PrivateNode,
};
use medina_storage::{BlockCommit, GenesisState, OpenOptions, StateReader, Store, SyncMode};
use medina_types::{
    Certificate, ChainSpec, ConsensusEngine, ConsensusParameters, ForkSchedule,
    GasCreditParameters, GasPolicy, HeaderRules, Height, HeightContext, NodePublicKey,
    NodeSecretKey, PermissionMode, RecoveredTransaction, Round, StateChanges, Transaction,
    Validator, ValidatorSet, commit_message,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::broadcast;

pub(crate) const CHAIN_ID: u64 = 1337;
pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
/// What the node's clock says: an hour after genesis.
pub(crate) const CLOCK: u64 = GENESIS_TIME + 3_600;
/// Counts calls in slot 0, logs its caller as topic and answers nothing.
pub(crate) const COUNTER: [u8; 12] = hex!("5f546001015f55335f5fa100");
/// Answers the block's number and time, 64 bytes.
pub(crate) const CLOCK_READER: [u8; 11] = hex!("435f524260205260405ff3");
/// Reverts with `Error("no")`.
pub(crate) const REVERTER: &[u8] = &hex!(
    "7f08c379a0000000000000000000000000000000000000000000000000000000005f52"
    "60206004526002602452616e6f60f01b60445260645ffd"
);
/// Runs until the gas is gone.
pub(crate) const LOOPER: [u8; 3] = hex!("5b5f56");

pub(crate) fn account(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(number + 1)).unwrap()
}

pub(crate) fn operator() -> Address {
    validator_operator(0)
}

pub(crate) fn node_key() -> NodeSecretKey {
    validator_key(0)
}

/// Key of a validator; the node itself is number 0.
pub(crate) fn validator_key(number: u8) -> NodeSecretKey {
    NodeSecretKey::from_bytes([7 + number; 32])
}

/// Operator of a validator.
pub(crate) fn validator_operator(number: u8) -> Address {
    Address::repeat_byte(0xa0 + number)
}

/// What a test wants of its chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) gas: fn() -> GasPolicy,
    pub(crate) engine: ConsensusEngine,
    pub(crate) validators: u8,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            gas: free,
            engine: ConsensusEngine::Qbft,
            validators: 1,
        }
    }
}

/// The node that the server answers for.
pub(crate) struct TestNode {
    spec: Arc<ChainSpec>,
    store: Store,
    executor: Executor,
    pool: Pool,
    heads: broadcast::Sender<Arc<CommittedBlock>>,
    pending: broadcast::Sender<Arc<RecoveredTransaction>>,
    pub(crate) syncing: Mutex<Option<SyncProgress>>,
    pub(crate) raft: Mutex<Option<RaftStatus>>,
    /// Dialled by `admin_addPeer`.
    pub(crate) dialled: Mutex<Vec<NodePublicKey>>,
    /// The private side, set before the server starts.
    pub(crate) private: Mutex<Option<Arc<dyn PrivateNode>>>,
    /// True: every submitted transaction is put into a block at once.
    pub(crate) instant: Mutex<bool>,
    _folder: tempfile::TempDir,
}

pub(crate) const COUNTER_AT: Address = Address::repeat_byte(0xc0);
pub(crate) const CLOCK_AT: Address = Address::repeat_byte(0xc1);
pub(crate) const REVERTER_AT: Address = Address::repeat_byte(0xc2);
pub(crate) const LOOPER_AT: Address = Address::repeat_byte(0xc3);

fn genesis_state() -> StateChanges {
    let mut builder = GenesisBuilder::new(CHAIN_ID, GENESIS_TIME);
    for contract in system_contracts() {
        builder
            .set_account(contract.address, contract.into())
            .unwrap();
    }
    for number in 0..4 {
        let rich = GenesisAccount {
            balance: U256::from(10u128.pow(20)),
            ..Default::default()
        };
        builder
            .set_account(account(number).address(), rich)
            .unwrap();
    }
    let codes = [
        (COUNTER_AT, &COUNTER[..]),
        (CLOCK_AT, &CLOCK_READER),
        (REVERTER_AT, REVERTER),
        (LOOPER_AT, &LOOPER),
    ];
    for (address, code) in codes {
        let contract = GenesisAccount {
            nonce: 1,
            code: Bytes::copy_from_slice(code),
            ..Default::default()
        };
        builder.set_account(address, contract).unwrap();
    }
    builder.finish().unwrap()
}

fn full_state_root(changes: &StateChanges) -> B256 {
    root::state_root_unhashed(changes.accounts.iter().map(|(address, change)| {
        let after = change.after.unwrap();
        let slots = change
            .storage
            .iter()
            .map(|(key, slot)| (B256::from(*key), slot.after));
        let account = TrieAccount {
            nonce: after.nonce,
            balance: after.balance,
            storage_root: root::storage_root_unhashed(slots),
            code_hash: after.code_hash,
        };
        (*address, account)
    }))
}

fn free() -> GasPolicy {
    let credit = u64::MAX / 4;
    GasPolicy::Free(GasCreditParameters {
        capacity_gas: credit,
        refill_gas_per_s: credit,
        shared_capacity_gas: credit,
        shared_refill_gas_per_s: credit,
    })
}

fn spec(state_root: B256, gas_policy: GasPolicy, shape: Shape) -> ChainSpec {
    let genesis_header = Header {
        state_root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        gas_limit: 30_000_000,
        timestamp: GENESIS_TIME,
        base_fee_per_gas: Some(0),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    };
    ChainSpec {
        name: "test".into(),
        chain_id: CHAIN_ID,
        genesis_hash: genesis_header.hash_slow(),
        genesis_header,
        header_rules: HeaderRules::Medina,
        forks: ForkSchedule::default(),
        consensus: ConsensusParameters {
            engine: shape.engine,
            ..ConsensusParameters::default()
        },
        gas_limit: 30_000_000,
        gas_policy,
        block_reward: U256::ZERO,
        permissions: PermissionMode::Open,
        permission_lists: Default::default(),
        validators: ValidatorSet::new((0..shape.validators).map(validator).collect()).unwrap(),
        contracts: [("dataMarketplace".to_owned(), COUNTER_AT)].into(),
    }
}

fn validator(number: u8) -> Validator {
    Validator {
        key: validator_key(number).public_key(),
        operator: validator_operator(number),
    }
}

struct Accounts<'a>(&'a Store);

impl AccountView for Accounts<'_> {
    fn nonce_and_balance(&self, address: Address) -> Result<(u64, U256), PoolError> {
        let account = self.0.state().account(address).unwrap();
        Ok(account.map_or((0, U256::ZERO), |account| (account.nonce, account.balance)))
    }
}

impl TestNode {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_gas(free())
    }

    pub(crate) fn with_gas(policy: GasPolicy) -> Arc<Self> {
        Self::build(policy, Shape::default())
    }

    pub(crate) fn of(shape: Shape) -> Arc<Self> {
        Self::build((shape.gas)(), shape)
    }

    fn build(policy: GasPolicy, shape: Shape) -> Arc<Self> {
        let state = genesis_state();
        let spec = spec(full_state_root(&state), policy, shape);
        let context = HeightContext::genesis(spec.validators.clone());
        let header = spec.genesis_header.clone();
        let genesis = GenesisState {
            header,
            state,
            context,
        };
        Self::start(spec, &genesis)
    }

    /// A chain as `medina network new` makes it, contracts and all: validators
    /// with our keys, operated by the first test accounts.
    pub(crate) fn generated(validators: u8) -> Arc<Self> {
        let member = |number: u8| Validator {
            key: validator_key(number).public_key(),
            operator: test_account(number.into()).address,
        };
        let options = ChainOptions {
            name: "test".into(),
            chain_id: CHAIN_ID,
            consensus: ConsensusParameters::default(),
            permissions: PermissionMode::Open,
            validators: ValidatorSet::new((0..validators).map(member).collect()).unwrap(),
            admin: None,
            timestamp_s: GENESIS_TIME,
            quorum_compat: false,
            private: PrivateBounds::default(),
        };
        let file = new_chain(&options).unwrap();
        let genesis = LoadedGenesis::new(&file).unwrap();
        Self::start(genesis.spec().clone(), &genesis.state())
    }

    fn start(spec: ChainSpec, genesis: &GenesisState) -> Arc<Self> {
        let spec = Arc::new(spec);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
        store.initialize_genesis(genesis).unwrap();
        Arc::new(Self {
            executor: Executor::new(spec.clone()),
            pool: Pool::new(PoolConfig::of(&spec)),
            spec,
            store,
            heads: broadcast::channel(64).0,
            pending: broadcast::channel(64).0,
            syncing: Mutex::new(None),
            raft: Mutex::new(None),
            dialled: Mutex::new(Vec::new()),
            private: Mutex::new(None),
            instant: Mutex::new(false),
            _folder: folder,
        })
    }

    fn operator(&self, number: u8) -> Address {
        self.spec.validators.validators()[usize::from(number)].operator
    }

    /// Puts everything executable into a block and commits it.
    pub(crate) fn mine(&self) -> Arc<CommittedBlock> {
        self.mine_by(0, &[0])
    }

    /// As [`Self::mine`]: proposed by one validator, sealed by some.
    pub(crate) fn mine_by(&self, proposer: u8, sealers: &[u8]) -> Arc<CommittedBlock> {
        let head = self.store.head();
        let attributes = BuildAttributes {
            beneficiary: self.operator(proposer),
            timestamp_s: head.header.timestamp + 1,
            extra_data: Bytes::new(),
        };
        let executable = self.pool.content().executable;
        let mut waiting = executable.into_values().flat_map(|one| one.into_values());
        let built = self
            .executor
            .build(
                &self.store,
                &head,
                &attributes,
                &mut || waiting.next(),
                &mut || false,
            )
            .unwrap();
        let height = built.block.height();
        let context = head
            .context
            .after(height, self.operator(proposer), built.next_validators);
        let message = commit_message(
            self.spec.genesis_hash,
            height,
            Round::ZERO,
            built.block.hash(),
        );
        let seal = |&number: &u8| (usize::from(number), validator_key(number).sign(&message));
        let certificate = Certificate::new(Round::ZERO, sealers.iter().map(seal));
        self.store
            .commit(BlockCommit {
                block: &built.block,
                receipts: &built.receipts,
                changes: &built.changes,
                root: built.root,
                certificate: &certificate,
                context: &context,
                consensus_record: None,
                sync: SyncMode::Deferred,
            })
            .unwrap();
        let block = CommittedBlock {
            block: built.block,
            receipts: Arc::new(built.receipts),
        };
        let block = Arc::new(block);
        self.forget_included(&block);
        let _ = self.heads.send(block.clone());
        block
    }

    fn forget_included(&self, committed: &CommittedBlock) {
        let included: Vec<_> = committed
            .block
            .transactions()
            .map(|(transaction, sender)| IncludedTransaction {
                sender,
                hash: *transaction.tx_hash(),
                gas_used: 21_000,
            })
            .collect();
        let height = committed.block.height();
        let update = BlockUpdate {
            height,
            base_fee: 0,
            included: &included,
            changed: &[],
        };
        self.pool.on_block(update, &Accounts(&self.store), 0);
    }

    fn add(&self, bytes: &[u8]) -> Result<B256, SubmitError> {
        let refused = |text: String| SubmitError::Refused(text);
        let transaction =
            RecoveredTransaction::decode(bytes).map_err(|error| refused(error.to_string()))?;
        let shared = Arc::new(transaction.clone());
        let outcome = self
            .pool
            .add(&Accounts(&self.store), transaction, 0, Origin::Local)
            .map_err(|error| refused(error.to_string()))?;
        let _ = self.pending.send(shared);
        if *self.instant.lock() {
            self.mine();
        }
        Ok(outcome.hash)
    }
}

#[async_trait::async_trait]
impl NodeView for TestNode {
    fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn executor(&self) -> &Executor {
        &self.executor
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn clock_s(&self) -> u64 {
        CLOCK
    }

    async fn submit_transaction(&self, bytes: Bytes) -> Result<B256, SubmitError> {
        self.add(&bytes)
    }

    fn identity(&self) -> NodeIdentity {
        NodeIdentity {
            key: node_key().public_key(),
            p2p: "127.0.0.1:30303".parse().unwrap(),
        }
    }

    fn name_of(&self, key: &NodePublicKey) -> Option<String> {
        (*key == node_key().public_key()).then(|| "node-0".into())
    }

    fn listen_address_of(&self, key: &NodePublicKey) -> Option<SocketAddr> {
        (*key == validator_key(1).public_key()).then(|| "10.0.0.1:30305".parse().unwrap())
    }

    fn data_dir(&self) -> Option<PathBuf> {
        Some("/var/lib/medina".into())
    }

    async fn add_peer(
        &self,
        key: NodePublicKey,
        addresses: Vec<SocketAddr>,
    ) -> Result<bool, PeerChangeError> {
        assert_eq!(addresses.len(), 1);
        if key != validator_key(2).public_key() {
            return Err(PeerChangeError::NotAdmitted(key));
        }
        self.dialled.lock().push(key);
        Ok(true)
    }

    async fn remove_peer(&self, key: NodePublicKey) -> Result<bool, PeerChangeError> {
        if self.spec.validators.index_of_key(&key).is_some() {
            return Err(PeerChangeError::Validator(key));
        }
        let mut dialled = self.dialled.lock();
        let before = dialled.len();
        dialled.retain(|known| *known != key);
        Ok(dialled.len() < before)
    }

    fn peers(&self) -> Vec<PeerSummary> {
        vec![PeerSummary {
            key: validator_key(2).public_key(),
            name: Some("node-2".into()),
            address: "127.0.0.1:30304".into(),
            height: Some(Height(3)),
            head: Some(B256::repeat_byte(3)),
            latency: Some(Duration::from_micros(1_500)),
            outbound: Some(true),
        }]
    }

    fn private(&self) -> Option<Arc<dyn PrivateNode>> {
        self.private.lock().clone()
    }

    fn sync_progress(&self) -> Option<SyncProgress> {
        *self.syncing.lock()
    }

    fn consensus(&self) -> Option<ConsensusSummary> {
        Some(ConsensusSummary {
            height: self.store.head().height.next(),
            round: Round::ZERO,
            step: "new round".into(),
            proposer: node_key().public_key(),
            timeout: Duration::from_secs(1),
            votes: true,
            raft: self.raft.lock().clone(),
        })
    }

    fn subscribe_heads(&self) -> broadcast::Receiver<Arc<CommittedBlock>> {
        self.heads.subscribe()
    }

    fn subscribe_pending(&self) -> broadcast::Receiver<Arc<RecoveredTransaction>> {
        self.pending.subscribe()
    }
}

/// A transaction of one of the funded accounts, encoded.
pub(crate) fn signed(from: u8, nonce: u64, to: Option<Address>, input: &[u8]) -> Bytes {
    signed_at_price(from, nonce, to, input, 0)
}

/// As [`signed`], with the same highest price and tip, wei per gas.
pub(crate) fn signed_at_price(
    from: u8,
    nonce: u64,
    to: Option<Address>,
    input: &[u8],
    price: u128,
) -> Bytes {
    let transaction = TxEip1559 {
        gas_limit: 100_000,
        max_fee_per_gas: price,
        max_priority_fee_per_gas: price,
        ..unpriced(nonce, to, input)
    };
    signed_with(&account(from), transaction)
}

/// A call of a contract by an account of the test mnemonic, with gas for anything.
pub(crate) fn signed_call(from: u32, nonce: u64, to: Address, input: &[u8]) -> Bytes {
    let signer = PrivateKeySigner::from_bytes(&test_account(from).private_key).unwrap();
    signed_with(&signer, unpriced(nonce, Some(to), input))
}

/// A transaction that pays nothing, with gas for anything.
pub(crate) fn unpriced(nonce: u64, to: Option<Address>, input: &[u8]) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 2_000_000,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::copy_from_slice(input),
    }
}

/// As [`signed`], the transaction being the caller's.
pub(crate) fn signed_with(signer: &PrivateKeySigner, transaction: TxEip1559) -> Bytes {
    let nonce = transaction.nonce;
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    let signed: Transaction = transaction.into_signed(signature).into();
    assert_eq!(signed.nonce(), nonce);
    signed.encoded_2718().into()
}

/// A node with its server, spoken to over HTTP.
pub(crate) struct Rpc {
    pub(crate) node: Arc<TestNode>,
    pub(crate) handle: RpcServerHandle,
    http: reqwest::Client,
}

impl Rpc {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut RpcConfig)) -> Self {
        Self::of(TestNode::new(), change).await
    }

    pub(crate) async fn of(node: Arc<TestNode>, change: impl FnOnce(&mut RpcConfig)) -> Self {
        let mut config = RpcConfig::new("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let handle = medina_rpc::start(config, node.clone()).await.unwrap();
        Self {
            node,
            handle,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.handle.local_addr())
    }

    pub(crate) fn websocket_url(&self) -> String {
        format!("ws://{}", self.handle.local_addr())
    }

    pub(crate) fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.http
            .post(self.url())
            .header("content-type", "application/json")
            .body(body)
    }

    pub(crate) fn get(&self) -> reqwest::RequestBuilder {
        self.http.get(self.url())
    }

    pub(crate) fn options(&self) -> reqwest::RequestBuilder {
        self.http.request(reqwest::Method::OPTIONS, self.url())
    }

    /// Status and body of a raw request.
    pub(crate) async fn raw(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let answer = self.post(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn request(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (status, body) = self.raw(request.to_string()).await;
        assert_eq!(status, 200, "{method}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The result of a call that must succeed.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.request(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The error of a call that must fail.
    pub(crate) async fn refused(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.request(method, params).await;
        let error = &answer["error"];
        let code = error["code"]
            .as_i64()
            .unwrap_or_else(|| panic!("{method}: {answer}"));
        (code, error["message"].as_str().unwrap().to_owned())
    }

    /// Submits a transaction and answers its hash.
    pub(crate) async fn send(&self, bytes: &Bytes) -> String {
        self.call("eth_sendRawTransaction", json!([bytes]))
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// A signed inner transaction that calls a contract of a group.
pub(crate) fn signed_private(
    signer: &PrivateKeySigner,
    group: B256,
    nonce: u64,
    data: Bytes,
) -> medina_types::SignedPrivateTransaction {
    let inner = medina_types::PrivateTransaction {
        group,
        mode: medina_types::PrivacyMode::Standard,
        kind: TxKind::Call(COUNTER_AT),
        nonce,
        gas: 1_000_000,
        data,
    };
    let hash = inner.signing_hash(CHAIN_ID);
    let signature = signer.sign_hash_sync(&hash).unwrap();
    inner.into_signed(signature).unwrap()
}

/// A transaction as `GoQuorum`'s clients sign and mark it, with a handle as its data.
pub(crate) fn marked(signer: &PrivateKeySigner, to: Option<Address>, handle: B512) -> Bytes {
    let mut legacy = alloy_consensus::TxLegacy {
        chain_id: None,
        nonce: 0,
        gas_price: 0,
        gas_limit: 4_300_000,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value: U256::ZERO,
        input: handle.into(),
    };
    let signature = signer.sign_hash_sync(&legacy.signature_hash()).unwrap();
    // v of chain 1 is 37 or 38.
    legacy.chain_id = Some(1);
    Transaction::from(legacy.into_signed(signature))
        .encoded_2718()
        .into()
}
