//! Votes received at one height, at most one per validator and round.

use crate::mutants::{Mutant, is_on};
use medina_types::{NodePublicKey, Round, limits};
use std::collections::BTreeMap;

/// Votes by round and author; the first vote of an author in a round stays.
///
/// Each author has room for [`limits::ROUNDS_KEPT_PER_VALIDATOR_MAX`] rounds;
/// beyond it the author's own lowest round makes room, so nobody can push out
/// the votes of others.
#[derive(Clone, Debug)]
pub(crate) struct VoteStore<T> {
    rounds: BTreeMap<Round, BTreeMap<NodePublicKey, T>>,
}

impl<T> Default for VoteStore<T> {
    fn default() -> Self {
        Self {
            rounds: BTreeMap::new(),
        }
    }
}

impl<T> VoteStore<T> {
    /// True when this author's vote of this round is known.
    pub(crate) fn contains(&self, round: Round, author: &NodePublicKey) -> bool {
        self.rounds
            .get(&round)
            .is_some_and(|votes| votes.contains_key(author))
    }

    /// Keeps a vote unless the author has one in this round, or only higher
    /// rounds in all its room.
    pub(crate) fn insert(&mut self, round: Round, author: NodePublicKey, vote: T) {
        if self.contains(round, &author) {
            return;
        }
        let of_author: Vec<Round> = self.rounds_of(&author).collect();
        let is_full = of_author.len() >= limits::ROUNDS_KEPT_PER_VALIDATOR_MAX;
        if is_full && !is_on(Mutant::RoundsUnbounded) {
            match of_author.first() {
                Some(&lowest) if lowest < round => self.remove(lowest, &author),
                _ => return,
            }
        }
        self.rounds.entry(round).or_default().insert(author, vote);
    }

    fn remove(&mut self, round: Round, author: &NodePublicKey) {
        if let Some(votes) = self.rounds.get_mut(&round) {
            votes.remove(author);
            if votes.is_empty() {
                self.rounds.remove(&round);
            }
        }
    }

    fn rounds_of<'a>(&'a self, author: &'a NodePublicKey) -> impl Iterator<Item = Round> + 'a {
        self.rounds
            .iter()
            .filter(|(_, votes)| votes.contains_key(author))
            .map(|(round, _)| *round)
    }

    /// Votes of one round by author.
    pub(crate) fn at(&self, round: Round) -> impl Iterator<Item = (&NodePublicKey, &T)> {
        self.rounds.get(&round).into_iter().flatten()
    }

    /// How many authors voted in a round.
    pub(crate) fn count_at(&self, round: Round) -> usize {
        self.rounds.get(&round).map_or(0, BTreeMap::len)
    }

    /// Rounds with a vote, ascending.
    pub(crate) fn rounds(&self) -> impl Iterator<Item = Round> + '_ {
        self.rounds.keys().copied()
    }

    /// The highest round of every author.
    pub(crate) fn highest_rounds(&self) -> BTreeMap<NodePublicKey, Round> {
        let ascending = self.rounds.iter();
        ascending
            .flat_map(|(round, votes)| votes.keys().map(|author| (*author, *round)))
            .collect()
    }

    /// All votes, in order of round and author.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.rounds.values().flat_map(BTreeMap::values)
    }

    /// True when nobody voted.
    pub(crate) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodePublicKey = NodePublicKey([1; 32]);
    const B: NodePublicKey = NodePublicKey([2; 32]);

    #[test]
    fn first_vote_of_a_round_stays() {
        let mut votes = VoteStore::default();
        votes.insert(Round(1), A, "first");
        votes.insert(Round(1), A, "second");
        assert_eq!(votes.at(Round(1)).collect::<Vec<_>>(), [(&A, &"first")]);
    }

    #[test]
    fn flooding_author_pushes_out_only_its_own_votes() {
        let mut votes = VoteStore::default();
        votes.insert(Round(0), B, ());
        for round in 0..1000 {
            votes.insert(Round(round), A, ());
        }
        assert_eq!(
            votes.values().count(),
            limits::ROUNDS_KEPT_PER_VALIDATOR_MAX + 1
        );
        assert!(votes.contains(Round(0), &B) && votes.contains(Round(999), &A));
        votes.insert(Round(3), A, ());
        assert!(!votes.contains(Round(3), &A), "lower than all that is kept");
        assert_eq!(
            votes.highest_rounds(),
            BTreeMap::from([(A, Round(999)), (B, Round(0))])
        );
    }
}
