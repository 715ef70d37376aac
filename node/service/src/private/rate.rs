//! How many private transactions a sender may have sealed: a bucket per sender that
//! refills with time, told the time.

use alloy_primitives::Address;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Senders remembered; beyond it full buckets are forgotten first.
const SENDERS_MAX: usize = 10_000;
const MINUTE_MS: u64 = 60_000;

/// Buckets by sender's account.
pub(crate) type SenderRates = Rates<Address>;

/// Buckets by sender.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    per_minute: u32,
    buckets: Mutex<BTreeMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In parts of which a transaction has [`MINUTE_MS`]: each millisecond brings
    /// as many as a sender has transactions per minute, and none is lost by rounding.
    left: u64,
    at_ms: u64,
}

impl<K: Copy + Ord> Rates<K> {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            buckets: Mutex::default(),
        }
    }

    /// Takes one out of a sender's bucket; false when it is empty.
    pub(crate) fn try_take(&self, sender: K, now_ms: u64) -> bool {
        let capacity = u64::from(self.per_minute) * MINUTE_MS;
        let refilled = |bucket: &Bucket| {
            let elapsed_ms = now_ms.saturating_sub(bucket.at_ms);
            let refill = u64::from(self.per_minute).saturating_mul(elapsed_ms);
            bucket.left.saturating_add(refill).min(capacity)
        };
        let mut buckets = self.buckets.lock();
        if buckets.len() >= SENDERS_MAX && !buckets.contains_key(&sender) {
            buckets.retain(|_, bucket| refilled(bucket) < capacity);
            if buckets.len() >= SENDERS_MAX {
                return false;
            }
        }
        let fresh = Bucket {
            left: capacity,
            at_ms: now_ms,
        };
        let bucket = buckets.entry(sender).or_insert(fresh);
        let left = refilled(bucket);
        let is_taken = left >= MINUTE_MS;
        *bucket = Bucket {
            left: left - if is_taken { MINUTE_MS } else { 0 },
            at_ms: now_ms,
        };
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_has_its_share_of_a_minute_and_takes_none_from_others() {
        let rates = SenderRates::new(3);
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let taken = |sender, at_ms| rates.try_take(sender, at_ms);
        assert!((0..3).all(|_| taken(one, 0)));
        assert!(!taken(one, 0));
        assert!(taken(other, 0));
        assert!(!taken(one, 19_999));
        assert!(taken(one, 20_000));
        assert!(!taken(one, 20_000));
    }

    #[test]
    fn flood_of_senders_is_bounded() {
        let rates = SenderRates::new(1);
        let sender = |number: u32| Address::left_padding_from(&number.to_be_bytes());
        let bound = u32::try_from(SENDERS_MAX).unwrap();
        assert!((0..bound).all(|number| rates.try_take(sender(number), 0)));
        assert!(!rates.try_take(sender(bound), 0));
        assert!(
            rates.try_take(sender(bound), MINUTE_MS),
            "full ones are forgotten"
        );
    }
}
