//! COMMIT: a quorum prepared; the author seals the block.

use super::digest_bytes;
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Height, NodeSignature, Round};

/// A vote that decides; a quorum of its seals is the block's certificate.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Commit {
    /// Height voted on.
    pub height: Height,
    /// Round voted in.
    pub round: Round,
    /// Hash of the prepared block.
    #[borsh(
        serialize_with = "digest_bytes::serialize",
        deserialize_with = "digest_bytes::deserialize"
    )]
    pub digest: B256,
    /// Over [`medina_types::commit_message`]; it authenticates the message too.
    pub seal: NodeSignature,
}
