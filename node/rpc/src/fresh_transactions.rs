//! The transactions that were submitted here a moment ago.
//!
//! Blocks come on demand. A client that asks for a receipt just before the block
//! is decided, hears `null` and then asks again only when a further block comes
//! (ethers does) would wait for ever on an idle chain. So a receipt that is
//! asked for soon after its submission is waited for instead. The wait counts
//! from the submission: a batch with a thousand such questions waits once.

use alloy_primitives::B256;
use medina_types::limits;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// Time from a submission in which a question for the receipt waits for the
/// block. Two rounds of consensus fit, the first with a dead proposer.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// Hashes with the time until which they are fresh. Holds as many as polling
/// filters remember; when it is full the oldest go.
#[derive(Debug, Default)]
pub(crate) struct FreshTransactions(Mutex<Fresh>);

#[derive(Debug, Default)]
struct Fresh {
    until: HashMap<B256, Instant>,
    oldest_first: VecDeque<B256>,
}

impl FreshTransactions {
    /// A transaction has just been submitted here.
    pub(crate) fn add(&self, hash: B256, now: Instant) {
        let mut fresh = self.0.lock();
        fresh.forget(now);
        if fresh.until.insert(hash, now + FRESH_FOR).is_none() {
            fresh.oldest_first.push_back(hash);
        }
    }

    /// Until when its receipt is waited for, `None` if it is not fresh.
    pub(crate) fn until(&self, hash: B256, now: Instant) -> Option<Instant> {
        let until = self.0.lock().until.get(&hash).copied();
        until.filter(|until| *until > now)
    }
}

impl Fresh {
    /// Makes room for one more.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.oldest_first.front() {
            let is_stale = self.until.get(oldest).is_none_or(|until| *until <= now);
            if !is_stale && self.oldest_first.len() < limits::RPC_PENDING_HASHES_MAX {
                return;
            }
            self.until.remove(oldest);
            self.oldest_first.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_ends() {
        let (fresh, now) = (FreshTransactions::default(), Instant::now());
        let hash = B256::repeat_byte(1);
        fresh.add(hash, now);
        assert_eq!(fresh.until(hash, now), Some(now + FRESH_FOR));
        assert_eq!(fresh.until(hash, now + FRESH_FOR), None);
        assert_eq!(fresh.until(B256::repeat_byte(2), now), None);
    }

    #[test]
    fn stale_and_surplus_hashes_are_forgotten() {
        let (fresh, now) = (FreshTransactions::default(), Instant::now());
        let hash = |index: usize| B256::from(alloy_primitives::U256::from(index));
        let count = limits::RPC_PENDING_HASHES_MAX + 5;
        for index in 0..count {
            fresh.add(hash(index), now);
        }
        assert_eq!(fresh.0.lock().until.len(), limits::RPC_PENDING_HASHES_MAX);
        assert_eq!(
            (
                fresh.until(hash(4), now),
                fresh.until(hash(5), now).is_some()
            ),
            (None, true)
        );
        fresh.add(hash(count), now + FRESH_FOR);
        let left = fresh.0.lock();
        assert_eq!((left.until.len(), left.oldest_first.len()), (1, 1));
    }
}
