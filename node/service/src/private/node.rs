//! The private side as JSON-RPC asks for it: every answer is for one tenant, and
//! groups of others do not exist for it.

use crate::{
    chain::Chain,
    private::{
        compat,
        config::PrivateSection,
        erasing,
        members::blocking,
        reading, records,
        shared::Shared,
        taking,
        tenants::{caller, fault, member, no_compat, nothing_yet, of_ask, of_enclave},
        trail, views,
    },
};
use alloy_primitives::{Address, B256, B512, Bytes, U256};
use medina_enclave::RawHandle;
use medina_rpc::privacy::{
    AccountDump, AuditEntry, CompatSend, ContractPrivacy, DeliveryStatus, Distributed, Erasure,
    GroupStatus, GroupSummary, Handle, Lookup, Payload, PrivateCall, PrivateError, PrivateLimits,
    PrivateLog, PrivateLogQuery, PrivateNode, PrivateParty, PrivateReceipt, PrivateResult,
    PrivateTransactionView, Sent, Tenant,
};
use medina_storage::AccountProof;
use medina_types::{CompatTransaction, Height, SignedPrivateTransaction};
use std::sync::Arc;
use tokio::sync::watch;

/// Answers for all tenants of this node.
pub(crate) struct PrivateSide {
    shared: watch::Receiver<Option<Arc<Shared>>>,
    limits: PrivateLimits,
    section: PrivateSection,
    chain: Chain,
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
                gas: section.limits.gas_within(chain.private_gas),
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
                .and_then(|shared| views::party_of(shared, section.org).ok());
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
            parties.extend(views::party_view(&shared, *org)?);
        }
        Ok(parties)
    }

    fn groups(&self, tenant: &Tenant) -> PrivateResult<Vec<GroupSummary>> {
        views::groups(&*self.shared()?, tenant)
    }

    fn group_status(&self, tenant: &Tenant, group: B256) -> PrivateResult<GroupStatus> {
        views::group_status(&*self.shared()?, tenant, group)
    }

    async fn send(
        &self,
        tenant: &Tenant,
        transaction: SignedPrivateTransaction,
    ) -> PrivateResult<Sent> {
        let shared = self.shared()?;
        let delivery = taking::take(&shared, self.limits, tenant, transaction, false).await?;
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
        let shared = self.shared()?;
        taking::distribute(&shared, self.limits, tenant, transaction).await
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
        reading::call(&shared, tenant, &member.group, call, at, self.limits.gas)
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
        reading::estimate_gas(&shared, tenant, &member.group, call, at, self.limits.gas)
    }

    fn receipt(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Lookup<PrivateReceipt>> {
        records::receipt(&*self.shared()?, tenant, digest)
    }

    fn transaction(
        &self,
        tenant: &Tenant,
        digest: B256,
    ) -> PrivateResult<Lookup<PrivateTransactionView>> {
        records::transaction(&*self.shared()?, tenant, digest)
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
        reading::with_state(&shared, tenant, group, at, |store, at| {
            let state = store.state_at(at.private)?;
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
        reading::with_state(&shared, tenant, group, at, |store, at| {
            store.code_at(at.private, address)
        })
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
        let word = reading::with_state(&shared, tenant, group, at, |store, at| {
            Ok(store
                .state_at(at.private)?
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
        reading::logs(&shared, tenant, group, query)
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
        let proof = reading::with_state(&shared, tenant, group, at, |store, at| {
            let proof = store.proof_at(at.private, address, &slots)?;
            Ok((at.public, store.root_at(at.private)?, proof))
        })?;
        proof.ok_or_else(nothing_yet)
    }

    fn state_root(&self, tenant: &Tenant, group: B256, at: Option<Height>) -> PrivateResult<B256> {
        let shared = self.shared()?;
        member(&shared, tenant, group)?;
        let root = reading::with_state(&shared, tenant, group, at, |store, at| {
            store.root_at(at.private)
        })?;
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
        let dump = reading::with_state(&shared, tenant, group, at, |store, at| {
            reading::dump(store, at.private, address, slots_max)
        })?;
        dump.ok_or_else(nothing_yet)
    }

    fn delivery(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<DeliveryStatus>> {
        trail::delivery(&*self.shared()?, tenant, digest)
    }

    async fn erase(&self, tenant: &Tenant, digest: B256, reason: String) -> PrivateResult<Erasure> {
        let shared = self.shared()?;
        let tenant = tenant.clone();
        let begun = blocking(&shared, move |shared| {
            let group = records::group_of(shared, &tenant, digest)?;
            let group = group.ok_or_else(|| {
                PrivateError::Refused(format!("no payload {digest} of a group of yours"))
            })?;
            let member = member(shared, &tenant, group)?;
            erasing::begin(shared, member.party, &member.group, digest, reason).map_err(|error| {
                match error {
                    erasing::EraseError::Enclave(error) => of_enclave(error),
                    error @ erasing::EraseError::NotAllowed => {
                        PrivateError::Refused(error.to_string())
                    }
                    error => fault(error),
                }
            })
        });
        let row = begun.await.map_err(of_ask)??;
        Ok(views::erasure_of(&row))
    }

    fn erasure(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<Erasure>> {
        let shared = self.shared()?;
        let Some(row) = shared.rows.erasure(digest).map_err(fault)? else {
            return Ok(None);
        };
        let is_tenants = member(&shared, tenant, row.group.into()).is_ok();
        Ok(is_tenants.then(|| views::erasure_of(&row)))
    }

    fn audit(&self, tenant: &Tenant, from: u64, max: usize) -> PrivateResult<Vec<AuditEntry>> {
        trail::audit(&*self.shared()?, tenant, from, max)
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
        records::payload(&shared, tenant, digest)
    }

    async fn store_raw(&self, tenant: &Tenant, payload: Bytes) -> PrivateResult<B512> {
        let shared = self.shared()?;
        let (got, max) = (payload.len(), self.limits.payload_bytes);
        if got > max {
            return Err(PrivateError::Limit(format!(
                "payload of {got} bytes, limit {max}"
            )));
        }
        compat::check_rate(&shared, tenant)?;
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
        records::receipt_of_public(&*self.shared()?, tenant, hash)
    }

    fn group_of_contract(&self, tenant: &Tenant, address: Address) -> PrivateResult<Option<B256>> {
        views::group_of_contract(&*self.shared()?, tenant, address)
    }

    fn contract_privacy(
        &self,
        tenant: &Tenant,
        address: Address,
    ) -> PrivateResult<Option<ContractPrivacy>> {
        views::contract_privacy(&*self.shared()?, tenant, address)
    }
}
