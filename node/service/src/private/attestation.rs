//! What members signed of a group's private state, compared with our own, and which
//! of it a member without state may believe.
//!
//! A member signs the state's root after public heights that the group's interval
//! divides. Whoever signed another root than ours for the same height stops the
//! group here: the private states have parted. It goes on once the same member has
//! signed our root, for that height or a later one.

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::{BTreeMap, BTreeSet};

/// Signed roots that are kept of each member, newest first.
pub(crate) const KEPT_PER_MEMBER: usize = 16;

/// A root that a member signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Attestation {
    /// Its organisation.
    pub(crate) org: [u8; 32],
    /// Public height.
    pub(crate) height: u64,
    /// The state's root after it.
    pub(crate) root: [u8; 32],
    /// The identity key's signature.
    pub(crate) signature: Vec<u8>,
}

/// Two members signed different roots for one height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The other member.
    pub(crate) org: B256,
    /// The height.
    pub(crate) height: u64,
    /// Its root.
    pub(crate) theirs: B256,
    /// Ours.
    pub(crate) ours: B256,
}

/// Signed roots of one group. Signatures were checked before they come here.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Book {
    signed: BTreeMap<[u8; 32], BTreeMap<u64, Attestation>>,
}

impl Book {
    /// Notes what a member signed; a later word for the same height replaces an
    /// earlier one, as after a repair. False if it was known.
    pub(crate) fn note(&mut self, attestation: Attestation) -> bool {
        let of_member = self.signed.entry(attestation.org).or_default();
        if of_member.get(&attestation.height) == Some(&attestation) {
            return false;
        }
        of_member.insert(attestation.height, attestation);
        while of_member.len() > KEPT_PER_MEMBER {
            of_member.pop_first();
        }
        true
    }

    /// Newest of each member.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Attestation> {
        let members = self.signed.values();
        members.filter_map(|of_member| of_member.values().next_back())
    }

    /// Everything that is kept.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Attestation> {
        self.signed.values().flat_map(BTreeMap::values)
    }

    /// Forgets organisations that are no members.
    pub(crate) fn retain(&mut self, members: &BTreeSet<B256>) {
        self.signed
            .retain(|org, _| members.contains(&B256::from(*org)));
    }

    /// The first member whose newest comparable root differs from ours. `own_root`
    /// answers our root after a height, where we have come so far.
    pub(crate) fn mismatch<E>(
        &self,
        own: B256,
        mut own_root: impl FnMut(u64) -> Result<Option<B256>, E>,
    ) -> Result<Option<Mismatch>, E> {
        for (org, of_member) in &self.signed {
            if *org == own.0 {
                continue;
            }
            for attestation in of_member.values().rev() {
                let Some(ours) = own_root(attestation.height)? else {
                    continue;
                };
                let theirs = B256::from(attestation.root);
                if theirs == ours {
                    break;
                }
                return Ok(Some(Mismatch {
                    org: B256::from(*org),
                    height: attestation.height,
                    theirs,
                    ours,
                }));
            }
        }
        Ok(None)
    }
}

/// A state that a member without one may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Believed {
    /// Public height.
    pub(crate) height: u64,
    /// Root of the state after it.
    pub(crate) root: B256,
    /// Members that signed it, other than ourselves.
    pub(crate) signers: Vec<B256>,
}

/// The newest state, at `from` or above, that more than half of the members signed.
///
/// Who has lost its state cannot sign it anew, so it counts among the members only
/// for heights that it signed before, and then its own word must agree.
pub(crate) fn newest_believed<'a>(
    own: B256,
    members: &BTreeSet<B256>,
    attestations: impl Iterator<Item = &'a Attestation>,
    from: u64,
) -> Option<Believed> {
    let mut by_height: BTreeMap<u64, BTreeMap<B256, B256>> = BTreeMap::new();
    for attestation in attestations {
        let org = B256::from(attestation.org);
        if attestation.height >= from && members.contains(&org) {
            let at = by_height.entry(attestation.height).or_default();
            at.insert(org, B256::from(attestation.root));
        }
    }
    let mut newest_first = by_height.iter().rev();
    newest_first.find_map(|(height, signed)| believed(own, members, *height, signed))
}

fn believed(
    own: B256,
    members: &BTreeSet<B256>,
    height: u64,
    signed: &BTreeMap<B256, B256>,
) -> Option<Believed> {
    let mine = signed.get(&own);
    let electorate = members.len() - usize::from(mine.is_none() && members.contains(&own));
    let mut votes: BTreeMap<B256, Vec<B256>> = BTreeMap::new();
    for (org, root) in signed {
        votes.entry(*root).or_default().push(*org);
    }
    let (root, mut signers) = votes
        .into_iter()
        .find(|(_, signers)| 2 * signers.len() > electorate)?;
    if mine.is_some_and(|mine| *mine != root) {
        return None;
    }
    signers.retain(|signer| *signer != own);
    (!signers.is_empty()).then_some(Believed {
        height,
        root,
        signers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn org(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    fn signed(by: u8, height: u64, root: u8) -> Attestation {
        Attestation {
            org: [by; 32],
            height,
            root: [root; 32],
            signature: Vec::new(),
        }
    }

    fn mismatch(book: &Book, reached: u64, root: u8) -> Option<(u8, u64)> {
        let own_root = |height| Ok::<_, Infallible>((height <= reached).then(|| org(root)));
        let Ok(found) = book.mismatch(org(1), own_root);
        found.map(|found| (found.org[0], found.height))
    }

    #[test]
    fn other_root_for_the_same_height_is_named_with_member_and_height() {
        let mut book = Book::default();
        for attestation in [signed(1, 64, 7), signed(2, 64, 7), signed(3, 64, 8)] {
            assert!(book.note(attestation));
        }
        assert_eq!(mismatch(&book, 63, 7), None, "we have not come so far");
        assert_eq!(mismatch(&book, 64, 7), Some((3, 64)));
    }

    #[test]
    fn member_that_signs_our_root_again_is_forgiven() {
        let mut book = Book::default();
        book.note(signed(3, 64, 8));
        assert_eq!(mismatch(&book, 128, 7), Some((3, 64)));
        book.note(signed(3, 128, 7));
        assert_eq!(mismatch(&book, 128, 7), None);
        book.note(signed(3, 64, 7));
        assert_eq!(mismatch(&book, 100, 7), None);
    }

    #[test]
    fn newest_that_more_than_half_signed_is_believed() {
        let members: BTreeSet<_> = (1..=4).map(org).collect();
        let believed = |signed: &[Attestation], from| {
            let believed = newest_believed(org(1), &members, signed.iter(), from);
            believed.map(|one| (one.height, one.root[0], one.signers.len()))
        };
        let mut words = vec![signed(2, 64, 7), signed(3, 64, 7), signed(2, 128, 9)];
        assert_eq!(believed(&words, 0), Some((64, 7, 2)), "two of three others");
        words.push(signed(3, 128, 8));
        assert_eq!(believed(&words, 0), Some((64, 7, 2)), "they differ at 128");
        words.push(signed(4, 128, 9));
        assert_eq!(believed(&words, 0), Some((128, 9, 2)));
        assert_eq!(believed(&words, 129), None);
        // Our own earlier word counts, and must agree.
        words.push(signed(1, 128, 8));
        assert_eq!(believed(&words, 65), None);
    }

    #[test]
    fn strangers_do_not_vote_and_two_can_help_each_other() {
        let pair: BTreeSet<_> = [org(1), org(2)].into();
        let words = [signed(9, 64, 7), signed(8, 64, 7)];
        assert_eq!(newest_believed(org(1), &pair, words.iter(), 0), None);
        let words = [signed(2, 64, 7)];
        let found = newest_believed(org(1), &pair, words.iter(), 0);
        assert_eq!(found.map(|found| found.height), Some(64));
        let alone = [signed(1, 64, 7)];
        assert_eq!(
            newest_believed(org(1), &pair, alone.iter(), 0),
            None,
            "nobody to ask"
        );
    }

    proptest! {
        /// Fewer than half of the others can make nobody believe anything.
        #[test]
        fn minority_is_never_believed(
            others in 1..9u8,
            words in proptest::collection::vec((2..11u8, 1..4u64, any::<bool>()), 0..60),
        ) {
            let members: BTreeSet<_> = (1..=others + 1).map(org).collect();
            let liars = others / 2;
            let is_liar = |by: u8| by - 2 < liars;
            // Liars say anything; the honest always say 7.
            let words: Vec<_> = words.into_iter()
                .map(|(by, height, lies)| signed(by, height, if is_liar(by) && lies { 8 } else { 7 }))
                .collect();
            if let Some(found) = newest_believed(org(1), &members, words.iter(), 0) {
                prop_assert_eq!(found.root, org(7));
            }
        }

        #[test]
        fn book_is_bounded_and_reads_back(words in proptest::collection::vec((1..5u8, 0..100u64, any::<u8>()), 0..300)) {
            let mut book = Book::default();
            for (by, height, root) in words {
                book.note(signed(by, height, root));
            }
            prop_assert!(book.all().count() <= 4 * KEPT_PER_MEMBER);
            let bytes = borsh::to_vec(&book).expect("memory");
            prop_assert_eq!(borsh::from_slice::<Book>(&bytes).expect("what was written"), book);
        }
    }
}
