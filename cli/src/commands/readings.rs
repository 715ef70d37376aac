//! Readings from a file, or from this machine.

use crate::errors::{Failure, Outcome};
use clap::Args;
use medina_sdk::readings::{
    Reading,
    csv::{CsvError, CsvOptions, CsvReport, read_csv_file},
    host::HostSampler,
};
use std::{path::PathBuf, time::Duration};

use super::since_epoch;

/// Samples of this machine where there is no file.
const HOST_SAMPLES: usize = 10;
/// Time between two of them: readings of one second are one too many.
const HOST_SAMPLE_PAUSE: Duration = Duration::from_secs(1);

/// Which readings.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReadingsArgs {
    /// CSV file with a header row and a time [default: samples of this machine, in the demo]
    #[arg(long, value_name = "FILE.csv")]
    readings: Option<PathBuf>,
    /// A value that means "not measured", such as -200; may be repeated
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// The column of time, or several joined by +, if it is not found by itself
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Leave broken rows out instead of failing at the first
    #[arg(long)]
    skip_bad: bool,
}

/// Readings and what was left out on the way to them.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The readings.
    pub(crate) readings: Vec<Reading>,
    /// Their properties, in order of columns.
    pub(crate) properties: Vec<String>,
    /// Rows of the file, or samples.
    pub(crate) rows: u64,
    /// Values that are missing, and broken rows.
    pub(crate) skipped: u64,
    /// What was found and assumed, for people.
    pub(crate) notes: Vec<String>,
}

impl ReadingsArgs {
    /// True when there is no file, so that this machine is sampled.
    pub(crate) fn is_host(&self) -> bool {
        self.readings.is_none()
    }

    /// Reads the file.
    pub(crate) fn load(&self) -> Outcome<Loaded> {
        let path = self.readings.as_ref();
        let path =
            path.ok_or_else(|| Failure::new("no readings").hint("give --readings FILE.csv"))?;
        let mut options = CsvOptions {
            time: self.time.clone(),
            skip_bad: self.skip_bad,
            ..CsvOptions::default()
        };
        for missing in &self.missing {
            options = options.with_missing(missing);
        }
        let data = read_csv_file(path, &options).map_err(|error| match error {
            // It names the file itself.
            CsvError::Io { .. } => Failure::from(error),
            error => Failure::from(error).during(path.display()),
        })?;
        Ok(Loaded {
            rows: data.report.rows,
            skipped: data.report.skipped(),
            notes: notes(&data.report),
            properties: data.report.properties,
            readings: data.readings,
        })
    }
}

/// Samples this machine for a few seconds.
pub(crate) async fn sample_host() -> Loaded {
    let mut sampler = HostSampler::new();
    let mut readings = Vec::new();
    for _ in 0..HOST_SAMPLES {
        tokio::time::sleep(HOST_SAMPLE_PAUSE).await;
        let now_ms = u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX);
        readings.extend(sampler.sample(now_ms));
    }
    Loaded {
        readings,
        properties: medina_sdk::readings::host::HOST_PROPERTIES
            .map(str::to_owned)
            .to_vec(),
        rows: HOST_SAMPLES as u64,
        skipped: 0,
        notes: vec!["this machine's own load, memory, disk and network counters".to_owned()],
    }
}

fn notes(report: &CsvReport) -> Vec<String> {
    let mut notes = vec![format!(
        "{} rows, columns separated by {:?}, time from {}",
        report.rows, report.separator, report.time
    )];
    if let Some((order, basis)) = report.date_order {
        notes.push(format!("dates read as {order:?} ({basis:?})"));
    }
    if report.decimal_comma {
        notes.push("numbers have a decimal comma".to_owned());
    }
    for (what, columns) in [
        ("labels", &report.labels),
        ("ignored columns", &report.ignored),
    ] {
        if !columns.is_empty() {
            notes.push(format!("{what}: {}", columns.join(", ")));
        }
    }
    if report.missing > 0 {
        notes.push(format!("{} values are missing", report.missing));
    }
    for bad in &report.bad_rows {
        notes.push(format!("line {} left out: {}", bad.line, bad.reason));
    }
    if report.bad > report.bad_rows.len() as u64 {
        notes.push(format!("{} broken rows in all", report.bad));
    }
    notes
}
