//! Every signed structure of sensors, anchors, market and consent, fuzzed field by field: what was signed is what is
//! done, until its deadline, once, whoever signs and with whatever key. `signatures.rs` tampers with the signatures
//! themselves (chain, contract, bytes, malleability) for the whole suite.

use crate::{
    attacks::wallet_code,
    harness::{CHAIN_ID, Chain, GENESIS_TIME, key, org, seconds, sign, user},
};
use alloy_primitives::{Address, B256, Bytes, U256, Uint, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use ed25519_dalek::Signer;
use medina_contracts::{
    consent_and_access::{ConsentAndAccess, IConsentAndAccess::Grant},
    data_anchor::{DataAnchor, IDataAnchor::Batch},
    data_marketplace::{DataMarketplace, IDataMarketplace},
    eip712,
    sensor_registry::SensorRegistry,
};
use medina_sdk::device::Assertion;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use proptest::prelude::*;

/// With what a device signs.
#[derive(Clone, Copy, Debug)]
enum DeviceKey {
    /// secp256k1, an account.
    Account,
    /// The chain's precompile.
    Ed25519,
    /// A secure element.
    P256,
    /// An authenticator's assertion.
    Passkey,
}

const KEYS: [DeviceKey; 4] = [
    DeviceKey::Account,
    DeviceKey::Ed25519,
    DeviceKey::P256,
    DeviceKey::Passkey,
];

impl DeviceKey {
    /// Key `name` as `SensorRegistry` stores it.
    fn signer(self, chain: &Chain, name: &str) -> Bytes {
        match self {
            Self::Account => key(name).address().to_vec().into(),
            Self::Ed25519 => {
                let public = ed25519(name).verifying_key();
                eip712::ed25519_signer(chain.at.ed25519_verifier, public.as_bytes())
            }
            Self::P256 | Self::Passkey => {
                let public = p256(name).verifying_key().to_encoded_point(false);
                let coordinates = &public.as_bytes()[1..];
                let verifier = match self {
                    Self::Passkey => chain.at.webauthn_verifier,
                    _ => chain.at.p256_verifier,
                };
                [verifier.as_slice(), coordinates].concat().into()
            }
        }
    }

    fn sign(self, chain: &Chain, name: &str, contract: &str, message: &impl SolStruct) -> Bytes {
        self.sign_for(&chain.domain(contract), name, message)
    }

    fn sign_for(self, domain: &Eip712Domain, name: &str, message: &impl SolStruct) -> Bytes {
        let hash = message.eip712_signing_hash(domain);
        match self {
            Self::Account => sign(&key(name), domain, message),
            Self::Ed25519 => ed25519(name)
                .sign(hash.as_slice())
                .to_bytes()
                .to_vec()
                .into(),
            Self::P256 => {
                let signature: p256::ecdsa::Signature = p256(name)
                    .sign_prehash(hash.as_slice())
                    .expect("a hash of 32 bytes");
                let low = signature.normalize_s().unwrap_or(signature);
                low.to_bytes().to_vec().into()
            }
            Self::Passkey => assertion(name, hash, VERIFIED),
        }
    }
}

/// Flags of an authenticator: the user was present, and verified.
const VERIFIED: u8 = 0x05;

/// What an authenticator and a browser make of a challenge.
fn assertion(name: &str, challenge: B256, flags: u8) -> Bytes {
    let client = format!(
        r#"{{"type":"webauthn.get","challenge":"{}","origin":"https://market.example"}}"#,
        base64_url(challenge.as_slice())
    );
    let mut data = keccak256("market.example").to_vec();
    data.extend([flags, 0, 0, 0, 1]);
    let signed = sha256(&[data.as_slice(), &sha256(client.as_bytes())].concat());
    let signature: p256::ecdsa::Signature = p256(name).sign_prehash(&signed).expect("a hash");
    let assertion = Assertion::new(data, client, &signature.to_bytes()).expect("is short");
    assertion.encode(challenge).expect("is its challenge")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    revm::precompile::Crypto::sha256(&revm::precompile::DefaultCrypto, bytes)
}

fn base64_url(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sextets = |chunk: &[u8]| {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let number = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        let letter = |place: usize| letters[(number >> (18 - 6 * place)) as usize & 63] as char;
        (0..=chunk.len()).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(sextets).collect()
}

#[test]
fn passkey_signs_only_with_its_user_and_for_its_own_message() {
    let (mut chain, _, _) = scene();
    let at = chain.at.sensor_registry;
    let good = registration(&chain, DeviceKey::Passkey, "passkey");
    let message = eip712::Registration {
        id: good.id,
        org: org(1),
        deadline: good.deadline,
    };
    let hash = message.eip712_signing_hash(&chain.domain("SensorRegistry"));
    // Nobody there; there and not verified; verified by magic; backed up though it cannot be.
    for flags in [0x00, 0x01, 0x04, 0x15] {
        let mut call = good.clone();
        call.deviceSig = assertion("passkey", hash, flags);
        chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
    }
    let mut call = good.clone();
    call.deviceSig = assertion("passkey", keccak256("another challenge"), VERIFIED);
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
    // A bare signature of the same key is none of a passkey, and the other way round.
    call.deviceSig = DeviceKey::P256.sign(&chain, "passkey", "SensorRegistry", &message);
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
    call.r.signer = DeviceKey::P256.signer(&chain, "passkey");
    call.deviceSig = good.deviceSig.clone();
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
    // Cut anywhere it is refused.
    for length in (0..good.deviceSig.len()).step_by(31) {
        let mut call = good.clone();
        call.deviceSig = good.deviceSig.slice(..length);
        chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
    }
    chain.ok(1, at, &good);
}

fn ed25519(name: &str) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&keccak256(name).0)
}

fn p256(name: &str) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(keccak256(name).as_slice()).expect("a scalar")
}

fn registration(chain: &Chain, kind: DeviceKey, name: &str) -> SensorRegistry::registerCall {
    let mut call = chain.registration(1, keccak256(name), &key(name));
    let message = eip712::Registration {
        id: call.id,
        org: org(1),
        deadline: call.deadline,
    };
    call.r.signer = kind.signer(chain, name);
    call.deviceSig = kind.sign(chain, name, "SensorRegistry", &message);
    call
}

fn rotation(chain: &Chain, kind: DeviceKey, id: B256, next: &str) -> SensorRegistry::rotateKeyCall {
    let deadline = chain.deadline();
    let message = eip712::KeyRotation { id, deadline };
    SensorRegistry::rotateKeyCall {
        id,
        signer: kind.signer(chain, next),
        deadline,
        sig: kind.sign(chain, next, "SensorRegistry", &message),
    }
}

fn anchoring(
    chain: &Chain,
    kind: DeviceKey,
    name: &str,
    source: B256,
    seq: u64,
) -> DataAnchor::anchorCall {
    let (root, from, to) = (
        keccak256("root"),
        seconds(GENESIS_TIME),
        seconds(GENESIS_TIME + 60),
    );
    let message = eip712::Anchoring {
        source,
        seq,
        root,
        from,
        to,
        count: 1,
    };
    DataAnchor::anchorCall {
        source,
        b: Batch {
            root,
            from,
            to,
            count: 1,
        },
        sig: kind.sign(chain, name, "DataAnchor", &message),
    }
}

fn intent(chain: &Chain, listing: u64) -> (eip712::BuyIntent, IDataMarketplace::BuyIntent) {
    let buyer = chain.account(2);
    let message = eip712::BuyIntent {
        listing,
        units: 1,
        buyer,
        user: buyer,
        maxAmount: 5_000,
        purpose: keccak256("research"),
        deadline: chain.deadline(),
        number: 7,
    };
    let i = IDataMarketplace::BuyIntent {
        listing,
        units: 1,
        buyer,
        user: buyer,
        maxAmount: 5_000,
        purpose: message.purpose,
        deadline: message.deadline,
        number: 7,
    };
    (message, i)
}

fn consent(chain: &Chain) -> (eip712::GrantFor, ConsentAndAccess::grantForCall) {
    let deadline = chain.deadline();
    let until = seconds(chain.time + 86_400);
    let message = eip712::GrantFor {
        scope: user(2),
        grantee: user(3),
        purpose: keccak256("care"),
        ops: 2,
        from: Uint::ZERO,
        until,
        form: keccak256("form"),
        deadline,
    };
    let call = ConsentAndAccess::grantForCall {
        g: Grant {
            scope: message.scope,
            grantee: message.grantee,
            purpose: message.purpose,
            ops: 2,
            from: Uint::ZERO,
            until,
            form: message.form,
        },
        deadline,
        ownerSig: chain.sign_packed(2, "ConsentAndAccess", &message),
    };
    (message, call)
}

/// Two sensors of organisation 1 with listings at one price, and a buyer with money.
fn scene() -> (Chain, [B256; 2], [u64; 2]) {
    let mut chain = Chain::new();
    let sensors = ["first", "second"].map(|name| chain.register(1, name));
    let listings = sensors.map(|sensor| {
        let listing = chain.listing(1, sensor, 1_000);
        chain.list(1, listing)
    });
    chain.approve(2, u128::MAX);
    chain.approve(3, u128::MAX);
    chain.warp(1_000);
    (chain, sensors, listings)
}

fn accepts(
    chain: &mut Chain,
    from: usize,
    to: Address,
    call: &impl alloy_sol_types::SolCall,
) -> bool {
    chain.call(chain.account(from), to, call).success
}

/// Another value of a field: never the one that was signed.
fn other(noise: u64) -> B256 {
    keccak256(noise.to_be_bytes())
}

#[test]
fn devices_sign_with_each_kind_of_key_for_their_own_message_only() {
    for kind in KEYS {
        let (mut chain, _, _) = scene();
        let (registry, anchor) = (chain.at.sensor_registry, chain.at.data_anchor);
        let register = registration(&chain, kind, "device");
        assert!(accepts(&mut chain, 1, registry, &register), "{kind:?}");
        let id = register.id;
        let of_another = anchoring(&chain, kind, "another", id, 1);
        assert!(!accepts(&mut chain, 9, anchor, &of_another), "{kind:?}");
        let mine = anchoring(&chain, kind, "device", id, 1);
        assert!(accepts(&mut chain, 9, anchor, &mine), "{kind:?}");
        assert!(!accepts(&mut chain, 9, anchor, &mine), "{kind:?} again");
        for next in KEYS {
            let mut rotated = chain.clone();
            let by_old = rotation(&chain, kind, id, "device");
            let mut call = rotation(&chain, next, id, "next");
            let sig = std::mem::replace(&mut call.sig, by_old.sig);
            assert!(
                !accepts(&mut rotated, 1, registry, &call),
                "{next:?} by the old key"
            );
            call.sig = sig;
            assert!(
                accepts(&mut rotated, 1, registry, &call),
                "{kind:?} to {next:?}"
            );
            let old = anchoring(&rotated, kind, "device", id, 2);
            assert!(
                !accepts(&mut rotated, 9, anchor, &old),
                "the old key is out"
            );
            let new = anchoring(&rotated, next, "next", id, 2);
            assert!(accepts(&mut rotated, 9, anchor, &new), "{next:?}");
        }
    }
}

#[test]
fn deadlines_hold_to_the_second() {
    let (chain, [sensor, _], [listing, _]) = scene();
    let at = chain.at;
    let (message, i) = intent(&chain, listing);
    let buy = DataMarketplace::buyForCall {
        i,
        buyerSig: chain.sign(2, "DataMarketplace", &message),
    };
    let register = registration(&chain, DeviceKey::Account, "device");
    let rotate = rotation(&chain, DeviceKey::Account, sensor, "next");
    let grant = consent(&chain).1;
    for (wait, expected) in [(3_600, true), (3_601, false)] {
        let mut later = chain.clone();
        later.warp(wait);
        assert_eq!(accepts(&mut later, 9, at.data_marketplace, &buy), expected);
        assert_eq!(
            accepts(&mut later, 1, at.sensor_registry, &register),
            expected
        );
        assert_eq!(
            accepts(&mut later, 1, at.sensor_registry, &rotate),
            expected
        );
        assert_eq!(
            accepts(&mut later, 9, at.consent_and_access, &grant),
            expected
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn registration_and_rotation_are_for_what_was_signed(
        field in 0_usize..3,
        noise in any::<u64>(),
        kind in prop::sample::select(&KEYS[..]),
    ) {
        let (mut chain, [sensor, second], _) = scene();
        let at = chain.at.sensor_registry;
        let (mut register, good) = {
            let call = registration(&chain, kind, "device");
            (call.clone(), call)
        };
        let later = Uint::from(chain.time + 3_601 + noise % 1_000_000);
        let stranger = kind.signer(&chain, "stranger");
        match field {
            0 => register.id = other(noise),
            1 => register.deadline = later,
            _ => register.r.signer = stranger.clone(),
        }
        prop_assert!(!accepts(&mut chain, 1, at, &register));
        // Another organisation cannot bring it either: the device signed for its owner.
        register = good.clone();
        register.r.org = org(2);
        prop_assert!(!accepts(&mut chain, 2, at, &register));
        let good_rotation = rotation(&chain, kind, sensor, "next");
        let mut rotate = good_rotation.clone();
        match field {
            0 => rotate.id = second,
            1 => rotate.deadline = later,
            _ => rotate.signer = stranger,
        }
        prop_assert!(!accepts(&mut chain, 1, at, &rotate));
        prop_assert!(accepts(&mut chain, 1, at, &good_rotation));
        prop_assert!(!accepts(&mut chain, 1, at, &good_rotation), "a message works once");
        prop_assert!(accepts(&mut chain, 1, at, &good));
    }

    #[test]
    fn batch_is_the_one_that_was_signed(
        field in 0_usize..6,
        noise in any::<u32>(),
        kind in prop::sample::select(&KEYS[..]),
    ) {
        let (mut chain, _, _) = scene();
        let at = chain.at;
        for name in ["one", "two"] {
            let mut call = registration(&chain, kind, name);
            call.r.period = 1;
            chain.ok(1, at.sensor_registry, &call);
        }
        let id = keccak256("one");
        let good = anchoring(&chain, kind, "one", id, 1);
        let mut call = good.clone();
        match field {
            0 => call.source = keccak256("two"),
            1 => call.b.root = other(noise.into()),
            2 => call.b.from += Uint::from(1 + noise % 60),
            3 => call.b.to += Uint::from(1 + noise % 600),
            4 => call.b.count = 2 + noise % 1_000,
            _ => call.sig = anchoring(&chain, kind, "one", id, 2 + u64::from(noise)).sig,
        }
        prop_assert!(!accepts(&mut chain, 9, at.data_anchor, &call));
        prop_assert!(accepts(&mut chain, 9, at.data_anchor, &good));
        prop_assert!(!accepts(&mut chain, 9, at.data_anchor, &good), "a batch works once");
    }

    #[test]
    fn purchase_is_the_one_that_was_signed(field in 0_usize..8, noise in any::<u64>()) {
        let (mut chain, _, [listing, second]) = scene();
        let at = chain.at.data_marketplace;
        let (message, good) = intent(&chain, listing);
        let mut i = good.clone();
        match field {
            0 => i.listing = second,
            1 => i.units = 2 + noise % 3,
            2 => i.buyer = chain.account(3),
            3 => i.user = chain.account(4),
            4 => i.maxAmount = 5_001 + u128::from(noise),
            5 => i.purpose = other(noise),
            6 => i.deadline += Uint::from(1 + noise % 1_000_000),
            _ => i.number = 8_u64.saturating_add(noise),
        }
        let signature = chain.sign(2, "DataMarketplace", &message);
        let call = |i| DataMarketplace::buyForCall { i, buyerSig: signature.clone() };
        prop_assert!(!accepts(&mut chain, 9, at, &call(i)));
        prop_assert!(accepts(&mut chain, 9, at, &call(good.clone())));
        prop_assert!(!accepts(&mut chain, 9, at, &call(good)), "a number works once");
    }

    #[test]
    fn voucher_is_for_its_order_and_count(cumulative in 1_u64..9, claimed in 1_u64..10, other_order: bool) {
        let (mut chain, [sensor, _], _) = scene();
        let at = chain.at.data_marketplace;
        let mut listing = chain.listing(1, sensor, 1_000);
        (listing.price, listing.unit) = (2, 1_000_000);
        let id = chain.list(1, listing);
        let orders: Vec<U256> = (0..2).map(|_| {
            let mut call = chain.purchase(2, id, u128::MAX);
            call.units = 9;
            chain.ok(2, at, &call).event::<DataMarketplace::Bought>().order
        }).collect();
        let message = eip712::UnitVoucher { order: orders[0], cumulative };
        let call = DataMarketplace::claimUnitsCall {
            order: orders[usize::from(other_order)],
            cumulative: claimed,
            userSig: chain.sign(2, "DataMarketplace", &message),
        };
        let is_signed = !other_order && claimed == cumulative;
        prop_assert_eq!(accepts(&mut chain, 9, at, &call), is_signed);
        prop_assert!(!accepts(&mut chain, 9, at, &call), "never a second time");
        let used: u64 = chain.order(orders[0]).used;
        prop_assert_eq!(used, if is_signed { cumulative } else { 0 });
    }

    #[test]
    fn consent_is_the_one_that_was_signed(field in 0_usize..8, noise in any::<u64>()) {
        let (mut chain, _, _) = scene();
        let at = chain.at.consent_and_access;
        let good = consent(&chain).1;
        let mut call = good.clone();
        match field {
            0 => call.g.scope = user(3),
            1 => call.g.grantee = other(noise),
            2 => call.g.purpose = other(noise),
            3 => call.g.ops = 3 + u8::try_from(noise % 13).expect("small"),
            4 => call.g.from = Uint::from(1 + noise % 1_000_000),
            5 => call.g.until += Uint::from(1 + noise % 1_000_000),
            6 => call.g.form = other(noise),
            _ => call.deadline += Uint::from(1 + noise % 1_000_000),
        }
        prop_assert!(!accepts(&mut chain, 9, at, &call));
        // Somebody else's name before the same signature.
        let mut renamed = good.clone();
        renamed.ownerSig = eip712::packed(chain.account(3), &good.ownerSig[20..]);
        prop_assert!(!accepts(&mut chain, 9, at, &renamed));
        let mut short = good.clone();
        short.ownerSig = good.ownerSig.slice(..usize::try_from(noise % 85)?);
        prop_assert!(!accepts(&mut chain, 9, at, &short));
        prop_assert!(accepts(&mut chain, 9, at, &good));
        prop_assert!(!accepts(&mut chain, 9, at, &good), "a message works once");
    }
}

/// A wallet of code says yes to one hash by ERC-1271, whatever the signature.
fn becomes_wallet(chain: &mut Chain, of: Address, hash: B256) {
    chain.put_code(of, wallet_code(hash));
}

fn whatever() -> Bytes {
    Bytes::from_static(b"what the wallet understands")
}

#[test]
fn contract_wallet_may_be_a_device() {
    let (mut chain, _, _) = scene();
    let at = chain.at;
    let device = key("device").address();
    let mut register = registration(&chain, DeviceKey::Account, "device");
    let message = eip712::Registration {
        id: register.id,
        org: org(1),
        deadline: register.deadline,
    };
    let hash = message.eip712_signing_hash(&chain.domain("SensorRegistry"));
    becomes_wallet(&mut chain, device, hash);
    register.deviceSig = whatever();
    let mut other = register.clone();
    other.id = keccak256("another");
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at.sensor_registry, &other);
    chain.ok(1, at.sensor_registry, &register);
    let mut anchor = anchoring(&chain, DeviceKey::Account, "device", register.id, 1);
    // Its key's own signature counts no more: the code decides.
    chain.fails::<DataAnchor::NotSource>(9, at.data_anchor, &anchor);
    let message = eip712::Anchoring {
        source: anchor.source,
        seq: 1,
        root: anchor.b.root,
        from: anchor.b.from,
        to: anchor.b.to,
        count: 1,
    };
    let hash = message.eip712_signing_hash(&chain.domain("DataAnchor"));
    becomes_wallet(&mut chain, device, hash);
    anchor.sig = whatever();
    chain.ok(9, at.data_anchor, &anchor);
    chain.fails::<DataAnchor::NotSource>(9, at.data_anchor, &anchor);
    let next = key("next").address();
    let mut rotate = rotation(&chain, DeviceKey::Account, register.id, "next");
    let message = eip712::KeyRotation {
        id: rotate.id,
        deadline: rotate.deadline,
    };
    let hash = message.eip712_signing_hash(&chain.domain("SensorRegistry"));
    becomes_wallet(&mut chain, next, hash);
    rotate.sig = whatever();
    chain.ok(1, at.sensor_registry, &rotate);
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at.sensor_registry, &rotate);
}

#[test]
fn contract_wallet_may_be_a_patient() {
    let (mut chain, _, _) = scene();
    let at = chain.at.consent_and_access;
    let (message, mut call) = consent(&chain);
    let hash = message.eip712_signing_hash(&chain.domain("ConsentAndAccess"));
    let patient = chain.account(2);
    becomes_wallet(&mut chain, patient, hash);
    call.ownerSig = eip712::packed(patient, &whatever());
    let mut other = call.clone();
    other.g.ops = 15;
    chain.fails::<ConsentAndAccess::NotOwner>(9, at, &other);
    chain.ok(9, at, &call);
    chain.fails::<ConsentAndAccess::Ended>(9, at, &call);
}

/// The same bytes on another chain: nothing else in the message tells them apart.
#[test]
fn device_messages_of_another_chain_are_refused_for_every_kind_of_key() {
    for kind in KEYS {
        let (mut chain, _, _) = scene();
        let mut call = registration(&chain, kind, "device");
        let message = eip712::Registration {
            id: call.id,
            org: org(1),
            deadline: call.deadline,
        };
        let mut domain = chain.domain("SensorRegistry");
        domain.chain_id = Some(U256::from(CHAIN_ID + 1));
        call.deviceSig = kind.sign_for(&domain, "device", &message);
        let at = chain.at.sensor_registry;
        chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
    }
}

/// Of the two signatures (r, s) and (r, n - s) only the low one is taken.
#[test]
fn high_s_of_a_secure_element_is_refused() {
    let (mut chain, _, _) = scene();
    let at = chain.at.sensor_registry;
    let good = registration(&chain, DeviceKey::P256, "device");
    let signature = p256::ecdsa::Signature::from_slice(&good.deviceSig).expect("64 bytes");
    let (r, s) = signature.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r, -s).expect("not zero");
    let mut call = good.clone();
    call.deviceSig = high.to_bytes().to_vec().into();
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
    chain.ok(1, at, &good);
}
