//! Compares the QBFT engine with its published specification:
//! `medina-check-reference PAIRS [FIRST_SEED]`.

use medina_reference_checker::differential;
use std::{error::Error, io::Write, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pairs = arguments.next().ok_or("how many pairs?")?.parse()?;
    let first_seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let start = Instant::now();
    let tally = differential::compare(pairs, first_seed, None)?;
    let seconds = start.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    write!(out, "{tally}")?;
    writeln!(
        out,
        "{} pairs in {seconds:.1} s: no difference",
        tally.pairs
    )?;
    let missing = tally.coverage.missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("outcomes that never came: {missing:?}").into())
}
