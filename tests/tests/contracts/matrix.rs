//! Roles x functions, all cells: every function of the ABI that changes something, called by somebody of every role in
//! a scene where the call is right. Whoever may, succeeds; whoever may not, hears that it is not his to do. A function
//! of the ABI without a row fails the test.

use crate::{
    consent::grant,
    federation_ballots::availability,
    harness::{Chain, TOKEN, key, node_key, org, seconds, sign, user},
    incident::{CONFIRMED, alert, evaluation, impact},
    permissioning::{activate, admission, propose, set_node},
    private_groups::{attested, key_of, registered},
    sealed::dataset,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{
    DeploymentParameters, artifacts,
    bartering_coupons::{BarteringCoupons, IBarteringCoupons},
    consent_and_access::ConsentAndAccess,
    data_anchor::{DataAnchor, IDataAnchor::Batch},
    data_marketplace::{DataMarketplace, IDataMarketplace},
    deployment::OrganisationSeed,
    eip712,
    federation_registry::{FederationRegistry, IFederationRegistry},
    gatekeeper::Gatekeeper,
    identity::{IIdentity, Identity},
    incident_registry::IncidentRegistry,
    medina_token::MedinaToken,
    permissioning::Permissioning,
    private_groups::PrivateGroups,
    sealed_delivery::SealedDelivery,
    sensor_registry::SensorRegistry,
    sla_registry::{ISlaRegistry, SlaRegistry},
    trust_and_reputation::TrustAndReputation,
    values::{BallotKind, BusinessRole, FederationBallotKind, NodeState},
};
use medina_sdk::sealed::key_hash;
use medina_tests::abi::{Changing, NOT_YOURS, changing, errors, selector};
use std::collections::{BTreeMap, BTreeSet};

// Roles of the AccessManager; these accounts have no id.
const GOVERNOR: usize = 0;
const GUARDIAN: usize = 1;
const CERTIFIER: usize = 2;
const ARBITER: usize = 3;
const MONITOR: usize = 4;
const MINTER: usize = 5;
/// Runs the validator; Manager and admin of an organisation of its own.
const OPERATOR: usize = 6;
// Organisation A sells; its admin is a Member.
const ADMIN_A: usize = 7;
const A: usize = 8;
const MEMBER_A: usize = 9;
/// An id of A that is suspended: a Visitor.
const VISITOR: usize = 10;
const MODERATOR: usize = 11;
const ADMINISTRATOR: usize = 12;
// Organisation B buys.
const B: usize = 13;
const BUYER: usize = 14;
const ADMIN_B: usize = 15;
const STRANGER: usize = 16;
/// A Member of A that the certifier enrolled.
const ENROLLED: usize = 17;
const ACTORS: usize = 18;

const NOBODY: &[usize] = &[];
const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
const OF_A: &[usize] = &[ADMIN_A, A];
const OF_B: &[usize] = &[B, ADMIN_B];
const OF_BOTH: &[usize] = &[ADMIN_A, A, B, ADMIN_B];
/// Who acts for some organisation.
const ACTING: &[usize] = &[OPERATOR, ADMIN_A, A, MODERATOR, ADMINISTRATOR, B, ADMIN_B];
const MEMBERS: &[usize] = &[
    OPERATOR,
    ADMIN_A,
    A,
    MEMBER_A,
    MODERATOR,
    ADMINISTRATOR,
    B,
    BUYER,
    ADMIN_B,
    ENROLLED,
];
/// Members who are not of A.
const BUYERS: &[usize] = &[OPERATOR, MODERATOR, ADMINISTRATOR, B, BUYER, ADMIN_B];
const FLAGGERS: &[usize] = &[MODERATOR, ADMINISTRATOR];

/// What says beside those words that somebody may not do something.
const ALSO_NOT_YOURS: [&str; 4] = [
    "AccessManagedInvalidAuthority",
    "InvalidInitialization",
    "OwnListing",
    "SameOrg",
];

struct Row {
    contract: &'static str,
    selector: [u8; 4],
    name: &'static str,
    chain: Chain,
    data: Bytes,
    allowed: &'static [usize],
}

/// A scene and the rows that were made of it.
struct Matrix {
    chain: Chain,
    rows: Vec<Row>,
}

fn parameters(accounts: &[Address]) -> DeploymentParameters {
    let mut p = DeploymentParameters::development(accounts);
    p.governor = accounts[GOVERNOR];
    p.guardians = vec![accounts[GUARDIAN]];
    p.certifiers = vec![accounts[CERTIFIER]];
    p.arbiters = vec![accounts[ARBITER]];
    p.monitors = vec![accounts[MONITOR]];
    p.minters = vec![accounts[MINTER]];
    let roles = [
        (OPERATOR, OPERATOR, BusinessRole::Manager),
        (A, ADMIN_A, BusinessRole::Member),
        (A, A, BusinessRole::Manager),
        (A, MEMBER_A, BusinessRole::Member),
        (A, VISITOR, BusinessRole::Member),
        (MODERATOR, MODERATOR, BusinessRole::Moderator),
        (ADMINISTRATOR, ADMINISTRATOR, BusinessRole::Administrator),
        (B, ADMIN_B, BusinessRole::Member),
        (B, B, BusinessRole::Manager),
        (B, BUYER, BusinessRole::Member),
    ];
    p.organisations = roles
        .iter()
        .map(|(home, index, role)| OrganisationSeed {
            org: org(*home),
            user_id: user(*index),
            account: accounts[*index],
            role: *role,
        })
        .collect();
    p.permissioning.full_access = vec![org(OPERATOR), org(A)];
    p.permissioning.accounts = Vec::new();
    p.with_validators([(node_key(OPERATOR), accounts[OPERATOR])])
}

fn enrolment(chain: &Chain, name: &str, account: Address) -> Identity::enrolCall {
    let message = eip712::Enrolment {
        userId: keccak256(name),
        nullifier: keccak256(name),
        org: org(A),
        account,
        role: 1,
        expires: seconds(chain.time + 10_000_000),
        terms: B256::ZERO,
        deadline: chain.deadline(),
    };
    Identity::enrolCall {
        e: IIdentity::Enrolment {
            userId: message.userId,
            nullifier: message.nullifier,
            org: message.org,
            account: message.account,
            role: message.role,
            expires: message.expires,
            terms: message.terms,
            deadline: message.deadline,
        },
        certifier: chain.account(CERTIFIER),
        sig: chain.sign(CERTIFIER, "Identity", &message),
    }
}

impl Matrix {
    fn new() -> Self {
        let keys: Vec<_> = (0..ACTORS).map(|i| key(&format!("account {i}"))).collect();
        let accounts: Vec<_> = keys.iter().map(|key| key.address()).collect();
        let mut chain = Chain::with(&parameters(&accounts), keys);
        let at = chain.at;
        let enrolled = enrolment(&chain, "enrolled", chain.account(ENROLLED));
        chain.ok(STRANGER, at.identity, &enrolled);
        let approve = Identity::approveCall {
            userId: keccak256("enrolled"),
        };
        chain.ok(ADMIN_A, at.identity, &approve);
        let suspend = Identity::setStatusCall {
            userId: user(VISITOR),
            s: 2,
            reason: B256::ZERO,
        };
        chain.ok(ADMINISTRATOR, at.identity, &suspend);
        for index in 0..ACTORS {
            for spender in [at.data_marketplace, at.sla_registry] {
                let approve = MedinaToken::approveCall {
                    spender,
                    value: U256::MAX,
                };
                chain.ok(index, at.medina_token, &approve);
            }
        }
        chain.register(A, "sensor");
        chain.register(B, "other");
        let create = FederationRegistry::createCall {
            id: keccak256("fed"),
            name: B256::ZERO,
            open: false,
            quorumBps: 0,
            infoModel: B256::ZERO,
            c: vec![availability(9_000, 0)],
            invites: vec![org(B), org(ADMINISTRATOR)],
        };
        chain.ok(A, at.federation_registry, &create);
        let accept = FederationRegistry::acceptCall {
            fed: keccak256("fed"),
            version: 1,
        };
        chain.ok(B, at.federation_registry, &accept);
        let share = FederationRegistry::shareCall {
            fed: keccak256("fed"),
            resources: vec![keccak256("sensor")],
            bartered: vec![true],
        };
        chain.ok(A, at.federation_registry, &share);
        chain.warp(10 * 3_600);
        Self {
            chain,
            rows: Vec::new(),
        }
    }

    /// A call that is right in the scene as it is now.
    fn row<C: SolCall>(&mut self, contract: &'static str, call: &C, allowed: &'static [usize]) {
        let chain = self.chain.clone();
        self.row_in(contract, chain, call, allowed);
    }

    fn row_in<C: SolCall>(
        &mut self,
        contract: &'static str,
        chain: Chain,
        call: &C,
        allowed: &'static [usize],
    ) {
        self.rows.push(Row {
            contract,
            selector: C::SELECTOR,
            name: C::SIGNATURE,
            chain,
            data: call.abi_encode().into(),
            allowed,
        });
    }

    fn token(&mut self) {
        let t = "MedinaToken";
        let (to, value) = (self.chain.account(A), U256::ONE);
        let nothing = U256::ZERO;
        self.row(t, &MedinaToken::approveCall { spender: to, value }, ALL);
        self.row(t, &MedinaToken::transferCall { to, value }, ALL);
        self.row(t, &MedinaToken::burnCall { amount: value }, ALL);
        let take = MedinaToken::transferFromCall {
            from: to,
            to,
            value: nothing,
        };
        self.row(t, &take, ALL);
        self.row(t, &MedinaToken::mintCall { to, amount: value }, &[MINTER]);
        let message = eip712::Permit {
            owner: to,
            spender: to,
            value,
            nonce: nothing,
            deadline: U256::MAX,
        };
        let signature = self.chain.sign(A, t, &message);
        let permit = MedinaToken::permitCall {
            owner: to,
            spender: to,
            value,
            deadline: U256::MAX,
            v: signature[64],
            r: B256::from_slice(&signature[..32]),
            s: B256::from_slice(&signature[32..64]),
        };
        self.row(t, &permit, ALL);
        let target = self.chain.at.sensor_registry;
        self.row("Gatekeeper", &Gatekeeper::closeCall { target }, &[GUARDIAN]);
    }

    fn identity(&mut self) {
        let i = "Identity";
        let admin = self.chain.account(STRANGER);
        let register = Identity::registerOrgCall {
            org: keccak256("new"),
            admin,
            meta: B256::ZERO,
        };
        self.row(i, &register, &[ADMINISTRATOR]);
        let set = Identity::setOrgCall {
            org: org(B),
            admin,
            s: 1,
            meta: B256::ZERO,
        };
        self.row(i, &set, &[ADMINISTRATOR]);
        let enrol = enrolment(&self.chain, "eve", key("eve").address());
        self.row(i, &enrol, ALL);
        let mut waiting = self.chain.clone();
        waiting.ok(STRANGER, waiting.at.identity, &enrol);
        let approve = Identity::approveCall {
            userId: keccak256("eve"),
        };
        self.row_in(i, waiting, &approve, &[ADMIN_A]);
        let role = Identity::setRoleCall {
            userId: user(MEMBER_A),
            role: 2,
        };
        self.row(i, &role, &[ADMIN_A, ADMINISTRATOR]);
        let user_id = keccak256("enrolled");
        let message = eip712::Rotation {
            userId: user_id,
            next: key("next").address(),
            deadline: self.chain.deadline(),
        };
        let rotate = Identity::rotateCall {
            userId: user_id,
            next: message.next,
            deadline: message.deadline,
            nextSig: sign(&key("next"), &self.chain.domain(i), &message),
        };
        self.row(i, &rotate, &[CERTIFIER, ENROLLED]);
        let message = eip712::Renewal {
            userId: user_id,
            expires: seconds(self.chain.time + 20_000_000),
        };
        let renew = Identity::renewCall {
            userId: user_id,
            expires: message.expires,
            certifier: self.chain.account(CERTIFIER),
            sig: self.chain.sign(CERTIFIER, i, &message),
        };
        self.row(i, &renew, ALL);
        let suspend = Identity::setStatusCall {
            userId: user_id,
            s: 2,
            reason: B256::ZERO,
        };
        self.row(i, &suspend, &[CERTIFIER, ADMIN_A, MODERATOR, ADMINISTRATOR]);
        let erase = Identity::eraseCall { userId: user_id };
        self.row(i, &erase, &[CERTIFIER, ENROLLED]);
        let mut erased = self.chain.clone();
        erased.ok(ENROLLED, erased.at.identity, &erase);
        erased.warp(361 * 86_400);
        let forget = Identity::forgetCall { nullifier: user_id };
        self.row_in(i, erased, &forget, &[CERTIFIER]);
        let seeds = Vec::new();
        let authority = admin;
        self.row(i, &Identity::initializeCall { authority, seeds }, NOBODY);
    }

    fn permissioning(&mut self) {
        let p = "Permissioning";
        let at = self.chain.at.permissioning;
        let add = Permissioning::addNodeCall {
            org: org(A),
            nodeKey: node_key(A),
        };
        self.row(p, &add, &[ADMIN_A]);
        let mut scene = self.chain.clone();
        scene.ok(ADMIN_A, at, &add);
        self.row_in(
            p,
            scene.clone(),
            &set_node(A, NodeState::Inactive),
            &[ADMIN_A],
        );
        let block = Permissioning::setAccountCall {
            a: scene.account(MEMBER_A),
            state: 1,
        };
        self.row_in(p, scene.clone(), &block, &[ADMIN_A]);
        let data = admission(A, scene.account(MEMBER_A));
        self.row_in(
            p,
            scene.clone(),
            &propose(BallotKind::AddValidator, data.clone()),
            &[OPERATOR],
        );
        let ballot = scene.propose(OPERATOR, BallotKind::AddValidator, data);
        let vote = Permissioning::voteCall { ballot, yes: true };
        self.row_in(p, scene.clone(), &vote, &[OPERATOR]);
        scene.ok(OPERATOR, at, &vote);
        let execute = Permissioning::executeCall { ballot };
        self.row_in(p, scene.clone(), &execute, ALL);
        scene.ok(STRANGER, at, &execute);
        self.row_in(p, scene.clone(), &activate(A), &[MEMBER_A]);
        self.row_in(p, scene, &Permissioning::closeBootCall {}, &[GOVERNOR]);
        let again = Permissioning::initializeCall {
            authority: self.chain.account(STRANGER),
            seeds: Vec::new(),
            orgs: Vec::new(),
            accounts: Vec::new(),
        };
        self.row(p, &again, NOBODY);
    }

    fn sensors(&mut self) {
        let s = "SensorRegistry";
        let at = self.chain.at.sensor_registry;
        let id = keccak256("sensor");
        let register = self.chain.registration(A, keccak256("new"), &key("new"));
        self.row(s, &register, OF_A);
        let many = SensorRegistry::registerManyCall {
            ids: vec![register.id],
            r: vec![register.r],
            deadline: register.deadline,
            sigs: vec![register.deviceSig],
        };
        self.row(s, &many, OF_A);
        let update = SensorRegistry::updateCall {
            id,
            period: 30,
            cell: 1,
            meta: B256::ZERO,
        };
        self.row(s, &update, OF_A);
        let deadline = self.chain.deadline();
        let message = eip712::KeyRotation { id, deadline };
        let rotate = SensorRegistry::rotateKeyCall {
            id,
            signer: key("new").address().to_vec().into(),
            deadline,
            sig: sign(&key("new"), &self.chain.domain(s), &message),
        };
        self.row(s, &rotate, OF_A);
        self.row(s, &SensorRegistry::setStatusCall { id, status: 2 }, OF_A);
        self.row(
            s,
            &SensorRegistry::setStatusCall { id, status: 129 },
            FLAGGERS,
        );
        let offer = SensorRegistry::transferCall { id, toOrg: org(B) };
        self.row(s, &offer, OF_A);
        let mut offered = self.chain.clone();
        offered.ok(A, at, &offer);
        self.row_in(s, offered, &SensorRegistry::acceptCall { id }, OF_B);
        let verifier = SensorRegistry::setVerifierCall {
            verifier: at,
            allowed: true,
        };
        self.row(s, &verifier, &[GOVERNOR]);
        let authority = self.chain.account(STRANGER);
        self.row(s, &SensorRegistry::initializeCall { authority }, NOBODY);
    }

    fn anchors(&mut self) {
        let d = "DataAnchor";
        let source = keccak256("sensor");
        let b = Batch {
            root: keccak256("root"),
            from: seconds(self.chain.time - 60),
            to: seconds(self.chain.time),
            count: 1,
        };
        let message = eip712::Anchoring {
            source,
            seq: 1,
            root: b.root,
            from: b.from,
            to: b.to,
            count: 1,
        };
        let sig = sign(&key("sensor"), &self.chain.domain(d), &message);
        let anchor = DataAnchor::anchorCall {
            source,
            b: b.clone(),
            sig: sig.clone(),
        };
        self.row(d, &anchor, ALL);
        let many = DataAnchor::anchorManyCall {
            sources: vec![source],
            b: vec![b],
            sigs: vec![sig],
        };
        self.row(d, &many, ALL);
        let mut anchored = self.chain.clone();
        anchored.ok(STRANGER, anchored.at.data_anchor, &anchor);
        let tombstone = DataAnchor::tombstoneCall {
            source,
            seq: 1,
            leaves: vec![keccak256("leaf")],
            reason: B256::ZERO,
        };
        self.row_in(d, anchored, &tombstone, OF_A);
    }

    fn offers(&mut self) {
        let m = "DataMarketplace";
        let at = self.chain.at.data_marketplace;
        let listing = self.chain.listing(A, keccak256("sensor"), 0);
        self.row(m, &DataMarketplace::listCall { l: listing.clone() }, OF_A);
        let mut scene = self.chain.clone();
        let free = scene.list(A, listing);
        let fixed = scene.list(A, scene.listing(A, keccak256("sensor"), TOKEN));
        let price = DataMarketplace::setPriceCall {
            id: fixed,
            unitPrice: 7,
        };
        self.row_in(m, scene.clone(), &price, OF_A);
        let set = |status: u8| DataMarketplace::setListingCall {
            id: fixed,
            status,
            meta: keccak256("meta"),
            policy: keccak256("policy"),
        };
        self.row_in(m, scene.clone(), &set(2), OF_A);
        self.row_in(m, scene.clone(), &set(129), FLAGGERS);
        self.row_in(m, scene.clone(), &scene.purchase(BUYER, free, 0), BUYERS);
        let permit = DataMarketplace::buyWithPermitCall {
            id: free,
            units: 1,
            user: scene.account(BUYER),
            maxAmount: 0,
            purpose: B256::ZERO,
            deadline: U256::ZERO,
            v: 0,
            r: B256::ZERO,
            s: B256::ZERO,
        };
        self.row_in(m, scene.clone(), &permit, BUYERS);
        let message = eip712::BuyIntent {
            listing: fixed,
            units: 1,
            buyer: scene.account(BUYER),
            user: scene.account(BUYER),
            maxAmount: TOKEN,
            purpose: B256::ZERO,
            deadline: scene.deadline(),
            number: 1,
        };
        let relayed = DataMarketplace::buyForCall {
            i: IDataMarketplace::BuyIntent {
                listing: message.listing,
                units: 1,
                buyer: message.buyer,
                user: message.user,
                maxAmount: TOKEN,
                purpose: B256::ZERO,
                deadline: message.deadline,
                number: 1,
            },
            buyerSig: scene.sign(BUYER, m, &message),
        };
        self.row_in(m, scene.clone(), &relayed, ALL);
        let params = DataMarketplace::setParamsCall {
            feeBps: 1,
            rebateBps: 1,
            disputeIn: 3_600,
        };
        self.row(m, &params, &[GOVERNOR]);
        let judge = DataMarketplace::setJudgeCall {
            judge: at,
            allowed: true,
        };
        self.row(m, &judge, &[GOVERNOR]);
        self.row(
            m,
            &DataMarketplace::collectFeesCall { amount: 0 },
            &[GOVERNOR],
        );
        let again = DataMarketplace::initializeCall {
            authority: at,
            feeBps: 0,
            rebateBps: 0,
            disputeIn: 1,
        };
        self.row(m, &again, NOBODY);
        self.orders(scene, fixed);
    }

    /// Fixed and period and unit orders of the buyer, from funding to dispute.
    fn orders(&mut self, mut scene: Chain, fixed: u64) {
        let m = "DataMarketplace";
        let at = scene.at.data_marketplace;
        let order = scene.buy(BUYER, fixed, TOKEN);
        let proof = keccak256("proof");
        let deliver = DataMarketplace::deliverCall { order, proof };
        self.row_in(m, scene.clone(), &deliver, OF_A);
        let mut late = scene.clone();
        late.warp(4_000);
        self.row_in(m, late, &DataMarketplace::cancelCall { order }, ALL);
        scene.ok(A, at, &deliver);
        self.row_in(
            m,
            scene.clone(),
            &DataMarketplace::confirmCall { order },
            &[BUYER],
        );
        let mut after = scene.clone();
        after.warp(8_000);
        self.row_in(m, after.clone(), &DataMarketplace::claimCall { order }, ALL);
        after.ok(STRANGER, at, &DataMarketplace::claimCall { order });
        let (owner, to) = (after.account(A), after.account(A));
        self.row_in(m, after.clone(), &DataMarketplace::withdrawCall { to }, ALL);
        self.row_in(
            m,
            after.clone(),
            &DataMarketplace::withdrawForCall { owner },
            ALL,
        );
        self.row_in(
            m,
            after.clone(),
            &DataMarketplace::useOrderCall { order },
            &[BUYER],
        );
        self.row_in(
            m,
            after.clone(),
            &DataMarketplace::onRatedCall { order },
            NOBODY,
        );
        self.ratings(after, order);
        let evidence = B256::ZERO;
        let dispute = DataMarketplace::disputeCall { order, evidence };
        self.row_in(m, scene.clone(), &dispute, &[BUYER]);
        scene.ok(BUYER, at, &dispute);
        let resolve = DataMarketplace::resolveCall {
            order,
            buyerBps: 5_000,
        };
        self.row_in(m, scene.clone(), &resolve, &[ARBITER]);
        scene.warp(30 * 86_400);
        self.row_in(
            m,
            scene.clone(),
            &DataMarketplace::expireCall { order },
            ALL,
        );
        let mut by_period = scene.listing(A, keccak256("sensor"), TOKEN);
        (by_period.price, by_period.unit) = (3, 86_400);
        let by_period = scene.list(A, by_period);
        let order = scene.buy(BUYER, by_period, TOKEN);
        scene.ok(A, at, &DataMarketplace::deliverCall { order, proof });
        let approve = MedinaToken::approveCall {
            spender: at,
            value: U256::MAX,
        };
        scene.ok(BUYER, scene.at.medina_token, &approve);
        let renew = DataMarketplace::renewCall {
            order,
            periods: 1,
            maxAmount: TOKEN,
        };
        self.row_in(m, scene.clone(), &renew, &[BUYER]);
        self.row_in(
            m,
            scene.clone(),
            &DataMarketplace::cancelCall { order },
            &[ADMIN_A, A, BUYER],
        );
        let mut by_unit = scene.listing(A, keccak256("sensor"), TOKEN);
        (by_unit.price, by_unit.unit) = (2, 86_400);
        let by_unit = scene.list(A, by_unit);
        let order = scene.buy(BUYER, by_unit, TOKEN);
        let voucher = eip712::UnitVoucher {
            order,
            cumulative: 1,
        };
        let claim = DataMarketplace::claimUnitsCall {
            order,
            cumulative: 1,
            userSig: scene.sign(BUYER, m, &voucher),
        };
        self.row_in(m, scene, &claim, ALL);
    }

    /// Of a completed order.
    fn ratings(&mut self, mut scene: Chain, order: U256) {
        let t = "TrustAndReputation";
        let at = scene.at.trust_and_reputation;
        let rate = TrustAndReputation::rateCall {
            order,
            score: 9_000,
            comment: B256::ZERO,
        };
        self.row_in(t, scene.clone(), &rate, &[BUYER]);
        scene.ok(BUYER, at, &rate);
        let reply = B256::ZERO;
        self.row_in(
            t,
            scene.clone(),
            &TrustAndReputation::respondCall { order, reply },
            OF_A,
        );
        let reason = B256::ZERO;
        self.row_in(
            t,
            scene.clone(),
            &TrustAndReputation::hideCall { order, reason },
            FLAGGERS,
        );
        let closed = TrustAndReputation::onClosedCall {
            _0: order,
            resource: keccak256("sensor"),
            sellerOrg: org(A),
            buyerOrg: org(B),
            paid: TOKEN,
            lostBps: 10_000,
        };
        self.row(t, &closed, NOBODY);
        let resource = keccak256("sensor");
        self.row(t, &TrustAndReputation::onViolationCall { resource }, NOBODY);
        self.row(t, &TrustAndReputation::onCouponCall { org: org(A) }, NOBODY);
        self.row(
            t,
            &TrustAndReputation::onMisdeedCall { org: org(A) },
            NOBODY,
        );
        let report = TrustAndReputation::reportCall {
            resource,
            up: 1,
            down: 1,
        };
        self.row(t, &report, &[MONITOR]);
        self.row(t, &TrustAndReputation::refreshCall { resource }, ALL);
        let resources = vec![resource];
        self.row(
            t,
            &TrustAndReputation::refreshAdaptiveCall { resources },
            MEMBERS,
        );
        let p = self.chain.view(at, &TrustAndReputation::paramsCall {});
        self.row(
            t,
            &TrustAndReputation::setParamsCall { p: p.clone() },
            &[GOVERNOR],
        );
        let authority = at;
        self.row(
            t,
            &TrustAndReputation::initializeCall { authority, p },
            NOBODY,
        );
    }

    fn federations(&mut self) {
        let f = "FederationRegistry";
        let at = self.chain.at.federation_registry;
        let fed = keccak256("fed");
        let create = FederationRegistry::createCall {
            id: keccak256("new"),
            name: B256::ZERO,
            open: false,
            quorumBps: 0,
            infoModel: B256::ZERO,
            c: Vec::new(),
            invites: Vec::new(),
        };
        self.row(f, &create, ACTING);
        let invite = FederationRegistry::inviteCall {
            fed,
            org: org(MODERATOR),
        };
        self.row(f, &invite, OF_BOTH);
        let accept = FederationRegistry::acceptCall { fed, version: 1 };
        // Of B it is a member already, and hears that instead.
        self.row(f, &accept, &[ADMINISTRATOR]);
        self.row(
            f,
            &FederationRegistry::declineCall { fed },
            &[ADMINISTRATOR],
        );
        self.row(f, &FederationRegistry::leaveFederationCall { fed }, OF_BOTH);
        let mut revoked = self.chain.clone();
        let revoke = Identity::setOrgCall {
            org: org(B),
            admin: revoked.account(ADMIN_B),
            s: 3,
            meta: B256::ZERO,
        };
        revoked.ok(ADMINISTRATOR, revoked.at.identity, &revoke);
        self.row_in(
            f,
            revoked,
            &FederationRegistry::lapseCall { fed, org: org(B) },
            ALL,
        );
        let kind = FederationBallotKind::Rename;
        let data = Bytes::from(fed.0);
        let ballot = FederationRegistry::proposeCall {
            fed,
            kind: kind.into(),
            data: data.clone(),
        };
        self.row(f, &ballot, OF_BOTH);
        let mut scene = self.chain.clone();
        let ballot = scene.fed_propose(A, fed, kind, data);
        let vote = FederationRegistry::voteCall { ballot, yes: true };
        self.row_in(f, scene.clone(), &vote, OF_BOTH);
        scene.ok(A, at, &vote);
        scene.ok(B, at, &vote);
        self.row_in(f, scene, &FederationRegistry::executeCall { ballot }, ALL);
        let resources = vec![keccak256("sensor")];
        let bartered = vec![false];
        let share = FederationRegistry::shareCall {
            fed,
            resources: resources.clone(),
            bartered,
        };
        self.row(f, &share, OF_A);
        self.row(f, &FederationRegistry::unshareCall { fed, resources }, OF_A);
        let subscribe = FederationRegistry::subscribeCall {
            fed,
            types: 0,
            topics: Vec::new(),
            cells: Vec::new(),
        };
        self.row(f, &subscribe, OF_BOTH);
        let authority = at;
        self.row(f, &FederationRegistry::initializeCall { authority }, NOBODY);
        self.refusals(fed);
    }

    fn refusals(&mut self, fed: B256) {
        let f = "FederationRegistry";
        let at = self.chain.at.federation_registry;
        let m = eip712::Denied {
            fed,
            resource: keccak256("sensor"),
            targetOrg: org(A),
            originOrg: org(B),
            request: keccak256("request"),
            time: seconds(self.chain.time),
            number: 1,
            client: self.chain.account(BUYER),
        };
        let report = FederationRegistry::reportDeniedCall {
            d: IFederationRegistry::Denied {
                fed,
                resource: m.resource,
                targetOrg: m.targetOrg,
                originOrg: m.originOrg,
                request: m.request,
                time: m.time,
                number: 1,
                client: m.client,
            },
            clientSig: self.chain.sign(BUYER, f, &m),
            targetSig: Bytes::new(),
        };
        self.row(f, &report, ALL);
        let mut scene = self.chain.clone();
        let outcome = scene.ok(STRANGER, at, &report);
        let report = outcome.event::<FederationRegistry::Reported>().report;
        let message = eip712::Receipt {
            request: m.request,
            time: m.time,
        };
        let rebut = FederationRegistry::rebutCall {
            report,
            receipt: eip712::receipt(m.time, &scene.sign(BUYER, f, &message)),
        };
        self.row_in(f, scene.clone(), &rebut, OF_A);
        scene.warp(86_401);
        self.row_in(
            f,
            scene,
            &FederationRegistry::settleReportCall { report },
            ALL,
        );
    }

    fn agreements(&mut self) {
        let s = "SlaRegistry";
        let at = self.chain.at.sla_registry;
        let fed = keccak256("fed");
        let resource = keccak256("sensor");
        let bond = SlaRegistry::bondCall { fed, amount: 100 };
        self.row(s, &bond, OF_BOTH);
        let to = self.chain.time / 3_600 * 3_600;
        let report = SlaRegistry::reportCall {
            r: vec![ISlaRegistry::Report {
                fed,
                resource,
                constraint: 0,
                value: 0,
                from: seconds(to - 3_600),
                to: seconds(to),
            }],
        };
        // Not the owner's, though a member's.
        self.row(s, &report, &[MONITOR, B, ADMIN_B]);
        let constraint = 0;
        let evaluate = SlaRegistry::evaluateCall {
            fed,
            resource,
            constraint,
        };
        self.row(s, &evaluate, ALL);
        let policy = SlaRegistry::setPolicyCall {
            fed,
            constraint,
            count: 1,
            interval: 0,
            penaltyCount: 1,
            penaltyInterval: 0,
            amount: 60,
        };
        self.row(s, &policy, NOBODY);
        let mut scene = self.chain.clone();
        scene.ok(A, at, &bond);
        let data = crate::federation_ballots::policy(0, 1, 0, (1, 0, 60));
        scene.ok_policy(fed, data);
        scene.ok(MONITOR, at, &report);
        let penalty = U256::ONE;
        self.row_in(
            s,
            scene.clone(),
            &SlaRegistry::pardonCall { penalty },
            &[ARBITER],
        );
        scene.warp(7 * 86_400 + 1);
        self.row_in(s, scene.clone(), &SlaRegistry::collectCall { penalty }, ALL);
        scene.ok(STRANGER, at, &SlaRegistry::collectCall { penalty });
        scene.ok(
            A,
            scene.at.federation_registry,
            &FederationRegistry::leaveFederationCall { fed },
        );
        scene.warp(7 * 86_400);
        let unbond = SlaRegistry::unbondCall { fed, org: org(A) };
        self.row_in(s, scene, &unbond, ALL);
        let authority = at;
        self.row(s, &SlaRegistry::initializeCall { authority }, NOBODY);
    }

    fn coupon(&self, issuer: usize, holder: usize) -> eip712::Coupon {
        eip712::Coupon {
            issuer: org(issuer),
            fed: keccak256("fed"),
            kind: 1,
            val: 1,
            number: 1,
            issuedAt: seconds(1),
            holder: org(holder),
            scope: B256::ZERO,
        }
    }

    fn coupons(&mut self) {
        let c = "BarteringCoupons";
        let at = self.chain.at.bartering_coupons;
        let (of_a, of_b) = (self.coupon(A, B), self.coupon(B, A));
        let register =
            |chain: &Chain, signer: usize, m: &eip712::Coupon| BarteringCoupons::registerCall {
                c: coupon(m),
                sig: chain.sign_packed(signer, c, m),
            };
        let first = register(&self.chain, A, &of_a);
        self.row(c, &first, ALL);
        let mut scene = self.chain.clone();
        scene.ok(STRANGER, at, &first);
        let second = register(&scene, B, &of_b);
        scene.ok(STRANGER, at, &second);
        let key_ = |issuer: usize| keccak256((org(issuer), U256::ONE).abi_encode());
        let resource = keccak256("sensor");
        let message = eip712::Use {
            key: key_(A),
            resource,
            uses: 1,
        };
        let consume = BarteringCoupons::consumeCall {
            key_: key_(A),
            resource,
            holderSig: scene.sign_packed(B, c, &message),
        };
        self.row_in(c, scene.clone(), &consume, OF_A);
        let transfer = BarteringCoupons::transferCall {
            key_: key_(A),
            toOrg: org(A),
        };
        self.row_in(c, scene.clone(), &transfer, OF_B);
        let message = eip712::Swap {
            mine: key_(A),
            theirs: key_(B),
            moves: 0,
        };
        let swap = BarteringCoupons::swapCall {
            mine: key_(A),
            theirs: key_(B),
            theirSig: scene.sign_packed(A, c, &message),
        };
        self.row_in(c, scene.clone(), &swap, OF_B);
        let revoke = BarteringCoupons::revokeCall { key_: key_(A) };
        self.row_in(
            c,
            scene.clone(),
            &revoke,
            &[ADMIN_A, A, MODERATOR, ADMINISTRATOR],
        );
        scene.ok(A, at, &consume);
        scene.warp(10);
        let cleanup = BarteringCoupons::cleanupCall {
            keys: vec![key_(A)],
            before: seconds(scene.time),
        };
        self.row_in(c, scene, &cleanup, OF_A);
        let fed = keccak256("fed");
        let rules = BarteringCoupons::setRulesCall {
            fed,
            minReputation: 1,
            types: 0,
        };
        self.row(c, &rules, OF_BOTH);
        let mut easy = self.chain.clone();
        easy.ok(A, at, &rules);
        let message = eip712::Barter {
            give: of_b.clone(),
            resource,
        };
        let barter = BarteringCoupons::barterCall {
            give: coupon(&of_b),
            giveSig: easy.sign_packed(B, c, &message),
            resource,
            acceptSig: easy.sign_packed(A, c, &message),
        };
        self.row_in(c, easy, &barter, ALL);
        let authority = at;
        self.row(c, &BarteringCoupons::initializeCall { authority }, NOBODY);
    }

    fn consent(&mut self) {
        let c = "ConsentAndAccess";
        let at = self.chain.at.consent_and_access;
        let scope = keccak256("sensor");
        let give = grant(&self.chain, scope, user(BUYER));
        self.row(c, &give, OF_A);
        let own = grant(&self.chain, user(MEMBER_A), user(BUYER));
        self.row(c, &own, &[MEMBER_A]);
        let g = &own.g;
        let message = eip712::GrantFor {
            scope: g.scope,
            grantee: g.grantee,
            purpose: g.purpose,
            ops: g.ops,
            from: g.from,
            until: g.until,
            form: g.form,
            deadline: self.chain.deadline(),
        };
        let relayed = ConsentAndAccess::grantForCall {
            g: g.clone(),
            deadline: message.deadline,
            ownerSig: self.chain.sign_packed(MEMBER_A, c, &message),
        };
        self.row(c, &relayed, ALL);
        let mut scene = self.chain.clone();
        let outcome = scene.ok(A, at, &give);
        let id =
            ConsentAndAccess::grantCall::abi_decode_returns(&outcome.output).expect("a grant's id");
        let amend = ConsentAndAccess::amendCall {
            id,
            ops: 1,
            until: seconds(scene.time + 100),
        };
        self.row_in(c, scene.clone(), &amend, OF_A);
        self.row_in(c, scene.clone(), &ConsentAndAccess::revokeCall { id }, OF_A);
        self.row_in(
            c,
            scene.clone(),
            &ConsentAndAccess::revokeAllCall { scope },
            OF_A,
        );
        let delegate = ConsentAndAccess::delegateCall {
            scope,
            helper: user(BUYER),
            until: seconds(scene.time + 100),
            form: keccak256("form"),
        };
        self.row(c, &delegate, OF_A);
        let log = ConsentAndAccess::logAccessCall {
            scope,
            actor: user(BUYER),
            profile: 1,
            action: 2,
            purpose: B256::ZERO,
            detail: B256::ZERO,
        };
        self.row(c, &log, ACTING);
        let ask = ConsentAndAccess::askCall {
            scope,
            kind: 0,
            doc: keccak256("doc"),
        };
        self.row(c, &ask, MEMBERS);
        scene.ok(BUYER, at, &ask);
        let answer = ConsentAndAccess::answerCall {
            id: U256::ONE,
            doc: keccak256("doc"),
        };
        self.row_in(c, scene, &answer, OF_A);
        let breach = ConsentAndAccess::notifyBreachCall {
            scopes: vec![scope],
            notice: B256::ZERO,
        };
        self.row(c, &breach, ACTING);
        self.row(
            c,
            &ConsentAndAccess::setPrivacyCall { scope, level: 1 },
            OF_A,
        );
        let authority = at;
        self.row(c, &ConsentAndAccess::initializeCall { authority }, NOBODY);
    }

    fn incidents(&mut self) {
        let i = "IncidentRegistry";
        let at = self.chain.at.incident_registry;
        let site = keccak256("sensor");
        let raise = alert(site, org(B));
        self.row(i, &raise, ACTING);
        let mut scene = self.chain.clone();
        scene.ok(A, at, &raise);
        let evaluate = evaluation(U256::ONE, CONFIRMED);
        // Any Member of the organisation that is asked.
        self.row_in(i, scene.clone(), &evaluate, &[B, BUYER, ADMIN_B]);
        scene.ok(BUYER, at, &evaluate);
        let report = IncidentRegistry::reportCall {
            class: B256::ZERO,
            severity: 1,
            site,
            asset: B256::ZERO,
            doc: B256::ZERO,
        };
        self.row(i, &report, MEMBERS);
        let published = impact(U256::ONE, vec![1]);
        self.row_in(i, scene.clone(), &published, OF_A);
        scene.ok(A, at, &published);
        let opinion = IncidentRegistry::evaluateImpactCall {
            impact: U256::ONE,
            agree: true,
            doc: B256::ZERO,
        };
        self.row_in(
            i,
            scene.clone(),
            &opinion,
            &[ADMIN_A, A, MEMBER_A, ENROLLED],
        );
        let respond = IncidentRegistry::respondCall {
            incident: U256::ONE,
            plan: B256::ZERO,
            recipients: vec![user(BUYER)],
            timeout: seconds(scene.time + 100),
            needsAck: true,
        };
        self.row_in(i, scene.clone(), &respond, OF_A);
        scene.ok(A, at, &respond);
        let response = U256::ONE;
        let acknowledge = IncidentRegistry::acknowledgeCall {
            response,
            canExecute: true,
            note: B256::ZERO,
        };
        self.row_in(i, scene.clone(), &acknowledge, &[BUYER]);
        let close = IncidentRegistry::closeCall {
            incident: U256::ONE,
            doc: B256::ZERO,
        };
        self.row_in(i, scene.clone(), &close, OF_A);
        scene.warp(101);
        self.row_in(i, scene, &IncidentRegistry::escalateCall { response }, ALL);
        let authority = at;
        self.row(i, &IncidentRegistry::initializeCall { authority }, NOBODY);
    }

    fn sealed(&mut self) {
        let s = "SealedDelivery";
        let at = self.chain.at.sealed_delivery;
        let plain = dataset();
        let secret = keccak256("secret");
        let package = plain.seal(secret);
        let wrong = {
            let mut chunks = package.clone();
            chunks.chunks[2][0].0[0] ^= 1;
            chunks
        };
        let mut scene = self.chain.clone();
        let mut listing = scene.listing(A, plain.root().expect("a dataset has a root"), TOKEN);
        (listing.kind, listing.judge) = (1, at);
        let id = scene.list(A, listing);
        let order = scene.buy(BUYER, id, TOKEN);
        let offer = SealedDelivery::offerCall {
            order,
            cipherRoot: wrong.root().expect("a package has a root"),
            keyHash: key_hash(secret),
        };
        self.row_in(s, scene.clone(), &offer, OF_A);
        scene.ok(A, at, &offer);
        let accept = SealedDelivery::acceptCall { order };
        self.row_in(s, scene.clone(), &accept, &[BUYER]);
        scene.ok(BUYER, at, &accept);
        let reveal = SealedDelivery::revealCall { order, key: secret };
        self.row_in(s, scene.clone(), &reveal, OF_A);
        scene.ok(A, at, &reveal);
        let fault = wrong.fault(2).expect("there is a chunk 2");
        let complain = fault.complaint(order);
        self.row_in(s, scene.clone(), &complain, &[BUYER]);
        scene.warp(8_000);
        self.row_in(s, scene, &SealedDelivery::settleCall { order }, ALL);
    }

    fn private_groups(&mut self) {
        let p = "PrivateGroups";
        let at = self.chain.at.private_groups;
        let mut scene = self.chain.clone();
        let register = registered(&scene, org(A), A, OPERATOR);
        self.row(p, &register, &[ADMIN_A]);
        for (admin, home) in [(ADMIN_A, A), (ADMIN_B, B), (OPERATOR, OPERATOR)] {
            let register = registered(&scene, org(home), home, OPERATOR);
            scene.ok(admin, at, &register);
        }
        let publish = key_of(&scene, org(A), A, 1, scene.time);
        self.row_in(p, scene.clone(), &publish, ALL);
        let id = keccak256("group");
        let create = PrivateGroups::createGroupCall {
            id,
            name: B256::ZERO,
            orgs: vec![org(A), org(B)],
            mode: 0,
            mandatory: Vec::new(),
            quorum: 0,
            attestEvery: 0,
        };
        self.row_in(p, scene.clone(), &create, OF_BOTH);
        scene.ok(A, at, &create);
        let third = org(OPERATOR);
        let propose = PrivateGroups::proposeMemberCall { id, org: third };
        self.row_in(
            p,
            scene.clone(),
            &propose,
            &[ADMIN_A, A, B, ADMIN_B, OPERATOR],
        );
        let remove = PrivateGroups::proposeRemovalCall { id, org: org(B) };
        self.row_in(p, scene.clone(), &remove, OF_BOTH);
        let leave = PrivateGroups::leaveGroupCall { id };
        self.row_in(p, scene.clone(), &leave, OF_BOTH);
        let digest = keccak256("digest");
        let skip = PrivateGroups::skipCall { id, digest };
        self.row_in(p, scene.clone(), &skip, OF_BOTH);
        let (height, root) = (1, keccak256("root"));
        let anchor = PrivateGroups::anchorCall { id, height, root };
        self.row_in(p, scene.clone(), &anchor, OF_BOTH);
        let anchor_for = attested(id, org(A), A, height, root);
        self.row_in(p, scene.clone(), &anchor_for, ALL);
        let erased = PrivateGroups::reportErasedCall {
            id,
            digest,
            receiptsHash: B256::ZERO,
        };
        self.row_in(p, scene.clone(), &erased, OF_BOTH);
        let audit = PrivateGroups::recordAuditCall {
            org: org(A),
            entries: 1,
            head: root,
        };
        self.row_in(p, scene.clone(), &audit, OF_A);
        scene.ok(OPERATOR, at, &propose);
        let vote = PrivateGroups::voteCall { id, org: third };
        self.row_in(p, scene, &vote, OF_BOTH);
        let authority = at;
        self.row(p, &PrivateGroups::initializeCall { authority }, NOBODY);
    }

    /// Of every module behind a proxy: the same code once more.
    fn upgrades(&mut self) {
        let modules = [
            ("Identity", 2),
            ("SensorRegistry", 4),
            ("FederationRegistry", 7),
            ("TrustAndReputation", 9),
            ("BarteringCoupons", 11),
            ("DataMarketplace", 13),
            ("Permissioning", 18),
            ("ConsentAndAccess", 21),
            ("SlaRegistry", 23),
            ("IncidentRegistry", 25),
            ("PrivateGroups", 30),
        ];
        for (contract, nonce) in modules {
            let upgrade = Identity::upgradeToAndCallCall {
                newImplementation: crate::harness::DEPLOYER.create(nonce),
                data: Bytes::new(),
            };
            self.row(contract, &upgrade, &[GOVERNOR]);
        }
        let authority = self.chain.account(GOVERNOR);
        for (contract, _) in modules
            .into_iter()
            .chain([("MedinaToken", 0), ("Gatekeeper", 0)])
        {
            let set = Identity::setAuthorityCall {
                newAuthority: authority,
            };
            self.row(contract, &set, NOBODY);
        }
    }
}

impl Chain {
    /// A policy that organisations A and B decided and accepted.
    fn ok_policy(&mut self, fed: B256, data: Bytes) {
        let at = self.at.federation_registry;
        let ballot = self.fed_propose(A, fed, FederationBallotKind::Policy, data);
        for voter in [A, B] {
            self.ok(
                voter,
                at,
                &FederationRegistry::voteCall { ballot, yes: true },
            );
        }
        self.ok(STRANGER, at, &FederationRegistry::executeCall { ballot });
        for member in [A, B] {
            self.ok(
                member,
                at,
                &FederationRegistry::acceptCall { fed, version: 2 },
            );
        }
    }
}

fn coupon(m: &eip712::Coupon) -> IBarteringCoupons::Coupon {
    IBarteringCoupons::Coupon {
        issuer: m.issuer,
        fed: m.fed,
        kind: m.kind,
        val: m.val,
        number: m.number,
        issuedAt: m.issuedAt,
        holder: m.holder,
        scope: m.scope,
    }
}

fn matrix() -> Matrix {
    let mut matrix = Matrix::new();
    matrix.token();
    matrix.identity();
    matrix.permissioning();
    matrix.sensors();
    matrix.anchors();
    matrix.offers();
    matrix.federations();
    matrix.agreements();
    matrix.coupons();
    matrix.consent();
    matrix.incidents();
    matrix.sealed();
    matrix.private_groups();
    matrix.upgrades();
    matrix
}

#[test]
fn every_role_does_with_every_function_what_is_its_to_do() {
    let matrix = matrix();
    let errors = errors();
    let addresses: BTreeMap<_, _> = matrix.chain.at.named().into_iter().collect();
    let mut wrong = Vec::new();
    let mut cells = 0;
    for row in &matrix.rows {
        for actor in 0..ACTORS {
            cells += 1;
            let from = row.chain.account(actor);
            let outcome =
                row.chain
                    .clone()
                    .call_data(from, addresses[row.contract], row.data.clone());
            let is_allowed = row.allowed.contains(&actor);
            let reason = outcome
                .output
                .get(..4)
                .and_then(|bytes| errors.get(bytes))
                .map_or_else(|| outcome.output.to_string(), Clone::clone);
            if outcome.success != is_allowed {
                wrong.push(format!(
                    "{}.{} by {actor}: {} {reason}",
                    row.contract, row.name, outcome.success
                ));
            } else if !is_allowed && !is_refusal(row, &reason) {
                wrong.push(format!(
                    "{}.{} by {actor}: refused as {reason}",
                    row.contract, row.name
                ));
            }
        }
    }
    println!("{} functions and {cells} cells", matrix.rows.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Also what a member hears that joins again.
fn is_refusal(row: &Row, reason: &str) -> bool {
    NOT_YOURS.contains(&reason)
        || ALSO_NOT_YOURS.contains(&reason)
        || (row.name.starts_with("accept(") && reason == "Duplicate")
}

#[test]
fn every_function_of_the_abi_that_changes_something_has_a_row() {
    let matrix = matrix();
    for (contract, _) in matrix.chain.at.named() {
        // OpenZeppelin's own, whose rules the rows of role holders exercise.
        if contract == "AccessManager" {
            continue;
        }
        let rows: BTreeSet<_> = matrix
            .rows
            .iter()
            .filter(|row| row.contract == contract)
            .map(|row| row.selector)
            .collect();
        let artifact = artifacts::by_name(contract).expect("a contract of the suite");
        for Changing { signature, .. } in changing(artifact.json) {
            assert!(
                rows.contains(&selector(&signature)),
                "{contract}.{signature} has no row"
            );
        }
    }
}
