//! What transactions of the marker account offer for their gas.

use crate::private::shared::Shared;
use medina_types::limits;

/// Fee over the next block's base fee, so that a few fuller blocks do not matter.
const BASE_FEE_FACTOR: u128 = 2;

/// What a transaction offers for its gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bid {
    /// At most, all in all.
    pub(super) fee: u128,
    /// Of it to the proposer.
    pub(super) tip: u128,
}

/// What a signed transaction offers.
pub(super) fn bid_of(shared: &Shared, raw: &[u8]) -> Bid {
    use alloy_consensus::Transaction as _;
    let Ok(decoded) = shared.chain.decode(raw) else {
        return Bid::default();
    };
    let transaction = decoded.transaction();
    Bid {
        fee: transaction.max_fee_per_gas(),
        tip: transaction.max_priority_fee_per_gas().unwrap_or_default(),
    }
}

/// What to offer: nothing to the proposer at first, so that a chain without fees takes
/// it from an account without coins. Instead of another it is as much more, in fee
/// and in tip, as the pool wants.
pub(super) fn bid(base_fee: u128, before: Option<Bid>) -> Bid {
    let fee = base_fee.saturating_mul(BASE_FEE_FACTOR);
    let Some(before) = before else {
        return Bid { fee, tip: 0 };
    };
    let percent = 100 + limits::POOL_REPLACEMENT_BUMP_PERCENT;
    let above = |old: u128| old.saturating_mul(percent).div_ceil(100).max(old + 1);
    let tip = above(before.tip);
    let fee = fee.max(above(before.fee)).max(tip);
    Bid { fee, tip }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_offers_more_in_fee_and_in_tip() {
        let first = bid(100, None);
        assert_eq!(first, Bid { fee: 200, tip: 0 });
        // The base fee has tripled: it takes the place of the first in the pool.
        let mut before = first;
        for base_fee in [300, 301, 5_000] {
            let next = bid(base_fee, Some(before));
            let is_enough = |new: u128, old: u128| new > old && new * 100 >= old * 110;
            assert!(is_enough(next.fee, before.fee), "{next:?} after {before:?}");
            assert!(is_enough(next.tip, before.tip), "{next:?} after {before:?}");
            assert!(next.fee >= base_fee && next.tip <= next.fee);
            before = next;
        }
        assert_eq!(
            bid(0, None),
            Bid::default(),
            "without fees it costs nothing"
        );
    }
}
