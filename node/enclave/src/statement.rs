//! What a party's identity key signs.
//!
//! Two kinds, which can never be taken for each other: *certificates* for the contract
//! `PrivateGroups` sign a 32-byte keccak256 of an ABI encoding; everything else signs its domain's
//! name, a zero byte and the message. A hash that begins with a domain's name cannot be found.

use crate::{Digest, EnclaveError, GroupId, PartyId, limits};
use alloy_primitives::{Address, keccak256};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{KeyError, NodeSignature};

/// What a signed message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SignDomain {
    /// An envelope arrived and is stored.
    Acknowledgement,
    /// A member asks the others to forget a payload.
    ErasureRequest,
    /// A holder has forgotten a payload; made by [`crate::Enclave::erase`] only.
    ErasureReceipt,
    /// A question to another member: fetch, secret, snapshot.
    Request,
    /// Part of a snapshot of the private state.
    Snapshot,
    /// The head of the audit log.
    AuditHead,
    /// The sender's name under an envelope; made by [`crate::Enclave::seal`] only.
    Envelope,
    /// A member's name under a wrapped key; made by the enclave only.
    Wrap,
    /// A member's name under a shared group secret; made by the enclave only.
    GroupSecret,
}

impl SignDomain {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Acknowledgement => b"medina.private.acknowledgement.v1",
            Self::ErasureRequest => b"medina.private.erasure-request.v1",
            Self::ErasureReceipt => b"medina.private.erasure-receipt.v1",
            Self::Request => b"medina.private.request.v1",
            Self::Snapshot => b"medina.private.snapshot.v1",
            Self::AuditHead => b"medina.private.audit-head.v1",
            Self::Envelope => b"medina.private.envelope.v1",
            Self::Wrap => b"medina.private.wrap.v1",
            Self::GroupSecret => b"medina.private.group-secret.v1",
        }
    }

    /// Whether callers may have messages of this domain signed; the others the enclave makes
    /// itself, about what it did itself.
    pub(crate) const fn is_open(self) -> bool {
        matches!(
            self,
            Self::Acknowledgement
                | Self::ErasureRequest
                | Self::Request
                | Self::Snapshot
                | Self::AuditHead
        )
    }

    /// The bytes that are signed for a message of this domain.
    #[must_use]
    pub fn signed_bytes(self, message: &[u8]) -> Vec<u8> {
        [self.name(), &[0], message].concat()
    }
}

/// Checks that a party signed a message of a domain.
///
/// # Errors
/// [`KeyError::NotAKey`] or [`KeyError::BadSignature`].
pub fn verify(
    party: &PartyId,
    domain: SignDomain,
    message: &[u8],
    signature: &NodeSignature,
) -> Result<(), KeyError> {
    party.verify(&domain.signed_bytes(message), signature)
}

/// What the contract `PrivateGroups` and the other members read: signed as
/// keccak256(abi.encode(domain, chain id, ...)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Certificate {
    /// The party belongs to an organisation and is served by a node.
    Party {
        /// Chain on which it is registered.
        chain_id: u64,
        /// Address of `PrivateGroups`.
        contract: [u8; 20],
        /// The organisation.
        org: [u8; 32],
        /// Ed25519 key of the node.
        node_key: [u8; 32],
    },
    /// An epoch key of the party; the enclave fills in key and time from what it holds.
    EpochKey {
        /// Chain on which it is published.
        chain_id: u64,
        /// Address of `PrivateGroups`.
        contract: [u8; 20],
        /// The organisation.
        org: [u8; 32],
        /// Number of the key.
        epoch: u32,
    },
    /// The root of the group's private state after a height.
    Attestation {
        /// The chain.
        chain_id: u64,
        /// The group.
        group: GroupId,
        /// Public height.
        height: u64,
        /// Private state root after it.
        root: [u8; 32],
    },
}

/// A 32-byte word of an ABI encoding.
fn word(value: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}

fn encoded_hash(domain: &str, words: &[[u8; 32]]) -> [u8; 32] {
    let domain = keccak256(domain).0;
    keccak256([&[domain], words].concat().concat()).0
}

/// Hash that a party signs to register; see `IPrivateGroups.registerParty`.
#[must_use]
pub fn party_hash(
    chain_id: u64,
    contract: Address,
    org: [u8; 32],
    party: PartyId,
    node_key: [u8; 32],
) -> [u8; 32] {
    encoded_hash(
        "medina.private.party.v1",
        &[
            word(chain_id),
            contract.into_word().0,
            org,
            party.0,
            node_key,
        ],
    )
}

/// Hash that a party signs to publish an epoch key; see `IPrivateGroups.publishKey`.
#[must_use]
pub fn epoch_key_hash(
    chain_id: u64,
    contract: Address,
    org: [u8; 32],
    epoch: u32,
    x25519: [u8; 32],
    valid_from_s: u64,
) -> [u8; 32] {
    encoded_hash(
        "medina.private.key.v1",
        &[
            word(chain_id),
            contract.into_word().0,
            org,
            word(epoch.into()),
            x25519,
            word(valid_from_s),
        ],
    )
}

/// Hash that a member signs to attest a root; see `IPrivateGroups.anchorFor`.
#[must_use]
pub fn attestation_hash(chain_id: u64, group: GroupId, height: u64, root: [u8; 32]) -> [u8; 32] {
    encoded_hash(
        "medina.private.attestation.v1",
        &[word(chain_id), group.0, word(height), root],
    )
}

/// What a holder gives from its hand when it has forgotten a payload.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ErasureReceipt {
    /// Who forgot.
    pub party: PartyId,
    /// What.
    pub digest: Digest,
    /// Why, as the order said.
    pub reason: String,
    /// When the tombstone was set, seconds since 1970.
    pub erased_at_s: u64,
    /// Whether a key was held; a holder that never had the payload only keeps it away.
    pub was_held: bool,
    /// The party's signature over all of this.
    pub signature: NodeSignature,
}

impl ErasureReceipt {
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(128 + self.reason.len());
        let fields = (
            self.party,
            self.digest,
            &self.reason,
            self.erased_at_s,
            self.was_held,
        );
        fields
            .serialize(&mut message)
            .expect("writing to memory cannot fail");
        message
    }

    /// Checks the party's signature.
    ///
    /// # Errors
    /// [`EnclaveError::BadRequest`] if it is not the party's.
    pub fn verify(&self) -> Result<(), EnclaveError> {
        verify(
            &self.party,
            SignDomain::ErasureReceipt,
            &self.message(),
            &self.signature,
        )
        .map_err(|error| EnclaveError::BadRequest(format!("erasure receipt: {error}")))
    }

    /// The encoded receipt.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory cannot fail")
    }

    /// Reads a receipt and checks it.
    ///
    /// # Errors
    /// [`EnclaveError::BadRequest`] if it is malformed or not signed by its party.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnclaveError> {
        let bad = |reason: String| EnclaveError::BadRequest(format!("erasure receipt: {reason}"));
        if bytes.len() > limits::TEXT_BYTES_MAX + 256 {
            return Err(bad(format!("{} bytes", bytes.len())));
        }
        let receipt: Self = borsh::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        receipt.verify()?;
        Ok(receipt)
    }
}

/// keccak256 of receipts in the order of their parties, for `IPrivateGroups.reportErased`.
#[must_use]
pub fn receipts_hash(receipts: &[ErasureReceipt]) -> [u8; 32] {
    let mut sorted: Vec<&ErasureReceipt> = receipts.iter().collect();
    sorted.sort_by_key(|receipt| receipt.party);
    let encoded: Vec<u8> = sorted
        .iter()
        .flat_map(|receipt| receipt.to_bytes())
        .collect();
    keccak256(encoded).0
}
