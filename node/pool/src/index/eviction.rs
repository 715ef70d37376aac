//! Who leaves when the pool is full: the worst last transaction of any sender.
//!
//! Queued go before executable, strangers' before organisations' (where gas is
//! free), then the lowest tip, then the newest. Only last nonces leave, so no gap
//! opens; a newcomer that is no better is refused.

use super::Index;
use crate::{
    Payer, PoolConfig, PoolError,
    sender::{SenderQueue, Waiting},
};
use alloy_primitives::B256;
use std::cmp::Reverse;

/// Who leaves first: the smallest.
pub(super) type TailRank = (u8, u128, Reverse<u64>);

impl Index {
    pub(super) fn make_room(
        &mut self,
        config: &PoolConfig,
        waiting: &Waiting,
        payer: Payer,
        account_nonce: u64,
    ) -> Result<Vec<B256>, PoolError> {
        let sender = waiting.transaction.sender();
        let replaced = self
            .senders
            .get(&sender)
            .and_then(|queue| queue.get(waiting.nonce()));
        let mut evicted = Vec::new();
        let (places, freed) =
            replaced.map_or((1, 0), |other| (0, other.transaction.encoded_length()));
        let added = waiting.transaction.encoded_length();
        while self.by_hash.len() + places > config.transactions_max
            || self.bytes + added > config.bytes_max + freed
        {
            let victim = self
                .worse_than(waiting, payer, account_nonce)
                .ok_or(PoolError::Full)?;
            self.remove(&victim);
            evicted.push(victim);
        }
        Ok(evicted)
    }

    /// The transaction that leaves first, if the newcomer is better.
    fn worse_than(&self, newcomer: &Waiting, payer: Payer, account_nonce: u64) -> Option<B256> {
        let (rank, victim) = self.tails.first()?;
        let (sender, nonce) = (newcomer.transaction.sender(), newcomer.nonce());
        let end = self
            .senders
            .get(&sender)
            .map_or(account_nonce, SenderQueue::executable_end);
        if (rank.0, rank.1) >= (self.class(nonce <= end, payer), newcomer.tip()) {
            return None;
        }
        let tail = self.senders.get(victim)?.tail()?;
        // Dropping the own last one below the newcomer would open a gap.
        let opens_gap = *victim == sender && tail.nonce() <= nonce;
        (!opens_gap).then_some(tail.hash)
    }

    fn class(&self, is_executable: bool, payer: Payer) -> u8 {
        match (is_executable, self.credit.is_some() && payer.is_stranger()) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        }
    }

    pub(super) fn tail_rank(&self, queue: &SenderQueue) -> Option<TailRank> {
        let tail = queue.tail()?;
        let class = self.class(queue.is_executable(tail.nonce()), queue.payer);
        Some((class, tail.tip(), Reverse(tail.sequence)))
    }
}
