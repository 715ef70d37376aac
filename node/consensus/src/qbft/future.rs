//! Messages for the next height, kept until this height is decided.

use super::messages::MessageKind;
use crate::mutants::{Mutant, is_on};
use medina_types::{NodePublicKey, Round, limits};
use std::collections::BTreeMap;

/// Kinds that are kept: PROPOSAL, PREPARE, COMMIT, ROUND-CHANGE.
const KINDS: usize = 4;

/// Bytes kept of all authors together. When they are full, the author with the
/// most makes room for one with less.
pub(crate) const FUTURE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes kept of a peer that is no validator yet, and may be one at the next
/// height: votes and round changes, no block.
const STRANGER_BYTES_MAX: usize = 64 * 1024;

/// Peers kept that are no validators.
const STRANGERS_MAX: usize = limits::VALIDATORS_MAX;

/// One message per author, kind and round, bounded in number and bytes per
/// author and in all. What finds no room is dropped: its author repeats it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FutureMessages {
    authors: BTreeMap<NodePublicKey, OfAuthor>,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct OfAuthor {
    messages: BTreeMap<(Round, MessageKind), Vec<u8>>,
    bytes: usize,
    is_validator: bool,
}

impl OfAuthor {
    fn has_room(&self, bytes: usize) -> bool {
        let bytes_max = if self.is_validator {
            limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX
        } else {
            STRANGER_BYTES_MAX
        };
        self.messages.len() < KINDS * limits::ROUNDS_KEPT_PER_VALIDATOR_MAX
            && self.bytes + bytes <= bytes_max
    }
}

impl FutureMessages {
    /// Keeps a message if its author has room. `is_validator`: at this height.
    pub(crate) fn insert(
        &mut self,
        author: NodePublicKey,
        is_validator: bool,
        (round, kind): (Round, MessageKind),
        bytes: Vec<u8>,
    ) {
        let is_first = !self.authors.contains_key(&author);
        let strangers = self.authors.values().filter(|kept| !kept.is_validator);
        if is_first && !is_validator && strangers.count() >= STRANGERS_MAX {
            return;
        }
        let of_author = self.authors.entry(author).or_default();
        of_author.is_validator = is_validator;
        let is_known = of_author.messages.contains_key(&(round, kind));
        let is_unbounded = is_on(Mutant::FutureUnbounded);
        if is_known || !(of_author.has_room(bytes.len()) || is_unbounded) {
            return;
        }
        let after = of_author.bytes + bytes.len();
        while self.bytes + bytes.len() > FUTURE_BYTES_MAX && !is_unbounded {
            if !self.make_room(author, after) {
                return;
            }
        }
        self.bytes += bytes.len();
        let of_author = self.authors.entry(author).or_default();
        of_author.bytes += bytes.len();
        of_author.messages.insert((round, kind), bytes);
    }

    /// Drops the last message of the author with the most bytes, if another has
    /// more than `author` would have.
    fn make_room(&mut self, author: NodePublicKey, after: usize) -> bool {
        let others = self.authors.iter().filter(|(key, _)| **key != author);
        let greediest = others.max_by_key(|(_, kept)| kept.bytes);
        let greediest = greediest.filter(|(_, kept)| kept.bytes > after);
        let Some(key) = greediest.map(|(key, _)| *key) else {
            return false;
        };
        let dropped = self
            .authors
            .get_mut(&key)
            .and_then(|kept| Some((kept.messages.pop_last()?.1.len(), kept)));
        if let Some((bytes, kept)) = dropped {
            kept.bytes -= bytes;
            self.bytes -= bytes;
        }
        true
    }

    /// A validator of this height that is at the next one already.
    pub(crate) fn any_author(&self) -> Option<NodePublicKey> {
        let mut validators = self.authors.iter().filter(|(_, kept)| kept.is_validator);
        validators.next().map(|(key, _)| *key)
    }

    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.bytes
    }

    /// Everything kept, lower rounds of an author first.
    pub(crate) fn drain(&mut self) -> Vec<(NodePublicKey, Vec<u8>)> {
        self.bytes = 0;
        let authors = std::mem::take(&mut self.authors).into_iter();
        authors
            .flat_map(|(author, kept)| {
                kept.messages
                    .into_values()
                    .map(move |bytes| (author, bytes))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodePublicKey = NodePublicKey([1; 32]);

    fn proposal_of(future: &mut FutureMessages, author: u8, round: u32, bytes: usize) {
        let place = (Round(round), MessageKind::Proposal);
        future.insert(NodePublicKey([author; 32]), true, place, vec![0; bytes]);
    }

    #[test]
    fn number_and_bytes_per_author_are_bounded() {
        let mut future = FutureMessages::default();
        for round in 0..1000 {
            future.insert(A, true, (Round(round), MessageKind::Prepare), vec![0]);
        }
        assert_eq!(
            future.drain().len(),
            KINDS * limits::ROUNDS_KEPT_PER_VALIDATOR_MAX
        );
        let half = limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX / 2;
        for round in 0..3 {
            proposal_of(&mut future, 1, round, half);
        }
        assert_eq!(future.drain().len(), 2);
        assert_eq!(future.any_author(), None);
    }

    #[test]
    fn bytes_of_all_are_bounded_and_the_greediest_makes_room() {
        let mut future = FutureMessages::default();
        let half = limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX / 2;
        for (author, round) in (1..=60).flat_map(|author| [(author, 0), (author, 1)]) {
            proposal_of(&mut future, author, round, half);
            assert!(future.kept_bytes() <= FUTURE_BYTES_MAX);
        }
        proposal_of(&mut future, 99, 0, half / 2);
        let kept = future.drain();
        let is_late = |(author, _): &(NodePublicKey, Vec<u8>)| *author == NodePublicKey([99; 32]);
        assert!(kept.iter().any(is_late), "flooders do not shut out others");
    }

    #[test]
    fn strangers_have_little_room_and_do_not_count_as_ahead() {
        let mut future = FutureMessages::default();
        for stranger in 0..=255 {
            for round in 0..100 {
                let place = (Round(round), MessageKind::RoundChange);
                let bytes = vec![0; STRANGER_BYTES_MAX / 4];
                future.insert(NodePublicKey([stranger; 32]), false, place, bytes);
            }
        }
        assert_eq!(future.kept_bytes(), STRANGERS_MAX * STRANGER_BYTES_MAX);
        assert_eq!(future.any_author(), None);
    }
}
