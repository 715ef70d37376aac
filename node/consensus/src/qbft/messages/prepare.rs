//! PREPARE: the author accepted the proposal of this round as valid.

use super::{Subject, digest_bytes};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Height, NodeSignature, Round};

const DOMAIN: &[u8; 16] = b"medina/prepare/1";

/// A vote that the round's proposal is valid.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Prepare {
    /// Height voted on.
    pub height: Height,
    /// Round voted in.
    pub round: Round,
    /// Hash of the proposed block.
    #[borsh(
        serialize_with = "digest_bytes::serialize",
        deserialize_with = "digest_bytes::deserialize"
    )]
    pub digest: B256,
    /// Over [`prepare_message`].
    pub signature: NodeSignature,
}

/// Bytes that a PREPARE signs; as long as a commit seal's, under another domain.
#[must_use]
pub fn prepare_message(genesis: B256, height: Height, round: Round, digest: B256) -> [u8; 92] {
    Subject {
        genesis,
        height,
        round,
        digest,
    }
    .signed_under(DOMAIN)
}
