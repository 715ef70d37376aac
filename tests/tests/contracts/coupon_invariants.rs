//! Coupons under random actors: nine people of three organisations issue, use, hand on, swap, barter, revoke and clean
//! up, time jumps, the contract is upgraded. A plain fold of the events stands beside the chain; after each call the
//! invariants of the specification's section 10 must hold: no more uses than promised, used up and revoked are final,
//! cleaned numbers never return, statistics are what happened, a swap moves both or none.

use crate::{
    actors::{Module, home, three_organisations, upgrade},
    harness::{Chain, Outcome},
};
use alloy_primitives::{Address, B256, U256, Uint, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use medina_contracts::{
    bartering_coupons::{BarteringCoupons::*, IBarteringCoupons},
    eip712,
    federation_registry::FederationRegistry::shareCall,
    values::{CouponKind, CouponStatus},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const ORGS: usize = 3;
/// Accounts that act; 8 is a Moderator, 3 to 5 are Members, who may do nothing here.
const ACTORS: usize = 10;
/// Coupons that may be: this many numbers per issuer.
const NUMBERS: usize = 4;
const HOUR: u64 = 3_600;

#[derive(Clone, Debug)]
enum Action {
    Wait(u64),
    Upgrade,
    Issue {
        coupon: usize,
        kind: u8,
        val: u64,
        holder: usize,
    },
    Barter {
        coupon: usize,
        val: u64,
        holder: usize,
    },
    Use {
        coupon: usize,
        uses: u64,
        signer: usize,
    },
    Move {
        coupon: usize,
        to: usize,
    },
    Swap {
        mine: usize,
        theirs: usize,
        moves: u64,
        signer: usize,
    },
    Revoke {
        coupon: usize,
    },
    Clean {
        coupons: Vec<usize>,
    },
}

fn action() -> impl Strategy<Value = (usize, Action)> {
    let coupon = 0..ORGS * NUMBERS;
    let what = prop_oneof![
        2 => prop_oneof![1_u64..HOUR, HOUR..200 * HOUR].prop_map(Action::Wait),
        1 => Just(Action::Upgrade),
        6 => (coupon.clone(), 1_u8..3, 1_u64..4, 0..ORGS)
            .prop_map(|(coupon, kind, val, holder)| Action::Issue { coupon, kind, val, holder }),
        3 => (coupon.clone(), 1_u64..4, 0..ORGS)
            .prop_map(|(coupon, val, holder)| Action::Barter { coupon, val, holder }),
        9 => (coupon.clone(), 0_u64..5, 0..ORGS)
            .prop_map(|(coupon, uses, signer)| Action::Use { coupon, uses, signer }),
        3 => (coupon.clone(), 0..ORGS).prop_map(|(coupon, to)| Action::Move { coupon, to }),
        4 => (coupon.clone(), coupon.clone(), 0_u64..3, 0..ORGS)
            .prop_map(|(mine, theirs, moves, signer)| Action::Swap { mine, theirs, moves, signer }),
        2 => coupon.clone().prop_map(|coupon| Action::Revoke { coupon }),
        2 => proptest::collection::vec(coupon, 1..5).prop_map(|coupons| Action::Clean { coupons }),
    ];
    let actor = prop_oneof![4 => 0..ORGS, 1 => 0..ACTORS];
    (actor, what)
}

/// A coupon as events tell of it.
#[derive(Clone, Debug)]
struct Told {
    terms: eip712::Coupon,
    holder: B256,
    uses: u64,
    moves: u64,
    first: Option<u64>,
    revoked: bool,
}

impl Told {
    fn status(&self, now: u64) -> CouponStatus {
        let is_over = match self.terms.kind {
            1 => self.uses >= self.terms.val,
            _ => self.first.is_some_and(|first| now > first + self.terms.val),
        };
        match (self.revoked, is_over) {
            (true, _) => CouponStatus::Revoked,
            (false, true) => CouponStatus::Consumed,
            (false, false) => CouponStatus::Valid,
        }
    }
}

/// issued, consumed, received, uses.
type Stats = [u64; 4];

struct World {
    chain: Chain,
    fed: B256,
    told: BTreeMap<B256, Told>,
    /// Numbers that were ever used, by issuer.
    used: BTreeSet<(B256, u64)>,
    stats: BTreeMap<B256, Stats>,
    /// Seen once, true for ever.
    finals: BTreeMap<B256, CouponStatus>,
    done: BTreeMap<&'static str, usize>,
}

impl World {
    fn new() -> Self {
        let mut chain = three_organisations();
        let fed = chain.federate(0, &[1, 2], "fed");
        for index in 0..ORGS {
            let resource = chain.register(index, &format!("sensor {index}"));
            let share = shareCall {
                fed,
                resources: vec![resource],
                bartered: vec![true],
            };
            chain.ok(index, chain.at.federation_registry, &share);
            let rules = setRulesCall {
                fed,
                minReputation: 0,
                types: 0,
            };
            chain.ok(index, chain.at.bartering_coupons, &rules);
        }
        Self {
            chain,
            fed,
            told: BTreeMap::new(),
            used: BTreeSet::new(),
            stats: BTreeMap::new(),
            finals: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    fn at(&self) -> Address {
        self.chain.at.bartering_coupons
    }

    fn terms(&self, coupon: usize, kind: u8, val: u64, holder: usize) -> eip712::Coupon {
        eip712::Coupon {
            issuer: home(coupon % ORGS),
            fed: self.fed,
            kind,
            // Uses, or seconds.
            val: if kind == 1 { val } else { val * HOUR },
            number: number(coupon),
            issuedAt: Uint::from(1),
            holder: home(holder),
            scope: B256::ZERO,
        }
    }

    fn key(&self, coupon: usize) -> B256 {
        let c = self.terms(coupon, 1, 1, 0);
        self.chain.view(self.at(), &keyCall { c: plain(&c) })
    }

    fn send<C: SolCall>(&mut self, actor: usize, call: &C) -> Option<Outcome> {
        let (from, at) = (self.chain.account(actor), self.at());
        let outcome = self.chain.call(from, at, call);
        *self.done.entry(C::SIGNATURE).or_default() += usize::from(outcome.success);
        outcome.success.then_some(outcome)
    }

    fn act(&mut self, actor: usize, action: &Action) {
        match action.clone() {
            Action::Wait(time) => self.chain.warp(time),
            Action::Upgrade => upgrade(&mut self.chain, Module::Coupons),
            Action::Issue {
                coupon,
                kind,
                val,
                holder,
            } => {
                let c = self.terms(coupon, kind, val, holder);
                let sig = self
                    .chain
                    .sign_packed(coupon % ORGS, "BarteringCoupons", &c);
                if self
                    .send(actor, &registerCall { c: plain(&c), sig })
                    .is_some()
                {
                    self.issued(c, 0);
                }
            }
            Action::Barter {
                coupon,
                val,
                holder,
            } => {
                let c = self.terms(coupon, 1, val, holder);
                let resource = keccak256(format!("sensor {holder}"));
                let message = eip712::Barter {
                    give: c.clone(),
                    resource,
                };
                let signed =
                    |chain: &Chain, by| chain.sign_packed(by, "BarteringCoupons", &message);
                let call = barterCall {
                    give: plain(&c),
                    giveSig: signed(&self.chain, coupon % ORGS),
                    resource,
                    acceptSig: signed(&self.chain, holder),
                };
                if self.send(actor, &call).is_some() {
                    self.issued(c, 1);
                }
            }
            Action::Use {
                coupon,
                uses,
                signer,
            } => self.consume(actor, coupon, uses, signer),
            Action::Move { coupon, to } => {
                let call = transferCall {
                    key_: self.key(coupon),
                    toOrg: home(to),
                };
                let valid = self.is_valid(call.key_);
                if self.send(actor, &call).is_some() {
                    assert!(valid, "moved what was no more");
                    self.moved(call.key_, home(to));
                }
            }
            Action::Swap {
                mine,
                theirs,
                moves,
                signer,
            } => {
                self.swap(actor, [mine, theirs], moves, signer);
            }
            Action::Revoke { coupon } => {
                let key = self.key(coupon);
                let valid = self.is_valid(key);
                if self.send(actor, &revokeCall { key_: key }).is_some() {
                    assert!(valid, "revoked what was no more");
                    let told = self.told.get_mut(&key).expect("it was issued");
                    let is_moderator = actor == 8 || actor == 0;
                    assert!(is_moderator || (told.uses, told.moves) == (0, 0));
                    told.revoked = true;
                }
            }
            Action::Clean { coupons } => self.clean(actor, &coupons),
        }
    }

    fn issued(&mut self, terms: eip712::Coupon, moves: u64) {
        let is_new = self.used.insert((terms.issuer, terms.number));
        assert!(is_new, "number {} came back", terms.number);
        self.stats.entry(terms.issuer).or_default()[0] += 1;
        self.stats.entry(terms.holder).or_default()[2] += 1;
        let key = self.chain.view(self.at(), &keyCall { c: plain(&terms) });
        let told = Told {
            holder: terms.holder,
            terms,
            uses: 0,
            moves,
            first: None,
            revoked: false,
        };
        self.told.insert(key, told);
    }

    fn moved(&mut self, key: B256, to: B256) {
        let told = self.told.get_mut(&key).expect("it was issued");
        told.holder = to;
        told.moves += 1;
        self.stats.entry(to).or_default()[2] += 1;
    }

    fn is_valid(&self, key: B256) -> bool {
        let now = self.chain.time;
        self.told
            .get(&key)
            .is_some_and(|told| told.status(now) == CouponStatus::Valid)
    }

    fn consume(&mut self, actor: usize, coupon: usize, uses: u64, signer: usize) {
        let key = self.key(coupon);
        let resource = keccak256(format!("sensor {}", coupon % ORGS));
        let message = eip712::Use {
            key,
            resource,
            uses,
        };
        let call = consumeCall {
            key_: key,
            resource,
            holderSig: self.chain.sign_packed(signer, "BarteringCoupons", &message),
        };
        let valid = self.is_valid(key);
        let Some(outcome) = self.send(actor, &call) else {
            return;
        };
        assert!(valid, "used what was no more");
        let now = self.chain.time;
        let told = self.told.get_mut(&key).expect("it was issued");
        assert_eq!(told.holder, home(signer), "somebody else's coupon was used");
        assert_ne!(told.holder, told.terms.issuer, "the issuer used its own");
        told.uses += 1;
        assert_eq!(outcome.event::<Used>().uses, told.uses);
        assert_eq!(told.uses, uses, "another use than the signed one");
        told.first.get_or_insert(now);
        let is_consumed = match told.terms.kind {
            1 => told.uses == told.terms.val,
            _ => told.uses == 1,
        };
        let stats = self.stats.entry(told.terms.issuer).or_default();
        stats[3] += 1;
        stats[1] += u64::from(is_consumed);
    }

    fn swap(&mut self, actor: usize, [mine, theirs]: [usize; 2], moves: u64, signer: usize) {
        let (mine, theirs) = (self.key(mine), self.key(theirs));
        let message = eip712::Swap {
            mine,
            theirs,
            moves,
        };
        let call = swapCall {
            mine,
            theirs,
            theirSig: self.chain.sign_packed(signer, "BarteringCoupons", &message),
        };
        let holders = [mine, theirs].map(|key| self.told.get(&key).map(|told| told.holder));
        if self.send(actor, &call).is_some() {
            let [Some(here), Some(there)] = holders else {
                panic!("a coupon that is not there was swapped");
            };
            assert_eq!(there, home(signer));
            assert_eq!(self.told[&theirs].moves, moves, "an old offer was taken");
            self.moved(mine, there);
            self.moved(theirs, here);
        }
    }

    fn clean(&mut self, actor: usize, coupons: &[usize]) {
        let keys: Vec<_> = coupons.iter().map(|coupon| self.key(*coupon)).collect();
        let call = cleanupCall {
            keys,
            before: Uint::from(self.chain.time),
        };
        let Some(outcome) = self.send(actor, &call) else {
            return;
        };
        for log in &outcome.logs {
            let Ok(cleaned) = Cleaned::decode_log(log) else {
                continue;
            };
            let told = self.told.remove(&cleaned.key).expect("it was issued");
            let status = told.status(self.chain.time);
            assert_eq!(status, CouponStatus::Consumed, "cleaned too early");
            self.finals.remove(&cleaned.key);
        }
    }

    fn check(&mut self) {
        let now = self.chain.time;
        for (key, told) in &self.told {
            assert!(told.terms.kind != 1 || told.uses <= told.terms.val);
            let found = self.chain.view(
                self.at(),
                &validityCall {
                    c: plain(&told.terms),
                },
            );
            let status = CouponStatus::try_from(found.status).expect("a status of this version");
            assert_eq!(status, told.status(now), "{told:?}");
            let holder = self.chain.view(self.at(), &holderOfCall { key_: *key });
            assert_eq!(holder, told.holder);
            let before = self.finals.get(key);
            assert!(
                before.is_none_or(|before| *before == status),
                "{key} came back"
            );
            if status != CouponStatus::Valid {
                self.finals.insert(*key, status);
            }
        }
        for index in 0..ORGS {
            let call = statsCall {
                org: home(index),
                fed: self.fed,
            };
            let found = self.chain.view(self.at(), &call);
            let found = [found.issued, found.consumed, found.received, found.uses];
            let told = self.stats.get(&home(index)).copied().unwrap_or_default();
            assert_eq!(found, told, "statistics of organisation {index}");
        }
        let issued: u64 = self.stats.values().map(|stats| stats[0]).sum();
        assert_eq!(U256::from(issued), U256::from(self.used.len()));
    }
}

/// Two issuers may use one number.
fn number(coupon: usize) -> u64 {
    // Across the edge of a word of the bitmap.
    254 + (coupon / ORGS) as u64
}

fn plain(c: &eip712::Coupon) -> IBarteringCoupons::Coupon {
    IBarteringCoupons::Coupon {
        issuer: c.issuer,
        fed: c.fed,
        kind: c.kind,
        val: c.val,
        number: c.number,
        issuedAt: c.issuedAt,
        holder: c.holder,
        scope: c.scope,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn coupons_keep_their_rules_after_any_history(
        actions in proptest::collection::vec(action(), 1..80)
    ) {
        let mut world = World::new();
        for (actor, action) in &actions {
            world.act(*actor, action);
            world.check();
        }
    }
}

/// The property above says little if histories never get anywhere.
#[test]
fn random_histories_reach_every_action_of_a_coupon() {
    let mut runner = TestRunner::deterministic();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut statuses = BTreeSet::new();
    for _ in 0..32 {
        let mut world = World::new();
        for _ in 0..150 {
            let (actor, action) = action().new_tree(&mut runner).unwrap().current();
            world.act(actor, &action);
            world.check();
        }
        statuses.extend(world.finals.values().map(|status| u8::from(*status)));
        for (call, count) in world.done {
            *done.entry(call).or_default() += count;
        }
    }
    for call in [
        registerCall::SIGNATURE,
        barterCall::SIGNATURE,
        consumeCall::SIGNATURE,
        transferCall::SIGNATURE,
        swapCall::SIGNATURE,
        revokeCall::SIGNATURE,
        cleanupCall::SIGNATURE,
    ] {
        assert!(
            done.get(call).copied().unwrap_or_default() > 0,
            "{call} never worked: {done:?}"
        );
    }
    assert!(
        statuses.contains(&u8::from(CouponStatus::Consumed)),
        "nothing was used up"
    );
    assert!(
        statuses.contains(&u8::from(CouponStatus::Revoked)),
        "nothing was revoked"
    );
    assert!(
        CouponKind::try_from(2).is_ok(),
        "periodic coupons are issued too"
    );
}
