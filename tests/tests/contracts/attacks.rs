//! Attacks that once worked, or that must never: each test is somebody who tries.

use crate::harness::{Chain, GENESIS_TIME, TOKEN, key, org, seconds, sign};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_sol_types::{SolCall, SolStruct};
use medina_contracts::{
    DeploymentParameters,
    access_manager::AccessManager,
    data_anchor::{DataAnchor, IDataAnchor::Batch},
    data_marketplace::{DataMarketplace, IDataMarketplace},
    eip712,
    federation_registry::FederationRegistry,
    identity::{IIdentity, Identity},
    medina_token::MedinaToken,
    sensor_registry::SensorRegistry,
    trust_and_reputation::TrustAndReputation,
    values::IdentityStatus,
};

const PRICE: u128 = 10 * TOKEN;

fn confidence(chain: &Chain, org: B256) -> u16 {
    let call = TrustAndReputation::platformReputationCall { org };
    chain.view(chain.at.trust_and_reputation, &call).confidence
}

fn trust(chain: &Chain, id: B256) -> u16 {
    let call = TrustAndReputation::resourceTrustCall { id };
    chain.view(chain.at.trust_and_reputation, &call).value
}

/// Readings of [from, to], one a minute, anchored by the device of `sensor`.
fn anchor(chain: &mut Chain, name: &str, from: u64, to: u64) {
    let call = DataAnchor::anchorCall {
        source: keccak256(name),
        b: Batch {
            root: keccak256("root"),
            from: seconds(from),
            to: seconds(to),
            count: u32::try_from((to - from) / 60).unwrap(),
        },
        sig: Bytes::new(),
    };
    let device = key(name).address();
    assert!(chain.call(device, chain.at.data_anchor, &call).success);
}

#[test]
fn certifier_cannot_let_somebody_into_an_organisation_by_suspending_and_lifting() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    let e = eip712::Enrolment {
        userId: keccak256("mallory"),
        nullifier: keccak256("nullifier of mallory"),
        org: org(1),
        account: key("mallory").address(),
        role: 2,
        expires: seconds(chain.time + 365 * 86_400),
        terms: B256::ZERO,
        deadline: chain.deadline(),
    };
    // The certifier is a plain certifier, not an Administrator.
    let certifier = 5;
    let grant = AccessManager::grantRoleCall {
        roleId: 3,
        account: chain.account(certifier),
        executionDelay: 0,
    };
    chain.ok(0, chain.at.access_manager, &grant);
    let sig = chain.sign(certifier, "Identity", &e);
    let enrol = Identity::enrolCall {
        e: IIdentity::Enrolment {
            userId: e.userId,
            nullifier: e.nullifier,
            org: e.org,
            account: e.account,
            role: e.role,
            expires: e.expires,
            terms: e.terms,
            deadline: e.deadline,
        },
        certifier: chain.account(certifier),
        sig,
    };
    chain.ok(certifier, at, &enrol);
    let set = |s: IdentityStatus| Identity::setStatusCall {
        userId: e.userId,
        s: s.into(),
        reason: B256::ZERO,
    };
    let role = |chain: &Chain| chain.view(at, &Identity::roleOfCall { a: e.account });
    let by_certifier = chain.account(certifier);
    chain.call(by_certifier, at, &set(IdentityStatus::Suspended));
    chain.call(by_certifier, at, &set(IdentityStatus::Active));
    assert_eq!(role(&chain), 0, "only the org admin lets somebody in");
    // Who waits can still be let in, or turned away for good.
    let mut refused = chain.clone();
    refused.ok(certifier, at, &set(IdentityStatus::Revoked));
    let approve = Identity::approveCall { userId: e.userId };
    refused.fails::<Identity::NotAllowed>(1, at, &approve);
    chain.ok(1, at, &approve);
    assert_eq!(role(&chain), 2);
}

#[test]
fn frequent_refreshes_by_a_rival_do_not_hide_that_a_sensor_was_up() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let at = chain.at.trust_and_reputation;
    let refresh = TrustAndReputation::refreshCall { resource: sensor };
    // The sensor anchors each hour what it read each minute; a rival refreshes every six minutes.
    for hour in 0..6 {
        for _ in 0..10 {
            chain.warp(360);
            chain.ok(9, at, &refresh);
        }
        let start = GENESIS_TIME + hour * 3_600;
        anchor(&mut chain, "sensor", start, start + 3_600);
        chain.ok(1, at, &refresh);
    }
    // All up, prior 0.5; decay is 7 days, so its share is the same for both.
    assert!(trust(&chain, sensor) > 4_990, "{}", trust(&chain, sensor));
}

#[test]
fn coverage_of_one_time_does_not_stand_for_another() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let at = chain.at.trust_and_reputation;
    let refresh = TrustAndReputation::refreshCall { resource: sensor };
    // Up for three days without a refresh: a day of it counts, the rest is no stock for later.
    let days = 86_400;
    chain.warp(3 * days);
    anchor(&mut chain, "sensor", GENESIS_TIME, GENESIS_TIME + 3 * days);
    chain.ok(9, at, &refresh);
    assert_eq!(trust(&chain, sensor), 5_000);
    for _ in 0..2 {
        chain.warp(days / 2);
        chain.ok(9, at, &refresh);
    }
    let after = trust(&chain, sensor);
    assert!(
        (2_200..2_600).contains(&after),
        "one day up, one down: {after}"
    );
    // And what was anchored before the registration counts for nothing.
    let mut other = Chain::new();
    other.register(1, "sensor");
    anchor(&mut other, "sensor", GENESIS_TIME - days, GENESIS_TIME);
    other.warp(1_000);
    other.ok(9, at, &refresh);
    let at_first = trust(&other, sensor);
    other.warp(3_000);
    other.ok(9, at, &refresh);
    assert!(trust(&other, sensor) < at_first);
}

#[test]
fn share_does_not_go_along_to_a_new_owner_within_one_second() {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2], "fed");
    let sensor = chain.register(1, "sensor");
    let federations = chain.at.federation_registry;
    let share = FederationRegistry::shareCall {
        fed,
        resources: vec![sensor],
        bartered: vec![true],
    };
    chain.ok(1, federations, &share);
    let registry = chain.at.sensor_registry;
    let offer = SensorRegistry::transferCall {
        id: sensor,
        toOrg: org(2),
    };
    chain.ok(1, registry, &offer);
    // Blocks may share a second, and this is the first membership of both.
    chain.ok(2, registry, &SensorRegistry::acceptCall { id: sensor });
    let call = FederationRegistry::isSharedCall {
        fed,
        resource: sensor,
    };
    assert!(!chain.view(federations, &call).shared);
}

#[test]
fn longer_half_life_does_not_freeze_the_weight_of_old_pairs() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let listing = chain.listing(1, sensor, PRICE);
    let id = chain.list(1, listing);
    let at = chain.at.trust_and_reputation;
    let weigh = |chain: &mut Chain| {
        let order = chain.complete(1, 2, id, PRICE);
        let rate = TrustAndReputation::rateCall {
            order,
            score: 10_000,
            comment: B256::ZERO,
        };
        let rated = chain.ok(2, at, &rate);
        rated.event::<TrustAndReputation::Rated>().weight
    };
    let whole = weigh(&mut chain);
    let mut p = chain.view(at, &TrustAndReputation::paramsCall {});
    p.halfFeedback *= 2;
    chain.ok(0, at, &TrustAndReputation::setParamsCall { p });
    chain.warp(400 * 86_400);
    assert_eq!(weigh(&mut chain), whole);
    assert_eq!(weigh(&mut chain), whole / 2);
}

#[test]
fn guardian_cancels_what_the_governor_scheduled_as_admin() {
    let keys: Vec<_> = (0..3)
        .map(|index| key(&format!("account {index}")))
        .collect();
    let accounts: Vec<_> = keys
        .iter()
        .map(alloy_signer_local::PrivateKeySigner::address)
        .collect();
    let mut parameters = DeploymentParameters::development(&accounts);
    parameters.governor_delay_s = 48 * 3_600;
    parameters.guardians = vec![accounts[1]];
    let mut chain = Chain::with(&parameters, keys);
    let manager = chain.at.access_manager;
    // Each of these would take the market, or the guardian's power to stop it.
    let market = chain.at.data_marketplace;
    let attempts: [Bytes; 3] = [
        AccessManager::setTargetFunctionRoleCall {
            target: market,
            selectors: vec![DataMarketplace::upgradeToAndCallCall::SELECTOR.into()],
            roleId: u64::MAX,
        }
        .abi_encode()
        .into(),
        AccessManager::revokeRoleCall {
            roleId: 2,
            account: accounts[1],
        }
        .abi_encode()
        .into(),
        AccessManager::updateAuthorityCall {
            target: market,
            newAuthority: manager,
        }
        .abi_encode()
        .into(),
    ];
    for data in attempts {
        let schedule = AccessManager::scheduleCall {
            target: manager,
            data: data.clone(),
            when: alloy_primitives::Uint::ZERO,
        };
        chain.ok(0, manager, &schedule);
        let cancel = AccessManager::cancelCall {
            caller: accounts[0],
            target: manager,
            data,
        };
        chain.fails::<AccessManager::AccessManagerUnauthorizedCancel>(2, manager, &cancel);
        chain.ok(1, manager, &cancel);
    }
}

#[test]
fn guardian_closes_nothing_that_would_lock_the_governor_out() {
    let mut chain = Chain::new();
    use medina_contracts::gatekeeper::Gatekeeper::closeCall;
    let manager = chain.at.access_manager;
    for (_, target) in chain.at.named() {
        chain.ok(0, chain.at.gatekeeper, &closeCall { target });
        let open = AccessManager::setTargetClosedCall {
            target,
            closed: false,
        };
        chain.ok(0, manager, &open);
    }
    let grant = AccessManager::grantRoleCall {
        roleId: 2,
        account: chain.account(1),
        executionDelay: 0,
    };
    chain.ok(0, manager, &grant);
}

#[test]
fn escrow_cannot_be_credited_to_the_market_itself() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let market = chain.at.data_marketplace;
    let mut to_market = chain.listing(1, sensor, PRICE);
    to_market.payee = market;
    let list = DataMarketplace::listCall { l: to_market };
    chain.fails::<DataMarketplace::BadListing>(1, market, &list);
    let listing = chain.listing(1, sensor, PRICE);
    let id = chain.list(1, listing);
    chain.complete(1, 2, id, PRICE);
    let withdraw = DataMarketplace::withdrawCall { to: market };
    chain.fails::<DataMarketplace::NotParty>(1, market, &withdraw);
    chain.ok(
        1,
        market,
        &DataMarketplace::withdrawCall {
            to: chain.account(1),
        },
    );
}

#[test]
fn judge_that_lost_its_licence_gets_no_new_orders_and_old_ones_still_end() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let market = chain.at.data_marketplace;
    let license = |chain: &Chain, allowed| DataMarketplace::setJudgeCall {
        judge: chain.account(7),
        allowed,
    };
    let call = license(&chain, true);
    chain.ok(0, market, &call);
    let mut listing = chain.listing(1, sensor, PRICE);
    listing.judge = chain.account(7);
    let id = chain.list(1, listing);
    let order = chain.buy(2, id, PRICE);
    let call = license(&chain, false);
    chain.ok(0, market, &call);
    chain.approve(3, PRICE);
    let purchase = chain.purchase(3, id, PRICE);
    chain.fails::<DataMarketplace::NotJudge>(3, market, &purchase);
    chain.warp(3_601);
    chain.ok(9, market, &DataMarketplace::cancelCall { order });
    assert_eq!(chain.credit(chain.account(2)), PRICE);
}

#[test]
fn least_gas_that_closes_an_order_is_enough_to_count_the_blame() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let listing = chain.listing(1, sensor, PRICE);
    let id = chain.list(1, listing);
    let order = chain.buy(2, id, PRICE);
    // The longest history that the buyer's reputation reads.
    for index in 0..20 {
        chain.federate(2, &[], &format!("fed {index}"));
    }
    chain.warp(3_601);
    let market = chain.at.data_marketplace;
    let cancel = DataMarketplace::cancelCall { order };
    let mut gas = 320_000;
    loop {
        let mut attempt = chain.clone();
        let outcome = attempt.call_with_gas(attempt.account(9), market, &cancel, gas);
        if outcome.success {
            assert!(confidence(&attempt, org(1)) > 0, "blame lost at {gas} gas");
            return;
        }
        assert!(gas < 1_000_000);
        gas += 500;
    }
}

/// Code of a wallet that says ERC-1271's yes to one hash, whatever the signature.
pub(crate) fn wallet_code(hash: B256) -> Bytes {
    // calldata[4..36] == hash ? 0x1626ba7e << 224 : 0
    let compare = hex!("14631626ba7e60e01b025f5260205ff3");
    [&hex!("6004357f")[..], hash.as_slice(), &compare]
        .concat()
        .into()
}

#[test]
fn contract_wallet_buys_with_its_own_signature_and_only_what_it_signed() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let listing = chain.listing(1, sensor, PRICE);
    let id = chain.list(1, listing);
    let (market, token) = (chain.at.data_marketplace, chain.at.medina_token);
    // It approves before it has code: here only accounts without code send.
    let wallet = key("wallet").address();
    let e = eip712::Enrolment {
        userId: keccak256("wallet"),
        nullifier: keccak256("wallet"),
        org: keccak256("wallet"),
        account: wallet,
        role: 1,
        expires: seconds(chain.time + 1_000_000),
        terms: B256::ZERO,
        deadline: chain.deadline(),
    };
    let sig = chain.sign(0, "Identity", &e);
    let enrol = Identity::enrolCall {
        e: IIdentity::Enrolment {
            userId: e.userId,
            nullifier: e.nullifier,
            org: e.org,
            account: e.account,
            role: e.role,
            expires: e.expires,
            terms: e.terms,
            deadline: e.deadline,
        },
        certifier: chain.account(0),
        sig,
    };
    chain.ok(9, chain.at.identity, &enrol);
    let give = MedinaToken::transferCall {
        to: wallet,
        value: U256::from(3 * PRICE),
    };
    chain.ok(3, token, &give);
    let approve = MedinaToken::approveCall {
        spender: market,
        value: U256::MAX,
    };
    assert!(chain.call(wallet, token, &approve).success);
    let intent = |number| eip712::BuyIntent {
        listing: id,
        units: 1,
        buyer: wallet,
        user: wallet,
        maxAmount: PRICE,
        purpose: B256::ZERO,
        deadline: seconds(GENESIS_TIME + 3_600),
        number,
    };
    let hash = intent(0).eip712_signing_hash(&chain.domain("DataMarketplace"));
    chain.put_code(wallet, wallet_code(hash));
    let call = |intent: eip712::BuyIntent, buyer: Address| DataMarketplace::buyForCall {
        i: IDataMarketplace::BuyIntent {
            listing: intent.listing,
            units: intent.units,
            buyer,
            user: intent.user,
            maxAmount: intent.maxAmount,
            purpose: intent.purpose,
            deadline: intent.deadline,
            number: intent.number,
        },
        buyerSig: Bytes::from_static(b"whatever the wallet understands"),
    };
    chain.fails::<DataMarketplace::BadVoucher>(9, market, &call(intent(1), wallet));
    let other = chain.account(2);
    chain.fails::<DataMarketplace::BadVoucher>(9, market, &call(intent(0), other));
    let bought = chain.ok(9, market, &call(intent(0), wallet));
    assert_eq!(bought.event::<DataMarketplace::Bought>().buyer, wallet);
    chain.fails::<DataMarketplace::BadVoucher>(9, market, &call(intent(0), wallet));
    assert_eq!(chain.balance(wallet), 2 * PRICE);
}

#[test]
fn high_s_twin_of_a_signature_is_refused() {
    let mut chain = Chain::new();
    let mut call = chain.registration(1, keccak256("sensor"), &key("sensor"));
    let mut twin = call.deviceSig.to_vec();
    let order = U256::from_be_slice(&hex!(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
    ));
    let s = order - U256::from_be_slice(&twin[32..64]);
    twin[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    twin[64] = if twin[64].is_multiple_of(2) { 28 } else { 27 };
    call.deviceSig = twin.into();
    let at = chain.at.sensor_registry;
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &call);
}

#[test]
fn inner_node_of_a_tree_is_no_record_without_its_leaf() {
    // `verify` takes leaves; a record's leaf is hashed twice, an inner node once, so no record has an inner
    // node as its leaf. What is checked here: a proof for one place does not hold for another batch or source.
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    chain.register(1, "other");
    chain.warp(1_000);
    anchor(&mut chain, "sensor", GENESIS_TIME, GENESIS_TIME + 60);
    let verify = |source, seq, leaf| DataAnchor::verifyCall {
        source,
        seq,
        leaf,
        proof: Vec::new(),
    };
    let at = chain.at.data_anchor;
    assert_eq!(chain.view(at, &verify(sensor, 1, keccak256("root"))), 1);
    assert_eq!(chain.view(at, &verify(sensor, 2, keccak256("root"))), 0);
    assert_eq!(chain.view(at, &verify(sensor, 2, B256::ZERO)), 0);
    let other = keccak256("other");
    assert_eq!(chain.view(at, &verify(other, 1, keccak256("root"))), 0);
}

#[test]
fn p256_device_signs_with_its_secure_element() {
    let mut chain = Chain::new();
    let id = keccak256("secure element");
    let deadline = seconds(GENESIS_TIME + 3_600);
    let message = eip712::Registration {
        id,
        org: org(1),
        deadline,
    };
    let hash = message.eip712_signing_hash(&chain.domain("SensorRegistry"));
    assert_eq!(
        hash,
        hex!("4d74db06a7f1bf1714eff23b8858baf37d29ae43f417b58a4940d83116741c90")
    );
    // Key and signature of that hash were made with OpenSSL's curve; the private key is not kept.
    let public = hex!(
        "1c80e7602b6332a4c25f6e85b8af91fe0103813e8f82a7dc404f58248c121d37853ef80be58123608337cc80cce26493174770839b4b00cc5df88887f3a3547e"
    );
    let signature = hex!(
        "fa5d134011e86c892fc2e5fc34edb58ea48864a9612cffa501bfd950054623155152891814383c3e0416367d199c909d40571929bb5b1f6e8732da47e5a8837c"
    );
    let mut r = chain.resource(1, &key("unused"));
    r.signer = [chain.at.p256_verifier.as_slice(), &public].concat().into();
    let good = SensorRegistry::registerCall {
        id,
        r,
        deadline,
        deviceSig: signature.to_vec().into(),
    };
    let at = chain.at.sensor_registry;
    for place in [0, 63] {
        let mut wrong = good.clone();
        let mut bytes = signature.to_vec();
        bytes[place] ^= 1;
        wrong.deviceSig = bytes.into();
        chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &wrong);
    }
    let mut other_key = good.clone();
    other_key.id = keccak256("another id");
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &other_key);
    chain.ok(1, at, &good);
    // A later key proves itself in the same way; an account key cannot take the place of the longer one.
    let rotate = SensorRegistry::rotateKeyCall {
        id,
        signer: good.r.signer.clone(),
        deadline,
        sig: sign(
            &key("sensor"),
            &chain.domain("SensorRegistry"),
            &eip712::KeyRotation { id, deadline },
        ),
    };
    chain.fails::<SensorRegistry::BadDeviceKey>(1, at, &rotate);
}
