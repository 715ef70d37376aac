//! Every sender's queue and an index by hash: how transactions come and go.

use crate::{
    AccountView, AddOutcome, BlockOutcome, BlockUpdate, GasCredit, Payer, PoolConfig, PoolError,
    PoolStatus,
    sender::{SenderQueue, Waiting, cost},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256};
use medina_types::{GasPolicy, RecoveredTransaction, limits};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[cfg(test)]
mod consistency;
mod eviction;
mod readiness;

use eviction::TailRank;
use readiness::Readiness;

/// Time between two searches for transactions that waited too long.
const EXPIRY_INTERVAL_MS: u64 = 60_000;

pub(crate) struct Index {
    senders: BTreeMap<Address, SenderQueue>,
    by_hash: HashMap<B256, (Address, u64)>,
    /// The last transaction of each sender by who leaves first.
    tails: BTreeSet<(TailRank, Address)>,
    executable: usize,
    bytes: usize,
    sequence: u64,
    base_fee: u64,
    credit: Option<GasCredit>,
    readiness: Option<Readiness>,
    expired_ms: u64,
}

impl Index {
    pub(crate) fn new(config: &PoolConfig) -> Self {
        let (credit, base_fee) = match config.gas_policy {
            GasPolicy::Free(parameters) => (Some(GasCredit::new(parameters)), 0),
            GasPolicy::Metered(metered) => (None, metered.initial_base_fee),
        };
        Self {
            senders: BTreeMap::new(),
            by_hash: HashMap::new(),
            tails: BTreeSet::new(),
            executable: 0,
            bytes: 0,
            sequence: 0,
            base_fee,
            credit,
            readiness: None,
            expired_ms: 0,
        }
    }

    pub(crate) fn senders(&self) -> impl Iterator<Item = (Address, &SenderQueue)> {
        self.senders.iter().map(|(sender, queue)| (*sender, queue))
    }

    pub(crate) fn sender(&self, sender: Address) -> Option<&SenderQueue> {
        self.senders.get(&sender)
    }

    pub(crate) fn credit(&self) -> Option<&GasCredit> {
        self.credit.as_ref()
    }

    pub(crate) fn contains(&self, hash: &B256) -> bool {
        self.by_hash.contains_key(hash)
    }

    pub(crate) fn sender_of(&self, hash: &B256) -> Option<Address> {
        self.by_hash.get(hash).map(|(sender, _)| *sender)
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let (executable, bytes) = (self.executable, self.bytes);
        PoolStatus {
            executable,
            queued: self.by_hash.len() - executable,
            bytes,
        }
    }

    pub(crate) fn waiting(&self, hash: &B256) -> Option<&Waiting> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.senders.get(sender)?.get(*nonce)
    }

    pub(crate) fn add(
        &mut self,
        config: &PoolConfig,
        transaction: RecoveredTransaction,
        payer: Payer,
        account: (u64, U256),
        now_ms: u64,
    ) -> Result<AddOutcome, PoolError> {
        if self.by_hash.contains_key(&transaction.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        let sender = transaction.sender();
        self.check_account(&transaction, account)?;
        self.check_credit(&transaction, &payer)?;
        self.refresh(sender, payer, account);
        let waiting = Waiting::new(transaction, self.sequence, now_ms);
        self.check_place(&waiting, sender, account)?;
        let evicted = self.make_room(config, &waiting, payer, account.0)?;
        let readiness = self.readiness;

        self.sequence += 1;
        let (hash, nonce) = (waiting.hash, waiting.nonce());
        self.bytes += waiting.transaction.encoded_length();
        self.by_hash.insert(hash, (sender, nonce));
        let (replaced, promoted) = self.change(
            sender,
            || new_queue(payer, account),
            |queue| {
                let end = queue.executable_end();
                let replaced = queue.insert(waiting);
                (replaced, hashes_from(queue, end))
            },
        );
        if let Some(replaced) = &replaced {
            self.forget(replaced);
        }
        let executable = self.senders[&sender].is_executable(nonce);
        if replaced.is_none() {
            self.readiness = readiness.map(|known| self.with_sender(known, sender, nonce, now_ms));
        }
        let replaced = replaced.map(|waiting| waiting.hash);
        Ok(AddOutcome {
            hash,
            executable,
            replaced,
            promoted,
            evicted,
        })
    }

    fn check_account(
        &self,
        transaction: &RecoveredTransaction,
        (next, balance): (u64, U256),
    ) -> Result<(), PoolError> {
        let address = transaction.sender();
        let got = transaction.transaction().nonce();
        if got < next {
            return Err(PoolError::NonceTooLow { next, got });
        }
        let gap = limits::POOL_NONCE_GAP_MAX;
        if got - next > gap {
            return Err(PoolError::NonceTooHigh { next, got, gap });
        }
        let (fee, base_fee) = (transaction.transaction().max_fee_per_gas(), self.base_fee);
        if fee < u128::from(base_fee) {
            return Err(PoolError::FeeBelowBaseFee {
                address,
                fee,
                base_fee,
            });
        }
        let cost = cost(transaction);
        if cost > balance {
            return Err(PoolError::InsufficientFunds {
                address,
                balance,
                cost,
            });
        }
        Ok(())
    }

    /// What could never be offered must not wait.
    fn check_credit(
        &self,
        transaction: &RecoveredTransaction,
        payer: &Payer,
    ) -> Result<(), PoolError> {
        let Some(credit) = &self.credit else {
            return Ok(());
        };
        let (got, max) = (
            transaction.transaction().gas_limit(),
            credit.capacity(payer),
        );
        if got > max {
            return Err(PoolError::ExceedsGasCredit { got, max });
        }
        Ok(())
    }

    /// Takes over what the head says about a sender that waits here already.
    fn refresh(&mut self, sender: Address, payer: Payer, (nonce, balance): (u64, U256)) {
        let Some(queue) = self.senders.get(&sender) else {
            return;
        };
        if (queue.nonce(), queue.balance(), queue.payer) == (nonce, balance, payer) {
            return;
        }
        let used = self.change_known(sender, |queue| {
            queue.payer = payer;
            queue.set_account(nonce, balance)
        });
        used.iter()
            .flatten()
            .for_each(|waiting| self.forget(waiting));
    }

    fn check_place(
        &self,
        waiting: &Waiting,
        sender: Address,
        (_, balance): (u64, U256),
    ) -> Result<(), PoolError> {
        let Some(queue) = self.senders.get(&sender) else {
            return Ok(());
        };
        let nonce = waiting.nonce();
        if nonce <= queue.executable_end() {
            let (queued, cost) = (queue.cost_of_others(nonce), waiting.cost);
            if queued.saturating_add(cost) > balance {
                return Err(PoolError::InsufficientFundsForAll {
                    balance,
                    queued,
                    cost,
                });
            }
        }
        match queue.get(nonce) {
            Some(other) if !waiting.outbids(other) => Err(PoolError::ReplacementUnderpriced),
            Some(_) => Ok(()),
            None if queue.len() >= limits::POOL_TRANSACTIONS_PER_SENDER_MAX => {
                let max = limits::POOL_TRANSACTIONS_PER_SENDER_MAX;
                Err(PoolError::AccountLimit {
                    address: sender,
                    max,
                })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn remove(&mut self, hash: &B256) -> Option<Waiting> {
        let (sender, nonce) = *self.by_hash.get(hash)?;
        let removed = self
            .change_known(sender, |queue| queue.remove(nonce))
            .flatten()?;
        self.forget(&removed);
        Some(removed)
    }

    /// Drops a transaction that left its queue from the other indices.
    fn forget(&mut self, waiting: &Waiting) {
        self.by_hash.remove(&waiting.hash);
        self.bytes -= waiting.transaction.encoded_length();
    }

    /// The one place where a queue changes: counts and tails follow, an empty
    /// queue goes.
    fn change<T>(
        &mut self,
        sender: Address,
        new: impl FnOnce() -> SenderQueue,
        change: impl FnOnce(&mut SenderQueue) -> T,
    ) -> T {
        let mut queue = match self.senders.remove(&sender) {
            Some(queue) => {
                self.unlist(sender, &queue);
                queue
            }
            None => new(),
        };
        let result = change(&mut queue);
        self.readiness = None;
        if !queue.is_empty() {
            self.list(sender, &queue);
            self.senders.insert(sender, queue);
        }
        result
    }

    fn change_known<T>(
        &mut self,
        sender: Address,
        change: impl FnOnce(&mut SenderQueue) -> T,
    ) -> Option<T> {
        let known = self.senders.get(&sender)?;
        let (payer, account) = (known.payer, (known.nonce(), known.balance()));
        Some(self.change(sender, || new_queue(payer, account), change))
    }

    fn list(&mut self, sender: Address, queue: &SenderQueue) {
        self.executable += queue.executable_count();
        self.tails
            .extend(self.tail_rank(queue).map(|rank| (rank, sender)));
    }

    fn unlist(&mut self, sender: Address, queue: &SenderQueue) {
        self.executable -= queue.executable_count();
        if let Some(rank) = self.tail_rank(queue) {
            self.tails.remove(&(rank, sender));
        }
    }

    pub(crate) fn on_block(
        &mut self,
        update: BlockUpdate<'_>,
        payers: &[Payer],
        view: &dyn AccountView,
        now_ms: u64,
    ) -> BlockOutcome {
        self.base_fee = update.base_fee;
        self.readiness = None;
        if let Some(credit) = &mut self.credit {
            for (included, payer) in update.included.iter().zip(payers) {
                credit.charge(*payer, included.gas_used, now_ms);
            }
        }
        let included: BTreeSet<B256> = update
            .included
            .iter()
            .map(|included| included.hash)
            .collect();
        let senders = update.included.iter().map(|included| included.sender);
        let touched: BTreeSet<Address> = senders.chain(update.changed.iter().copied()).collect();
        let mut outcome = BlockOutcome::default();
        for sender in touched {
            self.follow(sender, view, &included, &mut outcome);
        }
        self.expire(now_ms, &mut outcome);
        outcome
    }

    fn follow(
        &mut self,
        sender: Address,
        view: &dyn AccountView,
        included: &BTreeSet<B256>,
        outcome: &mut BlockOutcome,
    ) {
        if !self.senders.contains_key(&sender) {
            return;
        }
        let (nonce, balance) = match view.nonce_and_balance(sender) {
            Ok(account) => account,
            Err(error) => {
                tracing::error!(%sender, %error, "a waiting sender's account cannot be read");
                return;
            }
        };
        let changed = self.change_known(sender, |queue| {
            let end = queue.executable_end();
            let used = queue.set_account(nonce, balance);
            (used, hashes_from(queue, end))
        });
        let Some((used, promoted)) = changed else {
            return;
        };
        outcome.promoted.extend(promoted);
        for waiting in used {
            self.forget(&waiting);
            let left = if included.contains(&waiting.hash) {
                &mut outcome.included
            } else {
                &mut outcome.dropped
            };
            left.push(waiting.hash);
        }
    }

    /// Drops what could not run for too long. Queued tails sort first.
    fn expire(&mut self, now_ms: u64, outcome: &mut BlockOutcome) {
        if now_ms < self.expired_ms.saturating_add(EXPIRY_INTERVAL_MS) {
            return;
        }
        self.expired_ms = now_ms;
        let lifetime_ms = u64::try_from(limits::POOL_QUEUED_LIFETIME.as_millis())
            .expect("a lifetime of hours fits");
        let before = now_ms.saturating_sub(lifetime_ms);
        let queued = self.tails.iter().take_while(|(rank, _)| rank.0 == 0);
        let senders: Vec<Address> = queued.map(|(_, sender)| *sender).collect();
        for sender in senders {
            let expired = self.change_known(sender, |queue| queue.take_queued_before(before));
            for waiting in expired.into_iter().flatten() {
                self.forget(&waiting);
                outcome.dropped.push(waiting.hash);
            }
        }
    }
}

fn new_queue(payer: Payer, (nonce, balance): (u64, U256)) -> SenderQueue {
    SenderQueue::new(payer, nonce, balance)
}

/// Hashes of executable transactions from a nonce on.
fn hashes_from(queue: &SenderQueue, nonce: u64) -> Vec<B256> {
    queue
        .executable_from(nonce)
        .map(|waiting| waiting.hash)
        .collect()
}
