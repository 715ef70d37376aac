//! What commands print: text for people, or one JSON document with `--json`.

use crate::errors::Failure;
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// Where results go and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// For people, or for programs.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// The result of the command: `value` for programs, `text` for people.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            let json = serde_json::to_string_pretty(value).expect("plain data becomes JSON");
            print_line(&json);
        } else {
            print_line(text().trim_end());
        }
    }

    /// Something for people on the way to the result; programs do not see it.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if !self.json {
            print_line(text.as_ref());
        }
    }

    /// Progress may be drawn: somebody watches, and not a program.
    pub(crate) fn shows_progress(self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// The failure of the command, on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        let text = if self.json {
            failure.to_json().to_string()
        } else {
            format!("error: {failure}")
        };
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// One line or paragraph on standard output. A reader that went away (`| head`)
/// is no failure of ours.
fn print_line(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// A table with these headings.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY);
    table.set_header(headings.to_vec());
    table
}

/// A number, which stands on the right.
pub(crate) fn number(value: impl ToString) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// Names and values under each other, names padded to one width.
pub(crate) fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}\n");
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stand_in_two_columns() {
        let text = pairs([("a", "1".to_owned()), ("long", "2".to_owned())]);
        assert_eq!(text, "a     1\nlong  2\n");
    }
}
