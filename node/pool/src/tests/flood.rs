//! Free gas under a flood from many fresh accounts.

use super::*;
use crate::{IncludedTransaction, OrganisationOf};
use alloy_consensus::Transaction as _;
use alloy_primitives::B256;
use std::sync::Arc;

const MEMBER: u64 = 1_000_000;
const BLOCK_GAS: u64 = 10_000_000;

const CREDIT: GasCreditParameters = GasCreditParameters {
    capacity_gas: 2_000_000,
    refill_gas_per_s: 500_000,
    shared_capacity_gas: 4_200_000,
    shared_refill_gas_per_s: 2_100_000,
};

/// Accounts from `MEMBER` on belong to one organisation.
struct Members;

impl OrganisationOf for Members {
    fn organisation(&self, address: Address) -> Option<B256> {
        (address >= account(MEMBER)).then_some(B256::repeat_byte(1))
    }
}

fn flooded_pool() -> Pool {
    let config = PoolConfig::new(CHAIN_ID, BLOCK_GAS, GasPolicy::Free(CREDIT));
    Pool::with_rules(config, None, Some(Arc::new(Members)))
}

/// Builds a block as a proposer does and tells the pool; says who was in it.
fn mine(pool: &Pool, accounts: &Accounts, now_ms: u64) -> Vec<Address> {
    let mut best = pool.best(0, now_ms);
    let mut left = BLOCK_GAS;
    let mut included = Vec::new();
    while let Some(offer) = best.next() {
        let gas = offer.transaction().gas_limit();
        if gas > left {
            best.skip_sender(offer.sender());
            continue;
        }
        left -= gas;
        let (sender, nonce) = (offer.sender(), offer.transaction().nonce());
        accounts.0.lock().insert(sender, (nonce + 1, ETHER));
        included.push(IncludedTransaction {
            sender,
            hash: offer.hash(),
            gas_used: gas,
        });
    }
    pool.on_block(block(&included, &[]), accounts, now_ms);
    included
        .into_iter()
        .map(|included| included.sender)
        .collect()
}

#[test]
fn flood_from_ten_thousand_fresh_accounts_leaves_an_organisation_its_share() {
    let (pool, accounts) = (flooded_pool(), Accounts::default());
    for sender in 0..10_000 {
        add(&pool, &accounts, transfer(sender, 0).tip(1_000)).expect("room");
    }
    // The flood pays tips and came first; the member pays nothing.
    for nonce in 0..50 {
        add(&pool, &accounts, transfer(MEMBER, nonce)).expect("room");
    }
    let first = mine(&pool, &accounts, 0);
    let members = first
        .iter()
        .filter(|sender| **sender == account(MEMBER))
        .count();
    assert_eq!(
        members, 50,
        "all of the organisation's are in the first block"
    );
    assert_eq!(
        first.len() - members,
        200,
        "strangers get the shared bucket, once"
    );

    // Ten seconds in blocks of 100 ms: strangers get what refills, no more.
    let mut strangers = 0;
    for step in 1..=100 {
        strangers += mine(&pool, &accounts, step * 100).len();
    }
    assert_eq!(strangers, 1_000);
    pool.lock().assert_consistent(&PoolConfig::new(
        CHAIN_ID,
        BLOCK_GAS,
        GasPolicy::Free(CREDIT),
    ));
}

#[test]
fn exhausted_credit_says_when_to_look_again() {
    let (pool, accounts) = (flooded_pool(), Accounts::default());
    for sender in 0..1_000 {
        add(&pool, &accounts, transfer(sender, 0)).expect("room");
    }
    assert_eq!(pool.next_executable_at(0, 0), Some(0));
    assert_eq!(mine(&pool, &accounts, 0).len(), 200);
    assert!(!pool.has_executable(0, 0));
    let at_ms = pool.next_executable_at(0, 0).expect("refills");
    assert_eq!(at_ms, 10, "21,000 gas refill in 10 ms");
    add(&pool, &accounts, transfer(2_000, 0)).expect("room");
    assert_eq!(
        pool.next_executable_at(0, 0),
        Some(10),
        "a further stranger waits as well"
    );
    assert_eq!(mine(&pool, &accounts, 9).len(), 0);
    assert!(pool.has_executable(0, 10));
    assert_eq!(mine(&pool, &accounts, 10).len(), 1);
    add(&pool, &accounts, transfer(MEMBER, 0)).expect("room");
    assert!(pool.has_executable(0, 10), "a member has credit of its own");
}

#[test]
fn one_stranger_uses_no_more_than_its_own_bucket() {
    let (pool, accounts) = (flooded_pool(), Accounts::default());
    for nonce in 0..300 {
        add(&pool, &accounts, transfer(1, nonce)).expect("room");
    }
    let own = CREDIT.capacity_gas / 21_000;
    assert_eq!(mine(&pool, &accounts, 0).len() as u64, own);
    assert_eq!(mine(&pool, &accounts, 0).len(), 0);
}

#[test]
fn pool_full_of_strangers_still_takes_a_member() {
    let config = PoolConfig {
        transactions_max: 100,
        ..PoolConfig::new(CHAIN_ID, BLOCK_GAS, GasPolicy::Free(CREDIT))
    };
    let pool = Pool::with_rules(config, None, Some(Arc::new(Members)));
    let accounts = Accounts::default();
    for sender in 0..100 {
        add(&pool, &accounts, transfer(sender, 0).tip(1_000)).expect("room");
    }
    assert_eq!(
        add(&pool, &accounts, transfer(200, 0)),
        Err(PoolError::Full)
    );
    let outcome = add(&pool, &accounts, transfer(MEMBER, 0)).expect("members come first");
    assert_eq!(outcome.evicted.len(), 1);
}

#[test]
fn member_is_in_the_next_block_however_much_credit_and_tips_a_flood_has() {
    let generous = GasCreditParameters {
        capacity_gas: u64::MAX,
        refill_gas_per_s: 0,
        shared_capacity_gas: u64::MAX,
        shared_refill_gas_per_s: 0,
    };
    let config = PoolConfig::new(CHAIN_ID, BLOCK_GAS, GasPolicy::Free(generous));
    let pool = Pool::with_rules(config, None, Some(Arc::new(Members)));
    let accounts = Accounts::default();
    for sender in 0..1_000 {
        add(&pool, &accounts, transfer(sender, 0).tip(1_000)).expect("room");
    }
    add(&pool, &accounts, transfer(MEMBER, 0)).expect("room");
    assert_eq!(mine(&pool, &accounts, 0)[0], account(MEMBER));
}
