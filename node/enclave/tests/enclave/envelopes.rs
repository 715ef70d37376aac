//! Envelopes as others may send them.

use crate::common::{Pair, Place, SECRET, caller, terms};
use medina_enclave::{
    Enclave, EnclaveError, Envelope, ErasureReceipt, GroupId, SealedSecret, SignDomain,
};
use medina_types::NodeSecretKey;
use proptest::prelude::*;

fn taken(bob: &dyn Enclave, bytes: &[u8]) -> Result<(), EnclaveError> {
    let envelope = Envelope::from_bytes(bytes)?;
    bob.accept(&caller(), &envelope).map(drop)
}

#[test]
fn every_flipped_byte_of_an_envelope_is_refused() {
    let pair = Pair::new(Place::Local);
    let carol_host = Place::Local.host();
    let carol = carol_host.party("carol");
    let keys = [pair.bob_host.key(&pair.bob), carol_host.key(&carol)];
    let envelope = pair
        .alice()
        .seal(&caller(), &terms(pair.alice), SECRET, &keys)
        .unwrap();
    let whole = envelope.to_bytes();
    for index in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[index] ^= flip;
            assert!(
                taken(pair.bob(), &changed).is_err(),
                "byte {index} of {} flipped by {flip:#x}",
                whole.len()
            );
        }
    }
    taken(pair.bob(), &whole).unwrap();
}

#[test]
fn every_flipped_byte_of_a_shared_group_secret_is_refused() {
    let pair = Pair::new(Place::Local);
    let group = GroupId([1; 32]);
    pair.alice()
        .ensure_group_secret(&caller(), &group, 1)
        .unwrap();
    let key = pair.bob_host.key(&pair.bob);
    let shared = pair
        .alice()
        .share_group_secrets(&caller(), &group, &pair.alice, &key)
        .unwrap();
    let whole = shared[0].to_bytes();
    let taken = |bytes: &[u8]| {
        let secret = SealedSecret::from_bytes(bytes)?;
        pair.bob().accept_group_secret(&caller(), &secret)
    };
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        assert!(taken(&changed).is_err(), "byte {index}");
    }
    taken(&whole).unwrap();
}

#[test]
fn every_flipped_byte_of_a_receipt_is_refused() {
    let pair = Pair::new(Place::Local);
    let digest = pair.deliver(SECRET);
    let receipt = pair.bob().erase(&caller(), &digest, &pair.bob, "why");
    let whole = receipt.unwrap().to_bytes();
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        assert!(
            ErasureReceipt::from_bytes(&changed).is_err(),
            "byte {index}"
        );
    }
    ErasureReceipt::from_bytes(&whole).unwrap();
}

/// A member signs again what it changed: the encryption authenticates it too.
#[test]
fn metadata_changed_and_signed_again_is_refused() {
    let pair = Pair::new(Place::Local);
    let envelope = pair.seal(SECRET);
    let liar = NodeSecretKey::from_bytes([7; 32]);
    let liar_id = medina_enclave::PartyId(liar.public_key().0);
    type Change = fn(&mut Envelope);
    let changes: [(&str, Change); 6] = [
        ("chain", |envelope| envelope.metadata.chain_id += 1),
        ("genesis", |envelope| envelope.metadata.genesis_hash[0] ^= 1),
        ("group", |envelope| envelope.metadata.group.0[0] ^= 1),
        ("mode", |envelope| {
            envelope.metadata.mode = medina_enclave::Mode::CounterParty;
        }),
        ("slot", |envelope| envelope.metadata.anchor_slot += 1),
        ("nothing", |_| ()),
    ];
    for (what, change) in changes {
        let mut forged = envelope.clone();
        change(&mut forged);
        // The liar makes itself the sender, or its signature would not fit.
        forged.metadata.sender = liar_id;
        forged.metadata.recipients.push(liar_id);
        forged.metadata.recipients.sort();
        let digest = forged.digest();
        forged.signature = liar.sign(&SignDomain::Envelope.signed_bytes(&digest.0));
        for wrap in &mut forged.wraps {
            wrap.wrapper = liar_id;
            let fields = (
                digest,
                wrap.recipient,
                wrap.epoch,
                wrap.encapsulated,
                wrap.sealed,
                wrap.wrapper,
            );
            let message = borsh::to_vec(&fields).unwrap();
            wrap.signature = liar.sign(&SignDomain::Wrap.signed_bytes(&message));
        }
        forged.validate().expect("its signatures are in order");
        let refused = pair.bob().accept(&caller(), &forged);
        assert!(
            matches!(refused, Err(EnclaveError::BadEnvelope(_))),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn envelope_longer_than_its_bound_is_refused_unread() {
    let bytes = vec![1; medina_enclave::limits::ENVELOPE_BYTES_MAX + 1];
    assert!(matches!(
        Envelope::from_bytes(&bytes),
        Err(EnclaveError::TooLarge { .. })
    ));
}

#[test]
fn wraps_of_others_do_not_travel() {
    let pair = Pair::new(Place::Local);
    let carol_host = Place::Local.host();
    let carol = carol_host.party("carol");
    let keys = [pair.bob_host.key(&pair.bob), carol_host.key(&carol)];
    let envelope = pair
        .alice()
        .seal(&caller(), &terms(pair.alice), SECRET, &keys)
        .unwrap();
    let for_bob = envelope.for_recipient(&pair.bob);
    assert_eq!(for_bob.wraps.len(), 1);
    assert_eq!(for_bob.digest(), envelope.digest());
    taken(pair.bob(), &for_bob.to_bytes()).unwrap();
    assert!(taken(carol_host.enclave(), &for_bob.to_bytes()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_are_no_envelope(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(Envelope::from_bytes(&bytes).is_err());
        prop_assert!(SealedSecret::from_bytes(&bytes).is_err());
        prop_assert!(ErasureReceipt::from_bytes(&bytes).is_err());
    }

    #[test]
    fn envelope_with_lengths_of_any_size_is_refused(
        index in 0_usize..900,
        bytes in prop::collection::vec(any::<u8>(), 1..16),
    ) {
        let key = NodeSecretKey::from_bytes([7; 32]);
        let mut encoded = sample(&key).to_bytes();
        let index = index % encoded.len();
        let before = encoded.clone();
        for (target, byte) in encoded[index..].iter_mut().zip(&bytes) {
            *target = *byte;
        }
        prop_assume!(encoded != before);
        prop_assert!(Envelope::from_bytes(&encoded).is_err());
        encoded.truncate(index);
        prop_assert!(Envelope::from_bytes(&encoded).is_err());
    }
}

/// A well-signed envelope without wraps.
fn sample(key: &NodeSecretKey) -> Envelope {
    let sender = medina_enclave::PartyId(key.public_key().0);
    let terms = terms(sender);
    let mut envelope = Envelope {
        suite: medina_enclave::SUITE,
        metadata: medina_enclave::Metadata {
            version: medina_enclave::METADATA_VERSION,
            chain_id: terms.chain_id,
            genesis_hash: terms.genesis_hash,
            group: terms.group,
            mode: terms.mode,
            sender,
            recipients: vec![sender],
            anchor_slot: terms.anchor_slot,
            roots: None,
            handle: None,
        },
        key_commitment: [3; 32],
        nonce: [4; 24],
        ciphertext: vec![5; 300],
        signature: key.sign(b""),
        wraps: Vec::new(),
    };
    let signed = SignDomain::Envelope.signed_bytes(&envelope.digest().0);
    envelope.signature = key.sign(&signed);
    envelope.validate().expect("well formed");
    envelope
}
