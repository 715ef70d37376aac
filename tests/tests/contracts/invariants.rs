//! The market and its judge under random actors: nine people of three organisations, time that jumps, upgrades,
//! every action in any order, most of them refused. After each one the books must balance.

use crate::{
    actors::{Module, three_organisations, upgrade},
    harness::{Chain, Outcome, TOKEN},
    market_actions::{ACTORS, Action, JUDGED, LISTINGS, SealStep, action},
    sealed::{dataset, key, listing},
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use medina_contracts::{
    data_marketplace::DataMarketplace::*,
    eip712::UnitVoucher,
    sealed_delivery::SealedDelivery,
    trust_and_reputation::TrustAndReputation::{
        platformReputationCall, rateCall, resourceTrustCall,
    },
    values::OrderState,
};
use medina_sdk::sealed::{Package, key_hash};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// What the market must remember correctly, kept beside it.
#[derive(Default)]
struct Ledger {
    pool: u128,
    rated: Vec<u64>,
    /// Sum of `Refunded` and of `Paid` by order.
    refunded: BTreeMap<U256, u128>,
    paid: BTreeMap<U256, u128>,
    /// Every order as it was after the last action.
    before: Vec<Order>,
    /// Of the judge: what it heard and decided.
    complaints: usize,
    settlements: usize,
}

struct Market {
    chain: Chain,
    ledger: Ledger,
}

impl Market {
    fn new() -> Self {
        let mut chain = three_organisations();
        for (seller, name, price, unit, kind) in [
            (1, "a", 5 * TOKEN + 7, 0, 1),
            (2, "b", TOKEN / 3, 5_000, 1),
            (1, "c", 0, 0, 0),
            (1, "d", TOKEN / 7, 20_000, 2),
            (1, "e", TOKEN + 1, 3_001, 3),
        ] {
            let sensor = chain.register(seller, name);
            let mut listing = chain.listing(seller, sensor, price);
            (listing.unit, listing.price) = (unit, kind);
            chain.list(seller, listing);
        }
        let judged = listing(&chain, dataset().root().unwrap());
        assert_eq!(chain.list(1, judged), JUDGED);
        for actor in 0..ACTORS {
            chain.approve(actor, u128::MAX);
        }
        Self {
            chain,
            ledger: Ledger::default(),
        }
    }

    /// The party whose turn it is, or from the fourth actor on just that actor, mostly a wrong one.
    fn sender(&self, actor: usize, action: &Action) -> Address {
        let drawn = self.chain.account(actor);
        let buyer = |number: &u64| self.chain.order(U256::from(*number)).buyer;
        match action {
            _ if actor >= 4 => drawn,
            Action::Confirm { order }
            | Action::Dispute { order }
            | Action::Rate { order, .. }
            | Action::Renew { order, .. }
            | Action::UseOrder { order } => buyer(order),
            Action::Deliver { order, .. } => {
                let listing = self.chain.order(U256::from(*order)).listing;
                self.chain.account(if listing == 2 { 2 } else { 1 })
            }
            Action::Resolve { .. } => self.chain.account(0),
            Action::Seal { order, step } => match step {
                SealStep::Accept | SealStep::Complain => buyer(order),
                SealStep::Offer { .. } | SealStep::Reveal => self.chain.account(1),
                SealStep::Settle | SealStep::UpToReveal { .. } => drawn,
            },
            _ => drawn,
        }
    }

    fn run(&mut self, actor: usize, action: &Action) {
        let from = self.sender(actor, action);
        let order = |number: &u64| U256::from(*number);
        match action {
            Action::Wait { seconds } => self.chain.warp(*seconds),
            Action::Buy {
                listing,
                units,
                user,
            } => {
                let user = self.chain.account(*user);
                let call = buyCall {
                    id: *listing,
                    units: *units,
                    user,
                    maxAmount: u128::MAX,
                    purpose: B256::ZERO,
                };
                self.send(from, &call);
            }
            Action::Deliver {
                order: number,
                with_proof,
            } => {
                let proof = if *with_proof {
                    keccak256("proof")
                } else {
                    B256::ZERO
                };
                self.send(
                    from,
                    &deliverCall {
                        order: order(number),
                        proof,
                    },
                );
            }
            Action::Confirm { order: number } => self.send(
                from,
                &confirmCall {
                    order: order(number),
                },
            ),
            Action::Claim { order: number } => self.send(
                from,
                &claimCall {
                    order: order(number),
                },
            ),
            Action::Cancel { order: number } => self.send(
                from,
                &cancelCall {
                    order: order(number),
                },
            ),
            Action::Dispute { order: number } => {
                self.send(
                    from,
                    &disputeCall {
                        order: order(number),
                        evidence: B256::ZERO,
                    },
                );
            }
            Action::Resolve {
                order: number,
                buyer_bps,
            } => {
                self.send(
                    from,
                    &resolveCall {
                        order: order(number),
                        buyerBps: *buyer_bps,
                    },
                );
            }
            Action::Expire { order: number } => self.send(
                from,
                &expireCall {
                    order: order(number),
                },
            ),
            Action::ClaimUnits {
                order: number,
                cumulative,
                is_signed,
            } => self.claim_units(from, order(number), *cumulative, *is_signed),
            Action::Renew {
                order: number,
                periods,
            } => self.send(
                from,
                &renewCall {
                    order: order(number),
                    periods: *periods,
                    maxAmount: u128::MAX,
                },
            ),
            Action::UseOrder { order: number } => self.send(
                from,
                &useOrderCall {
                    order: order(number),
                },
            ),
            Action::SetPrice { listing, price } => {
                self.send(
                    from,
                    &setPriceCall {
                        id: *listing,
                        unitPrice: *price,
                    },
                );
            }
            Action::Seal {
                order: number,
                step,
            } => self.seal(from, order(number), *step),
            Action::Upgrade => upgrade(&mut self.chain, Module::Market),
            Action::Withdraw => self.send(from, &withdrawCall { to: from }),
            Action::Collect { amount } => {
                let call = collectFeesCall { amount: *amount };
                if self
                    .chain
                    .call(from, self.chain.at.data_marketplace, &call)
                    .success
                {
                    self.ledger.pool -= amount;
                }
            }
            Action::Rate {
                order: number,
                score,
            } => self.rate(from, *number, *score),
        }
    }

    /// A voucher by the order's user, or by somebody else.
    fn claim_units(&mut self, from: Address, order: U256, cumulative: u64, is_signed: bool) {
        let user = self.chain.order(order).user;
        let signer = (0..ACTORS)
            .find(|index| (self.chain.account(*index) == user) == is_signed)
            .unwrap_or(9);
        let message = UnitVoucher { order, cumulative };
        let call = claimUnitsCall {
            order,
            cumulative,
            userSig: self.chain.sign(signer, "DataMarketplace", &message),
        };
        let used = self.chain.order(order).used;
        self.send(from, &call);
        if !is_signed {
            assert_eq!(self.chain.order(order).used, used, "a forged voucher paid");
        }
    }

    /// The seller has two ciphertexts, one of them wrong; the buyer shows what is wrong, or claims that something is.
    fn seal(&mut self, from: Address, order: U256, step: SealStep) {
        let right = dataset().seal(key());
        let mut wrong = right.clone();
        wrong.chunks[0][0].0[0] ^= 1;
        let root = |package: &Package| package.root().unwrap();
        let at = self.chain.at.sealed_delivery;
        let call = match step {
            SealStep::UpToReveal { is_right } => {
                let (seller, buyer) = (self.chain.account(1), self.chain.order(order).buyer);
                self.seal(seller, order, SealStep::Offer { is_right });
                self.seal(buyer, order, SealStep::Accept);
                return self.seal(seller, order, SealStep::Reveal);
            }
            SealStep::Offer { is_right } => SealedDelivery::offerCall {
                order,
                cipherRoot: root(if is_right { &right } else { &wrong }),
                keyHash: key_hash(key()),
            }
            .abi_encode(),
            SealStep::Accept => SealedDelivery::acceptCall { order }.abi_encode(),
            SealStep::Reveal => SealedDelivery::revealCall { order, key: key() }.abi_encode(),
            SealStep::Settle => SealedDelivery::settleCall { order }.abi_encode(),
            SealStep::Complain => {
                let seal = self.chain.view(at, &SealedDelivery::getSealCall { order });
                let is_wrong = seal.cipherRoot == root(&wrong);
                let package = if is_wrong { wrong } else { right };
                let call = package.fault(0).unwrap().complaint(order);
                let outcome = self.chain.call(from, at, &call);
                assert!(is_wrong || !outcome.success, "an honest seller lost");
                self.ledger.complaints += usize::from(outcome.success);
                self.count(&outcome);
                return;
            }
        };
        let outcome = self.chain.call_data(from, at, call.into());
        if matches!(step, SealStep::Settle) {
            self.ledger.settlements += usize::from(outcome.success);
        }
        self.count(&outcome);
    }

    fn send<C: SolCall>(&mut self, from: Address, call: &C) {
        let outcome = self.chain.call(from, self.chain.at.data_marketplace, call);
        self.count(&outcome);
    }

    /// Fees of what was paid go to the pool.
    fn count(&mut self, outcome: &Outcome) {
        for log in &outcome.logs {
            if let Ok(event) = Paid::decode_log(log) {
                self.ledger.pool += event.fee;
                *self.ledger.paid.entry(event.order).or_default() += event.amount;
            }
            if let Ok(event) = Refunded::decode_log(log) {
                *self.ledger.refunded.entry(event.order).or_default() += event.amount;
            }
        }
    }

    /// A rebate leaves the pool for the buyer's credit.
    fn rate(&mut self, from: Address, number: u64, score: u16) {
        let before = self.chain.credit(from);
        let call = rateCall {
            order: U256::from(number),
            score,
            comment: B256::ZERO,
        };
        if self
            .chain
            .call(from, self.chain.at.trust_and_reputation, &call)
            .success
        {
            assert!(
                !self.ledger.rated.contains(&number),
                "order {number} rated twice"
            );
            self.ledger.rated.push(number);
            self.ledger.pool -= self.chain.credit(from) - before;
        }
    }

    /// The specification's invariants of the market, and those of trust that every state must keep.
    fn check(&mut self) {
        let orders: Vec<_> = (1..=40_u64)
            .map(|number| self.chain.order(U256::from(number)))
            .take_while(|order| order.state != 0)
            .collect();
        let mut open = 0;
        for (index, order) in orders.iter().enumerate() {
            open += self.check_order(U256::from(index + 1), order);
            if let Some(before) = self.ledger.before.get(index) {
                check_progress(before, order);
            }
        }
        self.ledger.before = orders;
        self.check_access();
        let chain = &self.chain;
        let credits: u128 = (0..10)
            .map(|index| chain.credit(chain.account(index)))
            .sum();
        assert_eq!(
            chain.balance(chain.at.data_marketplace),
            open + credits + self.ledger.pool
        );
        let everything: u128 = (0..10)
            .map(|index| chain.balance(chain.account(index)))
            .sum::<u128>()
            + chain.balance(chain.at.data_marketplace);
        assert_eq!(
            everything,
            10_000_000 * TOKEN,
            "tokens are neither made nor lost"
        );
        for index in 1..3 {
            let call = platformReputationCall {
                org: crate::harness::org(index),
            };
            let found = chain.view(chain.at.trust_and_reputation, &call);
            assert!(found.value <= 10_000 && found.confidence <= 10_000);
        }
        let found = chain.view(
            chain.at.trust_and_reputation,
            &resourceTrustCall { id: keccak256("a") },
        );
        assert!(found.value <= 10_000 && found.confidence <= 10_000);
    }
}

type Order = medina_contracts::data_marketplace::IDataMarketplace::Order;

impl Market {
    /// What each order must keep by itself; returns what it holds.
    fn check_order(&self, number: U256, order: &Order) -> u128 {
        let state = OrderState::try_from(order.state).expect("a state of this version");
        let events = |map: &BTreeMap<U256, u128>| map.get(&number).copied().unwrap_or_default();
        assert_eq!(events(&self.ledger.paid), order.paid);
        assert!(order.paid <= order.amount && order.used <= order.units);
        let by_unit = order.listing == 4;
        if by_unit {
            let price = order.amount / u128::from(order.units);
            assert_eq!(order.paid, price * u128::from(order.used));
        }
        match state {
            OrderState::None => unreachable!("left out"),
            OrderState::Completed | OrderState::Refunded => {
                assert_eq!(order.paid + events(&self.ledger.refunded), order.amount);
                assert_eq!(
                    state == OrderState::Refunded,
                    order.paid == 0 && order.amount > 0
                );
                0
            }
            OrderState::Active => {
                assert!(matches!(order.listing, 4 | 5), "only running orders");
                assert!(by_unit || order.paid <= disputed_no_more(order, self.chain.time));
                order.amount - order.paid
            }
            OrderState::Funded | OrderState::Delivered | OrderState::Disputed => {
                assert!(order.paid == 0 || order.listing == 5);
                assert_eq!(events(&self.ledger.refunded), 0);
                order.amount - order.paid
            }
        }
    }

    /// Who may read has an order that is neither over nor given back.
    fn check_access(&self) {
        for listing in 1..=LISTINGS {
            for actor in 0..ACTORS {
                let user = self.chain.account(actor);
                let call = hasAccessCall { listing, user };
                if !self.chain.view(self.chain.at.data_marketplace, &call) {
                    continue;
                }
                let mine = self.ledger.before.iter().any(|order| {
                    order.listing == listing
                        && order.user == user
                        && order.state != u8::from(OrderState::Refunded)
                        && (order.end.is_zero() || order.end.to::<u64>() > self.chain.time)
                        && (listing != 4 || order.used < order.units)
                });
                assert!(mine, "{user} reads {listing} without an order");
            }
        }
    }
}

/// What of a Period order had vested when the window that is open now began.
fn disputed_no_more(order: &Order, now: u64) -> u128 {
    let (start, end): (u64, u64) = (order.time.to(), order.end.to());
    let moment = (now - 7_200).clamp(start, end);
    order.amount * u128::from(moment - start) / u128::from(end - start)
}

/// Final states stay, and what was counted never falls.
fn check_progress(before: &Order, now: &Order) {
    let is_final = |order: &Order| order.state >= u8::from(OrderState::Completed);
    assert!(!is_final(before) || before == now, "a closed order changed");
    assert!(before.used <= now.used && before.paid <= now.paid);
    assert!(before.amount <= now.amount && before.end <= now.end);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn books_balance_after_any_history(actions in proptest::collection::vec(action(), 1..80)) {
        let mut market = Market::new();
        for (actor, action) in &actions {
            market.run(*actor, action);
            market.check();
        }
    }
}

/// The property above says little if histories never get anywhere.
#[test]
fn random_histories_reach_every_state_and_ratings() {
    let mut runner = TestRunner::deterministic();
    let histories = proptest::collection::vec(action(), 80);
    let mut seen = BTreeSet::new();
    let (mut ratings, mut complaints, mut settlements) = (0, 0, 0);
    for _ in 0..64 {
        let actions = histories.new_tree(&mut runner).unwrap().current();
        let mut market = Market::new();
        for (actor, action) in &actions {
            market.run(*actor, action);
            seen.extend((1..6).map(|number| market.chain.order(U256::from(number)).state));
        }
        ratings += market.ledger.rated.len();
        complaints += market.ledger.complaints;
        settlements += market.ledger.settlements;
    }
    let every_state = [
        OrderState::Funded,
        OrderState::Delivered,
        OrderState::Active,
        OrderState::Disputed,
        OrderState::Completed,
        OrderState::Refunded,
    ];
    for state in every_state {
        assert!(
            seen.contains(&u8::from(state)),
            "{state:?} was never reached"
        );
    }
    assert!(ratings > 0, "nothing was rated");
    assert!(complaints > 0, "no wrong chunk was shown");
    assert!(settlements > 0, "nothing was settled");
}

#[test]
fn every_open_order_ends_without_its_counterparty() {
    let mut market = Market::new();
    let price = 5 * TOKEN + 7;
    let chain = &mut market.chain;
    let at = chain.at.data_marketplace;
    let [undelivered, unconfirmed, disputed] = [0; 3].map(|_| chain.buy(3, 1, price));
    for order in [unconfirmed, disputed] {
        chain.ok(
            1,
            at,
            &deliverCall {
                order,
                proof: keccak256("proof"),
            },
        );
    }
    chain.ok(
        3,
        at,
        &disputeCall {
            order: disputed,
            evidence: B256::ZERO,
        },
    );
    chain.warp(8 * 86_400);
    chain.ok(9, at, &cancelCall { order: undelivered });
    chain.ok(9, at, &claimCall { order: unconfirmed });
    chain.ok(9, at, &expireCall { order: disputed });
    let half = price / 2 + 1;
    assert_eq!(chain.credit(chain.account(3)), price + half);
    let paid = [price, price - half];
    let fees: u128 = paid.iter().map(|amount| amount / 100).sum();
    assert_eq!(
        chain.credit(chain.account(1)),
        paid.iter().sum::<u128>() - fees
    );
}
