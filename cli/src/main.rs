//! The `medina` command.
//!
//! Three steps, each complete before the next: what was typed (`args`), what it
//! means (every command's `plan` or checks), what runs. Results go to standard
//! output, as text or with `--json` as one document; failures and logs go to
//! standard error. The exit code is 0 only on success.

mod args;
mod commands;
mod errors;
mod files;
mod ids;
mod mistyped;
mod node_client;
mod output;
mod show;
mod signer;
mod values;

use clap::Parser as _;
use errors::{Failure, Outcome};
use output::Output;
use std::{process::ExitCode, time::Duration};

/// Threads for work that blocks. The lanes of a JSON-RPC server need some forty; every
/// further thread keeps memory of its own, and waits for a processor like the others.
const BLOCKING_THREADS_MAX: usize = 128;
/// How long threads that are still busy are waited for at the end.
const SHUTDOWN_WAIT: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let typed = match args::Cli::try_parse() {
        Ok(typed) => typed,
        Err(error) => return mistyped::tell(&error),
    };
    let output = Output::new(typed.json);
    match run(typed.command, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => match failure.planned() {
            Some(planned) => {
                show::planned(output, planned);
                ExitCode::SUCCESS
            }
            None => {
                output.failure(&failure);
                ExitCode::FAILURE
            }
        },
    }
}

fn run(command: args::Command, output: Output) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::from(error).during("cannot start threads"))?;
    let outcome = runtime.block_on(commands::run(command, output));
    // A call that runs in the EVM must not hold up a node that was told to stop.
    runtime.shutdown_timeout(SHUTDOWN_WAIT);
    outcome
}
