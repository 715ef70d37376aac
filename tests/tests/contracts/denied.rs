//! FederationRegistry: reports of refused accesses, in the order of their checks; rebuttals; what counts.

use crate::{
    attacks::wallet_code,
    federation_ballots::{availability, rules},
    harness::{CHAIN_ID, Chain, GENESIS_TIME, Outcome, key, org, seconds, sign},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolStruct};
use medina_contracts::{
    eip712,
    federation_registry::{FederationRegistry::*, IFederationRegistry},
    identity::Identity,
    sensor_registry::SensorRegistry,
    trust_and_reputation::TrustAndReputation,
    values::{FederationBallotKind, ReportState},
};
use proptest::prelude::*;

const DAY: u64 = 86_400;

/// Organisations 1 to 4 are members; 1 shares a sensor, which a client of 2 found with 3.
pub(crate) struct Scene {
    pub(crate) chain: Chain,
    fed: B256,
    sensor: B256,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::on(Chain::new())
    }

    fn on(mut chain: Chain) -> Self {
        let fed = chain.federate(1, &[2, 3, 4], "fed");
        let sensor = chain.register(1, "sensor");
        let share = shareCall {
            fed,
            resources: vec![sensor],
            bartered: vec![false],
        };
        chain.ok(1, chain.at.federation_registry, &share);
        chain.warp(1_000);
        Self { chain, fed, sensor }
    }

    pub(crate) fn at(&self) -> Address {
        self.chain.at.federation_registry
    }

    pub(crate) fn fed(&self) -> B256 {
        self.fed
    }

    pub(crate) fn denied(&self, number: u64) -> eip712::Denied {
        eip712::Denied {
            fed: self.fed,
            resource: self.sensor,
            targetOrg: org(1),
            originOrg: org(3),
            request: keccak256("request"),
            time: seconds(self.chain.time),
            number,
            client: self.chain.account(2),
        }
    }

    /// Signed by the client, and by the target if that agrees.
    pub(crate) fn call(
        &self,
        d: &eip712::Denied,
        client: usize,
        target: Option<usize>,
    ) -> reportDeniedCall {
        let contract = "FederationRegistry";
        reportDeniedCall {
            d: fields(d),
            clientSig: self.chain.sign(client, contract, d),
            targetSig: target
                .map(|index| self.chain.sign_packed(index, contract, d))
                .unwrap_or_default(),
        }
    }

    fn report(&mut self, d: &eip712::Denied) -> (U256, Outcome) {
        let call = self.call(d, 2, None);
        let outcome = self.chain.ok(9, self.at(), &call);
        let id = reportDeniedCall::abi_decode_returns(&outcome.output).expect("a report's id");
        (id, outcome)
    }

    /// What a client signs when it gets something.
    fn receipt(&self, client: usize, request: B256, time: u64) -> Bytes {
        let time = seconds(time);
        let message = eip712::Receipt { request, time };
        let signature = self.chain.sign(client, "FederationRegistry", &message);
        eip712::receipt(time, &signature)
    }

    fn misdeeds(&self) -> (u64, u64) {
        let by = misdeedsByCall {
            target: org(1),
            origin: org(3),
            fed: self.fed,
        };
        let all = misdeedsCall { target: org(1) };
        (
            self.chain.view(self.at(), &all),
            self.chain.view(self.at(), &by),
        )
    }

    fn state(&self, report: U256) -> ReportState {
        let seen = self.chain.view(self.at(), &getReportCall { report });
        ReportState::try_from(seen.state).expect("a known state")
    }
}

fn fields(d: &eip712::Denied) -> IFederationRegistry::Denied {
    IFederationRegistry::Denied {
        fed: d.fed,
        resource: d.resource,
        targetOrg: d.targetOrg,
        originOrg: d.originOrg,
        request: d.request,
        time: d.time,
        number: d.number,
        client: d.client,
    }
}

#[test]
fn report_is_checked_in_the_order_of_the_specification() {
    let mut scene = Scene::new();
    let at = scene.at();
    let whole = scene.denied(1);
    let changed = |change: &dyn Fn(&mut eip712::Denied)| {
        let mut d = whole.clone();
        change(&mut d);
        scene.call(&d, 2, None)
    };
    let now = scene.chain.time;
    let bad_request = [
        changed(&|d| d.request = B256::ZERO),
        changed(&|d| d.client = Address::ZERO),
        changed(&|d| d.time = seconds(now + 1)),
        changed(&|d| d.time = seconds(now - 121)),
        scene.call(&whole, 4, None),
        scene.call(&whole, 2, Some(4)),
        reportDeniedCall {
            targetSig: Bytes::from(vec![1; 19]),
            ..scene.call(&whole, 2, None)
        },
    ];
    let unknown = changed(&|d| d.fed = B256::repeat_byte(1));
    let own_client = {
        let mut d = whole.clone();
        d.client = scene.chain.account(1);
        scene.call(&d, 1, None)
    };
    let not_member = [
        changed(&|d| d.client = key("nobody").address()),
        changed(&|d| d.client = scene.chain.account(5)),
        changed(&|d| d.targetOrg = org(6)),
        changed(&|d| d.originOrg = org(6)),
    ];
    let not_owner = changed(&|d| d.targetOrg = org(4));
    let not_shared = changed(&|d| d.resource = keccak256("other"));
    let chain = &mut scene.chain;
    for call in &bad_request {
        chain.fails::<BadRequest>(9, at, call);
    }
    chain.fails::<BadRequest>(9, at, &own_client);
    chain.fails::<Unknown>(9, at, &unknown);
    for call in &not_member {
        chain.fails::<NotMember>(9, at, call);
    }
    chain.fails::<NotOwner>(9, at, &not_owner);
    chain.fails::<NotOwner>(9, at, &not_shared);
    chain.register(1, "other");
    chain.fails::<NotShared>(9, at, &not_shared);
    let (report, outcome) = scene.report(&whole);
    let event = outcome.event::<Reported>();
    assert_eq!(
        (event.report, event.fed, event.resource),
        (report, scene.fed, scene.sensor)
    );
    assert_eq!(scene.state(report), ReportState::Pending);
    assert_eq!(scene.misdeeds(), (0, 0));
}

#[test]
fn client_must_be_live_and_the_word_two_minutes_young() {
    let mut scene = Scene::new();
    let d = scene.denied(1);
    let call = scene.call(&d, 2, None);
    scene.chain.warp(120);
    assert!(
        scene
            .chain
            .clone()
            .call(scene.chain.account(9), scene.at(), &call)
            .success
    );
    let mut suspended = scene.chain.clone();
    let suspend = Identity::setStatusCall {
        userId: crate::harness::user(2),
        s: 2,
        reason: B256::ZERO,
    };
    suspended.ok(0, scene.chain.at.identity, &suspend);
    suspended.fails::<NotMember>(9, scene.at(), &call);
    scene.chain.warp(1);
    let at = scene.at();
    scene.chain.fails::<BadRequest>(9, at, &call);
}

#[test]
fn number_works_once_and_a_client_reports_a_resource_once_an_hour() {
    let mut scene = Scene::new();
    let at = scene.at();
    // Close to the end of a clock hour: the next one begins in a minute.
    scene.chain.warp(3_600 - 60 - (scene.chain.time % 3_600));
    scene.report(&scene.denied(700));
    let again = scene.call(&scene.denied(701), 2, None);
    scene.chain.fails::<Duplicate>(9, at, &again);
    scene.chain.warp(3_599);
    let soon = scene.call(&scene.denied(701), 2, None);
    scene.chain.fails::<Duplicate>(9, at, &soon);
    scene.chain.warp(1);
    let used = scene.call(&scene.denied(700), 2, None);
    scene.chain.fails::<Duplicate>(9, at, &used);
    let (second, _) = scene.report(&scene.denied(701));
    let mut other = scene.denied(700);
    other.client = scene.chain.account(4);
    let other = scene.call(&other, 4, None);
    scene.chain.ok(9, at, &other);
    assert_eq!(scene.state(second), ReportState::Pending);
    let another = scene.chain.register(1, "another");
    let share = shareCall {
        fed: scene.fed,
        resources: vec![another],
        bartered: vec![false],
    };
    scene.chain.ok(1, at, &share);
    let mut same_hour = scene.denied(702);
    same_hour.resource = another;
    scene.report(&same_hour);
}

#[test]
fn report_counts_at_once_if_the_target_signs_it() {
    let mut scene = Scene::new();
    let d = scene.denied(1);
    let call = scene.call(&d, 2, Some(1));
    let at = scene.at();
    let outcome = scene.chain.ok(9, at, &call);
    let event = outcome.event::<Misdeed>();
    assert_eq!(
        (event.target, event.origin, event.fed, event.resource),
        (org(1), org(3), scene.fed, scene.sensor)
    );
    let report = outcome.event::<Reported>().report;
    assert_eq!(
        (scene.state(report), scene.misdeeds()),
        (ReportState::Counted, (1, 1))
    );
    let receipt = scene.receipt(2, d.request, scene.chain.time);
    scene
        .chain
        .fails::<TooLate>(1, at, &rebutCall { report, receipt });
    scene.chain.warp(2 * DAY);
    scene
        .chain
        .fails::<TooLate>(9, at, &settleReportCall { report });
}

#[test]
fn report_counts_once_after_a_day_without_rebuttal() {
    let mut scene = Scene::new();
    let at = scene.at();
    let trust = scene.chain.at.trust_and_reputation;
    let reputation = TrustAndReputation::platformReputationCall { org: org(1) };
    let before = scene.chain.view(trust, &reputation).value;
    let mut reports = Vec::new();
    for number in 0..10 {
        reports.push(scene.report(&scene.denied(number)).0);
        scene.chain.warp(3_600);
    }
    let last = *reports.last().expect("ten reports");
    let settle = |report| settleReportCall { report };
    scene.chain.fails::<TooEarly>(9, at, &settle(last));
    scene.chain.warp(DAY - 3_600);
    scene.chain.fails::<TooEarly>(9, at, &settle(last));
    scene.chain.warp(1);
    for (count, report) in (1..).zip(&reports) {
        scene.chain.ok(9, at, &settle(*report)).event::<Misdeed>();
        scene.chain.fails::<TooLate>(9, at, &settle(*report));
        assert_eq!(scene.misdeeds(), (count, count));
    }
    scene.chain.fails::<Unknown>(9, at, &settle(U256::ONE));
    let after = scene.chain.view(trust, &reputation).value;
    assert!(
        after < before,
        "{after} after {before}: ten misdeeds are a step of AD"
    );
}

#[test]
fn settled_report_follows_the_target_of_then() {
    let mut scene = Scene::new();
    let at = scene.at();
    let (report, _) = scene.report(&scene.denied(1));
    let registry = scene.chain.at.sensor_registry;
    let offer = SensorRegistry::transferCall {
        id: scene.sensor,
        toOrg: org(5),
    };
    scene.chain.ok(1, registry, &offer);
    scene.chain.ok(
        5,
        registry,
        &SensorRegistry::acceptCall { id: scene.sensor },
    );
    scene
        .chain
        .ok(1, at, &leaveFederationCall { fed: scene.fed });
    scene.chain.warp(DAY + 1);
    let counted = scene.chain.ok(9, at, &settleReportCall { report });
    assert_eq!(counted.event::<Misdeed>().target, org(1));
    assert_eq!(scene.misdeeds(), (1, 1));
}

#[test]
fn target_rebuts_with_the_clients_receipt() {
    let mut scene = Scene::new();
    let at = scene.at();
    let d = scene.denied(1);
    let (report, _) = scene.report(&d);
    let now = scene.chain.time;
    let rebut = |receipt: Bytes| rebutCall { report, receipt };
    let wrong = [
        scene.receipt(4, d.request, now),
        scene.receipt(2, keccak256("other request"), now),
        scene.receipt(2, d.request, now + 1),
        Bytes::new(),
        Bytes::from(vec![0; 6]),
        scene.receipt(2, d.request, now).slice(..70),
    ];
    for receipt in wrong {
        scene.chain.fails::<BadRequest>(1, at, &rebut(receipt));
    }
    let right = rebut(scene.receipt(2, d.request, now - 5));
    scene.chain.fails::<NotOwner>(4, at, &right);
    scene.chain.fails::<NotOwner>(2, at, &right);
    let unknown = rebutCall {
        report: U256::from(3),
        receipt: right.receipt.clone(),
    };
    scene.chain.fails::<Unknown>(1, at, &unknown);
    let mut late = scene.chain.clone();
    late.warp(DAY + 1);
    late.fails::<TooLate>(1, at, &right);
    scene.chain.warp(DAY);
    let rebutted = scene.chain.ok(1, at, &right).event::<Rebutted>();
    assert_eq!(rebutted.report, report);
    assert_eq!(scene.state(report), ReportState::Rebutted);
    scene.chain.fails::<TooLate>(1, at, &right);
    scene.chain.warp(1);
    scene
        .chain
        .fails::<TooLate>(9, at, &settleReportCall { report });
    assert_eq!(scene.misdeeds(), (0, 0));
}

#[test]
fn misdeeds_are_the_sum_over_origins_and_federations() {
    let mut scene = Scene::new();
    let at = scene.at();
    let second = scene.chain.federate(1, &[2, 4], "second");
    let share = shareCall {
        fed: second,
        resources: vec![scene.sensor],
        bartered: vec![false],
    };
    scene.chain.ok(1, at, &share);
    let feds = [(scene.fed, 3), (scene.fed, 4), (second, 4)];
    for (number, (fed, origin)) in (0..).zip(feds.iter().chain(&feds[..1])) {
        let mut d = scene.denied(number);
        (d.fed, d.originOrg) = (*fed, org(*origin));
        let call = scene.call(&d, 2, Some(1));
        scene.chain.ok(9, at, &call);
        scene.chain.warp(3_600);
    }
    let by = |(fed, origin): (B256, usize)| {
        let call = misdeedsByCall {
            target: org(1),
            origin: org(origin),
            fed,
        };
        scene.chain.view(at, &call)
    };
    assert_eq!(feds.map(by), [2, 1, 1]);
    assert_eq!(scene.misdeeds().0, 4);
}

/// The slot of FederationRegistry that counts organisations (lowest 24 bits) and federations (next 24).
fn counters() -> U256 {
    let at = "0x46c9786542ca2dac1a827057447852785ea77370b378d9f15686253165976700";
    at.parse::<U256>().expect("a number") + U256::from(6)
}

#[test]
fn report_keeps_what_it_is_about_however_many_federations_there_are() {
    // Up to the last number that has its place in a report's first slot, and beyond.
    for others in [0_u64, (1 << 18) - 2, (1 << 18) - 1, (1 << 24) - 2] {
        let mut chain = Chain::new();
        let at = chain.at.federation_registry;
        chain.put_word(at, counters(), U256::from(others << 24));
        let mut scene = Scene::on(chain);
        let pending = scene.denied(1);
        let (report, _) = scene.report(&pending);
        let seen = scene.chain.view(at, &getReportCall { report });
        let expected = IFederationRegistry::ReportView {
            fed: scene.fed,
            resource: pending.resource,
            targetOrg: org(1),
            originOrg: org(3),
            request: pending.request,
            client: pending.client,
            time: seconds(scene.chain.time),
            state: ReportState::Pending.into(),
        };
        assert_eq!(seen, expected);
        scene.chain.warp(DAY + 1);
        let settle = settleReportCall { report };
        let event = scene.chain.ok(9, at, &settle).event::<Misdeed>();
        assert_eq!((event.fed, event.origin), (scene.fed, org(3)));
        assert_eq!(scene.misdeeds(), (1, 1));
        assert_eq!(scene.state(report), ReportState::Counted);

        let agreed = scene.call(&scene.denied(2), 2, Some(1));
        let outcome = scene.chain.ok(9, at, &agreed);
        assert_eq!(outcome.event::<Misdeed>().fed, scene.fed);
        assert_eq!(scene.misdeeds(), (2, 2));
    }
}

#[test]
fn more_organisations_than_a_report_can_name_do_not_join() {
    let mut chain = Chain::new();
    let at = chain.at.federation_registry;
    // Two more have a number.
    chain.put_word(at, counters(), U256::from((1_u64 << 22) - 3));
    let fed = chain.federate(1, &[2], "fed");
    let open = createCall {
        id: keccak256("open"),
        name: B256::ZERO,
        open: true,
        quorumBps: 0,
        infoModel: B256::ZERO,
        c: Vec::new(),
        invites: Vec::new(),
    };
    chain.ok(1, at, &open);
    let accept = acceptCall {
        fed: open.id,
        version: 1,
    };
    chain.fails::<OutOfRange>(3, at, &accept);
    chain.ok(2, at, &accept);
    assert!(chain.fed_member(fed, 2));
}

#[test]
fn members_that_lapsed_report_and_are_reported_no_more() {
    let mut scene = Scene::new();
    let at = scene.at();
    let fed = scene.fed;
    let list = rules(&[availability(9_000, 1)]);
    scene
        .chain
        .fed_decide(&[1, 2, 3], fed, FederationBallotKind::Constraints, list);
    for member in [1, 2] {
        scene.chain.ok(member, at, &acceptCall { fed, version: 2 });
    }
    scene.chain.warp(7 * DAY + 1);
    let call = scene.call(&scene.denied(1), 2, None);
    // Organisation 3, the origin, let it lapse.
    scene.chain.fails::<NotMember>(9, at, &call);
    let mut named_by_target = scene.denied(1);
    named_by_target.originOrg = org(1);
    scene.report(&named_by_target);
}

#[test]
fn contract_wallets_sign_reports_receipts_and_agreement() {
    let mut scene = Scene::new();
    let at = scene.at();
    let d = scene.denied(1);
    let domain = scene.chain.domain("FederationRegistry");
    let client = scene.chain.account(2);
    let call = |d: &eip712::Denied, target_sig: Bytes| reportDeniedCall {
        d: fields(d),
        clientSig: Bytes::from_static(b"a wallet's own form"),
        targetSig: target_sig,
    };
    // The client's account is a wallet that said this and nothing else.
    scene
        .chain
        .put_code(client, wallet_code(d.eip712_signing_hash(&domain)));
    let mut other = d.clone();
    other.request = keccak256("other request");
    scene
        .chain
        .fails::<BadRequest>(9, at, &call(&other, Bytes::new()));
    let outcome = scene.chain.ok(9, at, &call(&d, Bytes::new()));
    let report = outcome.event::<Reported>().report;
    let time = seconds(scene.chain.time);
    let message = eip712::Receipt {
        request: d.request,
        time,
    };
    let rebut = rebutCall {
        report,
        receipt: eip712::receipt(time, b"a wallet's own form"),
    };
    scene.chain.fails::<BadRequest>(1, at, &rebut);
    scene
        .chain
        .put_code(client, wallet_code(message.eip712_signing_hash(&domain)));
    scene.chain.ok(1, at, &rebut);
    // And so is the target's.
    scene.chain.warp(3_600);
    let d = scene.denied(2);
    let digest = d.eip712_signing_hash(&domain);
    let target = scene.chain.account(1);
    scene.chain.put_code(client, wallet_code(digest));
    scene.chain.put_code(target, wallet_code(B256::ZERO));
    let agreed = call(&d, eip712::packed(target, b"yes"));
    scene.chain.fails::<BadRequest>(9, at, &agreed);
    scene.chain.put_code(target, wallet_code(digest));
    scene.chain.ok(9, at, &agreed).event::<Misdeed>();
}

/// What is wrong with a signature.
#[derive(Clone, Debug)]
enum Tampering {
    Chain(u64),
    Contract([u8; 20]),
    Bit(usize),
    Length(usize),
    /// The other s of the same signature (EIP-2).
    Malleable,
    /// A field is not what was signed.
    Field(usize),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    prop_oneof![
        any::<u64>()
            .prop_filter("another chain", |id| *id != CHAIN_ID)
            .prop_map(Tampering::Chain),
        any::<[u8; 20]>().prop_map(Tampering::Contract),
        (0_usize..520).prop_map(Tampering::Bit),
        (0_usize..65).prop_map(Tampering::Length),
        Just(Tampering::Malleable),
        (0_usize..8).prop_map(Tampering::Field),
    ]
}

/// A message signed with one thing wrong.
fn tampered(
    scene: &Scene,
    signer: usize,
    message: &impl alloy_sol_types::SolStruct,
    how: &Tampering,
) -> Bytes {
    let mut domain = scene.chain.domain("FederationRegistry");
    match how {
        Tampering::Chain(id) => domain.chain_id = Some(U256::from(*id)),
        Tampering::Contract(address) => domain.verifying_contract = Some((*address).into()),
        _ => {}
    }
    let mut bytes = sign(scene.chain.key(signer), &domain, message).to_vec();
    match how {
        Tampering::Bit(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
        Tampering::Length(length) => bytes.truncate(*length),
        Tampering::Malleable => {
            let order = alloy_primitives::uint!(
                0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256
            );
            let s = order - U256::from_be_slice(&bytes[32..64]);
            bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
            bytes[64] ^= 27 ^ 28;
        }
        _ => {}
    }
    bytes.into()
}

/// The report as somebody changes it who has only the signature.
fn with_field(d: &eip712::Denied, field: usize) -> eip712::Denied {
    let mut d = d.clone();
    match field {
        0 => d.fed = keccak256("second"),
        1 => d.resource = keccak256("other"),
        2 => d.targetOrg = org(4),
        3 => d.originOrg = org(4),
        4 => d.request = keccak256("other request"),
        5 => d.time -= seconds(1),
        6 => d.number += 1,
        _ => d.client = key("account 4").address(),
    }
    d
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn tampered_report_or_agreement_is_refused(how in tampering(), number in any::<u64>()) {
        let mut scene = Scene::new();
        let at = scene.at();
        scene.chain.federate(1, &[2, 3, 4], "second");
        scene.chain.register(1, "other");
        for fed in [scene.fed, keccak256("second")] {
            let share = shareCall {
                fed,
                resources: vec![scene.sensor, keccak256("other")],
                bartered: vec![false; 2],
            };
            scene.chain.ok(1, at, &share);
        }
        let d = scene.denied(number);
        let sound = scene.call(&d, 2, Some(1));
        let mut cases = vec![
            reportDeniedCall { clientSig: tampered(&scene, 2, &d, &how), ..sound.clone() },
            reportDeniedCall {
                targetSig: eip712::packed(scene.chain.account(1), &tampered(&scene, 1, &d, &how)),
                ..sound.clone()
            },
        ];
        if let Tampering::Field(field) = how {
            if field == 6 && number == u64::MAX {
                return Ok(());
            }
            let changed = reportDeniedCall { d: fields(&with_field(&d, field)), ..sound.clone() };
            cases = vec![changed.clone(), reportDeniedCall { targetSig: Bytes::new(), ..changed }];
        }
        for call in cases {
            let outcome = scene.chain.call(scene.chain.account(9), at, &call);
            prop_assert!(!outcome.success);
        }
        prop_assert_eq!(scene.misdeeds(), (0, 0));
        // The client's own words are taken, once.
        scene.chain.ok(9, at, &sound);
        scene.chain.warp(3_600);
        scene.chain.fails::<BadRequest>(9, at, &sound);
        prop_assert_eq!(scene.misdeeds(), (1, 1));
    }

    #[test]
    fn tampered_receipt_rebuts_nothing(how in tampering(), age in 0_u64..100_000) {
        let mut scene = Scene::new();
        let at = scene.at();
        let d = scene.denied(1);
        let (report, _) = scene.report(&d);
        let time = seconds(scene.chain.time.saturating_sub(age).max(GENESIS_TIME));
        let message = eip712::Receipt { request: d.request, time };
        let said = match how {
            Tampering::Field(field) if field % 2 == 0 => time + seconds(1),
            _ => time,
        };
        let signed = match how {
            Tampering::Field(field) if field % 2 == 1 => {
                eip712::Receipt { request: keccak256("other request"), time }
            }
            _ => message.clone(),
        };
        let wrong = rebutCall {
            report,
            receipt: eip712::receipt(said, &tampered(&scene, 2, &signed, &how)),
        };
        scene.chain.fails::<BadRequest>(1, at, &wrong);
        // A receipt is no report and a report no receipt.
        let receipt = eip712::receipt(time, &scene.chain.sign(2, "FederationRegistry", &d));
        scene.chain.fails::<BadRequest>(1, at, &rebutCall { report, receipt });
        let signature = scene.chain.sign(2, "FederationRegistry", &message);
        let right = rebutCall { report, receipt: eip712::receipt(time, &signature) };
        scene.chain.ok(1, at, &right);
    }
}
