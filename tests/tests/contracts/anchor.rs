//! DataAnchor: order of batches, who may anchor, proofs and tombstones.

use crate::harness::{Chain, GENESIS_TIME, key, seconds, sign};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::{
    data_anchor::{DataAnchor::*, IDataAnchor::Batch},
    eip712,
    sensor_registry::SensorRegistry,
};
use proptest::prelude::*;

fn batch(from: u64, to: u64, count: u32) -> Batch {
    Batch {
        root: keccak256((from, to, count).abi_encode()),
        from: seconds(from),
        to: seconds(to),
        count,
    }
}

/// The device's own signature for its batch number `seq`.
fn signed(chain: &Chain, device: &str, source: B256, seq: u64, b: &Batch) -> Bytes {
    let message = eip712::Anchoring {
        source,
        seq,
        root: b.root,
        from: b.from,
        to: b.to,
        count: b.count,
    };
    sign(&key(device), &chain.domain("DataAnchor"), &message)
}

fn anchoring(chain: &Chain, source: B256, seq: u64, b: Batch) -> anchorCall {
    let sig = signed(chain, "sensor", source, seq, &b);
    anchorCall { source, b, sig }
}

fn stats(chain: &Chain, source: B256) -> statsReturn {
    chain.view(chain.at.data_anchor, &statsCall { source })
}

fn sensor() -> (Chain, B256) {
    let mut chain = Chain::new();
    let source = chain.register(1, "sensor");
    chain.warp(100_000);
    (chain, source)
}

const T: u64 = GENESIS_TIME;

#[test]
fn batches_must_hold_something_and_go_forward() {
    let (mut chain, source) = sensor();
    let at = chain.at.data_anchor;
    let cases = [
        batch(T, T, 0),
        Batch {
            root: B256::ZERO,
            ..batch(T, T, 1)
        },
    ];
    for b in cases {
        chain.fails::<Empty>(9, at, &anchoring(&chain, source, 1, b));
    }
    chain.fails::<Future>(
        9,
        at,
        &anchoring(&chain, source, 1, batch(T, chain.time + 1, 1)),
    );
    chain.fails::<Backwards>(9, at, &anchoring(&chain, source, 1, batch(T + 1, T, 1)));
    chain.ok(9, at, &anchoring(&chain, source, 1, batch(T, T + 60, 2)));
    chain.fails::<Backwards>(9, at, &anchoring(&chain, source, 2, batch(T, T + 59, 2)));
}

#[test]
fn only_the_live_source_anchors() {
    let (mut chain, source) = sensor();
    let at = chain.at.data_anchor;
    let b = batch(T, T + 60, 2);
    let by_other = anchorCall {
        source,
        b: b.clone(),
        sig: signed(&chain, "other", source, 1, &b),
    };
    chain.fails::<NotSource>(1, at, &by_other);
    chain.fails::<NotSource>(
        1,
        at,
        &anchorCall {
            source,
            b: b.clone(),
            sig: Bytes::new(),
        },
    );
    chain.fails::<NotSource>(
        9,
        at,
        &anchoring(&chain, keccak256("nothing"), 1, b.clone()),
    );
    let good = anchoring(&chain, source, 1, b);
    chain.ok(
        1,
        chain.at.sensor_registry,
        &SensorRegistry::setStatusCall {
            id: source,
            status: 2,
        },
    );
    chain.fails::<NotSource>(9, at, &good);
}

#[test]
fn device_anchors_by_its_own_call() {
    let (mut chain, source) = sensor();
    let call = anchorCall {
        source,
        b: batch(T, T + 60, 2),
        sig: Bytes::new(),
    };
    assert!(
        chain
            .call(key("sensor").address(), chain.at.data_anchor, &call)
            .success
    );
}

#[test]
fn batch_is_numbered_and_works_once() {
    let (mut chain, source) = sensor();
    let at = chain.at.data_anchor;
    let first = anchoring(&chain, source, 1, batch(T, T + 60, 2));
    let outcome = chain.ok(9, at, &first);
    assert_eq!(anchorCall::abi_decode_returns(&outcome.output).unwrap(), 1);
    let event = outcome.event::<Anchored>();
    assert_eq!(
        (event.source, event.seq, event.root),
        (source, 1, first.b.root)
    );
    chain.fails::<NotSource>(9, at, &first);
    chain.ok(
        9,
        at,
        &anchoring(&chain, source, 2, batch(T + 60, T + 60, 1)),
    );
}

#[test]
fn head_folds_all_batches_and_coverage_counts_what_was_promised() {
    let (mut chain, source) = sensor();
    let at = chain.at.data_anchor;
    // Period 60: a batch must hold at least one reading per 120 s to count.
    let batches = [
        (batch(T, T + 600, 5), 600),
        (batch(T + 300, T + 900, 5), 900),
        (batch(T + 900, T + 2_000, 9), 900),
        (batch(T + 2_100, T + 2_220, 1), 1_020),
    ];
    let mut head = B256::ZERO;
    for (seq, (b, covered)) in (1..).zip(batches) {
        chain.ok(9, at, &anchoring(&chain, source, seq, b.clone()));
        head = keccak256(
            (
                head,
                b.root,
                U256::from(b.from),
                U256::from(b.to),
                U256::from(b.count),
            )
                .abi_encode(),
        );
        let found = stats(&chain, source);
        assert_eq!((found.seq, found.covered, found.head), (seq, covered, head));
    }
    let found = stats(&chain, source);
    assert_eq!((found.first, found.last), (seconds(T), seconds(T + 2_220)));
}

#[test]
fn many_batches_in_one_call() {
    let (mut chain, source) = sensor();
    let at = chain.at.data_anchor;
    let batches: Vec<_> = (0..65)
        .map(|index| batch(T + index * 60, T + index * 60 + 59, 1))
        .collect();
    let sigs: Vec<_> = (1..)
        .zip(&batches)
        .map(|(seq, b)| signed(&chain, "sensor", source, seq, b))
        .collect();
    let call = |count: usize| anchorManyCall {
        sources: vec![source; count],
        b: batches[..count].to_vec(),
        sigs: sigs[..count].to_vec(),
    };
    chain.fails::<Empty>(9, at, &call(0));
    chain.fails::<Empty>(9, at, &call(65));
    chain.fails::<Empty>(
        9,
        at,
        &anchorManyCall {
            sources: vec![source; 1],
            ..call(2)
        },
    );
    chain.ok(9, at, &call(64));
    assert_eq!(stats(&chain, source).seq, 64);
}

/// Root and proofs of a sorted-pair tree; an odd node goes up unchanged.
fn tree(leaves: &[B256]) -> (B256, Vec<Vec<B256>>) {
    let mut proofs = vec![Vec::new(); leaves.len()];
    let mut positions: Vec<_> = (0..leaves.len()).collect();
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        for (proof, position) in proofs.iter_mut().zip(&mut positions) {
            if let Some(sibling) = level.get(*position ^ 1) {
                proof.push(*sibling);
            }
            *position /= 2;
        }
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => keccak256([a.min(b).as_slice(), a.max(b).as_slice()].concat()),
                _ => pair[0],
            })
            .collect();
    }
    (level[0], proofs)
}

#[test]
fn erased_leaf_says_so_and_the_others_stay_valid() {
    let (mut chain, source) = sensor();
    let at = chain.at.data_anchor;
    let leaves: Vec<_> = (0..5_u8).map(|index| keccak256([index])).collect();
    let (root, proofs) = tree(&leaves);
    chain.ok(
        9,
        at,
        &anchoring(
            &chain,
            source,
            1,
            Batch {
                root,
                ..batch(T, T + 60, 5)
            },
        ),
    );
    let verify = |chain: &Chain, index: usize, seq: u64| {
        let call = verifyCall {
            source,
            seq,
            leaf: leaves[index],
            proof: proofs[index].clone(),
        };
        chain.view(at, &call)
    };
    assert_eq!(
        (
            verify(&chain, 3, 1),
            verify(&chain, 4, 1),
            verify(&chain, 3, 2)
        ),
        (1, 1, 0)
    );
    let wrong = verifyCall {
        source,
        seq: 1,
        leaf: leaves[0],
        proof: proofs[1].clone(),
    };
    assert_eq!(chain.view(at, &wrong), 0);

    let erase = tombstoneCall {
        source,
        seq: 1,
        leaves: vec![leaves[3]],
        reason: keccak256("erased"),
    };
    chain.fails::<NotSource>(2, at, &erase);
    chain.fails::<UnknownBatch>(
        1,
        at,
        &tombstoneCall {
            seq: 2,
            ..erase.clone()
        },
    );
    chain.fails::<Empty>(
        1,
        at,
        &tombstoneCall {
            leaves: vec![],
            ..erase.clone()
        },
    );
    chain.fails::<Empty>(
        1,
        at,
        &tombstoneCall {
            leaves: vec![root; 65],
            ..erase.clone()
        },
    );
    assert_eq!(
        chain.ok(1, at, &erase).event::<Tombstoned>().leaf,
        leaves[3]
    );
    assert_eq!((verify(&chain, 3, 1), verify(&chain, 2, 1)), (2, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is anchored in whatever order: seq has no gap, times go forward, coverage stays inside.
    #[test]
    fn invariants_hold_for_any_batches(
        batches in proptest::collection::vec((0_u64..5_000, 0_u64..5_000, 0_u32..50), 1..20),
    ) {
        let (mut chain, source) = sensor();
        let mut seq = 0;
        let mut last = 0;
        for (from, length, count) in batches {
            let b = batch(T + from, T + from + length, count);
            let call = anchoring(&chain, source, seq + 1, b);
            let accepted = chain.call(chain.account(9), chain.at.data_anchor, &call).success;
            prop_assert_eq!(accepted, count > 0 && T + from + length >= last);
            if accepted {
                seq += 1;
                last = T + from + length;
            }
            let found = stats(&chain, source);
            prop_assert_eq!(found.seq, seq);
            prop_assert_eq!(found.last, seconds(last));
            prop_assert!(U256::from(found.covered) <= U256::from(found.last) - U256::from(found.first));
        }
    }
}
