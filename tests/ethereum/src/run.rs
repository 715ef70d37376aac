//! Runs cases, several files at a time, and tells of each what came of it.

use crate::{
    FixtureError, NotOurs, Summary, chain,
    chain::Chain,
    files,
    fixture::{Expectation, Fixture},
    schedule_of,
};
use medina_types::ForkSchedule;
use rayon::prelude::*;
use serde_json::Value;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Files above this are read one at a time, so that memory holds one of them.
const LARGE_FILE_BYTES: u64 = 64 << 20;

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as expected.
    Passed {
        /// Reasons of refusal in the case that this runner has no words for:
        /// the blocks were refused, for whatever reason.
        unknown_reasons: Vec<String>,
    },
    /// Something was not, and what.
    Failed(String),
    /// It was not run, and why.
    Skipped(String),
}

/// A case and what came of it.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// Its file.
    pub file: PathBuf,
    /// Its name; empty when the file itself cannot be read.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// Runs all cases in these files and folders on all cores; `tell` hears of
/// each as soon as it is over.
///
/// # Errors
/// When a path cannot be read. A damaged file counts as a failed case.
pub fn run_paths(
    paths: &[PathBuf],
    tell: &(dyn Fn(&CaseReport) + Sync),
) -> Result<Summary, FixtureError> {
    let files = files::find(paths)?;
    let one_large_file = Mutex::new(());
    let summary = Mutex::new(Summary::default());
    files.par_iter().for_each(|file| {
        let report = |name: String, outcome: Outcome| {
            let report = CaseReport {
                file: file.clone(),
                name,
                outcome,
            };
            tell(&report);
            let mut summary = summary.lock().unwrap_or_else(|broken| broken.into_inner());
            summary.add(&report);
        };
        let bytes = std::fs::metadata(file).map_or(0, |found| found.len());
        let is_large = bytes > LARGE_FILE_BYTES;
        let _turn = is_large.then(|| one_large_file.lock());
        if let Err(error) = run_file(file, &report) {
            report(String::new(), Outcome::Failed(error.to_string()));
        }
    });
    Ok(summary
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner()))
}

fn run_file(file: &Path, report: &dyn Fn(String, Outcome)) -> Result<(), FixtureError> {
    let bytes = files::read(file)?;
    files::each_case(&bytes, &mut |name, case| {
        let outcome = catch_unwind(AssertUnwindSafe(|| run_case(&case)));
        report(
            name,
            outcome.unwrap_or_else(|_| Outcome::Failed("it panicked; see above".to_owned())),
        );
    })
}

fn run_case(case: &Value) -> Outcome {
    let format = &case["_info"]["fixture_format"];
    let format = format.as_str().or_else(|| case["fixture_format"].as_str());
    if let Some(format) = format.filter(|format| *format != "blockchain_test") {
        return Outcome::Skipped(format!("format {format}: not a blockchain test"));
    }
    match schedule(case) {
        Err(cause) => Outcome::Skipped(cause.to_string()),
        Ok(forks) => match run_chain(case, forks) {
            Ok(unknown_reasons) => Outcome::Passed { unknown_reasons },
            Err(reason) => Outcome::Failed(reason),
        },
    }
}

fn schedule(case: &Value) -> Result<ForkSchedule, NotOurs> {
    let network = case["network"].as_str().unwrap_or("(none named)");
    schedule_of(network, &case["config"]["blobSchedule"])
}

fn run_chain(case: &Value, forks: ForkSchedule) -> Result<Vec<String>, String> {
    let fixture = Fixture::read(case).map_err(|error| error.to_string())?;
    let mut chain = Chain::new(&fixture, forks)?;
    let mut unknown_reasons = Vec::new();
    for (index, block) in fixture.blocks.iter().enumerate() {
        let result = match &block.expectation {
            Expectation::Valid(hash) => chain.import(&block.encoded, *hash),
            Expectation::Refused(expected) => {
                let words = chain.refusal(&block.encoded);
                words.and_then(|words| match expected {
                    Some(expected) => chain::check_reason(expected, &words)
                        .map(|unknown| unknown_reasons.extend(unknown)),
                    None => Ok(()),
                })
            }
        };
        result.map_err(|reason| format!("block {index}: {reason}"))?;
    }
    chain.check_end(&fixture)?;
    Ok(unknown_reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn other_formats_and_older_forks_are_skipped_with_their_cause() {
        for (case, cause) in [
            (
                json!({"_info": {"fixture_format": "state_test"}}),
                "format state_test",
            ),
            (json!({"network": "London"}), "before Paris"),
            (json!({"network": "Amsterdam"}), "Amsterdam"),
        ] {
            let Outcome::Skipped(found) = run_case(&case) else {
                panic!("{case} was not skipped");
            };
            assert!(found.contains(cause), "{found}");
        }
    }

    #[test]
    fn cases_that_cannot_be_read_fail() {
        let outcome = run_case(&json!({"network": "Osaka", "genesisRLP": "0xc0"}));
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }
}
