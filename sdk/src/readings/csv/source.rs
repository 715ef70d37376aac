//! From bytes to a table of text cells that know their line.

use std::io::{BufRead, BufReader, Read};

use csv::StringRecord;

use super::CsvError;
use crate::limits::{
    CSV_COLUMNS_MAX, CSV_FILE_BYTES_MAX, CSV_LINE_BYTES_MAX, CSV_ROWS_MAX, NAME_BYTES_MAX,
};

/// One data row.
pub(super) struct Row {
    /// Line in the file, from 1.
    pub(super) line: u64,
    pub(super) cells: StringRecord,
}

impl Row {
    pub(super) fn cell(&self, place: usize) -> &str {
        self.cells.get(place).unwrap_or("").trim()
    }

    fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }
}

/// The whole file.
pub(super) struct Table {
    /// Unique, not empty.
    pub(super) headers: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) separator: u8,
    /// True when the first column has no header and only names the rows.
    pub(super) has_row_names: bool,
}

/// Header of a column that only names the rows.
const ROW_NAMES: &str = "row name";

impl Table {
    pub(super) fn read(source: impl Read) -> Result<Self, CsvError> {
        let text = Text::read(source)?;
        let header_end = text
            .starts
            .get(1)
            .map_or(text.bytes.len(), |second| second.offset);
        let separator = sniff_separator(&text.bytes[..header_end]).ok_or(CsvError::OneColumn)?;
        let mut rows = parse_rows(&text, separator)?;
        if rows.is_empty() {
            return Err(CsvError::Empty);
        }
        let mut header = rows.remove(0).cells;
        rows.retain(|row| !row.is_blank());
        let has_row_names = has_row_names(&header, &rows);
        if has_row_names {
            header = std::iter::once(ROW_NAMES).chain(header.iter()).collect();
        }
        let headers = unique_names(&header)?;
        Ok(Self {
            headers,
            rows,
            separator,
            has_row_names,
        })
    }

    pub(super) fn column_names(&self) -> String {
        self.headers.join(", ")
    }
}

/// Statistics programs write a first column that names the rows and give it no
/// header, so every row has exactly one cell more than the header.
fn has_row_names(header: &StringRecord, rows: &[Row]) -> bool {
    let has_one_more = |row: &Row| {
        row.cells.len() == header.len() + 1 && !row.cells[header.len()].trim().is_empty()
    };
    !rows.is_empty() && rows.iter().all(has_one_more)
}

/// Where a physical line starts in the kept bytes.
struct LineStart {
    offset: usize,
    line: u64,
}

/// The file's bytes without byte order mark, carriage returns at line ends and blank lines.
struct Text {
    bytes: Vec<u8>,
    starts: Vec<LineStart>,
}

impl Text {
    fn read(source: impl Read) -> Result<Self, CsvError> {
        let mut reader = BufReader::new(source);
        let mut text = Self {
            bytes: Vec::new(),
            starts: Vec::new(),
        };
        let mut total = 0_u64;
        for line in 1_u64.. {
            let raw = read_line(&mut reader, line)?;
            if raw.is_empty() {
                break;
            }
            total += u64::try_from(raw.len()).unwrap_or(u64::MAX);
            if total > CSV_FILE_BYTES_MAX {
                return Err(CsvError::FileTooLarge);
            }
            text.keep(&raw, line)?;
        }
        if text.starts.is_empty() {
            Err(CsvError::Empty)
        } else {
            Ok(text)
        }
    }

    fn keep(&mut self, raw: &[u8], line: u64) -> Result<(), CsvError> {
        let unmarked = if line == 1 {
            raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw)
        } else {
            raw
        };
        let content = unmarked.strip_suffix(b"\n").unwrap_or(unmarked);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        if content.contains(&0) {
            return Err(CsvError::NotText(line));
        }
        if content.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if self.starts.len() > CSV_ROWS_MAX {
            return Err(CsvError::TooManyRows);
        }
        self.starts.push(LineStart {
            offset: self.bytes.len(),
            line,
        });
        self.bytes.extend_from_slice(content);
        self.bytes.push(b'\n');
        Ok(())
    }

    /// The line of the byte at `offset`.
    fn line_at(&self, offset: u64) -> u64 {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let after = self.starts.partition_point(|start| start.offset <= offset);
        self.starts
            .get(after.saturating_sub(1))
            .map_or(1, |start| start.line)
    }
}

/// One line with its end; empty at the end of the file.
fn read_line(reader: &mut impl BufRead, line: u64) -> Result<Vec<u8>, CsvError> {
    let limit = u64::try_from(CSV_LINE_BYTES_MAX).unwrap_or(u64::MAX) + 2;
    let mut raw = Vec::new();
    reader.take(limit).read_until(b'\n', &mut raw)?;
    if raw.len() > CSV_LINE_BYTES_MAX + 1 {
        return Err(CsvError::LineTooLong(line));
    }
    Ok(raw)
}

/// The separator the header uses most, outside quotes.
fn sniff_separator(header: &[u8]) -> Option<u8> {
    let count = |separator: u8| {
        let mut quoted = false;
        let is_counted = |byte: &&u8| {
            quoted ^= **byte == b'"';
            !quoted && **byte == separator
        };
        header.iter().filter(is_counted).count()
    };
    // Ties go to the later one: a semicolon or tab in a header is hardly part of a name.
    [b',', b';', b'\t']
        .into_iter()
        .filter(|separator| count(*separator) > 0)
        .max_by_key(|s| count(*s))
}

fn parse_rows(text: &Text, separator: u8) -> Result<Vec<Row>, CsvError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.bytes.as_slice());
    let mut rows = Vec::with_capacity(text.starts.len());
    for record in reader.byte_records() {
        // Reading from memory without a width or UTF-8 rule leaves no way to fail but I/O.
        let record = record.map_err(|error| CsvError::Read(std::io::Error::other(error)))?;
        let line = text.line_at(record.position().map_or(0, csv::Position::byte));
        // Names such as "°C" in a legacy encoding must not stop the file.
        rows.push(Row {
            line,
            cells: StringRecord::from_byte_record_lossy(record),
        });
    }
    Ok(rows)
}

fn unique_names(header: &StringRecord) -> Result<Vec<String>, CsvError> {
    if header.len() > CSV_COLUMNS_MAX {
        return Err(CsvError::TooManyColumns(header.len()));
    }
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for (place, cell) in header.iter().enumerate() {
        let name = match cell.trim() {
            "" => format!("column_{}", place + 1),
            name => name.to_owned(),
        };
        let same = |taken: &str, names: &[String]| names.iter().any(|other| other == taken);
        let mut unique = name.clone();
        let mut number = 2_usize;
        while same(&unique, &names) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        if unique.len() > NAME_BYTES_MAX {
            return Err(CsvError::NameTooLong(place + 1));
        }
        names.push(unique);
    }
    Ok(names)
}
