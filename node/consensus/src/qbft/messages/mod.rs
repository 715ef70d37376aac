//! What validators say to each other: one file per message.
//!
//! Every message is authenticated by the author's signature over its own
//! domain, the genesis hash, height, round and digest, so that no signature
//! counts on another chain, at another height, in another round or as another
//! kind of message. The digest is the block's hash, which does not contain the
//! round: a block keeps its digest when a later round proposes it again.
//!
//! # Deviations
//! The author is not named in the message: the link's identity is the author,
//! since votes travel over direct links. COMMIT is authenticated by its seal,
//! which signs the same facts; a second signature would say nothing new.
//! [`Message::Ahead`] is not part of QBFT: it tells a validator that still
//! changes rounds at a decided height to synchronise.

mod commit;
mod prepare;
mod proposal;
mod round_change;

pub use commit::Commit;
pub use prepare::{Prepare, prepare_message};
pub use proposal::{Justification, NamedRoundChange, Proposal};
pub use round_change::{PreparedClaim, PreparedProof, RoundChange, RoundChangeStatement};

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Height, Round, SealedBlock, limits, wire::WireError};

/// First byte of every consensus message and of every record.
pub const CONSENSUS_VERSION: u8 = 1;

/// Which message, as a key and for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// PROPOSAL.
    Proposal,
    /// PREPARE.
    Prepare,
    /// COMMIT.
    Commit,
    /// ROUND-CHANGE.
    RoundChange,
    /// "I am ahead of you".
    Ahead,
}

/// Anything one validator says to another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A block for a round, with the proof that the round may propose it.
    Proposal(Box<Proposal>),
    /// The proposal of this round is valid.
    Prepare(Prepare),
    /// A quorum prepared the proposal of this round; carries the seal.
    Commit(Commit),
    /// The author left the rounds below; carries what it had prepared.
    RoundChange(Box<RoundChange>),
    /// The author's head has this height, at or above the receiver's round change.
    Ahead {
        /// Height of the author's head.
        height: Height,
    },
}

impl Message {
    /// Bytes for the wire: version, then the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(&(CONSENSUS_VERSION, self)).expect("writing to memory cannot fail")
    }

    /// Reads bytes from the wire, bounded, with nothing left behind.
    ///
    /// # Errors
    /// [`WireError`] for any other version or form.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (version, message) = medina_types::wire::decode::<(Versioned, Self)>(
            bytes,
            limits::CONSENSUS_MESSAGE_BYTES_MAX,
        )?;
        debug_assert_eq!(version, Versioned);
        Ok(message)
    }

    /// Which message this is.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Proposal(_) => MessageKind::Proposal,
            Self::Prepare(_) => MessageKind::Prepare,
            Self::Commit(_) => MessageKind::Commit,
            Self::RoundChange(_) => MessageKind::RoundChange,
            Self::Ahead { .. } => MessageKind::Ahead,
        }
    }

    /// Height that the message is about.
    #[must_use]
    pub fn height(&self) -> Height {
        match self {
            Self::Proposal(proposal) => proposal.height,
            Self::Prepare(prepare) => prepare.height,
            Self::Commit(commit) => commit.height,
            Self::RoundChange(change) => change.statement.height,
            Self::Ahead { height } => *height,
        }
    }

    /// Round that the message is about.
    #[must_use]
    pub fn round(&self) -> Round {
        match self {
            Self::Proposal(proposal) => proposal.round,
            Self::Prepare(prepare) => prepare.round,
            Self::Commit(commit) => commit.round,
            Self::RoundChange(change) => change.statement.round,
            Self::Ahead { .. } => Round::ZERO,
        }
    }
}

/// The one version that this build reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Versioned;

impl BorshDeserialize for Versioned {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let version = u8::deserialize_reader(reader)?;
        if version == CONSENSUS_VERSION {
            return Ok(Self);
        }
        Err(invalid(format!(
            "consensus message version {version}, this node speaks {CONSENSUS_VERSION}"
        )))
    }
}

/// Height, round and digest that a signature is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) genesis: B256,
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) digest: B256,
}

impl Subject {
    /// The layout of [`medina_types::commit_message`] under another domain.
    pub(crate) fn signed_under(&self, domain: &[u8; 16]) -> [u8; 92] {
        let mut message = [0; 92];
        message[..16].copy_from_slice(domain);
        message[16..48].copy_from_slice(self.genesis.as_slice());
        message[48..56].copy_from_slice(&self.height.0.to_be_bytes());
        message[56..60].copy_from_slice(&self.round.0.to_be_bytes());
        message[60..].copy_from_slice(self.digest.as_slice());
        message
    }
}

/// A block as bytes of its RLP inside a message or record.
pub(crate) mod block_bytes {
    use super::{SealedBlock, invalid, limits};
    use borsh::{BorshDeserialize, BorshSerialize, io::Read};

    pub(crate) fn serialize<W: borsh::io::Write>(
        block: &SealedBlock,
        writer: &mut W,
    ) -> borsh::io::Result<()> {
        block.encode().as_ref().serialize(writer)
    }

    pub(crate) fn deserialize<R: Read>(reader: &mut R) -> borsh::io::Result<SealedBlock> {
        let length = u32::deserialize_reader(reader)? as usize;
        if length > limits::BLOCK_BYTES_MAX {
            return Err(invalid(format!("block of {length} bytes")));
        }
        // Grows with what really arrives, so that a length alone reserves nothing.
        let mut bytes = Vec::new();
        reader.take(length as u64).read_to_end(&mut bytes)?;
        let block = SealedBlock::decode(&bytes).map_err(|error| invalid(error.to_string()))?;
        // Digest and votes name the header only; another body under the same
        // digest would keep everybody who hears it first from the true one.
        if !block.is_body_of_header() {
            return Err(invalid(format!("block {} with another body", block.hash())));
        }
        Ok(block)
    }
}

/// Digest as 32 raw bytes.
pub(crate) mod digest_bytes {
    use alloy_primitives::B256;
    use borsh::{BorshDeserialize, BorshSerialize};

    pub(crate) fn serialize<W: borsh::io::Write>(
        digest: &B256,
        writer: &mut W,
    ) -> borsh::io::Result<()> {
        digest.0.serialize(writer)
    }

    pub(crate) fn deserialize<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<B256> {
        <[u8; 32]>::deserialize_reader(reader).map(B256::from)
    }
}

pub(crate) fn invalid(text: String) -> borsh::io::Error {
    borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, text)
}
