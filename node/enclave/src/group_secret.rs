//! Secrets of groups: what makes markers recognisable to members only.
//!
//! tag = HMAC-SHA256(secret, domain, group, version, digest). The secret travels like a payload's
//! key: wrapped by HPKE, signed by who shares it. Its version is how many members have left the
//! group: who left knows older ones only.

use crate::{EnclaveError, GroupId, PartyId, SignDomain, verify};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::NodeSignature;

/// A group's secret on its way to another member.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedSecret {
    /// The group.
    pub group: GroupId,
    /// Version of the secret.
    pub version: u32,
    /// Who shares it.
    pub sender: PartyId,
    /// For whom.
    pub recipient: PartyId,
    /// Number of the recipient's key.
    pub epoch: u32,
    /// HPKE's encapsulated key.
    pub encapsulated: [u8; 32],
    /// The 32-byte secret and its tag.
    pub sealed: [u8; 48],
    /// The sender's signature over all of this.
    pub signature: NodeSignature,
}

impl SealedSecret {
    /// What the encryption authenticates besides the secret.
    pub(crate) fn info(&self) -> Vec<u8> {
        let fields = (
            self.group,
            self.version,
            self.sender,
            self.recipient,
            self.epoch,
        );
        borsh::to_vec(&fields).expect("writing to memory cannot fail")
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        let mut message = self.info();
        message.extend_from_slice(&self.encapsulated);
        message.extend_from_slice(&self.sealed);
        message
    }

    /// Checks the sender's signature.
    ///
    /// # Errors
    /// [`EnclaveError::BadEnvelope`].
    pub fn validate(&self) -> Result<(), EnclaveError> {
        let message = self.message();
        verify(
            &self.sender,
            SignDomain::GroupSecret,
            &message,
            &self.signature,
        )
        .map_err(|error| EnclaveError::BadEnvelope(format!("group secret: {error}")))
    }

    /// The encoded secret.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory cannot fail")
    }

    /// Reads a sealed secret and checks its signature.
    ///
    /// # Errors
    /// [`EnclaveError::BadEnvelope`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnclaveError> {
        let secret: Self = borsh::from_slice(bytes)
            .map_err(|error| EnclaveError::BadEnvelope(format!("group secret: {error}")))?;
        secret.validate()?;
        Ok(secret)
    }
}
