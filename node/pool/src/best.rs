//! Offers executable transactions to the block builder, the best first.

use crate::{Payer, pool::Pool, sender::Waiting};
use alloy_primitives::Address;
use medina_types::RecoveredTransaction;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

/// The next transaction of one sender, compared field by field: the greatest wins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Where gas is free: the sender belongs to an organisation. However many
    /// strangers wait and whatever they tip, an organisation's transaction is in
    /// the next block as long as its own credit lasts.
    is_member: bool,
    tip: u128,
    sequence: Reverse<u64>,
    sender: Address,
    nonce: u64,
}

/// Executable transactions in the order of a block: per sender by nonce, between
/// senders by tip, then arrival; where gas is free, members of organisations come
/// before strangers. Follows the pool while it is used, so that
/// what is removed meanwhile is not offered.
///
/// Where gas is free, a sender without credit for its next transaction is left
/// out; what was offered counts as used, in this iteration only.
pub struct BestTransactions {
    pool: Pool,
    base_fee: u64,
    now_ms: u64,
    candidates: BinaryHeap<Candidate>,
    skipped: BTreeSet<Address>,
    used: BTreeMap<Payer, u64>,
    used_shared: u64,
}

impl BestTransactions {
    pub(crate) fn new(pool: Pool, base_fee: u64, now_ms: u64) -> Self {
        let candidates = {
            let index = pool.lock();
            let is_free = index.credit().is_some();
            let heads = index.senders().filter_map(|(sender, queue)| {
                let is_member = is_free && !queue.payer.is_stranger();
                candidate(sender, is_member, queue.head()?, base_fee)
            });
            heads.collect::<Vec<_>>().into()
        };
        let (skipped, used) = (BTreeSet::new(), BTreeMap::new());
        Self {
            pool,
            base_fee,
            now_ms,
            candidates,
            skipped,
            used,
            used_shared: 0,
        }
    }

    /// Offers nothing more of this sender: its last transaction does not fit
    /// into the block or is invalid.
    pub fn skip_sender(&mut self, sender: Address) {
        self.skipped.insert(sender);
    }

    fn try_take(&mut self, candidate: &Candidate) -> Option<Arc<RecoveredTransaction>> {
        let index = self.pool.lock();
        let queue = index.sender(candidate.sender)?;
        let waiting = queue.get(candidate.nonce)?;
        if !queue.is_executable(candidate.nonce) || waiting.fee() < u128::from(self.base_fee) {
            return None;
        }
        if let Some(credit) = index.credit() {
            let (payer, gas) = (queue.payer, waiting.gas_limit());
            let used = self.used.entry(payer).or_default();
            if credit
                .available_own(&payer, self.now_ms)
                .saturating_sub(*used)
                < gas
            {
                return None;
            }
            if payer.is_stranger() {
                let shared = credit.available_shared(self.now_ms);
                if shared.saturating_sub(self.used_shared) < gas {
                    return None;
                }
                self.used_shared += gas;
            }
            *used += gas;
        }
        let following = candidate.nonce.checked_add(1)?;
        if queue.is_executable(following)
            && let Some(next) = queue.get(following)
        {
            let (sender, is_member) = (candidate.sender, candidate.is_member);
            self.candidates
                .extend(self::candidate(sender, is_member, next, self.base_fee));
        }
        Some(waiting.transaction.clone())
    }
}

fn candidate(
    sender: Address,
    is_member: bool,
    waiting: &Waiting,
    base_fee: u64,
) -> Option<Candidate> {
    let tip = waiting.effective_tip(base_fee)?;
    Some(Candidate {
        is_member,
        tip,
        sequence: Reverse(waiting.sequence),
        sender,
        nonce: waiting.nonce(),
    })
}

impl Iterator for BestTransactions {
    type Item = Arc<RecoveredTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let candidate = self.candidates.pop()?;
            if self.skipped.contains(&candidate.sender) {
                continue;
            }
            if let Some(transaction) = self.try_take(&candidate) {
                return Some(transaction);
            }
        }
    }
}
