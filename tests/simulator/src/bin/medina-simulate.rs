//! Runs seeds of the consensus simulator on all cores, and shrinks the first
//! that fails.

#![allow(clippy::print_stdout, reason = "a command speaks on standard output")]

use clap::{Parser, ValueEnum};
use medina_simulator::{Campaign, Scenario, Violation, run, run_told, shrink};
use medina_types::ConsensusEngine;
use std::{
    io::{IsTerminal, Write},
    ops::Range,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Seeds between two looks at the clock and at failures.
const CHUNK: u64 = 500;
/// Runs the consensus simulator.
#[derive(Parser)]
struct Arguments {
    /// How many seeds of each engine.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed only, told in full.
    #[arg(long)]
    seed: Option<u64>,
    /// One engine only.
    #[arg(long)]
    engine: Option<Engine>,
    /// Print what happened how often.
    #[arg(long)]
    coverage: bool,
    /// Go on after a failure and list all of them, without shrinking.
    #[arg(long)]
    all: bool,
    /// Events of a failing run that are printed, the last ones.
    #[arg(long, default_value_t = 400)]
    lines: usize,
}

#[derive(Clone, Copy, ValueEnum)]
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of an engine is a finding like any other and printed as one.
    std::panic::set_hook(Box::new(|_| {}));
    let engines = match arguments.engine {
        Some(engine) => vec![engine.into()],
        None => vec![ConsensusEngine::Qbft, ConsensusEngine::Raft],
    };
    let is_clean = engines.into_iter().all(|engine| match arguments.seed {
        Some(seed) => tell(engine, seed, arguments.lines),
        None => campaign(engine, &arguments) || arguments.all,
    });
    if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One seed in full; true if nothing was violated.
fn tell(engine: ConsensusEngine, seed: u64, lines: usize) -> bool {
    let scenario = Scenario::from_seed(engine, seed);
    println!("{scenario}");
    match run(scenario) {
        Ok(outcome) => {
            println!(
                "no violation: {} blocks in {} steps, recovered {} ms and {} rounds after the faults",
                outcome.blocks, outcome.steps, outcome.recovery_ms, outcome.recovery_rounds
            );
            println!("trace {:016x}", outcome.trace);
            true
        }
        Err(violation) => {
            explain(*violation, lines);
            false
        }
    }
}

fn campaign(engine: ConsensusEngine, arguments: &Arguments) -> bool {
    let started = Instant::now();
    let done = AtomicU64::new(0);
    let mut total = Campaign::default();
    let end = arguments.from.saturating_add(arguments.seeds);
    for chunk in chunks(arguments.from..end) {
        let tick = || {
            done.fetch_add(1, Ordering::Relaxed);
        };
        total = total.with(Campaign::over(engine, chunk, tick));
        let so_far = done.load(Ordering::Relaxed);
        show_progress(engine, so_far, arguments.seeds, per_second(so_far, started));
        if !total.violations.is_empty() && !arguments.all {
            break;
        }
    }
    let seeds = done.load(Ordering::Relaxed);
    println!(
        "{engine:?}: {seeds} seeds, {:.0} seeds/s, {} blocks, {} steps; slowest recovery {} ms, \
         most rounds after the faults {}; {} violations",
        per_second(seeds, started),
        total.blocks,
        total.steps,
        total.recovery_ms_max,
        total.recovery_rounds_max,
        total.violations.len()
    );
    if arguments.coverage {
        for (name, count) in total.coverage.counts() {
            println!("  {name}: {count}");
        }
        println!("  runs by validators: {:?}", total.coverage.sizes);
    }
    if arguments.all {
        for violation in &total.violations {
            println!("{violation}");
        }
    } else if let Some(violation) = total.violations.first() {
        explain(violation.clone(), arguments.lines);
    }
    total.violations.is_empty()
}

fn chunks(seeds: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = seeds.end;
    let step = usize::try_from(CHUNK).unwrap_or(usize::MAX);
    seeds
        .step_by(step)
        .map(move |from| from..end.min(from.saturating_add(CHUNK)))
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(count: u64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64().max(0.001)
}

fn show_progress(engine: ConsensusEngine, done: u64, all: u64, rate: f64) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        // Progress is lost when nobody can be told of it.
        let _ = write!(
            error,
            "\r{engine:?}: {done}/{all} seeds, {rate:.0} seeds/s "
        );
        if done >= all {
            let _ = writeln!(error);
        }
        let _ = error.flush();
    }
}

/// The violation, the smallest scenario that still shows it, and its last events.
fn explain(violation: Violation, lines_max: usize) {
    println!("{violation}");
    println!("shrinking ...");
    let scenario = Scenario::from_seed(violation.engine, violation.seed);
    let smallest = shrink(scenario, violation.invariant);
    let (result, lines) = run_told(smallest.clone());
    println!("\n{smallest}");
    let skipped = lines.len().saturating_sub(lines_max);
    if skipped > 0 {
        println!("(the last {lines_max} events)");
    }
    for line in &lines[skipped..] {
        println!("{line}");
    }
    match result {
        Ok(_) => println!("the last run passed: this simulator is not deterministic"),
        Err(shrunk) => println!("\nafter shrinking: {shrunk}"),
    }
}
