//! Random histories: whatever happens, the indices agree, nonces have no gap
//! and nothing that could run is stuck.

use super::*;
use crate::IncludedTransaction;
use alloy_consensus::Transaction as _;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Add {
        sender: u64,
        nonce: u64,
        tip: u128,
        value: u64,
        gas: u64,
    },
    Remove {
        choice: usize,
    },
    Block {
        count: usize,
        foreign: Option<u64>,
        broke: Option<(u64, u64)>,
    },
    Wait {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let add = (
        0_u64..6,
        0_u64..8,
        0_u128..40,
        0_u64..60,
        21_000_u64..90_000,
    )
        .prop_map(|(sender, nonce, tip, value, gas)| Step::Add {
            sender,
            nonce,
            tip,
            value,
            gas,
        });
    let block = (
        0_usize..6,
        proptest::option::of(0_u64..6),
        proptest::option::of((0_u64..6, 0_u64..200)),
    )
        .prop_map(|(count, foreign, broke)| Step::Block {
            count,
            foreign,
            broke,
        });
    prop_oneof![
        6 => add,
        1 => any::<usize>().prop_map(|choice| Step::Remove { choice }),
        2 => block,
        1 => (0_u64..100_000_000).prop_map(|ms| Step::Wait { ms }),
    ]
}

struct Story {
    pool: Pool,
    config: PoolConfig,
    accounts: Accounts,
    now_ms: u64,
}

impl Story {
    fn new(gas_policy: GasPolicy) -> Self {
        let transactions_max = 12;
        let config = PoolConfig {
            transactions_max,
            ..PoolConfig::new(CHAIN_ID, GAS_LIMIT, gas_policy)
        };
        let (pool, accounts) = (Pool::new(config), Accounts::default());
        (0..6).for_each(|sender| accounts.set(sender, 0, U256::from(10_000_000)));
        Self {
            pool,
            config,
            accounts,
            now_ms: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Add {
                sender,
                nonce,
                tip,
                value,
                gas,
            } => {
                let nonce = self.accounts.get(account(sender)).0 + nonce;
                let spec = transfer(sender, nonce).tip(tip).gas(gas);
                let spec = spec.value(U256::from(value * 100_000));
                let hash = spec.build().hash();
                let outcome =
                    self.pool
                        .add(&self.accounts, spec.build(), self.now_ms, Origin::Peer);
                assert_eq!(
                    outcome.is_ok() || outcome == Err(PoolError::AlreadyKnown),
                    self.pool.contains(&hash),
                    "taken means found: {outcome:?}"
                );
            }
            Step::Remove { choice } => {
                let hashes = self.pool.hashes(usize::MAX);
                if let Some(hash) = hashes.get(choice % hashes.len().max(1)) {
                    assert!(self.pool.remove(hash).is_some());
                }
            }
            Step::Block {
                count,
                foreign,
                broke,
            } => self.mine(count, foreign, broke),
            Step::Wait { ms } => self.now_ms += ms,
        }
    }

    /// Includes the best ones, perhaps one that we never saw, and perhaps
    /// changes somebody's balance.
    fn mine(&mut self, count: usize, foreign: Option<u64>, broke: Option<(u64, u64)>) {
        let mut included = Vec::new();
        for offer in self.pool.best(0, self.now_ms).take(count) {
            let (nonce, balance) = self.accounts.get(offer.sender());
            assert_eq!(
                nonce,
                offer.transaction().nonce(),
                "what is offered can run next"
            );
            let balance = balance
                .checked_sub(offer.transaction().value())
                .expect("can pay");
            self.accounts
                .0
                .lock()
                .insert(offer.sender(), (nonce + 1, balance));
            let (sender, hash) = (offer.sender(), offer.hash());
            included.push(IncludedTransaction {
                sender,
                hash,
                gas_used: 21_000,
            });
        }
        if let Some(sender) = foreign {
            let (nonce, balance) = self.accounts.get(account(sender));
            self.accounts.set(sender, nonce + 1, balance);
            let hash = transfer(sender, nonce).tip(12_345).build().hash();
            included.push(IncludedTransaction {
                sender: account(sender),
                hash,
                gas_used: 50_000,
            });
        }
        let changed = broke.map(|(sender, balance)| {
            let (nonce, _) = self.accounts.get(account(sender));
            self.accounts
                .set(sender, nonce, U256::from(balance * 100_000));
            account(sender)
        });
        let changed: Vec<Address> = changed.into_iter().collect();
        self.pool
            .on_block(block(&included, &changed), &self.accounts, self.now_ms);
        for one in &included {
            assert!(!self.pool.contains(&one.hash), "what is included is gone");
        }
    }

    fn check(&self) {
        self.pool.lock().assert_consistent(&self.config);
        let mut next: BTreeMap<Address, u64> = BTreeMap::new();
        let offers = offered(&self.pool, 0, self.now_ms);
        for (sender, nonce) in &offers {
            let expected = next
                .entry(*sender)
                .or_insert_with(|| self.accounts.get(*sender).0);
            assert_eq!(nonce, expected, "offered nonces have no gap");
            *expected += 1;
        }
        assert_eq!(
            self.pool.has_executable(0, self.now_ms),
            !offers.is_empty(),
            "work is waiting exactly when something is offered"
        );
    }
}

fn scarce() -> GasPolicy {
    GasPolicy::Free(GasCreditParameters {
        capacity_gas: 100_000,
        refill_gas_per_s: 1_000,
        shared_capacity_gas: 150_000,
        shared_refill_gas_per_s: 2_000,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn pool_stays_consistent_whatever_happens(steps in proptest::collection::vec(step(), 1..120)) {
        for policy in [plenty(), scarce(), metered(0)] {
            let mut story = Story::new(policy);
            for step in steps.clone() {
                story.take(step);
                story.check();
            }
        }
    }

    #[test]
    fn with_time_and_blocks_everything_executable_is_included(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut story = Story::new(scarce());
        for step in steps {
            story.take(step);
        }
        // Forty blocks are more than the pool holds; credit refills in between.
        for _ in 0..40 {
            story.now_ms += 100_000;
            story.mine(usize::MAX, None, None);
        }
        story.check();
        prop_assert_eq!(story.pool.status().executable, 0, "nothing that can run is stuck");
    }
}
