//! `rpc-compat PATH`: the public JSON-RPC cases against our own server.
//!
//! Imports the chain beside the cases (else that of `shared/rpc`), serves it, and
//! runs every `.io` file. Prints each failure with its reason and each skip with
//! its cause, and closes with `N passed, N failed, N skipped`; ends with 1 when a
//! case failed or none ran.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use clap::Parser;
use medina_ethereum_tests::{Outcome, run_rpc_cases, serve_rpc_chain};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Runs a folder of public JSON-RPC cases.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of cases, or one case.
    path: PathBuf,
    /// Name passed cases too.
    #[arg(long)]
    verbose: bool,
    /// Run nothing: serve the chain at this address until interrupted.
    #[arg(long, value_name = "ADDRESS")]
    serve: Option<SocketAddr>,
}

async fn serve(cases: &Path, listen: SocketAddr) -> ExitCode {
    match serve_rpc_chain(cases, listen).await {
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
        Ok(server) => {
            println!("http://{}", server.local_addr());
            server.stopped().await;
            ExitCode::SUCCESS
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(listen) = arguments.serve {
        return serve(&arguments.path, listen).await;
    }
    let result = run_rpc_cases(&arguments.path, &mut |report| {
        let file = report.file.display();
        match &report.outcome {
            Outcome::Failed(reason) => println!("FAILED {file}: {reason}"),
            Outcome::Skipped(cause) => println!("skipped {file}: {cause}"),
            Outcome::Passed(_) if arguments.verbose => println!("passed {file}"),
            Outcome::Passed(_) => {}
        }
    })
    .await;
    match result {
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
        Ok(summary) => {
            println!("{summary}");
            let has_run = summary.passed + summary.failed > 0;
            ExitCode::from(u8::from(summary.failed > 0 || !has_run))
        }
    }
}
