//! Measures the figures of `docs/reliability.md` and `docs/private-transactions.md` on
//! networks of real processes: `medina-measure WHAT`. Ends with 1 when a goal is missed.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use clap::{Parser, Subcommand, ValueEnum};
use medina_benches::{
    private::{self, Amounts},
    reliability::{
        Figure, catch_up, degraded, empty_blocks, idle, leader_crash,
        outage::{self, Outage},
        restart,
    },
};
use std::{process::ExitCode, time::Duration};

/// Measure how a network of real processes bears faults.
#[derive(Debug, Parser)]
struct Arguments {
    /// How the validators agree.
    #[arg(long, global = true, value_enum, default_value_t = Engine::Qbft)]
    engine: Engine,
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Qbft,
    Raft,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    Pause,
    Kill,
    Cut,
    Refuse,
}

#[derive(Debug, Subcommand)]
enum What {
    /// First block after f+1 of four validators were away, a transaction waiting.
    Outage {
        /// How long they are away.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// How they are taken away; without it all ways, one after the other.
        #[arg(long, value_enum)]
        how: Option<How>,
    },
    /// Gap between blocks when the proposer is killed under load.
    LeaderCrash {
        /// How often.
        #[arg(long, default_value_t = 50)]
        crashes: usize,
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: u16,
    },
    /// Included share of a fixed load with f validators down.
    Degraded {
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: u16,
        /// Length of each of the two windows; much longer than a dead leader's timeout.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Transfers per second instead of half of the measured maximum.
        #[arg(long)]
        rate: Option<u32>,
    },
    /// From process start to the next vote after kill -9.
    Restart {
        /// How often.
        #[arg(long, default_value_t = 20)]
        times: usize,
    },
    /// Catch-up of a wiped node against the rate at which blocks were made.
    CatchUp {
        /// Transfers in the chain.
        #[arg(long, default_value_t = 40_000)]
        transfers: u64,
    },
    /// Catch-up over a chain of empty blocks.
    EmptyBlocks {
        /// Length of the chain.
        #[arg(long, default_value_t = 20_000)]
        blocks: u64,
    },
    /// Private transactions per second with four members, and how long a private
    /// receipt takes beside a public one.
    Private {
        /// Transactions of the run for the rate.
        #[arg(long, default_value_t = 800)]
        transactions: u32,
        /// Receipts of each kind that are waited for.
        #[arg(long, default_value_t = 100)]
        receipts: u32,
    },
    /// Blocks and disk writes of an idle chain.
    Idle {
        /// How long it is watched.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let engine = match arguments.engine {
        Engine::Qbft => ["--consensus", "qbft"],
        Engine::Raft => ["--consensus", "raft"],
    };
    match measure(&arguments, &engine).await {
        Ok(figures) => report(&figures),
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(figures: &[Figure]) -> ExitCode {
    for figure in figures {
        println!("{figure}");
    }
    if figures.iter().all(|figure| figure.is_met) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn measure(
    arguments: &Arguments,
    engine: &[&str],
) -> Result<Vec<Figure>, empty_blocks::BoxError> {
    Ok(match arguments.what {
        What::Outage { seconds, how } => {
            let mut figures = Vec::new();
            for outage in ways(how) {
                let lasting = Duration::from_secs(seconds);
                figures.push(outage::measure(outage, lasting, engine).await);
            }
            figures
        }
        What::LeaderCrash {
            crashes,
            validators,
        } => {
            let crashes = leader_crash::measure(validators, crashes, engine).await;
            println!("gaps: {:?}", crashes.gaps);
            match arguments.engine {
                Engine::Qbft => crashes.qbft_figures(),
                Engine::Raft => crashes.raft_figures(),
            }
        }
        What::Degraded {
            validators,
            seconds,
            rate,
        } => {
            let window = Duration::from_secs(seconds);
            let shares = degraded::measure(validators, window, rate, engine).await?;
            vec![shares.figure(validators)]
        }
        What::Restart { times } => restart::measure(times, engine).await,
        What::CatchUp { transfers } => catch_up::measure(transfers, engine).await?,
        What::EmptyBlocks { blocks } => vec![empty_blocks::measure(blocks, engine).await?],
        What::Private {
            transactions,
            receipts,
        } => {
            let amounts = Amounts {
                transactions,
                receipts,
            };
            private::measure(amounts).await
        }
        What::Idle { seconds } => idle::measure(Duration::from_secs(seconds), engine).await,
    })
}

fn ways(how: Option<How>) -> Vec<Outage> {
    match how {
        Some(How::Pause) => vec![Outage::Pause],
        Some(How::Kill) => vec![Outage::Kill],
        Some(How::Cut) => vec![Outage::Cut],
        Some(How::Refuse) => vec![Outage::Refuse],
        None => vec![Outage::Pause, Outage::Kill, Outage::Cut, Outage::Refuse],
    }
}
