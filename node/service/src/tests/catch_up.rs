//! How fast a node catches up. Run it with
//! `cargo test --release -p medina-service --lib catch_up_speed -- --ignored --nocapture`.

use super::{support::*, transfers::chain_of_transfers};
use crate::{chain::Written, sync::serve};
use alloy_consensus::transaction::SignerRecoverable;
use medina_types::{Height, SealedBlock, wire::SyncRequest};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Empty blocks in the measurement.
const BLOCKS: u64 = 20_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: prints a figure"]
async fn catch_up_speed_of_empty_blocks() {
    let (_source_folder, source) = grown_chain(BLOCKS);
    let node = behind();
    for peer in 0..3 {
        node.links
            .connect(key(peer), Height(BLOCKS), honest(&source));
    }
    let started = Instant::now();
    node.sync.catch_up().await;
    let took = started.elapsed();
    assert_eq!(node.chain.head().height, Height(BLOCKS));
    let per_second = BLOCKS as f64 / took.as_secs_f64();
    println!("{BLOCKS} empty blocks of 4 validators in {took:.2?}: {per_second:.0} blocks/s");
}

/// Time spent on one kind of work.
#[derive(Default)]
struct Costs(Vec<(&'static str, Duration)>);

impl Costs {
    fn of<T>(&mut self, what: &'static str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        match self.0.iter_mut().find(|(name, _)| *name == what) {
            Some((_, total)) => *total += took,
            None => self.0.push((what, took)),
        }
        result
    }

    fn print(&self, count: u64) {
        for (what, total) in &self.0 {
            let each = total.as_secs_f64() * 1e6 / count as f64;
            println!("{what:>28}: {each:7.1} us each");
        }
    }
}

/// Blocks full of token transfers between the test accounts.
const FULL_BLOCKS: u64 = 8;
const TRANSFERS_PER_BLOCK: u64 = 1_000;

#[test]
#[ignore = "a measurement: prints figures"]
fn catch_up_costs_of_a_transfer() {
    let (_source_folder, source) = chain_of_transfers(FULL_BLOCKS, TRANSFERS_PER_BLOCK);
    let (_folder, chain) = chain();
    let mut costs = Costs::default();
    for from in 1..=FULL_BLOCKS {
        let request = SyncRequest {
            from: Height(from),
            count: 1,
        };
        let served = costs.of("serve", || serve(&source, request));
        for block in served.blocks {
            let sealed = costs.of("decode", || SealedBlock::decode(&block.block).unwrap());
            costs.of("body", || assert!(sealed.is_body_of_header()));
            let senders: HashMap<_, _> = costs.of("senders, one thread", || {
                let transactions = sealed.transactions().iter();
                let senders = transactions.map(|transaction| {
                    let sender = transaction.recover_signer().unwrap();
                    (*transaction.tx_hash(), sender)
                });
                senders.collect()
            });
            let executed = costs.of("validate", || {
                chain.validate_with(&sealed, &senders).unwrap()
            });
            costs.of("(of it the state root)", || {
                chain.store.state_root_after(&executed.changes).unwrap()
            });
            costs.of("commit", || {
                chain
                    .commit(executed, &block.certificate, None, Written::IMPORTED)
                    .unwrap();
            });
        }
    }
    costs.print(FULL_BLOCKS * TRANSFERS_PER_BLOCK);
}

#[test]
#[ignore = "a measurement: prints figures"]
fn catch_up_costs_of_an_empty_block() {
    const COUNT: u64 = 5_000;
    let (_source_folder, source) = grown_chain(COUNT);
    let (_folder, chain) = chain();
    let mut costs = Costs::default();
    for from in (1..=COUNT).step_by(64) {
        let request = SyncRequest {
            from: Height(from),
            count: 64.min(COUNT + 1 - from),
        };
        let served = costs.of("serve", || serve(&source, request));
        for block in served.blocks {
            let head = chain.head();
            let set = &head.context.validators;
            let sealed = costs.of("decode", || SealedBlock::decode(&block.block).unwrap());
            let engine = chain.spec.consensus.engine;
            let genesis = chain.spec.genesis_hash;
            costs.of("certificate", || {
                block
                    .certificate
                    .verify(genesis, sealed.height(), sealed.hash(), set, engine)
                    .unwrap();
            });
            costs.of("body", || assert!(sealed.is_body_of_header()));
            let executed = costs.of("validate", || chain.validate(&sealed).unwrap());
            costs.of("(of it the state root)", || {
                chain.store.state_root_after(&executed.changes).unwrap()
            });
            costs.of("(of it the view)", || drop(chain.store.state()));
            costs.of("commit", || {
                chain
                    .commit(executed, &block.certificate, None, Written::IMPORTED)
                    .unwrap();
            });
        }
    }
    costs.print(COUNT);
}
