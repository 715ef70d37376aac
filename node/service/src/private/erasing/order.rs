//! A member's signed order to forget a payload, and the row that keeps it.

use crate::private::{
    protocol::{Question, erasure_request},
    rows::{ErasureRow, HolderRow},
};
use alloy_primitives::B256;
use medina_enclave::{PartyId, SignDomain, verify};
use medina_types::NodeSignature;

/// A member's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// What is to be forgotten.
    pub(crate) digest: B256,
    /// Its group.
    pub(crate) group: B256,
    /// The organisation that orders it.
    pub(crate) by: B256,
    /// Why.
    pub(crate) reason: String,
    /// When, seconds since 1970.
    pub(crate) at_s: u64,
    /// Public height up to which who carries it out has looked for markers: the payload's
    /// stands there or does not come.
    pub(crate) after: u64,
    /// Its identity key's signature.
    pub(crate) signature: Vec<u8>,
}

impl Order {
    /// What is signed.
    pub(super) fn message(&self) -> Vec<u8> {
        let (by, group, digest) = (self.by.0, self.group.0, self.digest.0);
        erasure_request(by, group, digest, (&self.reason, self.at_s, self.after))
    }

    /// Whether a party signed it.
    pub(crate) fn is_signed_by(&self, party: &PartyId) -> bool {
        let signature = <[u8; 64]>::try_from(self.signature.as_slice()).map(NodeSignature);
        signature.is_ok_and(|signature| {
            let message = self.message();
            verify(party, SignDomain::ErasureRequest, &message, &signature).is_ok()
        })
    }

    /// The order that a row keeps.
    pub(super) fn of(row: &ErasureRow) -> Self {
        Self {
            digest: row.digest.into(),
            group: row.group.into(),
            by: row.by.into(),
            reason: row.reason.clone(),
            at_s: row.at_s,
            after: row.after,
            signature: row.signature.clone(),
        }
    }

    /// A row that is to be worked at: these are the organisations that may hold the payload.
    pub(super) fn row(&self, is_ours: bool, holders: &[B256]) -> ErasureRow {
        let holder = |org: &B256| HolderRow {
            org: org.0,
            receipt: None,
        };
        ErasureRow {
            digest: self.digest.0,
            group: self.group.0,
            by: self.by.0,
            reason: self.reason.clone(),
            at_s: self.at_s,
            after: self.after,
            signature: self.signature.clone(),
            is_ours,
            is_senders: false,
            part_of: None,
            done_at_s: None,
            holders: holders.iter().map(holder).collect(),
            event: None,
            is_unreported: false,
        }
    }

    /// The question to a holder, with what others have answered.
    pub(super) fn question(self, receipts: Vec<Vec<u8>>) -> Question {
        Question::Erase {
            from: self.by.0,
            group: self.group.0,
            digest: self.digest.0,
            reason: self.reason,
            at_s: self.at_s,
            after: self.after,
            receipts,
            signature: self.signature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_over_every_field_of_the_order() {
        let order = Order {
            digest: B256::repeat_byte(1),
            group: B256::repeat_byte(2),
            by: B256::repeat_byte(3),
            reason: "asked for".to_owned(),
            at_s: 4,
            after: 5,
            signature: Vec::new(),
        };
        let changed = [
            Order {
                digest: B256::ZERO,
                ..order.clone()
            },
            Order {
                group: B256::ZERO,
                ..order.clone()
            },
            Order {
                by: B256::ZERO,
                ..order.clone()
            },
            Order {
                reason: String::new(),
                ..order.clone()
            },
            Order {
                at_s: 0,
                ..order.clone()
            },
            Order {
                after: 0,
                ..order.clone()
            },
        ];
        for other in changed {
            assert_ne!(other.message(), order.message(), "{other:?}");
        }
        assert_eq!(Order::of(&order.row(true, &[])), order);
    }
}
