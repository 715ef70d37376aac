//! Thousands of seeds through the consensus simulator, and proof that its
//! checker can fail.
//!
//! `make simulate SEEDS=N [ENGINE=qbft|raft] [SEED=one]` runs more of them.

use medina_simulator::{
    Campaign, Change, Fault, Invariant, Sabotage, Scenario, Transaction, Violation,
    crash_everywhere, run,
};
use medina_types::ConsensusEngine::{self, Qbft, Raft};
use rayon::prelude::*;

/// A panic of an engine is a finding like any other.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Engines run on rayon's threads, which have no name.
            if std::thread::current().name().is_some() {
                usual(panic);
            }
        }));
    });
}

fn check(campaign: &Campaign) {
    let shown: Vec<_> = campaign
        .violations
        .iter()
        .take(10)
        .map(ToString::to_string)
        .collect();
    assert!(
        shown.is_empty(),
        "{} failed:\n{}",
        campaign.violations.len(),
        shown.join("\n")
    );
}

/// Everything that a run of this engine can meet, met at least once.
fn check_coverage(campaign: &Campaign, absent: &[&str]) {
    for (name, count) in campaign.coverage.counts() {
        assert!(
            count > 0 || absent.contains(&name.as_str()),
            "no run met: {name}"
        );
    }
}

#[test]
fn qbft_agrees_and_recovers_in_every_seed() {
    let campaign = Campaign::over(Qbft, 0..2_000, || {});
    check(&campaign);
    check_coverage(&campaign, &["log entries refused"]);
}

#[test]
fn raft_agrees_and_recovers_in_every_seed() {
    let campaign = Campaign::over(Raft, 0..1_000, || {});
    check(&campaign);
    let absent = [
        "proposals refused by the clock",
        "lying sync answers refused",
    ];
    check_coverage(&campaign, &absent);
}

#[test]
fn same_seed_twice_is_the_same_run() {
    for engine in [Qbft, Raft] {
        for seed in [1, 7, 42, 99, 1234] {
            let [first, second] = [(); 2].map(|()| run(Scenario::from_seed(engine, seed)));
            assert_eq!(first, second, "{engine:?} seed {seed}");
        }
        let [one, other] =
            [3, 4].map(|seed| run(Scenario::from_seed(engine, seed)).map(|run| run.trace));
        assert_ne!(one, other, "the trace must tell runs apart");
    }
}

#[test]
fn node_may_die_around_every_single_write() {
    for engine in [Qbft, Raft] {
        for validators in [1, 3, 4] {
            let mut scenario = Scenario::quiet(engine, 5, validators);
            scenario.transactions = (0..3)
                .map(|number| Transaction {
                    // A lone Raft member waits two seconds for old acquaintances.
                    at_ms: 2_500 + 700 * number,
                    first: 0,
                    change: None,
                })
                .collect();
            let campaign = crash_everywhere(&scenario, 400);
            check(&campaign);
            let (before, after) = (
                campaign.coverage.crashes_before_write,
                campaign.coverage.crashes_after_write,
            );
            let enough = 3 * validators as u64;
            assert!(
                before >= enough && after >= enough,
                "{engine:?}, {validators} validators: {before} deaths before and {after} after a write"
            );
        }
    }
}

#[test]
fn set_goes_from_four_to_seven_to_four_to_one_to_two() {
    for engine in [Qbft, Raft] {
        for seed in 0..10 {
            let mut scenario = Scenario::quiet(engine, seed, 4);
            scenario.nodes = 7;
            scenario.skews_ms = vec![0; 7];
            scenario.disk_ms_max = vec![0; 7];
            scenario.late = vec![(4, 1_000), (5, 3_000), (6, 9_000)];
            scenario.heal_at_ms = 40_000;
            let adds = (4..7).map(Change::Add);
            let removes = [0, 1, 2, 3, 5, 4].map(Change::Remove);
            let changes = adds.chain(removes).chain([Change::Add(0)]);
            scenario.transactions = changes
                .enumerate()
                .map(|(number, change)| Transaction {
                    at_ms: 2_000 + 3_000 * number as u64,
                    first: 0,
                    change: Some(change),
                })
                .collect();
            match run(scenario) {
                Ok(outcome) => assert_eq!(outcome.coverage.set_changes, 10, "seed {seed}"),
                Err(violation) => panic!("{violation}"),
            }
        }
    }
}

/// Half of the validators is away, or cut off, while transactions wait.
#[test]
fn outage_of_any_length_ends_within_two_base_timeouts() {
    const MINUTE_MS: u64 = 60_000;
    for length_ms in [MINUTE_MS, 60 * MINUTE_MS, 7 * 24 * 60 * MINUTE_MS] {
        let mut scenario = Scenario::quiet(Qbft, 11, 4);
        scenario.heal_at_ms = 5_000 + length_ms;
        scenario.transactions = [1_000, 5_500, 6_000]
            .map(|at_ms| Transaction {
                at_ms,
                first: 0,
                change: None,
            })
            .to_vec();
        let crash = |node| {
            let down_ms = length_ms;
            (5_000, Fault::Crash { node, down_ms })
        };
        scenario.faults = vec![crash(2), crash(3)];
        let base_ms = scenario.parameters.base_timeout.as_millis();
        let outcome = run(scenario).unwrap_or_else(|violation| panic!("{violation}"));
        println!(
            "outage of {} minutes: all have a block after {} ms, {} steps",
            length_ms / MINUTE_MS,
            outcome.recovery_ms,
            outcome.steps
        );
        assert!(
            u128::from(outcome.recovery_ms) <= 2 * base_ms,
            "{outcome:?}"
        );
    }
}

/// A seed below `seeds` that violates `expected` once the defect is in.
fn find(
    engine: ConsensusEngine,
    sabotage: Sabotage,
    expected: Invariant,
    seeds: u64,
) -> Option<Violation> {
    let runs = (0..seeds).into_par_iter();
    runs.filter_map(|seed| run(Scenario::from_seed(engine, seed).sabotaged(sabotage)).err())
        .map(|violation| *violation)
        .find_any(|violation| violation.invariant == expected)
}

#[test]
fn checker_notices_each_sabotage() {
    let table = [
        (Qbft, Sabotage::TooManyTwins, Invariant::Agreement),
        (Qbft, Sabotage::ForgetfulHonest, Invariant::NoEquivocation),
        (Qbft, Sabotage::BlindEngines, Invariant::Certificate),
        (Qbft, Sabotage::NoHealing, Invariant::Liveness),
        (Qbft, Sabotage::UncheckedImport, Invariant::Certificate),
        (Qbft, Sabotage::UncheckedClocks, Invariant::Validity),
        (Raft, Sabotage::NoHealing, Invariant::Liveness),
        (Raft, Sabotage::DisputedEntries, Invariant::Validity),
        (Raft, Sabotage::ForgetfulHonest, Invariant::OneLeader),
    ];
    quiet_panics();
    for (engine, sabotage, expected) in table {
        let found = find(engine, sabotage, expected, 300);
        assert!(
            found.is_some(),
            "{engine:?} {sabotage:?} was to violate {expected:?}"
        );
    }
}
