//! What must always hold between the indices, for tests.

use super::Index;
use crate::{
    PoolConfig,
    sender::{SenderQueue, Waiting},
};
use alloy_primitives::U256;

impl Index {
    pub(crate) fn assert_consistent(&self, config: &PoolConfig) {
        let all = || {
            self.senders.iter().flat_map(|(sender, queue)| {
                queue
                    .executable()
                    .chain(queue.queued())
                    .map(move |waiting| (*sender, waiting))
            })
        };
        let bytes: usize = all()
            .map(|(_, waiting)| waiting.transaction.encoded_length())
            .sum();
        assert_eq!(bytes, self.bytes, "bytes are counted exactly");
        assert!(bytes <= config.bytes_max, "bytes are bounded");
        assert_eq!(
            all().count(),
            self.by_hash.len(),
            "every transaction is found by hash"
        );
        assert!(
            self.by_hash.len() <= config.transactions_max,
            "the number is bounded"
        );
        let executable: usize = self
            .senders
            .values()
            .map(SenderQueue::executable_count)
            .sum();
        assert_eq!(
            executable, self.executable,
            "executable ones are counted exactly"
        );
        assert_eq!(
            self.tails.len(),
            self.senders.len(),
            "every sender has one tail"
        );
        for (sender, waiting) in all() {
            assert_eq!(
                self.by_hash.get(&waiting.hash),
                Some(&(sender, waiting.nonce()))
            );
            assert_eq!(waiting.transaction.sender(), sender);
        }
        for (sender, queue) in &self.senders {
            assert!(!queue.is_empty(), "an empty queue is gone");
            let nonces: Vec<u64> = queue.executable().map(Waiting::nonce).collect();
            let expected: Vec<u64> = (queue.nonce()..queue.executable_end()).collect();
            assert_eq!(nonces, expected, "executable nonces have no gap");
            let cost = queue
                .executable()
                .fold(U256::ZERO, |sum, waiting| sum + waiting.cost);
            assert!(
                cost <= queue.balance(),
                "the balance pays for all executable ones"
            );
            let rank = self.tail_rank(queue).expect("not empty");
            assert!(self.tails.contains(&(rank, *sender)), "the tail is listed");
        }
    }
}
