//! The table.

use super::Finding;
use crate::Violation;
use std::fmt;

/// Column widths of the table.
const NAME: usize = 31;
const SOURCE: usize = 46;
const SIMULATOR: usize = 30;

/// What was found, one line per defect.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order of the table.
    pub findings: Vec<Finding>,
    /// Seeds tried for each.
    pub seeds: u64,
}

/// Share of the defects that somebody noticed, in percent; 100 of none.
#[must_use]
pub fn caught_share(findings: &[Finding]) -> f64 {
    if findings.is_empty() {
        return 100.0;
    }
    let caught = findings
        .iter()
        .filter(|finding| finding.is_caught())
        .count();
    100.0 * caught as f64 / findings.len() as f64
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(formatter, "mutant", "reproduces", "simulator", "attack")?;
        for finding in &self.findings {
            let simulator = finding.violation.as_ref();
            let simulator = simulator.map_or_else(|| "-".to_owned(), describe);
            let attack = finding.attack.as_ref().map_or("-", |(name, _)| *name);
            let attack = if finding.is_caught() {
                attack
            } else {
                "MISSED"
            };
            let (name, source) = (finding.mutant.name(), finding.mutant.source());
            write_line(formatter, name, source, &simulator, attack)?;
        }
        let all = self.findings.len();
        let count = |is: fn(&Finding) -> bool| self.findings.iter().filter(|it| is(it)).count();
        let caught = count(Finding::is_caught);
        let simulated = count(|finding| finding.violation.is_some());
        let attacked = count(|finding| finding.attack.is_some());
        writeln!(formatter, "\n{caught} of {all} caught")?;
        writeln!(
            formatter,
            "{simulated} by the simulator within {} seeds, {attacked} by an attack on one engine",
            self.seeds
        )
    }
}

fn describe(violation: &Violation) -> String {
    format!("{:?}, seed {}", violation.invariant, violation.seed)
}

fn write_line(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    source: &str,
    simulator: &str,
    attack: &str,
) -> fmt::Result {
    writeln!(
        formatter,
        "{name:NAME$} {source:SOURCE$} {simulator:SIMULATOR$} {attack}"
    )
}
