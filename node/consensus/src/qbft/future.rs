//! Messages for the next height, kept until this height is decided.

use super::messages::MessageKind;
use medina_types::{NodePublicKey, Round, limits};
use std::collections::BTreeMap;

/// Kinds that are kept: PROPOSAL, PREPARE, COMMIT, ROUND-CHANGE.
const KINDS: usize = 4;

/// One message per author, kind and round, bounded in number and bytes per
/// author. What finds no room is dropped: its author repeats it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FutureMessages {
    authors: BTreeMap<NodePublicKey, OfAuthor>,
}

#[derive(Clone, Debug, Default)]
struct OfAuthor {
    messages: BTreeMap<(Round, MessageKind), Vec<u8>>,
    bytes: usize,
}

impl FutureMessages {
    /// Keeps a message if its author has room.
    pub(crate) fn insert(
        &mut self,
        author: NodePublicKey,
        round: Round,
        kind: MessageKind,
        bytes: Vec<u8>,
    ) {
        let of_author = self.authors.entry(author).or_default();
        let is_known = of_author.messages.contains_key(&(round, kind));
        let is_full = of_author.messages.len() >= KINDS * limits::ROUNDS_KEPT_PER_VALIDATOR_MAX
            || of_author.bytes + bytes.len() > limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX;
        if !is_known && !is_full {
            of_author.bytes += bytes.len();
            of_author.messages.insert((round, kind), bytes);
        }
    }

    /// Somebody who is at the next height already.
    pub(crate) fn any_author(&self) -> Option<NodePublicKey> {
        self.authors.keys().next().copied()
    }

    /// Everything kept, lower rounds of an author first.
    pub(crate) fn drain(&mut self) -> Vec<(NodePublicKey, Vec<u8>)> {
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

    #[test]
    fn number_and_bytes_per_author_are_bounded() {
        let mut future = FutureMessages::default();
        for round in 0..1000 {
            future.insert(A, Round(round), MessageKind::Prepare, vec![0]);
        }
        assert_eq!(
            future.drain().len(),
            KINDS * limits::ROUNDS_KEPT_PER_VALIDATOR_MAX
        );
        let half = limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX / 2;
        for round in 0..3 {
            future.insert(A, Round(round), MessageKind::Proposal, vec![0; half]);
        }
        assert_eq!(future.drain().len(), 2);
        assert_eq!(future.any_author(), None);
    }
}
