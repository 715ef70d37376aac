//! The transactions of one sender, by nonce.

use crate::Payer;
use alloy_consensus::Transaction as _;
use alloy_primitives::{B256, U256};
use medina_types::{RecoveredTransaction, limits::POOL_REPLACEMENT_BUMP_PERCENT};
use std::{collections::BTreeMap, sync::Arc};

/// A waiting transaction with what the pool needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) transaction: Arc<RecoveredTransaction>,
    pub(crate) hash: B256,
    /// Order of arrival.
    pub(crate) sequence: u64,
    pub(crate) arrived_ms: u64,
    /// Most that it can take from its sender.
    pub(crate) cost: U256,
}

impl Waiting {
    pub(crate) fn new(transaction: RecoveredTransaction, sequence: u64, arrived_ms: u64) -> Self {
        let (hash, cost) = (transaction.hash(), cost(&transaction));
        Self {
            transaction: Arc::new(transaction),
            hash,
            sequence,
            arrived_ms,
            cost,
        }
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.transaction.transaction().nonce()
    }

    pub(crate) fn gas_limit(&self) -> u64 {
        self.transaction.transaction().gas_limit()
    }

    pub(crate) fn fee(&self) -> u128 {
        self.transaction.transaction().max_fee_per_gas()
    }

    /// Highest tip whatever the base fee.
    pub(crate) fn tip(&self) -> u128 {
        self.transaction.transaction().priority_fee_or_price()
    }

    /// What the proposer earns per gas; `None` below the base fee.
    pub(crate) fn effective_tip(&self, base_fee: u64) -> Option<u128> {
        self.transaction
            .transaction()
            .effective_tip_per_gas(base_fee)
    }

    /// Whether fee and tip are enough above another's to take its place.
    pub(crate) fn outbids(&self, other: &Self) -> bool {
        let is_enough = |new: u128, old: u128| {
            let bumped = old.saturating_mul(100 + POOL_REPLACEMENT_BUMP_PERCENT) / 100;
            new > old && new >= bumped
        };
        is_enough(self.fee(), other.fee()) && is_enough(self.tip(), other.tip())
    }
}

/// Most that a transaction can take from its sender.
pub(crate) fn cost(transaction: &RecoveredTransaction) -> U256 {
    let transaction = transaction.transaction();
    let gas = U256::from(transaction.gas_limit());
    U256::from(transaction.max_fee_per_gas())
        .saturating_mul(gas)
        .saturating_add(transaction.value())
}

/// One sender's account as last seen, and its transactions.
#[derive(Debug)]
pub(crate) struct SenderQueue {
    pub(crate) payer: Payer,
    nonce: u64,
    balance: U256,
    waiting: BTreeMap<u64, Waiting>,
    /// First nonce that is not executable.
    executable_end: u64,
    executable_cost: U256,
}

impl SenderQueue {
    pub(crate) fn new(payer: Payer, nonce: u64, balance: U256) -> Self {
        let (waiting, executable_cost) = (BTreeMap::new(), U256::ZERO);
        Self {
            payer,
            nonce,
            balance,
            waiting,
            executable_end: nonce,
            executable_cost,
        }
    }

    /// Takes over the account's new state; returns transactions whose nonce was used.
    pub(crate) fn set_account(&mut self, nonce: u64, balance: U256) -> Vec<Waiting> {
        if (nonce, balance) == (self.nonce, self.balance) {
            return Vec::new();
        }
        let kept = self.waiting.split_off(&nonce);
        let used = std::mem::replace(&mut self.waiting, kept);
        (self.nonce, self.balance) = (nonce, balance);
        self.count_executable();
        used.into_values().collect()
    }

    /// Puts a transaction in its place; returns the one that was there.
    pub(crate) fn insert(&mut self, waiting: Waiting) -> Option<Waiting> {
        let nonce = waiting.nonce();
        let replaced = self.waiting.insert(nonce, waiting);
        if replaced.is_some() {
            self.count_executable();
        } else if nonce == self.executable_end {
            self.extend_executable();
        }
        replaced
    }

    pub(crate) fn remove(&mut self, nonce: u64) -> Option<Waiting> {
        let removed = self.waiting.remove(&nonce)?;
        if self.is_executable(nonce) {
            self.count_executable();
        }
        Some(removed)
    }

    /// Takes out queued transactions that arrived before a time.
    pub(crate) fn take_queued_before(&mut self, arrived_ms: u64) -> Vec<Waiting> {
        let queued = self.waiting.range(self.executable_end..);
        let old: Vec<u64> = queued
            .filter(|(_, waiting)| waiting.arrived_ms < arrived_ms)
            .map(|(nonce, _)| *nonce)
            .collect();
        old.into_iter()
            .filter_map(|nonce| self.waiting.remove(&nonce))
            .collect()
    }

    fn count_executable(&mut self) {
        self.executable_end = self.nonce;
        self.executable_cost = U256::ZERO;
        self.extend_executable();
    }

    fn extend_executable(&mut self) {
        for (nonce, waiting) in self.waiting.range(self.executable_end..) {
            let cost = self.executable_cost.saturating_add(waiting.cost);
            if *nonce != self.executable_end || cost > self.balance {
                return;
            }
            self.executable_end += 1;
            self.executable_cost = cost;
        }
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Waiting> {
        self.waiting.get(&nonce)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }

    pub(crate) fn balance(&self) -> U256 {
        self.balance
    }

    /// First nonce that is not executable.
    pub(crate) fn executable_end(&self) -> u64 {
        self.executable_end
    }

    pub(crate) fn is_executable(&self, nonce: u64) -> bool {
        (self.nonce..self.executable_end).contains(&nonce)
    }

    pub(crate) fn executable_count(&self) -> usize {
        usize::try_from(self.executable_end - self.nonce).expect("a pool's queue fits in memory")
    }

    /// What all executable transactions but this one may cost together.
    pub(crate) fn cost_of_others(&self, nonce: u64) -> U256 {
        match self.waiting.get(&nonce) {
            Some(own) if self.is_executable(nonce) => self.executable_cost - own.cost,
            _ => self.executable_cost,
        }
    }

    /// The next transaction to execute, if any.
    pub(crate) fn head(&self) -> Option<&Waiting> {
        self.executable().next()
    }

    /// The one with the highest nonce.
    pub(crate) fn tail(&self) -> Option<&Waiting> {
        self.waiting.values().next_back()
    }

    pub(crate) fn executable(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting
            .range(self.nonce..self.executable_end)
            .map(|(_, waiting)| waiting)
    }

    pub(crate) fn executable_from(&self, nonce: u64) -> impl Iterator<Item = &Waiting> {
        let start = nonce.clamp(self.nonce, self.executable_end);
        self.waiting
            .range(start..self.executable_end)
            .map(|(_, waiting)| waiting)
    }

    pub(crate) fn queued(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting
            .range(self.executable_end..)
            .map(|(_, waiting)| waiting)
    }
}
