//! When the builder will be offered something: found by a search over all
//! senders, kept while the pool only grows.

use super::Index;
use crate::sender::SenderQueue;
use alloy_primitives::Address;

/// The earliest time at which something can be offered, as found last.
#[derive(Clone, Copy)]
pub(super) struct Readiness {
    pub(super) base_fee: u64,
    pub(super) at_ms: Option<u64>,
}

impl Index {
    pub(crate) fn next_executable_at(&mut self, base_fee: u64, now_ms: u64) -> Option<u64> {
        let known = self.readiness.filter(|known| known.base_fee == base_fee);
        let at_ms = match known {
            Some(known) => known.at_ms,
            None => self.search_readiness(base_fee, now_ms),
        };
        self.readiness = Some(Readiness { base_fee, at_ms });
        at_ms.map(|at_ms| at_ms.max(now_ms))
    }

    fn search_readiness(&self, base_fee: u64, now_ms: u64) -> Option<u64> {
        let mut earliest: Option<u64> = None;
        for queue in self.senders.values() {
            let Some(at_ms) = self.ready_at(queue, base_fee, now_ms) else {
                continue;
            };
            if at_ms <= now_ms {
                return Some(at_ms);
            }
            earliest = Some(earliest.map_or(at_ms, |earliest| earliest.min(at_ms)));
        }
        earliest
    }

    /// When the next transaction of a sender may be offered.
    fn ready_at(&self, queue: &SenderQueue, base_fee: u64, now_ms: u64) -> Option<u64> {
        let head = queue
            .head()
            .filter(|head| head.fee() >= u128::from(base_fee))?;
        match &self.credit {
            Some(credit) => credit.ready_at(&queue.payer, head.gas_limit(), now_ms),
            None => Some(now_ms),
        }
    }

    /// The last search's result with a sender's new transaction. Without this
    /// every addition would start another search, which under a flood visits
    /// all senders.
    pub(super) fn with_sender(
        &self,
        known: Readiness,
        sender: Address,
        nonce: u64,
        now_ms: u64,
    ) -> Readiness {
        let queue = self
            .senders
            .get(&sender)
            .filter(|queue| queue.nonce() == nonce);
        let added = queue.and_then(|queue| self.ready_at(queue, known.base_fee, now_ms));
        let at_ms = match (known.at_ms, added) {
            (Some(known), Some(added)) => Some(known.min(added)),
            (known, added) => known.or(added),
        };
        Readiness { at_ms, ..known }
    }
}
