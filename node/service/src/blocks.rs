//! Building and checking proposed blocks on the head.

use crate::{chain::Chain, dev::NextBlock};
use alloy_primitives::{Address, B256};
use medina_execution::{
    BuildAttributes, ExecutedBlock, ExecutionError, InvalidBlock, TransactionRefused,
    TransactionSource,
};
use medina_pool::BestTransactions;
use medina_storage::Head;
use medina_types::{RecoveredTransaction, SealedBlock};
use std::{sync::Arc, time::Duration};
use tracing::debug;

/// Share of the base round timeout that filling a block may take: the others
/// must execute it within the rest.
const BUILD_TIME_DIVISOR: u32 = 4;

/// Why a proposed block gets no vote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("its time {time_s} s is more than {tolerance:?} ahead of our clock {clock_s} s")]
    FromTheFuture {
        time_s: u64,
        clock_s: u64,
        tolerance: Duration,
    },
    #[error(transparent)]
    Invalid(#[from] InvalidBlock),
    #[error("its check ended badly")]
    Failed,
}

/// Fills a block from the pool.
pub(crate) fn build(
    chain: &Chain,
    head: &Head,
    operator: Address,
    next: NextBlock,
) -> Result<ExecutedBlock, ExecutionError> {
    let attributes = BuildAttributes {
        beneficiary: operator,
        timestamp_s: match next.takes_transactions {
            true => chain.clock.unix_seconds(),
            false => head.header.timestamp,
        },
        extra_data: next.extra_data,
    };
    let budget = chain.spec.consensus.base_timeout / BUILD_TIME_DIVISOR;
    let budget_ms = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX);
    let now_ms = chain.clock.now_ms();
    let until_ms = now_ms.saturating_add(budget_ms);
    let best = chain.pool.best(chain.next_base_fee(), now_ms);
    let mut candidates = Candidates { chain, best };
    let mut is_time_up = || !next.takes_transactions || chain.clock.now_ms() >= until_ms;
    chain.executor.build(
        &chain.store,
        head,
        &attributes,
        &mut candidates,
        &mut is_time_up,
    )
}

/// Executes a proposed block; a fresh one must also carry a plausible time. A
/// re-proposal may be older than any tolerance and is judged without the clock.
pub(crate) fn check(
    chain: &Chain,
    block: &SealedBlock,
    fresh: bool,
) -> Result<ExecutedBlock, Refusal> {
    let (time_s, clock_s) = (block.header().timestamp, chain.clock.unix_seconds());
    let tolerance = chain.spec.consensus.clock_tolerance;
    let parent_s = chain.head().header.timestamp;
    if fresh && is_from_the_future(time_s, parent_s, clock_s, tolerance) {
        return Err(Refusal::FromTheFuture {
            time_s,
            clock_s,
            tolerance,
        });
    }
    Ok(chain.validate(block)?)
}

/// A block cannot be older than its parent: when all clocks were set back, the
/// parent's time is what an honest proposer must use.
const fn is_from_the_future(time_s: u64, parent_s: u64, clock_s: u64, tolerance: Duration) -> bool {
    time_s > clock_s.saturating_add(tolerance.as_secs()) && time_s > parent_s
}

/// The pool's best transactions, with what the builder says put back into it.
struct Candidates<'a> {
    chain: &'a Chain,
    best: BestTransactions,
}

impl TransactionSource for Candidates<'_> {
    fn next(&mut self) -> Option<Arc<RecoveredTransaction>> {
        self.best.next()
    }

    fn mark_invalid(&mut self, hash: B256, reason: &TransactionRefused) {
        debug!(%hash, %reason, "dropping a transaction that can never run");
        self.chain.pool.remove(&hash);
    }

    fn skip_sender(&mut self, sender: Address) {
        self.best.skip_sender(sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ahead_of_the_clock_is_tolerated_a_little_and_the_parents_always() {
        let table = [
            (100, 0, 100, false),
            (105, 0, 100, false),
            (106, 0, 100, true),
            (106, 105, 100, true),
            // Every clock was set back by an hour behind the head.
            (3_700, 3_700, 100, false),
            (3_701, 3_700, 100, true),
            (u64::MAX, 0, u64::MAX - 1, false),
        ];
        for (time_s, parent_s, clock_s, expected) in table {
            let refused = is_from_the_future(time_s, parent_s, clock_s, Duration::from_secs(5));
            assert_eq!(refused, expected, "{time_s} on {parent_s} at {clock_s}");
        }
    }
}
