//! Refilling credit that stops floods where gas is free.
//!
//! Every organisation has a bucket of gas that refills with time. An account
//! without an organisation has one too, and all such accounts share a further
//! one: ten thousand fresh accounts together use no more than that. Gas is
//! charged when a block includes it, so all nodes that follow the chain agree
//! roughly on who has credit; a proposer leaves out whoever has none.
//!
//! Only buckets that are not full are kept, at most
//! `limits::GAS_CREDIT_BUCKETS_MAX`.

use alloy_primitives::{Address, B256};
use medina_types::{GasCreditParameters, limits};
use std::collections::BTreeMap;

const MS_PER_S: u64 = 1_000;

/// Time between two searches for full buckets.
const SWEEP_INTERVAL_MS: u64 = 1_000;

/// Whose credit a transaction draws on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payer {
    /// An organisation's bucket.
    Organisation(B256),
    /// An account's own bucket and the one that all strangers share.
    Account(Address),
}

impl Payer {
    /// Whether the shared bucket is drawn on as well.
    #[must_use]
    pub const fn is_stranger(&self) -> bool {
        matches!(self, Self::Account(_))
    }
}

/// Capacity and speed of one kind of bucket.
#[derive(Clone, Copy, Debug)]
struct Size {
    capacity: u64,
    refill_per_s: u64,
}

/// Gas times 1000 that is missing from a full bucket, so that refills per
/// millisecond are exact.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    missing_milligas: u128,
    updated_ms: u64,
}

impl Bucket {
    const FULL: Self = Self {
        missing_milligas: 0,
        updated_ms: 0,
    };

    fn missing_at(self, size: Size, now_ms: u64) -> u128 {
        let elapsed = u128::from(now_ms.saturating_sub(self.updated_ms));
        self.missing_milligas
            .saturating_sub(elapsed * u128::from(size.refill_per_s))
    }

    fn available(self, size: Size, now_ms: u64) -> u64 {
        let missing = self.missing_at(size, now_ms).div_ceil(u128::from(MS_PER_S));
        size.capacity
            .saturating_sub(u64::try_from(missing).unwrap_or(u64::MAX))
    }

    fn ready_at(self, size: Size, gas: u64, now_ms: u64) -> Option<u64> {
        let spare = size.capacity.checked_sub(gas)?;
        let missing = self.missing_at(size, now_ms);
        let excess = missing.saturating_sub(u128::from(spare) * u128::from(MS_PER_S));
        if excess == 0 {
            return Some(now_ms);
        }
        if size.refill_per_s == 0 {
            return None;
        }
        let wait_ms = excess.div_ceil(u128::from(size.refill_per_s));
        now_ms.checked_add(u64::try_from(wait_ms).ok()?)
    }

    fn charge(&mut self, size: Size, gas: u64, now_ms: u64) {
        let full = u128::from(size.capacity) * u128::from(MS_PER_S);
        let missing = self.missing_at(size, now_ms) + u128::from(gas) * u128::from(MS_PER_S);
        // A block of another proposer may use more than we would have allowed;
        // the debt ends at an empty bucket.
        self.missing_milligas = missing.min(full);
        self.updated_ms = now_ms.max(self.updated_ms);
    }
}

/// The buckets, told the time in milliseconds that never go back.
#[derive(Debug)]
pub struct GasCredit {
    own: Size,
    shared: Size,
    buckets: BTreeMap<Payer, Bucket>,
    shared_bucket: Bucket,
    buckets_max: usize,
    swept_ms: Option<u64>,
}

impl GasCredit {
    /// All buckets full.
    #[must_use]
    pub fn new(parameters: GasCreditParameters) -> Self {
        Self {
            own: Size {
                capacity: parameters.capacity_gas,
                refill_per_s: parameters.refill_gas_per_s,
            },
            shared: Size {
                capacity: parameters.shared_capacity_gas,
                refill_per_s: parameters.shared_refill_gas_per_s,
            },
            buckets: BTreeMap::new(),
            shared_bucket: Bucket::FULL,
            buckets_max: limits::GAS_CREDIT_BUCKETS_MAX,
            swept_ms: None,
        }
    }

    /// Gas in the payer's own bucket.
    #[must_use]
    pub fn available_own(&self, payer: &Payer, now_ms: u64) -> u64 {
        self.bucket(payer).available(self.own, now_ms)
    }

    /// Gas in the bucket that all accounts without an organisation share.
    #[must_use]
    pub fn available_shared(&self, now_ms: u64) -> u64 {
        self.shared_bucket.available(self.shared, now_ms)
    }

    /// Gas that the payer may ever use at once.
    #[must_use]
    pub fn capacity(&self, payer: &Payer) -> u64 {
        match payer {
            Payer::Organisation(_) => self.own.capacity,
            Payer::Account(_) => self.own.capacity.min(self.shared.capacity),
        }
    }

    /// When the payer will have this much gas if nothing is charged meanwhile;
    /// `None`: never.
    #[must_use]
    pub fn ready_at(&self, payer: &Payer, gas: u64, now_ms: u64) -> Option<u64> {
        let own = self.bucket(payer).ready_at(self.own, gas, now_ms)?;
        if !payer.is_stranger() {
            return Some(own);
        }
        let shared = self.shared_bucket.ready_at(self.shared, gas, now_ms)?;
        Some(own.max(shared))
    }

    /// Takes gas that a block used.
    pub fn charge(&mut self, payer: Payer, gas: u64, now_ms: u64) {
        if payer.is_stranger() {
            self.shared_bucket.charge(self.shared, gas, now_ms);
        }
        if !self.has_room_for(&payer, now_ms) {
            return;
        }
        self.buckets
            .entry(payer)
            .or_insert(Bucket::FULL)
            .charge(self.own, gas, now_ms);
    }

    /// Buckets in memory.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.buckets.len()
    }

    fn bucket(&self, payer: &Payer) -> Bucket {
        self.buckets.get(payer).copied().unwrap_or(Bucket::FULL)
    }

    /// Forgets full buckets at the bound. Strangers get no bucket of their own
    /// when that does not help, organisations always (their number is small).
    fn has_room_for(&mut self, payer: &Payer, now_ms: u64) -> bool {
        if self.buckets.len() < self.buckets_max || self.buckets.contains_key(payer) {
            return true;
        }
        self.sweep(now_ms);
        if self.buckets.len() < self.buckets_max {
            return true;
        }
        if payer.is_stranger() {
            return false;
        }
        // Organisations sort first: the last bucket is a stranger's if there is one.
        self.buckets.pop_last();
        true
    }

    /// Forgets full buckets, at most once in a while: a sweep visits them all.
    fn sweep(&mut self, now_ms: u64) {
        if self
            .swept_ms
            .is_some_and(|swept| now_ms < swept.saturating_add(SWEEP_INTERVAL_MS))
        {
            return;
        }
        self.swept_ms = Some(now_ms);
        let size = self.own;
        self.buckets
            .retain(|_, bucket| bucket.missing_at(size, now_ms) > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARAMETERS: GasCreditParameters = GasCreditParameters {
        capacity_gas: 1_000,
        refill_gas_per_s: 100,
        shared_capacity_gas: 5_000,
        shared_refill_gas_per_s: 500,
    };

    fn account(number: u64) -> Payer {
        Payer::Account(Address::left_padding_from(&number.to_be_bytes()))
    }

    fn organisation(number: u8) -> Payer {
        Payer::Organisation(B256::repeat_byte(number))
    }

    #[test]
    fn strangers_together_use_no_more_than_the_shared_bucket() {
        let mut credit = GasCredit::new(PARAMETERS);
        let used = (0..10_000).filter(|&number| {
            let payer = account(number);
            let is_ready = credit.ready_at(&payer, 100, 0) == Some(0);
            if is_ready {
                credit.charge(payer, 100, 0);
            }
            is_ready
        });
        assert_eq!(used.count(), 50);
        assert_eq!(credit.ready_at(&organisation(1), 1_000, 0), Some(0));
    }

    #[test]
    fn empty_bucket_refills_with_time() {
        let mut credit = GasCredit::new(PARAMETERS);
        let payer = organisation(1);
        credit.charge(payer, 1_000, 10_000);
        assert_eq!(credit.available_own(&payer, 10_000), 0);
        assert_eq!(credit.available_own(&payer, 11_000), 100);
        assert_eq!(credit.ready_at(&payer, 250, 10_000), Some(12_500));
        assert_eq!(credit.available_own(&payer, 12_500), 250);
        assert_eq!(credit.available_own(&payer, 99_000), 1_000);
    }

    #[test]
    fn more_than_the_capacity_is_never_ready() {
        let credit = GasCredit::new(PARAMETERS);
        assert_eq!(credit.ready_at(&account(1), 1_001, 0), None);
    }

    #[test]
    fn bucket_without_refill_is_never_ready_again() {
        let mut credit = GasCredit::new(GasCreditParameters {
            refill_gas_per_s: 0,
            ..PARAMETERS
        });
        credit.charge(organisation(1), 1_000, 0);
        assert_eq!(credit.ready_at(&organisation(1), 1, 5_000), None);
    }

    #[test]
    fn number_of_buckets_is_bounded_and_full_ones_are_forgotten() {
        let mut credit = GasCredit::new(PARAMETERS);
        credit.buckets_max = 10;
        (0..100).for_each(|number| credit.charge(account(number), 100, 0));
        assert_eq!(credit.tracked(), 10);
        credit.charge(organisation(1), 1_000, 0);
        assert_eq!(credit.available_own(&organisation(1), 0), 0);
        assert_eq!(credit.tracked(), 10);
        credit.charge(account(200), 100, 1_000);
        assert_eq!(credit.tracked(), 2);
    }

    proptest! {
        #[test]
        fn what_is_ready_is_available_then_and_not_before(
            charges in proptest::collection::vec((0_u64..1_500, 0_u64..3_000), 0..20),
            gas in 1_u64..1_000,
        ) {
            let mut credit = GasCredit::new(PARAMETERS);
            let (payer, mut now) = (organisation(1), 0);
            for (used, later) in charges {
                now += later;
                credit.charge(payer, used, now);
            }
            let ready = credit.ready_at(&payer, gas, now).expect("refills");
            prop_assert!(credit.available_own(&payer, ready) >= gas);
            prop_assert!(ready == now || credit.available_own(&payer, ready - 1) < gas);
        }
    }
}
