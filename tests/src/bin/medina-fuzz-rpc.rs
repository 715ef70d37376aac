//! Attacks a node's JSON-RPC port: `medina-fuzz-rpc --minutes N [--rpc URL]`.
//!
//! Without `--rpc` it makes a network of its own, with transactions of every kind.
//! It ends with 1 when an answer was no JSON-RPC object, the node panicked or ended,
//! or its memory grew.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use clap::Parser;
use medina_tests::{
    processes::NetworkOfProcesses,
    rpc_fuzz::{self, FuzzPlan},
};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

/// Send everything that a JSON-RPC port must survive.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// A node that runs already, such as http://127.0.0.1:8545; without it, one of its own.
    #[arg(long)]
    rpc: Option<String>,
    /// Process id of that node, to watch its memory.
    #[arg(long, requires = "rpc")]
    pid: Option<u32>,
    /// Log of that node, to look for panics.
    #[arg(long, requires = "rpc")]
    log: Option<PathBuf>,
    /// Seed of all randomness, any by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Attackers at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    workers: u64,
}

fn address_of(url: &str) -> Result<SocketAddr, String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.trim_end_matches('/').replace("localhost", "127.0.0.1");
    host.parse()
        .map_err(|_| format!("{url} names no IP address and port"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let duration = Duration::from_secs_f64(arguments.minutes * 60.0);
    let network = match &arguments.rpc {
        Some(_) => None,
        None => Some(NetworkOfProcesses::start(1).await),
    };
    let url = match (&arguments.rpc, &network) {
        (Some(url), _) => url.clone(),
        (None, Some(network)) => network.rpc_url(0),
        (None, None) => return ExitCode::FAILURE,
    };
    let address = match address_of(&url) {
        Ok(address) => address,
        Err(error) => {
            println!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if network.is_some() {
        rpc_fuzz::fill(&url).await;
    }
    println!(
        "attacking {url} for {:.0} s with seed {seed}",
        duration.as_secs_f64()
    );
    let plan = FuzzPlan {
        address,
        duration,
        seed,
        workers: arguments.workers,
        pid: network
            .as_ref()
            .map_or(arguments.pid, |network| network.pid(0)),
        log: network
            .as_ref()
            .map_or(arguments.log, |network| Some(network.log_path(0))),
    };
    let report = rpc_fuzz::run(&plan).await;
    println!("{report}");
    let is_alive = network.is_none_or(|network| network.is_running(0));
    if !is_alive {
        println!("FOUND the node ended");
    }
    if report.is_clean() && is_alive {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
