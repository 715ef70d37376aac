//! The private side as JSON-RPC asks for it: every answer is for one tenant, and
//! groups of others do not exist for it.

use crate::{
    chain::Chain,
    private::{
        compat,
        config::PrivateSection,
        delivery::{self, Content, SealError, Way},
        erasing, exec, follower,
        members::blocking,
        outbox::Delivery,
        reading,
        registry::GroupRecord,
        rows::ErasureRow,
        shared::{AskError, OwnParty, Phase, Shared},
        validated,
    },
};
use alloy_primitives::{Address, B256, B512, Bytes, U256};
use medina_enclave::{Caller, Digest, EnclaveError, PayloadStatus, RawHandle};
use medina_execution::private::GroupStore;
use medina_rpc::privacy::{
    AccountDump, AuditEntry, CompatSend, ContractPrivacy, DeliveryStatus, Distributed, Erasure,
    ErasureReceipt, GroupPhase, GroupStatus, GroupSummary, Handle, Lookup, MemberAttestation,
    Payload, PrivateCall, PrivateError, PrivateLimits, PrivateLog, PrivateLogQuery, PrivateNode,
    PrivateParty, PrivateReceipt, PrivateResult, PrivateTransactionView, Sent, Tenant, Tombstone,
};
use medina_storage::AccountProof;
use medina_types::{CompatTransaction, Height, PrivacyMode, SignedPrivateTransaction};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How often a delivery that somebody waits for is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(25);
/// How long somebody may wait for acknowledgements.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Digests named in a status.
const MISSING_SHOWN_MAX: usize = 16;

/// Answers for all tenants of this node.
pub(crate) struct PrivateSide {
    shared: watch::Receiver<Option<Arc<Shared>>>,
    limits: PrivateLimits,
    section: PrivateSection,
    chain: Chain,
}

/// A tenant in one of its groups.
pub(crate) struct Member<'a> {
    /// Its party.
    pub(crate) party: &'a OwnParty,
    /// The group.
    pub(crate) group: GroupRecord,
}

pub(crate) fn fault(error: impl std::fmt::Display) -> PrivateError {
    PrivateError::Fault(error.to_string())
}

/// The enclave's words, for who asked.
pub(crate) fn of_enclave(error: EnclaveError) -> PrivateError {
    match error {
        EnclaveError::TooLarge { .. } => PrivateError::Limit(error.to_string()),
        EnclaveError::BadRequest(_) | EnclaveError::UnknownHandle(_) => {
            PrivateError::Refused(error.to_string())
        }
        EnclaveError::Unreachable { .. } => PrivateError::Unavailable(error.to_string()),
        error => fault(error),
    }
}

pub(crate) fn of_seal(error: SealError) -> PrivateError {
    match error {
        SealError::NoKey(_) => PrivateError::Unavailable(error.to_string()),
        SealError::Full(_) => PrivateError::Limit(error.to_string()),
        SealError::Enclave(error) => of_enclave(error),
        error => fault(error),
    }
}

pub(crate) fn of_ask(error: AskError) -> PrivateError {
    PrivateError::Unavailable(error.to_string())
}

impl PrivateSide {
    pub(crate) fn new(
        section: &PrivateSection,
        chain: &Chain,
        shared: watch::Receiver<Option<Arc<Shared>>>,
    ) -> Self {
        Self {
            shared,
            limits: PrivateLimits {
                payload_bytes: section.limits.payload_bytes,
                gas: section.limits.gas,
            },
            section: section.clone(),
            chain: chain.clone(),
        }
    }

    fn shared(&self) -> PrivateResult<Arc<Shared>> {
        let shared = self.shared.borrow().clone();
        shared.ok_or_else(|| {
            PrivateError::Unavailable("the enclave has not answered yet; try again".to_owned())
        })
    }

    /// Takes a signed transaction: checks, seals, puts it on its way.
    async fn take(
        &self,
        tenant: &Tenant,
        transaction: SignedPrivateTransaction,
        is_foreign: bool,
    ) -> PrivateResult<Delivery> {
        let shared = self.shared()?;
        let inner = transaction.transaction();
        let group = member(&shared, tenant, inner.group)?.group;
        self.check(&shared, &group, &transaction)?;
        follower::ensure_secret(&shared, &group)
            .await
            .map_err(of_ask)?;
        let tenant = tenant.clone();
        let sealed = blocking(&shared, move |shared| {
            let member = member(shared, &tenant, group.id)?;
            if group.mode == PrivacyMode::CounterParty {
                check_sender(shared, &group, &transaction)?;
            }
            if group.mode == PrivacyMode::Validated && !is_foreign {
                return validated::seal(shared, member.party, &group, &transaction)
                    .map_err(of_seal);
            }
            if group.mode == PrivacyMode::Validated {
                return Err(PrivateError::Unsupported(
                    "this group's transactions follow each other: its markers are sent by the node, with priv_sendTransaction".to_owned(),
                ));
            }
            let way = Way {
                is_foreign,
                order: shared.next_order(),
                ..Way::default()
            };
            let payload = transaction.encode();
            let content = Content::Bytes(&payload);
            delivery::seal(shared, member.party, &group, content, None, way).map_err(of_seal)
        });
        sealed.await.map_err(of_ask)?
    }

    /// What every sender is held to, before anything is sealed.
    fn check(
        &self,
        shared: &Shared,
        group: &GroupRecord,
        transaction: &SignedPrivateTransaction,
    ) -> PrivateResult<()> {
        let inner = transaction.transaction();
        if inner.mode != group.mode {
            let (got, want) = (inner.mode.number(), group.mode.number());
            return Err(PrivateError::Refused(format!(
                "the transaction is signed for mode {got}, the group's is {want}"
            )));
        }
        let (got, max) = (inner.data.len(), self.limits.payload_bytes);
        if got > max {
            return Err(PrivateError::Limit(format!(
                "payload of {got} bytes, limit {max}"
            )));
        }
        let (got, max) = (inner.gas, self.limits.gas);
        if got > max {
            return Err(PrivateError::Limit(format!(
                "private gas {got}, limit {max}"
            )));
        }
        let sender = transaction
            .recover(self.chain.spec.chain_id)
            .map_err(|error| PrivateError::Refused(error.to_string()))?;
        if !shared.rates.try_take(sender, shared.now_ms()) {
            let max = shared.limits.sender_per_minute;
            return Err(PrivateError::Limit(format!(
                "{sender} has sent {max} private transactions within a minute, the limit; wait a little"
            )));
        }
        Ok(())
    }
}

/// A tenant as a member of a group; everybody else is told that there is none.
pub(crate) fn member<'a>(
    shared: &'a Shared,
    tenant: &Tenant,
    group: B256,
) -> PrivateResult<Member<'a>> {
    let party = shared.party(tenant.org).ok_or(PrivateError::UnknownGroup)?;
    let known = shared.known();
    let group = known
        .groups
        .get(&group)
        .filter(|group| group.has(&tenant.org));
    let group = group.cloned().ok_or(PrivateError::UnknownGroup)?;
    Ok(Member { party, group })
}

/// Groups of a tenant.
pub(crate) fn groups_of(shared: &Shared, tenant: &Tenant) -> Vec<GroupRecord> {
    if shared.party(tenant.org).is_none() {
        return Vec::new();
    }
    let known = shared.known();
    let groups = known.groups.values();
    groups
        .filter(|group| group.has(&tenant.org))
        .cloned()
        .collect()
}

/// A tenant's call of the enclave.
pub(crate) fn caller(shared: &Shared, tenant: &Tenant) -> Caller {
    let scope = format!("psi://{}", tenant.psi);
    Caller::new(tenant.actor.clone(), scope, shared.now_s())
}

/// Counter-party protection at the door: what the members would pass over is refused.
fn check_sender(
    shared: &Shared,
    group: &GroupRecord,
    transaction: &SignedPrivateTransaction,
) -> PrivateResult<()> {
    let sender = transaction
        .recover(shared.chain.spec.chain_id)
        .map_err(|error| PrivateError::Refused(error.to_string()))?;
    let head = shared.chain.head().height;
    let state = shared.chain.store.state();
    let org = exec::organisation_at(shared, sender, head, &state).map_err(fault)?;
    if org.is_some_and(|org| group.has(&org)) {
        return Ok(());
    }
    Err(PrivateError::Refused(format!(
        "counter-party protection: account {sender} belongs to no member organisation of the group"
    )))
}

fn party_view(shared: &Shared, org: B256) -> PrivateResult<Option<PrivateParty>> {
    let known = shared.known();
    let Some(party) = known.parties.get(&org) else {
        return Ok(None);
    };
    let key = shared.registry.now(|view| view.key(org)).map_err(fault)?;
    let own = shared.party(org).map(|own| own.name.clone());
    Ok(Some(PrivateParty {
        name: own.unwrap_or_default(),
        org,
        identity_key: party.id.0.into(),
        encryption_key: key.map(|key| key.x25519.into()),
        epoch: key.map_or(party.epoch, |key| key.epoch),
        node_key: party.node.0.into(),
    }))
}

/// A party as it is known; by name alone where it is not registered yet.
fn party_of(shared: &Shared, org: B256) -> PrivateResult<PrivateParty> {
    if let Some(party) = party_view(shared, org)? {
        return Ok(party);
    }
    let own = shared.party(org);
    Ok(PrivateParty {
        name: own.map(|own| own.name.clone()).unwrap_or_default(),
        org,
        identity_key: own.map(|own| own.id.0.into()).unwrap_or_default(),
        encryption_key: None,
        epoch: 0,
        node_key: own.map(|_| shared.own_node.0.into()).unwrap_or_default(),
    })
}

fn phase_of(phase: Phase) -> (GroupPhase, Vec<B256>) {
    match phase {
        Phase::Following | Phase::WaitingForSecret => (GroupPhase::Following, Vec::new()),
        Phase::Waiting(mut missing) => {
            missing.truncate(MISSING_SHOWN_MAX);
            let first = missing.first().copied().unwrap_or_default();
            (GroupPhase::Waiting(first), missing)
        }
        Phase::Rebuilding => (GroupPhase::Rebuilding, Vec::new()),
        Phase::Failing(reason) => {
            // Tried again and again: to the outside it is behind.
            tracing::debug!(reason, "a private group is failing");
            (GroupPhase::Following, Vec::new())
        }
        Phase::Halted(halt) => (
            GroupPhase::Halted {
                member: halt.member,
                height: halt.height,
                reason: halt.reason,
            },
            Vec::new(),
        ),
    }
}

fn erasure_of(row: &ErasureRow) -> Erasure {
    let receipts = erasing::receipts(row);
    let has_answered = |org: &B256| receipts.iter().any(|(holder, _)| holder == org);
    let holders = row.holders.iter().map(|holder| B256::from(holder.org));
    Erasure {
        tombstone: Tombstone {
            digest: row.digest.into(),
            reason: row.reason.clone(),
            erased_at: row.at_s,
        },
        group: row.group.into(),
        pending: holders.filter(|org| !has_answered(org)).collect(),
        receipts: receipts
            .iter()
            .map(|(org, receipt)| ErasureReceipt {
                org: *org,
                erased_at: receipt.erased_at_s,
                signature: Bytes::copy_from_slice(&receipt.signature.0),
            })
            .collect(),
        event: row.event.map(B256::from),
    }
}

#[async_trait::async_trait]
impl PrivateNode for PrivateSide {
    fn is_compat(&self) -> bool {
        self.chain.quorum_compat
    }

    fn limits(&self) -> PrivateLimits {
        self.limits
    }

    fn parties(&self) -> Vec<PrivateParty> {
        let shared = self.shared().ok();
        let party = |section: &crate::private::config::PartySection| {
            let known = shared
                .as_ref()
                .and_then(|shared| party_of(shared, section.org).ok());
            known.unwrap_or_else(|| PrivateParty {
                name: section.name.clone(),
                org: section.org,
                identity_key: B256::ZERO,
                encryption_key: None,
                epoch: 0,
                node_key: B256::ZERO,
            })
        };
        self.section.parties.iter().map(party).collect()
    }

    fn directory(&self) -> PrivateResult<Vec<PrivateParty>> {
        let shared = self.shared()?;
        let known = shared.known();
        let mut parties = Vec::new();
        for org in known.parties.keys() {
            parties.extend(party_view(&shared, *org)?);
        }
        Ok(parties)
    }

    fn groups(&self, tenant: &Tenant) -> PrivateResult<Vec<GroupSummary>> {
        let shared = self.shared()?;
        let summary = |group: GroupRecord| {
            let first = group.members.first().copied().unwrap_or_default();
            let since = shared
                .registry
                .now(|view| view.member_since(group.id, first))
                .map_err(fault)?;
            let members = group.members.iter().map(|org| party_of(&shared, *org));
            Ok(GroupSummary {
                id: group.id,
                members: members.collect::<PrivateResult<_>>()?,
                mode: group.mode,
                mandatory: group.mandatory,
                quorum: group.quorum,
                created_at: since.unwrap_or(0),
                is_implicit: false,
            })
        };
        groups_of(&shared, tenant)
            .into_iter()
            .map(summary)
            .collect()
    }

    fn group_status(&self, tenant: &Tenant, group: B256) -> PrivateResult<GroupStatus> {
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        let live = shared.group(group).ok_or(PrivateError::UnknownGroup)?;
        let (phase, missing) = phase_of(live.phase.lock().clone());
        let store = exec::store(&shared, group).map_err(fault)?;
        let root = store.map_or(alloy_primitives::B256::ZERO, |store| store.root());
        let attestations = live
            .book
            .lock()
            .newest()
            .map(|attestation| MemberAttestation {
                org: attestation.org.into(),
                height: attestation.height,
                root: attestation.root.into(),
            })
            .collect();
        Ok(GroupStatus {
            id: group,
            phase,
            height: Height(live.height()),
            root,
            missing,
            attestations,
        })
    }

    async fn send(
        &self,
        tenant: &Tenant,
        transaction: SignedPrivateTransaction,
    ) -> PrivateResult<Sent> {
        let delivery = self.take(tenant, transaction, false).await?;
        Ok(Sent {
            digest: delivery.digest.into(),
            marker: delivery.sent_as.map(B256::from),
        })
    }

    async fn distribute(
        &self,
        tenant: &Tenant,
        transaction: SignedPrivateTransaction,
    ) -> PrivateResult<Distributed> {
        let delivery = self.take(tenant, transaction, true).await?;
        let shared = self.shared()?;
        let digest = B256::from(delivery.digest);
        let until = tokio::time::Instant::now() + DELIVERY_WAIT_MAX;
        loop {
            let looked = blocking(&shared, move |shared| {
                delivery::is_acknowledged(shared, digest)
            });
            let given_up =
                |reason| PrivateError::Unavailable(format!("envelope {digest}: {reason}"));
            if looked.await.map_err(of_ask)?.map_err(given_up)? {
                return Ok(Distributed {
                    digest,
                    tag: delivery.tag.into(),
                });
            }
            if tokio::time::Instant::now() >= until {
                return Err(PrivateError::Unavailable(format!(
                    "the members have not acknowledged envelope {digest} yet; priv_getDeliveryStatus says who is missing"
                )));
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    fn call(
        &self,
        tenant: &Tenant,
        group: B256,
        call: &PrivateCall,
        at: Option<Height>,
    ) -> PrivateResult<Bytes> {
        let shared = self.shared()?;
        let member = member(&shared, tenant, group)?;
        reading::call(&shared, &member.group, call, at, self.limits.gas)
    }

    fn estimate_gas(
        &self,
        tenant: &Tenant,
        group: B256,
        call: &PrivateCall,
        at: Option<Height>,
    ) -> PrivateResult<u64> {
        let shared = self.shared()?;
        let member = member(&shared, tenant, group)?;
        reading::estimate_gas(&shared, &member.group, call, at, self.limits.gas)
    }

    fn receipt(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Lookup<PrivateReceipt>> {
        reading::receipt(&*self.shared()?, tenant, digest)
    }

    fn transaction(
        &self,
        tenant: &Tenant,
        digest: B256,
    ) -> PrivateResult<Lookup<PrivateTransactionView>> {
        reading::transaction(&*self.shared()?, tenant, digest)
    }

    fn transaction_count(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        at: Option<Height>,
    ) -> PrivateResult<u64> {
        let shared = self.shared()?;
        let member = member(&shared, tenant, group)?;
        let executor = shared.executor_of(&member.group);
        reading::with_state(&shared, group, at, |store, at| {
            let state = store.state_at(at)?;
            executor.nonce(&state, address)
        })
        .map(Option::unwrap_or_default)
    }

    fn code(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        at: Option<Height>,
    ) -> PrivateResult<Bytes> {
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        reading::with_state(&shared, group, at, |store, at| store.code_at(at, address))
            .map(Option::unwrap_or_default)
    }

    fn storage(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        slot: B256,
        at: Option<Height>,
    ) -> PrivateResult<B256> {
        use medina_storage::StateReader as _;
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        let word = reading::with_state(&shared, group, at, |store, at| {
            Ok(store
                .state_at(at)?
                .slot(address, U256::from_be_bytes(slot.0))?)
        })?;
        Ok(word.unwrap_or_default().into())
    }

    fn logs(
        &self,
        tenant: &Tenant,
        group: B256,
        query: &PrivateLogQuery,
    ) -> PrivateResult<Vec<PrivateLog>> {
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        reading::logs(&shared, group, query)
    }

    fn proof(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        slots: &[B256],
        at: Option<Height>,
    ) -> PrivateResult<(Height, B256, AccountProof)> {
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        let slots: Vec<_> = slots
            .iter()
            .map(|slot| U256::from_be_bytes(slot.0))
            .collect();
        let proof = reading::with_state(&shared, group, at, |store, at| {
            Ok((at, store.root_at(at)?, store.proof_at(at, address, &slots)?))
        })?;
        proof.ok_or_else(nothing_yet)
    }

    fn state_root(&self, tenant: &Tenant, group: B256, at: Option<Height>) -> PrivateResult<B256> {
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        let root = reading::with_state(&shared, group, at, GroupStore::root_at)?;
        root.ok_or_else(nothing_yet)
    }

    fn dump(
        &self,
        tenant: &Tenant,
        group: B256,
        address: Address,
        at: Option<Height>,
        slots_max: usize,
    ) -> PrivateResult<AccountDump> {
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        let dump = reading::with_state(&shared, group, at, |store, at| {
            reading::dump(store, at, address, slots_max)
        })?;
        dump.ok_or_else(nothing_yet)
    }

    fn delivery(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<DeliveryStatus>> {
        reading::delivery(&*self.shared()?, tenant, digest)
    }

    async fn erase(&self, tenant: &Tenant, digest: B256, reason: String) -> PrivateResult<Erasure> {
        let shared = self.shared()?;
        let tenant = tenant.clone();
        let begun = blocking(&shared, move |shared| {
            let group = reading::group_of(shared, &tenant, digest)?;
            let group = group.ok_or_else(|| {
                PrivateError::Refused(format!("no payload {digest} of a group of yours"))
            })?;
            let member = member(shared, &tenant, group)?;
            erasing::begin(shared, member.party, &member.group, digest, reason).map_err(|error| {
                match error {
                    erasing::EraseError::Enclave(error) => of_enclave(error),
                    error => fault(error),
                }
            })
        });
        let row = begun.await.map_err(of_ask)??;
        Ok(erasure_of(&row))
    }

    fn erasure(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<Erasure>> {
        let shared = self.shared()?;
        let Some(row) = shared.rows.erasure(digest).map_err(fault)? else {
            return Ok(None);
        };
        let is_tenants = member(&shared, tenant, row.group.into()).is_ok();
        Ok(is_tenants.then(|| erasure_of(&row)))
    }

    fn audit(&self, tenant: &Tenant, from: u64, max: usize) -> PrivateResult<Vec<AuditEntry>> {
        reading::audit(&*self.shared()?, tenant, from, max)
    }

    fn payload(&self, tenant: &Tenant, handle: &Handle) -> PrivateResult<Lookup<Payload>> {
        let shared = self.shared()?;
        let digest = match handle {
            Handle::Digest(digest) => *digest,
            Handle::Compat(handle) => {
                let found = shared.enclave.digest_of(&RawHandle(handle.0));
                match found.map_err(of_enclave)? {
                    Some(digest) => digest.0.into(),
                    None => return Ok(Lookup::Unknown),
                }
            }
        };
        reading::payload(&shared, tenant, digest)
    }

    async fn store_raw(&self, tenant: &Tenant, payload: Bytes) -> PrivateResult<B512> {
        let shared = self.shared()?;
        let (got, max) = (payload.len(), self.limits.payload_bytes);
        if got > max {
            return Err(PrivateError::Limit(format!(
                "payload of {got} bytes, limit {max}"
            )));
        }
        let tenant = tenant.clone();
        let stored = blocking(&shared, move |shared| {
            let party = shared.party(tenant.org).ok_or(PrivateError::UnknownGroup)?;
            let caller = caller(shared, &tenant);
            let stored = shared.enclave.store_raw(&caller, &payload, &party.id);
            stored.map_err(of_enclave)
        });
        let handle = stored.await.map_err(of_ask)??;
        Ok(B512::from(handle.0))
    }

    async fn send_payload(
        &self,
        tenant: &Tenant,
        payload: Bytes,
        to: CompatSend,
    ) -> PrivateResult<B512> {
        if !self.is_compat() {
            return Err(no_compat());
        }
        compat::send_payload(&self.shared()?, tenant, payload, to).await
    }

    async fn send_marked(
        &self,
        tenant: &Tenant,
        transaction: CompatTransaction,
        to: CompatSend,
    ) -> PrivateResult<B256> {
        if !self.is_compat() {
            return Err(no_compat());
        }
        compat::send_marked(&self.shared()?, tenant, transaction, to).await
    }

    fn receipt_of_public(
        &self,
        tenant: &Tenant,
        hash: B256,
    ) -> PrivateResult<Lookup<PrivateReceipt>> {
        reading::receipt_of_public(&*self.shared()?, tenant, hash)
    }

    fn group_of_contract(&self, tenant: &Tenant, address: Address) -> PrivateResult<Option<B256>> {
        let shared = self.shared()?;
        for group in groups_of(&shared, tenant) {
            let code = reading::with_state(&shared, group.id, None, |store, at| {
                store.code_at(at, address)
            })?;
            if code.is_some_and(|code| !code.is_empty()) {
                return Ok(Some(group.id));
            }
        }
        Ok(None)
    }

    fn contract_privacy(
        &self,
        tenant: &Tenant,
        address: Address,
    ) -> PrivateResult<Option<ContractPrivacy>> {
        let shared = self.shared()?;
        for group in groups_of(&shared, tenant) {
            let Some(store) = exec::store(&shared, group.id).map_err(fault)? else {
                continue;
            };
            if let Some(placed) = store.creation_of(address).map_err(fault)? {
                let digest = placed.receipt.digest;
                let status = shared
                    .enclave
                    .status(&Digest(digest.0))
                    .map_err(of_enclave)?;
                let handle = match status {
                    PayloadStatus::Held(held) => held.metadata.handle,
                    PayloadStatus::Erased(_) | PayloadStatus::Missing => None,
                };
                let creation = match handle {
                    Some(handle) => Bytes::copy_from_slice(&handle.0),
                    None => Bytes::copy_from_slice(digest.as_slice()),
                };
                return Ok(Some(ContractPrivacy {
                    group: group.id,
                    creation,
                    mode: group.mode,
                    mandatory: group.mandatory,
                }));
            }
        }
        Ok(None)
    }
}

fn nothing_yet() -> PrivateError {
    PrivateError::Unavailable("the group has no state on this node yet; try again".to_owned())
}

fn no_compat() -> PrivateError {
    PrivateError::Unsupported(
        "this chain takes no marked transactions of GoQuorum's clients: use priv_sendTransaction"
            .to_owned(),
    )
}
