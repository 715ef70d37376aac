//! What an enclave does for its node, and the words in which it is asked.

use crate::{
    AuditEntry, AuditHead, Certificate, Digest, EnclaveError, Envelope, ErasureReceipt, GroupId,
    Metadata, Mode, PartyId, RawHandle, Roots, SealedSecret, SignDomain, Tag,
};
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::NodeSignature;
use zeroize::Zeroizing;

/// On whose behalf the enclave is asked, and when; the audit log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Caller {
    /// Who asks: the node itself, a tenant's token, an operator.
    pub actor: String,
    /// What allows it: a scope of the token, a protocol step.
    pub scope: String,
    /// The caller's clock, seconds since 1970.
    pub now_s: u64,
}

impl Caller {
    /// A call of somebody under a scope.
    #[must_use]
    pub fn new(actor: impl Into<String>, scope: impl Into<String>, now_s: u64) -> Self {
        Self {
            actor: actor.into(),
            scope: scope.into(),
            now_s,
        }
    }

    /// A call of the node itself.
    #[must_use]
    pub fn node(scope: impl Into<String>, now_s: u64) -> Self {
        Self::new("node", scope, now_s)
    }
}

/// A party that the enclave holds.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Party {
    /// Its identity key.
    pub id: PartyId,
    /// The name under which it was made.
    pub label: String,
    /// The key to which others encrypt now.
    pub epoch_key: EpochKey,
}

/// Public half of an encryption key with the time from which it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EpochKey {
    /// Number of the key; it only grows.
    pub epoch: u32,
    /// The X25519 public key.
    pub x25519: [u8; 32],
    /// Seconds since 1970.
    pub valid_from_s: u64,
}

/// To whom and to which key something is encrypted; as the registry on the chain says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecipientKey {
    /// The party.
    pub party: PartyId,
    /// Number of its key.
    pub epoch: u32,
    /// Its X25519 public key.
    pub x25519: [u8; 32],
}

/// What is said in clear about a payload that is to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// Chain to whose markers it belongs.
    pub chain_id: u64,
    /// Hash of that chain's genesis block.
    pub genesis_hash: [u8; 32],
    /// Its group.
    pub group: GroupId,
    /// The group's mode.
    pub mode: Mode,
    /// The party of this enclave that sends it.
    pub sender: PartyId,
    /// Public height now.
    pub anchor_slot: u64,
    /// In mode 3 and only there.
    pub roots: Option<Roots>,
}

/// What became of an envelope that was handed in.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Accepted {
    /// Its commitment.
    pub digest: Digest,
    /// Parties of this enclave that can open it now.
    pub parties: Vec<PartyId>,
    /// Whether a party can open it that could not before.
    pub is_new: bool,
}

/// A payload that is here.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeldPayload {
    /// What its envelope says in clear.
    pub metadata: Metadata,
    /// Parties of this enclave that can open it.
    pub parties: Vec<PartyId>,
}

/// What remains of a payload that was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tombstone {
    /// The payload's commitment.
    pub digest: Digest,
    /// The party in whose name it was forgotten.
    pub by: PartyId,
    /// Why.
    pub reason: String,
    /// Who asked the enclave.
    pub actor: String,
    /// When, seconds since 1970.
    pub erased_at_s: u64,
    /// Whether a key was held.
    pub was_held: bool,
}

/// Where a payload stands.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PayloadStatus {
    /// It is here.
    Held(HeldPayload),
    /// It was forgotten.
    Erased(Tombstone),
    /// It never was here.
    Missing,
}

/// A secret of a group, without the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct GroupSecretInfo {
    /// The group.
    pub group: GroupId,
    /// Its version: how many members have left the group so far.
    pub version: u32,
    /// Tells twins of one version apart: two members may make a secret at the same time. Members
    /// that hold both use the smaller one.
    pub id: [u8; 8],
}

/// Keeps the keys of parties and everything encrypted to them.
///
/// Every call is bounded in size and time, and everything it acknowledges is on the disk. Calls
/// block: ask from a thread that may wait. All but [`Enclave::seal`] may be repeated without
/// harm; a repeated `seal` leaves an envelope that nobody uses.
///
/// A durable outbox should keep digests, not envelopes: [`Enclave::rewrap`] makes a wrap for the
/// recipient's key of the day, also after the day on which the payload was made.
pub trait Enclave: Send + Sync {
    /// The parties held here.
    ///
    /// # Errors
    /// [`EnclaveError::Unreachable`] and the like, as for every call.
    fn parties(&self) -> Result<Vec<Party>, EnclaveError>;

    /// The party of that name; made with its first keys if there is none.
    ///
    /// # Errors
    /// [`EnclaveError::TooLarge`] for a long name or too many parties.
    fn ensure_party(&self, caller: &Caller, label: &str) -> Result<PartyId, EnclaveError>;

    /// The encryption keys of a party whose secrets are still here, oldest first; the last one is
    /// in use.
    ///
    /// # Errors
    /// [`EnclaveError::UnknownParty`].
    fn epoch_keys(&self, party: &PartyId) -> Result<Vec<EpochKey>, EnclaveError>;

    /// Makes the key after `from_epoch`, or answers with it if it is there already.
    ///
    /// # Errors
    /// [`EnclaveError::UnknownParty`], [`EnclaveError::BadRequest`] for an epoch that is not the
    /// current one or the one before.
    fn rotate(
        &self,
        caller: &Caller,
        party: &PartyId,
        from_epoch: u32,
    ) -> Result<EpochKey, EnclaveError>;

    /// Does what the time demands: rotates keys that are a day old, destroys secrets that were
    /// replaced an hour ago, drops payloads that were stored a day ago and never sent, and makes
    /// what was dropped unreadable. Answers with the keys that are new, to be published.
    ///
    /// # Errors
    /// As for every call.
    fn keep_time(&self, caller: &Caller) -> Result<Vec<(PartyId, EpochKey)>, EnclaveError>;

    /// Destroys the secrets of a party's epochs before this one at once.
    ///
    /// # Errors
    /// [`EnclaveError::UnknownParty`], [`EnclaveError::BadRequest`] for a later epoch than the
    /// current one.
    fn destroy_epochs_before(
        &self,
        caller: &Caller,
        party: &PartyId,
        epoch: u32,
    ) -> Result<(), EnclaveError>;

    /// Signs what the contract `PrivateGroups` and other members read.
    ///
    /// # Errors
    /// [`EnclaveError::UnknownParty`], [`EnclaveError::UnknownEpoch`].
    fn certify(
        &self,
        party: &PartyId,
        certificate: &Certificate,
    ) -> Result<NodeSignature, EnclaveError>;

    /// Signs a message of a domain that is open to callers; [`crate::verify`] checks it.
    ///
    /// # Errors
    /// [`EnclaveError::UnknownParty`], [`EnclaveError::BadRequest`] for a domain in which only the
    /// enclave speaks, [`EnclaveError::TooLarge`].
    fn sign(
        &self,
        party: &PartyId,
        domain: SignDomain,
        message: &[u8],
    ) -> Result<NodeSignature, EnclaveError>;

    /// Seals a payload for recipients; the sender is one without being named. The sender can open
    /// it from now on.
    ///
    /// # Errors
    /// [`EnclaveError::TooLarge`], [`EnclaveError::UnknownParty`] for the sender,
    /// [`EnclaveError::BadRequest`] for a recipient's key that is none.
    fn seal(
        &self,
        caller: &Caller,
        terms: &Terms,
        payload: &[u8],
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError>;

    /// Takes an envelope in: checks everything, opens it for the parties it is wrapped for, and
    /// keeps it under keys of this enclave.
    ///
    /// # Errors
    /// [`EnclaveError::Erased`], [`EnclaveError::BadEnvelope`], [`EnclaveError::NotForUs`],
    /// [`EnclaveError::UnknownEpoch`] if it is wrapped for keys that are gone.
    fn accept(&self, caller: &Caller, envelope: &Envelope) -> Result<Accepted, EnclaveError>;

    /// The payload, for a party that has part in it.
    ///
    /// # Errors
    /// [`EnclaveError::Erased`], [`EnclaveError::Missing`], [`EnclaveError::NotAParty`].
    fn open(
        &self,
        caller: &Caller,
        digest: &Digest,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError>;

    /// Where a payload stands.
    ///
    /// # Errors
    /// As for every call.
    fn status(&self, digest: &Digest) -> Result<PayloadStatus, EnclaveError>;

    /// The envelope with fresh wraps of its key, for members who lack it. Whether they may have it
    /// is the caller's to know.
    ///
    /// # Errors
    /// As [`Enclave::open`], for the party `by`; [`EnclaveError::BadRequest`] for a bad key.
    fn rewrap(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError>;

    /// Drops a payload that was never used, as if it had not come: no tombstone is left, and it
    /// may come again. What has to stay away is forgotten by [`Enclave::erase`].
    ///
    /// # Errors
    /// As for every call.
    fn discard(&self, caller: &Caller, digest: &Digest) -> Result<(), EnclaveError>;

    /// Forgets a payload for good, for all parties of this enclave, and keeps it away from now on;
    /// one that was never here too. A second time it answers with the same receipt, signed by the
    /// party now named.
    ///
    /// # Errors
    /// [`EnclaveError::UnknownParty`], [`EnclaveError::TooLarge`] for a long reason.
    fn erase(
        &self,
        caller: &Caller,
        digest: &Digest,
        by: &PartyId,
        reason: &str,
    ) -> Result<ErasureReceipt, EnclaveError>;

    /// Tombstones in the order of their digests, after one, at most
    /// [`crate::limits::ENTRIES_MAX`].
    ///
    /// # Errors
    /// As for every call.
    fn tombstones(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Tombstone>, EnclaveError>;

    /// Makes a group's secret of that version, if none of it is here.
    ///
    /// # Errors
    /// [`EnclaveError::TooLarge`] for too many secrets of the group.
    fn ensure_group_secret(
        &self,
        caller: &Caller,
        group: &GroupId,
        version: u32,
    ) -> Result<GroupSecretInfo, EnclaveError>;

    /// All group secrets held here.
    ///
    /// # Errors
    /// As for every call.
    fn group_secrets(&self) -> Result<Vec<GroupSecretInfo>, EnclaveError>;

    /// All secrets of a group held here, encrypted to another member, those in use first: with
    /// twins and older versions, so that it recognises every marker of the chain.
    ///
    /// # Errors
    /// [`EnclaveError::NoGroupSecret`], [`EnclaveError::UnknownParty`],
    /// [`EnclaveError::BadRequest`] for a bad key.
    fn share_group_secrets(
        &self,
        caller: &Caller,
        group: &GroupId,
        by: &PartyId,
        recipient: &RecipientKey,
    ) -> Result<Vec<SealedSecret>, EnclaveError>;

    /// Takes a group's secret in. Whether its sender is a member is the caller's to know.
    ///
    /// # Errors
    /// [`EnclaveError::BadEnvelope`], [`EnclaveError::UnknownParty`],
    /// [`EnclaveError::UnknownEpoch`], [`EnclaveError::TooLarge`].
    fn accept_group_secret(
        &self,
        caller: &Caller,
        sealed: &SealedSecret,
    ) -> Result<GroupSecretInfo, EnclaveError>;

    /// The tag of a payload's marker, by the newest secret of the group.
    ///
    /// # Errors
    /// [`EnclaveError::NoGroupSecret`].
    fn tag(&self, group: &GroupId, digest: &Digest) -> Result<Tag, EnclaveError>;

    /// The secret among those held here by which a marker was tagged: its group, and its version.
    ///
    /// # Errors
    /// As for every call.
    fn secret_of(
        &self,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<Option<GroupSecretInfo>, EnclaveError>;

    /// Keeps a payload for a client that names it later by its handle, as Tessera does.
    ///
    /// # Errors
    /// [`EnclaveError::TooLarge`], [`EnclaveError::UnknownParty`].
    fn store_raw(
        &self,
        caller: &Caller,
        payload: &[u8],
        from: &PartyId,
    ) -> Result<RawHandle, EnclaveError>;

    /// The payload of a handle, stored here or sealed by its owner since, for a party that has
    /// part in it.
    ///
    /// # Errors
    /// [`EnclaveError::UnknownHandle`], else as [`Enclave::open`].
    fn open_raw(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        party: &PartyId,
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError>;

    /// Seals what was stored under a handle; the handle names the envelope from now on, also for
    /// who receives it. A second time the same envelope is wrapped anew.
    ///
    /// # Errors
    /// As [`Enclave::open_raw`] and [`Enclave::seal`]; the terms' sender must be who stored it.
    fn seal_raw(
        &self,
        caller: &Caller,
        handle: &RawHandle,
        terms: &Terms,
        recipients: &[RecipientKey],
    ) -> Result<Envelope, EnclaveError>;

    /// The envelope that a handle names.
    ///
    /// # Errors
    /// As for every call.
    fn digest_of(&self, handle: &RawHandle) -> Result<Option<Digest>, EnclaveError>;

    /// Where the audit log stands, to be anchored outside.
    ///
    /// # Errors
    /// As for every call.
    fn audit_head(&self) -> Result<AuditHead, EnclaveError>;

    /// Entries of the audit log from a number on, at most [`crate::limits::ENTRIES_MAX`].
    ///
    /// # Errors
    /// [`EnclaveError::AuditBroken`].
    fn audit_entries(&self, from_seq: u64, limit: usize) -> Result<Vec<AuditEntry>, EnclaveError>;

    /// Reads the whole audit log again and checks its chain.
    ///
    /// # Errors
    /// [`EnclaveError::AuditBroken`].
    fn verify_audit(&self) -> Result<AuditHead, EnclaveError>;

    /// Copies what a backup may hold into a folder that does not exist yet: ciphertexts and
    /// tombstones, no keys.
    ///
    /// # Errors
    /// [`EnclaveError::Store`].
    fn back_up(&self, folder: &std::path::Path) -> Result<(), EnclaveError>;
}
