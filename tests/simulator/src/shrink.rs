//! Makes a failing scenario smaller: takes away faults, transactions, liars and
//! nodes as long as the same invariant still fails.

use crate::{checker::Invariant, scenario::Scenario, world::run};

/// Runs that shrinking may cost.
const RUNS_MAX: usize = 600;

/// The smallest scenario found in which `invariant` still fails.
#[must_use]
pub fn shrink(scenario: Scenario, invariant: Invariant) -> Scenario {
    let mut shrinking = Shrinking {
        smallest: scenario,
        invariant,
        runs: 0,
    };
    while shrinking.one_pass() {}
    shrinking.smallest
}

struct Shrinking {
    smallest: Scenario,
    invariant: Invariant,
    runs: usize,
}

impl Shrinking {
    /// Tries everything once; true if anything could go.
    fn one_pass(&mut self) -> bool {
        let mut has_shrunk = false;
        for simplification in SIMPLIFICATIONS {
            has_shrunk |= self.try_change(simplification);
        }
        has_shrunk |= self.drop_parts(
            |scenario| scenario.faults.len(),
            |scenario, from, to| {
                scenario.faults.drain(from..to);
            },
        );
        has_shrunk |= self.drop_parts(
            |scenario| scenario.transactions.len(),
            |scenario, from, to| {
                scenario.transactions.drain(from..to);
            },
        );
        has_shrunk |= self.drop_parts(
            |scenario| scenario.liars.len(),
            |scenario, from, to| {
                scenario.liars.drain(from..to);
            },
        );
        has_shrunk |= self.drop_parts(
            |scenario| scenario.late.len(),
            |scenario, from, to| {
                scenario.late.drain(from..to);
            },
        );
        has_shrunk
    }

    fn try_change(&mut self, change: impl Fn(&mut Scenario)) -> bool {
        let mut candidate = self.smallest.clone();
        change(&mut candidate);
        if candidate == self.smallest || self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let fails = run(candidate.clone()).err();
        let is_same = fails.is_some_and(|violation| violation.invariant == self.invariant);
        if is_same {
            self.smallest = candidate;
        }
        is_same
    }

    /// Takes away halves, quarters, and so on down to single parts.
    fn drop_parts(
        &mut self,
        count: impl Fn(&Scenario) -> usize,
        drop: impl Fn(&mut Scenario, usize, usize),
    ) -> bool {
        let mut has_shrunk = false;
        let mut size = count(&self.smallest).div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < count(&self.smallest) {
                let to = (from + size).min(count(&self.smallest));
                if self.try_change(|scenario| drop(scenario, from, to)) {
                    has_shrunk = true;
                } else {
                    from = to;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        has_shrunk
    }
}

const SIMPLIFICATIONS: [fn(&mut Scenario); 14] = [
    |scenario| scenario.loss = 0.0,
    |scenario| scenario.duplication = 0.0,
    |scenario| scenario.delay_ms_max = 5,
    |scenario| scenario.build_failure = 0.0,
    |scenario| scenario.bad_builds = 0.0,
    |scenario| scenario.skews_ms.fill(0),
    |scenario| scenario.disk_ms_max.fill(0),
    |scenario| scenario.has_real_crypto = false,
    |scenario| scenario.has_reconnects = true,
    |scenario| scenario.parameters.empty_block_period = None,
    |scenario| scenario.transactions.retain(|each| each.change.is_none()),
    // The last node of all, if it is no validator at the start.
    |scenario| {
        if scenario.nodes > scenario.validators {
            scenario.nodes -= 1;
            scenario.fit();
        }
    },
    // The last validator.
    |scenario| {
        if scenario.nodes == scenario.validators && scenario.validators > 1 {
            scenario.nodes -= 1;
            scenario.validators -= 1;
            scenario.fit();
        }
    },
    // The last quarter of the time before the faults end.
    |scenario| {
        let end_ms = scenario.heal_at_ms * 3 / 4;
        scenario.heal_at_ms = end_ms.max(1_000);
        scenario.faults.retain(|(at_ms, _)| *at_ms < end_ms);
        scenario.transactions.retain(|each| each.at_ms < end_ms);
    },
];
