//! Messages between peers, apart from votes, which consensus encodes itself.

use crate::{Certificate, Height, limits};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};

/// Version of everything on the wire; peers with another one are refused by name.
pub const PROTOCOL_VERSION: u32 = 3;

/// Why a message was refused; its sender loses the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More bytes than the kind of message may have.
    #[error("message of {got} bytes, limit {max}")]
    TooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Not the encoding of a message.
    #[error("malformed message: {0}")]
    Malformed(String),
}

/// A borsh-encoded hash list entry needs its own form: 32 bytes.
pub type HashBytes = [u8; 32];

/// Where a peer's chain stands; sent on connect and when the head changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PeerStatus {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub protocol: u32,
    /// Hash of the genesis block.
    pub genesis: HashBytes,
    /// Height of the head.
    pub height: Height,
    /// Hash of the head.
    pub head: HashBytes,
}

/// The first word on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// Where the sender's chain stands.
    pub status: PeerStatus,
    /// Drawn at random when the sender's process starts: two nodes that use one key
    /// are told apart by it, and from one node that restarts.
    pub process: u64,
}

/// Anything one peer says to another over a direct link.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PeerMessage {
    /// The first message of a link, and only the first.
    Hello(Hello),
    /// Where the sender's chain stands now.
    Status(PeerStatus),
    /// A vote or proposal, encoded by the consensus engine.
    Consensus(Vec<u8>),
    /// EIP-2718 encoded transactions that the sender believes we lack.
    Transactions(Vec<Vec<u8>>),
    /// Hashes of transactions waiting at the sender (on connect, and again until included).
    PoolHashes(Vec<HashBytes>),
    /// Asks for transactions by hash.
    GetTransactions(Vec<HashBytes>),
}

/// Asks a peer for consecutive blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SyncRequest {
    /// First height wanted.
    pub from: Height,
    /// How many, at most [`limits::SYNC_BLOCKS_MAX`].
    pub count: u64,
}

/// A block with the proof that it was decided.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedBlock {
    /// RLP of the block.
    pub block: Vec<u8>,
    /// Commit signatures of a quorum.
    pub certificate: Certificate,
    /// Senders of the block's transactions as the peer knows them, or none: a claim,
    /// with which the block can be executed before its signatures are checked.
    pub senders: Vec<[u8; 20]>,
}

/// Consecutive blocks from the height asked for; fewer when cut short or at the head.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SyncResponse {
    /// The blocks, in ascending order.
    pub blocks: Vec<CertifiedBlock>,
}

/// Encodes any wire form.
#[must_use]
pub fn encode<T: BorshSerialize>(message: &T) -> Vec<u8> {
    borsh::to_vec(message).expect("writing to memory cannot fail")
}

/// Decodes any wire form of at most `bytes_max` bytes, leaving nothing behind.
///
/// # Errors
/// See [`WireError`].
pub fn decode<T: BorshDeserialize>(bytes: &[u8], bytes_max: usize) -> Result<T, WireError> {
    if bytes.len() > bytes_max {
        return Err(WireError::TooLarge {
            got: bytes.len(),
            max: bytes_max,
        });
    }
    borsh::from_slice(bytes).map_err(|error| WireError::Malformed(error.to_string()))
}

impl PeerMessage {
    /// Bytes that a message may have on the wire.
    pub const BYTES_MAX: usize = limits::CONSENSUS_MESSAGE_BYTES_MAX + 16;

    /// Decodes and checks the bound of the message's own kind.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let message: Self = decode(bytes, Self::BYTES_MAX)?;
        let max = match &message {
            Self::Consensus(_) => return Ok(message),
            Self::PoolHashes(hashes) | Self::GetTransactions(hashes) => {
                if hashes.len() > limits::ANNOUNCED_HASHES_MAX {
                    let (got, max) = (hashes.len() * 32, limits::ANNOUNCED_HASHES_MAX * 32);
                    return Err(WireError::TooLarge { got, max });
                }
                return Ok(message);
            }
            Self::Hello(_) | Self::Status(_) | Self::Transactions(_) => {
                limits::PEER_MESSAGE_BYTES_MAX
            }
        };
        if bytes.len() > max {
            return Err(WireError::TooLarge {
                got: bytes.len(),
                max,
            });
        }
        Ok(message)
    }
}

impl PeerStatus {
    /// Status of a node with this head.
    #[must_use]
    pub fn new(genesis: B256, height: Height, head: B256) -> Self {
        Self {
            protocol: PROTOCOL_VERSION,
            genesis: genesis.0,
            height,
            head: head.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_many_hashes_are_refused() {
        let message = PeerMessage::PoolHashes(vec![[0; 32]; limits::ANNOUNCED_HASHES_MAX + 1]);
        let refused = PeerMessage::decode(&encode(&message));
        assert!(matches!(refused, Err(WireError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn decoders_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = PeerMessage::decode(&bytes);
            let _ = decode::<SyncRequest>(&bytes, 64);
            let _ = decode::<SyncResponse>(&bytes, 400);
        }

        #[test]
        fn messages_read_back(payload in proptest::collection::vec(any::<u8>(), 0..100)) {
            let message = PeerMessage::Consensus(payload);
            prop_assert_eq!(PeerMessage::decode(&encode(&message)), Ok(message));
        }
    }
}
