//! A private side in memory that trusts whoever asks: what keeps tenants apart in
//! these tests is the server. What the real one answers is tested on networks of
//! processes.

use alloy_primitives::{Address, B256, B512, Bytes, Log, U256, keccak256};
use medina_rpc::privacy::*;
use medina_storage::AccountProof;
use medina_types::{CompatTransaction, Height, PrivacyMode, SignedPrivateTransaction};
use parking_lot::Mutex;

pub(crate) const CLINIC: B256 = B256::repeat_byte(0xc1);
pub(crate) const LAB: B256 = B256::repeat_byte(0x1a);
pub(crate) const BANK: B256 = B256::repeat_byte(0xba);
pub(crate) const CLINICS_GROUP: B256 = B256::repeat_byte(0x11);
pub(crate) const LABS_GROUP: B256 = B256::repeat_byte(0x22);
pub(crate) const CONTRACT: Address = Address::repeat_byte(0x7c);
pub(crate) const DIGEST: B256 = B256::repeat_byte(0xd1);
pub(crate) const ERASED: B256 = B256::repeat_byte(0xe1);
/// In every answer that only members may see.
pub(crate) const SECRET: &str = "5ec2e75ec2e75ec2";
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1_024;
pub(crate) const GAS_MAX: u64 = 10_000_000;

pub(crate) fn secret() -> Bytes {
    alloy_primitives::hex::decode(SECRET).unwrap().into()
}

/// See the module's text.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) is_compat: bool,
    /// Tenants whose requests came through, by what they asked.
    pub(crate) asked: Mutex<Vec<(&'static str, Tenant)>>,
    pub(crate) sent: Mutex<Vec<CompatSend>>,
    pub(crate) stored: Mutex<Vec<Bytes>>,
    /// What became of public transactions.
    pub(crate) of_public: Mutex<Option<Lookup<PrivateReceipt>>>,
}

pub(crate) fn party(name: &str, org: B256) -> PrivateParty {
    PrivateParty {
        name: name.into(),
        org,
        identity_key: keccak256(org),
        encryption_key: Some(keccak256(keccak256(org))),
        epoch: 1,
        node_key: B256::repeat_byte(9),
    }
}

fn group(id: B256, member: PrivateParty) -> GroupSummary {
    GroupSummary {
        id,
        members: vec![member, party("bank", BANK)],
        mode: PrivacyMode::Standard,
        mandatory: Vec::new(),
        quorum: 0,
        created_at: 1,
        is_implicit: false,
    }
}

pub(crate) fn receipt(digest: B256) -> PrivateReceipt {
    PrivateReceipt {
        digest,
        group: CLINICS_GROUP,
        marker: B256::repeat_byte(0x3a),
        block_hash: B256::repeat_byte(0xb1),
        block_number: 5,
        transaction_index: 2,
        from: Address::repeat_byte(0xf1),
        to: None,
        contract_address: Some(CONTRACT),
        outcome: PrivateOutcome::Executed,
        success: true,
        gas_used: 777,
        logs: vec![Log::new_unchecked(CONTRACT, Vec::new(), secret())],
        first_log_index: 0,
        output: secret(),
        reason: None,
    }
}

fn tombstone() -> Tombstone {
    Tombstone {
        digest: ERASED,
        reason: "consent withdrawn".into(),
        erased_at: 1_700_000_000,
    }
}

fn word() -> B256 {
    let mut word = B256::ZERO;
    word[..8].copy_from_slice(&secret());
    word
}

/// A signed transaction that nobody checks here.
fn some_transaction() -> SignedPrivateTransaction {
    let signer = super::account(1);
    super::signed_private(&signer, CLINICS_GROUP, 0, secret())
}

impl Memory {
    fn note(&self, what: &'static str, tenant: &Tenant) {
        self.asked.lock().push((what, tenant.clone()));
    }

    fn look<T>(&self, digest: B256, found: T) -> PrivateResult<Lookup<T>> {
        Ok(match digest {
            DIGEST => Lookup::Found(found),
            ERASED => Lookup::Erased(tombstone()),
            _ => Lookup::Unknown,
        })
    }
}

#[async_trait::async_trait]
impl PrivateNode for Memory {
    fn is_compat(&self) -> bool {
        self.is_compat
    }

    fn limits(&self) -> PrivateLimits {
        PrivateLimits {
            payload_bytes: PAYLOAD_BYTES_MAX,
            gas: GAS_MAX,
        }
    }

    fn parties(&self) -> Vec<PrivateParty> {
        vec![party("clinic", CLINIC), party("lab", LAB)]
    }

    fn directory(&self) -> PrivateResult<Vec<PrivateParty>> {
        let mut all = self.parties();
        all.push(party("bank", BANK));
        Ok(all)
    }

    fn groups(&self, tenant: &Tenant) -> PrivateResult<Vec<GroupSummary>> {
        self.note("groups", tenant);
        Ok(match tenant.org {
            CLINIC => vec![group(CLINICS_GROUP, party("clinic", CLINIC))],
            LAB => vec![group(LABS_GROUP, party("lab", LAB))],
            _ => Vec::new(),
        })
    }

    fn group_status(&self, tenant: &Tenant, group: B256) -> PrivateResult<GroupStatus> {
        self.note("group_status", tenant);
        Ok(GroupStatus {
            id: group,
            phase: GroupPhase::Halted {
                member: BANK,
                height: 64,
                reason: SECRET.into(),
            },
            height: Height(70),
            root: word(),
            missing: Vec::new(),
            attestations: Vec::new(),
            disputed_by: Vec::new(),
        })
    }

    async fn send(&self, tenant: &Tenant, _: SignedPrivateTransaction) -> PrivateResult<Sent> {
        self.note("send", tenant);
        Ok(Sent {
            digest: word(),
            marker: None,
        })
    }

    async fn distribute(
        &self,
        tenant: &Tenant,
        _: SignedPrivateTransaction,
    ) -> PrivateResult<Distributed> {
        self.note("distribute", tenant);
        Ok(Distributed {
            digest: word(),
            tag: B256::repeat_byte(7),
        })
    }

    fn call(
        &self,
        tenant: &Tenant,
        _: B256,
        call: &PrivateCall,
        _: Option<Height>,
    ) -> PrivateResult<Bytes> {
        self.note("call", tenant);
        match call.input.first() {
            Some(0xff) => Err(PrivateError::Reverted(secret())),
            _ => Ok(secret()),
        }
    }

    fn estimate_gas(
        &self,
        tenant: &Tenant,
        _: B256,
        _: &PrivateCall,
        _: Option<Height>,
    ) -> PrivateResult<u64> {
        self.note("estimate_gas", tenant);
        Ok(0x5ec2_e75e_c2e7_5ec2)
    }

    fn receipt(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Lookup<PrivateReceipt>> {
        self.note("receipt", tenant);
        self.look(digest, receipt(digest))
    }

    fn transaction(
        &self,
        tenant: &Tenant,
        digest: B256,
    ) -> PrivateResult<Lookup<PrivateTransactionView>> {
        self.note("transaction", tenant);
        let view = PrivateTransactionView {
            digest,
            from: Address::repeat_byte(0xf1),
            transaction: some_transaction(),
            marker: None,
            place: None,
        };
        self.look(digest, view)
    }

    fn transaction_count(
        &self,
        tenant: &Tenant,
        _: B256,
        _: Address,
        _: Option<Height>,
    ) -> PrivateResult<u64> {
        self.note("transaction_count", tenant);
        Ok(0x5ec2_e75e_c2e7_5ec2)
    }

    fn code(
        &self,
        tenant: &Tenant,
        _: B256,
        _: Address,
        _: Option<Height>,
    ) -> PrivateResult<Bytes> {
        self.note("code", tenant);
        Ok(secret())
    }

    fn storage(
        &self,
        tenant: &Tenant,
        _: B256,
        _: Address,
        _: B256,
        _: Option<Height>,
    ) -> PrivateResult<B256> {
        self.note("storage", tenant);
        Ok(word())
    }

    fn logs(
        &self,
        tenant: &Tenant,
        group: B256,
        _: &PrivateLogQuery,
    ) -> PrivateResult<Vec<PrivateLog>> {
        self.note("logs", tenant);
        if group != CLINICS_GROUP {
            return Ok(Vec::new());
        }
        Ok(vec![PrivateLog {
            log: Log::new_unchecked(CONTRACT, Vec::new(), secret()),
            digest: DIGEST,
            marker: B256::repeat_byte(0x3a),
            block_hash: B256::repeat_byte(0xb1),
            block_number: 0,
            block_timestamp: 1,
            transaction_index: 2,
            log_index: 0,
        }])
    }

    fn proof(
        &self,
        tenant: &Tenant,
        _: B256,
        address: Address,
        _: &[B256],
        _: Option<Height>,
    ) -> PrivateResult<(Height, B256, AccountProof)> {
        self.note("proof", tenant);
        let proof = AccountProof {
            address,
            account: None,
            storage_hash: word(),
            account_proof: Vec::new(),
            storage_proofs: Vec::new(),
        };
        Ok((Height(7), word(), proof))
    }

    fn state_root(&self, tenant: &Tenant, group: B256, _: Option<Height>) -> PrivateResult<B256> {
        self.note("state_root", tenant);
        Ok(if group == CLINICS_GROUP {
            word()
        } else {
            group
        })
    }

    fn dump(
        &self,
        tenant: &Tenant,
        _: B256,
        _: Address,
        _: Option<Height>,
        _: usize,
    ) -> PrivateResult<AccountDump> {
        self.note("dump", tenant);
        Ok(AccountDump {
            nonce: 1,
            balance: U256::ZERO,
            storage_root: word(),
            code_hash: B256::ZERO,
            code: secret(),
            storage: Default::default(),
        })
    }

    fn delivery(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<DeliveryStatus>> {
        self.note("delivery", tenant);
        Ok((digest == DIGEST).then(|| DeliveryStatus {
            digest,
            group: CLINICS_GROUP,
            is_policy_met: false,
            quorum: 0,
            recipients: Vec::new(),
            marker: None,
            block_number: None,
            failure: Some(SECRET.into()),
        }))
    }

    async fn erase(&self, tenant: &Tenant, _: B256, reason: String) -> PrivateResult<Erasure> {
        self.note("erase", tenant);
        let mut erasure = self.erasure(tenant, ERASED)?.unwrap();
        erasure.tombstone.reason = format!("{reason} {SECRET}");
        Ok(erasure)
    }

    fn erasure(&self, tenant: &Tenant, digest: B256) -> PrivateResult<Option<Erasure>> {
        self.note("erasure", tenant);
        Ok((digest == ERASED).then(|| Erasure {
            tombstone: Tombstone {
                reason: SECRET.into(),
                ..tombstone()
            },
            group: CLINICS_GROUP,
            receipts: Vec::new(),
            pending: vec![BANK],
            event: None,
        }))
    }

    fn audit(&self, tenant: &Tenant, from: u64, max: usize) -> PrivateResult<Vec<AuditEntry>> {
        self.note("audit", tenant);
        // Each tenant has a log of its own.
        let owner = match tenant.org {
            CLINIC => SECRET.to_owned(),
            _ => "another".to_owned(),
        };
        Ok(vec![AuditEntry {
            index: from,
            at: max as u64,
            action: "read".into(),
            actor: owner,
            group: None,
            digest: None,
            previous: B256::ZERO,
            hash: B256::ZERO,
        }])
    }

    fn payload(&self, tenant: &Tenant, handle: &Handle) -> PrivateResult<Lookup<Payload>> {
        self.note("payload", tenant);
        let payload = Payload {
            data: secret(),
            group: Some(CLINICS_GROUP),
            mode: PrivacyMode::Standard,
            is_sender: true,
            parties: vec![party("clinic", CLINIC), party("bank", BANK)],
        };
        let digest = B256::from_slice(&handle.as_bytes()[..32]);
        self.look(digest, payload)
    }

    async fn store_raw(&self, tenant: &Tenant, payload: Bytes) -> PrivateResult<B512> {
        self.note("store_raw", tenant);
        self.stored.lock().push(payload);
        Ok(B512::repeat_byte(0x5e))
    }

    async fn send_payload(
        &self,
        tenant: &Tenant,
        payload: Bytes,
        to: CompatSend,
    ) -> PrivateResult<B512> {
        self.note("send_payload", tenant);
        self.stored.lock().push(payload);
        self.sent.lock().push(to);
        Ok(B512::repeat_byte(0x5f))
    }

    async fn send_marked(
        &self,
        tenant: &Tenant,
        transaction: CompatTransaction,
        to: CompatSend,
    ) -> PrivateResult<B256> {
        self.note("send_marked", tenant);
        self.sent.lock().push(to);
        Ok(transaction.public_hash())
    }

    async fn distribute_marked(
        &self,
        tenant: &Tenant,
        _: CompatTransaction,
        to: CompatSend,
    ) -> PrivateResult<B512> {
        self.note("distribute_marked", tenant);
        self.sent.lock().push(to);
        Ok(B512::repeat_byte(0x60))
    }

    fn receipt_of_public(&self, tenant: &Tenant, _: B256) -> PrivateResult<Lookup<PrivateReceipt>> {
        self.note("receipt_of_public", tenant);
        Ok(self.of_public.lock().clone().unwrap_or(Lookup::Unknown))
    }

    fn group_of_contract(&self, tenant: &Tenant, address: Address) -> PrivateResult<Option<B256>> {
        self.note("group_of_contract", tenant);
        Ok((address == CONTRACT).then_some(CLINICS_GROUP))
    }

    fn contract_privacy(
        &self,
        tenant: &Tenant,
        address: Address,
    ) -> PrivateResult<Option<ContractPrivacy>> {
        self.note("contract_privacy", tenant);
        Ok((address == CONTRACT).then(|| ContractPrivacy {
            group: CLINICS_GROUP,
            creation: secret(),
            mode: PrivacyMode::MandatoryRecipients,
            mandatory: vec![BANK],
        }))
    }
}
