//! What members signed of a group's private state, compared with our own, and which
//! of it a member without state may believe.
//!
//! A member signs the state's root after public heights that the group's interval
//! divides, after an import the height of that, and any height when it is asked. Where
//! roots of one height differ, more than half of all members decide, our own word
//! among them:
//!
//! | signed our root  | signed one other root | this member                          |
//! |------------------|-----------------------|--------------------------------------|
//! | more than half   |                       | goes on, and names who disputes      |
//! |                  | more than half        | takes the state of the others        |
//! | neither                                  | halts, and asks who has not said yet |
//!
//! A member that has signed our root for a later height is forgiven an earlier one.

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

    /// The newest height that one of these organisations signed, and its root.
    pub(crate) fn newest_of(&self, orgs: &BTreeSet<B256>) -> Option<(u64, B256)> {
        let words = orgs.iter().filter_map(|org| self.signed.get(&org.0));
        let newest = words.filter_map(|of_member| of_member.values().next_back());
        newest
            .map(|word| (word.height, B256::from(word.root)))
            .max()
    }

    /// The oldest height that is kept of a member at its bound; what is older would be
    /// forgotten at once.
    pub(crate) fn oldest_of(&self, org: B256) -> Option<u64> {
        let of_member = self.signed.get(&org.0)?;
        let is_full = of_member.len() >= KEPT_PER_MEMBER;
        of_member.keys().next().copied().filter(|_| is_full)
    }

    /// Members whose newest comparable root differs from ours. `own_root` answers our
    /// root after a height, where we have come so far.
    fn mismatches<E>(
        &self,
        (own, members): (&BTreeSet<B256>, &BTreeSet<B256>),
        own_root: &mut impl FnMut(u64) -> Result<Option<B256>, E>,
    ) -> Result<Vec<Mismatch>, E> {
        let mut found = Vec::new();
        for (org, of_member) in &self.signed {
            let org = B256::from(*org);
            if own.contains(&org) || !members.contains(&org) {
                continue;
            }
            for attestation in of_member.values().rev() {
                let Some(ours) = own_root(attestation.height)? else {
                    continue;
                };
                let (theirs, height) = (B256::from(attestation.root), attestation.height);
                if theirs != ours {
                    found.push(Mismatch {
                        org,
                        height,
                        theirs,
                        ours,
                    });
                }
                break;
            }
        }
        Ok(found)
    }

    /// Members that signed each root of a height, other than our own.
    fn votes_at(
        &self,
        height: u64,
        (own, members): (&BTreeSet<B256>, &BTreeSet<B256>),
    ) -> BTreeMap<B256, usize> {
        let mut votes = BTreeMap::new();
        for (org, of_member) in &self.signed {
            let org = B256::from(*org);
            if let Some(word) = of_member.get(&height)
                && members.contains(&org)
                && !own.contains(&org)
            {
                *votes.entry(B256::from(word.root)).or_default() += 1;
            }
        }
        votes
    }

    /// Where this node stands among the members; see the table above.
    ///
    /// # Errors
    /// As `own_root`.
    pub(crate) fn judge<E>(
        &self,
        (own, members): (&BTreeSet<B256>, &BTreeSet<B256>),
        mut own_root: impl FnMut(u64) -> Result<Option<B256>, E>,
    ) -> Result<Judgement, E> {
        let mismatches = self.mismatches((own, members), &mut own_root)?;
        let ours = own.intersection(members).count();
        let mut undecided = None;
        for mismatch in &mismatches {
            let votes = self.votes_at(mismatch.height, (own, members));
            let of = |root| votes.get(&root).copied().unwrap_or(0);
            let mut against = votes.iter().filter(|(root, _)| **root != mismatch.ours);
            if against.any(|(_, count)| is_majority(*count, members.len())) {
                return Ok(Judgement::Outvoted(*mismatch));
            }
            if !is_majority(ours + of(mismatch.ours), members.len()) {
                undecided.get_or_insert(*mismatch);
            }
        }
        Ok(match undecided {
            Some(mismatch) => Judgement::Undecided(mismatch),
            None if mismatches.is_empty() => Judgement::Agreed,
            None => Judgement::Disputed(mismatches),
        })
    }
}

/// Whether so many are more than half of all.
pub(crate) const fn is_majority(count: usize, all: usize) -> bool {
    2 * count > all
}

/// What the members' words say of our state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nobody differs.
    Agreed,
    /// These differ, and more than half of all members signed our root where they do.
    Disputed(Vec<Mismatch>),
    /// More than half of all members signed another root than ours.
    Outvoted(Mismatch),
    /// Nobody has more than half; who differs.
    Undecided(Mismatch),
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

/// Whether this node has a state that another would take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has one.
    Here,
    /// It has none: its private database is new or lost, or it is a new member.
    Lost,
    /// It has none because its operator threw it away when the group had stopped: what
    /// it signed before counts no more.
    Disowned,
}

/// The newest state, at `from` or above, that the members may be believed.
///
/// Who has a state gives it up for one that more than half of all members signed: its
/// own silence counts against it. Who has none cannot sign, and is not counted for
/// heights that it has not signed; then the same others must have agreed with what it
/// signed last, so that nobody leads it away from its own past.
pub(crate) fn newest_believed<'a>(
    (own, members): (&BTreeSet<B256>, &BTreeSet<B256>),
    attestations: impl Iterator<Item = &'a Attestation>,
    from: u64,
    standing: Standing,
) -> Option<Believed> {
    let mut words: BTreeMap<u64, BTreeMap<B256, B256>> = BTreeMap::new();
    for attestation in attestations {
        let org = B256::from(attestation.org);
        let counts = standing != Standing::Disowned || !own.contains(&org);
        if members.contains(&org) && counts {
            let at = words.entry(attestation.height).or_default();
            at.insert(org, B256::from(attestation.root));
        }
    }
    let ballot = Ballot {
        own,
        members,
        words: &words,
    };
    let mut newest_first = words.range(from..).rev();
    newest_first.find_map(|(height, _)| ballot.believed(*height, standing))
}

/// Words by height and member.
struct Ballot<'a> {
    own: &'a BTreeSet<B256>,
    members: &'a BTreeSet<B256>,
    words: &'a BTreeMap<u64, BTreeMap<B256, B256>>,
}

impl Ballot<'_> {
    fn believed(&self, height: u64, standing: Standing) -> Option<Believed> {
        let mut votes: BTreeMap<B256, Vec<B256>> = BTreeMap::new();
        for (org, root) in self.words.get(&height)? {
            votes.entry(*root).or_default().push(*org);
        }
        let electorate = self.electorate(height, standing);
        let (root, mut signers) = votes
            .into_iter()
            .find(|(_, signers)| is_majority(signers.len(), electorate))?;
        if !is_majority(signers.len(), self.members.len()) && !self.is_linked(height, electorate) {
            return None;
        }
        signers.retain(|signer| !self.own.contains(signer));
        (!signers.is_empty()).then_some(Believed {
            height,
            root,
            signers,
        })
    }

    /// How many are counted at a height.
    fn electorate(&self, height: u64, standing: Standing) -> usize {
        let has_signed = |org: &B256| {
            let at = self.words.get(&height);
            at.is_some_and(|at| at.contains_key(org))
        };
        let silent = |org: &&B256| self.members.contains(*org) && !has_signed(org);
        match standing {
            Standing::Here => self.members.len(),
            Standing::Lost | Standing::Disowned => {
                self.members.len() - self.own.iter().filter(silent).count()
            }
        }
    }

    /// Whether enough others signed what we signed last, up to this height.
    fn is_linked(&self, height: u64, electorate: usize) -> bool {
        let mut newest_first = self.words.range(..=height).rev();
        let last = newest_first.find_map(|(_, at)| {
            let mine = self.own.iter().find_map(|org| at.get(org))?;
            Some((at, *mine))
        });
        let Some((at, mine)) = last else {
            return true;
        };
        let others = at.iter().filter(|(org, _)| !self.own.contains(*org));
        let agreeing = others.filter(|(_, root)| **root == mine).count();
        is_majority(agreeing, electorate)
    }
}

#[cfg(test)]
mod tests;
