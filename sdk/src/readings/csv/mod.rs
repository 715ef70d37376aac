//! Reads any CSV file with a header row into readings: one numeric cell is one reading.
//!
//! The file is read whole (bounded), because two things are known only at its end: which columns
//! are numbers, and whether `03/04/2004` is March or April. What was inferred is said in the
//! [`CsvReport`]; nothing is dropped without being counted there.
//!
//! ```text
//! bytes -> lines (bounded) -> table -> time columns -> column kinds -> readings
//!          source.rs          source.rs  time_columns.rs  columns.rs     here
//! ```

mod columns;
mod source;
mod time_columns;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use self::columns::{Cell, ColumnKind, Columns};
use self::source::{Row, Table};
use self::time_columns::TimeColumns;
use super::time::DateOrder;
use super::{Decimal, Reading};
use crate::limits::{
    CSV_BAD_ROWS_NAMED_MAX, CSV_COLUMNS_MAX, CSV_FILE_BYTES_MAX, CSV_LINE_BYTES_MAX,
    CSV_READINGS_MAX, CSV_ROWS_MAX, NAME_BYTES_MAX,
};

pub use super::time::DateOrder as CsvDateOrder;

/// What the person who runs the command says about the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// Numbers that mean "not measured", in any spelling.
    pub missing: Vec<Decimal>,
    /// Texts that mean "not measured", besides empty, NA, NaN and null.
    pub missing_texts: Vec<String>,
    /// The column with the time, or several joined by `+` (`Date+Time`, `year+month+day+hour`).
    pub time: Option<String>,
    /// Leave out broken rows instead of failing at the first.
    pub skip_bad: bool,
}

impl CsvOptions {
    /// Adds a number or a text that means "not measured".
    #[must_use]
    pub fn with_missing(mut self, text: &str) -> Self {
        match Decimal::parse(text.trim()) {
            Ok(number) => self.missing.push(number),
            Err(_) => self.missing_texts.push(text.trim().to_owned()),
        }
        self
    }
}

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The reader failed.
    #[error("cannot read the data: {0}")]
    Read(#[from] std::io::Error),
    /// There is no header row.
    #[error("the file is empty: expected a header row")]
    Empty,
    /// The header names one column only.
    #[error("line 1 has one column only: separate columns by comma, semicolon or tab")]
    OneColumn,
    /// Bytes that no text file has.
    #[error("line {0} holds a zero byte: is this UTF-16 or a binary file? Save it as UTF-8 text")]
    NotText(u64),
    /// The file has more bytes than allowed.
    #[error("the file is larger than {CSV_FILE_BYTES_MAX} bytes: split it")]
    FileTooLarge,
    /// A line is longer than allowed.
    #[error("line {0} is longer than {CSV_LINE_BYTES_MAX} bytes")]
    LineTooLong(u64),
    /// More rows than allowed.
    #[error("the file has more than {CSV_ROWS_MAX} rows: split it")]
    TooManyRows,
    /// More numeric cells than allowed.
    #[error("the file has more than {CSV_READINGS_MAX} readings: split it")]
    TooManyReadings,
    /// More columns than allowed.
    #[error("the header has {0} columns, at most {CSV_COLUMNS_MAX} are read")]
    TooManyColumns(usize),
    /// A column's name is longer than a property's may be.
    #[error("the name of column {0} is longer than {NAME_BYTES_MAX} bytes")]
    NameTooLong(usize),
    /// The column of `--time` does not exist.
    #[error("--time names `{name}`, but the columns are: {columns}")]
    NoSuchColumn {
        /// What was asked for.
        name: String,
        /// What is there.
        columns: String,
    },
    /// No set of columns reads as time.
    #[error(
        "no column reads as time; name it with --time COLUMN (or --time A+B); the columns are: {columns}"
    )]
    NoTime {
        /// What is there.
        columns: String,
    },
    /// The time is there, but no number beside it.
    #[error("no column holds numbers; the columns are: {columns}")]
    NoNumbers {
        /// What is there.
        columns: String,
    },
    /// A row is broken and `skip_bad` is off.
    #[error(
        "line {line} is broken: {reason} ({count} broken rows in all; --skip-bad leaves them out)"
    )]
    BadRow {
        /// The first broken line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// How many rows are broken.
        count: u64,
    },
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// How the order of day and month became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderBasis {
    /// A number above 12 settled it.
    Values,
    /// The rows follow each other in this order only, or much more closely.
    Sequence,
    /// Nothing settled it: day first is assumed.
    Assumed,
}

/// What was found in the file and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CsvReport {
    /// Data rows, without the header and blank lines.
    pub rows: u64,
    /// Readings made.
    pub accepted: u64,
    /// Cells without a value.
    pub missing: u64,
    /// Rows left out because they are broken.
    pub bad: u64,
    /// The first of them.
    pub bad_rows: Vec<BadRow>,
    /// Where the time came from, such as `Date+Time`.
    pub time: String,
    /// The order of day and month, if the file left it open, and what settled it.
    pub date_order: Option<(DateOrder, OrderBasis)>,
    /// What separates columns.
    pub separator: char,
    /// Whether numbers were written with a decimal comma.
    pub decimal_comma: bool,
    /// Columns that became properties.
    pub properties: Vec<String>,
    /// Text columns that became labels.
    pub labels: Vec<String>,
    /// Columns without numbers that are no labels either.
    pub ignored: Vec<String>,
}

impl CsvReport {
    /// Cells without a value and rows left out: what the demo's report calls skipped.
    pub fn skipped(&self) -> u64 {
        self.missing + self.bad
    }
}

/// The readings of a file, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvData {
    /// One per numeric cell.
    pub readings: Vec<Reading>,
    /// How they came about.
    pub report: CsvReport,
}

/// Reads a file.
pub fn read_csv_file(path: &Path, options: &CsvOptions) -> Result<CsvData, CsvError> {
    let file = std::fs::File::open(path).map_err(|source| CsvError::Io {
        path: path.to_owned(),
        source,
    })?;
    read_csv(file, options)
}

/// Reads a table from any source of bytes.
pub fn read_csv(source: impl Read, options: &CsvOptions) -> Result<CsvData, CsvError> {
    let table = Table::read(source)?;
    let time = TimeColumns::find(&table, options.time.as_deref())?;
    let columns = Columns::classify(&table, &time, options);
    if columns.properties().next().is_none() {
        return Err(CsvError::NoNumbers {
            columns: table.column_names(),
        });
    }
    let mut harvest = Harvest::default();
    for row in &table.rows {
        harvest.take(row, &table, &time, &columns);
        if harvest.readings.len() > CSV_READINGS_MAX {
            return Err(CsvError::TooManyReadings);
        }
    }
    harvest.finish(&table, &time, &columns, options)
}

/// Readings and counts on the way through the rows.
#[derive(Default)]
struct Harvest {
    readings: Vec<Reading>,
    missing: u64,
    bad: u64,
    bad_rows: Vec<BadRow>,
}

impl Harvest {
    fn take(&mut self, row: &Row, table: &Table, time: &TimeColumns, columns: &Columns) {
        let before = (self.readings.len(), self.missing);
        if let Err(reason) = self.take_cells(row, table, time, columns) {
            // A broken row leaves nothing behind, not even the cells before the broken one.
            self.readings.truncate(before.0);
            self.missing = before.1;
            self.bad += 1;
            if self.bad_rows.len() < CSV_BAD_ROWS_NAMED_MAX {
                self.bad_rows.push(BadRow {
                    line: row.line,
                    reason,
                });
            }
        }
    }

    fn take_cells(
        &mut self,
        row: &Row,
        table: &Table,
        time: &TimeColumns,
        columns: &Columns,
    ) -> Result<(), String> {
        check_width(row, table)?;
        let time_ms = time.time_of(row).ok_or_else(|| time.complaint(row))?;
        let labels = columns.labels_of(row);
        for (place, name) in columns.properties() {
            match columns.cell(row, place) {
                Cell::Missing => self.missing += 1,
                Cell::Number(value) => self.readings.push(Reading {
                    labels: BTreeMap::clone(&labels),
                    property: name.to_owned(),
                    time_ms,
                    value,
                }),
                Cell::Text(text) => {
                    let shown: String = text.chars().take(40).collect();
                    return Err(format!("`{shown}` in column `{name}` is no number"));
                }
            }
        }
        Ok(())
    }

    fn finish(
        self,
        table: &Table,
        time: &TimeColumns,
        columns: &Columns,
        options: &CsvOptions,
    ) -> Result<CsvData, CsvError> {
        if let (false, Some(first)) = (options.skip_bad, self.bad_rows.first()) {
            let (line, reason) = (first.line, first.reason.clone());
            return Err(CsvError::BadRow {
                line,
                reason,
                count: self.bad,
            });
        }
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let report = CsvReport {
            rows: count(table.rows.len()),
            accepted: count(self.readings.len()),
            missing: self.missing,
            bad: self.bad,
            bad_rows: self.bad_rows,
            time: time.describe(table),
            date_order: time.order_found(),
            separator: char::from(table.separator),
            decimal_comma: columns.has_decimal_comma(),
            properties: columns.named(ColumnKind::Property),
            labels: columns.named(ColumnKind::Label),
            ignored: columns.named(ColumnKind::Ignored),
        };
        Ok(CsvData {
            readings: self.readings,
            report,
        })
    }
}

fn check_width(row: &Row, table: &Table) -> Result<(), String> {
    let (found, expected) = (row.cells.len(), table.headers.len());
    let extra_is_empty = row
        .cells
        .iter()
        .skip(expected)
        .all(|cell| cell.trim().is_empty());
    if found < expected || !extra_is_empty {
        return Err(format!("{found} columns where the header has {expected}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
