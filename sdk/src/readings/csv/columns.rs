//! Which columns are properties, labels, or neither; and what a cell says.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Row, Table};
use super::time_columns::TimeColumns;
use super::{CsvOptions, Decimal};
use crate::limits::{LABEL_BYTES_MAX, LABEL_VALUES_MAX, LABELS_MAX};

/// What becomes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// Part of the time.
    Time,
    /// Numbers: one reading per cell.
    Property,
    /// Text of few values: said with every reading of the row.
    Label,
    /// Neither.
    Ignored,
}

/// What a cell of a property's column says.
pub(super) enum Cell<'a> {
    Missing,
    Number(Decimal),
    Text(&'a str),
}

/// The kind of every column, and how numbers are written.
pub(super) struct Columns {
    kinds: Vec<(String, ColumnKind)>,
    missing: Vec<Decimal>,
    missing_texts: Vec<String>,
    may_have_comma: bool,
    has_comma: bool,
}

impl Columns {
    pub(super) fn classify(table: &Table, time: &TimeColumns, options: &CsvOptions) -> Self {
        let mut columns = Self {
            kinds: Vec::with_capacity(table.headers.len()),
            missing: options.missing.clone(),
            missing_texts: options.missing_texts.clone(),
            may_have_comma: table.separator != b',',
            has_comma: false,
        };
        for (place, name) in table.headers.iter().enumerate() {
            let kind = if time.has(place) {
                ColumnKind::Time
            } else if table.has_row_names && place == 0 {
                ColumnKind::Ignored
            } else {
                columns.kind_of(table, place)
            };
            columns.kinds.push((name.clone(), kind));
        }
        columns.limit_labels();
        columns
    }

    /// Numbers in more than half of the cells that say anything make a property: one broken cell
    /// must not turn a column of measurements into text.
    fn kind_of(&mut self, table: &Table, place: usize) -> ColumnKind {
        let (mut numbers, mut texts, mut commas) = (0_usize, 0_usize, false);
        let mut values = BTreeSet::new();
        for row in &table.rows {
            match self.cell(row, place) {
                Cell::Missing => {}
                Cell::Number(_) => {
                    numbers += 1;
                    commas |= row.cell(place).contains(',');
                }
                Cell::Text(text) => {
                    texts += 1;
                    if values.len() <= LABEL_VALUES_MAX && !values.contains(text) {
                        values.insert(text);
                    }
                }
            }
        }
        let is_label = texts > 0
            && values.len() <= LABEL_VALUES_MAX
            && values.iter().all(|value| value.len() <= LABEL_BYTES_MAX);
        if numbers > texts {
            self.has_comma |= commas;
            ColumnKind::Property
        } else if is_label {
            ColumnKind::Label
        } else {
            ColumnKind::Ignored
        }
    }

    fn limit_labels(&mut self) {
        let labels = self
            .kinds
            .iter_mut()
            .filter(|(_, kind)| *kind == ColumnKind::Label);
        for (_, kind) in labels.skip(LABELS_MAX) {
            *kind = ColumnKind::Ignored;
        }
    }

    pub(super) fn cell<'a>(&self, row: &'a Row, place: usize) -> Cell<'a> {
        let text = row.cell(place);
        if self.is_missing_text(text) {
            return Cell::Missing;
        }
        let parsed = if self.may_have_comma {
            Decimal::parse_with_comma(text)
        } else {
            Decimal::parse(text)
        };
        match parsed {
            Ok(number) if self.missing.iter().any(|value| value.is_equal_to(&number)) => {
                Cell::Missing
            }
            Ok(number) => Cell::Number(number),
            Err(_) => Cell::Text(text),
        }
    }

    fn is_missing_text(&self, text: &str) -> bool {
        is_missing_word(text)
            || self
                .missing_texts
                .iter()
                .any(|missing| missing.eq_ignore_ascii_case(text))
    }

    pub(super) fn properties(&self) -> impl Iterator<Item = (usize, &str)> {
        self.of_kind(ColumnKind::Property)
    }

    pub(super) fn labels_of(&self, row: &Row) -> BTreeMap<String, String> {
        self.of_kind(ColumnKind::Label)
            .map(|(place, name)| (name.to_owned(), row.cell(place).to_owned()))
            .filter(|(_, value)| !self.is_missing_text(value))
            .collect()
    }

    pub(super) fn named(&self, kind: ColumnKind) -> Vec<String> {
        self.of_kind(kind)
            .map(|(_, name)| name.to_owned())
            .collect()
    }

    pub(super) fn has_decimal_comma(&self) -> bool {
        self.has_comma
    }

    fn of_kind(&self, wanted: ColumnKind) -> impl Iterator<Item = (usize, &str)> {
        let is_wanted = move |(_, (_, kind)): &(usize, &(String, ColumnKind))| *kind == wanted;
        self.kinds
            .iter()
            .enumerate()
            .filter(is_wanted)
            .map(|(place, (name, _))| (place, name.as_str()))
    }
}

fn is_missing_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["", "na", "n/a", "nan", "null", "none", "?", "-", "#n/a"];
    text.len() <= 4 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}
