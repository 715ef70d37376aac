//! The specification tests of SSV's QBFT (`ssvlabs/ssv-spec`, GPL-3.0), mapped by
//! meaning onto the checker. They are read from a path that the user gives; no
//! part of them is in this repository.
//!
//! The messages there are SSZ with RSA signatures over opaque values; here they
//! become the checker's messages about blocks. Rounds there start at 1. What is
//! compared: whether an input is refused, and what the node then says, with
//! round, value and justification. Signatures are not verified, so tests about
//! them are not mapped, nor are tests about SSV's own encoding and limits.

mod bytes;
mod cases;
mod messages;

pub use bytes::{ReadError, base64};

use serde_json::Value;
use std::{collections::BTreeMap, fmt, path::Path};

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Same behaviour.
    Passed,
    /// Medina does something else on purpose: what and why.
    Differs(&'static str),
    /// Another behaviour: what.
    Failed(String),
    /// It is about something that Medina does not have: what.
    Unmapped(&'static str),
}

/// Outcomes by test name.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// All tests found.
    pub outcomes: BTreeMap<String, Outcome>,
}

impl Results {
    /// Names and differences of what failed.
    #[must_use]
    pub fn failed(&self) -> Vec<(&str, &str)> {
        let failed = self
            .outcomes
            .iter()
            .filter_map(|(name, outcome)| match outcome {
                Outcome::Failed(what) => Some((name.as_str(), what.as_str())),
                _ => None,
            });
        failed.collect()
    }

    /// How many passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        let mut count = 0;
        for outcome in self.outcomes.values() {
            count += usize::from(*outcome == Outcome::Passed);
        }
        count
    }
}

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut causes: BTreeMap<String, usize> = BTreeMap::new();
        for outcome in self.outcomes.values() {
            let cause = match outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Differs(why) => format!("differs on purpose: {why}"),
                Outcome::Failed(_) => "FAILED".to_owned(),
                Outcome::Unmapped(why) => format!("not mapped: {why}"),
            };
            *causes.entry(cause).or_default() += 1;
        }
        writeln!(formatter, "{} tests", self.outcomes.len())?;
        for (cause, count) in causes {
            writeln!(formatter, "{count:>6}  {cause}")?;
        }
        for (name, what) in self.failed() {
            writeln!(formatter, "FAILED {name}: {what}")?;
        }
        Ok(())
    }
}

/// Why the tests cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// File or folder.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not JSON.
    #[error("{path} is no JSON: {source}")]
    Json {
        /// Which.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Runs all tests of a file `tests.json`, or of a folder with one file per test.
///
/// # Errors
/// [`LoadError`].
pub fn run(path: &Path) -> Result<Results, LoadError> {
    let mut results = Results::default();
    for (name, test) in load(path)? {
        let outcome = cases::run(&name, &test);
        results.outcomes.insert(name, outcome);
    }
    Ok(results)
}

fn load(path: &Path) -> Result<BTreeMap<String, Value>, LoadError> {
    let in_file = |source| LoadError::File {
        path: path.display().to_string(),
        source,
    };
    if path.is_file() {
        let tests = read(path)?;
        let tests = tests.as_object().cloned().unwrap_or_default();
        return Ok(tests.into_iter().collect());
    }
    let mut tests = BTreeMap::new();
    for entry in std::fs::read_dir(path).map_err(in_file)? {
        let file = entry.map_err(in_file)?.path();
        if file.extension().is_some_and(|end| end == "json") {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            tests.insert(name.replace('_', " "), read(&file)?);
        }
    }
    Ok(tests)
}

fn read(path: &Path) -> Result<Value, LoadError> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| LoadError::File {
        path: name(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|source| LoadError::Json {
        path: name(),
        source,
    })
}
