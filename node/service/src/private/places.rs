//! Places for what peers ask: a few at once, fewer for each peer, and one peer after
//! the other, so that nobody's questions keep another's waiting.

use std::collections::{BTreeMap, VecDeque};

/// Questions of one peer that wait; further ones get no answer.
const WAITING_PER_PEER_MAX: usize = 32;

/// Questions that wait, and how many are being answered.
#[derive(Debug)]
pub(crate) struct Places<K, T> {
    at_once: usize,
    at_once_per_peer: usize,
    waiting: BTreeMap<K, VecDeque<T>>,
    answering: BTreeMap<K, usize>,
    /// Whose turn was last.
    last: Option<K>,
}

impl<K: Copy + Ord, T> Places<K, T> {
    /// So many at once, and so many of them for one peer.
    pub(crate) fn new(at_once: usize, at_once_per_peer: usize) -> Self {
        Self {
            at_once,
            at_once_per_peer,
            waiting: BTreeMap::new(),
            answering: BTreeMap::new(),
            last: None,
        }
    }

    /// Puts a question in line; dropped when too many of that peer wait.
    pub(crate) fn add(&mut self, peer: K, question: T) {
        let waiting = self.waiting.entry(peer).or_default();
        if waiting.len() < WAITING_PER_PEER_MAX {
            waiting.push_back(question);
        }
    }

    /// The next question to be answered, if there is a place for it.
    pub(crate) fn next(&mut self) -> Option<(K, T)> {
        if self.answering.values().sum::<usize>() >= self.at_once {
            return None;
        }
        let has_room = |peer: &K| {
            let answering = self.answering.get(peer).copied().unwrap_or(0);
            answering < self.at_once_per_peer
        };
        let peers: Vec<_> = self.waiting.keys().copied().collect();
        let is_later = |peer: &&K| self.last.is_none_or(|last| **peer > last);
        let after = peers.iter().filter(is_later);
        let peer = after
            .chain(peers.iter())
            .find(|peer| has_room(peer))
            .copied()?;
        let waiting = self.waiting.get_mut(&peer)?;
        let question = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&peer);
        }
        *self.answering.entry(peer).or_default() += 1;
        self.last = Some(peer);
        Some((peer, question))
    }

    /// A question of a peer is answered.
    pub(crate) fn done(&mut self, peer: K) {
        if let Some(answering) = self.answering.get_mut(&peer) {
            *answering = answering.saturating_sub(1);
            if *answering == 0 {
                self.answering.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_peers_questions_leave_places_for_others() {
        let mut places = Places::new(4, 2);
        for question in 0..10 {
            places.add(1, question);
        }
        assert_eq!(places.next(), Some((1, 0)));
        assert_eq!(places.next(), Some((1, 1)));
        assert_eq!(places.next(), None, "it has its share");
        places.add(2, 70);
        assert_eq!(places.next(), Some((2, 70)));
        places.done(1);
        assert_eq!(places.next(), Some((1, 2)));
    }

    #[test]
    fn peers_come_one_after_the_other_and_each_has_a_bound() {
        let mut places = Places::new(1, 1);
        for question in 0..WAITING_PER_PEER_MAX + 9 {
            for peer in [1, 2, 3] {
                places.add(peer, question);
            }
        }
        let mut answered = Vec::new();
        while let Some((peer, _)) = places.next() {
            answered.push(peer);
            places.done(peer);
        }
        assert_eq!(answered.len(), 3 * WAITING_PER_PEER_MAX);
        assert!(answered.chunks(3).all(|turn| turn == [1, 2, 3]));
    }

    proptest! {
        #[test]
        fn bounds_hold_in_any_story(events in proptest::collection::vec((0..3u8, 0..5u8), 0..200)) {
            let mut places = Places::new(4, 2);
            let mut answering = Vec::new();
            for (kind, peer) in events {
                match kind {
                    0 => places.add(peer, ()),
                    1 => answering.extend(places.next().map(|(peer, ())| peer)),
                    _ if answering.is_empty() => {}
                    _ => places.done(answering.remove(0)),
                }
                prop_assert!(answering.len() <= 4);
                for peer in 0..5 {
                    prop_assert!(answering.iter().filter(|one| **one == peer).count() <= 2);
                }
            }
        }
    }
}
