//! SensorRegistry: proof of keys, ownership, status, and keys of every kind.

use crate::harness::{Chain, GENESIS_TIME, key, org, seconds, sign};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolStruct;
use ed25519_dalek::{Signer, SigningKey};
use medina_contracts::{
    eip712,
    sensor_registry::{ISensorRegistry::Resource, SensorRegistry::*},
};

fn get(chain: &Chain, id: B256) -> Resource {
    chain.view(chain.at.sensor_registry, &getCall { id })
}

fn ed25519(chain: &Chain, seed: u8) -> (SigningKey, Bytes) {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let signer =
        eip712::ed25519_signer(chain.at.ed25519_verifier, secret.verifying_key().as_bytes());
    (secret, signer)
}

fn device_signature(chain: &Chain, secret: &SigningKey, message: &impl SolStruct) -> Bytes {
    let hash = message.eip712_signing_hash(&chain.domain("SensorRegistry"));
    secret.sign(hash.as_slice()).to_bytes().to_vec().into()
}

#[test]
fn registration_is_a_managers() {
    let mut chain = Chain::new();
    let call = chain.registration(1, keccak256("sensor"), &key("sensor"));
    chain.fails::<NotOwner>(2, chain.at.sensor_registry, &call);
    chain.fails_from::<NotOwner>(key("stranger").address(), chain.at.sensor_registry, &call);
}

#[test]
fn registration_needs_new_id_period_and_proof_of_the_key() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let good = chain.registration(1, keccak256("sensor"), &key("sensor"));
    let mut no_period = good.clone();
    no_period.r.period = 0;
    chain.fails::<BadPeriod>(1, at, &no_period);
    let mut other_key = good.clone();
    other_key.r.signer = key("other").address().to_vec().into();
    chain.fails::<BadDeviceKey>(1, at, &other_key);
    let mut short = good.clone();
    short.r.signer = vec![1; 19].into();
    chain.fails::<BadDeviceKey>(1, at, &short);
    let mut unknown_verifier = good.clone();
    unknown_verifier.r.signer = [&[7_u8; 20][..], &[1; 32]].concat().into();
    chain.fails::<BadDeviceKey>(1, at, &unknown_verifier);
    let mut long = good.clone();
    long.r.signer = vec![1; 277].into();
    chain.fails::<BadDeviceKey>(1, at, &long);
    let mut late = chain.clone();
    late.warp(3_601);
    late.fails::<BadDeviceKey>(1, at, &good);

    chain.ok(1, at, &good);
    chain.fails::<Exists>(1, at, &good);
    let again = chain.registration(1, keccak256("second"), &key("sensor"));
    chain.fails::<BadDeviceKey>(1, at, &again);
}

#[test]
fn registered_resource_is_kept_and_announced() {
    let mut chain = Chain::new();
    let id = keccak256("sensor");
    let mut call = chain.registration(1, id, &key("sensor"));
    call.r.org = B256::ZERO;
    let event = chain
        .ok(1, chain.at.sensor_registry, &call)
        .event::<Registered>();
    assert_eq!(
        (event.id, event.org, event.topic),
        (id, org(1), keccak256("temperature"))
    );
    assert_eq!((event.cell, event.period, event.t), (4_711, 60, 0));
    let mut expected = chain.resource(1, &key("sensor"));
    expected.since = seconds(GENESIS_TIME);
    expected.status = 1;
    assert_eq!(get(&chain, id), expected);
    assert_eq!(get(&chain, keccak256("nothing")).status, 0);
}

#[test]
fn service_may_promise_no_period() {
    let mut chain = Chain::new();
    let mut call = chain.registration(1, keccak256("store"), &key("store"));
    (call.r.period, call.r.t) = (0, 3);
    chain.ok(1, chain.at.sensor_registry, &call);
}

#[test]
fn ed25519_device_registers_with_its_own_key() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let (secret, signer) = ed25519(&chain, 1);
    let id = keccak256("device");
    let deadline = chain.deadline();
    let message = eip712::Registration {
        id,
        org: org(1),
        deadline,
    };
    let mut r = chain.resource(1, &key("unused"));
    r.signer = signer.clone();
    let good = registerCall {
        id,
        r,
        deadline,
        deviceSig: device_signature(&chain, &secret, &message),
    };
    let mut wrong = good.clone();
    let mut bytes = wrong.deviceSig.to_vec();
    bytes[5] ^= 1;
    wrong.deviceSig = bytes.into();
    chain.fails::<BadDeviceKey>(1, at, &wrong);
    let (stranger, _) = ed25519(&chain, 2);
    wrong.deviceSig = device_signature(&chain, &stranger, &message);
    chain.fails::<BadDeviceKey>(1, at, &wrong);
    chain.ok(1, at, &good);
    assert_eq!(get(&chain, id).signer, signer);
}

#[test]
fn many_are_registered_at_once_with_one_deadline() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let calls: Vec<_> = (0..65)
        .map(|index| {
            let name = format!("sensor {index}");
            chain.registration(1, keccak256(&name), &key(&name))
        })
        .collect();
    let batch = |count: usize| registerManyCall {
        ids: calls[..count].iter().map(|call| call.id).collect(),
        r: calls[..count].iter().map(|call| call.r.clone()).collect(),
        deadline: calls[0].deadline,
        sigs: calls[..count]
            .iter()
            .map(|call| call.deviceSig.clone())
            .collect(),
    };
    chain.fails::<OutOfRange>(1, at, &batch(65));
    let mut uneven = batch(2);
    uneven.sigs.pop();
    chain.fails::<OutOfRange>(1, at, &uneven);
    chain.fails::<NotOwner>(2, at, &batch(2));
    chain.ok(1, at, &batch(64));
    assert_eq!(get(&chain, keccak256("sensor 63")).org, org(1));
}

#[test]
fn update_is_the_owners() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let id = chain.register(1, "sensor");
    let update = updateCall {
        id,
        period: 5,
        cell: 9,
        meta: B256::ZERO,
    };
    chain.fails::<NotOwner>(2, at, &update);
    chain.fails::<BadPeriod>(
        1,
        at,
        &updateCall {
            period: 0,
            ..update.clone()
        },
    );
    chain.fails::<Unknown>(
        1,
        at,
        &updateCall {
            id: keccak256("nothing"),
            ..update.clone()
        },
    );
    chain.ok(1, at, &update).event::<Updated>();
    let resource = get(&chain, id);
    assert_eq!(
        (resource.period, resource.cell, resource.meta),
        (5, 9, B256::ZERO)
    );
}

#[test]
fn key_rotates_to_any_form_and_back_when_the_new_key_agrees() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let id = chain.register(1, "sensor");
    let deadline = chain.deadline();
    let message = eip712::KeyRotation { id, deadline };
    let (secret, signer) = ed25519(&chain, 1);
    let sig = device_signature(&chain, &secret, &message);
    let to_ed25519 = rotateKeyCall {
        id,
        signer: signer.clone(),
        deadline,
        sig,
    };
    chain.fails::<NotOwner>(2, at, &to_ed25519);
    let by_old = sign(&key("sensor"), &chain.domain("SensorRegistry"), &message);
    chain.fails::<BadDeviceKey>(
        1,
        at,
        &rotateKeyCall {
            sig: by_old.clone(),
            ..to_ed25519.clone()
        },
    );
    chain.ok(1, at, &to_ed25519).event::<KeyRotated>();
    assert_eq!(
        (get(&chain, id).signer, get(&chain, id).cell),
        (signer, 4_711)
    );

    let first: Bytes = key("sensor").address().to_vec().into();
    chain.ok(
        1,
        at,
        &rotateKeyCall {
            id,
            signer: first.clone(),
            deadline,
            sig: by_old,
        },
    );
    assert_eq!(
        (get(&chain, id).signer, get(&chain, id).cell),
        (first, 4_711)
    );
}

#[test]
fn status_is_the_owners_and_flags_are_the_moderators() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let id = chain.register(1, "sensor");
    let set = |status| setStatusCall { id, status };
    chain.fails::<NotOwner>(2, at, &set(2));
    chain.fails::<NotOwner>(1, at, &set(129));
    chain.fails::<Unknown>(1, at, &set(0));
    chain.fails::<Unknown>(1, at, &set(4));
    chain.fails::<Unknown>(
        1,
        at,
        &setStatusCall {
            id: B256::ZERO,
            status: 1,
        },
    );
    chain.ok(0, at, &set(129));
    chain.fails::<NotOwner>(1, at, &set(1));
    chain.ok(1, at, &set(2));
    assert_eq!(get(&chain, id).status, 130);
    chain.ok(0, at, &set(2));
    assert_eq!(chain.ok(1, at, &set(1)).event::<StatusSet>().status, 1);
}

#[test]
fn retired_is_final_and_frees_the_key() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let id = chain.register(1, "sensor");
    chain.ok(1, at, &setStatusCall { id, status: 3 });
    chain.fails::<Unknown>(1, at, &setStatusCall { id, status: 1 });
    chain.fails::<Unknown>(
        1,
        at,
        &updateCall {
            id,
            period: 1,
            cell: 1,
            meta: B256::ZERO,
        },
    );
    let mut again = chain.registration(2, keccak256("second life"), &key("sensor"));
    again.r.cell = 1;
    chain.ok(2, at, &again);
    assert_eq!(
        (
            get(&chain, id).cell,
            get(&chain, keccak256("second life")).cell
        ),
        (4_711, 1)
    );
}

#[test]
fn ownership_moves_with_both_sides() {
    let mut chain = Chain::new();
    let at = chain.at.sensor_registry;
    let id = chain.register(1, "sensor");
    chain.fails::<NotOwner>(2, at, &transferCall { id, toOrg: org(2) });
    chain.fails::<NotOwner>(2, at, &acceptCall { id });
    chain
        .ok(1, at, &transferCall { id, toOrg: org(2) })
        .event::<Offered>();
    chain.fails::<NotOwner>(3, at, &acceptCall { id });
    chain.warp(10);
    let event = chain.ok(2, at, &acceptCall { id }).event::<Moved>();
    assert_eq!((event.org, event.toOrg), (org(1), org(2)));
    let resource = get(&chain, id);
    assert_eq!(
        (resource.org, resource.since),
        (org(2), seconds(GENESIS_TIME + 10))
    );
    chain.fails::<NotOwner>(2, at, &acceptCall { id });

    chain.ok(2, at, &transferCall { id, toOrg: org(3) });
    chain.ok(
        2,
        at,
        &transferCall {
            id,
            toOrg: B256::ZERO,
        },
    );
    chain.fails::<NotOwner>(3, at, &acceptCall { id });
    chain.ok(2, at, &transferCall { id, toOrg: org(3) });
    chain.ok(2, at, &setStatusCall { id, status: 3 });
    chain.fails::<Unknown>(3, at, &acceptCall { id });
}

#[test]
fn verifiers_are_the_governors() {
    let mut chain = Chain::new();
    let call = setVerifierCall {
        verifier: Address::repeat_byte(1),
        allowed: true,
    };
    chain.fails::<AccessManagedUnauthorized>(1, chain.at.sensor_registry, &call);
    chain.ok(0, chain.at.sensor_registry, &call);
}
