//! What an engine may be told and what it may want.

use alloy_primitives::B256;
use medina_types::{Certificate, Height, HeightContext, NodePublicKey, Round, SealedBlock};
use std::time::Duration;

/// The block that the next one extends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadInfo {
    /// Its height; the engine works on the one that follows.
    pub height: Height,
    /// Its hash.
    pub hash: B256,
    /// Time in its header, in seconds.
    pub timestamp_s: u64,
    /// When this node committed it, on the clock of `now_ms`; 0 when that was
    /// before this start.
    pub committed_at_ms: u64,
}

/// An alarm clock of the engine. There is one of each: setting it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The current round takes too long.
    Round,
    /// Time to repeat what may have been lost.
    Resend,
    /// The shortest time between two blocks has passed, or a failed build is tried again.
    Propose,
    /// The longest time without a block has passed.
    Heartbeat,
    /// Raft's clock: elections and heartbeats count its ticks.
    Tick,
}

/// A fact that the engine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// First input after construction.
    Started {
        /// Monotonic milliseconds, the same clock as `handle`'s.
        now_ms: u64,
    },
    /// A link to a validator is up; what was sent before may be lost.
    PeerConnected {
        /// Its key.
        peer: NodePublicKey,
    },
    /// The link is gone.
    PeerDisconnected {
        /// Its key.
        peer: NodePublicKey,
    },
    /// A peer sent bytes. Its identity is proven by the link.
    MessageReceived {
        /// Key of the peer at the other end of the link.
        from: NodePublicKey,
        /// What it sent, undecoded.
        bytes: Vec<u8>,
    },
    /// A timer set by [`Output::SetTimer`] is due.
    TimerFired {
        /// Which one.
        timer: Timer,
    },
    /// Whether there is anything to put into a block.
    WorkWaiting {
        /// True when the pool holds an executable transaction.
        waiting: bool,
    },
    /// Answer to [`Output::Build`].
    BlockBuilt {
        /// Height as ordered.
        height: Height,
        /// Round as ordered.
        round: Round,
        /// The block; `None` when building failed or found nothing to put in.
        /// It is tried again while there is a reason to propose.
        block: Option<SealedBlock>,
    },
    /// Answer to [`Output::Check`].
    BlockChecked {
        /// Hash of the block that was checked.
        hash: B256,
        /// Whether it is valid on top of the head.
        valid: bool,
    },
    /// The chain advanced: our own [`Output::Commit`] was executed, or sync
    /// imported a certified block. The engine continues at `head.height + 1`.
    HeightDecided {
        /// Height of the new head.
        height: Height,
        /// The new head.
        head: HeadInfo,
        /// Validators and proposers of the height that follows.
        context: HeightContext,
    },
}

/// An order to the caller. A call's orders are executed in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Replace the stored consensus record and sync it to disk before the next
    /// order is executed. Nothing signed may leave before.
    Persist {
        /// The whole record.
        record: Vec<u8>,
    },
    /// Send to one peer.
    Send {
        /// To whom.
        to: NodePublicKey,
        /// What.
        bytes: Vec<u8>,
    },
    /// Send to all other validators of the current set.
    Broadcast {
        /// What.
        bytes: Vec<u8>,
    },
    /// Wake the engine later; replaces an earlier setting of the same timer.
    SetTimer {
        /// Which timer.
        timer: Timer,
        /// From now.
        after: Duration,
    },
    /// Forget a timer.
    CancelTimer {
        /// Which timer.
        timer: Timer,
    },
    /// Build a block; answered by [`Input::BlockBuilt`], later.
    Build {
        /// Height of the block.
        height: Height,
        /// Round in which it will be proposed.
        round: Round,
        /// Hash of the head that it extends.
        parent: B256,
    },
    /// Validate a block by executing it; answered by [`Input::BlockChecked`], later.
    Check {
        /// The block; it extends the head.
        block: SealedBlock,
        /// True for a proposal that was never prepared: the tolerance for the
        /// proposer's clock applies. A re-proposal is judged without the clock.
        fresh: bool,
    },
    /// Validate a block that is in the replicated log already, by executing it;
    /// answered by [`Input::BlockChecked`], later. All nodes must come to the same
    /// answer: when this node cannot tell (a failing disk), it must stop instead.
    CheckDecided {
        /// The block; it extends the head.
        block: SealedBlock,
    },
    /// The block is decided: commit it, then report [`Input::HeightDecided`].
    /// It was built by us or checked as valid before.
    Commit {
        /// The block.
        block: SealedBlock,
        /// Commit seals of a quorum with QBFT. With Raft the seals known so far;
        /// [`Output::Certify`] brings the whole later.
        certificate: Certificate,
        /// Consensus record to store in the same batch as the block.
        record: Option<Vec<u8>>,
    },
    /// Enough validators have signed the committed block of this height: store
    /// the certificate in place of the one stored with the block. It need not be
    /// synced.
    Certify {
        /// Height of a committed block.
        height: Height,
        /// Seals of a quorum.
        certificate: Certificate,
    },
    /// An entry of the replicated log that no node can apply was skipped, here as
    /// everywhere: for the log and for metrics.
    EntryRefused {
        /// Index in the replicated log.
        index: u64,
        /// Why, for people.
        reason: String,
    },
    /// A peer is ahead of us: fetch the blocks that we lack.
    SyncNeeded {
        /// Who is ahead.
        from: NodePublicKey,
        /// A height that this peer has decided, or claims to have.
        height: Height,
    },
    /// A peer provably broke the protocol: drop its connection.
    PeerMisbehaved {
        /// Who.
        peer: NodePublicKey,
        /// What it did, for the log.
        reason: String,
    },
}

/// Where an engine stands, for people and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// Height being decided.
    pub height: Height,
    /// Attempt at that height.
    pub round: Round,
    /// Name of the step within the round.
    pub step: &'static str,
    /// Who proposes in this round.
    pub proposer: NodePublicKey,
    /// How long this round may take once its timer runs.
    pub timeout: Duration,
    /// Whether this node votes; false for followers and while a validator
    /// without record observes.
    pub votes: bool,
    /// What only Raft knows; `None` with QBFT.
    pub raft: Option<RaftStatus>,
}

/// What a node does in its Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftRole {
    /// Makes the blocks.
    Leader,
    /// Asks for votes.
    Candidate,
    /// Votes, follows a leader.
    Follower,
    /// Follows without a vote until it has caught up.
    Learner,
    /// Not of the group.
    Outside,
}

/// A member of the Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RaftMember {
    /// Its id; a node that lost its disk gets another.
    pub id: u64,
    /// Its node key.
    pub key: NodePublicKey,
    /// Has no vote yet.
    pub is_learner: bool,
}

/// Where a Raft node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftStatus {
    /// Our id in the group; 0 while we have none.
    pub id: u64,
    /// What we do.
    pub role: RaftRole,
    /// Id of the leader; `None` while there is none.
    pub leader: Option<u64>,
    /// Term of the group as known here.
    pub term: u64,
    /// Index of the last log entry that is known to be committed.
    pub committed: u64,
    /// Index of the last log entry that was applied.
    pub applied: u64,
    /// Entries that were skipped as invalid since the start.
    pub refused: u64,
    /// The group, by id.
    pub members: Vec<RaftMember>,
}

/// A consensus engine: a deterministic function of its inputs.
pub trait Engine: Send {
    /// Takes one fact at a time in monotonic milliseconds and returns orders.
    fn handle(&mut self, now_ms: u64, input: Input) -> Vec<Output>;

    /// Where the engine stands.
    fn status(&self) -> EngineStatus;
}
