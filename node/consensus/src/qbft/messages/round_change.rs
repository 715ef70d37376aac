//! ROUND-CHANGE: the author gave up the rounds below and says what it prepared.

use super::{Subject, block_bytes, digest_bytes};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Certificate, Height, NodeSignature, Round, SealedBlock};

const DOMAIN: &[u8; 16] = b"medina/rndchng/1";

/// The highest block that the author saw prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PreparedClaim {
    /// Round in which a quorum prepared it.
    pub round: Round,
    /// Its hash.
    #[borsh(
        serialize_with = "digest_bytes::serialize",
        deserialize_with = "digest_bytes::deserialize"
    )]
    pub digest: B256,
}

/// The signed part, which proposals quote.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundChangeStatement {
    /// Height at which rounds change.
    pub height: Height,
    /// Round that the author is ready for.
    pub round: Round,
    /// What it prepared below that round, if anything.
    pub prepared: Option<PreparedClaim>,
    /// Over [`Self::signed_bytes`].
    pub signature: NodeSignature,
}

impl RoundChangeStatement {
    /// Bytes that the author signs: the subject, then the claim in full.
    #[must_use]
    pub fn signed_bytes(
        genesis: B256,
        height: Height,
        round: Round,
        prepared: Option<PreparedClaim>,
    ) -> [u8; 97] {
        let digest = prepared.map(|claim| claim.digest).unwrap_or_default();
        let mut message = [0; 97];
        let subject = Subject {
            genesis,
            height,
            round,
            digest,
        };
        message[..92].copy_from_slice(&subject.signed_under(DOMAIN));
        if let Some(claim) = prepared {
            message[92] = 1;
            message[93..].copy_from_slice(&claim.round.0.to_be_bytes());
        }
        message
    }
}

/// Proof of a claim: the block and a quorum of PREPAREs for it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PreparedProof {
    /// PREPARE signatures; its round is the claim's.
    pub prepares: Certificate,
    /// The block that was prepared, so that the next proposer can propose it.
    #[borsh(
        serialize_with = "block_bytes::serialize",
        deserialize_with = "block_bytes::deserialize"
    )]
    pub block: SealedBlock,
}

/// The message: statement and, with a claim, its proof.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundChange {
    /// The signed part.
    pub statement: RoundChangeStatement,
    /// Present exactly when the statement claims something.
    pub proof: Option<PreparedProof>,
}
