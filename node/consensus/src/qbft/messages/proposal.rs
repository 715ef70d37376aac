//! PROPOSAL: the block of a round and why this round may propose it.

use super::{RoundChangeStatement, Subject, block_bytes, invalid};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Certificate, Height, NodePublicKey, NodeSignature, Round, SealedBlock, limits};

const DOMAIN: &[u8; 16] = b"medina/propose/1";

/// A round change quoted by somebody else, so its author is named.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NamedRoundChange {
    /// Who said it.
    pub author: NodePublicKey,
    /// What it said.
    pub statement: RoundChangeStatement,
}

/// Why a round above 0 may propose its block. Empty in round 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Justification {
    /// Round changes of a quorum of distinct validators for the proposal's round.
    pub round_changes: Vec<NamedRoundChange>,
    /// A quorum of PREPAREs for the highest prepared block among them, if any.
    pub prepares: Option<Certificate>,
}

impl Justification {
    /// True when it justifies nothing, as in round 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.round_changes.is_empty() && self.prepares.is_none()
    }
}

impl BorshDeserialize for Justification {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let count = u32::deserialize_reader(reader)?;
        if count as usize > limits::VALIDATORS_MAX {
            return Err(invalid(format!("justification of {count} round changes")));
        }
        let round_changes = (0..count)
            .map(|_| NamedRoundChange::deserialize_reader(reader))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            round_changes,
            prepares: BorshDeserialize::deserialize_reader(reader)?,
        })
    }
}

/// A block for a round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Height of the block.
    pub height: Height,
    /// Round that proposes it.
    pub round: Round,
    /// The block: fresh, or the highest prepared one of earlier rounds.
    #[borsh(
        serialize_with = "block_bytes::serialize",
        deserialize_with = "block_bytes::deserialize"
    )]
    pub block: SealedBlock,
    /// Why this round may propose this block.
    pub justification: Justification,
    /// Over [`Self::signed_bytes`].
    pub signature: NodeSignature,
}

impl Proposal {
    /// Bytes that the proposer signs. The justification proves itself.
    #[must_use]
    pub fn signed_bytes(genesis: B256, height: Height, round: Round, digest: B256) -> [u8; 92] {
        Subject {
            genesis,
            height,
            round,
            digest,
        }
        .signed_under(DOMAIN)
    }
}
