//! Nonces of the marker account: every marker gets into a block, whatever becomes of
//! the transactions that carry it.
//!
//! Markers stand in a row; the first one has the account's next nonce on the chain.
//! A transaction is made once per nonce and sent again until the chain has passed the
//! nonce. If it was passed and the marker is in no block, something else used the
//! nonce, and the marker stands at the end of the row again. Nothing is ever
//! cancelled, so no gap can form.

use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Markers that wait for a block at once; further ones wait in the outbox.
pub(crate) const MARKERS_IN_FLIGHT_MAX: usize = 256;

/// A marker with the nonce that it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// Digest of the envelope.
    pub(crate) digest: B256,
    /// Nonce of the marker account.
    pub(crate) nonce: u64,
}

/// The row of markers.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    in_flight: BTreeMap<u64, B256>,
    waiting: VecDeque<B256>,
    known: BTreeSet<B256>,
}

impl Nonces {
    /// Puts a marker at the end, unless it stands there.
    pub(crate) fn add(&mut self, digest: B256) {
        if self.known.insert(digest) {
            self.waiting.push_back(digest);
        }
    }

    /// Takes up a marker that had a nonce before a restart.
    pub(crate) fn restore(&mut self, digest: B256, nonce: u64) {
        if self.known.insert(digest) {
            self.in_flight.insert(nonce, digest);
        }
    }

    /// A marker is in a block, or will not be sent after all. One that has a nonce
    /// keeps it until the chain has passed it.
    pub(crate) fn remove(&mut self, digest: B256) {
        if self.known.remove(&digest) {
            self.waiting.retain(|waiting| *waiting != digest);
        }
    }

    /// Whether a marker has a nonce.
    pub(crate) fn has_nonce(&self, digest: B256) -> bool {
        self.in_flight.values().any(|one| *one == digest)
    }

    /// Gives a nonce back that nothing was signed for, and forgets its marker: those
    /// behind it that nothing was signed for either move up.
    pub(crate) fn vacate(&mut self, nonce: u64, is_signed: impl Fn(u64) -> bool) {
        if let Some(digest) = self.in_flight.remove(&nonce) {
            self.remove(digest);
        }
        let behind = self.in_flight.range(nonce..).map(|(nonce, _)| *nonce);
        let free: Vec<_> = behind.filter(|nonce| !is_signed(*nonce)).collect();
        for nonce in free.into_iter().rev() {
            let digest = self.in_flight.remove(&nonce);
            let wanted = digest.filter(|digest| self.known.contains(digest));
            if let Some(digest) = wanted {
                self.waiting.push_front(digest);
            }
        }
    }

    /// The chain's next nonce of the account is known: answers what is to be in the
    /// pool, by nonce and without gaps.
    pub(crate) fn assign(&mut self, next: u64) -> Vec<Assigned> {
        let ahead = self.in_flight.split_off(&next);
        let passed = std::mem::replace(&mut self.in_flight, ahead);
        for digest in passed.into_values() {
            if self.known.contains(&digest) {
                self.waiting.push_back(digest);
            }
        }
        let mut nonce = next;
        while self.in_flight.len() < MARKERS_IN_FLIGHT_MAX {
            if !self.in_flight.contains_key(&nonce) {
                let Some(digest) = self.waiting.pop_front() else {
                    break;
                };
                self.in_flight.insert(nonce, digest);
            }
            nonce += 1;
        }
        let assigned = |(nonce, digest): (&u64, &B256)| Assigned {
            digest: *digest,
            nonce: *nonce,
        };
        self.in_flight.iter().map(assigned).collect()
    }

    /// How many wait for a block.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    fn assigned(nonces: &mut Nonces, next: u64) -> Vec<(u64, u8)> {
        let row = nonces.assign(next).into_iter();
        row.map(|one| (one.nonce, one.digest[0])).collect()
    }

    #[test]
    fn markers_get_nonces_in_a_row_and_keep_them() {
        let mut nonces = Nonces::default();
        nonces.add(digest(1));
        nonces.add(digest(2));
        nonces.add(digest(1));
        assert_eq!(assigned(&mut nonces, 5), [(5, 1), (6, 2)]);
        nonces.add(digest(3));
        assert_eq!(assigned(&mut nonces, 5), [(5, 1), (6, 2), (7, 3)]);
        nonces.remove(digest(1));
        assert_eq!(assigned(&mut nonces, 6), [(6, 2), (7, 3)]);
    }

    #[test]
    fn marker_whose_nonce_something_else_used_is_sent_with_another() {
        let mut nonces = Nonces::default();
        nonces.add(digest(1));
        nonces.add(digest(2));
        nonces.assign(0);
        assert_eq!(assigned(&mut nonces, 1), [(1, 2), (2, 1)]);
    }

    #[test]
    fn removed_marker_leaves_no_gap() {
        let mut nonces = Nonces::default();
        for byte in 1..=3 {
            nonces.add(digest(byte));
        }
        nonces.assign(0);
        nonces.remove(digest(2));
        assert_eq!(assigned(&mut nonces, 0), [(0, 1), (1, 2), (2, 3)]);
        nonces.remove(digest(1));
        nonces.remove(digest(3));
        assert_eq!(assigned(&mut nonces, 3), []);
    }

    #[test]
    fn marker_keeps_its_nonce_over_a_restart() {
        let mut nonces = Nonces::default();
        nonces.restore(digest(2), 6);
        nonces.add(digest(1));
        nonces.add(digest(2));
        assert_eq!(assigned(&mut nonces, 5), [(5, 1), (6, 2)]);
        // The chain went on while the node was down, without it.
        let mut nonces = Nonces::default();
        nonces.restore(digest(2), 6);
        assert_eq!(assigned(&mut nonces, 9), [(9, 2)]);
    }

    #[test]
    fn nonce_that_nobody_wants_any_more_holds_up_no_other() {
        let mut nonces = Nonces::default();
        // Sent before a restart; something foreign has used the nonce since.
        nonces.restore(digest(9), 5);
        nonces.add(digest(1));
        assert_eq!(assigned(&mut nonces, 6), [(6, 1), (7, 9)]);
        nonces.vacate(7, |nonce| nonce < 7);
        assert_eq!(assigned(&mut nonces, 6), [(6, 1)]);
        // One in the middle: those behind it move up, so that there is no gap.
        for byte in 2..=4 {
            nonces.add(digest(byte));
        }
        assert_eq!(assigned(&mut nonces, 6), [(6, 1), (7, 2), (8, 3), (9, 4)]);
        nonces.vacate(7, |nonce| nonce < 7);
        assert_eq!(assigned(&mut nonces, 6), [(6, 1), (7, 3), (8, 4)]);
    }

    proptest! {
        /// A chain that takes any number of what waits, and sometimes something
        /// foreign, includes every marker in the end, and never sees a gap.
        #[test]
        fn every_marker_gets_into_a_block(
            markers in 1..60u8,
            blocks in proptest::collection::vec((0..5usize, any::<bool>()), 0..40),
        ) {
            let mut nonces = Nonces::default();
            for byte in 0..markers {
                nonces.add(digest(byte));
            }
            let (mut next, mut included) = (0, BTreeSet::new());
            let rest = std::iter::repeat_n((5, false), 60);
            for (take, is_foreign) in blocks.into_iter().chain(rest) {
                let row = nonces.assign(next);
                for (offset, one) in (0..).zip(&row) {
                    prop_assert_eq!(one.nonce, next + offset);
                }
                let skip = usize::from(is_foreign);
                for one in row.iter().take(take).skip(skip) {
                    prop_assert!(included.insert(one.digest), "twice in a block");
                    nonces.remove(one.digest);
                }
                next += u64::try_from(take.min(row.len()).max(skip)).expect("small");
            }
            prop_assert_eq!(included.len(), usize::from(markers));
            prop_assert_eq!(nonces.len(), 0);
        }
    }
}
