//! What a follower hands to the executor: the items of one group in one public block.

use alloy_primitives::{Address, B256, Bytes, TxKind};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Height, RecoveredTransaction, SignedPrivateTransaction};

/// How far a group has been followed: everything before this public transaction is
/// done, this one and what follows is not.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
)]
pub struct Position {
    /// The public block.
    pub block: Height,
    /// Index of the transaction in it.
    pub index: u64,
}

impl Position {
    /// The transaction of this index in a block.
    #[must_use]
    pub const fn new(block: Height, index: u64) -> Self {
        Self { block, index }
    }

    /// The first transaction of a block: all blocks before are done.
    #[must_use]
    pub const fn start_of(block: Height) -> Self {
        Self { block, index: 0 }
    }

    /// The first transaction of the block after this one.
    #[must_use]
    pub const fn after(block: Height) -> Self {
        Self::start_of(block.next())
    }
}

/// One marker of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateItem {
    /// Index of the public transaction in its block.
    pub index: u64,
    /// The public transaction: all that the group's store keeps of the input.
    pub marker: RecoveredTransaction,
    /// Digest of the envelope.
    pub digest: B256,
    /// What is to be done.
    pub input: PrivateInput,
}

/// What is to be done for a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateInput {
    /// Run it.
    Execute {
        /// What the envelope holds.
        command: PrivateCommand,
        /// Roots that the envelope names, in the validated mode.
        claim: Option<RootClaim>,
    },
    /// Its payload was erased: nothing happens.
    Erased,
    /// The members voted to pass over it: nothing happens.
    Skipped,
    /// The follower found that it must not run, and why: nothing happens.
    Invalid(String),
}

/// A private transaction in either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateCommand {
    /// Medina's own; the executor recovers and checks the signature.
    Native(Box<SignedPrivateTransaction>),
    /// `GoQuorum`'s: the public transaction was the signed one.
    Compat(CompatCall),
}

/// A private transaction of `GoQuorum`'s clients, put together from the public
/// transaction and the payload behind its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompatCall {
    /// Who signed the public transaction.
    pub sender: Address,
    /// Its public nonce, from which a created contract's address follows.
    pub nonce: u64,
    /// Who is called, or that a contract is created.
    pub kind: TxKind,
    /// Gas limit of the public transaction; at most the private limit counts.
    pub gas: u64,
    /// The payload.
    pub data: Bytes,
}

/// Roots that an envelope of the validated mode names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RootClaim {
    before: [u8; 32],
    after: [u8; 32],
}

impl RootClaim {
    /// Roots before and after the transaction.
    #[must_use]
    pub const fn new(before: B256, after: B256) -> Self {
        let (before, after) = (before.0, after.0);
        Self { before, after }
    }

    /// The group's root before the transaction.
    #[must_use]
    pub const fn before(&self) -> B256 {
        B256::new(self.before)
    }

    /// The group's root after it.
    #[must_use]
    pub const fn after(&self) -> B256 {
        B256::new(self.after)
    }
}
