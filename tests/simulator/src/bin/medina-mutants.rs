//! `make mutants`: turns on each deliberate defect of the engines and prints who
//! notices it. Fails when less than 95 % are noticed.

use clap::Parser;
use medina_consensus::mutants::Mutant;
use medina_simulator::mutants::{Report, caught_share, examine};
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};

/// Share of the defects that must be noticed, in percent.
const CAUGHT_MIN: f64 = 95.0;

/// Turns on each deliberate defect of the engines and tells who notices it.
#[derive(Debug, Parser)]
#[command(name = "medina-mutants")]
struct Arguments {
    /// Seeds of the simulator to try for each defect.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// Only defects whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let start = Instant::now();
    // A defect may make an engine panic; that is a finding, not news.
    std::panic::set_hook(Box::new(|_| {}));
    let wanted = Mutant::ALL
        .iter()
        .filter(|mutant| mutant.name().contains(&arguments.only));
    let mut findings = Vec::new();
    for &mutant in wanted {
        let finding = examine(mutant, arguments.seeds);
        let seconds = start.elapsed().as_secs();
        let (name, by) = (mutant.name(), finding.noticed_by());
        writeln!(io::stderr(), "{seconds:>5} s  {name}: {by}")?;
        findings.push(finding);
    }
    let share = caught_share(&findings);
    let report = Report {
        findings,
        seeds: arguments.seeds,
    };
    write!(io::stdout(), "{report}")?;
    let is_enough = share >= CAUGHT_MIN;
    if !is_enough {
        writeln!(io::stderr(), "{share:.1} % caught, {CAUGHT_MIN} % required")?;
    }
    Ok(if is_enough {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
