//! Thousands of seeds through the consensus simulator.
//!
//! `MEDINA_SEEDS=FROM..TO` chooses a range, `MEDINA_SEED=N` one seed, as a
//! failure prints it.

use medina_tests::simulator::{Invariant, Sabotage, Scenario, Violation, run};
use rayon::prelude::*;
use std::{env, ops::Range};

/// Seeds of every ordinary test run.
const SEEDS: Range<u64> = 0..5_000;

fn seeds() -> Range<u64> {
    if let Ok(seed) = env::var("MEDINA_SEED") {
        let seed = seed.parse().expect("MEDINA_SEED is a number");
        return seed..seed + 1;
    }
    let Ok(range) = env::var("MEDINA_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = range.split_once("..").unwrap_or(("0", &range));
    let parse = |text: &str| text.parse().expect("MEDINA_SEEDS is FROM..TO");
    parse(from)..parse(to)
}

#[test]
fn every_seed_agrees_and_recovers() {
    let outcomes: Vec<_> = seeds()
        .into_par_iter()
        .map(|seed| run(Scenario::from_seed(seed)))
        .collect();
    let (mut blocks, mut crashes, mut slowest_ms) = (0, 0, 0);
    let mut violations = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => {
                blocks += outcome.blocks;
                crashes += outcome.crashes;
                slowest_ms = slowest_ms.max(outcome.recovery_ms);
            }
            Err(violation) => violations.push(violation.to_string()),
        }
    }
    println!("{blocks} blocks, {crashes} crashes, slowest recovery {slowest_ms} ms");
    let shown = violations.len().min(10);
    assert!(
        violations.is_empty(),
        "{} failed:\n{}",
        violations.len(),
        violations[..shown].join("\n")
    );
}

#[test]
fn same_seed_twice_is_the_same_run() {
    for seed in [1, 7, 42, 99, 1234] {
        let [first, second] = [(); 2].map(|()| run(Scenario::from_seed(seed)));
        assert_eq!(first, second, "seed {seed}");
    }
    let [one, other] = [3, 4].map(|seed| run(Scenario::from_seed(seed)).map(|run| run.trace));
    assert_ne!(one, other, "the trace must tell runs apart");
}

fn violations(sabotage: Sabotage, seeds: Range<u64>) -> Vec<Violation> {
    let runs = seeds.into_par_iter();
    runs.filter_map(|seed| run(Scenario::from_seed(seed).sabotaged(sabotage)).err())
        .collect()
}

#[test]
fn checker_notices_each_sabotage() {
    let table = [
        (Sabotage::TooManyTwins, Invariant::Agreement),
        (Sabotage::ForgetfulHonest, Invariant::NoEquivocation),
        (Sabotage::BlindEngines, Invariant::Certificate),
        (Sabotage::NoHealing, Invariant::Liveness),
    ];
    for (sabotage, expected) in table {
        let found = violations(sabotage, 0..150);
        let is_named = found
            .iter()
            .any(|violation| violation.invariant == expected);
        assert!(
            is_named,
            "{sabotage:?} was to violate {expected:?}, found {found:?}"
        );
    }
}
