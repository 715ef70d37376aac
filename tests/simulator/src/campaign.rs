//! Many seeds on all cores, and a node's death at every single write.

use crate::{
    checker::Violation,
    coverage::Coverage,
    scenario::{Fault, Moment, Scenario},
    world::{Outcome, run},
};
use medina_types::ConsensusEngine;
use rayon::prelude::*;
use std::ops::Range;

/// Sums of many runs.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    /// Blocks decided.
    pub blocks: u64,
    /// Steps made.
    pub steps: u64,
    /// Longest virtual time from the end of the faults to recovery.
    pub recovery_ms_max: u64,
    /// Most rounds that a height took after the faults.
    pub recovery_rounds_max: u32,
    /// What happened.
    pub coverage: Coverage,
    /// Runs that failed, lowest seed first.
    pub violations: Vec<Violation>,
}

impl Campaign {
    /// Runs every seed of a range, calling `done` after each.
    #[must_use]
    pub fn over(engine: ConsensusEngine, seeds: Range<u64>, done: impl Fn() + Sync) -> Self {
        let one = |seed| {
            let outcome = run(Scenario::from_seed(engine, seed));
            done();
            Self::of(outcome)
        };
        let runs = seeds.into_par_iter().map(one);
        let mut all = runs.reduce(Self::default, Self::with);
        all.violations.sort_by_key(|violation| violation.seed);
        all
    }

    fn of(outcome: Result<Outcome, Box<Violation>>) -> Self {
        match outcome {
            Ok(outcome) => Self {
                blocks: outcome.blocks as u64,
                steps: outcome.steps,
                recovery_ms_max: outcome.recovery_ms,
                recovery_rounds_max: outcome.recovery_rounds,
                coverage: outcome.coverage,
                violations: Vec::new(),
            },
            Err(violation) => Self {
                violations: vec![*violation],
                ..Self::default()
            },
        }
    }

    /// Adds another campaign's sums.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.blocks += other.blocks;
        self.steps += other.steps;
        self.recovery_ms_max = self.recovery_ms_max.max(other.recovery_ms_max);
        self.recovery_rounds_max = self.recovery_rounds_max.max(other.recovery_rounds_max);
        self.coverage.add(&other.coverage);
        self.violations.extend(other.violations);
        self
    }
}

/// Runs a scenario once for each node and each of its synced writes, where the
/// node dies just before the write, and once more just after it.
#[must_use]
pub fn crash_everywhere(scenario: &Scenario, down_ms: u64) -> Campaign {
    let writes = match run(scenario.clone()) {
        Ok(outcome) => outcome.synced_writes,
        Err(violation) => return Campaign::of(Err(violation)),
    };
    let nodes = scenario.nodes.min(writes.len());
    let points = (0..nodes).flat_map(|node| (0..writes[node]).map(move |number| (node, number)));
    let moments = [Moment::Before, Moment::After];
    let points: Vec<_> = points
        .flat_map(|point| moments.map(|moment| (point, moment)))
        .collect();
    let one = |((node, number), moment)| {
        let mut scenario = scenario.clone();
        let fault = Fault::CrashAtWrite {
            node,
            number,
            moment,
            down_ms,
        };
        scenario.faults.push((0, fault));
        Campaign::of(run(scenario))
    };
    points
        .into_par_iter()
        .map(one)
        .reduce(Campaign::default, Campaign::with)
}
