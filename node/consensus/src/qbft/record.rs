//! What this validator signed at the height it works on, as kept on disk.
//!
//! The record is the only memory of votes across a restart. It is written, and
//! synced, before anything signed leaves. Rounds only grow within a height, and
//! each kind of message is signed at most once per round; the record holds the
//! last round of each kind, so it can refuse everything that could conflict.
//!
//! ```text
//!   version (1) | keccak of the rest (32) | borsh: genesis, key, signed, blocks
//! ```

use super::{
    messages::{CONSENSUS_VERSION, Justification, PreparedClaim, block_bytes, invalid},
    standing::Standing,
};
use alloy_primitives::{B256, keccak256};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Certificate, Height, NodePublicKey, Round, SealedBlock};
use std::collections::BTreeMap;

/// Blocks that one record may hold: own proposal, prepared, voted for.
pub(crate) const BLOCKS_MAX: u32 = 3;

/// Why a stored record cannot be used. The caller decides whether to go on
/// without it, as a validator that lost its record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Cut short, or not a record.
    #[error("consensus record of {0} bytes is cut short")]
    Truncated(usize),
    /// Written by a build that we do not understand.
    #[error("consensus record has version {found}, this node reads version {expected}")]
    Version {
        /// What is written.
        found: u8,
        /// What we read.
        expected: u8,
    },
    /// Torn or changed since it was written.
    #[error("consensus record is damaged: its checksum does not match")]
    Checksum,
    /// The checksum holds but the content is no record.
    #[error("consensus record is malformed: {0}")]
    Malformed(String),
    /// It belongs to another chain.
    #[error("consensus record is of the chain with genesis {found}, this is {expected}")]
    OtherChain {
        /// Genesis hash written.
        found: B256,
        /// Ours.
        expected: B256,
    },
    /// It belongs to another validator.
    #[error("consensus record is of validator {found}, this node has key {expected}")]
    OtherKey {
        /// Key written.
        found: NodePublicKey,
        /// Ours.
        expected: NodePublicKey,
    },
}

impl RecordError {
    /// True when the record's content is gone, so that it counts as lost; false
    /// when it is whole but not for this node, which only a person can settle.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Truncated(_) | Self::Checksum | Self::Malformed(_) => true,
            Self::Version { .. } | Self::OtherChain { .. } | Self::OtherKey { .. } => false,
        }
    }
}

/// A vote that was signed: a claim about round and digest.
pub(crate) type SignedVote = PreparedClaim;

/// An own proposal that was signed, with all that is needed to repeat it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct SignedProposal {
    pub(crate) vote: SignedVote,
    pub(crate) justification: Justification,
}

/// The prepared certificate: claim and proof, apart from the block itself.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Prepared {
    pub(crate) claim: PreparedClaim,
    pub(crate) prepares: Certificate,
}

/// Everything signed at one height: the last of each kind.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Signed {
    pub(crate) height: Height,
    pub(crate) standing: Standing,
    pub(crate) proposal: Option<SignedProposal>,
    pub(crate) prepare: Option<SignedVote>,
    pub(crate) commit: Option<SignedVote>,
    pub(crate) round_change: Option<Round>,
    pub(crate) prepared: Option<Prepared>,
}

impl Signed {
    /// Nothing signed yet at this height.
    pub(crate) fn nothing(height: Height, standing: Standing) -> Self {
        Self {
            height,
            standing,
            proposal: None,
            prepare: None,
            commit: None,
            round_change: None,
            prepared: None,
        }
    }

    /// The highest round in which anything was signed.
    pub(crate) fn round(&self) -> Option<Round> {
        let proposal = self.proposal.as_ref().map(|proposal| proposal.vote.round);
        let votes = [self.prepare, self.commit].map(|vote| vote.map(|vote| vote.round));
        votes
            .into_iter()
            .chain([proposal, self.round_change])
            .flatten()
            .max()
    }

    /// Digests of the blocks that the record must hold to be of use.
    pub(crate) fn digests(&self) -> Vec<B256> {
        let proposal = self.proposal.as_ref().map(|proposal| proposal.vote.digest);
        let prepared = self.prepared.as_ref().map(|prepared| prepared.claim.digest);
        let prepare = self.prepare.map(|vote| vote.digest);
        let mut digests: Vec<_> = [proposal, prepared, prepare]
            .into_iter()
            .flatten()
            .collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    }
}

/// A record as stored: whose it is, what was signed, the blocks concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) genesis: B256,
    pub(crate) key: NodePublicKey,
    pub(crate) signed: Signed,
    pub(crate) blocks: BTreeMap<B256, SealedBlock>,
}

impl BorshSerialize for Record {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.genesis.0.serialize(writer)?;
        self.key.serialize(writer)?;
        self.signed.serialize(writer)?;
        u32::try_from(self.blocks.len())
            .unwrap_or(u32::MAX)
            .serialize(writer)?;
        self.blocks
            .values()
            .try_for_each(|block| block_bytes::serialize(block, writer))
    }
}

impl BorshDeserialize for Record {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let genesis = B256::from(<[u8; 32]>::deserialize_reader(reader)?);
        let key = NodePublicKey::deserialize_reader(reader)?;
        let signed = Signed::deserialize_reader(reader)?;
        let count = u32::deserialize_reader(reader)?;
        if count > BLOCKS_MAX {
            return Err(invalid(format!("record of {count} blocks")));
        }
        let mut blocks = BTreeMap::new();
        for _ in 0..count {
            let block = block_bytes::deserialize(reader)?;
            blocks.insert(block.hash(), block);
        }
        if let Some(missing) = signed
            .digests()
            .iter()
            .find(|digest| !blocks.contains_key(*digest))
        {
            return Err(invalid(format!("block {missing} is missing")));
        }
        Ok(Self {
            genesis,
            key,
            signed,
            blocks,
        })
    }
}

impl Record {
    /// Bytes for the disk.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let body = borsh::to_vec(self).expect("writing to memory cannot fail");
        let mut bytes = Vec::with_capacity(33 + body.len());
        bytes.push(CONSENSUS_VERSION);
        bytes.extend_from_slice(keccak256(&body).as_slice());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads bytes from the disk and checks that they are whole and ours.
    pub(crate) fn decode(
        bytes: &[u8],
        genesis: B256,
        key: NodePublicKey,
    ) -> Result<Self, RecordError> {
        let (&found, rest) = bytes.split_first().ok_or(RecordError::Truncated(0))?;
        let truncated = RecordError::Truncated(bytes.len());
        let (checksum, body) = rest.split_at_checked(32).ok_or(truncated)?;
        // Before the version, so that a damaged version byte in damaged bytes is
        // damage. Every version keeps this frame.
        if keccak256(body).as_slice() != checksum {
            return Err(RecordError::Checksum);
        }
        if found != CONSENSUS_VERSION {
            return Err(RecordError::Version {
                found,
                expected: CONSENSUS_VERSION,
            });
        }
        let record: Self =
            borsh::from_slice(body).map_err(|error| RecordError::Malformed(error.to_string()))?;
        if record.genesis != genesis {
            return Err(RecordError::OtherChain {
                found: record.genesis,
                expected: genesis,
            });
        }
        if record.key != key {
            return Err(RecordError::OtherKey {
                found: record.key,
                expected: key,
            });
        }
        Ok(record)
    }
}
