//! Own gas of calls against the specification's ceilings: addresses and slots warm, shared counters non-zero.
//!
//! `contracts/gas.json` is what each call costs now. A change of it is a change to be seen: the tests compare to the
//! unit, and write the file anew when `MEDINA_WRITE_GAS` is set.

use crate::{
    federation_ballots::{availability, rules},
    harness::{Chain, GENESIS_TIME, TOKEN, key, node_key, org, seconds, user},
};
use alloy_primitives::{Address, B256, Bytes, U256, Uint, keccak256};
use alloy_sol_types::SolCall;
use ed25519_dalek::{Signer, SigningKey};
use medina_contracts::{
    bartering_coupons::{BarteringCoupons, IBarteringCoupons},
    consent_and_access::ConsentAndAccess,
    data_anchor::{DataAnchor, IDataAnchor::Batch},
    data_marketplace::DataMarketplace,
    eip712,
    federation_registry::FederationRegistry,
    identity::{IIdentity, Identity},
    medina_token::MedinaToken,
    permissioning::Permissioning,
    sensor_registry::SensorRegistry,
    sla_registry::SlaRegistry,
    trust_and_reputation::TrustAndReputation,
    values::FederationBallotKind,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const PRICE: u128 = 5 * TOKEN;

/// Measured calls: name, gas, ceiling.
#[derive(Default)]
pub(crate) struct Table(Vec<(&'static str, u64, u64)>);

impl Table {
    pub(crate) fn add<C: SolCall>(
        &mut self,
        chain: &Chain,
        name: &'static str,
        from: usize,
        to: Address,
        call: &C,
        ceiling: u64,
    ) {
        self.0
            .push((name, chain.own_gas(chain.account(from), to, call), ceiling));
    }

    /// What is not in the specification's measure: everything cold.
    pub(crate) fn add_cold<C: SolCall>(
        &mut self,
        chain: &Chain,
        name: &'static str,
        to: Address,
        call: &C,
        ceiling: u64,
    ) {
        self.0
            .push((name, chain.cold_gas(chain.account(9), to, call), ceiling));
    }

    /// Prints all, fails for those above, and for those that cost another amount than the snapshot says.
    pub(crate) fn check(self) {
        for (name, gas, ceiling) in &self.0 {
            println!("{name:<28} {gas:>8} of {ceiling:>8}");
        }
        let above: Vec<_> = self
            .0
            .iter()
            .filter(|(_, gas, ceiling)| gas > ceiling)
            .collect();
        assert!(above.is_empty(), "above the ceiling: {above:?}");
        if std::env::var_os("MEDINA_WRITE_GAS").is_some() {
            return self.write();
        }
        let snapshot = snapshot();
        let changed: Vec<_> = self
            .0
            .iter()
            .filter(|(name, gas, _)| snapshot.get(*name) != Some(gas))
            .map(|(name, gas, _)| (name, gas, snapshot.get(*name)))
            .collect();
        assert!(
            changed.is_empty(),
            "call, gas, in contracts/gas.json: {changed:?}; run once more with MEDINA_WRITE_GAS=1 if that is meant"
        );
    }

    fn write(&self) {
        // Tests of one process write the same file.
        let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshot = snapshot();
        for (name, gas, _) in &self.0 {
            snapshot.insert((*name).to_owned(), *gas);
        }
        let text = serde_json::to_string_pretty(&snapshot).expect("numbers by name");
        std::fs::write(snapshot_path(), text + "\n").expect("contracts/gas.json can be written");
    }
}

static WRITING: Mutex<()> = Mutex::new(());

fn snapshot_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/gas.json")
}

fn snapshot() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(snapshot_path()).unwrap_or_else(|_| "{}".to_owned());
    serde_json::from_str(&text).expect("contracts/gas.json is numbers by name")
}

/// A certified enrolment into organisation 1.
fn enrolment(chain: &Chain) -> Identity::enrolCall {
    let message = eip712::Enrolment {
        userId: keccak256("ada"),
        nullifier: keccak256("nullifier"),
        org: org(1),
        account: key("ada").address(),
        role: 1,
        expires: seconds(chain.time + 1_000_000),
        terms: keccak256("terms"),
        deadline: chain.deadline(),
    };
    let sig = chain.sign(0, "Identity", &message);
    let e = IIdentity::Enrolment {
        userId: message.userId,
        nullifier: message.nullifier,
        org: message.org,
        account: message.account,
        role: message.role,
        expires: message.expires,
        terms: message.terms,
        deadline: message.deadline,
    };
    Identity::enrolCall {
        e,
        certifier: chain.account(0),
        sig,
    }
}

#[test]
fn token_and_identity_stay_below_their_ceilings() {
    let chain = Chain::new();
    let mut table = Table::default();
    let token = chain.at.medina_token;
    let transfer = MedinaToken::transferCall {
        to: key("new").address(),
        value: U256::ONE,
    };
    table.add(&chain, "transfer", 1, token, &transfer, 52_000);
    let deadline = U256::MAX;
    let (owner, spender) = (chain.account(2), chain.account(3));
    let message = eip712::Permit {
        owner,
        spender,
        value: U256::ONE,
        nonce: U256::ZERO,
        deadline,
    };
    let signature = chain.sign(2, "MedinaToken", &message);
    let permit = MedinaToken::permitCall {
        owner,
        spender,
        value: U256::ONE,
        deadline,
        v: signature[64],
        r: B256::from_slice(&signature[..32]),
        s: B256::from_slice(&signature[32..64]),
    };
    let mut permitted = chain.clone();
    permitted.ok(3, token, &permit);
    let take = MedinaToken::transferFromCall {
        from: owner,
        to: key("new").address(),
        value: U256::ONE,
    };
    let gas = chain.own_gas(spender, token, &permit) + permitted.own_gas(spender, token, &take);
    table.0.push(("permit + transferFrom", gas, 95_000));
    let enrolment = enrolment(&chain);
    table.add(&chain, "enrol", 9, chain.at.identity, &enrolment, 160_000);
    let role_of = Identity::roleOfCall {
        a: chain.account(2),
    };
    table.add(&chain, "roleOf", 1, chain.at.identity, &role_of, 8_000);
    table.check();
}

#[test]
fn sensors_stay_below_their_ceilings() {
    let mut chain = Chain::new();
    chain.register(1, "first");
    let mut table = Table::default();
    let at = chain.at.sensor_registry;
    let one = chain.registration(1, keccak256("sensor"), &key("sensor"));
    table.add(&chain, "register", 1, at, &one, 145_000);
    let mut ed25519 = one.clone();
    let secret = SigningKey::from_bytes(&[1; 32]);
    ed25519.r.signer =
        eip712::ed25519_signer(chain.at.ed25519_verifier, secret.verifying_key().as_bytes());
    let message = eip712::Registration {
        id: one.id,
        org: org(1),
        deadline: one.deadline,
    };
    let hash =
        alloy_sol_types::SolStruct::eip712_signing_hash(&message, &chain.domain("SensorRegistry"));
    ed25519.deviceSig = secret.sign(hash.as_slice()).to_bytes().to_vec().into();
    table.add(&chain, "register ed25519", 1, at, &ed25519, 205_000);
    let calls: Vec<_> = (0..16)
        .map(|index| {
            let name = format!("sensor {index}");
            chain.registration(1, keccak256(&name), &key(&name))
        })
        .collect();
    let many = SensorRegistry::registerManyCall {
        ids: calls.iter().map(|call| call.id).collect(),
        r: calls.iter().map(|call| call.r.clone()).collect(),
        deadline: one.deadline,
        sigs: calls.iter().map(|call| call.deviceSig.clone()).collect(),
    };
    table.add(&chain, "registerMany, 16", 1, at, &many, 16 * 130_000);
    table.check();
}

#[test]
fn anchors_stay_below_their_ceilings() {
    let mut chain = Chain::new();
    let source = chain.register(1, "sensor");
    chain.warp(10_000);
    let mut table = Table::default();
    let at = chain.at.data_anchor;
    let signed = |chain: &Chain, seq: u64| {
        let (root, from, to) = (
            keccak256([1]),
            seconds(GENESIS_TIME + seq * 60),
            seconds(GENESIS_TIME + seq * 60 + 60),
        );
        let message = eip712::Anchoring {
            source,
            seq,
            root,
            from,
            to,
            count: 1,
        };
        let sig: Bytes =
            crate::harness::sign(&key("sensor"), &chain.domain("DataAnchor"), &message);
        (
            Batch {
                root,
                from,
                to,
                count: 1,
            },
            sig,
        )
    };
    let (b, sig) = signed(&chain, 1);
    let first = DataAnchor::anchorCall { source, b, sig };
    chain.ok(9, at, &first);
    let (b, sig) = signed(&chain, 2);
    table.add(
        &chain,
        "anchor",
        9,
        at,
        &DataAnchor::anchorCall { source, b, sig },
        75_000,
    );
    let (b, sigs): (Vec<_>, Vec<_>) = (2..18).map(|seq| signed(&chain, seq)).unzip();
    let many = DataAnchor::anchorManyCall {
        sources: vec![source; 16],
        b,
        sigs,
    };
    table.add(&chain, "anchorMany, 16", 9, at, &many, 16 * 55_000);
    table.check();
}

#[test]
fn market_and_trust_stay_below_their_ceilings() {
    let mut chain = Chain::new();
    let sensor = chain.register(1, "sensor");
    let market = chain.at.data_marketplace;
    let trust = chain.at.trust_and_reputation;
    let id = chain.list(1, chain.listing(1, sensor, PRICE));
    let rated = chain.complete(1, 2, id, PRICE);
    chain.ok(
        2,
        trust,
        &TrustAndReputation::rateCall {
            order: rated,
            score: 9_000,
            comment: B256::ZERO,
        },
    );
    let mut table = Table::default();
    let listing = chain.listing(1, sensor, PRICE);
    table.add(
        &chain,
        "list",
        1,
        market,
        &DataMarketplace::listCall { l: listing },
        230_000,
    );
    chain.approve(3, PRICE);
    table.add(
        &chain,
        "buy",
        3,
        market,
        &chain.purchase(3, id, PRICE),
        165_000,
    );
    let order = chain.buy(2, id, PRICE);
    let deliver = DataMarketplace::deliverCall {
        order,
        proof: keccak256("proof"),
    };
    table.add(&chain, "deliver", 1, market, &deliver, 45_000);
    chain.ok(1, market, &deliver);
    let confirm = DataMarketplace::confirmCall { order };
    table.add(&chain, "confirm", 2, market, &confirm, 60_000);
    chain.ok(2, market, &confirm);
    let mut by_unit = chain.listing(1, sensor, PRICE);
    (by_unit.price, by_unit.unit) = (2, 1_000_000);
    let by_unit = chain.list(1, by_unit);
    chain.approve(2, 9 * PRICE);
    let mut purchase = chain.purchase(2, by_unit, 9 * PRICE);
    purchase.units = 9;
    let outcome = chain.ok(2, market, &purchase);
    let running = DataMarketplace::buyCall::abi_decode_returns(&outcome.output).unwrap();
    let voucher = |chain: &Chain, cumulative: u64| DataMarketplace::claimUnitsCall {
        order: running,
        cumulative,
        userSig: chain.sign(
            2,
            "DataMarketplace",
            &eip712::UnitVoucher {
                order: running,
                cumulative,
            },
        ),
    };
    table.add(
        &chain,
        "claimUnits, first",
        9,
        market,
        &voucher(&chain, 3),
        65_000,
    );
    chain.ok(9, market, &voucher(&chain, 3));
    table.add(&chain, "claimUnits", 9, market, &voucher(&chain, 5), 65_000);
    table.add(
        &chain,
        "claimUnits, last",
        9,
        market,
        &voucher(&chain, 9),
        65_000,
    );
    let rate = TrustAndReputation::rateCall {
        order,
        score: 9_000,
        comment: B256::ZERO,
    };
    table.add(&chain, "rate", 2, trust, &rate, 95_000);
    let resource = TrustAndReputation::resourceTrustCall { id: sensor };
    table.add(&chain, "resourceTrust", 1, trust, &resource, 25_000);
    for index in 0..16 {
        chain.federate(1, &[2], &format!("fed {index}"));
    }
    chain.warp(1_000);
    let reputation = TrustAndReputation::platformReputationCall { org: org(1) };
    table.add(
        &chain,
        "platformReputation, 16",
        1,
        trust,
        &reputation,
        60_000,
    );
    table.check();
}

#[test]
fn federations_and_coupons_stay_below_their_ceilings() {
    let mut chain = Chain::new();
    let first = chain.federate(1, &[2, 3], "first");
    let federations = chain.at.federation_registry;
    let coupons = chain.at.bartering_coupons;
    let mut table = Table::default();
    let fed = keccak256("fed");
    let create = FederationRegistry::createCall {
        id: fed,
        name: fed,
        open: true,
        quorumBps: 0,
        infoModel: B256::ZERO,
        c: Vec::new(),
        invites: Vec::new(),
    };
    chain.ok(1, federations, &create);
    let accept = FederationRegistry::acceptCall { fed, version: 1 };
    table.add(&chain, "join", 2, federations, &accept, 90_000);
    let sensor = chain.register(1, "sensor");
    let share = FederationRegistry::shareCall {
        fed: first,
        resources: vec![sensor],
        bartered: vec![true],
    };
    table.add(&chain, "share", 1, federations, &share, 50_000);
    chain.ok(1, federations, &share);
    let register = |chain: &Chain, number: u64| {
        let message = eip712::Coupon {
            issuer: org(1),
            fed: first,
            kind: 1,
            val: 5,
            number,
            issuedAt: Uint::from(1),
            holder: org(2),
            scope: B256::ZERO,
        };
        let c = IBarteringCoupons::Coupon {
            issuer: org(1),
            fed: first,
            kind: 1,
            val: 5,
            number,
            issuedAt: Uint::from(1),
            holder: org(2),
            scope: B256::ZERO,
        };
        BarteringCoupons::registerCall {
            c,
            sig: chain.sign_packed(1, "BarteringCoupons", &message),
        }
    };
    let call = register(&chain, 1);
    chain.ok(9, coupons, &call);
    table.add(
        &chain,
        "coupon register",
        9,
        coupons,
        &register(&chain, 2),
        130_000,
    );
    let consume = |chain: &Chain, uses: u64| {
        let number = U256::from(1);
        let coupon = keccak256(alloy_sol_types::SolValue::abi_encode(&(org(1), number)));
        let message = eip712::Use {
            key: coupon,
            resource: sensor,
            uses,
        };
        let holder_sig = chain.sign_packed(2, "BarteringCoupons", &message);
        BarteringCoupons::consumeCall {
            key_: coupon,
            resource: sensor,
            holderSig: holder_sig,
        }
    };
    let call = consume(&chain, 1);
    chain.ok(1, coupons, &call);
    table.add(
        &chain,
        "coupon consume",
        1,
        coupons,
        &consume(&chain, 2),
        60_000,
    );
    let give = eip712::Coupon {
        issuer: org(2),
        fed: first,
        kind: 1,
        val: 5,
        number: 1,
        issuedAt: Uint::from(1),
        holder: org(1),
        scope: B256::ZERO,
    };
    let message = eip712::Barter {
        give: give.clone(),
        resource: sensor,
    };
    let barter = BarteringCoupons::barterCall {
        give: IBarteringCoupons::Coupon {
            issuer: give.issuer,
            fed: first,
            kind: 1,
            val: 5,
            number: 1,
            issuedAt: Uint::from(1),
            holder: give.holder,
            scope: B256::ZERO,
        },
        giveSig: chain.sign_packed(2, "BarteringCoupons", &message),
        resource: sensor,
        acceptSig: chain.sign_packed(1, "BarteringCoupons", &message),
    };
    chain.warp(1_000);
    table.add(&chain, "barter", 9, coupons, &barter, 190_000);
    table.check();
}

#[test]
fn consent_stays_below_its_ceilings() {
    let mut chain = Chain::new();
    let at = chain.at.consent_and_access;
    let sensor = chain.register(1, "sensor");
    let mut table = Table::default();
    for (scope, owner, of) in [
        (user(1), 1, ["grant", "allowed", "allowed, by role"]),
        (
            sensor,
            1,
            [
                "grant, resource",
                "allowed, resource",
                "allowed, role and resource",
            ],
        ),
    ] {
        let first = crate::consent::grant(&chain, scope, user(2));
        chain.ok(owner, at, &first);
        let second = crate::consent::grant(&chain, scope, user(3));
        table.add(&chain, of[0], owner, at, &second, 95_000);
        let by_role = crate::consent::grant(&chain, scope, U256::from(2).into());
        chain.ok(owner, at, &by_role);
        for (name, who) in [(of[1], user(2)), (of[2], user(4))] {
            let call = ConsentAndAccess::allowedCall {
                scope,
                who,
                purpose: keccak256("care"),
                op: 2,
            };
            assert!(chain.view(at, &call));
            table.add(&chain, name, 9, at, &call, 12_000);
        }
    }
    let log = ConsentAndAccess::logAccessCall {
        scope: sensor,
        actor: user(2),
        profile: 1,
        action: 2,
        purpose: keccak256("care"),
        detail: keccak256("detail"),
    };
    table.add(&chain, "logAccess", 1, at, &log, 35_000);
    table.check();
}

#[test]
fn permissions_stay_below_their_ceilings() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.add_node(6, 6);
    chain.ok(0, at, &Permissioning::closeBootCall {});
    let mut table = Table::default();
    for (name, index) in [
        ("connectionAllowed, validator", 0),
        ("connectionAllowed, other", 6),
    ] {
        let call = Permissioning::connectionAllowedCall {
            nodeKey: node_key(index),
        };
        table.add(&chain, name, 9, at, &call, 15_000);
    }
    let transact = |sender: usize, target: Address| Permissioning::transactionAllowedCall {
        sender: chain.account(sender),
        target,
        value: U256::ONE,
        gasPrice: U256::ZERO,
        gasLimit: U256::from(100_000),
        payload: Bytes::from(vec![7; 100]),
    };
    let there = Address::repeat_byte(1);
    table.add(
        &chain,
        "transactionAllowed, user",
        9,
        at,
        &transact(6, there),
        15_000,
    );
    table.add(
        &chain,
        "transactionAllowed, deploys",
        9,
        at,
        &transact(6, Address::ZERO),
        15_000,
    );
    table.add(
        &chain,
        "transactionAllowed, operator",
        9,
        at,
        &transact(0, there),
        15_000,
    );
    let crowd = crate::permissioning::crowd();
    let keys = Permissioning::validatorKeysCall {};
    table.add(
        &crowd,
        "validatorKeys, 128",
        0,
        crowd.at.permissioning,
        &keys,
        60_000,
    );
    let operators = Permissioning::getValidatorsCall {};
    table.add(
        &crowd,
        "getValidators, 128",
        0,
        crowd.at.permissioning,
        &operators,
        60_000,
    );
    table.check();
}

#[test]
fn first_memberships_and_reports_of_refusal_stay_below_their_ceilings() {
    let mut scene = crate::denied::Scene::new();
    let at = scene.at();
    let mut table = Table::default();
    let open = FederationRegistry::createCall {
        id: keccak256("open"),
        name: B256::ZERO,
        open: true,
        quorumBps: 0,
        infoModel: B256::ZERO,
        c: Vec::new(),
        invites: Vec::new(),
    };
    scene.chain.ok(1, at, &open);
    let accept = FederationRegistry::acceptCall {
        fed: open.id,
        version: 1,
    };
    // Its first membership of all.
    table.add(&scene.chain, "join, first", 8, at, &accept, 90_000);
    // The client's first report begins its word of numbers, and it is the first about this target, by way of this
    // origin, in this federation: every slot that it writes is new.
    let first = scene.call(&scene.denied(1), 2, None);
    let first_agreed = scene.call(&scene.denied(1), 2, Some(1));
    // The same where each of the three accepted another version of the rules, which are looked up.
    let mut lagging = scene.chain.clone();
    for version in 2..5_usize {
        let list = rules(&[availability(9_000, 1)]);
        let kind = FederationBallotKind::Constraints;
        lagging.fed_decide(&[1, 2, 3, 4], scene.fed(), kind, list);
        let accept = FederationRegistry::acceptCall {
            fed: scene.fed(),
            version: u32::try_from(version).unwrap(),
        };
        lagging.ok(4, at, &accept);
        for member in version..4 {
            lagging.ok(member, at, &accept);
        }
    }
    for (chain, names, call) in [
        (
            &scene.chain,
            ["reportDenied, first", "reportDenied, first, cold"],
            &first,
        ),
        (
            &scene.chain,
            [
                "reportDenied, first, agreed",
                "reportDenied, first, agreed, cold",
            ],
            &first_agreed,
        ),
        (
            &lagging,
            [
                "reportDenied, first, old rules",
                "reportDenied, first, old rules, cold",
            ],
            &first,
        ),
        (
            &lagging,
            [
                "reportDenied, first, agreed, old rules",
                "reportDenied, first, agreed, old rules, cold",
            ],
            &first_agreed,
        ),
    ] {
        table.add(chain, names[0], 9, at, call, 120_000);
        table.add_cold(chain, names[1], at, call, 210_000);
    }
    scene.chain.ok(9, at, &first);
    scene.chain.warp(3_600);
    let report = scene.call(&scene.denied(2), 2, None);
    table.add(&scene.chain, "reportDenied", 9, at, &report, 120_000);
    let agreed = scene.call(&scene.denied(2), 2, Some(1));
    table.add(
        &scene.chain,
        "reportDenied, agreed",
        9,
        at,
        &agreed,
        120_000,
    );
    table.check();
}

#[test]
fn agreements_stay_below_their_ceilings() {
    let mut scene = crate::sla::Scene::new();
    let at = scene.at();
    let mut table = Table::default();
    let one = |scene: &crate::sla::Scene, ago: u64, value: i64| SlaRegistry::reportCall {
        r: vec![scene.window(ago, value)],
    };
    scene.chain.warp(100 * 3_600);
    let first = one(&scene, 0, 9_500);
    table.add(&scene.chain, "sla report, first", 0, at, &first, 70_000);
    scene.chain.ok(0, at, &one(&scene, 1, 0));
    table.add(&scene.chain, "sla report", 0, at, &first, 70_000);
    let breach = one(&scene, 0, 0);
    table.add(
        &scene.chain,
        "sla report, violation",
        0,
        at,
        &breach,
        70_000,
    );
    table.add(&scene.chain, "sla report, consumer", 2, at, &breach, 70_000);
    scene.chain.ok(2, at, &breach);
    table.add(&scene.chain, "sla report, agreed", 3, at, &breach, 70_000);
    let many = SlaRegistry::reportCall {
        r: (2..18).map(|ago| scene.window(ago, 0)).collect(),
    };
    table.add(&scene.chain, "sla report, 16", 0, at, &many, 16 * 45_000);
    table.check();
}
