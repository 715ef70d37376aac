//! What is offered to the builder in which order, and what a block changes.

use super::*;
use crate::{IncludedTransaction, PoolStatus};

fn included(spec: Spec) -> IncludedTransaction {
    let (sender, hash) = (account(spec.sender), spec.build().hash());
    IncludedTransaction {
        sender,
        hash,
        gas_used: 21_000,
    }
}

#[test]
fn highest_tip_goes_first_then_the_earliest_and_nonces_stay_in_order() {
    let (pool, accounts) = (pool(), Accounts::default());
    for spec in [
        transfer(1, 0).tip(5),
        transfer(2, 0).tip(9),
        transfer(3, 0).tip(5),
        transfer(2, 1).tip(1),
        transfer(1, 1).tip(9),
    ] {
        add(&pool, &accounts, spec).expect("fine");
    }
    let expected = [(2, 0), (1, 0), (1, 1), (3, 0), (2, 1)];
    assert_eq!(
        offered(&pool, 0, 0),
        expected.map(|(sender, nonce)| (account(sender), nonce))
    );
}

#[test]
fn tip_is_what_the_base_fee_leaves_of_the_fee() {
    let pool = Pool::new(PoolConfig::new(CHAIN_ID, GAS_LIMIT, metered(10)));
    let accounts = Accounts::default();
    add(&pool, &accounts, transfer(1, 0).tip(50).fee(60)).expect("fine");
    add(&pool, &accounts, transfer(2, 0).tip(40).fee(100)).expect("fine");
    assert_eq!(offered(&pool, 10, 0)[0].0, account(1));
    assert_eq!(offered(&pool, 50, 0)[0].0, account(2));
    assert_eq!(offered(&pool, 61, 0), [(account(2), 0)]);
    assert!(!pool.has_executable(101, 0));
    assert!(pool.has_executable(100, 0));
}

#[test]
fn gap_is_closed_by_the_missing_nonce() {
    let (pool, accounts) = (pool(), Accounts::default());
    let late = add(&pool, &accounts, transfer(1, 1)).expect("waits");
    assert!(!late.executable);
    assert_eq!(pool.pending_nonce(account(1)), None);
    assert!(!pool.has_executable(0, 0));
    let first = add(&pool, &accounts, transfer(1, 0)).expect("fine");
    assert_eq!(first.promoted, [first.hash, late.hash]);
    assert_eq!(pool.pending_nonce(account(1)), Some(2));
    assert_eq!(offered(&pool, 0, 0), [(account(1), 0), (account(1), 1)]);
}

#[test]
fn block_takes_its_transactions_out_and_drops_those_it_makes_stale() {
    let (pool, accounts) = (pool(), Accounts::default());
    let ours = add(&pool, &accounts, transfer(1, 0)).expect("fine").hash;
    let stale = add(&pool, &accounts, transfer(1, 1)).expect("fine").hash;
    add(&pool, &accounts, transfer(1, 2)).expect("fine");
    accounts.set(1, 2, ETHER);
    let included = [included(transfer(1, 0)), included(transfer(1, 1).tip(7))];
    let outcome = pool.on_block(block(&included, &[]), &accounts, 0);
    assert_eq!(
        (outcome.included, outcome.dropped),
        (vec![ours], vec![stale])
    );
    assert_eq!(offered(&pool, 0, 0), [(account(1), 2)]);
}

#[test]
fn lost_balance_makes_transactions_wait_and_money_wakes_them() {
    let (pool, accounts) = (pool(), Accounts::default());
    let hash = add(&pool, &accounts, transfer(1, 0).value(ETHER))
        .expect("affordable")
        .hash;
    accounts.set(1, 0, U256::ZERO);
    pool.on_block(block(&[], &[account(1)]), &accounts, 0);
    assert!(!pool.has_executable(0, 0));
    assert!(pool.get(&hash).is_some());
    accounts.set(1, 0, ETHER);
    let outcome = pool.on_block(block(&[], &[account(1)]), &accounts, 0);
    assert_eq!(outcome.promoted, [hash]);
    assert!(pool.has_executable(0, 0));
}

#[test]
fn account_that_the_pool_saw_old_is_refreshed_by_its_next_transaction() {
    let (pool, accounts) = (pool(), Accounts::default());
    add(&pool, &accounts, transfer(1, 0)).expect("fine");
    accounts.set(1, 1, ETHER);
    add(&pool, &accounts, transfer(1, 1)).expect("fine");
    assert_eq!(offered(&pool, 0, 0), [(account(1), 1)]);
    assert_eq!(pool.status().executable, 1);
}

#[test]
fn removed_transaction_leaves_its_followers_waiting() {
    let (pool, accounts) = (pool(), Accounts::default());
    let first = add(&pool, &accounts, transfer(1, 0)).expect("fine").hash;
    add(&pool, &accounts, transfer(1, 1)).expect("fine");
    assert!(pool.remove(&first).is_some());
    let status = pool.status();
    assert_eq!((status.executable, status.queued), (0, 1));
    assert!(pool.remove(&first).is_none());
}

#[test]
fn skipped_sender_is_not_offered_again() {
    let (pool, accounts) = (pool(), Accounts::default());
    for spec in [transfer(1, 0), transfer(1, 1), transfer(2, 0)] {
        add(&pool, &accounts, spec).expect("fine");
    }
    let mut best = pool.best(0, 0);
    assert_eq!(best.next().map(|offer| offer.sender()), Some(account(1)));
    best.skip_sender(account(1));
    assert_eq!(best.next().map(|offer| offer.sender()), Some(account(2)));
    assert!(best.next().is_none());
}

#[test]
fn queued_transaction_is_dropped_after_its_lifetime() {
    let (pool, accounts) = (pool(), Accounts::default());
    let hash = add(&pool, &accounts, transfer(1, 1)).expect("waits").hash;
    add(&pool, &accounts, transfer(2, 0)).expect("fine");
    let lifetime_ms = 3 * 60 * 60 * 1_000;
    assert!(
        pool.on_block(block(&[], &[]), &accounts, lifetime_ms)
            .dropped
            .is_empty()
    );
    let outcome = pool.on_block(block(&[], &[]), &accounts, lifetime_ms + 60_000);
    assert_eq!(outcome.dropped, [hash]);
    assert_eq!(pool.status().executable, 1);
}

#[test]
fn full_pool_drops_queued_then_cheapest_then_newest_and_refuses_no_better_ones() {
    let config = PoolConfig {
        transactions_max: 3,
        ..PoolConfig::new(CHAIN_ID, GAS_LIMIT, plenty())
    };
    let (pool, accounts) = (Pool::new(config), Accounts::default());
    add(&pool, &accounts, transfer(1, 0).tip(5)).expect("room");
    let queued = add(&pool, &accounts, transfer(2, 1).tip(9))
        .expect("room")
        .hash;
    let newest = add(&pool, &accounts, transfer(3, 0).tip(5))
        .expect("room")
        .hash;
    let outcome = add(&pool, &accounts, transfer(4, 0).tip(6)).expect("better than a queued one");
    assert_eq!(outcome.evicted, [queued]);
    assert_eq!(
        add(&pool, &accounts, transfer(5, 0).tip(5)),
        Err(PoolError::Full)
    );
    assert_eq!(
        add(&pool, &accounts, transfer(5, 1).tip(50)),
        Err(PoolError::Full)
    );
    let outcome = add(&pool, &accounts, transfer(5, 0).tip(6)).expect("better than the newest");
    assert_eq!(outcome.evicted, [newest]);
}

#[test]
fn bytes_are_bounded_too() {
    let size = transfer(1, 0).build().encoded_length();
    let config = PoolConfig {
        bytes_max: 2 * size,
        ..PoolConfig::new(CHAIN_ID, GAS_LIMIT, plenty())
    };
    let (pool, accounts) = (Pool::new(config), Accounts::default());
    add(&pool, &accounts, transfer(1, 0)).expect("room");
    add(&pool, &accounts, transfer(2, 0)).expect("room");
    assert_eq!(add(&pool, &accounts, transfer(3, 0)), Err(PoolError::Full));
    assert_eq!(
        pool.status(),
        PoolStatus {
            executable: 2,
            queued: 0,
            bytes: 2 * size
        }
    );
}

#[test]
fn hashes_can_be_compared_with_those_of_another_pool() {
    let (pool, accounts) = (pool(), Accounts::default());
    let here = add(&pool, &accounts, transfer(1, 0)).expect("fine").hash;
    add(&pool, &accounts, transfer(2, 5)).expect("waits");
    let elsewhere = transfer(3, 0).build().hash();
    assert_eq!(pool.hashes(10), [here]);
    assert!(pool.hashes(0).is_empty());
    assert_eq!(pool.missing(&[here, elsewhere]), [elsewhere]);
    assert_eq!(pool.sender_of(&here), Some(account(1)));
    let content = pool.content();
    assert_eq!((content.executable.len(), content.queued.len()), (1, 1));
}
