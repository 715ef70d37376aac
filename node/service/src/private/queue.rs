//! What a group's follower does with the markers of one public block: decided from
//! facts alone, and alike by every member.
//!
//! | the payload is                          | the marker                        |
//! |-----------------------------------------|-----------------------------------|
//! | that of an earlier marker of the group  | does nothing                      |
//! | passed over by a vote of the members    | does nothing                      |
//! | reported erased in an earlier block     | does nothing                      |
//! | here                                    | is executed                       |
//! | not here                                | waits; members are asked for it   |
//! | erased here, or elsewhere by the word   | cannot be replayed: the state     |
//! | of more than half of the members        | behind it comes from a snapshot   |
//!
//! One member's word that a payload was erased changes nothing: it may have sent a
//! marker for a payload that there never was.
//!
//! Anybody can copy a marker, so only the first one counts, whatever became of its
//! payload since. Where it is a public transaction of `GoQuorum`'s clients that carries
//! the payload's handle, every one counts, as it does there.
//!
//! Blocks are taken in order and whole: a marker that waits holds up those behind
//! it in its own group, and in no other.
//!
//! A vote to pass a marker over may become final when some have executed it: they go
//! back to the block before it and settle everything from there anew.

use alloy_primitives::B256;

/// Markers of a group that are read ahead of its state; more are read later.
pub(crate) const MARKERS_READ_AHEAD_MAX: usize = 512;

/// A marker in its place on the public chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    /// Public height.
    pub(crate) height: u64,
    /// Index of the public transaction in its block.
    pub(crate) index: u32,
    /// Digest of the envelope.
    pub(crate) digest: B256,
    /// Hash of the public transaction.
    pub(crate) transaction: B256,
}

/// What is known of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holding {
    /// It can be opened here.
    Here,
    /// It is not here.
    Missing,
    /// It is not here, and more than half of the members signed that they erased it.
    Forgotten,
    /// Its key was destroyed here.
    Erased,
}

/// What the public chain says of a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OnChain {
    /// Block in which the members voted to pass it over.
    pub(crate) skipped_at: Option<u64>,
    /// Block in which more than half of the members had reported it erased.
    pub(crate) erased_at: Option<u64>,
}

/// What is done about one marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Execute it.
    Execute,
    /// An earlier marker is the payload's: nothing.
    Repeated,
    /// The members passed it over: nothing.
    Skipped,
    /// It was erased before it was ordered: nothing.
    Erased,
    /// Ask members for the payload.
    Wait,
    /// Take the state from other members.
    Rebuild,
}

/// Whether a marker only repeats another of its group, given where the first one of its
/// digest stands.
pub(crate) fn repeats(marker: &Placed, first: Option<&Placed>) -> bool {
    let place = |placed: &Placed| (placed.height, placed.index);
    first.is_some_and(|first| place(first) < place(marker))
}

/// The rule for one marker; see the table above.
pub(crate) fn treatment(marker_height: u64, holding: Holding, chain: OnChain) -> Treatment {
    if chain.skipped_at.is_some() {
        return Treatment::Skipped;
    }
    if chain.erased_at.is_some_and(|height| height < marker_height) {
        return Treatment::Erased;
    }
    match (holding, chain.erased_at) {
        (Holding::Here, _) => Treatment::Execute,
        (Holding::Missing, None) => Treatment::Wait,
        (Holding::Erased | Holding::Forgotten, _) | (Holding::Missing, Some(_)) => {
            Treatment::Rebuild
        }
    }
}

/// Where a group goes back to when the members have voted to pass a payload over: the
/// block before its first marker, if that was executed here.
pub(crate) fn goes_back_to(first_marker: Option<u64>, executed_at: Option<u64>) -> Option<u64> {
    let executed_at = executed_at?;
    let first = first_marker.map_or(executed_at, |first| first.min(executed_at));
    Some(first.saturating_sub(1))
}

/// What is done about the markers of one public block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlockTreatment {
    /// All can be settled, in this order.
    Settle(Vec<(Placed, Treatment)>),
    /// These payloads are asked for first.
    Wait(Vec<B256>),
    /// The state behind the block comes from other members; why, and what is asked for
    /// meanwhile.
    Rebuild(B256, Vec<B256>),
}

/// The rule for a block: whole or not at all.
pub(crate) fn block_treatment(markers: Vec<(Placed, Treatment)>) -> BlockTreatment {
    let of = |wanted: Treatment| {
        let markers = markers.iter();
        markers
            .filter(move |(_, treatment)| *treatment == wanted)
            .map(|(placed, _)| placed.digest)
    };
    let missing: Vec<_> = of(Treatment::Wait).collect();
    if let Some(digest) = of(Treatment::Rebuild).next() {
        let wanted = of(Treatment::Rebuild).chain(missing).collect();
        return BlockTreatment::Rebuild(digest, wanted);
    }
    if missing.is_empty() {
        BlockTreatment::Settle(markers)
    } else {
        BlockTreatment::Wait(missing)
    }
}

/// The markers of the first block among these, which are in order.
pub(crate) fn first_block(markers: &[Placed]) -> &[Placed] {
    let Some(first) = markers.first() else {
        return &[];
    };
    let end = markers.partition_point(|marker| marker.height == first.height);
    &markers[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placed(height: u64, index: u32) -> Placed {
        let byte = u8::try_from(index % 200).expect("small");
        Placed {
            height,
            index,
            digest: B256::repeat_byte(byte),
            transaction: B256::ZERO,
        }
    }

    #[test]
    fn table_of_the_module_holds() {
        use Holding::{Erased, Forgotten, Here, Missing};
        let chain = |skipped_at, erased_at| OnChain {
            skipped_at,
            erased_at,
        };
        let table = [
            (Here, chain(None, None), Treatment::Execute),
            (Missing, chain(None, None), Treatment::Wait),
            (Erased, chain(None, None), Treatment::Rebuild),
            (Forgotten, chain(None, None), Treatment::Rebuild),
            (Forgotten, chain(Some(900), None), Treatment::Skipped),
            // Passed over, whoever holds it and whenever the vote was.
            (Here, chain(Some(3), None), Treatment::Skipped),
            (Missing, chain(Some(900), None), Treatment::Skipped),
            (Erased, chain(Some(900), Some(2)), Treatment::Skipped),
            // Erased before it was ordered.
            (Here, chain(None, Some(9)), Treatment::Erased),
            (Missing, chain(None, Some(9)), Treatment::Erased),
            (Erased, chain(None, Some(9)), Treatment::Erased),
            // In the same block nobody knows which was first, so the marker was.
            (Here, chain(None, Some(10)), Treatment::Execute),
            (Missing, chain(None, Some(10)), Treatment::Rebuild),
            (Erased, chain(None, Some(11)), Treatment::Rebuild),
            (Here, chain(None, Some(11)), Treatment::Execute),
        ];
        for (holding, chain, expected) in table {
            assert_eq!(
                treatment(10, holding, chain),
                expected,
                "{holding:?} {chain:?}"
            );
        }
    }

    #[test]
    fn copied_marker_counts_only_once() {
        let (first, later) = (placed(4, 7), placed(9, 7));
        assert!(!repeats(&first, Some(&first)));
        assert!(!repeats(&first, None));
        assert!(repeats(&later, Some(&first)));
        assert!(repeats(&placed(4, 8), Some(&first)), "in the same block");
        assert!(!repeats(&first, Some(&later)));
        // It is settled at once, and holds up nobody.
        let markers = vec![(later, Treatment::Repeated), (later, Treatment::Execute)];
        let settled = BlockTreatment::Settle(markers.clone());
        assert_eq!(block_treatment(markers), settled);
    }

    #[test]
    fn block_is_settled_whole_or_waits() {
        let markers = |treatments: &[Treatment]| -> Vec<_> {
            (1..)
                .map(|index| placed(4, index))
                .zip(treatments.iter().copied())
                .collect()
        };
        let all = markers(&[Treatment::Execute, Treatment::Skipped]);
        assert_eq!(block_treatment(all.clone()), BlockTreatment::Settle(all));
        let one_waits = markers(&[Treatment::Execute, Treatment::Wait]);
        let waited_for = vec![B256::repeat_byte(2)];
        assert_eq!(block_treatment(one_waits), BlockTreatment::Wait(waited_for));
        let one_is_lost = markers(&[Treatment::Wait, Treatment::Rebuild]);
        let lost = B256::repeat_byte(2);
        let both = vec![lost, B256::repeat_byte(1)];
        assert_eq!(
            block_treatment(one_is_lost),
            BlockTreatment::Rebuild(lost, both)
        );
    }

    #[test]
    fn vote_that_comes_late_goes_back_to_before_the_first_marker() {
        assert_eq!(goes_back_to(Some(9), None), None, "not executed");
        assert_eq!(goes_back_to(None, Some(9)), Some(8));
        // A handle of a compat client may have been used several times.
        assert_eq!(goes_back_to(Some(4), Some(9)), Some(3));
        assert_eq!(goes_back_to(Some(0), Some(0)), Some(0));
    }

    /// A member that settles markers one after the other, as the follower does.
    #[derive(Default)]
    struct Settler {
        /// Height, digest and what became of it, of everything settled.
        done: Vec<(u64, B256, Treatment)>,
    }

    impl Settler {
        fn look(&mut self, markers: &[Placed], votes: &[B256], held: &[B256]) {
            for vote in votes {
                let is_executed =
                    |one: &&(u64, B256, Treatment)| one.1 == *vote && one.2 == Treatment::Execute;
                let executed = self.done.iter().rfind(is_executed).map(|one| one.0);
                let first = markers.iter().find(|marker| marker.digest == *vote);
                let first = first.map(|marker| marker.height);
                if let Some(to) = goes_back_to(first, executed) {
                    self.done.retain(|one| one.0 <= to);
                }
            }
            while let Some(next) = markers.get(self.done.len()) {
                let is_held = held.contains(&next.digest);
                let holding = if is_held {
                    Holding::Here
                } else {
                    Holding::Missing
                };
                let chain = OnChain {
                    skipped_at: votes.contains(&next.digest).then_some(900),
                    erased_at: None,
                };
                match treatment(next.height, holding, chain) {
                    Treatment::Wait | Treatment::Rebuild => return,
                    treated => self.done.push((next.height, next.digest, treated)),
                }
            }
        }
    }

    proptest! {
        /// Whoever holds the payload and whoever has lost it come to the same end, or
        /// the latter takes the state of the former: never two different ends.
        #[test]
        fn members_never_settle_one_marker_in_two_ways(
            height in 0..20u64,
            skipped_at in proptest::option::of(0..20u64),
            erased_at in proptest::option::of(0..20u64),
        ) {
            let chain = OnChain { skipped_at, erased_at };
            let all = [Holding::Here, Holding::Missing, Holding::Forgotten, Holding::Erased];
            let settled: Vec<_> = all
                .into_iter()
                .map(|holding| treatment(height, holding, chain))
                .filter(|treatment| !matches!(treatment, Treatment::Wait | Treatment::Rebuild))
                .collect();
            prop_assert!(settled.windows(2).all(|pair| pair[0] == pair[1]));
            prop_assert!(!settled.is_empty());
        }

        /// Members hold different payloads and see the votes at different times: in the
        /// end all have executed the same.
        #[test]
        fn vote_leads_all_members_to_the_same_end_whenever_they_see_it(
            count in 1..12u32,
            skipped in proptest::collection::btree_set(0..12u32, 0..4),
            seen_after in proptest::collection::vec(0..12usize, 4),
            lacks in proptest::collection::vec(proptest::collection::btree_set(0..12u32, 0..4), 4),
        ) {
            let markers: Vec<_> = (0..count).map(|index| placed(u64::from(index) + 1, index)).collect();
            let votes: Vec<_> = markers.iter().filter(|one| skipped.contains(&one.index)).map(|one| one.digest).collect();
            let mut ends = Vec::new();
            for (seen_after, lacks) in seen_after.into_iter().zip(lacks) {
                // What nobody passed over comes in the end.
                let held: Vec<_> = markers.iter().filter(|one| !lacks.contains(&one.index)).map(|one| one.digest).collect();
                let all: Vec<_> = markers.iter().filter(|one| !(lacks.contains(&one.index) && skipped.contains(&one.index))).map(|one| one.digest).collect();
                let mut settler = Settler::default();
                settler.look(&markers[..seen_after.min(markers.len())], &[], &held);
                settler.look(&markers, &[], &held);
                settler.look(&markers, &votes[..votes.len() / 2], &held);
                settler.look(&markers, &votes, &all);
                settler.look(&markers, &votes, &all);
                ends.push(settler.done);
            }
            prop_assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", ends);
            prop_assert_eq!(ends[0].len(), markers.len());
        }

        #[test]
        fn blocks_come_one_by_one_and_whole(heights in proptest::collection::vec(0..6u64, 0..40)) {
            let mut heights = heights;
            heights.sort_unstable();
            let markers: Vec<_> = (0..).zip(&heights).map(|(index, height)| placed(*height, index)).collect();
            let (mut rest, mut seen) = (&markers[..], Vec::new());
            while !rest.is_empty() {
                let block = first_block(rest);
                prop_assert!(block.iter().all(|marker| marker.height == block[0].height));
                seen.push(block[0].height);
                rest = &rest[block.len()..];
            }
            heights.dedup();
            prop_assert_eq!(seen, heights);
        }
    }
}
