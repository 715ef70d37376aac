//! The audit log: append-only, hash-chained, one entry per use of a key.

use crate::Digest;
use borsh::{BorshDeserialize, BorshSerialize};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AuditAction {
    /// A payload was sealed or stored.
    Encrypt,
    /// An envelope or group secret was opened and taken in.
    Decrypt,
    /// A payload was given out.
    Read,
    /// A payload was forgotten.
    Erase,
    /// A payload or group secret was wrapped for another member.
    Extend,
    /// Keys were made or destroyed.
    Rotate,
}

/// One entry. An entry says that something was begun: it is on the disk before the deed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AuditEntry {
    /// Number, from 0.
    pub seq: u64,
    /// The caller's clock, seconds since 1970.
    pub at_s: u64,
    /// Who asked.
    pub actor: String,
    /// What allowed it.
    pub scope: String,
    /// What was done.
    pub action: AuditAction,
    /// The payload, or the first 32 bytes of whatever else it was done to.
    pub digest: Digest,
    /// Hash of the entry before it, zero for the first.
    pub previous: [u8; 32],
}

/// Where the log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AuditHead {
    /// Entries written.
    pub entries: u64,
    /// Hash of the last one, zero if there is none.
    pub hash: [u8; 32],
}

/// What a log says, compared with the heads that were written down outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditComparison {
    /// It goes on from all of them.
    Agrees {
        /// Entries up to which it is vouched for outside.
        anchored: u64,
    },
    /// It ends before one of them: entries are gone.
    Cut {
        /// The first entry that is missing.
        entries: u64,
        /// Entries there were at least.
        anchored: u64,
    },
    /// It was written anew: it leads elsewhere than one of them.
    Rewritten {
        /// Entries before this one are as they were; the first wrong one is this or a later one.
        first: u64,
        /// The first wrong entry lies before this one.
        before: u64,
    },
}

/// Compares a log with heads that were written down outside, in any order.
///
/// `hash_after` answers the log's hash after so many entries, of which there are no more than the
/// log has.
///
/// # Errors
/// Those of `hash_after`.
pub fn compare_audit<E>(
    head: &AuditHead,
    anchors: &[AuditHead],
    mut hash_after: impl FnMut(u64) -> Result<[u8; 32], E>,
) -> Result<AuditComparison, E> {
    let mut anchors = anchors.to_vec();
    anchors.sort_by_key(|anchor| anchor.entries);
    let anchored = anchors.last().map_or(0, |anchor| anchor.entries);
    let mut first = 0;
    for anchor in &anchors {
        if anchor.entries > head.entries {
            let entries = head.entries;
            return Ok(AuditComparison::Cut { entries, anchored });
        }
        if hash_after(anchor.entries)? != anchor.hash {
            let before = anchor.entries;
            return Ok(AuditComparison::Rewritten { first, before });
        }
        first = anchor.entries;
    }
    Ok(AuditComparison::Agrees { anchored })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// The head after so many entries of a log that was rewritten from `from` on.
    fn head(entries: u64, from: u64) -> AuditHead {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&entries.to_be_bytes());
        hash[8] = u8::from(entries > from);
        AuditHead { entries, hash }
    }

    fn compare(entries: u64, from: u64, anchors: &[u64]) -> AuditComparison {
        let anchors: Vec<_> = anchors.iter().map(|at| head(*at, u64::MAX)).collect();
        let hash = |at| Ok::<_, Infallible>(head(at, from).hash);
        match compare_audit(&head(entries, from), &anchors, hash) {
            Ok(found) => found,
            Err(never) => match never {},
        }
    }

    #[test]
    fn log_that_goes_on_from_its_anchors_agrees() {
        let anchored = AuditComparison::Agrees { anchored: 30 };
        assert_eq!(compare(35, u64::MAX, &[30, 10]), anchored);
        assert_eq!(compare(30, u64::MAX, &[10, 30]), anchored);
        assert_eq!(
            compare(5, u64::MAX, &[]),
            AuditComparison::Agrees { anchored: 0 }
        );
        // What was changed after the last anchor nobody can know.
        assert_eq!(compare(35, 30, &[10, 30]), anchored);
    }

    #[test]
    fn cut_tail_is_named_by_its_first_entry() {
        let cut = AuditComparison::Cut {
            entries: 20,
            anchored: 30,
        };
        assert_eq!(compare(20, u64::MAX, &[10, 25, 30]), cut);
    }

    #[test]
    fn rewritten_entry_lies_between_two_anchors() {
        for from in 10..20 {
            let between = AuditComparison::Rewritten {
                first: 10,
                before: 20,
            };
            assert_eq!(compare(40, from, &[10, 20, 30]), between);
        }
        // Before a cut tail, too.
        let earlier = AuditComparison::Rewritten {
            first: 0,
            before: 10,
        };
        assert_eq!(compare(15, 3, &[10, 20]), earlier);
    }
}
