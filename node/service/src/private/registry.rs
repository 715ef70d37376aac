//! The contract `PrivateGroups` as this node reads it: calls on its own state, never a
//! question to anybody else. What decides over private state is read at the public
//! block at hand, so that all members read the same.

use crate::private::{attestation::Attestation, audit_anchor::AuditAnchor};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, sol};
use medina_enclave::{AuditHead, PartyId, RecipientKey};
use medina_execution::{CallEnvironment, CallRequest, Executor, private::PRIVATE_GROUPS};
use medina_storage::{StateReader, StorageError, Store};
use medina_types::{Height, NodePublicKey, PrivacyMode};
use std::{collections::BTreeMap, sync::Arc};

/// Gas of one question; a group of 64 members is read within it.
const QUESTION_GAS: u64 = 5_000_000;
/// Parties and groups that are read one after the other in one look.
pub(crate) const LISTED_MAX: u64 = 100_000;

sol! {
    struct PartyRow {
        bytes32 identityKey;
        bytes32 nodeKey;
        uint48 since;
        uint32 epoch;
    }

    struct GroupRow {
        bytes32 name;
        uint48 since;
        uint8 mode;
        uint16 quorum;
        uint32 attestEvery;
        bytes32[] members;
        bytes32[] mandatory;
    }

    function party(bytes32 org) external view returns (PartyRow memory);
    function currentKey(bytes32 org) external view returns (uint32 epoch, bytes32 key, uint48 validFrom);
    function orgOf(bytes32 identityKey) external view returns (bytes32);
    function partyCount() external view returns (uint256);
    function partyAt(uint256 index) external view returns (bytes32);
    function group(bytes32 id) external view returns (GroupRow memory);
    function groupCount() external view returns (uint256);
    function groupAt(uint256 index) external view returns (bytes32);
    function secretVersion(bytes32 id) external view returns (uint32);
    function memberSince(bytes32 id, bytes32 org) external view returns (uint64);
    function skipOf(bytes32 id, bytes32 digest) external view returns (uint64 height, uint8 yes);
    function erasedAt(bytes32 id, bytes32 digest) external view returns (uint64);
    function auditOf(bytes32 org) external view returns (uint64 entries, bytes32 head, uint64 height);

    function publishKey(bytes32 org, uint32 epoch, bytes32 key, uint48 validFrom, bytes calldata signature) external;
    function reportErased(bytes32 id, bytes32 digest, bytes32 receiptsHash) external;
    function recordAudit(bytes32 org, uint64 entries, bytes32 head) external;
}

/// Why the contract gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The chain was made without it.
    #[error("this chain has no PrivateGroups contract: it was made without private transactions")]
    NoContract,
    /// A call failed, or answered what is no answer.
    #[error("the PrivateGroups contract gave no answer: {0}")]
    NoAnswer(String),
    /// The state cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A party as it is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartyRecord {
    /// Its identity key.
    pub(crate) id: PartyId,
    /// Node that serves it.
    pub(crate) node: NodePublicKey,
    /// Newest epoch that it published, 0 before the first.
    pub(crate) epoch: u32,
}

/// A group as it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    /// Its id.
    pub(crate) id: B256,
    /// Its mode.
    pub(crate) mode: PrivacyMode,
    /// Acknowledgements wanted beside the mandatory ones; 0 for all.
    pub(crate) quorum: u16,
    /// Members attest at heights that this divides.
    pub(crate) attest_every: u64,
    /// How many members have left so far.
    pub(crate) secret_version: u32,
    /// Its members.
    pub(crate) members: Vec<B256>,
    /// Those whose acknowledgement delivery always waits for.
    pub(crate) mandatory: Vec<B256>,
}

impl GroupRecord {
    /// Whether an organisation is a member.
    pub(crate) fn has(&self, org: &B256) -> bool {
        self.members.contains(org)
    }
}

/// Reads the contract. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registry {
    store: Store,
    executor: Arc<Executor>,
    contract: Address,
}

impl Registry {
    /// Of this chain.
    ///
    /// # Errors
    /// [`RegistryError::NoContract`].
    pub(crate) fn new(store: Store, executor: Arc<Executor>) -> Result<Self, RegistryError> {
        let contract = executor.spec().contracts.get(PRIVATE_GROUPS).copied();
        Ok(Self {
            contract: contract
                .filter(|address| !address.is_zero())
                .ok_or(RegistryError::NoContract)?,
            store,
            executor,
        })
    }

    /// Its address.
    pub(crate) const fn contract(&self) -> Address {
        self.contract
    }

    /// Answers from the head.
    pub(crate) fn now<T>(
        &self,
        read: impl FnOnce(&View<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let head = self.store.head();
        let state = self.store.state();
        read(&View {
            registry: self,
            state: &state,
            environment: self.executor.environment_of(&head.header),
        })
    }

    /// Answers from the state after a block.
    ///
    /// # Errors
    /// [`StorageError::StatePruned`] among others.
    pub(crate) fn at<T>(
        &self,
        height: Height,
        read: impl FnOnce(&View<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let state = self.store.state_at(height)?;
        let header = self.store.header_by_number(height)?;
        let head = self.store.head().height;
        let unknown = StorageError::UnknownHeight {
            asked: height,
            head,
        };
        let header = header.ok_or(unknown)?;
        read(&View {
            registry: self,
            state: &state,
            environment: self.executor.environment_of(&header),
        })
    }
}

/// The contract at one block.
pub(crate) struct View<'a> {
    registry: &'a Registry,
    state: &'a dyn StateReader,
    environment: CallEnvironment,
}

impl View<'_> {
    fn ask<C: SolCall>(&self, call: &C) -> Result<C::Return, RegistryError> {
        let request = CallRequest {
            to: Some(self.registry.contract),
            gas: Some(QUESTION_GAS),
            input: Bytes::from(call.abi_encode()),
            ..CallRequest::default()
        };
        let executor = &self.registry.executor;
        let outcome = executor
            .call(self.state, self.environment, &request)
            .map_err(|error| RegistryError::NoAnswer(error.to_string()))?;
        if !outcome.is_success() {
            let text = format!("{}: {:?}", C::SIGNATURE, outcome.status);
            return Err(RegistryError::NoAnswer(text));
        }
        C::abi_decode_returns(&outcome.output)
            .map_err(|error| RegistryError::NoAnswer(format!("{}: {error}", C::SIGNATURE)))
    }

    /// A party, `None` if the organisation has none.
    pub(crate) fn party(&self, org: B256) -> Result<Option<PartyRecord>, RegistryError> {
        let row = self.ask(&partyCall { org })?;
        Ok((!row.identityKey.is_zero()).then_some(PartyRecord {
            id: PartyId(row.identityKey.0),
            node: NodePublicKey(row.nodeKey.0),
            epoch: row.epoch,
        }))
    }

    /// The key to encrypt to now, `None` before the first is valid.
    pub(crate) fn key(&self, org: B256) -> Result<Option<RecipientKey>, RegistryError> {
        let Some(party) = self.party(org)? else {
            return Ok(None);
        };
        let key = self.ask(&currentKeyCall { org })?;
        Ok((!key.key.is_zero()).then_some(RecipientKey {
            party: party.id,
            epoch: key.epoch,
            x25519: key.key.0,
        }))
    }

    /// Whose identity key this is or was.
    pub(crate) fn owner_of(&self, party: PartyId) -> Result<Option<B256>, RegistryError> {
        let identity = B256::from(party.0);
        let org = self.ask(&orgOfCall {
            identityKey: identity,
        })?;
        Ok((!org.is_zero()).then_some(org))
    }

    /// Whose identity key this is; one that was replaced since is nobody's.
    pub(crate) fn org_of(&self, party: PartyId) -> Result<Option<B256>, RegistryError> {
        let identity = B256::from(party.0);
        let org = self.ask(&orgOfCall {
            identityKey: identity,
        })?;
        if org.is_zero() {
            return Ok(None);
        }
        // The contract keeps old keys, so that nobody else takes them.
        let now = self.party(org)?;
        Ok(now.filter(|now| now.id == party).map(|_| org))
    }

    /// All parties.
    pub(crate) fn parties(&self) -> Result<BTreeMap<B256, PartyRecord>, RegistryError> {
        let count = self.ask(&partyCountCall {})?.saturating_to::<u64>();
        let mut parties = BTreeMap::new();
        for index in 1..=count.min(LISTED_MAX) {
            let org = self.ask(&partyAtCall {
                index: U256::from(index),
            })?;
            if let Some(party) = self.party(org)? {
                parties.insert(org, party);
            }
        }
        Ok(parties)
    }

    /// A group, `None` if there is none of this id.
    pub(crate) fn group(&self, id: B256) -> Result<Option<GroupRecord>, RegistryError> {
        let row = self.ask(&groupCall { id })?;
        if row.since.to::<u64>() == 0 {
            return Ok(None);
        }
        let mode = PrivacyMode::try_from(row.mode)
            .map_err(|error| RegistryError::NoAnswer(error.to_string()))?;
        Ok(Some(GroupRecord {
            id,
            mode,
            quorum: row.quorum,
            attest_every: u64::from(row.attestEvery).max(1),
            secret_version: self.secret_version(id)?,
            members: row.members,
            mandatory: row.mandatory,
        }))
    }

    /// How many groups there are.
    pub(crate) fn group_count(&self) -> Result<u64, RegistryError> {
        Ok(self.ask(&groupCountCall {})?.saturating_to::<u64>())
    }

    /// The group of a number, from 1.
    pub(crate) fn group_at(&self, index: u64) -> Result<B256, RegistryError> {
        self.ask(&groupAtCall {
            index: U256::from(index),
        })
    }

    /// Block in which a member joined, `None` if it is none.
    pub(crate) fn member_since(&self, id: B256, org: B256) -> Result<Option<u64>, RegistryError> {
        let since = self.ask(&memberSinceCall { id, org })?;
        Ok((since != 0).then_some(since))
    }

    /// How many members have left a group so far: the version of its secret.
    pub(crate) fn secret_version(&self, id: B256) -> Result<u32, RegistryError> {
        self.ask(&secretVersionCall { id })
    }

    /// Block in which the members passed a marker over.
    pub(crate) fn skipped_at(&self, id: B256, digest: B256) -> Result<Option<u64>, RegistryError> {
        let skip = self.ask(&skipOfCall { id, digest })?;
        Ok((skip.height != 0).then_some(skip.height))
    }

    /// Block in which more than half of the members had reported a payload erased.
    pub(crate) fn erased_at(&self, id: B256, digest: B256) -> Result<Option<u64>, RegistryError> {
        let erased = self.ask(&erasedAtCall { id, digest })?;
        Ok((erased != 0).then_some(erased))
    }

    /// What an organisation wrote of its audit log, `None` before the first time.
    pub(crate) fn audit_of(&self, org: B256) -> Result<Option<AuditAnchor>, RegistryError> {
        let found = self.ask(&auditOfCall { org })?;
        let head = AuditHead {
            entries: found.entries,
            hash: found.head.0,
        };
        Ok((found.height != 0).then_some(AuditAnchor {
            head,
            height: found.height,
        }))
    }

    /// Whether the identity key of a member's organisation signed an attestation.
    pub(crate) fn is_signed(
        &self,
        chain_id: u64,
        group: B256,
        attestation: &Attestation,
    ) -> Result<bool, RegistryError> {
        let Some(party) = self.party(B256::from(attestation.org))? else {
            return Ok(false);
        };
        let message = medina_enclave::attestation_hash(
            chain_id,
            medina_enclave::GroupId(group.0),
            attestation.height,
            attestation.root,
        );
        let Ok(signature) = <[u8; 64]>::try_from(attestation.signature.as_slice()) else {
            return Ok(false);
        };
        let signature = medina_types::NodeSignature(signature);
        Ok(party.id.verify(&message, &signature).is_ok())
    }
}

/// Input of the transaction that publishes an epoch key.
pub(crate) fn publish_key_input(
    org: B256,
    key: &medina_enclave::EpochKey,
    signature: &medina_types::NodeSignature,
) -> Bytes {
    let valid_from = key.valid_from_s.min((1 << 48) - 1);
    let call = publishKeyCall {
        org,
        epoch: key.epoch,
        key: B256::from(key.x25519),
        validFrom: alloy_primitives::aliases::U48::from(valid_from),
        signature: Bytes::copy_from_slice(&signature.0),
    };
    Bytes::from(call.abi_encode())
}

/// Input of the transaction that says how far an audit log is.
pub(crate) fn record_audit_input(org: B256, head: &AuditHead) -> Bytes {
    let call = recordAuditCall {
        org,
        entries: head.entries,
        head: B256::from(head.hash),
    };
    Bytes::from(call.abi_encode())
}

/// Input of the transaction that reports an erasure.
pub(crate) fn report_erased_input(group: B256, digest: B256, receipts_hash: B256) -> Bytes {
    let call = reportErasedCall {
        id: group,
        digest,
        receiptsHash: receipts_hash,
    };
    Bytes::from(call.abi_encode())
}
