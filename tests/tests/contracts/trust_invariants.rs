//! Trust under random actors: nine people of three organisations trade, rate, quarrel and are erased, a monitor reports
//! uptime, observers adapt, time jumps, the contract is upgraded. After each action the invariants of the
//! specification's section 7 must hold.

use crate::{
    actors::{Module, home, three_organisations, upgrade},
    harness::{Chain, Outcome, TOKEN, user},
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use medina_contracts::{
    data_marketplace::DataMarketplace::*,
    identity::Identity::{eraseCall, orgOfCall},
    trust_and_reputation::TrustAndReputation::*,
    values::OrderState,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::BTreeMap;

const ACTORS: usize = 10;
const ORGS: usize = 3;
const DAY: u64 = 86_400;
/// Of feedback.
const HALF_LIFE: u64 = 90 * DAY;
/// Evidence of one whole order, in the contract's 1e-6 units.
const UNIT: u64 = 1_000_000;
/// Cheap, usual, and so dear that its weight is full.
const PRICES: [u128; 3] = [TOKEN / 50, 5 * TOKEN, 5_000 * TOKEN];

#[derive(Clone, Debug)]
enum Action {
    Wait(u64),
    Upgrade,
    Buy {
        seller: usize,
        buyer: usize,
        price: usize,
    },
    Rate {
        order: usize,
        by: usize,
        score: u16,
    },
    /// A delivered order is disputed, and decided.
    Blame {
        seller: usize,
        buyer: usize,
        to_buyer: u16,
    },
    Uptime {
        seller: usize,
        up: u32,
        down: u32,
    },
    Refresh {
        seller: usize,
    },
    Adapt {
        by: usize,
    },
    Erase {
        who: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let seller = 0..ORGS;
    let actor = 0..ACTORS;
    prop_oneof![
        3 => prop_oneof![1_u64..DAY, DAY..200 * DAY].prop_map(Action::Wait),
        1 => Just(Action::Upgrade),
        8 => (seller.clone(), actor.clone(), 0..PRICES.len())
            .prop_map(|(seller, buyer, price)| Action::Buy { seller, buyer, price }),
        9 => (0_usize..12, actor.clone(), 0_u16..=10_000)
            .prop_map(|(order, by, score)| Action::Rate { order, by, score }),
        2 => (seller.clone(), actor.clone(), 0_u16..=10_000)
            .prop_map(|(seller, buyer, to_buyer)| Action::Blame { seller, buyer, to_buyer }),
        2 => (seller.clone(), 0_u32..10_000, 0_u32..10_000)
            .prop_map(|(seller, up, down)| Action::Uptime { seller, up, down }),
        1 => seller.prop_map(|seller| Action::Refresh { seller }),
        2 => actor.clone().prop_map(|by| Action::Adapt { by }),
        // Not the account that governs here.
        1 => (3..ACTORS - 1).prop_map(|who| Action::Erase { who }),
    ]
}

struct Rating {
    time: u64,
    pair: (B256, B256),
    weight: u64,
}

struct World {
    chain: Chain,
    /// By seller and price.
    listings: BTreeMap<(usize, usize), u64>,
    orders: Vec<(U256, usize)>,
    ratings: Vec<Rating>,
    done: BTreeMap<&'static str, usize>,
}

impl World {
    fn new() -> Self {
        let mut chain = three_organisations();
        let mut listings = BTreeMap::new();
        for seller in 0..ORGS {
            let sensor = chain.register(seller, &format!("sensor {seller}"));
            for (index, price) in PRICES.iter().enumerate() {
                let listing = chain.listing(seller, sensor, *price);
                listings.insert((seller, index), chain.list(seller, listing));
            }
        }
        for actor in 0..ACTORS {
            chain.approve(actor, u128::MAX);
        }
        Self {
            chain,
            listings,
            orders: Vec::new(),
            ratings: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    fn sensor(seller: usize) -> B256 {
        keccak256(format!("sensor {seller}"))
    }

    fn org_of(&self, account: usize) -> B256 {
        let a = self.chain.account(account);
        self.chain.view(self.chain.at.identity, &orgOfCall { a })
    }

    fn send<C: SolCall>(&mut self, actor: usize, to: Address, call: &C) -> Option<Outcome> {
        let outcome = self.chain.call(self.chain.account(actor), to, call);
        *self.done.entry(C::SIGNATURE).or_default() += usize::from(outcome.success);
        outcome.success.then_some(outcome)
    }

    fn buy(&mut self, seller: usize, buyer: usize, price: usize) -> Option<U256> {
        let market = self.chain.at.data_marketplace;
        let listing = self.listings[&(seller, price)];
        let call = self.chain.purchase(buyer, listing, PRICES[price]);
        let outcome = self.send(buyer, market, &call)?;
        let order = buyCall::abi_decode_returns(&outcome.output).expect("an order");
        let proof = keccak256("proof");
        self.send(seller, market, &deliverCall { order, proof })?;
        self.orders.push((order, buyer));
        Some(order)
    }

    fn act(&mut self, action: &Action) {
        let (market, trust) = (
            self.chain.at.data_marketplace,
            self.chain.at.trust_and_reputation,
        );
        match *action {
            Action::Wait(time) => {
                let before = self.confidences();
                self.chain.warp(time);
                for (now, before) in self.confidences().into_iter().zip(before) {
                    assert!(
                        now <= before,
                        "time alone raised confidence: {before} to {now}"
                    );
                }
            }
            Action::Upgrade => upgrade(&mut self.chain, Module::Trust),
            Action::Buy {
                seller,
                buyer,
                price,
            } => {
                if let Some(order) = self.buy(seller, buyer, price) {
                    self.send(buyer, market, &confirmCall { order });
                }
            }
            Action::Rate { order, by, score } => {
                let Some((order, buyer)) = self.orders.get(order).copied() else {
                    return;
                };
                // Mostly its buyer.
                let by = if by < 8 { buyer } else { by };
                let comment = B256::ZERO;
                if let Some(outcome) = self.send(
                    by,
                    trust,
                    &rateCall {
                        order,
                        score,
                        comment,
                    },
                ) {
                    assert_eq!(by, buyer, "somebody else rated");
                    self.rated(by, &outcome);
                }
            }
            Action::Blame {
                seller,
                buyer,
                to_buyer,
            } => {
                let Some(order) = self.buy(seller, buyer, 1) else {
                    return;
                };
                let evidence = B256::ZERO;
                if self
                    .send(buyer, market, &disputeCall { order, evidence })
                    .is_some()
                {
                    let call = resolveCall {
                        order,
                        buyerBps: to_buyer,
                    };
                    self.send(0, market, &call);
                }
            }
            Action::Uptime { seller, up, down } => {
                let call = reportCall {
                    resource: Self::sensor(seller),
                    up,
                    down,
                };
                self.send(0, trust, &call);
            }
            Action::Refresh { seller } => {
                let call = refreshCall {
                    resource: Self::sensor(seller),
                };
                self.send(9, trust, &call);
            }
            Action::Adapt { by } => {
                let resources = (0..ORGS).map(Self::sensor).collect();
                self.send(by, trust, &refreshAdaptiveCall { resources });
            }
            Action::Erase { who } => {
                let before = self.scores();
                let identity = self.chain.at.identity;
                self.send(who, identity, &eraseCall { userId: user(who) });
                assert_eq!(self.scores(), before, "erasure changed a score");
            }
        }
    }

    fn rated(&mut self, buyer: usize, outcome: &Outcome) {
        let rated: Rated = outcome.event();
        let buyer_org = self.org_of(buyer);
        assert_ne!(rated.org, buyer_org, "an organisation rated itself");
        assert!(rated.weight <= UNIT);
        self.ratings.push(Rating {
            time: self.chain.time,
            pair: (buyer_org, rated.org),
            weight: rated.weight,
        });
    }

    /// Value, confidence and whether it is known: of organisations, sensors, and sensors for observers.
    fn scores(&self) -> Vec<(u16, u16, bool)> {
        let at = self.chain.at.trust_and_reputation;
        let mut all = Vec::new();
        for index in 0..ORGS {
            let org = home(index);
            let id = Self::sensor(index);
            let found = self.chain.view(at, &platformReputationCall { org });
            all.push((found.value, found.confidence, found.known));
            let found = self.chain.view(at, &resourceTrustCall { id });
            all.push((found.value, found.confidence, found.known));
            for observer in 0..ORGS {
                let observer_org = home(observer);
                let call = adaptiveTrustCall {
                    observerOrg: observer_org,
                    id,
                };
                let found = self.chain.view(at, &call);
                all.push((found.value, 0, found.known));
            }
        }
        all
    }

    fn confidences(&self) -> Vec<u16> {
        self.scores().into_iter().map(|score| score.1).collect()
    }

    fn check(&self) {
        for (value, confidence, _) in self.scores() {
            assert!(value <= 10_000 && confidence <= 10_000);
        }
        let closed = self.orders.iter().filter(|(order, _)| {
            let state = self.chain.order(*order).state;
            state >= u8::from(OrderState::Completed)
        });
        assert!(
            self.ratings.len() <= closed.count(),
            "more ratings than closed orders"
        );
        if let Some(last) = self.ratings.last() {
            let of_pair =
                |rating: &&Rating| rating.pair == last.pair && rating.time + HALF_LIFE > last.time;
            let added: u64 = self
                .ratings
                .iter()
                .filter(of_pair)
                .map(|rating| rating.weight)
                .sum();
            assert!(added < 2 * UNIT, "a pair added {added}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn trust_keeps_its_rules_after_any_history(
        actions in proptest::collection::vec(action(), 1..70)
    ) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
            world.check();
        }
    }
}

/// The property above says little if histories never get anywhere.
#[test]
fn random_histories_reach_every_kind_of_evidence() {
    let mut runner = TestRunner::deterministic();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut fullest = 0;
    for _ in 0..16 {
        let mut world = World::new();
        for _ in 0..100 {
            world.act(&action().new_tree(&mut runner).unwrap().current());
            world.check();
        }
        fullest = fullest.max(
            world
                .ratings
                .iter()
                .map(|rating| rating.weight)
                .max()
                .unwrap_or(0),
        );
        for (call, count) in world.done {
            *done.entry(call).or_default() += count;
        }
    }
    for call in [
        rateCall::SIGNATURE,
        resolveCall::SIGNATURE,
        reportCall::SIGNATURE,
        refreshCall::SIGNATURE,
        refreshAdaptiveCall::SIGNATURE,
        eraseCall::SIGNATURE,
    ] {
        assert!(
            done.get(call).copied().unwrap_or_default() > 0,
            "{call} never worked: {done:?}"
        );
    }
    assert!(
        fullest >= UNIT / 4,
        "only small change was rated: {fullest}"
    );
}

#[test]
fn reading_trust_costs_the_same_however_many_have_rated() {
    let mut world = World::new();
    let at = world.chain.at.trust_and_reputation;
    let costs = |world: &World| {
        let (org, id) = (home(1), World::sensor(1));
        let from = world.chain.account(9);
        [
            world
                .chain
                .own_gas(from, at, &platformReputationCall { org }),
            world.chain.own_gas(from, at, &resourceTrustCall { id }),
        ]
    };
    let mut rate = |count: usize| {
        for _ in 0..count {
            let order = world.buy(1, 2, 1).expect("is bought");
            let market = world.chain.at.data_marketplace;
            world.chain.ok(2, market, &confirmCall { order });
            let call = rateCall {
                order,
                score: 9_000,
                comment: B256::ZERO,
            };
            world.chain.ok(2, at, &call);
        }
        costs(&world)
    };
    let few = rate(2);
    let many = rate(30);
    for (few, many) in few.into_iter().zip(many) {
        assert!(
            few.abs_diff(many) < 200,
            "{few} gas after 2, {many} after 32"
        );
    }
    // What is compared are reads that do something.
    assert!(Rated::SIGNATURE_HASH != B256::ZERO && few[0] > 1_000);
}
