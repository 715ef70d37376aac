//! Which columns hold the time, and in which order their dates are written.

use super::source::{Row, Table};
use super::{CsvError, OrderBasis};
use crate::readings::time::{
    DateOrder, has_open_order, order_of, parse_instant, parse_pair, parse_parts,
};

/// Rows looked at to see whether a column reads as time.
const PROBE_ROWS: usize = 1_000;

/// Names of a column that holds the whole time, the likelier ones first.
const WHOLE_NAMES: [&str; 18] = [
    "timestamp",
    "datetime",
    "date_time",
    "date time",
    "time",
    "date",
    "ts",
    "unix",
    "unixtime",
    "unix_time",
    "epoch",
    "time_ms",
    "timestamp_ms",
    "utc",
    "observed_at",
    "recorded_at",
    "measured_at",
    "created_at",
];

/// Names of the columns of a time in parts, each with its synonyms.
const PART_NAMES: [&[&str]; 6] = [
    &["year", "yyyy"],
    &["month", "mm"],
    &["day", "dd"],
    &["hour", "hr", "hh"],
    &["minute", "min"],
    &["second", "sec"],
];

/// The columns of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// One column says it all.
    Whole(usize),
    /// A date and a clock.
    Pair(usize, usize),
    /// Year, month, day and what follows, each in its column.
    Parts(Vec<usize>),
}

/// How the time of a row is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeColumns {
    place: Place,
    order: DateOrder,
    basis: Option<OrderBasis>,
}

impl TimeColumns {
    pub(super) fn find(table: &Table, asked: Option<&str>) -> Result<Self, CsvError> {
        let place = match asked {
            Some(names) => place_by_request(table, names)?,
            None => candidates(table)
                .into_iter()
                .find(|place| reads_as_time(table, place))
                .ok_or_else(|| CsvError::NoTime {
                    columns: table.column_names(),
                })?,
        };
        let (order, basis) = infer_order(table, &place);
        Ok(Self {
            place,
            order,
            basis,
        })
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.place.columns().contains(&place)
    }

    pub(super) fn time_of(&self, row: &Row) -> Option<u64> {
        self.place.time_of(row, self.order)
    }

    pub(super) fn order_found(&self) -> Option<(DateOrder, OrderBasis)> {
        self.basis.map(|basis| (self.order, basis))
    }

    pub(super) fn describe(&self, table: &Table) -> String {
        let names = self
            .place
            .columns()
            .into_iter()
            .filter_map(|place| table.headers.get(place));
        names.map(String::as_str).collect::<Vec<_>>().join("+")
    }

    pub(super) fn complaint(&self, row: &Row) -> String {
        let cells: Vec<_> = self
            .place
            .columns()
            .into_iter()
            .map(|place| row.cell(place))
            .collect();
        let shown: String = cells.join(" ").chars().take(60).collect();
        if shown.trim().is_empty() {
            "it has no time".into()
        } else {
            format!("`{shown}` is no time")
        }
    }
}

impl Place {
    fn columns(&self) -> Vec<usize> {
        match self {
            Self::Whole(column) => vec![*column],
            Self::Pair(date, clock) => vec![*date, *clock],
            Self::Parts(columns) => columns.clone(),
        }
    }

    fn time_of(&self, row: &Row, order: DateOrder) -> Option<u64> {
        match self {
            Self::Whole(column) => parse_instant(row.cell(*column), order),
            Self::Pair(date, clock) => parse_pair(row.cell(*date), row.cell(*clock), order),
            Self::Parts(columns) => {
                let mut parts = [0_u32; 6];
                for (part, column) in parts.iter_mut().zip(columns) {
                    *part = whole_number(row.cell(*column))?;
                }
                parse_parts(parts)
            }
        }
    }

    /// The cell whose day and month may be in either order.
    fn date_cell<'a>(&self, row: &'a Row) -> Option<&'a str> {
        match self {
            Self::Whole(column) | Self::Pair(column, _) => Some(row.cell(*column)),
            Self::Parts(_) => None,
        }
    }
}

/// Spreadsheets write whole numbers as `18.0`.
fn whole_number(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_whole = fraction.bytes().all(|byte| byte == b'0');
    whole.parse().ok().filter(|_| is_whole)
}

fn column_named(table: &Table, name: &str) -> Option<usize> {
    let exact = table.headers.iter().position(|header| header == name);
    exact.or_else(|| {
        table
            .headers
            .iter()
            .position(|header| header.eq_ignore_ascii_case(name))
    })
}

fn place_by_request(table: &Table, names: &str) -> Result<Place, CsvError> {
    let column = |name: &str| {
        column_named(table, name.trim()).ok_or_else(|| CsvError::NoSuchColumn {
            name: name.trim().chars().take(60).collect(),
            columns: table.column_names(),
        })
    };
    // A name may itself contain a plus.
    if let Some(whole) = column_named(table, names.trim()) {
        return Ok(Place::Whole(whole));
    }
    let columns = names
        .split('+')
        .map(column)
        .collect::<Result<Vec<_>, _>>()?;
    match columns.as_slice() {
        [whole] => Ok(Place::Whole(*whole)),
        [date, clock] => Ok(Place::Pair(*date, *clock)),
        parts if parts.len() <= PART_NAMES.len() => Ok(Place::Parts(columns)),
        _ => Err(CsvError::NoTime {
            columns: table.column_names(),
        }),
    }
}

/// Every set of columns that may be the time, the most telling first.
fn candidates(table: &Table) -> Vec<Place> {
    let mut found = Vec::new();
    let by_any = |names: &[&str]| names.iter().find_map(|name| column_named(table, name));
    let parts: Vec<_> = PART_NAMES.iter().map_while(|names| by_any(names)).collect();
    if parts.len() >= 3 {
        found.push(Place::Parts(parts));
    }
    if let Some(date) = column_named(table, "date") {
        let clocks = by_any(&["time", "hour", "hr"]);
        found.extend(clocks.map(|clock| Place::Pair(date, clock)));
    }
    found.extend(
        WHOLE_NAMES
            .iter()
            .filter_map(|name| column_named(table, name))
            .map(Place::Whole),
    );
    // Any other column, as long as it cannot be a measurement: a bare number is none here.
    let is_no_number = |column: &usize| {
        table
            .rows
            .iter()
            .take(PROBE_ROWS)
            .all(|row| row.cell(*column).parse::<f64>().is_err())
    };
    found.extend(
        (0..table.headers.len())
            .filter(is_no_number)
            .map(Place::Whole),
    );
    found
}

fn reads_as_time(table: &Table, place: &Place) -> bool {
    let probed = || table.rows.iter().take(PROBE_ROWS);
    let reads = |order| {
        probed()
            .filter(|row| place.time_of(row, order).is_some())
            .count()
    };
    let best = reads(DateOrder::DayMonth).max(reads(DateOrder::MonthDay));
    best > 0 && best * 2 >= probed().count()
}

fn infer_order(table: &Table, place: &Place) -> (DateOrder, Option<OrderBasis>) {
    let dates = || table.rows.iter().filter_map(|row| place.date_cell(row));
    if !dates().any(has_open_order) {
        return (DateOrder::DayMonth, None);
    }
    let votes = |order| dates().filter(|date| order_of(date) == Some(order)).count();
    let (day_first, month_first) = (votes(DateOrder::DayMonth), votes(DateOrder::MonthDay));
    if day_first != month_first {
        let order = if day_first > month_first {
            DateOrder::DayMonth
        } else {
            DateOrder::MonthDay
        };
        return (order, Some(OrderBasis::Values));
    }
    infer_order_from_sequence(table, place)
}

/// Rows are written as time passes: the order with fewer steps back, then with the shorter span.
fn infer_order_from_sequence(table: &Table, place: &Place) -> (DateOrder, Option<OrderBasis>) {
    let disorder = |order| {
        let times: Vec<u64> = table
            .rows
            .iter()
            .filter_map(|row| place.time_of(row, order))
            .collect();
        let steps_back = times.windows(2).filter(|pair| pair[0] > pair[1]).count();
        let first = times.iter().min().copied().unwrap_or(0);
        let last = times.iter().max().copied().unwrap_or(0);
        (steps_back, last - first)
    };
    match disorder(DateOrder::DayMonth).cmp(&disorder(DateOrder::MonthDay)) {
        std::cmp::Ordering::Less => (DateOrder::DayMonth, Some(OrderBasis::Sequence)),
        std::cmp::Ordering::Greater => (DateOrder::MonthDay, Some(OrderBasis::Sequence)),
        std::cmp::Ordering::Equal => (DateOrder::DayMonth, Some(OrderBasis::Assumed)),
    }
}
