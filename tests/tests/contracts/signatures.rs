//! Everything that is signed, tampered with: another chain, another contract, a changed byte, a second time.

use crate::harness::{CHAIN_ID, Chain, GENESIS_TIME, key, org, seconds, sign, user};
use alloy_primitives::{Address, B256, Bytes, U256, Uint, keccak256, uint};
use alloy_sol_types::Eip712Domain;
use medina_contracts::{
    bartering_coupons::{BarteringCoupons, IBarteringCoupons},
    consent_and_access::{ConsentAndAccess, IConsentAndAccess},
    data_anchor::{DataAnchor, IDataAnchor},
    data_marketplace::{DataMarketplace, IDataMarketplace},
    eip712,
    federation_registry::FederationRegistry::shareCall,
    identity::{IIdentity, Identity},
    medina_token::MedinaToken,
    sensor_registry::SensorRegistry,
};
use proptest::prelude::*;

/// How a signature is made wrong.
#[derive(Clone, Debug)]
enum Tampering {
    OtherChain(u64),
    OtherContract(Address),
    FlippedBit(usize),
    Truncated(usize),
    /// (r, n - s) instead of (r, s), which the curve takes too.
    HighS,
    /// ERC-2098: the same signature in 64 bytes.
    Compact,
}

/// Order of secp256k1.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

impl Tampering {
    fn domain(&self, mut domain: Eip712Domain) -> Eip712Domain {
        match self {
            Self::OtherChain(id) => domain.chain_id = Some(U256::from(*id)),
            Self::OtherContract(address) => domain.verifying_contract = Some(*address),
            Self::FlippedBit(_) | Self::Truncated(_) | Self::HighS | Self::Compact => {}
        }
        domain
    }

    fn bytes(&self, signature: &Bytes) -> Bytes {
        let mut bytes = signature.to_vec();
        match self {
            Self::FlippedBit(bit) => bytes[bit / 8 % 65] ^= 1 << (bit % 8),
            Self::Truncated(length) => bytes.truncate(*length),
            Self::HighS => {
                let high = ORDER - U256::from_be_slice(&bytes[32..64]);
                bytes[32..64].copy_from_slice(&high.to_be_bytes::<32>());
                bytes[64] = 55 - bytes[64];
            }
            Self::Compact => {
                bytes[32] |= (bytes[64] - 27) << 7;
                bytes.truncate(64);
            }
            Self::OtherChain(_) | Self::OtherContract(_) => {}
        }
        bytes.into()
    }
}

fn tampering() -> impl Strategy<Value = Tampering> {
    prop_oneof![
        any::<u64>()
            .prop_filter("another chain", |id| *id != CHAIN_ID)
            .prop_map(Tampering::OtherChain),
        any::<[u8; 20]>().prop_map(|bytes| Tampering::OtherContract(bytes.into())),
        (0_usize..520).prop_map(Tampering::FlippedBit),
        (0_usize..64).prop_map(Tampering::Truncated),
        Just(Tampering::HighS),
        Just(Tampering::Compact),
    ]
}

/// Makes a signature, true or tampered.
struct Pen<'a>(Option<&'a Tampering>);

impl Pen<'_> {
    fn sign(
        &self,
        chain: &Chain,
        signer: &str,
        contract: &str,
        message: &impl alloy_sol_types::SolStruct,
    ) -> Bytes {
        let domain = chain.domain(contract);
        match self.0 {
            None => sign(&key(signer), &domain, message),
            Some(tampering) => {
                tampering.bytes(&sign(&key(signer), &tampering.domain(domain), message))
            }
        }
    }
}

/// A scene: everything prepared but the signed call.
fn scene() -> (Chain, B256, B256) {
    let mut chain = Chain::new();
    let fed = chain.federate(1, &[2, 3], "fed");
    let sensor = chain.register(1, "sensor");
    let share = shareCall {
        fed,
        resources: vec![sensor],
        bartered: vec![true],
    };
    chain.ok(1, chain.at.federation_registry, &share);
    chain.warp(1_000);
    (chain, fed, sensor)
}

/// A signed action; says whether it was accepted.
type Action = fn(&mut Chain, B256, B256, &Pen<'_>) -> bool;

fn registration(chain: &mut Chain, _: B256, _: B256, pen: &Pen<'_>) -> bool {
    let mut call = chain.registration(1, keccak256("new"), &key("new"));
    let message = eip712::Registration {
        id: call.id,
        org: org(1),
        deadline: call.deadline,
    };
    call.deviceSig = pen.sign(chain, "new", "SensorRegistry", &message);
    chain
        .call(chain.account(1), chain.at.sensor_registry, &call)
        .success
}

fn key_rotation(chain: &mut Chain, _: B256, id: B256, pen: &Pen<'_>) -> bool {
    let deadline = chain.deadline();
    let sig = pen.sign(
        chain,
        "new",
        "SensorRegistry",
        &eip712::KeyRotation { id, deadline },
    );
    let signer = key("new").address().to_vec().into();
    let call = SensorRegistry::rotateKeyCall {
        id,
        signer,
        deadline,
        sig,
    };
    chain
        .call(chain.account(1), chain.at.sensor_registry, &call)
        .success
}

fn anchoring(chain: &mut Chain, _: B256, source: B256, pen: &Pen<'_>) -> bool {
    let (root, from, to) = (
        keccak256("root"),
        seconds(GENESIS_TIME),
        seconds(GENESIS_TIME + 60),
    );
    let message = eip712::Anchoring {
        source,
        seq: 1,
        root,
        from,
        to,
        count: 1,
    };
    let sig = pen.sign(chain, "sensor", "DataAnchor", &message);
    let call = DataAnchor::anchorCall {
        source,
        b: IDataAnchor::Batch {
            root,
            from,
            to,
            count: 1,
        },
        sig,
    };
    chain
        .call(chain.account(9), chain.at.data_anchor, &call)
        .success
}

fn enrolment(chain: &mut Chain, _: B256, _: B256, pen: &Pen<'_>) -> bool {
    let (user_id, nullifier) = (keccak256("ada"), keccak256("nullifier"));
    let (account, expires) = (key("ada").address(), seconds(chain.time + 1_000_000));
    let deadline = chain.deadline();
    let message = eip712::Enrolment {
        userId: user_id,
        nullifier,
        org: user_id,
        account,
        role: 1,
        expires,
        terms: B256::ZERO,
        deadline,
    };
    let sig = pen.sign(chain, "account 0", "Identity", &message);
    let e = IIdentity::Enrolment {
        userId: user_id,
        nullifier,
        org: user_id,
        account,
        role: 1,
        expires,
        terms: B256::ZERO,
        deadline,
    };
    let call = Identity::enrolCall {
        e,
        certifier: chain.account(0),
        sig,
    };
    chain
        .call(chain.account(9), chain.at.identity, &call)
        .success
}

fn rotation(chain: &mut Chain, _: B256, _: B256, pen: &Pen<'_>) -> bool {
    let (next, deadline) = (key("next").address(), chain.deadline());
    let sig = pen.sign(
        chain,
        "next",
        "Identity",
        &eip712::Rotation {
            userId: user(1),
            next,
            deadline,
        },
    );
    let call = Identity::rotateCall {
        userId: user(1),
        next,
        deadline,
        nextSig: sig,
    };
    chain
        .call(chain.account(1), chain.at.identity, &call)
        .success
}

fn buy_intent(chain: &mut Chain, _: B256, sensor: B256, pen: &Pen<'_>) -> bool {
    let listing = chain.list(1, chain.listing(1, sensor, 1_000));
    chain.approve(2, 10_000);
    let buyer = chain.account(2);
    // A fixed number: the second purchase must fail although it is another listing's intent.
    let message = eip712::BuyIntent {
        listing,
        units: 1,
        buyer,
        user: buyer,
        maxAmount: 1_000,
        purpose: B256::ZERO,
        deadline: chain.deadline(),
        number: 5,
    };
    let sig = pen.sign(chain, "account 2", "DataMarketplace", &message);
    let i = IDataMarketplace::BuyIntent {
        listing,
        units: 1,
        buyer,
        user: buyer,
        maxAmount: 1_000,
        purpose: B256::ZERO,
        deadline: message.deadline,
        number: 5,
    };
    let call = DataMarketplace::buyForCall { i, buyerSig: sig };
    chain
        .call(chain.account(9), chain.at.data_marketplace, &call)
        .success
}

fn unit_voucher(chain: &mut Chain, _: B256, sensor: B256, pen: &Pen<'_>) -> bool {
    let market = chain.at.data_marketplace;
    let order = U256::ONE;
    // The second time the order is there, and so is what the voucher counts.
    if chain.order(order).listing == 0 {
        let mut listing = chain.listing(1, sensor, 1_000);
        (listing.price, listing.unit) = (2, 1_000);
        let id = chain.list(1, listing);
        chain.buy(2, id, 1_000);
    }
    let message = eip712::UnitVoucher {
        order,
        cumulative: 1,
    };
    let call = DataMarketplace::claimUnitsCall {
        order,
        cumulative: 1,
        userSig: pen.sign(chain, "account 2", "DataMarketplace", &message),
    };
    chain.call(chain.account(9), market, &call).success
}

fn permit(chain: &mut Chain, _: B256, _: B256, pen: &Pen<'_>) -> bool {
    let (owner, spender) = (chain.account(2), chain.account(3));
    let deadline = U256::from(chain.time + 60);
    let message = eip712::Permit {
        owner,
        spender,
        value: U256::ONE,
        nonce: U256::ZERO,
        deadline,
    };
    let signature = pen.sign(chain, "account 2", "MedinaToken", &message);
    // A permit has no bytes to truncate.
    let Ok(signature) = <[u8; 65]>::try_from(signature.as_ref()) else {
        return false;
    };
    let call = MedinaToken::permitCall {
        owner,
        spender,
        value: U256::ONE,
        deadline,
        v: signature[64],
        r: B256::from_slice(&signature[..32]),
        s: B256::from_slice(&signature[32..64]),
    };
    chain
        .call(chain.account(9), chain.at.medina_token, &call)
        .success
}

/// An id of one's own, renewed; the second time to no later date.
fn renewal(chain: &mut Chain, fed: B256, sensor: B256, pen: &Pen<'_>) -> bool {
    enrolment(chain, fed, sensor, &Pen(None));
    let message = eip712::Renewal {
        userId: keccak256("ada"),
        expires: seconds(GENESIS_TIME + 2_000_000),
    };
    let call = Identity::renewCall {
        userId: message.userId,
        expires: message.expires,
        certifier: chain.account(0),
        sig: pen.sign(chain, "account 0", "Identity", &message),
    };
    chain
        .call(chain.account(9), chain.at.identity, &call)
        .success
}

/// Organisation 3's coupon, which 2 holds, for organisation 1's, which 3 holds; 3 signs.
fn swap(chain: &mut Chain, fed: B256, _: B256, pen: &Pen<'_>) -> bool {
    let mut key_of = |issuer: usize, holder: usize| {
        let message = eip712::Coupon {
            issuer: org(issuer),
            fed,
            kind: 1,
            val: 1,
            number: 30,
            issuedAt: Uint::ZERO,
            holder: org(holder),
            scope: B256::ZERO,
        };
        let c = IBarteringCoupons::Coupon {
            issuer: message.issuer,
            fed,
            kind: 1,
            val: 1,
            number: 30,
            issuedAt: Uint::ZERO,
            holder: message.holder,
            scope: B256::ZERO,
        };
        let sig = chain.sign_packed(issuer, "BarteringCoupons", &message);
        let call = BarteringCoupons::registerCall { c, sig };
        // Known already, the second time.
        chain.call(chain.account(9), chain.at.bartering_coupons, &call);
        let number = U256::from(30);
        keccak256(alloy_sol_types::SolValue::abi_encode(&(
            org(issuer),
            number,
        )))
    };
    let (mine, theirs) = (key_of(3, 2), key_of(1, 3));
    let message = eip712::Swap {
        mine,
        theirs,
        moves: 0,
    };
    let sig = pen.sign(chain, "account 3", "BarteringCoupons", &message);
    let call = BarteringCoupons::swapCall {
        mine,
        theirs,
        theirSig: eip712::packed(chain.account(3), &sig),
    };
    chain
        .call(chain.account(2), chain.at.bartering_coupons, &call)
        .success
}

fn coupon(chain: &mut Chain, fed: B256, pen: &Pen<'_>, number: u64) -> (bool, B256) {
    let message = eip712::Coupon {
        issuer: org(1),
        fed,
        kind: 1,
        val: 1,
        number,
        issuedAt: Uint::ZERO,
        holder: org(2),
        scope: B256::ZERO,
    };
    let sig = pen.sign(chain, "account 1", "BarteringCoupons", &message);
    let c = IBarteringCoupons::Coupon {
        issuer: org(1),
        fed,
        kind: 1,
        val: 1,
        number,
        issuedAt: Uint::ZERO,
        holder: org(2),
        scope: B256::ZERO,
    };
    let call = BarteringCoupons::registerCall {
        c,
        sig: eip712::packed(chain.account(1), &sig),
    };
    let accepted = chain
        .call(chain.account(9), chain.at.bartering_coupons, &call)
        .success;
    (
        accepted,
        keccak256(alloy_sol_types::SolValue::abi_encode(&(
            org(1),
            U256::from(number),
        ))),
    )
}

fn coupon_registration(chain: &mut Chain, fed: B256, _: B256, pen: &Pen<'_>) -> bool {
    coupon(chain, fed, pen, 1).0
}

fn coupon_use(chain: &mut Chain, fed: B256, sensor: B256, pen: &Pen<'_>) -> bool {
    let (_, key) = coupon(chain, fed, &Pen(None), 1);
    let message = eip712::Use {
        key,
        resource: sensor,
        uses: 1,
    };
    let sig = pen.sign(chain, "account 2", "BarteringCoupons", &message);
    let holder_sig = eip712::packed(chain.account(2), &sig);
    let call = BarteringCoupons::consumeCall {
        key_: key,
        resource: sensor,
        holderSig: holder_sig,
    };
    chain
        .call(chain.account(1), chain.at.bartering_coupons, &call)
        .success
}

fn barter(chain: &mut Chain, fed: B256, sensor: B256, pen: &Pen<'_>) -> bool {
    let set_rules = BarteringCoupons::setRulesCall {
        fed,
        minReputation: 0,
        types: 0,
    };
    chain.ok(1, chain.at.bartering_coupons, &set_rules);
    let give = eip712::Coupon {
        issuer: org(2),
        fed,
        kind: 1,
        val: 1,
        number: 9,
        issuedAt: Uint::ZERO,
        holder: org(1),
        scope: B256::ZERO,
    };
    let message = eip712::Barter {
        give: give.clone(),
        resource: sensor,
    };
    let given = pen.sign(chain, "account 2", "BarteringCoupons", &message);
    let accepted = chain.sign_packed(1, "BarteringCoupons", &message);
    let call = BarteringCoupons::barterCall {
        give: IBarteringCoupons::Coupon {
            issuer: give.issuer,
            fed,
            kind: 1,
            val: 1,
            number: 9,
            issuedAt: Uint::ZERO,
            holder: give.holder,
            scope: B256::ZERO,
        },
        giveSig: eip712::packed(chain.account(2), &given),
        resource: sensor,
        acceptSig: accepted,
    };
    chain
        .call(chain.account(9), chain.at.bartering_coupons, &call)
        .success
}

fn consent(chain: &mut Chain, _: B256, _: B256, pen: &Pen<'_>) -> bool {
    let deadline = chain.deadline();
    let message = eip712::GrantFor {
        scope: user(2),
        grantee: user(3),
        purpose: keccak256("care"),
        ops: 2,
        from: Uint::ZERO,
        until: deadline,
        form: keccak256("form"),
        deadline,
    };
    let sig = pen.sign(chain, "account 2", "ConsentAndAccess", &message);
    let call = ConsentAndAccess::grantForCall {
        g: IConsentAndAccess::Grant {
            scope: message.scope,
            grantee: message.grantee,
            purpose: message.purpose,
            ops: 2,
            from: message.from,
            until: message.until,
            form: message.form,
        },
        deadline,
        ownerSig: eip712::packed(chain.account(2), &sig),
    };
    chain
        .call(chain.account(9), chain.at.consent_and_access, &call)
        .success
}

const ACTIONS: [(&str, Action); 14] = [
    ("Registration", registration),
    ("KeyRotation", key_rotation),
    ("Anchoring", anchoring),
    ("Enrolment", enrolment),
    ("Rotation", rotation),
    ("Renewal", renewal),
    ("BuyIntent", buy_intent),
    ("UnitVoucher", unit_voucher),
    ("Permit", permit),
    ("Coupon", coupon_registration),
    ("Use", coupon_use),
    ("Barter", barter),
    ("Swap", swap),
    ("GrantFor", consent),
];

#[test]
fn true_signature_works_once() {
    let (chain, fed, sensor) = scene();
    for (name, action) in ACTIONS {
        let mut chain = chain.clone();
        assert!(
            action(&mut chain, fed, sensor, &Pen(None)),
            "{name} is accepted"
        );
        assert!(
            !action(&mut chain, fed, sensor, &Pen(None)),
            "{name} is refused the second time"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tampered_signature_is_refused(tampering in tampering()) {
        let (chain, fed, sensor) = scene();
        for (name, action) in ACTIONS {
            let mut chain = chain.clone();
            prop_assert!(!action(&mut chain, fed, sensor, &Pen(Some(&tampering))), "{} {:?}", name, tampering);
        }
    }
}
