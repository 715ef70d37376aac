//! What all tasks of the private side share.

use crate::{
    chain::Chain,
    private::{
        config::PrivateLimitsSection,
        directory::{Directory, Known},
        group::Group,
        outbox::{Delivery, Outbox},
        queue::Placed,
        rate::{Rates, SenderRates},
        registry::{GroupRecord, Registry},
        rows::{MarkerRow, Rows},
        sending::Sending,
        tagging::Versions,
        unmarked::Unmarked,
    },
    transactions::Transactions,
};
use alloy_primitives::{B256, Bytes};
use medina_enclave::{Caller, Enclave, EnclaveError, GroupSecretInfo, PartyId};
use medina_execution::{
    CallRequest,
    private::{GroupStores, PrivateExecutor, PrivateRules},
};
use medina_network::{NetworkError, NetworkHandle};
use medina_storage::StorageError;
use medina_types::NodePublicKey;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore, watch};

/// Tags whose group is remembered; beyond it the memory starts anew.
const RECOGNISED_MAX: usize = 100_000;

/// Threads of the private side that wait for disk or enclave at once. The node's pool
/// of such threads is one, and public blocks are built and checked in it.
const THREADS_MAX: usize = 24;
/// Of so many processors one executes private transactions.
const PROCESSORS_PER_EXECUTION: usize = 4;

/// Erasures that one member may order of this node: each rewrites keys on the disk.
const ERASURES_PER_MINUTE: u32 = 120;

/// Groups that execute at once on a machine with so many processors.
fn executions_max(processors: usize) -> usize {
    (processors / PROCESSORS_PER_EXECUTION).max(1)
}

/// A party of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnParty {
    /// Its name here.
    pub(crate) name: String,
    /// Its organisation.
    pub(crate) org: B256,
    /// Its identity key.
    pub(crate) id: PartyId,
}

/// Shared by all tasks of the private side.
pub(crate) struct Shared {
    pub(crate) chain: Chain,
    pub(crate) network: NetworkHandle,
    pub(crate) own_node: NodePublicKey,
    pub(crate) transactions: Transactions,
    pub(crate) enclave: Arc<dyn Enclave>,
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    pub(crate) rows: Rows,
    pub(crate) stores: GroupStores,
    pub(crate) parties: Vec<OwnParty>,
    pub(crate) limits: PrivateLimitsSection,
    pub(crate) rates: SenderRates,
    /// Payloads of `GoQuorum`'s clients by organisation.
    pub(crate) payload_rates: Rates<B256>,
    /// Erasures by the member that orders them.
    pub(crate) erasures: Rates<B256>,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) outbox_wake: Notify,
    /// Held while markers are let out.
    pub(crate) releasing: Mutex<()>,
    pub(crate) sending: Sending,
    /// There is an erasure to be carried on.
    pub(crate) erasing_wake: Notify,
    /// Public height up to which markers were looked for.
    pub(crate) scanned: watch::Sender<u64>,
    /// Held by whoever is on a thread that may wait.
    pub(crate) threads: Arc<Semaphore>,
    /// Held by groups that execute.
    pub(crate) executions: Semaphore,
    /// Counts transactions that were taken.
    order: AtomicU64,
    groups: Mutex<BTreeMap<B256, Arc<Group>>>,
    /// Groups that are to be followed.
    chosen: Mutex<BTreeSet<B256>>,
    /// Secrets by digest and tag: anybody may send a known digest with another tag.
    recognised: Mutex<BTreeMap<(B256, B256), Option<GroupSecretInfo>>>,
    /// Versions of groups' secrets, as far as they were read.
    pub(crate) versions: Mutex<Versions>,
    /// Envelopes of members that have no marker yet.
    pub(crate) unmarked: Unmarked,
}

/// What [`Shared::new`] is made of.
pub(crate) struct Parts {
    pub(crate) chain: Chain,
    pub(crate) network: NetworkHandle,
    pub(crate) own_node: NodePublicKey,
    pub(crate) transactions: Transactions,
    pub(crate) enclave: Arc<dyn Enclave>,
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    pub(crate) rows: Rows,
    pub(crate) stores: GroupStores,
    pub(crate) parties: Vec<OwnParty>,
    pub(crate) limits: PrivateLimitsSection,
    pub(crate) sending: Sending,
}

impl Shared {
    /// Whether a call of the contract by the marker account would pass now. A failure
    /// of the executor is no.
    pub(crate) fn would_pass(&self, input: &Bytes, gas: u64) -> bool {
        let request = CallRequest {
            from: Some(self.sending.address()),
            to: Some(self.registry.contract()),
            gas: Some(gas),
            input: input.clone(),
            ..CallRequest::default()
        };
        let (head, executor) = (self.chain.head(), &self.chain.executor);
        let environment = executor.pending_environment(&head, self.chain.clock.unix_seconds());
        let state = self.chain.store.state();
        let outcome = executor.call(&state, environment, &request);
        outcome.is_ok_and(|outcome| outcome.is_success())
    }

    /// Takes up deliveries that were under way.
    ///
    /// # Errors
    /// When the private database cannot be read.
    pub(crate) fn new(parts: Parts) -> Result<Self, StorageError> {
        let mut outbox = Outbox::default();
        for delivery in parts.rows.open_deliveries()? {
            outbox.restore(delivery);
        }
        let scanned = parts.rows.scanned()?.unwrap_or(0);
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        Ok(Self {
            rates: SenderRates::new(parts.limits.sender_per_minute),
            payload_rates: Rates::new(parts.limits.sender_per_minute),
            erasures: Rates::new(ERASURES_PER_MINUTE),
            outbox: Mutex::new(outbox),
            outbox_wake: Notify::new(),
            releasing: Mutex::new(()),
            erasing_wake: Notify::new(),
            threads: Arc::new(Semaphore::new(THREADS_MAX)),
            executions: Semaphore::new(executions_max(processors)),
            order: AtomicU64::new(0),
            scanned: watch::Sender::new(scanned),
            groups: Mutex::default(),
            chosen: Mutex::default(),
            recognised: Mutex::default(),
            versions: Mutex::default(),
            unmarked: Unmarked::load(&parts.rows)?,
            chain: parts.chain,
            network: parts.network,
            own_node: parts.own_node,
            transactions: parts.transactions,
            enclave: parts.enclave,
            registry: parts.registry,
            directory: parts.directory,
            rows: parts.rows,
            stores: parts.stores,
            parties: parts.parties,
            limits: parts.limits,
            sending: parts.sending,
        })
    }

    /// Parties and groups as they are now.
    pub(crate) fn known(&self) -> Arc<Known> {
        self.directory.known()
    }

    /// The machine's clock, seconds since 1970.
    pub(crate) fn now_s(&self) -> u64 {
        self.chain.clock.machine_seconds()
    }

    /// The node's monotonic clock.
    pub(crate) fn now_ms(&self) -> u64 {
        self.chain.clock.now_ms()
    }

    /// A number that grows with every transaction taken, over restarts too.
    pub(crate) fn next_order(&self) -> u64 {
        let count = self.order.fetch_add(1, Ordering::Relaxed);
        (self.now_s() << 24) | (count & 0xff_ffff)
    }

    /// The node itself, at a step of its own.
    pub(crate) fn caller(&self, step: &str) -> Caller {
        Caller::node(step, self.now_s())
    }

    /// Our party of an organisation.
    pub(crate) fn party(&self, org: B256) -> Option<&OwnParty> {
        self.parties.iter().find(|party| party.org == org)
    }

    /// Our parties that are members of a group.
    pub(crate) fn parties_in<'a>(
        &'a self,
        group: &'a GroupRecord,
    ) -> impl Iterator<Item = &'a OwnParty> {
        let parties = self.parties.iter();
        parties.filter(|party| group.has(&party.org))
    }

    /// Members of a group that this node does not act for, with the node that does.
    pub(crate) fn others_in(&self, group: &GroupRecord) -> Vec<(B256, NodePublicKey)> {
        let known = self.known();
        let members = group.members.iter();
        members
            .filter_map(|org| Some((*org, known.parties.get(org)?.node)))
            .filter(|(org, node)| self.party(*org).is_none() && *node != self.own_node)
            .collect()
    }

    /// The live part of a followed group.
    pub(crate) fn group(&self, id: B256) -> Option<Arc<Group>> {
        self.groups.lock().get(&id).cloned()
    }

    /// All followed groups.
    pub(crate) fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.lock().values().cloned().collect()
    }

    /// Which groups are followed from now on; the others' followers end.
    pub(crate) fn choose(&self, groups: &[B256]) {
        *self.chosen.lock() = groups.iter().copied().collect();
    }

    /// Whether a group is among those that are followed.
    pub(crate) fn is_chosen(&self, id: B256) -> bool {
        self.chosen.lock().contains(&id)
    }

    /// Begins to follow a group; `None` if it is followed, or at the bound.
    ///
    /// # Errors
    /// When the private database cannot be read.
    pub(crate) fn follow(&self, id: B256) -> Result<Option<Arc<Group>>, StorageError> {
        let mut groups = self.groups.lock();
        if groups.contains_key(&id) || groups.len() >= self.limits.groups {
            return Ok(None);
        }
        let book = self.rows.book(id)?;
        let group = Arc::new(Group::new(id, book, 0));
        if self.stores.has(id) {
            group.begin_state();
        }
        groups.insert(id, group.clone());
        Ok(Some(group))
    }

    /// Follows a group no more.
    pub(crate) fn unfollow(&self, id: B256) {
        self.groups.lock().remove(&id);
    }

    /// The group of ours that a marker belongs to, whether it counts or not.
    ///
    /// # Errors
    /// When the enclave does not answer.
    pub(crate) fn recognise(&self, digest: B256, tag: B256) -> Result<Option<B256>, EnclaveError> {
        let secret = self.recognise_secret(digest, tag)?;
        Ok(secret.map(|secret| B256::from(secret.group.0)))
    }

    /// The secret by which a marker was tagged.
    ///
    /// # Errors
    /// When the enclave does not answer.
    pub(crate) fn recognise_secret(
        &self,
        digest: B256,
        tag: B256,
    ) -> Result<Option<GroupSecretInfo>, EnclaveError> {
        if let Some(known) = self.recognised.lock().get(&(digest, tag)) {
            return Ok(*known);
        }
        let named = (medina_enclave::Digest(digest.0), medina_enclave::Tag(tag.0));
        let found = self.enclave.secret_of(&named.0, &named.1)?;
        let mut recognised = self.recognised.lock();
        if recognised.len() >= RECOGNISED_MAX {
            recognised.clear();
        }
        recognised.insert((digest, tag), found);
        Ok(found)
    }

    /// The envelope that a marker, or a handle, names in a group; `None` where it is
    /// none of the group's.
    ///
    /// # Errors
    /// As [`Self::first_place`].
    pub(crate) fn digest_in<E>(&self, group: B256, row: &MarkerRow) -> Result<Option<B256>, E>
    where
        E: From<StorageError> + From<EnclaveError>,
    {
        if row.is_handle {
            return Ok(self.rows.digest_of_handle(&row.handle(), group)?);
        }
        let digest = B256::from(row.digest);
        let is_its = self.recognise(digest, row.tag.into())? == Some(group);
        Ok(is_its.then_some(digest))
    }

    /// Where the first marker of a digest stands that belongs to a group.
    ///
    /// # Errors
    /// When the enclave does not answer, or the private database cannot be read.
    pub(crate) fn first_place<E>(&self, group: B256, digest: B256) -> Result<Option<Placed>, E>
    where
        E: From<StorageError> + From<EnclaveError>,
    {
        self.rows.first_place_of(digest, |_, row| {
            Ok(self.digest_in::<E>(group, row)? == Some(digest))
        })
    }

    /// Markers that nobody's tag fitted are looked at again: a secret is new.
    pub(crate) fn forget_recognised(&self) {
        self.recognised.lock().clear();
    }

    /// Executes for a group by what all its members agree on; bounds of this node's
    /// own clients do not come in.
    pub(crate) fn executor_of(&self, group: &GroupRecord) -> PrivateExecutor {
        let rules = PrivateRules {
            gas_max: self.chain.private_gas,
            ..PrivateRules::new(group.id, group.mode)
        };
        PrivateExecutor::new(&self.chain.executor, rules)
    }

    /// Writes a delivery as it is now.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(crate) fn write_delivery(&self, delivery: &Delivery) -> Result<(), StorageError> {
        let digest = B256::from(delivery.digest);
        let is_open = self.outbox.lock().get(digest).is_some();
        self.rows.put_deliveries(&[(delivery, is_open)])
    }
}

/// Why a member gave no useful answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The organisation has no party.
    #[error("the organisation has no registered party")]
    NoParty,
    /// No link, or no answer.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// It refuses to talk to us about this.
    #[error("refused: the member does not know us as one, or not yet")]
    Refused,
    /// It cannot say now.
    #[error("the member cannot answer now")]
    Later,
    /// It answered what is no answer to this.
    #[error("the member gave a wrong answer: {0}")]
    Wrong(String),
    /// Something of our own failed.
    #[error("{0}")]
    Ours(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_chain_keeps_most_processors() {
        let bounds = [1, 2, 4, 8, 31, 64].map(executions_max);
        assert_eq!(bounds, [1, 1, 1, 2, 7, 16]);
    }
}
