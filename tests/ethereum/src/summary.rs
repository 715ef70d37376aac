//! Counts of a run.

use crate::{CaseReport, Outcome, Reasons};
use std::{collections::BTreeMap, fmt};

/// How many cases passed, failed and were skipped, with the causes of skips.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Cases in which everything was as expected.
    pub passed: usize,
    /// Cases in which something was not.
    pub failed: usize,
    /// Cases that were not run, by cause.
    pub skipped: BTreeMap<String, usize>,
    /// Reasons of refusal that this runner has no words for: blocks that were
    /// refused without knowing whether for that reason.
    pub unknown_reasons: BTreeMap<String, usize>,
    /// Blocks that were refused in other words than those that stand for the case's
    /// reason.
    pub other_reasons: BTreeMap<String, usize>,
}

impl Summary {
    pub(crate) fn add(&mut self, report: &CaseReport) {
        self.count(&report.outcome);
    }

    pub(crate) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed(Reasons { unknown, other }) => {
                self.passed += 1;
                for reason in unknown {
                    *self.unknown_reasons.entry(reason.clone()).or_default() += 1;
                }
                for reason in other {
                    *self.other_reasons.entry(reason.clone()).or_default() += 1;
                }
            }
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(cause) => *self.skipped.entry(cause.clone()).or_default() += 1,
        }
    }

    /// Cases that were not run.
    #[must_use]
    pub fn skipped_count(&self) -> usize {
        self.skipped.values().sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (reason, count) in &self.unknown_reasons {
            writeln!(
                formatter,
                "refused {count} times, reason not compared: {reason}"
            )?;
        }
        for (reason, count) in &self.other_reasons {
            writeln!(formatter, "refused {count} times in other words: {reason}")?;
        }
        for (cause, count) in &self.skipped {
            writeln!(formatter, "skipped {count}: {cause}")?;
        }
        let (passed, failed) = (self.passed, self.failed);
        let skipped = self.skipped_count();
        write!(
            formatter,
            "{passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}
