//! SensorRegistry and DataAnchor under nine people of three organisations: resources change keys, status and owner,
//! devices anchor or lie, time jumps, the registry is upgraded. After each action the invariants of the
//! specification's sections 4 and 5 must hold.

use crate::{
    actors::{Module, PEOPLE, home, three_organisations, upgrade},
    harness::{Chain, GENESIS_TIME, key, org, seconds, sign},
};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{
    data_anchor::{
        DataAnchor::{Anchored, Tombstoned, anchorCall, statsCall, tombstoneCall, verifyCall},
        IDataAnchor::Batch,
    },
    eip712,
    sensor_registry::{
        ISensorRegistry::Resource,
        SensorRegistry::{
            Moved, acceptCall, getCall, registerCall, rotateKeyCall, setStatusCall, transferCall,
            updateCall,
        },
    },
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const RESOURCES: usize = 4;
/// Device keys; more than resources, so that keys are fought over.
const DEVICES: usize = 5;
const ORGS: usize = 3;

#[derive(Clone, Debug)]
enum Action {
    Register {
        id: usize,
        device: usize,
        is_honest: bool,
    },
    Rotate {
        id: usize,
        device: usize,
        is_honest: bool,
    },
    Update {
        id: usize,
        period: u32,
    },
    Status {
        id: usize,
        status: u8,
    },
    Offer {
        id: usize,
        to: usize,
    },
    Accept {
        id: usize,
    },
    Anchor {
        id: usize,
        device: usize,
        from: u64,
        length: u64,
        count: u32,
        skips: u64,
    },
    Tombstone {
        id: usize,
        seq: u64,
        leaf: u8,
    },
    Upgrade,
    Wait {
        seconds: u64,
    },
}

fn action() -> impl Strategy<Value = (usize, Action)> {
    let (id, device) = (0..RESOURCES, 0..DEVICES);
    let honest = || prop::bool::weighted(0.9);
    let status = prop_oneof![0_u8..5, 128_u8..132];
    let kind = prop_oneof![
        6 => (id.clone(), device.clone(), honest())
            .prop_map(|(id, device, is_honest)| Action::Register { id, device, is_honest }),
        3 => (id.clone(), device.clone(), honest())
            .prop_map(|(id, device, is_honest)| Action::Rotate { id, device, is_honest }),
        1 => (id.clone(), 0_u32..200).prop_map(|(id, period)| Action::Update { id, period }),
        3 => (id.clone(), status).prop_map(|(id, status)| Action::Status { id, status }),
        3 => (id.clone(), 0..ORGS).prop_map(|(id, to)| Action::Offer { id, to }),
        3 => id.clone().prop_map(|id| Action::Accept { id }),
        8 => (id.clone(), device, 0_u64..4_000, 0_u64..4_000, 0_u32..40, 0_u64..8).prop_map(
            |(id, device, from, length, count, skips)| {
                // Mostly the next number.
                let skips = skips.saturating_sub(5);
                Action::Anchor { id, device, from, length, count, skips }
            }
        ),
        3 => (id, 0_u64..4, 0_u8..3).prop_map(|(id, seq, leaf)| Action::Tombstone { id, seq, leaf }),
        1 => Just(Action::Upgrade),
        3 => prop_oneof![Just(1_u64), Just(600), Just(5_000)]
            .prop_map(|seconds| Action::Wait { seconds }),
    ];
    (0..=PEOPLE, kind)
}

/// What the events say, kept beside the contracts.
#[derive(Default)]
struct Ledger {
    /// Owner and offer of each resource.
    owners: BTreeMap<usize, (B256, B256)>,
    batches: BTreeMap<usize, Vec<Anchored>>,
    tombstones: BTreeSet<(usize, u64, B256)>,
    reached: BTreeSet<&'static str>,
}

struct Field {
    chain: Chain,
    ledger: Ledger,
}

fn id_of(index: usize) -> B256 {
    keccak256(format!("resource {index}"))
}

fn device(index: usize) -> String {
    format!("device {index}")
}

fn leaf(index: u8) -> B256 {
    keccak256([index])
}

/// Root over leaf 0 and leaf 1.
fn root() -> B256 {
    let (a, b) = (leaf(0), leaf(1));
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    keccak256([low.0, high.0].concat())
}

impl Field {
    fn new() -> Self {
        Self {
            chain: three_organisations(),
            ledger: Ledger::default(),
        }
    }

    fn resource(&self, id: usize) -> Resource {
        let call = getCall { id: id_of(id) };
        self.chain.view(self.chain.at.sensor_registry, &call)
    }

    /// The admin whose turn it is, or from the fourth actor on just that actor, mostly a wrong one.
    fn sender(&self, actor: usize, action: &Action) -> usize {
        let owner = |id: &usize| self.ledger.owners.get(id).copied().unwrap_or_default();
        let turn = match action {
            Action::Rotate { id, .. }
            | Action::Update { id, .. }
            | Action::Status { id, .. }
            | Action::Offer { id, .. }
            | Action::Tombstone { id, .. } => owner(id).0,
            Action::Accept { id } => owner(id).1,
            _ => return actor,
        };
        let admin = (0..ORGS).find(|index| org(*index) == turn);
        admin.filter(|_| actor < 4).unwrap_or(actor)
    }

    fn run(&mut self, actor: usize, action: &Action) {
        let actor = self.sender(actor, action);
        match *action {
            Action::Register {
                id,
                device,
                is_honest,
            } => self.register(actor, id, device, is_honest),
            Action::Rotate {
                id,
                device,
                is_honest,
            } => self.rotate(actor, id, device, is_honest),
            Action::Update { id, period } => {
                let call = updateCall {
                    id: id_of(id),
                    period,
                    cell: 1,
                    meta: B256::ZERO,
                };
                self.send(actor, &call, "update");
            }
            Action::Status { id, status } => {
                let call = setStatusCall {
                    id: id_of(id),
                    status,
                };
                self.status(actor, id, &call);
            }
            Action::Offer { id, to } => {
                let call = transferCall {
                    id: id_of(id),
                    toOrg: org(to),
                };
                if self.send(actor, &call, "offer") {
                    self.ledger.owners.entry(id).or_default().1 = org(to);
                }
            }
            Action::Accept { id } => self.accept(actor, id),
            Action::Anchor {
                id,
                device,
                from,
                length,
                count,
                skips,
            } => self.anchor(id, device, from, length, count, skips),
            Action::Tombstone { id, seq, leaf } => self.tombstone(actor, id, seq, leaf),
            Action::Upgrade => upgrade(&mut self.chain, Module::Sensors),
            Action::Wait { seconds } => self.chain.warp(seconds),
        }
    }

    fn send(&mut self, actor: usize, call: &impl SolCall, name: &'static str) -> bool {
        let from = self.chain.account(actor);
        let done = self.chain.call(from, self.chain.at.sensor_registry, call);
        if done.success {
            self.ledger.reached.insert(name);
        }
        done.success
    }

    /// Signature of a device, or of another one that lies.
    fn proof(
        &self,
        by: usize,
        is_honest: bool,
        message: &impl alloy_sol_types::SolStruct,
    ) -> Bytes {
        let by = if is_honest { by } else { by + 1 };
        sign(
            &key(&device(by)),
            &self.chain.domain("SensorRegistry"),
            message,
        )
    }

    fn register(&mut self, actor: usize, id: usize, device: usize, is_honest: bool) {
        let deadline = self.chain.deadline();
        let mut r = self.chain.resource(actor, &key(&self::device(device)));
        let home = home(actor);
        r.org = home;
        let message = eip712::Registration {
            id: id_of(id),
            org: home,
            deadline,
        };
        let call = registerCall {
            id: id_of(id),
            r,
            deadline,
            deviceSig: self.proof(device, is_honest, &message),
        };
        if self.send(actor, &call, "register") {
            assert!(is_honest, "a device was registered without its proof");
            let old = self.ledger.owners.insert(id, (home, B256::ZERO));
            assert!(old.is_none(), "an id was registered twice");
        }
    }

    fn rotate(&mut self, actor: usize, id: usize, device: usize, is_honest: bool) {
        let deadline = self.chain.deadline();
        let message = eip712::KeyRotation {
            id: id_of(id),
            deadline,
        };
        let call = rotateKeyCall {
            id: id_of(id),
            signer: key(&self::device(device)).address().to_vec().into(),
            deadline,
            sig: self.proof(device, is_honest, &message),
        };
        if self.send(actor, &call, "rotate") {
            assert!(is_honest, "a key rotated without its proof");
        }
    }

    fn status(&mut self, actor: usize, id: usize, call: &setStatusCall) {
        let before = self.resource(id);
        if !self.send(actor, call, "status") {
            return;
        }
        let now = self.resource(id).status;
        let is_flagging = before.status ^ now == 128;
        // 0 is Administrator, 8 Moderator; the rest own what they change.
        assert!(!is_flagging || actor == 0 || actor == 8, "{actor} flagged");
        assert!(
            is_flagging || before.org == home(actor),
            "{actor} changed another's"
        );
        assert!(
            before.status & 127 != 3 || now & 127 == 3,
            "retired is final"
        );
        if now & 127 == 3 {
            self.ledger.reached.insert("retired");
        }
    }

    /// Org changes only with both sides: the owner offered to the very organisation that accepts.
    fn accept(&mut self, actor: usize, id: usize) {
        let from = self.chain.account(actor);
        let call = acceptCall { id: id_of(id) };
        let outcome = self.chain.call(from, self.chain.at.sensor_registry, &call);
        if !outcome.success {
            return;
        }
        let event = outcome.event::<Moved>();
        let (owner, offer) = self.ledger.owners[&id];
        assert_eq!((event.org, event.toOrg), (owner, offer));
        assert_eq!(offer, home(actor), "the new owner accepted itself");
        self.ledger.owners.insert(id, (offer, B256::ZERO));
        self.ledger.reached.insert("moved");
    }

    fn anchor(&mut self, id: usize, device: usize, from: u64, length: u64, count: u32, skips: u64) {
        let at = self.chain.at.data_anchor;
        let source = id_of(id);
        let before = self.resource(id);
        // Mostly the device itself, if it is one of these.
        let is_its =
            |index: &usize| key(&self::device(*index)).address().to_vec() == before.signer.to_vec();
        let itself = (0..DEVICES)
            .find(is_its)
            .filter(|_| !length.is_multiple_of(3));
        let device = itself.unwrap_or(device);
        let seq = self.chain.view(at, &statsCall { source }).seq + 1 + skips;
        let b = Batch {
            root: root(),
            from: seconds(GENESIS_TIME + from),
            to: seconds(GENESIS_TIME + from + length),
            count,
        };
        let message = eip712::Anchoring {
            source,
            seq,
            root: b.root,
            from: b.from,
            to: b.to,
            count,
        };
        let sig = sign(
            &key(&self::device(device)),
            &self.chain.domain("DataAnchor"),
            &message,
        );
        let outcome = self
            .chain
            .call(self.chain.account(9), at, &anchorCall { source, b, sig });
        if !outcome.success {
            return;
        }
        assert_eq!(before.status, 1, "only what is live anchors");
        assert_eq!(skips, 0, "a number was skipped");
        assert_eq!(before.signer, key(&self::device(device)).address().to_vec());
        let event = outcome.event::<Anchored>();
        assert_eq!(event.source, source);
        self.ledger.batches.entry(id).or_default().push(event);
        self.ledger.reached.insert("anchor");
    }

    fn tombstone(&mut self, actor: usize, id: usize, seq: u64, leaf: u8) {
        let call = tombstoneCall {
            source: id_of(id),
            seq,
            leaves: vec![self::leaf(leaf)],
            reason: B256::ZERO,
        };
        let from = self.chain.account(actor);
        let outcome = self.chain.call(from, self.chain.at.data_anchor, &call);
        if !outcome.success {
            return;
        }
        assert_eq!(self.ledger.owners[&id].0, home(actor));
        let event = outcome.event::<Tombstoned>();
        self.ledger.tombstones.insert((id, event.seq, event.leaf));
        self.ledger.reached.insert("tombstone");
    }

    fn check(&self) {
        let mut signers = BTreeSet::new();
        for id in 0..RESOURCES {
            let r = self.resource(id);
            let owner = self.ledger.owners.get(&id).map(|(owner, _)| *owner);
            assert_eq!(r.org, owner.unwrap_or_default(), "owner of resource {id}");
            if r.status != 0 && r.status & 127 != 3 {
                assert!(signers.insert(r.signer), "one key, two resources");
                assert!(r.period > 0, "a sensor without a period");
            }
            self.check_anchors(id);
        }
    }

    fn check_anchors(&self, id: usize) {
        let at = self.chain.at.data_anchor;
        let source = id_of(id);
        let found = self.chain.view(at, &statsCall { source });
        let batches = self.ledger.batches.get(&id).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.seq, batches.len() as u64, "seq has no gap");
        let (mut head, mut last) = (B256::ZERO, 0);
        for (seq, batch) in (1_u64..).zip(batches) {
            assert_eq!(batch.seq, seq);
            let (from, to): (u64, u64) = (batch.from.to(), batch.to.to());
            assert!(from <= to && to <= self.chain.time && last <= to);
            last = to;
            let fields = (batch.root, from, to, batch.count);
            head = keccak256((head, fields.0, fields.1, fields.2, fields.3).abi_encode());
        }
        assert_eq!(found.head, head, "head is the fold of the events");
        assert_eq!(found.last.to::<u64>(), last);
        let length = found.last.to::<u64>() - found.first.to::<u64>();
        assert!(found.covered <= length, "covered more than there was");
        self.check_proofs(id, found.seq);
    }

    /// Roots never change and tombstones only grow: every leaf of every batch says what the events say.
    fn check_proofs(&self, id: usize, count: u64) {
        for seq in 0..=count + 1 {
            for (leaf, sibling) in [(0, 1), (1, 0)] {
                let (leaf, sibling) = (self::leaf(leaf), self::leaf(sibling));
                let call = verifyCall {
                    source: id_of(id),
                    seq,
                    leaf,
                    proof: vec![sibling],
                };
                let found = self.chain.view(self.chain.at.data_anchor, &call);
                let is_erased = self.ledger.tombstones.contains(&(id, seq, leaf));
                let is_there = (1..=count).contains(&seq);
                let expected = u8::from(is_there) + u8::from(is_there && is_erased);
                assert_eq!(found, expected, "resource {id}, batch {seq}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn resources_and_anchors_keep_their_rules_after_any_history(
        actions in proptest::collection::vec(action(), 1..60),
    ) {
        let mut field = Field::new();
        for (actor, action) in &actions {
            field.run(*actor, action);
            field.check();
        }
    }
}

/// The property above says little if histories never get anywhere.
#[test]
fn random_histories_reach_every_action_of_a_sensor() {
    let mut runner = TestRunner::deterministic();
    let histories = proptest::collection::vec(action(), 100);
    let mut reached = BTreeSet::new();
    for _ in 0..16 {
        let mut field = Field::new();
        for (actor, action) in &histories.new_tree(&mut runner).unwrap().current() {
            field.run(*actor, action);
        }
        reached.extend(field.ledger.reached);
    }
    let all = [
        "register",
        "rotate",
        "update",
        "offer",
        "status",
        "retired",
        "moved",
        "anchor",
        "tombstone",
    ];
    for name in all {
        assert!(reached.contains(name), "{name} was never reached");
    }
}
