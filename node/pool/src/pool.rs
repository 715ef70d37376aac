//! The pool as others use it: one lock around the indices, and what it answers.

use crate::{
    AccountView, Admission, BestTransactions, OrganisationOf, Origin, Payer, PoolConfig, PoolError,
    index::Index, sender::Waiting, validate,
};
use alloy_primitives::{Address, B256};
use medina_types::{Height, RecoveredTransaction};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc};

/// What became of an added transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddOutcome {
    /// Its hash.
    pub hash: B256,
    /// Whether it could be in the next block.
    pub executable: bool,
    /// The transaction whose place it took.
    pub replaced: Option<B256>,
    /// What became executable, itself included.
    pub promoted: Vec<B256>,
    /// What left because the pool is full.
    pub evicted: Vec<B256>,
}

/// A transaction of a new block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncludedTransaction {
    /// Who signed it.
    pub sender: Address,
    /// Its hash.
    pub hash: B256,
    /// Gas that it used, charged to the credit.
    pub gas_used: u64,
}

/// What a new block means for the pool.
#[derive(Clone, Copy, Debug)]
pub struct BlockUpdate<'a> {
    /// The block's number.
    pub height: Height,
    /// Base fee of the block after it.
    pub base_fee: u64,
    /// Its transactions.
    pub included: &'a [IncludedTransaction],
    /// Accounts whose nonce or balance changed; the senders need not be among them.
    pub changed: &'a [Address],
}

/// What a new block did to the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOutcome {
    /// Left because the block holds them.
    pub included: Vec<B256>,
    /// Left because their nonce was used otherwise or they waited too long.
    pub dropped: Vec<B256>,
    /// Became executable.
    pub promoted: Vec<B256>,
}

/// How full the pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Executable transactions.
    pub executable: usize,
    /// Others.
    pub queued: usize,
    /// Bytes of all.
    pub bytes: usize,
}

/// Transactions of all senders by nonce.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Executable ones.
    pub executable: BTreeMap<Address, BTreeMap<u64, Arc<RecoveredTransaction>>>,
    /// Others.
    pub queued: BTreeMap<Address, BTreeMap<u64, Arc<RecoveredTransaction>>>,
}

/// Waiting transactions. Cheap to clone; all clones are the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    config: PoolConfig,
    admission: Option<Arc<dyn Admission>>,
    organisations: Option<Arc<dyn OrganisationOf>>,
    index: Mutex<Index>,
}

impl Pool {
    /// An empty pool that admits everybody and knows no organisations.
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        Self::with_rules(config, None, None)
    }

    /// An empty pool with a further rule at its door and organisations.
    #[must_use]
    pub fn with_rules(
        config: PoolConfig,
        admission: Option<Arc<dyn Admission>>,
        organisations: Option<Arc<dyn OrganisationOf>>,
    ) -> Self {
        let index = Mutex::new(Index::new(&config));
        Self(Arc::new(Shared {
            config,
            admission,
            organisations,
            index,
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock()
    }

    fn payer(&self, account: Address) -> Payer {
        let organisation = self
            .0
            .organisations
            .as_ref()
            .and_then(|known| known.organisation(account));
        organisation.map_or(Payer::Account(account), Payer::Organisation)
    }

    /// Checks a transaction and lets it wait. `view` must show the head's state
    /// and is asked while the pool is locked, so that no block comes in between.
    ///
    /// # Errors
    /// See [`PoolError`].
    pub fn add(
        &self,
        view: &dyn AccountView,
        transaction: RecoveredTransaction,
        now_ms: u64,
        origin: Origin,
    ) -> Result<AddOutcome, PoolError> {
        if self.contains(&transaction.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        validate::check(&self.0.config, &transaction)?;
        if let Some(admission) = &self.0.admission {
            admission
                .admit(&transaction)
                .map_err(PoolError::NotPermitted)?;
        }
        let payer = self.payer(transaction.sender());
        let mut index = self.lock();
        let (nonce, balance) = view.nonce_and_balance(transaction.sender())?;
        let outcome = index.add(&self.0.config, transaction, payer, (nonce, balance), now_ms)?;
        tracing::trace!(hash = %outcome.hash, ?origin, executable = outcome.executable, "added");
        Ok(outcome)
    }

    /// Executable transactions for a block with this base fee, the best first.
    #[must_use]
    pub fn best(&self, base_fee: u64, now_ms: u64) -> BestTransactions {
        BestTransactions::new(self.clone(), base_fee, now_ms)
    }

    /// Follows a new block. An account that cannot be read keeps its former
    /// state until it changes again.
    pub fn on_block(
        &self,
        update: BlockUpdate<'_>,
        view: &dyn AccountView,
        now_ms: u64,
    ) -> BlockOutcome {
        let payers: Vec<Payer> = update
            .included
            .iter()
            .map(|included| self.payer(included.sender))
            .collect();
        self.lock().on_block(update, &payers, view, now_ms)
    }

    /// Whether [`Self::best`] would offer anything now.
    #[must_use]
    pub fn has_executable(&self, base_fee: u64, now_ms: u64) -> bool {
        self.next_executable_at(base_fee, now_ms)
            .is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// When [`Self::best`] will offer something: now, or when gas credit has
    /// refilled. `None`: not before the pool or the base fee changes. Whoever
    /// waits for work must look again at that time.
    #[must_use]
    pub fn next_executable_at(&self, base_fee: u64, now_ms: u64) -> Option<u64> {
        self.lock().next_executable_at(base_fee, now_ms)
    }

    /// Takes a transaction out, such as one that the builder found invalid.
    /// Later ones of its sender wait for another with this nonce.
    pub fn remove(&self, hash: &B256) -> Option<Arc<RecoveredTransaction>> {
        self.lock().remove(hash).map(|waiting| waiting.transaction)
    }

    /// A waiting transaction.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Arc<RecoveredTransaction>> {
        self.lock()
            .waiting(hash)
            .map(|waiting| waiting.transaction.clone())
    }

    /// Whether a transaction waits here.
    #[must_use]
    pub fn contains(&self, hash: &B256) -> bool {
        self.lock().contains(hash)
    }

    /// The sender of a waiting transaction, recovered when it entered.
    #[must_use]
    pub fn sender_of(&self, hash: &B256) -> Option<Address> {
        self.lock().sender_of(hash)
    }

    /// The nonce after a sender's executable transactions; `None` if it has none.
    #[must_use]
    pub fn pending_nonce(&self, sender: Address) -> Option<u64> {
        let index = self.lock();
        let queue = index.sender(sender)?;
        (queue.executable_count() > 0).then(|| queue.executable_end())
    }

    /// Hashes of at most `count_max` executable transactions, those of each sender by
    /// nonce.
    #[must_use]
    pub fn hashes(&self, count_max: usize) -> Vec<B256> {
        let index = self.lock();
        let executable = index.senders().flat_map(|(_, queue)| queue.executable());
        executable
            .take(count_max)
            .map(|waiting| waiting.hash)
            .collect()
    }

    /// Those of the hashes that do not wait here.
    #[must_use]
    pub fn missing(&self, hashes: &[B256]) -> Vec<B256> {
        let index = self.lock();
        hashes
            .iter()
            .filter(|hash| !index.contains(hash))
            .copied()
            .collect()
    }

    /// How full the pool is.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.lock().status()
    }

    /// All transactions, for `txpool_content`.
    #[must_use]
    pub fn content(&self) -> PoolContent {
        let by_nonce = |waiting: &Waiting| (waiting.nonce(), waiting.transaction.clone());
        let index = self.lock();
        let mut content = PoolContent::default();
        for (sender, queue) in index.senders() {
            let executable: BTreeMap<_, _> = queue.executable().map(by_nonce).collect();
            if !executable.is_empty() {
                content.executable.insert(sender, executable);
            }
            let queued: BTreeMap<_, _> = queue.queued().map(by_nonce).collect();
            if !queued.is_empty() {
                content.queued.insert(sender, queued);
            }
        }
        content
    }
}
