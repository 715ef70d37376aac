//! Rows of deliveries, of this node's and of those that came from others.

use super::{DELIVERY, RowResult, Rows, UNFINISHED_DELIVERY, encode, key, malformed};
use crate::private::outbox::Delivery;
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_storage::{Note, SyncMode};

const UNMARKED: u8 = b'w';
/// Rows of envelopes without a marker that one look lists.
const UNMARKED_LISTED_MAX: usize = 1_000_000;

/// An envelope that a member delivered and whose marker is in no block yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct UnmarkedRow {
    /// Its group.
    pub(crate) group: [u8; 32],
    /// Organisation that delivered it.
    pub(crate) by: [u8; 32],
    /// Public height at which it came.
    pub(crate) height: u64,
}

impl Rows {
    /// Writes deliveries, all or none, each with whether it is open; on the disk when
    /// this returns.
    pub(crate) fn put_deliveries(&self, deliveries: &[(&Delivery, bool)]) -> RowResult<()> {
        let mut notes = Vec::with_capacity(2 * deliveries.len());
        for (delivery, is_open) in deliveries {
            let name = &delivery.digest;
            let mark = key(UNFINISHED_DELIVERY, name);
            notes.push(Note::put(key(DELIVERY, name), encode(delivery)));
            notes.push(match is_open {
                true => Note::put(mark, Vec::new()),
                false => Note::delete(mark),
            });
        }
        self.put(&notes, SyncMode::Synced)
    }

    /// Notes an envelope that has no marker yet.
    pub(crate) fn put_unmarked(&self, digest: B256, row: &UnmarkedRow) -> RowResult<()> {
        let note = Note::put(key(UNMARKED, digest.as_slice()), encode(row));
        // Lost with a crash, it is kept for good: it was acknowledged all the same.
        self.put(&[note], SyncMode::Deferred)
    }

    /// Whether an envelope is noted as one without a marker, and as whose.
    pub(crate) fn unmarked(&self, digest: B256) -> RowResult<Option<UnmarkedRow>> {
        self.get(&key(UNMARKED, digest.as_slice()))
    }

    /// Its marker has come, or it is gone.
    pub(crate) fn delete_unmarked(&self, digest: B256) -> RowResult<()> {
        let gone = Note::delete(key(UNMARKED, digest.as_slice()));
        self.put(&[gone], SyncMode::Deferred)
    }

    /// All envelopes that have no marker.
    pub(crate) fn all_unmarked(&self) -> RowResult<Vec<(B256, UnmarkedRow)>> {
        let keys = self
            .0
            .note_keys(&[UNMARKED], &[UNMARKED], UNMARKED_LISTED_MAX)?;
        let mut rows = Vec::with_capacity(keys.len());
        for found in keys {
            let digest = B256::try_from(&found[1..]).map_err(|_| malformed(&found))?;
            if let Some(row) = self.get(&found)? {
                rows.push((digest, row));
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::rows, *};
    use crate::private::outbox::{MarkerStage, Policy, Recipient, Signed};
    use alloy_primitives::Address;

    fn delivery(digest: u8) -> Delivery {
        Delivery {
            digest: [digest; 32],
            group: [1; 32],
            sender: [2; 32],
            tag: [3; 32],
            secret_version: 0,
            recipients: [([4; 32], Recipient::default())].into(),
            policy: Policy::default(),
            marker: MarkerStage::Waiting,
            sent_as: None,
            replaced_by: None,
            replaces: None,
            is_held: false,
            awaits_receipt: true,
            order: 0,
            signed: Some(Signed::new(Address::repeat_byte(5), 6)),
            sealed_anew: 0,
        }
    }

    #[test]
    fn delivery_sealed_anew_takes_the_place_of_the_other_at_once() {
        let (_folder, rows) = rows();
        let (old, new) = (delivery(7), delivery(8));
        rows.put_deliveries(&[(&old, true)]).unwrap();
        assert_eq!(rows.open_deliveries().unwrap(), std::slice::from_ref(&old));
        // Whoever is killed finds the one or the other open, and never both or none.
        let replaced = old.replaced_with(new.digest.into());
        rows.put_deliveries(&[(&replaced, false), (&new, true)])
            .unwrap();
        assert_eq!(rows.open_deliveries().unwrap(), [new]);
        let found = rows.delivery(old.digest.into()).unwrap().unwrap();
        assert_eq!(found.replaced_by, Some([8; 32]));
    }

    #[test]
    fn envelope_without_a_marker_is_listed_until_it_has_one() {
        let (_folder, rows) = rows();
        let row = UnmarkedRow {
            group: [1; 32],
            by: [2; 32],
            height: 7,
        };
        let (one, other) = (B256::repeat_byte(3), B256::repeat_byte(4));
        rows.put_unmarked(one, &row).unwrap();
        rows.put_unmarked(other, &row).unwrap();
        assert_eq!(rows.unmarked(one).unwrap(), Some(row));
        rows.delete_unmarked(one).unwrap();
        assert_eq!(rows.unmarked(one).unwrap(), None);
        assert_eq!(rows.all_unmarked().unwrap(), [(other, row)]);
    }
}
