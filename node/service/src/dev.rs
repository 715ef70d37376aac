//! The controls of `medina dev`, over all nodes of its network at once.
//!
//! The nodes are real: they agree on every block as anywhere else. What they share
//! beyond that, since they live in one process, is a [`DevNetwork`]: the clock, what
//! the next block is to be, and who is impersonated.
//!
//! - A *mined* block is one that the proposer makes although nothing waits.
//! - A *change of the state* is a block that names the change by its hash in its
//!   extra data; every validator executes it and comes to the same root.
//! - An *impersonated* sender's transaction carries a signature that no key can make
//!   ([`MARK`]); it is decoded here alone, so every other node refuses it.
//! - To *revert*, all drivers meet at a barrier, roll their stores back and start
//!   engines of a new epoch; consensus messages carry the epoch, and what is still
//!   under way from the one before is dropped.

mod controls;
mod edits;
mod time;

pub(crate) use time::DevTime;

use crate::{
    chain::Chain,
    driver::{DriverHandle, RollBack},
    transactions::Transactions,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use edits::EditBook;
use medina_execution::EditedBlocks;
use medina_rpc::{DevControls, DevError};
use medina_types::{
    ConsensusEngine, Height, RecoveredTransaction, Transaction, TransactionDecodeError,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Barrier;

/// `s` of an impersonated sender's signature, whose address is `r`. No curve point
/// has it: it is above the order of the group.
const MARK: U256 = U256::MAX;
/// How long the nodes may take to follow a control.
const PATIENCE: Duration = Duration::from_secs(30);
/// Snapshots that are remembered; the oldest go first.
const SNAPSHOTS_MAX: usize = 4_096;
/// Dropped transactions that are remembered; beyond it the memory starts anew.
const DROPPED_MAX: usize = 4_096;
/// Bytes before a consensus message: the epoch.
const EPOCH_BYTES: usize = 8;

/// A development network in this process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct DevNetwork(Arc<Shared>);

struct Shared {
    signers: Vec<PrivateKeySigner>,
    time: Arc<DevTime>,
    edits: Arc<EditBook>,
    automine: AtomicBool,
    /// Blocks are made up to this height, whether anything waits or not.
    mine_to: AtomicU64,
    interval_ms: AtomicU64,
    impersonated: Mutex<Impersonated>,
    nodes: Mutex<Vec<DevNode>>,
    /// Transactions that were taken out, which gossip may still bring.
    dropped: Mutex<BTreeSet<B256>>,
    snapshots: Mutex<Snapshots>,
    epoch: AtomicU64,
    /// One control at a time.
    turn: tokio::sync::Mutex<()>,
    /// Set when the period of interval mining changes.
    interval_changed: tokio::sync::Notify,
}

#[derive(Default)]
struct Impersonated {
    accounts: BTreeSet<Address>,
    everybody: bool,
}

#[derive(Default)]
struct Snapshots {
    last: u64,
    taken: BTreeMap<u64, Snapshot>,
}

#[derive(Clone, Copy)]
struct Snapshot {
    height: Height,
    hash: B256,
    clock_s: u64,
}

/// One node as the controls reach it.
#[derive(Clone)]
pub(crate) struct DevNode {
    pub(crate) chain: Chain,
    pub(crate) driver: DriverHandle,
    pub(crate) transactions: Transactions,
}

/// What the next block is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NextBlock {
    /// The changes that it begins with, by their hash.
    pub(crate) extra_data: Bytes,
    /// Whether it is made although nothing waits in the pool.
    pub(crate) may_be_empty: bool,
    /// Whether it takes transactions.
    pub(crate) takes_transactions: bool,
}

impl Default for NextBlock {
    /// As anywhere but on a development network.
    fn default() -> Self {
        Self {
            extra_data: Bytes::new(),
            may_be_empty: false,
            takes_transactions: true,
        }
    }
}

impl DevNetwork {
    /// The controls of a network whose nodes are still to be started with
    /// [`crate::Node::start_dev`]. It signs with these keys for whoever asks.
    ///
    /// # Errors
    /// When a key is none.
    pub fn new(keys: impl IntoIterator<Item = B256>) -> Result<Self, String> {
        let signer = |key: B256| PrivateKeySigner::from_bytes(&key);
        let signers: Result<Vec<_>, _> = keys.into_iter().map(signer).collect();
        let network = Self(Arc::new(Shared {
            signers: signers.map_err(|error| error.to_string())?,
            time: Arc::default(),
            edits: Arc::default(),
            automine: AtomicBool::new(true),
            mine_to: AtomicU64::new(0),
            interval_ms: AtomicU64::new(0),
            impersonated: Mutex::default(),
            nodes: Mutex::default(),
            dropped: Mutex::default(),
            snapshots: Mutex::default(),
            epoch: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            interval_changed: tokio::sync::Notify::new(),
        }));
        Ok(network)
    }

    /// Makes blocks by the clock, while that is asked for; ends with the network.
    pub async fn run_interval_mining(&self) {
        loop {
            let period_ms = self.0.interval_ms.load(Ordering::Relaxed);
            let changed = self.0.interval_changed.notified();
            if period_ms == 0 {
                changed.await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(Duration::from_millis(period_ms)) => {
                    if let Err(error) = self.mine(None).await {
                        tracing::warn!(%error, "no block was mined");
                    }
                }
            }
        }
    }

    pub(crate) fn time(&self) -> Arc<DevTime> {
        self.0.time.clone()
    }

    pub(crate) fn edited_blocks(&self) -> Arc<dyn EditedBlocks> {
        self.0.edits.clone()
    }

    /// A node has started.
    pub(crate) fn join(&self, node: DevNode) {
        self.0.nodes.lock().push(node);
    }

    /// Whether any node has this block: what none has was undone.
    pub(crate) fn has_block(&self, height: Height, hash: B256) -> bool {
        let has = |node: DevNode| node.chain.store.hash_of_number(height);
        let mut found = self.nodes().into_iter().map(has);
        found.any(|found| matches!(found, Ok(Some(found)) if found == hash))
    }

    /// What the block after this head is to be.
    pub(crate) fn next_block(&self, head: Height) -> NextBlock {
        let waiting = self.0.edits.waiting();
        let is_mined = self.0.mine_to.load(Ordering::SeqCst) > head.0;
        NextBlock {
            extra_data: waiting.map(Bytes::from).unwrap_or_default(),
            may_be_empty: is_mined || waiting.is_some(),
            takes_transactions: waiting.is_none(),
        }
    }

    /// When there is work for a proposer, if the pool has some then.
    pub(crate) fn work_at_ms(&self, head: Height, pool_ms: Option<u64>) -> Option<u64> {
        if self.next_block(head).may_be_empty {
            return Some(0);
        }
        pool_ms.filter(|_| self.automine())
    }

    /// A node has committed a block.
    pub(crate) fn on_block(&self, machine_s: u64, header: &alloy_consensus::Header) {
        if !self.0.edits.on_block(&header.extra_data) {
            self.0.time.on_block(machine_s, header.timestamp);
        }
    }

    /// Adds the epoch to a consensus message.
    pub(crate) fn wrap(&self, bytes: Vec<u8>) -> Vec<u8> {
        let epoch = self.0.epoch.load(Ordering::SeqCst);
        [&epoch.to_be_bytes()[..], &bytes].concat()
    }

    /// The message of a peer, `None` if it is of another epoch.
    pub(crate) fn unwrap(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (epoch, message) = bytes.split_at_checked(EPOCH_BYTES)?;
        let ours = self.0.epoch.load(Ordering::SeqCst).to_be_bytes();
        (epoch == ours).then(|| message.to_vec())
    }

    /// Nothing that was sent or asked for until now counts from here on, and the
    /// clock says what it said then. All drivers wait.
    pub(crate) fn begin_epoch(&self, machine_s: u64, clock_s: u64) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.mine_to.store(0, Ordering::SeqCst);
        self.0.time.resume(machine_s, clock_s);
    }

    /// Decodes a transaction, whose sender may be impersonated.
    pub(crate) fn decode(bytes: &[u8]) -> Result<RecoveredTransaction, TransactionDecodeError> {
        RecoveredTransaction::decode(bytes).or_else(|error| {
            let transaction = alloy_eips::eip2718::Decodable2718::decode_2718_exact(bytes);
            let transaction: Transaction = transaction.map_err(|_| error.clone())?;
            match impersonated_sender(&transaction) {
                Some(sender) if !matches!(error, TransactionDecodeError::TooLarge { .. }) => {
                    Ok(RecoveredTransaction::new_unchecked(transaction, sender))
                }
                _ => Err(error),
            }
        })
    }

    /// Hands a transaction that one node took to the others, since gossip forgets
    /// none of those that a revert undid.
    pub(crate) fn spread(&self, bytes: &[u8]) {
        for node in self.nodes() {
            // Most have it already, and one may know better.
            let _ = node.transactions.take(bytes);
        }
    }

    /// Remembers what no node is to take in from another any more.
    fn note_dropped(&self, hash: B256) {
        let mut dropped = self.0.dropped.lock();
        if dropped.len() >= DROPPED_MAX {
            dropped.clear();
        }
        dropped.insert(hash);
    }

    /// Whether a transaction was taken out again and may only come back from a client.
    pub(crate) fn has_dropped(&self, hash: &B256) -> bool {
        self.0.dropped.lock().contains(hash)
    }

    /// A client sends it anew.
    pub(crate) fn is_sent_again(&self, hash: &B256) {
        self.0.dropped.lock().remove(hash);
    }

    fn nodes(&self) -> Vec<DevNode> {
        self.0.nodes.lock().clone()
    }

    fn any_node(&self) -> Result<DevNode, DevError> {
        let node = self.0.nodes.lock().first().cloned();
        node.ok_or_else(|| DevError::Refused("the network has not started yet".to_owned()))
    }

    fn head(&self) -> Height {
        let heights = self
            .nodes()
            .into_iter()
            .map(|node| node.chain.head().height);
        heights.max().unwrap_or(Height::GENESIS)
    }

    fn wake(&self) {
        for node in self.nodes() {
            node.driver.pool_changed();
        }
    }

    /// Waits until every node is at this height.
    async fn reached(&self, height: Height, what: &'static str) -> Result<(), DevError> {
        for node in self.nodes() {
            let mut seen = node.chain.watch_height();
            let reached = seen.wait_for(|seen| *seen >= height);
            in_time(what, reached)
                .await?
                .map_err(|_| DevError::TooLate(what))?;
        }
        Ok(())
    }

    async fn mine_next(&self, time_s: Option<u64>) -> Result<Height, DevError> {
        if let Some(time_s) = time_s {
            self.set_next_time(time_s)?;
        }
        let height = self.head().next();
        self.0.mine_to.store(height.0, Ordering::SeqCst);
        self.wake();
        self.reached(height, "mine a block").await?;
        Ok(height)
    }

    /// Rolls every node back to a block.
    async fn roll_back(&self, height: Height, clock_s: u64) -> Result<(), DevError> {
        let nodes = self.nodes();
        let barrier = Arc::new(Barrier::new(nodes.len()));
        let mut done = Vec::new();
        for node in &nodes {
            done.push(node.driver.roll_back(RollBack {
                height,
                clock_s,
                barrier: barrier.clone(),
                network: self.clone(),
            }));
        }
        let all = in_time("go back", futures::future::join_all(done)).await?;
        if all.into_iter().any(|is_done| !is_done) {
            return Err(DevError::TooLate("go back"));
        }
        Ok(())
    }

    fn check_can_roll_back(&self) -> Result<(), DevError> {
        match self.any_node()?.chain.spec.consensus.engine {
            ConsensusEngine::Qbft => Ok(()),
            ConsensusEngine::Raft => Err(DevError::Unsupported(
                "a log cannot go back: snapshots need `medina dev --consensus qbft`".to_owned(),
            )),
        }
    }
}

/// The sender that a marked signature names.
pub(crate) fn impersonated_sender(transaction: &Transaction) -> Option<Address> {
    let signature = transaction.signature();
    let is_marked = signature.s() == MARK && !signature.v();
    let word = B256::from(signature.r());
    let is_address = word[..12].iter().all(|byte| *byte == 0);
    (is_marked && is_address).then(|| Address::from_word(word))
}

async fn in_time<T>(what: &'static str, work: impl Future<Output = T>) -> Result<T, DevError> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.map_err(|_| DevError::TooLate(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction as _, TxLegacy};
    use alloy_eips::eip2718::Encodable2718 as _;
    use alloy_primitives::Signature;

    fn network() -> DevNetwork {
        DevNetwork::new([B256::repeat_byte(1)]).unwrap()
    }

    fn transaction(signature: Signature) -> Transaction {
        let plain = TxLegacy {
            chain_id: Some(1),
            gas_limit: 21_000,
            ..TxLegacy::default()
        };
        plain.into_signed(signature).into()
    }

    #[test]
    fn impersonated_sender_is_read_here_and_refused_by_every_other_node() {
        let (network, somebody) = (network(), Address::repeat_byte(7));
        assert_eq!(network.impersonation_of(somebody), None);
        network.impersonate(somebody, true);
        let mark = network.impersonation_of(somebody).unwrap();
        let bytes = transaction(mark).encoded_2718();
        assert_eq!(DevNetwork::decode(&bytes).unwrap().sender(), somebody);
        let elsewhere = RecoveredTransaction::decode(&bytes);
        assert_eq!(elsewhere, Err(TransactionDecodeError::BadSignature));
        network.impersonate(somebody, false);
        assert_eq!(network.impersonation_of(somebody), None);
        network.impersonate_all(true);
        assert_eq!(network.impersonation_of(somebody), Some(mark));
    }

    #[test]
    fn other_bad_signatures_stay_bad() {
        let good = Signature::new(U256::ONE, MARK, false);
        assert!(impersonated_sender(&transaction(good)).is_some());
        for bad in [
            Signature::new(U256::MAX, MARK, false),
            Signature::new(U256::ONE, MARK, true),
            Signature::new(U256::ONE, MARK - U256::ONE, false),
        ] {
            let bytes = transaction(bad).encoded_2718();
            assert!(DevNetwork::decode(&bytes).is_err());
        }
        assert!(DevNetwork::decode(&[0xff; 40]).is_err());
        assert!(DevNetwork::decode(&[]).is_err());
    }

    #[test]
    fn messages_of_an_earlier_epoch_are_dropped() {
        let network = network();
        let before = network.wrap(b"vote".to_vec());
        assert_eq!(network.unwrap(&before).as_deref(), Some(&b"vote"[..]));
        network.0.mine_to.store(9, Ordering::SeqCst);
        network.begin_epoch(1_000, 500);
        assert_eq!(network.unwrap(&before), None);
        assert_eq!(network.next_block(Height(3)), NextBlock::default());
        assert_eq!(network.0.time.now(1_001), 501);
        let now = network.wrap(b"vote".to_vec());
        assert_eq!(network.unwrap(&now).as_deref(), Some(&b"vote"[..]));
        assert_eq!(network.unwrap(b"short"), None);
    }

    #[test]
    fn blocks_are_made_for_transactions_unless_told_otherwise() {
        let (network, head) = (network(), Height(3));
        assert_eq!(network.next_block(head), NextBlock::default());
        assert_eq!(network.work_at_ms(head, None), None);
        assert_eq!(network.work_at_ms(head, Some(7)), Some(7));
        network.set_automine(false);
        assert_eq!(network.work_at_ms(head, Some(7)), None);
        network.0.mine_to.store(4, Ordering::SeqCst);
        assert_eq!(network.work_at_ms(head, None), Some(0));
        assert_eq!(network.work_at_ms(Height(4), None), None);
    }

    #[test]
    fn block_that_changes_the_state_takes_no_transactions_and_names_the_change() {
        let network = network();
        let hash = network.0.edits.ask(Vec::new());
        let next = network.next_block(Height(3));
        let expected = NextBlock {
            extra_data: hash.into(),
            may_be_empty: true,
            takes_transactions: false,
        };
        assert_eq!(next, expected);
        let header = alloy_consensus::Header {
            extra_data: hash.into(),
            ..Default::default()
        };
        network.on_block(0, &header);
        assert_eq!(network.next_block(Height(4)), NextBlock::default());
    }
}
