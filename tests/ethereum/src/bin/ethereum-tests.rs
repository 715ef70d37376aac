//! `ethereum-tests PATH…`: public blockchain tests through our own block import.
//!
//! Prints each failure with its reason and closes with
//! `N passed, N failed, N skipped`; ends with 1 when a case failed or none ran.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use clap::Parser;
use medina_ethereum_tests::{Outcome, run_paths};
use std::{path::PathBuf, process::ExitCode};

/// Runs files or folders of tests in the BlockchainTests format.
#[derive(Debug, Parser)]
struct Arguments {
    /// Files or folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Name passed and skipped cases too.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = run_paths(&arguments.paths, &|report| {
        let (file, name) = (report.file.display(), &report.name);
        match &report.outcome {
            Outcome::Failed(reason) => println!("FAILED {file} {name}: {reason}"),
            Outcome::Skipped(cause) if arguments.verbose => {
                println!("skipped {file} {name}: {cause}");
            }
            Outcome::Passed(_) if arguments.verbose => println!("passed {file} {name}"),
            Outcome::Skipped(_) | Outcome::Passed(_) => {}
        }
    });
    match result {
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
        Ok(summary) => {
            println!("{summary}");
            let has_run = summary.passed + summary.failed + summary.skipped_count() > 0;
            ExitCode::from(u8::from(summary.failed > 0 || !has_run))
        }
    }
}
