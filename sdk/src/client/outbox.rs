//! What an account has sent and not yet seen included, so that nothing it sends can stick.
//!
//! Kept per nonce: the transaction as it was last signed and every hash it was sent under. A
//! replacement differs in fees only, so whichever of the hashes is included does what was wanted.

use std::collections::BTreeMap;

use alloy_consensus::TxEip1559;
use alloy_primitives::{B256, Bytes};

use crate::limits::{FEE_DOUBLINGS_MAX, TRANSACTIONS_REMEMBERED_MAX};

/// Fees per gas, in base units of the chain's coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fees {
    pub(super) max: u128,
    pub(super) tip: u128,
}

impl Fees {
    /// What a pool takes in the place of a transaction with these fees (a tenth more is asked for;
    /// an eighth is offered), or what is usual now if that is more. `None` where it would be the
    /// same, as on a chain without fees, or more than [`FEE_DOUBLINGS_MAX`] allow.
    pub(super) fn raised(self, usual: Self, first: Self) -> Option<Self> {
        let more = |fee: u128| fee.saturating_add(fee.div_ceil(8));
        let raised = Self {
            max: more(self.max).max(usual.max),
            tip: more(self.tip).max(usual.tip),
        };
        let limit = first.max.max(usual.max) << FEE_DOUBLINGS_MAX;
        (raised != self && raised.max <= limit).then_some(raised)
    }

    pub(super) fn of(transaction: &TxEip1559) -> Self {
        Self {
            max: transaction.max_fee_per_gas,
            tip: transaction.max_priority_fee_per_gas,
        }
    }
}

/// One nonce's transaction.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) transaction: TxEip1559,
    pub(super) raw: Bytes,
    pub(super) hashes: Vec<B256>,
    pub(super) first: Fees,
}

/// The nonce of the next transaction, if known, and those on their way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) next: Option<u64>,
    sent: BTreeMap<u64, Sent>,
}

impl Outbox {
    /// Remembers a transaction that a node took.
    pub(super) fn remember(&mut self, transaction: TxEip1559, raw: Bytes, hash: B256) {
        let nonce = transaction.nonce;
        self.next = Some(self.next.unwrap_or_default().max(nonce + 1));
        let first = Fees::of(&transaction);
        let entry = self.sent.entry(nonce).or_insert_with(|| Sent {
            transaction: transaction.clone(),
            raw: raw.clone(),
            hashes: Vec::new(),
            first,
        });
        (entry.transaction, entry.raw) = (transaction, raw);
        if !entry.hashes.contains(&hash) {
            entry.hashes.push(hash);
        }
        while self.sent.len() > TRANSACTIONS_REMEMBERED_MAX {
            self.sent.pop_first();
        }
    }

    /// Forgets what is included.
    pub(super) fn forget_below(&mut self, nonce: u64) {
        self.sent = self.sent.split_off(&nonce);
    }

    /// Every hash under which the transaction of this nonce was sent.
    pub(super) fn hashes(&self, nonce: u64) -> Vec<B256> {
        let sent = self.sent.get(&nonce);
        sent.map(|sent| sent.hashes.clone()).unwrap_or_default()
    }

    /// The transaction of this nonce.
    pub(super) fn get(&self, nonce: u64) -> Option<&Sent> {
        self.sent.get(&nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(nonce: u64, max: u128) -> TxEip1559 {
        TxEip1559 {
            nonce,
            max_fee_per_gas: max,
            ..TxEip1559::default()
        }
    }

    #[test]
    fn fees_rise_by_an_eighth_or_to_what_is_usual_and_not_without_end() {
        let fees = |max, tip| Fees { max, tip };
        let first = fees(80, 8);
        assert_eq!(first.raised(fees(0, 0), first), Some(fees(90, 9)));
        assert_eq!(first.raised(fees(200, 1), first), Some(fees(200, 9)));
        assert_eq!(fees(0, 0).raised(fees(0, 0), fees(0, 0)), None);
        assert_eq!(fees(0, 0).raised(fees(7, 0), fees(0, 0)), Some(fees(7, 0)));
        let mut now = first;
        let mut steps = 0;
        while let Some(next) = now.raised(first, first) {
            assert!(
                10 * next.max >= 11 * now.max,
                "a pool would refuse {next:?}"
            );
            (now, steps) = (next, steps + 1);
        }
        assert!(now.max <= 80 << FEE_DOUBLINGS_MAX && steps > 20, "{now:?}");
    }

    #[test]
    fn outbox_keeps_every_hash_of_a_nonce_and_forgets_what_is_included() {
        let mut outbox = Outbox::default();
        let hash = B256::repeat_byte;
        outbox.remember(transaction(4, 10), Bytes::new(), hash(1));
        outbox.remember(transaction(5, 10), Bytes::new(), hash(2));
        outbox.remember(transaction(4, 20), Bytes::new(), hash(3));
        assert_eq!(outbox.next, Some(6));
        assert_eq!(outbox.hashes(4), [hash(1), hash(3)]);
        let sent = outbox.get(4).expect("is there");
        assert_eq!((sent.transaction.max_fee_per_gas, sent.first.max), (20, 10));
        outbox.forget_below(5);
        assert!(outbox.get(4).is_none() && outbox.get(5).is_some());
        let many = TRANSACTIONS_REMEMBERED_MAX as u64 + 10;
        for nonce in 10..10 + many {
            outbox.remember(transaction(nonce, 1), Bytes::new(), hash(9));
        }
        assert_eq!(outbox.sent.len(), TRANSACTIONS_REMEMBERED_MAX);
    }
}
