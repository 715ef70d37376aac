//! The chain as the tasks of one node share it: store, executor, pool, head.
//!
//! Only the consensus driver writes; everybody else reads or listens.

use crate::{
    clock::Clock,
    dev::{DevNetwork, NextBlock, impersonated_sender},
    organisations::Organisations,
    permissions::NodePermissions,
};
use alloy_primitives::{Address, B256, U256};
use medina_execution::{ExecutedBlock, Executor, InvalidBlock};
use medina_pool::{AccountView, BlockUpdate, IncludedTransaction, Pool, PoolError};
use medina_rpc::CommittedBlock;
use medina_storage::{BlockCommit, Head, Senders, StateReader as _, StorageError, Store, SyncMode};
use medina_types::{
    Certificate, ChainSpec, ConsensusEngine, Height, RecoveredTransaction, SealedBlock,
    StateChanges, TransactionDecodeError, limits, wire::PeerStatus,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{broadcast, watch};

/// Committed blocks that a slow subscriber may lag behind before it loses some.
const COMMITTED_BLOCKS_BUFFERED: usize = 1024;
/// Blocks below the head whose certificates are looked through at the start:
/// Raft completes them within moments, so older ones are complete.
const UNCERTIFIED_BLOCKS_MAX: u64 = 256;

/// How a block is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// When it has to be on the disk.
    pub(crate) sync: SyncMode,
    /// Whose word its senders are.
    pub(crate) senders: Senders,
}

impl Written {
    /// A block that was voted on.
    pub(crate) const LIVE: Self = Self {
        sync: SyncMode::Synced,
        senders: Senders::Recovered,
    };
    /// One of many that others have decided.
    pub(crate) const IMPORTED: Self = Self {
        sync: SyncMode::Deferred,
        senders: Senders::Recovered,
    };
    /// The same with the senders that a peer claims.
    pub(crate) const IMPORTED_WITH_CLAIMED_SENDERS: Self = Self {
        sync: SyncMode::Deferred,
        senders: Senders::Claimed,
    };
}

/// Shared parts of a running node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) store: Store,
    pub(crate) executor: Arc<Executor>,
    pub(crate) pool: Pool,
    pub(crate) clock: Clock,
    pub(crate) permissions: Arc<NodePermissions>,
    organisations: Arc<Organisations>,
    head: Arc<watch::Sender<Height>>,
    /// Height up to which every block has the certificate of a quorum.
    certified: Arc<AtomicU64>,
    committed: broadcast::Sender<Arc<CommittedBlock>>,
    /// The development network that this node is one of, if it is.
    pub(crate) dev: Option<DevNetwork>,
    /// Whether genesis takes the private transactions of `GoQuorum`'s clients.
    pub(crate) quorum_compat: bool,
    /// Gas that genesis gives one private transaction.
    pub(crate) private_gas: u64,
}

impl Chain {
    pub(crate) fn new(
        spec: Arc<ChainSpec>,
        store: Store,
        executor: Arc<Executor>,
        pool: Pool,
        organisations: Arc<Organisations>,
        clock: Clock,
    ) -> Self {
        let head = Arc::new(watch::Sender::new(store.head().height));
        let (committed, _) = broadcast::channel(COMMITTED_BLOCKS_BUFFERED);
        let permissions = NodePermissions::new(store.clone(), executor.clone());
        let chain = Self {
            permissions: Arc::new(permissions),
            spec,
            store,
            executor,
            pool,
            clock,
            organisations,
            head,
            certified: Arc::default(),
            committed,
            dev: None,
            quorum_compat: false,
            private_gas: limits::PRIVATE_GAS_MAX,
        };
        chain.find_certified();
        chain
    }

    /// Current head of the chain.
    pub(crate) fn head(&self) -> Arc<Head> {
        self.store.head()
    }

    /// What peers are told of this chain: its highest block that they can have
    /// from us, with proof. With QBFT that is the head.
    pub(crate) fn status(&self) -> PeerStatus {
        let head = self.head();
        let genesis = self.spec.genesis_hash;
        let certified = self.certified();
        if certified >= head.height {
            return PeerStatus::new(genesis, head.height, head.hash);
        }
        let hash = self.store.hash_of_number(certified).ok().flatten();
        PeerStatus::new(genesis, certified, hash.unwrap_or(genesis))
    }

    fn certified(&self) -> Height {
        match self.spec.consensus.engine {
            ConsensusEngine::Qbft => self.head().height,
            ConsensusEngine::Raft => Height(self.certified.load(Ordering::Acquire)),
        }
    }

    /// Whether a stored block has the signatures of a quorum.
    pub(crate) fn is_certified(&self, height: Height) -> Result<bool, StorageError> {
        let context = self.store.context_at(height)?;
        let certificate = self.store.certificate(height)?;
        Ok(context.zip(certificate).is_some_and(|(context, proof)| {
            let engine = self.spec.consensus.engine;
            proof.signatures().len() >= engine.quorum(&context.validators)
        }))
    }

    /// Looks for the first of the last blocks that lacks its certificate.
    fn find_certified(&self) {
        let head = self.store.head().height;
        let lowest = head.0.saturating_sub(UNCERTIFIED_BLOCKS_MAX);
        self.certified.store(lowest, Ordering::Release);
        self.advance_certified();
    }

    /// Counts on over the blocks that have their certificate by now. One that
    /// cannot be read is not handed out.
    fn advance_certified(&self) {
        if self.spec.consensus.engine == ConsensusEngine::Qbft {
            return;
        }
        let head = self.head().height;
        let mut certified = self.certified();
        while certified < head && self.is_certified(certified.next()).unwrap_or(false) {
            certified = certified.next();
        }
        self.certified.store(certified.0, Ordering::Release);
    }

    /// Stores the complete certificate of a committed block; true when peers can
    /// have more blocks from us than before.
    pub(crate) fn certify(
        &self,
        height: Height,
        certificate: &Certificate,
    ) -> Result<bool, StorageError> {
        self.store.put_certificate(height, certificate)?;
        let before = self.certified();
        self.advance_certified();
        Ok(self.certified() > before)
    }

    /// Height of the head, with changes to wait for.
    pub(crate) fn watch_height(&self) -> watch::Receiver<Height> {
        self.head.subscribe()
    }

    /// Blocks as they are committed.
    pub(crate) fn subscribe_committed(&self) -> broadcast::Receiver<Arc<CommittedBlock>> {
        self.committed.subscribe()
    }

    /// Executes a proposed or imported block on the head; signatures that the
    /// pool has checked are not checked again.
    pub(crate) fn validate(&self, block: &SealedBlock) -> Result<ExecutedBlock, InvalidBlock> {
        self.validate_with(block, &HashMap::new())
    }

    /// The same with senders that were recovered before, by transaction.
    pub(crate) fn validate_with(
        &self,
        block: &SealedBlock,
        senders: &HashMap<B256, Address>,
    ) -> Result<ExecutedBlock, InvalidBlock> {
        let pretended = self.pretended_senders(block);
        let known = |hash: &B256| {
            let sender = senders.get(hash).copied();
            let sender = sender.or_else(|| self.pool.sender_of(hash));
            sender.or_else(|| pretended.get(hash).copied())
        };
        self.executor
            .validate(&self.store, &self.head(), block, known)
    }

    /// Writes a decided block in one batch and tells pool and subscribers.
    pub(crate) fn commit(
        &self,
        executed: ExecutedBlock,
        certificate: &Certificate,
        consensus_record: Option<Vec<u8>>,
        Written { sync, senders }: Written,
    ) -> Result<(), StorageError> {
        let ExecutedBlock {
            block,
            receipts,
            changes,
            root,
            next_validators,
            ..
        } = executed;
        let height = block.height();
        let beneficiary = block.header().beneficiary;
        let context = self
            .head()
            .context
            .after(height, beneficiary, next_validators);
        let commit = BlockCommit {
            block: &block,
            receipts: &receipts,
            changes: &changes,
            root,
            certificate,
            context: &context,
            consensus_record,
            sync,
        };
        match senders {
            Senders::Recovered => self.store.commit(commit)?,
            Senders::Claimed => self.store.commit_with_claimed_senders(commit)?,
        }
        self.advance_certified();
        if let Some(dev) = &self.dev {
            dev.on_block(self.clock.machine_seconds(), block.header());
        }
        self.follow(
            CommittedBlock {
                block,
                receipts: Arc::new(receipts),
            },
            &changes,
        );
        Ok(())
    }

    fn follow(&self, committed: CommittedBlock, changes: &StateChanges) {
        self.organisations.on_block(changes);
        self.permissions.on_block(changes);
        let included = included(&committed);
        let changed: Vec<_> = changes.accounts.keys().copied().collect();
        let update = BlockUpdate {
            height: committed.block.height(),
            base_fee: self.next_base_fee(),
            included: &included,
            changed: &changed,
        };
        self.pool
            .on_block(update, &HeadAccounts(&self.store), self.clock.now_ms());
        self.head.send_replace(committed.block.height());
        // Nobody listening is no failure.
        let _ = self.committed.send(Arc::new(committed));
    }

    /// Base fee of the next block, wei per gas.
    pub(crate) fn next_base_fee(&self) -> u64 {
        medina_execution::next_base_fee(&self.spec, &self.head().header)
    }

    /// When the pool will offer something for a block, on the monotonic clock:
    /// now, later when gas credit has come back, or `None` when it is empty.
    pub(crate) fn work_at_ms(&self) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        let at_ms = self.pool.next_executable_at(self.next_base_fee(), now_ms);
        match &self.dev {
            Some(dev) => dev.work_at_ms(self.head().height, at_ms),
            None => at_ms,
        }
    }

    /// What the block after this head is to be: of whatever waits in the pool,
    /// unless the controls of a development network want something else.
    pub(crate) fn next_block(&self, head: Height) -> NextBlock {
        let dev = self.dev.as_ref();
        dev.map_or_else(NextBlock::default, |dev| dev.next_block(head))
    }

    /// Decodes a transaction and recovers its sender.
    pub(crate) fn decode(
        &self,
        bytes: &[u8],
    ) -> Result<RecoveredTransaction, TransactionDecodeError> {
        match &self.dev {
            Some(_) => DevNetwork::decode(bytes),
            None => RecoveredTransaction::decode(bytes),
        }
    }

    /// Senders that a development network impersonates, by transaction.
    fn pretended_senders(&self, block: &SealedBlock) -> HashMap<B256, Address> {
        if self.dev.is_none() {
            return HashMap::new();
        }
        let sender = |one| impersonated_sender(one).map(|sender| (*one.tx_hash(), sender));
        block.transactions().iter().filter_map(sender).collect()
    }

    /// Forgets the blocks above a height, and all that waits: development networks
    /// alone go back.
    pub(crate) fn roll_back(&self, height: Height) -> Result<(), StorageError> {
        self.store.roll_back(height)?;
        self.empty_pool();
        let mut changes = StateChanges::default();
        for address in self.spec.contracts.values() {
            changes.accounts.insert(*address, Default::default());
        }
        self.organisations.on_block(&changes);
        self.permissions.on_block(&changes);
        self.head.send_replace(height);
        Ok(())
    }

    /// Takes everything out of the pool.
    pub(crate) fn empty_pool(&self) {
        let content = self.pool.content();
        for queues in [content.executable, content.queued] {
            for transaction in queues.values().flat_map(|queue| queue.values()) {
                self.pool.remove(&transaction.hash());
            }
        }
    }
}

/// What the pool wants to know about a block's transactions. A receipt counts
/// the block's gas up to and including its transaction.
fn included(committed: &CommittedBlock) -> Vec<IncludedTransaction> {
    let mut gas_before = 0;
    let transactions = committed
        .block
        .transactions()
        .zip(committed.receipts.iter());
    transactions
        .map(|((transaction, sender), receipt)| {
            let gas_used = receipt.cumulative_gas_used.saturating_sub(gas_before);
            gas_before = receipt.cumulative_gas_used;
            IncludedTransaction {
                sender,
                hash: *transaction.tx_hash(),
                gas_used,
            }
        })
        .collect()
}

/// Accounts at the head, as the pool asks for them.
pub(crate) struct HeadAccounts<'a>(pub(crate) &'a Store);

impl AccountView for HeadAccounts<'_> {
    fn nonce_and_balance(&self, address: Address) -> Result<(u64, U256), PoolError> {
        let account = self.0.state().account(address);
        let account = account.map_err(|error| PoolError::State(error.to_string()))?;
        Ok(account.map_or((0, U256::ZERO), |account| (account.nonce, account.balance)))
    }
}
