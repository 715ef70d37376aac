//! Measures a running network: `medina-load --rpc URL [--rpc URL …]`.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use clap::Parser;
use medina_benches::{bound, load::LoadGenerator};
use std::path::PathBuf;

/// Measure a running network with ERC-20 transfers of its test accounts.
#[derive(Debug, Parser)]
struct Arguments {
    /// JSON-RPC of a node; several share the load.
    #[arg(long, default_value = "http://127.0.0.1:8545")]
    rpc: Vec<String>,
    /// Transfers for the time from submission to receipt.
    #[arg(long, default_value_t = 100)]
    single: u64,
    /// Genesis file of the network, to measure the bound of this machine too.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// Validators that share this machine's cores.
    #[arg(long, default_value_t = 4)]
    validators: u32,
    /// Transfers for the rate under full load.
    #[arg(long, default_value_t = 10_000)]
    bulk: u64,
}

/// Transfers in the block from which the bound is measured.
const BOUND_TRANSFERS: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    if let Some(genesis) = arguments.genesis {
        let cost = bound::measure(&medina_genesis::load(&genesis)?, BOUND_TRANSFERS)?;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let bound = cost.bound_per_second(arguments.validators, u32::try_from(cores)?);
        println!(
            "bound: {cores} cores / ({} validators x (recover {:?} + execute {:?})) = {bound:.0} \
             per second; reached {:.0} %",
            arguments.validators,
            cost.recover,
            cost.execute,
            100.0 * throughput.per_second() / bound
        );
    }
    Ok(())
}
