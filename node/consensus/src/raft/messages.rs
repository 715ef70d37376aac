//! What the nodes of a Raft group say to each other.
//!
//! Raft's own messages have a form of their own here instead of the `raft`
//! crate's protobuf: what may not come from the network cannot be written in
//! it, and every field is bounded by the message.

use super::membership::{Group, raft_id};
use crate::mutants::{Mutant, is_on};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Height, NodePublicKey, NodeSignature, SealedBlock, limits, wire::WireError};
use raft::eraftpb::{self, Entry, EntryType, Message, MessageType, Snapshot};

/// First byte of every message and of every record.
pub(super) const RAFT_VERSION: u8 = 1;

/// Bytes with which Raft marks a vote that was asked for by the old leader.
const TRANSFER_CONTEXT: &[u8] = b"CampaignTransfer";

/// Anything one node says to another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum RaftMessage {
    /// Raft's own.
    Raft {
        /// With the sender's key this makes its id.
        incarnation: u64,
        /// The message.
        body: Box<RaftBody>,
    },
    /// Where does the group stand? Asked by who has no record.
    Hello {
        /// Comes back in the answer, so that an answer to an earlier start of
        /// the same node is told apart.
        nonce: u64,
    },
    /// Answer to Hello, and to everybody who acts under an id that is gone.
    Welcome(Box<Welcome>),
    /// The sender wants to be a member under this incarnation.
    Join {
        /// With the sender's key this makes its id.
        incarnation: u64,
    },
    /// The sender has applied the block of this height.
    Seal(Seal),
    /// The sender lacks the block of this height, which its snapshot wants.
    Need {
        /// Height of the block.
        height: Height,
    },
    /// Answer to Need.
    Block {
        /// RLP of the block.
        block: Vec<u8>,
    },
}

/// What a node without record has to know.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Welcome {
    /// As asked; 0 when nobody asked.
    pub(super) nonce: u64,
    /// What the sender is.
    pub(super) standing: WelcomeStanding,
    /// Its term.
    pub(super) term: u64,
    /// Height of its head.
    pub(super) height: Height,
    /// The group as it knows it.
    pub(super) group: Group,
}

/// What the sender of a Welcome remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum WelcomeStanding {
    /// A chain without blocks and no record: it asks itself.
    Fresh,
    /// A member with its memory.
    Member,
    /// It lost its record, or was never a member.
    Outside,
}

/// A commit seal of a block, given after it was applied.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Seal {
    pub(super) height: Height,
    hash: [u8; 32],
    pub(super) signature: NodeSignature,
    /// The sender has no certificate yet and wants the receiver's seal.
    pub(super) is_wanted: bool,
}

impl Seal {
    pub(super) fn new(
        height: Height,
        hash: B256,
        signature: NodeSignature,
        is_wanted: bool,
    ) -> Self {
        Self {
            height,
            hash: hash.0,
            signature,
            is_wanted,
        }
    }

    pub(super) fn hash(&self) -> B256 {
        B256::from(self.hash)
    }
}

/// The kinds of Raft messages that travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum RaftKind {
    Append,
    AppendResponse,
    Vote,
    VoteResponse,
    PreVote,
    PreVoteResponse,
    Heartbeat,
    HeartbeatResponse,
    Snapshot,
    TimeoutNow,
}

impl RaftKind {
    const PAIRS: [(Self, MessageType); 10] = [
        (Self::Append, MessageType::MsgAppend),
        (Self::AppendResponse, MessageType::MsgAppendResponse),
        (Self::Vote, MessageType::MsgRequestVote),
        (Self::VoteResponse, MessageType::MsgRequestVoteResponse),
        (Self::PreVote, MessageType::MsgRequestPreVote),
        (
            Self::PreVoteResponse,
            MessageType::MsgRequestPreVoteResponse,
        ),
        (Self::Heartbeat, MessageType::MsgHeartbeat),
        (Self::HeartbeatResponse, MessageType::MsgHeartbeatResponse),
        (Self::Snapshot, MessageType::MsgSnapshot),
        (Self::TimeoutNow, MessageType::MsgTimeoutNow),
    ];

    fn of(kind: MessageType) -> Option<Self> {
        let mut pairs = Self::PAIRS.into_iter();
        pairs.find(|pair| pair.1 == kind).map(|pair| pair.0)
    }

    fn message_type(self) -> MessageType {
        let mut pairs = Self::PAIRS.into_iter();
        let found = pairs.find(|pair| pair.0 == self);
        found.expect("every kind is in the table").1
    }
}

/// A Raft message; which fields count depends on the kind.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct RaftBody {
    pub(super) kind: RaftKind,
    pub(super) to: u64,
    pub(super) from: u64,
    pub(super) term: u64,
    pub(super) log_term: u64,
    pub(super) index: u64,
    pub(super) commit: u64,
    pub(super) commit_term: u64,
    pub(super) reject: bool,
    pub(super) reject_hint: u64,
    /// A vote that the old leader asked for: it breaks the lease.
    pub(super) is_transfer: bool,
    pub(super) entries: Vec<LogEntry>,
    pub(super) snapshot: Option<SnapshotBody>,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct LogEntry {
    pub(super) is_member_change: bool,
    pub(super) term: u64,
    pub(super) index: u64,
    pub(super) data: Vec<u8>,
    pub(super) context: Vec<u8>,
}

/// What a follower too far behind needs instead of the log.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct SnapshotBody {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) content: SnapshotContent,
}

/// A snapshot holds no state: the receiver fetches and executes the blocks.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct SnapshotContent {
    pub(super) height: Height,
    hash: [u8; 32],
    pub(super) group: Group,
}

impl SnapshotContent {
    pub(super) fn new(height: Height, hash: B256, group: Group) -> Self {
        Self {
            height,
            hash: hash.0,
            group,
        }
    }

    pub(super) fn hash(&self) -> B256 {
        B256::from(self.hash)
    }
}

impl RaftMessage {
    /// Bytes for the wire: version, then the message.
    pub(super) fn encode(&self) -> Vec<u8> {
        borsh::to_vec(&(RAFT_VERSION, self)).expect("writing to memory cannot fail")
    }

    /// Reads bytes from the wire, bounded, with nothing left behind.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let max = limits::CONSENSUS_MESSAGE_BYTES_MAX;
        let (version, message) = medina_types::wire::decode::<(u8, Self)>(bytes, max)?;
        if version != RAFT_VERSION {
            return Err(WireError::Malformed(format!(
                "Raft message version {version}, this node speaks {RAFT_VERSION}"
            )));
        }
        Ok(message)
    }
}

impl LogEntry {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            is_member_change: entry.get_entry_type() != EntryType::EntryNormal,
            term: entry.term,
            index: entry.index,
            data: entry.data.to_vec(),
            context: entry.context.to_vec(),
        }
    }

    pub(super) fn into_entry(self) -> Entry {
        let mut entry = Entry::default();
        entry.set_entry_type(if self.is_member_change {
            EntryType::EntryConfChange
        } else {
            EntryType::EntryNormal
        });
        entry.term = self.term;
        entry.index = self.index;
        entry.data = self.data.into();
        entry.context = self.context.into();
        entry
    }
}

impl SnapshotBody {
    pub(super) fn into_snapshot(self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = self.index;
        metadata.term = self.term;
        metadata.set_conf_state(self.content.group.conf_state());
        let content = borsh::to_vec(&self.content);
        snapshot.data = content.expect("writing to memory cannot fail").into();
        snapshot
    }

    /// `None` for what we would not have written.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        let metadata = snapshot.get_metadata();
        Some(Self {
            index: metadata.index,
            term: metadata.term,
            content: borsh::from_slice(&snapshot.data).ok()?,
        })
    }
}

impl RaftBody {
    /// `None` for the kinds that do not travel.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let kind = RaftKind::of(message.get_msg_type())?;
        let snapshot = match kind {
            RaftKind::Snapshot => Some(SnapshotBody::of(message.get_snapshot())?),
            _ => None,
        };
        Some(Self {
            kind,
            to: message.to,
            from: message.from,
            term: message.term,
            log_term: message.log_term,
            index: message.index,
            commit: message.commit,
            commit_term: message.commit_term,
            reject: message.reject,
            reject_hint: message.reject_hint,
            is_transfer: *message.context == *TRANSFER_CONTEXT,
            entries: message.entries.iter().map(LogEntry::of).collect(),
            snapshot,
        })
    }

    pub(super) fn into_message(self) -> eraftpb::Message {
        let mut message = Message::default();
        message.set_msg_type(self.kind.message_type());
        message.to = self.to;
        message.from = self.from;
        message.term = self.term;
        message.log_term = self.log_term;
        message.index = self.index;
        message.commit = self.commit;
        message.commit_term = self.commit_term;
        message.reject = self.reject;
        message.reject_hint = self.reject_hint;
        if self.is_transfer {
            message.context = TRANSFER_CONTEXT.into();
        }
        let entries: Vec<_> = self.entries.into_iter().map(LogEntry::into_entry).collect();
        message.set_entries(entries.into());
        if let Some(snapshot) = self.snapshot {
            message.set_snapshot(snapshot.into_snapshot());
        }
        message
    }

    /// Whether key and incarnation give the id that the message claims.
    pub(super) fn is_from(&self, key: &NodePublicKey, incarnation: u64) -> bool {
        self.from == raft_id(key, incarnation)
    }
}

/// First byte of an entry that carries a block.
const BLOCK_ENTRY: u8 = 1;

/// Content of a log entry that carries a block.
pub(super) fn block_entry(block: &SealedBlock) -> Vec<u8> {
    let block = block.encode();
    let mut data = Vec::with_capacity(1 + block.len());
    data.push(BLOCK_ENTRY);
    data.extend_from_slice(&block);
    data
}

/// The block of an entry, or why there is none; the same on every node.
pub(super) fn entry_block(data: &[u8]) -> Result<SealedBlock, String> {
    let Some((&BLOCK_ENTRY, bytes)) = data.split_first() else {
        return Err("the entry is of an unknown kind".into());
    };
    let block = SealedBlock::decode(bytes).map_err(|error| error.to_string())?;
    if !block.is_body_of_header() && !is_on(Mutant::RaftBodyUnchecked) {
        return Err("the body is not the one that the header commits to".into());
    }
    Ok(block)
}
