//! What parties say to each other over `/medina/private/1`: borsh, bounded, strict.
//!
//! A question names the organisation on whose behalf it is asked. Who answers checks
//! on its own chain that the asking node serves that organisation and that both are
//! members of the group; everybody else gets [`Answer::Refused`], which is the same
//! for a group that does not exist.

use crate::private::attestation::Attestation;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::limits;

/// Attested roots in one answer.
pub(crate) const ATTESTATIONS_MAX: usize = 64 * 16;

/// A question of one member to another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Question {
    /// Here is an envelope for you. Answered by [`Answer::Acknowledged`] or
    /// [`Answer::SecretWanted`].
    Deliver {
        /// The asking organisation.
        from: [u8; 32],
        /// The organisation that it is for.
        to: [u8; 32],
        /// The envelope, encoded.
        envelope: Vec<u8>,
        /// Tag of its marker: who does not recognise it has not got it.
        tag: [u8; 32],
        /// The secrets of the group's tags, each sealed, where the other may lack one.
        secrets: Vec<Vec<u8>>,
    },
    /// Give me an envelope. Answered by [`Answer::Envelope`], [`Answer::Erased`] or
    /// [`Answer::Missing`].
    Fetch {
        /// The asking organisation.
        from: [u8; 32],
        /// The group.
        group: [u8; 32],
        /// Digest of the envelope.
        digest: [u8; 32],
    },
    /// Give me the secrets of the group's tags. Answered by [`Answer::Secrets`] or
    /// [`Answer::Missing`].
    Secrets {
        /// The asking organisation.
        from: [u8; 32],
        /// The group.
        group: [u8; 32],
    },
    /// I sign this root. Answered by [`Answer::Noted`].
    Attest {
        /// The group.
        group: [u8; 32],
        /// What was signed.
        attestation: Attestation,
    },
    /// What did the members sign? Answered by [`Answer::Attestations`].
    Attestations {
        /// The asking organisation.
        from: [u8; 32],
        /// The group.
        group: [u8; 32],
        /// Sign the root after this height too, or where you stand if you are not
        /// there yet.
        at: Option<u64>,
    },
    /// Give me a piece of the state after a height. Answered by [`Answer::Chunk`] or
    /// [`Answer::Missing`].
    Snapshot {
        /// The asking organisation.
        from: [u8; 32],
        /// The group.
        group: [u8; 32],
        /// Public height.
        height: u64,
        /// Where the piece begins, as the piece before said.
        cursor: Option<Vec<u8>>,
    },
    /// Destroy a payload's key. Answered by [`Answer::Erased`] or, while it is still
    /// needed to follow the chain, by [`Answer::NotYet`].
    Erase {
        /// The organisation that asks for it.
        from: [u8; 32],
        /// The group.
        group: [u8; 32],
        /// Digest of the envelope.
        digest: [u8; 32],
        /// Why.
        reason: String,
        /// When it was asked for, seconds since 1970.
        at_s: u64,
        /// Public height up to which who carries it out has looked for markers.
        after: u64,
        /// Receipts of members that have carried it out.
        receipts: Vec<Vec<u8>>,
        /// Signature of its identity key over all of this.
        signature: Vec<u8>,
    },
}

/// What a member answers.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Answer {
    /// You may not ask this, or there is no such thing.
    Refused,
    /// Not now: the enclave is away, or this node is behind. Ask again.
    Later,
    /// What was sent does not hold together, for this reason.
    Wrong(String),
    /// The envelope is stored; the recipient's identity key signed so.
    Acknowledged {
        /// Signature over [`acknowledgement`].
        signature: Vec<u8>,
    },
    /// An envelope, wrapped for who asked.
    Envelope(Vec<u8>),
    /// A group's secrets, each sealed for who asked.
    Secrets(Vec<Vec<u8>>),
    /// It is not here.
    Missing,
    /// It was forgotten; the receipt says so, signed.
    Erased(Vec<u8>),
    /// It will be forgotten once this node has followed so far.
    NotYet,
    /// It was noted.
    Noted,
    /// What members signed.
    Attestations {
        /// Public height up to which this member has followed.
        height: u64,
        /// Signed roots.
        attestations: Vec<Attestation>,
    },
    /// A piece of a state.
    Chunk(Vec<u8>),
    /// The marker's tag says nothing here: send the group's secrets too.
    SecretWanted,
}

/// What a recipient signs when it has stored an envelope.
pub(crate) fn acknowledgement(digest: [u8; 32], group: [u8; 32], org: [u8; 32]) -> Vec<u8> {
    [digest, group, org].concat()
}

/// What a member signs who wants a payload forgotten.
pub(crate) fn erasure_request(
    org: [u8; 32],
    group: [u8; 32],
    digest: [u8; 32],
    (reason, at_s, after): (&str, u64, u64),
) -> Vec<u8> {
    let fields = (org, group, digest, reason, at_s, after);
    borsh::to_vec(&fields).expect("writing to memory cannot fail")
}

impl Question {
    /// The bytes that travel.
    pub(crate) fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory cannot fail")
    }

    /// Reads what a peer sent.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes, limits::PRIVATE_REQUEST_BYTES_MAX)
    }
}

impl Answer {
    /// What kind of answer it is; what it carries may be long, and a secret.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Later => "later",
            Self::Wrong(_) => "wrong",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Envelope(_) => "an envelope",
            Self::Secrets(_) => "secrets",
            Self::Missing => "missing",
            Self::Erased(_) => "erased",
            Self::NotYet => "not yet",
            Self::Noted => "noted",
            Self::Attestations { .. } => "attestations",
            Self::Chunk(_) => "a piece of a state",
            Self::SecretWanted => "a wish for the group's secret",
        }
    }

    /// The bytes that travel.
    pub(crate) fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory cannot fail")
    }

    /// Reads what a peer sent.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let answer = decode(bytes, limits::PRIVATE_ANSWER_BYTES_MAX)?;
        let is_too_long = matches!(&answer, Self::Attestations { attestations, .. } if attestations.len() > ATTESTATIONS_MAX);
        (!is_too_long).then_some(answer)
    }
}

fn decode<T: BorshDeserialize>(bytes: &[u8], bytes_max: usize) -> Option<T> {
    if bytes.len() > bytes_max {
        return None;
    }
    borsh::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_read_back_and_nothing_may_follow_them() {
        let question = Question::Fetch {
            from: [1; 32],
            group: [2; 32],
            digest: [3; 32],
        };
        let mut bytes = question.encode();
        assert_eq!(Question::decode(&bytes), Some(question));
        bytes.push(0);
        assert_eq!(Question::decode(&bytes), None);
        let answer = Answer::Acknowledged {
            signature: vec![7; 64],
        };
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }

    #[test]
    fn signed_words_differ_in_every_field() {
        let base = acknowledgement([1; 32], [2; 32], [3; 32]);
        assert_ne!(base, acknowledgement([4; 32], [2; 32], [3; 32]));
        assert_ne!(base, acknowledgement([1; 32], [3; 32], [2; 32]));
        let erasure = |reason: &str, at_s, after| {
            erasure_request([1; 32], [2; 32], [3; 32], (reason, at_s, after))
        };
        assert_ne!(erasure("a", 1, 5), erasure("b", 1, 5));
        assert_ne!(erasure("a", 1, 5), erasure("a", 2, 5));
        assert_ne!(erasure("a", 1, 5), erasure("a", 1, 6));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_word_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Question::decode(&bytes);
            let _ = Answer::decode(&bytes);
        }
    }
}
