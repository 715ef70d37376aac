//! Runs cases, several files at a time, and tells of each what came of it.

use crate::{
    FixtureError, NotOurs, Summary, chain,
    chain::Chain,
    files,
    fixture::{Expectation, Fixture},
    folder::Place,
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
    Passed(Reasons),
    /// Something was not, and what.
    Failed(String),
    /// It was not run, and why.
    Skipped(String),
}

/// Of blocks that were refused, as they had to be: reasons that say more or
/// something else than the case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Names of reasons that this runner has no words for.
    pub unknown: Vec<String>,
    /// The name and our words, where they do not say the same. A block often
    /// breaks several rules, and every client begins with another.
    pub other: Vec<String>,
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
    if let Some(cause) = other_format(case) {
        return Outcome::Skipped(cause);
    }
    let forks = match schedule(case) {
        Err(NotOurs::Unknown(name)) if name.is_empty() => {
            return Outcome::Failed("field network: expected a name".to_owned());
        }
        Err(cause) => return Outcome::Skipped(cause.to_string()),
        Ok(forks) => forks,
    };
    let run = |place| run_chain(case, forks.clone(), place);
    // Memory may be too small for a chain that a disk has room for.
    match run(Place::Memory).or_else(|_| run(Place::Disk)) {
        Ok(reasons) => Outcome::Passed(reasons),
        Err(reason) => Outcome::Failed(reason),
    }
}

/// What a case is that is none of ours: the public suites have other kinds of files
/// beside blockchain tests, and name their kinds in more than one way.
fn other_format(case: &Value) -> Option<String> {
    const OURS: &str = "blockchain_test";
    let is_ours = case["blocks"].is_array() || case["genesisRLP"].is_string();
    let info = &case["_info"];
    let names = [
        &info["fixture_format"],
        &info["fixture-format"],
        &case["fixture_format"],
    ];
    let named = names.iter().find_map(|name| name.as_str());
    match named {
        Some(OURS) => None,
        Some(format) if !is_ours => Some(format!("format {format}: not a blockchain test")),
        None if !is_ours => Some("no blocks: not a blockchain test".to_owned()),
        Some(_) | None => None,
    }
}

fn schedule(case: &Value) -> Result<ForkSchedule, NotOurs> {
    // A transition has its second network in `config` in some of the newer files.
    let network = case["network"].as_str();
    let network = network.or_else(|| case["config"]["network"].as_str());
    let network = network.unwrap_or_default();
    schedule_of(network, &case["config"]["blobSchedule"])
}

fn run_chain(case: &Value, forks: ForkSchedule, place: Place) -> Result<Reasons, String> {
    let fixture = Fixture::read(case).map_err(|error| error.to_string())?;
    let mut chain = Chain::new(&fixture, forks, place)?;
    let mut reasons = Reasons::default();
    for (index, block) in fixture.blocks.iter().enumerate() {
        let result = match &block.expectation {
            Expectation::Valid(hash) => chain.import(&block.encoded, *hash),
            Expectation::Refused(expected) => {
                let words = chain.refusal(&block.encoded);
                words.map(|words| {
                    if let Some(expected) = expected {
                        chain::compare_reasons(expected, &words, &mut reasons);
                    }
                })
            }
        };
        result.map_err(|reason| format!("block {index}: {reason}"))?;
    }
    chain.check_end(&fixture)?;
    Ok(reasons)
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
            (
                json!({"_info": {"fixture-format": "blockchain_test_engine"}, "network": "Osaka"}),
                "format blockchain_test_engine",
            ),
            (json!({"env": {}, "post": {}}), "not a blockchain test"),
            (json!([1]), "not a blockchain test"),
            (json!({"network": "London", "blocks": []}), "before Paris"),
            (json!({"network": "Amsterdam", "blocks": []}), "Amsterdam"),
        ] {
            let Outcome::Skipped(found) = run_case(&case) else {
                panic!("{case} was not skipped");
            };
            assert!(found.contains(cause), "{found}");
        }
    }

    #[test]
    fn cases_that_cannot_be_read_fail() {
        for case in [
            json!({"network": "Osaka", "genesisRLP": "0xc0"}),
            json!({"blocks": []}),
            json!({"network": 5, "blocks": [null]}),
        ] {
            let outcome = run_case(&case);
            assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        }
    }
}
