//! What the server asks of the node's private side, in words of its own: the
//! `service` crate implements [`PrivateNode`] over the enclave, the outbox and the
//! groups' stores.

use alloy_primitives::{Address, B256, B512, Bytes};
use medina_storage::AccountProof;
use medina_types::{CompatTransaction, Height, SignedPrivateTransaction};
use std::ops::RangeInclusive;

use super::{
    AccountDump, AuditEntry, CompatSend, ContractPrivacy, DeliveryStatus, Distributed, Erasure,
    GroupStatus, GroupSummary, Handle, Lookup, Payload, PrivateCall, PrivateError, PrivateLimits,
    PrivateLog, PrivateLogQuery, PrivateParty, PrivateReceipt, PrivateTransactionView, Sent,
    Tenant,
};

/// What a request to the private side answers.
pub type PrivateResult<T> = Result<T, PrivateError>;

/// The private side of a node.
///
/// Methods that are not `async` may read the disk, run the EVM and take their
/// time: the server calls them on threads of its lanes. Each takes the
/// [`Tenant`] that asks; the server has checked that the tenant is a party of
/// this node and, where a group is named, that its organisation is a member. The
/// node checks again: for groups of others it answers
/// [`PrivateError::UnknownGroup`] or [`Lookup::Unknown`], as if there were none.
///
/// `at` is a public block: state after the markers of all blocks up to it. `None`
/// is the newest that the group's follower has reached.
#[async_trait::async_trait]
pub trait PrivateNode: Send + Sync + 'static {
    /// Whether genesis says `quorumCompat`: `GoQuorum`'s marked transactions are
    /// taken, and private answers are merged into those of `eth_*`.
    fn is_compat(&self) -> bool;

    /// Bounds that callers are told of.
    fn limits(&self) -> PrivateLimits;

    /// Parties that this node acts for, in the order of the configuration.
    fn parties(&self) -> Vec<PrivateParty>;

    /// Parties of the whole chain, as registered on it.
    fn directory(&self) -> PrivateResult<Vec<PrivateParty>>;

    /// Groups that the tenant's organisation is a member of.
    fn groups(&self, tenant: &Tenant) -> PrivateResult<Vec<GroupSummary>>;

    /// One of [`Self::groups`]; `None` for those of others and for none at all.
    fn group(&self, tenant: &Tenant, group: B256) -> PrivateResult<Option<GroupSummary>> {
        let mut groups = self.groups(tenant)?.into_iter();
        Ok(groups.find(|summary| summary.id == group))
    }

    /// How far a group's follower has come and what holds it up.
    fn group_status(&self, tenant: &Tenant, group: B256) -> PrivateResult<GroupStatus>;

    /// Seals and delivers a signed inner transaction and, once the delivery policy
    /// is met, puts its marker into the pool. Answers as soon as the envelope is in
    /// the outbox: [`Self::delivery`] says what became of it.
    async fn send(
        &self,
        tenant: &Tenant,
        transaction: SignedPrivateTransaction,
    ) -> PrivateResult<Sent>;

    /// As [`Self::send`] without the marker, which the caller makes of what this
    /// answers. Waits until the delivery policy is met.
    async fn distribute(
        &self,
        tenant: &Tenant,
        transaction: SignedPrivateTransaction,
    ) -> PrivateResult<Distributed>;

    /// Runs a call on a group's state; the output of a successful one.
    fn call(
        &self,
        tenant: &Tenant,
        group: B256,
        call: &PrivateCall,
        at: Option<Height>,
    ) -> PrivateResult<Bytes>;

    /// Gas with which the call would succeed as a transaction.
    fn estimate_gas(
        &self,
        tenant: &Tenant,
        group: B256,
        call: &PrivateCall,
        at: Option<Height>,
    ) -> PrivateResult<u64>;

    /// What an inner transaction did.
    fn receipt(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Lookup<PrivateReceipt>>;

    /// An inner transaction itself, read from its envelope.
    fn transaction(
        &self,
        tenant: &Tenant,
        digest: B256,
    ) -> PrivateResult<Lookup<PrivateTransactionView>>;

    /// Next private nonce of an account in a group.
    fn transaction_count(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        at: Option<Height>,
    ) -> PrivateResult<u64>;

    /// Code of a private contract; empty where there is none.
    fn code(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        at: Option<Height>,
    ) -> PrivateResult<Bytes>;

    /// A storage slot of a private contract.
    fn storage(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        slot: B256,
        at: Option<Height>,
    ) -> PrivateResult<B256>;

    /// Logs of a range of public blocks, in order. More than the query's bound is
    /// [`PrivateError::Limit`].
    fn logs(
        &self,
        tenant: &Tenant,
        group: B256,
        query: &PrivateLogQuery,
    ) -> PrivateResult<Vec<PrivateLog>>;

    /// An account and slots of it, proven against the group's root, with the
    /// public height whose root it is and that root.
    fn proof(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        slots: &[B256],
        at: Option<Height>,
    ) -> PrivateResult<(Height, B256, AccountProof)>;

    /// Root of a group's state.
    fn state_root(&self, tenant: &Tenant, group: B256, at: Option<Height>) -> PrivateResult<B256>;

    /// A private account with its storage, up to `slots_max` slots.
    fn dump(
        &self,
        _tenant: &Tenant,
        _group: B256,
        _address: Address,
        _at: Option<Height>,
        _slots_max: usize,
    ) -> PrivateResult<AccountDump> {
        Err(PrivateError::Unsupported(
            "this node does not list the storage of private accounts".to_owned(),
        ))
    }

    /// How far the delivery of an envelope has come; `None` for those of others.
    fn delivery(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<DeliveryStatus>>;

    /// Begins the erasure of a payload at every holder.
    async fn erase(&self, tenant: &Tenant, digest: B256, reason: String) -> PrivateResult<Erasure>;

    /// How far an erasure has come; `None` where there is none.
    fn erasure(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<Erasure>>;

    /// Entries of the tenant's audit log from a number on, at most `max`.
    fn audit(&self, tenant: &Tenant, from: u64, max: usize) -> PrivateResult<Vec<AuditEntry>>;

    /// The plaintext behind a digest (32 bytes) or a handle (64 bytes), noted in the
    /// audit log under the tenant's actor.
    fn payload(&self, tenant: &Tenant, handle: &Handle) -> PrivateResult<Lookup<Payload>>;

    /// Keeps a payload for a transaction to come: `POST /storeraw`. Answers the
    /// handle that the transaction carries as its data.
    async fn store_raw(&self, tenant: &Tenant, payload: Bytes) -> PrivateResult<B512>;

    /// Seals a payload for a set of parties and delivers it: `POST /send`.
    async fn send_payload(
        &self,
        tenant: &Tenant,
        payload: Bytes,
        to: CompatSend,
    ) -> PrivateResult<B512>;

    /// Takes a transaction signed as `GoQuorum`'s clients sign it and marked with
    /// v = 37 or 38, whose data is a stored payload's handle: delivers the payload
    /// and puts the transaction, its mark taken off, into the pool. Answers its
    /// hash as the public chain has it.
    async fn send_marked(
        &self,
        tenant: &Tenant,
        transaction: CompatTransaction,
        to: CompatSend,
    ) -> PrivateResult<B256>;

    /// Delivers a transaction signed and marked as for [`Self::send_marked`] whole, for
    /// a privacy marker of the caller's own: the handle that the marker carries.
    async fn distribute_marked(
        &self,
        _tenant: &Tenant,
        _transaction: CompatTransaction,
        _to: CompatSend,
    ) -> PrivateResult<B512> {
        Err(PrivateError::Unsupported(
            "markers of one's own carry what priv_distributeTransaction answers; marked transactions \
             go out by eth_sendRawPrivateTransaction"
                .to_owned(),
        ))
    }

    /// What the private side of a public transaction did: `Unknown` for those that
    /// are none of the tenant's, `Waiting` until the follower has come to it.
    fn receipt_of_public(
        &self,
        tenant: &Tenant,
        hash: B256,
    ) -> PrivateResult<Lookup<PrivateReceipt>>;

    /// The group of the tenant in whose state a contract is; `None` where no group
    /// has it.
    fn group_of_contract(&self, tenant: &Tenant, address: Address) -> PrivateResult<Option<B256>>;

    /// How a private contract was made.
    fn contract_privacy(
        &self,
        tenant: &Tenant,
        address: Address,
    ) -> PrivateResult<Option<ContractPrivacy>>;
}

/// Blocks of a log query.
pub type Blocks = RangeInclusive<u64>;
