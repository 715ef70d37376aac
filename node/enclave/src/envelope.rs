//! The sealed form in which a private payload travels and rests.
//!
//! ```text
//! payload --XChaCha20-Poly1305--> ciphertext      key: 32 random bytes, new for every payload
//!             with the metadata authenticated
//! digest = keccak256(domain, suite, metadata, key commitment, nonce, ciphertext)
//! sender signs the digest; each member's key is wrapped by HPKE with info = digest
//! ```
//!
//! The digest goes into the public marker, so that a sender cannot serve two payloads for one
//! marker. ChaCha20-Poly1305 does not commit to its key: a malicious sender could make one
//! ciphertext that opens differently under two keys. The key commitment closes that.
//!
//! The wraps are outside the digest: any member can wrap the key for another one later. Who did
//! signs the wrap.

use crate::{Digest, EnclaveError, GroupId, PartyId, RawHandle, SignDomain, limits, verify};
use alloy_primitives::keccak256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::NodeSignature;
use std::fmt;

/// The only suite so far: XChaCha20-Poly1305, HPKE base mode with X25519, HKDF-SHA256 and
/// ChaCha20-Poly1305, ed25519, keccak256. A later one (X25519 with ML-KEM) takes the next number.
pub const SUITE: u8 = 1;

/// Version of [`Metadata`].
pub const METADATA_VERSION: u8 = 1;

pub(crate) const DIGEST_DOMAIN: &[u8] = b"medina.private.digest.v1";
const RECIPIENTS_DOMAIN: &[u8] = b"medina.private.recipients.v1";
const COMMITMENT_DOMAIN: &[u8] = b"medina.private.key-commitment.v1";

/// What a transaction of the group must satisfy.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Mode {
    /// Any account that a member's node accepts.
    Standard = 0,
    /// Only accounts of member organisations.
    CounterParty = 1,
    /// Acknowledged by the mandatory members before it is ordered.
    Mandatory = 2,
    /// Names the private state root before and after it.
    Validated = 3,
}

impl Mode {
    /// The number by which contracts and clients know the mode.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for Mode {
    type Error = EnclaveError;

    fn try_from(number: u8) -> Result<Self, EnclaveError> {
        Ok(match number {
            0 => Self::Standard,
            1 => Self::CounterParty,
            2 => Self::Mandatory,
            3 => Self::Validated,
            _ => {
                return Err(EnclaveError::BadRequest(format!(
                    "private mode {number}: it is 0 to 3"
                )));
            }
        })
    }
}

/// The group's private state root before and after a validated transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Roots {
    /// Root on which it was executed by its sender.
    pub before: [u8; 32],
    /// Root it must lead to.
    pub after: [u8; 32],
}

/// What an envelope says in clear to those who carry it, authenticated by everything in it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Metadata {
    /// [`METADATA_VERSION`].
    pub version: u8,
    /// Chain to whose markers it belongs.
    pub chain_id: u64,
    /// Hash of that chain's genesis block.
    pub genesis_hash: [u8; 32],
    /// Group to which it belongs.
    pub group: GroupId,
    /// Mode of the group.
    pub mode: Mode,
    /// Who made it.
    pub sender: PartyId,
    /// Who may open it, the sender included; ascending, each once.
    pub recipients: Vec<PartyId>,
    /// Public height at which the sender made it; the marker comes after it.
    pub anchor_slot: u64,
    /// In mode [`Mode::Validated`] and only there.
    pub roots: Option<Roots>,
    /// The handle by which Tessera's clients know the payload, if it came from one.
    pub handle: Option<RawHandle>,
}

impl Metadata {
    /// keccak256 over the recipients.
    #[must_use]
    pub fn recipients_hash(&self) -> [u8; 32] {
        let ids = self.recipients.iter().flat_map(|party| party.0);
        keccak256(
            RECIPIENTS_DOMAIN
                .iter()
                .copied()
                .chain(ids)
                .collect::<Vec<u8>>(),
        )
        .0
    }

    /// What the payload's encryption authenticates besides the payload.
    pub(crate) fn associated_data(&self, suite: u8, commitment: &[u8; 32]) -> Vec<u8> {
        let fields = (
            suite,
            self.version,
            self.chain_id,
            self.genesis_hash,
            self.group,
            self.mode,
            self.sender,
            self.recipients_hash(),
            self.anchor_slot,
            self.roots,
            self.handle,
            commitment,
        );
        borsh::to_vec(&fields).expect("writing to memory cannot fail")
    }

    /// Checks what every honest sender keeps.
    ///
    /// # Errors
    /// [`EnclaveError::BadEnvelope`].
    pub fn validate(&self) -> Result<(), EnclaveError> {
        let bad = |reason: &str| Err(EnclaveError::BadEnvelope(reason.into()));
        if self.version != METADATA_VERSION {
            return bad("unknown version of the metadata");
        }
        if self.recipients.is_empty() || self.recipients.len() > limits::RECIPIENTS_MAX {
            return bad("it names no or too many recipients");
        }
        if !self.recipients.is_sorted_by(|left, right| left < right) {
            return bad("its recipients are not in ascending order");
        }
        if self.recipients.binary_search(&self.sender).is_err() {
            return bad("its sender is not among the recipients");
        }
        if (self.mode == Mode::Validated) != self.roots.is_some() {
            return bad("roots belong to mode 3 and only there");
        }
        Ok(())
    }
}

/// The payload's key, encrypted to one party.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Wrap {
    /// For whom.
    pub recipient: PartyId,
    /// Number of the recipient's key to which it is encrypted.
    pub epoch: u32,
    /// HPKE's encapsulated key.
    pub encapsulated: [u8; 32],
    /// The 32-byte key and its tag.
    pub sealed: [u8; 48],
    /// Who wrapped: the sender, or a member who helps another one.
    pub wrapper: PartyId,
    /// The wrapper's signature over digest and wrap.
    pub signature: NodeSignature,
}

impl Wrap {
    pub(crate) fn message(&self, digest: &Digest) -> Vec<u8> {
        let fields = (
            digest,
            self.recipient,
            self.epoch,
            self.encapsulated,
            self.sealed,
            self.wrapper,
        );
        borsh::to_vec(&fields).expect("writing to memory cannot fail")
    }

    fn verify(&self, digest: &Digest) -> Result<(), EnclaveError> {
        let message = self.message(digest);
        verify(&self.wrapper, SignDomain::Wrap, &message, &self.signature)
            .map_err(|error| EnclaveError::BadEnvelope(format!("a wrap: {error}")))
    }
}

impl fmt::Debug for Wrap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Wrap")
            .field("recipient", &self.recipient)
            .field("epoch", &self.epoch)
            .field("wrapper", &self.wrapper)
            .finish_non_exhaustive()
    }
}

/// A sealed payload with the wraps of its key.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Envelope {
    /// [`SUITE`].
    pub suite: u8,
    /// What it says in clear.
    pub metadata: Metadata,
    /// Binds the one key that opens it.
    pub key_commitment: [u8; 32],
    /// Nonce of the ciphertext.
    pub nonce: [u8; 24],
    /// The encrypted payload and its tag.
    pub ciphertext: Vec<u8>,
    /// The sender's signature over the digest.
    pub signature: NodeSignature,
    /// The key for each who still lacks it.
    pub wraps: Vec<Wrap>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Envelope")
            .field("digest", &self.digest())
            .field("metadata", &self.metadata)
            .field("ciphertext_bytes", &self.ciphertext.len())
            .field("wraps", &self.wraps)
            .finish_non_exhaustive()
    }
}

impl Envelope {
    /// The commitment that the marker carries.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let fields = (
            self.suite,
            &self.metadata,
            self.key_commitment,
            self.nonce,
            &self.ciphertext,
        );
        let mut message = DIGEST_DOMAIN.to_vec();
        fields
            .serialize(&mut message)
            .expect("writing to memory cannot fail");
        Digest(keccak256(message).0)
    }

    /// Checks form, bounds and all signatures, everything that needs no secret.
    ///
    /// # Errors
    /// [`EnclaveError::BadEnvelope`] or [`EnclaveError::TooLarge`].
    pub fn validate(&self) -> Result<Digest, EnclaveError> {
        if self.suite != SUITE {
            let reason = format!("suite {} is unknown here", self.suite);
            return Err(EnclaveError::BadEnvelope(reason));
        }
        let bytes = self.ciphertext.len();
        if bytes > limits::CIPHERTEXT_BYTES_MAX {
            let max = limits::CIPHERTEXT_BYTES_MAX;
            return Err(EnclaveError::too_large("ciphertext bytes", bytes, max));
        }
        self.metadata.validate()?;
        self.check_wraps()?;
        let digest = self.digest();
        verify(
            &self.metadata.sender,
            SignDomain::Envelope,
            &digest.0,
            &self.signature,
        )
        .map_err(|error| EnclaveError::BadEnvelope(error.to_string()))?;
        self.wraps
            .iter()
            .try_for_each(|wrap| wrap.verify(&digest))?;
        Ok(digest)
    }

    fn check_wraps(&self) -> Result<(), EnclaveError> {
        if self.wraps.len() > limits::RECIPIENTS_MAX {
            let max = limits::RECIPIENTS_MAX;
            return Err(EnclaveError::too_large("wraps", self.wraps.len(), max));
        }
        if !self
            .wraps
            .is_sorted_by(|left, right| left.recipient < right.recipient)
        {
            let reason = "its wraps are not in ascending order".to_string();
            return Err(EnclaveError::BadEnvelope(reason));
        }
        Ok(())
    }

    /// The same envelope with the wraps for this party only, as it is sent to it: others' wraps
    /// tell a recorder nothing if they never travel.
    #[must_use]
    pub fn for_recipient(&self, party: &PartyId) -> Self {
        let mut envelope = self.clone();
        envelope.wraps.retain(|wrap| wrap.recipient == *party);
        envelope
    }

    /// The form in which it rests: wraps are of no use here any more.
    pub(crate) fn without_wraps(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            ciphertext: self.ciphertext.clone(),
            wraps: Vec::new(),
            ..*self
        }
    }

    /// The encoded envelope.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory cannot fail")
    }

    /// Reads an envelope and checks all that needs no secret ([`Self::validate`]).
    ///
    /// # Errors
    /// [`EnclaveError::BadEnvelope`] or [`EnclaveError::TooLarge`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnclaveError> {
        if bytes.len() > limits::ENVELOPE_BYTES_MAX {
            let max = limits::ENVELOPE_BYTES_MAX;
            return Err(EnclaveError::too_large("envelope bytes", bytes.len(), max));
        }
        let envelope: Self = borsh::from_slice(bytes)
            .map_err(|error| EnclaveError::BadEnvelope(error.to_string()))?;
        envelope.validate()?;
        Ok(envelope)
    }
}

/// Binds a payload's key without telling it.
pub(crate) fn commitment(key: &[u8; 32]) -> [u8; 32] {
    let message = zeroize::Zeroizing::new([COMMITMENT_DOMAIN, key].concat());
    keccak256(message.as_slice()).0
}
