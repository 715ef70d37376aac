//! Data-driven scripts of etcd/raft (Apache-2.0, not part of this repository)
//! against the `raft` crate: quorums, configuration changes, and interactions of
//! whole nodes.
//!
//! A script is a sequence of commands with the output that Go prints. What is
//! compared is the meaning, not the wording: committed indexes, configurations,
//! and after interactions role, term, vote, commit index, configuration and log
//! of every node that the output speaks of.

pub mod confchange;
pub mod datadriven;
pub mod facts;
pub mod interaction;
pub mod quorum;

use std::{fmt, path::Path};

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Same result.
    Passed,
    /// Another result: what differs.
    Failed(String),
    /// It cannot be run: why.
    Skipped(String),
}

/// Outcomes of one script.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// File name.
    pub name: String,
    /// Commands that gave the same.
    pub passed: usize,
    /// Place and difference.
    pub failed: Vec<String>,
    /// Place and cause.
    pub skipped: Vec<String>,
}

impl Results {
    fn note(&mut self, line: usize, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(what) => self.failed.push(format!("line {line}: {what}")),
            Outcome::Skipped(why) => self.skipped.push(format!("line {line}: {why}")),
        }
    }
}

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            passed,
            failed,
            skipped,
        } = self;
        write!(
            formatter,
            "{name}: {passed} passed, {} failed, {} skipped",
            failed.len(),
            skipped.len()
        )?;
        for line in failed {
            write!(formatter, "\n  FAILED {line}")?;
        }
        for line in skipped {
            write!(formatter, "\n  skipped {line}")?;
        }
        Ok(())
    }
}

/// Kinds of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// `quorum/testdata`.
    Quorum,
    /// `confchange/testdata`.
    ConfChange,
    /// `testdata`.
    Interaction,
}

impl Suite {
    /// Runs every script of a folder, in order of their names.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn run(self, folder: &Path) -> std::io::Result<Vec<Results>> {
        let entries: Result<Vec<_>, _> = std::fs::read_dir(folder)?.collect();
        let mut paths: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "txt"));
        paths.sort();
        paths.iter().map(|path| self.run_file(path)).collect()
    }

    fn run_file(self, path: &Path) -> std::io::Result<Results> {
        let commands = datadriven::parse(&std::fs::read_to_string(path)?);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut results = Results {
            name: name.into_owned(),
            ..Results::default()
        };
        match self {
            Self::Quorum => {
                for command in &commands {
                    results.note(command.line, quorum::run(command));
                }
            }
            Self::ConfChange => confchange::run(&commands, &mut results),
            Self::Interaction => interaction::run(&commands, &mut results),
        }
        Ok(results)
    }
}
