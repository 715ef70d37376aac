//! Makes and opens envelopes: the cryptography, without keys' places and stores.

use crate::envelope::{Envelope, METADATA_VERSION, Metadata, SUITE, Wrap, commitment};
use crate::hpke::{self, Context, SealError, Sealed};
use crate::secret::{self, Secret};
use crate::{Digest, EnclaveError, PartyId, RawHandle, RecipientKey, SignDomain, Terms};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use medina_types::{NodeSecretKey, NodeSignature};
use sha3::{Digest as _, Sha3_512};
use zeroize::Zeroizing;

const RAW_DOMAIN: &[u8] = b"medina.private.raw.v1";
const COMMITMENT_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Who signs: a party with its identity key.
pub(crate) struct Signer {
    pub(crate) party: PartyId,
    pub(crate) identity: NodeSecretKey,
}

impl Signer {
    pub(crate) fn sign(&self, domain: SignDomain, message: &[u8]) -> NodeSignature {
        self.identity.sign(&domain.signed_bytes(message))
    }
}

/// What an envelope says in clear, from the terms and who gets it.
pub(crate) fn metadata(
    terms: &Terms,
    recipients: &[RecipientKey],
    handle: Option<RawHandle>,
) -> Result<Metadata, EnclaveError> {
    let others = recipients.iter().map(|recipient| recipient.party);
    let mut parties: Vec<PartyId> = others.chain([terms.sender]).collect();
    parties.sort_unstable();
    parties.dedup();
    let metadata = Metadata {
        version: METADATA_VERSION,
        chain_id: terms.chain_id,
        genesis_hash: terms.genesis_hash,
        group: terms.group,
        mode: terms.mode,
        sender: terms.sender,
        recipients: parties,
        anchor_slot: terms.anchor_slot,
        roots: terms.roots,
        handle,
    };
    metadata.validate().map_err(|error| match error {
        EnclaveError::BadEnvelope(reason) => EnclaveError::BadRequest(reason),
        other => other,
    })?;
    Ok(metadata)
}

/// A sealed envelope without wraps, and the key that opens it.
pub(crate) fn seal(
    signer: &Signer,
    metadata: Metadata,
    content: &[u8],
) -> Result<(Envelope, Secret), EnclaveError> {
    let key = secret::random().map_err(EnclaveError::Store)?;
    let nonce = secret::nonce().map_err(EnclaveError::Store)?;
    let key_commitment = commitment(key.expose());
    let aad = metadata.associated_data(SUITE, &key_commitment);
    let mut envelope = Envelope {
        suite: SUITE,
        metadata,
        key_commitment,
        nonce,
        ciphertext: encrypt(&key, &nonce, &aad, content),
        signature: NodeSignature([0; 64]),
        wraps: Vec::new(),
    };
    envelope.signature = signer.sign(SignDomain::Envelope, &envelope.digest().0);
    Ok((envelope, key))
}

/// Opens an envelope with its key; refuses a key other than the one it commits to.
pub(crate) fn open(envelope: &Envelope, key: &Secret) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
    let bad = |reason: &str| EnclaveError::BadEnvelope(reason.into());
    if commitment(key.expose()) != envelope.key_commitment {
        return Err(bad("its key is not the one it commits to"));
    }
    let aad = envelope
        .metadata
        .associated_data(envelope.suite, &envelope.key_commitment);
    decrypt(key, &envelope.nonce, &aad, &envelope.ciphertext)
        .ok_or_else(|| bad("it does not open with its key"))
}

/// Wraps an envelope's key for a party.
pub(crate) fn wrap(
    signer: &Signer,
    digest: &Digest,
    key: &Secret,
    recipient: &RecipientKey,
) -> Result<Wrap, EnclaveError> {
    let aad = wrap_data(&recipient.party, recipient.epoch);
    let context = Context {
        info: &digest.0,
        aad: &aad,
    };
    let sealed = hpke::seal(&recipient.x25519, context, key)
        .map_err(|error| seal_error(&error, &recipient.party))?;
    let mut wrap = Wrap {
        recipient: recipient.party,
        epoch: recipient.epoch,
        encapsulated: sealed.encapsulated,
        sealed: sealed.sealed,
        wrapper: signer.party,
        signature: NodeSignature([0; 64]),
    };
    wrap.signature = signer.sign(SignDomain::Wrap, &wrap.message(digest));
    Ok(wrap)
}

/// Takes the key out of a wrap.
pub(crate) fn unwrap(
    digest: &Digest,
    wrap: &Wrap,
    secret: &Secret,
) -> Result<Secret, EnclaveError> {
    let aad = wrap_data(&wrap.recipient, wrap.epoch);
    let context = Context {
        info: &digest.0,
        aad: &aad,
    };
    let sealed = Sealed {
        encapsulated: wrap.encapsulated,
        sealed: wrap.sealed,
    };
    hpke::open(secret, context, &sealed).map_err(|_| {
        EnclaveError::BadEnvelope(format!("the wrap for {} does not open", wrap.recipient))
    })
}

/// Why HPKE did not encrypt, for the caller.
pub(crate) fn seal_error(error: &SealError, party: &PartyId) -> EnclaveError {
    match error {
        SealError::Random(reason) => EnclaveError::Store(reason.clone()),
        SealError::Key => {
            EnclaveError::BadRequest(format!("the encryption key of {party} is no usable key"))
        }
    }
}

fn wrap_data(party: &PartyId, epoch: u32) -> Vec<u8> {
    [party.0.as_slice(), &epoch.to_be_bytes()].concat()
}

fn encrypt(key: &Secret, nonce: &[u8; NONCE_BYTES], aad: &[u8], content: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: content, aad };
    cipher(key)
        .encrypt(XNonce::from_slice(nonce), payload)
        .expect("memory takes the ciphertext")
}

fn decrypt(
    key: &Secret,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let payload = Payload {
        msg: ciphertext,
        aad,
    };
    cipher(key)
        .decrypt(XNonce::from_slice(nonce), payload)
        .ok()
        .map(Zeroizing::new)
}

fn cipher(key: &Secret) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key.expose()))
}

/// A payload as Tessera's clients store it: it has a handle before anybody knows for whom it is.
///
/// The handle is SHA3-512 of what is encrypted, as in Tessera. Here that begins with a commitment
/// to the key and the nonce, so that a handle names one content only. When the payload is sealed,
/// key and ciphertext become the envelope's content; who receives it recomputes the handle.
pub(crate) struct RawPayload {
    pub(crate) from: PartyId,
    pub(crate) key: Secret,
    /// Commitment, nonce, ciphertext.
    pub(crate) ciphertext: Vec<u8>,
}

impl RawPayload {
    pub(crate) fn seal(from: PartyId, payload: &[u8]) -> Result<Self, EnclaveError> {
        let key = secret::random().map_err(EnclaveError::Store)?;
        let nonce = secret::nonce().map_err(EnclaveError::Store)?;
        let sealed = encrypt(&key, &nonce, &raw_data(&from), payload);
        let ciphertext = [&commitment(key.expose()), nonce.as_slice(), &sealed].concat();
        Ok(Self {
            from,
            key,
            ciphertext,
        })
    }

    pub(crate) fn handle(&self) -> RawHandle {
        RawHandle(Sha3_512::digest(&self.ciphertext).into())
    }

    pub(crate) fn open(&self) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        let bad = |reason: &str| EnclaveError::BadEnvelope(reason.into());
        let bytes = self.ciphertext.as_slice();
        let Some((committed, rest)) = bytes.split_first_chunk::<COMMITMENT_BYTES>() else {
            return Err(bad("its stored payload is cut short"));
        };
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_BYTES>() else {
            return Err(bad("its stored payload is cut short"));
        };
        if commitment(self.key.expose()) != *committed || sealed.len() < TAG_BYTES {
            return Err(bad("its stored payload has another key"));
        }
        decrypt(&self.key, nonce, &raw_data(&self.from), sealed)
            .ok_or_else(|| bad("its stored payload does not open"))
    }

    /// The form that an envelope carries.
    pub(crate) fn to_content(&self) -> Zeroizing<Vec<u8>> {
        let mut content = Zeroizing::new(Vec::with_capacity(64 + self.ciphertext.len()));
        content.extend_from_slice(&self.from.0);
        content.extend_from_slice(self.key.expose());
        content.extend_from_slice(&self.ciphertext);
        content
    }

    /// Reads the form that an envelope carries, and checks that it is what the handle names.
    pub(crate) fn from_content(content: &[u8], handle: &RawHandle) -> Result<Self, EnclaveError> {
        let bad = |reason: &str| EnclaveError::BadEnvelope(reason.into());
        let cut = || bad("its stored payload is cut short");
        let (from, rest) = content.split_first_chunk().ok_or_else(cut)?;
        let (key, ciphertext) = rest.split_first_chunk().ok_or_else(cut)?;
        let raw = Self {
            from: PartyId(*from),
            key: Secret::new(*key),
            ciphertext: ciphertext.to_vec(),
        };
        if raw.handle() != *handle {
            return Err(bad("its handle names another payload"));
        }
        Ok(raw)
    }
}

fn raw_data(from: &PartyId) -> Vec<u8> {
    [RAW_DOMAIN, &from.0].concat()
}

/// The payload that an envelope's content stands for.
pub(crate) fn payload_of(
    metadata: &Metadata,
    content: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
    match &metadata.handle {
        None => Ok(content),
        Some(handle) => RawPayload::from_content(&content, handle)?.open(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupId, Mode};

    fn signer() -> Signer {
        let identity = NodeSecretKey::from_bytes([7; 32]);
        Signer {
            party: PartyId(identity.public_key().0),
            identity,
        }
    }

    fn sealed(handle: Option<RawHandle>, content: &[u8]) -> (Envelope, Secret) {
        let terms = Terms {
            chain_id: 1,
            genesis_hash: [2; 32],
            group: GroupId([3; 32]),
            mode: Mode::Standard,
            sender: signer().party,
            anchor_slot: 4,
            roots: None,
        };
        let metadata = metadata(&terms, &[], handle).expect("well formed");
        seal(&signer(), metadata, content).expect("seals")
    }

    #[test]
    fn envelope_opens_with_its_key_only() {
        let (envelope, key) = sealed(None, b"payload");
        assert_eq!(open(&envelope, &key).unwrap().as_slice(), b"payload");
        let other = secret::random().unwrap();
        assert!(open(&envelope, &other).is_err());
    }

    /// A sender who has a second key for the same ciphertext cannot give it to anybody.
    #[test]
    fn second_key_is_refused_even_where_the_cipher_would_take_it() {
        let (mut envelope, _) = sealed(None, b"payload");
        let second = secret::random().unwrap();
        let aad = envelope
            .metadata
            .associated_data(envelope.suite, &envelope.key_commitment);
        envelope.ciphertext = encrypt(&second, &envelope.nonce, &aad, b"another");
        assert!(decrypt(&second, &envelope.nonce, &aad, &envelope.ciphertext).is_some());
        let refused = open(&envelope, &second).err().unwrap().to_string();
        assert!(refused.contains("commits"), "{refused}");
    }

    /// The one who knows the key changes what is said in clear.
    #[test]
    fn metadata_is_authenticated_by_the_encryption() {
        let changes: [fn(&mut Metadata); 8] = [
            |metadata| metadata.version += 1,
            |metadata| metadata.chain_id += 1,
            |metadata| metadata.genesis_hash[31] ^= 1,
            |metadata| metadata.group.0[0] ^= 1,
            |metadata| metadata.mode = Mode::Mandatory,
            |metadata| metadata.sender.0[0] ^= 1,
            |metadata| metadata.recipients.push(PartyId([0xff; 32])),
            |metadata| metadata.anchor_slot += 1,
        ];
        for (index, change) in changes.iter().enumerate() {
            let (mut envelope, key) = sealed(None, b"payload");
            change(&mut envelope.metadata);
            assert!(open(&envelope, &key).is_err(), "change {index}");
        }
        let (mut envelope, key) = sealed(None, b"payload");
        envelope.suite += 1;
        assert!(open(&envelope, &key).is_err());
    }

    #[test]
    fn handle_is_the_sha3_512_of_what_is_stored_and_binds_it() {
        let raw = RawPayload::seal(PartyId([1; 32]), b"payload").unwrap();
        let handle = raw.handle();
        assert_eq!(
            handle.0,
            <[u8; 64]>::from(Sha3_512::digest(&raw.ciphertext))
        );
        assert_eq!(raw.open().unwrap().as_slice(), b"payload");

        let content = raw.to_content();
        let (envelope, _) = sealed(Some(handle), &content);
        let payload = payload_of(&envelope.metadata, content.clone()).unwrap();
        assert_eq!(payload.as_slice(), b"payload");
        for index in 0..content.len() {
            let mut changed = content.clone();
            changed[index] ^= 1;
            assert!(
                payload_of(&envelope.metadata, changed).is_err(),
                "byte {index}"
            );
        }
        for cut in 0..content.len() {
            let cut = Zeroizing::new(content[..cut].to_vec());
            assert!(payload_of(&envelope.metadata, cut).is_err());
        }
    }
}
