//! Measures a running network: `medina-load --rpc URL [--rpc URL …]`.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use clap::Parser;
use medina_benches::load::{LoadError, LoadGenerator};

/// Measure a running network with ERC-20 transfers of its test accounts.
#[derive(Debug, Parser)]
struct Arguments {
    /// JSON-RPC of a node; several share the load.
    #[arg(long, default_value = "http://127.0.0.1:8545")]
    rpc: Vec<String>,
    /// Transfers for the time from submission to receipt.
    #[arg(long, default_value_t = 100)]
    single: u64,
    /// Transfers for the rate under full load.
    #[arg(long, default_value_t = 10_000)]
    bulk: u64,
}

#[tokio::main]
async fn main() -> Result<(), LoadError> {
    let arguments = Arguments::parse();
    let generator = LoadGenerator::connect(arguments.rpc).await?;
    let latencies = generator.latencies(arguments.single).await?;
    println!(
        "submission to receipt, {} transfers one by one: p50 {:?}, p99 {:?}",
        arguments.single,
        latencies.percentile(50),
        latencies.percentile(99)
    );
    let throughput = generator.throughput(arguments.bulk).await?;
    println!(
        "{} transfers under full load in {:.2?}: {:.0} per second",
        throughput.transfers,
        throughput.took,
        throughput.per_second()
    );
    Ok(())
}
