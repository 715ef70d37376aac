//! Tortures networks of real processes: `medina-chaos --minutes N`.
//!
//! Each round is a fresh network and the script of one seed; it prints what it
//! does and what came of it, and ends with 1 when a rule was broken. A round is
//! repeated with its seed: `medina-chaos --seed N --rounds 1`.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use clap::{Parser, ValueEnum};
use medina_tests::chaos::{self, ChaosPlan};
use medina_types::ConsensusEngine;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// Kill, stop, cut and fill up real nodes while clients send transfers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Begin no further round after so many minutes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Validators: 4 and 7 are usual.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// How they agree.
    #[arg(long, value_enum, default_value_t = Engine::Qbft)]
    engine: Engine,
    /// Seed of the first round, any by default; each further round takes the next.
    #[arg(long)]
    seed: Option<u64>,
    /// Stop after so many rounds.
    #[arg(long)]
    rounds: Option<u64>,
    /// Length of a round's script.
    #[arg(long, default_value_t = 45)]
    round_seconds: u64,
    /// Clients, one account each.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10))]
    clients: u32,
    /// Only results.
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    Qbft,
    Raft,
}

impl From<Engine> for ConsensusEngine {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Qbft => Self::Qbft,
            Engine::Raft => Self::Raft,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let first_seed = arguments
        .seed
        .unwrap_or_else(|| rand::random::<u32>().into());
    let limit = Duration::from_secs_f64(arguments.minutes.max(0.0) * 60.0);
    let (mut rounds, mut acknowledged, mut failed) = (0, 0, Vec::new());
    while rounds < arguments.rounds.unwrap_or(u64::MAX)
        && (rounds == 0 || started.elapsed() < limit)
    {
        let plan = ChaosPlan {
            seed: first_seed.wrapping_add(rounds),
            nodes: arguments.nodes,
            engine: arguments.engine.into(),
            duration_ms: arguments.round_seconds.saturating_mul(1_000),
            clients: arguments.clients,
        };
        println!(
            "== seed {}, {} nodes, {:?}",
            plan.seed, plan.nodes, plan.engine
        );
        let say = |text: &str| {
            if !arguments.quiet {
                println!("{text}");
            }
        };
        let summary = chaos::run(plan, &say).await;
        println!("{summary}");
        rounds += 1;
        acknowledged += summary.acknowledged;
        if !summary.is_flawless() {
            failed.push(plan.seed);
        }
    }
    println!(
        "== {rounds} rounds in {:.0?}, {acknowledged} transfers acknowledged, failed seeds: {failed:?}",
        started.elapsed()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
