//! SealedDelivery: each way an action is refused, then each way it succeeds, with the money checked.

use crate::harness::{Chain, TOKEN};
use alloy_primitives::{B256, U256, keccak256};
use medina_contracts::{
    data_marketplace::{DataMarketplace, IDataMarketplace::Listing},
    sealed_delivery::SealedDelivery::*,
    trust_and_reputation::TrustAndReputation::platformReputationCall,
    values::OrderState,
};
use medina_sdk::sealed::{Dataset, Fault, Opened, Package, key_hash};

pub(crate) const PRICE: u128 = 10 * TOKEN;
pub(crate) const SELLER: usize = 1;
pub(crate) const BUYER: usize = 2;
/// Seconds to deliver in, and the buyer's window; see `Chain::listing`.
pub(crate) const DELIVER_IN: u64 = 3_600;
pub(crate) const WINDOW: u64 = 7_200;

pub(crate) fn key() -> B256 {
    keccak256("key of one order")
}

/// Four chunks, the last with three words.
pub(crate) fn dataset() -> Dataset {
    let mut salt = 0_u8;
    let salts = || {
        salt += 1;
        Ok(keccak256([salt]))
    };
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(31 * 32 * 3 + 32).collect();
    Dataset::with_salts(&data, salts).unwrap()
}

pub(crate) fn listing(chain: &Chain, subject: B256) -> Listing {
    let mut listing = chain.listing(SELLER, subject, PRICE);
    listing.kind = 1;
    listing.judge = chain.at.sealed_delivery;
    listing
}

/// A dataset that is bought, and what the seller sends for it.
pub(crate) struct Scene {
    pub(crate) chain: Chain,
    pub(crate) order: U256,
    pub(crate) package: Package,
}

impl Scene {
    pub(crate) fn bought() -> Self {
        let mut chain = Chain::new();
        let plain = dataset();
        let listing = listing(&chain, plain.root().unwrap());
        let id = chain.list(SELLER, listing);
        let order = chain.buy(BUYER, id, PRICE);
        let package = plain.seal(key());
        Self {
            chain,
            order,
            package,
        }
    }

    pub(crate) fn offer(&self) -> offerCall {
        offerCall {
            order: self.order,
            cipherRoot: self.package.root().unwrap(),
            keyHash: key_hash(key()),
        }
    }

    pub(crate) fn offered() -> Self {
        let mut scene = Self::bought();
        let call = scene.offer();
        scene.ok(SELLER, &call);
        scene
    }

    /// With one wrong bit in chunk 2.
    fn offered_wrong() -> Self {
        let mut scene = Self::bought();
        scene.package.chunks[2][7].0[0] ^= 1;
        let call = scene.offer();
        scene.ok(SELLER, &call);
        scene
    }

    fn accept(mut self) -> Self {
        let order = self.order;
        self.ok(BUYER, &acceptCall { order });
        self
    }

    fn reveal(mut self) -> Self {
        let order = self.order;
        self.ok(SELLER, &revealCall { order, key: key() });
        self
    }

    pub(crate) fn ok(&mut self, from: usize, call: &impl alloy_sol_types::SolCall) {
        self.chain.ok(from, self.chain.at.sealed_delivery, call);
    }

    #[track_caller]
    fn fails<E: alloy_sol_types::SolError>(
        &mut self,
        from: usize,
        call: &impl alloy_sol_types::SolCall,
    ) {
        let at = self.chain.at.sealed_delivery;
        self.chain.fails::<E>(from, at, call);
    }

    pub(crate) fn state(&self) -> OrderState {
        self.chain.order(self.order).state.try_into().unwrap()
    }

    fn fault(&self) -> Fault {
        match self.package.open(key(), key_hash(key())).unwrap() {
            Opened::Faulty(fault) => fault,
            Opened::Sound(_) => panic!("nothing is wrong"),
        }
    }

    fn credits(&self) -> (u128, u128) {
        let credit = |index| self.chain.credit(self.chain.account(index));
        (credit(SELLER), credit(BUYER))
    }

    fn reputation(&self) -> u16 {
        let call = platformReputationCall {
            org: crate::harness::org(SELLER),
        };
        let trust = self.chain.at.trust_and_reputation;
        self.chain.view(trust, &call).value
    }
}

/// The seller's part after the market's one percent.
const INCOME: u128 = PRICE - PRICE / 100;

#[test]
fn offer_is_the_sellers_once_and_for_what_is_judged_here() {
    let mut scene = Scene::bought();
    let call = scene.offer();
    let unknown = offerCall {
        order: U256::from(99),
        ..call.clone()
    };
    scene.fails::<WrongState>(SELLER, &unknown);
    scene.fails::<NotSeller>(BUYER, &call);
    scene.fails::<NotSeller>(9, &call);
    let no_key = offerCall {
        keyHash: B256::ZERO,
        ..call.clone()
    };
    scene.fails::<BadKey>(SELLER, &no_key);
    let no_root = offerCall {
        cipherRoot: B256::ZERO,
        ..call.clone()
    };
    scene.fails::<BadProof>(SELLER, &no_root);
    let mut late = scene.chain.clone();
    late.warp(DELIVER_IN + 1);
    late.fails::<TooLate>(SELLER, late.at.sealed_delivery, &call);
    scene.chain.warp(DELIVER_IN);
    let at = scene.chain.at.sealed_delivery;
    let event = scene.chain.ok(SELLER, at, &call).event::<Offered>();
    assert_eq!(
        (event.order, event.cipherRoot, event.keyHash),
        (scene.order, call.cipherRoot, call.keyHash)
    );
    scene.fails::<WrongState>(SELLER, &call);
}

#[test]
fn offer_needs_a_dataset_listed_with_this_judge() {
    let mut scene = Scene::bought();
    let sensor = scene.chain.register(SELLER, "sensor");
    let root = dataset().root().unwrap();
    let mut stream = listing(&scene.chain, sensor);
    stream.kind = 0;
    let mut unjudged = listing(&scene.chain, root);
    unjudged.judge = alloy_primitives::Address::ZERO;
    for listing in [stream, unjudged] {
        let id = scene.chain.list(SELLER, listing);
        let order = scene.chain.buy(BUYER, id, PRICE);
        let call = offerCall {
            order,
            ..scene.offer()
        };
        scene.fails::<WrongState>(SELLER, &call);
    }
}

#[test]
fn payee_outside_the_organisation_may_offer_and_reveal() {
    let mut scene = Scene::bought();
    let mut listing = listing(&scene.chain, dataset().root().unwrap());
    listing.payee = scene.chain.account(5);
    let id = scene.chain.list(SELLER, listing);
    scene.order = scene.chain.buy(BUYER, id, PRICE);
    let call = scene.offer();
    scene.ok(5, &call);
    let order = scene.order;
    scene.ok(BUYER, &acceptCall { order });
    scene.ok(5, &revealCall { order, key: key() });
    assert_eq!(scene.state(), OrderState::Delivered);
}

#[test]
fn acceptance_is_the_buyers_once_and_in_time() {
    let mut early = Scene::bought();
    let call = acceptCall { order: early.order };
    early.fails::<WrongState>(BUYER, &call);
    let mut scene = Scene::offered();
    scene.fails::<NotBuyer>(SELLER, &call);
    scene.fails::<NotBuyer>(9, &call);
    let mut late = scene.chain.clone();
    late.warp(DELIVER_IN + 1);
    late.fails::<TooLate>(BUYER, late.at.sealed_delivery, &call);
    scene.chain.warp(DELIVER_IN);
    let at = scene.chain.at.sealed_delivery;
    let event = scene.chain.ok(BUYER, at, &call).event::<Accepted>();
    assert_eq!(event.order, scene.order);
    scene.fails::<WrongState>(BUYER, &call);
}

#[test]
fn key_is_revealed_by_the_seller_after_acceptance_and_in_time() {
    let mut offered = Scene::offered();
    let call = revealCall {
        order: offered.order,
        key: key(),
    };
    offered.fails::<WrongState>(SELLER, &call);
    let mut scene = offered.accept();
    scene.fails::<NotSeller>(BUYER, &call);
    let wrong = revealCall {
        key: keccak256("another key"),
        ..call.clone()
    };
    scene.fails::<BadKey>(SELLER, &wrong);
    let mut late = scene.chain.clone();
    late.warp(DELIVER_IN + 1);
    late.fails::<TooLate>(SELLER, late.at.sealed_delivery, &call);
    scene.chain.warp(DELIVER_IN);
    let at = scene.chain.at.sealed_delivery;
    let outcome = scene.chain.ok(SELLER, at, &call);
    assert_eq!(outcome.event::<Revealed>().key, key());
    let delivered = outcome.event::<DataMarketplace::Delivered>();
    assert_eq!(delivered.proof, scene.package.root().unwrap());
    assert_eq!(scene.state(), OrderState::Delivered);
    let seal = scene.chain.view(at, &getSealCall { order: scene.order });
    assert_eq!((seal.phase, seal.key), (3, key()));
    assert_eq!(seal.cipherRoot, scene.package.root().unwrap());
    assert_eq!(seal.keyHash, key_hash(key()));
    scene.fails::<WrongState>(SELLER, &call);
}

#[test]
fn nobody_but_the_judge_delivers_resolves_or_disputes() {
    let mut scene = Scene::offered().accept();
    let market = scene.chain.at.data_marketplace;
    let order = scene.order;
    let deliver = DataMarketplace::deliverCall {
        order,
        proof: B256::ZERO,
    };
    scene
        .chain
        .fails::<DataMarketplace::NotParty>(SELLER, market, &deliver);
    let mut scene = scene.reveal();
    let resolve = DataMarketplace::resolveCall {
        order,
        buyerBps: 10_000,
    };
    let dispute = DataMarketplace::disputeCall {
        order,
        evidence: B256::ZERO,
    };
    for from in [0, SELLER, BUYER] {
        scene
            .chain
            .fails::<DataMarketplace::NotJudge>(from, market, &resolve);
    }
    scene
        .chain
        .fails::<DataMarketplace::NotJudge>(BUYER, market, &dispute);
}

#[test]
fn complaint_without_fault_or_proof_is_refused() {
    let mut scene = Scene::offered().accept();
    let good = scene.package.fault(1).unwrap().complaint(scene.order);
    scene.fails::<WrongState>(BUYER, &good);
    let mut scene = scene.reveal();
    scene.fails::<NoFault>(BUYER, &good);
    scene.fails::<NotBuyer>(SELLER, &good);
    scene.fails::<NotBuyer>(9, &good);
    let mut wrong = vec![good.clone(); 9];
    wrong[0].index = 0;
    wrong[1].chunk[3] = B256::ZERO;
    wrong[2].chunk.pop();
    wrong[3].chunk.push(B256::ZERO);
    wrong[4].chunk.clear();
    wrong[5].cipherProof.pop();
    wrong[6].plainLeaf = keccak256("another promise");
    wrong[7].plainProof[0] = B256::ZERO;
    wrong[8].cipherProof.push(B256::ZERO);
    for call in &wrong {
        scene.fails::<BadProof>(BUYER, call);
    }
    let unknown = complainCall {
        order: U256::from(99),
        ..good
    };
    scene.fails::<WrongState>(BUYER, &unknown);
    assert_eq!(scene.credits(), (0, 0));
    assert_eq!(scene.state(), OrderState::Delivered);
}

#[test]
fn one_wrong_chunk_gives_the_whole_amount_back_and_is_blamed() {
    let mut scene = Scene::offered_wrong().accept().reveal();
    let before = scene.reputation();
    let call = scene.fault().complaint(scene.order);
    assert_eq!(call.index, 2);
    scene.chain.warp(WINDOW);
    let at = scene.chain.at.sealed_delivery;
    let outcome = scene.chain.ok(BUYER, at, &call);
    assert_eq!(outcome.event::<Complained>().index, 2);
    let resolved = outcome.event::<DataMarketplace::Resolved>();
    assert_eq!(resolved.buyerBps, 10_000);
    assert_eq!(scene.state(), OrderState::Refunded);
    assert_eq!(scene.credits(), (0, PRICE));
    assert!(scene.reputation() < before, "the seller's name suffers");
    scene.fails::<WrongState>(BUYER, &call);
    scene.chain.warp(WINDOW);
    let order = scene.order;
    scene.fails::<WrongState>(9, &settleCall { order });
}

#[test]
fn complaint_after_the_window_is_too_late() {
    let mut scene = Scene::offered_wrong().accept().reveal();
    let call = scene.fault().complaint(scene.order);
    scene.chain.warp(WINDOW + 1);
    scene.fails::<TooLate>(BUYER, &call);
    let order = scene.order;
    scene.ok(9, &settleCall { order });
    assert_eq!(scene.credits(), (INCOME, 0));
    scene.fails::<WrongState>(BUYER, &call);
}

#[test]
fn silence_in_any_phase_ends_by_anybodys_settlement() {
    let phases = [
        ("bought", Scene::bought(), false),
        ("offered", Scene::offered(), false),
        ("accepted", Scene::offered().accept(), false),
        ("revealed", Scene::offered().accept().reveal(), true),
    ];
    for (name, mut scene, is_paid) in phases {
        let before = scene.reputation();
        let call = settleCall { order: scene.order };
        scene.fails::<TooEarly>(9, &call);
        scene.chain.warp(if is_paid { WINDOW } else { DELIVER_IN });
        scene.fails::<TooEarly>(9, &call);
        scene.chain.warp(1);
        let at = scene.chain.at.sealed_delivery;
        let event = scene.chain.ok(9, at, &call).event::<Settled>();
        assert_eq!(event.order, scene.order);
        let expected = if is_paid { (INCOME, 0) } else { (0, PRICE) };
        assert_eq!(scene.credits(), expected, "{name}");
        // Who does not reveal may have waited for an acceptance that never came: nobody is blamed.
        assert_eq!(scene.reputation(), before, "{name}");
        scene.fails::<WrongState>(9, &call);
    }
}

#[test]
fn order_that_others_ended_is_not_settled_again() {
    let mut scene = Scene::offered_wrong().accept().reveal();
    let order = scene.order;
    let market = scene.chain.at.data_marketplace;
    scene
        .chain
        .ok(BUYER, market, &DataMarketplace::confirmCall { order });
    let complaint = scene.fault().complaint(order);
    scene.fails::<WrongState>(BUYER, &complaint);
    scene.chain.warp(WINDOW + 1);
    scene.fails::<WrongState>(9, &settleCall { order });
    scene.fails::<WrongState>(
        9,
        &settleCall {
            order: U256::from(99),
        },
    );
    assert_eq!(scene.credits(), (INCOME, 0));
}

#[test]
fn judge_needs_its_licence_for_new_orders_only() {
    let mut scene = Scene::offered_wrong();
    let at = scene.chain.at;
    let call = DataMarketplace::setJudgeCall {
        judge: at.sealed_delivery,
        allowed: false,
    };
    scene.chain.ok(0, at.data_marketplace, &call);
    let listing = listing(&scene.chain, dataset().root().unwrap());
    let list = DataMarketplace::listCall { l: listing };
    scene
        .chain
        .fails::<DataMarketplace::NotJudge>(SELLER, at.data_marketplace, &list);
    let mut scene = scene.accept().reveal();
    let complaint = scene.fault().complaint(scene.order);
    scene.ok(BUYER, &complaint);
    assert_eq!(scene.credits(), (0, PRICE));
}
