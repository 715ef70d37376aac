//! A node without network and consensus: a real store, executor and pool, and
//! blocks that are built when a test says so.
#![allow(dead_code, reason = "every test file uses another part of this")]

use alloy_consensus::{
    Header, SignableTransaction, Transaction as _, TxEip1559,
    constants::{EMPTY_ROOT_HASH, EMPTY_WITHDRAWALS},
};
use alloy_eips::{eip2718::Encodable2718, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_trie::{TrieAccount, root};
use medina_execution::{
    BuildAttributes, Executor, GenesisAccount, GenesisBuilder, system_contracts,
};
use medina_pool::{
    AccountView, BlockUpdate, IncludedTransaction, Origin, Pool, PoolConfig, PoolError,
};
use medina_rpc::{
    CommittedBlock, ConsensusSummary, NodeIdentity, NodeView, PeerSummary, RpcConfig,
    RpcServerHandle, SubmitError, SyncProgress,
};
use medina_storage::{BlockCommit, GenesisState, OpenOptions, StateReader, Store, SyncMode};
use medina_types::{
    Certificate, ChainSpec, ConsensusParameters, GasCreditParameters, GasPolicy, HeaderRules,
    Height, HeightContext, NodeSecretKey, PermissionMode, RecoveredTransaction, Round,
    StateChanges, Transaction, Validator, ValidatorSet, commit_message,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
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
    Address::repeat_byte(0xa0)
}

fn node_key() -> NodeSecretKey {
    NodeSecretKey::from_bytes([7; 32])
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

fn spec(state_root: B256, gas_policy: GasPolicy) -> ChainSpec {
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
        consensus: ConsensusParameters::default(),
        gas_limit: 30_000_000,
        gas_policy,
        block_reward: U256::ZERO,
        permissions: PermissionMode::Open,
        validators: ValidatorSet::new(vec![Validator {
            key: node_key().public_key(),
            operator: operator(),
        }])
        .unwrap(),
        contracts: [("dataMarketplace".to_owned(), COUNTER_AT)].into(),
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
        let state = genesis_state();
        let spec = Arc::new(spec(full_state_root(&state), policy));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
        let context = HeightContext::genesis(spec.validators.clone());
        let header = spec.genesis_header.clone();
        store
            .initialize_genesis(&GenesisState {
                header,
                state,
                context,
            })
            .unwrap();
        Arc::new(Self {
            executor: Executor::new(spec.clone()),
            pool: Pool::new(PoolConfig::of(&spec)),
            spec,
            store,
            heads: broadcast::channel(64).0,
            pending: broadcast::channel(64).0,
            syncing: Mutex::new(None),
            instant: Mutex::new(false),
            _folder: folder,
        })
    }

    /// Puts everything executable into a block and commits it.
    pub(crate) fn mine(&self) -> Arc<CommittedBlock> {
        let head = self.store.head();
        let attributes = BuildAttributes {
            beneficiary: operator(),
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
            .after(height, operator(), built.next_validators);
        let message = commit_message(
            self.spec.genesis_hash,
            height,
            Round::ZERO,
            built.block.hash(),
        );
        let certificate = Certificate::new(Round::ZERO, [(0, node_key().sign(&message))]);
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

    fn peers(&self) -> Vec<PeerSummary> {
        vec![PeerSummary {
            key: NodeSecretKey::from_bytes([9; 32]).public_key(),
            address: "127.0.0.1:30304".into(),
            height: Some(Height(3)),
            head: Some(B256::repeat_byte(3)),
            latency: Some(Duration::from_micros(1_500)),
            outbound: Some(true),
        }]
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
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: price,
        max_priority_fee_per_gas: price,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::copy_from_slice(input),
    };
    let signature = account(from)
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
