//! What goes over [`PrivateNode`](super::PrivateNode): plain data.

use alloy_primitives::{Address, B256, B512, Bytes, Log, U256};
use alloy_rpc_types_eth::Filter;
use medina_types::{Height, PrivacyMode, SignedPrivateTransaction};
use serde::Serialize;
use std::collections::BTreeMap;

use super::node::Blocks;

/// Who asks: a party of this node and whoever acts for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The party's name on this node, its private state identifier (PSI).
    pub psi: String,
    /// Its organisation, as the `Permissioning` contract knows it.
    pub org: B256,
    /// The API key's name or the token's subject, for the audit log.
    pub actor: String,
}

/// Bounds of the private side, for error texts and for `priv_getParty`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateLimits {
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Gas of one private transaction or call.
    pub gas: u64,
}

/// A party: an organisation's presence on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateParty {
    /// Its name: on its own node the private state identifier, elsewhere what the
    /// node knows for people.
    pub name: String,
    /// Its organisation.
    pub org: B256,
    /// ed25519 key that it signs with.
    pub identity_key: B256,
    /// X25519 key of its current epoch; `None` before it has published one.
    pub encryption_key: Option<B256>,
    /// The epoch.
    pub epoch: u32,
    /// Node that acts for it.
    pub node_key: B256,
}

/// A call on private state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivateCall {
    /// Who calls; zero where the caller does not say.
    pub from: Address,
    /// Whom; `None` for init code.
    pub to: Option<Address>,
    /// Gas; `None` for as much as one transaction may have.
    pub gas: Option<u64>,
    /// Input or init code.
    pub input: Bytes,
}

/// What a sent transaction is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Digest of the envelope.
    pub digest: B256,
    /// Hash of the public marker, once it is signed.
    pub marker: Option<B256>,
}

/// What a marker of one's own must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Distributed {
    /// Digest of the envelope: the first half of the marker's input.
    pub digest: B256,
    /// By which members recognise it: the second half.
    pub tag: B256,
}

/// What became of something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Here it is.
    Found(T),
    /// It was there and was erased.
    Erased(Tombstone),
    /// It is the tenant's, and not there yet.
    Waiting,
    /// The tenant has no such thing.
    Unknown,
}

impl<T> Lookup<T> {
    /// The same about what is made of it.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Found(found) => Lookup::Found(change(found)),
            Self::Erased(tombstone) => Lookup::Erased(tombstone),
            Self::Waiting => Lookup::Waiting,
            Self::Unknown => Lookup::Unknown,
        }
    }
}

/// What is left of an erased payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// Digest of the payload.
    pub digest: B256,
    /// Why, as the request said.
    pub reason: String,
    /// When, seconds since 1970.
    #[serde(with = "alloy_serde::quantity")]
    pub erased_at: u64,
}

/// What a private transaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PrivateOutcome {
    /// It ran, well or not: see the receipt's status.
    Executed,
    /// It was refused before it ran: wrong nonce, signature or mode.
    Refused,
    /// The root it was made for was another (validated mode); it is sent again.
    Stale,
    /// Its payload was erased before it ran here.
    Erased,
    /// The members voted to pass over it.
    Skipped,
}

/// Receipt of an inner transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateReceipt {
    /// Digest of its envelope.
    pub digest: B256,
    /// Its group.
    pub group: B256,
    /// Its public transaction.
    pub marker: B256,
    /// The public block.
    pub block_hash: B256,
    /// Its height.
    pub block_number: u64,
    /// Index of the public transaction in it.
    pub transaction_index: u64,
    /// Who signed the inner transaction.
    pub from: Address,
    /// The contract that was called.
    pub to: Option<Address>,
    /// The contract that was made.
    pub contract_address: Option<Address>,
    /// What it came to.
    pub outcome: PrivateOutcome,
    /// Whether it ran to a good end.
    pub success: bool,
    /// Private gas used.
    pub gas_used: u64,
    /// Its logs.
    pub logs: Vec<Log>,
    /// Number of its first log among the group's of the block.
    pub first_log_index: u64,
    /// What it returned or reverted with, where that is kept.
    pub output: Bytes,
    /// Why it failed, for people.
    pub reason: Option<String>,
}

/// An inner transaction as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateTransactionView {
    /// Digest of its envelope.
    pub digest: B256,
    /// Who signed it.
    pub from: Address,
    /// Itself.
    pub transaction: SignedPrivateTransaction,
    /// Its public transaction, once there is one.
    pub marker: Option<B256>,
    /// Block and index of that one, once it is in one: hash, height, index.
    pub place: Option<(B256, u64, u64)>,
}

/// A group, as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its id.
    pub id: B256,
    /// Its members.
    pub members: Vec<PrivateParty>,
    /// Its mode.
    pub mode: PrivacyMode,
    /// Organisations that must acknowledge before a marker is sent.
    pub mandatory: Vec<B256>,
    /// Further acknowledgements needed; 0 for all.
    pub quorum: u16,
    /// Public block that made it.
    pub created_at: u64,
    /// Whether it was made of a list of recipients (`privateFor`), not by name.
    pub is_implicit: bool,
}

/// What a group's follower is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupPhase {
    /// It follows.
    Following,
    /// No member has given it a secret by which it could tell the group's markers.
    WaitingForSecret,
    /// It waits for a payload.
    Waiting {
        /// Digest of its envelope.
        digest: B256,
        /// Account that sent its marker.
        sent_by: Option<Address>,
        /// Organisation of that account, where it has one.
        org: Option<B256>,
    },
    /// It takes the state from other members.
    Rebuilding,
    /// Something failed here, for this reason, and is tried again.
    Failing(String),
    /// It has stopped: roots of members differ, and nobody has more than half.
    Halted {
        /// Organisation whose root differs.
        member: B256,
        /// Public height of the two roots.
        height: u64,
        /// What an operator should know.
        reason: String,
    },
}

/// What a member last signed of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberAttestation {
    /// Its organisation.
    pub org: B256,
    /// Public height.
    #[serde(with = "alloy_serde::quantity")]
    pub height: u64,
    /// Root that it signed.
    pub root: B256,
}

/// How far a group has come on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub id: B256,
    /// What its follower does.
    pub phase: GroupPhase,
    /// Public block up to which it has followed.
    pub height: Height,
    /// Root of its state there.
    pub root: B256,
    /// Digests whose payloads are missing here, at most a few.
    pub missing: Vec<B256>,
    /// Newest attestation of each member, our own among them.
    pub attestations: Vec<MemberAttestation>,
    /// Roots that members signed against ours, which more than half of them signed.
    pub disputed_by: Vec<MemberAttestation>,
}

/// What became of an envelope at one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecipientDelivery {
    /// Its organisation.
    pub org: B256,
    /// Whether the policy needs it by name.
    pub is_mandatory: bool,
    /// When it acknowledged, seconds since 1970.
    #[serde(with = "alloy_serde::quantity::opt")]
    pub acknowledged_at: Option<u64>,
    /// Tries so far.
    pub attempts: u32,
    /// What the last try met.
    pub last_error: Option<String>,
}

/// How far a delivery has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStatus {
    /// The envelope.
    pub digest: B256,
    /// Its group.
    pub group: B256,
    /// Whether the policy is met, so that the marker may go out.
    pub is_policy_met: bool,
    /// Acknowledgements that the policy needs beside the mandatory ones.
    pub quorum: u16,
    /// The recipients.
    pub recipients: Vec<RecipientDelivery>,
    /// Hash of the marker, once it was sent.
    pub marker: Option<B256>,
    /// Height of its block, once it is in one.
    #[serde(with = "alloy_serde::quantity::opt")]
    pub block_number: Option<u64>,
    /// Why the marker will not come, where it will not.
    pub failure: Option<String>,
}

/// One holder's proof that it destroyed a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureReceipt {
    /// Its organisation.
    pub org: B256,
    /// When, seconds since 1970.
    #[serde(with = "alloy_serde::quantity")]
    pub erased_at: u64,
    /// Its identity key's signature.
    pub signature: Bytes,
}

/// How far an erasure has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// What is left here.
    #[serde(flatten)]
    pub tombstone: Tombstone,
    /// The group.
    pub group: B256,
    /// Receipts so far.
    pub receipts: Vec<ErasureReceipt>,
    /// Holders that have not answered yet.
    pub pending: Vec<B256>,
    /// Public transaction that reported it, once sent.
    pub event: Option<B256>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number.
    #[serde(with = "alloy_serde::quantity")]
    pub index: u64,
    /// When, seconds since 1970.
    #[serde(with = "alloy_serde::quantity")]
    pub at: u64,
    /// What was done: `encrypt`, `decrypt`, `read`, `erase`, `rotate` …
    pub action: String,
    /// By whom.
    pub actor: String,
    /// In which group.
    pub group: Option<B256>,
    /// To which payload.
    pub digest: Option<B256>,
    /// Hash of the entry before.
    pub previous: B256,
    /// Hash of this entry.
    pub hash: B256,
}

/// A log query whose range is known.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateLogQuery {
    /// Public blocks.
    pub blocks: Blocks,
    /// Addresses and topics; its own range is to be ignored.
    pub filter: Filter,
    /// Logs that may be answered.
    pub max: usize,
}

/// A private log in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateLog {
    /// The log.
    pub log: Log,
    /// Digest of the transaction that wrote it.
    pub digest: B256,
    /// Its public transaction.
    pub marker: B256,
    /// The public block.
    pub block_hash: B256,
    /// Its height.
    pub block_number: u64,
    /// Its time.
    pub block_timestamp: u64,
    /// Index of the public transaction.
    pub transaction_index: u64,
    /// Number among the group's logs of the block.
    pub log_index: u64,
}

/// An account with its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDump {
    /// Its nonce.
    pub nonce: u64,
    /// Its balance, always zero on private accounts.
    pub balance: U256,
    /// Root of its storage.
    pub storage_root: B256,
    /// Hash of its code.
    pub code_hash: B256,
    /// Its code.
    pub code: Bytes,
    /// Its slots.
    pub storage: BTreeMap<B256, U256>,
}

/// 32-byte digest of an envelope, or 64-byte handle as `GoQuorum`'s clients know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle {
    /// A digest.
    Digest(B256),
    /// SHA3-512 of a ciphertext.
    Compat(B512),
}

impl Handle {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Digest(digest) => digest.as_slice(),
            Self::Compat(handle) => handle.as_slice(),
        }
    }
}

impl TryFrom<&[u8]> for Handle {
    type Error = usize;

    /// The length where it is neither 32 nor 64.
    fn try_from(bytes: &[u8]) -> Result<Self, usize> {
        let whole = || B512::try_from(bytes).ok().map(Self::Compat);
        let digest = B256::try_from(bytes).ok().map(Self::Digest);
        digest.or_else(whole).ok_or(bytes.len())
    }
}

/// Whom a payload is for, as `GoQuorum`'s clients say it. The parties together
/// with the tenant are the group: its state is theirs alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompatSend {
    /// Organisations of the recipients, the tenant's own left out, sorted.
    pub recipients: Vec<B256>,
    /// The mode.
    pub mode: PrivacyMode,
    /// Organisations that must have it, sorted.
    pub mandatory: Vec<B256>,
}

/// A payload that somebody may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The plaintext: input or init code of the transaction.
    pub data: Bytes,
    /// Its group.
    pub group: Option<B256>,
    /// The mode.
    pub mode: PrivacyMode,
    /// Whether the tenant sent it.
    pub is_sender: bool,
    /// Parties that have it.
    pub parties: Vec<PrivateParty>,
}

/// How a private contract was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractPrivacy {
    /// Its group.
    pub group: B256,
    /// Handle or digest of the transaction that made it.
    pub creation: Bytes,
    /// The mode.
    pub mode: PrivacyMode,
    /// Organisations that must have every transaction.
    pub mandatory: Vec<B256>,
}
