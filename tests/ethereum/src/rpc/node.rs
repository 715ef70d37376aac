//! The imported chain as a node: what the production server answers for.

use super::chain::RpcChain;
use alloy_consensus::{
    EthereumTxEnvelope, Transaction as _, TxEip4844WithSidecar, transaction::SignerRecoverable,
};
use alloy_eips::{eip2718::Decodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes, U256};
use medina_execution::{Executor, next_base_fee};
use medina_pool::{AccountView, BlockUpdate, Origin, Pool, PoolConfig, PoolError};
use medina_rpc::{
    CommittedBlock, ConsensusSummary, NodeIdentity, NodeView, PeerSummary, SubmitError,
    SyncProgress,
};
use medina_storage::{StateReader, Store};
use medina_types::{ChainSpec, Height, NodeSecretKey, RecoveredTransaction};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::sync::broadcast;

/// EIP-2718 type of transactions with blobs.
const BLOB_TYPE: u8 = 3;

/// A node without peers and consensus.
pub(super) struct RpcNode {
    pub(super) chain: RpcChain,
    pool: Pool,
    heads: broadcast::Sender<Arc<CommittedBlock>>,
    pending: broadcast::Sender<Arc<RecoveredTransaction>>,
}

impl RpcNode {
    pub(super) fn new(chain: RpcChain) -> Self {
        let pool = Pool::new(PoolConfig::of(&chain.spec));
        let head = chain.store.head();
        let update = BlockUpdate {
            height: head.height,
            base_fee: next_base_fee(&chain.spec, &head.header),
            included: &[],
            changed: &[],
        };
        pool.on_block(update, &Accounts(&chain.store), 0);
        Self {
            pool,
            chain,
            heads: broadcast::channel(1).0,
            pending: broadcast::channel(64).0,
        }
    }

    fn submit(&self, bytes: &[u8]) -> Result<B256, SubmitError> {
        let refused = SubmitError::Refused;
        if bytes.first() == Some(&BLOB_TYPE) {
            return self.take_blobs(bytes).map_err(refused);
        }
        let transaction = RecoveredTransaction::decode(bytes);
        let transaction = transaction.map_err(|error| refused(error.to_string()))?;
        let shared = Arc::new(transaction.clone());
        let accounts = Accounts(&self.chain.store);
        let added = self.pool.add(&accounts, transaction, 0, Origin::Local);
        let added = added.map_err(|error| refused(error.to_string()))?;
        // Nobody may be listening.
        let _ = self.pending.send(shared);
        Ok(added.hash)
    }

    /// What waits, in the order in which a proposer takes it.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Arc<RecoveredTransaction>> {
        let head = self.chain.store.head();
        let base_fee = next_base_fee(&self.chain.spec, &head.header);
        self.pool.best(base_fee, 0)
    }

    /// Judges a transaction with blobs in its network form. Our pool carries none,
    /// so it is answered and forgotten, as geth keeps them out of `txpool_*`.
    /// Commitments are compared with the hashes; KZG proofs are not verified.
    fn take_blobs(&self, bytes: &[u8]) -> Result<B256, String> {
        let decoded = PooledTransaction::decode_2718_exact(bytes);
        let envelope = decoded.map_err(|error| format!("rlp: {error}"))?;
        let sender = envelope.recover_signer().map_err(|_| "invalid sender")?;
        let EthereumTxEnvelope::Eip4844(signed) = &envelope else {
            return Err("transaction type not supported".to_owned());
        };
        let with_sidecar = signed.tx();
        let hashes: Vec<_> = with_sidecar.sidecar.versioned_hashes().collect();
        if hashes != with_sidecar.tx.blob_versioned_hashes {
            return Err("blob hashes do not match their commitments".to_owned());
        }
        if with_sidecar.tx.chain_id != self.chain.spec.chain_id {
            return Err("invalid chain id for signer".to_owned());
        }
        let accounts = Accounts(&self.chain.store);
        let account = accounts.nonce_and_balance(sender);
        let (nonce, _) = account.map_err(|error| error.to_string())?;
        if envelope.nonce() < nonce {
            return Err("nonce too low".to_owned());
        }
        Ok(*envelope.tx_hash())
    }
}

/// A transaction as the network passes it on, blobs with either kind of proofs.
type PooledTransaction = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

struct Accounts<'a>(&'a Store);

impl AccountView for Accounts<'_> {
    fn nonce_and_balance(&self, address: Address) -> Result<(u64, U256), PoolError> {
        let account = self.0.state().account(address);
        let account = account.map_err(|error| PoolError::State(error.to_string()))?;
        Ok(account.map_or((0, U256::ZERO), |account| (account.nonce, account.balance)))
    }
}

#[async_trait::async_trait]
impl NodeView for RpcNode {
    fn spec(&self) -> &Arc<ChainSpec> {
        &self.chain.spec
    }

    fn store(&self) -> &Store {
        &self.chain.store
    }

    fn executor(&self) -> &Executor {
        &self.chain.executor
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn clock_s(&self) -> u64 {
        self.chain.store.head().header.timestamp
    }

    async fn submit_transaction(&self, bytes: Bytes) -> Result<B256, SubmitError> {
        self.submit(&bytes)
    }

    fn identity(&self) -> NodeIdentity {
        NodeIdentity {
            key: NodeSecretKey::from_bytes([1; 32]).public_key(),
            p2p: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    fn peers(&self) -> Vec<PeerSummary> {
        Vec::new()
    }

    fn sync_progress(&self) -> Option<SyncProgress> {
        None
    }

    fn consensus(&self) -> Option<ConsensusSummary> {
        None
    }

    fn root_of_receipt(&self, height: Height, index: usize) -> Option<B256> {
        self.chain.receipt_roots.get(&height.0)?.get(index).copied()
    }

    fn subscribe_heads(&self) -> broadcast::Receiver<Arc<CommittedBlock>> {
        self.heads.subscribe()
    }

    fn subscribe_pending(&self) -> broadcast::Receiver<Arc<RecoveredTransaction>> {
        self.pending.subscribe()
    }
}
