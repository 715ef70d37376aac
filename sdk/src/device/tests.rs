//! Keys of devices: every kind signs, and reads back what it wrote.

use super::*;
use alloy_primitives::{Address, keccak256};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const VERIFIERS: Verifiers = Verifiers {
    ed25519: Address::repeat_byte(7),
    p256: Address::repeat_byte(8),
    passkey: Address::repeat_byte(9),
};

const IN_FILES: [DeviceKind; 3] = [DeviceKind::Ed25519, DeviceKind::P256, DeviceKind::Secp256k1];

fn anchor_domain() -> Eip712Domain {
    domain("DataAnchor", 7, Address::repeat_byte(1))
}

fn batch() -> Batch {
    Batch {
        source: B256::repeat_byte(2),
        seq: 1,
        root: B256::repeat_byte(3),
        from: 10,
        to: 20,
        count: 5,
    }
}

/// An authenticator in memory; `flags` and `origin` are what it says of the user and the page.
#[derive(Debug)]
struct Authenticator {
    key: p256::ecdsa::SigningKey,
    flags: u8,
    /// Answers this challenge instead of the one it was asked.
    other: Option<B256>,
}

impl Authenticator {
    fn new(flags: u8) -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).expect("a scalar");
        let other = None;
        Self { key, flags, other }
    }

    fn json(&self, hash: B256) -> String {
        use base64::Engine as _;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let client = format!(
            r#"{{"type":"webauthn.get","challenge":"{}","origin":"https://market.example","crossOrigin":false}}"#,
            encode(hash.as_slice())
        );
        let mut data = Sha256::digest("market.example").to_vec();
        data.extend([self.flags, 0, 0, 0, 1]);
        let signed = Sha256::digest([data.as_slice(), &Sha256::digest(&client)].concat());
        let signature: p256::ecdsa::Signature = self.key.sign_prehash(&signed).expect("a hash");
        serde_json::json!({ "id": "x", "type": "public-key", "response": {
            "authenticatorData": encode(&data),
            "clientDataJSON": encode(client.as_bytes()),
            "signature": encode(signature.to_der().as_bytes()),
        }})
        .to_string()
    }
}

impl DeviceSigner for Authenticator {
    fn public(&self) -> DevicePublic {
        let point = self.key.verifying_key().to_encoded_point(false);
        DevicePublic::Passkey(point.as_bytes()[1..].try_into().expect("64 bytes"))
    }

    fn sign(&self, hash: B256) -> Result<Bytes, DeviceError> {
        let asked = self.other.unwrap_or(hash);
        Assertion::from_json(&self.json(asked))?.encode(asked)
    }
}

#[test]
fn structs_hash_as_the_contracts_spell_them() {
    let types = [
        (
            Registration::eip712_root_type(),
            "Registration(bytes32 id,bytes32 org,uint48 deadline)",
        ),
        (
            KeyRotation::eip712_root_type(),
            "KeyRotation(bytes32 id,uint48 deadline)",
        ),
        (
            Anchoring::eip712_root_type(),
            "Anchoring(bytes32 source,uint64 seq,bytes32 root,uint48 from,uint48 to,uint32 count)",
        ),
    ];
    for (found, expected) in types {
        assert_eq!(keccak256(found.as_bytes()), keccak256(expected));
    }
}

#[test]
fn every_kind_signs_what_the_registry_can_check() {
    let passkey = DeviceKey::external(Authenticator::new(0x05));
    let keys = IN_FILES.map(|kind| DeviceKey::random(kind).expect("randomness"));
    for (key, signer_length) in keys.into_iter().chain([passkey]).zip([52, 84, 20, 84]) {
        let signer = key.signer(&VERIFIERS);
        assert_eq!(signer.len(), signer_length);
        assert_eq!(
            DevicePublic::of_signer(&signer, &VERIFIERS),
            Some(key.public())
        );
        let signature = key.sign_batch(&batch(), &anchor_domain()).expect("signs");
        let payload = batch().anchoring().expect("small times");
        let is_good = |signer: &[u8], payload: &Anchoring, domain: &Eip712Domain| {
            verify(signer, &VERIFIERS, payload, domain, &signature)
        };
        assert!(is_good(&signer, &payload, &anchor_domain()));

        let other = Batch { seq: 2, ..batch() };
        let other = other.anchoring().expect("small times");
        assert!(!is_good(&signer, &other, &anchor_domain()));
        let elsewhere = domain("DataAnchor", 8, Address::repeat_byte(1));
        assert!(!is_good(&signer, &payload, &elsewhere));
        // A verifier that is none of these may judge otherwise.
        let mut foreign = signer.to_vec();
        foreign[0] ^= 1;
        assert!(!is_good(&foreign, &payload, &anchor_domain()));
    }
}

#[test]
fn assertion_without_the_user_or_to_another_challenge_is_refused() {
    let registry = anchor_domain();
    let sign = |authenticator| DeviceKey::external(authenticator).sign_batch(&batch(), &registry);
    sign(Authenticator::new(0x05)).expect("present and verified");
    sign(Authenticator::new(0x1d)).expect("may be backed up, and is");
    for flags in [0x00, 0x01, 0x04, 0x15] {
        let refused = sign(Authenticator::new(flags));
        assert!(
            matches!(refused, Err(DeviceError::NotItsSignature)),
            "{flags}: {refused:?}"
        );
    }
    let mut wrong = Authenticator::new(0x05);
    wrong.other = Some(B256::repeat_byte(1));
    assert!(matches!(sign(wrong), Err(DeviceError::NotItsSignature)));

    let authenticator = Authenticator::new(0x05);
    let hash = B256::repeat_byte(4);
    let assertion = Assertion::from_json(&authenticator.json(hash)).expect("an assertion");
    assert!(matches!(
        assertion.encode(B256::repeat_byte(5)),
        Err(DeviceError::BadAssertion("it answers another challenge"))
    ));
    for text in ["", "{}", r#"{"response":{}}"#, "[1]"] {
        let refused = Assertion::from_json(text);
        assert!(matches!(refused, Err(DeviceError::BadAssertion(_))));
    }
}

#[test]
fn keys_read_back_from_text_and_file() {
    let dir = tempfile::tempdir().expect("a folder");
    for kind in IN_FILES {
        let key = DeviceKey::random(kind).expect("randomness");
        let path = dir.path().join(kind.to_string());
        key.save(&path).expect("writes");
        let read = DeviceKey::load(&path).expect("reads");
        assert_eq!(read.public(), key.public());
        assert!(matches!(key.save(&path), Err(DeviceError::Io { .. })));

        let public = key.public().to_string();
        assert_eq!(public.parse::<DevicePublic>().expect("reads"), key.public());
    }
    let passkey = DeviceKey::external(Authenticator::new(0x05));
    assert!(matches!(passkey.to_text(), Err(DeviceError::KeptElsewhere)));
    assert!(DeviceKey::random(DeviceKind::Passkey).is_err());
}

#[test]
fn public_keys_are_read_as_sec1_writes_them_and_must_be_on_the_curve() {
    let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).expect("a scalar");
    let [long, short] = [false, true]
        .map(|compress| key.verifying_key().to_encoded_point(compress))
        .map(|point| hex::encode(point.as_bytes()));
    let read = |text: String| text.parse::<DevicePublic>();
    let bare = read(format!("passkey:{}", &long[2..])).expect("64 bytes");
    for text in [format!("passkey:{long}"), format!("passkey:0x{short}")] {
        assert_eq!(read(text).expect("a point"), bare);
    }
    for text in [
        "p256",
        "p256:",
        "p256:zz",
        "rsa:00",
        "ed25519:00",
        "secp256k1:00",
    ] {
        assert!(read(text.into()).is_err(), "{text}");
    }
    assert!(read(format!("p256:{}", "11".repeat(64))).is_err());
}

#[cfg(unix)]
#[test]
fn program_keeps_the_key_of_a_secure_element() {
    let DeviceKey::P256(key) = DeviceKey::random(DeviceKind::P256).expect("randomness") else {
        panic!("another kind");
    };
    let public = DeviceKey::P256(key.clone()).public();
    let payload = batch().anchoring().expect("small times");
    let hash = payload.eip712_signing_hash(&anchor_domain());
    let signature: p256::ecdsa::Signature = key.sign_prehash(hash.as_slice()).expect("a hash");
    for text in [
        hex::encode(signature.to_der().as_bytes()),
        format!("0x{}", hex::encode(signature.to_bytes())),
    ] {
        let device = CommandDevice::new(&format!("echo {text}"), public).expect("a program");
        let device = DeviceKey::external(device);
        let signed = device.sign(&payload, &anchor_domain()).expect("is its own");
        let signer = device.signer(&VERIFIERS);
        assert!(verify(
            &signer,
            &VERIFIERS,
            &payload,
            &anchor_domain(),
            &signed
        ));
        // The same answer to another question is a wrong one.
        let other = device.sign_registration(B256::ZERO, B256::ZERO, 1, &anchor_domain());
        assert!(matches!(other, Err(DeviceError::NotItsSignature)));
    }
    for command in ["false", "echo nonsense", "no-such-program-here"] {
        let device = CommandDevice::new(command, public).expect("a program");
        let refused = DeviceKey::external(device).sign(&payload, &anchor_domain());
        assert!(matches!(refused, Err(DeviceError::Wallet(_))), "{command}");
    }
}

#[test]
fn debug_shows_no_secret() {
    for kind in IN_FILES {
        let key = DeviceKey::random(kind).expect("randomness");
        let text = key.to_text().expect("the key is here");
        let secret = text.split(':').next_back().expect("two parts");
        assert!(!format!("{key:?}").contains(secret));
    }
}

#[test]
fn time_behind_48_bits_is_refused() {
    assert!(matches!(
        Batch {
            to: 1 << 48,
            ..batch()
        }
        .anchoring(),
        Err(DeviceError::TimeTooLarge(_))
    ));
}

proptest! {
    #[test]
    fn no_outside_bytes_panic(
        text in ".{0,80}",
        signer in any::<Vec<u8>>(),
        key in any::<[u8; 32]>(),
        signature in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = DeviceKey::from_text(&text);
        let _ = text.parse::<DevicePublic>();
        let _ = Assertion::from_json(&text);
        let payload = batch().anchoring()?;
        let is_good = |signer: &[u8]| {
            verify(signer, &VERIFIERS, &payload, &anchor_domain(), &signature)
        };
        prop_assert!(!is_good(&signer));
        for verifier in [VERIFIERS.ed25519, VERIFIERS.p256, VERIFIERS.passkey] {
            for length in [1, 2] {
                prop_assert!(!is_good(&[verifier.as_slice(), &key.repeat(length)].concat()));
            }
        }
    }
}
