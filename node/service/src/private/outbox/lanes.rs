//! In which order markers leave: those of one account in a group in the order of its
//! private nonces, since a later one that is in a block first does nothing.

use super::delivery::Signed;
use alloy_primitives::{Address, B256};
use std::collections::BTreeMap;

/// An account in a group.
type Lane = (B256, [u8; 20]);

/// Accounts that are remembered; beyond it all are forgotten, and the state alone says.
const LANES_MAX: usize = 10_000;

/// The next nonce of each account, as far as markers have left.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Left, and perhaps not executed yet.
    next: BTreeMap<Lane, u64>,
}

impl Lanes {
    /// A marker of an account has left.
    pub(super) fn leave(&mut self, group: B256, signed: Signed) {
        if self.next.len() >= LANES_MAX {
            self.next.clear();
        }
        let next = self.next.entry((group, signed.account)).or_default();
        *next = (*next).max(signed.nonce.saturating_add(1));
    }

    /// Which of an account's nonces may leave now, of those given in order. `executed`
    /// is its next nonce in the group's state, as far as that is known.
    pub(super) fn ready(
        &mut self,
        group: B256,
        account: Address,
        executed: Option<u64>,
        nonces: &[u64],
    ) -> usize {
        let lane = (group, account.0.0);
        let left = self.next.get(&lane).copied();
        if left.is_some_and(|left| executed.is_some_and(|executed| executed >= left)) {
            self.next.remove(&lane);
        }
        let mut next = left.unwrap_or(0).max(executed.unwrap_or(0));
        let mut ready = 0;
        for nonce in nonces {
            if *nonce > next {
                break;
            }
            next = next.max(nonce.saturating_add(1));
            ready += 1;
        }
        ready
    }
}
